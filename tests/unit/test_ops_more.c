/* SPDX-License-Identifier: MIT
 * test_ops_more.c - bits, running products, Einstein sums, spectra, attention, chance and sequences: small cases by hand, gradients by finite
 * differences, sentences for wrong input. (Cases of ONNX in tests/data/onnx/backend judge the numbers.)
 */
#include "op_harness.h"
#include "tensor/list.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})
#define V(...) ((const double[]){__VA_ARGS__})

static void bits(void **state) {
    (void)state;
    static const struct {
        const char *op;
        double want[2];
    } rows[] = {{"BitwiseAnd", {8, 1}}, {"BitwiseOr", {14, -1}}, {"BitwiseXor", {6, -2}}};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        oph h;
        oph_begin(&h, rows[i].op);
        oph_values(&h, 0, CVS_I8, 1, D(2), V(12, -1));
        oph_values(&h, 1, CVS_I8, 1, D(2), V(10, 1));
        oph_run(&h);
        oph_expect_near(&h.output[0], rows[i].want, 0, 0);
        oph_values(&h, 1, CVS_F32, 1, D(2), V(1, 1));
        oph_expect_error(&h, CVS_E_FORMAT, "one type");
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "BitwiseNot");
    oph_values(&h, 0, CVS_U8, 1, D(2), V(0, 200));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(255, 55), 0, 0);
    oph_end(&h);
    oph_begin(&h, "BitShift");
    oph_string(&h, "direction", "RIGHT");
    oph_values(&h, 0, CVS_I16, 1, D(4), V(-9, 9, -9, 9));
    oph_values(&h, 1, CVS_I16, 1, D(4), V(1, 1, 16, -1));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(-5, 4, -1, 0), 0, 0);
    h.attr[0].s = "LEFT";
    oph_run(&h);
    oph_expect_near(&h.output[0], V(-18, 18, 0, 0), 0, 0);
    h.attr[0].s = "UP";
    oph_expect_error(&h, CVS_E_FORMAT, "known are LEFT, RIGHT");
    oph_end(&h);
    oph_begin(&h, "BitCast");
    oph_int(&h, "to", CVS_I32);
    oph_values(&h, 0, CVS_F32, 1, D(2), V(1, -2));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(0x3f800000, -1073741824.0), 0, 0);
    h.attr[0].i = CVS_I64;
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "cannot be read as int64");
    oph_end(&h);
}

static void running_products(void **state) {
    (void)state;
    for (int way = 0; way < 4; way++) {
        oph h;
        oph_begin(&h, "CumProd");
        oph_int(&h, "reverse", way & 1);
        oph_int(&h, "exclusive", way >> 1);
        oph_random(&h, 0, CVS_F64, 3, D(2, 4, 2));
        oph_values(&h, 1, CVS_I64, 0, NULL, V(1));
        oph_check_gradients_of(&h, 1);
        oph_end(&h);
    }
}

static void einstein_sums(void **state) {
    (void)state;
    static const char *const equations[] = {"bij,bjk->bik", "ij,jk",       "...i,i->...",
                                            "ii,i->",       "ij,j,ik->jk", "ij->ji"};
    static const int64_t a[][3] = {{2, 3, 4}, {3, 4}, {2, 3, 4}, {4, 4}, {3, 4}, {3, 4}},
                         b[][3] = {{2, 4, 2}, {4, 2}, {4}, {4}, {4}};
    static const int ranks[][2] = {{3, 3}, {2, 2}, {3, 1}, {2, 1}, {2, 1}, {2, 0}};
    for (int i = 0; i < CVI_COUNT(equations); i++) {
        oph h;
        oph_begin(&h, "Einsum");
        oph_string(&h, "equation", equations[i]);
        oph_random(&h, 0, CVS_F64, ranks[i][0], a[i]);
        if (ranks[i][1] > 0) {
            oph_random(&h, 1, CVS_F64, ranks[i][1], b[i]);
        }
        if (i == 4) {
            oph_random(&h, 2, CVS_F64, 2, D(3, 2));
        }
        oph_check_gradients_of(&h, (1u << h.node.n_in) - 1);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "Einsum");
    oph_string(&h, "equation", "ij,jk->ik");
    oph_values(&h, 0, CVS_F32, 2, D(1, 2), V(2, 3));
    oph_values(&h, 1, CVS_F32, 2, D(2, 2), V(1, 10, 100, 1000));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(302, 3020), 0, 0);
    static const char *const wrong[] = {"ij,kl->iz",  "ij->ij",     "ij,jk->ikk", "ij,jk,",
                                        "i.j,jk->ik", "ijk,jk->ik", "ij,jk-ik"};
    for (int i = 0; i < CVI_COUNT(wrong); i++) {
        h.attr[0].s = wrong[i];
        oph_expect_error(&h, CVS_E_SHAPE, "does not fit the inputs");
    }
    oph_end(&h);
}

