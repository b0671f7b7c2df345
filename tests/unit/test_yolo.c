/* SPDX-License-Identifier: MIT
 * test_yolo.c - checkpoints that the package ultralytics and YOLOv5 wrote (tests/data/yolo, tools/make_yolo_fixtures.py) give the
 * libraries' own answers: boxes, scores, masks, key points, turned boxes, the best boxes, classes. A class that is not known leaves the
 * weights; every failing allocation and cut file ends well.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "convscope/run.h"
#include "formats/zip.h"
#include "ops/op.h"
#include "test_helpers.h"
#include "zip_builder.h"

/* A call whose last argument is &err. */
#define must(call)                                                                                           \
    do {                                                                                                     \
        cvs_error err = {0};                                                                                 \
        char text_[900];                                                                                     \
        if ((call) != CVS_OK) {                                                                              \
            fail_msg("%s", cvs_error_text(&err, text_, sizeof text_));                                       \
        }                                                                                                    \
    } while (0)

static void data_path(char *path, size_t size, const char *name, const char *end) {
    char file[80];
    snprintf(file, sizeof file, "%s%s", name, end);
    test_data(path, size, "yolo", file);
}

static bool has_note(const cvs_model *m, const char *part) {
    for (int i = 0; i < m->n_notes; i++) {
        if (strstr(m->notes[i], part)) {
            return true;
        }
    }
    return false;
}

/* How far output k is from the library's, of its largest number. */
static double far(cvs_run *run, const cvs_model *m, const char *name, int k) {
    char path[600], end[20];
    cvs_tensor want = {0}, got = {0};
    double worst = 0, most = 0;
    int layer = -1;
    snprintf(end, sizeof end, ".out%d.npy", k);
    data_path(path, sizeof path, name, end);
    must(cvs_npy_read(path, NULL, &want, &err));
    must(cvs_model_find_layer(m, m->graph->values[m->graph->outputs[k]].name, &layer, &err));
    must(cvs_run_layer_file(run, layer, NULL, &got, &err));
    assert_int_equal(got.rank, want.rank);
    for (int i = 0; i < got.rank; i++) {
        assert_int_equal(got.dim[i], want.dim[i]);
    }
    for (int64_t i = 0; i < cvs_tensor_count(&want); i++) {
        worst = fmax(worst, fabs(cvi_get(&got, i) - cvi_get(&want, i)));
        most = fmax(most, fabs(cvi_get(&want, i)));
    }
    cvs_tensor_free(&got);
    cvs_tensor_free(&want);
    return worst / most;
}

static void libraries_own_answers(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int outputs;
    } files[] = {{"yolo8", 1},  {"yolo9", 2}, {"yolo10", 1},   {"yolo11", 1},
                 {"yolo12", 1}, {"yolo5", 1}, {"yolo5seg", 2}, {"classify", 1}};
    for (int i = 0; i < CVI_COUNT(files); i++) {
        char path[600], in[600];
        const char *input = in;
        cvs_run *run = NULL;
        data_path(path, sizeof path, files[i].name, ".pt");
        data_path(in, sizeof in, files[i].name, ".in.npy");
        cvs_model *m = test_open(path);
        assert_int_equal(m->graph->n_outputs, files[i].outputs);
        assert_true(m->has_weights && m->widened && m->preprocess.known);
        must(cvs_run_new(m, NULL, &run, &err));
        must(cvs_run_npy(run, &input, 1, NULL, &err));
        for (int k = 0; k < files[i].outputs; k++) {
            double d = far(run, m, files[i].name, k);
            if (!(d < 1e-5)) {
                fail_msg("%s, output %d: off by %g", files[i].name, k, d);
            }
        }
        cvs_run_free(run);
        cvs_model_free(m);
    }
}

static void what_the_file_says(void **state) {
    (void)state;
    char path[600];
    data_path(path, sizeof path, "classify", ".pt");
    cvs_model *m = test_open(path);
    assert_int_equal(m->n_classes, 3);
    assert_string_equal(m->classes[2], "red panda");
    assert_string_equal(m->producer, "ultralytics 8.3.150");
    cvs_model_free(m);
    data_path(path, sizeof path, "yolo8", ".pt");
    m = test_open(path);
    assert_true(has_note(m, "3 classes apart: cat, dog, red panda"));
    assert_int_equal(m->graph->values[m->graph->inputs[0]].dim[3], 32);
    cvs_model_free(m);
}

/* The entries are deflated: the archive is written again with other bytes in it. */
static void unknown_classes_leave_the_weights(void **state) {
    (void)state;
    char path[600], folder[256], made[400];
    cvi_file f = {0};
    cvi_zip *z = NULL;
    cvs_limits limits = cvs_limits_default(NULL);
    data_path(path, sizeof path, "yolo8", ".pt");
    must(cvi_file_read(path, &limits, &f, &err));
    must(cvi_zip_open(f.data, f.size, &limits, &z, &err));
    zip_builder b = {0};
    cvi_arena *arena = cvi_arena_new(64 << 20);
    int changed = 0;
    for (int i = 0; i < cvi_zip_count(z); i++) {
        const cvi_zip_entry *e = cvi_zip_at(z, i);
        const uint8_t *data = NULL;
        must(cvi_zip_read(z, e, arena, &data, NULL, &err));
        uint8_t *copy = malloc((size_t)e->size + 1);
        memcpy(copy, data, (size_t)e->size);
        for (int64_t k = 0; k + 5 < e->size; k++) { /* the class C2f becomes C2x */
            if (memcmp(copy + k, "\nC2f\n", 5) == 0) {
                copy[k + 3] = 'x';
                changed++;
            }
        }
        zip_add(&b, e->name, copy, (size_t)e->size, NULL);
        free(copy);
    }
    assert_int_equal(changed, 1);
    zip_finish(&b, b.n, "");
    test_folder(folder);
    snprintf(made, sizeof made, "%s/other.pt", folder);
    assert_int_equal(cvi_file_write(made, b.out.data, b.out.size, NULL), CVS_OK);
    cvs_model *m = test_open(made);
    assert_true(has_note(m, "ultralytics.nn.modules.block.C2x is not known"));
    assert_true(m->graph->n_nodes > 20);
    cvs_model_free(m);
    zip_free(&b);
    cvi_arena_free(arena);
    cvi_zip_close(z);
    cvi_file_close(&f);
}

static void any_failing_allocation_is_survived(void **state) {
    (void)state;
    static const char *const files[] = {"yolo12", "yolo5seg"};
    for (int i = 0; i < CVI_COUNT(files); i++) {
        char path[600];
        data_path(path, sizeof path, files[i], ".pt");
        for (int k = 0; k < 4000; k = k < 40 ? k + 1 : k + 1 + k / 11) {
            cvs_model *m = NULL;
            cvs_error err = {0};
            test_fail_from(k, -1);
            cvs_status s = cvs_model_open(path, NULL, &m, &err);
            bool failed = test_has_failed();
            cvi_set_hooks(NULL);
            assert_true((s == CVS_OK) == (m != NULL)); /* a file may also not be recognised */
            cvs_model_free(m);
            if (!failed) {
                break;
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libraries_own_answers),
        cmocka_unit_test(what_the_file_says),
        cmocka_unit_test(unknown_classes_leave_the_weights),
        cmocka_unit_test(any_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
