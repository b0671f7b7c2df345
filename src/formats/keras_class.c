/* SPDX-License-Identifier: MIT
 * keras_class.c - the table of known layer classes, and what becomes of the others: a Lambda or unknown class opens and is
 * drawn, but nothing of it is ever executed.
 */
#include "formats/keras.h"

static const cvi_keras_class classes[] = {
#define KERAS_CLASS(name, maker, weighted) {name, cvi_keras_##maker, weighted},
#include "formats/keras_classes.def"
#undef KERAS_CLASS
};

const cvi_keras_class *cvi_keras_find_class(const char *name) {
    const char *after = strrchr(name, '>'); /* "Package>Conv2D" */
    name = after ? after + 1 : name;
    for (int i = 0; i < CVI_COUNT(classes); i++) {
        if (strcmp(classes[i].name, name) == 0) {
            return &classes[i];
        }
    }
    return NULL;
}

/* The rank that an unknown layer's output has as far as its class tells; else that of its input. */
static int guess_rank(const cvi_keras *k, int rank) {
    static const char *const recurrent[] = {"LSTM",      "GRU",      "SimpleRNN",
                                            "CuDNNLSTM", "CuDNNGRU", "Bidirectional"};
    const char *class = k->layer->class_name;
    for (int i = 0; i < CVI_COUNT(recurrent); i++) {
        if (strcmp(class, recurrent[i]) == 0) {
            const json_t *c = strcmp(class, "Bidirectional") == 0
                                  ? json_object_get(json_object_get(k->layer->config, "layer"), "config")
                                  : k->layer->config;
            return json_is_true(json_object_get(c, "return_sequences")) ? 3 : 2;
        }
    }
    bool adds = strcmp(class, "Embedding") == 0 || strcmp(class, "RepeatVector") == 0;
    return adds && rank < CVS_MAX_RANK ? rank + 1 : rank;
}

void cvi_keras_opaque(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    int *x = cvi_build_ok(&k->b) ? cvi_arena_alloc(k->b.model->arena, CVI_MAX(n, 1), sizeof *x) : NULL;
    const char *op = x ? cvi_arena_printf(k->b.model->arena, "keras::%s", k->layer->class_name) : NULL;
    const char *note =
        x ? cvi_arena_printf(k->b.model->arena, "%s: not executed", k->layer->class_name) : NULL;
    if (!x || !op || !note) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
        return;
    }
    for (int i = 0; i < n; i++) {
        x[i] = cvi_keras_value(in[i]);
    }
    int v = cvi_keras_op(k, op, k->name, false, n, x);
    if (cvi_build_ok(&k->b)) {
        k->b.g->nodes[k->b.node].note = note;
        int rank = guess_rank(k, in[0]->rank);
        *out = cvi_keras_out(k, v, rank, rank == in[0]->rank && in[0]->moved);
    }
    if (k->layer->kind && k->layer->kind->weighted) { /* of a known class, in a form that is not run */
        cvi_keras_skip_rest(k);
    }
}

/* [N,T,...] as [N*T,...], the layer of one step, and back. False: sizes are not known. */
static bool every_step(cvi_keras *k, const cvi_keras_class *kind, cvi_keras_tensor *x,
                       cvi_keras_tensor *out) {
    int64_t dim[CVS_MAX_RANK] = {-1};
    int rank = x->rank;
    const char *name = k->name;
    for (int i = 1; i < rank; i++) {
        dim[i] = cvi_keras_dim(k, x, i);
        if (dim[i] < 1) {
            return false;
        }
    }
    int64_t steps = dim[1];
    dim[1] = -1;
    int in[2] = {cvi_keras_form(k, x, false), cvi_keras_const_ints(k, "each", rank - 1, dim + 1)};
    int v = cvi_keras_op(k, "Reshape", cvi_keras_part(k, "steps"), true, 2, in);
    cvi_keras_tensor each = {.form = {v, rank == 3 ? v : -1}, .rank = rank - 1};
    cvi_keras_tensor *const one[] = {&each};
    cvi_keras_tensor made = {.form = {-1, -1}, .rank = 1};
    k->name = cvi_keras_part(k, "step");
    kind->make(k, one, 1, &made);
    k->name = name;
    dim[1] = steps;
    for (int i = 1; i < made.rank && made.rank < CVS_MAX_RANK; i++) {
        dim[i + 1] = cvi_keras_dim(k, &made, i);
    }
    dim[0] = -1;
    bool image = (made.rank == 3 || made.rank == 4) && !k->first;
    int back[2] = {cvi_keras_form(k, &made, false), cvi_keras_const_ints(k, "all", made.rank + 1, dim)};
    v = cvi_keras_op(k, "Reshape", image ? cvi_keras_part(k, "joined") : name, image, 2, back);
    *out = cvi_keras_settle(k, v, made.rank + 1);
    return true;
}

