/* SPDX-License-Identifier: MIT
 * test_incremental.c - the incremental re-run against running everything again: random graphs of every kind of layer, edits at borders,
 * corners, of one pixel and of everything, of channels and of inner values; that it computes only what can change; same
 * bits on any number of threads; every allocation failing once.
 */
#include "engine/incremental.h"
#include "engine/run_state.h"
#include "convscope/convscope.h"
#include "engine_net.h"
#include "test_helpers.h"

/* ---- random graphs ---------------------------------------------------------------------------------------- */

typedef struct draw {
    uint64_t seed, index;
} draw;

static int64_t pick(draw *d, int64_t low, int64_t high) {
    return low + (int64_t)(cvi_random_bits(d->seed, 77, d->index++) % (uint64_t)(high - low + 1));
}

typedef struct maker {
    net *n;
    draw *d;
    int count;
    char name[40];
} maker;

typedef struct map {
    int v;
    int64_t c, h, w;
} map;

static const char *fresh(maker *m, const char *what) {
    snprintf(m->name, sizeof m->name, "%s%d", what, m->count++);
    return m->name;
}

static int64_t outputs(int64_t side, int64_t a, int64_t b, int64_t kernel, int64_t dilation, int64_t stride) {
    return (side + a + b - (kernel - 1) * dilation - 1) / stride + 1;
}

static map any_conv(maker *m, map x) {
    net *n = m->n;
    int64_t r = pick(m->d, 1, 4), s = pick(m->d, 1, 4), d = pick(m->d, 1, 2),
            st[2] = {pick(m->d, 1, 3), pick(m->d, 1, 2)};
    if (pick(m->d, 0, 2) == 0) { /* what Winograd takes */
        r = s = 3;
        d = st[0] = st[1] = 1;
    }
    int64_t pads[4];
    for (int i = 0; i < 4; i++) {
        pads[i] = pick(m->d, 0, 2);
    }
    int64_t kind = pick(m->d, 0, 3), groups = kind == 0 ? x.c : kind == 1 && x.c % 2 == 0 ? 2 : 1;
    int64_t filters = kind == 0 ? x.c : pick(m->d, 1, 10) * groups;
    map y = {0, filters, outputs(x.h, pads[0], pads[2], r, d, st[0]),
             outputs(x.w, pads[1], pads[3], s, d, st[1])};
    if (y.h < 2 || y.w < 2 || x.h + pads[0] + pads[2] < (r - 1) * d + 1 ||
        x.w + pads[1] + pads[3] < (s - 1) * d + 1) {
        return x;
    }
    cvi_node *node;
    double scale = 1.2 / sqrt((double)(r * s * x.c / groups));
    int in[3] = {x.v, net_weight(n, fresh(m, "w"), 4, (int64_t[]){filters, x.c / groups, r, s}, scale),
                 net_weight(n, fresh(m, "b"), 1, &filters, 0.2)};
    y.v = net_op(n, "Conv", fresh(m, "conv"), 3, in, 4, &node);
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "pads", 4, pads));
    assert_true(cvi_attr_set_ints(n->g, &node->attr[1], "strides", 2, st));
    assert_true(cvi_attr_set_ints(n->g, &node->attr[2], "dilations", 2, (int64_t[]){d, d}));
    assert_true(cvi_attr_set_int(n->g, &node->attr[3], "group", groups));
    return y;
}

static map any_pool(maker *m, map x) {
    net *n = m->n;
    bool max = pick(m->d, 0, 1) == 0;
    int64_t k[2] = {pick(m->d, 2, 3), pick(m->d, 2, 3)}, st[2] = {pick(m->d, 1, 3), pick(m->d, 1, 2)};
    int64_t ceil = pick(m->d, 0, 1),
            pads[4] = {pick(m->d, 0, 1), pick(m->d, 0, 1), pick(m->d, 0, 1), pick(m->d, 0, 1)};
    if (x.h < 5 || x.w < 5) {
        return x;
    }
    cvi_node *node;
    int y = net_op(n, max ? "MaxPool" : "AveragePool", fresh(m, "pool"), 1, &x.v, max ? 4 : 5, &node);
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "kernel_shape", 2, k));
    assert_true(cvi_attr_set_ints(n->g, &node->attr[1], "strides", 2, st));
    assert_true(cvi_attr_set_ints(n->g, &node->attr[2], "pads", 4, pads));
    assert_true(cvi_attr_set_int(n->g, &node->attr[3], "ceil_mode", ceil));
    if (!max) {
        assert_true(cvi_attr_set_int(n->g, &node->attr[4], "count_include_pad", pick(m->d, 0, 1)));
    }
    int64_t out[2], side[2] = {x.h, x.w};
    for (int i = 0; i < 2; i++) {
        int64_t room = side[i] + pads[i] + pads[i + 2] - k[i];
        out[i] = (ceil ? (room + st[i] - 1) / st[i] : room / st[i]) + 1;
        if (ceil && (out[i] - 1) * st[i] >=
                        side[i] + pads[i]) { /* a window may not begin in the padding at the end */
            out[i]--;
        }
    }
    return (map){y, x.c, out[0], out[1]};
}

