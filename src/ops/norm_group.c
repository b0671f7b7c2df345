/* SPDX-License-Identifier: MIT
 * norm_group.c - InstanceNormalization, GroupNormalization, LayerNormalization: numbers that lie in one run of memory are brought
 * to mean 0 and variance 1, then scaled and shifted. They differ only in how long a run is and which scale serves which number.
 * The backward pass makes the statistics again: that is one more read of x.
 */
#include <math.h>

#include "ops/typed.h"

/* Scale of number i of run r: element (r % groups) * per + (i / same) % per. */
typedef struct group_job {
    cvs_dtype dtype;
    int64_t runs, length, groups, per, same;
    double epsilon;
    const cvs_tensor *x, *scale, *shift;
    void *y;
    cvs_tensor *mean_out, *inverse_out;
    const void *g;
    const cvs_tensor *gmean, *ginverse;
    cvs_tensor *gx;
    double *gscale, *gshift;
} group_job;

static inline int64_t affine_at(const group_job *j, int64_t r, int64_t i) {
    return r % j->groups * j->per + i / j->same % j->per;
}

CVI_INLINE void statistics(const group_job *j, int64_t r, double *mean, double *inverse, cvs_dtype type) {
    const void *x = j->x->data;
    double sum = 0, squares = 0;
    for (int64_t i = r * j->length; i < (r + 1) * j->length; i++) {
        sum += cvi_load(x, i, type);
    }
    *mean = sum / (double)j->length;
    for (int64_t i = r * j->length; i < (r + 1) * j->length; i++) {
        double d = cvi_load(x, i, type) - *mean;
        squares += d * d;
    }
    *inverse = 1 / sqrt(squares / (double)j->length + j->epsilon);
}

CVI_INLINE void forward_run(const group_job *j, int64_t r, cvs_dtype type) {
    double mean, inverse;
    statistics(j, r, &mean, &inverse, type);
    for (int64_t i = 0; i < j->length; i++) {
        int64_t at = affine_at(j, r, i);
        double v = (cvi_load(j->x->data, r * j->length + i, type) - mean) * inverse * cvi_get(j->scale, at);
        cvi_store(j->y, r * j->length + i, j->shift != NULL ? v + cvi_get(j->shift, at) : v, type);
    }
    if (j->mean_out != NULL) {
        cvi_put(j->mean_out, r, mean);
    }
    if (j->inverse_out != NULL) {
        cvi_put(j->inverse_out, r, inverse);
    }
}

static void forward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const group_job *j = context;
    CVI_TYPED(j->dtype, forward_run, j, chunk);
}

/* With u = (x - mean) r and h = g scale: gx = r (h - mean(h) - u mean(h u)); the mean and r outputs add their parts. */
CVI_INLINE void backward_run(const group_job *j, int64_t r, cvs_dtype type) {
    double mean, inverse, sum = 0, dot = 0, n = (double)j->length;
    statistics(j, r, &mean, &inverse, type);
    for (int64_t i = 0; i < j->length; i++) {
        double h = cvi_load(j->g, r * j->length + i, type) * cvi_get(j->scale, affine_at(j, r, i));
        sum += h;
        dot += h * (cvi_load(j->x->data, r * j->length + i, type) - mean) * inverse;
    }
    double to_mean = j->gmean != NULL ? cvi_get(j->gmean, r) : 0;
    double to_inverse = j->ginverse != NULL ? cvi_get(j->ginverse, r) : 0;
    for (int64_t i = 0; i < j->length; i++) {
        double h = cvi_load(j->g, r * j->length + i, type) * cvi_get(j->scale, affine_at(j, r, i));
        double u = (cvi_load(j->x->data, r * j->length + i, type) - mean) * inverse;
        double v = inverse * (h - (sum + u * dot) / n) + (to_mean - to_inverse * inverse * inverse * u) / n;
        cvi_accumulate(j->gx->data, r * j->length + i, v, type);
    }
}

static void backward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const group_job *j = context;
    CVI_TYPED(j->dtype, backward_run, j, chunk);
}

CVI_INLINE void affine_gradients(const group_job *j, cvs_dtype type) {
    for (int64_t r = 0; r < j->runs; r++) {
        double mean, inverse;
        statistics(j, r, &mean, &inverse, type);
        for (int64_t i = 0; i < j->length; i++) {
            int64_t at = affine_at(j, r, i);
            double g = cvi_load(j->g, r * j->length + i, type);
            j->gscale[at] += g * (cvi_load(j->x->data, r * j->length + i, type) - mean) * inverse;
            j->gshift[at] += g;
        }
    }
}

static void affine_typed(const group_job *j, cvs_dtype type) {
    CVI_TYPED(type, affine_gradients, j);
}

