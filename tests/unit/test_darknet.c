/* SPDX-License-Identifier: MIT
 * test_darknet.c - the Darknet reader: a small cfg with every kind of section against numbers that NumPy computed from Darknet's own loops;
 * the real detector of ../shared against OpenCV's; both headers of weights; mistakes told at their line; damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../fuzz/fuzz_darknet.c"
#include "reader_harness.h"

static void fixture(char *path, size_t size, const char *name) {
    test_data(path, size, "darknet", name);
}

static void every_section(void **state) {
    (void)state;
    char cfg[512], weights[512], in[512], out[512];
    fixture(cfg, sizeof cfg, "small.cfg");
    fixture(weights, sizeof weights, "small.weights");
    fixture(in, sizeof in, "small.in.npy");
    fixture(out, sizeof out, "small.out.npy");
    reader_matches(cfg, NULL, in, out, 2e-6);
    reader_matches(weights, NULL, in, out, 2e-6);
    const cvs_open_options options = {.weights = weights};
    reader_matches(cfg, &options, in, out, 2e-6);
}

/* Sums of layers with fewer and more channels: OpenCV 4.11's numbers. The original's sums of every second place, the cut picture, kernels of
 * their own at every place, deconvolutions: from Darknet's loops in NumPy. */
static void rarer_sections(void **state) {
    (void)state;
    static const char *const names[] = {"short", "stride", "local"};
    for (int i = 0; i < 3; i++) {
        char cfg[512], in[512], out[512], file[32];
        snprintf(file, sizeof file, "%s.cfg", names[i]);
        fixture(cfg, sizeof cfg, file);
        snprintf(file, sizeof file, "%s.in.npy", names[i]);
        fixture(in, sizeof in, file);
        snprintf(file, sizeof file, "%s.out.npy", names[i]);
        fixture(out, sizeof out, file);
        reader_matches(cfg, NULL, in, out, 2e-6);
        reader_no_memory(cfg, NULL, 17);
        reader_damage(cfg, LLVMFuzzerTestOneInput, 11, 100);
    }
}

/* What a section may hold is not known: the layers behind it have no numbers, and that is told. */
static void numbers_behind_a_box(void **state) {
    (void)state;
    char folder[256], cfg[300], weights[300];
    const char *text = "[net]\nwidth=4\nheight=4\nchannels=1\n[gru]\noutput=8\n[connected]\noutput=2\n";
    const uint32_t words[12] = {0, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7};
    cvs_error err = {0};
    test_folder(folder);
    snprintf(cfg, sizeof cfg, "%s/a.cfg", folder);
    snprintf(weights, sizeof weights, "%s/a.weights", folder);
    assert_int_equal(cvi_file_write(cfg, text, strlen(text), &err), CVS_OK);
    assert_int_equal(cvi_file_write(weights, words, sizeof words, &err), CVS_OK);
    cvs_model *m = reader_open(cfg, NULL);
    assert_int_equal(m->n_notes, 1);
    assert_non_null(strstr(m->notes[0], "gru_0"));
    assert_non_null(strstr(m->graph->nodes[0].note, "remember"));
    cvs_model_free(m);
    test_remove(folder);
}

/* Before version 0.2 the count of pictures has four bytes. */
static void old_header(void **state) {
    (void)state;
    char cfg[512], weights[512], in[512], out[512], folder[256], old[300];
    fixture(cfg, sizeof cfg, "small.cfg");
    fixture(weights, sizeof weights, "small.weights");
    fixture(in, sizeof in, "small.in.npy");
    fixture(out, sizeof out, "small.out.npy");
    cvi_file file = {0};
    test_ok(cvi_file_read, weights, NULL, &file);
    uint8_t *copy = malloc(file.size);
    assert_non_null(copy);
    memset(copy, 0, 16);
    copy[4] = 1; /* 0.1.0 */
    memcpy(copy + 16, file.data + 20, file.size - 20);
    test_folder(folder);
    snprintf(old, sizeof old, "%s/old.weights", folder);
    cvs_error err = {0};
    assert_int_equal(cvi_file_write(old, copy, file.size - 4, &err), CVS_OK);
    const cvs_open_options options = {.weights = old};
    reader_matches(cfg, &options, in, out, 2e-6);
    /* one float less */
    cvs_model *m = NULL;
    assert_int_equal(cvi_file_write(old, copy, file.size - 8, &err), CVS_OK);
    assert_int_equal(cvs_model_open(cfg, &options, &m, &err), CVS_E_FORMAT);
    assert_non_null(strstr(err.message, "the weights file ends"));
    remove(old);
    remove(folder);
    free(copy);
    cvi_file_close(&file);
}

