/* SPDX-License-Identifier: MIT
 * script_maths.c - torch calls of arithmetic with one operator for each: activations, sums and products of tensors and numbers, reductions.
 */
#include <math.h>

#include "formats/script.h"

static bool all_numbers(const script_args *a, int n) {
    bool all = a->n >= n;
    for (int i = 0; i < n && all; i++) {
        all = cvi_script_is_number(&a->arg[i]);
    }
    return all;
}

/* ---- one tensor ---------------------------------------------------------------------------------------------------- */

static script_value unary(script *s, const script_call *row, const script_args *a) {
    if (all_numbers(a, 1)) {
        double x = cvi_script_number(&a->arg[0], 0);
        if (strcmp(row->name, "neg") == 0) {
            return a->arg[0].kind == SCRIPT_V_FLOAT ? cvi_script_float(-x)
                                                    : cvi_script_arith(s, '-', cvi_script_int(0), a->arg[0]);
        }
        if (strcmp(row->name, "sqrt") == 0) {
            return cvi_script_float(sqrt(x));
        }
        if (strcmp(row->name, "floor") == 0 || strcmp(row->name, "ceil") == 0) {
            if (a->arg[0].size) {
                s->fixed = true;
            }
            return fabs(x) < 1e15 ? cvi_script_int((int64_t)(row->name[0] == 'f' ? floor(x) : ceil(x)))
                                  : cvi_script_float(x);
        }
    }
    int x = cvi_script_graph_arg(s, a, 0, "input");
    return cvi_script_simple(s, row->op, 1, &x);
}

/* An operator with one number: leaky_relu(x, 0.01), elu(x, 1). */
static script_value with_alpha(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "input");
    script_node node = cvi_script_node(s, row->op, 1, &x, 1, false);
    cvi_script_attr_float(s, &node, "alpha", cvi_script_number_arg(a, 1, "alpha", row->f));
    return cvi_script_done(s, node);
}

/* A limit in the element type of what is limited. */
static int limit(script *s, int x, double v) {
    cvs_dtype type = x >= 0 ? cvi_script_shape(s, x, 0)->dtype : CVS_F32;
    if (type == CVS_NONE || type == CVS_F32 || !(fabs(v) < 1e15)) {
        return cvi_script_const_float(s, v);
    }
    int number = cvi_script_const_int(s, (int64_t)v);
    return type == CVS_I64 ? number : cvi_script_cast(s, number, type);
}

static script_value clip(script *s, int x, bool has_low, double low, bool has_high, double high) {
    int in[3] = {x, -1, -1};
    in[1] = has_low ? limit(s, x, low) : -1;
    in[2] = has_high ? limit(s, x, high) : -1;
    return cvi_script_simple(s, "Clip", has_high ? 3 : 2, in);
}

static script_value hardtanh(script *s, const script_call *row, const script_args *a) {
    bool six = strcmp(row->name, "relu6") == 0;
    return clip(s, cvi_script_graph_arg(s, a, 0, "input"), true,
                six ? 0 : cvi_script_number_arg(a, 1, "min_val", -1), true,
                six ? 6 : cvi_script_number_arg(a, 2, "max_val", 1));
}

static script_value clamp(script *s, const script_call *row, const script_args *a) {
    script_value low = cvi_script_arg(a, 1, "min"), high = cvi_script_arg(a, 2, "max");
    if (strcmp(row->name, "clamp_max") == 0) {
        high = low;
        low = cvi_script_none();
    }
    if (low.kind == SCRIPT_V_TENSOR || high.kind == SCRIPT_V_TENSOR) {
        return cvi_script_refuse(s, a->name);
    }
    return clip(s, cvi_script_graph_arg(s, a, 0, "input"), low.kind != SCRIPT_V_NONE,
                cvi_script_number(&low, 0), high.kind != SCRIPT_V_NONE, cvi_script_number(&high, 0));
}

static script_value hard_sigmoid(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "input");
    script_node node = cvi_script_node(s, row->op, 1, &x, 2, false);
    cvi_script_attr_float(s, &node, "alpha", 1.0 / 6);
    cvi_script_attr_float(s, &node, "beta", 0.5);
    return cvi_script_done(s, node);
}

