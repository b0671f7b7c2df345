/* SPDX-License-Identifier: MIT
 * keras_conv.c - convolutions, dense layers and pooling of Keras. Padding "same" is ONNX's SAME_UPPER (the odd pixel at
 * the bottom and right); kernels are [k..., I, O] in the file and [O, I, k...] in the graph.
 */
#include "formats/keras.h"

/* Spatial dimensions: the digit in the class's name (Conv2D, MaxPooling1D). */
int cvi_keras_spatial(const cvi_keras *k) {
    const char *d = strpbrk(k->layer->class_name, "123");
    return d ? *d - '0' : 2;
}

bool cvi_keras_check_rank(cvi_keras *k, const cvi_keras_tensor *t, int rank) {
    if (cvi_build_ok(&k->b) && t->rank != rank) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_SHAPE,
                                      "the layer needs an input of rank %d, it gets rank %d", rank, t->rank));
    }
    return cvi_build_ok(&k->b);
}

/* The settings that all convolutions share. */
typedef struct window {
    int n;
    int64_t kernel[3], stride[3], dilation[3];
    const char *padding;
    bool last, bias;
} window;

static void read_window(cvi_keras *k, window *w) {
    w->n = cvi_keras_spatial(k);
    w->last = cvi_keras_last(k);
    const json_t *size = cvi_keras_get(k, "kernel_size", "filter_length");
    int64_t rows = cvi_keras_get_int(k, "nb_row", NULL, 0), columns = cvi_keras_get_int(k, "nb_col", NULL, 0);
    if (!size && rows > 0 && columns > 0 && w->n == 2) { /* Keras 1 */
        w->kernel[0] = rows;
        w->kernel[1] = columns;
    } else if (size) {
        cvi_keras_get_sizes(k, size, "kernel_size", w->n, 1, w->kernel);
    } else {
        cvi_keras_bad(k, "kernel_size");
    }
    const json_t *strides = cvi_keras_get(k, "strides", "subsample");
    strides = strides ? strides : cvi_keras_get(k, "subsample_length", NULL);
    cvi_keras_get_sizes(k, strides, "strides", w->n, 1, w->stride);
    const json_t *dilation = cvi_keras_get(k, "dilation_rate", "atrous_rate");
    cvi_keras_get_sizes(k, dilation, "dilation_rate", w->n, 1, w->dilation);
    w->padding = cvi_keras_get_string(k, "padding", "border_mode", "valid");
    w->bias = cvi_keras_get_bool(k, "use_bias", "bias", true);
}

static void set_padding(cvi_keras *k, const window *w) {
    if (strcmp(w->padding, "same") == 0) {
        cvi_build_string(&k->b, "auto_pad", "SAME_UPPER");
    } else if (strcmp(w->padding, "causal") == 0 && w->n == 1) {
        cvi_build_ints(&k->b, "pads", 2, (int64_t[]){(w->kernel[0] - 1) * w->dilation[0], 0});
    } else if (strcmp(w->padding, "valid") != 0) {
        cvi_keras_bad(k, "padding");
    }
}

static int64_t filters_of(cvi_keras *k) {
    int64_t n = cvi_keras_get_int(k, "filters", "nb_filter", 0);
    if (n < 1) {
        cvi_keras_wrong(k, "filters");
    }
    return n;
}

/* Channels of the input, needed only when weights are not stored. */
static int64_t channels(cvi_keras *k, cvi_keras_tensor *t, bool last) {
    return k->source ? -1 : cvi_keras_dim(k, t, last ? -1 : 1);
}

static int take_bias(cvi_keras *k, bool bias, int64_t n) {
    return bias ? cvi_keras_take(k, &(cvi_keras_want){.name = "bias", .rank = 1, .dim = {n}}) : -1;
}

