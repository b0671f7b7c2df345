/* SPDX-License-Identifier: MIT
 * layercam.c - LayerCAM (Jiang et al. 2021): every position of a map is weighted by its own positive gradient.
 */
#include "explain/method.h"

static double weigh(const float *a, const float *g, int64_t area, double *part) {
    for (int64_t i = 0; i < area; i++) {
        part[i] = g[i] > 0.0f ? (double)g[i] * (double)a[i] : 0.0;
    }
    return 0.0;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_cam_run(q, weigh, out);
}

const cvi_method cvi_method_layercam = {
    .name = "layercam",
    .title_en = "LayerCAM",
    .title_zh = "LayerCAM",
    .sentence_en =
        "Class activation with one weight per position, so that early, fine layers can be looked at too.",
    .sentence_zh = "每个位置各有权重的类激活图，因此也能观察较早、较精细的层。",
    .caveat_en = "Only positive gradients count: what speaks against the target is left out.",
    .caveat_zh = "只计正梯度：反对目标的部分被略去。",
    .source = "Jiang, Zhang, Hou, Cheng and Wei 2021, IEEE TIP 30",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .compat = CVI_PYTORCH_GRAD_CAM | CVI_TF_KERAS_VIS,
    .run = run,
};
