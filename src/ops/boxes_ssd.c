/* SPDX-License-Identifier: MIT
 * boxes_ssd.c - PriorBox and DetectionOutput, the first and the last step of single-shot detectors (Liu et al. 2016, "SSD"): boxes of
 * fixed sizes around every place of a feature map, and what is left of them once they were moved, scored and sorted out. Sizes,
 * order and rounding are those of the paper's own Caffe.
 */
#include <math.h>
#include <stdlib.h>

#include "ops/walk.h"

/* ---- PriorBox ------------------------------------------------------------------------------------------ */
typedef struct priors {
    int sizes, larger, ratios, variances;
    const double *size, *larger_size, *ratio, *variance;
    int64_t rows, columns, boxes; /* places, and boxes at each */
    double image[2], step[2], offset;
    bool clip;
} priors;

static int list_of(const cvi_opctx *ctx, const char *name, const double **list) {
    const cvi_attr *a = cvi_node_attr(ctx->node, name);
    *list = a != NULL ? a->floats : NULL;
    return a != NULL && a->kind == CVI_ATTR_FLOATS ? a->n : 0;
}

static cvs_status not_positive(const cvi_opctx *ctx, const char *name, double v) {
    return cvi_at_attr(ctx->err,
                       cvi_fail(ctx->err, CVS_E_FORMAT, "%s is %g, but must be more than 0", name, v), name);
}

/* What the attributes leave open follows from the shapes: the picture's sides, and steps that spread the places evenly. */
static cvs_status read_sides(const cvi_opctx *ctx, priors *p) {
    int64_t image[2];
    const double *step;
    int n = cvi_node_ints(ctx->node, "image", image, 2, 0), steps = list_of(ctx, "step", &step);
    for (int i = 0; i < 2; i++) {
        int64_t side = i == 0 ? p->rows : p->columns;
        if (n < 2 || image[0] == 0 || image[1] == 0) {
            if (cvi_in(ctx, 1) == NULL || ctx->in[1]->rank != 4) {
                return cvi_fail(ctx->err, CVS_E_SHAPE,
                                "the picture's size is not told, and there is no picture of rank 4");
            }
            p->image[i] = (double)ctx->in[1]->dim[2 + i];
        } else {
            p->image[i] = (double)image[i];
        }
        bool told = steps >= 2 && step[0] != 0 && step[1] != 0;
        p->step[i] = told ? step[i] : p->image[i] / (double)side;
        if (!(p->image[i] > 0)) {
            return not_positive(ctx, "image", p->image[i]);
        }
    }
    return CVS_OK;
}

static cvs_status read_priors(const cvi_opctx *ctx, priors *p) {
    CVI_TRY(cvi_rank_is(ctx, 0, 4));
    *p = (priors){.rows = ctx->in[0]->dim[2], .columns = ctx->in[0]->dim[3]};
    p->sizes = list_of(ctx, "min_size", &p->size);
    p->larger = list_of(ctx, "max_size", &p->larger_size);
    p->ratios = list_of(ctx, "aspect_ratio", &p->ratio);
    p->variances = list_of(ctx, "variance", &p->variance);
    p->offset = cvi_op_float(ctx, "offset");
    p->clip = cvi_op_int(ctx, "clip") != 0;
    if (p->sizes < 1 || (p->larger != 0 && p->larger != p->sizes) ||
        (p->variances != 0 && p->variances != 1 && p->variances != 4)) {
        return cvi_fail(ctx->err, CVS_E_FORMAT,
                        "%d smallest sizes, %d largest ones and %d variances do not make boxes", p->sizes,
                        p->larger, p->variances);
    }
    for (int i = 0; i < p->sizes; i++) {
        if (!(p->size[i] > 0)) {
            return not_positive(ctx, "min_size", p->size[i]);
        }
    }
    for (int i = 0; i < p->ratios; i++) {
        if (!(p->ratio[i] > 0)) {
            return not_positive(ctx, "aspect_ratio", p->ratio[i]);
        }
    }
    p->boxes = (int64_t)p->sizes * (1 + p->ratios) + p->larger;
    return read_sides(ctx, p);
}

static cvs_status infer_prior_box(cvi_opctx *ctx) {
    priors p = {0};
    int64_t dim[3] = {1, 2, 0};
    CVI_TRY(read_priors(ctx, &p));
    if (!cvi_mul(p.rows, p.columns, &dim[2]) || !cvi_mul(dim[2], 4 * p.boxes, &dim[2])) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "%lld x %lld places have too many boxes", (long long)p.rows,
                        (long long)p.columns);
    }
    return cvi_out_shape(ctx, 0, CVS_F32, 3, dim);
}

