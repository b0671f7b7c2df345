/* SPDX-License-Identifier: MIT
 * space.c - DepthToSpace and SpaceToDepth: squares of pixels become channels and back (pixel shuffle). The output is seen with
 * six axes and moved by tables of offsets (walk.h).
 */
#include "ops/walk.h"

static cvs_status block_of(const cvi_opctx *ctx, int64_t *block) {
    *block = cvi_op_int(ctx, "blocksize");
    if (*block < 1 || *block > 65535) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_SHAPE, "the block size is %lld", (long long)*block),
                           "blocksize");
    }
    return CVS_OK;
}

static cvs_status check_mode(const cvi_opctx *ctx) {
    const char *mode = cvi_op_string(ctx, "mode");
    return strcmp(mode, "DCR") == 0 || strcmp(mode, "CRD") == 0
               ? CVS_OK
               : cvi_at_attr(
                     ctx->err,
                     cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "mode is %.40s, but must be DCR or CRD", mode),
                     "mode");
}

static cvs_status infer_depth_to_space(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t b;
    CVI_TRY(cvi_rank_is(ctx, 0, 4));
    CVI_TRY(block_of(ctx, &b));
    CVI_TRY(check_mode(ctx));
    if (x->dim[1] % (b * b) != 0) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "%lld channels cannot be cut into blocks of %lld x %lld",
                        (long long)x->dim[1], (long long)b, (long long)b);
    }
    int64_t dim[4] = {x->dim[0], x->dim[1] / (b * b), 0, 0};
    if (!cvi_mul(x->dim[2], b, &dim[2]) || !cvi_mul(x->dim[3], b, &dim[3])) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "the block size %lld is too large for this input",
                        (long long)b);
    }
    return cvi_out_shape(ctx, 0, x->dtype, 4, dim);
}

/* y[n, c, h·b + i, w·b + j] = x[n, (i·b + j)·C + c, h, w] (DCR) or x[n, c·b² + i·b + j, h, w] (CRD). */
static cvs_status map_depth_to_space(cvi_opctx *ctx, cvi_map *m) {
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    int64_t b, plane = x->dim[2] * x->dim[3], channels = y->dim[1];
    CVI_TRY(block_of(ctx, &b));
    bool depth_first = strcmp(cvi_op_string(ctx, "mode"), "DCR") == 0;
    int64_t dim[6] = {x->dim[0], channels, x->dim[2], b, x->dim[3], b};
    CVI_TRY(cvi_map_new(ctx, m, 6, dim));
    cvi_map_line(m, 0, 0, x->dim[1] * plane);
    cvi_map_line(m, 1, 0, depth_first ? plane : b * b * plane);
    cvi_map_line(m, 2, 0, x->dim[3]);
    cvi_map_line(m, 3, 0, depth_first ? b * channels * plane : b * plane);
    cvi_map_line(m, 4, 0, 1);
    cvi_map_line(m, 5, 0, depth_first ? channels * plane : plane);
    return CVS_OK;
}

static cvs_status infer_space_to_depth(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    int64_t b;
    CVI_TRY(cvi_rank_is(ctx, 0, 4));
    CVI_TRY(block_of(ctx, &b));
    CVI_TRY(check_mode(ctx));
    if (x->dim[2] % b != 0 || x->dim[3] % b != 0) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "%lld x %lld pixels cannot be cut into blocks of %lld x %lld",
                        (long long)x->dim[2], (long long)x->dim[3], (long long)b, (long long)b);
    }
    int64_t dim[4] = {x->dim[0], 0, x->dim[2] / b, x->dim[3] / b};
    if (!cvi_mul(x->dim[1], b * b, &dim[1])) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "the block size %lld is too large for this input",
                        (long long)b);
    }
    return cvi_out_shape(ctx, 0, x->dtype, 4, dim);
}

/* y[n, (i·b + j)·C + c, h, w] (DCR) or y[n, c·b² + i·b + j, h, w] (CRD) = x[n, c, h·b + i, w·b + j]. */
static cvs_status map_space_to_depth(cvi_opctx *ctx, cvi_map *m) {
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    int64_t b, plane = x->dim[2] * x->dim[3];
    CVI_TRY(block_of(ctx, &b));
    bool depth_first = strcmp(cvi_op_string(ctx, "mode"), "DCR") == 0;
    int first =
        depth_first ? 1 : 2; /* the axis of i; j follows; the channel stands on the one that is left */
    int64_t dim[6] = {x->dim[0], b, b, b, y->dim[2], y->dim[3]};
    dim[depth_first ? 3 : 1] = x->dim[1];
    CVI_TRY(cvi_map_new(ctx, m, 6, dim));
    cvi_map_line(m, 0, 0, x->dim[1] * plane);
    cvi_map_line(m, first, 0, x->dim[3]);
    cvi_map_line(m, first + 1, 0, 1);
    cvi_map_line(m, depth_first ? 3 : 1, 0, plane);
    cvi_map_line(m, 4, 0, b * x->dim[3]);
    cvi_map_line(m, 5, 0, b);
    return CVS_OK;
}

