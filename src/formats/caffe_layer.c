/* SPDX-License-Identifier: MIT
 * caffe_layer.c - Caffe's layers that work number by number or channel by channel: activations, normalisations, Scale and Bias,
 * Power, Softmax.
 */
#include <math.h>

#include "formats/caffe.h"

static void simple(cvi_caffe *c, const char *op) {
    cvi_caffe_top(c, 0, cvi_caffe_op(c, op, NULL, 1, c->in));
}

void cvi_caffe_sigmoid(cvi_caffe *c) {
    simple(c, "Sigmoid");
}

void cvi_caffe_tanh(cvi_caffe *c) {
    simple(c, "Tanh");
}

void cvi_caffe_bnll(cvi_caffe *c) {
    simple(c, "Softplus");
}

void cvi_caffe_absval(cvi_caffe *c) {
    simple(c, "Abs");
}

void cvi_caffe_relu(cvi_caffe *c) {
    double slope = cvi_caffe_number(c, "negative_slope", NULL, 0, 0);
    int v = cvi_caffe_op(c, slope != 0 ? "LeakyRelu" : "Relu", NULL, 1, c->in);
    if (slope != 0) {
        cvi_build_float(&c->b, "alpha", slope);
    }
    cvi_caffe_top(c, 0, v);
}

void cvi_caffe_relu6(cvi_caffe *c) {
    int in[3] = {c->in[0], cvi_caffe_float(c, "low", 0), cvi_caffe_float(c, "high", 6)};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Clip", NULL, 3, in));
}

void cvi_caffe_elu(cvi_caffe *c) {
    double alpha = cvi_caffe_number(c, "alpha", NULL, 0, 1);
    int v = cvi_caffe_op(c, "Elu", NULL, 1, c->in);
    cvi_build_float(&c->b, "alpha", alpha);
    cvi_caffe_top(c, 0, v);
}

/* The layer's channels, or -1 while neither shape nor numbers tell; then it becomes a box. */
static int64_t channels(cvi_caffe *c, bool one) {
    int64_t n = one ? 1 : c->guessed && cvi_caffe_has_blob(c, 0) ? -1 : cvi_caffe_dim(c, c->in[0], 1);
    if (n < 0 && cvi_build_ok(&c->b) && !cvi_caffe_has_blob(c, 0)) {
        cvi_caffe_opaque(c, "the size of this layer's input is not known, and no file has its weights");
        return -2;
    }
    return n;
}

void cvi_caffe_prelu(cvi_caffe *c) {
    bool one = cvi_caffe_bool(c, "channel_shared", NULL, false);
    int rank = cvi_caffe_rank(c, c->in[0]);
    int64_t n = channels(c, one), dim[CVS_MAX_RANK];
    if (n == -2) {
        return;
    }
    for (int i = 0; i < rank; i++) {
        dim[i] = 1;
    }
    dim[0] = n;
    int slope = cvi_caffe_param(c, "slope", 0, CVI_MAX(rank - 1, 1), dim, 0.25, 1);
    int in[2] = {c->in[0], slope};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "PRelu", NULL, 2, in));
}

void cvi_caffe_softmax(cvi_caffe *c) {
    int axis = cvi_caffe_axis(c, "axis", NULL, 1, cvi_caffe_rank(c, c->in[0]));
    int v = cvi_caffe_op(c, "Softmax", NULL, 1, c->in);
    cvi_build_int(&c->b, "axis", axis);
    cvi_caffe_top(c, 0, v);
}

void cvi_caffe_lrn(cvi_caffe *c) {
    const char *region = cvi_caffe_word(c, "norm_region", "ACROSS_CHANNELS");
    if (cvi_caffe_same(region, "WITHIN_CHANNEL") || strcmp(region, "1") == 0) {
        cvi_caffe_lrn_within(c);
        return;
    }
    int64_t size = cvi_caffe_int(c, "local_size", NULL, 0, 5);
    double alpha = cvi_caffe_number(c, "alpha", NULL, 0, 1),
           beta = cvi_caffe_number(c, "beta", NULL, 0, 0.75);
    double k = cvi_caffe_number(c, "k", NULL, 0, 1);
    int v = cvi_caffe_op(c, "LRN", NULL, 1, c->in);
    cvi_build_int(&c->b, "size", size);
    cvi_build_float(&c->b, "alpha", alpha);
    cvi_build_float(&c->b, "beta", beta);
    cvi_build_float(&c->b, "bias", k);
    cvi_caffe_top(c, 0, v);
}

