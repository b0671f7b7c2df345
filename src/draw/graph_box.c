/* SPDX-License-Identifier: MIT
 * graph_box.c - the look of a box of the graph style: title, details, strips of what was fused, a bar for its cost; small
 * round signs for sums and products, flat ones for concatenations, a second sheet behind a folded group.
 */
#include "draw/graph_box.h"

#include <math.h>

#define TITLE_SIZE 7.5
#define LINE_SIZE  6.5
#define STRIP_SIZE 6.2
#define TITLE_H    10.5
#define LINE_H     8.5
#define STRIP_H    9.5
#define BAR_H      8.0
#define EDGE_X     7.0 /* between text and side */
#define LEAST_W    64.0

enum { MAX_LINES = 8 };

typedef struct lines {
    int n;
    char text[MAX_LINES][200];
} lines;

static void add_line(lines *l, const char *text) {
    if (l->n < MAX_LINES && text[0] != '\0') {
        cvi_copy_text(l->text[l->n++], sizeof l->text[0], text);
    }
}

static void add_amount(lines *l, const char *fmt, const char *amount) {
    char text[120];
    snprintf(text, sizeof text, fmt, amount);
    add_line(l, text);
}

/* What stands under the title. */
static void details(const cvi_box_style *s, const cvi_view *v, const cvi_arch_node *n, bool group,
                    lines *out) {
    cvs_lang lang = v->arch->lang;
    char shape[160];
    out->n = 0;
    if ((s->labels & CVS_LABEL_NAMES) && strcmp(n->name, n->title) != 0 && strcmp(n->name, n->word) != 0) {
        add_line(out, n->name);
    }
    if (s->labels & CVS_LABEL_SHAPES) {
        add_line(out, cvi_shape_short(&n->out, shape, sizeof shape));
    }
    if ((s->labels & CVS_LABEL_PARAMS || group) && n->params > 0) {
        add_amount(out, cvi_tr(lang, "%s params"), cvi_short_number((double)n->params).text);
    }
    if ((s->labels & CVS_LABEL_MACS) && n->macs > 0) {
        add_amount(out, cvi_tr(lang, "%s MACs"), cvi_short_number((double)n->macs).text);
    }
    if ((s->labels & CVS_LABEL_MEMORY) && n->bytes > 0) {
        add_line(out, cvi_short_bytes(n->bytes).text);
    }
    if ((s->labels & CVS_LABEL_FIELD) && n->has_field) {
        snprintf(shape, sizeof shape, cvi_tr(lang, "sees %lld×%lld"), (long long)n->field[0],
                 (long long)n->field[1]);
        add_line(out, shape);
    }
}

static bool is_sign(const cvi_arch_node *n) {
    return (n->kind == CVI_NODE_ADD || n->kind == CVI_NODE_MUL) && n->symbol != NULL;
}

static bool is_flat(const cvi_arch_node *n) {
    return n->kind == CVI_NODE_CONCAT;
}

double cvi_box_cost(const cvi_box_style *s, const cvi_arch_node *n) {
    return s->o->cost == CVS_COST_MACS     ? (double)n->macs
           : s->o->cost == CVS_COST_PARAMS ? (double)n->params
           : s->o->cost == CVS_COST_MEMORY ? (double)n->bytes
                                           : 0.0;
}

static bool has_bar(const cvi_box_style *s, const cvi_arch_node *n) {
    return s->costliest > 0.0 && n->kind == CVI_NODE_LAYER;
}

static cvi_font font_of(double size, bool bold, cvi_color color) {
    return (cvi_font){.size = size, .bold = bold, .color = color, .anchor = CVI_MIDDLE};
}

static double strip_width(const cvi_strip *strip) {
    cvi_font f = font_of(STRIP_SIZE, false, 0);
    return cvi_text_width(&f, strip->word) + 8.0;
}

static double strips_width(const cvi_arch_node *n, bool heads) {
    double w = 0.0;
    for (int i = heads ? 0 : n->n_heads; i < (heads ? n->n_heads : n->n_strips); i++) {
        w += fmin(strip_width(&n->strip[i]), 70.0);
    }
    return w;
}

static double text_width(const cvi_box_style *s, const cvi_arch_node *n, const lines *l) {
    cvi_font title = font_of(TITLE_SIZE, true, 0), small = font_of(LINE_SIZE, false, 0);
    double w = cvi_text_width(&title, n->title);
    for (int i = 0; i < l->n; i++) {
        w = fmax(w, cvi_text_width(&small, l->text[i]));
    }
    (void)s;
    return w;
}

