/* SPDX-License-Identifier: MIT
 * arch_timm.c - architectures as timm (pytorch-image-models) names their tensors: the nets that its builder makes of stages of inverted
 * residual blocks (EfficientNet, MobileNetV2 and V3, MnasNet, FBNet, ...), told apart by kind, kernel and squeeze of each stage's
 * first block; GhostNet; Xception. Strides and activations, which leave no trace in weights, are those of the papers, in tables below.
 */
#include "formats/arch_parts.h"

enum { MAX_STAGES = 8, MAX_UNITS = 20 };

/* One row for each arrangement of stages: kind of block (d depthwise and point, i inverted, e with one full convolution, c a convolution),
 * kernel, s where it squeezes. */
typedef struct arrangement {
    const char *name, *stages, *act, *squeeze_act, *gate;
    const char *strides;
    int relu_stages; /* the first ones have plain rectifiers */
    int skips_from;  /* stages before add nothing */
    bool last_act;   /* also behind the last convolution of a block */
    bool only_tf;    /* exists only with TensorFlow's padding */
    bool halves;     /* the tf_ variants take numbers from -1 to 1 */
    bool
        rw; /* no bias in the head, squeezes with the activation of their block, an epsilon of TensorFlow's */
} arrangement;

static const arrangement arrangements[] = {
    {"EfficientNet", "d3s i3s i5s i3s i5s i5s i3s", "silu", "silu", "sigmoid", .strides = "1222121"},
    {"EfficientNet-Lite", "d3- i3- i5- i3- i5- i5- i3-", "relu6", "", "", .strides = "1222121",
     .halves = true},
    {"EfficientNet-EdgeTPU", "e3- e3- e3- i5- i5- i5-", "relu", "", "", .strides = "122212", .skips_from = 1,
     .halves = true},
    {"EfficientNetV2", "e3- e3- e3- i3s i3s i3s", "silu", "silu", "sigmoid", .strides = "122212",
     .halves = true},
    {"EfficientNetV2", "c3- e3- e3- i3s i3s i3s", "silu", "silu", "sigmoid", .strides = "122212",
     .halves = true},
    {"EfficientNetV2", "c3- e3- e3- i3s i3s i3s i3s", "silu", "silu", "sigmoid", .strides = "1222121",
     .halves = true},
    {"MobileNetV2", "d3- i3- i3- i3- i3- i3- i3-", "relu6", "", "", .strides = "1222121"},
    {"MnasNet-B1", "d3- i3- i5- i5- i3- i5- i3-", "relu", "", "", .strides = "1222121"},
    {"MnasNet-A1", "d3- i3- i5s i3- i3s i5s i3-", "relu", "relu", "sigmoid", .strides = "1222121"},
    {"MnasNet-small", "d3- i3- i3- i5s i3s i5s i3-", "relu", "relu", "sigmoid", .strides = "1222121"},
    {"Single-Path NAS", "d3- i3- i5- i5- i5- i5- i3-", "relu", "", "", .strides = "1222121"},
    {"FBNet-C", "i3- i3- i5- i5- i5- i5- i3-", "relu", "", "", .strides = "1222121"},
    {"FBNetV3", "d3- i5- i5s i5- i3s i3s c1-", "hswish", "hswish", "hsigmoid", .strides = "1222121"},
    {"FBNetV3", "d3- i3- i5s i3- i3s i3s c1-", "hswish", "hswish", "hsigmoid", .strides = "1222121"},
    {"MobileNetV3-Large", "d3- i3- i5s i3- i3s i5s c1-", "hswish", "relu", "hsigmoid", .strides = "1222121",
     .relu_stages = 3, .halves = true},
    {"MobileNetV3-Large rw", "d3- i3- i5s i3- i3s i5s c1-", "hswish", NULL, "hsigmoid", .strides = "1222121",
     .relu_stages = 3, .skips_from = 1, .rw = true},
    {"MobileNetV3-Small", "d3s i3- i5s i5s i5s c1-", "hswish", "relu", "hsigmoid", .strides = "222121",
     .relu_stages = 2, .halves = true},
    {"MobileNetV3-Large minimal", "d3- i3- i3- i3- i3- i3- c1-", "relu", "", "", .strides = "1222121",
     .only_tf = true, .halves = true},
    {"MobileNetV3-Small minimal", "d3- i3- i3- i3- i3- c1-", "relu", "", "", .strides = "222121",
     .only_tf = true, .halves = true},
    {"LCNet", "d3- d3- d3- d3- d5- d5s", "hswish", "relu", "hsigmoid", .strides = "122212",
     .skips_from = MAX_STAGES, .last_act = true},
};

