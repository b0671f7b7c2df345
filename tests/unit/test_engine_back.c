/* SPDX-License-Identifier: MIT
 * test_engine_back.c - the fast backward pass against the plain one: random nets of every operator that has a fast backward, every rule,
 * gradients to the picture, to values in the middle and to weights; the same bits on 1 and 2 threads and when asked again; and what
 * is shared (buffers, plans) never shows.
 */
#include "engine_net.h"
#include "test_helpers.h"

typedef struct maker {
    net n;
    uint64_t at, seed;
    int x;           /* the value to go on from, [N,C,H,W] */
    int64_t c, h, w; /* its sides */
    int names;
    int wanted[8], n_wanted;
} maker;

static int64_t draw(maker *m, int64_t low, int64_t high) {
    return low + (int64_t)(cvi_random_uniform(m->seed, 1, m->at++) * (double)(high - low + 1));
}

static const char *name(maker *m, char *buf) {
    snprintf(buf, 24, "v%d", m->names++);
    return buf;
}

static int weight(maker *m, int rank, const int64_t *dim, double scale) {
    char buf[24];
    return net_weight(&m->n, name(m, buf), rank, dim, scale);
}

static int op(maker *m, const char *type, int n_in, const int *in, int n_attr, cvi_node **node) {
    char buf[24];
    return net_op(&m->n, type, name(m, buf), n_in, in, n_attr, node);
}

static void ints(maker *m, cvi_node *node, int at, const char *key, int n, const int64_t *v) {
    assert_true(cvi_attr_set_ints(m->n.g, &node->attr[at], key, n, v));
}

static void keep(maker *m, int v) {
    if (m->n_wanted < 8) {
        m->wanted[m->n_wanted++] = v;
    }
}

static void add_conv(maker *m) {
    int64_t groups = draw(m, 0, 2) == 0 ? m->c : draw(m, 0, 3) == 0 && m->c % 2 == 0 ? 2 : 1;
    int64_t filters = groups == m->c ? m->c : groups * draw(m, 1, 9), k = draw(m, 1, 3),
            stride = draw(m, 1, 2);
    int in[3] = {m->x, weight(m, 4, (int64_t[]){filters, m->c / groups, k, k}, 0.3),
                 weight(m, 1, &filters, 0.3)};
    cvi_node *node;
    if (draw(m, 0, 1) == 0) {
        keep(m, in[1]);
        keep(m, in[2]);
    }
    m->x = op(m, "Conv", (int)draw(m, 2, 3), in, 3, &node);
    ints(m, node, 0, "pads", 4, (int64_t[]){k / 2, k / 2, k / 2, k / 2});
    ints(m, node, 1, "strides", 2, (int64_t[]){stride, stride});
    assert_true(cvi_attr_set_int(m->n.g, &node->attr[2], "group", groups));
    m->c = filters;
    m->h = (m->h + 2 * (k / 2) - k) / stride + 1;
    m->w = (m->w + 2 * (k / 2) - k) / stride + 1;
}

static void add_transpose(maker *m) {
    int64_t filters = draw(m, 1, 9);
    int in[2] = {m->x, weight(m, 4, (int64_t[]){m->c, filters, 2, 2}, 0.3)};
    cvi_node *node;
    keep(m, in[1]);
    m->x = op(m, "ConvTranspose", 2, in, 1, &node);
    ints(m, node, 0, "strides", 2, (int64_t[]){2, 2});
    m->c = filters;
    m->h *= 2;
    m->w *= 2;
}

static void add_norm(maker *m) {
    int variance = weight(m, 1, &m->c, 1);
    cvs_tensor *t = (cvs_tensor *)(uintptr_t)m->n.g->values[variance].constant;
    for (int64_t i = 0; i < m->c; i++) {
        cvi_put(t, i, fabs(cvi_get(t, i)) + 0.3);
    }
    int in[5] = {m->x, weight(m, 1, &m->c, 1), weight(m, 1, &m->c, 1), weight(m, 1, &m->c, 1), variance};
    if (draw(m, 0, 2) == 0) {
        keep(m, m->x);
    }
    m->x = op(m, "BatchNormalization", 5, in, 0, NULL);
}

static void add_activation(maker *m) {
    static const char *const smooth[] = {"Relu", "LeakyRelu", "Sigmoid", "HardSwish", "Elu", "Tanh"};
    int64_t which = draw(m, 0, 8);
    if (which < CVI_COUNT(smooth)) {
        m->x = op(m, smooth[which], 1, &m->x, 0, NULL);
        if (draw(m, 0, 2) == 0) {
            keep(m, m->x);
        }
        return;
    }
    cvs_tensor six = {.dtype = CVS_F32, .data = cvi_arena_alloc(m->n.model->arena, 1, 4), .bytes = 4};
    cvs_tensor zero = six;
    char a[24], b[24];
    zero.data = cvi_arena_alloc(m->n.model->arena, 1, 4);
    *(float *)six.data = 1.5f;
    int in[3] = {m->x, cvi_graph_constant(m->n.g, name(m, a), &zero, &m->n.err),
                 cvi_graph_constant(m->n.g, name(m, b), &six, &m->n.err)};
    m->x = op(m, "Clip", 3, in, 0, NULL);
}

