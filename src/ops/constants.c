/* SPDX-License-Identifier: MIT
 * constants.c - Constant ConstantOfShape Shape Size Range EyeLike: tensors that come from attributes and shapes, not
 * from a picture. Sizes that a file asks for are checked before anything is made.
 */
#include <math.h>

#include "ops/walk.h"

/* ---- Constant ---------------------------------------------------------------------------------------- */
/* The attribute that holds the value; exactly one must be there. */
static const cvi_attr *constant_attr(const cvi_opctx *ctx) {
    static const char *const names[] = {"value", "value_float", "value_floats", "value_int", "value_ints"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        const cvi_attr *a = cvi_node_attr(ctx->node, names[i]);
        if (a != NULL) {
            return a;
        }
    }
    return NULL;
}

static cvs_status infer_constant(cvi_opctx *ctx) {
    const cvi_attr *a = constant_attr(ctx);
    if (a == NULL) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED,
                        "the constant has none of the attributes value, value_float(s), value_int(s)");
    }
    int64_t n = a->n;
    switch (a->kind) {
    case CVI_ATTR_TENSOR:
        return cvi_out_shape(ctx, 0, a->tensor->dtype, a->tensor->rank, a->tensor->dim);
    case CVI_ATTR_FLOAT:
        return cvi_out_shape(ctx, 0, CVS_F32, 0, NULL);
    case CVI_ATTR_INT:
        return cvi_out_shape(ctx, 0, CVS_I64, 0, NULL);
    case CVI_ATTR_FLOATS:
        return cvi_out_shape(ctx, 0, CVS_F32, 1, &n);
    default:
        return cvi_out_shape(ctx, 0, CVS_I64, 1, &n);
    }
}

static cvs_status forward_constant(cvi_opctx *ctx) {
    const cvi_attr *a = constant_attr(ctx);
    cvs_tensor *y = &ctx->out[0];
    if (a->kind == CVI_ATTR_TENSOR) {
        if (a->tensor->data == NULL && y->bytes > 0) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "the constant has no numbers");
        }
        if (y->bytes > 0) {
            memcpy(y->data, a->tensor->data, y->bytes);
        }
    } else if (a->kind == CVI_ATTR_FLOAT || a->kind == CVI_ATTR_FLOATS) {
        for (int64_t i = 0; i < cvs_tensor_count(y); i++) {
            cvi_put(y, i, a->kind == CVI_ATTR_FLOAT ? a->f : a->floats[i]);
        }
    } else {
        for (int64_t i = 0; i < cvs_tensor_count(y); i++) {
            cvi_put_int(y, i, a->kind == CVI_ATTR_INT ? a->i : a->ints[i]);
        }
    }
    return CVS_OK;
}

/* ---- ConstantOfShape ----------------------------------------------------------------------------------- */
/* The fill: a tensor of one element, or NULL for float32 zero. */
static cvs_status fill_value(cvi_opctx *ctx, const cvs_tensor **fill) {
    const cvi_attr *a = cvi_node_attr(ctx->node, "value");
    *fill = NULL;
    if (a == NULL || a->tensor == NULL) {
        return CVS_OK;
    }
    if (cvs_tensor_count(a->tensor) != 1 || a->tensor->data == NULL) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_SHAPE, "the value has %lld elements, but must have one",
                                    (long long)cvs_tensor_count(a->tensor)),
                           "value");
    }
    *fill = a->tensor;
    return CVS_OK;
}

static cvs_status infer_constant_of_shape(cvi_opctx *ctx) {
    int64_t dim[CVS_MAX_RANK];
    int n;
    const cvs_tensor *fill;
    CVI_TRY(fill_value(ctx, &fill));
    CVI_TRY(cvi_ints(ctx, 0, dim, CVS_MAX_RANK, &n));
    return cvi_out_shape(ctx, 0, fill != NULL ? fill->dtype : CVS_F32, n, dim);
}

static cvs_status forward_constant_of_shape(cvi_opctx *ctx) {
    cvs_tensor *y = &ctx->out[0];
    const cvs_tensor *fill;
    CVI_TRY(fill_value(ctx, &fill));
    size_t size = cvs_dtype_size(y->dtype);
    if (fill == NULL && y->bytes > 0) {
        memset(y->data, 0, y->bytes);
    }
    if (fill == NULL) {
        return CVS_OK;
    }
    for (size_t at = 0; at < y->bytes; at += size) {
        memcpy((char *)y->data + at, fill->data, size);
    }
    return CVS_OK;
}

