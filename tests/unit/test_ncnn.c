/* SPDX-License-Identifier: MIT
 * test_ncnn.c - the ncnn reader: the real face detector of ../shared against ONNX Runtime's outputs; a small net with half-precision weights,
 * shuffled channels and fused activations against numbers from NumPy; mistakes told at their line; damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../fuzz/fuzz_ncnn.c"
#include "reader_harness.h"

static void fixture(char *path, size_t size, const char *name) {
    test_data(path, size, "ncnn", name);
}

static void small_net(void **state) {
    (void)state;
    char param[512], in[512], out[512];
    fixture(param, sizeof param, "small.param");
    fixture(in, sizeof in, "small.in.npy");
    fixture(out, sizeof out, "small.out.npy");
    reader_matches(param, NULL, in, out, 2e-6);
}

/* The same net as a binary .param (ncnn 20261020 loads it): blobs are numbers, the outputs the same. */
static void binary_net(void **state) {
    (void)state;
    char param[512], weights[512], in[512], out[512];
    fixture(param, sizeof param, "binary/small.param.bin");
    fixture(weights, sizeof weights, "small.bin");
    fixture(in, sizeof in, "small.in.npy");
    fixture(out, sizeof out, "small.out.npy");
    const cvs_open_options options = {.weights = weights};
    reader_matches(param, &options, in, out, 2e-6);
    cvs_model *m = reader_open(param, &options);
    assert_string_equal(m->graph->values[m->graph->outputs[0]].name, "blob11");
    assert_non_null(strstr(m->notes[0], "no names"));
    cvs_model_free(m);
    reader_damage(param, LLVMFuzzerTestOneInput, 7, 400);
    reader_no_memory(param, NULL, 7);
}

/* Words of 32 bits as a file. */
static void refuses_words(int n, const int32_t *v, const char *words) {
    reader_refuses(v, (size_t)n * sizeof *v, words);
}

static void binary_mistakes(void **state) {
    (void)state;
#define IN 7767517, 2, 2, 16, 0, 1, 0, 0, 8, 1, 8, 2, 3, -233 /* Input */
    refuses_words(18, (const int32_t[]){IN, 26, 1, 1, 0}, "ends within a layer");
    refuses_words(18, (const int32_t[]){IN, 26, 1 << 20, 1, 0}, "a count of 1048576");
    refuses_words(18, (const int32_t[]){IN, 26, -1, 1, 0}, "a count of -1");
    refuses_words(22, (const int32_t[]){IN, 26, 1, 1, 5, 1, -233, 0, 0}, "made by no node");
    refuses_words(22, (const int32_t[]){IN, 26, 1, 1, 0, 1, 5000, 0, -233}, "no setting 5000");
    refuses_words(22, (const int32_t[]){IN, 26, 1, 1, 0, 1, -23310, 1 << 20, -233}, "a count of 1048576");
    refuses_words(22, (const int32_t[]){IN, 26, 1, 1, 0, 1, -23406, 300, -233}, "a count of 300");
#undef IN
}

static void real_detector(void **state) {
    (void)state;
    char model[512], gold[512], pixels[600], input[300], out[600], folder[256];
    const char *const names[] = {"scores", "boxes"};
    if (!test_shared(model, sizeof model, "data/models/ncnn/slim-320/slim_320.param") ||
        !test_shared(gold, sizeof gold, "data/goldens/slim-320")) {
        print_message("skipped: the detector is not there\n");
        skip();
    }
    snprintf(pixels, sizeof pixels, "%s/pixels.npy", gold);
    test_folder(folder);
    snprintf(input, sizeof input, "%s/in.npy", folder);
    reader_planes(pixels, 240, 320, 127, 128, input);
    cvs_model *m = reader_open(model, NULL);
    for (int i = 0; i < 2; i++) {
        cvs_tensor got = reader_run(m, input, names[i]);
        snprintf(out, sizeof out, "%s/%s.npy", gold, names[i]);
        if (i == 0) { /* the boxes are decoded outside of this file */
            reader_compare(names[i], &got, out, 2e-5);
        } else {
            assert_int_equal(cvs_tensor_count(&got), 4420 * 4);
        }
        cvs_tensor_free(&got);
    }
    cvs_model_free(m);
    remove(input);
    remove(folder);
}

