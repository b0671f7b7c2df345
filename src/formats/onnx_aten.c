/* SPDX-License-Identifier: MIT
 * onnx_aten.c - PyTorch's own operators that its first exporters left in a file where ONNX of that opset had none (domain org.pytorch.aten, by
 * name or as ATen with an attribute `operator`), in ONNX's words of today. Arguments are PyTorch's, in their order.
 * Meanings: https://docs.pytorch.org/docs/stable/nn.functional.html
 */
#include "onnx_rewrite.h"

enum { LOOK_BACK = 64, MOST_TAPS = 1 << 24 };

/* The numbers of argument k where they are known, also behind a Cast; NULL: not known or absent. */
static const cvs_tensor *known(const cvi_rw *p, int k) {
    const cvi_graph *g = p->d->scope->graph;
    int v = cvi_rw_in(p, k);
    for (int i = g->n_nodes - 1; v >= 0 && !g->values[v].constant && i >= 0 && i >= g->n_nodes - LOOK_BACK;
         i--) {
        const cvi_node *n = &g->nodes[i];
        if (n->n_out == 1 && n->out[0] == v) {
            v = strcmp(n->op, "Cast") == 0 && n->n_in == 1 ? n->in[0] : -1;
        }
    }
    return cvi_rw_constant(p, v);
}

/* Up to two whole numbers of argument k, one counts for both; false: not known. */
static bool pair(const cvi_rw *p, int k, int64_t *to) {
    const cvs_tensor *t = known(p, k);
    int64_t n = t ? cvs_tensor_count(t) : 0;
    if (n < 1 || n > 2) {
        return false;
    }
    to[0] = cvi_get_int(t, 0);
    to[1] = cvi_get_int(t, n - 1);
    return true;
}

static bool one(const cvi_rw *p, int k, double *to) {
    const cvs_tensor *t = known(p, k);
    bool is = t && cvs_tensor_count(t) == 1;
    *to = is ? cvi_get(t, 0) : 0;
    return is;
}

static cvi_attr words(const char *name, const char *value) {
    return (cvi_attr){.name = name, .kind = CVI_ATTR_STRING, .s = value};
}

