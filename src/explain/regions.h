/* SPDX-License-Identifier: MIT
 * regions.h (internal) - cutting a picture into regions of like colour at several coarsenesses, and ranking them: the two parts of XRAI.
 */
#ifndef CVI_EXPLAIN_REGIONS_H
#define CVI_EXPLAIN_REGIONS_H

#include "convscope/tensor.h"

/* Graph-based segmentation (Felzenszwalb and Huttenlocher 2004) of x [C,h,w]: smoothed by 0.8 pixels, 8 neighbours, a larger `scale`
 * makes larger regions (in 1/255 of the picture's unit), those below `least` pixels join a neighbour. label [h*w] from 0 in reading
 * order, their number in *n. */
cvs_status cvi_regions_cut(const double *x, int64_t channels, int64_t h, int64_t w, double scale,
                           int64_t least, int32_t *label, int64_t *n, cvs_error *err);
/* The regions of a picture x [1,C,H,W] at PAIR's six scales (of 224 x 224 pixels where `resize`), each grown by 5 pixels, taken one
 * after another by the mean weight [H*W] of what they add; map [H*W] gets those means. *n: how many were taken. */
cvs_status cvi_regions_rank(const cvs_tensor *x, bool resize, const double *weight, float *map, int64_t *n,
                            cvs_error *err);

#endif
