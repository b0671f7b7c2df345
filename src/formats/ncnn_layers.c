/* SPDX-License-Identifier: MIT
 * ncnn_layers.c - ncnn's layers as graph nodes, and the table of those that are known. Numbers of settings are ncnn's own.
 */
#include <math.h>

#include "formats/ncnn.h"

/* ---- activations ---- */

static int clip(ncnn *m, int x, double low, double high, const char *part) {
    int in[3] = {x, cvi_build_const_float(&m->b, cvi_ncnn_name(m, "low"), low),
                 cvi_build_const_float(&m->b, cvi_ncnn_name(m, "high"), high)};
    return cvi_ncnn_op(m, "Clip", part, 3, in);
}

static int hard_sigmoid(ncnn *m, int x, const char *part, double alpha, double beta) {
    int v = cvi_ncnn_op(m, "HardSigmoid", part, 1, &x);
    cvi_build_float(&m->b, "alpha", alpha);
    cvi_build_float(&m->b, "beta", beta);
    return v;
}

bool cvi_ncnn_has_activation(ncnn *m) {
    return cvi_ncnn_int(m, 9, 0) != 0;
}

int cvi_ncnn_activate(ncnn *m, int value) {
    const ncnn_setting *p = &m->layer->setting[10];
    double a = p->n > 0 ? p->list[0] : 0, b = p->n > 1 ? p->list[1] : 0;
    int v;
    switch (cvi_ncnn_int(m, 9, 0)) {
    case 0:
        return value;
    case 1:
        return cvi_ncnn_op(m, "Relu", NULL, 1, &value);
    case 2:
        v = cvi_ncnn_op(m, "LeakyRelu", NULL, 1, &value);
        cvi_build_float(&m->b, "alpha", a);
        return v;
    case 3:
        return clip(m, value, a, b, NULL);
    case 4:
        return cvi_ncnn_op(m, "Sigmoid", NULL, 1, &value);
    case 5:
        return cvi_ncnn_op(m, "Mish", NULL, 1, &value);
    case 6:
        v = hard_sigmoid(m, value, "gate", a, b);
        return cvi_ncnn_op(m, "Mul", NULL, 2, (int[]){value, v});
    default:
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_FORMAT, "the fused activation is not known"));
        return value;
    }
}

/* Visible, under a name that leaves the layer's own to the activation. */
static int linear(ncnn *m, const char *op, int n, const int *in) {
    bool act = cvi_ncnn_has_activation(m);
    return cvi_build_op(&m->b, op, cvi_ncnn_name(m, act ? "linear" : NULL), false, n, in);
}

/* ---- kernels ---- */

typedef struct window {
    int64_t kernel[2], stride[2], dilation[2], pads[4];
    const char *auto_pad; /* NULL: pads */
} window;

static bool read_window(ncnn *m, window *w) {
    w->kernel[1] = cvi_ncnn_int(m, 1, 0);
    w->kernel[0] = cvi_ncnn_int(m, 11, w->kernel[1]);
    w->dilation[1] = cvi_ncnn_int(m, 2, 1);
    w->dilation[0] = cvi_ncnn_int(m, 12, w->dilation[1]);
    w->stride[1] = cvi_ncnn_int(m, 3, 1);
    w->stride[0] = cvi_ncnn_int(m, 13, w->stride[1]);
    int64_t left = cvi_ncnn_int(m, 4, 0), right = cvi_ncnn_int(m, 15, left), top = cvi_ncnn_int(m, 14, left);
    int64_t bottom = cvi_ncnn_int(m, 16, top);
    w->auto_pad = left == -233 ? "SAME_UPPER" : left == -234 ? "SAME_LOWER" : NULL;
    w->pads[0] = top;
    w->pads[1] = left;
    w->pads[2] = bottom;
    w->pads[3] = right;
    for (int i = 0; i < 2; i++) {
        if (w->kernel[i] < 1 || w->stride[i] < 1 || w->dilation[i] < 1 ||
            (!w->auto_pad && (w->pads[i] < 0 || w->pads[2 + i] < 0))) {
            cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_SHAPE,
                                          "the window's sizes, strides or paddings are negative or 0"));
        }
    }
    return cvi_build_ok(&m->b);
}

static void write_window(ncnn *m, const window *w) {
    cvi_build_ints(&m->b, "kernel_shape", 2, w->kernel);
    cvi_build_ints(&m->b, "strides", 2, w->stride);
    cvi_build_ints(&m->b, "dilations", 2, w->dilation);
    if (w->auto_pad) {
        cvi_build_string(&m->b, "auto_pad", w->auto_pad);
    } else {
        cvi_build_ints(&m->b, "pads", 4, w->pads);
    }
}

