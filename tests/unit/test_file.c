/* SPDX-License-Identifier: MIT
 * test_file.c - reading small, large, empty, missing and special files; reading only beneath a folder; writing whole
 * files or nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"
#include "test_helpers.h"

static char folder[256];

static const char *in_folder(const char *name) {
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int files_in_folder(void) {
    int n = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    }
    closedir(d);
    return n;
}

static int make(void **state) {
    (void)state;
    test_folder(folder);
    return 0;
}

static int remove_all(void **state) {
    (void)state;
    test_remove(folder);
    return 0;
}

static void write_and_read(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, (1 << 20) - 1, 1 << 20, 3000001};
    uint8_t *data = malloc(3000001);
    for (size_t i = 0; i < 3000001; i++) {
        data[i] = (uint8_t)(i * 31 >> 3);
    }
    for (int i = 0; i < CVI_COUNT(sizes); i++) {
        cvs_error err = {0};
        cvi_file f;
        assert_int_equal(cvi_file_write(in_folder("a"), data, sizes[i], &err), CVS_OK);
        assert_int_equal(cvi_file_read(in_folder("a"), NULL, &f, &err), CVS_OK);
        assert_int_equal(f.size, sizes[i]);
        assert_non_null(f.data);
        assert_int_equal(f.mapped, sizes[i] >= 1 << 20);
        assert_memory_equal(f.data, data, sizes[i]);
        assert_string_equal(f.path, in_folder("a"));
        cvi_file_close(&f);
        cvi_file_close(&f);
        assert_int_equal(files_in_folder(), 1);
    }
    free(data);
    struct stat st;
    mode_t mask = umask(022);
    umask(mask);
    assert_int_equal(stat(in_folder("a"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);
    chmod(in_folder("a"), 0640); /* kept when the file is written again */
    assert_int_equal(cvi_file_write(in_folder("a"), "x", 1, NULL), CVS_OK);
    assert_int_equal(stat(in_folder("a"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(symlink("a", in_folder("link")), 0); /* a link stays a link */
    assert_int_equal(cvi_file_write(in_folder("link"), "through", 7, NULL), CVS_OK);
    assert_int_equal(lstat(in_folder("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(in_folder("a"), &st), 0);
    assert_int_equal(st.st_size, 7);
}

static void expect_read_error(const char *path, const cvs_limits *limits, cvs_status code, const char *part) {
    cvs_error err = {0};
    cvi_file f;
    assert_int_equal(cvi_file_read(path, limits, &f, &err), code);
    assert_null(f.data);
    if (strstr(err.message, part) == NULL || strcmp(err.file, path) != 0) {
        fail_msg("%s: %s", err.file, err.message);
    }
}

static void unreadable_files(void **state) {
    (void)state;
    expect_read_error(in_folder("none"), NULL, CVS_E_IO, "there is no such file");
    expect_read_error(folder, NULL, CVS_E_IO, "this is a folder");
    expect_read_error("", NULL, CVS_E_ARGUMENT, "the path is empty");
    cvs_limits ten = {.max_file_bytes = 10};
    assert_int_equal(cvi_file_write(in_folder("b"), "0123456789a", 11, NULL), CVS_OK);
    expect_read_error(in_folder("b"), &ten, CVS_E_LIMIT, "11 bytes, the limit is 10");
    expect_read_error("/dev/zero", &ten, CVS_E_LIMIT, "more than 10 bytes");
    expect_read_error(in_folder("b/c"), NULL, CVS_E_IO, "there is no such file");
    if (geteuid() != 0) {
        chmod(in_folder("b"), 0);
        expect_read_error(in_folder("b"), NULL, CVS_E_IO, "no permission");
        chmod(in_folder("b"), 0600);
    }
    cvi_file f; /* files that do not know their size */
    assert_int_equal(cvi_file_read("/proc/self/maps", NULL, &f, NULL), CVS_OK);
    assert_true(f.size > 100);
    cvi_file_close(&f);
    assert_int_equal(cvi_file_read("/dev/null", NULL, &f, NULL), CVS_OK);
    assert_true(f.size == 0 && f.data != NULL);
    cvi_file_close(&f);
}

static void *feed(void *path) {
    FILE *out = fopen(path, "w");
    for (int i = 0; i < 50000; i++) {
        fprintf(out, "%05d\n", i);
    }
    fclose(out);
    return NULL;
}

static void pipes(void **state) {
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s", in_folder("pipe"));
    assert_int_equal(mkfifo(path, 0600), 0);
    pthread_t thread;
    pthread_create(&thread, NULL, feed, path);
    cvi_file f;
    assert_int_equal(cvi_file_read(path, NULL, &f, NULL), CVS_OK);
    pthread_join(thread, NULL);
    assert_int_equal(f.size, 300000);
    assert_memory_equal(f.data + 299994, "49999\n", 6);
    cvi_file_close(&f);
}

static void expect_beneath(const char *relative, cvs_status code, const char *part) {
    cvs_error err = {0};
    cvi_file f;
    cvs_status s = cvi_file_read_beneath(folder, relative, NULL, &f, &err);
    if (s != code || strstr(err.message, part) == NULL) {
        fail_msg("%s: status %d, %s", relative, s, err.message);
    }
    assert_true(s != CVS_OK || f.size == 7);
    cvi_file_close(&f);
}

static void only_beneath(void **state) {
    (void)state;
    assert_int_equal(cvi_make_folder(in_folder("w/x"), NULL), CVS_OK);
    assert_int_equal(cvi_file_write(in_folder("w/x/data"), "weights", 7, NULL), CVS_OK);
    assert_int_equal(cvi_file_write(in_folder("two"), "weights", 7, NULL), CVS_OK);
    assert_int_equal(link(in_folder("two"), in_folder("names")), 0);
    assert_int_equal(symlink("w/x/data", in_folder("soft")), 0);
    assert_int_equal(symlink("w", in_folder("softfolder")), 0);
    expect_beneath("w/x/data", CVS_OK, "");
    expect_beneath("w//x/./data", CVS_OK, "");
    expect_beneath("../x", CVS_E_FORMAT, "must lie beneath");
    expect_beneath("w/../w/x/data", CVS_E_FORMAT, "must lie beneath");
    expect_beneath("/etc/passwd", CVS_E_FORMAT, "must lie beneath");
    expect_beneath("", CVS_E_FORMAT, "must lie beneath");
    expect_beneath("soft", CVS_E_FORMAT, "symbolic link");
    expect_beneath("softfolder/x/data", CVS_E_FORMAT, "symbolic link");
    expect_beneath("two", CVS_E_FORMAT, "has 2 hard links");
    expect_beneath("w", CVS_E_IO, "this is a folder");
    expect_beneath("pipe", CVS_E_FORMAT, "must be a regular file"); /* and does not wait for a writer */
    expect_beneath("none", CVS_E_IO, "there is no such file");
}

static void expect_no_output(const char *path, const char *part) {
    cvs_error check = {0}, write = {0};
    assert_int_not_equal(cvi_check_output(path, &check), CVS_OK);
    assert_int_not_equal(cvi_file_write(path, "x", 1, &write), CVS_OK);
    assert_string_equal(check.message, write.message);
    if (strstr(check.message, part) == NULL || strcmp(check.file, path) != 0) {
        fail_msg("%s: %s", check.file, check.message);
    }
}

static void outputs_that_cannot_be(void **state) {
    (void)state;
    expect_no_output(in_folder("no/such/out.svg"), "no/such does not exist");
    expect_no_output(folder, "this is a folder");
    expect_no_output(in_folder("new/"), "this is a folder");
    expect_no_output(in_folder("two/out.svg"), "two is not a folder");
    expect_no_output("", "the path is empty");
    if (geteuid() != 0) {
        chmod(in_folder("two"), 0400);
        expect_no_output(in_folder("two"), "write-protected");
        chmod(in_folder("two"), 0600);
    }
    assert_int_equal(cvi_check_output(in_folder("fresh"), NULL), CVS_OK);
    assert_int_equal(cvi_file_write("/dev/null", "x", 1, NULL), CVS_OK);
    if (access("/dev/full", W_OK) == 0) {
        cvs_error err = {0};
        assert_int_equal(cvi_file_write("/dev/full", "x", 1, &err), CVS_E_IO);
        assert_string_equal(err.message, "no space is left on the device");
    }
    cvs_error err = {0};
    assert_int_equal(cvi_make_folder(in_folder("two/sub"), &err), CVS_E_IO);
    assert_non_null(strstr(err.message, "in the way"));
    assert_int_equal(cvi_make_folder(in_folder("two"), &err), CVS_E_IO);
    assert_int_equal(cvi_make_folder(folder, &err), CVS_OK);
    assert_true(cvi_is_folder(folder) && !cvi_is_file(folder) && cvi_is_file(in_folder("two")));
    assert_true(!cvi_is_folder(in_folder("nothing")) && !cvi_is_file(in_folder("nothing")));
}

/* Whatever fails, the old file is whole, no temporary file is left, and the message is there. */
static void failures_leave_the_old_file(void **state) {
    (void)state;
    const char *path = in_folder("kept");
    assert_int_equal(cvi_file_write(path, "old", 3, NULL), CVS_OK);
    int before = files_in_folder();
    for (int kind = 0; kind < 2; kind++) {
        int k = 0;
        for (;; k++) {
            cvs_error err = {0};
            cvi_file f;
            test_fail_from(kind == 0 ? k : -1, kind == 1 ? k : -1);
            cvs_status s = cvi_file_write(path, "new!", 4, &err);
            bool failed = test_has_failed();
            cvi_set_hooks(NULL);
            assert_int_equal(files_in_folder(), before);
            assert_int_equal(cvi_file_read(path, NULL, &f, NULL), CVS_OK);
            if (s == CVS_OK) { /* a folder that could not be synced fails nothing */
                assert_int_equal(f.size, 4);
                cvi_file_close(&f);
                assert_int_equal(cvi_file_write(path, "old", 3, NULL), CVS_OK);
                if (!failed) {
                    break;
                }
                continue;
            }
            assert_int_equal(s, kind == 0 ? CVS_E_MEMORY : CVS_E_IO);
            assert_string_equal(err.file, path);
            assert_int_equal(f.size, 3);
            cvi_file_close(&f);
        }
        assert_true(k >= 3);
    }
    cvi_writer w;
    assert_int_equal(cvi_writer_begin(&w, path, NULL), CVS_OK);
    assert_int_equal(cvi_writer_add(&w, "half", 4, NULL), CVS_OK);
    assert_int_equal(files_in_folder(), before + 1);
    cvi_writer_abort(&w);
    cvi_writer_abort(&w);
    assert_int_equal(files_in_folder(), before);
    assert_int_not_equal(cvi_writer_commit(&w, NULL), CVS_OK);
}

static void paths(void **state) {
    (void)state;
    static const char *const joined[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    static const char *const dirs[][2] = {
        {"a/b", "a"}, {"b", "."}, {"/b", "/"}, {"a//b", "a"}, {"a/b/", "a/b"}};
    for (int i = 0; i < CVI_COUNT(joined); i++) {
        char *path = cvi_path_join(joined[i][0], joined[i][1]);
        assert_string_equal(path, joined[i][2]);
        cvi_free(path);
    }
    for (int i = 0; i < CVI_COUNT(dirs); i++) {
        char *dir = cvi_path_dir(dirs[i][0]);
        assert_string_equal(dir, dirs[i][1]);
        cvi_free(dir);
    }
    assert_string_equal(cvi_path_base("a/b.c"), "b.c");
    assert_string_equal(cvi_path_base("b.c"), "b.c");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_and_read),
        cmocka_unit_test(unreadable_files),
        cmocka_unit_test(pipes),
        cmocka_unit_test(only_beneath),
        cmocka_unit_test(outputs_that_cannot_be),
        cmocka_unit_test(failures_leave_the_old_file),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, make, remove_all);
}