static map any_norm(maker *m, map x) {
    int in[5] = {x.v, net_weight(m->n, fresh(m, "scale"), 1, &x.c, 1),
                 net_weight(m->n, fresh(m, "shift"), 1, &x.c, 0.3),
                 net_weight(m->n, fresh(m, "mean"), 1, &x.c, 0.3), 0};
    in[4] = net_op(m->n, "Abs", fresh(m, "variance"), 1, (int[]){net_weight(m->n, fresh(m, "v"), 1, &x.c, 1)},
                   0, NULL);
    cvi_node *node;
    x.v = net_op(m->n, "BatchNormalization", fresh(m, "bn"), 5, in, 1, &node);
    assert_true(cvi_attr_set_float(m->n->g, &node->attr[0], "epsilon", 0.5));
    return x;
}

static map squeeze_excite(maker *m, map x) {
    int p = net_op(m->n, "GlobalAveragePool", fresh(m, "gap"), 1, &x.v, 0, NULL);
    int in[3] = {p, net_weight(m->n, fresh(m, "w"), 4, (int64_t[]){x.c, x.c, 1, 1}, 0.5),
                 net_weight(m->n, fresh(m, "b"), 1, &x.c, 0.2)};
    int c = net_op(m->n, "Conv", fresh(m, "conv"), 3, in, 0, NULL);
    int g = net_op(m->n, "Sigmoid", fresh(m, "gate"), 1, &c, 0, NULL);
    x.v = net_op(m->n, "Mul", fresh(m, "mul"), 2, (int[]){x.v, g}, 0, NULL);
    return x;
}

/* A branch that keeps the sides, and the way around it: added or joined. */
static map branch(maker *m, map x) {
    int64_t k = 2 * pick(m->d, 0, 1) + 1, pad = k / 2, filters = pick(m->d, 0, 1) ? x.c : pick(m->d, 1, 9);
    bool add = filters == x.c;
    cvi_node *node;
    int in[2] = {x.v, net_weight(m->n, fresh(m, "w"), 4, (int64_t[]){filters, x.c, k, k}, 0.3)};
    int y = net_op(m->n, "Conv", fresh(m, "conv"), 2, in, 1, &node);
    assert_true(cvi_attr_set_ints(m->n->g, &node->attr[0], "pads", 4, (int64_t[]){pad, pad, pad, pad}));
    y = net_relu(m->n, fresh(m, "relu"), y);
    if (add) {
        x.v = net_op(m->n, "Add", fresh(m, "add"), 2, (int[]){y, x.v}, 0, NULL);
        return x;
    }
    x.v = net_op(m->n, "Concat", fresh(m, "cat"), 2, (int[]){x.v, y}, 1, &node);
    assert_true(cvi_attr_set_int(m->n->g, &node->attr[0], "axis", 1));
    x.c += filters;
    return x;
}

static const int64_t random_dim[4] = {1, 3, 33, 29};

