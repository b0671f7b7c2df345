/* SPDX-License-Identifier: MIT
 * test_ops_dense.c - Gemm, MatMul and the softmax family: values against the definitions, every broadcast, gradients.
 */
#include "op_harness.h"

static void test_gemm(void **state) {
    (void)state;
    static const struct {
        int rank;
        int64_t dim[2];
    } biases[] = {{-1, {0}}, {0, {0}}, {1, {5}}, {1, {1}}, {2, {1, 5}}, {2, {3, 1}}, {2, {3, 5}}};
    for (int t = 0; t < 4 * CVI_COUNT(biases); t++) {
        int ta = t & 1, tb = t >> 1 & 1, c = t / 4;
        int64_t M = 3, N = 5, K = 4;
        oph h;
        oph_begin(&h, "Gemm");
        oph_int(&h, "transA", ta);
        oph_int(&h, "transB", tb);
        oph_float(&h, "alpha", 0.7);
        oph_float(&h, "beta", -1.3);
        oph_random(&h, 0, CVS_F64, 2, ta ? (int64_t[]){K, M} : (int64_t[]){M, K});
        oph_random(&h, 1, CVS_F64, 2, tb ? (int64_t[]){N, K} : (int64_t[]){K, N});
        if (biases[c].rank >= 0) {
            oph_random(&h, 2, CVS_F64, biases[c].rank, biases[c].dim);
        }
        oph_run(&h);
        oph_expect_shape(&h, 0, 2, (int64_t[]){M, N});
        for (int64_t i = 0; i < M * N; i++) {
            int64_t m = i / N, n = i % N;
            double sum = 0;
            for (int64_t k = 0; k < K; k++) {
                sum += cvi_get(&h.input[0], ta ? k * M + m : m * K + k) *
                       cvi_get(&h.input[1], tb ? n * K + k : k * N + n);
            }
            sum *= 0.7;
            if (biases[c].rank >= 0) {
                int64_t cn = biases[c].rank > 0 ? biases[c].dim[biases[c].rank - 1] : 1;
                int64_t cm = biases[c].rank > 1 ? biases[c].dim[0] : 1;
                sum -= 1.3 * cvi_get(&h.input[2], (cm > 1 ? m : 0) * cn + (cn > 1 ? n : 0));
            }
            assert_true(fabs(sum - cvi_get(&h.output[0], i)) < 1e-12);
        }
        oph_check_gradients(&h);
        oph_check_threads(&h);
        oph_end(&h);
    }
}

static void test_gemm_errors(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Gemm");
    oph_random(&h, 0, CVS_F32, 2, (int64_t[]){2, 3});
    oph_random(&h, 1, CVS_F32, 2, (int64_t[]){4, 5});
    oph_expect_error(&h, CVS_E_SHAPE,
                     "the matrices 2x3 and 4x5 do not fit: the first has 3 columns, the second 4 rows");
    oph_random(&h, 1, CVS_F32, 2, (int64_t[]){3, 5});
    oph_random(&h, 2, CVS_F32, 1, (int64_t[]){4});
    oph_expect_error(&h, CVS_E_SHAPE, "C of shape 4 cannot be broadcast to 2x5");
    oph_random(&h, 0, CVS_F32, 3, (int64_t[]){2, 3, 1});
    oph_expect_error(&h, CVS_E_SHAPE, "two matrices are needed");
    oph_end(&h);
}

typedef struct shapes {
    int xr;
    int64_t x[5];
    int yr;
    int64_t y[5];
    int zr;
    int64_t z[5];
} shapes;

static const shapes products[] = {
    {2, {3, 4}, 2, {4, 5}, 2, {3, 5}},
    {1, {4}, 1, {4}, 0, {0}},
    {1, {4}, 2, {4, 5}, 1, {5}},
    {2, {3, 4}, 1, {4}, 1, {3}},
    {3, {2, 3, 4}, 2, {4, 5}, 3, {2, 3, 5}},
    {4, {2, 1, 3, 4}, 3, {6, 4, 2}, 4, {2, 6, 3, 2}},
    {4, {3, 2, 1, 4}, 1, {4}, 3, {3, 2, 1}},
    {1, {4}, 3, {2, 4, 3}, 2, {2, 3}},
    {3, {1, 3, 4}, 4, {2, 2, 4, 1}, 4, {2, 2, 3, 1}},
};

