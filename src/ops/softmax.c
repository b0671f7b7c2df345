/* SPDX-License-Identifier: MIT
 * softmax.c - Softmax, LogSoftmax and Hardmax along one axis (the meaning of opset 13 and later).
 */
#include <math.h>

#include "ops/map.h"
#include "ops/unit.h"

typedef enum { SOFT, LOG_SOFT, HARD } kind;

typedef struct line_job {
    kind kind;
    cvs_dtype dtype;
    int64_t length, step; /* elements along the axis, and how far they lie apart */
    const void *x, *y, *g;
    void *out;
} line_job;

static cvs_status soft_infer(cvi_opctx *ctx) {
    int axis;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_rank(ctx, 0, 1));
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), ctx->in[0]->rank, &axis));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, ctx->in[0]->dim);
}

CVI_INLINE void forward_line(const line_job *j, int64_t line, cvs_dtype type) {
    int64_t base = line / j->step * j->length * j->step + line % j->step, best = 0;
    double high = -HUGE_VAL, sum = 0;
    for (int64_t i = 0; i < j->length; i++) {
        double v = cvi_load(j->x, base + i * j->step, type);
        if (v > high) {
            high = v;
            best = i;
        }
    }
    for (int64_t i = 0; i < j->length && j->kind != HARD; i++) {
        sum += exp(cvi_load(j->x, base + i * j->step, type) - high);
    }
    double log_sum = log(sum);
    for (int64_t i = 0; i < j->length; i++) {
        double v = cvi_load(j->x, base + i * j->step, type) - high;
        double y = j->kind == SOFT ? exp(v) / sum : j->kind == LOG_SOFT ? v - log_sum : i == best ? 1 : 0;
        cvi_store(j->out, base + i * j->step, y, type);
    }
}

static void forward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const line_job *j = context;
    CVI_TYPED(j->dtype, forward_line, j, chunk);
}

/* Softmax: y * (g - sum g y). LogSoftmax: g - exp(y) * sum g. */
CVI_INLINE void backward_line(const line_job *j, int64_t line, cvs_dtype type) {
    int64_t base = line / j->step * j->length * j->step + line % j->step;
    double sum = 0;
    for (int64_t i = base; i < base + j->length * j->step; i += j->step) {
        sum += cvi_load(j->g, i, type) * (j->kind == SOFT ? cvi_load(j->y, i, type) : 1);
    }
    for (int64_t i = base; i < base + j->length * j->step; i += j->step) {
        double g = cvi_load(j->g, i, type), y = cvi_load(j->y, i, type);
        cvi_accumulate(j->out, i, j->kind == SOFT ? y * (g - sum) : g - exp(y) * sum, type);
    }
}

static void backward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const line_job *j = context;
    CVI_TYPED(j->dtype, backward_line, j, chunk);
}

/* Fills the job's geometry; returns the number of lines. */
static cvs_status lines(cvi_opctx *ctx, line_job *j, int64_t *count) {
    const cvs_tensor *x = ctx->in[0];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    j->dtype = x->dtype;
    j->length = x->dim[axis];
    j->step = cvi_span(x, axis + 1, x->rank);
    j->x = x->data;
    *count = j->length == 0 ? 0 : cvs_tensor_count(x) / j->length;
    return CVS_OK;
}

static cvs_status run_forward(cvi_opctx *ctx, kind k) {
    line_job j = {.kind = k, .out = ctx->out[0].data};
    int64_t count;
    CVI_TRY(lines(ctx, &j, &count));
    cvi_pool_run(ctx->pool, count, forward_body, &j);
    return CVS_OK;
}

static cvs_status run_backward(cvi_opctx *ctx, kind k, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    line_job j = {.kind = k, .y = ctx->out[0].data, .g = grad_out[0]->data, .out = grad_in[0]->data};
    int64_t count;
    CVI_TRY(lines(ctx, &j, &count));
    cvi_pool_run(ctx->pool, count, backward_body, &j);
    return CVS_OK;
}

static cvs_status softmax_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    line_job j = {.kind = SOFT};
    int64_t count;
    double high = -HUGE_VAL;
    CVI_TRY(lines(ctx, &j, &count));
    int64_t base = at / (j.length * j.step) * j.length * j.step + at % j.step;
    unit->kind = CVS_UNIT_SOFTMAX;
    unit->own = (at - base) / j.step;
    for (int64_t i = 0; i < j.length; i++) {
        high = fmax(high, cvi_get(ctx->in[0], base + i * j.step));
    }
    for (int64_t i = 0; i < j.length; i++) {
        double v = cvi_get(ctx->in[0], base + i * j.step);
        cvi_unit_add(unit, 0, base + i * j.step, -1, v, exp(v - high));
    }
    return CVS_OK;
}

static cvs_status softmax_forward(cvi_opctx *ctx) {
    return run_forward(ctx, SOFT);
}
static cvs_status log_softmax_forward(cvi_opctx *ctx) {
    return run_forward(ctx, LOG_SOFT);
}
static cvs_status hardmax_forward(cvi_opctx *ctx) {
    return run_forward(ctx, HARD);
}
/* Channels of a picture, or the last axis of plain memory: either way a line is one row. */
static bool soft_can_fast(const cvi_opctx *ctx) {
    cvi_opctx quiet = *ctx;
    int axis = 0;
    quiet.err = NULL;
    const cvs_tensor *x = ctx->in[0];
    return x->dtype == CVS_F32 && cvi_axis(&quiet, cvi_op_int(ctx, "axis"), x->rank, &axis) == CVS_OK &&
           axis == (x->rank == 4 ? 1 : x->rank - 1);
}

