/* SPDX-License-Identifier: MIT
 * keras_attention.c - Keras layers that attend over a sequence x [N,T,D]: MultiHeadAttention, GroupedQueryAttention, Attention, AdditiveAttention. The rows of
 * softmax are a layer of their own, "<name>/scores" [N,heads,T,S], to be looked at. Other forms (masks that are inputs, several
 * attention axes) are drawn and not run.
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
    int64_t shared;     /* heads of keys and values; fewer than n: several heads of queries read one */
    bool bias;
} heads;

/* Each head of keys or values as often as heads of queries read it. */
static int repeated(cvi_keras *k, int v, const heads *h, int which) {
    int64_t *head = cvi_build_ok(&k->b) ? cvi_arena_alloc(k->b.model->arena, h->n, sizeof *head) : NULL;
    if (!head) {
        cvi_build_no_memory(&k->b, (size_t)h->n * sizeof *head);
        return -1;
    }
    for (int64_t i = 0; i < h->n; i++) {
        head[i] = i / (h->n / h->shared);
    }
    int list = cvi_keras_const_ints(k, which == 1 ? "key/of_heads" : "value/of_heads", (int)h->n, head);
    v = cvi_keras_op(k, "Gather", cvi_keras_part(k, which == 1 ? "key/shared" : "value/shared"), true, 2,
                     (int[]){v, list});
    cvi_build_int(&k->b, "axis", 1);
    return v;
}

/* x [N,T,D] times a kernel [D,heads,size], as [N,heads,T,size], or [N,heads,size,T] for keys. */
static int project(cvi_keras *k, cvi_keras_tensor *t, const heads *h, int which) {
    static const char *const parts[3][4] = {{"query", "query/product", "query/heads", "query/split"},
                                            {"key", "key/product", "key/heads", "key/split"},
                                            {"value", "value/product", "value/heads", "value/split"}};
    static const int64_t forward[4] = {0, 2, 1, 3}, across[4] = {0, 2, 3, 1};
    int64_t count = which ? h->shared : h->n, size = h->size[which], width = count * size,
            wide = k->source ? -1 : cvi_keras_dim(k, t, -1);
    cvi_keras_want kernel = {
        .name = "kernel", .rank = 3, .dim = {wide, count, size}, .out_rank = 2, .out_dim = {-1, width}};
    cvi_keras_want shift = {
        .name = "bias", .rank = 2, .dim = {count, size}, .out_rank = 1, .out_dim = {width}};
    int x = cvi_keras_form(k, t, false), w = cvi_keras_take(k, &kernel);
    int v = cvi_keras_op(k, "MatMul", cvi_keras_part(k, parts[which][h->bias]), h->bias, 2, (int[]){x, w});
    if (h->bias) {
        v = cvi_keras_op(k, "Add", cvi_keras_part(k, parts[which][0]), false, 2,
                         (int[]){v, cvi_keras_take(k, &shift)});
    }
    const int64_t shape[4] = {0, -1, count, size};
    v = cvi_keras_op(k, "Reshape", cvi_keras_part(k, parts[which][2]), true, 2,
                     (int[]){v, cvi_keras_const_ints(k, parts[which][3], 4, shape)});
    v = turned(k, v,
               which == 0   ? "query/turned"
               : which == 1 ? "key/turned"
                            : "value/turned",
               4, which == 1 ? across : forward);
    return count == h->n ? v : repeated(k, v, h, which);
}

/* What is added to scores [T,S] so that nothing looks ahead: 0, and -1e9 right of the diagonal. -1 where the lengths are not known. */
static int no_look_ahead(cvi_keras *k, cvi_keras_tensor *q, cvi_keras_tensor *keys) {
    int64_t t = cvi_keras_dim(k, q, 1), s = cvi_keras_dim(k, keys, 1), n = 0;
    const int64_t dim[2] = {t, s};
    float *m = t > 0 && s > 0 && cvi_mul(t, s, &n) ? cvi_build_filled(&k->b, n, 0) : NULL;
    for (int64_t i = 0; m && i < n; i++) {
        m[i] = i % s > i / s ? -1e9f : 0;
    }
    return m ? cvi_keras_const_floats(k, "ahead", 2, dim, m) : -1;
}

