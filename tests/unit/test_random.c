/* SPDX-License-Identifier: MIT
 * test_random.c - Philox against the published known answers (Random123, kat_vectors), and the shapes of the
 * two distributions.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"

static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < CVI_COUNT(vectors); i++) {
        uint32_t out[4];
        cvi_philox(vectors[i].counter, vectors[i].key, out);
        assert_memory_equal(out, vectors[i].out, sizeof out);
    }
    assert_true(cvi_random_bits(0, 0, 0) == 0xe169c58d6627e8d5u);
}

static void uniform_fills_its_range(void **state) {
    (void)state;
    int bins[16] = {0};
    double sum = 0;
    for (uint64_t i = 0; i < 160000; i++) {
        double u = cvi_random_uniform(7, 3, i);
        assert_true(u >= 0 && u < 1);
        bins[(int)(u * 16)]++;
        sum += u;
    }
    for (int i = 0; i < 16; i++) { /* 10000 expected, standard deviation 97 */
        assert_in_range(bins[i], 9500, 10500);
    }
    assert_true(fabs(sum / 160000 - 0.5) < 0.005);
}

static void normal_has_its_moments(void **state) {
    (void)state;
    double m1 = 0, m2 = 0, m4 = 0;
    const int n = 200000;
    for (int i = 0; i < n; i++) {
        double x = cvi_random_normal(1, 2, (uint64_t)i);
        assert_true(isfinite(x));
        m1 += x, m2 += x * x, m4 += x * x * x * x;
    }
    assert_true(fabs(m1 / n) < 0.01);
    assert_true(fabs(m2 / n - 1) < 0.02);
    assert_true(fabs(m4 / n - 3) < 0.15);
}

static void seed_purpose_and_index_all_matter(void **state) {
    (void)state;
    uint64_t a = cvi_random_bits(1, 1, 1);
    assert_true(a == cvi_random_bits(1, 1, 1));
    assert_true(a != cvi_random_bits(2, 1, 1) && a != cvi_random_bits(1, 2, 1) &&
                a != cvi_random_bits(1, 1, 2));
    assert_true(a != cvi_random_bits(1ull << 32 | 1, 1, 1) && a != cvi_random_bits(1, 1ull << 32 | 1, 1) &&
                a != cvi_random_bits(1, 1, 1ull << 32 | 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(uniform_fills_its_range),
        cmocka_unit_test(normal_has_its_moments),
        cmocka_unit_test(seed_purpose_and_index_all_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
