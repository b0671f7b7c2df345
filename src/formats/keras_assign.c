/* SPDX-License-Identifier: MIT
 * keras_assign.c - which group of stored weights belongs to which layer of the whole model: by name, or, when a file of weights
 * was written by another session with other names, in order, as Keras itself loads it.
 */
#include "formats/keras.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b) {
    return strcmp((*(const cvi_keras_group *const *)a)->name, (*(const cvi_keras_group *const *)b)->name);
}

static bool weighted(const cvi_keras_layer *l) {
    return l->net ? l->net->weighted : l->kind && l->kind->weighted;
}

static const cvi_keras_group *find(const cvi_keras_source *s, const char *name) {
    cvi_keras_group key = {.name = name};
    const cvi_keras_group *k = &key, **found = NULL;
    found = bsearch(&k, s->by_name, (size_t)s->n_groups, sizeof *s->by_name, by_name);
    return found ? *found : NULL;
}

static bool assign_by_name(const cvi_keras_source *s, cvi_keras_net *net, const cvi_keras_layer **missing) {
    bool all = true;
    for (int i = 0; i < net->n; i++) {
        net->layer[i].group = find(s, net->layer[i].name);
        if (all && !net->layer[i].group && weighted(&net->layer[i])) {
            all = false;
            *missing = &net->layer[i];
        }
    }
    return all;
}

static bool assign_in_order(const cvi_keras_source *s, cvi_keras_net *net) {
    int64_t groups = 0, layers = 0;
    for (int64_t i = 0; i < s->n_groups; i++) {
        groups += s->group[i].n > 0;
    }
    for (int i = 0; i < net->n; i++) {
        layers += weighted(&net->layer[i]);
    }
    if (groups != layers) {
        return false;
    }
    int64_t next = 0;
    for (int i = 0; i < net->n; i++) {
        net->layer[i].group = NULL;
        if (weighted(&net->layer[i])) {
            while (s->group[next].n == 0) {
                next++;
            }
            net->layer[i].group = &s->group[next++];
        }
    }
    return true;
}

void cvi_keras_assign(cvi_keras *k, cvi_keras_net *net) {
    cvi_keras_source *s = k->source;
    if (!s || s->n_groups == 0) {
        return;
    }
    s->by_name = cvi_arena_alloc(k->model->arena, s->n_groups, sizeof *s->by_name);
    if (!s->by_name) {
        cvi_keras_set(k, cvi_no_memory(k->err, 0));
        return;
    }
    for (int64_t i = 0; i < s->n_groups; i++) {
        s->by_name[i] = &s->group[i];
    }
    qsort(s->by_name, (size_t)s->n_groups, sizeof *s->by_name, by_name);
    const cvi_keras_layer *missing = NULL;
    if (!assign_by_name(s, net, &missing) && !assign_in_order(s, net)) {
        cvs_status e = cvi_fail(k->err, CVS_E_FORMAT,
                                "the file has no weights for this layer, and its layers do not "
                                "fit the model's in order either");
        cvi_keras_set(k, cvi_at_node(k->err, e, missing->path, missing->class_name));
    }
}
