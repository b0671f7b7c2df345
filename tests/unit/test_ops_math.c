/* SPDX-License-Identifier: MIT
 * test_ops_math.c - arithmetic, comparisons, one-number functions, folds over inputs and axes: shapes, small cases by hand,
 * broadcasting, integers, sentences for wrong input, gradients by finite differences, fast forms, threads.
 */
#include "op_harness.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})
#define V(...) ((const double[]){__VA_ARGS__})

static void broadcasting_repeats_sides_of_one(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Add");
    oph_values(&h, 0, CVS_F32, 2, D(2, 3), V(1, 2, 3, 4, 5, 6));
    oph_values(&h, 1, CVS_F32, 3, D(2, 1, 1), V(10, 20));
    oph_run(&h);
    oph_expect_shape(&h, 0, 3, D(2, 2, 3));
    oph_expect_near(&h.output[0], V(11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26), 0, 0);
    oph_values(&h, 0, CVS_F32, 2, D(2, 1), V(1, 2));
    oph_values(&h, 1, CVS_F32, 1, D(3), V(10, 20, 30));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(11, 21, 31, 12, 22, 32), 0, 0);
    oph_end(&h);
}

static void integers_are_exact_and_wrap(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Mul");
    oph_values(&h, 0, CVS_U8, 1, D(3), V(200, 16, 3));
    oph_values(&h, 1, CVS_U8, 1, D(3), V(2, 16, 5));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(144, 0, 15), 0, 0);
    oph_end(&h);
    oph_begin(&h, "Add"); /* beyond what a double holds */
    *(int64_t *)oph_input(&h, 0, CVS_I64, 1, D(1))->data = ((int64_t)1 << 62) + 1;
    *(int64_t *)oph_input(&h, 1, CVS_I64, 1, D(1))->data = 2;
    oph_run(&h);
    assert_true(*(int64_t *)h.output[0].data == ((int64_t)1 << 62) + 3);
    oph_end(&h);
}

static void division_cuts_towards_zero_and_never_traps(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Div");
    oph_values(&h, 0, CVS_I32, 1, D(4), V(7, -7, 7, -8));
    oph_values(&h, 1, CVS_I32, 1, D(4), V(2, 2, -2, 4));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(3, -3, -3, -2), 0, 0);
    *(int64_t *)oph_input(&h, 0, CVS_I64, 0, NULL)->data = INT64_MIN;
    *(int64_t *)oph_input(&h, 1, CVS_I64, 0, NULL)->data = -1;
    oph_run(&h);
    assert_true(*(int64_t *)h.output[0].data == INT64_MIN);
    oph_values(&h, 0, CVS_I32, 1, D(2), V(1, 2));
    oph_values(&h, 1, CVS_I32, 1, D(2), V(1, 0));
    assert_int_equal(oph_try(&h, false), CVS_E_SHAPE);
    assert_non_null(strstr(h.err.message, "divided by zero at element 1"));
    oph_end(&h);
}

static void remainder_takes_the_sign_asked_for(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Mod");
    oph_values(&h, 0, CVS_I32, 1, D(4), V(-4, 7, 5, -7));
    oph_values(&h, 1, CVS_I32, 1, D(4), V(3, -3, 3, -3));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(2, -2, 2, -1), 0, 0);
    oph_int(&h, "fmod", 1);
    oph_run(&h);
    oph_expect_near(&h.output[0], V(-1, 1, 2, -1), 0, 0);
    oph_end(&h);
}

