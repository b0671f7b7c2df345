/* SPDX-License-Identifier: MIT
 * test_ops_shape.c - operators that move numbers: reshapes, casts, constants, joining, cutting, borders, gathering, scattering,
 * pixel shuffle. Small pictures by hand, sentences for wrong input, gradients by finite differences.
 */
#include "op_harness.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})
#define V(...) ((const double[]){__VA_ARGS__})

static void ints(oph *h, int k, int n, const int64_t *v) {
    int64_t side = n;
    memcpy(oph_input(h, k, CVS_I64, 1, &side)->data, v, (size_t)n * sizeof *v);
}

static void reshape_understands_zero_and_minus_one(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Reshape");
    oph_random(&h, 0, CVS_F64, 3, D(2, 3, 4));
    ints(&h, 1, 2, D(0, -1));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 12));
    assert_memory_equal(h.output[0].data, h.input[0].data, h.input[0].bytes);
    oph_check_gradients(&h);
    ints(&h, 1, 2, D(5, -1));
    oph_expect_error(&h, CVS_E_SHAPE, "2x3x4 cannot be reshaped to 5x?");
    ints(&h, 1, 2, D(-1, -1));
    oph_expect_error(&h, CVS_E_SHAPE, "more than one -1");
    ints(&h, 1, 4, D(2, 3, 4, 0));
    oph_expect_error(&h, CVS_E_SHAPE, "has only 3 dimensions");
    ints(&h, 1, 2, D(INT64_MAX, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "cannot be reshaped");
    ints(&h, 1, 2, D(2, -7));
    oph_expect_error(&h, CVS_E_SHAPE, "dimension 1 of the new shape is -7");
    h.input[1].owned = false; /* numbers that are not known yet */
    void *kept = h.input[1].data;
    h.input[1].data = NULL;
    oph_expect_error(&h, CVS_E_LATE, "known only while running");
    h.input[1].data = kept;
    h.input[1].owned = true;
    oph_int(&h, "allowzero", 1);
    oph_input(&h, 0, CVS_F32, 2, D(0, 3));
    ints(&h, 1, 3, D(3, 0, 7));
    oph_run(&h);
    oph_expect_shape(&h, 0, 3, D(3, 0, 7));
    oph_end(&h);
}

static void flat_and_squeezed_shapes(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Flatten");
    oph_random(&h, 0, CVS_F64, 4, D(2, 3, 2, 2));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 12));
    oph_check_gradients(&h);
    oph_int(&h, "axis", -1);
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(12, 2));
    h.attr[0].i = 5;
    oph_expect_error(&h, CVS_E_SHAPE, "axis 5 is outside of rank 4");
    oph_end(&h);
    oph_begin(&h, "Squeeze");
    oph_random(&h, 0, CVS_F64, 4, D(2, 1, 3, 1));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 3));
    ints(&h, 1, 1, D(-1));
    oph_run(&h);
    oph_expect_shape(&h, 0, 3, D(2, 1, 3));
    oph_check_gradients_of(&h, 1);
    ints(&h, 1, 1, D(2));
    oph_expect_error(&h, CVS_E_SHAPE, "dimension 2 is 3");
    oph_end(&h);
    oph_begin(&h, "Unsqueeze");
    oph_random(&h, 0, CVS_F64, 2, D(2, 3));
    ints(&h, 1, 2, D(3, 0));
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(1, 2, 3, 1));
    oph_check_gradients_of(&h, 1);
    ints(&h, 1, 2, D(0, 0));
    oph_expect_error(&h, CVS_E_SHAPE, "axis 0 is named twice");
    ints(&h, 1, 8, D(0, 1, 2, 3, 4, 5, 6, 7));
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "rank 10");
    oph_end(&h);
    oph_begin(&h, "Identity");
    oph_random(&h, 0, CVS_F64, 1, D(3));
    oph_check_gradients(&h);
    oph_end(&h);
}

static void casts_cut_and_round(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Cast");
    oph_int(&h, "to", CVS_I32);
    oph_values(&h, 0, CVS_F32, 1, D(4), V(1.9, -1.9, 0.4, 300));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, -1, 0, 300), 0, 0);
    h.attr[0].i = CVS_BOOL;
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 1, 1, 1), 0, 0);
    h.attr[0].i = CVS_F16;
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1.9, -1.9, 0.4, 300), 1e-3, 0);
    h.attr[0].i = 99;
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "element type 99");
    h.attr[0].i = CVS_F64;
    oph_random(&h, 0, CVS_F64, 2, D(3, 2));
    oph_check_gradients(&h);
    oph_end(&h);
    oph_begin(&h, "CastLike");
    oph_values(&h, 0, CVS_I64, 1, D(2), V(3, -4));
    oph_values(&h, 1, CVS_U8, 1, D(1), V(0));
    oph_run(&h);
    assert_int_equal(h.output[0].dtype, CVS_U8);
    oph_expect_near(&h.output[0], V(3, 252), 0, 0);
    oph_end(&h);
}

