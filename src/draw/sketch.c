/* SPDX-License-Identifier: MIT
 * sketch.c - the page that the picture styles share: title, captions, scales, rails, legend, notes.
 */
#include "draw/sketch.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#define MARGIN 12.0

/* ---- scales ------------------------------------------------------------------------------------------------ */

static double log_of(double v) {
    return log2(1.0 + fmax(v, 0.0));
}

cvi_size_scale cvi_size_scale_for(double least, double largest, double lo, double hi) {
    double span = log_of(largest) - log_of(least);
    if (!(span > 1e-9)) { /* one size only */
        return (cvi_size_scale){.a = (lo + hi) / 2, .b = 0.0};
    }
    double b = (hi - lo) / span;
    return (cvi_size_scale){.a = lo - b * log_of(least), .b = b};
}

double cvi_size_of(const cvi_size_scale *scale, double v) {
    return scale->a + scale->b * log_of(v);
}

cvi_color cvi_shade(cvi_color c, double amount) {
    cvi_color out = c & 0xFF;
    for (int i = 0; i < 3; i++) {
        double v = (double)(c >> (24 - 8 * i) & 0xFF);
        v = amount < 0.0 ? v * (1.0 + amount) : v + (255.0 - v) * amount;
        out |= (cvi_color)(v + 0.5) << (24 - 8 * i);
    }
    return out;
}

double cvi_fit_width(cvs_fit fit) {
    static const double millimetres[] = {0.0, 88.0, 180.0, 254.0};
    return millimetres[fit] * 72.0 / 25.4;
}

void cvi_draw_polygon(cvi_scene *s, const double *xy, int n, const cvi_paint *paint) {
    cvi_path_begin(s);
    cvi_path_move(s, xy[0], xy[1]);
    for (int i = 1; i < n; i++) {
        cvi_path_line(s, xy[2 * i], xy[2 * i + 1]);
    }
    cvi_path_close(s);
    cvi_path_end(s, paint);
}

/* ---- words --------------------------------------------------------------------------------------------------- */

const char *cvi_sketch_tr(const cvi_sketch *k, const char *english) {
    return cvi_tr(k->o->lang, english);
}

cvi_font cvi_sketch_font(const cvi_sketch *k, double size, bool bold, cvi_theme_role color) {
    return (cvi_font){.size = size, .bold = bold, .color = k->t->role[color]};
}

const char *cvi_sketch_text(cvi_sketch *k, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *copy = cvi_arena_strn(k->view->arena, text, strlen(text));
    k->s->failed = k->s->failed || copy == NULL;
    return copy != NULL ? copy : "";
}

static const char *window_of(cvi_sketch *k, const cvi_arch_node *n) {
    if (!n->windowed || n->kernel[0] <= 0) {
        return "";
    }
    return n->axes == 1   ? cvi_sketch_text(k, "%lld ", (long long)n->kernel[0])
           : n->axes == 2 ? cvi_sketch_text(k, "%lld×%lld ", (long long)n->kernel[0], (long long)n->kernel[1])
                          : cvi_sketch_text(k, "%lld×%lld×%lld ", (long long)n->kernel[0],
                                            (long long)n->kernel[1], (long long)n->kernel[2]);
}

const char *cvi_sketch_caption(cvi_sketch *k, int box) {
    const cvi_arch_node *n = &k->node[box];
    const cvi_box *b = &k->view->boxes[box];
    if (k->o->labels & CVS_LABEL_NAMES) {
        return n->name;
    }
    if (b->kind == CVI_BOX_GROUP && k->arch->groups[b->index].kind == CVI_GROUP_STAGE) {
        return cvi_sketch_text(k, cvi_sketch_tr(k, "%d layers"), k->arch->groups[b->index].count);
    }
    if (b->kind == CVI_BOX_GROUP) {
        return b->times > 1 && strstr(n->title, "×") == NULL
                   ? cvi_sketch_text(k, "%s ×%d", n->title, b->times)
                   : n->title;
    }
    if (n->kind == CVI_NODE_INPUT) {
        return n->name;
    }
    int64_t stride = n->windowed ? CVI_MAX(n->stride[0], n->axes > 1 ? n->stride[1] : 1) : 1;
    const char *word = n->word[0] != '\0' ? n->word : n->op;
    const char *text = stride > 1
                           ? cvi_sketch_text(k, "%s%s %s%lld", window_of(k, n), word,
                                             n->cls == CVI_CLASS_UPSAMPLE ? "↑" : "/", (long long)stride)
                           : cvi_sketch_text(k, "%s%s", window_of(k, n), word);
    return text; /* its frame says how often */
}

