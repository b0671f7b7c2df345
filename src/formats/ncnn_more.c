/* SPDX-License-Identifier: MIT
 * ncnn_more.c - more of ncnn's layers as graph nodes: cutting, normalisations, constants, sums along axes, deconvolutions by groups and
 * convolutions along one axis. Numbers of settings are ncnn's own.
 */
#include <math.h>

#include "formats/ncnn.h"

static const char not_this_form[] = "this form of the operator is not run";

static int refuse(ncnn *m) {
    m->refused = not_this_form;
    return -1;
}

/* ---- cutting ---- */

/* x[from:to] along axes of the graph; ends may lie behind the last position. */
static void cut(ncnn *m, int n, const int64_t *from, const int64_t *to, const int64_t *axes) {
    int in[4] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "from"), n, from),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "to"), n, to),
                 cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axes"), n, axes)};
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Slice", NULL, 4, in));
}

static void cut_by_expressions(ncnn *m, int rank) {
    const ncnn_setting *s = m->layer->setting;
    int64_t from[4], to[4], which[4];
    int n = cvi_ncnn_sizes(m, s[19].text, from, 4),
        ends = s[20].text ? cvi_ncnn_sizes(m, s[20].text, to, 4) : -1;
    int axes = s[21].text && s[21].text[0] ? cvi_ncnn_sizes(m, s[21].text, which, 4) : 0;
    if (n < 1 || n > rank - 1 || ends != n || (axes != 0 && axes != n)) {
        refuse(m);
        return;
    }
    for (int i = 0; i < n; i++) {
        int64_t a = axes ? which[i] : i;
        if (a < 1 - rank || a >= rank - 1) {
            refuse(m);
            return;
        }
        which[i] = a + (a < 0 ? rank : 1);
    }
    cut(m, n, from, to, which);
}

/* Starts and ends by axis, as NumPy has them; -233: from the first, to the last. */
static void cut_by_ranges(ncnn *m, int rank) {
    const ncnn_setting *starts = &m->layer->setting[9], *ends = &m->layer->setting[10],
                       *axes = &m->layer->setting[11];
    int64_t from[CVS_MAX_RANK], to[CVS_MAX_RANK], which[CVS_MAX_RANK];
    int n = axes->n > 0 ? axes->n : rank - 1;
    if (m->layer->setting[19].text) {
        cut_by_expressions(m, rank);
        return;
    }
    if (n > rank - 1 || starts->n < n || ends->n < n) {
        refuse(m);
        return;
    }
    for (int i = 0; i < n; i++) {
        double a = axes->n > 0 ? axes->list[i] : i, s = starts->list[i], e = ends->list[i];
        if (!(a >= 1 - rank && a < rank - 1) || !(fabs(s) <= INT32_MAX) || !(fabs(e) <= INT32_MAX)) {
            refuse(m);
            return;
        }
        which[i] = (int64_t)a + (a < 0 ? rank : 1);
        from[i] = s == -233 ? 0 : (int64_t)s;
        to[i] = e == -233 || e == 0 ? INT64_MAX : (int64_t)e; /* an end of 0 counts as the axis' length */
    }
    cut(m, n, from, to, which);
}

