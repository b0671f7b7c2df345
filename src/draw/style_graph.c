/* SPDX-License-Identifier: MIT
 * style_graph.c - the style "graph": any architecture as a layered graph, repeats drawn once with their count, and the same
 * layout as JSON for programs. Several models stand side by side.
 */
#include "draw/graph_box.h"
#include "draw/sketch.h"
#include "draw/text_width.h"

#include <math.h>
#include <stdlib.h>

#define MARGIN         14.0
#define FRAME_TITLE    10.0
#define BETWEEN_MODELS 40.0

/* One model ready to be drawn. */
typedef struct drawn {
    const cvi_arch *a;
    cvi_view *view;
    cvi_layout *layout;
    cvi_box_style style;
} drawn;

static void release(drawn *d) {
    cvi_layout_free(d->layout);
    cvi_view_free(d->view);
    d->layout = NULL;
    d->view = NULL;
}

/* ---- laying out --------------------------------------------------------------------------------------------------- */

static const double page_w[] = {[CVS_FIT_COLUMN] = 249.4, [CVS_FIT_PAGE] = 510.2, [CVS_FIT_SLIDE] = 720.0};
static const double page_h[] = {[CVS_FIT_COLUMN] = 700.0, [CVS_FIT_PAGE] = 708.7, [CVS_FIT_SLIDE] = 405.0};

static void find_costs(drawn *d) {
    d->style.costliest = 0.0;
    for (int b = 0; b < d->view->n_boxes && d->style.o->cost != CVS_COST_NONE; b++) {
        cvi_arch_node n;
        cvi_box_node(d->view, b, &n);
        d->style.costliest = fmax(d->style.costliest, cvi_box_cost(&d->style, &n));
    }
    d->style.total = d->style.o->cost == CVS_COST_MACS     ? (double)d->a->macs
                     : d->style.o->cost == CVS_COST_PARAMS ? (double)d->a->params
                                                           : (double)d->a->bytes;
}

static const char *frame_text(const cvi_view *v, int f) {
    return v->arch->groups[v->frames[f].group].motif;
}

static cvs_status lay_out(drawn *d, bool across, double longest, double aspect, int most, cvs_error *err) {
    cvi_layout_options lo = {
        .across = across, .longest = longest, .aspect = aspect, .frame_title = FRAME_TITLE};
    CVI_TRY(cvi_sketch_setting(d->style.o, "gap", 0.0, 200.0, 0.0, &lo.gap, err));
    CVI_TRY(cvi_view_make(d->a, d->style.o, NULL, most, &d->view, err));
    find_costs(d);
    cvi_arena *arena = d->view->arena;
    cvi_box_size *sizes = cvi_arena_alloc(arena, CVI_MAX(d->view->n_boxes, 1), sizeof *sizes);
    double *frame_w = cvi_arena_alloc(arena, CVI_MAX(d->view->n_frames, 1), sizeof *frame_w);
    if (sizes == NULL || frame_w == NULL) {
        return cvi_no_memory(err, (size_t)d->view->n_boxes * sizeof *sizes);
    }
    for (int b = 0; b < d->view->n_boxes; b++) {
        sizes[b] = cvi_box_measure(&d->style, d->view, b);
    }
    cvi_font head = {.size = 6.5, .bold = true};
    for (int f = 0; f < d->view->n_frames; f++) { /* the arrow runs down the middle of the heading */
        frame_w[f] = 2 * (fmin(cvi_text_width(&head, frame_text(d->view, f)), 90.0) + 10.0);
    }
    lo.frame_w = frame_w;
    return cvi_layout_make(d->view, sizes, &lo, &d->layout, err);
}

