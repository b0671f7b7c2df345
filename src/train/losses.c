/* SPDX-License-Identifier: MIT
 * losses.c - the list of losses and looking them up, and a batch's sum of one; each is in a file of its own, loss_<name>.c.
 */
#include "train/trainer.h"

#define CVI_LOSS(name) extern const cvi_loss cvi_loss_##name;
#include "train/losses.def"
#undef CVI_LOSS

static const cvi_loss *const losses[] = {
#define CVI_LOSS(name) &cvi_loss_##name,
#include "train/losses.def"
#undef CVI_LOSS
};

const cvi_loss *cvi_loss_find(const char *name) {
    for (int i = 0; i < CVI_COUNT(losses); i++) {
        if (strcmp(losses[i]->name, name) == 0) {
            return losses[i];
        }
    }
    return NULL;
}

const char *cvi_loss_names(char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < CVI_COUNT(losses); i++) {
        int n = snprintf(text + used, size - used, "%s%s", i ? ", " : "", losses[i]->name);
        used = CVI_MIN(used + (size_t)CVI_MAX(n, 0), size - 1);
    }
    return text;
}

int64_t cvi_loss_answer(int64_t k, const float *x) {
    int64_t best = 0;
    for (int64_t c = 1; c < k; c++) {
        best = x[c] > x[best] ? c : best;
    }
    return k == 1 ? x[0] > 0 : best;
}

static bool is_right(int64_t k, const float *x, int label) {
    int64_t answer = cvi_loss_answer(k, x);
    return k == 1 ? (answer == 1) == (label == 1) : answer == label;
}

void cvi_loss_batch(const cvi_training *t, bool weighted, int64_t n, int64_t k, const float *x,
                    const int *labels, double scale, double share, float *gradient, double *room,
                    double *loss, int64_t *right) {
    for (int64_t i = 0; i < n; i++) {
        cvi_loss_row r = {.k = k, .x = x + i * k, .label = labels[i], .values = t->loss_values};
        double weight = weighted && t->class_weights ? t->class_weights[labels[i]] : 1;
        r.weights = weighted && t->loss->by_weight && t->rates.profile == CVI_TORCH ? t->class_weights : NULL;
        *loss += t->loss->row(&r, gradient ? room : NULL) * weight * scale;
        *right += is_right(k, r.x, r.label);
        for (int64_t c = 0; gradient && c < k; c++) {
            gradient[i * k + c] = (float)(room[c] * weight * share);
        }
    }
}

void cvi_loss_mixed(const cvi_training *t, int64_t n, int64_t k, const float *x, const int *labels,
                    const int *second, double mix, double scale, double share, float *gradient, double *room,
                    double *loss, int64_t *right) {
    for (int64_t i = 0; i < n; i++) {
        cvi_loss_row r = {.k = k, .x = x + i * k, .label = labels[i], .values = t->loss_values};
        double first = mix * (t->class_weights ? t->class_weights[labels[i]] : 1);
        double other = (1 - mix) * (t->class_weights ? t->class_weights[second[i]] : 1);
        double sum = first * t->loss->row(&r, room);
        *right += is_right(k, r.x, mix >= 0.5 ? labels[i] : second[i]);
        r.label = second[i];
        sum += other * t->loss->row(&r, room + k);
        *loss += sum * scale;
        for (int64_t c = 0; c < k; c++) {
            gradient[i * k + c] = (float)((first * room[c] + other * room[k + c]) * share);
        }
    }
}
