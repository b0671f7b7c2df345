/* SPDX-License-Identifier: MIT
 * test_engine_backward.c - gradients through a branched net against finite differences in float64: to the input, to layers
 * and to weights; rules; what is not differentiable; reuse after another forward pass.
 */
#include "engine_net.h"
#include "test_helpers.h"

static const int64_t picture[4] = {1, 3, 12, 10};
enum { TARGET = 2 };

static int value(const net *n, const char *name) {
    int v = cvi_graph_find(n->g, name);
    assert_true(v >= 0);
    return v;
}

/* The target: logit TARGET. */
static double target(net *n, cvi_exec *x, const cvs_tensor *in) {
    cvs_tensor t;
    NET_OK(n, cvi_exec_forward(x, in, -1, &n->err));
    NET_OK(n, cvi_exec_value(x, value(n, "logits"), &t, &n->err));
    return cvi_get(&t, TARGET);
}

static void backward(net *n, cvi_exec *x, cvi_rule rule, const int *wanted, int n_wanted) {
    cvs_tensor seed;
    int logits = value(n, "logits");
    NET_OK(n, cvs_tensor_new(&seed, n->dtype, 2, (int64_t[]){1, 7}, &n->err));
    cvi_put(&seed, TARGET, 1);
    NET_OK(n, cvi_exec_backward(x, rule, &logits, &seed, 1, wanted, n_wanted, &n->err));
    cvs_tensor_free(&seed);
}

static cvs_tensor gradient(net *n, cvi_exec *x, int v) {
    cvs_tensor t;
    NET_OK(n, cvi_exec_gradient(x, v, &t, &n->err));
    return t;
}

/* Changes element i of `numbers` by +-h and compares the slope with the gradient. */
static void check_element(net *n, cvi_exec *x, const cvs_tensor *in, double *number, double grad) {
    const double h = 1e-5;
    double was = *number;
    *number = was + h;
    double up = target(n, x, in);
    *number = was - h;
    double down = target(n, x, in);
    *number = was;
    double slope = (up - down) / (2 * h);
    if (fabs(slope - grad) > 1e-6 * (1 + fabs(slope))) {
        fail_msg("slope %.9g, gradient %.9g", slope, grad);
    }
}

static void finite_differences(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    net_branched(&n, CVS_F64);
    cvs_tensor in = net_tensor(&n, 4, picture, 11), g;
    NET_OK(&n, cvi_exec_new(n.g, &in, NULL, &x, &n.err));
    int w = value(&n, "conv1_w"), wanted[] = {value(&n, "x"), w, value(&n, "logits_b")};
    cvs_tensor weights;
    NET_OK(&n, cvs_tensor_convert(n.g->values[w].constant, CVS_F64, &weights, &n.err));
    NET_OK(&n, cvi_exec_override(x, w, &weights, &n.err));
    (void)target(&n, x, &in);
    backward(&n, x, CVI_GRADIENT, wanted, 3);
    double gx[40], gw[27];
    g = gradient(&n, x, wanted[0]);
    assert_int_equal(cvs_tensor_count(&g), 360);
    for (int i = 0; i < 40; i++) {
        gx[i] = cvi_get(&g, i * 9);
    }
    g = gradient(&n, x, w);
    for (int i = 0; i < 27; i++) {
        gw[i] = cvi_get(&g, i * 5);
    }
    g = gradient(&n, x, wanted[2]);
    for (int i = 0; i < 7; i++) {
        assert_true(cvi_get(&g, i) == (i == TARGET));
    }
    for (int i = 0; i < 40; i++) {
        check_element(&n, x, &in, &((double *)in.data)[i * 9], gx[i]);
    }
    for (int i = 0; i < 27; i++) {
        check_element(&n, x, &in, &((double *)weights.data)[i * 5], gw[i]);
    }
    cvi_exec_free(x);
    cvs_tensor_free(&in);
    cvs_tensor_free(&weights);
    net_end(&n);
}

/* float32 through the fast forms agrees with float64, and the gradient at a layer stops there. */
static void single_precision_and_layers(void **state) {
    (void)state;
    net a, b;
    cvi_exec *x, *y;
    cvs_tensor t;
    net_branched(&a, CVS_F64);
    net_branched(&b, CVS_F32);
    cvs_tensor in64 = net_tensor(&a, 4, picture, 11), in32 = net_tensor(&b, 4, picture, 11);
    cvi_exec_options options = {.keep_aux = true, .pool = cvi_pool_new(2)};
    NET_OK(&a, cvi_exec_new(a.g, &in64, NULL, &x, &a.err));
    NET_OK(&b, cvi_exec_new(b.g, &in32, &options, &y, &b.err));
    for (int round = 0; round < 2; round++) {
        int layer = value(&a, round ? "relu1" : "conv2"), input = value(&a, "x");
        (void)target(&a, x, &in64);
        (void)target(&b, y, &in32);
        backward(&a, x, CVI_GRADIENT, &layer, 1);
        backward(&b, y, CVI_GRADIENT, &layer, 1);
        cvs_tensor g = gradient(&a, x, layer), h = gradient(&b, y, layer);
        assert_true(net_difference(&g, &h) < 1e-5);
        assert_int_equal(cvi_exec_gradient(y, input, &t, NULL), CVS_E_NOT_FOUND);
    }
    cvi_exec_free(x);
    cvi_exec_free(y);
    cvi_pool_free(options.pool);
    cvs_tensor_free(&in64);
    cvs_tensor_free(&in32);
    net_end(&a);
    net_end(&b);
}

