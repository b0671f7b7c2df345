/* SPDX-License-Identifier: MIT
 * test_explain_invariants.c - what must hold whatever the network says: adjoint convolutions, pooling switches, linear targets, seeds of
 * any size, signs that are conventions; and the alpha-beta rule by its formula. The other invariants stand in test_explain.c,
 * test_explain_methods.c, test_explain_more.c and test_incremental.c.
 */
#include "explain_asked.h"

/* One linear layer on the pixels, random weights. */
static void begin_linear(asked *a) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &x, 0, NULL), 3 * AREA, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    begin_run(a);
}

static float *constant(asked *a, const char *name) {
    return a->n.g->values[cvi_graph_find(a->n.g, name)].constant->data;
}

/* IG = DeepLIFT = guided IG = (x - b) w; a patch takes away the sum of (x - fill) w under it; over everything, what the fill alone gives. */
static void a_linear_target(void **state) {
    (void)state;
    asked a;
    begin_linear(&a);
    const float *w = constant(&a, "logits_w") + 3 * AREA, *x = a.x.data;
    double bias = constant_at(&a, "logits_b", 1);
    static const char *const names[] = {"integrated-gradients", "deeplift", "guided-ig", "gradientshap"};
    for (int m = 0; m < CVI_COUNT(names); m++) {
        cvs_explanation e = ask_with(&a, names[m], (cvs_explain_options){.baseline = "white"});
        for (int i = 0; i < 3 * AREA; i++) { /* white is 1 */
            double want = ((double)x[i] - 1) * (double)w[i];
            if (fabs(cvi_get(&e.map, i) - want) > 1e-5) {
                fail_msg("%s, pixel %d: %g, expected %g", names[m], i, cvi_get(&e.map, i), want);
            }
        }
        cvs_explanation_free(&e);
    }
    cvs_explanation e = ask_with(
        &a, "occlusion", (cvs_explain_options){.patch = 5, .stride = 2, .has_fill = true, .fill = -0.5});
    for (int cell = 0; cell < 12; cell++) {
        double lost = 0;
        for (int i = 0; i < 3 * 25; i++) {
            int at = i / 25 * AREA + (cell / 3 * 2 + i % 25 / 5) * W + cell % 3 * 2 + i % 5;
            lost += ((double)x[at] + 0.5) * (double)w[at];
        }
        assert_true(fabs(e.target_value - cvi_get(&e.map, cell) - lost) < 1e-4);
    }
    cvs_explanation_free(&e);
    end(&a);
    /* a square picture, so that one patch covers all of it */
    net *n = &a.n;
    net_begin(n, CVS_F32);
    int in = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, W, W});
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &in, 0, NULL), 3 * W * W, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    a.x = net_tensor(n, 4, (int64_t[]){1, 3, W, W}, 5);
    NET_OK(n, cvs_run_new(n->model, &(cvs_run_options){.threads = 1}, &a.run, &n->err));
    NET_OK(n, cvs_run_tensors(a.run, &a.x, 1, &n->err));
    double all = constant_at(&a, "logits_b", 1);
    for (int i = 0; i < 3 * W * W; i++) {
        all += 0.25 * (double)constant(&a, "logits_w")[3 * W * W + i];
    }
    e = ask_with(&a, "occlusion", (cvs_explain_options){.patch = W, .has_fill = true, .fill = 0.25});
    assert_int_equal(cvs_tensor_count(&e.map), 1);
    assert_true(fabs(cvi_get(&e.map, 0) - all) < 1e-4);
    cvs_explanation_free(&e);
    end(&a);
    (void)bias;
}

static void set_ints(net *n, cvi_node *node, int i, const char *name, int64_t a, int64_t b) {
    assert_true(
        cvi_attr_set_ints(n->g, &node->attr[i], name, name[0] == 'p' ? 4 : 2, (int64_t[]){a, b, a, b}));
}