/* Folds further until it fits the page; without a page, as it is. */
static cvs_status fit(drawn *d, int n_models, cvs_error *err) {
    const cvs_draw_options *o = d->style.o;
    bool across =
        o->direction == CVS_LEFT_RIGHT || (o->direction == CVS_DIRECTION_AUTO && o->fit == CVS_FIT_SLIDE);
    if (o->fit == CVS_FIT_NONE) {
        return lay_out(d, across, 0.0, across ? 2.0 : 1.2, 0, err);
    }
    static const int most[] = {0, 60, 36, 24, 14};
    double w = page_w[o->fit] / n_models - 2 * MARGIN, h = page_h[o->fit] - 2 * MARGIN - 60.0;
    unsigned labels = d->style.labels;
    int ways = o->labels == 0 && labels != 0 ? 2 : 1; /* rather without names than folded further */
    for (int i = 0; i < CVI_COUNT(most) * ways; i++) {
        release(d);
        d->style.labels = ways == 2 && i % 2 == 1 ? 0u : labels;
        CVI_TRY(lay_out(d, across, across ? w : h, 0.0, most[i / ways], err));
        if (d->layout->width <= w && d->layout->height <= h) {
            break;
        }
    }
    return CVS_OK;
}

/* ---- arrows --------------------------------------------------------------------------------------------------------- */

/* The shortcut convolution of a residual block, drawn dotted: 1x1, beside the main path, read by a sum. */
static bool is_projection(const drawn *d, int box) {
    const cvi_box *b = &d->view->boxes[box];
    if (b->kind != CVI_BOX_NODE || d->layout->boxes[box].main) {
        return false;
    }
    const cvi_arch_node *n = &d->a->nodes[b->index];
    if (n->cls != CVI_CLASS_CONV || n->kernel[0] != 1 || cvi_arch_n_inputs(d->a, b->index) != 1) {
        return false;
    }
    int first = d->a->users_at[b->index], end = d->a->users_at[b->index + 1];
    return end - first == 1 && d->a->nodes[d->a->edges[d->a->users[first]].to].kind == CVI_NODE_ADD;
}

static cvi_paint pen_of(const drawn *d, int link) {
    const cvi_link *l = &d->view->links[link];
    const cvi_box *to = &d->view->boxes[l->to];
    cvi_paint pen = {.stroke = d->style.theme->role[CVI_MUTED], .width = 0.8, .round = true};
    if (d->layout->routes[link].rail && to->kind == CVI_BOX_NODE) {
        cvi_class cls = d->a->nodes[to->index].cls;
        if (d->a->nodes[to->index].kind != CVI_NODE_LAYER) {
            pen.stroke = d->style.theme->look[cls].edge;
        }
    }
    if (is_projection(d, l->from) || is_projection(d, l->to)) {
        pen.dash[0] = 2.0;
        pen.dash[1] = 2.0;
    }
    return pen;
}

static void draw_arrow(const drawn *d, cvi_scene *s, int link, double x0, double y0) {
    const cvi_route *r = &d->layout->routes[link];
    const cvi_link *l = &d->view->links[link];
    cvi_paint pen = pen_of(d, link);
    double px = 0.0, py = 0.0, x = 0.0, y = 0.0, dx = 0.0, dy = 1.0;
    char id[64];
    snprintf(id, sizeof id, "e-%s-%s", d->view->boxes[l->from].id, d->view->boxes[l->to].id);
    cvi_group_begin(s, id, NULL, NULL);
    cvi_path_begin(s);
    for (int i = r->first; i < r->first + r->count; i++) {
        const cvi_step *step = &d->layout->steps[i];
        const double *p = step->op == 'C' ? &step->p[4] : step->p;
        px = step->op == 'C' ? step->p[2] : x;
        py = step->op == 'C' ? step->p[3] : y;
        x = p[0];
        y = p[1];
        if (step->op == 'M') {
            cvi_path_move(s, x0 + x, y0 + y);
        } else if (step->op == 'C') {
            cvi_path_curve(s, x0 + step->p[0], y0 + step->p[1], x0 + step->p[2], y0 + step->p[3], x0 + x,
                           y0 + y);
        } else {
            double length = hypot(x - px, y - py),
                   back = i + 1 == r->first + r->count ? fmin(2.5, length / 2) : 0.0;
            cvi_path_line(s, x0 + x - (length > 0 ? (x - px) / length * back : 0.0),
                          y0 + y - (length > 0 ? (y - py) / length * back : 0.0));
        }
        if (hypot(x - px, y - py) > 1e-9) {
            dx = x - px;
            dy = y - py;
        }
    }
    cvi_path_end(s, &pen);
    cvi_draw_arrow_head(s, x0 + x, y0 + y, dx, dy, 4.2, pen.stroke);
    cvi_group_end(s);
}

