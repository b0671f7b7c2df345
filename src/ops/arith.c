/* SPDX-License-Identifier: MIT
 * arith.c - Add Sub Mul Div Pow Mod: two operands, numpy broadcasting, every number type. Integers are exact and wrap as
 * C's unsigned do; an integer divided by zero is an error with its place. Gradients of repeated operands are sums.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "ops/walk.h"

typedef struct arith {
    void (*f32)(int64_t n, const float *a, int64_t sa, const float *b, int64_t sb, float *y);
    void (*f64)(int64_t n, const double *a, int64_t sa, const double *b, int64_t sb, double *y);
    /* Exact on integers of at most 64 bits; `big`: both are unsigned 64-bit patterns. false: divided by zero. */
    bool (*whole)(int64_t a, int64_t b, bool big, int64_t *y);
    double (*real)(double a, double b);
    /* dy/da (which = 0) or dy/db (which = 1). */
    double (*slope)(int which, double a, double b, double y);
} arith;

#define ROWS(NAME, EXPRESSION32, EXPRESSION64)                                                               \
    static void NAME##_f32(int64_t n, const float *x, int64_t sx, const float *z, int64_t sz, float *y) {    \
        if (sx == 1 && sz == 1) {                                                                            \
            for (int64_t i = 0; i < n; i++) {                                                                \
                const float a = x[i], b = z[i];                                                              \
                y[i] = EXPRESSION32;                                                                         \
            }                                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            const float a = x[i * sx], b = z[i * sz];                                                        \
            y[i] = EXPRESSION32;                                                                             \
        }                                                                                                    \
    }                                                                                                        \
    static double NAME##_real(double a, double b) {                                                          \
        return EXPRESSION64;                                                                                 \
    }                                                                                                        \
    static void NAME##_f64(int64_t n, const double *x, int64_t sx, const double *z, int64_t sz, double *y) { \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            const double a = x[i * sx], b = z[i * sz];                                                       \
            y[i] = EXPRESSION64;                                                                             \
        }                                                                                                    \
    }

ROWS(add, a + b, a + b)
ROWS(sub, a - b, a - b)
ROWS(mul, a *b, a *b)
ROWS(div, a / b, a / b)
ROWS(pow, powf(a, b), pow(a, b))
ROWS(fmod, fmodf(a, b), fmod(a, b))
/* The remainder with the divisor's sign, as NumPy's: no detour over a quotient, which an infinite divisor would spoil. */
static double signed_remainder(double a, double b) {
    double r = fmod(a, b);
    return r == 0 ? copysign(0, b) : (r < 0) != (b < 0) ? r + b : r;
}
ROWS(floormod, (float)signed_remainder((double)a, (double)b), signed_remainder(a, b))

static bool add_whole(int64_t a, int64_t b, bool big, int64_t *y) {
    (void)big;
    *y = (int64_t)((uint64_t)a + (uint64_t)b);
    return true;
}

static bool sub_whole(int64_t a, int64_t b, bool big, int64_t *y) {
    (void)big;
    *y = (int64_t)((uint64_t)a - (uint64_t)b);
    return true;
}

static bool mul_whole(int64_t a, int64_t b, bool big, int64_t *y) {
    (void)big;
    *y = (int64_t)((uint64_t)a * (uint64_t)b);
    return true;
}

/* Towards zero, as ONNX says for integers. */
static bool div_whole(int64_t a, int64_t b, bool big, int64_t *y) {
    if (b == 0) {
        return false;
    }
    if (big) {
        *y = (int64_t)((uint64_t)a / (uint64_t)b);
    } else {
        *y = b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
    }
    return true;
}

static bool fmod_whole(int64_t a, int64_t b, bool big, int64_t *y) {
    if (b == 0) {
        return false;
    }
    if (big) {
        *y = (int64_t)((uint64_t)a % (uint64_t)b);
    } else {
        *y = b == -1 ? 0 : a % b;
    }
    return true;
}

