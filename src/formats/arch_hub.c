/* SPDX-License-Identifier: MIT
 * arch_hub.c - convolutional networks as Hugging Face's transformers names their tensors: ResNet, RegNet, MobileNetV1 and V2, EfficientNet (ConvNeXt:
 * arch_stages.c), whole or without the classifier. What leaves no trace in tensors (activation, TensorFlow's padding, where stages shrink) is
 * read in config.json beside the weights, else taken as the library's configurations have it when nothing is said.
 */
#include <math.h>

#include "formats/arch_parts.h"
#include "formats/hub.h"

enum { MAX_STAGES = 8, MAX_PIECES = 6 };

static const json_t *config_of(const cvi_state *s) {
    return s->hub ? s->hub->config : NULL;
}

/* The activation's word here, NULL where there is none. */
static const char *activation(const cvi_state *s, const char *otherwise) {
    static const char *const words[][2] = {{"relu", "relu"},       {"relu6", "relu6"}, {"gelu", "gelu"},
                                           {"silu", "silu"},       {"swish", "silu"},  {"mish", "mish"},
                                           {"sigmoid", "sigmoid"}, {"tanh", "tanh"}};
    const char *named = cvi_json_string(config_of(s), "hidden_act", otherwise);
    for (int i = 0; i < CVI_COUNT(words); i++) {
        if (strcmp(words[i][0], named) == 0) {
            return words[i][1];
        }
    }
    return NULL;
}

/* An epsilon as text. */
static const char *epsilon(const cvi_state *s, const char *key, double otherwise, char text[32]) {
    double eps = cvi_json_number(config_of(s), key, otherwise);
    snprintf(text, 32, "%.17g", eps > 0 && eps < 1 ? eps : otherwise);
    return text;
}

/* A file of the whole model begins its tensors' names with the family's, one of the body alone does not. */
static const char *prefix_of(const cvi_state *s, const char *family, const char *first) {
    return cvi_state_find(s, "%s%s.weight", family, first) ? family
           : cvi_state_find(s, "%s.weight", first)         ? ""
                                                           : NULL;
}

/* Global pooling and, where it is there, the classifier. */
static void write_end(const cvi_state *s, cvi_buf *b, const char *p, const char *fc,
                      const cvi_arch_place *at) {
    const cvs_tensor *w = cvi_arch_weight(s, fc);
    cvi_buf_printf(b, "%spooler: from %s gap\n", p, at->label);
    if (w) {
        cvi_buf_printf(b, "%s: fc %lld\n", fc, (long long)cvi_arch_dim(w, 0));
    }
}

/* ---- ResNet and RegNet ------------------------------------------------------------------------------------------- */

typedef struct piece {
    cvi_arch_part part;
    int64_t kernel;
} piece;

/* layer.0, layer.1, ...: convolutions and a squeeze of one block. */
static int pieces_of(const cvi_state *s, const char *block, piece *out) {
    int n = 0;
    for (; n < MAX_PIECES; n++) {
        char p[60];
        snprintf(p, sizeof p, "%.44slayer.%d.", block, n);
        const cvs_tensor *w = cvi_state_find(s, "%sconvolution.weight", p);
        if (w) {
            out[n] = (piece){cvi_arch_part_of(p, "convolution", "normalization", false), cvi_arch_dim(w, 2)};
        } else if (cvi_state_find(s, "%sattention.0.weight", p)) {
            out[n] = (piece){cvi_arch_part_of(p, "attention.0", "attention.2", true), 0};
        } else {
            break;
        }
    }
    return n;
}

/* The stride is the first 3x3 convolution's, in a bottleneck that shrinks early the first one's. */
static void residual(const cvi_state *s, cvi_buf *b, const char *block, const cvi_arch_family *f,
                     int64_t stride, bool early, const char *outer, cvi_arch_place *at) {
    piece list[MAX_PIECES];
    cvi_arch_place in = *at;
    int n = pieces_of(s, block, list), strided = 0;
    while (!early && strided + 1 < n && list[strided].kernel < 2) {
        strided++;
    }
    for (int i = 0; i < n; i++) {
        if (list[i].part.squeeze) {
            cvi_arch_squeeze(s, b, &list[i].part, f, at);
        } else {
            cvi_arch_conv(s, b, &list[i].part, f, i == strided ? stride : 1, at, i + 1 < n ? f->act : NULL);
        }
    }
    cvi_arch_part shortcut = cvi_arch_part_of(block, "shortcut.convolution", "shortcut.normalization", false);
    if (cvi_arch_weight(s, shortcut.first)) {
        cvi_arch_conv(s, b, &shortcut, f, stride, &in, NULL);
    }
    cvi_buf_printf(b, "%sadd: from %s,%s add\n%sout: %s\n", block, at->label, in.label, block, outer);
    snprintf(at->label, sizeof at->label, "%.70sout", block);
}

