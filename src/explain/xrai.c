/* SPDX-License-Identifier: MIT
 * xrai.c - XRAI (Kapishnikov et al. 2019) with PAIR saliency's settings: integrated gradients from an all-dark and an all-bright picture
 * (the picture's own smallest and largest number), their mean, the largest over the channels; then regions of the picture ranked by the
 * mean of that in what they add.
 */
#include <math.h>

#include "explain/again.h"
#include "explain/regions.h"

enum { STEPS = 100 };

typedef struct areas {
    cvi_again again;
    float *baseline;
    double *sum, *weight; /* [pixels]: attributions; [H*W]: the largest over the channels */
    double *alpha, *part; /* [steps] */
    double error, way;    /* completeness of both paths */
} areas;

static cvs_status score_at(areas *r, const float *picture, double *score) {
    cvi_again *a = &r->again;
    for (int64_t b = 0; b < a->batch; b++) {
        memcpy(cvi_again_place(a, b), picture, (size_t)a->pixels * sizeof *picture);
    }
    return cvi_again_scores(a, 1, 0.0, score);
}

/* Adds share * (x - b) * the mean gradient on the way from the baseline. */
static cvs_status walk(areas *r, int64_t steps, double share, double done) {
    cvi_again *a = &r->again;
    const float *x = a->picture.data;
    double start, end, score, all = 0.0;
    CVI_TRY(score_at(r, r->baseline, &start));
    CVI_TRY(score_at(r, x, &end));
    for (int64_t k = 0; k < steps; k++) {
        cvs_tensor g;
        for (int64_t i = 0; i < a->pixels; i++) {
            double from = (double)r->baseline[i], to = from + r->alpha[k] * ((double)x[i] - from);
            for (int64_t b = 0; b < a->batch; b++) {
                cvi_again_place(a, b)[i] = (float)to;
            }
        }
        CVI_TRY(cvi_again_scores(a, 1, done + share * (double)k / (double)steps, &score));
        CVI_TRY(cvi_again_gradient(a, &g));
        for (int64_t i = 0; i < a->pixels; i++) {
            double one = r->part[k] * ((double)x[i] - (double)r->baseline[i]) * cvi_get(&g, i);
            r->sum[i] += share * one;
            all += one;
        }
    }
    r->error += share * (all - (end - start));
    r->way += share * (end - start);
    return CVS_OK;
}

/* Both paths, or the one from the baseline asked for. */
static cvs_status attribute(areas *r, int64_t steps) {
    cvi_again *a = &r->again;
    const float *x = a->picture.data;
    if (a->q->options->baseline) {
        CVI_TRY(cvi_baseline(a, a->q->options->baseline, &r->baseline));
        return walk(r, steps, 1.0, 0.0);
    }
    float low = HUGE_VALF, high = -HUGE_VALF;
    for (int64_t i = 0; i < a->pixels; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    r->baseline = cvi_calloc((size_t)a->pixels, sizeof *r->baseline);
    if (!r->baseline) {
        return cvi_no_memory(a->q->err, (size_t)a->pixels * sizeof *r->baseline);
    }
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < a->pixels; i++) {
            r->baseline[i] = side ? high : low;
        }
        CVI_TRY(walk(r, steps, 0.5, 0.5 * side));
    }
    return CVS_OK;
}

static cvs_status settle(areas *r, cvs_explanation *out) {
    cvi_again *a = &r->again;
    cvi_question *q = a->q;
    const cvs_tensor *p = &a->picture;
    int rule;
    const char *name;
    int64_t steps, area, regions = 0, dim[4] = {1, 1, p->dim[2], p->dim[3]};
    CVI_TRY(cvi_again_picture(a));
    CVI_TRY(cvi_path_rule_find(q, &rule, &name));
    CVI_TRY(cvi_option_steps(q, STEPS, &steps));
    area = p->dim[2] * p->dim[3];
    r->sum = cvi_calloc((size_t)(a->pixels + area + 2 * steps), sizeof *r->sum);
    if (!r->sum) {
        return cvi_no_memory(q->err, (size_t)(a->pixels + area) * sizeof *r->sum);
    }
    r->weight = r->sum + a->pixels;
    r->alpha = r->weight + area;
    r->part = r->alpha + steps;
    CVI_TRY(cvi_path_rule(q, rule, steps, r->alpha, r->part));
    CVI_TRY(attribute(r, steps));
    for (int64_t i = 0; i < area; i++) {
        r->weight[i] = r->sum[i];
        for (int64_t c = 1; c < p->dim[1]; c++) {
            r->weight[i] = fmax(r->weight[i], r->sum[c * area + i]);
        }
    }
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, dim, q->err));
    CVI_TRY(cvi_regions_rank(p, true, r->weight, out->map.data, &regions, q->err));
    char base[160];
    snprintf(base, sizeof base, "%s", cvi_tr(q->options->lang, "all dark and all bright"));
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang,
                    "%lld regions, integrated gradients from baseline %.120s, %s rule, %lld steps"),
             (long long)regions, q->options->baseline ? cvi_baseline_words(a, base, sizeof base) : base, name,
             (long long)steps);
    cvi_complete(out, r->way + r->error, r->way);
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    areas r = {0};
    cvs_status s = cvi_again_new(q, &r.again);
    if (s == CVS_OK) {
        s = settle(&r, out);
    }
    cvi_again_free(&r.again);
    cvi_free(r.baseline);
    cvi_free(r.sum);
    return s;
}

const cvi_method cvi_method_xrai = {
    .name = "xrai",
    .title_en = "XRAI",
    .title_zh = "XRAI 区域归因",
    .sentence_en =
        "Regions of the picture, ranked by what integrated gradients give to their pixels on average.",
    .sentence_zh = "把图片切成区域，按积分梯度给其中像素的平均值排序。",
    .caveat_en =
        "The borders are those of colours in the picture, not the network's; every pixel of a region "
        "shares one value.",
    .caveat_zh = "区域边界来自图片的颜色，而非网络；同一区域的所有像素共用一个值。",
    .source = "Kapishnikov, Bolukbasi, Viégas and Terry 2019, arXiv:1906.02825; settings of PAIR saliency",
    .family = CVI_FAMILY_GRADIENT,
    .flags = CVI_FLAG_RULE ", " CVI_FLAG_STEPS ", " CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_LAYER,
    .sign = CVI_SIGN_ALWAYS,
    .run = run,
};
