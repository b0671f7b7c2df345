/* SPDX-License-Identifier: MIT
 * twin.h (internal) - a second model that shares everything with the first but may have other weights, attributes and nodes: for
 * shuffled weights (checks) and for networks without some filters or layers (diagnosis).
 */
#ifndef CVI_TWIN_H
#define CVI_TWIN_H

#include "ops/op.h"

/* A copy of the model's values and nodes with arena of its own; constants, names and files stay the original's, which must outlive
 * it. Free with cvs_model_free. NULL: no memory, err filled. */
cvs_model *cvi_twin_new(const cvs_model *model, cvs_error *err);
/* Gives a constant of the twin numbers of its own: zeroed, dtype of the old one, any shape; they live as long as the twin. NULL:
 * no memory, err filled. */
cvs_tensor *cvi_twin_constant(cvs_model *twin, int value, int rank, const int64_t *dim, cvs_error *err);
/* Sets a whole-number attribute of a node of the twin (which has it, or not yet). */
cvs_status cvi_twin_int(cvs_model *twin, int node, const char *name, int64_t v, cvs_error *err);
/* Readers of `from` (and the graph's outputs) read `to` instead. */
void cvi_twin_reroute(cvs_model *twin, int from, int to);
/* Drops nodes that no output needs; producers are right afterwards. */
cvs_status cvi_twin_sweep(cvs_model *twin, cvs_error *err);

/* Nodes with kernels or matrices of their own, in order: fills up to max, returns how many there are. */
int cvi_weighted_nodes(const cvi_graph *g, int *nodes, int max);
/* Shuffles the numbers of every trained constant that the weighted nodes [first, last) have, and of what follows each up to the next
 * (biases, scales, shifts): the same numbers in other places. */
cvs_status cvi_twin_shuffle(cvs_model *twin, int first, int last, uint64_t seed, cvs_error *err);

#endif
