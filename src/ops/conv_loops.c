/* SPDX-License-Identifier: MIT
 * conv_loops.c - the plain loops of conv_loops.h. One job = one output plane (or one filter's kernel); inside it a row of up to
 * TILE sums is held in double while all taps are added, so that rows are read in order and nothing is allocated.
 */
#include "ops/conv_loops.h"

enum { TILE = 256 };

typedef struct job {
    const cvi_conv_sides *s;
    const void *a, *b, *bias;
    void *out;
    bool add;
} job;

/* Which (sum index) range of a tile the tap k touches. */
typedef struct range {
    int64_t first, last;
} range;

static inline range clip(int64_t first, int64_t last, int64_t tile, int64_t count) {
    return (range){CVI_MAX(first, tile) - tile, CVI_MIN(last, tile + count) - tile};
}

CVI_INLINE void put_row(const job *j, int64_t at, const double *sum, int64_t count, cvs_dtype type) {
    for (int64_t i = 0; i < count; i++) {
        if (j->add) {
            cvi_accumulate(j->out, at + i, sum[i], type);
        } else {
            cvi_store(j->out, at + i, sum[i], type);
        }
    }
}

static inline void fill_row(double *sum, int64_t count, double v) {
    for (int64_t i = 0; i < count; i++) {
        sum[i] = v;
    }
}

/* ---- small side: y[n,f,o] = b[f] + sum over c, k of w[f,c,k] * x[n,c,o*S + k*D - P] ------------------------ */

/* Adds all taps of input row `row` (kernel row at `tap`) to the sums of outputs [tile, tile+count). */
CVI_INLINE void gather_row(const cvi_window *w, const void *x, int64_t row, const void *kernel, int64_t tap,
                           int64_t tile, int64_t count, double *sum, cvs_dtype type) {
    for (int64_t k = 0; k < w->kernel[2]; k++) {
        int64_t first, last;
        cvi_window_outputs(w, 2, k, &first, &last);
        range r = clip(first, last, tile, count);
        double weight = cvi_load(kernel, tap + k, type);
        int64_t shift = row + k * w->dilation[2] - w->begin[2] + tile * w->stride[2];
        for (int64_t i = r.first; i < r.last; i++) {
            sum[i] += weight * cvi_load(x, shift + i * w->stride[2], type);
        }
    }
}

CVI_INLINE void small_plane(const job *j, int64_t n, int64_t f, cvs_dtype type) {
    const cvi_conv_sides *s = j->s;
    const cvi_window *w = &s->w;
    int64_t per = s->channels / s->groups, group = f / (s->filters / s->groups);
    int64_t taps = cvi_window_kernel_size(w);
    double bias = j->bias == NULL ? 0 : cvi_load(j->bias, f, type), sum[TILE];
    for (int64_t line = 0; line < w->out[0] * w->out[1]; line++) {
        int64_t d0, d1, h0, h1, od = line / w->out[1], oh = line % w->out[1];
        cvi_window_taps(w, 0, od, &d0, &d1);
        cvi_window_taps(w, 1, oh, &h0, &h1);
        for (int64_t tile = 0; tile < w->out[2]; tile += TILE) {
            int64_t count = CVI_MIN(TILE, w->out[2] - tile);
            fill_row(sum, count, bias);
            for (int64_t c = 0; c < per; c++) {
                for (int64_t kd = d0; kd < d1; kd++) {
                    for (int64_t kh = h0; kh < h1; kh++) {
                        int64_t id = od * w->stride[0] + kd * w->dilation[0] - w->begin[0];
                        int64_t ih = oh * w->stride[1] + kh * w->dilation[1] - w->begin[1];
                        int64_t row = ((n * s->channels + group * per + c) * w->in[0] + id) * w->in[1] + ih;
                        int64_t tap = (f * per + c) * taps + (kd * w->kernel[1] + kh) * w->kernel[2];
                        gather_row(w, j->a, row * w->in[2], j->b, tap, tile, count, sum, type);
                    }
                }
            }
            put_row(j, ((n * s->filters + f) * w->out[0] * w->out[1] + line) * w->out[2] + tile, sum, count,
                    type);
        }
    }
}

static void small_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const job *j = context;
    CVI_TYPED(j->s->dtype, small_plane, j, chunk / j->s->filters, chunk % j->s->filters);
}