static void real_detector(void **state) {
    (void)state;
    char model[512], gold[512], pixels[600], input[300], out[600], folder[256];
    const char *const names[] = {"conv_120", "conv_129"};
    if (!test_shared(model, sizeof model, "data/models/darknet/yolo-fastest-1.1/yolo-fastest-1.1.cfg") ||
        !test_shared(gold, sizeof gold, "data/goldens/darknet_yolo-fastest-1.1")) {
        print_message("skipped: the detector is not there\n");
        skip();
    }
    snprintf(pixels, sizeof pixels, "%s/pixels.npy", gold);
    test_folder(folder);
    snprintf(input, sizeof input, "%s/in.npy", folder);
    reader_planes(pixels, 320, 320, 0, 255, input);
    cvs_model *m = reader_open(model, NULL);
    assert_int_equal(m->graph->n_outputs, 2);
    for (int i = 0; i < 2; i++) {
        cvs_tensor got = reader_run(m, input, names[i]);
        snprintf(out, sizeof out, "%s/out_%s.npy", gold, names[i]);
        reader_compare(names[i], &got, out, 1e-5);
        cvs_tensor_free(&got);
    }
    cvs_model_free(m);
    remove(input);
    remove(folder);
}

static void refuses(const char *text, const char *words, int line) {
    reader_refuses_at(text, "test.cfg", words, line);
}

static void mistakes(void **state) {
    (void)state;
    refuses("[net]\nwidth=8\nheight=8\n[convolutional\n", "bracket", 4);
    refuses("[net]\nwidth=8\nheight\n", "key=value", 3);
    refuses("[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=x\n", "number", 5);
    refuses("[net]\nwidth=8\nheight=8\n[convolutional]\nfilters=-3\n", "least allowed", 4);
    refuses("[net]\nwidth=8\nheight=8\n[route]\nlayers=5\n", "does not come before", 4);
    refuses("[net]\nwidth=8\nheight=8\n[convolutional]\ngroups=2\n", "groups", 4);
    refuses("[net]\nwidth=99999999\n[softmax]\n", "width", 0);
    refuses("[net]\n", "[net]", 0);
}

/* What is not known is drawn; the rest opens. */
static void unknown_sections(void **state) {
    (void)state;
    const char *text = "[net]\nwidth=8\nheight=8\n[bogus]\n[maxpool]\nsize=2\n[softmax]\ntree=x\n";
    cvs_error err = {0};
    cvs_model *m = NULL;
    assert_int_equal(cvs_model_open_memory(text, strlen(text), "test.cfg", NULL, &m, &err), CVS_OK);
    assert_string_equal(m->graph->nodes[0].op, "darknet::bogus");
    assert_false(m->has_weights);
    cvs_model_free(m);
}

static void damaged(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "small.cfg");
    reader_damage(path, LLVMFuzzerTestOneInput, 7, 400);
}

static void no_memory(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "small.cfg");
    reader_no_memory(path, NULL, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_section),
                                       cmocka_unit_test(rarer_sections),
                                       cmocka_unit_test(numbers_behind_a_box),
                                       cmocka_unit_test(old_header),
                                       cmocka_unit_test(real_detector),
                                       cmocka_unit_test(mistakes),
                                       cmocka_unit_test(unknown_sections),
                                       cmocka_unit_test(damaged),
                                       cmocka_unit_test(no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