/* <conv(x), y> = <x, convT(y)>, the same kernel read both ways. */
static void a_transposed_convolution_is_the_adjoint(void **state) {
    (void)state;
    cvs_tensor x, y, cx, ty;
    net n, t;
    cvs_run *run, *back;
    cvi_node *node;
    net_begin(&n, CVS_F32);
    int in = net_input(&n, "x", CVS_F32, 4, (int64_t[]){1, 3, 13, 11});
    int k = net_weight(&n, "w", 4, (int64_t[]){4, 3, 3, 3}, 0.5);
    int out = net_op(&n, "Conv", "conv", 2, (int[]){in, k}, 2, &node);
    set_ints(&n, node, 0, "pads", 1, 1);
    set_ints(&n, node, 1, "strides", 2, 2);
    net_finish(&n, out);
    net_begin(&t, CVS_F32);
    in = net_input(&t, "y", CVS_F32, 4, (int64_t[]){1, 4, 7, 6});
    k = net_weight(&t, "w", 4, (int64_t[]){4, 3, 3, 3}, 0.5);
    out = net_op(&t, "ConvTranspose", "back", 2, (int[]){in, k}, 2, &node);
    set_ints(&t, node, 0, "pads", 1, 1);
    set_ints(&t, node, 1, "strides", 2, 2);
    net_finish(&t, out);
    x = net_tensor(&n, 4, (int64_t[]){1, 3, 13, 11}, 3);
    y = net_tensor(&t, 4, (int64_t[]){1, 4, 7, 6}, 4);
    NET_OK(&n, cvs_run_new(n.model, NULL, &run, &n.err));
    NET_OK(&t, cvs_run_new(t.model, NULL, &back, &t.err));
    NET_OK(&n, cvs_run_tensors(run, &x, 1, &n.err));
    NET_OK(&t, cvs_run_tensors(back, &y, 1, &t.err));
    NET_OK(&n, cvs_run_output(run, 0, &cx, &n.err));
    NET_OK(&t, cvs_run_output(back, 0, &ty, &t.err));
    assert_int_equal(cvs_tensor_count(&cx), cvs_tensor_count(&y));
    assert_int_equal(cvs_tensor_count(&ty), cvs_tensor_count(&x));
    double left = 0, right = 0, size = 0;
    for (int64_t i = 0; i < cvs_tensor_count(&y); i++) {
        left += cvi_get(&cx, i) * cvi_get(&y, i);
        size += fabs(cvi_get(&cx, i) * cvi_get(&y, i));
    }
    for (int64_t i = 0; i < cvs_tensor_count(&x); i++) {
        right += cvi_get(&ty, i) * cvi_get(&x, i);
    }
    assert_true(fabs(left) > 1e-3 && fabs(left - right) < 1e-5 * size);
    cvs_run_free(run);
    cvs_run_free(back);
    cvs_tensor_free(&x);
    cvs_tensor_free(&y);
    net_end(&n);
    net_end(&t);
}

/* Switches: every maximum at its own place, and what is put back there is pooled to itself again. */
static void switches_keep_maxima_in_place(void **state) {
    (void)state;
    net n;
    cvs_run *run;
    cvs_tensor in, out, switches;
    cvs_window window;
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, (int64_t[]){1, 3, H, W});
    net_finish(&n, net_pool(&n, "pool", x));
    cvs_tensor picked = net_tensor(&n, 4, picture, 6), put = net_tensor(&n, 4, picture, 6);
    NET_OK(&n, cvs_run_new(n.model, NULL, &run, &n.err));
    NET_OK(&n, cvs_run_tensors(run, &picked, 1, &n.err));
    NET_OK(&n, cvs_run_pooling(run, 0, &in, &out, &switches, &window, &n.err));
    memset(put.data, 0, put.bytes);
    int64_t count = cvs_tensor_count(&out), area = H / 2 * (W / 2);
    float *kept = calloc((size_t)count, sizeof *kept);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i / area * AREA + ((const int64_t *)switches.data)[i];
        assert_true(cvi_get(&in, at) == cvi_get(&out, i));
        kept[i] = fabsf((float)cvi_get(&out, i));
        ((float *)put.data)[at] = kept[i];
    }
    cvs_tensor_free(&switches);
    NET_OK(&n, cvs_run_tensors(run, &put, 1, &n.err));
    NET_OK(&n, cvs_run_output(run, 0, &out, &n.err));
    for (int64_t i = 0; i < count; i++) {
        assert_true((float)cvi_get(&out, i) == kept[i]);
    }
    free(kept);
    cvs_run_free(run);
    cvs_tensor_free(&picked);
    cvs_tensor_free(&put);
    net_end(&n);
}

