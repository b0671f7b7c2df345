/* SPDX-License-Identifier: MIT
 * slice.c - Slice and Pad: cutting pieces out and adding borders (or, with negative pads, cutting them off). Both are tables of
 * offsets (walk.h), where a border's entries say fill, mirror, repeat or wrap.
 */
#include "ops/walk.h"

/* ---- Slice ------------------------------------------------------------------------------------------- */
/* Per axis: where to begin, the step, how many. */
typedef struct cut {
    int64_t start[CVS_MAX_RANK], step[CVS_MAX_RANK], count[CVS_MAX_RANK];
} cut;

/* One axis of numpy's start:end:step with clamping. */
static void cut_axis(cut *c, int a, int64_t side, int64_t start, int64_t end, int64_t step) {
    start = start < 0 ? start + side : start;
    end = end < 0 ? end + side : end;
    int64_t count;
    if (step > 0) {
        start = CVI_MAX(CVI_MIN(start, side), 0);
        end = CVI_MAX(CVI_MIN(end, side), 0);
        count = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        step = CVI_MAX(step, -INT64_MAX);
        start = CVI_MAX(CVI_MIN(start, side - 1), 0);
        end = CVI_MAX(CVI_MIN(end, side - 1), -1);
        count = side > 0 && start > end ? (start - end - 1) / -step + 1 : 0;
    }
    c->start[a] = start;
    c->step[a] = count > 1 ? step : 1; /* a single element needs no step, and none that overflows */
    c->count[a] = count;
}

static cvs_status make_cut(const cvi_opctx *ctx, cut *c) {
    const cvs_tensor *x = ctx->in[0];
    int64_t starts[CVS_MAX_RANK], ends[CVS_MAX_RANK], axes[CVS_MAX_RANK], steps[CVS_MAX_RANK];
    int n, n_ends, n_axes, n_steps;
    bool named[CVS_MAX_RANK] = {false};
    CVI_TRY(cvi_ints(ctx, 1, starts, CVS_MAX_RANK, &n));
    CVI_TRY(cvi_ints(ctx, 2, ends, CVS_MAX_RANK, &n_ends));
    CVI_TRY(cvi_ints(ctx, 3, axes, CVS_MAX_RANK, &n_axes));
    CVI_TRY(cvi_ints(ctx, 4, steps, CVS_MAX_RANK, &n_steps));
    if (n != n_ends || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n) || n > x->rank) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "there are %d starts, %d ends, %d axes and %d steps for an input of rank %d", n,
                        n_ends, n_axes < 0 ? n : n_axes, n_steps < 0 ? n : n_steps, x->rank);
    }
    for (int a = 0; a < x->rank; a++) {
        c->start[a] = 0;
        c->step[a] = 1;
        c->count[a] = x->dim[a];
    }
    for (int k = 0; k < n; k++) {
        int a = k;
        if (n_axes >= 0) {
            CVI_TRY(cvi_axis(ctx, axes[k], x->rank, &a));
        }
        int64_t step = n_steps >= 0 ? steps[k] : 1;
        if (step == 0 || named[a]) {
            return step == 0 ? cvi_fail(ctx->err, CVS_E_SHAPE, "the step along axis %d is 0", a)
                             : cvi_fail(ctx->err, CVS_E_SHAPE, "axis %d is named twice", a);
        }
        named[a] = true;
        cut_axis(c, a, x->dim[a], starts[k], ends[k], step);
    }
    return CVS_OK;
}

static cvs_status infer_slice(cvi_opctx *ctx) {
    cut c;
    CVI_TRY(make_cut(ctx, &c));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, c.count);
}

static cvs_status map_slice(cvi_opctx *ctx, cvi_map *m) {
    const cvs_tensor *x = ctx->in[0];
    cut c;
    int64_t stride[CVS_MAX_RANK];
    CVI_TRY(make_cut(ctx, &c));
    CVI_TRY(cvi_map_new(ctx, m, x->rank, ctx->out[0].dim));
    cvi_strides(x->rank, x->dim, stride);
    for (int a = 0; a < x->rank; a++) {
        cvi_map_line(m, a, c.start[a] * stride[a], c.step[a] * stride[a]);
    }
    return CVS_OK;
}

/* Where a slice begins shifts positions; a step above 1 skips them. */
static void field_slice(const cvi_opctx *ctx, cvi_field_step *step) {
    cut c;
    int rank = ctx->in[0]->rank;
    step->kind = CVI_FIELD_NONE;
    if (rank < 3 || make_cut(ctx, &c) != CVS_OK) {
        return;
    }
    step->kind = CVI_FIELD_WINDOW;
    for (int k = 0; k < 2; k++) {
        int a = rank - 2 + k;
        bool spatial = rank >= 4 || k == 1;
        if (c.step[a] < 0) {
            step->kind = CVI_FIELD_NONE;
            return;
        }
        step->kernel[k] = step->dilation[k] = 1;
        step->stride[k] = spatial ? c.step[a] : 1;
        step->pad_begin[k] = spatial ? -c.start[a] : 0;
    }
}

