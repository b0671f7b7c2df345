/* SPDX-License-Identifier: MIT
 * test_unit_value.c - one number as arithmetic (cvs_run_unit): for every operator that pages show, on random shapes and settings, the terms
 * make the number that the engine computed, and every term holds the number that stands where it says.
 */
#include "engine_net.h"
#include "convscope/run.h"

typedef struct dice {
    uint64_t seed, turn;
} dice;

/* A whole number in [low, high]. */
static int64_t roll(dice *d, int64_t low, int64_t high) {
    return low + (int64_t)(cvi_random_uniform(d->seed, 11, d->turn++) * (double)(high - low + 1));
}

static void ints(net *n, cvi_node *node, int k, const char *name, int count, const int64_t *v) {
    assert_true(cvi_attr_set_ints(n->g, &node->attr[k], name, count, v));
}

static void one_int(net *n, cvi_node *node, int k, const char *name, int64_t v) {
    assert_true(cvi_attr_set_int(n->g, &node->attr[k], name, v));
}

/* The number that the terms make, by the rule of their kind; slopes make none. */
static bool made_of(const cvs_unit *u, double *out) {
    double sum = u->kind == CVS_UNIT_SUM ? u->bias : 0, high = -INFINITY;
    for (int64_t i = 0; i < u->n_terms; i++) {
        const cvs_term *t = &u->terms[i];
        sum += u->kind == CVS_UNIT_SUM       ? t->value * t->weight
               : u->kind == CVS_UNIT_SOFTMAX ? t->weight
               : u->kind == CVS_UNIT_COPY    ? t->value
                                             : 0;
        high = fmax(high, t->value);
    }
    *out = u->kind == CVS_UNIT_MAX ? high : u->kind == CVS_UNIT_SOFTMAX ? u->terms[u->own].weight / sum : sum;
    return u->kind != CVS_UNIT_FUNCTION;
}

static void check_source(net *n, cvs_run *run, const cvs_source *s, const cvs_term *t) {
    cvs_tensor from;
    if (t->at < 0) {
        assert_true(t->value == 0);
        return;
    }
    if (s->place == CVS_PLACE_INPUT) {
        NET_OK(n, cvs_run_input(run, s->index, &from, &n->err));
    } else if (s->place == CVS_PLACE_LAYER) {
        NET_OK(n, cvs_run_layer(run, s->index, &from, &n->err));
    } else {
        return;
    }
    assert_true(t->at < cvs_tensor_count(&from));
    assert_true(fabs(cvi_get(&from, t->at) - t->value) <= 1e-6 * fmax(1, fabs(t->value)));
}

/* Runs the net (its last layer is what is tested) and takes `times` of its numbers apart. Returns how many were exact. */
static int take_apart(net *n, dice *d, int rank, const int64_t *dim, int times) {
    cvs_tensor x = net_tensor(n, rank, dim, d->seed + 5), y;
    cvs_run *run = NULL;
    int exact = 0, last = cvi_graph_n_layers(n->g) - 1;
    NET_OK(n, cvs_run_new(n->model, &(cvs_run_options){.threads = 1}, &run, &n->err));
    NET_OK(n, cvs_run_tensors(run, &x, 1, &n->err));
    NET_OK(n, cvs_run_layer(run, last, &y, &n->err));
    int64_t count = cvs_tensor_count(&y);
    for (int i = 0; i < times; i++) {
        cvs_unit u;
        double made;
        int64_t at = i == 0 ? 0 : i == 1 ? count - 1 : roll(d, 0, count - 1);
        NET_OK(n, cvs_run_unit(run, CVS_PLACE_LAYER, last, at, CVS_EN, &u, &n->err));
        assert_true(u.n_terms > 0 && u.at == at && u.result == cvi_get(&y, at));
        for (int64_t k = 0; k < u.n_terms; k++) {
            check_source(n, run, &u.source[u.terms[k].source], &u.terms[k]);
        }
        if (made_of(&u, &made)) {
            if (!(fabs(made - u.result) <= 2e-4 * fmax(1, fabs(made)))) {
                fail_msg("%s: element %lld is %.9g, its terms make %.9g", u.op, (long long)at, u.result,
                         made);
            }
            assert_true(fabs(u.total - made) <= 1e-9 * fmax(1, fabs(made)));
            exact++;
        }
        cvs_unit_free(&u);
    }
    cvs_unit none;
    assert_int_equal(cvs_run_unit(run, CVS_PLACE_LAYER, last, count, CVS_EN, &none, NULL), CVS_E_ARGUMENT);
    assert_int_equal(cvs_run_unit(run, CVS_PLACE_LAYER, last, -1, CVS_EN, &none, NULL), CVS_E_ARGUMENT);
    assert_int_equal(cvs_run_unit(run, CVS_PLACE_LAYER, last + 1, 0, CVS_EN, &none, NULL), CVS_E_NOT_FOUND);
    cvs_run_free(run);
    cvs_tensor_free(&x);
    return exact;
}

