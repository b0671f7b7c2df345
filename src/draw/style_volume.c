/* SPDX-License-Identifier: MIT
 * style_volume.c - the architecture as boxes in space: a slab is channels wide, rows high and columns deep. A step in size has
 * an arrow, links that skip run as rails above, letters stand for links between rows. Places come from volume_places.c.
 */
#include "draw/volume.h"

#include <math.h>

#define STEP 5.5 /* between rails */

/* ---- drawing -------------------------------------------------------------------------------------------------------- */

static void draw_ball(cvi_volume *v, int i) {
    cvi_sketch *k = v->k;
    const cvi_solid *b = &v->at[i];
    double x = b->x + CVI_BALL, y = b->y, r = CVI_BALL * 0.55;
    cvi_paint paint = cvi_class_paint(k->t, k->node[i].cls, 0.7),
              ink = {.stroke = paint.stroke, .width = 0.9};
    paint.hatch = CVI_HATCH_NONE;
    cvi_draw_circle(k->s, x, y, CVI_BALL, &paint);
    if (k->node[i].kind == CVI_NODE_MUL) {
        r *= 0.72;
        cvi_draw_line(k->s, x - r, y - r, x + r, y + r, &ink);
        cvi_draw_line(k->s, x - r, y + r, x + r, y - r, &ink);
    } else {
        cvi_draw_line(k->s, x - r, y, x + r, y, &ink);
        cvi_draw_line(k->s, x, y - r, x, y + r, &ink);
    }
}

/* The three faces of a part of a solid, from share a to share b of its width. */
static void draw_faces(cvi_volume *v, const cvi_solid *b, cvi_class cls, double a, double e, bool end) {
    cvi_sketch *k = v->k;
    bool dark = k->o->theme == CVS_DARK;
    cvi_paint face = cvi_class_paint(k->t, cls, 0.5);
    face.round = true;
    double x0 = cvi_solid_left(b) + a * b->w, x1 = cvi_solid_left(b) + e * b->w, y1 = cvi_solid_bottom(b),
           y0 = y1 - b->h, o = CVI_OBLIQUE * b->d;
    cvi_paint top = face, side = face;
    top.fill = cvi_shade(face.fill, dark ? 0.12 : 0.35);
    side.fill = cvi_shade(face.fill, dark ? -0.25 : -0.14);
    top.hatch = side.hatch = CVI_HATCH_NONE;
    cvi_draw_polygon(k->s, (double[]){x0, y0, x0 + o, y0 - o, x1 + o, y0 - o, x1, y0}, 4, &top);
    if (end) {
        cvi_draw_polygon(k->s, (double[]){x1, y1, x1 + o, y1 - o, x1 + o, y0 - o, x1, y0}, 4, &side);
    }
    cvi_draw_polygon(k->s, (double[]){x0, y0, x1, y0, x1, y1, x0, y1}, 4, &face);
    k->used[cls] = true;
}

/* A slab with its strips (normalisation, activation function) on the trailing third; a folded group shows layers. */
static void draw_slab(cvi_volume *v, int i) {
    cvi_sketch *k = v->k;
    const cvi_solid *b = &v->at[i];
    const cvi_arch_node *n = &k->node[i];
    int strips = 0;
    cvi_class strip[CVI_MAX_STRIPS];
    for (int s = n->n_heads; s < n->n_strips; s++) {
        if (n->strip[s].cls == CVI_CLASS_NORM || n->strip[s].cls == CVI_CLASS_ACTIVATION ||
            n->strip[s].cls == CVI_CLASS_SOFTMAX) {
            strip[strips++] = n->strip[s].cls;
        }
    }
    double share = strips > 0 ? 1.0 - fmin(0.5, 0.17 * strips + 0.1) : 1.0;
    draw_faces(v, b, n->cls, 0, share, strips == 0);
    for (int s = 0; s < strips; s++) {
        double step = (1.0 - share) / strips;
        draw_faces(v, b, strip[s], share + step * s, share + step * (s + 1), s + 1 == strips);
    }
    if (k->view->boxes[i].kind == CVI_BOX_GROUP) {
        cvi_paint line = {.stroke = k->t->look[n->cls].edge, .width = 0.4};
        double o = CVI_OBLIQUE * b->d;
        for (int j = 1; j < 4; j++) {
            double x = cvi_solid_left(b) + b->w * j / 4, y = cvi_solid_bottom(b);
            cvi_draw_line(k->s, x, y, x, y - b->h, &line);
            cvi_draw_line(k->s, x, y - b->h, x + o, y - b->h - o, &line);
        }
    }
}

