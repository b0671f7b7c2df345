/* SPDX-License-Identifier: MIT
 * ncnn_simple.c - ncnn's small layers as graph nodes: functions of a number, moves along axes, poolings along one axis, windows laid out
 * in columns. Numbers of settings are ncnn's own.
 */
#include <math.h>

#include "formats/ncnn.h"

static void refuse(ncnn *m) {
    m->refused = "this form of the operator is not run";
}

/* The graph's axis of a setting, or -1 (and refused). */
static int axis_of(ncnn *m, int id) {
    int64_t a = cvi_ncnn_int(m, id, 0);
    int rank = cvi_ncnn_rank(m, m->in[0]);
    a = a < 0 ? a + rank : a + 1;
    if (rank < 2 || a < 1 || a >= rank) {
        refuse(m);
        return -1;
    }
    return (int)a;
}

/* x[from:to:step] along one axis, as a part or the layer's own. */
static int cut(ncnn *m, const char *part, int x, int axis, int64_t from, int64_t to, int64_t step) {
    const char *name = part ? part : "cut";
    const int64_t a = axis;
    int in[5] = {
        x, cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-from", cvi_ncnn_name(m, name)), 1, &from),
        cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-to", cvi_ncnn_name(m, name)), 1, &to),
        cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-axis", cvi_ncnn_name(m, name)), 1, &a),
        cvi_build_const_ints(&m->b, cvi_build_name(&m->b, "%s-step", cvi_ncnn_name(m, name)), 1, &step)};
    return cvi_ncnn_op(m, "Slice", part, 5, in);
}

/* ---- functions of a number ---- */

void cvi_ncnn_celu(ncnn *m) {
    int v = cvi_ncnn_op(m, "Celu", NULL, 1, m->in);
    cvi_build_float(&m->b, "alpha", cvi_ncnn_float(m, 0, 1));
    cvi_ncnn_put(m, 0, v);
}

void cvi_ncnn_shrink(ncnn *m) {
    int v = cvi_ncnn_op(m, "Shrink", NULL, 1, m->in);
    cvi_build_float(&m->b, "bias", cvi_ncnn_float(m, 0, 0));
    cvi_build_float(&m->b, "lambd", cvi_ncnn_float(m, 1, 0.5));
    cvi_ncnn_put(m, 0, v);
}

/* base^(shift + scale x), log of (shift + scale x) to a base; -1: e. */
void cvi_ncnn_exp_log(ncnn *m) {
    bool power = m->layer->type[0] == 'E';
    double base = cvi_ncnn_float(m, 0, -1), scale = cvi_ncnn_float(m, 1, 1), shift = cvi_ncnn_float(m, 2, 0);
    bool other = base != -1 && base > 0 && base != 1;
    int v = scale != 1 ? cvi_ncnn_with(m, "Mul", "scaled", m->in[0], "scale", scale) : m->in[0];
    v = shift != 0 ? cvi_ncnn_with(m, "Add", "shifted", v, "shift", shift) : v;
    if (power && other) {
        v = cvi_ncnn_with(m, "Mul", "natural", v, "log-base", log(base));
    }
    v = cvi_ncnn_op(m, power ? "Exp" : "Log", !power && other ? "natural" : NULL, 1, &v);
    cvi_ncnn_put(m, 0, !power && other ? cvi_ncnn_with(m, "Div", NULL, v, "log-base", log(base)) : v);
}

void cvi_ncnn_threshold(ncnn *m) {
    int v = cvi_ncnn_with(m, "Greater", "above", m->in[0], "threshold", cvi_ncnn_float(m, 0, 0));
    v = cvi_ncnn_op(m, "Cast", NULL, 1, &v);
    cvi_build_int(&m->b, "to", 1);
    cvi_ncnn_put(m, 0, v);
}

/* One number a channel. */
void cvi_ncnn_bias(ncnn *m) {
    int64_t dim[CVS_MAX_RANK] = {cvi_ncnn_int(m, 0, 0)};
    int rank = CVI_MAX(cvi_ncnn_rank(m, m->in[0]) - 1, 1);
    for (int i = 1; i < rank; i++) {
        dim[i] = 1;
    }
    cvi_ncnn_put(
        m, 0, cvi_ncnn_op(m, "Add", NULL, 2, (int[]){m->in[0], cvi_ncnn_take(m, "bias", false, rank, dim)}));
}

