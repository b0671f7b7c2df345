/* SPDX-License-Identifier: MIT
 * curve.h (internal) - points of a series on an axis, and a running mean of them: what curves and bands share.
 */
#ifndef CVI_CURVE_H
#define CVI_CURVE_H

#include "watch/log.h"

/* Where a series' points lie on an axis; borrowed from the log until its next refresh. */
typedef struct cvi_axis_of {
    const cvi_series *s;
    cvs_axis axis;
    double origin;            /* of TIME */
    const cvi_series *epochs; /* of EPOCH: ends of the run's epochs; NULL: none are known */
    bool is_epoch;            /* the series itself counts epochs */
} cvi_axis_of;
/* CVS_E_MEMORY only. */
cvs_status cvi_axis_find(cvs_log *log, int series, cvs_axis axis, cvi_axis_of *out, cvs_error *err);
double cvi_axis_x(const cvi_axis_of *a, int64_t i);
/* The first point at x or right of it (n: none), by halving. */
int64_t cvi_axis_at(const cvi_axis_of *a, double x);

/* TensorBoard's running mean: what is not finite stays and is passed over. Begins as {0, 1}. */
typedef struct cvi_smoother {
    double last, left; /* sum so far; share of the beginning that is still in it */
} cvi_smoother;
double cvi_smoother_next(cvi_smoother *s, double smoothing, double y);

#endif