static void matrices_and_columns(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Det");
    oph_values(&h, 0, CVS_F32, 3, D(2, 2, 2), V(0, 2, 3, 4, 1, 2, 2, 4));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(-6, 0), 1e-6, 0);
    oph_values(&h, 0, CVS_F32, 2, D(1, 2), V(1, 2));
    oph_expect_error(&h, CVS_E_SHAPE, "must be square");
    oph_end(&h);
    oph_begin(&h, "ReverseSequence");
    oph_int(&h, "time_axis", 1);
    oph_int(&h, "batch_axis", 0);
    oph_random(&h, 0, CVS_F64, 3, D(2, 3, 2));
    oph_values(&h, 1, CVS_I64, 1, D(2), V(3, 2));
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 1, CVS_I64, 1, D(2), V(3, 4));
    assert_int_equal(oph_try(&h, false), CVS_E_ARGUMENT);
    oph_end(&h);
    oph_begin(&h, "Col2Im");
    oph_ints(&h, "strides", 2, D(2, 1));
    oph_ints(&h, "pads", 4, D(1, 0, 0, 1));
    oph_random(&h, 0, CVS_F64, 3, D(1, 8, 8));
    oph_values(&h, 1, CVS_I64, 1, D(2), V(3, 4));
    oph_values(&h, 2, CVS_I64, 1, D(2), V(2, 2));
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 2, CVS_I64, 1, D(2), V(3, 2));
    oph_expect_error(&h, CVS_E_SHAPE, "do not fit columns");
    oph_end(&h);
    oph_begin(&h, "RMSNormalization");
    oph_int(&h, "axis", 1);
    oph_random(&h, 0, CVS_F64, 3, D(2, 3, 2));
    oph_random(&h, 1, CVS_F64, 2, D(3, 1));
    oph_check_gradients_of(&h, 3);
    oph_random(&h, 1, CVS_F64, 1, D(3));
    oph_expect_error(&h, CVS_E_SHAPE, "cannot be broadcast");
    oph_end(&h);
    oph_begin(&h, "SwiGLU");
    oph_float(&h, "alpha", 1.5);
    oph_random(&h, 0, CVS_F64, 2, D(2, 3));
    oph_random(&h, 1, CVS_F64, 2, D(2, 3));
    oph_check_gradients_of(&h, 3);
    oph_end(&h);
    oph_begin(&h, "Unique");
    h.node.n_out = 4;
    oph_int(&h, "sorted", 0);
    oph_values(&h, 0, CVS_F32, 1, D(5), V(2, 1, 1, 3, 2));
    oph_run(&h);
    oph_expect_near(&h.output[0], V(2, 1, 3), 0, 0);
    oph_expect_near(&h.output[1], V(0, 1, 3), 0, 0);
    oph_expect_near(&h.output[2], V(0, 1, 1, 2, 0), 0, 0);
    oph_expect_near(&h.output[3], V(2, 2, 1), 0, 0);
    oph_end(&h);
}

