/* SPDX-License-Identifier: MIT
 * optimizer_adam.c - Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019): m and v are running means of g and g^2,
 * corrected for having begun at 0. PyTorch adds epsilon after the correction, Keras before it. The decay of AdamW, and with Keras's rules
 * that of Adam too, takes its share off the weights and never enters m and v. amsgrad (Reddi et al. 2018) divides by the largest v so far.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "train/trainer.h"

static void step_of(const cvi_rates *r, bool apart, int64_t step, int64_t n, float *w, const float *g,
                    float *const slots[CVI_MAX_SLOTS]) {
    double first = 1 - pow(r->beta1, (double)step), second = sqrt(1 - pow(r->beta2, (double)step));
    bool keras = r->profile == CVI_KERAS; /* sqrt(v) + epsilon against sqrt(v) / root + epsilon */
    cvi_adam a = {.beta1 = (float)r->beta1,
                  .new1 = (float)(1 - r->beta1),
                  .beta2 = (float)r->beta2,
                  .new2 = (float)(1 - r->beta2),
                  .decay = apart ? 0 : (float)r->decay,
                  .left = (float)(apart ? 1 - r->learning_rate * r->decay : 1),
                  .rate = (float)(r->learning_rate / first * (keras ? second : 1)),
                  .root = keras ? 1 : (float)second,
                  .epsilon = (float)r->epsilon};
    cvi_adam_step(&a, n, w, g, slots[0], slots[1], r->variant ? slots[2] : NULL);
}

static void update_adam(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                        float *const slots[CVI_MAX_SLOTS]) {
    step_of(r, r->profile == CVI_KERAS, step, n, w, g, slots);
}

static void update_adamw(const cvi_rates *r, int64_t step, int64_t n, float *w, const float *g,
                         float *const slots[CVI_MAX_SLOTS]) {
    step_of(r, true, step, n, w, g, slots);
}

#define BETAS .learning_rate = 0.001, .beta1 = 0.9, .beta2 = 0.999

const cvi_optimizer cvi_optimizer_adam = {
    .name = "adam",
    .rates = {[CVI_TORCH] = {BETAS, .epsilon = 1e-8}, [CVI_KERAS] = {BETAS, .epsilon = 1e-7}},
    .n_slots = 2,
    .slots = {"m", "v", "largest"},
    .variant = "amsgrad",
    .update = update_adam};

const cvi_optimizer cvi_optimizer_adamw = {.name = "adamw",
                                           .rates = {[CVI_TORCH] = {BETAS, .epsilon = 1e-8, .decay = 0.01},
                                                     [CVI_KERAS] = {BETAS, .epsilon = 1e-7, .decay = 0.004}},
                                           .n_slots = 2,
                                           .slots = {"m", "v", "largest"},
                                           .variant = "amsgrad",
                                           .update = update_adamw};
