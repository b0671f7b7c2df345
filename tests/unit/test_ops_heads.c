/* SPDX-License-Identifier: MIT
 * test_ops_heads.c - losses, quantised operators, grid sampling, unpooling, boxes: small cases by hand, gradients by finite
 * differences, sentences for wrong input. (The backend tests of ONNX judge them at large.)
 */
#include "op_harness.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})
#define V(...) ((const double[]){__VA_ARGS__})

static void cross_entropy(void **state) {
    (void)state;
    static const char *const reductions[] = {"none", "sum", "mean"};
    for (int i = 0; i < 6; i++) {
        oph h;
        oph_begin(&h, i < 3 ? "SoftmaxCrossEntropyLoss" : "NegativeLogLikelihoodLoss");
        h.node.n_out = i < 3 ? 2 : 1;
        oph_string(&h, "reduction", reductions[i % 3]);
        oph_int(&h, "ignore_index", -5);
        oph_random(&h, 0, CVS_F64, 3, D(2, 4, 3));
        oph_values(&h, 1, CVS_I64, 2, D(2, 3), V(0, 3, -5, 1, 1, 2));
        oph_values(&h, 2, CVS_F64, 1, D(4), V(1, 0.5, 2, 0.25));
        oph_check_gradients_of(&h, 1);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "SoftmaxCrossEntropyLoss");
    oph_values(&h, 0, CVS_F32, 2, D(2, 2), V(0, 0, 1000, 0));
    oph_values(&h, 1, CVS_I32, 1, D(2), V(1, 0));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0.34657359), 1e-6, 0); /* (ln 2 + 0) / 2 */
    oph_values(&h, 1, CVS_I32, 1, D(2), V(1, 2));
    assert_int_equal(oph_try(&h, false), CVS_E_ARGUMENT);
    assert_non_null(strstr(h.err.message, "label 2 at place 1 is none of the 2 classes"));
    oph_values(&h, 1, CVS_I32, 1, D(3), V(1, 1, 1));
    oph_expect_error(&h, CVS_E_SHAPE, "scores of shape 2x2 and labels of shape 3");
    oph_end(&h);
}

static void quantised_and_back(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "QuantizeLinear");
    oph_values(&h, 0, CVS_F32, 1, D(6), V(0, 2, 3, 1000, -254, -1000));
    oph_values(&h, 1, CVS_F32, 0, NULL, V(2));
    oph_values(&h, 2, CVS_U8, 0, NULL, V(128));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(128, 129, 130, 255, 1, 0), 0, 0);
    oph_values(&h, 1, CVS_F32, 1, D(2), V(2, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "2 scales, but 1 zero points");
    oph_end(&h);
    oph_begin(&h, "DequantizeLinear");
    oph_int(&h, "axis", 0);
    oph_values(&h, 0, CVS_I8, 2, D(2, 2), V(-3, 4, 5, 6));
    oph_values(&h, 1, CVS_F32, 1, D(2), V(0.5, 2));
    oph_values(&h, 2, CVS_I8, 1, D(2), V(1, 0));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(-2, 1.5, 10, 12), 0, 0);
    h.attr[0].i = 7;
    oph_expect_error(&h, CVS_E_SHAPE, "axis 7 is outside of rank 2");
    oph_end(&h);
    oph_begin(&h, "DynamicQuantizeLinear");
    h.node.n_out = 3;
    oph_values(&h, 0, CVS_F32, 1, D(3), V(-1, 0, 1.55));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0, 100, 255), 0, 0);
    oph_expect_near(&h.output[1], V(0.01), 1e-6, 0);
    oph_expect_near(&h.output[2], V(100), 0, 0);
    oph_end(&h);
}

