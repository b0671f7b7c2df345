/* SPDX-License-Identifier: MIT
 * keras_recurrent.c - LSTM, GRU, SimpleRNN (and their CuDNN forms) and Bidirectional around them. Keras has samples first and no axis of
 * directions; the node reads steps first (what other programs run), so each direction is Transpose, node, Squeeze, Transpose. Kernels are
 * turned and their gates put into ONNX's order once.
 */
#include <ctype.h>

#include "formats/keras.h"

typedef struct cell {
    const char *word; /* in the class's name */
    const char *op;
    int gates, order[4]; /* order[k]: where Keras has ONNX's gate k */
} cell;
static const cell cells[] = {
    {"LSTM", "LSTM", 4, {0, 3, 1, 2}}, {"GRU", "GRU", 3, {0, 1, 2}}, {"SimpleRNN", "RNN", 1, {0}}};

static const cell *cell_of(const char *class) {
    const char *after = class ? strrchr(class, '>') : NULL;
    class = after ? after + 1 : class;
    for (int i = 0; class && i < CVI_COUNT(cells); i++) {
        bool fast = strncmp(class, "CuDNN", 5) == 0 && strcmp(class + 5, cells[i].word) == 0;
        if (fast || strcmp(class, cells[i].word) == 0) {
            return &cells[i];
        }
    }
    return NULL;
}

/* ---- settings -------------------------------------------------------------------------------------------------------- */

/* ONNX's name of an activation as a gate's function, with its numbers; NULL: it has none. */
static const char *function_of(const cvi_keras *k, const char *key, const char *old_key, const char *usual,
                               double *alpha, double *beta) {
    static const struct {
        const char *keras, *onnx;
        double alpha, beta;
    } known[] = {{"tanh", "Tanh", -1, -1},         {"sigmoid", "Sigmoid", -1, -1},
                 {"relu", "Relu", -1, -1},         {"softsign", "Softsign", -1, -1},
                 {"softplus", "Softplus", -1, -1}, {"elu", "Elu", 1, -1},
                 {"linear", "Affine", 1, 0},       {"hard_sigmoid", "HardSigmoid", 0, 0.5}};
    const json_t *v = cvi_keras_get(k, key, old_key);
    v = json_is_object(v) ? json_object_get(v, "class_name") : v;
    const char *name = json_is_string(v)       ? json_string_value(v)
                       : v && !json_is_null(v) ? ""
                       : v                     ? "linear"
                                               : usual;
    for (int i = 0; i < CVI_COUNT(known); i++) {
        if (strcmp(known[i].keras, name) == 0) {
            *alpha = strcmp(name, "hard_sigmoid") != 0 ? known[i].alpha : k->version >= 3 ? 1.0 / 6 : 0.2;
            *beta = known[i].beta;
            return known[i].onnx;
        }
    }
    return NULL;
}

typedef struct functions {
    int n, alphas, betas;
    const char *name[3];
    double alpha[3], beta[3];
} functions;

static bool add_function(functions *f, const char *name, double alpha, double beta) {
    if (!name) {
        return false;
    }
    f->name[f->n++] = name;
    if (alpha >= 0) {
        f->alpha[f->alphas++] = alpha;
    }
    if (beta >= 0) {
        f->beta[f->betas++] = beta;
    }
    return true;
}

static bool read_functions(const cvi_keras *k, const cell *c, functions *f) {
    double a = -1, b = -1, ra = -1, rb = -1;
    const char *usual = k->version < 2 ? "hard_sigmoid" : "sigmoid";
    const char *content = function_of(k, "activation", NULL, "tanh", &a, &b);
    const char *gate = function_of(k, "recurrent_activation", "inner_activation", usual, &ra, &rb);
    *f = (functions){0};
    bool ok = c->gates == 1 || add_function(f, gate, ra, rb);
    ok = ok && add_function(f, content, a, b);
    return ok && (c->gates != 4 || add_function(f, content, a, b));
}

static bool flag(const cvi_keras *k, const char *key) {
    return cvi_keras_get_bool(k, key, NULL, false);
}

/* What the layer at hand asks for that one node cannot give. */
static bool beyond(const cvi_keras *k, const cell *c) {
    functions f;
    return flag(k, "time_major") || !read_functions(k, c, &f);
}

/* ---- weights ---------------------------------------------------------------------------------------------------------- */

