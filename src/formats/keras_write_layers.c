/* SPDX-License-Identifier: MIT
 * keras_write_layers.c - each operator as the layer of Keras that means exactly it (those with weights or windows: keras_write_conv.c). What no
 * layer means is refused by name rather than written nearly right.
 */
#include <math.h>

#include "formats/keras_write.h"
#include "ops/op.h"

static bool ok(const keras_writing *w) {
    return cvi_build_ok(&w->b);
}

/* The value is its input under another name. */
static void pass(keras_writing *w, const cvi_node *node) {
    w->value[node->out[0]] = w->value[node->in[0]];
    if (!w->value[node->in[0]].layer && !w->g->values[node->in[0]].constant) {
        cvi_keras_refuse(w, "an input that is no activation");
    }
}

/* ---- layers without ------------------------------------------------------------------------------------ */

static void put_global(keras_writing *w, const cvi_node *node, bool max, bool keep) {
    const cvs_tensor *t = cvi_keras_dims(w, node->in[0]);
    if (!t || t->rank != 4) {
        cvi_keras_refuse(w, "not of two spatial axes");
        return;
    }
    const char *x =
        w->value[node->in[0]].turned ? cvi_keras_turned(w, node->in[0]) : cvi_keras_lying(w, node->in[0]);
    const char *layer = cvi_keras_put_layer(
        w, max ? "GlobalMaxPooling2D" : "GlobalAveragePooling2D", w->label, 1, &x,
        ", \"data_format\": \"channels_last\", \"keepdims\": %s", keep ? "true" : "false");
    cvi_keras_give(w, layer, keep && w->value[node->in[0]].turned, w->value[node->in[0]].positive);
}

static void global_pool(keras_writing *w, const cvi_node *node) {
    (void)cvi_keras_turned(w, node->in[0]);
    if (ok(w) && !w->value[node->in[0]].turned) {
        cvi_keras_refuse(w, "channels that do not come last");
        return;
    }
    put_global(w, node, strcmp(node->op, "GlobalMaxPool") == 0, true);
}

/* The mean over height and width. */
static void reduce(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *axes = cvi_keras_dims(w, cvi_keras_input(node, 1));
    bool turned = w->value[node->in[0]].turned, keep = cvi_node_int(node, "keepdims", 1) != 0;
    int64_t sum = 0;
    for (int i = 0; axes && axes->data && axes->dtype == CVS_I64 && i < 2 && cvs_tensor_count(axes) == 2;
         i++) {
        int64_t a = ((const int64_t *)axes->data)[i];
        a = a < 0 ? a + 4 : a;
        sum += a == (turned ? 2 : 1) ? 1 : a == (turned ? 3 : 2) ? 2 : 10;
    }
    if (sum != 3) {
        cvi_keras_refuse(w, "a mean not over height and width");
        return;
    }
    put_global(w, node, strcmp(node->op, "ReduceMax") == 0, keep);
}

static void put_activation(keras_writing *w, const cvi_node *node, const char *name, bool positive) {
    bool turned = w->value[node->in[0]].turned;
    const char *x = turned ? cvi_keras_turned(w, node->in[0]) : cvi_keras_lying(w, node->in[0]);
    cvi_keras_give(w, cvi_keras_put_layer(w, "Activation", w->label, 1, &x, ", \"activation\": \"%s\"", name),
                   turned, positive);
}

static void put_slope(keras_writing *w, const cvi_node *node, const char *class_name, const char *key,
                      double v, bool positive) {
    bool turned = w->value[node->in[0]].turned;
    const char *x = turned ? cvi_keras_turned(w, node->in[0]) : cvi_keras_lying(w, node->in[0]);
    cvi_keras_give(w, cvi_keras_put_layer(w, class_name, w->label, 1, &x, ", \"%s\": %.9g", key, v), turned,
                   positive);
}

static double number(keras_writing *w, int v, double otherwise, bool *known) {
    const cvs_tensor *t = v >= 0 ? cvi_keras_floats(w, v) : NULL;
    *known &= v < 0 || (t && t->data && cvs_tensor_count(t) == 1);
    return t && t->data && cvs_tensor_count(t) == 1 ? (double)*(const float *)t->data : otherwise;
}

