/* SPDX-License-Identifier: MIT
 * cross_entropy.c - softmax cross-entropy on logits, with its gradient in closed form (softmax - one-hot), computed in double so that a
 * large logit neither overflows nor loses the small ones.
 */
#include <math.h>

#include "train/trainer.h"

void cvi_cross_entropy(int64_t n, int64_t k, const float *logits, const int *labels, int64_t batch,
                       float *gradient, double *loss, int64_t *right) {
    for (int64_t i = 0; i < n; i++) {
        const float *row = logits + i * k;
        int64_t best = 0;
        for (int64_t c = 1; c < k; c++) {
            best = row[c] > row[best] ? c : best;
        }
        double top = row[best], sum = 0;
        for (int64_t c = 0; c < k; c++) {
            sum += exp((double)row[c] - top);
        }
        *loss += log(sum) - ((double)row[labels[i]] - top);
        *right += best == labels[i];
        for (int64_t c = 0; gradient && c < k; c++) {
            double p = exp((double)row[c] - top) / sum;
            gradient[i * k + c] = (float)((p - (c == labels[i])) / (double)batch);
        }
    }
}