/* The constant v, whose numbers lie gate by gate `parts` times over, in ONNX's order and as [1,...]; `padded` has as many zeros behind. Done
 * once: v itself is changed, before anything reads it. */
static int arrange(cvi_keras *k, int v, const cell *c, int parts, bool padded, int rank, const int64_t *dim) {
    cvi_value *value = cvi_build_ok(&k->b) && v >= 0 ? &k->b.g->values[v] : NULL;
    if (!value || value->rank == rank) { /* by an earlier call of the layer */
        return v;
    }
    const cvs_tensor *old = value->constant;
    cvs_tensor t = {.dtype = old->dtype, .rank = rank};
    memcpy(t.dim, dim, (size_t)rank * sizeof *dim);
    t.bytes = old->data ? old->bytes * (padded ? 2 : 1) : 0;
    cvs_tensor *now = cvi_arena_alloc(k->b.model->arena, 1, sizeof *now);
    uint8_t *data = t.bytes > 0 ? cvi_arena_alloc(k->b.model->arena, (int64_t)t.bytes, 1) : NULL;
    if (!now || (t.bytes > 0 && !data)) {
        cvi_build_no_memory(&k->b, t.bytes);
        return -1;
    }
    for (int i = 0; data && i < parts; i++) {
        size_t part = old->bytes / (size_t)parts;
        cvi_build_parts(data + (size_t)i * part, (const uint8_t *)old->data + (size_t)i * part, c->gates,
                        c->order, part / (size_t)c->gates);
    }
    t.data = data;
    *now = t;
    value->constant = now;
    value->rank = rank;
    memcpy(value->dim, t.dim, sizeof value->dim);
    return v;
}

/* in[1..3]: W [1,G,I], R [1,G,H], B [1,2G]. */
static void take_kernels(cvi_keras *k, const cell *c, int64_t H, int64_t I, bool after, int *in) {
    static const int turn[2] = {1, 0};
    int64_t G = c->gates * H;
    const char *class = k->layer->class_name;
    bool bias = cvi_keras_get_bool(k, "use_bias", NULL, true), twice = strstr(class, "CuDNN") != NULL;
    cvi_keras_want w = {.name = "kernel", .rank = 2, .dim = {I, G}, .perm = turn};
    cvi_keras_want r = {.name = "recurrent_kernel", .rank = 2, .dim = {H, G}, .perm = turn};
    int v = cvi_keras_take(k, &w);
    int64_t read = v >= 0 ? k->b.g->values[v].dim[k->b.g->values[v].rank - 1] : 0;
    in[1] = arrange(k, v, c, 1, false, 3, (const int64_t[]){1, G, read});
    in[2] = arrange(k, cvi_keras_take(k, &r), c, 1, false, 3, (const int64_t[]){1, G, H});
    bool both = twice || (after && c->gates == 3);
    cvi_keras_want b = {.name = "bias", .rank = both && !twice ? 2 : 1, .dim = {both ? 2 * G : G}};
    if (both && !twice) {
        b = (cvi_keras_want){.name = "bias", .rank = 2, .dim = {2, G}, .out_rank = 1, .out_dim = {2 * G}};
    }
    if (bias) {
        v = cvi_keras_take(k, &b);
        in[3] = arrange(k, v, c, both ? 2 : 1, !both, 2, (const int64_t[]){1, 2 * G});
    }
}

/* ---- one direction ------------------------------------------------------------------------------------------------------ */

static int one_int(cvi_keras *k, const char *part, int64_t v) {
    return cvi_keras_const_ints(k, part, 1, &v);
}

/* Along axis 1 from the last to the first. */
static int flipped(cvi_keras *k, int v, const char *name) {
    int in[5] = {v, cvi_keras_const_ints(k, "begin", 1, (int64_t[]){-1}),
                 cvi_keras_const_ints(k, "end", 1, (int64_t[]){INT64_MIN}),
                 cvi_keras_const_ints(k, "axis", 1, (int64_t[]){1}),
                 cvi_keras_const_ints(k, "step", 1, (int64_t[]){-1})};
    return cvi_keras_op(k, "Slice", name, true, 5, in);
}

/* The layer at hand on x [N,T,I]: [N,T,H], or the last [N,H]; against: the other way round, given in the order of x. Bears `name`. */
typedef struct states {
    cvi_keras_tensor *const *first; /* [N,H] of the state, and of the cell of an LSTM; NULL: zeros */
    int *last;                      /* the last ones are wanted: the values of them; NULL: they are not */
} states;