/* Channels per group that the stored count of weights means; fails where it means none. */
static int64_t channels_in(ncnn *m, int64_t out, int64_t area) {
    int64_t size = cvi_ncnn_int(m, 6, 0), per = 0;
    if (out < 1 || !cvi_mul(out, area, &per) || per < 1 || size < per || size % per) {
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_SHAPE, "%lld weights do not fit %lld outputs",
                                      (long long)size, (long long)out));
        return 1;
    }
    return size / per;
}

static void make_convolution(ncnn *m) {
    int64_t out = cvi_ncnn_int(m, 0, 0), group = 1;
    window w;
    if (strcmp(m->layer->type, "ConvolutionDepthWise") == 0) {
        group = cvi_ncnn_int(m, 7, 1);
    }
    if (cvi_ncnn_int(m, 19, 0)) { /* the weights are another layer's result */
        m->refused = "this form of the operator is not run";
        return;
    }
    if (!read_window(m, &w)) {
        return;
    }
    int64_t in_group = channels_in(m, out, w.kernel[0] * w.kernel[1]); /* stored: [out, in/group, h, w] */
    if (cvi_build_ok(&m->b) && (group < 1 || out % group)) {
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_SHAPE,
                                      "%lld outputs and %lld inputs cannot be split into %lld groups",
                                      (long long)out, (long long)(in_group * group), (long long)group));
    }
    const int64_t dim[4] = {out, in_group, w.kernel[0], w.kernel[1]};
    bool bias = cvi_ncnn_int(m, 5, 0) != 0;
    ncnn_kernel k = cvi_ncnn_kernel(m, cvi_ncnn_as_image(m, m->in[0]), 4, dim, bias, 8);
    int v = linear(m, "Conv", bias ? 3 : 2, (int[]){k.x, k.weight, k.bias});
    write_window(m, &w);
    cvi_build_int(&m->b, "group", group);
    cvi_ncnn_put(m, 0, cvi_ncnn_requantize(m, cvi_ncnn_activate(m, v), 8));
}

static void make_deconvolution(ncnn *m) {
    int64_t out = cvi_ncnn_int(m, 0, 0);
    window w;
    int64_t group = strcmp(m->layer->type, "Deconvolution") != 0 ? cvi_ncnn_int(m, 7, 1) : 1;
    if (cvi_ncnn_int(m, 20, 0) || cvi_ncnn_int(m, 21, 0) || cvi_ncnn_int(m, 28, 0)) {
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_FORMAT, "this form of a deconvolution is not read"));
    }
    if (!read_window(m, &w)) {
        return;
    }
    int64_t in_size = channels_in(m, out, w.kernel[0] * w.kernel[1]);
    if (cvi_build_ok(&m->b) && (group < 1 || out % group)) {
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_SHAPE,
                                      "%lld outputs and %lld inputs cannot be split into %lld groups",
                                      (long long)out, (long long)(in_size * group), (long long)group));
    }
    int64_t dim[4] = {out, in_size, w.kernel[0], w.kernel[1]};
    int weight = cvi_ncnn_take_swapped(m, "weight", group, 4, dim);
    bool bias = cvi_ncnn_int(m, 5, 0) != 0;
    int in[3] = {m->in[0], weight, bias ? cvi_ncnn_take(m, "bias", false, 1, &out) : -1};
    int64_t right = cvi_ncnn_int(m, 18, 0), extra[2] = {cvi_ncnn_int(m, 19, right), right};
    int v = linear(m, "ConvTranspose", bias ? 3 : 2, in);
    write_window(m, &w);
    cvi_build_ints(&m->b, "output_padding", 2, extra);
    cvi_build_int(&m->b, "group", group);
    cvi_ncnn_put(m, 0, cvi_ncnn_activate(m, v));
}

static void make_inner_product(ncnn *m) {
    int64_t out = cvi_ncnn_int(m, 0, 0), size = cvi_ncnn_int(m, 2, 0);
    int x = m->in[0];
    if (out < 1 || size < out || size % out) {
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_SHAPE, "%lld weights do not fit %lld outputs",
                                      (long long)size, (long long)out));
        return;
    }
    if (cvi_ncnn_rank(m, x) != 2) {
        x = cvi_ncnn_op(m, "Flatten", "flat", 1, &x);
        cvi_build_int(&m->b, "axis", 1);
    }
    bool bias = cvi_ncnn_int(m, 1, 0) != 0;
    ncnn_kernel k = cvi_ncnn_kernel(m, x, 2, (int64_t[]){out, size / out}, bias, 8);
    int v = linear(m, "Gemm", bias ? 3 : 2, (int[]){k.x, k.weight, k.bias});
    cvi_build_int(&m->b, "transB", 1);
    cvi_ncnn_put(m, 0, cvi_ncnn_activate(m, v));
}

