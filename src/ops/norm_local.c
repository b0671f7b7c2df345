/* SPDX-License-Identifier: MIT
 * norm_local.c - normalisations without learned numbers: LRN (each number against its neighbours in channel order),
 * LpNormalization (each line to length 1) and MeanVarianceNormalization.
 */
#include <math.h>

#include "ops/typed.h"

/* ---- LRN: y = x / D^beta, D = bias + alpha/size * sum over neighbouring channels of x^2 ------------------------- */

typedef struct lrn_job {
    cvs_dtype dtype;
    int64_t channels, positions, before, after;
    double alpha, beta, bias; /* alpha already divided by size */
    const void *x, *g;
    void *y;
    double *sum;   /* D of every number, made by the first pass of backward */
    double *share; /* g x D^(-beta-1) */
    void *gx;
} lrn_job;

static cvs_status lrn_infer(cvi_opctx *ctx) {
    int64_t size = cvi_op_int(ctx, "size");
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_rank(ctx, 0, 2));
    if (size < 1) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld", "size",
                                    (long long)size, 1LL),
                           "size");
    }
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, ctx->in[0]->dim);
}

static lrn_job read_lrn(const cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t size = cvi_op_int(ctx, "size");
    return (lrn_job){.dtype = x->dtype,
                     .channels = x->dim[1],
                     .positions = cvi_span(x, 2, x->rank),
                     .before = (size - 1) / 2,
                     .after = size - 1 - (size - 1) / 2,
                     .alpha = cvi_op_float(ctx, "alpha") / (double)size,
                     .beta = cvi_op_float(ctx, "beta"),
                     .bias = cvi_op_float(ctx, "bias"),
                     .x = x->data};
}

/* d^-beta; the usual exponents by square roots, which cost a fraction of pow. */
static inline double lrn_factor(double d, double beta) {
    if (beta == 0.75) {
        double r = sqrt(d);
        return 1 / (r * sqrt(r));
    }
    return beta == 0.5 ? 1 / sqrt(d) : pow(d, -beta);
}

CVI_INLINE double lrn_sum(const lrn_job *j, int64_t base, int64_t c, int64_t i, cvs_dtype type) {
    int64_t from = CVI_MAX(c - j->before, 0);
    int64_t to = j->after >= j->channels - c ? j->channels : c + j->after + 1;
    double sum = 0;
    for (int64_t k = from; k < to; k++) {
        double v = cvi_load(j->x, base + k * j->positions + i, type);
        sum += v * v;
    }
    return j->bias + j->alpha * sum;
}

CVI_INLINE void lrn_forward_plane(const lrn_job *j, int64_t plane, cvs_dtype type) {
    int64_t c = plane % j->channels, base = (plane - c) * j->positions;
    for (int64_t i = 0; i < j->positions; i++) {
        int64_t at = plane * j->positions + i;
        double d = lrn_sum(j, base, c, i, type);
        cvi_store(j->y, at, cvi_load(j->x, at, type) * lrn_factor(d, j->beta), type);
    }
}

static void lrn_forward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const lrn_job *j = context;
    CVI_TYPED(j->dtype, lrn_forward_plane, j, chunk);
}

static cvs_status lrn_forward(cvi_opctx *ctx) {
    lrn_job j = read_lrn(ctx);
    j.y = ctx->out[0].data;
    cvi_pool_run(ctx->pool, ctx->in[0]->dim[0] * j.channels, lrn_forward_body, &j);
    return CVS_OK;
}

CVI_INLINE void lrn_share_plane(const lrn_job *j, int64_t plane, cvs_dtype type) {
    int64_t c = plane % j->channels, base = (plane - c) * j->positions;
    for (int64_t i = 0; i < j->positions; i++) {
        int64_t at = plane * j->positions + i;
        j->sum[at] = lrn_sum(j, base, c, i, type);
        j->share[at] = cvi_load(j->g, at, type) * cvi_load(j->x, at, type) * lrn_factor(j->sum[at], j->beta) /
                       j->sum[at];
    }
}

static void lrn_share_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const lrn_job *j = context;
    CVI_TYPED(j->dtype, lrn_share_plane, j, chunk);
}

