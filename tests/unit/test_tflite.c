/* SPDX-License-Identifier: MIT
 * test_tflite.c - the TensorFlow Lite reader: files that TensorFlow wrote (tests/data/tensorflow, tools/make_tensorflow_fixtures.py)
 * give TensorFlow's own outputs, whole numbers within one step; the real models of ../shared; a quantised model stays one when it is
 * written as ONNX; damage of every kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../fuzz/fuzz_tflite.c"
#include "reader_harness.h"

static void fixture(char *path, size_t size, const char *name) {
    test_data(path, size, "tensorflow", name);
}

static void check(const char *name, const char *suffix, double bound) {
    char file[64], model[512], in[512], out[512];
    snprintf(file, sizeof file, "%s%s", name, suffix);
    fixture(model, sizeof model, file);
    snprintf(file, sizeof file, "%s.in.npy", name);
    fixture(in, sizeof in, file);
    snprintf(file, sizeof file, "%s.out.npy", name);
    fixture(out, sizeof out, file);
    reader_matches(model, NULL, in, out, bound);
}

static void written_by_tensorflow(void **state) {
    (void)state;
    check("float", ".tflite", 2e-6);
    check("half", ".tflite", 2e-6);
    check("int8", ".tflite", 1);
}

static void real_models(void **state) {
    (void)state;
    const char *const models[2][4] = {
        {"data/models/tflite/mnist-aw/mnist.tflite", "data/goldens/tflite_mnist-aw", "float32", "1e-6"},
        {"data/models/tflite/person-detect-int8/person_detect.tflite",
         "data/goldens/tflite_person-detect-int8", "int8", "1"}};
    for (int i = 0; i < 2; i++) {
        char model[512], gold[512], in[600], out[600];
        if (!test_shared(model, sizeof model, models[i][0]) ||
            !test_shared(gold, sizeof gold, models[i][1])) {
            print_message("skipped: %s is not there\n", models[i][0]);
            skip();
        }
        snprintf(in, sizeof in, "%s/input.npy", gold);
        snprintf(out, sizeof out, "%s/output.npy", gold);
        reader_matches(model, NULL, in, out, strtod(models[i][3], NULL));
    }
}

/* The integers are those of the model: input and output keep their type, in between are the real numbers they stand for. */
static void quantised_model(void **state) {
    (void)state;
    char path[512], folder[256], onnx[300], in[512], out[512];
    cvs_error err = {0};
    cvs_logit_kind kind;
    fixture(path, sizeof path, "int8.tflite");
    fixture(in, sizeof in, "int8.in.npy");
    fixture(out, sizeof out, "int8.out.npy");
    cvs_model *m = reader_open(path, NULL);
    const cvi_graph *g = m->graph;
    assert_int_equal(g->values[g->inputs[0]].dtype, CVS_I8);
    int logit = cvi_graph_logit(g, 0, &kind);
    assert_int_equal(kind, CVS_LOGIT_BEFORE_SOFTMAX);
    assert_int_not_equal(logit, g->outputs[0]);
    test_folder(folder);
    snprintf(onnx, sizeof onnx, "%s/q.onnx", folder);
    assert_int_equal(cvs_model_write(m, onnx, &err), CVS_OK);
    cvs_model *again = reader_open(onnx, NULL);
    int quantised = 0;
    for (int n = 0; n < again->graph->n_nodes; n++) {
        quantised += strcmp(again->graph->nodes[n].op, "QuantizeLinear") == 0;
        assert_null(strstr(again->graph->nodes[n].op, "::"));
    }
    assert_true(quantised > 5);
    const char *inputs[] = {in};
    cvs_run *run = NULL;
    assert_int_equal(cvs_run_new(again, NULL, &run, &err), CVS_OK);
    assert_int_equal(cvs_run_npy(run, inputs, 1, "nhwc", &err), CVS_OK);
    int layer = -1;
    cvs_tensor got = {0};
    assert_int_equal(cvs_model_find_layer(again, g->values[g->outputs[0]].name, &layer, &err), CVS_OK);
    assert_int_equal(cvs_run_layer_file(run, layer, NULL, &got, &err), CVS_OK);
    reader_compare("written as ONNX", &got, out, 1);
    cvs_tensor_free(&got);
    cvs_run_free(run);
    cvs_model_free(again);
    cvs_model_free(m);
    remove(onnx);
    remove(folder);
}

