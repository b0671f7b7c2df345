/* SPDX-License-Identifier: MIT
 * test_engine_look.c - what people ask of a model: runs on npy files and pictures, joined batches, classes, the summary
 * of VGG-16 against its known figures, receptive fields through branches, filters, pooling windows and switches.
 */
#include <unistd.h>

#include "engine_net.h"
#include "test_helpers.h"
#include "zip_builder.h"

static int layer_of(const net *n, const char *name) {
    for (int l = 0; l < cvi_graph_n_layers(n->g); l++) {
        if (strcmp(n->g->values[cvi_graph_layer(n->g, l)].name, name) == 0) {
            return l;
        }
    }
    fail_msg("no layer %s", name);
    return -1;
}

/* A weight without numbers. */
static int hollow(net *n, const char *name, int rank, const int64_t *dim) {
    cvs_tensor t = {.dtype = CVS_F32, .rank = rank};
    memcpy(t.dim, dim, sizeof *dim * (size_t)rank);
    int v = cvi_graph_constant(n->g, name, &t, &n->err);
    assert_true(v >= 0);
    return v;
}

static int vgg_conv(net *n, int index, int x, int64_t from, int64_t to) {
    char w[40], b[40], name[40];
    cvi_node *node;
    snprintf(w, sizeof w, "w%d", index);
    snprintf(b, sizeof b, "b%d", index);
    snprintf(name, sizeof name, "conv%d", index);
    int in[3] = {x, hollow(n, w, 4, (int64_t[]){to, from, 3, 3}), hollow(n, b, 1, &to)};
    int y = net_op(n, "Conv", name, 3, in, 1, &node);
    assert_true(cvi_attr_set_ints(n->g, &node->attr[0], "pads", 4, (int64_t[]){1, 1, 1, 1}));
    snprintf(name, sizeof name, "relu%d", index);
    return net_relu(n, name, y);
}

static int vgg_dense(net *n, const char *name, int x, int64_t from, int64_t to) {
    char w[40], b[40];
    cvi_node *node;
    snprintf(w, sizeof w, "%s_w", name);
    snprintf(b, sizeof b, "%s_b", name);
    int in[3] = {x, hollow(n, w, 2, (int64_t[]){to, from}), hollow(n, b, 1, &to)};
    int y = net_op(n, "Gemm", name, 3, in, 1, &node);
    assert_true(cvi_attr_set_int(n->g, &node->attr[0], "transB", 1));
    return y;
}

static void vgg16(net *n) {
    const int64_t widths[] = {64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0};
    int64_t channels = 3;
    int pools = 0;
    net_begin(n, CVS_F32);
    int x = net_input(n, "image", CVS_F32, 4, (int64_t[]){-1, 3, 224, 224});
    for (int i = 0; i < CVI_COUNT(widths); i++) {
        char name[40];
        snprintf(name, sizeof name, "pool%d", pools + 1);
        x = widths[i] ? vgg_conv(n, i, x, channels, widths[i]) : net_pool(n, name, x);
        pools += widths[i] == 0;
        channels = widths[i] ? widths[i] : channels;
    }
    x = net_op(n, "Flatten", "flat", 1, &x, 0, NULL);
    x = net_relu(n, "relu6", vgg_dense(n, "fc6", x, 25088, 4096));
    x = net_relu(n, "relu7", vgg_dense(n, "fc7", x, 4096, 4096));
    x = vgg_dense(n, "fc8", x, 4096, 1000);
    net_finish(n, net_op(n, "Softmax", "prob", 1, &x, 0, NULL));
}

