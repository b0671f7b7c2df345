/* SPDX-License-Identifier: MIT
 * logit.c - finds the logits of a classifier: what goes into the softmax or sigmoid at its end.
 */
#include "engine/engine.h"

int cvi_graph_logit(const cvi_graph *g, int o, cvs_logit_kind *kind) {
    int output = g->outputs[o], answer = output;
    *kind = CVS_LOGIT_IS_OUTPUT;
    for (int v = output; v >= 0 && g->values[v].producer >= 0;) {
        const cvi_node *node = &g->nodes[g->values[v].producer];
        unsigned flags = node->def ? node->def->flags : 0;
        if (node->n_in < 1 || node->in[0] < 0 || node->out[0] != v) {
            break;
        }
        if (flags & CVI_OP_SQUASH) { /* sigmoid looks at one number, softmax at all */
            *kind = flags & CVI_OP_POINTWISE ? CVS_LOGIT_BEFORE_SIGMOID : CVS_LOGIT_BEFORE_SOFTMAX;
            return node->in[0];
        }
        if (!(flags & (CVI_OP_IDENTITY | CVI_OP_RESHAPE | CVI_OP_ROUNDS))) {
            break;
        }
        v = node->in[0];
        answer = flags & CVI_OP_ROUNDS ? v : answer; /* before it became an integer */
    }
    return answer;
}