static void wrong_operands_get_a_sentence(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Add");
    oph_values(&h, 0, CVS_F32, 1, D(2), V(1, 2));
    oph_values(&h, 1, CVS_F32, 1, D(3), V(1, 2, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "shapes 2 and 3 cannot be broadcast");
    oph_values(&h, 1, CVS_I32, 1, D(2), V(1, 2));
    oph_expect_error(&h, CVS_E_FORMAT, "float32 and int32");
    oph_end(&h);
    oph_begin(&h, "Sqrt");
    oph_values(&h, 0, CVS_I32, 1, D(1), V(4));
    oph_expect_error(&h, CVS_E_FORMAT, "input 0 is int32");
    oph_end(&h);
    oph_begin(&h, "And");
    oph_values(&h, 0, CVS_F32, 1, D(1), V(1));
    oph_values(&h, 1, CVS_BOOL, 1, D(1), V(1));
    oph_expect_error(&h, CVS_E_FORMAT, "must be bool");
    oph_end(&h);
    oph_begin(&h, "ReduceSum");
    oph_values(&h, 0, CVS_F32, 2, D(1, 1), V(1));
    oph_values(&h, 1, CVS_I64, 1, D(1), V(2));
    oph_expect_error(&h, CVS_E_SHAPE, "axis 2 is outside of rank 2");
    oph_end(&h);
}

static void gradients_of_pairs_sum_over_what_was_repeated(void **state) {
    (void)state;
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Pow", "Mod"};
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        oph h;
        oph_begin(&h, ops[i]);
        if (i == 5) {
            oph_int(&h, "fmod", 1);
        }
        oph_random(&h, 0, CVS_F64, 4, D(2, 3, 1, 4));
        oph_random(&h, 1, CVS_F64, 3, D(3, 2, 1));
        oph_range(&h, 0, 0.5, 2.5);
        oph_range(&h, 1, 0.7, 1.9);
        oph_check_gradients(&h);
        oph_random(&h, 1, CVS_F64, 4, D(2, 3, 1, 4));
        oph_range(&h, 1, 0.7, 1.9);
        oph_check_gradients(&h);
        oph_end(&h);
    }
}

static void channels_last_forms_agree(void **state) {
    (void)state;
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div"};
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        oph h;
        oph_begin(&h, ops[i]);
        oph_random(&h, 0, CVS_F32, 4, D(2, 11, 5, 7));
        oph_random(&h, 1, CVS_F32, 4, D(2, 11, 5, 7));
        if (i < 3) {
            oph_check_fast(&h, 1e-6);
        } else { /* padding channels would be 0 / 0 */
            assert_int_equal(oph_infer(&h), CVS_OK);
            assert_false(h.node.def->can_fast(&h.ctx));
        }
        oph_random(&h, 1, CVS_F32, 4, D(2, 11, 1, 1)); /* squeeze and excitation */
        oph_check_fast(&h, 1e-6);
        oph_random(&h, 1, CVS_F32, 4, D(1, 11, 1, 1));
        oph_check_fast(&h, 1e-6);
        oph_random(&h, 1, CVS_F32, 3, D(11, 1, 1)); /* a constant that stays plain */
        oph_check_fast(&h, 1e-6);
        oph_random(&h, 1, CVS_F32, 0, NULL);
        oph_check_fast(&h, 1e-6);
        oph_random(&h, 0, CVS_F32, 4, D(2, 11, 1, 1)); /* the small one first */
        oph_random(&h, 1, CVS_F32, 4, D(2, 11, 5, 7));
        oph_check_fast(&h, 1e-6);
        oph_end(&h);
    }
}

static void comparisons_know_nan_and_unsigned(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "LessOrEqual");
    oph_values(&h, 0, CVS_F32, 1, D(4), V(1, 2, NAN, 3));
    oph_values(&h, 1, CVS_F32, 1, D(4), V(2, 2, 1, NAN));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 1, 0, 0), 0, 0);
    oph_end(&h);
    oph_begin(&h, "Greater");
    *(uint64_t *)oph_input(&h, 0, CVS_U64, 0, NULL)->data = UINT64_MAX;
    *(uint64_t *)oph_input(&h, 1, CVS_U64, 0, NULL)->data = 1;
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1), 0, 0);
    oph_end(&h);
    static const struct {
        const char *op;
        double want[4];
    } cases[] = {{"Equal", {1, 0, 0, 1}},   {"Less", {0, 1, 0, 0}},
                 {"Greater", {0, 0, 1, 0}}, {"GreaterOrEqual", {1, 0, 1, 1}},
                 {"And", {0, 0, 0, 1}},     {"Or", {0, 1, 1, 1}},
                 {"Xor", {0, 1, 1, 0}}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        oph_begin(&h, cases[i].op);
        oph_values(&h, 0, CVS_BOOL, 1, D(4), V(0, 0, 1, 1));
        oph_values(&h, 1, CVS_BOOL, 1, D(4), V(0, 1, 0, 1));
        oph_run(&h);
        oph_expect_near(&h.output[0], cases[i].want, 0, 0);
        oph_end(&h);
    }
    oph_begin(&h, "Not");
    oph_values(&h, 0, CVS_BOOL, 1, D(2), V(0, 1));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 0), 0, 0);
    oph_end(&h);
    oph_begin(&h, "IsNaN");
    oph_values(&h, 0, CVS_F32, 1, D(2), V(NAN, 1));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 0), 0, 0);
    oph_end(&h);
    oph_begin(&h, "IsInf");
    oph_int(&h, "detect_negative", 0);
    oph_values(&h, 0, CVS_F32, 1, D(3), V(INFINITY, -INFINITY, NAN));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 0, 0), 0, 0);
    oph_end(&h);
}

