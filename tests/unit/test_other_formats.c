/* SPDX-License-Identifier: MIT
 * test_other_formats.c - formats that are not read are named, with the way to ONNX, in both languages; what resembles them opens as before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_helpers.h"

static void expect(const char *bytes, size_t n, const char *name, const char *what, const char *zh) {
    for (int lang = 0; lang < 2; lang++) {
        cvs_error err = {.lang = lang ? CVS_ZH : CVS_EN};
        cvs_model *m = NULL;
        assert_int_equal(cvs_model_open_memory(bytes, n, name, NULL, &m, &err), CVS_E_UNSUPPORTED);
        assert_null(m);
        if (!strstr(err.message, lang ? zh : what)) {
            fail_msg("%s: %s", name, err.message);
        }
    }
}

#define EXPECT(bytes, name, what, zh) expect(bytes, sizeof bytes - 1, name, what, zh)

/* The first bytes as the real programs write them. */
static void named(void **state) {
    (void)state;
    EXPECT("\x08\x04\x12\x06\x0a\x04\x0a\x02in\xa2\x1f\x04\x0a\x02\x08\x01", "a.mlmodel", "Core ML",
           "Core ML");
    EXPECT("\x0a\x20\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x0f\x0a\x04"
           "feed\x12\x05\x08\x09\x1a\x01x\x18\x01\x20\x00",
           "a.pdmodel", "paddle2onnx", "飞桨");
    EXPECT("{\"base_code\":{\"magic\":\"pir\",\"version\":1},\"program\":{}}", "a.json", "PaddlePaddle",
           "飞桨");
    EXPECT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0a\0\0\0\x08\x05\x10\x20\x10\x03\x10\x03\x10\x03",
           "a.pdiparams", "parameters", "参数");
    EXPECT("\x0a\x03net\x12\x1e\x0a\x04"
           "data\x12\x05"
           "conv1\x22\x04"
           "Conv\x2a\x09\x0a\x06kernel\x18\x03",
           "a.pb", "Caffe2", "Caffe2");
    EXPECT("\x08\x01\x12\x1b\x0a\x04type\x12\x13\x08\x01\x5a\x11"
           "CompositeFunction",
           "a.dnn", "CNTK", "CNTK");
    EXPECT("B\0C\0N\0\0\0B\0V\0e\0r\0", "a.dnn", "CNTK", "CNTK");
    EXPECT("\4\0\0\0\1\0\0\0\3\0\0\0V 1\x0d\0\0\0nn.Sequential", "a.t7", "Torch7", "Torch7");
    EXPECT("4\n1\n3\nV 1\n13\nnn.Sequential\n3\n2\n", "a.t7", "Torch7", "Torch7");
    EXPECT("<?xml version=\"1.0\"?>\n<net name=\"n\" version=\"11\">\n<layers>\n<layer "
           "id=\"0\"/></layers></net>",
           "a.xml", "OpenVINO", "OpenVINO");
    EXPECT(
        "{\n  \"nodes\": [{\"op\": \"null\", \"name\": \"data\", \"inputs\": []}],\n  \"arg_nodes\": [0],\n"
        "  \"heads\": [[0, 0, 0]]\n}",
        "net-symbol.json", "mxnet.onnx.export_model", "MXNet 网络");
    EXPECT("\x12\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0", "net-0000.params", "MXNet parameters",
           "MXNet 参数");
    EXPECT("ftrt\x9a\0\0\0\0\0\0\0", "a.engine", "TensorRT", "TensorRT");
    EXPECT("RKNN\0\0\0\0\x01\0\0\0", "a.rknn", "Rockchip", "瑞芯微");
    EXPECT("\x20\0\0\0PTMF\0\0\0\0", "a.ptl", "torch.jit.load", "手机");
    EXPECT("\x38\0\0\0ET12\0\0\0\0", "a.pte", "ExecuTorch", "ExecuTorch");
    EXPECT("\x1c\0\0\0ORTM\0\0\0\0", "a.ort", "ONNX Runtime", "ONNX Runtime");
    EXPECT("GGUF\3\0\0\0\0\0\0\0", "a.gguf", "language model", "语言模型");
    EXPECT("<\n   ir_version: 8,\n   opset_import: [\"\" : 17]\n>\ng (float[1] x) => (float[1] y) {\n   y = "
           "Relu (x)\n}",
           "a.onnx", "onnx.parser", "文本形式的 ONNX");
    EXPECT("{\n  \"irVersion\": \"8\",\n  \"graph\": {},\n  \"opsetImport\": []\n}", "a.json",
           "format=\"json\"", "JSON 形式的 ONNX");
    EXPECT("ir_version: 8\ngraph {\n  name: \"g\"\n}\nopset_import {\n  version: 17\n}\n", "a.pbtxt",
           "textproto", "protobuf 文本形式的 ONNX");
    EXPECT("\x20\0\0\0MSL2\0\0\0\0", "a.ms", "MindSpore", "MindSpore");
    EXPECT("\x18\0\0\0\0\0\x0e\0\x08\0\x04\0\0\0\0\0\x10\0\0\0", "a.mnn", "MNN", "MNN");
}

