/* SPDX-License-Identifier: MIT
 * keras_write_conv.c - the layers of Keras that have weights or a window (Conv2D, Conv2DTranspose, Dense, BatchNormalization, PReLU, poolings) for the
 * writer of Keras JSON: paddings that Keras does not say become a ZeroPadding2D before or a Cropping2D behind, weights are turned as
 * Keras keeps them (kernels [R,S,C,K], dense [in,out]).
 */
#include "formats/keras_write.h"

static bool ok(const keras_writing *w) {
    return cvi_build_ok(&w->b);
}

/* ---- windows ------------------------------------------------------------------------------------------- */

typedef struct window {
    int64_t kernel[2], stride[2], dilation[2], pad[4]; /* pad: top, left, bottom, right */
    const char *padding;                               /* "same" or "valid", the latter behind `pad` */
} window;

/* What Keras's "same" pads at the beginning and the end of an axis of n. */
static void same_pads(int64_t n, int64_t k, int64_t s, int64_t d, int64_t *begin, int64_t *end) {
    int64_t total = ((n + s - 1) / s - 1) * s + (k - 1) * d + 1 - n;
    total = CVI_MAX(total, 0);
    *begin = total / 2;
    *end = total - total / 2;
}

static bool read_window(keras_writing *w, const cvi_node *node, const cvs_tensor *kernel, window *o) {
    const cvs_tensor *x = cvi_keras_dims(w, node->in[0]);
    const char *pad = cvi_node_string(node, "auto_pad", "NOTSET");
    if (cvi_keras_dim(x, 3) < 0 || x->rank != 4) {
        cvi_keras_refuse(w, "not of two spatial axes");
        return false;
    }
    int n = cvi_node_ints(node, "kernel_shape", o->kernel, 2, 1);
    for (int i = 0; i < 2 && n == 0 && kernel; i++) {
        o->kernel[i] = kernel->dim[2 + i];
    }
    cvi_node_ints(node, "strides", o->stride, 2, 1);
    cvi_node_ints(node, "dilations", o->dilation, 2, 1);
    cvi_node_ints(node, "pads", o->pad, 4, 0);
    bool same = strcmp(pad, "SAME_UPPER") == 0, given = strcmp(pad, "NOTSET") == 0, fits = w->fixed;
    for (int i = 0; i < 2; i++) {
        int64_t begin, end;
        same_pads(x->dim[2 + i], o->kernel[i], o->stride[i], o->dilation[i], &begin, &end);
        if (strcmp(pad, "SAME_LOWER") == 0) { /* as explicit numbers */
            o->pad[i] = end;
            o->pad[2 + i] = begin;
        }
        fits = (fits || o->stride[i] == 1) && o->pad[i] == begin && o->pad[2 + i] == end;
    }
    if (strcmp(pad, "SAME_LOWER") == 0 && !w->fixed) {
        cvi_keras_refuse(w, "padding that begins with the larger half");
        return false;
    }
    bool none = !o->pad[0] && !o->pad[1] && !o->pad[2] && !o->pad[3];
    same |= (given || strcmp(pad, "SAME_LOWER") == 0) && fits && !none;
    o->padding = same ? "same" : "valid";
    if (same || strcmp(pad, "VALID") == 0) {
        memset(o->pad, 0, sizeof o->pad);
    }
    return ok(w);
}

/* The input with the window's own padding as a layer of zeros, where it has one. */
static const char *padded(keras_writing *w, const char *x, const window *o) {
    char label[160];
    if (!o->pad[0] && !o->pad[1] && !o->pad[2] && !o->pad[3]) {
        return x;
    }
    snprintf(label, sizeof label, "%.100s_pad", w->label);
    return cvi_keras_put_layer(
        w, "ZeroPadding2D", label, 1, &x,
        ", \"padding\": [[%lld, %lld], [%lld, %lld]], \"data_format\": \"channels_last\"",
        (long long)o->pad[0], (long long)o->pad[2], (long long)o->pad[1], (long long)o->pad[3]);
}

static const char *window_text(const window *o, const char *size_key, char *text, size_t size) {
    snprintf(text, size,
             ", \"%s\": [%lld, %lld], \"strides\": [%lld, %lld], \"padding\": \"%s\", \"data_format\": "
             "\"channels_last\"",
             size_key, (long long)o->kernel[0], (long long)o->kernel[1], (long long)o->stride[0],
             (long long)o->stride[1], o->padding);
    return text;
}

