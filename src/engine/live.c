/* SPDX-License-Identifier: MIT
 * live.c - what lies in memory while each layer is computed, when every value is freed after the last layer that reads it:
 * the figure that a memory budget needs. Layers that only rename their input's numbers add nothing.
 */
#include "engine/live.h"

typedef struct life {
    const cvi_graph *g;
    const cvi_groups *groups;
    cvs_summary *s;
    int *owner;     /* per value: place of the memory: input i, or n_inputs + layer; -1 = a constant */
    int *last;      /* per place: the last layer that reads it */
    int64_t *bytes; /* per place */
} life;

static int64_t plus(int64_t a, int64_t b) {
    int64_t sum = INT64_MAX;
    return cvi_add(a, b, &sum) ? sum : INT64_MAX;
}

/* Whether the layer is one node that passes its first input's memory on. */
static bool renames(const life *f, int layer, int node, int nodes_of_layer) {
    const cvi_op *op = f->g->nodes[node].def;
    return nodes_of_layer == 1 && op != NULL && (op->flags & (CVI_OP_RESHAPE | CVI_OP_IDENTITY)) &&
           f->groups->main[layer] == node && f->g->nodes[node].n_in > 0;
}

static int place_of(const life *f, int v) {
    if (v < 0 || f->g->values[v].constant != NULL) {
        return -1;
    }
    int n = f->g->values[v].producer, layer = n >= 0 ? f->groups->of_node[n] : -1;
    return n < 0 ? f->owner[v] : layer >= 0 ? f->owner[f->groups->value[layer]] : -1;
}

/* Walks the nodes in order: places of what they write, last readers of what they read. */
static void follow(life *f, int *nodes_of) {
    for (int n = 0; n < f->g->n_nodes; n++) {
        if (f->groups->of_node[n] >= 0) {
            nodes_of[f->groups->of_node[n]]++;
        }
    }
    for (int n = 0; n < f->g->n_nodes; n++) {
        const cvi_node *node = &f->g->nodes[n];
        int layer = f->groups->of_node[n];
        if (layer < 0) {
            continue;
        }
        int v = f->groups->value[layer], in = node->n_in > 0 ? place_of(f, node->in[0]) : -1;
        if (renames(f, layer, n, nodes_of[layer]) && in >= 0) {
            f->owner[v] = in;
        }
        for (int k = 0; k < node->n_in; k++) {
            int place = place_of(f, node->in[k]);
            if (place >= 0) {
                f->last[place] = CVI_MAX(f->last[place], layer);
            }
        }
        for (int k = 0; k < node->n_out; k++) { /* later outputs of one node are layers of their own */
            int u = node->out[k], place = u >= 0 ? f->owner[u] : -1;
            if (place >= 0) {
                f->last[place] = CVI_MAX(f->last[place], layer);
            }
        }
    }
    for (int i = 0; i < f->g->n_outputs; i++) {
        int place = f->owner[f->g->outputs[i]];
        if (place >= 0) {
            f->last[place] = f->s->n_layers - 1;
        }
    }
}

static void sweep(life *f, int n_inputs, int64_t *freed) {
    int64_t alive = 0, peak = 0;
    int layers = f->s->n_layers;
    for (int p = 0; p < n_inputs; p++) {
        alive = plus(alive, f->bytes[p]);
        freed[CVI_MAX(f->last[p], 0)] = plus(freed[CVI_MAX(f->last[p], 0)], f->bytes[p]);
    }
    for (int l = 0; l < layers; l++) {
        int place = n_inputs + l;
        if (f->owner[f->groups->value[l]] == place) {
            int end = CVI_MAX(f->last[place], l);
            alive = plus(alive, f->bytes[place]);
            freed[end] = plus(freed[end], f->bytes[place]);
        }
        f->s->layers[l].live_bytes = alive;
        peak = CVI_MAX(peak, alive);
        f->s->layers[l].peak_bytes = peak;
        alive = CVI_MAX(alive - freed[l], 0);
    }
    f->s->live_peak_bytes = peak;
}

cvs_status cvi_live_bytes(const cvi_graph *g, const cvi_groups *groups, const int64_t *input_bytes,
                          cvs_summary *s, cvs_error *err) {
    size_t places = (size_t)g->n_inputs + (size_t)s->n_layers + 1, values = (size_t)g->n_values + 1;
    life f = {.g = g, .groups = groups, .s = s};
    f.owner = cvi_calloc(values, sizeof *f.owner);
    f.last = cvi_calloc(places, sizeof *f.last);
    f.bytes = cvi_calloc(places, sizeof *f.bytes);
    int *nodes_of = cvi_calloc(places, sizeof *nodes_of);
    int64_t *freed = cvi_calloc(places, sizeof *freed);
    bool ok = f.owner != NULL && f.last != NULL && f.bytes != NULL && nodes_of != NULL && freed != NULL;
    if (ok) {
        for (size_t v = 0; v < values; v++) {
            f.owner[v] = -1;
        }
        for (int i = 0; i < g->n_inputs; i++) {
            f.owner[g->inputs[i]] = g->values[g->inputs[i]].constant == NULL ? i : -1;
            f.bytes[i] = f.owner[g->inputs[i]] >= 0 ? input_bytes[i] : 0;
        }
        for (int l = 0; l < s->n_layers; l++) {
            f.owner[groups->value[l]] = g->n_inputs + l;
            f.bytes[g->n_inputs + l] = s->layers[l].bytes;
        }
        for (size_t p = 0; p < places; p++) {
            f.last[p] = -1;
        }
        follow(&f, nodes_of);
        if (s->n_layers > 0) {
            sweep(&f, g->n_inputs, freed);
        }
    }
    cvi_free(f.owner);
    cvi_free(f.last);
    cvi_free(f.bytes);
    cvi_free(nodes_of);
    cvi_free(freed);
    return ok ? CVS_OK : cvi_no_memory(err, places * sizeof(int64_t));
}
