/* SPDX-License-Identifier: MIT
 * test_explain_methods.c - what must hold between methods whatever the numbers: class activation maps on a head of global average
 * pooling and one dense layer, backward rules where no rectifier is in the way, methods that run the model again on nets whose
 * answer is known.
 */
#include "explain_asked.h"

/* With this head the gradient of a map is the same everywhere, so three ways to weigh a map are one. */
static void cams_agree_on_a_gap_head(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    expect_same(&a, "gradcam", "hirescam");
    expect_same(&a, "gradcam", "xgradcam");
    cvs_explanation e = ask(&a, "gradcam"), f = ask(&a, "hirescam");
    for (int k = 0; k < MAPS; k++) { /* the same votes too */
        assert_int_equal(e.votes[k].channel, f.votes[k].channel);
        assert_true(fabs(e.votes[k].value - f.votes[k].value) < 1e-5);
    }
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    end(&a);
}

/* LayerCAM keeps the maps with a positive weight, all of HiResCAM's parts for those and nothing for the others. */
static void layercam_is_the_positive_part(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    cvs_explanation e = ask(&a, "layercam"), f = ask(&a, "gradcam");
    int positive = 0;
    for (int k = 0; k < MAPS; k++) {
        for (int j = 0; j < MAPS; j++) {
            if (f.votes[j].channel == e.votes[k].channel) {
                double expected = f.votes[j].weight > 0 ? f.votes[j].value : 0;
                positive += f.votes[j].weight > 0;
                assert_true(fabs(e.votes[k].value - expected) < 1e-5);
            }
        }
    }
    assert_in_range(positive, 1, MAPS - 1);
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    end(&a);
}

static void without_rectifiers_all_rules_are_the_gradient(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, false);
    expect_same(&a, "gradient", "guided-backprop");
    expect_same(&a, "gradient", "deconvnet");
    end(&a);
    begin_gap(&a, true);
    cvs_explanation e = ask(&a, "gradient"), f = ask(&a, "guided-backprop"), d = ask(&a, "deconvnet");
    assert_true(net_difference(&e.map, &f.map) > 1e-4 && net_difference(&f.map, &d.map) > 1e-4);
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    cvs_explanation_free(&d);
    end(&a);
}

/* A linear net: what the pixels give adds up to the logit's difference from the answer to a black picture. */
static void input_times_gradient_is_complete_on_a_linear_net(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, false);
    cvs_explanation e = ask(&a, "input-x-gradient");
    double all = sum_of(&e.map), value = e.target_value;
    cvs_explanation_free(&e);
    memset(a.x.data, 0, a.x.bytes);
    NET_OK(&a.n, cvs_run_tensors(a.run, &a.x, 1, &a.n.err));
    e = ask(&a, "input-x-gradient");
    assert_true(largest(&e.map) == 0);
    assert_true(fabs(all - (value - e.target_value)) < 1e-5);
    cvs_explanation_free(&e);
    end(&a);
}

/* The projection has the variance of the first component: no other direction of the maps has more; its largest value is positive. */
static void eigencam_is_the_strongest_direction(void **state) {
    (void)state;
    asked a;
    int layer;
    cvs_tensor maps;
    begin_gap(&a, true);
    cvs_explanation e = ask(&a, "eigencam");
    assert_int_equal(e.n_votes, MAPS);
    double own = 0, high = 0, low = 0;
    for (int i = 0; i < AREA; i++) {
        double v = cvi_get(&e.map, i);
        own += v * v;
        high = fmax(high, v);
        low = fmin(low, v);
    }
    assert_true(high >= -low && low < 0 && fabs(sum_of(&e.map)) < 1e-3);
    NET_OK(&a.n, cvs_model_find_layer(a.n.model, "conv2", &layer, &a.n.err));
    NET_OK(&a.n, cvs_run_layer(a.run, layer, &maps, &a.n.err));
    double best = 0;
    for (uint64_t trial = 0; trial < 2000; trial++) {
        double v[MAPS], length = 0, sum = 0, squares = 0;
        for (int k = 0; k < MAPS; k++) {
            v[k] = cvi_random_normal(trial, 1, (uint64_t)k);
            length += v[k] * v[k];
        }
        for (int i = 0; i < AREA; i++) {
            double p = 0;
            for (int k = 0; k < MAPS; k++) {
                p += v[k] / sqrt(length) * cvi_get(&maps, k * AREA + i);
            }
            sum += p;
            squares += p * p;
        }
        best = fmax(best, squares - sum * sum / AREA);
    }
    assert_true(best <= own * (1 + 1e-5) && best > 0.8 * own);
    cvs_explanation_free(&e);
    end(&a);
}