/* softmax(scores + mask) v; *seen: the rows of softmax. mask -1: none. */
static int mix(cvi_keras *k, int scores, int mask, int v, int *seen) {
    if (mask >= 0) {
        scores = cvi_keras_op(k, "Add", cvi_keras_part(k, "masked"), true, 2, (int[]){scores, mask});
    }
    scores = cvi_keras_op(k, "Softmax", cvi_keras_part(k, "scores"), false, 1, &scores);
    cvi_build_int(&k->b, "axis", -1);
    *seen = scores;
    return cvi_keras_op(k, "MatMul", cvi_keras_part(k, "attended"), true, 2, (int[]){scores, v});
}

/* Scores q k times a number; keys come turned. */
static int products(cvi_keras *k, int q, int keys, double factor) {
    int scores = cvi_keras_op(k, "MatMul", cvi_keras_part(k, "product"), true, 2, (int[]){q, keys});
    if (factor != 1) {
        scores = cvi_keras_op(k, "Mul", cvi_keras_part(k, "scaled"), true, 2,
                              (int[]){scores, cvi_keras_const_float(k, "factor", factor)});
    }
    return scores;
}

/* The second output where it is asked for. */
static void give_scores(cvi_keras *k, int scores, int rank) {
    k->more = cvi_build_ok(&k->b) ? cvi_arena_alloc(k->b.model->arena, 1, sizeof *k->more) : NULL;
    if (!k->more) {
        cvi_build_no_memory(&k->b, sizeof *k->more);
        return;
    }
    k->more[0] = cvi_keras_out(k, scores, rank, false);
    k->n_more = 1;
}

void cvi_keras_multi_head(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    enum { MOST_HEADS = 1 << 16 };
    heads h = {.n = cvi_keras_get_int(k, "num_heads", "num_query_heads", 0),
               .bias = cvi_keras_get_bool(k, "use_bias", NULL, true)};
    h.shared = cvi_keras_get_int(k, "num_key_value_heads", NULL, h.n);
    int at[3] = {place_of(k, "query", n, 0), place_of(k, "value", n, 1), -1};
    at[2] = place_of(k, "key", n, n > 2 ? 2 : at[1]);
    bool runs = n <= 3 && at[0] >= 0 && at[1] >= 0 && at[2] >= 0 && !says(k, "attention_mask") &&
                !json_is_true(cvi_keras_get(k, "use_gate", NULL)) &&
                !json_is_integer(cvi_keras_get(k, "sliding_window", NULL));
    int mask = -1, seen = -1;
    for (int i = 0; i < n; i++) {
        runs = runs && in[i]->rank == 3;
    }
    const json_t *shape = cvi_keras_get(k, "output_shape", NULL);
    if (!runs || h.n < 1 || h.n > MOST_HEADS || h.shared < 1 || h.n % h.shared ||
        (json_is_array(shape) && json_array_size(shape) > 1)) {
        cvi_keras_opaque(k, in, n, out);
        return;
    }
    if (says(k, "use_causal_mask")) {
        mask = no_look_ahead(k, in[at[0]], in[at[1]]);
        if (mask < 0) {
            cvi_keras_opaque(k, in, n, out);
            return;
        }
    }
    h.size[0] = h.size[1] = cvi_keras_get_int(k, "key_dim", "head_dim", 0);
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
    v = mix(k, products(k, q, keys, 1 / sqrt((double)h.size[0])), mask, v, &seen);
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
    if (says(k, "return_attention_scores")) {
        give_scores(k, seen, 4);
    }
}

/* ---- Attention, AdditiveAttention ---- */

/* q [N,T,D] and keys [N,S,D]: scores [N,T,S], the sum of tanh(q + key), weighted. */
static int sums(cvi_keras *k, int q, int keys, int scale, int each, int weight) {
    const int64_t two = 2, one = 1, last = -1;
    q = cvi_keras_op(k, "Unsqueeze", cvi_keras_part(k, "rows"), true, 2,
                     (int[]){q, cvi_keras_const_ints(k, "axis", 1, &two)});
    keys = cvi_keras_op(k, "Unsqueeze", cvi_keras_part(k, "columns"), true, 2,
                        (int[]){keys, cvi_keras_const_ints(k, "axis", 1, &one)});
    int v = cvi_keras_op(k, "Add", cvi_keras_part(k, "sums"), true, 2, (int[]){q, keys});
    if (scale >= 0) {
        v = cvi_keras_op(k, "Mul", cvi_keras_part(k, "scaled"), true, 2, (int[]){v, scale});
    }
    v = cvi_keras_op(k, "Tanh", cvi_keras_part(k, "bounded"), true, 1, &v);
    if (each >= 0) {
        v = cvi_keras_op(k, "Mul", cvi_keras_part(k, "weighted"), true, 2, (int[]){v, each});
    }
    v = cvi_keras_op(k, "ReduceSum", cvi_keras_part(k, "summed"), true, 2,
                     (int[]){v, cvi_keras_const_ints(k, "axis", 1, &last)});
    cvi_build_int(&k->b, "keepdims", 0);
    return weight < 0 ? v : cvi_keras_op(k, "Mul", cvi_keras_part(k, "times"), true, 2, (int[]){v, weight});
}

