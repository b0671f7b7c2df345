/* SPDX-License-Identifier: MIT
 * test_ops_fast.c - every fast form of convolutions, pools, dense layers, normalisations and activations against its plain twin on
 * random shapes, the same bits on 1 and 3 threads; and float32 backward on the kernels against the float64 loops.
 */
#include "op_harness.h"

static int64_t draw(uint64_t *counter, int64_t low, int64_t high) {
    return low + (int64_t)(cvi_random_uniform(3, 1, (*counter)++) * (double)(high - low + 1));
}

/* A random convolution that fits. */
typedef struct sides {
    int64_t n, c, k, groups, h, w, kernel[2], stride[2], dilation[2], pads[4];
} sides;

static sides draw_conv(uint64_t *r) {
    sides s;
    do {
        s = (sides){.n = draw(r, 1, 2),
                    .groups = draw(r, 0, 3) == 0 ? draw(r, 2, 4) : 1,
                    .h = draw(r, 1, 20),
                    .w = draw(r, 1, 20)};
        s.c = s.groups * draw(r, 1, s.groups > 1 ? 5 : 20);
        s.k = s.groups * draw(r, 1, s.groups > 1 ? 5 : 20);
        if (s.groups > 1 && draw(r, 0, 1) == 0) { /* depthwise */
            s.groups = s.c;
            s.k = s.c;
        }
        for (int i = 0; i < 2; i++) {
            s.kernel[i] = draw(r, 1, 4);
            s.stride[i] = draw(r, 0, 1) == 0 ? 1 : draw(r, 1, 3);
            s.dilation[i] = draw(r, 0, 2) == 0 ? 2 : 1;
            s.pads[i] = draw(r, 0, 2);
            s.pads[2 + i] = draw(r, 0, 2);
        }
    } while (s.h + s.pads[0] + s.pads[2] < (s.kernel[0] - 1) * s.dilation[0] + 1 ||
             s.w + s.pads[1] + s.pads[3] < (s.kernel[1] - 1) * s.dilation[1] + 1);
    return s;
}

static void begin_conv(oph *h, const sides *s, cvs_dtype type) {
    oph_begin(h, "Conv");
    oph_ints(h, "strides", 2, s->stride);
    oph_ints(h, "dilations", 2, s->dilation);
    oph_ints(h, "pads", 4, s->pads);
    oph_int(h, "group", s->groups);
    oph_random(h, 0, type, 4, (int64_t[]){s->n, s->c, s->h, s->w});
    oph_random(h, 1, type, 4, (int64_t[]){s->k, s->c / s->groups, s->kernel[0], s->kernel[1]});
    oph_random(h, 2, type, 1, &s->k);
}

static void begin_transpose(oph *h, const sides *s, cvs_dtype type) {
    int64_t reach[2] = {(s->kernel[0] - 1) * s->dilation[0] + 1, (s->kernel[1] - 1) * s->dilation[1] + 1};
    bool bare = (s->h - 1) * s->stride[0] + reach[0] <= s->pads[0] + s->pads[2] ||
                (s->w - 1) * s->stride[1] + reach[1] <= s->pads[1] + s->pads[3];
    oph_begin(h, "ConvTranspose");
    oph_ints(h, "strides", 2, s->stride);
    oph_ints(h, "dilations", 2, s->dilation);
    if (!bare) {
        oph_ints(h, "pads", 4, s->pads);
    }
    oph_int(h, "group", s->groups);
    oph_random(h, 0, type, 4, (int64_t[]){s->n, s->c, s->h, s->w});
    oph_random(h, 1, type, 4, (int64_t[]){s->c, s->k / s->groups, s->kernel[0], s->kernel[1]});
    oph_random(h, 2, type, 1, &s->k);
}

static void test_convolutions(void **state) {
    (void)state;
    uint64_t r = 0;
    for (int i = 0; i < 60; i++) {
        sides s = draw_conv(&r);
        oph h;
        begin_conv(&h, &s, CVS_F32);
        oph_check_fast(&h, 1e-4);
        h.ctx.exact = true;
        oph_check_fast(&h, 1e-5);
        oph_end(&h);
        begin_transpose(&h, &s, CVS_F32);
        oph_check_fast(&h, 1e-4);
        oph_end(&h);
    }
}