/* ---- methods that run the model again --------------------------------------------------------------------- */

static void integrated_gradients_add_up(void **state) {
    (void)state;
    static const char *const rules[] = {"gauss", "midpoint", "left", "right", "trapezoid"};
    asked a;
    begin_gap(&a, true);
    double black = score_of_black(&a);
    for (int r = 0; r < 5; r++) {
        double error[2];
        for (int k = 0; k < 2; k++) {
            cvs_explanation e = ask_signed(&a, "integrated-gradients",
                                           (cvs_explain_options){.rule = rules[r], .steps = k ? 400 : 4});
            error[k] = fabs(sum_of(&e.map) - (e.target_value - black));
            assert_true(strstr(e.caption, rules[r]) && strstr(e.caption, "black"));
            cvs_explanation_free(&e);
        }
        if (!(error[1] < 5e-3 && error[1] < error[0])) {
            fail_msg("%s: completeness error %g with 4 steps, %g with 400", rules[r], error[0], error[1]);
        }
    }
    cvs_explanation e = ask(&a, "integrated-gradients"); /* steps by itself: within 1 % */
    double way = e.target_value - black;
    assert_true(fabs(sum_of(&e.map) - way) < 0.01 * fabs(way) && strstr(e.caption, "completeness error"));
    cvs_explanation_free(&e);
    end(&a);
}

/* A linear net: integrated gradients with any rule are the input times the gradient, noise changes nothing. */
static void a_linear_net_has_one_gradient(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, false);
    expect_same(&a, "integrated-gradients", "input-x-gradient");
    expect_same(&a, "smoothgrad", "gradient");
    cvs_explanation g = ask(&a, "gradient"), v = ask(&a, "vargrad"), s = ask(&a, "smoothgrad-squared");
    assert_true(largest(&v.map) <= 1e-9 * largest(&g.map));
    for (int64_t i = 0; i < 3 * AREA; i++) {
        double slope = cvi_get(&g.map, i);
        assert_true(fabs(cvi_get(&s.map, i) - slope * slope) < 1e-4 * slope * slope + 1e-12);
    }
    cvs_explanation_free(&g);
    cvs_explanation_free(&v);
    cvs_explanation_free(&s);
    end(&a);
}

static void noise_depends_on_the_seed_alone(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    cvs_explanation e = ask_signed(&a, "smoothgrad", (cvs_explain_options){.seed = 3, .samples = 6});
    cvs_explanation same = ask_signed(&a, "smoothgrad", (cvs_explain_options){.seed = 3, .samples = 6});
    cvs_explanation other = ask_signed(&a, "smoothgrad", (cvs_explain_options){.seed = 4, .samples = 6});
    assert_memory_equal(e.map.data, same.map.data, e.map.bytes);
    assert_true(net_difference(&e.map, &other.map) > 1e-3 * largest(&e.map));
    assert_true(strstr(e.caption, "seed 3") && strstr(e.caption, "6 samples"));
    cvs_explanation v = ask(&a, "vargrad");
    assert_true(largest(&v.map) > 0);
    cvs_explanation_free(&e);
    cvs_explanation_free(&same);
    cvs_explanation_free(&other);
    cvs_explanation_free(&v);
    end(&a);
}

