/* SPDX-License-Identifier: MIT
 * channels.c - what the channels of a value are like: six numbers of each, a histogram of all, and which one repeats an earlier one.
 *
 * Sums run in eight lanes, so that the compiler can take them side by side; their order is fixed, so that the same numbers give the same bits.
 */
#include <math.h>
#include <stdlib.h>

#include "api.h"

enum { LANES = 8, SMALL = 8 };

void map_shrink(const float *from, int64_t h, int64_t w, int64_t f, float *to) {
    int64_t oh = (h + f - 1) / f, ow = (w + f - 1) / f;
    for (int64_t y = 0; y < oh; y++) {
        for (int64_t x = 0; x < ow; x++) {
            int64_t y1 = (y + 1) * f < h ? (y + 1) * f : h, x1 = (x + 1) * f < w ? (x + 1) * f : w;
            double sum = 0;
            for (int64_t i = y * f; i < y1; i++) {
                for (int64_t j = x * f; j < x1; j++) {
                    sum += (double)from[i * w + j];
                }
            }
            to[y * ow + x] = (float)(sum / (double)((y1 - y * f) * (x1 - x * f)));
        }
    }
}

/* What one lane has seen. A comparison with NaN is false: extremes leave it out. */
typedef struct lanes_seen {
    float least[LANES], largest[LANES];
    double sum[LANES], size[LANES];
    int32_t zeros[LANES];
} lanes_seen;

static void see(lanes_seen *l, const float *v, int n) {
    for (int k = 0; k < n; k++) {
        l->least[k] = v[k] < l->least[k] ? v[k] : l->least[k];
        l->largest[k] = v[k] > l->largest[k] ? v[k] : l->largest[k];
        l->sum[k] += (double)v[k];
        l->size[k] += (double)v[k] * (double)v[k];
        l->zeros[k] += v[k] == 0;
    }
}

static channel_stats measure(const float *v, int64_t n) {
    lanes_seen l = {0};
    channel_stats c = {.least = INFINITY, .largest = -INFINITY, .twin = -1};
    double sum = 0, size = 0;
    int64_t zeros = 0, i = 0;
    for (int k = 0; k < LANES; k++) {
        l.least[k] = INFINITY;
        l.largest[k] = -INFINITY;
    }
    for (; i + LANES <= n; i += LANES) {
        see(&l, v + i, LANES);
    }
    see(&l, v + i, (int)(n - i));
    for (int k = 0; k < LANES; k++) {
        c.least = fminf(c.least, l.least[k]);
        c.largest = fmaxf(c.largest, l.largest[k]);
        sum += l.sum[k];
        size += l.size[k];
        zeros += l.zeros[k];
    }
    c.mean = (float)(sum / (double)n);
    c.strength = (float)sqrt(size / (double)n);
    c.zeros = (float)zeros / (float)n;
    return c;
}

static float dot(const float *a, const float *b, int64_t n) {
    float lane[LANES] = {0};
    for (int64_t i = 0; i < n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            lane[k] += a[i + k] * b[i + k];
        }
    }
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}

void channels_find_twins(const grid *g, channel_stats *stats) {
    int64_t longer = g->h > g->w ? g->h : g->w, f = (longer + SMALL - 1) / SMALL;
    int64_t h = f > 0 ? (g->h + f - 1) / f : 0, w = f > 0 ? (g->w + f - 1) / f : 0, each = h * w;
    int64_t pitch = (each + LANES - 1) / LANES * LANES; /* what is left over stays 0 */
    float *small = each > 3 && g->c <= 4096 ? calloc((size_t)(g->c * pitch), sizeof *small) : NULL;
    for (int64_t c = 0; small && c < g->c; c++) {
        double size = 0;
        float *to = small + c * pitch;
        map_shrink(g->data + c * g->h * g->w, g->h, g->w, f, to);
        for (int64_t i = 0; i < each; i++) {
            size += (double)to[i] * (double)to[i];
        }
        for (int64_t i = 0; i < each; i++) {
            to[i] = size > 0 ? (float)((double)to[i] / sqrt(size)) : 0;
        }
        for (int64_t k = 0; size > 0 && k < c && stats[c].twin < 0; k++) {
            bool twin = stats[k].twin < 0 && dot(to, small + k * pitch, pitch) > 0.999f;
            stats[c].twin = twin ? (float)k : -1;
        }
    }
    free(small);
}

channel_stats *channels_measure(const grid *g, double *least, double *largest) {
    channel_stats *stats = calloc((size_t)(g->c > 0 ? g->c : 1), sizeof *stats);
    int64_t n = g->h * g->w;
    *least = INFINITY;
    *largest = -INFINITY;
    for (int64_t c = 0; stats && n > 0 && c < g->c; c++) {
        stats[c] = measure(g->data + c * n, n);
        *least = fmin(*least, (double)stats[c].least);
        *largest = fmax(*largest, (double)stats[c].largest);
    }
    return stats;
}

int64_t channels_histogram(const grid *g, double least, double largest, float *bins, int n_bins) {
    int64_t n = g->c * g->h * g->w, broken = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = (double)g->data[i], at = largest > least ? (v - least) / (largest - least) * n_bins : 0;
        broken += !isfinite(v);
        if (isfinite(at)) {
            bins[at >= n_bins ? n_bins - 1 : at < 0 ? 0 : (int)at]++;
        }
    }
    return broken;
}
