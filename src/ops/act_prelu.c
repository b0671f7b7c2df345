/* SPDX-License-Identifier: MIT
 * act_prelu.c - PRelu: a leaky ReLU whose slopes are learned, one for all, one per channel or any shape that broadcasts to x.
 */
#include "ops/map.h"

typedef struct prelu_job {
    const cvi_opctx *ctx;
    int64_t run; /* numbers in a row that share one slope */
    int64_t runs;
    const void *g;
    cvs_tensor *gx;
    void *out;
} prelu_job;

static cvs_status prelu_infer(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *s = ctx->in[1];
    CVI_TRY(cvi_want_alike(ctx, 1, 1));
    bool fits = s->rank <= x->rank;
    for (int i = 1; fits && i <= s->rank; i++) {
        fits = s->dim[s->rank - i] == 1 || s->dim[s->rank - i] == x->dim[x->rank - i];
    }
    if (!fits) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "slopes of shape %s cannot be broadcast to %s",
                        cvs_shape_text(s->rank, s->dim, a, sizeof a),
                        cvs_shape_text(x->rank, x->dim, b, sizeof b));
    }
    return cvi_out_shape(ctx, 0, x->dtype, x->rank, x->dim);
}

/* The slope's element that serves run number r. */
static int64_t slope_at(const prelu_job *j, int64_t r) {
    const cvs_tensor *x = j->ctx->in[0], *s = j->ctx->in[1];
    int64_t at = 0, step = 1, i = r * j->run;
    for (int a = 1; a <= x->rank; a++) {
        int64_t place = i % x->dim[x->rank - a];
        i /= x->dim[x->rank - a];
        int64_t size = a <= s->rank ? s->dim[s->rank - a] : 1;
        at += size == 1 ? 0 : place * step;
        step *= size;
    }
    return at;
}

static prelu_job read_job(const cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *s = ctx->in[1];
    prelu_job j = {.ctx = ctx, .run = 1, .out = ctx->out[0].data};
    for (int a = 1; a <= x->rank && (a > s->rank || s->dim[s->rank - a] == 1); a++) {
        j.run *= x->dim[x->rank - a];
    }
    j.runs = j.run == 0 ? 0 : cvs_tensor_count(x) / j.run;
    return j;
}

CVI_INLINE void forward_run(const prelu_job *j, int64_t r, cvs_dtype type) {
    const void *x = j->ctx->in[0]->data;
    double slope = cvi_load(j->ctx->in[1]->data, slope_at(j, r), type);
    for (int64_t i = r * j->run; i < (r + 1) * j->run; i++) {
        double v = cvi_load(x, i, type);
        cvi_store(j->out, i, v < 0 ? v * slope : v, type);
    }
}

static void forward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const prelu_job *j = context;
    CVI_TYPED(j->ctx->in[0]->dtype, forward_run, j, chunk);
}

static cvs_status prelu_forward(cvi_opctx *ctx) {
    prelu_job j = read_job(ctx);
    cvi_pool_run(ctx->pool, j.runs, forward_body, &j);
    return CVS_OK;
}

/* One slope for all, or one per channel of a picture. */
static bool prelu_can_fast(const cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *s = ctx->in[1];
    int64_t count = cvs_tensor_count(s);
    bool channels = s->rank >= 3 && s->dim[s->rank - 3] == count;
    return x->dtype == CVS_F32 && s->dtype == CVS_F32 && x->rank == 4 && (count == 1 || channels);
}

static cvs_status prelu_fast(cvi_opctx *ctx) {
    cvi_rows r = cvi_rows_of(ctx->in[0]);
    const float *slope = ctx->in[1]->data;
    if (cvs_tensor_count(ctx->in[1]) == 1) {
        float *same = cvi_arena_raw(ctx->scratch, r.channels * (int64_t)sizeof *same);
        if (same == NULL) {
            return cvi_no_memory(ctx->err, (size_t)r.channels * sizeof *same);
        }
        for (int64_t c = 0; c < r.channels; c++) {
            same[c] = slope[0];
        }
        slope = same;
    }
    if (r.rows > 0) {
        cvi_prelu(ctx->pool, r.rows, r.channels, r.pitch, ctx->in[0]->data, slope, ctx->out[0].data);
    }
    return CVS_OK;
}