/* Each cell is the score of a picture painted here and run as any other. */
static void occlusion_is_the_score_under_the_patch(void **state) {
    (void)state;
    enum { PATCH = 4, STRIDE = 3, ROWS = 3, COLUMNS = 3 };
    asked a;
    begin_gap(&a, true);
    cvs_explanation e =
        ask_signed(&a, "occlusion",
                   (cvs_explain_options){.patch = PATCH, .stride = STRIDE, .has_fill = true, .fill = 0.25});
    assert_int_equal(e.map.dim[2], ROWS);
    assert_int_equal(e.map.dim[3], COLUMNS);
    for (int cell = 0; cell < ROWS * COLUMNS; cell++) {
        cvs_tensor x = net_tensor(&a.n, 4, picture, 5);
        for (int i = 0; i < 3 * AREA; i++) {
            int y = i % AREA / W - cell / COLUMNS * STRIDE, u = i % W - cell % COLUMNS * STRIDE;
            if (y >= 0 && y < PATCH && u >= 0 && u < PATCH) {
                ((float *)x.data)[i] = 0.25f;
            }
        }
        assert_true(fabs(score_of(&a, &x) - cvi_get(&e.map, cell)) < 1e-5);
        cvs_tensor_free(&x);
    }
    cvs_explanation_free(&e);
    end(&a);
}

/* A linear head: removing a map loses exactly its vote, so the weights are votes / logit. Score-CAM's weights add up to 1. */
static void weights_that_are_measured(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    cvs_explanation e = ask(&a, "ablationcam"), f = ask(&a, "gradcam");
    for (int k = 0; k < MAPS; k++) {
        for (int j = 0; j < MAPS; j++) {
            if (e.votes[k].channel == f.votes[j].channel) {
                assert_true(fabs(e.votes[k].weight * e.target_value - f.votes[j].value) < 1e-5);
            }
        }
    }
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    e = ask(&a, "scorecam");
    double all = 0;
    for (int k = 0; k < MAPS; k++) {
        assert_true(e.votes[k].weight > 0);
        all += e.votes[k].weight;
    }
    assert_true(fabs(all - 1) < 1e-9);
    cvs_explanation_free(&e);
    end(&a);
}

static void wrong_settings_are_sentences(void **state) {
    (void)state;
    const struct {
        cvs_explain_options o;
        const char *says;
    } wrong[] = {
        {{.method = "occlusion", .patch = 11}, "does not fit"},
        {{.method = "occlusion", .stride = -1}, "stride"},
        {{.method = "integrated-gradients", .rule = "simpson"}, "simpson"},
        {{.method = "integrated-gradients", .rule = "trapezoid", .steps = 1}, "2 steps"},
        {{.method = "integrated-gradients", .baseline = "pink"}, "pink"},
        {{.method = "integrated-gradients", .baseline = "absent.npy"}, "absent.npy"},
        {{.method = "vargrad", .noise = -1}, "noise"},
        {{.method = "smoothgrad", .samples = -5}, "samples"},
    };
    asked a;
    begin_gap(&a, true);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cvs_explanation e;
        char text[900];
        cvs_error err = {0};
        assert_int_not_equal(cvs_explain(a.run, &wrong[i].o, &e, &err), CVS_OK);
        if (!strstr(cvs_error_text(&err, text, sizeof text), wrong[i].says)) {
            fail_msg("\"%s\" does not say \"%s\"", text, wrong[i].says);
        }
    }
    end(&a);
}