void cvi_ncnn_glu(ncnn *m) {
    int axis = axis_of(m, 0);
    int64_t n = axis > 0 ? cvi_ncnn_dim(m, m->in[0], axis) : -1;
    if (n < 2 || n % 2) {
        refuse(m);
        return;
    }
    int gate = cut(m, "second", m->in[0], axis, n / 2, n, 1);
    gate = cvi_ncnn_op(m, "Sigmoid", "gate", 1, &gate);
    cvi_ncnn_put(m, 0,
                 cvi_ncnn_op(m, "Mul", NULL, 2, (int[]){cut(m, "first", m->in[0], axis, 0, n / 2, 1), gate}));
}

/* (x - mean) / (deviation + eps) of each channel, or of all. */
void cvi_ncnn_mvn(ncnn *m) {
    bool whole = cvi_ncnn_int(m, 0, 0) != 0, across = cvi_ncnn_int(m, 1, 0) != 0;
    int64_t axes[3] = {1, 2, 3};
    if (cvi_ncnn_rank(m, m->in[0]) != 4) {
        refuse(m);
        return;
    }
    int over = cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axes"), across ? 3 : 2, axes + !across);
    int v = cvi_ncnn_op(m, "ReduceMean", "mean", 2, (int[]){m->in[0], over});
    int apart = cvi_ncnn_op(m, "Sub", whole ? "centred" : NULL, 2, (int[]){m->in[0], v});
    if (whole) {
        v = cvi_ncnn_op(m, "Mul", "squares", 2, (int[]){apart, apart});
        v = cvi_ncnn_op(m, "ReduceMean", "variance", 2, (int[]){v, over});
        v = cvi_ncnn_op(m, "Sqrt", "deviation", 1, &v);
        v = cvi_ncnn_with(m, "Add", "guarded", v, "eps", cvi_ncnn_float(m, 2, 0.0001));
        apart = cvi_ncnn_op(m, "Div", NULL, 2, (int[]){apart, v});
    }
    cvi_ncnn_put(m, 0, apart);
}

/* Each channel's mean, and its deviation behind all means. */
void cvi_ncnn_statistics(ncnn *m) {
    bool deviation = cvi_ncnn_int(m, 0, 0) != 0;
    int rank = cvi_ncnn_rank(m, m->in[0]);
    const int64_t axes[2] = {2, 3};
    if (rank != 4) {
        refuse(m);
        return;
    }
    int over = cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axes"), 2, axes);
    int mean = cvi_ncnn_op(m, "ReduceMean", "mean", 2, (int[]){m->in[0], over}), all = mean;
    if (deviation) {
        int v = cvi_ncnn_op(m, "Sub", "centred", 2, (int[]){m->in[0], mean});
        v = cvi_ncnn_op(m, "Mul", "squares", 2, (int[]){v, v});
        v = cvi_ncnn_op(m, "ReduceMean", "variance", 2, (int[]){v, over});
        v = cvi_ncnn_op(m, "Sqrt", "deviation", 1, &v);
        all = cvi_ncnn_op(m, "Concat", "both", 2, (int[]){mean, v});
        cvi_build_int(&m->b, "axis", 1);
    }
    int v = cvi_ncnn_op(m, "Flatten", NULL, 1, &all);
    cvi_build_int(&m->b, "axis", 1);
    cvi_ncnn_put(m, 0, v);
}

/* ---- moves along axes ---- */

void cvi_ncnn_cumulative(ncnn *m) {
    int axis = axis_of(m, 0);
    if (axis > 0) {
        int at = cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axis"), 1, &(int64_t){axis});
        cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "CumSum", NULL, 2, (int[]){m->in[0], at}));
    }
}

void cvi_ncnn_flip(ncnn *m) {
    const ncnn_setting *s = &m->layer->setting[0];
    int rank = cvi_ncnn_rank(m, m->in[0]), n = s->n;
    int64_t axes[CVS_MAX_RANK], from[CVS_MAX_RANK], to[CVS_MAX_RANK], step[CVS_MAX_RANK];
    if (n < 1 || n >= rank) {
        refuse(m);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (!(s->list[i] >= 1 - rank && s->list[i] < rank - 1)) {
            refuse(m);
            return;
        }
        axes[i] = (int64_t)s->list[i] + (s->list[i] < 0 ? rank : 1);
        from[i] = -1;
        to[i] = INT64_MIN;
        step[i] = -1;
    }
    int in[5] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "from"), n, from),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "to"), n, to),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axes"), n, axes),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "step"), n, step)};
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Slice", NULL, 5, in));
}

