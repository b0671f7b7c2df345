/* SPDX-License-Identifier: MIT
 * ablationcam.c - Ablation-CAM (Desai and Ramaswamy 2020): weight of a feature map = the share of the target's value y that is
 * lost when the map is set to zero, (y - y_k) / y. Only what follows the layer runs again.
 */
#include "explain/again.h"

static cvs_status measure(cvi_again *a, const cvs_tensor *maps, double whole, double *weight) {
    cvs_tensor changed = {0};
    cvs_status s = cvs_tensor_convert(maps, CVS_F32, &changed, a->q->err);
    size_t bytes = (size_t)(maps->dim[2] * maps->dim[3]) * sizeof(float);
    for (int64_t k = 0; k < maps->dim[1] && s == CVS_OK; k++) {
        size_t at = (size_t)k * bytes;
        double left = 0.0;
        memset((char *)changed.data + at, 0, bytes);
        s = cvi_again_score_from(a, a->q->layer_value, &changed, (double)k / (double)maps->dim[1], &left);
        memcpy((char *)changed.data + at, (const char *)maps->data + at, bytes);
        weight[k] = whole != 0.0 ? (whole - left) / whole : 0.0;
    }
    cvs_tensor_free(&changed);
    return s;
}

static cvs_status ask(cvi_again *a, cvs_explanation *out) {
    cvi_question *q = a->q;
    cvs_tensor maps, whole;
    double value = 0.0;
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &value));
    CVI_TRY(cvi_question_layer(q, &maps));
    CVI_TRY(cvi_exec_value(a->exec, q->layer_value, &whole, q->err));
    double *weight = cvi_calloc((size_t)CVI_MAX(maps.dim[1], 1), sizeof *weight);
    if (!weight) {
        return cvi_no_memory(q->err, (size_t)maps.dim[1] * sizeof *weight);
    }
    cvs_status s =
        measure(a, &whole, value, weight); /* place 0 is changed, the others of a fixed batch stay */
    if (s == CVS_OK) {
        snprintf(q->settings, sizeof q->settings,
                 cvi_tr(q->options->lang, "%lld feature maps set to zero one at a time"),
                 (long long)maps.dim[1]);
        s = cvi_cam_weighted(q, &maps, weight, out);
    }
    cvi_free(weight);
    return s;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvi_again a;
    cvs_status s = cvi_again_new(q, &a);
    if (s == CVS_OK) {
        s = ask(&a, out);
    }
    cvi_again_free(&a);
    return s;
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
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .run = run,
};
