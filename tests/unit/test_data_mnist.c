/* SPDX-License-Identifier: MIT
 * test_data_mnist.c - idx data sets: MNIST and Fashion-MNIST as they are handed out, small files written here (plain, .gz, several
 * members), every cut, damaged bytes, lying headers, failing allocations; limits and the split where a set has none.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>

#include "data/dataset.h"
#include "test_helpers.h"

static cvs_data *open_ok(const char *spec, cvs_data_options options) {
    cvs_error err = {0};
    cvs_data *data = NULL;
    char text[900];
    if (cvs_data_open(spec, &options, &data, &err) != CVS_OK) {
        fail_msg("%s: %s", spec, cvs_error_text(&err, text, sizeof text));
    }
    return data;
}

/* ---- the real ones ------------------------------------------------------------------------------------- */

static void check_mnist(const char *folder, cvs_split split, int64_t count, const int *first_labels,
                        double mean, const int *class_counts) {
    char spec[600];
    snprintf(spec, sizeof spec, "mnist:%s", folder);
    cvs_data *data = open_ok(spec, (cvs_data_options){.split = split});
    cvs_data_info info;
    cvs_data_describe(data, &info);
    assert_int_equal(info.count, count);
    assert_int_equal(info.n_classes, 10);
    assert_int_equal(info.channels, 1);
    assert_int_equal(info.height, 28);
    assert_int_equal(info.width, 28);
    assert_false(info.has_masks);
    assert_string_equal(info.classes[7], "7");
    int counts[10] = {0};
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        cvs_tensor picture;
        int label;
        assert_int_equal(cvs_data_get(data, i, &picture, &label, NULL, NULL), CVS_OK);
        assert_int_equal(picture.bytes, 784);
        assert_in_range(label, 0, 9);
        counts[label]++;
        if (i < 5) {
            assert_int_equal(label, first_labels[i]);
        }
        for (int k = 0; k < 784; k++) {
            sum += ((uint8_t *)picture.data)[k];
        }
        cvs_tensor_free(&picture);
    }
    for (int k = 0; k < 10; k++) {
        assert_int_equal(counts[k], class_counts[k]);
    }
    double got = sum / (double)(count * 784);
    assert_true(got > mean - 0.01 && got < mean + 0.01);
    cvs_data_free(data);
}

static void mnist_is_complete(void **state) {
    (void)state;
    char folder[512];
    if (!test_shared(folder, sizeof folder, "data/mnist")) {
        print_message("[ SKIPPED  ] no shared data\n");
        skip();
    }
    /* The counts of classes and the mean are facts that anybody's reader of MNIST reports. */
    static const int train[] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
    static const int test[] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    check_mnist(folder, CVS_TRAIN, 60000, (int[]){5, 0, 4, 1, 9}, 33.318, train);
    check_mnist(folder, CVS_TEST, 10000, (int[]){7, 2, 1, 0, 4}, 33.791, test);
}

static void mnist_pixels_of_the_first(void **state) {
    (void)state;
    char folder[512], spec[600];
    if (!test_shared(folder, sizeof folder, "data/mnist")) {
        print_message("[ SKIPPED  ] no shared data\n");
        skip();
    }
    snprintf(spec, sizeof spec, "mnist:%s", folder);
    cvs_data *data = open_ok(spec, (cvs_data_options){.limit = 1000});
    cvs_data_info info;
    cvs_data_describe(data, &info);
    assert_int_equal(info.count, 1000);
    cvs_tensor picture;
    int label, counts[10] = {0};
    assert_int_equal(cvs_data_get(data, 0, &picture, &label, NULL, NULL), CVS_OK);
    static const uint8_t row5[] = {3,   18, 18,  18,  126, 136,
                                   175, 26, 166, 255, 247, 127}; /* of the first "5" */
    assert_memory_equal((uint8_t *)picture.data + 5 * 28 + 12, row5, sizeof row5);
    cvs_tensor_free(&picture);
    for (int64_t i = 0; i < info.count; i++) { /* a limit takes as many of each class */
        assert_int_equal(cvs_data_get(data, i, &picture, &label, NULL, NULL), CVS_OK);
        counts[label]++;
        cvs_tensor_free(&picture);
    }
    for (int k = 0; k < 10; k++) {
        assert_int_equal(counts[k], 100);
    }
    cvs_error err = {0};
    assert_int_equal(cvs_data_get(data, 1000, &picture, &label, NULL, &err), CVS_E_ARGUMENT);
    assert_int_equal(cvs_data_get(data, -1, &picture, &label, NULL, &err), CVS_E_ARGUMENT);
    cvs_data_free(data);
}

