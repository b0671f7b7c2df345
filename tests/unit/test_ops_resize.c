/* SPDX-License-Identifier: MIT
 * test_ops_resize.c - Resize: known small results of every mode, sizes against scales, policies, channels-last form, gradients,
 * sentences for wrong input. The numbers are those of the ONNX operator specification's examples, or by hand where said.
 */
#include "op_harness.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})
#define V(...) ((const double[]){__VA_ARGS__})

static const double sixteen[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void picture(oph *h, int64_t side) {
    oph_begin(h, "Resize");
    oph_values(h, 0, CVS_F32, 4, D(1, 1, side, side), sixteen);
}

static void scales(oph *h, double s) {
    oph_values(h, 2, CVS_F32, 1, D(4), V(1, 1, s, s));
}

static void nearest_repeats_pixels(void **state) {
    (void)state;
    oph h;
    picture(&h, 2);
    oph_values(&h, 2, CVS_F32, 1, D(4), V(1, 1, 2, 3));
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(1, 1, 4, 6));
    oph_expect_near(&h.output[0], V(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4),
                    0, 0);
    oph_random(&h, 0, CVS_F64, 4, D(1, 2, 3, 2));
    oph_check_gradients_of(&h, 1);
    oph_end(&h);
}

static void linear_and_cubic_doublings(void **state) {
    (void)state;
    oph h;
    picture(&h, 2);
    oph_string(&h, "mode", "linear");
    scales(&h, 2);
    oph_run(&h);
    oph_expect_near(&h.output[0],
                    V(1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4), 1e-6,
                    0);
    oph_string(&h, "coordinate_transformation_mode", "align_corners");
    oph_run(&h); /* the corners stay corners: thirds between them */
    double want[16];
    for (int i = 0; i < 16; i++) {
        want[i] = 1 + i % 4 / 3.0 + 2 * (i / 4) / 3.0;
    }
    oph_expect_near(&h.output[0], want, 1e-6, 0);
    oph_end(&h);
    picture(&h, 4);
    oph_string(&h, "mode", "cubic");
    scales(&h, 2);
    oph_run(&h);
    cvs_tensor first = h.output[0]; /* its first row, from the specification */
    first.rank = 1;
    first.dim[0] = 8;
    oph_expect_near(&first,
                    V(0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375),
                    1e-6, 0);
    oph_end(&h);
}

/* Results of the specification's examples on the picture 1 ... 16. */
static void shrinking_and_cropping(void **state) {
    (void)state;
    oph h;
    picture(&h, 4);
    oph_string(&h, "mode", "linear");
    oph_int(&h, "antialias", 1);
    scales(&h, 0.6);
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(1, 1, 2, 2));
    oph_expect_near(&h.output[0], V(2.875, 4.5, 9.375, 11), 1e-6, 0);
    oph_end(&h);
    picture(&h, 4);
    oph_string(&h, "mode", "cubic");
    oph_int(&h, "antialias", 1);
    oph_values(&h, 3, CVS_I64, 1, D(4), V(1, 1, 3, 3));
    oph_run(&h);
    oph_expect_near(
        &h.output[0],
        V(1.7750092, 3.1200073, 4.4650054, 7.1550016, 8.5, 9.8449984, 12.534994, 13.879992, 15.224991), 1e-5,
        0);
    oph_end(&h);
    picture(&h, 4);
    oph_string(&h, "mode", "linear");
    oph_string(&h, "coordinate_transformation_mode", "tf_crop_and_resize");
    oph_float(&h, "extrapolation_value", 10);
    oph_values(&h, 1, CVS_F32, 1, D(8), V(0, 0, 0.4, 0.6, 1, 1, 1.2, 1.7));
    oph_values(&h, 3, CVS_I64, 1, D(4), V(1, 1, 3, 3));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(7.6, 10, 10, 12.4, 10, 10, 10, 10, 10), 1e-5, 0);
    oph_end(&h);
    oph_begin(&h, "Resize");
    oph_string(&h, "mode", "linear");
    oph_string(&h, "coordinate_transformation_mode", "half_pixel_symmetric");
    oph_values(&h, 0, CVS_F32, 4, D(1, 1, 1, 4), sixteen);
    oph_values(&h, 2, CVS_F32, 1, D(4), V(1, 1, 1, 0.6));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1.6666667, 3.3333333), 1e-6, 0);
    oph_end(&h);
}