void cvi_ncnn_crop(ncnn *m) {
    static const int offset[3] = {2, 1, 0}, size[3] = {5, 4, 3}, behind[3] = {8, 7, 6}; /* c, h, w */
    int rank = cvi_ncnn_rank(m, m->in[0]);
    int64_t from[3], to[3], axes[3];
    const ncnn_setting *s = m->layer->setting;
    if (rank < 2 || rank > 4 || s[13].value != 0 || s[14].value != 0 || s[15].value != 0) {
        refuse(m);
        return;
    }
    if ((s[9].n > 0 && s[10].n > 0) || s[19].text) {
        cut_by_ranges(m, rank);
        return;
    }
    bool like = s[3].value == 0 && s[4].value == 0 && s[5].value == 0 && s[6].value == 0 && s[7].value == 0 &&
                s[8].value == 0;
    if (like && m->layer->n_in < 2) {
        refuse(m);
        return;
    }
    for (int i = 0; i < rank - 1; i++) {
        int k = rank == 4 ? i : rank == 3 ? i + 1 : 2;
        int64_t all = cvi_ncnn_dim(m, m->in[0], i + 1), off = cvi_ncnn_int(m, offset[k], 0);
        int64_t want = like ? cvi_ncnn_dim(m, m->in[1], i + 1) : cvi_ncnn_int(m, size[k], 0);
        int64_t less = cvi_ncnn_int(m, behind[k], 0);
        axes[i] = i + 1;
        from[i] = off;
        if (off < 0 || less < 0 || (like && (want < 0 || all < 0))) {
            refuse(m);
            return;
        }
        to[i] = want > 0 ? off + want : less > 0 ? -less : INT64_MAX;
        if (want > 0 && less > 0 && all > 0) {
            to[i] = CVI_MIN(to[i], all - less);
        }
    }
    cut(m, rank - 1, from, to, axes);
}

/* ---- normalisations ---- */

/* One number a channel, 1 in front of the axes behind it. */
static int per_channel(ncnn *m, const char *part, bool tagged, int64_t n) {
    int64_t dim[CVS_MAX_RANK] = {n};
    int rank = CVI_MAX(cvi_ncnn_rank(m, m->in[0]) - 1, 1);
    for (int i = 1; i < rank; i++) {
        dim[i] = 1;
    }
    return cvi_ncnn_take(m, part, tagged, rank, dim);
}

void cvi_ncnn_group_norm(ncnn *m) {
    bool instance = strcmp(m->layer->type, "InstanceNorm") == 0;
    int64_t n = cvi_ncnn_int(m, instance ? 0 : 1, 0);
    double epsilon = cvi_ncnn_float(m, instance ? 1 : 2, 0.001);
    bool affine = cvi_ncnn_int(m, instance ? 2 : 3, 1) != 0;
    if (!affine && n < 1) {
        n = cvi_ncnn_dim(m, m->in[0], 1);
    }
    int scale = affine ? cvi_ncnn_take(m, "scale", false, 1, &n)
                       : cvi_build_fill(&m->b, cvi_ncnn_name(m, "scale"), n, 1);
    int bias = affine ? cvi_ncnn_take(m, "bias", false, 1, &n)
                      : cvi_build_fill(&m->b, cvi_ncnn_name(m, "bias"), n, 0);
    int v = cvi_ncnn_op(m, instance ? "InstanceNormalization" : "GroupNormalization", NULL, 3,
                        (int[]){m->in[0], scale, bias});
    cvi_build_float(&m->b, "epsilon", epsilon);
    if (!instance) {
        cvi_build_int(&m->b, "num_groups", cvi_ncnn_int(m, 0, 1));
    }
    cvi_ncnn_put(m, 0, v);
}

/* Over the last axes whose sizes' product is told; also by the root of the mean of squares alone. */
void cvi_ncnn_layer_norm(ncnn *m) {
    bool squares = m->layer->type[0] == 'R', affine = cvi_ncnn_int(m, 2, 1) != 0;
    int64_t n = cvi_ncnn_int(m, 0, 0), dim[CVS_MAX_RANK], product = 1;
    int rank = cvi_ncnn_rank(m, m->in[0]), axes = 0;
    while (axes + 1 < rank && (axes == 0 || product != n)) {
        int64_t d = cvi_ncnn_dim(m, m->in[0], rank - ++axes);
        if (d < 1 || !cvi_mul(product, d, &product)) {
            refuse(m);
            return;
        }
    }
    if (axes < 1 || product != n) {
        refuse(m);
        return;
    }
    for (int i = 0; i < axes; i++) {
        dim[i] = cvi_ncnn_dim(m, m->in[0], rank - axes + i);
    }
    int scale = affine ? cvi_ncnn_take(m, "scale", false, axes, dim)
                       : cvi_build_fill(&m->b, cvi_ncnn_name(m, "scale"), n, 1);
    if (!affine && axes > 1) {
        scale = cvi_ncnn_reshape(m, "ones", scale, axes, dim);
    }
    bool bias = affine && !squares;
    int in[3] = {m->in[0], scale, bias ? cvi_ncnn_take(m, "bias", false, axes, dim) : -1};
    int v = cvi_ncnn_op(m, squares ? "RMSNormalization" : "LayerNormalization", NULL, bias ? 3 : 2, in);
    cvi_build_int(&m->b, "axis", -axes);
    cvi_build_float(&m->b, "epsilon", cvi_ncnn_float(m, 1, 0.001));
    cvi_ncnn_put(m, 0, v);
}

