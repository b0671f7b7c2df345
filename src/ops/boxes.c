/* SPDX-License-Identifier: MIT
 * boxes.c - RoiAlign and NonMaxSuppression: what detection heads do with boxes. RoiAlign reads a grid of samples in every box;
 * NonMaxSuppression keeps the best of boxes that overlap.
 */
#include <math.h>

#include "ops/walk.h"

/* ---- RoiAlign ---------------------------------------------------------------------------------------- */
typedef struct roi {
    double top, left, bin_height, bin_width;
    int64_t rows, columns, image; /* samples in a bin */
} roi;

/* Up to four pixels and their weights. */
typedef struct sample {
    int64_t at[4];
    double weight[4];
} sample;

static cvs_status infer_roi_align(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *rois = ctx->in[1], *batch = ctx->in[2];
    const char *mode = cvi_op_string(ctx, "mode"),
               *place = cvi_op_string(ctx, "coordinate_transformation_mode");
    CVI_TRY(cvi_rank_is(ctx, 0, 4));
    CVI_TRY(cvi_rank_is(ctx, 1, 2));
    CVI_TRY(cvi_rank_is(ctx, 2, 1));
    if (rois->dim[1] != 4 || batch->dim[0] != rois->dim[0]) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "%lld x %lld box numbers do not fit %lld image numbers",
                        (long long)rois->dim[0], (long long)rois->dim[1], (long long)batch->dim[0]);
    }
    if (strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0) {
        return cvi_at_attr(
            ctx->err,
            cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "%s is %.40s, which is not supported", "mode", mode),
            "mode");
    }
    if (strcmp(place, "half_pixel") != 0 && strcmp(place, "output_half_pixel") != 0) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "%s is %.40s, which is not supported",
                                    "coordinate_transformation_mode", place),
                           "coordinate_transformation_mode");
    }
    int64_t dim[4] = {rois->dim[0], x->dim[1], cvi_op_int(ctx, "output_height"),
                      cvi_op_int(ctx, "output_width")};
    if (dim[2] < 1 || dim[3] < 1 || x->dim[2] < 1 || x->dim[3] < 1) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "a box of %lld x %lld cannot be read from %lld x %lld",
                        (long long)dim[2], (long long)dim[3], (long long)x->dim[2], (long long)x->dim[3]);
    }
    return cvi_out_shape(ctx, 0, x->dtype, 4, dim);
}

static cvs_status read_roi(const cvi_opctx *ctx, int64_t r, roi *box) {
    double scale = cvi_op_float(ctx, "spatial_scale"), v[4];
    bool half = strcmp(cvi_op_string(ctx, "coordinate_transformation_mode"), "half_pixel") == 0;
    int64_t sampling = cvi_op_int(ctx, "sampling_ratio");
    for (int k = 0; k < 4; k++) {
        v[k] = cvi_get(ctx->in[1], r * 4 + k) * scale - (half ? 0.5 : 0);
    }
    double width = v[2] - v[0], height = v[3] - v[1];
    width = half ? width : fmax(width, 1);
    height = half ? height : fmax(height, 1);
    box->left = v[0];
    box->top = v[1];
    box->bin_height = height / (double)ctx->out[0].dim[2];
    box->bin_width = width / (double)ctx->out[0].dim[3];
    double rows = sampling > 0 ? (double)sampling : ceil(box->bin_height);
    double columns = sampling > 0 ? (double)sampling : ceil(box->bin_width);
    if (!(rows <= 1e4 && columns <= 1e4)) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "box %lld needs %g x %g samples, too many", (long long)r, rows,
                        columns);
    }
    box->rows = (int64_t)fmax(rows, 0);
    box->columns = (int64_t)fmax(columns, 0);
    box->image = cvi_get_int(ctx->in[2], r);
    if (box->image < 0 || box->image >= ctx->in[0]->dim[0]) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "index %lld is outside of a side of %lld",
                        (long long)box->image, (long long)ctx->in[0]->dim[0]);
    }
    return CVS_OK;
}

