/* SPDX-License-Identifier: MIT
 * style_glyph.c - the architecture as a line of trapezoids, after Net2Vis (Bauerle et al., IEEE TVCG 27(6), 2021): height is
 * the side of the maps, left edge before and right edge after the layer; width is channels; colour is the operator class.
 * A block is one glyph with a heavy border; an equation below shows once what is inside each kind of block.
 */
#include "draw/sketch.h"

#include <math.h>

enum { MAX_KINDS = 26 };

typedef struct shard {
    double x, w, left, right; /* points: place, width, heights of both edges */
    double y;                 /* its middle */
    int row;
} shard;

typedef struct glyphs {
    cvi_sketch *k;
    shard *at;
    int n;
    cvi_size_scale sides, widths;
    uint64_t kind[MAX_KINDS]; /* blocks with an equation of their own */
    int example[MAX_KINDS];   /* a group of that kind */
    const char *kind_name[MAX_KINDS];
    int n_kinds;
    double tight;        /* widths are scaled by it, so that a last few glyphs do not need a row */
    double across, tall; /* of the equations beside each other */
    double room;         /* above the middle of a row */
} glyphs;

/* ---- kinds of blocks --------------------------------------------------------------------------------------------- */

/* Boxes of one unit. */
static int unit_of(const cvi_arch_group *g) {
    return g->count / CVI_MAX(g->repeat, 1);
}

static uint64_t mix(uint64_t h, uint64_t v) {
    return (h ^ v) * 1099511628211U;
}

static uint64_t mix_text(uint64_t h, const char *text) {
    for (; *text != '\0'; text++) {
        h = mix(h, (unsigned char)*text);
    }
    return h;
}

/* Equal for blocks that differ in numbers of channels only. */
static uint64_t block_kind(const cvi_arch *a, const cvi_arch_group *g) {
    uint64_t h = 1469598103934665603U;
    for (int i = g->first; i < g->first + unit_of(g); i++) {
        const cvi_arch_node *n = &a->nodes[i];
        h = mix_text(mix(mix(h, n->kind), n->cls), n->op);
        for (int d = 0; d < n->axes && n->windowed; d++) {
            h = mix(mix(h, (uint64_t)n->kernel[d]), (uint64_t)n->stride[d]);
        }
        for (int e = a->edge_at[i]; e < a->edge_at[i + 1]; e++) {
            h = mix(h, (uint64_t)(i - CVI_MAX(a->edges[e].from, g->first - 1)));
        }
    }
    return h;
}

