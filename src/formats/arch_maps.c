/* SPDX-License-Identifier: MIT
 * arch_maps.c - torchvision's networks that answer with maps, by the names of their tensors: segmentation (DeepLabV3 and FCN on ResNet or
 * MobileNetV3, LR-ASPP), and detectors on a ResNet with a feature pyramid (RetinaNet, FCOS; the R-CNN family up to its region proposals). A
 * detector's answers are those of its heads for every anchor, before boxes are decoded and chosen.
 */
#include "formats/arch_parts.h"

enum { SIDE = 256, MOST_UNITS = 50, STAGES = 4, LEVELS = 5 };

static bool has(const cvi_state *s, const char *label) {
    return cvi_arch_weight(s, label) != NULL;
}

static int64_t wide(const cvi_state *s, const char *label) {
    return cvi_arch_dim(cvi_arch_weight(s, label), 0);
}

/* ---- ResNet ------------------------------------------------------------------------------------------------- */

/* One residual block; the shortcut is a convolution where the file has one. */
static void unit(const cvi_state *s, cvi_buf *b, const char *p, int64_t stride, int dilation,
                 cvi_arch_place *at) {
    const cvi_arch_place in = *at;
    char name[CVI_ARCH_LABEL];
    snprintf(name, sizeof name, "%.60s.conv3", p);
    bool deep = has(s, name);
    cvi_arch_family f = {.eps = "1e-5", .dilation = dilation};
    for (int i = 1; i <= (deep ? 3 : 2); i++) {
        char conv[16], norm[16];
        snprintf(conv, sizeof conv, ".conv%d", i);
        snprintf(norm, sizeof norm, ".bn%d", i);
        cvi_arch_part part = cvi_arch_part_of(p, conv, norm, false);
        cvi_arch_conv(s, b, &part, &f, i == (deep ? 2 : 1) ? stride : 1, at,
                      i < (deep ? 3 : 2) ? "relu" : NULL);
    }
    cvi_arch_place shortcut = in;
    cvi_arch_part part = cvi_arch_part_of(p, ".downsample.0", ".downsample.1", false);
    if (has(s, part.first)) {
        cvi_arch_conv(s, b, &part, &f, stride, &shortcut, NULL);
    }
    cvi_buf_printf(b, "%.60s.add: from %s,%s add\n%.60s: relu\n", p, at->label, shortcut.label, p);
    snprintf(at->label, sizeof at->label, "%.60s", p);
}

/* The network up to its last maps, prefix ending with its dot: at[0..3] behind the four stages. `dilated`: the last two stages keep the size
 * and spread their filters instead. The number of layers, 0 where it is none. */
static int resnet(const cvi_state *s, cvi_buf *b, const char *prefix, bool dilated,
                  cvi_arch_place at[STAGES]) {
    int layers = 2, dilation = 1;
    const cvi_arch_family f = {.eps = "1e-5"};
    cvi_arch_part stem = cvi_arch_part_of(prefix, "conv1", "bn1", false);
    cvi_arch_place place = {.label = "input", .channels = cvi_arch_dim(cvi_arch_weight(s, stem.first), 1)};
    cvi_arch_conv(s, b, &stem, &f, 2, &place, "relu");
    cvi_buf_printf(b, "%smaxpool: maxpool k3 s2 p1\n", prefix);
    snprintf(place.label, sizeof place.label, "%.50smaxpool", prefix);
    for (int stage = 0; stage < STAGES; stage++) {
        int64_t stride = stage > 0 ? 2 : 1;
        int first = dilation;
        if (dilated && stage >= 2) {
            dilation *= 2;
            stride = 1;
        }
        int n = 0;
        for (; n < MOST_UNITS; n++) {
            char name[CVI_ARCH_LABEL], conv[CVI_ARCH_LABEL];
            snprintf(name, sizeof name, "%.40slayer%d.%d", prefix, stage + 1, n);
            snprintf(conv, sizeof conv, "%.60s.conv3", name);
            layers += has(s, conv);
            snprintf(conv, sizeof conv, "%.60s.conv1", name);
            if (!has(s, conv)) {
                break;
            }
            layers += 2;
            unit(s, b, name, n == 0 ? stride : 1, n == 0 ? first : dilation, &place);
        }
        if (n == 0) {
            return 0;
        }
        at[stage] = place;
    }
    return layers;
}

