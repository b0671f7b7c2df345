/* SPDX-License-Identifier: MIT
 * test_diagnose.c - parts of a diagnosis against what is known: eigenvalues, mixtures, filters cut out of nets whose filters are dead,
 * copies or mixtures by construction (the answers must stay), through pooling, concatenation, depthwise kernels and flattening.
 */
#include "convscope/diagnose.h"
#include "engine_net.h"
#include "explain/units.h"
#include "test_helpers.h"

enum { H = 8, W = 8, N = 6, CLASSES = 3 };

static void test_eigenvalues(void **state) {
    (void)state;
    enum { K = 24 };
    double a[K * K], copy[K * K], value[K], trace = 0.0, squares = 0.0, sum = 0.0, sum_squares = 0.0;
    for (int i = 0; i < K; i++) {
        for (int j = 0; j <= i; j++) {
            a[i * K + j] = a[j * K + i] = cvi_random_normal(3, 5, (uint64_t)(i * K + j));
        }
        trace += a[i * K + i];
    }
    for (int i = 0; i < K * K; i++) {
        squares += a[i] * a[i];
    }
    memcpy(copy, a, sizeof a);
    assert_int_equal(cvi_eigenvalues(copy, K, value, NULL), CVS_OK);
    for (int i = 0; i < K; i++) {
        sum += value[i];
        sum_squares += value[i] * value[i];
    }
    assert_true(fabs(sum - trace) < 1e-10 && fabs(sum_squares - squares) < 1e-9);
    /* 2x2 by hand: 2 +- 1; and a diagonal */
    double two[4] = {2, 1, 1, 2}, diagonal[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, rank;
    assert_int_equal(cvi_eigenvalues(two, 2, value, NULL), CVS_OK);
    assert_true(fabs(fmax(value[0], value[1]) - 3.0) < 1e-12 && fabs(fmin(value[0], value[1]) - 1.0) < 1e-12);
    assert_int_equal(cvi_effective_rank(diagonal, 3, &rank, NULL), CVS_OK);
    assert_true(fabs(rank - 3.0) < 1e-12);
    diagonal[4] = diagonal[8] = 0.0;
    assert_int_equal(cvi_effective_rank(diagonal, 3, &rank, NULL), CVS_OK);
    assert_true(fabs(rank - 1.0) < 1e-12);
}

static void test_mixtures(void **state) {
    (void)state;
    /* channel 2 = 2 * channel 0 - channel 1, channels 0 and 1 independent with variances 1 and 4 */
    double cov[9] = {1, 0, 2, 0, 4, -4, 2, -4, 8}, mix[2];
    bool keep[3];
    int kept[2] = {0, 1}, gone[1] = {2};
    assert_int_equal(cvi_independent(cov, 3, 0.01, keep, NULL), CVS_OK);
    assert_int_equal(keep[0] + keep[1] + keep[2], 2);
    assert_int_equal(cvi_mix(cov, 3, kept, 2, gone, 1, mix, NULL), CVS_OK);
    assert_true(fabs(mix[0] - 2.0) < 1e-4 && fabs(mix[1] + 1.0) < 1e-4);
}

/* ---- nets with filters that may go --------------------------------------------------------------------------- */

typedef struct asked {
    net n;
    cvi_labelled l;
    cvi_units u;
    cvi_exec *shapes;
} asked;

static float *numbers(asked *a, const char *name) {
    int v = cvi_graph_find(a->n.g, name);
    assert_true(v >= 0);
    return a->n.g->values[v].constant->data;
}

/* Filter `to` of a convolution with `each` weights a filter becomes scale times filter `from`. */
static void repeat(asked *a, const char *w, const char *b, int each, int from, int to, float scale) {
    float *k = numbers(a, w), *bias = numbers(a, b);
    for (int i = 0; i < each; i++) {
        k[to * each + i] = scale * k[from * each + i];
    }
    bias[to] = scale * bias[from];
}

static int depthwise(net *n, int x, int64_t channels) {
    cvi_node *node;
    int in[3] = {x, net_weight(n, "deep_w", 4, (int64_t[]){channels, 1, 3, 3}, 0.4),
                 net_weight(n, "deep_b", 1, (int64_t[]){channels}, 0.2)};
    int y = net_op(n, "Conv", "deep", 3, in, 2, &node);
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "pads", 4, (int64_t[]){1, 1, 1, 1}));
    assert_true(cvi_attr_set_int(n->g, &node->attr[1], "group", channels));
    return y;
}