static void summary_of_vgg16(void **state) {
    (void)state;
    net n;
    cvs_summary s;
    vgg16(&n);
    NET_OK(&n, cvs_model_summarize(n.model, NULL, CVS_EN, &s, &n.err));
    assert_int_equal(s.params, 138357544); /* Simonyan and Zisserman 2014; torchvision's vgg16 */
    assert_int_equal(s.params_trainable, 138357544);
    assert_int_equal(s.weight_bytes, 4 * (int64_t)138357544);
    assert_int_equal(s.macs,
                     INT64_C(15470264320)); /* torchinfo: 15.48 G mult-adds, which count the biases too */
    assert_string_equal(s.input, "1x3x224x224");
    const cvs_layer *pool = &s.layers[layer_of(&n, "pool5")], *conv = &s.layers[layer_of(&n, "conv3")];
    assert_true(pool->has_field && pool->is_pool);
    assert_int_equal(pool->field[0], 212);
    assert_int_equal(pool->field[1], 212);
    assert_int_equal(pool->jump[0], 32);
    assert_int_equal(pool->dim[1], 512);
    assert_int_equal(pool->dim[2], 7);
    assert_string_equal(pool->settings, "2x2, stride 2");
    assert_string_equal(conv->settings, "3x3, pad 1");
    assert_int_equal(conv->params, 128 * 64 * 9 + 128);
    assert_int_equal(conv->bytes, 4 * 128 * 112 * 112);
    assert_true(conv->is_conv && conv->has_filters && conv->known && conv->runnable);
    assert_string_equal(conv->title, "Convolution");
    const cvs_layer *prob = &s.layers[layer_of(&n, "prob")], *fc = &s.layers[layer_of(&n, "fc8")];
    assert_true(prob->is_output && !fc->is_output && fc->is_dense);
    assert_int_equal(fc->field[0], 224);
    cvs_summary_free(&s);
    net_end(&n);
}

/* Two branches of different reach meet; an unknown operator does not stop the summary. */
static void summary_of_branches(void **state) {
    (void)state;
    net n;
    cvs_summary s;
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, (int64_t[]){1, 4, 32, 32});
    int a = net_conv(&n, "a", x, 4, 4, 2);
    int b = net_conv(&n, "b", a, 4, 4, 1);
    int c = net_conv(&n, "c", b, 4, 4, 1);
    int sum = net_op(&n, "Add", "sum", 2, (int[]){a, c}, 0, NULL);
    int m = net_op(&n, "acme::Magic", "magic", 1, &sum, 0, NULL);
    net_finish(&n, net_relu(&n, "last", m));
    NET_OK(&n, cvs_model_summarize(n.model, NULL, CVS_ZH, &s, &n.err));
    const cvs_layer *l = &s.layers[layer_of(&n, "sum")];
    assert_int_equal(l->field[0], 3 + 2 * 2 + 2 * 2);
    assert_int_equal(l->jump[0], 2);
    assert_true(l->start[0] == 0); /* every kernel is centred */
    assert_int_equal(s.n_unknown, 1);
    l = &s.layers[layer_of(&n, "magic")];
    assert_true(!l->known && !l->runnable && !l->has_field);
    assert_string_equal(l->title, "未知算子");
    assert_int_equal(s.params, 3 * (4 * 4 * 9 + 4));
    assert_string_equal(s.layers[layer_of(&n, "a")].settings, "3x3, 步幅 2, 填充 1");
    cvs_summary_free(&s);
    net_end(&n);
}