/* convscope::Requantize on numbers worked out by hand: scale 1/2, zero point -3, int8. */
static void requantize(void **state) {
    (void)state;
    const cvi_op *op = cvi_op_find("convscope::Requantize");
    float x[6] = {0.24f, 0.26f, 0.75f, -70, 70, -0.25f}, y[6], scale = 0.5f, gx[6] = {0},
          gy[6] = {1, 1, 1, 1, 1, 1};
    const float want[6] = {0, 0.5f, 1, -62.5f, 65, 0};
    int8_t zero = -3;
    assert_non_null(op);
    cvs_tensor in[3] = {{.dtype = CVS_F32, .rank = 1, .dim = {6}, .bytes = sizeof x, .data = x},
                        {.dtype = CVS_F32, .bytes = 4, .data = &scale},
                        {.dtype = CVS_I8, .bytes = 1, .data = &zero}};
    cvs_tensor out = in[0], grad = in[0], seed = in[0];
    out.data = y;
    grad.data = gx;
    seed.data = gy;
    const cvs_tensor *ins[3] = {&in[0], &in[1], &in[2]}, *seeds[1] = {&seed};
    cvs_tensor *grads[3] = {&grad, NULL, NULL};
    cvi_node node = {.op = op->name, .def = op, .n_in = 3, .n_out = 1};
    cvi_opctx ctx = {.node = &node, .op = op, .n_in = 3, .n_out = 1, .in = ins, .out = &out};
    for (int form = 0; form < 2; form++) {
        memset(y, 0, sizeof y);
        assert_int_equal(form ? op->fast(&ctx) : op->forward(&ctx), CVS_OK);
        for (int i = 0; i < 6; i++) {
            assert_float_equal(y[i], want[i], 1e-6);
        }
    }
    assert_int_equal(op->backward(&ctx, CVI_GRADIENT, seeds, grads), CVS_OK);
    for (int i = 0; i < 6; i++) { /* clamped: nothing comes through */
        assert_float_equal(gx[i], i == 3 || i == 4 ? 0 : 1, 0);
    }
}

static void damaged(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "int8.tflite");
    reader_damage(path, LLVMFuzzerTestOneInput, 97, 400);
    fixture(path, sizeof path, "float.tflite");
    reader_damage(path, LLVMFuzzerTestOneInput, 397, 200);
}

static void no_memory(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "int8.tflite");
    reader_no_memory(path, NULL, 1);
}

/* Offsets that point nowhere, a table list that ends the file, an operator code beyond the list. */
static void refused(void **state) {
    (void)state;
    uint8_t file[64] = {0xff, 0xff, 0xff, 0x7f, 'T', 'F', 'L', '3'};
    reader_refuses(file, 16, "outside the file");
    memset(file, 0, 4);
    reader_refuses(file, 16, "outside the file");
    file[0] = 12; /* a table whose list of fields is before the file */
    file[12] = 0xff;
    file[13] = 0x7f;
    reader_refuses(file, 32, "outside the file");
    memset(file + 8, 0, sizeof file - 8);
    file[0] = 16; /* an empty model: a list of fields at 12, a table of 4 bytes at 16 */
    file[12] = 4;
    file[14] = 4;
    file[16] = 4;
    reader_refuses(file, 32, "no graph");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(written_by_tensorflow),
                                       cmocka_unit_test(real_models),
                                       cmocka_unit_test(quantised_model),
                                       cmocka_unit_test(requantize),
                                       cmocka_unit_test(damaged),
                                       cmocka_unit_test(no_memory),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
