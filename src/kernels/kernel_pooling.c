/* SPDX-License-Identifier: MIT
 * kernel_pooling.c - maximum and average pooling of any window in NHWC8, and global pooling.
 */
#include <math.h>

#include "kernels/kernel_table.h"

/* Window elements handled at once; larger windows are pooled in pieces. */
enum { PIECE = 256 };

typedef struct pool_job {
    const cvi_pool_shape *s;
    const cvi_kernels *kernels;
    bool count_pad;
    const float *in;
    float *out;
    int32_t *argmax;
    int64_t pitch;
} pool_job;

/* Taps r of a window starting at `start` that fall in [low, high): *first and their number. */
static int64_t taps_inside(int64_t start, int64_t dilation, int64_t taps, int64_t low, int64_t high,
                           int64_t *first) {
    if (dilation == 1) { /* nearly always; divisions would be most of a small window's time */
        *first = CVI_MIN(start < low ? low - start : 0, taps);
        return CVI_MAX(0, CVI_MIN(start < high ? high - start : 0, taps) - *first);
    }
    int64_t a = start < low ? (low - start + dilation - 1) / dilation : 0;
    int64_t b = start < high ? (high - start + dilation - 1) / dilation : 0;
    *first = CVI_MIN(a, taps);
    return CVI_MAX(0, CVI_MIN(b, taps) - *first);
}

/* The part of an output's window that lies inside the picture. */
typedef struct window {
    int64_t y, x, rows, columns; /* first element, and how many (dilation apart) */
    int64_t divisor;             /* of the average */
} window;

static window window_of(const pool_job *job, int64_t oy, int64_t ox) {
    const cvi_pool_shape *s = job->s;
    int64_t y = oy * s->stride_h - s->pad_top, x = ox * s->stride_w - s->pad_left, r, q;
    window w = {0};
    w.rows = taps_inside(y, s->dilation_h, s->R, 0, s->H, &r);
    w.columns = taps_inside(x, s->dilation_w, s->S, 0, s->W, &q);
    w.y = y + r * s->dilation_h;
    w.x = x + q * s->dilation_w;
    w.divisor = w.rows * w.columns;
    if (job->count_pad) {
        w.divisor = taps_inside(y, s->dilation_h, s->R, -s->pad_top, s->H + s->pad_bottom, &r) *
                    taps_inside(x, s->dilation_w, s->S, -s->pad_left, s->W + s->pad_right, &q);
    }
    return w;
}

/* Addresses (and places in the picture) of a window of at most PIECE elements; their number. */
static int64_t list_window(const pool_job *job, const window *w, const float *picture, const float **address,
                           int32_t *place) {
    const cvi_pool_shape *s = job->s;
    int64_t i = 0;
    for (int64_t r = 0; r < w->rows; r++) {
        int64_t at = (w->y + r * s->dilation_h) * s->W + w->x;
        for (int64_t q = 0; q < w->columns; q++, i++, at += s->dilation_w) {
            place[i] = (int32_t)at;
            address[i] = picture + at * job->pitch;
        }
    }
    return i;
}

/* One more element of a window: it wins as in the leaf, if larger, or the first NaN. */
static void challenge(const float *x, int32_t place, int64_t channels, float *best, int32_t *position) {
    for (int64_t c = 0; c < channels; c++) {
        if ((x[c] > best[c] || isnan(x[c])) && !isnan(best[c])) {
            best[c] = x[c];
            if (position != NULL) {
                position[c] = place;
            }
        }
    }
}

static void max_pixel(const pool_job *job, int64_t n, int64_t oy, int64_t ox, int64_t at) {
    const cvi_pool_shape *s = job->s;
    window w = window_of(job, oy, ox);
    const float *picture = job->in + n * s->H * s->W * job->pitch, *address[PIECE];
    float *out = job->out + at * job->pitch;
    int32_t *arg = job->argmax != NULL ? job->argmax + at * job->pitch : NULL, place[PIECE];
    int64_t total = w.rows * w.columns, done = 0;
    if (total == 0) {
        memset(out, 0, (size_t)job->pitch * sizeof(float));
    }
    for (int64_t c = 0; total == 0 && arg != NULL && c < job->pitch; c++) {
        arg[c] = -1;
    }
    if (total > 0 && total <= PIECE) {
        job->kernels->pool_max(list_window(job, &w, picture, address, place), job->pitch, address, place, out,
                               arg);
        done = total;
    }
    while (done < total) {
        int64_t count = CVI_MIN(PIECE, total - done);
        for (int64_t i = 0; i < count; i++) {
            int64_t y = w.y + (done + i) / w.columns * s->dilation_h,
                    x = w.x + (done + i) % w.columns * s->dilation_w;
            place[i] = (int32_t)(y * s->W + x);
            address[i] = picture + (y * s->W + x) * job->pitch;
        }
        if (done == 0) {
            job->kernels->pool_max(count, job->pitch, address, place, out, arg);
        } else { /* the rest of a very large window, plainly */
            for (int64_t i = 0; i < count; i++) {
                challenge(address[i], place[i], job->pitch, out, arg);
            }
        }
        done += count;
    }
    for (int64_t c = s->C; arg != NULL && c < job->pitch; c++) {
        arg[c] = 0;
    }
}