/* ---- MobileNetV3-Large whose last stage keeps the size ------------------------------------------------------------ */

static int parts_of(const cvi_state *s, const char *p, cvi_arch_part *parts) {
    int n = 0;
    for (; n < CVI_ARCH_PARTS; n++) {
        char name[60], conv[80];
        snprintf(name, sizeof name, "%.40s.%d.", p, n);
        snprintf(conv, sizeof conv, "%s0", name);
        bool plain = has(s, conv);
        snprintf(conv, sizeof conv, "%sfc1", name);
        if (!plain && !has(s, conv)) {
            break;
        }
        parts[n] =
            plain ? cvi_arch_part_of(name, "0", "1", false) : cvi_arch_part_of(name, "fc1", "fc2", true);
    }
    return n;
}

/* *low: behind the fourth block, an eighth of the picture; at: the last maps, a sixteenth. */
static bool mobilenet(const cvi_state *s, cvi_buf *b, const char *prefix, cvi_arch_place *low,
                      cvi_arch_place *at) {
    enum { BLOCKS = 15, SPREAD = 13, HARD = 7, LOW = 4 };
    static const char strides[] = "121211211111111";
    char name[60];
    cvi_arch_family f = {"hswish", "relu", "hsigmoid", "0.001", false, 1};
    cvi_arch_part parts[CVI_ARCH_PARTS];
    snprintf(name, sizeof name, "%.20s0.", prefix);
    parts[0] = cvi_arch_part_of(name, "0", "1", false);
    *at = (cvi_arch_place){.label = "input", .channels = cvi_arch_dim(cvi_arch_weight(s, parts[0].first), 1)};
    cvi_arch_conv(s, b, &parts[0], &f, 2, at, f.act);
    for (int i = 1; i <= BLOCKS; i++) {
        int64_t stride = strides[i - 1] - '0';
        snprintf(name, sizeof name, "%.20s%d.block", prefix, i);
        int n = parts_of(s, name, parts);
        if (n == 0) {
            return false;
        }
        f.act = i < HARD ? "relu" : "hswish";
        f.dilation = i >= SPREAD ? 2 : 1;
        cvi_arch_block(s, b, parts, n, &f, stride, name, true, n == 1, at);
        *low = i == LOW ? *at : *low;
    }
    f.dilation = 1;
    snprintf(name, sizeof name, "%.20s%d.", prefix, BLOCKS + 1);
    parts[0] = cvi_arch_part_of(name, "0", "1", false);
    bool whole = has(s, parts[0].first);
    cvi_arch_conv(s, b, &parts[0], &f, 1, at, "hswish");
    return whole;
}

/* ---- segmentation ------------------------------------------------------------------------------------------- */

static void top(cvi_buf *b, const char *name, int side) {
    cvi_buf_printf(b, "name \"%s\"\npreprocess \"ImageNet-torch\"\ninput 3x%dx%d\n", name, side, side);
}