static bool floormod_whole(int64_t a, int64_t b, bool big, int64_t *y) {
    if (!fmod_whole(a, b, big, y)) {
        return false;
    }
    if (!big && *y != 0 && (*y < 0) != (b < 0)) {
        *y += b;
    }
    return true;
}

static double add_slope(int which, double a, double b, double y) {
    (void)which, (void)a, (void)b, (void)y;
    return 1;
}

static double sub_slope(int which, double a, double b, double y) {
    (void)a, (void)b, (void)y;
    return which == 0 ? 1 : -1;
}

static double mul_slope(int which, double a, double b, double y) {
    (void)y;
    return which == 0 ? b : a;
}

static double div_slope(int which, double a, double b, double y) {
    (void)a;
    return which == 0 ? 1 / b : -y / b;
}

/* d a^b/db = a^b ln a, taken as 0 where a is not positive, as frameworks do. */
static double pow_slope(int which, double a, double b, double y) {
    if (which == 0) {
        return b == 0 ? 0 : b * pow(a, b - 1);
    }
    return a > 0 ? y * log(a) : 0;
}

static double mod_slope(int which, double a, double b, double y) {
    return which == 0 ? 1 : -((a - y) / b);
}

static const arith add_rule = {add_f32, add_f64, add_whole, add_real, add_slope};
static const arith sub_rule = {sub_f32, sub_f64, sub_whole, sub_real, sub_slope};
static const arith mul_rule = {mul_f32, mul_f64, mul_whole, mul_real, mul_slope};
static const arith div_rule = {div_f32, div_f64, div_whole, div_real, div_slope};
static const arith pow_rule = {pow_f32, pow_f64, NULL, pow_real, pow_slope};
static const arith fmod_rule = {fmod_f32, fmod_f64, fmod_whole, fmod_real, mod_slope};
static const arith floormod_rule = {floormod_f32, floormod_f64, floormod_whole, floormod_real, mod_slope};

static const arith *mod_rule(const cvi_opctx *ctx) {
    return cvi_op_int(ctx, "fmod") != 0 ? &fmod_rule : &floormod_rule;
}

/* ---- shapes ------------------------------------------------------------------------------------------ */
static cvs_status infer_pair(cvi_opctx *ctx, bool one_type) {
    int rank;
    int64_t dim[CVS_MAX_RANK];
    for (int k = 0; k < 2; k++) {
        if (ctx->in[k]->dtype == CVS_BOOL) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "input %d is bool, but must be of a number type", k);
        }
    }
    if (one_type) {
        CVI_TRY(cvi_one_type(ctx, 0, 1));
    }
    CVI_TRY(cvi_broadcast(ctx, 2, ctx->in, &rank, dim));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, rank, dim);
}

static cvs_status infer_arith(cvi_opctx *ctx) {
    return infer_pair(ctx, true);
}

static cvs_status infer_pow(cvi_opctx *ctx) {
    return infer_pair(ctx, false);
}

/* ---- forward ----------------------------------------------------------------------------------------- */
typedef struct arith_job {
    cvi_opctx *ctx;
    const arith *rule;
    cvi_walk walk;
} arith_job;

static void float_rows(void *context, int64_t begin, int64_t end) {
    const arith_job *job = context;
    const cvi_walk *w = &job->walk;
    const cvs_tensor *a = job->ctx->in[0], *b = job->ctx->in[1];
    cvs_tensor *y = &job->ctx->out[0];
    int64_t at[2], sa = w->step[0][w->rank - 1], sb = w->step[1][w->rank - 1];
    for (int64_t row = begin; row < end; row++) {
        cvi_walk_at(w, row, at);
        if (y->dtype == CVS_F32) {
            job->rule->f32(w->length, (const float *)a->data + at[0], sa, (const float *)b->data + at[1], sb,
                           (float *)y->data + row * w->length);
        } else {
            job->rule->f64(w->length, (const double *)a->data + at[0], sa, (const double *)b->data + at[1],
                           sb, (double *)y->data + row * w->length);
        }
    }
}