/* Where an arrow is at its beginning or end, and how far it goes to either side. */
static void reach_of(const cvi_layout *l, const cvi_route *r, double *low, double *high) {
    for (int k = r->first; k < r->first + r->count; k++) {
        const cvi_step *s = &l->steps[k];
        double x = s->op == 'C' ? s->p[4] : s->p[0], y = s->op == 'C' ? s->p[5] : s->p[1];
        *low = fmin(*low, l->across ? y : x);
        *high = fmax(*high, l->across ? y : x);
    }
}

/* Which sides of a straight arrow are free of other arrows that leave the same box or end at the same one. */
static void free_sides(const drawn *d, int link, bool *left, bool *right) {
    const cvi_link *l = &d->view->links[link];
    const cvi_route *own = &d->layout->routes[link];
    double at = d->layout->across ? own->label_y : own->label_x;
    *left = *right = true;
    for (int i = 0; i < d->view->n_links; i++) {
        const cvi_link *other = &d->view->links[i];
        if (i != link && (other->from == l->from || other->to == l->to)) {
            double low = at, high = at;
            reach_of(d->layout, &d->layout->routes[i], &low, &high);
            *left = *left && low > at - 1.0;
            *right = *right && high < at + 1.0;
        }
    }
}

static void draw_shape(const drawn *d, cvi_scene *s, int link, double x0, double y0) {
    const cvi_route *r = &d->layout->routes[link];
    const cvi_link *l = &d->view->links[link];
    char text[160];
    if (!l->changes || !r->straight || (d->style.o->labels & CVS_LABEL_NONE) ||
        (d->style.labels & CVS_LABEL_SHAPES)) {
        return;
    }
    cvi_font f = {.size = CVI_MIN_TEXT, .color = d->style.theme->role[CVI_MUTED]};
    double x = x0 + r->label_x + 4.0, y = y0 + r->label_y + 2.0;
    bool left, right;
    free_sides(d, link, &left, &right);
    cvi_shape_short(&l->shape, text, sizeof text);
    double w = cvi_text_width(&f, text);
    if (d->layout->across) {
        f.anchor = CVI_MIDDLE;
        x = x0 + r->label_x;
        y = y0 + r->label_y + (left ? -3.0 : 8.0);
        right = left || right;
        left = false;
        right = right && w <= 48.0;
    } else if (!right) {
        f.anchor = CVI_END;
        x = x0 + r->label_x - 4.0;
        left = left && x - w > x0 - MARGIN + 1.0;
    } else {
        right = x + w < x0 + d->layout->width + MARGIN - 1.0;
        left = false;
    }
    if (!left && !right) {
        return;
    }
    cvi_draw_text(s, x, y, &f, text);
}

/* ---- frames ------------------------------------------------------------------------------------------------------------ */

static void draw_frame(const drawn *d, cvi_scene *s, int f, double x0, double y0) {
    const cvi_place *p = &d->layout->frames[f];
    const cvi_frame *frame = &d->view->frames[f];
    const cvi_arch_group *g = &d->a->groups[frame->group];
    const cvi_theme *t = d->style.theme;
    if (p->w <= 0.0) {
        return;
    }
    bool repeats = frame->repeat > 1;
    cvi_paint hull = {
        .fill = t->role[CVI_PANEL], .stroke = t->role[repeats ? CVI_MUTED : CVI_LINE], .width = 0.7};
    if (!repeats) {
        hull.dash[0] = 3.0;
        hull.dash[1] = 2.0;
    }
    char id[32], text[64];
    snprintf(id, sizeof id, "f%d", frame->group);
    cvi_group_begin(s, id, g->scope[0] != '\0' ? g->scope : g->motif, NULL);
    cvi_draw_rect(s, x0 + p->x, y0 + p->y, p->w, p->h, 6.0, &hull);
    cvi_font name = {.size = 6.5, .bold = true, .color = t->role[CVI_MUTED]};
    double room = d->layout->across ? p->w - 34.0 : p->w / 2 - 10.0;
    cvi_draw_text_fit(s, x0 + p->x + 6.0, y0 + p->y + 8.0, room, &name, g->motif);
    if (repeats) {
        cvi_font badge = {.size = 7.0, .bold = true, .color = t->role[CVI_PAGE], .anchor = CVI_MIDDLE};
        snprintf(text, sizeof text, "×%d", frame->repeat);
        double w = cvi_text_width(&badge, text) + 8.0;
        cvi_paint pill = {.fill = t->role[CVI_MUTED]};
        cvi_draw_rect(s, x0 + p->x + p->w - w - 3.0, y0 + p->y + 2.0, w, 9.5, 4.7, &pill);
        cvi_draw_text(s, x0 + p->x + p->w - 3.0 - w / 2, y0 + p->y + 9.3, &badge, text);
    }
    cvi_group_end(s);
}

