/* SPDX-License-Identifier: MIT
 * run_record.h (internal to src/train) - what a run says of itself in RUN/run.sqlite while it goes on (watch/run_store.h).
 */
#ifndef CVI_RUN_RECORD_H
#define CVI_RUN_RECORD_H

#include "train/loop.h"
#include "watch/run_store.h"

/* Claims the run's folder and writes what it is going to do. */
cvs_status cvi_run_record_begin(cvi_loop *r);
/* Now and then, and at a checkpoint. */
cvs_status cvi_run_record_step(cvi_loop *r, bool checkpoint);
/* After everything else of an epoch, or of a part of one, was written. */
cvs_status cvi_run_record_epoch(cvi_loop *r, int epoch);
/* However it ended: status and, of a failure, why. */
cvs_status cvi_run_record_end(cvi_loop *r, cvs_status status, const cvs_error *why, cvs_error *err);

#endif