/* The convolutions of a block in order; *kind as above, 0 where there is no block. */
static int find_parts(const cvi_state *s, const char *p, cvi_arch_part *part, char *kind) {
    int n = 0;
    bool expands = cvi_state_find(s, "%sconv_pwl.weight", p), dw = cvi_state_find(s, "%sconv_dw.weight", p);
    *kind = 0;
    if (cvi_state_find(s, "%sconv.weight", p)) {
        *kind = 'c';
        part[n++] = cvi_arch_part_of(p, "conv", "bn1", false);
        return n;
    }
    if (!expands && !dw) {
        return 0;
    }
    *kind = (char)(!expands ? 'd' : dw ? 'i' : 'e');
    if (expands) {
        part[n++] = cvi_arch_part_of(p, dw ? "conv_pw" : "conv_exp", "bn1", false);
    }
    if (dw) {
        part[n++] = cvi_arch_part_of(p, "conv_dw", expands ? "bn2" : "bn1", false);
    }
    if (cvi_state_find(s, "%sse.conv_reduce.weight", p)) {
        part[n++] = cvi_arch_part_of(p, "se.conv_reduce", "se.conv_expand", true);
    }
    part[n++] = cvi_arch_part_of(p, expands ? "conv_pwl" : "conv_pw", expands && dw ? "bn3" : "bn2", false);
    return n;
}

/* The stages in the words of the table; *blocks, *last: how many blocks, channels of the last that is not a mere convolution. */
static void describe(const cvi_state *s, char text[MAX_STAGES * 4 + 1], int *blocks, int64_t *last) {
    size_t at = 0;
    char name[40], kind;
    cvi_arch_part part[CVI_ARCH_PARTS];
    *blocks = 0;
    *last = 0;
    for (int stage = 0; stage < MAX_STAGES; stage++) {
        for (int i = 0; i < CVI_ARCH_BLOCKS; i++, ++*blocks) {
            snprintf(name, sizeof name, "blocks.%d.%d.", stage, i);
            int n = find_parts(s, name, part, &kind);
            int64_t kernel = 0;
            bool squeezes = false;
            if (n == 0) {
                break;
            }
            for (int k = 0; k < n; k++) {
                squeezes |= part[k].squeeze;
                kernel =
                    CVI_MAX(kernel, part[k].squeeze ? 0 : cvi_arch_dim(cvi_arch_weight(s, part[k].first), 2));
            }
            if (i == 0 && kernel >= 0 && kernel < 10) {
                at += (size_t)snprintf(text + at, 5, "%s%c%d%c", at ? " " : "", kind, (int)kernel,
                                       squeezes ? 's' : '-');
            }
            *last = cvi_arch_dim(cvi_arch_weight(s, part[n - 1].first), 0);
        }
    }
    text[at] = 0;
}

static void write_top(const cvi_state *s, cvi_buf *b, const arrangement *a, int blocks, int64_t last, bool tf,
                      int64_t classes, int64_t colours) {
    char name[60];
    int size = 224;
    bool scaled = strcmp(a->name, "EfficientNet") == 0, is_lite = strcmp(a->name, "EfficientNet-Lite") == 0;
    const char *known =
        scaled || is_lite ? cvi_arch_efficientnet_name(blocks, last, is_lite, &size) : a->name;
    (void)s;
    snprintf(name, sizeof name, "%s%s", known, tf ? " (tf)" : "");
    if (tf && a->halves && classes == 1000) {
        cvi_buf_printf(b,
                       "name \"%s\"\npreprocess \"ImageNet-torch,mean=0.5:0.5:0.5,std=0.5:0.5:0.5\"\n"
                       "input %lldx%dx%d\n",
                       name, (long long)colours, size, size);
    } else {
        cvi_arch_head(b, name, classes, colours, size);
    }
}

