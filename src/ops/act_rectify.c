/* SPDX-License-Identifier: MIT
 * act_rectify.c - activations made of straight pieces around zero: Relu, LeakyRelu, ThresholdedRelu, Shrink, and Clip (ReLU6 and
 * hard limits). The rules deconvnet and guided act in Relu, ThresholdedRelu and a Clip whose lower limit is 0.
 */
#include <float.h>
#include <math.h>

#include "ops/map.h"

/* NaN passes through, as it does in every framework: it must not be hidden. */
CVI_MAP(rectify, v<0 ? 0 : v, v> 0 ? 1 : 0)
CVI_MAP(leaky, v < 0 ? p[0] * v : v, v < 0 ? p[0] : 1)
CVI_MAP(threshold, v > p[0] ? v : v <= p[0] ? 0 : v, v > p[0] ? 1 : 0)
CVI_MAP(shrink, v<-p[0] ? v + p[1] : v> p[0] ? v - p[1] : v != v ? v : 0, v<-p[0] || v> p[0] ? 1 : 0)
/* The upper limit wins when the limits cross. At a limit the slope is 0, as in PyTorch's and Keras's ReLU6: then the output alone
 * says where a gradient passes. */
CVI_MAP(clip,
        v > p[1] || p[0] > p[1] ? (v != v ? v : p[1])
        : v < p[0]              ? p[0]
                                : v,
        p[0] <= p[1] && v > p[0] && v < p[1] ? 1 : 0)

CVI_MAP_CALLS(rectify, true, 0, 0)
CVI_MAP_CALLS(leaky, false, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_CALLS(threshold, true, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_CALLS(shrink, false, cvi_op_float(ctx, "lambd"), cvi_op_float(ctx, "bias"))

CVI_MAP_FAST(relu, CVI_U_RELU, 0, 0)
CVI_MAP_FAST(leaky, CVI_U_LEAKY, cvi_op_float(ctx, "alpha"), 0)
CVI_MAP_FAST(threshold, CVI_U_THRESHOLD, cvi_op_float(ctx, "alpha"), 0)

static cvs_status relu_back(cvi_opctx *ctx, const cvi_back *back) {
    return cvi_gate_back(ctx, &ctx->out[0], 0, NAN, 0, back->rule, back);
}

/* Slope 1 at 0 itself: below it is from the smallest negative number on. */
static cvs_status leaky_gate(cvi_opctx *ctx, const cvi_back *back) {
    return cvi_gate_back(ctx, ctx->in[0], -FLT_TRUE_MIN, NAN, (float)cvi_op_float(ctx, "alpha"), CVI_GRADIENT,
                         back);
}

/* ---- integers: compared exactly ------------------------------------------------------------------------ */

static int compare(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t k) {
    if (a->dtype == CVS_U64) {
        uint64_t x = ((const uint64_t *)a->data)[i], y = ((const uint64_t *)b->data)[k];
        return (x > y) - (x < y);
    }
    int64_t x = cvi_get_int(a, i), y = cvi_get_int(b, k);
    return (x > y) - (x < y);
}

/* y = min(max(x, low), high) on integers; low, high may be NULL. */
static void clip_integers(cvi_opctx *ctx, const cvs_tensor *low, const cvs_tensor *high) {
    const cvs_tensor *x = ctx->in[0];
    size_t size = cvs_dtype_size(x->dtype);
    int64_t count = cvs_tensor_count(x);
    bool crossed = low != NULL && high != NULL && compare(low, 0, high, 0) > 0;
    for (int64_t i = 0; i < count; i++) {
        const char *from = (const char *)x->data + (size_t)i * size;
        if (crossed || (high != NULL && compare(x, i, high, 0) > 0)) {
            from = high->data;
        } else if (low != NULL && compare(x, i, low, 0) < 0) {
            from = low->data;
        }
        memcpy((char *)ctx->out[0].data + (size_t)i * size, from, size);
    }
}

static bool relu_clamp(const cvi_opctx *ctx, float *lo, float *hi) {
    (void)ctx;
    *lo = 0;
    *hi = HUGE_VALF;
    return true;
}

static cvs_status relu_forward(cvi_opctx *ctx) {
    if (!cvi_is_integer(ctx->in[0]->dtype)) {
        return rectify_forward(ctx);
    }
    static const int64_t nothing = 0;
    cvs_tensor zero = {.dtype = ctx->in[0]->dtype, .data = (void *)(uintptr_t)&nothing};
    clip_integers(ctx, &zero, NULL);
    return CVS_OK;
}

/* ---- Clip ------------------------------------------------------------------------------------------------ */

/* The limits, which are scalars or absent; NULL where there is none. */
static const cvs_tensor *limit(const cvi_opctx *ctx, int k) {
    const cvs_tensor *t = cvi_in(ctx, k);
    return t != NULL && cvs_tensor_count(t) == 1 ? t : NULL;
}

static void limits(const cvi_opctx *ctx, double p[2]) {
    p[0] = limit(ctx, 1) != NULL ? cvi_get(limit(ctx, 1), 0) : -HUGE_VAL;
    p[1] = limit(ctx, 2) != NULL ? cvi_get(limit(ctx, 2), 0) : HUGE_VAL;
}

static cvs_status clip_infer(cvi_opctx *ctx) {
    for (int k = 1; k <= 2; k++) {
        const cvs_tensor *t = cvi_in(ctx, k);
        char text[128];
        if (t != NULL && cvs_tensor_count(t) != 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s must be one number, its shape is %s",
                            cvi_input_name(ctx, k), cvs_shape_text(t->rank, t->dim, text, sizeof text));
        }
        if (t != NULL && t->dtype != ctx->in[0]->dtype) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s holds %s, the numbers to limit are %s",
                            cvi_input_name(ctx, k), cvs_dtype_name(t->dtype),
                            cvs_dtype_name(ctx->in[0]->dtype));
        }
    }
    return cvi_map_infer_any(ctx);
}

