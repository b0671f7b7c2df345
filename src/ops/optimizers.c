/* SPDX-License-Identifier: MIT
 * optimizers.c - Adagrad, Momentum and Adam as operators of a graph (ai.onnx.preview.training): one step of training on several
 * tensors at once. Inputs: rate R, step T, then all X, all gradients, all states; outputs: all new X, all new states.
 */
#include <math.h>

#include "ops/walk.h"

/* What a step needs besides the numbers. */
typedef struct step_settings {
    double rate, norm, alpha, beta, epsilon, post;
    bool nesterov, later; /* later: not the first step */
} step_settings;

/* One number: x and its states (1 or 2) are replaced; g already holds the gradient. */
typedef void step_rule(const step_settings *s, double g, double *x, double *state);

static void adagrad(const step_settings *s, double g, double *x, double *state) {
    g += s->norm * *x;
    state[0] += g * g;
    *x -= s->rate * g / (sqrt(state[0]) + s->epsilon);
}

static void momentum(const step_settings *s, double g, double *x, double *state) {
    g += s->norm * *x;
    state[0] = s->alpha * state[0] + (s->later ? s->beta : 1) * g;
    *x -= s->rate * (s->nesterov ? g + s->alpha * state[0] : state[0]);
}

static void adam(const step_settings *s, double g, double *x, double *state) {
    g += s->norm * *x;
    state[0] = s->alpha * state[0] + (1 - s->alpha) * g;
    state[1] = s->beta * state[1] + (1 - s->beta) * g * g;
    *x = (1 - s->post) * (*x - s->rate * state[0] / (sqrt(state[1]) + s->epsilon));
}

/* ---- shapes: `states` of them beside each X and gradient ----------------------------------------------------- */
static cvs_status infer_step(cvi_opctx *ctx, int states) {
    int n = (ctx->n_in - 2) / (2 + states);
    if (n < 1 || n * (2 + states) != ctx->n_in - 2 || ctx->n_out != n * (1 + states)) {
        return cvi_fail(ctx->err, CVS_E_FORMAT, "%d inputs and %d outputs do not fit a training step",
                        ctx->n_in, ctx->n_out);
    }
    for (int k = 0; k < ctx->n_in; k++) {
        if (ctx->in[k] == NULL) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "input %d is absent", k);
        }
        if (k < 2 && cvs_tensor_count(ctx->in[k]) != 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld elements, but must have one", k,
                            (long long)cvs_tensor_count(ctx->in[k]));
        }
        if (k >= 2) {
            const cvs_tensor *x = ctx->in[2 + (k - 2) % n];
            CVI_TRY(cvi_type_is(ctx, k, cvi_is_float, "of a floating-point type"));
            CVI_TRY(cvi_one_type(ctx, 2 + (k - 2) % n, k));
            if (!cvi_same_shape(ctx->in[k], x)) {
                char a[128], b[128];
                return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has shape %s, but its parameter %s", k,
                                cvs_shape_text(ctx->in[k]->rank, ctx->in[k]->dim, a, sizeof a),
                                cvs_shape_text(x->rank, x->dim, b, sizeof b));
            }
        }
    }
    for (int k = 0; k < ctx->n_out; k++) {
        const cvs_tensor *x = ctx->in[2 + k % n];
        CVI_TRY(cvi_out_shape(ctx, k, x->dtype, x->rank, x->dim));
    }
    return CVS_OK;
}

static cvs_status forward_step(cvi_opctx *ctx, int states, const step_settings *s, step_rule *rule) {
    int n = (ctx->n_in - 2) / (2 + states);
    for (int k = 0; k < n; k++) {
        const cvs_tensor *x = ctx->in[2 + k], *g = ctx->in[2 + n + k];
        int64_t count = cvs_tensor_count(x);
        for (int64_t i = 0; i < count; i++) {
            double v = cvi_get(x, i), state[2] = {0, 0};
            for (int j = 0; j < states; j++) {
                state[j] = cvi_get(ctx->in[2 + (2 + j) * n + k], i);
            }
            rule(s, cvi_get(g, i), &v, state);
            for (int j = 0; j <= states; j++) {
                cvs_tensor *y = &ctx->out[j * n + k];
                if (y->dtype != CVS_NONE) {
                    cvi_put(y, i, j == 0 ? v : state[j - 1]);
                }
            }
        }
    }
    return CVS_OK;
}

static step_settings common(const cvi_opctx *ctx) {
    return (step_settings){.rate = cvi_get(ctx->in[0], 0),
                           .norm = cvi_op_float(ctx, "norm_coefficient"),
                           .later = cvi_get(ctx->in[1], 0) > 0};
}

static cvs_status infer_adagrad(cvi_opctx *ctx) {
    return infer_step(ctx, 1);
}

static cvs_status forward_adagrad(cvi_opctx *ctx) {
    step_settings s = common(ctx);
    s.rate /= 1 + cvi_get(ctx->in[1], 0) * cvi_op_float(ctx, "decay_factor");
    s.epsilon = cvi_op_float(ctx, "epsilon");
    return forward_step(ctx, 1, &s, adagrad);
}

static cvs_status infer_momentum(cvi_opctx *ctx) {
    const char *mode = cvi_op_string(ctx, "mode");
    if (strcmp(mode, "standard") != 0 && strcmp(mode, "nesterov") != 0) {
        return cvi_at_attr(
            ctx->err,
            cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "%s is %.40s, which is not supported", "mode", mode),
            "mode");
    }
    return infer_step(ctx, 1);
}

