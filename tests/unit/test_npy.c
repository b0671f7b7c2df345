/* SPDX-License-Identifier: MIT
 * test_npy.c - .npy files that NumPy wrote (tests/data/npy, see make.py there), headers that it would not write, and
 * writing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"
#include "convscope/tensor.h"
#include "tensor/npy.h"
#include "test_helpers.h"

static const struct {
    const char *name;
    cvs_dtype dtype;
    int rank;
    int64_t dim[8];
} files[] = {
    {"little-bool", CVS_BOOL, 3, {2, 3, 4}},    {"little-int8", CVS_I8, 3, {2, 3, 4}},
    {"little-uint8", CVS_U8, 3, {2, 3, 4}},     {"little-int16", CVS_I16, 3, {2, 3, 4}},
    {"little-uint16", CVS_U16, 3, {2, 3, 4}},   {"little-int32", CVS_I32, 3, {2, 3, 4}},
    {"little-uint32", CVS_U32, 3, {2, 3, 4}},   {"little-int64", CVS_I64, 3, {2, 3, 4}},
    {"little-uint64", CVS_U64, 3, {2, 3, 4}},   {"little-float16", CVS_F16, 3, {2, 3, 4}},
    {"little-float32", CVS_F32, 3, {2, 3, 4}},  {"little-float64", CVS_F64, 3, {2, 3, 4}},
    {"big-int16", CVS_I16, 3, {2, 3, 4}},       {"big-uint32", CVS_U32, 3, {2, 3, 4}},
    {"big-int64", CVS_I64, 3, {2, 3, 4}},       {"big-float16", CVS_F16, 3, {2, 3, 4}},
    {"big-float32", CVS_F32, 3, {2, 3, 4}},     {"big-float64", CVS_F64, 3, {2, 3, 4}},
    {"fortran-float32", CVS_F32, 3, {2, 3, 4}}, {"fortran-big-int16", CVS_I16, 2, {5, 3}},
    {"scalar-float64", CVS_F64, 0, {0}},        {"vector-int32", CVS_I32, 1, {7}},
    {"empty-float32", CVS_F32, 3, {3, 0, 2}},   {"rank8-uint8", CVS_U8, 8, {1, 2, 1, 3, 1, 2, 2, 1}},
    {"version2-float32", CVS_F32, 2, {4, 3}},   {"version3-float32", CVS_F32, 2, {4, 3}},
};

static void path_of(char *path, size_t size, const char *name) {
    char file[80];
    snprintf(file, sizeof file, "%s.npy", name);
    test_data(path, size, "npy", file);
}

static double expected(cvs_dtype t, int64_t i) {
    if (t == CVS_BOOL) {
        return i % 3 != 0;
    }
    bool is_unsigned = t == CVS_U8 || t == CVS_U16 || t == CVS_U32 || t == CVS_U64;
    return (double)(i * 7 % 50 - (is_unsigned ? 0 : 20));
}

static void expect_values(const cvs_tensor *t, const char *name) {
    cvs_tensor wide;
    assert_int_equal(cvs_tensor_convert(t, CVS_F64, &wide, NULL), CVS_OK);
    for (int64_t k = 0; k < cvs_tensor_count(t); k++) {
        if (((double *)wide.data)[k] != expected(t->dtype, k)) {
            fail_msg("%s [%d] is %g", name, (int)k, ((double *)wide.data)[k]);
        }
    }
    cvs_tensor_free(&wide);
}

static void reads_what_numpy_wrote(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(files); i++) {
        char path[600];
        cvs_tensor t;
        path_of(path, sizeof path, files[i].name);
        test_ok(cvs_npy_read, path, NULL, &t);
        assert_int_equal(t.dtype, files[i].dtype);
        assert_int_equal(t.rank, files[i].rank);
        assert_memory_equal(t.dim, files[i].dim, (size_t)t.rank * sizeof t.dim[0]);
        expect_values(&t, files[i].name);
        cvs_tensor_free(&t);
    }
}

static void refuses_what_is_no_number(void **state) {
    (void)state;
    static const char *const rows[][2] = {{"refused-object", "Python objects are not opened"},
                                          {"refused-complex", "'<c8' is not supported"},
                                          {"refused-text", "'<U2' is not supported"},
                                          {"refused-structured", "structured .npy arrays"},
                                          {"refused-rank9", "0 to 8 dimensions, not 9"}};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        char path[600];
        cvs_tensor t;
        cvs_error err = {0};
        path_of(path, sizeof path, rows[i][0]);
        assert_int_equal(cvs_npy_read(path, NULL, &t, &err), CVS_E_UNSUPPORTED);
        assert_non_null(strstr(err.message, rows[i][1]));
        assert_true(err.has_offset && err.offset >= 10 && strcmp(err.file, path) == 0);
    }
}

/* A version 1 file with this header and n bytes of numbers; into exact memory for sanitizers. */
static cvs_status decode_header(const char *text, size_t n, cvs_error *err) {
    size_t length = strlen(text), size = 10 + length + n;
    uint8_t *file = calloc(size, 1);
    cvs_tensor t;
    memcpy(file, "\x93NUMPY\x01", 7);
    file[8] = (uint8_t)length;
    file[9] = (uint8_t)(length >> 8);
    memcpy(file + 10, text, length);
    cvs_status s = cvi_npy_decode(file, size, NULL, &t, err);
    cvs_tensor_free(&t);
    free(file);
    return s;
}

