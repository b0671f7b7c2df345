/* SPDX-License-Identifier: MIT
 * test_explain_more.c - methods whose parts must add up, and methods that mask: on nets whose answer is known.
 */
#include "explain_asked.h"

static int batch_norm(net *n, const char *name, int x, int64_t channels) {
    int64_t dim[1] = {channels};
    int in[5] = {x, net_weight(n, "bn_scale", 1, dim, 1.0), net_weight(n, "bn_shift", 1, dim, 1.0),
                 net_weight(n, "bn_mean", 1, dim, 1.0), net_weight(n, "bn_var", 1, dim, 1.0)};
    float *variance = n->g->values[in[4]].constant->data;
    for (int64_t c = 0; c < channels; c++) {
        variance[c] = variance[c] * variance[c] + 0.5f;
    }
    return net_op(n, "BatchNormalization", name, 5, in, 0, NULL);
}

/* x [N,3,12,10] -> conv1 -> relu -> conv2 (-> batch norm -> relu -> max pool) -> global average pool -> dense "logits" -> softmax. */
static void begin(asked *a, bool deep) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int v = net_conv(n, "conv2", net_relu(n, "relu1", net_conv(n, "conv1", x, 3, 4, 1)), 4, MAPS, 1);
    if (deep) {
        v = net_pool(n, "pool", net_relu(n, "relu2", batch_norm(n, "bn", v, MAPS)));
    }
    int p = net_op(n, "GlobalAveragePool", "gap", 1, &v, 0, NULL);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), MAPS, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    begin_run(a);
}

/* One dense layer on the pixels: class 1 sees only rows 3..6 and columns 2..5, with weight `inside`. */
static void begin_pixels(asked *a, float inside) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &x, 0, NULL), 3 * AREA, CLASSES);
    float *w = n->g->values[cvi_graph_find(n->g, "logits_w")].constant->data;
    for (int i = 0; i < 3 * AREA; i++) {
        int y = i % AREA / W, u = i % W;
        w[3 * AREA + i] = y >= 3 && y < 7 && u >= 2 && u < 6 ? inside : 0.0f;
    }
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    begin_run(a);
    for (int i = 0; i < 3 * AREA; i++) {
        float *v = (float *)a->x.data + i;
        *v = fabsf(*v) + 0.5f;
    }
    NET_OK(n, cvs_run_tensors(a->run, &a->x, 1, &n->err));
}

/* The same without kinks: x -> conv1 -> sigmoid -> global average pool -> dense. */
static void begin_smooth(asked *a) {
    net *n = &a->n;
    net_begin(n, CVS_F32);
    int x = net_input(n, "x", CVS_F32, 4, (int64_t[]){-1, 3, H, W});
    int v = net_conv(n, "conv1", x, 3, MAPS, 1);
    v = net_op(n, "Sigmoid", "smooth", 1, &v, 0, NULL);
    int p = net_op(n, "GlobalAveragePool", "gap", 1, &v, 0, NULL);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), MAPS, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
    begin_run(a);
}

/* The head's weights: Grad-CAM's times the positions; the map's mean and the bias are the logit, and the weights are the file's. */
static void cam_is_the_head(void **state) {
    (void)state;
    asked a;
    begin(&a, false);
    cvs_explanation e = ask(&a, "cam"), f = ask(&a, "gradcam");
    assert_true(largest(&f.map) > 1e-6);
    for (int i = 0; i < AREA; i++) {
        assert_true(fabs(cvi_get(&e.map, i) - AREA * cvi_get(&f.map, i)) < 1e-4 * largest(&e.map));
    }
    for (int k = 0; k < MAPS; k++) {
        double weight = constant_at(&a, "logits_w", MAPS + e.votes[k].channel);
        assert_true(fabs(e.votes[k].weight - weight) < 1e-5);
    }
    assert_true(fabs(sum_of(&e.map) / AREA + constant_at(&a, "logits_b", 1) - e.target_value) < 1e-4);
    assert_string_equal(e.layer, "conv2");
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    refuse(&a, (cvs_explain_options){.method = "cam", .layer = "conv1"}, "conv2");
    refuse(&a, (cvs_explain_options){.method = "cam", .target.probability = true}, "gradcam");
    end(&a);
    begin_pixels(&a, 1.0f);
    refuse(&a, (cvs_explain_options){.method = "cam"}, "global average pooling");
    end(&a);
}

