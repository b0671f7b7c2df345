/* SPDX-License-Identifier: MIT
 * schedule_cosine.c - half a cosine from the learning rate down to a share of it (Loshchilov and Hutter 2017, without restarts), over all steps
 * or over the first so many (Keras's CosineDecay).
 */
#include <math.h>

#include "train/trainer.h"

enum { TO, STEPS };

static double factor(const double *values, const double *state, const cvi_when *when) {
    const double pi = 3.14159265358979323846;
    (void)state;
    double all = values[STEPS] > 0 ? values[STEPS] : (double)CVI_MAX(when->steps, 1);
    double wave = 0.5 * (1 + cos(pi * fmin((double)when->step / all, 1)));
    return values[TO] + (1 - values[TO]) * wave;
}

const cvi_schedule cvi_schedule_cosine = {
    .name = "cosine", .settings = {{"to", 0, 0, 1, false}, {"steps", 0, 0, 1e12, true}}, .factor = factor};
