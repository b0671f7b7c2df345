/* SPDX-License-Identifier: MIT
 * arch_keras.c - networks of keras.applications, as their layers are named there: VGG16 and 19, ResNet-50, 101 and 152 (version 1),
 * MobileNetV2. Depths, widths and classes are read off the shapes; weights came turned to PyTorch's order (keras_state.c).
 */
#include "formats/state.h"

static int64_t dim(const cvs_tensor *t, int i) {
    return t && i < t->rank ? t->dim[i] : 0;
}

static int64_t filters(const cvi_state *s, const char *name) {
    return dim(cvi_state_find(s, "%s.weight", name), 0);
}

static void write_head(const cvi_state *s, cvi_buf *b, const char *name, const char *first,
                       const char *preset) {
    int64_t classes = filters(s, "predictions");
    cvi_buf_printf(b, "name \"%s\"\n", name);
    if (classes == 1000) {
        cvi_buf_printf(b, "preprocess %s\n", preset);
    }
    cvi_buf_printf(b, "input %lldx224x224\n", (long long)dim(cvi_state_find(s, "%s.weight", first), 1));
}

/* A convolution and what follows it; `window` as in the text language, act NULL: no activation. */
static void conv_bn(const cvi_state *s, cvi_buf *b, const char *conv, const char *bn, const char *from,
                    const char *window, const char *eps, const char *act) {
    cvi_buf_printf(b, "%s: %s%s conv %lld %s %s\n%s: bn eps=%s\n", conv, *from ? "from " : "", from,
                   (long long)filters(s, conv), window,
                   cvi_state_find(s, "%s.bias", conv) ? "bias" : "nobias", bn, eps);
    if (act) {
        cvi_buf_printf(b, "%s_%s: %s\n", bn, act, act);
    }
}

/* ---- VGG ---- */

static void keras_vgg(const cvi_state *s, cvi_buf *b) {
    char name[40];
    int layers = 3;
    if (!cvi_state_find(s, "block1_conv1.weight") || !cvi_state_find(s, "predictions.weight") ||
        !cvi_state_find(s, "fc1.weight")) {
        return;
    }
    cvi_buf body = {0};
    for (int block = 1; block <= 5; block++) {
        for (int i = 1; i <= 4; i++) {
            snprintf(name, sizeof name, "block%d_conv%d", block, i);
            if (filters(s, name) > 0) {
                cvi_buf_printf(&body, "%s: conv %lld k3 same\n%s_relu: relu\n", name,
                               (long long)filters(s, name), name);
                layers++;
            }
        }
        cvi_buf_printf(&body, "block%d_pool: maxpool k2\n", block);
    }
    snprintf(name, sizeof name, "VGG-%d", layers);
    write_head(s, b, name, "block1_conv1", "ImageNet-caffe");
    cvi_buf_printf(
        b,
        "%srows: op Transpose perm=[0;2;3;1] hidden\nflatten: flatten\nfc1: fc %lld\nfc1_relu: relu\nfc2: fc "
        "%lld\nfc2_relu: relu\npredictions: fc %lld\nsoftmax: softmax\n",
        body.data ? body.data : "", (long long)filters(s, "fc1"), (long long)filters(s, "fc2"),
        (long long)filters(s, "predictions"));
    b->failed |= body.failed;
    cvi_buf_free(&body);
}

const cvi_arch cvi_arch_keras_vgg = {.name = "VGG", .write = keras_vgg};

/* ---- ResNet, version 1 ---- */

enum { MAX_BLOCKS = 60 };

static void residual(const cvi_state *s, cvi_buf *b, int stage, int block, char *from, size_t size) {
    char conv[64], bn[64], shortcut[64], window[24];
    snprintf(shortcut, sizeof shortcut, "%s", from);
    int stride = stage > 2 && block == 1 ? 2 : 1;
    for (int k = 0; k <= 3; k++) { /* 0: the shortcut's own, in the first block of a stage */
        snprintf(conv, sizeof conv, "conv%d_block%d_%d_conv", stage, block, k);
        snprintf(bn, sizeof bn, "conv%d_block%d_%d_bn", stage, block, k);
        snprintf(window, sizeof window, "k%d s%d", k == 2 ? 3 : 1, k < 2 ? stride : 1);
        if (k > 0 || filters(s, conv) > 0) {
            conv_bn(s, b, conv, bn, k < 2 ? from : "", window, "1.001e-05", k == 1 || k == 2 ? "relu" : NULL);
            if (k == 0) {
                snprintf(shortcut, sizeof shortcut, "%s", bn);
            }
        }
    }
    cvi_buf_printf(b, "conv%d_block%d_add: from %s,%s add\nconv%d_block%d_out: relu\n", stage, block,
                   shortcut, bn, stage, block);
    snprintf(from, size, "conv%d_block%d_out", stage, block);
}