static int random_net(net *n, uint64_t seed) {
    draw d = {.seed = seed};
    net_begin(n, CVS_F32);
    n->seed = 1000 * seed;
    maker m = {.n = n, .d = &d};
    int input = net_input(n, "x", CVS_F32, 4, random_dim);
    map x = {input, 3, random_dim[2], random_dim[3]};
    int steps = (int)pick(&d, 4, 9);
    for (int i = 0; i < steps; i++) {
        int64_t what = pick(&d, 0, 11);
        x = what < 4             ? any_conv(&m, x)
            : what < 6           ? any_pool(&m, x)
            : what < 7           ? any_norm(&m, x)
            : what < 9           ? branch(&m, x)
            : what < 10 && i > 2 ? squeeze_excite(&m, x)
                                 : (map){net_relu(n, fresh(&m, "relu"), x.v), x.c, x.h, x.w};
    }
    int64_t tail = pick(&d, 0, 2), from = x.c;
    if (tail == 0) {
        x.v = net_op(n, "GlobalAveragePool", "gap", 1, &x.v, 0, NULL);
    } else if (tail == 1) {
        x.v = net_op(n, "GlobalMaxPool", "gmp", 1, &x.v, 0, NULL);
    } else {
        from = x.c * x.h * x.w;
    }
    int f = net_op(n, "Flatten", "flat", 1, &x.v, 0, NULL);
    int logits = net_dense(n, "logits", f, from, 6);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &logits, 0, NULL));
    return input;
}

/* ---- comparing ------------------------------------------------------------------------------------------- */

static double scale_of(const cvs_tensor *t) {
    double most = 1e-3;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        most = fmax(most, fabs(cvi_get(t, i)));
    }
    return most;
}

/* The value with the edit, owned. */
static cvs_tensor edited_copy(net *n, const cvs_tensor *t, const cvi_edit *e) {
    cvs_tensor c;
    NET_OK(n, cvs_tensor_convert(t, CVS_F32, &c, &n->err));
    int64_t C = t->rank > 1 ? t->dim[1] : 1, H = t->rank > 2 ? t->dim[2] : 1, W = t->rank > 3 ? t->dim[3] : 1;
    int64_t end = e->channels ? CVI_MIN(C, e->c + e->channels) : C;
    for (int64_t k = e->c; k < end; k++) {
        for (int64_t y = CVI_MAX(0, e->y); y < CVI_MIN(H, e->y + e->h); y++) {
            for (int64_t x = CVI_MAX(0, e->x); x < CVI_MIN(W, e->x + e->w); x++) {
                float *to = (float *)c.data + (k * H + y) * W + x;
                *to = e->fill   ? e->fill[k - e->c]
                      : e->data ? e->data[((k - e->c) * e->h + y - e->y) * e->w + x - e->x]
                                : 0;
            }
        }
    }
    return c;
}

typedef struct pair {
    cvi_exec *base, *full;
    cvi_incr *s;
    cvs_tensor x;
    cvi_pool *pool;
} pair;

static void begin_pair(net *n, pair *p, const int64_t *dim, int threads, cvi_keep keep, uint64_t seed) {
    *p = (pair){.pool = threads > 1 ? cvi_pool_new(threads) : NULL};
    cvi_exec_options o = {.pool = p->pool, .keep = keep};
    p->x = net_tensor(n, 4, dim, seed);
    NET_OK(n, cvi_exec_new(n->g, &p->x, &o, &p->base, &n->err));
    o.keep = CVI_KEEP_ALL;
    NET_OK(n, cvi_exec_new(n->g, &p->x, &o, &p->full, &n->err));
    NET_OK(n, cvi_exec_forward(p->base, &p->x, -1, &n->err));
    NET_OK(n, cvi_exec_forward(p->full, &p->x, -1, &n->err));
    NET_OK(n, cvi_incr_new(p->base, &p->s, &n->err));
}

static void end_pair(pair *p) {
    cvi_incr_free(p->s);
    cvi_exec_free(p->base);
    cvi_exec_free(p->full);
    cvs_tensor_free(&p->x);
    cvi_pool_free(p->pool);
}