static void draw_words(cvi_volume *v, int i) {
    cvi_sketch *k = v->k;
    const cvi_solid *b = &v->at[i];
    double x = cvi_solid_left(b) + b->w / 2, y = cvi_solid_bottom(b);
    cvi_font bold = cvi_sketch_font(k, 6.5, true, CVI_INK), small = cvi_sketch_font(k, 6.2, false, CVI_MUTED);
    bold.anchor = CVI_MIDDLE;
    if (b->count[0] != '\0') {
        cvi_draw_text(k->s, x, y + 8.5, &bold, b->count);
    }
    if (b->size != NULL) {
        small.angle = -45;
        double length = cvi_text_width(&small, b->size), edge = CVI_OBLIQUE * b->d * 1.414;
        double start = fmax((edge - length) / 2, 0) * 0.7071;
        cvi_draw_text(k->s, cvi_solid_left(b) + b->w + start + 7.6, y - start + 1.8, &small, b->size);
    }
    if (b->caption[0] != '\0') {
        small.angle = -45;
        small.anchor = CVI_END;
        cvi_draw_text_fit(k->s, x + 2.5, y + (b->ball ? 9 : 15.5), 64, &small, b->caption);
    }
}

static cvi_paint wire(const cvi_volume *v) {
    return (cvi_paint){.stroke = v->k->t->role[CVI_MUTED], .width = 0.8, .round = true};
}

static void draw_solid(cvi_volume *v, int i) {
    cvi_sketch *k = v->k;
    cvi_solid *b = &v->at[i];
    cvi_paint line = wire(v);
    cvi_sketch_box_begin(k, i);
    bool drop = v->is_v && i > 0 && b->y > v->at[i - 1].y + 1;
    if (drop && !b->ball) {
        draw_slab(v, i);
    }
    if (i > 0 && b->linked && v->at[i - 1].row == b->row) {
        const cvi_solid *p = &v->at[i - 1];
        double from = p->x + p->w, to = b->ball || b->vector ? b->x : cvi_solid_left(b);
        if (v->is_v && fabs(p->y - b->y) > 1) { /* a step of the V: straight down, or across and up */
            bool down = b->y > p->y;
            double x = down ? b->x + b->w / 2 : cvi_solid_left(b) + b->w / 2;
            double end = down ? b->y - b->h / 2 : cvi_solid_bottom(b) + 11;
            cvi_path_begin(k->s);
            cvi_path_move(k->s, x, down ? cvi_solid_bottom(p) + 11 : p->y - p->h / 2);
            cvi_path_line(k->s, x, down ? end - 3 : end + 3);
            cvi_path_end(k->s, &line);
            cvi_draw_arrow_head(k->s, x, end, 0, down ? 1 : -1, 4, line.stroke);
        } else if (to - from > 4) {
            cvi_draw_line(k->s, from, b->y, to - 2, b->y, &line);
            cvi_draw_arrow_head(k->s, to, b->y, 1, 0, 4, line.stroke);
        } else if (to > from) {
            cvi_draw_line(k->s, from, b->y, to, b->y, &line);
        }
    }
    if (b->ball) {
        draw_ball(v, i);
    } else if (!drop) {
        draw_slab(v, i);
    }
    draw_words(v, i);
    cvi_group_end(k->s);
    k->right = fmax(k->right, b->x + b->w + cvi_solid_size_reach(v, b) + 2);
}

/* ---- rails ------------------------------------------------------------------------------------------------------------- */

