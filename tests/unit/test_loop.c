/* SPDX-License-Identifier: MIT
 * test_loop.c - the operators Loop, Scan and SequenceMap on graphs made by hand: numbers that are easily checked, a number of turns that a run decides
 * anew each time, bodies that do not fit their node, failing allocations. tests/data/onnx holds their cases against ONNX Runtime.
 */
#include "engine_net.h"
#include "engine/plan.h"
#include "test_helpers.h"

static const int64_t three[1] = {3};

/* A body: state s [3] and, after a Loop's turn and condition, what it adds to s: the captured value, or its slice. Pieces are -s. */
static cvi_graph *make_body(net *n, bool scan, int outer) {
    cvi_graph *g = cvi_graph_new(n->model, n->g, "body", &n->err);
    assert_non_null(g);
    int turn = -1, go = -1, other;
    if (!scan) {
        turn = cvi_graph_value(g, "turn", CVS_I64, 0, NULL, &n->err);
        go = cvi_graph_value(g, "go", CVS_BOOL, 0, NULL, &n->err);
        assert_true(cvi_graph_add_input(g, turn) && cvi_graph_add_input(g, go));
    }
    int s = cvi_graph_value(g, "s", CVS_F32, 1, three, &n->err);
    assert_true(cvi_graph_add_input(g, s));
    other = cvi_graph_value(g, "other", CVS_F32, 1, three, &n->err);
    if (scan) {
        assert_true(cvi_graph_add_input(g, other));
    } else {
        g->values[other].outer = outer;
        assert_true(cvi_graph_add_output(g, go));
    }
    int in[2] = {s, other};
    int sum = cvi_graph_op(g, "Add", 2, in, "sum", 0, NULL, &n->err);
    int piece = cvi_graph_op(g, "Neg", 1, &sum, "piece", 0, NULL, &n->err);
    g->values[piece].dtype = CVS_F32; /* as a file declares it: a stack of nothing has this shape */
    g->values[piece].rank = 1;
    g->values[piece].dim[0] = 3;
    assert_true(cvi_graph_add_output(g, sum) && cvi_graph_add_output(g, piece));
    return g;
}

static void set_body(cvi_node *node, cvi_graph *body) {
    node->attr[0].name = "body";
    node->attr[0].kind = CVI_ATTR_GRAPH;
    node->attr[0].graph = body;
}

/* m, x -> Loop: s = x + x + ... (m times more), the pieces stacked. */
static void build_loop(net *n) {
    net_begin(n, CVS_F32);
    int m = net_input(n, "m", CVS_I64, 0, NULL), x = net_input(n, "x", CVS_F32, 1, three);
    int x2 = net_op(n, "Abs", "x2", 1, &x, 0, NULL), in[3] = {m, -1, x2};
    int node = cvi_graph_node(n->g, "loop", "Loop", 3, 2, 1, &n->err);
    assert_true(node >= 0);
    cvi_node *made = &n->g->nodes[node];
    memcpy(made->in, in, sizeof in);
    made->out[0] = cvi_graph_value(n->g, "last", CVS_NONE, -1, NULL, &n->err);
    made->out[1] = cvi_graph_value(n->g, "stack", CVS_NONE, -1, NULL, &n->err);
    set_body(made, make_body(n, false, x2));
    assert_true(cvi_graph_add_output(n->g, made->out[1]));
    net_finish(n, made->out[0]);
}

static void run_decides_the_turns(void **state) {
    (void)state;
    net n;
    cvi_exec *x;
    build_loop(&n);
    int64_t m = 0;
    float numbers[3] = {1, -2, 0.5F};
    cvs_tensor in[2] = {{.dtype = CVS_I64, .data = &m, .bytes = 8},
                        {.dtype = CVS_F32, .rank = 1, .dim = {3}, .data = numbers, .bytes = sizeof numbers}};
    NET_OK(&n, cvi_exec_new(n.g, in, NULL, &x, &n.err));
    for (m = 0; m < 5; m++) {
        cvs_tensor last, stack;
        NET_OK(&n, cvi_exec_forward(x, in, -1, &n.err));
        NET_OK(&n, cvi_exec_value(x, cvi_graph_find(n.g, "last"), &last, &n.err));
        NET_OK(&n, cvi_exec_value(x, cvi_graph_find(n.g, "stack"), &stack, &n.err));
        assert_int_equal(stack.rank, 2);
        assert_int_equal(stack.dim[0], m);
        assert_int_equal(stack.dim[1], 3);
        for (int i = 0; i < 3; i++) {
            double one = fabs((double)numbers[i]);
            assert_true(cvi_get(&last, i) == one * (double)(m + 1));
            for (int64_t t = 0; t < m; t++) {
                assert_true(cvi_get(&stack, t * 3 + i) == -one * (double)(t + 2));
            }
        }
    }
    cvi_exec_free(x);
    net_end(&n);
}

