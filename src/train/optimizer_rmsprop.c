/* SPDX-License-Identifier: MIT
 * optimizer_rmsprop.c - RMSprop (Hinton, lecture 6e): the gradient over the root of the running mean of its square, with or without
 * momentum; `centered` takes the mean's square off first (Graves 2013). PyTorch adds epsilon outside the root and keeps the learning rate outside the buffer, Keras inside both.
 */
#include <math.h>

#include "train/trainer.h"

static void update(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                   float *const slots[CVI_MAX_SLOTS]) {
    (void)step;
    float rate = (float)r->learning_rate, decay = (float)r->decay, keep = (float)r->momentum;
    float rho = (float)r->rho, fresh = (float)(1 - r->rho), epsilon = (float)r->epsilon;
    float *v = slots[0], *b = slots[1], *mean = slots[2];
    if (r->profile == CVI_KERAS) {
        for (int64_t i = 0; i < n; i++) {
            v[i] = rho * v[i] + fresh * g[i] * g[i];
            float spread = v[i];
            if (r->variant) {
                mean[i] = rho * mean[i] + fresh * g[i];
                spread -= mean[i] * mean[i];
            }
            b[i] = keep * b[i] + rate * g[i] / sqrtf(spread + epsilon);
            w[i] -= b[i] + w[i] * decay * rate;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        float d = g[i] + decay * w[i];
        v[i] = rho * v[i] + fresh * d * d;
        float spread = v[i];
        if (r->variant) {
            mean[i] = rho * mean[i] + fresh * d;
            spread -= mean[i] * mean[i];
            spread = spread > 0 ? spread : 0;
        }
        b[i] = keep * b[i] + d / (sqrtf(spread) + epsilon);
        w[i] -= rate * b[i];
    }
}

const cvi_optimizer cvi_optimizer_rmsprop = {
    .name = "rmsprop",
    .rates = {[CVI_TORCH] = {.learning_rate = 0.01, .rho = 0.99, .epsilon = 1e-8},
              [CVI_KERAS] = {.learning_rate = 0.001, .rho = 0.9, .epsilon = 1e-7}},
    .n_slots = 2,
    .slots = {"v", "momentum", "mean"},
    .variant = "centered",
    .update = update};
