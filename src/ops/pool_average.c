/* SPDX-License-Identifier: MIT
 * pool_average.c - pools that use every element of a window: AveragePool, LpPool and their global forms. One loop: a sum of
 * x (average) or |x|^p (Lp) over the window, then a step that finishes it.
 */
#include <math.h>

#include "ops/pool_window.h"

typedef struct sum_job {
    const cvi_window *w;
    const cvs_tensor *x;
    bool count_pad; /* the divisor counts padding too */
    int64_t p;      /* 0: average; else the p of an Lp pool */
    const void *y, *g;
    void *out; /* y of the forward pass, gx of the backward one */
} sum_job;

static cvs_status pool_infer(cvi_opctx *ctx) {
    cvi_window w;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_pool_window(ctx, &w));
    return cvi_pool_out(ctx, &w, 0, ctx->in[0]->dtype);
}

static cvs_status read_p(const cvi_opctx *ctx, int64_t *p) {
    *p = cvi_op_int(ctx, "p");
    if (*p < 1) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld", "p",
                                    (long long)*p, 1LL),
                           "p");
    }
    return CVS_OK;
}

static cvs_status lp_infer(cvi_opctx *ctx) {
    int64_t p;
    CVI_TRY(read_p(ctx, &p));
    return pool_infer(ctx);
}

/* Where one window lies: its taps inside the input and its first position. */
typedef struct place {
    int64_t first[3], last[3], start[3];
    double divisor;
} place;

static place locate(const sum_job *j, int64_t o) {
    const cvi_window *w = j->w;
    int64_t at[3] = {o / (w->out[1] * w->out[2]), o / w->out[2] % w->out[1], o % w->out[2]};
    place r = {.divisor = 1};
    for (int a = 0; a < 3; a++) {
        cvi_window_taps(w, a, at[a], &r.first[a], &r.last[a]);
        r.start[a] = at[a] * w->stride[a] - w->begin[a];
        int64_t taps = CVI_MAX(r.last[a] - r.first[a], 0);
        if (j->count_pad) {
            /* The padded plane ends at in + end; rounding up may push a window past it, and that part does not count. */
            int64_t room = w->in[a] + w->end[a] - r.start[a], d = w->dilation[a];
            taps = CVI_MIN(w->kernel[a], (room + d - 1) / d);
        }
        r.divisor *= (double)taps;
    }
    return r;
}

static inline double power(double v, int64_t p) {
    return p == 1 ? v : p == 2 ? v * v : pow(v, (double)p);
}

CVI_INLINE void sum_plane(const sum_job *j, int64_t plane, cvs_dtype type) {
    const cvi_window *w = j->w;
    int64_t base = plane * cvi_window_in(w), per = cvi_window_out(w);
    for (int64_t o = 0; o < per; o++) {
        place r = locate(j, o);
        double sum = 0;
        for (int64_t d = r.first[0]; d < r.last[0]; d++) {
            for (int64_t h = r.first[1]; h < r.last[1]; h++) {
                int64_t line = (r.start[0] + d * w->dilation[0]) * w->in[1] + r.start[1] + h * w->dilation[1];
                for (int64_t k = r.first[2]; k < r.last[2]; k++) {
                    double v =
                        cvi_load(j->x->data, base + line * w->in[2] + r.start[2] + k * w->dilation[2], type);
                    sum += j->p == 0 ? v : power(fabs(v), j->p);
                }
            }
        }
        if (j->p == 0) {
            sum = r.divisor > 0 ? sum / r.divisor : 0;
        } else if (j->p > 1) {
            sum = j->p == 2 ? sqrt(sum) : pow(sum, 1.0 / (double)j->p);
        }
        cvi_store(j->out, plane * per + o, sum, type);
    }
}

static void sum_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const sum_job *j = context;
    CVI_TYPED(j->x->dtype, sum_plane, j, chunk);
}

