/* SPDX-License-Identifier: MIT
 * product.c - the plain matrix product. One job = one row by up to TILE columns; the sums are held in double.
 */
#include "kernels/kernels.h"
#include "ops/product.h"

enum { TILE = 128 };

CVI_INLINE void product_tile(const cvi_product *p, int64_t m, int64_t from, cvs_dtype type) {
    int64_t count = CVI_MIN(TILE, p->N - from);
    double sum[TILE] = {0};
    if (p->b_col == 1) { /* rows of b lie in order: add one row after another */
        for (int64_t k = 0; k < p->K; k++) {
            double a = cvi_load(p->a, m * p->a_row + k * p->a_col, type);
            for (int64_t i = 0; i < count; i++) {
                sum[i] += a * cvi_load(p->b, k * p->b_row + from + i, type);
            }
        }
    } else {
        for (int64_t i = 0; i < count; i++) {
            int64_t column = (from + i) * p->b_col;
            for (int64_t k = 0; k < p->K; k++) {
                sum[i] += cvi_load(p->a, m * p->a_row + k * p->a_col, type) *
                          cvi_load(p->b, column + k * p->b_row, type);
            }
        }
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t at = m * p->N + from + i;
        double v = p->alpha * sum[i];
        cvi_store(p->out, at, p->add ? v + cvi_load(p->out, at, type) : v, type);
    }
}

static void product_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const cvi_product *p = context;
    int64_t tiles = (p->N + TILE - 1) / TILE;
    CVI_TYPED(p->dtype, product_tile, p, chunk / tiles, chunk % tiles * TILE);
}

void cvi_product_plain(const cvi_product *p, cvi_pool *pool) {
    cvi_product copy = *p;
    cvi_pool_run(pool, p->M * ((p->N + TILE - 1) / TILE), product_body, &copy);
}

/* The kernels take float32 whose rows or columns lie in order. */
static bool by_kernels(const cvi_product *p) {
    bool straight = (p->a_col == 1 || p->a_row == 1) && (p->b_col == 1 || p->b_row == 1);
    return p->dtype == CVS_F32 && straight && p->M > 0 && p->N > 0 && p->K > 0;
}

void cvi_product_with(const cvi_product *p, cvi_pool *pool, void *scratch) {
    if (scratch == NULL || !by_kernels(p)) {
        cvi_product_plain(p, pool);
        return;
    }
    cvi_gemm_args args = {.ta = p->a_col != 1,
                          .tb = p->b_col != 1,
                          .M = p->M,
                          .N = p->N,
                          .K = p->K,
                          .alpha = (float)p->alpha,
                          .A = p->a,
                          .lda = p->a_col != 1 ? p->a_col : p->a_row,
                          .B = p->b,
                          .ldb = p->b_col != 1 ? p->b_col : p->b_row,
                          .beta = p->add ? 1.0f : 0.0f,
                          .C = p->out,
                          .ldc = p->N,
                          .scratch = scratch};
    cvi_gemm(pool, &args);
}

cvs_status cvi_product_run(cvi_opctx *ctx, const cvi_product *p) {
    void *scratch = NULL;
    if (!ctx->plain && by_kernels(p)) {
        int64_t bytes = cvi_gemm_scratch_bytes(cvi_pool_threads(ctx->pool));
        scratch = cvi_arena_raw(ctx->scratch, bytes);
        if (scratch == NULL) {
            return cvi_no_memory(ctx->err, (size_t)bytes);
        }
    }
    cvi_product_with(p, ctx->pool, scratch);
    return CVS_OK;
}
