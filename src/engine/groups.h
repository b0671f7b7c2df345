/* SPDX-License-Identifier: MIT
 * groups.h (internal to the engine) - which nodes make up a layer as people count them.
 *
 * A reader may translate one layer of its file into several nodes and hide the values between (a dense layer of Keras is a
 * product, a sum and an activation). Those nodes, and those that only prepare weights, belong to the layer that they serve.
 */
#ifndef CVI_GROUPS_H
#define CVI_GROUPS_H

#include "engine/engine.h"

typedef struct cvi_groups {
    int n_layers;
    int *value;    /* per layer: its value */
    int *main;     /* per layer: the node that says best what it is */
    int *of_node;  /* per node: its layer, -1 = none */
    bool *depends; /* per value: on an input of the graph (else it is a constant in effect) */
} cvi_groups;

cvs_status cvi_groups_make(const cvi_graph *g, cvi_groups *out, cvs_error *err);
void cvi_groups_free(cvi_groups *groups);

#endif