static void run_forward(cvi_opctx *ctx, group_job *j) {
    j->y = ctx->out[0].data;
    cvi_pool_run(ctx->pool, j->runs, forward_body, j);
}

static cvs_status run_backward(cvi_opctx *ctx, group_job *j, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    j->g = grad_out[0]->data;
    j->gx = grad_in[0];
    if (j->gx != NULL) {
        cvi_pool_run(ctx->pool, j->runs, backward_body, j);
    }
    cvs_tensor *gscale = grad_in[1], *gshift = ctx->n_in > 2 ? grad_in[2] : NULL;
    if ((gscale == NULL && gshift == NULL) || j->runs == 0) {
        return CVS_OK;
    }
    int64_t n = j->groups * j->per;
    j->gscale = cvi_arena_alloc(ctx->scratch, n, sizeof(double));
    j->gshift = cvi_arena_alloc(ctx->scratch, n, sizeof(double));
    if (j->gscale == NULL || j->gshift == NULL) {
        return cvi_no_memory(ctx->err, (size_t)n * sizeof(double));
    }
    affine_typed(j, j->dtype);
    for (int64_t i = 0; i < n; i++) {
        if (gscale != NULL) {
            cvi_put(gscale, i, cvi_get(gscale, i) + j->gscale[i]);
        }
        if (gshift != NULL) {
            cvi_put(gshift, i, cvi_get(gshift, i) + j->gshift[i]);
        }
    }
    return CVS_OK;
}

static group_job common_job(const cvi_opctx *ctx) {
    return (group_job){.dtype = ctx->in[0]->dtype,
                       .epsilon = cvi_op_float(ctx, "epsilon"),
                       .x = ctx->in[0],
                       .scale = ctx->in[1],
                       .shift = cvi_in(ctx, 2)};
}

/* Runs of `length` numbers; a tensor without elements has none. */
static void set_runs(group_job *j, int64_t length) {
    int64_t count = cvs_tensor_count(j->x);
    j->length = length;
    j->runs = count == 0 || length == 0 ? 0 : count / length;
}

/* ---- InstanceNormalization, GroupNormalization ------------------------------------------------------------- */

static cvs_status channel_infer(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_rank(ctx, 0, 2));
    for (int k = 1; k <= 2; k++) {
        CVI_TRY(cvi_want_vector(ctx, k, x->dim[1]));
        CVI_TRY(cvi_want_float(ctx, k));
    }
    return cvi_out_shape(ctx, 0, x->dtype, x->rank, x->dim);
}

static group_job instance_job(const cvi_opctx *ctx) {
    group_job j = common_job(ctx);
    set_runs(&j, cvi_span(j.x, 2, j.x->rank));
    j.groups = j.x->dim[1];
    j.per = 1;
    j.same = CVI_MAX(j.length, 1);
    return j;
}

static cvs_status instance_forward(cvi_opctx *ctx) {
    group_job j = instance_job(ctx);
    run_forward(ctx, &j);
    return CVS_OK;
}

static cvs_status instance_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                    cvs_tensor *const *grad_in) {
    (void)rule;
    group_job j = instance_job(ctx);
    return run_backward(ctx, &j, grad_out, grad_in);
}

static cvs_status group_infer(cvi_opctx *ctx) {
    CVI_TRY(cvi_want_rank(ctx, 0, 2));
    int64_t groups = cvi_op_int(ctx, "num_groups"), channels = ctx->in[0]->dim[1];
    if (groups < 1 || channels % groups != 0) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_SHAPE,
                                    "num_groups is %lld; it must divide the %lld channels", (long long)groups,
                                    (long long)channels),
                           "num_groups");
    }
    return channel_infer(ctx);
}

static group_job group_job_of(const cvi_opctx *ctx) {
    group_job j = common_job(ctx);
    j.groups = cvi_op_int(ctx, "num_groups");
    j.per = CVI_MAX(j.x->dim[1] / j.groups, 1);
    j.same = CVI_MAX(cvi_span(j.x, 2, j.x->rank), 1);
    set_runs(&j, j.x->dim[1] / j.groups * cvi_span(j.x, 2, j.x->rank));
    return j;
}

static cvs_status group_forward(cvi_opctx *ctx) {
    group_job j = group_job_of(ctx);
    run_forward(ctx, &j);
    return CVS_OK;
}

static cvs_status group_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                 cvs_tensor *const *grad_in) {
    (void)rule;
    group_job j = group_job_of(ctx);
    return run_backward(ctx, &j, grad_out, grad_in);
}

/* ---- LayerNormalization --------------------------------------------------------------------------------------- */