/* One box of that width and height around a place, as parts of the picture's sides. */
static float *put_box(float *y, const priors *p, double cy, double cx, double width, double height) {
    const double corner[4] = {(cx - width / 2) / p->image[1], (cy - height / 2) / p->image[0],
                              (cx + width / 2) / p->image[1], (cy + height / 2) / p->image[0]};
    for (int k = 0; k < 4; k++) {
        *y++ = (float)(p->clip ? fmin(fmax(corner[k], 0), 1) : corner[k]);
    }
    return y;
}

static cvs_status forward_prior_box(cvi_opctx *ctx) {
    priors p = {0};
    float *y = ctx->out[0].data;
    int64_t n = ctx->out[0].dim[2];
    CVI_TRY(read_priors(ctx, &p));
    for (int64_t at = 0; at < p.rows * p.columns; at++) {
        double cy = ((double)(at / p.columns) + p.offset) * p.step[0];
        double cx = ((double)(at % p.columns) + p.offset) * p.step[1];
        for (int s = 0; s < p.sizes; s++) {
            double size = p.size[s];
            y = put_box(y, &p, cy, cx, size, size);
            if (p.larger > 0) {
                double middle = sqrt(size * p.larger_size[s]);
                y = put_box(y, &p, cy, cx, middle, middle);
            }
            for (int r = 0; r < p.ratios; r++) {
                y = put_box(y, &p, cy, cx, size * sqrt(p.ratio[r]), size / sqrt(p.ratio[r]));
            }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        *y++ = (float)(p.variances == 4 ? p.variance[i % 4] : p.variances == 1 ? p.variance[0] : 0.1);
    }
    return CVS_OK;
}

/* ---- DetectionOutput ----------------------------------------------------------------------------------- */
typedef enum code { CENTER_SIZE, CORNER, CORNER_SIZE } code;

typedef struct detector {
    int64_t images, priors, classes, sets; /* sets of boxes: 1, or one a class */
    int64_t background, most, keep;        /* boxes of a class, of a picture; -1: all */
    double overlap, eta, least;
    bool has_least, encoded, clip, grouped;
    code code;
} detector;

typedef struct candidate {
    double score, corner[4], area; /* left, top, right, bottom */
    int64_t label, prior;
} candidate;

typedef struct candidates {
    candidate *of;
    int64_t n, capacity;
} candidates;

static cvs_status read_code(const cvi_opctx *ctx, detector *d) {
    static const char *const names[] = {"center_size", "corner", "corner_size"};
    const char *name = cvi_op_string(ctx, "code_type");
    for (int i = 0; i < CVI_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            d->code = (code)i;
            return CVS_OK;
        }
    }
    return cvi_at_attr(
        ctx->err,
        cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "%s is %.40s, which is not supported", "code_type", name),
        "code_type");
}

static cvs_status read_detector(const cvi_opctx *ctx, detector *d) {
    const cvs_tensor *loc = ctx->in[0], *conf = ctx->in[1], *prior = ctx->in[2];
    for (int k = 0; k < 3; k++) {
        CVI_TRY(cvi_rank_from(ctx, k, 2));
        CVI_TRY(cvi_want_float(ctx, k));
    }
    *d = (detector){.images = loc->dim[0], .priors = prior->dim[prior->rank - 1] / 4};
    d->encoded = cvi_op_int(ctx, "variance_encoded_in_target") != 0;
    int64_t row = 4 * d->priors, all = cvs_tensor_count(conf), moves = cvs_tensor_count(loc);
    bool fits = d->priors > 0 && d->images > 0 && conf->dim[0] == d->images &&
                prior->dim[prior->rank - 1] == row && cvs_tensor_count(prior) >= (d->encoded ? 1 : 2) * row &&
                all % (d->images * d->priors) == 0 && moves % (d->images * row) == 0;
    d->classes = fits ? all / (d->images * d->priors) : 0;
    d->sets = fits ? moves / (d->images * row) : 0;
    if (!fits || d->classes < 1 || (d->sets != 1 && d->sets != d->classes)) {
        char a[128], b[128], c[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "moves of shape %s, scores of shape %s and boxes of shape %s do not fit",
                        cvs_shape_text(loc->rank, loc->dim, a, sizeof a),
                        cvs_shape_text(conf->rank, conf->dim, b, sizeof b),
                        cvs_shape_text(prior->rank, prior->dim, c, sizeof c));
    }
    d->background = cvi_op_int(ctx, "background_label_id");
    d->most = cvi_op_int(ctx, "top_k");
    d->keep = cvi_op_int(ctx, "keep_top_k");
    d->overlap = cvi_op_float(ctx, "nms_threshold");
    d->eta = cvi_op_float(ctx, "eta");
    d->has_least = cvi_node_attr(ctx->node, "confidence_threshold") != NULL;
    d->least = d->has_least ? cvi_op_float(ctx, "confidence_threshold") : 0;
    d->clip = cvi_op_int(ctx, "clip") != 0;
    d->grouped = cvi_op_int(ctx, "group_by_classes") != 0;
    CVI_TRY(read_code(ctx, d));
    for (int k = 0; k < 3; k++) {
        CVI_TRY(cvi_need(ctx, k));
    }
    return CVS_OK;
}

