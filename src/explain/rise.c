/* SPDX-License-Identifier: MIT
 * rise.c - RISE (Petsiuk et al. 2018): the target's value under random masks, 1/(N p) sum M f(x M). A mask is a grid of 7x7 cells, each
 * on with probability p = 1/2, enlarged bilinearly to 8x8 cells of the picture's size / 7 and cut out at a random place.
 */
#include "explain/again.h"

enum { SAMPLES = 4000, CELLS = 7, DRAWS = CELLS * CELLS + 2, PURPOSE = 0x72697365 /* "rise" */ };

typedef struct rise {
    cvi_again again;
    float *mask; /* [batch, h*w] */
    double *sum, *score;
    int64_t channels, h, w;
} rise;

static void draw(const rise *r, int64_t sample, float *mask) {
    uint64_t seed = r->again.q->options->seed, at = (uint64_t)sample * DRAWS;
    int64_t cell_h = (r->h + CELLS - 1) / CELLS, cell_w = (r->w + CELLS - 1) / CELLS;
    int64_t down = (int64_t)(cvi_random_uniform(seed, PURPOSE, at) * (double)cell_h);
    int64_t right = (int64_t)(cvi_random_uniform(seed, PURPOSE, at + 1) * (double)cell_w);
    double high = (double)((CELLS + 1) * cell_h), wide = (double)((CELLS + 1) * cell_w);
    float grid[CELLS * CELLS];
    for (int i = 0; i < CELLS * CELLS; i++) {
        grid[i] = cvi_random_uniform(seed, PURPOSE, at + 2 + (uint64_t)i) < 0.5 ? 1.0f : 0.0f;
    }
    for (int64_t i = 0; i < r->h * r->w; i++) {
        mask[i] = (float)cvi_map_bilinear(grid, CELLS, CELLS, ((double)(i / r->w + down) + 0.5) / high,
                                          ((double)(i % r->w + right) + 0.5) / wide);
    }
}

static cvs_status measure(rise *r, int64_t samples) {
    cvi_again *a = &r->again;
    const float *x = a->picture.data;
    int64_t area = r->h * r->w;
    for (int64_t k = 0; k < samples; k += a->batch) {
        int64_t here = CVI_MIN(a->batch, samples - k);
        for (int64_t b = 0; b < here; b++) {
            float *place = cvi_again_place(a, b), *mask = r->mask + b * area;
            draw(r, k + b, mask);
            for (int64_t i = 0; i < a->pixels; i++) {
                place[i] = x[i] * mask[i % area];
            }
        }
        CVI_TRY(cvi_again_scores(a, here, (double)k / (double)samples, r->score));
        for (int64_t b = 0; b < here; b++) {
            for (int64_t i = 0; i < area; i++) {
                r->sum[i] += r->score[b] * (double)r->mask[b * area + i];
            }
        }
    }
    return CVS_OK;
}

static cvs_status ask(rise *r, cvs_explanation *out) {
    cvi_again *a = &r->again;
    cvi_question *q = a->q;
    int64_t samples;
    CVI_TRY(cvi_again_picture(a));
    CVI_TRY(cvi_option_samples(q, SAMPLES, &samples));
    r->channels = a->picture.dim[1];
    r->h = a->picture.dim[2];
    r->w = a->picture.dim[3];
    int64_t area = r->h * r->w, dim[4] = {1, 1, r->h, r->w};
    r->mask = cvi_calloc((size_t)(a->batch * area), sizeof *r->mask);
    r->sum = cvi_calloc((size_t)(area + a->batch), sizeof *r->sum);
    if (!r->mask || !r->sum) {
        return cvi_no_memory(q->err, (size_t)area * sizeof *r->sum);
    }
    r->score = r->sum + area;
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, 4, dim, q->err));
    CVI_TRY(measure(r, samples));
    float *map = out->map.data;
    for (int64_t i = 0; i < area; i++) {
        map[i] = (float)(r->sum[i] / ((double)samples * 0.5));
    }
    snprintf(q->settings, sizeof q->settings,
             cvi_tr(q->options->lang,
                    "%lld random masks of %dx%d cells, half of them on, zero elsewhere, seed "
                    "%llu"),
             (long long)samples, CELLS, CELLS, (unsigned long long)q->options->seed);
    return CVS_OK;
}

static cvs_status run(cvi_question *q, cvs_explanation *out) {
    rise r = {0};
    cvs_status s = cvi_again_answers(q, &r.again);
    if (s == CVS_OK) {
        s = ask(&r, out);
    }
    cvi_again_free(&r.again);
    cvi_free(r.mask);
    cvi_free(r.sum);
    return s;
}

const cvi_method cvi_method_rise = {
    .name = "rise",
    .title_en = "RISE",
    .title_zh = "RISE 随机遮罩",
    .sentence_en = "How high the target is, on average, when a place is seen under random masks.",
    .sentence_zh = "在随机遮罩下，某处可见时目标平均有多高。",
    .caveat_en = "Noisy with few masks, and only differences within the map count: its level is the target's "
                 "mean under masks.",
    .caveat_zh = "遮罩较少时噪声大；只有图内的差异有意义：整体高低只是遮罩下目标的均值。",
    .source = "Petsiuk, Das and Saenko 2018, arXiv:1806.07421",
    .family = CVI_FAMILY_PERTURBATION,
    .flags = CVI_FLAG_SAMPLES ", " CVI_FLAG_SEED,
    .kind = CVS_MAP_LAYER,
    .sign = CVI_SIGN_ALWAYS,
    .run = run,
};