/* Integer power by squaring, wrapping; a negative exponent leaves only 1 and -1. */
static int64_t whole_pow(int64_t a, int64_t b) {
    if (b < 0) {
        return a == 1 ? 1 : a == -1 ? (b % 2 != 0 ? -1 : 1) : 0;
    }
    uint64_t y = 1, x = (uint64_t)a;
    for (uint64_t n = (uint64_t)b; n > 0; n >>= 1) {
        if (n & 1) {
            y *= x;
        }
        x *= x;
    }
    return (int64_t)y;
}

/* A real power stored in an integer type: truncated, and kept inside int64. */
static int64_t truncated(double v) {
    if (!(v > -9.2e18 && v < 9.2e18)) {
        return v > 0 ? INT64_MAX : v < 0 ? INT64_MIN : 0;
    }
    return (int64_t)v;
}

static cvs_status one_element(cvi_opctx *ctx, const arith *rule, int64_t i, int64_t ia, int64_t ib) {
    const cvs_tensor *a = ctx->in[0], *b = ctx->in[1];
    cvs_tensor *y = &ctx->out[0];
    if (cvi_is_float(y->dtype)) {
        cvi_put(y, i, rule->real(cvi_get(a, ia), cvi_get(b, ib)));
        return CVS_OK;
    }
    if (rule->whole == NULL) {
        cvi_put_int(y, i,
                    cvi_is_float(b->dtype) ? truncated(pow(cvi_get(a, ia), cvi_get(b, ib)))
                                           : whole_pow(cvi_get_int(a, ia), cvi_get_int(b, ib)));
        return CVS_OK;
    }
    int64_t v;
    if (!rule->whole(cvi_get_int(a, ia), cvi_get_int(b, ib), y->dtype == CVS_U64, &v)) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "an integer is divided by zero at element %lld", (long long)i);
    }
    cvi_put_int(y, i, v);
    return CVS_OK;
}

static cvs_status forward_rule(cvi_opctx *ctx, const arith *rule) {
    cvs_tensor *y = &ctx->out[0];
    arith_job job = {.ctx = ctx, .rule = rule};
    cvi_walk *w = &job.walk;
    cvi_walk_make(w, y->rank, y->dim, 2, ctx->in);
    if ((y->dtype == CVS_F32 || y->dtype == CVS_F64) && ctx->in[1]->dtype == y->dtype) {
        cvi_each_rows(ctx, w->rows, w->length, &job, float_rows);
        return CVS_OK;
    }
    for (int64_t row = 0; row < w->rows; row++) {
        int64_t at[2];
        cvi_walk_at(w, row, at);
        for (int64_t i = 0; i < w->length; i++) {
            CVI_TRY(one_element(ctx, rule, row * w->length + i, at[0] + i * w->step[0][w->rank - 1],
                                at[1] + i * w->step[1][w->rank - 1]));
        }
    }
    return CVS_OK;
}

/* An operator's function is its rule's: forward_add, fast_add, ... */
#define RUN(HOW, NAME, RULE)                                                                                 \
    static cvs_status HOW##_##NAME(cvi_opctx *ctx) {                                                         \
        return HOW##_rule(ctx, RULE);                                                                        \
    }
RUN(forward, add, &add_rule)
RUN(forward, sub, &sub_rule)
RUN(forward, mul, &mul_rule)
RUN(forward, div, &div_rule)
RUN(forward, pow, &pow_rule)
RUN(forward, mod, mod_rule(ctx))

/* ---- fast: channels last, equal shapes or one number a channel ------------------------------------------ */
/* How operand k lies against y [N,C,H,W]: the same, one number a channel (of each sample or of all), one number. */
typedef enum lie { LIE_NONE, LIE_SAME, LIE_SAMPLE_CHANNEL, LIE_CHANNEL, LIE_NUMBER } lie;