static void put_vector(keras_writing *w, const char *layer, const char *name, const cvs_tensor *t) {
    int64_t n = t ? cvs_tensor_count(t) : 0;
    float *out = t ? cvi_keras_put_weight(w, layer, name, 1, &n) : NULL;
    if (out && t->data) {
        memcpy(out, t->data, (size_t)n * sizeof *out);
    }
}

/* A kernel [K,C,R,S] as [R,S,C,K], or [R,S,K,C] where the first axis is to stay before the second. */
static void put_kernel(keras_writing *w, const char *layer, const char *name, const cvs_tensor *t,
                       const int64_t *dim, bool swapped) {
    int64_t K = t->dim[0], C = t->dim[1], RS = t->dim[2] * t->dim[3];
    float *out = cvi_keras_put_weight(w, layer, name, 4, dim);
    const float *from = t->data;
    for (int64_t p = 0; out && from && p < RS; p++) {
        for (int64_t k = 0; k < K; k++) {
            for (int64_t c = 0; c < C; c++) {
                out[p * K * C + (swapped ? k * C + c : c * K + k)] = from[(k * C + c) * RS + p];
            }
        }
    }
}

/* ---- layers with weights -------------------------------------------------------------------------------- */

void cvi_keras_put_conv(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *k = cvi_keras_floats(w, cvi_keras_input(node, 1)),
                     *bias = cvi_keras_floats(w, cvi_keras_input(node, 2));
    int64_t groups = cvi_node_int(node, "group", 1);
    window o;
    char text[300];
    if (!k || k->rank != 4 || (cvi_keras_input(node, 2) >= 0 && !bias)) {
        cvi_keras_refuse(w, "weights that are computed, or not of two spatial axes");
        return;
    }
    if (!read_window(w, node, k, &o)) {
        return;
    }
    const char *x = padded(w, cvi_keras_turned(w, node->in[0]), &o);
    const char *uses_bias = bias ? "true" : "false", *layer;
    window_text(&o, "kernel_size", text, sizeof text);
    if (groups > 1 && k->dim[1] == 1 && (o.stride[0] == o.stride[1])) {
        layer = cvi_keras_put_layer(w, "DepthwiseConv2D", w->label, 1, &x,
                                    "%s, \"depth_multiplier\": %lld, \"dilation_rate\": [%lld, %lld], "
                                    "\"use_bias\": %s, \"activation\": "
                                    "\"linear\"",
                                    text, (long long)(k->dim[0] / groups), (long long)o.dilation[0],
                                    (long long)o.dilation[1], uses_bias);
        put_kernel(w, layer, "depthwise_kernel", k,
                   (const int64_t[]){k->dim[2], k->dim[3], groups, k->dim[0] / groups}, true);
    } else {
        layer =
            cvi_keras_put_layer(w, "Conv2D", w->label, 1, &x,
                                "%s, \"filters\": %lld, \"groups\": %lld, \"dilation_rate\": [%lld, %lld], "
                                "\"use_bias\": %s, \"activation\": \"linear\"",
                                text, (long long)k->dim[0], (long long)groups, (long long)o.dilation[0],
                                (long long)o.dilation[1], uses_bias);
        put_kernel(w, layer, "kernel", k, (const int64_t[]){k->dim[2], k->dim[3], k->dim[1], k->dim[0]},
                   false);
    }
    put_vector(w, layer, "bias", bias);
    cvi_keras_give(w, layer, true, false);
}

