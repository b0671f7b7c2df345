/* SPDX-License-Identifier: MIT
 * caffe_more.c - rarer layers of Caffe and of its well-known forks: sums and maxima along axes, normalisation by mean and variance,
 * responses within a channel, steps, resizing, channels shuffled.
 */
#include <math.h>

#include "formats/caffe.h"

static void box(cvi_caffe *c) {
    cvi_caffe_opaque(c, "this form of the operator is not run");
}

/* x combined with a number under a part's name; NULL: under the layer's own. */
static int with(cvi_caffe *c, const char *op, const char *part, int x, const char *number, double v) {
    return cvi_caffe_op(c, op, part, 2, (int[]){x, cvi_caffe_float(c, number, v)});
}

/* ---- number by number ---- */

void cvi_caffe_threshold(cvi_caffe *c) {
    int v = with(c, "Greater", "above", c->in[0], "threshold", cvi_caffe_number(c, "threshold", NULL, 0, 0));
    v = cvi_caffe_op(c, "Cast", NULL, 1, &v);
    cvi_build_int(&c->b, "to", 1);
    cvi_caffe_top(c, 0, v);
}

void cvi_caffe_swish(cvi_caffe *c) {
    double beta = cvi_caffe_number(c, "beta", NULL, 0, 1);
    int v = beta == 1 ? c->in[0] : with(c, "Mul", "scaled", c->in[0], "beta", beta);
    v = cvi_caffe_op(c, "Sigmoid", "gate", 1, &v);
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Mul", NULL, 2, (int[]){c->in[0], v}));
}

void cvi_caffe_clip(cvi_caffe *c) {
    double low = cvi_caffe_number(c, "min", NULL, 0, -3.4e38),
           high = cvi_caffe_number(c, "max", NULL, 0, 3.4e38);
    int in[3] = {c->in[0], cvi_caffe_float(c, "low", low), cvi_caffe_float(c, "high", high)};
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Clip", NULL, 3, in));
}

/* Factor a channel, picture and picture: what networks with squeezed channels add up in one layer. */
void cvi_caffe_axpy(cvi_caffe *c) {
    if (c->n_in != 3) {
        box(c);
        return;
    }
    int factor = c->in[0], own = cvi_caffe_rank(c, factor);
    if (own == 2) {
        const int64_t axes[2] = {2, 3};
        factor =
            cvi_caffe_op(c, "Unsqueeze", "factor", 2, (int[]){factor, cvi_caffe_ints(c, "axes", 2, axes)});
    }
    int v = cvi_caffe_op(c, "Mul", "product", 2, (int[]){c->in[1], factor});
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Add", NULL, 2, (int[]){v, c->in[2]}));
}

/* ---- normalisation ---- */

/* (x - mean) / (deviation + eps) of every picture's channels, or of whole pictures. */
void cvi_caffe_mvn(cvi_caffe *c) {
    bool across = cvi_caffe_bool(c, "across_channels", NULL, false),
         whole = cvi_caffe_bool(c, "normalize_variance", NULL, true);
    int rank = cvi_caffe_rank(c, c->in[0]), n = 0;
    int64_t axes[CVS_MAX_RANK];
    for (int i = across ? 1 : 2; i < rank; i++) {
        axes[n++] = i;
    }
    if (n < 1) {
        box(c);
        return;
    }
    int over = cvi_caffe_ints(c, "axes", n, axes);
    int mean = cvi_caffe_op(c, "ReduceMean", "mean", 2, (int[]){c->in[0], over});
    int apart = cvi_caffe_op(c, "Sub", whole ? "centred" : NULL, 2, (int[]){c->in[0], mean});
    if (!whole) {
        cvi_caffe_top(c, 0, apart);
        return;
    }
    int squares = cvi_caffe_op(c, "Mul", "squares", 2, (int[]){apart, apart});
    int variance = cvi_caffe_op(c, "ReduceMean", "variance", 2, (int[]){squares, over});
    int width = cvi_caffe_op(c, "Sqrt", "deviation", 1, &variance);
    width = with(c, "Add", "guarded", width, "eps", cvi_caffe_number(c, "eps", NULL, 0, 1e-9));
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Div", NULL, 2, (int[]){apart, width}));
}

