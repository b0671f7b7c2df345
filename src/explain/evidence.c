/* SPDX-License-Identifier: MIT
 * evidence.c - a map as one number per pixel, and what can be said of it without asking the network: rank, Gini index, likeness to
 * another map, what lies on the object.
 */
#include <math.h>
#include <stdlib.h>

#include "explain/checks.h"

static bool is_slope(const cvs_explanation *e) {
    int number;
    return cvs_method_find(e->method, &number, NULL) == CVS_OK && cvi_methods[number]->slope;
}

cvs_status cvi_evidence_own(const cvs_explanation *e, float **out, int64_t *h, int64_t *w, cvs_error *err) {
    const cvs_tensor *t = &e->map;
    *out = NULL;
    if ((t->rank != 3 && t->rank != 4) || t->dtype != CVS_F32 || t->dim[0] != 1 || cvs_tensor_count(t) < 1) {
        char text[200];
        return cvi_fail(err, CVS_E_UNSUPPORTED, "a map of shape %s cannot be checked: pixels are needed",
                        cvs_shape_text(t->rank, t->dim, text, sizeof text));
    }
    int64_t channels = t->rank == 4 ? t->dim[1] : 1, area = cvs_tensor_count(t) / channels;
    bool slope = is_slope(e);
    *h = t->dim[t->rank - 2];
    *w = t->dim[t->rank - 1];
    *out = cvi_calloc((size_t)area, sizeof **out);
    if (!*out) {
        return cvi_no_memory(err, (size_t)area * sizeof **out);
    }
    const float *in = t->data;
    for (int64_t i = 0; i < area; i++) {
        double sum = 0.0;
        for (int64_t c = 0; c < channels; c++) {
            double v = (double)in[c * area + i];
            sum += !isfinite(v) ? 0.0 : slope ? fabs(v) : v;
        }
        (*out)[i] = (float)(e->kind == CVS_MAP_GRID ? e->target_value - sum : sum);
    }
    return CVS_OK;
}

static double at(const float *map, int64_t h, int64_t w, double down, double right) {
    double y = fmin(fmax(down, 0.0), (double)h - 1.0), x = fmin(fmax(right, 0.0), (double)w - 1.0);
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = CVI_MIN(y0 + 1, h - 1), x1 = CVI_MIN(x0 + 1, w - 1);
    double fy = y - (double)y0, fx = x - (double)x0;
    double top = (double)map[y0 * w + x0] * (1 - fx) + (double)map[y0 * w + x1] * fx;
    double bottom = (double)map[y1 * w + x0] * (1 - fx) + (double)map[y1 * w + x1] * fx;
    return top * (1 - fy) + bottom * fy;
}

cvs_status cvi_evidence(const cvs_explanation *e, int64_t height, int64_t width, float **out,
                        cvs_error *err) {
    float *own;
    int64_t h, w;
    *out = NULL;
    CVI_TRY(cvi_evidence_own(e, &own, &h, &w, err));
    if (h == height && w == width && e->kind != CVS_MAP_GRID) {
        *out = own;
        return CVS_OK;
    }
    float *map = cvi_calloc((size_t)CVI_MAX(height * width, 1), sizeof *map);
    for (int64_t i = 0; map && i < height * width; i++) {
        double v = ((double)(i / width) + 0.5) / (double)height,
               u = ((double)(i % width) + 0.5) / (double)width;
        double down = v * (double)h - 0.5, right = u * (double)w - 0.5;
        if (e->kind == CVS_MAP_GRID && e->stride > 0) { /* a cell's place is the middle of its patch */
            down = (v * (double)e->side[0] - (double)e->patch / 2.0) / (double)e->stride;
            right = (u * (double)e->side[1] - (double)e->patch / 2.0) / (double)e->stride;
        }
        map[i] = (float)at(own, h, w, down, right);
    }
    cvi_free(own);
    *out = map;
    return map ? CVS_OK : cvi_no_memory(err, (size_t)(height * width) * sizeof *map);
}

/* ---- ranks ------------------------------------------------------------------------------------------------ */

typedef struct ranked {
    double value;
    uint64_t draw;
    int64_t index;
} ranked;

static int highest_first(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return x->draw != y->draw ? (x->draw < y->draw ? -1 : 1) : (x->index > y->index) - (x->index < y->index);
}

cvs_status cvi_rank_pixels(const float *value, int64_t n, uint64_t seed, int64_t *order, cvs_error *err) {
    ranked *all = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *all);
    if (!all) {
        return cvi_no_memory(err, (size_t)n * sizeof *all);
    }
    for (int64_t i = 0; i < n; i++) {
        all[i] = (ranked){(double)value[i], cvi_random_bits(seed, 0x72616E6Bu, (uint64_t)i), i};
    }
    qsort(all, (size_t)n, sizeof *all, highest_first);
    for (int64_t i = 0; i < n; i++) {
        order[i] = all[i].index;
    }
    cvi_free(all);
    return CVS_OK;
}

