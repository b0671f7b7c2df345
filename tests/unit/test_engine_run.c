/* SPDX-License-Identifier: MIT
 * test_engine_run.c - plan and forward on small graphs: both layouts against the plain twins, reuse, threads, late shapes,
 * folding, overrides, unknown operators, missing weights, limits, failing allocations.
 */
#include "engine_net.h"
#include "engine/plan.h"
#include "test_helpers.h"

static int value(const net *n, const char *name) {
    int v = cvi_graph_find(n->g, name);
    assert_true(v >= 0);
    return v;
}

static cvs_tensor read(net *n, cvi_exec *x, const char *name) {
    cvs_tensor t;
    NET_OK(n, cvi_exec_value(x, value(n, name), &t, &n->err));
    assert_true(t.data || t.bytes == 0);
    return t;
}

static const int64_t picture[4] = {2, 3, 12, 10};

static void fast_equals_plain(void **state) {
    (void)state;
    net n;
    cvi_exec *fast, *plain;
    net_branched(&n, CVS_F32);
    cvs_tensor x = net_tensor(&n, 4, picture, 99);
    cvi_exec_options options = {.plain = true};
    NET_OK(&n, cvi_exec_new(n.g, &x, NULL, &fast, &n.err));
    NET_OK(&n, cvi_exec_new(n.g, &x, &options, &plain, &n.err));
    NET_OK(&n, cvi_exec_forward(fast, &x, -1, &n.err));
    NET_OK(&n, cvi_exec_forward(plain, &x, -1, &n.err));
    for (int v = 0; v < n.g->n_values; v++) {
        cvs_tensor a, b;
        NET_OK(&n, cvi_exec_value(fast, v, &a, &n.err));
        NET_OK(&n, cvi_exec_value(plain, v, &b, &n.err));
        assert_true(a.layout == CVS_PLAIN && a.data);
        if (net_difference(&a, &b) > 2e-5) {
            fail_msg("%s differs by %g", n.g->values[v].name, net_difference(&a, &b));
        }
    }
    cvs_tensor p = read(&n, fast, "prob");
    double sum = 0;
    for (int i = 0; i < 7; i++) {
        sum += cvi_get(&p, i);
    }
    assert_true(fabs(sum - 1) < 1e-5);
    cvi_exec_free(fast);
    cvi_exec_free(plain);
    cvs_tensor_free(&x);
    net_end(&n);
}

static void a_plan_serves_again(void **state) {
    (void)state;
    net n;
    cvi_exec *once, *again;
    net_branched(&n, CVS_F32);
    cvs_tensor x = net_tensor(&n, 4, picture, 1), y = net_tensor(&n, 4, picture, 2);
    NET_OK(&n, cvi_exec_new(n.g, &x, NULL, &again, &n.err));
    NET_OK(&n, cvi_exec_new(n.g, &y, NULL, &once, &n.err));
    NET_OK(&n, cvi_exec_forward(again, &x, -1, &n.err));
    (void)read(&n, again, "conv1");
    NET_OK(&n, cvi_exec_forward(again, &y, -1, &n.err));
    NET_OK(&n, cvi_exec_forward(once, &y, -1, &n.err));
    for (int v = 0; v < n.g->n_values; v++) {
        cvs_tensor a, b;
        NET_OK(&n, cvi_exec_value(again, v, &a, &n.err));
        NET_OK(&n, cvi_exec_value(once, v, &b, &n.err));
        assert_memory_equal(a.data, b.data, a.bytes);
    }
    cvi_exec_free(once);
    cvi_exec_free(again);
    cvs_tensor_free(&x);
    cvs_tensor_free(&y);
    net_end(&n);
}

