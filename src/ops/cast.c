/* SPDX-License-Identifier: MIT
 * cast.c - Cast and CastLike: the same numbers in another element type. Floats are cut towards zero when they become integers,
 * rounded to nearest even when they become narrower floats; a bool is "not zero";
 * floats of 8 bits and less saturate where the attribute says so.
 */
#include "ops/walk.h"

static cvs_status infer_to(cvi_opctx *ctx, cvs_dtype dtype) {
    if (cvs_dtype_size(dtype) == 0) {
        return cvi_at_attr(
            ctx->err, cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "element type %d is not supported", (int)dtype),
            "to");
    }
    return cvi_out_shape(ctx, 0, dtype, ctx->in[0]->rank, ctx->in[0]->dim);
}

static cvs_status infer_cast(cvi_opctx *ctx) {
    return infer_to(ctx, (cvs_dtype)cvi_op_int(ctx, "to"));
}

static cvs_status infer_cast_like(cvi_opctx *ctx) {
    return infer_to(ctx, ctx->in[1]->dtype);
}

static cvs_status forward_cast(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    cvs_tensor *y = &ctx->out[0];
    int64_t n = cvs_tensor_count(y);
    if (cvi_is_small_float(y->dtype) && x->dtype != y->dtype) {
        const cvi_small_how how = {.saturate = cvi_op_int(ctx, "saturate") != 0,
                                   .round = cvi_op_string(ctx, "round_mode")[0]};
        for (int64_t i = 0; i < n; i++) {
            ((uint8_t *)y->data)[i] = cvi_small_put(y->dtype, cvi_get(x, i), how);
        }
    } else if (x->dtype == y->dtype) {
        if (y->bytes > 0) {
            memcpy(y->data, x->data, y->bytes);
        }
    } else if (cvi_is_small_float(x->dtype) || cvi_is_float(x->dtype) || cvi_is_float(y->dtype)) {
        for (int64_t i = 0; i < n; i++) {
            cvi_put(y, i, cvi_get(x, i));
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            cvi_put_int(y, i, cvi_get_int(x, i));
        }
    }
    return CVS_OK;
}

/* Between floats the slope is 1; an integer or a bool carries no gradient. */
static cvs_status backward_cast(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    (void)rule;
    if (grad_out[0] == NULL || grad_in[0] == NULL || !cvi_is_float(ctx->in[0]->dtype) ||
        !cvi_is_float(ctx->out[0].dtype)) {
        return CVS_OK;
    }
    int64_t n = cvs_tensor_count(grad_in[0]);
    for (int64_t i = 0; i < n; i++) {
        cvi_put(grad_in[0], i, cvi_get(grad_in[0], i) + cvi_get(grad_out[0], i));
    }
    return CVS_OK;
}

static const cvi_op_io cast_in[] = {{"input", CVI_DATA, false, false}};
static const cvi_op_io cast_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr cast_attrs[] = {
    {"to", CVI_ATTR_INT, NULL, "an ONNX element type", "type of the output", "输出的元素类型"},
    {"saturate", CVI_ATTR_INT, "1", "0|1", "for 8-bit floats only: clamp instead of overflowing",
     "仅用于 8 位浮点：溢出时截到最大值"},
    {"round_mode", CVI_ATTR_STRING, "up", "up|down|nearest",
     "for float8e8m0 only: which power of two is taken", "仅用于 float8e8m0：取哪一个 2 的幂"},
};

const cvi_op cvi_op_cast = {
    .name = "Cast",
    .word_en = "cast",
    .word_zh = "类型转换",
    .since = 6,
    .inputs = cast_in,
    .n_inputs = 1,
    .outputs = cast_out,
    .n_outputs = 1,
    .attrs = cast_attrs,
    .n_attrs = 3,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_cast,
    .forward = forward_cast,
    .any_type = true,
    .backward = backward_cast,
    .text = {"Type cast", "类型转换", "Stores the same numbers in another element type.",
             "用另一种元素类型存放同样的数。", "y = (type) x",
             "Looks like its input, unless decimals were cut off or numbers did not fit.",
             "与输入相同，除非小数被截去或数值超出范围。"},
};

static const cvi_op_io cast_like_in[] = {{"input", CVI_DATA, false, false},
                                         {"target_type", CVI_SHAPE, false, false}};
static const cvi_op_attr cast_like_attrs[] = {
    {"saturate", CVI_ATTR_INT, "1", "0|1", "for 8-bit floats only: clamp instead of overflowing",
     "仅用于 8 位浮点：溢出时截到最大值"},
    {"round_mode", CVI_ATTR_STRING, "up", "up|down|nearest",
     "for float8e8m0 only: which power of two is taken", "仅用于 float8e8m0：取哪一个 2 的幂"},
};

const cvi_op cvi_op_cast_like = {
    .name = "CastLike",
    .since = 15,
    .inputs = cast_like_in,
    .n_inputs = 2,
    .outputs = cast_out,
    .n_outputs = 1,
    .attrs = cast_like_attrs,
    .n_attrs = 2,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_cast_like,
    .forward = forward_cast,
    .any_type = true,
    .backward = backward_cast,
    .text = {"Cast to another's type", "转换为同类型",
             "Stores the first input's numbers in the second input's element type.",
             "用第二个输入的元素类型存放第一个输入的数。", "y = (type of b) a",
             "Looks like its input, unless decimals were cut off or numbers did not fit.",
             "与输入相同，除非小数被截去或数值超出范围。"},
};