/* Atrous spatial pyramid pooling (Chen et al. 2017): three spreads, a point and the mean side by side. */
static void pyramid(const cvi_state *s, cvi_buf *b, int64_t factor, cvi_arch_place *at) {
    const cvi_arch_place in = *at;
    cvi_arch_place end[5];
    for (int i = 0; i < 5; i++) {
        cvi_arch_family f = {.eps = "1e-5", .dilation = i > 0 && i < 4 ? 12 * i : 1};
        char name[60];
        snprintf(name, sizeof name, "classifier.0.convs.%d.", i);
        cvi_arch_part part = cvi_arch_part_of(name, i < 4 ? "0" : "1", i < 4 ? "1" : "2", false);
        end[i] = in;
        if (i == 4) {
            cvi_buf_printf(b, "classifier.0.convs.4.0: from %s gap\n", in.label);
            snprintf(end[i].label, sizeof end[i].label, "classifier.0.convs.4.0");
        }
        cvi_arch_conv(s, b, &part, &f, 1, &end[i], "relu");
    }
    cvi_buf_printf(b,
                   "classifier.0.convs.4: upsample x%lld nearest\nclassifier.0.joined: from "
                   "%s,%s,%s,%s,classifier.0.convs.4 concat\n",
                   (long long)(SIDE / factor), end[0].label, end[1].label, end[2].label, end[3].label);
    const cvi_arch_family f = {.eps = "1e-5"};
    *at = (cvi_arch_place){.label = "classifier.0.joined", .channels = 5 * end[0].channels};
    cvi_arch_part part = cvi_arch_part_of("classifier.0.project.", "0", "1", false);
    cvi_arch_conv(s, b, &part, &f, 1, at, "relu");
    part = cvi_arch_part_of("classifier.", "1", "2", false);
    cvi_arch_conv(s, b, &part, &f, 1, at, "relu");
}

static void segmentation(const cvi_state *s, cvi_buf *b) {
    cvi_arch_place stage[STAGES], at = {.channels = 0}, low;
    char name[60];
    bool deeplab = has(s, "classifier.0.project.0"), on_resnet = has(s, "backbone.conv1");
    if ((!deeplab && !has(s, "classifier.4")) || (!on_resnet && !has(s, "backbone.0.0"))) {
        return;
    }
    cvi_buf body = {0};
    int layers = on_resnet ? resnet(s, &body, "backbone.", true, stage) : 0;
    bool whole = on_resnet ? layers > 0 : mobilenet(s, &body, "backbone.", &low, &at);
    if (whole) {
        int64_t factor = on_resnet ? 8 : 16;
        at = on_resnet ? stage[STAGES - 1] : at;
        snprintf(name, sizeof name, on_resnet ? "%s ResNet-%d" : "%s MobileNetV3",
                 deeplab ? "DeepLabV3" : "FCN", layers);
        top(b, name, SIDE);
        cvi_buf_puts(b, body.data ? body.data : "");
        if (deeplab) {
            pyramid(s, b, factor, &at);
        } else {
            const cvi_arch_family f = {.eps = "1e-5"};
            cvi_arch_part part = cvi_arch_part_of("classifier.", "0", "1", false);
            cvi_arch_conv(s, b, &part, &f, 1, &at, "relu");
        }
        cvi_buf_printf(b, "classifier.4: conv %lld k1 bias\nout: upsample x%lld bilinear\n",
                       (long long)wide(s, "classifier.4"), (long long)factor);
    }
    b->failed |= body.failed;
    cvi_buf_free(&body);
}

const cvi_arch cvi_arch_segmentation = {
    .name = "DeepLabV3", .write = segmentation, .extra = "aux_classifier."};

