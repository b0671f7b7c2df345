/* SPDX-License-Identifier: MIT
 * tf_window.c - TensorFlow's operations with windows and kernels: convolutions, pools, batch and local normalisation, matrix
 * products. Padding SAME is ONNX's SAME_UPPER: ceil(in / stride) positions, the odd cell at the end; padded cells are never counted.
 */
#include "formats/tf.h"

static bool check_rank(cvi_tf *t, const cvi_tf_tensor *x, int rank) {
    if (cvi_build_ok(&t->b) && x->rank != rank) { /* an unknown rank only keeps it from running */
        cvs_status s = x->rank < 0 ? CVS_E_UNSUPPORTED : CVS_E_SHAPE;
        cvi_build_set(&t->b, cvi_fail(t->b.err, s, "the layer needs an input of rank %d, it gets rank %d",
                                      rank, x->rank));
    }
    return cvi_build_ok(&t->b);
}

static bool check_window(cvi_tf *t, const cvi_tf_window *w) {
    for (int i = 0; i < w->n && cvi_build_ok(&t->b); i++) {
        int64_t least = CVI_MIN(w->stride[i], w->dilation[i] > 0 ? w->dilation[i] : w->stride[i]);
        if (least < 1 || w->stride[i] > INT32_MAX || w->dilation[i] > INT32_MAX) {
            cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld",
                                          "strides", (long long)least, 1LL));
        }
    }
    return cvi_build_ok(&t->b);
}

static void write_window(cvi_tf *t, const cvi_tf_window *w, const int64_t *kernel) {
    cvi_build_ints(&t->b, "kernel_shape", w->n, kernel);
    cvi_build_ints(&t->b, "strides", w->n, w->stride);
    if (w->padding == CVI_TF_SAME) {
        cvi_build_string(&t->b, "auto_pad", "SAME_UPPER");
    } else if (w->padding == CVI_TF_EXPLICIT) {
        cvi_build_ints(&t->b, "pads", 2 * w->n, w->pads);
    }
}

/* What a kernel tensor is: sizes along the window, channels in and out, and how it becomes the graph's. */
typedef struct kernel {
    int64_t size[3], in, out;
    int perm[5];
} kernel;

/* perm gives [O, I, k...] (or [I, O, k...], transposed); depthwise kernels are seen as [C*m, 1, k...] afterwards. */
static bool read_kernel(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_kernel form, int n, kernel *k) {
    int64_t dim[CVS_MAX_RANK];
    if (!check_rank(t, x, n + 2) || !cvi_tf_dims(t, x, dim)) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "an input whose shape is not known"));
        return false;
    }
    bool last = form == CVI_TF_HWIO || form == CVI_TF_HWIM || form == CVI_TF_T_HWOI;
    int window = last ? 0 : 1;
    for (int i = 0; i < n; i++) {
        k->size[i] = dim[window + i];
        k->perm[i + 2] = window + i;
    }
    int a = last ? n : 0, b = n + 1; /* the two other axes */
    bool swap = form == CVI_TF_HWIO || form == CVI_TF_T_OHWI || form == CVI_TF_T_HWOI || form == CVI_TF_1HWC;
    k->perm[0] = swap ? b : a;
    k->perm[1] = swap ? a : b;
    k->out = dim[k->perm[0]];
    k->in = dim[k->perm[1]];
    return true;
}

/* One Conv or ConvTranspose; absent bias: two inputs. */
static int conv_node(cvi_tf *t, const char *op, int x, int weight, cvi_tf_tensor *bias) {
    int in[3] = {x, weight, bias ? cvi_tf_form(t, bias, false) : -1};
    return cvi_tf_op(t, op, NULL, bias ? 3 : 2, in);
}

/* A convolution of a picture that was cut into blocks is one with holes of the picture itself. */
static cvi_tf_tensor conv_of_blocks(cvi_tf *t, const cvi_tf_tensor *x, cvi_tf_tensor *weight,
                                    cvi_tf_kernel form, cvi_tf_tensor *bias, const cvi_tf_window *w) {
    cvi_tf_window holes = *w;
    cvi_tf_tensor whole = *x;
    if (w->n != 2 || w->padding != CVI_TF_VALID || w->stride[0] != 1 || w->stride[1] != 1) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "pictures cut into blocks are not run"));
        return cvi_tf_none();
    }
    memset(whole.block, 0, sizeof whole.block);
    memcpy(holes.dilation, x->block, sizeof x->block);
    memcpy(holes.pads, x->block_pads, sizeof x->block_pads);
    holes.padding = CVI_TF_EXPLICIT;
    cvi_tf_tensor out = cvi_tf_conv(t, &whole, weight, form, bias, &holes);
    memcpy(out.block, x->block, sizeof out.block);
    out.joined = true;
    return out;
}

