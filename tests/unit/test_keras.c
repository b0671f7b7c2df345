/* SPDX-License-Identifier: MIT
 * test_keras.c - Keras and TensorFlow.js readers: models that Keras 2 and 3 wrote themselves (tests/data/keras,
 * tools/make_keras_fixtures.py) give Keras's own outputs; real trained models give the reference outputs of ../shared (skipped
 * where that is absent); old and damaged configurations; names; truncation, bit flips, failing allocations.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "convscope/run.h"
#include "graph/graph.h"
#include "ops/op.h"

#include "../fuzz/fuzz_keras.c"
#include "test_helpers.h"

static cvs_model *open_model(const char *path, const cvs_open_options *options) {
    cvs_error err = {0};
    char text[900];
    cvs_model *m = NULL;
    if (cvs_model_open(path, options, &m, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    return m;
}

static cvs_run *run_model(const cvs_model *m, const char *const *inputs, int n) {
    cvs_error err = {0};
    char text[900];
    cvs_run *run = NULL;
    cvs_run_options options = {.threads = 1};
    if (cvs_run_new(m, &options, &run, &err) != CVS_OK || cvs_run_npy(run, inputs, n, NULL, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    return run;
}

/* The value of that name as the model's own file would hold it. */
static cvs_tensor layer_of(const cvs_model *m, cvs_run *run, const char *name) {
    cvs_error err = {0};
    int layer = -1;
    cvs_tensor t = {0};
    assert_int_equal(cvs_model_find_layer(m, name, &layer, &err), CVS_OK);
    assert_int_equal(cvs_run_layer_file(run, layer, NULL, &t, &err), CVS_OK);
    return t;
}

/* Largest difference between got[0..n) and want from `at` on, in units of the largest wanted value. */
static double difference(const cvs_tensor *got, const cvs_tensor *want, int64_t at, int64_t n) {
    double worst = 0, scale = 1e-6;
    for (int64_t i = 0; i < n; i++) {
        double w = cvi_get(want, at + i), d = fabs(cvi_get(got, i) - w);
        worst = d > worst || d != d ? d : worst;
        scale = fabs(w) > scale ? fabs(w) : scale;
    }
    return worst / scale;
}

/* Runs a model on its inputs and compares all outputs, one after the other, with out.npy. */
static void check_model(const char *model, const char *weights, const char *const *inputs, int n,
                        const char *expected) {
    cvs_open_options options = {.weights = weights};
    cvs_model *m = open_model(model, &options);
    cvs_run *run = run_model(m, inputs, n);
    cvs_tensor want = {0};
    int64_t at = 0;
    test_ok(cvs_npy_read, expected, NULL, &want);
    for (int i = 0; i < m->graph->n_outputs; i++) {
        const char *name = m->graph->values[m->graph->outputs[i]].name;
        cvs_tensor got = layer_of(m, run, name);
        int64_t count = cvs_tensor_count(&got);
        assert_true(at + count <= cvs_tensor_count(&want));
        double d = difference(&got, &want, at, count);
        if (!(d <= 5e-6)) {
            fail_msg("%s: output %s is off by %g", model, name, d);
        }
        at += count;
        cvs_tensor_free(&got);
    }
    assert_int_equal(at, cvs_tensor_count(&want));
    cvs_tensor_free(&want);
    cvs_run_free(run);
    cvs_model_free(m);
}

static void written_by_keras(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int inputs;
    } models[] = {{"k1_theano", 1},         {"k2_sequential", 1},  {"k2_branches", 1}, {"k2_shared", 2},
                  {"k2_sequence", 1},       {"k3_shared", 2},      {"k3_norms", 1},    {"k2_attention", 1},
                  {"k3_attention", 1},      {"k3_functions", 1},   {"k3_grouped", 1},  {"k3_seldom", 1},
                  {"k3_channels_first", 1}, {"k3_activations", 1}, {"k3_recurrent", 1}};
    for (int i = 0; i < CVI_COUNT(models); i++) {
        char base[512], path[4][560];
        test_data(base, sizeof base, "keras", models[i].name);
        snprintf(path[0], sizeof path[0], "%s.h5", base);
        snprintf(path[1], sizeof path[1], "%s.in0.npy", base);
        snprintf(path[2], sizeof path[2], "%s.in1.npy", base);
        snprintf(path[3], sizeof path[3], "%s.out.npy", base);
        check_model(path[0], NULL, (const char *const[]){path[1], path[2]}, models[i].inputs, path[3]);
    }
}

