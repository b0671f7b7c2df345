/* SPDX-License-Identifier: MIT
 * test_engine_fuse.c - fused groups against the same nodes one by one: random chains of convolutions, normalisations,
 * limits, additions and joins, values read in the middle, several samples, thread counts, replaced weights, exact sums,
 * passes that end or begin inside a group, and which groups are made.
 */
#include "engine_net.h"
#include "engine/plan.h"

enum { CASES = 40, MOST = 24 };

typedef struct dice {
    uint64_t seed, at;
} dice;

static int throw_dice(dice *d, int sides) {
    return (int)(cvi_random_bits(d->seed, 11, d->at++) % (uint64_t)sides);
}

static int batch_norm(net *n, const char *name, int x, int64_t channels) {
    char text[60];
    int in[5] = {x};
    static const char *const part[4] = {"scale", "shift", "mean", "variance"};
    for (int k = 0; k < 4; k++) {
        snprintf(text, sizeof text, "%s_%s", name, part[k]);
        in[1 + k] = net_weight(n, text, 1, &channels, 0.5);
    }
    float *variance = n->g->values[in[4]].constant->data;
    for (int64_t c = 0; c < channels; c++) {
        variance[c] = variance[c] * variance[c] + 0.3f;
    }
    return net_op(n, "BatchNormalization", name, 5, in, 0, NULL);
}

static int number(net *n, const char *name, float v) {
    int i = net_weight(n, name, 0, NULL, 1);
    *(float *)n->g->values[i].constant->data = v;
    return i;
}

static int convolution(net *n, dice *d, const char *name, int x, int64_t from, int64_t to) {
    char w[60], b[60];
    cvi_node *node;
    int side = throw_dice(d, 2) ? 3 : 1, pad = side / 2;
    int64_t groups = from == to && side == 3 && throw_dice(d, 3) == 0 ? from : 1;
    snprintf(w, sizeof w, "%s_w", name);
    snprintf(b, sizeof b, "%s_b", name);
    int in[3] = {x, net_weight(n, w, 4, (int64_t[]){to, from / groups, side, side}, 0.4),
                 net_weight(n, b, 1, &to, 0.5)};
    bool turned = groups == 1 && from == to && throw_dice(d, 4) == 0;
    int y = net_op(n, turned ? "ConvTranspose" : "Conv", name, throw_dice(d, 2) ? 3 : 2, in, 2, &node);
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "pads", 4, (int64_t[]){pad, pad, pad, pad}));
    assert_true(cvi_attr_set_int(n->g, &node->attr[1], "group", groups));
    return y;
}

/* A random net of about MOST nodes on maps of one size; every value has 5, 8 or 16 channels. */
static void random_net(net *n, uint64_t seed) {
    dice d = {.seed = seed};
    net_begin(n, CVS_F32);
    n->seed = seed * 1000 + 1;
    int value[MOST + 2], values = 0;
    int64_t channels[MOST + 2];
    static const int64_t widths[3] = {5, 8, 16};
    value[0] = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 8, 7, 9});
    channels[values++] = 8;
    for (int i = 0; i < MOST; i++) {
        char name[40], text[60];
        snprintf(name, sizeof name, "n%d", i);
        int from = throw_dice(&d, 4) ? values - 1 : throw_dice(&d, values), x = value[from];
        int64_t c = channels[from], to = c;
        int kind = throw_dice(&d, 8), y = -1;
        if (kind <= 2) {
            to = widths[throw_dice(&d, 3)];
            y = convolution(n, &d, name, x, c, to);
        } else if (kind == 3 || kind == 4) {
            y = batch_norm(n, name, x, c);
        } else if (kind == 5) {
            y = net_relu(n, name, x);
        } else if (kind == 6) {
            snprintf(text, sizeof text, "%s_lo", name);
            int lo = throw_dice(&d, 2) ? number(n, text, throw_dice(&d, 2) ? 0.0f : 0.2f) : -1;
            snprintf(text, sizeof text, "%s_hi", name);
            y = net_op(n, "Clip", name, 3, (int[]){x, lo, number(n, text, 1.5f)}, 0, NULL);
        } else {
            int other = throw_dice(&d, values);
            if (channels[other] == c && throw_dice(&d, 3)) {
                y = net_op(n, "Add", name, 2,
                           throw_dice(&d, 2) ? (int[]){x, value[other]} : (int[]){value[other], x}, 0, NULL);
            } else {
                cvi_node *node;
                to = c + channels[other];
                y = net_op(n, "Concat", name, 2, (int[]){x, value[other]}, 1, &node);
                assert_true(cvi_attr_set_int(n->g, &node->attr[0], "axis", 1));
            }
        }
        value[values] = y;
        channels[values++] = to;
        if (to > 64) {
            break;
        }
    }
    net_finish(n, value[values - 1]);
}

