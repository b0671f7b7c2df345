/* SPDX-License-Identifier: MIT
 * test_explain_compat.c - maps against what Captum, pytorch-grad-cam, PAIR saliency, tf-keras-vis and lime say of one small network
 * (tests/data/compat, made by tools/make_compat.py); and XRAI's two parts against PAIR's.
 */
#include "convscope/explain.h"
#include "engine_net.h"
#include "explain/regions.h"
#include "test_helpers.h"

typedef struct peer {
    cvs_model *model;
    cvs_run *run;
    cvs_error err;
} peer;

static void open_net(peer *p) {
    char path[600];
    test_data(path, sizeof path, "compat", "net.onnx");
    NET_OK(p, cvs_model_open(path, NULL, &p->model, &p->err));
    NET_OK(p, cvs_run_new(p->model, &(cvs_run_options){.threads = 1}, &p->run, &p->err));
    test_data(path, sizeof path, "compat", "input.npy");
    NET_OK(p, cvs_run_file(p->run, path, NULL, NULL, &p->err));
}

static void close_net(peer *p) {
    cvs_run_free(p->run);
    cvs_model_free(p->model);
}

static cvs_tensor read_npy(peer *p, const char *name) {
    char path[600], file[80];
    cvs_tensor t;
    snprintf(file, sizeof file, "%s.npy", name);
    test_data(path, sizeof path, "compat", file);
    NET_OK(p, cvs_npy_read(path, NULL, &t, &p->err));
    return t;
}

typedef struct golden {
    const char *method, *file, *compat, *layer, *rule;
    int64_t steps;
    double within; /* of the largest number */
    bool is_signed;
    int target;      /* 0: class 1 */
    int64_t samples; /* of pieces */
    bool black;      /* removed pieces are black */
} golden;

