/* SPDX-License-Identifier: MIT
 * schedule_cosine.c - half a cosine from the learning rate down to a share of it (Loshchilov and Hutter 2017, without restarts).
 */
#include <math.h>

#include "train/trainer.h"

static double factor(const double *values, const double *state, const cvi_when *when) {
    const double pi = 3.14159265358979323846;
    (void)state;
    double wave = 0.5 * (1 + cos(pi * (double)when->step / (double)CVI_MAX(when->steps, 1)));
    return values[0] + (1 - values[0]) * wave;
}

const cvi_schedule cvi_schedule_cosine = {
    .name = "cosine", .settings = {{"to", 0, 0, 1, false}}, .factor = factor};
