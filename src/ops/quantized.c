/* SPDX-License-Identifier: MIT
 * quantized.c - QLinearConv QLinearMatMul ConvInteger MatMulInteger: the float operator on integers from which the zero points were
 * taken off, in float64 (exact up to 2^53), then scaled and rounded. So shapes, padding and groups are those of Conv and MatMul.
 */
#include <math.h>

#include "ops/quantize.h"

extern const cvi_op cvi_op_conv, cvi_op_matmul;

/* Where the operands of an operator stand among its inputs; -1 = has none. */
typedef struct layout {
    const cvi_op *inner;
    int a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero, bias;
    bool conv;
} layout;

static const layout qlinear_conv = {&cvi_op_conv, 0, 1, 2, 3, 4, 5, 6, 7, 8, true};
static const layout qlinear_matmul = {&cvi_op_matmul, 0, 1, 2, 3, 4, 5, 6, 7, -1, false};
static const layout conv_integer = {&cvi_op_conv, 0, -1, 2, 1, -1, 3, -1, -1, -1, true};
static const layout matmul_integer = {&cvi_op_matmul, 0, -1, 2, 1, -1, 3, -1, -1, -1, false};

static const cvs_tensor *input(const cvi_opctx *ctx, int k) {
    return k < 0 ? NULL : cvi_in(ctx, k);
}

/* Which way the numbers beside an operand run along it. */
typedef enum along { ALONG_NOTHING, ALONG_FIRST, ALONG_ROWS, ALONG_COLUMNS } along;

/* Index into n numbers for element i of a tensor; n was checked by side_fits. */
static int64_t side_index(const cvs_tensor *t, along way, int64_t n, int64_t i) {
    if (n == 1 || t->rank == 0) {
        return 0;
    }
    int64_t last = t->dim[t->rank - 1];
    if (way == ALONG_FIRST) {
        return i / cvi_product(t->dim, 1, t->rank);
    }
    if (way == ALONG_ROWS) {
        return i / last % n;
    }
    int64_t matrix = last * (t->rank > 1 ? t->dim[t->rank - 2] : 1);
    return (i / matrix * last + i % last) % n;
}

static bool side_fits(const cvs_tensor *t, along way, const cvs_tensor *numbers) {
    int64_t n = numbers != NULL ? cvs_tensor_count(numbers) : 1;
    if (n == 1) {
        return true;
    }
    if (way == ALONG_NOTHING || t->rank < 1 || n < 1) {
        return false;
    }
    if (way == ALONG_FIRST) {
        return n == t->dim[0];
    }
    if (way == ALONG_ROWS) {
        return t->rank >= 2 && (n == t->dim[t->rank - 2] || n == cvi_product(t->dim, 0, t->rank - 1));
    }
    return n == t->dim[t->rank - 1] ||
           (t->rank >= 2 && n == cvi_product(t->dim, 0, t->rank - 2) * t->dim[t->rank - 1]);
}

static cvs_status check_side(const cvi_opctx *ctx, const layout *l, int operand, along way, int k) {
    if (k < 0 || input(ctx, k) == NULL || side_fits(input(ctx, operand), way, input(ctx, k))) {
        return CVS_OK;
    }
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld numbers, which do not fit input %d", k,
                    (long long)cvs_tensor_count(input(ctx, k)), l->a == operand ? l->a : operand);
}

/* The float operator's context on float64 tensors; in[] and out are the caller's. */
static cvi_opctx inner_context(cvi_opctx *ctx, const layout *l, const cvs_tensor *const *in,
                               cvs_tensor *out) {
    cvi_opctx inner = *ctx;
    inner.op = l->inner;
    inner.n_in = l->conv && in[2] != NULL ? 3 : 2;
    inner.n_out = 1;
    inner.in = in;
    inner.out = out;
    return inner;
}

