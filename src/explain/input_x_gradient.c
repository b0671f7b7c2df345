/* SPDX-License-Identifier: MIT
 * input_x_gradient.c - input times gradient (Shrikumar et al. 2016): the first-order share of every pixel's value.
 */
#include "explain/method.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvs_tensor g, x;
    CVI_TRY(cvi_question_gradient(q, CVI_GRADIENT, q->input_value, &g));
    CVI_TRY(cvs_tensor_convert(&g, CVS_F32, &out->map, q->err));
    CVI_TRY(cvi_question_value(q, q->input_value, &x));
    float *map = out->map.data;
    for (int64_t i = 0, n = cvs_tensor_count(&x); i < n; i++) {
        map[i] = (float)(cvi_get(&x, i) * cvi_get(&g, i));
    }
    return CVS_OK;
}

const cvi_method cvi_method_input_x_gradient = {
    .name = "input-x-gradient",
    .title_en = "Input x gradient",
    .title_zh = "输入乘梯度",
    .sentence_en = "What every pixel's own value gives to the target, to first order.",
    .sentence_zh = "按一阶近似，每个像素自身的值为目标贡献多少。",
    .caveat_en = "What is zero in the network's input gets nothing, however much it matters; only without "
                 "biases do the parts add up to the logit.",
    .caveat_zh = "网络输入中为零的部分无论多重要都得不到贡献；只有没有偏置时各部分之和才等于 logit。",
    .source = "Shrikumar, Greenside, Shcherbina and Kundaje 2016, arXiv:1605.01713",
    .family = CVI_FAMILY_GRADIENT,
    .flags = "",
    .kind = CVS_MAP_PIXELS,
    .compat = CVI_CAPTUM,
    .run = run,
};
