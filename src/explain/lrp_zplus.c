/* SPDX-License-Identifier: MIT
 * lrp_zplus.c - the z+ rule on convolutions, the epsilon rule on dense layers (Montavon et al. 2017).
 */
#include "explain/relevance.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_relevance_map(q, CVI_LRP_ZPLUS, out);
}

const cvi_method cvi_method_lrp_zplus = {
    .name = "lrp-zplus",
    .title_en = "LRP z+",
    .title_zh = "LRP z+",
    .sentence_en = "The logit handed back through positive contributions only in convolutions, by "
                   "full shares in dense layers.",
    .sentence_zh = "在卷积层只沿正贡献、在全连接层按全部份额，把 logit 往回分配。",
    .caveat_en = "It hardly depends on the layers near the output (Sixt, Granz and Landgraf 2020):"
                 " it shows what is there more than what counts.",
    .caveat_zh =
        "它几乎不依赖靠近输出的层（Sixt、Granz 和 Landgraf，2020）：更多显示图中有什么，而不是什么起作用。",
    .source = "Montavon, Lapuschkin, Binder, Samek and Mueller 2017, Pattern Recognition 65",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_EPSILON,
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