/* x [N,3,12,10] -> conv (-> norm) -> relu -> conv -> + skip -> pool -> dense -> softmax, without a bias anywhere unless asked. */
static void skip_net(net *n, bool norm, bool biases) {
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int a = net_conv(n, "conv1", x, 3, 4, 1);
    if (norm) {
        const char *names[4] = {"s", "t", "mean", "var"};
        int in[5] = {a};
        for (int k = 0; k < 4; k++) {
            in[k + 1] = net_weight(n, names[k], 1, (int64_t[]){4}, k == 3 ? 0 : 0.5);
            float *v = (float *)n->model->graph->values[in[k + 1]].constant->data;
            for (int i = 0; i < 4; i++) {
                v[i] = k == 3 ? 0.5f + (float)i : v[i]; /* scales of both signs */
            }
        }
        a = net_op(n, "BatchNormalization", "norm", 5, in, 0, NULL);
    }
    a = net_relu(n, "relu1", a);
    int b = net_relu(n, "relu2", net_conv(n, "conv2", a, 4, 4, 1));
    int p = net_pool(n, "pool", net_op(n, "Add", "sum", 2, (int[]){a, b}, 0, NULL));
    cvi_graph *g = n->model->graph;
    int64_t flat = 4 * (H / 2) * (W / 2);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), flat, CLASSES);
    for (int i = 0; i < g->n_nodes && !biases; i++) {
        bool kernel = strcmp(g->nodes[i].op, "Conv") == 0 || strcmp(g->nodes[i].op, "Gemm") == 0;
        if (kernel && g->nodes[i].n_in > 2) {
            const cvs_tensor *c = g->values[g->nodes[i].in[2]].constant;
            memset(c->data, 0, c->bytes);
        }
    }
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
}

static void begin_skip(asked *a, bool norm, bool biases) {
    skip_net(&a->n, norm, biases);
    begin_run(a);
}

/* Without biases LRP epsilon is input times gradient, and no rule but alpha-beta's loses any of the logit on the way. */
static void relevance_is_kept(void **state) {
    (void)state;
    asked a;
    begin_skip(&a, false, false);
    cvs_explain_options o = {.epsilon = 1e-12};
    cvs_explanation e = ask_signed(&a, "lrp-epsilon", o), g = ask(&a, "input-x-gradient");
    assert_true(net_difference(&e.map, &g.map) < 1e-5 * largest(&g.map));
    cvs_explanation zero =
        ask_signed(&a, "lrp-epsilon", (cvs_explain_options){.has_epsilon = true}); /* LRP-0 */
    assert_true(net_difference(&zero.map, &g.map) < 1e-5 * largest(&g.map));
    assert_true(fabs(sum_of(&zero.map) - zero.target_value) < 1e-4 * fabs(zero.target_value));
    cvs_explanation_free(&zero);
    cvs_explanation_free(&g);
    static const char *const names[] = {"lrp-zplus", "lrp-gamma", "lrp-composite", "deep-taylor"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        g = ask_signed(&a, names[i], o);
        assert_true(fabs(sum_of(&g.map) - g.target_value) < 1e-3 * fabs(g.target_value));
        assert_true(net_difference(&g.map, &e.map) > 1e-3 * largest(&e.map));
        cvs_explanation_free(&g);
    }
    g = ask_signed(&a, "excitation-backprop", o);
    assert_true(fabs(sum_of(&g.map) - (g.target_value < 0 ? -1.0 : 1.0)) < 1e-3);
    cvs_explanation_free(&g);
    cvs_explanation_free(&e);
    /* what a rule put into the weights is gone afterwards */
    e = ask(&a, "gradient");
    cvs_run *fresh = NULL;
    NET_OK(&a.n, cvs_run_new(a.n.model, &(cvs_run_options){.threads = 1}, &fresh, &a.n.err));
    NET_OK(&a.n, cvs_run_tensors(fresh, &a.x, 1, &a.n.err));
    NET_OK(&a.n,
           cvs_explain(fresh, &(cvs_explain_options){.method = "gradient", .target.index = 1}, &g, &a.n.err));
    assert_true(net_difference(&e.map, &g.map) == 0);
    cvs_explanation_free(&e);
    cvs_explanation_free(&g);
    cvs_run_free(fresh);
    end(&a);
}