/* false: no memory, said. */
static bool ints(cvi_rw *p, cvi_attr *a, const char *name, int n, const int64_t *v) {
    if (!cvi_attr_set_ints(p->d->scope->graph, a, name, n, v)) {
        p->s = cvi_no_memory(p->d->o->err, 0);
    }
    return p->s == CVS_OK;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------ */
/* x, size or none, for all but the nearest whether corners are aligned, factors or none. */
static void upsample(cvi_rw *p, const char *mode) {
    static const int64_t rows_and_columns[] = {2, 3};
    bool nearest = strcmp(mode, "nearest") == 0;
    double corners = 0;
    int size = cvi_rw_in(p, 1), factor = cvi_rw_in(p, nearest ? 2 : 3);
    if (!cvi_rw_need(p, 1) || (size < 0 && factor < 0) || (!nearest && !one(p, 2, &corners))) {
        return;
    }
    cvi_attr attrs[] = {words("mode", mode),
                        words("coordinate_transformation_mode", nearest        ? "asymmetric"
                                                                : corners != 0 ? "align_corners"
                                                                               : "pytorch_half_pixel"),
                        words("nearest_mode", "floor"),
                        CVI_RW_FLOAT("cubic_coeff_a", -0.75),
                        {0}};
    const int in[] = {cvi_rw_in(p, 0), -1, size >= 0 ? -1 : factor, size};
    if (ints(p, &attrs[4], "axes", 2, rows_and_columns)) {
        cvi_rw_end(p, 0, "Resize", 4, in, 5, attrs);
    }
}

static void nearest(cvi_rw *p) {
    upsample(p, "nearest");
}

static void bilinear(cvi_rw *p) {
    upsample(p, "linear");
}

static void bicubic(cvi_rw *p) {
    upsample(p, "cubic");
}

/* The matrix [to,from] (turned: [from,to]) that averages from numbers into to parts, which may overlap by one. */
static int averages(cvi_rw *p, int64_t from, int64_t to, bool turned) {
    int64_t n;
    float *m = cvi_mul(from, to, &n) && n <= MOST_TAPS
                   ? cvi_arena_alloc(p->d->scope->graph->arena, n, sizeof *m)
                   : NULL;
    if (!m) {
        p->s = cvi_no_memory(p->d->o->err, 0);
        return -1;
    }
    memset(m, 0, (size_t)n * sizeof *m);
    for (int64_t i = 0; i < to; i++) {
        int64_t first = i * from / to, end = ((i + 1) * from + to - 1) / to;
        for (int64_t k = first; k < end; k++) {
            m[turned ? k * to + i : i * from + k] = 1 / (float)(end - first);
        }
    }
    const cvs_tensor t = {.dtype = CVS_F32,
                          .rank = 2,
                          .dim = {turned ? from : to, turned ? to : from},
                          .data = m,
                          .bytes = (size_t)n * sizeof *m};
    return cvi_rw_tensor(p, "averages", &t);
}

/* x [N,C,H,W] in parts of about equal size, averaged: a product from either side, which is that sum. */
static void adaptive_average(cvi_rw *p) {
    int64_t to[2];
    if (!cvi_rw_need(p, 2) || !pair(p, 1, to) || to[0] < 1 || to[1] < 1) {
        return;
    }
    int x = cvi_rw_in(p, 0);
    if (to[0] == 1 && to[1] == 1) {
        cvi_rw_end(p, 0, "GlobalAveragePool", 1, &x, 0, NULL);
        return;
    }
    cvs_tensor shape = cvi_onnx_shape(p->d, x);
    bool fits = shape.rank == 4 && shape.dim[2] > 0 && shape.dim[3] > 0;
    for (int a = 0; a < 2; a++) {
        fits = fits && shape.dim[2 + a] <= MOST_TAPS / to[a];
    }
    if (fits) {
        int columns = averages(p, shape.dim[3], to[1], true), rows = averages(p, shape.dim[2], to[0], false);
        const int in[] = {rows, cvi_rw_two(p, "MatMul", x, columns)};
        cvi_rw_end(p, 0, "MatMul", 2, in, 0, NULL);
    }
}

/* ---- the operators that ATen names ---------------------------------------------------------------------------------- */
static void grid_sampler(cvi_rw *p) {
    static const char *const modes[] = {"linear", "nearest", "cubic"}, *const paddings[] = {"zeros", "border",
                                                                                            "reflection"};
    double mode, padding, corners;
    if (cvi_rw_need(p, 2) && one(p, 2, &mode) && one(p, 3, &padding) && one(p, 4, &corners) && mode >= 0 &&
        mode <= 2 && padding >= 0 && padding <= 2) {
        const cvi_attr attrs[] = {words("mode", modes[(int)mode]),
                                  words("padding_mode", paddings[(int)padding]),
                                  CVI_RW_INT("align_corners", corners != 0)};
        cvi_rw_end(p, 0, "GridSample", 2, p->d->in, 3, attrs);
    }
}

static void flip(cvi_rw *p) {
    const cvs_tensor *axes = known(p, 1);
    int64_t n = axes ? cvs_tensor_count(axes) : 0, v[4][CVS_MAX_RANK];
    if (!cvi_rw_need(p, 2) || n < 1 || n > CVS_MAX_RANK) {
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        v[0][i] = v[3][i] = -1;
        v[1][i] = INT64_MIN;
        v[2][i] = cvi_get_int(axes, i);
    }
    const int in[] = {cvi_rw_in(p, 0), cvi_rw_ints(p, "from", (int)n, v[0]),
                      cvi_rw_ints(p, "to", (int)n, v[1]), cvi_rw_ints(p, "axes", (int)n, v[2]),
                      cvi_rw_ints(p, "steps", (int)n, v[3])};
    cvi_rw_end(p, 0, "Slice", 5, in, 0, NULL);
}

static void expand_as(cvi_rw *p) {
    if (cvi_rw_need(p, 2)) {
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_one(p, "Shape", cvi_rw_in(p, 1))};
        cvi_rw_end(p, 0, "Expand", 2, in, 0, NULL);
    }
}