/* The layer's share of a cost: value and sum by o->cost (MACs where none is asked). */
static double cost_of(const cvi_sketch *k, int box) {
    const cvi_arch_node *n = &k->node[box];
    int64_t v = k->o->cost == CVS_COST_PARAMS   ? n->params
                : k->o->cost == CVS_COST_MEMORY ? n->bytes
                                                : n->macs;
    return (double)CVI_MAX(v, 0) * (k->view->boxes[box].kind == CVI_BOX_NODE ? k->view->boxes[box].times : 1);
}

void cvi_sketch_cost_bar(cvi_sketch *k, int box, double x) {
    double tall = 20, h = k->most_cost > 0 ? tall * cost_of(k, box) / k->most_cost : 0;
    cvi_paint bar = {.fill = k->t->role[h > tall / 2 ? CVI_MARK : CVI_MUTED]},
              base = {.stroke = k->t->role[CVI_LINE], .width = 0.6};
    if (k->o->cost == CVS_COST_NONE) {
        return;
    }
    cvi_draw_rect(k->s, x - 3, k->y + tall - h, 6, fmax(h, 0.01), 0, &bar);
    cvi_draw_line(k->s, x - 5, k->y + tall, x + 5, k->y + tall, &base);
}

static const char *cost_name(const cvi_sketch *k) {
    return cvi_sketch_tr(k, k->o->cost == CVS_COST_PARAMS   ? "parameters"
                            : k->o->cost == CVS_COST_MEMORY ? "activation bytes"
                                                            : "multiply-adds");
}

/* The boxes that cost most as one sentence, or NULL where o->cost asks for none. */
static const char *costliest(cvi_sketch *k) {
    double sum = 0.0, value[3] = {0, 0, 0};
    int best[3] = {-1, -1, -1};
    if (k->o->cost == CVS_COST_NONE) {
        return NULL;
    }
    for (int i = 0; i < k->view->n_boxes; i++) {
        double v = cost_of(k, i);
        sum += v;
        for (int r = 0; r < 3; r++) {
            if (v > value[r]) {
                for (int q = 2; q > r; q--) {
                    value[q] = value[q - 1];
                    best[q] = best[q - 1];
                }
                value[r] = v;
                best[r] = i;
                break;
            }
        }
    }
    const char *text = cvi_sketch_text(k, cvi_sketch_tr(k, "Most %s:"), cost_name(k));
    for (int r = 0; r < 3 && best[r] >= 0; r++) {
        text = cvi_sketch_text(k, "%s%s %.60s %s (%.0f %%)", text, r > 0 ? "," : "", k->node[best[r]].name,
                               cvi_short_number(value[r]).text, 100.0 * value[r] / sum);
    }
    return cvi_sketch_text(k, "%s.", text);
}

void cvi_sketch_box_begin(cvi_sketch *k, int box) {
    const cvi_arch_node *n = &k->node[box];
    char in[64], out[64];
    k->used[n->cls] = true;
    const char *title =
        cvi_sketch_text(k, "%.200s: %.100s, %s → %s, %s %s, %s MAC", n->name, n->title,
                        cvi_shape_short(&n->in, in, sizeof in), cvi_shape_short(&n->out, out, sizeof out),
                        cvi_short_number((double)n->params).text, cvi_sketch_tr(k, "parameters"),
                        cvi_short_number((double)n->macs).text);
    cvi_group_begin(k->s, k->view->boxes[box].id, title, NULL);
}

/* ---- settings -------------------------------------------------------------------------------------------------- */

/* The value of key in "a=1,b=2": NULL when absent. */
static const char *find_setting(const char *list, const char *key) {
    size_t n = strlen(key);
    for (const char *p = list; p != NULL && *p != '\0'; p += *p == ',') {
        if (strncmp(p, key, n) == 0 && p[n] == '=') {
            return p + n + 1;
        }
        p += strcspn(p, ",");
    }
    return NULL;
}

