/* SPDX-License-Identifier: MIT
 * style_fc.c - the architecture as columns of neurons: the first ones, an ellipsis, the last one; lines are weights, the real
 * ones of a dense layer where the model has them (colour = sign, width = size), and how many of them are drawn is said.
 */
#include "convscope/run.h"
#include "draw/sketch.h"

#include <math.h>

enum { MOST_NEURONS = 12 };

typedef struct column {
    int box;
    double x;
    int64_t units;
    int shown; /* circles; with an ellipsis before the last one when fewer than units */
    const char *label;
} column;

typedef struct net {
    cvi_sketch *k;
    column *at;
    int n;
    double top, step;
    int64_t drawn, all; /* lines */
    bool real;
} net;

static int64_t neuron(const column *c, int i) {
    return i + 1 == c->shown ? c->units - 1 : i;
}

static double neuron_y(const net *t, const column *c, int i) {
    double most = MOST_NEURONS + 1, own = c->shown + (c->units > c->shown);
    double slot = i + 1 == c->shown && c->units > c->shown ? i + 1 : i;
    return t->top + t->step * ((most - own) / 2 + slot + 0.5);
}

/* The boxes of the main path that hold vectors, and the one before the first. */
static cvs_status find_columns(net *t, cvs_error *err) {
    cvi_sketch *k = t->k;
    const cvi_view *v = k->view;
    t->at = cvi_calloc((size_t)CVI_MAX(v->n_boxes, 1), sizeof *t->at);
    if (t->at == NULL) {
        return cvi_no_memory(err, sizeof *t->at);
    }
    for (int i = 0; i < v->n_boxes; i++) {
        const cvi_shape *s = &k->node[i].out;
        bool vector = s->rank >= 0 && s->rank <= 2 && k->node[i].cls != CVI_CLASS_SOFTMAX;
        if (!vector && t->n > 0 && t->at[t->n - 1].box == i - 1 && i - 1 == t->at[0].box) {
            t->n = 0; /* only the last map before the vectors */
        }
        if (vector || t->n == 0 || (t->n == 1 && t->at[0].units == 0)) {
            t->n = !vector && t->n == 1 ? 0 : t->n;
            int64_t c = CVI_MAX(cvi_shape_channels(s), 1), h = CVI_MAX(cvi_shape_height(s), 1),
                    w = CVI_MAX(cvi_shape_width(s), 1), units = 0;
            bool fits = cvi_mul(c, vector ? 1 : h, &units) && cvi_mul(units, vector ? 1 : w, &units);
            t->at[t->n++] = (column){.box = i, .units = fits ? units : INT32_MAX};
        }
    }
    for (int i = 0; i < t->n; i++) {
        column *c = &t->at[i];
        c->shown = (int)CVI_MIN(c->units, MOST_NEURONS);
        c->label =
            cvi_count(c->units).text[0] != '\0' ? cvi_sketch_text(k, "%s", cvi_count(c->units).text) : "";
    }
    return CVS_OK;
}

/* The weight [to][from] of a dense layer's kernel, when it has that shape. */
static bool weights_of(const net *t, const cvi_draw_job *job, int i, cvs_tensor *kernel) {
    const column *a = &t->at[i - 1], *b = &t->at[i];
    cvs_tensor raw = {0}, bias = {0};
    const cvi_arch_node *n = &t->k->node[b->box];
    cvs_model_info info;
    *kernel = (cvs_tensor){0};
    if (job->source[0].model == NULL || n->cls != CVI_CLASS_DENSE ||
        t->k->view->boxes[b->box].kind != CVI_BOX_NODE) {
        return false;
    }
    cvs_model_describe(job->source[0].model, &info);
    if (!info.has_weights || cvs_model_filters(job->source[0].model, n->layer, &raw, &bias, NULL) != CVS_OK) {
        return false;
    }
    bool good = raw.dim[0] == b->units && cvs_tensor_count(&raw) == a->units * b->units &&
                cvs_tensor_convert(&raw, CVS_F32, kernel, NULL) == CVS_OK;
    cvs_tensor_free(&raw);
    cvs_tensor_free(&bias);
    return good;
}

