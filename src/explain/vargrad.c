/* SPDX-License-Identifier: MIT
 * vargrad.c - VarGrad (Adebayo et al. 2018): the variance of the gradient over noisy copies, divided by their number.
 */
#include "explain/noise.h"

static double combine(double mean, double variance) {
    (void)mean;
    return variance;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_noise_run(q, combine, out);
}

const cvi_method cvi_method_vargrad = {
    .name = "vargrad",
    .title_en = "VarGrad",
    .title_zh = "VarGrad",
    .sentence_en = "How much the gradient varies over noisy copies: where the network bends.",
    .sentence_zh = "梯度在加噪副本间的变化程度：网络在何处弯折。",
    .caveat_en = "It has no sign, and a pixel with a large steady gradient gets nothing.",
    .caveat_zh = "没有正负号，且梯度大而稳定的像素得不到任何值。",
    .source = "Adebayo, Gilmer, Goodfellow and Kim 2018, arXiv:1810.03307",
    .family = CVI_FAMILY_GRADIENT,
    .flags = CVI_FLAG_SAMPLES ", " CVI_FLAG_NOISE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_PIXELS,
    .sign = CVI_SIGN_NEVER,
    .compat = CVI_CAPTUM,
    .run = run,
};
