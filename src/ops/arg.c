/* SPDX-License-Identifier: MIT
 * arg.c - ArgMax ArgMin TopK CumSum: things that happen along one axis, line by line. A line is `length` numbers, `inner`
 * elements apart. Ties go to the first index (the last with select_last_index); a NaN counts as the largest.
 */
#include "ops/walk.h"

typedef struct lines {
    int axis;
    int64_t length, inner, count; /* count = all lines */
} lines;

static cvs_status make_lines(const cvi_opctx *ctx, int64_t axis, lines *l) {
    const cvs_tensor *x = ctx->in[0];
    CVI_TRY(cvi_axis(ctx, axis, x->rank, &l->axis));
    l->length = x->dim[l->axis];
    l->inner = cvi_product(x->dim, l->axis + 1, x->rank);
    l->count = cvi_product(x->dim, 0, l->axis) * l->inner;
    return CVS_OK;
}

/* First element of line i of a tensor whose lines are `length` long. */
static int64_t line_at(const lines *l, int64_t i, int64_t length) {
    return i / l->inner * length * l->inner + i % l->inner;
}

/* -1, 0, 1 as element i is smaller than, equal to or larger than element j; a NaN is above everything. */
static int order(const cvs_tensor *t, int64_t i, int64_t j) {
    if (cvi_is_float(t->dtype)) {
        double a = cvi_get(t, i), b = cvi_get(t, j);
        if (a != a || b != b) {
            return (a != a) - (b != b);
        }
        return (a > b) - (a < b);
    }
    int64_t a = cvi_get_int(t, i), b = cvi_get_int(t, j);
    if (t->dtype == CVS_U64) {
        return ((uint64_t)a > (uint64_t)b) - ((uint64_t)a < (uint64_t)b);
    }
    return (a > b) - (a < b);
}

/* ---- ArgMax, ArgMin -------------------------------------------------------------------------------------- */
static cvs_status infer_arg(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    lines l;
    int64_t dim[CVS_MAX_RANK];
    int rank = 0;
    CVI_TRY(make_lines(ctx, cvi_op_int(ctx, "axis"), &l));
    if (l.length == 0 && l.count != 0) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "axis %d has no elements, so there is no best one", l.axis);
    }
    for (int a = 0; a < x->rank; a++) {
        if (a != l.axis) {
            dim[rank++] = x->dim[a];
        } else if (cvi_op_int(ctx, "keepdims") != 0) {
            dim[rank++] = 1;
        }
    }
    return cvi_out_shape(ctx, 0, CVS_I64, rank, dim);
}

static cvs_status arg_best(cvi_opctx *ctx, int sign) {
    const cvs_tensor *x = ctx->in[0];
    bool last = cvi_op_int(ctx, "select_last_index") != 0;
    lines l;
    CVI_TRY(make_lines(ctx, cvi_op_int(ctx, "axis"), &l));
    for (int64_t i = 0; i < l.count; i++) {
        int64_t at = line_at(&l, i, l.length), best = 0;
        for (int64_t k = 1; k < l.length; k++) {
            int better = sign * order(x, at + k * l.inner, at + best * l.inner);
            if (better > 0 || (last && better == 0)) {
                best = k;
            }
        }
        ((int64_t *)ctx->out[0].data)[i] = best;
    }
    return CVS_OK;
}

static cvs_status forward_arg_max(cvi_opctx *ctx) {
    return arg_best(ctx, 1);
}

static cvs_status forward_arg_min(cvi_opctx *ctx) {
    return arg_best(ctx, -1);
}