static void threads_give_the_same_bits(void **state) {
    (void)state;
    net n;
    net_branched(&n, CVS_F32);
    cvs_tensor x = net_tensor(&n, 4, picture, 5);
    cvi_exec *alone;
    NET_OK(&n, cvi_exec_new(n.g, &x, NULL, &alone, &n.err));
    NET_OK(&n, cvi_exec_forward(alone, &x, -1, &n.err));
    for (int threads = 2; threads <= 5; threads++) {
        cvi_pool *pool = cvi_pool_new(threads);
        cvi_exec_options options = {.pool = pool};
        cvi_exec *many;
        NET_OK(&n, cvi_exec_new(n.g, &x, &options, &many, &n.err));
        NET_OK(&n, cvi_exec_forward(many, &x, -1, &n.err));
        for (int v = 0; v < n.g->n_values; v++) {
            cvs_tensor a, b;
            NET_OK(&n, cvi_exec_value(alone, v, &a, &n.err));
            NET_OK(&n, cvi_exec_value(many, v, &b, &n.err));
            assert_memory_equal(a.data, b.data, a.bytes);
        }
        cvi_exec_free(many);
        cvi_pool_free(pool);
    }
    cvi_exec_free(alone);
    cvs_tensor_free(&x);
    net_end(&n);
}

static void only_what_is_needed(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    cvs_tensor t;
    net_branched(&n, CVS_F32);
    cvs_tensor in = net_tensor(&n, 4, picture, 5);
    NET_OK(&n, cvi_exec_new(n.g, &in, NULL, &x, &n.err));
    NET_OK(&n, cvi_exec_forward(x, &in, value(&n, "relu1"), &n.err));
    (void)read(&n, x, "relu1");
    NET_OK(&n, cvi_exec_value(x, value(&n, "conv2"), &t, &n.err));
    assert_null(t.data);
    assert_int_equal(t.rank, 4);
    NET_OK(&n, cvi_exec_forward(x, &in, -1, &n.err));
    (void)read(&n, x, "conv2");
    cvi_exec_free(x);
    cvs_tensor_free(&in);
    net_end(&n);
}

/* x [2,6] -> Reshape(shape = an input) -> Relu: shapes are found in the run, and may change from run to run. */
static void late_shapes(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    net_begin(&n, CVS_F32);
    int a = net_input(&n, "a", CVS_F32, 2, (int64_t[]){2, 6});
    int s = net_input(&n, "s", CVS_I64, 1, (int64_t[]){2});
    int r = net_op(&n, "Reshape", "turned", 2, (int[]){a, s}, 0, NULL);
    net_finish(&n, net_relu(&n, "out", r));
    cvs_tensor in[2] = {net_tensor(&n, 2, (int64_t[]){2, 6}, 3), {0}}, t;
    NET_OK(&n, cvs_tensor_new(&in[1], CVS_I64, 1, (int64_t[]){2}, &n.err));
    NET_OK(&n, cvi_exec_new(n.g, in, NULL, &x, &n.err));
    assert_int_equal(cvi_exec_value(x, value(&n, "out"), &t, NULL), CVS_E_LATE);
    for (int64_t rows = 1; rows <= 12; rows *= 2) {
        ((int64_t *)in[1].data)[0] = rows == 8 ? 12 : rows;
        ((int64_t *)in[1].data)[1] = -1;
        NET_OK(&n, cvi_exec_forward(x, in, -1, &n.err));
        t = read(&n, x, "out");
        assert_int_equal(t.dim[0], rows == 8 ? 12 : rows);
        assert_int_equal(t.dim[0] * t.dim[1], 12);
        for (int i = 0; i < 12; i++) {
            assert_true(cvi_get(&t, i) == fmax(cvi_get(&in[0], i), 0));
        }
    }
    ((int64_t *)in[1].data)[0] = 5; /* 12 numbers cannot have 5 rows: an error of this node */
    assert_int_equal(cvi_exec_forward(x, in, -1, &n.err), CVS_E_SHAPE);
    assert_non_null(strstr(n.err.node, "turned"));
    cvi_exec_free(x);
    cvs_tensor_free(&in[0]);
    cvs_tensor_free(&in[1]);
    net_end(&n);
}

