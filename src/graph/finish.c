/* SPDX-License-Identifier: MIT
 * finish.c - makes a graph that a reader filled safe to walk: producers, one topological order (the file's own order
 * where it is one), unique node names, and a located error for what is missing, doubled or cyclic.
 */
#include "graph/graph.h"

static cvs_status set_producers(cvi_graph *g, cvs_error *err) {
    for (int n = 0; n < g->n_nodes; n++) {
        cvi_node *node = &g->nodes[n];
        for (int k = 0; k < node->n_out; k++) {
            int v = node->out[k];
            if (v < 0) {
                continue;
            }
            if (v >= g->n_values) {
                return cvi_fail(err, CVS_E_INTERNAL, "output %d of a node is not in the graph", k);
            }
            cvi_value *value = &g->values[v];
            if (value->producer >= 0 || value->constant || value->outer >= 0) {
                cvs_status s = cvi_fail(err, CVS_E_FORMAT, "value %.100s is made twice", value->name);
                return cvi_at_node(err, s, node->name, node->op);
            }
            value->producer = n;
        }
    }
    for (int i = 0; i < g->n_inputs; i++) {
        const cvi_value *value = &g->values[g->inputs[i]];
        if (value->producer >= 0) {
            return cvi_fail(err, CVS_E_FORMAT, "graph input %.100s is also made by node %.100s", value->name,
                            g->nodes[value->producer].name);
        }
    }
    return CVS_OK;
}

/* Whether a value that no node makes may be read: input, constant or captured. */
static bool is_source(const cvi_graph *g, const bool *is_input, int v) {
    return is_input[v] || g->values[v].constant || g->values[v].outer >= 0;
}

static cvs_status check_sources(const cvi_graph *g, cvs_error *err) {
    bool *is_input = cvi_calloc((size_t)CVI_MAX(g->n_values, 1), sizeof *is_input);
    if (!is_input) {
        return cvi_no_memory(err, (size_t)g->n_values);
    }
    for (int i = 0; i < g->n_inputs; i++) {
        is_input[g->inputs[i]] = true;
    }
    cvs_status s = CVS_OK;
    for (int n = 0; n < g->n_nodes && s == CVS_OK; n++) {
        const cvi_node *node = &g->nodes[n];
        for (int k = 0; k < node->n_in && s == CVS_OK; k++) {
            int v = node->in[k];
            if (v >= 0 && g->values[v].producer < 0 && !is_source(g, is_input, v)) {
                s = cvi_fail(err, CVS_E_FORMAT,
                             "input %d, %.100s, is made by no node and is no input of the graph", k,
                             g->values[v].name);
                s = cvi_at_node(err, s, node->name, node->op);
            }
        }
    }
    for (int i = 0; i < g->n_outputs && s == CVS_OK; i++) {
        int v = g->outputs[i];
        if (g->values[v].producer < 0 && !is_source(g, is_input, v)) {
            s = cvi_fail(err, CVS_E_FORMAT, "graph output %.100s is made by no node", g->values[v].name);
        }
    }
    cvi_free(is_input);
    return s;
}

/* Calls visit for every value of g that node reads, its subgraphs' captures included (one level: inner captures of
 * outer-outer values are captured level by level by the readers). */
static void each_read(const cvi_node *node, void (*visit)(void *context, int v), void *context) {
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0) {
            visit(context, node->in[k]);
        }
    }
    for (int a = 0; a < node->n_attr; a++) {
        const cvi_graph *sub = node->attr[a].graph;
        for (int i = 0; sub && i < sub->n_values; i++) {
            if (sub->values[i].outer >= 0) {
                visit(context, sub->values[i].outer);
            }
        }
    }
}

typedef struct order_state {
    const cvi_graph *g;
    int *waiting;     /* per node: reads that are not made yet */
    int *first;       /* per value: its first link, -1 = none */
    int *next, *user; /* links: the next one of the same value, the node that reads */
    int n_links, current;
} order_state;

static void count_read(void *context, int v) {
    order_state *o = context;
    o->n_links += o->g->values[v].producer >= 0;
}

static void link_read(void *context, int v) {
    order_state *o = context;
    if (o->g->values[v].producer >= 0) {
        o->user[o->n_links] = o->current;
        o->next[o->n_links] = o->first[v];
        o->first[v] = o->n_links++;
        o->waiting[o->current]++;
    }
}

/* A binary heap of node numbers: the smallest ready one goes first, so a file that is in order stays as it is. */
static void heap_push(int *heap, int *n, int x) {
    int i = (*n)++;
    for (; i > 0 && heap[(i - 1) / 2] > x; i = (i - 1) / 2) {
        heap[i] = heap[(i - 1) / 2];
    }
    heap[i] = x;
}