/* gx = g D^-beta - 2 alpha beta x * (sum of the shares of all whose neighbourhood holds this channel). */
CVI_INLINE void lrn_backward_plane(const lrn_job *j, int64_t plane, cvs_dtype type) {
    int64_t c = plane % j->channels, base = (plane - c) * j->positions;
    int64_t from = CVI_MAX(c - j->after, 0);
    int64_t to = j->before >= j->channels - c ? j->channels : c + j->before + 1;
    for (int64_t i = 0; i < j->positions; i++) {
        int64_t at = plane * j->positions + i;
        double sum = 0;
        for (int64_t k = from; k < to; k++) {
            sum += j->share[base + k * j->positions + i];
        }
        double own = cvi_load(j->g, at, type) * lrn_factor(j->sum[at], j->beta);
        cvi_accumulate(j->gx, at, own - 2 * j->alpha * j->beta * cvi_load(j->x, at, type) * sum, type);
    }
}

static void lrn_backward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const lrn_job *j = context;
    CVI_TYPED(j->dtype, lrn_backward_plane, j, chunk);
}

static cvs_status lrn_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    (void)rule;
    int64_t count = cvs_tensor_count(ctx->in[0]);
    if (grad_out[0] == NULL || grad_in[0] == NULL || count == 0) {
        return CVS_OK;
    }
    lrn_job j = read_lrn(ctx);
    j.g = grad_out[0]->data;
    j.gx = grad_in[0]->data;
    j.sum = cvi_arena_alloc(ctx->scratch, count, sizeof(double));
    j.share = cvi_arena_alloc(ctx->scratch, count, sizeof(double));
    if (j.sum == NULL || j.share == NULL) {
        return cvi_no_memory(ctx->err, (size_t)count * sizeof(double));
    }
    cvi_pool_run(ctx->pool, ctx->in[0]->dim[0] * j.channels, lrn_share_body, &j);
    cvi_pool_run(ctx->pool, ctx->in[0]->dim[0] * j.channels, lrn_backward_body, &j);
    return CVS_OK;
}

static void lrn_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    int64_t each = CVI_MIN(cvi_op_int(ctx, "size"), ctx->in[0]->dim[1]) + 3;
    if (!cvi_mul(cvs_tensor_count(&ctx->out[0]), each, &cost->flops)) {
        cost->flops = INT64_MAX;
    }
}

/* ---- LpNormalization: each line along an axis divided by its length -------------------------------------------------- */

typedef struct lp_job {
    cvs_dtype dtype;
    int64_t length, step, p;
    const void *x, *g;
    void *out;
} lp_job;

static cvs_status lp_read(cvi_opctx *ctx, lp_job *j, int64_t *lines) {
    const cvs_tensor *x = ctx->in[0];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    int64_t p = cvi_op_int(ctx, "p");
    if (p != 1 && p != 2) {
        return cvi_at_attr(
            ctx->err, cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "p is %lld, it must be 1 or 2", (long long)p),
            "p");
    }
    *j = (lp_job){.dtype = x->dtype,
                  .length = x->dim[axis],
                  .step = cvi_span(x, axis + 1, x->rank),
                  .p = p,
                  .x = x->data};
    *lines = j->length == 0 ? 0 : cvs_tensor_count(x) / j->length;
    return CVS_OK;
}

static cvs_status lp_infer(cvi_opctx *ctx) {
    lp_job j;
    int64_t lines;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_rank(ctx, 0, 1));
    CVI_TRY(lp_read(ctx, &j, &lines));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, ctx->in[0]->dim);
}

CVI_INLINE double lp_norm(const lp_job *j, int64_t base, cvs_dtype type) {
    double sum = 0;
    for (int64_t i = 0; i < j->length; i++) {
        double v = cvi_load(j->x, base + i * j->step, type);
        sum += j->p == 1 ? fabs(v) : v * v;
    }
    return j->p == 1 ? sum : sqrt(sum);
}

static int64_t lp_base(const lp_job *j, int64_t line) {
    return line / j->step * j->length * j->step + line % j->step;
}

