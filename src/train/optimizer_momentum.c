/* SPDX-License-Identifier: MIT
 * optimizer_momentum.c - descent with momentum. PyTorch keeps the learning rate outside the buffer and adds the decay to the gradient;
 * Keras keeps it inside (which differs whenever the rate changes) and takes the decay off the weights first.
 */
#include "train/trainer.h"

static void update(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                   float *const slots[CVI_MAX_SLOTS]) {
    float rate = (float)r->learning_rate, decay = (float)r->decay, keep = (float)r->momentum, *b = slots[0];
    float fresh =
        step > 1 ? (float)(1 - r->dampening) : 1; /* PyTorch's first buffer is the gradient itself */
    if (r->profile == CVI_KERAS) {                /* b = m b - lr g; w += b */
        for (int64_t i = 0; i < n; i++) {
            b[i] = keep * b[i] - rate * g[i];
            w[i] += b[i] - w[i] * decay * rate;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) { /* b = m b + g; w -= lr b */
        b[i] = keep * b[i] + fresh * (g[i] + decay * w[i]);
        w[i] -= rate * b[i];
    }
}

const cvi_optimizer cvi_optimizer_momentum = {
    .name = "momentum",
    .rates = {[CVI_TORCH] = {.learning_rate = 0.01, .momentum = 0.9},
              [CVI_KERAS] = {.learning_rate = 0.01, .momentum = 0.9}},
    .n_slots = 1,
    .slots = {"momentum"},
    .update = update};
