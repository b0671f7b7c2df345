/* SPDX-License-Identifier: MIT
 * tf_nodes_compute.c - TensorFlow operations that compute, from GraphDef nodes: windows with their fused followers, normalisation,
 * products, number by number, along axes.
 */
#include "formats/tf_nodes.h"

#include "ops/op.h"

static bool is_first(const tf_node *n) {
    return strcmp(cvi_tf_attr_text(n, "data_format", ""), "NCHW") == 0 ||
           strcmp(cvi_tf_attr_text(n, "data_format", ""), "NCDHW") == 0;
}

/* A list with one number for each axis of the file's own: those of the window. */
static void sides(const tf_node *n, const char *name, int axes, bool first, int64_t *out) {
    const tf_attr *a = cvi_tf_attr(n, name);
    for (int i = 0; i < axes; i++) {
        int at = first ? 2 + i : 1 + i;
        out[i] = a && a->ints && a->n == axes + 2 ? a->ints[at] : 1;
    }
}

static cvi_tf_window window_of(const tf_net *m, int axes) {
    const tf_node *n = m->node;
    cvi_tf_window w = {.n = axes, .first = is_first(n)};
    const char *padding = cvi_tf_attr_text(n, "padding", "VALID");
    const tf_attr *pads = cvi_tf_attr(n, "explicit_paddings");
    sides(n, "strides", axes, w.first, w.stride);
    sides(n, "dilations", axes, w.first, w.dilation);
    sides(n, "ksize", axes, w.first, w.kernel);
    w.padding = strcmp(padding, "SAME") == 0 ? CVI_TF_SAME : CVI_TF_VALID;
    if (strcmp(padding, "EXPLICIT") == 0 && pads && pads->ints && pads->n == 2 * (axes + 2)) {
        w.padding = CVI_TF_EXPLICIT;
        for (int i = 0; i < axes; i++) {
            int at = w.first ? 2 + i : 1 + i;
            w.pads[i] = pads->ints[2 * at];
            w.pads[axes + i] = pads->ints[2 * at + 1];
        }
    }
    return w;
}

/* ---- fused operations: what follows in the same node ---- */

typedef struct fused {
    const char *const *name;
    int n, bias, activation; /* places in the list; -1: none */
    bool norm;
} fused;

static bool read_fused(tf_net *m, fused *f) {
    const tf_attr *a = cvi_tf_attr(m->node, "fused_ops");
    *f = (fused){.bias = -1, .activation = -1};
    f->name = a ? a->strings : NULL;
    f->n = a && a->strings ? a->n : 0;
    for (int i = 0; i < f->n; i++) {
        if (strcmp(f->name[i], "BiasAdd") == 0) {
            f->bias = i;
        } else if (strcmp(f->name[i], "FusedBatchNorm") == 0) {
            f->norm = true;
        } else if (i == f->n - 1) {
            f->activation = i;
        } else {
            m->refused = "the fused activation is not known";
            return false;
        }
    }
    return true;
}

/* Runs `make` under a name that leaves the node's own to what follows. */
static void begin_fused(tf_net *m, const fused *f) {
    m->t.name = f->activation >= 0 || f->norm ? cvi_tf_part(&m->t, "linear") : m->t.name;
}

static void end_fused(tf_net *m, const fused *f, const char *own, cvi_tf_tensor y) {
    double alpha = cvi_tf_attr_float(m->node, "leakyrelu_alpha", 0.2);
    int next = 2 + (f->bias >= 0);
    if (f->norm) {
        cvi_tf_tensor *x[5] = {&y};
        for (int k = 0; k < 4; k++) {
            x[k + 1] = cvi_tf_node_in(m, next + k);
            if (!x[k + 1]) {
                m->refused = "this form of the operator is not run";
                return;
            }
        }
        m->t.name = f->activation >= 0 ? cvi_build_name(&m->t.b, "%s/norm", own) : own;
        y = cvi_tf_batch_norm(&m->t, x, cvi_tf_attr_float(m->node, "epsilon", 1e-4), is_first(m->node));
    }
    m->t.name = own;
    if (f->activation >= 0) {
        cvi_tf_tensor out = cvi_tf_none(), linear = y;
        const char *name = f->name[f->activation];
        if (strcmp(name, "Prelu") == 0 && cvi_tf_node_in(m, next)) {
            out = cvi_tf_prelu(&m->t, &linear, cvi_tf_node_in(m, next));
        } else if (!cvi_tf_activation(&m->t, &linear, name, alpha, &out)) {
            m->refused = "the fused activation is not known";
            return;
        }
        y = out;
    }
    cvi_tf_node_put(m, 0, y);
}