void cvi_keras_put_transposed(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *k = cvi_keras_floats(w, cvi_keras_input(node, 1)),
                     *bias = cvi_keras_floats(w, cvi_keras_input(node, 2));
    const cvs_tensor *x = cvi_keras_dims(w, node->in[0]), *y = cvi_keras_dims(w, node->out[0]);
    window o;
    char text[300];
    if (!k || k->rank != 4 || (cvi_keras_input(node, 2) >= 0 && !bias) ||
        cvi_node_int(node, "group", 1) != 1 || !y || y->rank != 4) {
        cvi_keras_refuse(w, "weights that are computed, or groups");
        return;
    }
    if (!read_window(w, node, k, &o)) {
        return;
    }
    int64_t cut[4]; /* of the uncropped result: top, left, bottom, right */
    cvi_node_ints(node, "pads", cut, 4, 0);
    for (int i = 0; i < 2; i++) {
        int64_t whole = (x->dim[2 + i] - 1) * o.stride[i] + o.kernel[i], over = whole - y->dim[2 + i];
        if (strcmp(cvi_node_string(node, "auto_pad", "NOTSET"), "NOTSET") != 0) {
            cut[i] = over / 2;
        }
        cut[2 + i] = over - cut[i];
        if (o.dilation[i] != 1 || o.kernel[i] < o.stride[i] || cut[i] < 0 || cut[2 + i] < 0) {
            cvi_keras_refuse(w, "gaps in the kernel, or output padding");
            return;
        }
    }
    const char *from = cvi_keras_turned(w, node->in[0]);
    bool whole = !cut[0] && !cut[1] && !cut[2] && !cut[3];
    o.padding = "valid";
    snprintf(text, sizeof text, "%.100s%s", w->label, whole ? "" : "_whole");
    char window_of[300];
    const char *layer =
        cvi_keras_put_layer(w, "Conv2DTranspose", text, 1, &from,
                            "%s, \"filters\": %lld, \"use_bias\": %s, \"activation\": \"linear\"",
                            window_text(&o, "kernel_size", window_of, sizeof window_of), (long long)k->dim[1],
                            bias ? "true" : "false");
    put_kernel(w, layer, "kernel", k, (const int64_t[]){k->dim[2], k->dim[3], k->dim[1], k->dim[0]}, false);
    put_vector(w, layer, "bias", bias);
    if (!whole) {
        layer = cvi_keras_put_layer(
            w, "Cropping2D", w->label, 1, &layer,
            ", \"cropping\": [[%lld, %lld], [%lld, %lld]], \"data_format\": \"channels_last\"",
            (long long)cut[0], (long long)cut[2], (long long)cut[1], (long long)cut[3]);
    }
    cvi_keras_give(w, layer, true, false);
}

/* [in,out] from either way round. */
static void put_dense(keras_writing *w, const char *layer, const cvs_tensor *t, bool transposed) {
    int64_t in = t->dim[transposed ? 1 : 0], units = t->dim[transposed ? 0 : 1];
    float *out = cvi_keras_put_weight(w, layer, "kernel", 2, (const int64_t[]){in, units});
    const float *from = t->data;
    for (int64_t i = 0; out && from && i < in; i++) {
        for (int64_t k = 0; k < units; k++) {
            out[i * units + k] = transposed ? from[k * in + i] : from[i * units + k];
        }
    }
}

/* The Add of a vector that alone reads a product, and that vector. */
static const cvi_node *bias_behind(keras_writing *w, int v, int64_t units, const cvs_tensor **bias,
                                   int *index) {
    if (cvi_graph_users(w->g, v, index, 1) != 1) {
        return NULL;
    }
    for (int i = 0; i < w->g->n_outputs; i++) {
        if (w->g->outputs[i] == v) {
            return NULL;
        }
    }
    const cvi_node *add = &w->g->nodes[*index];
    if (strcmp(add->op, "Add") != 0) {
        return NULL;
    }
    *bias = cvi_keras_floats(w, add->in[0] == v ? add->in[1] : add->in[0]);
    return *bias && cvs_tensor_count(*bias) == units && cvi_keras_dim(*bias, (*bias)->rank - 1) == units
               ? add
               : NULL;
}

void cvi_keras_put_dense_layer(keras_writing *w, const cvi_node *node) {
    bool gemm = strcmp(node->op, "Gemm") == 0, transposed = gemm && cvi_node_int(node, "transB", 0) != 0;
    const cvs_tensor *k = cvi_keras_floats(w, cvi_keras_input(node, 1)),
                     *bias = cvi_keras_floats(w, cvi_keras_input(node, 2));
    const cvs_tensor *x = cvi_keras_dims(w, node->in[0]);
    bool plain = !gemm || (cvi_node_float(node, "alpha", 1) == 1 && cvi_node_float(node, "beta", 1) == 1 &&
                           cvi_node_int(node, "transA", 0) == 0);
    if (!k || k->rank != 2 || !x || (gemm && cvi_keras_input(node, 2) >= 0 && !bias) || !plain) {
        cvi_keras_refuse(w, "a product of two activations, or a scaled one");
        return;
    }
    int64_t units = k->dim[transposed ? 0 : 1];
    int index = -1;
    const cvi_node *add = gemm ? NULL : bias_behind(w, node->out[0], units, &bias, &index);
    bias = gemm || add ? bias : NULL;
    if (bias && cvs_tensor_count(bias) != units) {
        cvi_keras_refuse(w, "a bias that is not one number a unit");
        return;
    }
    const char *in = cvi_keras_lying(w, node->in[0]);
    w->now = add ? add : node;
    w->label = w->now->layer ? w->now->layer : w->label;
    const char *layer = cvi_keras_put_layer(w, "Dense", w->label, 1, &in,
                                            ", \"units\": %lld, \"use_bias\": %s, \"activation\": \"linear\"",
                                            (long long)units, bias ? "true" : "false");
    if (layer) {
        put_dense(w, layer, k, transposed);
        put_vector(w, layer, "bias", bias);
    }
    if (add) {
        w->done[index] = true;
    }
    cvi_keras_give(w, layer, false, false);
}