/* Moves prior box b->prior of a picture as its numbers say, and sets corners and area. */
static void decode(const cvi_opctx *ctx, const detector *d, int64_t image, candidate *b) {
    double p[4], v[4], move[4], *c = b->corner;
    int64_t set = d->sets > 1 ? b->label : 0;
    for (int k = 0; k < 4; k++) {
        int64_t at = 4 * b->prior + k;
        p[k] = cvi_get(ctx->in[2], at);
        v[k] = d->encoded ? 1 : cvi_get(ctx->in[2], 4 * d->priors + at);
        move[k] = v[k] * cvi_get(ctx->in[0], ((image * d->priors + b->prior) * d->sets + set) * 4 + k);
    }
    double width = p[2] - p[0], height = p[3] - p[1];
    if (d->code == CENTER_SIZE) {
        double cx = move[0] * width + (p[0] + p[2]) / 2, cy = move[1] * height + (p[1] + p[3]) / 2;
        double w = exp(move[2]) * width, h = exp(move[3]) * height;
        memcpy(c, (double[]){cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2}, sizeof p);
    } else {
        bool sized = d->code == CORNER_SIZE;
        for (int k = 0; k < 4; k++) {
            c[k] = p[k] + move[k] * (!sized ? 1 : k % 2 ? height : width);
        }
    }
    for (int k = 0; d->clip && k < 4; k++) {
        c[k] = fmin(fmax(c[k], 0), 1);
    }
    b->area = c[2] < c[0] || c[3] < c[1] ? 0 : (c[2] - c[0]) * (c[3] - c[1]);
}

static double overlap_of(const candidate *a, const candidate *b) {
    double width = fmin(a->corner[2], b->corner[2]) - fmax(a->corner[0], b->corner[0]);
    double height = fmin(a->corner[3], b->corner[3]) - fmax(a->corner[1], b->corner[1]);
    double common = width * height;
    return width > 0 && height > 0 ? common / (a->area + b->area - common) : 0;
}

/* Best first; equal scores: the lower class, then the earlier box. */
static int by_score(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    return x->score != y->score   ? (x->score > y->score ? -1 : 1)
           : x->label != y->label ? (x->label < y->label ? -1 : 1)
                                  : (x->prior > y->prior) - (x->prior < y->prior);
}

static int by_class(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    return x->label != y->label ? (x->label < y->label ? -1 : 1) : by_score(a, b);
}

static bool add(const cvi_opctx *ctx, candidates *list, const candidate *c) {
    if (list->n == list->capacity) {
        int64_t capacity = CVI_MAX(64, 2 * list->capacity);
        candidate *more = cvi_arena_alloc(ctx->scratch, capacity, sizeof *more);
        if (more == NULL) {
            return false;
        }
        if (list->n > 0) {
            memcpy(more, list->of, (size_t)list->n * sizeof *more);
        }
        list->of = more;
        list->capacity = capacity;
    }
    list->of[list->n++] = *c;
    return true;
}

/* The boxes of one class in one picture that score enough, best first, at most `most`; then none that a better one covers. */
static cvs_status pick(const cvi_opctx *ctx, const detector *d, int64_t image, int64_t label,
                       candidates *found, candidates *kept) {
    double limit = d->overlap;
    int64_t first = kept->n;
    found->n = 0;
    for (int64_t i = 0; i < d->priors; i++) {
        candidate c = {.label = label, .prior = i};
        c.score = cvi_get(ctx->in[1], (image * d->priors + i) * d->classes + label);
        if (c.score == c.score && (!d->has_least || c.score > d->least) && !add(ctx, found, &c)) {
            return cvi_no_memory(ctx->err, (size_t)found->n * sizeof c);
        }
    }
    if (found->n > 1) {
        qsort(found->of, (size_t)found->n, sizeof *found->of, by_score);
    }
    int64_t n = d->most >= 0 ? CVI_MIN(d->most, found->n) : found->n;
    for (int64_t i = 0; i < n; i++) {
        candidate *c = &found->of[i];
        bool keep = true;
        decode(ctx, d, image, c);
        for (int64_t k = first; keep && k < kept->n; k++) {
            keep = overlap_of(c, &kept->of[k]) <= limit; /* also false for what is no number */
        }
        if (keep && !add(ctx, kept, c)) {
            return cvi_no_memory(ctx->err, (size_t)kept->n * sizeof *c);
        }
        if (keep && d->eta < 1 && limit > 0.5) {
            limit *= d->eta;
        }
    }
    return CVS_OK;
}

