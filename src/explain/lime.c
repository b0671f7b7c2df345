/* SPDX-License-Identifier: MIT
 * lime.c - LIME (Ribeiro et al. 2016): a linear model of the target over pieces of the picture that are there or not, each with
 * probability 1/2, by least squares; samples count exp(-d^2 / (2 * 0.25^2)), d the cosine distance from all pieces. Weights, kernel
 * and replacement (a piece's own mean colour) are those of the authors' program, without its ridge, so that a linear target is met.
 */
#include <math.h>

#include "explain/pieces.h"

enum { SAMPLES = 1000, PURPOSE = 0x6c696d65 /* "lime" */ };

typedef struct lime {
    cvi_pieces pieces;
    uint8_t *on; /* [samples, n]; the first sees all */
    double *score, *weight, *system, *answer;
    int64_t samples;
} lime;

/* Rows of pieces, and how much each counts. */
static void draw(lime *l) {
    int64_t n = l->pieces.n;
    uint64_t seed = l->pieces.again.q->options->seed;
    for (int64_t k = 0; k < l->samples; k++) {
        double seen = 0.0;
        for (int64_t j = 0; j < n; j++) {
            bool on = k == 0 || cvi_random_uniform(seed, PURPOSE, (uint64_t)(k * n + j)) < 0.5;
            l->on[k * n + j] = on;
            seen += on;
        }
        double distance = 1.0 - sqrt(seen / (double)n);
        l->weight[k] = exp(-distance * distance / (2.0 * 0.25 * 0.25));
    }
}

/* Weighted least squares with a constant: answer [n + 1]. Returns the weighted share of the variance that the model explains. */
static double fit(lime *l) {
    int64_t n = l->pieces.n, m = n + 1;
    for (int64_t k = 0; k < l->samples; k++) {
        for (int64_t i = 0; i < m; i++) {
            double zi = i == n ? 1.0 : (double)l->on[k * n + i];
            for (int64_t j = 0; j <= i && zi != 0.0; j++) {
                l->system[i * m + j] += l->weight[k] * zi * (j == n ? 1.0 : (double)l->on[k * n + j]);
            }
            l->answer[i] += l->weight[k] * zi * l->score[k];
        }
    }
    double all = l->system[n * m + n], mean = l->answer[n] / all, off = 0.0, spread = 0.0;
    cvi_solve(l->system, l->answer, m);
    for (int64_t k = 0; k < l->samples; k++) {
        double said = l->answer[n];
        for (int64_t i = 0; i < n; i++) {
            said += l->on[k * n + i] ? l->answer[i] : 0.0;
        }
        off += l->weight[k] * (said - l->score[k]) * (said - l->score[k]);
        spread += l->weight[k] * (mean - l->score[k]) * (mean - l->score[k]);
    }
    return spread > 0.0 ? 1.0 - off / spread : 1.0;
}

static cvs_status ask(lime *l, cvi_question *q, cvs_explanation *out) {
    char text[120];
    CVI_TRY(cvi_option_samples(q, SAMPLES, &l->samples));
    CVI_TRY(cvi_pieces_new(q, true, text, sizeof text, &l->pieces));
    int64_t n = l->pieces.n, numbers = 2 * l->samples + (n + 1) * (n + 2);
    l->on = cvi_calloc((size_t)l->samples, (size_t)n);
    l->score = cvi_calloc((size_t)numbers, sizeof *l->score);
    if (!l->on || !l->score) {
        return cvi_no_memory(q->err, (size_t)numbers * sizeof *l->score);
    }
    l->weight = l->score + l->samples;
    l->system = l->weight + l->samples;
    l->answer = l->system + (n + 1) * (n + 1);
    draw(l);
    CVI_TRY(cvi_pieces_scores(&l->pieces, l->on, l->samples, l->score));
    double explained = fit(l);
    snprintf(
        q->settings, sizeof q->settings,
        cvi_tr(q->options->lang, "%lld pieces, %lld samples, removed pieces show %s, seed %llu; the linear "
                                 "model explains %.3g %% of the variance"),
        (long long)n, (long long)l->samples, text, (unsigned long long)q->options->seed, 100.0 * explained);
    return cvi_pieces_map(&l->pieces, l->answer, out);
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    lime l = {0};
    cvs_status s = ask(&l, q, out);
    cvi_pieces_free(&l.pieces);
    cvi_free(l.on);
    cvi_free(l.score);
    return s;
}

const cvi_method cvi_method_lime = {
    .name = "lime",
    .title_en = "LIME",
    .title_zh = "LIME",
    .sentence_en = "What every piece of the picture adds to the target, by a linear model of many pictures "
                   "with pieces removed.",
    .sentence_zh = "对许多去掉部分区块的图片拟合线性模型，得到图片的每个区块为目标增加多少。",
    .caveat_en = "Another cut, seed or replacement gives another map; trust it as far as the linear model "
                 "explains the answers.",
    .caveat_zh = "分块、种子或替换方式不同，结果就不同；可信程度以线性模型能解释多少为限。",
    .source = "Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938",
    .family = CVI_FAMILY_PERTURBATION,
    .flags = CVI_FLAG_SAMPLES ", " CVI_FLAG_FILL ", " CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_LAYER,
    .sign = CVI_SIGN_ALWAYS,
    .run = run,
};