/* Rails of one row, their heights above it in `height`; returns how much room they take. */
static double lift_rails(const cvi_volume *v, cvi_rail *rails, int n, double *height) {
    double room = 0;
    cvi_rail_levels(rails, n);
    for (int i = 0; i < n; i++) {
        double up = 0;
        for (int j = rails[i].from; j <= rails[i].to; j++) {
            up = fmax(up, v->at[j].h / 2 + CVI_OBLIQUE_HALF * v->at[j].d + 6);
        }
        for (int j = 0; j < i; j++) {
            if (rails[j].from <= rails[i].to && rails[i].from <= rails[j].to) {
                up = fmax(up, height[j] + STEP);
            }
        }
        height[i] = up;
        room = fmax(room, up);
    }
    return room;
}

static void draw_rail(cvi_volume *v, const cvi_rail *rail, double up) {
    cvi_sketch *k = v->k;
    const cvi_solid *a = &v->at[rail->from], *b = &v->at[rail->to];
    cvi_paint line = wire(v);
    line.stroke = k->t->role[CVI_ACCENT];
    double x0 = a->x + a->w * 0.62, x1 = b->x + b->w * 0.38, y = a->y - up;
    cvi_path_begin(k->s);
    cvi_path_move(k->s, x0, a->y - a->h / 2);
    cvi_path_line(k->s, x0, y + 3);
    cvi_path_curve(k->s, x0, y + 1, x0 + 1, y, x0 + 3, y);
    cvi_path_line(k->s, x1 - 3, y);
    cvi_path_curve(k->s, x1 - 1, y, x1, y + 1, x1, y + 3);
    cvi_path_line(k->s, x1, b->y - b->h / 2 - 3);
    cvi_path_end(k->s, &line);
    cvi_draw_arrow_head(k->s, x1, b->y - b->h / 2, 0, 1, 4, line.stroke);
}

/* A link to another row, or one against the row's order: a letter at both ends. */
static void draw_letter(cvi_volume *v, const char *name, int i, bool leaves, double up, double *taken) {
    cvi_sketch *k = v->k;
    const cvi_solid *b = &v->at[i];
    cvi_paint line = wire(v);
    line.stroke = k->t->role[CVI_ACCENT];
    cvi_font font = cvi_sketch_font(k, 6, true, CVI_ACCENT);
    font.anchor = CVI_MIDDLE;
    double half = cvi_text_width(&font, name) / 2 + 1.2, x = b->x + b->w * (leaves ? 0.62 : 0.38),
           y = b->y - up;
    double at = fmax(x, *taken + half);
    *taken = at + half;
    cvi_draw_line(k->s, x, b->y - b->h / 2 - (leaves ? 0 : 3), at, y, &line);
    if (!leaves) {
        cvi_draw_arrow_head(k->s, x, b->y - b->h / 2, x - at, up, 4, line.stroke);
    }
    cvi_draw_text(k->s, at, y - 2, &font, name);
    k->right = fmax(k->right, at + half);
}

static const char *letter(cvi_sketch *k, int n) {
    return n < 26 ? cvi_sketch_text(k, "%c", 'a' + n) : cvi_sketch_text(k, "%c%d", 'a' + n % 26, n / 26);
}

/* ---- frames: what stands for several ------------------------------------------------------------------------------------ */

static bool has_frames(const cvi_volume *v, int first, int end) {
    bool any = false;
    for (int i = first; i < end; i++) {
        any = any || cvi_volume_repeat(v, i) >= 0;
    }
    return any;
}

/* A hull behind the solids of every repeated unit of this row, with its name and count. */
static void draw_frames(cvi_volume *v, int first, int end, double up, double down) {
    cvi_sketch *k = v->k;
    cvi_paint hull = {.fill = k->t->role[CVI_PANEL], .stroke = k->t->role[CVI_LINE], .width = 0.6};
    cvi_font font = cvi_sketch_font(k, 6.5, true, CVI_INK);
    for (int i = first; i < end; i++) {
        int f = cvi_volume_repeat(v, i), last = i;
        while (f >= 0 && last + 1 < end && cvi_volume_repeat(v, last + 1) == f) {
            last++;
        }
        if (f < 0) {
            continue;
        }
        const cvi_frame *frame = &k->view->frames[f];
        const cvi_solid *a = &v->at[i], *b = &v->at[last];
        const cvi_arch_group *g = &k->arch->groups[frame->group];
        double x = a->x - cvi_solid_reach_left(a) - 3, w = b->x + b->w + CVI_OBLIQUE_HALF * b->d + 3 - x,
               y = a->y - up - 9;
        cvi_draw_rect(k->s, x, y, w, up + down + 11, 3, &hull);
        const char *text = cvi_sketch_text(k, "%s ×%d", g->motif, frame->repeat);
        if (cvi_text_width(&font, text) > w - 6) {
            text = cvi_sketch_text(k, "×%d", frame->repeat);
        }
        cvi_draw_text_fit(k->s, x + 3, y + 7.5, w - 4, &font, text);
        i = last;
    }
}

