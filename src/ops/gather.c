/* SPDX-License-Identifier: MIT
 * gather.c - Gather GatherElements GatherND: picking by index tensors. Forward copies from the offsets of index.h,
 * backward adds to the same ones, so an element that is picked twice gets both gradients.
 */
#include "ops/index.h"

/* ---- Gather: slices along one axis -------------------------------------------------------------------------- */
static cvs_status infer_gather(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *index = ctx->in[1];
    int axis, rank = 0;
    int64_t dim[2 * CVS_MAX_RANK];
    CVI_TRY(cvi_index_type(ctx, 1));
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    for (int a = 0; a < axis; a++) {
        dim[rank++] = x->dim[a];
    }
    for (int a = 0; a < index->rank; a++) {
        dim[rank++] = index->dim[a];
    }
    for (int a = axis + 1; a < x->rank; a++) {
        dim[rank++] = x->dim[a];
    }
    return cvi_out_shape(ctx, 0, x->dtype, rank, dim);
}

/* The output seen as [before the axis, picked, after the axis]. */
static cvs_status map_gather(cvi_opctx *ctx, cvi_map *m) {
    const cvs_tensor *x = ctx->in[0], *index = ctx->in[1];
    int axis;
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    int64_t inner = cvi_product(x->dim, axis + 1, x->rank), n = cvs_tensor_count(index);
    int64_t dim[3] = {cvi_product(x->dim, 0, axis), n, inner};
    CVI_TRY(cvi_map_new(ctx, m, 3, dim));
    cvi_map_line(m, 0, 0, x->dim[axis] * inner);
    cvi_map_line(m, 2, 0, 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = 0;
        CVI_TRY(cvi_index_in(ctx, cvi_get_int(index, i), x->dim[axis], &k));
        m->at[1][i] = k * inner;
    }
    return CVS_OK;
}

static cvs_status forward_gather(cvi_opctx *ctx) {
    cvi_map m;
    CVI_TRY(map_gather(ctx, &m));
    if (ctx->out[0].bytes > 0) {
        cvi_map_move(ctx, &m, ctx->in[0]->data, cvs_dtype_size(ctx->out[0].dtype), NULL, ctx->out[0].data);
    }
    return CVS_OK;
}

static cvs_status backward_gather(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_map m;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(map_gather(ctx, &m));
    return cvi_map_add(ctx, &m, grad_out[0], grad_in[0]);
}

/* ---- GatherElements ------------------------------------------------------------------------------------------ */
static cvs_status infer_gather_elements(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *index = ctx->in[1];
    int axis;
    CVI_TRY(cvi_index_type(ctx, 1));
    CVI_TRY(cvi_rank_is(ctx, 1, x->rank));
    CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), x->rank, &axis));
    for (int a = 0; a < x->rank; a++) {
        if (a != axis && index->dim[a] > x->dim[a]) {
            return cvi_fail(ctx->err, CVS_E_SHAPE,
                            "dimension %d of the indices is %lld, but of the data %lld", a,
                            (long long)index->dim[a], (long long)x->dim[a]);
        }
    }
    return cvi_out_shape(ctx, 0, x->dtype, index->rank, index->dim);
}

/* Offsets of n blocks of `block` elements in the data, for GatherElements and GatherND. */
static cvs_status picked(cvi_opctx *ctx, bool elements, int64_t **at, int64_t *n, int64_t *block) {
    if (elements) {
        int axis;
        CVI_TRY(cvi_axis(ctx, cvi_op_int(ctx, "axis"), ctx->in[0]->rank, &axis));
        *n = cvs_tensor_count(ctx->in[1]);
        *block = 1;
        return cvi_index_elements(ctx, ctx->in[0], ctx->in[1], axis, at);
    }
    return cvi_index_blocks(ctx, ctx->in[0], ctx->in[1], (int)cvi_op_int(ctx, "batch_dims"), at, n, block);
}

static cvs_status copy_picked(cvi_opctx *ctx, bool elements) {
    int64_t *at, n, block;
    CVI_TRY(picked(ctx, elements, &at, &n, &block));
    size_t size = cvs_dtype_size(ctx->out[0].dtype), bytes = (size_t)block * size;
    for (int64_t i = 0; bytes > 0 && i < n; i++) {
        memcpy((char *)ctx->out[0].data + (size_t)i * bytes,
               (const char *)ctx->in[0]->data + (size_t)at[i] * size, bytes);
    }
    return CVS_OK;
}

static cvs_status add_picked(cvi_opctx *ctx, bool elements, const cvs_tensor *g, cvs_tensor *grad) {
    int64_t *at, n, block;
    double *sum;
    if (g == NULL || grad == NULL) {
        return CVS_OK;
    }
    CVI_TRY(picked(ctx, elements, &at, &n, &block));
    CVI_TRY(cvi_sum_new(ctx, grad, &sum));
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < block; k++) {
            sum[at[i] + k] += cvi_get(g, i * block + k);
        }
    }
    cvi_sum_add(grad, sum);
    return CVS_OK;
}

static cvs_status forward_gather_elements(cvi_opctx *ctx) {
    return copy_picked(ctx, true);
}