static void convolve(tf_net *m, cvi_tf_kernel form, int axes) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), *kernel = cvi_tf_node_in(m, 1);
    cvi_tf_window w = window_of(m, axes);
    const char *own = m->t.name;
    fused f;
    if (!x || !kernel || !read_fused(m, &f)) {
        return;
    }
    begin_fused(m, &f);
    cvi_tf_tensor *bias = f.bias >= 0 ? cvi_tf_node_in(m, 2) : NULL;
    cvi_tf_tensor y = cvi_tf_conv(&m->t, x, kernel, form, bias, &w);
    end_fused(m, &f, own, y);
}

void cvi_tfn_conv2d(tf_net *m) {
    convolve(m, CVI_TF_HWIO, 2);
}

void cvi_tfn_conv3d(tf_net *m) {
    convolve(m, CVI_TF_HWIO, 3);
}

void cvi_tfn_depthwise(tf_net *m) {
    convolve(m, CVI_TF_HWIM, 2);
}

void cvi_tfn_conv_transpose(tf_net *m) {
    int64_t dim[CVS_MAX_RANK];
    cvi_tf_tensor *kernel = cvi_tf_node_in(m, 1), *x = cvi_tf_node_in(m, 2);
    int axes = cvi_tf_maker(m->node->op)->value;
    cvi_tf_window w = window_of(m, axes);
    if (cvi_tf_node_ints(m, 0, axes + 2, dim) != axes + 2) {
        m->refused = "the output's size is known only while running";
    } else if (x && kernel) {
        cvi_tf_node_put(m, 0, cvi_tf_conv_transpose(&m->t, x, kernel, CVI_TF_T_HWOI, NULL, &w, dim));
    }
}

/* value: axes; negative: average. */
void cvi_tfn_pool(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    const tf_maker *maker = cvi_tf_maker(m->node->op);
    int axes = maker->value < 0 ? -maker->value : maker->value;
    cvi_tf_window w = window_of(m, axes);
    int64_t size[4], stride[4];
    if (m->n_in == 3 && cvi_tf_node_ints(m, 1, 4, size) == 4 && cvi_tf_node_ints(m, 2, 4, stride) == 4) {
        for (int i = 0; i < 2; i++) {
            w.kernel[i] = size[w.first ? 2 + i : 1 + i];
            w.stride[i] = stride[w.first ? 2 + i : 1 + i];
        }
    }
    if (x) {
        cvi_tf_node_put(m, 0, cvi_tf_pool(&m->t, x, maker->value < 0 ? "AveragePool" : "MaxPool", &w));
    }
}

void cvi_tfn_bias_add(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), *bias = cvi_tf_node_in(m, 1);
    if (x && bias) {
        cvi_tf_node_put(m, 0, cvi_tf_bias(&m->t, x, bias, is_first(m->node)));
    }
}

/* Whether x is known to hold v alone. */
static bool is_all(tf_net *m, cvi_tf_tensor *x, double v) {
    const cvs_tensor *t = cvi_tf_numbers(&m->t, x);
    for (int64_t i = 0; t && i < cvs_tensor_count(t); i++) {
        if (cvi_get(t, i) != v) {
            return false;
        }
    }
    return t != NULL;
}

/* Keras 2 writes a layer normalisation so: x [1,N,D,1], every row a channel of its own, with the statistics of this very batch.
 * False: it is not that. */