/* ---- page ----------------------------------------------------------------------------------------------------------------- */

typedef struct page {
    cvi_scene *s;
    const cvi_theme *t;
    double width, y;
} page;

static void draw_words(page *p, const drawn *d, double x, double width, double y) {
    const cvi_arch *a = d->a;
    const char *title = d->style.o->title != NULL ? d->style.o->title : a->name;
    char text[400];
    cvi_font head = {.size = 11.0, .bold = true, .color = p->t->role[CVI_INK]},
             note = {.size = 7.0, .color = p->t->role[CVI_MUTED]};
    if (title[0] == '\0') {
        return;
    }
    cvi_draw_text_fit(p->s, x, y + 11.0, width, &head, title);
    snprintf(text, sizeof text, cvi_tr(a->lang, "input %s · %s parameters · %s MACs"), a->input,
             cvi_short_number((double)a->params).text, cvi_short_number((double)a->macs).text);
    cvi_draw_text_wrap(p->s, x, y + 22.0, width, 8.5, 2, &note, text);
}

/* Colours that occur, and what the marks mean. */
static void draw_legend(page *p, const drawn *models, int n) {
    bool present[CVI_N_CLASSES] = {false}, repeats = false, dotted = false;
    cvs_lang lang = models[0].a->lang;
    for (int m = 0; m < n; m++) {
        for (int b = 0; b < models[m].view->n_boxes; b++) {
            cvi_arch_node node;
            cvi_box_node(models[m].view, b, &node);
            present[node.cls] = true;
            for (int i = 0; i < node.n_strips; i++) {
                present[node.strip[i].cls] = true;
            }
            dotted = dotted || is_projection(&models[m], b);
        }
        for (int f = 0; f < models[m].view->n_frames; f++) {
            repeats = repeats || models[m].view->frames[f].repeat > 1;
        }
    }
    cvi_font f = {.size = 6.5, .color = p->t->role[CVI_MUTED]};
    double x = MARGIN;
    p->y += 6.0;
    for (int c = 0; c < CVI_N_CLASSES + 2; c++) {
        const char *name = c < CVI_N_CLASSES    ? cvi_tr(lang, p->t->look[c].name)
                           : c == CVI_N_CLASSES ? cvi_tr(lang, "×N: the unit N times in a row")
                                                : cvi_tr(lang, "dotted: projection shortcut");
        if (c < CVI_N_CLASSES ? !present[c] : c == CVI_N_CLASSES ? !repeats : !dotted) {
            continue;
        }
        double w = (c < CVI_N_CLASSES ? 11.0 : 0.0) + cvi_text_width(&f, name) + 10.0;
        if (x + w > p->width - MARGIN && x > MARGIN) {
            x = MARGIN;
            p->y += 11.0;
        }
        if (c < CVI_N_CLASSES) {
            cvi_paint box = {.fill = p->t->look[c].fill, .stroke = p->t->look[c].edge, .width = 0.7};
            box.hatch = p->t->kind == CVS_BLACK_WHITE || c == CVI_CLASS_DEPTHWISE ? p->t->look[c].hatch
                                                                                  : CVI_HATCH_NONE;
            cvi_draw_rect(p->s, x + 0.5, p->y, 7, 7, 1.5, &box);
        }
        cvi_draw_text(p->s, x + (c < CVI_N_CLASSES ? 11.0 : 0.0), p->y + 6.3, &f, name);
        x += w;
    }
    p->y += 14.0;
}

