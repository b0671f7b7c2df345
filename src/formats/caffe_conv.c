/* SPDX-License-Identifier: MIT
 * caffe_conv.c - Caffe's layers with windows and kernels: convolutions, pools (their rounding up), paddings, dense layers.
 */
#include <math.h>

#include "formats/caffe.h"

typedef struct window {
    int axes;
    int64_t kernel[3], stride[3], pad[3], dilation[3];
} window;

/* A setting per axis: name_h and name_w, or name once or once per axis; old: the spelling of the first generation. */
static void read_setting(cvi_caffe *c, int axes, const char *name, const char *h, const char *w,
                         const char *old, int64_t otherwise, int64_t lowest, int64_t *out) {
    const caffe_message *m = cvi_caffe_params(c);
    int n = cvi_caffe_count(m, name);
    for (int i = 0; i < axes; i++) {
        out[i] = cvi_caffe_int(c, name, old, n > 1 && i < n ? i : 0, otherwise);
    }
    if (axes == 2 && h && (cvi_caffe_field(m, h, 0) || cvi_caffe_field(m, w, 0))) {
        out[0] = cvi_caffe_int(c, h, NULL, 0, otherwise);
        out[1] = cvi_caffe_int(c, w, NULL, 0, otherwise);
    }
    for (int i = 0; i < axes; i++) {
        if (out[i] < lowest && cvi_build_ok(&c->b)) {
            cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld",
                                          name, (long long)out[i], (long long)lowest));
        }
    }
}

static window read_window(cvi_caffe *c, int axes) {
    window w = {.axes = axes};
    read_setting(c, axes, "kernel_size", "kernel_h", "kernel_w", "kernelsize", 0, 1, w.kernel);
    read_setting(c, axes, "stride", "stride_h", "stride_w", NULL, 1, 1, w.stride);
    read_setting(c, axes, "pad", "pad_h", "pad_w", NULL, 0, 0, w.pad);
    read_setting(c, axes, "dilation", NULL, NULL, NULL, 1, 1, w.dilation);
    return w;
}

static void write_window(cvi_caffe *c, const window *w, bool dilated) {
    int64_t pads[6];
    for (int i = 0; i < w->axes; i++) {
        pads[i] = pads[w->axes + i] = w->pad[i];
    }
    cvi_build_ints(&c->b, "kernel_shape", w->axes, w->kernel);
    cvi_build_ints(&c->b, "strides", w->axes, w->stride);
    cvi_build_ints(&c->b, "pads", 2 * w->axes, pads);
    if (dilated) {
        cvi_build_ints(&c->b, "dilations", w->axes, w->dilation);
    }
}

/* One set of kernels for each bottom, shared, as Caffe has it for several bottoms. */
static void convolve(cvi_caffe *c, bool transposed) {
    int rank = cvi_caffe_rank(c, c->in[0]), axes = rank - 2;
    if (!cvi_build_ok(&c->b)) {
        return;
    }
    if (axes < 1 || axes > 3) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE,
                                      "the layer needs an input of rank %d, it gets rank %d", 4, rank));
        return;
    }
    window w = read_window(c, axes);
    int64_t have = cvi_caffe_dim(c, c->in[0], 1);
    bool depthwise = cvi_caffe_same(c->layer->type, "DepthwiseConvolution") ||
                     cvi_caffe_same(c->layer->type, "ConvolutionDepthwise");
    int64_t out = cvi_caffe_int(c, "num_output", NULL, 0, 0);
    int64_t group = cvi_caffe_int(c, "group", NULL, 0, depthwise && have > 0 ? have : 1);
    bool bias = cvi_caffe_bool(c, "bias_term", "biasterm", true);
    if (cvi_build_ok(&c->b) &&
        (out < 1 || group < 1 || out % group != 0 || (have > 0 && have % group != 0))) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE,
                                      "%lld outputs and %lld inputs cannot be split into %lld groups",
                                      (long long)out, (long long)have, (long long)group));
    }
    if (!cvi_build_ok(&c->b)) {
        return;
    }
    bool stored = cvi_caffe_has_blob(c, 0);
    if (have < 0 && !stored) {
        cvi_caffe_opaque(c, "the size of this layer's input is not known, and no file has its weights");
        return;
    }
    bool open = stored && (c->guessed || have < 0); /* the numbers tell what the shapes do not */
    int64_t dim[5] = {out, open ? -1 : have / group};
    if (transposed) {
        dim[0] = open ? -1 : have;
        dim[1] = out / group;
    }
    for (int i = 0; i < axes; i++) {
        dim[2 + i] = w.kernel[i];
    }
    int weight = cvi_caffe_param(c, "weight", 0, rank, dim, NAN, 1);
    int in[3] = {-1, weight, bias ? cvi_caffe_param(c, "bias", 1, 1, &out, NAN, 1) : -1};
    for (int k = 0; k < c->n_in && cvi_build_ok(&c->b); k++) {
        in[0] = c->in[k];
        int v = cvi_caffe_op(c, transposed ? "ConvTranspose" : "Conv", NULL, bias ? 3 : 2, in);
        write_window(c, &w, true);
        cvi_build_int(&c->b, "group", group);
        cvi_caffe_top(c, k, v);
    }
}