/* A line of zeros stays one. */
CVI_INLINE void lp_forward_line(const lp_job *j, int64_t line, cvs_dtype type) {
    int64_t base = lp_base(j, line);
    double norm = lp_norm(j, base, type);
    for (int64_t i = 0; i < j->length; i++) {
        double v = cvi_load(j->x, base + i * j->step, type);
        cvi_store(j->out, base + i * j->step, norm == 0 ? 0 : v / norm, type);
    }
}

static void lp_forward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const lp_job *j = context;
    CVI_TYPED(j->dtype, lp_forward_line, j, chunk);
}

static cvs_status lp_forward(cvi_opctx *ctx) {
    lp_job j;
    int64_t lines;
    CVI_TRY(lp_read(ctx, &j, &lines));
    j.out = ctx->out[0].data;
    cvi_pool_run(ctx->pool, lines, lp_forward_body, &j);
    return CVS_OK;
}

/* gx = (g - y' (sum g y)) / norm, y' = sign(x) for p = 1 and y for p = 2. */
CVI_INLINE void lp_backward_line(const lp_job *j, int64_t line, cvs_dtype type) {
    int64_t base = lp_base(j, line);
    double norm = lp_norm(j, base, type), dot = 0;
    if (norm == 0) {
        return;
    }
    for (int64_t i = 0; i < j->length; i++) {
        dot += cvi_load(j->g, base + i * j->step, type) * cvi_load(j->x, base + i * j->step, type) / norm;
    }
    for (int64_t i = 0; i < j->length; i++) {
        int64_t at = base + i * j->step;
        double x = cvi_load(j->x, at, type);
        double slope = j->p == 2 ? x / norm : (double)((x > 0) - (x < 0));
        cvi_accumulate(j->out, at, (cvi_load(j->g, at, type) - slope * dot) / norm, type);
    }
}

static void lp_backward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const lp_job *j = context;
    CVI_TYPED(j->dtype, lp_backward_line, j, chunk);
}

static cvs_status lp_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                              cvs_tensor *const *grad_in) {
    (void)rule;
    lp_job j;
    int64_t lines;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(lp_read(ctx, &j, &lines));
    j.g = grad_out[0]->data;
    j.out = grad_in[0]->data;
    cvi_pool_run(ctx->pool, lines, lp_backward_body, &j);
    return CVS_OK;
}

static void lp_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    if (!cvi_mul(cvs_tensor_count(&ctx->out[0]), 3, &cost->flops)) {
        cost->flops = INT64_MAX;
    }
}

/* ---- MeanVarianceNormalization: (x - mean) / (sqrt(variance) + 1e-9) over a set of axes --------------------------------- */

typedef struct mvn_job {
    cvs_dtype dtype;
    int n_kept, n_set; /* axes on either side */
    int64_t kept[CVS_MAX_RANK], kept_step[CVS_MAX_RANK], set[CVS_MAX_RANK], set_step[CVS_MAX_RANK];
    int64_t sets, size;
    const void *x, *g;
    void *out;
} mvn_job;

static const double mvn_epsilon = 1e-9; /* as in the operator's definition */

static cvs_status mvn_read(cvi_opctx *ctx, mvn_job *j) {
    const cvs_tensor *x = ctx->in[0];
    int64_t axes[CVS_MAX_RANK] = {0, 2, 3};
    bool in_set[CVS_MAX_RANK] = {false};
    int n = cvi_node_ints(ctx->node, "axes", axes, CVS_MAX_RANK, 0);
    if (n > CVS_MAX_RANK) {
        return cvi_at_attr(
            ctx->err,
            cvi_fail(ctx->err, CVS_E_SHAPE, "%s has %d numbers, this input needs %d", "axes", n, x->rank),
            "axes");
    }
    if (n == 0) {
        n = 3;
        axes[0] = 0, axes[1] = 2, axes[2] = 3;
    }
    for (int i = 0; i < n; i++) {
        int axis;
        CVI_TRY(cvi_axis(ctx, axes[i], x->rank, &axis));
        in_set[axis] = true;
    }
    *j = (mvn_job){.dtype = x->dtype, .sets = 1, .size = 1, .x = x->data};
    int64_t step = 1;
    for (int a = x->rank - 1; a >= 0; a--) {
        if (in_set[a]) {
            j->set[j->n_set] = x->dim[a];
            j->set_step[j->n_set++] = step;
            j->size *= x->dim[a];
        } else {
            j->kept[j->n_kept] = x->dim[a];
            j->kept_step[j->n_kept++] = step;
            j->sets *= x->dim[a];
        }
        step *= x->dim[a];
    }
    return CVS_OK;
}

