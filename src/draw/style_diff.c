/* SPDX-License-Identifier: MIT
 * style_diff.c - two architectures side by side: what stayed (grey), what changed (old and new), what was added and removed. Layers are
 * aligned by the alignment that keeps most of them; runs of equal layers are one box, and changes that repeat are shown once.
 */
#include "draw/arch.h"

typedef enum row_kind { ROW_SAME, ROW_CHANGED, ROW_REMOVED, ROW_ADDED } row_kind;

typedef struct row {
    row_kind kind;
    int a, b;  /* nodes; -1 = none */
    int count; /* equal layers that a ROW_SAME stands for */
} row;

typedef struct part { /* rows first .. first+period-1, `times` over */
    int first, period, times;
} part;

typedef struct difference {
    const cvi_arch *a, *b;
    const cvs_draw_options *o;
    cvi_arena *arena;
    int n_rows, n_parts, n_of[4]; /* layers of each kind */
    row *rows;
    part *parts;
    cvs_error *err;
} difference;

/* What a layer is, in one line: operation, then what was folded into it. */
static void describe(const cvi_arch_node *n, char *out, size_t size) {
    snprintf(out, size, "%s", n->title ? n->title : n->name);
    for (int i = 0; i < n->n_strips; i++) {
        size_t at = strlen(out);
        snprintf(out + at, size - at, "%s%s", i ? ", " : " · ", n->strip[i].word);
    }
}

static bool same(const cvi_arch *a, int i, const cvi_arch *b, int k) {
    const cvi_arch_node *x = &a->nodes[i], *y = &b->nodes[k];
    if (x->kind != y->kind || x->cls != y->cls || x->groups != y->groups || x->n_strips != y->n_strips ||
        x->windowed != y->windowed || strcmp(x->word, y->word) != 0 ||
        cvi_arch_n_inputs(a, i) != cvi_arch_n_inputs(b, k)) {
        return false;
    }
    for (int s = 0; s < x->n_strips; s++) {
        if (strcmp(x->strip[s].word, y->strip[s].word) != 0) {
            return false;
        }
    }
    for (int s = 0; x->windowed && s < x->axes; s++) {
        if (x->kernel[s] != y->kernel[s] || x->stride[s] != y->stride[s] ||
            x->dilation[s] != y->dilation[s] || x->pad_begin[s] != y->pad_begin[s] ||
            x->pad_end[s] != y->pad_end[s]) {
            return false;
        }
    }
    return x->units == y->units && (x->kind != CVI_NODE_INPUT || cvi_shape_equal(&x->out, &y->out));
}

/* A layer of the same kind with other settings. */
static bool alike(const cvi_arch *a, int i, const cvi_arch *b, int k) {
    const cvi_arch_node *x = &a->nodes[i], *y = &b->nodes[k];
    return x->kind == y->kind && (x->cls == y->cls || strcmp(x->word, y->word) == 0);
}

/* ---- alignment ------------------------------------------------------------------------------------------------- */

static cvs_status add_row(difference *d, row_kind kind, int a, int b) {
    row *last = d->n_rows ? &d->rows[d->n_rows - 1] : NULL;
    d->n_of[kind]++;
    if (kind == ROW_SAME && last && last->kind == ROW_SAME) {
        last->count++;
        return CVS_OK;
    }
    d->rows[d->n_rows++] = (row){.kind = kind, .a = a, .b = b, .count = 1};
    return CVS_OK;
}

enum { MOST_CELLS = 16 << 20 };

/* Best alignment of [i0, i1) with [k0, k1): 3 for equal layers, 1 for changed ones (Needleman and Wunsch 1970). The longer of
 * two unequal middles that are too large to compare is taken as removed and added. */