/* Its place in the list of equations; -1 when the list is full. */
static int kind_of(glyphs *q, int group) {
    const cvi_arch_group *g = &q->k->arch->groups[group];
    uint64_t kind = block_kind(q->k->arch, g);
    for (int i = 0; i < q->n_kinds; i++) {
        if (q->kind[i] == kind) {
            return i;
        }
    }
    if (q->n_kinds == MAX_KINDS) {
        return -1;
    }
    q->kind[q->n_kinds] = kind;
    q->example[q->n_kinds] = group;
    q->kind_name[q->n_kinds] = cvi_sketch_text(q->k, "%c", 'A' + q->n_kinds);
    return q->n_kinds++;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static double side_of(const cvi_shape *s) {
    return (double)CVI_MAX(CVI_MAX(cvi_shape_height(s), cvi_shape_width(s)), 1);
}

static double channels_of(const cvi_shape *s) {
    return (double)CVI_MAX(cvi_shape_channels(s), 1);
}

static void choose_scales(glyphs *q) {
    double side[2] = {HUGE_VAL, 1}, wide[2] = {HUGE_VAL, 1};
    const cvi_arch *a = q->k->arch;
    for (int i = 0; i < a->n_nodes; i++) {
        const cvi_shape *s = &a->nodes[i].out;
        side[0] = fmin(side[0], side_of(s));
        side[1] = fmax(side[1], side_of(s));
        wide[0] = fmin(wide[0], channels_of(s));
        wide[1] = fmax(wide[1], channels_of(s));
    }
    q->sides = cvi_size_scale_for(side[0], side[1], 12, 54);
    q->widths = cvi_size_scale_for(wide[0], wide[1], 5, 20);
}

static shard shard_of(const glyphs *q, const cvi_arch_node *n) {
    shard s = {.w = cvi_size_of(&q->widths, channels_of(&n->out)) * q->tight,
               .right = cvi_size_of(&q->sides, side_of(&n->out))};
    s.left = n->in.rank >= 0 ? cvi_size_of(&q->sides, side_of(&n->in)) : s.right;
    if (n->kind == CVI_NODE_ADD || n->kind == CVI_NODE_MUL) {
        s.w = s.left = s.right = 9;
    }
    return s;
}

/* ---- one glyph ---------------------------------------------------------------------------------------------------- */

static void draw_shard(glyphs *q, const shard *s, const cvi_arch_node *n, bool block) {
    cvi_sketch *k = q->k;
    cvi_paint paint = cvi_class_paint(k->t, n->cls, block ? 1.6 : 0.7);
    paint.round = true;
    k->used[n->cls] = true;
    if (n->kind == CVI_NODE_ADD || n->kind == CVI_NODE_MUL) {
        double x = s->x + s->w / 2, r = n->kind == CVI_NODE_MUL ? 2.0 : 2.7,
               m = n->kind == CVI_NODE_MUL ? r : 0;
        cvi_paint line = {.stroke = paint.stroke, .width = 0.8};
        paint.hatch = CVI_HATCH_NONE;
        cvi_draw_circle(k->s, x, s->y, 4.5, &paint);
        cvi_draw_line(k->s, x - r, s->y - m, x + r, s->y + m, &line);
        cvi_draw_line(k->s, x - m, s->y + r, x + m, s->y - r, &line);
        return;
    }
    double x0 = s->x, x1 = s->x + s->w, l = s->left / 2, r = s->right / 2;
    if (n->cls == CVI_CLASS_DENSE) { /* reversed: dark body, light edge */
        cvi_color fill = paint.fill;
        paint.fill = paint.stroke;
        paint.stroke = fill;
        paint.hatch = CVI_HATCH_NONE;
        l = r = fmax(fmax(l, r), 14);
        cvi_paint edge = {.stroke = k->t->look[n->cls].edge, .width = 0.7};
        cvi_draw_polygon(k->s, (double[]){x0, s->y - l, x1, s->y - l, x1, s->y + l, x0, s->y + l}, 4, &paint);
        cvi_draw_rect(k->s, x0, s->y - l, x1 - x0, 2 * l, 0, &edge);
        return;
    }
    cvi_draw_polygon(k->s, (double[]){x0, s->y - l, x1, s->y - r, x1, s->y + r, x0, s->y + l}, 4, &paint);
    if (block && s->w > 7 && fmin(l, r) > 5) { /* a darker core */
        cvi_paint core = {.fill = cvi_shade(paint.fill, k->o->theme == CVS_DARK ? 0.15 : -0.16)};
        cvi_draw_polygon(k->s,
                         (double[]){x0 + 2.5, s->y - l + 3, x1 - 2.5, s->y - r + 3, x1 - 2.5, s->y + r - 3,
                                    x0 + 2.5, s->y + l - 3},
                         4, &core);
    }
}

static cvi_paint wire(const glyphs *q) {
    return (cvi_paint){.stroke = q->k->t->role[CVI_MUTED], .width = 0.8, .round = true};
}

/* ---- the line ------------------------------------------------------------------------------------------------------ */

static bool size_changes(const glyphs *q, int i) {
    return i == 0 || side_of(&q->k->node[i].out) != side_of(&q->k->node[i - 1].out);
}

static const char *label_of(glyphs *q, int i) {
    int64_t c = cvi_shape_channels(&q->k->node[i].out);
    cvi_node_kind kind = q->k->node[i].kind;
    return kind == CVI_NODE_ADD || kind == CVI_NODE_MUL ? ""
           : c < 0                                      ? "?"
                                                        : cvi_sketch_text(q->k, "%lld", (long long)c);
}

/* Returns the number of rows; `tight` scales the free space between glyphs. */
static int place(glyphs *q, double tight) {
    cvi_sketch *k = q->k;
    cvi_font small = cvi_sketch_font(k, 6, false, CVI_INK);
    double x = k->left + 8, before = 0;
    int row = 0;
    for (int i = 0; i < q->n; i++) {
        shard *s = &q->at[i];
        *s = shard_of(q, &k->node[i]);
        double label = cvi_text_width(&small, label_of(q, i));
        double gap =
            fmax(8 * tight, (before + label) / 2 + 2.5 - (i > 0 ? q->at[i - 1].w / 2 : 0) - s->w / 2);
        gap = i > 0 && size_changes(q, i - 1) ? fmax(gap, 12) : gap;
        if (i > 0 && x + gap + s->w + 14 > k->left + k->limit) {
            row++;
            x = k->left + 12;
            gap = 4;
        }
        s->x = x + (i > 0 ? gap : 2);
        s->row = row;
        x = s->x + s->w;
        before = label;
    }
    return row + 1;
}

static void draw_rails(glyphs *q, cvi_rail *rails, int n, double y) {
    cvi_paint line = wire(q);
    line.stroke = q->k->t->role[CVI_ACCENT];
    cvi_rail_levels(rails, n);
    for (int i = 0; i < n; i++) {
        const shard *a = &q->at[rails[i].from], *b = &q->at[rails[i].to];
        double up = y - q->room + 4, x0 = a->x + a->w * 0.65, x1 = b->x + b->w * 0.35;
        up -= 4.0 * rails[i].level;
        double from = a->y - (a->left * 0.35 + a->right * 0.65) / 2,
               to = b->y - (b->left * 0.65 + b->right * 0.35) / 2;
        cvi_path_begin(q->k->s);
        cvi_path_move(q->k->s, x0, from);
        cvi_path_line(q->k->s, x0, up);
        cvi_path_line(q->k->s, x1, up);
        cvi_path_line(q->k->s, x1, to - 3);
        cvi_path_end(q->k->s, &line);
        cvi_draw_arrow_head(q->k->s, x1, to, 0, 1, 3.6, line.stroke);
    }
}

static void draw_one(glyphs *q, int i) {
    cvi_sketch *k = q->k;
    shard *s = &q->at[i];
    const cvi_arch_node *n = &k->node[i];
    cvi_font small = cvi_sketch_font(k, 6, false, CVI_INK), side = cvi_sketch_font(k, 6, false, CVI_MUTED);
    cvi_paint line = wire(q);
    bool linked = false, block = k->view->boxes[i].kind == CVI_BOX_GROUP;
    for (int l = 0; l < k->view->n_links; l++) {
        linked = linked || (k->view->links[l].to == i && k->view->links[l].from == i - 1);
    }
    small.anchor = CVI_MIDDLE;
    cvi_sketch_box_begin(k, i);
    if (i > 0 && linked && q->at[i - 1].row == s->row) {
        cvi_draw_line(k->s, q->at[i - 1].x + q->at[i - 1].w, s->y, s->x, s->y, &line);
    }
    draw_shard(q, s, n, block);
    double low = s->y + fmax(s->left, n->cls == CVI_CLASS_DENSE ? fmax(s->right, 28) : s->right) / 2;
    cvi_draw_text(k->s, s->x + s->w / 2, low + 8, &small, label_of(q, i));
    if (size_changes(q, i) && n->out.rank > 2) {
        side.angle = -90;
        side.anchor = CVI_MIDDLE;
        cvi_draw_textf(k->s, s->x + s->w + 7.5, s->y - 12, &side, "%lld",
                       (long long)CVI_MAX(cvi_shape_height(&n->out), cvi_shape_width(&n->out)));
    }
    cvi_group_end(k->s);
    k->right = fmax(k->right, s->x + s->w + 10);
}

/* Names of blocks above their glyphs, at three heights so that neighbours do not meet. Returns how many are in use. */
static int draw_names(glyphs *q, int first, int end, double y, bool draw) {
    cvi_sketch *k = q->k;
    cvi_font name = cvi_sketch_font(k, 6, true, CVI_INK);
    cvi_paint tick = {.stroke = k->t->role[CVI_LINE], .width = 0.5};
    double taken[3] = {0, 0, 0};
    int lanes = 0;
    for (int i = first; i < end; i++) {
        const cvi_box *b = &k->view->boxes[i];
        int kind = b->kind == CVI_BOX_GROUP ? kind_of(q, b->index) : -1;
        if (kind < 0) {
            continue;
        }
        int times = k->arch->groups[b->index].repeat * b->times;
        const char *text =
            times > 1 ? cvi_sketch_text(k, "%s ×%d", q->kind_name[kind], times) : q->kind_name[kind];
        const shard *s = &q->at[i];
        double w = cvi_text_width(&name, text), x = fmax(s->x + s->w / 2 - w / 2, k->left);
        int lane = 0;
        while (lane < 2 && x < taken[lane]) {
            lane++;
        }
        x = fmax(x, taken[lane]);
        taken[lane] = x + w + 4;
        lanes = CVI_MAX(lanes, lane + 1);
        if (draw) {
            double base = y + 6 + 8.5 * lane, top = s->y - fmax(s->left, s->right) / 2 - 2;
            cvi_draw_line(k->s, s->x + s->w / 2, base + 2, s->x + s->w / 2, top, &tick);
            cvi_draw_text(k->s, x, base, &name, text);
            k->right = fmax(k->right, x + w);
        }
    }
    return lanes;
}

static cvs_status draw_rows(glyphs *q, cvs_error *err) {
    cvi_sketch *k = q->k;
    cvi_rail *rails = cvi_calloc((size_t)CVI_MAX(k->view->n_links, 1), sizeof *rails);
    if (rails == NULL) {
        return cvi_no_memory(err, sizeof *rails);
    }
    for (int first = 0, row = 0; first < q->n; row++) {
        int end = first, n = 0, levels;
        double half = 14;
        while (end < q->n && q->at[end].row == row) {
            half = fmax(half, fmax(q->at[end].left, q->at[end].right) / 2);
            end++;
        }
        for (int i = 0; i < k->view->n_links; i++) {
            const cvi_link *l = &k->view->links[i];
            bool inside = l->from >= first && l->to < end && l->to != l->from + 1;
            if (inside) {
                rails[n++] = (cvi_rail){.link = i, .from = l->from, .to = l->to};
            }
        }
        levels = cvi_rail_levels(rails, n);
        q->room = half + 10;
        double above = 5 + 8.5 * draw_names(q, first, end, 0, false) + (levels > 0 ? 8 + 4.0 * levels : 4),
               y = k->y + above + half;
        for (int i = first; i < end; i++) {
            q->at[i].y = y;
        }
        if (row > 0) {
            const shard *p = &q->at[first - 1], *b = &q->at[first];
            cvi_paint line = wire(q);
            double turn = p->x + p->w + 12;
            cvi_path_begin(k->s);
            cvi_path_move(k->s, p->x + p->w, p->y);
            cvi_path_line(k->s, turn, p->y);
            cvi_path_line(k->s, turn, k->y - 3);
            cvi_path_line(k->s, k->left, k->y - 3);
            cvi_path_line(k->s, k->left, y);
            cvi_path_line(k->s, b->x - 3, y);
            cvi_path_end(k->s, &line);
            cvi_draw_arrow_head(k->s, b->x, y, 1, 0, 4, line.stroke);
            k->right = fmax(k->right, turn);
        }
        draw_names(q, first, end, k->y, true);
        for (int i = first; i < end; i++) {
            draw_one(q, i);
        }
        draw_rails(q, rails, n, y);
        k->y = y + half + 16;
        for (int i = first; i < end; i++) {
            cvi_sketch_cost_bar(k, i, q->at[i].x + q->at[i].w / 2);
        }
        k->y += k->o->cost != CVS_COST_NONE ? 26 : 0;
        first = end;
    }
    cvi_free(rails);
    return CVS_OK;
}

/* ---- equations ------------------------------------------------------------------------------------------------------ */

typedef struct inset {
    shard *at; /* [count] */
    int *lane, *column;
    int lanes, columns;
} inset;

/* Columns by the longest way in, lanes by branch: the first reader of a box stays in its lane. */
static void arrange(const cvi_arch *a, const cvi_arch_group *g, inset *t) {
    for (int i = 0; i < unit_of(g); i++) {
        int lane = -1, column = 0, node = g->first + i;
        for (int e = a->edge_at[node]; e < a->edge_at[node + 1]; e++) {
            int from = a->edges[e].from - g->first;
            if (from < 0) {
                continue;
            }
            column = CVI_MAX(column, t->column[from] + 1);
            bool first = true; /* nobody before this box continued that lane */
            for (int j = from + 1; j < i; j++) {
                first = first && !(t->lane[j] == t->lane[from] && t->column[j] > t->column[from]);
            }
            if ((first || a->edge_at[node + 1] - a->edge_at[node] > 1) &&
                (lane < 0 || t->lane[from] < lane)) {
                lane = t->lane[from];
            }
        }
        t->lane[i] = lane >= 0 ? lane : t->lanes++;
        t->column[i] = column;
        t->columns = CVI_MAX(t->columns, column + 1);
    }
}

static const char *inside_label(glyphs *q, const cvi_arch_node *n) {
    if (n->kind == CVI_NODE_ADD || n->kind == CVI_NODE_MUL) {
        return "";
    }
    if (n->windowed && n->axes == 2 && n->kernel[0] > 0) {
        return n->stride[0] > 1
                   ? cvi_sketch_text(q->k, "%lld×%lld /%lld", (long long)n->kernel[0],
                                     (long long)n->kernel[1], (long long)n->stride[0])
                   : cvi_sketch_text(q->k, "%lld×%lld", (long long)n->kernel[0], (long long)n->kernel[1]);
    }
    return n->word[0] != '\0' ? n->word : n->op;
}

/* Across, up or down at m, across. */
static void draw_bend(glyphs *q, double x0, double y0, double x1, double y1, double m) {
    cvi_paint line = wire(q);
    if (fabs(y0 - y1) < 0.1) {
        cvi_draw_line(q->k->s, x0, y0, x1, y1, &line);
        return;
    }
    cvi_path_begin(q->k->s);
    cvi_path_move(q->k->s, x0, y0);
    cvi_path_line(q->k->s, m - 2, y0);
    cvi_path_curve(q->k->s, m, y0, m, y0, m, y0 + (y1 > y0 ? 2 : -2));
    cvi_path_line(q->k->s, m, y1 - (y1 > y0 ? 2 : -2));
    cvi_path_curve(q->k->s, m, y1, m, y1, m + 2, y1);
    cvi_path_line(q->k->s, x1, y1);
    cvi_path_end(q->k->s, &line);
}

/* From a line over the boxes of a lane into the top of one. */
static void draw_over(glyphs *q, double x0, double x1, double y) {
    cvi_paint line = wire(q);
    cvi_path_begin(q->k->s);
    cvi_path_move(q->k->s, x0, y);
    cvi_path_line(q->k->s, x0, y - 12);
    cvi_path_line(q->k->s, x1, y - 12);
    cvi_path_line(q->k->s, x1, y - 7.5);
    cvi_path_end(q->k->s, &line);
    cvi_draw_arrow_head(q->k->s, x1, y - 4.5, 0, 1, 3.6, line.stroke);
}

/* "A: bottleneck = ..." at k->left, k->y; moves k->y. */
static void draw_equation(glyphs *q, int kind, inset *t) {
    cvi_sketch *k = q->k;
    const cvi_arch *a = k->arch;
    const cvi_arch_group *g = &a->groups[q->example[kind]];
    cvi_font bold = cvi_sketch_font(k, 6.5, true, CVI_INK), small = cvi_sketch_font(k, 6, false, CVI_MUTED);
    small.anchor = CVI_MIDDLE;
    arrange(a, g, t);
    double lane = 31;
    double *start = cvi_calloc((size_t)t->columns + 1, sizeof *start);
    if (start == NULL) {
        k->s->failed = true;
        return;
    }
    const char *name = cvi_sketch_text(k, "%s: %s =", q->kind_name[kind], g->motif);
    double x = fmax(cvi_text_width(&bold, name), 40) + 20, begin = x;
    for (int c = 0; c < t->columns; c++) { /* as wide as the widest box or label */
        double w = 9;
        for (int i = 0; i < unit_of(g); i++) {
            if (t->column[i] == c) {
                w = fmax(w, fmax(10, cvi_text_width(&small, inside_label(q, &a->nodes[g->first + i]))));
            }
        }
        start[c] = x;
        x += w + 14;
    }
    start[t->columns] = x;
    if (q->across + x + 12 > k->limit && q->across > 0) { /* beside the one before, where there is room */
        k->y += q->tall;
        q->across = q->tall = 0;
    }
    double y = k->y + 16, left = k->left + q->across;
    double fit =
        fmin(1.0, (k->limit - q->across - 12 - begin) / (x - begin)); /* long blocks lose their labels */
    cvi_draw_text(k->s, left, y + 2.5, &bold, name);
    for (int c = 0; c <= t->columns; c++) {
        start[c] = left + begin + (start[c] - begin) * fit;
    }
    q->across += begin + (x - begin) * fit + 14;
    begin += left;
    for (int i = 0; i < unit_of(g); i++) {
        const cvi_arch_node *n = &a->nodes[g->first + i];
        shard *s = &t->at[i];
        *s = (shard){.w = 9, .left = 14, .right = 14, .y = y + lane * t->lane[i]};
        if (n->kind == CVI_NODE_LAYER) {
            bool falls = side_of(&n->out)<side_of(&n->in), rises = side_of(&n->out)> side_of(&n->in);
            s->left = falls ? 18 : rises ? 11 : 15;
            s->right = falls ? 11 : rises ? 18 : 15;
        }
        s->x = (start[t->column[i]] + start[t->column[i] + 1] - 14 * fit - s->w) / 2;
    }
    for (int i = 0; i < unit_of(g); i++) {
        int node = g->first + i;
        for (int e = a->edge_at[node]; e < a->edge_at[node + 1]; e++) {
            int from = a->edges[e].from - g->first;
            double x0 = from >= 0 ? t->at[from].x + t->at[from].w : begin - 12,
                   y0 = from >= 0 ? t->at[from].y : y;
            bool crosses = false; /* a box of this lane lies between */
            for (int j = 0; j < i; j++) {
                crosses = crosses || (fabs(y0 - t->at[i].y) < 0.1 && fabs(t->at[j].y - y0) < 0.1 &&
                                      t->at[j].x > x0 && t->at[j].x < t->at[i].x);
            }
            if (crosses) {
                draw_over(q, fmax(x0, begin - 7), t->at[i].x + t->at[i].w / 2, y0);
                continue;
            }
            draw_bend(q, x0, y0, t->at[i].x, t->at[i].y,
                      t->at[i].y > y0 ? (from >= 0 ? start[t->column[from] + 1] - 7 * fit : begin - 7)
                                      : start[t->column[i]] - 7 * fit);
        }
    }
    const shard *last = &t->at[unit_of(g) - 1];
    cvi_paint line = wire(q);
    cvi_draw_line(k->s, last->x + last->w, last->y, last->x + last->w + 9, last->y, &line);
    for (int i = 0; i < unit_of(g); i++) {
        const cvi_arch_node *n = &a->nodes[g->first + i];
        draw_shard(q, &t->at[i], n, false);
        if (fit > 0.999) {
            cvi_draw_text(k->s, t->at[i].x + t->at[i].w / 2, t->at[i].y + 16, &small, inside_label(q, n));
        }
    }
    k->right = fmax(k->right, last->x + last->w + 10);
    q->tall = fmax(q->tall, lane * t->lanes + 8);
    cvi_free(start);
}

static cvs_status draw_equations(glyphs *q, cvs_error *err) {
    for (int i = 0; i < q->n_kinds; i++) {
        size_t n = (size_t)unit_of(&q->k->arch->groups[q->example[i]]);
        inset t = {.at = cvi_calloc(n, sizeof *t.at),
                   .lane = cvi_calloc(n, sizeof(int)),
                   .column = cvi_calloc(n, sizeof(int))};
        bool good = t.at != NULL && t.lane != NULL && t.column != NULL;
        if (good) {
            draw_equation(q, i, &t);
        }
        cvi_free(t.at);
        cvi_free(t.lane);
        cvi_free(t.column);
        if (!good) {
            return cvi_no_memory(err, n * sizeof *t.at);
        }
    }
    q->k->y += q->tall;
    return CVS_OK;
}

/* ---- the style -------------------------------------------------------------------------------------------------------- */

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    cvi_sketch k;
    glyphs q = {.k = &k};
    CVI_TRY(cvi_sketch_settings(job->o, "", err));
    cvs_status s = cvi_sketch_begin_blocks(&k, job, err);
    if (s == CVS_OK) {
        q.n = k.view->n_boxes;
        q.at = cvi_calloc((size_t)CVI_MAX(q.n, 1), sizeof *q.at);
        s = q.at != NULL ? CVS_OK : cvi_no_memory(err, (size_t)q.n * sizeof *q.at);
    }
    if (s == CVS_OK) {
        choose_scales(&q);
        int rows = 0, loose;
        q.tight = 1.0;
        loose = place(&q, 1.0);
        for (int i = 0; i < 4 && rows == 0 && loose > 1; i++) { /* narrower only where that saves a row */
            q.tight = 0.9 - 0.1 * i;
            rows = place(&q, q.tight) < loose ? 1 : 0;
        }
        q.tight = rows == 0 ? 1.0 : q.tight;
        place(&q, q.tight);
        s = draw_rows(&q, err);
    }
    if (s == CVS_OK && !(k.o->labels & CVS_LABEL_NONE)) {
        s = draw_equations(&q, err);
    }
    if (s == CVS_OK) {
        const char *notes[] = {
            cvi_sketch_tr(
                &k,
                "Height grows with log2 of the maps' side, left edge before and right edge after the layer; "
                "width with log2 of channels (below). Heavy borders are blocks."),
            NULL};
        s = cvi_sketch_end(&k, notes, out, err);
    }
    cvi_free(q.at);
    cvi_sketch_free(&k);
    return s;
}

const cvi_draw_style cvi_style_glyph = {
    .name = "glyph",
    .en = "a line of trapezoids: height is size, width is channels; blocks explained once",
    .zh = "梯形符号：高为尺寸，宽为通道数；每种模块只解释一次",
    .pictures = true,
    .most = 1,
    .draw = draw,
};