/* One row: rails, then solids from left to right; k->y moves below it. */
static cvs_status draw_row(cvi_volume *v, int row, int first, int end, cvs_error *err) {
    cvi_sketch *k = v->k;
    const cvi_view *view = k->view;
    size_t links = (size_t)CVI_MAX(view->n_links, 1);
    cvi_rail *rails = cvi_calloc(links, sizeof *rails);
    double *height = cvi_calloc(links, sizeof *height);
    if (rails == NULL || height == NULL) {
        cvi_free(rails);
        cvi_free(height);
        return cvi_no_memory(err, links * sizeof *rails);
    }
    int n = 0, letters = 0;
    for (int i = 0; i < view->n_links; i++) {
        const cvi_link *l = &view->links[i];
        if (!cvi_is_skip(l)) {
            continue;
        }
        if (v->at[l->from].row == row && v->at[l->to].row == row) {
            rails[n++] = (cvi_rail){.link = i, .from = l->from, .to = l->to};
        } else {
            letters += v->at[l->from].row == row || v->at[l->to].row == row;
        }
    }
    double up = lift_rails(v, rails, n, height), down = 0, slope = 0;
    cvi_font small = cvi_sketch_font(k, 6.2, false, CVI_MUTED);
    for (int i = first; i < end; i++) {
        up = fmax(up, v->at[i].h / 2 + CVI_OBLIQUE_HALF * v->at[i].d);
        double below = v->at[i].h / 2 + CVI_OBLIQUE_HALF * v->at[i].d;
        down = fmax(down, below);
        slope = fmax(slope, v->at[i].caption[0] == '\0'
                                ? below
                                : below + 5 + 0.72 * fmin(cvi_text_width(&small, v->at[i].caption), 64));
    }
    v->letters = v->letters || letters > 0;
    double stub = up + 7;
    up += (letters > 0 ? 16 : 2) + (has_frames(v, first, end) ? 13 : 0);
    for (int i = first; i < end; i++) {
        v->at[i].y = k->y + up;
    }
    draw_frames(v, first, end, stub + (letters > 0 ? 9 : -5), down + 11);
    if (row > 0 && v->at[first].linked) { /* where the row before goes on */
        const cvi_solid *p = &v->at[first - 1], *b = &v->at[first];
        double x = p->x + p->w, turn = x + cvi_solid_size_reach(v, p) + 5, back = k->left - 4,
               to = b->ball || b->vector ? b->x : cvi_solid_left(b);
        cvi_paint line = wire(v);
        cvi_path_begin(k->s);
        cvi_path_move(k->s, x, p->y);
        cvi_path_line(k->s, turn, p->y);
        cvi_path_line(k->s, turn, k->y - 5);
        cvi_path_line(k->s, back, k->y - 5);
        cvi_path_line(k->s, back, b->y);
        cvi_path_line(k->s, to - 2, b->y);
        cvi_path_end(k->s, &line);
        cvi_draw_arrow_head(k->s, to, b->y, 1, 0, 4, line.stroke);
        k->right = fmax(k->right, turn + 1);
    }
    for (int i = first; i < end; i++) {
        draw_solid(v, i);
    }
    for (int i = 0; i < n; i++) {
        draw_rail(v, &rails[i], height[i]);
    }
    double taken = 0;
    for (int i = first; i < end; i++) {
        int number = 0;
        for (int l = 0; l < view->n_links; l++) {
            const cvi_link *link = &view->links[l];
            if (cvi_is_skip(link) && v->at[link->from].row != v->at[link->to].row) {
                if (link->to == i || link->from == i) {
                    draw_letter(v, letter(k, number), i, link->from == i, stub, &taken);
                }
                number++;
            }
        }
    }
    k->y += up + fmax(down + 11, slope + 13) + 8;
    cvi_free(rails);
    cvi_free(height);
    return CVS_OK;
}