/* Runs the changes (one edit each) both ways and compares the wanted values. */
static void compare(net *n, pair *p, const cvi_edit *edit, int64_t count, const int *want, int n_want) {
    cvi_change *change = cvi_calloc((size_t)count, sizeof *change);
    float **out = cvi_calloc((size_t)n_want, sizeof *out);
    assert_true(change && out);
    for (int64_t i = 0; i < count; i++) {
        change[i] = (cvi_change){&edit[i], 1};
    }
    for (int k = 0; k < n_want; k++) {
        cvs_tensor t;
        NET_OK(n, cvi_exec_value(p->base, want[k], &t, &n->err));
        out[k] = cvi_calloc((size_t)(count * cvs_tensor_count(&t)), sizeof(float));
        assert_non_null(out[k]);
    }
    NET_OK(n, cvi_incr_run(p->s, change, count, want, n_want, (void *const *)out, NULL, &n->err));
    for (int64_t i = 0; i < count; i++) {
        cvs_tensor was, now;
        NET_OK(n, cvi_exec_forward(p->full, &p->x, -1, &n->err));
        NET_OK(n, cvi_exec_value(p->full, edit[i].value, &was, &n->err));
        now = edited_copy(n, &was, &edit[i]);
        NET_OK(n, cvi_exec_forward_from(p->full, edit[i].value, &now, &n->err));
        for (int k = 0; k < n_want; k++) {
            cvs_tensor truth, mine;
            NET_OK(n, cvi_exec_value(p->full, want[k], &truth, &n->err));
            mine = truth;
            mine.data = out[k] + i * cvs_tensor_count(&truth);
            double d = net_difference(&truth, &mine), scale = scale_of(&truth);
            if (!(d <= 2e-5 * scale)) {
                fail_msg("seed %d, edit %d of %s (%d,%d %dx%d c%d+%d): %s differs by %g of %g", (int)n->seed,
                         (int)i, n->g->values[edit[i].value].name, (int)edit[i].y, (int)edit[i].x,
                         (int)edit[i].h, (int)edit[i].w, (int)edit[i].c, (int)edit[i].channels,
                         n->g->values[want[k]].name, d, scale);
            }
        }
        cvs_tensor_free(&now);
    }
    for (int k = 0; k < n_want; k++) {
        cvi_free(out[k]);
    }
    cvi_free(out);
    cvi_free(change);
}

/* A value depends on an input of the graph: others are constants, whatever makes them. */
static bool flows(const cvi_graph *g, int v) {
    if (v < 0 || g->values[v].constant) {
        return false;
    }
    int p = g->values[v].producer;
    for (int k = 0; p >= 0 && k < g->nodes[p].n_in; k++) {
        if (flows(g, g->nodes[p].in[k])) {
            return true;
        }
    }
    return p < 0;
}

/* All values that a node makes from the input. */
static int values_of(const net *n, int *v, int room) {
    int count = 0;
    for (int i = 0; i < n->g->n_nodes && count < room; i++) {
        if (flows(n->g, n->g->nodes[i].out[0])) {
            v[count++] = n->g->nodes[i].out[0];
        }
    }
    return count;
}

static cvi_edit any_edit(draw *d, int value, int64_t c, int64_t h, int64_t w, const float *fill) {
    cvi_edit e = {.value = value, .fill = fill};
    int64_t kind = pick(d, 0, 5);
    e.h = kind == 0 ? 1 : kind == 1 ? h : pick(d, 1, h);
    e.w = kind == 0 ? 1 : kind == 1 ? w : pick(d, 1, w);
    e.y = kind == 2 ? 0 : kind == 3 ? h - e.h : pick(d, -1, h - 1);
    e.x = kind == 2 ? 0 : kind == 3 ? w - e.w : pick(d, -1, w - 1);
    if (kind == 4) { /* a channel */
        e.c = pick(d, 0, c - 1);
        e.channels = 1;
        e.y = e.x = 0;
        e.h = h;
        e.w = w;
    }
    return e;
}

enum { EDITS = 14, VALUES = 64 };

/* One graph: three rounds of edits; all values compared in the first, then some, so that groups run as one. */
static void one_graph(uint64_t seed, cvi_keep keep) {
    net n;
    pair p;
    int want[VALUES];
    float *fill = cvi_calloc(4096, sizeof *fill);
    assert_non_null(fill);
    net_fill(CVS_F32, fill, 4096, seed, 1.5);
    int input = random_net(&n, seed);
    int n_want = values_of(&n, want, VALUES);
    draw d = {.seed = seed + 500};
    begin_pair(&n, &p, random_dim, 1, keep, seed);
    for (int round = 0; round < 4; round++) {
        int value = round < 2 ? input : want[pick(&d, 0, n_want - 1)];
        cvs_tensor t;
        cvi_edit edit[EDITS];
        NET_OK(&n, cvi_exec_value(p.base, value, &t, &n.err));
        int64_t c = t.rank > 1 ? t.dim[1] : 1, h = t.rank > 2 ? t.dim[2] : 1, w = t.rank > 3 ? t.dim[3] : 1;
        for (int i = 0; i < EDITS; i++) {
            edit[i] = any_edit(&d, value, c, h, w, c <= 4096 ? fill : NULL);
        }
        int from = round == 0 || round == 3 ? 0 : (int)pick(&d, 0, n_want - 1);
        cvi_incr_set_batch(p.s, round == 1 ? 5 : 0);
        compare(&n, &p, edit, EDITS, want + from, round == 0 || round == 3 ? n_want : 1);
        assert_false(cvi_incr_last(p.s).again);
        compare(&n, &p, edit, EDITS, want + n_want - 2, 2);
    }
    end_pair(&p);
    net_end(&n);
    cvi_free(fill);
}

