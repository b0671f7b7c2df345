/* SPDX-License-Identifier: MIT
 * arch_branched.c - architectures with branches, as torchvision names their tensors: ResNet (18 to 152, wide, ResNeXt, those for small
 * pictures), SqueezeNet, MobileNetV2, DenseNet. Widths, depths, groups and classes are read off the shapes.
 */
#include "formats/arch_parts.h"

enum { MAX_BLOCKS = 200, MAX_STAGES = 8 };

static int64_t dim(const cvs_tensor *t, int i) {
    return t && i < t->rank ? t->dim[i] : 0;
}

static void write_head(cvi_buf *b, const char *name, int64_t classes, const cvs_tensor *first, int size) {
    cvi_buf_printf(b, "name \"%s\"\n%sinput %lldx%dx%d\n", name,
                   classes == 1000 ? "preprocess ImageNet-torch\n" : "", (long long)dim(first, 1), size,
                   size);
}

/* ---- ResNet ---- */

static int count_blocks(const cvi_state *s, int stage) {
    int n = 0;
    while (n < MAX_BLOCKS && cvi_state_find(s, "layer%d.%d.conv1.weight", stage, n)) {
        n++;
    }
    return n;
}

static void write_conv(const cvi_state *s, cvi_buf *b, const char *label, int64_t stride, const char *from) {
    const cvs_tensor *w = cvi_state_find(s, "%s.weight", label);
    cvi_buf_printf(b, "%s: %s%s conv %lld k%lld s%lld %s\n", label, *from ? "from " : "", from,
                   (long long)dim(w, 0), (long long)dim(w, 2), (long long)stride,
                   cvi_state_find(s, "%s.bias", label) ? "bias" : "nobias");
}

/* The number of groups follows from how many channels one filter reads. */
static void write_grouped(const cvi_state *s, cvi_buf *b, const char *label, int64_t channels,
                          int64_t stride) {
    const cvs_tensor *w = cvi_state_find(s, "%s.weight", label);
    int64_t per = CVI_MAX(dim(w, 1), 1);
    cvi_buf_printf(b, "%s: conv %lld k%lld s%lld g%lld nobias\n", label, (long long)dim(w, 0),
                   (long long)dim(w, 2), (long long)stride, (long long)CVI_MAX(channels / per, 1));
}

/* Res2Net (Gao et al. 2019): the channels in parts, each but the last convolved, the next one together with what was made before; in the
 * first block of a stage each by itself and the last pooled. */
static void write_parts(const cvi_state *s, cvi_buf *b, const char *p, int64_t channels, int64_t stride,
                        bool first) {
    enum { MOST = 16 };
    int n = 0;
    cvi_buf ends = {0};
    while (n < MOST && cvi_state_find(s, "%s.convs.%d.weight", p, n)) {
        n++;
    }
    const cvs_tensor *w = cvi_state_find(s, "%s.convs.0.weight", p);
    int64_t width = dim(w, 0), groups = width / CVI_MAX(dim(w, 1), 1);
    cvi_buf_printf(b, "%s.sizes: const i64[%d][", p, n + 1);
    for (int i = 0; i <= n; i++) {
        cvi_buf_printf(b, "%s%lld", i ? ";" : "",
                       (long long)(i < n ? width : CVI_MAX(channels - n * width, 1)));
    }
    cvi_buf_printf(b, "]\n%s.part0: from %s.relu1,%s.sizes op Split axis=1", p, p, p);
    for (int i = 1; i <= n; i++) {
        cvi_buf_printf(b, " out=\"%s.part%d\"", p, i);
    }
    cvi_buf_puts(b, "\n");
    for (int i = 0; i < n; i++) {
        bool sum = i > 0 && !first;
        if (sum) {
            cvi_buf_printf(b, "%s.sum%d: from %s.relu2.%d,%s.part%d add\n", p, i, p, i - 1, p, i);
        }
        cvi_buf_printf(
            b,
            "%s.convs.%d: from %s.%s%d conv %lld k3 s%lld g%lld nobias\n%s.bns.%d: bn\n%s.relu2.%d: relu\n",
            p, i, p, sum ? "sum" : "part", i, (long long)width, (long long)stride,
            (long long)CVI_MAX(groups, 1), p, i, p, i);
        cvi_buf_printf(&ends, "%s.relu2.%d,", p, i);
    }
    if (first) {
        cvi_buf_printf(b, "%s.pool: from %s.part%d avgpool k3 s%lld p1 countpad\n", p, p, n,
                       (long long)stride);
    }
    cvi_buf_printf(b, "%s.relu2: from %s%s.%s", p, ends.data ? ends.data : "", p, first ? "pool" : "part");
    if (!first) {
        cvi_buf_printf(b, "%d", n);
    }
    cvi_buf_puts(b, " concat\n");
    b->failed |= ends.failed;
    cvi_buf_free(&ends);
}

