/* SPDX-License-Identifier: MIT
 * style_sheet.c - networks as columns of boxes side by side, as in the figure that made residual nets famous: one box a layer along
 * the main path, rows aligned where the maps have the same size, skips as arcs (dotted where the shape changes on the way).
 */
#include <math.h>

#include "draw/arch.h"

static const double box_w = 112, box_h = 15, gap_y = 9, arc_room = 40, left_room = 30, head = 44,
                    text_size = 8;

typedef struct spot { /* one box of a column */
    int box;
    cvi_arch_node node;
    int band;
    double y;
} spot;

typedef struct arc {
    int from, to; /* spots: leaves below the one, ends above the other */
    bool dotted;
} arc;

typedef struct column {
    const cvi_arch *a;
    cvi_view *v;
    int n, n_arcs, beside;
    spot *spots;
    int *spot_of; /* per box: its spot, or that before a sum; -1 beside the path */
    arc *arcs;
    double x;
} column;

typedef struct sheet {
    const cvi_draw_job *job;
    cvi_arena *arena;
    int n, n_bands;
    column *columns;
    int64_t *sizes; /* heights of maps, largest first; 0: no maps */
    int n_sizes;
    int *band_of; /* per size: sizes that differ by little (56, 55) share a band of rows */
    double *band_y, *band_h;
    cvs_error *err;
} sheet;

static bool is_joint(const cvi_arch_node *n) {
    return n->kind == CVI_NODE_ADD || n->kind == CVI_NODE_MUL;
}

/* Side of the maps that leave a box; 0 where there are none. */
static int64_t side(const cvi_arch_node *n) {
    return n->out.rank >= 3 ? CVI_MAX(cvi_shape_height(&n->out), 0) : 0;
}

/* ---- the path ------------------------------------------------------------------------------------------------ */

static cvs_status find_path(sheet *s, column *c) {
    int *path = cvi_arena_alloc(s->arena, c->a->n_nodes, sizeof *path);
    c->spots = cvi_arena_alloc(s->arena, CVI_MAX(c->v->n_boxes, 1), sizeof *c->spots);
    c->spot_of = cvi_arena_alloc(s->arena, CVI_MAX(c->v->n_boxes, 1), sizeof *c->spot_of);
    int length = path ? cvi_arch_main_path(c->a, path) : -1;
    if (length < 0 || !c->spots || !c->spot_of) {
        return cvi_no_memory(s->err, 0);
    }
    for (int b = 0; b < c->v->n_boxes; b++) {
        c->spot_of[b] = -1;
    }
    for (int i = 0; i < length; i++) {
        int box = c->v->box_of[path[i]];
        if (box < 0 || c->spot_of[box] >= 0) {
            continue;
        }
        cvi_arch_node node;
        cvi_box_node(c->v, box, &node);
        if (!is_joint(&node) || c->n == 0) {
            c->spots[c->n++] = (spot){.box = box, .node = node};
        }
        c->spot_of[box] = c->n - 1;
    }
    return CVS_OK;
}

/* Walks back from a box beside the path to the path; -1 when it has several inputs or none. */
static int back_to_path(const column *c, int box, int *length) {
    for (*length = 0; *length < 64 && c->spot_of[box] < 0; ++*length) {
        int source = -1, count = 0;
        for (int l = 0; l < c->v->n_links; l++) {
            if (c->v->links[l].to == box) {
                source = c->v->links[l].from;
                count++;
            }
        }
        if (count != 1) {
            return -1;
        }
        box = source;
    }
    return c->spot_of[box];
}

