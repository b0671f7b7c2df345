/* SPDX-License-Identifier: MIT
 * arch_csp.c - Darknet (Redmon & Farhadi 2018) and cross-stage partial networks (Wang et al. 2020) as timm names their tensors: a stage is a
 * convolution that shrinks, then blocks, on all channels or on the second half of them. Widths, depths and groups are read off the shapes.
 */
#include "formats/arch_pen.h"

enum { MAX_STAGES = 8, MAX_BLOCKS = 40, NAME = 48 };

/* Blocks of two convolutions are Darknet's; those of three end with the sum's activation. */
static void csp_block(cvi_pen *p, const char *name) {
    cvi_arch_place sum[2];
    bool three = cvi_pen_has(p, "%sconv3.conv", name);
    sum[1] = p->at;
    cvi_pen_conv(p, name, "conv1.conv", "conv1.bn", "", "leaky");
    cvi_pen_conv(p, name, "conv2.conv", "conv2.bn", "", "leaky");
    if (three) {
        cvi_pen_conv(p, name, "conv3.conv", "conv3.bn", "", NULL);
    }
    sum[0] = p->at;
    cvi_pen_join(p, "add", 2, sum, "%sadd", name);
    if (three) {
        cvi_pen_op(p, "leaky", "%sout", name);
    }
}

static void csp_blocks(cvi_pen *p, const char *stage) {
    char name[NAME];
    for (int i = 0; i < MAX_BLOCKS; i++) {
        snprintf(name, sizeof name, "%.24sblocks.%d.", stage, i);
        if (!cvi_pen_has(p, "%sconv1.conv", name)) {
            break;
        }
        csp_block(p, name);
    }
}

static void csp_stage(cvi_pen *p, const char *name) {
    cvi_arch_place half[2];
    if (cvi_pen_has(p, "%sconv_down.conv", name)) {
        cvi_pen_conv(p, name, "conv_down.conv", "conv_down.bn", "s2", "leaky");
    } else if (cvi_pen_has(p, "%sconv_down.1.conv", name)) {
        cvi_pen_op(p, "avgpool k2 s2", "%sconv_down.0", name);
        cvi_pen_conv(p, name, "conv_down.1.conv", "conv_down.1.bn", "", "leaky");
    }
    if (!cvi_pen_has(p, "%sconv_exp.conv", name)) {
        csp_blocks(p, name);
        return;
    }
    bool linear = cvi_pen_has(p, "%sblocks.0.conv3.conv", name); /* as all published ones with such blocks */
    cvi_pen_conv(p, name, "conv_exp.conv", "conv_exp.bn", "", linear ? NULL : "leaky");
    const int64_t channels[] = {p->at.channels / 2, p->at.channels - p->at.channels / 2};
    cvi_pen_split(p, name, 2, channels, half);
    p->at = half[1];
    csp_blocks(p, name);
    cvi_pen_conv(p, name, "conv_transition_b.conv", "conv_transition_b.bn", "", "leaky");
    half[1] = p->at;
    cvi_pen_join(p, "concat", 2, half, "%sjoined", name);
    cvi_pen_conv(p, name, "conv_transition.conv", "conv_transition.bn", "", "leaky");
}

static void csp(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    char name[NAME];
    bool cross = cvi_state_find(s, "stages.0.conv_exp.conv.weight") != NULL;
    bool pools = !cvi_state_find(s, "stages.0.conv_down.conv.weight") &&
                 !cvi_state_find(s, "stages.0.conv_down.1.conv.weight");
    bool known = cvi_arch_dim(cvi_arch_weight(s, "head.fc"), 0) == 1000;
    if (!cvi_state_find(s, "stages.0.blocks.0.conv1.conv.weight") ||
        !cvi_pen_begin(&p, s, b, "stem.conv1.conv",
                       !cross  ? "Darknet"
                       : pools ? "CSPResNet"
                               : "CSPDarknet",
                       known ? "ImageNet-torch" : NULL, 256, "1e-5")) {
        return;
    }
    for (int i = 1; i < MAX_BLOCKS; i++) {
        snprintf(name, sizeof name, "stem.conv%d.", i);
        if (!cvi_pen_has(&p, "%sconv", name)) {
            break;
        }
        cvi_pen_conv(&p, name, "conv", "bn", pools && i == 1 ? "s2" : "", "leaky");
    }
    if (pools) {
        cvi_pen_op(&p, "maxpool k3 s2 p1", "stem.pool");
    }
    for (int i = 0; i < MAX_STAGES; i++) {
        snprintf(name, sizeof name, "stages.%d.", i);
        if (!cvi_pen_has(&p, "%sblocks.0.conv1.conv", name)) {
            break;
        }
        csp_stage(&p, name);
    }
    cvi_pen_op(&p, "gap", "global_pool");
    cvi_pen_layer(&p, "fc", NULL, "head.fc");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_csp = {.name = "CSPNet", .write = csp};
