/* SPDX-License-Identifier: MIT
 * channel_ablation.c - every filter of a layer switched off in turn: what the target loses without a feature map, exactly, is that map's
 * vote. In the map a vote lies where its feature map is active (in proportion to |A|), so that the map adds up to all votes.
 */
#include <math.h>

#include "explain/switch_off.h"

/* Each channel's loss over its positions; evenly where the channel is zero everywhere. */
static void spread(const cvs_tensor *maps, const double *loss, double *parts) {
    int64_t area = maps->dim[2] * maps->dim[3];
    for (int64_t k = 0; k < maps->dim[1]; k++) {
        double all = 0.0;
        for (int64_t i = 0; i < area; i++) {
            all += fabs(cvi_get(maps, k * area + i));
        }
        for (int64_t i = 0; i < area; i++) {
            double part = all > 0.0 ? fabs(cvi_get(maps, k * area + i)) / all : 1.0 / (double)area;
            parts[k * area + i] = loss[k] * part;
        }
    }
}

static cvs_status ask(cvi_again *a, cvs_explanation *out) {
    cvi_question *q = a->q;
    cvs_tensor maps;
    double whole = 0.0;
    CVI_TRY(cvi_question_layer(q, &maps));
    int64_t n = maps.dim[1], count = cvs_tensor_count(&maps);
    double *loss = cvi_calloc((size_t)CVI_MAX(2 * n + count, 1), sizeof *loss);
    if (!loss) {
        return cvi_no_memory(q->err, (size_t)count * sizeof *loss);
    }
    double *share = loss + n, *parts = share + n;
    cvs_status s = cvi_switch_off(a, &maps, NULL, &whole, loss);
    for (int64_t k = 0; k < n; k++) {
        loss[k] = whole - loss[k];
        share[k] = whole != 0.0 ? loss[k] / whole : 0.0;
    }
    if (s == CVS_OK) {
        spread(&maps, loss, parts);
        snprintf(q->settings, sizeof q->settings,
                 cvi_tr(q->options->lang, "%lld feature maps switched off (set to zero) one at a time; a "
                                          "vote is what the target loses without its map"),
                 (long long)n);
        s = cvi_cam_finish(q, parts, share, n, maps.dim[2], maps.dim[3], out);
    }
    cvi_free(loss);
    return s;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_again_with(q, cvi_again_base, ask, out);
}

const cvi_method cvi_method_channel_ablation = {
    .name = "channel-ablation",
    .title_en = "Channel ablation",
    .title_zh = "通道消融",
    .sentence_en = "What the target loses when a filter of a layer is switched off, for every filter.",
    .sentence_zh = "逐一关闭某一层的滤波器时，目标各损失多少。",
    .caveat_en = "The votes are exact, one filter at a time; filters that stand in for each other each look "
                 "unimportant, and where a vote lies within its map is a convention.",
    .caveat_zh =
        "票数是精确的，但每次只关闭一个滤波器：可相互替代的滤波器各自显得不重要；一票在图内的分布只是约定。",
    .source = "Zeiler and Fergus 2014, arXiv:1311.2901; Morcos et al. 2018, arXiv:1803.06959",
    .family = CVI_FAMILY_INTERNAL,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .sign = CVI_SIGN_ALWAYS,
    .run = run,
};