/* With signs: picture and biases make up the logit, but for the bias of the head, which has no place. */
static void fullgrad_has_everything(void **state) {
    (void)state;
    for (int deep = 0; deep < 2; deep++) {
        asked a;
        begin(&a, deep);
        cvs_explanation e = ask(&a, "fullgrad");
        double head = constant_at(&a, "logits_b", 1);
        if (!(fabs(sum_of(&e.map) + head - e.target_value) < 1e-4) || !strstr(e.caption, "signed")) {
            fail_msg("sum %g, head %g, logit %g", sum_of(&e.map), head, e.target_value);
        }
        cvs_explanation_free(&e);
        e = ask_with(&a, "fullgrad", (cvs_explain_options){0});
        int channels = 3 + 4 + MAPS + (deep ? MAPS : 0); /* each scaled to 0..1 */
        double most = 0;
        for (int i = 0; i < AREA; i++) {
            assert_true(cvi_get(&e.map, i) >= 0 && cvi_get(&e.map, i) <= channels);
            most = fmax(most, cvi_get(&e.map, i));
        }
        assert_true(most > 1);
        cvs_explanation_free(&e);
        end(&a);
    }
}

/* A map's vote is its bias times the sum of its gradient, which Grad-CAM's weights are the means of. */
static void fullgrad_has_votes(void **state) {
    (void)state;
    asked a;
    begin(&a, true);
    cvs_explain_options o = {.layer = "conv2"};
    cvs_explanation e = ask_signed(&a, "fullgrad", o), cam = ask_signed(&a, "gradcam", o);
    assert_int_equal(e.n_votes, MAPS);
    assert_string_equal(e.layer, "conv2");
    double all = 0;
    for (int i = 0; i < MAPS; i++) {
        for (int k = 0; k < MAPS; k++) {
            if (cam.votes[k].channel == e.votes[i].channel) {
                double want = constant_at(&a, "conv2_b", e.votes[i].channel) * cam.votes[k].weight * AREA;
                assert_true(fabs(e.votes[i].value - want) < 1e-5);
                all += fabs(want);
            }
        }
    }
    assert_true(all > 1e-4);
    cvs_explanation_free(&e);
    cvs_explanation_free(&cam);
    o.layer = "relu1"; /* adds none: the layer before it votes */
    e = ask_signed(&a, "fullgrad", o);
    assert_string_equal(e.layer, "conv1");
    cvs_explanation_free(&e);
    end(&a);
}

/* Inner parts add up to f(x) - f(baseline), better with more steps; and a later layer's agree with the whole way. */
static void inner_parts_add_up(void **state) {
    (void)state;
    static const char *const layers[] = {"conv1", "relu1", "conv2", "relu2", "pool"};
    asked a;
    begin(&a, true);
    double black = score_of_black(&a);
    for (int k = 0; k < 5; k++) {
        static const char *const methods[] = {"layer-integrated-gradients", "conductance", "conductance"};
        static const char *const rules[] = {"gauss", "trapezoid", "gauss"};
        for (int m = 0; m < 3; m++) {
            cvs_explain_options o = {.layer = layers[k], .rule = rules[m], .steps = 1000};
            cvs_explanation e = ask_with(&a, methods[m], o);
            double way = e.target_value - black, error = fabs(sum_of(&e.map) - way);
            if (!(error < 0.01 * fabs(way)) || e.n_votes != (k < 2 ? 4 : MAPS)) {
                fail_msg("%s at %s: %g of %g missing", methods[m], layers[k], error, way);
            }
            assert_non_null(strstr(e.caption, "signed"));
            cvs_explanation_free(&e);
        }
    }
    refuse(&a, (cvs_explain_options){.method = "conductance", .rule = "left"}, "trapezoid");
    refuse(&a, (cvs_explain_options){.method = "conductance", .steps = -1}, "steps");
    refuse(&a, (cvs_explain_options){.method = "layer-integrated-gradients", .layer = "logits"},
           "feature maps");
    end(&a);
}

