/* SPDX-License-Identifier: MIT
 * test_build.c - networks in code: the same graph as the text, every layer, mistakes said, a fit whose result answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convscope/build.h"
#include "convscope/run.h"
#include "test_helpers.h"

static void every_layer(void **state) {
    (void)state;
    static const char *const want =
        "input 2x16x16\nconv 4 k3 valid relu\nconv 8 k3 s2 same gelu\ndwconv k3 valid silu\nbn\n"
        "maxpool k2\nln\ngn 2\nresidual { conv 8 k3 } \ndropout 0.250000000 maps\ndropout 0.500000000\n"
        "avgpool k2\nelu\ngap\nflatten\nfc 5 tanh\nfc 3\ntrain {\n    optimizer sgd lr=0.1\n"
        "    loss cross_entropy\n    schedule cosine\n}\n";
    cvs_error err = {0};
    const cvs_model *model = NULL;
    cvs_net *net = cvs_net_new(2, 16, 16);
    assert_non_null(net);
    cvs_net_conv2d(net, 4, 3, "relu");
    cvs_net_conv2d_with(net, 8, 3, 2, "same", "gelu");
    cvs_net_depthwise_conv2d(net, 3, "silu");
    cvs_net_batch_normalization(net);
    cvs_net_max_pooling2d(net, 2);
    cvs_net_layer_normalization(net);
    cvs_net_group_normalization(net, 2);
    cvs_net_add(net, "residual { conv %d k3 } ", 8);
    cvs_net_spatial_dropout2d(net, 0.25);
    cvs_net_dropout(net, 0.5);
    cvs_net_average_pooling2d(net, 2);
    cvs_net_activation(net, "elu");
    cvs_net_global_average_pooling2d(net);
    cvs_net_flatten(net);
    cvs_net_dense(net, 5, "tanh");
    cvs_net_dense(net, 3, NULL);
    cvs_net_compile(net, "sgd lr=0.1", NULL);
    cvs_net_train_with(net, "schedule cosine");
    assert_string_equal(cvs_net_text(net), want);
    if (cvs_net_model(net, &model, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    cvs_model_info info;
    cvs_model_describe(model, &info);
    assert_int_equal(info.n_outputs, 1);
    cvs_net_free(net);
}

static void mistakes(void **state) {
    (void)state;
    cvs_error err = {0};
    const cvs_model *model = NULL;
    cvs_net *net = cvs_net_new(1, 8, 8);
    cvs_net_conv2d(net, 4, 9, "relu"); /* larger than the picture */
    assert_int_not_equal(cvs_net_model(net, &model, &err), CVS_OK);
    assert_true(err.line == 2 && !model);
    cvs_net_free(net);
    net = cvs_net_new(1, 8, 8);
    cvs_net_dense(net, 10, "rectify");
    assert_int_not_equal(cvs_net_model(net, &model, &err), CVS_OK);
    assert_non_null(strstr(err.message, "rectify"));
    cvs_net_free(net);
    cvs_net_free(NULL);
}

static void fitted(void **state) {
    (void)state;
    char folder[256], run[300];
    cvs_error err = {0};
    const cvs_model *model = NULL;
    cvs_train_result result;
    cvs_net *net = cvs_net_new(1, 28, 28);
    test_folder(folder);
    snprintf(run, sizeof run, "%s/run", folder);
    cvs_net_conv2d_with(net, 4, 5, 2, "valid", "relu");
    cvs_net_flatten(net);
    cvs_net_dense(net, 10, NULL);
    cvs_net_compile(net, "adam lr=0.005", "cross_entropy");
    cvs_train_options o = {.limit = 320, .threads = 2};
    if (cvs_net_fit(net, "generated:digits", 2, run, &o, &result, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    assert_true(result.epochs == 2 && result.val_accuracy > 0.5);
    assert_int_equal(cvs_net_model(net, &model, &err), CVS_OK);
    cvs_model_info info;
    cvs_model_describe(model, &info);
    assert_int_equal(info.n_classes, 10);
    assert_int_not_equal(cvs_net_fit(net, "generated:none", 2, run, &o, NULL, &err), CVS_OK);
    cvs_net_free(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_layer), cmocka_unit_test(mistakes),
                                       cmocka_unit_test(fitted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
