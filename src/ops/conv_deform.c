/* SPDX-License-Identifier: MIT
 * conv_deform.c - DeformConv: a convolution whose every tap is read a learned step aside (offsets), and turned down (mask).
 * x [N,C,H,W], w [K,C/g,R,S], offset [N,2·og·R·S,OH,OW] (rows, then columns), mask [N,og·R·S,OH,OW]. Zhu et al. 2019.
 */
#include <math.h>

#include "ops/walk.h"
#include "ops/window.h"

typedef struct deform {
    cvi_window w;
    int64_t filters, groups, offset_groups, taps, places, plane;
} deform;

static cvs_status read_deform(cvi_opctx *ctx, deform *d) {
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1];
    int64_t kernel[3];
    CVI_TRY(cvi_window_kernel(ctx, x, w, kernel));
    CVI_TRY(cvi_window_read(ctx, x, kernel, false, &d->w));
    d->filters = w->dim[0];
    d->groups = cvi_op_int(ctx, "group");
    d->offset_groups = cvi_op_int(ctx, "offset_group");
    d->taps = cvi_window_kernel_size(&d->w);
    d->places = cvi_window_out(&d->w);
    d->plane = cvi_window_in(&d->w);
    return CVS_OK;
}

/* Input k must be [N, wanted, OH, OW]. */
static cvs_status check_maps(const cvi_opctx *ctx, const deform *d, int k, int64_t wanted) {
    const cvs_tensor *t = cvi_in(ctx, k);
    if (t == NULL || (t->rank == 4 && t->dim[0] == ctx->in[0]->dim[0] && t->dim[1] == wanted &&
                      t->dim[2] == d->w.out[1] && t->dim[3] == d->w.out[2])) {
        return CVS_OK;
    }
    char shape[128];
    return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has shape %s, but %lld x %lld x %lld x %lld is needed",
                    k, cvs_shape_text(t->rank, t->dim, shape, sizeof shape), (long long)ctx->in[0]->dim[0],
                    (long long)wanted, (long long)d->w.out[1], (long long)d->w.out[2]);
}

static cvs_status infer_deform(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1];
    deform d;
    CVI_TRY(cvi_want_float(ctx, 0));
    CVI_TRY(cvi_want_alike(ctx, 1, 4));
    CVI_TRY(cvi_rank_is(ctx, 0, 4));
    CVI_TRY(read_deform(ctx, &d));
    bool fits = d.groups > 0 && d.offset_groups > 0 && x->dim[1] % d.groups == 0 &&
                d.filters % d.groups == 0 && x->dim[1] % d.offset_groups == 0 &&
                w->dim[1] == x->dim[1] / d.groups;
    if (!fits) {
        return cvi_fail(
            ctx->err, CVS_E_SHAPE,
            "%lld channels, %lld filters of %lld channels, %lld groups and %lld offset groups do not fit",
            (long long)x->dim[1], (long long)d.filters, (long long)w->dim[1], (long long)d.groups,
            (long long)d.offset_groups);
    }
    int64_t taps;
    if (!cvi_mul(d.offset_groups, d.taps, &taps) || taps > INT64_MAX / 2) {
        return cvi_fail(ctx->err, CVS_E_LIMIT, "the inputs are too large to be joined");
    }
    CVI_TRY(check_maps(ctx, &d, 2, 2 * taps));
    CVI_TRY(cvi_want_vector(ctx, 3, d.filters));
    CVI_TRY(check_maps(ctx, &d, 4, taps));
    int64_t dim[4] = {x->dim[0], d.filters, d.w.out[1], d.w.out[2]};
    return cvi_out_shape(ctx, 0, x->dtype, 4, dim);
}

/* One tap: four pixels (-1 = outside), their weights, and how these change with the row and the column. */
typedef struct tap {
    int64_t at[4];
    double weight[4], by_row[4], by_column[4];
    int64_t offset,
        mask; /* elements of the offset (its row; the column is `places` further) and of the mask */
    double masked;
} tap;

