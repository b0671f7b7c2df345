/* SPDX-License-Identifier: MIT
 * test_tflite.c - the TensorFlow Lite reader: files that TensorFlow wrote (tests/data/tensorflow, tools/make_tensorflow_fixtures.py)
 * give TensorFlow's own outputs, whole numbers within one step; the real models of ../shared; a quantised model stays one when it is
 * written as ONNX; metadata and the archive behind a model; damage of every kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../fuzz/fuzz_tflite.c"
#include "formats/flatbuffer.h"
#include "reader_harness.h"
#include "zip_builder.h"

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

/* All outputs of a file of tools/make_tflite_fixtures.py. */
static void check_more(const char *name, int outputs, double bound) {
    char file[64], path[512], in[512];
    snprintf(file, sizeof file, "%s.tflite", name);
    test_data(path, sizeof path, "tflite", file);
    snprintf(file, sizeof file, "%s.in.npy", name);
    test_data(in, sizeof in, "tflite", file);
    cvs_model *m = reader_open(path, NULL);
    assert_int_equal(m->graph->n_outputs, outputs);
    for (int k = 0; k < outputs; k++) {
        char number[8] = "";
        if (k > 0) {
            snprintf(number, sizeof number, "%d", k);
        }
        snprintf(file, sizeof file, "%s.out%s.npy", name, number);
        test_data(path, sizeof path, "tflite", file);
        cvs_tensor got = reader_run(m, in, m->graph->values[m->graph->outputs[k]].name);
        reader_compare(name, &got, path, bound);
        cvs_tensor_free(&got);
    }
    cvs_model_free(m);
}

static void more_operations(void **state) {
    (void)state;
    check_more("detector", 4, 2e-6);
    check_more("detector_regular", 4, 2e-6);
    check_more("indices", 1, 2e-6);
    check_more("volumes", 1, 2e-6);
    check_more("sparse", 1, 2e-6);
    check_more("sixteen", 1, 6e-5); /* a step of 1/32768 */
}

