/* SPDX-License-Identifier: MIT
 * test_explain.c - explanations against arithmetic that needs no other library: votes that add up to the logit, gradients against
 * finite differences in double precision, the chain rule for probabilities, what must not change a map; targets, samples,
 * errors in both languages and failing allocations.
 */
#include <unistd.h>

#include "convscope/explain.h"
#include "engine_net.h"
#include "test_helpers.h"

#define SIDE_H  12
#define SIDE_W  10
#define AREA    (SIDE_H * SIDE_W)
#define CLASSES 3
#define MAPS    5

/* x [batch,3,12,10] -> conv1 -> relu -> conv2 -> global average pool -> dense "logits" -> softmax. */
static void gap_net(net *n, cvs_dtype dtype, int64_t batch) {
    net_begin(n, dtype);
    int x = net_input(n, "x", dtype, 4, (int64_t[]){batch, 3, SIDE_H, SIDE_W});
    int a = net_conv(n, "conv2", net_relu(n, "relu1", net_conv(n, "conv1", x, 3, 4, 1)), 4, MAPS, 1);
    int p = net_op(n, "GlobalAveragePool", "gap", 1, &a, 0, NULL);
    int d = net_dense(n, "logits", net_op(n, "Flatten", "flat", 1, &p, 0, NULL), MAPS, CLASSES);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &d, 0, NULL));
}

static float *numbers(net *n, const char *name, int64_t *count) {
    int v = cvi_graph_find(n->g, name);
    assert_true(v >= 0 && n->g->values[v].constant != NULL);
    const cvs_tensor *t = n->g->values[v].constant;
    *count = cvs_tensor_count(t);
    return t->data;
}

static void scale(net *n, const char *name, float by) {
    int64_t count;
    float *w = numbers(n, name, &count);
    for (int64_t i = 0; i < count; i++) {
        w[i] *= by;
    }
}

static cvs_run *run_on(net *n, const cvs_tensor *x) {
    cvs_run *run;
    NET_OK(n, cvs_run_new(n->model, &(cvs_run_options){.threads = 1}, &run, &n->err));
    NET_OK(n, cvs_run_tensors(run, x, 1, &n->err));
    return run;
}

static cvs_explanation ask(net *n, cvs_run *run, const char *method, int target, bool probability,
                           int64_t sample) {
    cvs_explanation e;
    cvs_explain_options o = {.method = method,
                             .target = {.index = target, .probability = probability},
                             .signed_map = true,
                             .sample = sample};
    NET_OK(n, cvs_explain(run, &o, &e, &n->err));
    return e;
}

/* A fresh run of the network as it now is, asked once. */
static cvs_explanation ask_once(net *n, const cvs_tensor *x, const char *method, int target) {
    cvs_run *run = run_on(n, x);
    cvs_explanation e = ask(n, run, method, target, false, 0);
    cvs_run_free(run);
    return e;
}

static double sum_of(const cvs_tensor *t) {
    double sum = 0;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        sum += cvi_get(t, i);
    }
    return sum;
}

static double largest(const cvs_tensor *t) {
    double most = 0;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        most = fmax(most, fabs(cvi_get(t, i)));
    }
    return most;
}

static void votes_and_bias_add_up_to_the_logit(void **state) {
    (void)state;
    net n;
    int64_t count;
    gap_net(&n, CVS_F32, -1);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, SIDE_H, SIDE_W}, 5);
    cvs_run *run = run_on(&n, &x);
    const float *bias = numbers(&n, "logits_b", &count);
    for (int c = 0; c < CLASSES; c++) {
        cvs_explanation e = ask(&n, run, "gradcam", c, false, 0);
        double votes = 0, shares = 0;
        assert_int_equal(e.n_votes, MAPS);
        assert_string_equal(e.layer, "conv2");
        for (int k = 0; k < e.n_votes; k++) {
            votes += e.votes[k].value;
            shares += e.votes[k].share;
            assert_true(k == 0 || fabs(e.votes[k].value) <= fabs(e.votes[k - 1].value));
        }
        assert_true(fabs(votes + (double)bias[c] - e.target_value) < 1e-5);
        assert_true(fabs(sum_of(&e.map) - votes) < 1e-5);
        assert_true(fabs(shares - 1) < 1e-9);
        cvs_explanation_free(&e);
    }
    cvs_run_free(run);
    cvs_tensor_free(&x);
    net_end(&n);
}