static void make_pooling(ncnn *m) {
    bool average = cvi_ncnn_int(m, 0, 0) == 1;
    if (cvi_ncnn_int(m, 4, 0)) {
        int v = cvi_ncnn_op(m, average ? "GlobalAveragePool" : "GlobalMaxPool", "pool", 1, m->in);
        v = cvi_ncnn_op(m, "Flatten", NULL, 1, &v);
        cvi_build_int(&m->b, "axis", 1);
        cvi_ncnn_put(m, 0, v);
        return;
    }
    int64_t mode = cvi_ncnn_int(m, 5, 0), left = cvi_ncnn_int(m, 3, 0), top = cvi_ncnn_int(m, 13, left);
    int64_t right = cvi_ncnn_int(m, 14, left), bottom = cvi_ncnn_int(m, 15, top);
    int64_t kw = cvi_ncnn_int(m, 1, 0), kh = cvi_ncnn_int(m, 11, kw), sw = cvi_ncnn_int(m, 2, 1);
    int64_t sh = cvi_ncnn_int(m, 12, sw);
    if (cvi_ncnn_int(m, 7, 0)) {
        int64_t w = cvi_ncnn_int(m, 8, 0);
        cvi_ncnn_adaptive(m, average, 2, (int64_t[]){cvi_ncnn_int(m, 18, w), w});
        return;
    }
    if (kw < 1 || kh < 1 || sw < 1 || sh < 1) {
        m->refused = "this form of the operator is not run";
        return;
    }
    int v = cvi_ncnn_op(m, average ? "AveragePool" : "MaxPool", NULL, 1, m->in);
    cvi_build_ints(&m->b, "kernel_shape", 2, (int64_t[]){kh, kw});
    cvi_build_ints(&m->b, "strides", 2, (int64_t[]){sh, sw});
    if (mode >= 2) {
        cvi_build_string(&m->b, "auto_pad", mode == 2 ? "SAME_UPPER" : "SAME_LOWER");
    } else {
        cvi_build_ints(&m->b, "pads", 4, (int64_t[]){top, left, bottom, right});
        cvi_build_int(&m->b, "ceil_mode", mode == 0);
    }
    if (average) {
        cvi_build_int(&m->b, "count_include_pad", cvi_ncnn_int(m, 6, 0) != 0);
    }
    cvi_ncnn_put(m, 0, v);
}

/* ---- number by number ---- */

static void make_plain(ncnn *m) {
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, cvi_ncnn_kind(m->layer->type)->op, NULL, 1, m->in));
}

static void make_relu(ncnn *m) {
    double slope = cvi_ncnn_float(m, 0, 0);
    int v = cvi_ncnn_op(m, slope != 0 ? "LeakyRelu" : "Relu", NULL, 1, m->in);
    if (slope != 0) {
        cvi_build_float(&m->b, "alpha", slope);
    }
    cvi_ncnn_put(m, 0, v);
}

static void make_elu(ncnn *m) {
    int v = cvi_ncnn_op(m, "Elu", NULL, 1, m->in);
    cvi_build_float(&m->b, "alpha", cvi_ncnn_float(m, 0, 0.1));
    cvi_ncnn_put(m, 0, v);
}

static void make_clip(ncnn *m) {
    cvi_ncnn_put(m, 0, clip(m, m->in[0], cvi_ncnn_float(m, 0, -3.4e38), cvi_ncnn_float(m, 1, 3.4e38), NULL));
}

static void make_hard_sigmoid(ncnn *m) {
    cvi_ncnn_put(m, 0, hard_sigmoid(m, m->in[0], NULL, cvi_ncnn_float(m, 0, 0.2), cvi_ncnn_float(m, 1, 0.5)));
}

static void make_gated(ncnn *m) {
    bool hard = m->layer->type[0] == 'H';
    int gate = hard ? hard_sigmoid(m, m->in[0], "gate", cvi_ncnn_float(m, 0, 0.2), cvi_ncnn_float(m, 1, 0.5))
                    : cvi_ncnn_op(m, "Sigmoid", "gate", 1, m->in);
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Mul", NULL, 2, (int[]){m->in[0], gate}));
}

/* One number a channel, as it broadcasts against images. */
static int64_t column(ncnn *m, int64_t n, int64_t *dim) {
    int rank = cvi_ncnn_rank(m, m->in[0]);
    dim[0] = n;
    for (int i = 1; i < CVI_MAX(rank - 1, 1); i++) {
        dim[i] = 1;
    }
    return CVI_MAX(rank - 1, 1);
}