static cvs_status detect(const cvi_opctx *ctx, const detector *d, int64_t image, candidates *found,
                         candidates *kept) {
    kept->n = 0;
    for (int64_t label = 0; label < d->classes; label++) {
        if (label != d->background) {
            CVI_TRY(pick(ctx, d, image, label, found, kept));
        }
    }
    if (kept->n > 1) {
        qsort(kept->of, (size_t)kept->n, sizeof *kept->of, by_score);
        kept->n = d->keep >= 0 ? CVI_MIN(d->keep, kept->n) : kept->n;
    } else if (d->keep == 0) {
        kept->n = 0;
    }
    if (d->grouped && kept->n > 1) {
        qsort(kept->of, (size_t)kept->n, sizeof *kept->of, by_class);
    }
    return CVS_OK;
}

/* Counts rows, and writes them where y has numbers. */
static cvs_status detect_all(const cvi_opctx *ctx, cvs_tensor *y, int64_t *rows) {
    detector d = {0};
    candidates found = {0}, kept = {0};
    CVI_TRY(read_detector(ctx, &d));
    *rows = 0;
    for (int64_t image = 0; image < d.images; image++) {
        CVI_TRY(detect(ctx, &d, image, &found, &kept));
        for (int64_t i = 0; y != NULL && i < kept.n && *rows + i < y->dim[2]; i++) {
            const candidate *c = &kept.of[i];
            const double row[7] = {(double)image, (double)c->label, c->score,    c->corner[0],
                                   c->corner[1],  c->corner[2],     c->corner[3]};
            for (int k = 0; k < 7; k++) {
                cvi_put(y, (*rows + i) * 7 + k, row[k]);
            }
        }
        *rows += kept.n;
    }
    for (int64_t i = 0; y != NULL && *rows == 0 && i < 7 * d.images; i++) { /* nothing anywhere */
        cvi_put(y, i, i % 7 == 0 ? (double)(i / 7) : -1);
    }
    *rows = *rows == 0 ? d.images : *rows;
    return CVS_OK;
}

static cvs_status infer_detection(cvi_opctx *ctx) {
    int64_t dim[4] = {1, 1, 0, 7};
    CVI_TRY(detect_all(ctx, NULL, &dim[2]));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, 4, dim);
}

static cvs_status forward_detection(cvi_opctx *ctx) {
    int64_t rows;
    return detect_all(ctx, &ctx->out[0], &rows);
}

/* ---- descriptors --------------------------------------------------------------------------------------- */
static const cvi_op_io prior_in[] = {{"feature_map", CVI_DATA, false, false},
                                     {"picture", CVI_DATA, true, false}};
static const cvi_op_io prior_out[] = {{"boxes", CVI_DATA, false, false}};
static const cvi_op_attr prior_attrs[] = {
    {"min_size", CVI_ATTR_FLOATS, NULL, "> 0", "sides of square boxes, in pixels of the picture",
     "正方形框的边长，以图片像素计"},
    {"max_size", CVI_ATTR_FLOATS, "", "> 0",
     "one for each min_size: a second square whose side is the geometric mean of both",
     "与 min_size 一一对应：再加一个正方形，边长为两者的几何平均"},
    {"aspect_ratio", CVI_ATTR_FLOATS, "", "> 0", "further boxes of the same area: width over height",
     "面积相同的其他框：宽与高之比"},
    {"variance", CVI_ATTR_FLOATS, "", "one or four", "factors on the moves that are learned; 0.1 when absent",
     "所学偏移的系数；缺省为 0.1"},
    {"image", CVI_ATTR_INTS, "", ">= 0", "rows and columns of the picture; absent or 0: those of the picture",
     "图片的行数和列数；缺省或 0 表示取自第二个输入"},
    {"step", CVI_ATTR_FLOATS, "", ">= 0", "pixels between places, down and across; absent or 0: evenly",
     "相邻位置的像素间隔（纵向、横向）；缺省或 0 表示均匀分布"},
    {"offset", CVI_ATTR_FLOAT, "0.5", "any", "where in its cell a place lies", "中心点在格子中的位置"},
    {"clip", CVI_ATTR_INT, "0", "0|1", "1: boxes end where the picture ends", "1：框不超出图片边界"},
};