static cvs_status infer_with(cvi_opctx *ctx, const layout *l) {
    cvs_tensor wide[3], out = {.dtype = CVS_NONE};
    const cvs_tensor *in[3] = {NULL};
    const int which[3] = {l->a, l->b, l->bias};
    for (int k = 0; k < 3; k++) {
        const cvs_tensor *t = input(ctx, which[k]);
        if (t != NULL) {
            CVI_TRY(cvi_type_is(ctx, which[k], cvi_is_integer, "of an integer type"));
            wide[k] = *t;
            wide[k].dtype = CVS_F64;
            wide[k].data = NULL;
            in[k] = &wide[k];
        }
    }
    CVI_TRY(check_side(ctx, l, l->a, l->conv ? ALONG_NOTHING : ALONG_ROWS, l->a_zero));
    CVI_TRY(check_side(ctx, l, l->a, l->conv ? ALONG_NOTHING : ALONG_ROWS, l->a_scale));
    CVI_TRY(check_side(ctx, l, l->b, l->conv ? ALONG_FIRST : ALONG_COLUMNS, l->b_zero));
    CVI_TRY(check_side(ctx, l, l->b, l->conv ? ALONG_FIRST : ALONG_COLUMNS, l->b_scale));
    cvi_opctx inner = inner_context(ctx, l, in, &out);
    CVI_TRY(l->inner->infer(&inner));
    cvs_dtype type = CVS_I32;
    if (l->y_zero >= 0) {
        type = ctx->in[l->y_zero]->dtype;
        if (!cvi_is_small_integer(type) || cvs_tensor_count(ctx->in[l->y_zero]) != 1 ||
            cvs_tensor_count(ctx->in[l->y_scale]) != 1) {
            return cvi_fail(ctx->err, CVS_E_UNSUPPORTED,
                            "the output needs one scale and one 8- or 16-bit zero point");
        }
    }
    return cvi_out_shape(ctx, 0, type, out.rank, out.dim);
}

/* Input k in float64, its zero points taken off. */
static cvs_status widened(cvi_opctx *ctx, int k, int zero_input, along way, cvs_tensor *out) {
    const cvs_tensor *t = input(ctx, k), *zero = input(ctx, zero_input);
    int64_t n = cvs_tensor_count(t), n_zero = zero != NULL ? cvs_tensor_count(zero) : 1;
    double *data;
    *out = *t;
    out->dtype = CVS_F64;
    CVI_TRY(cvi_sum_new(ctx, t, &data));
    for (int64_t i = 0; i < n; i++) {
        data[i] = cvi_get(t, i) - (zero != NULL ? cvi_get(zero, side_index(t, way, n_zero, i)) : 0);
    }
    out->data = data;
    out->bytes = (size_t)n * sizeof *data;
    return CVS_OK;
}

/* The factor of output element i: a's scale times b's, over y's. */
static double factor(const cvi_opctx *ctx, const layout *l, int64_t i) {
    const cvs_tensor *y = &ctx->out[0], *a = ctx->in[l->a_scale], *b = ctx->in[l->b_scale];
    int64_t na = cvs_tensor_count(a), nb = cvs_tensor_count(b), channel = 0;
    if (l->conv) {
        channel = nb == 1 ? 0 : i / cvi_product(y->dim, 2, y->rank) % y->dim[1];
    } else {
        channel = side_index(y, ALONG_COLUMNS, nb, i);
    }
    double row = cvi_get(a, l->conv ? 0 : side_index(y, ALONG_ROWS, na, i));
    return row * cvi_get(b, channel) / cvi_get(ctx->in[l->y_scale], 0);
}

static cvs_status forward_with(cvi_opctx *ctx, const layout *l) {
    cvs_tensor *y = &ctx->out[0], a, b, bias, sums = *y;
    const cvs_tensor *in[3] = {&a, &b, NULL};
    int64_t n = cvs_tensor_count(y);
    double *data;
    CVI_TRY(widened(ctx, l->a, l->a_zero, ALONG_ROWS, &a));
    CVI_TRY(widened(ctx, l->b, l->b_zero, l->conv ? ALONG_FIRST : ALONG_COLUMNS, &b));
    if (input(ctx, l->bias) != NULL) {
        CVI_TRY(widened(ctx, l->bias, -1, ALONG_NOTHING, &bias));
        in[2] = &bias;
    }
    CVI_TRY(cvi_sum_new(ctx, y, &data));
    sums.dtype = CVS_F64;
    sums.data = data;
    sums.bytes = (size_t)n * sizeof *data;
    cvi_opctx inner = inner_context(ctx, l, in, &sums);
    CVI_TRY(l->inner->forward(&inner));
    for (int64_t i = 0; i < n; i++) {
        if (l->y_scale < 0) {
            cvi_put_int(y, i, (int64_t)data[i]);
        } else {
            double v = nearbyint(data[i] * factor(ctx, l, i)) + cvi_get(ctx->in[l->y_zero], 0);
            cvi_put(y, i, cvi_saturate(v, y->dtype));
        }
    }
    return CVS_OK;
}

