/* SPDX-License-Identifier: MIT
 * unary_math.c - one number in, one number out: Abs Neg Sign Sqrt Exp Log Reciprocal, rounding, trigonometry. Abs, Neg
 * and Sign take integers as well. Activation functions live in their own family.
 */
#include <math.h>

#include "ops/walk.h"

typedef double unary(double x);
typedef double unary_slope(double x, double y);

static double negated(double x) {
    return -x;
}
static double sign_of(double x) {
    return x > 0 ? 1 : x < 0 ? -1 : x;
}
static double reciprocal_of(double x) {
    return 1 / x;
}

static double zero_slope(double x, double y) {
    (void)x, (void)y;
    return 0;
}
static double abs_slope(double x, double y) {
    (void)y;
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}
static double neg_slope(double x, double y) {
    (void)x, (void)y;
    return -1;
}
static double sqrt_slope(double x, double y) {
    (void)x;
    return 0.5 / y;
}
static double exp_slope(double x, double y) {
    (void)x;
    return y;
}
static double log_slope(double x, double y) {
    (void)y;
    return 1 / x;
}
static double reciprocal_slope(double x, double y) {
    (void)x;
    return -y * y;
}
static double sin_slope(double x, double y) {
    (void)y;
    return cos(x);
}
static double cos_slope(double x, double y) {
    (void)y;
    return -sin(x);
}
static double tan_slope(double x, double y) {
    (void)x;
    return 1 + y * y;
}
static double asin_slope(double x, double y) {
    (void)y;
    return 1 / sqrt(1 - x * x);
}
static double acos_slope(double x, double y) {
    (void)y;
    return -1 / sqrt(1 - x * x);
}
static double atan_slope(double x, double y) {
    (void)y;
    return 1 / (1 + x * x);
}
static double sinh_slope(double x, double y) {
    (void)y;
    return cosh(x);
}
static double cosh_slope(double x, double y) {
    (void)y;
    return sinh(x);
}
static double asinh_slope(double x, double y) {
    (void)y;
    return 1 / sqrt(x * x + 1);
}
static double acosh_slope(double x, double y) {
    (void)y;
    return 1 / sqrt(x * x - 1);
}
static double atanh_slope(double x, double y) {
    (void)y;
    return 1 / (1 - x * x);
}

/* ---- shapes, forward, backward --------------------------------------------------------------------------- */
static bool is_signed_or_float(cvs_dtype dtype) {
    return cvi_is_signed(dtype);
}

static bool is_number(cvs_dtype dtype) {
    return cvi_is_float(dtype) || cvi_is_integer(dtype);
}

static cvs_status infer_float(cvi_opctx *ctx) {
    CVI_TRY(cvi_type_is(ctx, 0, cvi_is_float, "of a floating-point type"));
    return cvi_infer_same(ctx);
}

static cvs_status infer_signed(cvi_opctx *ctx) {
    CVI_TRY(cvi_type_is(ctx, 0, is_signed_or_float, "of a signed number type"));
    return cvi_infer_same(ctx);
}

static cvs_status infer_number(cvi_opctx *ctx) {
    CVI_TRY(cvi_type_is(ctx, 0, is_number, "of a number type"));
    return cvi_infer_same(ctx);
}

typedef struct unary_job {
    const cvs_tensor *x, *y;
    unary *f;
} unary_job;

static void unary_rows(void *context, int64_t begin, int64_t end) {
    const unary_job *job = context;
    if (job->y->dtype == CVS_F32) {
        const float *x = job->x->data;
        float *y = job->y->data;
        for (int64_t i = begin; i < end; i++) {
            y[i] = (float)job->f((double)x[i]);
        }
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        cvi_put(job->y, i, job->f(cvi_get(job->x, i)));
    }
}

static cvs_status each(cvi_opctx *ctx, unary *f) {
    unary_job job = {ctx->in[0], &ctx->out[0], f};
    cvi_each_rows(ctx, cvs_tensor_count(&ctx->out[0]), 1, &job, unary_rows);
    return CVS_OK;
}

static cvs_status each_back(cvi_opctx *ctx, unary_slope *slope, const cvs_tensor *g, cvs_tensor *grad) {
    if (g == NULL || grad == NULL) {
        return CVS_OK;
    }
    int64_t n = cvs_tensor_count(grad);
    for (int64_t i = 0; i < n; i++) {
        double d = slope(cvi_get(ctx->in[0], i), cvi_get(&ctx->out[0], i));
        cvi_put(grad, i, cvi_get(grad, i) + d * cvi_get(g, i));
    }
    return CVS_OK;
}

