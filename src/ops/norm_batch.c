/* SPDX-License-Identifier: MIT
 * norm_batch.c - BatchNormalization. At inference it is x times a factor plus a constant per channel, from the running
 * statistics; in training (training_mode, or the engine trains and nobody froze it) from the batch's own, which it then also mixes into
 * the running ones. Kept for backward (aux): per channel the mean and 1/sqrt(variance + epsilon) that were used.
 */
#include <math.h>

#include "ops/map.h"

typedef struct bn_job {
    cvs_dtype dtype;
    int64_t n, channels, positions;
    bool batch; /* statistics of the batch itself */
    double epsilon, momentum;
    const cvs_tensor *x, *scale, *shift, *mean, *variance;
    void *y;
    cvs_tensor *new_mean, *new_variance;
    double *aux; /* [channels][2] */
    const void *g;
    cvs_tensor *gx, *gscale, *gshift, *gmean, *gvariance;
} bn_job;

static cvs_status bn_infer(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_rank(ctx, 0, 2));
    for (int k = 1; k < 5; k++) {
        CVI_TRY(cvi_want_vector(ctx, k, x->dim[1]));
        CVI_TRY(cvi_want_float(ctx, k));
    }
    CVI_TRY(cvi_out_shape(ctx, 0, x->dtype, x->rank, x->dim));
    CVI_TRY(cvi_out_shape(ctx, 1, ctx->in[3]->dtype, 1, &x->dim[1]));
    return cvi_out_shape(ctx, 2, ctx->in[4]->dtype, 1, &x->dim[1]);
}

static bn_job read_job(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    return (bn_job){.dtype = x->dtype,
                    .n = x->dim[0],
                    .channels = x->dim[1],
                    .positions = cvi_span(x, 2, x->rank),
                    .batch = (ctx->training && !ctx->node->frozen) || cvi_op_int(ctx, "training_mode") != 0,
                    .epsilon = cvi_op_float(ctx, "epsilon"),
                    .momentum = cvi_op_float(ctx, "momentum"),
                    .x = x,
                    .scale = ctx->in[1],
                    .shift = ctx->in[2],
                    .mean = ctx->in[3],
                    .variance = ctx->in[4],
                    .aux = ctx->aux};
}

/* Mean and variance (divided by the count) of one channel of the batch. */
CVI_INLINE void statistics(const bn_job *j, int64_t c, double *mean, double *variance, cvs_dtype type) {
    double sum = 0, squares = 0, count = (double)j->n * (double)j->positions;
    for (int64_t n = 0; n < j->n; n++) {
        int64_t at = (n * j->channels + c) * j->positions;
        for (int64_t i = 0; i < j->positions; i++) {
            sum += cvi_load(j->x->data, at + i, type);
        }
    }
    *mean = count > 0 ? sum / count : 0;
    for (int64_t n = 0; n < j->n; n++) {
        int64_t at = (n * j->channels + c) * j->positions;
        for (int64_t i = 0; i < j->positions; i++) {
            double d = cvi_load(j->x->data, at + i, type) - *mean;
            squares += d * d;
        }
    }
    *variance = count > 0 ? squares / count : 0;
}

CVI_INLINE void forward_channel(const bn_job *j, int64_t c, cvs_dtype type) {
    double mean = cvi_get(j->mean, c), variance = cvi_get(j->variance, c);
    if (j->batch) {
        double m, v;
        statistics(j, c, &m, &v, type);
        if (j->new_mean != NULL) {
            cvi_put(j->new_mean, c, mean * j->momentum + m * (1 - j->momentum));
        }
        if (j->new_variance != NULL) {
            cvi_put(j->new_variance, c, variance * j->momentum + v * (1 - j->momentum));
        }
        mean = m;
        variance = v;
    } else {
        if (j->new_mean != NULL) {
            cvi_put(j->new_mean, c, mean);
        }
        if (j->new_variance != NULL) {
            cvi_put(j->new_variance, c, variance);
        }
    }
    double r = 1 / sqrt(variance + j->epsilon), factor = cvi_get(j->scale, c) * r,
           shift = cvi_get(j->shift, c);
    for (int64_t n = 0; n < j->n; n++) {
        int64_t at = (n * j->channels + c) * j->positions;
        for (int64_t i = at; i < at + j->positions; i++) {
            cvi_store(j->y, i, (cvi_load(j->x->data, i, type) - mean) * factor + shift, type);
        }
    }
    if (j->aux != NULL) {
        j->aux[2 * c] = mean;
        j->aux[2 * c + 1] = r;
    }
}

