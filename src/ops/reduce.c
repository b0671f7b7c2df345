/* SPDX-License-Identifier: MIT
 * reduce.c - ReduceSum Mean Max Min Prod L1 L2 LogSum LogSumExp SumSquare: folds over some axes. Floats are summed in
 * double; integers exactly. An empty set gives what the fold starts with (0, 1, -inf, ...). Axes come as an input.
 */
#include <float.h>
#include <math.h>

#include "ops/walk.h"

typedef enum reduction {
    RED_SUM,
    RED_MEAN,
    RED_MAX,
    RED_MIN,
    RED_PROD,
    RED_L1,
    RED_L2,
    RED_LOG_SUM,
    RED_LOG_SUM_EXP,
    RED_SUM_SQUARE
} reduction;

/* Some axes of the input as loops: sides and steps in elements, neighbours joined. */
typedef struct sides {
    int n;
    int64_t dim[CVS_MAX_RANK], step[CVS_MAX_RANK], count;
} sides;

typedef struct reduce_plan {
    sides kept, gone; /* an output element is a kept position, its set the gone positions */
} reduce_plan;

/* ---- shapes ------------------------------------------------------------------------------------------ */
/* gone[a]: axis a is reduced. No axes: all of them, or none with noop_with_empty_axes. */
static cvs_status reduced_axes(const cvi_opctx *ctx, bool *gone) {
    int rank = ctx->in[0]->rank, n, a;
    int64_t axes[CVS_MAX_RANK];
    CVI_TRY(cvi_ints(ctx, 1, axes, CVS_MAX_RANK, &n));
    bool all = n <= 0 && cvi_op_int(ctx, "noop_with_empty_axes") == 0;
    for (a = 0; a < rank; a++) {
        gone[a] = all;
    }
    for (int k = 0; k < n; k++) {
        CVI_TRY(cvi_axis(ctx, axes[k], rank, &a));
        gone[a] = true;
    }
    return CVS_OK;
}

static cvs_status infer_reduce(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    bool gone[CVS_MAX_RANK], keep = cvi_op_int(ctx, "keepdims") != 0;
    int64_t dim[CVS_MAX_RANK];
    int rank = 0;
    CVI_TRY(reduced_axes(ctx, gone));
    for (int a = 0; a < x->rank; a++) {
        if (!gone[a]) {
            dim[rank++] = x->dim[a];
        } else if (keep) {
            dim[rank++] = 1;
        }
    }
    return cvi_out_shape(ctx, 0, x->dtype, rank, dim);
}

static void add_side(sides *s, int64_t dim, int64_t step) {
    s->count *= dim;
    if (dim == 1) {
        return;
    }
    if (s->n > 0 && s->step[s->n - 1] == step * dim) {
        s->dim[s->n - 1] *= dim;
        s->step[s->n - 1] = step;
        return;
    }
    s->dim[s->n] = dim;
    s->step[s->n++] = step;
}

static cvs_status make_plan(const cvi_opctx *ctx, reduce_plan *p) {
    const cvs_tensor *x = ctx->in[0];
    bool gone[CVS_MAX_RANK];
    int64_t stride[CVS_MAX_RANK];
    CVI_TRY(reduced_axes(ctx, gone));
    cvi_strides(x->rank, x->dim, stride);
    *p = (reduce_plan){.kept = {.count = 1}, .gone = {.count = 1}};
    for (int a = 0; a < x->rank; a++) {
        add_side(gone[a] ? &p->gone : &p->kept, x->dim[a], stride[a]);
    }
    return CVS_OK;
}

/* Offset of position i of these sides. */
static int64_t side_at(const sides *s, int64_t i) {
    int64_t at = 0;
    for (int a = s->n - 1; a >= 0; a--) {
        at += i % s->dim[a] * s->step[a];
        i /= s->dim[a];
    }
    return at;
}

/* The last of the sides as a run: its length and step; the others are counted by `runs`. */
static void last_run(const sides *s, int64_t *runs, int64_t *length, int64_t *step) {
    *length = s->n > 0 ? s->dim[s->n - 1] : 1;
    *step = s->n > 0 ? s->step[s->n - 1] : 1;
    *runs = *length > 0 ? s->count / *length : 0;
}

/* ---- forward ----------------------------------------------------------------------------------------- */
static double start_of(reduction kind) {
    return kind == RED_PROD ? 1 : kind == RED_MAX ? -INFINITY : kind == RED_MIN ? INFINITY : 0;
}

static double fold_in(reduction kind, double sum, double v, double shift) {
    switch (kind) {
    case RED_MAX:
        return v > sum || v != v ? v : sum;
    case RED_MIN:
        return v < sum || v != v ? v : sum;
    case RED_PROD:
        return sum * v;
    case RED_L1:
        return sum + fabs(v);
    case RED_L2:
    case RED_SUM_SQUARE:
        return sum + v * v;
    case RED_LOG_SUM_EXP:
        return sum + exp(v - shift);
    default:
        return sum + v;
    }
}