#define RELU1 "/relu1/Relu_output_0"
#define RELU3 "/relu3/Relu_output_0"
#define RELU2 "/relu2/Relu_output_0"
#define CONV3 "/conv3/Conv_output_0"
static const golden goldens[] = {
    {"gradient", "captum_gradient", "captum", NULL, NULL, 0, 1e-4, .is_signed = false},
    {"input-x-gradient", "captum_input_x_gradient", "captum", NULL, NULL, 0, 1e-4, .is_signed = false},
    {"guided-backprop", "captum_guided_backprop", "captum", NULL, NULL, 0, 1e-4, .is_signed = false},
    {"deconvnet", "captum_deconvnet", "captum", NULL, NULL, 0, 1e-4, .is_signed = false},
    {"integrated-gradients", "captum_ig", "captum", NULL, NULL, 0, 1e-4, .is_signed = false},
    {"integrated-gradients", "captum_ig_trapezoid", "captum", NULL, "trapezoid", 12, 1e-4,
     .is_signed = false},
    {"integrated-gradients", "captum_ig_left", "captum", NULL, "left", 12, 1e-4, .is_signed = false},
    {"deeplift", "captum_deeplift", "captum", NULL, NULL, 0, 1e-4, .is_signed = false},
    {"lrp-epsilon", "captum_lrp", "captum", NULL, NULL, 0, 1e-3, .is_signed = false},
    {"gradcam", "captum_gradcam", "captum", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"guided-gradcam", "captum_guided_gradcam", "captum", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"conductance", "captum_conductance", "captum", RELU2, NULL, 0, 1e-3, .is_signed = false},
    {"layer-integrated-gradients", "captum_layer_ig", "captum", RELU2, NULL, 0, 1e-3, .is_signed = false},
    {"gradcam", "grad_cam_gradcam", "pytorch-grad-cam", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"gradcam++", "grad_cam_gradcampp", "pytorch-grad-cam", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"xgradcam", "grad_cam_xgradcam", "pytorch-grad-cam", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"layercam", "grad_cam_layercam", "pytorch-grad-cam", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"hirescam", "grad_cam_hirescam", "pytorch-grad-cam", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"scorecam", "grad_cam_scorecam", "pytorch-grad-cam", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"ablationcam", "grad_cam_ablationcam", "pytorch-grad-cam", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"ablationcam", "grad_cam_ablationcam_negative", "pytorch-grad-cam", CONV3, NULL, 0, 1e-4,
     .is_signed = false},
    {"fullgrad", "grad_cam_fullgrad", "pytorch-grad-cam", NULL, NULL, 0, 1e-4, .is_signed = false},
    {"gradcam", "tf_keras_vis_gradcam", "tf-keras-vis", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"gradcam++", "tf_keras_vis_gradcampp", "tf-keras-vis", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"layercam", "tf_keras_vis_layercam", "tf-keras-vis", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"scorecam", "tf_keras_vis_scorecam", "tf-keras-vis", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"gradcam", "tf_keras_vis_gradcam_relu1", "tf-keras-vis", RELU1, NULL, 0, 1e-4, .is_signed = false},
    {"gradcam++", "tf_keras_vis_gradcampp_relu1", "tf-keras-vis", RELU1, NULL, 0, 1e-4, .is_signed = false},
    {"layercam", "tf_keras_vis_layercam_relu1", "tf-keras-vis", RELU1, NULL, 0, 1e-4, .is_signed = false},
    {"scorecam", "tf_keras_vis_scorecam_relu1", "tf-keras-vis", RELU1, NULL, 0, 1e-4, .is_signed = false},
    {"gradcam", "tf_keras_vis_gradcam_relu3", "tf-keras-vis", RELU3, NULL, 0, 1e-4, .is_signed = false},
    {"gradcam++", "tf_keras_vis_gradcampp_relu3", "tf-keras-vis", RELU3, NULL, 0, 1e-4, .is_signed = false},
    {"layercam", "tf_keras_vis_layercam_relu3", "tf-keras-vis", RELU3, NULL, 0, 1e-4, .is_signed = false},
    {"scorecam", "tf_keras_vis_scorecam_relu3", "tf-keras-vis", RELU3, NULL, 0, 1e-4, .is_signed = false},
    {"gradcam", "tf_keras_vis_gradcam_other", "tf-keras-vis", RELU3, NULL, 0, 1e-4, .target = 2},
    {"gradcam++", "tf_keras_vis_gradcampp_other", "tf-keras-vis", RELU3, NULL, 0, 1e-4, .target = 2},
    {"layercam", "tf_keras_vis_layercam_other", "tf-keras-vis", RELU3, NULL, 0, 1e-4, .target = 2},
    {"scorecam", "tf_keras_vis_scorecam_other", "tf-keras-vis", RELU3, NULL, 0, 1e-4, .target = 2},
    /* The lime package and Captum on our pieces and our draws; Captum meets "all and none" by a weight of 10^6, which is what is apart. */
    {"lime", "lime_means", NULL, NULL, NULL, 0, 1e-4, .samples = 400},
    {"lime", "lime_black", NULL, NULL, NULL, 0, 1e-4, .samples = 400, .black = true},
    {"lime", "captum_lime", NULL, NULL, NULL, 0, 1e-4, .samples = 400, .black = true},
    {"kernelshap", "captum_kernelshap", NULL, NULL, NULL, 0, 1e-3, .samples = 400, .black = true},
    {"gradcam", "dlwp_gradcam", "dlwp", RELU2, NULL, 0, 1e-4, .is_signed = false},
    {"guided-ig", "pair_guided_ig", NULL, NULL, "left", 60, 2e-2, .is_signed = false},
    {"blur-ig", "pair_blur_ig", NULL, NULL, "left", 40, 1e-3, .is_signed = false},
};

static cvs_explanation explain(peer *p, const golden *g) {
    cvs_explanation e;
    cvs_explain_options o = {.method = g->method,
                             .compat = g->compat,
                             .layer = g->layer,
                             .rule = g->rule,
                             .steps = g->steps,
                             .signed_map = g->is_signed,
                             .samples = g->samples,
                             .has_fill = g->black,
                             .target = {.index = g->target ? g->target : 1}};
    NET_OK(p, cvs_explain(p->run, &o, &e, &p->err));
    return e;
}

