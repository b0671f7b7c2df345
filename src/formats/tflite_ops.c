/* SPDX-License-Identifier: MIT
 * tflite_ops.c - the operations of TensorFlow Lite that compute: each reads its inputs and options and says the same with tf.h.
 * Numbers of fields are those of TensorFlow's schema.
 */
#include "formats/tflite_ops.h"

#include "ops/op.h"

/* ---- windows ---- */

/* padding is field 0; width comes before height in every options table. */
static cvi_tf_window window(tflite *m, int stride, int dilation) {
    cvi_tf_window w = {.n = 2, .dilation = {1, 1, 1}};
    w.padding = cvi_tflite_option(m, 0, 1, 0) == 0 ? CVI_TF_SAME : CVI_TF_VALID;
    w.stride[1] = cvi_tflite_option(m, stride, 4, 0);
    w.stride[0] = cvi_tflite_option(m, stride + 1, 4, 0);
    if (dilation) {
        w.dilation[1] = cvi_tflite_option(m, dilation, 4, 1);
        w.dilation[0] = cvi_tflite_option(m, dilation + 1, 4, 1);
    }
    return w;
}

static void conv(tflite *m, cvi_tf_kernel form, int dilation) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0), *kernel = cvi_tflite_in(m, 1), *bias = cvi_tflite_in(m, 2);
    cvi_tf_window w = window(m, 1, dilation);
    if (x && kernel) {
        cvi_tflite_put(m, 0, cvi_tf_conv(&m->t, x, kernel, form, bias, &w));
    }
}

void cvi_tflite_conv_2d(tflite *m) {
    conv(m, CVI_TF_OHWI, 4);
}

void cvi_tflite_depthwise(tflite *m) {
    conv(m, CVI_TF_1HWC, 5);
}

void cvi_tflite_transpose_conv(tflite *m) {
    int64_t dim[CVS_MAX_RANK];
    cvi_tf_tensor *kernel = cvi_tflite_in(m, 1), *x = cvi_tflite_in(m, 2), *bias = cvi_tflite_in(m, 3);
    cvi_tf_window w = window(m, 1, 0);
    if (cvi_tflite_ints(m, 0, 4, dim) != 4) {
        m->refused = "the output's size is known only while running";
    } else if (x && kernel) {
        cvi_tflite_put(m, 0, cvi_tf_conv_transpose(&m->t, x, kernel, CVI_TF_T_OHWI, bias, &w, dim));
    }
}

static void pool(tflite *m, const char *op) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    cvi_tf_window w = window(m, 1, 0);
    w.kernel[1] = cvi_tflite_option(m, 3, 4, 0);
    w.kernel[0] = cvi_tflite_option(m, 4, 4, 0);
    if (x) {
        cvi_tflite_put(m, 0, cvi_tf_pool(&m->t, x, op, &w));
    }
}

void cvi_tflite_average_pool(tflite *m) {
    pool(m, "AveragePool");
}

void cvi_tflite_max_pool(tflite *m) {
    pool(m, "MaxPool");
}

void cvi_tflite_lrn(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    if (x) {
        cvi_tflite_put(m, 0,
                       cvi_tf_lrn(&m->t, x, cvi_tflite_option(m, 0, 4, 0), cvi_tflite_option_float(m, 1, 0),
                                  cvi_tflite_option_float(m, 2, 0), cvi_tflite_option_float(m, 3, 0)));
    }
}

/* ---- products ---- */

/* [.., in] as [rows, in]. */
static cvi_tf_tensor as_rows(tflite *m, cvi_tf_tensor *x, int64_t in) {
    int64_t dim[CVS_MAX_RANK], to[2] = {-1, in}, rest = 1;
    if (x->rank == 2 || !cvi_tf_dims(&m->t, x, dim)) {
        return *x;
    }
    for (int i = 1; i < x->rank; i++) {
        rest = cvi_mul(rest, dim[i], &rest) ? rest : -1;
    }
    to[0] = x->rank > 0 && rest == in ? dim[0] : -1;
    const char *own = m->t.name;
    m->t.name = cvi_tf_part(&m->t, "rows");
    cvi_tf_tensor rows = cvi_tf_reshape(&m->t, x, 2, to);
    if (cvi_build_ok(&m->t.b)) {
        m->t.b.g->values[rows.form[0]].hidden = true;
    }
    m->t.name = own;
    return rows;
}