#define QUANTIZED(NAME)                                                                                      \
    static cvs_status infer_##NAME(cvi_opctx *ctx) {                                                         \
        return infer_with(ctx, &NAME);                                                                       \
    }                                                                                                        \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        return forward_with(ctx, &NAME);                                                                     \
    }
QUANTIZED(qlinear_conv)
QUANTIZED(qlinear_matmul)
QUANTIZED(conv_integer)
QUANTIZED(matmul_integer)

/* Cost and receptive field are those of the float operator on the same shapes. */
static void ask_inner(const cvi_opctx *ctx, const layout *l, cvi_cost *cost, cvi_field_step *step) {
    const cvs_tensor *in[3] = {ctx->in[l->a], ctx->in[l->b], input(ctx, l->bias)};
    cvi_opctx copy = *ctx;
    cvi_opctx inner = inner_context(&copy, l, in, ctx->out);
    if (cost != NULL && l->inner->cost != NULL) {
        l->inner->cost(&inner, cost);
    }
    if (step != NULL && l->inner->field != NULL) {
        l->inner->field(&inner, step);
    }
}

#define ASK(NAME)                                                                                            \
    static void cost_##NAME(const cvi_opctx *ctx, cvi_cost *cost) {                                          \
        ask_inner(ctx, &NAME, cost, NULL);                                                                   \
    }                                                                                                        \
    static void field_##NAME(const cvi_opctx *ctx, cvi_field_step *step) {                                   \
        ask_inner(ctx, &NAME, NULL, step);                                                                   \
    }
ASK(qlinear_conv)
ASK(qlinear_matmul)
ASK(conv_integer)
ASK(matmul_integer)

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io one_out[] = {{"y", CVI_DATA, false, false}};
static const cvi_op_attr conv_attrs[] = {
    {"auto_pad", CVI_ATTR_STRING, "NOTSET", "NOTSET|SAME_UPPER|SAME_LOWER|VALID", "how padding is chosen",
     "填充方式"},
    {"kernel_shape", CVI_ATTR_INTS, "", ">= 1", "size of the window on each axis", "窗口在每个轴上的大小"},
    {"pads", CVI_ATTR_INTS, "", ">= 0", "padding before each axis, then after each axis",
     "先列各轴前端的填充，再列各轴后端的填充"},
    {"strides", CVI_ATTR_INTS, "", ">= 1", "step between neighbouring windows on each axis",
     "相邻窗口在每个轴上的步幅"},
    {"dilations", CVI_ATTR_INTS, "", ">= 1", "distance between neighbouring taps of one window on each axis",
     "同一窗口内相邻采样点在每个轴上的间距（空洞率）"},
    {"group", CVI_ATTR_INT, "1", ">= 1", "number of groups of channels that do not mix",
     "互不混合的通道组数"},
};
static const cvi_op_io qconv_in[] = {{"x", CVI_DATA, false, false},
                                     {"x_scale", CVI_SCALE, false, false},
                                     {"x_zero_point", CVI_SHIFT, false, false},
                                     {"w", CVI_WEIGHT, false, false},
                                     {"w_scale", CVI_SCALE, false, false},
                                     {"w_zero_point", CVI_SHIFT, false, false},
                                     {"y_scale", CVI_SCALE, false, false},
                                     {"y_zero_point", CVI_SHIFT, false, false},
                                     {"B", CVI_BIAS, true, false}};