/* x (1 + alpha mean of squares around)^-beta within each channel: squares, an average pooling, a power, a product. */
void cvi_caffe_lrn_within(cvi_caffe *c) {
    int64_t size = cvi_caffe_int(c, "local_size", NULL, 0, 5), pad = (size - 1) / 2;
    if (cvi_build_ok(&c->b) && (size < 1 || size % 2 == 0)) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE, "%s is %lld, an odd number from 1 on is needed",
                                      "local_size", (long long)size));
    }
    double alpha = cvi_caffe_number(c, "alpha", NULL, 0, 1),
           beta = cvi_caffe_number(c, "beta", NULL, 0, 0.75);
    int v = cvi_caffe_op(c, "Mul", "squares", 2, (int[]){c->in[0], c->in[0]});
    v = cvi_caffe_op(c, "AveragePool", "around", 1, &v);
    cvi_build_ints(&c->b, "kernel_shape", 2, (int64_t[]){size, size});
    cvi_build_ints(&c->b, "strides", 2, (int64_t[]){1, 1});
    cvi_build_ints(&c->b, "pads", 4, (int64_t[]){pad, pad, pad, pad});
    cvi_build_int(&c->b, "count_include_pad", 1);
    v = with(c, "Mul", "scaled", v, "alpha", alpha);
    v = with(c, "Add", "shifted", v, "one", 1);
    v = with(c, "Pow", "divisor", v, "beta", -beta);
    cvi_caffe_top(c, 0, cvi_caffe_op(c, "Mul", NULL, 2, (int[]){c->in[0], v}));
}

/* ---- along axes ---- */

/* All axes from `axis` on become one number. */
void cvi_caffe_reduction(cvi_caffe *c) {
    static const char *const names[] = {"SUM", "ASUM", "SUMSQ", "MEAN"}, *const ops[] = {
                                                                             "ReduceSum", "ReduceL1",
                                                                             "ReduceSumSquare", "ReduceMean"};
    const char *how = cvi_caffe_word(c, "operation", "SUM");
    int rank = cvi_caffe_rank(c, c->in[0]), axis = cvi_caffe_axis(c, "axis", NULL, 0, rank), op = -1;
    double times = cvi_caffe_number(c, "coeff", NULL, 0, 1);
    int64_t axes[CVS_MAX_RANK];
    for (int i = 0; i < 4; i++) {
        op = cvi_caffe_same(how, names[i]) || (how[0] == '1' + i && !how[1]) ? i : op;
    }
    if (op < 0) {
        box(c);
        return;
    }
    for (int i = axis; i < rank; i++) {
        axes[i - axis] = i;
    }
    int in[2] = {c->in[0], cvi_caffe_ints(c, "axes", rank - axis, axes)};
    int v = cvi_caffe_op(c, ops[op], times != 1 ? "sum" : NULL, 2, in);
    cvi_build_int(&c->b, "keepdims", 0);
    cvi_caffe_top(c, 0, times != 1 ? with(c, "Mul", NULL, v, "coefficient", times) : v);
}

/* Places of the largest numbers as numbers, or these themselves; without an axis of all of a picture. */
void cvi_caffe_arg_max(cvi_caffe *c) {
    bool values = cvi_caffe_bool(c, "out_max_val", NULL, false),
         along = cvi_caffe_field(cvi_caffe_params(c), "axis", 0) != NULL;
    int64_t top = cvi_caffe_int(c, "top_k", NULL, 0, 1), one = 1;
    int rank = cvi_caffe_rank(c, c->in[0]), axis = cvi_caffe_axis(c, "axis", NULL, 1, rank), x = c->in[0];
    if (cvi_build_ok(&c->b) && top < 1) {
        cvi_build_set(&c->b, cvi_fail(c->b.err, CVS_E_SHAPE, "%s holds %lld, the least allowed is %lld",
                                      "top_k", (long long)top, 1LL));
    }
    if (!along) {
        x = cvi_caffe_op(c, "Flatten", "flatten", 1, &x);
        cvi_build_int(&c->b, "axis", 1);
    }
    int in[2] = {x, cvi_caffe_ints(c, "k", 1, &top)};
    cvi_build_node(&c->b, "TopK", cvi_build_name(&c->b, "%s/top", c->layer->name), 2, in, 2);
    cvi_build_int(&c->b, "axis", along ? axis : 1);
    int value = cvi_build_out(&c->b, 0, cvi_build_name(&c->b, "%s/values", c->layer->name), true);
    int place = cvi_build_out(&c->b, 1, cvi_build_name(&c->b, "%s/places", c->layer->name), true);
    if (along && values) {
        cvi_caffe_top(c, 0, cvi_caffe_op(c, "Identity", NULL, 1, &value));
        return;
    }
    place = cvi_caffe_op(c, "Cast", along ? NULL : "numbers", 1, &place);
    cvi_build_int(&c->b, "to", 1);
    if (!along) { /* [N,1,k], or with the values [N,2,k], and ones up to the input's rank */
        int64_t axes[CVS_MAX_RANK] = {1};
        int more = 1;
        for (int i = 3; i < rank; i++) {
            axes[more++] = i;
        }
        int at = cvi_caffe_ints(c, "axes", more, axes);
        place = cvi_caffe_op(c, "Unsqueeze", values ? "places-line" : NULL, 2, (int[]){place, at});
        if (values) {
            value = cvi_caffe_op(c, "Unsqueeze", "values-line", 2, (int[]){value, at});
            place = cvi_caffe_op(c, "Concat", NULL, 2, (int[]){place, value});
            cvi_build_int(&c->b, "axis", one);
        }
    }
    cvi_caffe_top(c, 0, place);
}