static void cumsum(cvi_rw *p) {
    double axis;
    if (cvi_rw_need(p, 2) && cvi_rw_in(p, 2) < 0 && one(p, 1, &axis)) {
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_scalar(p, "axis", CVS_I64, axis)};
        cvi_rw_end(p, 0, "CumSum", 2, in, 0, NULL);
    }
}

static void gather(cvi_rw *p) {
    double axis;
    if (cvi_rw_need(p, 3) && one(p, 1, &axis) && axis > -CVS_MAX_RANK && axis < CVS_MAX_RANK) {
        const cvi_attr a = CVI_RW_INT("axis", (int64_t)axis);
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_in(p, 2)};
        cvi_rw_end(p, 0, "GatherElements", 2, in, 1, &a);
    }
}

static void masked_fill(cvi_rw *p) {
    if (cvi_rw_need(p, 3)) {
        int x = cvi_rw_in(p, 0);
        const int in[] = {cvi_rw_in(p, 1), cvi_rw_two(p, "CastLike", cvi_rw_in(p, 2), x), x};
        cvi_rw_end(p, 0, "Where", 3, in, 0, NULL);
    }
}

static void celu(cvi_rw *p) {
    double alpha;
    if (cvi_rw_need(p, 2) && one(p, 1, &alpha)) {
        const cvi_attr a = CVI_RW_FLOAT("alpha", alpha);
        cvi_rw_end(p, 0, "Celu", 1, p->d->in, 1, &a);
    }
}

static void triangle(cvi_rw *p, bool upper) {
    double k;
    if (cvi_rw_need(p, 2) && one(p, 1, &k)) {
        const cvi_attr a = CVI_RW_INT("upper", upper);
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_scalar(p, "k", CVS_I64, k)};
        cvi_rw_end(p, 0, "Trilu", 2, in, 1, &a);
    }
}

/* x [N,C*kh*kw,L], the picture's size, kernel, dilation, padding, stride. */
static void col2im(cvi_rw *p) {
    int64_t size[2], kernel[2], dilation[2], padding[2], stride[2];
    cvi_attr attrs[3];
    if (!cvi_rw_need(p, 6) || !pair(p, 1, size) || !pair(p, 2, kernel) || !pair(p, 3, dilation) ||
        !pair(p, 4, padding) || !pair(p, 5, stride)) {
        return;
    }
    const int64_t pads[] = {padding[0], padding[1], padding[0], padding[1]};
    if (ints(p, &attrs[0], "dilations", 2, dilation) && ints(p, &attrs[1], "pads", 4, pads) &&
        ints(p, &attrs[2], "strides", 2, stride)) {
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_ints(p, "size", 2, size),
                          cvi_rw_ints(p, "kernel", 2, kernel)};
        cvi_rw_end(p, 0, "Col2Im", 3, in, 3, attrs);
    }
}

