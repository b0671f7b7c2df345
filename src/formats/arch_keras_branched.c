/* SPDX-License-Identifier: MIT
 * arch_keras_branched.c - networks of keras.applications whose modules branch: Xception, InceptionV3, Inception-ResNet-v2. Most of their
 * convolutions bear names that Keras counted ("conv2d_37"), so they are taken in the order in which the network's definition makes
 * them; widths and kernels are read off the tensors (arch_pen.c).
 */
#include "formats/arch_pen.h"

/* ---- Xception ---- */

static void xception_block(cvi_pen *p, int block, int *shortcuts) {
    bool outer = block < 5 || block == 13;
    cvi_arch_place ends[2] = {p->at};
    if (outer) {
        const cvi_arch_place in = p->at;
        cvi_pen_conv2d(p, (*shortcuts)++, "s2 same", NULL);
        ends[0] = p->at;
        p->at = in;
    }
    for (int i = 1; i <= (outer ? 2 : 3); i++) {
        if (block > 2 || i > 1) {
            cvi_pen_op(p, "relu", "block%d_sepconv%d_act", block, i);
        }
        cvi_pen_layer(p, "same", NULL, "block%d_sepconv%d", block, i);
    }
    if (outer) {
        cvi_pen_op(p, "maxpool k3 s2 same", "block%d_pool", block);
    }
    ends[1] = p->at;
    cvi_pen_join(p, "add", 2, ends, "block%d_add", block);
}