static int upwards(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

cvs_status cvi_gini(const float *value, int64_t n, double *out, cvs_error *err) {
    double *a = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *a), sum = 0.0, top = 0.0;
    if (!a) {
        return cvi_no_memory(err, (size_t)n * sizeof *a);
    }
    for (int64_t i = 0; i < n; i++) {
        a[i] = fabs((double)value[i]);
    }
    qsort(a, (size_t)n, sizeof *a, upwards);
    for (int64_t i = 0; i < n; i++) {
        top += (2.0 * (double)(i + 1) - (double)n - 1.0) * a[i];
        sum += a[i];
    }
    *out = sum > 0.0 ? top / ((double)n * sum) : 0.0;
    cvi_free(a);
    return CVS_OK;
}

/* rank[i] from 1, equal values share the mean. */
static void rank_of(const double *a, int64_t n, ranked *room, double *rank) {
    for (int64_t i = 0; i < n; i++) {
        room[i] = (ranked){a[i], 0, i};
    }
    qsort(room, (size_t)n, sizeof *room, highest_first);
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && room[end].value == room[i].value; end++) {}
        for (int64_t k = i; k < end; k++) {
            rank[room[k].index] = (double)(i + end + 1) / 2.0;
        }
    }
}

cvs_status cvi_spearman(const double *a, const double *b, int64_t n, double *out, cvs_error *err) {
    double *ra = cvi_calloc((size_t)CVI_MAX(n, 1), 2 * sizeof *ra);
    ranked *room = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *room);
    *out = NAN;
    if (!ra || !room) {
        cvi_free(ra);
        cvi_free(room);
        return cvi_no_memory(err, (size_t)n * sizeof *room);
    }
    double *rb = ra + n, mean = (double)(n + 1) / 2.0, ab = 0.0, aa = 0.0, bb = 0.0;
    rank_of(a, n, room, ra);
    rank_of(b, n, room, rb);
    for (int64_t i = 0; i < n; i++) {
        ab += (ra[i] - mean) * (rb[i] - mean);
        aa += (ra[i] - mean) * (ra[i] - mean);
        bb += (rb[i] - mean) * (rb[i] - mean);
    }
    if (aa > 0.0 && bb > 0.0) {
        *out = ab / sqrt(aa * bb);
    }
    cvi_free(ra);
    cvi_free(room);
    return CVS_OK;
}

static bool range_of(const double *a, int64_t n, double *lo, double *span) {
    double least = a[0], most = a[0];
    for (int64_t i = 1; i < n; i++) {
        least = fmin(least, a[i]);
        most = fmax(most, a[i]);
    }
    *lo = least;
    *span = most - least;
    return most > least;
}

double cvi_ssim(const double *a, const double *b, int64_t h, int64_t w) {
    double la, sa, lb, sb, total = 0.0;
    if (h < 1 || w < 1 || !range_of(a, h * w, &la, &sa) || !range_of(b, h * w, &lb, &sb)) {
        return NAN;
    }
    int64_t side = CVI_MIN(7, CVI_MIN(h, w) - (CVI_MIN(h, w) + 1) % 2), rows = h - side + 1,
            columns = w - side + 1;
    double n = (double)(side * side), c1 = 0.0001, c2 = 0.0009, correct = n > 1.0 ? n / (n - 1.0) : 1.0;
    for (int64_t i = 0; i < rows * columns; i++) {
        double ma = 0.0, mb = 0.0, aa = 0.0, bb = 0.0, ab = 0.0;
        for (int64_t k = 0; k < side * side; k++) {
            int64_t p = (i / columns + k / side) * w + i % columns + k % side;
            double x = (a[p] - la) / sa, y = (b[p] - lb) / sb;
            ma += x / n;
            mb += y / n;
            aa += x * x / n;
            bb += y * y / n;
            ab += x * y / n;
        }
        double va = correct * (aa - ma * ma), vb = correct * (bb - mb * mb), cov = correct * (ab - ma * mb);
        total += (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
    }
    return total / (double)(rows * columns);
}

void cvi_on_object(const float *value, const int64_t *order, const uint8_t *mask, int64_t n, double *pointing,
                   double *mass, double *rank) {
    int64_t object = 0, hits = 0;
    double inside = 0.0, all = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double v = fmax((double)value[i], 0.0);
        object += mask[i] != 0;
        inside += mask[i] ? v : 0.0;
        all += v;
    }
    for (int64_t i = 0; i < object; i++) {
        hits += mask[order[i]] != 0;
    }
    *pointing = mask[order[0]] ? 1.0 : 0.0;
    *mass = all > 0.0 ? inside / all : (double)NAN;
    *rank = object > 0 ? (double)hits / (double)object : (double)NAN;
}