/* SSD's: every place by the length of its channels (or the whole by its own length), then a learned factor. */
void cvi_caffe_normalize(cvi_caffe *c) {
    bool whole = cvi_caffe_bool(c, "across_spatial", NULL, true),
         one = cvi_caffe_bool(c, "channel_shared", NULL, true);
    double eps = cvi_caffe_number(c, "eps", NULL, 0, 1e-10);
    int rank = cvi_caffe_rank(c, c->in[0]);
    int64_t n = channels(c, one), dim[CVS_MAX_RANK], axes[CVS_MAX_RANK];
    if (n == -2) {
        return;
    }
    for (int i = 0; i < rank; i++) {
        dim[i] = 1;
        axes[i] = i + 1;
    }
    dim[0] = n;
    int sum[2] = {c->in[0], cvi_caffe_ints(c, "axes", whole ? CVI_MAX(rank - 1, 1) : 1, axes)};
    int more[2] = {cvi_caffe_op(c, "ReduceSumSquare", "squares", 2, sum), cvi_caffe_float(c, "eps", eps)};
    int added = cvi_caffe_op(c, "Add", "guarded", 2, more);
    int part[2] = {c->in[0], cvi_caffe_op(c, "Sqrt", "length", 1, &added)};
    int times[2] = {cvi_caffe_op(c, "Div", "direction", 2, part),
                    cvi_caffe_param(c, "scale", 0, CVI_MAX(rank - 1, 1), dim, 1, 1)};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Mul", NULL, 2, times));
}

void cvi_caffe_dropout(cvi_caffe *c) {
    double ratio = cvi_caffe_number(c, "dropout_ratio", NULL, 0, 0.5);
    int in[2] = {c->in[0], cvi_caffe_float(c, "ratio", ratio)};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Dropout", NULL, 2, in));
}

/* ---- normalisation ---- */

/* The Scale layer right behind, when it works on this layer's top and nothing else reads that top in between. */
static caffe_layer *scale_behind(cvi_caffe *c) {
    caffe_layer *end = c->layers + c->n_layers, *next = c->layer + 1;
    while (next < end && !next->kept) {
        next++;
    }
    if (next == end || !next->kind || next->kind->make != cvi_caffe_scale || next->n_bottom != 1 ||
        c->layer->n_top != 1 || next->n_top != 1 || strcmp(next->bottom[0], c->layer->top[0]) != 0) {
        return NULL;
    }
    const caffe_message *p = cvi_caffe_message(next->message, "scale_param");
    if (cvi_caffe_int_of(c, p, "axis", 0, 1) != 1 || cvi_caffe_int_of(c, p, "num_axes", 0, 1) != 1) {
        return NULL;
    }
    /* In place the old value is gone; else its readers are looked for until the top's name is used again. */
    for (const caffe_layer *l = next + 1; l < end && strcmp(next->top[0], next->bottom[0]) != 0; l++) {
        for (int k = 0; k < l->n_bottom; k++) {
            if (l->kept && strcmp(l->bottom[k], c->layer->top[0]) == 0) {
                return NULL;
            }
        }
        if (l - next > 1000) {
            return NULL;
        }
    }
    return next;
}

/* Caffe stores mean and variance times a factor, the third blob; factor 0: nothing was counted. */
static double stored_factor(cvi_caffe *c) {
    float f = 1;
    if (cvi_caffe_has_blob(c, 2) && c->layer->blobs->blob[2].count == 1) {
        cvi_build_set(&c->b, cvi_caffe_numbers(&c->layer->blobs->blob[2], &f, c->b.err));
    }
    return f == 0 ? 0 : 1 / (double)f;
}

