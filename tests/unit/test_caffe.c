/* SPDX-License-Identifier: MIT
 * test_caffe.c - Caffe: mistakes at their line and column, sizes by hand after Caffe's own rules, numbers of every way to store
 * them, damage, lack of memory; and ../shared: real detectors against OpenCV's outputs, twelve architectures with their counts.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "convscope/run.h"
#include "formats/caffe.h"
#include "ops/op.h"
#include "reader_harness.h"
#include "test_models.h"

#define INPUT "input: \"data\" input_shape { dim: 1 dim: 2 dim: 6 dim: 6 }\n"

static cvs_status open_text(const char *text, cvs_model **model, cvs_error *err) {
    return test_open_text(text, "test.prototxt", model, err);
}

static void check_error(const char *text, int line, int column, const char *words) {
    test_mistake(text, "test.prototxt", line, column, words);
}

static void mistakes_are_located(void **state) {
    (void)state;
    check_error(INPUT "layer { name: \"a\"\n", 3, 1, "closing brace");
    check_error(INPUT "layer { name: \"a\n}\n", 2, 17, "not closed");
    check_error(INPUT "layer { name \"a\" }\n", 2, 14, "colon");
    check_error(INPUT "layer { name: } }\n", 2, 15, "value");
    check_error(INPUT "layer { name: \"a\" 7: 3 }\n", 2, 19, "name of a field");
    check_error(INPUT "layer { name: \"a\" }\n", 2, 1, "no type");
    check_error(INPUT "layer { name: \"a\" type: \"ReLU\" bottom: \"b\" top: \"a\" }\n", 2, 32, "\"b\"");
    check_error(INPUT "layer { type: \"ReLU\" top: \"a\" }\n", 2, 1, "bottom");
    check_error(
        INPUT "layer { type: \"Convolution\" bottom: \"data\" top: \"a\"\n  convolution_param { num_output: "
              "x kernel_size: 3 } }\n",
        3, 23, "num_output");
    check_error(
        INPUT "layer { type: \"Convolution\" bottom: \"data\" top: \"a\"\n  convolution_param { num_output: "
              "2.5 kernel_size: 3 } }\n",
        3, 23, "whole");
    check_error(INPUT
                "layer { type: \"Convolution\" bottom: \"data\" top: \"a\" convolution_param { num_output: 3 "
                "kernel_size: 3 group: 2 } }\n",
                2, 1, "groups");
    check_error(INPUT
                "layer { type: \"Convolution\" bottom: \"data\" top: \"a\" convolution_param { num_output: 3 "
                "kernel_size: 9 } }\n"
                "layer { type: \"ReLU\" bottom: \"a\" top: \"a\" }\n"
                "layer { type: \"Concat\" bottom: \"a\" top: \"c\" concat_param { axis: 1 } }\n",
                4, 1, "window");
    char deep[2000] = INPUT "layer { type: \"ReLU\" ";
    for (int i = 0; i < 100; i++) {
        strcat(deep, "a { ");
    }
    check_error(deep, 2, 22 + 4 * 63 + 2, "nested");
}

/* Opens, sums up, and gives the shape of a named layer as text. */
static void check_layer(const char *layers, const char *layer, const char *shape) {
    char text[4000];
    snprintf(text, sizeof text, INPUT "%s", layers);
    test_layer_shape(text, "test.prototxt", layer, shape);
}