static cvs_status align(difference *d, int i0, int i1, int k0, int k1) {
    int64_t n = i1 - i0, m = k1 - k0, cells;
    if (!cvi_mul(n + 1, m + 1, &cells) || cells > MOST_CELLS) {
        for (int i = i0; i < i1; i++) {
            CVI_TRY(add_row(d, ROW_REMOVED, i, -1));
        }
        for (int k = k0; k < k1; k++) {
            CVI_TRY(add_row(d, ROW_ADDED, -1, k));
        }
        return CVS_OK;
    }
    int32_t *best = cvi_arena_alloc(d->arena, cells, sizeof *best); /* of the rests from (i, k) on */
    if (!best) {
        return cvi_no_memory(d->err, (size_t)cells * sizeof *best);
    }
#define AT(i, k) best[(int64_t)((i)-i0) * (m + 1) + ((k)-k0)]
    for (int i = i1 - 1; i >= i0; i--) {
        for (int k = k1 - 1; k >= k0; k--) {
            int32_t skip = CVI_MAX(AT(i + 1, k), AT(i, k + 1));
            int32_t pair = same(d->a, i, d->b, k) ? 3 : alike(d->a, i, d->b, k) ? 1 : -1;
            AT(i, k) = pair > 0 ? CVI_MAX(skip, AT(i + 1, k + 1) + pair) : skip;
        }
    }
    int i = i0, k = k0;
    while (i < i1 || k < k1) {
        int32_t pair = i < i1 && k < k1 ? (same(d->a, i, d->b, k)    ? 3
                                           : alike(d->a, i, d->b, k) ? 1
                                                                     : -1)
                                        : -1;
        if (pair > 0 && AT(i, k) == AT(i + 1, k + 1) + pair) {
            CVI_TRY(add_row(d, pair == 3 ? ROW_SAME : ROW_CHANGED, i++, k++));
        } else if (k == k1 || (i < i1 && AT(i, k) == AT(i + 1, k))) {
            CVI_TRY(add_row(d, ROW_REMOVED, i++, -1));
        } else {
            CVI_TRY(add_row(d, ROW_ADDED, -1, k++));
        }
    }
#undef AT
    return CVS_OK;
}

static cvs_status compare(difference *d) {
    int n = d->a->n_nodes, m = d->b->n_nodes, head = 0, tail = 0;
    d->rows = cvi_arena_alloc(d->arena, n + m + 1, sizeof *d->rows);
    d->parts = cvi_arena_alloc(d->arena, n + m + 1, sizeof *d->parts);
    if (!d->rows || !d->parts) {
        return cvi_no_memory(d->err, 0);
    }
    while (head < n && head < m && same(d->a, head, d->b, head)) {
        CVI_TRY(add_row(d, ROW_SAME, head, head));
        head++;
    }
    while (tail < n - head && tail < m - head && same(d->a, n - 1 - tail, d->b, m - 1 - tail)) {
        tail++;
    }
    CVI_TRY(align(d, head, n - tail, head, m - tail));
    for (int k = tail; k > 0; k--) {
        CVI_TRY(add_row(d, ROW_SAME, n - k, m - k));
    }
    return CVS_OK;
}

/* ---- changes that repeat ------------------------------------------------------------------------------------------ */

static bool same_row(const difference *d, const row *x, const row *y) {
    if (x->kind != y->kind || x->count != y->count) {
        return false;
    }
    char one[300], two[300];
    const cvi_arch *arch[2] = {d->a, d->b};
    for (int side = 0; side < 2; side++) {
        int i = side ? x->b : x->a, k = side ? y->b : y->a;
        if (x->kind == ROW_SAME || i < 0) {
            continue;
        }
        describe(&arch[side]->nodes[i], one, sizeof one);
        describe(&arch[side]->nodes[k], two, sizeof two);
        if (strcmp(one, two) != 0) {
            return false;
        }
    }
    return true;
}

