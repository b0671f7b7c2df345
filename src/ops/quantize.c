/* SPDX-License-Identifier: MIT
 * quantize.c - QuantizeLinear DequantizeLinear DynamicQuantizeLinear: numbers to small integers and back, by scale and zero point:
 * x ≈ (q − zero) · scale. One scale for all, one along an axis, or one a block of the axis.
 */
#include <math.h>

#include "ops/quantize.h"

bool cvi_is_small_integer(cvs_dtype dtype) {
    return dtype == CVS_U8 || dtype == CVS_I8 || dtype == CVS_U16 || dtype == CVS_I16 || dtype == CVS_U4 ||
           dtype == CVS_I4 || dtype == CVS_U2 || dtype == CVS_I2;
}

void cvi_integer_range(cvs_dtype dtype, double *lo, double *hi) {
    int bits = cvi_small_bits(dtype);
    double half = ldexp(1, (bits > 0 ? bits : (int)cvs_dtype_size(dtype) * 8) - 1);
    bool below = cvi_is_signed(dtype);
    *lo = below ? -half : 0;
    *hi = below ? half - 1 : 2 * half - 1;
}

double cvi_saturate(double v, cvs_dtype dtype) {
    double lo, hi;
    cvi_integer_range(dtype, &lo, &hi);
    v = nearbyint(v);
    return v != v ? 0 : fmin(fmax(v, lo), hi);
}

/* ---- which scale belongs to an element ------------------------------------------------------------------- */
typedef struct grain {
    int64_t inner, side, block; /* element i: axis index i / inner % side; blocks of it share a scale */
    int64_t blocks;             /* scales along the axis */
    bool one;                   /* a single scale */
} grain;

/* scale is one number, a vector along the axis, or x's shape with the axis in blocks. */
static cvs_status make_grain(const cvi_opctx *ctx, grain *g) {
    const cvs_tensor *x = ctx->in[0], *scale = ctx->in[1], *zero = cvi_in(ctx, 2);
    int64_t block = cvi_op_int(ctx, "block_size"), n = cvs_tensor_count(scale);
    int axis;
    *g = (grain){.inner = 1, .side = 1, .block = 1, .blocks = 1, .one = true};
    if (zero != NULL && cvs_tensor_count(zero) != n) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "there are %lld scales, but %lld zero points", (long long)n,
                        (long long)cvs_tensor_count(zero));
    }
    if (n == 1 && block == 0) {
        return CVS_OK;
    }
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    bool fits = block >= 0 && (block == 0 ? scale->rank == 1 && n == x->dim[axis] : scale->rank == x->rank);
    for (int a = 0; fits && block > 0 && a < x->rank; a++) {
        fits = scale->dim[a] == (a == axis ? x->dim[a] / block + (x->dim[a] % block != 0) : x->dim[a]);
    }
    if (!fits) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "scales of shape %s do not fit an input of shape %s along axis %d",
                        cvs_shape_text(scale->rank, scale->dim, a, sizeof a),
                        cvs_shape_text(x->rank, x->dim, b, sizeof b), axis);
    }
    g->one = false;
    g->inner = cvi_product(x->dim, axis + 1, x->rank);
    g->side = x->dim[axis];
    g->block = block;
    g->blocks = block > 0 ? scale->dim[axis] : n;
    return CVS_OK;
}

static int64_t scale_of(const grain *g, int64_t i) {
    if (g->one) {
        return 0;
    }
    int64_t at = i / g->inner % g->side;
    if (g->block == 0) {
        return at;
    }
    return (i / (g->inner * g->side) * g->blocks + at / g->block) * g->inner + i % g->inner;
}

/* ---- QuantizeLinear ---------------------------------------------------------------------------------- */
static cvs_status quantized_type(const cvi_opctx *ctx, cvs_dtype *type) {
    const cvs_tensor *zero = cvi_in(ctx, 2);
    int64_t asked = cvi_op_int(ctx, "output_dtype");
    *type = zero != NULL ? zero->dtype : asked != 0 ? (cvs_dtype)asked : CVS_U8;
    if (!cvi_is_small_integer(*type) && !(cvi_is_small_float(*type) && *type != CVS_F8E8M0)) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "quantised numbers of type %s are not supported",
                        cvs_dtype_name(*type));
    }
    return CVS_OK;
}