static cvs_status find_arcs(sheet *s, column *c) {
    c->arcs = cvi_arena_alloc(s->arena, CVI_MAX(c->v->n_links, 1), sizeof *c->arcs);
    if (!c->arcs) {
        return cvi_no_memory(s->err, 0);
    }
    for (int b = 0; b < c->v->n_boxes; b++) {
        c->beside += c->spot_of[b] < 0;
    }
    for (int l = 0; l < c->v->n_links; l++) {
        const cvi_link *link = &c->v->links[l];
        int to = c->spot_of[link->to], length = 0;
        if (to < 0) {
            continue;
        }
        cvi_arch_node end;
        cvi_box_node(c->v, link->to, &end);
        bool joint = is_joint(&end) && c->spots[to].box != link->to;
        int from = back_to_path(c, link->from, &length), target = joint ? to + 1 : to;
        bool next = length == 0 && from + 1 == target;
        if (from < 0 || next || from >= target || (length > 1 && !joint)) {
            continue;
        }
        bool seen = false;
        for (int k = 0; k < c->n_arcs; k++) {
            seen |= c->arcs[k].from == from && c->arcs[k].to == target;
        }
        if (!seen) {
            c->beside -= length; /* a projection is its arc */
            c->arcs[c->n_arcs++] = (arc){.from = from, .to = CVI_MIN(target, c->n), .dotted = length > 0};
        }
    }
    return CVS_OK;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* Sizes shrink along every column: then rows of one size stand side by side. */
static bool shrinks(const column *c) {
    int64_t last = INT64_MAX;
    for (int i = 0; i < c->n; i++) {
        int64_t now = side(&c->spots[i].node);
        if (now > last) {
            return false;
        }
        last = now;
    }
    return true;
}

static void add_size(sheet *s, int64_t size) {
    int at = 0;
    while (at < s->n_sizes && s->sizes[at] > size) {
        at++;
    }
    if (at < s->n_sizes && s->sizes[at] == size) {
        return;
    }
    memmove(s->sizes + at + 1, s->sizes + at, (size_t)(s->n_sizes - at) * sizeof *s->sizes);
    s->sizes[at] = size;
    s->n_sizes++;
}

static cvs_status find_bands(sheet *s) {
    int total = 1;
    bool aligned = true;
    for (int i = 0; i < s->n; i++) {
        total += s->columns[i].n;
        aligned = aligned && shrinks(&s->columns[i]);
    }
    s->sizes = cvi_arena_alloc(s->arena, total, sizeof *s->sizes);
    s->band_of = cvi_arena_alloc(s->arena, total, sizeof *s->band_of);
    s->band_y = cvi_arena_alloc(s->arena, total, sizeof *s->band_y);
    s->band_h = cvi_arena_alloc(s->arena, total, sizeof *s->band_h);
    if (!s->sizes || !s->band_of || !s->band_y || !s->band_h) {
        return cvi_no_memory(s->err, 0);
    }
    for (int i = 0; i < s->n; i++) {
        for (int k = 0; k < s->columns[i].n; k++) {
            add_size(s, aligned ? side(&s->columns[i].spots[k].node) : -1);
        }
    }
    int64_t largest = 0;
    for (int b = 0; b < s->n_sizes; b++) {
        if (b == 0 || s->sizes[b] * 5 < largest * 4) {
            largest = s->sizes[b];
            s->n_bands++;
        }
        s->band_of[b] = s->n_bands - 1;
    }
    for (int i = 0; i < s->n; i++) {
        column *c = &s->columns[i];
        for (int k = 0, row = 0; k < c->n; k++, row++) {
            int size = 0;
            while (aligned && s->sizes[size] != side(&c->spots[k].node)) {
                size++;
            }
            int band = s->band_of[size];
            row = k > 0 && band != c->spots[k - 1].band ? 0 : row;
            c->spots[k].band = band;
            c->spots[k].y = row * (box_h + gap_y);
            s->band_h[band] = CVI_MAX(s->band_h[band], c->spots[k].y + box_h + gap_y);
        }
    }
    double y = head;
    for (int b = 0; b < s->n_bands; b++) {
        s->band_y[b] = y;
        y += s->band_h[b] + 6;
    }
    for (int i = 0; i < s->n; i++) {
        for (int k = 0; k < s->columns[i].n; k++) {
            s->columns[i].spots[k].y += s->band_y[s->columns[i].spots[k].band];
        }
    }
    return CVS_OK;
}

/* ---- drawing ------------------------------------------------------------------------------------------------------ */

static void draw_bands(cvi_scene *scene, const sheet *s, double width) {
    cvi_font font = {.size = 7, .color = scene->theme->role[CVI_MUTED], .anchor = CVI_START};
    const cvi_paint line = {.stroke = scene->theme->role[CVI_LINE], .width = 0.6, .dash = {2, 2}};
    for (int b = 0; b < s->n_bands && s->n_bands > 1; b++) {
        if (b > 0) {
            cvi_draw_line(scene, 4, s->band_y[b] - 4, width - 4, s->band_y[b] - 4, &line);
        }
        double y = s->band_y[b] + 10;
        for (int k = 0; k < s->n_sizes; k++) {
            if (s->band_of[k] == b && s->sizes[k] > 0 && y < s->band_y[b] + s->band_h[b] - 8) {
                cvi_draw_textf(scene, 4, y, &font, "%lld", (long long)s->sizes[k]);
                y += 9;
            }
        }
    }
}

static void draw_box(cvi_scene *scene, const column *c, const spot *at) {
    const cvi_class_look *look = &scene->theme->look[at->node.cls];
    cvi_paint paint = {.fill = look->fill, .stroke = look->edge, .width = 0.8};
    paint.hatch = scene->theme->kind == CVS_BLACK_WHITE ? look->hatch : CVI_HATCH_NONE;
    cvi_font font = {.size = text_size, .color = scene->theme->role[CVI_INK], .anchor = CVI_MIDDLE};
    cvi_group_begin(scene, c->v->boxes[at->box].id, at->node.name, NULL);
    cvi_draw_rect(scene, c->x, at->y, box_w, box_h, 2.5, &paint);
    cvi_draw_text_fit(scene, c->x + box_w / 2, at->y + 10.6, box_w - 8, &font,
                      at->node.title ? at->node.title : at->node.name);
    cvi_group_end(scene);
}

/* From box to box down the path; over the border of two bands the arrow is longer. */
static void draw_steps(cvi_scene *scene, const column *c) {
    const cvi_paint line = {.stroke = scene->theme->role[CVI_INK], .width = 0.8};
    double x = c->x + box_w / 2;
    for (int k = 0; k + 1 < c->n; k++) {
        double from = c->spots[k].y + box_h, to = c->spots[k + 1].y;
        cvi_draw_line(scene, x, from, x, to - 2.5, &line);
        cvi_draw_arrow_head(scene, x, to, 0, 1, 4, scene->theme->role[CVI_INK]);
    }
}

static void draw_arcs(cvi_scene *scene, const column *c) {
    for (int k = 0; k < c->n_arcs; k++) {
        const arc *e = &c->arcs[k];
        double x = c->x + box_w, y1 = c->spots[e->from].y + box_h + gap_y * 0.35;
        double y2 =
            e->to < c->n ? c->spots[e->to].y - gap_y * 0.35 : c->spots[c->n - 1].y + box_h + gap_y * 0.35;
        double d = CVI_MIN(12 + (y2 - y1) / 9, arc_room * 4 / 3 - 6), middle = c->x + box_w / 2;
        cvi_paint paint = {.stroke = scene->theme->role[CVI_INK], .width = 0.8};
        if (e->dotted) {
            paint.dash[0] = 1.2;
            paint.dash[1] = 2.2;
        }
        cvi_path_begin(scene);
        cvi_path_move(scene, middle, y1);
        cvi_path_line(scene, x, y1);
        cvi_path_curve(scene, x + d, y1 + 2, x + d, y2 - 2, x, y2);
        cvi_path_end(scene, &paint);
        paint.dash[0] = paint.dash[1] = 0;
        cvi_draw_line(scene, x, y2, middle + 3, y2, &paint);
        cvi_draw_arrow_head(scene, middle + 1, y2, -1, 0, 4, scene->theme->role[CVI_INK]);
    }
}

/* "x3" and a bracket on the left of boxes that stand for several units. */
static void draw_repeats(cvi_scene *scene, const column *c) {
    const cvi_paint line = {.stroke = scene->theme->role[CVI_MUTED], .width = 0.8};
    cvi_font font = {.size = 7.5, .bold = true, .color = scene->theme->role[CVI_INK], .anchor = CVI_END};
    for (int f = 0; f < c->v->n_frames; f++) {
        if (c->v->frames[f].repeat < 2) {
            continue;
        }
        double top = 1e9, bottom = 0;
        for (int k = 0; k < c->n; k++) {
            for (int up = c->v->boxes[c->spots[k].box].frame; up >= 0; up = c->v->frames[up].parent) {
                if (up == f) {
                    top = CVI_MIN(top, c->spots[k].y);
                    bottom = CVI_MAX(bottom, c->spots[k].y + box_h);
                }
            }
        }
        if (bottom > 0) {
            cvi_path_begin(scene);
            cvi_path_move(scene, c->x - 3, top + 1);
            cvi_path_line(scene, c->x - 7, top + 1);
            cvi_path_line(scene, c->x - 7, bottom - 1);
            cvi_path_line(scene, c->x - 3, bottom - 1);
            cvi_path_end(scene, &line);
            cvi_draw_textf(scene, c->x - 9, (top + bottom) / 2 + 2.6, &font, "×%d", c->v->frames[f].repeat);
        }
    }
}

static void draw_heading(cvi_scene *scene, const column *c, cvs_lang lang) {
    cvi_font font = {.size = 10, .bold = true, .color = scene->theme->role[CVI_INK], .anchor = CVI_MIDDLE};
    cvi_draw_text_fit(scene, c->x + box_w / 2, 18, box_w + arc_room, &font, c->a->name);
    font.size = 7;
    font.bold = false;
    font.color = scene->theme->role[CVI_MUTED];
    char line[160];
    snprintf(line, sizeof line, cvi_tr(lang, "%s parameters, %s MACs"),
             cvi_short_number((double)c->a->params).text, cvi_short_number((double)c->a->macs).text);
    cvi_draw_text_fit(scene, c->x + box_w / 2, 29, box_w + arc_room, &font, line);
}

static cvs_status make(sheet *s, cvi_drawing *out) {
    const cvs_draw_options *o = s->job->o;
    double x = s->n > 0 ? 24 + left_room : 0, bottom = 0;
    for (int i = 0; i < s->n; i++) {
        column *c = &s->columns[i];
        c->a = s->job->arch[i];
        c->x = x;
        x += box_w + arc_room + left_room;
        CVI_TRY(cvi_view_make(c->a, o, NULL, 70, &c->v, s->err));
        CVI_TRY(find_path(s, c));
        CVI_TRY(find_arcs(s, c));
    }
    CVI_TRY(find_bands(s));
    cvi_scene *scene = out->scene =
        cvi_scene_new(o->lang, o->theme, o->title ? o->title : s->job->arch[0]->name);
    if (!scene) {
        return cvi_no_memory(s->err, sizeof *scene);
    }
    double width = x - left_room + 8;
    draw_bands(scene, s, width);
    int beside = 0;
    for (int i = 0; i < s->n; i++) {
        const column *c = &s->columns[i];
        draw_heading(scene, c, o->lang);
        draw_arcs(scene, c);
        draw_steps(scene, c);
        for (int k = 0; k < c->n; k++) {
            draw_box(scene, c, &c->spots[k]);
            bottom = CVI_MAX(bottom, c->spots[k].y + box_h);
        }
        draw_repeats(scene, c);
        beside += c->beside;
    }
    cvi_font note = {.size = 7, .color = scene->theme->role[CVI_MUTED]};
    bottom += 14;
    if (s->n_bands > 1) {
        bottom +=
            9 * cvi_draw_text_wrap(
                    scene, 4, bottom, width - 8, 9, 0, &note,
                    cvi_tr(o->lang,
                           "Numbers on the left: height of the maps. Dotted: the shape changes on the way."));
    }
    if (beside > 0) {
        char line[200];
        snprintf(line, sizeof line, cvi_tr(o->lang, "%d boxes beside the main path are not drawn."), beside);
        bottom += 9 * cvi_draw_text_wrap(scene, 4, bottom, width - 8, 9, 0, &note, line);
    }
    cvi_scene_page(scene, width, bottom + 2);
    return CVS_OK;
}

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    sheet s = {.job = job, .n = job->n, .err = err, .arena = cvi_arena_new(0)};
    s.columns = s.arena ? cvi_arena_alloc(s.arena, job->n, sizeof *s.columns) : NULL;
    cvs_status status = s.columns ? make(&s, out) : cvi_no_memory(err, 0);
    for (int i = 0; s.columns && i < s.n; i++) {
        cvi_view_free(s.columns[i].v);
    }
    cvi_arena_free(s.arena);
    return status;
}

const cvi_draw_style cvi_style_sheet = {
    .name = "sheet",
    .en = "columns of boxes side by side, rows aligned by map size, skips as arcs",
    .zh = "并排的方框列，按特征图大小对齐，跳跃连接画成弧线",
    .pictures = true,
    .most = 8,
    .draw = draw,
};