/* Every element of a window gets its share: g/divisor, or for Lp g * sign(x) * (|x|/y)^(p-1). */
CVI_INLINE void share_plane(const sum_job *j, int64_t plane, cvs_dtype type) {
    const cvi_window *w = j->w;
    int64_t base = plane * cvi_window_in(w), per = cvi_window_out(w);
    for (int64_t o = 0; o < per; o++) {
        place r = locate(j, o);
        double g = cvi_load(j->g, plane * per + o, type);
        double y = j->p == 0 ? 0 : cvi_load(j->y, plane * per + o, type);
        if (j->p == 0 ? r.divisor <= 0 : y == 0) {
            continue;
        }
        for (int64_t d = r.first[0]; d < r.last[0]; d++) {
            for (int64_t h = r.first[1]; h < r.last[1]; h++) {
                int64_t line = (r.start[0] + d * w->dilation[0]) * w->in[1] + r.start[1] + h * w->dilation[1];
                for (int64_t k = r.first[2]; k < r.last[2]; k++) {
                    int64_t at = base + line * w->in[2] + r.start[2] + k * w->dilation[2];
                    double share = g / r.divisor;
                    if (j->p != 0) {
                        double x = cvi_load(j->x->data, at, type);
                        share = x == 0 ? 0 : g * copysign(power(fabs(x) / y, j->p - 1), x);
                    }
                    cvi_accumulate(j->out, at, share, type);
                }
            }
        }
    }
}

static void share_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const sum_job *j = context;
    CVI_TYPED(j->x->dtype, share_plane, j, chunk);
}

static cvs_status run_forward(cvi_opctx *ctx, const cvi_window *w, bool count_pad, int64_t p) {
    const cvs_tensor *x = ctx->in[0];
    sum_job j = {.w = w, .x = x, .count_pad = count_pad, .p = p, .out = ctx->out[0].data};
    cvi_pool_run(ctx->pool, x->dim[0] * x->dim[1], sum_body, &j);
    return CVS_OK;
}

static cvs_status run_backward(cvi_opctx *ctx, const cvi_window *w, bool count_pad, int64_t p,
                               const cvs_tensor *const *grad_out, cvs_tensor *const *grad_in) {
    const cvs_tensor *x = ctx->in[0];
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    sum_job j = {.w = w,
                 .x = x,
                 .count_pad = count_pad,
                 .p = p,
                 .y = ctx->out[0].data,
                 .g = grad_out[0]->data,
                 .out = grad_in[0]->data};
    cvi_pool_run(ctx->pool, x->dim[0] * x->dim[1], share_body, &j);
    return CVS_OK;
}

static cvs_status average_forward(cvi_opctx *ctx) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    return run_forward(ctx, &w, cvi_op_int(ctx, "count_include_pad") != 0, 0);
}

static cvs_status average_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                   cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    return run_backward(ctx, &w, cvi_op_int(ctx, "count_include_pad") != 0, 0, grad_out, grad_in);
}

static cvs_status lp_forward(cvi_opctx *ctx) {
    cvi_window w;
    int64_t p;
    CVI_TRY(cvi_pool_window(ctx, &w));
    CVI_TRY(read_p(ctx, &p));
    return run_forward(ctx, &w, false, p);
}

static cvs_status lp_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                              cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_window w;
    int64_t p;
    CVI_TRY(cvi_pool_window(ctx, &w));
    CVI_TRY(read_p(ctx, &p));
    return run_backward(ctx, &w, false, p, grad_out, grad_in);
}

/* ---- the whole plane as one window ---------------------------------------------------------------------- */

static cvs_status global_lp_infer(cvi_opctx *ctx) {
    int64_t p;
    CVI_TRY(read_p(ctx, &p));
    return cvi_global_infer(ctx);
}

static cvs_status global_forward(cvi_opctx *ctx) {
    cvi_window w = cvi_whole_plane(ctx->in[0]);
    return run_forward(ctx, &w, false, 0);
}

static cvs_status global_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_window w = cvi_whole_plane(ctx->in[0]);
    return run_backward(ctx, &w, false, 0, grad_out, grad_in);
}

static cvs_status global_lp_forward(cvi_opctx *ctx) {
    cvi_window w = cvi_whole_plane(ctx->in[0]);
    int64_t p;
    CVI_TRY(read_p(ctx, &p));
    return run_forward(ctx, &w, false, p);
}

static cvs_status global_lp_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                     cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_window w = cvi_whole_plane(ctx->in[0]);
    int64_t p;
    CVI_TRY(read_p(ctx, &p));
    return run_backward(ctx, &w, false, p, grad_out, grad_in);
}

/* ---- float32 pictures ------------------------------------------------------------------------------------ */

static bool average_can_fast(const cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    return x->dtype == CVS_F32 && x->rank == 4 && cvs_tensor_count(x) > 0;
}