static void constants_shapes_ranges(void **state) {
    (void)state;
    oph h;
    float number = 7;
    const cvs_tensor seven = {
        .dtype = CVS_F32, .rank = 1, .dim = {1}, .data = &number, .bytes = sizeof number};
    oph_begin(&h, "Constant");
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "none of the attributes");
    oph_ints(&h, "value_ints", 3, D(4, 5, 6));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(4, 5, 6), 0, 0);
    oph_end(&h);
    oph_begin(&h, "ConstantOfShape");
    oph_attr(&h, "value", CVI_ATTR_TENSOR)->tensor = &seven;
    ints(&h, 0, 2, D(2, 2));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 2));
    oph_expect_near(&h.output[0], V(7, 7, 7, 7), 0, 0);
    ints(&h, 0, 3, D((int64_t)1 << 40, (int64_t)1 << 40, 4));
    oph_expect_error(&h, CVS_E_LIMIT, "too large");
    ints(&h, 0, 1, D(-2));
    oph_expect_error(&h, CVS_E_SHAPE, "-2");
    oph_end(&h);
    oph_begin(&h, "Shape");
    oph_int(&h, "start", -2);
    oph_random(&h, 0, CVS_F32, 3, D(4, 5, 6));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(5, 6), 0, 0);
    oph_end(&h);
    oph_begin(&h, "Size");
    oph_random(&h, 0, CVS_F32, 3, D(4, 5, 6));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(120), 0, 0);
    oph_end(&h);
    oph_begin(&h, "Range");
    oph_values(&h, 0, CVS_I64, 0, NULL, V(10));
    oph_values(&h, 1, CVS_I64, 0, NULL, V(3));
    oph_values(&h, 2, CVS_I64, 0, NULL, V(-3));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(10, 7, 4), 0, 0);
    oph_values(&h, 2, CVS_I64, 0, NULL, V(0));
    oph_expect_error(&h, CVS_E_SHAPE, "step of the range is 0");
    oph_end(&h);
    oph_begin(&h, "EyeLike");
    oph_int(&h, "k", 1);
    oph_input(&h, 0, CVS_F32, 2, D(2, 3));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0, 1, 0, 0, 0, 1), 0, 0);
    oph_end(&h);
}

static void transposed_expanded_tiled(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Transpose");
    oph_values(&h, 0, CVS_U8, 2, D(2, 3), V(1, 2, 3, 4, 5, 6));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 4, 2, 5, 3, 6), 0, 0);
    oph_ints(&h, "perm", 3, D(2, 0, 1));
    oph_expect_error(&h, CVS_E_SHAPE, "3 axes are named, but the input has 2");
    oph_random(&h, 0, CVS_F64, 3, D(2, 3, 4));
    oph_run(&h);
    oph_expect_shape(&h, 0, 3, D(4, 2, 3));
    assert_true(cvi_get(&h.output[0], 1 * 6 + 1 * 3 + 2) == cvi_get(&h.input[0], 1 * 12 + 2 * 4 + 1));
    oph_check_gradients(&h);
    oph_random(&h, 0, CVS_F32, 3, D(60, 70, 80));
    oph_check_threads(&h);
    oph_end(&h);
    oph_begin(&h, "Expand");
    oph_random(&h, 0, CVS_F64, 2, D(3, 1));
    ints(&h, 1, 3, D(2, 1, 4));
    oph_run(&h);
    oph_expect_shape(&h, 0, 3, D(2, 3, 4));
    oph_check_gradients_of(&h, 1);
    oph_end(&h);
    oph_begin(&h, "Tile");
    oph_values(&h, 0, CVS_F32, 2, D(2, 2), V(1, 2, 3, 4));
    ints(&h, 1, 2, D(1, 2));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 2, 1, 2, 3, 4, 3, 4), 0, 0);
    oph_random(&h, 0, CVS_F64, 2, D(2, 3));
    ints(&h, 1, 2, D(3, 2));
    oph_check_gradients_of(&h, 1);
    ints(&h, 1, 1, D(3));
    oph_expect_error(&h, CVS_E_SHAPE, "1 repeats for an input of rank 2");
    ints(&h, 1, 2, D(INT64_MAX, 2));
    oph_expect_error(&h, CVS_E_SHAPE, "cannot be repeated");
    oph_end(&h);
}

