/* SPDX-License-Identifier: MIT
 * control.h (internal) - what operators with subgraphs (If; Loop and Scan) share: handing a subgraph's results over as the node's outputs.
 */
#ifndef CVI_OPS_CONTROL_H
#define CVI_OPS_CONTROL_H

#include "ops/op.h"

/* Frees the node's n_out results. */
void cvi_outputs_free(const cvi_opctx *ctx, cvs_tensor *outputs);
/* If s is CVS_OK, copies the results into the node's outputs that are wanted, of the types and shapes that were inferred (CVS_E_SHAPE if a
 * result has others). Frees the results in any case. */
cvs_status cvi_outputs_give(cvi_opctx *ctx, cvs_status s, cvs_tensor *outputs);
/* For nodes whose shapes are known only by running them: runs `runner` into new outputs [n_out], tells their shapes and keeps them for forward. */
typedef cvs_status (*cvi_node_runner)(cvi_opctx *ctx, cvs_tensor *outputs);
cvs_status cvi_outputs_infer(cvi_opctx *ctx, cvi_node_runner runner);
/* Gives the outputs that were kept, else those that the runner makes. */
cvs_status cvi_outputs_forward(cvi_opctx *ctx, cvi_node_runner runner);

#endif