static cvs_status forward_momentum(cvi_opctx *ctx) {
    step_settings s = common(ctx);
    s.alpha = cvi_op_float(ctx, "alpha");
    s.beta = cvi_op_float(ctx, "beta");
    s.nesterov = strcmp(cvi_op_string(ctx, "mode"), "nesterov") == 0;
    return forward_step(ctx, 1, &s, momentum);
}

static cvs_status infer_adam(cvi_opctx *ctx) {
    return infer_step(ctx, 2);
}

static cvs_status forward_adam(cvi_opctx *ctx) {
    step_settings s = common(ctx);
    double t = cvi_get(ctx->in[1], 0);
    s.alpha = cvi_op_float(ctx, "alpha");
    s.beta = cvi_op_float(ctx, "beta");
    s.epsilon = cvi_op_float(ctx, "epsilon");
    s.post = cvi_op_float(ctx, "norm_coefficient_post");
    s.rate *= t > 0 ? sqrt(1 - pow(s.beta, t)) / (1 - pow(s.alpha, t)) : 1;
    return forward_step(ctx, 2, &s, adam);
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io step_in[] = {
    {"R", CVI_DATA, false, false}, {"T", CVI_DATA, false, false}, {"inputs", CVI_DATA, false, true}};
static const cvi_op_io step_out[] = {{"outputs", CVI_DATA, false, true}};
static const cvi_op_attr adagrad_attrs[] = {
    {"decay_factor", CVI_ATTR_FLOAT, "0", ">= 0", "how fast the rate falls with the steps",
     "学习率随步数下降的速度"},
    {"epsilon", CVI_ATTR_FLOAT, "1e-6", "> 0", "keeps the divisor away from 0", "防止除数为零的小量"},
    {"norm_coefficient", CVI_ATTR_FLOAT, "0", ">= 0", "weight decay added to the gradient",
     "加到梯度上的权重衰减系数"},
};

const cvi_op cvi_op_adagrad = {
    .name = "ai.onnx.preview.training::Adagrad",
    .since = 1,
    .inputs = step_in,
    .n_inputs = 3,
    .outputs = step_out,
    .n_outputs = 1,
    .attrs = adagrad_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_adagrad,
    .forward = forward_adagrad,
    .field = cvi_field_none,
    .text = {"Adagrad step", "Adagrad 更新",
             "One training step: each number's rate falls with the gradients that it has had.",
             "一步训练：每个参数的学习率随其累积梯度而减小。", "h += g²; x −= r · g / (√h + ε)",
             "Compare new with old: numbers with rare gradients moved most.",
             "与旧值对照：梯度少见的参数移动最大。"},
};

static const cvi_op_attr momentum_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, NULL, "0 ... 1", "how much of the old direction is kept", "保留旧方向的比例"},
    {"beta", CVI_ATTR_FLOAT, NULL, "0 ... 1", "weight of the new gradient after the first step",
     "首步之后新梯度的权重"},
    {"mode", CVI_ATTR_STRING, NULL, "standard|nesterov", "whether the step looks ahead",
     "是否采用前瞻的更新方式"},
    {"norm_coefficient", CVI_ATTR_FLOAT, NULL, ">= 0", "weight decay added to the gradient",
     "加到梯度上的权重衰减系数"},
};

const cvi_op cvi_op_momentum = {
    .name = "ai.onnx.preview.training::Momentum",
    .since = 1,
    .inputs = step_in,
    .n_inputs = 3,
    .outputs = step_out,
    .n_outputs = 1,
    .attrs = momentum_attrs,
    .n_attrs = 4,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_momentum,
    .forward = forward_momentum,
    .field = cvi_field_none,
    .text = {"Momentum step", "动量更新",
             "One training step that keeps rolling in the direction of earlier ones.",
             "一步训练：沿先前的方向继续前进。", "v = αv + βg; x −= r · v",
             "Compare new with old: steady gradients moved most.",
             "与旧值对照：梯度方向稳定的参数移动最大。"},
};

static const cvi_op_attr adam_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "0.9", "0 ... 1", "memory of the mean gradient", "梯度均值的记忆系数"},
    {"beta", CVI_ATTR_FLOAT, "0.999", "0 ... 1", "memory of the mean squared gradient",
     "梯度平方均值的记忆系数"},
    {"epsilon", CVI_ATTR_FLOAT, "1e-6", "> 0", "keeps the divisor away from 0", "防止除数为零的小量"},
    {"norm_coefficient", CVI_ATTR_FLOAT, "0", ">= 0", "weight decay added to the gradient",
     "加到梯度上的权重衰减系数"},
    {"norm_coefficient_post", CVI_ATTR_FLOAT, "0", ">= 0", "weight decay after the step",
     "更新之后的权重衰减系数"},
};

const cvi_op cvi_op_adam = {
    .name = "ai.onnx.preview.training::Adam",
    .since = 1,
    .inputs = step_in,
    .n_inputs = 3,
    .outputs = step_out,
    .n_outputs = 1,
    .attrs = adam_attrs,
    .n_attrs = 5,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_adam,
    .forward = forward_adam,
    .field = cvi_field_none,
    .text = {"Adam step", "Adam 更新",
             "One training step scaled by the running mean and spread of each number's gradient.",
             "一步训练：按每个参数梯度的滑动均值与幅度缩放。",
             "v = αv + (1−α)g; h = βh + (1−β)g²; x −= r · v / (√h + ε)",
             "Compare new with old: all numbers move about equally far.",
             "与旧值对照：各参数移动的幅度大致相同。"},
};
