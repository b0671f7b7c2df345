/* SPDX-License-Identifier: MIT
 * onnx_qlinear.c - operators on integers that come with a scale and a zero point each (QLinearAdd and its like of com.microsoft, QGemm,
 * QLinearConv and QLinearMatMul with constant scales): their inputs as real numbers, the operator on those, the result as integers again.
 * onnx_quantized.c then takes out the integers between two of them. Products whose weights alone are integers likewise.
 */
#include "onnx_rewrite.h"

/* ---- real numbers and back ------------------------------------------------------------------------------ */
/* x, whose scale and zero point stand at s and z of the inputs, as real numbers; axis: of more than one scale. */
static int real(cvi_rw *p, int x, int s, int z, int64_t axis) {
    const int in[] = {x, s, z};
    const cvi_attr a = CVI_RW_INT("axis", axis);
    return cvi_rw_put(p, "DequantizeLinear", true, 3, in, 1, &a);
}

static int real_at(cvi_rw *p, int k) {
    return real(p, cvi_rw_in(p, k), cvi_rw_in(p, k + 1), cvi_rw_in(p, k + 2), 1);
}

/* The draft's output: v by the scale and zero point at inputs s and s + 1. Without a zero point it has the type of `like`. */
static void end_integers(cvi_rw *p, int v, int s, int like) {
    int z = cvi_rw_in(p, s + 1);
    cvs_dtype type = cvi_rw_type(p, like);
    if (z < 0 && (type == CVS_I8 || type == CVS_I16 || type == CVS_U16)) {
        z = cvi_rw_scalar(p, "zero", type, 0);
    }
    const int in[] = {v, cvi_rw_in(p, s), z};
    cvi_rw_end(p, 0, "QuantizeLinear", 3, in, 0, NULL);
}

/* Scale of a sum of products: a's times b's times a factor, as a constant where both are, else as a node. */
static int scale_product(cvi_rw *p, int a, int b, double factor) {
    const cvs_tensor *ta = cvi_rw_constant(p, a), *tb = cvi_rw_constant(p, b);
    if (!ta || !tb || cvs_tensor_count(ta) != 1 || tb->rank > 1) {
        int v = cvi_rw_two(p, "Mul", a, b);
        return factor == 1 ? v : cvi_rw_two(p, "Mul", v, cvi_rw_scalar(p, "alpha", CVS_F32, factor));
    }
    int64_t n = cvs_tensor_count(tb);
    cvs_tensor t = {.dtype = CVS_F32, .rank = tb->rank, .bytes = (size_t)n * sizeof(float)};
    float *data =
        p->s == CVS_OK ? cvi_arena_alloc(p->d->scope->graph->arena, CVI_MAX(n, 1), sizeof *data) : NULL;
    if (!data) {
        p->s = p->s == CVS_OK ? cvi_no_memory(p->d->o->err, t.bytes) : p->s;
        return -1;
    }
    for (int64_t i = 0; i < n; i++) {
        data[i] = (float)(cvi_get(ta, 0) * cvi_get(tb, i) * factor);
    }
    t.data = data;
    t.dim[0] = n;
    return cvi_rw_tensor(p, "scale", &t);
}

static bool one_number(const cvi_rw *p, int value) {
    const cvs_tensor *t = cvi_rw_constant(p, value);
    return t && cvs_tensor_count(t) == 1;
}

