/* SPDX-License-Identifier: MIT
 * test_init.c - the distributions that first weights are drawn from: mean, deviation, bounds and tails of each initialiser, and which one a recipe,
 * a library's profile and a Keras file choose. What PyTorch 1.13 and Keras 3 draw for the same layers was measured with them (their numbers are
 * in the comments beside); the formulas are theirs.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "convscope/model.h"
#include "graph/graph.h"
#include "test_helpers.h"
#include "train/trainer.h"

/* The text's network with the weights that training begins with. */
static cvs_model *begin(const char *text, const char *statements, cvi_training *t, cvi_params *params) {
    cvs_error err = {0};
    char said[900];
    cvs_model *m = NULL;
    cvs_train_options o = {.settings = statements};
    if (cvs_model_open_memory(text, strlen(text), text[0] == '{' ? "m.json" : "x.net", NULL, &m, &err) !=
            CVS_OK ||
        cvi_training_read(m, &o, t, &err) != CVS_OK || cvi_training_init(t, m, &err) != CVS_OK ||
        cvi_params_take(m, t, params, &err) != CVS_OK) {
        fail_msg("%s: %s", statements ? statements : text, cvs_error_text(&err, said, sizeof said));
    }
    return m;
}

typedef struct moments {
    double mean, deviation, largest, beyond; /* the share beyond two deviations */
} moments;

static moments measure(const cvi_params *params, const char *name) {
    for (int i = 0; i < params->n; i++) {
        if (strncmp(params->list[i].name, name, strlen(name)) == 0) {
            const cvs_tensor *t = &params->list[i].now;
            int64_t n = cvs_tensor_count(t);
            moments m = {0};
            for (int64_t k = 0; k < n; k++) {
                double v = cvi_get(t, k);
                m.mean += v / (double)n;
                m.deviation += v * v / (double)n;
                m.largest = fmax(m.largest, fabs(v));
            }
            m.deviation = sqrt(m.deviation - m.mean * m.mean);
            for (int64_t k = 0; k < n; k++) {
                m.beyond += (fabs(cvi_get(t, k)) > 2 * m.deviation) / (double)n;
            }
            return m;
        }
    }
    fail_msg("no parameter %s", name);
    return (moments){0};
}

/* deviation within 2 % (the kernels have 18,432 numbers and more); top: what none is beyond, 0 = a normal distribution's tails. */
static void expect(const char *what, const cvi_params *params, const char *name, double deviation,
                   double top) {
    moments m = measure(params, name);
    if (fabs(m.deviation - deviation) > 0.02 * deviation || fabs(m.mean) > 0.03 * deviation ||
        (top > 0 ? m.largest > top * 1.000001 || m.largest < top * 0.98 : fabs(m.beyond - 0.0455) > 0.01)) {
        fail_msg("%s, %s: mean %g, deviation %g (%g wanted), largest %g (%g), beyond two %g", what, name,
                 m.mean, m.deviation, deviation, m.largest, top, m.beyond);
    }
}

#define NET "input 32x8x8\nconv_a: conv 64 k3\nrelu\ndwconv_b: dwconv k3\nfc_c: fc 80\n"

static void distributions(void **state) {
    const double in = 32 * 9, out = 64 * 9; /* of conv_a */
    const struct {
        const char *statements;
        double deviation, top;
    } list[] = {
        {NULL, sqrt(2 / in), 0},
        {"init he_normal", sqrt(2 / in), 0},
        {"init he_uniform", sqrt(2 / in), sqrt(6 / in)},
        {"init he_truncated", sqrt(2 / in), 2 * sqrt(2 / in) / 0.87962566},
        {"init glorot_uniform", sqrt(2 / (in + out)), sqrt(6 / (in + out))},
        {"init glorot_normal", sqrt(2 / (in + out)), 0},
        {"init glorot_truncated", sqrt(2 / (in + out)), 2 * sqrt(2 / (in + out)) / 0.87962566},
        {"init lecun_normal", sqrt(1 / in), 0},
        {"init lecun_uniform", sqrt(1 / in), sqrt(3 / in)},
        {"init lecun_truncated", sqrt(1 / in), 2 * sqrt(1 / in) / 0.87962566},
        {"init normal deviation=0.02", 0.02, 0},
        {"init truncated deviation=0.02", 0.02 * 0.87962566, 0.04},
        {"init uniform within=0.1", 0.1 / sqrt(3), 0.1},
        {"profile torch", sqrt(1 / in / 3),
         sqrt(1 / in)}, /* nn.Conv2d(32, 64, 3): deviation 0.0340, largest 0.0589 */
        {"profile keras", sqrt(2 / (in + out)),
         sqrt(6 / (in + out))}, /* Conv2D(64, 3): deviation 0.0482, largest 0.0833 */
        {"profile keras | init he_normal", sqrt(2 / in), 0},
    };
    (void)state;
    for (int i = 0; i < CVI_COUNT(list); i++) {
        cvi_training t;
        cvi_params params;
        cvs_model *m = begin(NET, list[i].statements, &t, &params);
        expect(list[i].statements ? list[i].statements : "nothing said", &params, "conv_a.weight",
               list[i].deviation, list[i].top);
        cvs_model_free(m);
        cvi_params_free(&params);
    }
}

