/* SPDX-License-Identifier: MIT
 * keras_attention.c - Keras layers that attend over a sequence x [N,T,D]: MultiHeadAttention and Attention (dot product). The rows of
 * softmax are a layer of their own, "<name>/scores" [N,heads,T,S], to be looked at. Other forms (masks, several attention axes) are
 * drawn and not run.
 */
#include <math.h>

#include "formats/keras.h"

/* Of the call's tensors the place of the one given by keyword, or `otherwise` where it was given without. */
static int place_of(const cvi_keras *k, const char *keyword, int n, int otherwise) {
    const json_t *call = k->call, *words = json_object_get(call, "kwargs");
    while (json_is_array(call) && json_array_size(call) == 1) {
        call = json_array_get(call, 0);
    }
    words = words ? words : json_array_get(call, 3); /* Keras 2: [layer, node, tensor, {keywords}] */
    int tensors = 0;
    const char *key = NULL;
    json_t *v = NULL;
    json_object_foreach((json_t *)(uintptr_t)words, key, v) {
        tensors += json_is_array(v) || json_is_object(v);
    }
    int at = n - tensors;
    json_object_foreach((json_t *)(uintptr_t)words, key, v) {
        if (strcmp(key, keyword) == 0 && (json_is_array(v) || json_is_object(v))) {
            return at;
        }
        at += json_is_array(v) || json_is_object(v);
    }
    return otherwise < n ? otherwise : -1;
}

static bool says(const cvi_keras *k, const char *keyword) {
    const json_t *call = k->call, *words = json_object_get(call, "kwargs");
    while (json_is_array(call) && json_array_size(call) == 1) {
        call = json_array_get(call, 0);
    }
    words = words ? words : json_array_get(call, 3);
    const json_t *v = json_object_get(words, keyword);
    return v && !json_is_null(v) && !json_is_false(v);
}

static int turned(cvi_keras *k, int x, const char *part, int rank, const int64_t *perm) {
    int v = cvi_keras_op(k, "Transpose", cvi_keras_part(k, part), true, 1, &x);
    cvi_build_ints(&k->b, "perm", rank, perm);
    return v;
}

/* Queries, keys and values of several heads. */
typedef struct heads {
    int64_t n, size[3]; /* of a query, key and value of one head */
    bool bias;
} heads;

/* x [N,T,D] times a kernel [D,heads,size], as [N,heads,T,size], or [N,heads,size,T] for keys. */
static int project(cvi_keras *k, cvi_keras_tensor *t, const heads *h, int which) {
    static const char *const parts[3][4] = {{"query", "query/product", "query/heads", "query/split"},
                                            {"key", "key/product", "key/heads", "key/split"},
                                            {"value", "value/product", "value/heads", "value/split"}};
    static const int64_t forward[4] = {0, 2, 1, 3}, across[4] = {0, 2, 3, 1};
    int64_t size = h->size[which], width = h->n * size, wide = k->source ? -1 : cvi_keras_dim(k, t, -1);
    cvi_keras_want kernel = {
        .name = "kernel", .rank = 3, .dim = {wide, h->n, size}, .out_rank = 2, .out_dim = {-1, width}};
    cvi_keras_want shift = {
        .name = "bias", .rank = 2, .dim = {h->n, size}, .out_rank = 1, .out_dim = {width}};
    int x = cvi_keras_form(k, t, false), w = cvi_keras_take(k, &kernel);
    int v = cvi_keras_op(k, "MatMul", cvi_keras_part(k, parts[which][h->bias]), h->bias, 2, (int[]){x, w});
    if (h->bias) {
        v = cvi_keras_op(k, "Add", cvi_keras_part(k, parts[which][0]), false, 2,
                         (int[]){v, cvi_keras_take(k, &shift)});
    }
    const int64_t shape[4] = {0, -1, h->n, size};
    v = cvi_keras_op(k, "Reshape", cvi_keras_part(k, parts[which][2]), true, 2,
                     (int[]){v, cvi_keras_const_ints(k, parts[which][3], 4, shape)});
    return turned(k, v,
                  which == 0   ? "query/turned"
                  : which == 1 ? "key/turned"
                               : "value/turned",
                  4, which == 1 ? across : forward);
}