/* LR-ASPP (Howard et al. 2019): maps of a sixteenth, let through by their mean, and of an eighth. */
static void lraspp(const cvi_state *s, cvi_buf *b) {
    cvi_arch_place at = {.channels = 0}, low = {.channels = 0};
    if (!has(s, "classifier.cbr.0") || !has(s, "backbone.0.0")) {
        return;
    }
    long long classes = (long long)wide(s, "classifier.high_classifier");
    top(b, "LR-ASPP MobileNetV3", SIDE);
    if (!mobilenet(s, b, "backbone.", &low, &at)) {
        b->size = 0;
        return;
    }
    const cvi_arch_family f = {.eps = "1e-5"};
    const cvi_arch_place high = at;
    cvi_arch_part part = cvi_arch_part_of("classifier.cbr.", "0", "1", false);
    cvi_arch_conv(s, b, &part, &f, 1, &at, "relu");
    cvi_buf_printf(
        b,
        "classifier.scale.0: from %s gap\nclassifier.scale.1: conv %lld k1 nobias\nclassifier.scale: "
        "sigmoid\n"
        "classifier.scaled: from %s,classifier.scale mul\nclassifier.larger: upsample x2 bilinear\n"
        "classifier.high_classifier: conv %lld k1 bias\nclassifier.low_classifier: from %s conv %lld k1 "
        "bias\n"
        "classifier.sum: from classifier.low_classifier,classifier.high_classifier add\nout: upsample x8 "
        "bilinear\n",
        high.label, (long long)wide(s, "classifier.scale.1"), at.label, classes, low.label, classes);
}

const cvi_arch cvi_arch_lraspp = {.name = "LR-ASPP", .write = lraspp};

/* ---- detectors ---------------------------------------------------------------------------------------------- */

/* The name of a convolution that newer files keep one deeper: "X.0" or "X". */
static const char *either(const cvi_state *s, const char *label, char out[CVI_ARCH_LABEL]) {
    snprintf(out, CVI_ARCH_LABEL, "%.70s.0", label);
    if (!has(s, out)) {
        snprintf(out, CVI_ARCH_LABEL, "%.70s", label);
    }
    return out;
}

/* A convolution of the pyramid, in newer detectors with a normalisation behind it instead of a bias; `out` gets the last label. */
static void level_conv(const cvi_state *s, cvi_buf *b, const char *conv, const char *from, int kernel,
                       char out[CVI_ARCH_LABEL]) {
    char name[CVI_ARCH_LABEL], norm[CVI_ARCH_LABEL];
    snprintf(name, sizeof name, "%s", conv);
    size_t n = strlen(name);
    snprintf(norm, sizeof norm, "%.*s1", (int)CVI_MAX(n, 1) - 1, name); /* X.0 and X.1 */
    bool normal = n > 2 && strcmp(name + n - 2, ".0") == 0 && has(s, norm);
    cvi_buf_printf(b, "%s: from %s conv %lld k%d %s\n", name, from, (long long)wide(s, name), kernel,
                   normal ? "nobias" : "bias");
    if (normal) {
        cvi_buf_printf(b, "%s: bn\n", norm);
    }
    snprintf(out, CVI_ARCH_LABEL, "%s", normal ? norm : name);
}

/* Feature pyramid (Lin et al. 2017) over `from`[first..3]; level[] gets the labels. How many; 0: it is none. */
static int feature_pyramid(const cvi_state *s, cvi_buf *b, const cvi_arch_place *from, int first,
                           char level[LEVELS][CVI_ARCH_LABEL]) {
    char name[CVI_ARCH_LABEL], label[CVI_ARCH_LABEL], above[CVI_ARCH_LABEL] = "";
    for (int i = STAGES - 1; i >= first; i--) {
        snprintf(label, sizeof label, "backbone.fpn.inner_blocks.%d", i - first);
        if (!has(s, either(s, label, name))) {
            return 0;
        }
        level_conv(s, b, name, from[i].label, 1, name);
        if (*above) {
            cvi_buf_printf(b,
                           "fpn.larger%d: from %s upsample x2 nearest\nfpn.sum%d: from %s,fpn.larger%d add\n",
                           i, above, i, name, i);
            snprintf(above, sizeof above, "fpn.sum%d", i);
        } else {
            snprintf(above, sizeof above, "%s", name);
        }
        snprintf(label, sizeof label, "backbone.fpn.layer_blocks.%d", i - first);
        level_conv(s, b, either(s, label, name), above, 3, level[i - first]);
    }
    return STAGES - first;
}