static bool rows_norm(tf_net *m, cvi_tf_tensor *const x[5]) {
    int64_t dim[CVS_MAX_RANK];
    if (x[0]->rank != 4 || !is_first(m->node) || !cvi_tf_dims(&m->t, x[0], dim) || dim[0] != 1 ||
        dim[2] < 1 || dim[3] != 1 || !is_all(m, x[1], 1) || !is_all(m, x[2], 0)) {
        return false;
    }
    int in[2] = {cvi_tf_form(&m->t, x[0], false),
                 cvi_build_fill(&m->t.b, cvi_tf_part(&m->t, "scale"), dim[2], 1)};
    const int64_t shape[2] = {dim[2], 1};
    in[1] = cvi_tf_op(&m->t, "Reshape", "column", 2,
                      (int[]){in[1], cvi_build_const_ints(&m->t.b, cvi_tf_part(&m->t, "shape"), 2, shape)});
    int v = cvi_tf_op(&m->t, "LayerNormalization", NULL, 2, in);
    cvi_build_int(&m->t.b, "axis", 2);
    cvi_build_float(&m->t.b, "epsilon", cvi_tf_attr_float(m->node, "epsilon", 1e-4));
    cvi_tf_node_put(m, 0, cvi_tf_value(&m->t, v, 4, false));
    return true;
}

/* x, scale, offset, mean, variance. Without mean and variance it counts them itself: saved files leave out is_training, true if absent. */
void cvi_tfn_batch_norm(tf_net *m) {
    cvi_tf_tensor *x[5];
    for (int k = 0; k < 5; k++) {
        x[k] = cvi_tf_node_in(m, k);
        if (!x[k]) {
            return;
        }
    }
    int64_t dim[CVS_MAX_RANK];
    bool training = cvi_tf_attr_int(m->node, "is_training", 1) != 0,
         empty = x[3]->rank == 1 && cvi_tf_dims(&m->t, x[3], dim) && dim[0] == 0;
    if (training && empty && rows_norm(m, x)) {
        return;
    }
    if (empty || (training && cvi_tf_attr(m->node, "is_training"))) {
        m->refused = "it normalises with the statistics of the batch, as in training";
        return;
    }
    cvi_tf_node_put(
        m, 0, cvi_tf_batch_norm(&m->t, x, cvi_tf_attr_float(m->node, "epsilon", 1e-4), is_first(m->node)));
}

void cvi_tfn_lrn(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    if (x) {
        cvi_tf_node_put(m, 0,
                        cvi_tf_lrn(&m->t, x, cvi_tf_attr_int(m->node, "depth_radius", 5),
                                   cvi_tf_attr_float(m->node, "bias", 1),
                                   cvi_tf_attr_float(m->node, "alpha", 1),
                                   cvi_tf_attr_float(m->node, "beta", 0.5)));
    }
}

void cvi_tfn_matmul(tf_net *m) {
    cvi_tf_tensor *a = cvi_tf_node_in(m, 0), *b = cvi_tf_node_in(m, 1);
    const char *own = m->t.name;
    bool turn_a = cvi_tf_attr_int(m->node, "transpose_a", cvi_tf_attr_int(m->node, "adj_x", 0)) != 0;
    bool turn_b = cvi_tf_attr_int(m->node, "transpose_b", cvi_tf_attr_int(m->node, "adj_y", 0)) != 0;
    fused f;
    if (!a || !b || !read_fused(m, &f)) {
        return;
    }
    begin_fused(m, &f);
    cvi_tf_tensor *bias = f.bias >= 0 ? cvi_tf_node_in(m, 2) : NULL;
    cvi_tf_tensor y = bias && !turn_a && a->rank == 2 ? cvi_tf_dense(&m->t, a, b, turn_b, bias)
                                                      : cvi_tf_matmul(&m->t, a, b, turn_a, turn_b);
    if (bias && (turn_a || a->rank != 2)) {
        m->refused = "this form of the operator is not run";
        return;
    }
    end_fused(m, &f, own, y);
}

/* ---- number by number ---- */