static void labels(asked *a) {
    a->l = (cvi_labelled){.shape = {.dtype = CVS_F32, .rank = 4, .dim = {1, 3, H, W}},
                          .n = N,
                          .pixels = 3 * H * W,
                          .classes = CLASSES,
                          .n_first = N};
    a->l.x = cvi_calloc(N * 3 * H * W, sizeof(float));
    a->l.label = cvi_calloc(N, sizeof(int));
    a->l.order = cvi_calloc(N, sizeof(int64_t));
    net_fill(CVS_F32, a->l.x, N * 3 * H * W, 77, 1.0);
    for (int i = 0; i < N; i++) {
        a->l.order[i] = i;
        a->l.label[i] = i % CLASSES;
    }
}

/* x -> conv a (6) -> relu -> pool -> {conv b (4) -> relu, depthwise (of another conv)} ... flattened into a dense layer. */
static void begin(asked *a) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int one = net_pool(n, "pool", net_relu(n, "ra", net_conv(n, "a", x, 3, 6, 1)));
    int left = net_relu(n, "rb", net_conv(n, "b", one, 6, 4, 1));
    int right = net_relu(n, "rd", depthwise(n, net_relu(n, "rc", net_conv(n, "c", one, 6, 5, 1)), 5));
    cvi_node *node;
    int both = net_op(n, "Concat", "joined", 2, (int[]){left, right}, 1, &node);
    assert_true(cvi_attr_set_int(n->g, &node->attr[0], "axis", 1));
    int flat = net_op(n, "Flatten", "flat", 1, &both, 0, NULL);
    int d = net_dense(n, "logits", flat, 9 * (H / 2) * (W / 2), CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    labels(a);
}

static void find(asked *a) {
    cvi_exec_options o = {.keep = CVI_KEEP_ANSWER};
    NET_OK(&a->n, cvi_exec_new(a->n.g, &a->l.shape, &o, &a->shapes, &a->n.err));
    NET_OK(&a->n, cvi_units_find(a->n.g, a->shapes, &a->u, &a->n.err));
    NET_OK(&a->n, cvi_units_measure(&a->u, a->n.model, NULL, &a->l, NULL, &a->n.err));
}

static void end(asked *a) {
    cvi_units_free(&a->u);
    cvi_exec_free(a->shapes);
    cvi_labelled_free(&a->l);
    net_end(&a->n);
}

static cvi_unit *unit(asked *a, const char *layer, int *number) {
    for (int i = 0; i < a->u.n; i++) {
        if (strcmp(a->n.g->nodes[a->u.list[i].node].layer, layer) == 0) {
            *number = i;
            return &a->u.list[i];
        }
    }
    fail_msg("there is no unit %s", layer);
    return NULL;
}

/* The largest difference of a logit once filters of a layer are cut out; how many parameters went. */
static double without(asked *a, const char *layer, const int *filters, int n, int64_t *params) {
    bool filter[16] = {0}, *all[16] = {0};
    double before[N * CLASSES], after[N * CLASSES], most = 0.0;
    int number;
    int64_t macs, was, is;
    cvs_model *twin;
    unit(a, layer, &number);
    all[number] = filter;
    for (int i = 0; i < n; i++) {
        filter[filters[i]] = true;
    }
    NET_OK(&a->n, cvi_cut_make(a->n.model, &(cvi_cut){.units = &a->u, .filter = all}, &twin, &a->n.err));
    cvs_run_options o = {.height = H, .width = W};
    NET_OK(&a->n, cvi_model_size(a->n.model, &o, &macs, &was, &a->n.err));
    NET_OK(&a->n, cvi_model_size(twin, &o, &macs, &is, &a->n.err));
    *params = was - is;
    NET_OK(&a->n, cvi_labelled_ask(&a->l, a->n.model, NULL, 0, N, NULL, NULL, NULL, before, &a->n.err));
    NET_OK(&a->n, cvi_labelled_ask(&a->l, twin, NULL, 0, N, NULL, NULL, NULL, after, &a->n.err));
    for (int i = 0; i < N * CLASSES; i++) {
        most = fmax(most, fabs(before[i] - after[i]));
    }
    cvs_model_free(twin);
    return most;
}

