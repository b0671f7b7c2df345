/* SPDX-License-Identifier: MIT
 * test_tf_checkpoint.c - checkpoints that TensorFlow wrote (tests/data/checkpoint, tools/make_checkpoint_fixtures.py): with a network of Keras
 * beside them, with the graph of a training, with variables in slices, of the first generation; TensorFlow's own answers; damage of all kinds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../fuzz/fuzz_saved.c"
#include "reader_harness.h"

static void fixture(char *path, size_t size, const char *name) {
    test_data(path, size, "checkpoint", name);
}

/* The architecture by --arch, the weights from whatever names the checkpoint. */
static void with_keras(void **state) {
    (void)state;
    const char *const names[] = {"objects", "objects/ck-1", "objects/ck-1.index",
                                 "objects/ck-1.data-00000-of-00001"};
    char arch[512], in[512], out[512], weights[512];
    fixture(arch, sizeof arch, "objects.json");
    fixture(in, sizeof in, "in.npy");
    fixture(out, sizeof out, "objects.out.npy");
    for (int i = 0; i < CVI_COUNT(names); i++) {
        fixture(weights, sizeof weights, names[i]);
        const cvs_open_options options = {.arch = arch};
        reader_matches(weights, &options, in, out, 2e-6);
    }
}

/* The graph beside the weights, without what trains it. */
static void with_graph(void **state) {
    (void)state;
    const char *const names[] = {"session", "session/model.ckpt-7.meta", "session/model.ckpt-7.index",
                                 "session/model.ckpt-7"};
    char model[512], in[512], out[512];
    fixture(in, sizeof in, "in.npy");
    fixture(out, sizeof out, "session.out.npy");
    for (int i = 0; i < CVI_COUNT(names); i++) {
        fixture(model, sizeof model, names[i]);
        reader_matches(model, NULL, in, out, 2e-6);
        cvs_model *m = reader_open(model, NULL);
        assert_int_equal(m->graph->n_inputs, 1);
        assert_int_equal(m->graph->n_outputs, 1);
        cvs_model_free(m);
    }
    fixture(model, sizeof model, "slices");
    fixture(out, sizeof out, "slices.out.npy");
    reader_matches(model, NULL, in, out, 2e-6);
}

/* Weights alone: a tensor, turned as layers here have it, with the numbers that TensorFlow read. */
static void weights_alone(void **state) {
    (void)state;
    char model[512], numbers[512];
    cvs_tensor want = {0};
    fixture(model, sizeof model, "first/model.ckpt");
    fixture(numbers, sizeof numbers, "fc.npy");
    cvs_model *m = reader_open(model, NULL);
    test_ok(cvs_npy_read, numbers, NULL, &want);
    int v = cvi_graph_find(m->graph, "fc.weight");
    assert_true(v >= 0 && m->graph->values[v].constant);
    const cvs_tensor *got = m->graph->values[v].constant;
    assert_true(got->rank == 2 && got->dim[0] == 3 && got->dim[1] == 70);
    for (int64_t i = 0; i < 70; i++) {
        for (int64_t k = 0; k < 3; k++) {
            assert_true(cvi_get(got, k * 70 + i) == cvi_get(&want, i * 3 + k));
        }
    }
    cvs_tensor_free(&want);
    cvs_model_free(m);
}

static void copy_file(const char *from, const char *folder, const char *name) {
    cvi_file f = {0};
    char path[512], to[800];
    fixture(path, sizeof path, from);
    test_ok(cvi_file_read, path, NULL, &f);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    assert_int_equal(cvi_file_write(to, f.data, f.size, NULL), CVS_OK);
    cvi_file_close(&f);
}

/* A folder without a .meta shows layers; one whose shard is cut, or that has none, is refused with the file's name. */
static void parts_that_are_missing(void **state) {
    (void)state;
    static const char *const names[] = {"x.index", "x.data-00000-of-00001"};
    char folder[256], path[400];
    cvs_model *m = NULL;
    cvs_error err = {0};
    test_folder(folder);
    copy_file("slices/model.ckpt.index", folder, names[0]);
    assert_int_not_equal(cvs_model_open(folder, NULL, &m, &err), CVS_OK);
    assert_non_null(strstr(err.file, "x.data-00000-of-00001"));
    copy_file("slices/model.ckpt.data-00000-of-00001", folder, names[1]);
    m = reader_open(folder, NULL);
    assert_true(cvi_graph_find(m->graph, "fc.weight") >= 0);
    assert_true(m->has_weights);
    cvs_model_free(m);
    snprintf(path, sizeof path, "%s/%s", folder, names[1]);
    assert_int_equal(cvi_file_write(path, "short", 5, NULL), CVS_OK);
    assert_int_not_equal(cvs_model_open(folder, NULL, &m, &err), CVS_OK);
    assert_non_null(strstr(err.message, "of a file of 5"));
    for (int i = 0; i < CVI_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    remove(folder);
}

/* Indices and graphs, cut and flipped. */
static void damaged(void **state) {
    (void)state;
    static const char *const files[][2] = {{"slices/model.ckpt.index", "slices/model.ckpt.meta"},
                                           {"objects/ck-1.index", NULL},
                                           {"first/model.ckpt", NULL}};
    for (int i = 0; i < CVI_COUNT(files); i++) {
        cvi_file index = {0}, meta = {0};
        char path[512];
        fixture(path, sizeof path, files[i][0]);
        test_ok(cvi_file_read, path, NULL, &index);
        if (files[i][1]) {
            fixture(path, sizeof path, files[i][1]);
            test_ok(cvi_file_read, path, NULL, &meta);
        }
        size_t n = 2 + index.size + meta.size;
        uint8_t *all = malloc(n), *copy = malloc(n);
        assert_true(all && copy && index.size < 1 << 15);
        all[0] = (uint8_t)(index.size & 255);
        all[1] = (uint8_t)(index.size >> 8 | 128);
        memcpy(all + 2, index.data, index.size);
        if (meta.size) {
            memcpy(all + 2 + index.size, meta.data, meta.size);
        }
        for (size_t k = 2; k < n; k += 2 + n / 150) {
            LLVMFuzzerTestOneInput(all, k);
        }
        for (uint64_t k = 0; k < 400; k++) {
            memcpy(copy, all, n);
            for (uint64_t j = 0; j < 1 + k % 6; j++) {
                uint64_t r = cvi_random_bits(7, k, j);
                copy[2 + r % (k % 2 ? index.size : n - 2)] ^= (uint8_t)(1u << (r >> 60 & 7));
            }
            LLVMFuzzerTestOneInput(copy, n);
        }
        free(all);
        free(copy);
        cvi_file_close(&index);
        cvi_file_close(&meta);
    }
}

static void no_memory(void **state) {
    (void)state;
    char path[512], arch[512];
    fixture(path, sizeof path, "slices");
    reader_no_memory(path, NULL, 3);
    fixture(path, sizeof path, "first/model.ckpt");
    reader_no_memory(path, NULL, 1);
    fixture(path, sizeof path, "objects");
    fixture(arch, sizeof arch, "objects.json");
    const cvs_open_options options = {.arch = arch};
    reader_no_memory(path, &options, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_keras),    cmocka_unit_test(with_graph),
        cmocka_unit_test(weights_alone), cmocka_unit_test(parts_that_are_missing),
        cmocka_unit_test(damaged),       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
