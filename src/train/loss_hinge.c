/* SPDX-License-Identifier: MIT
 * loss_hinge.c - hinge: each class wants its number above 1 for its own pictures and below -1 for all others; the mean over the classes
 * (Keras's hinge with targets of -1 and 1).
 */
#include "train/trainer.h"

static double row(const cvi_loss_row *r, double *gradient) {
    double loss = 0;
    for (int64_t c = 0; c < r->k; c++) {
        double sign = c == r->label ? 1 : -1, d = 1 - sign * (double)r->x[c];
        loss += d > 0 ? d : 0;
        if (gradient) {
            gradient[c] = d > 0 ? -sign / (double)r->k : 0;
        }
    }
    return loss / (double)r->k;
}

const cvi_loss cvi_loss_hinge = {.name = "hinge", .row = row};
