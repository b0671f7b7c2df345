/* SPDX-License-Identifier: MIT
 * test_explain_targets.c - what else can be explained than a class: neurons, regions, mixes; switching filters off; the three maps of
 * occlusion and accuracy under it; why a map is blank.
 */
#include "explain_asked.h"

static cvs_explanation about(asked *a, const char *method, const char *target) {
    cvs_explanation e;
    cvs_explain_options o = {.method = method, .signed_map = true};
    NET_OK(&a->n, cvs_target_parse(a->n.model, target, &o.target, &a->n.err));
    NET_OK(&a->n, cvs_explain(a->run, &o, &e, &a->n.err));
    return e;
}

static double layer_at(asked *a, const char *name, int64_t i) {
    int layer;
    cvs_tensor t;
    NET_OK(&a->n, cvs_model_find_layer(a->n.model, name, &layer, &a->n.err));
    NET_OK(&a->n, cvs_run_layer(a->run, layer, &t, &a->n.err));
    return cvi_get(&t, i);
}

/* The gradient of one number of a layer by central differences; a run made for gradients keeps the value inside a fused group. */
static void a_neuron_is_a_number_of_a_layer(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    for (int fused = 0; fused < 2; fused++) {
        cvs_run_free(a.run);
        NET_OK(&a.n, cvs_run_new(a.n.model, &(cvs_run_options){.threads = 1, .for_gradients = fused}, &a.run,
                                 &a.n.err));
        NET_OK(&a.n, cvs_run_tensors(a.run, &a.x, 1, &a.n.err));
        static const char *const layers[] = {"conv1", "relu1", "conv2"};
        for (int l = 0; l < 3; l++) {
            char target[60];
            snprintf(target, sizeof target, "neuron:%s:2,4,3", layers[l]);
            cvs_explanation e = about(&a, "gradient", target);
            int64_t at = 2 * AREA + 4 * W + 3;
            assert_true(fabs(e.target_value - layer_at(&a, layers[l], at)) < 1e-5);
            assert_int_equal(e.target_index, -1);
            float *pixel = (float *)a.x.data + AREA + 4 * W + 4;
            double v[2], slope = cvi_get(&e.map, AREA + 4 * W + 4);
            for (int side = 0; side < 2; side++) {
                *pixel += side ? 2e-3f : -1e-3f;
                NET_OK(&a.n, cvs_run_tensors(a.run, &a.x, 1, &a.n.err));
                v[side] = layer_at(&a, layers[l], at);
            }
            *pixel -= 1e-3f;
            NET_OK(&a.n, cvs_run_tensors(a.run, &a.x, 1, &a.n.err));
            if (fabs((v[1] - v[0]) / 2e-3 - slope) > 2e-3) {
                fail_msg("%s: %g, by differences %g", target, slope, (v[1] - v[0]) / 2e-3);
            }
            cvs_explanation_free(&e);
        }
    }
    cvs_explanation e = about(&a, "gradient", "neuron:conv2:1"); /* where it is largest */
    double most = -1e30;
    for (int i = 0; i < AREA; i++) {
        most = fmax(most, layer_at(&a, "conv2", AREA + i));
    }
    assert_true(fabs(e.target_value - most) < 1e-6 && strstr(e.caption, "channel 1 of layer conv2, row "));
    cvs_explanation_free(&e);
    end(&a);
}

