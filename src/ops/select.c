/* SPDX-License-Identifier: MIT
 * select.c - OneHot NonZero Compress Trilu: selecting by value, by mask and by place. The shapes of NonZero and Compress depend on
 * numbers, so they are known only once these are.
 */
#include "ops/index.h"

/* ---- OneHot ------------------------------------------------------------------------------------------ */
static cvs_status infer_one_hot(cvi_opctx *ctx) {
    const cvs_tensor *index = ctx->in[0];
    int axis;
    int64_t dim[CVS_MAX_RANK + 1];
    if (cvs_tensor_count(ctx->in[1]) != 1 || cvs_tensor_count(ctx->in[2]) != 2) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "depth has %lld elements and values %lld, but 1 and 2 are needed",
                        (long long)cvs_tensor_count(ctx->in[1]), (long long)cvs_tensor_count(ctx->in[2]));
    }
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), index->rank + 1, &axis));
    CVI_TRY(cvi_need(ctx, 1));
    for (int a = 0; a <= index->rank; a++) {
        dim[a] = a < axis ? index->dim[a] : a == axis ? cvi_get_int(ctx->in[1], 0) : index->dim[a - 1];
    }
    return cvi_out_shape(ctx, 0, ctx->in[2]->dtype, index->rank + 1, dim);
}

/* An index beyond the depth (either way) lights nothing. */
static cvs_status forward_one_hot(cvi_opctx *ctx) {
    const cvs_tensor *index = ctx->in[0];
    cvs_tensor *y = &ctx->out[0];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), y->rank, &axis));
    int64_t inner = cvi_product(y->dim, axis + 1, y->rank), depth = y->dim[axis], n = cvs_tensor_count(y);
    size_t size = cvs_dtype_size(y->dtype);
    const char *values = ctx->in[2]->data;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i / (inner * depth) * inner + i % inner, place = i / inner % depth;
        int64_t k = cvi_get_int(index, at);
        bool on = (k < 0 ? k + depth : k) == place;
        memcpy((char *)y->data + (size_t)i * size, values + (on ? size : 0), size);
    }
    return CVS_OK;
}

/* ---- NonZero ----------------------------------------------------------------------------------------- */
static cvs_status infer_non_zero(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    CVI_TRY(cvi_need(ctx, 0));
    int64_t n = cvs_tensor_count(x), dim[2] = {CVI_MAX(x->rank, 1), 0};
    for (int64_t i = 0; i < n; i++) {
        dim[1] += cvi_get(x, i) != 0;
    }
    return cvi_out_shape(ctx, 0, CVS_I64, 2, dim);
}

static cvs_status forward_non_zero(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t *y = ctx->out[0].data, n = cvs_tensor_count(x), columns = ctx->out[0].dim[1], found = 0;
    for (int64_t i = 0; i < n && found < columns; i++) {
        if (cvi_get(x, i) == 0) {
            continue;
        }
        int64_t rest = i;
        for (int a = x->rank - 1; a >= 0; a--) {
            y[a * columns + found] = rest % x->dim[a];
            rest /= x->dim[a];
        }
        if (x->rank == 0) {
            y[found] = 0;
        }
        found++;
    }
    return CVS_OK;
}

/* ---- Compress ---------------------------------------------------------------------------------------- */
/* The axis (the whole tensor flattened when there is none) as [outer, side, inner], and how many of it are chosen. */
typedef struct choice {
    int64_t outer, side, inner, chosen, known; /* conditions beyond `known` count as false */
    int axis;                                  /* -1: flattened */
} choice;