static void add_pool(maker *m) {
    int64_t k = draw(m, 1, 3), stride = draw(m, 1, 3), pad = k > 1 ? draw(m, 0, 1) : 0;
    cvi_node *node;
    if (m->h + 2 * pad < k || m->w + 2 * pad < k) {
        return;
    }
    m->x = op(m, draw(m, 0, 1) ? "MaxPool" : "AveragePool", 1, &m->x, 3, &node);
    ints(m, node, 0, "kernel_shape", 2, (int64_t[]){k, k});
    ints(m, node, 1, "strides", 2, (int64_t[]){stride, stride});
    ints(m, node, 2, "pads", 4, (int64_t[]){pad, pad, pad, pad});
    m->h = (m->h + 2 * pad - k) / stride + 1;
    m->w = (m->w + 2 * pad - k) / stride + 1;
}

/* x + f(x), x * x, or x and f(x) side by side. */
static void add_branch(maker *m) {
    int before = m->x;
    int in[2] = {m->x, weight(m, 4, (int64_t[]){m->c, m->c, 1, 1}, 0.3)};
    int f = op(m, "Conv", 2, in, 0, NULL);
    cvi_node *node;
    keep(m, f);
    switch (draw(m, 0, 4)) {
    case 0:
        m->x = op(m, "Add", 2, (int[]){before, f}, 0, NULL);
        break;
    case 1:
        m->x = op(m, "Mul", 2, (int[]){f, before}, 0, NULL);
        break;
    case 2:
        m->x = op(m, "Add", 2, (int[]){f, f}, 0, NULL);
        break;
    case 3:
        m->x = op(m, "Mul", 2, (int[]){f, f}, 0, NULL);
        break;
    default:
        m->x = op(m, "Concat", 3, (int[]){before, f, before}, 1, &node);
        assert_true(cvi_attr_set_int(m->n.g, &node->attr[0], "axis", 1));
        m->c *= 3;
        break;
    }
}

/* A weight for every channel, made from all positions. */
static void add_squeeze(maker *m) {
    int mean = op(m, "GlobalAveragePool", 1, &m->x, 0, NULL);
    int in[2] = {mean, weight(m, 4, (int64_t[]){m->c, m->c, 1, 1}, 0.5)};
    int gate = op(m, "Conv", 2, in, 0, NULL);
    keep(m, gate);
    gate = op(m, "Sigmoid", 1, &gate, 0, NULL);
    m->x = op(m, "Mul", 2, (int[]){m->x, gate}, 0, NULL);
}

/* An operator without a fast form in between: gradients change their form on the way. */
static void add_plain(maker *m) {
    m->x = op(m, draw(m, 0, 1) ? "Softsign" : "Sin", 1, &m->x, 0, NULL);
}

static void make(maker *m, uint64_t seed) {
    static void (*const parts[])(maker *) = {add_conv,       add_conv, add_norm,   add_activation,
                                             add_activation, add_pool, add_branch, add_squeeze,
                                             add_transpose,  add_plain};
    *m = (maker){.seed = seed, .c = 3, .h = 11, .w = 9};
    net_begin(&m->n, CVS_F32);
    m->n.seed = seed * 100 + 1;
    m->x = net_input(&m->n, "x", CVS_F32, 4, (int64_t[]){2, 3, 11, 9});
    keep(m, m->x);
    for (int64_t i = draw(m, 4, 9); i > 0; i--) {
        parts[draw(m, 0, CVI_COUNT(parts) - 1)](m);
    }
    if (m->h * m->w < 400) {
        m->x = op(m, "Flatten", 1, &m->x, 0, NULL);
    } else {
        m->x = op(m, "GlobalAveragePool", 1, &m->x, 0, NULL);
        m->x = op(m, "Flatten", 1, &m->x, 0, NULL);
        m->h = m->w = 1;
    }
    char buf[24];
    m->x = net_dense(&m->n, name(m, buf), m->x, m->c * m->h * m->w, 5);
    net_finish(&m->n, m->x);
}

