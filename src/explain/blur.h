/* SPDX-License-Identifier: MIT
 * blur.h (internal) - pictures out of focus, for methods and baselines that start from one.
 */
#ifndef CVI_EXPLAIN_BLUR_H
#define CVI_EXPLAIN_BLUR_H

#include "convscope/tensor.h"

/* A picture x [1,C,H,W] (float32) under a normal curve of standard deviation `width` pixels that is cut off at four widths, into out
 * [C,H,W]. Outside the picture lie zeros or, `repeat`, its outermost pixels. Width 0 copies. */
cvs_status cvi_blur(const cvs_tensor *x, double width, bool repeat, double *out, cvs_error *err);

#endif