/* Shape(x) -> Reshape(y, it): known while planning though x is not. */
static void shape_arithmetic_is_folded(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    cvs_tensor t;
    net_begin(&n, CVS_F32);
    int a = net_input(&n, "a", CVS_F32, 2, (int64_t[]){-1, 6});
    int b = net_input(&n, "b", CVS_F32, 1, (int64_t[]){-1});
    int s = net_op(&n, "Shape", "shape", 1, &a, 0, NULL);
    int c = net_op(&n, "Cast", "cast", 1, &s, 1, NULL);
    assert_true(cvi_attr_set_int(n.g, &n.g->nodes[1].attr[0], "to", CVS_I64));
    net_finish(&n, net_op(&n, "Reshape", "out", 2, (int[]){b, c}, 0, NULL));
    cvs_tensor in[2] = {{.dtype = CVS_F32, .rank = 2, .dim = {4, 6}},
                        {.dtype = CVS_F32, .rank = 1, .dim = {24}}};
    NET_OK(&n, cvi_exec_new(n.g, in, NULL, &x, &n.err));
    NET_OK(&n, cvi_exec_value(x, value(&n, "out"), &t, &n.err));
    assert_int_equal(t.rank, 2);
    assert_int_equal(t.dim[0], 4);
    assert_int_equal(t.dim[1], 6);
    t = read(&n, x, "cast"); /* numbers are there before any run */
    assert_int_equal(cvi_get_int(&t, 0), 4);
    cvi_exec_free(x);
    net_end(&n);
}

/* A branch: y = relu(x) or y = x + x, where x is captured. */
static cvi_graph *branch(net *n, const char *op, int outer) {
    cvi_graph *g = cvi_graph_new(n->model, n->g, op, &n->err);
    assert_non_null(g);
    int x = cvi_graph_value(g, "captured", CVS_NONE, -1, NULL, &n->err);
    assert_true(x >= 0);
    g->values[x].outer = outer;
    int in[2] = {x, x};
    int y = cvi_graph_op(g, op, strcmp(op, "Add") == 0 ? 2 : 1, in, "y", 0, NULL, &n->err);
    assert_true(y >= 0 && cvi_graph_add_output(g, y));
    return g;
}

/* If with a condition that is a constant, or an input (then the shape is found while running). */
static void branches_of_if(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        bool fixed = kind < 2, condition = kind % 2;
        net n;
        cvi_exec *x;
        cvs_tensor in[2] = {{0}, {.dtype = CVS_BOOL, .data = &condition, .bytes = 1}}, t;
        net_begin(&n, CVS_F32);
        int a = net_input(&n, "a", CVS_F32, 4, picture), c;
        int conv = net_conv(&n, "conv", a, 3, 8, 1);
        if (fixed) {
            c = cvi_graph_constant(n.g, "c", &in[1], &n.err);
        } else {
            c = net_input(&n, "c", CVS_BOOL, 0, NULL);
        }
        cvi_node *node;
        int y = net_op(&n, "If", "if", 1, &c, 2, &node);
        cvi_graph *sub[2] = {branch(&n, "Add", conv), branch(&n, "Relu", conv)};
        for (int k = 0; k < 2; k++) {
            node->attr[k].name = k ? "then_branch" : "else_branch";
            node->attr[k].kind = CVI_ATTR_GRAPH;
            node->attr[k].graph = sub[k];
        }
        net_finish(&n, net_relu(&n, "last", y));
        in[0] = net_tensor(&n, 4, picture, 21);
        NET_OK(&n, cvi_exec_new(n.g, in, NULL, &x, &n.err));
        assert_int_equal(cvi_exec_value(x, value(&n, "if"), &t, NULL), fixed ? CVS_OK : CVS_E_LATE);
        for (int round = 0; round < 2; round++) {
            NET_OK(&n, cvi_exec_forward(x, in, -1, &n.err));
            cvs_tensor from = read(&n, x, "conv");
            t = read(&n, x, "if");
            for (int64_t i = 0; i < cvs_tensor_count(&from); i++) {
                double v = cvi_get(&from, i);
                assert_true(fabs(cvi_get(&t, i) - (condition ? fmax(v, 0) : v + v)) < 1e-6);
            }
            condition = fixed ? condition : !condition;
        }
        cvi_exec_free(x);
        cvs_tensor_free(&in[0]);
        net_end(&n);
    }
}