static script_value gelu(script *s, const script_call *row, const script_args *a) {
    script_value how = cvi_script_arg(a, 1, "approximate");
    int x = cvi_script_graph_arg(s, a, 0, "input");
    script_node node = cvi_script_node(s, row->op, 1, &x, 1, false);
    cvi_script_attr_string(s, &node, "approximate",
                           how.kind == SCRIPT_V_STRING && strcmp(how.s, "tanh") == 0 ? "tanh" : "none");
    return cvi_script_done(s, node);
}

static script_value rsqrt(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "input");
    int root = cvi_script_done(s, cvi_script_node(s, "Sqrt", 1, &x, 0, true)).v;
    return cvi_script_simple(s, "Reciprocal", 1, &root);
}

/* prelu(x, weight): one slope a channel, which ONNX wants as [C,1,1] */
static script_value prelu(script *s, const script_call *row, const script_args *a) {
    int in[2] = {cvi_script_graph_arg(s, a, 0, "input"), cvi_script_graph_arg(s, a, 1, "weight")};
    const cvs_tensor *x = cvi_script_shape(s, in[0], 0), *w = cvi_script_shape(s, in[1], 0);
    if (!cvi_script_ok(s) || in[1] < 0 || !s->g->values[in[1]].constant || w->rank != 1) {
        return cvi_script_refuse(s, a->name);
    }
    if (w->dim[0] > 1 && x->rank > 2) {
        cvs_tensor slope = *w;
        slope.rank = x->rank - 1;
        for (int i = 1; i < slope.rank; i++) {
            slope.dim[i] = 1;
        }
        char *name = cvi_arena_printf(s->arena, "%s.slope", s->g->values[in[1]].name);
        in[1] = name ? cvi_script_constant(s, name, &slope) : -1;
    }
    return cvi_script_simple(s, row->op, 2, in);
}

static script_value softmax(script *s, const script_call *row, const script_args *a) {
    int x = cvi_script_graph_arg(s, a, 0, "input");
    script_node node = cvi_script_node(s, row->op, 1, &x, 1, false);
    cvi_script_attr_int(s, &node, "axis", cvi_script_whole_arg(a, 1, "dim", -1));
    return cvi_script_done(s, node);
}

/* glu(x, dim) = first half * sigmoid(second half) */
static script_value glu(script *s, const script_call *row, const script_args *a) {
    (void)row;
    int x = cvi_script_graph_arg(s, a, 0, "input"), half[2];
    script_node node = cvi_script_nodes(s, "Split", 1, &x, 2, 2, true);
    cvi_script_attr_int(s, &node, "axis", cvi_script_whole_arg(a, 1, "dim", -1));
    cvi_script_attr_int(s, &node, "num_outputs", 2);
    cvi_script_done(s, node);
    if (!cvi_script_ok(s)) {
        return cvi_script_none();
    }
    half[0] = s->g->nodes[node.index].out[0];
    half[1] = s->g->nodes[node.index].out[1];
    half[1] = cvi_script_done(s, cvi_script_node(s, "Sigmoid", 1, &half[1], 0, true)).v;
    return cvi_script_simple(s, "Mul", 2, half);
}

/* ---- two tensors or numbers -------------------------------------------------------------------------------------------- */