static void test_copies_and_dead_filters_go_without_a_trace(void **state) {
    (void)state;
    asked a = {0};
    int64_t params;
    int number;
    begin(&a);
    repeat(&a, "a_w", "a_b", 27, 0, 3,
           2.0f); /* filter 3 of a = 2 * filter 0, also after the rectifier and the pool */
    for (int i = 0; i < 27; i++) {
        numbers(&a, "a_w")[5 * 27 + i] = 0.0f; /* filter 5: always max(-1, 0) */
    }
    numbers(&a, "a_b")[5] = -1.0f;
    repeat(&a, "b_w", "b_b", 54, 1, 2, 0.5f);
    repeat(&a, "c_w", "c_b", 54, 4, 0, 1.0f);
    for (int i = 0; i < 9; i++) {
        numbers(&a, "deep_w")[i] = numbers(&a, "deep_w")[4 * 9 + i];
    }
    numbers(&a, "deep_b")[0] = numbers(&a, "deep_b")[4];
    find(&a);
    assert_int_equal(a.u.n, 5);
    const cvi_unit *first = unit(&a, "a", &number);
    assert_null(first->stuck);
    assert_int_equal(first->n_reader, 2);
    assert_true(first->most[5] == 0.0 && first->least[5] == 0.0);
    assert_true(first->cov[3 * 6 + 0] > 0.0 && first->rank < 4.5);
    assert_true(without(&a, "a", (int[]){3, 5}, 2, &params) < 1e-4);
    assert_int_equal(params, 2 * (27 + 1) + 2 * 9 * 4 + 2 * 9 * 5);
    assert_true(without(&a, "b", (int[]){2}, 1, &params) < 1e-4);
    assert_int_equal(params, 54 + 1 + (H / 2) * (W / 2) * CLASSES);
    /* c goes through its depthwise kernel: that filter's kernel and bias go too */
    assert_true(without(&a, "c", (int[]){0}, 1, &params) < 1e-4);
    assert_int_equal(params, 54 + 1 + 9 + 1 + (H / 2) * (W / 2) * CLASSES);
    /* a filter that is needed does leave a trace */
    assert_true(without(&a, "a", (int[]){1}, 1, &params) > 1e-3);
    assert_true(unit(&a, "logits", &number)->answer);
    end(&a);
}

