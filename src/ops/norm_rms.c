/* SPDX-License-Identifier: MIT
 * norm_rms.c - RMSNormalization: numbers divided by the root of their mean square over the last axes, then scaled (arXiv 1910.07467). Unlike
 * LayerNormalization it takes no mean away.
 */
#include <math.h>

#include "ops/walk.h"

typedef struct rms {
    int64_t runs, length;
    double epsilon;
    int64_t step[CVS_MAX_RANK]; /* of the scale along the axes of x */
} rms;

static cvs_status make_rms(const cvi_opctx *ctx, rms *r) {
    const cvs_tensor *x = ctx->in[0], *scale = ctx->in[1];
    int64_t stride[CVS_MAX_RANK];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    *r = (rms){.runs = cvi_product(x->dim, 0, axis),
               .length = cvi_product(x->dim, axis, x->rank),
               .epsilon = cvi_op_float(ctx, "epsilon")};
    bool fits = scale->rank <= x->rank;
    cvi_strides(scale->rank, scale->dim, stride);
    for (int a = 0; fits && a < scale->rank; a++) {
        int to = x->rank - scale->rank + a;
        fits = scale->dim[a] == 1 || scale->dim[a] == x->dim[to];
        r->step[to] = scale->dim[a] == 1 ? 0 : stride[a];
    }
    if (!fits) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "scale of shape %s cannot be broadcast to %s",
                        cvs_shape_text(scale->rank, scale->dim, a, sizeof a),
                        cvs_shape_text(x->rank, x->dim, b, sizeof b));
    }
    return CVS_OK;
}

static cvs_status infer_rms(cvi_opctx *ctx) {
    rms r;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_float(ctx, 1));
    CVI_TRY(make_rms(ctx, &r));
    return cvi_infer_same(ctx);
}

static int64_t scale_at(const rms *r, const cvs_tensor *x, int64_t i) {
    int64_t at = 0;
    for (int a = x->rank - 1; a >= 0; a--) {
        at += i % x->dim[a] * r->step[a];
        i /= x->dim[a];
    }
    return at;
}

static double inverse_of(const rms *r, const cvs_tensor *x, int64_t run) {
    double squares = 0;
    for (int64_t i = run * r->length; i < (run + 1) * r->length; i++) {
        squares += cvi_get(x, i) * cvi_get(x, i);
    }
    return 1 / sqrt(squares / (double)r->length + r->epsilon);
}

typedef struct rms_job {
    const rms *r;
    const cvs_tensor *x, *scale, *y, *g;
    cvs_tensor *gx;
} rms_job;

static void forward_runs(void *context, int64_t begin, int64_t end) {
    const rms_job *j = context;
    for (int64_t run = begin; run < end; run++) {
        double inverse = inverse_of(j->r, j->x, run);
        for (int64_t i = run * j->r->length; i < (run + 1) * j->r->length; i++) {
            cvi_put(j->y, i, cvi_get(j->x, i) * inverse * cvi_get(j->scale, scale_at(j->r, j->x, i)));
        }
    }
}

static cvs_status forward_rms(cvi_opctx *ctx) {
    rms r;
    CVI_TRY(make_rms(ctx, &r));
    rms_job j = {.r = &r, .x = ctx->in[0], .scale = ctx->in[1], .y = &ctx->out[0]};
    if (cvs_tensor_count(j.x) > 0) {
        cvi_each_rows(ctx, r.runs, r.length, &j, forward_runs);
    }
    return CVS_OK;
}

/* With q = 1/rms and h = g scale: gx = q (h - x q² mean(h x)). */
static void backward_runs(void *context, int64_t begin, int64_t end) {
    const rms_job *j = context;
    for (int64_t run = begin; run < end; run++) {
        double q = inverse_of(j->r, j->x, run), dot = 0;
        for (int64_t i = run * j->r->length; i < (run + 1) * j->r->length; i++) {
            dot += cvi_get(j->g, i) * cvi_get(j->scale, scale_at(j->r, j->x, i)) * cvi_get(j->x, i);
        }
        for (int64_t i = run * j->r->length; i < (run + 1) * j->r->length; i++) {
            double h = cvi_get(j->g, i) * cvi_get(j->scale, scale_at(j->r, j->x, i));
            double v = q * (h - cvi_get(j->x, i) * q * q * dot / (double)j->r->length);
            cvi_put(j->gx, i, cvi_get(j->gx, i) + v);
        }
    }
}

static cvs_status backward_rms(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    (void)rule;
    rms r;
    if (grad_out[0] == NULL || cvs_tensor_count(ctx->in[0]) == 0) {
        return CVS_OK;
    }
    CVI_TRY(make_rms(ctx, &r));
    rms_job j = {.r = &r, .x = ctx->in[0], .scale = ctx->in[1], .g = grad_out[0], .gx = grad_in[0]};
    if (j.gx != NULL) {
        cvi_each_rows(ctx, r.runs, r.length, &j, backward_runs);
    }
    if (grad_in[1] != NULL) {
        double *sum;
        CVI_TRY(cvi_sum_new(ctx, grad_in[1], &sum));
        for (int64_t run = 0; run < r.runs; run++) {
            double q = inverse_of(&r, j.x, run);
            for (int64_t i = run * r.length; i < (run + 1) * r.length; i++) {
                sum[scale_at(&r, j.x, i)] += cvi_get(j.g, i) * cvi_get(j.x, i) * q;
            }
        }
        cvi_sum_add(grad_in[1], sum);
    }
    return CVS_OK;
}

static const cvi_op_io rms_in[] = {{"X", CVI_DATA, false, false}, {"scale", CVI_SCALE, false, false}};
static const cvi_op_io rms_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr rms_attrs[] = {
    {"axis", CVI_ATTR_INT, "-1", "-rank ... rank-1", "first of the axes that are normalised together",
     "一起归一化的各轴中的第一个"},
    {"epsilon", CVI_ATTR_FLOAT, "1e-5", "> 0", "keeps the division from zero", "防止除以零"},
    {"stash_type", CVI_ATTR_INT, "1", "an ONNX element type", "type of the inner arithmetic",
     "内部计算所用的类型"},
};

const cvi_op cvi_op_rms_normalization = {
    .name = "RMSNormalization",
    .since = 23,
    .inputs = rms_in,
    .n_inputs = 2,
    .outputs = rms_out,
    .n_outputs = 1,
    .attrs = rms_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_NORM,
    .word_en = "rms norm",
    .word_zh = "均方根归一化",
    .infer = infer_rms,
    .forward = forward_rms,
    .backward = backward_rms,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"RMS normalisation", "均方根归一化",
             "Divides the numbers of each place by the root of their mean square and scales them.",
             "把每个位置的数除以其均方根，再乘以缩放系数。", "y = x / √(mean(x²) + ε) · scale",
             "The same pattern at an even strength.", "同样的模式，强度均匀。"},
};
