/* SPDX-License-Identifier: MIT
 * resize_taps.c - sizes and scales of Resize, and the input indices and weights behind every output index (resize_taps.h). All
 * modes are separable, so each axis has its own taps.
 */
#include <math.h>

#include "ops/resize_taps.h"

/* ---- sizes and scales ------------------------------------------------------------------------------------ */
static cvs_status one_of(const cvi_opctx *ctx, const char *attribute, const char *const *known,
                         const char **out) {
    const char *s = cvi_op_string(ctx, attribute);
    for (int i = 0; known[i] != NULL; i++) {
        if (strcmp(known[i], s) == 0) {
            *out = known[i];
            return CVS_OK;
        }
    }
    return cvi_at_attr(
        ctx->err, cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "%s is %.40s, which is not supported", attribute, s),
        attribute);
}

static cvs_status read_modes(const cvi_opctx *ctx, cvi_resize *r, const char **policy) {
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const coordinates[] = {
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",   "align_corners",
        "asymmetric", "tf_crop_and_resize",   "tf_half_pixel_for_nn", NULL};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
    CVI_TRY(one_of(ctx, "mode", modes, &r->mode));
    CVI_TRY(one_of(ctx, "coordinate_transformation_mode", coordinates, &r->coordinates));
    CVI_TRY(one_of(ctx, "nearest_mode", nearest, &r->nearest));
    CVI_TRY(one_of(ctx, "keep_aspect_ratio_policy", policies, policy));
    r->crops = strcmp(r->coordinates, "tf_crop_and_resize") == 0;
    return CVS_OK;
}

/* The axes that scales, sizes and roi speak of: named ones, or all. */
static cvs_status named_axes(const cvi_opctx *ctx, int *axes, int *n) {
    int rank = ctx->in[0]->rank;
    const cvi_attr *attr = cvi_node_attr(ctx->node, "axes");
    bool seen[CVS_MAX_RANK] = {false};
    *n = attr != NULL && attr->n > 0 ? attr->n : rank;
    if (*n > rank) {
        return cvi_at_attr(
            ctx->err, cvi_fail(ctx->err, CVS_E_SHAPE, "%d axes are named, but the input has %d", *n, rank),
            "axes");
    }
    for (int k = 0; k < *n; k++) {
        axes[k] = k;
        if (attr != NULL && attr->n > 0) {
            CVI_TRY(cvi_axis(ctx, attr->ints[k], rank, &axes[k]));
        }
        if (seen[axes[k]]) {
            return cvi_at_attr(ctx->err, cvi_fail(ctx->err, CVS_E_SHAPE, "axis %d is named twice", axes[k]),
                               "axes");
        }
        seen[axes[k]] = true;
    }
    return CVS_OK;
}

/* Input k as given numbers for n axes; an absent or empty one is none at all. */
static bool is_given(const cvi_opctx *ctx, int k) {
    const cvs_tensor *t = cvi_in(ctx, k);
    return t != NULL && cvs_tensor_count(t) != 0;
}

static cvs_status need_count(const cvi_opctx *ctx, int k, int n) {
    int64_t have = cvs_tensor_count(ctx->in[k]);
    if (have != n) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld numbers, but %d are needed", k,
                        (long long)have, n);
    }
    return cvi_need(ctx, k);
}

static cvs_status from_scales(const cvi_opctx *ctx, cvi_resize *r, const int *axes, int n) {
    CVI_TRY(need_count(ctx, 2, n));
    for (int k = 0; k < n; k++) {
        double scale = cvi_get(ctx->in[2], k), side = (double)ctx->in[0]->dim[axes[k]];
        if (!(scale > 0 && scale * side < 1e15)) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "the scale of axis %d is %g", axes[k], scale);
        }
        r->scale[axes[k]] = scale;
        r->size[axes[k]] = (int64_t)floor(scale * side);
    }
    return CVS_OK;
}

