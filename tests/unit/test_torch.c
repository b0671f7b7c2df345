/* SPDX-License-Identifier: MIT
 * test_torch.c - PyTorch files without a graph, and safetensors: files that PyTorch wrote (tests/data/torch, tools/make_torch_fixtures.py)
 * give PyTorch's own outputs; architectures known by names; pickles that would run code, loop, or ask for everything; damage.
 * Over 700 lines because the ways in which one kind of file is saved, split, named and damaged share its fixtures and helpers.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "convscope/run.h"
#include "formats/safetensors.h"
#include "formats/torch.h"
#include "ops/op.h"

#define LLVMFuzzerTestOneInput fuzz_pickle
#include "../fuzz/fuzz_pickle.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_torch
#include "../fuzz/fuzz_torch.c"
#undef LLVMFuzzerTestOneInput
#include "test_helpers.h"
#include "zip_builder.h"

static void data_path(char *path, size_t size, const char *name) {
    test_data(path, size, "torch", name);
}

/* Opens a fixture, runs it on small.in.npy and answers how far the output is from small.out.npy. */
static double difference(const char *file, const cvs_open_options *options) {
    char in[600], out[600], text[900];
    cvs_error err = {0};
    cvs_model *m = NULL;
    cvs_run *run = NULL;
    cvs_tensor got = {0}, want = {0};
    const char *input = in;
    data_path(in, sizeof in, "small.in.npy");
    data_path(out, sizeof out, "small.out.npy");
    test_ok(cvs_npy_read, out, NULL, &want);
    if (cvs_model_open(file, options, &m, &err) != CVS_OK || cvs_run_new(m, NULL, &run, &err) != CVS_OK ||
        cvs_run_npy(run, &input, 1, NULL, &err) != CVS_OK ||
        cvs_run_layer_file(run, cvi_graph_n_layers(m->graph) - 1, NULL, &got, &err) != CVS_OK) {
        fail_msg("%s: %s", file, cvs_error_text(&err, text, sizeof text));
    }
    assert_true(m->has_weights);
    assert_int_equal(cvs_tensor_count(&got), cvs_tensor_count(&want));
    double worst = 0;
    for (int64_t i = 0; i < cvs_tensor_count(&got); i++) {
        worst = fmax(worst, fabs(cvi_get(&got, i) - cvi_get(&want, i)));
    }
    cvs_tensor_free(&got);
    cvs_tensor_free(&want);
    cvs_run_free(run);
    cvs_model_free(m);
    return worst;
}

/* The chain is a guess that happens to be the network, so every way to save it must give PyTorch's numbers. */
static void saved_by_torch(void **state) {
    (void)state;
    static const char *const files[] = {"state.pth",      "state_old.pth", "state_protocol4.pth",
                                        "checkpoint.pth", "double.pth",    "views.pth",
                                        "views_old.pth",  "evil.pth"};
    for (int i = 0; i < CVI_COUNT(files); i++) {
        char path[600];
        data_path(path, sizeof path, files[i]);
        double d = difference(path, NULL);
        if (!(d < 1e-5)) {
            fail_msg("%s is off by %g", files[i], d);
        }
    }
}

static void write_text(char *path, size_t size, const char *folder, const char *name, const char *text) {
    snprintf(path, size, "%s/%s", folder, name);
    assert_int_equal(cvi_file_write(path, text, strlen(text), NULL), CVS_OK);
}

/* An architecture that someone names: by the tensors' names, in order where names differ; one that does not fit is refused. */
static void with_architecture(void **state) {
    (void)state;
    char folder[256], net[400], path[600], text[900];
    static const char same[] =
        "input 1x28x28\nconv1: conv 4 k3 valid\nrelu\nmaxpool\nconv2: conv 6 k3 valid g2\nrelu\nmaxpool\n"
        "fc1: fc 12\nrelu\nfc2: fc 3\n";
    static const char other[] =
        "input 1x28x28\nconv 4 k3 valid relu maxpool\nconv 6 k3 valid g2 relu maxpool\nfc 12 relu\nfc 3\n";
    static const char wrong[] =
        "input 1x28x28\nconv 4 k3 valid relu maxpool\nconv 7 k3 valid relu maxpool\nfc 12 relu\nfc 3\n";
    test_folder(folder);
    data_path(path, sizeof path, "checkpoint.pth");
    write_text(net, sizeof net, folder, "same.net", same);
    assert_true(difference(path, &(cvs_open_options){.arch = net}) < 1e-5);
    write_text(net, sizeof net, folder, "other.net", other);
    assert_true(difference(path, &(cvs_open_options){.arch = net}) < 1e-5);
    assert_true(difference(net, &(cvs_open_options){.weights = path}) < 1e-5);
    write_text(net, sizeof net, folder, "wrong.net", wrong);
    cvs_model *m = NULL;
    cvs_error err = {0};
    assert_int_equal(cvs_model_open(path, &(cvs_open_options){.arch = net}, &m, &err), CVS_E_SHAPE);
    assert_non_null(strstr(cvs_error_text(&err, text, sizeof text), "conv2.weight"));
}

