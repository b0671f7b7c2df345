/* SPDX-License-Identifier: MIT
 * pool_window.c - see pool_window.h.
 */
#include "ops/pool_window.h"

cvs_status cvi_pool_window(cvi_opctx *ctx, cvi_window *w) {
    int64_t kernel[3];
    CVI_TRY(cvi_window_kernel(ctx, ctx->in[0], NULL, kernel));
    return cvi_window_read(ctx, ctx->in[0], kernel, true, w);
}

cvs_status cvi_pool_out(cvi_opctx *ctx, const cvi_window *w, int k, cvs_dtype dtype) {
    const cvs_tensor *x = ctx->in[0];
    int64_t dim[5] = {x->dim[0], x->dim[1]};
    for (int i = 0; i < w->axes; i++) {
        dim[2 + i] = w->out[3 - w->axes + i];
    }
    return cvi_out_shape(ctx, k, dtype, x->rank, dim);
}

void cvi_pool_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    cvi_opctx quiet = *ctx;
    cvi_window w;
    quiet.err = NULL;
    if (cvi_pool_window(&quiet, &w) != CVS_OK ||
        !cvi_mul(cvs_tensor_count(&ctx->out[0]), cvi_window_kernel_size(&w), &cost->flops)) {
        cost->flops = 0;
    }
}

void cvi_pool_field(const cvi_opctx *ctx, cvi_field_step *step) {
    cvi_opctx quiet = *ctx;
    cvi_window w;
    quiet.err = NULL;
    if (cvi_pool_window(&quiet, &w) == CVS_OK) {
        cvi_window_field(&w, step);
    }
}

/* ---- the whole plane as one window ---------------------------------------------------------------------- */

cvi_window cvi_whole_plane(const cvs_tensor *x) {
    return (cvi_window){.axes = 1,
                        .in = {1, 1, cvi_span(x, 2, x->rank)},
                        .out = {1, 1, 1},
                        .stride = {1, 1, 1},
                        .dilation = {1, 1, 1},
                        .kernel = {1, 1, cvi_span(x, 2, x->rank)}};
}

cvs_status cvi_global_infer(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_rank(ctx, 0, 2));
    int64_t dim[CVS_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        dim[i] = i < 2 ? x->dim[i] : 1;
        if (x->dim[i] == 0 && i >= 2) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "there is nothing to pool: axis %d has no positions", i);
        }
    }
    return cvi_out_shape(ctx, 0, x->dtype, x->rank, dim);
}

void cvi_global_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    cost->flops = cvs_tensor_count(ctx->in[0]);
}

void cvi_global_field(const cvi_opctx *ctx, cvi_field_step *step) {
    (void)ctx;
    step->kind = CVI_FIELD_ALL;
}
