/* SPDX-License-Identifier: MIT
 * test_tensorflow.c - TensorFlow graphs: a frozen GraphDef and a SavedModel that TensorFlow wrote (tests/data/tensorflow,
 * tools/make_tensorflow_fixtures.py) give TensorFlow's outputs; the real models of ../shared, TensorFlow.js graph models among them;
 * branches decided in the file, unknown operations, loops; damage of every kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../fuzz/fuzz_tensorflow.c"
#include "reader_harness.h"

static void fixture(char *path, size_t size, const char *name) {
    test_data(path, size, "tensorflow", name);
}

static void written_by_tensorflow(void **state) {
    (void)state;
    const char *const models[] = {"frozen.pb", "saved", "saved/saved_model.pb"};
    char model[512], in[512], out[512];
    fixture(in, sizeof in, "graph.in.npy");
    fixture(out, sizeof out, "graph.out.npy");
    for (int i = 0; i < CVI_COUNT(models); i++) {
        fixture(model, sizeof model, models[i]);
        reader_matches(model, NULL, in, out, 2e-6);
    }
    fixture(model, sizeof model, "more.pb"); /* Einsum, transposed convolution in three dimensions */
    fixture(out, sizeof out, "more.out.npy");
    reader_matches(model, NULL, in, out, 2e-6);
    fixture(model, sizeof model,
            "heads.pb"); /* what stands behind detectors: indices, suppression, scattering */
    fixture(in, sizeof in, "heads.in.npy");
    fixture(out, sizeof out, "heads.out.npy");
    reader_matches(model, NULL, in, out, 2e-6);
    fixture(model, sizeof model,
            "turns.pb"); /* a loop that the file decides, and the lists that it reads and fills */
    fixture(in, sizeof in, "turns.in.npy");
    fixture(out, sizeof out, "turns.out.npy");
    reader_matches(model, NULL, in, out, 2e-6);
}

/* A SavedModel that answers two questions: the usual one with a note that names the other, each by its name; a wrong name is told the right ones. */
static void signatures(void **state) {
    (void)state;
    char model[512], in[512], scores[512], embed[512], plain[512];
    fixture(model, sizeof model, "signatures");
    fixture(in, sizeof in, "graph.in.npy");
    fixture(scores, sizeof scores, "signatures.scores.npy");
    fixture(embed, sizeof embed, "signatures.embed.npy");
    reader_matches(model, NULL, in, scores, 2e-6);
    reader_matches(model, &(cvs_open_options){.signature = "serving_default"}, in, scores, 2e-6);
    reader_matches(model, &(cvs_open_options){.signature = "embed"}, in, embed, 2e-6);

    static const char *const told[][2] = {
        {NULL, "this is the signature serving_default; the file also has: embed"},
        {"embed", "this is the signature embed; the file also has: serving_default"}};
    for (int i = 0; i < CVI_COUNT(told); i++) {
        cvs_model *m = reader_open(model, &(cvs_open_options){.signature = told[i][0]});
        bool found = false;
        for (int k = 0; k < m->n_notes; k++) {
            found = found || strcmp(m->notes[k], told[i][1]) == 0;
        }
        assert_true(found);
        cvs_model_free(m);
    }

    fixture(plain, sizeof plain, "frozen.pb");
    const char *const wrong[][3] = {
        {model, "classify", "serving_default"}, /* no signature, though a function */
        {model, "version", "embed"},            /* nothing goes in */
        {plain, "embed", "no signatures"}};
    for (int i = 0; i < CVI_COUNT(wrong); i++) {
        for (cvs_lang lang = CVS_EN; lang <= CVS_ZH; lang++) {
            cvs_error err = {0};
            cvs_model *m = NULL;
            const cvs_open_options options = {.signature = wrong[i][1], .lang = lang};
            assert_int_equal(cvs_model_open(wrong[i][0], &options, &m, &err),
                             i < 2 ? CVS_E_NOT_FOUND : CVS_E_ARGUMENT);
            assert_null(m);
            assert_true(lang == CVS_ZH || strstr(err.message, wrong[i][2]) != NULL);
        }
    }
}

