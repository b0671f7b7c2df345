/* SPDX-License-Identifier: MIT
 * ncnn_quantized.c - ncnn's layers with weights of 8 bits: the input is rounded by its scale (integer = number * scale), weights are
 * integers divided by their output's scale, so that the sums are those of ncnn's integers, as real numbers.
 */
#include <math.h>

#include "formats/ncnn.h"

/* What `scale` (integer = number * scale) makes of x. */
static int coarse(ncnn *m, int x, double scale, const char *part) {
    int8_t *zero = cvi_build_ok(&m->b) ? cvi_arena_alloc(m->b.model->arena, 1, 1) : NULL;
    cvs_tensor z = {.dtype = CVS_I8, .bytes = 1, .data = zero};
    if (!zero) {
        cvi_build_no_memory(&m->b, 1);
        return -1;
    }
    if (!(fabs(scale) > 1e-30 && fabs(scale) < 1e30)) { /* without weights: drawn, not run */
        return x;
    }
    int in[3] = {
        x,
        cvi_build_const_float(&m->b, cvi_build_name(&m->b, "%s.%s-scale", m->layer->name, part), 1 / scale),
        cvi_build_constant(&m->b, cvi_build_name(&m->b, "%s.%s-zero", m->layer->name, part), &z)};
    return cvi_ncnn_op(m, "convscope::Requantize", part, 3, in);
}

static double first(const cvs_tensor *t) {
    return t->data ? ((const float *)t->data)[0] : 0;
}

/* Integers over their scale; plain numbers are rounded by it first, as ncnn does while it reads them. */
static void divide(ncnn *m, cvs_tensor *w, const cvs_tensor *scales, bool whole) {
    int64_t n = cvs_tensor_count(w), per = n / w->dim[0], many = cvs_tensor_count(scales);
    float *out = cvi_build_ok(&m->b) && w->data ? cvi_arena_alloc(m->b.model->arena, n, sizeof *out) : NULL;
    if (w->data && !out) {
        cvi_build_no_memory(&m->b, w->bytes);
    }
    for (int64_t i = 0; out && scales->data && i < n; i++) {
        int64_t k = i / per * many / w->dim[0]; /* of a group, or of an output */
        double s = ((const float *)scales->data)[k], q = ((const float *)w->data)[i];
        q = whole ? q : CVI_MAX(-127.0, CVI_MIN(127.0, round(q * s)));
        out[i] = s != 0 ? (float)(q / s) : 0;
    }
    w->data = out;
}

ncnn_kernel cvi_ncnn_kernel(ncnn *m, int x, int rank, const int64_t *dim, bool bias, int term) {
    ncnn_kernel k = {.x = x, .bias = -1};
    int64_t one = 1, form = cvi_ncnn_int(m, term, 0);
    bool grouped = strcmp(m->layer->type, "ConvolutionDepthWise") == 0;
    cvs_tensor w = cvi_build_ok(&m->b) ? cvi_ncnn_numbers(m, true, rank, dim) : (cvs_tensor){0};
    bool whole = m->whole;
    if (form) {
        m->whole = false; /* the scales follow */
    }
    k.bias = bias ? cvi_ncnn_take(m, "bias", false, 1, dim) : -1;
    if (form && cvi_build_ok(&m->b)) {
        int64_t many = !grouped ? dim[0] : form % 100 == 2 ? 1 : cvi_ncnn_int(m, 7, 1);
        cvs_tensor scales = cvi_ncnn_numbers(m, false, 1, &many);
        cvs_tensor below = cvi_build_ok(&m->b) ? cvi_ncnn_numbers(m, false, 1, &one) : (cvs_tensor){0};
        if (cvi_build_ok(&m->b)) {
            divide(m, &w, &scales, whole);
            k.x = coarse(m, x, first(&below), "rounded");
        }
    } else {
        m->whole = whole;
    }
    k.weight = cvi_ncnn_constant(m, "weight", &w);
    return k;
}

int cvi_ncnn_requantize(ncnn *m, int value, int term) {
    int64_t one = 1;
    if (cvi_ncnn_int(m, term, 0) <= 100 || !cvi_build_ok(&m->b)) {
        return value;
    }
    cvs_tensor above = cvi_ncnn_numbers(m, false, 1, &one);
    double scale = first(&above);
    return scale != 0 ? coarse(m, value, scale, "coarse") : value;
}