/* Abs, Neg and Sign of integers, exactly. */
static cvs_status each_whole(cvi_opctx *ctx, unary *f) {
    cvs_tensor *y = &ctx->out[0];
    if (cvi_is_float(y->dtype)) {
        return each(ctx, f);
    }
    int64_t n = cvs_tensor_count(y);
    for (int64_t i = 0; i < n; i++) {
        int64_t v = cvi_get_int(ctx->in[0], i);
        bool below = v < 0 && y->dtype != CVS_U64;
        if (f == sign_of) {
            cvi_put_int(y, i, below ? -1 : v != 0);
        } else {
            cvi_put_int(y, i, below || f == negated ? (int64_t)(0 - (uint64_t)v) : v);
        }
    }
    return CVS_OK;
}

#define UNARY(NAME, EACH, FUNCTION, SLOPE)                                                                   \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        return EACH(ctx, FUNCTION);                                                                          \
    }                                                                                                        \
    static cvs_status backward_##NAME(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,      \
                                      cvs_tensor *const *grad_in) {                                          \
        (void)rule;                                                                                          \
        return each_back(ctx, SLOPE, grad_out[0], grad_in[0]);                                               \
    }
UNARY(abs, each_whole, fabs, abs_slope)
UNARY(neg, each_whole, negated, neg_slope)
UNARY(sign, each_whole, sign_of, zero_slope)
UNARY(sqrt, each, sqrt, sqrt_slope)
UNARY(exp, each, exp, exp_slope)
UNARY(log, each, log, log_slope)
UNARY(reciprocal, each, reciprocal_of, reciprocal_slope)
UNARY(ceil, each, ceil, zero_slope)
UNARY(floor, each, floor, zero_slope)
UNARY(round, each, nearbyint, zero_slope) /* halves to even, as the default rounding mode does */
UNARY(sin, each, sin, sin_slope)
UNARY(cos, each, cos, cos_slope)
UNARY(tan, each, tan, tan_slope)
UNARY(asin, each, asin, asin_slope)
UNARY(acos, each, acos, acos_slope)
UNARY(atan, each, atan, atan_slope)
UNARY(sinh, each, sinh, sinh_slope)
UNARY(cosh, each, cosh, cosh_slope)
UNARY(asinh, each, asinh, asinh_slope)
UNARY(acosh, each, acosh, acosh_slope)
UNARY(atanh, each, atanh, atanh_slope)

/* ---- descriptors: alike but for their function and words ---------------------------------------------------- */
static const cvi_op_io one_in[] = {{"X", CVI_DATA, false, false}};
static const cvi_op_io one_out[] = {{"Y", CVI_DATA, false, false}};

#define DESCRIBE(SYMBOL, NAME, SINCE, INFER, ANY_TYPE, ...)                                                  \
    const cvi_op cvi_op_##SYMBOL = {                                                                         \
        .name = NAME,                                                                                        \
        .since = SINCE,                                                                                      \
        .inputs = one_in,                                                                                    \
        .n_inputs = 1,                                                                                       \
        .outputs = one_out,                                                                                  \
        .n_outputs = 1,                                                                                      \
        .flags = CVI_OP_POINTWISE,                                                                           \
        .glyph = CVI_GLYPH_MATH,                                                                             \
        .infer = INFER,                                                                                      \
        .forward = forward_##SYMBOL,                                                                         \
        .any_type = ANY_TYPE,                                                                                \
        .backward = backward_##SYMBOL,                                                                       \
        .cost = cvi_cost_each,                                                                               \
        .text = {__VA_ARGS__},                                                                               \
    };

DESCRIBE(abs, "Abs", 6, infer_number, true, "Absolute value", "绝对值", "Drops the sign of every number.",
         "去掉每个数的符号。", "y = |x|", "Strong negative and strong positive places look alike.",
         "强的负值与强的正值看起来一样。")
DESCRIBE(neg, "Neg", 6, infer_signed, true, "Negation", "取负", "Turns the sign of every number.",
         "改变每个数的符号。", "y = −x", "The input with bright and dark exchanged.", "明暗互换后的输入。")
DESCRIBE(sign, "Sign", 9, infer_number, true, "Sign", "符号", "Keeps only the sign: −1, 0 or 1.",
         "只保留符号：−1、0 或 1。", "y = sgn(x)", "Three flat colours: negative, zero, positive.",
         "三种纯色：负、零、正。")
DESCRIBE(sqrt, "Sqrt", 6, infer_float, false, "Square root", "平方根", "The square root of every number.",
         "求每个数的平方根。", "y = √x", "Strong values come closer together; a negative input gives NaN.",
         "强值之间的差距缩小；负数输入得到 NaN。")
DESCRIBE(exp, "Exp", 6, infer_float, false, "Exponential", "指数函数", "Raises e to every number.",
         "以 e 为底求每个数的指数。", "y = eˣ", "A small lead in the input becomes a large one.",
         "输入中的小优势会变成大优势。")