/* Gradients in float32 (kernels) and float64 (plain loops) agree, and threads do not change a bit. */
static void check_backward(oph *narrow, oph *wide, double tol) {
    cvs_tensor a[OPH_INPUTS], b[OPH_INPUTS], c[OPH_INPUTS];
    for (int k = 0; k < narrow->node.n_in; k++) { /* the same numbers, as float32 has them */
        for (int64_t i = 0; i < cvs_tensor_count(&narrow->input[k]); i++) {
            cvi_put(&wide->input[k], i, cvi_get(&narrow->input[k], i));
        }
    }
    oph_run(narrow);
    oph_run(wide);
    oph_backward(narrow, CVI_GRADIENT, ~0u, 0.25, a);
    oph_backward(wide, CVI_GRADIENT, ~0u, 0.25, b);
    narrow->ctx.pool = cvi_pool_new(3);
    oph_backward(narrow, CVI_GRADIENT, ~0u, 0.25, c);
    cvi_pool_free(narrow->ctx.pool);
    narrow->ctx.pool = NULL;
    for (int k = 0; k < narrow->node.n_in; k++) {
        double largest = 0;
        for (int64_t i = 0; i < cvs_tensor_count(&b[k]); i++) {
            largest = CVI_MAX(largest, fabs(cvi_get(&b[k], i)));
        }
        for (int64_t i = 0; i < cvs_tensor_count(&b[k]); i++) {
            double x = cvi_get(&a[k], i), y = cvi_get(&b[k], i);
            if (!(fabs(x - y) <= tol * (1 + largest))) {
                fail_msg("%s: gradient of input %d at %lld is %.9g, in float64 %.9g", narrow->node.op, k,
                         (long long)i, x, y);
            }
        }
        assert_memory_equal(a[k].data, c[k].data, a[k].bytes);
        cvs_tensor_free(&a[k]);
        cvs_tensor_free(&b[k]);
        cvs_tensor_free(&c[k]);
    }
}

static void test_conv_backward(void **state) {
    (void)state;
    uint64_t r = 5000;
    for (int i = 0; i < 40; i++) {
        sides s = draw_conv(&r);
        for (int transposed = 0; transposed < 2; transposed++) {
            oph a, b;
            (transposed ? begin_transpose : begin_conv)(&a, &s, CVS_F32);
            (transposed ? begin_transpose : begin_conv)(&b, &s, CVS_F64);
            check_backward(&a, &b, 1e-4);
            a.ctx.exact = true;
            check_backward(&a, &b, 1e-5);
            oph_end(&a);
            oph_end(&b);
        }
    }
}

static void begin_pool(oph *h, const char *op, const sides *s, bool ceil, bool count) {
    oph_begin(h, op);
    oph_ints(h, "kernel_shape", 2, s->kernel);
    oph_ints(h, "strides", 2, s->stride);
    oph_ints(h, "dilations", 2, s->dilation);
    oph_ints(h, "pads", 4, s->pads);
    oph_int(h, "ceil_mode", ceil);
    if (count) {
        oph_int(h, "count_include_pad", 1);
    }
    oph_random(h, 0, CVS_F32, 4, (int64_t[]){s->n, s->c, s->h, s->w});
}

static void test_pools(void **state) {
    (void)state;
    uint64_t r = 900;
    for (int i = 0; i < 60; i++) {
        sides s = draw_conv(&r);
        for (int kind = 0; kind < 3; kind++) {
            oph h;
            begin_pool(&h, kind == 0 ? "MaxPool" : "AveragePool", &s, i & 1, kind == 2);
            oph_check_fast(&h, kind == 0 ? 0 : 1e-6);
            /* The same winners, where they are kept: windows that backward does not search again. */
            if (kind == 0 && h.aux) {
                cvs_tensor out;
                size_t bytes = (size_t)cvs_tensor_count(&h.output[0]) * sizeof(int64_t);
                int64_t *plain = h.aux;
                h.aux = NULL;
                oph_run_fast(&h, NULL, &out);
                assert_memory_equal(plain, h.aux, bytes);
                cvi_free(plain);
                cvs_tensor_free(&out);
            }
            oph_end(&h);
        }
        static const char *const global[] = {"GlobalAveragePool", "GlobalMaxPool"};
        for (int k = 0; k < 2; k++) {
            oph h;
            oph_begin(&h, global[k]);
            oph_random(&h, 0, CVS_F32, 4, (int64_t[]){s.n, s.c, s.h, s.w});
            oph_check_fast(&h, 1e-6);
            oph_end(&h);
        }
    }
}

