/* SPDX-License-Identifier: MIT
 * test_ops_recurrent.c - RNN, GRU, LSTM: values and gradients of PyTorch (tests/data/torch/recurrent.npz), every gradient by finite
 * differences in all variants, the fast form against the plain one, threads, sentences for wrong input.
 */
#include "op_harness.h"
#include "test_helpers.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})

typedef struct variant {
    const char *op, *direction;
    int directions;
    bool layout, bias, lengths, first, peepholes, special; /* special: the operator's own attribute */
    double clip;
    const char *functions[6];
} variant;

static int gates_of(const char *op) {
    return op[0] == 'L' ? 4 : op[0] == 'G' ? 3 : 1;
}

static void begin(oph *h, const variant *v, cvs_dtype type, int64_t T, int64_t B, int64_t I, int64_t H) {
    int64_t G = gates_of(v->op) * H, N = v->directions;
    oph_begin(h, v->op);
    h->node.n_out = v->op[0] == 'L' ? 3 : 2;
    oph_string(h, "direction", v->direction);
    oph_int(h, "layout", v->layout);
    oph_int(h, "hidden_size", H);
    if (v->special) {
        oph_int(h, v->op[0] == 'L' ? "input_forget" : "linear_before_reset", 1);
    }
    if (v->clip > 0) {
        oph_float(h, "clip", v->clip);
    }
    if (v->functions[0]) {
        cvi_attr *a = oph_attr(h, "activations", CVI_ATTR_STRINGS);
        a->strings = v->functions;
        while (a->n < 6 && v->functions[a->n]) {
            a->n++;
        }
    }
    oph_random(h, 0, type, 3, v->layout ? D(B, T, I) : D(T, B, I));
    oph_random(h, 1, type, 3, D(N, G, I));
    oph_random(h, 2, type, 3, D(N, G, H));
    if (v->bias) {
        oph_random(h, 3, type, 2, D(N, 2 * G));
    }
    if (v->lengths) {
        cvs_tensor *t = oph_input(h, 4, CVS_I32, 1, D(B));
        for (int64_t b = 0; b < B; b++) {
            cvi_put(t, b, (double)(1 + (b * 2 + T / 2) % T));
        }
    }
    for (int k = 5; v->first && k < (v->op[0] == 'L' ? 7 : 6); k++) {
        oph_random(h, k, type, 3, v->layout ? D(B, N, H) : D(N, B, H));
    }
    if (v->peepholes) {
        oph_random(h, 7, type, 2, D(N, 3 * H));
    }
}

static const variant variants[] = {
    {"RNN", "forward", 1, false, false, false, false, false, false, 0, {NULL}},
    {"RNN", "bidirectional", 2, true, true, true, true, false, false, 0.8, {"Softsign", "ScaledTanh", NULL}},
    {"GRU", "forward", 1, false, false, false, false, false, false, 0, {NULL}},
    {"GRU", "reverse", 1, true, true, true, true, false, false, 0.7, {NULL}},
    {"GRU", "bidirectional", 2, false, true, true, true, false, true, 0, {NULL}},
    {"GRU", "forward", 1, true, true, false, false, false, true, 0.5, {"HardSigmoid", "Softplus", NULL}},
    {"LSTM", "forward", 1, false, false, false, false, false, false, 0, {NULL}},
    {"LSTM", "bidirectional", 2, true, true, true, true, true, false, 0, {NULL}},
    {"LSTM", "reverse", 1, false, true, true, true, true, true, 0.9, {NULL}},
    {"LSTM", "forward", 1, true, true, false, true, false, true, 0, {"Elu", "LeakyRelu", "Affine", NULL}},
    {"LSTM",
     "reverse",
     1,
     true,
     true,
     false,
     true,
     true,
     false,
     0,
     {"Sigmoid", "Relu", "ThresholdedRelu", NULL}},
};

static void gradients(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(variants); i++) {
        oph h;
        begin(&h, &variants[i], CVS_F64, 4, 3, 2, 3);
        oph_check_gradients(&h);
        oph_end(&h);
    }
}

/* Groups of one sample, of several, and products shared by all threads. */
static void fast_and_threads(void **state) {
    (void)state;
    static const int64_t sizes[][4] = {{5, 1, 7, 9}, {3, 19, 8, 16}, {2, 1, 16, 300}};
    for (int i = 0; i < CVI_COUNT(variants) * CVI_COUNT(sizes); i++) {
        const int64_t *s = sizes[i / CVI_COUNT(variants)];
        oph h;
        begin(&h, &variants[i % CVI_COUNT(variants)], CVS_F32, s[0], s[1], s[2], s[3]);
        oph_range(&h, 2, -0.1, 0.1);
        oph_check_fast(&h, 2e-5);
        oph_check_threads(&h);
        oph_end(&h);
    }
}

static void no_steps(void **state) {
    (void)state;
    oph h;
    begin(&h, &(variant){"LSTM", "forward", 1, .first = true}, CVS_F32, 0, 2, 3, 2);
    oph_run(&h);
    oph_expect_shape(&h, 0, 4, D(0, 1, 2, 2));
    assert_memory_equal(h.output[1].data, h.input[5].data, h.output[1].bytes);
    assert_memory_equal(h.output[2].data, h.input[6].data, h.output[2].bytes);
    oph_end(&h);
}

/* ---- PyTorch ------------------------------------------------------------------------------------------------------- */

static void read_array(const char *path, const char *of, const char *name, cvs_tensor *out) {
    char key[80];
    snprintf(key, sizeof key, "%s_%s", of, name);
    cvs_error err = {0};
    if (cvs_npz_read(path, key, NULL, out, &err) != CVS_OK) {
        fail_msg("%s: %s", key, err.message);
    }
}

