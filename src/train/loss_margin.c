/* SPDX-License-Identifier: MIT
 * loss_margin.c - the label's number wants to be larger than every other one by a margin; the mean over the classes (PyTorch's
 * MultiMarginLoss, the multi-class support vector machine of Weston and Watkins 1999).
 */
#include "train/trainer.h"

static double row(const cvi_loss_row *r, double *gradient) {
    double loss = 0, own = 0, each = 1 / (double)r->k;
    for (int64_t c = 0; c < r->k; c++) {
        double d = r->values[0] - (double)r->x[r->label] + (double)r->x[c];
        bool counts = c != r->label && d > 0;
        loss += counts ? d * each : 0;
        own -= counts ? each : 0;
        if (gradient) {
            gradient[c] = counts ? each : 0;
        }
    }
    if (gradient) {
        gradient[r->label] = own;
    }
    return loss;
}

const cvi_loss cvi_loss_margin = {.name = "margin", .settings = {{"by", 1, 0, 1e6, false}}, .row = row};