/* A network that remembers: the first run is with the numbers that the file's own start gives its variables; what is assigned is read after. */
static void remembers(void **state) {
    (void)state;
    char model[512], in[512], out[512];
    fixture(model, sizeof model, "stream.tflite");
    fixture(in, sizeof in, "stream.in.npy");
    fixture(out, sizeof out, "stream.out.npy");
    reader_matches(model, NULL, in, out, 2e-6);
    cvs_model *m = reader_open(model, NULL);
    assert_int_equal(m->n_notes, 1);
    assert_non_null(strstr(m->notes[0], "every run is its first"));
    cvs_model_free(m);
    reader_damage(model, LLVMFuzzerTestOneInput, 7, 600);
    reader_no_memory(model, NULL, 3);
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
    cvi_file written = {0}; /* with ONNX's own words; read again, pairs of them are one rounding */
    test_ok(cvi_file_read, onnx, NULL, &written);
    assert_non_null(memmem(written.data, written.size, "DequantizeLinear", 16));
    assert_null(memmem(written.data, written.size, "convscope::", 11));
    cvi_file_close(&written);
    int quantised = 0;
    for (int n = 0; n < again->graph->n_nodes; n++) {
        const char *op = again->graph->nodes[n].op;
        bool rounds = strcmp(op, "convscope::Requantize") == 0;
        quantised += rounds || strcmp(op, "QuantizeLinear") == 0;
        assert_true(rounds || strstr(op, "::") == NULL);
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
    static const char *const more[] = {"detector.tflite", "indices.tflite", "sparse.tflite"};
    for (int i = 0; i < CVI_COUNT(more); i++) {
        test_data(path, sizeof path, "tflite", more[i]);
        reader_damage(path, LLVMFuzzerTestOneInput, 97, 300);
    }
}

static void no_memory(void **state) {
    (void)state;
    char path[512];
    fixture(path, sizeof path, "int8.tflite");
    reader_no_memory(path, NULL, 1);
    test_data(path, sizeof path, "tflite", "detector.tflite");
    reader_no_memory(path, NULL, 2);
    test_data(path, sizeof path, "tflite", "sparse.tflite");
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

/* ---- metadata: a FlatBuffer written forwards, tables before what they point to ---- */

static void put(cvi_buf *b, size_t at, uint32_t v) {
    memcpy(b->data + at, &v, sizeof v);
}

/* A table whose fields of that mask have 4 bytes each, 0 at first; answers where it is. */
static size_t fb_table(cvi_buf *b, unsigned mask) {
    int fields = 0, slots = 0;
    while (mask >> fields) {
        slots += mask >> fields++ & 1;
    }
    while (b->size % 4) {
        zip_number(b, 0, 1);
    }
    size_t list = b->size;
    zip_number(b, (uint64_t)(4 + 2 * fields), 2);
    zip_number(b, (uint64_t)(4 + 4 * slots), 2);
    for (int i = 0, at = 4; i < fields; i++) {
        zip_number(b, mask >> i & 1 ? (uint64_t)at : 0, 2);
        at += mask >> i & 1 ? 4 : 0;
    }
    while (b->size % 4) {
        zip_number(b, 0, 1);
    }
    size_t at = b->size;
    zip_number(b, at - list, 4);
    zip_number(b, 0, 4 * slots);
    return at;
}

/* A list of n things of `size` bytes; answers where its first one is. */
static size_t fb_list(cvi_buf *b, size_t link, uint32_t n, const void *data, size_t size) {
    while (b->size % 4) {
        zip_number(b, 0, 1);
    }
    put(b, link, (uint32_t)(b->size - link));
    zip_number(b, n, 4);
    size_t at = b->size;
    if (data) {
        cvi_buf_add(b, data, n * size);
    } else {
        zip_number(b, 0, (int)(n * size));
    }
    return at;
}

/* A list of one table of that mask; answers where the table is. */
static size_t fb_child(cvi_buf *b, size_t link, unsigned mask) {
    size_t at = fb_list(b, link, 1, NULL, 4), table = fb_table(b, mask);
    put(b, at, (uint32_t)(table - at));
    return table;
}

/* ModelMetadata: subgraph -> input with NormalizationOptions, output with an associated file. */
static void make_metadata(cvi_buf *b, const float *mean, const float *std, uint32_t channels,
                          const char *file) {
    cvi_buf_add(b, "\0\0\0\0M001", 8);
    size_t root = fb_table(b, 1U << 3);
    put(b, 0, (uint32_t)root);
    size_t graph = fb_child(b, root + 4, 1U << 2 | 1U << 3);
    size_t input = fb_child(b, graph + 4, 1U << 4);
    size_t unit = fb_child(b, input + 4, 3);
    put(b, unit + 4, 1);
    size_t options = fb_table(b, 3);
    put(b, unit + 8, (uint32_t)(options - unit - 8));
    fb_list(b, options + 4, channels, mean, 4);
    fb_list(b, options + 8, channels, std, 4);
    size_t output = fb_child(b, graph + 8, 1U << 6), named = fb_child(b, output + 4, 1U | 1U << 2);
    put(b, named + 8, 2); /* TENSOR_AXIS_LABELS */
    fb_list(b, named + 4, (uint32_t)strlen(file), file, 1);
}

/* TensorFlow's own file, whose entry "min_runtime_version" becomes "TFLITE_METADATA" and points to what is added. */
static void with_metadata(cvi_buf *out, const cvi_buf *metadata) {
    char path[512];
    cvi_file file = {0};
    cvs_error err = {0};
    fixture(path, sizeof path, "float.tflite");
    assert_int_equal(cvi_file_read(path, NULL, &file, &err), CVS_OK);
    cvi_buf_add(out, file.data, file.size);
    cvi_file_close(&file);
    cvi_fb f = {.data = (uint8_t *)out->data, .size = out->size};
    cvi_fb_table root = cvi_fb_root(&f);
    cvi_fb_vector list = cvi_fb_vector_field(&f, &root, 6, 4), buffers = cvi_fb_vector_field(&f, &root, 4, 4);
    size_t n = 0, slot = 0;
    for (int64_t i = 0; i < list.n; i++) {
        cvi_fb_table entry = cvi_fb_table_at(&f, &list, i);
        const char *name = cvi_fb_string_field(&f, &entry, 0, &n);
        if (n == 19 && memcmp(name, "min_runtime_version", n) == 0) {
            size_t at = (size_t)(name - out->data);
            put(out, at - 4, 15);
            memcpy(out->data + at, "TFLITE_METADATA", 16);
            cvi_fb_table b = cvi_fb_table_at(&f, &buffers, cvi_fb_int(&f, &entry, 1, 4, false, 0));
            slot = b.at + (size_t)(f.data[b.fields + 4] | f.data[b.fields + 5] << 8);
        }
    }
    assert_true(slot > 0 && f.status == CVS_OK);
    fb_list(out, slot, (uint32_t)metadata->size, metadata->data, 1);
    assert_false(out->failed);
}

static cvs_model *open_bytes(const cvi_buf *b) {
    cvs_model *m = NULL;
    cvs_error err = {0};
    assert_int_equal(cvs_model_open_memory(b->data, b->size, "x.tflite", NULL, &m, &err), CVS_OK);
    return m;
}

static bool noted(const cvs_model *m, const char *what) {
    for (int i = 0; i < m->n_notes; i++) {
        if (strstr(m->notes[i], what)) {
            return true;
        }
    }
    return false;
}

/* How many classes float.tflite has. */
static int n_classes(void) {
    cvs_tensor want = {0};
    char path[512];
    fixture(path, sizeof path, "float.out.npy");
    test_ok(cvs_npy_read, path, NULL, &want);
    int n = (int)want.dim[want.rank - 1];
    cvs_tensor_free(&want);
    return n;
}

static void list_of(char *text, int n) {
    text[0] = 0;
    for (int i = 0; i < n; i++) {
        snprintf(text + strlen(text), 16, "kind %c\n", 'a' + i);
    }
}

/* Labels and normalisation come out of the file, whether the archive counts from the file's start or its own. */
static void metadata(void **state) {
    (void)state;
    const float mean[3] = {127.5f, 120, 110}, std[3] = {128, 60, 50};
    char text[2000];
    int n = n_classes();
    list_of(text, n);
    for (int form = 0; form < 3; form++) {
        cvi_buf meta = {0};
        zip_builder b = {0}, alone = {0};
        make_metadata(&meta, mean, std, form == 1 ? 1 : 3, "dogs.txt");
        with_metadata(&b.out, &meta);
        zip_builder *z = form == 1 ? &alone : &b;
        zip_add(z, "labels.txt", "wrong\n", 6, NULL);
        zip_add(z, "dogs.txt", text, strlen(text), &(zip_lie){.deflate = form == 2});
        zip_finish(z, 2, "");
        cvi_buf_add(&b.out, alone.out.data, alone.out.size);
        cvs_model *m = open_bytes(&b.out);
        assert_int_equal(m->n_notes, 0);
        assert_int_equal(m->n_classes, n);
        assert_string_equal(m->classes[1], "kind b");
        assert_string_equal(m->classes_from, "metadata of the model file");
        assert_true(m->preprocess.known && m->preprocess.scale == 1);
        assert_float_equal(m->preprocess.mean[2], form == 1 ? 127.5 : 110, 0);
        assert_float_equal(m->preprocess.std[1], form == 1 ? 128 : 60, 0);
        cvs_model_free(m);
        zip_free(&b);
        zip_free(&alone);
        cvi_buf_free(&meta);
    }
}

/* What the exporter of YOLO puts behind the network: JSON (a file that Python's zipfile wrote), or a dictionary as Python prints it. */
static void told_behind(void **state) {
    (void)state;
    char path[512], text[900] = "";
    cvi_buf bytes = {0};
    zip_builder b = {0};
    cvi_file f = {0};
    test_data(path, sizeof path, "tflite", "ultralytics.tflite");
    test_ok(cvi_file_read, path, NULL, &f);
    cvi_buf_add(&bytes, f.data, f.size);
    cvi_file_close(&f);
    fixture(path, sizeof path, "float.tflite");
    test_ok(cvi_file_read, path, NULL, &f);
    cvi_buf_add(&b.out, f.data, f.size);
    cvi_file_close(&f);
    snprintf(text, sizeof text,
             "{'author': 'Ultralytics', 'task': 'classify', 'imgsz': [32, 32], 'names': {");
    for (int i = 0, n = n_classes(); i < n; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, "%s%d: 'kind %d'", i ? ", " : "", i, i);
    }
    strcat(text, "}}");
    zip_add(&b, "temp_meta.txt", text, strlen(text), NULL);
    zip_finish(&b, 1, "");
    const cvi_buf *forms[] = {&bytes, &b.out};
    for (int i = 0; i < 2; i++) {
        cvs_model *m = open_bytes(forms[i]);
        assert_int_equal(m->n_notes, 0);
        assert_int_equal(m->n_classes, n_classes());
        assert_string_equal(m->classes[1], "kind 1");
        assert_string_equal(m->classes_from, "metadata of the model file");
        assert_true(m->preprocess.known && m->preprocess.resize == CVS_RESIZE_SHORTER);
        cvs_model_free(m);
    }
    for (size_t cut = 1; cut < 200; cut += 13) { /* the network is whole where the archive is not */
        cvi_buf shorter = {.data = bytes.data, .size = bytes.size - cut};
        cvs_model *m = open_bytes(&shorter);
        assert_int_equal(m->n_classes, 0);
        cvs_model_free(m);
    }
    zip_free(&b);
    cvi_buf_free(&bytes);
}

/* What is wrong beside the network is noted, and the network opens. */
static void damaged_metadata(void **state) {
    (void)state;
    const float mean[1] = {0}, std[1] = {0}, good[1] = {2};
    for (int form = 0; form < 4; form++) {
        cvi_buf meta = {0};
        zip_builder b = {0};
        make_metadata(&meta, mean, form == 0 ? std : good, 1, "dogs.txt");
        if (form == 1) {
            put(&meta, 0, 0x7fffffff);
        }
        with_metadata(&b.out, &meta);
        zip_add(&b, "dogs.txt", "a\nb\n", 4, &(zip_lie){.crc_off = form == 2, .hidden = form == 3});
        zip_add(&b, "other.txt", "c", 1, NULL);
        zip_finish(&b, b.n, "");
        cvs_model *m = open_bytes(&b.out);
        assert_int_equal(m->n_classes, 0);
        assert_int_equal(m->preprocess.known, form > 1);
        assert_true(form != 0 || noted(m, "the names are not used"));
        assert_true(form != 1 || noted(m, "the metadata of the file was not used"));
        assert_true(form != 2 || noted(m, "the files at the end"));
        cvs_model_free(m);
        zip_free(&b);
        cvi_buf_free(&meta);
    }
}

/* Every cut and many flips of a file with metadata; every allocation fails once. */
static void hostile_metadata(void **state) {
    (void)state;
    const float mean[1] = {127.5f}, std[1] = {127.5f};
    char text[2000], folder[256], path[300];
    cvi_buf meta = {0};
    zip_builder b = {0};
    list_of(text, n_classes());
    make_metadata(&meta, mean, std, 1, "labels.txt");
    with_metadata(&b.out, &meta);
    size_t first = b.out.size - meta.size;
    zip_add(&b, "labels.txt", text, strlen(text), &(zip_lie){.deflate = true});
    zip_finish(&b, 1, "");
    for (size_t i = first; i < b.out.size; i++) {
        for (int bit = 0; bit < 8; bit += 3) {
            b.out.data[i] = (char)(b.out.data[i] ^ 1 << bit);
            LLVMFuzzerTestOneInput((const uint8_t *)b.out.data, b.out.size);
            b.out.data[i] = (char)(b.out.data[i] ^ 1 << bit);
        }
        LLVMFuzzerTestOneInput((const uint8_t *)b.out.data, i);
    }
    test_folder(folder);
    snprintf(path, sizeof path, "%s/m.tflite", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.out.data, 1, b.out.size, f), b.out.size);
    assert_int_equal(fclose(f), 0);
    reader_no_memory(path, NULL, 1);
    remove(path);
    remove(folder);
    zip_free(&b);
    cvi_buf_free(&meta);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(written_by_tensorflow),
                                       cmocka_unit_test(more_operations),
                                       cmocka_unit_test(remembers),
                                       cmocka_unit_test(real_models),
                                       cmocka_unit_test(quantised_model),
                                       cmocka_unit_test(requantize),
                                       cmocka_unit_test(damaged),
                                       cmocka_unit_test(no_memory),
                                       cmocka_unit_test(refused),
                                       cmocka_unit_test(metadata),
                                       cmocka_unit_test(told_behind),
                                       cmocka_unit_test(damaged_metadata),
                                       cmocka_unit_test(hostile_metadata)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
