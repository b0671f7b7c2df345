/* SPDX-License-Identifier: MIT
 * arch_ssd.c - torchvision's single-shot detectors by the names of their tensors: SSD300 on VGG-16 (Liu et al. 2016) and SSDLite320 on
 * MobileNetV3-Large (Sandler et al. 2018). Their answers are those of the heads for every anchor, before boxes are decoded and chosen.
 */
#include "formats/arch_pen.h"

enum { MAX_LEVELS = 8 };

#define NOTE "its answers are those of the heads for every anchor: no box is decoded, and none suppressed"

/* What the heads say of every level, in rows: [N, anchors, numbers]. PREFIX LEVEL TAIL names the last convolution. */
static void rows(cvi_pen *p, const char *head, const char *tail, const char *out, int64_t numbers, int n,
                 const cvi_arch_place *level, bool last) {
    cvi_arch_place all[MAX_LEVELS];
    char name[60], words[60];
    cvi_buf_printf(p->b, "\"%s/row\": const i64[3][0;-1;%lld]\n", out, (long long)numbers);
    for (int l = 0; l < n; l++) {
        p->at = level[l];
        snprintf(name, sizeof name, "head.%s.module_list.%d", head, l);
        if (*tail) { /* a depthwise convolution before it */
            snprintf(words, sizeof words, "%.50s.0.", name);
            cvi_pen_conv(p, words, "0", "1", "", "relu6");
        }
        cvi_pen_conv(p, name, tail, NULL, "", NULL);
        cvi_pen_op(p, "op Transpose perm=[0;2;3;1] hidden", "%s/%d/last", out, l);
        if (!p->missing) {
            cvi_buf_printf(p->b, "\"%s/%d\": from \"%s\",\"%s/row\" op Reshape\n", out, l, p->at.label, out);
        }
        snprintf(all[l].label, sizeof all[l].label, "%s/%d", out, l);
    }
    if (!p->missing) {
        cvi_buf_printf(p->b, "\"%s\": from ", out);
        for (int l = 0; l < n; l++) {
            cvi_buf_printf(p->b, "%s\"%s\"", l ? "," : "", all[l].label);
        }
        cvi_buf_printf(p->b, " op Concat axis=1\n%s", last ? "" : "output\n");
    }
}

/* Both heads; false where they do not say how many classes there are. */
static bool heads(cvi_pen *p, const char *tail, int n, const cvi_arch_place *level) {
    int64_t boxes =
        cvi_arch_dim(cvi_state_find(p->s, "head.regression_head.module_list.0%s.weight", tail), 0);
    int64_t scores =
        cvi_arch_dim(cvi_state_find(p->s, "head.classification_head.module_list.0%s.weight", tail), 0);
    if (boxes < 4 || boxes % 4 != 0 || scores < 1 || scores % (boxes / 4) != 0) {
        return false;
    }
    rows(p, "regression_head", tail, "bbox_regression", 4, n, level, false);
    rows(p, "classification_head", tail, "cls_logits", scores / (boxes / 4), n, level, true);
    return true;
}

/* ---- SSD300 --------------------------------------------------------------------------------------------------------- */

/* Convolutions with rectifiers at PREFIX first, first + 2, ... */
static void run_of(cvi_pen *p, const char *prefix, int first, int n) {
    for (int i = 0; i < n; i++) {
        char conv[12];
        snprintf(conv, sizeof conv, "%d", first + 2 * i);
        cvi_pen_conv(p, prefix, conv, NULL, "", "relu");
    }
}

/* The maps' lines along channels to length 1, each channel times its own number. */
static void rescaled(cvi_pen *p) {
    long long n = (long long)p->at.channels;
    cvi_pen_op(p, "op LpNormalization axis=1 p=2", "backbone.normal");
    if (!p->missing) {
        cvi_buf_printf(p->b,
                       "\"backbone.scale_weight\": param f32[%lldx1x1]\n\"backbone.rescaled\": from "
                       "\"%s\",\"backbone.scale_weight\" mul\n",
                       n, p->at.label);
        snprintf(p->at.label, sizeof p->at.label, "backbone.rescaled");
    }
}

