/* SPDX-License-Identifier: MIT
 * arch_keras_nasnet.c - NASNet-A of keras.applications, mobile and large: cells of two inputs, the last cell's output and the one's
 * before, which is first brought to the same size and width.
 */
#include "formats/arch_pen.h"

/* The two inputs of a cell, and the side of the maps, which decides paddings. */
typedef struct cells {
    cvi_pen *p;
    cvi_arch_place x, before;
    int side;
} cells;

/* Padding with zeros that poolings count: before and behind each side; negative ones cut. */
static cvi_arch_place pad(cvi_pen *p, cvi_arch_place from, int before, int behind, const char *what,
                          const char *id) {
    cvi_arch_place to = {.channels = from.channels};
    snprintf(to.label, sizeof to.label, "%s_%s", what, id);
    if (!p->missing) {
        cvi_buf_printf(p->b,
                       "\"%s_sizes\": const i64[8][0;0;%d;%d;0;0;%d;%d]\n"
                       "\"%s\": from \"%s\",\"%s_sizes\" op Pad\n",
                       to.label, before, before, behind, behind, to.label, from.label, to.label);
    }
    return to;
}

static cvi_arch_place pool(cvi_pen *p, cvi_arch_place from, const char *words, const char *what,
                           const char *id) {
    p->at = from;
    cvi_pen_op(p, words, "%s_%s", what, id);
    return p->at;
}

/* Rectifier, convolution `conv`, normalisation `bn` and the block's name behind both. */
static cvi_arch_place conv_bn(cvi_pen *p, cvi_arch_place from, const char *window, const char *conv,
                              const char *bn, const char *id) {
    p->at = from;
    cvi_pen_op(p, "relu", "%s_relu_%s", conv, id);
    cvi_pen_layer(p, window, NULL, "%s_%s", conv, id);
    cvi_pen_norm(p, NULL, "%s_%s", bn, id);
    return p->at;
}

static cvi_arch_place separable(cvi_pen *p, cvi_arch_place from, const char *window, const char *what,
                                const char *id) {
    char block[CVI_ARCH_LABEL];
    snprintf(block, sizeof block, "%s_%s", what, id);
    from = conv_bn(p, from, window, "separable_conv_1", "separable_conv_1_bn", block);
    return conv_bn(p, from, "same", "separable_conv_2", "separable_conv_2_bn", block);
}

static cvi_arch_place add(cvi_pen *p, cvi_arch_place a, cvi_arch_place b, const char *what, const char *id) {
    const cvi_arch_place both[2] = {a, b};
    cvi_pen_join(p, "add", 2, both, "%s_%s", what, id);
    return p->at;
}

/* What came before, in the size and width of the cell: by a convolution, or by two on every second pixel, one of them shifted. */
static cvi_arch_place adjusted(cells *c, const char *id) {
    cvi_pen *p = c->p;
    if (cvi_pen_has(p, "adjust_conv_projection_%s", id)) {
        return conv_bn(p, c->before, "", "adjust_conv_projection", "adjust_bn", id);
    }
    if (!cvi_pen_has(p, "adjust_conv_1_%s", id)) {
        return c->before;
    }
    cvi_arch_place half[2] = {pool(p, c->before, "relu", "adjust_relu_1", id)};
    half[1] = pad(p, half[0], -1, 1, "adjust_shift", id);
    for (int i = 0; i < 2; i++) {
        p->at = half[i];
        cvi_pen_op(p, "avgpool k1 s2", "adjust_avg_pool_%d_%s", i + 1, id);
        cvi_pen_layer(p, "", NULL, "adjust_conv_%d_%s", i + 1, id);
        half[i] = p->at;
    }
    cvi_pen_join(p, "concat", 2, half, "adjust_concat_%s", id);
    cvi_pen_norm(p, NULL, "adjust_bn_%s", id);
    return p->at;
}