/* A normalisation counts as part of the kernel before it: excitation still adds up to 1, whatever the signs of its scales. */
static void relevance_goes_through_normalisation(void **state) {
    (void)state;
    asked a;
    begin_skip(&a, true, true);
    cvs_explanation e = ask(&a, "excitation-backprop"), t = ask(&a, "deep-taylor");
    assert_true(fabs(sum_of(&e.map) - 1.0) < 1e-3);
    assert_true(fabs(sum_of(&t.map) - t.target_value) < 1e-3 * fabs(t.target_value));
    cvs_explanation_free(&e);
    cvs_explanation_free(&t);
    end(&a);
}

/* DeepLIFT adds up to the difference from the baseline's answer; where nothing bends it is the gradient times the difference. */
static void deeplift_adds_up(void **state) {
    (void)state;
    asked a;
    begin_skip(&a, true, true);
    cvs_explanation e = ask(&a, "deeplift");
    double all = sum_of(&e.map), value = e.target_value;
    cvs_explanation_free(&e);
    assert_true(fabs(all - (value - score_of_black(&a))) < 1e-4 * fmax(1, fabs(value)));
    end(&a);
    begin_gap(&a, false);
    cvs_explanation d = ask(&a, "deeplift"), g = ask(&a, "input-x-gradient");
    assert_true(net_difference(&d.map, &g.map) < 1e-5 * largest(&g.map));
    cvs_explanation_free(&d);
    cvs_explanation_free(&g);
    cvs_explain_options bad = {.method = "lrp-epsilon", .epsilon = -1};
    assert_int_equal(cvs_explain(a.run, &bad, &d, NULL), CVS_E_ARGUMENT);
    end(&a);
}

/* Overlapping maxima over a baseline that is uneven: the parts add up, and no multiplier is larger than what the windows that an input
 * stands in hand back together. */
static void deeplift_through_maxima(void **state) {
    (void)state;
    asked a;
    net *n = &a.n;
    net_begin(n, CVS_F32);
    int v = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    cvi_node *pool = NULL;
    v = net_op(n, "MaxPool", "pool", 1, &v, 2, &pool);
    assert_true(cvi_attr_set_ints(n->g, &pool->attr[0], "kernel_shape", 2, (int64_t[]){3, 3}));
    assert_true(cvi_attr_set_ints(n->g, &pool->attr[1], "strides", 2, (int64_t[]){2, 2}));
    int64_t out = (int64_t)3 * 5 * 4;
    net_finish(n, net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &v, 0, NULL), out, CLASSES));
    begin_run(&a);
    cvs_explain_options o = {.baseline = "noise", .seed = 3};
    cvs_explanation e = ask_with(&a, "deeplift", o), w = ask_with(&a, "gradient", o);
    double most = 0.0, steepest = 4 * largest(&w.map); /* four windows at most */
    for (int64_t i = 0; i < cvs_tensor_count(&e.map); i++) {
        double b = cvi_random_uniform(3, 0x62617365u, (uint64_t)i), d = cvi_get(&a.x, i) - b;
        most = fmax(most, fabs(d) > 1e-6 ? fabs(cvi_get(&e.map, i) / d) : 0.0);
    }
    assert_true(e.has_completeness && fabs(e.completeness_error) < 1e-4 * fabs(e.completeness_of));
    assert_true(most > 0.0 && most <= steepest * 1.001);
    cvs_explanation_free(&e);
    cvs_explanation_free(&w);
    end(&a);
}

