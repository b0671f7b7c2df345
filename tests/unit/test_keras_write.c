/* SPDX-License-Identifier: MIT
 * test_keras_write.c - a network with every layer that the writer of Keras JSON knows is written, read again and run beside the original; what no layer
 * of Keras says is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reader_harness.h"

static const char all_layers[] = "input 3x21x19\n"
                                 "a: conv 8 k3 s2 bn relu\n" /* padding that is not Keras's "same" */
                                 "b: conv 8 k5x3 s1 nobias leaky 0.2\n" /* padding that is */
                                 "c: from a dwconv 16 k3 p1 s1 relu6\n" /* two outputs a channel */
                                 "d: conv 8 k1 g4 prelu\n"              /* groups */
                                 "e: from a,b add silu\n"
                                 "f: from e,d mul sigmoid\n"
                                 "g: from f,a concat\n"
                                 "h: maxpool k3 s2 p1 hswish\n"
                                 "i: avgpool k2 s1 elu 0.7\n"
                                 "j: deconv 6 k4 s2 p1 gelu\n"
                                 "k: upsample x2 bilinear tanh\n"
                                 "l: upsample x2 softplus\n"
                                 "from_: const i64[2][1;0]\n"
                                 "to: const i64[2][100;-1]\n"
                                 "axes: const i64[2][2;3]\n"
                                 "cut: from l,from_,to,axes op Slice\n"
                                 "m: maxpool k3 s2 ceil\n"
                                 "squeeze: gap\n"
                                 "gate: conv 6 k1 hsigmoid\n"
                                 "n: from m,gate mul selu\n"
                                 "o: avgpool k4 s4\n"
                                 "p: flatten\n"
                                 "q: fc 7 relu\n"
                                 "r: fc 5 softmax\n";

static cvs_model *from_text(const char *text) {
    const cvs_open_options options = {.init = true, .init_seed = 5};
    cvs_model *m = NULL;
    cvs_error err = {0};
    char line[900];
    if (cvs_model_open_memory(text, strlen(text), "test.net", &options, &m, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, line, sizeof line));
    }
    return m;
}

/* Sides that the model leaves free are `side`. */
static void write_input(const char *path, const cvs_model *m, int64_t side) {
    cvs_error err = {0};
    cvs_tensor t = {0};
    const cvi_value *in = &m->graph->values[m->graph->inputs[0]];
    const int64_t dim[4] = {2, in->dim[1], in->dim[2] > 0 ? in->dim[2] : side,
                            in->dim[3] > 0 ? in->dim[3] : side};
    assert_int_equal(cvs_tensor_new(&t, CVS_F32, 4, dim, &err), CVS_OK);
    for (int64_t i = 0; i < cvs_tensor_count(&t); i++) {
        ((float *)t.data)[i] = (float)cvi_random_uniform(3, 1, (uint64_t)i) * 2 - 1;
    }
    assert_int_equal(cvs_npy_write(path, &t, &err), CVS_OK);
    cvs_tensor_free(&t);
}