/* Weights without a network that is known: layers one by one, said to be so; a run stops. */
static void check_view(const char *path) {
    cvs_model *m = open_model(path, NULL);
    bool said = false;
    for (int i = 0; i < m->n_notes; i++) {
        said = said || strstr(m->notes[i], "--arch");
    }
    assert_true(said);
    assert_true(m->has_weights && m->graph->n_nodes > 1);
    cvs_model_free(m);
}

/* The same architecture and weights, given from either side; the file of weights alone asks for the other. */
static void weights_apart(void **state) {
    (void)state;
    char base[512], path[4][560];
    test_data(base, sizeof base, "keras", "k3_stacked");
    snprintf(path[0], sizeof path[0], "%s.json", base);
    snprintf(path[1], sizeof path[1], "%s.weights.h5", base);
    snprintf(path[2], sizeof path[2], "%s.in0.npy", base);
    snprintf(path[3], sizeof path[3], "%s.out.npy", base);
    check_model(path[0], path[1], (const char *const[]){path[2]}, 1, path[3]);
    cvs_model *m = open_model(path[1], &(cvs_open_options){.arch = path[0]});
    assert_true(m->has_weights);
    cvs_model_free(m);
    m = open_model(path[0], NULL);
    assert_false(m->has_weights);
    cvs_model_free(m);
    check_view(path[1]);
}

/* Weights of keras.applications without their network: it is known by its layers' names, and computes what Keras does. */
static void check_application(const char *name, const char *suffix, int side, const char *network) {
    char base[512], path[3][600], folder[256];
    cvs_error err = {0};
    cvs_tensor x = {0};
    test_data(base, sizeof base, "keras", name);
    test_folder(folder);
    snprintf(path[0], sizeof path[0], "%s%s", base, suffix);
    snprintf(path[1], sizeof path[1], "%s/x.npy", folder);
    snprintf(path[2], sizeof path[2], "%s.out.npy", base);
    assert_int_equal(cvs_tensor_new(&x, CVS_F32, 4, (const int64_t[]){1, 3, side, side}, &err), CVS_OK);
    for (int i = 0; i < 3 * side * side; i++) {
        ((float *)x.data)[i] = (float)(i % 251 / 251.0);
    }
    assert_int_equal(cvs_npy_write(path[1], &x, &err), CVS_OK);
    check_model(path[0], NULL, (const char *const[]){path[1]}, 1, path[2]);
    cvs_model *m = open_model(path[0], NULL);
    assert_non_null(strstr(m->name, network));
    cvs_model_free(m);
    cvs_tensor_free(&x);
    remove(path[1]);
    remove(folder);
}

static void application(void **state) {
    (void)state;
    check_application("k3_applications_resnet", ".weights.h5", 224, "ResNet");
    check_application("k2_applications_mobilenet_v3", "_tf_dim_ordering_tf_kernels.h5", 224,
                      "MobileNetV3-Small");
    check_application("k3_applications_xception", ".weights.h5", 299, "Xception");
}

static void tfjs_quantised(void **state) {
    (void)state;
    static const char *const kinds[] = {"tfjs_float32", "tfjs_float16", "tfjs_uint8", "tfjs_uint16"};
    for (int i = 0; i < CVI_COUNT(kinds); i++) {
        char base[512], path[3][560];
        test_data(base, sizeof base, "keras", kinds[i]);
        snprintf(path[0], sizeof path[0], "%s/model.json", base);
        snprintf(path[1], sizeof path[1], "%s/in0.npy", base);
        snprintf(path[2], sizeof path[2], "%s/out.npy", base);
        check_model(path[0], NULL, (const char *const[]){path[1]}, 1, path[2]);
    }
}