/* A convolution that several levels share: its weights by their names, once. */
static void shared(const cvi_state *s, cvi_buf *b, const char *weights, const char *from, const char *label,
                   const char *act, bool first) {
    const cvs_tensor *w = cvi_arch_weight(s, weights);
    int64_t k = cvi_arch_dim(w, 2), p = k / 2;
    bool bias = cvi_state_find(s, "%s.bias", weights);
    if (first) {
        cvi_buf_printf(b, "\"%s.weight\": param f32[%lldx%lldx%lldx%lld]\n", weights,
                       (long long)cvi_arch_dim(w, 0), (long long)cvi_arch_dim(w, 1), (long long)k,
                       (long long)k);
    }
    if (first && bias) {
        cvi_buf_printf(b, "\"%s.bias\": param f32[%lld]\n", weights, (long long)cvi_arch_dim(w, 0));
    }
    cvi_buf_printf(b, "\"%s\": from \"%s\",\"%s.weight\"", label, from, weights);
    if (bias) {
        cvi_buf_printf(b, ",\"%s.bias\"", weights);
    }
    cvi_buf_printf(b, " op Conv kernel_shape=[%lld;%lld] pads=[%lld;%lld;%lld;%lld]\n", (long long)k,
                   (long long)k, (long long)p, (long long)p, (long long)p, (long long)p);
    if (act) {
        cvi_buf_printf(b, "\"%s.%s\": from \"%s\" %s\n", label, act, label, act);
    }
}

/* Normalisation over groups of 32 that several levels share, and a rectifier; `label` is what it reads and its answer's begin. */
static void shared_norm(cvi_buf *b, const char *weights, int64_t channels, const char *label, bool first) {
    if (first) {
        cvi_buf_printf(b, "\"%s.weight\": param f32[%lld]\n\"%s.bias\": param f32[%lld]\n", weights,
                       (long long)channels, weights, (long long)channels);
    }
    cvi_buf_printf(b,
                   "\"%s.norm\": from \"%s\",\"%s.weight\",\"%s.bias\" op GroupNormalization num_groups=32 "
                   "epsilon=1e-5\n\"%s.relu\": from \"%s.norm\" relu\n",
                   label, label, weights, weights, label, label);
}

/* What a detector's head is named: `step` 1: conv.i, in newer files conv.i.0 with its normalisation conv.i.1; `step` 3 (FCOS): conv.3i and conv.3i+1 */
typedef struct head_names {
    const char *head;
    int step;
} head_names;

/* The four shared convolutions of a head on every level. */
static void tower(const cvi_state *s, cvi_buf *b, const head_names *h, int n,
                  char level[LEVELS][CVI_ARCH_LABEL], char made[LEVELS][CVI_ARCH_LABEL]) {
    char weights[CVI_ARCH_LABEL], norm[CVI_ARCH_LABEL], name[CVI_ARCH_LABEL], label[CVI_ARCH_LABEL];
    for (int l = 0; l < n; l++) {
        snprintf(made[l], CVI_ARCH_LABEL, "%s", level[l]);
        for (int i = 0; i < 4; i++) {
            snprintf(name, sizeof name, "head.%s.conv.%d", h->head, h->step * i);
            either(s, name, weights);
            if (h->step == 1) {
                snprintf(norm, sizeof norm, "%.70s.1", name);
            } else {
                snprintf(norm, sizeof norm, "head.%s.conv.%d", h->head, h->step * i + 1);
            }
            bool normal = has(s, norm);
            snprintf(label, sizeof label, "%s/%d/conv%d", h->head, l, i);
            shared(s, b, weights, made[l], label, normal ? NULL : "relu", l == 0);
            if (normal) {
                shared_norm(b, norm, wide(s, weights), label, l == 0);
            }
            snprintf(made[l], CVI_ARCH_LABEL, "%.60s.relu", label);
        }
    }
}