static void make_prelu(ncnn *m) {
    int64_t dim[CVS_MAX_RANK], rank = column(m, cvi_ncnn_int(m, 0, 0), dim);
    int in[2] = {m->in[0], cvi_ncnn_take(m, "slope", false, (int)rank, dim)};
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "PRelu", NULL, 2, in));
}

static void make_batch_norm(ncnn *m) {
    int64_t n = cvi_ncnn_int(m, 0, 0);
    int slope = cvi_ncnn_take(m, "slope", false, 1, &n), mean = cvi_ncnn_take(m, "mean", false, 1, &n);
    int variance = cvi_ncnn_take(m, "variance", false, 1, &n), bias = cvi_ncnn_take(m, "bias", false, 1, &n);
    int v = cvi_ncnn_op(m, "BatchNormalization", NULL, 5, (int[]){m->in[0], slope, bias, mean, variance});
    cvi_build_float(&m->b, "epsilon", cvi_ncnn_float(m, 1, 0));
    cvi_ncnn_put(m, 0, v);
}

static void make_scale(ncnn *m) {
    int64_t dim[CVS_MAX_RANK], n = cvi_ncnn_int(m, 0, 0);
    if (n == -233) { /* times another blob */
        int x = m->in[0], y = m->layer->n_in > 1 ? cvi_ncnn_as_image(m, m->in[1]) : x;
        cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Mul", NULL, 2, (int[]){x, y}));
        return;
    }
    int64_t rank = column(m, n, dim);
    bool bias = cvi_ncnn_int(m, 1, 0) != 0;
    int v = cvi_ncnn_op(m, "Mul", bias ? "product" : NULL, 2,
                        (int[]){m->in[0], cvi_ncnn_take(m, "scale", false, (int)rank, dim)});
    if (bias) {
        v = cvi_ncnn_op(m, "Add", NULL, 2, (int[]){v, cvi_ncnn_take(m, "bias", false, (int)rank, dim)});
    }
    cvi_ncnn_put(m, 0, v);
}

/* An operand of fewer axes than the other one: ones behind it, but a line that fits the last axis gets them in front. */
static int widened(ncnn *m, int x, int other, const char *part) {
    int own = cvi_ncnn_rank(m, x), rank = cvi_ncnn_rank(m, other);
    if (own < 2 || rank <= own) {
        return x;
    }
    bool front = own == 2 && cvi_ncnn_dim(m, x, 1) != cvi_ncnn_dim(m, other, 1);
    int64_t axes[CVS_MAX_RANK];
    for (int i = 0; i < rank - own; i++) {
        axes[i] = front ? i + 1 : own + i;
    }
    return cvi_ncnn_unsqueeze(m, part, x, rank - own, axes);
}

static void make_binary(ncnn *m) {
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "Sub", "Div",
                                      "Pow", NULL,  NULL,  "Mod", "Mod", NULL,  "Div", "Div"};
    int64_t op = cvi_ncnn_int(m, 0, 0);
    bool number = cvi_ncnn_int(m, 1, 0) != 0;
    if (op < 0 || op >= CVI_COUNT(ops) || !ops[op] || (!number && m->layer->n_in < 2)) {
        m->refused = "this form of the operator is not run";
        return;
    }
    int a = m->in[0],
        b = number ? cvi_build_const_float(&m->b, cvi_ncnn_name(m, "number"), cvi_ncnn_float(m, 2, 0))
                   : m->in[1];
    if (!number) {
        a = widened(m, m->in[0], m->in[1], "first");
        b = widened(m, m->in[1], m->in[0], "second");
    }
    bool back = (op >= 7 && op <= 9) || op == 13 || op == 16, whole = op >= 15;
    int v = cvi_ncnn_op(m, ops[op], whole ? "quotient" : NULL, 2, back ? (int[]){b, a} : (int[]){a, b});
    if (ops[op][0] == 'M' && ops[op][1] == 'o') {
        cvi_build_int(&m->b, "fmod", 1);
    }
    cvi_ncnn_put(m, 0, whole ? cvi_ncnn_op(m, "Floor", NULL, 1, &v) : v);
}

