/* SPDX-License-Identifier: MIT
 * schedule_exponential.c - the learning rate shrinks by the same factor every epoch.
 */
#include <math.h>

#include "train/trainer.h"

static double factor(const double *values, const double *state, const cvi_when *when) {
    (void)state;
    return pow(values[0], when->epoch);
}

const cvi_schedule cvi_schedule_exponential = {
    .name = "exponential", .settings = {{"factor", 0.95, 0, 1, false}}, .factor = factor};
