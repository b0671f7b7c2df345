/* SPDX-License-Identifier: MIT
 * graph.c - builds a graph: values found by name, constants, nodes. Ordering and checks are in finish.c,
 * attributes in attr.c, layers in layers.c. Everything lives in the model's arena.
 */
#include "graph/graph.h"

/* Name -> value: open addressing, at most half full; rebuilt twice as large when it fills. */
typedef struct name_index {
    int capacity; /* a power of two */
    int count;
    int *slot; /* value + 1; 0 = empty */
} name_index;

static uint64_t hash_name(const char *s) {
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211u;
    }
    return h ^ (h >> 32);
}

/* The slot where `name` is, or where it would go. */
static int *index_slot(const cvi_graph *g, const name_index *ix, const char *name) {
    size_t mask = (size_t)ix->capacity - 1, at = (size_t)hash_name(name) & mask;
    while (ix->slot[at] && strcmp(g->values[ix->slot[at] - 1].name, name) != 0) {
        at = (at + 1) & mask;
    }
    return &ix->slot[at];
}

static bool index_add(cvi_graph *g, int value) {
    name_index *ix = g->index;
    if (!ix || 2 * (ix->count + 1) > ix->capacity) {
        name_index *bigger = cvi_arena_alloc(g->arena, 1, sizeof *bigger);
        int capacity = ix ? ix->capacity * 2 : 64;
        int *slot = cvi_arena_alloc(g->arena, capacity, sizeof *slot);
        if (!bigger || !slot) {
            return false;
        }
        *bigger = (name_index){.capacity = capacity, .slot = slot};
        for (int i = 0; ix && i < ix->capacity; i++) {
            if (ix->slot[i]) {
                *index_slot(g, bigger, g->values[ix->slot[i] - 1].name) = ix->slot[i];
                bigger->count++;
            }
        }
        g->index = ix = bigger;
    }
    *index_slot(g, ix, g->values[value].name) = value + 1;
    ix->count++;
    return true;
}

int cvi_graph_find(const cvi_graph *g, const char *name) {
    const name_index *ix = g->index;
    return ix && name ? *index_slot(g, ix, name) - 1 : -1;
}

cvi_graph *cvi_graph_new(cvs_model *model, cvi_graph *parent, const char *name, cvs_error *err) {
    cvi_graph *g = cvi_arena_alloc(model->arena, 1, sizeof *g);
    if (!g) {
        cvi_no_memory(err, sizeof *g);
        return NULL;
    }
    g->arena = model->arena;
    g->parent = parent;
    g->limits = &model->limits;
    g->name = cvi_arena_strn(g->arena, name ? name : "", name ? strlen(name) : 0);
    if (!g->name) {
        cvi_no_memory(err, 0);
        return NULL;
    }
    return g;
}

/* Doubles an array that lives in the arena; the old one is left behind (the arena at most doubles). */
static void *grow(cvi_arena *a, const void *old, int count, int *capacity, size_t size) {
    if (count < *capacity) {
        return (void *)(uintptr_t)old;
    }
    int64_t bigger = *capacity ? (int64_t)*capacity * 2 : 16;
    if (bigger > INT32_MAX) {
        return NULL;
    }
    char *p = cvi_arena_alloc(a, bigger, size);
    if (p) {
        if (count) {
            memcpy(p, old, (size_t)count * size);
        }
        *capacity = (int)bigger;
    }
    return p;
}

static const char *unique_name(cvi_graph *g, const char *name) {
    const char *base = name && *name ? name : "value";
    if (name && *name && cvi_graph_find(g, name) < 0) {
        return cvi_arena_strn(g->arena, name, strlen(name));
    }
    for (int i = g->n_values;; i++) { /* ends: at most n_values names are taken */
        char number[16];
        snprintf(number, sizeof number, "_%d", i);
        size_t n = strlen(base), m = strlen(number);
        char *s = cvi_arena_alloc(g->arena, (int64_t)(n + m + 1), 1);
        if (!s) {
            return NULL;
        }
        memcpy(s, base, n);
        memcpy(s + n, number, m);
        if (cvi_graph_find(g, s) < 0) {
            return s;
        }
    }
}

int cvi_graph_value(cvi_graph *g, const char *name, cvs_dtype dtype, int rank, const int64_t *dim,
                    cvs_error *err) {
    if (rank > CVS_MAX_RANK) {
        cvi_fail(err, CVS_E_UNSUPPORTED, "value %.100s has rank %d, at most %d is supported",
                 name ? name : "", rank, CVS_MAX_RANK);
        return -1;
    }
    if (name && (int64_t)strlen(name) > g->limits->max_name_bytes) {
        cvi_fail(err, CVS_E_LIMIT, "a name has %lld bytes, the limit is %lld", (long long)strlen(name),
                 (long long)g->limits->max_name_bytes);
        return -1;
    }
    cvi_value *values = grow(g->arena, g->values, g->n_values, &g->cap_values, sizeof *values);
    if (!values) {
        cvi_no_memory(err, 0);
        return -1;
    }
    g->values = values;
    cvi_value *v = &values[g->n_values];
    *v = (cvi_value){.dtype = dtype, .rank = rank, .producer = -1, .outer = -1};
    for (int i = 0; i < rank; i++) {
        v->dim[i] = dim ? dim[i] : -1;
    }
    v->name = unique_name(g, name);
    if (!v->name || !index_add(g, g->n_values)) {
        cvi_no_memory(err, 0);
        return -1;
    }
    return g->n_values++;
}

