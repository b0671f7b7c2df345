/* SPDX-License-Identifier: MIT
 * arch_timm_more.c - further architectures as timm names their tensors: RepVGG (Ding et al. 2021, under its authors' names too), ConvMixer
 * (Trockman and Kolter 2022), VoVNet with one-shot aggregation (Lee et al. 2019 and 2020). Widths, depths and groups are read off the shapes.
 */
#include "formats/arch_parts.h"

enum { MAX_STAGES = 8, MAX_UNITS = 60, LABEL = CVI_ARCH_LABEL };

static const cvi_arch_family plain = {.act = "relu", .squeeze_act = "relu", .gate = "sigmoid", .eps = "1e-5"};

/* ---- RepVGG ------------------------------------------------------------------------------------------------- */

/* The branches of a block as one library names them. */
typedef struct rep_names {
    const char *stem, *stages[2]; /* printed with stage and block, from 0 and from 1 */
    const char *wide[2], *point[2], *identity, *fc;
} rep_names;

static const rep_names reps[] = {{"stem.",
                                  {"stages.%d.%d.", NULL},
                                  {"conv_kxk.conv", "conv_kxk.bn"},
                                  {"conv_1x1.conv", "conv_1x1.bn"},
                                  "identity",
                                  "head.fc"},
                                 {"stage0.",
                                  {NULL, "stage%d.%d."},
                                  {"rbr_dense.conv", "rbr_dense.bn"},
                                  {"rbr_1x1.conv", "rbr_1x1.bn"},
                                  "rbr_identity",
                                  "linear"}};

/* Convolutions of 3x3 and 1x1 and, where sizes stay, the input itself, each normalised; added and rectified. false: no such block. */
static bool rep_block(const cvi_state *s, cvi_buf *b, const rep_names *n, const char *p, int64_t stride,
                      cvi_arch_place *at) {
    cvi_arch_part wide = cvi_arch_part_of(p, n->wide[0], n->wide[1], false),
                  point = cvi_arch_part_of(p, n->point[0], n->point[1], false);
    cvi_arch_place in = *at, one = *at;
    if (!cvi_arch_weight(s, wide.first) || !cvi_arch_weight(s, point.first)) {
        return false;
    }
    cvi_arch_conv(s, b, &wide, &plain, stride, at, NULL);
    if (!*in.label) { /* the picture */
        cvi_buf_printf(b, "%s: from input conv %lld k1 s%lld nobias\n%s: bn\n", point.first,
                       (long long)at->channels, (long long)stride, point.second);
        snprintf(one.label, sizeof one.label, "%s", point.second);
    } else {
        cvi_arch_conv(s, b, &point, &plain, stride, &one, NULL);
    }
    if (cvi_state_find(s, "%s%s.running_mean", p, n->identity)) {
        cvi_buf_printf(b, "%s%s: from %s bn\n%sadd: from %s,%s,%s%s add\n", p, n->identity, in.label, p,
                       at->label, one.label, p, n->identity);
    } else {
        cvi_buf_printf(b, "%sadd: from %s,%s add\n", p, at->label, one.label);
    }
    cvi_buf_printf(b, "%sout: relu\n", p);
    snprintf(at->label, sizeof at->label, "%.70sout", p);
    return true;
}

