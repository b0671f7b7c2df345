/* SPDX-License-Identifier: MIT
 * test_hdf5.c - the HDF5 reader against files written by h5py (tests/data/hdf5, tools/make_hdf5_fixtures.py): every value
 * and text equal, forbidden things refused, then truncation, bit flips and failing allocations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "formats/hdf5.h"
#include "ops/op.h"

#include "../fuzz/fuzz_hdf5.c"

#ifndef CVS_TEST_DATA
#define CVS_TEST_DATA "tests/data"
#endif

static cvi_file open_fixture(const char *name) {
    char path[512];
    const char *root = getenv("CVS_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s%s" CVS_TEST_DATA "/hdf5/%s", root ? root : "", root ? "/" : "", name);
    cvi_file file = {0};
    cvs_error err = {0};
    if (cvi_file_read(path, NULL, &file, &err) != CVS_OK) {
        print_message("%s\n", err.message);
        fail();
    }
    return file;
}

static void check_data(cvi_h5 *f, char *rest, const char *path) {
    cvs_error err = {0};
    int64_t object = -1;
    cvs_tensor t;
    if (cvi_h5_find(f, cvi_h5_root(f), path, &object, &err) != CVS_OK || object < 0 ||
        cvi_h5_dataset(f, object, &t, &err) != CVS_OK) {
        print_message("%s: %s at %lld\n", path, err.message, (long long)err.offset);
        fail();
    }
    char dtype[32];
    int rank = 0, used = 0;
    assert_int_equal(sscanf(rest, "%31s %d%n", dtype, &rank, &used), 2);
    assert_string_equal(cvs_dtype_name(t.dtype), dtype);
    assert_int_equal(t.rank, rank);
    char *p = rest + used;
    for (int i = 0; i < rank; i++) {
        assert_int_equal(t.dim[i], strtoll(p, &p, 10));
    }
    p = strchr(p, ':') + 1;
    for (int64_t i = 0; i < cvs_tensor_count(&t); i++) {
        double want = strtod(p, &p);
        if (cvi_get(&t, i) != want) {
            print_message("%s[%lld]: %g, %g expected\n", path, (long long)i, cvi_get(&t, i), want);
            fail();
        }
    }
    cvs_tensor_free(&t);
}

static void check_text(cvi_h5 *f, const char *rest, const char *path) {
    cvs_error err = {0};
    char name[64], hex[512];
    int count = 0, used = 0;
    assert_int_equal(sscanf(rest, "%63s %d :%n", name, &count, &used), 2);
    int64_t object = -1, n = -1;
    const char **list = NULL;
    assert_int_equal(cvi_h5_find(f, cvi_h5_root(f), path, &object, &err), CVS_OK);
    if (cvi_h5_attribute(f, object, name, &n, &list, &err) != CVS_OK) {
        print_message("%s %s: %s\n", path, name, err.message);
        fail();
    }
    assert_int_equal(n, count);
    for (int i = 0; i < count; i++) {
        int step = 0;
        assert_int_equal(sscanf(rest + used, "%511s%n", hex, &step), 1);
        used += step;
        size_t length = hex[0] == '-' ? 0 : strlen(hex) / 2;
        assert_int_equal(strlen(list[i]), length);
        for (size_t k = 0; k < length; k++) {
            unsigned byte = 0;
            sscanf(hex + 2 * k, "%2x", &byte);
            assert_int_equal((uint8_t)list[i][k], byte);
        }
    }
}

static void check_refused(cvi_h5 *f, const char *path) {
    cvs_error err = {0};
    int64_t object = -1;
    cvs_tensor t = {0};
    cvs_status s = cvi_h5_find(f, cvi_h5_root(f), path, &object, &err);
    if (s == CVS_OK) {
        assert_true(object >= 0);
        s = cvi_h5_dataset(f, object, &t, &err);
        assert_true(err.has_offset);
    }
    if (s == CVS_OK) {
        print_message("%s should be refused\n", path);
        fail();
    }
    assert_true(strlen(err.message) > 10);
}

static void values(void **state) {
    (void)state;
    cvi_file list = open_fixture("expected.txt");
    char *text = cvi_calloc(1, list.size + 1), *save = NULL;
    memcpy(text, list.data, list.size);
    int lines = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char kind[16], name[64], path[128];
        int used = 0;
        assert_int_equal(sscanf(line, "%15s %63s %127s%n", kind, name, path, &used), 3);
        cvi_file file = open_fixture(name);
        cvi_h5 *f = NULL;
        cvs_error err = {0};
        assert_true(cvi_h5_is(file.data, file.size));
        assert_int_equal(cvi_h5_open(file.data, file.size, NULL, &f, &err), CVS_OK);
        if (strcmp(kind, "data") == 0) {
            check_data(f, line + used, path);
        } else if (strcmp(kind, "text") == 0) {
            check_text(f, line + used, path);
        } else {
            check_refused(f, path);
        }
        cvi_h5_close(f);
        cvi_file_close(&file);
        lines++;
    }
    assert_true(lines > 200);
    cvi_free(text);
    cvi_file_close(&list);
}

static void absent(void **state) {
    (void)state;
    cvi_file file = open_fixture("earliest.h5");
    cvi_h5 *f = NULL;
    cvs_error err = {0};
    assert_int_equal(cvi_h5_open(file.data, file.size, NULL, &f, &err), CVS_OK);
    int64_t object = 0, n = 0;
    const char **list = NULL;
    assert_int_equal(cvi_h5_find(f, cvi_h5_root(f), "a/c", &object, &err), CVS_OK);
    assert_int_equal(object, -1);
    assert_int_equal(cvi_h5_attribute(f, cvi_h5_root(f), "nothing", &n, &list, &err), CVS_OK);
    assert_int_equal(n, -1);
    assert_int_equal(cvi_h5_attribute(f, cvi_h5_root(f), "count", &n, &list, &err), CVS_E_FORMAT);
    cvi_h5_close(f);
    assert_int_equal(cvi_h5_open("\x89HDF", 4, NULL, &f, &err), CVS_E_FORMAT);
    assert_null(f);
    cvi_file_close(&file);
}

/* A file that was cut off says so even where everything that is asked for is still there. */
static void incomplete(void **state) {
    (void)state;
    static const char *const names[] = {"earliest.h5", "latest.h5", "userblock.h5"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        cvi_file file = open_fixture(names[i]);
        for (size_t cut = 0; cut < 2; cut++) {
            cvi_h5 *f = NULL;
            cvs_error err = {0};
            assert_int_equal(cvi_h5_open(file.data, file.size - cut, NULL, &f, &err), CVS_OK);
            assert_int_equal(cvi_h5_complete(f, &err), cut ? CVS_E_FORMAT : CVS_OK);
            cvi_h5_close(f);
        }
        cvi_file_close(&file);
    }
}