static bool in_steps(const cvi_keras_class *kind) {
    static const cvi_keras_make makes[] = {cvi_keras_conv,       cvi_keras_depthwise,   cvi_keras_separable,
                                           cvi_keras_pool,       cvi_keras_global_pool, cvi_keras_flatten,
                                           cvi_keras_batch_norm, cvi_keras_zero_pad};
    for (int i = 0; kind && i < CVI_COUNT(makes); i++) {
        if (kind->make == makes[i]) {
            return true;
        }
    }
    return false;
}

/* What a wrapper holds, under the wrapper's own name. */
static void make_inner(cvi_keras *k, const cvi_keras_class *kind, const json_t *inner,
                       cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    const json_t *own = k->layer->config;
    const char *class = k->layer->class_name;
    k->layer->config = json_object_get(inner, "config");
    k->layer->class_name = kind->name;
    kind->make(k, in, n, out);
    k->layer->config = own;
    k->layer->class_name = class;
}

/* In evaluation the layer inside computes with the kernel that training has divided by its norm; the vector that it kept for that is not
 * needed. */
void cvi_keras_spectral(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    const json_t *inner = cvi_keras_get(k, "layer", NULL);
    const cvi_keras_class *kind = cvi_keras_find_class(cvi_json_string(inner, "class_name", ""));
    if (!kind || kind->make == cvi_keras_spectral || !json_is_object(json_object_get(inner, "config"))) {
        cvi_keras_opaque(k, in, n, out);
        k->slot = KERAS_MAX_SLOTS;
        return;
    }
    make_inner(k, kind, inner, in, n, out);
    cvi_keras_skip_rest(k);
}

/* Classes that treat every time step alike anyway are applied to all steps at once. */
void cvi_keras_time_distributed(cvi_keras *k, cvi_keras_tensor *const *in, int n, cvi_keras_tensor *out) {
    const json_t *inner = cvi_keras_get(k, "layer", NULL);
    const cvi_keras_class *kind = cvi_keras_find_class(cvi_json_string(inner, "class_name", ""));
    bool alike = kind && (kind->make == cvi_keras_dense || kind->make == cvi_keras_identity ||
                          kind->make == cvi_keras_dropout || kind->make == cvi_keras_rescaling ||
                          ((kind->make == cvi_keras_activation || kind->make == cvi_keras_activation_class) &&
                           k->layer->config));
    const json_t *own = k->layer->config;
    const char *class = k->layer->class_name;
    if (in_steps(kind) && n == 1 && in[0]->rank > 2 && in[0]->rank < CVS_MAX_RANK) {
        k->layer->config = json_object_get(inner, "config");
        k->layer->class_name = kind->name;
        bool done = every_step(k, kind, in[0], out);
        k->layer->config = own;
        k->layer->class_name = class;
        if (done) {
            return;
        }
    }
    if (!alike) {
        cvi_keras_opaque(k, in, n, out);
        k->slot = KERAS_MAX_SLOTS;
        return;
    }
    make_inner(k, kind, inner, in, n, out);
}
