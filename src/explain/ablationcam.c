/* SPDX-License-Identifier: MIT
 * ablationcam.c - Ablation-CAM (Desai and Ramaswamy 2020): weight of a feature map = the share of the target's value y that is
 * lost when the map is set to zero, (y - y_k) / y. Only what follows the layer runs again.
 */
#include "explain/switch_off.h"

#include <math.h>

/* pytorch-grad-cam: where the smallest number of all maps is 0, zero; else that number - 1e7, unlike the paper. NULL: zero. */
static cvs_status far_below(cvi_question *q, const cvs_tensor *maps, float **level) {
    float least = HUGE_VALF;
    for (int64_t i = 0, n = cvs_tensor_count(maps); i < n; i++) {
        least = fminf(least, ((const float *)maps->data)[i]);
    }
    if (least == 0.0f || maps->dim[1] < 1) {
        return CVS_OK;
    }
    *level = cvi_calloc((size_t)maps->dim[1], sizeof **level);
    if (!*level) {
        return cvi_no_memory(q->err, (size_t)maps->dim[1] * sizeof **level);
    }
    for (int64_t k = 0; k < maps->dim[1]; k++) {
        (*level)[k] = least - 1e7f;
    }
    return CVS_OK;
}

static cvs_status ask(cvi_again *a, cvs_explanation *out) {
    cvi_question *q = a->q;
    cvs_tensor maps;
    double whole = 0.0;
    CVI_TRY(cvi_question_layer(q, &maps));
    int64_t n = maps.dim[1];
    double *weight = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *weight);
    if (!weight) {
        return cvi_no_memory(q->err, (size_t)n * sizeof *weight);
    }
    float *level = NULL;
    cvs_status s = q->compat == CVI_PYTORCH_GRAD_CAM ? far_below(q, &maps, &level) : CVS_OK;
    if (s == CVS_OK) {
        s = cvi_switch_off(a, &maps, level, &whole, weight);
    }
    cvi_free(level);
    for (int64_t k = 0; k < n; k++) {
        weight[k] = whole != 0.0 ? (whole - weight[k]) / whole : 0.0;
    }
    if (s == CVS_OK) {
        snprintf(q->settings, sizeof q->settings,
                 cvi_tr(q->options->lang, "%lld feature maps set to zero one at a time"), (long long)n);
        s = cvi_cam_weighted(q, &maps, weight, out);
    }
    cvi_free(weight);
    return s;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_again_with(q, cvi_again_base, ask, out);
}

const cvi_method cvi_method_ablationcam = {
    .name = "ablationcam",
    .title_en = "Ablation-CAM",
    .title_zh = "Ablation-CAM",
    .sentence_en = "Feature maps weighted by the share of the target's value that is lost without them.",
    .sentence_zh = "按移除后目标值损失的份额为各特征图加权。",
    .caveat_en = "Maps that stand in for each other each look unimportant; for a target below zero the signs "
                 "turn round, as in the paper.",
    .caveat_zh = "可相互替代的特征图各自都显得不重要；目标值小于零时正负号反转，与论文一致。",
    .source = "Desai and Ramaswamy 2020, WACV",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .compat = CVI_PYTORCH_GRAD_CAM,
    .run = run,
};
