/* SPDX-License-Identifier: MIT
 * kernel_gemm.c - product of plain row-major matrices with the convolution's register blocks.
 * A chunk is MC rows x NC columns of the result. It packs its own piece of op(B) (and of a transposed A) in steps
 * of KC, so nothing waits for a common packing; copying a number costs little beside the MC products it serves.
 * One row (a dense layer for one picture) is bound by reading B and goes its own way: B is read once, in place.
 */
#include "kernels/kernel_table.h"

enum { MC = 96, NC = 64, KC = 384 };

typedef struct worker_scratch {
    float *b, *a;      /* op(B) [panel][KC][16]; op(A) [MC][KC] */
    float *tile, *add; /* [rows][16]: the last columns */
    float *bias;       /* [16] */
} worker_scratch;

enum { FLOATS_PER_WORKER = NC * KC + MC * KC + 2 * CVI_MAX_ROWS * 16 + 16 };

int64_t cvi_gemm_scratch_bytes(int threads) {
    return (int64_t)FLOATS_PER_WORKER * (int64_t)sizeof(float) * CVI_MAX(threads, 1);
}

static worker_scratch scratch_of(void *scratch, int worker) {
    worker_scratch w = {.b = (float *)scratch + (int64_t)worker * FLOATS_PER_WORKER};
    w.a = w.b + NC * KC;
    w.tile = w.a + MC * KC;
    w.add = w.tile + CVI_MAX_ROWS * 16;
    w.bias = w.add + CVI_MAX_ROWS * 16;
    return w;
}

typedef struct gemm_job {
    const cvi_gemm_args *g;
    const cvi_kernels *kernels;
    int64_t column_blocks, columns; /* columns: of a chunk, when M is 1 */
} gemm_job;

/* op(B)[k0.., n0..] -> panels of 16 (the last 8 where that is enough), scaled by alpha, missing columns 0. */
static void pack_b(const gemm_job *job, int64_t k0, int64_t kc, int64_t n0, int64_t n1, float *to) {
    const cvi_gemm_args *g = job->g;
    for (int64_t n = n0; n < n1; n += 16) {
        int64_t width = n1 - n > 8 ? 16 : 8, valid = CVI_MIN(width, n1 - n);
        if (valid < width) {
            memset(to, 0, (size_t)(kc * width) * sizeof(float));
        }
        if (g->tb) {
            job->kernels->transpose(valid, kc, g->B + n * g->ldb + k0, g->ldb, to, width);
        } else {
            for (int64_t k = 0; k < kc; k++) {
                memcpy(to + k * width, g->B + (k0 + k) * g->ldb + n, (size_t)valid * sizeof(float));
            }
        }
        for (int64_t i = 0; g->alpha != 1.0F && i < kc * width; i++) {
            to[i] *= g->alpha;
        }
        to += kc * 16;
    }
}

/* What is left of beta once the first step adds C. */
static void scale_c(const cvi_gemm_args *g, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
    for (int64_t m = m0; m < m1; m++) {
        for (int64_t n = n0; n < n1; n++) {
            g->C[m * g->ldc + n] *= g->beta;
        }
    }
}

static void set_bias(const cvi_gemm_args *g, bool first, int64_t n, int64_t valid, float *bias) {
    for (int64_t i = 0; i < 16; i++) {
        bias[i] = first && g->bias != NULL && i < valid ? g->bias[n + i] : 0.0F;
    }
}

/* `count` rows x one panel: C = bias + products + (add ? C : 0). */
static void run_tile(const gemm_job *job, const worker_scratch *w, int64_t m, int64_t count, int64_t n,
                     int64_t valid, const float *const *rows, int64_t kc, const float *panel, bool add) {
    const cvi_gemm_args *g = job->g;
    int64_t width = valid > 8 ? 16 : 8;
    float *c = g->C + m * g->ldc + n;
    cvi_tile tile = {.bias = w->bias, .add = add ? c : NULL, .out = c, .pitch = g->ldc};
    if (valid < width) { /* the panel is wider than the matrix */
        for (int64_t i = 0; add && i < count; i++) {
            memcpy(w->add + i * 16, c + i * g->ldc, (size_t)valid * sizeof(float));
        }
        tile.add = add ? w->add : NULL;
        tile.out = w->tile;
        tile.pitch = 16;
    }
    (width == 16 ? job->kernels->micro16 : job->kernels->micro8)[count](1, kc, rows, 0, panel, &tile);
    for (int64_t i = 0; valid < width && i < count; i++) {
        memcpy(c + i * g->ldc, w->tile + i * 16, (size_t)valid * sizeof(float));
    }
}