/* Bilinear weights at (y, x); nothing beyond one pixel outside. */
static void read_sample(const cvs_tensor *t, double y, double x, sample *s) {
    int64_t height = t->dim[2], width = t->dim[3];
    *s = (sample){{0}, {0}};
    if (!(y >= -1 && y <= (double)height && x >= -1 && x <= (double)width)) {
        return;
    }
    y = fmax(y, 0);
    x = fmax(x, 0);
    int64_t y0 = CVI_MIN((int64_t)y, height - 1), x0 = CVI_MIN((int64_t)x, width - 1);
    int64_t y1 = CVI_MIN(y0 + 1, height - 1), x1 = CVI_MIN(x0 + 1, width - 1);
    double dy = y0 == height - 1 ? 0 : y - (double)y0, dx = x0 == width - 1 ? 0 : x - (double)x0;
    const int64_t at[4] = {y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1};
    const double weight[4] = {(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx};
    memcpy(s->at, at, sizeof at);
    memcpy(s->weight, weight, sizeof weight);
}

static void bin_sample(const cvs_tensor *t, const roi *box, int64_t i, int64_t j, int64_t k, sample *s) {
    double y =
        box->top + ((double)i + ((double)(k / box->columns) + 0.5) / (double)box->rows) * box->bin_height;
    double x =
        box->left + ((double)j + ((double)(k % box->columns) + 0.5) / (double)box->columns) * box->bin_width;
    read_sample(t, y, x, s);
}

/* Value of a bin of the map at `map`; for a maximum also the pixel and weight that won. The maximum is over the weighted pixels of
 * all samples, as the operator's first implementations have it. */
static double bin_value(const cvs_tensor *t, const roi *box, int64_t i, int64_t j, int64_t map, bool most,
                        int64_t *at, double *weight) {
    double sum = 0;
    int64_t n = box->rows * box->columns;
    *at = -1;
    *weight = 0;
    for (int64_t k = 0; k < n; k++) {
        sample s;
        bin_sample(t, box, i, j, k, &s);
        for (int c = 0; c < 4; c++) {
            double v = s.weight[c] * cvi_get(t, map + s.at[c]);
            if (!most) {
                sum += v;
            } else if (*at < 0 || v > sum) {
                sum = v;
                *at = map + s.at[c];
                *weight = s.weight[c];
            }
        }
    }
    return most ? sum : sum / (double)CVI_MAX(n, 1);
}

static cvs_status forward_roi_align(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    cvs_tensor *y = &ctx->out[0];
    bool most = strcmp(cvi_op_string(ctx, "mode"), "max") == 0;
    int64_t plane = x->dim[2] * x->dim[3], bins = y->dim[2] * y->dim[3], at;
    double weight;
    for (int64_t r = 0; r < y->dim[0]; r++) {
        roi box;
        CVI_TRY(read_roi(ctx, r, &box));
        for (int64_t c = 0; c < y->dim[1]; c++) {
            int64_t map = (box.image * x->dim[1] + c) * plane;
            for (int64_t b = 0; b < bins; b++) {
                double v = bin_value(x, &box, b / y->dim[3], b % y->dim[3], map, most, &at, &weight);
                cvi_put(y, (r * y->dim[1] + c) * bins + b, v);
            }
        }
    }
    return CVS_OK;
}

static void bin_back(const cvs_tensor *x, const roi *box, int64_t i, int64_t j, int64_t map, bool most,
                     double up, double *sum) {
    int64_t n = box->rows * box->columns, at;
    double weight;
    if (most) {
        bin_value(x, box, i, j, map, true, &at, &weight);
        if (at >= 0) {
            sum[at] += weight * up;
        }
        return;
    }
    for (int64_t k = 0; k < n; k++) {
        sample s;
        bin_sample(x, box, i, j, k, &s);
        for (int c = 0; c < 4; c++) {
            sum[map + s.at[c]] += s.weight[c] * up / (double)n;
        }
    }
}

/* To the feature maps only; boxes and image numbers choose places and carry none. */
static cvs_status backward_roi_align(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                     cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *x = ctx->in[0], *g = grad_out[0];
    bool most = strcmp(cvi_op_string(ctx, "mode"), "max") == 0;
    double *sum;
    if (g == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(cvi_sum_new(ctx, grad_in[0], &sum));
    int64_t plane = x->dim[2] * x->dim[3], bins = g->dim[2] * g->dim[3];
    for (int64_t r = 0; r < g->dim[0]; r++) {
        roi box;
        CVI_TRY(read_roi(ctx, r, &box));
        for (int64_t e = 0; e < g->dim[1] * bins; e++) {
            int64_t map = (box.image * x->dim[1] + e / bins) * plane, b = e % bins;
            bin_back(x, &box, b / g->dim[3], b % g->dim[3], map, most, cvi_get(g, r * g->dim[1] * bins + e),
                     sum);
        }
    }
    cvi_sum_add(grad_in[0], sum);
    return CVS_OK;
}

/* ---- NonMaxSuppression --------------------------------------------------------------------------------- */
typedef struct box {
    double top, left, bottom, right;
} box;

typedef struct keeping {
    int64_t images, classes, boxes, most;
    double overlap, least;
    bool centred, has_least;
} keeping;

static cvs_status read_keeping(const cvi_opctx *ctx, keeping *k) {
    const cvs_tensor *b = ctx->in[0], *s = ctx->in[1];
    CVI_TRY(cvi_rank_is(ctx, 0, 3));
    CVI_TRY(cvi_rank_is(ctx, 1, 3));
    if (b->dim[2] != 4 || s->dim[0] != b->dim[0] || s->dim[2] != b->dim[1]) {
        char one[128], other[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "boxes of shape %s and scores of shape %s do not fit",
                        cvs_shape_text(b->rank, b->dim, one, sizeof one),
                        cvs_shape_text(s->rank, s->dim, other, sizeof other));
    }
    for (int i = 0; i < 5; i++) {
        if (cvi_in(ctx, i) != NULL) {
            CVI_TRY(cvi_need(ctx, i));
        }
        if (i >= 2 && cvi_in(ctx, i) != NULL && cvs_tensor_count(ctx->in[i]) > 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld elements, but must have one", i,
                            (long long)cvs_tensor_count(ctx->in[i]));
        }
    }
    bool has[5];
    for (int i = 2; i < 5; i++) {
        has[i] = cvi_in(ctx, i) != NULL && cvs_tensor_count(ctx->in[i]) == 1;
    }
    *k = (keeping){.images = b->dim[0], .classes = s->dim[1], .boxes = b->dim[1]};
    k->most = has[2] ? cvi_get_int(ctx->in[2], 0) : 0;
    k->overlap = has[3] ? cvi_get(ctx->in[3], 0) : 0;
    k->has_least = has[4];
    k->least = has[4] ? cvi_get(ctx->in[4], 0) : 0;
    k->centred = cvi_op_int(ctx, "center_point_box") != 0;
    return CVS_OK;
}

/* Corners may come in either order; or centre, width and height. */
static box read_box(const cvi_opctx *ctx, const keeping *k, int64_t i) {
    double v[4];
    for (int a = 0; a < 4; a++) {
        v[a] = cvi_get(ctx->in[0], i * 4 + a);
    }
    if (k->centred) {
        return (box){v[1] - v[3] / 2, v[0] - v[2] / 2, v[1] + v[3] / 2, v[0] + v[2] / 2};
    }
    return (box){fmin(v[0], v[2]), fmin(v[1], v[3]), fmax(v[0], v[2]), fmax(v[1], v[3])};
}

static double overlap_of(box a, box b) {
    double height = fmin(a.bottom, b.bottom) - fmax(a.top, b.top);
    double width = fmin(a.right, b.right) - fmax(a.left, b.left);
    double common = fmax(height, 0) * fmax(width, 0);
    double both = (a.bottom - a.top) * (a.right - a.left) + (b.bottom - b.top) * (b.right - b.left) - common;
    return both > 0 ? common / both : 0;
}

/* The best box that is left, or -1; NaN scores never win. */
static int64_t best_left(const cvs_tensor *scores, int64_t base, const keeping *k, const bool *gone) {
    int64_t best = -1;
    for (int64_t i = 0; i < k->boxes; i++) {
        double v = cvi_get(scores, base + i);
        if (gone[i] || v != v || (k->has_least && v <= k->least)) {
            continue;
        }
        best = best < 0 || v > cvi_get(scores, base + best) ? i : best;
    }
    return best;
}

/* Counts the kept boxes and, with rows, writes [image, class, box] for the first `room` of them. */
static cvs_status keep_best(const cvi_opctx *ctx, const keeping *k, int64_t *rows, int64_t room,
                            int64_t *kept) {
    bool *gone = cvi_arena_alloc(ctx->scratch, CVI_MAX(k->boxes, 1), sizeof *gone);
    if (gone == NULL) {
        return cvi_no_memory(ctx->err, (size_t)k->boxes);
    }
    *kept = 0;
    for (int64_t g = 0; g < k->images * k->classes; g++) {
        int64_t image = g / k->classes, taken = 0, i;
        memset(gone, 0, (size_t)k->boxes);
        while (taken < k->most && (i = best_left(ctx->in[1], g * k->boxes, k, gone)) >= 0) {
            box winner = read_box(ctx, k, image * k->boxes + i);
            gone[i] = true;
            for (int64_t j = 0; j < k->boxes; j++) {
                gone[j] = gone[j] || overlap_of(winner, read_box(ctx, k, image * k->boxes + j)) > k->overlap;
            }
            if (rows != NULL && *kept < room) {
                rows[*kept * 3] = image;
                rows[*kept * 3 + 1] = g % k->classes;
                rows[*kept * 3 + 2] = i;
            }
            taken++;
            (*kept)++;
        }
    }
    return CVS_OK;
}

static cvs_status infer_nms(cvi_opctx *ctx) {
    keeping k;
    int64_t dim[2] = {0, 3};
    CVI_TRY(read_keeping(ctx, &k));
    CVI_TRY(keep_best(ctx, &k, NULL, 0, &dim[0]));
    return cvi_out_shape(ctx, 0, CVS_I64, 2, dim);
}

static cvs_status forward_nms(cvi_opctx *ctx) {
    keeping k;
    int64_t kept;
    CVI_TRY(read_keeping(ctx, &k));
    return keep_best(ctx, &k, ctx->out[0].data, ctx->out[0].dim[0], &kept);
}

/* ---- descriptors ------------------------------------------------------------------------------------- */
static const cvi_op_io roi_in[] = {{"X", CVI_DATA, false, false},
                                   {"rois", CVI_DATA, false, false},
                                   {"batch_indices", CVI_DATA, false, false}};
static const cvi_op_io roi_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr roi_attrs[] = {
    {"coordinate_transformation_mode", CVI_ATTR_STRING, "half_pixel", "half_pixel|output_half_pixel",
     "whether boxes are moved by half a pixel", "框是否平移半个像素"},
    {"mode", CVI_ATTR_STRING, "avg", "avg|max", "how the samples of a cell become one number",
     "一个格子内的采样如何合并"},
    {"output_height", CVI_ATTR_INT, "1", ">= 1", "rows of the result", "结果的行数"},
    {"output_width", CVI_ATTR_INT, "1", ">= 1", "columns of the result", "结果的列数"},
    {"sampling_ratio", CVI_ATTR_INT, "0", ">= 0", "samples a side of a cell; 0: as many as it has pixels",
     "格子每边的采样数；0 表示与其像素数相同"},
    {"spatial_scale", CVI_ATTR_FLOAT, "1", "> 0", "from box coordinates to this map's",
     "从框坐标到本特征图坐标的比例"},
};

const cvi_op cvi_op_roi_align = {
    .name = "RoiAlign",
    .since = 16,
    .inputs = roi_in,
    .n_inputs = 3,
    .outputs = roi_out,
    .n_outputs = 1,
    .attrs = roi_attrs,
    .n_attrs = CVI_COUNT(roi_attrs),
    .glyph = CVI_GLYPH_POOL,
    .infer = infer_roi_align,
    .forward = forward_roi_align,
    .backward = backward_roi_align,
    .cost = cvi_cost_each,
    .field = cvi_field_all,
    .text = {"Region alignment", "区域对齐",
             "Cuts boxes of any size out of the feature maps and brings them all to one size.",
             "从特征图中截取任意大小的框，并统一为同一尺寸。",
             "y[r,c,i,j] = mean of x at samples in cell (i,j) of box r",
             "Each picture is what one box holds, stretched to a fixed size.",
             "每幅图是一个框中的内容，拉伸到固定尺寸。"},
};

static const cvi_op_io nms_in[] = {{"boxes", CVI_SHAPE, false, false},
                                   {"scores", CVI_SHAPE, false, false},
                                   {"max_output_boxes_per_class", CVI_SHAPE, true, false},
                                   {"iou_threshold", CVI_SHAPE, true, false},
                                   {"score_threshold", CVI_SHAPE, true, false}};
static const cvi_op_io nms_out[] = {{"selected_indices", CVI_DATA, false, false}};
static const cvi_op_attr nms_attrs[] = {
    {"center_point_box", CVI_ATTR_INT, "0", "0|1", "1: boxes are centre, width, height; 0: two corners",
     "1：框为中心点加宽高；0：框为两个角点"},
};

const cvi_op cvi_op_non_max_suppression = {
    .name = "NonMaxSuppression",
    .since = 11,
    .inputs = nms_in,
    .n_inputs = 5,
    .outputs = nms_out,
    .n_outputs = 1,
    .attrs = nms_attrs,
    .n_attrs = 1,
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_nms,
    .forward = forward_nms,
    .any_type = true,
    .field = cvi_field_all,
    .text = {"Non-maximum suppression", "非极大值抑制",
             "Keeps the best-scored boxes and drops those that overlap a better one too much.",
             "保留得分最高的框，去掉与更好的框重叠过多的框。",
             "keep i if no better kept j has IoU(i,j) > threshold",
             "A list of [image, class, box]: what the detector finally reports.",
             "形如［图片，类别，框］的列表：检测器最终报告的内容。"},
};
