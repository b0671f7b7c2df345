/* SPDX-License-Identifier: MIT
 * arch_mobile.c - nets of inverted residual blocks: EfficientNet and EfficientNet-Lite as the package efficientnet_pytorch names their
 * tensors; EfficientNet, EfficientNetV2 and MobileNetV3 as torchvision does. Widths, kernels, groups and depths are read off the shapes; strides
 * and activations, which leave no trace in weights, come from the tables below (Tan and Le 2019 and 2021, Howard et al. 2019).
 */
#include "formats/state.h"

enum { MAX_BLOCKS = 120, MAX_PARTS = 6, LABEL = 80 };

typedef struct
    part { /* a convolution with its normalisation, or a squeeze-and-excitation of two convolutions */
    char first[LABEL], second[LABEL];
    bool squeeze;
} part;

typedef struct family {
    const char *act, *squeeze_act, *gate, *eps;
    bool same; /* padding as TensorFlow's, at the far side first */
} family;

typedef struct place {
    char label[LABEL];
    int64_t channels;
} place;

static int64_t dim(const cvs_tensor *t, int i) {
    return t && i < t->rank ? t->dim[i] : 0;
}

static const cvs_tensor *weight(const cvi_state *s, const char *label) {
    return cvi_state_find(s, "%s.weight", label);
}

/* A convolution on what was written last and its normalisation; act NULL: none behind. */
static void write_conv(const cvi_state *s, cvi_buf *b, const part *p, const family *f, int64_t stride,
                       place *at, const char *act) {
    const cvs_tensor *w = weight(s, p->first);
    int64_t per = CVI_MAX(dim(w, 1), 1);
    cvi_buf_printf(b, "%s: conv %lld k%lld s%lld g%lld%s %s\n", p->first, (long long)dim(w, 0),
                   (long long)dim(w, 2), (long long)stride, (long long)CVI_MAX(at->channels / per, 1),
                   f->same ? " same" : "", cvi_state_find(s, "%s.bias", p->first) ? "bias" : "nobias");
    cvi_buf_printf(b, "%s: bn eps=%s\n", p->second, f->eps);
    snprintf(at->label, sizeof at->label, "%s", p->second);
    at->channels = dim(w, 0);
    if (act) {
        cvi_buf_printf(b, "%.70s.act: %s\n", p->second, act);
        snprintf(at->label, sizeof at->label, "%.70s.act", p->second);
    }
}

static void write_squeeze(const cvi_state *s, cvi_buf *b, const part *p, const family *f, place *at) {
    cvi_buf_printf(
        b, "%.60s.pool: gap\n%s: conv %lld k1 bias\n%.60s.act: %s\n%s: conv %lld k1 bias\n%.60s.gate: %s\n",
        p->first, p->first, (long long)dim(weight(s, p->first), 0), p->first, f->squeeze_act, p->second,
        (long long)dim(weight(s, p->second), 0), p->second, f->gate);
    cvi_buf_printf(b, "%.60s.scaled: from %s,%.60s.gate mul\n", p->second, at->label, p->second);
    snprintf(at->label, sizeof at->label, "%.60s.scaled", p->second);
}

/* The stride is the depthwise convolution's, or without one that of the first convolution wider than a point. */
static void write_block(const cvi_state *s, cvi_buf *b, const part *parts, int n, const family *f,
                        int64_t stride, const char *name, place *at) {
    const place in = *at;
    int strided = 0;
    for (int i = n - 1; i >= 0; i--) {
        strided = !parts[i].squeeze && dim(weight(s, parts[i].first), 2) > 1 ? i : strided;
    }
    for (int i = 0; i < n; i++) {
        if (parts[i].squeeze) {
            write_squeeze(s, b, &parts[i], f, at);
        } else {
            write_conv(s, b, &parts[i], f, i == strided ? stride : 1, at,
                       i + 1 < n || n == 1 ? f->act : NULL);
        }
    }
    if (stride == 1 && at->channels == in.channels) {
        cvi_buf_printf(b, "%s.add: from %s,%s add\n", name, in.label, at->label);
        snprintf(at->label, sizeof at->label, "%.70s.add", name);
    }
}

static void write_head(cvi_buf *b, const char *name, int64_t classes, int64_t colours, int size) {
    cvi_buf_printf(b, "name \"%s\"\n%sinput %lldx%dx%d\n", name,
                   classes == 1000 ? "preprocess ImageNet-torch\n" : "", (long long)colours, size, size);
}

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

static part make_part(const char *block, const char *conv, const char *bn, bool squeeze) {
    part p = {.squeeze = squeeze};
    snprintf(p.first, sizeof p.first, "%s%s", block, conv);
    snprintf(p.second, sizeof p.second, "%s%s", block, bn);
    return p;
}

