/* SPDX-License-Identifier: MIT
 * gradcampp.c - Grad-CAM++ (Chattopadhay et al. 2018) as pytorch-grad-cam computes it: weight = sum of a rectified gradient g times
 * g^2 / (2 g^2 + g^3 sum(A) + 1e-6).
 */
#include <math.h>

#include "explain/method.h"

static double weigh(const float *a, const float *g, int64_t area, double *part) {
    double all = 0.0, weight = 0.0;
    for (int64_t i = 0; i < area; i++) {
        all += (double)a[i];
    }
    for (int64_t i = 0; i < area; i++) {
        double s = (double)g[i];
        if (s > 0.0) {
            weight += s * s * s / (2.0 * s * s + s * s * s * all + 1e-6);
        }
    }
    for (int64_t i = 0; i < area; i++) {
        part[i] = weight * (double)a[i];
    }
    return weight;
}

/* tf-keras-vis: alphas of both signs, normed to add up to 1. Its derivatives are those of exp(target): that factor cancels in the alphas. */
static double weigh_normed(const float *a, const float *g, int64_t area, double *part) {
    double all = 0.0, alphas = 0.0, weight = 0.0;
    for (int64_t i = 0; i < area; i++) {
        all += (double)a[i];
    }
    for (int64_t i = 0; i < area; i++) {
        double s = (double)g[i], below = 2.0 * s * s + s * s * s * all;
        double alpha = s != 0.0 && below != 0.0 ? s * s / below : 0.0;
        alphas += alpha;
        weight += s > 0.0 ? s * alpha : 0.0;
    }
    weight = alphas != 0.0 ? weight / alphas : weight;
    for (int64_t i = 0; i < area; i++) {
        part[i] = weight * (double)a[i];
    }
    return weight;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    if (q->compat == CVI_TF_KERAS_VIS) {
        CVI_TRY(cvi_cam_run(q, weigh_normed, out));
        double factor = exp(out->target_value);
        for (int64_t i = 0, n = cvs_tensor_count(&out->map); i < n; i++) {
            ((float *)out->map.data)[i] = (float)(factor * (double)((float *)out->map.data)[i]);
        }
        for (int k = 0; k < out->n_votes; k++) {
            out->votes[k].value *= factor;
            out->votes[k].weight *= factor;
        }
        return CVS_OK;
    }
    return cvi_cam_run(q, weigh, out);
}

const cvi_method cvi_method_gradcampp = {
    .name = "gradcam++",
    .title_en = "Grad-CAM++",
    .title_zh = "Grad-CAM++",
    .sentence_en =
        "Grad-CAM with a weight of its own for every position, made for several objects of one class.",
    .sentence_zh = "Grad-CAM 的改进：每个位置各有权重，适合同类物体多次出现的情形。",
    .caveat_en = "Only positive gradients count: what speaks against the target is left out; three libraries "
                 "compute three different maps under this name (here pytorch-grad-cam's).",
    .caveat_zh =
        "只计正梯度：反对目标的部分被略去；同一名称在三个库里有三种算法（此处采用 pytorch-grad-cam 的）。",
    .source = "Chattopadhay, Sarkar, Howlader and Balasubramanian 2018, arXiv:1710.11063",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .compat = CVI_PYTORCH_GRAD_CAM | CVI_TF_KERAS_VIS,
    .run = run,
};
