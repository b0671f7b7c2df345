/* SPDX-License-Identifier: MIT
 * spread.c - Transpose Expand Tile: every output element is a copy of one input element found by tables of offsets
 * (walk.h), so forward moves by the tables and backward adds back by the same ones.
 */
#include "ops/walk.h"

/* ---- shapes and tables --------------------------------------------------------------------------------- */
/* perm: default reverses the axes. */
static cvs_status permutation(cvi_opctx *ctx, int *perm) {
    int rank = ctx->in[0]->rank;
    int64_t given[CVS_MAX_RANK];
    bool used[CVS_MAX_RANK] = {false};
    const cvi_attr *attr = cvi_node_attr(ctx->node, "perm");
    int n = attr != NULL ? attr->n : 0;
    if (n == 0) {
        for (int a = 0; a < rank; a++) {
            perm[a] = rank - 1 - a;
        }
        return CVS_OK;
    }
    if (n != rank) {
        return cvi_at_attr(
            ctx->err, cvi_fail(ctx->err, CVS_E_SHAPE, "%d axes are named, but the input has %d", n, rank),
            "perm");
    }
    cvi_node_ints(ctx->node, "perm", given, CVS_MAX_RANK, 0);
    for (int a = 0; a < rank; a++) {
        CVI_TRY(cvi_axis(ctx, given[a], rank, &perm[a]));
        if (used[perm[a]]) {
            return cvi_at_attr(ctx->err, cvi_fail(ctx->err, CVS_E_SHAPE, "axis %d is named twice", perm[a]),
                               "perm");
        }
        used[perm[a]] = true;
    }
    return CVS_OK;
}

static cvs_status infer_transpose(cvi_opctx *ctx) {
    int perm[CVS_MAX_RANK];
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(permutation(ctx, perm));
    for (int a = 0; a < ctx->in[0]->rank; a++) {
        dim[a] = ctx->in[0]->dim[perm[a]];
    }
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, dim);
}

static cvs_status map_transpose(cvi_opctx *ctx, cvi_map *m) {
    int perm[CVS_MAX_RANK];
    int64_t stride[CVS_MAX_RANK];
    CVI_TRY(permutation(ctx, perm));
    CVI_TRY(cvi_map_new(ctx, m, ctx->out[0].rank, ctx->out[0].dim));
    cvi_strides(ctx->in[0]->rank, ctx->in[0]->dim, stride);
    for (int a = 0; a < m->rank; a++) {
        cvi_map_line(m, a, 0, stride[perm[a]]);
    }
    return CVS_OK;
}

static cvs_status infer_expand(cvi_opctx *ctx) {
    cvs_tensor wanted = {.dtype = CVS_I64};
    int rank;
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(cvi_ints(ctx, 1, wanted.dim, CVS_MAX_RANK, &wanted.rank));
    for (int a = 0; a < wanted.rank; a++) {
        if (wanted.dim[a] < 0) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "dimension %d of the new shape is %lld", a,
                            (long long)wanted.dim[a]);
        }
    }
    const cvs_tensor *both[2] = {ctx->in[0], &wanted};
    CVI_TRY(cvi_broadcast(ctx, 2, both, &rank, dim));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, rank, dim);
}

static cvs_status map_expand(cvi_opctx *ctx, cvi_map *m) {
    const cvs_tensor *x = ctx->in[0];
    int64_t stride[CVS_MAX_RANK];
    CVI_TRY(cvi_map_new(ctx, m, ctx->out[0].rank, ctx->out[0].dim));
    cvi_strides(x->rank, x->dim, stride);
    for (int a = 0; a < m->rank; a++) {
        int from = a - (m->rank - x->rank);
        cvi_map_line(m, a, 0, from < 0 || x->dim[from] == 1 ? 0 : stride[from]);
    }
    return CVS_OK;
}

static cvs_status infer_tile(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t repeats[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    int n;
    CVI_TRY(cvi_ints(ctx, 1, repeats, CVS_MAX_RANK, &n));
    if (n != x->rank) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "there are %d repeats for an input of rank %d", n, x->rank);
    }
    for (int a = 0; a < n; a++) {
        if (!cvi_mul(x->dim[a], repeats[a], &dim[a])) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "dimension %d of %lld cannot be repeated %lld times", a,
                            (long long)x->dim[a], (long long)repeats[a]);
        }
    }
    return cvi_out_shape(ctx, 0, x->dtype, n, dim);
}

static cvs_status map_tile(cvi_opctx *ctx, cvi_map *m) {
    const cvs_tensor *x = ctx->in[0];
    int64_t stride[CVS_MAX_RANK];
    CVI_TRY(cvi_map_new(ctx, m, ctx->out[0].rank, ctx->out[0].dim));
    cvi_strides(x->rank, x->dim, stride);
    for (int a = 0; a < m->rank; a++) {
        for (int64_t i = 0; i < m->dim[a]; i++) {
            m->at[a][i] = i % x->dim[a] * stride[a];
        }
    }
    return CVS_OK;
}

