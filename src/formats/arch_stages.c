/* SPDX-License-Identifier: MIT
 * arch_stages.c - architectures of stages as torchvision and timm name their tensors: RegNet (Radosavovic et al. 2020) and ConvNeXt
 * (Liu et al. 2022) under both namings, ShuffleNetV2 (Ma et al. 2018) and MnasNet (Tan et al. 2019) of torchvision. Widths, groups and
 * depths are read off the shapes.
 */
#include "formats/arch_parts.h"
#include "formats/hub.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 60, LABEL = CVI_ARCH_LABEL };

/* ---- RegNet ---- */

/* The names of one library. */
typedef struct regnet_names {
    const char *stem, *stem_bn, *fc;
    const char *part[3][2], *squeeze[2], *shortcut[2];
} regnet_names;

static const regnet_names regnets[] = {
    {"stem.0",
     "stem.1",
     "fc",
     {{"f.a.0", "f.a.1"}, {"f.b.0", "f.b.1"}, {"f.c.0", "f.c.1"}},
     {"f.se.fc1", "f.se.fc2"},
     {"proj.0", "proj.1"}},
    {"stem.conv",
     "stem.bn",
     "head.fc",
     {{"conv1.conv", "conv1.bn"}, {"conv2.conv", "conv2.bn"}, {"conv3.conv", "conv3.bn"}},
     {"se.fc1", "se.fc2"},
     {"downsample.conv", "downsample.bn"}}};

/* The prefix of a block of a stage, both counted from 1. */
static void regnet_block_name(char name[LABEL], bool timm, int stage, int block) {
    if (timm) {
        snprintf(name, LABEL, "s%d.b%d.", stage, block);
    } else {
        snprintf(name, LABEL, "trunk_output.block%d.block%d-%d.", stage, stage, block - 1);
    }
}

static void regnet_block(const cvi_state *s, cvi_buf *b, const regnet_names *r, const char *p, int64_t stride,
                         cvi_arch_place *at) {
    static const cvi_arch_family f = {"relu", "relu", "sigmoid", "1e-5", false, 0};
    cvi_arch_place in = *at;
    for (int i = 0; i < 3; i++) {
        cvi_arch_part part = cvi_arch_part_of(p, r->part[i][0], r->part[i][1], false);
        cvi_arch_conv(s, b, &part, &f, i == 1 ? stride : 1, at, i < 2 ? f.act : NULL);
        part = cvi_arch_part_of(p, r->squeeze[0], r->squeeze[1], true);
        if (i == 1 && cvi_arch_weight(s, part.first)) {
            cvi_arch_squeeze(s, b, &part, &f, at);
        }
    }
    cvi_arch_part shortcut = cvi_arch_part_of(p, r->shortcut[0], r->shortcut[1], false);
    if (cvi_arch_weight(s, shortcut.first)) {
        cvi_arch_conv(s, b, &shortcut, &f, stride, &in, NULL);
    }
    cvi_buf_printf(b, "%sadd: from %s,%s add\n%sout: relu\n", p, in.label, at->label, p);
    snprintf(at->label, sizeof at->label, "%.70sout", p);
}