static bool has_note(const cvs_model *m, const char *part) {
    for (int i = 0; i < m->n_notes; i++) {
        if (strstr(m->notes[i], part)) {
            return true;
        }
    }
    return false;
}

static void never_runs_code(void **state) {
    (void)state;
    char path[600];
    cvs_model *m = NULL;
    cvs_error err = {0};
    data_path(path, sizeof path, "evil.pth");
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
    assert_true(has_note(m, "posix.system"));
    cvs_model_free(m);
    data_path(path, sizeof path, "evil_old.pth");
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_E_FORMAT);
    assert_non_null(strstr(err.message, "posix.system"));
    assert_int_equal(access("convscope-was-here", F_OK), -1);
    data_path(path, sizeof path, "nothing.pth");
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_E_FORMAT);
}

/* Whole modules give their parameters; what fits nothing is shown layer by layer and does not run. */
static void modules_and_views(void **state) {
    (void)state;
    char path[600];
    cvs_model *m = NULL;
    cvs_run *run = NULL;
    cvs_error err = {0};
    data_path(path, sizeof path, "unknown.pth");
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
    assert_true(has_note(m, "--arch"));
    int layer = -1;
    cvs_tensor kernel = {0}, bias = {0};
    assert_int_equal(cvs_model_find_layer(m, "encoder.a", &layer, &err), CVS_OK);
    assert_int_equal(cvs_model_filters(m, layer, &kernel, &bias, &err), CVS_OK);
    assert_int_equal(kernel.dim[0], 4);
    cvs_tensor_free(&kernel);
    cvs_tensor_free(&bias);
    if (cvs_run_new(m, NULL, &run, &err) == CVS_OK) {
        const float x[3 * 8 * 8] = {0};
        cvs_tensor in = {.dtype = CVS_F32,
                         .rank = 4,
                         .dim = {1, 3, 8, 8},
                         .data = (void *)(uintptr_t)x,
                         .bytes = sizeof x};
        const cvs_tensor *list = &in;
        assert_int_not_equal(cvs_run_tensors(run, list, 1, &err), CVS_OK);
        cvs_run_free(run);
    }
    cvs_model_free(m);
}

/* ---- architectures by names ------------------------------------------------------------------------------- */

static void read_names_as(cvi_state *s, const char *file, const char *prefix) {
    static float some;
    char path[600];
    cvi_file f = {0};
    data_path(path, sizeof path, file);
    test_ok(cvi_file_read, path, NULL, &f);
    char *text = cvi_arena_strn(s->model->arena, (const char *)f.data, f.size);
    cvi_file_close(&f);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *space = strchr(line, ' ');
        cvs_tensor t = {.dtype = CVS_F32, .data = &some};
        *space = 0;
        for (char *d = space + 1; *d; d += *d == 'x') {
            t.dim[t.rank++] = strtoll(d, &d, 10);
        }
        t.bytes = 4 * (size_t)cvs_tensor_count(&t);
        char name[300];
        snprintf(name, sizeof name, "%s%s", prefix, line);
        assert_int_equal(cvi_state_add(s, name, &t, NULL), CVS_OK);
    }
}

static void read_names(cvi_state *s, const char *file) {
    read_names_as(s, file, "");
    assert_int_equal(cvi_state_done(s, NULL), CVS_OK);
}

/* As Lightning saves a module that holds a network, a loss with weights, a metric's counts, and an average of the network. */
static void one_network_among_other_modules(void **state) {
    (void)state;
    static float some;
    static const struct {
        const char *network, *other, *model;
    } cases[] = {
        {"model.", NULL, "ResNet-18"}, {"net.module.", "teacher.", "ResNet-18"}, {"model.", "x", NULL}};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        cvs_error err = {0};
        cvs_model *m = cvi_model_new(NULL, &err);
        cvi_state s = {.model = m, .ordered = true};
        cvi_open open = {.path = "x.ckpt", .from_memory = true, .limits = m->limits, .model = m, .err = &err};
        cvs_tensor row = {.dtype = CVS_F32, .rank = 1, .dim = {10}, .data = &some, .bytes = 40},
                   table = {.dtype = CVS_F32, .rank = 2, .dim = {2, 2}, .data = &some, .bytes = 16};
        assert_int_equal(cvi_state_add(&s, "criterion.weight", &row, NULL), CVS_OK);
        assert_int_equal(cvi_state_add(&s, "train_acc.confmat", &table, NULL), CVS_OK);
        read_names_as(&s, "names_resnet18.txt", cases[i].network);
        if (cases[i].other && cases[i].model) {
            read_names_as(&s, "names_resnet18.txt", cases[i].other);
        } else if (!cases[i].model) { /* a layer of its own that no architecture has */
            assert_int_equal(cvi_state_add(&s, "model.extra.weight", &table, NULL), CVS_OK);
        }
        assert_int_equal(cvi_state_done(&s, NULL), CVS_OK);
        assert_int_equal(cvi_state_model(&open, &s), CVS_OK);
        assert_true(has_note(m, "of the file") == (cases[i].model != NULL));
        if (cases[i].model) {
            assert_string_equal(m->name, cases[i].model);
            assert_true(m->has_weights && has_note(m, "beside it"));
            assert_true(cvi_graph_find(m->graph, "layer1.0.conv1") >= 0);
        }
        cvs_model_free(m);
    }
}