static void joined_and_split(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Concat");
    oph_int(&h, "axis", 1);
    oph_values(&h, 0, CVS_F32, 2, D(2, 1), V(1, 4));
    oph_values(&h, 1, CVS_F32, 2, D(2, 2), V(2, 3, 5, 6));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 2, 3, 4, 5, 6), 0, 0);
    oph_values(&h, 1, CVS_F32, 2, D(3, 2), V(2, 3, 5, 6, 7, 8));
    oph_expect_error(&h, CVS_E_SHAPE, "2x1 and 3x2 cannot be joined along axis 1");
    oph_random(&h, 0, CVS_F64, 3, D(2, 3, 2));
    oph_random(&h, 1, CVS_F64, 3, D(2, 1, 2));
    oph_check_gradients(&h);
    oph_random(&h, 0, CVS_F32, 4, D(2, 3, 4, 5)); /* channels that do not fill their eight */
    oph_random(&h, 1, CVS_F32, 4, D(2, 9, 4, 5));
    oph_random(&h, 2, CVS_F32, 4, D(2, 8, 4, 5));
    oph_check_fast(&h, 0);
    oph_end(&h);
    oph_begin(&h, "Split");
    h.node.n_out = 2;
    oph_values(&h, 0, CVS_F32, 1, D(5), V(1, 2, 3, 4, 5));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 2, 3), 0, 0);
    oph_expect_near(&h.output[1], V(4, 5), 0, 0);
    oph_random(&h, 0, CVS_F64, 1, D(5));
    oph_check_gradients(&h);
    oph_int(&h, "axis", 1);
    oph_random(&h, 0, CVS_F64, 3, D(2, 6, 3));
    ints(&h, 1, 2, D(2, 4));
    oph_check_gradients_of(&h, 1);
    ints(&h, 1, 2, D(2, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "add up to 5, but axis 1 is 6");
    ints(&h, 1, 3, D(2, 3, 1));
    oph_expect_error(&h, CVS_E_SHAPE, "3 parts, but there are 2 outputs");
    oph_end(&h);
}

static void slices(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Slice");
    oph_values(&h, 0, CVS_I32, 2, D(3, 4), V(0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23));
    ints(&h, 1, 2, D(-1, 3));
    ints(&h, 2, 2, D(-100, 0));
    ints(&h, 3, 2, D(0, 1));
    ints(&h, 4, 2, D(-2, -2));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 2));
    oph_expect_near(&h.output[0], V(23, 21, 3, 1), 0, 0);
    ints(&h, 4, 2, D(INT64_MIN, INT64_MAX));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(1, 0));
    ints(&h, 4, 2, D(1, 0));
    oph_expect_error(&h, CVS_E_SHAPE, "step along axis 1 is 0");
    ints(&h, 4, 1, D(1));
    oph_expect_error(&h, CVS_E_SHAPE, "2 starts, 2 ends, 2 axes and 1 steps");
    oph_random(&h, 0, CVS_F64, 3, D(4, 5, 3));
    ints(&h, 1, 2, D(4, 1));
    ints(&h, 2, 2, D(0, INT64_MAX));
    ints(&h, 3, 2, D(1, 2));
    ints(&h, 4, 2, D(-2, 1));
    oph_check_gradients_of(&h, 1);
    oph_end(&h);
}