static void activation(keras_writing *w, const cvi_node *node) {
    static const struct {
        const char *op, *name;
        bool positive;
    } of[] = {{"Relu", "relu", true},
              {"Sigmoid", "sigmoid", true},
              {"Tanh", "tanh", false},
              {"Selu", "selu", false},
              {"Softplus", "softplus", true},
              {"Softsign", "softsign", false},
              {"HardSwish", "hard_silu", false},
              {"Exp", "exponential", true},
              {"Mish", "mish", false}};
    for (int i = 0; i < CVI_COUNT(of); i++) {
        if (strcmp(of[i].op, node->op) == 0) {
            put_activation(w, node, of[i].name, of[i].positive);
            return;
        }
    }
    if (strcmp(node->op, "Swish") == 0 && cvi_node_float(node, "alpha", 1) == 1) {
        put_activation(w, node, "silu", false);
    } else if (strcmp(node->op, "LeakyRelu") == 0) {
        put_slope(w, node, "LeakyReLU", "negative_slope", cvi_node_float(node, "alpha", 0.01), false);
    } else if (strcmp(node->op, "Elu") == 0) {
        put_slope(w, node, "ELU", "alpha", cvi_node_float(node, "alpha", 1), false);
    } else if (strcmp(node->op, "Gelu") == 0 &&
               strcmp(cvi_node_string(node, "approximate", "none"), "none") == 0) {
        put_activation(w, node, "gelu", false);
    } else if (strcmp(node->op, "HardSigmoid") == 0 &&
               fabs(cvi_node_float(node, "alpha", 0.2) - 1.0 / 6) < 1e-6 &&
               cvi_node_float(node, "beta", 0.5) == 0.5) {
        put_activation(w, node, "hard_sigmoid", true);
    } else {
        cvi_keras_refuse(w, "its settings");
    }
}

static void clip(keras_writing *w, const cvi_node *node) {
    bool known = true;
    double low = number(w, cvi_keras_input(node, 1), -HUGE_VAL, &known),
           high = number(w, cvi_keras_input(node, 2), HUGE_VAL, &known);
    if (!known || low != 0) {
        cvi_keras_refuse(w, "bounds other than 0 and a number");
    } else if (high >= 3e38) {
        put_activation(w, node, "relu", true);
    } else {
        put_slope(w, node, "ReLU", "max_value", high, true);
    }
}

static void softmax(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *t = cvi_keras_dims(w, node->in[0]);
    bool turned = w->value[node->in[0]].turned;
    int64_t axis = cvi_node_int(node, "axis", -1);
    axis = t && axis < 0 ? axis + t->rank : axis;
    if (!t || axis != (turned ? 1 : t->rank - 1)) {
        cvi_keras_refuse(w, "not along the channels");
        return;
    }
    const char *x = turned ? cvi_keras_turned(w, node->in[0]) : cvi_keras_lying(w, node->in[0]);
    cvi_keras_give(w, cvi_keras_put_layer(w, "Softmax", w->label, 1, &x, ", \"axis\": -1"), turned, true);
}

/* The axis that the node itself leaves open (-1 in its wanted shape): what depends on the picture's size stays so. -1: none. */
static int open_axis(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *wanted = cvi_keras_dims(w, cvi_keras_input(node, 1));
    bool given = strcmp(node->op, "Reshape") == 0 && wanted && wanted->data && wanted->dtype == CVS_I64;
    for (int64_t d = 0; given && d < cvs_tensor_count(wanted); d++) {
        if (((const int64_t *)wanted->data)[d] == -1) {
            return (int)d;
        }
    }
    return -1;
}