/* A region is the sum of its neurons, a mix the weighted sum of its classes: so are their maps. */
static void sums_of_targets(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    static const char *const methods[] = {
        "gradient", "input-x-gradient", "lrp-epsilon", "integrated-gradients",
        "gradcam",  "deeplift",         "smoothgrad",  "hirescam"};
    for (int m = 0; m < CVI_COUNT(methods); m++) {
        cvs_explanation box = about(&a, methods[m], "region:conv2:3,4-5,6-6"), one = {0}, two = {0};
        one = about(&a, methods[m], "neuron:conv2:3,4,6");
        two = about(&a, methods[m], "neuron:conv2:3,5,6");
        assert_true(fabs(one.target_value + two.target_value - box.target_value) < 1e-5);
        bool linear = m != 3; /* its number of steps may differ */
        double most = largest(&box.map);
        for (int64_t i = 0; i < cvs_tensor_count(&box.map); i++) {
            double both = cvi_get(&one.map, i) + cvi_get(&two.map, i);
            assert_true(fabs(cvi_get(&box.map, i) - both) < (linear ? 1e-4 : 0.1) * most + 1e-6);
        }
        if (m != 6) {
            assert_true(most > 1e-4);
        }
        cvs_explanation_free(&box);
        cvs_explanation_free(&one);
        cvs_explanation_free(&two);
        cvs_explanation mix = about(&a, methods[m], "mix:2*0,-0.5*2");
        one = about(&a, methods[m], "0");
        two = about(&a, methods[m], "2");
        assert_true(fabs(2 * one.target_value - 0.5 * two.target_value - mix.target_value) < 1e-5);
        most = fmax(largest(&mix.map), largest(&one.map));
        for (int64_t i = 0; i < cvs_tensor_count(&mix.map); i++) {
            double both = 2 * cvi_get(&one.map, i) - 0.5 * cvi_get(&two.map, i);
            assert_true(fabs(cvi_get(&mix.map, i) - both) < (linear ? 1e-4 : 0.1) * most + 1e-6);
        }
        cvs_explanation_free(&mix);
        cvs_explanation_free(&one);
        cvs_explanation_free(&two);
    }
    cvs_explanation all = about(&a, "gradient", "region:conv2:*");
    double sum = 0;
    for (int i = 0; i < MAPS * AREA; i++) {
        sum += layer_at(&a, "conv2", i);
    }
    assert_true(fabs(all.target_value - sum) < 1e-3 && strstr(all.target_name, "all channels"));
    cvs_explanation_free(&all);
    end(&a);
}

/* Every method answers about a neuron and about a mix, or says in words why not. */
static void every_method_has_every_target(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    static const char *const targets[] = {"neuron:conv2:1,5,5", "region:relu1:2", "mix:1*1,-1*0"};
    for (int i = 0; i < cvs_method_count(); i++) {
        cvs_method_info m;
        NET_OK(&a.n, cvs_method_describe(i, CVS_EN, &m, &a.n.err));
        for (int t = 0; t < CVI_COUNT(targets); t++) {
            cvs_explanation e;
            cvs_error err = {0};
            cvs_explain_options o = {.method = m.name, .samples = 200, .steps = 8};
            NET_OK(&a.n, cvs_target_parse(a.n.model, targets[t], &o.target, &a.n.err));
            cvs_status s = cvs_explain(a.run, &o, &e, &err);
            bool classes_only = strcmp(m.name, "cam") == 0 && t < 2;
            if ((s != CVS_OK) != classes_only) {
                fail_msg("%s of %s: %s", m.name, targets[t], s == CVS_OK ? "no error" : err.message);
            }
            if (s == CVS_OK) {
                assert_true(strlen(e.caption) > 40 && cvs_tensor_count(&e.map) > 0);
                for (int64_t k = 0; k < cvs_tensor_count(&e.map); k++) {
                    assert_true(isfinite(cvi_get(&e.map, k)));
                }
            }
            cvs_explanation_free(&e);
        }
    }
    end(&a);
}

