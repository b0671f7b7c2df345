/* SPDX-License-Identifier: MIT
 * deconvnet.c - deconvolutional network (Zeiler and Fergus 2014) from the target down: seed 1, switches of the maxima, the signal
 * rectified at every rectifier whatever its input was, transposed filters, no bias.
 */
#include "explain/method.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvs_tensor g;
    CVI_TRY(cvi_question_gradient(q, CVI_DECONVNET, q->input_value, &g));
    return cvs_tensor_convert(&g, CVS_F32, &out->map, q->err);
}

const cvi_method cvi_method_deconvnet = {
    .name = "deconvnet",
    .title_en = "Deconvnet",
    .title_zh = "反卷积网络",
    .sentence_en =
        "The target projected down to the pixels through switches, rectified signals and transposed filters.",
    .sentence_zh = "通过开关、整流后的信号与转置滤波器，把目标投影回像素。",
    .caveat_en =
        "It rebuilds part of the picture and depends little on the class (Nie, Zhang and Patel 2018).",
    .caveat_zh = "它会部分重建图片，且与类别关系不大（Nie、Zhang 与 Patel，2018）。",
    .source = "Zeiler and Fergus 2014, arXiv:1311.2901",
    .family = CVI_FAMILY_BACKWARD,
    .flags = "",
    .kind = CVS_MAP_PIXELS,
    .slope = true,
    .compat = CVI_CAPTUM,
    .run = run,
};