/* Rows as parts: from each place the period and count that save most rows, the shorter period on ties. */
static void find_repeats(difference *d) {
    for (int at = 0; at < d->n_rows;) {
        part best = {.first = at, .period = 1, .times = 1};
        for (int p = 1; p <= 16 && at + 2 * p <= d->n_rows; p++) {
            int times = 1;
            for (bool equal = true; equal && at + (times + 1) * p <= d->n_rows;) {
                for (int k = 0; k < p && equal; k++) {
                    equal = same_row(d, &d->rows[at + k], &d->rows[at + times * p + k]);
                }
                times += equal;
            }
            if ((times - 1) * p > (best.times - 1) * best.period) {
                best = (part){.first = at, .period = p, .times = times};
            }
        }
        d->parts[d->n_parts++] = best;
        at += best.period * best.times;
    }
}

/* ---- drawing ----------------------------------------------------------------------------------------------------------- */

static const double box_w = 156, box_h = 15, gap_x = 22, gap_y = 5, head = 66, repeat_room = 34;

static const cvi_class class_of[] = {CVI_CLASS_INPUT, CVI_CLASS_CONV, CVI_CLASS_POOL, CVI_CLASS_ADD};

static void draw_box(cvi_scene *s, double x, double y, double w, row_kind kind, const char *text,
                     const char *name) {
    static const char *const signs[] = {"", "", "−", "+"};
    const cvi_class_look *look = &s->theme->look[class_of[kind]];
    cvi_paint paint = {.fill = look->fill, .stroke = look->edge, .width = 0.8};
    if (kind == ROW_SAME) {
        paint.stroke = s->theme->role[CVI_LINE];
    }
    cvi_font font = {
        .size = 8, .color = s->theme->role[CVI_INK], .anchor = CVI_MIDDLE, .bold = kind == ROW_CHANGED};
    cvi_font sign = {.size = 9, .bold = true, .color = look->edge};
    cvi_group_begin(s, NULL, name, NULL);
    cvi_draw_rect(s, x, y, w, box_h, 2.5, &paint);
    if (*signs[kind]) {
        cvi_draw_text(s, x + 5, y + 10.8, &sign, signs[kind]);
    }
    cvi_draw_text_fit(s, x + w / 2, y + 10.6, w - (*signs[kind] ? 30 : 8), &font, text);
    cvi_group_end(s);
}

/* Both sides of a changed row; where the usual words are equal, what differs is added to them. */
static void describe_change(const difference *d, const row *r, char *one, char *two, size_t size) {
    const cvi_arch_node *x = &d->a->nodes[r->a], *y = &d->b->nodes[r->b];
    describe(x, one, size);
    describe(y, two, size);
    if (strcmp(one, two) != 0) {
        return;
    }
    size_t at = strlen(one);
    int n = cvi_arch_n_inputs(d->a, r->a), m = cvi_arch_n_inputs(d->b, r->b);
    if (n != m) {
        snprintf(one + at, size - at, cvi_tr(d->o->lang, ", %d inputs"), n);
        snprintf(two + at, size - at, cvi_tr(d->o->lang, ", %d inputs"), m);
        return;
    }
    char *out[2] = {one, two};
    const cvi_arch_node *node[2] = {x, y};
    for (int i = 0; i < 2 && x->windowed; i++) {
        snprintf(out[i] + at, size - at, " p%lld,%lld…%lld,%lld", (long long)node[i]->pad_begin[0],
                 (long long)node[i]->pad_begin[1], (long long)node[i]->pad_end[0],
                 (long long)node[i]->pad_end[1]);
    }
}