/* ---- forward, backward --------------------------------------------------------------------------------- */
static cvs_status move(cvi_opctx *ctx, cvs_status (*tables)(cvi_opctx *, cvi_map *)) {
    cvi_map m;
    if (ctx->out[0].bytes == 0) {
        return CVS_OK;
    }
    CVI_TRY(tables(ctx, &m));
    cvi_map_move(ctx, &m, ctx->in[0]->data, cvs_dtype_size(ctx->out[0].dtype), NULL, ctx->out[0].data);
    return CVS_OK;
}

static cvs_status add_back(cvi_opctx *ctx, cvs_status (*tables)(cvi_opctx *, cvi_map *),
                           const cvs_tensor *const *grad_out, cvs_tensor *const *grad_in) {
    cvi_map m;
    if (grad_out[0] == NULL || grad_in[0] == NULL || ctx->out[0].bytes == 0) {
        return CVS_OK;
    }
    CVI_TRY(tables(ctx, &m));
    return cvi_map_add(ctx, &m, grad_out[0], grad_in[0]);
}

#define MOVER(NAME)                                                                                          \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        return move(ctx, map_##NAME);                                                                        \
    }                                                                                                        \
    static cvs_status backward_##NAME(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,      \
                                      cvs_tensor *const *grad_in) {                                          \
        (void)rule;                                                                                          \
        return add_back(ctx, map_##NAME, grad_out, grad_in);                                                 \
    }
MOVER(transpose)
MOVER(expand)
MOVER(tile)

/* A transpose keeps positions where the two spatial axes stay neighbours in order: layout changes, batch and group swaps. */
static void field_transpose(const cvi_opctx *ctx, cvi_field_step *step) {
    int64_t perm[CVS_MAX_RANK];
    int rank = ctx->in[0]->rank, n = cvi_node_ints(ctx->node, "perm", perm, CVS_MAX_RANK, 0);
    step->kind = CVI_FIELD_NONE;
    for (int a = 0; n == rank && a + 1 < rank; a++) {
        bool spatial = perm[a] == rank - 2 && perm[a + 1] == rank - 1;
        bool to_first = rank == 4 && a == 2 && perm[a] == 1 && perm[a + 1] == 2;
        if (spatial || to_first) {
            step->kind = CVI_FIELD_SAME;
        }
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io data_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_io one_in[] = {{"data", CVI_DATA, false, false}};
static const cvi_op_attr transpose_attrs[] = {
    {"perm", CVI_ATTR_INTS, "", "each axis once", "output axis a is input axis perm[a]; reversed when absent",
     "输出的第 a 轴是输入的第 perm[a] 轴；缺省为全部颠倒"},
};

const cvi_op cvi_op_transpose = {
    .name = "Transpose",
    .word_en = "transpose",
    .word_zh = "转置",
    .since = 1,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = data_out,
    .n_outputs = 1,
    .attrs = transpose_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_transpose,
    .forward = forward_transpose,
    .any_type = true,
    .backward = backward_transpose,
    .field = field_transpose,
    .text = {"Transpose", "转置",
             "Reorders the dimensions, for instance from channels first to channels last.",
             "重新排列各维的顺序，例如把通道从前面移到最后。", "y[i_perm] = x[i]",
             "No number changes; only the order in which the axes are stored.",
             "数值不变，只是各轴的存放顺序变了。"},
};

static const cvi_op_io expand_in[] = {{"input", CVI_DATA, false, false}, {"shape", CVI_SHAPE, false, false}};

const cvi_op cvi_op_expand = {
    .name = "Expand",
    .since = 8,
    .inputs = expand_in,
    .n_inputs = 2,
    .outputs = data_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_expand,
    .forward = forward_expand,
    .any_type = true,
    .backward = backward_expand,
    .text = {"Expand", "扩展", "Repeats dimensions of size 1 until the tensor has the wanted shape.",
             "重复大小为 1 的维，直到张量达到所需形状。", "y[…, i, …] = x[…, 0, …]",
             "Stripes or flat areas: the same numbers repeated along the new axes.",
             "条纹或纯色区域：同样的数沿新的轴重复。"},
};

static const cvi_op_io tile_in[] = {{"input", CVI_DATA, false, false}, {"repeats", CVI_SHAPE, false, false}};

const cvi_op cvi_op_tile = {
    .name = "Tile",
    .since = 6,
    .inputs = tile_in,
    .n_inputs = 2,
    .outputs = data_out,
    .n_outputs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_tile,
    .forward = forward_tile,
    .any_type = true,
    .backward = backward_tile,
    .field = cvi_field_kept,
    .text = {"Tile", "平铺", "Lays copies of the input side by side along each dimension.",
             "沿每一维把输入的副本并排铺开。", "y[i] = x[i mod n]",
             "The same picture again and again, like tiles.", "同一幅图像像瓷砖一样反复出现。"},
};
