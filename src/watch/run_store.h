/* SPDX-License-Identifier: MIT
 * run_store.h (internal) - the record of a training run, from the side of the one process that writes it: RUN/run.sqlite. What was
 * committed is there whatever happens next; everybody else reads through convscope/runs.h.
 */
#ifndef CVI_RUN_STORE_H
#define CVI_RUN_STORE_H

#include "base/base.h"
#include "convscope/runs.h"

typedef struct cvi_run_store cvi_run_store;

/* What a process begins with; borrowed during the call. The settings and texts of `what` count, and its epochs: those of a run that
 * goes on. */
typedef struct cvi_run_begin {
    const cvs_run_record *what;
    bool go_on; /* keeps the run's id, its start and its earlier sessions */
    int threads, ranks;
} cvi_run_begin;

/* Claims the folder (CVS_E_ARGUMENT: another process trains into it) and writes that the run goes on. */
cvs_status cvi_run_store_begin(const char *run, const cvi_run_begin *b, cvi_run_store **out, cvs_error *err);
/* Where the run stands: step, now_*, seconds, best*, of `now`. Written at most every two seconds unless `whole`. */
cvs_status cvi_run_store_progress(cvi_run_store *s, const cvs_run_record *now, bool whole, cvs_error *err);
/* The same with the row of an epoch and the files that are there now; on the disk when it returns. */
cvs_status cvi_run_store_epoch(cvi_run_store *s, const cvs_run_record *now, const cvs_run_epoch *row,
                               cvs_error *err);
/* How it ended; `message` of a failure, else "". Then the log is folded into the file. Frees the store; NULL allowed. */
cvs_status cvi_run_store_end(cvi_run_store *s, const cvs_run_record *now, cvs_run_state state,
                             const char *message, cvs_error *err);

#endif