/* With this head Grad-CAM times the area is the class activation map of Zhou et al. 2016: sum over k of w[c,k] A_k. */
static void cam_is_gradcam_times_area(void **state) {
    (void)state;
    net n;
    int64_t count;
    int layer;
    cvs_tensor a;
    gap_net(&n, CVS_F32, -1);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, SIDE_H, SIDE_W}, 5);
    cvs_run *run = run_on(&n, &x);
    const float *w = numbers(&n, "logits_w", &count);
    NET_OK(&n, cvs_model_find_layer(n.model, "conv2", &layer, &n.err));
    cvs_explanation e = ask(&n, run, "gradcam", 1, false, 0);
    NET_OK(&n, cvs_run_layer(run, layer, &a, &n.err));
    for (int64_t i = 0; i < AREA; i++) {
        double cam = 0;
        for (int64_t k = 0; k < MAPS; k++) {
            cam += (double)w[MAPS + k] * cvi_get(&a, k * AREA + i);
        }
        assert_true(fabs(cam - AREA * cvi_get(&e.map, i)) < 1e-5);
    }
    cvs_explain_options o = {.method = "gradcam", .target = {.index = 1}};
    cvs_explanation positive;
    NET_OK(&n, cvs_explain(run, &o, &positive, &n.err));
    for (int64_t i = 0; i < AREA; i++) {
        assert_true(cvi_get(&positive.map, i) == fmax(cvi_get(&e.map, i), 0));
    }
    cvs_explanation_free(&positive);
    cvs_explanation_free(&e);
    cvs_run_free(run);
    cvs_tensor_free(&x);
    net_end(&n);
}

static void gradient_against_finite_differences(void **state) {
    (void)state;
    const double step = 1e-5;
    for (int which = 0; which < 2; which++) {
        net n, twin; /* the same network in double precision */
        if (which == 0) {
            net_branched(&n, CVS_F32);
            net_branched(&twin, CVS_F64);
        } else {
            gap_net(&n, CVS_F32, -1);
            gap_net(&twin, CVS_F64, -1);
        }
        int layer;
        cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, SIDE_H, SIDE_W}, 5), x64;
        NET_OK(&n, cvs_tensor_convert(&x, CVS_F64, &x64, &n.err));
        cvs_explanation e = ask_once(&n, &x, "gradient", 2);
        NET_OK(&twin, cvs_model_find_layer(twin.model, "logits", &layer, &twin.err));
        cvs_run *run = run_on(&twin, &x64);
        assert_int_equal(cvs_tensor_count(&e.map), cvs_tensor_count(&x));
        double most = largest(&e.map), *pixel = x64.data;
        assert_true(most > 1e-3);
        for (int64_t i = 0; i < cvs_tensor_count(&x); i += 7) {
            double at = pixel[i], z[2];
            for (int side = 0; side < 2; side++) {
                cvs_tensor logits;
                pixel[i] = at + (side ? step : -step);
                NET_OK(&twin, cvs_run_tensors(run, &x64, 1, &twin.err));
                NET_OK(&twin, cvs_run_layer(run, layer, &logits, &twin.err));
                z[side] = cvi_get(&logits, 2);
            }
            pixel[i] = at;
            assert_true(fabs((z[1] - z[0]) / (2 * step) - cvi_get(&e.map, i)) < 1e-3 * most);
        }
        cvs_run_free(run);
        cvs_explanation_free(&e);
        cvs_tensor_free(&x);
        cvs_tensor_free(&x64);
        net_end(&n);
        net_end(&twin);
    }
}

/* d p_i / d x = sum over k of p_i ([i = k] - p_k) d z_k / d x. */
static void a_probability_follows_the_chain_rule(void **state) {
    (void)state;
    net n;
    int count;
    cvs_logit_kind kind;
    cvs_score top[CLASSES];
    cvs_explanation z[CLASSES];
    double p[CLASSES];
    gap_net(&n, CVS_F32, -1);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, SIDE_H, SIDE_W}, 5);
    cvs_run *run = run_on(&n, &x);
    NET_OK(&n, cvs_run_top(run, 0, CLASSES, top, &count, &kind, &n.err));
    for (int i = 0; i < CLASSES; i++) {
        p[top[i].index] = top[i].probability;
        z[i] = ask(&n, run, "gradient", i, false, 0);
    }
    for (int i = 0; i < CLASSES; i++) {
        cvs_explanation e = ask(&n, run, "gradient", i, true, 0);
        assert_true(e.probability && fabs(e.target_value - p[i]) < 1e-6);
        for (int64_t j = 0; j < 3 * AREA; j++) {
            double want = 0;
            for (int k = 0; k < CLASSES; k++) {
                want += p[i] * ((i == k) - p[k]) * cvi_get(&z[k].map, j);
            }
            assert_true(fabs(want - cvi_get(&e.map, j)) < 1e-6);
        }
        cvs_explanation_free(&e);
    }
    cvs_explanation best = ask(&n, run, "gradient", -1, false, 0);
    assert_int_equal(best.target_index, top[0].index);
    assert_true(fabs(best.target_value - top[0].logit) < 1e-6);
    cvs_explanation_free(&best);
    for (int i = 0; i < CLASSES; i++) {
        cvs_explanation_free(&z[i]);
    }
    cvs_run_free(run);
    cvs_tensor_free(&x);
    net_end(&n);
}

