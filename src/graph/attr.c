/* SPDX-License-Identifier: MIT
 * attr.c - attributes of a node: filled by readers (copies in the arena), looked up by name afterwards.
 */
#include "graph/build.h"

static bool begin(cvi_graph *g, cvi_attr *a, const char *name, cvi_attr_kind kind) {
    *a = (cvi_attr){.name = cvi_arena_strn(g->arena, name, strlen(name)), .kind = kind};
    return a->name != NULL;
}

bool cvi_attr_set_int(cvi_graph *g, cvi_attr *a, const char *name, int64_t v) {
    bool ok = begin(g, a, name, CVI_ATTR_INT);
    a->i = v;
    return ok;
}

bool cvi_attr_set_float(cvi_graph *g, cvi_attr *a, const char *name, double v) {
    bool ok = begin(g, a, name, CVI_ATTR_FLOAT);
    a->f = v;
    return ok;
}

bool cvi_attr_set_string(cvi_graph *g, cvi_attr *a, const char *name, const char *v) {
    bool ok = begin(g, a, name, CVI_ATTR_STRING);
    a->s = cvi_arena_strn(g->arena, v, strlen(v));
    return ok && a->s;
}

bool cvi_attr_set_ints(cvi_graph *g, cvi_attr *a, const char *name, int n, const int64_t *v) {
    int64_t *copy = cvi_arena_alloc(g->arena, CVI_MAX(n, 1), sizeof *copy);
    if (!copy || !begin(g, a, name, CVI_ATTR_INTS)) {
        return false;
    }
    if (n > 0) {
        memcpy(copy, v, (size_t)n * sizeof *copy);
    }
    a->n = n;
    a->ints = copy;
    return true;
}

bool cvi_attr_set_floats(cvi_graph *g, cvi_attr *a, const char *name, int n, const double *v) {
    double *copy = cvi_arena_alloc(g->arena, CVI_MAX(n, 1), sizeof *copy);
    if (!copy || !begin(g, a, name, CVI_ATTR_FLOATS)) {
        return false;
    }
    if (n > 0) {
        memcpy(copy, v, (size_t)n * sizeof *copy);
    }
    a->n = n;
    a->floats = copy;
    return true;
}

bool cvi_attr_set_strings(cvi_graph *g, cvi_attr *a, const char *name, int n, const char *const *v) {
    const char **copy = cvi_arena_alloc(g->arena, CVI_MAX(n, 1), sizeof *copy);
    if (!copy || !begin(g, a, name, CVI_ATTR_STRINGS)) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        copy[i] = cvi_arena_strn(g->arena, v[i], strlen(v[i]));
        if (!copy[i]) {
            return false;
        }
    }
    a->n = n;
    a->strings = copy;
    return true;
}

const cvi_attr *cvi_node_attr(const cvi_node *node, const char *name) {
    for (int i = 0; i < node->n_attr; i++) {
        if (strcmp(node->attr[i].name, name) == 0) {
            return &node->attr[i];
        }
    }
    return NULL;
}

int64_t cvi_node_int(const cvi_node *node, const char *name, int64_t otherwise) {
    const cvi_attr *a = cvi_node_attr(node, name);
    return a && a->kind == CVI_ATTR_INT ? a->i : otherwise;
}

double cvi_node_float(const cvi_node *node, const char *name, double otherwise) {
    const cvi_attr *a = cvi_node_attr(node, name);
    if (a && a->kind == CVI_ATTR_INT) {
        return (double)a->i;
    }
    return a && a->kind == CVI_ATTR_FLOAT ? a->f : otherwise;
}

const char *cvi_node_string(const cvi_node *node, const char *name, const char *otherwise) {
    const cvi_attr *a = cvi_node_attr(node, name);
    return a && a->kind == CVI_ATTR_STRING ? a->s : otherwise;
}

int cvi_node_ints(const cvi_node *node, const char *name, int64_t *out, int max, int64_t fill) {
    const cvi_attr *a = cvi_node_attr(node, name);
    int n = a && a->kind == CVI_ATTR_INTS ? a->n : 0;
    for (int i = 0; i < max; i++) {
        out[i] = i < n ? a->ints[i] : fill;
    }
    return n;
}
