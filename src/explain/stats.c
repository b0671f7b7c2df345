/* SPDX-License-Identifier: MIT
 * stats.c - what filters put out on the choosing pictures: least, most, mean, zeros, and the covariance over positions.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/units.h"

enum { MOST_CHANNELS = 1024, POSITIONS = 49 }; /* of a picture that go into a covariance */

typedef struct gather {
    cvi_units *u;
    int64_t *zeros, *sampled; /* [units] */
    double **sum;             /* [units] -> [channels] of the positions in the covariance */
} gather;

static cvs_status make_room(gather *k, cvs_error *err) {
    size_t n = (size_t)k->u->n + 1;
    k->zeros = cvi_calloc(2 * n, sizeof *k->zeros);
    k->sum = cvi_calloc(n, sizeof *k->sum);
    if (!k->zeros || !k->sum) {
        return cvi_no_memory(err, 3 * n * sizeof *k->zeros);
    }
    k->sampled = k->zeros + n;
    for (int i = 0; i < k->u->n; i++) {
        cvi_unit *u = &k->u->list[i];
        size_t c = (size_t)u->channels, all = c * (size_t)u->n_point;
        /* a mixture that holds at one point of a stream need not hold at another: streams have none */
        bool mixes = u->channels <= MOST_CHANNELS && !u->answer && u->n_point == 1 && u->n_member == 0;
        u->least = cvi_calloc(3 * all, sizeof *u->least);
        k->sum[i] = cvi_calloc(c, sizeof **k->sum);
        u->cov = mixes ? cvi_calloc(c * c, sizeof *u->cov) : NULL;
        if (!u->least || !k->sum[i] || (!u->cov && mixes)) {
            return cvi_no_memory(err, c * c * sizeof *u->cov);
        }
        u->most = u->least + all;
        u->mean = u->most + all;
        for (size_t j = 0; j < all; j++) {
            u->least[j] = INFINITY;
            u->most[j] = -INFINITY;
        }
    }
    return CVS_OK;
}

/* One picture's output [channels, area] of a unit at a point. Positions for the covariance are spread evenly. */
static void take(gather *k, int i, int point, const float *v, int64_t area) {
    cvi_unit *u = &k->u->list[i];
    int64_t first = point * u->channels;
    for (int64_t c = 0; c < u->channels; c++) {
        double sum = 0.0;
        for (int64_t p = 0; p < area; p++) {
            double x = (double)v[c * area + p];
            sum += x;
            k->zeros[i] += x == 0.0;
            u->least[first + c] = fmin(u->least[first + c], x);
            u->most[first + c] = fmax(u->most[first + c], x);
        }
        u->mean[first + c] += sum;
    }
    u->seen[point] += area;
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
        int64_t seen = 0;
        for (int p = 0; p < u->n_point; p++) {
            for (int64_t a = 0; a < c; a++) {
                u->mean[p * c + a] /= (double)CVI_MAX(u->seen[p], 1);
            }
            seen += u->seen[p];
        }
        u->zeros = (double)k->zeros[i] / (double)CVI_MAX(seen * c, 1);
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
            for (int p = 0; p < k->u->list[j].n_point; p++) {
                cvs_tensor t;
                CVI_TRY(cvi_exec_value(exec, k->u->list[j].point[p], &t, err));
                int64_t count = cvs_tensor_count(&t);
                if (t.rank < 2 || t.dim[1] != k->u->list[j].channels) {
                    return cvi_fail(err, CVS_E_INTERNAL, "a layer's output changed its shape");
                }
                take(k, j, p, t.data, count / (t.dim[0] * t.dim[1])); /* the first sample */
            }
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
    cvi_free(k.zeros);
    return s;
}
