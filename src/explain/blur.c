/* SPDX-License-Identifier: MIT
 * blur.c - a Gaussian blur in double precision: down the columns, then along the rows. Both passes add whole rows of numbers times one
 * weight, so that the compiler can take several at once.
 */
#include "explain/blur.h"

#include <math.h>

typedef struct blurring {
    int64_t h, w, reach;
    cvi_beyond beyond;
    double *curve; /* [reach + 1], from its middle on */
    double *wide;  /* [w + 2 reach]: a row with what lies beside it */
    double *half;  /* [h*w]: after the columns */
} blurring;

/* out[n] += weight * (a[n] + b[n]), in this order on every machine. */
static void add_pair(double *out, const double *a, const double *b, double weight, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] += weight * (a[i] + b[i]);
    }
}

/* The row or column that stands for i of n, or -1: zeros. */
static int64_t stands_for(const blurring *b, int64_t i, int64_t n) {
    if (i >= 0 && i < n) {
        return i;
    }
    if (b->beyond == CVI_BEYOND_EDGE) {
        return CVI_MIN(CVI_MAX(i, 0), n - 1);
    }
    if (b->beyond == CVI_BEYOND_ZERO) {
        return -1;
    }
    int64_t turn = (i % (2 * n) + 2 * n) % (2 * n);
    return turn < n ? turn : 2 * n - 1 - turn;
}

static const double *row_at(const blurring *b, const double *in, const double *nothing, int64_t y) {
    int64_t row = stands_for(b, y, b->h);
    return row >= 0 ? in + row * b->w : nothing;
}

static void columns(const blurring *b, const double *in, double *out) {
    const double *nothing = b->wide; /* zeros until the rows are done */
    for (int64_t y = 0; y < b->h; y++) {
        double *to = out + y * b->w;
        for (int64_t x = 0; x < b->w; x++) {
            to[x] = b->curve[0] * in[y * b->w + x];
        }
        for (int64_t k = 1; k <= b->reach; k++) {
            const double *above = row_at(b, in, nothing, y - k), *below = row_at(b, in, nothing, y + k);
            if (above != nothing || below != nothing) {
                add_pair(to, above, below, b->curve[k], b->w);
            }
        }
    }
}

static void rows(const blurring *b, const double *in, double *out) {
    for (int64_t y = 0; y < b->h; y++) {
        const double *from = in + y * b->w;
        double *to = out + y * b->w, *middle = b->wide + b->reach;
        for (int64_t x = -b->reach; x < b->w + b->reach; x++) {
            int64_t column = stands_for(b, x, b->w);
            middle[x] = column >= 0 ? from[column] : 0.0;
        }
        for (int64_t x = 0; x < b->w; x++) {
            to[x] = b->curve[0] * from[x];
        }
        for (int64_t k = 1; k <= b->reach; k++) {
            add_pair(to, middle - k, middle + k, b->curve[k], b->w);
        }
    }
    memset(b->wide, 0, (size_t)(b->w + 2 * b->reach) * sizeof *b->wide);
}

cvs_status cvi_blur_planes(const double *x, int64_t channels, int64_t h, int64_t w, double width,
                           cvi_beyond beyond, double *out, cvs_error *err) {
    blurring b = {.h = h, .w = w, .beyond = beyond, .reach = (int64_t)(4.0 * width + 0.5)};
    int64_t area = b.h * b.w, count = channels * area;
    memmove(out, x, (size_t)count * sizeof *out);
    if (b.reach < 1 || area < 1) {
        return CVS_OK;
    }
    size_t numbers = (size_t)(b.reach + 1 + b.w + 2 * b.reach + area);
    b.curve = cvi_calloc(numbers, sizeof *b.curve);
    if (!b.curve) {
        return cvi_no_memory(err, numbers * sizeof *b.curve);
    }
    b.wide = b.curve + b.reach + 1;
    b.half = b.wide + b.w + 2 * b.reach;
    double all = 0.0;
    for (int64_t i = 0; i <= b.reach; i++) {
        b.curve[i] = exp(-0.5 * (double)(i * i) / (width * width));
        all += i == 0 ? 1.0 : 2.0 * b.curve[i];
    }
    for (int64_t i = 0; i <= b.reach; i++) {
        b.curve[i] /= all;
    }
    for (int64_t c = 0; c < count; c += area) {
        columns(&b, out + c, b.half);
        rows(&b, b.half, out + c);
    }
    cvi_free(b.curve);
    return CVS_OK;
}

cvs_status cvi_blur(const cvs_tensor *x, double width, cvi_beyond beyond, double *out, cvs_error *err) {
    for (int64_t i = 0, n = cvs_tensor_count(x); i < n; i++) {
        out[i] = (double)((const float *)x->data)[i];
    }
    return cvi_blur_planes(out, x->dim[1], x->dim[2], x->dim[3], width, beyond, out, err);
}