static lie how_it_lies(const cvs_tensor *t, const cvs_tensor *y) {
    int64_t n = cvs_tensor_count(t);
    if (cvi_same_shape(t, y)) {
        return LIE_SAME;
    }
    if (n == 1) {
        return LIE_NUMBER;
    }
    bool per_channel =
        n == y->dim[1] && ((t->rank == 4 && t->dim[1] == n) || (t->rank == 3 && t->dim[0] == n));
    if (per_channel) {
        return LIE_CHANNEL;
    }
    bool per_sample =
        t->rank == 4 && t->dim[0] == y->dim[0] && t->dim[1] == y->dim[1] && t->dim[2] == 1 && t->dim[3] == 1;
    return per_sample ? LIE_SAMPLE_CHANNEL : LIE_NONE;
}

static bool can_fast_arith(const cvi_opctx *ctx) {
    const cvs_tensor *y = &ctx->out[0];
    if (y->rank != 4 || y->dtype != CVS_F32) {
        return false;
    }
    lie a = how_it_lies(ctx->in[0], y), b = how_it_lies(ctx->in[1], y);
    return a != LIE_NONE && b != LIE_NONE && (a == LIE_SAME || b == LIE_SAME);
}

/* The padding channels would be 0 / 0 where both operands are large. */
static bool can_fast_div(const cvi_opctx *ctx) {
    const cvs_tensor *y = &ctx->out[0];
    return can_fast_arith(ctx) &&
           (how_it_lies(ctx->in[0], y) != LIE_SAME || how_it_lies(ctx->in[1], y) != LIE_SAME);
}

/* The `c8` numbers of operand t for sample n: a row that repeats, or NULL when the operand is as large as y. */
static cvs_status channel_row(const cvi_opctx *ctx, const cvs_tensor *t, int64_t n, float **row) {
    const cvs_tensor *y = &ctx->out[0];
    int64_t c8 = CVI_PITCH(y->dim[1]);
    lie kind = how_it_lies(t, y);
    *row = NULL;
    if (kind == LIE_SAME) {
        return CVS_OK;
    }
    *row = cvi_arena_alloc(ctx->scratch, c8, sizeof(float));
    if (*row == NULL) {
        return cvi_no_memory(ctx->err, (size_t)c8 * sizeof(float));
    }
    int64_t width = t->layout == CVS_NHWC8 ? CVI_PITCH(t->dim[1]) : t->rank > 0 ? y->dim[1] : 1;
    const float *from = (const float *)t->data + (kind == LIE_SAMPLE_CHANNEL ? n * width : 0);
    for (int64_t c = 0; c < y->dim[1]; c++) {
        (*row)[c] = kind == LIE_NUMBER ? from[0] : from[c];
    }
    return CVS_OK;
}

typedef struct fast_job {
    const arith *rule;
    const float *a, *b, *row_a, *row_b;
    float *y;
    int64_t channels, c8;
} fast_job;

static void fast_rows(void *context, int64_t begin, int64_t end) {
    const fast_job *job = context;
    if (job->row_a == NULL && job->row_b == NULL) {
        job->rule->f32((end - begin) * job->c8, job->a + begin * job->c8, 1, job->b + begin * job->c8, 1,
                       job->y + begin * job->c8);
        return;
    }
    for (int64_t p = begin; p < end; p++) {
        float *y = job->y + p * job->c8;
        job->rule->f32(job->channels, job->row_a != NULL ? job->row_a : job->a + p * job->c8, 1,
                       job->row_b != NULL ? job->row_b : job->b + p * job->c8, 1, y);
        for (int64_t c = job->channels; c < job->c8; c++) {
            y[c] = 0;
        }
    }
}