static void draw_row(cvi_scene *s, const difference *d, const row *r, double x, double y) {
    char text[300];
    double right = x + box_w + gap_x;
    if (r->kind == ROW_SAME) {
        const cvi_arch_node *n = &d->a->nodes[r->a];
        describe(n, text, sizeof text);
        if (r->count > 1) {
            snprintf(text, sizeof text, cvi_tr(d->o->lang, "%d layers unchanged"), r->count);
        }
        draw_box(s, x, y, 2 * box_w + gap_x, ROW_SAME, text, n->name);
        return;
    }
    char other[300] = "";
    if (r->kind == ROW_CHANGED) {
        describe_change(d, r, text, other, sizeof text);
    } else {
        const cvi_arch_node *only = r->a >= 0 ? &d->a->nodes[r->a] : &d->b->nodes[r->b];
        describe(only, text, sizeof text);
        describe(only, other, sizeof other);
    }
    if (r->a >= 0) {
        draw_box(s, x, y, box_w, r->kind, text, d->a->nodes[r->a].name);
    }
    if (r->b >= 0) {
        snprintf(text, sizeof text, "%s", other);
        draw_box(s, right, y, box_w, r->kind, text, d->b->nodes[r->b].name);
    }
    if (r->kind == ROW_CHANGED) {
        const cvi_paint line = {.stroke = s->theme->role[CVI_INK], .width = 0.8};
        cvi_draw_line(s, x + box_w + 3, y + box_h / 2, right - 4, y + box_h / 2, &line);
        cvi_draw_arrow_head(s, right - 2, y + box_h / 2, 1, 0, 4, s->theme->role[CVI_INK]);
    }
}

static void draw_repeat(cvi_scene *s, double x, double top, double bottom, int times) {
    const cvi_paint line = {.stroke = s->theme->role[CVI_MUTED], .width = 0.8};
    cvi_font font = {.size = 8, .bold = true, .color = s->theme->role[CVI_INK]};
    x += 2 * box_w + gap_x;
    cvi_path_begin(s);
    cvi_path_move(s, x + 3, top + 1);
    cvi_path_line(s, x + 7, top + 1);
    cvi_path_line(s, x + 7, bottom - 1);
    cvi_path_line(s, x + 3, bottom - 1);
    cvi_path_end(s, &line);
    cvi_draw_textf(s, x + 10, (top + bottom) / 2 + 3, &font, "×%d", times);
}

/* "+12.5 %" from one number to the other; nothing where they are equal. */
static void change_text(double from, double to, char *out, size_t size) {
    out[0] = 0;
    if (from > 0 && from != to) {
        snprintf(out, size, " (%+.3g %%)", 100 * (to - from) / from);
    }
}

static void draw_heading(cvi_scene *s, const difference *d, double x) {
    const cvi_arch *arch[2] = {d->a, d->b};
    cvi_font bold = {.size = 11, .bold = true, .color = s->theme->role[CVI_INK], .anchor = CVI_MIDDLE};
    cvi_font small = {.size = 7.5, .color = s->theme->role[CVI_MUTED], .anchor = CVI_MIDDLE};
    for (int i = 0; i < 2; i++) {
        double middle = x + i * (box_w + gap_x) + box_w / 2;
        char line[200], change[40];
        cvi_draw_text_fit(s, middle, 18, box_w, &bold, arch[i]->name);
        change_text((double)d->a->params, (double)arch[i]->params, change, sizeof change);
        snprintf(line, sizeof line, cvi_tr(d->o->lang, "%s parameters%s"),
                 cvi_short_number((double)arch[i]->params).text, change);
        cvi_draw_text_fit(s, middle, 31, box_w, &small, line);
        change_text((double)d->a->macs, (double)arch[i]->macs, change, sizeof change);
        snprintf(line, sizeof line, cvi_tr(d->o->lang, "%s MACs%s"),
                 cvi_short_number((double)arch[i]->macs).text, change);
        cvi_draw_text_fit(s, middle, 41, box_w, &small, line);
    }
    char line[240];
    snprintf(line, sizeof line, cvi_tr(d->o->lang, "%d layers unchanged, %d changed, %d removed, %d added"),
             d->n_of[ROW_SAME], d->n_of[ROW_CHANGED], d->n_of[ROW_REMOVED], d->n_of[ROW_ADDED]);
    small.color = s->theme->role[CVI_INK];
    cvi_draw_text_fit(s, x + box_w + gap_x / 2, 55, 2 * box_w + gap_x, &small, line);
}