/* ---- TopK ---------------------------------------------------------------------------------------------- */
static cvs_status infer_top_k(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    lines l;
    int64_t k, dim[CVS_MAX_RANK];
    int n;
    CVI_TRY(make_lines(ctx, cvi_op_int(ctx, "axis"), &l));
    CVI_TRY(cvi_ints(ctx, 1, &k, 1, &n));
    if (n != 1 || k < 0 || k > l.length) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the best %lld of %lld elements along axis %d are asked for",
                        n == 1 ? (long long)k : -1, (long long)l.length, l.axis);
    }
    memcpy(dim, x->dim, sizeof dim);
    dim[l.axis] = k;
    CVI_TRY(cvi_out_shape(ctx, 0, x->dtype, x->rank, dim));
    return cvi_out_shape(ctx, 1, CVS_I64, x->rank, dim);
}

typedef struct ranking {
    const cvs_tensor *x;
    int64_t at, inner;
    int sign; /* 1: largest first */
} ranking;

/* Merge sort of `from` (n indices of a line) with `to` as room; stable, so equal numbers keep their order. */
static void sort_indices(const ranking *r, int64_t *from, int64_t *to, int64_t n) {
    if (n < 2) {
        return;
    }
    int64_t half = n / 2, a = 0, b = half;
    sort_indices(r, from, to, half);
    sort_indices(r, from + half, to, n - half);
    for (int64_t k = 0; k < n; k++) {
        bool left =
            b >= n ||
            (a < half && r->sign * order(r->x, r->at + from[a] * r->inner, r->at + from[b] * r->inner) >= 0);
        to[k] = left ? from[a++] : from[b++];
    }
    memcpy(from, to, (size_t)n * sizeof *from);
}

static cvs_status forward_top_k(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    lines l;
    CVI_TRY(make_lines(ctx, cvi_op_int(ctx, "axis"), &l));
    int64_t k = cvi_get_int(ctx->in[1], 0), room = CVI_MAX(l.length, 1);
    int64_t *index = cvi_arena_alloc(ctx->scratch, 2 * room, sizeof *index);
    if (index == NULL) {
        return cvi_no_memory(ctx->err, 2 * (size_t)room * sizeof *index);
    }
    bool values = ctx->out[0].dtype != CVS_NONE, indices = ctx->n_out > 1 && ctx->out[1].dtype != CVS_NONE;
    size_t size = cvs_dtype_size(x->dtype);
    for (int64_t i = 0; i < l.count && k > 0; i++) {
        ranking r = {x, line_at(&l, i, l.length), l.inner, cvi_op_int(ctx, "largest") != 0 ? 1 : -1};
        int64_t to = line_at(&l, i, k);
        for (int64_t j = 0; j < l.length; j++) {
            index[j] = j;
        }
        sort_indices(&r, index, index + room, l.length);
        for (int64_t j = 0; j < k; j++) {
            if (values) {
                memcpy((char *)ctx->out[0].data + (size_t)(to + j * l.inner) * size,
                       (const char *)x->data + (size_t)(r.at + index[j] * l.inner) * size, size);
            }
            if (indices) {
                ((int64_t *)ctx->out[1].data)[to + j * l.inner] = index[j];
            }
        }
    }
    return CVS_OK;
}

/* The chosen elements get their gradients; the choice is made again when the indices were not kept. */
static cvs_status backward_top_k(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                 cvs_tensor *const *grad_in) {
    (void)rule;
    lines l;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    if (ctx->n_out < 2 || ctx->out[1].dtype == CVS_NONE || ctx->out[1].data == NULL) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED,
                        "the gradient needs the indices output, which the model does not use");
    }
    CVI_TRY(make_lines(ctx, cvi_op_int(ctx, "axis"), &l));
    int64_t k = ctx->out[1].dim[l.axis];
    for (int64_t i = 0; i < l.count; i++) {
        int64_t at = line_at(&l, i, l.length), from = line_at(&l, i, k);
        for (int64_t j = 0; j < k; j++) {
            int64_t to = at + cvi_get_int(&ctx->out[1], from + j * l.inner) * l.inner;
            cvi_put(grad_in[0], to, cvi_get(grad_in[0], to) + cvi_get(grad_out[0], from + j * l.inner));
        }
    }
    return CVS_OK;
}