static void sizes_are_caffes(void **state) {
    (void)state;
#define L(type, rest) "layer { name: 'a' type: '" type "' bottom: 'data' top: 'a' " rest " }\n"
    check_layer(L("Pooling", "pooling_param { kernel_size: 3 stride: 2 }"), "a", "1x2x3x3"); /* rounded up */
    check_layer(L("Pooling", "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }"), "a", "1x2x2x2");
    check_layer(L("Pooling", "pooling_param { kernel_size: 2 stride: 2 pad: 1 pool: AVE }"), "a", "1x2x4x4");
    check_layer(L("Pooling", "pooling_param { kernel_size: 7 stride: 2 }"), "a", "1x2x1x1");
    check_layer(L("Pooling", "pooling_param { global_pooling: true }"), "a", "1x2x1x1");
    check_layer(L("Convolution",
                  "convolution_param { num_output: 4 kernel_h: 1 kernel_w: 3 pad_h: 0 pad_w: 1 stride: 2 }"),
                "a", "1x4x3x3");
    check_layer(L("Convolution", "convolution_param { num_output: 4 kernel_size: [1, 5] dilation: 1 }"), "a",
                "1x4x6x2");
    check_layer(
        L("Deconvolution", "convolution_param { num_output: 2 kernel_size: 4 stride: 2 pad: 1 group: 2 }"),
        "a", "1x2x12x12");
    check_layer(L("InnerProduct", "inner_product_param { num_output: 5 }"), "a", "1x5");
    check_layer(L("InnerProduct", "inner_product_param { num_output: 5 axis: 3 }"), "a", "1x2x6x5");
    check_layer(L("Flatten", ""), "a", "1x72");
    check_layer(L("Upsample", "upsample_param { scale: 2 }"), "a", "1x2x12x12");
    check_layer(L("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 4 } }"), "a", "1x18x4");
    check_layer(L("Slice", "top: 'b' slice_param { axis: 2 slice_point: 2 }"), "b", "1x2x4x6");
    check_layer(
        "layers { name: 'a' type: CONVOLUTION bottom: 'data' top: 'a' convolution_param < num_output: 3, "
        "kernel_size: 3; > # old\n }\nlayers { name: 'r' type: RELU bottom: 'a' top: 'a' }\n"
        "layers { name: 'x' type: \"Dro\" 'pout' bottom: 'a' top: 'a' include: { phase: TRAIN } }\n",
        "r", "1x3x4x4");
    check_layer(
        "layers { layer { name: 'a' type: 'conv' num_output: 3 kernelsize: 3 stride: 1 biasterm: true } "
        "bottom: 'data' top: 'a' }",
        "a", "1x3x4x4");
#undef L
}

/* ---- writing a caffemodel ---- */

static void put_varint(cvi_buf *b, uint64_t v) {
    for (; v >= 128; v >>= 7) {
        cvi_buf_add(b, &(uint8_t){(uint8_t)(v | 128)}, 1);
    }
    cvi_buf_add(b, &(uint8_t){(uint8_t)v}, 1);
}

static void put_bytes(cvi_buf *b, unsigned number, const void *data, size_t n) {
    put_varint(b, (uint64_t)number << 3 | 2);
    put_varint(b, n);
    cvi_buf_add(b, data, n);
}

static void put_int(cvi_buf *b, unsigned number, uint64_t v) {
    put_varint(b, (uint64_t)number << 3);
    put_varint(b, v);
}

/* A dense layer "fc" of two units over three numbers; generation 2 or 1, numbers stored in one of three ways. */
static void write_model(cvi_buf *out, int generation, int way) {
    const float w[6] = {1, 2, 3, -1, 0.5F, 4}, bias[2] = {10, 20};
    cvi_buf layer = {0};
    put_bytes(&layer, generation == 2 ? 1 : 4, "fc", 2);
    if (generation == 2) {
        put_bytes(&layer, 2, "InnerProduct", 12);
    } else {
        put_int(&layer, 5, 14);
    }
    for (int k = 0; k < 2; k++) {
        const float *v = k ? bias : w;
        int n = k ? 2 : 6;
        cvi_buf blob = {0}, data = {0};
        for (int i = 0; i < n; i++) {
            double d = (double)v[i];
            if (way == 1) {
                put_varint(&blob, 5 << 3 | 5);
                cvi_buf_add(&blob, &v[i], 4);
            }
            cvi_buf_add(&data, way == 2 ? (const void *)&d : &v[i], way == 2 ? 8 : 4);
        }
        if (way != 1) {
            put_bytes(&blob, way == 2 ? 8 : 5, data.data, data.size);
        }
        if (generation == 2) {
            const uint8_t dims[2] = {2, 3}, line[1] = {2};
            cvi_buf shape = {0};
            put_bytes(&shape, 1, k ? line : dims, k ? 1 : 2);
            put_bytes(&blob, 7, shape.data, shape.size);
            cvi_buf_free(&shape);
        } else {
            put_int(&blob, 1, 1);
            put_int(&blob, 2, 1);
            put_int(&blob, 3, k ? 1 : 2);
            put_int(&blob, 4, k ? 2 : 3);
        }
        put_bytes(&layer, generation == 2 ? 7 : 6, blob.data, blob.size);
        cvi_buf_free(&blob);
        cvi_buf_free(&data);
    }
    put_bytes(out, 1, "net", 3);
    put_bytes(out, generation == 2 ? 100 : 2, layer.data, layer.size);
    cvi_buf_free(&layer);
}

