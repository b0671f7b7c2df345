/* SPDX-License-Identifier: MIT
 * schedule_restarts.c - half cosines one after the other (Loshchilov and Hutter 2017): each `times` as long as the last one and beginning at
 * `shrink` of its height. Keras's CosineDecayRestarts; with shrink 1 PyTorch's CosineAnnealingWarmRestarts counted in steps.
 */
#include <math.h>

#include "train/trainer.h"

enum { STEPS, TIMES, SHRINK, TO };

static double factor(const double *values, const double *state, const cvi_when *when) {
    const double pi = 3.14159265358979323846;
    double left = (double)when->step, length = values[STEPS], height = 1;
    (void)state;
    while (left >= length && length < 1e15) {
        if (values[TIMES] == 1) { /* all of one length: no need to count them */
            double gone = floor(left / length);
            left -= gone * length;
            height *= pow(values[SHRINK], gone);
        } else {
            left -= length;
            length *= values[TIMES];
            height *= values[SHRINK];
        }
    }
    return values[TO] + (1 - values[TO]) * 0.5 * height * (1 + cos(pi * left / length));
}

const cvi_schedule cvi_schedule_restarts = {.name = "restarts",
                                            .settings = {{"steps", 1000, 1, 1e12, true},
                                                         {"times", 2, 1, 1000, false},
                                                         {"shrink", 1, 0, 1, false},
                                                         {"to", 0, 0, 1, false}},
                                            .factor = factor};
