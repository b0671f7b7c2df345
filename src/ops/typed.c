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

/* The type that forward sees: an operator that takes any type gets 16-bit floats as they are. */
static cvs_dtype computed_as(const cvi_opctx *ctx, int k) {
    cvs_dtype dtype = ctx->in[k]->dtype;
    bool widened = !ctx->op->any_type && (dtype == CVS_F16 || dtype == CVS_BF16);
    return widened ? CVS_F32 : dtype;
}

cvs_status cvi_want_alike(const cvi_opctx *ctx, int first, int last) {
    for (int k = first; k <= last; k++) {
        const cvs_tensor *t = cvi_in(ctx, k);
        if (t != NULL && computed_as(ctx, k) != computed_as(ctx, 0)) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "inputs %d and %d are %s and %s, but must be of one type",
                            0, k, cvs_dtype_name(ctx->in[0]->dtype), cvs_dtype_name(t->dtype));
        }
    }
    return CVS_OK;
}
