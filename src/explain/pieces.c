/* SPDX-License-Identifier: MIT
 * pieces.c - pictures with pieces removed, run again; and the small linear systems of the models made of the answers.
 */
#include <math.h>

#include "explain/pieces.h"

enum { PIECES = 50 };

static cvs_status own_means(cvi_pieces *p) {
    int64_t channels = p->again.picture.dim[1];
    const float *x = p->again.picture.data;
    double *sum = cvi_calloc((size_t)p->n, 2 * sizeof *sum);
    if (!sum) {
        return cvi_no_memory(p->again.q->err, (size_t)p->n * 2 * sizeof *sum);
    }
    for (int64_t c = 0; c < channels; c++) {
        memset(sum, 0, (size_t)p->n * 2 * sizeof *sum);
        for (int64_t i = 0; i < p->area; i++) {
            sum[2 * p->label[i]] += (double)x[c * p->area + i];
            sum[2 * p->label[i] + 1] += 1.0;
        }
        for (int64_t i = 0; i < p->area; i++) {
            p->without[c * p->area + i] = (float)(sum[2 * p->label[i]] / sum[2 * p->label[i] + 1]);
        }
    }
    cvi_free(sum);
    return CVS_OK;
}

/* What removed pieces show, and its name. */
static cvs_status replace(cvi_pieces *p, bool own_mean, char *text, size_t size) {
    cvi_again *a = &p->again;
    const cvs_explain_options *o = a->q->options;
    if (!o->has_fill && (o->baseline || !own_mean)) {
        cvi_baseline_words(a, text, size);
        return cvi_baseline(a, o->baseline, &p->without);
    }
    p->without = cvi_calloc((size_t)a->pixels, sizeof *p->without);
    if (!p->without) {
        return cvi_no_memory(a->q->err, (size_t)a->pixels * sizeof *p->without);
    }
    if (!o->has_fill) {
        snprintf(text, size, "%s", cvi_tr(o->lang, "their own mean colour"));
        return own_means(p);
    }
    for (int64_t i = 0; i < a->pixels; i++) {
        p->without[i] = (float)o->fill;
    }
    snprintf(text, size, "%.6g", o->fill);
    return CVS_OK;
}

cvs_status cvi_pieces_new(cvi_question *q, bool own_mean, char *text, size_t size, cvi_pieces *out) {
    *out = (cvi_pieces){0};
    CVI_TRY(cvi_again_answers(q, &out->again));
    CVI_TRY(cvi_again_picture(&out->again));
    const cvs_tensor *x = &out->again.picture;
    out->area = x->dim[2] * x->dim[3];
    out->label = cvi_calloc((size_t)out->area, sizeof *out->label);
    if (!out->label) {
        return cvi_no_memory(q->err, (size_t)out->area * sizeof *out->label);
    }
    CVI_TRY(cvi_superpixels(x, PIECES, out->label, &out->n, q->err));
    return replace(out, own_mean, text, size);
}

void cvi_pieces_free(cvi_pieces *p) {
    cvi_again_free(&p->again);
    cvi_free(p->label);
    cvi_free(p->without);
    *p = (cvi_pieces){0};
}

cvs_status cvi_pieces_scores(cvi_pieces *p, const uint8_t *on, int64_t rows, double *out) {
    cvi_again *a = &p->again;
    const float *x = a->picture.data;
    for (int64_t k = 0; k < rows; k += a->batch) {
        int64_t here = CVI_MIN(a->batch, rows - k);
        for (int64_t b = 0; b < here; b++) {
            float *place = cvi_again_place(a, b);
            for (int64_t i = 0; i < a->pixels; i++) {
                place[i] = on[(k + b) * p->n + p->label[i % p->area]] ? x[i] : p->without[i];
            }
        }
        CVI_TRY(cvi_again_scores(a, here, (double)k / (double)rows, out + k));
    }
    return CVS_OK;
}

cvs_status cvi_pieces_map(const cvi_pieces *p, const double *value, cvs_explanation *out) {
    const cvs_tensor *x = &p->again.picture;
    int64_t dim[4] = {1, 1, x->dim[2], x->dim[3]};
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, dim, p->again.q->err));
    for (int64_t i = 0; i < p->area; i++) {
        ((float *)out->map.data)[i] = (float)value[p->label[i]];
    }
    return CVS_OK;
}

void cvi_solve(double *a, double *b, int64_t m) {
    double most = 0.0;
    for (int64_t i = 0; i < m; i++) {
        most = fmax(most, a[i * m + i]);
    }
    for (int64_t j = 0; j < m; j++) { /* a = l l', l over the lower half */
        double d = a[j * m + j];
        for (int64_t k = 0; k < j; k++) {
            d -= a[j * m + k] * a[j * m + k];
        }
        bool empty = !(d > 1e-12 * most);
        a[j * m + j] = empty ? 0.0 : sqrt(d);
        for (int64_t i = j + 1; i < m; i++) {
            double v = a[i * m + j];
            for (int64_t k = 0; k < j; k++) {
                v -= a[i * m + k] * a[j * m + k];
            }
            a[i * m + j] = empty ? 0.0 : v / a[j * m + j];
        }
    }
    for (int64_t i = 0; i < m; i++) {
        for (int64_t k = 0; k < i; k++) {
            b[i] -= a[i * m + k] * b[k];
        }
        b[i] = a[i * m + i] > 0.0 ? b[i] / a[i * m + i] : 0.0;
    }
    for (int64_t i = m - 1; i >= 0; i--) {
        for (int64_t k = i + 1; k < m; k++) {
            b[i] -= a[k * m + i] * b[k];
        }
        b[i] = a[i * m + i] > 0.0 ? b[i] / a[i * m + i] : 0.0;
    }
}