static void random_graphs(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        one_graph(seed, seed % 2 ? CVI_KEEP_ALL : CVI_KEEP_GRADIENTS);
    }
}

/* Every value of a moved patch, those inside fused groups too; one patch after another, each from the unchanged picture. */
static void live_patch(void **state) {
    (void)state;
    for (uint64_t seed = 61; seed <= 80; seed++) {
        net n;
        pair p;
        int want[VALUES];
        int input = random_net(&n, seed), n_want = values_of(&n, want, VALUES);
        float fill[3] = {0.5F, -1, 2};
        begin_pair(&n, &p, random_dim, 1, CVI_KEEP_GRADIENTS, seed);
        for (int i = 0; i < 4; i++) {
            cvi_edit e = {.value = input, .y = 7 * i, .x = 5 * i, .h = 9, .w = 8, .fill = fill};
            cvi_change c = {&e, 1};
            cvs_tensor now = edited_copy(&n, &p.x, &e);
            NET_OK(&n, cvi_incr_apply(p.s, &c, &n.err));
            NET_OK(&n, cvi_exec_forward(p.full, &now, -1, &n.err));
            for (int k = n_want - 1; k >= 0; k--) {
                cvs_tensor truth, mine;
                NET_OK(&n, cvi_exec_value(p.full, want[k], &truth, &n.err));
                NET_OK(&n, cvi_incr_value(p.s, want[k], &mine, &n.err));
                assert_true(net_difference(&truth, &mine) <= 2e-5 * scale_of(&truth));
            }
            cvs_tensor_free(&now);
        }
        end_pair(&p);
        net_end(&n);
    }
}

/* Occlusion of a grid, logits and all: the same bits on one and two threads. */
static void same_bits(void **state) {
    (void)state;
    for (uint64_t seed = 81; seed <= 88; seed++) {
        float *out[2];
        int64_t bytes = 0;
        for (int t = 0; t < 2; t++) {
            net n;
            pair p;
            float fill[3] = {0.1F, 0.2F, 0.3F};
            int input = random_net(&n, seed), want[VALUES], n_want = values_of(&n, want, VALUES);
            cvi_edit edit[36];
            cvi_change change[36];
            cvs_tensor logits;
            begin_pair(&n, &p, random_dim, t + 1, CVI_KEEP_GRADIENTS, seed);
            NET_OK(&n, cvi_exec_value(p.base, want[n_want - 2], &logits, &n.err));
            bytes = 36 * cvs_tensor_count(&logits) * (int64_t)sizeof(float);
            out[t] = cvi_malloc((size_t)bytes);
            assert_non_null(out[t]);
            for (int i = 0; i < 36; i++) {
                edit[i] =
                    (cvi_edit){.value = input, .y = i / 6 * 4, .x = i % 6 * 4, .h = 8, .w = 8, .fill = fill};
                change[i] = (cvi_change){&edit[i], 1};
            }
            NET_OK(&n,
                   cvi_incr_run(p.s, change, 36, &want[n_want - 2], 1, (void *const *)&out[t], NULL, &n.err));
            end_pair(&p);
            net_end(&n);
        }
        assert_memory_equal(out[0], out[1], (size_t)bytes);
        cvi_free(out[0]);
        cvi_free(out[1]);
    }
}

/* ---- only what can change ---------------------------------------------------------------------------------- */

/* Intervals along one axis by the window's definition, position by position: does output o read anything in [a, b)? */
static void reads(int64_t side, int64_t kernel, int64_t stride, int64_t pad, int64_t *a, int64_t *b) {
    int64_t outs = (side + 2 * pad - kernel) / stride + 1, first = outs, last = -1;
    for (int64_t o = 0; o < outs; o++) {
        for (int64_t k = 0; k < kernel; k++) {
            int64_t at = o * stride - pad + k;
            if (at >= *a && at < *b && at >= 0 && at < side) {
                first = CVI_MIN(first, o);
                last = CVI_MAX(last, o);
            }
        }
    }
    *a = first;
    *b = last + 1;
}

