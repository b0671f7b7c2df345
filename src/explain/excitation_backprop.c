/* SPDX-License-Identifier: MIT
 * excitation_backprop.c - excitation backpropagation (Zhang et al. 2016): a probabilistic winner takes all, along positive
 * weights only.
 */
#include "explain/relevance.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_relevance_map(q, CVI_EXCITATION, out);
}

const cvi_method cvi_method_excitation_backprop = {
    .name = "excitation-backprop",
    .title_en = "Excitation backpropagation",
    .title_zh = "激励反向传播",
    .sentence_en = "How likely a walk from the target back along exciting connections ends at each "
                   "pixel.",
    .sentence_zh = "从目标沿激励连接往回走，最终到达各像素的概率有多大。",
    .caveat_en = "Everything that excites counts, also what other classes use; it depends little "
                 "on the last layers.",
    .caveat_zh = "凡起激励作用的都计入，包括其他类别所用的；它很少依赖最后几层。",
    .source = "Zhang, Lin, Brandt, Shen and Sclaroff 2016, arXiv:1608.00507",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_EPSILON,
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
