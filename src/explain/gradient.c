/* SPDX-License-Identifier: MIT
 * gradient.c - d target / d pixel (Simonyan, Vedaldi and Zisserman 2014), raw and signed.
 */
#include "explain/method.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvs_tensor g;
    CVI_TRY(cvi_question_gradient(q, CVI_GRADIENT, q->input_value, &g));
    CVI_TRY(cvs_tensor_convert(&g, CVS_F32, &out->map, q->err));
    if (q->compat != CVI_OWN) { /* Captum and tf-keras-vis call the absolute values saliency */
        q->sign = CVI_SIGN_NEVER;
        for (int64_t i = 0, n = cvs_tensor_count(&out->map); i < n; i++) {
            float *v = (float *)out->map.data + i;
            *v = *v < 0.0f ? -*v : *v;
        }
    }
    return CVS_OK;
}

const cvi_method cvi_method_gradient = {
    .name = "gradient",
    .title_en = "Gradient",
    .title_zh = "梯度",
    .sentence_en = "How much the target changes when a pixel changes a little.",
    .sentence_zh = "某个像素略有变化时，目标随之变化多少。",
    .caveat_en = "It is local: it says what a small change would do, not what the pixel did.",
    .caveat_zh = "它是局部的：说明微小变化会带来什么，而不是该像素起了什么作用。",
    .source = "Simonyan, Vedaldi and Zisserman 2014, arXiv:1312.6034",
    .family = CVI_FAMILY_GRADIENT,
    .flags = "",
    .kind = CVS_MAP_PIXELS,
    .slope = true,
    .compat = CVI_CAPTUM | CVI_TF_KERAS_VIS,
    .run = run,
};
