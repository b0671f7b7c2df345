/* SPDX-License-Identifier: MIT
 * resize.c - Resize: nearest, linear and cubic, any rank, every coordinate mode, roi, antialias. One pass for every axis that changes;
 * the taps of an axis (resize_taps.h) serve forward, backward (the adjoint) and the channels-last fast form alike.
 */
#include "ops/resize_taps.h"

static cvs_status infer_resize(cvi_opctx *ctx) {
    cvi_resize r;
    CVI_TRY(cvi_resize_plan(ctx, &r));
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, r.size);
}

/* ---- one pass: x [outer, side, inner] -> y [outer, size, inner] -------------------------------------------- */
typedef struct pass {
    const cvi_taps *taps;
    cvs_dtype dtype; /* of both: float32 or float64 */
    const void *x;
    void *y;
    int64_t side, size, inner;
    double fill;
} pass;

static void row_f32(const pass *p, int64_t row) {
    int64_t o = row % p->size;
    float *y = (float *)p->y + row * p->inner;
    const float *x = (const float *)p->x + row / p->size * p->side * p->inner;
    const int64_t *index = p->taps->index + o * p->taps->n;
    const double *weight = p->taps->weight + o * p->taps->n;
    if (p->inner == 1) {
        double sum = 0;
        for (int64_t t = 0; t < p->taps->n; t++) {
            sum += weight[t] * (double)x[index[t]];
        }
        y[0] = (float)sum;
        return;
    }
    for (int64_t i = 0; i < p->inner; i++) {
        y[i] = x[index[0] * p->inner + i] * (float)weight[0];
    }
    for (int64_t t = 1; t < p->taps->n; t++) {
        const float *from = x + index[t] * p->inner, w = (float)weight[t];
        for (int64_t i = 0; i < p->inner; i++) {
            y[i] += from[i] * w;
        }
    }
}

static void row_f64(const pass *p, int64_t row) {
    int64_t o = row % p->size;
    double *y = (double *)p->y + row * p->inner;
    const double *x = (const double *)p->x + row / p->size * p->side * p->inner;
    for (int64_t i = 0; i < p->inner; i++) {
        double sum = 0;
        for (int64_t t = 0; t < p->taps->n; t++) {
            sum += p->taps->weight[o * p->taps->n + t] * x[p->taps->index[o * p->taps->n + t] * p->inner + i];
        }
        y[i] = sum;
    }
}

static void pass_rows(void *context, int64_t begin, int64_t end) {
    const pass *p = context;
    for (int64_t row = begin; row < end; row++) {
        if (p->taps->outside != NULL && p->taps->outside[row % p->size]) {
            for (int64_t i = 0; i < p->inner; i++) {
                if (p->dtype == CVS_F32) {
                    ((float *)p->y)[row * p->inner + i] = (float)p->fill;
                } else {
                    ((double *)p->y)[row * p->inner + i] = p->fill;
                }
            }
        } else if (p->dtype == CVS_F32) {
            row_f32(p, row);
        } else {
            row_f64(p, row);
        }
    }
}

/* The adjoint of a pass: gx [outer, side, inner] += taps' of gy [outer, size, inner], in double. */
static void pass_back(const pass *p, int64_t outer, const double *gy, double *gx) {
    for (int64_t row = 0; row < outer * p->size; row++) {
        int64_t o = row % p->size;
        double *to = gx + row / p->size * p->side * p->inner;
        if (p->taps->outside != NULL && p->taps->outside[o]) {
            continue;
        }
        for (int64_t t = 0; t < p->taps->n; t++) {
            double w = p->taps->weight[o * p->taps->n + t];
            int64_t at = p->taps->index[o * p->taps->n + t] * p->inner;
            for (int64_t i = 0; i < p->inner; i++) {
                to[at + i] += w * gy[row * p->inner + i];
            }
        }
    }
}