static void forward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const bn_job *j = context;
    CVI_TYPED(j->dtype, forward_channel, j, chunk);
}

static cvs_status bn_forward(cvi_opctx *ctx) {
    bn_job j = read_job(ctx);
    j.y = ctx->out[0].data;
    j.new_mean = cvi_has_out(ctx, 1) ? &ctx->out[1] : NULL;
    j.new_variance = cvi_has_out(ctx, 2) ? &ctx->out[2] : NULL;
    cvi_pool_run(ctx->pool, j.channels, forward_body, &j);
    return CVS_OK;
}

/* ---- inference on float32: y = x * factor[c] + constant[c] ------------------------------------------------ */

static bool bn_can_fast(const cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    bool alone = !cvi_has_out(ctx, 1) && !cvi_has_out(ctx, 2);
    return x->dtype == CVS_F32 && (x->rank == 4 || x->rank == 2) && alone && !ctx->training &&
           cvi_op_int(ctx, "training_mode") == 0;
}

/* prepared: factor[C] then constant[C]. */
static cvs_status bn_prepare(cvi_opctx *ctx, void **prepared) {
    int64_t channels = ctx->in[0]->dim[1];
    double epsilon = cvi_op_float(ctx, "epsilon");
    for (int k = 1; k < 5; k++) {
        if (ctx->in[k]->data == NULL) {
            return CVS_OK; /* no weights (the run says so when it asks for them), or no channels */
        }
    }
    float *made = cvi_calloc((size_t)channels, 2 * sizeof *made);
    if (made == NULL) {
        return cvi_no_memory(ctx->err, (size_t)channels * 2 * sizeof *made);
    }
    for (int64_t c = 0; c < channels; c++) {
        double factor = cvi_get(ctx->in[1], c) / sqrt(cvi_get(ctx->in[4], c) + epsilon);
        made[c] = (float)factor;
        made[channels + c] = (float)(cvi_get(ctx->in[2], c) - cvi_get(ctx->in[3], c) * factor);
    }
    *prepared = made;
    return CVS_OK;
}

static cvs_status bn_fast(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    cvi_rows r = cvi_rows_of(x);
    if (x->layout == CVS_PLAIN) { /* rank 2 */
        r = (cvi_rows){x->dim[0], x->dim[1], x->dim[1]};
    }
    double *kept = ctx->aux, epsilon = cvi_op_float(ctx, "epsilon");
    for (int64_t c = 0; kept != NULL && c < r.channels; c++) {
        kept[2 * c] = cvi_get(ctx->in[3], c);
        kept[2 * c + 1] = 1 / sqrt(cvi_get(ctx->in[4], c) + epsilon);
    }
    const float *factor = ctx->prepared;
    if (factor == NULL && r.channels > 0) {
        return cvi_fail(ctx->err, CVS_E_INTERNAL, "the normalisation was not prepared");
    }
    if (r.rows > 0 && r.channels > 0) {
        const cvi_epilogue *e = ctx->epilogue;
        bool relu = e != NULL && e->clamp && e->lo == 0 && e->hi == HUGE_VALF && e->residual == NULL;
        cvi_affine(ctx->pool, relu, r.rows, r.channels, r.pitch, x->data, factor, factor + r.channels,
                   ctx->out[0].data);
        if (!relu) {
            cvi_epilogue_finish(ctx);
        }
    }
    return CVS_OK;
}

/* What follows a convolution at inference can be worked into its weights. Not where the caller wants exact sums. */
static bool bn_affine(const cvi_opctx *ctx, float *scale, float *shift) {
    if (!bn_can_fast(ctx) || ctx->exact) {
        return false;
    }
    double epsilon = cvi_op_float(ctx, "epsilon");
    for (int64_t c = 0; scale != NULL && c < ctx->in[0]->dim[1]; c++) {
        double factor = cvi_get(ctx->in[1], c) / sqrt(cvi_get(ctx->in[4], c) + epsilon);
        scale[c] = (float)factor;
        shift[c] = (float)(cvi_get(ctx->in[2], c) - cvi_get(ctx->in[3], c) * factor);
    }
    return true;
}

