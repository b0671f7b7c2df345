/* SPDX-License-Identifier: MIT
 * twin.c - a model's copy to be changed: values and nodes are copied, names, files and untouched constants are shared.
 */
#include "explain/twin.h"

static void *copy(cvi_arena *arena, const void *from, int64_t n, size_t size) {
    void *to = cvi_arena_alloc(arena, CVI_MAX(n, 1), size);
    if (to && n > 0) {
        memcpy(to, from, (size_t)n * size);
    }
    return to;
}

static cvi_graph *copy_graph(cvi_arena *arena, const cvi_graph *from) {
    cvi_graph *g = copy(arena, from, 1, sizeof *g);
    if (!g) {
        return NULL;
    }
    g->arena = arena;
    g->cap_nodes = g->n_nodes;
    g->cap_values = g->n_values;
    g->values = copy(arena, from->values, from->n_values, sizeof *g->values);
    g->nodes = copy(arena, from->nodes, from->n_nodes, sizeof *g->nodes);
    g->inputs = copy(arena, from->inputs, from->n_inputs, sizeof *g->inputs);
    g->outputs = copy(arena, from->outputs, from->n_outputs, sizeof *g->outputs);
    bool whole = g->values && g->nodes && g->inputs && g->outputs;
    for (int i = 0; whole && i < g->n_nodes; i++) {
        cvi_node *node = &g->nodes[i];
        node->in = copy(arena, node->in, node->n_in, sizeof *node->in);
        cvi_attr *attr = cvi_arena_alloc(arena, node->n_attr + 1, sizeof *attr); /* and room for one more */
        if (attr && node->n_attr > 0) {
            memcpy(attr, node->attr, (size_t)node->n_attr * sizeof *attr);
        }
        node->attr = attr;
        whole = node->in && node->attr;
    }
    return whole ? g : NULL;
}

cvs_model *cvi_twin_new(const cvs_model *model, cvs_error *err) {
    cvs_model *m = cvi_model_new(&model->limits, err);
    if (!m) {
        return NULL;
    }
    cvi_arena *arena = m->arena;
    *m = *model;
    m->arena = arena;
    m->n_files = 0;
    m->files = NULL;
    m->graph = copy_graph(arena, model->graph);
    if (!m->graph) {
        cvi_no_memory(err, sizeof *model->graph);
        cvs_model_free(m);
        return NULL;
    }
    m->graph->limits = &m->limits;
    return m;
}

cvs_tensor *cvi_twin_constant(cvs_model *twin, int value, int rank, const int64_t *dim, cvs_error *err) {
    cvi_value *v = &twin->graph->values[value];
    cvs_tensor *t = cvi_arena_alloc(twin->arena, 1, sizeof *t);
    if (!t) {
        cvi_no_memory(err, sizeof *t);
        return NULL;
    }
    *t = (cvs_tensor){.dtype = v->constant->dtype, .rank = rank};
    memcpy(t->dim, dim, (size_t)rank * sizeof *dim);
    int64_t count = cvs_tensor_count(t);
    t->bytes = (size_t)CVI_MAX(count, 0) * cvs_dtype_size(t->dtype);
    t->data = cvi_arena_alloc(twin->arena, CVI_MAX(count, 1), cvs_dtype_size(t->dtype));
    if (count < 0 || !t->data) {
        cvi_no_memory(err, t->bytes);
        return NULL;
    }
    v->constant = t;
    v->rank = rank;
    memcpy(v->dim, dim, (size_t)rank * sizeof *dim);
    return t;
}

cvs_status cvi_twin_int(cvs_model *twin, int node, const char *name, int64_t v, cvs_error *err) {
    cvi_node *n = &twin->graph->nodes[node];
    for (int i = 0; i < n->n_attr; i++) {
        if (strcmp(n->attr[i].name, name) == 0) {
            n->attr[i].i = v;
            return CVS_OK;
        }
    }
    return cvi_attr_set_int(twin->graph, &n->attr[n->n_attr++], name, v)
               ? CVS_OK
               : cvi_no_memory(err, sizeof *n->attr); /* copy_graph left room */
}

void cvi_twin_reroute(cvs_model *twin, int from, int to) {
    cvi_graph *g = twin->graph;
    for (int i = 0; i < g->n_nodes; i++) {
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            g->nodes[i].in[k] = g->nodes[i].in[k] == from ? to : g->nodes[i].in[k];
        }
    }
    for (int i = 0; i < g->n_outputs; i++) {
        g->outputs[i] = g->outputs[i] == from ? to : g->outputs[i];
    }
}

/* Values that subgraphs of a node capture count as read by it. */
static void need_captured(const cvi_graph *sub, bool *needed) {
    for (int v = 0; v < sub->n_values; v++) {
        if (sub->values[v].outer >= 0) {
            needed[sub->values[v].outer] = true;
        }
    }
}

