/* SPDX-License-Identifier: MIT
 * stats.c - what filters put out on the choosing pictures: least, most, mean, zeros, and the covariance over positions.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/units.h"

enum { MOST_CHANNELS = 1024, POSITIONS = 49 }; /* of a picture that go into a covariance */

typedef struct gather {
    cvi_units *u;
    int64_t *seen, *zeros, *sampled; /* [units] */
    double **sum;                    /* [units] -> [channels] of the positions in the covariance */
} gather;

static cvs_status make_room(gather *k, cvs_error *err) {
    size_t n = (size_t)k->u->n + 1;
    k->seen = cvi_calloc(3 * n, sizeof *k->seen);
    k->sum = cvi_calloc(n, sizeof *k->sum);
    if (!k->seen || !k->sum) {
        return cvi_no_memory(err, 4 * n * sizeof *k->seen);
    }
    k->zeros = k->seen + n;
    k->sampled = k->zeros + n;
    for (int i = 0; i < k->u->n; i++) {
        cvi_unit *u = &k->u->list[i];
        size_t c = (size_t)u->channels;
        u->least = cvi_calloc(3 * c, sizeof *u->least);
        k->sum[i] = cvi_calloc(c, sizeof **k->sum);
        u->cov = u->channels <= MOST_CHANNELS && !u->answer ? cvi_calloc(c * c, sizeof *u->cov) : NULL;
        if (!u->least || !k->sum[i] || (!u->cov && u->channels <= MOST_CHANNELS && !u->answer)) {
            return cvi_no_memory(err, c * c * sizeof *u->cov);
        }
        u->most = u->least + c;
        u->mean = u->most + c;
        for (size_t j = 0; j < c; j++) {
            u->least[j] = INFINITY;
            u->most[j] = -INFINITY;
        }
    }
    return CVS_OK;
}

/* One picture's output [channels, area] of a unit. Positions for the covariance are spread evenly. */
static void take(gather *k, int i, const float *v, int64_t area) {
    cvi_unit *u = &k->u->list[i];
    for (int64_t c = 0; c < u->channels; c++) {
        double sum = 0.0;
        for (int64_t p = 0; p < area; p++) {
            double x = (double)v[c * area + p];
            sum += x;
            k->zeros[i] += x == 0.0;
            u->least[c] = fmin(u->least[c], x);
            u->most[c] = fmax(u->most[c], x);
        }
        u->mean[c] += sum;
    }
    k->seen[i] += area;
    int64_t n = CVI_MIN(area, POSITIONS);
    for (int64_t s = 0; u->cov && s < n; s++) {
        int64_t p = (2 * s + 1) * area / (2 * n);
        for (int64_t a = 0; a < u->channels; a++) {
            double x = (double)v[a * area + p];
            k->sum[i][a] += x;
            for (int64_t b = 0; x != 0.0 && b <= a; b++) {
                u->cov[a * u->channels + b] += x * (double)v[b * area + p];
            }
        }
        k->sampled[i]++;
    }
}

static cvs_status finish(gather *k, cvs_error *err) {
    for (int i = 0; i < k->u->n; i++) {
        cvi_unit *u = &k->u->list[i];
        int64_t c = u->channels;
        double n = (double)CVI_MAX(k->sampled[i], 1);
        if (u->cov && k->sampled[i] < 2 * c) { /* too little to tell mixtures from chance */
            cvi_free(u->cov);
            u->cov = NULL;
            u->too_few = true;
        }
        for (int64_t a = 0; a < c; a++) {
            u->mean[a] /= (double)CVI_MAX(k->seen[i], 1);
        }
        u->zeros = (double)k->zeros[i] / (double)CVI_MAX(k->seen[i] * c, 1);
        for (int64_t a = 0; u->cov && a < c; a++) {
            for (int64_t b = 0; b <= a; b++) {
                double v = u->cov[a * c + b] / n - k->sum[i][a] / n * k->sum[i][b] / n;
                u->cov[a * c + b] = u->cov[b * c + a] = a == b ? fmax(v, 0.0) : v;
            }
        }
        if (u->cov) {
            CVI_TRY(cvi_effective_rank(u->cov, c, &u->rank, err));
        }
    }
    return CVS_OK;
}

static cvs_status run(gather *k, cvi_exec *exec, const cvi_labelled *l, cvs_tensor *x, cvs_error *err) {
    for (int64_t i = 0; i < l->n_first; i++) {
        memcpy(x->data, l->x + l->order[i] * l->pixels, (size_t)l->pixels * sizeof(float));
        CVI_TRY(cvi_exec_forward(exec, x, -1, err));
        for (int j = 0; j < k->u->n; j++) {
            cvs_tensor t;
            CVI_TRY(cvi_exec_value(exec, k->u->list[j].value, &t, err));
            int64_t count = cvs_tensor_count(&t);
            if (t.rank < 2 || t.dim[1] != k->u->list[j].channels) {
                return cvi_fail(err, CVS_E_INTERNAL, "a layer's output changed its shape");
            }
            take(k, j, t.data, count / (t.dim[0] * t.dim[1])); /* the first sample */
        }
    }
    return CVS_OK;
}

cvs_status cvi_units_measure(cvi_units *u, const cvs_model *model, const cvs_run_options *options,
                             const cvi_labelled *l, cvi_pool *pool, cvs_error *err) {
    gather k = {.u = u};
    cvi_exec *exec = NULL;
    cvs_tensor x = {0};
    int64_t most = options ? options->limits.max_memory_bytes : 0;
    cvs_tensor form =
        cvi_labelled_input(l, model, CVI_MAX(model->graph->values[model->graph->inputs[0]].dim[0], 1));
    cvs_status s = make_room(&k, err);
    if (s == CVS_OK) {
        s = cvs_tensor_new(&x, CVS_F32, form.rank, form.dim, err);
    }
    if (s == CVS_OK) {
        cvi_exec_options o = {.pool = pool, .keep = CVI_KEEP_GRADIENTS, .max_bytes = most};
        s = cvi_exec_new(model->graph, &x, &o, &exec, err);
    }
    if (s == CVS_OK) {
        s = run(&k, exec, l, &x, err);
    }
    if (s == CVS_OK) {
        s = finish(&k, err);
    }
    cvi_exec_free(exec);
    cvs_tensor_free(&x);
    for (int i = 0; k.sum && i < u->n; i++) {
        cvi_free(k.sum[i]);
    }
    cvi_free(k.sum);
    cvi_free(k.seen);
    return s;
}
