/* SPDX-License-Identifier: MIT
 * test_zip.c - the zip reader: archives that must open, archives that two readers would read differently and that must not, bombs,
 * truncation, flipped bits, failing allocations; and a Keras 3 archive made of files that Keras wrote.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convscope/run.h"
#include "formats/zip.h"
#include "ops/op.h"

#include "../fuzz/fuzz_zip.c"
#include "test_helpers.h"
#include "zip_builder.h"

static const char text[] = "the quick brown fox jumps over the lazy dog, the quick brown fox";

static cvs_status open_builder(const zip_builder *b, cvi_zip **z, cvs_error *err) {
    return cvi_zip_open(b->out.data, b->out.size, NULL, z, err);
}

static void reads(void **state) {
    (void)state;
    for (int comment = 0; comment < 2; comment++) {
        zip_builder b = {0};
        zip_add(&b, "a/one", text, sizeof text, NULL);
        zip_add(&b, "a/two", text, sizeof text, &(zip_lie){.deflate = true});
        zip_add(&b, "a/three", text, sizeof text, &(zip_lie){.descriptor = true});
        zip_add(&b, "folder/", "", 0, NULL);
        zip_add(&b, "empty", "", 0, NULL);
        zip_finish(&b, b.n, comment ? "written for a test" : "");
        cvi_zip *z = NULL;
        cvs_error err = {0};
        cvi_arena *arena = cvi_arena_new(0);
        assert_int_equal(open_builder(&b, &z, &err), CVS_OK);
        assert_int_equal(cvi_zip_count(z), 5);
        assert_null(cvi_zip_find(z, "one"));
        for (int i = 0; i < 3; i++) {
            const uint8_t *bytes = NULL;
            const cvi_zip_entry *e = cvi_zip_at(z, i);
            assert_ptr_equal(cvi_zip_find(z, e->name), e);
            assert_int_equal(e->size, sizeof text);
            assert_int_equal(cvi_zip_read(z, e, arena, &bytes, NULL, &err), CVS_OK);
            assert_memory_equal(bytes, text, sizeof text);
            assert_true(e->deflated == (i == 1));
        }
        assert_true(cvi_zip_find(z, "folder")->folder);
        cvi_arena_free(arena);
        cvi_zip_close(z);
        zip_free(&b);
    }
}

/* Every one is refused when it is opened, with its own sentence. */
static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *what, *name, *second;
        zip_lie lie;
        int more; /* entries that the end claims beyond the true number */
        const char *sentence;
    } cases[] = {
        {"traversal", "../../x", NULL, {0}, 0, "leads out"},
        {"inner traversal", "a/../../x", NULL, {0}, 0, "leads out"},
        {"absolute", "/outside", NULL, {0}, 0, "leads out"},
        {"drive", "c:x", NULL, {0}, 0, "leads out"},
        {"backslash", "a\\..\\x", NULL, {0}, 0, "leads out"},
        {"control character", "a\nb", NULL, {0}, 0, "leads out"},
        {"not UTF-8", "a\xff", NULL, {0}, 0, "leads out"},
        {"empty name", "", NULL, {0}, 0, "leads out"},
        {"empty part", "a//b", NULL, {0}, 0, "leads out"},
        {"duplicate", "a", "a", {0}, 0, "same name"},
        {"duplicate as folder", "a", "a/", {0}, 0, "two sizes"},
        {"other local name", "a", NULL, {.local_name = "b"}, 0, "do not agree"},
        {"longer local name", "a", NULL, {.local_name = "ab"}, 0, "do not agree"},
        {"other local size", "a", NULL, {.local_size_off = 1}, 0, "do not agree"},
        {"two sizes", "a", NULL, {.size_off = 5}, 0, "do not fit"},
        {"encrypted", "a", NULL, {.flags = 1}, 0, "encrypted"},
        {"strong encryption", "a", NULL, {.flags = 0x40}, 0, "encrypted"},
        {"other method", "a", NULL, {.method = 14}, 0, "method 14"},
        {"symbolic link", "a", NULL, {.mode = 0120777}, 0, "symbolic link"},
        {"header elsewhere", "a", NULL, {.header_off = 7}, 0, "cut off"},
        {"hidden entry", "a", "b", {.hidden = true}, 0, "belong to no entry"},
        {"more entries claimed", "a", NULL, {0}, 1, "does not lie"},
        {"many entries claimed", "a", NULL, {0}, 60000, "does not lie"},
        {"fewer entries claimed", "a", "b", {0}, -1, "cut off"},
    };
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        for (int first = 0; first < 2; first++) { /* the lie comes first or second */
            zip_builder b = {0};
            if (!first) {
                zip_add(&b, "before", text, sizeof text, NULL);
            }
            zip_add(&b, cases[i].name, text, sizeof text, &cases[i].lie);
            if (cases[i].second) {
                zip_add(&b, cases[i].second, text, sizeof text, NULL);
            }
            zip_finish(&b, b.n + cases[i].more, "");
            cvi_zip *z = NULL;
            cvs_error err = {0};
            if (open_builder(&b, &z, &err) == CVS_OK || !strstr(err.message, cases[i].sentence)) {
                fail_msg("%s (%d): %s", cases[i].what, first, err.message);
            }
            zip_free(&b);
        }
    }
}