/* Shards are opened only beneath the model's folder, and never for a model in memory. */
static void tfjs_paths(void **state) {
    (void)state;
    static const char *const paths[] = {"../w", "/etc/passwd", "sub/../../w", "", "."};
    char folder[256], path[300], outside[300];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/in", folder);
    assert_int_equal(cvi_make_folder(path, NULL), CVS_OK);
    snprintf(outside, sizeof outside, "%s/w", folder);
    assert_int_equal(cvi_file_write(outside, "0123456789abcdef", 16, NULL), CVS_OK);
    snprintf(path, sizeof path, "%s/in/model.json", folder);
    for (int i = 0; i < CVI_COUNT(paths); i++) {
        char json[900];
        cvs_model *m = NULL;
        cvs_error err = {0};
        snprintf(
            json, sizeof json,
            "{\"modelTopology\": {\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Dense\", "
            "\"config\": {\"name\": \"d\", \"units\": 2, \"use_bias\": false, \"batch_input_shape\": [null, "
            "2]}}]}, "
            "\"weightsManifest\": [{\"paths\": [\"%s\"], \"weights\": [{\"name\": \"d/kernel\", \"shape\": "
            "[2, 2], \"dtype\": \"float32\"}]}]}",
            paths[i]);
        assert_int_equal(cvi_file_write(path, json, strlen(json), NULL), CVS_OK);
        assert_int_not_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
        assert_true(strlen(err.message) > 0 && strlen(err.file) > 0);
        err = (cvs_error){0};
        assert_int_equal(cvs_model_open_memory(json, strlen(json), "model.json", NULL, &m, &err),
                         CVS_E_UNSUPPORTED);
    }
    remove(path);
    remove(outside);
    path[strlen(path) - strlen("/model.json")] = 0;
    remove(path);
    remove(folder);
}

static void names_and_forms(void **state) {
    (void)state;
    char path[512];
    test_data(path, sizeof path, "keras", "k3_shared.h5");
    cvs_model *m = open_model(path, NULL);
    static const char *const names[] = {"left",
                                        "right",
                                        "both",
                                        "both_2",
                                        "inner/inner_conv",
                                        "inner/inner_conv/linear",
                                        "inner/inner_bn_2",
                                        "tail/tail_flat",
                                        "tail/tail_conv_2",
                                        "out",
                                        "out/linear"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        int v = cvi_graph_find(m->graph, names[i]);
        if (v < 0) {
            fail_msg("no value %s", names[i]);
        }
        assert_false(m->graph->values[v].hidden);
    }
    int v = cvi_graph_find(m->graph, "inner/inner_conv");
    assert_int_equal(m->graph->values[v].file_layout, CVI_FILE_LAST);
    int kernels = 0; /* shared layers keep one copy of their weights */
    for (int i = 0; i < m->graph->n_values; i++) {
        kernels += m->graph->values[i].constant && strstr(m->graph->values[i].name, "inner_conv/kernel");
    }
    assert_int_equal(kernels, 1);
    assert_int_equal(m->file_layout, CVI_FILE_LAST);
    cvs_model_free(m);
    test_data(path, sizeof path, "keras", "k3_channels_first.h5");
    m = open_model(path, NULL);
    assert_int_equal(m->file_layout, CVI_FILE_SAME);
    cvs_model_free(m);
}

static void unknown_layers(void **state) {
    (void)state;
    char path[512], input[512];
    cvs_error err = {0};
    test_data(path, sizeof path, "keras", "k3_opaque.h5");
    test_data(input, sizeof input, "keras", "k3_opaque.in0.npy");
    cvs_model *m = open_model(path, NULL);
    int v = cvi_graph_find(m->graph, "doubled");
    assert_true(v >= 0);
    const cvi_node *node = &m->graph->nodes[m->graph->values[v].producer];
    assert_string_equal(node->op, "keras::Lambda");
    assert_null(node->def);
    assert_non_null(strstr(node->note, "not executed"));
    cvs_run *run = NULL;
    cvs_run_options options = {.threads = 1};
    assert_int_equal(cvs_run_new(m, &options, &run, &err), CVS_OK);
    assert_int_not_equal(cvs_run_npy(run, (const char *const[]){input}, 1, NULL, &err), CVS_OK);
    assert_non_null(strstr(err.message, "Lambda"));
    cvs_run_free(run);
    cvs_model_free(m);
}

