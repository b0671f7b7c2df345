/* SPDX-License-Identifier: MIT
 * gradientshap.c - GradientSHAP (Erion et al. 2019) as Captum computes it: the mean over draws of (x + e - b) times the gradient at
 * b + u (x + e - b), u uniform in 0..1, e normal noise (none unless asked for), b the baseline. Integrated gradients by chance.
 */
#include <math.h>

#include "explain/again.h"

enum { SAMPLES = 50, PLACES = 0x67736861 /* "gsha" */, NOISE = 0x6773686e /* "gshn" */ };

typedef struct shap {
    cvi_again again;
    float *baseline;
    double *sum; /* [pixels] */
    double sigma, start, end;
} shap;

static double noise_at(const shap *s, int64_t sample, int64_t i) {
    uint64_t index = (uint64_t)sample * (uint64_t)s->again.pixels + (uint64_t)i;
    return s->sigma > 0.0 ? s->sigma * cvi_random_normal(s->again.q->options->seed, NOISE, index) : 0.0;
}

static cvs_status draw(shap *s, int64_t samples) {
    cvi_again *a = &s->again;
    const float *x = a->picture.data;
    for (int64_t k = 0; k < samples; k += a->batch) {
        int64_t here = CVI_MIN(a->batch, samples - k);
        double score;
        cvs_tensor g;
        for (int64_t b = 0; b < here; b++) {
            float *place = cvi_again_place(a, b);
            double u = cvi_random_uniform(a->q->options->seed, PLACES, (uint64_t)(k + b));
            for (int64_t i = 0; i < a->pixels; i++) {
                double from = (double)s->baseline[i];
                place[i] = (float)(from + u * ((double)x[i] + noise_at(s, k + b, i) - from));
            }
        }
        CVI_TRY(cvi_again_scores(a, 1, (double)k / (double)samples, &score));
        CVI_TRY(cvi_again_gradient(a, &g));
        for (int64_t b = 0; b < here; b++) {
            const float *slope = (const float *)g.data + b * a->pixels;
            for (int64_t i = 0; i < a->pixels; i++) {
                double way = (double)x[i] + noise_at(s, k + b, i) - (double)s->baseline[i];
                s->sum[i] += way * (double)slope[i];
            }
        }
    }
    return CVS_OK;
}

/* f(x), then f(b): what the map should add up to. */
static cvs_status ends(shap *s) {
    cvi_again *a = &s->again;
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &s->end));
    for (int64_t b = 0; b < a->batch; b++) {
        memcpy(cvi_again_place(a, b), s->baseline, (size_t)a->pixels * sizeof *s->baseline);
    }
    return cvi_again_scores(a, 1, 0.0, &s->start);
}

static double range_of(const cvs_tensor *x) {
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (int64_t i = 0, n = cvs_tensor_count(x); i < n; i++) {
        low = fmin(low, cvi_get(x, i));
        high = fmax(high, cvi_get(x, i));
    }
    return high - low;
}

static cvs_status sample(shap *s, cvs_explanation *out) {
    cvi_again *a = &s->again;
    cvi_question *q = a->q;
    const cvs_explain_options *o = q->options;
    int64_t samples;
    char base[160];
    double all = 0.0;
    CVI_TRY(cvi_option_samples(q, q->compat == CVI_CAPTUM ? 5 : SAMPLES, &samples));
    if (!(o->noise >= 0.0 && o->noise <= 100.0)) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "noise of %g times the picture's range is not possible",
                        o->noise);
    }
    s->sigma = o->noise * (q->compat == CVI_CAPTUM ? 1.0 : range_of(&a->picture)); /* there in its units */
    CVI_TRY(cvi_baseline(a, o->baseline, &s->baseline));
    s->sum = cvi_calloc((size_t)a->pixels, sizeof *s->sum);
    if (!s->sum) {
        return cvi_no_memory(q->err, (size_t)a->pixels * sizeof *s->sum);
    }
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, a->picture.rank, a->picture.dim, q->err));
    CVI_TRY(ends(s));
    CVI_TRY(draw(s, samples));
    float *map = out->map.data;
    for (int64_t i = 0; i < a->pixels; i++) {
        map[i] = (float)(s->sum[i] / (double)samples);
        all += s->sum[i] / (double)samples;
    }
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(o->lang, "baseline %.120s, %lld samples, noise of standard deviation %.4g, seed %llu"),
             cvi_baseline_words(a, base, sizeof base), (long long)samples, s->sigma,
             (unsigned long long)o->seed);
    cvi_complete(out, all, s->end - s->start);
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    shap s = {0};
    cvs_status status = cvi_again_new(q, &s.again);
    if (status == CVS_OK) {
        status = sample(&s, out);
    }
    cvi_again_free(&s.again);
    cvi_free(s.baseline);
    cvi_free(s.sum);
    return status;
}

const cvi_method cvi_method_gradientshap = {
    .name = "gradientshap",
    .title_en = "GradientSHAP",
    .title_zh = "GradientSHAP",
    .sentence_en = "What every pixel gives to the target, from gradients at random places between a baseline "
                   "and the picture.",
    .sentence_zh = "在基线与图片之间随机取点求梯度，得到每个像素对目标的贡献。",
    .caveat_en = "It depends on the baseline, and on chance: with few samples the parts do not add up.",
    .caveat_zh = "结果取决于基线，也取决于随机性：样本较少时各部分之和并不等于差值。",
    .source = "Erion, Janizek, Sturmfels, Lundberg and Lee 2019, arXiv:1906.10670; arithmetic of Captum",
    .family = CVI_FAMILY_GRADIENT,
    .flags = CVI_FLAG_SAMPLES ", " CVI_FLAG_NOISE ", " CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_PIXELS,
    .compat = CVI_CAPTUM,
    .run = run,
};