static script_value binary(script *s, const script_call *row, const script_args *a) {
    char sign = strcmp(row->op, "Add") == 0   ? '+'
                : strcmp(row->op, "Sub") == 0 ? '-'
                : strcmp(row->op, "Mul") == 0 ? '*'
                                              : 0;
    bool div = strcmp(row->op, "Div") == 0, reversed = strcmp(row->name, "rsub") == 0;
    double alpha = cvi_script_number_arg(a, 2, "alpha", 1);
    script_value mode = cvi_script_arg(a, -1, "rounding_mode");
    if (a->n == 2 && a->arg[0].kind == SCRIPT_V_LIST && a->arg[1].kind == SCRIPT_V_LIST &&
        sign == '+') { /* lists joined */
        script_value both[64];
        int n = *a->arg[0].shared_n, k = *a->arg[1].shared_n;
        if (n + k > CVI_COUNT(both)) {
            return cvi_script_refuse(s, a->name);
        }
        memcpy(both, *a->arg[0].shared, (size_t)n * sizeof *both);
        memcpy(both + n, *a->arg[1].shared, (size_t)k * sizeof *both);
        return cvi_script_list(s, n + k, both);
    }
    bool floors = mode.kind == SCRIPT_V_STRING || strstr(row->name, "floor");
    if (all_numbers(a, 2)) {
        if (div && floors) {
            return cvi_script_arith(s, '/', a->arg[0], a->arg[1]);
        }
        if (div) {
            double y = cvi_script_number(&a->arg[1], 1);
            s->fixed |= a->arg[0].size || a->arg[1].size;
            return cvi_script_float(y != 0 ? cvi_script_number(&a->arg[0], 0) / y : 0);
        }
        if (sign) {
            return reversed ? cvi_script_arith(s, sign, a->arg[1], a->arg[0])
                            : cvi_script_arith(s, sign, a->arg[0], a->arg[1]);
        }
        if (strcmp(row->op, "Pow") == 0) {
            return cvi_script_float(pow(cvi_script_number(&a->arg[0], 0), cvi_script_number(&a->arg[1], 1)));
        }
    }
    int in[2];
    script_value x = cvi_script_arg(a, 0, "input"), y = cvi_script_arg(a, 1, "other");
    cvi_script_pair(s, &x, &y, in);
    cvs_dtype type = in[0] >= 0 && cvi_script_ok(s) ? cvi_script_shape(s, in[0], 0)->dtype : CVS_F32;
    bool whole = div && type != CVS_NONE &&
                 type != CVS_F32; /* divided as real numbers, which whole ones are below 2^24 */
    for (int i = 0; i < 2 && whole; i++) {
        in[i] = in[i] >= 0 ? cvi_script_cast(s, in[i], CVS_F32) : -1;
    }
    if (div && floors) {
        bool trunc = mode.kind == SCRIPT_V_STRING && strcmp(mode.s, "trunc") == 0;
        int q = cvi_script_done(s, cvi_script_node(s, "Div", 2, in, 0, true)).v;
        if (trunc) {
            q = cvi_script_cast(s, q, CVS_I64);
            return cvi_script_tensor(whole ? q : cvi_script_cast(s, q, CVS_F32));
        }
        script_value v = cvi_script_simple(s, "Floor", 1, &q);
        return whole ? cvi_script_tensor(cvi_script_cast(s, v.v, type)) : v;
    }
    if (alpha != 1 && (sign == '+' || sign == '-')) {
        int product[2] = {in[1], cvi_script_const_float(s, alpha)};
        in[1] = cvi_script_done(s, cvi_script_node(s, "Mul", 2, product, 0, true)).v;
    }
    int swapped[2] = {in[1], in[0]};
    return cvi_script_simple(s, row->op, 2, reversed ? swapped : in);
}

/* remainder(x, y) has the sign of y, fmod(x, y) that of x. */
static script_value modulo(script *s, const script_call *row, const script_args *a) {
    script_value x = cvi_script_arg(a, 0, "self"), y = cvi_script_arg(a, 1, "other");
    int in[2];
    if (x.kind == SCRIPT_V_INT && y.kind == SCRIPT_V_INT && row->f == 0) {
        return cvi_script_arith(s, '%', x, y);
    }
    cvi_script_pair(s, &x, &y, in);
    if (row->f == 0 && cvi_script_ok(s) && in[0] >= 0 && cvi_script_shape(s, in[0], 0)->dtype == CVS_F32) {
        int q[2] = {cvi_script_done(s, cvi_script_node(s, "Div", 2, in, 0, true)).v,
                    in[1]}; /* x - floor(x / y) y */
        q[0] = cvi_script_done(s, cvi_script_node(s, "Floor", 1, q, 0, true)).v;
        int back[2] = {in[0], cvi_script_done(s, cvi_script_node(s, "Mul", 2, q, 0, true)).v};
        return cvi_script_simple(s, "Sub", 2, back);
    }
    script_node node = cvi_script_node(s, row->op, 2, in, 1, false);
    cvi_script_attr_int(s, &node, "fmod", row->f != 0);
    return cvi_script_done(s, node);
}