static cvi_exec *make(net *n, const cvs_tensor *x, cvi_exec_options options) {
    cvi_exec *e;
    NET_OK(n, cvi_exec_new(n->g, x, &options, &e, &n->err));
    return e;
}

static double largest(const cvs_tensor *t) {
    double most = 1;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        most = fmax(most, fabs(cvi_get(t, i)));
    }
    return most;
}

/* A limit cuts large numbers but not the rounding that they left: the difference counts in units of the largest number that `b`
 * holds up to v. */
static void same_value(net *n, cvi_exec *a, cvi_exec *b, int v, double tolerance) {
    cvs_tensor s, t;
    double most = 1;
    for (int u = 0; u < v; u++) {
        if (!n->g->values[u].constant && cvi_exec_value(b, u, &t, &n->err) == CVS_OK && t.data) {
            most = fmax(most, largest(&t));
        }
    }
    NET_OK(n, cvi_exec_value(a, v, &s, &n->err));
    NET_OK(n, cvi_exec_value(b, v, &t, &n->err));
    assert_true(s.data && t.data);
    most = fmax(most, largest(&t));
    if (!(net_difference(&s, &t) <= tolerance * most)) {
        fail_msg("%s differs by %g of %g", n->g->values[v].name, net_difference(&s, &t), most);
    }
}

static void same_bits(net *n, cvi_exec *a, cvi_exec *b, int v) {
    cvs_tensor s, t;
    NET_OK(n, cvi_exec_value(a, v, &s, &n->err));
    NET_OK(n, cvi_exec_value(b, v, &t, &n->err));
    assert_memory_equal(s.data, t.data, s.bytes);
}

static void forward(net *n, cvi_exec *e, const cvs_tensor *x) {
    NET_OK(n, cvi_exec_forward(e, x, -1, &n->err));
}

static const double near = 5e-5;

static void fused_equals_unfused(void **state) {
    (void)state;
    int groups = 0, parts = 0;
    for (uint64_t seed = 1; seed <= CASES; seed++) {
        net n;
        random_net(&n, seed);
        cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1 + (int64_t)(seed % 4), 8, 7, 9}, seed);
        cvi_exec *all = make(&n, &x, (cvi_exec_options){.plain = true});
        int listed[1] = {(int)(seed * 7) % n.g->n_values};
        for (cvi_keep keep = CVI_KEEP_ALL; keep <= CVI_KEEP_ANSWER; keep++) {
            cvi_exec_options o = {.keep = keep, .keep_values = listed, .n_keep = 1};
            o.part_bytes = 3000 << (seed / 4 % 4); /* small, so that small batches go in parts too */
            cvi_exec *e = make(&n, &x, o);
            groups += e->n_groups;
            parts += e->n_parts;
            forward(&n, all, &x);
            forward(&n, e, &x);
            same_value(&n, e, all, n.g->outputs[0], near);
            if (!n.g->values[listed[0]].constant) {
                same_value(&n, e, all, listed[0], near);
            }
            for (int v = n.g->n_values - 1; v >= 0; v--) { /* every value, last one first */
                if (!n.g->values[v].constant) {
                    same_value(&n, e, all, v, near);
                }
            }
            forward(&n, e, &x); /* and the next pass is not disturbed by what was looked at */
            same_value(&n, e, all, n.g->outputs[0], near);
            cvi_exec_free(e);
        }
        cvi_exec_free(all);
        cvs_tensor_free(&x);
        net_end(&n);
    }
    assert_true(groups > CASES && parts > CASES / 2);
}

static void threads_give_the_same_bits(void **state) {
    (void)state;
    cvi_pool *pool = cvi_pool_new(2);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        net n;
        random_net(&n, seed);
        cvs_tensor x = net_tensor(&n, 4, (int64_t[]){3, 8, 7, 9}, seed);
        cvi_exec *one = make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_ANSWER, .part_bytes = 3000});
        cvi_exec *two =
            make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_ANSWER, .part_bytes = 3000, .pool = pool});
        forward(&n, one, &x);
        forward(&n, two, &x);
        same_bits(&n, one, two, n.g->outputs[0]);
        for (int v = 0; v < n.g->n_values; v++) {
            same_bits(&n, one, two, v);
        }
        cvi_exec_free(one);
        cvi_exec_free(two);
        cvs_tensor_free(&x);
        net_end(&n);
    }
    cvi_pool_free(pool);
}