/* ---- moves ---- */

/* Channels of `group` groups, one of each in turn. */
void cvi_caffe_shuffle(cvi_caffe *c) {
    int64_t group = cvi_caffe_int(c, "group", NULL, 0, 1);
    int64_t n = cvi_caffe_dim(c, c->in[0], 1), h = cvi_caffe_dim(c, c->in[0], 2);
    if (!cvi_build_ok(&c->b) || group < 1 || n < 1 || n % group || h < 1 || c->guessed ||
        cvi_caffe_rank(c, c->in[0]) != 4) {
        box(c);
        return;
    }
    const int64_t cut[4] = {0, group, n / group, -1}, whole[4] = {0, n, h, -1}, perm[4] = {0, 2, 1, 3};
    int v = cvi_caffe_op(c, "Reshape", "groups", 2, (int[]){c->in[0], cvi_caffe_ints(c, "cut", 4, cut)});
    v = cvi_caffe_op(c, "Transpose", "turned", 1, &v);
    cvi_build_ints(&c->b, "perm", 4, perm);
    cvi_caffe_top(c, 0,
                  cvi_caffe_op(c, "Reshape", NULL, 2, (int[]){v, cvi_caffe_ints(c, "whole", 4, whole)}));
}

/* One side of a resized picture: told, or zoomed and shrunk between its first and its last row. */
static int64_t resized(cvi_caffe *c, const char *side, int64_t now) {
    int64_t told = cvi_caffe_int(c, side, NULL, 0, 0), zoom = cvi_caffe_int(c, "zoom_factor", NULL, 0, 1),
            shrink = cvi_caffe_int(c, "shrink_factor", NULL, 0, 1);
    if (told > 0 || zoom < 1 || shrink < 1 || now < 1) {
        return told;
    }
    now = (now - 1) / shrink + 1;
    return now + (now - 1) * (zoom - 1); /* both of 32 bits */
}

/* Linear between corners that stay where they are. */
void cvi_caffe_interp(cvi_caffe *c) {
    int64_t size[2] = {resized(c, "height", cvi_caffe_dim(c, c->in[0], 2)),
                       resized(c, "width", cvi_caffe_dim(c, c->in[0], 3))};
    if (cvi_caffe_rank(c, c->in[0]) != 4 || size[0] < 1 || size[1] < 1 || c->n_in != 1 || c->guessed ||
        cvi_caffe_int(c, "pad_beg", NULL, 0, 0) != 0 || cvi_caffe_int(c, "pad_end", NULL, 0, 0) != 0) {
        box(c);
        return;
    }
    int in[4] = {c->in[0], -1, -1, cvi_caffe_ints(c, "size", 2, size)};
    int v = cvi_caffe_op(c, "Resize", NULL, 4, in);
    cvi_build_string(&c->b, "mode", "linear");
    cvi_build_string(&c->b, "coordinate_transformation_mode", "align_corners");
    cvi_build_ints(&c->b, "axes", 2, (int64_t[]){2, 3});
    cvi_caffe_top(c, 0, v);
}
