/* SPDX-License-Identifier: MIT
 * tally.c - extremes, moments and buckets of the numbers of a layer. Written in rows of eight, which a compiler takes at once: histograms of
 * every layer's activations were a third of what watching costs when each number was looked at by itself.
 */
#include "train/tally.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { LANES = 8, MOST_BUCKETS = 64, TABLES = 4 };

static bool usable(float v) {
    return v - v == 0; /* false for infinities and what is no number */
}

static void look(cvi_extremes *x, float v) {
    if (usable(v)) {
        x->least = v < x->least ? v : x->least;
        x->most = v > x->most ? v : x->most;
        x->finite++;
    }
}

/* Eight at a time; false: among the first n numbers, a multiple of eight, is one that is not finite. */
static bool look_at_eights(cvi_extremes *x, const float *v, int64_t n) {
    float least[LANES], most[LANES], wrong[LANES] = {0};
    for (int k = 0; k < LANES; k++) {
        least[k] = FLT_MAX;
        most[k] = -FLT_MAX;
    }
    for (int64_t i = 0; i < n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float one = v[i + k];
            least[k] = one < least[k] ? one : least[k];
            most[k] = one > most[k] ? one : most[k];
            wrong[k] += one - one; /* 0, or no number for ever */
        }
    }
    for (int k = 0; k < LANES; k++) {
        if (wrong[k] != 0) {
            return false;
        }
        x->least = least[k] < x->least ? least[k] : x->least;
        x->most = most[k] > x->most ? most[k] : x->most;
    }
    x->finite += n;
    return true;
}

cvi_extremes cvi_tally_extremes(const float *v, int64_t n) {
    cvi_extremes x = {FLT_MAX, -FLT_MAX, 0};
    int64_t whole = n / LANES * LANES;
    int64_t at = look_at_eights(&x, v, whole) ? whole : 0;
    if (at == 0) {
        x = (cvi_extremes){FLT_MAX, -FLT_MAX, 0};
    }
    for (; at < n; at++) {
        look(&x, v[at]);
    }
    return x;
}

/* Several tables, so that equal neighbours (the zeros behind a ReLU) do not wait for each other. */
void cvi_tally_count(const float *v, int64_t n, const cvi_extremes *x, int buckets, double *count) {
    uint32_t tables[TABLES][MOST_BUCKETS];
    double span = (double)x->most - (double)x->least;
    buckets = CVI_MIN(buckets, (int)MOST_BUCKETS);
    if (x->finite == 0 || !(span > 0)) {
        count[buckets - 1] += (double)x->finite;
        return;
    }
    /* halved: the span of two huge floats may be none */
    float least = x->least / 2, scale = (float)(2 * buckets / span);
    bool clean = x->finite == n && isfinite(scale);
    int top = buckets - 1;
    for (int64_t from = 0; from < n; from += INT32_MAX / 2) {
        int64_t to = CVI_MIN(n, from + INT32_MAX / 2), i = from;
        memset(tables, 0, sizeof tables);
        for (; clean && i + LANES <= to; i += LANES) {
            int32_t part[LANES];
            for (int k = 0; k < LANES; k++) {
                part[k] = (int32_t)((v[i + k] / 2 - least) * scale);
            }
            for (int k = 0; k < LANES; k++) {
                tables[k % TABLES][CVI_MIN(CVI_MAX(part[k], 0), top)]++;
            }
        }
        for (; i < to; i++) {
            if (usable(v[i])) {
                double part = ((double)v[i] - (double)x->least) / span * buckets;
                tables[0][CVI_MIN(CVI_MAX((int)part, 0), top)]++;
            }
        }
        for (int b = 0; b < buckets; b++) {
            for (int t = 0; t < TABLES; t++) {
                count[b] += tables[t][b];
            }
        }
    }
}

cvi_moments cvi_tally_moments(const float *v, int64_t n) {
    double sum[LANES] = {0}, square[LANES] = {0};
    int32_t zeros[LANES] = {0};
    cvi_moments m = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            double one = (double)v[i + k];
            sum[k] += one;
            square[k] += one * one;
            zeros[k] += v[i + k] == 0;
        }
    }
    for (; i < n; i++) {
        sum[0] += (double)v[i];
        square[0] += (double)v[i] * (double)v[i];
        m.zeros += v[i] == 0;
    }
    for (int k = 0; k < LANES; k++) {
        m.sum += sum[k];
        m.square += square[k];
        m.zeros += zeros[k];
    }
    return m;
}
