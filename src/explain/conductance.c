/* SPDX-License-Identifier: MIT
 * conductance.c - layer conductance (Dhamdhere et al. 2018) as Captum computes it: while the picture goes straight from a baseline to
 * what it is, the sum over steps of the target's gradient at a layer times how much the layer changes in that step. gauss, the
 * default, takes Captum's points (which leave out the ends); trapezoid takes even steps, both ends and the mean of two gradients.
 */
#include "explain/again.h"

enum { STEPS = 50 };

typedef struct flow {
    cvi_again *again;
    float *baseline;
    double *parts, *value, *slope; /* [K*h*w]: the sum, and the layer and its gradient at the point before */
    double *alpha, *weight;
    int64_t count;
} flow;

static void add(flow *f, const cvs_tensor *value, const cvs_tensor *slope, bool first, bool both) {
    for (int64_t i = 0; i < f->count; i++) {
        double h = cvi_get(value, i), g = cvi_get(slope, i);
        if (!first) {
            f->parts[i] += (both ? (f->slope[i] + g) / 2.0 : f->slope[i]) * (h - f->value[i]);
        }
        f->value[i] = h;
        f->slope[i] = g;
    }
}

static cvs_status walk(flow *f, int64_t points, bool both) {
    cvi_again *a = f->again;
    const float *x = a->picture.data;
    for (int64_t k = 0; k < points; k++) {
        double score;
        cvs_tensor value, slope;
        for (int64_t i = 0; i < a->pixels; i++) {
            double from = (double)f->baseline[i], now = from + f->alpha[k] * ((double)x[i] - from);
            for (int64_t b = 0; b < a->batch; b++) {
                cvi_again_place(a, b)[i] = (float)now;
            }
        }
        CVI_TRY(cvi_again_scores(a, 1, (double)k / (double)points, &score));
        CVI_TRY(cvi_again_gradient_at(a, a->q->layer_value, &slope));
        CVI_TRY(cvi_exec_value(a->exec, a->q->layer_value, &value, a->q->err));
        add(f, &value, &slope, k == 0, both);
    }
    return CVS_OK;
}

/* f(x), then f(b): what the parts should add up to. */
static cvs_status ends(flow *f, double *way) {
    cvi_again *a = f->again;
    double start;
    CVI_TRY(cvi_again_scores(a, 1, 0.0, way));
    for (int64_t b = 0; b < a->batch; b++) {
        memcpy(cvi_again_place(a, b), f->baseline, (size_t)a->pixels * sizeof *f->baseline);
    }
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &start));
    *way -= start;
    return CVS_OK;
}

static cvs_status sum_up(cvi_again *a, cvs_explanation *out) {
    flow own = {.again = a}, *f = &own;
    cvi_question *q = a->q;
    const char *name = q->options->rule ? q->options->rule : "gauss";
    bool both = strcmp(name, "trapezoid") == 0;
    int64_t steps;
    char base[160];
    double way, all = 0.0;
    cvs_tensor maps;
    if (!both && strcmp(name, "gauss") != 0) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "the rule is \"%.40s\", gauss or trapezoid expected", name);
    }
    CVI_TRY(cvi_question_layer(q, &maps));
    CVI_TRY(cvi_option_steps(q, STEPS, &steps));
    CVI_TRY(cvi_baseline(a, q->options->baseline, &f->baseline));
    a->own[a->n_own++] = f->baseline;
    int64_t points = steps + 1;
    f->count = cvs_tensor_count(&maps);
    f->parts = cvi_again_room(a, 3 * f->count + 2 * points, sizeof *f->parts);
    if (!f->parts) {
        return CVS_E_MEMORY;
    }
    f->value = f->parts + f->count;
    f->slope = f->value + f->count;
    f->alpha = f->slope + f->count;
    f->weight = f->alpha + points;
    CVI_TRY(cvi_path_rule(q, both ? 4 : 0, points, f->alpha, f->weight));
    CVI_TRY(ends(f, &way));
    CVI_TRY(walk(f, points, both));
    for (int64_t i = 0; i < f->count; i++) {
        all += f->parts[i];
    }
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang, "baseline %.120s, %s points, %lld steps"),
             cvi_baseline_words(a, base, sizeof base), name, (long long)steps);
    cvi_complete(out, all, way);
    return cvi_cam_finish(q, f->parts, NULL, maps.dim[1], maps.dim[2], maps.dim[3], out);
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    return cvi_again_with(q, cvi_again_new, sum_up, out);
}

const cvi_method cvi_method_conductance = {
    .name = "conductance",
    .title_en = "Layer conductance",
    .title_zh = "层传导（conductance）",
    .sentence_en = "How much of the target flows through every place of a layer while the picture comes out "
                   "of a baseline; all feature maps added up.",
    .sentence_zh = "图片从基线渐变而来的过程中，目标有多少流经某一层的每个位置；各特征图相加。",
    .caveat_en = "It depends on the baseline; what flows around the layer, over a skip, is not in it.",
    .caveat_zh = "结果取决于基线；绕过该层（经跳跃连接）的部分不计入。",
    .source = "Dhamdhere, Sundararajan and Yan 2018, arXiv:1805.12233; arithmetic of Captum",
    .family = CVI_FAMILY_INTERNAL,
    .flags = CVI_FLAG_LAYER ", "
                            "--rule gauss|trapezoid"
                            ", " CVI_FLAG_STEPS ", " CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_LAYER,
    .needs_layer = true,
    .sign = CVI_SIGN_ALWAYS,
    .compat = CVI_CAPTUM,
    .run = run,
};
