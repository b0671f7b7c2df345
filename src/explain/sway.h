/* SPDX-License-Identifier: MIT
 * sway.h (internal) - a picture moved, turned and scaled a little at random before the network sees it, and the way back for gradients:
 * what only one exact position of the pixels brings about is not reinforced.
 */
#ifndef CVI_SWAY_H
#define CVI_SWAY_H

#include "base/base.h"

typedef struct cvi_sway {
    double a, b, c, d;  /* source row, column = (a b; c d) (row, column from the middle) + */
    double down, right; /* this, from the middle */
} cvi_sway;

/* The n-th move for a picture of this many rows and columns: scaled by 0.90 to 1.10, turned by up to 10 degrees (not at all in one of
 * five), moved by up to 1/16 and again 1/32 of the longer side: Lucid's standard at 128 pixels. */
cvi_sway cvi_sway_draw(uint64_t seed, uint64_t n, int64_t rows, int64_t columns);
/* Bilinear; beyond the border is mid-grey 0.5. x, y [C,H,W]. */
void cvi_sway_apply(const cvi_sway *s, const double *x, int64_t channels, int64_t rows, int64_t columns,
                    double *y);
/* dx += the part of dy that each pixel of x made. */
void cvi_sway_back(const cvi_sway *s, const double *dy, int64_t channels, int64_t rows, int64_t columns,
                   double *dx);

#endif
