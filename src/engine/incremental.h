/* SPDX-License-Identifier: MIT
 * incremental.h (internal) - the incremental re-run: rectangles or channels of any tensor get other numbers, and only what can change
 * is computed again, exactly (to float rounding), for many changes at once. The rectangle that a change can reach in each value
 * follows from the operators' receptive-field steps; formulas and a survey: Nakandala et al., Incremental and Approximate
 * Inference for Faster Occlusion-based Deep CNN Explanations, SIGMOD 2019 (its exact variant only).
 *
 *     cvi_incr *s;                                    base: a cvi_exec that has run forward on one sample
 *     cvi_incr_new(base, &s, &err);
 *     cvi_incr_run(s, changes, n, want, 1, &out, NULL, &err);   out [n, numbers of want]
 *     cvi_incr_apply(s, &change, &err);  cvi_incr_value(s, v, &t, &err);   one change, any value readable
 *
 * An operator without a rule for rectangles is computed in full for each change; where that is not possible either (shapes that
 * depend on numbers, changed weights, subgraphs), the network is run again from the changed value on, one change at a time.
 */
#ifndef CVI_INCREMENTAL_H
#define CVI_INCREMENTAL_H

#include "engine/engine.h"

/* New numbers for a box of a value: rows [y, y+h), columns [x, x+w), channels [c, c+channels) of [1,C,H,W] float32, clipped to it.
 * A value of another rank is taken as [1, dim 1, the rest, 1], or as [1, all, 1, 1] where it has one sample only. */
typedef struct cvi_edit {
    int value; /* not a constant */
    int64_t y, x, h, w;
    int64_t c, channels; /* channels 0: all from c on */
    const float *fill;   /* [channels]: one number each; or NULL and */
    const float *data;   /* [channels, h, w]; both NULL: zeros */
} cvi_edit;

/* Edits made together, in this order; those of a value that itself depends on another edited value are made on what it became. */
typedef struct cvi_change {
    const cvi_edit *edit;
    int n;
} cvi_change;

typedef struct cvi_incr cvi_incr;

/* What the last run did, in elements of values: what could change, and what was computed (rectangles are rounded up to what the
 * kernels compute anyway). */
typedef struct cvi_incr_stats {
    int64_t changed, computed, full; /* full: had everything been computed for every change */
    int64_t nodes_whole; /* calls for whole pictures, operators that have no rule for rectangles */
    bool again;          /* the network was run again for each change */
} cvi_incr_stats;

/* base must have run forward (all of it, no training); it is borrowed, must not run again while the session lives, and is as
 * it was after every call. One thread at a time. */
cvs_status cvi_incr_new(cvi_exec *base, cvi_incr **out, cvs_error *err);
void cvi_incr_free(cvi_incr *s); /* NULL allowed */
/* At most this many changes are in memory at once (0: a choice by size). */
void cvi_incr_set_batch(cvi_incr *s, int64_t batch);
/* For each of the n changes the numbers of the wanted values, plain, of the value's type: out[k] [n, count of want[k]]. */
typedef struct cvi_incr_told {
    cvs_progress progress; /* may be NULL */
    void *context;
    const char *what;
} cvi_incr_told;
cvs_status cvi_incr_run(cvi_incr *s, const cvi_change *changes, int64_t n, const int *want, int n_want,
                        void *const *out, const cvi_incr_told *told, cvs_error *err);
/* One change; then every value can be read as it is with that change: shape of the value, CVS_PLAIN, borrowed until the next call. */
cvs_status cvi_incr_apply(cvi_incr *s, const cvi_change *change, cvs_error *err);
cvs_status cvi_incr_value(cvi_incr *s, int value, cvs_tensor *out, cvs_error *err);
cvi_incr_stats cvi_incr_last(const cvi_incr *s);

#endif