/* log10, log1p and expm1 by what there is. */
static int unary_pair(ncnn *m, int64_t op, int v) {
    if (op == 4) {
        return cvi_ncnn_op(m, "Mul", NULL, 2, (int[]){v, v});
    }
    if (op == 6) {
        v = cvi_ncnn_op(m, "Sqrt", "root", 1, &v);
        return cvi_ncnn_op(m, "Reciprocal", NULL, 1, &v);
    }
    int one = cvi_build_const_float(&m->b, cvi_ncnn_name(m, "one"), 1);
    if (op == 17) {
        int k = cvi_build_const_float(&m->b, cvi_ncnn_name(m, "ln10"), log(10));
        v = cvi_ncnn_op(m, "Log", "natural", 1, &v);
        return cvi_ncnn_op(m, "Div", NULL, 2, (int[]){v, k});
    }
    if (op == 21) {
        v = cvi_ncnn_op(m, "Exp", "exponential", 1, &v);
        return cvi_ncnn_op(m, "Sub", NULL, 2, (int[]){v, one});
    }
    v = cvi_ncnn_op(m, "Add", "more", 2, (int[]){v, one});
    return cvi_ncnn_op(m, "Log", NULL, 1, &v);
}

static void make_unary(ncnn *m) {
    static const char *const ops[] = {"Abs",  "Neg",        "Floor", "Ceil", NULL,    "Sqrt",  NULL,
                                      "Exp",  "Log",        "Sin",   "Cos",  "Tan",   "Asin",  "Acos",
                                      "Atan", "Reciprocal", "Tanh",  NULL,   "Round", NULL,    "Sign",
                                      NULL,   "Sinh",       "Asinh", "Cosh", "Acosh", "Atanh", NULL};
    int64_t op = cvi_ncnn_int(m, 0, 0);
    if (op < 0 || op >= CVI_COUNT(ops) || op == 19) {
        m->refused = "this form of the operator is not run";
        return;
    }
    cvi_ncnn_put(m, 0, ops[op] ? cvi_ncnn_op(m, ops[op], NULL, 1, m->in) : unary_pair(m, op, m->in[0]));
}

static void make_eltwise(ncnn *m) {
    const ncnn_setting *times = &m->layer->setting[1];
    int64_t op = cvi_ncnn_int(m, 0, 0);
    int n = m->layer->n_in, v = m->in[0];
    if (op < 0 || op > 2 || (times->n > 0 && (op != 1 || times->n < n))) {
        m->refused = "this form of the operator is not run";
        return;
    }
    if (op == 2) {
        cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Max", NULL, n, m->in));
        return;
    }
    for (int k = 0; k < n; k++) {
        char name[32];
        int x = m->in[k];
        if (times->n > 0 && times->list[k] != 1) {
            snprintf(name, sizeof name, "coefficient-%d", k);
            x = cvi_ncnn_with(m, "Mul", cvi_build_name(&m->b, "weighed-%d", k), x, name, times->list[k]);
        }
        snprintf(name, sizeof name, "first-%d", k + 1);
        v = k == 0 ? x : cvi_ncnn_op(m, op ? "Add" : "Mul", k + 1 < n ? name : NULL, 2, (int[]){v, x});
    }
    cvi_ncnn_put(m, 0, n > 1 ? v : cvi_ncnn_op(m, "Identity", NULL, 1, &v));
}

static void make_split(ncnn *m) {
    for (int k = 0; k < m->layer->n_out; k++) {
        cvi_ncnn_put(m, k, m->in[0]);
    }
}

static void make_pass(ncnn *m) {
    if (cvi_ncnn_float(m, 0, 1) != 1 && strcmp(m->layer->type, "Dropout") == 0) {
        m->refused = "this form of the operator is not run";
        return;
    }
    cvi_ncnn_put(m, 0, m->in[0]);
}

/* ---- along axes and moves ---- */

static int64_t axis(ncnn *m, int id, int64_t otherwise) {
    int64_t a = cvi_ncnn_int(m, id, otherwise);
    return a < 0 ? a : a + 1;
}

static void make_along(ncnn *m) {
    int v = cvi_ncnn_op(m, cvi_ncnn_kind(m->layer->type)->op, NULL, m->layer->n_in, m->in);
    cvi_build_int(&m->b, "axis", axis(m, 0, 0));
    cvi_ncnn_put(m, 0, v);
}

static void make_flatten(ncnn *m) {
    int v = cvi_ncnn_op(m, "Flatten", NULL, 1, m->in);
    cvi_build_int(&m->b, "axis", 1);
    cvi_ncnn_put(m, 0, v);
}