static void the_libraries_say_the_same(void **state) {
    (void)state;
    peer p = {0};
    int wrong = 0;
    open_net(&p);
    for (int i = 0; i < CVI_COUNT(goldens); i++) {
        const golden *g = &goldens[i];
        cvs_explanation e = explain(&p, g);
        cvs_tensor want = read_npy(&p, g->file);
        double most = 0, worst = 0;
        assert_int_equal(cvs_tensor_count(&e.map), cvs_tensor_count(&want));
        for (int64_t k = 0; k < cvs_tensor_count(&want); k++) {
            most = fmax(most, fabs(cvi_get(&want, k)));
            worst = fmax(worst, fabs(cvi_get(&want, k) - cvi_get(&e.map, k)));
        }
        if (!(most > 0) || !(worst <= g->within * most)) {
            print_error("%s against %s: off by %g of %g\n", g->method, g->file, worst, most);
            wrong++;
        }
        assert_true(!g->compat || strstr(e.caption, "arithmetic of"));
        cvs_tensor_free(&want);
        cvs_explanation_free(&e);
    }
    assert_int_equal(wrong, 0);
    close_net(&p);
}

/* tf-keras-vis keeps the largest absolute value over the channels, which here are all kept; pytorch-grad-cam's Eigen-CAM has the sign
 * that its singular value decomposition happens to give. */
static void where_shapes_or_signs_differ(void **state) {
    (void)state;
    peer p = {0};
    open_net(&p);
    cvs_explanation e =
        explain(&p, &(golden){"gradient", "", "tf-keras-vis", NULL, NULL, 0, 0, .is_signed = false});
    cvs_tensor want = read_npy(&p, "tf_keras_vis_gradient");
    int64_t area = cvs_tensor_count(&want);
    for (int64_t i = 0; i < area; i++) {
        double most = 0;
        for (int c = 0; c < 3; c++) {
            most = fmax(most, cvi_get(&e.map, c * area + i));
        }
        assert_true(fabs(most - cvi_get(&want, i)) < 1e-6);
    }
    cvs_tensor_free(&want);
    cvs_explanation_free(&e);
    e = explain(&p, &(golden){"gradient", "", "tf-keras-vis", NULL, NULL, 0, 0, .target = 2});
    want = read_npy(&p, "tf_keras_vis_gradient_other");
    for (int64_t i = 0; i < area; i++) {
        double most =
            fmax(cvi_get(&e.map, i), fmax(cvi_get(&e.map, area + i), cvi_get(&e.map, 2 * area + i)));
        assert_true(fabs(most - cvi_get(&want, i)) < 1e-6);
    }
    cvs_tensor_free(&want);
    cvs_explanation_free(&e);
    e = explain(&p, &(golden){"eigencam", "", "pytorch-grad-cam", RELU2, NULL, 0, 0, .is_signed = true});
    want = read_npy(&p, "grad_cam_eigencam");
    double same = 0, turned = 0;
    for (int64_t i = 0; i < cvs_tensor_count(&want); i++) {
        double v = cvi_get(&e.map, i), w = cvi_get(&want, i);
        same = fmax(same, fabs(fmax(v, 0) - w));
        turned = fmax(turned, fabs(fmax(-v, 0) - w));
    }
    assert_true(fmin(same, turned) < 1e-5);
    cvs_tensor_free(&want);
    cvs_explanation_free(&e);
    close_net(&p);
}

/* |a - b| of the size of b. */
static double apart(const cvs_tensor *a, const cvs_tensor *b) {
    double off = 0, all = 0;
    for (int64_t i = 0; i < cvs_tensor_count(b); i++) {
        off += pow(cvi_get(a, i) - cvi_get(b, i), 2);
        all += pow(cvi_get(b, i), 2);
    }
    return sqrt(off / all);
}

/* What is drawn by chance: 4000 draws there, 2000 of other numbers here, noise of 0.05 in the input's units. The mean of SmoothGrad may be
 * off by six standard errors at any pixel, which VarGrad tells; the whole maps by a few percent, where 1 / sqrt(2000) is 2 %. */