static void integer_products(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "MatMulInteger");
    oph_values(&h, 0, CVS_U8, 2, D(2, 2), V(11, 7, 3, 10));
    oph_values(&h, 1, CVS_U8, 2, D(2, 1), V(1, 4));
    oph_values(&h, 2, CVS_U8, 0, NULL, V(12));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(-21, -17), 0, 0);
    oph_values(&h, 1, CVS_U8, 2, D(3, 1), V(1, 4, 5));
    oph_expect_error(&h, CVS_E_SHAPE, "do not fit");
    oph_end(&h);
    oph_begin(&h, "ConvInteger");
    oph_values(&h, 0, CVS_U8, 4, D(1, 1, 3, 3), V(2, 3, 4, 5, 6, 7, 8, 9, 10));
    oph_values(&h, 1, CVS_U8, 4, D(1, 1, 2, 2), V(1, 1, 1, 1));
    oph_values(&h, 2, CVS_U8, 0, NULL, V(1));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(12, 16, 24, 28), 0, 0);
    oph_end(&h);
    oph_begin(&h, "QLinearMatMul");
    oph_values(&h, 0, CVS_U8, 2, D(1, 2), V(3, 5));
    oph_values(&h, 1, CVS_F32, 0, NULL, V(0.5));
    oph_values(&h, 2, CVS_U8, 0, NULL, V(1));
    oph_values(&h, 3, CVS_U8, 2, D(2, 2), V(2, 4, 6, 200));
    oph_values(&h, 4, CVS_F32, 1, D(2), V(0.25, 1)); /* per column */
    oph_values(&h, 5, CVS_U8, 0, NULL, V(0));
    oph_values(&h, 6, CVS_F32, 0, NULL, V(0.5));
    oph_values(&h, 7, CVS_U8, 0, NULL, V(10));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(17, 255), 0, 0); /* 28/4 + 10; 808 + 10 */
    oph_values(&h, 7, CVS_F32, 0, NULL, V(10));
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "zero point");
    oph_end(&h);
    oph_begin(&h, "QLinearConv");
    oph_values(&h, 0, CVS_U8, 4, D(1, 1, 1, 2), V(4, 6));
    oph_values(&h, 1, CVS_F32, 0, NULL, V(1));
    oph_values(&h, 2, CVS_U8, 0, NULL, V(2));
    oph_values(&h, 3, CVS_I8, 4, D(2, 1, 1, 1), V(3, -1));
    oph_values(&h, 4, CVS_F32, 1, D(2), V(0.5, 1)); /* per filter */
    oph_values(&h, 5, CVS_I8, 0, NULL, V(0));
    oph_values(&h, 6, CVS_F32, 0, NULL, V(1));
    oph_values(&h, 7, CVS_U8, 0, NULL, V(10));
    oph_values(&h, 8, CVS_I32, 1, D(2), V(4, 0));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(15, 18, 8, 6), 0, 0);
    oph_end(&h);
}

static void sampled_by_a_grid(void **state) {
    (void)state;
    static const char *const modes[] = {"linear", "cubic", "nearest"}, *const pads[] = {"zeros", "border",
                                                                                        "reflection"};
    for (int i = 0; i < 18; i++) {
        oph h;
        oph_begin(&h, "GridSample");
        oph_string(&h, "mode", modes[i % 3]);
        oph_string(&h, "padding_mode", pads[i / 3 % 3]);
        oph_int(&h, "align_corners", i / 9);
        oph_random(&h, 0, CVS_F64, 4, D(2, 2, 4, 3));
        oph_random(&h, 1, CVS_F64, 4, D(2, 2, 3, 2));
        oph_range(&h, 1, -1.6, 1.6);
        oph_check_gradients(&h);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "GridSample"); /* centre of four pixels; a pixel; outside */
    oph_values(&h, 0, CVS_F32, 4, D(1, 1, 2, 2), V(1, 2, 3, 4));
    oph_values(&h, 1, CVS_F32, 4, D(1, 1, 3, 2), V(0, 0, 0.5, -0.5, 5, 5));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(2.5, 2, 0), 1e-6, 0);
    oph_values(&h, 1, CVS_F32, 4, D(1, 1, 2, 3), V(0, 0, 0, 0, 0, 0));
    oph_expect_error(&h, CVS_E_SHAPE, "a grid of shape 1x1x2x3");
    oph_end(&h);
}

static void unpooled(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "MaxUnpool");
    oph_ints(&h, "kernel_shape", 2, D(2, 2));
    oph_ints(&h, "strides", 2, D(2, 2));
    oph_values(&h, 0, CVS_F64, 4, D(1, 1, 1, 2), V(5, 6));
    oph_values(&h, 1, CVS_I64, 4, D(1, 1, 1, 2), V(1, 6));
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(1, 1, 2, 4));
    oph_expect_near(&h.output[0], V(0, 5, 0, 0, 0, 0, 6, 0), 0, 0);
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 1, CVS_I64, 4, D(1, 1, 1, 2), V(1, 8));
    assert_int_equal(oph_try(&h, false), CVS_E_SHAPE);
    assert_non_null(strstr(h.err.message, "index 8"));
    oph_values(&h, 2, CVS_I64, 1, D(4), V(1, 1, 2, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "output_shape is 1x1x2x3, but the windows need at least 1x1x2x4");
    oph_end(&h);
}