static void spectra(void **state) {
    (void)state;
    for (int64_t n = 6; n <= 8; n++) { /* by the definition, and by halves */
        oph h;
        double sum = 0;
        oph_begin(&h, "DFT");
        oph_random(&h, 0, CVS_F64, 3, D(1, n, 1));
        oph_run(&h);
        for (int64_t i = 0; i < n; i++) {
            sum += cvi_get(&h.input[0], i);
        }
        assert_true(fabs(cvi_get(&h.output[0], 0) - sum) < 1e-12);
        cvs_tensor wave = h.output[0], was = h.input[0];
        h.output[0] = h.input[0] = (cvs_tensor){0};
        oph_end(&h);
        oph_begin(&h, "DFT");
        oph_int(&h, "inverse", 1);
        oph_values(&h, 0, CVS_F64, 3, wave.dim, wave.data);
        oph_run(&h);
        for (int64_t i = 0; i < n; i++) {
            assert_true(fabs(cvi_get(&h.output[0], 2 * i) - cvi_get(&was, i)) < 1e-12);
        }
        oph_end(&h);
        cvs_tensor_free(&wave);
        cvs_tensor_free(&was);
    }
    oph h;
    oph_begin(&h, "STFT");
    oph_values(&h, 0, CVS_F32, 3, D(1, 6, 1), V(1, 2, 3, 4, 5, 6));
    oph_values(&h, 1, CVS_I64, 0, NULL, V(2));
    oph_values(&h, 2, CVS_F32, 1, D(2), V(1, 0.5));
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(1, 3, 2, 2));
    oph_expect_near(&h.output[0], V(2, 0, 0, 0, 5, 0, 1, 0, 8, 0, 2, 0), 1e-6, 1e-7);
    oph_values(&h, 2, CVS_F32, 1, D(7), V(1, 1, 1, 1, 1, 1, 1));
    oph_expect_error(&h, CVS_E_SHAPE, "do not fit a signal of 6");
    oph_end(&h);
    static const struct {
        const char *op;
        double want[4];
    } windows[] = {{"HannWindow", {0, 0.5, 1, 0.5}},
                   {"HammingWindow", {2.0 / 23, 25.0 / 46, 1, 25.0 / 46}},
                   {"BlackmanWindow", {0, 0.34, 1, 0.34}}};
    for (int i = 0; i < CVI_COUNT(windows); i++) {
        oph_begin(&h, windows[i].op);
        oph_values(&h, 0, CVS_I32, 0, NULL, V(4));
        oph_run(&h);
        oph_expect_near(&h.output[0], windows[i].want, 1e-6, 1e-7);
        oph_end(&h);
    }
    oph_begin(&h, "MelWeightMatrix");
    oph_values(&h, 0, CVS_I32, 0, NULL, V(2));
    oph_values(&h, 1, CVS_I32, 0, NULL, V(16));
    oph_values(&h, 2, CVS_I32, 0, NULL, V(8192));
    oph_values(&h, 3, CVS_F32, 0, NULL, V(0));
    oph_values(&h, 4, CVS_F32, 0, NULL, V(4096));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(9, 2));
    oph_values(&h, 4, CVS_F32, 0, NULL, V(-1));
    oph_expect_error(&h, CVS_E_ARGUMENT, "do not fit a sample rate");
    oph_end(&h);
}