/* The last value of a model on that input, channels first. */
static cvs_tensor answer(const cvs_model *m, const char *input) {
    cvs_error err = {0};
    char text[900];
    cvs_run *run = NULL;
    cvs_tensor t = {0};
    const cvs_run_options options = {.threads = 1};
    int n = cvi_graph_n_layers(m->graph);
    if (cvs_run_new(m, &options, &run, &err) != CVS_OK ||
        cvs_run_npy(run, &input, 1, "nchw", &err) != CVS_OK ||
        cvs_run_layer_file(run, n - 1, NULL, &t, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    cvs_run_free(run);
    return t;
}

static void every_layer_comes_back(void **state) {
    (void)state;
    char path[600], input[600], folder[256];
    test_folder(folder);
    cvs_error err = {0};
    snprintf(path, sizeof path, "%s/all.json", folder);
    snprintf(input, sizeof input, "%s/in.npy", folder);
    cvs_model *m = from_text(all_layers);
    write_input(input, m, 0);
    if (cvs_model_write(m, path, &err) != CVS_OK) {
        char line[900];
        fail_msg("%s", cvs_error_text(&err, line, sizeof line));
    }
    cvs_model *back = reader_open(path, NULL);
    assert_true(back->has_weights);
    cvs_tensor a = answer(m, input), b = answer(back, input);
    assert_int_equal(cvs_tensor_count(&a), 10);
    assert_int_equal(cvs_tensor_count(&b), 10);
    for (int64_t i = 0; i < 10; i++) {
        assert_true(fabs(cvi_get(&a, i) - cvi_get(&b, i)) < 2e-6);
    }
    assert_true(fabs(cvi_get(&a, 0) - cvi_get(&a, 5)) >
                1e-6); /* the two samples differ, so the numbers mean something */
    cvs_tensor_free(&a);
    cvs_tensor_free(&b);
    cvs_model_free(back);
    cvs_model_free(m);
}

/* What the model leaves open (-1 in a wanted shape) stays open: both run on pictures of any size. */
static void a_free_size_stays_free(void **state) {
    (void)state;
    char path[600], input[600], folder[256];
    test_folder(folder);
    cvs_error err = {0};
    snprintf(path, sizeof path, "%s/free.json", folder);
    snprintf(input, sizeof input, "%s/free.npy", folder);
    cvs_model *m = from_text("x: input f32[1x3x?x?]\n"
                             "w: param f32[4x3x3x3]\n"
                             "a: from x,w op Conv kernel_shape=[3;3] pads=[1;1;1;1]\n"
                             "last: from a op Transpose perm=[0;2;3;1]\n"
                             "to: const i64[3][0;-1;2]\n"
                             "out: from last,to op Reshape\n");
    assert_int_equal(cvs_model_write(m, path, &err), CVS_OK);
    cvs_model *back = reader_open(path, NULL);
    for (int64_t side = 4; side <= 9; side += 5) {
        write_input(input, m, side);
        cvs_tensor a = answer(m, input), b = answer(back, input);
        assert_int_equal(cvs_tensor_count(&a), 2 * 4 * side * side);
        assert_int_equal(cvs_tensor_count(&b), 2 * 4 * side * side);
        for (int64_t i = 0; i < cvs_tensor_count(&a); i++) {
            assert_true(fabs(cvi_get(&a, i) - cvi_get(&b, i)) < 2e-6);
        }
        cvs_tensor_free(&a);
        cvs_tensor_free(&b);
    }
    cvs_model_free(back);
    cvs_model_free(m);
}

static void refusals_name_the_node(void **state) {
    (void)state;
    static const struct {
        const char *text, *node, *says;
    } of[] = {{"input 3x8x8\na: conv 4 k3\nb: lrn 5\n", "b", "none of its kind"},
              {"input 3x8x8\na: maxpool k3 s2 p1\n", "a", "a padding that Keras does not have"},
              {"input 3x8x8\na: avgpool k3 s2 p1\n", "a", "a padding that Keras does not have"},
              {"input 4x8x8\nw: pixelshuffle 2\n", "w", "none of its kind"}};
    char path[600], folder[256];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/refused.json", folder);
    for (int i = 0; i < CVI_COUNT(of); i++) {
        cvs_model *m = from_text(of[i].text);
        cvs_error err = {0};
        char line[900];
        assert_int_equal(cvs_model_write(m, path, &err), CVS_E_UNSUPPORTED);
        cvs_error_text(&err, line, sizeof line);
        if (!strstr(line, of[i].says) || !strstr(err.node, of[i].node)) {
            fail_msg("%s", line);
        }
        assert_false(cvi_is_file(path));
        cvs_model_free(m);
    }
}

static void writing_stands_failing_memory(void **state) {
    (void)state;
    char path[600], folder[256];
    test_folder(folder);
    snprintf(path, sizeof path, "%s/memory.json", folder);
    cvs_model *m = from_text("input 3x8x8\na: conv 4 k3 s2 p1 bn relu\nb: fc 3 softmax\n");
    int k = 0;
    for (bool failed = true; failed; k++) {
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status s = cvs_model_write(m, path, &err);
        failed = test_has_failed();
        cvi_set_hooks(NULL);
        assert_true(s == CVS_OK || (failed && strlen(err.message) > 0));
        if (s == CVS_OK) { /* also where only the folder could not be synchronised */
            cvs_model *back = reader_open(path, NULL);
            assert_true(back->has_weights);
            cvs_model_free(back);
        }
    }
    assert_true(k > 10);
    cvs_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layer_comes_back),
        cmocka_unit_test(a_free_size_stays_free),
        cmocka_unit_test(refusals_name_the_node),
        cmocka_unit_test(writing_stands_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
