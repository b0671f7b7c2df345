/* SPDX-License-Identifier: MIT
 * test_open.c - opening: what is said of files that are no models, folders with none, one and several models, class lists and
 * preprocessing beside a model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "convscope/model.h"
#include "graph/graph.h"
#include "test_helpers.h"

static char folder[256];

static void path_in(char *path, const char *name) {
    snprintf(path, 600, "%s/%s", folder, name);
}

static void put(const char *name, const void *data, size_t n) {
    char path[600];
    cvs_error err = {0};
    path_in(path, name);
    assert_int_equal(cvi_file_write(path, data, n, &err), CVS_OK);
}

static void put_text(const char *name, const char *text) {
    put(name, text, strlen(text));
}

static void take(const char *name) {
    char path[600];
    path_in(path, name);
    assert_int_equal(unlink(path), 0);
}

/* The fixture softmax_11_negative under another name: its output is [2,3,4], so twelve names fit. */
static void put_model(const char *name) {
    char path[512];
    cvi_file f = {0};
    test_data(path, sizeof path, "onnx", "softmax_11_negative/model.onnx");
    test_ok(cvi_file_read, path, NULL, &f);
    put(name, f.data, f.size);
    cvi_file_close(&f);
}

static cvs_status open_it(const char *name, const cvs_open_options *options, cvs_model **m, char *text) {
    char path[600];
    cvs_error err = {.lang = options ? options->lang : CVS_EN};
    path_in(path, name);
    cvs_status s = cvs_model_open(name[0] ? path : folder, options, m, &err);
    cvs_error_text(&err, text, 1000);
    return s;
}

static int make_folder(void **state) {
    (void)state;
    test_folder(folder);
    return 0;
}

static int drop_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

static void other_files_are_named(void **state) {
    (void)state;
    static char tar[1024]; /* two entries without contents */
    static const struct {
        const char *bytes;
        size_t n;
        const char *en, *zh;
    } rows[] = {{"hello there\n", 12, "a text file", "文本文件"},
                {"", 0, "an empty file", "空文件"},
                {"\x89PNG\r\n\x1a\n123", 11, "a PNG picture", "PNG 图片"},
                {"<!DOCTYPE html><html>", 21, "an HTML page", "HTML 网页"},
                {"PK\x03\x04....", 8, "a zip archive", "zip 压缩包"},
                {"version https://git-lfs.github.com/spec/v1\n", 43, "a Git LFS pointer", "Git LFS"},
                {tar, sizeof tar, "an archive of PyTorch 0.1.1", "PyTorch 0.1.1"},
                {"\x01\x02\x03\x04\x05\x06", 6, "binary data", "二进制数据"}};
    memcpy(tar, "sys_info", 8);
    memcpy(tar + 257, "ustar", 5);
    memcpy(tar + 512, "pickle", 6);
    memcpy(tar + 512 + 257, "ustar", 5);
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        cvs_model *m = NULL;
        char text[1000];
        put("model.onnx", rows[i].bytes, rows[i].n);
        assert_int_equal(open_it("model.onnx", NULL, &m, text), CVS_E_FORMAT);
        assert_true(strstr(text, "model.onnx") && strstr(text, rows[i].en));
        const cvs_open_options zh = {.lang = CVS_ZH};
        assert_int_equal(open_it("model.onnx", &zh, &m, text), CVS_E_FORMAT);
        assert_non_null(strstr(text, rows[i].zh));
    }
    take("model.onnx");
    cvs_model *m = NULL;
    char text[1000];
    assert_int_not_equal(open_it("absent.onnx", NULL, &m, text), CVS_OK);
    assert_non_null(strstr(text, "absent.onnx"));
}

static void a_folder_holds_one_model(void **state) {
    (void)state;
    cvs_model *m = NULL;
    char text[1000];
    assert_int_equal(open_it("", NULL, &m, text), CVS_E_NOT_FOUND);
    put_text("README.txt", "nothing here\n");
    put_text("info.json", "{\"licence\": \"MIT\"}");
    assert_int_equal(open_it("", NULL, &m, text), CVS_E_NOT_FOUND);
    put_model("a.bin"); /* content decides, not the name */
    put_text("classes.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n");
    assert_int_equal(open_it("", NULL, &m, text), CVS_OK);
    cvs_model_info info;
    cvs_model_describe(m, &info);
    assert_non_null(strstr(info.path, "a.bin"));
    assert_true(info.file_bytes > 100);
    assert_int_equal(info.n_classes, 12);
    cvs_model_free(m);
    put_model("b.onnx");
    assert_int_equal(open_it("", NULL, &m, text), CVS_E_ARGUMENT);
    assert_true(strstr(text, "a.bin") && strstr(text, "b.onnx"));
    const char *const names[] = {"README.txt", "info.json", "a.bin", "classes.txt", "b.onnx"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        take(names[i]);
    }
}

static void check_classes(const cvs_open_options *options, int n, const char *first, const char *last,
                          int notes) {
    cvs_model *m = NULL;
    char text[1000];
    cvs_model_info info;
    if (open_it("m.onnx", options, &m, text) != CVS_OK) {
        fail_msg("%s", text);
    }
    cvs_model_describe(m, &info);
    assert_int_equal(info.n_classes, n);
    assert_int_equal(info.n_notes, notes);
    if (n) {
        assert_string_equal(info.classes[0], first);
        assert_string_equal(info.classes[n - 1], last);
        assert_non_null(info.classes_from);
    }
    cvs_model_free(m);
}

