/* SPDX-License-Identifier: MIT
 * follow.c - one unit's way, forward beside backward: what went up to it in every layer, and what comes back from it under three rules.
 */
#include <math.h>

#include "convscope/connections.h"
#include "engine/run_state.h"
#include "explain/unit.h"

enum { USUAL_LAYERS = 8, MOST_LAYERS = 64 };

typedef struct way {
    cvs_run *run;
    cvi_exec *exec;
    int64_t sample;
    int value;       /* the unit's layer */
    cvs_tensor seed; /* owned */
    int n, values[MOST_LAYERS + 1];
    cvs_signals *out;
    cvs_error *err;
} way;

void cvs_signals_free(cvs_signals *s) {
    if (s) {
        for (int i = 0; s->layers && i < s->n; i++) {
            cvs_tensor_free(&s->layers[i].forward);
            for (int k = 0; k < CVS_SIGNAL_RULES; k++) {
                cvs_tensor_free(&s->layers[i].back[k]);
            }
        }
        cvi_free(s->layers);
        *s = (cvs_signals){0};
    }
}

/* A value with channels that a gradient can reach. */
static bool fits(way *w, int v) {
    cvs_tensor t;
    cvi_planes p;
    cvs_error quiet = {0};
    return cvi_exec_value(w->exec, v, &t, &quiet) == CVS_OK &&
           cvi_planes_of(&t, w->sample, "", &p, &quiet) == CVS_OK && t.rank >= 2;
}

/* Layers that lie before the unit's, from it down; evenly thinned; the input last. */
static cvs_status choose_layers(way *w, int most) {
    const cvi_graph *g = w->run->model->graph;
    bool *before = cvi_calloc((size_t)g->n_values, sizeof *before);
    int *list = cvi_calloc((size_t)g->n_values, sizeof *list), n = 0;
    if (!before || !list) {
        cvi_free(before);
        cvi_free(list);
        return cvi_no_memory(w->err, (size_t)g->n_values * sizeof *list);
    }
    before[w->value] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const cvi_node *node = &g->nodes[i];
        bool any = false;
        for (int k = 0; k < node->n_out; k++) {
            any = any || (node->out[k] >= 0 && before[node->out[k]]);
        }
        for (int k = 0; k < node->n_in && any; k++) {
            if (node->in[k] >= 0) {
                before[node->in[k]] = true;
            }
        }
    }
    for (int i = cvi_graph_n_layers(g) - 1; i >= 0; i--) {
        int v = cvi_graph_layer(g, i);
        if (before[v] && fits(w, v)) {
            list[n++] = v;
        }
    }
    int shown = CVI_MIN(n, most);
    for (int i = 0; i < shown; i++) {
        w->values[w->n++] = list[shown > 1 ? (int)((int64_t)i * (n - 1) / (shown - 1)) : 0];
    }
    if (before[g->inputs[0]] && fits(w, g->inputs[0])) {
        w->values[w->n++] = g->inputs[0];
    }
    cvi_free(before);
    cvi_free(list);
    return CVS_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

static double share_of_zeros(const float *v, int64_t n) {
    int64_t zeros = 0;
    for (int64_t i = 0; i < n; i++) {
        zeros += !(v[i] < 0 || v[i] > 0);
    }
    return (double)zeros / (double)CVI_MAX(n, 1);
}

/* The channel of the largest sum of |a g|. */
static int64_t strongest(const cvi_planes *a, const float *g) {
    int64_t area = a->rows * a->columns, best = 0;
    double most = -1;
    for (int64_t c = 0; c < a->channels; c++) {
        double sum = 0;
        for (int64_t i = 0; i < area; i++) {
            sum += fabs((double)a->data[c * area + i] * (double)g[c * area + i]);
        }
        if (sum > most) {
            most = sum;
            best = c;
        }
    }
    return best;
}

/* The shown channel of numbers that lie like a; of the input all channels. */
static cvs_status take(const way *w, const cvs_signal *s, const cvi_planes *a, const float *v,
                       cvs_tensor *out) {
    int64_t area = a->rows * a->columns, all[3] = {a->channels, a->rows, a->columns};
    CVI_TRY(cvs_tensor_new(out, CVS_F32, s->input ? 3 : 2, s->input ? all : all + 1, w->err));
    memcpy(out->data, s->input ? v : v + s->channel * area, out->bytes);
    return CVS_OK;
}

