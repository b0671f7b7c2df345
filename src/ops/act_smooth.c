/* SPDX-License-Identifier: MIT
 * act_smooth.c - smooth activations: Sigmoid, Tanh, Softplus, the Elu family (Elu, Selu, Celu), Swish, Mish, Gelu, Erf. Every
 * rule treats them as their gradient: deconvnet and guided are defined for rectifiers only.
 */
#include <math.h>

#include "ops/map.h"

static const double root_half = 0.70710678118654752440, root_2_by_pi = 0.79788456080286535588;
static const double inverse_root_2pi = 0.39894228040143267794, two_by_root_pi = 1.12837916709551257390;

static inline double sigmoid_of(double v) {
    return 1 / (1 + exp(-v));
}
/* log(1 + e^v) without overflow. */
static inline double softplus_of(double v) {
    return (v > 0 ? v : 0) + log1p(exp(-fabs(v)));
}
static double mish_slope_of(double v) {
    double t = tanh(softplus_of(v));
    return t + v * (1 - t * t) * sigmoid_of(v);
}
static double swish_slope_of(double v, double alpha) {
    double s = sigmoid_of(alpha * v);
    return s + alpha * v * s * (1 - s);
}
static double gelu_slope_of(double v) {
    return 0.5 * (1 + erf(v * root_half)) + v * inverse_root_2pi * exp(-0.5 * v * v);
}
/* The cheaper form of Hendrycks and Gimpel 2016. */
static double gelu_tanh_of(double v) {
    return 0.5 * v * (1 + tanh(root_2_by_pi * (v + 0.044715 * v * v * v)));
}
static double gelu_tanh_slope_of(double v) {
    double t = tanh(root_2_by_pi * (v + 0.044715 * v * v * v));
    return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * root_2_by_pi * (1 + 3 * 0.044715 * v * v);
}

CVI_MAP(sigmoid, sigmoid_of(v), sigmoid_of(v) * (1 - sigmoid_of(v)))
CVI_MAP(hyperbolic, tanh(v), 1 - tanh(v) * tanh(v))
CVI_MAP(softplus, softplus_of(v), sigmoid_of(v))
CVI_MAP(elu, v < 0 ? p[0] * expm1(v) : v, v < 0 ? p[0] * exp(v) : 1)
CVI_MAP(selu, p[1] * (v < 0 ? p[0] * expm1(v) : v), p[1] * (v < 0 ? p[0] * exp(v) : 1))
CVI_MAP(celu, v < 0 ? p[0] * expm1(v / p[0]) : v, v < 0 ? exp(v / p[0]) : 1)
CVI_MAP(swish, v *sigmoid_of(p[0] * v), swish_slope_of(v, p[0]))
CVI_MAP(mish, v *tanh(softplus_of(v)), mish_slope_of(v))
CVI_MAP(gelu, p[0] != 0 ? gelu_tanh_of(v) : 0.5 * v * (1 + erf(v * root_half)),
        p[0] != 0 ? gelu_tanh_slope_of(v) : gelu_slope_of(v))
CVI_MAP(error_function, erf(v), two_by_root_pi *exp(-v *v))

static bool is_approximate(const cvi_opctx *ctx) {
    return strcmp(cvi_op_string(ctx, "approximate"), "tanh") == 0;
}