void cvi_ncnn_tile(ncnn *m) {
    const ncnn_setting *s = &m->layer->setting[2];
    int rank = cvi_ncnn_rank(m, m->in[0]);
    int64_t times[CVS_MAX_RANK];
    if (rank < 2 || rank > CVS_MAX_RANK || s->n >= rank) {
        refuse(m);
        return;
    }
    for (int i = 0; i < rank; i++) { /* repeats belong to the last axes */
        double v = s->n > 0 && i >= rank - s->n ? s->list[i - (rank - s->n)] : 1;
        times[i] = v >= 1 && v < 1e6 ? (int64_t)v : -1;
    }
    if (s->n <= 0) {
        int axis = axis_of(m, 0);
        if (axis < 0) {
            return;
        }
        times[axis] = cvi_ncnn_int(m, 1, 1);
    }
    for (int i = 0; i < rank; i++) {
        if (times[i] < 1) {
            refuse(m);
            return;
        }
    }
    int in[2] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "repeats"), rank, times)};
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Tile", NULL, 2, in));
}

/* Squares of pixels become channels: a channel's own one behind another, or (mode 1) channel by channel. */
void cvi_ncnn_reorg(ncnn *m) {
    int64_t s = cvi_ncnn_int(m, 0, 1), c = cvi_ncnn_dim(m, m->in[0], 1), h = cvi_ncnn_dim(m, m->in[0], 2),
            w = cvi_ncnn_dim(m, m->in[0], 3);
    if (cvi_ncnn_rank(m, m->in[0]) != 4 || s < 1 || s > 1024 || c < 1 || h < 1 || w < 1 || h % s || w % s) {
        refuse(m);
        return;
    }
    if (cvi_ncnn_int(m, 1, 0)) {
        int v = cvi_ncnn_op(m, "SpaceToDepth", NULL, 1, m->in);
        cvi_build_int(&m->b, "blocksize", s);
        cvi_ncnn_put(m, 0, v);
        return;
    }
    int v = cvi_ncnn_reshape(m, "cut", m->in[0], 6, (int64_t[]){0, c, h / s, s, w / s, s});
    v = cvi_ncnn_transpose(m, "turned", v, 6, (int64_t[]){0, 1, 3, 5, 2, 4});
    cvi_ncnn_put(m, 0, cvi_ncnn_reshape(m, NULL, v, 4, (int64_t[]){0, c * s * s, h / s, w / s}));
}

/* ncnn's tokens know no batch: it is a letter of its own in front. */
void cvi_ncnn_einsum(ncnn *m) {
    const ncnn_setting *s = &m->layer->setting[0];
    char text[256];
    size_t k = 0;
    bool start = true, arrow = false;
    int n = s->text ? (int)CVI_MIN(strlen(s->text), 200) : s->n;
    for (int i = 0; i < n && k + 4 < sizeof text && n <= 100; i++) {
        double v = s->text ? s->text[i] : s->list[i];
        char c = v >= 33 && v < 127 ? (char)v : 0;
        if (start && c != ',' && c != '-') {
            text[k++] = 'n';
        }
        start = c == ',' || c == '>';
        arrow |= c == '>';
        if (!((c >= 'i' && c <= 'l') || c == ',' || c == '-' || c == '>')) {
            refuse(m);
            return;
        }
        text[k++] = c;
    }
    if (n < 1 || n > 100 || !arrow || start) {
        refuse(m);
        return;
    }
    text[k] = 0;
    int v = cvi_ncnn_op(m, "Einsum", NULL, m->layer->n_in, m->in);
    cvi_build_string(&m->b, "equation", cvi_build_name(&m->b, "%s", text));
    cvi_ncnn_put(m, 0, v);
}

void cvi_ncnn_grid_sample(ncnn *m) {
    static const char *const modes[] = {"", "linear", "nearest", "cubic"}, *const pads[] = {"", "zeros",
                                                                                            "border",
                                                                                            "reflection"};
    int64_t mode = cvi_ncnn_int(m, 0, 1), pad = cvi_ncnn_int(m, 1, 1);
    if (m->layer->n_in != 2 || mode < 1 || mode > 3 || pad < 1 || pad > 3 ||
        cvi_ncnn_rank(m, m->in[0]) != 4) {
        refuse(m);
        return;
    }
    int grid = m->in[1];
    if (cvi_ncnn_int(m, 3, 0)) {
        grid = cvi_ncnn_transpose(m, "grid", grid, 4, (int64_t[]){0, 2, 3, 1});
    }
    int v = cvi_ncnn_op(m, "GridSample", NULL, 2, (int[]){m->in[0], grid});
    cvi_build_string(&m->b, "mode", modes[mode]);
    cvi_build_string(&m->b, "padding_mode", pads[pad]);
    cvi_build_int(&m->b, "align_corners", cvi_ncnn_int(m, 2, 0) != 0);
    cvi_ncnn_put(m, 0, v);
}