/* x (bias + alpha mean of squares around)^-beta within each channel. */
static void lrn_within(ncnn *m) {
    int64_t size = cvi_ncnn_int(m, 1, 5), half = size / 2;
    if (size < 1 || size > 1024 || cvi_ncnn_rank(m, m->in[0]) != 4) {
        refuse(m);
        return;
    }
    int v = cvi_ncnn_op(m, "Mul", "squares", 2, (int[]){m->in[0], m->in[0]});
    v = cvi_ncnn_op(m, "AveragePool", "around", 1, &v);
    cvi_build_ints(&m->b, "kernel_shape", 2, (int64_t[]){size, size});
    cvi_build_ints(&m->b, "pads", 4, (int64_t[]){half, half, size - half - 1, size - half - 1});
    cvi_build_int(&m->b, "count_include_pad", 1);
    v = cvi_ncnn_with(m, "Mul", "scaled", v, "alpha", cvi_ncnn_float(m, 2, 1));
    v = cvi_ncnn_with(m, "Add", "shifted", v, "bias", cvi_ncnn_float(m, 4, 1));
    v = cvi_ncnn_with(m, "Pow", "divisor", v, "beta", -cvi_ncnn_float(m, 3, 0.75));
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Mul", NULL, 2, (int[]){m->in[0], v}));
}

void cvi_ncnn_lrn(ncnn *m) {
    if (cvi_ncnn_int(m, 0, 0) != 0) {
        lrn_within(m);
        return;
    }
    int v = cvi_ncnn_op(m, "LRN", NULL, 1, m->in);
    cvi_build_int(&m->b, "size", cvi_ncnn_int(m, 1, 5));
    cvi_build_float(&m->b, "alpha", cvi_ncnn_float(m, 2, 1));
    cvi_build_float(&m->b, "beta", cvi_ncnn_float(m, 3, 0.75));
    cvi_build_float(&m->b, "bias", cvi_ncnn_float(m, 4, 1));
    cvi_ncnn_put(m, 0, v);
}

/* Every position's channels divided by their length, times a scale: as SSD has it. */
void cvi_ncnn_normalize(ncnn *m) {
    bool shared = cvi_ncnn_int(m, 1, 0) != 0;
    int64_t n = cvi_ncnn_int(m, 3, 0);
    if (cvi_ncnn_int(m, 0, 0) || !cvi_ncnn_int(m, 4, 1) || cvi_ncnn_int(m, 9, 0)) {
        refuse(m);
        return;
    }
    int squares = cvi_ncnn_op(m, "Mul", "squares", 2, (int[]){m->in[0], m->in[0]});
    int64_t one = 1;
    int axis = cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axis"), 1, &one);
    int sum = cvi_ncnn_op(m, "ReduceSum", "sum", 2, (int[]){squares, axis});
    int epsilon = cvi_build_const_float(&m->b, cvi_ncnn_name(m, "epsilon"), cvi_ncnn_float(m, 2, 0.0001));
    sum = cvi_ncnn_op(m, "Add", "more", 2, (int[]){sum, epsilon});
    int length = cvi_ncnn_op(m, "Sqrt", "length", 1, &sum);
    int unit = cvi_ncnn_op(m, "Div", "unit", 2, (int[]){m->in[0], length});
    int scale = per_channel(m, "scale", false, shared ? 1 : n);
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, "Mul", NULL, 2, (int[]){unit, scale}));
}