/* ---- Pad --------------------------------------------------------------------------------------------- */
typedef struct borders {
    int64_t begin[CVS_MAX_RANK], end[CVS_MAX_RANK];
} borders;

static cvs_status make_borders(const cvi_opctx *ctx, borders *b) {
    const cvs_tensor *x = ctx->in[0];
    int64_t pads[2 * CVS_MAX_RANK], axes[CVS_MAX_RANK];
    int n, n_axes;
    CVI_TRY(cvi_ints(ctx, 1, pads, 2 * CVS_MAX_RANK, &n));
    CVI_TRY(cvi_ints(ctx, 3, axes, CVS_MAX_RANK, &n_axes));
    int padded = n_axes >= 0 ? n_axes : x->rank;
    if (n != 2 * padded) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "there are %d pads, but %d axes need %d", n, padded,
                        2 * padded);
    }
    *b = (borders){{0}, {0}};
    for (int k = 0; k < padded; k++) {
        int a = k;
        if (n_axes >= 0) {
            CVI_TRY(cvi_axis(ctx, axes[k], x->rank, &a));
        }
        b->begin[a] = pads[k];
        b->end[a] = pads[padded + k];
    }
    return CVS_OK;
}

static cvs_status infer_pad(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    const char *mode = cvi_op_string(ctx, "mode");
    borders b;
    int64_t dim[CVS_MAX_RANK];
    bool constant = strcmp(mode, "constant") == 0;
    if (!constant && strcmp(mode, "reflect") != 0 && strcmp(mode, "edge") != 0 && strcmp(mode, "wrap") != 0) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_UNSUPPORTED,
                                    "mode is %.40s, but must be constant, reflect, edge or wrap", mode),
                           "mode");
    }
    CVI_TRY(make_borders(ctx, &b));
    for (int a = 0; a < x->rank; a++) {
        const int64_t most = (int64_t)1 << 48; /* far above any real side, far below overflow */
        bool sane = b.begin[a] > -most && b.begin[a] < most && b.end[a] > -most && b.end[a] < most;
        dim[a] = sane ? x->dim[a] + b.begin[a] + b.end[a] : -1;
        if (dim[a] < 0) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "pads %lld and %lld do not fit a side of %lld (axis %d)",
                            (long long)b.begin[a], (long long)b.end[a], (long long)x->dim[a], a);
        }
        if (!constant && x->dim[a] == 0 && dim[a] > 0) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "axis %d has no elements to fill a border with", a);
        }
    }
    return cvi_out_shape(ctx, 0, x->dtype, x->rank, dim);
}

/* The input index that position i (may lie outside of [0, side)) shows, or -1 for the fill. */
static int64_t border_index(char mode, int64_t i, int64_t side) {
    if (i >= 0 && i < side) {
        return i;
    }
    switch (mode) {
    case 'e':
        return i < 0 ? 0 : side - 1;
    case 'w':
        return (i % side + side) % side;
    case 'r': { /* mirrored about the first and last element, again and again */
        int64_t period = 2 * (side - 1);
        if (period == 0) {
            return 0;
        }
        int64_t k = (i % period + period) % period;
        return k < side ? k : period - k;
    }
    default:
        return -1;
    }
}

static cvs_status map_pad(cvi_opctx *ctx, cvi_map *m) {
    const cvs_tensor *x = ctx->in[0];
    char mode = cvi_op_string(ctx, "mode")[0];
    borders b;
    int64_t stride[CVS_MAX_RANK];
    CVI_TRY(make_borders(ctx, &b));
    CVI_TRY(cvi_map_new(ctx, m, x->rank, ctx->out[0].dim));
    cvi_strides(x->rank, x->dim, stride);
    for (int a = 0; a < x->rank; a++) {
        for (int64_t i = 0; i < m->dim[a]; i++) {
            int64_t from = border_index(mode, i - b.begin[a], x->dim[a]);
            m->at[a][i] = from < 0 ? -1 : from * stride[a];
        }
    }
    return CVS_OK;
}

static void field_pad(const cvi_opctx *ctx, cvi_field_step *step) {
    borders b;
    int rank = ctx->in[0]->rank;
    step->kind = CVI_FIELD_NONE;
    if (rank < 3 || make_borders(ctx, &b) != CVS_OK) {
        return;
    }
    step->kind = CVI_FIELD_WINDOW;
    for (int k = 0; k < 2; k++) {
        step->kernel[k] = step->stride[k] = step->dilation[k] = 1;
        step->pad_begin[k] = rank >= 4 || k == 1 ? b.begin[rank - 2 + k] : 0;
    }
}