/* ---- convolution, products ------------------------------------------------------------------------------------ */
static void qlinear_conv(cvi_rw *p) {
    static const char *const names[] = {"auto_pad", "dilations", "group", "kernel_shape",
                                        "pads",     "strides",   NULL};
    cvi_attr attrs[8];
    int n = cvi_rw_copy(p, names, attrs);
    bool last = cvi_rw_int(p, "channels_last", 0) != 0,
         ours = p->d->source->domain && p->d->source->domain[0];
    if (!cvi_rw_need(p, 7)) {
        return;
    }
    int w = cvi_rw_in(p, 3), b = cvi_rw_in(p, 8), rank = cvi_rw_rank(p, w);
    const cvs_tensor *ws = cvi_rw_constant(p, cvi_rw_in(p, 4));
    bool fixed = one_number(p, cvi_rw_in(p, 1)) && one_number(p, cvi_rw_in(p, 6)) && ws && ws->rank <= 1 &&
                 cvi_rw_constant(p, w);
    if ((!fixed && !ours) || rank < 3) { /* the operator of that name runs on integers */
        return;
    }
    int x = real_at(p, 0);
    int in[] = {last ? cvi_rw_turn(p, x, rank, true) : x, real(p, w, cvi_rw_in(p, 4), cvi_rw_in(p, 5), 0), b};
    if (b >= 0) {
        in[2] = real(p, b, scale_product(p, cvi_rw_in(p, 1), cvi_rw_in(p, 4), 1), -1, 0);
    }
    int v = cvi_rw_put(p, "Conv", false, 3, in, n, attrs);
    end_integers(p, last ? cvi_rw_turn(p, v, rank, false) : v, 6, cvi_rw_in(p, 0));
}

static void qlinear_matmul(cvi_rw *p) {
    const cvs_tensor *bs = cvi_rw_need(p, 7) ? cvi_rw_constant(p, cvi_rw_in(p, 4)) : NULL;
    if (bs && bs->rank <= 1 && one_number(p, cvi_rw_in(p, 1)) && one_number(p, cvi_rw_in(p, 6))) {
        const int in[] = {real_at(p, 0), real(p, cvi_rw_in(p, 3), cvi_rw_in(p, 4), cvi_rw_in(p, 5), -1)};
        end_integers(p, cvi_rw_put(p, "MatMul", false, 2, in, 0, NULL), 6, cvi_rw_in(p, 0));
    }
}

static void qgemm(cvi_rw *p) {
    double alpha = cvi_rw_float(p, "alpha", 1);
    int64_t trans_b = cvi_rw_int(p, "transB", 0);
    if (!cvi_rw_need(p, 5)) {
        return;
    }
    const cvi_attr attrs[] = {CVI_RW_FLOAT("alpha", alpha), CVI_RW_INT("transA", cvi_rw_int(p, "transA", 0)),
                              CVI_RW_INT("transB", trans_b)};
    int in[] = {real_at(p, 0), real(p, cvi_rw_in(p, 3), cvi_rw_in(p, 4), cvi_rw_in(p, 5), trans_b ? 0 : 1),
                cvi_rw_in(p, 6)};
    if (in[2] >= 0) { /* its integers are in the units of the sum */
        in[2] = real(p, in[2], scale_product(p, cvi_rw_in(p, 1), cvi_rw_in(p, 4), alpha), -1, -1);
    }
    if (cvi_rw_in(p, 7) < 0) {
        cvi_rw_end(p, 0, "Gemm", 3, in, 3, attrs);
    } else {
        end_integers(p, cvi_rw_put(p, "Gemm", false, 3, in, 3, attrs), 7, cvi_rw_in(p, 0));
    }
}

/* The output: a product of real numbers, and a bias where input k is one. */
static void end_product(cvi_rw *p, int a, int b, int k) {
    const int in[] = {a, b};
    if (cvi_rw_in(p, k) < 0) {
        cvi_rw_end(p, 0, "MatMul", 2, in, 0, NULL);
    } else {
        const int sum[] = {cvi_rw_put(p, "MatMul", false, 2, in, 0, NULL), cvi_rw_in(p, k)};
        cvi_rw_end(p, 0, "Add", 2, sum, 0, NULL);
    }
}

/* A, B, their scales, their zero points, a bias. */
static void matmul_integer_to_float(cvi_rw *p) {
    if (cvi_rw_need(p, 4)) {
        int a = real(p, cvi_rw_in(p, 0), cvi_rw_in(p, 2), cvi_rw_in(p, 4), -1);
        end_product(p, a, real(p, cvi_rw_in(p, 1), cvi_rw_in(p, 3), cvi_rw_in(p, 5), -1), 6);
    }
}

