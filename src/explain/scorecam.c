/* SPDX-License-Identifier: MIT
 * scorecam.c - Score-CAM (Wang et al. 2020) as pytorch-grad-cam computes it: every feature map, enlarged with aligned corners and
 * scaled to 0..1, masks the picture; softmax over the maps of the target's values gives their weights. No gradient is used.
 */
#include <math.h>

#include "explain/again.h"

/* The picture times a map [h,w] scaled by its own range. */
static void mask(const cvi_again *a, const float *map, int64_t h, int64_t w, float *place) {
    const cvs_tensor *p = &a->picture;
    int64_t channels = p->dim[1], rows = p->dim[2], columns = p->dim[3], area = rows * columns;
    const float *x = p->data;
    double step_y = rows > 1 ? (double)(h - 1) / (double)(rows - 1) : 0.0;
    double step_x = columns > 1 ? (double)(w - 1) / (double)(columns - 1) : 0.0, low = HUGE_VAL,
           high = -HUGE_VAL;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < area; i++) {
            double y = (double)(i / columns) * step_y, u = (double)(i % columns) * step_x;
            double v = cvi_map_bilinear(map, h, w, (y + 0.5) / (double)h, (u + 0.5) / (double)w);
            low = pass == 0 ? fmin(low, v) : low;
            high = pass == 0 ? fmax(high, v) : high;
            for (int64_t c = 0; pass == 1 && c < channels; c++) {
                place[c * area + i] = (float)((double)x[c * area + i] * ((v - low) / (high - low + 1e-8)));
            }
        }
    }
}

static cvs_status measure(cvi_again *a, const cvs_tensor *maps, double *score) {
    int64_t channels = maps->dim[1], h = maps->dim[2], w = maps->dim[3];
    for (int64_t k = 0; k < channels; k += a->batch) {
        int64_t here = CVI_MIN(a->batch, channels - k);
        for (int64_t b = 0; b < here; b++) {
            mask(a, (const float *)maps->data + (k + b) * h * w, h, w, cvi_again_place(a, b));
        }
        CVI_TRY(cvi_again_scores(a, here, (double)k / (double)channels, score + k));
        for (int64_t b = 0; b < here && a->q->compat == CVI_TF_KERAS_VIS; b++) {
            CVI_TRY(cvi_question_softmax(a->q, a->exec, b, &score[k + b]));
        }
    }
    return CVS_OK;
}

static void softmax(double *v, int64_t n) {
    double high = -HUGE_VAL, sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        high = fmax(high, v[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        v[i] = exp(v[i] - high);
        sum += v[i];
    }
    for (int64_t i = 0; i < n; i++) {
        v[i] /= sum;
    }
}

static cvs_status ask(cvi_again *a, cvs_explanation *out) {
    cvi_question *q = a->q;
    cvs_tensor maps;
    CVI_TRY(cvi_question_layer(q, &maps));
    if (a->picture.rank != 4) {
        return cvi_no_picture(q->err);
    }
    double *weight = cvi_calloc((size_t)CVI_MAX(maps.dim[1], 1), sizeof *weight);
    if (!weight) {
        return cvi_no_memory(q->err, (size_t)maps.dim[1] * sizeof *weight);
    }
    cvs_status s = measure(a, &maps, weight);
    if (s == CVS_OK) {
        bool plain = q->compat == CVI_TF_KERAS_VIS; /* the class's probability itself */
        if (!plain) {
            softmax(weight, maps.dim[1]);
        }
        snprintf(q->settings, sizeof q->settings,
                 cvi_tr(q->options->lang,
                        plain ? "%lld masked pictures, the class's softmax value as weight"
                              : "%lld masked pictures, softmax of the target's values as weights"),
                 (long long)maps.dim[1]);
        s = cvi_cam_weighted(q, &maps, weight, out);
    }
    cvi_free(weight);
    return s;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_again_with(q, cvi_again_answers, ask, out);
}

const cvi_method cvi_method_scorecam = {
    .name = "scorecam",
    .title_en = "Score-CAM",
    .title_zh = "Score-CAM",
    .sentence_en = "Feature maps weighted by how high the target is when only what they light up is kept.",
    .sentence_zh = "仅保留特征图照亮的部分时目标有多高，以此为权重叠加各特征图。",
    .caveat_en = "Masked pictures are unlike any that the network was trained on; with softmax weights a few "
                 "maps decide.",
    .caveat_zh = "被遮罩的图片与训练时见过的图片不同；采用 softmax 权重时由少数特征图决定。",
    .source = "Wang et al. 2020, arXiv:1910.01279",
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .compat = CVI_PYTORCH_GRAD_CAM | CVI_TF_KERAS_VIS,
    .run = run,
};