static cvs_status make_choice(const cvi_opctx *ctx, choice *c) {
    const cvs_tensor *x = ctx->in[0];
    const cvi_attr *attr = cvi_node_attr(ctx->node, "axis");
    *c = (choice){.outer = 1, .side = cvs_tensor_count(x), .inner = 1, .axis = -1};
    if (attr != NULL) {
        CVI_TRY(cvi_axis(ctx, attr->i, x->rank, &c->axis));
        c->outer = cvi_product(x->dim, 0, c->axis);
        c->side = x->dim[c->axis];
        c->inner = cvi_product(x->dim, c->axis + 1, x->rank);
    }
    CVI_TRY(cvi_need(ctx, 1));
    c->known = CVI_MIN(cvs_tensor_count(ctx->in[1]), c->side);
    for (int64_t i = 0; i < c->known; i++) {
        c->chosen += cvi_get_int(ctx->in[1], i) != 0;
    }
    return CVS_OK;
}

static cvs_status infer_compress(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    choice c;
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(make_choice(ctx, &c));
    memcpy(dim, x->dim, sizeof dim);
    dim[CVI_MAX(c.axis, 0)] = c.chosen;
    return cvi_out_shape(ctx, 0, x->dtype, c.axis < 0 ? 1 : x->rank, dim);
}

static cvs_status map_compress(cvi_opctx *ctx, cvi_map *m) {
    choice c;
    CVI_TRY(make_choice(ctx, &c));
    int64_t dim[3] = {c.outer, c.chosen, c.inner}, found = 0;
    CVI_TRY(cvi_map_new(ctx, m, 3, dim));
    cvi_map_line(m, 0, 0, c.side * c.inner);
    cvi_map_line(m, 2, 0, 1);
    for (int64_t i = 0; i < c.known; i++) {
        if (cvi_get_int(ctx->in[1], i) != 0) {
            m->at[1][found++] = i * c.inner;
        }
    }
    return CVS_OK;
}

static cvs_status forward_compress(cvi_opctx *ctx) {
    cvi_map m;
    if (ctx->out[0].bytes == 0) {
        return CVS_OK;
    }
    CVI_TRY(map_compress(ctx, &m));
    cvi_map_move(ctx, &m, ctx->in[0]->data, cvs_dtype_size(ctx->out[0].dtype), NULL, ctx->out[0].data);
    return CVS_OK;
}

static cvs_status backward_compress(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                    cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_map m;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(map_compress(ctx, &m));
    return cvi_map_add(ctx, &m, grad_out[0], grad_in[0]);
}

/* ---- Trilu ------------------------------------------------------------------------------------------- */
static cvs_status infer_trilu(cvi_opctx *ctx) {
    CVI_TRY(cvi_rank_from(ctx, 0, 2));
    return cvi_infer_same(ctx);
}

static cvs_status triangle_shift(const cvi_opctx *ctx, int64_t *k) {
    int n;
    *k = 0;
    CVI_TRY(cvi_ints(ctx, 1, k, 1, &n));
    const cvs_tensor *x = ctx->in[0];
    int64_t rows = x->dim[x->rank - 2], columns = x->dim[x->rank - 1];
    *k = CVI_MAX(CVI_MIN(*k, columns), -rows); /* beyond these nothing changes */
    return CVS_OK;
}

static bool is_inside(const cvs_tensor *x, bool upper, int64_t k, int64_t i) {
    int64_t columns = x->dim[x->rank - 1], row = i / columns % x->dim[x->rank - 2], column = i % columns;
    return upper ? column - row >= k : column - row <= k;
}

static cvs_status forward_trilu(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    cvs_tensor *y = &ctx->out[0];
    bool upper = cvi_op_int(ctx, "upper") != 0;
    int64_t k, n = cvs_tensor_count(y);
    size_t size = cvs_dtype_size(y->dtype);
    CVI_TRY(triangle_shift(ctx, &k));
    for (int64_t i = 0; i < n; i++) {
        char *to = (char *)y->data + (size_t)i * size;
        if (is_inside(x, upper, k, i)) {
            memcpy(to, (const char *)x->data + (size_t)i * size, size);
        } else {
            memset(to, 0, size);
        }
    }
    return CVS_OK;
}