static void test_matmul(void **state) {
    (void)state;
    for (int t = 0; t < CVI_COUNT(products); t++) {
        const shapes *s = &products[t];
        oph h;
        oph_begin(&h, "MatMul");
        oph_random(&h, 0, CVS_F64, s->xr, s->x);
        oph_random(&h, 1, CVS_F64, s->yr, s->y);
        oph_run(&h);
        oph_expect_shape(&h, 0, s->zr, s->z);
        /* Definition on shapes padded to five axes. */
        int64_t x[5] = {1, 1, 1, 1, 1}, y[5] = {1, 1, 1, 1, 1}, z[5];
        for (int i = 0; i < s->xr; i++) {
            x[5 - s->xr + i] = s->x[i];
        }
        for (int i = 0; i < s->yr; i++) {
            y[(s->yr == 1 ? 3 : 5 - s->yr) + i] = s->y[i];
        }
        for (int i = 0; i < 3; i++) {
            z[i] = CVI_MAX(x[i], y[i]);
        }
        z[3] = x[3];
        z[4] = y[4];
        for (int64_t i = 0; i < cvs_tensor_count(&h.output[0]); i++) {
            int64_t place[5], rest = i, xb = 0, yb = 0;
            for (int a = 4; a >= 0; a--) {
                place[a] = rest % z[a];
                rest /= z[a];
            }
            for (int a = 0; a < 3; a++) {
                xb = xb * x[a] + (x[a] == 1 ? 0 : place[a]);
                yb = yb * y[a] + (y[a] == 1 ? 0 : place[a]);
            }
            double sum = 0;
            for (int64_t k = 0; k < x[4]; k++) {
                sum += cvi_get(&h.input[0], (xb * x[3] + place[3]) * x[4] + k) *
                       cvi_get(&h.input[1], (yb * y[3] + k) * y[4] + place[4]);
            }
            assert_true(fabs(sum - cvi_get(&h.output[0], i)) < 1e-12);
        }
        oph_check_gradients(&h);
        oph_check_threads(&h);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "MatMul");
    oph_random(&h, 0, CVS_F32, 3, (int64_t[]){2, 3, 4});
    oph_random(&h, 1, CVS_F32, 3, (int64_t[]){3, 4, 5});
    oph_expect_error(&h, CVS_E_SHAPE, "shapes 2x3x4 and 3x4x5 cannot be broadcast together");
    oph_random(&h, 0, CVS_I32, 2, (int64_t[]){2, 3});
    oph_random(&h, 1, CVS_I32, 2, (int64_t[]){3, 1});
    oph_run(&h);
    for (int64_t m = 0; m < 2; m++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < 3; k++) {
            sum += cvi_get_int(&h.input[0], m * 3 + k) * cvi_get_int(&h.input[1], k);
        }
        assert_int_equal(cvi_get_int(&h.output[0], m), sum);
    }
    oph_end(&h);
}

static void test_softmax(void **state) {
    (void)state;
    static const char *const ops[] = {"Softmax", "LogSoftmax"};
    for (int t = 0; t < 2 * 4; t++) {
        oph h;
        oph_begin(&h, ops[t / 4]);
        int axis = t % 4;
        oph_int(&h, "axis", axis == 3 ? -1 : axis);
        oph_random(&h, 0, CVS_F64, 3, (int64_t[]){3, 4, 5});
        oph_run(&h);
        int64_t step = axis == 0 ? 20 : axis == 1 ? 5 : 1, length = axis == 0 ? 3 : axis == 1 ? 4 : 5;
        for (int64_t i = 0; i < 60; i++) {
            int64_t first = i - i / step % length * step;
            double sum = 0;
            for (int64_t k = 0; k < length; k++) {
                sum += exp(cvi_get(&h.input[0], first + k * step));
            }
            double want = exp(cvi_get(&h.input[0], i)) / sum;
            assert_true(fabs(cvi_get(&h.output[0], i) - (t / 4 ? log(want) : want)) < 1e-12);
        }
        oph_check_gradients(&h);
        oph_check_threads(&h);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "Softmax");
    oph_values(&h, 0, CVS_F32, 2, (int64_t[]){2, 2}, (double[]){10000, 10001, (double)-INFINITY, 3});
    oph_run(&h);
    oph_expect_near(&h.output[0], (double[]){0.26894142137, 0.73105857863, 0, 1}, 1e-6, 0);
    oph_end(&h);
    oph_begin(&h, "Hardmax");
    oph_values(&h, 0, CVS_F32, 2, (int64_t[]){2, 3}, (double[]){1, 5, 5, -2, -3, -4});
    oph_run(&h);
    oph_expect_near(&h.output[0], (double[]){0, 1, 0, 1, 0, 0}, 0, 0);
    assert_null(h.node.def->backward);
    oph_end(&h);
    oph_begin(&h, "Softmax");
    oph_int(&h, "axis", 2);
    oph_random(&h, 0, CVS_F32, 2, (int64_t[]){2, 3});
    oph_expect_error(&h, CVS_E_SHAPE, "axis 2 is outside of rank 2");
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_gemm_errors),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