cvi_tf_tensor cvi_tf_conv(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *weight, cvi_tf_kernel form,
                          cvi_tf_tensor *bias, const cvi_tf_window *w) {
    if (x->block[0]) {
        return conv_of_blocks(t, x, weight, form, bias, w);
    }
    kernel k = {0};
    int64_t dim[CVS_MAX_RANK], groups = 1;
    if (!check_rank(t, x, w->n + 2) || !check_window(t, w) || !read_kernel(t, weight, form, w->n, &k)) {
        return cvi_tf_none();
    }
    bool moved = !w->first, depthwise = form == CVI_TF_HWIM || form == CVI_TF_1HWC;
    int64_t channels = cvi_tf_dims(t, x, dim) ? dim[w->first ? 1 : w->n + 1] : -1;
    int value;
    if (depthwise) {
        int64_t all = k.in * k.out, seen[5] = {all, 1, k.size[0], k.size[1], k.size[2]};
        groups = form == CVI_TF_HWIM ? k.out : channels;
        bool fits = groups > 0 && all % groups == 0 && (channels < 0 || channels == groups);
        if (!fits) {
            cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_SHAPE,
                                          "%lld outputs and %lld inputs cannot be split into %lld groups",
                                          (long long)all, (long long)channels, (long long)groups));
        }
        value = cvi_tf_weight(t, weight, "kernel", k.perm, w->n + 2, seen);
    } else {
        groups = channels > 0 && k.in > 0 ? channels / k.in : 1;
        if (groups < 1 || (channels > 0 && groups * k.in != channels) || k.out % groups) {
            cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_SHAPE,
                                          "%lld outputs and %lld inputs cannot be split into %lld groups",
                                          (long long)k.out, (long long)channels, (long long)groups));
        }
        value = cvi_tf_weight(t, weight, "kernel", k.perm, 0, NULL);
    }
    int v = conv_node(t, "Conv", cvi_tf_form(t, x, moved), value, bias);
    write_window(t, w, k.size);
    cvi_build_ints(&t->b, "dilations", w->n, w->dilation);
    cvi_build_int(&t->b, "group", groups);
    return cvi_tf_value(t, v, w->n + 2, moved);
}

/* The output's size is given. The forward convolution from it to x has SAME or VALID padding; x is what it would answer. */
cvi_tf_tensor cvi_tf_conv_transpose(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *weight, cvi_tf_kernel form,
                                    cvi_tf_tensor *bias, const cvi_tf_window *w, const int64_t *out_dim) {
    kernel k = {0};
    int64_t dim[CVS_MAX_RANK], pads[6] = {0}, extra[3] = {0};
    if (!check_rank(t, x, w->n + 2) || !check_window(t, w) || !read_kernel(t, weight, form, w->n, &k)) {
        return cvi_tf_none();
    }
    if (!cvi_tf_dims(t, x, dim)) {
        cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "an input whose shape is not known"));
        return cvi_tf_none();
    }
    for (int i = 0; i < w->n; i++) {
        int axis = w->first ? 2 + i : 1 + i;
        if (dim[axis] < 0) {
            cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_UNSUPPORTED, "an input whose shape is not known"));
            return cvi_tf_none();
        }
        int64_t window = (k.size[i] - 1) * w->dilation[i] + 1;
        int64_t full = (dim[axis] - 1) * w->stride[i] + window, total = full - out_dim[axis];
        pads[i] = w->padding == CVI_TF_SAME       ? CVI_MAX(total, 0) / 2
                  : w->padding == CVI_TF_EXPLICIT ? w->pads[i]
                                                  : 0;
        pads[w->n + i] = CVI_MAX(total, 0) - pads[i];
        extra[i] = CVI_MAX(-total, 0);
        if (pads[w->n + i] < 0 || full < 1 || total > full) {
            cvi_build_set(&t->b,
                          cvi_fail(t->b.err, CVS_E_SHAPE, "an output of size %lld cannot be made from %lld",
                                   (long long)out_dim[axis], (long long)dim[axis]));
        }
    }
    bool moved = !w->first;
    int v = conv_node(t, "ConvTranspose", cvi_tf_form(t, x, moved),
                      cvi_tf_weight(t, weight, "kernel", k.perm, 0, NULL), bias);
    cvi_build_ints(&t->b, "kernel_shape", w->n, k.size);
    cvi_build_ints(&t->b, "strides", w->n, w->stride);
    cvi_build_ints(&t->b, "dilations", w->n, w->dilation);
    cvi_build_ints(&t->b, "pads", 2 * w->n, pads);
    cvi_build_ints(&t->b, "output_padding", w->n, extra);
    return cvi_tf_value(t, v, w->n + 2, moved);
}

