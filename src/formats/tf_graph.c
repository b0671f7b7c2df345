/* SPDX-License-Identifier: MIT
 * tf_graph.c - a TensorFlow graph as data: attributes by name, nodes by name, growing lists.
 */
#include "formats/tf_graph.h"

#include <stdlib.h>

const tf_attr *cvi_tf_attr(const tf_node *node, const char *name) {
    for (int i = 0; i < node->n_attr; i++) {
        if (strcmp(node->attr[i].name, name) == 0) {
            return &node->attr[i];
        }
    }
    return NULL;
}

int64_t cvi_tf_attr_int(const tf_node *node, const char *name, int64_t otherwise) {
    const tf_attr *a = cvi_tf_attr(node, name);
    return a ? a->i : otherwise;
}

double cvi_tf_attr_float(const tf_node *node, const char *name, double otherwise) {
    const tf_attr *a = cvi_tf_attr(node, name);
    return a ? a->f : otherwise;
}

const char *cvi_tf_attr_text(const tf_node *node, const char *name, const char *otherwise) {
    const tf_attr *a = cvi_tf_attr(node, name);
    return a && a->s ? a->s : otherwise;
}

cvs_dtype cvi_tf_type(int64_t number) {
    static const cvs_dtype types[] = {CVS_NONE, CVS_F32,  CVS_F64,  CVS_I32,  CVS_U8,   CVS_I16,
                                      CVS_I8,   CVS_NONE, CVS_NONE, CVS_I64,  CVS_BOOL, CVS_I8,
                                      CVS_U8,   CVS_I32,  CVS_BF16, CVS_I16,  CVS_U16,  CVS_U16,
                                      CVS_NONE, CVS_F16,  CVS_NONE, CVS_NONE, CVS_U32,  CVS_U64};
    number = number > 100 ? number - 100 : number; /* references to variables */
    return number >= 0 && number < CVI_COUNT(types) ? types[number] : CVS_NONE;
}

tf_node *cvi_tf_add_node(cvi_arena *a, tf_body *body) {
    if (body->n == body->capacity) {
        int capacity = CVI_MAX(64, 2 * body->capacity);
        tf_node *more = body->capacity < 1 << 24 ? cvi_arena_alloc(a, capacity, sizeof *more) : NULL;
        if (!more) {
            return NULL;
        }
        if (body->n > 0) {
            memcpy(more, body->node, (size_t)body->n * sizeof *more);
        }
        body->node = more;
        body->capacity = capacity;
    }
    return &body->node[body->n++];
}

tf_function *cvi_tf_add_function(cvi_arena *a, tf_graphdef *g) {
    if (g->n_functions == g->cap_functions) {
        int capacity = CVI_MAX(16, 2 * g->cap_functions);
        tf_function *more = g->cap_functions < 1 << 20 ? cvi_arena_alloc(a, capacity, sizeof *more) : NULL;
        if (!more) {
            return NULL;
        }
        if (g->n_functions > 0) {
            memcpy(more, g->function, (size_t)g->n_functions * sizeof *more);
        }
        g->function = more;
        g->cap_functions = capacity;
    }
    return &g->function[g->n_functions++];
}

typedef struct entry {
    const char *name;
    int at;
} entry;

static int by_name(const void *a, const void *b) {
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static cvs_status index_body(cvi_arena *a, tf_body *body, cvs_error *err) {
    entry *list = cvi_calloc((size_t)CVI_MAX(body->n, 1), sizeof *list);
    body->by_name = cvi_arena_alloc(a, CVI_MAX(body->n, 1), sizeof *body->by_name);
    if (!list || !body->by_name) {
        cvi_free(list);
        return cvi_no_memory(err, (size_t)body->n * sizeof *list);
    }
    for (int i = 0; i < body->n; i++) {
        list[i] = (entry){.name = body->node[i].name, .at = i};
    }
    qsort(list, (size_t)body->n, sizeof *list, by_name);
    cvs_status s = CVS_OK;
    for (int i = 0; i < body->n && s == CVS_OK; i++) {
        body->by_name[i] = list[i].at;
        if (i > 0 && strcmp(list[i].name, list[i - 1].name) == 0) {
            s = cvi_fail(err, CVS_E_FORMAT, "two nodes have the name %.100s", list[i].name);
        }
    }
    cvi_free(list);
    return s;
}

cvs_status cvi_tf_index(cvi_arena *a, tf_graphdef *g, cvs_error *err) {
    CVI_TRY(index_body(a, &g->main, err));
    for (int i = 0; i < g->n_functions; i++) {
        CVI_TRY(index_body(a, &g->function[i].body, err));
    }
    return CVS_OK;
}

/* Compares a name of n bytes with a terminated one. */
static int compare(const char *name, size_t n, const char *other) {
    int c = strncmp(name, other, n);
    return c ? c : other[n] ? -1 : 0;
}

int cvi_tf_find(const tf_body *body, const char *name, size_t n) {
    int low = 0, high = body->n - 1;
    while (low <= high) {
        int middle = low + (high - low) / 2, c = compare(name, n, body->node[body->by_name[middle]].name);
        if (c == 0) {
            return body->by_name[middle];
        }
        low = c > 0 ? middle + 1 : low;
        high = c > 0 ? high : middle - 1;
    }
    return -1;
}

const tf_function *cvi_tf_function(const tf_graphdef *g, const char *name) {
    for (int i = 0; i < g->n_functions; i++) {
        if (strcmp(g->function[i].name, name) == 0) {
            return &g->function[i];
        }
    }
    return NULL;
}