static cvs_status clip_forward(cvi_opctx *ctx) {
    if (cvi_is_integer(ctx->in[0]->dtype)) {
        clip_integers(ctx, limit(ctx, 1), limit(ctx, 2));
        return CVS_OK;
    }
    double p[2];
    limits(ctx, p);
    return cvi_map_forward(ctx, clip_value, p);
}

static cvs_status clip_fast(cvi_opctx *ctx) {
    double p[2];
    limits(ctx, p);
    return cvi_map_fast(ctx, CVI_U_CLAMP, CVI_MIN(p[0], p[1]), p[1]);
}

/* Only limits that are known before the run. */
static bool clip_clamp(const cvi_opctx *ctx, float *lo, float *hi) {
    for (int k = 1; k <= 2; k++) {
        if (limit(ctx, k) != NULL && limit(ctx, k)->data == NULL) {
            return false;
        }
    }
    double p[2];
    limits(ctx, p);
    *lo = (float)CVI_MIN(p[0], p[1]);
    *hi = (float)p[1];
    return p[0] == p[0] && p[1] == p[1];
}

/* Numbers at a limit send their gradient to that limit. */
static void limit_gradients(const cvi_opctx *ctx, const double p[2], const cvs_tensor *g,
                            cvs_tensor *const *grad_in) {
    double low = 0, high = 0;
    int64_t count = cvs_tensor_count(g);
    for (int64_t i = 0; i < count; i++) {
        double v = cvi_get(ctx->in[0], i);
        if (p[0] > p[1] || v > p[1]) {
            high += cvi_get(g, i);
        } else if (v < p[0]) {
            low += cvi_get(g, i);
        }
    }
    if (ctx->n_in > 1 && grad_in[1] != NULL) {
        cvi_put(grad_in[1], 0, cvi_get(grad_in[1], 0) + low);
    }
    if (ctx->n_in > 2 && grad_in[2] != NULL) {
        cvi_put(grad_in[2], 0, cvi_get(grad_in[2], 0) + high);
    }
}

static cvs_status clip_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    double p[2];
    limits(ctx, p);
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    if ((ctx->n_in > 1 && grad_in[1] != NULL) || (ctx->n_in > 2 && grad_in[2] != NULL)) {
        limit_gradients(ctx, p, grad_out[0], grad_in);
    }
    return cvi_map_backward(ctx, clip_slope, p, p[0] == 0 ? rule : CVI_GRADIENT, grad_out, grad_in);
}

static float side(double limit) {
    return isinf(limit) ? NAN : (float)limit;
}

static bool clip_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    bool fits = cvi_gate_back_form(ctx, wants, form);
    form->in = 2 | 4; /* the limits */
    return fits;
}

static cvs_status clip_back(cvi_opctx *ctx, const cvi_back *back) {
    double p[2];
    limits(ctx, p);
    return cvi_gate_back(ctx, &ctx->out[0], side(p[0]), side(p[1]), 0, p[0] == 0 ? back->rule : CVI_GRADIENT,
                         back);
}

/* ---- descriptors ----------------------------------------------------------------------------------------- */

const cvi_op cvi_op_relu = {
    .name = "Relu",
    .word_en = "ReLU",
    .word_zh = "ReLU",
    .since = 6,
    .inputs = cvi_map_in,
    .n_inputs = 1,
    .outputs = cvi_map_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_ACTIVATION,
    .forward = relu_forward,
    .can_fast = cvi_map_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = relu_fast,
    .clamp = relu_clamp,
    .backward = rectify_backward,
    .back_form = cvi_gate_back_form,
    .back_fast = relu_back,
    .cost = cvi_map_cost,
    .flags = CVI_OP_POINTWISE | CVI_OP_RELU,
    .infer = cvi_map_infer_any,
    .any_type = true,
    .text = {"ReLU", "ReLU", "Keeps positive numbers and replaces negative ones by 0.",
             "保留正数，把负数变为 0。", "y = max(x, 0)",
             "Dark places were below zero: the filter found nothing, or the opposite.",
             "暗处原本小于零：卷积核在那里没有发现它要找的东西，或发现了相反的东西。"},
};

