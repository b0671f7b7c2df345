/* SPDX-License-Identifier: MIT
 * gradcam.c - Grad-CAM (Selvaraju et al. 2017): weight of a map = spatial mean of d target / d map; the map is the weighted
 * sum, rectified. Every map's part is a vote; with global average pooling and a linear head the votes and the bias add up to the
 * logit.
 */
#include "explain/method.h"

double cvi_cam_mean_gradient(const float *a, const float *g, int64_t area, double *part) {
    double sum = 0.0;
    for (int64_t i = 0; i < area; i++) {
        sum += (double)g[i];
    }
    for (int64_t i = 0; i < area; i++) {
        part[i] = sum / (double)area * (double)a[i];
    }
    return sum / (double)area;
}

/* The book takes the mean over the maps, not the sum: the same picture, other numbers. */
static void to_mean(cvs_explanation *out) {
    double n = (double)CVI_MAX(out->n_votes, 1);
    for (int64_t i = 0, count = cvs_tensor_count(&out->map); i < count; i++) {
        ((float *)out->map.data)[i] = (float)((double)((float *)out->map.data)[i] / n);
    }
    for (int k = 0; k < out->n_votes; k++) {
        out->votes[k].value /= n;
    }
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    if (q->compat == CVI_CAPTUM) {
        q->sign = CVI_SIGN_ALWAYS; /* it rectifies only when asked to */
    }
    if (q->compat == CVI_DLWP) {
        CVI_TRY(cvi_cam_run(q, cvi_cam_mean_gradient, out));
        to_mean(out);
        return CVS_OK;
    }
    return cvi_cam_run(q, cvi_cam_mean_gradient, out);
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
    .family = CVI_FAMILY_CAM,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_SIGNED ", " CVI_FLAG_VOTES,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .compat = CVI_CAPTUM | CVI_PYTORCH_GRAD_CAM | CVI_TF_KERAS_VIS | CVI_DLWP,
    .run = run,
};