void cvi_conv_small(const cvi_conv_sides *s, const void *large, const void *kernel, const void *bias,
                    void *small, bool add, cvi_pool *pool) {
    job j = {s, large, kernel, bias, small, add};
    cvi_pool_run(pool, s->n * s->filters, small_body, &j);
}

/* ---- large side: x[n,c,i] = b[c] + sum over f, k, o with o*S + k*D - P = i of w[f,c,k] * y[n,f,o] ------------ */

/* Adds what small row `row` sends to the positions [tile, tile+count) of one large row. */
CVI_INLINE void scatter_row(const cvi_window *w, const void *y, int64_t row, const void *kernel, int64_t tap,
                            int64_t tile, int64_t count, double *sum, cvs_dtype type) {
    for (int64_t k = 0; k < w->kernel[2]; k++) {
        int64_t first, last, shift = k * w->dilation[2] - w->begin[2], s = w->stride[2];
        cvi_window_outputs(w, 2, k, &first, &last);
        /* o*s + shift in [tile, tile+count) */
        int64_t low = tile - shift, high = tile + count - shift;
        first = CVI_MAX(first, low <= 0 ? 0 : (low + s - 1) / s);
        last = CVI_MIN(last, high <= 0 ? 0 : (high + s - 1) / s);
        double weight = cvi_load(kernel, tap + k, type);
        for (int64_t o = first; o < last; o++) {
            sum[o * s + shift - tile] += weight * cvi_load(y, row + o, type);
        }
    }
}

/* The output o whose tap k falls on position i of an axis, or -1. */
static inline int64_t source(const cvi_window *w, int axis, int64_t i, int64_t k) {
    int64_t at = i + w->begin[axis] - k * w->dilation[axis];
    if (at < 0 || at % w->stride[axis] != 0 || at / w->stride[axis] >= w->out[axis]) {
        return -1;
    }
    return at / w->stride[axis];
}

CVI_INLINE void large_tile(const job *j, int64_t n, int64_t c, int64_t line, int64_t tile, int64_t count,
                           double *sum, cvs_dtype type) {
    const cvi_conv_sides *s = j->s;
    const cvi_window *w = &s->w;
    int64_t per = s->channels / s->groups, filters = s->filters / s->groups, group = c / per;
    int64_t taps = cvi_window_kernel_size(w), id = line / w->in[1], ih = line % w->in[1];
    for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
        int64_t od = source(w, 0, id, kd);
        for (int64_t kh = 0; od >= 0 && kh < w->kernel[1]; kh++) {
            int64_t oh = source(w, 1, ih, kh);
            for (int64_t q = 0; oh >= 0 && q < filters; q++) {
                int64_t f = group * filters + q;
                int64_t row = ((n * s->filters + f) * w->out[0] + od) * w->out[1] + oh;
                int64_t tap = (f * per + c % per) * taps + (kd * w->kernel[1] + kh) * w->kernel[2];
                scatter_row(w, j->a, row * w->out[2], j->b, tap, tile, count, sum, type);
            }
        }
    }
}

CVI_INLINE void large_plane(const job *j, int64_t n, int64_t c, cvs_dtype type) {
    const cvi_conv_sides *s = j->s;
    const cvi_window *w = &s->w;
    double bias = j->bias == NULL ? 0 : cvi_load(j->bias, c, type), sum[TILE];
    int64_t lines = w->in[0] * w->in[1];
    for (int64_t line = 0; line < lines; line++) {
        for (int64_t tile = 0; tile < w->in[2]; tile += TILE) {
            int64_t count = CVI_MIN(TILE, w->in[2] - tile);
            fill_row(sum, count, bias);
            large_tile(j, n, c, line, tile, count, sum, type);
            put_row(j, ((n * s->channels + c) * lines + line) * w->in[2] + tile, sum, count, type);
        }
    }
}

static void large_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const job *j = context;
    CVI_TYPED(j->s->dtype, large_plane, j, chunk / j->s->channels, chunk % j->s->channels);
}

void cvi_conv_large(const cvi_conv_sides *s, const void *small, const void *kernel, const void *bias,
                    void *large, bool add, cvi_pool *pool) {
    job j = {s, small, kernel, bias, large, add};
    cvi_pool_run(pool, s->n * s->channels, large_body, &j);
}

/* ---- kernel: gw[f,c,k] += sum over n, o of y[n,f,o] * x[n,c,o*S + k*D - P] --------------------------------- */