CVI_INLINE void backward_run(const prelu_job *j, int64_t r, cvs_dtype type) {
    const void *x = j->ctx->in[0]->data;
    double slope = cvi_load(j->ctx->in[1]->data, slope_at(j, r), type);
    for (int64_t i = r * j->run; i < (r + 1) * j->run; i++) {
        double g = cvi_load(j->g, i, type);
        cvi_accumulate(j->gx->data, i, cvi_load(x, i, type) < 0 ? g * slope : g, type);
    }
}

static void backward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const prelu_job *j = context;
    CVI_TYPED(j->ctx->in[0]->dtype, backward_run, j, chunk);
}

/* Runs share slopes, so their sums are added by one thread, in order, in double. */
CVI_INLINE void slope_gradient(const prelu_job *j, double *sum, cvs_dtype type) {
    const void *x = j->ctx->in[0]->data;
    for (int64_t r = 0; r < j->runs; r++) {
        int64_t at = slope_at(j, r);
        for (int64_t i = r * j->run; i < (r + 1) * j->run; i++) {
            double v = cvi_load(x, i, type);
            if (v < 0) {
                sum[at] += cvi_load(j->g, i, type) * v;
            }
        }
    }
}

static cvs_status prelu_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                 cvs_tensor *const *grad_in) {
    (void)rule;
    if (grad_out[0] == NULL) {
        return CVS_OK;
    }
    prelu_job j = read_job(ctx);
    j.g = grad_out[0]->data;
    j.gx = grad_in[0];
    if (j.gx != NULL) {
        cvi_pool_run(ctx->pool, j.runs, backward_body, &j);
    }
    if (grad_in[1] != NULL && j.runs > 0) {
        int64_t n = cvs_tensor_count(grad_in[1]);
        double *sum = cvi_arena_alloc(ctx->scratch, n, sizeof *sum);
        if (sum == NULL) {
            return cvi_no_memory(ctx->err, (size_t)n * sizeof *sum);
        }
        CVI_TYPED(ctx->in[0]->dtype, slope_gradient, &j, sum);
        for (int64_t i = 0; i < n; i++) {
            cvi_put(grad_in[1], i, cvi_get(grad_in[1], i) + sum[i]);
        }
    }
    return CVS_OK;
}

static void prelu_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    cost->flops = cvs_tensor_count(&ctx->out[0]);
}

static const cvi_op_io prelu_in[] = {{"X", CVI_DATA, false, false}, {"slope", CVI_SCALE, false, false}};
static const cvi_op_io prelu_out[] = {{"Y", CVI_DATA, false, false}};

const cvi_op cvi_op_prelu = {
    .name = "PRelu",
    .word_en = "PReLU",
    .word_zh = "PReLU",
    .since = 7,
    .inputs = prelu_in,
    .n_inputs = CVI_COUNT(prelu_in),
    .outputs = prelu_out,
    .n_outputs = CVI_COUNT(prelu_out),
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_ACTIVATION,
    .infer = prelu_infer,
    .forward = prelu_forward,
    .scale_start = 0.25, /* He et al. 2015; with 1 it would begin as no activation function at all */
    .any_type = true,
    .can_fast = prelu_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = prelu_fast,
    .backward = prelu_backward,
    .cost = prelu_cost,
    .text = {"Parametric ReLU", "参数化 ReLU",
             "Keeps positive numbers; negative ones are multiplied by a learned slope.",
             "保留正数，负数乘以学得的斜率。", "y = x if x ≥ 0, else a[c]·x",
             "As ReLU where the slope is near 0; with a slope near 1 the map passes unchanged.",
             "斜率接近 0 时与 ReLU 相似；接近 1 时特征图几乎原样通过。"},
};
