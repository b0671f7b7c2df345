/* SPDX-License-Identifier: MIT
 * typed.c - checks that many operators make of their inputs' types and ranks, with one wording.
 */
#include "ops/typed.h"

const char *cvi_input_name(const cvi_opctx *ctx, int k) {
    return k < ctx->op->n_inputs ? ctx->op->inputs[k].name : "input";
}

cvs_status cvi_want_float(const cvi_opctx *ctx, int k) {
    if (cvi_is_float(ctx->in[k]->dtype)) {
        return CVS_OK;
    }
    return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "input %s must hold floating-point numbers, it holds %s",
                    cvi_input_name(ctx, k), cvs_dtype_name(ctx->in[k]->dtype));
}

cvs_status cvi_want_rank(const cvi_opctx *ctx, int k, int lowest) {
    const cvs_tensor *t = ctx->in[k];
    if (t->rank >= lowest) {
        return CVS_OK;
    }
    char text[128];
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s must have at least %d dimensions, its shape is %s",
                    cvi_input_name(ctx, k), lowest, cvs_shape_text(t->rank, t->dim, text, sizeof text));
}

cvs_status cvi_want_vector(const cvi_opctx *ctx, int k, int64_t n) {
    const cvs_tensor *t = cvi_in(ctx, k);
    if (t == NULL || (t->rank == 1 && t->dim[0] == n)) {
        return CVS_OK;
    }
    char text[128];
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s must be a vector of %lld numbers, its shape is %s",
                    cvi_input_name(ctx, k), (long long)n, cvs_shape_text(t->rank, t->dim, text, sizeof text));
}