static void where_chooses_and_splits_the_gradient(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Where");
    oph_values(&h, 0, CVS_BOOL, 2, D(2, 3), V(1, 0, 1, 0, 0, 1));
    oph_random(&h, 1, CVS_F64, 1, D(3));
    oph_random(&h, 2, CVS_F64, 2, D(2, 1));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 3));
    assert_true(cvi_get(&h.output[0], 0) == cvi_get(&h.input[1], 0));
    assert_true(cvi_get(&h.output[0], 1) == cvi_get(&h.input[2], 0));
    oph_check_gradients(&h);
    oph_end(&h);
}

static void functions_of_one_number(void **state) {
    (void)state;
    static const struct {
        const char *op;
        double lo, hi, x, y;
    } f[] = {{"Abs", 0.2, 2, -1.5, 1.5},
             {"Neg", -2, 2, 1.5, -1.5},
             {"Sqrt", 0.2, 2, 2.25, 1.5},
             {"Exp", -2, 2, 1, 2.718281828},
             {"Log", 0.2, 3, 2, 0.6931471806},
             {"Reciprocal", 0.5, 2, 4, 0.25},
             {"Sin", -2, 2, 1, 0.8414709848},
             {"Cos", -2, 2, 1, 0.5403023059},
             {"Tan", -1, 1, 1, 1.557407725},
             {"Asin", -0.8, 0.8, 0.5, 0.5235987756},
             {"Acos", -0.8, 0.8, 0.5, 1.047197551},
             {"Atan", -2, 2, 1, 0.7853981634},
             {"Sinh", -2, 2, 1, 1.175201194},
             {"Cosh", -2, 2, 1, 1.543080635},
             {"Asinh", -2, 2, 1, 0.881373587},
             {"Acosh", 1.5, 3, 2, 1.316957897},
             {"Atanh", -0.8, 0.8, 0.5, 0.5493061443},
             {"Sign", 0.1, 2, -3, -1},
             {"Ceil", 0.1, 0.9, 1.2, 2},
             {"Floor", 0.1, 0.9, -1.2, -2},
             {"Round", 0.1, 0.4, 2.5, 2}};
    for (int i = 0; i < CVI_COUNT(f); i++) {
        oph h;
        oph_begin(&h, f[i].op);
        oph_values(&h, 0, CVS_F32, 1, D(1), &f[i].x);
        oph_run(&h);
        oph_expect_near(&h.output[0], &f[i].y, 1e-6, 0);
        oph_random(&h, 0, CVS_F64, 2, D(3, 7));
        oph_range(&h, 0, f[i].lo, f[i].hi);
        oph_check_gradients(&h);
        oph_random(&h, 0, CVS_F32, 2, D(300, 301));
        oph_check_threads(&h);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "Abs");
    oph_values(&h, 0, CVS_I8, 1, D(3), V(-5, 0, 7));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(5, 0, 7), 0, 0);
    oph_end(&h);
}