static void test_switching_off_finds_who_matters(void **state) {
    (void)state;
    asked a = {0};
    bool limited;
    int number;
    begin(&a);
    float *w = numbers(&a, "logits_w"); /* the answer reads filter 3 of b no more */
    for (int o = 0; o < CLASSES; o++) {
        for (int i = 0; i < 16; i++) {
            w[o * 9 * 16 + 3 * 16 + i] = 0.0f;
        }
    }
    find(&a);
    double room[5][6], *loss[5] = {room[0], room[1], room[2], room[3], room[4]};
    cvi_switching s = {.model = a.n.model, .l = &a.l, .work = 1e12, .macs = 1e5, .err = &a.n.err};
    NET_OK(&a.n, cvi_units_switch(&s, &a.u, loss, &limited));
    assert_false(limited);
    unit(&a, "b", &number);
    assert_true(fabs(loss[number][3]) < 1e-7);
    /* by hand: the first filter of b at its mean */
    cvs_tensor x = a.l.shape, v, mine = {0};
    x.dim[0] = N;
    x.data = a.l.x;
    x.bytes = sizeof(float) * 3 * H * W * N;
    cvi_exec *exec;
    cvi_exec_options o = {0};
    NET_OK(&a.n, cvi_exec_new(a.n.g, &x, &o, &exec, &a.n.err));
    NET_OK(&a.n, cvi_exec_forward(exec, &x, -1, &a.n.err));
    int value = cvi_graph_find(a.n.g, "rb"), logits = cvi_graph_find(a.n.g, "logits");
    double sum[2] = {0.0, 0.0};
    for (int step = 0; step < 2; step++) {
        NET_OK(&a.n, cvi_exec_value(exec, logits, &v, &a.n.err));
        for (int i = 0; i < N; i++) {
            double z[CLASSES];
            for (int k = 0; k < CLASSES; k++) {
                z[k] = cvi_get(&v, i * CLASSES + k);
            }
            sum[step] += cvi_cross_entropy(z, CLASSES, a.l.label[i]) / N;
        }
        if (step == 0) {
            NET_OK(&a.n, cvi_exec_value(exec, value, &v, &a.n.err));
            NET_OK(&a.n, cvs_tensor_convert(&v, CVS_F32, &mine, &a.n.err));
            double mean = 0.0;
            for (int i = 0; i < N * 16; i++) {
                mean += (double)((float *)mine.data)[i / 16 * 64 + i % 16] / (N * 16);
            }
            for (int i = 0; i < N * 16; i++) {
                ((float *)mine.data)[i / 16 * 64 + i % 16] = (float)mean;
            }
            NET_OK(&a.n, cvi_exec_forward_from(exec, value, &mine, &a.n.err));
        }
    }
    assert_true(fabs(loss[number][0] - (sum[1] - sum[0])) < 1e-5);
    cvi_exec_free(exec);
    cvs_tensor_free(&mine);
    /* little work: few are tried, and it is said */
    s.work = 6e5 * N;
    NET_OK(&a.n, cvi_units_switch(&s, &a.u, loss, &limited));
    assert_true(limited);
    end(&a);
}

/* A residual sum: its branch's inner filters go alone, its last ones with the stem's, and it can be left out where it adds nothing. */
static void test_sums_tie_filters(void **state) {
    (void)state;
    asked a = {0};
    int number;
    net *n = &a.n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int stem = net_relu(n, "rs", net_conv(n, "stem", x, 3, 4, 1));
    int inner = net_relu(n, "ri", net_conv(n, "inner", stem, 4, 5, 1));
    int outer = net_conv(n, "outer", inner, 5, 4, 1);
    int sum = net_op(n, "Add", "sum", 2, (int[]){stem, outer}, 0, NULL);
    int p = net_op(n, "GlobalAveragePool", "gap", 1, &sum, 0, NULL);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), 4, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    cvi_exec_options o = {.keep = CVI_KEEP_ANSWER};
    cvs_tensor shape = {.dtype = CVS_F32, .rank = 4, .dim = {1, 3, H, W}};
    NET_OK(n, cvi_exec_new(n->g, &shape, &o, &a.shapes, &n->err));
    NET_OK(n, cvi_units_find(n->g, a.shapes, &a.u, &n->err));
    assert_null(unit(&a, "inner", &number)->stuck);
    assert_non_null(unit(&a, "outer", &number)->stuck);
    assert_null(unit(&a, "stem", &number)->stuck);
    assert_int_equal(unit(&a, "stem", &number)->n_member, 1);
    cvs_model *twin;
    cvi_cut cut = {.units = &a.u, .n_layers = 1, .from = {sum}, .to = {stem}};
    NET_OK(n, cvi_cut_make(n->model, &cut, &twin, &n->err));
    assert_int_equal(twin->graph->n_nodes, n->g->n_nodes - 4); /* sum, inner, its rectifier, outer */
    cvs_model_free(twin);
    end(&a);
}

