/* SPDX-License-Identifier: MIT
 * compare_logic.c - Equal Less LessOrEqual Greater GreaterOrEqual, And Or Xor Not, Where, IsNaN IsInf: yes and no for every
 * number, and choosing by it. Comparisons are exact in every type; only Where carries a gradient.
 */
#include <math.h>

#include "ops/walk.h"

/* ---- comparisons and logic ------------------------------------------------------------------------------- */
/* order of a and b: -1, 0, 1, or 2 when one is a NaN. */
static int order_of(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    if (cvi_is_float(a->dtype)) {
        double x = cvi_get(a, i), y = cvi_get(b, j);
        return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
    }
    int64_t x = cvi_get_int(a, i), y = cvi_get_int(b, j);
    if (a->dtype == CVS_U64) {
        return (uint64_t)x < (uint64_t)y ? -1 : (uint64_t)x > (uint64_t)y;
    }
    return x < y ? -1 : x > y;
}

static bool is_equal(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    return order_of(a, i, b, j) == 0;
}

static bool is_less(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    return order_of(a, i, b, j) == -1;
}

static bool is_less_or_equal(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    return order_of(a, i, b, j) <= 0;
}

static bool is_greater(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    return order_of(a, i, b, j) == 1;
}

static bool is_greater_or_equal(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    int order = order_of(a, i, b, j);
    return order == 0 || order == 1;
}

static bool both(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    return cvi_get_int(a, i) != 0 && cvi_get_int(b, j) != 0;
}

static bool either(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    return cvi_get_int(a, i) != 0 || cvi_get_int(b, j) != 0;
}

static bool only_one(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j) {
    return (cvi_get_int(a, i) != 0) != (cvi_get_int(b, j) != 0);
}

static bool is_bool(cvs_dtype dtype) {
    return dtype == CVS_BOOL;
}

static cvs_status infer_compare(cvi_opctx *ctx) {
    int rank;
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(cvi_one_type(ctx, 0, 1));
    CVI_TRY(cvi_broadcast(ctx, 2, ctx->in, &rank, dim));
    return cvi_out_shape(ctx, 0, CVS_BOOL, rank, dim);
}

static cvs_status infer_logic(cvi_opctx *ctx) {
    for (int k = 0; k < ctx->n_in; k++) {
        CVI_TRY(cvi_type_is(ctx, k, is_bool, "bool"));
    }
    return ctx->n_in == 2 ? infer_compare(ctx) : cvi_infer_same(ctx);
}

typedef bool question(const cvs_tensor *a, int64_t i, const cvs_tensor *b, int64_t j);

static cvs_status ask(cvi_opctx *ctx, question *q) {
    cvs_tensor *y = &ctx->out[0];
    uint8_t *answer = y->data;
    cvi_walk w;
    cvi_walk_make(&w, y->rank, y->dim, 2, ctx->in);
    for (int64_t row = 0; row < w.rows; row++) {
        int64_t at[2];
        cvi_walk_at(&w, row, at);
        for (int64_t i = 0; i < w.length; i++) {
            answer[row * w.length + i] = q(ctx->in[0], at[0] + i * w.step[0][w.rank - 1], ctx->in[1],
                                           at[1] + i * w.step[1][w.rank - 1]);
        }
    }
    return CVS_OK;
}

#define ASK(NAME, QUESTION)                                                                                  \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        return ask(ctx, QUESTION);                                                                           \
    }
ASK(equal, is_equal)
ASK(less, is_less)
ASK(less_or_equal, is_less_or_equal)
ASK(greater, is_greater)
ASK(greater_or_equal, is_greater_or_equal)
ASK(and, both)
ASK(or, either)
ASK(xor, only_one)

static cvs_status forward_not(cvi_opctx *ctx) {
    int64_t n = cvs_tensor_count(&ctx->out[0]);
    for (int64_t i = 0; i < n; i++) {
        ((uint8_t *)ctx->out[0].data)[i] = cvi_get_int(ctx->in[0], i) == 0;
    }
    return CVS_OK;
}

/* ---- IsNaN, IsInf ------------------------------------------------------------------------------------------ */
static cvs_status infer_is_float(cvi_opctx *ctx) {
    CVI_TRY(cvi_type_is(ctx, 0, cvi_is_float, "of a floating-point type"));
    return cvi_out_shape(ctx, 0, CVS_BOOL, ctx->in[0]->rank, ctx->in[0]->dim);
}

static cvs_status forward_is_nan(cvi_opctx *ctx) {
    int64_t n = cvs_tensor_count(&ctx->out[0]);
    for (int64_t i = 0; i < n; i++) {
        double v = cvi_get(ctx->in[0], i);
        ((uint8_t *)ctx->out[0].data)[i] = v != v;
    }
    return CVS_OK;
}