static void borders(void **state) {
    (void)state;
    static const struct {
        const char *mode;
        double want[8];
    } cases[] = {{"constant", {9, 9, 9, 1, 2, 3, 9, 9}},
                 {"edge", {1, 1, 1, 1, 2, 3, 3, 3}},
                 {"reflect", {2, 3, 2, 1, 2, 3, 2, 1}},
                 {"wrap", {1, 2, 3, 1, 2, 3, 1, 2}}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        oph h;
        oph_begin(&h, "Pad");
        oph_string(&h, "mode", cases[i].mode);
        oph_values(&h, 0, CVS_F32, 1, D(3), V(1, 2, 3));
        ints(&h, 1, 2, D(3, 2));
        oph_values(&h, 2, CVS_F32, 0, NULL, V(9));
        oph_run(&h);
        oph_expect_near(&h.output[0], cases[i].want, 0, 0);
        oph_random(&h, 0, CVS_F64, 3, D(2, 4, 3));
        ints(&h, 1, 4, D(1, -1, 2, 3));
        oph_values(&h, 2, CVS_F64, 0, NULL, V(0.3));
        ints(&h, 3, 2, D(-1, 1));
        oph_run(&h);
        oph_expect_shape(&h, 0, 3, D(2, 6, 6));
        oph_check_gradients_of(&h, i == 0 ? 5 : 1);
        ints(&h, 1, 3, D(1, 1, 1));
        oph_expect_error(&h, CVS_E_SHAPE, "3 pads, but 2 axes need 4");
        ints(&h, 1, 4, D(-3, -2, 0, -3));
        oph_expect_error(&h, CVS_E_SHAPE, "do not fit a side of 4");
        ints(&h, 1, 4, D(INT64_MAX, 0, INT64_MAX, 0));
        oph_expect_error(&h, CVS_E_SHAPE, "do not fit a side of 3");
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "Pad");
    oph_string(&h, "mode", "mirror");
    oph_values(&h, 0, CVS_F32, 1, D(1), V(1));
    ints(&h, 1, 2, D(1, 1));
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "mode is mirror");
    oph_end(&h);
}

static void gathered(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Gather");
    oph_int(&h, "axis", 1);
    oph_random(&h, 0, CVS_F64, 3, D(2, 3, 2));
    oph_values(&h, 1, CVS_I64, 2, D(2, 2), V(0, -1, 1, 0));
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(2, 2, 2, 2));
    assert_true(cvi_get(&h.output[0], 2) == cvi_get(&h.input[0], 4));
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 1, CVS_I64, 0, NULL, V(3));
    assert_int_equal(oph_try(&h, false), CVS_E_SHAPE);
    assert_non_null(strstr(h.err.message, "index 3 is outside of a side of 3"));
    oph_values(&h, 1, CVS_F32, 0, NULL, V(1));
    oph_expect_error(&h, CVS_E_FORMAT, "must be int32 or int64");
    oph_end(&h);
    oph_begin(&h, "GatherElements");
    oph_int(&h, "axis", 1);
    oph_values(&h, 0, CVS_F64, 2, D(2, 2), V(1, 2, 3, 4));
    oph_values(&h, 1, CVS_I32, 2, D(2, 2), V(0, 0, -1, 0));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 1, 4, 3), 0, 0);
    oph_check_gradients_of(&h, 1);
    oph_end(&h);
    oph_begin(&h, "GatherND");
    oph_random(&h, 0, CVS_F64, 3, D(2, 3, 2));
    oph_values(&h, 1, CVS_I64, 2, D(2, 2), V(0, 1, 1, -1));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 2));
    oph_check_gradients_of(&h, 1);
    oph_int(&h, "batch_dims", 1);
    oph_values(&h, 1, CVS_I64, 2, D(2, 1), V(2, 0));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 2));
    assert_true(cvi_get(&h.output[0], 0) == cvi_get(&h.input[0], 4));
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 1, CVS_I64, 2, D(2, 3), V(0, 0, 0, 0, 0, 0));
    oph_expect_error(&h, CVS_E_SHAPE, "3 numbers");
    oph_end(&h);
}

static void scattered(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "ScatterElements");
    oph_int(&h, "axis", 1);
    oph_values(&h, 0, CVS_F64, 2, D(1, 5), V(1, 2, 3, 4, 5));
    oph_values(&h, 1, CVS_I64, 2, D(1, 3), V(1, 3, 1));
    oph_values(&h, 2, CVS_F64, 2, D(1, 3), V(1.1, 2.1, 7));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 7, 3, 2.1, 5), 0, 0);
    oph_check_gradients_of(&h, 5);
    oph_string(&h, "reduction", "add");
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 10.1, 3, 6.1, 5), 1e-12, 0);
    oph_check_gradients_of(&h, 5);
    h.attr[1].s = "max";
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 7, 3, 4, 5), 0, 0);
    h.attr[1].s = "min";
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 1.1, 3, 2.1, 5), 0, 0);
    h.attr[1].s = "mul";
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 15.4, 3, 8.4, 5), 1e-12, 0);
    h.attr[1].s = "mean";
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "reduction is mean");
    oph_end(&h);
    oph_begin(&h, "ScatterND");
    oph_random(&h, 0, CVS_F64, 2, D(4, 2));
    oph_values(&h, 1, CVS_I64, 2, D(2, 1), V(2, 0));
    oph_values(&h, 2, CVS_F64, 2, D(2, 2), V(1, 2, 3, 4));
    oph_run(&h);
    assert_true(cvi_get(&h.output[0], 4) == 1 && cvi_get(&h.output[0], 0) == 3);
    oph_check_gradients_of(&h, 5);
    oph_values(&h, 2, CVS_F64, 2, D(2, 3), V(1, 2, 3, 4, 5, 6));
    oph_expect_error(&h, CVS_E_SHAPE, "shape 2x1, but the updates 2x3");
    oph_end(&h);
}