/* Any change of shape that keeps the order of the numbers and the batch. */
static void reshape(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *x = cvi_keras_dims(w, node->in[0]), *y = cvi_keras_dims(w, node->out[0]);
    char shape[100] = "";
    if (!x || !y || x->dim[0] != y->dim[0] || y->rank < 2 || y->rank > 4 || x->rank > 4) {
        cvi_keras_refuse(w, "a shape that is not known, or over the batch");
        return;
    }
    /* One pixel or one channel: both orders are the same numbers. */
    bool same = x->rank == 4 && (x->dim[1] == 1 || x->dim[2] * x->dim[3] == 1);
    const char *in = same ? w->value[node->in[0]].layer : cvi_keras_lying(w, node->in[0]);
    bool turned = y->rank == 4 && y->dim[2] * y->dim[3] == 1; /* [N,C,1,1] is wanted as [N,1,1,C] */
    const char *layer;
    if (y->rank == 2) {
        layer = cvi_keras_put_layer(w, "Flatten", w->label, 1, &in, ", \"data_format\": \"channels_last\"");
    } else {
        for (int d = 1, open = open_axis(w, node); d < y->rank; d++) {
            size_t n = strlen(shape);
            int from = !turned ? d : d == 3 ? 1 : d + 1;
            snprintf(shape + n, sizeof shape - n, "%s%lld", d > 1 ? ", " : "",
                     (long long)(from == open ? -1 : y->dim[from]));
        }
        layer = cvi_keras_put_layer(w, "Reshape", w->label, 1, &in, ", \"target_shape\": [%s]", shape);
    }
    cvi_keras_give(w, layer, turned, w->value[node->in[0]].positive);
}

static void transpose(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *x = cvi_keras_dims(w, node->in[0]);
    int64_t perm[4] = {0};
    int n = cvi_node_ints(node, "perm", perm, 4, 0);
    keras_value *from = &w->value[node->in[0]];
    if (!x || n != x->rank || perm[0] != 0 || !from->layer || n < 3) {
        cvi_keras_refuse(w, "axes with the batch among them");
        return;
    }
    if (n == 4 && from->turned && perm[1] == 2 && perm[2] == 3) { /* it lies so already */
        w->value[node->out[0]] = (keras_value){.layer = from->layer, .positive = from->positive};
    } else if (n == 4 && !from->turned && perm[1] == 3 && perm[2] == 1) {
        w->value[node->out[0]] =
            (keras_value){.layer = from->layer, .turned = true, .positive = from->positive};
    } else {
        const char *in = cvi_keras_lying(w, node->in[0]);
        const char *layer =
            n == 3 ? cvi_keras_put_layer(w, "Permute", w->label, 1, &in, ", \"dims\": [%lld, %lld]",
                                         (long long)perm[1], (long long)perm[2])
                   : cvi_keras_put_layer(w, "Permute", w->label, 1, &in, ", \"dims\": [%lld, %lld, %lld]",
                                         (long long)perm[1], (long long)perm[2], (long long)perm[3]);
        cvi_keras_give(w, layer, false, from->positive);
    }
}