static cvs_status backward_trilu(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                 cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *g = grad_out[0];
    int64_t k;
    if (g == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(triangle_shift(ctx, &k));
    int64_t n = cvs_tensor_count(g);
    for (int64_t i = 0; i < n; i++) {
        if (is_inside(g, cvi_op_int(ctx, "upper") != 0, k, i)) {
            cvi_put(grad_in[0], i, cvi_get(grad_in[0], i) + cvi_get(g, i));
        }
    }
    return CVS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io data_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_io one_hot_in[] = {{"indices", CVI_DATA, false, false},
                                       {"depth", CVI_SHAPE, false, false},
                                       {"values", CVI_DATA, false, false}};
static const cvi_op_attr one_hot_attrs[] = {
    {"axis", CVI_ATTR_INT, "-1", "-rank-1 ... rank", "where the new axis of length depth goes",
     "新轴（长度为 depth）的位置"},
};

const cvi_op cvi_op_one_hot = {
    .name = "OneHot",
    .since = 11,
    .inputs = one_hot_in,
    .n_inputs = 3,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = one_hot_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_one_hot,
    .forward = forward_one_hot,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"One-hot code", "独热编码",
             "Turns each index into a row that is on at that place and off elsewhere.",
             "把每个下标变成一行：该位置为开，其余为关。", "y[i,k] = on if k = x[i], else off",
             "One bright cell a row: its column is the index.", "每行一个亮格，所在列就是下标。"},
};

static const cvi_op_io non_zero_in[] = {{"X", CVI_SHAPE, false, false}};
static const cvi_op_io non_zero_out[] = {{"Y", CVI_DATA, false, false}};

const cvi_op cvi_op_non_zero = {
    .name = "NonZero",
    .since = 13,
    .inputs = non_zero_in,
    .n_inputs = 1,
    .outputs = non_zero_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_non_zero,
    .forward = forward_non_zero,
    .any_type = true,
    .field = cvi_field_none,
    .text = {"Places that are not zero", "非零位置", "Lists the coordinates of all elements that are not 0.",
             "列出所有非零元素的坐标。", "y = {i : x[i] ≠ 0}",
             "Each column is the position of one element; rows are axes.",
             "每列是一个元素的位置，每行对应一个轴。"},
};

static const cvi_op_io compress_in[] = {{"input", CVI_DATA, false, false},
                                        {"condition", CVI_SHAPE, false, false}};
static const cvi_op_attr compress_attrs[] = {
    {"axis", CVI_ATTR_INT, "", "-rank ... rank-1",
     "axis that the condition speaks of; all elements when absent", "条件所针对的轴；缺省为展平后的全部元素"},
};

const cvi_op cvi_op_compress = {
    .name = "Compress",
    .since = 11,
    .inputs = compress_in,
    .n_inputs = 2,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = compress_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_compress,
    .forward = forward_compress,
    .any_type = true,
    .backward = backward_compress,
    .field = cvi_field_none,
    .text = {"Compress", "按掩码筛选", "Keeps the slices for which a condition is true.",
             "只保留条件为真的切片。", "y = x[condition]", "The kept slices, close together, unchanged.",
             "保留下来的切片紧挨着排列，内容不变。"},
};

static const cvi_op_io trilu_in[] = {{"input", CVI_DATA, false, false}, {"k", CVI_SHAPE, true, false}};
static const cvi_op_attr trilu_attrs[] = {
    {"upper", CVI_ATTR_INT, "1", "0|1", "1: keep the upper triangle; 0: the lower one",
     "1：保留上三角；0：保留下三角"},
};

const cvi_op cvi_op_trilu = {
    .name = "Trilu",
    .since = 14,
    .inputs = trilu_in,
    .n_inputs = 2,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = trilu_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_trilu,
    .forward = forward_trilu,
    .any_type = true,
    .backward = backward_trilu,
    .text = {"Triangle", "三角部分", "Keeps the upper or lower triangle of each matrix and clears the rest.",
             "保留每个矩阵的上三角或下三角，其余清零。", "y[i,j] = x[i,j] if j − i ≥ k, else 0",
             "A matrix with one corner blacked out.", "矩阵的一角变黑。"},
};