cvs_status cvi_sketch_setting(const cvs_draw_options *o, const char *key, double lo, double hi,
                              double otherwise, double *out, cvs_error *err) {
    const char *text = find_setting(o->extra, key);
    char *end = NULL;
    *out = otherwise;
    if (text == NULL) {
        return CVS_OK;
    }
    double v = strtod(text, &end);
    if (end == text || (*end != ',' && *end != '\0') || !(v >= lo && v <= hi)) {
        return cvi_fail(err, CVS_E_ARGUMENT, "%s is a number from %g to %g", key, lo, hi);
    }
    *out = v;
    return CVS_OK;
}

cvs_status cvi_sketch_settings(const cvs_draw_options *o, const char *known, cvs_error *err) {
    for (const char *p = o->extra; p != NULL && *p != '\0'; p += *p == ',') {
        size_t n = strcspn(p, "=,");
        bool found = false;
        for (const char *w = known; *w != '\0'; w += *w == ' ') {
            size_t m = strcspn(w, " ");
            found = found || (m == n && strncmp(w, p, n) == 0);
            w += m;
        }
        if (!found || p[n] != '=') {
            return cvi_fail(err, CVS_E_ARGUMENT, "this style has no setting \"%.*s\"; it has: %s",
                            (int)CVI_MIN(n, 40), p, known[0] != '\0' ? known : "-");
        }
        p += strcspn(p, ",");
    }
    return CVS_OK;
}

/* ---- rails ------------------------------------------------------------------------------------------------------- */

static int by_length(const void *a, const void *b) {
    const cvi_rail *p = a, *q = b;
    int lp = p->to - p->from, lq = q->to - q->from;
    return lp != lq             ? (lp < lq ? -1 : 1)
           : p->from != q->from ? (p->from < q->from ? -1 : 1)
                                : p->link - q->link;
}

int cvi_rail_levels(cvi_rail *rails, int n) {
    int levels = 0;
    if (n > 0) {
        qsort(rails, (size_t)n, sizeof *rails, by_length);
    }
    for (int i = 0; i < n; i++) {
        int level = 0;
        for (int j = 0; j < i; j++) { /* above everything shorter that shares a part of its span */
            bool share = rails[j].from < rails[i].to && rails[i].from < rails[j].to;
            level = share ? CVI_MAX(level, rails[j].level + 1) : level;
        }
        rails[i].level = level;
        levels = CVI_MAX(levels, level + 1);
    }
    return levels;
}

/* ---- the page -------------------------------------------------------------------------------------------------------- */

static const char *summary_line(cvi_sketch *k) {
    const cvi_arch *a = k->arch;
    if (a->model == NULL) { /* a description of sizes says nothing of weights and products */
        return cvi_sketch_text(k, cvi_sketch_tr(k, "input %s"), a->input);
    }
    return cvi_sketch_text(k, cvi_sketch_tr(k, "input %s · %s parameters · %s multiply-adds"), a->input,
                           cvi_short_number((double)a->params).text, cvi_short_number((double)a->macs).text);
}

static void draw_head(cvi_sketch *k) {
    const char *title = k->o->title != NULL ? k->o->title : k->arch->name;
    cvi_font head = cvi_sketch_font(k, 10, true, CVI_INK), note = cvi_sketch_font(k, 6.5, false, CVI_MUTED);
    double width = fmin(k->limit, 500.0);
    if (title[0] != '\0') {
        k->y += 9;
        double w = cvi_draw_text_fit(k->s, k->left, k->y, width, &head, title);
        k->right = fmax(k->right, k->left + w);
        k->y += 10;
        w = cvi_draw_text_fit(k->s, k->left, k->y, width, &note, summary_line(k));
        k->right = fmax(k->right, k->left + w);
        k->y += 9;
    }
}

static cvs_status begin(cvi_sketch *k, const cvi_draw_job *job, const uint8_t *open, int most,
                        cvs_error *err) {
    *k = (cvi_sketch){.o = job->o, .arch = job->arch[0], .left = MARGIN, .y = MARGIN, .right = MARGIN};
    double page = cvi_fit_width(k->o->fit);
    k->limit = (page > 0.0 ? page : 880.0) - 2 * MARGIN;
    CVI_TRY(cvi_view_make(k->arch, k->o, open, most, &k->view, err));
    k->node = cvi_calloc((size_t)CVI_MAX(k->view->n_boxes, 1), sizeof *k->node);
    k->s = cvi_scene_new(k->o->lang, k->o->theme, k->o->title != NULL ? k->o->title : k->arch->name);
    if (k->node == NULL || k->s == NULL) {
        return cvi_no_memory(err, (size_t)k->view->n_boxes * sizeof *k->node);
    }
    k->t = k->s->theme;
    for (int i = 0; i < k->view->n_boxes; i++) {
        cvi_box_node(k->view, i, &k->node[i]);
        k->most_cost = fmax(k->most_cost, cost_of(k, i));
    }
    draw_head(k);
    return CVS_OK;
}