/* scale and shift cover x's axes from `axis` on, or are one number. */
static cvs_status check_affine(const cvi_opctx *ctx, int k, int axis) {
    const cvs_tensor *x = ctx->in[0], *t = cvi_in(ctx, k);
    if (t == NULL || cvs_tensor_count(t) == 1) {
        return CVS_OK;
    }
    bool fits = t->rank <= x->rank;
    for (int i = 1; fits && i <= CVI_MAX(t->rank, x->rank - axis); i++) {
        int64_t have = i <= t->rank ? t->dim[t->rank - i] : 1;
        int64_t want = i <= x->rank - axis ? x->dim[x->rank - i] : 1;
        fits = have == want;
    }
    if (fits) {
        return CVS_OK;
    }
    char a[128], b[128];
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %s has shape %s, the normalised axes have %s",
                    cvi_input_name(ctx, k), cvs_shape_text(t->rank, t->dim, a, sizeof a),
                    cvs_shape_text(x->rank - axis, x->dim + axis, b, sizeof b));
}

static cvs_status layer_infer(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int axis;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_rank(ctx, 0, 1));
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    CVI_TRY(check_affine(ctx, 1, axis));
    CVI_TRY(check_affine(ctx, 2, axis));
    int64_t dim[CVS_MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        dim[i] = i < axis ? x->dim[i] : 1;
    }
    cvs_dtype stash = x->dtype == CVS_F64                         ? CVS_F64
                      : cvi_op_int(ctx, "stash_type") == CVS_BF16 ? CVS_BF16
                                                                  : CVS_F32;
    CVI_TRY(cvi_out_shape(ctx, 0, x->dtype, x->rank, x->dim));
    CVI_TRY(cvi_out_shape(ctx, 1, stash, x->rank, dim));
    return cvi_out_shape(ctx, 2, stash, x->rank, dim);
}

static cvs_status layer_job(const cvi_opctx *ctx, group_job *j) {
    int axis;
    *j = common_job(ctx);
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), j->x->rank, &axis));
    set_runs(j, cvi_span(j->x, axis, j->x->rank));
    j->groups = 1;
    bool one = cvs_tensor_count(j->scale) == 1;
    j->per = one ? 1 : j->length;
    j->same = one ? CVI_MAX(j->length, 1) : 1;
    if (!one && j->shift != NULL && cvs_tensor_count(j->shift) == 1 && j->length != 1) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "Scale and B of LayerNormalization must have one shape");
    }
    if (one && j->shift != NULL && cvs_tensor_count(j->shift) != 1) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "Scale and B of LayerNormalization must have one shape");
    }
    return CVS_OK;
}

static cvs_status layer_forward(cvi_opctx *ctx) {
    group_job j;
    CVI_TRY(layer_job(ctx, &j));
    j.mean_out = cvi_has_out(ctx, 1) ? &ctx->out[1] : NULL;
    j.inverse_out = cvi_has_out(ctx, 2) ? &ctx->out[2] : NULL;
    run_forward(ctx, &j);
    return CVS_OK;
}

static cvs_status layer_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                 cvs_tensor *const *grad_in) {
    (void)rule;
    group_job j;
    CVI_TRY(layer_job(ctx, &j));
    j.gmean = ctx->n_out > 1 ? grad_out[1] : NULL;
    j.ginverse = ctx->n_out > 2 ? grad_out[2] : NULL;
    return run_backward(ctx, &j, grad_out, grad_in);
}

/* ---- cost, field ------------------------------------------------------------------------------------------------ */

static void norm_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    if (!cvi_mul(cvs_tensor_count(&ctx->out[0]), 6, &cost->flops)) { /* mean, variance, factor, shift */
        cost->flops = INT64_MAX;
    }
}

static void norm_field(const cvi_opctx *ctx, cvi_field_step *step) {
    (void)ctx;
    step->kind = CVI_FIELD_ALL;
}