static void wrong_targets_are_sentences(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    static const char *const texts[][2] = {{"neuron:conv2", "neuron:LAYER:CHANNEL"},
                                           {"neuron:conv2:1,2", "neuron:LAYER"},
                                           {"neuron:nowhere:1", "near names"},
                                           {"region:conv2:1,4-3,0", "ROW-ROW"},
                                           {"region:conv2:1x", "region:LAYER"},
                                           {"mix:", "needs classes"},
                                           {"mix:1*0,1*0,1*0,1*0,1*0,1*0,1*0,1*0,1*0", "at most 8"},
                                           {"mix:x*0", "class"},
                                           {"mix:1e99*0", "not possible"}};
    for (int i = 0; i < CVI_COUNT(texts); i++) {
        cvs_target t;
        cvs_error err = {0};
        assert_int_not_equal(cvs_target_parse(a.n.model, texts[i][0], &t, &err), CVS_OK);
        if (!strstr(err.message, texts[i][1])) {
            fail_msg("%s: %s", texts[i][0], err.message);
        }
    }
    cvs_explain_options o = {.method = "gradient"};
    NET_OK(&a.n, cvs_target_parse(a.n.model, "neuron:conv2:99", &o.target, &a.n.err));
    refuse(&a, o, "there is no channel 99");
    NET_OK(&a.n, cvs_target_parse(a.n.model, "neuron:conv2:1,99,0", &o.target, &a.n.err));
    refuse(&a, o, "rows 99-99");
    NET_OK(&a.n, cvs_target_parse(a.n.model, "mix:1*77", &o.target, &a.n.err));
    refuse(&a, o, "there is no class 77");
    NET_OK(&a.n, cvs_target_parse(a.n.model, "neuron:conv1:1", &o.target, &a.n.err));
    o.method = "gradcam";
    o.layer = "conv2";
    refuse(&a, o, "does not depend on layer conv2");
    o.target.probability = true;
    refuse(&a, o, "no probability");
    o = (cvs_explain_options){.method = "lrp-zplus", .target = {.index = 1, .probability = true}};
    refuse(&a, o, "integrated-gradients");
    end(&a);
}

/* A vote is the target with the channel's numbers all zero, by a what-if; the map adds up to all votes. */
static void a_filter_switched_off(void **state) {
    (void)state;
    asked a;
    int layer, last;
    begin_gap(&a, true);
    cvs_whatif *w;
    NET_OK(&a.n, cvs_model_find_layer(a.n.model, "relu1", &layer, &a.n.err));
    NET_OK(&a.n, cvs_model_find_layer(a.n.model, "logits", &last, &a.n.err));
    NET_OK(&a.n, cvs_whatif_new(a.run, 0, &w, &a.n.err));
    cvs_explanation e = ask_with(&a, "channel-ablation", (cvs_explain_options){.layer = "relu1"});
    assert_int_equal(e.n_votes, 4);
    double all = 0;
    for (int k = 0; k < 4; k++) {
        cvs_edit edit = {.index = layer, .channel = e.votes[k].channel, .channels = 1};
        cvs_tensor t;
        NET_OK(&a.n, cvs_whatif_apply(w, &edit, 1, &a.n.err));
        NET_OK(&a.n, cvs_whatif_layer(w, last, &t, &a.n.err));
        double loss = e.target_value - cvi_get(&t, 1);
        assert_true(fabs(e.votes[k].value - loss) < 1e-5);
        assert_true(fabs(e.votes[k].weight - loss / e.target_value) < 1e-4);
        all += e.votes[k].value;
    }
    assert_true(fabs(sum_of(&e.map) - all) < 1e-5);
    cvs_explanation_free(&e);
    cvs_whatif_free(w);
    end(&a);
}

/* Each position is a run on a picture with the patch painted in: target, classes and the strongest map's sum. */
static void three_maps_of_occlusion(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    cvs_explain_options o = {.patch = 4, .stride = 3, .has_fill = true, .fill = 0.25, .layer = "relu1"};
    cvs_explanation e = ask_with(&a, "occlusion", o);
    assert_true(e.map.dim[2] == 3 && e.map.dim[3] == 3 && e.classes.dim[1] == CLASSES);
    assert_string_equal(e.activation_layer, "relu1");
    double strongest = -1, sum[4] = {0};
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < AREA; i++) {
            sum[k] += layer_at(&a, "relu1", k * AREA + i);
        }
        strongest = fmax(strongest, sum[k]);
    }
    assert_true(fabs(strongest - e.activation_whole) < 1e-4 && sum[e.activation_channel] == strongest);
    cvs_tensor x = net_tensor(&a.n, 4, picture, 5);
    for (int cell = 0; cell < 9; cell++) {
        memcpy(x.data, a.x.data, x.bytes);
        for (int i = 0; i < 3 * 16; i++) {
            int y = cell / 3 * 3 + i % 16 / 4, u = cell % 3 * 3 + i % 4;
            ((float *)x.data)[i / 16 * AREA + y * W + u] = 0.25f;
        }
        NET_OK(&a.n, cvs_run_tensors(a.run, &x, 1, &a.n.err));
        double active = 0;
        for (int i = 0; i < AREA; i++) {
            active += layer_at(&a, "relu1", e.activation_channel * AREA + i);
        }
        assert_true(fabs(active - cvi_get(&e.activation, cell)) < 1e-4);
        for (int c = 0; c < CLASSES; c++) {
            assert_true(fabs(layer_at(&a, "logits", c) - cvi_get(&e.classes, c * 9 + cell)) < 1e-5);
        }
        assert_true(cvi_get(&e.map, cell) == cvi_get(&e.classes, 9 + cell));
    }
    cvs_tensor_free(&x);
    cvs_explanation_free(&e);
    end(&a);
}