void cvi_caffe_convolution(cvi_caffe *c) {
    convolve(c, false);
}

void cvi_caffe_deconvolution(cvi_caffe *c) {
    convolve(c, true);
}

/* Caffe takes a window larger than the padded input as cut to it; the operator wants it cut. */
static void cut_window(cvi_caffe *c, window *w) {
    const cvs_tensor *s = cvi_caffe_shape(c, c->in[0]);
    for (int i = 0; s && i < w->axes && !c->guessed; i++) {
        int64_t room = s->dim[2 + i] + 2 * w->pad[i];
        if (w->kernel[i] > room && w->kernel[i] - room < w->stride[i]) {
            w->kernel[i] = room;
        }
    }
}

void cvi_caffe_pooling(cvi_caffe *c) {
    const char *how = cvi_caffe_word(c, "pool", "MAX");
    bool max = cvi_caffe_same(how, "MAX") || strcmp(how, "0") == 0;
    bool average = cvi_caffe_same(how, "AVE") || strcmp(how, "1") == 0;
    if (!max && !average) {
        cvi_caffe_opaque(c, "only pooling by maximum and by average is run");
        return;
    }
    bool places = c->layer->n_top > 1; /* of the maxima, for an Upsample further on */
    if (places && (!max || c->layer->n_top > 2 || cvi_caffe_bool(c, "global_pooling", NULL, false))) {
        cvi_caffe_opaque(c, "only the places of maxima in windows are given out");
        return;
    }
    if (cvi_caffe_bool(c, "global_pooling", NULL, false)) {
        cvi_caffe_top(c, 0, cvi_caffe_op(c, max ? "GlobalMaxPool" : "GlobalAveragePool", NULL, 1, c->in));
        return;
    }
    int axes = cvi_caffe_rank(c, c->in[0]) - 2;
    if (axes < 1 || axes > 3) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE,
                                      "the layer needs an input of rank %d, it gets rank %d", 4, axes + 2));
        return;
    }
    window w = read_window(c, axes);
    for (int i = 0; i < axes && cvi_build_ok(&c->b); i++) {
        if (w.pad[i] >= w.kernel[i]) { /* a window could lie in the padding alone */
            cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE,
                                          "the padding of %lld is not smaller than the window of %lld",
                                          (long long)w.pad[i], (long long)w.kernel[i]));
        }
    }
    cut_window(c, &w);
    const char *round = cvi_caffe_word(c, "round_mode", "CEIL");
    int v = -1, second = -1;
    if (places) {
        cvi_build_node(&c->b, "MaxPool", c->layer->name, 1, c->in, 2);
        v = cvi_build_out(&c->b, 0, c->layer->top[0], false);
        second = cvi_build_out(&c->b, 1, c->layer->top[1], true);
    } else {
        v = cvi_caffe_op(c, max ? "MaxPool" : "AveragePool", NULL, 1, c->in);
    }
    write_window(c, &w, false);
    cvi_build_int(&c->b, "ceil_mode",
                  !(cvi_caffe_same(round, "FLOOR") || strcmp(round, "1") == 0) &&
                      cvi_caffe_bool(c, "ceil_mode", NULL, true));
    if (average) {
        cvi_build_int(&c->b, "count_include_pad", 1);
    }
    if (places) {
        cvi_caffe_top(c, 1, second);
    }
    cvi_caffe_top(c, 0, v);
}