static void expect_like(const cvs_tensor *have, const char *path, const char *of, const char *name) {
    cvs_tensor want;
    read_array(path, of, name, &want);
    assert_int_equal(cvs_tensor_count(have), cvs_tensor_count(&want));
    for (int64_t i = 0; i < cvs_tensor_count(have); i++) {
        double a = cvi_get(have, i), b = cvi_get(&want, i);
        if (fabs(a - b) > 1e-9) {
            fail_msg("%s: %s at %lld is %.12g, PyTorch's is %.12g", of, name, (long long)i, a, b);
        }
    }
    cvs_tensor_free(&want);
}

/* Bidirectional modules in float64, their kernels in ONNX's order; the target weighs each output (gy, gh, gc). */
static void like_torch(void **state) {
    (void)state;
    char path[4096];
    static const char *const names[] = {"RNN", "GRU", "LSTM"};
    static const char *const in[] = {"x", "W", "R", "B", NULL, "h0", "c0"};
    static const char *const gradient[] = {"gx", "gW", "gR", "gB", NULL, "gh0", "gc0"};
    static const char *const out[] = {"y", "h", "c"}, *const weight[] = {"wy", "wh", "wc"};
    test_data(path, sizeof path, "torch", "recurrent.npz");
    for (int n = 0; n < 3; n++) {
        oph h;
        oph_begin(&h, names[n]);
        oph_string(&h, "direction", "bidirectional");
        oph_int(&h, "linear_before_reset", 1);
        h.node.n_attr -= n == 2;
        int n_in = n == 2 ? 7 : 6, n_out = n == 2 ? 3 : 2;
        cvs_tensor grad[OPH_INPUTS], seed[3];
        cvs_tensor *grad_in[OPH_INPUTS] = {NULL};
        const cvs_tensor *grad_out[3];
        memset(grad, 0, sizeof grad);
        h.node.n_in = n_in;
        h.node.n_out = n_out;
        for (int k = 0; k < n_in; k++) {
            if (in[k]) {
                read_array(path, names[n], in[k], &h.input[k]);
                h.in[k] = &h.input[k];
                assert_int_equal(cvs_tensor_new(&grad[k], CVS_F64, h.input[k].rank, h.input[k].dim, NULL),
                                 CVS_OK);
                grad_in[k] = &grad[k];
            }
        }
        oph_run(&h);
        for (int k = 0; k < n_out; k++) {
            expect_like(&h.output[k], path, names[n], out[k]);
            read_array(path, names[n], weight[k], &seed[k]);
            grad_out[k] = &seed[k];
        }
        assert_int_equal(h.node.def->backward(&h.ctx, CVI_GRADIENT, grad_out, grad_in), CVS_OK);
        for (int k = 0; k < n_in; k++) {
            if (in[k]) {
                expect_like(&grad[k], path, names[n], gradient[k]);
            }
            cvs_tensor_free(&grad[k]);
        }
        for (int k = 0; k < n_out; k++) {
            cvs_tensor_free(&seed[k]);
        }
        oph_end(&h);
    }
}

static void wrong_input(void **state) {
    (void)state;
    static const char *const unknown[] = {"Sigmoid", "Sine", "Tanh"};
    oph h;
    begin(&h, &(variant){"LSTM", "sideways", 1, .layout = false}, CVS_F32, 2, 2, 3, 2);
    oph_expect_error(&h, CVS_E_FORMAT, "sideways");
    oph_end(&h);
    begin(&h, &(variant){"LSTM", "bidirectional", 1, .layout = false}, CVS_F32, 2, 2, 3, 2);
    oph_expect_error(&h, CVS_E_SHAPE, "1 directions");
    oph_end(&h);
    begin(&h, &(variant){"GRU", "forward", 1, .functions = {"Tanh", NULL}}, CVS_F32, 2, 2, 3, 2);
    oph_expect_error(&h, CVS_E_FORMAT, "1 activations, but 2");
    oph_end(&h);
    begin(&h, &(variant){"LSTM", "forward", 1, .layout = false}, CVS_F32, 2, 2, 3, 2);
    cvi_attr *a = oph_attr(&h, "activations", CVI_ATTR_STRINGS);
    a->strings = unknown;
    a->n = 3;
    oph_expect_error(&h, CVS_E_UNSUPPORTED, "Sine");
    oph_end(&h);
    begin(&h, &(variant){"RNN", "forward", 1, .bias = true}, CVS_F32, 2, 2, 3, 2);
    oph_random(&h, 3, CVS_F32, 2, D(1, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "input B has shape 1x3, needed is 1x4");
    oph_random(&h, 0, CVS_F32, 2, D(2, 3));
    oph_expect_error(&h, CVS_E_SHAPE, "3 dimensions");
    oph_end(&h);
    begin(&h, &(variant){"GRU", "forward", 1, .lengths = true}, CVS_F32, 2, 2, 3, 2);
    cvi_put(&h.input[4], 1, 3);
    assert_int_equal(oph_try(&h, false), CVS_E_SHAPE);
    assert_non_null(strstr(h.err.message, "length of sequence 1 is 3"));
    oph_end(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),  cmocka_unit_test(fast_and_threads), cmocka_unit_test(no_steps),
        cmocka_unit_test(like_torch), cmocka_unit_test(wrong_input),
    };
    return cmocka_run_group_tests_name("ops_recurrent", tests, NULL, NULL);
}