static const int vgg[] = {64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0};

/* VGG-16's layers on 224x224 with a sixteenth of its channels: a patch of 16 at 27x27 places changes exactly the elements that
 * the intervals say; of the multiplications in the real net's convolutions that leaves one in 9.5. */
static void only_what_can_change(void **state) {
    (void)state;
    enum { THIN = 16, SIDE = 27, PATCH = 16 };
    net n;
    net_begin(&n, CVS_F32);
    int64_t dim[4] = {1, 3, 224, 224}, c = 3, side = 224, expected = 0, sums[SIDE][2], elements = 0;
    double full = 0, part = 0;
    int x = net_input(&n, "x", CVS_F32, 4, dim), input = x, count = 0;
    for (int i = 0; i < SIDE; i++) {
        sums[i][0] = 8 * i;
        sums[i][1] = 8 * i + PATCH;
    }
    int64_t real = 3;
    for (int l = 0; l < CVI_COUNT(vgg); l++) {
        char name[20], before[20];
        bool conv = vgg[l] > 0;
        int64_t length = 0;
        snprintf(name, sizeof name, "l%d", count);
        snprintf(before, sizeof before, "c%d", count++);
        if (conv) {
            x = net_relu(&n, name, net_conv(&n, before, x, c, vgg[l] / THIN, 1));
            c = vgg[l] / THIN;
        } else {
            x = net_pool(&n, name, x);
        }
        for (int i = 0; i < SIDE; i++) {
            reads(side, conv ? 3 : 2, conv ? 1 : 2, conv ? 1 : 0, &sums[i][0], &sums[i][1]);
            length += sums[i][1] - sums[i][0];
        }
        side = conv ? side : side / 2;
        expected += length * length * c * (conv ? 2 : 1); /* the convolution and its relu */
        elements += side * side * c * (conv ? 2 : 1);
        if (conv) {
            full += 2.0 * 9 * (double)(real * vgg[l] * side * side);
            part += 2.0 * 9 * (double)(real * vgg[l]) * (double)length * (double)length / (SIDE * SIDE);
            real = vgg[l];
        }
    }
    assert_true(fabs(full / 1e9 - 30.69) < 0.02);
    assert_true(full / part > 9.4 && full / part < 9.6);
    net_finish(&n, x);

    pair p;
    int64_t cells = SIDE * SIDE;
    cvi_edit *edit = cvi_calloc((size_t)cells, sizeof *edit);
    cvi_change *change = cvi_calloc((size_t)cells, sizeof *change);
    float *out = cvi_calloc((size_t)(cells * c * side * side), sizeof *out);
    assert_true(edit && change && out);
    begin_pair(&n, &p, dim, 2, CVI_KEEP_ALL, 5);
    for (int64_t i = 0; i < cells; i++) {
        edit[i] = (cvi_edit){.value = input, .y = i / SIDE * 8, .x = i % SIDE * 8, .h = PATCH, .w = PATCH};
        change[i] = (cvi_change){&edit[i], 1};
    }
    NET_OK(&n, cvi_incr_run(p.s, change, cells, &x, 1, (void *const *)&out, NULL, &n.err));
    cvi_incr_stats stats = cvi_incr_last(p.s);
    assert_int_equal(stats.changed, expected);
    assert_int_equal(stats.full, elements * cells);
    assert_true(stats.computed >= stats.changed && (double)stats.computed < 1.3 * (double)stats.changed);
    assert_int_equal(stats.nodes_whole, 0);
    end_pair(&p);
    net_end(&n);
    cvi_free(edit);
    cvi_free(change);
    cvi_free(out);
}

/* ---- where rectangles do not help ---------------------------------------------------------------------------- */

