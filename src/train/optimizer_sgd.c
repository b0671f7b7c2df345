/* SPDX-License-Identifier: MIT
 * optimizer_sgd.c - plain descent. PyTorch adds the decay to the gradient, Keras takes its share of the weights off first; for this rule
 * the two are the same.
 */
#include "train/trainer.h"

/* w -= lr (g + decay w) */
static void update(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                   float *const slots[CVI_MAX_SLOTS]) {
    (void)step;
    (void)slots;
    float rate = (float)r->learning_rate, decay = (float)r->decay;
    for (int64_t i = 0; i < n; i++) {
        w[i] -= rate * (g[i] + decay * w[i]);
    }
}

const cvi_optimizer cvi_optimizer_sgd = {
    .name = "sgd",
    .rates = {[CVI_TORCH] = {.learning_rate = 0.01}, [CVI_KERAS] = {.learning_rate = 0.01}},
    .update = update};
