/* SPDX-License-Identifier: MIT
 * unpool.c - MaxUnpool: puts every number back where MaxPool found it; all other places are 0. Indices count in the flattened
 * tensor that the window settings imply; a larger output_shape only adds zeros after it.
 */
#include "ops/walk.h"

/* The shape that kernel, strides and pads imply: (side - 1) stride + kernel - pads. */
static cvs_status implied_shape(const cvi_opctx *ctx, int64_t *dim) {
    const cvs_tensor *x = ctx->in[0];
    int axes = x->rank - 2;
    int64_t kernel[CVS_MAX_RANK], stride[CVS_MAX_RANK], pads[2 * CVS_MAX_RANK];
    int n = cvi_node_ints(ctx->node, "kernel_shape", kernel, CVS_MAX_RANK, 1);
    cvi_node_ints(ctx->node, "strides", stride, CVS_MAX_RANK, 1);
    cvi_node_ints(ctx->node, "pads", pads, 2 * CVS_MAX_RANK, 0);
    if (n != axes) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_SHAPE, "%s has %d numbers, this input needs %d",
                                    "kernel_shape", n, axes),
                           "kernel_shape");
    }
    dim[0] = x->dim[0];
    dim[1] = x->dim[1];
    for (int a = 0; a < axes; a++) {
        const int64_t most = (int64_t)1 << 40;
        bool sane = kernel[a] > 0 && kernel[a] < most && stride[a] > 0 && pads[a] >= 0 && pads[a] < most &&
                    pads[axes + a] >= 0 && pads[axes + a] < most && x->dim[2 + a] > 0 &&
                    cvi_mul(x->dim[2 + a] - 1, stride[a], &dim[2 + a]) && dim[2 + a] < most;
        dim[2 + a] = sane ? dim[2 + a] + kernel[a] - pads[a] - pads[axes + a] : -1;
        if (dim[2 + a] < 0) {
            return cvi_fail(ctx->err, CVS_E_SHAPE,
                            "kernel, stride and padding of axis %d do not fit a side of %lld", 2 + a,
                            (long long)x->dim[2 + a]);
        }
    }
    return CVS_OK;
}

static cvs_status infer_unpool(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t dim[CVS_MAX_RANK], asked[CVS_MAX_RANK];
    int n;
    CVI_TRY(cvi_rank_from(ctx, 0, 3));
    if (!cvi_same_shape(x, ctx->in[1]) || ctx->in[1]->dtype != CVS_I64) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the indices must be int64 of the input's shape");
    }
    CVI_TRY(implied_shape(ctx, dim));
    CVI_TRY(cvi_ints(ctx, 2, asked, CVS_MAX_RANK, &n));
    for (int a = 0; n >= 0 && a < x->rank; a++) {
        if (n != x->rank || asked[a] < dim[a]) {
            char have[128], want[128];
            return cvi_fail(ctx->err, CVS_E_SHAPE, "output_shape is %s, but the windows need at least %s",
                            cvs_shape_text(n, asked, have, sizeof have),
                            cvs_shape_text(x->rank, dim, want, sizeof want));
        }
    }
    return cvi_out_shape(ctx, 0, x->dtype, x->rank, n >= 0 ? asked : dim);
}

/* Offset in the output of flat index k of the implied shape. */
static cvs_status target_of(const cvi_opctx *ctx, const int64_t *dim, int64_t total, int64_t k,
                            int64_t *out) {
    const cvs_tensor *y = &ctx->out[0];
    int64_t stride[CVS_MAX_RANK];
    if (k < 0 || k >= total) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "index %lld is outside of a side of %lld", (long long)k,
                        (long long)total);
    }
    cvi_strides(y->rank, y->dim, stride);
    *out = 0;
    for (int a = y->rank - 1; a >= 0; a--) {
        *out += k % dim[a] * stride[a];
        k /= dim[a];
    }
    return CVS_OK;
}

static cvs_status forward_unpool(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    cvs_tensor *y = &ctx->out[0];
    int64_t dim[CVS_MAX_RANK], n = cvs_tensor_count(x);
    CVI_TRY(implied_shape(ctx, dim));
    int64_t total = cvi_product(dim, 0, x->rank);
    if (y->bytes > 0) {
        memset(y->data, 0, y->bytes);
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        CVI_TRY(target_of(ctx, dim, total, cvi_get_int(ctx->in[1], i), &at));
        cvi_put(y, at, cvi_get(x, i));
    }
    return CVS_OK;
}

static cvs_status backward_unpool(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *x = ctx->in[0];
    int64_t dim[CVS_MAX_RANK], n = cvs_tensor_count(x);
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(implied_shape(ctx, dim));
    int64_t total = cvi_product(dim, 0, x->rank);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        CVI_TRY(target_of(ctx, dim, total, cvi_get_int(ctx->in[1], i), &at));
        cvi_put(grad_in[0], i, cvi_get(grad_in[0], i) + cvi_get(grad_out[0], at));
    }
    return CVS_OK;
}

static void field_unpool(const cvi_opctx *ctx, cvi_field_step *step) {
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    step->kind = CVI_FIELD_SCALE;
    for (int k = 0; k < 2; k++) {
        int a = x->rank - 2 + k;
        step->kernel[k] = 1;
        step->scale[k] = a >= 2 && x->dim[a] > 0 ? (double)y->dim[a] / (double)x->dim[a] : 1;
    }
}

static const cvi_op_io unpool_in[] = {
    {"X", CVI_DATA, false, false}, {"I", CVI_DATA, false, false}, {"output_shape", CVI_SHAPE, true, false}};
static const cvi_op_io unpool_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr unpool_attrs[] = {
    {"kernel_shape", CVI_ATTR_INTS, NULL, ">= 1", "window of the pooling that is undone", "被还原的池化窗口"},
    {"strides", CVI_ATTR_INTS, "", ">= 1", "its steps", "其步幅"},
    {"pads", CVI_ATTR_INTS, "", ">= 0", "its padding, before each axis, then after each",
     "其填充，先各轴前端，再各轴后端"},
};

const cvi_op cvi_op_max_unpool = {
    .name = "MaxUnpool",
    .since = 11,
    .inputs = unpool_in,
    .n_inputs = 3,
    .outputs = unpool_out,
    .n_outputs = 1,
    .attrs = unpool_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_UPSAMPLE,
    .infer = infer_unpool,
    .forward = forward_unpool,
    .backward = backward_unpool,
    .field = field_unpool,
    .text = {"Max unpooling", "最大反池化",
             "Puts every number back where max-pooling found it and zeros everywhere else.",
             "把每个数放回最大池化时取得它的位置，其余为零。", "y[index[i]] = x[i], else 0",
             "Sparse dots: the places that won the pooling.", "稀疏的点：池化中胜出的位置。"},
};
