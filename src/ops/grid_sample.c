/* SPDX-License-Identifier: MIT
 * grid_sample.c - GridSample: reads an image at places that a grid names, each axis from -1 to 1, by nearest, linear or cubic
 * interpolation in any number of spatial axes. Gradients go to the image and to the grid.
 * x [N,C,D1,...,Dr], grid [N,O1,...,Or,r] (last axis first), y [N,C,O1,...,Or].
 */
#include <math.h>

#include "ops/walk.h"

enum { MOST_AXES = CVS_MAX_RANK - 2, MOST_TAPS = 4 };

typedef enum beyond { BEYOND_ZEROS, BEYOND_BORDER, BEYOND_REFLECTION } beyond;

typedef struct sampler {
    int axes, taps; /* 1, 2 or 4 taps an axis */
    bool corners;
    beyond pad;
    int64_t side[MOST_AXES], stride[MOST_AXES];
    int64_t plane, places, channels; /* elements of an input map, of an output map */
} sampler;

/* The taps of one place: along every axis an offset (-1 = outside, a zero), its weight, and d weight / d grid coordinate. */
typedef struct place {
    int64_t at[MOST_AXES][MOST_TAPS];
    double weight[MOST_AXES][MOST_TAPS], slope[MOST_AXES][MOST_TAPS];
} place;

static bool is_one_of(const char *s, const char *a, const char *b) {
    return strcmp(s, a) == 0 || strcmp(s, b) == 0;
}

static cvs_status unknown(const cvi_opctx *ctx, const char *attribute, const char *s) {
    return cvi_at_attr(
        ctx->err, cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "%s is %.40s, which is not supported", attribute, s),
        attribute);
}

static cvs_status make_sampler(const cvi_opctx *ctx, sampler *s) {
    const cvs_tensor *x = ctx->in[0], *grid = ctx->in[1];
    const char *mode = cvi_op_string(ctx, "mode"), *pad = cvi_op_string(ctx, "padding_mode");
    *s = (sampler){.axes = x->rank - 2, .corners = cvi_op_int(ctx, "align_corners") != 0};
    s->taps = strcmp(mode, "nearest") == 0            ? 1
              : is_one_of(mode, "linear", "bilinear") ? 2
              : is_one_of(mode, "cubic", "bicubic")   ? 4
                                                      : 0;
    if (s->taps == 0) {
        return unknown(ctx, "mode", mode);
    }
    if (strcmp(pad, "zeros") != 0 && !is_one_of(pad, "border", "reflection")) {
        return unknown(ctx, "padding_mode", pad);
    }
    s->pad = strcmp(pad, "zeros") == 0    ? BEYOND_ZEROS
             : strcmp(pad, "border") == 0 ? BEYOND_BORDER
                                          : BEYOND_REFLECTION;
    int64_t stride[CVS_MAX_RANK];
    cvi_strides(x->rank, x->dim, stride);
    for (int a = 0; a < s->axes; a++) {
        s->side[a] = x->dim[2 + a];
        s->stride[a] = stride[2 + a];
    }
    s->channels = x->dim[1];
    s->plane = cvi_product(x->dim, 2, x->rank);
    s->places = cvi_product(grid->dim, 1, grid->rank - 1);
    return CVS_OK;
}

static cvs_status infer_grid_sample(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *grid = ctx->in[1];
    sampler s;
    int64_t dim[CVS_MAX_RANK];
    CVI_TRY(cvi_type_is(ctx, 1, cvi_is_float, "of a floating-point type"));
    CVI_TRY(cvi_rank_from(ctx, 0, 3));
    CVI_TRY(cvi_rank_is(ctx, 1, x->rank));
    if (grid->dim[grid->rank - 1] != x->rank - 2 || grid->dim[0] != x->dim[0]) {
        char a[128], b[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE, "a grid of shape %s does not fit an input of shape %s",
                        cvs_shape_text(grid->rank, grid->dim, a, sizeof a),
                        cvs_shape_text(x->rank, x->dim, b, sizeof b));
    }
    CVI_TRY(make_sampler(ctx, &s));
    if (s.plane == 0 && s.places > 0) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "the input has no positions to read");
    }
    dim[0] = x->dim[0];
    dim[1] = x->dim[1];
    for (int a = 0; a < s.axes; a++) {
        dim[2 + a] = grid->dim[1 + a];
    }
    return cvi_out_shape(ctx, 0, x->dtype, x->rank, dim);
}