/* ---- constants, shapes, sums ---- */

void cvi_ncnn_memory(ncnn *m) {
    int64_t w = cvi_ncnn_int(m, 0, 0), h = cvi_ncnn_int(m, 1, 0), c = cvi_ncnn_int(m, 2, 0);
    bool tagged = cvi_ncnn_int(m, 21, 1) == 0;
    if (w < 1 || cvi_ncnn_int(m, 11, 0)) {
        refuse(m);
        return;
    }
    int rank = c > 0 ? 3 : h > 0 ? 2 : 1;
    const int64_t dim[4] = {1, rank == 3 ? c : rank == 2 ? h : w, rank == 3 ? h : w, w};
    int v = cvi_ncnn_take(m, "data", tagged, rank + 1, dim);
    cvi_ncnn_put(m, 0, v);
}

void cvi_ncnn_power(ncnn *m) {
    double power = cvi_ncnn_float(m, 0, 1), scale = cvi_ncnn_float(m, 1, 1), shift = cvi_ncnn_float(m, 2, 0);
    int v = m->in[0];
    if (scale != 1) {
        int k = cvi_build_const_float(&m->b, cvi_ncnn_name(m, "scale"), scale);
        v = cvi_ncnn_op(m, "Mul", shift != 0 || power != 1 ? "scaled" : NULL, 2, (int[]){v, k});
    }
    if (shift != 0) {
        int k = cvi_build_const_float(&m->b, cvi_ncnn_name(m, "shift"), shift);
        v = cvi_ncnn_op(m, "Add", power != 1 ? "shifted" : NULL, 2, (int[]){v, k});
    }
    if (power != 1) {
        int k = cvi_build_const_float(&m->b, cvi_ncnn_name(m, "power"), power);
        v = cvi_ncnn_op(m, "Pow", NULL, 2, (int[]){v, k});
    }
    cvi_ncnn_put(m, 0, v);
}

void cvi_ncnn_gelu(ncnn *m) {
    int v = cvi_ncnn_op(m, "Gelu", NULL, 1, m->in);
    if (cvi_ncnn_int(m, 0, 0)) {
        cvi_build_string(&m->b, "approximate", "tanh");
    }
    cvi_ncnn_put(m, 0, v);
}

/* Axes of a setting's list as axes of the graph; -1: they do not fit. */
static int list_axes(const ncnn_setting *s, int rank, int64_t *axes) {
    if (s->n < 1 || s->n >= rank || s->n > CVS_MAX_RANK) {
        return -1;
    }
    for (int i = 0; i < s->n; i++) {
        if (!(s->list[i] >= 1 - rank && s->list[i] < rank)) {
            return -1;
        }
        axes[i] = (int64_t)s->list[i] + (s->list[i] < 0 ? rank : 1);
    }
    return s->n;
}

void cvi_ncnn_reduction(ncnn *m) {
    static const char *const ops[] = {"ReduceSum", NULL,        "ReduceSumSquare", "ReduceMean",
                                      "ReduceMax", "ReduceMin", "ReduceProd",      "ReduceL1",
                                      "ReduceL2",  NULL,        "ReduceLogSumExp"};
    int64_t op = cvi_ncnn_int(m, 0, 0), axes[CVS_MAX_RANK];
    int rank = cvi_ncnn_rank(m, m->in[0]), n;
    bool all = cvi_ncnn_int(m, 1, 1) != 0;
    if (all) {
        for (int i = 1; i < rank; i++) {
            axes[i - 1] = i;
        }
        n = rank - 1;
    } else {
        n = cvi_ncnn_int(m, 5, 0) ? list_axes(&m->layer->setting[3], rank, axes) : -1;
    }
    bool keep = cvi_ncnn_int(m, 4, 0) != 0, single = n == rank - 1 && !keep;
    double times = cvi_ncnn_float(m, 2, 1);
    if (n < 1 || op < 0 || op >= CVI_COUNT(ops) || !ops[op]) {
        refuse(m);
        return;
    }
    int in[2] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axes"), n, axes)};
    int v = cvi_ncnn_op(m, ops[op], single || times != 1 ? "sum" : NULL, 2, in);
    cvi_build_int(&m->b, "keepdims", keep || single);
    if (single) { /* one number, which ncnn keeps as [1] */
        v = cvi_ncnn_op(m, "Flatten", times != 1 ? "line" : NULL, 1, &v);
        cvi_build_int(&m->b, "axis", 1);
    }
    cvi_ncnn_put(m, 0, times != 1 ? cvi_ncnn_with(m, "Mul", NULL, v, "coefficient", times) : v);
}

