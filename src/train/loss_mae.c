/* SPDX-License-Identifier: MIT
 * loss_mae.c - mean absolute error of the network's answer against 1 for the label and 0 for every other class.
 */
#include <math.h>

#include "train/trainer.h"

static double row(const cvi_loss_row *r, double *gradient) {
    double loss = 0;
    for (int64_t c = 0; c < r->k; c++) {
        double d = (double)r->x[c] - (c == r->label);
        loss += fabs(d);
        if (gradient) {
            gradient[c] = ((d > 0) - (d < 0)) / (double)r->k;
        }
    }
    return loss / (double)r->k;
}

const cvi_loss cvi_loss_mae = {.name = "mae", .on_answer = true, .row = row};