/* A V: skips run across, just above their level. */
static void draw_v(cvi_volume *v) {
    cvi_sketch *k = v->k;
    double bottom = cvi_volume_levels(v, k->y + 8);
    for (int i = 0; i < v->n; i++) {
        draw_solid(v, i);
    }
    cvi_paint line = wire(v);
    line.stroke = k->t->role[CVI_ACCENT];
    for (int i = 0; i < k->view->n_links; i++) {
        const cvi_link *l = &k->view->links[i];
        const cvi_solid *a = &v->at[l->from], *b = &v->at[l->to];
        if (!cvi_is_skip(l)) {
            continue;
        }
        double y = fmin(cvi_solid_top(a), cvi_solid_top(b)) - 5, x0 = a->x + a->w * 0.62,
               x1 = b->x + b->w * 0.5;
        cvi_path_begin(k->s);
        cvi_path_move(k->s, x0, a->y - a->h / 2);
        cvi_path_line(k->s, x0, y);
        cvi_path_line(k->s, x1, y);
        cvi_path_line(k->s, x1, b->y - b->h / 2 - 3);
        cvi_path_end(k->s, &line);
        cvi_draw_arrow_head(k->s, x1, b->y - b->h / 2, 0, 1, 4, line.stroke);
    }
    k->y = bottom + 18;
}

static void draw_costs(cvi_volume *v, int first, int end) {
    for (int i = first; i < end; i++) {
        cvi_sketch_cost_bar(v->k, i, cvi_solid_left(&v->at[i]) + v->at[i].w / 2);
    }
    v->k->y += v->k->o->cost != CVS_COST_NONE ? 26 : 0;
}

/* ---- the style ------------------------------------------------------------------------------------------------------------- */

static cvs_status layout(cvi_volume *v, cvs_error *err) {
    cvi_volume_place(v);
    if (v->is_v) {
        draw_v(v);
        draw_costs(v, 0, v->n);
        return CVS_OK;
    }
    for (int first = 0, row = 0; first < v->n; row++) {
        int end = first;
        while (end < v->n && v->at[end].row == row) {
            end++;
        }
        CVI_TRY(draw_row(v, row, first, end, err));
        draw_costs(v, first, end);
        first = end;
    }
    return CVS_OK;
}

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    cvi_sketch k;
    cvi_volume v = {.k = &k};
    CVI_TRY(cvi_sketch_settings(job->o, "", err));
    cvs_status s = cvi_sketch_begin(&k, job, job->o->fit == CVS_FIT_COLUMN ? 40 : 64, err);
    if (s == CVS_OK) {
        v.n = k.view->n_boxes;
        v.at = cvi_calloc((size_t)CVI_MAX(v.n, 1), sizeof *v.at);
        s = v.at != NULL ? layout(&v, err) : cvi_no_memory(err, (size_t)v.n * sizeof *v.at);
    }
    if (s == CVS_OK) {
        const char *notes[4] = {
            cvi_sketch_tr(&k,
                          "Height and depth grow with log2 of rows and columns, width with log2 of channels "
                          "(written below); equal tensors are equal boxes."),
            v.letters ? cvi_sketch_tr(&k, "Equal letters are the two ends of one connection.") : NULL};
        s = cvi_sketch_end(&k, notes, out, err);
    }
    cvi_free(v.at);
    cvi_sketch_free(&k);
    return s;
}

const cvi_draw_style cvi_style_volume = {
    .name = "volume",
    .en = "boxes in space: channels wide, rows high, columns deep",
    .zh = "立体方块：宽为通道数，高为行数，深为列数",
    .pictures = true,
    .most = 1,
    .draw = draw,
};