static int64_t offset(int64_t i, int n, const int64_t *dim, const int64_t *step) {
    int64_t at = 0;
    for (int a = 0; a < n; a++) {
        at += i % dim[a] * step[a];
        i /= dim[a];
    }
    return at;
}

static cvs_status mvn_infer(cvi_opctx *ctx) {
    mvn_job j;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(mvn_read(ctx, &j));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, ctx->in[0]->dim);
}

CVI_INLINE void mvn_statistics(const mvn_job *j, int64_t base, double *mean, double *deviation,
                               cvs_dtype type) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < j->size; i++) {
        sum += cvi_load(j->x, base + offset(i, j->n_set, j->set, j->set_step), type);
    }
    *mean = sum / (double)j->size;
    for (int64_t i = 0; i < j->size; i++) {
        double d = cvi_load(j->x, base + offset(i, j->n_set, j->set, j->set_step), type) - *mean;
        squares += d * d;
    }
    *deviation = sqrt(squares / (double)j->size);
}

CVI_INLINE void mvn_forward_set(const mvn_job *j, int64_t k, cvs_dtype type) {
    int64_t base = offset(k, j->n_kept, j->kept, j->kept_step);
    double mean, deviation;
    mvn_statistics(j, base, &mean, &deviation, type);
    for (int64_t i = 0; i < j->size; i++) {
        int64_t at = base + offset(i, j->n_set, j->set, j->set_step);
        cvi_store(j->out, at, (cvi_load(j->x, at, type) - mean) / (deviation + mvn_epsilon), type);
    }
}

static void mvn_forward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const mvn_job *j = context;
    CVI_TYPED(j->dtype, mvn_forward_set, j, chunk);
}

static cvs_status mvn_forward(cvi_opctx *ctx) {
    mvn_job j;
    CVI_TRY(mvn_read(ctx, &j));
    j.out = ctx->out[0].data;
    cvi_pool_run(ctx->pool, j.sets, mvn_forward_body, &j);
    return CVS_OK;
}

/* With d = 1/(s + eps): gx = d (g - mean(g)) - d^2 (x - mean)/(m s) * sum g (x - mean). */
CVI_INLINE void mvn_backward_set(const mvn_job *j, int64_t k, cvs_dtype type) {
    int64_t base = offset(k, j->n_kept, j->kept, j->kept_step);
    double mean, deviation, sum = 0, dot = 0, m = (double)j->size;
    mvn_statistics(j, base, &mean, &deviation, type);
    double d = 1 / (deviation + mvn_epsilon);
    for (int64_t i = 0; i < j->size; i++) {
        int64_t at = base + offset(i, j->n_set, j->set, j->set_step);
        double g = cvi_load(j->g, at, type);
        sum += g;
        dot += g * (cvi_load(j->x, at, type) - mean);
    }
    double bend = deviation > 0 ? d * d * dot / (m * deviation) : 0;
    for (int64_t i = 0; i < j->size; i++) {
        int64_t at = base + offset(i, j->n_set, j->set, j->set_step);
        double v = d * (cvi_load(j->g, at, type) - sum / m) - bend * (cvi_load(j->x, at, type) - mean);
        cvi_accumulate(j->out, at, v, type);
    }
}

static void mvn_backward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const mvn_job *j = context;
    CVI_TYPED(j->dtype, mvn_backward_set, j, chunk);
}

static cvs_status mvn_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    (void)rule;
    mvn_job j;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(mvn_read(ctx, &j));
    j.g = grad_out[0]->data;
    j.out = grad_in[0]->data;
    cvi_pool_run(ctx->pool, j.sets, mvn_backward_body, &j);
    return CVS_OK;
}

static void mvn_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    if (!cvi_mul(cvs_tensor_count(&ctx->out[0]), 5, &cost->flops)) {
        cost->flops = INT64_MAX;
    }
}

