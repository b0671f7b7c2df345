/* SPDX-License-Identifier: MIT
 * changes.h (internal) - many what-ifs at once through the incremental re-run, for methods that lay patches or switch channels off: only
 * what they ask for is kept of each.
 */
#ifndef CVI_EXPLAIN_CHANGES_H
#define CVI_EXPLAIN_CHANGES_H

#include "engine/incremental.h"
#include "explain/again.h"

/* What is wanted of every change; a pointer that is NULL is not. All arrays are the caller's. */
typedef struct cvi_changed {
    double *target; /* [n]: the number explained */
    float *classes; /* [classes, n]: every class, logit or probability as asked */
    int map_value; /* and the sum over all positions of feature map `map_channel` of this value x [1,C,H,W] */
    int64_t map_channel;
    double *map_sum; /* [n] */
} cvi_changed;

/* a is a base (cvi_again_base) that has run; changes [n] as in incremental.h. */
cvs_status cvi_changes_run(cvi_again *a, const cvi_change *changes, int64_t n, cvi_changed *out);

#endif