static int one_direction(cvi_keras *k, const cell *c, cvi_keras_tensor *t, bool against, const char *name,
                         bool hidden, const states *s) {
    bool all = flag(k, "return_sequences"), backwards = flag(k, "go_backwards");
    bool after =
        cvi_keras_get_bool(k, "reset_after", NULL, k->version >= 3) || strstr(k->layer->class_name, "CuDNN");
    int64_t H = cvi_keras_get_int(k, "units", "output_dim", 0);
    functions f;
    if (H < 1 || H > INT32_MAX) {
        cvi_keras_wrong(k, "units");
        return -1;
    }
    int in[7] = {cvi_keras_form(k, t, false), -1, -1, -1, -1, -1, -1}, n_in, kept = c->gates == 4 ? 2 : 1;
    int64_t I = k->source ? -1 : cvi_keras_dim(k, t, -1);
    take_kernels(k, c, H, I, after, in);
    in[0] = cvi_keras_op(k, "Transpose", cvi_build_name(&k->b, "%s/steps", name), true, 1, in);
    cvi_build_ints(&k->b, "perm", 3, (int64_t[]){1, 0, 2});
    n_in = in[3] >= 0 ? 4 : 3;
    for (int i = 0; s && s->first && i < kept; i++) {
        in[5 + i] = cvi_keras_op(k, "Unsqueeze", cvi_keras_part(k, i ? "first_cell" : "first_state"), true, 2,
                                 (int[]){cvi_keras_form(k, s->first[i], false), one_int(k, "direction", 0)});
        n_in = 6 + i;
    }
    bool give = s && s->last;
    cvi_build_node(&k->b, c->op, cvi_build_name(&k->b, "%s/cell", name), n_in, in,
                   give  ? 1 + kept
                   : all ? 1
                         : 2);
    cvi_build_int(&k->b, "hidden_size", H);
    cvi_build_string(&k->b, "direction", backwards ? "reverse" : "forward");
    if (c->gates == 3) {
        cvi_build_int(&k->b, "linear_before_reset", after);
    }
    if (read_functions(k, c, &f)) {
        cvi_build_strings(&k->b, "activations", f.n, f.name);
        cvi_build_floats(&k->b, "activation_alpha", f.alphas, f.alpha);
        cvi_build_floats(&k->b, "activation_beta", f.betas, f.beta);
    }
    int v = cvi_build_out(&k->b, all ? 0 : 1, cvi_build_name(&k->b, "%s/cell", name), false);
    for (int i = 0; give && i < kept; i++) {
        s->last[i] = i == 0 && !all ? v
                                    : cvi_build_out(&k->b, 1 + i,
                                                    cvi_keras_part(k, i ? "last_cell" : "last_state"), true);
    }
    for (int i = 0; give && i < kept; i++) {
        s->last[i] = cvi_keras_op(k, "Squeeze", cvi_build_name(&k->b, "%s:%d", name, 1 + i), false, 2,
                                  (int[]){s->last[i], one_int(k, "direction", 0)});
    }
    int squeeze[2] = {v, cvi_keras_const_ints(k, "direction", 1, (int64_t[]){all ? 1 : 0})};
    if (!all) {
        return cvi_keras_op(k, "Squeeze", name, hidden, 2, squeeze);
    }
    v = cvi_keras_op(k, "Squeeze", cvi_build_name(&k->b, "%s/one", name), true, 2, squeeze);
    bool turn = backwards != against; /* Keras gives them in the order that it read */
    v = cvi_keras_op(k, "Transpose", turn ? cvi_build_name(&k->b, "%s/turned", name) : name, hidden || turn,
                     1, &v);
    cvi_build_ints(&k->b, "perm", 3, (int64_t[]){1, 0, 2});
    return turn ? flipped(k, v, name) : v;
}

static void stay_opaque(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    cvi_keras_opaque(k, in, n, out);
    cvi_keras_skip_rest(k);
}