cvs_status cvi_sketch_begin(cvi_sketch *k, const cvi_draw_job *job, int most, cvs_error *err) {
    return begin(k, job, NULL, most, err);
}

cvs_status cvi_sketch_begin_blocks(cvi_sketch *k, const cvi_draw_job *job, cvs_error *err) {
    const cvi_arch *a = job->arch[0];
    if (job->o->depth > 0 || job->o->expand != NULL || job->o->fold == CVS_FOLD_NONE) {
        return begin(k, job, NULL, 0, err);
    }
    *k = (cvi_sketch){0};
    uint8_t *open = cvi_calloc((size_t)CVI_MAX(a->n_groups, 1), 1);
    if (open == NULL) {
        return cvi_no_memory(err, (size_t)a->n_groups);
    }
    for (int g = 0; g < a->n_groups; g++) { /* to fold one box would hide nothing */
        const cvi_arch_group *group = &a->groups[g];
        int unit = group->count / CVI_MAX(group->repeat, 1); /* a block of many boxes is most of the net */
        open[g] = group->kind == CVI_GROUP_STAGE || unit > 18 ? 1 : unit < 2 ? 2 : 0;
    }
    cvs_status s = begin(k, job, open, 0, err);
    cvi_free(open);
    return s;
}

static void draw_legend(cvi_sketch *k, double width) {
    cvi_font small = cvi_sketch_font(k, 6.5, false, CVI_INK);
    double x = k->left;
    bool any = false;
    k->y += 4;
    for (int c = 0; c < CVI_N_CLASSES; c++) {
        if (!k->used[c]) {
            continue;
        }
        const char *name = cvi_sketch_tr(k, k->t->look[c].name);
        double w = 11 + cvi_text_width(&small, name);
        if (x + w > k->left + width && x > k->left) {
            x = k->left;
            k->y += 11;
        }
        cvi_paint box = cvi_class_paint(k->t, (cvi_class)c, 0.6);
        cvi_draw_rect(k->s, x + 0.5, k->y, 7.5, 7.5, 1.0, &box);
        cvi_draw_text(k->s, x + 11, k->y + 6.3, &small, name);
        k->right = fmax(k->right, x + w);
        x += w + 10;
        any = true;
    }
    k->y += any ? 13 : 0;
}

static void draw_note(cvi_sketch *k, double width, const char *text) {
    cvi_font note = cvi_sketch_font(k, 6.5, false, CVI_MUTED);
    int lines = cvi_draw_text_wrap(k->s, k->left, k->y + 6, width, 8.5, 0, &note, text);
    for (int i = 1; i <= lines; i++) { /* the last items are its lines */
        k->right = fmax(k->right, k->left + k->s->items[k->s->n_items - i].w);
    }
    k->y += 8.5 * lines + 1.5;
}

cvs_status cvi_sketch_end(cvi_sketch *k, const char *const *notes, cvi_drawing *out, cvs_error *err) {
    double page = cvi_fit_width(k->o->fit), width = fmin(k->limit, fmax(k->right - k->left, 320.0));
    if (!(k->o->labels & CVS_LABEL_NONE)) {
        draw_legend(k, width);
        for (int i = 0; notes != NULL && notes[i] != NULL; i++) {
            draw_note(k, width, notes[i]);
        }
        const char *cost = costliest(k);
        if (cost != NULL) {
            draw_note(k, width, cost);
        }
        if (k->arch->warning != NULL) {
            draw_note(k, width, k->arch->warning);
        }
    }
    cvi_scene_page(k->s, page > 0.0 ? page : k->right + MARGIN, k->y + MARGIN - 2);
    if (k->s->failed) {
        return cvi_no_memory(err, sizeof(cvi_scene));
    }
    out->scene = k->s;
    k->s = NULL;
    return CVS_OK;
}

void cvi_sketch_free(cvi_sketch *k) {
    cvi_scene_free(k->s);
    cvi_free(k->node);
    cvi_view_free(k->view);
    *k = (cvi_sketch){0};
}