/* ---- Shape, Size --------------------------------------------------------------------------------------- */
static void shape_slice(const cvi_opctx *ctx, int64_t *begin, int64_t *end) {
    int64_t rank = ctx->in[0]->rank;
    const cvi_attr *last = cvi_node_attr(ctx->node, "end");
    *begin = cvi_op_int(ctx, "start");
    *end = last != NULL ? last->i : rank;
    *begin = *begin < 0 ? CVI_MAX(*begin + rank, 0) : CVI_MIN(*begin, rank);
    *end = *end < 0 ? CVI_MAX(*end + rank, 0) : CVI_MIN(*end, rank);
}

static cvs_status infer_shape(cvi_opctx *ctx) {
    int64_t begin, end;
    shape_slice(ctx, &begin, &end);
    int64_t n = CVI_MAX(end - begin, 0);
    return cvi_out_shape(ctx, 0, CVS_I64, 1, &n);
}

static cvs_status forward_shape(cvi_opctx *ctx) {
    int64_t begin, end;
    shape_slice(ctx, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        ((int64_t *)ctx->out[0].data)[i - begin] = ctx->in[0]->dim[i];
    }
    return CVS_OK;
}

static cvs_status infer_size(cvi_opctx *ctx) {
    return cvi_out_shape(ctx, 0, CVS_I64, 0, NULL);
}

static cvs_status forward_size(cvi_opctx *ctx) {
    *(int64_t *)ctx->out[0].data = cvs_tensor_count(ctx->in[0]);
    return CVS_OK;
}

/* ---- Range --------------------------------------------------------------------------------------------- */
/* How many numbers from start, before limit, in steps of delta: max(ceil((limit - start) / delta), 0). */
static cvs_status infer_range(cvi_opctx *ctx) {
    for (int k = 0; k < 3; k++) {
        if (cvs_tensor_count(ctx->in[k]) != 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld elements, but must have one", k,
                            (long long)cvs_tensor_count(ctx->in[k]));
        }
        CVI_TRY(cvi_one_type(ctx, 0, k));
    }
    for (int k = 0; k < 3; k++) {
        CVI_TRY(cvi_need(ctx, k));
    }
    double start = cvi_get(ctx->in[0], 0), limit = cvi_get(ctx->in[1], 0), delta = cvi_get(ctx->in[2], 0);
    if (!(delta < 0 || delta > 0)) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the step of the range is %g", delta);
    }
    double n = ceil((limit - start) / delta);
    if (!(n < 1e15)) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "a range from %g to %g in steps of %g is too long", start,
                        limit, delta);
    }
    int64_t count = n > 0 ? (int64_t)n : 0;
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, 1, &count);
}

static cvs_status forward_range(cvi_opctx *ctx) {
    cvs_tensor *y = &ctx->out[0];
    int64_t n = y->dim[0];
    if (cvi_is_float(y->dtype)) {
        double start = cvi_get(ctx->in[0], 0), delta = cvi_get(ctx->in[2], 0);
        for (int64_t i = 0; i < n; i++) {
            cvi_put(y, i, start + (double)i * delta);
        }
        return CVS_OK;
    }
    uint64_t v = (uint64_t)cvi_get_int(ctx->in[0], 0), step = (uint64_t)cvi_get_int(ctx->in[2], 0);
    for (int64_t i = 0; i < n; i++, v += step) {
        cvi_put_int(y, i, (int64_t)v);
    }
    return CVS_OK;
}

/* ---- EyeLike ------------------------------------------------------------------------------------------- */
static cvs_status infer_eye_like(cvi_opctx *ctx) {
    CVI_TRY(cvi_rank_is(ctx, 0, 2));
    const cvi_attr *type = cvi_node_attr(ctx->node, "dtype");
    cvs_dtype dtype = type != NULL ? (cvs_dtype)type->i : ctx->in[0]->dtype;
    if (cvs_dtype_size(dtype) == 0) {
        return cvi_at_attr(
            ctx->err, cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "element type %d is not supported", (int)dtype),
            "dtype");
    }
    return cvi_out_shape(ctx, 0, dtype, 2, ctx->in[0]->dim);
}

