/* SPDX-License-Identifier: MIT
 * requantize.c - convscope::Requantize: real numbers made as coarse as small integers of one scale and zero point would be, and kept as
 * real numbers. So a quantised network runs in floating point with the numbers that its integers stand for. In ONNX it is
 * QuantizeLinear and then DequantizeLinear. The gradient goes straight through where nothing was clamped.
 */
#include <math.h>

#include "ops/map.h"
#include "ops/quantize.h"

enum { CHUNK = 1 << 14 };

/* scale, zero, lowest and highest integer. */
static void numbers(const cvi_opctx *ctx, double p[4]) {
    p[0] = ctx->in[1]->data ? cvi_get(ctx->in[1], 0) : 1;
    p[1] = ctx->in[2]->data ? cvi_get(ctx->in[2], 0) : 0;
    cvi_integer_range(ctx->in[2]->dtype, &p[2], &p[3]);
}

static inline double coarse(const double *p, double v) {
    double q = nearbyint((double)((float)v / (float)p[0])) + p[1];
    q = q < p[2] ? p[2] : q > p[3] ? p[3] : q;
    return (q - p[1]) * p[0];
}

/* NaN stays NaN. */
CVI_MAP(requantize, coarse(p, v), v >= (p[2] - p[1] - 0.5) * p[0] && v <= (p[3] - p[1] + 0.5) * p[0] ? 1 : 0)

static cvs_status infer(cvi_opctx *ctx) {
    CVI_TRY(cvi_type_is(ctx, 1, cvi_is_float, "of a floating-point type"));
    if (cvs_tensor_count(ctx->in[1]) != 1 || cvs_tensor_count(ctx->in[2]) != 1 ||
        !cvi_is_small_integer(ctx->in[2]->dtype)) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED,
                        "the output needs one scale and one 8- or 16-bit zero point");
    }
    return cvi_map_infer(ctx);
}

static cvs_status forward(cvi_opctx *ctx) {
    double p[4];
    numbers(ctx, p);
    return cvi_map_forward(ctx, requantize_value, p);
}

static cvs_status backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                           cvs_tensor *const *grad_in) {
    double p[4];
    (void)rule;
    numbers(ctx, p);
    return cvi_map_backward(ctx, requantize_slope, p, CVI_GRADIENT, grad_out, grad_in);
}

typedef struct job {
    const float *x;
    float *y, scale, zero, low, high;
    int64_t n;
} job;

static void chunk(void *context, int64_t k, int worker) {
    const job *j = context;
    int64_t end = CVI_MIN((k + 1) * CHUNK, j->n);
    (void)worker;
    for (int64_t i = k * CHUNK; i < end; i++) {
        float q = rintf(j->x[i] / j->scale) + j->zero;
        q = q < j->low ? j->low : q > j->high ? j->high : q;
        j->y[i] = (q - j->zero) * j->scale;
    }
}

static cvs_status fast(cvi_opctx *ctx) {
    double p[4];
    numbers(ctx, p);
    cvi_rows r = cvi_rows_of(ctx->in[0]);
    job j = {.x = ctx->in[0]->data,
             .y = ctx->out[0].data,
             .scale = (float)p[0],
             .zero = (float)p[1],
             .low = (float)p[2],
             .high = (float)p[3],
             .n = r.rows * (r.rows > 1 ? r.pitch : r.channels)};
    cvi_pool_run(ctx->pool, (j.n + CHUNK - 1) / CHUNK, chunk, &j);
    return CVS_OK;
}

static const cvi_op_io inputs[] = {{"x", CVI_DATA, false, false},
                                   {"scale", CVI_SHAPE, false, false},
                                   {"zero_point", CVI_SHAPE, false, false}};
static const cvi_op_io outputs[] = {{"y", CVI_DATA, false, false}};

const cvi_op cvi_op_requantize = {
    .name = "convscope::Requantize",
    .word_en = "round",
    .word_zh = "量化取整",
    .since = 1,
    .inputs = inputs,
    .n_inputs = 3,
    .outputs = outputs,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE | CVI_OP_ROUNDS,
    .onnx_pair = {"QuantizeLinear", "DequantizeLinear"},
    .glyph = CVI_GLYPH_MATH,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .can_fast = cvi_map_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = fast,
    .cost = cvi_map_cost,
    .text = {"Round as integers", "按整数取整",
             "Makes numbers as coarse as the small integers that the quantised network computes with.",
             "使数值与量化网络所用的小整数一样粗糙。", "y = (clamp(round(x / scale) + zero) − zero) · scale",
             "The same picture in few steps; flat ends show where numbers were clamped.",
             "同一幅图只剩有限的级数；两端平坦处说明数值被截断。"},
};