/* Efficient channel attention (Wang et al. 2020): the means of neighbouring channels say how much of each is let through. */
static void write_channel_attention(cvi_buf *b, const char *p, int64_t k, char *main, size_t size) {
    cvi_buf_printf(
        b,
        "%s.se.pool: from %s gap\n%s.se.row: const i64[3][0;1;-1]\n%s.se.maps: const i64[4][0;-1;1;1]\n"
        "%s.se.flat: from %s.se.pool,%s.se.row op Reshape hidden\n"
        "\"%s.se.conv.weight\": param f32[1x1x%lld]\n"
        "%s.se.conv: from %s.se.flat,\"%s.se.conv.weight\" op Conv kernel_shape=[%lld] pads=[%lld;%lld]\n",
        p, main, p, p, p, p, p, p, (long long)k, p, p, p, (long long)k, (long long)(k / 2),
        (long long)(k / 2));
    cvi_buf_printf(b,
                   "%s.se.gate: sigmoid\n%s.se.high: from %s.se.gate,%s.se.maps op Reshape hidden\n"
                   "%s.se: from %s,%s.se.high mul\n",
                   p, p, p, p, p, main, p);
    snprintf(main, size, "%s.se", p);
}

/* One block; `from` is the label that it reads, and becomes the one that it makes. */
static void write_block(const cvi_state *s, cvi_buf *b, int stage, int block, char *from, size_t size) {
    char p[64], label[96], shortcut[96], main[96];
    snprintf(p, sizeof p, "layer%d.%d", stage, block);
    bool deep = cvi_state_find(s, "%s.conv3.weight", p);
    int64_t stride = block == 0 && stage > 1 ? 2 : 1,
            channels = dim(cvi_state_find(s, "%s.conv1.weight", p), 0);
    snprintf(label, sizeof label, "%s.conv1", p);
    write_conv(s, b, label, deep ? 1 : stride, from);
    cvi_buf_printf(b, "%s.bn1: bn\n%s.relu1: relu\n", p, p);
    snprintf(main, sizeof main, "%s.bn%d", p, deep ? 3 : 2);
    bool parts = cvi_state_find(s, "%s.convs.0.weight", p);
    if (parts) {
        write_parts(s, b, p, channels, stride, block == 0);
    } else {
        snprintf(label, sizeof label, "%s.conv2", p);
        write_grouped(s, b, label, channels, deep ? stride : 1);
        cvi_buf_printf(b, "%s.bn2: bn\n", p);
    }
    if (deep) {
        if (!parts) {
            cvi_buf_printf(b, "%s.relu2: relu\n", p);
        }
        snprintf(label, sizeof label, "%s.conv3", p);
        write_conv(s, b, label, 1, "");
        cvi_buf_printf(b, "%s: bn\n", main);
    }
    if (cvi_state_find(s, "%s.se.fc1.weight", p)) { /* SE-ResNet (Hu et al. 2018) as timm has it */
        const cvi_arch_family f = {.squeeze_act = "relu", .gate = "sigmoid"};
        cvi_arch_part part = cvi_arch_part_of(p, ".se.fc1", ".se.fc2", true);
        cvi_arch_place at = {.channels = 0};
        snprintf(at.label, sizeof at.label, "%.70s", main);
        cvi_arch_squeeze(s, b, &part, &f, &at);
        snprintf(main, sizeof main, "%s", at.label);
    }
    const cvs_tensor *eca = cvi_state_find(s, "%s.se.conv.weight", p);
    if (eca) {
        write_channel_attention(b, p, dim(eca, 2), main, sizeof main);
    }
    snprintf(shortcut, sizeof shortcut, "%s", from);
    static const char *const names[] = {"downsample", "shortcut"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        if (cvi_state_find(s, "%s.%s.0.weight", p, names[i])) {
            snprintf(label, sizeof label, "%s.%s.0", p, names[i]);
            write_conv(s, b, label, stride, from);
            snprintf(shortcut, sizeof shortcut, "%s.%s.1", p, names[i]);
            cvi_buf_printf(b, "%s: bn\n", shortcut);
        }
    }
    if (cvi_state_find(s, "%s.downsample.1.running_mean", p) == NULL &&
        cvi_state_find(s, "%s.downsample.1.weight", p)) {
        snprintf(shortcut, sizeof shortcut, "%s",
                 from); /* ResNet-D: pooled before the shortcut's convolution */
        if (stride == 2) {
            cvi_buf_printf(b, "%s.downsample.0: from %s avgpool k2 ceil\n", p, from);
            snprintf(shortcut, sizeof shortcut, "%.60s.downsample.0", p);
        }
        snprintf(label, sizeof label, "%s.downsample.1", p);
        write_conv(s, b, label, 1, shortcut);
        snprintf(shortcut, sizeof shortcut, "%.60s.downsample.2", p);
        cvi_buf_printf(b, "%s: bn\n", shortcut);
    }
    cvi_buf_printf(b, "%s.add: from %s,%s add\n%s: relu\n", p, main, shortcut, p);
    snprintf(from, size, "%s", p);
}