/* One Conv node; inputs with an absent bias leave it out. */
static int conv_node(cvi_keras *k, const window *w, const char *name, int x, int kernel, int bias,
                     int64_t groups) {
    int in[3] = {x, kernel, bias};
    int v = cvi_keras_op(k, "Conv", name, false, bias >= 0 ? 3 : 2, in);
    cvi_build_ints(&k->b, "kernel_shape", w->n, w->kernel);
    cvi_build_ints(&k->b, "strides", w->n, w->stride);
    cvi_build_ints(&k->b, "dilations", w->n, w->dilation);
    cvi_build_int(&k->b, "group", groups);
    set_padding(k, w);
    return v;
}

static void finish(cvi_keras *k, int v, int rank, bool moved, cvi_keras_tensor *out) {
    cvi_keras_tensor t = cvi_keras_out(k, v, rank, moved);
    if (cvi_keras_has_activation(k)) {
        cvi_keras_activate(k, &t, cvi_keras_get(k, "activation", NULL), out);
    } else {
        *out = t;
    }
}

static const char *linear_name(cvi_keras *k) {
    return cvi_keras_has_activation(k) ? cvi_keras_part(k, "linear") : k->name;
}

/* perm for a kernel [k..., I, O] -> [O, I, k...]. */
static void kernel_permutation(int n, int *perm) {
    perm[0] = n + 1;
    perm[1] = n;
    for (int i = 0; i < n; i++) {
        perm[i + 2] = i;
    }
}

void cvi_keras_conv(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    window w = {0};
    read_window(k, &w);
    if (!cvi_keras_check_rank(k, in[0], w.n + 2)) {
        return;
    }
    int64_t filters = filters_of(k), groups = cvi_keras_get_int(k, "groups", NULL, 1);
    if (groups < 1 || filters % groups != 0) {
        cvi_keras_bad(k, "groups");
        return;
    }
    int perm[5];
    kernel_permutation(w.n, perm);
    cvi_keras_want want = {.name = "kernel", .rank = w.n + 2, .perm = perm, .flip = w.n};
    int64_t c = channels(k, in[0], w.last);
    memcpy(want.dim, w.kernel, (size_t)w.n * sizeof *w.kernel);
    want.dim[w.n] = c < 0 ? -1 : c / groups;
    want.dim[w.n + 1] = filters;
    int kernel = cvi_keras_take(k, &want), bias = take_bias(k, w.bias, filters);
    int v = conv_node(k, &w, linear_name(k), cvi_keras_form(k, in[0], w.last), kernel, bias, groups);
    finish(k, v, w.n + 2, w.last, out);
}

/* The depthwise half: kernel [k..., C, m] -> [C*m, 1, k...]. */
static int depthwise(cvi_keras *k, const window *w, const char *weight, const char *name,
                     cvi_keras_tensor *in, bool bias, int64_t *channels_out) {
    int64_t m = cvi_keras_get_int(k, "depth_multiplier", NULL, 1), c = channels(k, in, w->last);
    int perm[5] = {w->n, w->n + 1};
    for (int i = 0; i < w->n; i++) {
        perm[i + 2] = i;
    }
    cvi_keras_want want = {.name = weight, .rank = w->n + 2, .perm = perm, .out_rank = w->n + 2};
    memcpy(want.dim, w->kernel, (size_t)w->n * sizeof *w->kernel);
    want.dim[w->n] = c;
    want.dim[w->n + 1] = m;
    want.out_dim[0] = -1;
    want.out_dim[1] = 1;
    memcpy(want.out_dim + 2, w->kernel, (size_t)w->n * sizeof *w->kernel);
    if (m < 1) {
        cvi_keras_bad(k, "depth_multiplier");
    }
    int kernel = cvi_keras_take(k, &want);
    if (!cvi_build_ok(&k->b)) {
        return -1;
    }
    *channels_out = k->b.g->values[kernel].dim[0];
    int b = take_bias(k, bias, *channels_out);
    return conv_node(k, w, name, cvi_keras_form(k, in, w->last), kernel, b, *channels_out / m);
}