/* By the batch's own mean and variance, which is what Caffe does in the test phase too where use_global_stats is false. */
static void normalize_batch(cvi_caffe *c, double eps) {
    int rank = cvi_caffe_rank(c, c->in[0]), n = 0;
    int64_t axes[CVS_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        if (i != 1) {
            axes[n++] = i;
        }
    }
    int over = cvi_caffe_ints(c, "axes", n, axes);
    int mean = cvi_caffe_op(c, "ReduceMean", "mean", 2, (int[]){c->in[0], over});
    int apart = cvi_caffe_op(c, "Sub", "centred", 2, (int[]){c->in[0], mean});
    int squares = cvi_caffe_op(c, "Mul", "squares", 2, (int[]){apart, apart});
    int variance = cvi_caffe_op(c, "ReduceMean", "variance", 2, (int[]){squares, over});
    int more = cvi_caffe_op(c, "Add", "guarded", 2, (int[]){variance, cvi_caffe_float(c, "eps", eps)});
    int width = cvi_caffe_op(c, "Sqrt", "deviation", 1, &more);
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Div", NULL, 2, (int[]){apart, width}));
}

void cvi_caffe_batch_norm(cvi_caffe *c) {
    if (!cvi_caffe_bool(c, "use_global_stats", NULL, true)) {
        normalize_batch(c, cvi_caffe_number(c, "eps", NULL, 0, 1e-5));
        return;
    }
    int64_t n = channels(c, false);
    if (n == -2) {
        return;
    }
    double eps = cvi_caffe_number(c, "eps", NULL, 0, 1e-5), times = stored_factor(c);
    double keep = cvi_caffe_number(c, "moving_average_fraction", NULL, 0, 0.999);
    caffe_layer *scale = scale_behind(c);
    int in[5] = {c->in[0], -1, -1, cvi_caffe_param(c, "mean", 0, 1, &n, 0, times), -1};
    n = in[3] >= 0 ? c->b.g->values[in[3]].dim[0] : n;
    in[4] = cvi_caffe_param(c, "variance", 1, 1, &n, 1, times);
    if (scale) { /* one node, known by the Scale layer's name */
        scale->done = true;
        scale->kept = false;
        c->layer = scale;
        in[1] = cvi_caffe_param(c, "scale", 0, 1, &n, 1, 1);
        in[2] = cvi_caffe_bool(c, "bias_term", NULL, false) ? cvi_caffe_param(c, "shift", 1, 1, &n, 0, 1)
                                                            : cvi_caffe_constant(c, n, 0);
    } else if (cvi_caffe_has_blob(c, 4)) { /* forks that keep gamma and beta here */
        in[1] = cvi_caffe_param(c, "scale", 3, 1, &n, 1, 1);
        in[2] = cvi_caffe_param(c, "shift", 4, 1, &n, 0, 1);
    } else {
        in[1] = cvi_caffe_constant(c, n, 1);
        in[2] = cvi_caffe_constant(c, n, 0);
    }
    int v = cvi_caffe_op(c, "BatchNormalization", NULL, 5, in);
    cvi_build_float(&c->b, "epsilon", eps);
    cvi_build_float(&c->b, "momentum", keep);
    cvi_caffe_top(c, 0, v);
}

/* A factor or summand over `num_axes` axes from `axis` on: its numbers with ones behind, so that it broadcasts. false: a box was made. */
static bool spread(cvi_caffe *c, const char *part, int blob, int rank, double fill, int *out) {
    int axis = cvi_caffe_axis(c, "axis", NULL, 1, rank);
    int64_t n = cvi_caffe_int(c, "num_axes", NULL, 0, 1), dim[CVS_MAX_RANK];
    n = n < 0 ? rank - axis : n;
    const cvs_tensor *s = cvi_caffe_shape(c, c->in[0]);
    if (!cvi_build_ok(&c->b)) {
        return false;
    }
    if (n > rank - axis || !s || (c->guessed && n > 1)) {
        cvi_caffe_opaque(c, "the size of this layer's input is not known, and no file has its weights");
        return false;
    }
    for (int i = axis; i < rank; i++) {
        dim[i - axis] = i >= axis + n ? 1 : c->guessed && cvi_caffe_has_blob(c, blob) ? -1 : s->dim[i];
    }
    *out = cvi_caffe_param(c, part, blob, rank - axis, dim, fill, 1);
    return true;
}

