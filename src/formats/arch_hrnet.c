/* SPDX-License-Identifier: MIT
 * arch_hrnet.c - HRNet (Wang et al. 2019) as timm names its tensors: branches of different resolutions side by side, each fed by all others
 * after every module; which branches there are, and how deep, is read off the names.
 */
#include "formats/arch_parts.h"

enum { LABEL = CVI_ARCH_LABEL, MAX_BRANCHES = 6, MAX_UNITS = 20 };

static const cvi_arch_family f = {.act = "relu", .eps = "1e-5"};

/* A residual block of two or three convolutions; `p` ends with its dot. */
static void block(const cvi_state *s, cvi_buf *b, const char *p, cvi_arch_place *at) {
    cvi_arch_place in = *at;
    bool deep = cvi_state_find(s, "%sconv3.weight", p);
    for (int i = 1; i <= 2 + deep; i++) {
        char conv[20], bn[20];
        snprintf(conv, sizeof conv, "conv%d", i);
        snprintf(bn, sizeof bn, "bn%d", i);
        cvi_arch_part part = cvi_arch_part_of(p, conv, bn, false);
        cvi_arch_conv(s, b, &part, &f, 1, at, i < 2 + deep ? "relu" : NULL);
    }
    cvi_arch_part shortcut = cvi_arch_part_of(p, "downsample.0", "downsample.1", false);
    if (cvi_arch_weight(s, shortcut.first)) {
        cvi_arch_conv(s, b, &shortcut, &f, 1, &in, NULL);
    }
    cvi_buf_printf(b, "%sadd: from %s,%s add\n%sout: relu\n", p, at->label, in.label, p);
    snprintf(at->label, sizeof at->label, "%.70sout", p);
}

/* All blocks PREFIX.0., PREFIX.1., ... */
static void blocks(const cvi_state *s, cvi_buf *b, const char *prefix, cvi_arch_place *at) {
    for (int i = 0; i < MAX_UNITS; i++) {
        char p[LABEL];
        snprintf(p, sizeof p, "%.50s.%d.", prefix, i);
        if (!cvi_state_find(s, "%sconv1.weight", p)) {
            break;
        }
        block(s, b, p, at);
    }
}

/* PREFIX.0 and PREFIX.1 are a convolution and its normalisation. */
static bool unit(const cvi_state *s, cvi_buf *b, const char *prefix, int64_t stride, const char *act,
                 cvi_arch_place *at) {
    char p[LABEL];
    snprintf(p, sizeof p, "%.60s.", prefix);
    cvi_arch_part part = cvi_arch_part_of(p, "0", "1", false);
    if (!cvi_arch_weight(s, part.first)) {
        return false;
    }
    cvi_arch_conv(s, b, &part, &f, stride, at, act);
    return true;
}

/* What branch j gives to branch i: smaller maps are enlarged, larger ones halved, several times. */
static void exchange(const cvi_state *s, cvi_buf *b, const char *module, int i, int j, cvi_arch_place *at) {
    char p[LABEL];
    if (j > i) {
        snprintf(p, sizeof p, "%.40s.fuse_layers.%d.%d", module, i, j);
        unit(s, b, p, 1, NULL, at);
        cvi_buf_printf(b, "%s.up: upsample x%d nearest\n", p, 1 << (j - i));
        snprintf(at->label, sizeof at->label, "%.70s.up", p);
    }
    for (int k = 0; k < i - j; k++) {
        snprintf(p, sizeof p, "%.40s.fuse_layers.%d.%d.%d", module, i, j, k);
        unit(s, b, p, 2, k + 1 < i - j ? "relu" : NULL, at);
    }
}