static void average_pixel(const pool_job *job, int64_t n, int64_t oy, int64_t ox, int64_t at) {
    const cvi_pool_shape *s = job->s;
    window w = window_of(job, oy, ox);
    const float *picture = job->in + n * s->H * s->W * job->pitch, *address[PIECE + 1];
    int32_t place[PIECE];
    float *out = job->out + at * job->pitch;
    int64_t total = w.rows * w.columns, done = 0;
    if (total == 0) {
        memset(out, 0, (size_t)job->pitch * sizeof(float));
    }
    if (total > 0 && total <= PIECE) {
        job->kernels->pool_sum(list_window(job, &w, picture, address, place), job->pitch, address,
                               1.0F / (float)w.divisor, out);
        done = total;
    }
    while (done < total) {
        int64_t count = CVI_MIN(PIECE, total - done), extra = done > 0 ? 1 : 0;
        address[0] = out; /* the sum so far */
        for (int64_t i = 0; i < count; i++) {
            int64_t y = w.y + (done + i) / w.columns * s->dilation_h,
                    x = w.x + (done + i) % w.columns * s->dilation_w;
            address[extra + i] = picture + (y * s->W + x) * job->pitch;
        }
        done += count;
        float scale = done == total ? 1.0F / (float)w.divisor : 1.0F;
        job->kernels->pool_sum(count + extra, job->pitch, address, scale, out);
    }
}

static void max_row(void *context, int64_t chunk, int worker) {
    const pool_job *job = context;
    (void)worker;
    for (int64_t x = 0; x < job->s->OW; x++) {
        max_pixel(job, chunk / job->s->OH, chunk % job->s->OH, x, chunk * job->s->OW + x);
    }
}

static void average_row(void *context, int64_t chunk, int worker) {
    const pool_job *job = context;
    (void)worker;
    for (int64_t x = 0; x < job->s->OW; x++) {
        average_pixel(job, chunk / job->s->OH, chunk % job->s->OH, x, chunk * job->s->OW + x);
    }
}

void cvi_maxpool(cvi_pool *pool, const cvi_pool_shape *s, const float *in, float *out, int32_t *argmax) {
    pool_job job = {.s = s,
                    .kernels = cvi_kernels_get(),
                    .in = in,
                    .out = out,
                    .argmax = argmax,
                    .pitch = CVI_PITCH(s->C)};
    cvi_pool_run(pool, s->N * s->OH, max_row, &job);
}

void cvi_maxpool_rows(const cvi_pool_shape *s, const float *in, float *out, int64_t y0, int64_t y1) {
    pool_job job = {.s = s, .kernels = cvi_kernels_get(), .in = in, .out = out, .pitch = CVI_PITCH(s->C)};
    for (; y0 < y1; y0++) {
        max_row(&job, y0, 0);
    }
}

void cvi_avgpool(cvi_pool *pool, const cvi_pool_shape *s, bool count_pad, const float *in, float *out) {
    pool_job job = {.s = s,
                    .kernels = cvi_kernels_get(),
                    .count_pad = count_pad,
                    .in = in,
                    .out = out,
                    .pitch = CVI_PITCH(s->C)};
    cvi_pool_run(pool, s->N * s->OH, average_row, &job);
}

/* ---- global: a chunk is one picture and 64 channels ---------------------------------------------------- */

typedef struct global_job {
    const cvi_kernels *kernels;
    int64_t pixels, pitch, strips;
    const float *in;
    float *out;
} global_job;

enum { STRIP = 64 };

static void global_average(void *context, int64_t chunk, int worker) {
    const global_job *job = context;
    (void)worker;
    int64_t n = chunk / job->strips, c = chunk % job->strips * STRIP, count = CVI_MIN(STRIP, job->pitch - c);
    const float *in = job->in + n * job->pixels * job->pitch + c;
    float *out = job->out + n * job->pitch + c;
    memset(out, 0, (size_t)count * sizeof(float));
    job->kernels->sum_rows(job->pixels, count, job->pitch, in, out);
    for (int64_t i = 0; i < count; i++) {
        out[i] /= (float)job->pixels;
    }
}

static void global_maximum(void *context, int64_t chunk, int worker) {
    const global_job *job = context;
    (void)worker;
    int64_t n = chunk / job->strips, c = chunk % job->strips * STRIP, count = CVI_MIN(STRIP, job->pitch - c);
    const float *in = job->in + n * job->pixels * job->pitch + c;
    float *out = job->out + n * job->pitch + c;
    memcpy(out, in, (size_t)count * sizeof(float));
    for (int64_t i = 1; i < job->pixels; i++) {
        const float *pair[2] = {out, in + i * job->pitch};
        job->kernels->pool_max(2, count, pair, NULL, out, NULL);
    }
}

static void run_global(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *in, float *out,
                       void (*body)(void *, int64_t, int)) {
    global_job job = {
        .kernels = cvi_kernels_get(), .pixels = pixels, .pitch = CVI_PITCH(C), .in = in, .out = out};
    job.strips = (job.pitch + STRIP - 1) / STRIP;
    cvi_pool_run(pool, N * job.strips, body, &job);
}

void cvi_global_avgpool(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *in, float *out) {
    run_global(pool, N, C, pixels, in, out, global_average);
}

void cvi_global_maxpool(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *in, float *out) {
    run_global(pool, N, C, pixels, in, out, global_maximum);
}