void cvi_keras_depthwise(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    window w = {0};
    int64_t c = 0;
    read_window(k, &w);
    if (cvi_keras_check_rank(k, in[0], w.n + 2)) {
        const char *weight = k->version >= 3 ? "kernel" : "depthwise_kernel";
        int v = depthwise(k, &w, weight, linear_name(k), in[0], w.bias, &c);
        finish(k, v, w.n + 2, w.last, out);
    }
}

void cvi_keras_separable(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    window w = {0};
    int64_t c = 0, filters = filters_of(k);
    read_window(k, &w);
    if (!cvi_keras_check_rank(k, in[0], w.n + 2)) {
        return;
    }
    int v = depthwise(k, &w, "depthwise_kernel", cvi_keras_part(k, "depthwise"), in[0], false, &c);
    cvi_keras_out(k, v, w.n + 2, w.last);
    window one = {
        .n = w.n, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}, .padding = "valid"};
    int perm[5];
    kernel_permutation(w.n, perm);
    cvi_keras_want want = {.name = "pointwise_kernel", .rank = w.n + 2, .perm = perm};
    memcpy(want.dim, one.kernel, (size_t)w.n * sizeof *one.kernel);
    want.dim[w.n] = c;
    want.dim[w.n + 1] = filters;
    int kernel = cvi_keras_take(k, &want), bias = take_bias(k, w.bias, filters);
    v = conv_node(k, &one, linear_name(k), v, kernel, bias, 1);
    finish(k, v, w.n + 2, w.last, out);
}

/* Transposed convolution: kernel [k..., O, I] -> [I, O, k...]. TensorFlow makes in*stride positions ("same") or
 * in*stride + max(k - stride, 0) ("valid"); what the window lacks is added at the end as output padding. */
void cvi_keras_transposed(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    window w = {0};
    read_window(k, &w);
    if (!cvi_keras_check_rank(k, in[0], w.n + 2)) {
        return;
    }
    int64_t filters = filters_of(k), pads[6], extra[3], given[3];
    const json_t *output_padding = cvi_keras_get(k, "output_padding", NULL);
    bool same = strcmp(w.padding, "same") == 0;
    for (int i = 0; i < w.n; i++) {
        const json_t *e =
            json_is_array(output_padding) ? json_array_get(output_padding, (size_t)i) : output_padding;
        int64_t window_size = (w.kernel[i] - 1) * w.dilation[i] + 1;
        int64_t total = same ? window_size - w.stride[i] : CVI_MIN(window_size - w.stride[i], 0);
        given[i] = json_is_integer(e) ? json_integer_value(e) : -1;
        if (given[i] >= 0) {
            total = (same ? 2 * (window_size / 2) : 0) - CVI_MIN(given[i], INT32_MAX);
        }
        pads[i] = CVI_MAX(total, 0) / 2;
        pads[i + w.n] = CVI_MAX(total, 0) - pads[i];
        extra[i] = CVI_MAX(-total, 0);
    }
    if (!same && strcmp(w.padding, "valid") != 0) {
        cvi_keras_bad(k, "padding");
    }
    int perm[5];
    kernel_permutation(w.n, perm);
    cvi_keras_want want = {.name = "kernel", .rank = w.n + 2, .perm = perm, .flip = w.n};
    memcpy(want.dim, w.kernel, (size_t)w.n * sizeof *w.kernel);
    want.dim[w.n] = filters;
    want.dim[w.n + 1] = channels(k, in[0], w.last);
    int x[3] = {cvi_keras_form(k, in[0], w.last), cvi_keras_take(k, &want), take_bias(k, w.bias, filters)};
    int v = cvi_keras_op(k, "ConvTranspose", linear_name(k), false, w.bias ? 3 : 2, x);
    cvi_build_ints(&k->b, "kernel_shape", w.n, w.kernel);
    cvi_build_ints(&k->b, "strides", w.n, w.stride);
    cvi_build_ints(&k->b, "dilations", w.n, w.dilation);
    cvi_build_ints(&k->b, "pads", 2 * w.n, pads);
    cvi_build_ints(&k->b, "output_padding", w.n, extra);
    finish(k, v, w.n + 2, w.last, out);
}

