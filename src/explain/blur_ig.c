/* SPDX-License-Identifier: MIT
 * blur_ig.c - blur integrated gradients (Xu et al. 2020): the way to the picture is one of less and less blur, from 50 pixels to none,
 * a normal curve cut off at four widths with zeros around the picture. A step's change of the picture counts times the mean of the
 * gradients before and after it; steps are short where the picture changes fast (widths 50 (k/n)^2) and double until the parts add up.
 * With --rule left it is PAIR saliency's sum instead: even widths, the gradient at the sharper end, a difference over 0.01 pixels.
 */
#include <math.h>

#include "explain/again.h"
#include "explain/blur.h"

enum { FIRST = 32, LEFT = 100, MOST = 1024 };
static const double widest = 50.0, apart = 0.01;

typedef struct blurred {
    cvi_again again;
    double *sum, *now, *next, *slope; /* [pixels] */
} blurred;

static void put(blurred *b, const double *picture) {
    for (int64_t k = 0; k < b->again.batch; k++) {
        float *place = cvi_again_place(&b->again, k);
        for (int64_t i = 0; i < b->again.pixels; i++) {
            place[i] = (float)picture[i];
        }
    }
}

/* The gradient of a picture that has been put into every place. */
static cvs_status look(blurred *b, const double *picture, double done, const float **slope) {
    double score;
    cvs_tensor g;
    put(b, picture);
    CVI_TRY(cvi_again_scores(&b->again, 1, done, &score));
    CVI_TRY(cvi_again_gradient(&b->again, &g));
    *slope = g.data;
    return CVS_OK;
}

/* PAIR's sum. */
static cvs_status walk_left(blurred *b, int64_t steps) {
    cvi_again *a = &b->again;
    double step = widest / (double)steps;
    for (int64_t k = 0; k < steps; k++) {
        double width = (double)k * widest / (double)steps;
        const float *slope;
        CVI_TRY(cvi_blur(&a->picture, width, CVI_BEYOND_ZERO, b->now, a->q->err));
        CVI_TRY(cvi_blur(&a->picture, width + apart, CVI_BEYOND_ZERO, b->next, a->q->err));
        CVI_TRY(look(b, b->now, (double)k / (double)steps, &slope));
        for (int64_t i = 0; i < a->pixels; i++) {
            b->sum[i] -= step * (b->next[i] - b->now[i]) / apart * (double)slope[i];
        }
    }
    return CVS_OK;
}

static cvs_status walk(blurred *b, int64_t steps) {
    cvi_again *a = &b->again;
    for (int64_t k = 0; k <= steps; k++) {
        double part = (double)k / (double)steps;
        const float *slope;
        CVI_TRY(cvi_blur(&a->picture, widest * part * part, CVI_BEYOND_ZERO, b->next, a->q->err));
        CVI_TRY(look(b, b->next, part, &slope));
        for (int64_t i = 0; i < a->pixels; i++) {
            if (k > 0) {
                b->sum[i] += (b->now[i] - b->next[i]) * (b->slope[i] + (double)slope[i]) / 2.0;
            }
            b->now[i] = b->next[i];
            b->slope[i] = (double)slope[i];
        }
    }
    return CVS_OK;
}

/* f(x) and f at the widest blur, and room. */
static cvs_status prepare(blurred *b, double *start, double *end) {
    cvi_again *a = &b->again;
    cvs_error *err = a->q->err;
    b->sum = cvi_calloc((size_t)a->pixels, 4 * sizeof *b->sum);
    if (!b->sum) {
        return cvi_no_memory(err, (size_t)a->pixels * 4 * sizeof *b->sum);
    }
    b->now = b->sum + a->pixels;
    b->next = b->now + a->pixels;
    b->slope = b->next + a->pixels;
    CVI_TRY(cvi_again_scores(a, 1, 0.0, end));
    CVI_TRY(cvi_blur(&a->picture, widest, CVI_BEYOND_ZERO, b->now, err));
    put(b, b->now);
    return cvi_again_scores(a, 1, 0.0, start);
}

static cvs_status integrate(blurred *b, cvs_explanation *out) {
    cvi_again *a = &b->again;
    cvi_question *q = a->q;
    const char *name = q->options->rule ? q->options->rule : "trapezoid";
    bool both = strcmp(name, "trapezoid") == 0, given = q->options->steps > 0;
    int64_t steps;
    double start, end, all = 0.0;
    if (!both && strcmp(name, "left") != 0) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "the rule is \"%.40s\", trapezoid or left expected", name);
    }
    CVI_TRY(cvi_again_picture(a));
    CVI_TRY(cvi_option_steps(q, both ? FIRST : LEFT, &steps));
    CVI_TRY(prepare(b, &start, &end));
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, a->picture.dim, q->err));
    for (;; steps *= 2) {
        memset(b->sum, 0, (size_t)a->pixels * sizeof *b->sum);
        CVI_TRY(both ? walk(b, steps) : walk_left(b, steps));
        all = 0.0;
        for (int64_t i = 0; i < a->pixels; i++) {
            all += b->sum[i];
        }
        if (given || !both || fabs(all - (end - start)) < 0.01 * fabs(end - start) || 2 * steps > MOST) {
            break;
        }
    }
    for (int64_t i = 0; i < a->pixels; i++) {
        ((float *)out->map.data)[i] = (float)b->sum[i];
    }
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang, "blur of 0 to %.4g pixels (there %.4g), %s rule, %lld steps"), widest,
             start, name, (long long)steps);
    cvi_complete(out, all, end - start);
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    blurred b = {0};
    cvs_status s = cvi_again_new(q, &b.again);
    if (s == CVS_OK) {
        s = integrate(&b, out);
    }
    cvi_again_free(&b.again);
    cvi_free(b.sum);
    return s;
}

const cvi_method cvi_method_blur_ig = {
    .name = "blur-ig",
    .title_en = "Blur integrated gradients",
    .title_zh = "模糊积分梯度",
    .sentence_en = "What every pixel gives to the target while the picture comes out of a blur; no colour is "
                   "the baseline.",
    .sentence_zh = "图片由模糊变清晰的过程中，每个像素为目标贡献多少；不以某种颜色为基线。",
    .caveat_en = "Edges get most, for they change most in a blur; a blurred picture is unlike any that the "
                 "network was trained on.",
    .caveat_zh = "边缘得到的最多，因为模糊时变化最大；模糊的图片与训练时见过的图片不同。",
    .source = "Xu, Venugopalan and Sundararajan 2020, arXiv:2004.03383; blur of PAIR saliency",
    .family = CVI_FAMILY_GRADIENT,
    .flags = "--rule trapezoid|left"
             ", " CVI_FLAG_STEPS,
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
