/* SPDX-License-Identifier: MIT
 * deeplift.c - DeepLIFT, the rescale rule (Shrikumar et al. 2017): differences from a run on a baseline picture, handed back by the slope
 * between the two runs. Both runs are exact ones, whose sums have one order at every place: over an even baseline all numbers of a window are
 * then exactly equal, and its maximum is the first one, as elsewhere. The parts add up to f(x) - f(b); how far they do not is in the caption.
 */
#include "explain/again.h"

static cvs_status differences(cvi_again *a, cvi_again *b, const float *baseline, cvs_explanation *out) {
    cvi_question *q = a->q;
    cvi_relevance how = {0};
    cvs_tensor m;
    double end, start;
    char base[160];
    for (int64_t i = 0; i < b->batch; i++) {
        memcpy(cvi_again_place(b, i), baseline, (size_t)b->pixels * sizeof *baseline);
    }
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &end));
    CVI_TRY(cvi_again_scores(b, 1, 0.3, &start));
    for (int64_t i = 0; i < a->batch; i++) {
        CVI_TRY(cvi_question_score(q, a->exec, i, &end, &a->seed));
    }
    if (out->probability) { /* multipliers begin at the logits: what they add up to is the logit's difference */
        return cvi_fail(
            q->err, CVS_E_UNSUPPORTED,
            "DeepLIFT explains the logit: leave the output at logit, or use integrated-gradients");
    }
    cvi_exec_relevance(a->exec, &how, b->exec);
    CVI_TRY(
        cvi_exec_backward(a->exec, CVI_DEEPLIFT, &q->target_value, &a->seed, 1, &q->input_value, 1, q->err));
    CVI_TRY(cvi_exec_gradient(a->exec, q->input_value, &m, q->err));
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, a->picture.rank, a->picture.dim, q->err));
    const float *x = a->picture.data;
    float *map = out->map.data;
    double sum = 0;
    for (int64_t i = 0; i < a->pixels; i++) {
        map[i] = (float)(((double)x[i] - (double)baseline[i]) * cvi_get(&m, i));
        sum += (double)map[i];
    }
    snprintf(q->settings, sizeof q->settings, cvi_tr(q->options->lang, "baseline %.120s (there %.4g)"),
             cvi_baseline_words(a, base, sizeof base), start);
    cvi_complete(out, sum, end - start);
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    cvi_again a = {0}, b = {0};
    float *baseline = NULL;
    cvs_status s = cvi_again_exact(q, &a);
    s = s == CVS_OK ? cvi_again_exact(q, &b) : s;
    s = s == CVS_OK ? cvi_baseline(&a, q->options->baseline, &baseline) : s;
    s = s == CVS_OK ? differences(&a, &b, baseline, out) : s;
    cvi_again_free(&a);
    cvi_again_free(&b);
    cvi_free(baseline);
    return s;
}

const cvi_method cvi_method_deeplift = {
    .name = "deeplift",
    .title_en = "DeepLIFT (rescale)",
    .title_zh = "DeepLIFT（rescale 规则）",
    .sentence_en =
        "What every pixel's difference from a baseline picture gives to the target's difference, through the "
        "slopes between both runs.",
    .sentence_zh = "每个像素与基线图片的差异，经两次运行之间的斜率，为目标的差异贡献多少。",
    .caveat_en = "It depends on the baseline: what equals the baseline gets nothing.",
    .caveat_zh = "结果取决于基线：与基线相同的部分得不到任何值。",
    .source = "Shrikumar, Greenside and Kundaje 2017, arXiv:1704.02685",
    .family = CVI_FAMILY_BACKWARD,
    .flags = CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_PIXELS,
    .compat = CVI_CAPTUM,
    .run = run,
};