static void draw_lines(net *t, const cvi_draw_job *job, int i) {
    cvi_sketch *k = t->k;
    const column *a = &t->at[i - 1], *b = &t->at[i];
    cvs_tensor kernel;
    bool real = weights_of(t, job, i, &kernel);
    const float *w = kernel.data;
    double most = 0;
    for (int p = 0; real && p < a->shown; p++) {
        for (int q = 0; q < b->shown; q++) {
            most = fmax(most, fabs((double)w[neuron(b, q) * a->units + neuron(a, p)]));
        }
    }
    for (int p = 0; p < a->shown; p++) {
        for (int q = 0; q < b->shown; q++) {
            double v = real && most > 0 ? (double)w[neuron(b, q) * a->units + neuron(a, p)] / most : 0;
            cvi_paint line = {.stroke = k->t->role[CVI_LINE], .width = 0.35};
            if (real) {
                line.stroke = k->t->role[v < 0 ? CVI_NEGATIVE : CVI_POSITIVE];
                line.stroke = (line.stroke & ~0xFFu) | (cvi_color)(40 + 200 * fabs(v));
                line.width = 0.15 + 1.1 * fabs(v);
            }
            cvi_draw_line(k->s, a->x, neuron_y(t, a, p), b->x, neuron_y(t, b, q), &line);
            t->drawn++;
        }
    }
    t->real = t->real || real;
    t->all += a->units > INT32_MAX / b->units ? INT32_MAX : a->units * b->units;
    cvs_tensor_free(&kernel);
}

static void draw_column(net *t, const column *c) {
    cvi_sketch *k = t->k;
    cvi_paint ring = cvi_class_paint(k->t, k->node[c->box].cls, 0.8);
    cvi_paint dot = {.fill = k->t->role[CVI_MUTED]};
    cvi_font bold = cvi_sketch_font(k, 6.5, true, CVI_INK), small = cvi_sketch_font(k, 6.2, false, CVI_MUTED);
    double r = t->step * 0.36, gap = neuron_y(t, c, c->shown - 1) - t->step;
    ring.hatch = CVI_HATCH_NONE;
    bold.anchor = small.anchor = CVI_MIDDLE;
    cvi_sketch_box_begin(k, c->box);
    for (int i = 0; i < c->shown; i++) {
        cvi_draw_circle(k->s, c->x, neuron_y(t, c, i), r, &ring);
    }
    for (int d = -1; d <= 1 && c->units > c->shown; d++) {
        cvi_draw_circle(k->s, c->x, gap + d * t->step * 0.26, 0.8, &dot);
    }
    cvi_draw_text(k->s, c->x, t->top - 5, &bold, c->label);
    cvi_draw_text_fit(k->s, c->x, t->top + t->step * (MOST_NEURONS + 1) + 9, 62, &small,
                      cvi_sketch_caption(k, c->box));
    cvi_group_end(k->s);
    k->right = fmax(k->right, c->x + 34);
}

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    cvi_sketch k;
    net t = {.k = &k};
    CVI_TRY(cvi_sketch_settings(job->o, "", err));
    cvs_status s = cvi_sketch_begin_blocks(&k, job, err);
    s = s == CVS_OK ? find_columns(&t, err) : s;
    if (s == CVS_OK) {
        int per_row = CVI_MAX(2, (int)((k.limit - 60) / 66) + 1);
        double pitch = t.n > 1 ? fmin(92, (k.limit - 68) / (CVI_MIN(t.n, per_row) - 1)) : 0;
        t.step = 12;
        for (int first = 0; first < t.n; first += per_row) {
            int end = CVI_MIN(first + per_row, t.n);
            t.top = k.y + 14;
            for (int i = first; i < end; i++) {
                t.at[i].x = k.left + 34 + pitch * (i - first);
            }
            for (int i = first + 1; i < end; i++) {
                draw_lines(&t, job, i);
            }
            for (int i = first; i < end; i++) {
                draw_column(&t, &t.at[i]);
            }
            k.y = t.top + t.step * (MOST_NEURONS + 1) + 18;
        }
        const char *notes[] = {
            cvi_sketch_text(
                &k,
                cvi_sketch_tr(
                    &k, "Neurons beyond %d in a column stand in its dots: %s of %s connections are drawn."),
                (int)MOST_NEURONS, cvi_count(t.drawn).text, cvi_count(t.all).text),
            t.real ? cvi_sketch_tr(&k, "Coloured lines are real weights: red positive, blue negative, "
                                       "thicker = larger; grey ones only connect.")
                   : cvi_sketch_tr(&k, "Lines say what is connected; they are not weights."),
            cvi_sketch_tr(&k, "Drawn: the vectors of the network and what feeds the first of them."), NULL};
        s = cvi_sketch_end(&k, notes, out, err);
    }
    cvi_free(t.at);
    cvi_sketch_free(&k);
    return s;
}

const cvi_draw_style cvi_style_fc = {
    .name = "fc",
    .en = "columns of neurons; real weights as lines where the model has them",
    .zh = "神经元列；模型有权重时连线表示真实权重",
    .pictures = true,
    .most = 1,
    .draw = draw,
};
