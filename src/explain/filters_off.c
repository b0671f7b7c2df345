/* SPDX-License-Identifier: MIT
 * filters_off.c - filters put to their mean one by one, and what that does to the loss: only what follows them runs again. Where there are
 * too many, those whose first-order estimate |sum of gradient * (mean - output)| is smallest go first: they are the ones that may go.
 */
#include <math.h>
#include <stdlib.h>

#include "engine/run_state.h"
#include "explain/units.h"

typedef struct switching {
    const cvi_switching *s;
    const cvi_units *u;
    double **loss;
    bool **pick;       /* [units] -> [channels] that are tried */
    double **estimate; /* [units] -> [channels] */
    cvi_exec *exec;
    cvs_tensor x, seed;
    int logits; /* value */
    int64_t batch, done, all;
} switching;

static cvs_status make_room(switching *w) {
    cvs_error *err = w->s->err;
    size_t n = (size_t)w->u->n + 1;
    w->pick = cvi_calloc(n, sizeof *w->pick);
    w->estimate = cvi_calloc(n, sizeof *w->estimate);
    for (int i = 0; w->pick && w->estimate && i < w->u->n; i++) {
        size_t c = (size_t)w->u->list[i].channels;
        w->pick[i] = cvi_calloc(c, sizeof **w->pick);
        w->estimate[i] = cvi_calloc(c, sizeof **w->estimate);
        if (!w->pick[i] || !w->estimate[i]) {
            return cvi_no_memory(err, c * sizeof **w->estimate);
        }
    }
    return w->pick && w->estimate ? CVS_OK : cvi_no_memory(err, n * sizeof *w->pick);
}

static cvs_status plan(switching *w) {
    const cvi_switching *s = w->s;
    const cvi_graph *g = s->model->graph;
    int64_t fixed = g->values[g->inputs[0]].dim[0];
    cvs_summary sum;
    CVI_TRY(cvs_model_summarize(s->model, s->options, CVS_EN, &sum, s->err));
    int64_t fit = (256 << 20) / CVI_MAX(sum.activation_bytes, 1);
    cvs_summary_free(&sum);
    w->batch = fixed > 0 ? fixed : CVI_MAX(1, CVI_MIN(fit, CVI_MIN(s->l->n_first, 64)));
    cvs_tensor x = cvi_labelled_input(s->l, s->model, w->batch);
    CVI_TRY(cvs_tensor_new(&w->x, CVS_F32, x.rank, x.dim, s->err));
    cvi_exec_options o = {
        .pool = s->pool, .keep_aux = true, .max_bytes = s->options ? s->options->limits.max_memory_bytes : 0};
    cvs_logit_kind kind;
    w->logits = cvi_graph_logit(g, 0, &kind);
    return cvi_exec_new(g, &w->x, &o, &w->exec, s->err);
}

/* Sum of the losses of the first n samples of the exec; with seed, also d loss / d logits. */
static cvs_status loss_of(switching *w, int64_t first, int64_t n, bool seed, double *out) {
    const cvi_labelled *l = w->s->l;
    cvs_tensor t;
    CVI_TRY(cvi_exec_value(w->exec, w->logits, &t, w->s->err));
    int64_t k = cvs_tensor_count(&t) / CVI_MAX(w->batch, 1);
    double row[2], *z = k > 1 ? cvi_calloc((size_t)k, sizeof *z) : row;
    *out = 0.0;
    if (!z) {
        return cvi_no_memory(w->s->err, (size_t)k * sizeof *z);
    }
    cvs_status s =
        seed && !w->seed.data ? cvs_tensor_new(&w->seed, CVS_F32, t.rank, t.dim, w->s->err) : CVS_OK;
    for (int64_t b = 0; s == CVS_OK && b < n; b++) {
        int label = l->label[l->order[first + b]];
        for (int64_t i = 0; i < k; i++) {
            z[i] = cvi_get(&t, b * k + i);
        }
        if (k == 1) { /* one number for two classes */
            z[1] = z[0];
            z[0] = 0.0;
        }
        double loss = cvi_cross_entropy(z, CVI_MAX(k, 2), label);
        *out += loss;
        for (int64_t i = 0; seed && i < k; i++) {
            double p = exp(z[k == 1 ? 1 : i] - z[label] - loss); /* softmax: exp(z_i - log sum) */
            ((float *)w->seed.data)[b * k + i] = (float)(p - ((k == 1 ? 1 : i) == label));
        }
    }
    for (int64_t i = n * k; seed && s == CVS_OK && i < w->batch * k; i++) {
        ((float *)w->seed.data)[i] = 0.0f;
    }
    if (k > 1) {
        cvi_free(z);
    }
    return s;
}