void cvi_keras_dense(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    int64_t units = cvi_keras_get_int(k, "units", "output_dim", 0);
    int rank = in[0]->rank;
    if (units < 1 || rank < 2) {
        cvi_keras_wrong(k, "units");
        return;
    }
    bool bias = cvi_keras_get_bool(k, "use_bias", "bias", true);
    cvi_keras_want want = {
        .name = "kernel", .rank = 2, .dim = {k->source ? -1 : cvi_keras_dim(k, in[0], -1), units}};
    int x[3] = {cvi_keras_form(k, in[0], false), cvi_keras_take(k, &want), take_bias(k, bias, units)};
    if (rank == 2) {
        int v = cvi_keras_op(k, "Gemm", linear_name(k), false, bias ? 3 : 2, x);
        finish(k, v, 2, false, out);
        return;
    }
    /* Along the last axis of a higher rank: a matrix product with Keras's own axes. */
    bool image = (rank == 4 || rank == 5) && !k->first;
    const char *product = bias || image ? cvi_keras_part(k, "product") : linear_name(k);
    int v = cvi_keras_op(k, "MatMul", product, bias || image, 2, x);
    if (bias) {
        const char *sum = image ? cvi_keras_part(k, "sum") : linear_name(k);
        v = cvi_keras_op(k, "Add", sum, image, 2, (int[]){v, x[2]});
    }
    const char *own = k->name;
    k->name = linear_name(k);
    cvi_keras_tensor t = cvi_keras_settle(k, v, rank);
    k->name = own;
    if (cvi_keras_has_activation(k)) {
        cvi_keras_activate(k, &t, cvi_keras_get(k, "activation", NULL), out);
    } else {
        *out = t;
    }
}

/* ---- pooling ---- */

static bool is_max(const cvi_keras *k) {
    return strstr(k->layer->class_name, "Max") != NULL;
}

void cvi_keras_pool(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    window w = {.n = cvi_keras_spatial(k), .last = cvi_keras_last(k)};
    if (!cvi_keras_check_rank(k, in[0], w.n + 2)) {
        return;
    }
    cvi_keras_get_sizes(k, cvi_keras_get(k, "pool_size", "pool_length"), "pool_size", w.n, 2, w.kernel);
    const json_t *strides = cvi_keras_get(k, "strides", "stride");
    if (strides) {
        cvi_keras_get_sizes(k, strides, "strides", w.n, 1, w.stride);
    } else {
        memcpy(w.stride, w.kernel, sizeof w.stride);
    }
    w.padding = cvi_keras_get_string(k, "padding", "border_mode", "valid");
    int x = cvi_keras_form(k, in[0], w.last);
    int v = cvi_keras_op(k, is_max(k) ? "MaxPool" : "AveragePool", k->name, false, 1, &x);
    cvi_build_ints(&k->b, "kernel_shape", w.n, w.kernel);
    cvi_build_ints(&k->b, "strides", w.n, w.stride);
    set_padding(k, &w);
    *out = cvi_keras_out(k, v, w.n + 2, w.last);
}

/* [N,H,W,C] -> [N,C], or with keepdims [N,1,1,C]. */
void cvi_keras_global_pool(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    bool last = cvi_keras_last(k), keep = cvi_keras_get_bool(k, "keepdims", NULL, false);
    int rank = cvi_keras_spatial(k) + 2;
    if (!cvi_keras_check_rank(k, in[0], rank)) {
        return;
    }
    int x = cvi_keras_form(k, in[0], last);
    const char *op = is_max(k) ? "GlobalMaxPool" : "GlobalAveragePool";
    int v = cvi_keras_op(k, op, keep ? k->name : cvi_keras_part(k, "pool"), !keep, 1, &x);
    if (keep) {
        *out = cvi_keras_out(k, v, rank, last);
        return;
    }
    v = cvi_keras_op(k, "Flatten", k->name, false, 1, &v);
    cvi_build_int(&k->b, "axis", 1);
    *out = cvi_keras_out(k, v, 2, false);
}