static cvs_status fast_rule(cvi_opctx *ctx, const arith *rule) {
    const cvs_tensor *a = ctx->in[0], *b = ctx->in[1], *y = &ctx->out[0];
    int64_t c8 = CVI_PITCH(y->dim[1]), pixels = y->dim[2] * y->dim[3];
    for (int64_t n = 0; n < y->dim[0]; n++) {
        float *row_a, *row_b;
        CVI_TRY(channel_row(ctx, a, n, &row_a));
        CVI_TRY(channel_row(ctx, b, n, &row_b));
        fast_job job = {.rule = rule,
                        .a = (const float *)a->data + (row_a == NULL ? n * pixels * c8 : 0),
                        .b = (const float *)b->data + (row_b == NULL ? n * pixels * c8 : 0),
                        .row_a = row_a,
                        .row_b = row_b,
                        .y = (float *)y->data + n * pixels * c8,
                        .channels = y->dim[1],
                        .c8 = c8};
        cvi_each_rows(ctx, pixels, c8, &job, fast_rows);
    }
    return CVS_OK;
}

static cvs_status fast_add(cvi_opctx *ctx) {
    CVI_TRY(fast_rule(ctx, &add_rule));
    cvi_epilogue_finish(ctx);
    return CVS_OK;
}

RUN(fast, sub, &sub_rule)
RUN(fast, mul, &mul_rule)
RUN(fast, div, &div_rule)

/* ---- fast backward: a sum passes its gradient on; a product multiplies it by the other factor ------------- */

static bool add_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    form->passes = true;
    return (!wants[0] || cvi_same_shape(ctx->in[0], &ctx->out[0])) &&
           (!wants[1] || cvi_same_shape(ctx->in[1], &ctx->out[0]));
}

static bool mul_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    for (int k = 0; k < 2; k++) {
        lie kind = how_it_lies(ctx->in[k], &ctx->out[0]);
        if (wants[k]) {
            form->in |= 1u << (1 - k);
        }
        if (wants[k] && kind != LIE_SAME && kind != LIE_SAMPLE_CHANNEL) {
            return false;
        }
        /* The factor of each channel is read as a row of the padded pitch. */
        if (wants[k] && how_it_lies(ctx->in[1 - k], &ctx->out[0]) == LIE_NONE) {
            return false;
        }
    }
    return true;
}

static cvs_status mul_operand(cvi_opctx *ctx, int k, const cvi_back *back) {
    const cvs_tensor *other = ctx->in[1 - k], *g = back->grad_out[0], *y = &ctx->out[0];
    int64_t c8 = CVI_PITCH(y->dim[1]), pixels = y->dim[2] * y->dim[3], all = pixels * c8;
    bool whole = how_it_lies(ctx->in[k], y) == LIE_SAME;
    for (int64_t n = 0; n < y->dim[0]; n++) {
        float *row, *to = (float *)back->grad_in[k]->data + n * (whole ? all : c8);
        const float *from = (const float *)g->data + n * all;
        const float *base = back->base[k] == NULL ? NULL : back->base[k] + n * (whole ? all : c8);
        CVI_TRY(channel_row(ctx, other, n, &row));
        if (!whole) { /* the other one is as large as y, else neither would be */
            cvi_channel_dot(ctx->pool, pixels, c8, from, (const float *)other->data + n * all, base, to);
        } else if (row == NULL) {
            cvi_multiply_add(ctx->pool, all, from, (const float *)other->data + n * all, base, to);
        } else {
            cvi_scale_backward(ctx->pool, pixels, y->dim[1], c8, from, row, base, to);
        }
    }
    return CVS_OK;
}

static cvs_status mul_back(cvi_opctx *ctx, const cvi_back *back) {
    for (int k = 0; k < 2 && back->grad_out[0] != NULL; k++) {
        if (back->grad_in[k] != NULL) {
            CVI_TRY(mul_operand(ctx, k, back));
        }
    }
    return CVS_OK;
}