static void headers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int bytes;
        cvs_status code;
    } rows[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24, CVS_OK},
        {"{\"shape\":(2,3,),\"descr\":\"<f4\",\"fortran_order\":True}\n", 24, CVS_OK},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L)}", 24, CVS_OK},
        {"{'descr': '=f4', 'fortran_order': False, 'shape': (6,)}", 24, CVS_OK},
        {"{'descr': '|i1', 'fortran_order': False, 'shape': ()}", 1, CVS_OK},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 23, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 25, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6), }", 24, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }", 24, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 0, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", 0, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'shape': (2, 3), }", 24, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}", 24, CVS_E_FORMAT},
        {"{'descr': '<f4', 'shape': (2, 3), }", 24, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3), }", 24, CVS_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x", 24, CVS_E_FORMAT},
        {"{'descr': __import__('os').system('x'), 'fortran_order': False, 'shape': (1,)}", 4, CVS_E_FORMAT},
        {"", 24, CVS_E_FORMAT},
        {"{", 24, CVS_E_FORMAT},
        {"{'descr", 24, CVS_E_FORMAT},
        {"{'descr': '<f3', 'fortran_order': False, 'shape': (2, 3), }", 24, CVS_E_UNSUPPORTED},
        {"{'descr': '', 'fortran_order': False, 'shape': (2, 3), }", 24, CVS_E_UNSUPPORTED},
    };
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        cvs_error err = {0};
        cvs_status s = decode_header(rows[i].text, (size_t)rows[i].bytes, &err);
        if (s != rows[i].code) {
            fail_msg("%s: status %d, %s", rows[i].text, s, err.message);
        }
        assert_true(s == CVS_OK || err.message[0] != '\0');
    }
}

static void cut_and_changed_files(void **state) {
    (void)state;
    static const char *const some[] = {"fortran-big-int16", "version3-float32"};
    for (int i = 0; i < CVI_COUNT(some); i++) {
        char path[600];
        cvi_file file;
        cvs_tensor t;
        path_of(path, sizeof path, some[i]);
        test_ok(cvi_file_read, path, NULL, &file);
        for (size_t n = 0; n < file.size; n++) {
            uint8_t *exact = malloc(CVI_MAX(n, (size_t)1));
            memcpy(exact, file.data, n);
            cvs_error err = {0};
            assert_int_not_equal(cvi_npy_decode(exact, n, NULL, &t, &err), CVS_OK);
            assert_true(err.message[0] != '\0' && t.data == NULL);
            free(exact);
        }
        uint8_t *copy = malloc(file.size);
        memcpy(copy, file.data, file.size);
        for (size_t at = 0; at < file.size; at++) {
            for (int value = 0; value < 256; value++) {
                copy[at] = (uint8_t)value;
                cvi_npy_decode(copy, file.size, NULL, &t, NULL);
                cvs_tensor_free(&t);
            }
            copy[at] = file.data[at];
        }
        free(copy);
        cvi_file_close(&file);
    }
}

static void every_allocation_and_read_may_fail(void **state) {
    (void)state;
    char path[600];
    path_of(path, sizeof path, "fortran-float32");
    for (int kind = 0; kind < 2; kind++) {
        int k = 0;
        for (;; k++) {
            cvs_tensor t;
            cvs_error err = {0};
            test_fail_from(kind == 0 ? k : -1, kind == 1 ? k : -1);
            cvs_status s = cvs_npy_read(path, NULL, &t, &err);
            bool failed = test_has_failed();
            cvi_set_hooks(NULL);
            if (!failed) {
                assert_int_equal(s, CVS_OK);
                expect_values(&t, path);
                cvs_tensor_free(&t);
                break;
            }
            assert_int_equal(s, kind == 0 ? CVS_E_MEMORY : CVS_E_IO);
            assert_null(t.data);
            assert_string_equal(err.file, path);
        }
        assert_true(k >= 3);
    }
}

