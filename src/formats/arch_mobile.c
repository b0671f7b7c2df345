/* SPDX-License-Identifier: MIT
 * arch_mobile.c - nets of inverted residual blocks: EfficientNet and EfficientNet-Lite as the package efficientnet_pytorch names their
 * tensors; EfficientNet, EfficientNetV2 and MobileNetV3 as torchvision does. Widths, kernels, groups and depths are read off the shapes; strides
 * and activations, which leave no trace in weights, come from the tables below (Tan and Le 2019 and 2021, Howard et al. 2019).
 */
#include "formats/arch_parts.h"

/* ---- efficientnet_pytorch ---- */

typedef struct scale { /* what tells the members of a family apart: blocks, channels of the last one */
    const char *name;
    int blocks, last, size;
} scale;

static const scale lite[] = {{"EfficientNet-Lite0", 16, 320, 224},
                             {"EfficientNet-Lite1", 21, 320, 240},
                             {"EfficientNet-Lite2", 21, 352, 260},
                             {"EfficientNet-Lite3", 24, 384, 280},
                             {"EfficientNet-Lite4", 30, 448, 300}};
static const scale classic[] = {{"EfficientNet-B0", 16, 320, 224}, {"EfficientNet-B1", 23, 320, 240},
                                {"EfficientNet-B2", 23, 352, 260}, {"EfficientNet-B3", 26, 384, 300},
                                {"EfficientNet-B4", 32, 448, 380}, {"EfficientNet-B5", 39, 512, 456},
                                {"EfficientNet-B6", 45, 576, 528}, {"EfficientNet-B7", 55, 640, 600}};
static const int64_t classic_stride[] = {1, 2, 2, 2, 1, 2, 1};

static const scale *find_scale(const scale *list, int n, int blocks, int64_t last) {
    for (int i = 0; i < n; i++) {
        if (list[i].blocks == blocks && list[i].last == last) {
            return &list[i];
        }
    }
    return NULL;
}

static void efficientnet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *stem = cvi_state_find(s, "_conv_stem.weight"), *fc = cvi_state_find(s, "_fc.weight");
    int blocks = 0;
    while (blocks < CVI_ARCH_BLOCKS && cvi_state_find(s, "_blocks.%d._project_conv.weight", blocks)) {
        blocks++;
    }
    bool is_lite = blocks && !cvi_state_find(s, "_blocks.0._se_reduce.weight");
    int64_t last = cvi_arch_dim(cvi_state_find(s, "_blocks.%d._project_conv.weight", blocks - 1), 0),
            width = 0;
    const scale *which = is_lite ? find_scale(lite, CVI_COUNT(lite), blocks, last)
                                 : find_scale(classic, CVI_COUNT(classic), blocks, last);
    if (!stem || !fc || !which) {
        return;
    }
    const cvi_arch_family f = is_lite ? (cvi_arch_family){.act = "relu6", .eps = "0.001", .same = true}
                                      : (cvi_arch_family){"silu", "silu", "sigmoid", "0.001", true, 0};
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    const cvi_arch_part first = cvi_arch_part_of("", "_conv_stem", "_bn0", false),
                        head = cvi_arch_part_of("", "_conv_head", "_bn1", false);
    cvi_arch_head(b, which->name, cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), which->size);
    cvi_arch_conv(s, b, &first, &f, 2, &at, f.act);
    for (int i = 0, stage = -1; i < blocks; i++) {
        char name[40];
        cvi_arch_part parts[CVI_ARCH_PARTS];
        int n = 0;
        snprintf(name, sizeof name, "_blocks.%d.", i);
        int64_t out = cvi_arch_dim(cvi_state_find(s, "%s_project_conv.weight", name), 0);
        bool begins = i == 0 || out != width;
        stage += begins;
        width = out;
        if (cvi_state_find(s, "%s_expand_conv.weight", name)) {
            parts[n++] = cvi_arch_part_of(name, "_expand_conv", "_bn0", false);
        }
        parts[n++] = cvi_arch_part_of(name, "_depthwise_conv", "_bn1", false);
        if (!is_lite) {
            parts[n++] = cvi_arch_part_of(name, "_se_reduce", "_se_expand", true);
        }
        parts[n++] = cvi_arch_part_of(name, "_project_conv", "_bn2", false);
        name[strlen(name) - 1] = 0;
        cvi_arch_block(s, b, parts, n, &f,
                       begins && stage < CVI_COUNT(classic_stride) ? classic_stride[stage] : 1, name, true,
                       n == 1, &at);
    }
    cvi_arch_conv(s, b, &head, &f, 1, &at, f.act);
    cvi_buf_printf(b, "_avg_pooling: gap\n_fc: fc %lld\n", (long long)cvi_arch_dim(fc, 0));
}

const char *cvi_arch_efficientnet_name(int blocks, int64_t last, bool is_lite, int *size) {
    const scale *which = is_lite ? find_scale(lite, CVI_COUNT(lite), blocks, last)
                                 : find_scale(classic, CVI_COUNT(classic), blocks, last);
    *size = which ? which->size : 224;
    return which ? which->name : "EfficientNet";
}

const cvi_arch cvi_arch_efficientnet = {.name = "EfficientNet", .write = efficientnet};

/* ---- torchvision ---- */