static cvs_status infer_quantize(cvi_opctx *ctx) {
    cvs_dtype type;
    grain g;
    CVI_TRY(cvi_type_is(ctx, 1, cvi_is_float, "of a floating-point type"));
    CVI_TRY(quantized_type(ctx, &type));
    CVI_TRY(make_grain(ctx, &g));
    return cvi_out_shape(ctx, 0, type, ctx->in[0]->rank, ctx->in[0]->dim);
}

static cvs_status forward_quantize(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *scale = ctx->in[1], *zero = cvi_in(ctx, 2);
    cvs_tensor *y = &ctx->out[0];
    const cvi_small_how how = {.saturate = cvi_op_int(ctx, "saturate") != 0};
    grain g;
    int64_t n = cvs_tensor_count(y);
    CVI_TRY(make_grain(ctx, &g));
    for (int64_t i = 0; i < n; i++) {
        int64_t k = scale_of(&g, i);
        double v = x->dtype == CVS_F64 ? cvi_get(x, i) / cvi_get(scale, k)
                                       : (double)((float)cvi_get(x, i) / (float)cvi_get(scale, k));
        if (cvi_is_small_float(y->dtype)) { /* its zero point is 0 */
            ((uint8_t *)y->data)[i] = cvi_small_put(y->dtype, v + (zero != NULL ? cvi_get(zero, k) : 0), how);
            continue;
        }
        cvi_put(y, i, cvi_saturate(nearbyint(v) + (zero != NULL ? cvi_get(zero, k) : 0), y->dtype));
    }
    return CVS_OK;
}

/* ---- DequantizeLinear -------------------------------------------------------------------------------- */
static bool is_quantized(cvs_dtype dtype) {
    return cvi_is_integer(dtype) || cvi_is_small_float(dtype);
}

static cvs_status infer_dequantize(cvi_opctx *ctx) {
    grain g;
    CVI_TRY(cvi_type_is(ctx, 0, is_quantized, "of an integer type or a small float"));
    CVI_TRY(cvi_type_is(ctx, 1, cvi_is_float, "of a floating-point type"));
    if (cvi_in(ctx, 2) != NULL) {
        CVI_TRY(cvi_one_type(ctx, 0, 2));
    }
    CVI_TRY(make_grain(ctx, &g));
    return cvi_out_shape(ctx, 0, ctx->in[1]->dtype, ctx->in[0]->rank, ctx->in[0]->dim);
}

static cvs_status forward_dequantize(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *scale = ctx->in[1], *zero = cvi_in(ctx, 2);
    cvs_tensor *y = &ctx->out[0];
    grain g;
    int64_t n = cvs_tensor_count(y);
    CVI_TRY(make_grain(ctx, &g));
    for (int64_t i = 0; i < n; i++) {
        int64_t k = scale_of(&g, i);
        cvi_put(y, i, (cvi_get(x, i) - (zero != NULL ? cvi_get(zero, k) : 0)) * cvi_get(scale, k));
    }
    return CVS_OK;
}

/* ---- DynamicQuantizeLinear ------------------------------------------------------------------------------- */
static cvs_status infer_dynamic(cvi_opctx *ctx) {
    CVI_TRY(cvi_infer_same(ctx));
    CVI_TRY(cvi_out_shape(ctx, 0, CVS_U8, ctx->in[0]->rank, ctx->in[0]->dim));
    CVI_TRY(cvi_out_shape(ctx, 1, CVS_F32, 0, NULL));
    return cvi_out_shape(ctx, 2, CVS_U8, 0, NULL);
}