/* ---- real models ---- */

static void check_shared(const char *model, const char *golden, const cvs_open_options *options) {
    char m_path[512], in[512], out[512];
    char relative[256];
    snprintf(relative, sizeof relative, "data/goldens/%s/input.npy", golden);
    if (!test_shared(in, sizeof in, relative) || !test_shared(m_path, sizeof m_path, model)) {
        print_message("SKIPPED: %s is not there\n", model);
        return;
    }
    snprintf(relative, sizeof relative, "data/goldens/%s/output.npy", golden);
    assert_true(test_shared(out, sizeof out, relative));
    cvs_model *m = open_model(m_path, options);
    cvs_run *run = run_model(m, (const char *const[]){in}, 1);
    cvs_tensor want = {0}, got = layer_of(m, run, m->graph->values[m->graph->outputs[0]].name);
    test_ok(cvs_npy_read, out, NULL, &want);
    assert_int_equal(cvs_tensor_count(&got), cvs_tensor_count(&want));
    assert_true(difference(&got, &want, 0, cvs_tensor_count(&want)) < 1e-5);
    cvs_tensor_free(&got);
    cvs_tensor_free(&want);
    cvs_run_free(run);
    cvs_model_free(m);
}

static void real_models(void **state) {
    (void)state;
    char weights[512];
    check_shared("data/models/keras-h5/lenet-tensorspace/mnist.h5", "keras-h5_lenet-tensorspace", NULL);
    check_shared("data/models/keras-h5/emotion-mini-xception/fer2013_mini_XCEPTION.102-0.66.hdf5",
                 "keras-h5_emotion-mini-xception", NULL);
    if (test_shared(weights, sizeof weights, "data/models/keras-h5/lenet-tensorspace/weights.h5")) {
        cvs_open_options options = {.weights = weights};
        check_shared("data/models/keras-h5/lenet-tensorspace/topology.json", "keras-h5_lenet-tensorspace",
                     &options);
        check_view(weights);
    }
}

/* ---- configurations written by hand ---- */

static cvs_status open_json(const char *json, cvs_model **m, cvs_error *err) {
    *err = (cvs_error){0};
    return cvs_model_open_memory(json, strlen(json), "net.json", NULL, m, err);
}

static void keras_1(void **state) {
    (void)state;
    cvs_model *m = NULL;
    cvs_error err = {0};
    const char *json =
        "{\"class_name\": \"Sequential\", \"keras_version\": \"1.2.2\", \"config\": ["
        "{\"class_name\": \"Convolution2D\", \"config\": {\"name\": \"c\", \"batch_input_shape\": [null, 3, "
        "9, 8], "
        "\"nb_filter\": 4, \"nb_row\": 3, \"nb_col\": 2, \"border_mode\": \"same\", \"subsample\": [2, 1], "
        "\"dim_ordering\": \"th\", \"bias\": false, \"activation\": \"relu\"}},"
        "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}},"
        "{\"class_name\": \"Dense\", \"config\": {\"name\": \"d\", \"output_dim\": 5}}]}";
    assert_int_equal(open_json(json, &m, &err), CVS_OK);
    assert_false(m->has_weights);
    const cvi_value *kernel = &m->graph->values[cvi_graph_find(m->graph, "c/kernel")];
    const cvi_value *dense = &m->graph->values[cvi_graph_find(m->graph, "d/kernel")];
    static const int64_t shape[4] = {4, 3, 3, 2};
    assert_memory_equal(kernel->dim, shape, sizeof shape);
    assert_int_equal(dense->dim[0], 4 * 5 * 8);
    assert_int_equal(cvi_graph_find(m->graph, "c/bias"), -1);
    assert_int_equal(m->file_layout, CVI_FILE_SAME);
    cvs_model_free(m);
}