/* The parts of features.S.B.block or features.B.block: P.j.0 with P.j.1, or P.j.fc1 with P.j.fc2. */
static int find_parts(const cvi_state *s, const char *p, cvi_arch_part *parts) {
    int n = 0;
    for (; n < CVI_ARCH_PARTS; n++) {
        char name[60];
        snprintf(name, sizeof name, "%.50s.%d.", p, n);
        if (cvi_state_find(s, "%s0.weight", name)) {
            parts[n] = cvi_arch_part_of(name, "0", "1", false);
        } else if (cvi_state_find(s, "%sfc1.weight", name)) {
            parts[n] = cvi_arch_part_of(name, "fc1", "fc2", true);
        } else {
            break;
        }
    }
    return n;
}

static void efficientnet_tv(const cvi_state *s, cvi_buf *b) {
    static const int64_t second_stride[] = {1, 2, 2, 2, 1, 2, 1};
    static const scale second[] = {{"EfficientNetV2-S", 40, 256, 384},
                                   {"EfficientNetV2-M", 57, 512, 480},
                                   {"EfficientNetV2-L", 79, 640, 480}};
    const cvs_tensor *fc = cvi_state_find(s, "classifier.1.weight"),
                     *stem = cvi_state_find(s, "features.0.0.weight");
    cvi_arch_part parts[CVI_ARCH_PARTS];
    int stages = 0, blocks = 0;
    int64_t last = 0;
    char name[60];
    while (stages < 8 && cvi_state_find(s, "features.%d.0.block.0.0.weight", stages + 1)) {
        stages++;
        for (int i = 0; i < CVI_ARCH_BLOCKS; i++, blocks++) {
            snprintf(name, sizeof name, "features.%d.%d.block", stages, i);
            int n = find_parts(s, name, parts);
            if (n == 0) {
                break;
            }
            last = cvi_arch_dim(cvi_arch_weight(s, parts[n - 1].first), 0);
        }
    }
    bool fused = cvi_arch_dim(cvi_state_find(s, "features.1.0.block.0.0.weight"), 1) > 1;
    const scale *which = fused ? find_scale(second, CVI_COUNT(second), blocks, last)
                               : find_scale(classic, CVI_COUNT(classic), blocks, last);
    if (!fc || !stem || !which) {
        return;
    }
    const cvi_arch_family f = {"silu", "silu", "sigmoid", fused || which->size >= 456 ? "0.001" : "1e-5",
                               false,  0};
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    cvi_arch_part end = cvi_arch_part_of("features.0.", "0", "1", false);
    cvi_arch_head(b, which->name, cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), which->size);
    cvi_arch_conv(s, b, &end, &f, 2, &at, f.act);
    for (int stage = 0; stage < stages; stage++) {
        for (int i = 0; i < CVI_ARCH_BLOCKS; i++) {
            snprintf(name, sizeof name, "features.%d.%d.block", stage + 1, i);
            int n = find_parts(s, name, parts);
            if (n == 0) {
                break;
            }
            int64_t stride = stage < 7 ? (fused ? second_stride : classic_stride)[stage] : 1;
            cvi_arch_block(s, b, parts, n, &f, i == 0 ? stride : 1, name, true, n == 1, &at);
        }
    }
    snprintf(name, sizeof name, "features.%d.", stages + 1);
    end = cvi_arch_part_of(name, "0", "1", false);
    cvi_arch_conv(s, b, &end, &f, 1, &at, f.act);
    cvi_buf_printf(b, "avgpool: gap\nclassifier.1: fc %lld\n", (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_efficientnet_tv = {.name = "EfficientNet (torchvision)", .write = efficientnet_tv};

static void mobilenet_v3(const cvi_state *s, cvi_buf *b) {
    static const struct {
        const char *name;
        int blocks, hard; /* the first block with hard swish */
        int64_t stride[15];
    } sizes[] = {{"MobileNetV3-Large", 15, 6, {1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1}},
                 {"MobileNetV3-Small", 11, 3, {2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1}}};
    const cvs_tensor *fc = cvi_state_find(s, "classifier.0.weight"),
                     *out = cvi_state_find(s, "classifier.3.weight"),
                     *stem = cvi_state_find(s, "features.0.0.weight");
    int blocks = 0;
    while (blocks < 20 && cvi_state_find(s, "features.%d.block.0.0.weight", blocks + 1)) {
        blocks++;
    }
    if (!fc || !out || !stem || (blocks != 15 && blocks != 11)) {
        return;
    }
    const int which = blocks == 11;
    cvi_arch_family f = {"hswish", "relu", "hsigmoid", "0.001", false, 0};
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    cvi_arch_part parts[CVI_ARCH_PARTS], end = cvi_arch_part_of("features.0.", "0", "1", false);
    char name[60];
    cvi_arch_head(b, sizes[which].name, cvi_arch_dim(out, 0), cvi_arch_dim(stem, 1), 224);
    cvi_arch_conv(s, b, &end, &f, 2, &at, f.act);
    for (int i = 0; i < blocks; i++) {
        snprintf(name, sizeof name, "features.%d.block", i + 1);
        int n = find_parts(s, name, parts);
        f.act = i < sizes[which].hard ? "relu" : "hswish";
        cvi_arch_block(s, b, parts, n, &f, sizes[which].stride[i], name, true, n == 1, &at);
    }
    snprintf(name, sizeof name, "features.%d.", blocks + 1);
    end = cvi_arch_part_of(name, "0", "1", false);
    cvi_arch_conv(s, b, &end, &f, 1, &at, "hswish");
    cvi_buf_printf(b, "avgpool: gap\nclassifier.0: fc %lld\nclassifier.1: hswish\nclassifier.3: fc %lld\n",
                   (long long)cvi_arch_dim(fc, 0), (long long)cvi_arch_dim(out, 0));
}

const cvi_arch cvi_arch_mobilenet_v3 = {.name = "MobileNetV3", .write = mobilenet_v3};