static void attention_and_places(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) { /* plain and capped; heads that share keys, causal; a past and a mask */
        oph h;
        oph_begin(&h, "Attention");
        oph_random(&h, 0, CVS_F64, 4, D(1, 2, 3, 4));
        oph_random(&h, 1, CVS_F64, 4, D(1, i == 1 ? 1 : 2, 3, 4));
        oph_random(&h, 2, CVS_F64, 4, D(1, i == 1 ? 1 : 2, 3, 2));
        oph_float(&h, "softcap", i == 0 ? 2 : 0);
        oph_int(&h, "is_causal", i == 1);
        if (i == 2) {
            oph_values(&h, 3, CVS_BOOL, 2, D(3, 5), V(1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0));
            oph_random(&h, 4, CVS_F64, 4, D(1, 2, 2, 4));
            oph_random(&h, 5, CVS_F64, 4, D(1, 2, 2, 2));
        }
        oph_check_gradients_of(&h, i == 2 ? 0x37 : 7);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "Attention");
    oph_values(&h, 0, CVS_F32, 3, D(1, 1, 2), V(1, 0));
    oph_values(&h, 1, CVS_F32, 3, D(1, 2, 2), V(0, 0, 0, 0));
    oph_values(&h, 2, CVS_F32, 3, D(1, 2, 2), V(1, 2, 3, 4));
    oph_expect_error(&h, CVS_E_SHAPE, "does not fit the queries");
    oph_int(&h, "q_num_heads", 1);
    oph_int(&h, "kv_num_heads", 1);
    oph_run(&h);
    oph_expect_near(&h.output[0], V(2, 3), 1e-6, 0);
    oph_end(&h);
    oph_begin(&h, "RotaryEmbedding");
    oph_random(&h, 0, CVS_F64, 4, D(1, 2, 2, 6));
    oph_random(&h, 1, CVS_F64, 2, D(5, 2));
    oph_random(&h, 2, CVS_F64, 2, D(5, 2));
    oph_values(&h, 3, CVS_I64, 2, D(1, 2), V(4, 1));
    oph_int(&h, "rotary_embedding_dim", 4);
    oph_check_gradients_of(&h, 1);
    oph_values(&h, 3, CVS_I64, 2, D(1, 2), V(4, 5));
    assert_int_equal(oph_try(&h, false), CVS_E_ARGUMENT);
    oph_end(&h);
}

/* Mean and spread of many draws; the same seed gives the same numbers. */
static void by_chance(void **state) {
    (void)state;
    static const struct {
        const char *op;
        double mean, variance;
    } rows[] = {{"RandomNormal", 2, 9},           {"RandomNormalLike", 2, 9},
                {"RandomUniform", 0.5, 1.0 / 12}, {"RandomUniformLike", 0.5, 1.0 / 12},
                {"Bernoulli", 0.25, 0.1875},      {"Multinomial", 0.75, 0.1875}};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        oph h;
        double sum = 0, squares = 0;
        bool normal = i < 2, many = i == 5;
        oph_begin(&h, rows[i].op);
        oph_ints(&h, "shape", 2, D(100, 200));
        oph_float(&h, "seed", 5);
        oph_int(&h, "sample_size", 20000);
        if (normal) {
            oph_float(&h, "mean", 2);
            oph_float(&h, "scale", 3);
        }
        if (many) {
            oph_values(&h, 0, CVS_F32, 2, D(1, 2), V(0, 1.0986122887));
        } else if (i == 1 || i == 3 || i == 4) {
            cvs_tensor *t = oph_input(&h, 0, CVS_F32, 2, D(100, 200));
            for (int64_t k = 0; k < 20000; k++) {
                cvi_put(t, k, 0.25);
            }
        }
        oph_run(&h);
        for (int64_t k = 0; k < 20000; k++) {
            double v = cvi_get(&h.output[0], k);
            sum += v;
            squares += v * v;
        }
        double mean = sum / 20000, variance = squares / 20000 - mean * mean;
        assert_true(fabs(mean - rows[i].mean) < 0.03 * (1 + rows[i].mean));
        assert_true(fabs(variance - rows[i].variance) < 0.05 * rows[i].variance);
        double first = cvi_get(&h.output[0], 77);
        oph_run(&h);
        assert_true(cvi_get(&h.output[0], 77) == first);
        oph_end(&h);
    }
}