static void resnet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "conv1.weight"), *fc = cvi_state_find(s, "fc.weight");
    bool deep_stem = !first && cvi_state_find(s, "conv1.6.weight"); /* ResNet-D and -T (He et al. 2019) */
    first = deep_stem ? cvi_state_find(s, "conv1.0.weight") : first;
    const char *head = fc ? "fc" : "linear";
    char from[64] = "relu", name[64];
    int layers = 2, blocks[MAX_STAGES] = {0}, stages = 0;
    fc = fc ? fc : cvi_state_find(s, "linear.weight");
    bool deep = cvi_state_find(s, "layer1.0.conv3.weight");
    while (stages < MAX_STAGES && (blocks[stages] = count_blocks(s, stages + 1)) > 0) {
        layers += blocks[stages++] * (deep ? 3 : 2);
    }
    if (stages < 2 || !fc || !cvi_state_find(s, "bn1.running_mean")) {
        return;
    }
    bool large = dim(first, 2) == 7 || deep_stem;
    bool grouped = deep && dim(cvi_state_find(s, "layer1.0.conv2.weight"), 1) <
                               dim(cvi_state_find(s, "layer1.0.conv2.weight"), 0);
    snprintf(name, sizeof name, "%s%s-%d%s",
             cvi_state_find(s, "layer1.0.se.fc1.weight")    ? "SE-"
             : cvi_state_find(s, "layer1.0.se.conv.weight") ? "ECA-"
                                                            : "",
             cvi_state_find(s, "layer1.0.convs.0.weight") ? "Res2Net"
             : grouped                                    ? "ResNeXt"
                                                          : "ResNet",
             layers, deep_stem ? "-D" : "");
    write_head(b, name, dim(fc, 0), first, large ? 224 : 32);
    if (deep_stem) {
        write_conv(s, b, "conv1.0", 2, "");
        cvi_buf_puts(b, "conv1.1: bn\nconv1.2: relu\n");
        write_conv(s, b, "conv1.3", 1, "");
        cvi_buf_puts(b, "conv1.4: bn\nconv1.5: relu\n");
    }
    write_conv(s, b, deep_stem ? "conv1.6" : "conv1", large && !deep_stem ? 2 : 1, "");
    cvi_buf_puts(b, "bn1: bn\nrelu: relu\n");
    if (large) {
        cvi_buf_puts(b, "maxpool: maxpool k3 s2 p1\n");
        snprintf(from, sizeof from, "maxpool");
    }
    for (int i = 0; i < stages; i++) {
        for (int k = 0; k < blocks[i]; k++) {
            write_block(s, b, i + 1, k, from, sizeof from);
        }
    }
    cvi_buf_printf(b, "avgpool: gap\n%s: fc %lld\n", head, (long long)dim(fc, 0));
}