/* y = x * scale + offset, one of each a channel, as a normalisation that normalises nothing: mean 0, variance 1, epsilon 0. */
static const char *put_channels(keras_writing *w, const char *in, const cvs_tensor *t, char op) {
    static const char *const names[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    int64_t n = cvs_tensor_count(t);
    const char *layer =
        cvi_keras_put_layer(w, "BatchNormalization", w->label, 1, &in,
                            ", \"axis\": -1, \"epsilon\": 0.0, \"center\": true, \"scale\": true");
    for (int k = 0; k < 4; k++) {
        float *out = cvi_keras_put_weight(w, layer, names[k], 1, &n);
        for (int64_t i = 0; out && i < n; i++) {
            float c = ((const float *)t->data)[i];
            c = op == 'S' ? -c : op == 'D' ? 1 / c : c;
            bool scales = op == 'M' || op == 'D';
            out[i] = k == 0 ? (scales ? c : 1) : k == 1 ? (scales ? 0 : c) : k == 2 ? 0 : 1;
        }
    }
    return layer;
}

/* An activation and a constant, one number for all or one a channel. */
static void put_affine(keras_writing *w, const cvi_node *node, int v, const cvs_tensor *t) {
    char op = node->op[0]; /* Add, Sub, Mul, Div */
    const cvs_tensor *x = cvi_keras_dims(w, v);
    bool turned = w->value[v].turned;
    int64_t n = cvs_tensor_count(t);
    int channel = turned ? t->rank - 3 : t->rank - 1;
    bool fits = n == 1 || (x && channel >= 0 && cvi_keras_dim(t, channel) == n &&
                           n == x->dim[turned ? 1 : x->rank - 1]);
    if (!fits || !t->data || (node->in[0] != v && (op == 'S' || op == 'D'))) {
        cvi_keras_refuse(w, "a constant that is not one number, or one a channel");
        return;
    }
    const char *in = turned ? cvi_keras_turned(w, v) : cvi_keras_lying(w, v), *layer;
    double c = (double)*(const float *)t->data;
    if (n > 1) {
        layer = put_channels(w, in, t, op);
    } else {
        layer = cvi_keras_put_layer(w, "Rescaling", w->label, 1, &in, ", \"scale\": %.9g, \"offset\": %.9g",
                                    op == 'M'   ? c
                                    : op == 'D' ? 1 / c
                                                : 1,
                                    op == 'A'   ? c
                                    : op == 'S' ? -c
                                                : 0);
    }
    cvi_keras_give(w, layer, turned, false);
}

static void merge(keras_writing *w, const cvi_node *node) {
    static const struct {
        const char *op, *class_name;
        bool affine, positive;
    } of[] = {{"Add", "Add", true, true},       {"Sum", "Add", false, true},
              {"Sub", "Subtract", true, false}, {"Mul", "Multiply", true, true},
              {"Max", "Maximum", false, true},  {"Min", "Minimum", false, true},
              {"Mean", "Average", false, true}, {"Div", NULL, true, false}};
    int k = 0;
    while (k + 1 < CVI_COUNT(of) && strcmp(of[k].op, node->op) != 0) {
        k++;
    }
    const char *in[8];
    bool turned = false, positive = of[k].positive;
    for (int i = 0; i < node->n_in; i++) {
        const cvs_tensor *t = cvi_keras_floats(w, node->in[i]);
        if (t && !w->value[node->in[i]].layer && of[k].affine && node->n_in == 2) {
            put_affine(w, node, node->in[1 - i], t);
            return;
        }
        t = cvi_keras_dims(w, node->in[i]);
        const cvs_tensor *first = cvi_keras_dims(w, node->in[0]);
        if (!t || !first || t->rank != first->rank) {
            cvi_keras_refuse(w, "inputs of different numbers of axes");
            return;
        }
        turned |= w->value[node->in[i]].turned;
        positive &= w->value[node->in[i]].positive;
    }
    if (node->n_in > CVI_COUNT(in) || node->n_in < 2 || !of[k].class_name) {
        cvi_keras_refuse(w, "its inputs");
        return;
    }
    for (int i = 0; i < node->n_in; i++) {
        in[i] = turned ? cvi_keras_turned(w, node->in[i]) : cvi_keras_lying(w, node->in[i]);
    }
    cvi_keras_give(w, cvi_keras_put_layer(w, of[k].class_name, w->label, node->n_in, in, "%s", ""), turned,
                   positive);
}

static void concat(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *t = cvi_keras_dims(w, node->in[0]);
    int64_t axis = cvi_node_int(node, "axis", 1);
    bool turned = false, positive = true;
    const char **in = cvi_arena_alloc(w->b.model->arena, node->n_in, sizeof *in);
    if (!t || !in) {
        cvi_keras_refuse(w, "a shape that is not known");
        return;
    }
    for (int i = 0; i < node->n_in; i++) {
        turned |= w->value[node->in[i]].turned;
        positive &= w->value[node->in[i]].positive;
    }
    axis = axis < 0 ? axis + t->rank : axis;
    axis = !turned || axis == 0 ? axis : axis == 1 ? 3 : axis - 1;
    if (axis == 0) {
        cvi_keras_refuse(w, "axes with the batch among them");
        return;
    }
    for (int i = 0; i < node->n_in; i++) {
        in[i] = turned ? cvi_keras_turned(w, node->in[i]) : cvi_keras_lying(w, node->in[i]);
    }
    cvi_keras_give(
        w,
        cvi_keras_put_layer(w, "Concatenate", w->label, node->n_in, in, ", \"axis\": %lld", (long long)axis),
        turned, positive);
}

static void pad(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *t = cvi_keras_dims(w, node->in[0]), *p = cvi_keras_dims(w, cvi_keras_input(node, 1));
    bool known = true, turned = w->value[node->in[0]].turned;
    double value = number(w, cvi_keras_input(node, 2), 0, &known);
    if (!t || t->rank != 4 || !p || !p->data || p->dtype != CVS_I64 || cvs_tensor_count(p) != 8 ||
        cvi_keras_input(node, 3) >= 0 || !known || value != 0 ||
        strcmp(cvi_node_string(node, "mode", "constant"), "constant") != 0) {
        cvi_keras_refuse(w, "a padding that Keras does not have");
        return;
    }
    const int64_t *n = p->data;
    int first = turned ? 2 : 1, channel = turned ? 1 : 3; /* of height; of the channels */
    if (n[0] || n[4] || n[channel] || n[4 + channel] || n[first] < 0 || n[first + 1] < 0 ||
        n[4 + first] < 0 || n[5 + first] < 0) {
        cvi_keras_refuse(w, "a padding that Keras does not have");
        return;
    }
    const char *x = turned ? cvi_keras_turned(w, node->in[0]) : cvi_keras_lying(w, node->in[0]);
    const char *layer = cvi_keras_put_layer(
        w, "ZeroPadding2D", w->label, 1, &x,
        ", \"padding\": [[%lld, %lld], [%lld, %lld]], \"data_format\": \"channels_last\"",
        (long long)n[first], (long long)n[4 + first], (long long)n[first + 1], (long long)n[5 + first]);
    cvi_keras_give(w, layer, turned, w->value[node->in[0]].positive);
}

static const int64_t *integers(keras_writing *w, int v, int64_t n) {
    const cvs_tensor *t = v >= 0 ? cvi_keras_dims(w, v) : NULL;
    return t && t->data && t->dtype == CVS_I64 && cvs_tensor_count(t) == n ? t->data : NULL;
}

/* A piece of height and width without gaps is what cropping leaves. */
static void slice(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *x = cvi_keras_dims(w, node->in[0]), *y = cvi_keras_dims(w, node->out[0]);
    const cvs_tensor *list = cvi_keras_dims(w, cvi_keras_input(node, 1));
    int64_t n = list ? cvs_tensor_count(list) : 0, cut[4][2] = {{0}};
    const int64_t *start = integers(w, cvi_keras_input(node, 1), n),
                  *axis = integers(w, cvi_keras_input(node, 3), n),
                  *step = integers(w, cvi_keras_input(node, 4), n);
    bool turned = w->value[node->in[0]].turned;
    bool fits = x && y && start && axis && x->rank == 4 && w->fixed && (step || cvi_keras_input(node, 4) < 0);
    for (int64_t i = 0; fits && i < n; i++) {
        int64_t a = axis[i] < 0 ? axis[i] + 4 : axis[i];
        fits = a >= 0 && a < 4 && (!step || step[i] == 1);
        if (fits) {
            cut[a][0] = CVI_MIN(start[i] < 0 ? start[i] + x->dim[a] : start[i], x->dim[a]);
            cut[a][1] = x->dim[a] - y->dim[a] - cut[a][0];
        }
    }
    int row = turned ? 2 : 1, channel = turned ? 1 : 3;
    for (int a = 0; a < 4 && fits; a++) {
        bool whole = cut[a][0] == 0 && cut[a][1] == 0;
        fits = cut[a][0] >= 0 && cut[a][1] >= 0 && (whole || (a != 0 && a != channel));
    }
    if (!fits) {
        cvi_keras_refuse(w, "not a piece of height and width");
        return;
    }
    const char *in = turned ? cvi_keras_turned(w, node->in[0]) : cvi_keras_lying(w, node->in[0]);
    const char *layer = cvi_keras_put_layer(
        w, "Cropping2D", w->label, 1, &in,
        ", \"cropping\": [[%lld, %lld], [%lld, %lld]], \"data_format\": \"channels_last\"",
        (long long)cut[row][0], (long long)cut[row][1], (long long)cut[row + 1][0],
        (long long)cut[row + 1][1]);
    cvi_keras_give(w, layer, turned, w->value[node->in[0]].positive);
}

static void resize(keras_writing *w, const cvi_node *node) {
    const cvs_tensor *x = cvi_keras_dims(w, node->in[0]), *y = cvi_keras_dims(w, node->out[0]);
    const char *mode = cvi_node_string(node, "mode", "nearest");
    const char *where = cvi_node_string(node, "coordinate_transformation_mode", "half_pixel");
    const char *round = cvi_node_string(node, "nearest_mode", "round_prefer_floor");
    bool nearest = strcmp(mode, "nearest") == 0;
    bool fits = x && y && x->rank == 4 && y->rank == 4 && y->dim[1] == x->dim[1];
    int64_t by[2] = {1, 1};
    for (int i = 0; i < 2 && fits; i++) {
        fits = x->dim[2 + i] > 0 && y->dim[2 + i] % x->dim[2 + i] == 0;
        by[i] = fits ? y->dim[2 + i] / x->dim[2 + i] : 1;
    }
    bool floors = strcmp(where, "asymmetric") == 0 && strcmp(round, "floor") == 0;
    bool halves = strcmp(where, "half_pixel") == 0 && (!nearest || strcmp(round, "round_prefer_floor") == 0 ||
                                                       strcmp(round, "round_prefer_ceil") == 0);
    if (!fits || !(halves || (nearest && floors)) || (!nearest && strcmp(mode, "linear") != 0)) {
        cvi_keras_refuse(w, "not by a whole number, or other sampling points");
        return;
    }
    const char *in = cvi_keras_turned(w, node->in[0]);
    const char *layer = cvi_keras_put_layer(
        w, "UpSampling2D", w->label, 1, &in,
        ", \"size\": [%lld, %lld], \"interpolation\": \"%s\", \"data_format\": \"channels_last\"",
        (long long)by[0], (long long)by[1], nearest ? "nearest" : "bilinear");
    cvi_keras_give(w, layer, true, w->value[node->in[0]].positive);
}

/* ---- the table ------------------------------------------------------------------------------------------ */

void cvi_keras_put_node(keras_writing *w, const cvi_node *node) {
    static const struct {
        const char *op;
        void (*put)(keras_writing *w, const cvi_node *node);
    } of[] = {{"Conv", cvi_keras_put_conv},
              {"ConvTranspose", cvi_keras_put_transposed},
              {"Gemm", cvi_keras_put_dense_layer},
              {"MatMul", cvi_keras_put_dense_layer},
              {"BatchNormalization", cvi_keras_put_norm},
              {"PRelu", cvi_keras_put_prelu},
              {"MaxPool", cvi_keras_put_pool},
              {"AveragePool", cvi_keras_put_pool},
              {"GlobalAveragePool", global_pool},
              {"GlobalMaxPool", global_pool},
              {"ReduceMean", reduce},
              {"ReduceMax", reduce},
              {"Relu", activation},
              {"Sigmoid", activation},
              {"Tanh", activation},
              {"Selu", activation},
              {"Softplus", activation},
              {"Softsign", activation},
              {"HardSwish", activation},
              {"Exp", activation},
              {"Mish", activation},
              {"Swish", activation},
              {"LeakyRelu", activation},
              {"Elu", activation},
              {"Gelu", activation},
              {"HardSigmoid", activation},
              {"Clip", clip},
              {"Softmax", softmax},
              {"Flatten", reshape},
              {"Reshape", reshape},
              {"Squeeze", reshape},
              {"Unsqueeze", reshape},
              {"Transpose", transpose},
              {"Add", merge},
              {"Sum", merge},
              {"Sub", merge},
              {"Mul", merge},
              {"Div", merge},
              {"Max", merge},
              {"Min", merge},
              {"Mean", merge},
              {"Concat", concat},
              {"Pad", pad},
              {"Resize", resize},
              {"Slice", slice},
              {"Identity", pass},
              {"Dropout", pass}};
    const cvs_tensor *y = node->n_out > 0 ? cvi_keras_dims(w, node->out[0]) : NULL;
    bool activates = false;
    for (int i = 0; i < node->n_in; i++) {
        activates |= node->in[i] >= 0 && w->value[node->in[i]].layer;
    }
    if (!ok(w) || (!activates && y && y->data)) { /* arithmetic of shapes: its numbers are known */
        return;
    }
    w->now = node;
    w->label = node->layer ? node->layer : node->name;
    for (int i = 0; i < CVI_COUNT(of); i++) {
        if (strcmp(of[i].op, node->op) == 0) {
            of[i].put(w, node);
            return;
        }
    }
    if (y && y->data) {
        return; /* Shape and its like: the numbers do not hang on the activation */
    }
    cvi_keras_refuse(w, "none of its kind");
}
