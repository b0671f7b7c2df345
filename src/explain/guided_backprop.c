/* SPDX-License-Identifier: MIT
 * guided_backprop.c - guided backpropagation (Springenberg et al. 2015): a rectifier passes a signal back only where its input was
 * positive and the signal is positive.
 */
#include "explain/method.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvs_tensor g;
    CVI_TRY(cvi_question_gradient(q, CVI_GUIDED, q->input_value, &g));
    return cvs_tensor_convert(&g, CVS_F32, &out->map, q->err);
}

const cvi_method cvi_method_guided_backprop = {
    .name = "guided-backprop",
    .title_en = "Guided backpropagation",
    .title_zh = "引导反向传播",
    .sentence_en = "The gradient with every negative signal removed at the rectifiers: the fine detail that "
                   "excites the target.",
    .sentence_zh = "在各整流处去掉负信号后的梯度：激发目标的精细结构。",
    .caveat_en = "It hardly changes when the weights or the class are changed: it shows edges of the picture "
                 "more than reasons (Adebayo et al. 2018).",
    .caveat_zh = "改变权重或类别时它几乎不变：它更多显示图片的边缘，而不是原因（Adebayo 等，2018）。",
    .source = "Springenberg, Dosovitskiy, Brox and Riedmiller 2015, arXiv:1412.6806",
    .family = CVI_FAMILY_BACKWARD,
    .flags = "",
    .kind = CVS_MAP_PIXELS,
    .slope = true,
    .compat = CVI_CAPTUM | CVI_PYTORCH_GRAD_CAM,
    .run = run,
};