/* Behind the layer all is linear: what it gives is its change times its gradient. */
static void inner_parts_before_a_linear_head(void **state) {
    (void)state;
    asked a;
    begin(&a, false);
    cvs_explanation e =
        ask_with(&a, "layer-integrated-gradients", (cvs_explain_options){.layer = "conv2", .steps = 3});
    cvs_explanation f =
        ask_with(&a, "conductance", (cvs_explain_options){.layer = "conv2", .rule = "trapezoid", .steps = 3});
    assert_true(largest(&e.map) > 1e-6);
    assert_true(net_difference(&e.map, &f.map) < 1e-5 * largest(&e.map));
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    end(&a);
}

static void gradientshap_is_integrated_gradients_by_chance(void **state) {
    (void)state;
    asked a;
    begin(&a, true);
    cvs_explanation e = ask(&a, "integrated-gradients");
    double error[2];
    for (int k = 0; k < 2; k++) {
        cvs_explanation f =
            ask_with(&a, "gradientshap", (cvs_explain_options){.samples = k ? 4000 : 5, .seed = 2});
        error[k] = net_difference(&e.map, &f.map);
        cvs_explanation_free(&f);
    }
    assert_true(error[1] < 0.06 * largest(&e.map) && error[1] < error[0]);
    cvs_explanation_free(&e);
    e = ask_with(&a, "gradientshap", (cvs_explain_options){.noise = 0.2, .seed = 1});
    cvs_explanation same = ask_with(&a, "gradientshap", (cvs_explain_options){.noise = 0.2, .seed = 1});
    cvs_explanation other = ask_with(&a, "gradientshap", (cvs_explain_options){.noise = 0.2, .seed = 2});
    assert_memory_equal(e.map.data, same.map.data, e.map.bytes);
    assert_true(net_difference(&e.map, &other.map) > 1e-3 * largest(&e.map));
    cvs_explanation_free(&e);
    cvs_explanation_free(&same);
    cvs_explanation_free(&other);
    refuse(&a, (cvs_explain_options){.method = "gradientshap", .samples = -1}, "samples");
    end(&a);
    begin_pixels(&a,
                 0.1f); /* linear: every draw is the same up to the noise's own part, which is none here */
    e = ask(&a, "input-x-gradient");
    cvs_explanation f = ask_with(&a, "gradientshap", (cvs_explain_options){.samples = 2});
    assert_true(net_difference(&e.map, &f.map) < 1e-5);
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    end(&a);
}

/* A target that no mask changes: the mean mask times it, over p, is the target itself. One that sees a rectangle: lit there. */
static void rise_finds_the_place(void **state) {
    (void)state;
    asked a;
    begin_pixels(&a, 0.0f);
    cvs_explanation e = ask_with(&a, "rise", (cvs_explain_options){.samples = 3000});
    for (int i = 0; i < AREA; i++) {
        assert_true(fabs(cvi_get(&e.map, i) / e.target_value - 1) < 0.06);
    }
    cvs_explanation_free(&e);
    end(&a);
    begin_pixels(&a, 1.0f);
    e = ask_with(&a, "rise", (cvs_explain_options){.samples = 3000, .seed = 4});
    assert_int_equal(e.map.dim[2], H);
    assert_int_equal(e.map.dim[3], W);
    double inside = HUGE_VAL, corner = fmax(cvi_get(&e.map, 0), cvi_get(&e.map, AREA - 1));
    for (int i = 0; i < AREA; i++) {
        bool in = i / W >= 3 && i / W < 7 && i % W >= 2 && i % W < 6;
        inside = in ? fmin(inside, cvi_get(&e.map, i)) : inside;
    }
    assert_true(inside > corner);
    cvs_explanation same = ask_with(&a, "rise", (cvs_explain_options){.samples = 3000, .seed = 4});
    assert_memory_equal(e.map.data, same.map.data, e.map.bytes);
    cvs_explanation_free(&e);
    cvs_explanation_free(&same);
    end(&a);
}