CVI_MAP_CALLS(sigmoid, false, 0, 0)
CVI_MAP_CALLS(hyperbolic, false, 0, 0)
CVI_MAP_CALLS(softplus, false, 0, 0)
CVI_MAP_CALLS(elu, false, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_CALLS(selu, false, cvi_op_float(ctx, "alpha"), cvi_op_float(ctx, "gamma"))
CVI_MAP_CALLS(celu, false, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_CALLS(swish, false, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_CALLS(mish, false, 0, 0)
CVI_MAP_CALLS(gelu, false, is_approximate(ctx) ? 1 : 0, 0)
CVI_MAP_CALLS(error_function, false, 0, 0)

CVI_MAP_FAST(sigmoid, CVI_U_SIGMOID, 0, 0)
CVI_MAP_FAST(hyperbolic, CVI_U_TANH, 0, 0)
CVI_MAP_FAST(softplus, CVI_U_SOFTPLUS, 0, 0)
CVI_MAP_FAST(elu, CVI_U_ELU, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_FAST(selu, CVI_U_SELU, cvi_op_float(ctx, "alpha"), cvi_op_float(ctx, "gamma"))
CVI_MAP_FAST(celu, CVI_U_CELU, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_FAST(swish, CVI_U_SILU, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_FAST(mish, CVI_U_MISH, 0, 0)
CVI_MAP_FAST(gelu, is_approximate(ctx) ? CVI_U_GELU_TANH : CVI_U_GELU, 0, 0)
CVI_MAP_FAST(error_function, CVI_U_ERF, 0, 0)

static cvs_status celu_infer(cvi_opctx *ctx) {
    if (cvi_op_float(ctx, "alpha") == 0) {
        return cvi_at_attr(ctx->err, cvi_fail(ctx->err, CVS_E_SHAPE, "%s must not be 0", "alpha"), "alpha");
    }
    return cvi_map_infer(ctx);
}

static cvs_status gelu_infer(cvi_opctx *ctx) {
    const char *s = cvi_op_string(ctx, "approximate");
    if (strcmp(s, "none") != 0 && strcmp(s, "tanh") != 0) {
        return cvi_at_attr(
            ctx->err,
            cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "approximate is \"%.40s\"; known are none, tanh", s),
            "approximate");
    }
    return cvi_map_infer(ctx);
}

/* ---- descriptors ----------------------------------------------------------------------------------------- */

const cvi_op cvi_op_sigmoid = {
    .name = "Sigmoid",
    .word_en = "sigmoid",
    .word_zh = "sigmoid",
    .since = 6,
    CVI_MAP_COMMON(sigmoid),
    .flags = CVI_OP_POINTWISE | CVI_OP_SQUASH,
    .infer = cvi_map_infer,
    .text = {"Sigmoid", "Sigmoid", "Squeezes every number into the range from 0 to 1; 0 becomes one half.",
             "把每个数压缩到 0 与 1 之间；0 变为二分之一。", "y = 1 / (1 + exp(−x))",
             "White is a clear yes, black a clear no, grey undecided.",
             "白色表示明确的“是”，黑色表示明确的“否”，灰色表示未定。"},
};

const cvi_op cvi_op_tanh = {
    .name = "Tanh",
    .word_en = "tanh",
    .word_zh = "tanh",
    .since = 6,
    CVI_MAP_COMMON(hyperbolic),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"Tanh", "双曲正切", "Squeezes every number into the range from −1 to 1 and keeps its sign.",
             "把每个数压缩到 −1 与 1 之间，并保留符号。", "y = tanh(x)",
             "Large responses of either sign are flattened to the same two tones.",
             "过强的正负响应分别被压平为两种相同的色调。"},
};

const cvi_op cvi_op_softplus = {
    .name = "Softplus",
    .word_en = "softplus",
    .word_zh = "softplus",
    .since = 1,
    CVI_MAP_COMMON(softplus),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"Softplus", "Softplus", "A ReLU with a rounded corner: never quite 0, never negative.",
             "转角圆滑的 ReLU：不会恰好为 0，也不会为负。", "y = log(1 + exp(x))",
             "As ReLU, with soft edges where responses fade out.", "与 ReLU 相似，响应减弱处的边缘更柔和。"},
};

static const cvi_op_attr elu_attrs[] = {{"alpha", CVI_ATTR_FLOAT, "1.0", "any",
                                         "the value −alpha is approached for very negative numbers",
                                         "输入极负时输出趋近于 −alpha"}};
const cvi_op cvi_op_elu = {
    .name = "Elu",
    .word_en = "ELU",
    .word_zh = "ELU",
    .since = 6,
    CVI_MAP_COMMON(elu),
    .attrs = elu_attrs,
    .n_attrs = CVI_COUNT(elu_attrs),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"ELU", "ELU", "Keeps positive numbers and bends negative ones smoothly towards a floor.",
             "保留正数，让负数平滑地趋近一个下限。", "y = x if x ≥ 0, else α·(exp(x) − 1)",
             "As ReLU, but weak negative responses still show.", "与 ReLU 相似，但较弱的负响应仍然可见。"},
};

static const cvi_op_attr selu_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "1.67326319217681884765625", "any", "depth of the negative branch",
     "负半支的深度"},
    {"gamma", CVI_ATTR_FLOAT, "1.05070102214813232421875", "any", "factor on everything", "整体的缩放系数"},
};
const cvi_op cvi_op_selu = {
    .name = "Selu",
    .word_en = "SELU",
    .word_zh = "SELU",
    .since = 6,
    CVI_MAP_COMMON(selu),
    .attrs = selu_attrs,
    .n_attrs = CVI_COUNT(selu_attrs),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"SELU", "SELU",
             "A scaled ELU whose constants keep means and spreads steady from layer to layer.",
             "带缩放的 ELU，其常数使各层的均值和方差保持稳定。", "y = γ·x if x ≥ 0, else γ·α·(exp(x) − 1)",
             "As ELU, slightly stretched.", "与 ELU 相似，略有拉伸。"},
};