static void read_tap(const cvi_opctx *ctx, const deform *d, int64_t n, int64_t og, int64_t k, int64_t p,
                     tap *t) {
    const cvs_tensor *mask = cvi_in(ctx, 4);
    int64_t i = p / d->w.out[2], j = p % d->w.out[2], r = k / d->w.kernel[2], s = k % d->w.kernel[2];
    t->mask = ((n * d->offset_groups + og) * d->taps + k) * d->places + p;
    t->offset = ((n * d->offset_groups + og) * d->taps + k) * 2 * d->places + p;
    t->masked = mask != NULL ? cvi_get(mask, t->mask) : 1;
    double y =
        (double)(i * d->w.stride[1] - d->w.begin[1] + r * d->w.dilation[1]) + cvi_get(ctx->in[2], t->offset);
    double x = (double)(j * d->w.stride[2] - d->w.begin[2] + s * d->w.dilation[2]) +
               cvi_get(ctx->in[2], t->offset + d->places);
    bool inside = y > -1 && y < (double)d->w.in[1] && x > -1 && x < (double)d->w.in[2];
    int64_t y0 = inside ? (int64_t)floor(y) : 0, x0 = inside ? (int64_t)floor(x) : 0;
    double dy = inside ? y - (double)y0 : 0, dx = inside ? x - (double)x0 : 0;
    for (int c = 0; c < 4; c++) {
        int64_t row = y0 + c / 2, column = x0 + c % 2;
        bool there = inside && row >= 0 && row < d->w.in[1] && column >= 0 && column < d->w.in[2];
        double wy = c / 2 ? dy : 1 - dy, wx = c % 2 ? dx : 1 - dx;
        t->at[c] = there ? row * d->w.in[2] + column : -1;
        t->weight[c] = there ? wy * wx : 0;
        t->by_row[c] = there ? (c / 2 ? wx : -wx) : 0;
        t->by_column[c] = there ? (c % 2 ? wy : -wy) : 0;
    }
}

static double weighted(const cvs_tensor *x, int64_t map, const tap *t, const double *weight) {
    double sum = 0;
    for (int c = 0; c < 4; c++) {
        sum += t->at[c] < 0 ? 0 : weight[c] * cvi_get(x, map + t->at[c]);
    }
    return sum;
}

/* Kernel element of filter f (of its group), channel c, tap k. */
static int64_t kernel_at(const cvi_opctx *ctx, const deform *d, int64_t f, int64_t c, int64_t k) {
    int64_t each = ctx->in[0]->dim[1] / d->groups;
    return (f * each + c % each) * d->taps + k;
}

/* ---- forward ----------------------------------------------------------------------------------------- */
static cvs_status forward_deform(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1], *bias = cvi_in(ctx, 3);
    cvs_tensor *y = &ctx->out[0];
    deform d;
    double *sum;
    CVI_TRY(read_deform(ctx, &d));
    CVI_TRY(cvi_sum_new(ctx, y, &sum));
    int64_t channels = x->dim[1], per_offset = channels / d.offset_groups, per_group = d.filters / d.groups;
    for (int64_t e = 0; e < x->dim[0] * d.offset_groups * d.taps * d.places; e++) {
        int64_t p = e % d.places, k = e / d.places % d.taps, og = e / (d.places * d.taps) % d.offset_groups;
        int64_t n = e / (d.places * d.taps * d.offset_groups);
        tap t;
        read_tap(ctx, &d, n, og, k, p, &t);
        for (int64_t c = og * per_offset; c < (og + 1) * per_offset; c++) {
            double v = t.masked * weighted(x, (n * channels + c) * d.plane, &t, t.weight);
            int64_t first = c / (channels / d.groups) * per_group;
            for (int64_t f = first; f < first + per_group; f++) {
                sum[(n * d.filters + f) * d.places + p] += v * cvi_get(w, kernel_at(ctx, &d, f, c, k));
            }
        }
    }
    int64_t count = cvs_tensor_count(y);
    for (int64_t i = 0; i < count; i++) {
        cvi_put(y, i, sum[i] + (bias != NULL ? cvi_get(bias, i / d.places % d.filters) : 0));
    }
    return CVS_OK;
}

/* ---- backward ---------------------------------------------------------------------------------------- */
static void add_to(cvs_tensor *t, int64_t i, double v) {
    cvi_put(t, i, cvi_get(t, i) + v);
}

/* All gradients that one tap of one channel carries; up = Σ over filters of w · g. */
static void tap_back(const cvi_opctx *ctx, const deform *d, const tap *t, int64_t map, double up,
                     cvs_tensor *const *grad) {
    const cvs_tensor *x = ctx->in[0];
    for (int c = 0; c < 4 && grad[0] != NULL; c++) {
        if (t->at[c] >= 0) {
            add_to(grad[0], map + t->at[c], up * t->masked * t->weight[c]);
        }
    }
    if (grad[2] != NULL) {
        add_to(grad[2], t->offset, up * t->masked * weighted(x, map, t, t->by_row));
        add_to(grad[2], t->offset + d->places, up * t->masked * weighted(x, map, t, t->by_column));
    }
    if (ctx->n_in > 4 && grad[4] != NULL) {
        add_to(grad[4], t->mask, up * weighted(x, map, t, t->weight));
    }
}

