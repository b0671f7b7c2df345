/* SPDX-License-Identifier: MIT
 * ablationcam.c - Ablation-CAM (Desai and Ramaswamy 2020): weight of a feature map = the share of the target's value y that is
 * lost when the map is set to zero, (y - y_k) / y. Only what follows the layer runs again.
 */
#include "engine/incremental.h"
#include "explain/again.h"

/* One feature map after another set to zero: numbers [K, count of the value that holds the scores]. */
static cvs_status switch_off(cvi_again *a, int64_t maps, int value, float *numbers) {
    cvi_edit *edit = cvi_calloc((size_t)maps, sizeof *edit);
    cvi_change *change = cvi_calloc((size_t)maps, sizeof *change);
    cvi_incr *incr = NULL;
    void *out[1] = {numbers};
    cvs_status s = edit && change ? CVS_OK : cvi_no_memory(a->q->err, (size_t)maps * sizeof *edit);
    for (int64_t k = 0; k < maps && s == CVS_OK; k++) {
        edit[k] =
            (cvi_edit){.value = a->q->layer_value, .c = k, .channels = 1, .h = INT32_MAX, .w = INT32_MAX};
        change[k] = (cvi_change){&edit[k], 1};
    }
    if (s == CVS_OK) {
        s = cvi_incr_new(a->exec, &incr, a->q->err);
    }
    if (s == CVS_OK) {
        cvi_incr_told told = {a->q->options->progress, a->q->options->progress_context,
                              a->q->options->method};
        s = cvi_incr_run(incr, change, maps, &value, 1, out, &told, a->q->err);
    }
    cvi_incr_free(incr);
    cvi_free(edit);
    cvi_free(change);
    return s;
}

static cvs_status measure(cvi_again *a, int64_t maps, double whole, double *weight) {
    cvi_question *q = a->q;
    cvs_tensor t;
    int64_t classes = 0, total = 0;
    int value = -1;
    CVI_TRY(cvi_question_classes(q, a->exec, &classes, &value));
    CVI_TRY(cvi_exec_value(a->exec, value, &t, q->err));
    if (!cvi_mul(maps, CVI_MAX(cvs_tensor_count(&t), classes), &total)) {
        return cvi_fail(q->err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    float *numbers = cvi_calloc((size_t)total, sizeof *numbers),
          *grid = cvi_calloc((size_t)total, sizeof *grid);
    cvs_status s = numbers && grid ? CVS_OK : cvi_no_memory(q->err, (size_t)total * sizeof *grid);
    if (s == CVS_OK) {
        s = switch_off(a, maps, value, numbers);
    }
    if (s == CVS_OK) {
        s = cvi_question_grid(q, a->exec, numbers, maps, grid);
    }
    for (int64_t k = 0; k < maps && s == CVS_OK; k++) {
        weight[k] = whole != 0.0 ? (whole - (double)grid[q->target_index * maps + k]) / whole : 0.0;
    }
    cvi_free(numbers);
    cvi_free(grid);
    return s;
}

static cvs_status ask(cvi_again *a, cvs_explanation *out) {
    cvi_question *q = a->q;
    cvs_tensor maps;
    double value = 0.0;
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &value));
    CVI_TRY(cvi_question_layer(q, &maps));
    double *weight = cvi_calloc((size_t)CVI_MAX(maps.dim[1], 1), sizeof *weight);
    if (!weight) {
        return cvi_no_memory(q->err, (size_t)maps.dim[1] * sizeof *weight);
    }
    cvs_status s = measure(a, maps.dim[1], value, weight);
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
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .run = run,
};
