/* SPDX-License-Identifier: MIT
 * layer_ig.c - layer integrated gradients as Captum computes them: integrated gradients with a layer's output as the variable, on the
 * straight way from what it is for the baseline to what it is for the picture. Only what follows the layer runs at each step. The
 * parts add up to f(x) - f(x with the baseline's output there).
 */
#include <math.h>

#include "explain/again.h"

enum { STEPS = 50 };

typedef struct inner {
    cvi_again *again;
    float *from, *to; /* [K*h*w] of the layer */
    float *between;   /* [batch*K*h*w] */
    double *parts, *alpha, *weight;
    int64_t count;   /* K*h*w */
    cvs_tensor slot; /* the layer's value in the exec */
} inner;

/* The layer's numbers for a picture put into every place; what the target is then. */
static cvs_status output_of(inner *n, const float *picture, float *out, double *score) {
    cvi_again *a = n->again;
    for (int64_t b = 0; b < a->batch; b++) {
        memcpy(cvi_again_place(a, b), picture, (size_t)a->pixels * sizeof *picture);
    }
    CVI_TRY(cvi_again_scores(a, 1, 0.0, score));
    CVI_TRY(cvi_exec_value(a->exec, a->q->layer_value, &n->slot, a->q->err));
    memcpy(out, n->slot.data, (size_t)n->count * sizeof *out);
    return CVS_OK;
}

/* Runs what follows the layer with from + alpha (to - from) there, in all places. */
static cvs_status put(inner *n, double alpha) {
    int64_t all = cvs_tensor_count(&n->slot);
    for (int64_t i = 0; i < all; i++) {
        double from = (double)n->from[i % n->count];
        n->between[i] = (float)(from + alpha * ((double)n->to[i % n->count] - from));
    }
    n->slot.data = n->between;
    return cvi_exec_forward_from(n->again->exec, n->again->q->layer_value, &n->slot, n->again->q->err);
}

static cvs_status walk(inner *n, int64_t steps) {
    cvi_again *a = n->again;
    for (int64_t k = 0; k < steps; k++) {
        cvs_tensor g;
        CVI_TRY(cvi_again_tell(a, (double)k / (double)steps));
        CVI_TRY(put(n, n->alpha[k]));
        CVI_TRY(cvi_again_gradient_at(a, a->q->layer_value, &g));
        for (int64_t i = 0; i < n->count; i++) {
            n->parts[i] += n->weight[k] * cvi_get(&g, i) * ((double)n->to[i] - (double)n->from[i]);
        }
    }
    return CVS_OK;
}

static cvs_status prepare(inner *n, int64_t steps, double *end) {
    cvi_again *a = n->again;
    cvs_error *err = a->q->err;
    float *black = NULL;
    double score;
    CVI_TRY(cvi_exec_value(a->exec, a->q->layer_value, &n->slot, err)); /* its shape */
    int64_t all = cvs_tensor_count(&n->slot);
    n->from = cvi_again_room(a, all, 3 * sizeof *n->from);
    n->parts = n->from ? cvi_again_room(a, n->count + 2 * steps, sizeof *n->parts) : NULL;
    if (!n->parts) {
        return CVS_E_MEMORY;
    }
    n->to = n->from + all;
    n->between = n->to + all;
    n->alpha = n->parts + n->count;
    n->weight = n->alpha + steps;
    cvs_status s = cvi_baseline(a, a->q->options->baseline, &black);
    if (s == CVS_OK) {
        s = output_of(n, black, n->from, &score);
    }
    cvi_free(black);
    return s == CVS_OK ? output_of(n, a->picture.data, n->to, end) : s;
}

static cvs_status integrate(cvi_again *a, cvs_explanation *out) {
    inner own = {.again = a}, *n = &own;
    cvi_question *q = a->q;
    int rule;
    const char *name;
    int64_t steps;
    char base[160];
    double start, end, all = 0.0;
    cvs_tensor maps;
    CVI_TRY(cvi_question_layer(q, &maps));
    CVI_TRY(cvi_path_rule_find(q, &rule, &name));
    CVI_TRY(cvi_option_steps(q, STEPS, &steps));
    n->count = cvs_tensor_count(&maps);
    CVI_TRY(prepare(n, steps, &end));
    CVI_TRY(cvi_path_rule(q, rule, steps, n->alpha, n->weight));
    CVI_TRY(put(n, 0.0));
    CVI_TRY(cvi_question_score(q, a->exec, 0, &start, NULL));
    CVI_TRY(walk(n, steps));
    for (int64_t i = 0; i < n->count; i++) {
        all += n->parts[i];
    }
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang, "baseline %.120s (there %.4g), %s rule, %lld steps"),
             cvi_baseline_words(a, base, sizeof base), start, name, (long long)steps);
    cvi_complete(out, all, end - start);
    return cvi_cam_finish(q, n->parts, NULL, maps.dim[1], maps.dim[2], maps.dim[3], out);
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_again_with(q, cvi_again_new, integrate, out);
}

const cvi_method cvi_method_layer_ig = {
    .name = "layer-integrated-gradients",
    .title_en = "Layer integrated gradients",
    .title_zh = "层积分梯度",
    .sentence_en = "What every place of a layer's feature maps gives to the target, on the way from their "
                   "values for a baseline; all feature maps added up.",
    .sentence_zh = "从基线时的取值走到当前取值，某一层特征图的每个位置为目标贡献多少；各特征图相加。",
    .caveat_en = "It depends on the baseline, and on the way between is what the layer may never output.",
    .caveat_zh = "结果取决于基线，且途中的取值可能是该层永远不会输出的。",
    .source = "Sundararajan, Taly and Yan 2017, arXiv:1703.01365; arithmetic of Captum",
    .family = CVI_FAMILY_INTERNAL,
    .flags = CVI_FLAG_LAYER ", " CVI_FLAG_RULE ", " CVI_FLAG_STEPS ", " CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .sign = CVI_SIGN_ALWAYS,
    .compat = CVI_CAPTUM,
    .run = run,
};
