/* SPDX-License-Identifier: MIT
 * arch_concat.c - concatenations that repeat an earlier one's inputs and add some read that one instead: what DenseNet exports
 * as a join of everything so far becomes a chain. For drawing only; the numbers stay those of the graph as it is.
 */
#include "draw/arch.h"

/* An earlier concatenation, by its list of inputs read forwards or backwards. */
typedef struct entry {
    uint64_t hash;
    int node; /* -1: free */
    int length;
} entry;

typedef struct join_table {
    entry *slots;
    size_t mask;
} join_table;

static uint64_t mix(uint64_t h, int v) {
    h ^= (uint64_t)(uint32_t)v + 0x9E3779B97F4A7C15u + (h << 6) + (h >> 2);
    h *= 0xFF51AFD7ED558CCDu;
    return h ^ h >> 32;
}

static entry *look_up(const join_table *x, uint64_t hash, int length) {
    size_t at = (size_t)hash & x->mask;
    while (x->slots[at].node >= 0 && (x->slots[at].hash != hash || x->slots[at].length != length)) {
        at = (at + 1) & x->mask;
    }
    return &x->slots[at];
}

/* The list as the graph has it, before anything is shortened. */
typedef struct lists {
    const cvi_arch_edge *edges; /* a copy */
    const int *at;
} lists;

static bool same_run(const lists *l, int node, int earlier, int length, bool backwards) {
    int end = l->at[node + 1], end2 = l->at[earlier + 1];
    for (int i = 0; i < length; i++) {
        int p = backwards ? end - 1 - i : l->at[node] + i, q = backwards ? end2 - 1 - i : l->at[earlier] + i;
        if (l->edges[p].from != l->edges[q].from) {
            return false;
        }
    }
    return true;
}

/* The earlier concatenation that holds the longest run of this one's inputs, from the front or the back. */
static int earlier_join(const join_table *x, const lists *l, int node, bool backwards, int *length) {
    int n = l->at[node + 1] - l->at[node], found = -1;
    uint64_t h = backwards ? 2 : 1;
    for (int i = 1; i < n; i++) {
        h = mix(h, l->edges[backwards ? l->at[node + 1] - i : l->at[node] + i - 1].from);
        const entry *e = i >= 2 ? look_up(x, h, i) : NULL;
        if (e != NULL && e->node >= 0 && same_run(l, node, e->node, i, backwards)) {
            found = e->node;
            *length = i;
        }
    }
    return found;
}

static void remember(const join_table *x, const lists *l, int node, bool backwards) {
    uint64_t h = backwards ? 2 : 1;
    int n = l->at[node + 1] - l->at[node];
    for (int i = 1; i <= n; i++) {
        h = mix(h, l->edges[backwards ? l->at[node + 1] - i : l->at[node] + i - 1].from);
    }
    entry *e = look_up(x, h, n);
    if (e->node < 0) {
        *e = (entry){h, node, n};
    }
}

/* Replaces `length` inputs of a node by one arrow from `earlier`; removed arrows get from = -1. */
static void shorten(cvi_arch *a, const lists *l, int node, int earlier, int length, bool backwards) {
    int first = backwards ? l->at[node + 1] - length : l->at[node];
    int keep = backwards ? l->at[node + 1] - 1 : first;
    for (int i = first; i < first + length; i++) {
        a->edges[i].from = i == keep ? earlier : -1;
    }
    a->edges[keep].shape = a->nodes[earlier].out;
}

static void drop_removed(cvi_arch *a) {
    int n = 0;
    for (int i = 0; i < a->n_edges; i++) {
        if (a->edges[i].from >= 0) {
            a->edges[n++] = a->edges[i];
        }
    }
    a->n_edges = n;
}

cvs_status cvi_arch_chain_concats(cvi_arch *a, cvs_error *err) {
    size_t joins = 0, slots = 16;
    for (int i = 0; i < a->n_nodes; i++) {
        joins += a->nodes[i].kind == CVI_NODE_CONCAT;
    }
    while (slots < joins * 4) {
        slots *= 2;
    }
    join_table x = {cvi_calloc(slots, sizeof(entry)), slots - 1};
    cvi_arch_edge *copy = cvi_calloc((size_t)a->n_edges + 1, sizeof *copy);
    if (x.slots == NULL || copy == NULL) {
        cvi_free(x.slots);
        cvi_free(copy);
        return cvi_no_memory(err, slots * sizeof(entry));
    }
    if (a->n_edges > 0) {
        memcpy(copy, a->edges, (size_t)a->n_edges * sizeof *copy);
    }
    for (size_t i = 0; i < slots; i++) {
        x.slots[i].node = -1;
    }
    lists l = {copy, a->edge_at};
    for (int i = 0; i < a->n_nodes; i++) {
        if (a->nodes[i].kind != CVI_NODE_CONCAT) {
            continue;
        }
        int front = 0, back = 0, f = earlier_join(&x, &l, i, false, &front),
            b = earlier_join(&x, &l, i, true, &back);
        if (f >= 0 && front >= back) {
            shorten(a, &l, i, f, front, false);
        } else if (b >= 0) {
            shorten(a, &l, i, b, back, true);
        }
        remember(&x, &l, i, false);
        remember(&x, &l, i, true);
    }
    drop_removed(a);
    cvi_free(x.slots);
    cvi_free(copy);
    return cvi_arch_finish(a, err);
}