static void selected(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "OneHot");
    oph_values(&h, 0, CVS_I64, 1, D(3), V(1, -1, 5));
    oph_values(&h, 1, CVS_I64, 0, NULL, V(3));
    oph_values(&h, 2, CVS_F32, 1, D(2), V(2, 5));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(2, 5, 2, 2, 2, 5, 2, 2, 2), 0, 0);
    oph_end(&h);
    oph_begin(&h, "NonZero");
    oph_values(&h, 0, CVS_F32, 2, D(2, 2), V(1, 0, 3, 4));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 3));
    oph_expect_near(&h.output[0], V(0, 1, 1, 0, 0, 1), 0, 0);
    oph_end(&h);
    oph_begin(&h, "Compress");
    oph_int(&h, "axis", 0);
    oph_values(&h, 0, CVS_F64, 2, D(3, 2), V(1, 2, 3, 4, 5, 6));
    oph_values(&h, 1, CVS_BOOL, 1, D(2), V(0, 1));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(3, 4), 0, 0);
    oph_check_gradients_of(&h, 1);
    oph_end(&h);
    oph_begin(&h, "Trilu");
    oph_values(&h, 0, CVS_F64, 2, D(2, 3), V(1, 2, 3, 4, 5, 6));
    oph_values(&h, 1, CVS_I64, 0, NULL, V(1));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0, 2, 3, 0, 0, 6), 0, 0);
    oph_check_gradients_of(&h, 1);
    oph_int(&h, "upper", 0);
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 2, 0, 4, 5, 6), 0, 0);
    oph_end(&h);
}

static void pixel_shuffles(void **state) {
    (void)state;
    oph h;
    for (int crd = 0; crd < 2; crd++) {
        oph_begin(&h, "DepthToSpace");
        oph_int(&h, "blocksize", 2);
        oph_string(&h, "mode", crd ? "CRD" : "DCR");
        oph_values(&h, 0, CVS_F32, 4, D(1, 8, 1, 1), V(0, 1, 2, 3, 4, 5, 6, 7));
        oph_run(&h);
        oph_expect_shape(&h, 0, 4, D(1, 2, 2, 2));
        oph_expect_near(&h.output[0], crd ? V(0, 1, 2, 3, 4, 5, 6, 7) : V(0, 2, 4, 6, 1, 3, 5, 7), 0, 0);
        oph_random(&h, 0, CVS_F64, 4, D(2, 8, 2, 3));
        oph_check_gradients(&h);
        oph_end(&h);
    }
    oph_begin(&h, "SpaceToDepth");
    oph_int(&h, "blocksize", 2);
    oph_values(&h, 0, CVS_F32, 4, D(1, 1, 2, 4), V(0, 1, 2, 3, 4, 5, 6, 7));
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(1, 4, 1, 2));
    oph_expect_near(&h.output[0], V(0, 2, 1, 3, 4, 6, 5, 7), 0, 0);
    oph_random(&h, 0, CVS_F64, 4, D(2, 3, 4, 6));
    oph_check_gradients(&h);
    oph_random(&h, 0, CVS_F32, 4, D(1, 1, 3, 4));
    oph_expect_error(&h, CVS_E_SHAPE, "3 x 4 pixels cannot be cut into blocks of 2 x 2");
    h.attr[0].i = 0;
    oph_expect_error(&h, CVS_E_SHAPE, "block size is 0");
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reshape_understands_zero_and_minus_one),
        cmocka_unit_test(flat_and_squeezed_shapes),
        cmocka_unit_test(casts_cut_and_round),
        cmocka_unit_test(constants_shapes_ranges),
        cmocka_unit_test(transposed_expanded_tiled),
        cmocka_unit_test(joined_and_split),
        cmocka_unit_test(slices),
        cmocka_unit_test(borders),
        cmocka_unit_test(gathered),
        cmocka_unit_test(scattered),
        cmocka_unit_test(selected),
        cmocka_unit_test(pixel_shuffles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