/* Windows in words: three axes, a kernel that an input brings in any size, and a layer behind an unknown operator. */
static void settings_of_windows(void **state) {
    (void)state;
    net n;
    cvs_summary s;
    cvi_node *node;
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 5, (int64_t[]){1, 2, 8, 16, 16});
    int deep =
        net_op(&n, "Conv", "deep", 2, (int[]){x, hollow(&n, "w1", 5, (int64_t[]){4, 2, 3, 5, 5})}, 3, &node);
    assert_true(cvi_attr_set_ints(n.g, &node->attr[0], "strides", 3, (int64_t[]){1, 2, 2}));
    assert_true(cvi_attr_set_ints(n.g, &node->attr[1], "pads", 6, (int64_t[]){1, 2, 2, 1, 2, 2}));
    assert_true(cvi_attr_set_ints(n.g, &node->attr[2], "dilations", 3, (int64_t[]){2, 1, 1}));
    int cube = net_op(&n, "MaxPool", "cube", 1, &deep, 2, &node);
    assert_true(cvi_attr_set_ints(n.g, &node->attr[0], "kernel_shape", 3, (int64_t[]){2, 2, 2}));
    assert_true(cvi_attr_set_ints(n.g, &node->attr[1], "strides", 3, (int64_t[]){2, 2, 2}));
    int m = net_op(&n, "acme::Magic", "magic", 1, &cube, 0, NULL);
    int late =
        net_op(&n, "Conv", "late", 2, (int[]){m, hollow(&n, "w2", 5, (int64_t[]){4, 4, 3, 3, 1})}, 1, &node);
    assert_true(cvi_attr_set_ints(n.g, &node->attr[0], "strides", 3, (int64_t[]){2, 2, 2}));
    int flat = net_input(&n, "flat", CVS_F32, 4, (int64_t[]){1, 3, -1, -1});
    int any = net_input(&n, "any", CVS_F32, 4, (int64_t[]){-1, 3, -1, -1});
    int filtered = net_op(&n, "Conv", "filtered", 2, (int[]){flat, any}, 0, NULL);
    (void)late;
    net_finish(&n, net_relu(&n, "last", filtered));
    NET_OK(&n, cvs_model_summarize(n.model, NULL, CVS_EN, &s, &n.err));
    assert_string_equal(s.layers[layer_of(&n, "deep")].settings,
                        "3x5x5, stride 1x2x2, pad 1x2x2, dilation 2x1x1");
    assert_string_equal(s.layers[layer_of(&n, "cube")].settings, "2x2x2, stride 2");
    assert_string_equal(s.layers[layer_of(&n, "late")].settings, "3x3x1, stride 2");
    assert_string_equal(s.layers[layer_of(&n, "filtered")].settings, "kernel of any size");
    cvs_summary_free(&s);
    NET_OK(&n, cvs_model_summarize(n.model, NULL, CVS_ZH, &s, &n.err));
    assert_string_equal(s.layers[layer_of(&n, "cube")].settings, "2x2x2, 步幅 2");
    assert_string_equal(s.layers[layer_of(&n, "late")].settings, "3x3x1, 步幅 2");
    assert_string_equal(s.layers[layer_of(&n, "filtered")].settings, "卷积核大小不定");
    cvs_summary_free(&s);
    net_end(&n);
}

static void failing_summaries(void **state) {
    (void)state;
    net n;
    net_branched(&n, CVS_F32);
    bool done = false;
    for (int k = 0; !done && k < 2000; k++) {
        cvs_summary s;
        cvs_error err = {0};
        test_fail_from(k, -1);
        cvs_status status = cvs_model_summarize(n.model, NULL, CVS_EN, &s, &err);
        test_fail_from(-1, -1);
        done = status == CVS_OK;
        assert_true(done || status == CVS_E_MEMORY);
        cvs_summary_free(&s);
    }
    assert_true(done);
    net_end(&n);
}

static void fixed_batches_are_joined(void **state) {
    (void)state;
    net whole, cut;
    cvs_run *a, *b;
    net_branched(&whole, CVS_F32);
    net_branched(&cut, CVS_F32);
    cut.g->values[cvi_graph_find(cut.g, "x")].dim[0] = 2; /* a model that takes two at a time */
    cvs_tensor in = net_tensor(&whole, 4, (int64_t[]){5, 3, 12, 10}, 8), s, t;
    NET_OK(&whole, cvs_run_new(whole.model, NULL, &a, &whole.err));
    NET_OK(&cut, cvs_run_new(cut.model, NULL, &b, &cut.err));
    NET_OK(&whole, cvs_run_tensors(a, &in, 1, &whole.err));
    NET_OK(&cut, cvs_run_tensors(b, &in, 1, &cut.err));
    for (int l = 0; l < cvi_graph_n_layers(whole.g); l++) {
        NET_OK(&whole, cvs_run_layer(a, l, &s, &whole.err));
        NET_OK(&cut, cvs_run_layer(b, l, &t, &cut.err));
        assert_int_equal(t.dim[0], 5);
        assert_true(net_difference(&s, &t) < 1e-6);
    }
    in.dim[0] = 1; /* fewer than it takes */
    in.bytes /= 5;
    NET_OK(&cut, cvs_run_tensors(b, &in, 1, &cut.err));
    NET_OK(&cut, cvs_run_output(b, 0, &t, &cut.err));
    assert_int_equal(t.dim[0], 1);
    in.dim[2] = 11;
    assert_int_equal(cvs_run_tensors(b, &in, 1, &cut.err), CVS_E_SHAPE);
    assert_non_null(strstr(cut.err.message, "2x3x12x10"));
    assert_non_null(strstr(cut.err.message, "1x3x11x10"));
    cvs_run_free(a);
    cvs_run_free(b);
    cvs_tensor_free(&in);
    net_end(&whole);
    net_end(&cut);
}

