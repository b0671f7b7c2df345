/* SPDX-License-Identifier: MIT
 * deep_taylor.c - deep Taylor decomposition (Montavon et al. 2017): z+ in every layer, the box rule at the picture.
 */
#include "explain/relevance.h"

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_relevance_map(q, CVI_DEEP_TAYLOR, out);
}

const cvi_method cvi_method_deep_taylor = {
    .name = "deep-taylor",
    .title_en = "Deep Taylor",
    .title_zh = "深度泰勒分解",
    .sentence_en = "The logit taken apart by one Taylor step per layer: what in each pixel made it "
                   "positive.",
    .sentence_zh = "逐层作一次泰勒分解，把 logit 拆到像素：每个像素如何使它为正。",
    .caveat_en = "It knows evidence for, none against, and it hardly depends on the last layers "
                 "(Sixt et al. 2020).",
    .caveat_zh = "它只显示支持的证据，不显示反对的；并且几乎不依赖最后几层（Sixt 等，2020）。",
    .source = "Montavon, Lapuschkin, Binder, Samek and Mueller 2017, Pattern Recognition 65",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_EPSILON,
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