/* The last convolution of a head on every level; the answers of all anchors in rows: [N, anchors, numbers] */
static void head_rows(const cvi_state *s, cvi_buf *b, const char *weights, const char *out, const char *act,
                      int64_t numbers, int n, char from[LEVELS][CVI_ARCH_LABEL], bool last) {
    char label[CVI_ARCH_LABEL], rows[CVI_ARCH_LABEL];
    cvi_buf all = {0};
    for (int l = 0; l < n; l++) {
        snprintf(label, sizeof label, "%s/%d", out, l);
        shared(s, b, weights, from[l], label, act, l == 0);
        if (l == 0) {
            cvi_buf_printf(b, "\"%s/row\": const i64[3][0;-1;%lld]\n", out, (long long)numbers);
        }
        snprintf(rows, sizeof rows, "%.60s%s%s", label, act ? "." : "", act ? act : "");
        cvi_buf_printf(b,
                       "\"%s/last\": from \"%s\" op Transpose perm=[0;2;3;1] hidden\n"
                       "\"%s/rows\": from \"%s/last\",\"%s/row\" op Reshape\n",
                       label, rows, label, label, out);
        cvi_buf_printf(&all, "%s\"%s/rows\"", l ? "," : "", label);
    }
    cvi_buf_printf(b, "\"%s\": from %s concat\n%s", out, all.data ? all.data : "", last ? "" : "output\n");
    b->failed |= all.failed;
    cvi_buf_free(&all);
}

/* The two levels above the pyramid; *n counts up. */
static void more_levels(const cvi_state *s, cvi_buf *b, const cvi_arch_place *last, int *n,
                        char level[LEVELS][CVI_ARCH_LABEL]) {
    bool on_maps = cvi_arch_dim(cvi_arch_weight(s, "backbone.fpn.extra_blocks.p6"), 1) == last->channels;
    cvi_buf_printf(b,
                   "backbone.fpn.extra_blocks.p6: from %s conv %lld k3 s2 p1 bias\n"
                   "p6.relu: relu\nbackbone.fpn.extra_blocks.p7: conv %lld k3 s2 p1 bias\n",
                   on_maps ? last->label : level[*n - 1], (long long)wide(s, "backbone.fpn.extra_blocks.p6"),
                   (long long)wide(s, "backbone.fpn.extra_blocks.p7"));
    snprintf(level[(*n)++], CVI_ARCH_LABEL, "backbone.fpn.extra_blocks.p6");
    snprintf(level[(*n)++], CVI_ARCH_LABEL, "backbone.fpn.extra_blocks.p7");
}

/* RetinaNet (Lin et al. 2017) and FCOS (Tian et al. 2019) on a ResNet. */
static void retinanet(const cvi_state *s, cvi_buf *b) {
    char level[LEVELS][CVI_ARCH_LABEL], made[LEVELS][CVI_ARCH_LABEL], name[60];
    cvi_arch_place at[STAGES];
    bool fcos = has(s, "head.regression_head.bbox_ctrness");
    const head_names boxes_head = {"regression_head", fcos ? 3 : 1},
                     scores_head = {"classification_head", fcos ? 3 : 1};
    int64_t boxes = wide(s, "head.regression_head.bbox_reg"),
            scores = wide(s, "head.classification_head.cls_logits");
    if (boxes < 4 || boxes % 4 != 0 || scores < 1 || scores % (boxes / 4) != 0 ||
        !has(s, "backbone.body.conv1") || !has(s, "backbone.fpn.extra_blocks.p6")) {
        return;
    }
    int64_t classes = scores / (boxes / 4);
    cvi_buf body = {0};
    int layers = resnet(s, &body, "backbone.body.", false, at);
    int n = layers > 0 ? feature_pyramid(s, &body, at, 1, level) : 0;
    if (n > 0) {
        snprintf(name, sizeof name, "%s ResNet-%d", fcos ? "FCOS" : "RetinaNet", layers);
        top(b, name, SIDE);
        cvi_buf_puts(b, body.data ? body.data : "");
        more_levels(s, b, &at[STAGES - 1], &n, level);
        tower(s, b, &boxes_head, n, level, made);
        if (fcos) {
            head_rows(s, b, "head.regression_head.bbox_ctrness", "bbox_ctrness", NULL, 1, n, made, false);
        }
        head_rows(s, b, "head.regression_head.bbox_reg", "bbox_regression", fcos ? "relu" : NULL, 4, n, made,
                  false);
        tower(s, b, &scores_head, n, level, made);
        head_rows(s, b, "head.classification_head.cls_logits", "cls_logits", NULL, classes, n, made, true);
    }
    b->failed |= body.failed;
    cvi_buf_free(&body);
}