/* A layer of padding of the first generation. */
void cvi_caffe_padding(cvi_caffe *c) {
    int64_t pad = cvi_caffe_int(c, "pad", NULL, 0, 0);
    int64_t pads[8] = {0, 0, pad, pad, 0, 0, pad, pad};
    int in[2] = {c->in[0], cvi_caffe_ints(c, "pads", 8, pads)};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Pad", NULL, 2, in));
}

/* Dense over all axes from `axis` on. */
void cvi_caffe_inner_product(cvi_caffe *c) {
    int x = c->in[0], rank = cvi_caffe_rank(c, x);
    int axis = cvi_caffe_axis(c, "axis", NULL, 1, rank);
    int64_t out = cvi_caffe_int(c, "num_output", NULL, 0, 0), in_n = 1;
    bool bias = cvi_caffe_bool(c, "bias_term", "biasterm", true),
         transpose = cvi_caffe_bool(c, "transpose", NULL, false);
    const cvs_tensor *s = cvi_caffe_shape(c, x);
    for (int i = axis; i < rank; i++) {
        if (!s || c->guessed || !cvi_mul(in_n, s->dim[i], &in_n)) {
            in_n = -1;
            break;
        }
    }
    if (cvi_build_ok(&c->b) && out < 1) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld",
                                      "num_output", (long long)out, 1LL));
    }
    if (!cvi_build_ok(&c->b)) {
        return;
    }
    if (in_n < 1 && !cvi_caffe_has_blob(c, 0)) {
        cvi_caffe_opaque(c, "the size of this layer's input is not known, and no file has its weights");
        return;
    }
    int64_t dim[2] = {transpose ? in_n : out, transpose ? out : in_n};
    int weight = cvi_caffe_param(c, "weight", 0, 2, dim, NAN, 1);
    int b = bias ? cvi_caffe_param(c, "bias", 1, 1, &out, NAN, 1) : -1;
    if (axis == 1) {
        if (rank != 2) {
            x = cvi_caffe_op(c, "Flatten", "flatten", 1, &x);
            cvi_build_int(&c->b, "axis", 1);
        }
        int in[3] = {x, weight, b};
        int v = cvi_caffe_op(c, "Gemm", NULL, bias ? 3 : 2, in);
        cvi_build_int(&c->b, "transB", !transpose);
        cvi_caffe_top(c, 0, v);
        return;
    }
    int64_t keep[CVS_MAX_RANK] = {0};
    keep[axis] = -1;
    int flat[2] = {x, cvi_caffe_ints(c, "shape", axis + 1, keep)};
    int in[2] = {cvi_caffe_op(c, "Reshape", "flatten", 2, flat), weight};
    if (!transpose) {
        const int64_t swap[2] = {1, 0};
        in[1] = cvi_caffe_op(c, "Transpose", "transpose", 1, &weight);
        cvi_build_ints(&c->b, "perm", 2, swap);
    }
    int v = cvi_caffe_op(c, "MatMul", bias ? "product" : NULL, 2, in);
    if (bias) {
        int sum[2] = {v, b};
        v = cvi_caffe_op(c, "Add", NULL, 2, sum);
    }
    cvi_caffe_top(c, 0, v);
}
