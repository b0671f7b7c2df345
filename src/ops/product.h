/* SPDX-License-Identifier: MIT
 * product.h (internal) - one strided matrix product, which Gemm, MatMul and their backward passes are made of.
 */
#ifndef CVI_OPS_PRODUCT_H
#define CVI_OPS_PRODUCT_H

#include "ops/typed.h"

/* out(m,n) = (add ? out(m,n) : 0) + alpha * sum over k of a(m,k) b(k,n); strides in elements, out is row-major [M,N]. */
typedef struct cvi_product {
    cvs_dtype dtype;
    int64_t M, N, K;
    double alpha;
    const void *a, *b;
    int64_t a_row, a_col, b_row, b_col;
    void *out;
    bool add;
} cvi_product;

/* The plain loop, sums in double. */
void cvi_product_plain(const cvi_product *p, cvi_pool *pool);

/* The same on the kernels where they can, with cvi_gemm_scratch_bytes() of scratch; scratch NULL: the plain loop. */
void cvi_product_with(const cvi_product *p, cvi_pool *pool, void *scratch);

/* The same on the kernels where float32 and the caller allow, else the plain loop. */
cvs_status cvi_product_run(cvi_opctx *ctx, const cvi_product *p);

#endif
