/* SPDX-License-Identifier: MIT
 * arch_timm_nets.c - more architectures as timm names their tensors: DLA (Yu et al. 2018), ReXNet (Han et al. 2021), SelecSLS (Mehta et al. 2020), DPN
 * (Chen et al. 2017), GENet (Lin et al. 2020), aligned Xceptions (Chen et al. 2018). Widths, depths and groups are read off the shapes.
 */
#include "formats/arch_pen.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 40, MAX_CHILDREN = 12, NAME = 60 };

#define IMAGENET "ImageNet-torch"
#define HALVES   "ImageNet-torch,mean=0.5:0.5:0.5,std=0.5:0.5:0.5"

/* Numbers of pictures are known for ImageNet's classes only. */
static const char *preset(const cvi_state *s, const char *fc, const char *name) {
    return cvi_arch_dim(cvi_arch_weight(s, fc), 0) == 1000 ? name : NULL;
}

static void stride_words(char words[16], int64_t stride) {
    snprintf(words, 16, "s%d", stride == 2 ? 2 : 1);
}

/* ---- DLA ------------------------------------------------------------------------------------------------------------ */

/* One block on p->at, the rest added to `shortcut`. */
static void dla_block(cvi_pen *p, const char *name, int64_t stride, const cvi_arch_place *shortcut) {
    char words[16];
    cvi_arch_place sum[2];
    bool deep = cvi_pen_has(p, "%sconv3", name);
    stride_words(words, stride);
    cvi_pen_conv(p, name, "conv1", "bn1", deep ? "" : words, "relu");
    cvi_pen_conv(p, name, "conv2", "bn2", deep ? words : "", deep ? "relu" : NULL);
    if (deep) {
        cvi_pen_conv(p, name, "conv3", "bn3", "", NULL);
    }
    sum[0] = p->at;
    sum[1] = *shortcut;
    cvi_pen_join(p, "add", 2, sum, "%sadd", name);
    cvi_pen_op(p, "relu", "%sout", name);
}

/* A tree of two blocks and their root, or of two trees; `child` are maps that the last root joins. */
static void dla_tree(cvi_pen *p, const char *name, int64_t stride, bool level_root, bool root_shortcut,
                     int depth, int n, const cvi_arch_place *given) {
    cvi_arch_place x = p->at, bottom, list[MAX_CHILDREN], child[MAX_CHILDREN];
    char inner[NAME];
    if (depth > 6 || n + 3 > MAX_CHILDREN) {
        p->missing = true;
        return;
    }
    for (int i = 0; i < n; i++) {
        child[i] = given[i];
    }
    bool leaf = cvi_pen_has(p, "%sroot.conv", name);
    if (stride > 1 && (leaf || level_root)) {
        cvi_pen_op(p, "maxpool k2 s2", "%sdownsample", name);
    }
    bottom = p->at;
    if (level_root) {
        child[n++] = bottom;
    }
    if (!leaf) {
        p->at = x;
        snprintf(inner, sizeof inner, "%.48stree1.", name);
        dla_tree(p, inner, stride, false, root_shortcut, depth + 1, 0, NULL);
        child[n++] = p->at;
        snprintf(inner, sizeof inner, "%.48stree2.", name);
        dla_tree(p, inner, 1, false, root_shortcut, depth + 1, n, child);
        return;
    }
    if (cvi_pen_has(p, "%sproject.0", name)) {
        cvi_pen_conv(p, name, "project.0", "project.1", "", NULL);
    }
    cvi_arch_place shortcut = p->at;
    p->at = x;
    snprintf(inner, sizeof inner, "%.48stree1.", name);
    dla_block(p, inner, stride, &shortcut);
    list[1] = p->at;
    snprintf(inner, sizeof inner, "%.48stree2.", name);
    dla_block(p, inner, 1, &list[1]);
    list[0] = p->at;
    for (int i = 0; i < n; i++) {
        list[2 + i] = child[i];
    }
    cvi_pen_join(p, "concat", 2 + n, list, "%sroot.joined", name);
    cvi_pen_conv(p, name, "root.conv", "root.bn", "", NULL);
    if (root_shortcut) {
        cvi_arch_place sum[] = {p->at, list[0]};
        cvi_pen_join(p, "add", 2, sum, "%sroot.add", name);
    }
    cvi_pen_op(p, "relu", "%sroot", name);
}

