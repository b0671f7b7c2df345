/* SPDX-License-Identifier: MIT
 * schedule_step.c - the learning rate is cut every so many epochs.
 */
#include <math.h>

#include "train/trainer.h"

static double factor(const double *values, const double *state, const cvi_when *when) {
    (void)state;
    return pow(values[1], when->epoch / (int)values[0]);
}

const cvi_schedule cvi_schedule_step = {
    .name = "step",
    .settings = {{"every", 10, 1, 1000000, true}, {"factor", 0.1, 0, 1, false}},
    .factor = factor};