static void overrides(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    net_begin(&n, CVS_F32);
    int in = net_input(&n, "x", CVS_F32, 4, picture);
    net_finish(&n, net_conv(&n, "conv", in, 3, 5, 1));
    cvs_tensor t = net_tensor(&n, 4, picture, 4), other, before, after;
    NET_OK(&n, cvi_exec_new(n.g, &t, NULL, &x, &n.err));
    NET_OK(&n, cvi_exec_forward(x, &t, -1, &n.err));
    cvs_tensor now = read(&n, x, "conv");
    NET_OK(&n, cvs_tensor_convert(&now, CVS_F32, &before, &n.err));
    NET_OK(&n, cvs_tensor_new(&other, CVS_F32, 4, (int64_t[]){5, 3, 3, 3}, &n.err));
    NET_OK(&n, cvi_exec_override(x, value(&n, "conv_w"), &other, &n.err));
    for (int round = 1; round <= 2; round++) { /* the tensor may change while it is set */
        const float *w = n.g->values[value(&n, "conv_w")].constant->data;
        const float *bias = n.g->values[value(&n, "conv_b")].constant->data;
        for (int i = 0; i < 135; i++) {
            ((float *)other.data)[i] = w[i] * (float)round;
        }
        NET_OK(&n, cvi_exec_forward(x, &t, -1, &n.err));
        after = read(&n, x, "conv");
        for (int64_t i = 0; i < cvs_tensor_count(&after); i++) {
            double b = (double)bias[i / 120 % 5], expected = (cvi_get(&before, i) - b) * round + b;
            assert_true(fabs(cvi_get(&after, i) - expected) < 1e-4);
        }
    }
    NET_OK(&n, cvi_exec_override(x, value(&n, "conv_w"), NULL, &n.err));
    NET_OK(&n, cvi_exec_forward(x, &t, -1, &n.err));
    after = read(&n, x, "conv");
    assert_memory_equal(after.data, before.data, before.bytes);
    other.dim[0] = 4;
    assert_int_equal(cvi_exec_override(x, value(&n, "conv_w"), &other, &n.err), CVS_E_SHAPE);
    assert_int_equal(cvi_exec_override(x, value(&n, "conv"), &before, NULL), CVS_E_ARGUMENT);
    cvi_exec_free(x);
    cvs_tensor_free(&t);
    cvs_tensor_free(&other);
    cvs_tensor_free(&before);
    net_end(&n);
}

static void unknown_operators_stop_a_run(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    cvs_tensor t;
    net_begin(&n, CVS_F32);
    int in = net_input(&n, "x", CVS_F32, 4, picture);
    int r = net_relu(&n, "first", in);
    int u = net_op(&n, "acme::Magic", "magic", 1, &r, 0, NULL);
    net_finish(&n, net_relu(&n, "last", u));
    cvs_tensor a = net_tensor(&n, 4, picture, 4);
    NET_OK(&n, cvi_exec_new(n.g, &a, NULL, &x, &n.err));
    assert_int_equal(cvi_exec_forward(x, &a, -1, &n.err), CVS_E_UNSUPPORTED);
    assert_non_null(strstr(n.err.message, "acme::Magic"));
    assert_non_null(strstr(n.err.node, "magic"));
    t = read(&n, x, "first");
    assert_true(cvi_get(&t, 0) >= 0);
    assert_int_equal(cvi_exec_value(x, value(&n, "last"), &t, NULL), CVS_E_LATE);
    cvi_exec_free(x);
    cvs_tensor_free(&a);
    net_end(&n);
}

static void missing_weights_are_said(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    net_begin(&n, CVS_F32);
    int in = net_input(&n, "x", CVS_F32, 4, picture);
    cvs_tensor w = {.dtype = CVS_F32, .rank = 4, .dim = {5, 3, 1, 1}};
    int k = cvi_graph_constant(n.g, "kernel", &w, &n.err);
    net_finish(&n, net_op(&n, "Conv", "conv", 2, (int[]){in, k}, 0, NULL));
    cvs_tensor a = net_tensor(&n, 4, picture, 4), t;
    NET_OK(&n, cvi_exec_new(n.g, &a, NULL, &x, &n.err));
    NET_OK(&n, cvi_exec_value(x, value(&n, "conv"), &t, &n.err));
    assert_int_equal(t.dim[1], 5);
    assert_int_equal(cvi_exec_forward(x, &a, -1, &n.err), CVS_E_ARGUMENT);
    assert_non_null(strstr(n.err.message, "--init"));
    cvi_exec_free(x);
    cvs_tensor_free(&a);
    net_end(&n);
}