/* ---- windows ------------------------------------------------------------------------------------------------------ */

/* A window whose settings are rolled; k of them are set from attribute 0 on. */
static int64_t roll_window(net *n, dice *d, cvi_node *node, bool dilated, int64_t kernel[2]) {
    int64_t stride[2] = {roll(d, 1, 3), roll(d, 1, 3)}, dilation[2] = {1, 1}, pad[4];
    for (int a = 0; a < 2; a++) {
        dilation[a] = dilated ? roll(d, 1, 2) : 1;
        pad[a] = roll(d, 0, kernel[a] - 1);
        pad[2 + a] = roll(d, 0, kernel[a] - 1);
    }
    ints(n, node, 0, "pads", 4, pad);
    ints(n, node, 1, "strides", 2, stride);
    ints(n, node, 2, "dilations", 2, dilation);
    return stride[0];
}

static void a_convolution(uint64_t seed, bool transposed) {
    dice d = {.seed = seed};
    net n;
    cvi_node *node;
    int64_t groups = roll(&d, 1, 3), in = groups * roll(&d, 1, 3), out = groups * roll(&d, 1, 3);
    int64_t kernel[2] = {roll(&d, 1, 4), roll(&d, 1, 4)}, dim[4] = {2, in, roll(&d, 7, 11), roll(&d, 7, 11)};
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, dim);
    int64_t w[4] = {transposed ? in : out, (transposed ? out : in) / groups, kernel[0], kernel[1]};
    int ins[3] = {x, net_weight(&n, "w", 4, w, 0.5), net_weight(&n, "b", 1, &out, 0.5)};
    int y = net_op(&n, transposed ? "ConvTranspose" : "Conv", "y", roll(&d, 2, 3) == 2 ? 2 : 3, ins,
                   transposed ? 5 : 4, &node);
    int64_t stride = roll_window(&n, &d, node, true, kernel);
    one_int(&n, node, 3, "group", groups);
    if (transposed) {
        ints(&n, node, 4, "output_padding", 2, (int64_t[]){stride > 1 ? roll(&d, 0, 1) : 0, 0});
    }
    net_finish(&n, y);
    assert_int_equal(take_apart(&n, &d, 4, dim, 12), 12);
    net_end(&n);
}

static void test_convolutions(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        a_convolution(seed, false);
        a_convolution(seed + 100, true);
    }
}

static void a_pool(const char *op, uint64_t seed) {
    dice d = {.seed = seed};
    net n;
    cvi_node *node;
    bool max = strcmp(op, "MaxPool") == 0;
    int64_t kernel[2] = {roll(&d, 1, 4), roll(&d, 1, 4)},
            dim[4] = {2, roll(&d, 1, 4), roll(&d, 8, 12), roll(&d, 8, 12)};
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, dim);
    int y = net_op(&n, op, "y", 1, &x, max ? 5 : 6, &node);
    roll_window(&n, &d, node, max, kernel);
    ints(&n, node, 3, "kernel_shape", 2, kernel);
    one_int(&n, node, 4, "ceil_mode", roll(&d, 0, 1));
    if (!max) {
        one_int(&n, node, 5, "count_include_pad", roll(&d, 0, 1));
    }
    net_finish(&n, y);
    assert_int_equal(take_apart(&n, &d, 4, dim, 12), 12);
    net_end(&n);
}

static void test_pools(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        a_pool("MaxPool", seed);
        a_pool("AveragePool", seed + 50);
    }
}

/* ---- without settings ----------------------------------------------------------------------------------------------- */

