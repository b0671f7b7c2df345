/* SPDX-License-Identifier: MIT
 * test_data_folder.c - pictures in class folders: order, split, links, damaged pictures, missing parts; CIFAR-10 as JPEG files.
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "data/dataset.h"
#include "test_helpers.h"

static char root[256];

/* Makes root/relative (and its folders) a PNG of w x h whose first pixel is (value,0,0); value < 0: garbage. */
static void put(const char *relative, int w, int h, int value) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", root, relative);
    char *dir = cvi_path_dir(path);
    assert_int_equal(cvi_make_folder(dir, NULL), CVS_OK);
    cvi_free(dir);
    if (value < 0) {
        assert_int_equal(cvi_file_write(path, "no picture at all", 17, NULL), CVS_OK);
        return;
    }
    cvs_tensor t;
    assert_int_equal(cvs_tensor_new(&t, CVS_U8, 3, (int64_t[]){h, w, 3}, NULL), CVS_OK);
    ((uint8_t *)t.data)[0] = (uint8_t)value;
    assert_int_equal(cvs_png_write(path, &t, NULL), CVS_OK);
    cvs_tensor_free(&t);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk) {
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int begin(void **state) {
    (void)state;
    test_folder(root);
    return 0;
}

static int end(void **state) {
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static cvs_status try_open(cvs_data_options options, cvs_data **data, cvs_error *err) {
    char spec[300];
    snprintf(spec, sizeof spec, "folder:%s", root);
    *err = (cvs_error){0};
    return cvs_data_open(spec, &options, data, err);
}

static cvs_data *open_ok(cvs_data_options options, cvs_data_info *info) {
    cvs_data *data;
    cvs_error err;
    char text[900];
    if (try_open(options, &data, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    cvs_data_describe(data, info);
    return data;
}

static int first_pixel(const cvs_data *data, int64_t i, int *label) {
    cvs_tensor picture;
    assert_int_equal(cvs_data_get(data, i, &picture, label, NULL, NULL), CVS_OK);
    assert_int_equal(picture.rank, 3);
    assert_int_equal(picture.dim[2], 3);
    int v = ((uint8_t *)picture.data)[0];
    cvs_tensor_free(&picture);
    return v;
}

static void sorted_and_divided(void **state) {
    (void)state;
    for (int i = 9; i >= 0; i--) { /* made in the wrong order */
        char name[40];
        snprintf(name, sizeof name, "zebra/%d.png", i);
        put(name, 4, 3, 100 + i);
        snprintf(name, sizeof name, "ant/%d.PNG", i);
        put(name, 3, 5, i);
    }
    put("ant/notes.txt", 0, 0, -1);
    put("ant/.hidden.png", 0, 0, -1);
    put("loose.png", 2, 2, 7);
    cvs_data_info info;
    bool seen[2][10] = {{false}};
    for (int split = 0; split < 2; split++) {
        cvs_data *data =
            open_ok((cvs_data_options){.split = (cvs_split)split, .holdout = 0.3, .seed = 4}, &info);
        assert_int_equal(info.count, split ? 6 : 14);
        assert_int_equal(info.n_classes, 2);
        assert_string_equal(info.classes[0], "ant");
        assert_string_equal(info.classes[1], "zebra");
        assert_int_equal(info.height, 0);
        for (int64_t i = 0; i < info.count; i++) {
            int label, v = first_pixel(data, i, &label);
            assert_int_equal(v / 100, label);
            assert_false(seen[label][v % 100]);
            seen[label][v % 100] = true;
        }
        cvs_data_free(data);
    }
    uint64_t before = info.fingerprint;
    cvs_data_free(open_ok((cvs_data_options){.split = CVS_TEST, .holdout = 0.3, .seed = 4}, &info));
    assert_true(info.fingerprint == before);
    for (int i = 0; i < 10; i++) { /* other content under the same names */
        char name[40];
        snprintf(name, sizeof name, "ant/%d.PNG", i);
        put(name, 3, 5, i + 50);
    }
    cvs_data_free(open_ok((cvs_data_options){.split = CVS_TEST, .holdout = 0.3, .seed = 4}, &info));
    assert_true(info.fingerprint != before);
}

static void own_split(void **state) {
    (void)state;
    put("train/b/1.png", 2, 2, 11);
    put("train/a/1.png", 2, 2, 12);
    put("train/a/2.png", 2, 2, 13);
    put("val/b/1.png", 2, 2, 21);
    cvs_data_info info;
    int label;
    cvs_data *data = open_ok((cvs_data_options){0}, &info);
    assert_int_equal(info.count, 3);
    assert_int_equal(first_pixel(data, 0, &label), 12);
    assert_int_equal(first_pixel(data, 2, &label), 11);
    assert_int_equal(label, 1);
    cvs_data_free(data);
    data = open_ok((cvs_data_options){.split = CVS_TEST}, &info);
    assert_int_equal(info.count, 1);
    assert_int_equal(info.n_classes, 2);
    assert_int_equal(first_pixel(data, 0, &label), 21);
    assert_int_equal(label, 1);
    cvs_data_free(data);
    put("val/c/1.png", 2, 2, 21);
    cvs_error err;
    assert_int_equal(try_open((cvs_data_options){.split = CVS_TEST}, &data, &err), CVS_E_FORMAT);
    assert_non_null(strstr(err.message, "\"c\""));
}

static void links_are_passed_over(void **state) {
    (void)state;
    char path[600];
    put("set/a/1.png", 2, 2, 1);
    put("set/a/2.png", 2, 2, 2);
    put("outside/x.png", 2, 2, 3);
    snprintf(path, sizeof path, "%s/set/b", root);
    assert_int_equal(symlink("../outside", path), 0);
    snprintf(path, sizeof path, "%s/set/a/3.png", root);
    assert_int_equal(symlink("../../outside/x.png", path), 0);
    strcat(root, "/set");
    cvs_data_info info;
    cvs_data_free(open_ok((cvs_data_options){0}, &info));
    assert_int_equal(info.n_classes, 1);
    assert_int_equal(info.count, 1); /* of two one is kept for testing */
    *strrchr(root, '/') = '\0';
}

static void faults_are_located(void **state) {
    (void)state;
    cvs_data *data;
    cvs_error err;
    char path[600];
    assert_int_equal(try_open((cvs_data_options){0}, &data, &err), CVS_E_FORMAT); /* empty */
    put("a/1.png", 2, 2, 1);
    put("b/readme.txt", 0, 0, -1);
    assert_int_equal(try_open((cvs_data_options){0}, &data, &err), CVS_E_FORMAT);
    snprintf(path, sizeof path, "%s/b", root);
    assert_string_equal(err.file, path);
    put("b/broken.png", 0, 0, -1);
    cvs_data_info info;
    data = open_ok((cvs_data_options){0}, &info);
    cvs_tensor picture;
    int label;
    assert_int_equal(cvs_data_get(data, 1, &picture, &label, NULL, &err), CVS_E_FORMAT);
    snprintf(path, sizeof path, "%s/b/broken.png", root);
    assert_string_equal(err.file, path);
    assert_null(picture.data);
    cvs_data_free(data);
    assert_int_equal(cvs_data_open("folder:/nonexistent/x", NULL, &data, &err), CVS_E_IO);
    assert_string_equal(err.file, "/nonexistent/x");
}

static void failing_memory(void **state) {
    (void)state;
    put("a/1.png", 2, 2, 1);
    put("a/2.png", 2, 2, 1);
    put("b/1.png", 2, 2, 1);
    bool failed = true;
    for (int k = 0; failed; k++) {
        assert_true(k < 300);
        cvs_data *data = NULL;
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status s = try_open((cvs_data_options){0}, &data, &err);
        if (s == CVS_OK) {
            cvs_tensor picture;
            int label;
            s = cvs_data_get(data, 0, &picture, &label, NULL, &err);
            cvs_tensor_free(&picture);
        }
        failed = test_has_failed();
        cvi_set_hooks(NULL);
        cvs_data_free(data);
        assert_int_equal(s, failed ? CVS_E_MEMORY : CVS_OK);
    }
}

static void cifar_as_files(void **state) {
    (void)state;
    char folder[512], spec[600];
    if (!test_shared(folder, sizeof folder, "data/cifar10/jpeg")) {
        print_message("[ SKIPPED  ] no shared data\n");
        skip();
    }
    snprintf(spec, sizeof spec, "folder:%s", folder);
    cvs_data *data;
    cvs_data_info info;
    assert_int_equal(cvs_data_open(spec, NULL, &data, NULL), CVS_OK);
    cvs_data_describe(data, &info);
    assert_int_equal(info.count, 2000);
    assert_int_equal(info.n_classes, 10);
    assert_string_equal(info.classes[3], "cat");
    cvs_data_free(data);
    assert_int_equal(cvs_data_open(spec, &(cvs_data_options){.split = CVS_TEST, .limit = 30}, &data, NULL),
                     CVS_OK);
    cvs_data_describe(data, &info);
    assert_int_equal(info.count, 30);
    for (int64_t i = 0; i < 30; i++) {
        cvs_tensor picture;
        int label;
        assert_int_equal(cvs_data_get(data, i, &picture, &label, NULL, NULL), CVS_OK);
        assert_int_equal(label, i / 3);
        assert_int_equal(picture.dim[0], 32);
        cvs_tensor_free(&picture);
    }
    cvs_data_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sorted_and_divided, begin, end),
        cmocka_unit_test_setup_teardown(own_split, begin, end),
        cmocka_unit_test_setup_teardown(links_are_passed_over, begin, end),
        cmocka_unit_test_setup_teardown(faults_are_located, begin, end),
        cmocka_unit_test_setup_teardown(failing_memory, begin, end),
        cmocka_unit_test(cifar_as_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