static void regions(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        oph h;
        oph_begin(&h, "RoiAlign");
        oph_string(&h, "mode", i % 2 ? "max" : "avg");
        oph_string(&h, "coordinate_transformation_mode", i / 2 ? "output_half_pixel" : "half_pixel");
        oph_int(&h, "output_height", 2);
        oph_int(&h, "output_width", 3);
        oph_random(&h, 0, CVS_F64, 4, D(2, 2, 6, 5));
        oph_values(&h, 1, CVS_F64, 2, D(2, 4), V(0.3, 0.2, 3.9, 4.7, -1, 1, 9, 3));
        oph_values(&h, 2, CVS_I64, 1, D(2), V(1, 0));
        oph_check_gradients_of(&h, 1);
        oph_values(&h, 2, CVS_I64, 1, D(2), V(1, 2));
        assert_int_equal(oph_try(&h, false), CVS_E_SHAPE);
        assert_non_null(strstr(h.err.message, "index 2 is outside"));
        oph_values(&h, 1, CVS_F64, 2, D(2, 4), V(0, 0, 1e9, 1e9, 0, 0, 1, 1));
        assert_int_equal(oph_try(&h, false), CVS_E_LIMIT);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "RoiAlign"); /* one cell over one pixel */
    oph_int(&h, "sampling_ratio", 1);
    oph_values(&h, 0, CVS_F32, 4, D(1, 1, 2, 2), V(1, 2, 3, 4));
    oph_values(&h, 1, CVS_F32, 2, D(1, 4), V(0, 0, 2, 2));
    oph_values(&h, 2, CVS_I64, 1, D(1), V(0));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(2.5), 1e-6, 0);
    oph_end(&h);
}

static void suppressed(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "NonMaxSuppression");
    oph_values(&h, 0, CVS_F32, 3, D(1, 4, 4), V(0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 10, 1, 11, 3, 3, 2, 2));
    oph_values(&h, 1, CVS_F32, 3, D(1, 1, 4), V(0.9, 0.95, 0.5, 0.2));
    oph_values(&h, 2, CVS_I64, 1, D(1), V(3));
    oph_values(&h, 3, CVS_F32, 1, D(1), V(0.5));
    oph_values(&h, 4, CVS_F32, 1, D(1), V(0.3));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(2, 3));
    oph_expect_near(&h.output[0], V(0, 0, 1, 0, 0, 2), 0, 0);
    oph_values(&h, 1, CVS_F32, 3, D(1, 1, 3), V(0.9, 0.95, 0.5));
    oph_expect_error(&h, CVS_E_SHAPE, "boxes of shape 1x4x4 and scores of shape 1x1x3");
    oph_end(&h);
}