static double finish(reduction kind, double sum, double n, double shift) {
    switch (kind) {
    case RED_MEAN:
        return sum / n;
    case RED_L2:
        return sqrt(sum);
    case RED_LOG_SUM:
        return log(sum);
    case RED_LOG_SUM_EXP:
        return log(sum) + shift;
    default:
        return sum;
    }
}

/* One pass over the set of an output element. */
static double fold_set(const cvs_tensor *x, const reduce_plan *p, int64_t base, reduction kind,
                       double shift) {
    double sum = start_of(kind);
    int64_t runs, length, step;
    last_run(&p->gone, &runs, &length, &step);
    for (int64_t r = 0; r < runs; r++) {
        int64_t at = base + side_at(&p->gone, r * length);
        if (x->dtype == CVS_F32 && (kind == RED_SUM || kind == RED_MEAN)) {
            const float *v = (const float *)x->data + at;
            for (int64_t i = 0; i < length; i++) {
                sum += (double)v[i * step];
            }
            continue;
        }
        for (int64_t i = 0; i < length; i++) {
            sum = fold_in(kind, sum, cvi_get(x, at + i * step), shift);
        }
    }
    return sum;
}

static double real_of_set(const cvs_tensor *x, const reduce_plan *p, int64_t base, reduction kind) {
    double shift = 0;
    if (kind == RED_LOG_SUM_EXP) { /* the largest is taken out, so that exp cannot overflow */
        shift = fold_set(x, p, base, RED_MAX, 0);
        shift = isfinite(shift) ? shift : 0;
    }
    return finish(kind, fold_set(x, p, base, kind, shift), (double)p->gone.count, shift);
}

/* The smallest (MAX starts there) or largest integer of a type. */
static int64_t whole_start(reduction kind, cvs_dtype dtype) {
    int bits = (int)cvs_dtype_size(dtype) * 8;
    bool is_signed = cvi_is_signed(dtype);
    if (kind == RED_PROD) {
        return 1;
    }
    if (kind == RED_MAX) {
        return is_signed ? -(int64_t)(((uint64_t)1 << (bits - 1)) - 1) - 1 : 0;
    }
    if (kind == RED_MIN) {
        if (dtype == CVS_BOOL) {
            return 1;
        }
        return (int64_t)(UINT64_MAX >> (64 - bits + (is_signed ? 1 : 0)));
    }
    return 0;
}

static int64_t whole_fold(reduction kind, bool big, int64_t sum, int64_t v) {
    uint64_t a = (uint64_t)sum, b = (uint64_t)v;
    switch (kind) {
    case RED_MAX:
        return (big ? b > a : v > sum) ? v : sum;
    case RED_MIN:
        return (big ? b < a : v < sum) ? v : sum;
    case RED_PROD:
        return (int64_t)(a * b);
    case RED_L1:
        return (int64_t)(a + (!big && v < 0 ? 0 - b : b));
    case RED_SUM_SQUARE:
        return (int64_t)(a + b * b);
    default:
        return (int64_t)(a + b);
    }
}

static int64_t whole_of_set(const cvs_tensor *x, const reduce_plan *p, int64_t base, reduction kind) {
    int64_t sum = whole_start(kind, x->dtype);
    for (int64_t i = 0; i < p->gone.count; i++) {
        sum = whole_fold(kind, x->dtype == CVS_U64, sum, cvi_get_int(x, base + side_at(&p->gone, i)));
    }
    return kind == RED_MEAN && p->gone.count > 0 ? sum / p->gone.count : sum;
}

typedef struct reduce_job {
    const cvs_tensor *x, *y;
    reduce_plan plan;
    reduction kind;
    bool whole;
} reduce_job;

static void reduce_rows(void *context, int64_t begin, int64_t end) {
    const reduce_job *job = context;
    for (int64_t o = begin; o < end; o++) {
        int64_t base = side_at(&job->plan.kept, o);
        if (job->whole) {
            cvi_put_int(job->y, o, whole_of_set(job->x, &job->plan, base, job->kind));
        } else {
            cvi_put(job->y, o, real_of_set(job->x, &job->plan, base, job->kind));
        }
    }
}

static cvs_status forward_kind(cvi_opctx *ctx, reduction kind) {
    reduce_job job = {.x = ctx->in[0], .y = &ctx->out[0], .kind = kind};
    CVI_TRY(make_plan(ctx, &job.plan));
    job.whole =
        !cvi_is_float(job.x->dtype) && kind != RED_L2 && kind != RED_LOG_SUM && kind != RED_LOG_SUM_EXP;
    cvi_each_rows(ctx, cvs_tensor_count(job.y), job.plan.gone.count, &job, reduce_rows);
    return CVS_OK;
}