static void known_by_names(void **state) {
    (void)state;
    static const struct {
        const char *file, *name;
        int convs, out; /* out: size of the output's second axis */
    } nets[] = {{"names_alexnet.txt", "AlexNet", 5, 1000},
                {"names_vgg11.txt", "VGG-11", 8, 1000},
                {"names_vgg16_bn.txt", "VGG-16 with BN", 13, 1000},
                {"names_resnet18.txt", "ResNet-18", 20, 1000},
                {"names_resnet50.txt", "ResNet-50", 53, 1000},
                {"names_wide_resnet50_2.txt", "ResNet-50", 53, 1000},
                {"names_resnext50_32x4d.txt", "ResNeXt-50", 53, 1000},
                {"names_squeezenet1_0.txt", "SqueezeNet 1.0", 26, 1000},
                {"names_squeezenet1_1.txt", "SqueezeNet 1.1", 26, 1000},
                {"names_mobilenet_v2.txt", "MobileNetV2", 52, 1000},
                {"names_efficientnet_lite0.txt", "EfficientNet-Lite0", 49, 1000},
                {"names_efficientnet_b0.txt", "EfficientNet-B0", 81, 1000},
                {"names_efficientnet_v2_s.txt", "EfficientNetV2-S", 170, 1000},
                {"names_mobilenet_v3_small.txt", "MobileNetV3-Small", 52, 1000},
                {"names_googlenet.txt", "GoogLeNet", 57, 1000},
                {"names_inception_v3.txt", "Inception-v3", 94, 1000},
                {"names_densenet121.txt", "DenseNet-121", 120, 1000},
                {"names_regnet_x_400mf.txt", "RegNetX", 71, 1000},
                {"names_regnet_y_400mf.txt", "RegNetY", 85, 1000},
                {"names_convnext_tiny.txt", "ConvNeXt", 58, 1000},
                {"names_shufflenet_v2_x0_5.txt", "ShuffleNetV2", 56, 1000},
                {"names_mnasnet0_5.txt", "MnasNet", 52, 1000},
                {"names_timm_seresnet50.txt", "SE-ResNet-50", 85, 1000},
                {"names_timm_resnet26d.txt", "ResNet-26-D", 31, 1000},
                {"names_timm_vgg11_bn.txt", "VGG-11 with BN", 10, 1000},
                {"names_timm_mobilenetv3_small_100.txt", "MobileNetV3-Small", 53, 1000},
                {"names_timm_efficientnet_b0.txt", "EfficientNet-B0", 81, 1000},
                {"names_timm_tf_efficientnetv2_b0.txt", "EfficientNetV2 (tf)", 91, 1000},
                {"names_timm_lcnet_050.txt", "LCNet", 32, 1000},
                {"names_timm_regnety_004.txt", "RegNetY", 85, 1000},
                {"names_timm_convnext_tiny.txt", "ConvNeXt", 58, 1000},
                {"names_timm_ghostnet_100.txt", "GhostNet", 95, 1000},
                {"names_timm_legacy_xception.txt", "Xception", 74, 1000},
                {"names_timm_inception_v4.txt", "Inception-v4", 149, 1000},
                {"names_timm_repvgg_a0.txt", "RepVGG", 44, 1000},
                {"names_timm_res2net50_26w_4s.txt", "Res2Net-50", 85, 1000},
                {"names_timm_ecaresnet26t.txt", "ECA-ResNet-26-D", 39, 1000},
                {"names_timm_convnextv2_atto.txt", "ConvNeXtV2", 40, 1000},
                {"names_timm_ese_vovnet19b_dw.txt", "VoVNet", 41, 1000},
                {"names_timm_convmixer_768_32.txt", "ConvMixer", 65, 1000},
                {"names_timm_inception_resnet_v2.txt", "Inception-ResNet-v2", 244, 1000},
                {"names_timm_hrnet_w18_small.txt", "HRNet", 91, 1000},
                {"names_timm_dla46_c.txt", "DLA", 48, 1000},
                {"names_timm_dla102.txt", "DLA", 105, 1000},
                {"names_timm_rexnet_100.txt", "ReXNet", 75, 1000},
                {"names_timm_selecsls42b.txt", "SelecSLS", 41, 1000},
                {"names_timm_dpn68.txt", "DPN", 71, 1000},
                {"names_timm_dpn48b.txt", "DPN", 69, 1000},
                {"names_timm_gernet_s.txt", "GENet", 45, 1000},
                {"names_timm_xception71.txt", "Xception aligned", 146, 1000},
                {"names_timm_mobilenetv3_rw.txt", "MobileNetV3-Large rw", 63, 1000},
                {"names_timm_darknet53.txt", "Darknet", 52, 1000},
                {"names_timm_cspdarknet53.txt", "CSPDarknet", 67, 1000},
                {"names_timm_cspresnext50.txt", "CSPResNet", 55, 1000},
                {"names_facenet.txt", "FaceNet", 132, 512},
                {"names_tv_deeplabv3_resnet50.txt", "DeepLabV3 ResNet-50", 61, 21},
                {"names_tv_lraspp.txt", "LR-ASPP MobileNetV3", 66, 21},
                {"names_tv_retinanet.txt", "RetinaNet ResNet-50", 111, 12276},
                {"names_tv_retinanet_v2.txt", "RetinaNet ResNet-50", 111, 12276},
                {"names_tv_fcos.txt", "FCOS ResNet-50", 116, 1364},
                {"names_tv_ssd300.txt", "SSD300 VGG-16", 35, 8732},
                {"names_tv_ssdlite320.txt", "SSDLite320 MobileNetV3", 98, 3234},
                {"names_tv_mc3.txt", "MC3", 20, 400},
                {"names_tv_r2plus1d.txt", "R(2+1)D", 37, 400},
                {"names_tv_maskrcnn.txt", "Mask R-CNN ResNet-50", 76, 3},
                {"names_unet.txt", "U-Net", 19, 2},
                {"names_esrgan.txt", "ESRGAN", 36, 3},
                {"names_compact.txt", "Real-ESRGAN compact", 5, 3}};
    for (int i = 0; i < CVI_COUNT(nets); i++) {
        cvs_error err = {0};
        cvs_model *m = cvi_model_new(NULL, &err);
        cvi_state s = {.model = m, .ordered = i % 2};
        cvi_open open = {.path = "x", .from_memory = true, .limits = m->limits, .model = m, .err = &err};
        read_names(&s, nets[i].file);
        if (cvi_state_model(&open, &s) != CVS_OK || !m->graph) {
            fail_msg("%s: %s", nets[i].file, err.message);
        }
        assert_string_equal(m->name, nets[i].name);
        assert_true(m->has_weights && has_note(m, "recognised"));
        int convs = 0;
        for (int k = 0; k < m->graph->n_nodes; k++) {
            convs += strcmp(m->graph->nodes[k].op, "Conv") == 0;
        }
        if (convs != nets[i].convs) {
            fail_msg("%s: %d convolutions", nets[i].file, convs);
        }
        const cvi_value *out = &m->graph->values[m->graph->outputs[0]];
        assert_int_equal(out->dim[1], nets[i].out);
        cvs_model_free(m);
    }
}

