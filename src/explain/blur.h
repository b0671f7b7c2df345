/* SPDX-License-Identifier: MIT
 * blur.h (internal) - pictures out of focus, for methods and baselines that start from one.
 */
#ifndef CVI_EXPLAIN_BLUR_H
#define CVI_EXPLAIN_BLUR_H

#include "base/base.h"
#include "convscope/tensor.h"

/* What lies outside a picture. */
typedef enum cvi_beyond {
    CVI_BEYOND_ZERO,
    CVI_BEYOND_EDGE,  /* its outermost pixels */
    CVI_BEYOND_MIRROR /* itself, turned round: c b a | a b c */
} cvi_beyond;

/* A picture x [1,C,H,W] (float32) under a normal curve of standard deviation `width` pixels that is cut off at four widths, into out
 * [C,H,W]. Width 0 copies. */
cvs_status cvi_blur(const cvs_tensor *x, double width, cvi_beyond beyond, double *out, cvs_error *err);
/* The same for planes x [C,h,w] of doubles; out may be x. */
cvs_status cvi_blur_planes(const double *x, int64_t channels, int64_t h, int64_t w, double width,
                           cvi_beyond beyond, double *out, cvs_error *err);

#endif