/* Output 0 of one operator as input 0 of the next. */
static void pass_on(oph *h, const char *op) {
    cvs_tensor t = h->output[0];
    h->output[0] = (cvs_tensor){0};
    oph_end(h);
    oph_begin(h, op);
    h->input[0] = t;
    h->in[0] = &h->input[0];
    h->node.n_in = 1;
}

static void sequences(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "SequenceConstruct");
    oph_values(&h, 0, CVS_F32, 2, D(1, 2), V(1, 2));
    oph_values(&h, 1, CVS_U8, 0, NULL, V(7));
    oph_run(&h);
    pass_on(&h, "SequenceInsert");
    oph_values(&h, 1, CVS_F32, 2, D(2, 2), V(3, 4, 5, 6));
    oph_values(&h, 2, CVS_I64, 0, NULL, V(-1));
    oph_run(&h);
    pass_on(&h, "SequenceLength");
    oph_run(&h);
    oph_expect_near(&h.output[0], V(3), 0, 0);
    cvs_tensor_free(&h.output[0]);
    h.output[0] = h.input[0];
    h.input[0] = (cvs_tensor){0};
    pass_on(&h, "SequenceErase");
    oph_run(&h); /* the last one */
    pass_on(&h, "ConcatFromSequence");
    oph_int(&h, "axis", 0);
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(3, 2));
    oph_expect_near(&h.output[0], V(1, 2, 3, 4, 5, 6), 0, 0);
    pass_on(&h, "SplitToSequence");
    oph_values(&h, 1, CVS_I64, 0, NULL, V(2));
    oph_run(&h);
    pass_on(&h, "SequenceAt");
    oph_values(&h, 1, CVS_I64, 0, NULL, V(1));
    oph_run(&h);
    oph_expect_shape(&h, 0, 2, D(1, 2));
    oph_expect_near(&h.output[0], V(5, 6), 0, 0);
    oph_values(&h, 1, CVS_I64, 0, NULL, V(2));
    oph_expect_error(&h, CVS_E_ARGUMENT, "place 2 is outside of a sequence of 2");
    ((int64_t *)h.input[0].data)[1] = 3; /* a packing that somebody spoiled */
    oph_expect_error(&h, CVS_E_FORMAT, "not a sequence of tensors");
    oph_end(&h);
    oph_begin(&h, "SplitToSequence");
    oph_random(&h, 0, CVS_U8, 1, D(70000));
    oph_expect_error(&h, CVS_E_LIMIT, "more than 65536 tensors");
    oph_end(&h);
    oph_begin(&h, "SequenceEmpty");
    oph_run(&h);
    pass_on(&h, "ConcatFromSequence");
    oph_int(&h, "axis", 0);
    oph_expect_error(&h, CVS_E_ARGUMENT, "empty sequence");
    oph_end(&h);
}

static void optional_values(void **state) {
    (void)state;
    oph h;
    oph_begin(&h, "Optional");
    oph_values(&h, 0, CVS_F32, 1, D(2), V(1, 2));
    oph_run(&h);
    pass_on(&h, "OptionalHasElement");
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1), 0, 0);
    cvs_tensor_free(&h.output[0]);
    h.output[0] = h.input[0];
    h.input[0] = (cvs_tensor){0};
    pass_on(&h, "OptionalGetElement");
    oph_run(&h);
    oph_expect_near(&h.output[0], V(1, 2), 0, 0);
    oph_end(&h);
    oph_begin(&h, "Optional");
    oph_run(&h);
    pass_on(&h, "OptionalGetElement");
    oph_expect_error(&h, CVS_E_ARGUMENT, "is empty");
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits),
        cmocka_unit_test(running_products),
        cmocka_unit_test(einstein_sums),
        cmocka_unit_test(matrices_and_columns),
        cmocka_unit_test(spectra),
        cmocka_unit_test(attention_and_places),
        cmocka_unit_test(by_chance),
        cmocka_unit_test(sequences),
        cmocka_unit_test(optional_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