static cvs_status forward_is_inf(cvi_opctx *ctx) {
    int64_t n = cvs_tensor_count(&ctx->out[0]);
    bool above = cvi_op_int(ctx, "detect_positive") != 0, below = cvi_op_int(ctx, "detect_negative") != 0;
    for (int64_t i = 0; i < n; i++) {
        double v = cvi_get(ctx->in[0], i);
        ((uint8_t *)ctx->out[0].data)[i] = fabs(v) == (double)INFINITY && (v > 0 ? above : below);
    }
    return CVS_OK;
}

/* ---- Where --------------------------------------------------------------------------------------------- */
static cvs_status infer_where(cvi_opctx *ctx) {
    int rank;
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(cvi_type_is(ctx, 0, is_bool, "bool"));
    CVI_TRY(cvi_one_type(ctx, 1, 2));
    CVI_TRY(cvi_broadcast(ctx, 3, ctx->in, &rank, dim));
    return cvi_out_shape(ctx, 0, ctx->in[1]->dtype, rank, dim);
}

static cvs_status forward_where(cvi_opctx *ctx) {
    cvs_tensor *y = &ctx->out[0];
    const uint8_t *condition = ctx->in[0]->data;
    size_t size = cvs_dtype_size(y->dtype);
    cvi_walk w;
    cvi_walk_make(&w, y->rank, y->dim, 3, ctx->in);
    for (int64_t row = 0; row < w.rows; row++) {
        int64_t at[3];
        cvi_walk_at(&w, row, at);
        for (int64_t i = 0; i < w.length; i++) {
            int k = condition[at[0] + i * w.step[0][w.rank - 1]] != 0 ? 1 : 2;
            int64_t from = at[k] + i * w.step[k][w.rank - 1];
            memcpy((char *)y->data + (size_t)(row * w.length + i) * size,
                   (const char *)ctx->in[k]->data + (size_t)from * size, size);
        }
    }
    return CVS_OK;
}