/* Comparisons of numbers; of tensors where ONNX has the operator. */
static script_value compare(script *s, const script_call *row, const script_args *a) {
    const script_value *x = &a->arg[0], *y = &a->arg[1];
    if (a->n == 2 && x->kind == SCRIPT_V_STRING && y->kind == SCRIPT_V_STRING) {
        return cvi_script_bool((strcmp(x->s, y->s) == 0) == (row->name[0] == 'e'));
    }
    if (a->n == 2 && x->kind == SCRIPT_V_LIST && y->kind == SCRIPT_V_LIST) {
        bool same = *x->shared_n == *y->shared_n;
        for (int i = 0; i < *x->shared_n && same; i++) {
            same = cvi_script_number(&(*x->shared)[i], 0) == cvi_script_number(&(*y->shared)[i], 1);
        }
        return cvi_script_bool(same == (row->name[0] == 'e'));
    }
    if (a->n == 2 && x->kind == SCRIPT_V_NONE &&
        y->kind == SCRIPT_V_NONE) { /* element types, devices: all one */
        return cvi_script_bool(row->name[0] != 'n');
    }
    if (!all_numbers(a, 2)) {
        int in[2];
        script_value p = cvi_script_arg(a, 0, "self"), q = cvi_script_arg(a, 1, "other");
        cvi_script_pair(s, &p, &q, in);
        if (strcmp(row->name, "ne") == 0) {
            in[0] = cvi_script_done(s, cvi_script_node(s, row->op, 2, in, 0, true)).v;
            return cvi_script_simple(s, "Not", 1, in);
        }
        return cvi_script_simple(s, row->op, 2, in);
    }
    bool answer[2];
    for (int k = 0; k < 2; k++) {
        double p = x->kind == SCRIPT_V_FLOAT ? x->f : (double)x->i[k],
               q = y->kind == SCRIPT_V_FLOAT ? y->f : (double)y->i[k];
        answer[k] = strcmp(row->name, "eq") == 0   ? p == q
                    : strcmp(row->name, "ne") == 0 ? p != q
                    : strcmp(row->name, "lt") == 0 ? p < q
                    : strcmp(row->name, "gt") == 0 ? p > q
                    : strcmp(row->name, "le") == 0 ? p <= q
                                                   : p >= q;
    }
    s->fixed |= answer[0] != answer[1];
    return cvi_script_bool(answer[0]);
}

/* min(a, b), max(a, b) of numbers or tensors; max(x) over everything; max(x, dim) with places, which are not kept */
static script_value extreme(script *s, const script_call *row, const script_args *a) {
    bool most = row->name[1] == 'a';
    if (all_numbers(a, 2)) {
        bool first = (cvi_script_number(&a->arg[0], 0) > cvi_script_number(&a->arg[1], 0)) == most;
        return a->arg[first ? 0 : 1];
    }
    int in[2] = {cvi_script_graph_arg(s, a, 0, "input"), -1};
    script_value second = cvi_script_arg(a, 1, "other");
    if (second.kind == SCRIPT_V_TENSOR) {
        in[1] = cvi_script_graph(s, &second);
        return cvi_script_simple(s, most ? "Max" : "Min", 2, in);
    }
    bool whole = second.kind == SCRIPT_V_NONE;
    int64_t axis = cvi_script_whole(&second, 0);
    if (!whole) {
        in[1] = cvi_script_const_ints(s, 1, &axis);
    }
    script_node node = cvi_script_node(s, most ? "ReduceMax" : "ReduceMin", whole ? 1 : 2, in, 1, false);
    cvi_script_attr_int(s, &node, "keepdims", cvi_script_whole_arg(a, 2, "keepdim", 0));
    script_value both[2] = {cvi_script_done(s, node), cvi_script_none()};
    return whole ? both[0] : cvi_script_list(s, 2, both);
}

