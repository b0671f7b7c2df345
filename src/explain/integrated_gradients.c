/* SPDX-License-Identifier: MIT
 * integrated_gradients.c - integrated gradients (Sundararajan et al. 2017): (x - b) times the mean gradient on the straight way
 * from a baseline b to the picture x, by a quadrature rule. The parts add up to f(x) - f(b); how far they do not is in the
 * caption, and without a number of steps they double until that is below 1 %.
 */
#include <math.h>

#include "explain/again.h"

enum { FIRST = 16, MOST = 2048, CEILING = 1000000 };

typedef struct path {
    cvi_again again;
    float *baseline;
    double *sum;   /* [pixels] of weighted gradients */
    double *alpha; /* [steps] */
    double *weight;
    double start, end; /* f(b), f(x) */
} path;

/* Abscissas and weights of Gauss and Legendre on [0,1]: roots of P_n by Newton's method from Tricomi's guess. */
static void gauss(int64_t n, double *alpha, double *weight) {
    const double pi = 3.14159265358979323846;
    for (int64_t i = 0; i < n; i++) {
        double x = cos(pi * ((double)i + 0.75) / ((double)n + 0.5)), slope = 1.0;
        for (int round = 0; round < 100; round++) {
            double p = 1.0, before = 0.0;
            for (int64_t k = 1; k <= n; k++) {
                double next = ((2.0 * (double)k - 1.0) * x * p - ((double)k - 1.0) * before) / (double)k;
                before = p;
                p = next;
            }
            slope = (double)n * (x * p - before) / (x * x - 1.0);
            x -= p / slope;
            if (fabs(p / slope) < 1e-15) {
                break;
            }
        }
        alpha[n - 1 - i] = (1.0 + x) / 2.0;
        weight[n - 1 - i] = 1.0 / ((1.0 - x * x) * slope * slope);
    }
}

static const char *const rules[] = {"gauss", "midpoint", "left", "right", "trapezoid"};

cvs_status cvi_path_rule(const cvi_question *q, int rule, int64_t n, double *alpha, double *weight) {
    if (rule == 0) {
        gauss(n, alpha, weight);
        return CVS_OK;
    }
    if (rule == 4 && n < 2) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "the trapezoid rule needs 2 steps or more");
    }
    double all =
        (double)(q->compat == CVI_CAPTUM ? n : n - 1); /* Captum's trapezoids add up to less than 1 */
    for (int64_t k = 0; k < n; k++) {
        static const double shift[] = {0.0, 0.5, 0.0, 1.0};
        alpha[k] = rule == 4 ? (double)k / (double)(n - 1) : ((double)k + shift[rule]) / (double)n;
        weight[k] = rule != 4 ? 1.0 / (double)n : (k == 0 || k == n - 1 ? 0.5 : 1.0) / all;
    }
    return CVS_OK;
}

cvs_status cvi_path_rule_find(const cvi_question *q, int *rule, const char **name) {
    *name = q->options->rule ? q->options->rule : "gauss";
    *rule = 0;
    while (*rule < CVI_COUNT(rules) && strcmp(rules[*rule], *name) != 0) {
        ++*rule;
    }
    if (*rule == CVI_COUNT(rules)) {
        return cvi_fail(q->err, CVS_E_ARGUMENT,
                        "the rule is \"%.40s\", gauss, midpoint, left, right or trapezoid expected", *name);
    }
    return CVS_OK;
}

static cvs_status walk(path *p, int rule, int64_t steps) {
    cvi_again *a = &p->again;
    const float *x = a->picture.data;
    double scores[1];
    cvi_free(p->alpha);
    p->alpha = cvi_calloc((size_t)steps, 2 * sizeof *p->alpha);
    if (!p->alpha) {
        return cvi_no_memory(a->q->err, (size_t)steps * 2 * sizeof *p->alpha);
    }
    p->weight = p->alpha + steps;
    CVI_TRY(cvi_path_rule(a->q, rule, steps, p->alpha, p->weight));
    memset(p->sum, 0, (size_t)a->pixels * sizeof *p->sum);
    for (int64_t k = 0; k < steps; k += a->batch) {
        int64_t here = CVI_MIN(a->batch, steps - k);
        cvs_tensor g;
        for (int64_t b = 0; b < here; b++) {
            float *place = cvi_again_place(a, b);
            for (int64_t i = 0; i < a->pixels; i++) {
                place[i] = (float)((double)p->baseline[i] +
                                   p->alpha[k + b] * ((double)x[i] - (double)p->baseline[i]));
            }
        }
        CVI_TRY(cvi_again_scores(a, 1, (double)k / (double)steps, scores));
        CVI_TRY(cvi_again_gradient(a, &g));
        for (int64_t b = 0; b < here; b++) {
            const float *slope = (const float *)g.data + b * a->pixels;
            for (int64_t i = 0; i < a->pixels; i++) {
                p->sum[i] += p->weight[k + b] * (double)slope[i];
            }
        }
    }
    return CVS_OK;
}

