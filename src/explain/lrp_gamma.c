/* SPDX-License-Identifier: MIT
 * lrp_gamma.c - the gamma rule on convolutions, for inputs of both signs, the epsilon rule on dense layers (Montavon et
 * al. 2019).
 */
#include "explain/relevance.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_relevance_map(q, CVI_LRP_GAMMA, out);
}

const cvi_method cvi_method_lrp_gamma = {
    .name = "lrp-gamma",
    .title_en = "LRP gamma",
    .title_zh = "LRP gamma",
    .sentence_en = "As LRP epsilon, with positive contributions in convolutions favoured by 1 + "
                   "gamma.",
    .sentence_zh = "与 LRP epsilon 相同，但卷积层中的正贡献按 1 + gamma 加重。",
    .caveat_en = "How smooth the map is depends on gamma: 0 is LRP epsilon, a large one LRP z+.",
    .caveat_zh = "热图的平滑程度取决于 gamma：为 0 时即 LRP epsilon，很大时接近 LRP z+。",
    .source = "Montavon, Binder, Lapuschkin, Samek and Mueller 2019, LNCS 11700",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_EPSILON ", " CVI_FLAG_GAMMA,
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
