/* SPDX-License-Identifier: MIT
 * test_ops_pool.c - pools: values against the definition over every geometry, indices, ceil mode, ties and NaN, gradients.
 */
#include "op_harness.h"

typedef struct pool_case {
    int axes;
    int64_t n, c, in[3], kernel[3], stride[3], dilation[3], pads[6];
    bool ceil;
} pool_case;

static const pool_case cases[] = {
    {1, 2, 3, {9}, {3}, {2}, {1}, {1, 0}, false},
    {1, 1, 2, {10}, {4}, {3}, {1}, {0, 0}, true},
    {2, 2, 3, {6, 5}, {2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}, false},
    {2, 1, 2, {7, 7}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, false},
    {2, 1, 2, {6, 6}, {3, 2}, {1, 2}, {2, 1}, {2, 0, 1, 1}, false},
    {2, 1, 1, {6, 7}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, true},
    {2, 1, 1, {2, 2}, {1, 1}, {2, 2}, {1, 1}, {0, 0, 0, 0}, true},
    {3, 1, 2, {4, 5, 3}, {2, 3, 2}, {2, 1, 1}, {1, 2, 1}, {0, 1, 1, 1, 1, 0}, false},
};

static void begin(oph *h, const char *op, const pool_case *t, cvs_dtype type) {
    int64_t x[5] = {t->n, t->c};
    for (int i = 0; i < t->axes; i++) {
        x[2 + i] = t->in[i];
    }
    oph_begin(h, op);
    oph_ints(h, "kernel_shape", t->axes, t->kernel);
    oph_ints(h, "strides", t->axes, t->stride);
    oph_ints(h, "dilations", t->axes, t->dilation);
    oph_ints(h, "pads", 2 * t->axes, t->pads);
    oph_int(h, "ceil_mode", t->ceil);
    oph_random(h, 0, type, 2 + t->axes, x);
}

typedef enum { MAX, AVERAGE, AVERAGE_PADS, LP1, LP2, LP3 } pool_kind;

/* Output i by the definition; *winner gets the place of the maximum in the plane. */
static double definition(const oph *h, const pool_case *t, pool_kind kind, int64_t i, int64_t *winner) {
    const cvs_tensor *y = &h->output[0];
    int64_t positions = 1, plane = 1, taps = 1;
    for (int a = 0; a < t->axes; a++) {
        positions *= y->dim[2 + a];
        plane *= t->in[a];
        taps *= t->kernel[a];
    }
    double best = -1e30, sum = 0, inside = 0, counted = 0;
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t at = 0, span = 1, rest = tap, place = i % positions;
        bool in = true, padded = true;
        for (int a = t->axes - 1; a >= 0; a--) {
            int64_t p =
                place % y->dim[2 + a] * t->stride[a] + rest % t->kernel[a] * t->dilation[a] - t->pads[a];
            place /= y->dim[2 + a];
            rest /= t->kernel[a];
            in = in && p >= 0 && p < t->in[a];
            padded = padded && p < t->in[a] + t->pads[t->axes + a];
            at += p * span;
            span *= t->in[a];
        }
        counted += padded;
        if (in) {
            double v = cvi_get(&h->input[0], i / positions * plane + at);
            inside++;
            sum += kind >= LP1 ? pow(fabs(v), kind - LP1 + 1) : v;
            if (v > best) {
                best = v;
                *winner = at;
            }
        }
    }
    switch (kind) {
    case MAX:
        return best;
    case AVERAGE:
        return sum / inside;
    case AVERAGE_PADS:
        return sum / counted;
    default:
        return pow(sum, 1.0 / (kind - LP1 + 1));
    }
}

static void test_values_and_gradients(void **state) {
    (void)state;
    static const char *const ops[] = {"MaxPool", "AveragePool", "AveragePool", "LpPool", "LpPool", "LpPool"};
    for (int kind = MAX; kind <= LP3; kind++) {
        for (int i = 0; i < CVI_COUNT(cases); i++) {
            oph h;
            begin(&h, ops[kind], &cases[i], CVS_F64);
            if (kind == AVERAGE_PADS) {
                oph_int(&h, "count_include_pad", 1);
            }
            if (kind >= LP1) {
                oph_int(&h, "p", kind - LP1 + 1);
            }
            oph_run(&h);
            for (int64_t k = 0; k < cvs_tensor_count(&h.output[0]); k++) {
                int64_t winner = -1;
                double want = definition(&h, &cases[i], (pool_kind)kind, k, &winner);
                assert_true(fabs(cvi_get(&h.output[0], k) - want) < 1e-12);
                if (kind == MAX) {
                    assert_int_equal(((int64_t *)h.aux)[k], winner);
                }
            }
            oph_check_gradients(&h);
            oph_end(&h);
            begin(&h, ops[kind], &cases[i], CVS_F32);
            oph_check_threads(&h);
            oph_end(&h);
        }
    }
}

static void test_ceil_shapes(void **state) {
    (void)state;
    oph h;
    begin(&h, "MaxPool", &cases[1], CVS_F32); /* 10 in steps of 3 by 4: 3 windows, none of them cut */
    oph_run(&h);
    oph_expect_shape(&h, 0, 3, (int64_t[]){1, 2, 3});
    oph_end(&h);
    begin(&h, "MaxPool", &cases[5], CVS_F32);
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, (int64_t[]){1, 1, 4, 4}); /* 6+2-3 = 5 in steps of 2: one cut window more */
    oph_end(&h);
    begin(&h, "MaxPool", &cases[6], CVS_F32); /* the second window would begin past the end: it is dropped */
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, (int64_t[]){1, 1, 1, 1});
    oph_end(&h);
}