static const cvi_op_attr celu_attrs[] = {{"alpha", CVI_ATTR_FLOAT, "1.0", "not 0",
                                          "how soon negative numbers level off", "负数部分趋于平缓的快慢"}};
const cvi_op cvi_op_celu = {
    .name = "Celu",
    .word_en = "CELU",
    .word_zh = "CELU",
    .since = 12,
    CVI_MAP_COMMON(celu),
    .attrs = celu_attrs,
    .n_attrs = CVI_COUNT(celu_attrs),
    .flags = CVI_OP_POINTWISE,
    .infer = celu_infer,
    .text = {"CELU", "CELU", "An ELU whose bend stays smooth for every alpha.",
             "对任意 alpha 都保持光滑的 ELU。", "y = max(0, x) + min(0, α·(exp(x/α) − 1))",
             "As ELU: weak negative responses still show.", "与 ELU 相似：较弱的负响应仍然可见。"},
};

static const cvi_op_attr swish_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "1.0", "any", "steepness of the sigmoid", "Sigmoid 的陡度"}};
const cvi_op cvi_op_swish = {
    .name = "Swish",
    .word_en = "SiLU",
    .word_zh = "SiLU",
    .since = 24,
    CVI_MAP_COMMON(swish),
    .attrs = swish_attrs,
    .n_attrs = CVI_COUNT(swish_attrs),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"Swish (SiLU)", "Swish（SiLU）",
             "Every number times its own sigmoid: a smooth ReLU with a small dip below 0.",
             "每个数乘以自身的 Sigmoid：平滑的 ReLU，在 0 以下略有下凹。", "y = x·σ(α·x)",
             "As ReLU; faint dark places are slightly negative, not missing.",
             "与 ReLU 相似；略暗处只是略小于零，并非没有响应。"},
};

const cvi_op cvi_op_mish = {
    .name = "Mish",
    .word_en = "Mish",
    .word_zh = "Mish",
    .since = 18,
    CVI_MAP_COMMON(mish),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"Mish", "Mish", "A smooth ReLU that lets small negative numbers through.",
             "平滑的 ReLU，允许少量负数通过。", "y = x·tanh(log(1 + exp(x)))",
             "As ReLU; faint dark places are slightly negative, not missing.",
             "与 ReLU 相似；略暗处只是略小于零，并非没有响应。"},
};

static const cvi_op_attr gelu_attrs[] = {{"approximate", CVI_ATTR_STRING, "none", "none|tanh",
                                          "exact, or the cheaper formula with tanh",
                                          "精确计算，或使用较省的 tanh 近似公式"}};
const cvi_op cvi_op_gelu = {
    .name = "Gelu",
    .word_en = "GELU",
    .word_zh = "GELU",
    .since = 20,
    CVI_MAP_COMMON(gelu),
    .attrs = gelu_attrs,
    .n_attrs = CVI_COUNT(gelu_attrs),
    .flags = CVI_OP_POINTWISE,
    .infer = gelu_infer,
    .text = {"GELU", "GELU", "Every number times the share of a normal distribution that lies below it.",
             "每个数乘以标准正态分布中小于它的概率。", "y = x·Φ(x) = x·(1 + erf(x/√2))/2",
             "As ReLU, with a soft corner around 0.", "与 ReLU 相似，在 0 附近转角柔和。"},
};

const cvi_op cvi_op_erf = {
    .name = "Erf",
    .since = 9,
    CVI_MAP_COMMON(error_function),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer_any,
    .any_type = true,
    .text = {"Error function", "误差函数", "An S-shaped curve from −1 to 1; most often a part of GELU.",
             "从 −1 到 1 的 S 形曲线；多作为 GELU 的一部分出现。", "y = (2/√π)·∫₀ˣ exp(−t²) dt",
             "Usually an inner step: look at the result of the whole GELU instead.",
             "通常只是中间步骤：请看整个 GELU 的结果。"},
};
