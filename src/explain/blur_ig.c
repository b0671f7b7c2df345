/* SPDX-License-Identifier: MIT
 * blur_ig.c - blur integrated gradients (Xu et al. 2020) as PAIR saliency computes them: the way to the picture is one of less and less
 * blur. Minus the sum over steps of the gradient at width s times the change of the picture with s (a difference over 0.01) times
 * the step; widths evenly from 0 to 50 pixels. The blur is a normal curve cut off at four widths, with zeros around the picture.
 */
#include <math.h>

#include "explain/again.h"

enum { STEPS = 100 };
static const double widest = 50.0, apart = 0.01;

typedef struct blurred {
    cvi_again again;
    double *sum, *now, *next, *half; /* [pixels] */
    double *curve;                   /* weights of a blur, from its middle on */
} blurred;

static int64_t radius(double width) {
    return (int64_t)(4.0 * width + 0.5);
}

/* One line of n numbers, `step` apart. */
static void blur_line(const double *in, double *out, int64_t n, int64_t step, const double *curve,
                      int64_t reach) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int64_t k = CVI_MAX(0, i - reach); k <= CVI_MIN(n - 1, i + reach); k++) {
            sum += in[k * step] * curve[k < i ? i - k : k - i];
        }
        out[i * step] = sum;
    }
}

/* The picture blurred: down the columns, then along the rows. */
static void blur(blurred *b, double width, double *out) {
    const cvs_tensor *p = &b->again.picture;
    int64_t h = p->dim[2], w = p->dim[3], reach = radius(width);
    double all = 0.0;
    for (int64_t i = 0; i <= reach; i++) {
        b->curve[i] = i == 0 ? 1.0 : exp(-0.5 * (double)(i * i) / (width * width));
        all += i == 0 ? 1.0 : 2.0 * b->curve[i];
    }
    for (int64_t i = 0; i <= reach; i++) {
        b->curve[i] /= all;
    }
    for (int64_t i = 0; i < b->again.pixels; i++) {
        out[i] = cvi_get(p, i);
    }
    for (int64_t c = 0; reach > 0 && c < p->dim[1]; c++) {
        for (int64_t x = 0; x < w; x++) {
            blur_line(out + c * h * w + x, b->half + c * h * w + x, h, w, b->curve, reach);
        }
        for (int64_t y = 0; y < h; y++) {
            blur_line(b->half + (c * h + y) * w, out + (c * h + y) * w, w, 1, b->curve, reach);
        }
    }
}

static void put(blurred *b, const double *picture) {
    for (int64_t k = 0; k < b->again.batch; k++) {
        float *place = cvi_again_place(&b->again, k);
        for (int64_t i = 0; i < b->again.pixels; i++) {
            place[i] = (float)picture[i];
        }
    }
}

static cvs_status walk(blurred *b, int64_t steps) {
    cvi_again *a = &b->again;
    double step = widest / (double)steps, score;
    for (int64_t k = 0; k < steps; k++) {
        double width = (double)k * widest / (double)steps;
        cvs_tensor g;
        blur(b, width, b->now);
        blur(b, width + apart, b->next);
        put(b, b->now);
        CVI_TRY(cvi_again_scores(a, 1, (double)k / (double)steps, &score));
        CVI_TRY(cvi_again_gradient(a, &g));
        const float *slope = g.data;
        for (int64_t i = 0; i < a->pixels; i++) {
            b->sum[i] -= step * (b->next[i] - b->now[i]) / apart * (double)slope[i];
        }
    }
    return CVS_OK;
}

static cvs_status integrate(blurred *b, cvs_explanation *out) {
    cvi_again *a = &b->again;
    cvi_question *q = a->q;
    int64_t steps, most = radius(widest + apart) + 1;
    double start, end, all = 0.0;
    CVI_TRY(cvi_again_picture(a));
    CVI_TRY(cvi_option_steps(q, STEPS, &steps));
    b->sum = cvi_calloc((size_t)(4 * a->pixels + most), sizeof *b->sum);
    if (!b->sum) {
        return cvi_no_memory(q->err, (size_t)(4 * a->pixels + most) * sizeof *b->sum);
    }
    b->now = b->sum + a->pixels;
    b->next = b->now + a->pixels;
    b->half = b->next + a->pixels;
    b->curve = b->half + a->pixels;
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, a->picture.dim, q->err));
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &end));
    blur(b, widest, b->now);
    put(b, b->now);
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &start));
    CVI_TRY(walk(b, steps));
    for (int64_t i = 0; i < a->pixels; i++) {
        ((float *)out->map.data)[i] = (float)b->sum[i];
        all += b->sum[i];
    }
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang,
                    "blur of 0 to %.4g pixels (there %.4g), %lld steps, completeness error %.2g"),
             widest, start, (long long)steps, all - (end - start));
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
    .caveat_en = "The first steps of the blur change most: with few steps the parts do not add up.",
    .caveat_zh = "模糊最初的几步变化最大：步数较少时各部分之和与差值不符。",
    .source = "Xu, Venugopalan and Sundararajan 2020, arXiv:2004.03383; arithmetic of PAIR saliency",
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