static void real_models(void **state) {
    (void)state;
    const char *const models[][2] = {
        {"data/models/tf-frozen/lenet-tensorspace/frozen_model.pb",
         "data/goldens/tf-frozen_lenet-tensorspace"},
        {"data/models/tfjs-graph/lenet-tensorspace/model.json", "data/goldens/tfjs-graph_lenet-tensorspace"},
        {"data/models/tfjs-graph/emotion-human/emotion.json", "data/goldens/tfjs-graph_emotion-human"}};
    for (int i = 0; i < CVI_COUNT(models); i++) {
        char model[512], gold[512], in[600], out[600];
        if (!test_shared(model, sizeof model, models[i][0]) ||
            !test_shared(gold, sizeof gold, models[i][1])) {
            print_message("skipped: %s is not there\n", models[i][0]);
            skip();
        }
        snprintf(in, sizeof in, "%s/input.npy", gold);
        snprintf(out, sizeof out, "%s/output.npy", gold);
        reader_matches(model, NULL, in, out, 1e-6);
    }
}

/* ---- small graphs as TensorFlow.js writes them ---- */

#define GRAPH(nodes) "{\"modelTopology\": {\"node\": [" nodes "]}, \"weightsManifest\": []}"
#define INPUT                                                                                                \
    "{\"name\": \"x\", \"op\": \"Placeholder\", \"attr\": {\"dtype\": {\"type\": \"DT_FLOAT\"}, \"shape\": " \
    "{\"shape\": {\"dim\": [{\"size\": \"-1\"}, {\"size\": \"2\"}, {\"size\": \"2\"}, {\"size\": "           \
    "\"3\"}]}}}},"
#define NUMBER(name, type, key, value)                                                                       \
    "{\"name\": \"" name "\", \"op\": \"Const\", \"attr\": {\"value\": {\"tensor\": {\"dtype\": \"" type     \
    "\", \"tensorShape\": {}, \"" key "\": [" value "]}}}},"

#define INTS(name, value)                                                                                    \
    "{\"name\": \"" name                                                                                     \
    "\", \"op\": \"Const\", \"attr\": {\"value\": {\"tensor\": {\"dtype\": \"DT_INT32\", "                   \
    "\"tensorShape\": {\"dim\": [{\"size\": \"1\"}]}, \"intVal\": [" value "]}}}},"