/* softmax(q k / sqrt(size)) v; keys come turned. */
static int attend(cvi_keras *k, int q, int keys, int v, double factor) {
    int scores = cvi_keras_op(k, "MatMul", cvi_keras_part(k, "product"), true, 2, (int[]){q, keys});
    if (factor != 1) {
        scores = cvi_keras_op(k, "Mul", cvi_keras_part(k, "scaled"), true, 2,
                              (int[]){scores, cvi_keras_const_float(k, "factor", factor)});
    }
    scores = cvi_keras_op(k, "Softmax", cvi_keras_part(k, "scores"), false, 1, &scores);
    cvi_build_int(&k->b, "axis", -1);
    return cvi_keras_op(k, "MatMul", cvi_keras_part(k, "attended"), true, 2, (int[]){scores, v});
}

void cvi_keras_multi_head(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    heads h = {.n = cvi_keras_get_int(k, "num_heads", NULL, 0),
               .bias = cvi_keras_get_bool(k, "use_bias", NULL, true)};
    int at[3] = {place_of(k, "query", n, 0), place_of(k, "value", n, 1), -1};
    at[2] = place_of(k, "key", n, n > 2 ? 2 : at[1]);
    bool runs = n <= 3 && at[0] >= 0 && at[1] >= 0 && at[2] >= 0 && !says(k, "use_causal_mask") &&
                !says(k, "attention_mask") && !says(k, "return_attention_scores") &&
                !json_is_true(cvi_keras_get(k, "use_gate", NULL));
    for (int i = 0; i < n; i++) {
        runs = runs && in[i]->rank == 3;
    }
    const json_t *shape = cvi_keras_get(k, "output_shape", NULL);
    if (!runs || h.n < 1 || (json_is_array(shape) && json_array_size(shape) > 1)) {
        cvi_keras_opaque(k, in, n, out);
        return;
    }
    h.size[0] = h.size[1] = cvi_keras_get_int(k, "key_dim", NULL, 0);
    h.size[2] = cvi_keras_get_int(k, "value_dim", NULL, h.size[0]);
    int64_t said = cvi_keras_get_int(k, "output_shape", NULL, 0);
    said = json_is_array(shape) ? json_integer_value(json_array_get(shape, 0)) : said;
    if (h.size[0] < 1 || h.size[2] < 1) {
        cvi_keras_bad(k, "key_dim");
        return;
    }
    int64_t width = h.n * h.size[2], wide = said > 0 ? said : cvi_keras_dim(k, in[at[0]], -1);
    int q = project(k, in[at[0]], &h, 0), keys = project(k, in[at[2]], &h, 1),
        v = project(k, in[at[1]], &h, 2);
    v = attend(k, q, keys, v, 1 / sqrt((double)h.size[0]));
    v = turned(k, v, "turned", 4, (const int64_t[]){0, 2, 1, 3});
    v = cvi_keras_op(k, "Reshape", cvi_keras_part(k, "joined"), true, 2,
                     (int[]){v, cvi_keras_const_ints(k, "width", 3, (const int64_t[]){0, -1, width})});
    cvi_keras_want kernel = {.name = "kernel",
                             .rank = 3,
                             .dim = {h.n, h.size[2], k->source ? -1 : wide},
                             .out_rank = 2,
                             .out_dim = {width, -1}};
    int w = cvi_keras_take(k, &kernel);
    v = cvi_keras_op(k, "MatMul", h.bias ? cvi_keras_part(k, "output/product") : k->name, h.bias, 2,
                     (int[]){v, w});
    if (h.bias) {
        int b =
            cvi_keras_take(k, &(cvi_keras_want){.name = "bias", .rank = 1, .dim = {k->source ? -1 : wide}});
        v = cvi_keras_op(k, "Add", k->name, false, 2, (int[]){v, b});
    }
    *out = cvi_keras_settle(k, v, 3);
}

/* Attention()([query, value, key]) */
void cvi_keras_attention(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    bool runs = n >= 2 && n <= 3 && !says(k, "use_causal_mask") && !says(k, "return_attention_scores") &&
                strcmp(cvi_keras_get_string(k, "score_mode", NULL, "dot"), "dot") == 0 &&
                !cvi_keras_get_bool(k, "use_scale", NULL, false);
    for (int i = 0; i < n; i++) {
        runs = runs && in[i]->rank == 3;
    }
    if (!runs) {
        cvi_keras_opaque(k, in, n, out);
        return;
    }
    int keys = turned(k, cvi_keras_form(k, in[n > 2 ? 2 : 1], false), "keys", 3, (const int64_t[]){0, 2, 1});
    int v = attend(k, cvi_keras_form(k, in[0], false), keys, cvi_keras_form(k, in[1], false), 1);
    v = cvi_keras_op(k, "Identity", k->name, false, 1, &v);
    *out = cvi_keras_settle(k, v, 3);
}