static void folds_of_many_inputs(void **state) {
    (void)state;
    static const struct {
        const char *op;
        double want[6];
    } cases[] = {{"Sum", {9, 10, 11, 12, 13, 14}},
                 {"Mean", {3, 10 / 3.0, 11 / 3.0, 4, 13 / 3.0, 14 / 3.0}},
                 {"Max", {7, 7, 7, 10, 10, 10}},
                 {"Min", {1, 1, 1, 1, 1, 1}}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        oph h;
        oph_begin(&h, cases[i].op);
        oph_values(&h, 0, CVS_F32, 1, D(3), V(1, 2, 3));
        oph_values(&h, 1, CVS_F32, 2, D(2, 1), V(7, 10));
        oph_values(&h, 2, CVS_F32, 0, NULL, V(1));
        oph_run(&h);
        oph_expect_shape(&h, 0, 2, D(2, 3));
        oph_expect_near(&h.output[0], cases[i].want, 1e-6, 0);
        oph_random(&h, 0, CVS_F64, 2, D(4, 3));
        oph_random(&h, 1, CVS_F64, 3, D(2, 1, 3));
        oph_random(&h, 2, CVS_F64, 1, D(1));
        oph_check_gradients(&h);
        oph_random(&h, 0, CVS_F32, 2, D(300, 333));
        oph_random(&h, 1, CVS_F32, 1, D(333));
        oph_random(&h, 2, CVS_F32, 0, NULL);
        oph_check_threads(&h);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "Max");
    oph_values(&h, 0, CVS_F32, 1, D(3), V(NAN, 1, -INFINITY));
    oph_values(&h, 1, CVS_F32, 1, D(3), V(1, NAN, 2));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(NAN, NAN, 2), 0, 0);
    oph_end(&h);
}

static void reductions(void **state) {
    (void)state;
    static const struct {
        const char *op;
        double want[2], empty;
    } cases[] = {{"ReduceSum", {6, 15}, 0},
                 {"ReduceMean", {2, 5}, NAN},
                 {"ReduceMax", {3, 6}, -INFINITY},
                 {"ReduceMin", {1, 4}, INFINITY},
                 {"ReduceProd", {6, 120}, 1},
                 {"ReduceL1", {6, 15}, 0},
                 {"ReduceL2", {3.741657387, 8.774964387}, 0},
                 {"ReduceLogSum", {1.791759469, 2.708050201}, -INFINITY},
                 {"ReduceLogSumExp", {3.407605964, 6.407605964}, -INFINITY},
                 {"ReduceSumSquare", {14, 77}, 0}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        oph h;
        oph_begin(&h, cases[i].op);
        oph_values(&h, 0, CVS_F32, 2, D(2, 3), V(1, 2, 3, 4, 5, 6));
        oph_values(&h, 1, CVS_I64, 1, D(1), V(-1));
        oph_run(&h);
        oph_expect_shape(&h, 0, 2, D(2, 1));
        oph_expect_near(&h.output[0], cases[i].want, 1e-6, 0);
        oph_int(&h, "keepdims", 0);
        oph_input(&h, 0, CVS_F32, 2, D(2, 0));
        oph_run(&h);
        oph_expect_shape(&h, 0, 1, D(2));
        oph_expect_near(&h.output[0], V(cases[i].empty, cases[i].empty), 0, 0);
        oph_random(&h, 0, CVS_F64, 4, D(2, 3, 4, 2));
        oph_range(&h, 0, 0.3, 2);
        oph_values(&h, 1, CVS_I64, 2, D(1, 2), V(1, 3));
        oph_expect_error(&h, CVS_E_SHAPE, "must be a list of integers");
        oph_values(&h, 1, CVS_I64, 1, D(2), V(1, 3));
        oph_check_gradients_of(&h, 1);
        oph_random(&h, 0, CVS_F32, 3, D(20, 100, 30));
        oph_range(&h, 0, 0.3, 2);
        oph_values(&h, 1, CVS_I64, 1, D(1), V(1));
        oph_check_threads(&h);
        oph_end(&h);
    }
}