/* x [N,8,7,9] -> conv -> bn -> add(x) -> relu, and conv -> bn -> clip behind it. */
static void residual_net(net *n) {
    dice d = {.seed = 3, .at = 1};
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 8, 7, 9});
    int a = batch_norm(n, "bn1", net_conv(n, "conv1", x, 8, 8, 1), 8);
    int r = net_relu(n, "relu1", net_op(n, "Add", "add", 2, (int[]){x, a}, 0, NULL));
    int b = batch_norm(n, "bn2", convolution(n, &d, "conv2", r, 8, 16), 16);
    net_finish(n, net_op(n, "Clip", "clip", 3, (int[]){b, number(n, "lo", 0), number(n, "hi", 6)}, 0, NULL));
}

static int find(net *n, const char *name) {
    int v = cvi_graph_find(n->g, name);
    assert_true(v >= 0);
    return v;
}

static void groups_are_as_described(void **state) {
    (void)state;
    net n;
    residual_net(&n);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){2, 8, 7, 9}, 5);
    cvi_exec *e = make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_GRADIENTS});
    assert_int_equal(e->n_groups, 2);
    const cvi_group *g = &e->groups[0];
    assert_int_equal(g->n, 4);
    assert_true(g->scales && g->residual == find(&n, "x") && g->out == find(&n, "relu1"));
    assert_true(g->node[2] == g->add && g->node[3] == g->limit);
    assert_true(e->slots[find(&n, "bn1")].inner && !e->slots[g->out].inner);
    assert_true(e->groups[1].n == 3 && e->groups[1].limit >= 0 && e->groups[1].add < 0);
    forward(&n, e, &x);
    assert_true(e->groups[1].epilogue.clamp && e->groups[1].epilogue.hi == 6);
    assert_false(e->slots[find(&n, "bn1")].form[0].ready || e->slots[find(&n, "bn1")].form[1].ready);
    cvi_exec_free(e);

    int listed = find(&n, "bn1"); /* a value that is asked for ends the group before it */
    e = make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_ANSWER, .keep_values = &listed, .n_keep = 1});
    assert_false(e->slots[listed].inner);
    forward(&n, e, &x);
    assert_true(e->slots[listed].form[1].ready);
    cvi_exec_free(e);

    e = make(
        &n, &x,
        (cvi_exec_options){.keep = CVI_KEEP_GRADIENTS, .exact = true}); /* weights are left as they are */
    assert_false(e->groups[0].scales);
    cvi_exec_free(e);
    e = make(&n, &x,
             (cvi_exec_options){.keep = CVI_KEEP_GRADIENTS, .training = true}); /* statistics of the batch */
    for (int i = 0; i < e->n_groups; i++) {
        assert_false(e->groups[i].scales);
    }
    cvi_exec_free(e);
    cvs_tensor_free(&x);
    net_end(&n);
}

static void replaced_weights_are_folded_anew(void **state) {
    (void)state;
    net n;
    residual_net(&n);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){2, 8, 7, 9}, 5);
    cvi_exec *a = make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_ANSWER});
    cvi_exec *b = make(&n, &x, (cvi_exec_options){.plain = true});
    static const char *const names[] = {"bn1_scale", "conv1_w", "conv2_w", "bn2_mean", "hi"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        int v = find(&n, names[i]);
        const cvs_tensor *old = n.g->values[v].constant;
        cvs_tensor t = net_tensor(&n, old->rank, old->dim, 77 + (uint64_t)i);
        if (old->rank == 0) {
            *(float *)t.data = 0.7f;
        }
        forward(&n, a, &x);
        forward(&n, b, &x);
        same_value(&n, a, b, n.g->outputs[0], near);
        NET_OK(&n, cvi_exec_override(a, v, &t, &n.err));
        NET_OK(&n, cvi_exec_override(b, v, &t, &n.err));
        for (int again = 0; again < 2; again++) {
            forward(&n, a, &x);
            forward(&n, b, &x);
            same_value(&n, a, b, n.g->outputs[0], near);
            same_value(&n, a, b, find(&n, "bn2"), near);
            ((float *)t.data)[0] += 0.4f; /* other numbers in the same place */
        }
        NET_OK(&n, cvi_exec_override(a, v, NULL, &n.err));
        NET_OK(&n, cvi_exec_override(b, v, NULL, &n.err));
        forward(&n, a, &x);
        forward(&n, b, &x);
        same_value(&n, a, b, n.g->outputs[0], near);
        cvs_tensor_free(&t);
    }
    cvi_exec_free(a);
    cvi_exec_free(b);
    cvs_tensor_free(&x);
    net_end(&n);
}