static void write_stages(const cvi_state *s, cvi_buf *b, const arrangement *a, cvi_arch_family *f,
                         cvi_arch_place *at) {
    for (int stage = 0; a->strides[stage]; stage++) {
        f->act = stage < a->relu_stages ? "relu" : a->act;
        f->squeeze_act = a->rw ? f->act : a->squeeze_act;
        for (int i = 0; i < CVI_ARCH_BLOCKS; i++) {
            char name[40], kind;
            cvi_arch_part part[CVI_ARCH_PARTS];
            snprintf(name, sizeof name, "blocks.%d.%d.", stage, i);
            int n = find_parts(s, name, part, &kind);
            if (n == 0) {
                break;
            }
            name[strlen(name) - 1] = 0;
            cvi_arch_block(s, b, part, n, f, i == 0 ? a->strides[stage] - '0' : 1, name,
                           stage >= a->skips_from, kind == 'c' || a->last_act, at);
        }
    }
}

static void timm_mobile(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *stem = cvi_state_find(s, "conv_stem.weight"),
                     *fc = cvi_state_find(s, "classifier.weight"),
                     *head = cvi_state_find(s, "conv_head.weight");
    char stages[MAX_STAGES * 4 + 1];
    const arrangement *a = NULL;
    int blocks;
    int64_t last;
    if (!stem || !fc || !head) {
        return;
    }
    describe(s, stages, &blocks, &last);
    bool last_norm = cvi_state_find(s, "bn2.weight");
    bool head_bias = cvi_state_find(s, "conv_head.bias");
    bool plain = last_norm || head_bias; /* MobileNetV3 rw has no bias there */
    for (int i = 0; i < CVI_COUNT(arrangements); i++) {
        bool same = strcmp(arrangements[i].stages, stages) == 0 &&
                    (arrangements[i].rw ? !plain : plain || arrangements[i].relu_stages == 0);
        a = same ? &arrangements[i] : a;
    }
    if (!a) {
        return;
    }
    /* EfficientNetV2 of at most 32 blocks (B0 to B3) comes from TensorFlow only. */
    bool tf = a->only_tf || (s->file && strstr(s->file, "tf_")) ||
              (strcmp(a->name, "EfficientNetV2") == 0 && blocks <= 32);
    cvi_arch_family f = {a->act, a->squeeze_act, a->gate, tf || a->rw ? "0.001" : "1e-5", tf, 0};
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    cvi_arch_part end = cvi_arch_part_of("", "conv_stem", "bn1", false);
    write_top(s, b, a, blocks, last, tf, cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1));
    cvi_arch_conv(s, b, &end, &f, 2, &at, a->act);
    write_stages(s, b, a, &f, &at);
    if (last_norm) {
        end = cvi_arch_part_of("", "conv_head", "bn2", false);
        cvi_arch_conv(s, b, &end, &f, 1, &at, a->act);
        cvi_buf_puts(b, "global_pool: gap\n");
    } else { /* MobileNetV3 pools first */
        cvi_buf_printf(b, "global_pool: from %s gap\nconv_head: conv %lld k1 %s\nconv_head.act: %s\n",
                       at.label, (long long)cvi_arch_dim(head, 0), head_bias ? "bias" : "nobias", a->act);
    }
    cvi_buf_printf(b, "classifier: fc %lld\n", (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_timm_mobile = {
    .name = "timm",
    .write = timm_mobile,
    .note = "timm's tf_ networks (TensorFlow's padding) have the same tensors: a file is read as one of them "
            "when its name holds tf_"};

/* ---- GhostNet ---- */

/* A convolution, and cheap ones of its maps behind it, joined. */
static void ghost(const cvi_state *s, cvi_buf *b, const char *p, const cvi_arch_family *f, bool act,
                  cvi_arch_place *at) {
    cvi_arch_part first = cvi_arch_part_of(p, "primary_conv.0", "primary_conv.1", false),
                  cheap = cvi_arch_part_of(p, "cheap_operation.0", "cheap_operation.1", false);
    cvi_arch_conv(s, b, &first, f, 1, at, act ? f->act : NULL);
    cvi_arch_place main = *at;
    cvi_arch_conv(s, b, &cheap, f, 1, at, act ? f->act : NULL);
    at->channels += main.channels;
    cvi_buf_printf(b, "%s: from %s,%s concat\n", p, main.label, at->label);
    snprintf(at->label, sizeof at->label, "%s", p);
}

static void ghost_block(const cvi_state *s, cvi_buf *b, const char *p, const cvi_arch_family *f,
                        cvi_arch_place *at) {
    char name[60];
    cvi_arch_place in = *at;
    bool wide = cvi_state_find(s, "%sconv_dw.weight", p);
    snprintf(name, sizeof name, "%sghost1.", p);
    ghost(s, b, name, f, true, at);
    cvi_arch_part part = cvi_arch_part_of(p, "conv_dw", "bn_dw", false);
    if (wide) {
        cvi_arch_conv(s, b, &part, f, 2, at, NULL);
    }
    if (cvi_state_find(s, "%sse.conv_reduce.weight", p)) {
        part = cvi_arch_part_of(p, "se.conv_reduce", "se.conv_expand", true);
        cvi_arch_squeeze(s, b, &part, f, at);
    }
    snprintf(name, sizeof name, "%sghost2.", p);
    ghost(s, b, name, f, false, at);
    if (cvi_state_find(s, "%sshortcut.0.weight", p)) {
        part = cvi_arch_part_of(p, "shortcut.0", "shortcut.1", false);
        cvi_arch_conv(s, b, &part, f, wide ? 2 : 1, &in, NULL);
        part = cvi_arch_part_of(p, "shortcut.2", "shortcut.3", false);
        cvi_arch_conv(s, b, &part, f, 1, &in, NULL);
    }
    cvi_buf_printf(b, "%sadd: from %s,%s add\n", p, at->label, in.label);
    snprintf(at->label, sizeof at->label, "%sadd", p);
}

static void ghostnet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *stem = cvi_state_find(s, "conv_stem.weight"),
                     *fc = cvi_state_find(s, "classifier.weight"),
                     *head = cvi_state_find(s, "conv_head.weight");
    const cvi_arch_family f = {"relu", "relu", "hsigmoid", "1e-5", false, 0};
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    cvi_arch_part part = cvi_arch_part_of("", "conv_stem", "bn1", false);
    if (!stem || !fc || !head || !cvi_state_find(s, "blocks.0.0.ghost1.primary_conv.0.weight")) {
        return;
    }
    cvi_arch_head(b, "GhostNet", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    cvi_arch_conv(s, b, &part, &f, 2, &at, f.act);
    for (int stage = 0; stage < MAX_UNITS; stage++) {
        for (int i = 0; i < MAX_UNITS; i++) {
            char p[40];
            snprintf(p, sizeof p, "blocks.%d.%d.", stage, i);
            if (cvi_state_find(s, "%sghost1.primary_conv.0.weight", p)) {
                ghost_block(s, b, p, &f, &at);
            } else if (cvi_state_find(s, "%sconv.weight", p)) {
                part = cvi_arch_part_of(p, "conv", "bn1", false);
                cvi_arch_conv(s, b, &part, &f, 1, &at, f.act);
            } else {
                break;
            }
        }
    }
    cvi_buf_printf(
        b, "global_pool: from %s gap\nconv_head: conv %lld k1 bias\nact2: relu\nclassifier: fc %lld\n",
        at.label, (long long)cvi_arch_dim(head, 0), (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_ghostnet = {.name = "GhostNet", .write = ghostnet};

/* ---- Xception ---- */

static void separable(const cvi_state *s, cvi_buf *b, const char *p, const char *bn, cvi_arch_place *at) {
    const cvs_tensor *w = cvi_state_find(s, "%s.pointwise.weight", p);
    cvi_buf_printf(b, "%s.conv1: from %s dwconv k3 nobias\n%s.pointwise: conv %lld k1 nobias\n%s: bn\n", p,
                   at->label, p, (long long)cvi_arch_dim(w, 0), bn);
    snprintf(at->label, sizeof at->label, "%s", bn);
    at->channels = cvi_arch_dim(w, 0);
}

/* rep.K: a separable convolution with rep.K+1, its normalisation; a rectifier before each but a rep.0. */
static void xception_block(const cvi_state *s, cvi_buf *b, int block, cvi_arch_place *at) {
    char name[CVI_ARCH_LABEL], bn[CVI_ARCH_LABEL];
    cvi_arch_place in = *at;
    for (int k = 0; k < MAX_UNITS; k++) {
        if (!cvi_state_find(s, "block%d.rep.%d.pointwise.weight", block, k)) {
            continue;
        }
        if (k > 0) {
            cvi_buf_printf(b, "block%d.rep.%d: from %s relu\n", block, k - 1, at->label);
            snprintf(at->label, sizeof at->label, "block%d.rep.%d", block, k - 1);
        }
        snprintf(name, sizeof name, "block%d.rep.%d", block, k);
        snprintf(bn, sizeof bn, "block%d.rep.%d", block, k + 1);
        separable(s, b, name, bn, at);
    }
    const cvs_tensor *skip = cvi_state_find(s, "block%d.skip.weight", block);
    if (skip) {
        cvi_buf_printf(b, "block%d.pool: from %s maxpool k3 s2 p1\n", block, at->label);
        snprintf(at->label, sizeof at->label, "block%d.pool", block);
        cvi_buf_printf(b, "block%d.skip: from %s conv %lld k1 s2 nobias\nblock%d.skipbn: bn\n", block,
                       in.label, (long long)cvi_arch_dim(skip, 0), block);
        snprintf(in.label, sizeof in.label, "block%d.skipbn", block);
    }
    cvi_buf_printf(b, "block%d: from %s,%s add\n", block, at->label, in.label);
    snprintf(at->label, sizeof at->label, "block%d", block);
}

static void xception(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "conv1.weight"), *fc = cvi_state_find(s, "fc.weight"),
                     *second = cvi_state_find(s, "conv2.weight");
    if (!second || !fc || !cvi_state_find(s, "block12.rep.1.pointwise.weight")) {
        return;
    }
    cvi_buf_printf(
        b, "name \"Xception\"\n%sinput %lldx299x299\n",
        cvi_arch_dim(fc, 0) == 1000 ? "preprocess \"ImageNet-torch,mean=0.5:0.5:0.5,std=0.5:0.5:0.5\"\n" : "",
        (long long)cvi_arch_dim(first, 1));
    cvi_buf_printf(b,
                   "conv1: conv %lld k3 s2 valid nobias\nbn1: bn\nact1: relu\n"
                   "conv2: conv %lld k3 valid nobias\nbn2: bn\nact2: relu\n",
                   (long long)cvi_arch_dim(first, 0), (long long)cvi_arch_dim(second, 0));
    cvi_arch_place at = {"act2", cvi_arch_dim(second, 0)};
    for (int i = 1; i <= 12; i++) {
        xception_block(s, b, i, &at);
    }
    separable(s, b, "conv3", "bn3", &at);
    cvi_buf_puts(b, "act3: relu\n");
    snprintf(at.label, sizeof at.label, "act3");
    separable(s, b, "conv4", "bn4", &at);
    cvi_buf_printf(b, "act4: relu\nglobal_pool: gap\nfc: fc %lld\n", (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_xception = {.name = "Xception", .write = xception};