const cvi_arch cvi_arch_resnet = {.name = "ResNet", .write = resnet};

/* ---- SqueezeNet ---- */

static void squeezenet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "features.0.weight"),
                     *last = cvi_state_find(s, "classifier.1.weight");
    if (!cvi_state_find(s, "features.3.squeeze.weight") || dim(last, 2) != 1) {
        return;
    }
    write_head(b, dim(first, 2) == 7 ? "SqueezeNet 1.0" : "SqueezeNet 1.1", dim(last, 0), first, 224);
    cvi_buf_printf(b, "features.0: conv %lld k%lld s2 valid\nfeatures.1: relu\n", (long long)dim(first, 0),
                   (long long)dim(first, 2));
    for (int i = 2, n = 2; i < 16; i = n) { /* a place without weights between fires is a pooling */
        const cvs_tensor *w = cvi_state_find(s, "features.%d.squeeze.weight", i);
        n = i + 1;
        if (!w) {
            if (cvi_state_find(s, "features.%d.squeeze.weight", n)) {
                cvi_buf_printf(b, "features.%d: maxpool k3 s2 ceil\n", i);
            }
            continue;
        }
        char p[32];
        snprintf(p, sizeof p, "features.%d", i);
        cvi_buf_printf(b, "%s.squeeze: conv %lld k1\n%s.squeeze_activation: relu\n", p, (long long)dim(w, 0),
                       p);
        static const char *const sides[] = {"1x1", "3x3"};
        for (int k = 0; k < 2; k++) {
            cvi_buf_printf(
                b, "%s.expand%s: from %s.squeeze_activation conv %lld k%d\n%s.expand%s_activation: relu\n", p,
                sides[k], p, (long long)dim(cvi_state_find(s, "%s.expand%s.weight", p, sides[k]), 0),
                1 + 2 * k, p, sides[k]);
        }
        cvi_buf_printf(b, "%s: from %s.expand1x1_activation,%s.expand3x3_activation concat\n", p, p, p);
    }
    cvi_buf_printf(b, "classifier.1: conv %lld k1\nclassifier.2: relu\nclassifier.3: gap\nflatten: flatten\n",
                   (long long)dim(last, 0));
}

const cvi_arch cvi_arch_squeezenet = {.name = "SqueezeNet", .write = squeezenet};

/* ---- MobileNetV2 ---- */

static void inverted(const cvi_state *s, cvi_buf *b, int i, char *from, size_t size, int64_t *channels) {
    char p[32], last[64];
    bool expands = cvi_state_find(s, "features.%d.conv.3.weight", i);
    int64_t stride = i == 2 || i == 4 || i == 7 || i == 14 ? 2 : 1;
    int depthwise = expands ? 1 : 0, project = depthwise + 1;
    snprintf(p, sizeof p, "features.%d.conv", i);
    const cvs_tensor *w = cvi_state_find(s, "%s.%d.weight", p, project);
    if (expands) {
        cvi_buf_printf(b, "%s.0.0: from %s conv %lld k1 nobias\n%s.0.1: bn\n%s.0.2: relu6\n", p, from,
                       (long long)dim(cvi_state_find(s, "%s.0.0.weight", p), 0), p, p);
    }
    cvi_buf_printf(b, "%s.%d.0: dwconv k3 s%lld nobias\n%s.%d.1: bn\n%s.%d.2: relu6\n", p, depthwise,
                   (long long)stride, p, depthwise, p, depthwise);
    cvi_buf_printf(b, "%s.%d: conv %lld k1 nobias\n", p, project, (long long)dim(w, 0));
    snprintf(last, sizeof last, "%s.%d", p, project + 1);
    cvi_buf_printf(b, "%s: bn\n", last);
    if (stride == 1 && dim(w, 0) == *channels) {
        cvi_buf_printf(b, "features.%d: from %s,%s add\n", i, from, last);
        snprintf(last, sizeof last, "features.%d", i);
    }
    snprintf(from, size, "%s", last);
    *channels = dim(w, 0);
}