/* ---- forward ----------------------------------------------------------------------------------------- */
/* Nearest moves elements of any type by tables. */
static cvs_status forward_nearest(cvi_opctx *ctx, const cvi_resize *r) {
    const cvs_tensor *x = ctx->in[0];
    cvi_map m;
    int64_t stride[CVS_MAX_RANK];
    uint64_t element[1] = {0};
    cvs_tensor fill = {.dtype = x->dtype, .data = element};
    cvi_put(&fill, 0, cvi_op_float(ctx, "extrapolation_value"));
    CVI_TRY(cvi_map_new(ctx, &m, x->rank, ctx->out[0].dim));
    cvi_strides(x->rank, x->dim, stride);
    for (int a = 0; a < x->rank; a++) {
        cvi_taps taps;
        CVI_TRY(cvi_resize_taps(ctx, r, a, &taps));
        for (int64_t o = 0; o < m.dim[a]; o++) {
            bool outside = taps.outside != NULL && taps.outside[o];
            m.at[a][o] = outside ? -1 : taps.index[o] * stride[a];
        }
    }
    cvi_map_move(ctx, &m, x->data, cvs_dtype_size(x->dtype), element, ctx->out[0].data);
    return CVS_OK;
}

/* One axis after another, from `x` of shape dim[] (changed as it goes) into `y`, through buffers in scratch. */
static cvs_status all_passes(cvi_opctx *ctx, const cvi_resize *r, cvs_dtype dtype, const void *x, int rank,
                             int64_t *dim, const int *axis_of, void *y) {
    const void *from = x;
    int last = -1;
    for (int a = 0; a < rank; a++) {
        last = axis_of[a] >= 0 && !cvi_resize_keeps(ctx, r, axis_of[a]) ? a : last;
    }
    size_t size = cvs_dtype_size(dtype);
    if (last < 0) {
        memcpy(y, x, (size_t)cvi_product(dim, 0, rank) * size);
    }
    for (int a = 0; a <= last; a++) {
        if (axis_of[a] < 0 || cvi_resize_keeps(ctx, r, axis_of[a])) {
            continue;
        }
        cvi_taps taps;
        CVI_TRY(cvi_resize_taps(ctx, r, axis_of[a], &taps));
        pass p = {
            .taps = &taps, .dtype = dtype, .x = from, .y = y, .side = dim[a], .size = r->size[axis_of[a]]};
        p.inner = cvi_product(dim, a + 1, rank);
        p.fill = cvi_op_float(ctx, "extrapolation_value");
        dim[a] = p.size;
        int64_t rows = cvi_product(dim, 0, a + 1);
        if (a != last) {
            p.y = cvi_arena_alloc(ctx->scratch, CVI_MAX(rows * p.inner, 1), size);
            if (p.y == NULL) {
                return cvi_no_memory(ctx->err, (size_t)(rows * p.inner) * size);
            }
        }
        cvi_each_rows(ctx, rows, p.inner * taps.n, &p, pass_rows);
        from = p.y;
    }
    return CVS_OK;
}