/* A in real numbers, B in integers, its scale, its zero point, a bias. A is rounded by its own range. */
static void dynamic_matmul(cvi_rw *p) {
    if (cvi_rw_need(p, 3)) {
        int a[3], x = cvi_rw_in(p, 0);
        cvi_rw_many(p, "DynamicQuantizeLinear", 1, &x, 3, a, 0, NULL);
        int rounded = p->s == CVS_OK ? real(p, a[0], a[1], a[2], 1) : -1;
        end_product(p, rounded, real(p, cvi_rw_in(p, 1), cvi_rw_in(p, 2), cvi_rw_in(p, 3), -1), 4);
    }
}

/* ---- two inputs and one ---------------------------------------------------------------------------------------- */
static void binary(cvi_rw *p, const char *op) {
    if (cvi_rw_need(p, 2) && cvi_rw_in(p, 3) >= 0 && cvi_rw_in(p, 4) >= 0 && cvi_rw_in(p, 6) >= 0) {
        const int in[] = {real_at(p, 0), real_at(p, 3)};
        end_integers(p, cvi_rw_put(p, op, false, 2, in, 0, NULL), 6, cvi_rw_in(p, 0));
    }
}

static void add(cvi_rw *p) {
    binary(p, "Add");
}

static void mul(cvi_rw *p) {
    binary(p, "Mul");
}

/* Input 0 with its scale and zero point, then those of the output. */
static bool unary_begin(cvi_rw *p, int *x) {
    if (!cvi_rw_need(p, 2) || cvi_rw_in(p, 3) < 0) {
        return false;
    }
    *x = real_at(p, 0);
    return p->s == CVS_OK;
}

static void unary(cvi_rw *p, const char *op, int n_attr, const cvi_attr *attr) {
    int x;
    if (unary_begin(p, &x)) {
        end_integers(p, cvi_rw_put(p, op, false, 1, &x, n_attr, attr), 3, cvi_rw_in(p, 0));
    }
}

static void sigmoid(cvi_rw *p) {
    unary(p, "Sigmoid", 0, NULL);
}

static void leaky_relu(cvi_rw *p) {
    const cvi_attr alpha = CVI_RW_FLOAT("alpha", cvi_rw_float(p, "alpha", 0.01));
    unary(p, "LeakyRelu", 1, &alpha);
}

/* Before opset 13 all axes from `axis` on were one. */
static void softmax(cvi_rw *p) {
    int64_t axis = cvi_rw_int(p, "axis", -1);
    int rank = cvi_rw_rank(p, cvi_rw_in(p, 0)), x;
    const cvi_attr a = CVI_RW_INT("axis", axis), last = CVI_RW_INT("axis", -1);
    if (cvi_rw_int(p, "opset", 13) >= 13 || axis == -1 || axis == rank - 1) {
        unary(p, "Softmax", 1, &a);
    } else if (unary_begin(p, &x)) {
        int flat = cvi_rw_put(p, "Flatten", true, 1, &x, 1, &a);
        const int in[] = {cvi_rw_put(p, "Softmax", false, 1, &flat, 1, &last), cvi_rw_one(p, "Shape", x)};
        end_integers(p, cvi_rw_put(p, "Reshape", true, 2, in, 0, NULL), 3, cvi_rw_in(p, 0));
    }
}

static void reduce_mean(cvi_rw *p) {
    const cvi_attr *axes = cvi_rw_attr(p, "axes"),
                   keep = CVI_RW_INT("keepdims", cvi_rw_int(p, "keepdims", 1));
    int x;
    if (unary_begin(p, &x)) {
        bool some = axes && axes->kind == CVI_ATTR_INTS;
        const int in[] = {x, some ? cvi_rw_ints(p, "axes", axes->n, axes->ints) : -1};
        end_integers(p, cvi_rw_put(p, "ReduceMean", false, 2, in, 1, &keep), 3, cvi_rw_in(p, 0));
    }
}

