/* SPDX-License-Identifier: MIT
 * recompute.c - values that the last forward pass left nowhere (inside a fused group, or in memory that others used after them) are
 * computed again when somebody looks at them: from the nearest values that are there, node by node, without fusion, into memory of
 * their own, where they stay until the next pass.
 */
#include "engine/plan.h"

static bool is_there(const cvi_exec *x, int v) {
    const cvi_slot *slot = &x->slots[v];
    return slot->form[CVS_PLAIN].ready || slot->form[CVS_NHWC8].ready || slot->constant ||
           x->g->values[v].outer >= 0;
}

typedef struct wants {
    const cvi_exec *x;
    bool *node;
} wants;

static bool want(void *context, int v) {
    wants *w = context;
    int producer = w->x->g->values[v].producer;
    if (!is_there(w->x, v) && producer >= 0) {
        w->node[producer] = true;
    }
    return false;
}

cvs_status cvi_exec_again(cvi_exec *x, int v, cvs_error *err) {
    int producer = x->g->values[v].producer;
    if (is_there(x, v) || producer < 0 || !x->has_run || !x->steps[producer].done) {
        return CVS_OK;
    }
    CVI_TRY(cvi_branch_cut(x, v, err));
    if (is_there(x, v)) {
        return CVS_OK;
    }
    wants w = {.x = x, .node = cvi_calloc((size_t)producer + 1, sizeof *w.node)};
    if (!w.node) {
        return cvi_no_memory(err, (size_t)producer + 1);
    }
    w.node[producer] = true;
    for (int n = producer; n >= 0; n--) {
        if (w.node[n]) {
            cvi_plan_reads(x, n, want, &w);
        }
    }
    cvs_status s = CVS_OK;
    for (int n = 0; n <= producer && s == CVS_OK; n++) {
        if (w.node[n]) {
            s = cvi_exec_alone(x, n, &x->again, err);
            s = s == CVS_OK ? s : cvi_at_node(err, s, x->g->nodes[n].name, x->g->nodes[n].op);
        }
    }
    cvi_free(w.node);
    return s;
}