static cvs_tensor ask(maker *m, cvi_exec *x, cvi_rule rule, int wanted, int all) {
    cvs_tensor seed, t, copy = {0};
    NET_OK(&m->n, cvs_tensor_new(&seed, CVS_F32, 2, (int64_t[]){2, 5}, &m->n.err));
    for (int i = 0; i < 10; i++) {
        cvi_put(&seed, i, cvi_random_normal(5, 5, (uint64_t)i));
    }
    NET_OK(&m->n, cvi_exec_backward(x, rule, &m->x, &seed, 1, all ? m->wanted : &m->wanted[wanted],
                                    all ? m->n_wanted : 1, &m->n.err));
    NET_OK(&m->n, cvi_exec_gradient(x, m->wanted[wanted], &t, &m->n.err));
    NET_OK(&m->n, cvs_tensor_convert(&t, t.dtype, &copy, &m->n.err));
    cvs_tensor_free(&seed);
    return copy;
}

static double largest(const cvs_tensor *t) {
    double most = 0;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        most = fmax(most, fabs(cvi_get(t, i)));
    }
    return most;
}

/* Where the weights have other roundings a number near a limit may fall on its other side: nearly all must agree. */
static void compare_fused(maker *m, cvi_exec *fused, cvi_exec *plain) {
    for (int rule = 0; rule < CVI_N_RULES; rule++) {
        for (int w = 0; w < m->n_wanted; w++) {
            cvs_tensor a = ask(m, fused, (cvi_rule)rule, w, 1), b = ask(m, plain, (cvi_rule)rule, w, 1);
            double most = largest(&b);
            int64_t off = 0, count = cvs_tensor_count(&b);
            for (int64_t i = 0; i < count; i++) {
                off += !(fabs(cvi_get(&a, i) - cvi_get(&b, i)) <= 1e-4 * (1 + most));
            }
            if (off > count / 50) {
                fail_msg("net %d, rule %d, %s: %d of %d gradients of up to %g differ when nodes are fused",
                         (int)m->seed, rule, m->n.g->values[m->wanted[w]].name, (int)off, (int)count, most);
            }
            cvs_tensor_free(&a);
            cvs_tensor_free(&b);
        }
    }
}

static void compare(maker *m, cvi_exec *fast, cvi_exec *two, cvi_exec *plain) {
    for (int rule = 0; rule < CVI_N_RULES; rule++) {
        for (int w = 0; w < m->n_wanted; w++) {
            cvs_tensor a = ask(m, fast, (cvi_rule)rule, w, 1), b = ask(m, plain, (cvi_rule)rule, w, 1);
            cvs_tensor c = ask(m, two, (cvi_rule)rule, w, 1), d = ask(m, fast, (cvi_rule)rule, w, 0);
            cvs_tensor e = ask(m, two, (cvi_rule)rule, w, 0);
            double off = net_difference(&a, &b), most = largest(&b);
            if (!(off <= 2e-5 * (1 + most))) {
                fail_msg("net %d, rule %d, %s: gradients of up to %g differ by %g", (int)m->seed, rule,
                         m->n.g->values[m->wanted[w]].name, most, off);
            }
            if (memcmp(a.data, c.data, a.bytes) != 0) {
                fail_msg("net %d rule %d %s threads: %g", (int)m->seed, rule,
                         m->n.g->values[m->wanted[w]].name, net_difference(&a, &c));
            }
            assert_memory_equal(a.data, c.data, a.bytes);
            if (memcmp(d.data, e.data, d.bytes) != 0) {
                fail_msg("net %d rule %d %s threads alone: %g", (int)m->seed, rule,
                         m->n.g->values[m->wanted[w]].name, net_difference(&d, &e));
            }
            if (!(net_difference(&a, &d) <= 1e-5 * (1 + most))) {
                fail_msg("net %d rule %d %s alone: %g of %g", (int)m->seed, rule,
                         m->n.g->values[m->wanted[w]].name, net_difference(&a, &d), most);
            }
            assert_memory_equal(d.data, e.data, d.bytes);
            assert_true(net_difference(&a, &d) <= 1e-5 * (1 + most));
            cvs_tensor_free(&a);
            cvs_tensor_free(&b);
            cvs_tensor_free(&c);
            cvs_tensor_free(&d);
            cvs_tensor_free(&e);
        }
    }
}

static void random_nets(void **state) {
    (void)state;
    cvi_pool *pool = cvi_pool_new(2);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        maker m;
        make(&m, seed);
        cvs_tensor in = net_tensor(&m.n, 4, (int64_t[]){2, 3, 11, 9}, seed);
        cvi_exec *x[5];
        for (int i = 0; i < 5; i++) {
            cvi_exec_options options = {.exact = i < 3,
                                        .keep_aux = true,
                                        .pool = i == 1 ? pool : NULL,
                                        .plain = i == 2,
                                        .keep = i == 3 ? CVI_KEEP_GRADIENTS : CVI_KEEP_ALL};
            NET_OK(&m.n, cvi_exec_new(m.n.g, &in, &options, &x[i], &m.n.err));
            NET_OK(&m.n, cvi_exec_forward(x[i], &in, -1, &m.n.err));
        }
        compare(&m, x[0], x[1], x[2]);
        compare_fused(&m, x[3], x[2]);
        compare_fused(&m, x[4], x[2]);
        for (int i = 0; i < 5; i++) {
            cvi_exec_free(x[i]);
        }
        cvs_tensor_free(&in);
        net_end(&m.n);
    }
    cvi_pool_free(pool);
}

