/* SPDX-License-Identifier: MIT
 * engine_net.h - for unit tests of the engine: small graphs written as code, with numbers from the counter-based generator.
 */
#ifndef ENGINE_NET_H
#define ENGINE_NET_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/engine.h"

typedef struct net {
    cvs_model *model;
    cvi_graph *g;
    cvs_error err;
    cvs_dtype dtype; /* of weights and pictures */
    uint64_t seed;
} net;

static inline void net_begin(net *n, cvs_dtype dtype) {
    *n = (net){.dtype = dtype, .seed = 1};
    n->model = cvi_model_new(NULL, &n->err);
    assert_non_null(n->model);
    n->g = n->model->graph = cvi_graph_new(n->model, NULL, "net", &n->err);
    assert_non_null(n->g);
}

#define NET_OK(net, call)                                                                                    \
    do {                                                                                                     \
        char net_text_[900];                                                                                 \
        if ((call) != CVS_OK) {                                                                              \
            fail_msg("%s: %s", #call, cvs_error_text(&(net)->err, net_text_, sizeof net_text_));             \
        }                                                                                                    \
    } while (0)

static inline void net_finish(net *n, int output) {
    assert_true(cvi_graph_add_output(n->g, output));
    NET_OK(n, cvi_graph_finish(n->g, &n->err));
    NET_OK(n, cvi_ops_bind(n->g, &n->err));
}

static inline void net_end(net *n) {
    cvs_model_free(n->model);
}

static inline int net_input(net *n, const char *name, cvs_dtype dtype, int rank, const int64_t *dim) {
    int v = cvi_graph_value(n->g, name, dtype, rank, dim, &n->err);
    assert_true(v >= 0 && cvi_graph_add_input(n->g, v));
    return v;
}

static inline void net_fill(cvs_dtype dtype, void *data, int64_t count, uint64_t seed, double scale) {
    for (int64_t i = 0; i < count; i++) {
        double v = scale * cvi_random_normal(seed, 7, (uint64_t)i);
        if (dtype == CVS_F64) {
            ((double *)data)[i] = v;
        } else {
            ((float *)data)[i] = (float)v;
        }
    }
}

/* A random constant in the arena. */
static inline int net_weight(net *n, const char *name, int rank, const int64_t *dim, double scale) {
    cvs_tensor t = {.dtype = n->dtype, .rank = rank};
    for (int i = 0; i < rank; i++) { /* of a scalar, dim may be NULL */
        t.dim[i] = dim[i];
    }
    int64_t count = cvs_tensor_count(&t);
    t.bytes = (size_t)count * cvs_dtype_size(n->dtype);
    t.data = cvi_arena_alloc(n->model->arena, count, cvs_dtype_size(n->dtype));
    assert_non_null(t.data);
    net_fill(n->dtype, t.data, count, n->seed++, scale);
    int v = cvi_graph_constant(n->g, name, &t, &n->err);
    assert_true(v >= 0);
    return v;
}

static inline int net_op(net *n, const char *op, const char *name, int n_in, const int *in, int n_attr,
                         cvi_node **node) {
    cvi_node *made = NULL;
    int v = cvi_graph_op(n->g, op, n_in, in, name, n_attr, &made, &n->err);
    assert_true(v >= 0);
    if (node) {
        *node = made;
    }
    return v;
}

static inline int net_conv(net *n, const char *name, int x, int64_t channels, int64_t filters,
                           int64_t stride) {
    char w[40], b[40];
    cvi_node *node;
    snprintf(w, sizeof w, "%s_w", name);
    snprintf(b, sizeof b, "%s_b", name);
    int in[3] = {x, net_weight(n, w, 4, (int64_t[]){filters, channels, 3, 3}, 0.3),
                 net_weight(n, b, 1, (int64_t[]){filters}, 0.5)};
    int y = net_op(n, "Conv", name, 3, in, 2, &node);
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "pads", 4, (int64_t[]){1, 1, 1, 1}));
    assert_true(cvi_attr_set_ints(n->g, &node->attr[1], "strides", 2, (int64_t[]){stride, stride}));
    return y;
}

static inline int net_relu(net *n, const char *name, int x) {
    return net_op(n, "Relu", name, 1, &x, 0, NULL);
}

static inline int net_pool(net *n, const char *name, int x) {
    cvi_node *node;
    int y = net_op(n, "MaxPool", name, 1, &x, 2, &node);
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "kernel_shape", 2, (int64_t[]){2, 2}));
    assert_true(cvi_attr_set_ints(n->g, &node->attr[1], "strides", 2, (int64_t[]){2, 2}));
    return y;
}

static inline int net_dense(net *n, const char *name, int x, int64_t from, int64_t to) {
    char w[40], b[40];
    cvi_node *node;
    snprintf(w, sizeof w, "%s_w", name);
    snprintf(b, sizeof b, "%s_b", name);
    int in[3] = {x, net_weight(n, w, 2, (int64_t[]){to, from}, 0.1),
                 net_weight(n, b, 1, (int64_t[]){to}, 0.5)};
    int y = net_op(n, "Gemm", name, 3, in, 1, &node);
    assert_true(cvi_attr_set_int(n->g, &node->attr[0], "transB", 1));
    return y;
}

/* A random input tensor, owned. */
static inline cvs_tensor net_tensor(net *n, int rank, const int64_t *dim, uint64_t seed) {
    cvs_tensor t;
    NET_OK(n, cvs_tensor_new(&t, n->dtype, rank, dim, &n->err));
    net_fill(n->dtype, t.data, cvs_tensor_count(&t), seed, 1);
    return t;
}

/* x [N,3,12,10] -> conv 3->5 -> relu -> (a) conv 5->5 (b) identity -> add -> maxpool -> concat(with itself) -> flatten ->
 * dense 7 -> softmax: branches, both layouts, views. The dense layer is named "logits". */
static inline void net_branched(net *n, cvs_dtype dtype) {
    net_begin(n, dtype);
    int x = net_input(n, "x", dtype, 4, (int64_t[]){-1, 3, 12, 10});
    int a = net_relu(n, "relu1", net_conv(n, "conv1", x, 3, 5, 1));
    int b = net_conv(n, "conv2", a, 5, 5, 1);
    int sum = net_op(n, "Add", "sum", 2, (int[]){b, a}, 0, NULL);
    int p = net_pool(n, "pool", sum);
    cvi_node *cat;
    int c = net_op(n, "Concat", "cat", 2, (int[]){p, p}, 1, &cat);
    assert_true(cvi_attr_set_int(n->g, &cat->attr[0], "axis", 1));
    int f = net_op(n, "Flatten", "flat", 1, &c, 0, NULL);
    int d = net_dense(n, "logits", f, 2 * 5 * 6 * 5, 7);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
}

static inline double net_difference(const cvs_tensor *a, const cvs_tensor *b) {
    double worst = 0;
    assert_int_equal(cvs_tensor_count(a), cvs_tensor_count(b));
    for (int64_t i = 0; i < cvs_tensor_count(a); i++) {
        double d = fabs(cvi_get(a, i) - cvi_get(b, i));
        worst = isnan(d) ? HUGE_VAL : fmax(worst, d);
    }
    return worst;
}

#endif