/* The share of pictures still right: every cell between 0 and 1, and one cell recounted by hand. */
static void accuracy_under_occlusion(void **state) {
    (void)state;
    char path[700];
    const char *root = getenv("CVS_SOURCE_ROOT");
    cvs_model *model;
    cvs_run *run;
    cvs_data *data;
    cvs_explanation e;
    struct {
        cvs_error err;
    } n = {0};
    snprintf(path, sizeof path, "%s/models/digits.onnx", root ? root : "..");
    NET_OK(&n, cvs_model_open(path, NULL, &model, &n.err));
    NET_OK(&n, cvs_run_new(model, &(cvs_run_options){.threads = 1}, &run, &n.err));
    NET_OK(&n, cvs_data_open("generated:digits", &(cvs_data_options){.split = CVS_TEST, .limit = 12}, &data,
                             &n.err));
    cvs_explain_options o = {.patch = 12, .stride = 8, .has_fill = true};
    NET_OK(&n, cvs_occlusion_accuracy(run, data, &o, &e, &n.err));
    assert_int_equal(cvs_tensor_count(&e.map), 9);
    assert_true(e.target_value > 0.8 && e.target_value <= 1.0 && e.kind == CVS_MAP_GRID);
    assert_non_null(strstr(e.caption, "12 pictures"));
    double lowest = 1;
    for (int i = 0; i < 9; i++) {
        double hits = cvi_get(&e.map, i) * 12;
        assert_true(fabs(hits - floor(hits + 0.5)) < 1e-4 && hits >= 0 && hits < 12.01);
        lowest = fmin(lowest, hits / 12);
    }
    assert_true(lowest < e.target_value); /* the middle of a digit counts */
    int right = 0;
    for (int k = 0; k < 12; k++) {
        cvs_tensor image, seen = {0}, x;
        cvs_score top;
        cvs_logit_kind kind;
        int label = -1, found;
        NET_OK(&n, cvs_data_get(data, k, &image, &label, NULL, &n.err));
        cvs_tensor rgb;
        NET_OK(&n, cvs_tensor_new(&rgb, CVS_U8, 3, (int64_t[]){28, 28, 3}, &n.err));
        for (int i = 0; i < 3 * 28 * 28; i++) {
            ((uint8_t *)rgb.data)[i] = ((uint8_t *)image.data)[i / 3];
        }
        NET_OK(&n, cvs_run_image(run, &rgb, &seen, &n.err));
        NET_OK(&n, cvs_run_input(run, 0, &x, &n.err));
        cvs_tensor copy;
        NET_OK(&n, cvs_tensor_convert(&x, CVS_F32, &copy, &n.err));
        for (int i = 0; i < 144; i++) {
            ((float *)copy.data)[(8 + i / 12) * 28 + 8 + i % 12] = 0;
        }
        NET_OK(&n, cvs_run_tensors(run, &copy, 1, &n.err));
        NET_OK(&n, cvs_run_top(run, 0, 1, &top, &found, &kind, &n.err));
        right += top.index == label;
        cvs_tensor_free(&image);
        cvs_tensor_free(&rgb);
        cvs_tensor_free(&seen);
        cvs_tensor_free(&copy);
    }
    assert_true(fabs(cvi_get(&e.map, 4) * 12 - right) < 1e-4);
    cvs_explanation_free(&e);
    cvs_data_free(data);
    cvs_run_free(run);
    cvs_model_free(model);
}

