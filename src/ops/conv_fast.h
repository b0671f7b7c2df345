/* SPDX-License-Identifier: MIT
 * conv_fast.h (internal) - Conv and ConvTranspose of float32 pictures on the kernels, forward and backward.
 */
#ifndef CVI_CONV_FAST_H
#define CVI_CONV_FAST_H

#include "ops/conv_loops.h"

/* ---- conv_both.c ---- */
/* The sides from the node: either operator's. */
cvs_status cvi_conv_read(cvi_opctx *ctx, cvi_conv_sides *s);
bool cvi_conv_can_fast(const cvi_opctx *ctx);
cvs_status cvi_conv_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                             cvs_tensor *const *grad_in);

/* ---- conv_fast.c: fields of both descriptors (op.h) ---- */
/* Leaves a plan with packed weights in *prepared. */
cvs_status cvi_conv_prepare(cvi_opctx *ctx, void **prepared);
void cvi_conv_how(cvi_opctx *ctx, cvi_how *how);
void cvi_conv_drop(void *prepared);
cvs_status cvi_conv_repack(cvi_opctx *ctx, void *prepared);
/* Runs it on NHWC8 tensors. */
cvs_status cvi_conv_fast(cvi_opctx *ctx);
bool cvi_conv_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form);
cvs_status cvi_conv_back(cvi_opctx *ctx, const cvi_back *back);
/* Of Conv alone: rectangles and rows. */
cvs_status cvi_conv_part(cvi_opctx *ctx, const cvi_part *part);
bool cvi_conv_band(cvi_opctx *ctx, cvi_band *b);
int64_t cvi_conv_grain(const cvi_opctx *ctx);

/* Whether the kernels can take these sides; the tensors are in[0] (the data) and in[1] (the weights). */
bool cvi_conv_fits(const cvi_opctx *ctx, const cvi_conv_sides *s);
/* The three sums of conv_loops.h on plain float32 memory through the kernels, always added to `out`. */
cvs_status cvi_conv_fast_small(cvi_opctx *ctx, const cvi_conv_sides *s, const void *large, const void *kernel,
                               void *out);
cvs_status cvi_conv_fast_large(cvi_opctx *ctx, const cvi_conv_sides *s, const void *small, const void *kernel,
                               void *out);
cvs_status cvi_conv_fast_kernel(cvi_opctx *ctx, const cvi_conv_sides *s, const void *large, const void *small,
                                void *gkernel);

#endif