static void make_permute(ncnn *m) {
    static const int64_t three[6][4] = {{0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3},
                                        {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1}};
    int64_t type = cvi_ncnn_int(m, 0, 0);
    int rank = cvi_ncnn_rank(m, m->in[0]);
    if (type < 0 || type > 5 || (rank != 4 && rank != 3) || (rank == 3 && type > 1)) {
        m->refused = "this form of the operator is not run";
        return;
    }
    int v = cvi_ncnn_op(m, "Transpose", NULL, 1, m->in);
    cvi_build_ints(&m->b, "perm", rank,
                   rank == 4 ? three[type] : (const int64_t[]){0, type ? 2 : 1, type ? 1 : 2});
    cvi_ncnn_put(m, 0, v);
}

static void resize(ncnn *m, int n, const int *in, int64_t type, bool align, int axes, const int64_t *axis) {
    static const char *const modes[] = {"", "nearest", "linear", "cubic"};
    int v = cvi_ncnn_op(m, "Resize", NULL, n, in);
    cvi_build_string(&m->b, "mode", modes[type]);
    cvi_build_string(&m->b, "coordinate_transformation_mode",
                     type == 1 ? "asymmetric"
                     : align   ? "align_corners"
                               : "half_pixel");
    if (type == 1) {
        cvi_build_string(&m->b, "nearest_mode", "floor");
    }
    cvi_build_ints(&m->b, "axes", axes, axis);
    cvi_ncnn_put(m, 0, v);
}

static void make_interp(ncnn *m) {
    int64_t type = cvi_ncnn_int(m, 0, 0), h = cvi_ncnn_int(m, 3, 0), w = cvi_ncnn_int(m, 4, 0), two = 2;
    float scales[2] = {(float)cvi_ncnn_float(m, 1, 1), (float)cvi_ncnn_float(m, 2, 1)};
    const char *text = m->layer->setting[9].text;
    int64_t asked[2];
    if (text && text[0]) { /* width, height */
        int n = cvi_ncnn_sizes(m, text, asked, 2);
        w = n > 0 ? asked[0] : 0;
        h = n > 1 ? asked[1] : 0;
    } else if (m->layer->n_in == 2 && cvi_ncnn_int(m, 5, 0)) { /* as large as the second blob */
        h = cvi_ncnn_dim(m, m->in[1], 2);
        w = cvi_ncnn_dim(m, m->in[1], 3);
    }
    bool size = h > 0 && w > 0, align = cvi_ncnn_int(m, 6, 0) != 0;
    if (type < 1 || type > 3 || (m->layer->n_in != 1 && !size) ||
        (!size && !(scales[0] > 0 && scales[1] > 0))) {
        m->refused = "this form of the operator is not run";
        return;
    }
    if (cvi_ncnn_rank(m, m->in[0]) == 3) { /* rows: only along their columns */
        int64_t one = 1, last = 2;
        int rows[4] = {m->in[0], -1, -1, -1};
        rows[3] = w > 0 ? cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "size"), 1, &w) : -1;
        rows[2] = w > 0 ? -1 : cvi_build_const_floats(&m->b, cvi_ncnn_name(m, "scale"), 1, &one, scales + 1);
        resize(m, w > 0 ? 4 : 3, rows, type, align, 1, &last);
        return;
    }
    int in[4] = {cvi_ncnn_as_image(m, m->in[0]), -1, -1, -1};
    if (size) {
        in[3] = cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "size"), 2, (int64_t[]){h, w});
    } else {
        in[2] = cvi_build_const_floats(&m->b, cvi_ncnn_name(m, "scales"), 1, &two, scales);
    }
    resize(m, size ? 4 : 3, in, type, align, 2, (int64_t[]){2, 3});
}

static void make_padding(ncnn *m) {
    int64_t top = cvi_ncnn_int(m, 0, 0), bottom = cvi_ncnn_int(m, 1, 0), left = cvi_ncnn_int(m, 2, 0);
    int64_t right = cvi_ncnn_int(m, 3, 0), type = cvi_ncnn_int(m, 4, 0);
    static const char *const modes[] = {"constant", "edge", "reflect"};
    int rank = cvi_ncnn_rank(m, m->in[0]);
    int64_t front = cvi_ncnn_int(m, 7, 0), behind = cvi_ncnn_int(m, 8, 0);
    if (type < 0 || type > 2 || cvi_ncnn_int(m, 6, 0) || rank < 2 || rank > 4 ||
        (rank < 4 && (front || behind)) || (rank < 3 && (top || bottom))) {
        m->refused = "this form of the operator is not run";
        return;
    }
    const int64_t from[4] = {0, front, top, left}, to[4] = {0, behind, bottom, right};
    int64_t pads[8];
    for (int i = 0; i < rank; i++) { /* the last axes; the batch stays */
        pads[i] = i ? from[4 - rank + i] : 0;
        pads[rank + i] = i ? to[4 - rank + i] : 0;
    }
    int in[3] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "pads"), 2 * rank, pads),
                 cvi_build_const_float(&m->b, cvi_ncnn_name(m, "value"), cvi_ncnn_float(m, 5, 0))};
    int v = cvi_ncnn_op(m, "Pad", NULL, 3, in);
    cvi_build_string(&m->b, "mode", modes[type]);
    cvi_ncnn_put(m, 0, v);
}