/* One sigmoid unit counts as two classes: class 0 is the other side of class 1. */
static void one_sigmoid_unit_is_two_classes(void **state) {
    (void)state;
    net n;
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, (int64_t[]){1, 2, 6, 6});
    int f = net_op(&n, "Flatten", "flat", 1, (int[]){net_conv(&n, "conv", x, 2, 3, 1)}, 0, NULL);
    int d = net_dense(&n, "logit", f, 108, 1);
    net_finish(&n, net_op(&n, "Sigmoid", "p", 1, &d, 0, NULL));
    cvs_tensor in = net_tensor(&n, 4, (int64_t[]){1, 2, 6, 6}, 5);
    cvs_run *run = run_on(&n, &in);
    for (int probability = 0; probability < 2; probability++) {
        cvs_explanation no = ask(&n, run, "gradient", 0, probability, 0),
                        yes = ask(&n, run, "gradient", 1, probability, 0);
        assert_true(largest(&yes.map) > 0);
        assert_true(fabs(no.target_value + yes.target_value - probability) < 1e-12);
        for (int64_t i = 0; i < 72; i++) {
            assert_true(fabs(cvi_get(&no.map, i) + cvi_get(&yes.map, i)) < 1e-7);
        }
        cvs_explanation_free(&no);
        cvs_explanation_free(&yes);
    }
    cvs_explanation e;
    cvs_explain_options o = {.method = "gradient", .target = {.index = 2}};
    assert_int_equal(cvs_explain(run, &o, &e, &n.err), CVS_E_NOT_FOUND);
    assert_non_null(strstr(n.err.message, "2"));
    cvs_run_free(run);
    cvs_tensor_free(&in);
    net_end(&n);
}

/* What must leave a map alone, what must scale it, and what must empty it. */
static void invariants(void **state) {
    (void)state;
    net n;
    int64_t count;
    static const char *const methods[] = {"gradient", "gradcam"};
    gap_net(&n, CVS_F32, -1);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, SIDE_H, SIDE_W}, 5);
    for (int m = 0; m < 2; m++) {
        cvs_explanation before = ask_once(&n, &x, methods[m], 0);
        float *bias = numbers(&n, "logits_b", &count);
        for (int64_t i = 0; i < count; i++) {
            bias[i] += 3.0f;
        }
        cvs_explanation moved = ask_once(&n, &x, methods[m], 0);
        assert_memory_equal(before.map.data, moved.map.data, before.map.bytes);
        assert_true(fabs(moved.target_value - before.target_value - 3) < 1e-5);
        scale(&n, "logits_w", 2);
        cvs_explanation twice = ask_once(&n, &x, methods[m], 0);
        for (int64_t i = 0; i < cvs_tensor_count(&twice.map); i++) {
            assert_true(cvi_get(&twice.map, i) == 2 * cvi_get(&before.map, i));
        }
        scale(&n, "logits_w", 0.5f);
        cvs_explanation_free(&before);
        cvs_explanation_free(&moved);
        cvs_explanation_free(&twice);
    }
    scale(&n, "logits_w", 0);
    for (int m = 0; m < 2; m++) {
        cvs_explanation zero = ask_once(&n, &x, methods[m], 0);
        assert_true(largest(&zero.map) == 0);
        for (int k = 0; k < zero.n_votes; k++) {
            assert_true(zero.votes[k].share == 0 && zero.votes[k].value == 0);
        }
        cvs_explanation_free(&zero);
    }
    cvs_tensor_free(&x);
    net_end(&n);
}

