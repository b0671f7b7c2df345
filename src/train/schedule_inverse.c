/* SPDX-License-Identifier: MIT
 * schedule_inverse.c - the learning rate divided by 1 + factor times the steps in units of `steps` (Keras's InverseTimeDecay).
 */
#include <math.h>

#include "train/trainer.h"

enum { FACTOR, STEPS, STAIRS };

static double factor(const double *values, const double *state, const cvi_when *when) {
    double times = (double)when->step / values[STEPS];
    (void)state;
    return 1 / (1 + values[FACTOR] * (values[STAIRS] != 0 ? floor(times) : times));
}

const cvi_schedule cvi_schedule_inverse = {
    .name = "inverse",
    .settings = {{"factor", 0.5, 0, 1e6, false}, {"steps", 1000, 1, 1e12, true}, {"stairs", 0, 0, 1, true}},
    .factor = factor};
