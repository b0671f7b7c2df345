/* SPDX-License-Identifier: MIT
 * test_ops_conv.c - Conv and its geometry: shapes of every padding kind, values against a sum over a padded copy, gradients,
 * threads, wrong and hostile attributes.
 */
#include "op_harness.h"

typedef struct conv_case {
    int axes;
    int64_t n, c, k, groups, in[3], kernel[3], stride[3], dilation[3], pads[6];
} conv_case;

static const conv_case cases[] = {
    {1, 2, 3, 4, 1, {9}, {3}, {2}, {1}, {1, 0}},
    {1, 1, 2, 2, 2, {300}, {5}, {1}, {3}, {6, 6}},
    {2, 1, 2, 3, 1, {5, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
    {2, 2, 4, 6, 2, {7, 5}, {3, 2}, {2, 1}, {1, 2}, {0, 2, 1, 0}},
    {2, 1, 4, 4, 4, {6, 6}, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
    {2, 2, 3, 5, 1, {4, 4}, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
    {2, 1, 1, 2, 1, {3, 3}, {3, 3}, {3, 3}, {2, 2}, {4, 4, 4, 4}},
    {3, 1, 2, 2, 1, {4, 3, 5}, {2, 2, 3}, {1, 2, 1}, {2, 1, 1}, {1, 0, 1, 0, 1, 1}},
};

static void begin(oph *h, const conv_case *t, cvs_dtype type, bool bias) {
    int64_t x[5] = {t->n, t->c}, w[5] = {t->k, t->c / t->groups};
    for (int i = 0; i < t->axes; i++) {
        x[2 + i] = t->in[i];
        w[2 + i] = t->kernel[i];
    }
    oph_begin(h, "Conv");
    oph_ints(h, "strides", t->axes, t->stride);
    oph_ints(h, "dilations", t->axes, t->dilation);
    oph_ints(h, "pads", 2 * t->axes, t->pads);
    oph_int(h, "group", t->groups);
    oph_random(h, 0, type, 2 + t->axes, x);
    oph_random(h, 1, type, 2 + t->axes, w);
    if (bias) {
        oph_random(h, 2, type, 1, &t->k);
    }
}

/* x of sample n, channel c at a place that may lie in the padding. */
static double padded(const oph *h, const conv_case *t, int64_t n, int64_t c, const int64_t *place) {
    int64_t at = n * t->c + c;
    for (int i = 0; i < t->axes; i++) {
        if (place[i] < 0 || place[i] >= t->in[i]) {
            return 0;
        }
        at = at * t->in[i] + place[i];
    }
    return cvi_get(&h->input[0], at);
}

/* One output by the definition, taps counted as digits of a number. */
static double definition(const oph *h, const conv_case *t, int64_t n, int64_t f, const int64_t *out,
                         bool bias) {
    int64_t taps = 1, per = t->c / t->groups;
    for (int i = 0; i < t->axes; i++) {
        taps *= t->kernel[i];
    }
    double sum = bias ? cvi_get(&h->input[2], f) : 0;
    for (int64_t c = 0; c < per; c++) {
        for (int64_t tap = 0; tap < taps; tap++) {
            int64_t place[3], rest = tap;
            for (int i = t->axes - 1; i >= 0; i--) {
                place[i] = out[i] * t->stride[i] + rest % t->kernel[i] * t->dilation[i] - t->pads[i];
                rest /= t->kernel[i];
            }
            int64_t channel = f / (t->k / t->groups) * per + c;
            sum += cvi_get(&h->input[1], (f * per + c) * taps + tap) * padded(h, t, n, channel, place);
        }
    }
    return sum;
}

static void check_values(const oph *h, const conv_case *t, bool bias, double tol) {
    const cvs_tensor *y = &h->output[0];
    assert_int_equal(y->rank, 2 + t->axes);
    int64_t positions = 1;
    for (int i = 0; i < t->axes; i++) {
        int64_t padded_side = t->in[i] + t->pads[i] + t->pads[t->axes + i];
        assert_int_equal(y->dim[2 + i],
                         (padded_side - (t->kernel[i] - 1) * t->dilation[i] - 1) / t->stride[i] + 1);
        positions *= y->dim[2 + i];
    }
    for (int64_t i = 0; i < cvs_tensor_count(y); i++) {
        int64_t out[3], rest = i % positions;
        for (int a = t->axes - 1; a >= 0; a--) {
            out[a] = rest % y->dim[2 + a];
            rest /= y->dim[2 + a];
        }
        double want = definition(h, t, i / positions / t->k, i / positions % t->k, out, bias);
        assert_true(fabs(cvi_get(y, i) - want) <= tol);
    }
}

static void test_values(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        for (int bias = 0; bias < 2; bias++) {
            oph h;
            begin(&h, &cases[i], CVS_F64, bias);
            oph_run(&h);
            check_values(&h, &cases[i], bias, 1e-12);
            oph_end(&h);
            begin(&h, &cases[i], CVS_F32, bias);
            oph_check_threads(&h);
            check_values(&h, &cases[i], bias, 1e-5);
            oph_end(&h);
        }
    }
}

static void test_gradients(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        oph h;
        begin(&h, &cases[i], CVS_F64, true);
        oph_check_gradients(&h);
        oph_end(&h);
    }
}

static void sized(const char *pad, int64_t side, int64_t stride, int64_t want) {
    oph h;
    oph_begin(&h, "Conv");
    oph_string(&h, "auto_pad", pad);
    oph_ints(&h, "strides", 2, (int64_t[]){stride, stride});
    oph_random(&h, 0, CVS_F32, 4, (int64_t[]){1, 1, side, side});
    oph_random(&h, 1, CVS_F32, 4, (int64_t[]){1, 1, 4, 4});
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, (int64_t[]){1, 1, want, want});
    oph_end(&h);
}

static void test_auto_pad(void **state) {
    (void)state;
    sized("SAME_UPPER", 7, 2, 4);
    sized("SAME_LOWER", 8, 3, 3);
    sized("VALID", 9, 2, 3);
    /* The odd cell: at the end for SAME_UPPER, first for SAME_LOWER. One pixel, kernel 1,2: pads (0,1) or (1,0). */
    for (int lower = 0; lower < 2; lower++) {
        oph h;
        oph_begin(&h, "Conv");
        oph_string(&h, "auto_pad", lower ? "SAME_LOWER" : "SAME_UPPER");
        oph_values(&h, 0, CVS_F32, 3, (int64_t[]){1, 1, 1}, (double[]){1});
        oph_values(&h, 1, CVS_F32, 3, (int64_t[]){1, 1, 2}, (double[]){10, 20});
        oph_run(&h);
        oph_expect_near(&h.output[0], lower ? (double[]){20} : (double[]){10}, 0, 0);
        oph_end(&h);
    }
}

static void test_errors(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Conv");
    oph_random(&h, 0, CVS_F32, 4, (int64_t[]){1, 3, 5, 5});
    oph_random(&h, 1, CVS_F32, 4, (int64_t[]){2, 2, 3, 3});
    oph_expect_error(&h, CVS_E_SHAPE, "the kernel reads 2 channels, the input has 3");
    oph_random(&h, 1, CVS_F32, 4, (int64_t[]){2, 3, 7, 7});
    oph_expect_error(&h, CVS_E_SHAPE, "the window reaches over 7 positions, the padded input has only 5");
    oph_random(&h, 1, CVS_F32, 3, (int64_t[]){2, 3, 3});
    oph_expect_error(&h, CVS_E_SHAPE, "2x3x3");
    oph_random(&h, 1, CVS_F32, 4, (int64_t[]){2, 3, 3, 3});
    oph_random(&h, 2, CVS_F32, 1, (int64_t[]){3});
    oph_expect_error(&h, CVS_E_SHAPE, "input B must be a vector of 2 numbers");
    oph_end(&h);
    static const struct {
        const char *name;
        int64_t v;
    } wrong[] = {{"strides", 0},           {"strides", -1},           {"dilations", 0},
                 {"dilations", INT64_MAX}, {"kernel_shape", 1000000}, {"dilations", INT32_MAX},
                 {"kernel_shape", -3}};
    for (int i = 0; i < CVI_COUNT(wrong); i++) {
        oph_begin(&h, "Conv");
        oph_ints(&h, wrong[i].name, 2, (int64_t[]){wrong[i].v, wrong[i].v});
        oph_random(&h, 0, CVS_F32, 4, (int64_t[]){1, 1, 5, 5});
        oph_random(&h, 1, CVS_F32, 4, (int64_t[]){1, 1, 3, 3});
        assert_int_not_equal(oph_infer(&h), CVS_OK);
        assert_true(h.err.message[0] != '\0');
        oph_end(&h);
    }
    oph_begin(&h, "Conv");
    oph_ints(&h, "pads", 3, (int64_t[]){0, 0, 0});
    oph_random(&h, 0, CVS_F32, 4, (int64_t[]){1, 1, 5, 5});
    oph_random(&h, 1, CVS_F32, 4, (int64_t[]){1, 1, 3, 3});
    oph_expect_error(&h, CVS_E_SHAPE, "pads has 3 numbers, this input needs 4");
    oph_end(&h);
}

/* Huge padding makes a huge output, never a wrapped product. */
static void test_hostile_pads(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Conv");
    oph_ints(&h, "pads", 6, (int64_t[]){INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX});
    oph_random(&h, 0, CVS_F32, 5, (int64_t[]){1, 1, 5, 5, 5});
    oph_random(&h, 1, CVS_F32, 5, (int64_t[]){1, 1, 3, 3, 3});
    oph_expect_error(&h, CVS_E_LIMIT, "too large");
    oph_end(&h);
}

static void test_cost_and_field(void **state) {
    (void)state;
    oph h;
    begin(&h, &cases[3], CVS_F32, true);
    oph_run(&h);
    cvi_cost cost = {0, 0};
    cvi_field_step step;
    memset(&step, 0, sizeof step);
    h.node.def->cost(&h.ctx, &cost);
    h.node.def->field(&h.ctx, &step);
    assert_int_equal(cost.macs, cvs_tensor_count(&h.output[0]) * 2 * 3 * 2);
    assert_int_equal(step.kind, CVI_FIELD_WINDOW);
    assert_int_equal(step.kernel[0], 3);
    assert_int_equal(step.stride[0], 2);
    assert_int_equal(step.dilation[1], 2);
    assert_int_equal(step.pad_begin[1], 2);
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),       cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_auto_pad),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_hostile_pads), cmocka_unit_test(test_cost_and_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