/* Channels put last before they are flattened, as Keras does: a filter's numbers lie apart in the dense layer. */
static void test_flattened_with_channels_last(void **state) {
    (void)state;
    asked a = {0};
    int64_t params;
    net *n = &a.n;
    net_begin(n, CVS_F32);
    cvi_node *node;
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int v = net_relu(n, "ra", net_conv(n, "a", x, 3, 5, 1));
    v = net_op(n, "Transpose", "turned", 1, &v, 1, &node);
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "perm", 4, (int64_t[]){0, 2, 3, 1}));
    int shape = cvi_graph_ints(n->g, "shape", 2, (int64_t[]){0, -1}, &n->err);
    v = net_op(n, "Reshape", "flat", 2, (int[]){v, shape}, 0, NULL);
    int d = net_dense(n, "logits", v, 5 * H * W, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    labels(&a);
    repeat(&a, "a_w", "a_b", 27, 1, 3, 1.5f);
    find(&a);
    assert_true(without(&a, "a", (int[]){3}, 1, &params) < 1e-4);
    assert_int_equal(params, 28 + H * W * CLASSES);
    assert_true(without(&a, "a", (int[]){0}, 1, &params) > 1e-3);
    end(&a);
}

/* ---- streams of residual networks ------------------------------------------------------------------------------ */

static int norm(net *n, const char *name, int x, int64_t channels) {
    char text[4][32];
    int in[5] = {x};
    for (int i = 0; i < 4; i++) {
        snprintf(text[i], sizeof text[i], "%s_%d", name, i);
        in[i + 1] = net_weight(n, text[i], 1, (int64_t[]){channels}, 0.5);
        float *v = n->g->values[in[i + 1]].constant->data;
        for (int64_t k = 0; k < channels; k++) {
            v[k] = i == 3 ? 0.5f + fabsf(v[k]) : v[k];
        }
    }
    return net_op(n, "BatchNormalization", name, 5, in, 0, NULL);
}

/* Channel c gives 0 behind a normalisation, whatever comes in. */
static void silence(asked *a, const char *norm_name, int c) {
    char text[40];
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "%s_%d", norm_name, i);
        numbers(a, text)[c] = 0.0f;
    }
}

/* stem (6) -> block (inner 5, outer 6) + skip -> relu -> depthwise -> { block2 (inner2 4, outer2 7), project (7) } + -> relu -> logits;
 * gate: the first sum also meets a product that no filter can leave. */
static void begin_stream(asked *a, bool gate) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int stem = net_relu(n, "rs", norm(n, "ns", net_conv(n, "stem", x, 3, 6, 1), 6));
    int inner = net_relu(n, "ri", norm(n, "ni", net_conv(n, "inner", stem, 6, 5, 1), 5));
    int outer = norm(n, "no", net_conv(n, "outer", inner, 5, 6, 1), 6);
    int sum = net_relu(n, "r1", net_op(n, "Add", "sum", 2, (int[]){stem, outer}, 0, NULL));
    if (gate) {
        sum = net_op(n, "Mul", "gate", 2, (int[]){sum, stem}, 0, NULL);
    }
    int deep = net_pool(n, "pool", net_relu(n, "rd", depthwise(n, sum, 6)));
    int inner2 = net_relu(n, "ri2", net_conv(n, "inner2", deep, 6, 4, 1));
    int outer2 = norm(n, "no2", net_conv(n, "outer2", inner2, 4, 7, 1), 7);
    int project = norm(n, "np", net_conv(n, "project", deep, 6, 7, 1), 7);
    int last = net_relu(n, "r2", net_op(n, "Add", "sum2", 2, (int[]){outer2, project}, 0, NULL));
    int p = net_op(n, "GlobalAveragePool", "gap", 1, &last, 0, NULL);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), 7, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    labels(a);
}