static void memory_is_bounded(void **state) {
    (void)state;
    net n;
    cvi_exec *x = NULL;
    net_branched(&n, CVS_F32);
    cvs_tensor huge = {.dtype = CVS_F32, .rank = 4, .dim = {100000, 3, 12, 10}};
    cvi_exec_options options = {.max_bytes = (int64_t)256 << 20};
    assert_int_equal(cvi_exec_new(n.g, &huge, &options, &x, &n.err), CVS_E_LIMIT);
    assert_null(x);
    assert_non_null(strstr(n.err.message, "256 MiB"));
    huge.dim[0] = INT64_MAX / 360;
    assert_int_equal(cvi_exec_new(n.g, &huge, NULL, &x, &n.err), CVS_E_LIMIT);
    net_end(&n);
}

/* A plan that is only told of may be larger than the memory as a whole, not in one value; and it does not run. */
static void what_is_described_may_be_large(void **state) {
    (void)state;
    net n;
    cvi_exec *x = NULL;
    net_branched(&n, CVS_F32);
    cvs_tensor in = net_tensor(&n, 4, picture, 4);
    NET_OK(&n, cvi_exec_new(n.g, &in, NULL, &x, &n.err));
    int64_t all = cvi_exec_bytes(x);
    cvi_exec_free(x);
    cvi_exec_options options = {.max_bytes = all - 1};
    assert_int_equal(cvi_exec_new(n.g, &in, &options, &x, &n.err), CVS_E_LIMIT);
    options.described = true;
    NET_OK(&n, cvi_exec_new(n.g, &in, &options, &x, &n.err));
    assert_int_equal(cvi_exec_bytes(x), all);
    assert_int_equal(cvi_exec_forward(x, &in, -1, &n.err), CVS_E_LIMIT);
    cvi_exec_free(x);
    options.max_bytes = 64;
    assert_int_equal(cvi_exec_new(n.g, &in, &options, &x, &n.err), CVS_E_LIMIT);
    cvs_tensor_free(&in);
    net_end(&n);
}

static void failing_allocations(void **state) {
    (void)state;
    net n;
    net_branched(&n, CVS_F32);
    cvs_tensor in = net_tensor(&n, 4, picture, 4);
    bool done = false;
    for (int k = 0; !done && k < 4000; k++) {
        cvi_exec *x = NULL;
        cvs_tensor t;
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status s = cvi_exec_new(n.g, &in, NULL, &x, &err);
        s = s == CVS_OK ? cvi_exec_forward(x, &in, -1, &err) : s;
        s = s == CVS_OK ? cvi_exec_value(x, value(&n, "conv1"), &t, &err) : s;
        done = s == CVS_OK;
        if (!done) {
            assert_int_equal(s, CVS_E_MEMORY);
            assert_true(err.message[0] != '\0');
        }
        cvi_exec_free(x);
        test_fail_from(-1, -1);
    }
    assert_true(done);
    cvs_tensor_free(&in);
    net_end(&n);
}

static void logits_are_found(void **state) {
    (void)state;
    net n;
    cvs_logit_kind kind;
    net_branched(&n, CVS_F32);
    assert_int_equal(cvi_graph_logit(n.g, 0, &kind), value(&n, "logits"));
    assert_int_equal(kind, CVS_LOGIT_BEFORE_SOFTMAX);
    net_end(&n);
    net_begin(&n, CVS_F32);
    int in = net_input(&n, "x", CVS_F32, 2, (int64_t[]){-1, 8});
    net_finish(&n, net_dense(&n, "dense", in, 8, 3));
    assert_int_equal(cvi_graph_logit(n.g, 0, &kind), value(&n, "dense"));
    assert_int_equal(kind, CVS_LOGIT_IS_OUTPUT);
    net_end(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_equals_plain),
        cmocka_unit_test(a_plan_serves_again),
        cmocka_unit_test(threads_give_the_same_bits),
        cmocka_unit_test(only_what_is_needed),
        cmocka_unit_test(late_shapes),
        cmocka_unit_test(shape_arithmetic_is_folded),
        cmocka_unit_test(branches_of_if),
        cmocka_unit_test(overrides),
        cmocka_unit_test(unknown_operators_stop_a_run),
        cmocka_unit_test(missing_weights_are_said),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(what_is_described_may_be_large),
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(logits_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