static void failing_runs(void **state) {
    (void)state;
    net n;
    net_branched(&n, CVS_F32);
    n.g->values[cvi_graph_find(n.g, "x")].dim[0] = 2;
    cvs_tensor in = net_tensor(&n, 4, (int64_t[]){3, 3, 12, 10}, 8), file;
    cvs_score top[3];
    int count = 0;
    bool done = false;
    for (int k = 0; !done && k < 2000; k++) {
        cvs_run *run = NULL;
        test_fail_from(k, -1);
        cvs_status s = cvs_run_new(n.model, NULL, &run, NULL);
        s = s == CVS_OK ? cvs_run_tensors(run, &in, 1, NULL) : s;
        s = s == CVS_OK ? cvs_run_layer_file(run, 0, "nhwc", &file, NULL) : s;
        if (s == CVS_OK) {
            cvs_tensor_free(&file);
            s = cvs_run_top(run, 2, 3, top, &count, NULL, NULL);
        }
        test_fail_from(-1, -1);
        cvs_run_free(run);
        done = s == CVS_OK;
        assert_true(done || s == CVS_E_MEMORY);
    }
    assert_true(done && count == 3);
    cvs_tensor_free(&in);
    net_end(&n);
}

/* Writes an archive of one .npy under one or two names. */
static void write_npz(const char *path, const cvs_tensor *t, const char *first, const char *second) {
    cvs_error err = {0};
    cvi_file file = {0};
    zip_builder b = {0};
    assert_int_equal(cvs_npy_write(path, t, &err), CVS_OK);
    assert_int_equal(cvi_file_read(path, NULL, &file, &err), CVS_OK);
    zip_add(&b, first, file.data, file.size, &(zip_lie){.deflate = true});
    if (second) {
        zip_add(&b, second, file.data, file.size, NULL);
    }
    zip_finish(&b, b.n, "");
    cvi_file_close(&file);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.out.data, 1, b.out.size, f), b.out.size);
    assert_int_equal(fclose(f), 0);
    zip_free(&b);
}

/* The only array, or the one of the input's name; two strangers are refused. */
static void npz_input(void **state) {
    (void)state;
    const char *const names[3][2] = {{"arr_0.npy", NULL}, {"other.npy", "x.npy"}, {"a.npy", "b.npy"}};
    net n;
    cvs_run *run;
    char path[] = "npz-XXXXXX";
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, (int64_t[]){-1, 1, 2, 3});
    net_finish(&n, net_relu(&n, "y", x));
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    cvs_tensor t = {0}, got;
    NET_OK(&n, cvs_tensor_new(&t, CVS_F32, 4, (int64_t[]){1, 1, 2, 3}, &n.err));
    for (int i = 0; i < 6; i++) {
        ((float *)t.data)[i] = (float)i;
    }
    NET_OK(&n, cvs_run_new(n.model, NULL, &run, &n.err));
    for (int i = 0; i < 3; i++) {
        write_npz(path, &t, names[i][0], names[i][1]);
        cvs_status s = cvs_run_file(run, path, NULL, NULL, &n.err);
        assert_int_equal(s, i < 2 ? CVS_OK : CVS_E_NOT_FOUND);
        if (s == CVS_OK) {
            NET_OK(&n, cvs_run_input(run, 0, &got, &n.err));
            assert_true(cvi_get(&got, 5) == 5);
        } else {
            assert_non_null(strstr(n.err.message, "2 arrays"));
            assert_non_null(strstr(n.err.file, path));
        }
    }
    unlink(path);
    cvs_run_free(run);
    cvs_tensor_free(&t);
    net_end(&n);
}

