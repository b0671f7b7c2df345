/* SPDX-License-Identifier: MIT
 * steering.h (internal) - a hand on a run while it goes on: pause, single steps, another learning rate; and what was changed, at which step.
 */
#ifndef CVI_STEERING_H
#define CVI_STEERING_H

#include "train/trainer.h"

struct cvi_loop;

typedef struct cvi_steering {
    int64_t seen; /* number of the last request */
    bool paused;
    int64_t left;     /* steps to make before pausing again */
    double said;      /* seconds of the clock when RUN/steering.json was written */
    bool said_paused; /* what it says */
    cvi_change list[CVI_MAX_CHANGES];
    int n;
} cvi_steering;

/* Reads the changes to repeat (options->changes), and with options->control says that requests are taken. After a checkpoint was read. */
cvs_status cvi_steering_begin(struct cvi_loop *r);
/* Before a step: what was asked for is done; waits while paused. *more = false: asked to stop meanwhile. */
cvs_status cvi_steering_wait(struct cvi_loop *r, cvs_train_step *said, bool *more);
/* Says that the run is over. */
void cvi_steering_end(struct cvi_loop *r);
/* The learning rate of step `step` (from 0): the recipe's, or that of the last change before it, times what the schedule says. */
double cvi_steering_rate(const struct cvi_loop *r, int64_t step, int64_t per_epoch, int epoch);

#endif
