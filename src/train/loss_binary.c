/* SPDX-License-Identifier: MIT
 * loss_binary.c - binary cross-entropy on logits: each class is a yes-or-no question of its own, the mean over the classes counts. A single
 * logit answers for two classes. With smoothing s the answers are s/2 and 1 - s/2.
 */
#include <math.h>

#include "train/trainer.h"

static double row(const cvi_loss_row *r, double *gradient) {
    double loss = 0, smooth = r->values[0];
    for (int64_t c = 0; c < r->k; c++) {
        double x = (double)r->x[c], far = exp(-fabs(x));
        bool yes = r->k == 1 ? r->label == 1 : r->label == c;
        double target = (yes ? 1 : 0) * (1 - smooth) + smooth / 2;
        loss += (x > 0 ? x : 0) - x * target + log1p(far);
        if (gradient) {
            gradient[c] = ((x >= 0 ? 1 / (1 + far) : far / (1 + far)) - target) / (double)r->k;
        }
    }
    return loss / (double)r->k;
}

const cvi_loss cvi_loss_binary = {
    .name = "binary", .settings = {{"smoothing", 0, 0, 0.999, false}}, .sigmoid = true, .row = row};
