/* SPDX-License-Identifier: MIT
 * arch_memory.c - what lies in memory while each box computes: its inputs, its output, and every earlier output that a later
 * box still reads. Boxes that only rename their input's memory add nothing.
 */
#include "draw/arch.h"

static int64_t plus(int64_t a, int64_t b) {
    int64_t sum = INT64_MAX;
    return cvi_add(a, b, &sum) ? sum : INT64_MAX;
}

cvs_status cvi_arch_measure_memory(cvi_arch *a, cvs_error *err) {
    size_t n = (size_t)CVI_MAX(a->n_nodes, 1);
    int *home = cvi_calloc(n, sizeof *home), *last = cvi_calloc(n, sizeof *last),
        *next = cvi_calloc(n, sizeof *next), *head = cvi_calloc(n, sizeof *head);
    bool ok = home != NULL && last != NULL && next != NULL && head != NULL;
    for (int i = 0; ok && i < a->n_nodes; i++) { /* where the numbers lie, and the last box that reads them */
        const cvi_arch_node *b = &a->nodes[i];
        home[i] = b->in_place && cvi_arch_n_inputs(a, i) > 0 ? home[a->edges[a->edge_at[i]].from] : i;
        last[i] = i;
        head[i] = -1;
        for (int k = a->edge_at[i]; k < a->edge_at[i + 1]; k++) {
            last[home[a->edges[k].from]] = i;
        }
        if (b->is_output) {
            last[home[i]] = a->n_nodes - 1;
        }
    }
    int64_t alive = 0;
    for (int i = 0; ok && i < a->n_nodes; i++) {
        if (home[i] == i) {
            alive = plus(alive, CVI_MAX(a->nodes[i].bytes, 0));
            next[i] = head[last[i]];
            head[last[i]] = i;
        }
        a->nodes[i].live_bytes = alive;
        a->peak_bytes = CVI_MAX(a->peak_bytes, alive);
        for (int k = head[i]; k >= 0; k = next[k]) { /* freed after this box */
            alive -= CVI_MAX(a->nodes[k].bytes, 0);
        }
    }
    cvi_free(home);
    cvi_free(last);
    cvi_free(next);
    cvi_free(head);
    return ok ? CVS_OK : cvi_no_memory(err, n * sizeof(int));
}
