/* SPDX-License-Identifier: MIT
 * test_tally.c - extremes, moments and buckets taken eight at a time against the plain loops, with lengths around eight, equal numbers, huge
 * ones and such that are none.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "train/tally.h"

enum { MOST = 3000, BINS = 30 };

static void check(const float *v, int64_t n) {
    cvi_extremes x = cvi_tally_extremes(v, n);
    float least = FLT_MAX, most = -FLT_MAX;
    double count[BINS] = {0}, sum = 0, square = 0, all = 0;
    int64_t finite = 0, zeros = 0;
    for (int64_t i = 0; i < n; i++) {
        zeros += v[i] == 0;
        if (isfinite(v[i])) {
            least = fminf(least, v[i]);
            most = fmaxf(most, v[i]);
            finite++;
            sum += (double)v[i];
            square += (double)v[i] * (double)v[i];
        }
    }
    assert_int_equal(x.finite, finite);
    if (finite == 0) {
        assert_true(x.least > x.most);
        return;
    }
    assert_true(x.least == least && x.most == most);
    cvi_tally_count(v, n, &x, BINS, count);
    double width = ((double)most - (double)least) / BINS, below = 0;
    /* Each border's count may be off by what lies within a rounding error of it. */
    for (int b = 0; b < BINS; b++) {
        int64_t under = 0, over = 0;
        double border = (double)least + (b + 1) * width, slack = 1e-5 * ((double)most - (double)least);
        for (int64_t i = 0; i < n; i++) {
            under += isfinite(v[i]) && (double)v[i] < border - slack;
            over += isfinite(v[i]) && (double)v[i] <= border + slack;
        }
        all += count[b];
        below += count[b];
        if (width > 0 && b < BINS - 1) {
            assert_true(below >= (double)under && below <= (double)over);
        }
    }
    assert_true(all == (double)finite);
    if (!(width > 0)) {
        assert_true(count[BINS - 1] == (double)finite);
    }
    if (finite == n) {
        cvi_moments m = cvi_tally_moments(v, n);
        assert_int_equal(m.zeros, zeros);
        assert_true(fabs(m.sum - sum) <= 1e-9 * (fabs(sum) + sqrt(square) + 1));
        assert_true(fabs(m.square - square) <= 1e-9 * square);
    }
}

static void equals_the_plain_loops(void **state) {
    (void)state;
    static float v[MOST];
    for (int kind = 0; kind < 6; kind++) {
        for (int64_t n = 0; n <= MOST; n = n < 40 ? n + 1 : n * 3 / 2 + 1) {
            for (int64_t i = 0; i < n; i++) {
                double u = cvi_random_normal(5, (uint32_t)kind, (uint64_t)i);
                v[i] = (float)(kind == 1 ? fmax(u, 0) : kind == 2 ? 0.25 : kind == 3 ? u * 1e38 : u);
                v[i] = kind == 4 && i % 7 == 3 ? i % 2 ? NAN : -INFINITY : v[i];
                v[i] = kind == 5 ? NAN : v[i];
            }
            check(v, n);
        }
    }
}

static void the_largest_floats_have_buckets(void **state) {
    (void)state;
    float v[16] = {-FLT_MAX, FLT_MAX};
    double count[BINS] = {0};
    cvi_extremes x = cvi_tally_extremes(v, 16);
    cvi_tally_count(v, 16, &x, BINS, count);
    assert_true(count[0] == 1 && count[BINS / 2] == 14 && count[BINS - 1] == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_plain_loops),
        cmocka_unit_test(the_largest_floats_have_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
