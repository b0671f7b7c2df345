/* SPDX-License-Identifier: MIT
 * keras_parse.c - reads the JSON of a Keras architecture: Sequential and functional models, nested ones, references
 * between layers as Keras 1, 2 and 3 write them.
 */
#include "formats/keras.h"

#include <stdlib.h>

enum { MAX_NESTING = 16 };

/* The list of layers of a config: a list itself (old Sequential) or its member "layers". */
static const json_t *layer_list(const json_t *config) {
    return json_is_array(config) ? config : json_object_get(config, "layers");
}

static bool is_net(const json_t *json) {
    const json_t *layers = layer_list(json_object_get(json, "config"));
    return json_is_array(layers) && json_is_object(json_array_get(layers, 0)) &&
           json_is_string(json_object_get(json_array_get(layers, 0), "class_name"));
}

static void parse_layer(cvi_keras *k, const json_t *json, int number, const char *prefix,
                        const cvi_keras_layer *top, int depth, cvi_keras_layer *l) {
    cvi_arena *a = k->b.model->arena;
    l->json = json;
    l->config = json_object_get(json, "config");
    l->class_name = cvi_json_string(json, "class_name", "");
    const char *name = cvi_json_string(json, "name", cvi_json_string(l->config, "name", ""));
    if (!*l->class_name || !l->config) {
        cvi_build_set(&k->b,
                      cvi_fail(k->b.err, CVS_E_FORMAT, "entry %d of the list of layers is no layer", number));
        return;
    }
    l->name =
        *name ? name : cvi_arena_printf(a, "layer_%d", number); /* Keras 1 Sequential may leave it out */
    l->path = !l->name ? NULL : *prefix ? cvi_arena_printf(a, "%s/%s", prefix, l->name) : l->name;
    if (!l->path || (int64_t)strlen(l->path) > k->b.model->limits.max_name_bytes) {
        cvi_build_set(&k->b, l->path ? cvi_fail(k->b.err, CVS_E_LIMIT, "the name of a layer is too long")
                                     : cvi_no_memory(k->b.err, 0));
        return;
    }
    l->top = top ? top : l;
    if (is_net(json)) {
        l->net = cvi_keras_parse(k, json, l->path, l->top, depth + 1);
    } else {
        l->kind = cvi_keras_find_class(l->class_name);
    }
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const cvi_keras_layer *const *)a)->name, (*(const cvi_keras_layer *const *)b)->name);
}

/* Layers of one model sorted by name; twice the same name is an error. */
static void index_layers(cvi_keras *k, cvi_keras_net *net) {
    net->by_name = cvi_arena_alloc(k->b.model->arena, CVI_MAX(net->n, 1), sizeof *net->by_name);
    if (!net->by_name) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
        return;
    }
    for (int i = 0; i < net->n; i++) {
        net->by_name[i] = &net->layer[i];
    }
    qsort(net->by_name, (size_t)net->n, sizeof *net->by_name, by_name);
    for (int i = 1; i < net->n; i++) {
        if (strcmp(net->by_name[i]->name, net->by_name[i - 1]->name) == 0 && !net->sequential) {
            cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT, "two layers are named \"%.80s\"",
                                          net->by_name[i]->name));
            return;
        }
    }
}

cvi_keras_net *cvi_keras_parse(cvi_keras *k, const json_t *json, const char *prefix,
                               const cvi_keras_layer *top, int depth) {
    cvi_arena *a = k->b.model->arena;
    cvi_keras_net *net = cvi_arena_alloc(a, 1, sizeof *net);
    if (!net) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, sizeof *net));
        return NULL;
    }
    if (depth > MAX_NESTING) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_LIMIT, "models are nested deeper than %d levels",
                                      (int)MAX_NESTING));
        return net;
    }
    if (!is_net(json)) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT,
                                      "this is no Keras architecture: there is no list of layers"));
        return net;
    }
    net->config = json_object_get(json, "config");
    const json_t *list = layer_list(net->config);
    size_t n = json_array_size(list);
    net->sequential = json_is_array(net->config) || !json_object_get(net->config, "output_layers");
    if ((int64_t)n > CVI_MIN(k->b.model->limits.max_nodes, KERAS_MAX_CALLS)) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_LIMIT, "%lld layers, the limit is %lld", (long long)n,
                                      (long long)CVI_MIN(k->b.model->limits.max_nodes, KERAS_MAX_CALLS)));
        return net;
    }
    net->layer = cvi_arena_alloc(a, (int64_t)n, sizeof *net->layer);
    if (!net->layer) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, n * sizeof *net->layer));
        return net;
    }
    for (size_t i = 0; i < n && cvi_build_ok(&k->b); i++, net->n++) {
        cvi_keras_layer *l = &net->layer[i];
        parse_layer(k, json_array_get(list, i), (int)i, prefix, top, depth, l);
        net->weighted = net->weighted || (l->kind && l->kind->weighted) || (l->net && l->net->weighted);
    }
    if (cvi_build_ok(&k->b)) {
        index_layers(k, net);
    }
    return net;
}

