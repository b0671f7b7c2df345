/* SPDX-License-Identifier: MIT
 * regions_rank.c - XRAI's ranking (Kapishnikov et al. 2019): of overlapping regions, again and again the one whose new pixels weigh
 * most on average.
 */
#include <math.h>

#include "explain/blur.h"
#include "explain/regions.h"
#include "ops/op.h"

enum { SIDE = 224, LEAST = 150, GROW = 5, NEW = 50 /* pixels that a region must add */ };
static const double scales[] = {50, 100, 150, 250, 500, 1200};

typedef struct ranking {
    int64_t channels, h, w, cut_h, cut_w;
    double *picture; /* [C,cut_h,cut_w], in -1..1 */
    int32_t *label;  /* [cut_h*cut_w] */
    uint8_t **mask;  /* [n] each [h*w] */
    int64_t n, room;
    double *sum; /* [n]: weight of what a region would add */
    int64_t *count;
    uint8_t *covered;
} ranking;

/* Bilinear at the size for cutting, blurred first where that is smaller (as far as pixels are left out); scaled to -1..1. */
static cvs_status prepare(ranking *r, const cvs_tensor *x, cvs_error *err) {
    int64_t area = r->h * r->w, cut = r->cut_h * r->cut_w;
    double factor = fmax((double)r->h / (double)r->cut_h, (double)r->w / (double)r->cut_w);
    double *soft = cvi_calloc((size_t)(r->channels * area), sizeof *soft), low = HUGE_VAL, high = -HUGE_VAL;
    r->picture = cvi_calloc((size_t)(r->channels * cut), sizeof *r->picture);
    r->label = cvi_calloc((size_t)cut, sizeof *r->label);
    r->covered = cvi_calloc((size_t)area, 1);
    cvs_status s = soft && r->picture && r->label && r->covered
                       ? cvi_blur(x, fmax(0.0, (factor - 1.0) / 2.0), CVI_BEYOND_MIRROR, soft, err)
                       : cvi_no_memory(err, (size_t)(r->channels * area) * sizeof *soft);
    for (int64_t i = 0; s == CVS_OK && i < r->channels * area; i++) {
        low = fmin(low, cvi_get(x, i));
        high = fmax(high, cvi_get(x, i));
    }
    double range = high > low ? high - low : 1.0;
    for (int64_t i = 0; s == CVS_OK && i < cut; i++) {
        double v = ((double)(i / r->cut_w) + 0.5) * (double)r->h / (double)r->cut_h - 0.5;
        double u = ((double)(i % r->cut_w) + 0.5) * (double)r->w / (double)r->cut_w - 0.5;
        v = fmin(fmax(v, 0.0), (double)(r->h - 1));
        u = fmin(fmax(u, 0.0), (double)(r->w - 1));
        int64_t y = (int64_t)v, z = (int64_t)u, down = CVI_MIN(y + 1, r->h - 1),
                right = CVI_MIN(z + 1, r->w - 1);
        double fy = v - (double)y, fx = u - (double)z;
        for (int64_t c = 0; c < r->channels; c++) {
            const double *p = soft + c * area;
            double top = p[y * r->w + z] * (1 - fx) + p[y * r->w + right] * fx;
            double bottom = p[down * r->w + z] * (1 - fx) + p[down * r->w + right] * fx;
            r->picture[c * cut + i] = ((top * (1 - fy) + bottom * fy) - low) / range * 2.0 - 1.0;
        }
    }
    cvi_free(soft);
    return s;
}

/* A region's pixels at the picture's size, with a disk of 5 around each. */
static void fill_mask(const ranking *r, int32_t which, uint8_t *mask) {
    for (int64_t i = 0; i < r->h * r->w; i++) {
        int64_t y = (2 * (i / r->w) + 1) * r->cut_h / (2 * r->h),
                u = (2 * (i % r->w) + 1) * r->cut_w / (2 * r->w);
        if (r->label[y * r->cut_w + u] != which) {
            continue;
        }
        for (int64_t down = -GROW; down <= GROW; down++) {
            for (int64_t right = -GROW; right <= GROW; right++) {
                int64_t row = i / r->w + down, column = i % r->w + right;
                if (down * down + right * right <= GROW * GROW && row >= 0 && row < r->h && column >= 0 &&
                    column < r->w) {
                    mask[row * r->w + column] = 1;
                }
            }
        }
    }
}

