/* SPDX-License-Identifier: MIT
 * keras_operation.c - operations that a functional model applies to tensors without a layer: x + 3, a * b, tf.nn.relu6(x). Keras 2
 * keeps them as TFOpLambda with the function's name, Keras 3 as classes Add, Multiply... called with two arguments.
 */
#include "formats/keras.h"

#include <ctype.h>

static const char *const binary[][2] = {{"add", "Add"},      {"subtract", "Sub"},   {"sub", "Sub"},
                                        {"multiply", "Mul"}, {"mul", "Mul"},        {"truediv", "Div"},
                                        {"divide", "Div"},   {"truedivide", "Div"}, {"maximum", "Max"},
                                        {"minimum", "Min"},  {"pow", "Pow"},        {"power", "Pow"}};

/* Keras 3 says where a class comes from: "keras.src.ops.numpy"; in .h5 files it leaves that out, but only layers can be "trainable". */
static bool from_ops(const cvi_keras *k) {
    const char *module = cvi_json_string(k->layer->json, "module", "");
    const json_t *config = k->layer->config;
    bool none = module[0] == 0 && k->version >= 3 && json_is_object(config) &&
                json_array_size(json_object_get(k->call, "args")) > 0 &&
                !json_object_get(config, "trainable") && !json_object_get(config, "dtype");
    return none || (strncmp(module, "keras.", 6) == 0 && strstr(module, ".ops"));
}

/* The settings of a function that is an activation: Keras 3 keeps them as the layer's, Keras 2 as keywords of the call. */
static const json_t *settings_of(const cvi_keras *k) {
    static const char *const known[] = {"alpha", "axis", "approximate", "max_value", "negative_slope"};
    const json_t *call = k->call;
    if (from_ops(k)) {
        return k->layer->config;
    }
    while (json_is_array(call) && json_is_array(json_array_get(call, 0))) {
        call = json_array_get(call, 0);
    }
    for (int i = 0; i < CVI_COUNT(known); i++) {
        if (json_object_get(json_array_get(call, 3), known[i])) {
            return json_array_get(call, 3);
        }
    }
    return NULL;
}

bool cvi_keras_is_operation(const cvi_keras *k) {
    if (from_ops(k)) {
        return true;
    }
    const json_t *args = json_object_get(k->call, "args");
    bool layer =
        json_object_get(k->layer->config, "trainable") != NULL; /* MultiHeadAttention()(query, value) */
    return !layer && json_array_size(args) >= 2 && !json_is_array(json_array_get(args, 0));
}

/* The function's name in lower case without what stands before the last dot, without underscores. */
static void plain_name(const cvi_keras *k, char *out, size_t size) {
    const char *s = cvi_json_string(k->layer->config, "function", k->layer->class_name);
    const char *dot = strrchr(s, '.');
    size_t n = 0;
    for (const char *p = dot ? dot + 1 : s; *p && n + 1 < size; p++) {
        if (*p != '_') {
            out[n++] = (char)tolower((unsigned char)*p);
        }
    }
    out[n] = 0;
}

/* Operand i (0 or 1) as a number; false: it is a tensor. Keras 3: args; Keras 2: [name, node, tensor, {"y": operand}] or, with
 * a constant first, ["_CONSTANT_VALUE", -1, number, {"y": ...}]. */
static bool constant_operand(const cvi_keras *k, int i, double *out) {
    const json_t *call = k->call, *v = json_array_get(json_object_get(call, "args"), (size_t)i);
    if (json_is_array(call)) {
        call = json_is_array(json_array_get(call, 0)) ? json_array_get(call, 0) : call;
        bool first =
            strcmp(json_is_string(json_array_get(call, 0)) ? json_string_value(json_array_get(call, 0)) : "",
                   "_CONSTANT_VALUE") == 0;
        v = i == 1 ? json_object_get(json_array_get(call, 3), "y") : first ? json_array_get(call, 2) : NULL;
    }
    *out = json_number_value(v);
    return json_is_number(v);
}

/* Two operands, NumPy's broadcasting over Keras's own axes. */
static void apply_binary(cvi_keras *k, const char *op, cvi_keras_tensor *const *in, int n,
                         cvi_keras_tensor *out) {
    double number[2];
    cvi_keras_tensor *t[2] = {NULL, NULL};
    int next = 0, x[2];
    for (int i = 0; i < 2; i++) {
        if (!constant_operand(k, i, &number[i]) && next < n) {
            t[i] = in[next++];
        }
    }
    cvi_keras_tensor *like = !t[0] || (t[1] && t[1]->rank > t[0]->rank) ? t[1] : t[0];
    if (!like || next < n || (next < 2 && t[0] && t[1])) {
        cvi_keras_opaque(k, in, n, out);
        return;
    }
    bool alike = !t[0] || !t[1] || t[0]->rank == t[1]->rank, moved = alike && like->moved;
    for (int i = 0; i < 2; i++) {
        x[i] = t[i] ? cvi_keras_form(k, t[i], moved) : cvi_keras_const_float(k, "number", number[i]);
    }
    bool settle = !moved && like->moved;
    int v = cvi_keras_op(k, op, settle ? cvi_keras_part(k, "rows") : k->name, settle, 2, x);
    *out = settle ? cvi_keras_settle(k, v, like->rank) : cvi_keras_out(k, v, like->rank, moved);
}

void cvi_keras_operation(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    char name[40];
    double number = 0;
    /* A layer (it is "trainable") of an unknown class may do anything, whatever its name resembles. */
    if (!json_object_get(k->layer->config, "function") && json_object_get(k->layer->config, "trainable")) {
        cvi_keras_opaque(k, in, n, out);
        return;
    }
    plain_name(k, name, sizeof name);
    int operands = n + constant_operand(k, 0, &number) + constant_operand(k, 1, &number);
    for (int i = 0; i < CVI_COUNT(binary) && operands == 2; i++) {
        if (strcmp(binary[i][0], name) == 0) {
            apply_binary(k, binary[i][1], in, n, out);
            return;
        }
    }
    if (cvi_keras_lambda(k, in, n, out) || !cvi_build_ok(&k->b)) {
        return;
    }
    if (n != 1 || operands != 1 || !cvi_keras_activate_named(k, in[0], name, settings_of(k), out)) {
        cvi_keras_opaque(k, in, n, out);
    }
}