static void regnet(const cvi_state *s, cvi_buf *b) {
    char name[LABEL];
    bool timm = cvi_state_find(s, "s1.b1.conv1.conv.weight"),
         squeezes =
             cvi_state_find(s, timm ? "s1.b1.se.fc1.weight" : "trunk_output.block1.block1-0.f.se.fc1.weight");
    const regnet_names *r = &regnets[timm];
    const cvs_tensor *stem = cvi_arch_weight(s, r->stem), *fc = cvi_arch_weight(s, r->fc);
    regnet_block_name(name, timm, 1, 1);
    if (!stem || !fc || !cvi_state_find(s, "%s%s.weight", name, r->part[0][0])) {
        return;
    }
    const cvi_arch_family f = {.act = "relu", .eps = "1e-5"};
    cvi_arch_part first = cvi_arch_part_of("", r->stem, r->stem_bn, false);
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    cvi_arch_head(b, squeezes ? "RegNetY" : "RegNetX", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    cvi_arch_conv(s, b, &first, &f, 2, &at, "relu");
    for (int stage = 1; stage <= MAX_STAGES; stage++) {
        for (int block = 1; block < MAX_BLOCKS; block++) {
            regnet_block_name(name, timm, stage, block);
            if (!cvi_state_find(s, "%s%s.weight", name, r->part[0][0])) {
                break;
            }
            regnet_block(s, b, r, name, block == 1 ? 2 : 1, &at);
        }
    }
    cvi_buf_printf(b, "avgpool: gap\n%s: fc %lld\n", r->fc, (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_regnet = {.name = "RegNet", .write = regnet};

/* ---- ConvNeXt ---- */

/* A convolution with a bias that keeps its own window as stride (or pads, when `keeps`). */
static void next_conv(const cvi_state *s, cvi_buf *b, const char *label, const char *how,
                      cvi_arch_place *at) {
    const cvs_tensor *w = cvi_arch_weight(s, label);
    int64_t k = w && w->rank == 4 ? w->dim[2] : 1;
    cvi_buf_printf(b, "%s: %s%s%sconv %lld k%lld g%lld %s bias\n", label, *at->label ? "from " : "",
                   at->label, *at->label ? " " : "", (long long)cvi_arch_dim(w, 0), (long long)k,
                   (long long)CVI_MAX(at->channels / CVI_MAX(cvi_arch_dim(w, 1), 1), 1), how);
    snprintf(at->label, sizeof at->label, "%s", label);
    at->channels = cvi_arch_dim(w, 0);
}

/* The names of a block's depthwise convolution, normalisation, two dense layers and scale. */
typedef struct next_names {
    const char *dw, *norm, *wide, *narrow, *scale, *response;
} next_names;

/* Global response normalisation (Woo et al. 2023): channels by their share of the mean length of a channel's map. */
static void response_norm(cvi_buf *b, const char *p, cvi_arch_place *at) {
    long long n = (long long)at->channels;
    cvi_buf_printf(
        b,
        "\"%sgrn.weight\": param f32[%lldx1x1]\n\"%sgrn.bias\": param f32[%lldx1x1]\n"
        "%sgrn.axes: const i64[2][2;3]\n%sgrn.axis: const i64[1][1]\n%sgrn.least: const f32[1][0.000001]\n"
        "%sgrn.length: from %s,%sgrn.axes op ReduceL2 keepdims=1 hidden\n"
        "%sgrn.mean: from %sgrn.length,%sgrn.axis op ReduceMean keepdims=1 hidden\n",
        p, n, p, n, p, p, p, p, at->label, p, p, p, p);
    cvi_buf_printf(b,
                   "%sgrn.above: from %sgrn.mean,%sgrn.least op Add hidden\n"
                   "%sgrn.share: from %sgrn.length,%sgrn.above op Div hidden\n"
                   "%sgrn.part: from %s,%sgrn.share op Mul hidden\n"
                   "%sgrn.scaled: from %sgrn.part,\"%sgrn.weight\" op Mul hidden\n"
                   "%sgrn.shifted: from %sgrn.scaled,\"%sgrn.bias\" op Add hidden\n"
                   "%sgrn: from %s,%sgrn.shifted add\n",
                   p, p, p, p, p, p, p, at->label, p, p, p, p, p, p, p, p, at->label, p);
    snprintf(at->label, sizeof at->label, "%.70sgrn", p);
}

static void next_block(const cvi_state *s, cvi_buf *b, const char *p, const next_names *n,
                       cvi_arch_place *at) {
    char label[LABEL];
    cvi_arch_place in = *at;
    const cvs_tensor *scale = cvi_state_find(s, "%s%s", p, n->scale);
    snprintf(label, sizeof label, "%s%s", p, n->dw);
    next_conv(s, b, label, "", at);
    snprintf(label, sizeof label, "%s%s", p, n->norm);
    cvi_arch_channel_norm(b, label, "1e-6", at);
    snprintf(label, sizeof label, "%s%s", p,
             n->wide); /* dense on the channels of a place: a convolution of one place */
    next_conv(s, b, label, "", at);
    cvi_buf_printf(b, "%sgelu: gelu\n", p);
    snprintf(at->label, sizeof at->label, "%.70sgelu", p);
    if (n->response && cvi_state_find(s, "%s%s.weight", p, n->response)) { /* ConvNeXtV2 */
        char inner[LABEL];
        snprintf(inner, sizeof inner, "%.60s%.*s", p, (int)(strlen(n->response) - 3), n->response);
        response_norm(b, inner, at);
    }
    snprintf(label, sizeof label, "%s%s", p, n->narrow);
    next_conv(s, b, label, "", at);
    if (scale) {
        cvi_buf_printf(b, "\"%s%s\": param f32[%lldx1x1]\n\"%sscaled\": from \"%s\",\"%s%s\" mul\n", p,
                       n->scale, (long long)at->channels, p, at->label, p, n->scale);
        snprintf(at->label, sizeof at->label, "%.70sscaled", p);
    }
    cvi_buf_printf(b, "%sadd: from %s,%s add\n", p, in.label, at->label);
    snprintf(at->label, sizeof at->label, "%.70sadd", p);
}

/* How a library names the parts of a ConvNeXt: stages from `first`, each `step` further; a shrinking's normalisation and convolution end
 * in .0 and .1. */
typedef struct next_library {
    const char *stem, *stem_norm, *down, *block, *norm, *fc;
    int first, step;
    next_names names;
    const char *eps; /* of the last normalisation */
    const char *title;
} next_library;

static const next_library next_libraries[] = {
    {"features.0.0",
     "features.0.1",
     "features.%d.",
     "features.%d.%d.",
     "classifier.0",
     "classifier.2",
     1,
     2,
     {"block.0", "block.2", "block.3", "block.5", "layer_scale", NULL},
     "1e-6",
     "ConvNeXt"},
    {"stem.0",
     "stem.1",
     "stages.%d.downsample.",
     "stages.%d.blocks.%d.",
     "head.norm",
     "head.fc",
     0,
     1,
     {"conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma", "mlp.grn"},
     "1e-6",
     "ConvNeXt"},
#define HUB_NAMES                                                                                            \
    { "dwconv", "layernorm", "pwconv1", "pwconv2", "layer_scale_parameter", "grn" }
#define HUB(prefix, title)                                                                                   \
    {                                                                                                        \
        prefix "embeddings.patch_embeddings", prefix "embeddings.layernorm",                                 \
            prefix "encoder.stages.%d.downsampling_layer.", prefix "encoder.stages.%d.layers.%d.",           \
            prefix "layernorm", "classifier", 0, 1, HUB_NAMES, "1e-12", title                                \
    }
    HUB("convnext.", "ConvNeXt (transformers)"),
    HUB("convnextv2.", "ConvNeXt (transformers)"),
    HUB("", "ConvNeXt (transformers)")
#undef HUB
#undef HUB_NAMES
};

static void convnext_of(const cvi_state *s, cvi_buf *b, const next_library *l) {
    const cvs_tensor *stem = cvi_arch_weight(s, l->stem), *fc = cvi_arch_weight(s, l->fc);
    char name[LABEL], label[LABEL];
    snprintf(name, sizeof name, l->block, l->first, 0);
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    bool second = cvi_state_find(s, "%s%s.weight", name, l->names.response ? l->names.response : "");
    cvi_arch_head(b, second ? "ConvNeXtV2" : l->title, cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    snprintf(label, sizeof label, "s%lld valid", (long long)cvi_arch_dim(stem, 2));
    next_conv(s, b, l->stem, label, &at);
    cvi_arch_channel_norm(b, l->stem_norm, "1e-6", &at);
    for (int stage = 0; stage < MAX_STAGES; stage++) {
        char down[2][LABEL];
        for (int i = 0; i < 2; i++) {
            snprintf(name, sizeof name, l->down, l->step * stage);
            snprintf(down[i], LABEL, "%.76s%d", name, i);
        }
        if (stage > 0 && cvi_arch_weight(s, down[1])) {
            cvi_arch_channel_norm(b, down[0], "1e-6", &at);
            next_conv(s, b, down[1], "s2 valid", &at);
        }
        for (int i = 0; i < MAX_BLOCKS; i++) {
            snprintf(name, sizeof name, l->block, l->step * stage + l->first, i);
            if (!cvi_state_find(s, "%s%s.weight", name, l->names.dw)) {
                break;
            }
            next_block(s, b, name, &l->names, &at);
        }
    }
    cvi_buf_printf(b, "avgpool: from %s gap\n", at.label);
    snprintf(at.label, sizeof at.label, "avgpool");
    char eps[32];
    const json_t *config =
        s->hub ? s->hub->config : NULL; /* transformers names the last one's epsilon there */
    double least = cvi_json_number(config, "layer_norm_eps", 0);
    snprintf(eps, sizeof eps, "%.17g", least);
    cvi_arch_channel_norm(b, l->norm, least > 0 && least < 1 ? eps : l->eps, &at);
    if (fc) {
        cvi_buf_printf(b, "%s: fc %lld\n", l->fc, (long long)cvi_arch_dim(fc, 0));
    } else {
        cvi_buf_puts(b, "row: flatten\n");
    }
}

static void convnext(const cvi_state *s, cvi_buf *b) {
    for (int i = 0; i < CVI_COUNT(next_libraries); i++) {
        const next_library *l = &next_libraries[i];
        char name[LABEL];
        snprintf(name, sizeof name, l->block, l->first, 0);
        const cvs_tensor *stem = cvi_arch_weight(s, l->stem);
        bool body = i >= 2; /* only transformers saves it alone */
        if (stem && stem->rank == 4 && (body || cvi_arch_weight(s, l->fc)) && cvi_arch_weight(s, l->norm) &&
            stem->dim[2] > 1 && stem->dim[2] < 100 && cvi_state_find(s, "%s%s.weight", name, l->names.dw)) {
            convnext_of(s, b, l);
            return;
        }
    }
}

const cvi_arch cvi_arch_convnext = {.name = "ConvNeXt", .write = convnext};

/* ---- ShuffleNetV2 ---- */

/* Channels of two halves in turn: c0 of one, c0 of the other, c1 of one, ... */
static void shuffle(cvi_buf *b, const char *p, const cvi_arch_place *one, cvi_arch_place *at) {
    long long half = (long long)CVI_MAX(at->channels, 0);
    cvi_buf_printf(b, "%s.joined: from %s,%s concat\n%s.order: const i64[%lld][", p, one->label, at->label, p,
                   2 * half);
    for (long long i = 0; i < half && !b->failed; i++) {
        cvi_buf_printf(b, "%s%lld;%lld", i > 0 ? ";" : "", i, i + half);
    }
    cvi_buf_printf(b, "]\n%s: from %s.joined,%s.order op Gather axis=1\n", p, p, p);
    at->channels += one->channels;
    snprintf(at->label, sizeof at->label, "%s", p);
}

static void shuffle_block(const cvi_state *s, cvi_buf *b, const char *p, cvi_arch_place *at) {
    static const cvi_arch_family f = {.act = "relu", .eps = "1e-5"};
    bool first = cvi_state_find(s, "%s.branch1.0.weight", p);
    cvi_arch_place one = *at, two = *at;
    char branch[LABEL];
    if (first) {
        snprintf(branch, sizeof branch, "%.40s.branch1.", p);
        cvi_arch_part parts[] = {cvi_arch_part_of(branch, "0", "1", false),
                                 cvi_arch_part_of(branch, "2", "3", false)};
        cvi_arch_conv(s, b, &parts[0], &f, 2, &one, NULL);
        cvi_arch_conv(s, b, &parts[1], &f, 1, &one, f.act);
    } else {
        cvi_buf_printf(b, "%s.first: from %s op Split axis=1 num_outputs=2 out=\"%s.second\" hidden\n", p,
                       at->label, p);
        snprintf(one.label, sizeof one.label, "%.60s.first", p);
        snprintf(two.label, sizeof two.label, "%.60s.second", p);
        one.channels = two.channels = at->channels / 2;
    }
    snprintf(branch, sizeof branch, "%.40s.branch2.", p);
    cvi_arch_part parts[] = {cvi_arch_part_of(branch, "0", "1", false),
                             cvi_arch_part_of(branch, "3", "4", false),
                             cvi_arch_part_of(branch, "5", "6", false)};
    for (int i = 0; i < 3; i++) {
        cvi_arch_conv(s, b, &parts[i], &f, first && i == 1 ? 2 : 1, &two, i == 1 ? NULL : f.act);
    }
    *at = two;
    shuffle(b, p, &one, at);
}

static void shufflenet_v2(const cvi_state *s, cvi_buf *b) {
    static const cvi_arch_family f = {.act = "relu", .eps = "1e-5"};
    const cvs_tensor *stem = cvi_state_find(s, "conv1.0.weight"), *fc = cvi_state_find(s, "fc.weight");
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    if (!stem || !fc || !cvi_state_find(s, "stage2.0.branch1.0.weight")) {
        return;
    }
    cvi_arch_part part = cvi_arch_part_of("conv1.", "0", "1", false);
    cvi_arch_head(b, "ShuffleNetV2", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    cvi_arch_conv(s, b, &part, &f, 2, &at, f.act);
    cvi_buf_puts(b, "maxpool: maxpool k3 s2 p1\n");
    snprintf(at.label, sizeof at.label, "maxpool");
    for (int stage = 2; stage < MAX_STAGES; stage++) {
        for (int i = 0; i < MAX_BLOCKS; i++) {
            char p[LABEL];
            snprintf(p, sizeof p, "stage%d.%d", stage, i);
            if (!cvi_state_find(s, "%s.branch2.0.weight", p)) {
                break;
            }
            shuffle_block(s, b, p, &at);
        }
    }
    part = cvi_arch_part_of("conv5.", "0", "1", false);
    cvi_arch_conv(s, b, &part, &f, 1, &at, f.act);
    cvi_buf_printf(b, "mean: gap\nfc: fc %lld\n", (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_shufflenet_v2 = {.name = "ShuffleNetV2", .write = shufflenet_v2};

/* ---- MnasNet ---- */

static void mnasnet(const cvi_state *s, cvi_buf *b) {
    static const cvi_arch_family f = {.act = "relu", .eps = "1e-5"};
    static const int strides[] = {2, 2, 2, 1, 2, 1};
    const cvs_tensor *stem = cvi_state_find(s, "layers.0.weight"),
                     *fc = cvi_state_find(s, "classifier.1.weight");
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    if (!stem || !fc || !cvi_state_find(s, "layers.8.0.layers.0.weight")) {
        return;
    }
    cvi_arch_head(b, "MnasNet", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    cvi_arch_part parts[] = {
        cvi_arch_part_of("layers.", "0", "1", false), cvi_arch_part_of("layers.", "3", "4", false),
        cvi_arch_part_of("layers.", "6", "7", false), cvi_arch_part_of("layers.", "14", "15", false)};
    cvi_arch_conv(s, b, &parts[0], &f, 2, &at, f.act);
    cvi_arch_conv(s, b, &parts[1], &f, 1, &at, f.act);
    cvi_arch_conv(s, b, &parts[2], &f, 1, &at, NULL);
    for (int stage = 0; stage < CVI_COUNT(strides); stage++) {
        for (int i = 0; i < MAX_BLOCKS; i++) {
            char p[LABEL];
            snprintf(p, sizeof p, "layers.%d.%d.layers.", stage + 8, i);
            if (!cvi_state_find(s, "%s0.weight", p)) {
                break;
            }
            const cvi_arch_part block[] = {cvi_arch_part_of(p, "0", "1", false),
                                           cvi_arch_part_of(p, "3", "4", false),
                                           cvi_arch_part_of(p, "6", "7", false)};
            snprintf(p, sizeof p, "layers.%d.%d", stage + 8, i);
            cvi_arch_block(s, b, block, 3, &f, i == 0 ? strides[stage] : 1, p, true, false, &at);
        }
    }
    cvi_arch_conv(s, b, &parts[3], &f, 1, &at, f.act);
    cvi_buf_printf(b, "mean: gap\nclassifier.1: fc %lld\n", (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_mnasnet = {.name = "MnasNet", .write = mnasnet};
