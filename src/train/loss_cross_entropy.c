/* SPDX-License-Identifier: MIT
 * loss_cross_entropy.c - softmax cross-entropy on logits, with its gradient in closed form (softmax - target), computed in double so
 * that a large logit neither overflows nor loses the small ones. With smoothing s the target is 1 - s at the label plus s / k
 * everywhere (Szegedy et al. 2016). With weights of classes PyTorch gives each class's share of the smoothing its own weight; the caller
 * multiplies by the label's, so here they are divided by it.
 */
#include <math.h>

#include "train/trainer.h"

static double row(const cvi_loss_row *r, double *gradient) {
    double top = (double)r->x[0], sum = 0, all = 0, smooth = r->values[0], whole = 0;
    double own = r->weights ? r->weights[r->label] : 1;
    const double *weights = r->weights && own > 0 && smooth > 0 ? r->weights : NULL;
    for (int64_t c = 1; c < r->k; c++) {
        top = (double)r->x[c] > top ? (double)r->x[c] : top;
    }
    for (int64_t c = 0; c < r->k; c++) {
        double e = exp((double)r->x[c] - top);
        sum += e;
        double part = weights ? weights[c] / own : 1;
        all += part * ((double)r->x[c] - top);
        whole += part;
        if (gradient) {
            gradient[c] = e;
        }
    }
    double high = log(sum), share = smooth / (double)r->k;
    for (int64_t c = 0; gradient && c < r->k; c++) {
        double part = weights ? weights[c] / own : 1;
        gradient[c] = gradient[c] / sum * (1 - smooth + share * whole) - share * part -
                      (c == r->label ? 1 - smooth : 0);
    }
    double loss = high - ((double)r->x[r->label] - top);
    return smooth > 0 ? (1 - smooth) * loss + share * (whole * high - all) : loss;
}

const cvi_loss cvi_loss_cross_entropy = {
    .name = "cross_entropy", .settings = {{"smoothing", 0, 0, 0.999, false}}, .by_weight = true, .row = row};