static void sizes_axes_and_policies(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        int64_t height, width;
    } cases[] = {{"stretch", 7, 8}, {"not_larger", 7, 7}, {"not_smaller", 8, 8}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        oph h;
        picture(&h, 2);
        oph_string(&h, "keep_aspect_ratio_policy", cases[i].policy);
        oph_ints(&h, "axes", 2, D(3, 2)); /* columns first */
        oph_values(&h, 3, CVS_I64, 1, D(2), V(8, 7));
        oph_run(&h);
        oph_expect_shape(&h, 0, 4, D(1, 1, cases[i].height, cases[i].width));
        oph_end(&h);
    }
}

static void other_types_and_ranks(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Resize");
    oph_values(&h, 0, CVS_U8, 1, D(2), V(10, 21));
    oph_values(&h, 3, CVS_I64, 1, D(1), V(4));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(10, 10, 21, 21), 0, 0);
    oph_string(&h, "mode", "linear"); /* 12.75 and 18.25, cut */
    oph_run(&h);
    oph_expect_near(&h.output[0], V(10, 12, 18, 21), 0, 0);
    oph_random(&h, 0, CVS_F64, 5, D(1, 1, 2, 3, 2));
    oph_values(&h, 3, CVS_I64, 1, D(5), V(1, 1, 4, 2, 5));
    oph_check_gradients_of(&h, 1);
    oph_end(&h);
}

static void forms_threads_and_gradients(void **state) {
    (void)state;
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const places[] = {"half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel",
                                         "half_pixel_symmetric"};
    for (int i = 0; i < 3 * 5 * 2; i++) {
        oph h;
        oph_begin(&h, "Resize");
        oph_string(&h, "mode", modes[i % 3]);
        oph_string(&h, "coordinate_transformation_mode", places[i / 3 % 5]);
        oph_int(&h, "antialias", i / 15);
        oph_int(&h, "exclude_outside", i / 15);
        oph_values(&h, 3, CVS_I64, 1, D(4), V(2, 3, 9, 3));
        oph_random(&h, 0, CVS_F64, 4, D(2, 3, 4, 7));
        oph_check_gradients_of(&h, 1);
        oph_random(&h, 0, CVS_F32, 4, D(2, 3, 4, 7));
        oph_check_fast(&h, 1e-6);
        oph_values(&h, 3, CVS_I64, 1, D(4), V(2, 3, 90, 300));
        oph_check_threads(&h);
        oph_end(&h);
    }
    oph h; /* outside of the crop nothing flows back */
    oph_begin(&h, "Resize");
    oph_string(&h, "mode", "linear");
    oph_string(&h, "coordinate_transformation_mode", "tf_crop_and_resize");
    oph_random(&h, 0, CVS_F64, 2, D(4, 4));
    oph_values(&h, 1, CVS_F32, 1, D(4), V(0.4, 0.6, 1.2, 1.7));
    oph_values(&h, 3, CVS_I64, 1, D(2), V(3, 3));
    oph_check_gradients_of(&h, 1);
    oph_end(&h);
}

static void wrong_settings_get_a_sentence(void **state) {
    (void)state;
    oph h;
    picture(&h, 2);
    oph_expect_error(&h, CVS_E_FORMAT, "exactly one of the inputs scales and sizes");
    oph_values(&h, 2, CVS_F32, 1, D(3), V(1, 2, 2));
    oph_expect_error(&h, CVS_E_SHAPE, "input 2 has 3 numbers, but 4 are needed");
    scales(&h, -1);
    oph_expect_error(&h, CVS_E_FORMAT, "scale of axis 2 is -1");
    scales(&h, NAN);
    oph_expect_error(&h, CVS_E_FORMAT, "scale of axis 2");
    scales(&h, 1e14);
    oph_expect_error(&h, CVS_E_LIMIT, "too large");
    scales(&h, 2);
    oph_string(&h, "mode", "lanczos");
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "mode is lanczos");
    oph_end(&h);
    picture(&h, 2);
    oph_string(&h, "coordinate_transformation_mode", "tf_crop_and_resize");
    scales(&h, 2);
    oph_expect_error(&h, CVS_E_FORMAT, "cropping needs the input roi");
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_repeats_pixels),        cmocka_unit_test(linear_and_cubic_doublings),
        cmocka_unit_test(shrinking_and_cropping),        cmocka_unit_test(sizes_axes_and_policies),
        cmocka_unit_test(other_types_and_ranks),         cmocka_unit_test(forms_threads_and_gradients),
        cmocka_unit_test(wrong_settings_get_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