/* ---- windows ---- */

/* Kernel, stride, dilation and pads (top, left, bottom, right) by rows and columns; false: not of this form. */
static bool window_of(ncnn *m, int64_t kernel[2], int64_t stride[2], int64_t dilation[2], int64_t pads[4]) {
    kernel[1] = cvi_ncnn_int(m, 1, 0);
    kernel[0] = cvi_ncnn_int(m, 11, kernel[1]);
    dilation[1] = cvi_ncnn_int(m, 2, 1);
    dilation[0] = cvi_ncnn_int(m, 12, dilation[1]);
    stride[1] = cvi_ncnn_int(m, 3, 1);
    stride[0] = cvi_ncnn_int(m, 13, stride[1]);
    pads[1] = cvi_ncnn_int(m, 4, 0);
    pads[3] = cvi_ncnn_int(m, 15, pads[1]);
    pads[0] = cvi_ncnn_int(m, 14, pads[1]);
    pads[2] = cvi_ncnn_int(m, 16, pads[0]);
    bool fits = true;
    for (int i = 0; i < 2; i++) {
        fits &= kernel[i] >= 1 && kernel[i] <= 1024 && stride[i] >= 1 && dilation[i] >= 1 && pads[i] >= 0 &&
                pads[2 + i] >= 0;
    }
    return fits;
}

/* A picture's windows as columns: a convolution whose kernels each pick one place of one channel. */
void cvi_ncnn_unfold(ncnn *m) {
    int64_t kernel[2], stride[2], dilation[2], pads[4], rows = 0, all = 0;
    int64_t c = cvi_ncnn_rank(m, m->in[0]) == 4 ? cvi_ncnn_dim(m, m->in[0], 1) : -1;
    bool fits = window_of(m, kernel, stride, dilation, pads);
    int64_t area = fits ? kernel[0] * kernel[1] : 1;
    if (!fits || c < 1 || cvi_ncnn_float(m, 18, 0) != 0 || !cvi_mul(c, area, &rows) ||
        !cvi_mul(rows, area, &all) || all > 1 << 24) {
        refuse(m);
        return;
    }
    const int64_t dim[4] = {rows, 1, kernel[0], kernel[1]};
    float *w = cvi_arena_alloc(m->b.model->arena, all, sizeof *w);
    if (!w) {
        cvi_build_no_memory(&m->b, (size_t)all * sizeof *w);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        w[i * area + i % area] = 1;
    }
    int v = cvi_build_const_floats(&m->b, cvi_ncnn_name(m, "picks"), 4, dim, w);
    v = cvi_ncnn_op(m, "Conv", "windows", 2, (int[]){m->in[0], v});
    cvi_build_ints(&m->b, "kernel_shape", 2, kernel);
    cvi_build_ints(&m->b, "strides", 2, stride);
    cvi_build_ints(&m->b, "dilations", 2, dilation);
    cvi_build_ints(&m->b, "pads", 4, pads);
    cvi_build_int(&m->b, "group", c);
    cvi_ncnn_put(m, 0, cvi_ncnn_reshape(m, NULL, v, 3, (int64_t[]){0, rows, -1}));
}

void cvi_ncnn_fold(ncnn *m) {
    int64_t kernel[2], stride[2], dilation[2], pads[4], size[2];
    size[1] = cvi_ncnn_int(m, 20, 0);
    size[0] = cvi_ncnn_int(m, 21, size[1]);
    if (!window_of(m, kernel, stride, dilation, pads) || size[0] < 1 || size[1] < 1 ||
        cvi_ncnn_rank(m, m->in[0]) != 3) {
        refuse(m);
        return;
    }
    int in[3] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "size"), 2, size),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "window"), 2, kernel)};
    int v = cvi_ncnn_op(m, "Col2Im", NULL, 3, in);
    cvi_build_ints(&m->b, "strides", 2, stride);
    cvi_build_ints(&m->b, "dilations", 2, dilation);
    cvi_build_ints(&m->b, "pads", 4, pads);
    cvi_ncnn_put(m, 0, v);
}