static cvs_status forward(switching *w, int64_t first, int64_t n) {
    const cvi_labelled *l = w->s->l;
    for (int64_t b = 0; b < w->batch; b++) {
        int64_t at = l->order[first + CVI_MIN(b, n - 1)];
        memcpy((float *)w->x.data + b * l->pixels, l->x + at * l->pixels, (size_t)l->pixels * sizeof(float));
    }
    return cvi_exec_forward(w->exec, &w->x, -1, w->s->err);
}

static cvs_status estimate(switching *w, int64_t first, int64_t n) {
    double loss;
    CVI_TRY(forward(w, first, n));
    CVI_TRY(loss_of(w, first, n, true, &loss));
    for (int i = 0; i < w->u->n; i++) {
        const cvi_unit *u = &w->u->list[i];
        for (int p = 0; p < u->n_point && !u->answer; p++) {
            const double *mean = u->mean + p * u->channels;
            cvs_tensor v, g;
            cvs_error quiet = {0};
            if (cvi_exec_backward(w->exec, CVI_GRADIENT, &w->logits, &w->seed, 1, &u->point[p], 1, &quiet) !=
                    CVS_OK ||
                cvi_exec_gradient(w->exec, u->point[p], &g, &quiet) != CVS_OK) {
                continue; /* no gradient comes here: all are tried alike */
            }
            CVI_TRY(cvi_exec_value(w->exec, u->point[p], &v, w->s->err));
            int64_t area = cvs_tensor_count(&v) / (v.dim[0] * u->channels);
            for (int64_t k = 0; k < n * u->channels * area; k++) {
                int64_t c = k / area % u->channels;
                w->estimate[i][c] += cvi_get(&g, k) * (mean[c] - cvi_get(&v, k));
            }
        }
    }
    return CVS_OK;
}

typedef struct candidate {
    double size;
    int unit, channel;
} candidate;

static int smallest_first(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->size != y->size) {
        return x->size < y->size ? -1 : 1;
    }
    return x->unit != y->unit ? x->unit - y->unit : x->channel - y->channel;
}

/* As many as the work allows; what follows a unit costs the share of the network behind it. */
static cvs_status choose(switching *w, bool *limited) {
    int64_t total = 0, n = 0;
    for (int i = 0; i < w->u->n; i++) {
        total += w->u->list[i].answer ? 0 : w->u->list[i].channels;
    }
    candidate *all = cvi_calloc((size_t)total + 1, sizeof *all);
    if (!all) {
        return cvi_no_memory(w->s->err, (size_t)total * sizeof *all);
    }
    for (int i = 0; i < w->u->n; i++) {
        const cvi_unit *u = &w->u->list[i];
        for (int c = 0; c < u->channels && !u->answer; c++) {
            w->loss[i][c] = NAN;
            if (!cvi_unit_still(u, c, 0.0)) {
                all[n++] = (candidate){fabs(w->estimate[i][c]), i, c};
            } else {
                w->loss[i][c] = 0.0; /* it is its mean already */
            }
        }
    }
    qsort(all, (size_t)n, sizeof *all, smallest_first);
    double spent = 0.0;
    for (int64_t k = 0; k < n; k++) {
        double behind = 1.0 - (double)all[k].unit / (double)CVI_MAX(w->u->n, 1);
        spent += behind * w->s->macs * (double)w->s->l->n_first * (double)w->u->list[all[k].unit].n_point;
        if (spent > w->s->work) {
            *limited = true;
            break;
        }
        w->pick[all[k].unit][all[k].channel] = true;
        w->loss[all[k].unit][all[k].channel] = 0.0;
        w->all += w->u->list[all[k].unit].n_point;
    }
    cvi_free(all);
    return CVS_OK;
}

