/* SPDX-License-Identifier: MIT
 * test_hub.c - folders as transformers and timm save networks: opened whole, class names and preprocessing from the files beside the weights,
 * outputs against those of the libraries (tools/make_hub_fixtures.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "reader_harness.h"

static void folders_of_hubs_answer_as_the_libraries(void **state) {
    (void)state;
    static const struct {
        const char *folder, *name, *pictures;
    } rows[] = {
        {"resnet", "ResNet (transformers)", "resize=shorter,size=40"},
        {"regnet", "RegNet (transformers)", "resize=shorter,size=40"},
        {"convnext", "ConvNeXt (transformers)", "resize=shorter,size=40"},
        {"convnextv2", "ConvNeXtV2", "resize=shorter,size=40"},
        {"mobilenet_v1", "MobileNetV1 (transformers)", "resize=shorter,size=36"},
        {"mobilenet_v2", "MobileNetV2 (transformers)", "resize=shorter,size=36"},
        {"efficientnet", "EfficientNet (transformers)", "resize=stretch,order=rgb"},
        {"timm", "EfficientNet (tf)", "resize=shorter,size=40"},
        {"sharded", "ResNet (transformers)", "resize=shorter,size=40"},
        {"onnx", "torch_jit", "resize=shorter,size=40"},
    };
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        char name[100], path[600], in[700], out[700], text[300];
        cvs_model_info info;
        cvs_port port;
        cvs_error err = {0};
        snprintf(name, sizeof name, "%s", rows[i].folder);
        test_data(path, sizeof path, "hub", name);
        snprintf(in, sizeof in, "%s/in.npy", path);
        snprintf(out, sizeof out, "%s/out.npy", path);
        cvs_model *m = reader_open(path, NULL);
        cvs_model_describe(m, &info);
        assert_string_equal(info.name, rows[i].name);
        assert_int_equal(info.n_classes, 4);
        assert_string_equal(info.classes[0], "kind 0");
        assert_string_equal(info.classes_from, "config.json");
        cvs_preprocess_text(info.preprocess, text, sizeof text);
        assert_non_null(strstr(text, rows[i].pictures));
        OK(cvs_model_input(m, 0, &port, &err));
        assert_int_equal(port.dim[2], 32);
        cvs_tensor got = reader_run(m, in, NULL);
        reader_compare(rows[i].folder, &got, out, 1e-5);
        cvs_tensor_free(&got);
        cvs_model_free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(folders_of_hubs_answer_as_the_libraries)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