static cvs_status average_fast(cvi_opctx *ctx) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    cvi_pool_shape s = cvi_window_pool(&w, ctx->in[0]);
    cvi_avgpool(ctx->pool, &s, cvi_op_int(ctx, "count_include_pad") != 0, ctx->in[0]->data, ctx->out[0].data);
    return CVS_OK;
}

static cvs_status average_part(cvi_opctx *ctx, const cvi_part *part) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    cvi_pool_shape s = cvi_window_part(&w, part);
    cvi_avgpool(ctx->pool, &s, cvi_op_int(ctx, "count_include_pad") != 0, part->in->data, part->out->data);
    return CVS_OK;
}

static cvs_status global_average_fast(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    cvi_global_avgpool(ctx->pool, x->dim[0], x->dim[1], x->dim[2] * x->dim[3], x->data, ctx->out[0].data);
    return CVS_OK;
}

static bool average_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    (void)ctx, (void)wants, (void)form; /* reads nothing but the gradient */
    return true;
}

static cvs_status average_back(cvi_opctx *ctx, const cvi_back *back) {
    cvi_window w;
    if (back->grad_out[0] == NULL || back->grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(cvi_pool_window(ctx, &w));
    cvi_pool_shape s = cvi_window_pool(&w, ctx->in[0]);
    cvi_avgpool_spread(ctx->pool, &s, cvi_op_int(ctx, "count_include_pad") != 0, back->grad_out[0]->data,
                       back->base[0], back->grad_in[0]->data);
    return CVS_OK;
}

static cvs_status global_average_back(cvi_opctx *ctx, const cvi_back *back) {
    const cvs_tensor *x = ctx->in[0];
    int64_t pitch = CVI_PITCH(x->dim[1]);
    float *scratch = cvi_arena_alloc(ctx->scratch, pitch, sizeof *scratch);
    if (scratch == NULL) {
        return cvi_no_memory(ctx->err, (size_t)pitch * sizeof *scratch);
    }
    if (back->grad_out[0] != NULL && back->grad_in[0] != NULL) {
        cvi_global_avgpool_backward(ctx->pool, x->dim[0], x->dim[1], x->dim[2] * x->dim[3],
                                    back->grad_out[0]->data, back->base[0], back->grad_in[0]->data, scratch);
    }
    return CVS_OK;
}

/* ---- one number ------------------------------------------------------------------------------------------- */

/* Every element of the window times one share. */
static cvs_status average_of(cvi_opctx *ctx, const cvi_window *w, bool count_pad, int64_t at,
                             cvs_unit *unit) {
    sum_job j = {.w = w, .count_pad = count_pad};
    int64_t per = cvi_window_out(w), base = at / per * cvi_window_in(w);
    place r = locate(&j, at % per);
    unit->kind = CVS_UNIT_SUM;
    for (int64_t d = r.first[0]; d < r.last[0]; d++) {
        for (int64_t h = r.first[1]; h < r.last[1]; h++) {
            int64_t line = (r.start[0] + d * w->dilation[0]) * w->in[1] + r.start[1] + h * w->dilation[1];
            for (int64_t k = r.first[2]; k < r.last[2]; k++) {
                int64_t x = base + line * w->in[2] + r.start[2] + k * w->dilation[2];
                cvi_unit_add(unit, 0, x, -1, cvi_get(ctx->in[0], x), 1 / r.divisor);
            }
        }
    }
    return CVS_OK;
}

static cvs_status average_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    return average_of(ctx, &w, cvi_op_int(ctx, "count_include_pad") != 0, at, unit);
}

static cvs_status global_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    cvi_window w = cvi_whole_plane(ctx->in[0]);
    return average_of(ctx, &w, false, at, unit);
}

/* ---- descriptors ----------------------------------------------------------------------------------------- */

#define P_ATTR                                                                                               \
    {                                                                                                        \
        "p", CVI_ATTR_INT, "2", ">= 1", "the p of the norm: 1 sums absolute values, 2 is Euclid's length",   \
            "范数的阶 p：1 为绝对值之和，2 为欧几里得长度"                                \
    }