void cvi_tflite_fully_connected(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0), *weight = cvi_tflite_in(m, 1), *bias = cvi_tflite_in(m, 2);
    const tflite_tensor *out = cvi_tflite_out(m, 0);
    int64_t dim[CVS_MAX_RANK];
    if (!x || !weight || !out || weight->rank != 2 || !cvi_tf_dims(&m->t, weight, dim)) {
        m->refused = "this form of the operator is not run";
        return;
    }
    if (cvi_tflite_option(m, 1, 1, 0) != 0) {
        m->refused = "its weights are shuffled";
        return;
    }
    const char *own = m->t.name;
    if (x->rank > 2 && out->rank == x->rank && !cvi_tf_dims(&m->t, x, (int64_t[CVS_MAX_RANK]){0})) {
        m->t.name = bias ? cvi_tf_part(&m->t, "product") : own; /* sizes that are known only while running */
        cvi_tf_tensor y = cvi_tf_matmul(&m->t, x, weight, false, true);
        m->t.name = own;
        cvi_tflite_put(m, 0, bias ? cvi_tf_bias(&m->t, &y, bias, false) : y);
        return;
    }
    cvi_tf_tensor rows = as_rows(m, x, dim[1]);
    if (out->rank == 2) {
        cvi_tflite_put(m, 0, cvi_tf_dense(&m->t, &rows, weight, true, bias));
        return;
    }
    int64_t to[CVS_MAX_RANK];
    m->t.name = cvi_tf_part(&m->t, "product");
    cvi_tf_tensor y = cvi_tf_dense(&m->t, &rows, weight, true, bias);
    m->t.name = own;
    memcpy(to, out->dim, sizeof to);
    if (out->rank != x->rank || !cvi_tf_dims(&m->t, x, to)) {
        memcpy(to, out->dim, sizeof to);
    }
    if (out->rank > 0) {
        to[out->rank - 1] = dim[0];
    }
    cvi_tflite_put(m, 0, cvi_tf_reshape(&m->t, &y, out->rank, to));
}

void cvi_tflite_batch_matmul(tflite *m) {
    cvi_tf_tensor *a = cvi_tflite_in(m, 0), *b = cvi_tflite_in(m, 1);
    if (a && b) {
        cvi_tflite_put(m, 0,
                       cvi_tf_matmul(&m->t, a, b, cvi_tflite_option(m, 0, 1, 0) != 0,
                                     cvi_tflite_option(m, 1, 1, 0) != 0));
    }
}

/* ---- number by number ---- */

void cvi_tflite_map(tflite *m) {
    static const struct {
        int code;
        const char *op;
    } ops[] = {
        {0, "Add"},          {8, "Floor"},       {14, "Sigmoid"}, {18, "Mul"},     {19, "Relu"},
        {28, "Tanh"},        {41, "Sub"},        {42, "Div"},     {47, "Exp"},     {55, "Max"},
        {57, "Min"},         {58, "Less"},       {59, "Neg"},     {61, "Greater"}, {62, "GreaterOrEqual"},
        {63, "LessOrEqual"}, {64, "Where"},      {66, "Sin"},     {71, "Equal"},   {73, "Log"},
        {75, "Sqrt"},        {78, "Pow"},        {84, "Or"},      {86, "And"},     {87, "Not"},
        {101, "Abs"},        {104, "Ceil"},      {106, "Sum"},    {108, "Cos"},    {111, "Elu"},
        {116, "Round"},      {117, "HardSwish"}, {123, "Where"},  {158, "Sign"}};
    cvi_tf_tensor *in[16];
    int n = cvi_tflite_n_inputs(m);
    if (n < 1 || n > CVI_COUNT(in)) {
        m->refused = "this form of the operator is not run";
        return;
    }
    for (int k = 0; k < n; k++) {
        in[k] = cvi_tflite_in(m, k);
        if (!in[k]) {
            return;
        }
    }
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        if (ops[i].code == m->kind->code) {
            cvi_tflite_put(m, 0, cvi_tf_map(&m->t, ops[i].op, n, in));
        }
    }
}

void cvi_tflite_clipped(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    double low = m->kind->code == 20 ? -1 : 0, high = m->kind->code == 21 ? 6 : 1;
    if (x) {
        cvi_tflite_put(m, 0, cvi_tf_clip(&m->t, x, low, high));
    }
}

void cvi_tflite_leaky_relu(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    if (x) {
        cvi_tflite_put(m, 0,
                       cvi_tf_with_float(&m->t, "LeakyRelu", x, "alpha", cvi_tflite_option_float(m, 0, 0)));
    }
}

void cvi_tflite_prelu(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0), *slope = cvi_tflite_in(m, 1);
    if (x && slope) {
        cvi_tflite_put(m, 0, cvi_tf_prelu(&m->t, x, slope));
    }
}

void cvi_tflite_gelu(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    if (x) {
        cvi_tf_tensor y = cvi_tf_map(&m->t, "Gelu", 1, &x);
        cvi_build_string(&m->t.b, "approximate", cvi_tflite_option(m, 0, 1, 0) ? "tanh" : "none");
        cvi_tflite_put(m, 0, y);
    }
}

