/* SPDX-License-Identifier: MIT
 * darknet_more.c - rarer sections of Darknet as graph nodes: cuts of the picture, kernels of their own at every place, deconvolutions; and
 * sums of layers that differ in size.
 */
#include "formats/darknet.h"

static const char not_this_form[] = "this form of the operator is not run";

static bool fits(int64_t v, int64_t least) {
    return v >= least && v <= 1 << 24;
}

/* x[from:to:step] along n axes, hidden. */
static int cut(darknet *d, const char *name, int x, int n, const int64_t *from, const int64_t *to,
               const int64_t *axes, const int64_t *step) {
    int in[5] = {x, cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/from", name), n, from),
                 cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/to", name), n, to),
                 cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/axes", name), n, axes),
                 step ? cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/steps", name), n, step) : -1};
    return cvi_build_op(&d->b, "Slice", name, true, step ? 5 : 4, in);
}

/* As the original adds layers of different size: every s-th place of the larger picture, and as many channels as both have. */
int cvi_darknet_fit(darknet *d, int value, int like, int number) {
    int64_t c = cvi_darknet_dim(d, value, 1), h = cvi_darknet_dim(d, value, 2),
            w = cvi_darknet_dim(d, value, 3);
    int64_t tc = cvi_darknet_dim(d, like, 1), th = cvi_darknet_dim(d, like, 2),
            tw = cvi_darknet_dim(d, like, 3);
    const char *name = cvi_build_name(&d->b, "shortcut_%d/from-%d", d->number, number);
    if (!cvi_build_ok(&d->b) || th < 1 || tw < 1 || h % th || w % tw || h / th != w / tw) {
        d->refused = not_this_form;
        return -1;
    }
    if (h != th) {
        const int64_t zero[2] = {0, 0}, end[2] = {h, w}, axes[2] = {2, 3}, step[2] = {h / th, w / tw};
        value = cut(d, cvi_build_name(&d->b, "%s-thin", name), value, 2, zero, end, axes, step);
    }
    if (c > tc) {
        const int64_t zero = 0, axis = 1;
        return cut(d, cvi_build_name(&d->b, "%s-few", name), value, 1, &zero, &tc, &axis, NULL);
    }
    if (c < tc) {
        const int64_t pads[8] = {0, 0, 0, 0, 0, tc - c, 0, 0};
        const char *more = cvi_build_name(&d->b, "%s-more", name);
        int in[2] = {value, cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/pads", more), 8, pads)};
        return cvi_build_op(&d->b, "Pad", more, true, 2, in);
    }
    return value;
}

/* The middle of the picture; its numbers from 0 to 1 become -1 to 1. */
void cvi_darknet_crop(darknet *d) {
    int64_t h = cvi_darknet_dim(d, d->last, 2), w = cvi_darknet_dim(d, d->last, 3);
    int64_t to_h = cvi_darknet_int(d, "crop_height", 1), to_w = cvi_darknet_int(d, "crop_width", 1);
    const char *name = cvi_darknet_name(d, "crop");
    if (!fits(to_h, 1) || !fits(to_w, 1) || to_h > h || to_w > w) {
        cvi_build_set(&d->b, cvi_fail(d->b.err, CVS_E_SHAPE, "%lld x %lld cannot be cut out of %lld x %lld",
                                      (long long)to_h, (long long)to_w, (long long)h, (long long)w));
        return;
    }
    const int64_t from[2] = {(h - to_h) / 2, (w - to_w) / 2}, to[2] = {from[0] + to_h, from[1] + to_w},
                  axes[2] = {2, 3};
    bool adjust = !cvi_darknet_int(d, "noadjust", 0);
    int v = cut(d, cvi_build_name(&d->b, "%s/middle", name), d->last, 2, from, to, axes, NULL);
    if (adjust) {
        int two = cvi_build_const_float(&d->b, cvi_build_name(&d->b, "%s/two", name), 2);
        int one = cvi_build_const_float(&d->b, cvi_build_name(&d->b, "%s/one", name), 1);
        v = cvi_build_op(&d->b, "Mul", cvi_build_name(&d->b, "%s/twice", name), true, 2, (int[]){v, two});
        v = cvi_build_op(&d->b, "Sub", name, false, 2, (int[]){v, one});
    } else {
        v = cvi_build_op(&d->b, "Identity", name, false, 1, &v);
    }
    cvi_darknet_done(d, v);
}

/* ---- kernels of their own at every place ---- */

/* Windows as columns [N, C k k, places]: a convolution whose kernels each pick one place of one channel. */
static int windows(darknet *d, const char *name, int64_t c, int64_t size, int64_t stride, int64_t pad) {
    int64_t area = size * size, rows = c * area; /* both at most 2^24 */
    const int64_t dim[4] = {rows, 1, size, size}, line[3] = {0, rows, -1};
    float *w = rows * area <= 1 << 24 ? cvi_arena_alloc(d->a, rows * area, sizeof *w) : NULL;
    if (!w) {
        cvi_build_no_memory(&d->b, (size_t)(rows * area) * sizeof *w);
        return -1;
    }
    for (int64_t i = 0; i < rows; i++) {
        w[i * area + i % area] = 1;
    }
    int in[2] = {d->last, cvi_build_const_floats(&d->b, cvi_build_name(&d->b, "%s/picks", name), 4, dim, w)};
    int v = cvi_build_op(&d->b, "Conv", cvi_build_name(&d->b, "%s/windows", name), true, 2, in);
    cvi_build_ints(&d->b, "kernel_shape", 2, (int64_t[]){size, size});
    cvi_build_ints(&d->b, "strides", 2, (int64_t[]){stride, stride});
    cvi_build_ints(&d->b, "pads", 4, (int64_t[]){pad, pad, pad, pad});
    cvi_build_int(&d->b, "group", c);
    int shape = cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/line", name), 3, line);
    return cvi_build_op(&d->b, "Reshape", cvi_build_name(&d->b, "%s/columns", name), true, 2,
                        (int[]){v, shape});
}

static int turned(darknet *d, const char *name, int x) {
    int v = cvi_build_op(&d->b, "Transpose", name, true, 1, &x);
    cvi_build_ints(&d->b, "perm", 3, (int64_t[]){0, 2, 1});
    return v;
}

void cvi_darknet_local(darknet *d) {
    int64_t n = cvi_darknet_int(d, "filters", 1), size = cvi_darknet_int(d, "size", 1);
    int64_t stride = cvi_darknet_int(d, "stride", 1), pad = cvi_darknet_int(d, "pad", 0) != 0;
    int64_t c = cvi_darknet_dim(d, d->last, 1), h = cvi_darknet_dim(d, d->last, 2),
            w = cvi_darknet_dim(d, d->last, 3);
    const char *name = cvi_darknet_name(d, "local");
    if (!fits(n, 1) || !fits(size, 1) || !fits(stride, 1) || size > 64 || c > 1 << 16 || (pad && size != 3) ||
        h + 2 * pad < size || w + 2 * pad < size || c * size * size * size * size > 1 << 24) {
        d->refused = not_this_form;
        return;
    }
    int64_t out_h = (h + 2 * pad - size) / stride + 1, out_w = (w + 2 * pad - size) / stride + 1;
    int64_t places = out_h * out_w, per = c * size * size, three = 3;
    int bias = cvi_darknet_take(d, "bias", 3, (int64_t[]){n, out_h, out_w});
    int weight = cvi_darknet_take(d, "weight", 3, (int64_t[]){places, n, per});
    int v = turned(d, cvi_build_name(&d->b, "%s/places", name), windows(d, name, c, size, stride, pad));
    int axis = cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/axis", name), 1, &three);
    v = cvi_build_op(&d->b, "Unsqueeze", cvi_build_name(&d->b, "%s/each", name), true, 2, (int[]){v, axis});
    v = cvi_build_op(&d->b, "MatMul", cvi_build_name(&d->b, "%s/products", name), true, 2,
                     (int[]){weight, v});
    v = cvi_build_op(&d->b, "Squeeze", cvi_build_name(&d->b, "%s/sums", name), true, 2, (int[]){v, axis});
    v = turned(d, cvi_build_name(&d->b, "%s/maps", name), v);
    const int64_t shape[4] = {0, n, out_h, out_w};
    int to = cvi_build_const_ints(&d->b, cvi_build_name(&d->b, "%s/shape", name), 4, shape);
    v = cvi_build_op(&d->b, "Reshape", cvi_build_name(&d->b, "%s/picture", name), true, 2, (int[]){v, to});
    v = cvi_build_op(&d->b, "Add", name, false, 2, (int[]){v, bias});
    cvi_darknet_done(d, cvi_darknet_activate(d, v, "logistic"));
}

/* Numbers lie as those of a convolution, kernels as [in, out, k, k]. */
void cvi_darknet_deconvolutional(darknet *d) {
    int64_t n = cvi_darknet_int(d, "filters", 1), size = cvi_darknet_int(d, "size", 1);
    int64_t stride = cvi_darknet_int(d, "stride", 1), c = cvi_darknet_dim(d, d->last, 1);
    int64_t pad = cvi_darknet_int(d, "pad", 0) ? size / 2 : cvi_darknet_int(d, "padding", 0);
    bool norm = cvi_darknet_int(d, "batch_normalize", 0) != 0;
    if (!fits(n, 1) || !fits(size, 1) || !fits(stride, 1) || !fits(pad, 0)) {
        d->refused = not_this_form;
        return;
    }
    int bias = cvi_darknet_take(d, "bias", 1, &n), scale = -1, mean = -1, variance = -1;
    if (norm) {
        scale = cvi_darknet_take(d, "scale", 1, &n);
        mean = cvi_darknet_take(d, "mean", 1, &n);
        variance = cvi_darknet_take(d, "variance", 1, &n);
    }
    int weight = cvi_darknet_take(d, "weight", 4, (int64_t[]){c, n, size, size});
    int v = cvi_darknet_op(d, "ConvTranspose", cvi_darknet_name(d, "deconv"), norm ? 2 : 3,
                           (int[]){d->last, weight, bias});
    cvi_build_ints(&d->b, "kernel_shape", 2, (int64_t[]){size, size});
    cvi_build_ints(&d->b, "strides", 2, (int64_t[]){stride, stride});
    cvi_build_ints(&d->b, "pads", 4, (int64_t[]){pad, pad, pad, pad});
    v = norm ? cvi_darknet_normalise(d, v, bias, scale, mean, variance) : v;
    cvi_darknet_done(d, cvi_darknet_activate(d, v, "logistic"));
}