/* Sizes are met exactly, or bound one common scale from above or below. */
static cvs_status from_sizes(const cvi_opctx *ctx, cvi_resize *r, const int *axes, int n,
                             const char *policy) {
    double common = 0;
    bool larger = strcmp(policy, "not_smaller") == 0;
    CVI_TRY(need_count(ctx, 3, n));
    for (int k = 0; k < n; k++) {
        int64_t size = cvi_get_int(ctx->in[3], k), side = ctx->in[0]->dim[axes[k]];
        if (size < 0 || (side == 0 && size > 0)) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "axis %d of %lld cannot be resized to %lld", axes[k],
                            (long long)side, (long long)size);
        }
        double scale = side > 0 ? (double)size / (double)side : 1;
        r->scale[axes[k]] = scale;
        r->size[axes[k]] = size;
        common = k == 0 ? scale : larger ? fmax(common, scale) : fmin(common, scale);
    }
    for (int k = 0; k < n && strcmp(policy, "stretch") != 0; k++) {
        r->scale[axes[k]] = common;
        r->size[axes[k]] = (int64_t)floor(common * (double)ctx->in[0]->dim[axes[k]] + 0.5);
    }
    return CVS_OK;
}

cvs_status cvi_resize_plan(const cvi_opctx *ctx, cvi_resize *r) {
    const cvs_tensor *x = ctx->in[0];
    const char *policy;
    int axes[CVS_MAX_RANK], n;
    *r = (cvi_resize){.mode = NULL};
    CVI_TRY(read_modes(ctx, r, &policy));
    CVI_TRY(named_axes(ctx, axes, &n));
    for (int a = 0; a < x->rank; a++) {
        r->scale[a] = r->roi_end[a] = 1;
        r->size[a] = x->dim[a];
    }
    if (is_given(ctx, 2) == is_given(ctx, 3)) {
        return cvi_fail(ctx->err, CVS_E_FORMAT, "exactly one of the inputs scales and sizes must be given");
    }
    if (is_given(ctx, 2)) {
        CVI_TRY(from_scales(ctx, r, axes, n));
    } else {
        CVI_TRY(from_sizes(ctx, r, axes, n, policy));
    }
    if (r->crops) {
        if (!is_given(ctx, 1)) {
            return cvi_fail(ctx->err, CVS_E_FORMAT, "cropping needs the input roi, which is absent");
        }
        CVI_TRY(need_count(ctx, 1, 2 * n));
        for (int k = 0; k < n; k++) {
            r->roi_start[axes[k]] = cvi_get(ctx->in[1], k);
            r->roi_end[axes[k]] = cvi_get(ctx->in[1], n + k);
        }
    }
    return CVS_OK;
}

bool cvi_resize_keeps(const cvi_opctx *ctx, const cvi_resize *r, int axis) {
    bool whole = !r->crops || (r->roi_start[axis] == 0 && r->roi_end[axis] == 1);
    return r->size[axis] == ctx->in[0]->dim[axis] && r->scale[axis] == 1 && whole;
}

/* ---- where an output index lies in the input --------------------------------------------------------------- */
static double place_of(const cvi_resize *r, int a, double x, double side) {
    double length = r->scale[a] * side, scale = r->scale[a];
    const char *mode = r->coordinates;
    if (strcmp(mode, "align_corners") == 0) {
        return length == 1 ? 0 : x * (side - 1) / (length - 1);
    }
    if (strcmp(mode, "asymmetric") == 0) {
        return x / scale;
    }
    if (r->crops) {
        double start = r->roi_start[a] * (side - 1), span = (r->roi_end[a] - r->roi_start[a]) * (side - 1);
        return length == 1 ? start + span / 2 : start + x * span / (length - 1);
    }
    if (strcmp(mode, "tf_half_pixel_for_nn") == 0) {
        return (x + 0.5) / scale;
    }
    if (strcmp(mode, "pytorch_half_pixel") == 0 && length == 1) {
        return 0;
    }
    double place = (x + 0.5) / scale - 0.5;
    if (strcmp(mode, "half_pixel_symmetric") == 0) {
        place += side / 2 * (1 - (double)r->size[a] / length);
    }
    return place;
}