static void other_layers(void **state) {
    cvi_training t;
    cvi_params params;
    (void)state;
    cvs_model *m = begin(NET, "profile torch", &t, &params);
    expect("torch", &params, "fc_c.weight", sqrt(1.0 / 4096 / 3), 1.0 / 64); /* nn.Linear(4096, 80) */
    moments bias = measure(&params, "conv_a.bias"), depth = measure(&params, "dwconv_b.weight");
    assert_true(bias.largest > 0.8 / sqrt(288) && bias.largest <= 1 / sqrt(288));
    assert_true(depth.largest > 0.9 / 3 && depth.largest <= 1.0 / 3); /* nn.Conv2d(64, 64, 3, groups=64) */
    cvs_model_free(m);
    cvi_params_free(&params);
    m = begin(NET, "profile keras", &t, &params);
    expect("keras", &params, "fc_c.weight", sqrt(2.0 / (4096 + 80)), sqrt(6.0 / (4096 + 80))); /* Dense(80) */
    depth = measure(&params, "dwconv_b.weight");
    double most = sqrt(6.0 / (9 * 64 + 9)); /* DepthwiseConv2D(3) of 64 channels: 0.1013 */
    assert_true(depth.largest > 0.95 * most && depth.largest <= most * 1.000001);
    assert_true(measure(&params, "conv_a.bias").largest == 0);
    cvs_model_free(m);
    cvi_params_free(&params);
    m = begin(NET, "init he_normal | init constant value=0.5 dwconv_b | init uniform within=0.01 fc_c", &t,
              &params);
    expect("by name", &params, "conv_a.weight", sqrt(2.0 / 288), 0);
    assert_true(fabs(measure(&params, "dwconv_b.weight").mean - 0.5) < 1e-9 &&
                measure(&params, "dwconv_b.weight").largest == 0.5);
    expect("by name", &params, "fc_c.weight", 0.01 / sqrt(3), 0.01);
    cvs_model_free(m);
    cvi_params_free(&params);
}

static void learned_slopes_begin_at_a_quarter(void **state) {
    cvi_training t;
    cvi_params params;
    (void)state;
    cvs_model *m = begin("input 1x4x4\nconv 2 k3\nact: prelu\nbn\nfc 2\n", NULL, &t, &params);
    assert_true(measure(&params, "act").mean == 0.25);
    cvs_model_free(m);
    cvi_params_free(&params);
}

#define LAYER(class_name, rest) "{\"class_name\": \"" class_name "\", \"config\": {" rest "}}"

static void keras_files_say_how(void **state) {
    static const char text[] =
        "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"m\", \"layers\": "
        "[" LAYER("InputLayer", "\"batch_shape\": [null, 8, 8, 32], \"name\": \"i\"") "," LAYER(
            "Conv2D",
            "\"name\": \"a\", "
            "\"filters\": 64, "
            "\"kernel_size\": [3, "
            "3], "
            "\"kernel_initializer\": "
            "{\"class_name\": "
            "\"HeNormal\", "
            "\"config\": {\"seed\": "
            "null}}") "," LAYER("Conv"
                                "2D",
                                "\"na"
                                "me\""
                                ": "
                                "\"b"
                                "\", "
                                "\"fi"
                                "lter"
                                "s\":"
                                " 64,"
                                " \"k"
                                "erne"
                                "l_"
                                "size"
                                "\": "
                                "[3, "
                                "3], "
                                "\"ke"
                                "rnel"
                                "_ini"
                                "tial"
                                "izer"
                                "\": "
                                "{\"c"
                                "lass"
                                "_nam"
                                "e\":"
                                " \"R"
                                "ando"
                                "mUni"
                                "form"
                                "\", "
                                "\"co"
                                "nfig"
                                "\": "
                                "{\"m"
                                "inva"
                                "l\":"
                                " -0."
                                "1, "
                                "\"ma"
                                "xval"
                                "\": "
                                "0.1}"
                                "}") "," LAYER("Flatten", "\"name\": \"f\"") "," LAYER("Dense", "\"name\":"
                                                                                                " \"d\", "
                                                                                                "\"units\""
                                                                                                ": 20") "]"
                                                                                                        "}"
                                                                                                        "}";
    cvi_training t;
    cvi_params params;
    (void)state;
    cvs_model *m = begin(text, NULL, &t, &params);
    expect("Keras", &params, "a/", sqrt(2.0 / 288), 2 * sqrt(2.0 / 288) / 0.87962566);
    expect("Keras", &params, "b/", 0.1 / sqrt(3), 0.1);
    expect("Keras", &params, "d/", sqrt(2.0 / (1024 + 20)), sqrt(6.0 / (1024 + 20)));
    cvs_model_free(m);
    cvi_params_free(&params);
}

static void wrong_words(void **state) {
    static const struct {
        const char *statements, *part;
    } list[] = {{"init xavier", "there is no initialiser \"xavier\"; there are he_normal"},
                {"init he_normal deviation=2", "\"deviation=2\" is not known here"},
                {"init normal deviation=x", "a number expected"},
                {"holdout 1", "a number from 0.0001 to 0.9 expected"},
                {"schedule piecewise 10", "\"10\" is not known here"},
                {"schedule piecewise 10=a", "a number expected"}};
    (void)state;
    for (int i = 0; i < CVI_COUNT(list); i++) {
        cvs_error err = {0};
        char said[900];
        cvs_model *m = NULL;
        cvi_training t;
        cvs_train_options o = {.settings = list[i].statements};
        assert_int_equal(cvs_model_open_memory(NET, strlen(NET), "x.net", NULL, &m, &err), CVS_OK);
        assert_int_not_equal(cvi_training_read(m, &o, &t, &err), CVS_OK);
        if (!strstr(cvs_error_text(&err, said, sizeof said), list[i].part)) {
            fail_msg("%s: %s", list[i].statements, said);
        }
        cvs_model_free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distributions),
        cmocka_unit_test(other_layers),
        cmocka_unit_test(learned_slopes_begin_at_a_quarter),
        cmocka_unit_test(keras_files_say_how),
        cmocka_unit_test(wrong_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