/* Two places in a row, two sizes: corners by hand; the picture's sides from the picture or told. */
static void prior_boxes(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "convscope::PriorBox");
    oph_floats(&h, "min_size", 1, V(4));
    oph_floats(&h, "max_size", 1, V(9));
    oph_floats(&h, "aspect_ratio", 1, V(4));
    oph_floats(&h, "variance", 4, V(0.1, 0.1, 0.2, 0.2));
    oph_values(&h, 0, CVS_F32, 4, D(1, 1, 1, 2), V(0, 0));
    oph_random(&h, 1, CVS_F32, 4, D(1, 3, 10, 20));
    oph_run(&h); /* places at (5,5) and (5,15) */
    oph_expect_shape(&h, 0, 3, D(1, 2, 24));
    oph_expect_near(&h.output[0],
                    V(0.15, 0.3, 0.35, 0.7, 0.1, 0.2, 0.4, 0.8, 0.05, 0.4, 0.45, 0.6, 0.65, 0.3, 0.85, 0.7,
                      0.6, 0.2, 0.9, 0.8, 0.55, 0.4, 0.95, 0.6, 0.1, 0.1, 0.2, 0.2, 0.1, 0.1, 0.2, 0.2, 0.1,
                      0.1, 0.2, 0.2, 0.1, 0.1, 0.2, 0.2, 0.1, 0.1, 0.2, 0.2, 0.1, 0.1, 0.2, 0.2),
                    1e-6, 0);
    oph_floats(&h, "min_size", 1, V(0));
    oph_expect_error(&h, CVS_E_FORMAT, "min_size is 0, but must be more than 0");
    oph_floats(&h, "min_size", 2, V(4, 5));
    oph_expect_error(&h, CVS_E_FORMAT, "2 smallest sizes, 1 largest ones and 4 variances do not make boxes");
    oph_end(&h);
    oph_begin(&h, "convscope::PriorBox");
    oph_floats(&h, "min_size", 1, V(8));
    oph_values(&h, 0, CVS_F32, 4, D(1, 1, 1, 1), V(0));
    oph_expect_error(&h, CVS_E_SHAPE, "there is no picture of rank 4");
    oph_ints(&h, "image", 2, D(8, 16));
    oph_floats(&h, "step", 2, V(8, 4));
    oph_float(&h, "offset", 0.25);
    oph_int(&h, "clip", 1);
    oph_run(&h); /* place (2,1) */
    oph_expect_near(&h.output[0], V(0, 0, 0.3125, 0.75, 0.1, 0.1, 0.1, 0.1), 1e-6, 0);
    oph_end(&h);
}

/* Two boxes that overlap, one apart; three ways to code them; what is dropped by score, overlap and count. */
static void detections(void **state) {
    (void)state;
    oph h;
    double prior[24] = {0, 0, 0.5, 0.5, 0.05, 0, 0.55, 0.5, 0.5, 0.5, 1, 1};
    for (int i = 12; i < 24; i++) {
        prior[i] = 0.5;
    }
    oph_begin(&h, "convscope::DetectionOutput");
    oph_values(&h, 0, CVS_F32, 2, D(1, 12), V(0, 0, 0, 0, 0, 0, 0, 0, 0.4, 0, 0, 2 * log(0.5)));
    oph_values(&h, 1, CVS_F32, 2, D(1, 9), V(0.1, 0.6, 0.3, 0.1, 0.7, 0.2, 0.2, 0.1, NAN));
    oph_values(&h, 2, CVS_F32, 3, D(1, 2, 12), prior);
    oph_float(&h, "confidence_threshold", 0.09);
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(1, 1, 3, 7));
    oph_expect_near(
        &h.output[0],
        V(0, 1, 0.7, 0.05, 0, 0.55, 0.5, 0, 1, 0.1, 0.6, 0.625, 1.1, 0.875, 0, 2, 0.3, 0, 0, 0.5, 0.5), 1e-6,
        1e-7);
    oph_int(&h, "keep_top_k", 2);
    oph_int(&h, "group_by_classes", 0);
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0, 1, 0.7, 0.05, 0, 0.55, 0.5, 0, 2, 0.3, 0, 0, 0.5, 0.5), 1e-6, 1e-7);
    oph_float(&h, "nms_threshold", 0.9);
    oph_int(&h, "top_k", 2);
    oph_run(&h); /* classes 1 and 2 have two boxes each now, two of four stay */
    oph_expect_near(&h.output[0], V(0, 1, 0.7, 0.05, 0, 0.55, 0.5, 0, 1, 0.6, 0, 0, 0.5, 0.5), 1e-6, 1e-7);
    oph_float(&h, "confidence_threshold", 0.65);
    oph_string(&h, "code_type", "corner");
    oph_values(&h, 0, CVS_F32, 2, D(1, 12), V(0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0, 0, 0, 0));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0, 1, 0.7, 0.1, 0.1, 0.7, 0.7), 1e-6, 1e-7);
    oph_string(&h, "code_type", "corner_size");
    oph_int(&h, "variance_encoded_in_target", 1);
    oph_int(&h, "clip", 1);
    oph_values(&h, 0, CVS_F32, 2, D(1, 12), V(0, 0, 0, 0, 0.1, -0.2, 0.3, 0.4, 0, 0, 0, 0));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0, 1, 0.7, 0.1, 0, 0.7, 0.7), 1e-6, 1e-7);
    oph_float(&h, "confidence_threshold", 2); /* nothing at all */
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0, -1, -1, -1, -1, -1, -1), 0, 0);
    oph_string(&h, "code_type", "else");
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "code_type is else, which is not supported");
    oph_values(&h, 1, CVS_F32, 2, D(1, 8), V(0, 0, 0, 0, 0, 0, 0, 0));
    oph_expect_error(&h, CVS_E_SHAPE, "scores of shape 1x8 and boxes of shape 1x2x12 do not fit");
    oph_end(&h);
}