static void efficientnet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *stem = cvi_state_find(s, "_conv_stem.weight"), *fc = cvi_state_find(s, "_fc.weight");
    int blocks = 0;
    while (blocks < MAX_BLOCKS && cvi_state_find(s, "_blocks.%d._project_conv.weight", blocks)) {
        blocks++;
    }
    bool is_lite = blocks && !cvi_state_find(s, "_blocks.0._se_reduce.weight");
    int64_t last = dim(cvi_state_find(s, "_blocks.%d._project_conv.weight", blocks - 1), 0), width = 0;
    const scale *which = is_lite ? find_scale(lite, CVI_COUNT(lite), blocks, last)
                                 : find_scale(classic, CVI_COUNT(classic), blocks, last);
    if (!stem || !fc || !which) {
        return;
    }
    const family f = is_lite ? (family){.act = "relu6", .eps = "0.001", .same = true}
                             : (family){"silu", "silu", "sigmoid", "0.001", true};
    place at = {.channels = dim(stem, 1)};
    const part first = make_part("", "_conv_stem", "_bn0", false),
               head = make_part("", "_conv_head", "_bn1", false);
    write_head(b, which->name, dim(fc, 0), dim(stem, 1), which->size);
    write_conv(s, b, &first, &f, 2, &at, f.act);
    for (int i = 0, stage = -1; i < blocks; i++) {
        char name[40];
        part parts[MAX_PARTS];
        int n = 0;
        snprintf(name, sizeof name, "_blocks.%d.", i);
        int64_t out = dim(cvi_state_find(s, "%s_project_conv.weight", name), 0);
        bool begins = i == 0 || out != width;
        stage += begins;
        width = out;
        if (cvi_state_find(s, "%s_expand_conv.weight", name)) {
            parts[n++] = make_part(name, "_expand_conv", "_bn0", false);
        }
        parts[n++] = make_part(name, "_depthwise_conv", "_bn1", false);
        if (!is_lite) {
            parts[n++] = make_part(name, "_se_reduce", "_se_expand", true);
        }
        parts[n++] = make_part(name, "_project_conv", "_bn2", false);
        name[strlen(name) - 1] = 0;
        write_block(s, b, parts, n, &f,
                    begins && stage < CVI_COUNT(classic_stride) ? classic_stride[stage] : 1, name, &at);
    }
    write_conv(s, b, &head, &f, 1, &at, f.act);
    cvi_buf_printf(b, "_avg_pooling: gap\n_fc: fc %lld\n", (long long)dim(fc, 0));
}

const cvi_arch cvi_arch_efficientnet = {.name = "EfficientNet", .write = efficientnet};

/* ---- torchvision ---- */

/* The parts of features.S.B.block or features.B.block: P.j.0 with P.j.1, or P.j.fc1 with P.j.fc2. */
static int find_parts(const cvi_state *s, const char *p, part *parts) {
    int n = 0;
    for (; n < MAX_PARTS; n++) {
        char name[60];
        snprintf(name, sizeof name, "%.50s.%d.", p, n);
        if (cvi_state_find(s, "%s0.weight", name)) {
            parts[n] = make_part(name, "0", "1", false);
        } else if (cvi_state_find(s, "%sfc1.weight", name)) {
            parts[n] = make_part(name, "fc1", "fc2", true);
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
    part parts[MAX_PARTS];
    int stages = 0, blocks = 0;
    int64_t last = 0;
    char name[60];
    while (stages < 8 && cvi_state_find(s, "features.%d.0.block.0.0.weight", stages + 1)) {
        stages++;
        for (int i = 0; i < MAX_BLOCKS; i++, blocks++) {
            snprintf(name, sizeof name, "features.%d.%d.block", stages, i);
            int n = find_parts(s, name, parts);
            if (n == 0) {
                break;
            }
            last = dim(weight(s, parts[n - 1].first), 0);
        }
    }
    bool fused = dim(cvi_state_find(s, "features.1.0.block.0.0.weight"), 1) > 1;
    const scale *which = fused ? find_scale(second, CVI_COUNT(second), blocks, last)
                               : find_scale(classic, CVI_COUNT(classic), blocks, last);
    if (!fc || !stem || !which) {
        return;
    }
    const family f = {"silu", "silu", "sigmoid", fused || which->size >= 456 ? "0.001" : "1e-5", false};
    place at = {.channels = dim(stem, 1)};
    part end = make_part("features.0.", "0", "1", false);
    write_head(b, which->name, dim(fc, 0), dim(stem, 1), which->size);
    write_conv(s, b, &end, &f, 2, &at, f.act);
    for (int stage = 0; stage < stages; stage++) {
        for (int i = 0; i < MAX_BLOCKS; i++) {
            snprintf(name, sizeof name, "features.%d.%d.block", stage + 1, i);
            int n = find_parts(s, name, parts);
            if (n == 0) {
                break;
            }
            int64_t stride = stage < 7 ? (fused ? second_stride : classic_stride)[stage] : 1;
            write_block(s, b, parts, n, &f, i == 0 ? stride : 1, name, &at);
        }
    }
    snprintf(name, sizeof name, "features.%d.", stages + 1);
    end = make_part(name, "0", "1", false);
    write_conv(s, b, &end, &f, 1, &at, f.act);
    cvi_buf_printf(b, "avgpool: gap\nclassifier.1: fc %lld\n", (long long)dim(fc, 0));
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
    family f = {"hswish", "relu", "hsigmoid", "0.001", false};
    place at = {.channels = dim(stem, 1)};
    part parts[MAX_PARTS], end = make_part("features.0.", "0", "1", false);
    char name[60];
    write_head(b, sizes[which].name, dim(out, 0), dim(stem, 1), 224);
    write_conv(s, b, &end, &f, 2, &at, f.act);
    for (int i = 0; i < blocks; i++) {
        snprintf(name, sizeof name, "features.%d.block", i + 1);
        int n = find_parts(s, name, parts);
        f.act = i < sizes[which].hard ? "relu" : "hswish";
        write_block(s, b, parts, n, &f, sizes[which].stride[i], name, &at);
    }
    snprintf(name, sizeof name, "features.%d.", blocks + 1);
    end = make_part(name, "0", "1", false);
    write_conv(s, b, &end, &f, 1, &at, "hswish");
    cvi_buf_printf(b, "avgpool: gap\nclassifier.0: fc %lld\nclassifier.1: hswish\nclassifier.3: fc %lld\n",
                   (long long)dim(fc, 0), (long long)dim(out, 0));
}

const cvi_arch cvi_arch_mobilenet_v3 = {.name = "MobileNetV3", .write = mobilenet_v3};