static void noted(asked *a, cvs_explain_options o, const char *says) {
    cvs_explanation e;
    NET_OK(&a->n, cvs_explain(a->run, &o, &e, &a->n.err));
    if (says ? !strstr(e.note, says) : e.note[0] != 0) {
        fail_msg("%s: \"%s\" does not say \"%s\"", o.method, e.note, says ? says : "");
    }
    cvs_explanation_free(&e);
    o.lang = CVS_ZH;
    NET_OK(&a->n, cvs_explain(a->run, &o, &e, &a->n.err));
    assert_true(!says || !strstr(e.note, says));
    cvs_explanation_free(&e);
}

static void blank_maps_say_why(void **state) {
    (void)state;
    asked a;
    begin_gap(&a, true);
    noted(&a, (cvs_explain_options){.method = "gradcam", .target = {.index = -1}}, NULL);
    noted(&a, (cvs_explain_options){.method = "gradient"}, NULL);
    const cvs_tensor *bias = a.n.g->values[cvi_graph_find(a.n.g, "conv1_b")].constant,
                     *head = a.n.g->values[cvi_graph_find(a.n.g, "logits_w")].constant;
    /* a head of negative weights on positive maps: all speaks against */
    for (int i = 0; i < MAPS; i++) {
        ((float *)head->data)[MAPS + i] = 0;
    }
    noted(&a, (cvs_explain_options){.method = "gradient", .target = {.index = 1}}, "its gradient is zero");
    noted(&a, (cvs_explain_options){.method = "occlusion", .target = {.index = 1}}, "wherever the patch is");
    noted(&a, (cvs_explain_options){.method = "integrated-gradients", .target = {.index = 1}},
          "another --baseline");
    for (int i = 0; i < 4; i++) {
        ((float *)bias->data)[i] = 1e3f; /* relu1 is large and positive */
    }
    cvs_run_free(a.run);
    NET_OK(&a.n, cvs_run_new(a.n.model, &(cvs_run_options){.threads = 1}, &a.run, &a.n.err));
    NET_OK(&a.n, cvs_run_tensors(a.run, &a.x, 1, &a.n.err));
    cvs_target against = {.kind = CVS_TARGET_MIX, .n_parts = 1, .part = {0}};
    for (int sign = -1; sign <= 1; sign += 2) {
        cvs_explanation e;
        against.weight[0] = sign;
        cvs_explain_options o = {.method = "gradcam", .layer = "relu1", .target = against};
        NET_OK(&a.n, cvs_explain(a.run, &o, &e, &a.n.err));
        bool blank = largest(&e.map) == 0;
        cvs_explanation_free(&e);
        if (blank) {
            noted(&a, o, "--signed shows");
            o.signed_map = true;
            noted(&a, o, "all of it speaks against");
        } else {
            noted(&a, o, NULL);
        }
    }
    for (int i = 0; i < 4; i++) {
        ((float *)bias->data)[i] = -1e3f; /* relu1 is dead */
    }
    cvs_run_free(a.run);
    NET_OK(&a.n, cvs_run_new(a.n.model, &(cvs_run_options){.threads = 1}, &a.run, &a.n.err));
    NET_OK(&a.n, cvs_run_tensors(a.run, &a.x, 1, &a.n.err));
    noted(&a, (cvs_explain_options){.method = "gradcam", .layer = "relu1"},
          "every feature map of the layer is zero");
    end(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_neuron_is_a_number_of_a_layer), cmocka_unit_test(sums_of_targets),
        cmocka_unit_test(every_method_has_every_target),   cmocka_unit_test(wrong_targets_are_sentences),
        cmocka_unit_test(a_filter_switched_off),           cmocka_unit_test(three_maps_of_occlusion),
        cmocka_unit_test(accuracy_under_occlusion),        cmocka_unit_test(blank_maps_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