/* ---- taps of a place ----------------------------------------------------------------------------------- */
/* v mirrored into [lo, hi]; *turn is multiplied by -1 where it runs backwards. */
static double reflected(double v, double lo, double hi, double *turn) {
    double range = hi - lo;
    if (range <= 0) {
        *turn = 0;
        return lo;
    }
    double t = fmod(v - lo, 2 * range);
    t = t < 0 ? t + 2 * range : t;
    if (t > range) {
        *turn *= -1;
        t = 2 * range - t;
    }
    return lo + t;
}

/* Input index for tap i, or -1 for a zero. */
static int64_t tap_index(const sampler *s, int a, int64_t i) {
    int64_t side = s->side[a];
    if (i >= 0 && i < side) {
        return i;
    }
    if (s->pad == BEYOND_ZEROS) {
        return -1;
    }
    if (s->pad == BEYOND_BORDER) {
        return i < 0 ? 0 : side - 1;
    }
    double turn = 1, lo = s->corners ? 0 : -0.5, hi = (double)side - (s->corners ? 1 : 0.5);
    int64_t k = (int64_t)reflected((double)i, lo, hi, &turn);
    return CVI_MIN(CVI_MAX(k, 0), side - 1);
}

/* Keys' kernel with a = -0.75 at distance d, and its derivative. */
static double cubic(double d) {
    d = fabs(d);
    return d < 1 ? (1.25 * d - 2.25) * d * d + 1 : d < 2 ? ((-0.75 * d + 3.75) * d - 6) * d + 3 : 0;
}

static double cubic_slope(double d) {
    double m = fabs(d), v = m < 1 ? (3.75 * m - 4.5) * m : m < 2 ? (-2.25 * m + 7.5) * m - 6 : 0;
    return d < 0 ? -v : v;
}

static void axis_taps(const sampler *s, int a, double coordinate, place *p) {
    double side = (double)s->side[a], scale = (s->corners ? side - 1 : side) / 2, turn = 1;
    double v = (coordinate + 1) * scale - (s->corners ? 0 : 0.5);
    v = v == v ? fmin(fmax(v, -1e15), 1e15) : -1e15;
    v = s->taps == 1 ? nearbyint(v) : v;
    double lo = s->corners ? 0 : -0.5, hi = side - (s->corners ? 1 : 0.5);
    if (v < lo || v > hi) {
        if (s->pad == BEYOND_BORDER) {
            v = fmin(fmax(v, 0), side - 1);
            turn = 0;
        } else if (s->pad == BEYOND_REFLECTION) {
            v = reflected(v, lo, hi, &turn);
        }
    }
    double left = floor(v), part = v - left;
    for (int t = 0; t < s->taps; t++) {
        int shift = s->taps == 4 ? t - 1 : t;
        int64_t i = tap_index(s, a, (int64_t)left + shift);
        double d = part - shift;
        p->at[a][t] = i < 0 ? -1 : i * s->stride[a];
        p->weight[a][t] = s->taps == 1 ? 1 : s->taps == 2 ? 1 - fabs(d) : cubic(d);
        p->slope[a][t] = turn * scale *
                         (s->taps == 1   ? 0
                          : s->taps == 2 ? (t == 0 ? -1 : 1)
                                         : cubic_slope(d));
    }
}

static void taps_at(const sampler *s, const cvs_tensor *grid, int64_t where, place *p) {
    for (int a = 0; a < s->axes; a++) {
        axis_taps(s, a, cvi_get(grid, where * s->axes + s->axes - 1 - a), p);
    }
}

/* Combination c of taps: its offset (-1: a zero) and weight; with `axis` >= 0 the slope of that axis in place of its weight. */
static int64_t combination(const sampler *s, const place *p, int c, int axis, double *weight) {
    int64_t at = 0;
    *weight = 1;
    for (int a = 0; a < s->axes; a++) {
        int t = c % s->taps;
        c /= s->taps;
        if (p->at[a][t] < 0) {
            return -1;
        }
        at += p->at[a][t];
        *weight *= a == axis ? p->slope[a][t] : p->weight[a][t];
    }
    return at;
}

static int combinations(const sampler *s) {
    int n = 1;
    for (int a = 0; a < s->axes; a++) {
        n *= s->taps;
    }
    return n;
}

/* ---- forward, backward --------------------------------------------------------------------------------- */
typedef struct sample_job {
    const cvi_opctx *ctx;
    sampler s;
} sample_job;

