/* SPDX-License-Identifier: MIT
 * test_kernels_gemm.c - matrix products of every transposition, size and scale against the plain sum, at each CPU
 * level, on 1, 2 and 3 threads with the same bits; memory around the result is left alone.
 */
#include "kernel_twins.h"

enum { CASES = 120 };

static float element(const float *m, int64_t ld, bool transposed, int64_t i, int64_t j) {
    return transposed ? m[j * ld + i] : m[i * ld + j];
}

static void check_case(uint64_t seed) {
    bool big = seed % 10 == 9;
    cvi_gemm_args g = {.ta = pick(seed, 0, 0, 1) == 1, .tb = pick(seed, 1, 0, 1) == 1};
    g.M = seed % 3 == 0 ? 1 : pick(seed, 2, 1, big ? 230 : 40);
    g.N = pick(seed, 3, 1, big ? 150 : 40);
    g.K = pick(seed, 4, seed % 20 == 0 ? 0 : 1, big ? 900 : 60);
    g.lda = (g.ta ? g.M : g.K) + pick(seed, 5, 0, 3);
    g.ldb = (g.tb ? g.K : g.N) + pick(seed, 6, 0, 3);
    g.ldc = g.N + pick(seed, 7, 0, 3);
    const float factors[] = {1, 0, -0.5F, 2};
    g.alpha = factors[pick(seed, 8, 0, 1) * 2];
    g.beta = factors[pick(seed, 9, 0, 3)];
    float *a = random_floats(seed, 1, (g.ta ? g.K : g.M) * g.lda + 1),
          *b = random_floats(seed, 2, (g.tb ? g.N : g.K) * g.ldb + 1);
    float *c = random_floats(seed, 3, g.M * g.ldc), *bias = random_floats(seed, 4, g.N), *first = NULL;
    g.A = a;
    g.B = b;
    g.bias = pick(seed, 10, 0, 1) == 1 ? bias : NULL;
    for (int threads = 1; threads <= 3; threads++) {
        cvi_pool *pool = cvi_pool_new(threads);
        float *out = new_floats(g.M * g.ldc);
        memcpy(out, c, (size_t)(g.M * g.ldc) * sizeof(float));
        g.C = out;
        g.scratch = cvi_malloc((size_t)cvi_gemm_scratch_bytes(threads));
        for (int64_t i = 0; g.beta == 0.0F && i < g.M; i++) {
            for (int64_t j = 0; j < g.N; j++) {
                out[i * g.ldc + j] = NAN; /* must not be read */
            }
        }
        cvi_gemm(pool, &g);
        cvi_free(g.scratch);
        cvi_pool_free(pool);
        if (first != NULL) {
            assert_memory_equal(first, out, (size_t)(g.M * g.ldc) * sizeof(float));
            free(out);
        } else {
            first = out;
        }
    }
    for (int64_t i = 0; i < g.M; i++) {
        for (int64_t j = 0; j < g.ldc; j++) {
            double sum = 0, size = 1, got = (double)first[i * g.ldc + j];
            if (j >= g.N) {
                assert_true(first[i * g.ldc + j] == c[i * g.ldc + j]);
                continue;
            }
            for (int64_t k = 0; k < g.K; k++) {
                double v = (double)element(a, g.lda, g.ta, i, k) * (double)element(b, g.ldb, g.tb, k, j);
                sum += v;
                size += fabs(v);
            }
            double want = (double)g.alpha * sum + (g.bias != NULL ? (double)bias[j] : 0);
            want += g.beta != 0.0F ? (double)g.beta * (double)c[i * g.ldc + j] : 0;
            if (!(fabs(got - want) <= 1e-6 * size)) {
                fail_msg("case %llu (%lldx%lldx%lld) [%lld,%lld] is %.9g, not %.9g", (unsigned long long)seed,
                         (long long)g.M, (long long)g.N, (long long)g.K, (long long)i, (long long)j, got,
                         want);
            }
        }
    }
    free(first);
    free(a);
    free(b);
    free(c);
    free(bias);
}

static void products_equal_twin(void **state) {
    (void)state;
    for (int level = 0; level < CVI_COUNT(kernel_levels); level++) {
        if (use_level(kernel_levels[level])) {
            for (uint64_t seed = 0; seed < CASES; seed++) {
                check_case(seed);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_equal_twin)};
    return cmocka_run_group_tests_name("kernels_gemm", tests, NULL, NULL);
}