static cvs_status run_fast(cvi_opctx *ctx, bool logarithm) {
    const cvs_tensor *x = ctx->in[0];
    cvi_rows r = cvi_rows_of(x);
    if (x->layout == CVS_PLAIN) {
        r.channels = r.pitch = x->dim[x->rank - 1];
        r.rows = r.channels > 0 ? cvs_tensor_count(x) / r.channels : 0;
    }
    if (r.rows > 0 && r.channels > 0) {
        cvi_softmax(ctx->pool, logarithm, r.rows, r.channels, r.pitch, x->data, ctx->out[0].data);
    }
    return CVS_OK;
}

static cvs_status softmax_fast(cvi_opctx *ctx) {
    return run_fast(ctx, false);
}
static cvs_status log_softmax_fast(cvi_opctx *ctx) {
    return run_fast(ctx, true);
}

static cvs_status softmax_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                   cvs_tensor *const *grad_in) {
    (void)rule;
    return run_backward(ctx, SOFT, grad_out, grad_in);
}
static cvs_status log_softmax_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                       cvs_tensor *const *grad_in) {
    (void)rule;
    return run_backward(ctx, LOG_SOFT, grad_out, grad_in);
}

static void soft_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    if (!cvi_mul(cvs_tensor_count(ctx->in[0]), 4, &cost->flops)) { /* maximum, exp, sum, division */
        cost->flops = INT64_MAX;
    }
}

static void hardmax_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    cost->flops = cvs_tensor_count(ctx->in[0]);
}

/* Over channels it stays at its position; over positions it reads all of them. */
static void soft_field(const cvi_opctx *ctx, cvi_field_step *step) {
    int axis = 1;
    cvi_opctx quiet = *ctx;
    quiet.err = NULL;
    if (cvi_axis(&quiet, cvi_op_int(ctx, "axis"), ctx->in[0]->rank, &axis) == CVS_OK && axis < 2) {
        step->kind = CVI_FIELD_SAME;
    } else {
        step->kind = CVI_FIELD_ALL;
    }
}

static const cvi_op_io soft_in[] = {{"input", CVI_DATA, false, false}};
static const cvi_op_io soft_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr soft_attrs[] = {{"axis", CVI_ATTR_INT, "-1", "[-rank, rank-1]",
                                          "axis along which the numbers compete", "数值相互竞争所沿的轴"}};

#define SOFT_COMMON                                                                                          \
    .since = 13, .inputs = soft_in, .n_inputs = CVI_COUNT(soft_in), .outputs = soft_out,                     \
    .n_outputs = CVI_COUNT(soft_out), .attrs = soft_attrs, .n_attrs = CVI_COUNT(soft_attrs),                 \
    .glyph = CVI_GLYPH_SOFTMAX, .infer = soft_infer, .field = soft_field

const cvi_op cvi_op_softmax = {
    .name = "Softmax",
    .word_en = "softmax",
    .word_zh = "softmax",
    SOFT_COMMON,
    .flags = CVI_OP_SQUASH,
    .forward = softmax_forward,
    .can_fast = soft_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = softmax_fast,
    .apart = cvi_apart_axis,
    .unit = softmax_unit,
    .backward = softmax_backward,
    .cost = soft_cost,
    .text = {"Softmax", "Softmax",
             "Turns scores into probabilities that add up to 1; the largest score wins most.",
             "把得分变成总和为 1 的概率；得分最高者占比最大。", "y[k] = exp(x[k]) / Σ exp(x[j])",
             "One bar per class: its share of the belief, not proof that it is right.",
             "每个类别对应一根条：表示网络给它的可信度份额，并不证明它正确。"},
};

const cvi_op cvi_op_log_softmax = {
    .name = "LogSoftmax",
    .word_en = "log softmax",
    .word_zh = "log softmax",
    SOFT_COMMON,
    .flags = CVI_OP_SQUASH,
    .forward = log_softmax_forward,
    .can_fast = soft_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = log_softmax_fast,
    .apart = cvi_apart_axis,
    .backward = log_softmax_backward,
    .cost = soft_cost,
    .text = {"Log-softmax", "对数 Softmax", "The logarithm of the probabilities that softmax would give.",
             "Softmax 概率的对数。", "y[k] = x[k] − log Σ exp(x[j])",
             "All bars are below 0; the closer to 0, the surer the network.",
             "所有条都不大于 0；越接近 0，网络越有把握。"},
};

const cvi_op cvi_op_hardmax = {
    .name = "Hardmax",
    SOFT_COMMON,
    .forward = hardmax_forward,
    .cost = hardmax_cost,
    .text = {"Hardmax", "Hardmax", "Writes 1 at the first largest value along the axis and 0 elsewhere.",
             "沿该轴在第一个最大值处写 1，其余写 0。", "y[k] = 1 if k is the first argmax of x, else 0",
             "Exactly one bar stands: the winner.", "只有一根条不为零：胜出者。"},
};