/* mean(x, dims, keepdim), sum, amax, ... */
static script_value reduce(script *s, const script_call *row, const script_args *a) {
    int64_t axes[CVS_MAX_RANK];
    script_value dims = cvi_script_arg(a, 1, "dim"), list = cvi_script_arg(a, 0, "input");
    if (list.kind == SCRIPT_V_LIST && strcmp(row->name, "sum") == 0) { /* of a list of numbers */
        script_value sum = cvi_script_int(0);
        for (int i = 0; i < *list.shared_n && cvi_script_ok(s); i++) {
            sum = cvi_script_is_number(&(*list.shared)[i]) ? cvi_script_arith(s, '+', sum, (*list.shared)[i])
                                                           : cvi_script_refuse(s, a->name);
        }
        return sum;
    }
    int in[2] = {cvi_script_graph_arg(s, a, 0, "input"), -1}, n = 0;
    if (dims.kind == SCRIPT_V_LIST) {
        n = CVI_MIN(cvi_script_wholes(s, &dims, axes, CVS_MAX_RANK), CVS_MAX_RANK);
    } else if (dims.kind == SCRIPT_V_INT &&
               (a->n >= 3 || a->by_name)) { /* in TorchScript a second number alone is the type */
        axes[0] = dims.i[0];
        n = 1;
    }
    if (n > 0) {
        in[1] = cvi_script_const_ints(s, n, axes);
    }
    script_node node = cvi_script_node(s, row->op, n > 0 ? 2 : 1, in, 1, false);
    cvi_script_attr_int(s, &node, "keepdims", n > 0 ? cvi_script_whole_arg(a, 2, "keepdim", 0) : 0);
    return cvi_script_done(s, node);
}

/* any(x, dim, keepdim), all(x, dim, keepdim) */
static script_value truths(script *s, const script_call *row, const script_args *a) {
    script_value x = cvi_script_arg(a, 0, "self"), dim = cvi_script_arg(a, 1, "dim");
    int64_t axis = cvi_script_whole(&dim, 0);
    if (x.kind == SCRIPT_V_LIST) { /* of a list of truth values */
        bool all = row->name[1] == 'l', answer = all;
        for (int i = 0; i < *x.shared_n && cvi_script_ok(s); i++) {
            bool one = cvi_script_true(s, &(*x.shared)[i]);
            answer = all ? answer && one : answer || one;
        }
        return cvi_script_bool(answer);
    }
    int in[2] = {cvi_script_graph(s, &x), dim.kind == SCRIPT_V_INT ? cvi_script_const_ints(s, 1, &axis) : -1};
    in[0] = cvi_script_cast(s, in[0], CVS_F32);
    script_node node = cvi_script_node(s, row->op, in[1] >= 0 ? 2 : 1, in, 1, true);
    cvi_script_attr_int(s, &node, "keepdims", in[1] >= 0 ? cvi_script_whole_arg(a, 2, "keepdim", 0) : 0);
    return cvi_script_tensor(cvi_script_cast(s, cvi_script_done(s, node).v, CVS_BOOL));
}

static script_value product(script *s, const script_call *row, const script_args *a) {
    int in[2] = {cvi_script_graph_arg(s, a, 0, "input"), cvi_script_graph_arg(s, a, 1, "mat2")};
    return cvi_script_simple(s, row->op, 2, in);
}