/* Bytes before, behind and between; a comment that hides a second archive; overlapping entries. */
static void one_reading_only(void **state) {
    (void)state;
    cvi_zip *z = NULL;
    cvs_error err = {0};
    zip_builder b = {0}, c = {0};
    zip_add(&b, "a", text, sizeof text, NULL);
    zip_finish(&b, 1, "");
    cvi_buf_add(&c.out, "MZ", 2);
    cvi_buf_add(&c.out, b.out.data, b.out.size);
    assert_int_equal(open_builder(&c, &z, &err), CVS_E_FORMAT); /* a prefix */
    cvi_buf_add(&b.out, "x", 1);
    assert_int_equal(open_builder(&b, &z, &err), CVS_E_FORMAT); /* a byte behind the end */
    zip_free(&b);
    zip_free(&c);
    zip_add(&b, "a", text, sizeof text, NULL);
    zip_finish(&b, 1, "");
    zip_builder two = {0};
    zip_add(&two, "a", text, sizeof text, NULL);
    zip_finish(&two, 1, "");
    b.out.data[b.out.size - 2] = (char)two.out.size; /* the second archive as the first one's comment */
    b.out.data[b.out.size - 1] = (char)(two.out.size >> 8);
    cvi_buf_add(&b.out, two.out.data, two.out.size);
    assert_int_equal(open_builder(&b, &z, &err), CVS_E_FORMAT);
    assert_non_null(strstr(err.message, "two ends"));
    zip_free(&b);
    zip_free(&two);
    uint8_t inner[200] = {0}; /* an entry whose bytes are another entry: both in the directory */
    zip_builder nested = {0};
    zip_add(&nested, "i", "inner", 5, NULL);
    memcpy(inner, nested.out.data, nested.out.size);
    zip_add(&b, "o", inner, nested.out.size, NULL);
    size_t at = b.directory.size;
    cvi_buf_add(&b.directory, nested.directory.data, nested.directory.size);
    b.directory.data[at + 42] = 31; /* behind the outer header */
    zip_finish(&b, 2, "");
    assert_int_equal(open_builder(&b, &z, &err), CVS_E_FORMAT);
    assert_non_null(strstr(err.message, "overlap"));
    zip_free(&b);
    zip_free(&nested);
}

static void bombs(void **state) {
    (void)state;
    size_t n = 8 << 20;
    uint8_t *zeros = cvi_calloc(n, 1);
    zip_builder b = {0};
    zip_add(&b, "zeros", zeros, n, &(zip_lie){.deflate = true});
    zip_finish(&b, 1, "");
    cvi_zip *z = NULL;
    cvs_error err = {0};
    cvi_arena *arena = cvi_arena_new(0);
    const uint8_t *bytes = NULL;
    assert_int_equal(open_builder(&b, &z, &err), CVS_OK); /* an honest 1000 to 1 */
    assert_int_equal(cvi_zip_read(z, cvi_zip_at(z, 0), arena, &bytes, NULL, &err), CVS_OK);
    assert_memory_equal(bytes, zeros, n);
    cvi_zip_close(z);
    cvs_limits tight = {.max_memory_bytes = 1 << 20};
    assert_int_equal(cvi_zip_open(b.out.data, b.out.size, &tight, &z, &err), CVS_E_LIMIT);
    cvs_limits once = {.max_memory_bytes = 9 << 20}; /* the limit counts what was read, twice is too much */
    assert_int_equal(cvi_zip_open(b.out.data, b.out.size, &once, &z, &err), CVS_OK);
    assert_int_equal(cvi_zip_read(z, cvi_zip_at(z, 0), arena, &bytes, NULL, &err), CVS_OK);
    assert_int_equal(cvi_zip_read(z, cvi_zip_at(z, 0), arena, &bytes, NULL, &err), CVS_E_MEMORY);
    cvi_zip_close(z);
    zip_free(&b);
    zip_add(&b, "liar", text, sizeof text, &(zip_lie){.deflate = true, .size_off = 1 << 30});
    zip_finish(&b, 1, "");
    assert_int_equal(open_builder(&b, &z, &err), CVS_E_LIMIT);
    zip_free(&b);
    zip_add(&b, "short", text, sizeof text, &(zip_lie){.deflate = true, .size_off = (uint32_t)-3});
    zip_add(&b, "sum", text, sizeof text, &(zip_lie){.crc_off = 1});
    zip_finish(&b, 2, "");
    bool checked = true;
    assert_int_equal(open_builder(&b, &z, &err), CVS_OK);
    assert_int_equal(cvi_zip_read(z, cvi_zip_at(z, 0), arena, &bytes, NULL, &err), CVS_E_FORMAT);
    assert_int_equal(cvi_zip_read(z, cvi_zip_at(z, 1), arena, &bytes, NULL, &err), CVS_E_FORMAT);
    assert_non_null(strstr(err.message, "checksum"));
    assert_int_equal(cvi_zip_read(z, cvi_zip_at(z, 1), arena, &bytes, &checked, &err), CVS_OK);
    assert_false(checked);
    cvi_zip_close(z);
    zip_free(&b);
    cvi_arena_free(arena);
    cvi_free(zeros);
}