/* A state that doubles: it, the body's values and the copy handed over fit the limit together, not each for itself. */
static void a_state_that_grows(void **state) {
    (void)state;
    net n;
    net_begin(&n, CVS_F32);
    int m = net_input(&n, "m", CVS_I64, 0, NULL), x = net_input(&n, "x", CVS_F32, 1, three),
        in[3] = {m, -1, x};
    int node = cvi_graph_node(n.g, "loop", "Loop", 3, 1, 1, &n.err);
    cvi_graph *body = cvi_graph_new(n.model, n.g, "body", &n.err);
    assert_true(node >= 0 && body);
    int turn = cvi_graph_value(body, "turn", CVS_I64, 0, NULL, &n.err),
        go = cvi_graph_value(body, "go", CVS_BOOL, 0, NULL, &n.err);
    int s = cvi_graph_value(body, "s", CVS_F32, 1, (int64_t[]){-1}, &n.err);
    assert_true(cvi_graph_add_input(body, turn) && cvi_graph_add_input(body, go) &&
                cvi_graph_add_input(body, s));
    int twice = cvi_graph_op(body, "Concat", 2, (int[]){s, s}, "twice", 1, NULL, &n.err);
    cvi_attr_set_int(body, &body->nodes[0].attr[0], "axis", 0);
    assert_true(cvi_graph_add_output(body, go) && cvi_graph_add_output(body, twice));
    cvi_node *made = &n.g->nodes[node];
    memcpy(made->in, in, sizeof in);
    made->out[0] = cvi_graph_value(n.g, "last", CVS_NONE, -1, NULL, &n.err);
    set_body(made, body);
    net_finish(&n, made->out[0]);
    int64_t turns = 10;
    float numbers[3] = {1, -2, 0.5F};
    cvs_tensor given[2] = {
        {.dtype = CVS_I64, .data = &turns, .bytes = 8},
        {.dtype = CVS_F32, .rank = 1, .dim = {3}, .data = numbers, .bytes = sizeof numbers}};
    const cvi_exec_options small = {.max_bytes = 1 << 20};
    cvi_exec *e;
    NET_OK(&n, cvi_exec_new(n.g, given, &small, &e, &n.err));
    NET_OK(&n, cvi_exec_forward(e, given, -1, &n.err));
    turns = 16; /* the last state alone would be 768 KiB */
    assert_int_equal(cvi_exec_forward(e, given, -1, &n.err), CVS_E_LIMIT);
    cvi_exec_free(e);
    net_end(&n);
}

static void failing_allocations(void **state) {
    (void)state;
    net n;
    build_loop(&n);
    int64_t m = 3;
    float numbers[3] = {1, -2, 0.5F};
    cvs_tensor in[2] = {{.dtype = CVS_I64, .data = &m, .bytes = 8},
                        {.dtype = CVS_F32, .rank = 1, .dim = {3}, .data = numbers, .bytes = sizeof numbers}};
    bool failed = true;
    for (int k = 0; failed; k++) {
        cvi_exec *x = NULL;
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status s = cvi_exec_new(n.g, in, NULL, &x, &err);
        s = s == CVS_OK ? cvi_exec_forward(x, in, -1, &err) : s;
        failed = test_failures.failed;
        cvi_set_hooks(NULL);
        cvi_exec_free(x);
        assert_int_equal(s, failed ? CVS_E_MEMORY : CVS_OK);
        assert_true(k < 2000);
    }
    net_end(&n);
}