/* ---- pickles by hand --------------------------------------------------------------------------------------- */

#define BYTES(s)                                                                                             \
    { s, sizeof(s) - 1 }

static void hostile_pickles(void **state) {
    (void)state;
    static const struct {
        const char *data;
        size_t size;
    } bad[] = {BYTES(""),
               BYTES("."),
               BYTES("\x80\x06N."),
               BYTES("\x80\x02"),
               BYTES("(."),                                    /* a mark is left */
               BYTES("N0."),                                   /* nothing is left */
               BYTES("t."),                                    /* no mark */
               BYTES("\xff."),                                 /* no opcode */
               BYTES("\x82\x01."),                             /* the extension registry */
               BYTES("\x97."),                                 /* out-of-band buffers */
               BYTES("X\xff\xff\xff\x7f."),                    /* 2 GB of text */
               BYTES("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), /* 2^64 bytes */
               BYTES("Nr\xff\xff\xff\x7f."),                   /* a memo of 2^31 places */
               BYTES("h\x05."),                                /* a memo that was never filled */
               BYTES("N(K\x01u."),                             /* items of None */
               BYTES("}(K\x01u."),                             /* a key without a value */
               BYTES("K\x01K\x02\x93."),                       /* a global that is no text */
               BYTES("NNb."),                                  /* the state of None */
               BYTES("I12\xff"),
               BYTES("cos\nsystem"),
               BYTES("S'abc\n.")};
    for (int i = 0; i < CVI_COUNT(bad); i++) {
        cvi_arena *arena = cvi_arena_new(1 << 20);
        cvi_pickled p;
        cvs_error err = {0};
        if (cvi_pickle_read(arena, (const uint8_t *)bad[i].data, bad[i].size, 0, &p, &err) == CVS_OK) {
            fail_msg("pickle %d was read", i);
        }
        assert_true(err.has_offset || err.code == CVS_E_MEMORY);
        fuzz_pickle((const uint8_t *)bad[i].data, bad[i].size);
        cvi_arena_free(arena);
    }
}

/* A list in itself; lists of two references to the list before, 60 deep: 2^60 paths. */
static void loops(void **state) {
    (void)state;
    static const char self[] = "]p0\ng0\na.";
    fuzz_pickle((const uint8_t *)self, sizeof self - 1);
    cvi_buf b = {0};
    cvi_buf_puts(&b, "]p0\n");
    for (int i = 1; i < 60; i++) {
        cvi_buf_printf(&b, "0]p%d\ng%d\nag%d\na", i, i - 1, i - 1);
    }
    cvi_buf_puts(&b, ".");
    cvs_error err = {0};
    cvs_limits limits = cvs_limits_default(&(cvs_limits){.max_nodes = 10000});
    cvs_model *m = cvi_model_new(&limits, &err);
    cvi_pickled p;
    cvi_torch t = {.model = m, .err = &err, .folder = "data/"};
    cvi_state s = {.model = m};
    assert_int_equal(cvi_pickle_read(m->arena, (const uint8_t *)b.data, b.size, 0, &p, &err), CVS_OK);
    assert_int_equal(cvi_torch_collect(&t, p.root, &s), CVS_E_LIMIT);
    cvs_model_free(m);
    cvi_buf_free(&b);
}

/* Sizes, strides and offsets of a tensor that its storage of 16 bytes cannot back. */
static void hostile_tensors(void **state) {
    (void)state;
    static const struct {
        const char *offset, *sizes, *strides;
        bool good;
    } cases[] = {
        {"I0\n", "(I2\nI2\nt", "(I2\nI1\nt", true},
        {"I0\n", "(I2\nI2\nt", "(I1\nI2\nt", true},
        {"I1\n", "(I2\nI2\nt", "(I2\nI1\nt", false},
        {"I0\n", "(I5\nt", "(I1\nt", false},
        {"I0\n", "(I5\nt", "(I0\nt", true},
        {"I0\n", "(I1000\nt", "(I0\nt", true}, /* one number, repeated as expand() does */
        {"I0\n", "(I1048577\nt", "(I0\nt", false},
        {"I-1\n", "(I2\nt", "(I1\nt", false},
        {"I0\n", "(I-2\nt", "(I1\nt", false},
        {"I0\n", "(I2\nt", "(I-1\nt", false},
        {"I0\n", "(I2\nt", "(I1\nI1\nt", false},
        {"I0\n", "(I3000000000\nI3000000000\nI3000000000\nt", "(I3000000000\nI3000000000\nI1\nt", false},
        {"I0\n", "(I0\nI9223372036854775807\nt", "(I9223372036854775807\nI1\nt", true},
        {"I0\n", "(I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nt", "(I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nt", false},
        {"N", "(I2\nt", "(I1\nt", false}};
    static const uint8_t numbers[16] = {0};
    for (int i = 0; i < CVI_COUNT(cases); i++) {
        cvi_buf b = {0};
        cvi_buf_printf(&b,
                       "}Vw\nctorch._utils\n_rebuild_tensor_v2\n(("
                       "Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI4\ntQ%s%s%s\x89NtRs.",
                       cases[i].offset, cases[i].sizes, cases[i].strides);
        cvs_error err = {0};
        cvs_model *m = cvi_model_new(NULL, &err);
        cvi_pickled p;
        cvi_torch_storage storage = {.key = "0", .data = numbers, .bytes = sizeof numbers};
        cvi_torch t = {.model = m, .err = &err, .folder = "data/", .storage = &storage, .n_storages = 1};
        cvi_state s = {.model = m};
        if (cvi_pickle_read(m->arena, (const uint8_t *)b.data, b.size, 0, &p, &err) != CVS_OK) {
            fail_msg("case %d: %s at %lld", i, err.message, (long long)err.offset);
        }
        cvs_status e = cvi_torch_collect(&t, p.root, &s);
        if ((e == CVS_OK) != cases[i].good) {
            fail_msg("case %d: %s", i, err.message);
        }
        assert_true(e != CVS_OK || s.n == 1);
        cvs_model_free(m);
        cvi_buf_free(&b);
    }
}

/* ---- tensors without numbers ------------------------------------------------------------------------------------ */

/* A convolution that reads no channels begins no chain: whatever came behind it was divided by them. */
/* weight_norm and spectral_norm under both of their names, and what wraps all names but a counter's. */
static void parts_of_weights(void **state) {
    (void)state;
    static float v[] = {3, 4, 0, -2}, g[] = {2, 5}, u[] = {0, 1}, right[] = {0, 1}, count[] = {7};
    const struct {
        const char *name;
        float *data;
        int rank;
        int64_t dim[2];
    } list[] = {{"n_averaged", count, 0, {0}},
                {"module.a.bias", g, 1, {2}},
                {"module.a.parametrizations.weight.original0", g, 2, {2, 1}},
                {"module.a.parametrizations.weight.original1", v, 2, {2, 2}},
                {"module.b.weight_orig", v, 2, {2, 2}},
                {"module.b.weight_u", u, 1, {2}},
                {"module.b.weight_v", right, 1, {2}},
                {"module.c.weight_g", g, 2, {2, 1}}};
    cvs_limits limits = cvs_limits_default(NULL);
    cvs_model *m = cvi_model_new(&limits, NULL);
    assert_non_null(m);
    cvi_state s = {.model = m};
    for (int i = 0; i < CVI_COUNT(list); i++) {
        cvs_tensor t = {.dtype = CVS_F32, .rank = list[i].rank, .data = list[i].data};
        memcpy(t.dim, list[i].dim, sizeof list[i].dim);
        t.bytes = (size_t)cvs_tensor_count(&t) * sizeof(float);
        assert_int_equal(cvi_state_add(&s, list[i].name, &t, NULL), CVS_OK);
    }
    assert_int_equal(cvi_state_done(&s, NULL), CVS_OK);
    assert_int_equal(s.n, 5);
    const cvs_tensor *a = cvi_state_find(&s, "a.weight"), *b = cvi_state_find(&s, "b.weight");
    const float normed[] = {1.2f, 1.6f, 0, -5}, measured[] = {-1.5f, -2, 0, 1}; /* sigma = -2 */
    assert_true(a && b && cvi_state_find(&s, "c.weight_g") && !cvi_state_find(&s, "b.weight_u"));
    for (int i = 0; i < 4; i++) {
        assert_true(fabs((double)((const float *)a->data)[i] - (double)normed[i]) < 1e-6);
        assert_true(fabs((double)((const float *)b->data)[i] - (double)measured[i]) < 1e-6);
    }
    cvs_model_free(m);
}

static void no_channels_make_no_chain(void **state) {
    static const char header[] =
        "{\"a.weight\":{\"dtype\":\"F32\",\"shape\":[8,0,3,3],\"data_offsets\":[0,0]},"
        "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[4,3],\"data_offsets\":[0,48]}}";
    uint8_t file[8 + sizeof header - 1 + 48] = {sizeof header - 1};
    cvs_error err = {0};
    cvs_model *m = NULL;
    (void)state;
    memcpy(file + 8, header, sizeof header - 1);
    if (cvs_model_open_memory(file, sizeof file, "none.safetensors", NULL, &m, &err) == CVS_OK) {
        cvs_summary sum = {0};
        assert_int_equal(cvs_model_summarize(m, NULL, CVS_EN, &sum, &err), CVS_OK);
        assert_int_equal(sum.macs, 0);
        cvs_summary_free(&sum);
    }
    cvs_model_free(m);
}

/* ---- safetensors --------------------------------------------------------------------------------------------- */

/* The tensors of a state_dict, written by our writer in two parts with an index; parts outside the folder are refused. */
static void sharded(void **state) {
    (void)state;
    char folder[256], path[600], part[400], text[900];
    cvs_model *m = NULL;
    cvs_error err = {0};
    test_folder(folder);
    data_path(path, sizeof path, "state.pth");
    assert_int_equal(cvs_model_open(path, NULL, &m, &err), CVS_OK);
    cvi_safetensor list[16];
    int n = 0;
    cvi_buf index = {0};
    cvi_buf_puts(&index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (int i = 0; i < m->graph->n_values; i++) {
        const cvi_value *v = &m->graph->values[i];
        if (v->constant) {
            list[n] = (cvi_safetensor){.name = v->name, .t = *v->constant};
            cvi_buf_printf(&index, "%s\"%s\": \"part%d.safetensors\"", n ? ", " : "", v->name, n < 3);
            n++;
        }
    }
    cvi_buf_puts(&index, "}}");
    assert_int_equal(n, 8);
    snprintf(part, sizeof part, "%s/part1.safetensors", folder);
    assert_int_equal(cvi_safetensors_write(part, list, 3, NULL, 0, &err), CVS_OK);
    snprintf(part, sizeof part, "%s/part0.safetensors", folder);
    assert_int_equal(cvi_safetensors_write(part, list + 3, n - 3, NULL, 0, &err), CVS_OK);
    snprintf(part, sizeof part, "%s/all.safetensors", folder);
    assert_int_equal(cvi_safetensors_write(part, list, n, NULL, 0, &err), CVS_OK);
    assert_true(difference(part, NULL) < 1e-5);
    snprintf(part, sizeof part, "%s/model.safetensors.index.json", folder);
    assert_int_equal(cvi_file_write(part, index.data, index.size, &err), CVS_OK);
    assert_true(difference(part, NULL) < 1e-5);
    cvs_model_free(m);
    cvi_buf_free(&index);
    static const char *const outside[] = {"../part0.safetensors", "/etc/passwd", "a/../../part0.safetensors",
                                          "."};
    for (int i = 0; i < CVI_COUNT(outside); i++) {
        snprintf(text, sizeof text, "{\"weight_map\": {\"a\": \"%s\"}}", outside[i]);
        assert_int_equal(cvi_file_write(part, text, strlen(text), &err), CVS_OK);
        assert_int_not_equal(cvs_model_open(part, NULL, &m, &err), CVS_OK);
    }
}

/* What somebody put at the place of a part: refused with a word on it. */
static void refused_part(const char *index, const char *text, const char *words) {
    char said[900];
    cvs_error err = {0};
    cvs_model *m = NULL;
    assert_int_equal(cvi_file_write(index, text, strlen(text), NULL), CVS_OK);
    assert_int_not_equal(cvs_model_open(index, NULL, &m, &err), CVS_OK);
    if (!strstr(cvs_error_text(&err, said, sizeof said), words)) {
        fail_msg("\"%s\" does not say \"%s\"", said, words);
    }
}

/* An index of PyTorch's parts: in either form of torch.save, also as weights of an architecture; what is missing, linked, doubled, outside or
 * no part at all is refused. (What transformers split is in test_hub.c.) */
static void sharded_torch(void **state) {
    (void)state;
    static const char *const files[] = {"state.pth", "state_old.pth"};
    static const char net[] =
        "input 1x28x28\nconv1: conv 4 k3 valid\nrelu\nmaxpool\nconv2: conv 6 k3 valid g2\nrelu\nmaxpool\n"
        "fc1: fc 12\nrelu\nfc2: fc 3\n";
    char folder[256], from[600], part[400], index[400], arch[400];
    test_folder(folder);
    write_text(arch, sizeof arch, folder, "m.net", net);
    snprintf(index, sizeof index, "%s/pytorch_model.bin.index.json", folder);
    snprintf(part, sizeof part, "%s/one.bin", folder);
    static const char one[] = "{\"weight_map\": {\"conv1.weight\": \"one.bin\"}}";
    for (int i = 0; i < CVI_COUNT(files); i++) {
        cvi_file f = {0};
        data_path(from, sizeof from, files[i]);
        test_ok(cvi_file_read, from, NULL, &f);
        assert_int_equal(cvi_file_write(part, f.data, f.size, NULL), CVS_OK);
        cvi_file_close(&f);
        assert_int_equal(cvi_file_write(index, one, strlen(one), NULL), CVS_OK);
        assert_true(difference(index, &(cvs_open_options){.arch = arch}) < 1e-5);
        cvs_model *m = NULL;
        test_ok(cvs_model_open, index, NULL, &m);
        assert_int_equal(m->graph->n_nodes > 0, 1);
        cvs_model_free(m);
    }
    refused_part(index, "{\"weight_map\": {\"a\": \"one.bin\", \"b\": \"./one.bin\"}}",
                 "two tensors have the same name");
    refused_part(index, "{\"weight_map\": {\"a\": \"two.bin\"}}", "two.bin");
    refused_part(index, "{\"weight_map\": {\"a\": \"../one.bin\"}}", "must lie beneath its folder");
    refused_part(index, "{\"weight_map\": {\"a\": 1, \"b\": \"one.bin\"}}", "should name a file");
    refused_part(index, "{\"weight_map\": {}, \"a\": \"x.bin\"}", "no tensors");
    snprintf(from, sizeof from, "%s/linked.bin", folder);
    assert_int_equal(symlink(part, from), 0);
    refused_part(index, "{\"weight_map\": {\"a\": \"linked.bin\"}}", "symbolic link");
    write_text(from, sizeof from, folder, "text.bin", "nothing of the kind");
    refused_part(index, "{\"weight_map\": {\"a\": \"text.bin\"}}", "text.bin");
    cvi_buf many = {0};
    cvi_buf_puts(&many, "{\"weight_map\": {");
    for (int i = 0; i < 1025; i++) { /* each is another name of one file, which is small */
        cvi_buf_printf(&many, "%s\"t%d\": \"", i ? ", " : "", i);
        for (int bit = 0; bit < 11; bit++) {
            cvi_buf_puts(&many, i >> bit & 1 ? "./" : ".//");
        }
        cvi_buf_puts(&many, "one.bin\"");
    }
    cvi_buf_add(&many, "}}", 3);
    refused_part(index, (const char *)many.data, "1024");
    cvi_buf_free(&many);
    cvs_error err = {0};
    cvs_model *m = NULL;
    assert_int_equal(cvs_model_open_memory(one, strlen(one), "m.bin.index.json", NULL, &m, &err),
                     CVS_E_UNSUPPORTED);
    test_remove(folder);
}

/* "__metadata__" of safetensors: names in any of the usual forms; what does not fit the outputs, or is none, is left. */
static void classes_in_metadata(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *last; /* NULL: no names */
    } rows[] = {
        {"classes", "[\"a\", \"b\", \"c\"]", "c"},
        {"names", "{0: 'x', 1: 'y', 2: \"it's\"}", "it's"},
        {"labels", "u, v, w", "w"},
        {"id2label", "{\"0\": \"p\", \"1\": \"q\", \"2\": \"r\"}", "r"},
        {"class_to_idx", "{'c': 2, 'a': 0, 'b': 1}", "c"},
        {"id2label", "{\"0\": \"LABEL_0\", \"1\": \"LABEL_1\", \"2\": \"LABEL_2\"}", NULL},
        {"classes", "[\"a\", \"b\"]", NULL},
        {"classes", "__import__('os').system('x')", NULL},
        {"format", "pt", NULL},
    };
    char folder[256], path[600], file[400];
    cvs_model *m = NULL;
    cvs_error err = {0};
    test_folder(folder);
    data_path(path, sizeof path, "state.pth");
    test_ok(cvs_model_open, path, NULL, &m);
    cvi_safetensor list[16];
    int n = 0;
    for (int i = 0; i < m->graph->n_values && n < CVI_COUNT(list); i++) {
        const cvi_value *v = &m->graph->values[i];
        if (v->constant) {
            list[n++] = (cvi_safetensor){.name = v->name, .t = *v->constant};
        }
    }
    snprintf(file, sizeof file, "%s/m.safetensors", folder);
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        const char *pairs[] = {rows[i].key, rows[i].value};
        cvs_model *told = NULL;
        cvs_model_info info;
        assert_int_equal(cvi_safetensors_write(file, list, n, pairs, 1, &err), CVS_OK);
        test_ok(cvs_model_open, file, NULL, &told);
        cvs_model_describe(told, &info);
        assert_int_equal(info.n_classes, rows[i].last ? 3 : 0);
        if (rows[i].last) {
            assert_string_equal(info.classes[2], rows[i].last);
            assert_string_equal(info.classes_from, "metadata of the model file");
        }
        cvs_model_free(told);
    }
    cvs_model_free(m);
    test_remove(folder);
}

