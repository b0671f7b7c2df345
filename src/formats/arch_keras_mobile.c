/* SPDX-License-Identifier: MIT
 * arch_keras_mobile.c - networks of keras.applications made of depthwise convolutions: MobileNet, MobileNetV2 and V3 (also minimalistic),
 * EfficientNet and EfficientNetV2; any width multiplier. Kernels and squeezes are read off the tensors (arch_pen.c), strides and
 * activations stand here.
 */
#include "formats/arch_pen.h"

static bool is_one_of(int i, const char *list) {
    char word[16];
    snprintf(word, sizeof word, " %d ", i);
    return strstr(list, word) != NULL;
}

/* ---- MobileNet ---- */

static void keras_mobilenet(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    if (!cvi_state_find(s, "conv_dw_1.weight") ||
        !cvi_pen_begin(&p, s, b, "conv1", "MobileNet", "tf", 224, "0.001")) {
        return;
    }
    cvi_pen_layer(&p, "s2 same", "relu6", "conv1");
    for (int i = 1; i <= 13; i++) {
        cvi_pen_layer(&p, is_one_of(i, " 2 4 6 12 ") ? "s2 same" : "same", "relu6", "conv_dw_%d", i);
        cvi_pen_layer(&p, "", "relu6", "conv_pw_%d", i);
    }
    if (cvi_pen_has(&p, "conv_preds")) {
        cvi_pen_op(&p, "gap", "global_average_pooling2d");
        cvi_pen_layer(&p, "", NULL, "conv_preds");
        cvi_pen_op(&p, "flatten", "reshape_2");
        cvi_pen_op(&p, "softmax", "predictions");
    }
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_mobilenet = {.name = "MobileNet", .write = keras_mobilenet};

/* ---- MobileNetV2 ---- */

static void keras_mobilenet_v2(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    char block[32];
    if (!cvi_state_find(s, "block_16_project.weight") ||
        !cvi_pen_begin(&p, s, b, "Conv1", "MobileNetV2", "tf", 224, "0.001")) {
        return;
    }
    cvi_pen_layer(&p, "s2 same", "relu6", "Conv1");
    for (int i = 0; i <= 16; i++) {
        bool halves = is_one_of(i, " 1 3 6 13 ");
        cvi_arch_place ends[2] = {p.at};
        snprintf(block, sizeof block, i ? "block_%d" : "expanded_conv", i);
        if (i > 0) {
            cvi_pen_layer(&p, "", "relu6", "%s_expand", block);
        }
        cvi_pen_layer(&p, halves ? "s2 same" : "same", "relu6", "%s_depthwise", block);
        cvi_pen_layer(&p, "", NULL, "%s_project", block);
        ends[1] = p.at;
        if (i > 0 && !halves && ends[0].channels == ends[1].channels) {
            cvi_pen_join(&p, "add", 2, ends, "%s_add", block);
        }
    }
    cvi_pen_layer(&p, "", "relu6", "Conv_1");
    cvi_pen_top(&p, "global_average_pooling2d", "predictions");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_mobilenet_v2 = {.name = "MobileNetV2", .write = keras_mobilenet_v2};

/* ---- squeeze and excitation: two convolutions on the mean ---- */

static void squeeze(cvi_pen *p, const char *block, const char *first, const char *second, const char *act,
                    const char *gate) {
    cvi_arch_place ends[2] = {p->at};
    cvi_pen_op(p, "gap", "%s_se_squeeze", block);
    cvi_pen_layer(p, "", act, "%s_%s", block, first);
    cvi_pen_layer(p, "", gate, "%s_%s", block, second);
    ends[1] = p->at;
    cvi_pen_join(p, "mul", 2, ends, "%s_se_excite", block);
}

/* ---- MobileNetV3 ---- */

/* What Keras 3 named anew: "Conv" became "conv", "Logits" "logits" and the second squeeze "conv_1". */
typedef struct v3_names {
    const char *first, *last, *wide, *logits, *squeeze;
} v3_names;

static const v3_names v3_by_age[] = {
    {"conv", "conv_1", "conv_2", "logits", "squeeze_excite_conv"},
    {"Conv", "Conv_1", "Conv_2", "Logits", "squeeze_excite_Conv"},
};

static void v3_block(cvi_pen *p, const v3_names *names, int i, bool halves, const char *act) {
    char block[40], second[40];
    cvi_arch_place ends[2] = {p->at};
    snprintf(block, sizeof block, i ? "expanded_conv_%d" : "expanded_conv", i);
    snprintf(second, sizeof second, "%s_1", names->squeeze);
    if (cvi_pen_has(p, "%s_expand", block)) {
        cvi_pen_layer(p, "", act, "%s_expand", block);
    }
    cvi_pen_layer(p, halves ? "s2 same" : "same", act, "%s_depthwise", block);
    if (cvi_pen_has(p, "%s_%s", block, names->squeeze)) {
        squeeze(p, block, names->squeeze, second, "relu", "hsigmoid");
    }
    cvi_pen_layer(p, "", NULL, "%s_project", block);
    ends[1] = p->at;
    if (!halves && ends[0].channels == ends[1].channels) {
        cvi_pen_join(p, "add", 2, ends, "%s_add", block);
    }
}

static void keras_mobilenet_v3(const cvi_state *s, cvi_buf *b) {
    const v3_names *names = NULL;
    for (int i = 0; i < CVI_COUNT(v3_by_age) && !names; i++) {
        names = cvi_state_find(s, "%s.weight", v3_by_age[i].first) ? &v3_by_age[i] : NULL;
    }
    bool is_large = cvi_state_find(s, "expanded_conv_14_project.weight") != NULL;
    bool plain = !names || !cvi_state_find(s, "expanded_conv_%d_%s.weight", is_large ? 3 : 4, names->squeeze);
    const char *act = plain ? "relu" : "hswish";
    char name[48];
    cvi_pen p;
    snprintf(name, sizeof name, "MobileNetV3-%s%s", is_large ? "Large" : "Small",
             plain ? " minimalistic" : "");
    if (!names || !cvi_state_find(s, "expanded_conv_10_project.weight") ||
        !cvi_pen_begin(&p, s, b, names->first, name, "tf", 224, "0.001")) {
        return;
    }
    cvi_pen_layer(&p, "s2 same", act, "%s", names->first);
    for (int i = 0; i < (is_large ? 15 : 11); i++) {
        bool halves = is_one_of(i, is_large ? " 1 3 6 12 " : " 0 1 3 8 ");
        v3_block(&p, names, i, halves, i < (is_large ? 6 : 3) ? "relu" : act);
    }
    cvi_pen_layer(&p, "", act, "%s", names->last);
    if (cvi_pen_has(&p, "%s", names->wide)) {
        cvi_pen_op(&p, "gap", "global_average_pooling2d");
        cvi_pen_layer(&p, "", act, "%s", names->wide);
        cvi_pen_layer(&p, "", NULL, "%s", names->logits);
        cvi_pen_op(&p, "flatten", "flatten");
        cvi_pen_op(&p, "softmax", "predictions");
    }
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_mobilenet_v3 = {.name = "MobileNetV3", .write = keras_mobilenet_v3};

/* ---- EfficientNet ---- */

/* How pictures become numbers is layers of the network: over 255 and, where the weights were trained so, normalised. */
static const char *efficientnet_pictures(const cvi_state *s, bool second, bool is_small) {
    const cvs_tensor *mean = cvi_state_find(s, "normalization.mean");
    if (second) {
        return is_small ? "ImageNet-torch" : "tf,scale=1/128";
    }
    bool trained = mean && mean->data && cvs_tensor_count(mean) == 3 && ((const float *)mean->data)[0] != 0;
    return trained ? "ImageNet-torch" : "unit";
}

/* The number of blocks and the channels of the last, as they tell the sizes apart. */
static const char *efficientnet_v2_name(int blocks, int64_t last, int *size) {
    static const struct {
        const char *name;
        int blocks, last, size;
    } known[] = {{"EfficientNetV2-B0", 21, 192, 224}, {"EfficientNetV2-B1", 27, 192, 240},
                 {"EfficientNetV2-B2", 28, 208, 260}, {"EfficientNetV2-B3", 32, 232, 300},
                 {"EfficientNetV2-S", 40, 256, 384},  {"EfficientNetV2-M", 57, 512, 480},
                 {"EfficientNetV2-L", 79, 640, 480}};
    for (int i = 0; i < CVI_COUNT(known); i++) {
        if (known[i].blocks == blocks && known[i].last == last) {
            *size = known[i].size;
            return known[i].name;
        }
    }
    return "EfficientNetV2";
}

static void efficientnet_block(cvi_pen *p, int stage, char letter, bool second) {
    char block[16];
    bool halves = letter == 'a' && is_one_of(stage, " 2 3 4 6 ");
    const char *window = halves ? "s2 same" : "same", *dw = second ? "dwconv2" : "dwconv";
    cvi_arch_place ends[2] = {p->at};
    snprintf(block, sizeof block, "block%d%c", stage, letter);
    bool depthwise = cvi_pen_has(p, "%s_%s", block, dw);
    bool expands = cvi_pen_has(p, "%s_expand_conv", block);
    if (expands) { /* fused with the depthwise one in the first stages of V2 */
        cvi_pen_layer(p, depthwise ? "" : window, "silu", "%s_expand_conv", block);
    }
    if (depthwise) {
        cvi_pen_layer(p, window, "silu", "%s_%s", block, dw);
    }
    if (cvi_pen_has(p, "%s_se_reduce", block)) {
        squeeze(p, block, "se_reduce", "se_expand", "silu", "sigmoid");
    }
    bool alone = !expands && !depthwise;
    cvi_pen_layer(p, alone ? window : "", alone ? "silu" : NULL, "%s_project_conv", block);
    ends[1] = p->at;
    if (!halves && ends[0].channels == ends[1].channels) {
        cvi_pen_join(p, "add", 2, ends, "%s_add", block);
    }
}

static void keras_efficientnet(const cvi_state *s, cvi_buf *b) {
    int blocks = 0, size = 224;
    int64_t last = 0;
    bool second = cvi_state_find(s, "block1a_dwconv.weight") == NULL;
    for (int stage = 1; stage <= 7; stage++) {
        for (char k = 'a'; k <= 'z' && cvi_state_find(s, "block%d%c_project_conv.weight", stage, k); k++) {
            last = cvi_arch_dim(cvi_state_find(s, "block%d%c_project_conv.weight", stage, k), 0);
            blocks++;
        }
    }
    const char *name = second ? efficientnet_v2_name(blocks, last, &size)
                              : cvi_arch_efficientnet_name(blocks, last, false, &size);
    cvi_pen p;
    if (blocks == 0 || !cvi_pen_begin(&p, s, b, "stem_conv", name,
                                      efficientnet_pictures(s, second, size <= 300), size, "0.001")) {
        return;
    }
    cvi_pen_layer(&p, "s2 same", "silu", "stem_conv");
    for (int stage = 1; stage <= 7; stage++) {
        for (char k = 'a'; k <= 'z' && cvi_pen_has(&p, "block%d%c_project_conv", stage, k); k++) {
            efficientnet_block(&p, stage, k, second);
        }
    }
    cvi_pen_layer(&p, "", "silu", "top_conv");
    cvi_pen_top(&p, "avg_pool", "predictions");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_efficientnet = {
    .name = "EfficientNet", .write = keras_efficientnet, .extra = "normalization"};