#define MOVER(NAME)                                                                                          \
    static cvs_status forward_##NAME(cvi_opctx *ctx) {                                                       \
        cvi_map m;                                                                                           \
        if (ctx->out[0].bytes == 0) {                                                                        \
            return CVS_OK;                                                                                   \
        }                                                                                                    \
        CVI_TRY(map_##NAME(ctx, &m));                                                                        \
        cvi_map_move(ctx, &m, ctx->in[0]->data, cvs_dtype_size(ctx->out[0].dtype), NULL, ctx->out[0].data);  \
        return CVS_OK;                                                                                       \
    }                                                                                                        \
    static cvs_status backward_##NAME(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,      \
                                      cvs_tensor *const *grad_in) {                                          \
        (void)rule;                                                                                          \
        cvi_map m;                                                                                           \
        if (grad_out[0] == NULL || grad_in[0] == NULL) {                                                     \
            return CVS_OK;                                                                                   \
        }                                                                                                    \
        CVI_TRY(map_##NAME(ctx, &m));                                                                        \
        return cvi_map_add(ctx, &m, grad_out[0], grad_in[0]);                                                \
    }
MOVER(depth_to_space)
MOVER(space_to_depth)

static void field_finer(const cvi_opctx *ctx, cvi_field_step *step) {
    double b = (double)cvi_op_int(ctx, "blocksize");
    step->kind = CVI_FIELD_SCALE;
    for (int k = 0; k < 2; k++) {
        step->kernel[k] = 1;
        step->scale[k] = b;
    }
}

static void field_coarser(const cvi_opctx *ctx, cvi_field_step *step) {
    int64_t b = cvi_op_int(ctx, "blocksize");
    step->kind = CVI_FIELD_WINDOW;
    for (int k = 0; k < 2; k++) {
        step->kernel[k] = step->stride[k] = b;
        step->dilation[k] = 1;
        step->pad_begin[k] = 0;
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io one_in[] = {{"input", CVI_DATA, false, false}};
static const cvi_op_io one_out[] = {{"output", CVI_DATA, false, false}};
static const cvi_op_attr depth_attrs[] = {
    {"blocksize", CVI_ATTR_INT, NULL, ">= 1", "side of the square of pixels that one position becomes",
     "每个位置展开成的像素方块的边长"},
    {"mode", CVI_ATTR_STRING, "DCR", "DCR|CRD",
     "which channels make a square: far apart (DCR) or neighbours (CRD)",
     "由哪些通道组成方块：相隔的（DCR）或相邻的（CRD）"},
};

const cvi_op cvi_op_depth_to_space = {
    .name = "DepthToSpace",
    .word_en = "depth to space",
    .word_zh = "深度转空间",
    .since = 13,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = one_out,
    .n_outputs = 1,
    .attrs = depth_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_UPSAMPLE,
    .infer = infer_depth_to_space,
    .forward = forward_depth_to_space,
    .any_type = true,
    .backward = backward_depth_to_space,
    .field = field_finer,
    .text = {"Depth to space", "通道转空间",
             "Turns groups of channels into squares of pixels: fewer maps, each larger (pixel "
             "shuffle).",
             "把一组通道重排成像素方块：特征图变少、变大（像素重排）。",
             "y[n,c,h·b+i,w·b+j] = x[n,(i·b+j)·C+c,h,w]",
             "Neighbouring pixels come from different channels; a checkerboard shows that these disagree.",
             "相邻像素来自不同通道；出现棋盘格说明这些通道不一致。"},
};

static const cvi_op_attr space_attrs[] = {
    {"blocksize", CVI_ATTR_INT, NULL, ">= 1", "side of the square of pixels that becomes one position",
     "合并为一个位置的像素方块的边长"},
    {"mode", CVI_ATTR_STRING, "DCR", "DCR|CRD",
     "where a square's pixels go: to channels far apart (DCR) or to neighbours (CRD)",
     "方块中的像素放到相隔的通道（DCR）还是相邻的通道（CRD）"},
};

const cvi_op cvi_op_space_to_depth = {
    .name = "SpaceToDepth",
    .word_en = "space to depth",
    .word_zh = "空间转深度",
    .since = 13,
    .inputs = one_in,
    .n_inputs = 1,
    .outputs = one_out,
    .n_outputs = 1,
    .attrs = space_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_space_to_depth,
    .forward = forward_space_to_depth,
    .any_type = true,
    .backward = backward_space_to_depth,
    .field = field_coarser,
    .text = {"Space to depth", "空间转通道",
             "Turns squares of pixels into channels: more maps, each smaller; nothing is lost.",
             "把像素方块重排成通道：特征图变多、变小，信息不丢失。",
             "y[n,(i·b+j)·C+c,h,w] = x[n,c,h·b+i,w·b+j]",
             "Each map is the input seen at every b-th pixel, with its own offset.",
             "每张图是按各自的偏移、每隔 b 个像素取一个得到的输入。"},
};