static size_t bn_aux(const cvi_opctx *ctx) {
    return (size_t)ctx->in[0]->dim[1] * 2 * sizeof(double);
}

/* Training: running = momentum * running + (1 - momentum) * batch, the variance of the batch unbiased (divided by the
 * count - 1, as PyTorch does; the normalisation itself divides by the count) unless the node says biased, as Keras 3 does. */
static void bn_renew(const cvi_opctx *ctx, int k, cvs_tensor *now) {
    const cvs_tensor *x = ctx->in[0];
    const double *kept = ctx->aux;
    double epsilon = cvi_op_float(ctx, "epsilon"), momentum = cvi_op_float(ctx, "momentum");
    double count = (double)x->dim[0] * (double)cvi_span(x, 2, x->rank);
    for (int64_t c = 0; c < x->dim[1]; c++) {
        double batch = kept[2 * c];
        if (k == 4) {
            double r = kept[2 * c + 1];
            batch = CVI_MAX(1 / (r * r) - epsilon, 0) *
                    (count > 1 && !ctx->node->biased ? count / (count - 1) : 1);
        }
        cvi_put(now, c, cvi_get(now, c) * momentum + batch * (1 - momentum));
    }
}

static void add_to(cvs_tensor *t, int64_t i, double v) {
    if (t != NULL) {
        cvi_put(t, i, cvi_get(t, i) + v);
    }
}

/* With u = (x - mean) * r: gshift = sum g, gscale = sum g u; inference gx = g scale r; in training the statistics
 * depend on x too: gx = scale r (g - mean(g) - u mean(g u)). */
CVI_INLINE void backward_channel(const bn_job *j, int64_t c, cvs_dtype type) {
    double mean = cvi_get(j->mean, c), variance = cvi_get(j->variance, c), r;
    if (j->aux != NULL) {
        mean = j->aux[2 * c];
        r = j->aux[2 * c + 1];
    } else {
        if (j->batch) {
            statistics(j, c, &mean, &variance, type);
        }
        r = 1 / sqrt(variance + j->epsilon);
    }
    double scale = cvi_get(j->scale, c), sum = 0, dot = 0, count = (double)j->n * (double)j->positions;
    for (int64_t n = 0; n < j->n; n++) {
        int64_t at = (n * j->channels + c) * j->positions;
        for (int64_t i = at; i < at + j->positions; i++) {
            double g = cvi_load(j->g, i, type);
            sum += g;
            dot += g * (cvi_load(j->x->data, i, type) - mean) * r;
        }
    }
    add_to(j->gshift, c, sum);
    add_to(j->gscale, c, dot);
    if (!j->batch) { /* the running statistics are inputs like any other */
        add_to(j->gmean, c, -sum * scale * r);
        add_to(j->gvariance, c, -0.5 * dot * scale * r * r);
    }
    for (int64_t n = 0; n < j->n && j->gx != NULL; n++) {
        int64_t at = (n * j->channels + c) * j->positions;
        for (int64_t i = at; i < at + j->positions; i++) {
            double g = cvi_load(j->g, i, type);
            if (j->batch) {
                g -= (sum + (cvi_load(j->x->data, i, type) - mean) * r * dot) / count;
            }
            cvi_accumulate(j->gx->data, i, g * scale * r, type);
        }
    }
}

static void backward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const bn_job *j = context;
    CVI_TYPED(j->dtype, backward_channel, j, chunk);
}

static cvs_status bn_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                              cvs_tensor *const *grad_in) {
    (void)rule;
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    bn_job j = read_job(ctx);
    j.g = grad_out[0]->data;
    j.gx = grad_in[0];
    j.gscale = grad_in[1];
    j.gshift = grad_in[2];
    j.gmean = grad_in[3];
    j.gvariance = grad_in[4];
    cvi_pool_run(ctx->pool, j.channels, backward_body, &j);
    return CVS_OK;
}

static bool bn_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    form->in_place = true;
    return !wants[1] && !wants[2] && !wants[3] && !wants[4] && !ctx->training;
}