/* Passes that end at any value, and passes that go on from any value. */
static void passes_may_be_cut_anywhere(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        net n;
        if (seed == 0) {
            residual_net(&n);
        } else {
            random_net(&n, seed);
        }
        cvs_tensor x = net_tensor(&n, 4, (int64_t[]){2, 8, 7, 9}, 5);
        cvi_exec *a =
            make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_ANSWER, .part_bytes = seed % 2 ? 3000 : 0});
        cvi_exec *b = make(&n, &x, (cvi_exec_options){.plain = true});
        forward(&n, b, &x);
        for (int v = 0; v < n.g->n_values; v++) {
            if (n.g->values[v].constant) {
                continue;
            }
            NET_OK(&n, cvi_exec_forward(a, &x, v, &n.err));
            same_value(&n, a, b, v, near);
        }
        for (int v = 0; v < n.g->n_values; v++) {
            if (n.g->values[v].constant) {
                continue;
            }
            forward(&n, a, &x);
            forward(&n, b, &x);
            cvs_tensor t, shape;
            NET_OK(&n, cvi_exec_value(b, v, &shape, &n.err));
            t = net_tensor(&n, shape.rank, shape.dim, 1000 + (uint64_t)v);
            NET_OK(&n, cvi_exec_forward_from(a, v, &t, &n.err));
            NET_OK(&n, cvi_exec_forward_from(b, v, &t, &n.err));
            for (int k = n.g->n_values - 1; k >= 0; k--) {
                if (!n.g->values[k].constant) {
                    same_value(&n, a, b, k, near);
                }
            }
            cvs_tensor_free(&t);
        }
        cvi_exec_free(a);
        cvi_exec_free(b);
        cvs_tensor_free(&x);
        net_end(&n);
    }
}

/* Gradients read values inside groups, which are then computed again. */
static void gradients_are_the_same(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        net n;
        random_net(&n, seed);
        cvs_tensor x = net_tensor(&n, 4, (int64_t[]){2, 8, 7, 9}, 5), g[2];
        cvi_exec *e[2] = {make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_GRADIENTS, .keep_aux = true}),
                          make(&n, &x, (cvi_exec_options){.plain = true, .keep_aux = true})};
        for (int i = 0; i < 2; i++) {
            cvs_tensor y;
            forward(&n, e[i], &x);
            NET_OK(&n, cvi_exec_value(e[i], n.g->outputs[0], &y, &n.err));
            cvs_tensor t = net_tensor(&n, y.rank, y.dim, 8);
            NET_OK(&n, cvi_exec_backward(e[i], CVI_GRADIENT, n.g->outputs, &t, 1, n.g->inputs, 1, &n.err));
            NET_OK(&n, cvi_exec_gradient(e[i], n.g->inputs[0], &g[i], &n.err));
            cvs_tensor_free(&t);
        }
        assert_true(net_difference(&g[0], &g[1]) <= 1e-3 * largest(&g[1]));
        cvi_exec_free(e[0]);
        cvi_exec_free(e[1]);
        cvs_tensor_free(&x);
        net_end(&n);
    }
}

/* Branches of all kinds, the last of 5 channels: conv+relu (1x1 and 3x3), a bare conv, conv+bn+clip, joined and read by a conv. */
static void branched_net(net *n, bool whole) {
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 8, 7, 9});
    int s = net_relu(n, "squeezed", net_conv(n, "squeeze", x, 8, 16, 1));
    int a = net_relu(n, "one", net_conv(n, "conv_one", s, 16, 16, 1));
    int b = net_relu(n, "three", net_conv(n, "conv_three", s, 16, 40, 1));
    int c = net_conv(n, "bare", s, 16, 24, 1);
    int d = batch_norm(n, "bn", net_conv(n, "conv_bn", x, 8, 5, 1), 5);
    d = net_op(n, "Clip", "clip", 3, (int[]){d, number(n, "lo", 0), number(n, "hi", 6)}, 0, NULL);
    cvi_node *node;
    int j = net_op(n, "Concat", "joined", 4, whole ? (int[]){a, b, c, d} : (int[]){d, a, b, c}, 1, &node);
    assert_true(cvi_attr_set_int(n->g, &node->attr[0], "axis", 1));
    net_finish(n, net_conv(n, "last", j, 85, 8, 1));
}

