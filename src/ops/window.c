/* SPDX-License-Identifier: MIT
 * window.c - sizes and paddings of convolutions and pools, by the ONNX rules: explicit pads, SAME_UPPER (odd cell at the end),
 * SAME_LOWER (odd cell first), VALID, ceil_mode. Everything from a file passes through checked arithmetic.
 */
#include "ops/window.h"

static cvs_status bad_count(const cvi_opctx *ctx, const char *name, int have, int want) {
    return cvi_at_attr(
        ctx->err, cvi_fail(ctx->err, CVS_E_SHAPE, "%s has %d numbers, this input needs %d", name, have, want),
        name);
}

/* An attribute of `n` numbers, each >= lowest; absent: all `fill`. Numbers of 32 bits keep the products of two in range. */
static cvs_status read_ints(const cvi_opctx *ctx, const char *name, int n, int64_t lowest, int64_t fill,
                            int64_t *out) {
    int have = cvi_node_ints(ctx->node, name, out, n, fill);
    if (have != 0 && have != n) {
        return bad_count(ctx, name, have, n);
    }
    for (int i = 0; i < n; i++) {
        if (out[i] < lowest) {
            return cvi_at_attr(ctx->err,
                               cvi_fail(ctx->err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld",
                                        name, (long long)out[i], (long long)lowest),
                               name);
        }
        if (out[i] > INT32_MAX) {
            return cvi_at_attr(ctx->err,
                               cvi_fail(ctx->err, CVS_E_LIMIT, "%s holds %lld, the most allowed is %lld",
                                        name, (long long)out[i], (long long)INT32_MAX),
                               name);
        }
    }
    return CVS_OK;
}

cvs_status cvi_window_kernel(cvi_opctx *ctx, const cvs_tensor *in, const cvs_tensor *weights,
                             int64_t *kernel) {
    int axes = in->rank - 2;
    if (axes < 1 || axes > 3) {
        char text[128];
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "the input has shape %s; a batch, channels and 1 to 3 axes of positions are needed",
                        cvs_shape_text(in->rank, in->dim, text, sizeof text));
    }
    if (weights == NULL && cvi_node_attr(ctx->node, "kernel_shape") == NULL) {
        return cvi_at_attr(ctx->err, cvi_fail(ctx->err, CVS_E_FORMAT, "%s is missing", "kernel_shape"),
                           "kernel_shape");
    }
    CVI_TRY(read_ints(ctx, "kernel_shape", axes, 1, 1, kernel));
    if (weights == NULL) {
        return CVS_OK;
    }
    char have[128], from[128];
    if (weights->rank != in->rank) {
        return cvi_fail(ctx->err, CVS_E_SHAPE,
                        "the kernel has shape %s, an input of shape %s needs %d dimensions",
                        cvs_shape_text(weights->rank, weights->dim, have, sizeof have),
                        cvs_shape_text(in->rank, in->dim, from, sizeof from), in->rank);
    }
    bool given = cvi_node_attr(ctx->node, "kernel_shape") != NULL;
    for (int i = 0; i < axes; i++) {
        if (given && kernel[i] != weights->dim[2 + i]) {
            return cvi_at_attr(ctx->err,
                               cvi_fail(ctx->err, CVS_E_SHAPE, "%s says %lld, the kernel has shape %s",
                                        "kernel_shape", (long long)kernel[i],
                                        cvs_shape_text(weights->rank, weights->dim, have, sizeof have)),
                               "kernel_shape");
        }
        kernel[i] = weights->dim[2 + i];
        if (kernel[i] < 1) {
            return cvi_fail(ctx->err, CVS_E_SHAPE, "the kernel has no elements: its shape is %s",
                            cvs_shape_text(weights->rank, weights->dim, have, sizeof have));
        }
    }
    return CVS_OK;
}

typedef enum { PAD_GIVEN, PAD_UPPER, PAD_LOWER, PAD_VALID } pad_kind;

