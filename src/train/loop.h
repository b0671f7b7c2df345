/* SPDX-License-Identifier: MIT
 * loop.h (internal) - a run of training while it goes on: what was opened (loop_open.c) and where it stands (loop.c, state.c).
 */
#ifndef CVI_LOOP_H
#define CVI_LOOP_H

#include "train/steering.h"

typedef struct cvi_run_log cvi_run_log;     /* run_log.h */
typedef struct cvi_run_store cvi_run_store; /* watch/run_store.h */
typedef struct cvi_feed cvi_feed;           /* feed.h */

typedef struct cvi_loop {
    const char *run;
    bool writes; /* this process writes what the run leaves behind: it is alone, or the first one */
    const cvs_train_options *options;
    cvi_training training;
    cvs_model *model;
    cvi_params params;
    cvi_pool *pool;
    cvi_samples train, test;
    cvi_trainer *trainer;
    int64_t input[3];
    int64_t *order; /* of the epoch */
    int64_t n_order;
    bool given_order;
    cvi_feed *feed; /* batches, one ahead */
    cvi_history history;
    int64_t steps; /* planned over all epochs */
    cvi_standing at;
    cvi_steering steering;
    cvi_run_log *log; /* NULL: none is wanted */
    double *
        confusion; /* [n_confusion][n_confusion] of the epoch's test while its end is written, or NULL; owned */
    int n_confusion;
    cvi_run_store *store;  /* the record of the run */
    double started, saved; /* seconds of the clock */
    cvs_error *err;
} cvi_loop;

/* Opens everything; with options->resume the parameters and `at` are those of the run's last checkpoint, if it has one. */
cvs_status cvi_loop_open(cvi_loop *r, const char *recipe, const char *spec);
/* Writes the network and the state, from which the run can go on. */
cvs_status cvi_loop_checkpoint(cvi_loop *r);
/* The order of an epoch (from 1): the same for the same seed. */
void cvi_loop_shuffle(cvi_loop *r, int epoch);

#endif