static const char dense[] =
    "name: 'net' input: 'x' input_shape { dim: 1 dim: 3 } layer { name: 'fc' type: 'InnerProduct' bottom: "
    "'x' top: 'fc' inner_product_param { num_output: 2 } }";

static void write_file(const char *folder, const char *name, const void *data, size_t n) {
    char path[400];
    cvs_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(cvi_file_write(path, data, n, &err), CVS_OK);
}

/* Either file of the pair opens with the other one found beside it, and runs. */
static void check_pair(const char *folder, const char *name) {
    char path[400], text[900];
    cvs_error err = {0};
    cvs_model *m = NULL;
    cvs_run *run = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    float x[3] = {1, 10, 100};
    cvs_tensor in = {.dtype = CVS_F32, .rank = 2, .dim = {1, 3}, .data = x, .bytes = sizeof x}, y;
    if (cvs_model_open(path, NULL, &m, &err) != CVS_OK || cvs_run_new(m, NULL, &run, &err) != CVS_OK ||
        cvs_run_tensors(run, &in, 1, &err) != CVS_OK || cvs_run_output(run, 0, &y, &err) != CVS_OK) {
        fail_msg("%s", cvs_error_text(&err, text, sizeof text));
    }
    assert_true(fabs(cvi_get(&y, 0) - 331) < 1e-4 && fabs(cvi_get(&y, 1) - 424) < 1e-4);
    cvs_run_free(run);
    cvs_model_free(m);
}

static void numbers_of_every_kind(void **state) {
    (void)state;
    char folder[256], path[400];
    test_folder(folder);
    write_file(folder, "a.prototxt", dense, strlen(dense));
    for (int generation = 1; generation <= 2; generation++) {
        for (int way = 0; way < 3; way++) {
            cvi_buf b = {0};
            write_model(&b, generation, way);
            write_file(folder, "other.caffemodel", b.data, b.size);
            check_pair(folder, "a.prototxt");
            check_pair(folder, "other.caffemodel");
            cvi_buf_free(&b);
        }
    }
    snprintf(path, sizeof path, "%s/a.prototxt", folder);
    assert_int_equal(remove(path), 0);
    snprintf(path, sizeof path, "%s/other.caffemodel", folder);
    cvs_model *m = NULL;
    cvs_error err = {0};
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "prototxt"));
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(folder), 0);
}

/* Several files beside it: the one whose name goes on where the text's own ends. Behind a layer that is not known the weights tell how
 * many channels a group reads. */