/* Every filter that is tried at its mean at one point; what a stream's filter is worth is the sum over its points. */
static cvs_status try_unit(switching *w, int i, int point, int64_t first, int64_t n, double base) {
    const cvi_unit *u = &w->u->list[i];
    const double *mean = u->mean + point * u->channels;
    const cvi_switching *s = w->s;
    cvs_tensor v, mine = {0};
    CVI_TRY(cvi_exec_value(w->exec, u->point[point], &v, s->err));
    CVI_TRY(cvs_tensor_convert(&v, CVS_F32, &mine, s->err));
    int64_t area = cvs_tensor_count(&mine) / (w->batch * u->channels);
    float *kept = cvi_calloc((size_t)(w->batch * area), sizeof *kept), *x = mine.data;
    cvs_status st = kept ? CVS_OK : cvi_no_memory(s->err, (size_t)(w->batch * area) * sizeof *kept);
    for (int64_t c = 0; st == CVS_OK && c < u->channels; c++) {
        double loss = 0.0;
        if (!w->pick[i][c]) {
            continue;
        }
        for (int64_t k = 0; k < w->batch * area; k++) {
            float *at = x + (k / area * u->channels + c) * area + k % area;
            kept[k] = *at;
            *at = (float)mean[c];
        }
        st = cvi_exec_forward_from(w->exec, u->point[point], &mine, s->err);
        if (st == CVS_OK) {
            st = loss_of(w, first, n, false, &loss);
        }
        w->loss[i][c] += (loss - base) / (double)s->l->n_first;
        for (int64_t k = 0; k < w->batch * area; k++) {
            x[(k / area * u->channels + c) * area + k % area] = kept[k];
        }
        w->done += n;
        if (st == CVS_OK && s->progress &&
            !s->progress(s->progress_context, cvi_tr(s->err ? s->err->lang : CVS_EN, "filters switched off"),
                         0.1 + 0.5 * (double)w->done / (double)CVI_MAX(w->all * s->l->n_first, 1))) {
            st = cvi_fail(s->err, CVS_E_CANCELLED, "cancelled");
        }
    }
    cvi_free(kept);
    if (st == CVS_OK) { /* the numbers put in are forgotten before they are freed */
        st = cvi_exec_forward(w->exec, &w->x, -1, s->err);
    }
    cvs_tensor_free(&mine);
    return st;
}