static void sample_places(void *context, int64_t begin, int64_t end) {
    const sample_job *job = context;
    const sampler *s = &job->s;
    const cvs_tensor *x = job->ctx->in[0], *y = &job->ctx->out[0];
    int n = combinations(s);
    for (int64_t where = begin; where < end; where++) {
        place p;
        taps_at(s, job->ctx->in[1], where, &p);
        for (int64_t c = 0; c < s->channels; c++) {
            int64_t map = where / s->places * s->channels + c;
            double sum = 0, w;
            for (int k = 0; k < n; k++) {
                int64_t at = combination(s, &p, k, -1, &w);
                sum += at < 0 ? 0 : w * cvi_get(x, map * s->plane + at);
            }
            cvi_put(y, map * s->places + where % s->places, sum);
        }
    }
}

static cvs_status forward_grid_sample(cvi_opctx *ctx) {
    sample_job job = {.ctx = ctx};
    CVI_TRY(make_sampler(ctx, &job.s));
    cvi_each_rows(ctx, ctx->in[0]->dim[0] * job.s.places, job.s.channels * combinations(&job.s), &job,
                  sample_places);
    return CVS_OK;
}

static cvs_status backward_grid_sample(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                       cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *x = ctx->in[0], *g = grad_out[0];
    sampler s;
    double *sum = NULL;
    if (g == NULL) {
        return CVS_OK;
    }
    CVI_TRY(make_sampler(ctx, &s));
    if (grad_in[0] != NULL) {
        CVI_TRY(cvi_sum_new(ctx, grad_in[0], &sum));
    }
    int n = combinations(&s);
    for (int64_t where = 0; where < x->dim[0] * s.places; where++) {
        place p;
        taps_at(&s, ctx->in[1], where, &p);
        for (int64_t c = 0; c < s.channels; c++) {
            int64_t map = where / s.places * s.channels + c;
            double up = cvi_get(g, map * s.places + where % s.places), w;
            for (int k = 0; k < n; k++) {
                int64_t at = combination(&s, &p, k, -1, &w);
                if (at < 0) {
                    continue;
                }
                if (sum != NULL) {
                    sum[map * s.plane + at] += w * up;
                }
                for (int a = 0; a < s.axes && grad_in[1] != NULL; a++) {
                    combination(&s, &p, k, a, &w);
                    int64_t to = where * s.axes + s.axes - 1 - a;
                    cvi_put(grad_in[1], to,
                            cvi_get(grad_in[1], to) + w * up * cvi_get(x, map * s.plane + at));
                }
            }
        }
    }
    if (sum != NULL) {
        cvi_sum_add(grad_in[0], sum);
    }
    return CVS_OK;
}

static void cost_grid_sample(const cvi_opctx *ctx, cvi_cost *cost) {
    sampler s;
    int64_t macs;
    if (make_sampler(ctx, &s) == CVS_OK && cvi_mul(cvs_tensor_count(&ctx->out[0]), combinations(&s), &macs)) {
        cost->macs = macs;
    }
}

/* ---- descriptor -------------------------------------------------------------------------------------- */
static const cvi_op_io grid_in[] = {{"X", CVI_DATA, false, false}, {"grid", CVI_DATA, false, false}};
static const cvi_op_io grid_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr grid_attrs[] = {
    {"mode", CVI_ATTR_STRING, "linear", "nearest|linear|cubic",
     "how numbers between input positions are found", "输入位置之间的数如何得到：最近邻、线性或三次"},
    {"padding_mode", CVI_ATTR_STRING, "zeros", "zeros|border|reflection", "what lies outside of the input",
     "输入之外的内容：零、边缘值或镜像"},
    {"align_corners", CVI_ATTR_INT, "0", "0|1",
     "1: −1 and 1 are the centres of the corner pixels; 0: their outer edges",
     "1：−1 和 1 指角上像素的中心；0：指其外缘"},
};

const cvi_op cvi_op_grid_sample = {
    .name = "GridSample",
    .since = 20,
    .inputs = grid_in,
    .n_inputs = 2,
    .outputs = grid_out,
    .n_outputs = 1,
    .attrs = grid_attrs,
    .n_attrs = 3,
    .glyph = CVI_GLYPH_UPSAMPLE,
    .infer = infer_grid_sample,
    .forward = forward_grid_sample,
    .backward = backward_grid_sample,
    .cost = cost_grid_sample,
    .field = cvi_field_all,
    .text = {"Grid sampling", "网格采样",
             "Reads the input at places that a grid names, so that it can be warped, turned or cropped.",
             "按网格指定的位置读取输入，从而对其变形、旋转或裁剪。", "y[n,c,i,j] = x[n,c, grid[n,i,j]]",
             "The input seen through a bent window; compare it with the input to see the movement.",
             "透过变形的窗口所见的输入；与输入对照可看出移动。"},
};
