/* SPDX-License-Identifier: MIT
 * kernel_layout.c - plain <-> NHWC8, channels copied between tensors, and resizing from tables of taps.
 */
#include "kernels/kernel_table.h"

enum { PIXELS = 256 }; /* pixels of a chunk */

typedef struct layout_job {
    const cvi_kernels *kernels;
    int64_t C, pixels, pitch, blocks;
    const float *in;
    float *out;
} layout_job;

static void run_layout(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *in, float *out,
                       void (*body)(void *, int64_t, int)) {
    layout_job job = {
        .kernels = cvi_kernels_get(), .C = C, .pixels = pixels, .pitch = CVI_PITCH(C), .in = in, .out = out};
    job.blocks = (pixels + PIXELS - 1) / PIXELS;
    cvi_pool_run(pool, N * job.blocks, body, &job);
}

static void to_chunk(void *context, int64_t chunk, int worker) {
    const layout_job *job = context;
    (void)worker;
    int64_t n = chunk / job->blocks, p = chunk % job->blocks * PIXELS,
            count = CVI_MIN(PIXELS, job->pixels - p);
    float *out = job->out + (n * job->pixels + p) * job->pitch;
    job->kernels->to_pixels(job->C, count, job->in + n * job->C * job->pixels + p, job->pixels, out,
                            job->pitch);
}

static void from_chunk(void *context, int64_t chunk, int worker) {
    const layout_job *job = context;
    (void)worker;
    int64_t n = chunk / job->blocks, p = chunk % job->blocks * PIXELS,
            count = CVI_MIN(PIXELS, job->pixels - p);
    job->kernels->transpose(count, job->C, job->in + (n * job->pixels + p) * job->pitch, job->pitch,
                            job->out + n * job->C * job->pixels + p, job->pixels);
}

void cvi_to_nhwc8(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *plain, float *nhwc8) {
    run_layout(pool, N, C, pixels, plain, nhwc8, to_chunk);
}

void cvi_from_nhwc8(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *nhwc8, float *plain) {
    run_layout(pool, N, C, pixels, nhwc8, plain, from_chunk);
}

/* ---- channels between tensors -------------------------------------------------------------------------- */

typedef struct copy_job {
    int64_t rows, count, in_pitch, out_pitch;
    const float *in;
    float *out;
} copy_job;

enum { COPY_ROWS = 256 };

static void copy_chunk(void *context, int64_t chunk, int worker) {
    const copy_job *job = context;
    (void)worker;
    int64_t last = CVI_MIN(job->rows, (chunk + 1) * COPY_ROWS);
    for (int64_t r = chunk * COPY_ROWS; r < last; r++) {
        float *to = job->out + r * job->out_pitch;
        if (job->in != NULL) {
            memcpy(to, job->in + r * job->in_pitch, (size_t)job->count * sizeof(float));
        } else {
            memset(to, 0, (size_t)job->count * sizeof(float));
        }
    }
}

static void run_copy(cvi_pool *pool, const copy_job *job) {
    copy_job mine = *job;
    if (job->count > 0) {
        cvi_pool_run(pool, (job->rows + COPY_ROWS - 1) / COPY_ROWS, copy_chunk, &mine);
    }
}

void cvi_copy_channels(cvi_pool *pool, int64_t rows, int64_t count, const float *in, int64_t in_pitch,
                       int64_t from, float *out, int64_t out_pitch, int64_t to) {
    copy_job job = {rows, count, in_pitch, out_pitch, in + from, out + to};
    run_copy(pool, &job);
}

void cvi_pad_channels(cvi_pool *pool, int64_t rows, int64_t C, int64_t pitch, float *x) {
    copy_job job = {rows, pitch - C, 0, pitch, NULL, x + C};
    run_copy(pool, &job);
}

/* ---- resizing: a chunk is one output row ---------------------------------------------------------------- */

typedef struct resize_job {
    const cvi_kernels *kernels;
    int64_t H, W, OH, OW, pitch;
    const cvi_resize_axis *rows, *columns;
    const float *in;
    float *out;
} resize_job;

static void resize_row(void *context, int64_t chunk, int worker) {
    const resize_job *job = context;
    (void)worker;
    int64_t n = chunk / job->OH, oy = chunk % job->OH;
    const float *picture = job->in + n * job->H * job->W * job->pitch;
    const float *row0 = picture + job->rows->i0[oy] * job->W * job->pitch;
    const float *row1 = picture + job->rows->i1[oy] * job->W * job->pitch;
    float wy = job->rows->w[oy];
    for (int64_t ox = 0; ox < job->OW; ox++) {
        int64_t x0 = job->columns->i0[ox] * job->pitch, x1 = job->columns->i1[ox] * job->pitch;
        float wx = job->columns->w[ox], *out = job->out + (chunk * job->OW + ox) * job->pitch;
        if (wx == 0.0F && wy == 0.0F) { /* exact, and 0 times infinity does not arise */
            memcpy(out, row0 + x0, (size_t)job->pitch * sizeof(float));
        } else {
            const float *corner[4] = {row0 + x0, row0 + x1, row1 + x0, row1 + x1};
            job->kernels->blend(job->pitch, corner, wy, wx, out);
        }
    }
}

void cvi_resize(cvi_pool *pool, int64_t N, int64_t C, int64_t H, int64_t W, int64_t OH, int64_t OW,
                const cvi_resize_axis *rows, const cvi_resize_axis *columns, const float *in, float *out) {
    resize_job job = {.kernels = cvi_kernels_get(),
                      .H = H,
                      .W = W,
                      .OH = OH,
                      .OW = OW,
                      .pitch = CVI_PITCH(C),
                      .rows = rows,
                      .columns = columns,
                      .in = in,
                      .out = out};
    cvi_pool_run(pool, N * OH, resize_row, &job);
}
