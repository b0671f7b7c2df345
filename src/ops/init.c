/* SPDX-License-Identifier: MIT
 * init.c - weights for a model that has none: each constant without data is filled by what its readers use it for.
 * He et al. 2015 (normal, variance 2 / fan-in) for kernels; 0 for bias, shift, mean; 1 for scale, variance.
 */
#include <math.h>

#include "ops/op.h"

/* The role that the first operator reading the value gives it; *node is that operator's node. */
static cvi_role role_of(const cvi_graph *g, int v, const cvi_node **node) {
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_op *op = g->nodes[n].def;
        for (int k = 0; op && k < g->nodes[n].n_in; k++) {
            if (g->nodes[n].in[k] == v) {
                *node = &g->nodes[n];
                return k < op->n_inputs ? op->inputs[k].role : op->inputs[op->n_inputs - 1].role;
            }
        }
    }
    *node = NULL;
    return CVI_DATA;
}

/* Inputs that one output sums over. Kernels are [K,C/groups,R,S...]; a dense one is [in,out] unless transB says [out,in]. */
static double fan_in(const cvs_tensor *t, const cvi_node *node) {
    double total = (double)cvs_tensor_count(t);
    if (t->rank < 2 || t->dim[0] == 0 || t->dim[1] == 0) {
        return 1.0;
    }
    if (t->rank == 2 && node && !cvi_node_int(node, "transB", 0)) {
        return (double)t->dim[0];
    }
    return total / (double)t->dim[0];
}

/* Every number is drawn by its own index: whoever draws it, it is the same. */
typedef struct drawing {
    float *data;
    int64_t n;
    uint64_t seed, purpose;
    double deviation;
} drawing;

enum { DRAWN = 1 << 14 }; /* numbers a chunk */

static void draw(void *context, int64_t chunk, int worker) {
    (void)worker;
    const drawing *d = context;
    int64_t end = (chunk + 1) * DRAWN < d->n ? (chunk + 1) * DRAWN : d->n;
    for (int64_t i = chunk * DRAWN; i < end; i++) {
        d->data[i] = (float)(d->deviation * cvi_random_normal(d->seed, d->purpose, (uint64_t)i));
    }
}

static cvs_status fill(cvs_model *model, cvi_pool *pool, int v, uint64_t seed, cvs_error *err) {
    cvi_graph *g = model->graph;
    const cvi_node *node;
    cvi_role role = role_of(g, v, &node);
    cvs_tensor t = *g->values[v].constant;
    int64_t n = cvs_tensor_count(&t);
    if (n <= 0 || t.dtype != CVS_F32) {
        return n < 0 ? cvi_fail(err, CVS_E_SHAPE, "constant %.100s has a wrong shape", g->values[v].name)
                     : CVS_OK;
    }
    float *data = cvi_arena_alloc(model->arena, n, sizeof *data);
    cvs_tensor *copy = cvi_arena_alloc(model->arena, 1, sizeof *copy);
    if (!data || !copy) {
        return cvi_no_memory(err, (size_t)n * sizeof *data);
    }
    bool ones = role == CVI_SCALE || role == CVI_VARIANCE, normal = role == CVI_WEIGHT || role == CVI_DATA;
    if (normal) {
        drawing d = {data, n, seed, (uint64_t)v, sqrt(2.0 / fan_in(&t, node))};
        cvi_pool_run(pool, (n + DRAWN - 1) / DRAWN, draw, &d);
    }
    for (int64_t i = 0; i < n && !normal; i++) {
        data[i] = ones ? 1.0f : 0.0f;
    }
    t.data = data;
    t.bytes = (size_t)n * sizeof *data;
    *copy = t;
    g->values[v].constant = copy;
    return CVS_OK;
}

cvs_status cvi_ops_init_weights(cvs_model *model, uint64_t seed, cvs_error *err) {
    cvi_graph *g = model->graph;
    cvi_pool *pool = cvi_pool_new(0); /* NULL: this thread draws alone */
    cvs_status s = CVS_OK;
    for (int v = 0; v < g->n_values && s == CVS_OK; v++) {
        const cvs_tensor *t = g->values[v].constant;
        if (t && !t->data && cvs_tensor_count(t) != 0) {
            s = fill(model, pool, v, seed, err);
        }
    }
    cvi_pool_free(pool);
    model->has_weights = model->has_weights || s == CVS_OK;
    return s;
}