/* The map of a run by the plain loops is the same to rounding. */
static void expect_twin(asked *a, const char *method, const char *baseline) {
    cvs_run *plain = NULL;
    cvs_explain_options o = {.method = method, .baseline = baseline, .target.index = 1};
    cvs_explanation e = ask_with(a, method, o), f;
    NET_OK(&a->n,
           cvs_run_new(a->n.model, &(cvs_run_options){.threads = 1, .plain = true}, &plain, &a->n.err));
    NET_OK(&a->n, cvs_run_tensors(plain, &a->x, 1, &a->n.err));
    NET_OK(&a->n, cvs_explain(plain, &o, &f, &a->n.err));
    double most = largest(&f.map), off = net_difference(&e.map, &f.map);
    if (!(most > 1e-6) || !(off <= 1e-5 * most)) {
        fail_msg("%s differs from its plain loops by %g of %g", method, off, most);
    }
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    cvs_run_free(plain);
}

/* Relevance and DeepLIFT through the kernels, beside the plain loops: pictures and weights of both signs, scales of both signs, and
 * overlapping maxima over an even baseline, where the first of many equal numbers must win in both. */
static void relevance_has_a_plain_twin(void **state) {
    (void)state;
    static const char *const names[] = {"lrp-epsilon",         "lrp-zplus",     "lrp-gamma",
                                        "lrp-alphabeta",       "lrp-composite", "deep-taylor",
                                        "excitation-backprop", "deeplift"};
    asked a;
    for (int norm = 0; norm < 2; norm++) {
        begin_skip(&a, norm != 0, true);
        for (int i = 0; i < CVI_COUNT(names); i++) {
            expect_twin(&a, names[i], NULL);
        }
        end(&a);
    }
    net *n = &a.n;
    net_begin(n, CVS_F32);
    int v = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    v = net_relu(n, "relu", net_conv(n, "conv1", v, 3, 4, 1));
    cvi_node *pool = NULL;
    v = net_op(n, "MaxPool", "pool", 1, &v, 2, &pool);
    assert_true(cvi_attr_set_ints(n->g, &pool->attr[0], "kernel_shape", 2, (int64_t[]){3, 3}));
    assert_true(cvi_attr_set_ints(n->g, &pool->attr[1], "strides", 2, (int64_t[]){2, 2}));
    int64_t out = (int64_t)4 * 5 * 4;
    net_finish(n, net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &v, 0, NULL), out, CLASSES));
    begin_run(&a);
    expect_twin(&a, "deeplift", "white");
    expect_twin(&a, "deeplift", "noise");
    end(&a);
}

/* A step of gradient ascent: along the gradient, of root mean square `step`, uphill; and the same again from the same picture. */
static void ascent(void **state) {
    (void)state;
    asked a;
    cvs_ascent *climb;
    begin_gap(&a, false); /* no rectifier: slopes are the same everywhere */
    const int64_t count = 3 * AREA;
    double value = 0, after = 0, before = 0, squares = 0, along = 0;
    cvs_tensor x = {0}, moved = {0};
    NET_OK(&a.n, cvs_ascent_new(a.n.model, &(cvs_run_options){.threads = 2, .exact = true}, "conv2", 3,
                                &climb, &a.n.err));
    NET_OK(&a.n, cvs_tensor_convert(&a.x, CVS_F32, &x, &a.n.err));
    NET_OK(&a.n, cvs_tensor_convert(&a.x, CVS_F32, &moved, &a.n.err));
    NET_OK(&a.n, cvs_ascent_step(climb, &moved, 0.5, &value, &a.n.err));
    for (int64_t i = 0; i < count; i++) {
        double d = cvi_get(&moved, i) - cvi_get(&x, i);
        squares += d * d;
    }
    assert_true(fabs(sqrt(squares / (double)count) - 0.5) < 1e-5);
    double rms = 0; /* of the gradient, from the slope along one pixel; then every other pixel must agree */
    for (int64_t i = 0; i < count; i += 41) {
        cvs_tensor t = {0};
        const double h = 0.25;
        for (int side = 0; side < 2; side++) {
            NET_OK(&a.n, cvs_tensor_convert(&a.x, CVS_F32, &t, &a.n.err));
            cvi_put(&t, i, cvi_get(&t, i) + (side ? h : -h));
            NET_OK(&a.n, cvs_ascent_step(climb, &t, 0, side ? &after : &before, &a.n.err));
            cvs_tensor_free(&t);
        }
        double slope = (after - before) / (2 * h), d = (cvi_get(&moved, i) - cvi_get(&x, i)) / 0.5;
        rms = i == 0 ? slope / d : rms;
        along = fmax(along, fabs(slope));
        assert_true(fabs(slope - d * rms) < 2e-2 * along + 1e-5);
    }
    assert_true(rms > 0);
    NET_OK(&a.n, cvs_ascent_step(climb, &moved, 0, &after, &a.n.err));
    assert_true(after > value);
    cvs_tensor again = {0};
    NET_OK(&a.n, cvs_tensor_convert(&a.x, CVS_F32, &again, &a.n.err));
    NET_OK(&a.n, cvs_ascent_step(climb, &again, 0.5, &after, &a.n.err));
    assert_true(after == value);
    assert_true(net_difference(&again, &moved) == 0);
    cvs_ascent_free(climb);
    NET_OK(&a.n, cvs_ascent_new(a.n.model, NULL, "conv2", 99, &climb, &a.n.err));
    assert_int_equal(cvs_ascent_step(climb, &again, 1, NULL, NULL), CVS_E_NOT_FOUND);
    cvs_ascent_free(climb);
    assert_int_equal(cvs_ascent_new(a.n.model, NULL, "nothing", 0, &climb, NULL), CVS_E_NOT_FOUND);
    cvs_tensor_free(&x);
    cvs_tensor_free(&moved);
    cvs_tensor_free(&again);
    end(&a);
}