static int tree_depth(const cvi_state *s, const char *name) {
    char path[NAME];
    int n = 1;
    snprintf(path, sizeof path, "%s", name);
    for (; n < 6 && !cvi_state_find(s, "%sroot.conv.weight", path); n++) {
        size_t at = strlen(path);
        snprintf(path + at, sizeof path - at, "tree1.");
    }
    return n;
}

static void dla(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    char name[NAME];
    if (!cvi_state_find(s, "level5.root.conv.weight") ||
        !cvi_pen_begin(&p, s, b, "base_layer.0", "DLA", preset(s, "fc", IMAGENET), 224, "1e-5")) {
        return;
    }
    bool root_shortcut = tree_depth(s, "level4.") >= 4; /* the published ones of 102 layers and more */
    cvi_pen_conv(&p, "base_layer.", "0", "1", "", "relu");
    for (int level = 0; level < 2; level++) {
        for (int i = 0; i < MAX_BLOCKS; i++) {
            char conv[16], norm[16];
            snprintf(name, sizeof name, "level%d.", level);
            snprintf(conv, sizeof conv, "%d", 3 * i);
            snprintf(norm, sizeof norm, "%d", 3 * i + 1);
            if (!cvi_pen_has(&p, "%s%s", name, conv)) {
                break;
            }
            cvi_pen_conv(&p, name, conv, norm, level == 1 && i == 0 ? "s2" : "", "relu");
        }
    }
    for (int level = 2; level < 6; level++) {
        snprintf(name, sizeof name, "level%d.", level);
        dla_tree(&p, name, 2, level > 2, root_shortcut, 0, 0, NULL);
    }
    cvi_pen_op(&p, "gap", "global_pool");
    cvi_pen_layer(&p, "fc", NULL, "fc");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_dla = {.name = "DLA", .write = dla};

/* ---- ReXNet --------------------------------------------------------------------------------------------------------- */

static void rexnet_squeeze(cvi_pen *p, const char *name) {
    cvi_arch_place in = p->at, product[2];
    cvi_pen_op(p, "gap", "%sse.pool", name);
    cvi_pen_conv(p, name, "se.fc1", "se.bn", "", "relu");
    cvi_pen_conv(p, name, "se.fc2", NULL, "", "sigmoid");
    product[0] = in;
    product[1] = p->at;
    cvi_pen_join(p, "mul", 2, product, "%sse", name);
}

/* The first channels are what came in added to what was made. */
static void rexnet_shortcut(cvi_pen *p, const char *name, const cvi_arch_place *in) {
    cvi_arch_place sum[2] = {p->at, *in}, part[2];
    const int64_t channels[] = {in->channels, p->at.channels - in->channels};
    if (channels[1] == 0) {
        cvi_pen_join(p, "add", 2, sum, "%sadd", name);
        return;
    }
    cvi_pen_split(p, name, 2, channels, part);
    sum[0] = part[0];
    cvi_pen_join(p, "add", 2, sum, "%sadd", name);
    part[0] = p->at;
    cvi_pen_join(p, "concat", 2, part, "%sjoined", name);
}

static void rexnet(const cvi_state *s, cvi_buf *b) {
    static const int shrinks[] = {1, 3, 5, 11};
    cvi_pen p;
    char name[NAME];
    if (!cvi_state_find(s, "features.0.conv_pwl.conv.weight") ||
        !cvi_state_find(s, "features.16.conv.weight") ||
        !cvi_pen_begin(&p, s, b, "stem.conv", "ReXNet", preset(s, "head.fc", IMAGENET), 224, "1e-5")) {
        return;
    }
    cvi_pen_conv(&p, "stem.", "conv", "bn", "s2", "silu");
    for (int i = 0; i < 16; i++) {
        cvi_arch_place in = p.at;
        int stride = 1;
        for (int k = 0; k < CVI_COUNT(shrinks); k++) {
            stride = shrinks[k] == i ? 2 : stride;
        }
        snprintf(name, sizeof name, "features.%d.", i);
        if (cvi_pen_has(&p, "%sconv_exp.conv", name)) {
            cvi_pen_conv(&p, name, "conv_exp.conv", "conv_exp.bn", "", "silu");
        }
        cvi_pen_conv(&p, name, "conv_dw.conv", "conv_dw.bn", stride == 2 ? "s2" : "", NULL);
        if (cvi_pen_has(&p, "%sse.fc1", name)) {
            rexnet_squeeze(&p, name);
        }
        cvi_pen_op(&p, "relu6", "%sact_dw", name);
        cvi_pen_conv(&p, name, "conv_pwl.conv", "conv_pwl.bn", "", NULL);
        if (stride == 1 && in.channels <= p.at.channels) {
            rexnet_shortcut(&p, name, &in);
        }
    }
    cvi_pen_conv(&p, "features.16.", "conv", "bn", "", "silu");
    cvi_pen_op(&p, "gap", "global_pool");
    cvi_pen_layer(&p, "fc", NULL, "head.fc");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_rexnet = {.name = "ReXNet", .write = rexnet};

/* ---- SelecSLS ------------------------------------------------------------------------------------------------------- */

/* Six convolutions of which three are joined, and with them, but in the first block of a stage, that block's answer. */
static void selecsls_block(cvi_pen *p, const char *name, cvi_arch_place *skip) {
    cvi_arch_place list[4];
    const cvs_tensor *last = cvi_state_find(p->s, "%sconv6.0.weight", name);
    int64_t mid = cvi_arch_dim(cvi_state_find(p->s, "%sconv1.0.weight", name), 0);
    bool first = cvi_arch_dim(last, 1) == 2 * mid;
    cvi_pen_conv(p, name, "conv1.0", "conv1.1", first ? "s2" : "", "relu");
    list[0] = p->at;
    cvi_pen_conv(p, name, "conv2.0", "conv2.1", "", "relu");
    cvi_pen_conv(p, name, "conv3.0", "conv3.1", "", "relu");
    list[1] = p->at;
    cvi_pen_conv(p, name, "conv4.0", "conv4.1", "", "relu");
    cvi_pen_conv(p, name, "conv5.0", "conv5.1", "", "relu");
    list[2] = p->at;
    list[3] = *skip;
    cvi_pen_join(p, "concat", first ? 3 : 4, list, "%sjoined", name);
    cvi_pen_conv(p, name, "conv6.0", "conv6.1", "", "relu");
    *skip = first ? p->at : *skip;
}

static void selecsls(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    char name[NAME];
    cvi_arch_place skip = {.label = "input"};
    if (!cvi_state_find(s, "features.0.conv6.0.weight") ||
        !cvi_pen_begin(&p, s, b, "stem.0", "SelecSLS", preset(s, "fc", IMAGENET), 224, "1e-5")) {
        return;
    }
    cvi_pen_conv(&p, "stem.", "0", "1", "s2", "relu");
    for (int i = 0; i < MAX_BLOCKS && cvi_pen_has(&p, "features.%d.conv1.0", i); i++) {
        snprintf(name, sizeof name, "features.%d.", i);
        selecsls_block(&p, name, &skip);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "head.%d.", i);
        cvi_pen_conv(&p, name, "0", "1", i % 2 == 0 ? "s2" : "", "relu");
    }
    cvi_pen_op(&p, "gap", "global_pool");
    cvi_pen_layer(&p, "fc", NULL, "fc");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_selecsls = {.name = "SelecSLS", .write = selecsls};

/* ---- DPN ------------------------------------------------------------------------------------------------------------ */

/* Normalisation and rectifier before a convolution. */
static void dpn_conv(cvi_pen *p, const char *name, const char *part, const char *window, const char *act) {
    char label[NAME];
    snprintf(label, sizeof label, "%.40s%.14s.", name, part);
    cvi_pen_norm(p, act, "%sbn", label);
    cvi_pen_conv(p, label, "conv", NULL, window, NULL);
}

/* x[0]: maps that are added to; x[1]: maps that grow. Before the first block only x[0]. */
static void dpn_block(cvi_pen *p, const char *name, const char *act, bool begun, bool down,
                      cvi_arch_place x[2]) {
    cvi_arch_place part[2], made[2];
    char inner[NAME];
    cvi_arch_place in = x[0];
    if (begun) {
        cvi_pen_join(p, "concat", 2, x, "%sin", name);
        in = p->at;
    }
    bool two = cvi_pen_has(p, "%sc1x1_c1", name);
    int64_t out =
        cvi_arch_dim(cvi_state_find(p->s, two ? "%sc1x1_c2.weight" : "%sc1x1_c.conv.weight", name), 0);
    const char *project = cvi_pen_has(p, "%sc1x1_w_s2.conv", name) ? "c1x1_w_s2" : "c1x1_w_s1";
    if (cvi_pen_has(p, "%s%s.conv", name, project)) {
        p->at = in;
        dpn_conv(p, name, project, down ? "s2" : "", act);
        int64_t grown = two ? 2 * out : 2 * (p->at.channels - out);
        const int64_t channels[] = {p->at.channels - grown, grown};
        snprintf(inner, sizeof inner, "%.50sshort.", name);
        cvi_pen_split(p, inner, 2, channels, part);
        x[0] = part[0];
        x[1] = part[1];
    }
    p->at = in;
    dpn_conv(p, name, "c1x1_a", "", act);
    dpn_conv(p, name, "c3x3_b", down ? "s2" : "", act);
    if (two) {
        cvi_pen_norm(p, act, "%sc1x1_c.bn", name);
        cvi_arch_place both = p->at;
        cvi_pen_conv(p, name, "c1x1_c1", NULL, "", NULL);
        made[0] = p->at;
        p->at = both;
        cvi_pen_conv(p, name, "c1x1_c2", NULL, "", NULL);
        made[1] = p->at;
    } else {
        dpn_conv(p, name, "c1x1_c", "", act);
        const int64_t channels[] = {x[0].channels, p->at.channels - x[0].channels};
        cvi_pen_split(p, name, 2, channels, made);
    }
    cvi_arch_place sum[] = {x[0], made[0]}, more[] = {x[1], made[1]};
    cvi_pen_join(p, "add", 2, sum, "%sadd", name);
    x[0] = p->at;
    cvi_pen_join(p, "concat", 2, more, "%sgrown", name);
    x[1] = p->at;
}

static void dpn(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    char name[NAME];
    if (!cvi_state_find(s, "features.conv5_bn_ac.bn.weight") ||
        !cvi_pen_begin(&p, s, b, "features.conv1_1.conv", "DPN", preset(s, "classifier", IMAGENET), 224,
                       "1e-3")) {
        return;
    }
    bool smallest =
        cvi_pen_has(&p, "features.conv2_1.c1x1_c1") && !cvi_pen_has(&p, "features.conv4_7.c1x1_a.conv");
    const char *act = smallest ? "silu" : "relu"; /* DPN-48b's first and last one */
    cvi_pen_conv(&p, "features.conv1_1.", "conv", "bn", "s2", act);
    cvi_pen_op(&p, "maxpool k3 s2 p1", "features.conv1_pool");
    cvi_arch_place x[2] = {p.at, p.at};
    bool begun = false;
    for (int stage = 2; stage < 6; stage++) {
        for (int i = 1; i < MAX_BLOCKS; i++) {
            snprintf(name, sizeof name, "features.conv%d_%d.", stage, i);
            if (!cvi_pen_has(&p, "%sc1x1_a.conv", name)) {
                break;
            }
            dpn_block(&p, name, "relu", begun, stage > 2 && i == 1, x);
            begun = true;
        }
    }
    cvi_pen_join(&p, "concat", 2, x, "features.joined");
    cvi_pen_norm(&p, act, "features.conv5_bn_ac.bn");
    cvi_pen_op(&p, "gap", "global_pool");
    cvi_pen_layer(&p, "fc", NULL, "classifier");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_dpn = {.name = "DPN", .write = dpn};

/* ---- GENet ---------------------------------------------------------------------------------------------------------- */

static void gernet_block(cvi_pen *p, const char *name, int64_t stride) {
    char words[16];
    cvi_arch_place in = p->at, sum[2];
    bool deep = cvi_pen_has(p, "%sconv3_1x1.conv", name);
    stride_words(words, stride);
    if (deep) {
        cvi_pen_conv(p, name, "conv1_1x1.conv", "conv1_1x1.bn", "", "relu");
        cvi_pen_conv(p, name, "conv2_kxk.conv", "conv2_kxk.bn", words, "relu");
        cvi_pen_conv(p, name, "conv3_1x1.conv", "conv3_1x1.bn", "", NULL);
    } else {
        cvi_pen_conv(p, name, "conv1_kxk.conv", "conv1_kxk.bn", words, "relu");
        cvi_pen_conv(p, name, "conv2_kxk.conv", "conv2_kxk.bn", "", NULL);
    }
    sum[0] = p->at;
    if (cvi_pen_has(p, "%sshortcut.conv", name)) {
        p->at = in;
        cvi_pen_conv(p, name, "shortcut.conv", "shortcut.bn", words, NULL);
        in = p->at;
    }
    sum[1] = in;
    cvi_pen_join(p, "add", 2, sum, "%sadd", name);
    cvi_pen_op(p, "relu", "%sout", name);
}

static void gernet(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    char name[NAME];
    if (!cvi_state_find(s, "stages.4.0.conv3_1x1.conv.weight") ||
        !cvi_state_find(s, "stages.0.0.conv1_kxk.conv.weight") ||
        !cvi_state_find(s, "final_conv.conv.weight") ||
        !cvi_pen_begin(&p, s, b, "stem.conv", "GENet", preset(s, "head.fc", IMAGENET), 224, "1e-5")) {
        return;
    }
    cvi_pen_conv(&p, "stem.", "conv", "bn", "s2", "relu");
    for (int stage = 0; stage < 5; stage++) {
        for (int i = 0; i < MAX_BLOCKS; i++) {
            snprintf(name, sizeof name, "stages.%d.%d.", stage, i);
            if (!cvi_pen_has(&p, "%sconv2_kxk.conv", name)) {
                break;
            }
            gernet_block(&p, name, i == 0 && stage < 4 ? 2 : 1);
        }
    }
    cvi_pen_conv(&p, "final_conv.", "conv", "bn", "", "relu");
    cvi_pen_op(&p, "gap", "global_pool");
    cvi_pen_layer(&p, "fc", NULL, "head.fc");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_gernet = {.name = "GENet", .write = gernet};

/* ---- aligned Xception ------------------------------------------------------------------------------------------------ */

/* Three separable convolutions; `early`: a rectifier before each, none inside. */
static void xception_module(cvi_pen *p, const char *name, int64_t stride, bool early, bool skips) {
    cvi_arch_place in = p->at, sum[2];
    char inner[NAME];
    for (int k = 1; k <= 3; k++) {
        snprintf(inner, sizeof inner, "%.40sstack.conv%d.", name, k);
        if (early) {
            cvi_pen_op(p, "relu", "%sstack.act%d", name, k);
        }
        cvi_pen_conv(p, inner, "conv_dw", "bn_dw", k == 3 && stride == 2 ? "s2" : "", early ? NULL : "relu");
        cvi_pen_conv(p, inner, "conv_pw", "bn_pw", "", early ? NULL : "relu");
    }
    sum[0] = p->at;
    if (cvi_pen_has(p, "%sshortcut.conv", name)) {
        p->at = in;
        cvi_pen_conv(p, name, "shortcut.conv", "shortcut.bn", stride == 2 ? "s2" : "", NULL);
        in = p->at;
    }
    sum[1] = in;
    p->at = sum[0];
    if (skips) {
        cvi_pen_join(p, "add", 2, sum, "%sadd", name);
    }
}

static void aligned_xception(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    char name[NAME];
    int n = 0;
    while (n < MAX_BLOCKS && cvi_state_find(s, "blocks.%d.stack.conv1.conv_dw.weight", n)) {
        n++;
    }
    bool has_dw_norm = cvi_state_find(s, "blocks.0.stack.conv1.bn_dw.weight");
    if (n < 12 || !has_dw_norm ||
        !cvi_pen_begin(&p, s, b, "stem.0.conv", "Xception aligned", preset(s, "head.fc", HALVES), 299,
                       "1e-3")) {
        return;
    }
    cvi_pen_conv(&p, "stem.0.", "conv", "bn", "s2", "relu");
    cvi_pen_conv(&p, "stem.1.", "conv", "bn", "", "relu");
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "blocks.%d.", i);
        bool last = i == n - 1, shortcut = cvi_pen_has(&p, "%sshortcut.conv", name);
        bool flat = n == 23 && (i == 1 || i == 3); /* Xception-71 widens twice without shrinking */
        xception_module(&p, name, shortcut && !flat ? 2 : 1, !last, !last);
    }
    cvi_pen_op(&p, "gap", "global_pool");
    cvi_pen_layer(&p, "fc", NULL, "head.fc");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_aligned_xception = {.name = "Xception aligned", .write = aligned_xception};