static void a_plain_one(const char *op, uint64_t seed, int exact) {
    dice d = {.seed = seed};
    net n;
    int64_t dim[4] = {roll(&d, 1, 2), roll(&d, 1, 6), roll(&d, 2, 7), roll(&d, 2, 7)};
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, dim);
    net_finish(&n, net_op(&n, op, "y", 1, &x, 0, NULL));
    int got = take_apart(&n, &d, 4, dim, 8);
    if (got != exact) {
        fail_msg("%s: %d of 8 numbers are exact, not %d", op, got, exact);
    }
    net_end(&n);
}

static void test_plain_ones(void **state) {
    (void)state;
    static const char *const sums[] = {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool",
                                       "Flatten",           "Identity",      "Dropout",
                                       "Softmax",           "Transpose",     "Neg"};
    static const char *const functions[] = {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Elu"};
    for (uint64_t seed = 1; seed <= 4; seed++) {
        for (int i = 0; i < CVI_COUNT(sums); i++) {
            a_plain_one(sums[i], seed, 8);
        }
        for (int i = 0; i < CVI_COUNT(functions); i++) {
            a_plain_one(functions[i], seed, 0);
        }
    }
}

/* ---- with constants or several inputs ----------------------------------------------------------------------------------- */

static void test_normalisation(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        dice d = {.seed = seed};
        net n;
        int64_t c = roll(&d, 1, 9), dim[4] = {1, c, roll(&d, 3, 6), roll(&d, 3, 6)};
        net_begin(&n, CVS_F32);
        int x = net_input(&n, "x", CVS_F32, 4, dim);
        int ins[5] = {x};
        for (int k = 1; k < 5; k++) {
            char name[8];
            snprintf(name, sizeof name, "p%d", k);
            ins[k] = net_weight(&n, name, 1, &c, 0.5);
        }
        float *variance = n.g->values[ins[4]].constant->data;
        for (int64_t i = 0; i < c; i++) {
            variance[i] = fabsf(variance[i]) + 0.1f;
        }
        net_finish(&n, net_op(&n, "BatchNormalization", "y", 5, ins, 0, NULL));
        assert_int_equal(take_apart(&n, &d, 4, dim, 10), 10);
        net_end(&n);
    }
}

/* conv -> relu beside the input's own 1x1 form: what meets in a sum, a concatenation, a dense layer. */
static void test_branches(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        dice d = {.seed = seed};
        net n;
        cvi_node *node;
        int64_t dim[4] = {1, 3, roll(&d, 4, 7), roll(&d, 4, 7)}, wide = roll(&d, 1, 6);
        for (int kind = 0; kind < 4; kind++) {
            net_begin(&n, CVS_F32);
            n.seed = seed;
            int x = net_input(&n, "x", CVS_F32, 4, dim);
            int a = net_relu(&n, "a_relu", net_conv(&n, "a", x, 3, wide, 1)),
                b = net_conv(&n, "b", x, 3, wide, 1);
            int y = -1;
            if (kind == 0) {
                y = net_op(&n, "Add", "y", 2, (int[]){a, b}, 0, NULL);
            } else if (kind == 1) {
                y = net_op(&n, "Sub", "y", 2, (int[]){a, b}, 0, NULL);
            } else if (kind == 2) {
                y = net_op(&n, "Concat", "y", 3, (int[]){b, a, x}, 1, &node);
                one_int(&n, node, 0, "axis", roll(&d, 0, 1) ? 1 : -3);
            } else {
                int f = net_op(&n, "Flatten", "flat", 1, &b, 0, NULL);
                y = net_dense(&n, "y", f, wide * dim[2] * dim[3], roll(&d, 1, 5));
            }
            net_finish(&n, y);
            assert_int_equal(take_apart(&n, &d, 4, dim, 10), 10);
            net_end(&n);
        }
    }
}

/* A broadcast row, and an average taken by ReduceMean. */
static void test_by_the_gradient(void **state) {
    (void)state;
    dice d = {.seed = 3};
    net n;
    cvi_node *node;
    int64_t dim[4] = {1, 4, 5, 6};
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, dim);
    int y = net_op(&n, "ReduceMean", "y", 1, &x, 2, &node);
    ints(&n, node, 0, "axes", 2, (int64_t[]){2, 3});
    one_int(&n, node, 1, "keepdims", 0);
    net_finish(&n, y);
    assert_int_equal(take_apart(&n, &d, 4, dim, 4), 4);
    net_end(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions), cmocka_unit_test(test_pools),
        cmocka_unit_test(test_plain_ones),   cmocka_unit_test(test_normalisation),
        cmocka_unit_test(test_branches),     cmocka_unit_test(test_by_the_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