static void names_that_go_on(void **state) {
    (void)state;
    static const char text[] =
        "input: 'x' input_shape { dim: 1 dim: 6 dim: 4 dim: 4 } layer { type: 'New' bottom: 'x' top: 'n' } "
        "layer { name: 'fc' type: 'Convolution' bottom: 'n' top: 'fc' convolution_param { num_output: 2 "
        "kernel_size: 1 group: 2 } }";
    static const char *const names[] = {"net_2.json.caffemodel", "net.json.caffemodel", "other.caffemodel"};
    char folder[256], path[400];
    cvs_model *m = NULL;
    cvs_error err = {0};
    cvi_buf b = {0};
    test_folder(folder);
    write_model(&b, 2, 0);
    for (int i = 0; i < 3; i++) {
        write_file(folder, names[i], i == 1 ? b.data : "no model", i == 1 ? b.size : 8);
    }
    write_file(folder, "net.prototxt", text, strlen(text));
    write_file(folder, "net_2.prototxt", text, strlen(text));
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, i ? "net.prototxt" : names[1]);
        if (cvs_model_open(path, NULL, &m, &err) != CVS_OK) {
            fail_msg("%s", err.message);
        }
        int w = cvi_graph_find(m->graph, "fc.weight");
        assert_true(m->has_weights && w >= 0);
        assert_int_equal(m->graph->values[w].constant->dim[1], 3);
        cvs_model_free(m);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    snprintf(path, sizeof path, "%s/net_2.prototxt", folder);
    remove(path);
    snprintf(path, sizeof path, "%s/w.png",
             folder); /* a picture where weights should be: said as what it is */
    write_file(folder, "w.png", "\x89PNG\r\n\x1a\n", 8);
    cvs_open_options options = {.weights = path};
    snprintf(path, sizeof path, "%s/w.png", folder);
    static const char net[] = "input 3x4x4\ngap\nfc 2\n";
    assert_int_not_equal(cvs_model_open_memory(net, sizeof net - 1, "a.net", &options, &m, &err), CVS_OK);
    assert_non_null(strstr(err.message, "PNG picture"));
    remove(path);
    snprintf(path, sizeof path, "%s/net.prototxt", folder);
    remove(path);
    remove(folder);
    cvi_buf_free(&b);
}

/* Every cut and many flips of both files: an answer, whatever it is, and never a crash (the sanitizers' run sees the rest). */
static void damage_is_survived(void **state) {
    (void)state;
    cvs_limits limits = cvs_limits_default(NULL);
    cvi_buf b = {0};
    write_model(&b, 2, 0);
    for (size_t n = 0; n < b.size * 9; n++) {
        cvi_arena *a = cvi_arena_new(1 << 20);
        caffe_weights w;
        cvs_error err = {0};
        size_t at = n / 9;
        char old = b.data[at];
        if (n % 9) {
            b.data[at] = (char)(b.data[at] ^ (1 << (n % 9 - 1)));
        }
        if (cvi_caffe_weights(a, b.data, n % 9 ? b.size : at, &limits, &w, &err) == CVS_OK && w.n > 0) {
            float room[64];
            for (int k = 0; k < w.layer[0]->n; k++) {
                assert_true(w.layer[0]->blob[k].count <= 64);
                cvi_caffe_numbers(&w.layer[0]->blob[k], room, &err);
            }
        }
        b.data[at] = old;
        cvi_arena_free(a);
    }
    cvi_buf_free(&b);
    char text[] = INPUT
        "layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c' convolution_param { num_output: 2 "
        "kernel_size: 3 } }\nlayer { name: 'b' type: 'BatchNorm' bottom: 'c' top: 'c' }\nlayer { name: "
        "'s' type: 'Scale' bottom: 'c' top: 'c' }\nlayer { type: 'New' bottom: 'c' top: 'n' top: 'm' }";
    for (size_t n = 0; n < sizeof text * 4; n++) {
        cvs_model *m = NULL;
        cvs_error err = {0};
        char old = text[n / 4];
        text[n / 4] = (char)(old ^ (1 << (n % 4 + n % 3)));
        if (cvs_model_open_memory(text, n % 4 ? sizeof text - 1 : n / 4, "t", NULL, &m, &err) == CVS_OK) {
            cvs_model_free(m);
        } else {
            assert_true(err.message[0]);
        }
        text[n / 4] = old;
    }
}

