/* SPDX-License-Identifier: MIT
 * lrp_epsilon.c - the epsilon rule of layer-wise relevance propagation (Bach et al. 2015): every layer gives each input
 * its share x w of the sum.
 */
#include "explain/relevance.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_relevance_map(q, CVI_LRP_EPSILON, out);
}

const cvi_method cvi_method_lrp_epsilon = {
    .name = "lrp-epsilon",
    .title_en = "LRP epsilon",
    .title_zh = "LRP epsilon",
    .sentence_en = "The logit handed back layer by layer: each value gets its share of the sum that "
                   "it was part of.",
    .sentence_zh = "把 logit 逐层往回分配：每个值按它在求和中的份额得到相关性。",
    .caveat_en = "With a small epsilon and no biases it is input times gradient, and as noisy; "
                 "biases keep their share.",
    .caveat_zh = "epsilon 很小且没有偏置时它就是输入乘梯度，同样带噪声；偏置保留自己的份额。",
    .source = "Bach, Binder, Montavon, Klauschen, Mueller and Samek 2015, PLOS ONE 10(7)",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_EPSILON,
    .kind = CVS_MAP_PIXELS,
    .compat = CVI_CAPTUM,
    .run = run,
};