static cvs_status read_layer(way *w, int i, int rule) {
    cvs_signal *s = &w->out->layers[i];
    int v = w->values[i];
    cvs_tensor t, gradient;
    cvi_planes a;
    CVI_TRY(cvi_exec_value(w->exec, v, &t, w->err));
    CVI_TRY(cvi_planes_of(&t, w->sample, s->layer, &a, w->err));
    CVI_TRY(cvi_exec_gradient(w->exec, v, &gradient, w->err));
    const float *g = (const float *)gradient.data + a.first;
    int64_t n = a.channels * a.rows * a.columns;
    if (rule == 0) {
        s->channels = a.channels;
        s->channel = v == w->value ? w->out->channel : strongest(&a, g);
        s->zeros[0] = share_of_zeros(a.data, n);
        CVI_TRY(take(w, s, &a, a.data, &s->forward));
    }
    s->zeros[1 + rule] = share_of_zeros(g, n);
    return take(w, s, &a, g, &s->back[rule]);
}

static cvs_status follow(way *w) {
    static const cvi_rule rules[CVS_SIGNAL_RULES] = {CVI_GRADIENT, CVI_DECONVNET, CVI_GUIDED};
    const cvi_graph *g = w->run->model->graph;
    w->out->layers = cvi_calloc((size_t)w->n, sizeof *w->out->layers);
    if (!w->out->layers) {
        return cvi_no_memory(w->err, (size_t)w->n * sizeof *w->out->layers);
    }
    w->out->n = w->n;
    for (int i = 0; i < w->n; i++) {
        cvi_copy_text(w->out->layers[i].layer, sizeof w->out->layers[i].layer, g->values[w->values[i]].name);
        w->out->layers[i].input = g->values[w->values[i]].producer < 0;
    }
    for (int rule = 0; rule < CVS_SIGNAL_RULES; rule++) {
        CVI_TRY(cvi_exec_backward(w->exec, rules[rule], &w->value, &w->seed, 1, w->values, w->n, w->err));
        for (int i = 0; i < w->n; i++) {
            CVI_TRY(read_layer(w, i, rule));
        }
    }
    return CVS_OK;
}

/* The unit: its place, its value, the seed. */
static cvs_status find_unit(way *w, const cvs_unit_options *o) {
    const cvi_graph *g = w->run->model->graph;
    cvs_tensor t;
    cvi_planes a;
    CVI_TRY(cvi_ops_find_layer(g, o->layer ? o->layer : "last-conv", &w->value, w->err));
    cvi_copy_text(w->out->layer, sizeof w->out->layer, g->values[w->value].name);
    CVI_TRY(cvi_exec_value(w->exec, w->value, &t, w->err));
    CVI_TRY(cvi_planes_of(&t, w->sample, w->out->layer, &a, w->err));
    CVI_TRY(cvi_planes_channel(&a, o->channel, w->out->layer, w->err));
    int64_t largest = cvi_planes_largest(&a, o->channel);
    w->out->channel = o->channel;
    w->out->row = o->has_position ? o->row : largest / a.columns;
    w->out->column = o->has_position ? o->column : largest % a.columns;
    if (w->out->row < 0 || w->out->row >= a.rows || w->out->column < 0 || w->out->column >= a.columns) {
        return cvi_fail(w->err, CVS_E_NOT_FOUND,
                        "there is no unit at row %lld, column %lld: layer %.80s has %lld x %lld positions",
                        (long long)w->out->row, (long long)w->out->column, w->out->layer, (long long)a.rows,
                        (long long)a.columns);
    }
    int64_t at = (o->channel * a.rows + w->out->row) * a.columns + w->out->column;
    w->out->value = (double)a.data[at];
    CVI_TRY(cvs_tensor_new(&w->seed, CVS_F32, t.rank, t.dim, w->err));
    ((float *)w->seed.data)[a.first + at] = 1.0f;
    return CVS_OK;
}

cvs_status cvs_follow(cvs_run *run, const cvs_unit_options *options, int most, cvs_signals *out,
                      cvs_error *err) {
    way w = {.run = run, .sample = options->sample, .out = out, .err = err};
    bool owned;
    *out = (cvs_signals){0};
    CVI_TRY(cvi_exec_of_sample(run, &w.sample, &w.exec, &owned, err));
    cvs_status s = find_unit(&w, options);
    s = s == CVS_OK ? choose_layers(&w, CVI_MIN(most > 0 ? most : USUAL_LAYERS, MOST_LAYERS)) : s;
    s = s == CVS_OK ? follow(&w) : s;
    cvs_tensor_free(&w.seed);
    if (owned) {
        cvi_exec_free(w.exec);
    }
    if (s != CVS_OK) {
        cvs_signals_free(out);
        return s;
    }
    snprintf(out->caption, sizeof out->caption,
             cvi_tr(options->lang,
                    "Unit of channel %lld of layer %s at row %lld, column %lld, activation %.4g; signals "
                    "start from 1. In every layer the channel that takes the largest part "
                    "(activation times gradient). Convscope %s."),
             (long long)out->channel, out->layer, (long long)out->row, (long long)out->column, out->value,
             CVS_VERSION);
    return CVS_OK;
}