static cvs_status bn_back(cvi_opctx *ctx, const cvi_back *back) {
    const cvs_tensor *x = ctx->in[0], *g = back->grad_out[0];
    int64_t channels = x->dim[1];
    const float *factor = ctx->prepared;
    if (g == NULL || back->grad_in[0] == NULL) {
        return CVS_OK;
    }
    if (factor == NULL) { /* inside a fused group it was not prepared */
        float *made = cvi_arena_raw(ctx->scratch, channels * (int64_t)sizeof *made);
        double epsilon = cvi_op_float(ctx, "epsilon");
        if (made == NULL) {
            return cvi_no_memory(ctx->err, (size_t)channels * sizeof *made);
        }
        for (int64_t c = 0; c < channels; c++) {
            made[c] = (float)(cvi_get(ctx->in[1], c) / sqrt(cvi_get(ctx->in[4], c) + epsilon));
        }
        factor = made;
    }
    cvi_rows r = cvi_rows_of(x);
    if (x->layout == CVS_PLAIN) { /* rank 2 */
        r = (cvi_rows){x->dim[0], channels, channels};
    }
    if (r.rows > 0 && channels > 0) {
        cvi_scale_backward(ctx->pool, r.rows, channels, r.pitch, g->data, factor, back->base[0],
                           back->grad_in[0]->data);
    }
    return CVS_OK;
}

static void bn_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    if (!cvi_mul(cvs_tensor_count(&ctx->out[0]), 2, &cost->flops)) {
        cost->flops = INT64_MAX;
    }
}

static const cvi_op_io bn_in[] = {{"X", CVI_DATA, false, false},
                                  {"scale", CVI_SCALE, false, false},
                                  {"B", CVI_SHIFT, false, false},
                                  {"input_mean", CVI_MEAN, false, false},
                                  {"input_var", CVI_VARIANCE, false, false}};
static const cvi_op_io bn_out[] = {{"Y", CVI_DATA, false, false},
                                   {"running_mean", CVI_MEAN, true, false},
                                   {"running_var", CVI_VARIANCE, true, false}};
static const cvi_op_attr bn_attrs[] = {
    {"epsilon", CVI_ATTR_FLOAT, "1e-5", "> 0", "added to the variance, against division by zero",
     "加在方差上，避免除以零"},
    {"momentum", CVI_ATTR_FLOAT, "0.9", "[0,1]", "share of the old running statistics that is kept",
     "更新滑动统计量时旧值所占的比例"},
    {"training_mode", CVI_ATTR_INT, "0", "0|1", "1: use the batch's own statistics",
     "取 1 时使用当前批次的统计量"},
};

const cvi_op cvi_op_batch_normalization = {
    .name = "BatchNormalization",
    .word_en = "BN",
    .word_zh = "BN",
    .since = 9,
    .inputs = bn_in,
    .n_inputs = CVI_COUNT(bn_in),
    .outputs = bn_out,
    .n_outputs = CVI_COUNT(bn_out),
    .attrs = bn_attrs,
    .n_attrs = CVI_COUNT(bn_attrs),
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_NORM,
    .infer = bn_infer,
    .forward = bn_forward,
    .can_fast = bn_can_fast,
    .fast_layout = CVS_NHWC8,
    .prepare = bn_prepare,
    .drop = cvi_free,
    .fast = bn_fast,
    .epilogue = CVI_EPI_ADD | CVI_EPI_CLAMP,
    .affine = bn_affine,
    .backward = bn_backward,
    .back_form = bn_back_form,
    .back_fast = bn_back,
    .aux_bytes = bn_aux,
    .renew = bn_renew,
    .cost = bn_cost,
    .text = {"Batch normalization", "批归一化",
             "Shifts and scales each feature map so that over the training pictures it had mean 0 and spread "
             "1, then to "
             "a learned mean and spread.",
             "平移并缩放每张特征图，使其在训练图像上均值为 0、标准差为 1，再变换到学得的均值和尺度。",
             "y = γ[c]·(x − μ[c])/√(σ²[c] + ε) + β[c]",
             "The same map on another scale: what matters is which places stand out, not the level.",
             "同一张特征图换了刻度：重要的是哪些位置突出，而不是整体数值高低。"},
};