const cvi_arch cvi_arch_retinanet = {
    .name = "RetinaNet",
    .write = retinanet,
    .note = "its answers are those of the heads for every anchor: no box is decoded, and none suppressed"};

/* Region proposals: a score and four numbers for every anchor, on every level of the pyramid. */
static void proposals(const cvi_state *s, cvi_buf *b) {
    char level[LEVELS][CVI_ARCH_LABEL], name[60], conv[CVI_ARCH_LABEL], label[CVI_ARCH_LABEL];
    cvi_arch_place at[STAGES];
    if (!has(s, "rpn.head.cls_logits") || !has(s, "rpn.head.bbox_pred") || !has(s, "backbone.body.conv1")) {
        return;
    }
    snprintf(conv, sizeof conv, "rpn.head.conv.0.0");
    if (!has(s, conv)) {
        snprintf(conv, sizeof conv, "rpn.head.conv");
    }
    cvi_buf body = {0};
    int layers = resnet(s, &body, "backbone.body.", false, at);
    int n = layers > 0 && has(s, conv) ? feature_pyramid(s, &body, at, 0, level) : 0;
    if (n > 0) {
        bool masks = has(s, "roi_heads.mask_head.mask_fcn1") || has(s, "roi_heads.mask_head.0.0"),
             points = has(s, "roi_heads.keypoint_head.0");
        snprintf(name, sizeof name, "%s R-CNN ResNet-%d",
                 masks    ? "Mask"
                 : points ? "Keypoint"
                          : "Faster",
                 layers);
        top(b, name, SIDE);
        cvi_buf_puts(b, body.data ? body.data : "");
        cvi_buf_printf(b, "backbone.fpn.pool: from %s maxpool k1 s2\n", level[n - 1]);
        snprintf(level[n++], CVI_ARCH_LABEL, "backbone.fpn.pool");
        bool two = has(s, "rpn.head.conv.1.0");
        for (int l = 0; l < n; l++) {
            snprintf(label, sizeof label, "rpn/%d", l);
            shared(s, b, conv, level[l], label, "relu", l == 0);
            if (two) {
                snprintf(name, sizeof name, "rpn/%d.relu", l);
                snprintf(label, sizeof label, "rpn2/%d", l);
                shared(s, b, "rpn.head.conv.1.0", name, label, "relu", l == 0);
            }
        }
        for (int l = 0; l < 2 * n; l++) {
            const char *head = l < n ? "rpn.head.cls_logits" : "rpn.head.bbox_pred";
            snprintf(label, sizeof label, "rpn%s/%d.relu", two ? "2" : "", l % n);
            snprintf(name, sizeof name, "%s/%d", l < n ? "objectness" : "boxes", l % n);
            shared(s, b, head, label, name, NULL, l % n == 0);
            cvi_buf_puts(b, l + 1 < 2 * n ? "output\n" : "");
        }
    }
    b->failed |= body.failed;
    cvi_buf_free(&body);
}

const cvi_arch cvi_arch_proposals = {
    .name = "R-CNN",
    .write = proposals,
    .extra = "roi_heads.",
    .note = "its first half runs, up to the region proposals of every anchor; the heads that look at the "
            "chosen regions are in the file, but which regions those are follows from the numbers"};
