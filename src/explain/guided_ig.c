/* SPDX-License-Identifier: MIT
 * guided_ig.c - guided integrated gradients (Kapishnikov et al. 2021) with PAIR saliency's settings: a way from the baseline to the
 * picture on which each step first moves the quarter of the pixels with the smallest gradient, never further than 0.02 of the whole
 * way from the straight one, until the distance left is what the step leaves. What a pixel gets is its moves times the gradients there.
 */
#include <math.h>

#include "explain/again.h"

enum { STEPS = 200 };
static const double fraction = 0.25, leeway = 0.02;

typedef struct guided {
    cvi_again again;
    float *baseline;
    double *at, *sum, *size, *sorted; /* [pixels]: where the way is, the map, |gradient|, room for sorting */
    double start, end;
} guided;

/* The k-th smallest of v[n], which is rearranged (Hoare's selection). */
static double smallest(double *v, int64_t n, int64_t k) {
    int64_t low = 0, high = n - 1;
    while (low < high) {
        double pivot = v[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (v[i] < pivot) {
                i++;
            }
            while (v[j] > pivot) {
                j--;
            }
            if (i <= j) {
                double t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (k <= j) {
            high = j;
        } else if (k >= i) {
            low = i;
        } else {
            break;
        }
    }
    return v[k];
}

static double left(const guided *g) {
    const float *x = g->again.picture.data;
    double sum = 0.0;
    for (int64_t i = 0; i < g->again.pixels; i++) {
        sum += fabs((double)x[i] - g->at[i]);
    }
    return sum;
}

static double on_line(const guided *g, int64_t i, double alpha) {
    double from = (double)g->baseline[i];
    return from + alpha * ((double)((const float *)g->again.picture.data)[i] - from);
}

static void move(guided *g, int64_t i, double to, const float *slope) {
    g->sum[i] += (to - g->at[i]) * (double)slope[i];
    g->at[i] = to;
}

/* Pixels that are behind catch up; those that are as far as they may be are left out (an endless gradient). */
static void catch_up(guided *g, double least, double most, const float *slope) {
    for (int64_t i = 0; i < g->again.pixels; i++) {
        double way = on_line(g, i, 1.0) - on_line(g, i, 0.0);
        double alpha = way != 0.0 ? (g->at[i] - on_line(g, i, 0.0)) / way : most;
        if (alpha < least) {
            move(g, i, on_line(g, i, least), slope);
        }
        if (alpha >= most - 1e-12) {
            g->size[i] = HUGE_VAL;
        }
    }
}

/* Moves the selected pixels ahead until `target` is left, as far as they may; false: nothing is left to select or the target is met. */
static bool advance(guided *g, double most, double target, const float *slope) {
    int64_t n = g->again.pixels;
    double now = left(g), reach = 0.0;
    if (fabs(now - target) <= fmax(1e-9 * fmax(now, target), 1e-9)) {
        return false;
    }
    memcpy(g->sorted, g->size, (size_t)n * sizeof *g->sorted);
    double limit = smallest(g->sorted, n, (int64_t)((double)(n - 1) * fraction));
    bool any = false;
    for (int64_t i = 0; i < n; i++) {
        if (g->size[i] <= limit && isfinite(g->size[i])) {
            reach += fabs(g->at[i] - on_line(g, i, most));
            any = true;
        }
    }
    double share = reach > 0.0 ? (now - target) / reach : HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        if (g->size[i] <= limit && isfinite(g->size[i])) {
            double to = on_line(g, i, most);
            move(g, i, share > 1.0 ? to : g->at[i] + share * (to - g->at[i]), slope);
        }
    }
    return any && share > 1.0;
}

static cvs_status walk(guided *g, int64_t steps) {
    cvi_again *a = &g->again;
    double whole = left(g), score;
    for (int64_t k = 0; k < steps && whole > 0.0; k++) {
        double alpha = (double)(k + 1) / (double)steps;
        double least = fmax(alpha - leeway, 0.0), most = fmin(alpha + leeway, 1.0);
        cvs_tensor t;
        for (int64_t i = 0; i < a->pixels; i++) {
            for (int64_t b = 0; b < a->batch; b++) {
                cvi_again_place(a, b)[i] = (float)g->at[i];
            }
        }
        CVI_TRY(cvi_again_scores(a, 1, (double)k / (double)steps, &score));
        CVI_TRY(cvi_again_gradient(a, &t));
        const float *slope = t.data;
        for (int64_t i = 0; i < a->pixels; i++) {
            g->size[i] = fabs((double)slope[i]);
        }
        do {
            catch_up(g, least, most, slope);
        } while (advance(g, most, whole * (1.0 - alpha), slope));
    }
    return CVS_OK;
}

static cvs_status integrate(guided *g, cvs_explanation *out) {
    cvi_again *a = &g->again;
    cvi_question *q = a->q;
    int64_t steps;
    double all = 0.0;
    CVI_TRY(cvi_option_steps(q, STEPS, &steps));
    CVI_TRY(cvi_baseline(a, q->options->baseline, &g->baseline));
    g->at = cvi_calloc((size_t)a->pixels, 4 * sizeof *g->at);
    if (!g->at) {
        return cvi_no_memory(q->err, (size_t)a->pixels * 4 * sizeof *g->at);
    }
    g->sum = g->at + a->pixels;
    g->size = g->sum + a->pixels;
    g->sorted = g->size + a->pixels;
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, a->picture.rank, a->picture.dim, q->err));
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &g->end));
    for (int64_t i = 0; i < a->pixels; i++) {
        g->at[i] = (double)g->baseline[i];
        for (int64_t b = 0; b < a->batch; b++) {
            cvi_again_place(a, b)[i] = g->baseline[i];
        }
    }
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &g->start));
    CVI_TRY(walk(g, steps));
    for (int64_t i = 0; i < a->pixels; i++) {
        ((float *)out->map.data)[i] = (float)g->sum[i];
        all += g->sum[i];
    }
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang, "baseline %.80s (there %.4g), %lld steps, a quarter of the pixels at a "
                                      "time, completeness error %.2g"),
             cvi_path_base(q->options->baseline ? q->options->baseline : "black"), g->start, (long long)steps,
             all - (g->end - g->start));
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    guided g = {0};
    cvs_status s = cvi_again_new(q, &g.again);
    if (s == CVS_OK) {
        s = integrate(&g, out);
    }
    cvi_again_free(&g.again);
    cvi_free(g.baseline);
    cvi_free(g.at);
    return s;
}

const cvi_method cvi_method_guided_ig = {
    .name = "guided-ig",
    .title_en = "Guided integrated gradients",
    .title_zh = "引导积分梯度",
    .sentence_en = "Integrated gradients on a way that avoids steep places: pixels that matter least move "
                   "first.",
    .sentence_zh = "沿避开陡峭处的路径求积分梯度：影响最小的像素先移动。",
    .caveat_en = "The way depends on the network itself, so maps of two networks are not of one measure; it "
                 "depends on the baseline too.",
    .caveat_zh = "路径取决于网络本身，因此两个网络的图不可直接比较；结果也取决于基线。",
    .source = "Kapishnikov et al. 2021, arXiv:2106.09788; settings of PAIR saliency",
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
