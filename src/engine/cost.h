/* SPDX-License-Identifier: MIT
 * cost.h (internal) - what one node costs: numbers learned and arithmetic, from a plan.
 */
#ifndef CVI_COST_H
#define CVI_COST_H

#include "engine/engine.h"

typedef struct cvi_node_numbers {
    int64_t params, trainable; /* trainable: without running statistics */
    int64_t weight_bytes;
    int64_t macs, flops; /* of the whole batch; 0 where the node is computed while planning */
    bool folded;         /* depends on constants only: nothing to draw or run */
} cvi_node_numbers;

/* counted[n values]: parameters that an earlier node was charged for (weights may be shared); updated. */
cvi_node_numbers cvi_node_count(cvi_exec *x, int n, bool *counted);

#endif