/* ---- CumSum -------------------------------------------------------------------------------------------- */
static cvs_status cumsum_lines(const cvi_opctx *ctx, lines *l) {
    int64_t axis;
    int n;
    CVI_TRY(cvi_ints(ctx, 1, &axis, 1, &n));
    if (n != 1) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld elements, but must have one", 1, 0LL);
    }
    return make_lines(ctx, axis, l);
}

static cvs_status infer_cumsum(cvi_opctx *ctx) {
    lines l;
    CVI_TRY(cumsum_lines(ctx, &l));
    return cvi_infer_same(ctx);
}

/* y (or, adding, y +=) the running sums of x; `back` goes from the end. */
static void run_sums(const lines *l, const cvs_tensor *x, const cvs_tensor *y, bool back, bool exclusive,
                     bool adding) {
    for (int64_t i = 0; i < l->count; i++) {
        int64_t at = line_at(l, i, l->length);
        double sum = 0;
        uint64_t whole = 0;
        for (int64_t k = 0; k < l->length; k++) {
            int64_t e = at + (back ? l->length - 1 - k : k) * l->inner;
            double before = sum, v = cvi_get(x, e);
            uint64_t whole_before = whole;
            sum += v;
            if (cvi_is_float(x->dtype)) {
                cvi_put(y, e, (exclusive ? before : sum) + (adding ? cvi_get(y, e) : 0));
            } else {
                whole += (uint64_t)cvi_get_int(x, e);
                cvi_put_int(y, e, (int64_t)(exclusive ? whole_before : whole));
            }
        }
    }
}

static cvs_status forward_cumsum(cvi_opctx *ctx) {
    lines l;
    CVI_TRY(cumsum_lines(ctx, &l));
    run_sums(&l, ctx->in[0], &ctx->out[0], cvi_op_int(ctx, "reverse") != 0, cvi_op_int(ctx, "exclusive") != 0,
             false);
    return CVS_OK;
}

/* The adjoint of a running sum is the running sum from the other end. */
static cvs_status backward_cumsum(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    lines l;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(cumsum_lines(ctx, &l));
    run_sums(&l, grad_out[0], grad_in[0], cvi_op_int(ctx, "reverse") == 0, cvi_op_int(ctx, "exclusive") != 0,
             true);
    return CVS_OK;
}

static void cost_lines(const cvi_opctx *ctx, cvi_cost *cost) {
    cost->flops = cvs_tensor_count(ctx->in[0]);
}