/* deconvnet(c seed) = c deconvnet(seed) for c > 0: only the sign of the signal counts on the way. */
static void deconvnet_is_homogeneous(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    static const char *const names[] = {"deconvnet", "guided-backprop"};
    for (int m = 0; m < 2; m++) {
        cvs_explanation once = ask(&a, names[m]), more;
        cvs_explain_options o = {
            .method = names[m],
            .target = {.kind = CVS_TARGET_MIX, .n_parts = 1, .part = {1}, .weight = {3.5}}};
        NET_OK(&a.n, cvs_explain(a.run, &o, &more, &a.n.err));
        assert_true(largest(&once.map) > 1e-4);
        for (int64_t i = 0; i < 3 * AREA; i++) {
            double want = 3.5 * cvi_get(&once.map, i);
            assert_true(fabs(cvi_get(&more.map, i) - want) < 1e-5 * largest(&more.map));
        }
        cvs_explanation_free(&once);
        cvs_explanation_free(&more);
    }
    end(&a);
}

/* The strongest direction of A and of -A is one: so is the map. */
static void eigencam_does_not_know_signs(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, false);
    cvs_explanation e = ask_with(&a, "eigencam", (cvs_explain_options){0});
    for (int i = 0; i < 4 * MAPS * 9; i++) {
        constant(&a, "conv2_w")[i] *= -1;
    }
    for (int i = 0; i < MAPS; i++) {
        constant(&a, "conv2_b")[i] *= -1;
    }
    cvs_run_free(a.run);
    NET_OK(&a.n, cvs_run_new(a.n.model, &(cvs_run_options){.threads = 1}, &a.run, &a.n.err));
    NET_OK(&a.n, cvs_run_tensors(a.run, &a.x, 1, &a.n.err));
    cvs_explanation f = ask_with(&a, "eigencam", (cvs_explain_options){0});
    double votes = 0; /* they add up to the map, which is where it is positive */
    assert_int_equal(e.n_votes, MAPS);
    for (int k = 0; k < MAPS; k++) {
        votes += e.votes[k].value;
    }
    assert_true(fabs(votes - sum_of(&e.map)) < 1e-3 * votes);
    assert_true(largest(&e.map) > 1e-3 && net_difference(&e.map, &f.map) < 1e-4 * largest(&e.map));
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    end(&a);
}

/* x -> conv1 -> relu -> global average pool -> dense: short enough for the formula. */
static void begin_short(asked *a) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int v = net_relu(n, "relu1", net_conv(n, "conv1", x, 3, MAPS, 1));
    int p = net_op(n, "GlobalAveragePool", "gap", 1, &v, 0, NULL);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), MAPS, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    begin_run(a);
}

/* One output of conv1 and where its terms come from: adds alpha (x w)+ r / z+ - beta (x w)- r / z- to the map. */
static void alpha_beta_by_hand(asked *a, double alpha, double beta, double *map) {
    const float *x = a->x.data, *w = constant(a, "conv1_w"), *b = constant(a, "conv1_b"),
                *head = constant(a, "logits_w") + MAPS;
    for (int o = 0; o < MAPS * AREA; o++) {
        double part[2] = {fmax((double)b[o / AREA], 0), fmin((double)b[o / AREA], 0)}, term[27], z;
        int from[27], n = 0, y = o % AREA / W, u = o % W;
        for (int i = 0; i < 27; i++) {
            int row = y + i % 9 / 3 - 1, column = u + i % 3 - 1;
            if (row >= 0 && row < H && column >= 0 && column < W) {
                from[n] = i / 9 * AREA + row * W + column;
                term[n] = (double)x[from[n]] * (double)w[o / AREA * 27 + i];
                part[term[n] < 0] += term[n];
                n++;
            }
        }
        z = part[0] + part[1];
        double r = z > 0 ? z * (double)head[o / AREA] / AREA : 0;
        for (int i = 0; i < n; i++) {
            map[from[i]] += term[i] > 0   ? alpha * term[i] * r / part[0]
                            : term[i] < 0 ? -beta * term[i] * r / part[1]
                                          : 0;
        }
    }
}