/* Other ways from a blur or a baseline to the picture: the parts add up, and on a linear net a way with fixed ends does not matter. */
static void other_ways_add_up(void **state) {
    (void)state;
    asked a;
    for (int smooth = 0; smooth < 2; smooth++) { /* a guided way runs along the kinks of rectifiers */
        if (smooth) {
            begin_smooth(&a);
        } else {
            begin(&a, false);
        }
        static const char *const names[] = {"guided-ig", "blur-ig"};
        for (int i = 0; i < 2; i++) {
            double error[2], way[2];
            for (int k = 0; k < 2; k++) {
                cvs_explanation e = ask_with(&a, names[i], (cvs_explain_options){.steps = k ? 0 : 4});
                assert_true(e.has_completeness && strstr(e.caption, "completeness error"));
                way[k] = e.completeness_of;
                error[k] = fabs(sum_of(&e.map) - way[k]);
                assert_true(fabs(sum_of(&e.map) - way[k] - e.completeness_error) < 1e-4 * fabs(way[k]));
                cvs_explanation_free(&e);
            }
            if (!(error[1] < 0.01 * fabs(way[1]) && error[1] < error[0])) {
                fail_msg("%s: errors %g of %g and %g of %g", names[i], error[0], way[0], error[1], way[1]);
            }
            refuse(&a, (cvs_explain_options){.method = names[i], .rule = "gauss"}, "left");
        }
        if (!smooth) {
            end(&a);
        }
    }
    refuse(&a, (cvs_explain_options){.method = "blur-ig", .steps = -3}, "steps");
    end(&a);
    begin_pixels(&a, 0.1f);
    cvs_explanation e = ask(&a, "input-x-gradient"),
                    f = ask_with(&a, "guided-ig", (cvs_explain_options){.steps = 20});
    assert_true(net_difference(&e.map, &f.map) < 1e-5 * largest(&e.map));
    cvs_explanation_free(&f);
    f = ask(&a, "blur-ig"); /* zero weights: nothing */
    for (int i = 0; i < 3 * AREA; i++) {
        assert_true(cvi_get(&e.map, i) != 0 || cvi_get(&f.map, i) == 0);
    }
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    end(&a);
}

/* A linear target: a piece is worth what its pixels are, whatever the draws: the sum of (x - fill) w over it. */
static void pieces_of_a_linear_net(void **state) {
    (void)state;
    static const char *const methods[] = {"lime", "kernelshap"};
    asked a;
    begin_pixels(&a, 0.1f);
    for (int m = 0; m < 2; m++) {
        cvs_explanation e =
            ask_with(&a, methods[m], (cvs_explain_options){.has_fill = true, .fill = 0.25, .samples = 400});
        int pieces = 0;
        double all = 0;
        for (int i = 0; i < AREA; i++) {
            double worth = 0, value = cvi_get(&e.map, i);
            bool first = true;
            for (int j = 0; j < AREA; j++) { /* the piece: the pixels of this value */
                bool own = cvi_get(&e.map, j) == value;
                first = first && !(own && j < i);
                bool in = own && j / W >= 3 && j / W < 7 && j % W >= 2 && j % W < 6;
                for (int c = 0; c < 3 && in; c++) {
                    worth += 0.1 * (cvi_get(&a.x, c * AREA + j) - 0.25);
                }
            }
            if (first && fabs(worth - value) > 1e-4) {
                fail_msg("%s: %g at %d, worth %g", methods[m], value, i, worth);
            }
            pieces += first;
            all += first ? value : 0;
        }
        assert_in_range(pieces, 4, AREA);
        double worth = 0;
        for (int i = 0; i < 3 * AREA; i++) {
            int y = i % AREA / W, u = i % W;
            worth += y >= 3 && y < 7 && u >= 2 && u < 6 ? 0.1 * (cvi_get(&a.x, i) - 0.25) : 0;
        }
        assert_true(fabs(all - worth) < 1e-3);
        cvs_explanation_free(&e);
    }
    refuse(&a, (cvs_explain_options){.method = "kernelshap", .samples = 3}, "too few");
    end(&a);
}