/* Attention()([query, value, key]), AdditiveAttention the same. */
void cvi_keras_attention(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    bool additive = strcmp(k->layer->class_name, "AdditiveAttention") == 0, runs = n >= 2 && n <= 3;
    bool concat = strcmp(cvi_keras_get_string(k, "score_mode", NULL, "dot"), "concat") == 0;
    bool scaled = cvi_keras_get_bool(k, "use_scale", NULL, additive);
    int mask = -1, seen = -1, scale = -1, weight = -1, scores;
    for (int i = 0; i < n; i++) {
        runs = runs && in[i]->rank == 3;
    }
    if (runs && says(k, "use_causal_mask")) {
        mask = no_look_ahead(k, in[0], in[n > 2 ? 2 : 1]);
        runs = mask >= 0;
    }
    if (!runs) {
        cvi_keras_opaque(k, in, n, out);
        return;
    }
    if (scaled) {
        int64_t width = k->source ? -1 : cvi_keras_dim(k, in[0], -1);
        scale = cvi_keras_take(k, &(cvi_keras_want){.name = "scale", .rank = additive, .dim = {width}});
    }
    if (concat) {
        weight = cvi_keras_take(k, &(cvi_keras_want){.name = "concat_score_weight", .rank = 0});
    }
    int q = cvi_keras_form(k, in[0], false), keys = cvi_keras_form(k, in[n > 2 ? 2 : 1], false);
    if (additive || concat) {
        scores = sums(k, q, keys, additive ? -1 : scale, additive ? scale : -1, weight);
    } else {
        keys = turned(k, keys, "keys", 3, (const int64_t[]){0, 2, 1});
        scores = products(k, q, keys, 1);
        if (scale >= 0) {
            scores = cvi_keras_op(k, "Mul", cvi_keras_part(k, "scaled"), true, 2, (int[]){scores, scale});
        }
    }
    int v = mix(k, scores, mask, cvi_keras_form(k, in[1], false), &seen);
    v = cvi_keras_op(k, "Identity", k->name, false, 1, &v);
    *out = cvi_keras_settle(k, v, 3);
    if (says(k, "return_attention_scores")) {
        give_scores(k, seen, 3);
    }
}

/* ---- Dot ---- */

/* Two sequences [N,A,B] times each other along an axis each, or two rows [N,A]: [N,1]. */
void cvi_keras_dot(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    const json_t *axes = cvi_keras_get(k, "axes", NULL);
    const int64_t turn[3] = {0, 2, 1}, last = -1;
    int rank = n == 2 ? in[0]->rank : 0, v[2];
    bool runs = (rank == 2 || rank == 3) && in[1]->rank == rank;
    for (int i = 0; i < 2 && runs; i++) {
        const json_t *a = json_is_array(axes) ? json_array_get(axes, (size_t)i) : axes;
        int64_t axis = json_integer_value(a);
        axis += axis < 0 ? rank : 0;
        runs = json_is_integer(a) && axis >= 1 && axis < rank;
        v[i] = cvi_keras_form(k, in[i], false);
        if (runs && cvi_keras_get_bool(k, "normalize", NULL, false)) {
            v[i] =
                cvi_keras_op(k, "LpNormalization", cvi_keras_part(k, i ? "second" : "first"), true, 1, &v[i]);
            cvi_build_int(&k->b, "axis", axis);
            cvi_build_int(&k->b, "p", 2);
        }
        if (runs && rank == 3 && axis != (i ? 1 : 2)) {
            v[i] = turned(k, v[i], i ? "second/turned" : "first/turned", 3, turn);
        }
    }
    if (!runs) {
        cvi_keras_opaque(k, in, n, out);
        return;
    }
    if (rank == 3) {
        *out = cvi_keras_settle(k, cvi_keras_op(k, "MatMul", k->name, false, 2, v), 3);
        return;
    }
    int p = cvi_keras_op(k, "Mul", cvi_keras_part(k, "product"), true, 2, v);
    p = cvi_keras_op(k, "ReduceSum", k->name, false, 2,
                     (int[]){p, cvi_keras_const_ints(k, "axis", 1, &last)});
    *out = cvi_keras_out(k, p, 2, false);
}