static void test_indices(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 9, 5, 6, 9, 8, 7, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    for (int columns = 0; columns < 2; columns++) {
        oph h;
        oph_begin(&h, "MaxPool");
        oph_ints(&h, "kernel_shape", 2, (int64_t[]){2, 3});
        oph_int(&h, "storage_order", columns);
        h.node.n_out = 2;
        oph_values(&h, 0, CVS_F32, 4, (int64_t[]){1, 2, 3, 3}, x);
        oph_run(&h);
        oph_expect_near(&h.output[0], (double[]){9, 9, 1, 1}, 0, 0);
        /* The tie of 9 goes to the first in scan order. */
        oph_expect_near(&h.output[1], columns ? (double[]){1, 1, 13, 13} : (double[]){3, 3, 13, 13}, 0, 0);
        oph_end(&h);
    }
}

static void test_special_numbers(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "MaxPool");
    oph_ints(&h, "kernel_shape", 1, (int64_t[]){3});
    oph_values(&h, 0, CVS_F32, 3, (int64_t[]){1, 1, 4}, (double[]){-5, (double)-INFINITY, (double)NAN, 7});
    oph_run(&h);
    oph_expect_near(&h.output[0], (double[]){(double)NAN, (double)NAN}, 0, 0);
    oph_values(&h, 0, CVS_U8, 3, (int64_t[]){1, 1, 4}, (double[]){255, 3, 2, 1});
    oph_run(&h);
    oph_expect_near(&h.output[0], (double[]){255, 3}, 0, 0);
    oph_values(&h, 0, CVS_F32, 3, (int64_t[]){1, 1, 3},
               (double[]){(double)-INFINITY, (double)-INFINITY, -1e38});
    oph_run(&h);
    oph_expect_near(&h.output[0], (double[]){-1e38}, 1e-6, 0);
    oph_end(&h);
    /* Padding wider than the kernel: windows without elements are 0 and send no gradient anywhere. */
    static const char *const ops[] = {"MaxPool", "AveragePool"};
    for (int i = 0; i < 2; i++) {
        oph_begin(&h, ops[i]);
        oph_ints(&h, "kernel_shape", 1, (int64_t[]){1});
        oph_ints(&h, "pads", 2, (int64_t[]){2, 2});
        oph_values(&h, 0, CVS_F64, 3, (int64_t[]){1, 1, 2}, (double[]){-3, 4});
        oph_run(&h);
        oph_expect_near(&h.output[0], (double[]){0, 0, -3, 4, 0, 0}, 0, 0);
        oph_check_gradients(&h);
        oph_end(&h);
    }
}

static void test_global(void **state) {
    (void)state;
    static const char *const ops[] = {"GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"};
    for (int i = 0; i < 3; i++) {
        for (int rank = 3; rank <= 5; rank++) {
            oph h;
            oph_begin(&h, ops[i]);
            oph_random(&h, 0, CVS_F64, rank, (int64_t[]){2, 3, 4, 5, 2});
            oph_run(&h);
            oph_expect_shape(&h, 0, rank, (int64_t[]){2, 3, 1, 1, 1});
            int64_t plane = cvs_tensor_count(&h.input[0]) / 6;
            for (int64_t p = 0; p < 6; p++) {
                double best = -2, sum = 0, squares = 0;
                for (int64_t k = p * plane; k < (p + 1) * plane; k++) {
                    double v = cvi_get(&h.input[0], k);
                    best = CVI_MAX(best, v);
                    sum += v;
                    squares += v * v;
                }
                double want = i == 0 ? best : i == 1 ? sum / (double)plane : sqrt(squares);
                assert_true(fabs(cvi_get(&h.output[0], p) - want) < 1e-12);
            }
            oph_check_gradients(&h);
            oph_check_threads(&h);
            oph_end(&h);
        }
        oph h;
        oph_begin(&h, ops[i]);
        oph_random(&h, 0, CVS_F32, 4, (int64_t[]){1, 3, 0, 4});
        oph_expect_error(&h, CVS_E_SHAPE, "nothing to pool");
        oph_end(&h);
    }
}

static void test_errors(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "MaxPool");
    oph_random(&h, 0, CVS_F32, 4, (int64_t[]){1, 1, 4, 4});
    oph_expect_error(&h, CVS_E_FORMAT, "kernel_shape is missing");
    oph_ints(&h, "kernel_shape", 3, (int64_t[]){2, 2, 2});
    oph_expect_error(&h, CVS_E_SHAPE, "kernel_shape has 3 numbers, this input needs 2");
    oph_random(&h, 0, CVS_F32, 2, (int64_t[]){4, 4});
    oph_expect_error(&h, CVS_E_SHAPE, "the input has shape 4x4");
    oph_end(&h);
    oph_begin(&h, "LpPool");
    oph_ints(&h, "kernel_shape", 1, (int64_t[]){2});
    oph_int(&h, "p", 0);
    oph_random(&h, 0, CVS_F32, 3, (int64_t[]){1, 1, 4});
    oph_expect_error(&h, CVS_E_SHAPE, "p holds 0, the least allowed is 1");
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_gradients),
        cmocka_unit_test(test_ceil_shapes),
        cmocka_unit_test(test_indices),
        cmocka_unit_test(test_special_numbers),
        cmocka_unit_test(test_global),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
