/* SPDX-License-Identifier: MIT
 * kernel_back.c - gradients of element-wise operators on memory in any order, and of a dense layer for one picture. Each
 * writes every number of its result, added to `base` where that is given (which may be the result itself).
 */
#include "kernels/kernel_table.h"

enum { CHUNK = 16384 }; /* floats */

typedef struct back_job {
    const cvi_kernels *kernels;
    const cvi_gate *gate;
    int64_t n, pitch, rows, chunk_rows;
    const float *g, *y, *base;
    float *out;
} back_job;

static const float *at(const float *p, int64_t i) {
    return p != NULL ? p + i : NULL;
}

static void gate_chunk(void *context, int64_t chunk, int worker) {
    const back_job *job = context;
    (void)worker;
    int64_t i = chunk * CHUNK, n = CVI_MIN(CHUNK, job->n - i);
    job->kernels->gate(job->gate, n, job->g + i, at(job->y, i), at(job->base, i), job->out + i);
}

void cvi_gate_backward(cvi_pool *pool, const cvi_gate *gate, int64_t n, const float *g, const float *y,
                       const float *base, float *dx) {
    back_job job = {
        .kernels = cvi_kernels_get(), .gate = gate, .n = n, .g = g, .y = y, .base = base, .out = dx};
    cvi_pool_run(pool, (n + CHUNK - 1) / CHUNK, gate_chunk, &job);
}

static void multiply_chunk(void *context, int64_t chunk, int worker) {
    const back_job *job = context;
    (void)worker;
    int64_t i = chunk * CHUNK, n = CVI_MIN(CHUNK, job->n - i);
    job->kernels->multiply_add(n, job->g + i, job->y + i, at(job->base, i), job->out + i);
}

void cvi_multiply_add(cvi_pool *pool, int64_t n, const float *x, const float *y, const float *base,
                      float *out) {
    back_job job = {.kernels = cvi_kernels_get(), .n = n, .g = x, .y = y, .base = base, .out = out};
    cvi_pool_run(pool, (n + CHUNK - 1) / CHUNK, multiply_chunk, &job);
}

static void scale_chunk(void *context, int64_t chunk, int worker) {
    const back_job *job = context;
    (void)worker;
    int64_t end = CVI_MIN(job->rows, (chunk + 1) * job->chunk_rows);
    for (int64_t r = chunk * job->chunk_rows; r < end; r++) {
        int64_t i = r * job->pitch;
        job->kernels->multiply_add(job->n, job->g + i, job->y, at(job->base, i), job->out + i);
        memset(job->out + i + job->n, 0, (size_t)(job->pitch - job->n) * sizeof(float));
    }
}

void cvi_scale_backward(cvi_pool *pool, int64_t rows, int64_t C, int64_t pitch, const float *g,
                        const float *scale, const float *base, float *dx) {
    back_job job = {.kernels = cvi_kernels_get(),
                    .n = C,
                    .pitch = pitch,
                    .rows = rows,
                    .chunk_rows = CVI_MAX(1, CHUNK / pitch),
                    .g = g,
                    .y = scale,
                    .base = base,
                    .out = dx};
    cvi_pool_run(pool, (rows + job.chunk_rows - 1) / job.chunk_rows, scale_chunk, &job);
}

/* ---- one row for all pixels: chunks of rows --------------------------------------------------------------- */

static void spread_chunk(void *context, int64_t chunk, int worker) {
    const back_job *job = context;
    (void)worker;
    int64_t end = CVI_MIN(job->rows, (chunk + 1) * job->chunk_rows);
    for (int64_t r = chunk * job->chunk_rows; r < end; r++) {
        int64_t i = r * job->pitch;
        job->kernels->multiply_add(job->pitch, job->g + r / job->n * job->pitch, job->y, at(job->base, i),
                                   job->out + i);
    }
}

void cvi_global_avgpool_backward(cvi_pool *pool, int64_t N, int64_t C, int64_t pixels, const float *dy,
                                 const float *base, float *dx, float *scratch) {
    back_job job = {.kernels = cvi_kernels_get(),
                    .n = pixels,
                    .pitch = CVI_PITCH(C),
                    .rows = N * pixels,
                    .g = dy,
                    .y = scratch,
                    .base = base,
                    .out = dx};
    for (int64_t c = 0; c < job.pitch; c++) {
        scratch[c] = 1.0F / (float)pixels;
    }
    job.chunk_rows = CVI_MAX(1, CHUNK / job.pitch);
    cvi_pool_run(pool, (job.rows + job.chunk_rows - 1) / job.chunk_rows, spread_chunk, &job);
}