/* Pieces along an axis; -233 shares what is left among those behind. */
static void make_slice(ncnn *m) {
    const ncnn_setting *s = &m->layer->setting[0];
    int64_t sizes[64], a = axis(m, 1, 0), side, left;
    int n = m->layer->n_out;
    const ncnn_setting *points = &m->layer->setting[2];
    bool by_points = points->n > 0;
    a = a < 0 ? a + cvi_ncnn_rank(m, m->in[0]) : a;
    if (n > CVI_COUNT(sizes) || (by_points ? points->n < n - 1 : s->n < n) || a < 1) {
        m->refused = "this form of the operator is not run";
        return;
    }
    side = left = cvi_ncnn_dim(m, m->in[0], (int)a);
    for (int k = 0; k < n; k++) {
        double want = !by_points ? s->list[k] : k == n - 1 ? (double)left : points->list[k];
        want += by_points && want < 0 && k < n - 1 ? (double)side : 0; /* counted from the end */
        want -= by_points && k < n - 1 ? (double)(side - left)
                                       : 0; /* a place, of which what lies before is taken */
        bool open = want < 0 || !(want < 1e9);
        sizes[k] = open ? left / (n - k) : (int64_t)want;
        left -= sizes[k];
    }
    if (side < 1 || left != 0) {
        m->refused = "this form of the operator is not run";
        return;
    }
    int in[2] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "sizes"), n, sizes)};
    cvi_build_node(&m->b, "Split", m->layer->name, 2, in, n);
    cvi_build_int(&m->b, "axis", a);
    for (int k = 0; k < n; k++) {
        cvi_ncnn_put(m, k, cvi_build_out(&m->b, k, m->layer->out[k], false));
    }
}

static void make_pixel_shuffle(ncnn *m) {
    int v = cvi_ncnn_op(m, "DepthToSpace", NULL, 1, m->in);
    cvi_build_int(&m->b, "blocksize", cvi_ncnn_int(m, 0, 1));
    cvi_build_string(&m->b, "mode", cvi_ncnn_int(m, 1, 0) ? "DCR" : "CRD");
    cvi_ncnn_put(m, 0, v);
}

static void make_shuffle(ncnn *m) {
    int64_t group = cvi_ncnn_int(m, 0, 1), c = cvi_ncnn_dim(m, m->in[0], 1), h = cvi_ncnn_dim(m, m->in[0], 2);
    if (group < 1 || c < 1 || c % group || h < 1 || cvi_ncnn_rank(m, m->in[0]) != 4) {
        m->refused = "this form of the operator is not run";
        return;
    }
    bool back = cvi_ncnn_int(m, 1, 0) != 0;
    int64_t cut[4] = {0, back ? c / group : group, back ? group : c / group, -1}, whole[4] = {0, c, h, -1};
    int v = cvi_ncnn_op(m, "Reshape", "groups", 2,
                        (int[]){m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "cut"), 4, cut)});
    v = cvi_ncnn_op(m, "Transpose", "turned", 1, &v);
    cvi_build_ints(&m->b, "perm", 4, (int64_t[]){0, 2, 1, 3});
    v = cvi_ncnn_op(m, "Reshape", NULL, 2,
                    (int[]){v, cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "whole"), 4, whole)});
    cvi_ncnn_put(m, 0, v);
}