static void test_activations(void **state) {
    (void)state;
    static const struct {
        const char *op, *attr;
        double value;
    } table[] = {{"Relu", NULL, 0},
                 {"LeakyRelu", NULL, 0},
                 {"LeakyRelu", "alpha", 0.3},
                 {"Elu", "alpha", 1.7},
                 {"Selu", NULL, 0},
                 {"Celu", "alpha", 0.4},
                 {"Sigmoid", NULL, 0},
                 {"HardSigmoid", NULL, 0},
                 {"HardSigmoid", "beta", 0.1},
                 {"HardSwish", NULL, 0},
                 {"Swish", "alpha", 1.7},
                 {"Mish", NULL, 0},
                 {"Tanh", NULL, 0},
                 {"Softplus", NULL, 0},
                 {"Softsign", NULL, 0},
                 {"Gelu", NULL, 0},
                 {"ThresholdedRelu", NULL, 0},
                 {"ThresholdedRelu", "alpha", 0.2},
                 {"Erf", NULL, 0},
                 {"Clip", "none", 0}};
    static const int64_t shapes[][4] = {{2, 5, 7, 9}, {1, 8, 3, 3}, {1, 33, 20, 20}, {3, 1, 1, 1}};
    for (int t = 0; t < CVI_COUNT(table); t++) {
        for (int i = 0; i < 2 * CVI_COUNT(shapes); i++) {
            oph h;
            oph_begin(&h, table[t].op);
            if (table[t].attr != NULL) {
                oph_float(&h, table[t].attr, table[t].value);
            }
            oph_random(&h, 0, CVS_F32, i % 2 ? 4 : 2, shapes[i / 2]);
            oph_range(&h, 0, -9, 9);
            if (strcmp(table[t].op, "Clip") == 0) {
                oph_values(&h, 1, CVS_F32, 0, NULL, (double[]){-1});
                oph_values(&h, 2, CVS_F32, 0, NULL, (double[]){6});
            }
            oph_check_fast(&h, 2e-6);
            oph_end(&h);
        }
    }
    oph h;
    oph_begin(&h, "Gelu");
    oph_string(&h, "approximate", "tanh");
    oph_random(&h, 0, CVS_F32, 4, shapes[0]);
    oph_check_fast(&h, 2e-6);
    oph_end(&h);
}

static void test_extremes(void **state) {
    (void)state;
    static const char *const ops[] = {"Relu",     "LeakyRelu",   "Sigmoid",         "Tanh",
                                      "Softplus", "HardSigmoid", "HardSwish",       "Elu",
                                      "Gelu",     "Erf",         "ThresholdedRelu", "Softmax"};
    for (int t = 0; t < CVI_COUNT(ops); t++) {
        oph h;
        oph_begin(&h, ops[t]);
        oph_values(&h, 0, CVS_F32, 2, (int64_t[]){1, 9},
                   (double[]){-200, 200, 0, -1e-30, 1e-30, -1e30, 1e30, -88.5, 88.5});
        oph_check_fast(&h, 2e-6);
        if (strcmp(ops[t], "Softmax") != 0) {
            oph_values(&h, 0, CVS_F32, 2, (int64_t[]){1, 2}, (double[]){(double)NAN, 1});
            oph_check_fast(&h, 2e-6);
        }
        oph_end(&h);
    }
}

static void test_prelu(void **state) {
    (void)state;
    static const struct {
        int rank;
        int64_t dim[4];
    } slopes[] = {{0, {0}}, {1, {1}}, {3, {11, 1, 1}}, {4, {1, 11, 1, 1}}};
    for (int i = 0; i < CVI_COUNT(slopes); i++) {
        oph h;
        oph_begin(&h, "PRelu");
        oph_random(&h, 0, CVS_F32, 4, (int64_t[]){2, 11, 5, 6});
        oph_random(&h, 1, CVS_F32, slopes[i].rank, slopes[i].dim);
        oph_check_fast(&h, 0);
        oph_end(&h);
    }
    oph h;
    oph_begin(&h, "PRelu");
    oph_random(&h, 0, CVS_F32, 4, (int64_t[]){2, 11, 5, 6});
    oph_random(&h, 1, CVS_F32, 1, (int64_t[]){6}); /* along W: no fast form */
    assert_int_equal(oph_infer(&h), CVS_OK);
    assert_false(h.node.def->can_fast(&h.ctx));
    oph_end(&h);
}

