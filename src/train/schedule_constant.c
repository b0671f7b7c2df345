/* SPDX-License-Identifier: MIT
 * schedule_constant.c - the learning rate stays as it is.
 */
#include "train/trainer.h"

static double factor(const double *values, const double *state, const cvi_when *when) {
    (void)values;
    (void)state;
    (void)when;
    return 1;
}

const cvi_schedule cvi_schedule_constant = {.name = "constant", .factor = factor};