static void branches_write_into_their_join(void **state) {
    (void)state;
    const struct {
        int64_t batch;
        cvi_keep keep;
    } cases[] = {
        {1, CVI_KEEP_ANSWER}, {4, CVI_KEEP_ANSWER}, {1, CVI_KEEP_GRADIENTS}, {3, CVI_KEEP_GRADIENTS}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        int64_t batch = cases[i].batch;
        net n;
        branched_net(&n, true);
        cvs_tensor x = net_tensor(&n, 4, (int64_t[]){batch, 8, 7, 9}, 5);
        cvi_exec *a = make(&n, &x, (cvi_exec_options){.keep = cases[i].keep, .part_bytes = 3000});
        cvi_exec *b = make(&n, &x, (cvi_exec_options){.plain = true});
        int join = n.g->values[find(&n, "joined")].producer;
        assert_true(a->steps[join].joined);
        assert_int_equal(a->slots[find(&n, "bare")].channel, 56);
        forward(&n, b, &x);
        for (int again = 0; again < 2; again++) {
            forward(&n, a, &x);
            same_value(&n, a, b, n.g->outputs[0], near);
            for (int v = n.g->n_values - 1; v >= 0; v--) {
                if (!n.g->values[v].constant) {
                    same_value(&n, a, b, v, near);
                }
            }
        }
        /* Another joined value: its branches keep their own numbers. Then another branch: its neighbours too. */
        int joined = find(&n, "joined"), one = find(&n, "one");
        cvs_tensor other = net_tensor(&n, 4, (int64_t[]){batch, 85, 7, 9}, 6),
                   branch = net_tensor(&n, 4, (int64_t[]){batch, 16, 7, 9}, 7);
        NET_OK(&n, cvi_exec_forward_from(a, joined, &other, &n.err));
        NET_OK(&n, cvi_exec_forward_from(b, joined, &other, &n.err));
        same_value(&n, a, b, n.g->outputs[0], near);
        same_value(&n, a, b, find(&n, "three"), near);
        NET_OK(&n, cvi_exec_forward_from(a, one, &branch, &n.err));
        NET_OK(&n, cvi_exec_forward_from(b, one, &branch, &n.err));
        same_value(&n, a, b, find(&n, "clip"), near);
        same_value(&n, a, b, joined, near);
        same_value(&n, a, b, n.g->outputs[0], near);
        forward(&n, b, &x);
        cvs_tensor_free(&other);
        cvs_tensor_free(&branch);
        for (int v = 0; v < n.g->n_values; v++) { /* a pass that ends early has values by themselves */
            if (!n.g->values[v].constant) {
                NET_OK(&n, cvi_exec_forward(a, &x, v, &n.err));
                same_value(&n, a, b, v, near);
            }
        }
        cvi_exec_free(a);
        int listed = find(&n, "three"); /* somebody wants to see one of them */
        a = make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_ANSWER, .keep_values = &listed, .n_keep = 1});
        assert_false(a->steps[join].joined);
        forward(&n, a, &x);
        same_value(&n, a, b, n.g->outputs[0], near);
        cvi_exec_free(a);
        cvi_exec_free(b);
        cvs_tensor_free(&x);
        net_end(&n);
    }
    net n;
    branched_net(&n, false); /* slices that would not begin at a multiple of 8 are copied */
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 8, 7, 9}, 5);
    cvi_exec *a = make(&n, &x, (cvi_exec_options){.keep = CVI_KEEP_ANSWER});
    assert_false(a->steps[n.g->values[find(&n, "joined")].producer].joined);
    cvi_exec_free(a);
    cvs_tensor_free(&x);
    net_end(&n);
}

