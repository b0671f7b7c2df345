/* SPDX-License-Identifier: MIT
 * tally.h (internal) - how numbers are spread: extremes, moments and equal buckets of long rows, at a cost that a training does not feel.
 */
#ifndef CVI_TALLY_H
#define CVI_TALLY_H

#include <stdint.h>

#include "base/base.h"

typedef struct cvi_extremes {
    float least, most; /* of the finite numbers; least > most: there are none */
    int64_t finite;
} cvi_extremes;

cvi_extremes cvi_tally_extremes(const float *v, int64_t n);
/* Adds to count[0..buckets) how many of v[n] lie in each of as many equal parts of [x->least, x->most]; the last one has its right end too.
 * Numbers that are not finite are left out. All equal: they are in the last, as TensorBoard wants it. A number within a rounding error
 * (float32) of a border may be on its other side. */
void cvi_tally_count(const float *v, int64_t n, const cvi_extremes *x, int buckets, double *count);

typedef struct cvi_moments {
    double sum, square;
    int64_t zeros;
} cvi_moments;

/* Sums over v[n], in an order that depends on n alone. */
cvi_moments cvi_tally_moments(const float *v, int64_t n);

#endif