/* ---- backward ---------------------------------------------------------------------------------------- */
/* Product of all of the set but element `without`, for a set that has zeros. */
static double product_without(const cvs_tensor *x, const reduce_plan *p, int64_t base, int64_t without) {
    double product = 1;
    for (int64_t i = 0; i < p->gone.count; i++) {
        product *= i == without ? 1 : cvi_get(x, base + side_at(&p->gone, i));
    }
    return product;
}

/* dy/dx of element x of a set whose fold is y; `ties` elements equal y. */
static double slope_of(reduction kind, double x, double y, double n, double ties) {
    switch (kind) {
    case RED_MEAN:
        return 1 / n;
    case RED_MAX:
    case RED_MIN:
        return x == y ? 1 / ties : 0;
    case RED_L1:
        return x > 0 ? 1 : x < 0 ? -1 : 0;
    case RED_L2:
        return y != 0 ? x / y : 0;
    case RED_LOG_SUM:
        return exp(-y);
    case RED_LOG_SUM_EXP:
        return exp(x - y);
    case RED_SUM_SQUARE:
        return 2 * x;
    default:
        return 1;
    }
}

static cvs_status backward_kind(cvi_opctx *ctx, reduction kind, const cvs_tensor *g, cvs_tensor *grad) {
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    reduce_plan p;
    if (g == NULL || grad == NULL) {
        return CVS_OK;
    }
    CVI_TRY(make_plan(ctx, &p));
    for (int64_t o = 0; o < p.kept.count; o++) {
        int64_t base = side_at(&p.kept, o);
        double v = cvi_get(y, o), up = cvi_get(g, o), ties = 0;
        for (int64_t i = 0; (kind == RED_MAX || kind == RED_MIN) && i < p.gone.count; i++) {
            ties += cvi_get(x, base + side_at(&p.gone, i)) == v;
        }
        for (int64_t i = 0; i < p.gone.count; i++) {
            int64_t at = base + side_at(&p.gone, i);
            double d = kind == RED_PROD ? product_without(x, &p, base, i)
                                        : slope_of(kind, cvi_get(x, at), v, (double)p.gone.count, ties);
            cvi_put(grad, at, cvi_get(grad, at) + d * up);
        }
    }
    return CVS_OK;
}

#define REDUCER(NAME, KIND)                                                                                  \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        return forward_kind(ctx, KIND);                                                                      \
    }                                                                                                        \
    static cvs_status backward_##NAME(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,      \
                                      cvs_tensor *const *grad_in) {                                          \
        (void)rule;                                                                                          \
        return backward_kind(ctx, KIND, grad_out[0], grad_in[0]);                                            \
    }
REDUCER(reduce_sum, RED_SUM)
REDUCER(reduce_mean, RED_MEAN)
REDUCER(reduce_max, RED_MAX)
REDUCER(reduce_min, RED_MIN)
REDUCER(reduce_prod, RED_PROD)
REDUCER(reduce_l1, RED_L1)
REDUCER(reduce_l2, RED_L2)
REDUCER(reduce_log_sum, RED_LOG_SUM)
REDUCER(reduce_log_sum_exp, RED_LOG_SUM_EXP)
REDUCER(reduce_sum_square, RED_SUM_SQUARE)

static void cost_reduce(const cvi_opctx *ctx, cvi_cost *cost) {
    cost->flops = cvs_tensor_count(ctx->in[0]);
}

/* Positions are gone once a spatial axis is folded: every output reads all of that axis. */
static void field_reduce(const cvi_opctx *ctx, cvi_field_step *step) {
    const cvs_tensor *x = ctx->in[0];
    bool gone[CVS_MAX_RANK] = {false};
    step->kind = CVI_FIELD_SAME;
    if (reduced_axes(ctx, gone) != CVS_OK) {
        step->kind = CVI_FIELD_ALL;
        return;
    }
    for (int a = CVI_MAX(x->rank - 2, 0); a < x->rank && x->rank >= 3; a++) {
        if (gone[a] && x->dim[a] > 1) {
            step->kind = CVI_FIELD_ALL;
        }
    }
}