const cvi_op cvi_op_qlinear_conv = {
    .name = "QLinearConv",
    .word_en = "int8 conv",
    .word_zh = "量化卷积",
    .since = 10,
    .inputs = qconv_in,
    .n_inputs = 9,
    .outputs = one_out,
    .n_outputs = 1,
    .attrs = conv_attrs,
    .n_attrs = CVI_COUNT(conv_attrs),
    .glyph = CVI_GLYPH_CONV,
    .infer = infer_qlinear_conv,
    .forward = forward_qlinear_conv,
    .any_type = true,
    .cost = cost_qlinear_conv,
    .field = field_qlinear_conv,
    .text = {"Quantised convolution", "量化卷积",
             "A convolution on small integers: sums are exact, then scaled and rounded.",
             "在小整数上做卷积：求和精确，再缩放并舍入。",
             "y = clamp(round((b + Σ (w − w₀)·(x − x₀)) · sₓ·s_w / s_y) + y₀)",
             "As a convolution's feature map, in few steps of brightness.",
             "与卷积的特征图相同，只是亮度级数有限。"},
};

static const cvi_op_io qmatmul_in[] = {{"a", CVI_DATA, false, false},
                                       {"a_scale", CVI_SCALE, false, false},
                                       {"a_zero_point", CVI_SHIFT, false, false},
                                       {"b", CVI_DATA, false, false},
                                       {"b_scale", CVI_SCALE, false, false},
                                       {"b_zero_point", CVI_SHIFT, false, false},
                                       {"y_scale", CVI_SCALE, false, false},
                                       {"y_zero_point", CVI_SHIFT, false, false}};

const cvi_op cvi_op_qlinear_matmul = {
    .name = "QLinearMatMul",
    .since = 10,
    .inputs = qmatmul_in,
    .n_inputs = 8,
    .outputs = one_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_DENSE,
    .infer = infer_qlinear_matmul,
    .forward = forward_qlinear_matmul,
    .any_type = true,
    .cost = cost_qlinear_matmul,
    .field = field_qlinear_matmul,
    .text = {"Quantised matrix product", "量化矩阵乘法",
             "A matrix product on small integers: sums are exact, then scaled and rounded.",
             "在小整数上做矩阵乘法：求和精确，再缩放并舍入。",
             "y = clamp(round(Σ (a − a₀)·(b − b₀) · s_a·s_b / s_y) + y₀)",
             "As a dense layer's outputs, in few steps.", "与全连接层的输出相同，只是级数有限。"},
};

static const cvi_op_io iconv_in[] = {{"x", CVI_DATA, false, false},
                                     {"w", CVI_WEIGHT, false, false},
                                     {"x_zero_point", CVI_SHIFT, true, false},
                                     {"w_zero_point", CVI_SHIFT, true, false}};

const cvi_op cvi_op_conv_integer = {
    .name = "ConvInteger",
    .word_en = "int conv",
    .word_zh = "整数卷积",
    .since = 10,
    .inputs = iconv_in,
    .n_inputs = 4,
    .outputs = one_out,
    .n_outputs = 1,
    .attrs = conv_attrs,
    .n_attrs = CVI_COUNT(conv_attrs),
    .glyph = CVI_GLYPH_CONV,
    .infer = infer_conv_integer,
    .forward = forward_conv_integer,
    .any_type = true,
    .cost = cost_conv_integer,
    .field = field_conv_integer,
    .text = {"Integer convolution", "整数卷积", "A convolution on small integers with exact 32-bit sums.",
             "在小整数上做卷积，得到精确的 32 位整数和。", "y = Σ (w − w₀)·(x − x₀)",
             "As a convolution's feature map before it is scaled.", "与缩放之前的卷积特征图相同。"},
};

static const cvi_op_io imatmul_in[] = {{"A", CVI_DATA, false, false},
                                       {"B", CVI_DATA, false, false},
                                       {"a_zero_point", CVI_SHIFT, true, false},
                                       {"b_zero_point", CVI_SHIFT, true, false}};

const cvi_op cvi_op_matmul_integer = {
    .name = "MatMulInteger",
    .since = 10,
    .inputs = imatmul_in,
    .n_inputs = 4,
    .outputs = one_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_DENSE,
    .infer = infer_matmul_integer,
    .forward = forward_matmul_integer,
    .any_type = true,
    .cost = cost_matmul_integer,
    .field = field_matmul_integer,
    .text = {"Integer matrix product", "整数矩阵乘法",
             "A matrix product of small integers with exact 32-bit sums.",
             "小整数矩阵相乘，得到精确的 32 位整数和。", "y = Σ (a − a₀)·(b − b₀)",
             "As a dense layer's outputs before they are scaled.", "与缩放之前的全连接层输出相同。"},
};