static void test_streams_lose_channels_everywhere(void **state) {
    (void)state;
    asked a = {0};
    int64_t params;
    int number;
    begin_stream(&a, false);
    silence(&a, "ns",
            2); /* channel 2 of the first stream: 0 in both terms; the depthwise kernel makes it its bias */
    silence(&a, "no", 2);
    numbers(&a, "deep_b")[2] = 0.0f;
    silence(&a, "no2", 4); /* channel 4 of the second */
    silence(&a, "np", 4);
    silence(&a, "ni", 1); /* inside a branch */
    silence(&a, "no", 5); /* only one of its terms */
    find(&a);
    const cvi_unit *stem = unit(&a, "stem", &number);
    assert_null(stem->stuck);
    assert_int_equal(stem->n_member, 1);
    assert_int_equal(stem->n_point, 2); /* what inner reads, and what inner2 and project read */
    assert_int_equal(stem->n_reader, 3);
    for (int c = 0; c < 6; c++) {
        assert_int_equal(cvi_unit_still(stem, c, 1e-6), c == 2);
    }
    assert_non_null(unit(&a, "outer", &number)->stuck);
    assert_null(unit(&a, "inner", &number)->stuck);
    assert_null(unit(&a, "inner2", &number)->stuck);
    const cvi_unit *second = unit(&a, "outer2", &number);
    const cvi_unit *other = unit(&a, "project", &number);
    assert_int_equal((second->stuck != NULL) + (other->stuck != NULL), 1);
    assert_true(without(&a, "stem", (int[]){2}, 1, &params) < 1e-6);
    /* rows: stem 27 + 1, outer 45 + 1, 4 + 4 of normalisation, depthwise 9 + 1; columns: inner 5 * 9, inner2 4 * 9, project 7 * 9.
     * The second sum's layers get no bias that they did not have. */
    assert_int_equal(params, 28 + 46 + 8 + 10 + 45 + 36 + 63);
    assert_true(without(&a, second->stuck ? "project" : "outer2", (int[]){4}, 1, &params) < 1e-6);
    assert_int_equal(params, 4 * 9 + 1 + 6 * 9 + 1 + 8 + CLASSES);
    assert_true(without(&a, "inner", (int[]){1}, 1, &params) < 1e-6);
    assert_int_equal(params, 6 * 9 + 1 + 4 + 6 * 9);
    assert_true(without(&a, "stem", (int[]){5}, 1, &params) > 1e-4); /* alive in the other term */
    end(&a);
}

static void test_streams_are_judged_at_every_reader(void **state) {
    (void)state;
    asked a = {0};
    int number;
    bool limited;
    begin_stream(&a, false);
    for (int o = 0; o < 5; o++) { /* the branch does not read channel 3; what follows the sum does */
        memset(numbers(&a, "inner_w") + (o * 6 + 3) * 9, 0, 9 * sizeof(float));
    }
    silence(&a, "ns", 1);
    silence(&a, "no", 1);
    numbers(&a, "deep_b")[1] = 0.0f;
    find(&a);
    double room[8][8], *loss[8];
    for (int i = 0; i < 8; i++) {
        loss[i] = room[i];
    }
    cvi_switching s = {.model = a.n.model, .l = &a.l, .work = 1e12, .macs = 1e5, .err = &a.n.err};
    NET_OK(&a.n, cvi_units_switch(&s, &a.u, loss, &limited));
    unit(&a, "stem", &number);
    assert_true(loss[number][1] == 0.0);
    assert_true(fabs(loss[number][3]) > 1e-6);
    end(&a);
    a = (asked){0};
    begin_stream(&a, true); /* a product holds the stream, and the report says so */
    find(&a);
    assert_non_null(unit(&a, "stem", &number)->stuck);
    assert_non_null(unit(&a, "outer", &number)->stuck);
    assert_null(unit(&a, "inner", &number)->stuck);
    assert_null(unit(&a, "inner2", &number)->stuck);
    end(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eigenvalues),
        cmocka_unit_test(test_mixtures),
        cmocka_unit_test(test_copies_and_dead_filters_go_without_a_trace),
        cmocka_unit_test(test_switching_off_finds_who_matters),
        cmocka_unit_test(test_sums_tie_filters),
        cmocka_unit_test(test_flattened_with_channels_last),
        cmocka_unit_test(test_streams_lose_channels_everywhere),
        cmocka_unit_test(test_streams_are_judged_at_every_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