static cvs_status draw_scene(difference *d, cvi_drawing *out) {
    char title[400];
    snprintf(title, sizeof title, "%s → %s", d->a->name, d->b->name);
    cvi_scene *s = out->scene = cvi_scene_new(d->o->lang, d->o->theme, d->o->title ? d->o->title : title);
    if (!s) {
        return cvi_no_memory(d->err, sizeof *s);
    }
    int total = 0, columns = 1;
    double room = 0; /* beside the boxes, for how often they repeat */
    for (int i = 0; i < d->n_parts; i++) {
        total += d->parts[i].period;
        room = d->parts[i].times > 1 ? repeat_room : room;
    }
    columns = CVI_MAX(1, (total + 69) / 70);
    double x = 12, y = head, bottom = head, pitch = 2 * box_w + gap_x + room + 12;
    draw_heading(s, d, x);
    int rows = 0, limit = (total + columns - 1) / columns;
    for (int i = 0; i < d->n_parts; i++) {
        const part *p = &d->parts[i];
        if (rows > 0 && rows + p->period > limit && x + pitch < 12 + columns * pitch) {
            x += pitch;
            y = head;
            rows = 0;
        }
        double top = y;
        for (int k = 0; k < p->period; k++, rows++) {
            draw_row(s, d, &d->rows[p->first + k], x, y);
            y += box_h + gap_y;
        }
        if (p->times > 1) {
            draw_repeat(s, x, top, y - gap_y, p->times);
        }
        bottom = CVI_MAX(bottom, y);
    }
    cvi_scene_page(s, x + pitch, bottom + 6);
    return CVS_OK;
}

/* As text: one line a layer, marked like a patch. */
static void write_text(const difference *d, cvi_buf *out) {
    static const char marks[] = " ~-+";
    char one[300], two[300];
    cvi_buf_printf(out, "--- %s\n+++ %s\n", d->a->name, d->b->name);
    for (int i = 0; i < d->n_parts; i++) {
        const part *p = &d->parts[i];
        for (int k = 0; k < p->period; k++) {
            const row *r = &d->rows[p->first + k];
            one[0] = two[0] = 0;
            if (r->kind == ROW_CHANGED) {
                describe_change(d, r, one, two, sizeof one);
            } else if (r->a >= 0) {
                describe(&d->a->nodes[r->a], one, sizeof one);
            }
            if (r->kind != ROW_CHANGED && r->b >= 0) {
                describe(&d->b->nodes[r->b], two, sizeof two);
            }
            if (r->kind == ROW_SAME && r->count > 1) {
                snprintf(one, sizeof one, cvi_tr(d->o->lang, "%d layers unchanged"), r->count);
            }
            cvi_buf_printf(out, "%c %s%s%s", marks[r->kind], one, r->kind == ROW_CHANGED ? " → " : "",
                           r->kind == ROW_SAME ? "" : two);
            if (p->times > 1) {
                cvi_buf_printf(out, "  ×%d", p->times);
            }
            cvi_buf_puts(out, "\n");
        }
    }
}

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    if (job->n != 2) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the style diff compares two models, %d given", job->n);
    }
    difference d = {.a = job->arch[0], .b = job->arch[1], .o = job->o, .err = err, .arena = cvi_arena_new(0)};
    cvs_status s = d.arena ? compare(&d) : cvi_no_memory(err, 0);
    if (s == CVS_OK) {
        find_repeats(&d);
        if (strcmp(job->extension, ".txt") == 0) {
            write_text(&d, &out->text);
        } else {
            s = draw_scene(&d, out);
        }
    }
    cvi_arena_free(d.arena);
    return s;
}

const cvi_draw_style cvi_style_diff = {
    .name = "diff",
    .en = "two models: what stayed, changed, was added and removed",
    .zh = "两个模型的差异：保留、改变、新增与删除的层",
    .pictures = true,
    .texts = ".txt",
    .most = 2,
    .draw = draw,
};