static cvs_status forward_resize(cvi_opctx *ctx) {
    static const int axis_of[CVS_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    const cvs_tensor *x = ctx->in[0];
    cvs_tensor *y = &ctx->out[0];
    cvi_resize r;
    int64_t dim[CVS_MAX_RANK], n = cvs_tensor_count(y);
    if (n == 0) {
        return CVS_OK;
    }
    CVI_TRY(cvi_resize_plan(ctx, &r));
    if (strcmp(r.mode, "nearest") == 0) {
        return forward_nearest(ctx, &r);
    }
    memcpy(dim, x->dim, sizeof dim);
    if (x->dtype == CVS_F32 || x->dtype == CVS_F64) {
        return all_passes(ctx, &r, x->dtype, x->data, x->rank, dim, axis_of, y->data);
    }
    /* Other types are interpolated in double and cut to whole numbers where they must be. */
    int64_t n_in = cvs_tensor_count(x);
    double *wide = cvi_arena_alloc(ctx->scratch, n_in, sizeof(double));
    double *result = cvi_arena_alloc(ctx->scratch, n, sizeof(double));
    if (wide == NULL || result == NULL) {
        return cvi_no_memory(ctx->err, (size_t)(n_in + n) * sizeof(double));
    }
    for (int64_t i = 0; i < n_in; i++) {
        wide[i] = cvi_get(x, i);
    }
    CVI_TRY(all_passes(ctx, &r, CVS_F64, wide, x->rank, dim, axis_of, result));
    for (int64_t i = 0; i < n; i++) {
        cvi_put(y, i, result[i]);
    }
    return CVS_OK;
}

/* ---- fast: rows and columns of a channels-last tensor ----------------------------------------------------- */
static bool can_fast_resize(const cvi_opctx *ctx) {
    cvi_resize r;
    const cvs_tensor *x = ctx->in[0];
    if (x->rank != 4 || x->dtype != CVS_F32 || cvs_tensor_count(x) == 0 ||
        cvs_tensor_count(&ctx->out[0]) == 0) {
        return false;
    }
    cvi_opctx quiet = *ctx;
    quiet.err = NULL;
    return cvi_resize_plan(&quiet, &r) == CVS_OK && !r.crops && cvi_resize_keeps(&quiet, &r, 0) &&
           cvi_resize_keeps(&quiet, &r, 1);
}

static cvs_status fast_resize(cvi_opctx *ctx) {
    static const int axis_of[4] = {-1, 2, 3, -1}; /* memory is [N,H,W,C8] */
    const cvs_tensor *x = ctx->in[0];
    int64_t dim[4] = {x->dim[0], x->dim[2], x->dim[3], (x->dim[1] + 7) / 8 * 8};
    cvi_resize r;
    CVI_TRY(cvi_resize_plan(ctx, &r));
    return all_passes(ctx, &r, CVS_F32, x->data, 4, dim, axis_of, ctx->out[0].data);
}

/* ---- backward ---------------------------------------------------------------------------------------- */
static cvs_status backward_resize(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *g = grad_out[0], *x = ctx->in[0];
    cvi_resize r;
    int64_t dim[CVS_MAX_RANK];
    double *from, *to;
    if (g == NULL || grad_in[0] == NULL || cvs_tensor_count(g) == 0) {
        return CVS_OK;
    }
    CVI_TRY(cvi_resize_plan(ctx, &r));
    CVI_TRY(cvi_sum_new(ctx, g, &from));
    int64_t n = cvs_tensor_count(g);
    for (int64_t i = 0; i < n; i++) {
        from[i] = cvi_get(g, i);
    }
    memcpy(dim, g->dim, sizeof dim);
    for (int a = x->rank - 1; a >= 0; a--) { /* the passes, backwards */
        if (cvi_resize_keeps(ctx, &r, a)) {
            continue;
        }
        cvi_taps taps;
        CVI_TRY(cvi_resize_taps(ctx, &r, a, &taps));
        pass p = {
            .taps = &taps, .side = x->dim[a], .size = dim[a], .inner = cvi_product(dim, a + 1, x->rank)};
        dim[a] = x->dim[a];
        cvs_tensor shape = {.dtype = CVS_F64, .rank = x->rank};
        memcpy(shape.dim, dim, sizeof dim);
        CVI_TRY(cvi_sum_new(ctx, &shape, &to));
        pass_back(&p, cvi_product(dim, 0, a), from, to);
        from = to;
    }
    cvi_sum_add(grad_in[0], from);
    return CVS_OK;
}

static void cost_resize(const cvi_opctx *ctx, cvi_cost *cost) {
    const char *mode = cvi_op_string(ctx, "mode");
    int64_t n = cvs_tensor_count(&ctx->out[0]), taps = strcmp(mode, "linear") == 0 ? 4 : 8;
    if (strcmp(mode, "nearest") != 0 && cvi_mul(n, taps, &n)) {
        cost->macs = n;
    }
}

static void field_resize(const cvi_opctx *ctx, cvi_field_step *step) {
    const cvs_tensor *x = ctx->in[0], *y = &ctx->out[0];
    const char *mode = cvi_op_string(ctx, "mode");
    step->kind = x->rank >= 3 ? CVI_FIELD_SCALE : CVI_FIELD_NONE;
    for (int k = 0; k < 2; k++) {
        int a = x->rank - 2 + k;
        bool spatial = x->rank >= 4 || (x->rank == 3 && k == 1);
        step->scale[k] = spatial && x->dim[a] > 0 ? (double)y->dim[a] / (double)x->dim[a] : 1;
        step->kernel[k] = step->scale[k] == 1            ? 1
                          : strcmp(mode, "nearest") == 0 ? 1
                          : strcmp(mode, "linear") == 0  ? 2
                                                         : 4;
    }
}

/* ---- descriptor -------------------------------------------------------------------------------------- */
static const cvi_op_io resize_in[] = {{"X", CVI_DATA, false, false},
                                      {"roi", CVI_SHAPE, true, false},
                                      {"scales", CVI_SHAPE, true, false},
                                      {"sizes", CVI_SHAPE, true, false}};
static const cvi_op_io resize_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr resize_attrs[] = {
    {"mode", CVI_ATTR_STRING, "nearest", "nearest|linear|cubic",
     "how numbers between input positions are found", "输入位置之间的数如何得到：最近邻、线性或三次"},
    {"coordinate_transformation_mode", CVI_ATTR_STRING, "half_pixel",
     "half_pixel|half_pixel_symmetric|pytorch_half_pixel|align_corners|asymmetric|tf_crop_and_resize",
     "where an output position lies in the input", "输出位置对应输入中的何处"},
    {"nearest_mode", CVI_ATTR_STRING, "round_prefer_floor", "round_prefer_floor|round_prefer_ceil|floor|ceil",
     "which neighbour counts as the nearest", "最近邻取哪一个邻居"},
    {"cubic_coeff_a", CVI_ATTR_FLOAT, "-0.75", "any", "the cubic kernel's parameter", "三次插值核的参数"},
    {"exclude_outside", CVI_ATTR_INT, "0", "0|1",
     "1: places outside the input get no weight; 0: they show the edge",
     "1：输入之外的位置权重为零；0：以边缘值代替"},
    {"extrapolation_value", CVI_ATTR_FLOAT, "0", "any", "the number outside the cropped region",
     "裁剪区域之外的值"},
    {"antialias", CVI_ATTR_INT, "0", "0|1", "1: average over all that an output pixel covers when shrinking",
     "1：缩小时对每个输出像素覆盖的全部区域求平均"},
    {"axes", CVI_ATTR_INTS, "", "axes of the input",
     "which axes scales, sizes and roi speak of; all when absent",
     "scales、sizes 和 roi 所指的轴；缺省为全部"},
    {"keep_aspect_ratio_policy", CVI_ATTR_STRING, "stretch", "stretch|not_larger|not_smaller",
     "whether sizes are met exactly or bound one common scale", "严格按给定尺寸，还是以其限制统一的缩放比例"},
};

const cvi_op cvi_op_resize = {
    .name = "Resize",
    .word_en = "upsample",
    .word_zh = "上采样",
    .since = 19,
    .inputs = resize_in,
    .n_inputs = 4,
    .outputs = resize_out,
    .n_outputs = 1,
    .attrs = resize_attrs,
    .n_attrs = CVI_COUNT(resize_attrs),
    .glyph = CVI_GLYPH_UPSAMPLE,
    .infer = infer_resize,
    .forward = forward_resize,
    .any_type = true,
    .can_fast = can_fast_resize,
    .fast_layout = CVS_NHWC8,
    .fast = fast_resize,
    .backward = backward_resize,
    .cost = cost_resize,
    .field = field_resize,
    .text = {"Resize", "缩放", "Makes feature maps larger or smaller by reading between their positions.",
             "通过在位置之间取值，把特征图放大或缩小。", "y[i] = Σₜ wₜ(i) · x[iₜ]",
             "The same picture at another size: blocky with nearest, smooth with linear and cubic.",
             "同一幅图换了尺寸：最近邻呈块状，线性和三次插值则平滑。"},
};