static bool apart_reduce(const cvi_opctx *ctx) {
    bool gone[CVS_MAX_RANK] = {false};
    return reduced_axes(ctx, gone) == CVS_OK && !gone[0];
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io reduce_in[] = {{"data", CVI_DATA, false, false}, {"axes", CVI_SHAPE, true, false}};
static const cvi_op_io reduce_out[] = {{"reduced", CVI_DATA, false, false}};
static const cvi_op_attr reduce_attrs[] = {
    {"keepdims", CVI_ATTR_INT, "1", "0|1", "1: a folded dimension stays with size 1; 0: it is removed",
     "1：被归约的维保留为大小 1；0：去掉"},
    {"noop_with_empty_axes", CVI_ATTR_INT, "0", "0|1", "1: no axes means nothing is folded; 0: it means all",
     "1：未给出轴时不归约；0：归约所有轴"},
};

#define DESCRIBE(SYMBOL, NAME, ...)                                                                          \
    const cvi_op cvi_op_##SYMBOL = {                                                                         \
        .name = NAME,                                                                                        \
        .since = 18,                                                                                         \
        .inputs = reduce_in,                                                                                 \
        .n_inputs = 2,                                                                                       \
        .outputs = reduce_out,                                                                               \
        .n_outputs = 1,                                                                                      \
        .attrs = reduce_attrs,                                                                               \
        .n_attrs = 2,                                                                                        \
        .glyph = CVI_GLYPH_MATH,                                                                             \
        .infer = infer_reduce,                                                                               \
        .forward = forward_##SYMBOL,                                                                         \
        .any_type = true,                                                                                    \
        .apart = apart_reduce,                                                                               \
        .backward = backward_##SYMBOL,                                                                       \
        .cost = cost_reduce,                                                                                 \
        .field = field_reduce,                                                                               \
        .text = {__VA_ARGS__},                                                                               \
    };

DESCRIBE(reduce_sum, "ReduceSum", "Sum over axes", "沿轴求和", "Adds all numbers along the chosen axes.",
         "把所选各轴上的数相加。", "y = Σ x", "How much of it there is in all, wherever it lies.",
         "表示总量有多少，与位置无关。")
DESCRIBE(reduce_mean, "ReduceMean", "Mean over axes", "沿轴求平均",
         "Averages along the chosen axes; over rows and columns it is a global average pooling.",
         "沿所选轴求平均；若对行和列求，就是全局平均池化。", "y = (1/n) Σ x",
         "One average in place of many numbers: how strongly a map answers on the whole.",
         "用一个平均值代替许多数：表示整张特征图的平均响应。")
DESCRIBE(reduce_max, "ReduceMax", "Maximum over axes", "沿轴取最大",
         "Keeps the largest number along the chosen axes.", "保留所选轴上的最大值。", "y = max x",
         "The strongest answer anywhere; where it was is forgotten.", "最强的响应；它的位置不再保留。")
DESCRIBE(reduce_min, "ReduceMin", "Minimum over axes", "沿轴取最小",
         "Keeps the smallest number along the chosen axes.", "保留所选轴上的最小值。", "y = min x",
         "The weakest answer anywhere; where it was is forgotten.", "最弱的响应；它的位置不再保留。")
DESCRIBE(reduce_prod, "ReduceProd", "Product over axes", "沿轴求积",
         "Multiplies all numbers along the chosen axes.", "把所选各轴上的数相乘。", "y = Π x",
         "A single 0 along the axes makes the result 0.", "只要有一个 0，结果就是 0。")
DESCRIBE(reduce_l1, "ReduceL1", "L1 norm over axes", "沿轴 L1 范数",
         "Adds the absolute values along the chosen axes.", "把所选轴上各数的绝对值相加。", "y = Σ |x|",
         "Total strength, whatever the sign.", "总强度，不分正负。")
DESCRIBE(reduce_l2, "ReduceL2", "L2 norm over axes", "沿轴 L2 范数",
         "The length of the vector along the chosen axes: the root of the sum of squares.",
         "所选轴上向量的长度，即平方和的平方根。", "y = √(Σ x²)",
         "Total strength, led by the largest values.", "总强度，主要由大的值决定。")
DESCRIBE(reduce_log_sum, "ReduceLogSum", "Log of sum over axes", "沿轴和的对数",
         "The logarithm of the sum along the chosen axes.", "所选轴上各数之和的自然对数。", "y = ln Σ x",
         "A sum on a scale where ratios are differences.", "在对数尺度上的总和。")
DESCRIBE(reduce_log_sum_exp, "ReduceLogSumExp", "Log-sum-exp over axes", "沿轴对数指数和",
         "A smooth maximum along the chosen axes: the logarithm of the sum of exponentials.",
         "所选轴上的平滑最大值：指数之和的对数。", "y = ln Σ eˣ",
         "A little above the largest value; more where several are close.",
         "略高于最大值；若有几个值相近则更高。")
DESCRIBE(reduce_sum_square, "ReduceSumSquare", "Sum of squares over axes", "沿轴平方和",
         "Adds the squares along the chosen axes.", "把所选轴上各数的平方相加。", "y = Σ x²",
         "Energy: large values of either sign count most.", "能量：无论正负，大的值贡献最多。")