static void warped(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "AffineGrid");
    oph_values(&h, 0, CVS_F64, 3, D(1, 2, 3), V(1, 0, 0.5, 0, 2, 0));
    oph_values(&h, 1, CVS_I64, 1, D(4), V(1, 1, 1, 2));
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(1, 1, 2, 2));
    oph_expect_near(&h.output[0], V(0, 0, 1, 0), 1e-12, 0);
    oph_int(&h, "align_corners", 1);
    oph_run(&h);
    oph_expect_near(&h.output[0], V(-0.5, 0, 1.5, 0), 1e-12, 0);
    oph_random(&h, 0, CVS_F64, 3, D(2, 3, 4));
    oph_values(&h, 1, CVS_I64, 1, D(5), V(2, 1, 2, 3, 2));
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 1, CVS_I64, 1, D(4), V(2, 1, 2, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "matrices of shape 2x3x4 do not fit a picture of shape 2x1x2x3");
    oph_end(&h);
    oph_begin(&h, "CenterCropPad");
    oph_values(&h, 0, CVS_F64, 2, D(2, 3), V(1, 2, 3, 4, 5, 6));
    oph_values(&h, 1, CVS_I64, 1, D(2), V(1, 6));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0, 1, 2, 3, 0, 0), 0, 0);
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 1, CVS_I64, 1, D(1), V(1));
    oph_expect_error(&h, CVS_E_SHAPE, "1 numbers, but 2 are needed");
    oph_end(&h);
}

static void deformed(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "DeformConv");
    oph_int(&h, "group", 2);
    oph_int(&h, "offset_group", 2);
    oph_ints(&h, "pads", 4, D(1, 0, 1, 1));
    oph_ints(&h, "strides", 2, D(2, 1));
    oph_random(&h, 0, CVS_F64, 4, D(2, 4, 5, 4));
    oph_random(&h, 1, CVS_F64, 4, D(2, 2, 2, 3));
    oph_random(&h, 2, CVS_F64, 4, D(2, 24, 3, 3));
    oph_random(&h, 3, CVS_F64, 1, D(2));
    oph_random(&h, 4, CVS_F64, 4, D(2, 12, 3, 3));
    oph_check_gradients(&h);
    oph_random(&h, 2, CVS_F64, 4, D(2, 12, 3, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "input 2 has shape 2x12x3x3, but 2 x 24 x 3 x 3 is needed");
    oph_end(&h);
    /* Without offsets and mask it is the convolution. */
    static const int64_t pads[] = {1, 1, 1, 1}, dilations[] = {2, 1};
    oph c;
    oph_begin(&h, "DeformConv");
    oph_begin(&c, "Conv");
    for (int k = 0; k < 2; k++) {
        oph *o = k ? &c : &h;
        oph_ints(o, "pads", 4, pads);
        oph_ints(o, "dilations", 2, dilations);
        oph_random(o, 0, CVS_F64, 4, D(1, 3, 6, 5));
        oph_random(o, 1, CVS_F64, 4, D(4, 3, 3, 3));
    }
    oph_run(&c);
    oph_input(&h, 2, CVS_F64, 4, D(1, 18, c.output[0].dim[2], c.output[0].dim[3]));
    oph_run(&h);
    oph_expect_near(&h.output[0], c.output[0].data, 1e-12, 1e-12);
    oph_end(&c);
    oph_end(&h);
}