/* A model that gives its input out again, and twice the same tensor. */
static void input_is_output(void **state) {
    (void)state;
    cvs_model *m = NULL;
    cvs_error err = {0};
    const char *json =
        "{\"class_name\": \"Functional\", \"config\": {\"layers\": [{\"class_name\": \"InputLayer\", "
        "\"name\": \"i\", "
        "\"config\": {\"batch_shape\": [null, 4, 4, 2]}, \"inbound_nodes\": []}, {\"class_name\": "
        "\"Flatten\", \"name\": "
        "\"f\", \"config\": {}, \"inbound_nodes\": [[[\"i\", 0, 0, {}]]]}], \"input_layers\": [\"i\", 0, 0], "
        "\"output_layers\": [[\"i\", 0, 0], [\"f\", 0, 0], [\"f\", 0, 0]]}}";
    assert_int_equal(open_json(json, &m, &err), CVS_OK);
    assert_int_equal(m->graph->n_outputs, 3);
    const cvi_value *first = &m->graph->values[m->graph->outputs[0]];
    assert_string_equal(first->name, "i/output");
    assert_int_equal(first->file_layout, CVI_FILE_LAST);
    assert_true(first->producer >= 0);
    cvs_model_free(m);
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *word, *node;
    } cases[] = {{"{\"class_name\": \"Sequential\", \"config\": {\"layers\": []}}", "list of layers", ""},
                 {"{\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Dense\", \"config\": "
                  "{\"units\": 3}}]}",
                  "shape", ""},
                 {"{\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Dense\", \"config\": "
                  "{\"name\": \"d\", \"units\": "
                  "-3, \"batch_input_shape\": [null, 4]}}]}",
                  "units", "d"},
                 {"{\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Conv2D\", \"config\": "
                  "{\"name\": \"c\", "
                  "\"filters\": 3, \"kernel_size\": [3, 3, 3], \"batch_input_shape\": [null, 4, 4, 1]}}]}",
                  "kernel_size", "c"},
                 {"{\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Conv2D\", \"config\": "
                  "{\"name\": \"c\", "
                  "\"filters\": 3, \"kernel_size\": 3, \"batch_input_shape\": [null, 4]}}]}",
                  "rank", "c"},
                 {"{\"class_name\": \"Model\", \"config\": {\"layers\": [{\"class_name\": \"InputLayer\", "
                  "\"name\": \"i\", \"config\": "
                  "{\"batch_input_shape\": [null, 4]}, \"inbound_nodes\": []}, {\"class_name\": \"Flatten\", "
                  "\"name\": \"a\", "
                  "\"config\": {}, \"inbound_nodes\": [[[\"b\", 0, 0]]]}, {\"class_name\": \"Flatten\", "
                  "\"name\": \"b\", \"config\": "
                  "{}, \"inbound_nodes\": [[[\"a\", 0, 0]]]}], \"input_layers\": [[\"i\", 0, 0]], "
                  "\"output_layers\": [[\"b\", 0, 0]]}}",
                  "circle", ""},
                 {"{\"class_name\": \"Model\", \"config\": {\"layers\": [{\"class_name\": \"InputLayer\", "
                  "\"name\": \"i\", \"config\": "
                  "{\"batch_input_shape\": [null, 4]}, \"inbound_nodes\": []}, {\"class_name\": \"Flatten\", "
                  "\"name\": \"a\", "
                  "\"config\": {}, \"inbound_nodes\": [[[\"x\", 0, 0]]]}], \"input_layers\": [[\"i\", 0, "
                  "0]], \"output_layers\": "
                  "[[\"a\", 0, 0]]}}",
                  "\"x\"", ""},
                 {"{\"class_name\": \"Model\", \"config\": {\"layers\": [{\"class_name\": \"InputLayer\", "
                  "\"name\": \"i\", \"config\": "
                  "{\"batch_input_shape\": [null, 4]}, \"inbound_nodes\": []}], \"input_layers\": [[\"i\", "
                  "0, 0]], \"output_layers\": "
                  "[[\"i\", 7, 0]]}}",
                  "call 7", ""},
                 {"{\"class_name\": \"Sequential\", \"config\": [{\"class_name\": \"Dense\", \"config\": "
                  "{\"name\": \"d\", \"units\": "
                  "3, \"batch_input_shape\": [null, null]}}]}",
                  "cannot be told", "d"}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        cvs_model *m = NULL;
        cvs_error err = {0};
        assert_int_not_equal(open_json(cases[i].json, &m, &err), CVS_OK);
        if (!strstr(err.message, cases[i].word) || !strstr(err.node, cases[i].node)) {
            fail_msg("case %d: \"%s\" (node %s) does not mention %s", i, err.message, err.node,
                     cases[i].word);
        }
    }
}

