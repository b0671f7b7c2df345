/* SPDX-License-Identifier: MIT
 * class_activation.c - CAM (Zhou et al. 2016): feature maps weighted by the weights of the linear head behind global average
 * pooling, for networks that end so. The head is found in the graph; its weights are the exact derivative of the logit. The map's
 * mean plus the head's bias is the logit.
 */
#include <math.h>

#include "explain/method.h"

static bool constant(const cvi_graph *g, int v) {
    return v >= 0 && g->values[v].constant;
}

/* The value that a linear node is linear in, or -1: it is not, or has two. */
static int linear_in(const cvi_graph *g, const cvi_node *n) {
    const cvi_op *op = n->def;
    if (!op || n->n_in < 1) {
        return -1;
    }
    if (op->flags & (CVI_OP_RESHAPE | CVI_OP_IDENTITY)) {
        return n->in[0];
    }
    if ((op->glyph == CVI_GLYPH_DENSE || (op->flags & CVI_OP_CONV)) && n->n_in >= 2 &&
        constant(g, n->in[1])) {
        return n->in[0];
    }
    if ((op->flags & CVI_OP_ADDS) && n->n_in == 2) {
        return constant(g, n->in[1]) ? n->in[0] : constant(g, n->in[0]) ? n->in[1] : -1;
    }
    return -1;
}

/* What the pooling before the head reads, or -1. Whether it is an average over all positions shows in its gradient. */
static int pooled(const cvi_question *q) {
    const cvi_graph *g = q->model->graph;
    for (int v = q->target_value, steps = 0; v >= 0 && steps <= g->n_nodes; steps++) {
        int p = g->values[v].producer;
        if (p < 0) {
            return -1;
        }
        const cvi_node *n = &g->nodes[p];
        int next = linear_in(g, n);
        if (next < 0 && n->def && n->def->field && n->n_in > 0 && !(n->def->flags & CVI_OP_POINTWISE)) {
            return n->in[0]; /* a pooling or a mean over axes */
        }
        v = next;
    }
    return -1;
}

/* Weights of the maps: the gradient of a map is the same everywhere, weight / positions. */
static cvs_status weights(cvi_question *q, const cvs_tensor *maps, const cvs_tensor *slope, double *weight) {
    int64_t area = maps->dim[2] * maps->dim[3];
    double most = 0.0, apart = 0.0;
    for (int64_t k = 0; k < maps->dim[1]; k++) {
        double low = HUGE_VAL, high = -HUGE_VAL;
        weight[k] = 0.0;
        for (int64_t i = 0; i < area; i++) {
            double v = cvi_get(slope, k * area + i);
            weight[k] += v;
            low = fmin(low, v);
            high = fmax(high, v);
        }
        most = fmax(most, fmax(fabs(low), fabs(high)));
        apart = fmax(apart, high - low);
    }
    if (apart > 1e-4 * most) {
        return cvi_fail(q->err, CVS_E_UNSUPPORTED,
                        "CAM needs an average over all positions before the head, this one weighs them "
                        "differently; gradcam and hirescam apply to any head");
    }
    return CVS_OK;
}

static cvs_status find(cvi_question *q, cvs_explanation *out) {
    const cvi_graph *g = q->model->graph;
    if (q->options->target.probability) {
        return cvi_fail(q->err, CVS_E_ARGUMENT,
                        "CAM reads the weights of a logit, a probability has none; gradcam explains it");
    }
    if (q->box.of_layer) {
        return cvi_fail(q->err, CVS_E_ARGUMENT,
                        "CAM reads the weights of a class; gradcam explains any number of any layer");
    }
    q->layer_value = pooled(q);
    if (q->layer_value < 0) {
        return cvi_fail(q->err, CVS_E_UNSUPPORTED,
                        "CAM needs a network that ends in global average pooling and a linear head; gradcam "
                        "and hirescam apply to any head");
    }
    const char *name = g->values[q->layer_value].name;
    int asked = q->layer_value;
    if (q->options->layer) {
        CVI_TRY(cvi_ops_find_layer(g, q->options->layer, &asked, q->err));
    }
    if (asked != q->layer_value && strcmp(q->options->layer, "last-conv") != 0) {
        return cvi_fail(
            q->err, CVS_E_ARGUMENT,
            "CAM looks at what the pooling reads, %.80s, not at %.80s; gradcam looks at any layer", name,
            g->values[asked].name);
    }
    snprintf(out->layer, sizeof out->layer, "%.120s", name);
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang, "layer %.100s, weights of the head; the map's mean and the bias add up "
                                      "to the logit"),
             name);
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvs_tensor maps, slope;
    CVI_TRY(find(q, out));
    CVI_TRY(cvi_question_maps(q, &maps, &slope));
    double *weight = cvi_calloc((size_t)CVI_MAX(maps.dim[1], 1), sizeof *weight);
    if (!weight) {
        return cvi_no_memory(q->err, (size_t)maps.dim[1] * sizeof *weight);
    }
    cvs_status s = weights(q, &maps, &slope, weight);
    if (s == CVS_OK) {
        s = cvi_cam_weighted(q, &maps, weight, out);
    }
    cvi_free(weight);
    return s;
}

const cvi_method cvi_method_class_activation = {
    .name = "cam",
    .title_en = "Class activation map",
    .title_zh = "类激活图（CAM）",
    .sentence_en = "Where the last feature maps spoke for the target, by the weights of the linear head.",
    .sentence_zh = "按线性分类头的权重，最后的特征图在哪些位置支持了目标。",
    .caveat_en = "Coarse; exact for the last maps, but what made those maps light up there is not asked.",
    .caveat_zh = "较粗略；对最后的特征图是精确的，但不追问它们为何在该处被激活。",
    .source = "Zhou, Khosla, Lapedriza, Oliva and Torralba 2016, arXiv:1512.04150",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .run = run,
};