/* Four sums in turn, added in a fixed order: the same bits always, and the processor is not held up by one. */
CVI_INLINE double dot_row(const void *x, int64_t at, int64_t step, const void *y, int64_t row, int64_t first,
                          int64_t last, cvs_dtype type) {
    double sum[4] = {0, 0, 0, 0};
    int64_t o = first;
    for (; o + 4 <= last; o += 4) {
        for (int i = 0; i < 4; i++) {
            sum[i] += cvi_load(x, at + (o + i) * step, type) * cvi_load(y, row + o + i, type);
        }
    }
    for (; o < last; o++) {
        sum[0] += cvi_load(x, at + o * step, type) * cvi_load(y, row + o, type);
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

CVI_INLINE double kernel_tap(const job *j, int64_t f, int64_t channel, int64_t kd, int64_t kh, int64_t kw,
                             cvs_dtype type) {
    const cvi_conv_sides *s = j->s;
    const cvi_window *w = &s->w;
    int64_t d0, d1, h0, h1, w0, w1;
    cvi_window_outputs(w, 0, kd, &d0, &d1);
    cvi_window_outputs(w, 1, kh, &h0, &h1);
    cvi_window_outputs(w, 2, kw, &w0, &w1);
    double sum = 0;
    for (int64_t n = 0; n < s->n; n++) {
        for (int64_t od = d0; od < d1; od++) {
            for (int64_t oh = h0; oh < h1; oh++) {
                int64_t id = od * w->stride[0] + kd * w->dilation[0] - w->begin[0];
                int64_t ih = oh * w->stride[1] + kh * w->dilation[1] - w->begin[1];
                int64_t x = (((n * s->channels + channel) * w->in[0] + id) * w->in[1] + ih) * w->in[2];
                int64_t y = (((n * s->filters + f) * w->out[0] + od) * w->out[1] + oh) * w->out[2];
                sum +=
                    dot_row(j->a, x + kw * w->dilation[2] - w->begin[2], w->stride[2], j->b, y, w0, w1, type);
            }
        }
    }
    return sum;
}

CVI_INLINE void kernel_plane(const job *j, int64_t f, int64_t c, cvs_dtype type) {
    const cvi_conv_sides *s = j->s;
    const cvi_window *w = &s->w;
    int64_t per = s->channels / s->groups, group = f / (s->filters / s->groups);
    int64_t at = (f * per + c) * cvi_window_kernel_size(w);
    for (int64_t kd = 0; kd < w->kernel[0]; kd++) {
        for (int64_t kh = 0; kh < w->kernel[1]; kh++) {
            for (int64_t kw = 0; kw < w->kernel[2]; kw++, at++) {
                cvi_accumulate(j->out, at, kernel_tap(j, f, group * per + c, kd, kh, kw, type), type);
            }
        }
    }
}

static void kernel_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const job *j = context;
    int64_t per = j->s->channels / j->s->groups;
    CVI_TYPED(j->s->dtype, kernel_plane, j, chunk / per, chunk % per);
}

void cvi_conv_kernel(const cvi_conv_sides *s, const void *large, const void *small, void *gkernel,
                     cvi_pool *pool) {
    job j = {s, large, small, NULL, gkernel, true};
    cvi_pool_run(pool, s->filters * (s->channels / s->groups), kernel_body, &j);
}

/* ---- bias ---------------------------------------------------------------------------------------------- */

typedef struct bias_job {
    cvs_dtype dtype;
    int64_t n, channels, positions;
    const void *g;
    void *out;
} bias_job;

CVI_INLINE void bias_channel(const bias_job *j, int64_t c, cvs_dtype type) {
    double sum = 0;
    for (int64_t n = 0; n < j->n; n++) {
        int64_t at = (n * j->channels + c) * j->positions;
        for (int64_t i = 0; i < j->positions; i++) {
            sum += cvi_load(j->g, at + i, type);
        }
    }
    cvi_accumulate(j->out, c, sum, type);
}

static void bias_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const bias_job *j = context;
    CVI_TYPED(j->dtype, bias_channel, j, chunk);
}

void cvi_conv_sum_bias(cvs_dtype dtype, int64_t n, int64_t channels, int64_t positions, const void *g,
                       void *gbias, cvi_pool *pool) {
    bias_job j = {dtype, n, channels, positions, g, gbias};
    cvi_pool_run(pool, channels, bias_body, &j);
}
