/* SPDX-License-Identifier: MIT
 * optimizer_nesterov.c - momentum that looks one step ahead (Nesterov 1983, in the form of Sutskever et al. 2013), as PyTorch and as Keras
 * compute it; the two differ as in optimizer_momentum.c.
 */
#include "train/trainer.h"

static void update(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                   float *const slots[CVI_MAX_SLOTS]) {
    (void)step;
    float rate = (float)r->learning_rate, decay = (float)r->decay, keep = (float)r->momentum, *b = slots[0];
    if (r->profile == CVI_KERAS) { /* b = m b - lr g; w += m b - lr g */
        for (int64_t i = 0; i < n; i++) {
            float way = rate * g[i];
            b[i] = keep * b[i] - way;
            w[i] += keep * b[i] - way - w[i] * decay * rate;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) { /* b = m b + g; w -= lr (g + m b) */
        float d = g[i] + decay * w[i];
        b[i] = keep * b[i] + d;
        w[i] -= rate * (d + keep * b[i]);
    }
}

const cvi_optimizer cvi_optimizer_nesterov = {
    .name = "nesterov",
    .rates = {[CVI_TORCH] = {.learning_rate = 0.01, .momentum = 0.9},
              [CVI_KERAS] = {.learning_rate = 0.01, .momentum = 0.9}},
    .n_slots = 1,
    .slots = {"momentum"},
    .update = update};