/* ---- sums of products per channel -------------------------------------------------------------------------- */

enum { STRIP = 64 };

static void dot_chunk(void *context, int64_t chunk, int worker) {
    const back_job *job = context;
    (void)worker;
    int64_t c = chunk * STRIP, count = CVI_MIN(STRIP, job->pitch - c);
    float *out = job->out + c;
    if (job->base != NULL) {
        memmove(out, job->base + c, (size_t)count * sizeof(float));
    } else {
        memset(out, 0, (size_t)count * sizeof(float));
    }
    job->kernels->dot_rows(job->rows, count, job->pitch, job->g + c, job->y + c, out);
}

void cvi_channel_dot(cvi_pool *pool, int64_t rows, int64_t pitch, const float *x, const float *y,
                     const float *base, float *out) {
    back_job job = {
        .kernels = cvi_kernels_get(), .pitch = pitch, .rows = rows, .g = x, .y = y, .base = base, .out = out};
    cvi_pool_run(pool, (pitch + STRIP - 1) / STRIP, dot_chunk, &job);
}

/* ---- row times matrix --------------------------------------------------------------------------------------
 * A chunk takes some of the matrix's rows, leaves out those whose factor is 0 (behind a ReLU that is every second one or more),
 * and adds the others to a sum of its own, which stays in the second-level cache while the rows stream by in place. */

enum { PARTS = 16, LISTED = 64 };

typedef struct row_job {
    const cvi_kernels *kernels;
    int64_t K, N, ldb, parts;
    const float *a, *B, *base;
    float alpha;
    float *sums, *out; /* [parts][N] */
} row_job;

static int64_t row_parts(int64_t K) {
    return CVI_MAX(1, CVI_MIN(PARTS, K / 32));
}

int64_t cvi_row_product_scratch(int64_t K, int64_t N) {
    return row_parts(K) * N * (int64_t)sizeof(float);
}

static void row_chunk(void *context, int64_t chunk, int worker) {
    const row_job *job = context;
    (void)worker;
    float *sum = job->sums + chunk * job->N, factor[LISTED];
    const float *row[LISTED];
    int64_t first = job->K * chunk / job->parts, last = job->K * (chunk + 1) / job->parts, n = 0;
    memset(sum, 0, (size_t)job->N * sizeof(float));
    for (int64_t k = first; k < last; k++) {
        if (job->a[k] != 0.0F) {
            factor[n] = job->a[k];
            row[n++] = job->B + k * job->ldb;
        }
        if (n == LISTED || (k + 1 == last && n > 0)) {
            job->kernels->add_listed(n, job->N, factor, row, sum);
            n = 0;
        }
    }
}

static void join_chunk(void *context, int64_t chunk, int worker) {
    const row_job *job = context;
    (void)worker;
    int64_t i = chunk * CHUNK, n = CVI_MIN(CHUNK, job->N - i);
    const float *sum[PARTS];
    float one[PARTS], *out = job->out + i;
    for (int64_t p = 0; p < job->parts; p++) {
        sum[p] = job->sums + p * job->N + i;
        one[p] = job->alpha;
    }
    if (job->base != NULL) {
        memmove(out, job->base + i, (size_t)n * sizeof(float));
    } else {
        memset(out, 0, (size_t)n * sizeof(float));
    }
    job->kernels->add_listed(job->parts, n, one, sum, out);
}

void cvi_row_product(cvi_pool *pool, int64_t K, int64_t N, float alpha, const float *a, const float *B,
                     int64_t ldb, const float *base, float *out, void *scratch) {
    row_job job = {.kernels = cvi_kernels_get(),
                   .K = K,
                   .N = N,
                   .ldb = ldb,
                   .parts = row_parts(K),
                   .a = a,
                   .B = B,
                   .base = base,
                   .alpha = alpha,
                   .sums = scratch,
                   .out = out};
    cvi_pool_run(pool, job.parts, row_chunk, &job);
    cvi_pool_run(pool, (N + CHUNK - 1) / CHUNK, join_chunk, &job);
}