void cvi_keras_recurrent(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    const cell *c = cell_of(k->layer->class_name);
    int kept = c && c->gates == 4 ? 2 : 1, last[2] = {-1, -1};
    if (!c || (n != 1 && n != 1 + kept) || in[0]->rank != 3 || beyond(k, c)) {
        stay_opaque(k, in, n, out);
        return;
    }
    bool all = flag(k, "return_sequences"), give = flag(k, "return_state");
    const states s = {.first = n > 1 ? in + 1 : NULL, .last = give ? last : NULL};
    for (int i = 1; i < n; i++) {
        if (in[i]->rank != 2) {
            stay_opaque(k, in, n, out);
            return;
        }
    }
    int v = one_direction(k, c, in[0], false, k->name, false, &s);
    *out = cvi_keras_out(k, v, all ? 3 : 2, false);
    k->more = give ? cvi_arena_alloc(k->b.model->arena, kept, sizeof *k->more) : NULL;
    for (int i = 0; i < kept && k->more; i++) {
        k->more[i] = cvi_keras_out(k, last[i], 2, false);
        k->n_more = kept;
    }
    if (give && !k->more) {
        cvi_build_no_memory(&k->b, sizeof *k->more);
    }
}

/* ---- Bidirectional ------------------------------------------------------------------------------------------------------- */

/* Makes the config of an inner layer the one at hand; answers what was. */
static cvi_keras_layer enter(cvi_keras *k, const json_t *inner, const json_t *config) {
    cvi_keras_layer was = *k->layer;
    k->layer->class_name = cvi_json_string(inner, "class_name", "");
    k->layer->config = config;
    return was;
}

static void leave(cvi_keras *k, const cvi_keras_layer *was) {
    k->layer->class_name = was->class_name;
    k->layer->config = was->config;
}

/* How the two are put together; NULL: in no way that is known. */
static const char *merge_of(const cvi_keras *k, double *factor) {
    const char *mode = cvi_keras_get_string(k, "merge_mode", NULL, "concat");
    *factor = strcmp(mode, "ave") == 0 ? 0.5 : 1;
    return strcmp(mode, "concat") == 0                            ? "Concat"
           : strcmp(mode, "mul") == 0                             ? "Mul"
           : strcmp(mode, "sum") == 0 || strcmp(mode, "ave") == 0 ? "Add"
                                                                  : NULL;
}

void cvi_keras_bidirectional(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    const json_t *inner = cvi_keras_get(k, "layer", NULL), *other = cvi_keras_get(k, "backward_layer", NULL);
    const json_t *config = json_object_get(inner, "config"), *back = json_object_get(other, "config");
    const json_t *mode = cvi_keras_get(k, "merge_mode", NULL);
    double factor = 1;
    const char *merge = mode && json_is_null(mode) ? NULL : merge_of(k, &factor);
    json_t *derived = NULL;
    if (!json_is_object(other) || !json_is_object(back)) { /* the same layer, read the other way round */
        other = inner;
        derived = json_is_object(config) ? json_copy((json_t *)(uintptr_t)config) : NULL;
        if (derived &&
            json_object_set_new(derived, "go_backwards",
                                json_boolean(!json_is_true(json_object_get(config, "go_backwards")))) == 0) {
            back = derived;
        }
    }
    cvi_keras_layer was = enter(k, inner, config);
    const cell *c = cell_of(k->layer->class_name);
    bool all = c && flag(k, "return_sequences"),
         fits = c && back && !beyond(k, c) && !flag(k, "return_state");
    enter(k, other, back);
    const cell *d = cell_of(k->layer->class_name);
    fits = fits && d && all == flag(k, "return_sequences") && !beyond(k, d);
    leave(k, &was);
    if (!fits || !merge || n != 1 || in[0]->rank != 3) {
        json_decref(derived);
        stay_opaque(k, in, n, out);
        return;
    }
    int pair[2];
    enter(k, inner, config);
    pair[0] = one_direction(k, c, in[0], false, cvi_keras_part(k, "forward"), true, NULL);
    enter(k, other, back);
    pair[1] = one_direction(k, d, in[0], true, cvi_keras_part(k, "backward"), true, NULL);
    leave(k, &was);
    json_decref(derived);
    const char *sum = factor != 1 ? cvi_keras_part(k, "sum") : k->name;
    int v = cvi_keras_op(k, merge, sum, factor != 1, 2, pair);
    if (strcmp(merge, "Concat") == 0) {
        cvi_build_int(&k->b, "axis", -1);
    }
    if (factor != 1) {
        v = cvi_keras_op(k, "Mul", k->name, false, 2, (int[]){v, cvi_keras_const_float(k, "half", factor)});
    }
    *out = cvi_keras_out(k, v, all ? 3 : 2, false);
}
