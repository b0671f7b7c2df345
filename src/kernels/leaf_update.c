/* SPDX-License-Identifier: MIT
 * leaf_update.c - inner loops between the gradients of a batch's pieces and new weights: their sum, and Adam's rule. Every operation is
 * rounded by itself, in the order of the plain formula, so that all levels give the same bits.
 */
#include "kernels/leaf.h"

#include <math.h>

/* out = x[0] + x[1] + ... + x[count - 1], from the left; out may be x[0]. */
void CVI_LEAF(sum_listed)(int64_t count, int64_t n, const float *const *x, float *out) {
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        v8 a = v8_load(x[0] + i), b = v8_load(x[0] + i + 8), c = v8_load(x[0] + i + 16),
           d = v8_load(x[0] + i + 24);
        for (int64_t k = 1; k < count; k++) {
            a = v8_add(a, v8_load(x[k] + i));
            b = v8_add(b, v8_load(x[k] + i + 8));
            c = v8_add(c, v8_load(x[k] + i + 16));
            d = v8_add(d, v8_load(x[k] + i + 24));
        }
        v8_store(out + i, a);
        v8_store(out + i + 8, b);
        v8_store(out + i + 16, c);
        v8_store(out + i + 24, d);
    }
    for (; i < n; i++) {
        float sum = x[0][i];
        for (int64_t k = 1; k < count; k++) {
            sum += x[k][i];
        }
        out[i] = sum;
    }
}

/* One number of Adam's rule as kernels.h writes it. */
static void adam_one(const cvi_adam *a, float g, float *w, float *m, float *v, float *top) {
    float d = g + a->decay * *w;
    *m = a->beta1 * *m + a->new1 * d;
    *v = a->beta2 * *v + a->new2 * d * d;
    float spread = *v;
    if (top) {
        spread = *top = *v > *top ? *v : *top;
    }
    *w = a->left * *w - a->rate * *m / (sqrtf(spread) / a->root + a->epsilon);
}

/* Eight at a time; top NULL: none is kept. A division by 1 is left out: it changes no bit. */
void CVI_LEAF(adam)(const cvi_adam *a, int64_t n, float *w, const float *g, float *m, float *v, float *top) {
    const v8 beta1 = v8_all(a->beta1), new1 = v8_all(a->new1), beta2 = v8_all(a->beta2),
             new2 = v8_all(a->new2), decay = v8_all(a->decay), left = v8_all(a->left), rate = v8_all(a->rate),
             root = v8_all(a->root), epsilon = v8_all(a->epsilon);
    bool divides = a->root != 1.0F;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        v8 old = v8_load(w + i), d = v8_add(v8_load(g + i), v8_mul(decay, old));
        v8 mean = v8_add(v8_mul(beta1, v8_load(m + i)), v8_mul(new1, d));
        v8 spread = v8_add(v8_mul(beta2, v8_load(v + i)), v8_mul(v8_mul(new2, d), d));
        v8_store(m + i, mean);
        v8_store(v + i, spread);
        if (top != NULL) {
            v8 most = v8_load(top + i);
            spread = v8_select(v8_less(most, spread), spread, most);
            v8_store(top + i, spread);
        }
        v8 size = v8_sqrt(spread);
        size = v8_add(divides ? v8_div(size, root) : size, epsilon);
        v8_store(w + i, v8_sub(v8_mul(left, old), v8_div(v8_mul(rate, mean), size)));
    }
    for (; i < n; i++) {
        adam_one(a, g[i], w + i, m + i, v + i, top ? top + i : NULL);
    }
}