/* ---- damage ---- */

static const char *const damaged[] = {"k3_shared.h5", "k2_sequential.h5", "tfjs_uint8/model.json",
                                      "k3_stacked.json"};

static cvi_file read_fixture(const char *name) {
    char path[512];
    cvi_file file = {0};
    test_data(path, sizeof path, "keras", name);
    test_ok(cvi_file_read, path, NULL, &file);
    return file;
}

static void truncated(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(damaged); i++) {
        cvi_file file = read_fixture(damaged[i]);
        for (size_t n = 0; n < file.size; n += n < 1024 ? 37 : 331) {
            uint8_t *copy = malloc(n + 1);
            memcpy(copy, file.data, n);
            LLVMFuzzerTestOneInput(copy, n);
            free(copy);
        }
        cvi_file_close(&file);
    }
}

static void flipped(void **state) {
    (void)state;
    for (int i = 0; i < CVI_COUNT(damaged); i++) {
        cvi_file file = read_fixture(damaged[i]);
        uint8_t *copy = malloc(file.size);
        for (uint64_t k = 0; k < 250; k++) {
            memcpy(copy, file.data, file.size);
            for (uint64_t j = 0; j < 1 + k % 16; j++) {
                uint64_t r = cvi_random_bits(9, (uint64_t)i * 1000 + k, j);
                copy[r % file.size] ^= (uint8_t)(1u << (r >> 60 & 7));
            }
            LLVMFuzzerTestOneInput(copy, file.size);
        }
        free(copy);
        cvi_file_close(&file);
    }
}

/* Every k-th allocation fails once, and all after it, until opening gets through. */
static void no_memory(void **state) {
    (void)state;
    char path[3][512];
    test_data(path[0], sizeof path[0], "keras", "tfjs_uint8/model.json");
    test_data(path[1], sizeof path[1], "keras", "k3_opaque.h5");
    test_data(path[2], sizeof path[2], "keras", "k3_recurrent.h5");
    for (int i = 0; i < CVI_COUNT(path); i++) {
        int k = 0;
        for (bool failed = true; failed; k++) {
            cvs_model *m = NULL;
            cvs_error err = {0};
            test_fail_from(k, -1);
            cvs_status s = cvs_model_open(path[i], NULL, &m, &err);
            failed = test_failures.failed;
            cvi_set_hooks(NULL);
            assert_true(failed ? s != CVS_OK && strlen(err.message) > 0 : s == CVS_OK);
            cvs_model_free(m);
        }
        assert_true(k > 10);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(written_by_keras), cmocka_unit_test(tfjs_quantised),
                                       cmocka_unit_test(weights_apart),    cmocka_unit_test(application),
                                       cmocka_unit_test(tfjs_paths),       cmocka_unit_test(names_and_forms),
                                       cmocka_unit_test(unknown_layers),   cmocka_unit_test(real_models),
                                       cmocka_unit_test(keras_1),          cmocka_unit_test(input_is_output),
                                       cmocka_unit_test(refused),          cmocka_unit_test(truncated),
                                       cmocka_unit_test(flipped),          cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
