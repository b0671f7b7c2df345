/* SPDX-License-Identifier: MIT
 * scatter.c - ScatterElements and ScatterND: a copy of the data with updates written (or added, multiplied, compared) at places that
 * index tensors name. Updates are applied in order, so of two writes to one place the later one stays.
 */
#include "ops/index.h"

typedef enum merge { MERGE_NONE, MERGE_ADD, MERGE_MUL, MERGE_MAX, MERGE_MIN } merge;

static cvs_status merge_of(const cvi_opctx *ctx, merge *kind) {
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    const char *s = cvi_op_string(ctx, "reduction");
    for (int i = 0; i < CVI_COUNT(names); i++) {
        if (strcmp(s, names[i]) == 0) {
            *kind = (merge)i;
            return CVS_OK;
        }
    }
    return cvi_at_attr(
        ctx->err,
        cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "%s is %.40s, which is not supported", "reduction", s),
        "reduction");
}

static cvs_status infer_scatter_elements(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *index = ctx->in[1], *updates = ctx->in[2];
    int axis;
    merge kind;
    CVI_TRY(merge_of(ctx, &kind));
    CVI_TRY(cvi_index_type(ctx, 1));
    CVI_TRY(cvi_one_type(ctx, 0, 2));
    CVI_TRY(cvi_rank_is(ctx, 1, x->rank));
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    if (!cvi_same_shape(index, updates)) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the indices have shape %s, but the updates %s",
                        cvs_shape_text(index->rank, index->dim, a, sizeof a),
                        cvs_shape_text(updates->rank, updates->dim, b, sizeof b));
    }
    for (int a = 0; a < x->rank; a++) {
        if (a != axis && index->dim[a] > x->dim[a]) {
            return cvi_fail(ctx->err, CVS_E_SHAPE,
                            "dimension %d of the indices is %lld, but of the data %lld", a,
                            (long long)index->dim[a], (long long)x->dim[a]);
        }
    }
    return cvi_infer_same(ctx);
}

static cvs_status infer_scatter_nd(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *index = ctx->in[1], *updates = ctx->in[2];
    merge kind;
    CVI_TRY(merge_of(ctx, &kind));
    CVI_TRY(cvi_index_type(ctx, 1));
    CVI_TRY(cvi_one_type(ctx, 0, 2));
    CVI_TRY(cvi_rank_from(ctx, 1, 1));
    int64_t q = index->dim[index->rank - 1];
    if (q < 1 || q > x->rank) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "each index has %lld numbers, but the data has %d dimensions",
                        (long long)q, x->rank);
    }
    bool fits = updates->rank == index->rank - 1 + x->rank - (int)q;
    for (int a = 0; fits && a < updates->rank; a++) {
        int64_t want = a < index->rank - 1 ? index->dim[a] : x->dim[a - (index->rank - 1) + (int)q];
        fits = updates->dim[a] == want;
    }
    if (!fits) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the indices have shape %s, but the updates %s",
                        cvs_shape_text(index->rank, index->dim, a, sizeof a),
                        cvs_shape_text(updates->rank, updates->dim, b, sizeof b));
    }
    return cvi_infer_same(ctx);
}

/* n blocks of `block` elements that updates go to. */
static cvs_status places(cvi_opctx *ctx, bool elements, int64_t **at, int64_t *n, int64_t *block) {
    if (elements) {
        int axis;
        CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), ctx->in[0]->rank, &axis));
        *n = cvs_tensor_count(ctx->in[1]);
        *block = 1;
        return cvi_index_elements(ctx, ctx->in[0], ctx->in[1], axis, at);
    }
    return cvi_index_blocks(ctx, ctx->in[0], ctx->in[1], 0, at, n, block);
}

static void merge_one(merge kind, const cvs_tensor *y, int64_t i, const cvs_tensor *u, int64_t k) {
    if (cvi_is_float(y->dtype)) {
        double a = cvi_get(y, i), b = cvi_get(u, k);
        cvi_put(y, i,
                kind == MERGE_ADD                ? a + b
                : kind == MERGE_MUL              ? a * b
                : (kind == MERGE_MAX) == (b > a) ? b
                                                 : a);
        return;
    }
    int64_t a = cvi_get_int(y, i), b = cvi_get_int(u, k);
    if (kind == MERGE_ADD || kind == MERGE_MUL) {
        uint64_t p = (uint64_t)a, q = (uint64_t)b;
        cvi_put_int(y, i, (int64_t)(kind == MERGE_ADD ? p + q : p * q));
        return;
    }
    bool above = y->dtype == CVS_U64 ? (uint64_t)b > (uint64_t)a : b > a;
    cvi_put_int(y, i, (kind == MERGE_MAX) == above ? b : a);
}