static void normal_cell(cells *c, const char *id) {
    cvi_pen *p = c->p;
    const cvi_arch_place q = adjusted(c, id);
    const cvi_arch_place h = conv_bn(p, c->x, "", "normal_conv_1", "normal_bn_1", id);
    cvi_arch_place all[6] = {q}, left = separable(p, h, "same", "normal_left1", id);
    all[1] = add(p, left, separable(p, q, "same", "normal_right1", id), "normal_add_1", id);
    left = separable(p, q, "same", "normal_left2", id);
    all[2] = add(p, left, separable(p, q, "same", "normal_right2", id), "normal_add_2", id);
    all[3] = add(p, pool(p, h, "avgpool k3 s1 same", "normal_left3", id), q, "normal_add_3", id);
    left = pool(p, q, "avgpool k3 s1 same", "normal_left4", id);
    all[4] = add(p, left, left, "normal_add_4", id);
    all[5] = add(p, separable(p, h, "same", "normal_left5", id), h, "normal_add_5", id);
    cvi_pen_join(p, "concat", 6, all, "normal_concat_%s", id);
    c->before = c->x;
    c->x = p->at;
}

static void reduction_cell(cells *c, const char *id) {
    cvi_pen *p = c->p;
    const cvi_arch_place q = adjusted(c, id);
    const cvi_arch_place h = conv_bn(p, c->x, "", "reduction_conv_1", "reduction_bn_1", id);
    const cvi_arch_place wide = pad(p, h, c->side % 2, 1, "reduction_pad_1", id);
    cvi_arch_place all[4], left = separable(p, h, "s2 same", "reduction_left1", id);
    const cvi_arch_place first =
        add(p, left, separable(p, q, "s2 same", "reduction_right1", id), "reduction_add_1", id);
    left = pool(p, wide, "maxpool k3 s2", "reduction_left2", id);
    all[0] = add(p, left, separable(p, q, "s2 same", "reduction_right2", id), "reduction_add_2", id);
    left = pool(p, wide, "avgpool k3 s2", "reduction_left3", id);
    all[1] = add(p, left, separable(p, q, "s2 same", "reduction_right3", id), "reduction_add3", id);
    all[2] =
        add(p, all[0], pool(p, first, "avgpool k3 s1 same", "reduction_left4", id), "reduction_add_5", id);
    left = separable(p, first, "same", "reduction_left4", id);
    all[3] = add(p, left, pool(p, wide, "maxpool k3 s2", "reduction_right5", id), "reduction_add4", id);
    cvi_pen_join(p, "concat", 4, all, "reduction_concat_%s", id);
    c->before = c->x;
    c->x = p->at;
    c->side = (c->side + 1) / 2;
}

static void keras_nasnet(const cvi_state *s, cvi_buf *b) {
    char id[24];
    bool is_large = cvi_state_find(s, "normal_conv_1_18.weight") != NULL;
    int blocks = is_large ? 6 : 4, side = is_large ? 331 : 224;
    cvi_pen p;
    if (!cvi_pen_begin(&p, s, b, "stem_conv1", is_large ? "NASNet-A large" : "NASNet-A mobile",
                       is_large ? "tf,size=331" : "tf", side, "0.001")) {
        return;
    }
    cvi_pen_layer(&p, "s2 valid", NULL, "stem_conv1");
    cvi_pen_norm(&p, NULL, "stem_bn1");
    cells c = {.p = &p, .x = p.at, .before = p.at, .side = (side - 1) / 2};
    reduction_cell(&c, "stem_1");
    reduction_cell(&c, "stem_2");
    for (int stage = 0; stage < 3 && !p.missing; stage++) {
        if (stage > 0) {
            const cvi_arch_place before = c.before;
            snprintf(id, sizeof id, "reduce_%d", stage * blocks);
            reduction_cell(&c, id);
            c.before = is_large ? before : c.before; /* the large one skips the reduction's input */
        }
        for (int i = 0; i < blocks; i++) {
            snprintf(id, sizeof id, "%d", stage * blocks + i + (stage > 0));
            normal_cell(&c, id);
        }
    }
    p.at = c.x;
    cvi_pen_op(&p, "relu", "last_relu");
    cvi_pen_top(&p, "global_average_pooling2d", "predictions");
    cvi_pen_end(&p);
}

const cvi_arch cvi_arch_keras_nasnet = {.name = "NASNet", .write = keras_nasnet};