/* Branches by themselves, then each the sum of what all give it. */
static void module(const cvi_state *s, cvi_buf *b, const char *name, cvi_arch_place *x, int n) {
    char p[LABEL];
    cvi_arch_place y[MAX_BRANCHES];
    for (int i = 0; i < n; i++) {
        snprintf(p, sizeof p, "%.40s.branches.%d", name, i);
        blocks(s, b, p, &x[i]);
    }
    for (int i = 0; i < n; i++) {
        cvi_buf sum = {0};
        for (int j = 0; j < n; j++) {
            cvi_arch_place at = x[j];
            exchange(s, b, name, i, j, &at);
            cvi_buf_printf(&sum, "%s%s", j ? "," : "", at.label);
        }
        y[i] = (cvi_arch_place){.channels = x[i].channels};
        snprintf(y[i].label, LABEL, "%.40s.out%d", name, i);
        cvi_buf_printf(b, "%.40s.sum%d: from %s add\n%s: relu\n", name, i, sum.data ? sum.data : "",
                       y[i].label);
        b->failed |= sum.failed;
        cvi_buf_free(&sum);
    }
    memcpy(x, y, (size_t)n * sizeof *x);
}

/* A new branch is made of the smallest one; others may change their width. */
static int transition(const cvi_state *s, cvi_buf *b, int stage, cvi_arch_place *x, int n) {
    char p[LABEL];
    cvi_arch_place last = x[n - 1];
    for (int i = 0; i < n; i++) {
        snprintf(p, sizeof p, "transition%d.%d", stage, i);
        unit(s, b, p, 1, "relu", &x[i]);
    }
    snprintf(p, sizeof p, "transition%d.%d.0", stage, n);
    if (n < MAX_BRANCHES && cvi_state_find(s, "%s.0.weight", p)) {
        x[n] = last;
        unit(s, b, p, 2, "relu", &x[n]);
        return n + 1;
    }
    return n;
}

static void hrnet(const cvi_state *s, cvi_buf *b) {
    const cvs_tensor *stem = cvi_state_find(s, "conv1.weight"), *fc = cvi_state_find(s, "classifier.weight");
    cvi_arch_place x[MAX_BRANCHES] = {{"", cvi_arch_dim(stem, 1)}};
    char p[LABEL];
    int n = 1;
    if (!stem || !fc || !cvi_state_find(s, "stage2.0.branches.0.0.conv1.weight")) {
        return;
    }
    cvi_arch_head(b, "HRNet", cvi_arch_dim(fc, 0), cvi_arch_dim(stem, 1), 224);
    const cvi_arch_part stems[] = {cvi_arch_part_of("", "conv1", "bn1", false),
                                   cvi_arch_part_of("", "conv2", "bn2", false)};
    cvi_arch_conv(s, b, &stems[0], &f, 2, &x[0], "relu");
    cvi_arch_conv(s, b, &stems[1], &f, 2, &x[0], "relu");
    blocks(s, b, "layer1", &x[0]);
    for (int stage = 2; stage < 2 + MAX_BRANCHES - 1; stage++) {
        if (!cvi_state_find(s, "stage%d.0.branches.0.0.conv1.weight", stage)) {
            break;
        }
        n = transition(s, b, stage - 1, x, n);
        for (int i = 0; i < MAX_UNITS; i++) {
            snprintf(p, sizeof p, "stage%d.%d", stage, i);
            if (!cvi_state_find(s, "%s.branches.0.0.conv1.weight", p)) {
                break;
            }
            module(s, b, p, x, n);
        }
    }
    cvi_arch_place y = x[0];
    for (int i = 0; i < n; i++) {
        snprintf(p, sizeof p, "incre_modules.%d", i);
        blocks(s, b, p, &x[i]);
        if (i == 0) {
            y = x[0];
            continue;
        }
        snprintf(p, sizeof p, "downsamp_modules.%d", i - 1);
        unit(s, b, p, 2, "relu", &y);
        cvi_buf_printf(b, "head%d: from %s,%s add\n", i, x[i].label, y.label);
        snprintf(y.label, sizeof y.label, "head%d", i);
    }
    unit(s, b, "final_layer", 1, "relu", &y);
    cvi_buf_printf(b, "global_pool: from %s gap\nclassifier: fc %lld\n", y.label,
                   (long long)cvi_arch_dim(fc, 0));
}

const cvi_arch cvi_arch_hrnet = {.name = "HRNet", .write = hrnet};