static void allocation_failures_are_said(void **state) {
    (void)state;
    static const char text[] = INPUT "layer { name: 'c' type: 'Convolution' bottom: 'data' top: 'c' "
                                     "convolution_param { num_output: 2 kernel_size: 3 } }\n"
                                     "layer { name: 'b' type: 'BatchNorm' bottom: 'c' top: 'c' }\nlayer { "
                                     "name: 's' type: 'Scale' bottom: 'c' top: 'c' }\n"
                                     "layer { name: 'n' type: 'New' bottom: 'c' top: 'n' }\nlayer { type: "
                                     "'Power' bottom: 'c' top: 'p' power_param { "
                                     "power: 2 shift: 1 } }\nlayer { name: 'e' type: 'Eltwise' bottom: 'p' "
                                     "bottom: 'c' top: 'e' eltwise_param { coeff: 1 "
                                     "coeff: -1 } }";
    int k = 0;
    for (bool failed = true; failed && k < 4000; k++) {
        cvs_model *model = NULL;
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status s = open_text(text, &model, &err);
        failed = test_failures.failed;
        test_fail_from(-1, -1);
        if (s == CVS_OK) {
            cvs_model_free(model);
            assert_false(failed);
        } else {
            assert_int_equal(s, CVS_E_MEMORY);
        }
    }
    assert_in_range(k, 8, 3999);
}

/* ---- real models ---- */

static void compare(cvs_model *m, cvs_run *run, const char *layer, const char *relative) {
    char path[512];
    cvs_error err = {0};
    cvs_tensor got = {0}, want = {0};
    int at = -1;
    assert_true(test_shared(path, sizeof path, relative));
    test_ok(cvs_npy_read, path, NULL, &want);
    assert_int_equal(cvs_model_find_layer(m, layer, &at, &err), CVS_OK);
    assert_int_equal(cvs_run_layer(run, at, &got, &err), CVS_OK);
    assert_int_equal(cvs_tensor_count(&got), cvs_tensor_count(&want));
    for (int64_t i = 0; i < cvs_tensor_count(&want); i++) {
        assert_true(fabs(cvi_get(&got, i) - cvi_get(&want, i)) < 1e-4);
    }
    cvs_tensor_free(&want);
}

static void detectors_match_opencv(void **state) {
    (void)state;
    static const char *const nets[3][5] = {
        {"caffe/mtcnn-pnet/det1.prototxt", "caffe_mtcnn-pnet", "input", "conv4-2", "prob1"},
        {"caffe/mtcnn-rnet/det2.caffemodel", "caffe_mtcnn-rnet", "input", "conv5-2", "prob1"},
        {"caffe/slim-320/slim-320.prototxt", "slim-320", "pixels", "boxes", "scores"}};
    for (int i = 0; i < 3; i++) {
        char path[512], name[256], text[900];
        cvs_error err = {0};
        cvs_model *m = NULL;
        cvs_run *run = NULL;
        cvs_tensor in = {0}, x = {0};
        snprintf(name, sizeof name, "data/models/%s", nets[i][0]);
        if (!test_shared(path, sizeof path, name)) {
            print_message("SKIPPED: %s is not there\n", name);
            continue;
        }
        assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
        snprintf(name, sizeof name, "data/goldens/%s/%s.npy", nets[i][1], nets[i][2]);
        assert_true(test_shared(path, sizeof path, name));
        test_ok(cvs_npy_read, path, NULL, &in);
        if (in.dtype == CVS_U8) { /* pixels [H,W,3]: (pixel - 127) / 128, planes first */
            int64_t dim[4] = {1, 3, in.dim[0], in.dim[1]}, area = in.dim[0] * in.dim[1];
            assert_int_equal(cvs_tensor_new(&x, CVS_F32, 4, dim, &err), CVS_OK);
            for (int64_t k = 0; k < 3 * area; k++) {
                cvi_put(&x, k % 3 * area + k / 3, (cvi_get(&in, k) - 127) / 128);
            }
            cvs_tensor_free(&in);
            in = x;
        }
        if (cvs_run_new(m, NULL, &run, &err) != CVS_OK || cvs_run_tensors(run, &in, 1, &err) != CVS_OK) {
            fail_msg("%s", cvs_error_text(&err, text, sizeof text));
        }
        for (int k = 3; k < 5; k++) {
            snprintf(name, sizeof name, "data/goldens/%s/%s%s.npy", nets[i][1], i < 2 ? "out_" : "",
                     nets[i][k]);
            compare(m, run, nets[i][k], name);
        }
        cvs_tensor_free(&in);
        cvs_run_free(run);
        cvs_model_free(m);
    }
}

