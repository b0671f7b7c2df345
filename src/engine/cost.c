/* SPDX-License-Identifier: MIT
 * cost.c - parameters and arithmetic of one node of a plan.
 */
#include "engine/cost.h"
#include "engine/plan.h"

/* Numbers that were learned: by role; among what only flows, float constants of more than one number (the sum after a
 * product holds a bias). */
static bool is_parameter(const cvi_node *node, int k, const cvs_tensor *t) {
    cvi_role role = node->def ? cvi_op_role(node->def, k) : CVI_DATA;
    bool number = t->dtype == CVS_F32 || t->dtype == CVS_F64 || t->dtype == CVS_F16 || t->dtype == CVS_BF16;
    if (role == CVI_SHAPE) {
        return false;
    }
    return role == CVI_DATA ? number && cvs_tensor_count(t) > 1 : true;
}

static void count_parameters(const cvi_graph *g, const cvi_node *node, bool *counted, cvi_node_numbers *out) {
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k];
        const cvs_tensor *t = v >= 0 ? g->values[v].constant : NULL;
        if (!t || counted[v] || !is_parameter(node, k, t)) {
            continue;
        }
        cvi_role role = node->def ? cvi_op_role(node->def, k) : CVI_DATA;
        int64_t count = cvs_tensor_count(t);
        counted[v] = true;
        out->params += count;
        out->trainable += role == CVI_MEAN || role == CVI_VARIANCE ? 0 : count;
        out->weight_bytes += (int64_t)cvs_dtype_size(t->dtype) * count;
    }
}

cvi_node_numbers cvi_node_count(cvi_exec *x, int n, bool *counted) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_node_numbers out = {0};
    cvi_opctx ctx;
    cvi_cost cost = {0, 0};
    count_parameters(x->g, node, counted, &out);
    out.folded = node->def && x->steps[n].kind == CVI_STEP_FOLDED && !x->steps[n].late;
    if (!node->def || out.folded || !node->def->cost || cvi_exec_opctx(x, n, &ctx, NULL) != CVS_OK) {
        return out;
    }
    node->def->cost(&ctx, &cost);
    out.macs = cost.macs;
    out.flops = cost.flops;
    return out;
}
