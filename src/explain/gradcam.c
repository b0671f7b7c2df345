/* SPDX-License-Identifier: MIT
 * gradcam.c - Grad-CAM (Selvaraju et al. 2017): weight of a map = spatial mean of d target / d map; the map is the weighted
 * sum, rectified. Every map's part is a vote; with global average pooling and a linear head the votes and the bias add up to the
 * logit.
 */
#include "explain/method.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvs_tensor a, g;
    CVI_TRY(cvi_question_maps(q, &a, &g));
    int64_t channels = a.dim[1], h = a.dim[2], w = a.dim[3], area = h * w;
    double *parts = cvi_calloc((size_t)CVI_MAX(channels * area, 1), sizeof *parts);
    double *weight = cvi_calloc((size_t)CVI_MAX(channels, 1), sizeof *weight);
    cvs_status s = CVS_OK;
    if (!parts || !weight) {
        s = cvi_no_memory(q->err, (size_t)(channels * area) * sizeof *parts);
    }
    const float *value = a.data, *slope = g.data;
    for (int64_t k = 0; k < channels && s == CVS_OK; k++) {
        double sum = 0.0;
        for (int64_t i = 0; i < area; i++) {
            sum += (double)slope[k * area + i];
        }
        weight[k] = sum / (double)area;
        for (int64_t i = 0; i < area; i++) {
            parts[k * area + i] = weight[k] * (double)value[k * area + i];
        }
    }
    if (s == CVS_OK) {
        s = cvi_cam_finish(q, parts, weight, channels, h, w, out);
    }
    cvi_free(parts);
    cvi_free(weight);
    return s;
}

const cvi_method cvi_method_gradcam = {
    .name = "gradcam",
    .title_en = "Grad-CAM",
    .title_zh = "Grad-CAM",
    .sentence_en = "Where in the picture the feature maps of a layer spoke for the target.",
    .sentence_zh = "某一层的特征图在图片的哪些位置支持了目标。",
    .caveat_en = "Coarse: it has the layer's resolution, and averaging the gradient can hide what a map does "
                 "in places.",
    .caveat_zh = "较粗略：分辨率与该层相同，而且对梯度取平均可能掩盖某张特征图在局部的作用。",
    .source = "Selvaraju et al. 2017, arXiv:1610.02391",
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .run = run,
};