/* A small detector with weights of chance: both ways to lay prior boxes, boxes of every class, two pictures; the rows are OpenCV 4.11's,
 * in Caffe's order (class by class). */
static void small_detector_is_opencvs(void **state) {
    (void)state;
    char model[512], in[512], out[512];
    test_data(model, sizeof model, "caffe", "ssd.prototxt");
    test_data(in, sizeof in, "caffe", "ssd_x.npy");
    test_data(out, sizeof out, "caffe", "ssd_opencv.npy");
    reader_matches(model, NULL, in, out, 1e-6);
    reader_no_memory(model, NULL, 101);
}

/* Rarer layers side by side: OpenCV 4.11's numbers where it runs them as Caffe does, else those of Caffe's own formulas in NumPy (batch
 * statistics, eps beside the deviation, the factor in Swish, which OpenCV does otherwise; sums, maxima, steps). */
static void rarer_layers(void **state) {
    (void)state;
    char model[512], in[512], out[512];
    test_data(model, sizeof model, "caffe", "layers.prototxt");
    test_data(in, sizeof in, "caffe", "layers_x.npy");
    test_data(out, sizeof out, "caffe", "layers_all.npy");
    reader_matches(model, NULL, in, out, 1e-6);
    reader_no_memory(model, NULL, 211);
}

/* SegNet's pair: maxima go back to their places, sides odd and even. */
static void unpooled(void **state) {
    (void)state;
    static const char text[] =
        "input: 'x' input_shape { dim: 1 dim: 1 dim: 3 dim: 4 }\nlayer { name: 'p' type: 'Pooling' bottom: "
        "'x' top: "
        "'p' top: 'm' pooling_param { kernel_size: 2 stride: 2 } }\nlayer { name: 'r' type: 'Power' bottom: "
        "'p' top: 'r' "
        "power_param { scale: 10 } }\nlayer { name: 'u' type: 'Upsample' bottom: 'r' bottom: 'm' top: 'u' "
        "upsample_param { scale: 2 %s } }\n";
    char file[900];
    float x[12] = {1, 5, 2, 3, 4, 0, 7, 6, 9, 8, -1, -2};
    const float want[12] = {0, 50, 0, 0, 0, 0, 70, 0, 90, 0, -10, 0};
    cvs_tensor in = {.dtype = CVS_F32, .rank = 4, .dim = {1, 1, 3, 4}, .data = x, .bytes = sizeof x}, y;
    cvs_error err = {0};
    cvs_model *m = NULL;
    cvs_run *run = NULL;
    snprintf(file, sizeof file, text, "upsample_h: 3 upsample_w: 4");
    assert_int_equal(open_text(file, &m, &err), CVS_OK);
    assert_int_equal(m->graph->n_outputs, 1);
    assert_int_equal(cvs_run_new(m, NULL, &run, &err), CVS_OK);
    assert_int_equal(cvs_run_tensors(run, &in, 1, &err), CVS_OK);
    assert_int_equal(cvs_run_output(run, 0, &y, &err), CVS_OK);
    assert_int_equal(cvs_tensor_count(&y), 12);
    for (int i = 0; i < 12; i++) {
        assert_true(fabs(cvi_get(&y, i) - (double)want[i]) < 1e-5);
    }
    cvs_run_free(run);
    cvs_model_free(m);
    snprintf(file, sizeof file, text, ""); /* twice two rows are not the three that were pooled */
    assert_int_equal(open_text(file, &m, &err), CVS_OK);
    assert_string_equal(m->graph->nodes[m->graph->n_nodes - 1].op, "caffe::Upsample");
    cvs_model_free(m);
}