/* ---- poolings ---- */

/* Means over pieces of an axis that need not be equally long, as a product with a matrix [from,to] (or its other way round, in front). */
static int means(ncnn *m, const char *part, int x, int64_t from, int64_t to, bool front, bool last) {
    const int64_t dim[2] = {front ? to : from, front ? from : to};
    int64_t all = 0;
    float *w =
        cvi_mul(from, to, &all) && all <= 1 << 24 ? cvi_arena_alloc(m->b.model->arena, all, sizeof *w) : NULL;
    if (!w) {
        refuse(m);
        return -1;
    }
    for (int64_t i = 0; i < to; i++) {
        int64_t a = from * i / to, b = (from * (i + 1) + to - 1) / to;
        for (int64_t k = a; k < b; k++) {
            w[front ? i * from + k : k * to + i] = 1 / (float)(b - a);
        }
    }
    int k = cvi_build_const_floats(&m->b, cvi_ncnn_name(m, part), 2, dim, w);
    return cvi_ncnn_op(m, "MatMul", last ? NULL : cvi_build_name(&m->b, "%s-means", part), 2,
                       front ? (int[]){k, x} : (int[]){x, k});
}

/* The last `axes` axes to these sizes (rows, columns, or only columns), -233: as it is. */
void cvi_ncnn_adaptive(ncnn *m, bool average, int axes, const int64_t *wanted) {
    int rank = cvi_ncnn_rank(m, m->in[0]), x = m->in[0];
    int64_t side[2], to[2], kernel[2];
    bool even = true;
    for (int i = 0; i < axes; i++) {
        side[i] = cvi_ncnn_dim(m, x, rank - axes + i);
        to[i] = wanted[i] == -233 ? side[i] : wanted[i];
        if (rank != axes + 2 || side[i] < 1 || to[i] < 1 || to[i] > side[i]) {
            refuse(m);
            return;
        }
        even &= side[i] % to[i] == 0;
        kernel[i] = side[i] / to[i];
    }
    if (even) {
        int v = cvi_ncnn_op(m, average ? "AveragePool" : "MaxPool", NULL, 1, &x);
        cvi_build_ints(&m->b, "kernel_shape", axes, kernel);
        cvi_build_ints(&m->b, "strides", axes, kernel);
        cvi_ncnn_put(m, 0, v);
    } else if (!average) {
        refuse(m);
    } else {
        x = axes == 2 ? means(m, "rows", x, side[0], to[0], true, false) : x;
        x = x < 0 ? x : means(m, "columns", x, side[axes - 1], to[axes - 1], false, true);
        if (x >= 0) {
            cvi_ncnn_put(m, 0, x);
        }
    }
}

void cvi_ncnn_pooling_1d(ncnn *m) {
    bool average = cvi_ncnn_int(m, 0, 0) != 0;
    int64_t kernel = cvi_ncnn_int(m, 1, 0), stride = cvi_ncnn_int(m, 2, 1),
            pads[2] = {cvi_ncnn_int(m, 3, 0), 0};
    int64_t mode = cvi_ncnn_int(m, 5, 0), width = cvi_ncnn_int(m, 8, 0), axis = 2;
    pads[1] = cvi_ncnn_int(m, 14, pads[0]);
    if (cvi_ncnn_rank(m, m->in[0]) != 3) {
        refuse(m);
        return;
    }
    if (cvi_ncnn_int(m, 4, 0)) {
        int in[2] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axis"), 1, &axis)};
        int v = cvi_ncnn_op(m, average ? "ReduceMean" : "ReduceMax", NULL, 2, in);
        cvi_build_int(&m->b, "keepdims", 0);
        cvi_ncnn_put(m, 0, v);
        return;
    }
    if (cvi_ncnn_int(m, 7, 0)) {
        cvi_ncnn_adaptive(m, average, 1, &width);
        return;
    }
    if (kernel < 1 || stride < 1 || pads[0] < 0 || pads[1] < 0 || mode < 0 || mode > 3) {
        refuse(m);
        return;
    }
    int v = cvi_ncnn_op(m, average ? "AveragePool" : "MaxPool", NULL, 1, m->in);
    cvi_build_ints(&m->b, "kernel_shape", 1, &kernel);
    cvi_build_ints(&m->b, "strides", 1, &stride);
    if (mode >= 2) {
        cvi_build_string(&m->b, "auto_pad", mode == 2 ? "SAME_UPPER" : "SAME_LOWER");
    } else {
        cvi_build_ints(&m->b, "pads", 2, pads);
        cvi_build_int(&m->b, "ceil_mode", mode == 0);
    }
    if (average) {
        cvi_build_int(&m->b, "count_include_pad", cvi_ncnn_int(m, 6, 0) != 0);
    }
    cvi_ncnn_put(m, 0, v);
}