/* A ReLU network without biases is homogeneous: input times gradient adds up to the logit (Euler). */
static void input_times_gradient_without_biases(void **state) {
    (void)state;
    net n;
    gap_net(&n, CVS_F32, -1);
    scale(&n, "conv1_b", 0);
    scale(&n, "conv2_b", 0);
    scale(&n, "logits_b", 0);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, SIDE_H, SIDE_W}, 5);
    for (int c = 0; c < CLASSES; c++) {
        cvs_explanation e = ask_once(&n, &x, "gradient", c);
        double sum = 0;
        for (int64_t i = 0; i < 3 * AREA; i++) {
            sum += cvi_get(&x, i) * cvi_get(&e.map, i);
        }
        assert_true(fabs(sum - e.target_value) < 1e-5);
        cvs_explanation_free(&e);
    }
    cvs_tensor_free(&x);
    net_end(&n);
}

/* Sample i of a batch, of a joined fixed batch, and the sample alone have the same maps. */
static void a_sample_of_a_batch(void **state) {
    (void)state;
    net n;
    char folder[256], path[300];
    gap_net(&n, CVS_F32, -1);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){3, 3, SIDE_H, SIDE_W}, 5);
    test_folder(folder);
    snprintf(path, sizeof path, "%s/three.npy", folder);
    NET_OK(&n, cvs_npy_write(path, &x, &n.err));
    for (int64_t batch = 1; batch <= 2; batch++) {
        net fixed;
        cvs_run *joined, *run = run_on(&n, &x);
        gap_net(&fixed, CVS_F32, batch);
        NET_OK(&fixed, cvs_run_new(fixed.model, NULL, &joined, &fixed.err));
        NET_OK(&fixed, cvs_run_npy(joined, &(const char *){path}, 1, NULL, &fixed.err));
        for (int i = 0; i < 6; i++) {
            const char *method = i % 2 ? "gradcam" : "gradient";
            cvs_tensor one = x;
            one.data = (float *)x.data + i / 2 * 3 * AREA;
            one.dim[0] = 1;
            one.bytes = x.bytes / 3;
            cvs_explanation alone = ask_once(&n, &one, method, 1), in = ask(&n, run, method, 1, false, i / 2);
            cvs_explanation part = ask(&fixed, joined, method, 1, false, i / 2);
            assert_int_equal(in.map.dim[0], 1);
            assert_true(largest(&alone.map) > 0);
            assert_true(net_difference(&alone.map, &in.map) < 1e-6);
            assert_true(net_difference(&alone.map, &part.map) < 1e-6);
            assert_true(fabs(alone.target_value - part.target_value) < 1e-5);
            cvs_explanation_free(&alone);
            cvs_explanation_free(&in);
            cvs_explanation_free(&part);
        }
        cvs_run_free(joined);
        cvs_run_free(run);
        net_end(&fixed);
    }
    unlink(path);
    rmdir(folder);
    cvs_tensor_free(&x);
    net_end(&n);
}

static void targets_by_number_and_name(void **state) {
    (void)state;
    static const char *const names[] = {"tabby cat", "tiger cat", "Egyptian cat", "bull mastiff"};
    net n;
    cvs_target t;
    gap_net(&n, CVS_F32, -1);
    cvs_error err = {0};
    assert_int_equal(cvs_target_parse(n.model, "cat", &t, &err), CVS_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "--classes"));
    n.model->n_classes = 4;
    n.model->classes = names;
    NET_OK(&n, cvs_target_parse(n.model, NULL, &t, &n.err));
    assert_int_equal(t.index, -1);
    NET_OK(&n, cvs_target_parse(n.model, "top", &t, &n.err));
    assert_int_equal(t.index, -1);
    NET_OK(&n, cvs_target_parse(n.model, "2", &t, &n.err));
    assert_int_equal(t.index, 2);
    NET_OK(&n, cvs_target_parse(n.model, "TIGER cat", &t, &n.err));
    assert_int_equal(t.index, 1);
    assert_int_equal(cvs_target_parse(n.model, "-4", &t, &err), CVS_E_ARGUMENT);
    assert_int_equal(cvs_target_parse(n.model, "99999999999", &t, &err), CVS_E_ARGUMENT);
    assert_int_equal(cvs_target_parse(n.model, "tiger", &t, &err), CVS_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "tiger cat (1)"));
    assert_null(strstr(err.message, "mastiff"));
    assert_int_equal(cvs_target_parse(n.model, "bullterrier", &t, &err), CVS_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "bull mastiff (3)"));
    cvs_error zh = {.lang = CVS_ZH};
    assert_int_equal(cvs_target_parse(n.model, "tiger", &t, &zh), CVS_E_NOT_FOUND);
    assert_non_null(strstr(zh.message, "相近"));
    assert_non_null(strstr(zh.message, "tiger cat (1)"));
    net_end(&n);
}