void cvi_tfn_map(tf_net *m) {
    static const struct {
        const char *tf, *op;
    } ops[] = {{"Add", "Add"},
               {"AddV2", "Add"},
               {"Sub", "Sub"},
               {"Mul", "Mul"},
               {"Div", "Div"},
               {"RealDiv", "Div"},
               {"Maximum", "Max"},
               {"Minimum", "Min"},
               {"Pow", "Pow"},
               {"Relu", "Relu"},
               {"Sigmoid", "Sigmoid"},
               {"Tanh", "Tanh"},
               {"Elu", "Elu"},
               {"Selu", "Selu"},
               {"Softplus", "Softplus"},
               {"Softsign", "Softsign"},
               {"Exp", "Exp"},
               {"Log", "Log"},
               {"Sqrt", "Sqrt"},
               {"Abs", "Abs"},
               {"Neg", "Neg"},
               {"Floor", "Floor"},
               {"Ceil", "Ceil"},
               {"Rint", "Round"},
               {"Round", "Round"},
               {"Sign", "Sign"},
               {"Sin", "Sin"},
               {"Cos", "Cos"},
               {"Tan", "Tan"},
               {"Erf", "Erf"},
               {"Acos", "Acos"},
               {"Acosh", "Acosh"},
               {"Asin", "Asin"},
               {"Asinh", "Asinh"},
               {"Atan", "Atan"},
               {"Atanh", "Atanh"},
               {"Cosh", "Cosh"},
               {"Sinh", "Sinh"},
               {"IsNan", "IsNaN"},
               {"IsInf", "IsInf"},
               {"LogicalXor", "Xor"},
               {"Reciprocal", "Reciprocal"},
               {"Inv", "Reciprocal"},
               {"Less", "Less"},
               {"LessEqual", "LessOrEqual"},
               {"Greater", "Greater"},
               {"GreaterEqual", "GreaterOrEqual"},
               {"Equal", "Equal"},
               {"LogicalAnd", "And"},
               {"LogicalOr", "Or"},
               {"LogicalNot", "Not"},
               {"Select", "Where"},
               {"SelectV2", "Where"},
               {"Prelu", "PRelu"},
               {"ClipByValue", "Clip"}};
    for (int i = 0; i < CVI_COUNT(ops) && m->n_in > 0; i++) {
        if (strcmp(ops[i].tf, m->node->op) == 0) {
            cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, ops[i].op, m->n_in, m->in));
        }
    }
}

void cvi_tfn_activation(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), y;
    if (x && cvi_tf_activation(&m->t, x, m->node->op, cvi_tf_attr_float(m->node, "alpha", 0.2), &y)) {
        cvi_tf_node_put(m, 0, y);
    }
}

static void hide_value(tf_net *m, const cvi_tf_tensor *x) {
    if (cvi_build_ok(&m->t.b) && x->form[x->moved] >= 0) {
        m->t.b.g->values[x->form[x->moved]].hidden = true;
    }
}

/* A hidden first step, then the second on its result (value 2: twice its result). */
/* a / b of whole numbers, rounded down: (a - mod(a, b)) / b. */
static void whole_quotient(tf_net *m) {
    const char *own = m->t.name;
    m->t.name = cvi_tf_part(&m->t, "rest");
    cvi_tf_tensor rest = cvi_tf_map(&m->t, "Mod", 2, m->in);
    m->t.name = cvi_build_name(&m->t.b, "%s/whole", own);
    cvi_tf_tensor whole = cvi_tf_map(&m->t, "Sub", 2, (cvi_tf_tensor *[]){m->in[0], &rest});
    m->t.name = own;
    hide_value(m, &rest);
    hide_value(m, &whole);
    cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, "Div", 2, (cvi_tf_tensor *[]){&whole, m->in[1]}));
}

void cvi_tfn_two_steps(tf_net *m) {
    static const struct {
        const char *tf, *first, *second;
    } ops[] = {{"Rsqrt", "Sqrt", "Reciprocal"},
               {"NotEqual", "Equal", "Not"},
               {"FloorDiv", "Div", "Floor"},
               {"SquaredDifference", "Sub", "Mul"}};
    int twice = cvi_tf_maker(m->node->op)->value;
    cvs_dtype type = m->n_in == 2 && m->in[0] && m->in[1] ? cvi_tf_dtype(&m->t, m->in[0]) : CVS_NONE;
    if (strcmp(m->node->op, "FloorDiv") == 0 && (type == CVS_I32 || type == CVS_I64)) {
        whole_quotient(m);
        return;
    }
    for (int i = 0; i < CVI_COUNT(ops) && m->n_in > 0; i++) {
        if (strcmp(ops[i].tf, m->node->op) == 0) {
            const char *own = m->t.name;
            m->t.name = cvi_tf_part(&m->t, "inner");
            cvi_tf_tensor y = cvi_tf_map(&m->t, ops[i].first, m->n_in, m->in);
            m->t.name = own;
            hide_value(m, &y);
            cvi_tf_tensor *both[2] = {&y, &y};
            cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, ops[i].second, twice ? 2 : 1, both));
        }
    }
}

