/* SPDX-License-Identifier: MIT
 * test_kernels_update.c - sums of gradients and Adam's rule against plain loops, bit for bit, at each CPU level, for lengths around the
 * sizes of the vector loops and with numbers that are not finite.
 */
#include <float.h>
#include <string.h>

#include "kernel_twins.h"

enum { LONGEST = 75, MOST = 9 };

static void same_bits(const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (isnan(a[i]) && isnan(b[i])) {
            continue;
        }
        assert_memory_equal(a + i, b + i, sizeof *a);
    }
}

static void sums(void **state) {
    (void)state;
    for (int level = 0; level < CVI_COUNT(kernel_levels); level++) {
        for (int64_t n = 0; n <= LONGEST && use_level(kernel_levels[level]); n++) {
            for (int64_t count = 1; count <= MOST; count++) {
                float *x[MOST], *expected = new_floats(n);
                for (int64_t k = 0; k < count; k++) {
                    x[k] = random_floats(11, (uint64_t)k, n + 1);
                    for (int64_t i = 0; i < n; i++) {
                        expected[i] = k > 0 ? expected[i] + x[k][i] : x[k][i];
                    }
                }
                float last = x[0][n];
                cvi_sum_listed(count, n, (const float *const *)x, x[0]); /* in place, as training does */
                same_bits(x[0], expected, n);
                assert_memory_equal(&x[0][n], &last, sizeof last); /* nothing behind the end is touched */
                for (int64_t k = 0; k < count; k++) {
                    free(x[k]);
                }
                free(expected);
            }
        }
    }
    unsetenv("CONVSCOPE_CPU");
}

/* The rule as kernels.h writes it. */
static void plain_adam(const cvi_adam *a, int64_t n, float *w, const float *g, float *m, float *v,
                       float *top) {
    for (int64_t i = 0; i < n; i++) {
        float d = g[i] + a->decay * w[i];
        m[i] = a->beta1 * m[i] + a->new1 * d;
        v[i] = a->beta2 * v[i] + a->new2 * d * d;
        float spread = v[i];
        if (top) {
            spread = top[i] = v[i] > top[i] ? v[i] : top[i];
        }
        w[i] = a->left * w[i] - a->rate * m[i] / (sqrtf(spread) / a->root + a->epsilon);
    }
}

/* Both from the same numbers, three steps; odd numbers among the gradients if `odd`. */
static void one_adam(const cvi_adam *a, int64_t n, bool keeps_top, bool odd) {
    float *was[4], *now[4], *g = random_floats(5, 9, n + 1);
    static const float odd_numbers[] = {NAN, INFINITY, -0.0F, FLT_MAX, FLT_MIN / 4};
    for (int k = 0; k < 4; k++) {
        was[k] = random_floats(6, (uint64_t)k, n + 1);
        now[k] = random_floats(6, (uint64_t)k, n + 1);
        for (int64_t i = 0; i <= n && k > 1; i++) { /* v and the largest v */
            was[k][i] = now[k][i] = fabsf(now[k][i]);
        }
    }
    for (int64_t i = 0; odd && i < n; i += 3) {
        g[i] = odd_numbers[i / 3 % CVI_COUNT(odd_numbers)];
    }
    for (int step = 0; step < 3; step++) {
        plain_adam(a, n, was[0], g, was[1], was[2], keeps_top ? was[3] : NULL);
        cvi_adam_step(a, n, now[0], g, now[1], now[2], keeps_top ? now[3] : NULL);
    }
    for (int k = 0; k < 4; k++) {
        same_bits(now[k], was[k], n + 1);
        free(now[k]);
        free(was[k]);
    }
    free(g);
}

static void adam(void **state) {
    (void)state;
    const cvi_adam keras = {0.9F, 0.1F, 0.999F, 0.001F, 0, 1, 0.001F, 1, 1e-7F};
    const cvi_adam torch = {0.9F, 0.1F, 0.999F, 0.001F, 0.01F, 1, 0.0019F, 0.0447F, 1e-8F};
    const cvi_adam apart = {0.9F, 0.1F, 0.999F, 0.001F, 0, 0.99999F, 0.0019F, 0.0632F, 1e-8F};
    for (int level = 0; level < CVI_COUNT(kernel_levels); level++) {
        for (int64_t n = 0; n <= LONGEST && use_level(kernel_levels[level]); n++) {
            for (int k = 0; k < 4; k++) {
                one_adam(&keras, n, k & 1, k & 2);
                one_adam(&torch, n, k & 1, k & 2);
                one_adam(&apart, n, k & 1, k & 2);
            }
        }
    }
    unsetenv("CONVSCOPE_CPU");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums), cmocka_unit_test(adam)};
    return cmocka_run_group_tests_name("kernels_update", tests, NULL, NULL);
}
