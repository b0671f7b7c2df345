/* SPDX-License-Identifier: MIT
 * schedule_exponential.c - the learning rate shrinks by the same factor every epoch, or over every so many steps (Keras's ExponentialDecay).
 */
#include <math.h>

#include "train/trainer.h"

enum { FACTOR, STEPS, STAIRS };

static double factor(const double *values, const double *state, const cvi_when *when) {
    (void)state;
    if (values[STEPS] == 0) {
        return pow(values[FACTOR], when->epoch);
    }
    double times = (double)when->step / values[STEPS];
    return pow(values[FACTOR], values[STAIRS] != 0 ? floor(times) : times);
}

const cvi_schedule cvi_schedule_exponential = {
    .name = "exponential",
    .settings = {{"factor", 0.95, 0, 1, false}, {"steps", 0, 0, 1e12, true}, {"stairs", 0, 0, 1, true}},
    .factor = factor};