static cvs_status read_auto_pad(const cvi_opctx *ctx, pad_kind *kind) {
    const char *s = cvi_op_string(ctx, "auto_pad");
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        if (strcmp(s, names[i]) == 0) {
            *kind = (pad_kind)i;
            return CVS_OK;
        }
    }
    if (s[0] == '\0') {
        *kind = PAD_GIVEN;
        return CVS_OK;
    }
    return cvi_at_attr(ctx->err,
                       cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "auto_pad is \"%.40s\"; known are %s", s,
                                "NOTSET, SAME_UPPER, SAME_LOWER, VALID"),
                       "auto_pad");
}

static cvs_status too_large(const cvi_opctx *ctx) {
    return cvi_fail(ctx->err, CVS_E_LIMIT, "window sizes and paddings are too large to compute with");
}

/* Extent of a window with its gaps. */
static bool extent(int64_t kernel, int64_t dilation, int64_t *out) {
    int64_t gaps;
    return cvi_mul(kernel - 1, dilation, &gaps) && cvi_add(gaps, 1, out);
}

static cvs_status read_common(cvi_opctx *ctx, const cvs_tensor *in, const int64_t *kernel, cvi_window *w,
                              pad_kind *kind) {
    int n = in->rank - 2, skip = 3 - n;
    int64_t stride[3], dilation[3], pads[6];
    CVI_TRY(read_auto_pad(ctx, kind));
    CVI_TRY(read_ints(ctx, "strides", n, 1, 1, stride));
    CVI_TRY(read_ints(ctx, "dilations", n, 1, 1, dilation));
    CVI_TRY(read_ints(ctx, "pads", 2 * n, 0, 0, pads));
    *w = (cvi_window){.axes = n};
    for (int a = 0; a < 3; a++) {
        bool real = a >= skip;
        w->in[a] = w->out[a] = real ? in->dim[2 + a - skip] : 1;
        w->kernel[a] = real ? kernel[a - skip] : 1;
        w->stride[a] = real ? stride[a - skip] : 1;
        w->dilation[a] = real ? dilation[a - skip] : 1;
        w->begin[a] = real && *kind == PAD_GIVEN ? pads[a - skip] : 0;
        w->end[a] = real && *kind == PAD_GIVEN ? pads[a - skip + n] : 0;
    }
    return CVS_OK;
}

static void split_padding(pad_kind kind, int64_t total, int64_t *begin, int64_t *end) {
    int64_t less = total / 2;
    *begin = kind == PAD_LOWER ? total - less : less;
    *end = total - *begin;
}

cvs_status cvi_window_read(cvi_opctx *ctx, const cvs_tensor *in, const int64_t *kernel, bool ceil,
                           cvi_window *w) {
    pad_kind kind;
    CVI_TRY(read_common(ctx, in, kernel, w, &kind));
    bool up = ceil && cvi_op_int(ctx, "ceil_mode") != 0;
    for (int a = 3 - w->axes; a < 3; a++) {
        int64_t reach, padded, span;
        if (!extent(w->kernel[a], w->dilation[a], &reach)) {
            return too_large(ctx);
        }
        if (kind == PAD_UPPER || kind == PAD_LOWER) {
            w->out[a] = w->in[a] / w->stride[a] + (w->in[a] % w->stride[a] != 0);
            if (!cvi_mul(CVI_MAX(w->out[a] - 1, 0), w->stride[a], &span) || !cvi_add(span, reach, &span)) {
                return too_large(ctx);
            }
            split_padding(kind, CVI_MAX(span - w->in[a], 0), &w->begin[a], &w->end[a]);
            continue;
        }
        if (!cvi_add(w->in[a], w->begin[a], &padded) || !cvi_add(padded, w->end[a], &padded) ||
            !cvi_add(padded, w->stride[a], &span)) {
            return too_large(ctx);
        }
        if (padded < reach) {
            return cvi_fail(
                ctx->err, CVS_E_SHAPE,
                "the window reaches over %lld positions, the padded input has only %lld on axis %d",
                (long long)reach, (long long)padded, 2 + a - (3 - w->axes));
        }
        int64_t rest = padded - reach;
        w->out[a] = rest / w->stride[a] + 1;
        /* Rounded up, the last window must still begin inside the input or the padding before it. */
        if (up && rest % w->stride[a] != 0 && w->out[a] * w->stride[a] < w->in[a] + w->begin[a]) {
            w->out[a]++;
        }
    }
    return CVS_OK;
}