/* The second bottom of Scale, Bias: [N,C] against [N,C,H,W] gets ones behind. */
static int second(cvi_caffe *c, int rank) {
    int axis = cvi_caffe_axis(c, "axis", NULL, 1, rank), own = cvi_caffe_rank(c, c->in[1]);
    int64_t dim[CVS_MAX_RANK];
    int n = 0;
    for (int i = 0; i < own && n < CVS_MAX_RANK; i++) {
        dim[n++] = 0;
    }
    while (n < rank - axis && n < CVS_MAX_RANK) {
        dim[n++] = 1;
    }
    if (n == own) {
        return c->in[1];
    }
    int in[2] = {c->in[1], cvi_caffe_ints(c, "shape", n, dim)};
    return cvi_caffe_op(c, "Reshape", "factor", 2, in);
}

void cvi_caffe_scale(cvi_caffe *c) {
    int rank = cvi_caffe_rank(c, c->in[0]);
    bool two = c->n_in > 1, bias = cvi_caffe_bool(c, "bias_term", NULL, false);
    int in[2] = {c->in[0], -1}, add = -1;
    if (two) {
        in[1] = second(c, rank);
    } else if (!spread(c, "scale", 0, rank, 1, &in[1])) {
        return;
    }
    if (bias && !spread(c, "shift", two ? 0 : 1, rank, 0, &add)) {
        return;
    }
    int v = cvi_caffe_op(c, "Mul", bias ? "product" : NULL, 2, in);
    if (bias) {
        int sum[2] = {v, add};
        v = cvi_caffe_op(c, "Add", NULL, 2, sum);
    }
    cvi_caffe_top(c, 0, v);
}

void cvi_caffe_bias(cvi_caffe *c) {
    int rank = cvi_caffe_rank(c, c->in[0]);
    int in[2] = {c->in[0], -1};
    if (c->n_in > 1) {
        in[1] = second(c, rank);
    } else if (!spread(c, "shift", 0, rank, 0, &in[1])) {
        return;
    }
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Add", NULL, 2, in));
}

/* ---- (shift + scale x) ^ power, base ^ (...), log ---- */

/* Applies a binary operator with a number; last: the result bears the layer's name. */
static int with_number(cvi_caffe *c, const char *op, const char *part, int x, double v, bool last) {
    char name[40];
    snprintf(name, sizeof name, "%s-number", part);
    int in[2] = {x, cvi_caffe_float(c, name, v)};
    return cvi_caffe_op(c, op, last ? NULL : part, 2, in);
}

/* shift + scale x; last: something of it has to bear the layer's name. */
static int linear(cvi_caffe *c, bool last) {
    double scale = cvi_caffe_number(c, "scale", NULL, 0, 1), shift = cvi_caffe_number(c, "shift", NULL, 0, 0);
    int x = c->in[0];
    if (scale != 1) {
        x = with_number(c, "Mul", "scaled", x, scale, last && shift == 0);
    }
    if (shift != 0) {
        x = with_number(c, "Add", "shifted", x, shift, last);
    }
    return last && scale == 1 && shift == 0 ? cvi_caffe_op(c, "Identity", NULL, 1, &x) : x;
}

void cvi_caffe_power(cvi_caffe *c) {
    double power = cvi_caffe_number(c, "power", NULL, 0, 1);
    int x = linear(c, power == 1);
    cvi_caffe_top(c, 0, power == 1 ? x : with_number(c, "Pow", "power", x, power, true));
}

void cvi_caffe_exp(cvi_caffe *c) {
    double base = cvi_caffe_number(c, "base", NULL, 0, -1);
    int x = linear(c, false);
    if (base != -1 && base > 0) {
        x = with_number(c, "Mul", "log-base", x, log(base), false);
    }
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Exp", NULL, 1, &x));
}

void cvi_caffe_log(cvi_caffe *c) {
    double base = cvi_caffe_number(c, "base", NULL, 0, -1);
    int x = linear(c, false);
    bool other = base != -1 && base > 0 && base != 1;
    int v = cvi_caffe_op(c, "Log", other ? "natural" : NULL, 1, &x);
    cvi_caffe_top(c, 0, other ? with_number(c, "Div", "log-base", v, log(base), true) : v);
}