static void alpha_beta_is_its_formula(void **state) {
    (void)state;
    asked a;
    begin_short(&a);
    for (int one = 0; one < 2; one++) {
        double alpha = one ? 1 : 2.5, *map = calloc(3 * AREA, sizeof *map), most = 0;
        cvs_explain_options o = {.epsilon = 1e-12, .alpha = alpha};
        cvs_explanation e = ask_with(&a, "lrp-alphabeta", o);
        alpha_beta_by_hand(&a, alpha, alpha - 1, map);
        for (int i = 0; i < 3 * AREA; i++) {
            most = fmax(most, fabs(map[i]));
        }
        for (int i = 0; i < 3 * AREA; i++) {
            if (!(fabs(map[i] - cvi_get(&e.map, i)) < 1e-4 * most)) {
                fail_msg("alpha %g, pixel %d: %g, by the formula %g", alpha, i, cvi_get(&e.map, i), map[i]);
            }
        }
        free(map);
        cvs_explanation_free(&e);
    }
    memset(constant(&a, "conv1_b"), 0, MAPS * sizeof(float)); /* without biases alpha 1 is z+ */
    cvs_run_free(a.run);
    NET_OK(&a.n, cvs_run_new(a.n.model, &(cvs_run_options){.threads = 1}, &a.run, &a.n.err));
    NET_OK(&a.n, cvs_run_tensors(a.run, &a.x, 1, &a.n.err));
    cvs_explanation e = ask_with(&a, "lrp-alphabeta", (cvs_explain_options){.epsilon = 1e-12, .alpha = 1});
    cvs_explanation f = ask_with(&a, "lrp-zplus", (cvs_explain_options){.epsilon = 1e-12});
    assert_true(net_difference(&e.map, &f.map) < 1e-4 * largest(&e.map));
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    end(&a);
}

/* Zero is a value, not "unless said": gamma 0 is epsilon's rule; and with epsilon 0 nothing is lost in a net without biases. */
static void zero_is_a_setting(void **state) {
    (void)state;
    asked a;
    begin_short(&a);
    cvs_explanation none = ask_with(&a, "lrp-gamma",
                                    (cvs_explain_options){.has_gamma = true, .has_epsilon = true}),
                    usual = ask_with(&a, "lrp-gamma", (cvs_explain_options){0}),
                    epsilon = ask_with(&a, "lrp-epsilon", (cvs_explain_options){.has_epsilon = true});
    if (net_difference(&none.map, &epsilon.map) > 1e-3 * largest(&none.map)) {
        fail_msg("gamma 0 is off by %g of %g", net_difference(&none.map, &epsilon.map), largest(&none.map));
    }
    assert_true(net_difference(&none.map, &usual.map) > 1e-2 * largest(&none.map));
    assert_non_null(strstr(epsilon.caption, "epsilon 0;"));
    cvs_explanation_free(&none);
    cvs_explanation_free(&usual);
    cvs_explanation_free(&epsilon);
    end(&a);
}

/* Whichever allocation fails, every method says so and leaves the run as it was; later ones are tried ever more sparsely. */
static void memory_may_end_in_every_method(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    for (int i = 0; i < cvs_method_count(); i++) {
        cvs_method_info m;
        NET_OK(&a.n, cvs_method_describe(i, CVS_EN, &m, &a.n.err));
        cvs_explain_options o = {.method = m.name, .target = {.index = 1}, .samples = 80, .steps = 2};
        bool done = false, slow = strcmp(m.name, "xrai") == 0;
        for (int k = 0; !done; k += 1 + k / (slow ? 1 : 5)) {
            cvs_explanation e;
            cvs_error err = {0};
            test_fail_from(k, -1);
            cvs_status s = cvs_explain(a.run, &o, &e, &err);
            cvi_set_hooks(NULL);
            done = !test_has_failed();
            if (s != (done ? CVS_OK : CVS_E_MEMORY)) {
                fail_msg("%s, allocation %d: status %d, %s", m.name, k, (int)s, err.message);
            }
            cvs_explanation_free(&e);
        }
    }
    expect_same(&a, "gradcam", "hirescam"); /* the run is as good as before */
    end(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linear_target),
        cmocka_unit_test(a_transposed_convolution_is_the_adjoint),
        cmocka_unit_test(switches_keep_maxima_in_place),
        cmocka_unit_test(deconvnet_is_homogeneous),
        cmocka_unit_test(eigencam_does_not_know_signs),
        cmocka_unit_test(alpha_beta_is_its_formula),
        cmocka_unit_test(zero_is_a_setting),
        cmocka_unit_test(memory_may_end_in_every_method),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
