/* SPDX-License-Identifier: MIT
 * keras_assign.c - which group of stored weights belongs to which layer of the whole model: by name, or, when a file of weights
 * was written by another session with other names, in order, as Keras itself loads it.
 */
#include "formats/keras.h"

#include <ctype.h>
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

/* ---- by path (Keras 3) ---- */

enum {
    MAX_COUNTED = 5000
}; /* layers of one model that are counted by class, which compares each with each */

/* "Conv2D" -> "conv2d", "BatchNormalization" -> "batch_normalization", "PReLU" -> "p_re_lu": an underscore before a capital that a
 * small letter or digit follows, and between a small letter and a capital. */
static void snake_case(const char *class_name, char *out, size_t size) {
    const char *after = strrchr(class_name, '>');
    const char *s = after ? after + 1 : class_name;
    size_t n = 0;
    for (size_t i = 0; s[i] && n + 2 < size; i++) {
        bool small_next = islower((unsigned char)s[i + 1]) || isdigit((unsigned char)s[i + 1]);
        if (i > 0 && isupper((unsigned char)s[i]) && (small_next || islower((unsigned char)s[i - 1]))) {
            out[n++] = '_';
        }
        if (isalnum((unsigned char)s[i]) || s[i] == '_') {
            out[n++] = (char)tolower((unsigned char)s[i]);
        }
    }
    out[n] = 0;
}

/* The name that Keras 3 gives a layer of `net` in the file: its class, and a number from the second of that class on. */
static const char *counted_name(cvi_keras *k, const cvi_keras_net *net, int layer, const char *prefix) {
    char own[80], other[80], number[16] = "";
    int before = 0;
    snake_case(net->layer[layer].class_name, own, sizeof own);
    for (int i = 0; i < layer; i++) {
        snake_case(net->layer[i].class_name, other, sizeof other);
        before += strcmp(own, other) == 0;
    }
    if (before > 0) {
        snprintf(number, sizeof number, "_%d", before);
    }
    const char *name =
        cvi_arena_printf(k->b.model->arena, "%s%s%s%s", prefix, *prefix ? "/" : "", own, number);
    if (!name) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
    }
    return name ? name : "";
}

/* Gives every layer its group, nested ones too. Answers the first layer that should have one and has none. */
static const cvi_keras_layer *assign_paths(cvi_keras *k, cvi_keras_net *net, bool counted,
                                           const char *prefix) {
    const cvi_keras_layer *missing = NULL;
    for (int i = 0; i < net->n && cvi_build_ok(&k->b) && (!counted || net->n <= MAX_COUNTED); i++) {
        cvi_keras_layer *l = &net->layer[i];
        if (!weighted(l)) {
            continue;
        }
        const char *key = counted ? counted_name(k, net, i, prefix) : l->path;
        const cvi_keras_layer *inner = l->net ? assign_paths(k, l->net, counted, key) : NULL;
        l->group = l->net ? NULL : find(k->source, key);
        missing = missing ? missing : l->net ? inner : l->group ? NULL : l;
    }
    return missing;
}

static int by_counted(const void *a, const void *b) {
    return strcmp((*(const cvi_keras_group *const *)a)->counted,
                  (*(const cvi_keras_group *const *)b)->counted);
}

/* First by the layers' names; when the file was written by another session with other names, by class and number. The keys of
 * the sorted list change with that, so the groups are renamed. */
static const cvi_keras_layer *assign_by_path(cvi_keras *k, cvi_keras_net *net) {
    cvi_keras_source *s = k->source;
    const cvi_keras_layer *missing = assign_paths(k, net, false, "");
    if (!missing || !cvi_build_ok(&k->b) || net->n > MAX_COUNTED) {
        return missing;
    }
    for (int64_t i = 0; i < s->n_groups; i++) {
        s->group[i].name = s->group[i].counted;
    }
    qsort(s->by_name, (size_t)s->n_groups, sizeof *s->by_name, by_counted);
    return assign_paths(k, net, true, "");
}

void cvi_keras_assign(cvi_keras *k, cvi_keras_net *net) {
    cvi_keras_source *s = k->source;
    if (!s || s->n_groups == 0) {
        return;
    }
    s->by_name = cvi_arena_alloc(k->b.model->arena, s->n_groups, sizeof *s->by_name);
    if (!s->by_name) {
        cvi_build_set(&k->b, cvi_no_memory(k->b.err, 0));
        return;
    }
    for (int64_t i = 0; i < s->n_groups; i++) {
        s->by_name[i] = &s->group[i];
    }
    qsort(s->by_name, (size_t)s->n_groups, sizeof *s->by_name, by_name);
    const cvi_keras_layer *missing = NULL;
    bool found = s->by_path ? !(missing = assign_by_path(k, net))
                            : assign_by_name(s, net, &missing) || assign_in_order(s, net);
    if (!found && missing) {
        cvs_status e = cvi_fail(k->b.err, CVS_E_FORMAT,
                                "the file has no weights for this layer, and its layers do not "
                                "fit the model's in order either");
        cvi_build_set(&k->b, cvi_at_node(k->b.err, e, missing->path, missing->class_name));
    }
}