/* One step of K for a chunk whose panels are packed. */
static void run_step(const gemm_job *job, const worker_scratch *w, int64_t m0, int64_t m1, int64_t n0,
                     int64_t n1, int64_t k0, int64_t kc) {
    const cvi_gemm_args *g = job->g;
    const float *a = g->ta ? w->a : g->A + m0 * g->lda + k0;
    int64_t lda = g->ta ? KC : g->lda, rows = job->kernels->rows;
    for (int64_t n = n0; n < n1; n += 16) {
        int64_t valid = CVI_MIN(16, n1 - n);
        const float *panel = w->b + (n - n0) / 16 * kc * 16;
        set_bias(g, k0 == 0, n, valid, w->bias);
        for (int64_t m = m0, count; m < m1; m += count) {
            int64_t left = m1 - m, blocks = (left + rows - 1) / rows;
            count = (left + blocks - 1) / blocks;
            const float *row[CVI_MAX_ROWS];
            for (int64_t i = 0; i < count; i++) {
                row[i] = a + (m - m0 + i) * lda;
            }
            run_tile(job, w, m, count, n, valid, row, kc, panel, k0 > 0 || g->beta != 0.0F);
        }
    }
}

static void run_chunk(void *context, int64_t chunk, int worker) {
    const gemm_job *job = context;
    const cvi_gemm_args *g = job->g;
    worker_scratch w = scratch_of(g->scratch, worker);
    int64_t m0 = chunk / job->column_blocks * MC, m1 = CVI_MIN(g->M, m0 + MC);
    int64_t n0 = chunk % job->column_blocks * NC, n1 = CVI_MIN(g->N, n0 + NC);
    if (g->beta != 0.0F && g->beta != 1.0F) {
        scale_c(g, m0, m1, n0, n1);
    }
    int64_t k0 = 0;
    do { /* once even for K == 0: C = beta*C + bias */
        int64_t kc = CVI_MIN(KC, g->K - k0);
        pack_b(job, k0, kc, n0, n1, w.b);
        if (g->ta) {
            job->kernels->transpose(kc, m1 - m0, g->A + k0 * g->lda + m0, g->lda, w.a, KC);
        }
        run_step(job, &w, m0, m1, n0, n1, k0, kc);
        k0 += KC;
    } while (k0 < g->K);
}

/* ---- one row ----------------------------------------------------------------------------------------- */

static void finish_row(const cvi_gemm_args *g, int64_t n, int64_t count, const float *sum) {
    for (int64_t i = 0; i < count; i++) {
        float y = g->alpha * sum[i];
        if (g->beta != 0.0F) {
            y += g->beta * g->C[n + i];
        }
        g->C[n + i] = g->bias != NULL ? y + g->bias[n + i] : y;
    }
}

/* B is [N,K]: a dot product per column. */
static void run_row_tb(void *context, int64_t chunk, int worker) {
    const gemm_job *job = context;
    const cvi_gemm_args *g = job->g;
    (void)worker;
    int64_t n1 = CVI_MIN(g->N, (chunk + 1) * job->columns);
    for (int64_t n = chunk * job->columns; n < n1; n += 4) {
        int64_t valid = CVI_MIN(4, n1 - n);
        float sum[4];
        /* The last rows: the same row four times over, one result kept. */
        if (valid == 4) {
            job->kernels->dot4(g->K, g->A, g->B + n * g->ldb, g->ldb, sum);
            finish_row(g, n, 4, sum);
        } else {
            for (int64_t i = 0; i < valid; i++) {
                job->kernels->dot4(g->K, g->A, g->B + (n + i) * g->ldb, 0, sum);
                finish_row(g, n + i, 1, sum);
            }
        }
    }
}

/* B is [K,N]: rows of B scaled and added, a strip of columns at a time so that the sums stay in the cache. */
static void run_row(void *context, int64_t chunk, int worker) {
    const gemm_job *job = context;
    const cvi_gemm_args *g = job->g;
    float *sum = scratch_of(g->scratch, worker).b;
    int64_t n = chunk * job->columns, count = CVI_MIN(g->N - n, job->columns);
    memset(sum, 0, (size_t)count * sizeof(float));
    job->kernels->add_rows(g->K, count, g->A, g->B + n, g->ldb, sum);
    finish_row(g, n, count, sum);
}

static bool one_row(cvi_pool *pool, gemm_job *job) {
    const cvi_gemm_args *g = job->g;
    if (g->M != 1 || (g->ta && g->lda != 1 && g->K > 1)) {
        return false;
    }
    if (g->tb) { /* about a quarter of a megabyte of B per chunk */
        job->columns = (CVI_MAX(4, CVI_MIN(1024, 65536 / CVI_MAX(g->K, 1))) + 3) / 4 * 4;
        cvi_pool_run(pool, (g->N + job->columns - 1) / job->columns, run_row_tb, job);
    } else {
        job->columns = 512;
        cvi_pool_run(pool, (g->N + 511) / 512, run_row, job);
    }
    return true;
}

void cvi_gemm(cvi_pool *pool, const cvi_gemm_args *args) {
    if (args->M <= 0 || args->N <= 0) {
        return;
    }
    gemm_job job = {.g = args, .kernels = cvi_kernels_get(), .column_blocks = (args->N + NC - 1) / NC};
    if (!one_row(pool, &job)) {
        cvi_pool_run(pool, (args->M + MC - 1) / MC * job.column_blocks, run_chunk, &job);
    }
}