static void chances_agree(void **state) {
    (void)state;
    static const struct {
        const char *method, *file;
        double within;
        const char *compat; /* NULL: captum */
        double noise;
        int64_t samples;
    } drawn[] = {{"smoothgrad", "captum_smoothgrad", .within = 0.02},
                 {"smoothgrad-squared", "captum_smoothgrad_squared", .within = 0.04},
                 {"vargrad", "captum_vargrad", .within = 0.15},
                 {"gradientshap", "captum_gradientshap", .within = 0.05},
                 {"smoothgrad", "tf_keras_vis_smoothgrad", 0.04, .compat = "tf-keras-vis", .noise = 0.2},
                 {"kernelshap", "captum_kernelshap_drawn", 0.2, "", 0, 20000}};
    peer p = {0};
    open_net(&p);
    cvs_tensor spread = read_npy(&p, "captum_vargrad");
    for (int i = 0; i < CVI_COUNT(drawn); i++) {
        const char *library = drawn[i].compat;
        cvs_explain_options o = {.method = drawn[i].method,
                                 .compat = !library     ? "captum"
                                           : library[0] ? library
                                                        : NULL,
                                 .samples = drawn[i].samples ? drawn[i].samples : 2000,
                                 .noise = library ? drawn[i].noise : 0.05,
                                 .has_fill = drawn[i].samples > 0,
                                 .target = {.index = 1}};
        cvs_explanation e;
        NET_OK(&p, cvs_explain(p.run, &o, &e, &p.err));
        cvs_tensor want = read_npy(&p, drawn[i].file);
        if (!(apart(&e.map, &want) < drawn[i].within)) {
            fail_msg("%s: %g of its size apart", drawn[i].method, apart(&e.map, &want));
        }
        for (int64_t k = 0; i == 0 && k < cvs_tensor_count(&want); k++) {
            double error = sqrt(cvi_get(&spread, k) * (1.0 / 2000 + 1.0 / 4000));
            assert_true(fabs(cvi_get(&e.map, k) - cvi_get(&want, k)) < 6 * error + 1e-7);
        }
        cvs_tensor_free(&want);
        cvs_explanation_free(&e);
    }
    cvs_tensor_free(&spread);
    close_net(&p);
}

/* Shapley values are the limit of both: the pieces have each a number, f(x) - f(black) in all. */
static void pieces_are_where_they_were(void **state) {
    (void)state;
    peer p = {0};
    open_net(&p);
    cvs_explanation e = explain(&p, &(golden){"kernelshap", "", NULL, NULL, NULL, 0, 0, .samples = 400});
    cvs_tensor pieces = read_npy(&p, "pieces");
    double of[64], most = 0;
    for (int i = 0; i < 64; i++) {
        of[i] = NAN;
    }
    for (int64_t i = 0; i < cvs_tensor_count(&pieces); i++) {
        int k = (int)cvi_get(&pieces, i);
        assert_in_range(k, 0, 63);
        assert_true(isnan(of[k]) || fabs(of[k] - cvi_get(&e.map, i)) <= 0.0);
        of[k] = cvi_get(&e.map, i);
        most = fmax(most, k);
    }
    double sum = 0;
    for (int k = 0; k <= (int)most; k++) {
        sum += of[k];
    }
    assert_true(most > 20 && fabs(sum - e.completeness_of) < 1e-5);
    cvs_tensor_free(&pieces);
    cvs_explanation_free(&e);
    close_net(&p);
}

/* Captum keeps what the target loses under a patch, at every pixel of it; ours what the target is, once for the patch. */
static void occlusion_is_captums(void **state) {
    (void)state;
    peer p = {0};
    open_net(&p);
    cvs_explain_options o = {
        .method = "occlusion", .patch = 4, .stride = 4, .has_fill = true, .target = {.index = 1}};
    cvs_explanation e;
    NET_OK(&p, cvs_explain(p.run, &o, &e, &p.err));
    cvs_tensor want = read_npy(&p, "captum_occlusion");
    assert_int_equal(cvs_tensor_count(&e.map), 36);
    for (int64_t k = 0; k < 36; k++) {
        double lost = cvi_get(&want, k / 6 * 4 * 24 + k % 6 * 4);
        assert_true(fabs(e.target_value - cvi_get(&e.map, k) - lost) < 1e-6);
    }
    cvs_tensor_free(&want);
    cvs_explanation_free(&e);
    close_net(&p);
}

/* Files of ONNX name operators and values; people may say either. */
static void a_layer_goes_by_its_operators_name_too(void **state) {
    (void)state;
    peer p = {0};
    open_net(&p);
    golden g = {"gradcam", "", .layer = RELU2}, same = {"gradcam", "", .layer = "/relu2/Relu"};
    cvs_explanation e = explain(&p, &g), f = explain(&p, &same);
    assert_string_equal(e.layer, f.layer);
    assert_memory_equal(e.map.data, f.map.data, e.map.bytes);
    cvs_explanation_free(&e);
    cvs_explanation_free(&f);
    cvs_explain_options o = {.method = "gradcam", .layer = "/relu2/Rel"};
    assert_int_equal(cvs_explain(p.run, &o, &e, &p.err), CVS_E_NOT_FOUND);
    close_net(&p);
}