/* One step by hand: x = 1, g = 0.5, state 0.25. */
static void training_steps(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "ai.onnx.preview.training::Momentum");
    h.node.n_out = 2;
    oph_float(&h, "alpha", 0.9);
    oph_float(&h, "beta", 0.5);
    oph_float(&h, "norm_coefficient", 0.1);
    oph_string(&h, "mode", "standard");
    oph_values(&h, 0, CVS_F32, 0, NULL, V(0.1));
    oph_values(&h, 1, CVS_I64, 0, NULL, V(3));
    oph_values(&h, 2, CVS_F32, 1, D(1), V(1));
    oph_values(&h, 3, CVS_F32, 1, D(1), V(0.5));
    oph_values(&h, 4, CVS_F32, 1, D(1), V(0.25));
    oph_run(&h); /* g = 0.6, v = 0.225 + 0.3 */
    oph_expect_near(&h.output[1], V(0.525), 1e-6, 0);
    oph_expect_near(&h.output[0], V(0.9475), 1e-6, 0);
    h.attr[3].s = "nesterov"; /* x -= 0.1 (0.6 + 0.9 v) */
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0.89275), 1e-6, 0);
    oph_values(&h, 3, CVS_F32, 1, D(2), V(0.5, 1));
    oph_expect_error(&h, CVS_E_SHAPE, "input 3 has shape 2, but its parameter 1");
    oph_end(&h);
    oph_begin(&h, "ai.onnx.preview.training::Adagrad");
    h.node.n_out = 2;
    oph_float(&h, "decay_factor", 0.5);
    oph_values(&h, 0, CVS_F64, 0, NULL, V(0.1));
    oph_values(&h, 1, CVS_I64, 0, NULL, V(2));
    oph_values(&h, 2, CVS_F64, 1, D(1), V(1));
    oph_values(&h, 3, CVS_F64, 1, D(1), V(0.5));
    oph_values(&h, 4, CVS_F64, 1, D(1), V(0.25));
    oph_run(&h); /* h = 0.5, x -= 0.05 * 0.5 / sqrt(0.5) */
    oph_expect_near(&h.output[1], V(0.5), 1e-12, 0);
    oph_expect_near(&h.output[0], V(0.964644661), 1e-6, 0);
    oph_end(&h);
    oph_begin(&h, "ai.onnx.preview.training::Adam");
    h.node.n_out = 3;
    oph_values(&h, 0, CVS_F64, 0, NULL, V(0.1));
    oph_values(&h, 1, CVS_I64, 0, NULL, V(1));
    oph_values(&h, 2, CVS_F64, 1, D(1), V(1));
    oph_values(&h, 3, CVS_F64, 1, D(1), V(0.5));
    oph_values(&h, 4, CVS_F64, 1, D(1), V(0));
    oph_values(&h, 5, CVS_F64, 1, D(1), V(0));
    oph_run(&h); /* the first step is the rate itself */
    oph_expect_near(&h.output[0], V(0.9), 1e-4, 0);
    h.node.n_out = 2;
    oph_expect_error(&h, CVS_E_FORMAT, "6 inputs and 2 outputs");
    oph_end(&h);
}

/* Loops read every operand as input 0's type: a file that mixes types must not get that far. */
static void mixed_types_are_refused(void **state) {
    (void)state;
    static const char *const ops[] = {"Conv", "ConvTranspose", "MatMul", "Gemm", "PRelu"};
    for (int i = 0; i < CVI_COUNT(ops); i++) {
        oph h;
        int rank = i < 2 ? 4 : 2;
        oph_begin(&h, ops[i]);
        oph_random(&h, 0, CVS_F64, rank, D(2, 2, 2, 2));
        oph_random(&h, 1, CVS_F32, rank, D(2, 2, 2, 2));
        oph_expect_error(&h, CVS_E_FORMAT, "inputs 0 and 1 are float64 and float32");
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "QuantizeLinear"); /* a block size that no shape has */
    oph_int(&h, "block_size", INT64_MAX);
    oph_random(&h, 0, CVS_F32, 2, D(2, 3));
    oph_random(&h, 1, CVS_F32, 2, D(2, 2));
    oph_expect_error(&h, CVS_E_SHAPE, "scales of shape 2x2 do not fit");
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy),
        cmocka_unit_test(quantised_and_back),
        cmocka_unit_test(integer_products),
        cmocka_unit_test(sampled_by_a_grid),
        cmocka_unit_test(unpooled),
        cmocka_unit_test(regions),
        cmocka_unit_test(suppressed),
        cmocka_unit_test(prior_boxes),
        cmocka_unit_test(detections),
        cmocka_unit_test(warped),
        cmocka_unit_test(deformed),
        cmocka_unit_test(training_steps),
        cmocka_unit_test(mixed_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