/* ---- pooling --------------------------------------------------------------------------------------------------- */
static void pooled(cvi_rw *p, const char *op, int rank, int n_attr, const cvi_attr *attr) {
    bool last = cvi_rw_int(p, "channels_last", 0) != 0;
    int x;
    if ((!last || (rank >= 3 && rank <= CVS_MAX_RANK)) && unary_begin(p, &x)) {
        x = last ? cvi_rw_turn(p, x, rank, true) : x;
        int v = cvi_rw_put(p, op, false, 1, &x, n_attr, attr);
        end_integers(p, last ? cvi_rw_turn(p, v, rank, false) : v, 3, cvi_rw_in(p, 0));
    }
}

static void average_pool(cvi_rw *p) {
    static const char *const names[] = {"auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads",
                                        "strides",  NULL};
    cvi_attr attrs[8];
    int n = cvi_rw_copy(p, names, attrs);
    const cvi_attr *kernel = cvi_rw_attr(p, "kernel_shape");
    pooled(p, "AveragePool",
           kernel && kernel->kind == CVI_ATTR_INTS && kernel->n < CVS_MAX_RANK ? kernel->n + 2 : 0, n, attrs);
}

static void global_average_pool(cvi_rw *p) {
    int rank = cvi_rw_rank(p, cvi_rw_in(p, 0));
    pooled(p, "GlobalAveragePool", rank < 0 ? 4 : rank, 0, NULL);
}

/* ---- several inputs ------------------------------------------------------------------------------------------------ */
/* Scale and zero point of the output, then an input with its own, and so on. */
static void concat(cvi_rw *p) {
    int n = (p->d->n_in - 2) / 3;
    const cvi_attr axis = CVI_RW_INT("axis", cvi_rw_int(p, "axis", 0));
    if (n < 1 || !cvi_rw_need(p, 1)) {
        return;
    }
    int *in = cvi_onnx_alloc(p->d->o, n, sizeof *in);
    if (!in) {
        p->s = CVS_E_MEMORY;
        return;
    }
    for (int i = 0; i < n; i++) {
        if (cvi_rw_in(p, 2 + 3 * i) < 0 || cvi_rw_in(p, 3 + 3 * i) < 0) {
            p->s = cvi_fail(p->d->o->err, CVS_E_FORMAT, "input %d is absent", 2 + 3 * i);
            return;
        }
        in[i] = real_at(p, 2 + 3 * i);
    }
    end_integers(p, cvi_rw_put(p, "Concat", false, n, in, 1, &axis), 0, cvi_rw_in(p, 2));
}

/* A condition, two inputs with their scales and zero points, those of the output. */
static void where(cvi_rw *p) {
    if (cvi_rw_need(p, 8)) {
        const int in[] = {cvi_rw_in(p, 0), real_at(p, 1), real_at(p, 4)};
        end_integers(p, cvi_rw_put(p, "Where", false, 3, in, 0, NULL), 7, cvi_rw_in(p, 1));
    }
}

const cvi_onnx_rule cvi_onnx_rules_qlinear[] = {
    {"QLinearConv", qlinear_conv},
    {"QLinearMatMul", qlinear_matmul},
    {"com.microsoft::QLinearConv", qlinear_conv},
    {"com.microsoft::QGemm", qgemm},
    {"com.microsoft::MatMulIntegerToFloat", matmul_integer_to_float},
    {"com.microsoft::DynamicQuantizeMatMul", dynamic_matmul},
    {"com.microsoft::QLinearAdd", add},
    {"com.microsoft::QLinearMul", mul},
    {"com.microsoft::QLinearSigmoid", sigmoid},
    {"com.microsoft::QLinearLeakyRelu", leaky_relu},
    {"com.microsoft::QLinearSoftmax", softmax},
    {"com.microsoft::QLinearReduceMean", reduce_mean},
    {"com.microsoft::QLinearAveragePool", average_pool},
    {"com.microsoft::QLinearGlobalAveragePool", global_average_pool},
    {"com.microsoft::QLinearConcat", concat},
    {"com.microsoft::QLinearWhere", where},
    {NULL, NULL},
};