static void damaged(void **state) {
    (void)state;
    zip_builder b = {0};
    zip_add(&b, "a/one", text, sizeof text, NULL);
    zip_add(&b, "a/two", text, sizeof text, &(zip_lie){.deflate = true});
    zip_add(&b, "three", text, 9, &(zip_lie){.descriptor = true});
    zip_finish(&b, b.n, "");
    for (size_t n = 0; n < b.out.size; n++) {
        cvi_zip *z = NULL;
        assert_int_not_equal(cvi_zip_open(b.out.data, n, NULL, &z, NULL), CVS_OK);
        LLVMFuzzerTestOneInput((const uint8_t *)b.out.data, n);
    }
    for (size_t bit = 0; bit < 8 * b.out.size; bit++) {
        b.out.data[bit / 8] = (char)(b.out.data[bit / 8] ^ (1 << bit % 8));
        LLVMFuzzerTestOneInput((const uint8_t *)b.out.data, b.out.size);
        b.out.data[bit / 8] = (char)(b.out.data[bit / 8] ^ (1 << bit % 8));
    }
    for (int k = 0;; k++) {
        test_fail_from(k, -1);
        LLVMFuzzerTestOneInput((const uint8_t *)b.out.data, b.out.size);
        bool failed = test_has_failed();
        cvi_set_hooks(NULL);
        if (!failed) {
            break;
        }
    }
    zip_free(&b);
}

/* config.json and the weights as Keras itself wrote them, put into an archive, stored and deflated: Keras's own output. */
static void keras_archive(void **state) {
    (void)state;
    static const char metadata[] = "{\"keras_version\": \"3.3.3\", \"date_saved\": \"2024-05-01@00:00:00\"}";
    char path[3][600];
    cvi_file config = {0}, weights = {0};
    cvs_tensor want = {0};
    test_data(path[0], sizeof path[0], "keras", "k3_stacked.json");
    test_data(path[1], sizeof path[1], "keras", "k3_stacked.weights.h5");
    test_ok(cvi_file_read, path[0], NULL, &config);
    test_ok(cvi_file_read, path[1], NULL, &weights);
    test_data(path[0], sizeof path[0], "keras", "k3_stacked.in0.npy");
    test_data(path[1], sizeof path[1], "keras", "k3_stacked.out.npy");
    test_ok(cvs_npy_read, path[1], NULL, &want);
    for (int deflate = 0; deflate < 2; deflate++) {
        zip_builder b = {0};
        zip_lie how = {.deflate = deflate};
        zip_add(&b, "metadata.json", metadata, sizeof metadata - 1, &how);
        zip_add(&b, "config.json", config.data, config.size, &how);
        zip_add(&b, "model.weights.h5", weights.data, weights.size, &how);
        zip_finish(&b, 3, "");
        cvs_model *m = NULL;
        cvs_run *run = NULL;
        cvs_error err = {0};
        cvs_tensor got = {0};
        const char *input = path[0];
        if (cvs_model_open_memory(b.out.data, b.out.size, "m.keras", NULL, &m, &err) != CVS_OK) {
            fail_msg("%s", err.message);
        }
        assert_true(m->has_weights);
        assert_string_equal(m->format, "Keras");
        assert_int_equal(cvs_run_new(m, NULL, &run, &err), CVS_OK);
        assert_int_equal(cvs_run_npy(run, &input, 1, NULL, &err), CVS_OK);
        int n = cvi_graph_n_layers(m->graph);
        assert_int_equal(cvs_run_layer_file(run, n - 1, NULL, &got, &err), CVS_OK);
        assert_int_equal(cvs_tensor_count(&got), cvs_tensor_count(&want));
        for (int64_t i = 0; i < cvs_tensor_count(&got); i++) {
            assert_true(fabs(cvi_get(&got, i) - cvi_get(&want, i)) < 1e-5);
        }
        cvs_tensor_free(&got);
        cvs_run_free(run);
        cvs_model_free(m);
        zip_free(&b);
    }
    cvs_tensor_free(&want);
    cvi_file_close(&config);
    cvi_file_close(&weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads), cmocka_unit_test(refuses), cmocka_unit_test(one_reading_only),
        cmocka_unit_test(bombs), cmocka_unit_test(damaged), cmocka_unit_test(keras_archive)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
