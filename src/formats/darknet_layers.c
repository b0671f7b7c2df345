/* SPDX-License-Identifier: MIT
 * darknet_layers.c - Darknet's sections as graph nodes, and the table of those that are known. Both lines of Darknet: the original and
 * AlexeyAB's. Detection sections decode boxes in the program, not in the network: their input is the network's output.
 */
#include "formats/darknet.h"

static bool good(darknet *d, int64_t v, int64_t least, const char *what) {
    if (v < least || v > 1 << 24) {
        cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld", what,
                                      (long long)v, (long long)least));
    }
    return cvi_build_ok(&d->b);
}

static void make_pass(darknet *d) {
    cvi_darknet_done(d, d->last);
}

/* biases are beta; they come first in the file, the others after. eps is that of OpenCV and, nearly, of the original. */
int cvi_darknet_normalise(darknet *d, int x, int beta, int scale, int mean, int variance) {
    int v = cvi_darknet_op(d, "BatchNormalization", cvi_darknet_name(d, "bn"), 5,
                           (int[]){x, scale, beta, mean, variance});
    cvi_build_float(&d->b, "epsilon", 1e-6);
    return v;
}

static void make_convolutional(darknet *d) {
    int64_t n = cvi_darknet_int(d, "filters", 1), size = cvi_darknet_int(d, "size", 1);
    int64_t stride = cvi_darknet_int(d, "stride", 1), groups = cvi_darknet_int(d, "groups", 1);
    int64_t stride_x = cvi_darknet_int(d, "stride_x", stride),
            stride_y = cvi_darknet_int(d, "stride_y", stride);
    int64_t dilation = size == 1 ? 1 : cvi_darknet_int(d, "dilation", 1);
    int64_t pad = cvi_darknet_int(d, "pad", 0) ? size / 2 : cvi_darknet_int(d, "padding", 0);
    int64_t channels = cvi_darknet_dim(d, d->last, 1);
    bool norm = cvi_darknet_int(d, "batch_normalize", 0) != 0;
    if (!good(d, n, 1, "filters") || !good(d, size, 1, "size") || !good(d, stride_x, 1, "stride") ||
        !good(d, stride_y, 1, "stride") || !good(d, groups, 1, "groups") ||
        !good(d, dilation, 1, "dilation") || !good(d, pad, 0, "padding")) {
        return;
    }
    if (channels % groups || n % groups) {
        cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_SHAPE,
                                      "%lld outputs and %lld inputs cannot be split into %lld groups",
                                      (long long)n, (long long)channels, (long long)groups));
        return;
    }
    if (cvi_darknet_int(d, "antialiasing", 0) || cvi_darknet_int(d, "xnor", 0) ||
        cvi_darknet_int(d, "binary", 0) || cvi_darknet_int(d, "deform", 0)) {
        cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_FORMAT,
                                      "binary, deformed and smoothed convolutions are not read"));
        return;
    }
    int bias = cvi_darknet_take(d, "bias", 1, &n), scale = -1, mean = -1, variance = -1;
    if (norm) {
        scale = cvi_darknet_take(d, "scale", 1, &n);
        mean = cvi_darknet_take(d, "mean", 1, &n);
        variance = cvi_darknet_take(d, "variance", 1, &n);
    }
    int weight = cvi_darknet_take(d, "weight", 4, (int64_t[]){n, channels / groups, size, size});
    int in[3] = {d->last, weight, bias};
    int v = cvi_darknet_op(d, "Conv", cvi_darknet_name(d, "conv"), norm ? 2 : 3, in);
    int64_t p = pad * dilation;
    cvi_build_ints(&d->b, "kernel_shape", 2, (int64_t[]){size, size});
    cvi_build_ints(&d->b, "strides", 2, (int64_t[]){stride_y, stride_x});
    cvi_build_ints(&d->b, "dilations", 2, (int64_t[]){dilation, dilation});
    cvi_build_ints(&d->b, "pads", 4, (int64_t[]){p, p, p, p});
    cvi_build_int(&d->b, "group", groups);
    v = norm ? cvi_darknet_normalise(d, v, bias, scale, mean, variance) : v;
    cvi_darknet_done(d, cvi_darknet_activate(d, v, "logistic"));
}