/* A graph with an operator whose output's shape depends on numbers: run again from the edit on, and left as it was. */
static void again(void **state) {
    (void)state;
    net n;
    pair p;
    int64_t dim[4] = {1, 3, 9, 8};
    net_begin(&n, CVS_F32);
    int input = net_input(&n, "x", CVS_F32, 4, dim);
    int a = net_relu(&n, "relu", net_conv(&n, "conv", input, 3, 4, 1));
    int where = net_op(&n, "NonZero", "where", 1, &a, 0, NULL);
    cvi_node *node;
    int cast = net_op(&n, "Cast", "cast", 1, &where, 1, &node);
    assert_true(cvi_attr_set_int(n.g, &node->attr[0], "to", 1));
    int sum = net_op(&n, "ReduceSum", "sum", 1, &cast, 1, &node);
    assert_true(cvi_attr_set_int(n.g, &node->attr[0], "keepdims", 0));
    net_finish(&n, sum);
    begin_pair(&n, &p, dim, 1, CVI_KEEP_ALL, 3);
    cvs_tensor was;
    NET_OK(&n, cvi_exec_value(p.base, sum, &was, &n.err));
    double before = cvi_get(&was, 0);
    float fill[4] = {3, -2, 1, 0.5F};
    for (int inner = 0; inner < 2; inner++) {
        cvi_edit edit[3];
        for (int i = 0; i < 3; i++) {
            edit[i] =
                (cvi_edit){.value = inner ? a : input, .y = i, .x = 2 * i, .h = 4, .w = 3, .fill = fill};
        }
        compare(&n, &p, edit, 3, &sum, 1);
        assert_true(cvi_incr_last(p.s).again);
        NET_OK(&n, cvi_exec_value(p.base, sum, &was, &n.err));
        assert_true(cvi_get(&was, 0) == before);
    }
    end_pair(&p);
    net_end(&n);
}

/* Two edits of one change, the second on what the first one made; and numbers instead of a colour. */
static void edits_together(void **state) {
    (void)state;
    net n;
    pair p;
    net_branched(&n, CVS_F32);
    int input = cvi_graph_find(n.g, "x"), inner = cvi_graph_find(n.g, "conv2"),
        out = cvi_graph_find(n.g, "logits");
    float data[3 * 4 * 5], fill[5] = {1, 2, 3, 4, 5};
    net_fill(CVS_F32, data, CVI_COUNT(data), 9, 2);
    for (int keep = 0; keep < 2; keep++) {
        begin_pair(&n, &p, (int64_t[]){1, 3, 12, 10}, 1, keep ? CVI_KEEP_GRADIENTS : CVI_KEEP_ALL, 6);
        cvi_edit edit[2] = {
            {.value = input, .y = 3, .x = 2, .h = 4, .w = 5, .data = data},
            {.value = inner, .y = 5, .x = 4, .h = 3, .w = 9, .c = 1, .channels = 2, .fill = fill}};
        cvi_change change = {edit, 2};
        cvs_tensor first = edited_copy(&n, &p.x, &edit[0]), now, truth;
        float mine[7];
        float *to[1] = {mine};
        NET_OK(&n, cvi_incr_run(p.s, &change, 1, &out, 1, (void *const *)to, NULL, &n.err));
        NET_OK(&n, cvi_exec_forward(p.full, &first, -1, &n.err));
        NET_OK(&n, cvi_exec_value(p.full, inner, &now, &n.err));
        cvs_tensor second = edited_copy(&n, &now, &edit[1]);
        NET_OK(&n, cvi_exec_forward_from(p.full, inner, &second, &n.err));
        NET_OK(&n, cvi_exec_value(p.full, out, &truth, &n.err));
        now = truth;
        now.data = mine;
        assert_true(net_difference(&truth, &now) < 2e-5 * scale_of(&truth));
        cvs_tensor_free(&first);
        cvs_tensor_free(&second);
        end_pair(&p);
    }
    net_end(&n);
}

static void failing_allocations(void **state) {
    (void)state;
    net n;
    pair p;
    int input = random_net(&n, 7), want[VALUES], n_want = values_of(&n, want, VALUES),
        last = want[n_want - 1];
    cvi_edit edit[3];
    cvi_change change[3];
    float out[3 * 6], *to[1] = {out};
    begin_pair(&n, &p, random_dim, 1, CVI_KEEP_GRADIENTS, 4);
    for (int i = 0; i < 3; i++) {
        edit[i] = (cvi_edit){.value = input, .y = 9 * i, .x = 4 * i, .h = 8, .w = 7};
        change[i] = (cvi_change){&edit[i], 1};
    }
    bool done = false;
    for (int k = 0; !done && k < 4000; k++) {
        cvi_incr *s = NULL;
        cvs_tensor t;
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status status = cvi_incr_new(p.base, &s, &err);
        status =
            status == CVS_OK ? cvi_incr_run(s, change, 3, &last, 1, (void *const *)to, NULL, &err) : status;
        status = status == CVS_OK ? cvi_incr_apply(s, &change[1], &err) : status;
        status = status == CVS_OK ? cvi_incr_value(s, want[1], &t, &err) : status;
        done = status == CVS_OK;
        if (!done) {
            assert_int_equal(status, CVS_E_MEMORY);
            assert_true(err.message[0] != '\0');
        }
        cvi_incr_free(s);
        test_fail_from(-1, -1);
    }
    assert_true(done);
    end_pair(&p);
    net_end(&n);
}