static void npy_in_the_files_layout(void **state) {
    (void)state;
    net n;
    cvs_run *run;
    char path[] = "npy-XXXXXX";
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 4, (int64_t[]){-1, 3, 4, 5});
    n.g->values[x].file_layout = CVI_FILE_LAST;
    int y = net_relu(&n, "y", x);
    n.g->values[y].file_layout = CVI_FILE_LAST;
    net_finish(&n, y);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    cvs_tensor file = {0}, got, back; /* [H,W,C] uint8, no batch */
    NET_OK(&n, cvs_tensor_new(&file, CVS_U8, 3, (int64_t[]){4, 5, 3}, &n.err));
    for (int i = 0; i < 60; i++) {
        ((uint8_t *)file.data)[i] = (uint8_t)(i * 4);
    }
    NET_OK(&n, cvs_npy_write(path, &file, &n.err));
    NET_OK(&n, cvs_run_new(n.model, NULL, &run, &n.err));
    NET_OK(&n, cvs_run_npy(run, &(const char *){path}, 1, NULL, &n.err));
    NET_OK(&n, cvs_run_input(run, 0, &got, &n.err));
    assert_int_equal(got.dtype, CVS_F32);
    assert_int_equal(got.dim[0], 1);
    assert_true(cvi_get(&got, (2 * 4 + 1) * 5 + 3) ==
                ((1 * 5 + 3) * 3 + 2) * 4); /* channel 2, row 1, column 3 */
    NET_OK(&n, cvs_run_layer_file(run, 0, NULL, &back, &n.err));
    assert_int_equal(back.dim[3], 3);
    for (int i = 0; i < 60; i++) {
        assert_true(cvi_get(&back, i) == i * 4);
    }
    cvs_tensor_free(&back);
    NET_OK(&n, cvs_run_layer_file(run, 0, "nchw", &back, &n.err));
    assert_int_equal(back.dim[1], 3);
    cvs_tensor_free(&back);
    assert_int_equal(cvs_run_npy(run, &(const char *){path}, 1, "nchw", &n.err), CVS_E_SHAPE);
    assert_non_null(strstr(n.err.file, path));
    assert_int_equal(cvs_run_npy(run, &(const char *){path}, 1, "chwn", NULL), CVS_E_ARGUMENT);
    NET_OK(&n, cvs_run_file(run, path, NULL, &back, &n.err));
    assert_int_equal(back.dim[0], 4);
    assert_int_equal(((uint8_t *)back.data)[7], 28);
    cvs_tensor_free(&back);
    unlink(path);
    cvs_run_free(run);
    cvs_tensor_free(&file);
    net_end(&n);
}

static void classes(void **state) {
    (void)state;
    net n;
    cvs_run *run;
    cvs_score top[8];
    cvs_logit_kind kind;
    int count = 0;
    const char *const names[] = {"a", "b", "c"};
    net_begin(&n, CVS_F32);
    int x = net_input(&n, "x", CVS_F32, 2, (int64_t[]){-1, 3});
    net_finish(&n, net_op(&n, "Softmax", "prob", 1, &x, 0, NULL));
    n.model->n_classes = 3;
    n.model->classes = names;
    float z[6] = {1, 3, 2, -400, 500, -400};
    cvs_tensor in = {.dtype = CVS_F32, .rank = 2, .dim = {2, 3}, .data = z, .bytes = sizeof z};
    NET_OK(&n, cvs_run_new(n.model, NULL, &run, &n.err));
    assert_int_equal(cvs_run_top(run, 0, 3, top, &count, &kind, NULL), CVS_E_ARGUMENT);
    NET_OK(&n, cvs_run_tensors(run, &in, 1, &n.err));
    NET_OK(&n, cvs_run_top(run, 0, 2, top, &count, &kind, &n.err));
    assert_int_equal(count, 2);
    assert_int_equal(kind, CVS_LOGIT_BEFORE_SOFTMAX);
    assert_string_equal(top[0].name, "b");
    assert_int_equal(top[1].index, 2);
    assert_true(top[0].logit == 3 && fabs(top[0].probability - 1 / (1 + exp(-1) + exp(-2))) < 1e-12);
    NET_OK(&n, cvs_run_top(run, 1, 8, top, &count, &kind, &n.err));
    assert_int_equal(count, 3);
    assert_true(top[0].probability == 1 && top[1].probability == 0);
    assert_int_equal(cvs_run_top(run, 2, 8, top, &count, &kind, NULL), CVS_E_ARGUMENT);
    cvs_run_free(run);
    net_end(&n);
}