/* Another picture, another question, the first one again: nothing of a call is seen in the next, and nothing is allocated. */
static bool count_alloc(void *context, size_t bytes) {
    (void)bytes;
    ++*(int *)context;
    return false;
}

static void asked_again(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    net_branched(&n, CVS_F32);
    cvs_tensor one = net_tensor(&n, 4, (int64_t[]){1, 3, 12, 10}, 3), other = net_tensor(&n, 4, one.dim, 4),
               g;
    cvs_tensor seed = net_tensor(&n, 2, (int64_t[]){1, 7}, 9), first = {0};
    int logits = cvi_graph_find(n.g, "logits"), in = cvi_graph_find(n.g, "x"),
        mid = cvi_graph_find(n.g, "relu1");
    NET_OK(&n, cvi_exec_new(n.g, &one, NULL, &x, &n.err));
    int allocations[8] = {0};
    for (int round = 0; round < 8; round++) {
        cvi_hooks hooks = {.fail_alloc = count_alloc, .context = &allocations[round]};
        NET_OK(&n, cvi_exec_forward(x, round % 2 ? &other : &one, -1, &n.err));
        cvi_set_hooks(&hooks);
        cvs_status s =
            cvi_exec_backward(x, CVI_GRADIENT, &logits, &seed, 1, round % 4 == 3 ? &mid : &in, 1, &n.err);
        cvi_set_hooks(NULL);
        NET_OK(&n, s);
        if (round % 2 == 0) {
            NET_OK(&n, cvi_exec_gradient(x, in, &g, &n.err));
            if (round == 0) {
                NET_OK(&n, cvs_tensor_convert(&g, CVS_F32, &first, &n.err));
            }
            assert_memory_equal(g.data, first.data, first.bytes);
            assert_int_equal(cvi_exec_gradient(x, mid, &g, NULL), CVS_E_NOT_FOUND);
        }
    }
    assert_true(allocations[6] <= 8 && allocations[7] <= 8); /* the call's own small tables */
    NET_OK(&n, cvi_exec_forward(x, &one, -1, &n.err));
    assert_int_equal(cvi_exec_gradient(x, in, &g, NULL), CVS_E_NOT_FOUND); /* of the run before */
    cvi_exec_free(x);
    cvs_tensor_free(&first);
    cvs_tensor_free(&one);
    cvs_tensor_free(&other);
    cvs_tensor_free(&seed);
    net_end(&n);
}

static int failing;
static bool fail_kth(void *context, size_t bytes) {
    (void)bytes, (void)context;
    return failing-- == 0;
}

/* Every allocation of a first backward pass may fail: an error, no leak, and the next call answers. */
static void allocation_failures(void **state) {
    (void)state;
    maker m;
    make(&m, 7);
    cvs_tensor in = net_tensor(&m.n, 4, (int64_t[]){2, 3, 11, 9}, 7), seed;
    NET_OK(&m.n, cvs_tensor_new(&seed, CVS_F32, 2, (int64_t[]){2, 5}, &m.n.err));
    cvi_hooks hooks = {.fail_alloc = fail_kth};
    cvs_status s = CVS_E_MEMORY;
    for (int k = 0; s != CVS_OK; k++) {
        cvi_exec *x;
        assert_true(k < 500);
        NET_OK(&m.n, cvi_exec_new(m.n.g, &in, NULL, &x, &m.n.err));
        NET_OK(&m.n, cvi_exec_forward(x, &in, -1, &m.n.err));
        failing = k;
        cvi_set_hooks(&hooks);
        s = cvi_exec_backward(x, CVI_GUIDED, &m.x, &seed, 1, m.wanted, m.n_wanted, NULL);
        cvi_set_hooks(NULL);
        assert_true(s == CVS_OK || s == CVS_E_MEMORY);
        NET_OK(&m.n, cvi_exec_backward(x, CVI_GUIDED, &m.x, &seed, 1, m.wanted, m.n_wanted, &m.n.err));
        cvi_exec_free(x);
    }
    cvs_tensor_free(&in);
    cvs_tensor_free(&seed);
    net_end(&m.n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_nets),
        cmocka_unit_test(asked_again),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