static void class_lists_are_read(void **state) {
    (void)state;
    put_model("m.onnx");
    check_classes(NULL, 0, NULL, NULL, 0);
    put_text("labels.txt", "\xef\xbb\xbf"
                           "a\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng\r\nh\r\ni\r\nj\r\nk\r\nl and m\r\n\r\n");
    check_classes(NULL, 12, "a", "l and m", 0);
    put_text("classes.txt", "0 a\n1 b\n2 c\n3 d\n4 e\n5 f\n6 g\n7 h\n8 i\n9 j\n10 k\n11 zebra");
    check_classes(NULL, 12, "a", "zebra", 0);
    put_text("m.txt", "n01440764 tench, Tinca tinca\nn1 x\n");
    check_classes(NULL, 0, NULL, NULL, 1); /* two names for twelve outputs are not used */
    char wordnet[600] = "";
    for (int i = 0; i < 12; i++) {
        snprintf(wordnet + strlen(wordnet), sizeof wordnet - strlen(wordnet), "n014407%02d fish, number %d\n",
                 i, i);
    }
    put_text("m.txt", wordnet);
    check_classes(NULL, 12, "fish, number 0", "fish, number 11", 0);
    put_text("m.txt", "\xff\xfe not text\n");
    check_classes(NULL, 12, "a", "zebra", 1); /* said, and the next list is tried */
    put_text("m.convscope.json",
             "{\"classes\": [\"一\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"last\"], "
             "\"preprocess\": \"tf\"}");
    check_classes(NULL, 12, "一", "last", 0);
    char own[600];
    path_in(own, "own.json");
    put_text("own.json", "{\"0\":[\"n1\",\"x\"],\"1\":[\"n2\",\"b\"],\"2\":\"c\",\"3\":\"d\",\"4\":\"e\","
                         "\"5\":\"f\",\"6\":\"g\",\"7\":\"h\","
                         "\"8\":\"i\",\"9\":\"j\",\"10\":\"k\",\"11\":\"y\"}");
    const cvs_open_options options = {.classes = own};
    check_classes(&options, 12, "x", "y", 0);
    const char *const names[] = {"m.onnx", "labels.txt",       "classes.txt",
                                 "m.txt",  "m.convscope.json", "own.json"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        take(names[i]);
    }
}

static void preprocessing_is_read(void **state) {
    (void)state;
    cvs_model *m = NULL;
    char text[1000];
    put_model("m.onnx");
    put_text("convscope.json", "{\"preprocess\": \"ImageNet-torch\"}");
    assert_int_equal(open_it("m.onnx", NULL, &m, text), CVS_OK);
    cvs_model_info info;
    cvs_model_describe(m, &info);
    assert_true(info.preprocess->known && info.preprocess->mean[0] > 0);
    assert_non_null(strstr(info.preprocess->from, "convscope.json"));
    cvs_model_free(m);
    const cvs_preprocess mine = {.known = true, .from = "mine"};
    const cvs_open_options options = {.preprocess = &mine};
    assert_int_equal(open_it("m.onnx", &options, &m, text), CVS_OK);
    cvs_model_describe(m, &info);
    assert_string_equal(info.preprocess->from, "mine");
    cvs_model_free(m);
    static const char *const wrong[] = {"{\"preprocess\": \"no-such-preset\"}", "[1]", "{\"preprocess\"",
                                        "{\"classes\": 5}", "{\"classes\": \"../m.onnx\"}"};
    for (int i = 0; i < CVI_COUNT(wrong); i++) {
        put_text("convscope.json", wrong[i]);
        assert_int_not_equal(open_it("m.onnx", NULL, &m, text), CVS_OK);
        assert_non_null(strstr(text, i == 4 ? "m.onnx" : "convscope.json"));
    }
    take("convscope.json");
    take("m.onnx");
}

static void ports_and_suffixes(void **state) {
    (void)state;
    cvs_model *m = NULL;
    char text[1000], path[600];
    cvs_error err = {0};
    cvs_port port;
    int layer = -1;
    put_model("m.onnx");
    assert_int_equal(open_it("m.onnx", NULL, &m, text), CVS_OK);
    assert_int_equal(cvs_model_input(m, 0, &port, &err), CVS_OK);
    assert_true(strcmp(port.name, "x") == 0 && port.rank == 3 && port.dim[2] == 4 && port.dtype == CVS_F32);
    assert_int_equal(cvs_model_output(m, 1, &port, &err), CVS_E_ARGUMENT);
    assert_int_equal(cvs_model_input(m, -1, &port, &err), CVS_E_ARGUMENT);
    assert_int_equal(cvs_model_find_layer(m, "y", &layer, &err), CVS_OK);
    assert_int_equal(cvs_model_find_layer(m, "yy", &layer, &err), CVS_E_NOT_FOUND);
    path_in(path, "out.weird");
    assert_int_equal(cvs_model_write(m, path, &err), CVS_E_ARGUMENT);
    path_in(path, "no/such/folder.onnx");
    assert_int_not_equal(cvs_model_write(m, path, &err), CVS_OK);
    cvs_model_free(m);
    take("m.onnx");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(other_files_are_named, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(a_folder_holds_one_model, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(class_lists_are_read, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(preprocessing_is_read, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(ports_and_suffixes, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
