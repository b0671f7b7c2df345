/* SPDX-License-Identifier: MIT
 * conv_fast.h (internal) - Conv and ConvTranspose of float32 pictures on the kernels, forward and backward.
 */
#ifndef CVI_CONV_FAST_H
#define CVI_CONV_FAST_H

#include "ops/conv_loops.h"

/* Whether the kernels can take these sides; the tensors are in[0] (the data) and in[1] (the weights) of a Conv or ConvTranspose. */
bool cvi_conv_fits(const cvi_opctx *ctx, const cvi_conv_sides *s);
/* A plan with packed weights in *prepared, for output = small side (Conv) or large side (ConvTranspose). */
cvs_status cvi_conv_prepare(cvi_opctx *ctx, const cvi_conv_sides *s, bool large, void **prepared);
/* cvi_op.how for both. */
void cvi_conv_how(cvi_opctx *ctx, const cvi_conv_sides *s, bool large, cvi_how *how);
void cvi_conv_drop(void *prepared);
cvs_status cvi_conv_repack(cvi_opctx *ctx, void *prepared);
/* Runs it on NHWC8 tensors. */
cvs_status cvi_conv_fast(cvi_opctx *ctx);

/* A Conv's rectangles (cvi_op.part, grain). */
cvs_status cvi_conv_part(cvi_opctx *ctx, const cvi_conv_sides *s, const cvi_part *part);
bool cvi_conv_band(cvi_opctx *ctx, const cvi_conv_sides *s, cvi_band *b); /* op.h, band */
int64_t cvi_conv_grain(const cvi_opctx *ctx);

/* The fast backward of both. large: the operator's output is the large side (ConvTranspose). */
bool cvi_conv_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form);
cvs_status cvi_conv_back(cvi_opctx *ctx, const cvi_conv_sides *s, bool large, const cvi_back *back);

/* The three sums of conv_loops.h on plain float32 memory through the kernels, always added to `out`. */
cvs_status cvi_conv_fast_small(cvi_opctx *ctx, const cvi_conv_sides *s, const void *large, const void *kernel,
                               void *out);
cvs_status cvi_conv_fast_large(cvi_opctx *ctx, const cvi_conv_sides *s, const void *small, const void *kernel,
                               void *out);
cvs_status cvi_conv_fast_kernel(cvi_opctx *ctx, const cvi_conv_sides *s, const void *large, const void *small,
                                void *gkernel);

#endif
