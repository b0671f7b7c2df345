/* SPDX-License-Identifier: MIT
 * kernel_update.c - sums of gradients and Adam's rule on the calling thread, at the level of this CPU: callers cut parameters into
 * stretches and share those among threads themselves.
 */
#include "kernels/kernel_table.h"

void cvi_sum_listed(int64_t count, int64_t n, const float *const *x, float *out) {
    cvi_kernels_get()->sum_listed(count, n, x, out);
}

void cvi_adam_step(const cvi_adam *a, int64_t n, float *w, const float *g, float *m, float *v, float *top) {
    cvi_kernels_get()->adam(a, n, w, g, m, v, top);
}