static cvs_model *open_text(const char *text) {
    cvs_error err = {0};
    cvs_model *m = NULL;
    if (cvs_model_open_memory(text, strlen(text), "model.json", NULL, &m, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    return m;
}

static bool has_op(const cvs_model *m, const char *op) {
    for (int n = 0; n < m->graph->n_nodes; n++) {
        if (strcmp(m->graph->nodes[n].op, op) == 0) {
            return true;
        }
    }
    return false;
}

/* Weights that cannot be used where they lie (rounded ones, and those at an odd place behind them) keep shape and type. */
static void shards_that_are_copied(void **state) {
    (void)state;
    static const char text[] =
        "{\"modelTopology\": {\"node\": [" INPUT
        "{\"name\": \"w\", \"op\": \"Const\", \"attr\": {\"value\": {\"tensor\": {\"dtype\": \"DT_FLOAT\", "
        "\"tensorShape\": {\"dim\": [{\"size\": \"3\"}]}}}}},"
        "{\"name\": \"axes\", \"op\": \"Const\", \"attr\": {\"value\": {\"tensor\": {\"dtype\": "
        "\"DT_INT32\", "
        "\"tensorShape\": {\"dim\": [{\"size\": \"2\"}]}}}}},"
        "{\"name\": \"m\", \"op\": \"Mean\", \"input\": [\"x\", \"axes\"]},"
        "{\"name\": \"y\", \"op\": \"AddV2\", \"input\": [\"m\", \"w\"]}]},"
        "\"weightsManifest\": [{\"paths\": [\"w.bin\"], \"weights\": ["
        "{\"name\": \"w\", \"shape\": [3], \"dtype\": \"float32\", \"quantization\": {\"dtype\": \"uint8\", "
        "\"scale\": 0.5, \"min\": -1}}, {\"name\": \"axes\", \"shape\": [2], \"dtype\": \"int32\"}]}]}";
    static const uint8_t bytes[11] = {0, 2, 4, 1, 0, 0, 0, 2, 0, 0, 0};
    char folder[256], path[400];
    cvs_model *m = NULL;
    cvs_error err = {0};
    test_folder(folder);
    snprintf(path, sizeof path, "%s/w.bin", folder);
    assert_int_equal(cvi_file_write(path, bytes, sizeof bytes, NULL), CVS_OK);
    snprintf(path, sizeof path, "%s/model.json", folder);
    assert_int_equal(cvi_file_write(path, text, strlen(text), NULL), CVS_OK);
    if (cvs_model_open(path, NULL, &m, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    int w = cvi_graph_find(m->graph, "w");
    assert_true(w >= 0 && m->graph->values[w].constant);
    const cvs_tensor *c = m->graph->values[w].constant;
    assert_int_equal(c->rank, 1);
    assert_int_equal(c->dim[0], 3);
    assert_true(cvi_get(c, 0) == -1 && cvi_get(c, 1) == 0 && cvi_get(c, 2) == 1);
    cvs_model_free(m);
    remove(path);
    snprintf(path, sizeof path, "%s/w.bin", folder);
    remove(path);
    remove(folder);
}

/* A model.json whose weights nobody saved: its architecture, and a note that names the file. */
static void shards_that_are_not_there(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"modelTopology\": {\"node\": [" INPUT
        "{\"name\": \"w\", \"op\": \"Const\", \"attr\": {\"value\": {\"tensor\": {\"dtype\": \"DT_FLOAT\", "
        "\"tensorShape\": {\"dim\": [{\"size\": \"3\"}]}}}}},"
        "{\"name\": \"y\", \"op\": \"BiasAdd\", \"input\": [\"x\", \"w\"]}]}, \"weightsManifest\": "
        "[{\"paths\": "
        "[\"%s\"], \"weights\": [{\"name\": \"w\", \"shape\": [3], \"dtype\": \"float32\"}]}]}",
        "{\"modelTopology\": {\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": "
        "[{\"class_name\": "
        "\"Dense\", \"config\": {\"name\": \"d\", \"units\": 2, \"batch_input_shape\": [null, 3]}}]}}, "
        "\"weightsManifest\": "
        "[{\"paths\": [\"%s\"], \"weights\": [{\"name\": \"d/kernel\", \"shape\": [3, 2], \"dtype\": "
        "\"float32\"}]}]}"};
    char folder[256], path[400], text[1200];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/model.json", folder);
    for (int i = 0; i < 4; i++) {
        cvs_model *m = NULL;
        cvs_error err = {0};
        snprintf(text, sizeof text, texts[i % 2], i < 2 ? "gone.bin" : "../gone.bin");
        assert_int_equal(cvi_file_write(path, text, strlen(text), NULL), CVS_OK);
        cvs_status s = cvs_model_open(path, NULL, &m, &err);
        assert_int_equal(s, i < 2 ? CVS_OK : CVS_E_FORMAT); /* a path that leads outside stays refused */
        if (s == CVS_OK) {
            assert_false(m->has_weights);
            assert_int_equal(m->n_notes, 1);
            assert_non_null(strstr(m->notes[0], "gone.bin"));
            assert_int_equal(m->graph->n_outputs, 1);
        }
        cvs_model_free(m);
    }
    remove(path);
    remove(folder);
}

/* A loop of TensorFlow 1 opens: its turns are not followed, what stands behind it is there. */
static void loops_open(void **state) {
    (void)state;
    cvs_model *m = open_text(GRAPH(INPUT "{\"name\": \"e\", \"op\": \"Enter\", \"input\": [\"x\"]},"
                                         "{\"name\": \"m\", \"op\": \"Merge\", \"input\": [\"e\", \"n\"]},"
                                         "{\"name\": \"c\", \"op\": \"LoopCond\", \"input\": [\"m:1\"]},"
                                         "{\"name\": \"s\", \"op\": \"Switch\", \"input\": [\"m\", \"c\"]},"
                                         "{\"name\": \"i\", \"op\": \"Tanh\", \"input\": [\"s:1\"]},"
                                         "{\"name\": \"n\", \"op\": \"NextIteration\", \"input\": [\"i\"]},"
                                         "{\"name\": \"o\", \"op\": \"Exit\", \"input\": [\"s\"]},"
                                         "{\"name\": \"y\", \"op\": \"Relu\", \"input\": [\"o\"]}"));
    assert_true(has_op(m, "Relu"));
    assert_true(has_op(m, "tf::Merge"));
    cvs_model_free(m);
}

/* Many unknown operations: all outputs that are read are there, however many boxes stand before. */
static void many_boxes(void **state) {
    (void)state;
    cvi_buf b = {0};
    static const char head[] = "{\"modelTopology\": {\"node\": [" INPUT,
                      tail[] = "]}, \"weightsManifest\": []}";
    cvi_buf_add(&b, head, sizeof head - 1);
    for (int i = 0; i < 100; i++) {
        char node[200], input[20] = "x";
        if (i) {
            snprintf(input, sizeof input, "b%d:1", i - 1);
        }
        int n = snprintf(node, sizeof node, "%s{\"name\": \"b%d\", \"op\": \"Bogus\", \"input\": [\"%s\"]}",
                         i ? "," : "", i, input);
        cvi_buf_add(&b, node, (size_t)n);
    }
    cvi_buf_add(&b, tail, sizeof tail); /* with its end */
    cvs_model *m = open_text((const char *)b.data);
    assert_true(m->graph->n_nodes >= 100);
    cvs_model_free(m);
    cvi_buf_free(&b);
}

/* Networks that were converted from other libraries keep channels first; a double is a float in TensorFlow.js. */
static void planes_and_doubles(void **state) {
    (void)state;
    cvs_model *m = open_text(GRAPH(
        "{\"name\": \"x\", \"op\": \"Placeholder\", \"attr\": {\"dtype\": {\"type\": \"DT_FLOAT\"}, "
        "\"shape\": "
        "{\"shape\": {\"dim\": [{\"size\": \"1\"}, {\"size\": \"3\"}, {\"size\": \"8\"}, {\"size\": "
        "\"9\"}]}}}},"
        "{\"name\": \"d\", \"op\": \"Cast\", \"input\": [\"x\"], \"attr\": {\"DstT\": {\"type\": "
        "\"DT_DOUBLE\"}}}," NUMBER("k", "DT_FLOAT", "floatVal", "2") "{\"name\": \"y\", \"op\": \"Mul\", "
                                                                     "\"input\": [\"d\", \"k\"]}"));
    const cvi_value *v = &m->graph->values[m->graph->inputs[0]];
    assert_int_equal(v->dim[1], 3);
    assert_int_equal(v->dim[3], 9);
    assert_int_equal(v->file_layout, CVI_FILE_SAME);
    cvs_model_free(m);
}

/* A branch that the file decides leaves only the side that is taken. */
static void branches(void **state) {
    (void)state;
    cvs_model *m = open_text(
        GRAPH(INPUT NUMBER("learning", "DT_BOOL", "boolVal",
                           "false") "{\"name\": \"s\", \"op\": \"Switch\", \"input\": [\"x\", \"learning\"]},"
                                    "{\"name\": \"a\", \"op\": \"Tanh\", \"input\": [\"s:1\"]},"
                                    "{\"name\": \"b\", \"op\": \"Relu\", \"input\": [\"s\"]},"
                                    "{\"name\": \"y\", \"op\": \"Merge\", \"input\": [\"a\", \"b\"]}"));
    assert_true(has_op(m, "Relu"));
    assert_false(has_op(m, "Tanh"));
    assert_int_equal(m->graph->values[m->graph->inputs[0]].file_layout, CVI_FILE_LAST);
    assert_int_equal(m->graph->values[m->graph->inputs[0]].dim[1], 3);
    cvs_model_free(m);
}

/* What is not known is drawn and stops a run; what comes behind it opens too. */
static void unknown_operations(void **state) {
    (void)state;
    cvs_error err = {0};
    cvs_run *run = NULL;
    cvs_model *m = open_text(GRAPH(INPUT "{\"name\": \"u\", \"op\": \"Bogus\", \"input\": [\"x\"]},"
                                         "{\"name\": \"p\", \"op\": \"MaxPool\", \"input\": [\"u:2\"]},"
                                         "{\"name\": \"y\", \"op\": \"Relu\", \"input\": [\"p\"]}"));
    assert_true(has_op(m, "tf::Bogus"));
    assert_true(has_op(m, "Relu"));
    const float pixels[12] = {0};
    cvs_tensor in = {.dtype = CVS_F32, .rank = 4, .dim = {1, 3, 2, 2}, .bytes = sizeof pixels};
    union {
        const float *from;
        void *to;
    } borrow = {.from = pixels};
    in.data = borrow.to;
    if (cvs_run_new(m, NULL, &run, &err) == CVS_OK) {
        assert_int_not_equal(cvs_run_tensors(run, &in, 1, &err), CVS_OK);
    }
    assert_non_null(strstr(err.message, "tf::Bogus"));
    cvs_run_free(run);
    cvs_model_free(m);
}

/* Sides that the file leaves free are never taken for known: what is computed from them is computed while running. */
static void free_sides(void **state) {
    (void)state;
    cvs_error err = {0};
    cvs_run *run = NULL;
    cvs_model *m = open_text(GRAPH(
        "{\"name\": \"x\", \"op\": \"Placeholder\", \"attr\": {\"dtype\": {\"type\": \"DT_FLOAT\"}, "
        "\"shape\": {\"shape\": {\"dim\": "
        "[{\"size\": \"-1\"}, {\"size\": \"-1\"}, {\"size\": \"-1\"}, {\"size\": \"3\"}]}}}},"
        "{\"name\": \"s\", \"op\": \"Shape\", \"input\": [\"x\"]}," INTS("b", "1") INTS("e", "3") INTS("o",
                                                                                                       "1")
            INTS("two",
                 "2") "{\"name\": \"hw\", \"op\": \"StridedSlice\", \"input\": [\"s\", \"b\", \"e\", \"o\"]},"
                      "{\"name\": \"to\", \"op\": \"Mul\", \"input\": [\"hw\", \"two\"]},"
                      "{\"name\": \"y\", \"op\": \"ResizeNearestNeighbor\", \"input\": [\"x\", \"to\"]}"));
    for (int64_t side = 4; side <= 6; side += 2) {
        const int64_t dim[4] = {1, 3, side, side + 1};
        cvs_tensor in = {0}, out = {0};
        assert_int_equal(cvs_tensor_new(&in, CVS_F32, 4, dim, &err), CVS_OK);
        assert_int_equal(cvs_run_new(m, NULL, &run, &err), CVS_OK);
        assert_int_equal(cvs_run_tensors(run, &in, 1, &err), CVS_OK);
        assert_int_equal(cvs_run_output(run, 0, &out, &err), CVS_OK);
        assert_int_equal(out.dim[2], 2 * side);
        assert_int_equal(out.dim[3], 2 * side + 2);
        cvs_run_free(run);
        cvs_tensor_free(&in);
    }
    cvs_model_free(m);
}

static void refuses(const char *text, const char *words) {
    reader_refuses(text, strlen(text), words);
}

static void refused(void **state) {
    (void)state;
    refuses(GRAPH("{\"name\": \"a\", \"op\": \"Relu\", \"input\": [\"b\"]},"
                  "{\"name\": \"b\", \"op\": \"Relu\", \"input\": [\"a\"]},"
                  "{\"name\": \"c\", \"op\": \"Relu\", \"input\": [\"a\"]}"),
            "cycle");
    refuses(GRAPH(INPUT "{\"name\": \"a\", \"op\": \"Relu\", \"input\": [\"nobody\"]}"), "made by no node");
    refuses(GRAPH(INPUT INPUT "{\"name\": \"a\", \"op\": \"Relu\", \"input\": [\"x\"]}"), "two nodes");
    refuses(GRAPH(INPUT "{\"name\": \"a\", \"op\": \"Relu\", \"input\": [\"x:7\"]}"), "no output 7");
    /* a function that calls itself twice: without a limit this would never end */
    refuses("{\"modelTopology\": {\"node\": [" INPUT
            "{\"name\": \"y\", \"op\": \"PartitionedCall\", \"input\": [\"x\"], \"attr\": {\"f\": {\"func\": "
            "{\"name\": \"f\"}}}}],"
            "\"library\": {\"function\": [{\"signature\": {\"name\": \"f\", \"inputArg\": [{\"name\": "
            "\"t\"}], \"outputArg\": "
            "[{\"name\": \"r\"}]}, \"nodeDef\": ["
            "{\"name\": \"c\", \"op\": \"PartitionedCall\", \"input\": [\"t\"], \"attr\": {\"f\": {\"func\": "
            "{\"name\": \"f\"}}}},"
            "{\"name\": \"d\", \"op\": \"PartitionedCall\", \"input\": [\"c:output:0\"], \"attr\": {\"f\": "
            "{\"func\": {\"name\": \"f\"}}}}],"
            "\"ret\": {\"r\": \"d:output:0\"}}]}}, \"weightsManifest\": []}",
            "call each other");
    refuses(GRAPH(INPUT
                  "{\"name\": \"k\", \"op\": \"Const\", \"attr\": {\"value\": {\"tensor\": {\"dtype\": "
                  "\"DT_FLOAT\", "
                  "\"tensorShape\": {\"dim\": [{\"size\": \"9223372036854775807\"}, {\"size\": \"4\"}]}}}}},"
                  "{\"name\": \"y\", \"op\": \"Mul\", \"input\": [\"x\", \"k\"]}"),
            "impossible shape");
}

static void damaged(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "frozen.pb");
    reader_damage(path, LLVMFuzzerTestOneInput, 997, 150);
    fixture(path, sizeof path, "saved/variables/variables.index");
    reader_damage(path, LLVMFuzzerTestOneInput, 7, 600);
    fixture(path, sizeof path, "saved/saved_model.pb");
    reader_damage(path, LLVMFuzzerTestOneInput, 9973, 40);
    fixture(path, sizeof path, "turns.pb");
    reader_damage(path, LLVMFuzzerTestOneInput, 97, 400);
}

static void no_memory(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "frozen.pb");
    reader_no_memory(path, NULL, 1);
    fixture(path, sizeof path, "turns.pb");
    reader_no_memory(path, NULL, 7);
    fixture(path, sizeof path, "saved");
    reader_no_memory(path, NULL, 3);
    fixture(path, sizeof path, "signatures");
    reader_no_memory(path, &(cvs_open_options){.signature = "embed"}, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(written_by_tensorflow),
                                       cmocka_unit_test(signatures),
                                       cmocka_unit_test(real_models),
                                       cmocka_unit_test(shards_that_are_copied),
                                       cmocka_unit_test(shards_that_are_not_there),
                                       cmocka_unit_test(loops_open),
                                       cmocka_unit_test(many_boxes),
                                       cmocka_unit_test(planes_and_doubles),
                                       cmocka_unit_test(branches),
                                       cmocka_unit_test(unknown_operations),
                                       cmocka_unit_test(free_sides),
                                       cmocka_unit_test(refused),
                                       cmocka_unit_test(damaged),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