static void test_batch_norm(void **state) {
    (void)state;
    static const int64_t shapes[][4] = {{2, 5, 7, 9}, {1, 8, 3, 3}, {3, 20, 4, 4}};
    for (int i = 0; i < 2 * CVI_COUNT(shapes); i++) {
        oph h;
        oph_begin(&h, "BatchNormalization");
        oph_random(&h, 0, CVS_F32, i % 2 ? 4 : 2, shapes[i / 2]);
        for (int k = 1; k <= 4; k++) {
            oph_random(&h, k, CVS_F32, 1, &shapes[i / 2][1]);
        }
        oph_range(&h, 4, 0.3, 2);
        oph_check_fast(&h, 1e-6);
        oph_end(&h);
    }
}

static void test_softmax(void **state) {
    (void)state;
    static const char *const ops[] = {"Softmax", "LogSoftmax"};
    for (int i = 0; i < 2; i++) {
        oph h;
        oph_begin(&h, ops[i]);
        oph_random(&h, 0, CVS_F32, 2, (int64_t[]){3, 1000});
        oph_range(&h, 0, -20, 30);
        oph_check_fast(&h, 1e-6);
        oph_end(&h);
        oph_begin(&h, ops[i]);
        oph_int(&h, "axis", 1);
        oph_random(&h, 0, CVS_F32, 4, (int64_t[]){2, 13, 4, 5});
        oph_check_fast(&h, 1e-6);
        oph_end(&h);
        oph_begin(&h, ops[i]);
        oph_random(&h, 0, CVS_F32, 3, (int64_t[]){2, 13, 4});
        oph_check_fast(&h, 1e-6);
        oph_end(&h);
    }
}

static void begin_gemm(oph *h, int t, cvs_dtype type) {
    static const int64_t sizes[][3] = {{1, 10, 300}, {7, 65, 33}, {64, 64, 64}, {5, 1, 9}};
    int64_t M = sizes[t / 4][0], N = sizes[t / 4][1], K = sizes[t / 4][2];
    bool ta = t & 1, tb = t >> 1 & 1;
    oph_begin(h, "Gemm");
    oph_int(h, "transA", ta);
    oph_int(h, "transB", tb);
    oph_float(h, "alpha", 0.5);
    oph_random(h, 0, type, 2, ta ? (int64_t[]){K, M} : (int64_t[]){M, K});
    oph_random(h, 1, type, 2, tb ? (int64_t[]){N, K} : (int64_t[]){K, N});
    oph_random(h, 2, type, 1, (int64_t[]){N});
}

static void test_dense(void **state) {
    (void)state;
    for (int t = 0; t < 16; t++) {
        oph a, b;
        begin_gemm(&a, t, CVS_F32);
        begin_gemm(&b, t, CVS_F64);
        oph_check_fast(&a, 1e-5);
        check_backward(&a, &b, 1e-5);
        oph_end(&a);
        oph_end(&b);
    }
    static const struct {
        int xr;
        int64_t x[4];
        int yr;
        int64_t y[4];
    } shapes[] = {{2, {30, 40}, 2, {40, 50}}, {3, {2, 30, 4}, 2, {4, 5}}, {4, {2, 1, 3, 4}, 3, {6, 4, 2}},
                  {1, {40}, 2, {40, 5}},      {3, {2, 3, 40}, 1, {40}},   {3, {4, 1, 6}, 3, {4, 6, 7}}};
    for (int t = 0; t < CVI_COUNT(shapes); t++) {
        oph h[2];
        for (int i = 0; i < 2; i++) {
            oph_begin(&h[i], "MatMul");
            oph_random(&h[i], 0, i ? CVS_F64 : CVS_F32, shapes[t].xr, shapes[t].x);
            oph_random(&h[i], 1, i ? CVS_F64 : CVS_F32, shapes[t].yr, shapes[t].y);
        }
        oph_check_fast(&h[0], 1e-5);
        check_backward(&h[0], &h[1], 1e-5);
        oph_end(&h[0]);
        oph_end(&h[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions), cmocka_unit_test(test_conv_backward),
        cmocka_unit_test(test_pools),        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_extremes),     cmocka_unit_test(test_prelu),
        cmocka_unit_test(test_batch_norm),   cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_dense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