/* LayerNormalization of [N,C,H,W] over W or H,W reads all positions; of [N,L,C] over C its own only. */
static void layer_field(const cvi_opctx *ctx, cvi_field_step *step) {
    step->kind = ctx->in[0]->rank == 4 ? CVI_FIELD_ALL : CVI_FIELD_SAME;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

#define EPSILON                                                                                              \
    {                                                                                                        \
        "epsilon", CVI_ATTR_FLOAT, "1e-5", "> 0", "added to the variance, against division by zero",         \
            "加在方差上，避免除以零"                                                              \
    }

static const cvi_op_io instance_in[] = {
    {"input", CVI_DATA, false, false}, {"scale", CVI_SCALE, false, false}, {"B", CVI_SHIFT, false, false}};
static const cvi_op_io norm_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr instance_attrs[] = {EPSILON};

const cvi_op cvi_op_instance_normalization = {
    .name = "InstanceNormalization",
    .word_en = "instance norm",
    .word_zh = "实例归一化",
    .since = 6,
    .inputs = instance_in,
    .n_inputs = CVI_COUNT(instance_in),
    .outputs = norm_out,
    .n_outputs = CVI_COUNT(norm_out),
    .attrs = instance_attrs,
    .n_attrs = CVI_COUNT(instance_attrs),
    .glyph = CVI_GLYPH_NORM,
    .infer = channel_infer,
    .forward = instance_forward,
    .backward = instance_backward,
    .cost = norm_cost,
    .field = norm_field,
    .text = {"Instance normalization", "实例归一化",
             "Brings every feature map of every picture to mean 0 and spread 1, then to a learned mean and "
             "spread.",
             "把每张图像的每个特征图变为均值 0、标准差 1，再变换到学得的均值和尺度。",
             "y = γ[c]·(x − μ[n,c])/√(σ²[n,c] + ε) + β[c]",
             "The same map on another scale: the picture's own contrast is gone.",
             "同一张特征图换了刻度：图像自身的对比度被消除。"},
};

static const cvi_op_io group_in[] = {
    {"X", CVI_DATA, false, false}, {"scale", CVI_SCALE, false, false}, {"bias", CVI_SHIFT, false, false}};
static const cvi_op_attr group_attrs[] = {
    EPSILON,
    {"num_groups", CVI_ATTR_INT, NULL, ">= 1", "groups of channels that are normalised together",
     "一起归一化的通道分成的组数"},
    {"stash_type", CVI_ATTR_INT, "1", "1",
     "type in which ONNX asks for the statistics; ours are always double",
     "ONNX 要求的统计量类型；本程序始终使用双精度"},
};

const cvi_op cvi_op_group_normalization = {
    .name = "GroupNormalization",
    .word_en = "group norm",
    .word_zh = "组归一化",
    .since = 21,
    .inputs = group_in,
    .n_inputs = CVI_COUNT(group_in),
    .outputs = norm_out,
    .n_outputs = CVI_COUNT(norm_out),
    .attrs = group_attrs,
    .n_attrs = CVI_COUNT(group_attrs),
    .glyph = CVI_GLYPH_NORM,
    .infer = group_infer,
    .forward = group_forward,
    .backward = group_backward,
    .cost = norm_cost,
    .field = norm_field,
    .text = {"Group normalization", "组归一化",
             "Brings each group of channels of a picture to mean 0 and spread 1, then to learned means and "
             "spreads.",
             "把每张图像的每组通道变为均值 0、标准差 1，再变换到学得的均值和尺度。",
             "y = γ[c]·(x − μ[n,g])/√(σ²[n,g] + ε) + β[c]",
             "The same maps on another scale; maps of one group keep their relative strength.",
             "同样的特征图换了刻度；同组特征图之间的相对强弱不变。"},
};

static const cvi_op_io layer_in[] = {
    {"X", CVI_DATA, false, false}, {"Scale", CVI_SCALE, false, false}, {"B", CVI_SHIFT, true, false}};
static const cvi_op_io layer_out[] = {
    {"Y", CVI_DATA, false, false}, {"Mean", CVI_DATA, true, false}, {"InvStdDev", CVI_DATA, true, false}};
static const cvi_op_attr layer_attrs[] = {
    {"axis", CVI_ATTR_INT, "-1", "[-rank, rank-1]", "first of the axes that are normalised together",
     "参与归一化的第一个轴，其后各轴一并归一化"},
    EPSILON,
    {"stash_type", CVI_ATTR_INT, "1", "1|16", "type of the Mean and InvStdDev outputs",
     "Mean 与 InvStdDev 输出的类型"},
};

const cvi_op cvi_op_layer_normalization = {
    .name = "LayerNormalization",
    .word_en = "layer norm",
    .word_zh = "层归一化",
    .since = 17,
    .inputs = layer_in,
    .n_inputs = CVI_COUNT(layer_in),
    .outputs = layer_out,
    .n_outputs = CVI_COUNT(layer_out),
    .attrs = layer_attrs,
    .n_attrs = CVI_COUNT(layer_attrs),
    .glyph = CVI_GLYPH_NORM,
    .infer = layer_infer,
    .forward = layer_forward,
    .backward = layer_backward,
    .cost = norm_cost,
    .field = layer_field,
    .text = {"Layer normalization", "层归一化",
             "Brings the numbers of each sample (or place) to mean 0 and spread 1, then to learned means and "
             "spreads.",
             "把每个样本（或每个位置）的数变为均值 0、标准差 1，再变换到学得的均值和尺度。",
             "y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² over the axes from `axis` on",
             "Compare within one place: only the pattern over channels is left, not its strength.",
             "请在同一位置内比较：只保留各通道间的模式，而不是强弱。"},
};