static void ssd(const cvi_state *s, cvi_buf *b) {
    static const int begins[] = {0, 5, 10, 17}, lengths[] = {2, 2, 3, 3};
    cvi_pen p;
    cvi_arch_place level[MAX_LEVELS];
    int n = 0;
    if (!cvi_state_find(s, "backbone.scale_weight") || !cvi_state_find(s, "backbone.extra.0.7.3.weight") ||
        !cvi_pen_begin(&p, s, b, "backbone.features.0", "SSD300 VGG-16",
                       "resize=stretch,mean=0.48235:0.45882:0.40784,std=1/255:1/255:1/255", 300, "1e-5")) {
        return;
    }
    for (int i = 0; i < CVI_COUNT(begins); i++) {
        if (i > 0) {
            cvi_pen_op(&p, i == 3 ? "maxpool k2 s2 ceil" : "maxpool k2 s2", "backbone.features.%d",
                       begins[i] - 1);
        }
        run_of(&p, "backbone.features.", begins[i], lengths[i]);
    }
    const cvi_arch_place maps = p.at;
    rescaled(&p);
    level[n++] = p.at;
    p.at = maps;
    cvi_pen_op(&p, "maxpool k2 s2", "backbone.extra.0.0");
    run_of(&p, "backbone.extra.0.", 1, 3);
    cvi_pen_op(&p, "maxpool k3 s1 p1", "backbone.extra.0.7.0");
    cvi_pen_conv(&p, "backbone.extra.0.7.", "1", NULL, "d6", "relu");
    cvi_pen_conv(&p, "backbone.extra.0.7.", "3", NULL, "", "relu");
    level[n++] = p.at;
    for (; n < MAX_LEVELS && cvi_pen_has(&p, "backbone.extra.%d.2", n - 1); n++) {
        char name[40];
        snprintf(name, sizeof name, "backbone.extra.%d.", n - 1);
        cvi_pen_conv(&p, name, "0", NULL, "", "relu");
        cvi_pen_conv(&p, name, "2", NULL, n < 4 ? "s2 p1" : "valid", "relu");
        level[n] = p.at;
    }
    p.missing |= !heads(&p, "", n, level);
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_ssd = {.name = "SSD300", .write = ssd, .note = NOTE};

/* ---- SSDLite320 ----------------------------------------------------------------------------------------------------- */

/* The parts of a block from `first` on: P.j.0 with P.j.1, or P.j.fc1 with P.j.fc2. */
static int lite_parts(const cvi_state *s, const char *name, int first, cvi_arch_part *parts) {
    int n = 0;
    for (; n < CVI_ARCH_PARTS; n++) {
        char p[60];
        snprintf(p, sizeof p, "%.48s%d.", name, first + n);
        bool plain = cvi_state_find(s, "%s0.weight", p);
        if (!plain && !cvi_state_find(s, "%sfc1.weight", p)) {
            break;
        }
        parts[n] = plain ? cvi_arch_part_of(p, "0", "1", false) : cvi_arch_part_of(p, "fc1", "fc2", true);
    }
    return n;
}

static void ssdlite(const cvi_state *s, cvi_buf *b) {
    enum { BLOCKS = 15, CUT = 13, HARD = 7 };
    static const char strides[] = "121211211111211";
    cvi_pen p;
    cvi_arch_place level[MAX_LEVELS];
    cvi_arch_part parts[CVI_ARCH_PARTS];
    cvi_arch_family f = {"hswish", "relu", "hsigmoid", "0.001", false, 0};
    char name[60];
    int n = 0;
    if (!cvi_state_find(s, "backbone.features.0.13.0.weight") ||
        !cvi_state_find(s, "backbone.extra.0.2.0.weight") ||
        !cvi_pen_begin(&p, s, b, "backbone.features.0.0.0", "SSDLite320 MobileNetV3",
                       "resize=stretch,mean=0.5:0.5:0.5,std=0.5:0.5:0.5", 320, "0.001")) {
        return;
    }
    cvi_arch_part part = cvi_arch_part_of("backbone.features.0.0.", "0", "1", false);
    cvi_arch_conv(s, b, &part, &f, 2, &p.at, f.act);
    for (int i = 1; i <= BLOCKS;
         i++) { /* of block 13 the first part belongs to the first half, the others begin the second */
        bool second = i >= CUT;
        f.act = i < HARD ? "relu" : "hswish";
        if (i == CUT) {
            part = cvi_arch_part_of("backbone.features.0.13.", "0", "1", false);
            cvi_arch_conv(s, b, &part, &f, 1, &p.at, f.act);
            level[n++] = p.at;
        }
        snprintf(name, sizeof name, i == CUT ? "backbone.features.%d.%d." : "backbone.features.%d.%d.block.",
                 second, second ? i - CUT : i);
        int k = lite_parts(s, name, i == CUT, parts);
        name[strlen(name) - 1] = 0;
        p.missing |= k == 0;
        cvi_arch_block(s, b, parts, k, &f, strides[i - 1] - '0', name, i != CUT, k == 1, &p.at);
    }
    part = cvi_arch_part_of("backbone.features.1.3.", "0", "1", false);
    cvi_arch_conv(s, b, &part, &f, 1, &p.at, "hswish");
    level[n++] = p.at;
    for (int i = 0; n < MAX_LEVELS && cvi_pen_has(&p, "backbone.extra.%d.2.0", i); i++) {
        snprintf(name, sizeof name, "backbone.extra.%d.", i);
        cvi_pen_conv(&p, name, "0.0", "0.1", "", "relu6");
        cvi_pen_conv(&p, name, "1.0", "1.1", "s2", "relu6");
        cvi_pen_conv(&p, name, "2.0", "2.1", "", "relu6");
        level[n++] = p.at;
    }
    p.missing |= !heads(&p, ".1", n, level);
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_ssdlite = {.name = "SSDLite320", .write = ssdlite, .note = NOTE};
