/* SPDX-License-Identifier: MIT
 * reshape.c - Reshape Flatten Squeeze Unsqueeze Identity: the same numbers in the same order under another shape. The engine
 * usually makes a view of the input; forward is the copy for when it does not.
 */
#include "ops/walk.h"

/* ---- shapes ------------------------------------------------------------------------------------------ */
static cvs_status does_not_fit(cvi_opctx *ctx, int n, const int64_t *wanted) {
    char from[128], to[128];
    return cvi_fail(ctx->err, CVS_E_SHAPE, "%s cannot be reshaped to %s: the numbers of elements differ",
                    cvs_shape_text(ctx->in[0]->rank, ctx->in[0]->dim, from, sizeof from),
                    cvs_shape_text(n, wanted, to, sizeof to));
}

/* 0 copies the input's side (unless allowzero), one -1 is what is left over. */
static cvs_status infer_reshape(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t wanted[CVS_MAX_RANK], dim[CVS_MAX_RANK], known = 1, total = cvs_tensor_count(x);
    int n, free_axis = -1;
    bool copy_zero = cvi_op_int(ctx, "allowzero") == 0;
    CVI_TRY(cvi_ints(ctx, 1, wanted, CVS_MAX_RANK, &n));
    for (int a = 0; a < n; a++) {
        dim[a] = wanted[a];
        if (wanted[a] == 0 && copy_zero) {
            if (a >= x->rank) {
                return cvi_fail(
                    ctx->err, CVS_E_SHAPE,
                    "dimension %d of the new shape is 0 (copy), but the input has only %d dimensions", a,
                    x->rank);
            }
            dim[a] = x->dim[a];
        } else if (wanted[a] == -1) {
            if (free_axis >= 0) {
                return cvi_fail(ctx->err, CVS_E_SHAPE, "the new shape has more than one -1");
            }
            free_axis = a;
            continue;
        } else if (wanted[a] < 0) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "dimension %d of the new shape is %lld", a,
                            (long long)wanted[a]);
        }
        if (!cvi_mul(known, dim[a], &known)) {
            return does_not_fit(ctx, n, wanted);
        }
    }
    if (free_axis >= 0) {
        if (known == 0 ? total != 0 : total % known != 0) {
            return does_not_fit(ctx, n, wanted);
        }
        dim[free_axis] = known == 0 ? 0 : total / known;
    } else if (known != total) {
        return does_not_fit(ctx, n, wanted);
    }
    return cvi_out_shape(ctx, 0, x->dtype, n, dim);
}

/* Everything before the axis becomes rows, everything from it on columns. */
static cvs_status infer_flatten(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t axis = cvi_op_int(ctx, "axis");
    if (axis < -x->rank || axis > x->rank) {
        return cvi_at_attr(
            ctx->err,
            cvi_fail(ctx->err, CVS_E_SHAPE, "axis %lld is outside of rank %d", (long long)axis, x->rank),
            "axis");
    }
    int at = (int)(axis < 0 ? axis + x->rank : axis);
    int64_t dim[2] = {cvi_product(x->dim, 0, at), cvi_product(x->dim, at, x->rank)};
    return cvi_out_shape(ctx, 0, x->dtype, 2, dim);
}

static cvs_status infer_squeeze(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t axes[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    bool gone[CVS_MAX_RANK] = {false};
    int n, rank = 0;
    CVI_TRY(cvi_ints(ctx, 1, axes, CVS_MAX_RANK, &n));
    for (int a = 0; n < 0 && a < x->rank; a++) {
        gone[a] = x->dim[a] == 1;
    }
    for (int k = 0; k < n; k++) {
        int a;
        CVI_TRY(cvi_axis(ctx, axes[k], x->rank, &a));
        if (x->dim[a] != 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE,
                            "dimension %d is %lld, only dimensions of 1 can be removed", a,
                            (long long)x->dim[a]);
        }
        gone[a] = true;
    }
    for (int a = 0; a < x->rank; a++) {
        if (!gone[a]) {
            dim[rank++] = x->dim[a];
        }
    }
    return cvi_out_shape(ctx, 0, x->dtype, rank, dim);
}

/* Axes count in the output's rank. */
static cvs_status infer_unsqueeze(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t axes[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    bool fresh[CVS_MAX_RANK] = {false};
    int n;
    CVI_TRY(cvi_ints(ctx, 1, axes, CVS_MAX_RANK, &n));
    int rank = x->rank + n;
    if (rank > CVS_MAX_RANK) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "the output would have rank %d, at most %d is supported",
                        rank, CVS_MAX_RANK);
    }
    for (int k = 0; k < n; k++) {
        int a;
        CVI_TRY(cvi_axis(ctx, axes[k], rank, &a));
        if (fresh[a]) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "axis %d is named twice", a);
        }
        fresh[a] = true;
    }
    for (int a = 0, from = 0; a < rank; a++) {
        dim[a] = fresh[a] ? 1 : x->dim[from++];
    }
    return cvi_out_shape(ctx, 0, x->dtype, rank, dim);
}