/* A hidden first step, then the second: rsqrt, not equal, floor of a quotient, squares. */
void cvi_tflite_two_steps(tflite *m) {
    static const struct {
        int code;
        const char *first, *second;
    } ops[] = {{76, "Sqrt", "Reciprocal"}, {72, "Equal", "Not"}, {90, "Div", "Floor"}, {99, "Sub", "Mul"}};
    cvi_tf_tensor *in[2] = {cvi_tflite_in(m, 0), cvi_tflite_n_inputs(m) > 1 ? cvi_tflite_in(m, 1) : NULL};
    for (int i = 0; i < CVI_COUNT(ops) && in[0]; i++) {
        if (ops[i].code == m->kind->code) {
            const char *own = m->t.name;
            m->t.name = cvi_tf_part(&m->t, "inner");
            cvi_tf_tensor y = cvi_tf_map(&m->t, ops[i].first, in[1] ? 2 : 1, in);
            m->t.name = own;
            if (cvi_build_ok(&m->t.b)) {
                m->t.b.g->values[y.form[y.moved]].hidden = true;
            }
            cvi_tf_tensor *twice[2] = {&y, &y};
            cvi_tflite_put(m, 0, cvi_tf_map(&m->t, ops[i].second, m->kind->code == 99 ? 2 : 1, twice));
        }
    }
}

void cvi_tflite_square(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    if (x) {
        cvi_tflite_put(m, 0, cvi_tf_map(&m->t, "Mul", 2, (cvi_tf_tensor *const[]){x, x}));
    }
}

void cvi_tflite_cast(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    const tflite_tensor *out = cvi_tflite_out(m, 0);
    if (x && out && out->dtype != CVS_NONE) {
        cvi_tflite_put(m, 0, cvi_tf_cast(&m->t, x, out->dtype));
    }
}

/* Real numbers stay what they are: QUANTIZE only rounds, DEQUANTIZE does nothing. Integers without a scale would be a surprise. */
void cvi_tflite_pass(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    if (x && cvi_tf_is_constant(x)) {
        cvi_tflite_put(m, 0, *x);
    } else if (x) {
        cvi_tflite_put(m, 0, cvi_tf_identity(&m->t, x));
    }
}

/* ---- along axes ---- */

void cvi_tflite_softmax(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0), scaled;
    double beta = m->kind->code == 25 ? cvi_tflite_option_float(m, 0, 0) : 1;
    if (!x) {
        return;
    }
    if (beta != 1) {
        const char *own = m->t.name;
        m->t.name = cvi_tf_part(&m->t, "scaled");
        scaled = cvi_tf_map_number(&m->t, "Mul", x, beta);
        m->t.name = own;
        x = &scaled;
    }
    cvi_tflite_put(m, 0, cvi_tf_along(&m->t, m->kind->code == 25 ? "Softmax" : "LogSoftmax", x, -1));
}

void cvi_tflite_l2_normalization(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    if (x) {
        cvi_tf_tensor y = cvi_tf_along(&m->t, "LpNormalization", x, -1);
        cvi_build_int(&m->t.b, "p", 2);
        cvi_tflite_put(m, 0, y);
    }
}

void cvi_tflite_reduce(tflite *m) {
    static const struct {
        int code;
        const char *op;
    } ops[] = {
        {40, "ReduceMean"}, {74, "ReduceSum"}, {81, "ReduceProd"}, {82, "ReduceMax"}, {89, "ReduceMin"}};
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    int64_t axes[CVS_MAX_RANK];
    int n = cvi_tflite_ints(m, 1, CVS_MAX_RANK, axes);
    if (n < 0) {
        m->refused = "its axes are known only while running";
        return;
    }
    for (int i = 0; i < CVI_COUNT(ops) && x; i++) {
        if (ops[i].code == m->kind->code) {
            cvi_tflite_put(m, 0,
                           cvi_tf_reduce(&m->t, ops[i].op, x, n, axes, cvi_tflite_option(m, 0, 1, 0) != 0));
        }
    }
}

void cvi_tflite_arg(tflite *m) {
    cvi_tf_tensor *x = cvi_tflite_in(m, 0);
    const tflite_tensor *out = cvi_tflite_out(m, 0);
    int64_t axis = 0;
    if (cvi_tflite_ints(m, 1, 1, &axis) != 1) {
        m->refused = "its axes are known only while running";
    } else if (x && out) {
        cvi_tflite_put(m, 0,
                       cvi_tf_arg(&m->t, m->kind->code == 56 ? "ArgMax" : "ArgMin", x, axis, out->dtype));
    }
}