static void fashion_is_divided(void **state) {
    (void)state;
    char folder[512], spec[600];
    if (!test_shared(folder, sizeof folder, "data/fashion-mnist")) {
        print_message("[ SKIPPED  ] no shared data\n");
        skip();
    }
    snprintf(spec, sizeof spec, "mnist:%s", folder);
    uint64_t prints[2];
    for (int split = 0; split < 2; split++) {
        cvs_data *data = open_ok(spec, (cvs_data_options){.split = (cvs_split)split, .holdout = 0.2});
        cvs_data_info info;
        cvs_data_describe(data, &info);
        prints[split] = info.fingerprint;
        assert_int_equal(info.count, split == CVS_TEST ? 120 : 480);
        assert_string_equal(info.classes[9], "Ankle boot");
        int counts[10] = {0};
        for (int64_t i = 0; i < info.count; i++) {
            cvs_tensor picture;
            int label;
            assert_int_equal(cvs_data_get(data, i, &picture, &label, NULL, NULL), CVS_OK);
            counts[label]++;
            cvs_tensor_free(&picture);
        }
        for (int k = 0; k < 10; k++) {
            assert_int_equal(counts[k], split == CVS_TEST ? 12 : 48);
        }
        cvs_data_free(data);
    }
    assert_true(prints[0] != prints[1]);
}

/* ---- files written here ---------------------------------------------------------------------------------- */

enum { COUNT = 23, SIDE = 5, IMAGES = 16 + COUNT * SIDE * SIDE, LABELS = 8 + COUNT };

typedef struct fake {
    char dir[256], spec[300], images[400], labels[400];
    uint8_t image_bytes[IMAGES], label_bytes[LABELS];
} fake;

static void big_endian(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (24 - 8 * i));
    }
}