cvs_status cvi_twin_sweep(cvs_model *twin, cvs_error *err) {
    cvi_graph *g = twin->graph;
    bool *needed = cvi_calloc((size_t)g->n_values + 1, sizeof *needed);
    if (!needed) {
        return cvi_no_memory(err, (size_t)g->n_values);
    }
    for (int i = 0; i < g->n_outputs; i++) {
        needed[g->outputs[i]] = true;
    }
    int kept = 0;
    bool *keep = cvi_calloc((size_t)g->n_nodes + 1, sizeof *keep);
    for (int i = g->n_nodes - 1; keep && i >= 0; i--) { /* topological order: readers come later */
        const cvi_node *node = &g->nodes[i];
        for (int k = 0; k < node->n_out; k++) {
            keep[i] = keep[i] || (node->out[k] >= 0 && needed[node->out[k]]);
        }
        for (int k = 0; keep[i] && k < node->n_in; k++) {
            if (node->in[k] >= 0) {
                needed[node->in[k]] = true;
            }
        }
        for (int k = 0; keep[i] && k < node->n_attr; k++) {
            if (node->attr[k].kind == CVI_ATTR_GRAPH) {
                need_captured(node->attr[k].graph, needed);
            }
        }
    }
    for (int i = 0; keep && i < g->n_nodes; i++) {
        for (int k = 0; k < g->nodes[i].n_out; k++) {
            if (g->nodes[i].out[k] >= 0) {
                g->values[g->nodes[i].out[k]].producer = keep[i] ? kept : -1;
            }
        }
        if (keep[i]) {
            g->nodes[kept++] = g->nodes[i];
        }
    }
    g->n_nodes = keep ? kept : g->n_nodes;
    cvs_status s = keep ? CVS_OK : cvi_no_memory(err, (size_t)g->n_nodes);
    cvi_free(keep);
    cvi_free(needed);
    return s;
}

/* ---- weights -------------------------------------------------------------------------------------------- */

static cvi_role input_role(const cvi_node *node, int k) {
    const cvi_op *op = node->def;
    return op && op->n_inputs > 0 ? op->inputs[CVI_MIN(k, op->n_inputs - 1)].role : CVI_DATA;
}

static const cvs_tensor *numbers_of(const cvi_graph *g, int v) {
    const cvs_tensor *t = v >= 0 ? g->values[v].constant : NULL;
    return t && t->data && t->dtype == CVS_F32 ? t : NULL;
}

static bool is_weighted(const cvi_graph *g, const cvi_node *node) {
    bool has = false;
    for (int k = 0; k < node->n_in; k++) {
        has = has || (input_role(node, k) == CVI_WEIGHT && numbers_of(g, node->in[k]));
    }
    return has;
}

int cvi_weighted_nodes(const cvi_graph *g, int *nodes, int max) {
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        bool has = is_weighted(g, &g->nodes[i]);
        if (has && n < max) {
            nodes[n] = i;
        }
        n += has;
    }
    return n;
}

/* Fisher and Yates, with numbers that depend on the seed and the constant only. */
static cvs_status shuffle(cvs_model *twin, int v, uint64_t seed, cvs_error *err) {
    const cvs_tensor *old = twin->graph->values[v].constant;
    cvs_tensor *t = cvi_twin_constant(twin, v, old->rank, old->dim, err);
    if (!t) {
        return CVS_E_MEMORY;
    }
    float *w = t->data;
    memcpy(w, old->data, t->bytes);
    for (int64_t i = cvs_tensor_count(t) - 1; i > 0; i--) {
        uint64_t draw = cvi_random_bits(seed, 0x73687566666C65u + (uint64_t)v, (uint64_t)i);
        int64_t k = (int64_t)(draw % (uint64_t)(i + 1));
        float hold = w[i];
        w[i] = w[k];
        w[k] = hold;
    }
    return CVS_OK;
}

cvs_status cvi_twin_shuffle(cvs_model *twin, int first, int last, uint64_t seed, cvs_error *err) {
    const cvi_graph *g = twin->graph;
    bool *done = cvi_calloc((size_t)g->n_values + 1, sizeof *done);
    if (!done) {
        return cvi_no_memory(err, (size_t)g->n_values);
    }
    cvs_status s = CVS_OK;
    int stage = -1;
    for (int i = 0; s == CVS_OK && i < g->n_nodes; i++) {
        const cvi_node *node = &g->nodes[i];
        stage += is_weighted(g, node);
        for (int k = 0; s == CVS_OK && stage >= first && stage < last && k < node->n_in; k++) {
            cvi_role role = input_role(node, k);
            bool trained = role == CVI_WEIGHT || role == CVI_BIAS || role == CVI_SCALE || role == CVI_SHIFT;
            if (trained && numbers_of(g, node->in[k]) && !done[node->in[k]]) {
                done[node->in[k]] = true;
                s = shuffle(twin, node->in[k], seed, err);
            }
        }
    }
    cvi_free(done);
    return s;
}