cvi_box_size cvi_box_measure(const cvi_box_style *s, const cvi_view *v, int box) {
    cvi_arch_node n;
    lines l;
    cvi_box_node(v, box, &n);
    bool tail = n.n_strips > n.n_heads;
    if (is_sign(&n)) {
        return tail ? (cvi_box_size){fmax(strips_width(&n, false), 26.0), 14.0 + STRIP_H}
                    : (cvi_box_size){16.0, 16.0};
    }
    details(s, v, &n, v->boxes[box].kind == CVI_BOX_GROUP, &l);
    if (is_flat(&n)) {
        l.n = 0;
        double w = fmax(text_width(s, &n, &l) + 2 * EDGE_X, strips_width(&n, false));
        return (cvi_box_size){fmax(w, 46.0), 12.0 + (tail ? STRIP_H : 0.0)};
    }
    double w = text_width(s, &n, &l) + 2 * EDGE_X;
    w = fmax(fmax(w, LEAST_W), fmax(strips_width(&n, true), strips_width(&n, false)));
    double h = 4.0 + TITLE_H + l.n * LINE_H + (has_bar(s, &n) ? BAR_H : 0.0) + (tail ? STRIP_H : 0.0) +
               (n.n_heads > 0 ? STRIP_H : 0.0);
    return (cvi_box_size){fmin(w, s->most_w), h};
}

/* ---- drawing -------------------------------------------------------------------------------------------------------- */

static const cvi_class_look *look_of(const cvi_box_style *s, cvi_class cls) {
    return &s->theme->look[cls >= 0 && cls < CVI_N_CLASSES ? cls : CVI_CLASS_UNKNOWN];
}

/* Which classes are hatched: grouped convolutions always, all where there is no colour. */
static cvi_hatch hatch_of(const cvi_box_style *s, cvi_class cls) {
    return cls == CVI_CLASS_DEPTHWISE || s->theme->kind == CVS_BLACK_WHITE ? look_of(s, cls)->hatch
                                                                           : CVI_HATCH_NONE;
}

/* A row of coloured fields, one per strip, over the width of the box. */
static void draw_strips(const cvi_box_style *s, cvi_scene *scene, const cvi_arch_node *n, bool heads,
                        const cvi_place *at, double y) {
    int first = heads ? 0 : n->n_heads, last = heads ? n->n_heads : n->n_strips;
    double whole = strips_width(n, heads), x = at->x + 0.35, room = at->w - 0.7;
    for (int i = first; i < last; i++) {
        const cvi_class_look *look = look_of(s, n->strip[i].cls);
        double w = room * fmin(strip_width(&n->strip[i]), 70.0) / whole;
        cvi_paint paint = {.fill = look->fill};
        cvi_font f = font_of(STRIP_SIZE, false, s->theme->role[CVI_INK]);
        cvi_draw_rect(scene, x, y, w, STRIP_H - 0.35, 0, &paint);
        cvi_draw_text_fit(scene, x + w / 2, y + 7.0, w - 2.0, &f, n->strip[i].word);
        x += w;
    }
    cvi_paint rule = {.stroke = look_of(s, n->cls)->edge, .width = 0.35};
    double edge = heads ? y + STRIP_H : y;
    cvi_draw_line(scene, at->x, edge, at->x + at->w, edge, &rule);
}

static void draw_bar(const cvi_box_style *s, cvi_scene *scene, const cvi_arch_node *n, const cvi_place *at,
                     double y) {
    double part = cvi_box_cost(s, n) / s->costliest,
           share = s->total > 0.0 ? cvi_box_cost(s, n) / s->total : 0.0;
    double x = at->x + EDGE_X, w = at->w - 2 * EDGE_X - 24.0;
    char text[32];
    cvi_paint track = {.fill = s->theme->role[CVI_PAGE]}, bar = {.fill = s->theme->role[CVI_POSITIVE]};
    cvi_font f = font_of(CVI_MIN_TEXT, false, s->theme->role[CVI_INK]);
    f.anchor = CVI_END;
    cvi_draw_rect(scene, x, y + 1.5, w, 3.5, 1.7, &track);
    if (part > 0.0) {
        cvi_draw_rect(scene, x, y + 1.5, fmax(w * part, 0.6), 3.5, 1.7, &bar);
    }
    snprintf(text, sizeof text, share >= 0.0995 ? "%.0f %%" : "%.1f %%", 100.0 * share);
    if (share > 0.0) {
        cvi_draw_text(scene, at->x + at->w - EDGE_X, y + 5.6, &f, text);
    }
}

static void draw_sign(const cvi_box_style *s, cvi_scene *scene, const cvi_arch_node *n, const cvi_place *at) {
    const cvi_class_look *look = look_of(s, n->cls);
    bool tail = n->n_strips > n->n_heads;
    cvi_paint paint = {.fill = look->fill, .stroke = look->edge, .width = n->is_output ? 1.4 : 0.8};
    cvi_font f = font_of(tail ? 10.0 : 11.0, true, s->theme->role[CVI_INK]);
    double r = tail ? 6.0 : at->w / 2;
    cvi_paint none = paint;
    none.stroke = 0;
    cvi_draw_rect(scene, at->x, at->y, at->w, at->h, r, &none);
    if (tail) {
        cvi_place inner = *at;
        inner.x += 1.5;
        inner.w -= 3.0;
        draw_strips(s, scene, n, false, &inner, at->y + at->h - STRIP_H - 0.5);
    }
    paint.fill = 0;
    cvi_draw_rect(scene, at->x, at->y, at->w, at->h, r, &paint);
    double middle = at->y + (tail ? (at->h - STRIP_H) / 2 : at->h / 2);
    cvi_draw_text(scene, at->x + at->w / 2, middle + f.size * 0.34, &f, n->symbol);
}