static void refuses(const char *text, const char *words, int line) {
    reader_refuses_at(text, "test.param", words, line);
}

#define HEAD  "7767517\n2 2\n"
#define INPUT "Input x 0 1 x 0=8 1=8 2=3\n"

static void mistakes(void **state) {
    (void)state;
    refuses("7767517\n99999999 2\n" INPUT, "cannot be in this file", 2);
    refuses(HEAD INPUT "ReLU a 1 1 x\n", "fewer blobs", 4);
    refuses(HEAD INPUT "ReLU a 1 1 nobody a\n", "made by no node", 4);
    refuses(HEAD INPUT "Convolution a 1 1 x a 0=4 1=3 6=100\n", "weights do not fit", 4);
    refuses(HEAD INPUT "Convolution a 1 1 x a 0=4 1=-3 6=108\n", "negative", 4);
    refuses(HEAD INPUT "ReLU x2 1 1 x x\n", "made twice", 4);
    refuses(HEAD INPUT "ReLU a 1 1 x a what\n", "not understood", 4);
}

/* Layers beyond the small net's, whole numbers as weights among them; every expected number is of ncnn 20261020. */
static void more_layers(void **state) {
    (void)state;
    static const char *const names[] = {"c2", "d1", "k3", "l1", "p1", "e1", "f1", "y1"};
    char param[512], in[512], out[512], file[32];
    fixture(param, sizeof param, "more.param");
    fixture(in, sizeof in, "more.in.npy");
    cvs_model *m = reader_open(param, NULL);
    for (int i = 0; i < CVI_COUNT(names); i++) {
        cvs_tensor got = reader_run(m, in, names[i]);
        snprintf(file, sizeof file, "more.%s.npy", names[i]);
        fixture(out, sizeof out, file);
        reader_compare(names[i], &got, out, 3e-6);
        cvs_tensor_free(&got);
    }
    cvs_model_free(m);
}

/* The layers that pnnx writes, side by side, each flattened and all joined: attention, products, sizes by expressions, windows as columns,
 * broadcasting, moves; the numbers are of ncnn 20261020. */
static void layers_of_pnnx(void **state) {
    (void)state;
    char param[512], in[512], out[512];
    fixture(param, sizeof param, "pnnx.param");
    fixture(in, sizeof in, "pnnx.in.npy");
    fixture(out, sizeof out, "pnnx.all.npy");
    reader_matches(param, NULL, in, out, 1e-6);
    reader_no_memory(param, NULL, 499);
    reader_damage(param, LLVMFuzzerTestOneInput, 97, 60);
}

/* Detections of both kinds as the package ncnn 20261020 finds them, best first; and three recurrent layers, both directions among them. */
static void detectors_and_recurrent(void **state) {
    (void)state;
    static const char *const names[] = {"ssd", "yolo", "recurrent"};
    for (int i = 0; i < 3; i++) {
        char param[512], in[512], out[512], file[32];
        snprintf(file, sizeof file, "%s.param", names[i]);
        fixture(param, sizeof param, file);
        snprintf(file, sizeof file, "%s.in.npy", names[i]);
        fixture(in, sizeof in, file);
        snprintf(file, sizeof file, "%s.out.npy", names[i]);
        fixture(out, sizeof out, file);
        reader_matches(param, NULL, in, out, 1e-6);
        reader_no_memory(param, NULL, 29);
        reader_damage(param, LLVMFuzzerTestOneInput, 37, 100);
    }
}

