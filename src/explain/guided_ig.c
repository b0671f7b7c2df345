/* SPDX-License-Identifier: MIT
 * guided_ig.c - guided integrated gradients (Kapishnikov et al. 2021): a way from the baseline to the picture on which each step first
 * moves the quarter of the pixels with the smallest gradient, never further than 0.02 of the whole way from the straight one, until the
 * distance left is what the step leaves. What a pixel gets is its moves times the mean of the gradients before and after them. PAIR
 * saliency, the authors' program, takes the gradients before (--rule left): on rectifiers, along whose kinks the way runs, such sums
 * stay off however many steps there are.
 */
#include <math.h>

#include "explain/again.h"

enum { FIRST = 100, LEFT = 200, MOST = 1600 };
static const double fraction = 0.25, leeway = 0.02;

typedef struct guided {
    cvi_again again;
    float *baseline;
    double *at, *sum, *size, *sorted; /* [pixels]: where the way is, the map, |gradient|, room for sorting */
    double *from, *slope;             /* [pixels]: where the last step began and the gradient there */
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

/* Pixels that are behind catch up; those that are as far as they may be are left out (an endless gradient). */
static void catch_up(guided *g, double least, double most) {
    for (int64_t i = 0; i < g->again.pixels; i++) {
        double way = on_line(g, i, 1.0) - on_line(g, i, 0.0);
        double alpha = way != 0.0 ? (g->at[i] - on_line(g, i, 0.0)) / way : most;
        if (alpha < least) {
            g->at[i] = on_line(g, i, least);
        }
        if (alpha >= most - 1e-12) {
            g->size[i] = HUGE_VAL;
        }
    }
}

/* Moves the selected pixels ahead until `target` is left, as far as they may; false: nothing is left to select or the target is met. */
static bool advance(guided *g, double most, double target) {
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
            g->at[i] = share > 1.0 ? to : g->at[i] + share * (to - g->at[i]);
        }
    }
    return any && share > 1.0;
}

/* The gradient where the way is. */
static cvs_status look(guided *g, double done, const float **slope) {
    cvi_again *a = &g->again;
    double score;
    cvs_tensor t;
    for (int64_t i = 0; i < a->pixels; i++) {
        for (int64_t b = 0; b < a->batch; b++) {
            cvi_again_place(a, b)[i] = (float)g->at[i];
        }
    }
    CVI_TRY(cvi_again_scores(a, 1, done, &score));
    CVI_TRY(cvi_again_gradient(a, &t));
    *slope = t.data;
    return CVS_OK;
}

/* The last step's moves, by the gradient before it and (both) the one after it. */
static void give(guided *g, const float *after, bool both) {
    for (int64_t i = 0; i < g->again.pixels; i++) {
        double slope = both ? (g->slope[i] + (double)after[i]) / 2.0 : g->slope[i];
        g->sum[i] += (g->at[i] - g->from[i]) * slope;
    }
}

static cvs_status walk(guided *g, int64_t steps, bool both) {
    int64_t n = g->again.pixels;
    for (int64_t i = 0; i < n; i++) {
        g->at[i] = (double)g->baseline[i];
        g->sum[i] = 0.0;
    }
    double whole = left(g);
    for (int64_t k = 0; k < steps && whole > 0.0; k++) {
        double alpha = (double)(k + 1) / (double)steps;
        double least = fmax(alpha - leeway, 0.0), most = fmin(alpha + leeway, 1.0);
        const float *slope;
        CVI_TRY(look(g, (double)k / (double)steps, &slope));
        if (k > 0) {
            give(g, slope, both);
        }
        for (int64_t i = 0; i < n; i++) {
            g->slope[i] = (double)slope[i];
            g->size[i] = fabs((double)slope[i]);
            g->from[i] = g->at[i];
        }
        do {
            catch_up(g, least, most);
        } while (advance(g, most, whole * (1.0 - alpha)));
    }
    const float *last = NULL;
    if (whole > 0.0 && both) {
        CVI_TRY(look(g, 1.0, &last));
    }
    if (whole > 0.0) {
        give(g, last, both);
    }
    return CVS_OK;
}

/* f(x) and f(b), and room. */
static cvs_status prepare(guided *g) {
    cvi_again *a = &g->again;
    cvi_question *q = a->q;
    CVI_TRY(cvi_baseline(a, q->options->baseline, &g->baseline));
    g->at = cvi_calloc((size_t)a->pixels, 6 * sizeof *g->at);
    if (!g->at) {
        return cvi_no_memory(q->err, (size_t)a->pixels * 6 * sizeof *g->at);
    }
    g->sum = g->at + a->pixels;
    g->size = g->sum + a->pixels;
    g->sorted = g->size + a->pixels;
    g->from = g->sorted + a->pixels;
    g->slope = g->from + a->pixels;
    CVI_TRY(cvi_again_scores(a, 1, 0.0, &g->end));
    for (int64_t b = 0; b < a->batch; b++) {
        memcpy(cvi_again_place(a, b), g->baseline, (size_t)a->pixels * sizeof *g->baseline);
    }
    return cvi_again_scores(a, 1, 0.0, &g->start);
}

static cvs_status integrate(guided *g, cvs_explanation *out) {
    cvi_again *a = &g->again;
    cvi_question *q = a->q;
    const char *name = q->options->rule ? q->options->rule : "trapezoid";
    bool both = strcmp(name, "trapezoid") == 0, given = q->options->steps > 0;
    int64_t steps;
    double all = 0.0;
    char base[160];
    if (!both && strcmp(name, "left") != 0) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "the rule is \"%.40s\", trapezoid or left expected", name);
    }
    CVI_TRY(cvi_option_steps(q, both ? FIRST : LEFT, &steps));
    CVI_TRY(prepare(g));
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, a->picture.rank, a->picture.dim, q->err));
    double way = g->end - g->start, before = HUGE_VAL;
    for (;; steps *= 2) {
        CVI_TRY(walk(g, steps, both));
        all = 0.0;
        for (int64_t i = 0; i < a->pixels; i++) {
            all += g->sum[i];
        }
        double error = fabs(all - way);
        bool stuck = error > 0.8 * before; /* along kinks more steps may not help */
        if (given || !both || error < 0.01 * fabs(way) || stuck || 2 * steps > MOST) {
            break;
        }
        before = error;
    }
    for (int64_t i = 0; i < a->pixels; i++) {
        ((float *)out->map.data)[i] = (float)g->sum[i];
    }
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang,
                    "baseline %.120s (there %.4g), %s rule, %lld steps, a quarter of the pixels at a time"),
             cvi_baseline_words(a, base, sizeof base), g->start, name, (long long)steps);
    cvi_complete(out, all, way);
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
    .source = "Kapishnikov et al. 2021, arXiv:2106.09788; the way of PAIR saliency",
    .family = CVI_FAMILY_GRADIENT,
    .flags = "--rule trapezoid|left"
             ", " CVI_FLAG_STEPS ", " CVI_FLAG_BASELINE ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_PIXELS,
    .run = run,
};
