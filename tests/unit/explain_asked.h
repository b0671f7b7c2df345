/* SPDX-License-Identifier: MIT
 * explain_asked.h - for unit tests of explanations: a small net with a picture and its run, questions about class 1, sums.
 */
#ifndef EXPLAIN_ASKED_H
#define EXPLAIN_ASKED_H

#include "convscope/explain.h"
#include "engine_net.h"
#include "test_helpers.h"

enum { H = 12, W = 10, AREA = H * W, CLASSES = 3, MAPS = 5 };
static const int64_t picture[4] = {1, 3, H, W};

/* A net, a picture x [1,3,12,10] and its run. */
typedef struct asked {
    net n;
    cvs_tensor x;
    cvs_run *run;
} asked;

/* After the net is finished. */
static inline void begin_run(asked *a) {
    a->x = net_tensor(&a->n, 4, picture, 5);
    NET_OK(&a->n, cvs_run_new(a->n.model, &(cvs_run_options){.threads = 1}, &a->run, &a->n.err));
    NET_OK(&a->n, cvs_run_tensors(a->run, &a->x, 1, &a->n.err));
}

static inline void end(asked *a) {
    cvs_run_free(a->run);
    cvs_tensor_free(&a->x);
    net_end(&a->n);
}

/* About class 1, unless the options have a target. */
static inline cvs_explanation ask_with(asked *a, const char *method, cvs_explain_options o) {
    cvs_explanation e;
    o.method = method;
    o.target.index = 1;
    NET_OK(&a->n, cvs_explain(a->run, &o, &e, &a->n.err));
    return e;
}

static inline cvs_explanation ask_signed(asked *a, const char *method, cvs_explain_options o) {
    o.signed_map = true;
    return ask_with(a, method, o);
}

static inline cvs_explanation ask(asked *a, const char *method) {
    return ask_signed(a, method, (cvs_explain_options){0});
}

static inline void refuse(asked *a, cvs_explain_options o, const char *says) {
    cvs_explanation e;
    char text[900];
    cvs_error err = {0};
    assert_int_not_equal(cvs_explain(a->run, &o, &e, &err), CVS_OK);
    if (!strstr(cvs_error_text(&err, text, sizeof text), says)) {
        fail_msg("\"%s\" does not say \"%s\"", text, says);
    }
}

static inline double sum_of(const cvs_tensor *t) {
    double sum = 0;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        sum += cvi_get(t, i);
    }
    return sum;
}

static inline double largest(const cvs_tensor *t) {
    double most = 0;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        most = fmax(most, fabs(cvi_get(t, i)));
    }
    return most;
}

/* The two methods make the same map, which is not nothing. */
static inline void expect_same(asked *a, const char *method, const char *other) {
    cvs_explanation e = ask(a, method), f = ask(a, other);
    assert_true(largest(&e.map) > 1e-6);
    if (net_difference(&e.map, &f.map) > 1e-4 * largest(&e.map)) {
        fail_msg("%s and %s differ by %g", method, other, net_difference(&e.map, &f.map));
    }
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
}

/* Class 1's logit for another picture; the run stays there. */
static inline double score_of(asked *a, const cvs_tensor *x) {
    NET_OK(&a->n, cvs_run_tensors(a->run, x, 1, &a->n.err));
    cvs_explanation e = ask(a, "gradient");
    double value = e.target_value;
    cvs_explanation_free(&e);
    return value;
}

/* The same for zeros; the run is back at the picture afterwards. */
static inline double score_of_black(asked *a) {
    cvs_tensor black = net_tensor(&a->n, 4, picture, 5);
    memset(black.data, 0, black.bytes);
    double value = score_of(a, &black);
    cvs_tensor_free(&black);
    NET_OK(&a->n, cvs_run_tensors(a->run, &a->x, 1, &a->n.err));
    return value;
}

static inline double constant_at(asked *a, const char *name, int64_t i) {
    return cvi_get(a->n.g->values[cvi_graph_find(a->n.g, name)].constant, i);
}

/* x [N,3,12,10] -> conv1 (-> relu) -> conv2 -> global average pool -> dense "logits" -> softmax. */
static inline void begin_gap(asked *a, bool relu) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int v = net_conv(n, "conv1", x, 3, 4, 1);
    v = net_conv(n, "conv2", relu ? net_relu(n, "relu1", v) : v, 4, MAPS, 1);
    int p = net_op(n, "GlobalAveragePool", "gap", 1, &v, 0, NULL);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), MAPS, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    begin_run(a);
}

#endif