/* 1 - erf x, log(1 + x), exp x - 1: a number is added before or after. */
void cvi_tfn_one(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0), y;
    const char *own = m->t.name, *op = m->node->op;
    if (!x) {
        return;
    }
    m->t.name = cvi_tf_part(&m->t, "inner");
    if (op[0] == 'L') {
        y = cvi_tf_map_number(&m->t, "Add", x, 1);
    } else if (strcmp(op, "Erfc") == 0) {
        cvi_tf_tensor erf = cvi_tf_map(&m->t, "Erf", 1, &x);
        m->t.name = cvi_build_name(&m->t.b, "%s/minus", own);
        y = cvi_tf_map_number(&m->t, "Mul", &erf, -1);
        hide_value(m, &erf);
    } else {
        y = cvi_tf_map(&m->t, "Exp", 1, &x);
    }
    hide_value(m, &y);
    m->t.name = own;
    cvi_tf_tensor *inner = &y;
    cvi_tf_node_put(m, 0,
                    op[0] == 'L'
                        ? cvi_tf_map(&m->t, "Log", 1, &inner)
                        : cvi_tf_map_number(&m->t, "Add", &y, op[0] == 'E' && op[1] == 'x' ? -1 : 1));
}

void cvi_tfn_square(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    if (x) {
        cvi_tf_node_put(m, 0, cvi_tf_map(&m->t, "Mul", 2, (cvi_tf_tensor *const[]){x, x}));
    }
}

void cvi_tfn_cast(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    cvs_dtype to = cvi_tf_type(cvi_tf_attr_int(m->node, "DstT", 1));
    if (x && to != CVS_NONE) {
        cvi_tf_node_put(m, 0, cvi_tf_cast(&m->t, x, to));
    }
}

/* ---- along axes ---- */

void cvi_tfn_softmax(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    if (x) {
        cvi_tf_node_put(
            m, 0, cvi_tf_along(&m->t, strcmp(m->node->op, "Softmax") ? "LogSoftmax" : "Softmax", x, -1));
    }
}

void cvi_tfn_reduce(tf_net *m) {
    static const struct {
        const char *tf, *op;
    } ops[] = {{"Mean", "ReduceMean"}, {"Sum", "ReduceSum"},   {"Max", "ReduceMax"},
               {"Min", "ReduceMin"},   {"Prod", "ReduceProd"}, {"EuclideanNorm", "ReduceL2"}};
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t axes[CVS_MAX_RANK];
    int n = cvi_tf_node_ints(m, 1, CVS_MAX_RANK, axes);
    if (n < 0 || !x || x->rank < 0) {
        m->refused = "its axes are known only while running";
        return;
    }
    bool keep = cvi_tf_attr_int(m->node, "keep_dims", 0) != 0;
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        if (strcmp(ops[i].tf, m->node->op) != 0) {
            continue;
        }
        if (n == 0) { /* a list without axes: nothing is summed */
            cvi_tf_node_put(m, 0, cvi_tf_identity(&m->t, x));
            return;
        }
        cvi_tf_node_put(m, 0, cvi_tf_reduce(&m->t, ops[i].op, x, n, axes, keep));
    }
}

void cvi_tfn_arg(tf_net *m) {
    cvi_tf_tensor *x = cvi_tf_node_in(m, 0);
    int64_t axis = 0;
    cvs_dtype to = cvi_tf_type(cvi_tf_attr_int(m->node, "output_type", m->apart ? 3 : 9));
    if (!x || cvi_tf_node_ints(m, 1, 1, &axis) != 1) {
        m->refused = "its axes are known only while running";
    } else {
        const char *op = strcmp(m->node->op, "ArgMin") == 0 ? "ArgMin" : "ArgMax";
        cvi_tf_node_put(m, 0, cvi_tf_arg(&m->t, op, x, axis, to == CVS_NONE ? CVS_I64 : to));
    }
}
