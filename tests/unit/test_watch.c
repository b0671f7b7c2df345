/* SPDX-License-Identifier: MIT
 * test_watch.c - event files: the bytes that the real TensorBoard accepts, what is written read back, files that grow, restart, are cut off
 * or damaged at any byte, and every allocation failing once.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>

#include "convscope/watch.h"
#include "test_helpers.h"
#include "watch/events.h"
#include "watch/record.h"

static const char *folder_of_test(void) {
    static char folder[256];
    test_folder(folder);
    return folder;
}

/* The only event file of a folder. */
static void only_file(const char *folder, char *path, size_t size) {
    DIR *dir = opendir(folder);
    path[0] = 0;
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (strstr(e->d_name, "tfevents")) {
            assert_int_equal(path[0], 0);
            snprintf(path, size, "%s/%s", folder, e->d_name);
        }
    }
    assert_true(dir && path[0]);
    closedir(dir);
}

static void checksums(void **state) {
    (void)state;
    static const uint8_t zeros[32];
    static const uint8_t said[] = "\x1a\x11"
                                  "CRC test, one two";
    assert_int_equal(cvi_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(cvi_crc32c(zeros, 32), 0x8a9136aa);
    assert_int_equal(cvi_masked_crc32c(said, 19), 0x5794d08a);
}

/* Whole records that TensorBoard's own reader was shown. */
static void golden_bytes(void **state) {
    (void)state;
    static const uint8_t head[] = {0x18, 0,    0,    0,   0,   0,   0,    0,    0xa3, 0x7f,
                                   0x4b, 0x22, 0x09, 0,   0,   0,   0x40, 0xfc, 0x54, 0xd9,
                                   0x41, 0x1a, 0x0d, 'b', 'r', 'a', 'i',  'n',  '.',  'E',
                                   'v',  'e',  'n',  't', ':', '2', 0xec, 0xed, 0x8f, 0x9d};
    static const uint8_t scalar[] = {0x1a, 0,    0,    0,    0,    0,    0,    0,    0x12, 0x9b, 0xd8,
                                     0x2d, 0x09, 0,    0,    0x80, 0x40, 0xfc, 0x54, 0xd9, 0x41, 0x10,
                                     0x01, 0x2a, 0x0d, 0x0a, 0x0b, 0x0a, 0x04, 'l',  'o',  's',  's',
                                     0x15, 0,    0,    0,    0x3f, 0x78, 0x84, 0xa2, 0x1a};
    const char *folder = folder_of_test();
    char path[600];
    cvi_events *e = NULL;
    cvi_file file = {0};
    assert_int_equal(cvi_events_open(folder, 1700000000.0, &e, NULL), CVS_OK);
    assert_int_equal(cvi_events_close(e, NULL), CVS_OK);
    only_file(folder, path, sizeof path);
    assert_int_equal(cvi_file_read(path, NULL, &file, NULL), CVS_OK);
    assert_int_equal(file.size, sizeof head);
    assert_memory_equal(file.data, head, sizeof head);
    cvi_file_close(&file);
    folder = folder_of_test();
    assert_int_equal(cvi_events_open(folder, 1700000002.0, &e, NULL), CVS_OK);
    cvi_events_scalar(e, "loss", 1, 0.5);
    assert_int_equal(cvi_events_close(e, NULL), CVS_OK);
    only_file(folder, path, sizeof path);
    assert_int_equal(cvi_file_read(path, NULL, &file, NULL), CVS_OK);
    assert_int_equal(file.size, sizeof head + sizeof scalar);
    assert_memory_equal(file.data + sizeof head, scalar, sizeof scalar);
    cvi_file_close(&file);
}

/* One run with everything in it. */
static void write_all(cvi_events *e, int from, int to) {
    double left[3] = {-1, 0, 1}, right[3] = {0, 1, 2}, count[3] = {5, 0, 7};
    cvs_tensor rgb = {0};
    assert_int_equal(cvs_tensor_new(&rgb, CVS_U8, 3, (int64_t[]){4, 5, 3}, NULL), CVS_OK);
    memset(rgb.data, 200, rgb.bytes);
    cvi_hparam list[] = {{"lr", NULL, 0.25}, {"net", "lenet \xff", 0}};
    cvi_events_hparams(e, list, 2);
    for (int step = from; step < to; step++) {
        cvi_events_scalar(e, "loss", step, step == 3 ? (double)NAN : 1.0 / (step + 1));
        cvi_events_histogram(e, "w/histogram", step, &(cvi_bins){3, left, right, count});
        cvi_events_image(e, "picture", step, &rgb);
    }
    cvi_events_text(e, "words", 2, "二 **two**");
    cvs_tensor_free(&rgb);
}

static void round_trip(void **state) {
    (void)state;
    const char *folder = folder_of_test();
    char below[300];
    cvi_events *e = NULL;
    cvs_log *log = NULL;
    cvs_error err = {0};
    cvs_series s;
    snprintf(below, sizeof below, "%s/a/b", folder);
    assert_int_equal(cvi_events_open(below, -1, &e, &err), CVS_OK);
    write_all(e, 0, 5);
    assert_int_equal(cvi_events_flush(e, &err), CVS_OK);
    assert_int_equal(cvs_log_open(folder, NULL, &log, &err), CVS_OK);
    assert_int_equal(cvs_log_n_runs(log), 1);
    assert_string_equal(cvs_log_run(log, 0), "a/b");
    int loss = cvs_log_find(log, "a/b", "loss"), w = cvs_log_find(log, "a/b", "w/histogram"),
        picture = cvs_log_find(log, "a/b", "picture"), words = cvs_log_find(log, "a/b", "words");
    cvs_log_series(log, loss, &s);
    assert_true(s.kind == CVS_SCALARS && s.n == 5 && s.step[4] == 4 && s.wall[0] > 1.6e9 &&
                isnan(s.value[3]));
    assert_true(fabs(s.value[2] - 1.0 / 3) < 1e-7);
    cvs_log_bins bins;
    assert_int_equal(cvs_log_histogram(log, w, 4, &bins, &err), CVS_OK);
    assert_true(bins.n == 3 && bins.left[0] == -1 && bins.right[2] == 2 && bins.count[2] == 7);
    cvs_log_bins_free(&bins);
    uint8_t *png;
    size_t size;
    cvs_tensor back = {0};
    assert_int_equal(cvs_log_picture(log, picture, 0, &png, &size, &err), CVS_OK);
    assert_int_equal(cvs_image_decode(png, size, "x.png", NULL, &back, &err), CVS_OK);
    assert_true(back.dim[0] == 4 && back.dim[1] == 5 && ((uint8_t *)back.data)[7] == 200);
    cvs_free(png);
    cvs_tensor_free(&back);
    char *text;
    assert_int_equal(cvs_log_text(log, words, 0, &text, &err), CVS_OK);
    assert_string_equal(text, "二 **two**");
    cvs_free(text);
    assert_int_not_equal(cvs_log_text(log, words, 1, &text, &err), CVS_OK);
    assert_int_not_equal(cvs_log_histogram(log, loss, 0, &bins, &err), CVS_OK);
    int run;
    const char *name, *value;
    assert_true(cvs_log_hparam(log, 1, &run, &name, &value) && !cvs_log_hparam(log, 2, &run, &name, &value));
    assert_string_equal(value, "lenet ?");
    /* it grows, then another process goes on from step 4 */
    bool changed = true;
    assert_int_equal(cvs_log_refresh(log, &changed, &err), CVS_OK);
    assert_false(changed);
    cvi_events_scalar(e, "loss", 5, 9);
    assert_int_equal(cvi_events_close(e, &err), CVS_OK);
    assert_int_equal(cvs_log_refresh(log, &changed, &err), CVS_OK);
    cvs_log_series(log, loss, &s);
    assert_true(changed && s.n == 6 && s.value[5] == 9);
    assert_int_equal(cvi_events_open(below, -1, &e, &err), CVS_OK);
    cvi_events_restart(e, 4);
    cvi_events_scalar(e, "loss", 4, 7);
    assert_int_equal(cvi_events_close(e, &err), CVS_OK);
    assert_int_equal(cvs_log_refresh(log, &changed, &err), CVS_OK);
    cvs_log_series(log, loss, &s);
    assert_true(s.n == 5 && s.value[4] == 7 && s.step[4] == 4);
    cvs_log_series(log, w, &s);
    assert_int_equal(s.n, 4);
    assert_null(cvs_log_note(log, 0));
    cvs_log_free(log);
    assert_int_not_equal(cvs_log_open("/nowhere/at/all", NULL, &log, &err), CVS_OK);
    assert_null(log);
}

/* Every way to look at a log that may be damaged. */
static void look(const cvs_log *log) {
    for (int i = 0; i < cvs_log_count(log); i++) {
        cvs_series s;
        cvs_log_series(log, i, &s);
        for (int64_t k = 0; k < s.n; k++) {
            cvs_log_bins bins = {0};
            uint8_t *bytes = NULL;
            char *text = NULL;
            size_t size;
            assert_true(s.kind == CVS_SCALARS ? s.value != NULL : s.value == NULL);
            if (cvs_log_histogram(log, i, k, &bins, NULL) == CVS_OK) {
                cvs_log_bins_free(&bins);
            }
            if (cvs_log_picture(log, i, k, &bytes, &size, NULL) == CVS_OK) {
                cvs_free(bytes);
            }
            if (cvs_log_text(log, i, k, &text, NULL) == CVS_OK) {
                cvs_free(text);
            }
        }
    }
}

/* The bytes of a log of two steps of everything. */
static cvi_file log_of_all(const char *folder) {
    char path[600];
    cvi_events *e = NULL;
    cvi_file file = {0};
    assert_int_equal(cvi_events_open(folder, 1e9, &e, NULL), CVS_OK);
    write_all(e, 0, 2);
    assert_int_equal(cvi_events_close(e, NULL), CVS_OK);
    only_file(folder, path, sizeof path);
    assert_int_equal(cvi_file_read(path, NULL, &file, NULL), CVS_OK);
    return file;
}

static void damaged(void **state) {
    (void)state;
    char copy[300];
    cvi_file file = log_of_all(folder_of_test());
    snprintf(copy, sizeof copy, "%s/x/", folder_of_test());
    assert_int_equal(cvi_make_folder(copy, NULL), CVS_OK);
    strcat(copy, "tfevents");
    uint8_t *bytes = cvi_malloc(file.size);
    assert_non_null(bytes);
    for (size_t at = 0; at < file.size; at += 3) {
        cvs_log *log = NULL;
        cvs_error err = {0};
        FILE *f = fopen(copy, "wb"); /* cut off: no damage, the rest may come */
        assert_non_null(f);
        fwrite(file.data, 1, at, f);
        fclose(f);
        assert_int_equal(cvs_log_open(copy, NULL, &log, &err), CVS_OK);
        assert_null(cvs_log_note(log, 0));
        look(log);
        memcpy(bytes, file.data, file.size); /* one byte wrong: what comes before counts, and it is said */
        bytes[at] ^= 0x41;
        f = fopen(copy, "wb");
        assert_non_null(f);
        fwrite(bytes, 1, file.size, f);
        fclose(f);
        cvs_log_free(log);
        assert_int_equal(cvs_log_open(copy, NULL, &log, &err), CVS_OK);
        assert_non_null(cvs_log_note(log, 0));
        look(log);
        cvs_log_free(log);
    }
    cvi_free(bytes);
    cvi_file_close(&file);
}

/* Records whose checksums are right and whose messages are not. */
static void hostile(void **state) {
    (void)state;
    const char *folder = folder_of_test();
    char copy[400];
    cvi_file file = log_of_all(folder);
    snprintf(copy, sizeof copy, "%s.tfevents", folder);
    for (uint64_t round = 0; round < 1500; round++) {
        cvi_buf out = {0};
        for (size_t at = 0; at + CVI_RECORD_HEAD < file.size;) {
            uint64_t n;
            uint8_t record[4096];
            assert_true(cvi_record_length(file.data + at, &n) && n < sizeof record);
            memcpy(record, file.data + at + CVI_RECORD_HEAD, (size_t)n);
            for (int k = 0; k < 2; k++) {
                uint64_t bits = cvi_random_bits(round, at, (uint64_t)k);
                record[bits % n] = (uint8_t)(bits >> 32);
            }
            cvi_record_add(&out, record, (size_t)n);
            at += CVI_RECORD_HEAD + (size_t)n + CVI_RECORD_TAIL;
        }
        cvs_log *log = NULL;
        FILE *f = fopen(copy, "wb");
        assert_true(f && !out.failed);
        fwrite(out.data, 1, out.size, f);
        fclose(f);
        cvi_buf_free(&out);
        assert_int_equal(cvs_log_open(copy, NULL, &log, NULL), CVS_OK);
        look(log);
        cvs_log_free(log);
    }
    cvi_file_close(&file);
    unlink(copy);
}

static void no_memory(void **state) {
    (void)state;
    const char *folder = folder_of_test();
    cvi_events *e = NULL;
    assert_int_equal(cvi_events_open(folder, 1e9, &e, NULL), CVS_OK);
    write_all(e, 0, 3);
    assert_int_equal(cvi_events_close(e, NULL), CVS_OK);
    for (int k = 0; k < 200; k++) {
        cvs_log *log = NULL;
        test_fail_from(k, -1);
        cvs_status s = cvs_log_open(folder, NULL, &log, NULL);
        bool failed = test_has_failed();
        cvi_set_hooks(NULL);
        assert_true(failed || s == CVS_OK);
        cvs_log_free(log);
        test_fail_from(k, -1);
        cvi_events *w = NULL;
        char copy[300];
        snprintf(copy, sizeof copy, "%s/w%d", folder, k);
        if (cvi_events_open(copy, 1e9, &w, NULL) == CVS_OK) {
            cvi_events_scalar(w, "a", 1, 2);
            cvi_events_text(w, "b", 1, "c");
            s = cvi_events_close(w, NULL);
            assert_true(test_has_failed() || s == CVS_OK);
        }
        cvi_set_hooks(NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums), cmocka_unit_test(golden_bytes), cmocka_unit_test(round_trip),
        cmocka_unit_test(damaged),   cmocka_unit_test(hostile),      cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
