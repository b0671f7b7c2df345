/* SPDX-License-Identifier: MIT
 * events.h (internal) - writing TensorBoard's event files: one file a run's folder, records appended whole.
 */
#ifndef CVI_EVENTS_H
#define CVI_EVENTS_H

#include "base/base.h"
#include "convscope/tensor.h"
#include "graph/graph.h"

typedef struct cvi_events cvi_events; /* one thread at a time */

/* A histogram: n buckets with their edges and counts, the edges not decreasing. Borrowed. */
typedef struct cvi_bins {
    int n;
    const double *left, *right, *count;
} cvi_bins;

/* One hyper-parameter: a number, or a text. */
typedef struct cvi_hparam {
    const char *name, *text; /* text NULL: the number */
    double number;
} cvi_hparam;

/* A new file in `folder` (made when absent). wall: seconds since 1970 for every event, or < 0 for the clock. Owned, cvi_events_close. */
cvs_status cvi_events_open(const char *folder, double wall, cvi_events **out, cvs_error *err);
/* Writes what is not written yet and closes; NULL allowed. */
cvs_status cvi_events_close(cvi_events *e, cvs_error *err);
/* Appends what has come together; whole records only, so a reader never waits for the rest of one. */
cvs_status cvi_events_flush(cvi_events *e, cvs_error *err);
/* Each adds one event; running out of memory is said by the next flush. Tags and texts become valid UTF-8. */
void cvi_events_scalar(cvi_events *e, const char *tag, int64_t step, double value);
void cvi_events_histogram(cvi_events *e, const char *tag, int64_t step, const cvi_bins *bins);
void cvi_events_image(cvi_events *e, const char *tag, int64_t step,
                      const cvs_tensor *rgb); /* uint8 [H,W,3] */
void cvi_events_text(cvi_events *e, const char *tag, int64_t step, const char *markdown);
void cvi_events_hparams(cvi_events *e, const cvi_hparam *list, int n);
void cvi_events_hparams_end(cvi_events *e, bool success);
void cvi_events_graph(cvi_events *e, const cvi_graph *g);
/* Events of `step` and later that other files of the run hold do not count any more. */
void cvi_events_restart(cvi_events *e, int64_t step);

#endif
