/* SPDX-License-Identifier: MIT
 * snapshots.h - the networks that a run kept while it trained: RUN/snapshots/epoch_N.onnx.
 */
#ifndef CVI_TRAIN_SNAPSHOTS_H
#define CVI_TRAIN_SNAPSHOTS_H

#include "base/base.h"

typedef struct cvi_snapshot {
    char *path; /* owned, cvi_free */
    int epoch;
} cvi_snapshot;

/* out[0..*n-1], by epoch: all snapshots of the run, or, of more than `most` (>= 2), evenly chosen ones with the first and the last.
 * CVS_E_NOT_FOUND for fewer than two, with nothing left to free. */
cvs_status cvi_snapshots_find(const char *run, int most, cvi_snapshot *out, int *n, cvs_error *err);

#endif