/* ---- the public form, on real architectures -------------------------------------------------------------------- */

static void zoo_net(const char *name) {
    char path[600];
    const char *root = getenv("CVS_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/zoo/%s.net", root ? root : "..", name);
    net n = {.dtype = CVS_F32};
    cvs_model *model;
    cvs_run *run, *full;
    cvs_whatif *w;
    test_ok(cvs_model_open, path, NULL, &model);
    NET_OK(&n, cvi_ops_init_weights(model, 3, &n.err));
    cvs_run_options o = {.threads = 2};
    NET_OK(&n, cvs_run_new(model, &o, &run, &n.err));
    NET_OK(&n, cvs_run_new(model, &o, &full, &n.err));
    const cvi_value *in = &model->graph->values[model->graph->inputs[0]];
    cvs_tensor x, now;
    int64_t side = in->dim[2], dim[4] = {1, in->dim[1], side, side};
    float fill[3] = {1, -1, 0.5F};
    NET_OK(&n, cvs_tensor_new(&x, CVS_F32, 4, dim, &n.err));
    net_fill(CVS_F32, x.data, cvs_tensor_count(&x), 8, 1);
    NET_OK(&n, cvs_run_tensors(run, &x, 1, &n.err));
    NET_OK(&n, cvs_whatif_new(run, 0, &w, &n.err));
    for (int i = 0; i < 4; i++) { /* a corner, inside, the other corner, nothing */
        cvs_edit e = {
            .input = true, .y = i * (side - 9) / 2, .x = i * (side - 11) / 2, .h = 9, .w = 11, .fill = fill};
        cvi_edit same = {.y = e.y, .x = e.x, .h = 9, .w = 11, .fill = fill};
        cvs_tensor a, b;
        now = edited_copy(&n, &x, &same);
        NET_OK(&n, cvs_run_tensors(full, i < 3 ? &now : &x, 1, &n.err));
        NET_OK(&n, cvs_whatif_apply(w, &e, i < 3, &n.err));
        for (int layer = full->n_layers - 1; layer >= 0; layer -= 1 + full->n_layers / 9) {
            NET_OK(&n, cvs_run_layer(full, layer, &a, &n.err));
            NET_OK(&n, cvs_whatif_layer(w, layer, &b, &n.err));
            double d = net_difference(&a, &b), scale = scale_of(&a);
            if (!(d <=
                  2e-4 * scale)) { /* fused and tiled otherwise: the rounding of up to a hundred layers */
                fail_msg("%s, place %d, layer %d: differs by %g of %g", name, i, layer, d, scale);
            }
        }
        cvs_tensor_free(&now);
    }
    cvs_edit wrong = {.index = 100000};
    cvs_tensor t;
    assert_int_equal(cvs_whatif_apply(w, &wrong, 1, &n.err), CVS_E_NOT_FOUND);
    cvi_error_clear(&n.err);
    assert_int_not_equal(cvs_whatif_output(w, 7, &t, &n.err), CVS_OK);
    cvs_whatif_free(w);
    cvs_run_free(run);
    cvs_run_free(full);
    cvs_tensor_free(&x);
    cvs_model_free(model);
}

static void zoo(void **state) {
    (void)state;
    zoo_net("squeezenet1_1");
    zoo_net("mobilenet_v2");
    zoo_net("resnet50");
    zoo_net("keras_cifar");
    zoo_net("tiny_vgg");
    zoo_net("lenet5");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs),
        cmocka_unit_test(live_patch),
        cmocka_unit_test(same_bits),
        cmocka_unit_test(only_what_can_change),
        cmocka_unit_test(again),
        cmocka_unit_test(edits_together),
        cmocka_unit_test(failing_allocations),
        cmocka_unit_test(zoo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