static int flatten(darknet *d, int x) {
    const cvs_tensor *s = cvi_shapes_of(&d->shapes, &d->b, x);
    if (s && s->rank == 2) {
        return x;
    }
    int v = cvi_build_op(&d->b, "Flatten", cvi_darknet_name(d, "flat"), true, 1, &x);
    cvi_build_int(&d->b, "axis", 1);
    return v;
}

static void make_connected(darknet *d) {
    int64_t n = cvi_darknet_int(d, "output", 1);
    bool norm = cvi_darknet_int(d, "batch_normalize", 0) != 0, turned = d->weights->transposed;
    if (!good(d, n, 1, "output")) {
        return;
    }
    int x = flatten(d, d->last);
    int64_t in_size = cvi_darknet_dim(d, x, 1);
    int bias = cvi_darknet_take(d, "bias", 1, &n);
    int weight = cvi_darknet_take(d, "weight", 2, turned ? (int64_t[]){in_size, n} : (int64_t[]){n, in_size});
    int v = cvi_darknet_op(d, "Gemm", cvi_darknet_name(d, "fc"), norm ? 2 : 3, (int[]){x, weight, bias});
    if (!turned) {
        cvi_build_int(&d->b, "transB", 1);
    }
    if (norm) {
        int scale = cvi_darknet_take(d, "scale", 1, &n), mean = cvi_darknet_take(d, "mean", 1, &n);
        v = cvi_darknet_normalise(d, v, bias, scale, mean, cvi_darknet_take(d, "variance", 1, &n));
    }
    cvi_darknet_done(d, cvi_darknet_activate(d, v, "logistic"));
}

static void make_batchnorm(darknet *d) {
    int64_t n = cvi_darknet_dim(d, d->last, 1);
    int bias = cvi_darknet_take(d, "bias", 1, &n), scale = cvi_darknet_take(d, "scale", 1, &n);
    int mean = cvi_darknet_take(d, "mean", 1, &n), variance = cvi_darknet_take(d, "variance", 1, &n);
    cvi_darknet_done(d, cvi_darknet_normalise(d, d->last, bias, scale, mean, variance));
}

/* The padding is the total of both sides, size - 1 by default; the smaller half comes first. */
static void pool(darknet *d, const char *op, const char *name) {
    int64_t stride = cvi_darknet_int(d, "stride", 1), size = cvi_darknet_int(d, "size", stride);
    int64_t x = cvi_darknet_int(d, "stride_x", stride), y = cvi_darknet_int(d, "stride_y", stride);
    int64_t pad = cvi_darknet_int(d, "padding", size - 1), begin = pad / 2;
    if (!good(d, x, 1, "stride") || !good(d, y, 1, "stride") || !good(d, size, 1, "size") ||
        !good(d, pad, 0, "padding")) {
        return;
    }
    if (cvi_darknet_int(d, "maxpool_depth", 0) || cvi_darknet_int(d, "antialiasing", 0)) {
        d->refused = "this form of the operator is not run";
        return;
    }
    int v = cvi_darknet_op(d, op, cvi_darknet_name(d, name), 1, &d->last);
    cvi_build_ints(&d->b, "kernel_shape", 2, (int64_t[]){size, size});
    cvi_build_ints(&d->b, "strides", 2, (int64_t[]){y, x});
    cvi_build_ints(&d->b, "pads", 4, (int64_t[]){begin, begin, pad - begin, pad - begin});
    cvi_darknet_done(d, v);
}

static void make_maxpool(darknet *d) {
    pool(d, "MaxPool", "maxpool");
}

static void make_local_avgpool(darknet *d) {
    pool(d, "AveragePool", "avgpool");
}

static void make_avgpool(darknet *d) {
    cvi_darknet_done(d, cvi_darknet_op(d, "GlobalAveragePool", cvi_darknet_name(d, "avgpool"), 1, &d->last));
}

