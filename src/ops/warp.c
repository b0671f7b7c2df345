/* SPDX-License-Identifier: MIT
 * warp.c - AffineGrid (the grid that GridSample reads by, from a matrix a sample) and CenterCropPad (the middle of a tensor, or a
 * tensor in the middle of zeros).
 */
#include "ops/walk.h"

/* ---- AffineGrid: theta [N,r,r+1], size [N,C,D1,...,Dr] -> grid [N,D1,...,Dr,r] ------------------------------- */
static cvs_status infer_affine_grid(cvi_opctx *ctx) {
    const cvs_tensor *theta = ctx->in[0];
    int64_t size[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    int n;
    CVI_TRY(cvi_type_is(ctx, 0, cvi_is_float, "of a floating-point type"));
    CVI_TRY(cvi_rank_is(ctx, 0, 3));
    CVI_TRY(cvi_ints(ctx, 1, size, CVS_MAX_RANK, &n));
    int axes = n - 2;
    if ((axes != 2 && axes != 3) || theta->dim[1] != axes || theta->dim[2] != axes + 1 ||
        theta->dim[0] != size[0]) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "matrices of shape %s do not fit a picture of shape %s",
                        cvs_shape_text(theta->rank, theta->dim, a, sizeof a),
                        cvs_shape_text(n, size, b, sizeof b));
    }
    dim[0] = size[0];
    for (int a = 0; a < axes; a++) {
        dim[1 + a] = size[2 + a];
    }
    dim[1 + axes] = axes;
    return cvi_out_shape(ctx, 0, theta->dtype, axes + 2, dim);
}

/* Coordinates of place `where` of a grid, x first, then a 1. */
static void place_of(const cvs_tensor *grid, bool corners, int64_t where, double *v) {
    int axes = grid->rank - 2;
    for (int a = axes - 1; a >= 0; a--) {
        int64_t side = grid->dim[1 + a], i = where % side;
        double steps = corners ? (double)(side - 1) : (double)side;
        where /= side;
        v[axes - 1 - a] = steps == 0 ? 0 : (2 * (double)i + (corners ? 0 : 1)) / steps - 1;
    }
    v[axes] = 1;
}

/* Either the grid from theta, or, with g, theta's gradient from the grid's. */
static void each_place(const cvi_opctx *ctx, const cvs_tensor *g, cvs_tensor *grad) {
    const cvs_tensor *theta = ctx->in[0];
    cvs_tensor *y = &ctx->out[0];
    bool corners = cvi_op_int(ctx, "align_corners") != 0;
    int axes = y->rank - 2;
    int64_t places = cvi_product(y->dim, 1, y->rank - 1);
    for (int64_t i = 0; i < y->dim[0] * places; i++) {
        double v[4];
        place_of(y, corners, i % places, v);
        for (int k = 0; k < axes; k++) {
            int64_t row = (i / places * axes + k) * (axes + 1);
            double sum = 0;
            for (int j = 0; j <= axes; j++) {
                sum += cvi_get(theta, row + j) * v[j];
                if (g != NULL) {
                    cvi_put(grad, row + j, cvi_get(grad, row + j) + v[j] * cvi_get(g, i * axes + k));
                }
            }
            if (g == NULL) {
                cvi_put(y, i * axes + k, sum);
            }
        }
    }
}

static cvs_status forward_affine_grid(cvi_opctx *ctx) {
    each_place(ctx, NULL, NULL);
    return CVS_OK;
}

static cvs_status backward_affine_grid(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                       cvs_tensor *const *grad_in) {
    (void)rule;
    if (grad_out[0] != NULL && grad_in[0] != NULL) {
        each_place(ctx, grad_out[0], grad_in[0]);
    }
    return CVS_OK;
}

/* ---- CenterCropPad ------------------------------------------------------------------------------------- */
static cvs_status infer_center(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    const cvi_attr *attr = cvi_node_attr(ctx->node, "axes");
    int64_t wanted[CVS_MAX_RANK], dim[CVS_MAX_RANK];
    int n, axes = attr != NULL && attr->n > 0 ? attr->n : x->rank;
    CVI_TRY(cvi_ints(ctx, 1, wanted, CVS_MAX_RANK, &n));
    if (n != axes) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld numbers, but %d are needed", 1,
                        (long long)n, axes);
    }
    memcpy(dim, x->dim, sizeof dim);
    for (int k = 0; k < n; k++) {
        int a = k;
        if (attr != NULL && attr->n > 0) {
            CVI_TRY(cvi_axis(ctx, attr->ints[k], x->rank, &a));
        }
        dim[a] = wanted[k];
    }
    return cvi_out_shape(ctx, 0, x->dtype, x->rank, dim);
}

