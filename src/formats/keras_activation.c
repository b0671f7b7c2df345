/* SPDX-License-Identifier: MIT
 * keras_activation.c - Keras activations: names and objects in an "activation" setting, and the layers ReLU, LeakyReLU,
 * PReLU, ELU, Softmax...; what the graph has no operator for is composed of ones it has.
 */
#include "formats/keras.h"

#include <ctype.h>

/* A setting of an activation object's own config. */
static double number(const json_t *config, const char *key, const char *old_key, double otherwise) {
    const json_t *v = json_object_get(config, key);
    v = v || !old_key ? v : json_object_get(config, old_key);
    if (json_is_object(v)) { /* a float kept as {"value": x} by some versions */
        v = json_object_get(v, "value");
    }
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

typedef struct use {
    cvi_keras *k;
    cvi_keras_tensor *t;
    const json_t *config; /* may be NULL */
    const char *name;     /* of the result */
    int x;                /* the named value of t */
} use;

static int unary(use *u, const char *op) {
    return cvi_keras_op(u->k, op, u->name, false, 1, &u->x);
}

static int with_alpha(use *u, const char *op, double alpha) {
    int v = unary(u, op);
    cvi_build_float(&u->k->b, "alpha", alpha);
    return v;
}

static int softmax(use *u, const char *op) {
    const json_t *a = json_object_get(u->config, "axis");
    a = json_is_array(a) && json_array_size(a) == 1 ? json_array_get(a, 0) : a;
    if (json_is_array(a)) {
        cvi_keras_bad(u->k, "axis");
    }
    int axis = cvi_keras_axis(u->k, u->t, json_is_integer(a) ? json_integer_value(a) : -1);
    int v = unary(u, op);
    cvi_build_int(&u->k->b, "axis", axis);
    return v;
}

static int clip(use *u, int x, const char *name, bool has_low, double low, double high) {
    int in[3] = {x, has_low ? cvi_keras_const_float(u->k, "low", low) : -1,
                 cvi_keras_const_float(u->k, "high", high)};
    return cvi_keras_op(u->k, "Clip", name, false, 3, in);
}

static int relu(use *u) {
    double top = number(u->config, "max_value", NULL, -1),
           slope = number(u->config, "negative_slope", "alpha", 0);
    double threshold = number(u->config, "threshold", NULL, 0);
    bool capped = top >= 0;
    if (threshold != 0 && (slope != 0 || capped || threshold < 0)) {
        cvi_keras_bad(u->k, "threshold");
        return -1;
    }
    if (threshold != 0) {
        return with_alpha(u, "ThresholdedRelu", threshold);
    }
    if (slope == 0) {
        return capped ? clip(u, u->x, u->name, true, 0, top) : unary(u, "Relu");
    }
    if (!capped) {
        return with_alpha(u, "LeakyRelu", slope);
    }
    int v = cvi_keras_op(u->k, "LeakyRelu", cvi_keras_part(u->k, "leaky"), true, 1, &u->x);
    cvi_build_float(&u->k->b, "alpha", slope);
    return clip(u, v, u->name, false, 0, top);
}

static int relu6(use *u) {
    return clip(u, u->x, u->name, true, 0, 6);
}

static int leaky(
    use *
        u) { /* Keras 3 says negative_slope, Keras 2 alpha; the function's default differs from the layer's */
    bool layer = u->config != NULL;
    return with_alpha(u, "LeakyRelu", number(u->config, "negative_slope", "alpha", layer ? 0.3 : 0.2));
}

static int elu(use *u) {
    return with_alpha(u, "Elu", number(u->config, "alpha", NULL, 1));
}

static int thresholded(use *u) {
    return with_alpha(u, "ThresholdedRelu", number(u->config, "theta", NULL, 1));
}

static int hard_sigmoid(use *u) {
    int v = with_alpha(u, "HardSigmoid", u->k->version >= 3 ? 1.0 / 6 : 0.2);
    cvi_build_float(&u->k->b, "beta", 0.5);
    return v;
}

/* x * f(x) */
static int gated(use *u, const char *op, bool hard) {
    int v = cvi_keras_op(u->k, op, cvi_keras_part(u->k, "gate"), true, 1, &u->x);
    if (hard) {
        cvi_build_float(&u->k->b, "alpha", 1.0 / 6);
        cvi_build_float(&u->k->b, "beta", 0.5);
    }
    return cvi_keras_op(u->k, "Mul", u->name, false, 2, (int[]){u->x, v});
}

static int swish(use *u) {
    return gated(u, "Sigmoid", false);
}

static int hard_swish(use *u) {
    return gated(u, "HardSigmoid", true);
}

static int mish(use *u) {
    int v = cvi_keras_op(u->k, "Softplus", cvi_keras_part(u->k, "softplus"), true, 1, &u->x);
    v = cvi_keras_op(u->k, "Tanh", cvi_keras_part(u->k, "gate"), true, 1, &v);
    return cvi_keras_op(u->k, "Mul", u->name, false, 2, (int[]){u->x, v});
}

static int gelu(use *u) {
    const json_t *a = json_object_get(u->config, "approximate");
    int v = unary(u, "Gelu");
    cvi_build_string(&u->k->b, "approximate", json_is_true(a) ? "tanh" : "none");
    return v;
}

static int make_relu(use *u) {
    return relu(u);
}
static int make_softmax(use *u) {
    return softmax(u, "Softmax");
}
static int make_log_softmax(use *u) {
    return softmax(u, "LogSoftmax");
}
static int make_identity(use *u) {
    return unary(u, "Identity");
}
static int make_sigmoid(use *u) {
    return unary(u, "Sigmoid");
}
static int make_tanh(use *u) {
    return unary(u, "Tanh");
}
static int make_softplus(use *u) {
    return unary(u, "Softplus");
}
static int make_softsign(use *u) {
    return unary(u, "Softsign");
}
static int make_exp(use *u) {
    return unary(u, "Exp");
}
static int make_selu(use *u) {
    return unary(u, "Selu");
}

/* Names in lower case without underscores: function "leaky_relu" and class "LeakyReLU" are one row. */
static const struct {
    const char *name;
    int (*make)(use *u);
} rows[] = {{"linear", make_identity},
            {"relu", make_relu},
            {"relu6", relu6},
            {"leakyrelu", leaky},
            {"elu", elu},
            {"selu", make_selu},
            {"sigmoid", make_sigmoid},
            {"hardsigmoid", hard_sigmoid},
            {"tanh", make_tanh},
            {"softmax", make_softmax},
            {"logsoftmax", make_log_softmax},
            {"softplus", make_softplus},
            {"softsign", make_softsign},
            {"exponential", make_exp},
            {"swish", swish},
            {"silu", swish},
            {"hardswish", hard_swish},
            {"hardsilu", hard_swish},
            {"mish", mish},
            {"gelu", gelu},
            {"thresholdedrelu", thresholded}};

bool cvi_keras_activate_named(cvi_keras *k, cvi_keras_tensor *t, const char *what, const json_t *config,
                              cvi_keras_tensor *out) {
    char plain[40];
    size_t n = 0;
    const char *after = strrchr(what, '>'); /* "Custom>swish" */
    for (const char *p = after ? after + 1 : what; *p && n + 1 < sizeof plain; p++) {
        if (*p != '_') {
            plain[n++] = (char)tolower((unsigned char)*p);
        }
    }
    plain[n] = 0;
    use u = {.k = k, .t = t, .config = config, .name = k->name, .x = cvi_keras_value(t)};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        if (strcmp(rows[i].name, plain) == 0) {
            *out = cvi_keras_out(k, rows[i].make(&u), t->rank, t->moved);
            return true;
        }
    }
    return false;
}