/* ---- damage ---------------------------------------------------------------------------------------------------- */

static void damaged(void **state) {
    (void)state;
    static const char *const files[] = {"state_old.pth", "unknown.pth", "nothing.pth", "evil_old.pth"};
    for (int i = 0; i < CVI_COUNT(files); i++) {
        char path[600];
        cvi_file f = {0};
        data_path(path, sizeof path, files[i]);
        test_ok(cvi_file_read, path, NULL, &f);
        uint8_t *copy = cvi_malloc(f.size);
        memcpy(copy, f.data, f.size);
        size_t head = CVI_MIN(f.size, 2600);
        for (size_t n = 0; n < f.size; n += n < head ? 3 : 97) {
            fuzz_torch(copy, n);
        }
        for (size_t bit = 0; bit < 8 * head; bit += 5) {
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            fuzz_torch(copy, f.size);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        cvi_free(copy);
        cvi_file_close(&f);
    }
}

static void out_of_memory(void **state) {
    (void)state;
    static const char *const files[] = {"checkpoint.pth", "state_old.pth", "unknown.pth", "evil_old.pth"};
    for (int i = 0; i < CVI_COUNT(files); i++) {
        char path[600];
        cvi_file f = {0};
        data_path(path, sizeof path, files[i]);
        test_ok(cvi_file_read, path, NULL, &f);
        for (int k = 0;; k++) {
            test_fail_from(k, -1);
            fuzz_torch(f.data, f.size);
            bool failed = test_has_failed();
            cvi_set_hooks(NULL);
            if (!failed) {
                break;
            }
        }
        cvi_file_close(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(saved_by_torch),
                                       cmocka_unit_test(with_architecture),
                                       cmocka_unit_test(never_runs_code),
                                       cmocka_unit_test(modules_and_views),
                                       cmocka_unit_test(known_by_names),
                                       cmocka_unit_test(one_network_among_other_modules),
                                       cmocka_unit_test(hostile_pickles),
                                       cmocka_unit_test(loops),
                                       cmocka_unit_test(hostile_tensors),
                                       cmocka_unit_test(sharded),
                                       cmocka_unit_test(sharded_torch),
                                       cmocka_unit_test(classes_in_metadata),
                                       cmocka_unit_test(damaged),
                                       cmocka_unit_test(parts_of_weights),
                                       cmocka_unit_test(no_channels_make_no_chain),
                                       cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