/* The map from the mean gradient; how far its sum is from f(x) - f(b). */
static double finish(const path *p, float *map) {
    const float *x = p->again.picture.data;
    double all = 0.0;
    for (int64_t i = 0; i < p->again.pixels; i++) {
        double part = ((double)x[i] - (double)p->baseline[i]) * p->sum[i];
        map[i] = (float)part;
        all += part;
    }
    return all - (p->end - p->start);
}

static cvs_status integrate(path *p, int rule, cvs_explanation *out) {
    cvi_again *a = &p->again;
    cvi_question *q = a->q;
    bool given = q->options->steps > 0 || q->compat == CVI_CAPTUM; /* 50 there, whatever the error */
    int64_t steps = q->options->steps > 0 ? q->options->steps : given ? 50 : FIRST;
    CVI_TRY(cvi_baseline(a, q->options->baseline, &p->baseline));
    p->sum = cvi_calloc((size_t)a->pixels, sizeof *p->sum);
    if (!p->sum) {
        return cvi_no_memory(q->err, (size_t)a->pixels * sizeof *p->sum);
    }
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, a->picture.rank, a->picture.dim, q->err));
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &p->end));
    memcpy(cvi_again_place(a, 0), p->baseline, (size_t)a->pixels * sizeof(float));
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &p->start));
    double error, way = p->end - p->start;
    for (;; steps *= 2) {
        CVI_TRY(walk(p, rule, steps));
        error = finish(p, out->map.data);
        if (given || fabs(error) < 0.01 * fabs(way) || 2 * steps > MOST) {
            break;
        }
    }
    char base[160];
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang, "baseline %.120s (there %.4g), %s rule, %lld steps"),
             cvi_baseline_words(a, base, sizeof base), p->start, rules[rule], (long long)steps);
    cvi_complete(out, way + error, way);
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    path p = {0};
    int rule = 0;
    const char *name;
    CVI_TRY(cvi_path_rule_find(q, &rule, &name));
    if (q->options->steps < 0 || q->options->steps > CEILING) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "%lld steps are not possible, 1 to %lld are",
                        (long long)q->options->steps, (long long)CEILING);
    }
    cvs_status s = cvi_again_new(q, &p.again);
    if (s == CVS_OK) {
        s = integrate(&p, rule, out);
    }
    cvi_again_free(&p.again);
    cvi_free(p.baseline);
    cvi_free(p.sum);
    cvi_free(p.alpha);
    return s;
}

const cvi_method cvi_method_integrated_gradients = {
    .name = "integrated-gradients",
    .title_en = "Integrated gradients",
    .title_zh = "积分梯度",
    .sentence_en = "What every pixel gives to the target on the way from a baseline picture to this one; the "
                   "parts add up to the difference.",
    .sentence_zh = "从基线图片走到此图片的途中，每个像素为目标贡献多少；各部分之和等于二者之差。",
    .caveat_en = "It depends on the baseline: a pixel equal to the baseline gets nothing, so with black, "
                 "dark parts cannot count (Sturmfels et al. 2020).",
    .caveat_zh = "结果取决于基线：与基线相同的像素得不到任何值，因此以黑色为基线时，暗处无法计入（Sturmfels "
                 "等，2020）。",
    .source = "Sundararajan, Taly and Yan 2017, arXiv:1703.01365",
    .family = CVI_FAMILY_GRADIENT,
    .flags = CVI_FLAG_RULE ", " CVI_FLAG_STEPS ", " CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_PIXELS,
    .compat = CVI_CAPTUM,
    .run = run,
};
