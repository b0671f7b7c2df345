/* SPDX-License-Identifier: MIT
 * reader_harness.h - for tests of readers of model files: a model's outputs against somebody else's, and the damage that every reader
 * must stand: cut at any byte, flipped bits, failing allocations. Include after cmocka.h.
 */
#ifndef READER_HARNESS_H
#define READER_HARNESS_H

#include <math.h>
#include <stdlib.h>

#include "convscope/run.h"
#include "engine/engine.h"
#include "graph/graph.h"
#include "ops/op.h"

#include "test_helpers.h"

static inline cvs_model *reader_open(const char *path, const cvs_open_options *options) {
    cvs_error err = {0};
    char text[900];
    cvs_model *m = NULL;
    if (cvs_model_open(path, options, &m, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    return m;
}

/* Runs the model on a .npy and hands out the value of that name (NULL: the first output) as its own file would hold it; owned. */
static inline cvs_tensor reader_run(const cvs_model *m, const char *input, const char *name) {
    cvs_error err = {0};
    char text[900];
    cvs_run *run = NULL;
    cvs_tensor t = {0};
    int layer = -1;
    const cvs_run_options options = {.threads = 1};
    name = name != NULL ? name : m->graph->values[m->graph->outputs[0]].name;
    if (cvs_run_new(m, &options, &run, &err) != CVS_OK || cvs_run_npy(run, &input, 1, NULL, &err) != CVS_OK ||
        cvs_model_find_layer(m, name, &layer, &err) != CVS_OK ||
        cvs_run_layer_file(run, layer, NULL, &t, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    cvs_run_free(run);
    return t;
}

/* Compares with a .npy of somebody else's: at most `bound` from it (an integer output), or that share of its largest number. */
static inline void reader_compare(const char *what, const cvs_tensor *got, const char *expected,
                                  double bound) {
    cvs_tensor want = {0};
    double worst = 0, scale = 1e-6;
    test_ok(cvs_npy_read, expected, NULL, &want);
    assert_int_equal(cvs_tensor_count(got), cvs_tensor_count(&want));
    for (int64_t i = 0; i < cvs_tensor_count(&want); i++) {
        double d = fabs(cvi_get(got, i) - cvi_get(&want, i));
        worst = d > worst || d != d ? d : worst;
        scale = fmax(scale, fabs(cvi_get(&want, i)));
    }
    bool whole = want.dtype == CVS_I8 || want.dtype == CVS_U8;
    assert_true(!whole || got->dtype == want.dtype);
    worst = whole ? worst : worst / scale;
    cvs_tensor_free(&want);
    if (!(worst <= bound)) {
        fail_msg("%s is off by %g", what, worst);
    }
}

static inline void reader_matches(const char *model, const cvs_open_options *options, const char *input,
                                  const char *expected, double bound) {
    cvs_model *m = reader_open(model, options);
    cvs_tensor got = reader_run(m, input, NULL);
    reader_compare(model, &got, expected, bound);
    cvs_tensor_free(&got);
    cvs_model_free(m);
}

/* Every cut and many flips of a file, given to a fuzz target: an answer, whatever it is (the sanitizers' run sees the rest). */
static inline void reader_damage(const char *path, int (*target)(const uint8_t *, size_t), size_t step,
                                 uint64_t flips) {
    cvi_file file = {0};
    test_ok(cvi_file_read, path, NULL, &file);
    for (size_t n = 0; n < file.size; n += n < 512 ? 7 : step) {
        uint8_t *copy = malloc(n + 1);
        assert_non_null(copy);
        memcpy(copy, file.data, n);
        target(copy, n);
        free(copy);
    }
    uint8_t *copy = malloc(file.size + 1);
    assert_non_null(copy);
    for (uint64_t k = 0; k < flips; k++) {
        memcpy(copy, file.data, file.size);
        for (uint64_t j = 0; j < 1 + k % 8; j++) {
            uint64_t r = cvi_random_bits(11, k, j);
            copy[r % file.size] ^= (uint8_t)(1u << (r >> 60 & 7));
        }
        target(copy, file.size);
    }
    free(copy);
    cvi_file_close(&file);
}

/* Every k-th allocation (every `step`-th of them) and all after it fail, until opening gets through. */
static inline void reader_no_memory(const char *path, const cvs_open_options *options, int step) {
    int k = 0;
    for (bool failed = true; failed; k += step) {
        cvs_model *m = NULL;
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status s = cvs_model_open(path, options, &m, &err);
        failed = test_has_failed();
        cvi_set_hooks(NULL);
        assert_true(failed ? s != CVS_OK && strlen(err.message) > 0 : s == CVS_OK);
        cvs_model_free(m);
    }
    assert_true(k > 10);
}

/* Opening these bytes fails with a message that holds `words`; the line that it is said of, 0: none. */
static inline int reader_refused(const void *data, size_t size, const char *name, const char *words) {
    cvs_error err = {0};
    cvs_model *m = NULL;
    assert_int_not_equal(cvs_model_open_memory(data, size, name, NULL, &m, &err), CVS_OK);
    assert_null(m);
    if (strstr(err.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
    }
    return err.line;
}

static inline void reader_refuses(const void *data, size_t size, const char *words) {
    reader_refused(data, size, "test", words);
}

/* line 0: any. */
static inline void reader_refuses_at(const char *text, const char *name, const char *words, int line) {
    int said = reader_refused(text, strlen(text), name, words);
    assert_true(line == 0 || said == line);
}

/* The pixels of FROM, bytes [rows,columns,3], as planes [1,3,rows,columns] of (pixel - mean) / scale, into the file TO. */
static inline void reader_planes(const char *from, int64_t rows, int64_t columns, float mean, float scale,
                                 const char *to) {
    cvs_tensor bytes = {0}, planes = {0};
    const int64_t dim[4] = {1, 3, rows, columns}, area = rows * columns;
    cvs_error err = {0};
    test_ok(cvs_npy_read, from, NULL, &bytes);
    assert_int_equal(cvs_tensor_new(&planes, CVS_F32, 4, dim, &err), CVS_OK);
    for (int64_t i = 0; i < 3 * area; i++) {
        ((float *)planes.data)[i % 3 * area + i / 3] = ((float)((uint8_t *)bytes.data)[i] - mean) / scale;
    }
    assert_int_equal(cvs_npy_write(to, &planes, &err), CVS_OK);
    cvs_tensor_free(&bytes);
    cvs_tensor_free(&planes);
}

#endif