static void said(cvs_run *run, cvs_explain_options o, cvs_status want, const char *en, const char *zh) {
    for (int lang = 0; lang < 2; lang++) {
        cvs_error err = {.lang = lang ? CVS_ZH : CVS_EN};
        cvs_explanation e;
        assert_int_equal(cvs_explain(run, &o, &e, &err), want);
        assert_non_null(strstr(err.message, lang ? zh : en));
        assert_null(e.map.data);
        assert_null(e.votes);
    }
}

static void errors_are_sentences_in_both_languages(void **state) {
    (void)state;
    net n;
    cvs_run *run;
    gap_net(&n, CVS_F32, -1);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, SIDE_H, SIDE_W}, 5), out;
    NET_OK(&n, cvs_run_new(n.model, NULL, &run, &n.err));
    said(run, (cvs_explain_options){.method = "gradient"}, CVS_E_ARGUMENT, "nothing has been run",
         "尚未运行");
    NET_OK(&n, cvs_run_tensors(run, &x, 1, &n.err));
    said(run, (cvs_explain_options){.method = "magic"}, CVS_E_NOT_FOUND, "gradcam", "没有方法");
    said(run, (cvs_explain_options){.method = NULL}, CVS_E_NOT_FOUND, "gradcam", "没有方法");
    said(run, (cvs_explain_options){.method = "gradient", .target = {.index = 7}}, CVS_E_NOT_FOUND,
         "no class 7", "没有类别 7");
    said(run, (cvs_explain_options){.method = "gradient", .sample = 1}, CVS_E_ARGUMENT, "no sample 1", "1");
    said(run, (cvs_explain_options){.method = "gradcam", .layer = "conv9"}, CVS_E_NOT_FOUND, "conv9",
         "conv9");
    said(run, (cvs_explain_options){.method = "gradcam", .layer = "logits"}, CVS_E_UNSUPPORTED,
         "feature maps [N,C,H,W]", "需要特征图");
    cvs_explanation e = ask(&n, run, "gradient", 0, false, 0);
    assert_int_equal(cvs_explanation_file(&e, "chwn", &out, &n.err), CVS_E_ARGUMENT);
    NET_OK(&n, cvs_explanation_file(&e, "nhwc", &out, &n.err));
    assert_int_equal(out.dim[1], SIDE_H);
    assert_int_equal(out.dim[2], SIDE_W);
    assert_int_equal(out.dim[3], 3);
    assert_true(cvi_get(&out, 4) == cvi_get(&e.map, AREA + 1)); /* row 0, column 1, channel 1 */
    cvs_tensor_free(&out);
    cvs_explanation_free(&e);
    e = ask(&n, run, "gradcam", 0, false, 0);
    NET_OK(&n, cvs_explanation_file(&e, NULL, &out, &n.err));
    assert_int_equal(out.rank, 2);
    assert_int_equal(out.dim[0], SIDE_H);
    cvs_tensor_free(&out);
    cvs_explanation_free(&e);
    cvs_run_free(run);
    cvs_tensor_free(&x);
    net_end(&n);
}

/* No convolution, and an output that is no list of scores. */
static void models_that_cannot_be_explained(void **state) {
    (void)state;
    net n;
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, (int64_t[]){1, 2, 4, 4});
    net_finish(&n, net_dense(&n, "d", net_op(&n, "Flatten", "f", 1, &x, 0, NULL), 32, 3));
    cvs_tensor in = net_tensor(&n, 4, (int64_t[]){1, 2, 4, 4}, 5);
    cvs_run *run = run_on(&n, &in);
    said(run, (cvs_explain_options){.method = "gradcam"}, CVS_E_NOT_FOUND, "no convolution", "卷积");
    cvs_explanation e = ask(&n, run, "gradient", 0, false, 0);
    assert_int_equal(cvs_tensor_count(&e.map), 32);
    cvs_explanation_free(&e);
    cvs_run_free(run);
    net_end(&n);
    net_begin(&n, CVS_F32);
    x = net_input(&n, "x", CVS_F32, 4, (int64_t[]){1, 2, 4, 4});
    net_finish(&n, net_conv(&n, "conv", x, 2, 3, 1));
    run = run_on(&n, &in);
    said(run, (cvs_explain_options){.method = "gradient"}, CVS_E_UNSUPPORTED, "1x3x4x4", "1x3x4x4");
    cvs_run_free(run);
    net_end(&n);
    /* a detector's scores [anchors, 2]: the first dimension is no batch */
    cvi_node *node;
    net_begin(&n, CVS_F32);
    x = net_input(&n, "x", CVS_F32, 4, (int64_t[]){1, 2, 4, 4});
    int f = net_op(&n, "Flatten", "flat", 1, &x, 1, &node);
    assert_true(cvi_attr_set_int(n.g, &node->attr[0], "axis", 3));
    net_finish(&n, net_op(&n, "Softmax", "prob", 1, &f, 0, NULL));
    run = run_on(&n, &in);
    said(run, (cvs_explain_options){.method = "gradient"}, CVS_E_UNSUPPORTED, "8x4", "8x4");
    cvs_score top;
    cvs_logit_kind kind;
    int count;
    assert_int_equal(cvs_run_top(run, 0, 1, &top, &count, &kind, &n.err), CVS_E_UNSUPPORTED);
    cvs_run_free(run);
    cvs_tensor_free(&in);
    net_end(&n);
}

