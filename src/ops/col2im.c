/* SPDX-License-Identifier: MIT
 * col2im.c - Col2Im (torch.nn.Fold): columns, each a block of a picture, laid back where the block came from; where blocks overlap they
 * add up. Any number of axes up to five.
 */
#include "ops/walk.h"

enum { MOST_AXES = 5 };

typedef struct fold {
    int axes;
    int64_t image[MOST_AXES], block[MOST_AXES], stride[MOST_AXES], dilation[MOST_AXES], begin[MOST_AXES],
        places[MOST_AXES];
    int64_t cells, columns, pixels; /* of a block; blocks; of a picture */
    int64_t planes;                 /* N times C */
} fold;

static cvs_status make_fold(const cvi_opctx *ctx, fold *f) {
    const cvs_tensor *x = ctx->in[0];
    int n_image, n_block;
    int64_t pads[2 * MOST_AXES];
    *f = (fold){.cells = 1, .columns = 1, .pixels = 1};
    CVI_TRY(cvi_rank_is(ctx, 0, 3));
    CVI_TRY(cvi_ints(ctx, 1, f->image, MOST_AXES, &n_image));
    CVI_TRY(cvi_ints(ctx, 2, f->block, MOST_AXES, &n_block));
    cvi_node_ints(ctx->node, "strides", f->stride, MOST_AXES, 1);
    cvi_node_ints(ctx->node, "dilations", f->dilation, MOST_AXES, 1);
    cvi_node_ints(ctx->node, "pads", pads, 2 * MOST_AXES, 0);
    f->axes = n_image;
    bool ok = n_image >= 1 && n_image == n_block;
    for (int a = 0; a < f->axes && ok; a++) {
        const int64_t most = (int64_t)1 << 40;
        int64_t room = 0, reach = 0;
        f->begin[a] = pads[a];
        ok = f->image[a] > 0 && f->image[a] < most && f->block[a] > 0 && f->block[a] < most &&
             f->stride[a] > 0 && f->dilation[a] > 0 && pads[a] >= 0 && pads[a] < most &&
             pads[f->axes + a] >= 0 && pads[f->axes + a] < most &&
             cvi_mul(f->dilation[a], f->block[a] - 1, &reach) && reach < most;
        room = ok ? f->image[a] + pads[a] + pads[f->axes + a] - reach - 1 : -1;
        ok = room >= 0;
        f->places[a] = ok ? room / f->stride[a] + 1 : 0;
        ok = ok && cvi_mul(f->cells, f->block[a], &f->cells) &&
             cvi_mul(f->columns, f->places[a], &f->columns) && cvi_mul(f->pixels, f->image[a], &f->pixels);
    }
    if (!ok || x->dim[1] % f->cells != 0 || x->dim[2] != f->columns) {
        char text[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "image_shape, block_shape, strides and pads do not fit columns of shape %s",
                        cvs_shape_text(x->rank, x->dim, text, sizeof text));
    }
    f->planes = x->dim[0] * (x->dim[1] / f->cells);
    return CVS_OK;
}

static cvs_status infer_fold(cvi_opctx *ctx) {
    fold f;
    int64_t dim[2 + MOST_AXES];
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(make_fold(ctx, &f));
    dim[0] = ctx->in[0]->dim[0];
    dim[1] = ctx->in[0]->dim[1] / f.cells;
    memcpy(dim + 2, f.image, (size_t)f.axes * sizeof *dim);
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, 2 + f.axes, dim);
}

/* The pixel of cell `cell` of block `column`, or -1 in the padding. */
static int64_t pixel_of(const fold *f, int64_t cell, int64_t column) {
    int64_t pixel = 0, step = 1;
    for (int a = f->axes - 1; a >= 0; a--) {
        int64_t at = column % f->places[a] * f->stride[a] + cell % f->block[a] * f->dilation[a] - f->begin[a];
        if (at < 0 || at >= f->image[a]) {
            return -1;
        }
        pixel += at * step;
        step *= f->image[a];
        column /= f->places[a];
        cell /= f->block[a];
    }
    return pixel;
}

typedef struct fold_job {
    const fold *f;
    const cvs_tensor *columns, *picture;
    double *sum; /* [planes,pixels]; NULL: from the picture to the columns */
} fold_job;

static void fold_planes(void *context, int64_t begin, int64_t end) {
    const fold_job *j = context;
    const fold *f = j->f;
    for (int64_t p = begin; p < end; p++) {
        for (int64_t cell = 0; cell < f->cells; cell++) {
            for (int64_t column = 0; column < f->columns; column++) {
                int64_t at = pixel_of(f, cell, column), from = (p * f->cells + cell) * f->columns + column;
                if (at >= 0 && j->sum != NULL) {
                    j->sum[p * f->pixels + at] += cvi_get(j->columns, from);
                } else if (at >= 0) {
                    cvi_put(j->columns, from,
                            cvi_get(j->columns, from) + cvi_get(j->picture, p * f->pixels + at));
                }
            }
        }
        for (int64_t i = p * f->pixels; j->sum != NULL && i < (p + 1) * f->pixels; i++) {
            cvi_put(j->picture, i, j->sum[i]);
        }
    }
}

static cvs_status forward_fold(cvi_opctx *ctx) {
    fold f;
    CVI_TRY(make_fold(ctx, &f));
    fold_job j = {.f = &f, .columns = ctx->in[0], .picture = &ctx->out[0]};
    CVI_TRY(cvi_sum_new(ctx, &ctx->out[0], &j.sum));
    cvi_each_rows(ctx, f.planes, f.cells * f.columns, &j, fold_planes);
    return CVS_OK;
}

static cvs_status backward_fold(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    (void)rule;
    fold f;
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(make_fold(ctx, &f));
    fold_job j = {.f = &f, .columns = grad_in[0], .picture = grad_out[0]};
    cvi_each_rows(ctx, f.planes, f.cells * f.columns, &j, fold_planes);
    return CVS_OK;
}

static const cvi_op_io fold_in[] = {{"input", CVI_DATA, false, false},
                                    {"image_shape", CVI_SHAPE, false, false},
                                    {"block_shape", CVI_SHAPE, false, false}};
static const cvi_op_io fold_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr fold_attrs[] = {
    {"dilations", CVI_ATTR_INTS, "", ">= 1", "distance between neighbouring cells of a block on each axis",
     "同一块内相邻格在每个轴上的间距"},
    {"pads", CVI_ATTR_INTS, "", ">= 0", "padding before each axis, then after each axis",
     "先列各轴前端的填充，再列各轴后端的填充"},
    {"strides", CVI_ATTR_INTS, "", ">= 1", "step between neighbouring blocks on each axis",
     "相邻块在每个轴上的步幅"},
};

const cvi_op cvi_op_col2im = {
    .name = "Col2Im",
    .since = 18,
    .inputs = fold_in,
    .n_inputs = 3,
    .outputs = fold_out,
    .n_outputs = 1,
    .attrs = fold_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_UPSAMPLE,
    .word_en = "fold",
    .word_zh = "折叠",
    .infer = infer_fold,
    .forward = forward_fold,
    .backward = backward_fold,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"Fold columns into a picture", "列折叠为图像",
             "Lays columns of numbers back as the blocks of a picture; overlaps add up.",
             "把各列数还原为图像的块；重叠处相加。", "y[p] = Σ of all block cells that lie on p",
             "A picture again; seams are brighter where blocks overlap.", "重新成为图像；块重叠处更亮。"},
};
