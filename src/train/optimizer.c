/* SPDX-License-Identifier: MIT
 * optimizer.c - how a gradient changes weights. The arithmetic is PyTorch's, in float32: weight decay is added to the gradient,
 * the learning rate stays outside the momentum buffer, Adam adds epsilon after the bias correction.
 */
#include <math.h>

#include "train/trainer.h"

static void update_sgd(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                       float *const slots[CVI_MAX_SLOTS]) {
    (void)step;
    (void)slots;
    float rate = (float)r->learning_rate, decay = (float)r->decay;
    for (int64_t i = 0; i < n; i++) {
        w[i] -= rate * (g[i] + decay * w[i]);
    }
}

/* b = momentum b + g; w -= lr b */
static void update_momentum(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                            float *const slots[CVI_MAX_SLOTS]) {
    (void)step;
    float rate = (float)r->learning_rate, decay = (float)r->decay, keep = (float)r->momentum, *b = slots[0];
    for (int64_t i = 0; i < n; i++) {
        b[i] = keep * b[i] + (g[i] + decay * w[i]);
        w[i] -= rate * b[i];
    }
}

/* Kingma and Ba 2015: m and v are running means of g and g^2, corrected for having begun at 0. */
static void update_adam(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                        float *const slots[CVI_MAX_SLOTS]) {
    float beta1 = (float)r->beta1, beta2 = (float)r->beta2, decay = (float)r->decay;
    float new1 = (float)(1 - r->beta1), new2 = (float)(1 - r->beta2);
    float rate = (float)(r->learning_rate / (1 - pow(r->beta1, (double)step)));
    float root = (float)sqrt(1 - pow(r->beta2, (double)step)), epsilon = (float)r->epsilon;
    float *m = slots[0], *v = slots[1];
    for (int64_t i = 0; i < n; i++) {
        float d = g[i] + decay * w[i];
        m[i] = beta1 * m[i] + new1 * d;
        v[i] = beta2 * v[i] + new2 * d * d;
        w[i] -= rate * m[i] / (sqrtf(v[i]) / root + epsilon);
    }
}

static const cvi_optimizer cvi_optimizer_sgd = {
    .name = "sgd", .learning_rate = 0.01, .n_slots = 0, .update = update_sgd};
static const cvi_optimizer cvi_optimizer_momentum = {.name = "momentum",
                                                     .learning_rate = 0.01,
                                                     .n_slots = 1,
                                                     .slots = {"momentum"},
                                                     .update = update_momentum};
static const cvi_optimizer cvi_optimizer_adam = {
    .name = "adam", .learning_rate = 0.001, .n_slots = 2, .slots = {"m", "v"}, .update = update_adam};

const cvi_optimizer *const cvi_optimizers[] = {
#define CVI_OPTIMIZER(name) &cvi_optimizer_##name,
#include "train/optimizers.def"
#undef CVI_OPTIMIZER
};
const int cvi_n_optimizers = CVI_COUNT(cvi_optimizers);