void cvi_keras_put_norm(keras_writing *w, const cvi_node *node) {
    static const char *const names[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    const cvs_tensor *of[4];
    for (int i = 0; i < 4; i++) {
        of[i] = cvi_keras_floats(w, cvi_keras_input(node, i + 1));
        if (!of[i]) {
            cvi_keras_refuse(w, "statistics that are computed");
            return;
        }
    }
    const char *x = cvi_keras_turned(w, node->in[0]);
    const char *layer = cvi_keras_put_layer(
        w, "BatchNormalization", w->label, 1, &x,
        ", \"axis\": -1, \"momentum\": 0.99, \"epsilon\": %.9g, \"center\": true, \"scale\": true",
        cvi_node_float(node, "epsilon", 1e-5));
    for (int i = 0; i < 4; i++) {
        put_vector(w, layer, names[i], of[i]);
    }
    cvi_keras_give(w, layer, true, false);
}

void cvi_keras_put_prelu(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *slope = cvi_keras_floats(w, cvi_keras_input(node, 1)),
                     *x = cvi_keras_dims(w, node->in[0]);
    int64_t n = slope ? cvs_tensor_count(slope) : 0;
    if (!slope || !x || x->rank != 4 || n != x->dim[1] ||
        (n > 1 && cvi_keras_dim(slope, slope->rank - 3) != n)) {
        cvi_keras_refuse(w, "slopes that are not one a channel");
        return;
    }
    const char *in = cvi_keras_turned(w, node->in[0]);
    const char *layer = cvi_keras_put_layer(w, "PReLU", w->label, 1, &in, ", \"shared_axes\": [1, 2]");
    float *out = cvi_keras_put_weight(w, layer, "alpha", 3, (const int64_t[]){1, 1, n});
    if (out && slope->data) {
        memcpy(out, slope->data, (size_t)n * sizeof *out);
    }
    cvi_keras_give(w, layer, true, false);
}

/* ---- poolings ---- */

void cvi_keras_put_pool(keras_writing *w, const cvi_node *node) {
    bool max = strcmp(node->op, "MaxPool") == 0;
    const cvs_tensor *y = cvi_keras_dims(w, node->out[0]), *from = cvi_keras_dims(w, node->in[0]);
    window o;
    char text[300];
    if (!read_window(w, node, NULL, &o)) {
        return;
    }
    bool plain = o.dilation[0] == 1 && o.dilation[1] == 1 && (node->n_out < 2 || node->out[1] < 0) && y &&
                 y->rank == 4;
    bool pads = o.pad[0] || o.pad[1] || o.pad[2] || o.pad[3];
    if (plain && cvi_node_int(node, "ceil_mode", 0) && strcmp(o.padding, "valid") == 0) {
        for (int i = 0; i < 2; i++) { /* the last window reaches over the edge: as much padding more */
            int64_t reach = (y->dim[2 + i] - 1) * o.stride[i] + o.kernel[i] - from->dim[2 + i] - o.pad[i];
            plain = plain && w->fixed && (max || reach <= o.pad[2 + i]);
            if (reach > o.pad[2 + i]) {
                o.pad[2 + i] = reach;
                pads = true;
            }
        }
    }
    bool counted = cvi_node_int(node, "count_include_pad", 0) != 0;
    if (!plain || (pads && max && !w->value[node->in[0]].positive) || (pads && !max && !counted) ||
        (!max && counted && strcmp(o.padding, "same") == 0)) {
        cvi_keras_refuse(w, "a padding that Keras does not have");
        return;
    }
    const char *x = padded(w, cvi_keras_turned(w, node->in[0]), &o);
    const char *layer = cvi_keras_put_layer(w, max ? "MaxPooling2D" : "AveragePooling2D", w->label, 1, &x,
                                            "%s", window_text(&o, "pool_size", text, sizeof text));
    cvi_keras_give(w, layer, true, w->value[node->in[0]].positive);
}