static void keras_xception(const cvi_state *s, cvi_buf *b) {
    cvi_pen p;
    int shortcuts = 0;
    if (!cvi_state_find(s, "block14_sepconv2.weight") ||
        !cvi_pen_begin(&p, s, b, "block1_conv1", "Xception", "tf,size=299", 299, "0.001")) {
        return;
    }
    cvi_pen_layer(&p, "s2 valid", "relu", "block1_conv1");
    cvi_pen_layer(&p, "valid", "relu", "block1_conv2");
    for (int block = 2; block <= 13; block++) {
        xception_block(&p, block, &shortcuts);
    }
    cvi_pen_layer(&p, "same", "relu", "block14_sepconv1");
    cvi_pen_layer(&p, "same", "relu", "block14_sepconv2");
    cvi_pen_top(&p, "avg_pool", "predictions");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_xception = {.name = "Xception", .write = keras_xception};

/* ---- Inception ---- */

/* A module: branches parted by "|", each of convolutions in order: "c" as large as the input, "v2" valid with stride 2, "v" valid; "a"
 * and "m" are average and maximum pooling, "M" maximum pooling with stride 2; "(" and "," and ")" part what two convolutions make of the
 * same maps. Joined along channels. */
typedef struct inception {
    cvi_pen *p;
    int conv; /* the next of those that Keras counted */
} inception;

static void step(inception *net, char what, const char *module, int k) {
    static const struct {
        char what;
        const char *words;
    } pools[] = {{'a', "avgpool k3 s1 same"}, {'m', "maxpool k3 s1 same"}, {'M', "maxpool k3 s2"}};
    for (int i = 0; i < CVI_COUNT(pools); i++) {
        if (pools[i].what == what) {
            cvi_pen_op(net->p, pools[i].words, "%s_pool%d", module, k);
            return;
        }
    }
    cvi_pen_conv2d(net->p, net->conv++, what == 'c' ? "same" : what == 'V' ? "valid s2" : "valid", "relu");
}

/* Goes through the branches; p->at becomes their concatenation, named as the module. */
static void module(inception *net, const char *branches, const char *name) {
    enum { MOST = 6 };
    cvi_arch_place ends[MOST], fork = {0}, fork_ends[2];
    const cvi_arch_place in = net->p->at;
    int n = 0, forked = 0;
    for (const char *c = branches;; c++) {
        if (*c == '(') {
            fork = net->p->at;
            forked = 0;
        } else if (*c == ',' || *c == ')') {
            fork_ends[forked++ % 2] = net->p->at;
            net->p->at = fork;
            if (*c == ')') {
                cvi_pen_join(net->p, "concat", 2, fork_ends, "%s_fork%d", name, n);
            }
        } else if (*c == '|' || *c == 0) {
            ends[n++ % MOST] = net->p->at;
            net->p->at = in;
        } else {
            step(net, *c, name, n);
        }
        if (*c == 0) {
            break;
        }
    }
    cvi_pen_join(net->p, "concat", CVI_MIN(n, (int)MOST), ends, "%s", name);
}

/* Convolutions and poolings one behind the other. */
static void chain(inception *net, const char *steps, const char *name) {
    for (int i = 0; steps[i]; i++) {
        step(net, steps[i], name, i);
    }
}

static void keras_inception_v3(const cvi_state *s, cvi_buf *b) {
    static const char *const modules[] = {
        "c|cc|ccc|ac",    "c|cc|ccc|ac",         "c|cc|ccc|ac",         "V|ccV|M",
        "c|ccc|ccccc|ac", "c|ccc|ccccc|ac",      "c|ccc|ccccc|ac",      "c|ccc|ccccc|ac",
        "cV|cccV|M",      "c|c(c,c)|cc(c,c)|ac", "c|c(c,c)|cc(c,c)|ac",
    };
    cvi_pen p;
    if (!cvi_pen_begin(&p, s, b, "conv2d", "Inception-v3", "tf,size=299", 299, "0.001") || p.convs.n != 94) {
        b->size = 0;
        return;
    }
    inception net = {.p = &p};
    chain(&net, "VvcMvvM", "stem");
    for (int i = 0; i < CVI_COUNT(modules); i++) {
        char name[16];
        snprintf(name, sizeof name, "mixed%d", i);
        module(&net, modules[i], name);
    }
    cvi_pen_top(&p, "avg_pool", "predictions");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_inception_v3 = {.name = "Inception-v3", .write = keras_inception_v3};

/* The branches, a convolution back to the input's width, scaled and added to the input. */
static void scaled_block(inception *net, const char *branches, const char *name, const char *scale,
                         bool act) {
    cvi_arch_place ends[2] = {net->p->at};
    char mixed[CVI_ARCH_LABEL];
    snprintf(mixed, sizeof mixed, "%.60s_mixed", name);
    module(net, branches, mixed);
    cvi_pen_layer(net->p, "", NULL, "%s_conv", name);
    if (!net->p->missing) {
        cvi_buf_printf(net->p->b,
                       "\"%s_factor\": const f32[1][%s]\n\"%s_scale\": from \"%s\",\"%s_factor\" mul\n", name,
                       scale, name, net->p->at.label, name);
        snprintf(net->p->at.label, sizeof net->p->at.label, "%.60s_scale", name);
    }
    ends[1] = net->p->at;
    cvi_pen_join(net->p, "add", 2, ends, "%s", name);
    if (act) {
        cvi_pen_op(net->p, "relu", "%s_ac", name);
    }
}

static void keras_inception_resnet(const cvi_state *s, cvi_buf *b) {
    static const struct {
        int size, blocks;
        const char *branches, *scale, *then, *name;
    } stages[] = {{35, 10, "c|cc|ccc", "0.17", "V|ccV|M", "mixed_6a"},
                  {17, 20, "c|ccc", "0.1", "cV|cV|ccV|M", "mixed_7a"},
                  {8, 10, "c|ccc", "0.2", NULL, NULL}};
    cvi_pen p;
    if (!cvi_state_find(s, "block35_1_conv.weight") ||
        !cvi_pen_begin(&p, s, b, "conv2d", "Inception-ResNet-v2", "tf,size=299", 299, "0.001")) {
        return;
    }
    inception net = {.p = &p};
    chain(&net, "VvcMvvM", "stem");
    module(&net, "c|cc|ccc|ac", "mixed_5b");
    for (int i = 0; i < CVI_COUNT(stages); i++) {
        for (int k = 1; k <= stages[i].blocks; k++) {
            char name[24];
            snprintf(name, sizeof name, "block%d_%d", stages[i].size, k);
            scaled_block(&net, stages[i].branches, name, i == 2 && k == 10 ? "1.0" : stages[i].scale,
                         i < 2 || k < 10);
        }
        if (stages[i].then) {
            module(&net, stages[i].then, stages[i].name);
        }
    }
    cvi_pen_layer(&p, "", "relu", "conv_7b");
    cvi_pen_top(&p, "avg_pool", "predictions");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_inception_resnet = {.name = "Inception-ResNet-v2",
                                                  .write = keras_inception_resnet};
