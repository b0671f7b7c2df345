/* SPDX-License-Identifier: MIT
 * conv_both.c - what Conv and ConvTranspose share: their sides read from the node, and the plain backward pass. One is the other
 * read backwards, so `large` (which side is the output) is all that differs.
 */
#include "ops/conv_fast.h"

extern const cvi_op cvi_op_conv_transpose;

cvs_status cvi_conv_read(cvi_opctx *ctx, cvi_conv_sides *s) {
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1];
    int64_t kernel[3];
    s->large = ctx->op == &cvi_op_conv_transpose;
    CVI_TRY(cvi_window_kernel(ctx, x, w, kernel));
    CVI_TRY(s->large ? cvi_window_read_transposed(ctx, x, kernel, &s->w)
                     : cvi_window_read(ctx, x, kernel, false, &s->w));
    s->n = x->dim[0];
    s->channels = x->dim[1];
    s->filters = w->dim[0];
    s->groups = cvi_op_int(ctx, "group");
    s->dtype = x->dtype;
    if (s->large) {
        s->filters = x->dim[1];
        if (s->groups < 1 || !cvi_mul(w->dim[1], s->groups, &s->channels)) {
            return cvi_at_attr(
                ctx->err,
                cvi_fail(ctx->err, CVS_E_SHAPE, "group is %lld; it must be at least 1", (long long)s->groups),
                "group");
        }
    }
    return CVS_OK;
}

bool cvi_conv_can_fast(const cvi_opctx *ctx) {
    cvi_opctx quiet = *ctx;
    cvi_conv_sides s;
    quiet.err = NULL;
    return ctx->in[0]->rank == 4 && cvi_conv_read(&quiet, &s) == CVS_OK && cvi_conv_fits(ctx, &s);
}

cvs_status cvi_conv_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                             cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_conv_sides s;
    CVI_TRY(cvi_conv_read(ctx, &s));
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    const void *g = grad_out[0]->data, *x = ctx->in[0]->data, *w = ctx->in[1]->data;
    bool fast = !ctx->plain && cvi_conv_fits(ctx, &s);
    if (grad_in[0] != NULL) {
        void *gx = grad_in[0]->data;
        if (fast) {
            CVI_TRY(s.large ? cvi_conv_fast_small(ctx, &s, g, w, gx)
                            : cvi_conv_fast_large(ctx, &s, g, w, gx));
        } else {
            (s.large ? cvi_conv_small : cvi_conv_large)(&s, g, w, NULL, gx, true, ctx->pool);
        }
    }
    if (grad_in[1] != NULL) {
        const void *large = s.large ? g : x, *small = s.large ? x : g;
        if (fast) {
            CVI_TRY(cvi_conv_fast_kernel(ctx, &s, large, small, grad_in[1]->data));
        } else {
            cvi_conv_kernel(&s, large, small, grad_in[1]->data, ctx->pool);
        }
    }
    if (ctx->n_in > 2 && grad_in[2] != NULL) {
        cvi_conv_sum_bias(s.dtype, s.n, s.large ? s.channels : s.filters,
                          s.large ? cvi_window_in(&s.w) : cvi_window_out(&s.w), g, grad_in[2]->data,
                          ctx->pool);
    }
    return CVS_OK;
}
