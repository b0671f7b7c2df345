/* SPDX-License-Identifier: MIT
 * smoothgrad_squared.c - SmoothGrad squared (Hooker et al. 2019): the mean square of the gradient over noisy copies.
 */
#include "explain/noise.h"

static double combine(double mean, double variance) {
    return variance + mean * mean;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_noise_run(q, combine, out);
}

const cvi_method cvi_method_smoothgrad_squared = {
    .name = "smoothgrad-squared",
    .title_en = "SmoothGrad squared",
    .title_zh = "SmoothGrad 平方",
    .sentence_en =
        "The mean square of the gradient over noisy copies: where the target is sensitive, whichever way.",
    .sentence_zh = "加噪副本梯度平方的均值：目标在何处敏感，不论方向。",
    .caveat_en = "It has no sign: it cannot tell what speaks for the target from what speaks against.",
    .caveat_zh = "没有正负号：无法区分支持与反对目标的部分。",
    .source = "Hooker, Erhan, Kindermans and Kim 2019, arXiv:1806.10758",
    .family = CVI_FAMILY_GRADIENT,
    .flags = CVI_FLAG_SAMPLES ", " CVI_FLAG_NOISE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_PIXELS,
    .sign = CVI_SIGN_NEVER,
    .compat = CVI_CAPTUM,
    .run = run,
};