DESCRIBE(log, "Log", 6, infer_float, false, "Natural logarithm", "自然对数",
         "The natural logarithm of every number.", "求每个数的自然对数。", "y = ln x",
         "Ratios become differences; 0 gives −∞ and a negative input NaN.",
         "比值变成差值；0 得到 −∞，负数得到 NaN。")
DESCRIBE(reciprocal, "Reciprocal", 6, infer_float, false, "Reciprocal", "倒数",
         "One divided by every number.", "求每个数的倒数。", "y = 1/x",
         "Small numbers become large and large ones small.", "小数变大，大数变小。")
DESCRIBE(ceil, "Ceil", 6, infer_float, false, "Round up", "向上取整", "The next whole number at or above.",
         "取不小于它的最小整数。", "y = ⌈x⌉", "Smooth areas turn into steps.", "平滑的区域变成台阶。")
DESCRIBE(floor, "Floor", 6, infer_float, false, "Round down", "向下取整",
         "The next whole number at or below.", "取不大于它的最大整数。", "y = ⌊x⌋",
         "Smooth areas turn into steps.", "平滑的区域变成台阶。")
DESCRIBE(round, "Round", 11, infer_float, false, "Round", "就近取整",
         "The nearest whole number, halves to the even one.", "取最接近的整数，恰在中间时取偶数。",
         "y = round(x)", "Smooth areas turn into steps.", "平滑的区域变成台阶。")
DESCRIBE(sin, "Sin", 7, infer_float, false, "Sine", "正弦", "The sine of every number (radians).",
         "求每个数（弧度）的正弦。", "y = sin x", "Values swing between −1 and 1.",
         "数值在 −1 与 1 之间摆动。")
DESCRIBE(cos, "Cos", 7, infer_float, false, "Cosine", "余弦", "The cosine of every number (radians).",
         "求每个数（弧度）的余弦。", "y = cos x", "Values swing between −1 and 1.",
         "数值在 −1 与 1 之间摆动。")
DESCRIBE(tan, "Tan", 7, infer_float, false, "Tangent", "正切", "The tangent of every number (radians).",
         "求每个数（弧度）的正切。", "y = tan x", "Values explode near odd multiples of π/2.",
         "在 π/2 的奇数倍附近数值急剧增大。")
DESCRIBE(asin, "Asin", 7, infer_float, false, "Arc sine", "反正弦", "The angle whose sine is the number.",
         "求正弦等于该数的角。", "y = arcsin x", "Defined from −1 to 1; NaN outside.",
         "在 −1 到 1 之间有定义，之外为 NaN。")
DESCRIBE(acos, "Acos", 7, infer_float, false, "Arc cosine", "反余弦", "The angle whose cosine is the number.",
         "求余弦等于该数的角。", "y = arccos x", "Defined from −1 to 1; NaN outside.",
         "在 −1 到 1 之间有定义，之外为 NaN。")
DESCRIBE(atan, "Atan", 7, infer_float, false, "Arc tangent", "反正切",
         "The angle whose tangent is the number.", "求正切等于该数的角。", "y = arctan x",
         "Any number is squeezed between −π/2 and π/2.", "任何数都被压到 −π/2 与 π/2 之间。")
DESCRIBE(sinh, "Sinh", 9, infer_float, false, "Hyperbolic sine", "双曲正弦",
         "The hyperbolic sine of every number.", "求每个数的双曲正弦。", "y = (eˣ − e⁻ˣ)/2",
         "Keeps the sign and stretches large values.", "保留符号并放大大的值。")
DESCRIBE(cosh, "Cosh", 9, infer_float, false, "Hyperbolic cosine", "双曲余弦",
         "The hyperbolic cosine of every number.", "求每个数的双曲余弦。", "y = (eˣ + e⁻ˣ)/2",
         "At least 1 everywhere; strong values of both signs are bright.",
         "处处不小于 1；无论正负，强值都亮。")
DESCRIBE(asinh, "Asinh", 9, infer_float, false, "Inverse hyperbolic sine", "反双曲正弦",
         "The number whose hyperbolic sine is the input.", "求双曲正弦等于输入的数。",
         "y = ln(x + √(x² + 1))", "Like a logarithm that keeps the sign.", "像一个保留符号的对数。")
DESCRIBE(acosh, "Acosh", 9, infer_float, false, "Inverse hyperbolic cosine", "反双曲余弦",
         "The number whose hyperbolic cosine is the input.", "求双曲余弦等于输入的数。",
         "y = ln(x + √(x² − 1))", "Defined from 1 on; NaN below.", "从 1 起有定义，小于 1 为 NaN。")
DESCRIBE(atanh, "Atanh", 9, infer_float, false, "Inverse hyperbolic tangent", "反双曲正切",
         "The number whose hyperbolic tangent is the input.", "求双曲正切等于输入的数。",
         "y = ½ ln((1 + x)/(1 − x))", "Defined between −1 and 1; explodes at both ends.",
         "在 −1 与 1 之间有定义，两端急剧增大。")