/* ---- backward ---------------------------------------------------------------------------------------- */
static cvs_status backward_operand(cvi_opctx *ctx, const arith *rule, int which, const cvs_tensor *g,
                                   cvs_tensor *grad) {
    const cvs_tensor *a = ctx->in[0], *b = ctx->in[1], *y = &ctx->out[0];
    if (rule == &add_rule && cvi_same_shape(grad, g)) {
        cvi_tensor_add(grad, g);
        return CVS_OK;
    }
    double *sum;
    CVI_TRY(cvi_sum_new(ctx, grad, &sum));
    cvi_walk w;
    cvi_walk_make(&w, y->rank, y->dim, 2, ctx->in);
    int64_t sa = w.step[0][w.rank - 1], sb = w.step[1][w.rank - 1];
    for (int64_t row = 0; row < w.rows; row++) {
        int64_t at[2];
        cvi_walk_at(&w, row, at);
        for (int64_t i = 0; i < w.length; i++) {
            int64_t o = row * w.length + i, ia = at[0] + i * sa, ib = at[1] + i * sb;
            double slope = rule->slope(which, cvi_get(a, ia), cvi_get(b, ib), cvi_get(y, o));
            sum[which == 0 ? ia : ib] += slope * cvi_get(g, o);
        }
    }
    cvi_sum_add(grad, sum);
    return CVS_OK;
}

static cvs_status backward_pair(cvi_opctx *ctx, const arith *rule, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    for (int k = 0; k < 2 && grad_out[0] != NULL; k++) {
        if (grad_in[k] != NULL) {
            CVI_TRY(backward_operand(ctx, rule, k, grad_out[0], grad_in[k]));
        }
    }
    return CVS_OK;
}

#define BACKWARD(NAME, RULE)                                                                                 \
    static cvs_status backward_##NAME(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,      \
                                      cvs_tensor *const *grad_in) {                                          \
        (void)rule;                                                                                          \
        return backward_pair(ctx, RULE, grad_out, grad_in);                                                  \
    }
BACKWARD(add, &add_rule)
BACKWARD(sub, &sub_rule)
BACKWARD(mul, &mul_rule)
BACKWARD(div, &div_rule)
BACKWARD(pow, &pow_rule)
BACKWARD(mod, mod_rule(ctx))

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io pair_in[] = {{"A", CVI_DATA, false, false}, {"B", CVI_DATA, false, false}};
static const cvi_op_io pow_in[] = {{"X", CVI_DATA, false, false}, {"Y", CVI_DATA, false, false}};
static const cvi_op_io pair_out[] = {{"C", CVI_DATA, false, false}};

#define PAIR_COMMON                                                                                          \
    .n_inputs = 2, .outputs = pair_out, .n_outputs = 1, .any_type = true, .cost = cvi_cost_each

const cvi_op cvi_op_add = {
    .name = "Add",
    .word_en = "add",
    .word_zh = "加",
    .symbol = "+",
    .since = 7,
    PAIR_COMMON,
    .inputs = pair_in,
    .flags = CVI_OP_POINTWISE | CVI_OP_ADDS,
    .glyph = CVI_GLYPH_ADD,
    .infer = infer_arith,
    .forward = forward_add,
    .can_fast = can_fast_arith,
    .fast_layout = CVS_NHWC8,
    .fast = fast_add,
    .epilogue = CVI_EPI_ADD | CVI_EPI_CLAMP,
    .backward = backward_add,
    .back_form = add_back_form,
    .text = {"Addition", "加法",
             "Adds two tensors number by number; in a residual network this joins a block's result with its "
             "input.",
             "把两个张量逐元素相加；在残差网络中，它把模块的输出与其输入合并。", "y = a + b",
             "A bright place was bright in either input; compare it with both to see which one decides.",
             "亮处至少在一个输入中是亮的；与两个输入对照，可以看出由哪一个决定。"},
};