static const cvi_op_attr leaky_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "0.01", "any", "slope for negative numbers", "负数部分的斜率"}};
const cvi_op cvi_op_leaky_relu = {
    .name = "LeakyRelu",
    .word_en = "leaky ReLU",
    .word_zh = "Leaky ReLU",
    .since = 6,
    .inputs = cvi_map_in,
    .n_inputs = 1,
    .outputs = cvi_map_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_ACTIVATION,
    .forward = leaky_forward,
    .backward = leaky_backward,
    .back_form = cvi_map_back_form,
    .back_fast = leaky_gate,
    .can_fast = cvi_map_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = leaky_fast,
    .cost = cvi_map_cost,
    .attrs = leaky_attrs,
    .n_attrs = CVI_COUNT(leaky_attrs),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer,
    .text = {"Leaky ReLU", "带泄漏的 ReLU",
             "Keeps positive numbers and shrinks negative ones to a small part.",
             "保留正数，把负数缩小为很小的一部分。", "y = x if x ≥ 0, else α·x",
             "As ReLU, but what was negative still shows faintly.",
             "与 ReLU 相似，但负响应仍会微弱地显示出来。"},
};

static const cvi_op_attr threshold_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "1.0", "any", "numbers up to this become 0", "不大于该值的数变为 0"}};
const cvi_op cvi_op_thresholded_relu = {
    .name = "ThresholdedRelu",
    .since = 10,
    CVI_MAP_COMMON(threshold),
    .attrs = threshold_attrs,
    .n_attrs = CVI_COUNT(threshold_attrs),
    .flags = CVI_OP_POINTWISE | CVI_OP_RELU,
    .infer = cvi_map_infer,
    .text = {"Thresholded ReLU", "带阈值的 ReLU",
             "Keeps numbers above a threshold and replaces the others by 0.",
             "保留大于阈值的数，其余变为 0。", "y = x if x > α, else 0",
             "Only responses strong enough to pass the threshold are left.",
             "只留下强到足以越过阈值的响应。"},
};

static const cvi_op_attr shrink_attrs[] = {
    {"bias", CVI_ATTR_FLOAT, "0.0", "any", "taken off the size of numbers outside the band",
     "带外数值的绝对值要减去的量"},
    {"lambd", CVI_ATTR_FLOAT, "0.5", "any", "half width of the band around 0 that becomes 0",
     "零点两侧变为 0 的区间半宽"},
};
const cvi_op cvi_op_shrink = {
    .name = "Shrink",
    .since = 9,
    .inputs = cvi_map_in,
    .n_inputs = 1,
    .outputs = cvi_map_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_ACTIVATION,
    .forward = shrink_forward,
    .backward = shrink_backward,
    .cost = cvi_map_cost,
    .attrs = shrink_attrs,
    .n_attrs = CVI_COUNT(shrink_attrs),
    .flags = CVI_OP_POINTWISE,
    .infer = cvi_map_infer_any,
    .any_type = true,
    .text = {"Shrink", "收缩", "Replaces numbers near 0 by 0 and moves the others towards 0.",
             "把接近 0 的数变为 0，其余的数向 0 靠近。", "y = x + b if x < −λ, x − b if x > λ, else 0",
             "Weak responses of either sign are gone.", "无论正负，弱响应都被去掉了。"},
};

static const cvi_op_io clip_in[] = {
    {"input", CVI_DATA, false, false}, {"min", CVI_DATA, true, false}, {"max", CVI_DATA, true, false}};
/* A one-element constant, or `otherwise`. */
static double limit_of(const cvi_graph *g, const cvi_node *node, int k, double otherwise) {
    const cvs_tensor *t = k < node->n_in && node->in[k] >= 0 ? g->values[node->in[k]].constant : NULL;
    return t != NULL && t->data != NULL && cvs_tensor_count(t) == 1 ? cvi_get(t, 0) : otherwise;
}

static const char *clip_known_as(const cvi_graph *g, const cvi_node *node) {
    return limit_of(g, node, 1, -1.0) == 0.0 && limit_of(g, node, 2, -1.0) == 6.0 ? "ReLU6" : NULL;
}

const cvi_op cvi_op_clip = {
    .name = "Clip",
    .word_en = "clip",
    .word_zh = "截断",
    .known_as = clip_known_as,
    .since = 11,
    .inputs = clip_in,
    .n_inputs = CVI_COUNT(clip_in),
    .outputs = cvi_map_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_ACTIVATION,
    .forward = clip_forward,
    .can_fast = cvi_map_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = clip_fast,
    .clamp = clip_clamp,
    .backward = clip_backward,
    .back_form = clip_back_form,
    .back_fast = clip_back,
    .cost = cvi_map_cost,
    .flags = CVI_OP_POINTWISE | CVI_OP_RELU,
    .infer = clip_infer,
    .any_type = true,
    .text = {"Clip", "截断", "Limits every number to the range from min to max; from 0 to 6 it is ReLU6.",
             "把每个数限制在 min 到 max 之间；取 0 到 6 时即 ReLU6。", "y = min(max(x, min), max)",
             "Places of one flat tone have reached a limit.", "颜色完全一致的区域表示已达到上限或下限。"},
};