const cvi_op cvi_op_prior_box = {
    .name = "convscope::PriorBox",
    .word_en = "boxes",
    .word_zh = "先验框",
    .since = 1,
    .inputs = prior_in,
    .n_inputs = 2,
    .outputs = prior_out,
    .n_outputs = 1,
    .attrs = prior_attrs,
    .n_attrs = CVI_COUNT(prior_attrs),
    .flags = CVI_OP_OF_SHAPE,
    .glyph = CVI_GLYPH_SHAPE,
    .infer = infer_prior_box,
    .forward = forward_prior_box,
    .field = cvi_field_none,
    .text =
        {"Prior boxes", "先验框",
         "Lays boxes of fixed sizes around every place of a feature map; the detector moves and scores them.",
         "在特征图的每个位置周围放置固定尺寸的框；检测器再移动它们并打分。",
         "y[0] = (cx ∓ w/2)/W, (cy ∓ h/2)/H for every place and size; y[1] = variances",
         "Corners of boxes as parts of the picture's sides; they do not depend on what it shows.",
         "框的角点坐标，以图片边长的比例表示；与图片内容无关。"},
};

static const cvi_op_io detection_in[] = {{"moves", CVI_SHAPE, false, false},
                                         {"scores", CVI_SHAPE, false, false},
                                         {"boxes", CVI_SHAPE, false, false}};
static const cvi_op_io detection_out[] = {{"detections", CVI_DATA, false, false}};
static const cvi_op_attr detection_attrs[] = {
    {"background_label_id", CVI_ATTR_INT, "0", ">= -1", "the class that is no object; -1: there is none",
     "背景类的编号；-1 表示没有"},
    {"code_type", CVI_ATTR_STRING, "center_size", "center_size|corner|corner_size",
     "what the moves say: middle and log of the size, corners, or corners in units of the size",
     "偏移的含义：中心与尺寸的对数、角点，或以尺寸为单位的角点"},
    {"variance_encoded_in_target", CVI_ATTR_INT, "0", "0|1", "1: the variances are in the moves already",
     "1：偏移中已含方差"},
    {"confidence_threshold", CVI_ATTR_FLOAT, "", "any", "only boxes with a higher score; absent: all",
     "只取得分更高的框；缺省为全部"},
    {"top_k", CVI_ATTR_INT, "-1", ">= -1", "boxes of a class that are looked at, the best; -1: all",
     "每一类最多考察的框数（得分最高者）；-1 表示全部"},
    {"nms_threshold", CVI_ATTR_FLOAT, "0.3", ">= 0", "a box that overlaps a better one by more is dropped",
     "与更好的框重叠超过此值的框被去掉"},
    {"eta", CVI_ATTR_FLOAT, "1", "0 to 1", "a limit above 0.5 shrinks by this with every box that is kept",
     "每保留一个框，大于 0.5 的阈值乘以此数"},
    {"keep_top_k", CVI_ATTR_INT, "-1", ">= -1", "boxes that are kept of a picture, the best; -1: all",
     "每张图片最多保留的框数（得分最高者）；-1 表示全部"},
    {"clip", CVI_ATTR_INT, "0", "0|1", "1: boxes end where the picture ends", "1：框不超出图片边界"},
    {"group_by_classes", CVI_ATTR_INT, "1", "0|1", "1: rows class by class; 0: the best first",
     "1：按类别排列；0：按得分从高到低排列"},
};

const cvi_op cvi_op_detection_output = {
    .name = "convscope::DetectionOutput",
    .word_en = "detections",
    .word_zh = "检测结果",
    .since = 1,
    .inputs = detection_in,
    .n_inputs = 3,
    .outputs = detection_out,
    .n_outputs = 1,
    .attrs = detection_attrs,
    .n_attrs = CVI_COUNT(detection_attrs),
    .glyph = CVI_GLYPH_MATH,
    .infer = infer_detection,
    .forward = forward_detection,
    .field = cvi_field_all,
    .text = {"Detections", "检测结果",
             "Moves the prior boxes as learned, keeps the best-scored of each class and drops those that "
             "overlap a "
             "better one too much.",
             "按所学的偏移移动先验框，保留每一类中得分最高的框，去掉与更好的框重叠过多的框。",
             "rows [picture, class, score, left, top, right, bottom]",
             "One row an object; corners are parts of the picture's sides. A row of −1: nothing was found.",
             "每行一个物体；角点以图片边长的比例表示。一行 −1 表示什么也没找到。"},
};