/* A run that writes only what gradients read explains as one that keeps everything. */
static void run_for_gradients(void **state) {
    (void)state;
    static const char *const methods[] = {"gradient", "guided-backprop", "gradcam", "layercam", "gradient"};
    asked a;
    begin_gap(&a, true);
    cvs_run *every = a.run;
    NET_OK(&a.n,
           cvs_run_new(a.n.model, &(cvs_run_options){.threads = 1, .for_gradients = true}, &a.run, &a.n.err));
    cvs_run *lean = a.run;
    for (int i = 0; i < CVI_COUNT(methods); i++) { /* again and again on one run */
        NET_OK(&a.n, cvs_run_tensors(lean, &a.x, 1, &a.n.err));
        NET_OK(&a.n, cvs_run_tensors(every, &a.x, 1, &a.n.err));
        a.run = every;
        cvs_explanation e = ask(&a, methods[i]);
        a.run = lean;
        cvs_explanation f = ask(&a, methods[i]);
        assert_true(largest(&e.map) > 1e-6);
        assert_true(net_difference(&e.map, &f.map) <= 1e-5 * largest(&e.map));
        cvs_explanation_free(&e);
        cvs_explanation_free(&f);
    }
    cvs_run_free(every);
    end(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ascent),
        cmocka_unit_test(run_for_gradients),
        cmocka_unit_test(cams_agree_on_a_gap_head),
        cmocka_unit_test(layercam_is_the_positive_part),
        cmocka_unit_test(without_rectifiers_all_rules_are_the_gradient),
        cmocka_unit_test(input_times_gradient_is_complete_on_a_linear_net),
        cmocka_unit_test(eigencam_is_the_strongest_direction),
        cmocka_unit_test(integrated_gradients_add_up),
        cmocka_unit_test(a_linear_net_has_one_gradient),
        cmocka_unit_test(noise_depends_on_the_seed_alone),
        cmocka_unit_test(occlusion_is_the_score_under_the_patch),
        cmocka_unit_test(weights_that_are_measured),
        cmocka_unit_test(wrong_settings_are_sentences),
        cmocka_unit_test(relevance_is_kept),
        cmocka_unit_test(relevance_goes_through_normalisation),
        cmocka_unit_test(deeplift_adds_up),
        cmocka_unit_test(deeplift_through_maxima),
        cmocka_unit_test(relevance_has_a_plain_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