static void hub_resnet(const cvi_state *s, cvi_buf *b) {
    static const char first[] = "embedder.embedder.convolution";
    const char *p = prefix_of(s, "resnet.", first), *act = activation(s, "relu");
    bool regnet = !p && prefix_of(s, "regnet.", first);
    p = p ? p : prefix_of(s, "regnet.", first);
    const cvs_tensor *stem = p ? cvi_state_find(s, "%s%s.weight", p, first) : NULL,
                     *fc = cvi_state_find(s, "classifier.1.weight");
    if (!stem || !act) {
        return;
    }
    regnet |= !*p && cvi_arch_dim(stem, 2) == 3; /* of a body alone the stem tells */
    bool shrinks = cvi_json_bool(config_of(s), "downsample_in_first_stage", regnet);
    bool early = cvi_json_bool(config_of(s), "downsample_in_bottleneck", false);
    /* ResNet's blocks keep plain rectifiers inside, whatever the configuration says */
    const cvi_arch_family f = {regnet ? act : "relu", "relu", "sigmoid", "1e-5", false, 0};
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    char block[60];
    snprintf(block, sizeof block, "%sembedder.embedder.", p);
    cvi_arch_part part = cvi_arch_part_of(block, "convolution", "normalization", false);
    cvi_arch_head(b, regnet ? "RegNet (transformers)" : "ResNet (transformers)", cvi_arch_dim(fc, 0),
                  cvi_arch_dim(stem, 1), 224);
    cvi_arch_conv(s, b, &part, &f, 2, &at, act);
    if (!regnet) {
        cvi_buf_printf(b, "%sembedder.pooler: maxpool k3 s2 p1\n", p);
        snprintf(at.label, sizeof at.label, "%sembedder.pooler", p);
    }
    for (int stage = 0; stage < MAX_STAGES; stage++) {
        for (int i = 0; i < CVI_ARCH_BLOCKS; i++) {
            snprintf(block, sizeof block, "%sencoder.stages.%d.layers.%d.", p, stage, i);
            if (!cvi_state_find(s, "%slayer.0.convolution.weight", block)) {
                break;
            }
            residual(s, b, block, &f, i == 0 && (stage > 0 || shrinks) ? 2 : 1, early, act, &at);
        }
    }
    write_end(s, b, p, "classifier.1", &at);
}

const cvi_arch cvi_arch_hub_resnet = {.name = "ResNet (transformers)", .write = hub_resnet};

/* ---- MobileNet --------------------------------------------------------------------------------------------------- */

static cvi_arch_part mobile_part(const char *p, const char *name) {
    char prefix[60];
    snprintf(prefix, sizeof prefix, "%.40s%s.", p, name);
    return cvi_arch_part_of(prefix, "convolution", "normalization", false);
}