static int heap_pop(int *heap, int *n) {
    int top = heap[0], x = heap[--*n], i = 0;
    for (;;) {
        int child = 2 * i + 1;
        if (child + 1 < *n && heap[child + 1] < heap[child]) {
            child++;
        }
        if (child >= *n || heap[child] >= x) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = x;
    return top;
}

static void release_readers(const cvi_graph *g, order_state *o, int node, int *heap, int *ready) {
    for (int k = 0; k < g->nodes[node].n_out; k++) {
        int v = g->nodes[node].out[k];
        for (int l = v >= 0 ? o->first[v] : -1; l >= 0; l = o->next[l]) {
            if (--o->waiting[o->user[l]] == 0) {
                heap_push(heap, ready, o->user[l]);
            }
        }
    }
}

static cvs_status sort_nodes(const cvi_graph *g, order_state *o, int *heap, int *order, cvs_error *err) {
    int ready = 0, done = 0;
    for (int v = 0; v < g->n_values; v++) {
        o->first[v] = -1;
    }
    o->n_links = 0;
    for (o->current = 0; o->current < g->n_nodes; o->current++) {
        each_read(&g->nodes[o->current], link_read, o);
    }
    for (int n = 0; n < g->n_nodes; n++) {
        if (o->waiting[n] == 0) {
            heap_push(heap, &ready, n);
        }
    }
    while (ready > 0) {
        order[done] = heap_pop(heap, &ready);
        release_readers(g, o, order[done++], heap, &ready);
    }
    for (int n = 0; done < g->n_nodes; n++) {
        if (o->waiting[n] > 0) {
            const cvi_node *node = &g->nodes[n];
            cvs_status s =
                cvi_fail(err, CVS_E_FORMAT, "the graph has a cycle: this node waits for its own output");
            return cvi_at_node(err, s, node->name, node->op);
        }
    }
    return CVS_OK;
}

static void take_order(cvi_graph *g, cvi_node *sorted, const int *order) {
    for (int n = 0; n < g->n_nodes; n++) {
        sorted[n] = g->nodes[order[n]];
        for (int k = 0; k < sorted[n].n_out; k++) {
            if (sorted[n].out[k] >= 0) {
                g->values[sorted[n].out[k]].producer = n;
            }
        }
    }
    g->nodes = sorted;
    g->cap_nodes = CVI_MAX(g->n_nodes, 1);
}

static cvs_status order_nodes(cvi_graph *g, cvs_error *err) {
    order_state o = {.g = g};
    for (int n = 0; n < g->n_nodes; n++) {
        each_read(&g->nodes[n], count_read, &o);
    }
    size_t nodes = (size_t)g->n_nodes + 1, links = (size_t)o.n_links + 1;
    o.waiting = cvi_calloc(nodes, sizeof(int));
    o.first = cvi_calloc((size_t)g->n_values + 1, sizeof(int));
    o.next = cvi_calloc(links, sizeof(int));
    o.user = cvi_calloc(links, sizeof(int));
    int *heap = cvi_calloc(nodes, sizeof(int)), *order = cvi_calloc(nodes, sizeof(int));
    cvi_node *sorted = cvi_arena_alloc(g->arena, CVI_MAX(g->n_nodes, 1), sizeof *sorted);
    cvs_status s = CVS_OK;
    if (!o.waiting || !o.first || !o.next || !o.user || !heap || !order || !sorted) {
        s = cvi_no_memory(err, nodes * sizeof(int));
    } else {
        s = sort_nodes(g, &o, heap, order, err);
    }
    if (s == CVS_OK) {
        take_order(g, sorted, order);
    }
    cvi_free(o.waiting);
    cvi_free(o.first);
    cvi_free(o.next);
    cvi_free(o.user);
    cvi_free(heap);
    cvi_free(order);
    return s;
}

/* An unnamed node is known by its first output; the layer name always is. */
static void name_nodes(cvi_graph *g) {
    for (int n = 0; n < g->n_nodes; n++) {
        cvi_node *node = &g->nodes[n];
        for (int k = node->n_out - 1; k >= 0; k--) {
            if (node->out[k] >= 0) {
                node->layer = g->values[node->out[k]].name;
            }
        }
        if (!node->name[0]) {
            node->name = node->layer;
        }
    }
}

static cvs_status finish(cvi_graph *g, int64_t depth, cvs_error *err) {
    if (depth > g->limits->max_depth) {
        return cvi_fail(err, CVS_E_LIMIT, "subgraphs are nested more than %lld deep, the limit",
                        (long long)g->limits->max_depth);
    }
    CVI_TRY(set_producers(g, err));
    CVI_TRY(check_sources(g, err));
    CVI_TRY(order_nodes(g, err));
    name_nodes(g);
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        for (int a = 0; a < node->n_attr; a++) {
            cvs_status s = node->attr[a].graph ? finish(node->attr[a].graph, depth + 1, err) : CVS_OK;
            if (s != CVS_OK) {
                return cvi_at_node(err, s, node->name, node->op);
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_graph_finish(cvi_graph *g, cvs_error *err) {
    return finish(g, 0, err);
}