int cvi_graph_constant(cvi_graph *g, const char *name, const cvs_tensor *t, cvs_error *err) {
    cvs_tensor *copy = cvi_arena_alloc(g->arena, 1, sizeof *copy);
    if (!copy) {
        cvi_no_memory(err, sizeof *copy);
        return -1;
    }
    *copy = *t;
    copy->owned = false;
    int v = cvi_graph_value(g, name, t->dtype, t->rank, t->dim, err);
    if (v >= 0) {
        g->values[v].constant = copy;
    }
    return v;
}

static int small_constant(cvi_graph *g, const char *name, cvs_dtype dtype, int rank, const int64_t *dim,
                          const void *data, cvs_error *err) {
    cvs_tensor t = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) {
        t.dim[i] = dim[i];
    }
    int64_t n = cvs_tensor_count(&t);
    if (n < 0) {
        cvi_fail(err, CVS_E_SHAPE, "constant %.100s has a wrong shape", name ? name : "");
        return -1;
    }
    t.bytes = (size_t)n * cvs_dtype_size(dtype);
    if (n > 0) {
        t.data = cvi_arena_alloc(g->arena, n, cvs_dtype_size(dtype));
        if (!t.data) {
            cvi_no_memory(err, t.bytes);
            return -1;
        }
        memcpy(t.data, data, t.bytes);
    }
    return cvi_graph_constant(g, name, &t, err);
}

int cvi_graph_ints(cvi_graph *g, const char *name, int n, const int64_t *v, cvs_error *err) {
    int64_t dim = n;
    return small_constant(g, name, CVS_I64, 1, &dim, v, err);
}

int cvi_graph_floats(cvi_graph *g, const char *name, int rank, const int64_t *dim, const float *v,
                     cvs_error *err) {
    return small_constant(g, name, CVS_F32, rank, dim, v, err);
}

int cvi_graph_node(cvi_graph *g, const char *name, const char *op, int n_in, int n_out, int n_attr,
                   cvs_error *err) {
    if (g->n_nodes >= g->limits->max_nodes) {
        cvi_fail(err, CVS_E_LIMIT, "more than %lld nodes, the limit", (long long)g->limits->max_nodes);
        return -1;
    }
    cvi_node *nodes = grow(g->arena, g->nodes, g->n_nodes, &g->cap_nodes, sizeof *nodes);
    if (!nodes) {
        cvi_no_memory(err, 0);
        return -1;
    }
    g->nodes = nodes;
    cvi_node *n = &nodes[g->n_nodes];
    *n = (cvi_node){.n_in = n_in, .n_out = n_out, .n_attr = n_attr};
    n->name = cvi_arena_strn(g->arena, name ? name : "", name ? strlen(name) : 0);
    n->op = cvi_arena_strn(g->arena, op, strlen(op));
    n->layer = n->name;
    n->in = cvi_arena_alloc(g->arena, CVI_MAX(n_in, 1), sizeof *n->in);
    n->out = cvi_arena_alloc(g->arena, CVI_MAX(n_out, 1), sizeof *n->out);
    n->attr = cvi_arena_alloc(g->arena, CVI_MAX(n_attr, 1), sizeof *n->attr);
    if (!n->name || !n->op || !n->in || !n->out || !n->attr) {
        cvi_no_memory(err, 0);
        return -1;
    }
    for (int i = 0; i < n_in; i++) {
        n->in[i] = -1;
    }
    for (int i = 0; i < n_out; i++) {
        n->out[i] = -1;
    }
    for (int i = 0; i < n_attr; i++) {
        n->attr[i].name = "";
    }
    return g->n_nodes++;
}

int cvi_graph_op(cvi_graph *g, const char *op, int n_in, const int *in, const char *out_name, int n_attr,
                 cvi_node **node, cvs_error *err) {
    int v = cvi_graph_value(g, out_name, CVS_NONE, -1, NULL, err);
    if (v < 0) {
        return -1;
    }
    int n = cvi_graph_node(g, g->values[v].name, op, n_in, 1, n_attr, err);
    if (n < 0) {
        return -1;
    }
    for (int i = 0; i < n_in; i++) {
        g->nodes[n].in[i] = in[i];
    }
    g->nodes[n].out[0] = v;
    if (node) {
        *node = &g->nodes[n];
    }
    return v;
}

static bool add_port(cvi_graph *g, int **list, int *count, int value) {
    int *bigger = cvi_arena_alloc(g->arena, *count + 1, sizeof *bigger);
    if (!bigger) {
        return false;
    }
    if (*count) {
        memcpy(bigger, *list, (size_t)*count * sizeof *bigger);
    }
    bigger[*count] = value;
    *list = bigger;
    ++*count;
    return true;
}

bool cvi_graph_add_input(cvi_graph *g, int value) {
    return add_port(g, &g->inputs, &g->n_inputs, value);
}

bool cvi_graph_add_output(cvi_graph *g, int value) {
    return add_port(g, &g->outputs, &g->n_outputs, value);
}