static void keras_resnet(const cvi_state *s, cvi_buf *b) {
    char from[64] = "pool1_pool", name[40];
    int blocks[6] = {0}, layers = 2;
    if (!cvi_state_find(s, "conv1_bn.running_mean") || !cvi_state_find(s, "predictions.weight")) {
        return;
    }
    for (int stage = 2; stage <= 5; stage++) {
        while (blocks[stage] < MAX_BLOCKS &&
               cvi_state_find(s, "conv%d_block%d_3_conv.weight", stage, blocks[stage] + 1)) {
            blocks[stage]++;
            layers += 3;
        }
    }
    snprintf(name, sizeof name, "ResNet-%d", layers);
    write_head(s, b, name, "conv1_conv", "ImageNet-caffe");
    conv_bn(s, b, "conv1_conv", "conv1_bn", "", "k7 s2 p3", "1.001e-05", "relu");
    cvi_buf_puts(b, "pool1_pool: maxpool k3 s2 p1\n"); /* behind a rectifier zeros pad as nothing does */
    for (int stage = 2; stage <= 5; stage++) {
        for (int i = 1; i <= blocks[stage]; i++) {
            residual(s, b, stage, i, from, sizeof from);
        }
    }
    cvi_buf_printf(b, "avg_pool: gap\npredictions: fc %lld\nsoftmax: softmax\n",
                   (long long)filters(s, "predictions"));
}

const cvi_arch cvi_arch_keras_resnet = {.name = "ResNet", .write = keras_resnet};

/* ---- MobileNetV2 ---- */

static void keras_mobilenet_v2(const cvi_state *s, cvi_buf *b) {
    char p[32], conv[64], bn[64], from[64] = "bn_Conv1_relu6";
    int64_t channels = 0;
    if (!cvi_state_find(s, "Conv1.weight") || !cvi_state_find(s, "expanded_conv_depthwise.weight") ||
        !cvi_state_find(s, "predictions.weight")) {
        return;
    }
    write_head(s, b, "MobileNetV2", "Conv1", "tf");
    conv_bn(s, b, "Conv1", "bn_Conv1", "", "k3 s2 same", "0.001", "relu6");
    for (int i = 0; i <= 16; i++) {
        int stride = i == 1 || i == 3 || i == 6 || i == 13 ? 2 : 1;
        if (i > 0) {
            snprintf(p, sizeof p, "block_%d", i);
        } else {
            snprintf(p, sizeof p, "expanded_conv");
        }
        if (i > 0) {
            snprintf(conv, sizeof conv, "%s_expand", p);
            snprintf(bn, sizeof bn, "%s_expand_BN", p);
            conv_bn(s, b, conv, bn, from, "k1", "0.001", "relu6");
        }
        cvi_buf_printf(b, "%s_depthwise: dwconv k3 s%d same nobias\n%s_depthwise_BN: bn eps=0.001\n", p,
                       stride, p);
        cvi_buf_printf(b, "%s_depthwise_relu: relu6\n", p);
        snprintf(conv, sizeof conv, "%s_project", p);
        snprintf(bn, sizeof bn, "%s_project_BN", p);
        conv_bn(s, b, conv, bn, "", "k1", "0.001", NULL);
        if (i > 0 && stride == 1 && filters(s, conv) == channels) {
            cvi_buf_printf(b, "%s_add: from %s,%s add\n", p, from, bn);
            snprintf(bn, sizeof bn, "%s_add", p);
        }
        channels = filters(s, conv);
        snprintf(from, sizeof from, "%s", bn);
    }
    conv_bn(s, b, "Conv_1", "Conv_1_bn", from, "k1", "0.001", "relu6");
    cvi_buf_printf(b, "global_average_pooling2d: gap\npredictions: fc %lld\nsoftmax: softmax\n",
                   (long long)filters(s, "predictions"));
}

const cvi_arch cvi_arch_keras_mobilenet_v2 = {.name = "MobileNetV2", .write = keras_mobilenet_v2};