/* Each number's gradient goes to the input it was taken from. */
static cvs_status backward_where(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                 cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *y = &ctx->out[0];
    const uint8_t *condition = ctx->in[0]->data;
    cvi_walk w;
    cvi_walk_make(&w, y->rank, y->dim, 3, ctx->in);
    for (int k = 1; k <= 2 && grad_out[0] != NULL; k++) {
        double *sum;
        if (grad_in[k] == NULL) {
            continue;
        }
        CVI_TRY(cvi_sum_new(ctx, grad_in[k], &sum));
        for (int64_t row = 0; row < w.rows; row++) {
            int64_t at[3];
            cvi_walk_at(&w, row, at);
            for (int64_t i = 0; i < w.length; i++) {
                bool yes = condition[at[0] + i * w.step[0][w.rank - 1]] != 0;
                if (yes == (k == 1)) {
                    sum[at[k] + i * w.step[k][w.rank - 1]] += cvi_get(grad_out[0], row * w.length + i);
                }
            }
        }
        cvi_sum_add(grad_in[k], sum);
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io pair_in[] = {{"A", CVI_DATA, false, false}, {"B", CVI_DATA, false, false}};
static const cvi_op_io pair_out[] = {{"C", CVI_DATA, false, false}};
static const cvi_op_io one_in[] = {{"X", CVI_DATA, false, false}};
static const cvi_op_io one_out[] = {{"Y", CVI_DATA, false, false}};

/* Comparisons and logic differ in their question and their words only. */
#define PAIR(SYMBOL, NAME, SINCE, INFER, ...)                                                                \
    const cvi_op cvi_op_##SYMBOL = {                                                                         \
        .name = NAME,                                                                                        \
        .since = SINCE,                                                                                      \
        .inputs = pair_in,                                                                                   \
        .n_inputs = 2,                                                                                       \
        .outputs = pair_out,                                                                                 \
        .n_outputs = 1,                                                                                      \
        .flags = CVI_OP_POINTWISE,                                                                           \
        .glyph = CVI_GLYPH_MATH,                                                                             \
        .infer = INFER,                                                                                      \
        .forward = forward_##SYMBOL,                                                                         \
        .any_type = true,                                                                                    \
        .cost = cvi_cost_each,                                                                               \
        .text = {__VA_ARGS__},                                                                               \
    };

PAIR(equal, "Equal", 11, infer_compare, "Equal", "等于",
     "Asks of every pair of numbers whether they are equal.", "逐元素判断两个数是否相等。", "y = (a = b)",
     "White where both inputs are the same, black elsewhere.", "两个输入相同处为白，其余为黑。")
PAIR(less, "Less", 9, infer_compare, "Less than", "小于",
     "Asks of every pair of numbers whether the first is smaller.", "逐元素判断第一个数是否小于第二个数。",
     "y = (a < b)", "White where the first input is smaller.", "第一个输入较小处为白。")
PAIR(less_or_equal, "LessOrEqual", 12, infer_compare, "Less or equal", "小于等于",
     "Asks of every pair of numbers whether the first is at most the second.",
     "逐元素判断第一个数是否不大于第二个数。", "y = (a ≤ b)", "White where the first input is not larger.",
     "第一个输入不大于第二个处为白。")
PAIR(greater, "Greater", 9, infer_compare, "Greater than", "大于",
     "Asks of every pair of numbers whether the first is larger.", "逐元素判断第一个数是否大于第二个数。",
     "y = (a > b)", "White where the first input is larger.", "第一个输入较大处为白。")
PAIR(greater_or_equal, "GreaterOrEqual", 12, infer_compare, "Greater or equal", "大于等于",
     "Asks of every pair of numbers whether the first is at least the second.",
     "逐元素判断第一个数是否不小于第二个数。", "y = (a ≥ b)", "White where the first input is not smaller.",
     "第一个输入不小于第二个处为白。")
PAIR(and, "And", 7, infer_logic, "Logical and", "逻辑与", "True where both inputs are true.",
     "两个输入都为真时为真。", "y = a ∧ b", "White where both masks are white.", "两个掩码都为白处为白。")
PAIR(or, "Or", 7, infer_logic, "Logical or", "逻辑或", "True where at least one input is true.",
     "至少一个输入为真时为真。", "y = a ∨ b", "White where either mask is white.", "任一掩码为白处为白。")
PAIR(xor, "Xor", 7, infer_logic, "Exclusive or", "逻辑异或", "True where exactly one input is true.",
     "恰有一个输入为真时为真。", "y = a ⊕ b", "White where the two masks differ.", "两个掩码不同处为白。")

const cvi_op cvi_op_not = {
    .name = "Not",
    .since = 1,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = one_out,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_logic,
    .forward = forward_not,
    .any_type = true,
    .cost = cvi_cost_each,
    .text = {"Logical not", "逻辑非", "Turns true into false and false into true.", "真变假，假变真。",
             "y = ¬x", "The mask's negative: black and white exchanged.", "掩码的反相：黑白互换。"},
};

const cvi_op cvi_op_is_nan = {
    .name = "IsNaN",
    .since = 9,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = one_out,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_is_float,
    .forward = forward_is_nan,
    .any_type = true,
    .cost = cvi_cost_each,
    .text = {"Is not a number", "是否为 NaN",
             "Asks of every number whether it is a NaN, the result of an undefined "
             "computation.",
             "逐元素判断是否为 NaN，即未定义运算的结果。", "y = (x ≠ x)", "White marks broken numbers.",
             "白色标出失效的数值。"},
};

static const cvi_op_attr is_inf_attrs[] = {
    {"detect_positive", CVI_ATTR_INT, "1", "0|1", "whether +∞ counts", "是否计入正无穷"},
    {"detect_negative", CVI_ATTR_INT, "1", "0|1", "whether −∞ counts", "是否计入负无穷"},
};

const cvi_op cvi_op_is_inf = {
    .name = "IsInf",
    .since = 10,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = one_out,
    .n_outputs = 1,
    .attrs = is_inf_attrs,
    .n_attrs = 2,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_is_float,
    .forward = forward_is_inf,
    .any_type = true,
    .cost = cvi_cost_each,
    .text = {"Is infinite", "是否无穷", "Asks of every number whether it is infinite.",
             "逐元素判断是否为无穷大。", "y = (|x| = ∞)", "White marks numbers that grew beyond all bounds.",
             "白色标出溢出到无穷的数值。"},
};

static const cvi_op_io where_in[] = {
    {"condition", CVI_DATA, false, false}, {"X", CVI_DATA, false, false}, {"Y", CVI_DATA, false, false}};
static const cvi_op_io where_out[] = {{"output", CVI_DATA, false, false}};

const cvi_op cvi_op_where = {
    .name = "Where",
    .since = 9,
    .inputs = where_in,
    .n_inputs = 3,
    .outputs = where_out,
    .n_outputs = 1,
    .flags = CVI_OP_POINTWISE,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_where,
    .forward = forward_where,
    .any_type = true,
    .backward = backward_where,
    .cost = cvi_cost_each,
    .text = {"Choice by mask", "按掩码选择",
             "Takes each number from the first tensor where the mask is true, else from the "
             "second.",
             "掩码为真处取第一个张量的数，否则取第二个的。", "y = m ? a : b",
             "A collage of both inputs; the mask decides which one shows.",
             "两个输入的拼贴；由掩码决定显示哪一个。"},
};