static void mvn_field(const cvi_opctx *ctx, cvi_field_step *step) {
    (void)ctx;
    step->kind = CVI_FIELD_ALL;
}

/* ---- descriptors ----------------------------------------------------------------------------------------------------- */

static const cvi_op_io local_in[] = {{"X", CVI_DATA, false, false}};
static const cvi_op_io local_out[] = {{"Y", CVI_DATA, false, false}};

#define LOCAL_COMMON                                                                                         \
    .inputs = local_in, .n_inputs = CVI_COUNT(local_in), .outputs = local_out,                               \
    .n_outputs = CVI_COUNT(local_out), .glyph = CVI_GLYPH_NORM

static const cvi_op_attr lrn_attrs[] = {
    {"alpha", CVI_ATTR_FLOAT, "0.0001", "any", "weight of the neighbours", "邻近通道的权重"},
    {"beta", CVI_ATTR_FLOAT, "0.75", "any", "exponent", "指数"},
    {"bias", CVI_ATTR_FLOAT, "1.0", "any", "added to the neighbours' sum", "加在邻近通道平方和上的常数"},
    {"size", CVI_ATTR_INT, NULL, ">= 1", "number of neighbouring channels", "邻近通道的个数"},
};
const cvi_op cvi_op_lrn = {
    .name = "LRN",
    .word_en = "LRN",
    .word_zh = "LRN",
    .since = 1,
    LOCAL_COMMON,
    .attrs = lrn_attrs,
    .n_attrs = CVI_COUNT(lrn_attrs),
    .infer = lrn_infer,
    .forward = lrn_forward,
    .backward = lrn_backward,
    .cost = lrn_cost,
    .text = {"Local response normalization", "局部响应归一化",
             "Weakens a response where neighbouring channels respond strongly at the same place.",
             "若相邻通道在同一位置响应强烈，则减弱该响应。",
             "y[c] = x[c] / (k + (α/n)·Σ x[j]²)^β, j the n channels around c",
             "As the layer before, with crowded places toned down.",
             "与前一层相似，只是多个通道同时响应的位置被压低。"},
};

static const cvi_op_attr lp_attrs[] = {
    {"axis", CVI_ATTR_INT, "-1", "[-rank, rank-1]", "axis whose lines get length 1",
     "沿该轴的每条向量归一为单位长度"},
    {"p", CVI_ATTR_INT, "2", "1|2", "1: sum of absolute values, 2: Euclid's length",
     "1 为绝对值之和，2 为欧几里得长度"},
};
const cvi_op cvi_op_lp_normalization = {
    .name = "LpNormalization",
    .since = 1,
    LOCAL_COMMON,
    .attrs = lp_attrs,
    .n_attrs = CVI_COUNT(lp_attrs),
    .infer = lp_infer,
    .forward = lp_forward,
    .backward = lp_backward,
    .cost = lp_cost,
    .text = {"Lp normalization", "Lp 归一化", "Divides each line of numbers by its length.",
             "把每条向量除以它的长度。", "y = x / (Σ |x|^p)^(1/p)",
             "Only the direction is left: compare shares, not strengths.",
             "只保留方向：应比较各分量所占份额，而不是强弱。"},
};

static const cvi_op_attr mvn_attrs[] = {{"axes", CVI_ATTR_INTS, "0,2,3", "[-rank, rank-1]",
                                         "axes that are normalised together", "一起归一化的轴"}};
const cvi_op cvi_op_mean_variance_normalization = {
    .name = "MeanVarianceNormalization",
    .since = 9,
    LOCAL_COMMON,
    .attrs = mvn_attrs,
    .n_attrs = CVI_COUNT(mvn_attrs),
    .infer = mvn_infer,
    .forward = mvn_forward,
    .backward = mvn_backward,
    .cost = mvn_cost,
    .field = mvn_field,
    .text = {"Mean-variance normalization", "均值方差归一化",
             "Brings the numbers over some axes to mean 0 and spread 1.",
             "把若干轴上的数变为均值 0、标准差 1。", "y = (x − μ)/(σ + 10⁻⁹)",
             "The same maps on another scale: level and contrast are gone.",
             "同样的特征图换了刻度：整体亮度和对比度都被消除。"},
};