#define FOUND(set)                                                                                           \
    "input: 'x' input_shape { dim: 1 dim: 8 dim: 1 dim: 1 } input: 'k' input_shape { dim: 1 dim: 4 dim: 1 "  \
    "dim: 1 }\n"                                                                                             \
    "layer { name: 'p' type: 'PriorBox' bottom: 'x' bottom: 'x' top: 'p' prior_box_param { min_size: 2 "     \
    "max_size: 3 "                                                                                           \
    "} }\nlayer { name: 'd' type: 'DetectionOutput' bottom: 'x' bottom: 'k' bottom: 'p' top: 'd'\n"          \
    " detection_output_param { num_classes: 2 " set " } }\n"

static void detectors_mistakes(void **state) {
    (void)state;
    cvs_model *m = NULL;
    cvs_error err = {0};
    assert_int_equal(open_text(FOUND(""), &m, &err), CVS_OK);
    cvs_model_free(m);
    check_error(FOUND("num_classes: 3 share_location: false"), 3, 1, "do not fit");
    check_error(FOUND("keep_top_k: 1e40"), 4, 42, "whole number");
    check_error(
        INPUT "layer { name: 'p' type: 'PriorBox' bottom: 'data' top: 'p' prior_box_param { min_size: 3 } }\n"
              "layer { name: 'd' type: 'DetectionOutput' bottom: 'p' top: 'd' }\n",
        3, 1, "moves, scores and boxes");
    check_error(
        INPUT
        "layer { name: 'n' type: 'LRN' bottom: 'data' top: 'n' lrn_param { local_size: 4 norm_region: 1 "
        "} }\n",
        2, 1, "odd number");
    check_error(INPUT
                "layer { name: 'n' type: 'ArgMax' bottom: 'data' top: 'n' argmax_param { top_k: 0 } }\n",
                2, 1, "top_k holds 0");
}

static void architectures_open(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t params; /* 0: has layers of unknown size */
    } nets[] = {
        {"alexnet", 60965224}, {"vgg-16", 138357544}, {"squeezenet", 1248424}, {"squeezenet_v11", 1235496},
        {"nin", 7595176},      {"googlenet", 0},      {"resnet-50", 0},        {"inceptionv3", 0},
        {"fcn-16s", 0},        {"SSD300", 26285486},  {"YOLO", 271703550},     {"zynqnet", 0}};
    for (int i = 0; i < CVI_COUNT(nets); i++) {
        char path[512], name[256], text[900];
        cvs_error err = {0};
        cvs_model *m = NULL;
        cvs_summary sum = {0};
        snprintf(name, sizeof name, "data/models/netscope/%s.prototxt", nets[i].name);
        if (!test_shared(path, sizeof path, name)) {
            print_message("SKIPPED: %s is not there\n", name);
            continue;
        }
        if (cvs_model_open(path, NULL, &m, &err) != CVS_OK ||
            cvs_model_summarize(m, NULL, CVS_EN, &sum, &err) != CVS_OK) {
            fail_msg("%s", cvs_error_text(&err, text, sizeof text));
        }
        assert_true(sum.n_layers > 10);
        if (nets[i].params) {
            assert_int_equal(sum.params, nets[i].params);
        }
        cvs_summary_free(&sum);
        cvs_model_free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_located),
        cmocka_unit_test(sizes_are_caffes),
        cmocka_unit_test(numbers_of_every_kind),
        cmocka_unit_test(names_that_go_on),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(allocation_failures_are_said),
        cmocka_unit_test(detectors_match_opencv),
        cmocka_unit_test(architectures_open),
        cmocka_unit_test(small_detector_is_opencvs),
        cmocka_unit_test(rarer_layers),
        cmocka_unit_test(unpooled),
        cmocka_unit_test(detectors_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