/* A convolution of any size with "same" pads, and a limit behind it. */
static int link_of(net *n, const char *name, int x, int64_t from, int64_t to, int64_t side, int64_t stride,
                   int64_t groups) {
    char text[3][40];
    const char *const more[] = {"w", "b", "y"};
    for (int i = 0; i < 3; i++) {
        snprintf(text[i], sizeof text[i], "%s_%s", name, more[i]);
    }
    cvi_node *node;
    int in[3] = {x, net_weight(n, text[0], 4, (int64_t[]){to, from / groups, side, side}, 0.5),
                 net_weight(n, text[1], 1, (int64_t[]){to}, 0.5)};
    int y = net_op(n, "Conv", name, 3, in, 3, &node);
    int64_t pad = side / 2;
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "pads", 4, (int64_t[]){pad, pad, pad, pad}));
    assert_true(cvi_attr_set_ints(n->g, &node->attr[1], "strides", 2, (int64_t[]){stride, stride}));
    assert_true(cvi_attr_set_int(n->g, &node->attr[2], "group", groups));
    return net_relu(n, text[2], y);
}

/* Large maps that only the next node reads: a stem of few channels, depthwise of both strides, 1x1, a pool; then a block whose input is
 * also its residual. */
static void banded_net(net *n) {
    net_begin(n, CVS_F32);
    int y = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, 97, 29});
    y = link_of(n, "stem", y, 3, 16, 3, 2, 1);
    y = link_of(n, "deep1", y, 16, 16, 3, 1, 16);
    y = link_of(n, "wide", y, 16, 48, 1, 1, 1);
    y = link_of(n, "deep2", y, 48, 48, 3, 2, 48);
    y = link_of(n, "narrow", y, 48, 12, 1, 1, 1);
    int z = link_of(n, "wide2", y, 12, 40, 1, 1, 1);
    int r = net_pool(n, "pool", link_of(n, "odd", z, 40, 20, 5, 1, 1));
    z = link_of(n, "wide3", r, 20, 64, 1, 1, 1);
    z = link_of(n, "deep3", z, 64, 64, 3, 1, 64);
    char w[] = "last_w";
    cvi_node *node;
    int last = net_op(n, "Conv", "last", 2, (int[]){z, net_weight(n, w, 4, (int64_t[]){20, 64, 1, 1}, 0.5)},
                      1, &node);
    assert_true(cvi_attr_set_int(n->g, &node->attr[0], "group", 1));
    net_finish(n, net_relu(n, "end", net_op(n, "Add", "sum", 2, (int[]){last, r}, 0, NULL)));
}

/* The same numbers band by band, on any number of threads, whole batches and parts; values inside can be looked at; a pass may end
 * inside a chain. */
static void large_maps_go_band_by_band(void **state) {
    (void)state;
    cvi_pool *pool = cvi_pool_new(2);
    net n;
    banded_net(&n);
    for (int64_t batch = 1; batch <= 4; batch += 3) {
        cvs_tensor x = net_tensor(&n, 4, (int64_t[]){batch, 3, 97, 29}, 9);
        cvi_exec_options o = {.keep = CVI_KEEP_ANSWER, .part_bytes = 32000};
        cvi_exec *plain = make(&n, &x, (cvi_exec_options){.plain = true}), *one = make(&n, &x, o);
        o.pool = pool;
        cvi_exec *two = make(&n, &x, o);
        assert_true(one->n_chains >= 3);
        forward(&n, plain, &x);
        for (int again = 0; again < 2; again++) {
            forward(&n, one, &x);
            forward(&n, two, &x);
            same_bits(&n, one, two, n.g->outputs[0]);
            same_value(&n, one, plain, n.g->outputs[0], near);
            for (int v = n.g->n_values - 1; v >= 0; v--) {
                if (!n.g->values[v].constant) {
                    same_value(&n, two, plain, v, near);
                }
            }
        }
        for (int v = 0; v < n.g->n_values; v++) {
            if (!n.g->values[v].constant) {
                NET_OK(&n, cvi_exec_forward(two, &x, v, &n.err));
                same_value(&n, two, plain, v, near);
            }
        }
        cvi_exec_free(plain);
        cvi_exec_free(one);
        cvi_exec_free(two);
        cvs_tensor_free(&x);
    }
    net_end(&n);
    cvi_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_equals_unfused),           cmocka_unit_test(threads_give_the_same_bits),
        cmocka_unit_test(groups_are_as_described),        cmocka_unit_test(replaced_weights_are_folded_anew),
        cmocka_unit_test(passes_may_be_cut_anywhere),     cmocka_unit_test(gradients_are_the_same),
        cmocka_unit_test(branches_write_into_their_join), cmocka_unit_test(large_maps_go_band_by_band),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