/* ---- kernels ---- */

/* Convolution whose windows are bent by a second blob, and weighed by a third. */
void cvi_ncnn_deformable(ncnn *m) {
    int64_t kernel[2], stride[2], dilation[2], pads[4], out = cvi_ncnn_int(m, 0, 0), per = 0;
    int64_t size = cvi_ncnn_int(m, 6, 0);
    bool fits = window_of(m, kernel, stride, dilation, pads), bias = cvi_ncnn_int(m, 5, 0) != 0;
    if (!fits || m->layer->n_in < 2 || out < 1 || !cvi_mul(out, kernel[0] * kernel[1], &per) || size < per ||
        size % per || m->layer->n_in > 3) {
        refuse(m);
        return;
    }
    const int64_t dim[4] = {out, size / per, kernel[0], kernel[1]};
    int weight = cvi_ncnn_take(m, "weight", true, 4, dim);
    int in[5] = {m->in[0], weight, m->in[1], bias ? cvi_ncnn_take(m, "bias", false, 1, &out) : -1,
                 m->layer->n_in > 2 ? m->in[2] : -1};
    bool act = cvi_ncnn_has_activation(m);
    int v = cvi_build_op(&m->b, "DeformConv", cvi_ncnn_name(m, act ? "linear" : NULL), false,
                         m->layer->n_in > 2 ? 5 : 4, in);
    cvi_build_ints(&m->b, "kernel_shape", 2, kernel);
    cvi_build_ints(&m->b, "strides", 2, stride);
    cvi_build_ints(&m->b, "dilations", 2, dilation);
    cvi_build_ints(&m->b, "pads", 4, pads);
    cvi_ncnn_put(m, 0, cvi_ncnn_activate(m, v));
}

/* Rows of a matrix (channels), spread along its columns. */
void cvi_ncnn_deconvolution_1d(ncnn *m) {
    int64_t out = cvi_ncnn_int(m, 0, 0), k = cvi_ncnn_int(m, 1, 0), size = cvi_ncnn_int(m, 6, 0), per = 0;
    int64_t left = cvi_ncnn_int(m, 4, 0), pads[2] = {left, cvi_ncnn_int(m, 15, left)};
    int64_t stride = cvi_ncnn_int(m, 3, 1), dilation = cvi_ncnn_int(m, 2, 1), extra = cvi_ncnn_int(m, 18, 0);
    bool grouped = strcmp(m->layer->type, "DeconvolutionDepthWise1D") == 0;
    int64_t group = grouped ? cvi_ncnn_int(m, 7, 1) : 1;
    if (left < 0 || pads[1] < 0 || stride < 1 || dilation < 1 || extra < 0 || out < 1 || k < 1 || group < 1 ||
        out % group || !cvi_mul(out, k, &per) || size < per || size % per || cvi_ncnn_int(m, 28, 0) ||
        cvi_ncnn_int(m, 20, 0) || cvi_ncnn_rank(m, m->in[0]) != 3) {
        refuse(m);
        return;
    }
    bool bias = cvi_ncnn_int(m, 5, 0) != 0;
    int weight = cvi_ncnn_take_swapped(m, "weight", group, 3, (int64_t[]){out, size / per, k});
    int in[3] = {m->in[0], weight, bias ? cvi_ncnn_take(m, "bias", false, 1, &out) : -1};
    int v =
        cvi_build_op(&m->b, "ConvTranspose", cvi_ncnn_name(m, cvi_ncnn_has_activation(m) ? "linear" : NULL),
                     false, bias ? 3 : 2, in);
    cvi_build_ints(&m->b, "kernel_shape", 1, &k);
    cvi_build_ints(&m->b, "strides", 1, &stride);
    cvi_build_ints(&m->b, "dilations", 1, &dilation);
    cvi_build_ints(&m->b, "pads", 2, pads);
    cvi_build_ints(&m->b, "output_padding", 1, &extra);
    cvi_build_int(&m->b, "group", group);
    cvi_ncnn_put(m, 0, cvi_ncnn_activate(m, v));
}