static const cvi_op_io pool_in[] = {{"X", CVI_DATA, false, false}};
static const cvi_op_io pool_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr average_attrs[] = {
    CVI_WINDOW_ATTRS,
    CVI_WINDOW_DILATIONS,
    CVI_WINDOW_CEIL,
    {"count_include_pad", CVI_ATTR_INT, "0", "0|1", "1: padding counts in the divisor, as zeros",
     "取 1 时填充位置按零计入平均的分母"},
};
static const cvi_op_attr lp_attrs[] = {CVI_WINDOW_ATTRS, CVI_WINDOW_DILATIONS, CVI_WINDOW_CEIL, P_ATTR};
static const cvi_op_attr global_lp_attrs[] = {P_ATTR};

#define POOL_COMMON                                                                                          \
    .since = 1, .inputs = pool_in, .n_inputs = CVI_COUNT(pool_in), .outputs = pool_out,                      \
    .n_outputs = CVI_COUNT(pool_out), .flags = CVI_OP_POOL, .glyph = CVI_GLYPH_POOL

const cvi_op cvi_op_average_pool = {
    .name = "AveragePool",
    .word_en = "avg pool",
    .word_zh = "平均池化",
    POOL_COMMON,
    .attrs = average_attrs,
    .n_attrs = CVI_COUNT(average_attrs),
    .infer = pool_infer,
    .forward = average_forward,
    .can_fast = average_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = average_fast,
    .part = average_part,
    .unit = average_unit,
    .backward = average_backward,
    .back_form = average_back_form,
    .back_fast = average_back,
    .cost = cvi_pool_cost,
    .field = cvi_pool_field,
    .text = {"Average pooling", "平均池化", "Replaces each window by the mean of its values.",
             "用窗口内数值的平均值代替整个窗口。", "y[n,c,i,j] = (1/|window|)·Σ x[n,c,i·S+r·D−P,j·S+s·D−P]",
             "The same map, smaller and smoother.", "同一张特征图的缩小版，更平滑。"},
};

const cvi_op cvi_op_global_average_pool = {
    .name = "GlobalAveragePool",
    .word_en = "global avg pool",
    .word_zh = "全局平均池化",
    POOL_COMMON,
    .infer = cvi_global_infer,
    .forward = global_forward,
    .can_fast = average_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = global_average_fast,
    .apart = cvi_apart_always,
    .unit = global_unit,
    .backward = global_backward,
    .back_form = average_back_form,
    .back_fast = global_average_back,
    .cost = cvi_global_cost,
    .field = cvi_global_field,
    .text = {"Global average pooling", "全局平均池化", "Replaces each feature map by its mean.",
             "用每张特征图的平均值代替整张图。", "y[n,c] = (1/(H·W))·Σ x[n,c,i,j]",
             "One number per feature map: how much of its feature the whole picture holds.",
             "每张特征图对应一个数：整幅图中该特征的平均强度。"},
};

const cvi_op cvi_op_lp_pool = {
    .name = "LpPool",
    POOL_COMMON,
    .attrs = lp_attrs,
    .n_attrs = CVI_COUNT(lp_attrs),
    .infer = lp_infer,
    .forward = lp_forward,
    .backward = lp_backward,
    .cost = cvi_pool_cost,
    .field = cvi_pool_field,
    .text = {"Lp pooling", "Lp 池化", "Replaces each window by the p-norm of its values.",
             "用窗口内数值的 p 范数代替整个窗口。", "y[n,c,i,j] = (Σ |x[n,c,i·S+r·D−P,j·S+s·D−P]|^p)^(1/p)",
             "The same map, smaller: how much happens in each window, whatever its sign.",
             "同一张特征图的缩小版：表示每个窗口内响应的总强度，不分正负。"},
};

const cvi_op cvi_op_global_lp_pool = {
    .name = "GlobalLpPool",
    POOL_COMMON,
    .attrs = global_lp_attrs,
    .n_attrs = CVI_COUNT(global_lp_attrs),
    .infer = global_lp_infer,
    .forward = global_lp_forward,
    .backward = global_lp_backward,
    .cost = cvi_global_cost,
    .field = cvi_global_field,
    .text = {"Global Lp pooling", "全局 Lp 池化", "Replaces each feature map by the p-norm of its values.",
             "用整张特征图的 p 范数代替该图。", "y[n,c] = (Σ |x[n,c,i,j]|^p)^(1/p)",
             "One number per feature map: the strength of its response over the whole picture.",
             "每张特征图对应一个数：该特征在整幅图上的响应强度。"},
};