static void repvgg(const cvi_state *s, cvi_buf *b) {
    const rep_names *n = &reps[cvi_state_find(s, "stage0.rbr_dense.conv.weight") != NULL];
    const cvs_tensor *stem = cvi_state_find(s, "%s%s.weight", n->stem, n->wide[0]),
                     *fc = cvi_arch_weight(s, n->fc);
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    char p[LABEL];
    if (!stem || !fc) {
        return;
    }
    cvi_arch_head(b, "RepVGG", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    rep_block(s, b, n, n->stem, 2, &at);
    for (int stage = 0; stage < MAX_STAGES; stage++) {
        for (int i = 0; i < MAX_UNITS; i++) {
            if (n->stages[0]) {
                snprintf(p, sizeof p, "stages.%d.%d.", stage, i);
            } else {
                snprintf(p, sizeof p, "stage%d.%d.", stage + 1, i);
            }
            if (!rep_block(s, b, n, p, i == 0 ? 2 : 1, &at)) {
                break;
            }
        }
    }
    cvi_buf_printf(b, "global_pool: gap\n%s: fc %lld\n", n->fc, (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_repvgg = {.name = "RepVGG", .write = repvgg};

/* ---- ConvMixer ---------------------------------------------------------------------------------------------- */

/* The published network of 768 channels has rectifiers, the others have Gelu. */
static void convmixer(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *stem = cvi_state_find(s, "stem.0.weight"), *fc = cvi_state_find(s, "head.weight");
    long long c = (long long)cvi_arch_dim(stem, 0), k = (long long)cvi_arch_dim(stem, 2);
    const char *act = c == 768 ? "relu" : "gelu";
    if (!stem || !fc || !cvi_state_find(s, "blocks.0.0.fn.0.weight")) {
        return;
    }
    cvi_arch_head(b, "ConvMixer", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    cvi_buf_printf(b, "stem.0: conv %lld k%lld s%lld valid bias\nstem.1: %s\nstem.2: bn\n", c, k, k, act);
    char from[LABEL] = "stem.2";
    for (int i = 0; i < MAX_UNITS; i++) {
        const cvs_tensor *w = cvi_state_find(s, "blocks.%d.0.fn.0.weight", i);
        if (!w) {
            break;
        }
        cvi_buf_printf(
            b,
            "blocks.%d.0.fn.0: from %s dwconv k%lld bias\nblocks.%d.0.fn.1: %s\nblocks.%d.0.fn.2: bn\n"
            "blocks.%d.0: from %s,blocks.%d.0.fn.2 add\n"
            "blocks.%d.1: conv %lld k1 bias\nblocks.%d.2: %s\nblocks.%d.3: bn\n",
            i, from, (long long)cvi_arch_dim(w, 2), i, act, i, i, from, i, i, c, i, act, i);
        snprintf(from, sizeof from, "blocks.%d.3", i);
    }
    cvi_buf_printf(b, "pooling: from %s gap\nhead: fc %lld\n", from, (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_convmixer = {
    .name = "ConvMixer",
    .write = convmixer,
    .note = "of ConvMixers, that of 768 channels is taken to have rectifiers, others Gelu"};

/* ---- VoVNet ------------------------------------------------------------------------------------------------- */

/* A convolution with its normalisation and rectifier, or a depthwise one and a point before them. false: none of that name. */
static bool vov_unit(const cvi_state *s, cvi_buf *b, const char *p, int64_t stride, cvi_arch_place *at) {
    cvi_arch_part part = cvi_arch_part_of(p, "conv", "bn", false),
                  point = cvi_arch_part_of(p, "conv_pw", "bn", false);
    const cvs_tensor *dw = cvi_state_find(s, "%sconv_dw.weight", p);
    if (dw) {
        cvi_buf_printf(b, "%sconv_dw: from %s dwconv k%lld s%lld nobias\n", p, at->label,
                       (long long)cvi_arch_dim(dw, 2), (long long)stride);
        snprintf(at->label, sizeof at->label, "%.70sconv_dw", p);
        stride = 1;
    }
    part = dw ? point : part;
    if (!cvi_arch_weight(s, part.first)) {
        return false;
    }
    cvi_arch_conv(s, b, &part, &plain, stride, at, "relu");
    return true;
}

/* All of the input, what a chain of convolutions makes of it one by one, joined; a gate of the whole map's means. */
static void vov_block(const cvi_state *s, cvi_buf *b, const char *p, bool adds, cvi_arch_place *at) {
    cvi_buf ends = {0};
    cvi_arch_place in = *at;
    char name[LABEL];
    cvi_buf_puts(&ends, in.label);
    snprintf(name, sizeof name, "%.50sconv_reduction.", p);
    vov_unit(s, b, name, 1, at);
    for (int i = 0; i < MAX_UNITS; i++) {
        snprintf(name, sizeof name, "%.50sconv_mid.%d.", p, i);
        if (!vov_unit(s, b, name, 1, at)) {
            break;
        }
        cvi_buf_printf(&ends, ",%s", at->label);
        in.channels += at->channels;
    }
    cvi_buf_printf(b, "%sjoined: from %s concat\n", p, ends.data ? ends.data : "");
    b->failed |= ends.failed;
    cvi_buf_free(&ends);
    snprintf(at->label, sizeof at->label, "%.70sjoined", p);
    at->channels = in.channels;
    snprintf(name, sizeof name, "%.50sconv_concat.", p);
    vov_unit(s, b, name, 1, at);
    const cvs_tensor *gate = cvi_state_find(s, "%sattn.fc.weight", p);
    if (gate) {
        cvi_buf_printf(b,
                       "%sattn.pool: gap\n%sattn.fc: conv %lld k1 bias\n%sattn.gate: hsigmoid\n%sattn: from "
                       "%s,%sattn.gate mul\n",
                       p, p, (long long)cvi_arch_dim(gate, 0), p, p, at->label, p);
        snprintf(at->label, sizeof at->label, "%.70sattn", p);
    }
    if (adds) {
        cvi_buf_printf(b, "%sadd: from %s,%s add\n", p, at->label, in.label);
        snprintf(at->label, sizeof at->label, "%.70sadd", p);
    }
}

static void vovnet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *stem = cvi_state_find(s, "stem.0.conv.weight"),
                     *fc = cvi_state_find(s, "head.fc.weight");
    cvi_arch_place at = {"input", cvi_arch_dim(stem, 1)};
    char p[LABEL];
    static const int strides[] = {2, 1, 2};
    if (!stem || !fc || !cvi_state_find(s, "stages.0.blocks.0.conv_concat.conv.weight")) {
        return;
    }
    cvi_arch_head(b, "VoVNet", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    for (int i = 0; i < 3; i++) {
        snprintf(p, sizeof p, "stem.%d.", i);
        vov_unit(s, b, p, strides[i], &at);
    }
    for (int stage = 0; stage < MAX_STAGES; stage++) {
        for (int i = 0; i < MAX_UNITS; i++) {
            snprintf(p, sizeof p, "stages.%d.blocks.%d.", stage, i);
            if (!cvi_state_find(s, "%sconv_concat.conv.weight", p)) {
                break;
            }
            if (i == 0 && stage > 0) {
                cvi_buf_printf(b, "stages.%d.pool: from %s maxpool k3 s2 ceil\n", stage, at.label);
                snprintf(at.label, sizeof at.label, "stages.%d.pool", stage);
            }
            vov_block(s, b, p, i > 0, &at);
        }
    }
    cvi_buf_printf(b, "global_pool: gap\nhead.fc: fc %lld\n", (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_vovnet = {.name = "VoVNet", .write = vovnet};