static const ncnn_kind table[] = {
    {"AbsVal", make_plain, "Abs"},
    {"BNLL", make_plain, "Softplus"},
    {"BatchNorm", make_batch_norm, NULL},
    {"Bias", cvi_ncnn_bias, NULL},
    {"BinaryOp", make_binary, NULL},
    {"CELU", cvi_ncnn_celu, NULL},
    {"Cast", make_pass, NULL},
    {"Clip", make_clip, NULL},
    {"Concat", make_along, "Concat"},
    {"Convolution", make_convolution, NULL},
    {"Convolution1D", cvi_ncnn_convolution_1d, NULL},
    {"ConvolutionDepthWise", make_convolution, NULL},
    {"ConvolutionDepthWise1D", cvi_ncnn_convolution_1d, NULL},
    {"Crop", cvi_ncnn_crop, NULL},
    {"CumulativeSum", cvi_ncnn_cumulative, NULL},
    {"Deconvolution", make_deconvolution, NULL},
    {"Deconvolution1D", cvi_ncnn_deconvolution_1d, NULL},
    {"DeconvolutionDepthWise", make_deconvolution, NULL},
    {"DeconvolutionDepthWise1D", cvi_ncnn_deconvolution_1d, NULL},
    {"DeepCopy", make_pass, NULL},
    {"DeformableConv2D", cvi_ncnn_deformable, NULL},
    {"DetectionOutput", cvi_ncnn_detection_output, NULL},
    {"Dropout", make_pass, NULL},
    {"ELU", make_elu, NULL},
    {"Einsum", cvi_ncnn_einsum, NULL},
    {"Eltwise", make_eltwise, NULL},
    {"Embed", cvi_ncnn_embed, NULL},
    {"Erf", make_plain, "Erf"},
    {"Exp", cvi_ncnn_exp_log, NULL},
    {"ExpandDims", cvi_ncnn_squeeze, NULL},
    {"Flatten", make_flatten, NULL},
    {"Flip", cvi_ncnn_flip, NULL},
    {"Fold", cvi_ncnn_fold, NULL},
    {"GELU", cvi_ncnn_gelu, NULL},
    {"GLU", cvi_ncnn_glu, NULL},
    {"GRU", cvi_ncnn_recurrent, NULL},
    {"Gemm", cvi_ncnn_gemm, NULL},
    {"GridSample", cvi_ncnn_grid_sample, NULL},
    {"GroupNorm", cvi_ncnn_group_norm, NULL},
    {"HardSigmoid", make_hard_sigmoid, NULL},
    {"HardSwish", make_gated, NULL},
    {"InnerProduct", make_inner_product, NULL},
    {"InstanceNorm", cvi_ncnn_group_norm, NULL},
    {"Interp", make_interp, NULL},
    {"LRN", cvi_ncnn_lrn, NULL},
    {"LSTM", cvi_ncnn_recurrent, NULL},
    {"LayerNorm", cvi_ncnn_layer_norm, NULL},
    {"Log", cvi_ncnn_exp_log, NULL},
    {"MVN", cvi_ncnn_mvn, NULL},
    {"MatMul", cvi_ncnn_matmul, NULL},
    {"MemoryData", cvi_ncnn_memory, NULL},
    {"Mish", make_plain, "Mish"},
    {"MultiHeadAttention", cvi_ncnn_attention, NULL},
    {"Noop", make_pass, NULL},
    {"Normalize", cvi_ncnn_normalize, NULL},
    {"PReLU", make_prelu, NULL},
    {"Padding", make_padding, NULL},
    {"Permute", make_permute, NULL},
    {"PixelShuffle", make_pixel_shuffle, NULL},
    {"Pooling", make_pooling, NULL},
    {"Pooling1D", cvi_ncnn_pooling_1d, NULL},
    {"Power", cvi_ncnn_power, NULL},
    {"PriorBox", cvi_ncnn_prior_box, NULL},
    {"RMSNorm", cvi_ncnn_layer_norm, NULL},
    {"RNN", cvi_ncnn_recurrent, NULL},
    {"ReLU", make_relu, NULL},
    {"Reduction", cvi_ncnn_reduction, NULL},
    {"Reorg", cvi_ncnn_reorg, NULL},
    {"Reshape", cvi_ncnn_reshape_layer, NULL},
    {"SDPA", cvi_ncnn_sdpa, NULL},
    {"SELU", make_plain, "Selu"},
    {"Scale", make_scale, NULL},
    {"Shrink", cvi_ncnn_shrink, NULL},
    {"ShuffleChannel", make_shuffle, NULL},
    {"Sigmoid", make_plain, "Sigmoid"},
    {"Slice", make_slice, NULL},
    {"Softmax", make_along, "Softmax"},
    {"Softplus", make_plain, "Softplus"},
    {"Split", make_split, NULL},
    {"Squeeze", cvi_ncnn_squeeze, NULL},
    {"StatisticsPooling", cvi_ncnn_statistics, NULL},
    {"Swish", make_gated, NULL},
    {"TanH", make_plain, "Tanh"},
    {"Threshold", cvi_ncnn_threshold, NULL},
    {"Tile", cvi_ncnn_tile, NULL},
    {"UnaryOp", make_unary, NULL},
    {"Unfold", cvi_ncnn_unfold, NULL},
    {"Yolov3DetectionOutput", cvi_ncnn_yolo_output, NULL},
};

const ncnn_kind *cvi_ncnn_kind(const char *name) {
    for (int i = 0; i < CVI_COUNT(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}
