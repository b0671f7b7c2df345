/* SPDX-License-Identifier: MIT
 * want.c - objectives of pictures that a network makes up: a channel's mean, one unit, a direction, closeness to a given layer, and
 * what keeps several pictures apart.
 */
#include "explain/want.h"

#include <math.h>

static double of_channel(const cvi_want *w, const cvi_planes *a, float *seed) {
    int64_t area = a->rows * a->columns;
    double sum = 0;
    for (int64_t i = 0; i < area; i++) {
        sum += (double)a->data[w->channel * area + i];
        if (seed) {
            seed[w->channel * area + i] = (float)(1.0 / (double)area);
        }
    }
    return sum / (double)area;
}

static double of_neuron(const cvi_want *w, const cvi_planes *a, float *seed) {
    int64_t row = w->row >= 0 ? w->row : a->rows / 2, column = w->row >= 0 ? w->column : a->columns / 2;
    int64_t at = (w->channel * a->rows + row) * a->columns + column;
    if (seed) {
        seed[at] = 1.0f;
    }
    return (double)a->data[at];
}

/* Mean over positions of dot * max(0.1, cos)^power, Lucid's direction objective. */
static double of_direction(const cvi_want *w, const cvi_planes *a, float *seed) {
    const double tiny = 1e-4;
    int64_t area = a->rows * a->columns;
    double total = 0, size = 0;
    for (int64_t c = 0; c < a->channels; c++) {
        size += (double)w->direction[c] * (double)w->direction[c];
    }
    size = sqrt(size) + tiny;
    for (int64_t i = 0; i < area; i++) {
        double dot = 0, own = 0;
        for (int64_t c = 0; c < a->channels; c++) {
            double v = (double)a->data[c * area + i];
            dot += v * (double)w->direction[c];
            own += v * v;
        }
        double length = sqrt(own), cosine = dot / (length + tiny) / size;
        double limited = fmax(0.1, cosine), gain = w->power > 0 ? pow(limited, w->power) : 1.0;
        total += dot * gain;
        /* d (dot gain) = gain d dot + dot power limited^(power - 1) d cosine where that is not limited */
        double steer = w->power > 0 && cosine > 0.1 ? dot * w->power * gain / limited : 0.0;
        for (int64_t c = 0; c < a->channels && seed; c++) {
            double d = (double)w->direction[c], v = (double)a->data[c * area + i];
            double bend =
                d / (length + tiny) / size - (length > 0 ? cosine / (length + tiny) * v / length : 0.0);
            seed[c * area + i] = (float)((gain * d + steer * bend) / (double)area);
        }
    }
    return total / (double)area;
}

static double of_likeness(const cvi_want *w, const cvi_planes *a, float *seed) {
    int64_t n = a->channels * a->rows * a->columns;
    double sum = 0, size = fmax(w->like_size, 1e-30);
    for (int64_t i = 0; i < n; i++) {
        double off = (double)a->data[i] - (double)w->like[i];
        sum += off * off;
        if (seed) {
            seed[i] = (float)(-2 * off / size);
        }
    }
    return -sum / size;
}

double cvi_want_value(const cvi_want *w, const cvi_planes *a, float *seed) {
    if (seed) {
        memset(seed, 0, (size_t)(a->channels * a->rows * a->columns) * sizeof *seed);
    }
    switch (w->kind) {
    case CVS_WANT_NEURON:
        return of_neuron(w, a, seed);
    case CVS_WANT_DIRECTION:
        return of_direction(w, a, seed);
    case CVS_WANT_LIKENESS:
        return of_likeness(w, a, seed);
    case CVS_WANT_CHANNEL:
    case CVS_WANT_CLASS:
        break;
    }
    return of_channel(w, a, seed);
}

/* ---- several pictures --------------------------------------------------------------------------------------- */

/* g [k,k] = f f^T divided by its own length, which is returned. */
static double gram(const float *f, int64_t k, int64_t area, double *g) {
    double size = 0;
    for (int64_t i = 0; i < k; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;
            for (int64_t p = 0; p < area; p++) {
                sum += (double)f[i * area + p] * (double)f[j * area + p];
            }
            g[i * k + j] = g[j * k + i] = sum;
            size += (i == j ? 1 : 2) * sum * sum;
        }
    }
    size = sqrt(size);
    for (int64_t i = 0; i < k * k; i++) {
        g[i] = size > 0 ? g[i] / size : 0;
    }
    return size;
}

/* seed -= weight * 2 dG f, dG = (s - <s,g> g) / size, s = sum of the other Gram matrices * 2 / n. */
static void push(const float *f, const double *const *grams, const double *sizes, int n, int own, int64_t k,
                 int64_t area, double weight, double *s, float *seed) {
    double along = 0;
    for (int64_t i = 0; i < k * k; i++) {
        s[i] = 0;
        for (int j = 0; j < n; j++) {
            s[i] += j != own ? 2.0 / n * grams[j][i] : 0.0;
        }
        along += s[i] * grams[own][i];
    }
    for (int64_t i = 0; i < k && sizes[own] > 0; i++) {
        for (int64_t j = 0; j < k; j++) {
            double d = 2 * weight * (s[i * k + j] - along * grams[own][i * k + j]) / sizes[own];
            for (int64_t p = 0; p < area; p++) {
                seed[i * area + p] -= (float)(d * (double)f[j * area + p]);
            }
        }
    }
}

bool cvi_want_apart(float *const *f, int n, int64_t channels, int64_t area, double weight,
                    float *const *seed) {
    enum { MOST = 16 };
    const double *grams[MOST];
    double sizes[MOST];
    int64_t each;
    if (n > MOST || !cvi_mul(channels, channels, &each) || each > INT32_MAX / 16) {
        return false;
    }
    double *memory = cvi_calloc((size_t)((n + 1) * each), sizeof *memory);
    if (!memory) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        sizes[i] = gram(f[i], channels, area, memory + i * each);
        grams[i] = memory + i * each;
    }
    for (int i = 0; i < n; i++) {
        push(f[i], grams, sizes, n, i, channels, area, weight, memory + n * each, seed[i]);
    }
    cvi_free(memory);
    return true;
}