/* The other way round: a convolution whose kernels each pick one place of a channel's window. x, kernel, dilation, padding, stride. */
static void im2col(cvi_rw *p) {
    int64_t kernel[2], dilation[2], padding[2], stride[2], taps, n, total;
    cvi_attr attrs[4];
    if (!cvi_rw_need(p, 5) || !pair(p, 1, kernel) || !pair(p, 2, dilation) || !pair(p, 3, padding) ||
        !pair(p, 4, stride)) {
        return;
    }
    cvs_tensor shape = cvi_onnx_shape(p->d, cvi_rw_in(p, 0));
    if (shape.rank != 4 || shape.dim[1] < 1 || kernel[0] < 1 || kernel[1] < 1 ||
        !cvi_mul(kernel[0], kernel[1], &taps) || !cvi_mul(taps, shape.dim[1], &n) ||
        !cvi_mul(taps, n, &total) || total > MOST_TAPS) {
        return;
    }
    float *w = cvi_arena_alloc(p->d->scope->graph->arena, total, sizeof *w);
    if (!w) {
        p->s = cvi_no_memory(p->d->o->err, (size_t)total * sizeof *w);
        return;
    }
    for (int64_t i = 0; i < total; i++) {
        w[i] = i / taps % taps == i % taps;
    }
    const cvs_tensor t = {.dtype = CVS_F32,
                          .rank = 4,
                          .dim = {n, 1, kernel[0], kernel[1]},
                          .data = w,
                          .bytes = (size_t)total * sizeof *w};
    const int64_t pads[] = {padding[0], padding[1], padding[0], padding[1]}, flat[] = {0, n, -1};
    attrs[3] = CVI_RW_INT("group", shape.dim[1]);
    if (ints(p, &attrs[0], "dilations", 2, dilation) && ints(p, &attrs[1], "pads", 4, pads) &&
        ints(p, &attrs[2], "strides", 2, stride)) {
        const int in[] = {cvi_rw_in(p, 0), cvi_rw_tensor(p, "windows", &t)};
        const int rows[] = {cvi_rw_put(p, "Conv", true, 2, in, 4, attrs), cvi_rw_ints(p, "flat", 3, flat)};
        cvi_rw_end(p, 0, "Reshape", 2, rows, 0, NULL);
    }
}

/* ATen: its attribute `operator` says which. Those with a rule, and those whose arguments are an ONNX operator's inputs as they are. */
static void aten(cvi_rw *p) {
    static const cvi_onnx_rule rules[] = {{"upsample_nearest2d", nearest},
                                          {"upsample_bilinear2d", bilinear},
                                          {"upsample_bicubic2d", bicubic},
                                          {"adaptive_avg_pool2d", adaptive_average},
                                          {"grid_sampler", grid_sampler},
                                          {"flip", flip},
                                          {"expand_as", expand_as},
                                          {"cumsum", cumsum},
                                          {"gather", gather},
                                          {"masked_fill", masked_fill},
                                          {"celu", celu},
                                          {"col2im", col2im},
                                          {"im2col", im2col}};
    static const struct {
        const char *name, *op;
        int n;
    } same[] = {{"where", "Where", 3}, {"sign", "Sign", 1},     {"erf", "Erf", 1},
                {"round", "Round", 1}, {"relu", "Relu", 1},     {"sigmoid", "Sigmoid", 1},
                {"tanh", "Tanh", 1},   {"matmul", "MatMul", 2}, {"silu", "Swish", 1},
                {"mish", "Mish", 1}};
    const char *op = cvi_rw_string(p, "operator", "");
    for (int i = 0; i < CVI_COUNT(rules); i++) {
        if (strcmp(op, rules[i].op) == 0) {
            rules[i].apply(p);
            return;
        }
    }
    for (int i = 0; i < CVI_COUNT(same); i++) {
        if (strcmp(op, same[i].name) == 0 && cvi_rw_need(p, same[i].n)) {
            cvi_rw_end(p, 0, same[i].op, same[i].n, p->d->in, 0, NULL);
            return;
        }
    }
    if (strcmp(op, "triu") == 0 || strcmp(op, "tril") == 0) {
        triangle(p, op[3] == 'u');
    }
}

const cvi_onnx_rule cvi_onnx_rules_aten[] = {
    {"org.pytorch.aten::ATen", aten},
    {"aten::ATen", aten},
    {"ATen", aten},
    {"org.pytorch.aten::adaptive_avg_pool2d", adaptive_average},
    {"org.pytorch.aten::upsample_nearest2d", nearest},
    {"org.pytorch.aten::upsample_bilinear2d", bilinear},
    {"org.pytorch.aten::upsample_bicubic2d", bicubic},
    {NULL, NULL},
};