/* Along channels positions stay; along rows or columns every output reads the whole line. */
static void field_line(const cvi_opctx *ctx, cvi_field_step *step) {
    int rank = ctx->in[0]->rank;
    int64_t axis = cvi_op_int(ctx, "axis");
    axis = axis < 0 ? axis + rank : axis;
    step->kind = rank >= 3 && axis < rank - 2 ? CVI_FIELD_SAME : CVI_FIELD_ALL;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io arg_in[] = {{"data", CVI_DATA, false, false}};
static const cvi_op_io arg_out[] = {{"reduced", CVI_DATA, false, false}};
static const cvi_op_attr arg_attrs[] = {
    {"axis", CVI_ATTR_INT, "0", "-rank ... rank-1", "axis along which the best is sought", "沿哪一轴寻找"},
    {"keepdims", CVI_ATTR_INT, "1", "0|1", "1: the axis stays with size 1; 0: it is removed",
     "1：该轴保留为大小 1；0：去掉"},
    {"select_last_index", CVI_ATTR_INT, "0", "0|1", "1: among equals the last one; 0: the first",
     "1：并列时取最后一个；0：取第一个"},
};

const cvi_op cvi_op_arg_max = {
    .name = "ArgMax",
    .since = 13,
    .inputs = arg_in,
    .n_inputs = 1,
    .outputs = arg_out,
    .n_outputs = 1,
    .attrs = arg_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_arg,
    .forward = forward_arg_max,
    .any_type = true,
    .cost = cost_lines,
    .field = field_line,
    .text = {"Index of the maximum", "最大值的下标", "Says where along an axis the largest number stands.",
             "指出沿某一轴最大的数在哪里。", "y = argmaxₖ x[k]",
             "Numbers are indices, not strengths; over the channels each one names the winning class of its "
             "place.",
             "数值是下标而不是强度；若沿通道求，就是每个位置胜出的类别。"},
};

const cvi_op cvi_op_arg_min = {
    .name = "ArgMin",
    .since = 13,
    .inputs = arg_in,
    .n_inputs = 1,
    .outputs = arg_out,
    .n_outputs = 1,
    .attrs = arg_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_arg,
    .forward = forward_arg_min,
    .any_type = true,
    .cost = cost_lines,
    .field = field_line,
    .text = {"Index of the minimum", "最小值的下标", "Says where along an axis the smallest number stands.",
             "指出沿某一轴最小的数在哪里。", "y = argminₖ x[k]", "Numbers are indices, not strengths.",
             "数值是下标而不是强度。"},
};

static const cvi_op_io top_in[] = {{"X", CVI_DATA, false, false}, {"K", CVI_SHAPE, false, false}};
static const cvi_op_io top_out[] = {{"Values", CVI_DATA, false, false}, {"Indices", CVI_DATA, true, false}};
static const cvi_op_attr top_attrs[] = {
    {"axis", CVI_ATTR_INT, "-1", "-rank ... rank-1", "axis along which the best are sought", "沿哪一轴挑选"},
    {"largest", CVI_ATTR_INT, "1", "0|1", "1: the largest; 0: the smallest", "1：取最大的；0：取最小的"},
    {"sorted", CVI_ATTR_INT, "1", "0|1", "whether the results are in order (here they always are)",
     "结果是否有序（这里总是有序）"},
};

const cvi_op cvi_op_top_k = {
    .name = "TopK",
    .since = 11,
    .inputs = top_in,
    .n_inputs = 2,
    .outputs = top_out,
    .n_outputs = 2,
    .attrs = top_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_top_k,
    .forward = forward_top_k,
    .any_type = true,
    .backward = backward_top_k,
    .cost = cost_lines,
    .field = field_line,
    .text = {"The k best", "前 k 个",
             "Picks the k largest (or smallest) numbers along an axis, best first, and says where "
             "they stood.",
             "沿某一轴挑出最大（或最小）的 k 个数，从最好的排起，并给出其位置。", "y = sort(x)[0 … k−1]",
             "A ranking: neighbours in the picture need not be neighbours in the input.",
             "这是排名：图中相邻的数在输入中未必相邻。"},
};

static const cvi_op_io cumsum_in[] = {{"x", CVI_DATA, false, false}, {"axis", CVI_SHAPE, false, false}};
static const cvi_op_io cumsum_out[] = {{"y", CVI_DATA, false, false}};
static const cvi_op_attr cumsum_attrs[] = {
    {"exclusive", CVI_ATTR_INT, "0", "0|1", "1: each sum leaves its own element out",
     "1：每个和不包含自身元素"},
    {"reverse", CVI_ATTR_INT, "0", "0|1", "1: sums run from the end", "1：从末尾开始累加"},
};

const cvi_op cvi_op_cumsum = {
    .name = "CumSum",
    .since = 14,
    .inputs = cumsum_in,
    .n_inputs = 2,
    .outputs = cumsum_out,
    .n_outputs = 1,
    .attrs = cumsum_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_cumsum,
    .forward = forward_cumsum,
    .any_type = true,
    .backward = backward_cumsum,
    .cost = cost_lines,
    .field = cvi_field_all,
    .text = {"Running sum", "累加和", "Adds up along an axis and writes down every intermediate sum.",
             "沿某一轴累加，并记录每一步的和。", "y[i] = Σ_{k ≤ i} x[k]",
             "A ramp that rises where the input is bright.", "输入亮的地方上升得快的斜坡。"},
};