static void draw_texts(const cvi_box_style *s, cvi_scene *scene, const cvi_view *v, int box,
                       const cvi_arch_node *n, const cvi_place *at) {
    lines l;
    cvi_font title = font_of(TITLE_SIZE, true, s->theme->role[CVI_INK]),
             small = font_of(LINE_SIZE, false, s->theme->role[CVI_INK]);
    double middle = at->x + at->w / 2, y = at->y + (n->n_heads > 0 ? STRIP_H : 0.0), room = at->w - 6.0;
    details(s, v, n, v->boxes[box].kind == CVI_BOX_GROUP, &l);
    if (is_flat(n)) {
        cvi_draw_text_fit(scene, middle, y + 8.6, room, &title, n->title);
        return;
    }
    cvi_draw_text_fit(scene, middle, y + 9.6, room, &title, n->title);
    y += TITLE_H;
    for (int i = 0; i < l.n; i++) {
        cvi_draw_text_fit(scene, middle, y + 7.6, room, &small, l.text[i]);
        y += LINE_H;
    }
    if (has_bar(s, n)) {
        draw_bar(s, scene, n, at, y + 1.5);
    }
}

static void draw_body(const cvi_box_style *s, cvi_scene *scene, const cvi_arch_node *n, bool group,
                      const cvi_place *at) {
    const cvi_class_look *look = look_of(s, n->cls);
    double radius = n->kind == CVI_NODE_INPUT ? at->h / 2 : is_flat(n) ? 2.0 : 3.0;
    cvi_paint paint = {.fill = look->fill, .stroke = look->edge, .width = n->is_output ? 1.4 : 0.8};
    if (group) {
        cvi_draw_rect(scene, at->x + 2.5, at->y + 2.5, at->w, at->h, radius, &paint);
    }
    cvi_paint inside = paint;
    inside.stroke = 0;
    cvi_draw_rect(scene, at->x, at->y, at->w, at->h, radius, &inside);
    if (hatch_of(s, n->cls) != CVI_HATCH_NONE) { /* beside the text, so that it stays readable */
        cvi_paint hatched = {
            .fill = look->fill, .stroke = look->edge, .width = 0.01, .hatch = hatch_of(s, n->cls)};
        cvi_draw_rect(scene, at->x + 0.4, at->y + 0.4, 4.5, at->h - 0.8, fmin(radius, 2.0), &hatched);
    }
    if (n->n_heads > 0) {
        draw_strips(s, scene, n, true, at, at->y + 0.35);
    }
    if (n->n_strips > n->n_heads) {
        draw_strips(s, scene, n, false, at, at->y + at->h - STRIP_H);
    }
    paint.fill = 0;
    cvi_draw_rect(scene, at->x, at->y, at->w, at->h, radius, &paint);
}

void cvi_box_draw(const cvi_box_style *s, cvi_scene *scene, const cvi_view *v, int box, const cvi_place *at) {
    cvi_arch_node n;
    char tip[1200];
    cvi_box_node(v, box, &n);
    cvi_group_begin(scene, v->boxes[box].id, cvi_box_tooltip(v, box, tip, sizeof tip), NULL);
    if (is_sign(&n)) {
        draw_sign(s, scene, &n, at);
    } else {
        draw_body(s, scene, &n, v->boxes[box].kind == CVI_BOX_GROUP, at);
        draw_texts(s, scene, v, box, &n, at);
    }
    cvi_group_end(scene);
}

const char *cvi_box_tooltip(const cvi_view *v, int box, char *buf, size_t size) {
    cvi_arch_node n;
    char in[160], out[160];
    cvs_lang lang = v->arch->lang;
    cvi_box_node(v, box, &n);
    size_t at = (size_t)snprintf(buf, size, "%.700s: %.160s", n.name, n.title);
    for (int i = 0; i < n.n_strips && at + 60 < size; i++) {
        at += (size_t)snprintf(buf + at, size - at, " + %.40s", n.strip[i].word);
    }
    if (n.kind != CVI_NODE_INPUT && at + 340 < size) {
        at += (size_t)snprintf(buf + at, size - at, "; %s → %s", cvi_shape_short(&n.in, in, sizeof in),
                               cvi_shape_short(&n.out, out, sizeof out));
    }
    if (n.params > 0 && at + 80 < size) {
        at +=
            (size_t)snprintf(buf + at, size - at, cvi_tr(lang, "; %s parameters"), cvi_count(n.params).text);
    }
    if (n.macs > 0 && at + 80 < size) {
        at += (size_t)snprintf(buf + at, size - at, cvi_tr(lang, "; %s MACs"), cvi_count(n.macs).text);
    }
    if (n.has_field && at + 80 < size) {
        snprintf(buf + at, size - at, cvi_tr(lang, "; sees %lld×%lld"), (long long)n.field[0],
                 (long long)n.field[1]);
    }
    return buf;
}
