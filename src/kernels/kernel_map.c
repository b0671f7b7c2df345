/* SPDX-License-Identifier: MIT
 * kernel_map.c - element-wise functions on rows of channels: cuts the work into chunks and keeps padding channels 0.
 */
#include "kernels/kernel_table.h"

enum { CHUNK = 16384 }; /* floats: fits a first-level cache with room, tens of microseconds */

typedef struct map_job {
    const cvi_kernels *kernels;
    cvi_unary_op unary;
    cvi_binary_op binary;
    float a, b;
    bool per_channel, relu, logarithm, flat;
    int64_t rows, C, pitch;
    int64_t chunk_rows; /* rows of a chunk */
    const float *x, *y, *scale, *shift;
    float *out;
} map_job;

static void run(cvi_pool *pool, map_job *job, void (*body)(void *, int64_t, int)) {
    if (job->rows <= 0 || job->C <= 0) {
        return;
    }
    job->kernels = cvi_kernels_get();
    job->chunk_rows = CVI_MAX(1, CHUNK / job->pitch);
    int64_t chunks = (job->rows + job->chunk_rows - 1) / job->chunk_rows;
    if (job->flat) {
        chunks = (job->rows * job->C + CHUNK - 1) / CHUNK;
    }
    cvi_pool_run(pool, chunks, body, job);
}

static void clear_padding(const map_job *job, int64_t first, int64_t rows) {
    for (int64_t r = first; job->pitch > job->C && r < first + rows; r++) {
        memset(job->out + r * job->pitch + job->C, 0, (size_t)(job->pitch - job->C) * sizeof(float));
    }
}

/* Without padding and without numbers per channel, rows do not matter: chunks cut the memory anywhere. */
static bool is_flat(const map_job *job) {
    return job->C == job->pitch;
}

/* First float of a chunk, and how many. */
static int64_t part_of(const map_job *job, int64_t chunk, int64_t *count) {
    int64_t step = job->flat ? CHUNK : job->chunk_rows * job->pitch;
    *count = CVI_MIN(step, job->rows * job->pitch - chunk * step);
    return chunk * step;
}

static void finish_part(const map_job *job, int64_t first, int64_t count) {
    if (!job->flat) {
        clear_padding(job, first / job->pitch, count / job->pitch);
    }
}

static void unary_chunk(void *context, int64_t chunk, int worker) {
    const map_job *job = context;
    (void)worker;
    int64_t count, first = part_of(job, chunk, &count);
    job->kernels->unary[job->unary](job->a, job->b, count, job->x + first, job->out + first);
    finish_part(job, first, count);
}

void cvi_unary(cvi_pool *pool, cvi_unary_op op, float a, float b, int64_t rows, int64_t C, int64_t pitch,
               const float *x, float *y) {
    map_job job = {.unary = op, .a = a, .b = b, .rows = rows, .C = C, .pitch = pitch, .x = x, .out = y};
    job.flat = is_flat(&job);
    run(pool, &job, unary_chunk);
}

static void binary_chunk(void *context, int64_t chunk, int worker) {
    const map_job *job = context;
    (void)worker;
    int64_t count, first = part_of(job, chunk, &count);
    job->kernels->binary[job->binary](job->relu, count, job->x + first, job->y + first, job->out + first);
    finish_part(job, first, count);
}

/* Row by row, for operands of one number per channel. */
static void channel_chunk(void *context, int64_t chunk, int worker) {
    const map_job *job = context;
    (void)worker;
    int64_t first = chunk * job->chunk_rows, last = CVI_MIN(job->rows, first + job->chunk_rows);
    for (int64_t r = first; r < last; r++) {
        const float *x = job->x + r * job->pitch;
        float *out = job->out + r * job->pitch;
        if (job->scale != NULL) {
            job->kernels->affine(job->relu, job->C, x, job->scale, job->shift, out);
        } else if (job->per_channel) {
            job->kernels->binary[job->binary](job->relu, job->C, x, job->y, out);
        } else {
            job->kernels->prelu(job->C, x, job->y, out);
        }
    }
    clear_padding(job, first, last - first);
}

void cvi_binary(cvi_pool *pool, cvi_binary_op op, bool per_channel, bool relu, int64_t rows, int64_t C,
                int64_t pitch, const float *x, const float *y, float *z) {
    map_job job = {.binary = op,
                   .per_channel = per_channel,
                   .relu = relu,
                   .rows = rows,
                   .C = C,
                   .pitch = pitch,
                   .x = x,
                   .y = y,
                   .out = z};
    if (per_channel) {
        run(pool, &job, channel_chunk);
    } else {
        job.flat = is_flat(&job);
        run(pool, &job, binary_chunk);
    }
}

void cvi_affine(cvi_pool *pool, bool relu, int64_t rows, int64_t C, int64_t pitch, const float *x,
                const float *scale, const float *shift, float *y) {
    map_job job = {
        .relu = relu, .rows = rows, .C = C, .pitch = pitch, .x = x, .scale = scale, .shift = shift, .out = y};
    run(pool, &job, channel_chunk);
}

void cvi_prelu(cvi_pool *pool, int64_t rows, int64_t C, int64_t pitch, const float *x, const float *slope,
               float *y) {
    map_job job = {.rows = rows, .C = C, .pitch = pitch, .x = x, .y = slope, .out = y};
    run(pool, &job, channel_chunk);
}

static void softmax_chunk(void *context, int64_t chunk, int worker) {
    const map_job *job = context;
    (void)worker;
    int64_t first = chunk * job->chunk_rows, last = CVI_MIN(job->rows, first + job->chunk_rows);
    for (int64_t r = first; r < last; r++) {
        job->kernels->softmax(job->logarithm, job->C, job->x + r * job->pitch, job->out + r * job->pitch);
    }
    clear_padding(job, first, last - first);
}

void cvi_softmax(cvi_pool *pool, bool logarithm, int64_t rows, int64_t C, int64_t pitch, const float *x,
                 float *y) {
    map_job job = {.logarithm = logarithm, .rows = rows, .C = C, .pitch = pitch, .x = x, .out = y};
    run(pool, &job, softmax_chunk);
}

/* ---- sums per channel (the gradient to a bias) --------------------------------------------------------- */

typedef struct sum_job {
    const cvi_kernels *kernels;
    int64_t rows, C, pitch;
    const float *dy;
    float *db;
    bool accumulate;
} sum_job;

enum { STRIP = 64 };

/* A chunk is 64 channels of all rows, so that no partial sums need joining. */
static void sum_chunk(void *context, int64_t chunk, int worker) {
    const sum_job *job = context;
    (void)worker;
    int64_t c = chunk * STRIP, count = CVI_MIN(STRIP, job->C - c);
    float sum[STRIP] = {0};
    job->kernels->sum_rows(job->rows, count, job->pitch, job->dy + c, sum);
    for (int64_t i = 0; i < count; i++) {
        job->db[c + i] = job->accumulate ? job->db[c + i] + sum[i] : sum[i];
    }
}

void cvi_channel_sum(cvi_pool *pool, int64_t rows, int64_t C, int64_t pitch, const float *dy, float *db,
                     bool accumulate) {
    sum_job job = {.kernels = cvi_kernels_get(),
                   .rows = rows,
                   .C = C,
                   .pitch = pitch,
                   .dy = dy,
                   .db = db,
                   .accumulate = accumulate};
    cvi_pool_run(pool, (C + STRIP - 1) / STRIP, sum_chunk, &job);
}