static cvs_status backward_gather_elements(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                           cvs_tensor *const *grad_in) {
    (void)rule;
    return add_picked(ctx, true, grad_out[0], grad_in[0]);
}

/* ---- GatherND ------------------------------------------------------------------------------------------------ */
static cvs_status infer_gather_nd(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *index = ctx->in[1];
    int64_t batch = cvi_op_int(ctx, "batch_dims"), dim[2 * CVS_MAX_RANK];
    int rank = 0;
    CVI_TRY(cvi_index_type(ctx, 1));
    CVI_TRY(cvi_rank_from(ctx, 0, 1));
    CVI_TRY(cvi_rank_from(ctx, 1, 1));
    if (batch < 0 || batch >= CVI_MIN(x->rank, index->rank)) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_SHAPE,
                                    "there are %lld batch dimensions for ranks %d and %d", (long long)batch,
                                    x->rank, index->rank),
                           "batch_dims");
    }
    int64_t q = index->dim[index->rank - 1];
    if (q < 1 || q > x->rank - batch) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "each index has %lld numbers, but the data has %d dimensions",
                        (long long)q, x->rank - (int)batch);
    }
    for (int a = 0; a < batch; a++) {
        if (x->dim[a] != index->dim[a]) {
            return cvi_fail(ctx->err, CVS_E_SHAPE,
                            "dimension %d of the indices is %lld, but of the data %lld", a,
                            (long long)index->dim[a], (long long)x->dim[a]);
        }
    }
    for (int a = 0; a < index->rank - 1; a++) {
        dim[rank++] = index->dim[a];
    }
    for (int a = (int)(batch + q); a < x->rank; a++) {
        dim[rank++] = x->dim[a];
    }
    return cvi_out_shape(ctx, 0, x->dtype, rank, dim);
}

static cvs_status forward_gather_nd(cvi_opctx *ctx) {
    return copy_picked(ctx, false);
}

static cvs_status backward_gather_nd(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                     cvs_tensor *const *grad_in) {
    (void)rule;
    return add_picked(ctx, false, grad_out[0], grad_in[0]);
}

/* Slices along batch or channels keep their positions. */
static void field_gather(const cvi_opctx *ctx, cvi_field_step *step) {
    int rank = ctx->in[0]->rank;
    int64_t axis = cvi_op_int(ctx, "axis");
    axis = axis < 0 ? axis + rank : axis;
    step->kind = rank >= 3 && axis < rank - 2 ? CVI_FIELD_SAME : CVI_FIELD_NONE;
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io pick_in[] = {{"data", CVI_DATA, false, false}, {"indices", CVI_DATA, false, false}};
static const cvi_op_io pick_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr axis_attrs[] = {
    {"axis", CVI_ATTR_INT, "0", "-rank ... rank-1", "dimension that the indices count along", "下标所沿的维"},
};

const cvi_op cvi_op_gather = {
    .name = "Gather",
    .word_en = "gather",
    .word_zh = "取项",
    .since = 13,
    .inputs = pick_in,
    .n_inputs = 2,
    .outputs = pick_out,
    .n_outputs = 1,
    .attrs = axis_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_gather,
    .forward = forward_gather,
    .any_type = true,
    .backward = backward_gather,
    .field = field_gather,
    .text = {"Gather", "按下标取切片",
             "Picks slices along one axis by their indices, in the order asked for.",
             "沿某一轴按给定下标和顺序取出切片。", "y[…, i, …] = x[…, index[i], …]",
             "The chosen slices, unchanged, in the order of the indices.",
             "按下标顺序排列的所选切片，内容不变。"},
};

const cvi_op cvi_op_gather_elements = {
    .name = "GatherElements",
    .since = 13,
    .inputs = pick_in,
    .n_inputs = 2,
    .outputs = pick_out,
    .n_outputs = 1,
    .attrs = axis_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_gather_elements,
    .forward = forward_gather_elements,
    .any_type = true,
    .backward = backward_gather_elements,
    .field = cvi_field_all,
    .text = {"Gather elements", "按下标取元素",
             "Picks single elements: each index says which one along the axis to take.",
             "逐个取元素：每个下标指明沿该轴取哪一个。", "y[i,j] = x[index[i,j], j]",
             "Every number comes from its own line of the input, at the place that the index names.",
             "每个数来自输入的同一行，位置由下标指定。"},
};

static const cvi_op_attr nd_attrs[] = {
    {"batch_dims", CVI_ATTR_INT, "0", "0 ... rank-1", "leading dimensions that data and indices share",
     "数据与下标共有的前若干维"},
};

const cvi_op cvi_op_gather_nd = {
    .name = "GatherND",
    .since = 13,
    .inputs = pick_in,
    .n_inputs = 2,
    .outputs = pick_out,
    .n_outputs = 1,
    .attrs = nd_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_gather_nd,
    .forward = forward_gather_nd,
    .any_type = true,
    .backward = backward_gather_nd,
    .field = cvi_field_all,
    .text = {"Gather by coordinates", "按坐标取值",
             "Picks elements or blocks by whole coordinates, one list of indices each.",
             "按完整坐标取出元素或块，每组下标对应一个。", "y[i] = x[index[i]]",
             "A list of what stands at the given coordinates.", "给定坐标处内容的列表。"},
};