static cvs_status walk(switching *w, bool *limited) {
    int64_t all = w->s->l->n_first;
    CVI_TRY(make_room(w));
    CVI_TRY(plan(w));
    for (int64_t i = 0; i < all; i += w->batch) {
        CVI_TRY(estimate(w, i, CVI_MIN(w->batch, all - i)));
    }
    CVI_TRY(choose(w, limited));
    for (int64_t i = 0; i < all; i += w->batch) {
        int64_t n = CVI_MIN(w->batch, all - i);
        double base;
        CVI_TRY(forward(w, i, n));
        CVI_TRY(loss_of(w, i, n, false, &base));
        for (int k = 0; k < w->u->n; k++) {
            bool any = false;
            for (int c = 0; c < w->u->list[k].channels; c++) {
                any = any || w->pick[k][c];
            }
            for (int p = 0; p < w->u->list[k].n_point && any; p++) {
                CVI_TRY(try_unit(w, k, p, i, n, base));
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_units_switch(const cvi_switching *s, const cvi_units *u, double **loss, bool *limited) {
    switching w = {.s = s, .u = u, .loss = loss};
    *limited = false;
    cvs_status st = walk(&w, limited);
    for (int i = 0; i < u->n; i++) {
        cvi_free(w.pick ? w.pick[i] : NULL);
        cvi_free(w.estimate ? w.estimate[i] : NULL);
    }
    cvi_free(w.pick);
    cvi_free(w.estimate);
    cvi_exec_free(w.exec);
    cvs_tensor_free(&w.x);
    cvs_tensor_free(&w.seed);
    return st;
}

/* ---- where the middle looks ------------------------------------------------------------------------------------ */

enum { PICTURES = 8 };

static cvs_status one_field(cvi_exec *exec, cvs_tensor *x, const cvi_unit *u, int value, int input,
                            const cvi_labelled *l, double *sum, double *side, cvs_error *err) {
    int64_t area = l->shape.dim[2] * l->shape.dim[3], batch = x->dim[0], count = 0;
    cvs_tensor v, g, seed = {0};
    CVI_TRY(cvi_exec_value(exec, value, &v, err));
    if (v.rank != 4 || v.dim[2] * v.dim[3] < 2) {
        return CVS_OK;
    }
    CVI_TRY(cvs_tensor_new(&seed, CVS_F32, 4, v.dim, err));
    int64_t map = v.dim[2] * v.dim[3], middle = v.dim[2] / 2 * v.dim[3] + v.dim[3] / 2;
    for (int64_t k = 0; k < batch * u->channels; k++) {
        ((float *)seed.data)[k * map + middle] = 1.0f;
    }
    cvs_status s = cvi_exec_backward(exec, CVI_GRADIENT, &value, &seed, 1, &input, 1, err);
    if (s == CVS_OK) {
        s = cvi_exec_gradient(exec, input, &g, err);
    }
    double most = 0.0;
    memset(sum, 0, (size_t)area * sizeof *sum);
    for (int64_t k = 0; s == CVS_OK && k < batch * l->pixels; k++) {
        sum[k % area] += fabs(cvi_get(&g, k));
    }
    for (int64_t k = 0; k < area; k++) {
        most = fmax(most, sum[k]);
    }
    for (int64_t k = 0; most > 0.0 && k < area; k++) {
        count += sum[k] > 0.0455 * most;
    }
    *side = sqrt((double)count);
    cvs_tensor_free(&seed);
    return s;
}

cvs_status cvi_units_fields(const cvs_model *model, const cvs_run_options *options, const cvi_units *u,
                            const cvi_labelled *l, cvi_pool *pool, double *side, cvs_error *err) {
    const cvi_graph *g = model->graph;
    int64_t fixed = g->values[g->inputs[0]].dim[0];
    cvi_exec *exec = NULL;
    cvs_tensor x = {0},
               form = cvi_labelled_input(l, model, fixed > 0 ? fixed : CVI_MIN(PICTURES, l->n_first));
    double *sum = cvi_calloc((size_t)(l->shape.dim[2] * l->shape.dim[3]), sizeof *sum);
    cvs_status s =
        sum ? cvs_tensor_new(&x, CVS_F32, form.rank, form.dim, err) : cvi_no_memory(err, sizeof *sum);
    for (int64_t b = 0; s == CVS_OK && b < form.dim[0]; b++) {
        memcpy((float *)x.data + b * l->pixels, l->x + l->order[b % l->n_first] * l->pixels,
               (size_t)l->pixels * sizeof(float));
    }
    if (s == CVS_OK) {
        cvi_exec_options o = {
            .pool = pool, .keep_aux = true, .max_bytes = options ? options->limits.max_memory_bytes : 0};
        s = cvi_exec_new(g, &x, &o, &exec, err);
    }
    if (s == CVS_OK) {
        s = cvi_exec_forward(exec, &x, -1, err);
    }
    for (int i = 0; s == CVS_OK && i < u->n; i++) {
        side[i] = 0.0;
        cvs_error quiet = {0};
        cvs_status one = one_field(exec, &x, &u->list[i], g->nodes[u->list[i].node].out[0], g->inputs[0], l,
                                   sum, &side[i], &quiet);
        if (one == CVS_E_MEMORY) {
            s = cvi_no_memory(err, sizeof *sum);
        }
    }
    cvi_exec_free(exec);
    cvs_tensor_free(&x);
    cvi_free(sum);
    return s;
}
