/* SPDX-License-Identifier: MIT
 * lrp_alphabeta.c - the alpha-beta rule on convolutions (2 and 1 unless said), the epsilon rule on dense layers (Bach et
 * al. 2015).
 */
#include "explain/relevance.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_relevance_map(q, CVI_LRP_ALPHABETA, out);
}

const cvi_method cvi_method_lrp_alphabeta = {
    .name = "lrp-alphabeta",
    .title_en = "LRP alpha-beta",
    .title_zh = "LRP alpha-beta",
    .sentence_en = "Positive and negative contributions of convolutions handed back apart, alpha "
                   "times and beta times.",
    .sentence_zh = "卷积层的正负贡献分开往回分配，分别乘以 alpha 和 beta。",
    .caveat_en = "Amounts grow from layer to layer where both signs cancel; like LRP z+ it depends"
                 " little on the last layers.",
    .caveat_zh = "正负相抵之处，数值会逐层增大；与 LRP z+ 一样，它很少依赖最后几层。",
    .source = "Bach, Binder, Montavon, Klauschen, Mueller and Samek 2015, PLOS ONE 10(7)",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_EPSILON ", "
                              "--alpha A",
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