cvs_status cvi_window_read_transposed(cvi_opctx *ctx, const cvs_tensor *in, const int64_t *kernel,
                                      cvi_window *w) {
    pad_kind kind;
    CVI_TRY(read_common(ctx, in, kernel, w, &kind));
    int n = w->axes, skip = 3 - n;
    int64_t extra[3], want[2 * 3] = {0};
    CVI_TRY(read_ints(ctx, "output_padding", n, 0, 0, extra));
    int given = cvi_node_ints(ctx->node, "output_shape", want, 6, 0);
    if (given != 0 && given != n && given != n + 2) {
        return bad_count(ctx, "output_shape", given, n);
    }
    for (int a = skip; a < 3; a++) {
        int64_t reach, full, size;
        int64_t small = in->dim[2 + a - skip];
        w->out[a] = small;
        if (!extent(w->kernel[a], w->dilation[a], &reach) ||
            !cvi_mul(w->stride[a], CVI_MAX(small - 1, 0), &full) || !cvi_add(full, reach, &full) ||
            !cvi_add(full, extra[a - skip], &full) || !cvi_add(w->begin[a], w->end[a], &size)) {
            return too_large(ctx);
        }
        if (given != 0 || kind == PAD_UPPER || kind == PAD_LOWER) {
            if (given != 0) {
                size = want[a - skip + (given - n)];
            } else if (!cvi_mul(small, w->stride[a], &size)) {
                return too_large(ctx);
            }
            /* A wanted size beyond the full one would need negative padding: the rest stays empty at the end. Here the
             * specification puts the larger half first unless SAME_UPPER. */
            split_padding(kind == PAD_UPPER ? PAD_UPPER : PAD_LOWER, CVI_MAX(full - size, 0), &w->begin[a],
                          &w->end[a]);
        } else {
            size = full - size;
        }
        if (size < 1 && small > 0) {
            return cvi_fail(ctx->err, CVS_E_SHAPE,
                            "the output would have %lld positions on axis %d after padding is taken off",
                            (long long)size, 2 + a - skip);
        }
        w->in[a] = small > 0 ? size : 0;
    }
    return CVS_OK;
}

void cvi_window_field(const cvi_window *w, cvi_field_step *step) {
    step->kind = CVI_FIELD_WINDOW;
    for (int i = 0; i < 2; i++) {
        step->kernel[i] = w->kernel[1 + i];
        step->stride[i] = w->stride[1 + i];
        step->dilation[i] = w->dilation[1 + i];
        step->pad_begin[i] = w->begin[1 + i];
    }
    step->deep.kernel = 0;
    if (w->axes == 3) {
        step->deep.kernel = w->kernel[0];
        step->deep.stride = w->stride[0];
        step->deep.dilation = w->dilation[0];
        step->deep.pad_begin = w->begin[0];
    }
}

cvi_pool_shape cvi_window_pool(const cvi_window *w, const cvs_tensor *x) {
    return (cvi_pool_shape){.N = x->dim[0],
                            .C = x->dim[1],
                            .H = w->in[1],
                            .W = w->in[2],
                            .R = w->kernel[1],
                            .S = w->kernel[2],
                            .stride_h = w->stride[1],
                            .stride_w = w->stride[2],
                            .pad_top = w->begin[1],
                            .pad_left = w->begin[2],
                            .pad_bottom = w->end[1],
                            .pad_right = w->end[2],
                            .dilation_h = w->dilation[1],
                            .dilation_w = w->dilation[2],
                            .OH = w->out[1],
                            .OW = w->out[2]};
}

cvi_pool_shape cvi_window_part(const cvi_window *w, const cvi_part *part) {
    cvi_pool_shape s = cvi_window_pool(w, part->in);
    s.H = part->in->dim[2];
    s.W = part->in->dim[3];
    s.OH = part->out->dim[2];
    s.OW = part->out->dim[3];
    s.pad_top = part->begin[0];
    s.pad_left = part->begin[1];
    s.pad_bottom = part->end[0] ? w->end[1] : 0;
    s.pad_right = part->end[1] ? w->end[2] : 0;
    return s;
}