/* Each header cut at every byte: some sentence, and nothing read behind the end. */
static void cut(void **state) {
    (void)state;
    static const char whole[] = "\x08\x04\x12\x06\x0a\x04\x0a\x02in\xa2\x1f\x04\x0a\x02\x08\x01";
    static const char block[] =
        "\x0a\x20\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x0f\x0a\x04";
    static const char object[] = "\4\0\0\0\1\0\0\0\3\0\0\0V 1\x0d\0\0\0nn.Sequential";
    const struct {
        const char *bytes;
        size_t n;
    } all[] = {{whole, sizeof whole - 1}, {block, sizeof block - 1}, {object, sizeof object - 1}};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        for (size_t n = 0; n < all[i].n; n++) {
            cvs_error err = {0};
            cvs_model *m = NULL;
            uint8_t *exact = malloc(n + 1);
            assert_non_null(exact);
            memcpy(exact, all[i].bytes, n);
            assert_int_not_equal(cvs_model_open_memory(exact, n, "cut", NULL, &m, &err), CVS_OK);
            assert_true(err.message[0] != '\0');
            free(exact);
        }
    }
}

/* ONNX with a field of tomorrow is ONNX. */
static void onnx_stays(void **state) {
    (void)state;
    static const char onnx[] =
        "\x08\x08\x12\x01p\x3a\x3a\x0a\x0e\x0a\x01x\x12\x01y\x22\x04Relu\x2a\x00\x12\x01g\x5a\x13\x0a\x01x"
        "\x12\x0e\x0a\x0c\x08\x01\x12\x08\x0a\x02\x08\x01\x0a\x02\x08\x03\x62\x07\x0a\x01y\x12\x02\x0a\x00"
        "\x42\x02\x10\x0d\xa2\x1f\x01z";
    cvs_error err = {0};
    cvs_model *m = NULL;
    (void)cvs_model_open_memory(onnx, sizeof onnx - 1, "a.onnx", NULL, &m, &err);
    assert_null(strstr(err.message, "Core ML"));
    cvs_model_free(m);
}

static void folder(void **state) {
    (void)state;
    char path[256], inside[400];
    test_folder(path);
    snprintf(inside, sizeof inside, "mkdir -p '%s/m.mlpackage/Data/com.apple.CoreML'", path);
    assert_int_equal(system(inside), 0);
    snprintf(inside, sizeof inside, "%s/m.mlpackage", path);
    cvs_error err = {0};
    cvs_model *m = NULL;
    assert_int_equal(cvs_model_open(inside, NULL, &m, &err), CVS_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "Core ML"));
    test_remove(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(named), cmocka_unit_test(cut),
                                       cmocka_unit_test(onnx_stays), cmocka_unit_test(folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