static void what_a_library_lacks_is_said(void **state) {
    (void)state;
    peer p = {0};
    open_net(&p);
    cvs_explanation e;
    cvs_explain_options o = {.method = "lime", .compat = "captum"};
    assert_int_equal(cvs_explain(p.run, &o, &e, &p.err), CVS_E_UNSUPPORTED);
    assert_non_null(strstr(p.err.message, "integrated-gradients"));
    o.compat = "saliency";
    assert_int_equal(cvs_explain(p.run, &o, &e, &p.err), CVS_E_ARGUMENT);
    assert_non_null(strstr(p.err.message, "tf-keras-vis"));
    close_net(&p);
}

/* Regions of equal borders, whatever their numbers. */
static void regions_are_scikit_images(void **state) {
    (void)state;
    peer p = {0};
    enum { SIDE = 96, CUT = SIDE * SIDE };
    cvs_tensor picture = read_npy(&p, "pair_picture"), cuts = read_npy(&p, "pair_cuts");
    double *x = calloc(3 * CUT, sizeof *x), low = 1e9, high = -1e9;
    int32_t *label = calloc(CUT, sizeof *label);
    for (int i = 0; i < 3 * CUT; i++) {
        low = fmin(low, cvi_get(&picture, i));
        high = fmax(high, cvi_get(&picture, i));
    }
    for (int i = 0; i < 3 * CUT; i++) {
        x[i] = (cvi_get(&picture, i) - low) / (high - low) * 2 - 1;
    }
    for (int k = 0; k < 2; k++) {
        int64_t n = 0;
        int other[64], wrong = 0;
        memset(other, -1, sizeof other);
        NET_OK(&p, cvi_regions_cut(x, 3, SIDE, SIDE, k ? 250 : 50, 150, label, &n, &p.err));
        assert_true(n >= 2 && n < 64);
        for (int i = 0; i < CUT; i++) {
            int theirs = (int)cvi_get(&cuts, k * CUT + i);
            other[label[i]] = other[label[i]] < 0 ? theirs : other[label[i]];
            wrong += other[label[i]] != theirs;
        }
        if (wrong > 0) {
            fail_msg("cut %d: %d pixels lie in another region", k, wrong);
        }
    }
    free(x);
    free(label);
    cvs_tensor_free(&picture);
    cvs_tensor_free(&cuts);
}

static void ranks_are_pairs(void **state) {
    (void)state;
    peer p = {0};
    cvs_tensor picture = read_npy(&p, "pair_picture"), weights = read_npy(&p, "pair_weights"),
               want = read_npy(&p, "pair_xrai");
    int64_t n = cvs_tensor_count(&weights), regions = 0;
    double *weight = calloc((size_t)n, sizeof *weight);
    float *map = calloc((size_t)n, sizeof *map);
    for (int64_t i = 0; i < n; i++) {
        weight[i] = cvi_get(&weights, i);
    }
    NET_OK(&p, cvi_regions_rank(&picture, false, weight, map, &regions, &p.err));
    assert_true(regions > 3);
    for (int64_t i = 0; i < n; i++) {
        if (fabs((double)map[i] - cvi_get(&want, i)) > 1e-4) {
            fail_msg("pixel %d: %g, PAIR %g", (int)i, (double)map[i], cvi_get(&want, i));
        }
    }
    free(weight);
    free(map);
    cvs_tensor_free(&picture);
    cvs_tensor_free(&weights);
    cvs_tensor_free(&want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_libraries_say_the_same),
        cmocka_unit_test(where_shapes_or_signs_differ),
        cmocka_unit_test(chances_agree),
        cmocka_unit_test(pieces_are_where_they_were),
        cmocka_unit_test(occlusion_is_captums),
        cmocka_unit_test(a_layer_goes_by_its_operators_name_too),
        cmocka_unit_test(what_a_library_lacks_is_said),
        cmocka_unit_test(regions_are_scikit_images),
        cmocka_unit_test(ranks_are_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