void cvi_ncnn_squeeze(ncnn *m) {
    bool more = m->layer->type[0] == 'E';
    const ncnn_setting *s = &m->layer->setting[3];
    int rank = cvi_ncnn_rank(m, m->in[0]), n;
    int64_t axes[CVS_MAX_RANK];
    n = list_axes(s, more ? rank + CVI_MAX(s->n, 0) : rank, axes);
    if (n < 1 && !more) { /* flags: width, height, channels, where they are 1 */
        static const int flags[3] = {2, 1, 0};
        n = 0;
        for (int i = 0; i < 3; i++) {
            int axis = rank - 3 + i;
            if (cvi_ncnn_int(m, flags[i], 0) && axis >= 1 && cvi_ncnn_dim(m, m->in[0], axis) == 1) {
                axes[n++] = axis;
            }
        }
    }
    if (n < 1) {
        refuse(m);
        return;
    }
    int in[2] = {m->in[0], cvi_build_const_ints(&m->b, cvi_ncnn_name(m, "axes"), n, axes)};
    cvi_ncnn_put(m, 0, cvi_ncnn_op(m, more ? "Unsqueeze" : "Squeeze", NULL, 2, in));
}

/* Rows of a matrix (channels) convolved along its columns. */
void cvi_ncnn_convolution_1d(ncnn *m) {
    int64_t out = cvi_ncnn_int(m, 0, 0), k = cvi_ncnn_int(m, 1, 0), size = cvi_ncnn_int(m, 6, 0);
    bool grouped = strcmp(m->layer->type, "ConvolutionDepthWise1D") == 0;
    int64_t left = cvi_ncnn_int(m, 4, 0), pads[2] = {left, cvi_ncnn_int(m, 15, left)};
    int64_t stride = cvi_ncnn_int(m, 3, 1), dilation = cvi_ncnn_int(m, 2, 1), per = 0;
    if (left < 0 || cvi_ncnn_int(m, 19, 0) || cvi_ncnn_rank(m, m->in[0]) != 3) {
        refuse(m);
        return;
    }
    if (out < 1 || k < 1 || !cvi_mul(out, k, &per) || size < per || size % per) {
        cvi_build_set(&m->b, cvi_fail(m->b.err, CVS_E_SHAPE, "%lld weights do not fit %lld outputs",
                                      (long long)size, (long long)out));
        return;
    }
    int weight = cvi_ncnn_take(m, "weight", true, 3, (int64_t[]){out, size / per, k});
    bool bias = cvi_ncnn_int(m, 5, 0) != 0;
    int in[3] = {m->in[0], weight, bias ? cvi_ncnn_take(m, "bias", false, 1, &out) : -1};
    int v = cvi_build_op(&m->b, "Conv", cvi_ncnn_name(m, cvi_ncnn_has_activation(m) ? "linear" : NULL), false,
                         bias ? 3 : 2, in);
    cvi_build_ints(&m->b, "kernel_shape", 1, &k);
    cvi_build_ints(&m->b, "strides", 1, &stride);
    cvi_build_ints(&m->b, "dilations", 1, &dilation);
    cvi_build_ints(&m->b, "pads", 2, pads);
    cvi_build_int(&m->b, "group", grouped ? cvi_ncnn_int(m, 7, 1) : 1);
    cvi_ncnn_put(m, 0, cvi_ncnn_activate(m, v));
}