/* relu(x) with x = -1, 2 and gradients 3, -5: the three rules of Zeiler and Fergus and of Springenberg et al. */
static void rules(void **state) {
    (void)state;
    const double expected[CVI_N_RULES][4] = {{0, -5, 0, 7}, {3, 0, 0, 7}, {0, 0, 0, 7}};
    for (int rule = 0; rule < CVI_N_RULES; rule++) {
        net n;
        cvi_exec *x;
        net_begin(&n, CVS_F32);
        int in = net_input(&n, "x", CVS_F32, 2, (int64_t[]){1, 4});
        int out = net_relu(&n, "y", in);
        net_finish(&n, out);
        float numbers[4] = {-1, 2, -1, 2}, seeds[4] = {3, -5, -5, 7};
        cvs_tensor t = {.dtype = CVS_F32, .rank = 2, .dim = {1, 4}, .data = numbers, .bytes = sizeof numbers};
        cvs_tensor s = t;
        s.data = seeds;
        NET_OK(&n, cvi_exec_new(n.g, &t, NULL, &x, &n.err));
        NET_OK(&n, cvi_exec_forward(x, &t, -1, &n.err));
        NET_OK(&n, cvi_exec_backward(x, (cvi_rule)rule, &out, &s, 1, &in, 1, &n.err));
        cvs_tensor g = gradient(&n, x, in);
        for (int i = 0; i < 4; i++) {
            assert_true(cvi_get(&g, i) == expected[rule][i]);
        }
        cvi_exec_free(x);
        net_end(&n);
    }
}

static void not_differentiable(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    net_begin(&n, CVS_F32);
    int in = net_input(&n, "x", CVS_F32, 1, (int64_t[]){4});
    int e =
        net_op(&n, "EyeLike", "eye", 1,
               (int[]){net_op(&n, "Unsqueeze", "u", 2,
                              (int[]){in, cvi_graph_ints(n.g, "axes", 1, (int64_t[]){0}, &n.err)}, 0, NULL)},
               0, NULL);
    net_finish(&n, e);
    cvs_tensor t = net_tensor(&n, 1, (int64_t[]){4}, 3), seed = net_tensor(&n, 2, (int64_t[]){1, 4}, 3);
    NET_OK(&n, cvi_exec_new(n.g, &t, NULL, &x, &n.err));
    int shape = value(&n, "axes");
    assert_int_equal(cvi_exec_backward(x, CVI_GRADIENT, &e, &seed, 1, &in, 1, &n.err), CVS_E_ARGUMENT);
    NET_OK(&n, cvi_exec_forward(x, &t, -1, &n.err));
    assert_int_equal(cvi_exec_backward(x, CVI_GRADIENT, &e, &seed, 1, &in, 1, &n.err), CVS_E_UNSUPPORTED);
    assert_non_null(strstr(n.err.message, "not differentiable here"));
    assert_non_null(strstr(n.err.node, "eye"));
    assert_int_equal(cvi_exec_backward(x, CVI_GRADIENT, &e, &seed, 1, &shape, 1, NULL), CVS_E_UNSUPPORTED);
    assert_int_equal(cvi_exec_backward(x, CVI_GRADIENT, &e, &t, 1, &in, 1, NULL), CVS_E_SHAPE);
    cvi_exec_free(x);
    cvs_tensor_free(&t);
    cvs_tensor_free(&seed);
    net_end(&n);
}

/* A list passes no gradient: that is said, and no blank gradient given. */
static void lists(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    net_begin(&n, CVS_F32);
    int in = net_input(&n, "x", CVS_F32, 1, (int64_t[]){4});
    int list = net_op(&n, "SequenceConstruct", "list", 1, &in, 0, NULL);
    int at[2] = {list, cvi_graph_ints(n.g, "place", 1, (int64_t[]){0}, &n.err)};
    int y = net_op(&n, "SequenceAt", "first", 2, at, 0, NULL);
    net_finish(&n, y);
    cvs_tensor t = net_tensor(&n, 1, (int64_t[]){4}, 3);
    NET_OK(&n, cvi_exec_new(n.g, &t, NULL, &x, &n.err));
    NET_OK(&n, cvi_exec_forward(x, &t, -1, &n.err));
    assert_int_equal(cvi_exec_backward(x, CVI_GRADIENT, &y, &t, 1, &in, 1, &n.err), CVS_E_UNSUPPORTED);
    assert_non_null(strstr(n.err.message, "not differentiable here"));
    assert_non_null(strstr(n.err.node, "first"));
    cvi_exec_free(x);
    cvs_tensor_free(&t);
    net_end(&n);
}

static void failing_allocations(void **state) {
    (void)state;
    net n;
    net_branched(&n, CVS_F32);
    cvs_tensor in = net_tensor(&n, 4, picture, 4), seed = net_tensor(&n, 2, (int64_t[]){1, 7}, 4);
    int logits = value(&n, "logits"), wanted[2] = {value(&n, "x"), value(&n, "conv1_w")};
    bool done = false;
    for (int k = 0; !done && k < 1000; k++) {
        cvi_exec *x = NULL;
        cvs_error err = {0};
        NET_OK(&n, cvi_exec_new(n.g, &in, NULL, &x, &n.err));
        NET_OK(&n, cvi_exec_forward(x, &in, -1, &n.err));
        test_fail_from(k, -1);
        cvs_status s = cvi_exec_backward(x, CVI_GRADIENT, &logits, &seed, 1, wanted, 2, &err);
        test_fail_from(-1, -1);
        done = s == CVS_OK;
        assert_true(done || s == CVS_E_MEMORY);
        cvi_exec_free(x);
    }
    assert_true(done);
    cvs_tensor_free(&in);
    cvs_tensor_free(&seed);
    net_end(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finite_differences),
        cmocka_unit_test(single_precision_and_layers),
        cmocka_unit_test(rules),
        cmocka_unit_test(not_differentiable),
        cmocka_unit_test(lists),
        cmocka_unit_test(failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