static void make_route(darknet *d) {
    int64_t list[64], groups = cvi_darknet_int(d, "groups", 1), id = cvi_darknet_int(d, "group_id", 0);
    int values[64], n = cvi_darknet_list(d, "layers", 64, list);
    const char *name = cvi_darknet_name(d, "route");
    if (n < 1 || groups < 1 || id < 0 || id >= groups) {
        cvi_build_set(&d->b,
                      cvi_fail(d->b.err, CVS_E_FORMAT, "a route needs layers, and a group_id below groups"));
        return;
    }
    for (int i = 0; i < n && cvi_build_ok(&d->b); i++) {
        values[i] = cvi_darknet_layer(d, list[i]);
        if (groups > 1) {
            int64_t part = cvi_darknet_dim(d, values[i], 1) / groups, begin = part * id, end = begin + part,
                    axis = 1;
            int in[4] = {values[i],
                         cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/begin", name), 1, &begin),
                         cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/end", name), 1, &end),
                         cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/axes", name), 1, &axis)};
            values[i] = cvi_build_op(&d->b, "Slice", n > 1 ? cvi_build_name(&d->b, "%s/part", name) : name,
                                     n > 1, 4, in);
        }
    }
    int v = values[0];
    if (n > 1) {
        v = cvi_darknet_op(d, "Concat", name, n, values);
        cvi_build_int(&d->b, "axis", 1);
    }
    cvi_darknet_done(d, v);
}

static bool same_shape(darknet *d, int a, int b) {
    const cvs_tensor *s = cvi_shapes_of(&d->shapes, &d->b, a), x = s ? *s : (cvs_tensor){.rank = -1};
    const cvs_tensor *t = cvi_shapes_of(&d->shapes, &d->b, b);
    return !s || !t || (x.rank == t->rank && memcmp(x.dim, t->dim, (size_t)x.rank * sizeof x.dim[0]) == 0);
}

static void make_shortcut(darknet *d) {
    int64_t list[16];
    int n = cvi_darknet_list(d, "from", 16, list), v = d->last;
    if (n < 1 || strcmp(cvi_darknet_text(d, "weights_type", "none"), "none") != 0) {
        d->refused = "this form of the operator is not run";
        return;
    }
    for (int i = 0; i < n && cvi_build_ok(&d->b); i++) {
        int other = cvi_darknet_layer(d, list[i]);
        if (cvi_build_ok(&d->b) && !same_shape(d, v, other)) {
            other = cvi_darknet_fit(d, other, v, i);
            if (other < 0) {
                return;
            }
        }
        const char *name = cvi_darknet_name(d, "shortcut");
        v = cvi_build_op(&d->b, "Add", i + 1 < n ? cvi_build_name(&d->b, "%s/sum", name) : name, i + 1 < n, 2,
                         (int[]){v, other});
    }
    cvi_darknet_done(d, cvi_darknet_activate(d, v, "linear"));
}

/* Numbers times those of another layer: one a channel (scale_channels), or one each (sam). */
static void make_product(darknet *d) {
    int other = cvi_darknet_layer(d, cvi_darknet_int(d, "from", 0));
    int v = cvi_darknet_op(d, "Mul", cvi_darknet_name(d, "product"), 2, (int[]){d->last, other});
    cvi_darknet_done(d, cvi_darknet_activate(d, v, "linear"));
}

static void make_activation(darknet *d) {
    cvi_darknet_done(d, cvi_darknet_activate(d, d->last, "linear"));
}

static void make_upsample(darknet *d) {
    int64_t stride = cvi_darknet_int(d, "stride", 2), four = 4;
    float scales[4] = {1, 1, (float)stride, (float)stride};
    const char *name = cvi_darknet_name(d, "upsample");
    if (stride < 1 || cvi_darknet_float(d, "scale", 1) != 1) {
        d->refused = "this form of the operator is not run";
        return;
    }
    int in[3] = {d->last, -1,
                 cvi_build_const_floats(&d->b, cvi_build_name(&d->b, "%s/scales", name), 1, &four, scales)};
    int v = cvi_darknet_op(d, "Resize", name, 3, in);
    cvi_build_string(&d->b, "mode", "nearest");
    cvi_build_string(&d->b, "coordinate_transformation_mode", "asymmetric");
    cvi_build_string(&d->b, "nearest_mode", "floor");
    cvi_darknet_done(d, v);
}

static int reshape(darknet *d, int x, const char *name, bool hidden, const int64_t *dim) {
    int shape = cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/shape", name), 4, dim);
    return cvi_build_op(&d->b, "Reshape", name, hidden, 2, (int[]){x, shape});
}

/* Darknet's own order: the memory is first seen with fewer channels and longer sides, then cut into blocks, then seen as smaller. */
static void make_reorg(darknet *d) {
    int64_t s = cvi_darknet_int(d, "stride", 1), c = cvi_darknet_dim(d, d->last, 1);
    int64_t h = cvi_darknet_dim(d, d->last, 2), w = cvi_darknet_dim(d, d->last, 3);
    const char *name = cvi_darknet_name(d, "reorg");
    if (s < 1 || s > 64 || c % (s * s) || h % s || w % s || cvi_darknet_int(d, "reverse", 0)) {
        d->refused = "this form of the operator is not run";
        return;
    }
    int v = reshape(d, d->last, cvi_build_name(&d->b, "%s/long", name), true,
                    (int64_t[]){0, c / (s * s), h * s, w * s});
    v = cvi_build_op(&d->b, "SpaceToDepth", cvi_build_name(&d->b, "%s/blocks", name), true, 1, &v);
    cvi_build_int(&d->b, "blocksize", s);
    cvi_darknet_done(d, reshape(d, v, name, false, (int64_t[]){0, c * s * s, h / s, w / s}));
}

static void make_softmax(darknet *d) {
    double temperature = cvi_darknet_float(d, "temperature", 1);
    if (cvi_darknet_int(d, "groups", 1) != 1 || temperature <= 0 || cvi_darknet_text(d, "tree", NULL) ||
        cvi_darknet_int(d, "spatial", 0)) {
        d->refused = "this form of the operator is not run";
        return;
    }
    int x = flatten(d, d->last);
    if (temperature != 1) {
        int t = cvi_build_const_float(&d->b, cvi_darknet_name(d, "temperature"), 1 / temperature);
        x = cvi_build_op(&d->b, "Mul", cvi_darknet_name(d, "warm"), true, 2, (int[]){x, t});
    }
    int v = cvi_darknet_op(d, "Softmax", cvi_darknet_name(d, "softmax"), 1, &x);
    cvi_build_int(&d->b, "axis", 1);
    cvi_darknet_done(d, v);
}

static const darknet_kind table[] = {
    {"convolutional", "conv", make_convolutional},
    {"conv", "conv", make_convolutional},
    {"connected", "fc", make_connected},
    {"conn", "fc", make_connected},
    {"batchnorm", "bn", make_batchnorm},
    {"maxpool", "maxpool", make_maxpool},
    {"max", "maxpool", make_maxpool},
    {"local_avgpool", "avgpool", make_local_avgpool},
    {"avgpool", "avgpool", make_avgpool},
    {"avg", "avgpool", make_avgpool},
    {"crop", "crop", cvi_darknet_crop},
    {"local", "local", cvi_darknet_local},
    {"deconvolutional", "deconv", cvi_darknet_deconvolutional},
    {"deconv", "deconv", cvi_darknet_deconvolutional},
    {"route", "route", make_route},
    {"shortcut", "shortcut", make_shortcut},
    {"scale_channels", "product", make_product},
    {"sam", "product", make_product},
    {"activation", "activation", make_activation},
    {"upsample", "upsample", make_upsample},
    {"reorg", "reorg", make_reorg},
    {"softmax", "softmax", make_softmax},
    {"soft", "softmax", make_softmax},
    {"dropout", "dropout", make_pass},
    {"cost", "cost", make_pass},
    {"yolo", "yolo", make_pass},
    {"region", "region", make_pass},
    {"detection", "detection", make_pass},
    {"gaussian_yolo", "yolo", make_pass},
    {"Gaussian_yolo", "yolo", make_pass},
    {"empty", "empty", make_pass},
    {"silence", "silence", make_pass},
};

const darknet_kind *cvi_darknet_kind(const char *name) {
    for (int i = 0; i < CVI_COUNT(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}