/* The range, stretched to hold 0, is laid on 0 ... 255. */
static cvs_status forward_dynamic(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    float lo = 0, hi = 0;
    int64_t n = cvs_tensor_count(x);
    for (int64_t i = 0; i < n; i++) {
        float v = (float)cvi_get(x, i);
        lo = fminf(lo, v);
        hi = fmaxf(hi, v);
    }
    float scale = (hi - lo) / 255.0f;
    scale = scale > 0 ? scale : 1;
    double zero = cvi_saturate((double)(-lo / scale), CVS_U8);
    for (int64_t i = 0; i < n && ctx->out[0].dtype != CVS_NONE; i++) {
        cvi_put(&ctx->out[0], i,
                cvi_saturate(nearbyint((double)((float)cvi_get(x, i) / scale)) + zero, CVS_U8));
    }
    if (ctx->n_out > 1 && ctx->out[1].dtype != CVS_NONE) {
        cvi_put(&ctx->out[1], 0, (double)scale);
    }
    if (ctx->n_out > 2 && ctx->out[2].dtype != CVS_NONE) {
        cvi_put(&ctx->out[2], 0, zero);
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io quantize_in[] = {{"x", CVI_DATA, false, false},
                                        {"y_scale", CVI_SCALE, false, false},
                                        {"y_zero_point", CVI_SHIFT, true, false}};
static const cvi_op_io quantize_out[] = {{"y", CVI_DATA, false, false}};
static const cvi_op_attr quantize_attrs[] = {
    {"axis", CVI_ATTR_INT, "1", "-rank ... rank-1", "axis that scales run along", "各缩放系数所沿的轴"},
    {"block_size", CVI_ATTR_INT, "0", ">= 0", "how many neighbours along the axis share a scale; 0: none do",
     "沿该轴多少个相邻元素共用一个缩放系数；0 表示不分块"},
    {"output_dtype", CVI_ATTR_INT, "0", "an ONNX element type",
     "type of the output when there is no zero point", "没有零点时输出的类型"},
    {"saturate", CVI_ATTR_INT, "1", "0|1", "for 8-bit floats only: clamp instead of overflowing",
     "仅用于 8 位浮点：溢出时截到最大值"},
};

const cvi_op cvi_op_quantize_linear = {
    .name = "QuantizeLinear",
    .since = 21,
    .inputs = quantize_in,
    .n_inputs = 3,
    .outputs = quantize_out,
    .n_outputs = 1,
    .attrs = quantize_attrs,
    .n_attrs = CVI_COUNT(quantize_attrs),
    .flags = CVI_OP_POINTWISE | CVI_OP_ROUNDS,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_quantize,
    .forward = forward_quantize,
    .any_type = true,
    .cost = cvi_cost_each,
    .text = {"Quantise", "量化", "Rounds numbers to small integers by a scale and a zero point.",
             "按缩放系数和零点把数舍入为小整数。", "q = clamp(round(x / scale) + zero)",
             "The same picture in few steps; flat ends show where numbers were clamped.",
             "同一幅图只剩有限的级数；两端平坦处说明数值被截断。"},
};

static const cvi_op_io dequantize_in[] = {{"x", CVI_DATA, false, false},
                                          {"x_scale", CVI_SCALE, false, false},
                                          {"x_zero_point", CVI_SHIFT, true, false}};

const cvi_op cvi_op_dequantize_linear = {
    .name = "DequantizeLinear",
    .since = 21,
    .inputs = dequantize_in,
    .n_inputs = 3,
    .outputs = quantize_out,
    .n_outputs = 1,
    .attrs = quantize_attrs,
    .n_attrs = 2,
    .flags = CVI_OP_POINTWISE | CVI_OP_ROUNDS,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_dequantize,
    .forward = forward_dequantize,
    .any_type = true,
    .cost = cvi_cost_each,
    .text = {"Dequantise", "反量化", "Turns small integers back into numbers.", "把小整数还原为实数。",
             "y = (q − zero) · scale", "The picture as the quantised network saw it, in its few steps.",
             "量化网络所见的图像，只有有限的级数。"},
};

static const cvi_op_io dynamic_in[] = {{"x", CVI_DATA, false, false}};
static const cvi_op_io dynamic_out[] = {{"y", CVI_DATA, false, false},
                                        {"y_scale", CVI_DATA, true, false},
                                        {"y_zero_point", CVI_DATA, true, false}};

const cvi_op cvi_op_dynamic_quantize_linear = {
    .name = "DynamicQuantizeLinear",
    .since = 11,
    .inputs = dynamic_in,
    .n_inputs = 1,
    .outputs = dynamic_out,
    .n_outputs = 3,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_dynamic,
    .forward = forward_dynamic,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"Quantise by range", "动态量化",
             "Finds the range of its input and lays it on the integers 0 to 255.",
             "求出输入的取值范围，并映射到整数 0 到 255。",
             "scale = (max − min)/255, zero = round(−min/scale)",
             "The darkest place is 0, the brightest 255.", "最暗处为 0，最亮处为 255。"},
};
