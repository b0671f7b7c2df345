/* SPDX-License-Identifier: MIT
 * schedule_plateau.c - the learning rate is cut when the watched number has not become better by more than delta for `patience` epochs,
 * as Keras's ReduceLROnPlateau does: the epochs of a cool-down are not counted, and it never is less than the share `to`.
 */
#include <math.h>

#include "train/trainer.h"

enum { FACTOR, PATIENCE, DELTA, COOLDOWN, TO }; /* settings */
enum {
    STARTED,
    CUTS,
    BEST,
    WAITED_AND_COOLING
}; /* state; the last one: waited + 1e6 * epochs of cool-down left */

static double factor(const double *values, const double *state, const cvi_when *when) {
    (void)when;
    return fmax(pow(values[FACTOR], state[CUTS]), values[TO]);
}

static void epoch_ended(const double *values, double *state, double watched) {
    double cooling = floor(state[WAITED_AND_COOLING] / 1e6),
           waited = state[WAITED_AND_COOLING] - cooling * 1e6;
    if (cooling > 0) {
        cooling--;
        waited = 0;
    }
    if (state[STARTED] == 0 || watched < state[BEST] - values[DELTA]) {
        state[STARTED] = 1;
        state[BEST] = watched;
        waited = 0;
    } else if (cooling == 0) {
        waited++;
        if (waited >= values[PATIENCE]) {
            state[CUTS]++;
            cooling = values[COOLDOWN];
            waited = 0;
        }
    }
    state[WAITED_AND_COOLING] = waited + cooling * 1e6;
}

const cvi_schedule cvi_schedule_plateau = {.name = "plateau",
                                           .settings = {{"factor", 0.1, 0, 1, false},
                                                        {"patience", 10, 1, 100000, true},
                                                        {"delta", 1e-4, 0, 1e9, false},
                                                        {"cooldown", 0, 0, 100000, true},
                                                        {"to", 0, 0, 1, false}},
                                           .factor = factor,
                                           .epoch_ended = epoch_ended};