static void draw_warnings(page *p, const drawn *models, int n) {
    cvi_font f = {.size = 6.5, .color = p->t->role[CVI_WARNING]};
    for (int m = 0; m < n; m++) {
        const cvi_arch *a = models[m].a;
        char text[1400] = "";
        if (a->warning != NULL) {
            snprintf(text, sizeof text, cvi_tr(a->lang, "not all shapes are known: %s"), a->warning);
        } else if (a->n_unknown_ops > 0) {
            snprintf(text, sizeof text, cvi_tr(a->lang, "%d boxes have an operator that is not known here"),
                     a->n_unknown_ops);
        }
        if (text[0] != '\0') {
            p->y +=
                8.5 * cvi_draw_text_wrap(p->s, MARGIN, p->y + 8.0, p->width - 2 * MARGIN, 8.5, 3, &f, text) +
                4.0;
        }
    }
}

static void draw_model(page *p, const drawn *d, double x0, double y0) {
    for (int f = 0; f < d->view->n_frames; f++) {
        draw_frame(d, p->s, f, x0, y0);
    }
    for (int i = 0; i < d->view->n_links; i++) {
        draw_arrow(d, p->s, i, x0, y0);
    }
    for (int i = 0; i < d->view->n_links; i++) {
        draw_shape(d, p->s, i, x0, y0);
    }
    for (int b = 0; b < d->view->n_boxes; b++) {
        cvi_place at = d->layout->boxes[b];
        at.x += x0;
        at.y += y0;
        cvi_box_draw(&d->style, p->s, d->view, b, &at);
    }
}