static cvs_status backward_deform(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1], *g = grad_out[0];
    deform d;
    if (g == NULL) {
        return CVS_OK;
    }
    CVI_TRY(read_deform(ctx, &d));
    int64_t channels = x->dim[1], per_offset = channels / d.offset_groups, per_group = d.filters / d.groups;
    for (int64_t e = 0; e < x->dim[0] * d.offset_groups * d.taps * d.places; e++) {
        int64_t p = e % d.places, k = e / d.places % d.taps, og = e / (d.places * d.taps) % d.offset_groups;
        int64_t n = e / (d.places * d.taps * d.offset_groups);
        tap t;
        read_tap(ctx, &d, n, og, k, p, &t);
        for (int64_t c = og * per_offset; c < (og + 1) * per_offset; c++) {
            int64_t map = (n * channels + c) * d.plane, first = c / (channels / d.groups) * per_group;
            double v = t.masked * weighted(x, map, &t, t.weight), up = 0;
            for (int64_t f = first; f < first + per_group; f++) {
                double gf = cvi_get(g, (n * d.filters + f) * d.places + p);
                up += gf * cvi_get(w, kernel_at(ctx, &d, f, c, k));
                if (grad_in[1] != NULL) {
                    add_to(grad_in[1], kernel_at(ctx, &d, f, c, k), gf * v);
                }
            }
            tap_back(ctx, &d, &t, map, up, grad_in);
        }
    }
    int64_t count = cvs_tensor_count(g);
    for (int64_t i = 0; ctx->n_in > 3 && grad_in[3] != NULL && i < count; i++) {
        add_to(grad_in[3], i / d.places % d.filters, cvi_get(g, i));
    }
    return CVS_OK;
}

static void cost_deform(const cvi_opctx *ctx, cvi_cost *cost) {
    const cvs_tensor *w = ctx->in[1];
    if (!cvi_mul(cvs_tensor_count(&ctx->out[0]), cvi_product(w->dim, 1, w->rank), &cost->macs)) {
        cost->macs = INT64_MAX;
    }
}

/* ---- descriptor -------------------------------------------------------------------------------------- */
static const cvi_op_io deform_in[] = {{"X", CVI_DATA, false, false},
                                      {"W", CVI_WEIGHT, false, false},
                                      {"offset", CVI_DATA, false, false},
                                      {"B", CVI_BIAS, true, false},
                                      {"mask", CVI_DATA, true, false}};
static const cvi_op_io deform_out[] = {{"Y", CVI_DATA, false, false}};
static const cvi_op_attr deform_attrs[] = {
    CVI_WINDOW_ATTRS,
    CVI_WINDOW_DILATIONS,
    {"group", CVI_ATTR_INT, "1", ">= 1", "number of groups of channels that do not mix",
     "互不混合的通道组数"},
    {"offset_group", CVI_ATTR_INT, "1", ">= 1", "number of groups of channels that share their offsets",
     "共用偏移量的通道组数"},
};

const cvi_op cvi_op_deform_conv = {
    .name = "DeformConv",
    .word_en = "deformable conv",
    .word_zh = "可变形卷积",
    .since = 19,
    .inputs = deform_in,
    .n_inputs = 5,
    .outputs = deform_out,
    .n_outputs = 1,
    .attrs = deform_attrs,
    .n_attrs = CVI_COUNT(deform_attrs),
    .flags = CVI_OP_CONV,
    .glyph = CVI_GLYPH_CONV,
    .infer = infer_deform,
    .forward = forward_deform,
    .backward = backward_deform,
    .cost = cost_deform,
    .field = cvi_field_all,
    .text = {"Deformable convolution", "可变形卷积",
             "A convolution whose taps move: a learned offset says for every place where each tap reads.",
             "采样点可移动的卷积：学得的偏移量决定每个位置上各采样点读取何处。",
             "y[n,k,p] = b[k] + Σ w[k,c,t] · m[t,p] · x[n,c, p + t + Δ[t,p]]",
             "As a convolution's feature map; its windows bend to the shape of things.",
             "与卷积的特征图相同，但其窗口随物体形状弯曲。"},
};
