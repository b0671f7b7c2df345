/* SPDX-License-Identifier: MIT
 * xgradcam.c - XGrad-CAM (Fu et al. 2020): weight of a map = sum(g A) / (sum(A) + 1e-7), the gradient's mean weighted by the map
 * itself.
 */
#include "explain/method.h"

static double weigh(const float *a, const float *g, int64_t area, double *part) {
    double all = 0.0, sum = 0.0;
    for (int64_t i = 0; i < area; i++) {
        all += (double)a[i];
        sum += (double)a[i] * (double)g[i];
    }
    double weight = sum / (all + 1e-7);
    for (int64_t i = 0; i < area; i++) {
        part[i] = weight * (double)a[i];
    }
    return weight;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_cam_run(q, weigh, out);
}

const cvi_method cvi_method_xgradcam = {
    .name = "xgradcam",
    .title_en = "XGrad-CAM",
    .title_zh = "XGrad-CAM",
    .sentence_en = "Grad-CAM whose weights are chosen so that the maps' parts match what removing them does.",
    .sentence_zh = "选择权重使各特征图的份额与移除它们的效果相符的 Grad-CAM。",
    .caveat_en = "Meant for a layer after its rectifier: where a map's values nearly cancel, its weight "
                 "grows without bound.",
    .caveat_zh = "适用于整流之后的层：若一张特征图的数值几乎相互抵消，其权重会无限增大。",
    .source = "Fu et al. 2020, arXiv:2008.02312",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .compat = CVI_PYTORCH_GRAD_CAM,
    .run = run,
};