/* ---- forward and backward: the order of the numbers does not change ---------------------------------------- */
static cvs_status forward_copy(cvi_opctx *ctx) {
    if (ctx->out[0].bytes > 0 && ctx->out[0].data != ctx->in[0]->data) {
        memcpy(ctx->out[0].data, ctx->in[0]->data, ctx->out[0].bytes);
    }
    return CVS_OK;
}

static cvs_status backward_copy(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    (void)ctx, (void)rule;
    if (grad_out[0] != NULL && grad_in[0] != NULL) {
        cvi_tensor_add(grad_in[0], grad_out[0]);
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io data_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_io one_in[] = {{"input", CVI_DATA, false, false}};

static const cvi_op_io reshape_in[] = {{"data", CVI_DATA, false, false}, {"shape", CVI_SHAPE, false, false}};
static const cvi_op_attr reshape_attrs[] = {
    {"allowzero", CVI_ATTR_INT, "0", "0|1",
     "1: a 0 in the shape means no elements; 0: it copies the input's side",
     "1：形状中的 0 表示没有元素；0：表示沿用输入的边长"},
};

const cvi_op cvi_op_reshape = {
    .name = "Reshape",
    .word_en = "reshape",
    .word_zh = "变形",
    .since = 5,
    .inputs = reshape_in,
    .n_inputs = 2,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = reshape_attrs,
    .n_attrs = 1,
    .flags = CVI_OP_RESHAPE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_reshape,
    .forward = forward_copy,
    .any_type = true,
    .backward = backward_copy,
    .field = cvi_field_kept,
    .text = {"Reshape", "变形", "Gives the same numbers, in the same order, another shape.",
             "让同样的数按同样的顺序换一种形状。", "y = x, shape given",
             "No number changes; only where rows and channels begin.",
             "数值都不变，只是行与通道的分界变了。"},
};

static const cvi_op_attr flatten_attrs[] = {
    {"axis", CVI_ATTR_INT, "1", "-rank ... rank", "dimensions before it become rows, the others one long row",
     "此轴之前的维合并为行，其余的维展成一长行"},
};

const cvi_op cvi_op_flatten = {
    .name = "Flatten",
    .word_en = "flatten",
    .word_zh = "展平",
    .since = 1,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = flatten_attrs,
    .n_attrs = 1,
    .flags = CVI_OP_RESHAPE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_flatten,
    .forward = forward_copy,
    .any_type = true,
    .backward = backward_copy,
    .field = cvi_field_none,
    .text =
        {"Flatten", "展平",
         "Lays all feature maps out as one long row of numbers for the dense layers that follow.",
         "把所有特征图展成一长行数，供后面的全连接层使用。", "y[n, (c·H + i)·W + j] = x[n,c,i,j]",
         "The row holds map after map, each map row after row; positions are no longer visible as a picture.",
         "这一行依次存放各张特征图，每张图逐行排列；位置不再以图像的形式可见。"},
};

static const cvi_op_io squeeze_in[] = {{"data", CVI_DATA, false, false}, {"axes", CVI_SHAPE, true, false}};

const cvi_op cvi_op_squeeze = {
    .name = "Squeeze",
    .word_en = "squeeze",
    .word_zh = "去维",
    .since = 13,
    .inputs = squeeze_in,
    .n_inputs = 2,
    .outputs = data_out,
    .n_outputs = 1,
    .flags = CVI_OP_RESHAPE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_squeeze,
    .forward = forward_copy,
    .any_type = true,
    .backward = backward_copy,
    .field = cvi_field_kept,
    .text = {"Squeeze", "压缩维度", "Removes dimensions of size 1.", "去掉大小为 1 的维。",
             "[N,C,1,1] → [N,C]", "No number changes; the values are those of the input.",
             "数值不变，与输入完全相同。"},
};

static const cvi_op_io unsqueeze_in[] = {{"data", CVI_DATA, false, false}, {"axes", CVI_SHAPE, false, false}};

const cvi_op cvi_op_unsqueeze = {
    .name = "Unsqueeze",
    .word_en = "unsqueeze",
    .word_zh = "加维",
    .since = 13,
    .inputs = unsqueeze_in,
    .n_inputs = 2,
    .outputs = data_out,
    .n_outputs = 1,
    .flags = CVI_OP_RESHAPE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_unsqueeze,
    .forward = forward_copy,
    .any_type = true,
    .backward = backward_copy,
    .field = cvi_field_kept,
    .text = {"Unsqueeze", "增加维度", "Inserts dimensions of size 1.", "插入大小为 1 的维。",
             "[N,C] → [N,C,1,1]", "No number changes; the values are those of the input.",
             "数值不变，与输入完全相同。"},
};

const cvi_op cvi_op_identity = {
    .name = "Identity",
    .word_en = "identity",
    .word_zh = "恒等",
    .since = 1,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = data_out,
    .n_outputs = 1,
    .flags = CVI_OP_IDENTITY | CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = cvi_infer_same,
    .forward = forward_copy,
    .any_type = true,
    .backward = backward_copy,
    .text = {"Identity", "恒等", "Passes its input on unchanged.", "原样传递输入。", "y = x",
             "Exactly the picture of its input.", "与输入的图像完全相同。"},
};