/* The input's size where the file does not tell it, from the layers behind. */
static void input_is(const char *layers, int64_t height, int64_t asked, const char *shape) {
    char text[700], got[128];
    cvs_error err = {0};
    cvs_model *m = NULL;
    const cvs_open_options options = {.height = asked, .width = asked};
    snprintf(text, sizeof text, "7767517\n3 3\nInput x 0 1 x\n%s", layers);
    if (cvs_model_open_memory(text, strlen(text), "test.param", &options, &m, &err) != CVS_OK) {
        fail_msg("%s", err.message);
    }
    const cvi_value *v = &m->graph->values[m->graph->inputs[0]];
    assert_string_equal(cvs_shape_text(v->rank, v->dim, got, sizeof got), shape);
    assert_int_equal(v->usual[2], height);
    assert_int_equal(m->size_guessed, v->rank == 4 && v->dim[2] > 0 && asked == 0);
    cvs_model_free(m);
}

static void untold_sizes(void **state) {
    (void)state;
#define CONV "Convolution c 1 1 x c 0=8 1=3 11=3 3=2 4=1 6=360\n" /* five channels */
    input_is(CONV "Pooling p 1 1 c p 0=1 4=1\n", 224, 0, "?x5x?x?");
    input_is(CONV "Reshape r 1 1 c r 0=102400 1=8\n", 0, 0, "?x5x640x640");
    input_is(CONV "Reshape r 1 1 c r 0=1600 1=8\n", 0, 0, "?x5x80x80");
    input_is(CONV "Reshape r 1 1 c r 0=1600 1=8\n", 0, 79, "?x5x79x79");
    input_is(CONV "InnerProduct f 1 1 c f 0=5 2=501760\n", 0, 0, "?x5x224x224"); /* also usual */
    input_is(CONV "Reshape r 1 1 c r 0=7 1=11\n", 224, 0, "?x5x?x?");            /* fits nowhere */
    input_is("ReLU r 1 1 x r\nInnerProduct f 1 1 r f 0=5 2=35\n", 0, 0, "?x7");
    input_is("LayerNorm l 1 1 x l 0=12\nMultiHeadAttention a 1 1 l a 0=12 1=3 2=144\n", 0, 0, "?x?x12");
    input_is("Convolution1D c 1 1 x c 0=4 1=3 6=60\nReLU r 1 1 c r\n", 0, 0, "?x5x?");
    input_is("Embed e 1 1 x e 0=4 1=20 3=80\nReLU r 1 1 e r\n", 0, 0, "?x?");
#undef CONV
}

/* Behind a layer whose count of numbers is not known there are none, and that is told. */
static void numbers_behind_a_box(void **state) {
    (void)state;
    static const char *const middle[] = {"Own o 1 1 x o", "Diag o 1 1 x o"};
    char folder[256], param[400], weights[400], text[300];
    float numbers[3] = {1, 2, 3};
    cvs_error err = {0};
    test_folder(folder);
    snprintf(param, sizeof param, "%s/a.param", folder);
    snprintf(weights, sizeof weights, "%s/a.bin", folder);
    test_ok(cvi_file_write, weights, numbers, sizeof numbers);
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "7767517\n3 3\n" INPUT "%s\nBias y 1 1 o y 0=3\n", middle[i]);
        test_ok(cvi_file_write, param, text, strlen(text));
        cvs_model *m = reader_open(param, NULL);
        int v = cvi_graph_find(m->graph, "y.bias");
        assert_true(v >= 0);
        assert_int_equal(m->n_notes, i == 0);
        assert_int_equal(m->graph->values[v].constant->data != NULL, i == 1);
        cvs_model_free(m);
    }
    test_remove(folder);
    (void)err;
}

/* A form that is not run is a box, and the rest opens. */
static void boxed(const char *line) {
    char text[400];
    cvs_error err = {0};
    cvs_model *m = NULL;
    snprintf(text, sizeof text, "7767517\n2 2\n" INPUT "%s\n", line);
    if (cvs_model_open_memory(text, strlen(text), "test.param", NULL, &m, &err) != CVS_OK) {
        fail_msg("%s: %s", line, err.message);
    }
    assert_int_equal(m->graph->n_nodes, 1);
    assert_memory_equal(m->graph->nodes[0].op, "ncnn::", 6);
    cvs_model_free(m);
}