static void every_method_says_what_it_is(void **state) {
    (void)state;
    cvs_method_info m[2];
    assert_true(cvs_method_count() >= 2);
    for (int i = 0; i < cvs_method_count(); i++) {
        for (int lang = 0; lang < 2; lang++) {
            assert_int_equal(cvs_method_describe(i, lang ? CVS_ZH : CVS_EN, &m[lang], NULL), CVS_OK);
            assert_true(m[lang].name[0] && m[lang].title[0] && m[lang].sentence[0] && m[lang].caveat[0]);
            assert_true(m[lang].family[0] && m[lang].flags && m[lang].compat);
            assert_true(!m[lang].needs_layer == !strstr(m[lang].flags, "--layer L") ||
                        strcmp(m[lang].name, "occlusion") == 0 || strcmp(m[lang].name, "fullgrad") == 0);
        }
        assert_string_not_equal(m[0].family, m[1].family);
        assert_string_equal(m[0].name, m[1].name);
        assert_string_not_equal(m[0].sentence, m[1].sentence);
        assert_string_not_equal(m[0].caveat, m[1].caveat);
    }
    assert_int_equal(cvs_method_describe(-1, CVS_EN, &m[0], NULL), CVS_E_ARGUMENT);
    assert_int_equal(cvs_method_describe(cvs_method_count(), CVS_EN, &m[0], NULL), CVS_E_ARGUMENT);
}

static void no_allocation_is_taken_for_granted(void **state) {
    (void)state;
    static const char *const methods[] = {"gradient", "gradcam"};
    net n;
    gap_net(&n, CVS_F32, -1);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, SIDE_H, SIDE_W}, 5);
    for (int m = 0; m < 2; m++) {
        cvs_explanation want = ask_once(&n, &x, methods[m], 0);
        bool done = false;
        for (int k = 0; !done; k++) {
            cvs_run *run = run_on(&n, &x);
            cvs_explanation e;
            cvs_explain_options o = {.method = methods[m], .signed_map = true};
            cvs_error err = {0};
            test_fail_from(k, -1);
            cvs_status s = cvs_explain(run, &o, &e, &err);
            cvi_set_hooks(NULL);
            done = !test_has_failed();
            assert_int_equal(s, done ? CVS_OK : CVS_E_MEMORY);
            cvs_explanation_free(&e);
            e = ask(&n, run, methods[m], 0, false, 0); /* the run is as good as before */
            assert_memory_equal(e.map.data, want.map.data, want.map.bytes);
            cvs_explanation_free(&e);
            cvs_run_free(run);
            assert_true(k < 200);
        }
        cvs_explanation_free(&want);
    }
    cvs_tensor_free(&x);
    net_end(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_and_bias_add_up_to_the_logit),
        cmocka_unit_test(cam_is_gradcam_times_area),
        cmocka_unit_test(gradient_against_finite_differences),
        cmocka_unit_test(a_probability_follows_the_chain_rule),
        cmocka_unit_test(one_sigmoid_unit_is_two_classes),
        cmocka_unit_test(invariants),
        cmocka_unit_test(input_times_gradient_without_biases),
        cmocka_unit_test(a_sample_of_a_batch),
        cmocka_unit_test(targets_by_number_and_name),
        cmocka_unit_test(errors_are_sentences_in_both_languages),
        cmocka_unit_test(models_that_cannot_be_explained),
        cmocka_unit_test(every_method_says_what_it_is),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
