/* SPDX-License-Identifier: MIT
 * run_log.h (internal) - what a run writes for those who watch it: RUN/train and RUN/validation, TensorBoard's event files.
 */
#ifndef CVI_RUN_LOG_H
#define CVI_RUN_LOG_H

#include "train/health.h"
#include "train/loop.h"
#include "watch/events.h"

struct cvi_run_log {
    cvi_events *train, *validation;
    cvi_health *health;
    float *
        before; /* the trained parameters, one after the other, before the epoch's last step; NULL until then */
    double flushed; /* seconds of the clock */
};

/* Begins the files (a run that goes on gets new ones, and says which steps of the old ones are void). Nothing with options->no_events. */
cvs_status cvi_run_log_begin(cvi_loop *r);
/* Before a step with n pictures. */
void cvi_run_log_before(cvi_loop *r, int64_t n);
/* After a step with n pictures: loss is its batch's mean. */
cvs_status cvi_run_log_step(cvi_loop *r, int64_t n, double loss, double rate, double clock);
/* After an epoch (from 1): its row of the history, histograms of the weights, the first layer's filters. */
cvs_status cvi_run_log_epoch(cvi_loop *r, int epoch);
/* A histogram of 30 buckets; numbers that are not finite are left out. */
void cvi_run_log_histogram(cvi_events *e, const char *who, const char *what, int64_t step, const float *v,
                           int64_t n);
/* Closes the files; the first error of all. */
cvs_status cvi_run_log_end(cvi_loop *r, bool success, cvs_error *err);

#endif