static cvs_status cut(ranking *r, cvs_error *err) {
    for (int k = 0; k < CVI_COUNT(scales); k++) {
        int64_t n = 0;
        CVI_TRY(cvi_regions_cut(r->picture, r->channels, r->cut_h, r->cut_w, scales[k], LEAST, r->label, &n,
                                err));
        uint8_t **more = cvi_realloc(r->mask, (size_t)r->n * sizeof *more, (size_t)(r->n + n) * sizeof *more);
        if (!more) {
            return cvi_no_memory(err, (size_t)(r->n + n) * sizeof *more);
        }
        r->mask = more;
        for (int64_t i = 0; i < n; i++) {
            uint8_t *mask = cvi_calloc((size_t)(r->h * r->w), 1);
            if (!mask) {
                return cvi_no_memory(err, (size_t)(r->h * r->w));
            }
            r->mask[r->n++] = mask;
            fill_mask(r, (int32_t)i, mask);
        }
    }
    return CVS_OK;
}

/* Takes a region: its new pixels get its gain and count for no other any more. */
static void take(ranking *r, int64_t best, double gain, const double *weight, float *map) {
    for (int64_t i = 0; i < r->h * r->w; i++) {
        if (!r->mask[best][i] || r->covered[i]) {
            continue;
        }
        r->covered[i] = 1;
        map[i] = (float)gain;
        for (int64_t k = 0; k < r->n; k++) {
            if (r->count[k] > 0 && r->mask[k][i]) {
                r->count[k]--;
                r->sum[k] -= weight[i];
            }
        }
    }
}

static cvs_status rank(ranking *r, const double *weight, float *map, int64_t *taken, cvs_error *err) {
    int64_t area = r->h * r->w, left = 0;
    double rest = 0.0;
    r->sum = cvi_calloc((size_t)CVI_MAX(r->n, 1), sizeof *r->sum);
    r->count = cvi_calloc((size_t)CVI_MAX(r->n, 1), sizeof *r->count);
    if (!r->sum || !r->count) {
        return cvi_no_memory(err, (size_t)r->n * sizeof *r->sum);
    }
    for (int64_t k = 0; k < r->n; k++) {
        for (int64_t i = 0; i < area; i++) {
            r->count[k] += r->mask[k][i];
            r->sum[k] += r->mask[k][i] ? weight[i] : 0.0;
        }
    }
    for (*taken = 0;; ++*taken) {
        int64_t best = -1;
        double gain = -HUGE_VAL;
        for (int64_t k = 0; k < r->n; k++) {
            double own = r->count[k] >= NEW ? r->sum[k] / (double)r->count[k] : -HUGE_VAL;
            if (own > gain) {
                best = k;
                gain = own;
            }
        }
        if (best < 0) {
            break;
        }
        take(r, best, gain, weight, map);
    }
    for (int64_t i = 0; i < area; i++) {
        left += !r->covered[i];
        rest += r->covered[i] ? 0.0 : weight[i];
    }
    for (int64_t i = 0; i < area && left > 0; i++) {
        map[i] = r->covered[i] ? map[i] : (float)(rest / (double)left);
    }
    return CVS_OK;
}

cvs_status cvi_regions_rank(const cvs_tensor *x, bool resize, const double *weight, float *map, int64_t *n,
                            cvs_error *err) {
    ranking r = {.channels = x->dim[1], .h = x->dim[2], .w = x->dim[3]};
    r.cut_h = resize ? SIDE : r.h;
    r.cut_w = resize ? SIDE : r.w;
    cvs_status s = prepare(&r, x, err);
    s = s == CVS_OK ? cut(&r, err) : s;
    s = s == CVS_OK ? rank(&r, weight, map, n, err) : s;
    for (int64_t k = 0; k < r.n; k++) {
        cvi_free(r.mask[k]);
    }
    cvi_free(r.mask);
    cvi_free(r.picture);
    cvi_free(r.label);
    cvi_free(r.covered);
    cvi_free(r.sum);
    cvi_free(r.count);
    return s;
}
