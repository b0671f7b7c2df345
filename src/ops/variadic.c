/* SPDX-License-Identifier: MIT
 * variadic.c - Sum Mean Max Min: any number of inputs, broadcast together, folded number by number. Max and Min pass a NaN on
 * and take every number type; gradients of Max and Min go to the winner (the first of equals).
 */
#include "ops/walk.h"

typedef enum fold { FOLD_SUM, FOLD_MEAN, FOLD_MAX, FOLD_MIN } fold;

static cvs_status infer_variadic(cvi_opctx *ctx) {
    int rank;
    int64_t dim[CVS_MAX_RANK];
    for (int k = 0; k < ctx->n_in; k++) {
        if (ctx->in[k] == NULL) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "input %d is absent", k);
        }
        CVI_TRY(cvi_one_type(ctx, 0, k));
    }
    CVI_TRY(cvi_broadcast(ctx, ctx->n_in, ctx->in, &rank, dim));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, rank, dim);
}

/* Whether b replaces a as the winner. */
static bool beats(fold kind, double a, double b) {
    if (a != a) {
        return false;
    }
    return b != b || (kind == FOLD_MAX ? b > a : b < a);
}

static bool beats_whole(cvs_dtype dtype, fold kind, int64_t a, int64_t b) {
    if (dtype == CVS_U64) {
        return kind == FOLD_MAX ? (uint64_t)b > (uint64_t)a : (uint64_t)b < (uint64_t)a;
    }
    return kind == FOLD_MAX ? b > a : b < a;
}

/* Two inputs of float32 without going through doubles: the common residual sum. */
static void fold_row_f32(fold kind, int64_t n, const float *x, int64_t step, float *y) {
    for (int64_t i = 0; i < n; i++) {
        float a = y[i], b = x[i * step];
        if (kind == FOLD_SUM || kind == FOLD_MEAN) {
            y[i] = a + b;
        } else if (a == a && (b != b || (kind == FOLD_MAX ? b > a : b < a))) {
            y[i] = b;
        }
    }
}

static void fold_row(fold kind, int64_t n, const cvs_tensor *x, int64_t at, int64_t step, const cvs_tensor *y,
                     int64_t to) {
    for (int64_t i = 0; i < n; i++) {
        int64_t from = at + i * step;
        if (cvi_is_float(y->dtype)) {
            double a = cvi_get(y, to + i), b = cvi_get(x, from);
            if (kind == FOLD_SUM || kind == FOLD_MEAN) {
                cvi_put(y, to + i, a + b);
            } else if (beats(kind, a, b)) {
                cvi_put(y, to + i, b);
            }
        } else {
            int64_t a = cvi_get_int(y, to + i), b = cvi_get_int(x, from);
            if (kind == FOLD_SUM || kind == FOLD_MEAN) {
                cvi_put_int(y, to + i, (int64_t)((uint64_t)a + (uint64_t)b));
            } else if (beats_whole(y->dtype, kind, a, b)) {
                cvi_put_int(y, to + i, b);
            }
        }
    }
}

typedef struct fold_job {
    cvi_opctx *ctx;
    fold kind;
    cvi_walk walk;
    const cvs_tensor *x;
    bool first;
} fold_job;

/* The first input is copied into the output, each later one folded into it. */
static void fold_rows(void *context, int64_t begin, int64_t end) {
    const fold_job *job = context;
    const cvi_walk *w = &job->walk;
    cvs_tensor *y = &job->ctx->out[0];
    int64_t step = w->step[0][w->rank - 1], at, size = (int64_t)cvs_dtype_size(y->dtype);
    for (int64_t row = begin; row < end; row++) {
        int64_t to = row * w->length;
        cvi_walk_at(w, row, &at);
        if (job->first) {
            for (int64_t i = 0; i < w->length; i++) {
                memcpy((char *)y->data + (to + i) * size, (const char *)job->x->data + (at + i * step) * size,
                       (size_t)size);
            }
        } else if (y->dtype == CVS_F32) {
            fold_row_f32(job->kind, w->length, (const float *)job->x->data + at, step, (float *)y->data + to);
        } else {
            fold_row(job->kind, w->length, job->x, at, step, y, to);
        }
    }
}

static cvs_status forward_fold(cvi_opctx *ctx, fold kind) {
    cvs_tensor *y = &ctx->out[0];
    for (int k = 0; k < ctx->n_in; k++) {
        fold_job job = {.ctx = ctx, .kind = kind, .x = ctx->in[k], .first = k == 0};
        cvi_walk_make(&job.walk, y->rank, y->dim, 1, &ctx->in[k]);
        cvi_each_rows(ctx, job.walk.rows, job.walk.length, &job, fold_rows);
    }
    int64_t n = cvs_tensor_count(y);
    for (int64_t i = 0; kind == FOLD_MEAN && i < n; i++) {
        cvi_put(y, i, cvi_get(y, i) / ctx->n_in);
    }
    return CVS_OK;
}

/* ---- backward ---------------------------------------------------------------------------------------- */
/* Offset in an operand of output element i: each operand's walk is joined in its own way. */
static int64_t offset_of(const cvi_walk *w, int64_t i) {
    int64_t at;
    cvi_walk_at(w, i / w->length, &at);
    return at + i % w->length * w->step[0][w->rank - 1];
}