static const script_call rows[] = {
    {"relu", unary, "Relu", 0},
    {"sigmoid", unary, "Sigmoid", 0},
    {"tanh", unary, "Tanh", 0},
    {"exp", unary, "Exp", 0},
    {"log", unary, "Log", 0},
    {"sqrt", unary, "Sqrt", 0},
    {"neg", unary, "Neg", 0},
    {"abs", unary, "Abs", 0},
    {"erf", unary, "Erf", 0},
    {"floor", unary, "Floor", 0},
    {"ceil", unary, "Ceil", 0},
    {"round", unary, "Round", 0},
    {"sin", unary, "Sin", 0},
    {"cos", unary, "Cos", 0},
    {"tan", unary, "Tan", 0},
    {"asin", unary, "Asin", 0},
    {"acos", unary, "Acos", 0},
    {"atan", unary, "Atan", 0},
    {"sinh", unary, "Sinh", 0},
    {"cosh", unary, "Cosh", 0},
    {"sign", unary, "Sign", 0},
    {"logical_not", unary, "Not", 0},
    {"bitwise_not", unary, "Not", 0},
    {"isnan", unary, "IsNaN", 0},
    {"isinf", unary, "IsInf", 0},
    {"reciprocal", unary, "Reciprocal", 0},
    {"hardswish", unary, "HardSwish", 0},
    {"mish", unary, "Mish", 0},
    {"selu", unary, "Selu", 0},
    {"silu", unary, "Swish", 0},
    {"softsign", unary, "Softsign", 0},
    {"rsqrt", rsqrt, NULL, 0},
    {"leaky_relu", with_alpha, "LeakyRelu", 0.01},
    {"elu", with_alpha, "Elu", 1},
    {"celu", with_alpha, "Celu", 1},
    {"hardtanh", hardtanh, NULL, 0},
    {"relu6", hardtanh, NULL, 0},
    {"clamp", clamp, NULL, 0},
    {"clip", clamp, NULL, 0},
    {"clamp_min", clamp, NULL, 0},
    {"clamp_max", clamp, NULL, 0},
    {"hardsigmoid", hard_sigmoid, "HardSigmoid", 0},
    {"gelu", gelu, "Gelu", 0},
    {"prelu", prelu, "PRelu", 0},
    {"softmax", softmax, "Softmax", 0},
    {"_softmax", softmax, "Softmax", 0},
    {"_safe_softmax", softmax, "Softmax", 0},
    {"log_softmax", softmax, "LogSoftmax", 0},
    {"_log_softmax", softmax, "LogSoftmax", 0},
    {"glu", glu, NULL, 0},
    {"add", binary, "Add", 0},
    {"sub", binary, "Sub", 0},
    {"rsub", binary, "Sub", 0},
    {"mul", binary, "Mul", 0},
    {"multiply", binary, "Mul", 0},
    {"div", binary, "Div", 0},
    {"true_divide", binary, "Div", 0},
    {"floor_divide", binary, "Div", 0},
    {"floordiv", binary, "Div", 0},
    {"__floordiv__", binary, "Div", 0},
    {"fmod", modulo, "Mod", 1},
    {"remainder", modulo, "Mod", 0},
    {"pow", binary, "Pow", 0},
    {"logical_and", product, "And", 0},
    {"logical_or", product, "Or", 0},
    {"logical_xor", product, "Xor", 0},
    {"__and__", product, "And", 0},
    {"__or__", product, "Or", 0},
    {"bitwise_and", product, "And", 0},
    {"bitwise_or", product, "Or", 0},
    {"maximum", binary, "Max", 0},
    {"minimum", binary, "Min", 0},
    {"eq", compare, "Equal", 0},
    {"ne", compare, "Equal", 0},
    {"lt", compare, "Less", 0},
    {"gt", compare, "Greater", 0},
    {"le", compare, "LessOrEqual", 0},
    {"ge", compare, "GreaterOrEqual", 0},
    {"max", extreme, NULL, 0},
    {"min", extreme, NULL, 0},
    {"mean", reduce, "ReduceMean", 0},
    {"sum", reduce, "ReduceSum", 0},
    {"amax", reduce, "ReduceMax", 0},
    {"amin", reduce, "ReduceMin", 0},
    {"prod", reduce, "ReduceProd", 0},
    {"logsumexp", reduce, "ReduceLogSumExp", 0},
    {"matmul", product, "MatMul", 0},
    {"bmm", product, "MatMul", 0},
    {"mm", product, "MatMul", 0},
    {"mv", product, "MatMul", 0},
    {"dot", product, "MatMul", 0},
    {"vdot", product, "MatMul", 0},
    {"any", truths, "ReduceMax", 0},
    {"all", truths, "ReduceMin", 0},
};

const script_calls cvi_script_maths = {rows, CVI_COUNT(rows)};
