/* SPDX-License-Identifier: MIT
 * want.h (internal) - what a made-up picture is to bring about in a layer: its value, and the gradient that starts at the layer.
 */
#ifndef CVI_WANT_H
#define CVI_WANT_H

#include "explain/unit.h"

typedef struct cvi_want {
    cvs_want kind;
    int64_t channel, row, column; /* row -1: the middle */
    const float *direction;       /* [channels] */
    double power;
    float *like;      /* the layer to come close to, as it lies; owned by whoever set it */
    double like_size; /* sum of its squares */
} cvi_want;

/* seed [channels, rows, columns] = d value / d layer (NULL: not wanted). */
double cvi_want_value(const cvi_want *w, const cvi_planes *a, float *seed);

/* How much n layers f[i] [channels, area] look alike: mean over i of the sum over the others of the cosine of their Gram matrices (Olah
 * et al. 2017); seed[i] -= weight * d likeness / d f[i]. Out of memory: false. */
bool cvi_want_apart(float *const *f, int n, int64_t channels, int64_t area, double weight,
                    float *const *seed);

#endif