/* ---- weights -------------------------------------------------------------------------------------------- */
/* Keys' cubic kernel with parameter a. */
static double cubic(double x, double a) {
    x = fabs(x);
    if (x < 1) {
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static double triangle(double x) {
    return fmax(1 - fabs(x), 0);
}

/* Which of the two neighbours is nearest: 0 left, 1 right; ratio in (0,1]. */
static int nearest_of(const char *mode, double ratio) {
    if (ratio == 1) {
        return 1;
    }
    if (strcmp(mode, "floor") == 0) {
        return 0;
    }
    if (strcmp(mode, "ceil") == 0) {
        return 1;
    }
    return strcmp(mode, "round_prefer_floor") == 0 ? ratio > 0.5 : ratio >= 0.5;
}

typedef struct kernel_shape {
    int64_t first, n; /* taps at base + first ... base + first + n - 1 */
    double squeeze;   /* < 1 when shrinking with antialias: the kernel gets wider */
    bool is_cubic, exclude;
    double a;
} kernel_shape;

/* Weights of one output index; base is the left neighbour. Returns false where their sum is 0. */
static bool fill_weights(const kernel_shape *k, double ratio, int64_t base, int64_t side, int64_t *index,
                         double *weight) {
    double sum = 0;
    for (int64_t t = 0; t < k->n; t++) {
        int64_t i = base + k->first + t;
        double at = ((double)(k->first + t) - ratio) * k->squeeze;
        weight[t] = k->is_cubic ? cubic(at, k->a) : triangle(at);
        if (k->exclude && (i < 0 || i >= side)) {
            weight[t] = 0;
        }
        index[t] = CVI_MIN(CVI_MAX(i, 0), side - 1);
        sum += weight[t];
    }
    for (int64_t t = 0; t < k->n && sum != 0 && (k->exclude || k->squeeze < 1); t++) {
        weight[t] /= sum;
    }
    return sum != 0;
}

static cvs_status kernel_of(const cvi_opctx *ctx, const cvi_resize *r, int axis, kernel_shape *k) {
    *k = (kernel_shape){.first = 0, .n = 2, .squeeze = 1};
    if (strcmp(r->mode, "nearest") == 0) {
        k->n = 1;
        return CVS_OK;
    }
    k->is_cubic = strcmp(r->mode, "cubic") == 0;
    k->a = cvi_op_float(ctx, "cubic_coeff_a");
    k->exclude = cvi_op_int(ctx, "exclude_outside") != 0;
    double reach = k->is_cubic ? 2 : 1;
    if (cvi_op_int(ctx, "antialias") != 0 && r->scale[axis] < 1) {
        k->squeeze = r->scale[axis];
    }
    if (reach / k->squeeze > 1e6) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "the scale of axis %d is %g, too small to be smoothed", axis,
                        r->scale[axis]);
    }
    k->first = (int64_t)floor(-reach / k->squeeze) + 1;
    k->n = 2 - 2 * k->first;
    return CVS_OK;
}

static cvs_status new_taps(const cvi_opctx *ctx, int64_t n, int64_t size, bool outside, cvi_taps *taps) {
    int64_t count = 0;
    *taps = (cvi_taps){.n = n};
    if (cvi_mul(n, CVI_MAX(size, 1), &count)) {
        taps->index = cvi_arena_alloc(ctx->scratch, count, sizeof(int64_t));
        taps->weight = cvi_arena_alloc(ctx->scratch, count, sizeof(double));
        taps->outside = outside ? cvi_arena_alloc(ctx->scratch, CVI_MAX(size, 1), sizeof(bool)) : NULL;
    }
    if (taps->index == NULL || taps->weight == NULL || (outside && taps->outside == NULL)) {
        return cvi_no_memory(ctx->err, (size_t)count * (sizeof(int64_t) + sizeof(double)));
    }
    return CVS_OK;
}

cvs_status cvi_resize_taps(const cvi_opctx *ctx, const cvi_resize *r, int axis, cvi_taps *taps) {
    int64_t side = ctx->in[0]->dim[axis], size = r->size[axis];
    kernel_shape k;
    CVI_TRY(kernel_of(ctx, r, axis, &k));
    CVI_TRY(new_taps(ctx, k.n, size, r->crops, taps));
    for (int64_t o = 0; o < size; o++) {
        double x = place_of(r, axis, (double)o, (double)side);
        if (r->crops && (x < 0 || x > (double)(side - 1))) {
            taps->outside[o] = true;
        }
        /* Far outside everything is the edge; the clamp also keeps the conversion to integers defined. */
        x = fmin(fmax(x, -4 - (double)k.n), (double)side + 4 + (double)k.n);
        /* An exact hit counts as the right neighbour of the place before it, as the specification's ratio in (0,1]. */
        double left = floor(x) == x ? x - 1 : floor(x), ratio = x - left;
        int64_t *index = taps->index + o * k.n;
        double *weight = taps->weight + o * k.n;
        if (k.n == 1) {
            int64_t i = (int64_t)left + nearest_of(r->nearest, ratio);
            index[0] = CVI_MIN(CVI_MAX(i, 0), side - 1);
            weight[0] = 1;
        } else if (!fill_weights(&k, ratio, (int64_t)left, side, index, weight)) {
            weight[0] = 1; /* nothing inside: the edge */
        }
    }
    return CVS_OK;
}