static void filters_and_pooling(void **state) {
    (void)state;
    net n;
    cvs_run *run;
    cvs_tensor k, b, in, out, sw;
    cvs_window w;
    net_branched(&n, CVS_F32);
    NET_OK(&n, cvs_model_filters(n.model, layer_of(&n, "relu1"), &k, &b, &n.err));
    assert_int_equal(k.dim[0], 5);
    assert_int_equal(k.dim[1], 3);
    assert_int_equal(b.dim[0], 5);
    const cvs_tensor *weight = n.g->values[cvi_graph_find(n.g, "conv1_w")].constant;
    assert_memory_equal(k.data, weight->data, k.bytes);
    cvs_tensor_free(&k);
    cvs_tensor_free(&b);
    assert_int_equal(cvs_model_filters(n.model, layer_of(&n, "sum"), &k, &b, &n.err), CVS_E_NOT_FOUND);
    NET_OK(&n, cvs_model_filters(n.model, layer_of(&n, "logits"), &k, &b, &n.err));
    assert_int_equal(k.dim[0], 7);
    assert_int_equal(k.dim[1], 300);
    cvs_tensor_free(&k);
    cvs_tensor_free(&b);
    cvs_tensor x = net_tensor(&n, 4, (int64_t[]){1, 3, 12, 10}, 8);
    NET_OK(&n, cvs_run_new(n.model, NULL, &run, &n.err));
    NET_OK(&n, cvs_run_tensors(run, &x, 1, &n.err));
    NET_OK(&n, cvs_run_pooling(run, layer_of(&n, "pool"), &in, &out, &sw, &w, &n.err));
    assert_string_equal(w.kind, "max");
    assert_int_equal(w.kernel[0], 2);
    assert_int_equal(w.stride[1], 2);
    for (int64_t i = 0; i < cvs_tensor_count(&out); i++) {
        int64_t plane = i / 30, y = i % 30 / 5, c = i % 5, at = ((int64_t *)sw.data)[i];
        assert_true(at / 10 / 2 == y && at % 10 / 2 == c);
        assert_true(cvi_get(&in, plane * 120 + at) == cvi_get(&out, i));
    }
    cvs_tensor_free(&sw);
    assert_int_equal(cvs_run_pooling(run, layer_of(&n, "sum"), &in, &out, &sw, &w, NULL), CVS_E_NOT_FOUND);
    cvs_run_free(run);
    cvs_tensor_free(&x);
    net_end(&n);
}

static void options_are_checked(void **state) {
    (void)state;
    net n;
    cvs_run *run;
    net_branched(&n, CVS_F32);
    cvs_run_options o = {.device = "gpu"};
    assert_int_equal(cvs_run_new(n.model, &o, &run, &n.err), CVS_E_ARGUMENT);
    assert_non_null(strstr(n.err.message, "cpu"));
    o = (cvs_run_options){.threads = -1};
    assert_int_equal(cvs_run_new(n.model, &o, &run, NULL), CVS_E_ARGUMENT);
    net_end(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_of_vgg16),
        cmocka_unit_test(summary_of_branches),
        cmocka_unit_test(settings_of_windows),
        cmocka_unit_test(failing_summaries),
        cmocka_unit_test(fixed_batches_are_joined),
        cmocka_unit_test(failing_runs),
        cmocka_unit_test(npy_in_the_files_layout),
        cmocka_unit_test(npz_input),
        cmocka_unit_test(classes),
        cmocka_unit_test(filters_and_pooling),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