static void reductions_without_axes(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "ReduceSum");
    oph_values(&h, 0, CVS_I32, 2, D(2, 2), V(1, 2, 3, 4));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(1, 1));
    oph_expect_near(&h.output[0], V(10), 0, 0);
    oph_int(&h, "noop_with_empty_axes", 1);
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 2));
    oph_expect_near(&h.output[0], V(1, 2, 3, 4), 0, 0);
    oph_end(&h);
    oph_begin(&h, "ReduceProd"); /* the gradient where a factor is 0 */
    oph_values(&h, 0, CVS_F64, 1, D(4), V(2, 0, 3, 0.5));
    oph_check_gradients_of(&h, 1);
    oph_end(&h);
    oph_begin(&h, "ReduceLogSumExp"); /* no overflow */
    oph_values(&h, 0, CVS_F32, 1, D(2), V(1000, 1000));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1000.693147), 1e-7, 0);
    oph_end(&h);
    oph_begin(&h, "ReduceMax");
    oph_values(&h, 0, CVS_U8, 1, D(3), V(3, 200, 7));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(200), 0, 0);
    oph_end(&h);
}

static void best_along_an_axis(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "ArgMax");
    oph_int(&h, "axis", 1);
    oph_int(&h, "keepdims", 0);
    oph_values(&h, 0, CVS_F32, 2, D(2, 3), V(2, 2, 1, 3, 10, 10));
    oph_run(&h);
    oph_expect_shape(&h, 0, 1, D(2));
    oph_expect_near(&h.output[0], V(0, 1), 0, 0);
    oph_int(&h, "select_last_index", 1);
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 2), 0, 0);
    oph_end(&h);
    oph_begin(&h, "ArgMin");
    oph_values(&h, 0, CVS_I32, 2, D(3, 2), V(5, 1, 4, 1, 9, 0));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(1, 2));
    oph_expect_near(&h.output[0], V(1, 2), 0, 0);
    oph_end(&h);
    oph_begin(&h, "TopK");
    h.node.n_out = 2;
    oph_values(&h, 0, CVS_F32, 2, D(2, 4), V(0, 1, 2, 1, 9, 8, 7, 9));
    oph_values(&h, 1, CVS_I64, 1, D(1), V(3));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(2, 1, 1, 9, 9, 8), 0, 0);
    oph_expect_near(&h.output[1], V(2, 1, 3, 0, 3, 1), 0, 0);
    oph_int(&h, "largest", 0);
    oph_run(&h);
    oph_expect_near(&h.output[1], V(0, 1, 3, 2, 1, 0), 0, 0);
    oph_random(&h, 0, CVS_F64, 3, D(2, 5, 3));
    oph_int(&h, "axis", 1);
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 1, CVS_I64, 1, D(1), V(6));
    oph_expect_error(&h, CVS_E_SHAPE, "best 6 of 5 elements along axis 1");
    oph_end(&h);
}

static void running_sums(void **state) {
    (void)state;
    static const double want[4][3] = {{1, 3, 6}, {0, 1, 3}, {6, 5, 3}, {5, 3, 0}};
    for (int i = 0; i < 4; i++) {
        oph h;
        oph_begin(&h, "CumSum");
        oph_int(&h, "exclusive", i & 1);
        oph_int(&h, "reverse", i >> 1);
        oph_values(&h, 0, CVS_I32, 1, D(3), V(1, 2, 3));
        oph_values(&h, 1, CVS_I32, 0, NULL, V(0));
        oph_run(&h);
        oph_expect_near(&h.output[0], want[i], 0, 0);
        oph_random(&h, 0, CVS_F64, 3, D(2, 4, 3));
        oph_values(&h, 1, CVS_I32, 0, NULL, V(-2));
        oph_check_gradients_of(&h, 1);
        oph_end(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasting_repeats_sides_of_one),
        cmocka_unit_test(integers_are_exact_and_wrap),
        cmocka_unit_test(division_cuts_towards_zero_and_never_traps),
        cmocka_unit_test(remainder_takes_the_sign_asked_for),
        cmocka_unit_test(wrong_operands_get_a_sentence),
        cmocka_unit_test(gradients_of_pairs_sum_over_what_was_repeated),
        cmocka_unit_test(channels_last_forms_agree),
        cmocka_unit_test(comparisons_know_nan_and_unsigned),
        cmocka_unit_test(where_chooses_and_splits_the_gradient),
        cmocka_unit_test(functions_of_one_number),
        cmocka_unit_test(folds_of_many_inputs),
        cmocka_unit_test(reductions),
        cmocka_unit_test(reductions_without_axes),
        cmocka_unit_test(best_along_an_axis),
        cmocka_unit_test(running_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