static void forms_not_run(void **state) {
    (void)state;
    boxed("Reshape r 1 1 x y 6=\"0w,0h,9c\"");
    boxed("Reshape r 1 1 x y 6=\"/(0w,0)\"");
    boxed("Reshape r 1 1 x y 6=\"*(0w\"");
    boxed("Reshape r 1 1 x y 6=\"*(1e30,1e30)\"");
    boxed("Reshape r 1 1 x y 0=4 1=-7");
    boxed("Crop c 1 1 x y 19=\"1\" 20=\"2,3\"");
    boxed("UnaryOp u 1 1 x y 0=19");
    boxed("UnaryOp u 1 1 x y 0=99");
    boxed("BinaryOp b 1 1 x y 0=10 1=1 2=3");
    boxed("MultiHeadAttention a 1 1 x y 0=12 1=5 2=144");
    boxed("Einsum e 1 1 x y 0=1");
    boxed("Unfold u 1 1 x y 1=900000");
    boxed("Flip f 1 1 x y -23300=9,0,1,2,3,4,5,6,7,8");
    boxed("Tile t 1 1 x y -23302=1,1e30");
    boxed("Pooling p 1 1 x y 7=1 8=100");
    boxed("LayerNorm l 1 1 x y 0=7");
    boxed("Gemm g 1 1 x y");
    boxed("PriorBox p 1 1 x y 0=3 9=-233 10=-233");
    boxed("PriorBox p 1 1 x y -23300=1,3.0 -23301=2,4.0,5.0 9=8 10=8");
    boxed("DetectionOutput d 1 1 x y 0=-233");
    boxed("Yolov3DetectionOutput y 1 1 x y 0=3 1=1 -23304=1,1.0 -23305=1,0 -23306=1,32");
    boxed("Yolov3DetectionOutput y 1 1 x y 0=-8 1=3");
    boxed("LSTM l 1 1 x y 0=4 1=160 2=0");
    boxed("LSTM l 1 1 x y 0=2000000000 1=2000000000 2=2");
    boxed("GRU g 1 1 x y 0=4 1=7 2=5");
}

/* ncnn reads as many layers as the file announces; real files have more lines. */
static void behind_the_announced(void **state) {
    (void)state;
    const char *text = HEAD INPUT "ReLU y 1 1 x y\nNoop z 1 1 y z\n";
    cvs_error err = {0};
    cvs_model *m = NULL;
    assert_int_equal(cvs_model_open_memory(text, strlen(text), "test.param", NULL, &m, &err), CVS_OK);
    assert_int_equal(m->graph->n_nodes, 1);
    assert_int_equal(m->n_notes, 1);
    assert_non_null(strstr(m->notes[0], "line 5"));
    cvs_model_free(m);
}

/* What is not known is drawn; the rest opens. */
static void unknown_layers(void **state) {
    (void)state;
    const char *text = "7767517\n3 3\n" INPUT "Bogus b 1 1 x b 0=1\nReLU y 1 1 b y\n";
    cvs_error err = {0};
    cvs_model *m = NULL;
    assert_int_equal(cvs_model_open_memory(text, strlen(text), "test.param", NULL, &m, &err), CVS_OK);
    assert_string_equal(m->graph->nodes[0].op, "ncnn::Bogus");
    assert_int_equal(m->graph->n_nodes, 2);
    cvs_model_free(m);
}

static void damaged(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "small.param");
    reader_damage(path, LLVMFuzzerTestOneInput, 7, 400);
}

static void no_memory(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "small.param");
    reader_no_memory(path, NULL, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(small_net),
                                       cmocka_unit_test(binary_net),
                                       cmocka_unit_test(binary_mistakes),
                                       cmocka_unit_test(real_detector),
                                       cmocka_unit_test(mistakes),
                                       cmocka_unit_test(unknown_layers),
                                       cmocka_unit_test(more_layers),
                                       cmocka_unit_test(behind_the_announced),
                                       cmocka_unit_test(layers_of_pnnx),
                                       cmocka_unit_test(forms_not_run),
                                       cmocka_unit_test(detectors_and_recurrent),
                                       cmocka_unit_test(untold_sizes),
                                       cmocka_unit_test(numbers_behind_a_box),
                                       cmocka_unit_test(damaged),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