/* Whether input k is the first that equals the output at element i. */
static bool is_winner(const cvi_opctx *ctx, const cvi_walk *walks, int k, int64_t i) {
    double y = cvi_get(&ctx->out[0], i);
    for (int j = 0; j < k; j++) {
        if (cvi_get(ctx->in[j], offset_of(&walks[j], i)) == y) {
            return false;
        }
    }
    return cvi_get(ctx->in[k], offset_of(&walks[k], i)) == y;
}

static cvs_status backward_fold(cvi_opctx *ctx, fold kind, const cvs_tensor *g, cvs_tensor *const *grad_in) {
    const cvs_tensor *y = &ctx->out[0];
    int64_t n = cvs_tensor_count(y);
    bool all = kind == FOLD_SUM || kind == FOLD_MEAN;
    double scale = kind == FOLD_MEAN ? 1.0 / ctx->n_in : 1;
    cvi_walk *walks = cvi_arena_alloc(ctx->scratch, ctx->n_in, sizeof *walks);
    if (walks == NULL) {
        return cvi_no_memory(ctx->err, (size_t)ctx->n_in * sizeof *walks);
    }
    for (int k = 0; k < ctx->n_in; k++) {
        cvi_walk_make(&walks[k], y->rank, y->dim, 1, &ctx->in[k]);
    }
    for (int k = 0; g != NULL && k < ctx->n_in; k++) {
        double *sum;
        if (grad_in[k] == NULL) {
            continue;
        }
        CVI_TRY(cvi_sum_new(ctx, grad_in[k], &sum));
        for (int64_t i = 0; i < n; i++) {
            if (all || is_winner(ctx, walks, k, i)) {
                sum[offset_of(&walks[k], i)] += scale * cvi_get(g, i);
            }
        }
        cvi_sum_add(grad_in[k], sum);
    }
    return CVS_OK;
}

#define FOLDER(NAME, KIND)                                                                                   \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        return forward_fold(ctx, KIND);                                                                      \
    }                                                                                                        \
    static cvs_status backward_##NAME(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,      \
                                      cvs_tensor *const *grad_in) {                                          \
        (void)rule;                                                                                          \
        return backward_fold(ctx, KIND, grad_out[0], grad_in);                                               \
    }
FOLDER(sum, FOLD_SUM)
FOLDER(mean, FOLD_MEAN)
FOLDER(max, FOLD_MAX)
FOLDER(min, FOLD_MIN)

static void cost_fold(const cvi_opctx *ctx, cvi_cost *cost) {
    int64_t flops;
    if (cvi_mul(cvs_tensor_count(&ctx->out[0]), CVI_MAX(ctx->n_in - 1, 1), &flops)) {
        cost->flops = flops;
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io many_in[] = {{"data", CVI_DATA, false, true}};
static const cvi_op_io sum_out[] = {{"sum", CVI_DATA, false, false}};
static const cvi_op_io mean_out[] = {{"mean", CVI_DATA, false, false}};
static const cvi_op_io max_out[] = {{"max", CVI_DATA, false, false}};
static const cvi_op_io min_out[] = {{"min", CVI_DATA, false, false}};

const cvi_op cvi_op_sum = {
    .name = "Sum",
    .word_en = "add",
    .word_zh = "加",
    .symbol = "+",
    .since = 8,
    .inputs = many_in,
    .n_inputs = 1,
    .outputs = sum_out,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_ADD,
    .infer = infer_variadic,
    .forward = forward_sum,
    .any_type = true,
    .backward = backward_sum,
    .cost = cost_fold,
    .text = {"Sum of inputs", "多路求和", "Adds all of its inputs, number by number.",
             "把所有输入逐元素相加。", "y = x₁ + x₂ + …", "Bright where at least one input was bright.",
             "至少有一个输入亮的地方就亮。"},
};

const cvi_op cvi_op_mean = {
    .name = "Mean",
    .word_en = "mean",
    .word_zh = "均值",
    .symbol = "μ",
    .since = 8,
    .inputs = many_in,
    .n_inputs = 1,
    .outputs = mean_out,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_ADD,
    .infer = infer_variadic,
    .forward = forward_mean,
    .backward = backward_mean,
    .cost = cost_fold,
    .text = {"Mean of inputs", "多路平均", "Averages all of its inputs, number by number.",
             "对所有输入逐元素求平均。", "y = (x₁ + … + xₖ) / k",
             "Bright where most inputs agree on being bright.", "多数输入都亮的地方才亮。"},
};

const cvi_op cvi_op_max = {
    .name = "Max",
    .word_en = "max",
    .word_zh = "取大",
    .since = 8,
    .inputs = many_in,
    .n_inputs = 1,
    .outputs = max_out,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_variadic,
    .forward = forward_max,
    .any_type = true,
    .backward = backward_max,
    .cost = cost_fold,
    .text = {"Maximum of inputs", "多路取最大", "Keeps the largest of its inputs, number by number.",
             "逐元素保留各输入中的最大值。", "y = max(x₁, x₂, …)", "Every place shows its strongest input.",
             "每个位置显示最强的那个输入。"},
};

const cvi_op cvi_op_min = {
    .name = "Min",
    .word_en = "min",
    .word_zh = "取小",
    .since = 8,
    .inputs = many_in,
    .n_inputs = 1,
    .outputs = min_out,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_variadic,
    .forward = forward_min,
    .any_type = true,
    .backward = backward_min,
    .cost = cost_fold,
    .text = {"Minimum of inputs", "多路取最小", "Keeps the smallest of its inputs, number by number.",
             "逐元素保留各输入中的最小值。", "y = min(x₁, x₂, …)",
             "A place is bright only where all inputs are bright.", "只有所有输入都亮的地方才亮。"},
};