/* What a file may say that does not fit: a sentence each, at the node. */
static void bodies_that_do_not_fit(void **state) {
    (void)state;
    for (int kind = 1; kind < 5; kind++) {
        net n;
        cvi_exec *x = NULL;
        net_begin(&n, CVS_F32);
        int a = net_input(&n, "a", CVS_F32, 1, three);
        cvi_node *node;
        bool scan = kind < 3;
        int in[3] = {a, a, a};
        int y = net_op(&n, scan ? "Scan" : "Loop", "loop", scan ? 2 : 3, in, 2, &node);
        set_body(node, make_body(&n, scan && kind != 2, a));
        assert_true(cvi_attr_set_int(n.g, &node->attr[1], "num_scan_inputs", kind == 1 ? 7 : 1));
        if (kind == 4) { /* neither a number of turns nor a condition: the limit of turns ends it */
            node->in[0] = node->in[1] = -1;
        }
        net_finish(&n, y);
        float numbers[3] = {1, 2, 3};
        cvs_tensor t = {.dtype = CVS_F32, .rank = 1, .dim = {3}, .data = numbers, .bytes = sizeof numbers};
        cvs_status s = cvi_exec_new(n.g, &t, NULL, &x, &n.err);
        s = s == CVS_OK ? cvi_exec_forward(x, &t, -1, &n.err) : s;
        if (kind == 4) {
            assert_int_equal(s, CVS_E_LIMIT);
        } else {
            assert_true(s == CVS_E_FORMAT || s == CVS_E_SHAPE);
        }
        assert_memory_equal(n.err.node, "loop", 4);
        cvi_exec_free(x);
        net_end(&n);
    }
}

/* x -> [x, |x|] -> SequenceMap of (s, o) -> s + o, -(s + o) with o = x for both, or only the body's first input -> the second element. */
static cvi_exec *mapped(net *n, bool fits, const cvs_tensor *x, cvs_status *s) {
    net_begin(n, CVS_F32);
    int v = net_input(n, "x", CVS_F32, 1, three), in[2] = {v, net_op(n, "Abs", "abs", 1, &v, 0, NULL)},
        made[2];
    int list = net_op(n, "SequenceConstruct", "list", 2, in, 0, NULL);
    int node = cvi_graph_node(n->g, "map", "SequenceMap", fits ? 2 : 1, 2, 1, &n->err);
    assert_true(node >= 0);
    for (int k = 0; k < 2; k++) {
        made[k] = cvi_graph_value(n->g, "mapped", CVS_NONE, -1, NULL, &n->err);
        n->g->nodes[node].out[k] = made[k];
    }
    n->g->nodes[node].in[0] = list;
    if (fits) {
        n->g->nodes[node].in[1] = v;
    }
    set_body(&n->g->nodes[node], make_body(n, true, -1));
    int place[2] = {made[0], cvi_graph_ints(n->g, "one", 1, (int64_t[]){1}, &n->err)};
    int sum = net_op(n, "SequenceAt", "sum", 2, place, 0, NULL);
    place[0] = made[1];
    int both[2] = {sum, net_op(n, "SequenceAt", "piece", 2, place, 0, NULL)};
    net_finish(n, net_op(n, "Sub", "y", 2, both, 0, NULL));
    cvi_exec *e = NULL;
    *s = cvi_exec_new(n->g, x, NULL, &e, &n->err);
    *s = *s == CVS_OK ? cvi_exec_forward(e, x, -1, &n->err) : *s;
    return e;
}

static void map_over_a_sequence(void **state) {
    (void)state;
    float numbers[3] = {1, -2, 0.5F};
    const cvs_tensor x = {.dtype = CVS_F32, .rank = 1, .dim = {3}, .data = numbers, .bytes = sizeof numbers};
    net n;
    cvs_status s;
    cvi_exec *e = mapped(&n, true, &x, &s);
    assert_int_equal(s, CVS_OK);
    cvs_tensor y = {0};
    NET_OK(&n, cvi_exec_value(e, n.g->outputs[0], &y, &n.err));
    for (int i = 0; i < 3; i++) { /* |x| + x, twice */
        assert_true(cvi_get(&y, i) == 2 * (fabs((double)numbers[i]) + (double)numbers[i]));
    }
    cvi_exec_free(e);
    net_end(&n);
    e = mapped(&n, false, &x, &s);
    assert_int_equal(s, CVS_E_FORMAT);
    assert_non_null(strstr(n.err.message, "2 inputs"));
    cvi_exec_free(e);
    net_end(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_decides_the_turns), cmocka_unit_test(a_state_that_grows),
        cmocka_unit_test(failing_allocations),   cmocka_unit_test(bodies_that_do_not_fit),
        cmocka_unit_test(map_over_a_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