static cvs_status forward_eye_like(cvi_opctx *ctx) {
    cvs_tensor *y = &ctx->out[0];
    int64_t k = cvi_op_int(ctx, "k");
    if (y->bytes > 0) {
        memset(y->data, 0, y->bytes);
    }
    for (int64_t i = 0; i < y->dim[0] && k < y->dim[1] && k > -y->dim[0]; i++) {
        if (i + k >= 0 && i + k < y->dim[1]) {
            cvi_put(y, i * y->dim[1] + i + k, 1);
        }
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io data_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_io one_in[] = {{"input", CVI_DATA, false, false}};

static const cvi_op_attr constant_attrs[] = {
    {"value", CVI_ATTR_TENSOR, "", "any tensor", "the constant", "常量"},
    {"value_float", CVI_ATTR_FLOAT, "", "any", "the constant as one float32 number",
     "以单个 float32 数给出的常量"},
    {"value_floats", CVI_ATTR_FLOATS, "", "any", "the constant as a list of float32 numbers",
     "以 float32 列表给出的常量"},
    {"value_int", CVI_ATTR_INT, "", "any", "the constant as one int64 number", "以单个 int64 数给出的常量"},
    {"value_ints", CVI_ATTR_INTS, "", "any", "the constant as a list of int64 numbers",
     "以 int64 列表给出的常量"},
};

const cvi_op cvi_op_constant = {
    .name = "Constant",
    .since = 12,
    .inputs = NULL,
    .n_inputs = 0,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = constant_attrs,
    .n_attrs = CVI_COUNT(constant_attrs),
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_constant,
    .forward = forward_constant,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Constant", "常量", "A tensor that is stored in the model and never changes.",
             "存放在模型中、不会改变的张量。", "y = value",
             "The same for every picture: it says something about the model, not about the input.",
             "对任何图片都相同：它反映的是模型，而不是输入。"},
};

static const cvi_op_io shape_list_in[] = {{"input", CVI_SHAPE, false, false}};
static const cvi_op_attr constant_of_shape_attrs[] = {
    {"value", CVI_ATTR_TENSOR, "", "one element", "what fills the tensor; float32 zero when absent",
     "用来填充的值；缺省为 float32 的 0"},
};

const cvi_op cvi_op_constant_of_shape = {
    .name = "ConstantOfShape",
    .since = 9,
    .inputs = shape_list_in,
    .n_inputs = 1,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = constant_of_shape_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_constant_of_shape,
    .forward = forward_constant_of_shape,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Constant of a shape", "定形常量", "Makes a tensor of the given shape filled with one number.",
             "按给定形状生成一个以同一个数填充的张量。", "y[…] = value",
             "One flat colour: every element is the same number.", "一片纯色：每个元素都是同一个数。"},
};

static const cvi_op_attr shape_attrs[] = {
    {"start", CVI_ATTR_INT, "0", "any", "first dimension that is listed; negative counts from the end",
     "列出的第一个维；负数从末尾数起"},
    {"end", CVI_ATTR_INT, "", "any", "where the list ends (not included); all when absent",
     "列表的终点（不含）；缺省为全部"},
};

const cvi_op cvi_op_shape = {
    .name = "Shape",
    .since = 15,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = shape_attrs,
    .n_attrs = 2,
    .flags = CVI_OP_OF_SHAPE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_shape,
    .forward = forward_shape,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Shape of a tensor", "取形状",
             "Lists the sides of its input, so that later layers can compute with them.",
             "列出输入的各个边长，供后面的层计算使用。", "y = [N, C, H, W]",
             "Sizes, not picture content: batch, channels, rows, columns.",
             "是尺寸而不是图像内容：批量、通道数、行数、列数。"},
};

const cvi_op cvi_op_size = {
    .name = "Size",
    .since = 1,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = data_out,
    .n_outputs = 1,
    .flags = CVI_OP_OF_SHAPE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_size,
    .forward = forward_size,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Number of elements", "元素个数", "Counts the elements of its input.", "统计输入的元素个数。",
             "y = N·C·H·W", "One number: how many numbers the input holds.", "一个数：输入共有多少个数。"},
};

static const cvi_op_io range_in[] = {{"start", CVI_SHAPE, false, false},
                                     {"limit", CVI_SHAPE, false, false},
                                     {"delta", CVI_SHAPE, false, false}};

const cvi_op cvi_op_range = {
    .name = "Range",
    .since = 11,
    .inputs = range_in,
    .n_inputs = 3,
    .outputs = data_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_range,
    .forward = forward_range,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Range", "等差数列", "Counts from a start, before a limit, in equal steps.",
             "从起点开始按相等的步长数到终点（不含）。", "y[i] = start + i·delta",
             "A straight ramp of numbers.", "一条数值均匀变化的斜坡。"},
};

static const cvi_op_attr eye_like_attrs[] = {
    {"dtype", CVI_ATTR_INT, "", "an ONNX element type", "type of the output; the input's when absent",
     "输出的元素类型；缺省与输入相同"},
    {"k", CVI_ATTR_INT, "0", "any", "which diagonal holds the ones; positive lies above the main one",
     "1 所在的对角线；正数在主对角线之上"},
};

const cvi_op cvi_op_eye_like = {
    .name = "EyeLike",
    .since = 9,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = eye_like_attrs,
    .n_attrs = 2,
    .flags = CVI_OP_OF_SHAPE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_eye_like,
    .forward = forward_eye_like,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Identity matrix", "单位矩阵",
             "A matrix of the input's size with ones on one diagonal, zeros elsewhere.",
             "与输入同样大小的矩阵，某条对角线上为 1，其余为 0。", "y[i,j] = 1 if j = i + k, else 0",
             "One bright diagonal line.", "一条明亮的对角线。"},
};
