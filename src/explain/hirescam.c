/* SPDX-License-Identifier: MIT
 * hirescam.c - HiResCAM (Draelos and Carin 2020): gradient times activation, position by position, summed over the maps.
 */
#include "explain/method.h"

static double weigh(const float *a, const float *g, int64_t area, double *part) {
    for (int64_t i = 0; i < area; i++) {
        part[i] = (double)g[i] * (double)a[i];
    }
    return 0.0;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_cam_run(q, weigh, out);
}

const cvi_method cvi_method_hirescam = {
    .name = "hirescam",
    .title_en = "HiResCAM",
    .title_zh = "HiResCAM",
    .sentence_en = "Where the layer's values, each with its own gradient, spoke for the target.",
    .sentence_zh = "该层每个数值按各自梯度在何处支持了目标。",
    .caveat_en = "Exact only where a single linear layer follows; deeper heads make it a first-order share.",
    .caveat_zh = "只有其后仅为一个线性层时才精确；更深的头部使它只是一阶份额。",
    .source = "Draelos and Carin 2020, arXiv:2011.08891",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .compat = CVI_PYTORCH_GRAD_CAM,
    .run = run,
};