static void mobilenet_v2(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "features.0.0.weight"),
                     *fc = cvi_state_find(s, "classifier.1.weight");
    const cvs_tensor *last = cvi_state_find(s, "features.18.0.weight");
    char from[64] = "features.0.2";
    int64_t channels = dim(first, 0);
    if (!cvi_state_find(s, "features.2.conv.1.0.weight") || !fc || !last) {
        return;
    }
    write_head(b, "MobileNetV2", dim(fc, 0), first, 224);
    cvi_buf_printf(b, "features.0.0: conv %lld k3 s2 nobias\nfeatures.0.1: bn\nfeatures.0.2: relu6\n",
                   (long long)channels);
    for (int i = 1; i <= 17; i++) {
        inverted(s, b, i, from, sizeof from, &channels);
    }
    cvi_buf_printf(
        b,
        "features.18.0: conv %lld k1 nobias\nfeatures.18.1: bn\nfeatures.18.2: relu6\navgpool: gap\n"
        "classifier.1: fc %lld\n",
        (long long)dim(last, 0), (long long)dim(fc, 0));
}

const cvi_arch cvi_arch_mobilenet_v2 = {.name = "MobileNetV2", .write = mobilenet_v2};

/* ---- DenseNet ---- */

/* Files from before torchvision 0.3 write norm.1 where newer ones write norm1. */
static void dense_layer(const cvi_state *s, cvi_buf *b, const char *p, const char *dot, char *from,
                        size_t size) {
    const cvs_tensor *w1 = cvi_state_find(s, "%s.conv%s1.weight", p, dot),
                     *w2 = cvi_state_find(s, "%s.conv%s2.weight", p, dot);
    cvi_buf_printf(b, "%s.norm%s1: from %s bn\n%s.relu1: relu\n%s.conv%s1: conv %lld k1 nobias\n", p, dot,
                   from, p, p, dot, (long long)dim(w1, 0));
    cvi_buf_printf(b, "%s.norm%s2: bn\n%s.relu2: relu\n%s.conv%s2: conv %lld k3 nobias\n", p, dot, p, p, dot,
                   (long long)dim(w2, 0));
    cvi_buf_printf(b, "%s: from %s,%s.conv%s2 concat\n", p, from, p, dot);
    snprintf(from, size, "%s", p);
}

static void densenet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *first = cvi_state_find(s, "features.conv0.weight"),
                     *fc = cvi_state_find(s, "classifier.weight");
    const char *dot = cvi_state_find(s, "features.denseblock1.denselayer1.norm.1.weight") ? "." : "";
    char from[64] = "features.pool0", p[64], name[40];
    int layers = 1;
    if (!first || !fc || !cvi_state_find(s, "features.denseblock1.denselayer1.conv%s2.weight", dot)) {
        return;
    }
    cvi_buf body = {0};
    for (int block = 1; block <= MAX_STAGES; block++) {
        int l = 1;
        for (; cvi_state_find(s, "features.denseblock%d.denselayer%d.conv%s2.weight", block, l, dot); l++) {
            snprintf(p, sizeof p, "features.denseblock%d.denselayer%d", block, l);
            dense_layer(s, &body, p, dot, from, sizeof from);
            layers += 2;
        }
        if (l == 1) {
            break;
        }
        const cvs_tensor *w = cvi_state_find(s, "features.transition%d.conv.weight", block);
        if (w) {
            snprintf(p, sizeof p, "features.transition%d", block);
            cvi_buf_printf(&body,
                           "%s.norm: bn\n%s.relu: relu\n%s.conv: conv %lld k1 nobias\n%s.pool: avgpool k2\n",
                           p, p, p, (long long)dim(w, 0), p);
            snprintf(from, sizeof from, "%.50s.pool", p);
            layers++;
        }
    }
    snprintf(name, sizeof name, "DenseNet-%d", layers + 1);
    write_head(b, name, dim(fc, 0), first, 224);
    cvi_buf_printf(b,
                   "features.conv0: conv %lld k7 s2 p3 nobias\nfeatures.norm0: bn\nfeatures.relu0: relu\n"
                   "features.pool0: maxpool k3 s2 p1\n%sfeatures.norm5: bn\nrelu: relu\navgpool: gap\n"
                   "classifier: fc %lld\n",
                   (long long)dim(first, 0), body.data ? body.data : "", (long long)dim(fc, 0));
    b->failed |= body.failed;
    cvi_buf_free(&body);
}

const cvi_arch cvi_arch_densenet = {.name = "DenseNet", .write = densenet};
