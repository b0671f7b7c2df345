/* SPDX-License-Identifier: MIT
 * pool_window.h (internal) - what every pool shares whatever it does with the numbers: its windows, the shape, cost and
 * receptive field that follow from them; and those of the global forms, whose only window is the whole plane.
 */
#ifndef CVI_OPS_POOL_WINDOW_H
#define CVI_OPS_POOL_WINDOW_H

#include "ops/unit.h"

/* The window of a pool of ctx->in[0] [N,C,...], from the attributes. */
cvs_status cvi_pool_window(cvi_opctx *ctx, cvi_window *w);
/* Output k is [N,C] and a number for every window. */
cvs_status cvi_pool_out(cvi_opctx *ctx, const cvi_window *w, int k, cvs_dtype dtype);
void cvi_pool_cost(const cvi_opctx *ctx, cvi_cost *cost);
void cvi_pool_field(const cvi_opctx *ctx, cvi_field_step *step);

/* One window as large as the plane: the loops of the others do the rest. */
cvi_window cvi_whole_plane(const cvs_tensor *x);
cvs_status cvi_global_infer(cvi_opctx *ctx);
void cvi_global_cost(const cvi_opctx *ctx, cvi_cost *cost);
void cvi_global_field(const cvi_opctx *ctx, cvi_field_step *step);

#endif