static cvs_status draw_page(const cvi_draw_job *job, drawn *models, cvi_drawing *out, cvs_error *err) {
    const cvs_draw_options *o = job->o;
    bool titled = o->title == NULL || o->title[0] != '\0';
    double head = titled ? 34.0 : 0.0, tallest = 0.0, x = MARGIN;
    page p = {0};
    p.s = out->scene =
        cvi_scene_new(o->lang, o->theme, o->title != NULL && titled ? o->title : job->arch[0]->name);
    if (p.s == NULL) {
        return cvi_no_memory(err, sizeof *p.s);
    }
    p.t = p.s->theme;
    for (int m = 0; m < job->n; m++) {
        double w = fmax(models[m].layout->width, job->n > 1 ? 150.0 : 215.0);
        if (o->fit != CVS_FIT_NONE && job->n == 1) {
            w = fmax(w, page_w[o->fit] - 2 * MARGIN);
        }
        double shift = (w - models[m].layout->width) / 2;
        draw_words(&p, &models[m], x, w, MARGIN);
        draw_model(&p, &models[m], x + shift, MARGIN + head);
        tallest = fmax(tallest, models[m].layout->height);
        x += w + BETWEEN_MODELS;
    }
    p.width = x - BETWEEN_MODELS + MARGIN;
    p.y = MARGIN + head + tallest + 4.0;
    draw_warnings(&p, models, job->n);
    if (o->legend) {
        draw_legend(&p, models, job->n);
    }
    double height = p.y + MARGIN - 4.0;
    if (o->fit != CVS_FIT_NONE) {
        p.width = fmax(p.width, page_w[o->fit]);
    }
    cvi_scene_page(p.s, p.width, height);
    return CVS_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------------- */

static void put_place(cvi_buf *b, const cvi_place *p) {
    cvi_buf_printf(b, "\"x\":%.2f,\"y\":%.2f,\"w\":%.2f,\"h\":%.2f", p->x, p->y, p->w, p->h);
}

static void put_text(cvi_buf *b, const char *key, const char *text) {
    char *clean = cvi_malloc(strlen(text) * 3 + 1);
    json_t *j = NULL;
    if (clean != NULL) {
        cvi_text_clean(text, clean);
        j = json_string(clean);
    }
    char *dump = j != NULL ? json_dumps(j, JSON_ENCODE_ANY) : NULL;
    b->failed = b->failed || dump == NULL;
    cvi_buf_printf(b, ",\"%s\":%s", key, dump != NULL ? dump : "\"\"");
    free(dump);
    json_decref(j);
    cvi_free(clean);
}

/* The layer that a box ends with, as `layer` counts; -1 where it makes none. */
static int last_layer(const cvi_arch_node *n, const cvi_graph *g, const int *layer_of) {
    for (int i = n->n_members - 1; g != NULL && layer_of != NULL && i >= 0; i--) {
        const cvi_node *node = &g->nodes[n->members[i]];
        int v = node->n_out > 0 ? node->out[0] : -1;
        if (v >= 0 && layer_of[v] >= 0) {
            return layer_of[v];
        }
    }
    return n->layer;
}

static void put_box(const drawn *d, int b, const cvi_graph *g, const int *layer_of, cvi_buf *out) {
    cvi_arch_node n;
    char shape[160], name[32];
    cvi_box_node(d->view, b, &n);
    bool group = d->view->boxes[b].kind == CVI_BOX_GROUP;
    const cvi_arch_group *of = group ? &d->a->groups[d->view->boxes[b].index] : NULL;
    int last = last_layer(of != NULL ? &d->a->nodes[of->first + of->count - 1] : &n, g, layer_of);
    cvi_buf_printf(out, "%s{\"id\":\"%s\",", b > 0 ? ",\n" : "\n", d->view->boxes[b].id);
    put_place(out, &d->layout->boxes[b]);
    snprintf(name, sizeof name, "%s", d->style.theme->look[n.cls].name);
    put_text(out, "name", n.name);
    put_text(out, "title", n.title);
    put_text(out, "class", name);
    put_text(out, "in", cvi_shape_short(&n.in, shape, sizeof shape));
    put_text(out, "out", cvi_shape_short(&n.out, shape, sizeof shape));
    cvi_buf_printf(
        out,
        ",\"kind\":\"%s\",\"group\":%d,\"times\":%d,\"layer\":%d,\"last\":%d,\"params\":%lld,\"macs\":%lld,"
        "\"bytes\":%lld,\"main\":%s",
        group ? "group" : "layer", group ? d->view->boxes[b].index : n.group, d->view->boxes[b].times,
        n.layer, last, (long long)n.params, (long long)n.macs, (long long)n.bytes,
        d->layout->boxes[b].main ? "true" : "false");
    cvi_buf_puts(out, ",\"strips\":[");
    for (int i = 0; i < n.n_strips; i++) {
        cvi_buf_printf(out, "%s{\"head\":%s", i > 0 ? "," : "", i < n.n_heads ? "true" : "false");
        put_text(out, "word", n.strip[i].word);
        put_text(out, "class", d->style.theme->look[n.strip[i].cls].name);
        cvi_buf_puts(out, "}");
    }
    cvi_buf_puts(out, "]}");
}

static void put_route(const drawn *d, int i, cvi_buf *out) {
    const cvi_route *r = &d->layout->routes[i];
    const cvi_link *l = &d->view->links[i];
    char shape[160];
    cvi_buf_printf(out, "%s{\"from\":\"%s\",\"to\":\"%s\",\"rail\":%s", i > 0 ? ",\n" : "\n",
                   d->view->boxes[l->from].id, d->view->boxes[l->to].id, r->rail ? "true" : "false");
    put_text(out, "shape", cvi_shape_short(&l->shape, shape, sizeof shape));
    cvi_buf_puts(out, ",\"path\":\"");
    for (int k = r->first; k < r->first + r->count; k++) {
        const cvi_step *s = &d->layout->steps[k];
        cvi_buf_printf(out, "%s%c", k > r->first ? " " : "", s->op);
        for (int c = 0; c < (s->op == 'C' ? 6 : 2); c++) {
            cvi_buf_printf(out, "%s%.2f", c > 0 ? " " : "", s->p[c]);
        }
    }
    cvi_buf_puts(out, "\"}");
}

static void put_groups(const drawn *d, cvi_buf *out) {
    static const char *const kinds[] = {"stage", "repeat", "block"};
    for (int g = 0; g < d->a->n_groups; g++) {
        const cvi_arch_group *group = &d->a->groups[g];
        cvi_buf_printf(out, "%s{\"id\":%d,\"kind\":\"%s\",\"parent\":%d,\"repeat\":%d,\"layers\":%d",
                       g > 0 ? ",\n" : "\n", g, kinds[group->kind], group->parent, group->repeat,
                       group->count);
        put_text(out, "motif", group->motif);
        put_text(out, "scope", group->scope);
        for (int f = 0; f < d->view->n_frames; f++) {
            if (d->view->frames[f].group == g && d->layout->frames[f].w > 0.0) {
                cvi_buf_puts(out, ",");
                put_place(out, &d->layout->frames[f]);
            }
        }
        cvi_buf_puts(out, "}");
    }
}

static void write_json(const drawn *d, cvi_buf *out) {
    const cvi_graph *g = d->a->model != NULL ? d->a->model->graph : NULL;
    int *layer_of = g != NULL ? cvi_malloc(((size_t)g->n_values + 1) * sizeof *layer_of) : NULL;
    if (layer_of != NULL) {
        cvi_graph_layer_numbers(g, layer_of);
    }
    cvi_buf_printf(out, "{\"width\":%.2f,\"height\":%.2f,\"direction\":\"%s\"", d->layout->width,
                   d->layout->height, d->layout->across ? "lr" : "tb");
    put_text(out, "model", d->a->name);
    put_text(out, "input", d->a->input);
    cvi_buf_printf(out, ",\"params\":%lld,\"macs\":%lld,\"boxes\":[", (long long)d->a->params,
                   (long long)d->a->macs);
    for (int b = 0; b < d->view->n_boxes; b++) {
        put_box(d, b, g, layer_of, out);
    }
    cvi_free(layer_of);
    cvi_buf_puts(out, "],\n\"links\":[");
    for (int i = 0; i < d->view->n_links; i++) {
        put_route(d, i, out);
    }
    cvi_buf_puts(out, "],\n\"groups\":[");
    put_groups(d, out);
    cvi_buf_puts(out, "]}\n");
}

/* ---- the style ------------------------------------------------------------------------------------------------------------------ */

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    drawn *models = cvi_calloc((size_t)job->n, sizeof *models);
    cvs_status s =
        models != NULL ? cvi_sketch_settings(job->o, "gap", err) : cvi_no_memory(err, sizeof *models);
    unsigned labels = job->o->labels & ~(unsigned)CVS_LABEL_NONE;
    for (int m = 0; s == CVS_OK && m < job->n; m++) {
        models[m].a = job->arch[m];
        models[m].style =
            (cvi_box_style){.o = job->o, .theme = cvi_theme_get(job->o->theme), .labels = labels};
        models[m].style.labels = job->o->labels != 0             ? labels
                                 : job->o->fit == CVS_FIT_COLUMN ? 0u
                                                                 : (unsigned)CVS_LABEL_NAMES;
        models[m].style.most_w = job->o->fit == CVS_FIT_COLUMN ? 110.0 : 130.0;
        s = fit(&models[m], job->n, err);
    }
    if (s == CVS_OK && strcmp(job->extension, ".json") == 0) {
        cvi_buf_puts(&out->text, job->n > 1 ? "[" : "");
        for (int m = 0; m < job->n; m++) {
            cvi_buf_puts(&out->text, m > 0 ? "," : "");
            write_json(&models[m], &out->text);
        }
        cvi_buf_puts(&out->text, job->n > 1 ? "]\n" : "");
    } else if (s == CVS_OK) {
        s = draw_page(job, models, out, err);
    }
    for (int m = 0; models != NULL && m < job->n; m++) {
        release(&models[m]);
    }
    cvi_free(models);
    return s;
}

const cvi_draw_style cvi_style_graph = {
    .name = "graph",
    .en = "any network as a layered graph, repeats drawn once with their count",
    .zh = "任意网络的分层图，重复的块只画一次并标出次数",
    .pictures = true,
    .texts = ".json",
    .draw = draw,
};
