/* SPDX-License-Identifier: MIT
 * test_draw_sheet.c - columns side by side and differences of two models: the machine checks of every scene, and that what is called
 * equal, changed, added or removed is just that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "convscope/draw.h"
#include "draw/figure.h"
#include "draw/scene.h"
#include "test_helpers.h"

static cvs_model *zoo(const char *name) {
    const char *root = getenv("CVS_SOURCE_ROOT");
    char path[600], line[900];
    cvs_model *model = NULL;
    cvs_error err = {0};
    snprintf(path, sizeof path, "%s/zoo/%s.net", root ? root : "..", name);
    if (cvs_model_open(path, NULL, &model, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, line, sizeof line));
    }
    return model;
}

static void check(const char *style, const cvs_model *a, const cvs_model *b) {
    const cvs_draw_source sources[2] = {{.model = a, .name = "a"}, {.model = b, .name = "b"}};
    for (int k = 0; k < 8; k++) {
        cvs_error err = {0};
        cvs_figure *figure = NULL;
        cvi_buf report = {0};
        char line[900];
        const cvs_draw_options o = {.style = style, .theme = (cvs_theme)(k % 4), .lang = (cvs_lang)(k / 4)};
        if (cvs_draw_architecture_figure(sources, 2, &o, &figure, &err) != CVS_OK) {
            fail_msg("%s", cvs_error_text(&err, line, sizeof line));
        }
        if (cvi_scene_check(figure->scene, &report) != 0) {
            fail_msg("%s, theme %d: %s", style, k % 4, report.data);
        }
        cvs_figure_free(figure);
        cvi_buf_free(&report);
    }
}

static void scenes_hold_their_checks(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"resnet50", "resnet152"},
                                           {"vgg16", "squeezenet1_1"},
                                           {"densenet121", "inception_v3"},
                                           {"lenet5", "keras_cifar"},
                                           {"mobilenet_v2", "mobilenet_v2"}};
    for (int i = 0; i < CVI_COUNT(pairs); i++) {
        cvs_model *a = zoo(pairs[i][0]), *b = zoo(pairs[i][1]);
        check("sheet", a, b);
        check("diff", a, b);
        cvs_model_free(a);
        cvs_model_free(b);
    }
}

/* The text of a difference; for cvs_free. */
static char *difference(const cvs_model *a, const cvs_model *b) {
    const cvs_draw_source sources[2] = {{.model = a, .name = "a"}, {.model = b, .name = "b"}};
    const cvs_draw_options o = {.style = "diff"};
    cvs_error err = {0};
    char *text = NULL;
    assert_int_equal(cvs_draw_architecture_memory(sources, 2, &o, ".txt", &text, NULL, &err), CVS_OK);
    return text;
}

static void differences_are_what_they_say(void **state) {
    (void)state;
    cvs_model *a = zoo("resnet50"), *b = zoo("resnet152");
    char *text = difference(a, a);
    assert_null(strstr(text, "\n~"));
    assert_null(strstr(text, "\n+ "));
    assert_null(strstr(text, "\n- "));
    cvs_free(text);
    text = difference(a, b); /* 4 more blocks of 128 and 30 more of 256 channels, nothing else */
    assert_non_null(strstr(text, "1×1 conv, 512 · BN"));
    assert_non_null(strstr(text, "  ×4"));
    assert_non_null(strstr(text, "  ×30"));
    assert_null(strstr(text, "\n~"));
    assert_null(strstr(text, "\n- "));
    cvs_free(text);
    text = difference(b, a);
    assert_null(strstr(text, "\n~"));
    assert_null(strstr(text, "\n+ "));
    assert_non_null(strstr(text, "\n- 1×1 conv, 512"));
    cvs_free(text);
    cvs_model_free(a);
    cvs_model_free(b);
    static const char one[] =
        "input 3x32x32\na: conv 8 k3 relu\nb: maxpool k3 s2\nc: conv 16 k3 bn relu\nd: fc 10",
                      two[] = "input 3x32x32\na: conv 8 k5 relu\nb: maxpool k3 s2 p1\nc: conv 16 k3 bn "
                              "relu\nx: dropout\nd: fc 12\ns: softmax";
    cvs_error err = {0};
    assert_int_equal(cvs_model_open_memory(one, strlen(one), "one", NULL, &a, &err), CVS_OK);
    assert_int_equal(cvs_model_open_memory(two, strlen(two), "two", NULL, &b, &err), CVS_OK);
    text = difference(a, b);
    assert_non_null(strstr(text, "~ 3×3 conv, 8 · ReLU → 5×5 conv, 8 · ReLU"));
    assert_non_null(strstr(text, "p0,0")); /* equal words, other padding: said */
    assert_non_null(strstr(text, "  3×3 conv, 16"));
    assert_non_null(strstr(text, "~ dense 10 → dense 12"));
    assert_non_null(strstr(text, "+ softmax"));
    cvs_free(text);
    cvs_model_free(a);
    cvs_model_free(b);
}

static void counts_of_models_are_checked(void **state) {
    (void)state;
    cvs_model *a = zoo("lenet5");
    const cvs_draw_source sources[3] = {
        {.model = a, .name = "a"}, {.model = a, .name = "b"}, {.model = a, .name = "c"}};
    const cvs_draw_options o = {.style = "diff"};
    cvs_error err = {0};
    char *text = NULL;
    assert_int_equal(cvs_draw_architecture_memory(sources, 1, &o, ".txt", &text, NULL, &err), CVS_E_ARGUMENT);
    assert_non_null(strstr(err.message, "two models"));
    assert_int_equal(cvs_draw_architecture_memory(sources, 3, &o, ".txt", &text, NULL, &err), CVS_E_ARGUMENT);
    cvs_model_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scenes_hold_their_checks),
        cmocka_unit_test(differences_are_what_they_say),
        cmocka_unit_test(counts_of_models_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
