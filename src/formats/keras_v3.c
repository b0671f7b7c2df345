/* SPDX-License-Identifier: MIT
 * keras_v3.c - weights as Keras 3 lays them out ("model.weights.h5"): the group layers/<class in snake case>[_n]/vars holds a layer's
 * weights as data sets "0", "1", ...; its attribute "name" is the layer's name; nested models have "layers" of their own.
 */
#include "formats/keras.h"
#include "formats/hdf5.h"

enum { MAX_NESTING = 16 };

typedef struct walk {
    cvs_model *model;
    cvi_h5 *file;
    cvi_keras_source *source;
    int64_t weights_capacity, groups_capacity;
    cvs_error *err;
} walk;

int64_t cvi_keras_v3_layers(cvi_h5 *file) {
    static const char *const names[] = {"layers", "_layer_checkpoint_dependencies"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        int64_t object = -1;
        if (cvi_h5_find(file, cvi_h5_root(file), names[i], &object, NULL) == CVS_OK && object >= 0) {
            return object;
        }
    }
    return -1;
}

static cvs_status add_group(walk *w, const char *name, const char *counted, cvi_keras_group **out) {
    cvi_keras_source *s = w->source;
    if (s->n_groups == w->groups_capacity) {
        int64_t capacity = 2 * s->n_groups + 16;
        cvi_keras_group *g = cvi_arena_alloc(w->model->arena, capacity, sizeof *g);
        if (!g) {
            return cvi_no_memory(w->err, (size_t)capacity * sizeof *g);
        }
        if (s->n_groups > 0) {
            memcpy(g, s->group, (size_t)s->n_groups * sizeof *g);
        }
        s->group = g;
        w->groups_capacity = capacity;
    }
    *out = &s->group[s->n_groups++];
    **out = (cvi_keras_group){.name = name, .counted = counted, .first = s->n};
    return CVS_OK;
}

/* The data sets "0", "1", ... of a group. */
static cvs_status add_weights(walk *w, const cvi_h5_group *vars, cvi_keras_group *g) {
    cvi_keras_source *s = w->source;
    CVI_TRY(cvi_keras_more_weights(w->model, s, vars->n, &w->weights_capacity, w->err));
    for (int64_t i = 0; i < vars->n; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)i);
        const cvi_h5_link *link = cvi_h5_member(vars, number);
        char *name = cvi_arena_printf(w->model->arena, "%s/%s", g->name, number);
        if (!link || link->object < 0) {
            return cvi_fail(w->err, CVS_E_FORMAT,
                            "the weight \"%.120s\" is listed, but it is not in the file", name ? name : "");
        }
        if (!name) {
            return cvi_no_memory(w->err, 0);
        }
        s->weight[s->n++] = (cvi_keras_weight){.group = g->name, .name = name, .place = link->object};
        g->n++;
    }
    return CVS_OK;
}

/* Of a layer that holds others instead: TimeDistributed, recurrent layers, Bidirectional, MultiHeadAttention (Keras 2.15 wrote the
 * underscores). */
static cvs_status add_inner_weights(walk *w, int64_t layer, cvi_keras_group *g) {
    static const char *const inside[] = {"layer/vars",
                                         "cell/vars",
                                         "layer/cell/vars",
                                         "forward_layer/cell/vars",
                                         "backward_layer/cell/vars",
                                         "query_dense/vars",
                                         "_query_dense/vars",
                                         "key_dense/vars",
                                         "_key_dense/vars",
                                         "value_dense/vars",
                                         "_value_dense/vars",
                                         "output_dense/vars",
                                         "_output_dense/vars"};
    for (int i = 0; i < CVI_COUNT(inside); i++) {
        cvi_h5_group vars = {0};
        int64_t object = -1;
        CVI_TRY(cvi_h5_find(w->file, layer, inside[i], &object, w->err));
        if (object >= 0) {
            CVI_TRY(cvi_h5_list(w->file, object, &vars, w->err));
            CVI_TRY(add_weights(w, &vars, g));
        }
    }
    return CVS_OK;
}

static const char *joined(walk *w, const char *prefix, const char *name) {
    return *prefix ? cvi_arena_printf(w->model->arena, "%s/%s", prefix, name)
                   : cvi_arena_strn(w->model->arena, name, strlen(name));
}

static cvs_status walk_layers(walk *w, int64_t layers, const char *prefix, const char *counted, int depth);

static cvs_status walk_layer(walk *w, const cvi_h5_link *link, const char *prefix, const char *counted,
                             int depth) {
    cvi_h5_group members, vars = {0};
    CVI_TRY(cvi_h5_list(w->file, link->object, &members, w->err));
    const cvi_h5_link *own = cvi_h5_member(&members, "vars"), *inner = cvi_h5_member(&members, "layers");
    const char *said = own && own->object >= 0 ? cvi_keras_h5_text(w->file, own->object, "name") : NULL;
    const char *name = joined(w, prefix, said ? said : link->name), *number = joined(w, counted, link->name);
    cvi_keras_group *g = NULL;
    CVI_TRY(name && number ? add_group(w, name, number, &g) : cvi_no_memory(w->err, 0));
    if (own && own->object >= 0) {
        CVI_TRY(cvi_h5_list(w->file, own->object, &vars, w->err));
    }
    bool beside = strncmp(link->name, "spectral_normalization", 22) == 0; /* has its own behind its layer's */
    CVI_TRY(beside ? add_inner_weights(w, link->object, g) : CVS_OK);
    CVI_TRY(add_weights(w, &vars, g));
    if (vars.n == 0 && !beside) {
        CVI_TRY(add_inner_weights(w, link->object, g));
    }
    return inner && inner->object >= 0 ? walk_layers(w, inner->object, name, number, depth + 1) : CVS_OK;
}

static cvs_status walk_layers(walk *w, int64_t layers, const char *prefix, const char *counted, int depth) {
    cvi_h5_group list;
    if (depth > MAX_NESTING) {
        return cvi_fail(w->err, CVS_E_LIMIT, "models are nested deeper than %d levels", (int)MAX_NESTING);
    }
    CVI_TRY(cvi_h5_list(w->file, layers, &list, w->err));
    for (int64_t i = 0; i < list.n; i++) {
        if (list.link[i].object >= 0) {
            CVI_TRY(walk_layer(w, &list.link[i], prefix, counted, depth));
        }
    }
    return CVS_OK;
}

cvs_status cvi_keras_v3_source(cvs_model *model, cvi_h5 *file, int64_t layers, cvi_keras_source *out,
                               cvs_error *err) {
    *out = (cvi_keras_source){.load = cvi_keras_h5_load, .context = file, .by_path = true};
    walk w = {.model = model, .file = file, .source = out, .err = err};
    return walk_layers(&w, layers, "", "", 0);
}