/* An odd one out stays at the end. */
static cvs_status map_center(cvi_opctx *ctx, cvi_map *m) {
    const cvs_tensor *x = ctx->in[0];
    int64_t stride[CVS_MAX_RANK];
    CVI_TRY(cvi_map_new(ctx, m, x->rank, ctx->out[0].dim));
    cvi_strides(x->rank, x->dim, stride);
    for (int a = 0; a < x->rank; a++) {
        int64_t more = m->dim[a] - x->dim[a], shift = more >= 0 ? more / 2 : -(-more / 2);
        for (int64_t i = 0; i < m->dim[a]; i++) {
            int64_t from = i - shift;
            m->at[a][i] = from >= 0 && from < x->dim[a] ? from * stride[a] : -1;
        }
    }
    return CVS_OK;
}

static cvs_status forward_center(cvi_opctx *ctx) {
    cvi_map m;
    if (ctx->out[0].bytes == 0) {
        return CVS_OK;
    }
    CVI_TRY(map_center(ctx, &m));
    cvi_map_move(ctx, &m, ctx->in[0]->data, cvs_dtype_size(ctx->out[0].dtype), NULL, ctx->out[0].data);
    return CVS_OK;
}

static cvs_status backward_center(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_map m;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(map_center(ctx, &m));
    return cvi_map_add(ctx, &m, grad_out[0], grad_in[0]);
}

static void field_center(const cvi_opctx *ctx, cvi_field_step *step) {
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    step->kind = x->rank >= 3 ? CVI_FIELD_WINDOW : CVI_FIELD_NONE;
    for (int k = 0; k < 2; k++) {
        int a = x->rank - 2 + k;
        int64_t more = a >= 2 ? y->dim[a] - x->dim[a] : 0;
        step->kernel[k] = step->stride[k] = step->dilation[k] = 1;
        step->pad_begin[k] = more >= 0 ? more / 2 : -(-more / 2);
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io affine_in[] = {{"theta", CVI_DATA, false, false}, {"size", CVI_SHAPE, false, false}};
static const cvi_op_io affine_out[] = {{"grid", CVI_DATA, false, false}};
static const cvi_op_attr affine_attrs[] = {
    {"align_corners", CVI_ATTR_INT, "0", "0|1",
     "1: −1 and 1 are the centres of the corner pixels; 0: their outer edges",
     "1：−1 和 1 指角上像素的中心；0：指其外缘"},
};

const cvi_op cvi_op_affine_grid = {
    .name = "AffineGrid",
    .since = 20,
    .inputs = affine_in,
    .n_inputs = 2,
    .outputs = affine_out,
    .n_outputs = 1,
    .attrs = affine_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_affine_grid,
    .forward = forward_affine_grid,
    .backward = backward_affine_grid,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"Affine grid", "仿射网格",
             "Lays out the places that a turned, scaled and shifted picture is read at.",
             "给出经旋转、缩放和平移后的图片的读取位置。", "grid[n,i,j] = θ[n] · (x_j, y_i, 1)",
             "Two maps of coordinates: straight ramps, tilted by the turn.",
             "两张坐标图：线性渐变，随旋转而倾斜。"},
};

static const cvi_op_io center_in[] = {{"input_data", CVI_DATA, false, false},
                                      {"shape", CVI_SHAPE, false, false}};
static const cvi_op_io center_out[] = {{"output_data", CVI_DATA, false, false}};
static const cvi_op_attr center_attrs[] = {
    {"axes", CVI_ATTR_INTS, "", "axes of the input", "which axes the shape speaks of; all when absent",
     "形状所指的轴；缺省为全部"},
};

const cvi_op cvi_op_center_crop_pad = {
    .name = "CenterCropPad",
    .since = 18,
    .inputs = center_in,
    .n_inputs = 2,
    .outputs = center_out,
    .n_outputs = 1,
    .attrs = center_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_center,
    .forward = forward_center,
    .any_type = true,
    .backward = backward_center,
    .field = field_center,
    .text = {"Centre crop or pad", "居中裁剪或填充",
             "Keeps the middle of the input, or puts it in the middle of zeros.",
             "保留输入的中间部分，或把它放在零的中央。", "y[i] = x[i − ⌊(new − old)/2⌋] inside, 0 outside",
             "The middle of the input, or the input in a black frame.", "输入的中央，或带黑框的输入。"},
};
