/* SPDX-License-Identifier: MIT
 * arch_keras.c - networks of keras.applications that are a chain of stages: VGG, ResNet of both versions, DenseNet, ConvNeXt. Depths,
 * widths and classes are read off the tensors (arch_pen.c), which came turned to PyTorch's order (keras_state.c).
 */
#include "formats/arch_pen.h"

/* ---- VGG ---- */

static void keras_vgg(const cvi_state *s, cvi_buf *b) {
    char name[40];
    int convs[6] = {0}, layers = 3;
    for (int block = 1; block <= 5; block++) {
        while (cvi_state_find(s, "block%d_conv%d.weight", block, convs[block] + 1)) {
            convs[block]++;
            layers++;
        }
    }
    cvi_pen p;
    snprintf(name, sizeof name, "VGG-%d", layers);
    if (convs[5] == 0 || !cvi_pen_begin(&p, s, b, "block1_conv1", name, "ImageNet-caffe", 224, "")) {
        return;
    }
    for (int block = 1; block <= 5; block++) {
        for (int i = 1; i <= convs[block]; i++) {
            cvi_pen_layer(&p, "same", "relu", "block%d_conv%d", block, i);
        }
        cvi_pen_op(&p, "maxpool k2", "block%d_pool", block);
    }
    if (cvi_pen_has(&p, "predictions")) {
        cvi_pen_op(&p, "op Transpose perm=[0;2;3;1] hidden", "rows"); /* dense layers of Keras read [H,W,C] */
        cvi_pen_op(&p, "flatten", "flatten");
        cvi_pen_layer(&p, "fc", "relu", "fc1");
        cvi_pen_layer(&p, "fc", "relu", "fc2");
        cvi_pen_layer(&p, "fc", "softmax", "predictions");
    }
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_vgg = {.name = "VGG", .write = keras_vgg};

/* ---- ResNet ---- */

static int blocks_of(const cvi_state *s, int stage, const char *layer) {
    int n = 0;
    while (n < CVI_ARCH_BLOCKS && cvi_state_find(s, "conv%d_block%d_%s.weight", stage, n + 1, layer)) {
        n++;
    }
    return n;
}

static void residual_v1(cvi_pen *p, int stage, int block) {
    const char *stride = stage > 2 && block == 1 ? "s2" : "s1";
    const cvi_arch_place in = p->at;
    cvi_arch_place ends[2] = {in};
    if (cvi_pen_has(p, "conv%d_block%d_0_conv", stage, block)) {
        cvi_pen_layer(p, stride, NULL, "conv%d_block%d_0_conv", stage, block);
        ends[0] = p->at;
        p->at = in;
    }
    cvi_pen_layer(p, stride, "relu", "conv%d_block%d_1_conv", stage, block);
    cvi_pen_layer(p, "same", "relu", "conv%d_block%d_2_conv", stage, block);
    cvi_pen_layer(p, "", NULL, "conv%d_block%d_3_conv", stage, block);
    ends[1] = p->at;
    cvi_pen_join(p, "add", 2, ends, "conv%d_block%d_add", stage, block);
    cvi_pen_op(p, "relu", "conv%d_block%d_out", stage, block);
}

static void residual_v2(cvi_pen *p, int stage, int block, bool halves) {
    const char *stride = halves ? "p1 s2" : "p1";
    cvi_arch_place ends[2] = {p->at};
    cvi_pen_norm(p, "relu", "conv%d_block%d_preact_bn", stage, block);
    const cvi_arch_place active = p->at;
    if (cvi_pen_has(p, "conv%d_block%d_0_conv", stage, block)) {
        cvi_pen_layer(p, halves ? "s2" : "s1", NULL, "conv%d_block%d_0_conv", stage, block);
        ends[0] = p->at;
    } else if (halves) {
        p->at = ends[0];
        cvi_pen_op(p, "maxpool k1 s2", "conv%d_block%d_pool", stage, block);
        ends[0] = p->at;
    }
    p->at = active;
    cvi_pen_layer(p, "", "relu", "conv%d_block%d_1_conv", stage, block);
    cvi_pen_layer(p, stride, "relu", "conv%d_block%d_2_conv", stage, block);
    cvi_pen_layer(p, "", NULL, "conv%d_block%d_3_conv", stage, block);
    ends[1] = p->at;
    cvi_pen_join(p, "add", 2, ends, "conv%d_block%d_out", stage, block);
}

/* Version 1 normalises behind its convolutions and halves at the beginning of stages, version 2 before and at their ends. */
static void keras_resnet(const cvi_state *s, cvi_buf *b) {
    char name[40];
    int blocks[6] = {0}, layers = 2;
    bool second = cvi_state_find(s, "post_bn.running_mean") != NULL;
    for (int stage = 2; stage <= 5; stage++) {
        blocks[stage] = blocks_of(s, stage, "3_conv");
        layers += 3 * blocks[stage];
    }
    cvi_pen p;
    snprintf(name, sizeof name, "ResNet-%d%s", layers, second ? "-v2" : "");
    if (blocks[5] == 0 ||
        !cvi_pen_begin(&p, s, b, "conv1_conv", name, second ? "tf" : "ImageNet-caffe", 224, "1.001e-05")) {
        return;
    }
    cvi_pen_layer(&p, "s2 p3", second ? NULL : "relu", "conv1_conv");
    if (second) { /* zeros around, which count beside negative numbers; behind a rectifier they pad as nothing does */
        cvi_buf_puts(b, "border: const i64[8][0;0;1;1;0;0;1;1]\n");
        cvi_buf_printf(b, "pool1_pad: from %s,border op Pad\n", p.at.label);
        snprintf(p.at.label, sizeof p.at.label, "pool1_pad");
    }
    cvi_pen_op(&p, second ? "maxpool k3 s2" : "maxpool k3 s2 p1", "pool1_pool");
    for (int stage = 2; stage <= 5; stage++) {
        for (int i = 1; i <= blocks[stage]; i++) {
            if (second) {
                residual_v2(&p, stage, i, stage < 5 && i == blocks[stage]);
            } else {
                residual_v1(&p, stage, i);
            }
        }
    }
    if (second) {
        cvi_pen_norm(&p, "relu", "post_bn");
    }
    cvi_pen_top(&p, "avg_pool", "predictions");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_resnet = {.name = "ResNet", .write = keras_resnet};

/* ---- DenseNet ---- */

static void keras_densenet(const cvi_state *s, cvi_buf *b) {
    char name[40];
    int blocks[6] = {0}, layers = 5;
    for (int stage = 2; stage <= 5; stage++) {
        blocks[stage] = blocks_of(s, stage, "2_conv");
        layers += 2 * blocks[stage];
    }
    cvi_pen p;
    snprintf(name, sizeof name, "DenseNet-%d", layers);
    if (!cvi_state_find(s, "pool4_conv.weight") ||
        !cvi_pen_begin(&p, s, b, "conv1_conv", name, "ImageNet-torch", 224, "1.001e-05")) {
        return;
    }
    cvi_pen_layer(&p, "s2 p3", "relu", "conv1_conv");
    cvi_pen_op(&p, "maxpool k3 s2 p1", "pool1");
    for (int stage = 2; stage <= 5; stage++) {
        for (int i = 1; i <= blocks[stage]; i++) {
            cvi_arch_place ends[2] = {p.at};
            cvi_pen_norm(&p, "relu", "conv%d_block%d_0_bn", stage, i);
            cvi_pen_layer(&p, "", "relu", "conv%d_block%d_1_conv", stage, i);
            cvi_pen_layer(&p, "same", NULL, "conv%d_block%d_2_conv", stage, i);
            ends[1] = p.at;
            cvi_pen_join(&p, "concat", 2, ends, "conv%d_block%d_concat", stage, i);
        }
        if (stage < 5) {
            cvi_pen_norm(&p, "relu", "pool%d_bn", stage);
            cvi_pen_layer(&p, "", NULL, "pool%d_conv", stage);
            cvi_pen_op(&p, "avgpool k2", "pool%d_pool", stage);
        }
    }
    cvi_pen_norm(&p, "relu", "bn");
    cvi_pen_top(&p, "avg_pool", cvi_pen_has(&p, "fc1000") ? "fc1000" : "predictions");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_densenet = {.name = "DenseNet", .write = keras_densenet};

/* ---- ConvNeXt ---- */

static void convnext_block(cvi_pen *p, const char *block) {
    char label[CVI_ARCH_LABEL];
    cvi_arch_place ends[2] = {p->at};
    cvi_pen_layer(p, "same", NULL, "%s_depthwise_conv", block);
    snprintf(label, sizeof label, "%.60s_layernorm", block);
    if (p->missing) {
        return;
    }
    cvi_arch_channel_norm(p->b, label, p->eps, &p->at);
    cvi_pen_layer(p, "", "gelu", "%s_pointwise_conv_1", block);
    cvi_pen_layer(p, "", NULL, "%s_pointwise_conv_2", block);
    if (cvi_state_find(p->s, "%s_layer_scale.weight", block)) {
        cvi_buf_printf(p->b,
                       "\"%s_layer_scale.weight\": param f32[%lldx1x1]\n"
                       "%s_layer_scale: from %s,\"%s_layer_scale.weight\" mul\n",
                       block, (long long)p->at.channels, block, p->at.label, block);
        snprintf(p->at.label, sizeof p->at.label, "%.60s_layer_scale", block);
    }
    ends[1] = p->at;
    cvi_pen_join(p, "add", 2, ends, "%s_add", block);
}

/* Without a classifier a last normalisation stands at the end, which Keras counts: "layer_normalization_3". */
static bool last_norm(const cvi_state *s, char label[CVI_ARCH_LABEL]) {
    for (int i = 0; i < s->n; i++) {
        const char *name = s->item[i].name, *dot = strchr(name, '.');
        if (strncmp(name, "layer_normalization", 19) == 0 && dot && strcmp(dot, ".weight") == 0) {
            snprintf(label, CVI_ARCH_LABEL, "%.*s", (int)CVI_MIN(dot - name, 40), name);
            return true;
        }
    }
    return false;
}

static void keras_convnext(const cvi_state *s, cvi_buf *b) {
    static const char *const sizes[] = {"tiny", "small", "base", "large", "xlarge"};
    char family[40] = "", name[40] = "", first[60], label[CVI_ARCH_LABEL];
    for (int i = 0; i < CVI_COUNT(sizes) && !*family; i++) {
        if (cvi_state_find(s, "convnext_%s_stem_conv.weight", sizes[i])) {
            snprintf(family, sizeof family, "convnext_%s", sizes[i]);
            snprintf(name, sizeof name, "ConvNeXt-%s", sizes[i]);
        }
    }
    cvi_pen p;
    snprintf(first, sizeof first, "%s_stem_conv", family);
    if (!*family || !cvi_pen_begin(&p, s, b, first, name, "ImageNet-torch", 224, "1e-6")) {
        return;
    }
    cvi_pen_layer(&p, "s4", NULL, "%s", first);
    snprintf(label, sizeof label, "%s_stem_layernorm", family);
    cvi_arch_channel_norm(b, label, p.eps, &p.at);
    for (int stage = 0; stage < 4 && !p.missing; stage++) {
        if (stage > 0) {
            snprintf(label, sizeof label, "%s_downsampling_layernorm_%d", family, stage - 1);
            cvi_arch_channel_norm(b, label, p.eps, &p.at);
            cvi_pen_layer(&p, "s2", NULL, "%s_downsampling_conv_%d", family, stage - 1);
        }
        for (int i = 0; cvi_pen_has(&p, "%s_stage_%d_block_%d_depthwise_conv", family, stage, i); i++) {
            snprintf(label, sizeof label, "%s_stage_%d_block_%d", family, stage, i);
            convnext_block(&p, label);
        }
    }
    if (cvi_pen_has(&p, "%s_head_dense", family)) {
        cvi_pen_op(&p, "gap", "%s_head_gap", family);
        snprintf(label, sizeof label, "%s_head_layernorm", family);
        cvi_arch_channel_norm(b, label, p.eps, &p.at);
        cvi_pen_layer(&p, "fc", "softmax", "%s_head_dense", family);
    } else if (last_norm(s, label)) {
        cvi_arch_channel_norm(b, label, p.eps, &p.at);
    }
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_convnext = {.name = "ConvNeXt", .write = keras_convnext};