static void apply(cvi_keras *k, cvi_keras_tensor *t, const char *what, const json_t *config,
                  cvi_keras_tensor *out) {
    if (cvi_keras_activate_named(k, t, what, config, out)) {
        return;
    }
    char op[80];
    int x = cvi_keras_value(t);
    snprintf(op, sizeof op, "keras::%.60s", *what ? what : "activation");
    *out = cvi_keras_out(k, cvi_keras_op(k, op, k->name, false, 1, &x), t->rank, t->moved);
    if (cvi_build_ok(&k->b)) {
        k->b.g->nodes[k->b.node].note = "unknown activation: drawn, not executed";
    }
}

/* Name and settings of an activation in a config: "relu", {"class_name": "ReLU", "config": {...}} or
 * {"class_name": "function", "config": "relu"}. NULL or "linear": none. */
static const char *resolve(const json_t *a, const json_t **config) {
    *config = NULL;
    if (json_is_string(a)) {
        return json_string_value(a);
    }
    const json_t *c = json_object_get(a, "config");
    if (json_is_string(c)) {
        return json_string_value(c);
    }
    *config = json_is_object(c) ? c : NULL;
    return cvi_json_string(a, "class_name", "linear");
}

bool cvi_keras_has_activation(const cvi_keras *k) {
    const json_t *config = NULL;
    const json_t *a = cvi_keras_get(k, "activation", NULL);
    return a && strcmp(resolve(a, &config), "linear") != 0;
}

void cvi_keras_activate(cvi_keras *k, cvi_keras_tensor *t, const json_t *activation, cvi_keras_tensor *out) {
    const json_t *config = NULL;
    const char *what = resolve(activation, &config);
    apply(k, t, what, config, out);
}

void cvi_keras_activation(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_activate(k, in[0], cvi_keras_get(k, "activation", NULL), out);
}

void cvi_keras_activation_class(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    apply(k, in[0], k->layer->class_name, k->layer->config, out);
}

/* alpha has the input's axes without the batch, 1 where shared. */
void cvi_keras_prelu(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    (void)n;
    cvi_keras_tensor *t = in[0];
    int rank = t->rank - 1, perm[CVS_MAX_RANK];
    const json_t *shared = cvi_keras_get(k, "shared_axes", NULL);
    cvi_keras_want want = {.name = "alpha", .rank = rank, .perm = t->moved ? perm : NULL};
    for (int i = 0; i < rank; i++) {
        perm[i] = i == 0 ? rank - 1 : i - 1;
        want.dim[i] = k->source ? -1 : cvi_keras_dim(k, t, i + 1);
    }
    for (size_t i = 0; i < json_array_size(shared); i++) {
        json_int_t axis = json_integer_value(json_array_get(shared, i));
        axis = axis < 0 ? axis + t->rank : axis;
        if (axis >= 1 && axis <= rank) {
            want.dim[axis - 1] = 1;
        }
    }
    int x[2] = {cvi_keras_value(t), cvi_keras_take(k, &want)};
    *out = cvi_keras_out(k, cvi_keras_op(k, "PRelu", k->name, false, 2, x), t->rank, t->moved);
}
