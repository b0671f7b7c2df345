/* SPDX-License-Identifier: MIT
 * lrp_composite.c - one rule per kind of layer: the box rule at the picture, gamma on convolutions, epsilon on dense
 * layers (Montavon et al. 2019).
 */
#include "explain/relevance.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_relevance_map(q, CVI_LRP_COMPOSITE, out);
}

const cvi_method cvi_method_lrp_composite = {
    .name = "lrp-composite",
    .title_en = "LRP composite",
    .title_zh = "LRP 组合规则",
    .sentence_en = "The logit handed back by the rule that suits each layer: box at the picture, "
                   "gamma in convolutions, epsilon in dense layers.",
    .sentence_zh =
        "每层用适合它的规则往回分配 logit：输入层用 box 规则，卷积层用 gamma，全连接层用 epsilon。",
    .caveat_en = "The choice of rules is a habit, not a result: another composite gives another "
                 "picture.",
    .caveat_zh = "规则的选择出于惯例而非推导：换一种组合，图就不同。",
    .source = "Montavon, Binder, Lapuschkin, Samek and Mueller 2019, LNCS 11700",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_EPSILON ", " CVI_FLAG_GAMMA,
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