static cvs_status scatter(cvi_opctx *ctx, bool elements) {
    const cvs_tensor *u = ctx->in[2];
    cvs_tensor *y = &ctx->out[0];
    int64_t *at, n, block;
    merge kind;
    CVI_TRY(merge_of(ctx, &kind));
    CVI_TRY(places(ctx, elements, &at, &n, &block));
    size_t size = cvs_dtype_size(y->dtype);
    if (y->bytes > 0) {
        memcpy(y->data, ctx->in[0]->data, y->bytes);
    }
    for (int64_t i = 0; i < n && block > 0; i++) {
        if (kind == MERGE_NONE) {
            memcpy((char *)y->data + (size_t)at[i] * size, (const char *)u->data + (size_t)(i * block) * size,
                   (size_t)block * size);
            continue;
        }
        for (int64_t k = 0; k < block; k++) {
            merge_one(kind, y, at[i] + k, u, i * block + k);
        }
    }
    return CVS_OK;
}

/* none: the data gets what was not overwritten, each last write its own; add: both get all. */
static cvs_status scatter_back(cvi_opctx *ctx, bool elements, const cvs_tensor *g,
                               cvs_tensor *const *grad_in) {
    int64_t *at, n, block;
    double *owner;
    merge kind;
    if (g == NULL || (grad_in[0] == NULL && grad_in[2] == NULL)) {
        return CVS_OK;
    }
    CVI_TRY(merge_of(ctx, &kind));
    if (kind != MERGE_NONE && kind != MERGE_ADD) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "the gradient of reduction %s is not known",
                        cvi_op_string(ctx, "reduction"));
    }
    CVI_TRY(places(ctx, elements, &at, &n, &block));
    CVI_TRY(cvi_sum_new(ctx, g, &owner)); /* 1 + the update that wrote an element last; 0 = none */
    for (int64_t i = 0; kind == MERGE_NONE && i < n; i++) {
        for (int64_t k = 0; k < block; k++) {
            owner[at[i] + k] = (double)(i + 1);
        }
    }
    int64_t count = cvs_tensor_count(g);
    for (int64_t i = 0; grad_in[0] != NULL && i < count; i++) {
        cvi_put(grad_in[0], i, cvi_get(grad_in[0], i) + (owner[i] == 0 ? cvi_get(g, i) : 0));
    }
    for (int64_t i = 0; grad_in[2] != NULL && i < n; i++) {
        for (int64_t k = 0; k < block; k++) {
            bool mine = kind == MERGE_ADD || owner[at[i] + k] == (double)(i + 1);
            int64_t to = i * block + k;
            cvi_put(grad_in[2], to, cvi_get(grad_in[2], to) + (mine ? cvi_get(g, at[i] + k) : 0));
        }
    }
    return CVS_OK;
}

static cvs_status forward_scatter_elements(cvi_opctx *ctx) {
    return scatter(ctx, true);
}

static cvs_status forward_scatter_nd(cvi_opctx *ctx) {
    return scatter(ctx, false);
}

static cvs_status backward_scatter_elements(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                            cvs_tensor *const *grad_in) {
    (void)rule;
    return scatter_back(ctx, true, grad_out[0], grad_in);
}

static cvs_status backward_scatter_nd(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                      cvs_tensor *const *grad_in) {
    (void)rule;
    return scatter_back(ctx, false, grad_out[0], grad_in);
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io scatter_in[] = {{"data", CVI_DATA, false, false},
                                       {"indices", CVI_DATA, false, false},
                                       {"updates", CVI_DATA, false, false}};
static const cvi_op_io scatter_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr elements_attrs[] = {
    {"axis", CVI_ATTR_INT, "0", "-rank ... rank-1", "dimension that the indices count along", "下标所沿的维"},
    {"reduction", CVI_ATTR_STRING, "none", "none|add|mul|max|min", "how an update meets what is there",
     "更新值与原值的合并方式"},
};

const cvi_op cvi_op_scatter_elements = {
    .name = "ScatterElements",
    .since = 18,
    .inputs = scatter_in,
    .n_inputs = 3,
    .outputs = scatter_out,
    .n_outputs = 1,
    .attrs = elements_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_scatter_elements,
    .forward = forward_scatter_elements,
    .any_type = true,
    .backward = backward_scatter_elements,
    .field = cvi_field_all,
    .text = {"Scatter elements", "按下标写元素",
             "Writes single numbers into a copy of the data, each where its index says.",
             "把各个数写入数据的副本，位置由下标指定。", "y[index[i,j], j] = u[i,j]",
             "The data with spots that were replaced by updates.", "数据中若干位置被更新值替换。"},
};

static const cvi_op_attr nd_attrs[] = {
    {"reduction", CVI_ATTR_STRING, "none", "none|add|mul|max|min", "how an update meets what is there",
     "更新值与原值的合并方式"},
};

const cvi_op cvi_op_scatter_nd = {
    .name = "ScatterND",
    .since = 18,
    .inputs = scatter_in,
    .n_inputs = 3,
    .outputs = scatter_out,
    .n_outputs = 1,
    .attrs = nd_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_scatter_nd,
    .forward = forward_scatter_nd,
    .any_type = true,
    .backward = backward_scatter_nd,
    .field = cvi_field_all,
    .text = {"Scatter by coordinates", "按坐标写入",
             "Writes numbers or blocks into a copy of the data at whole coordinates.",
             "按完整坐标把数或块写入数据的副本。", "y[index[i]] = u[i]",
             "The data with places that were replaced by updates.", "数据中若干位置被更新值替换。"},
};