cvi_tf_tensor cvi_tf_pool(cvi_tf *t, cvi_tf_tensor *x, const char *op, const cvi_tf_window *w) {
    if (!check_rank(t, x, w->n + 2) || !check_window(t, w)) {
        return cvi_tf_none();
    }
    for (int i = 0; i < w->n; i++) {
        if (w->kernel[i] < 1 || w->kernel[i] > INT32_MAX) {
            cvi_build_set(&t->b, cvi_fail(t->b.err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld",
                                          "ksize", (long long)w->kernel[i], 1LL));
        }
    }
    bool moved = !w->first;
    int v = cvi_tf_form(t, x, moved);
    v = cvi_tf_op(t, op, NULL, 1, &v);
    write_window(t, w, w->kernel);
    return cvi_tf_value(t, v, w->n + 2, moved);
}

cvi_tf_tensor cvi_tf_batch_norm(cvi_tf *t, cvi_tf_tensor *const x[5], double epsilon, bool first) {
    bool moved = x[0]->rank > 2 && !first;
    int in[5] = {cvi_tf_form(t, x[0], moved)};
    for (int i = 1; i < 5; i++) {
        in[i] = cvi_tf_form(t, x[i], false);
    }
    int v = cvi_tf_op(t, "BatchNormalization", NULL, 5, in);
    cvi_build_float(&t->b, "epsilon", epsilon);
    return cvi_tf_value(t, v, x[0]->rank, moved);
}

/* TensorFlow multiplies the sum over 2*radius + 1 channels by alpha; ONNX its mean. */
cvi_tf_tensor cvi_tf_lrn(cvi_tf *t, cvi_tf_tensor *x, int64_t radius, double bias, double alpha,
                         double beta) {
    int64_t size = 2 * CVI_MIN(CVI_MAX(radius, 0), 1 << 20) + 1;
    int v = check_rank(t, x, 4) ? cvi_tf_form(t, x, true) : -1;
    v = cvi_tf_op(t, "LRN", NULL, 1, &v);
    cvi_build_int(&t->b, "size", size);
    cvi_build_float(&t->b, "alpha", alpha * (double)size);
    cvi_build_float(&t->b, "beta", beta);
    cvi_build_float(&t->b, "bias", bias);
    return cvi_tf_value(t, v, 4, true);
}

/* ---- matrix products ---- */

cvi_tf_tensor cvi_tf_dense(cvi_tf *t, cvi_tf_tensor *x, cvi_tf_tensor *weight, bool transposed,
                           cvi_tf_tensor *bias) {
    if (!check_rank(t, x, 2) || !check_rank(t, weight, 2)) {
        return cvi_tf_none();
    }
    int in[3] = {cvi_tf_form(t, x, false), cvi_tf_form(t, weight, false),
                 bias ? cvi_tf_form(t, bias, false) : -1};
    int v = cvi_tf_op(t, "Gemm", NULL, bias ? 3 : 2, in);
    if (transposed) {
        cvi_build_int(&t->b, "transB", 1);
    }
    return cvi_tf_value(t, v, 2, false);
}

static int turned(cvi_tf *t, cvi_tf_tensor *x, bool turn, const char *part) {
    int v = cvi_tf_form(t, x, false);
    if (turn && x->rank >= 2) {
        int64_t perm[CVS_MAX_RANK];
        for (int i = 0; i < x->rank; i++) {
            perm[i] = i < x->rank - 2 ? i : i == x->rank - 2 ? x->rank - 1 : x->rank - 2;
        }
        v = cvi_tf_op(t, "Transpose", part, 1, &v);
        cvi_build_ints(&t->b, "perm", x->rank, perm);
    }
    return v;
}

cvi_tf_tensor cvi_tf_matmul(cvi_tf *t, cvi_tf_tensor *a, cvi_tf_tensor *b, bool turn_a, bool turn_b) {
    if (a->rank == 2 && b->rank == 2 && !turn_a) {
        return cvi_tf_dense(t, a, b, turn_b, NULL);
    }
    int in[2] = {turned(t, a, turn_a, "a"), turned(t, b, turn_b, "b")};
    int v = cvi_tf_op(t, "MatMul", NULL, 2, in);
    return cvi_tf_value(t, v, CVI_MAX(a->rank, b->rank), false);
}
