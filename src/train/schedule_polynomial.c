/* SPDX-License-Identifier: MIT
 * schedule_polynomial.c - down to a share of the learning rate by a power of what is left, over all steps or over the first so many (Keras's
 * PolynomialDecay; power 1 is a straight line). again: longer and longer stretches of `steps` instead of staying there, Keras's cycle.
 */
#include <math.h>

#include "train/trainer.h"

enum { TO, POWER, STEPS, AGAIN };

static double factor(const double *values, const double *state, const cvi_when *when) {
    (void)state;
    double all = values[STEPS] > 0 ? values[STEPS] : (double)CVI_MAX(when->steps, 1),
           step = (double)when->step;
    if (values[AGAIN] != 0) {
        all *= fmax(ceil(step / all), 1);
    }
    return values[TO] + (1 - values[TO]) * pow(1 - fmin(step / all, 1), values[POWER]);
}

const cvi_schedule cvi_schedule_polynomial = {.name = "polynomial",
                                              .settings = {{"to", 0, 0, 1, false},
                                                           {"power", 1, 0, 100, false},
                                                           {"steps", 0, 0, 1e12, true},
                                                           {"again", 0, 0, 1, true}},
                                              .factor = factor};
