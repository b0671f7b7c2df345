/* SPDX-License-Identifier: MIT
 * swiglu.c - SwiGLU: one input opens and closes the other, y = a sigmoid(alpha a) b (arXiv 2002.05202).
 */
#include <math.h>

#include "ops/walk.h"

static cvs_status infer_swiglu(cvi_opctx *ctx) {
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_alike(ctx, 1, 1));
    if (!cvi_same_shape(ctx->in[0], ctx->in[1])) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the two inputs must have one shape, not %s and %s",
                        cvs_shape_text(ctx->in[0]->rank, ctx->in[0]->dim, a, sizeof a),
                        cvs_shape_text(ctx->in[1]->rank, ctx->in[1]->dim, b, sizeof b));
    }
    return cvi_infer_same(ctx);
}

static double gate(double alpha, double a) {
    return 1 / (1 + exp(-alpha * a));
}

static cvs_status forward_swiglu(cvi_opctx *ctx) {
    double alpha = cvi_op_float(ctx, "alpha");
    int64_t n = cvs_tensor_count(&ctx->out[0]);
    for (int64_t i = 0; i < n; i++) {
        double a = cvi_get(ctx->in[0], i);
        cvi_put(&ctx->out[0], i, a * gate(alpha, a) * cvi_get(ctx->in[1], i));
    }
    return CVS_OK;
}

static cvs_status backward_swiglu(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    double alpha = cvi_op_float(ctx, "alpha");
    int64_t n = grad_out[0] != NULL ? cvs_tensor_count(grad_out[0]) : 0;
    for (int64_t i = 0; i < n; i++) {
        double a = cvi_get(ctx->in[0], i), s = gate(alpha, a), g = cvi_get(grad_out[0], i);
        if (grad_in[0] != NULL) {
            double slope = s + a * alpha * s * (1 - s);
            cvi_put(grad_in[0], i, cvi_get(grad_in[0], i) + g * cvi_get(ctx->in[1], i) * slope);
        }
        if (grad_in[1] != NULL) {
            cvi_put(grad_in[1], i, cvi_get(grad_in[1], i) + g * a * s);
        }
    }
    return CVS_OK;
}

static const cvi_op_io swiglu_in[] = {{"A", CVI_DATA, false, false}, {"B", CVI_DATA, false, false}};
static const cvi_op_io swiglu_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr swiglu_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "1", "any number", "how steep the gate is", "门控的陡峭程度"},
};

const cvi_op cvi_op_swiglu = {
    .name = "SwiGLU",
    .since = 28,
    .inputs = swiglu_in,
    .n_inputs = 2,
    .outputs = swiglu_out,
    .n_outputs = 1,
    .attrs = swiglu_attrs,
    .n_attrs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_ACTIVATION,
    .infer = infer_swiglu,
    .forward = forward_swiglu,
    .backward = backward_swiglu,
    .cost = cvi_cost_each,
    .text = {"Gated linear unit with Swish", "Swish 门控线性单元",
             "Passes the second input on as far as the first one opens.",
             "按第一个输入打开的程度让第二个输入通过。", "y = a · σ(α·a) · b",
             "Bright where both inputs are.", "两个输入都强的地方才亮。"},
};