static void limits_hold(void **state) {
    (void)state;
    char path[600];
    cvs_tensor t;
    cvs_error err = {0};
    path_of(path, sizeof path, "little-float32");
    cvs_limits memory = {.max_memory_bytes = 95}, size = {.max_file_bytes = 100};
    assert_int_equal(cvs_npy_read(path, &memory, &t, &err), CVS_E_LIMIT);
    assert_int_equal(cvs_npy_read(path, &size, &t, &err), CVS_E_LIMIT);
    memory.max_memory_bytes = 96;
    assert_int_equal(cvs_npy_read(path, &memory, &t, &err), CVS_OK);
    cvs_tensor_free(&t);
}

/* What we write is, byte for byte, what NumPy writes for the same numbers. */
static void writes_as_numpy(void **state) {
    (void)state;
    char folder[256], out[300];
    test_folder(folder);
    snprintf(out, sizeof out, "%s/a.npy", folder);
    for (int i = 0; i < CVI_COUNT(files); i++) {
        if (strncmp(files[i].name, "little", 6) != 0 && strncmp(files[i].name, "scalar", 6) != 0 &&
            strncmp(files[i].name, "vector", 6) != 0 && strncmp(files[i].name, "empty", 5) != 0) {
            continue;
        }
        char path[600];
        cvs_tensor t;
        cvi_file ours, theirs;
        path_of(path, sizeof path, files[i].name);
        test_ok(cvs_npy_read, path, NULL, &t);
        assert_int_equal(cvs_npy_write(out, &t, NULL), CVS_OK);
        test_ok(cvi_file_read, path, NULL, &theirs);
        test_ok(cvi_file_read, out, NULL, &ours);
        assert_int_equal(ours.size, theirs.size);
        assert_memory_equal(ours.data, theirs.data, ours.size);
        cvi_file_close(&ours);
        cvi_file_close(&theirs);
        cvs_tensor_free(&t);
    }
    float numbers[2] = {1.5F, -2};
    cvs_tensor t = {.dtype = CVS_F32, .rank = 1, .dim = {2}, .data = numbers, .bytes = sizeof numbers}, half,
               back;
    assert_int_equal(cvs_tensor_convert(&t, CVS_BF16, &half, NULL), CVS_OK);
    assert_int_equal(cvs_npy_write(out, &half, NULL), CVS_OK);
    test_ok(cvs_npy_read, out, NULL, &back);
    assert_int_equal(back.dtype, CVS_F32);
    assert_memory_equal(back.data, numbers, sizeof numbers);
    cvs_tensor_free(&half);
    cvs_tensor_free(&back);
    assert_int_equal(cvs_tensor_convert(&t, CVS_I4, &half, NULL),
                     CVS_OK); /* types that NumPy does not have */
    assert_int_equal(cvs_npy_write(out, &half, NULL), CVS_OK);
    test_ok(cvs_npy_read, out, NULL, &back);
    assert_int_equal(back.dtype, CVS_I8);
    assert_int_equal(((const int8_t *)back.data)[1], -2);
    cvs_tensor_free(&half);
    cvs_tensor_free(&back);
    assert_int_equal(cvs_tensor_convert(&t, CVS_F8E5M2, &half, NULL), CVS_OK);
    assert_int_equal(cvs_npy_write(out, &half, NULL), CVS_OK);
    test_ok(cvs_npy_read, out, NULL, &back);
    assert_int_equal(back.dtype, CVS_F32);
    assert_memory_equal(back.data, numbers, sizeof numbers);
    cvs_tensor_free(&half);
    cvs_tensor_free(&back);
    t.dim[0] = 3; /* more than there is */
    assert_int_equal(cvs_npy_write(out, &t, NULL), CVS_E_ARGUMENT);
    unlink(out);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_numpy_wrote),
        cmocka_unit_test(refuses_what_is_no_number),
        cmocka_unit_test(headers),
        cmocka_unit_test(cut_and_changed_files),
        cmocka_unit_test(every_allocation_and_read_may_fail),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(writes_as_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