const cvi_op cvi_op_sub = {
    .name = "Sub",
    .word_en = "subtract",
    .word_zh = "减",
    .symbol = "−",
    .since = 7,
    PAIR_COMMON,
    .inputs = pair_in,
    .flags = CVI_OP_POINTWISE | CVI_OP_SUBTRACTS,
    .glyph = CVI_GLYPH_ADD,
    .infer = infer_arith,
    .forward = forward_sub,
    .can_fast = can_fast_arith,
    .fast_layout = CVS_NHWC8,
    .fast = fast_sub,
    .backward = backward_sub,
    .text = {"Subtraction", "减法", "Subtracts the second tensor from the first, number by number.",
             "用第一个张量逐元素减去第二个张量。", "y = a − b",
             "Zero means both inputs agree there; the sign tells which one is larger.",
             "零表示两个输入在该处相等；正负号说明哪一个更大。"},
};

const cvi_op cvi_op_mul = {
    .name = "Mul",
    .word_en = "multiply",
    .word_zh = "乘",
    .symbol = "×",
    .since = 7,
    PAIR_COMMON,
    .inputs = pair_in,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MUL,
    .infer = infer_arith,
    .forward = forward_mul,
    .can_fast = can_fast_arith,
    .fast_layout = CVS_NHWC8,
    .fast = fast_mul,
    .backward = backward_mul,
    .back_form = mul_back_form,
    .back_fast = mul_back,
    .text = {"Multiplication", "乘法",
             "Multiplies two tensors number by number; with one number a channel it turns whole channels up "
             "or down.",
             "把两个张量逐元素相乘；如果每个通道只有一个系数，就是对整个通道进行放大或抑制。", "y = a · b",
             "A place is bright only where both inputs are; a factor near 0 switches a channel off.",
             "只有两个输入都亮的地方才亮；系数接近 0 时，该通道被关闭。"},
};

const cvi_op cvi_op_div = {
    .name = "Div",
    .word_en = "divide",
    .word_zh = "除",
    .symbol = "÷",
    .since = 7,
    PAIR_COMMON,
    .inputs = pair_in,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MUL,
    .infer = infer_arith,
    .forward = forward_div,
    .can_fast = can_fast_div,
    .fast_layout = CVS_NHWC8,
    .fast = fast_div,
    .backward = backward_div,
    .text = {"Division", "除法",
             "Divides the first tensor by the second, number by number; integers are cut towards zero.",
             "用第一个张量逐元素除以第二个张量；整数结果向零取整。", "y = a / b",
             "Values near 1 mean both inputs are alike; very large values point to a divisor near 0.",
             "接近 1 表示两个输入相近；极大的值说明除数接近 0。"},
};

const cvi_op cvi_op_pow = {
    .name = "Pow",
    .since = 7,
    PAIR_COMMON,
    .inputs = pow_in,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_pow,
    .forward = forward_pow,
    .backward = backward_pow,
    .text = {"Power", "幂运算", "Raises the first tensor to the power of the second, number by number.",
             "以第一个张量为底、第二个张量为指数，逐元素求幂。", "y = a^b",
             "Powers above 1 stretch the strong values apart, powers below 1 bring them together.",
             "指数大于 1 会拉开强弱差距，小于 1 则缩小差距。"},
};

static const cvi_op_attr mod_attrs[] = {
    {"fmod", CVI_ATTR_INT, "0", "0|1",
     "1: the remainder has the dividend's sign (C's fmod); 0: the divisor's",
     "1：余数与被除数同号（C 的 fmod）；0：与除数同号"},
};

const cvi_op cvi_op_mod = {
    .name = "Mod",
    .since = 10,
    PAIR_COMMON,
    .inputs = pair_in,
    .attrs = mod_attrs,
    .n_attrs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_arith,
    .forward = forward_mod,
    .backward = backward_mod,
    .text = {"Remainder", "取余",
             "The remainder of dividing the first tensor by the second, number by number.",
             "第一个张量逐元素除以第二个张量所得的余数。", "y = a mod b",
             "The picture repeats like saw teeth: each jump is one more whole divisor.",
             "图像呈锯齿状重复：每次跳变表示又多出一个完整的除数。"},
};
