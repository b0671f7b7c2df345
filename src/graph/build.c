/* SPDX-License-Identifier: MIT
 * build.c - what build.h declares: nodes and attributes for readers, with a failure that sticks.
 */
#include "graph/build.h"

enum {
    MAX_ATTRIBUTES = 12,
    MAX_FILL = 1 << 24 /* numbers that no file backs */
};

bool cvi_build_ok(const cvi_build *b) {
    return b->status == CVS_OK;
}

void cvi_build_keep(cvi_build *b, cvs_status s) {
    if (s != CVS_OK) {
        b->status = s;
        if (b->locate) {
            b->locate(b->owner, b->err, s);
        }
    }
}

void cvi_build_no_memory(cvi_build *b, size_t bytes) {
    cvi_build_set(b, cvi_no_memory(b->err, bytes));
}

const char *cvi_build_name(cvi_build *b, const char *fmt, ...) {
    if (!cvi_build_ok(b)) {
        return "";
    }
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    char *s = n >= 0 ? cvi_arena_alloc(b->model->arena, (int64_t)n + 1, 1) : NULL;
    if (s) {
        vsnprintf(s, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    va_end(args);
    if (!s) {
        cvi_build_no_memory(b, (size_t)CVI_MAX(n, 0));
        return "";
    }
    return s;
}

int cvi_build_made(cvi_build *b, int v) {
    if (v < 0) {
        cvi_build_set(b, b->err && b->err->code != CVS_OK ? b->err->code : CVS_E_MEMORY);
    }
    return v;
}

/* ---- nodes ---- */

int cvi_build_op(cvi_build *b, const char *op, const char *name, bool hidden, int n, const int *in) {
    if (!cvi_build_ok(b)) {
        return -1;
    }
    cvi_node *node = NULL;
    int v = cvi_build_made(b, cvi_graph_op(b->g, op, n, in, name, MAX_ATTRIBUTES, &node, b->err));
    if (v < 0) {
        return -1;
    }
    node->n_attr = 0; /* there is room for them */
    b->node = b->g->n_nodes - 1;
    b->g->values[v].hidden = hidden;
    return v;
}

int cvi_build_node(cvi_build *b, const char *op, const char *name, int n, const int *in, int n_out) {
    if (!cvi_build_ok(b)) {
        return -1;
    }
    int node = cvi_build_made(b, cvi_graph_node(b->g, name, op, n, n_out, MAX_ATTRIBUTES, b->err));
    if (node < 0) {
        return -1;
    }
    for (int i = 0; i < n; i++) {
        b->g->nodes[node].in[i] = in[i];
    }
    b->g->nodes[node].n_attr = 0;
    return b->node = node;
}

int cvi_build_out(cvi_build *b, int k, const char *name, bool hidden) {
    if (!cvi_build_ok(b)) {
        return -1;
    }
    int v = cvi_build_made(b, cvi_graph_value(b->g, name, CVS_NONE, -1, NULL, b->err));
    if (v >= 0) {
        b->g->nodes[b->node].out[k] = v;
        b->g->values[v].hidden = hidden;
    }
    return v;
}

/* Room for the next attribute of the last node, or NULL. */
static cvi_attr *next_attribute(const cvi_build *b) {
    cvi_node *node = cvi_build_ok(b) ? &b->g->nodes[b->node] : NULL;
    return node && node->n_attr < MAX_ATTRIBUTES ? &node->attr[node->n_attr++] : NULL;
}

static void attribute_done(cvi_build *b, bool ok) {
    if (!ok) {
        cvi_build_no_memory(b, 0);
    }
}

void cvi_build_int(cvi_build *b, const char *name, int64_t v) {
    cvi_attr *a = next_attribute(b);
    attribute_done(b, a && cvi_attr_set_int(b->g, a, name, v));
}

void cvi_build_float(cvi_build *b, const char *name, double v) {
    cvi_attr *a = next_attribute(b);
    attribute_done(b, a && cvi_attr_set_float(b->g, a, name, v));
}

void cvi_build_string(cvi_build *b, const char *name, const char *v) {
    cvi_attr *a = next_attribute(b);
    attribute_done(b, a && cvi_attr_set_string(b->g, a, name, v));
}

void cvi_build_ints(cvi_build *b, const char *name, int n, const int64_t *v) {
    cvi_attr *a = next_attribute(b);
    attribute_done(b, a && cvi_attr_set_ints(b->g, a, name, n, v));
}

void cvi_build_floats(cvi_build *b, const char *name, int n, const double *v) {
    cvi_attr *a = next_attribute(b);
    attribute_done(b, a && cvi_attr_set_floats(b->g, a, name, n, v));
}

void cvi_build_strings(cvi_build *b, const char *name, int n, const char *const *v) {
    cvi_attr *a = next_attribute(b);
    attribute_done(b, a && cvi_attr_set_strings(b->g, a, name, n, v));
}

/* ---- constants ---- */

void cvi_build_parts(void *to, const void *from, int n, const int *order, size_t bytes) {
    for (int k = 0; k < n; k++) {
        memcpy((uint8_t *)to + (size_t)k * bytes, (const uint8_t *)from + (size_t)order[k] * bytes, bytes);
    }
}

static int hide(cvi_build *b, int v) {
    if (cvi_build_made(b, v) >= 0) {
        b->g->values[v].hidden = true;
    }
    return v;
}

int cvi_build_const_ints(cvi_build *b, const char *name, int n, const int64_t *v) {
    return cvi_build_ok(b) ? hide(b, cvi_graph_ints(b->g, name, n, v, b->err)) : -1;
}

int cvi_build_const_floats(cvi_build *b, const char *name, int rank, const int64_t *dim, const float *v) {
    return cvi_build_ok(b) ? hide(b, cvi_graph_floats(b->g, name, rank, dim, v, b->err)) : -1;
}

int cvi_build_const_float(cvi_build *b, const char *name, double v) {
    float f = (float)v;
    return cvi_build_const_floats(b, name, 0, NULL, &f);
}

int cvi_build_constant(cvi_build *b, const char *name, const cvs_tensor *tensor) {
    return cvi_build_ok(b) ? hide(b, cvi_graph_constant(b->g, name, tensor, b->err)) : -1;
}

float *cvi_build_filled(cvi_build *b, int64_t n, double v) {
    if (!cvi_build_ok(b)) {
        return NULL;
    }
    if (n > MAX_FILL) {
        cvi_build_set(b, cvi_fail(b->err, CVS_E_LIMIT, "the layer has %lld channels, the limit is %d",
                                  (long long)n, (int)MAX_FILL));
        return NULL;
    }
    float *all = n > 0 ? cvi_arena_alloc(b->g->arena, n, sizeof *all) : NULL;
    if (!all) {
        cvi_build_no_memory(b, (size_t)CVI_MAX(n, 0) * sizeof *all);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++) {
        all[i] = (float)v;
    }
    return all;
}

int cvi_build_fill(cvi_build *b, const char *name, int64_t n, double v) {
    const float *all = cvi_build_filled(b, n, v);
    return all ? cvi_build_const_floats(b, name, 1, &n, all) : -1;
}