static const char *const fixtures[] = {"earliest.h5", "latest.h5",  "userblock.h5",
                                       "pages.h5",    "refused.h5", "unlimited.h5"};

static void truncated(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(fixtures); i++) {
        cvi_file file = open_fixture(fixtures[i]);
        for (size_t n = 0; n < file.size; n += n < 2048 ? 7 : 397) {
            uint8_t *copy = malloc(n + 1); /* its own block, so that a sanitizer sees one byte too far */
            memcpy(copy, file.data, n);
            LLVMFuzzerTestOneInput(copy, n);
            free(copy);
        }
        cvi_file_close(&file);
    }
}

static void flipped(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(fixtures); i++) {
        cvi_file file = open_fixture(fixtures[i]);
        uint8_t *copy = malloc(file.size);
        for (uint64_t k = 0; k < 400; k++) {
            memcpy(copy, file.data, file.size);
            for (uint64_t j = 0; j < 1 + k % 8; j++) {
                uint64_t r = cvi_random_bits(5, (uint64_t)i * 1000 + k, j);
                copy[r % (k % 2 ? CVI_MIN(file.size, 3000) : file.size)] ^= (uint8_t)(1u << (r >> 60 & 7));
            }
            LLVMFuzzerTestOneInput(copy, file.size);
        }
        free(copy);
        cvi_file_close(&file);
    }
}

typedef struct countdown {
    int64_t left;
    bool hit;
} countdown;

static bool fail_at(void *context, size_t bytes) {
    (void)bytes;
    countdown *c = context;
    bool now = c->left-- == 0;
    c->hit = c->hit || now;
    return now;
}

static void no_memory_for(const char *name) {
    cvi_file file = open_fixture(name);
    bool done = false;
    int64_t k = 0;
    for (; !done && k < 100000; k++) {
        countdown c = {.left = k};
        cvi_hooks hooks = {.fail_alloc = fail_at, .context = &c};
        cvi_set_hooks(&hooks);
        LLVMFuzzerTestOneInput(file.data, file.size);
        cvi_set_hooks(NULL);
        done = !c.hit;
    }
    assert_true(done && k > 3);
    cvi_file_close(&file);
}

static void no_memory(void **state) {
    (void)state;
    no_memory_for("latest.h5");
    no_memory_for("unlimited.h5");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values),     cmocka_unit_test(absent),
                                       cmocka_unit_test(incomplete), cmocka_unit_test(truncated),
                                       cmocka_unit_test(flipped),    cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