/* ---- forward, backward --------------------------------------------------------------------------------- */
static cvs_status forward_slice(cvi_opctx *ctx) {
    cvi_map m;
    if (ctx->out[0].bytes == 0) {
        return CVS_OK;
    }
    CVI_TRY(map_slice(ctx, &m));
    cvi_map_move(ctx, &m, ctx->in[0]->data, cvs_dtype_size(ctx->out[0].dtype), NULL, ctx->out[0].data);
    return CVS_OK;
}

static cvs_status forward_pad(cvi_opctx *ctx) {
    const cvs_tensor *fill = cvi_in(ctx, 2);
    cvi_map m;
    if (ctx->out[0].bytes == 0) {
        return CVS_OK;
    }
    if (fill != NULL && cvs_tensor_count(fill) == 0) {
        fill = NULL;
    }
    if (fill != NULL) {
        CVI_TRY(cvi_one_type(ctx, 0, 2));
    }
    CVI_TRY(map_pad(ctx, &m));
    cvi_map_move(ctx, &m, ctx->in[0]->data, cvs_dtype_size(ctx->out[0].dtype),
                 fill != NULL ? fill->data : NULL, ctx->out[0].data);
    return CVS_OK;
}

static cvs_status backward_slice(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                 cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_map m;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(map_slice(ctx, &m));
    return cvi_map_add(ctx, &m, grad_out[0], grad_in[0]);
}

/* What was filled in came from constant_value: its gradient is the sum over the border. */
static cvs_status backward_pad(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_map m;
    const cvs_tensor *g = grad_out[0];
    if (g == NULL) {
        return CVS_OK;
    }
    CVI_TRY(map_pad(ctx, &m));
    if (grad_in[0] != NULL) {
        CVI_TRY(cvi_map_add(ctx, &m, g, grad_in[0]));
    }
    if (ctx->n_in > 2 && grad_in[2] != NULL && cvs_tensor_count(grad_in[2]) == 1) {
        double sum = 0;
        int64_t n = cvs_tensor_count(g);
        for (int64_t i = 0; i < n; i++) {
            int64_t rest = i;
            bool outside = false;
            for (int a = m.rank - 1; a >= 0; a--) {
                outside = outside || m.at[a][rest % m.dim[a]] < 0;
                rest /= m.dim[a];
            }
            sum += outside ? cvi_get(g, i) : 0;
        }
        cvi_put(grad_in[2], 0, cvi_get(grad_in[2], 0) + sum);
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io data_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_io slice_in[] = {{"data", CVI_DATA, false, false},
                                     {"starts", CVI_SHAPE, false, false},
                                     {"ends", CVI_SHAPE, false, false},
                                     {"axes", CVI_SHAPE, true, false},
                                     {"steps", CVI_SHAPE, true, false}};

const cvi_op cvi_op_slice = {
    .name = "Slice",
    .word_en = "slice",
    .word_zh = "切片",
    .since = 13,
    .inputs = slice_in,
    .n_inputs = 5,
    .outputs = data_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_slice,
    .forward = forward_slice,
    .any_type = true,
    .backward = backward_slice,
    .field = field_slice,
    .text = {"Slice", "切片",
             "Cuts a piece out of a tensor: from a start to an end in steps, along chosen axes.",
             "从张量中切出一块：沿所选的轴，从起点到终点按步长取。", "y = x[start : end : step]",
             "A part of the input, unchanged; a step above 1 skips places.",
             "输入的一部分，内容不变；步长大于 1 时会跳过一些位置。"},
};

static const cvi_op_io pad_in[] = {{"data", CVI_DATA, false, false},
                                   {"pads", CVI_SHAPE, false, false},
                                   {"constant_value", CVI_SHIFT, true, false},
                                   {"axes", CVI_SHAPE, true, false}};
static const cvi_op_attr pad_attrs[] = {
    {"mode", CVI_ATTR_STRING, "constant", "constant|reflect|edge|wrap",
     "what a border shows: one number, the mirrored inside, the last row again, or the other side",
     "边框的内容：常数、镜像、重复边缘，或另一侧的内容"},
};

const cvi_op cvi_op_pad = {
    .name = "Pad",
    .word_en = "pad",
    .word_zh = "填充",
    .since = 19,
    .inputs = pad_in,
    .n_inputs = 4,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = pad_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_pad,
    .forward = forward_pad,
    .any_type = true,
    .backward = backward_pad,
    .field = field_pad,
    .text = {"Padding", "填充",
             "Adds a border around the input, so that windows also fit at the edges; negative pads cut off.",
             "在输入四周加上边框，使窗口在边缘也能放得下；负的填充表示裁掉。",
             "y[i] = x[i − pad] inside, border value outside",
             "The input inside a frame; a frame of zeros often leaves a visible rim in later maps.",
             "输入被一圈边框包围；零边框常在后面的特征图边缘留下可见的痕迹。"},
};
