/* SPDX-License-Identifier: MIT
 * test_helpers.h - for unit tests: where the test data lie, and making the k-th allocation or read fail.
 * Include after cmocka.h.
 */
#ifndef TEST_HELPERS_H
#define TEST_HELPERS_H

#include <stdlib.h>

#include "base/base.h"
#include "convscope/model.h"

/* The path of tests/data/FOLDER/NAME. */
static inline void test_data(char *path, size_t size, const char *folder, const char *name) {
    const char *root = getenv("CVS_SOURCE_ROOT");
    snprintf(path, size, "%s/tests/data/%s/%s", root != NULL ? root : "..", folder, name);
}

/* The path of a file or folder of the shared data; false where it is not there. */
static inline bool test_shared(char *path, size_t size, const char *relative) {
    const char *shared = getenv("CVS_SHARED"), *root = getenv("CVS_SOURCE_ROOT");
    if (shared != NULL) {
        snprintf(path, size, "%s/%s", shared, relative);
    } else {
        snprintf(path, size, "%s/../shared/%s", root != NULL ? root : "..", relative);
    }
    return cvi_is_folder(path) || cvi_is_file(path);
}

/* Makes a folder of its own for temporary files; path has room for 256 characters. */
static inline void test_folder(char *path) {
    const char *root = getenv("TMPDIR");
    snprintf(path, 256, "%.200s/convscope-test-XXXXXX", root != NULL ? root : P_tmpdir);
    assert_non_null(mkdtemp(path));
}

/* Removes it with all that it holds. */
static inline void test_remove(const char *folder) {
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* A call that must succeed and fills the caller's `err`; prints the error otherwise. */
#define OK(call)                                                                                             \
    do {                                                                                                     \
        char ok_text_[900];                                                                                  \
        if ((call) != CVS_OK) {                                                                              \
            fail_msg("%s: %s", #call, cvs_error_text(&err, ok_text_, sizeof ok_text_));                      \
        }                                                                                                    \
    } while (0)

/* A model that must open; the caller frees it. */
static inline cvs_model *test_open(const char *path) {
    cvs_model *model = NULL;
    cvs_error err = {0};
    OK(cvs_model_open(path, NULL, &model, &err));
    return model;
}

/* A call of (path, limits, out, err) that must succeed; prints the error otherwise. */
#define test_ok(function, path, limits, out)                                                                 \
    do {                                                                                                     \
        cvs_error test_error_ = {0};                                                                         \
        char test_text_[900];                                                                                \
        if (function(path, limits, out, &test_error_) != CVS_OK) {                                           \
            fail_msg("%s", cvs_error_text(&test_error_, test_text_, sizeof test_text_));                     \
        }                                                                                                    \
    } while (0)

/* From now on the k-th allocation (from 0) and all later ones fail, and so with reads and writes; -1: none. */
static struct {
    int allocs_left, ios_left;
    bool failed;
} test_failures;

static inline bool test_count_down(int *left) {
    if (*left > 0) {
        (*left)--;
        return false;
    }
    if (*left == 0) {
        test_failures.failed = true;
        return true;
    }
    return false;
}

static inline bool test_fail_alloc(void *context, size_t bytes) {
    (void)context;
    (void)bytes;
    return test_count_down(&test_failures.allocs_left);
}

static inline bool test_fail_io(void *context) {
    (void)context;
    return test_count_down(&test_failures.ios_left);
}

static inline void test_fail_from(int alloc, int io) {
    test_failures.allocs_left = alloc;
    test_failures.ios_left = io;
    test_failures.failed = false;
    cvi_set_hooks(&(cvi_hooks){test_fail_alloc, test_fail_io, NULL});
}

static inline bool test_has_failed(void) {
    return test_failures.failed;
}

#endif
