/* SPDX-License-Identifier: MIT
 * smoothgrad.c - SmoothGrad (Smilkov et al. 2017): the mean gradient of noisy copies of the picture, signed.
 */
#include "explain/noise.h"

static double combine(double mean, double variance) {
    (void)variance;
    return mean;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_noise_run(q, combine, out);
}

const cvi_method cvi_method_smoothgrad = {
    .name = "smoothgrad",
    .title_en = "SmoothGrad",
    .title_zh = "SmoothGrad",
    .sentence_en =
        "The gradient averaged over noisy copies of the picture: what stays when the noise is averaged away.",
    .sentence_zh = "对加噪副本的梯度取平均：噪声平均之后保留下来的部分。",
    .caveat_en = "It explains a blurred version of the network: more noise, smoother map, another question.",
    .caveat_zh = "它解释的是网络的平滑版本：噪声越大，图越平滑，问题也就不同了。",
    .source = "Smilkov, Thorat, Kim, Viégas and Wattenberg 2017, arXiv:1706.03825",
    .family = CVI_FAMILY_GRADIENT,
    .flags = CVI_FLAG_SAMPLES ", " CVI_FLAG_NOISE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_PIXELS,
    .slope = true,
    .compat = CVI_CAPTUM | CVI_TF_KERAS_VIS,
    .run = run,
};
