/* SPDX-License-Identifier: MIT
 * schedule_piecewise.c - the learning rate is what its points say: "piecewise 1000=0.5 2000=0.1", or in epochs "30e=0.1 60e=0.01" (Keras's
 * PiecewiseConstantDecay, PyTorch's MultiStepLR).
 */
#include "train/trainer.h"

static double factor(const double *values, const double *state, const cvi_when *when) {
    const cvi_training *t = when->training;
    double now = 1;
    (void)values;
    (void)state;
    for (int i = 0; i < t->n_points; i++) {
        double at = t->points[i].epochs ? (double)when->epoch : (double)when->step;
        now = at >= t->points[i].at ? t->points[i].factor : now;
    }
    return now;
}

const cvi_schedule cvi_schedule_piecewise = {.name = "piecewise", .points = true, .factor = factor};