/* ---- references ---- */

static int find_layer(const cvi_keras_net *net, const char *name) {
    int low = 0, high = net->n - 1;
    while (low <= high) {
        int middle = low + (high - low) / 2, order = strcmp(name, net->by_name[middle]->name);
        if (order == 0) {
            return (int)(net->by_name[middle] - net->layer);
        }
        if (order < 0) {
            high = middle - 1;
        } else {
            low = middle + 1;
        }
    }
    return -1;
}

/* [name, node, tensor, ...] */
static bool is_triple(const json_t *v) {
    return json_is_array(v) && json_array_size(v) >= 3 && json_is_string(json_array_get(v, 0)) &&
           json_is_integer(json_array_get(v, 1)) && json_is_integer(json_array_get(v, 2));
}

static void add_ref(cvi_keras *k, const cvi_keras_net *net, const json_t *triple, cvi_keras_refs *out) {
    const char *name = json_string_value(json_array_get(triple, 0));
    if (strcmp(name, "_CONSTANT_VALUE") == 0) {
        return;
    }
    int layer = find_layer(net, name);
    if (layer < 0) {
        cvi_build_set(&k->b, cvi_fail(k->b.err, CVS_E_FORMAT,
                                      "there is no layer \"%.80s\" to take an input from", name));
        return;
    }
    if ((out->n & (out->n - 1)) == 0) { /* room is 1, 2, 4... */
        cvi_keras_ref *grown = cvi_arena_alloc(k->b.model->arena, out->n ? 2 * out->n : 1, sizeof *grown);
        if (!grown) {
            cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
            return;
        }
        if (out->n > 0) {
            memcpy(grown, out->ref, (size_t)out->n * sizeof *grown);
        }
        out->ref = grown;
    }
    out->ref[out->n++] = (cvi_keras_ref){.layer = layer,
                                         .node = json_integer_value(json_array_get(triple, 1)),
                                         .tensor = json_integer_value(json_array_get(triple, 2))};
}

/* Collects references in order of appearance, whatever lists and dictionaries stand around them. The JSON's depth is
 * bounded by its parser. */
static void collect(cvi_keras *k, const cvi_keras_net *net, const json_t *v, cvi_keras_refs *out) {
    if (!cvi_build_ok(&k->b)) {
        return;
    }
    if (is_triple(v)) {
        add_ref(k, net, v, out);
        for (size_t i = 3; i < json_array_size(v); i++) { /* keyword arguments */
            collect(k, net, json_array_get(v, i), out);
        }
        return;
    }
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            collect(k, net, json_array_get(v, i), out);
        }
        return;
    }
    if (!json_is_object(v)) {
        return;
    }
    const json_t *history = json_object_get(json_object_get(v, "config"), "keras_history");
    if (history) {
        collect(k, net, history, out);
        return;
    }
    const char *key = NULL;
    json_t *member = NULL;
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        (void)key;
        collect(k, net, member, out);
    }
}

void cvi_keras_call_refs(cvi_keras *k, const cvi_keras_net *net, const json_t *call, cvi_keras_refs *out) {
    *out = (cvi_keras_refs){0};
    collect(k, net, call, out);
}

void cvi_keras_port_refs(cvi_keras *k, const cvi_keras_net *net, const char *key, cvi_keras_refs *out) {
    *out = (cvi_keras_refs){0};
    collect(k, net, json_object_get(net->config, key), out);
}