static void hub_mobilenet_v1(const cvi_state *s, cvi_buf *b) {
    static const char strides[] = "1212121111121";
    const char *p = prefix_of(s, "mobilenet_v1.", "conv_stem.convolution"), *act = activation(s, "relu6");
    const cvs_tensor *stem = p ? cvi_state_find(s, "%sconv_stem.convolution.weight", p) : NULL,
                     *fc = cvi_state_find(s, "classifier.weight");
    char eps[32], name[20];
    if (!stem || !act) {
        return;
    }
    cvi_arch_family f = {.act = act, .eps = epsilon(s, "layer_norm_eps", 0.001, eps)};
    f.same = cvi_json_bool(config_of(s), "tf_padding", true);
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    cvi_arch_part part = mobile_part(p, "conv_stem");
    cvi_arch_head(b, "MobileNetV1 (transformers)", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    cvi_arch_conv(s, b, &part, &f, 2, &at, act);
    for (int i = 0; i < 2 * (int)(sizeof strides - 1); i++) {
        snprintf(name, sizeof name, "layer.%d", i);
        part = mobile_part(p, name);
        cvi_arch_conv(s, b, &part, &f, i % 2 == 0 ? strides[i / 2] - '0' : 1, &at, act);
    }
    write_end(s, b, p, "classifier", &at);
}

const cvi_arch cvi_arch_hub_mobilenet_v1 = {.name = "MobileNetV1 (transformers)", .write = hub_mobilenet_v1};

static void hub_mobilenet_v2(const cvi_state *s, cvi_buf *b) {
    static const char strides[] = "2121121111112111";
    static const char *const names[] = {"expand_1x1", "conv_3x3", "reduce_1x1"};
    const char *p = prefix_of(s, "mobilenet_v2.", "conv_stem.first_conv.convolution"),
               *act = activation(s, "relu6");
    const cvs_tensor *stem = p ? cvi_state_find(s, "%sconv_stem.first_conv.convolution.weight", p) : NULL,
                     *fc = cvi_state_find(s, "classifier.weight");
    char eps[32], block[60];
    if (!stem || !act || cvi_json_int(config_of(s), "output_stride", 32) != 32) {
        return;
    }
    cvi_arch_family f = {.act = act, .eps = epsilon(s, "layer_norm_eps", 0.001, eps)};
    f.same = cvi_json_bool(config_of(s), "tf_padding", true);
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    cvi_arch_head(b, "MobileNetV2 (transformers)", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    snprintf(block, sizeof block, "%sconv_stem.", p);
    cvi_arch_part part = mobile_part(block, "first_conv");
    cvi_arch_conv(s, b, &part, &f, 2, &at, act);
    for (int i = -1; i < (int)(sizeof strides - 1); i++) {
        cvi_arch_part parts[3];
        int n = 0;
        if (i >= 0) {
            snprintf(block, sizeof block, "%slayer.%d.", p, i);
        }
        for (int k = 0; k < 3; k++) {
            parts[n] = mobile_part(block, names[k]);
            n += cvi_arch_weight(s, parts[n].first) != NULL;
        }
        if (n < 2) {
            break;
        }
        block[strlen(block) - 1] = 0;
        cvi_arch_block(s, b, parts, n, &f, i < 0 ? 1 : strides[i] - '0', block, i >= 0, false, &at);
    }
    part = mobile_part(p, "conv_1x1");
    cvi_arch_conv(s, b, &part, &f, 1, &at, act);
    write_end(s, b, p, "classifier", &at);
}

const cvi_arch cvi_arch_hub_mobilenet_v2 = {.name = "MobileNetV2 (transformers)", .write = hub_mobilenet_v2};

/* ---- EfficientNet -------------------------------------------------------------------------------------------------- */

/* A convolution of stride 2 padded more at the far side: `near` pixels before, `far` behind. */
static void padded_conv(const cvi_state *s, cvi_buf *b, const cvi_arch_part *p, const cvi_arch_family *f,
                        int near, int far, cvi_arch_place *at) {
    const cvs_tensor *w = cvi_arch_weight(s, p->first);
    long long out = (long long)cvi_arch_dim(w, 0), per = (long long)CVI_MAX(cvi_arch_dim(w, 1), 1),
              k = (long long)cvi_arch_dim(w, 2);
    cvi_buf_printf(b,
                   "\"%s.weight\": param f32[%lldx%lldx%lldx%lld]\n%s: from %s,\"%s.weight\" op Conv "
                   "kernel_shape=[%lld;%lld] pads=[%d;%d;%d;%d] strides=[2;2] group=%lld\n%s: bn eps=%s\n",
                   p->first, out, per, k, k, p->first, *at->label ? at->label : "input", p->first, k, k, near,
                   near, far, far, (long long)CVI_MAX(at->channels / per, 1), p->second, f->eps);
    cvi_buf_printf(b, "%.70s.act: %s\n", p->second, f->act);
    snprintf(at->label, sizeof at->label, "%.70s.act", p->second);
    at->channels = out;
}

/* Whether config.json lists a block under "depthwise_padding": padded alike on both sides. */
static bool is_even(const cvi_state *s, int block) {
    const json_t *list = json_object_get(config_of(s), "depthwise_padding");
    for (size_t i = 0; i < CVI_MIN(json_array_size(list), (size_t)CVI_ARCH_BLOCKS); i++) {
        if (json_integer_value(json_array_get(list, i)) == block) {
            return true;
        }
    }
    return false;
}

/* Where stages begin: as config.json counts their blocks, else where the width changes. Counts down in *left; *stage goes up. */
static bool begins_stage(const cvi_state *s, bool wider, int *stage, int64_t *left) {
    const json_t *repeats = json_object_get(config_of(s), "num_block_repeats");
    double depth = cvi_json_number(config_of(s), "depth_coefficient", 1);
    if (!json_is_array(repeats) || !(depth > 0 && depth < 100)) {
        *stage += wider;
        return wider;
    }
    if (*left > 0) {
        --*left;
        return false;
    }
    ++*stage;
    json_int_t n = json_integer_value(json_array_get(repeats, (size_t)*stage));
    *left = n > 0 && n < CVI_ARCH_BLOCKS ? (int64_t)ceil(depth * (double)n) - 1 : 0;
    return true;
}

static void efficient_block(const cvi_state *s, cvi_buf *b, const char *p, const cvi_arch_family *f,
                            int block, int64_t stride, bool begins, cvi_arch_place *at) {
    const cvi_arch_place in = *at;
    cvi_arch_part part = cvi_arch_part_of(p, "expansion.expand_conv", "expansion.expand_bn", false);
    if (cvi_arch_weight(s, part.first)) {
        cvi_arch_conv(s, b, &part, f, 1, at, f->act);
    }
    part = cvi_arch_part_of(p, "depthwise_conv.depthwise_conv", "depthwise_conv.depthwise_norm", false);
    int half = (int)(cvi_arch_dim(cvi_arch_weight(s, part.first), 2) / 2);
    if (stride == 2) {
        padded_conv(s, b, &part, f, CVI_MAX(half - !is_even(s, block), 0), half, at);
    } else {
        cvi_arch_conv(s, b, &part, f, stride, at, f->act);
    }
    part = cvi_arch_part_of(p, "squeeze_excite.reduce", "squeeze_excite.expand", true);
    cvi_arch_squeeze(s, b, &part, f, at);
    part = cvi_arch_part_of(p, "projection.project_conv", "projection.project_bn", false);
    cvi_arch_conv(s, b, &part, f, 1, at, NULL);
    if (!begins && stride == 1) {
        cvi_buf_printf(b, "%sadd: from %s,%s add\n", p, at->label, in.label);
        snprintf(at->label, sizeof at->label, "%.70sadd", p);
    }
}

static void hub_efficientnet(const cvi_state *s, cvi_buf *b) {
    static const int64_t usual[] = {1, 2, 2, 2, 1, 2, 1};
    const char *p = prefix_of(s, "efficientnet.", "embeddings.convolution"), *act = activation(s, "swish");
    const cvs_tensor *stem = p ? cvi_state_find(s, "%sembeddings.convolution.weight", p) : NULL,
                     *fc = cvi_state_find(s, "classifier.weight");
    const json_t *strides = json_object_get(config_of(s), "strides");
    char eps[32], block[60];
    int blocks = 0, size = 224, stage = -1;
    int64_t width = 0, left = 0;
    if (!stem || !act) {
        return;
    }
    while (blocks < CVI_ARCH_BLOCKS &&
           cvi_state_find(s, "%sencoder.blocks.%d.projection.project_conv.weight", p, blocks)) {
        blocks++;
    }
    const cvs_tensor *last =
        cvi_state_find(s, "%sencoder.blocks.%d.projection.project_conv.weight", p, blocks - 1);
    const char *known = cvi_arch_efficientnet_name(blocks, cvi_arch_dim(last, 0), false, &size);
    const cvi_arch_family f = {act, act, "sigmoid", epsilon(s, "batch_norm_eps", 0.001, eps), false, 0};
    cvi_arch_place at = {.channels = cvi_arch_dim(stem, 1)};
    snprintf(block, sizeof block, "%s (transformers)", known);
    cvi_arch_head(b, block, cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), size);
    snprintf(block, sizeof block, "%sembeddings.", p);
    cvi_arch_part part = cvi_arch_part_of(block, "convolution", "batchnorm", false);
    padded_conv(s, b, &part, &f, 0, 1, &at);
    for (int i = 0; i < blocks; i++) {
        snprintf(block, sizeof block, "%sencoder.blocks.%d.", p, i);
        int64_t out = cvi_arch_dim(cvi_state_find(s, "%sprojection.project_conv.weight", block), 0);
        bool begins = begins_stage(s, i == 0 || out != width, &stage, &left);
        width = out;
        int64_t own = (int64_t)json_integer_value(json_array_get(strides, (size_t)CVI_MAX(stage, 0)));
        own = json_is_array(strides) ? own : stage < CVI_COUNT(usual) ? usual[stage] : 1;
        efficient_block(s, b, block, &f, i, begins && own == 2 ? 2 : 1, begins, &at);
    }
    snprintf(block, sizeof block, "%sencoder.", p);
    part = cvi_arch_part_of(block, "top_conv", "top_bn", false);
    cvi_arch_conv(s, b, &part, &f, 1, &at, f.act);
    write_end(s, b, p, "classifier", &at);
}

const cvi_arch cvi_arch_hub_efficientnet = {.name = "EfficientNet (transformers)", .write = hub_efficientnet};