static void write_bytes(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static size_t gzipped(const uint8_t *data, size_t n, uint8_t *out, size_t room) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static void fake_make(fake *f) {
    memset(f, 0, sizeof *f);
    test_folder(f->dir);
    snprintf(f->spec, sizeof f->spec, "mnist:%s", f->dir);
    snprintf(f->images, sizeof f->images, "%s/mine-images-idx3-ubyte", f->dir);
    snprintf(f->labels, sizeof f->labels, "%s/mine-labels-idx1-ubyte", f->dir);
    f->image_bytes[2] = f->label_bytes[2] = 8;
    f->image_bytes[3] = 3;
    f->label_bytes[3] = 1;
    big_endian(f->image_bytes + 4, COUNT);
    big_endian(f->image_bytes + 8, SIDE);
    big_endian(f->image_bytes + 12, SIDE);
    big_endian(f->label_bytes + 4, COUNT);
    for (int i = 0; i < COUNT * SIDE * SIDE; i++) {
        f->image_bytes[16 + i] = (uint8_t)cvi_random_bits(1, 2, (uint64_t)i);
    }
    for (int i = 0; i < COUNT; i++) {
        f->label_bytes[8 + i] = (uint8_t)(i * 7 % 3);
    }
    write_bytes(f->images, f->image_bytes, IMAGES);
    write_bytes(f->labels, f->label_bytes, LABELS);
}

static void fake_remove(fake *f) {
    unlink(f->images);
    unlink(f->labels);
    assert_int_equal(rmdir(f->dir), 0);
}

/* Opening fails with this status, a sentence and the file's name. */
static void expect_failure(const char *spec, cvs_status want, const char *file) {
    cvs_error err = {0};
    cvs_data *data = NULL;
    cvs_status s = cvs_data_open(spec, NULL, &data, &err);
    assert_null(data);
    if (s == CVS_OK || (want != CVS_OK && s != want) || err.message[0] == '\0') {
        fail_msg("%s gave status %d (%s), %d expected", spec, (int)s, err.message, (int)want);
    }
    if (file != NULL && strcmp(file, err.file) != 0) {
        fail_msg("the error is placed at \"%s\", not at %s", err.file, file);
    }
}

static void every_cut_is_an_error(void **state) {
    (void)state;
    fake f;
    fake_make(&f);
    cvs_data_free(open_ok(f.spec, (cvs_data_options){0}));
    for (size_t n = 0; n < IMAGES; n++) {
        write_bytes(f.images, f.image_bytes, n);
        expect_failure(f.spec, CVS_E_FORMAT, f.images);
    }
    uint8_t longer[IMAGES + 1] = {0};
    memcpy(longer, f.image_bytes, IMAGES);
    write_bytes(f.images, longer, sizeof longer);
    expect_failure(f.spec, CVS_E_FORMAT, f.images);
    write_bytes(f.images, f.image_bytes, IMAGES);
    for (size_t n = 0; n < LABELS; n++) {
        write_bytes(f.labels, f.label_bytes, n);
        expect_failure(f.spec, CVS_E_FORMAT, f.labels);
    }
    fake_remove(&f);
}

static void every_cut_of_gz_is_an_error(void **state) {
    (void)state;
    fake f;
    fake_make(&f);
    uint8_t packed[2 * IMAGES];
    size_t n = gzipped(f.image_bytes, IMAGES, packed, sizeof packed);
    for (size_t k = 2; k < n; k++) { /* the first two bytes say that it is gzip */
        write_bytes(f.images, packed, k);
        expect_failure(f.spec, CVS_E_FORMAT, f.images);
    }
    for (size_t k = 0; k < n; k++) { /* a flipped bit anywhere: an error or the same pictures, never others */
        uint8_t damaged[2 * IMAGES];
        memcpy(damaged, packed, n);
        damaged[k] ^= (uint8_t)(1 << (k % 8));
        write_bytes(f.images, damaged, n);
        cvi_idx idx;
        cvs_error err = {0};
        if (cvi_idx_read(f.images, 3, NULL, &idx, &err) == CVS_OK) {
            assert_in_range(k, 3, 9); /* flags, time, system: not covered by the checksum */
            assert_memory_equal(idx.data, f.image_bytes + 16, IMAGES - 16);
            cvi_idx_free(&idx);
        } else {
            assert_true(err.message[0] != '\0');
        }
    }
    write_bytes(f.images, packed, n);
    cvs_data_free(open_ok(f.spec, (cvs_data_options){0}));
    fake_remove(&f);
}

static void gz_members_are_joined(void **state) {
    (void)state;
    fake f;
    fake_make(&f);
    uint8_t packed[3 * IMAGES];
    size_t n = gzipped(f.image_bytes, 100, packed, sizeof packed);
    n += gzipped(f.image_bytes + 100, IMAGES - 100, packed + n, sizeof packed - n);
    write_bytes(f.images, packed, n);
    cvi_idx idx;
    assert_int_equal(cvi_idx_read(f.images, 3, NULL, &idx, NULL), CVS_OK);
    assert_memory_equal(idx.data, f.image_bytes + 16, IMAGES - 16);
    cvi_idx_free(&idx);
    memset(packed + n, 0x55, 20); /* and what is no member is an error */
    write_bytes(f.images, packed, n + 20);
    expect_failure(f.spec, CVS_E_FORMAT, f.images);
    fake_remove(&f);
}

static void lying_headers(void **state) {
    (void)state;
    fake f;
    fake_make(&f);
    static const struct {
        int at;
        uint8_t value;
        cvs_status want;
    } lies[] = {{0, 1, CVS_E_FORMAT},   {2, 9, CVS_E_UNSUPPORTED}, {3, 2, CVS_E_FORMAT},
                {3, 255, CVS_E_FORMAT}, {4, 0x7F, CVS_E_LIMIT},    {7, COUNT + 1, CVS_E_FORMAT},
                {11, 0, CVS_E_FORMAT}};
    for (int gz = 0; gz < 2; gz++) {
        for (int i = 0; i < CVI_COUNT(lies); i++) {
            uint8_t bytes[IMAGES], packed[2 * IMAGES];
            memcpy(bytes, f.image_bytes, IMAGES);
            bytes[lies[i].at] = lies[i].value;
            size_t n = gz ? gzipped(bytes, IMAGES, packed, sizeof packed) : IMAGES;
            write_bytes(f.images, gz ? packed : bytes, n);
            expect_failure(f.spec, lies[i].want, f.images);
        }
        uint8_t bytes[IMAGES], packed[2 * IMAGES]; /* all sizes at their largest: their product overflows */
        memcpy(bytes, f.image_bytes, IMAGES);
        memset(bytes + 4, 0xFF, 12);
        size_t n = gz ? gzipped(bytes, IMAGES, packed, sizeof packed) : IMAGES;
        write_bytes(f.images, gz ? packed : bytes, n);
        expect_failure(f.spec, CVS_E_FORMAT, f.images);
        memcpy(bytes, f.image_bytes, IMAGES); /* 64 MB announced by some hundred compressed bytes */
        bytes[5] = 0x20;
        n = gz ? gzipped(bytes, IMAGES, packed, sizeof packed) : IMAGES;
        write_bytes(f.images, gz ? packed : bytes, n);
        expect_failure(f.spec, CVS_E_FORMAT, f.images);
    }
    fake_remove(&f);
}

static void missing_parts(void **state) {
    (void)state;
    fake f;
    fake_make(&f);
    unlink(f.labels);
    expect_failure(f.spec, CVS_E_NOT_FOUND, f.dir);
    write_bytes(f.labels, f.label_bytes, LABELS - 1);
    expect_failure(f.spec, CVS_E_FORMAT, f.labels);
    uint8_t fewer[LABELS];
    memcpy(fewer, f.label_bytes, LABELS);
    big_endian(fewer + 4, COUNT - 1);
    write_bytes(f.labels, fewer, LABELS - 1);
    expect_failure(f.spec, CVS_E_FORMAT, f.labels);
    write_bytes(f.labels, f.label_bytes, LABELS);
    char other[400];
    snprintf(other, sizeof other, "%s/yours-images-idx3-ubyte", f.dir);
    write_bytes(other, f.image_bytes, IMAGES);
    expect_failure(f.spec, CVS_E_ARGUMENT, f.dir);
    unlink(other);
    snprintf(other, sizeof other, "%s/classes.txt", f.dir);
    write_bytes(other, "cat\r\ndog\n", 9);
    expect_failure(f.spec, CVS_E_FORMAT, other);
    write_bytes(other, "cat\r\n\ndog\ncow", 13);
    cvs_data *data = open_ok(f.spec, (cvs_data_options){0});
    cvs_data_info info;
    cvs_data_describe(data, &info);
    assert_int_equal(info.n_classes, 3);
    assert_string_equal(info.classes[0], "cat");
    assert_string_equal(info.classes[2], "cow");
    cvs_data_free(data);
    unlink(other);
    unlink(f.images);
    expect_failure(f.spec, CVS_E_NOT_FOUND, f.dir);
    rmdir(f.dir);
    unlink(f.labels);
    rmdir(f.dir);
    expect_failure(f.spec, CVS_E_IO, f.dir);
    expect_failure("mnist:", CVS_E_ARGUMENT, NULL);
    expect_failure("mnist", CVS_E_ARGUMENT, NULL);
    expect_failure("", CVS_E_ARGUMENT, NULL);
    expect_failure("mnis:x", CVS_E_ARGUMENT, NULL);
    expect_failure("http://x", CVS_E_ARGUMENT, NULL);
}

static void odd_options(void **state) {
    (void)state;
    cvs_data *data;
    cvs_data_options bad[] = {
        {.limit = -1}, {.holdout = 1}, {.holdout = -0.1}, {.holdout = NAN}, {.split = (cvs_split)2}};
    for (int i = 0; i < CVI_COUNT(bad); i++) {
        cvs_error err = {.lang = CVS_ZH};
        assert_int_equal(cvs_data_open("generated:things", &bad[i], &data, &err), CVS_E_ARGUMENT);
        assert_true((err.message[0] & 0x80) != 0); /* the sentence is Chinese */
        assert_null(data);
    }
    cvs_data_free(NULL);
}

/* The two splits together are the whole, for any seed; nothing is in both. */
static void split_is_exact(void **state) {
    (void)state;
    enum { N = 1000 };
    static int label[N];
    for (int i = 0; i < N; i++) {
        label[i] = i % 9 == 0 ? 2 : i % 2; /* uneven classes */
    }
    int64_t first_of_seed[3] = {0};
    for (uint64_t seed = 0; seed < 3; seed++) {
        int seen[N] = {0};
        int64_t total = 0;
        for (int split = 0; split < 2; split++) {
            cvs_data_options o = {.split = (cvs_split)split, .seed = seed, .holdout = 0.25};
            int64_t *index, n;
            assert_int_equal(cvi_pick(label, N, 3, false, &o, &index, &n, NULL), CVS_OK);
            total += n;
            for (int64_t i = 0; i < n; i++) {
                assert_true(i == 0 || index[i] > index[i - 1]);
                seen[index[i]]++;
            }
            if (split == CVS_TEST) {
                assert_in_range(n, 249, 251);
                first_of_seed[seed] = index[0] + index[1] * N;
            }
            cvi_free(index);
        }
        assert_int_equal(total, N);
        for (int i = 0; i < N; i++) {
            assert_int_equal(seen[i], 1);
        }
    }
    assert_true(first_of_seed[0] != first_of_seed[1] || first_of_seed[1] != first_of_seed[2]);
    int64_t *index, n, few = 0; /* a limit over uneven classes: the small one gives what it has not */
    for (int i = 0; i < N; i++) {
        label[i] = i < 30 ? 0 : 1 + i % 2;
    }
    assert_int_equal(cvi_pick(label, N, 3, true, &(cvs_data_options){.limit = 301}, &index, &n, NULL),
                     CVS_OK);
    assert_int_equal(n, 301);
    for (int64_t i = 0; i < n; i++) {
        few += label[index[i]] == 0;
    }
    assert_int_equal(few, 30);
    cvi_free(index);
}

/* Every allocation and every read fails once: an error, no leak (as ASan sees), no crash. */
/* A share of the training pictures to test with, of sets that have test pictures of their own: no picture in both, none lost. */
static void training_pictures_are_held_out(void **state) {
    char folder[512], spec[600];
    (void)state;
    if (!test_shared(folder, sizeof folder, "data/mnist")) {
        print_message("[ SKIPPED  ] no shared data\n");
        skip();
    }
    snprintf(spec, sizeof spec, "mnist:%s", folder);
    cvs_data_info info[3];
    int counts[10] = {0};
    for (int k = 0; k < 3; k++) { /* what is left, what is held out, all */
        cvs_data *data = open_ok(spec, (cvs_data_options){.split = k == 1 ? CVS_TEST : CVS_TRAIN,
                                                          .holdout = k < 2 ? 0.05 : 0,
                                                          .split_training = k < 2});
        cvs_data_describe(data, &info[k]);
        for (int64_t i = 0; k == 1 && i < info[k].count; i++) {
            cvs_tensor picture = {0};
            int label = -1;
            assert_int_equal(cvs_data_get(data, i, &picture, &label, NULL, NULL), CVS_OK);
            counts[label]++;
            cvs_tensor_free(&picture);
        }
        cvs_data_free(data);
    }
    assert_int_equal(info[2].count, 60000);
    assert_int_equal(info[0].count + info[1].count, 60000);
    assert_in_range(counts[0], 296, 297); /* a twentieth of 5,923 */
    assert_in_range(counts[5], 271, 272); /* of 5,421 */
    cvs_data *own = open_ok(spec, (cvs_data_options){.split = CVS_TEST, .holdout = 0.05});
    cvs_data_describe(own, &info[1]);
    assert_int_equal(info[1].count, 10000); /* not asked for: the test files */
    cvs_data_free(own);
}

static void failing_memory(void **state) {
    (void)state;
    fake f;
    fake_make(&f);
    uint8_t packed[2 * IMAGES];
    write_bytes(f.images, packed, gzipped(f.image_bytes, IMAGES, packed, sizeof packed));
    for (int io = 0; io < 2; io++) {
        bool failed = true;
        for (int k = 0; failed; k++) {
            assert_true(k < 1000);
            cvs_error err = {0};
            cvs_data *data = NULL;
            test_fail_from(io ? -1 : k, io ? k : -1);
            cvs_status s = cvs_data_open(f.spec, NULL, &data, &err);
            if (s == CVS_OK) {
                cvs_tensor picture;
                int label;
                s = cvs_data_get(data, 0, &picture, &label, NULL, &err);
                cvs_tensor_free(&picture);
            }
            failed = test_has_failed();
            cvi_set_hooks(NULL);
            cvs_data_free(data);
            if (failed) {
                assert_true(s == (io ? CVS_E_IO : CVS_E_MEMORY));
            } else {
                assert_int_equal(s, CVS_OK);
            }
        }
    }
    fake_remove(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mnist_is_complete),
        cmocka_unit_test(mnist_pixels_of_the_first),
        cmocka_unit_test(fashion_is_divided),
        cmocka_unit_test(every_cut_is_an_error),
        cmocka_unit_test(every_cut_of_gz_is_an_error),
        cmocka_unit_test(gz_members_are_joined),
        cmocka_unit_test(lying_headers),
        cmocka_unit_test(missing_parts),
        cmocka_unit_test(odd_options),
        cmocka_unit_test(split_is_exact),
        cmocka_unit_test(training_pictures_are_held_out),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