static void pieces_depend_on_the_seed_alone(void **state) {
    (void)state;
    static const char *const methods[] = {"lime", "kernelshap"};
    asked a;
    begin(&a, true);
    double black = score_of_black(&a);
    for (int m = 0; m < 2; m++) {
        cvs_explanation e = ask_with(&a, methods[m], (cvs_explain_options){.seed = 3, .samples = 300});
        cvs_explanation same = ask_with(&a, methods[m], (cvs_explain_options){.seed = 3, .samples = 300});
        cvs_explanation other = ask_with(&a, methods[m], (cvs_explain_options){.seed = 4, .samples = 300});
        assert_memory_equal(e.map.data, same.map.data, e.map.bytes);
        assert_true(net_difference(&e.map, &other.map) > 1e-4 * largest(&e.map));
        if (m == 1) { /* every piece once: they add up to f(x) - f(black), whatever was drawn */
            double all = 0;
            for (int i = 0; i < AREA; i++) {
                bool first = true;
                for (int j = 0; j < i; j++) {
                    first = first && cvi_get(&e.map, j) != cvi_get(&e.map, i);
                }
                all += first ? cvi_get(&e.map, i) : 0;
            }
            assert_true(fabs(all - (e.target_value - black)) < 1e-4);
        }
        cvs_explanation_free(&e);
        cvs_explanation_free(&same);
        cvs_explanation_free(&other);
    }
    end(&a);
}

static void captions_tell_of_signs(void **state) {
    (void)state;
    asked a;
    begin(&a, true);
    const struct {
        const char *method, *says;
        bool asked;
    } told[] = {{"vargrad", "never negative", true}, {"smoothgrad-squared", "never negative", false},
                {"smoothgrad", "signed", false},     {"gradcam", "negative parts removed", false},
                {"gradcam", "signed", true},         {"conductance", "signed", false}};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        cvs_explain_options o = {.signed_map = told[i].asked, .samples = 3};
        cvs_explanation e = ask_with(&a, told[i].method, o);
        if (!strstr(e.caption, told[i].says)) {
            fail_msg("%s: %s", told[i].method, e.caption);
        }
        cvs_explanation_free(&e);
    }
    refuse(&a, (cvs_explain_options){.method = "gradcamm"}, "gradcam++");
    refuse(&a, (cvs_explain_options){.method = "zzz"}, "--method list shows all");
    end(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cam_is_the_head),
        cmocka_unit_test(fullgrad_has_everything),
        cmocka_unit_test(fullgrad_has_votes),
        cmocka_unit_test(inner_parts_add_up),
        cmocka_unit_test(inner_parts_before_a_linear_head),
        cmocka_unit_test(gradientshap_is_integrated_gradients_by_chance),
        cmocka_unit_test(rise_finds_the_place),
        cmocka_unit_test(other_ways_add_up),
        cmocka_unit_test(pieces_of_a_linear_net),
        cmocka_unit_test(pieces_depend_on_the_seed_alone),
        cmocka_unit_test(captions_tell_of_signs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
