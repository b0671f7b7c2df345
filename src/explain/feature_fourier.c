/* SPDX-License-Identifier: MIT
 * feature_fourier.c - gradient ascent on a picture's spectrum (Olah, Mordvintsev, Schubert: Feature Visualization, Distill 2017): Adam on
 * the parameters of spectrum.h, the picture moved at random before every look, several pictures pushed apart where asked for.
 */
#include <math.h>

#include "explain/feature.h"
#include "explain/spectrum.h"
#include "explain/sway.h"

enum { PURPOSE = 0x666f7572, WAKING = 16 };

typedef struct garden {
    cvs_feature_maker *m;
    cvs_feature *out;
    cvi_spectrum spectrum;
    int n;
    int64_t count, pixels;               /* parameters of a picture; its numbers */
    double *parameters, *first, *second; /* [n][count]: Adam's moments */
    double *x, *y, *dx, *dy;             /* [pixels]: the picture, what is shown to the network, gradients */
    double *slope;                       /* [count] */
    float *layers, *seeds;               /* [n][numbers of the layer], where pictures are pushed apart */
    bool *silent;                        /* [n] */
    cvs_error *err;
} garden;

/* A picture y in [0,1], colours red green blue, into the network's input; and the way back. */
static void enter(const garden *g, const double *y) {
    cvs_feature_maker *m = g->m;
    int64_t area = cvi_feature_pixels(m);
    float *to = m->input.data;
    for (int64_t c = 0; c < m->input.dim[1]; c++) {
        double factor, offset;
        const double *from = y + cvi_feature_colour(m, c) * area;
        cvi_feature_scale(m, c, &factor, &offset);
        for (int64_t i = 0; i < area; i++) {
            to[c * area + i] = (float)(from[i] * 255 * factor + offset);
        }
    }
}

static void leave(const garden *g, const cvs_tensor *gradient, double *dy) {
    const cvs_feature_maker *m = g->m;
    int64_t area = cvi_feature_pixels(m);
    const float *from = gradient->data;
    for (int64_t c = 0; c < m->input.dim[1]; c++) {
        double factor, offset, *to = dy + cvi_feature_colour(m, c) * area;
        cvi_feature_scale(m, c, &factor, &offset);
        for (int64_t i = 0; i < area; i++) {
            to[i] = (double)from[c * area + i] * 255 * factor;
        }
    }
}

/* Picture i as the network sees it at step t: x, and moved y; into the network's input. */
static cvi_sway look(garden *g, int i, int64_t t) {
    cvs_feature_maker *m = g->m;
    cvi_sway sway = cvi_sway_draw(m->o.seed, (uint64_t)(t * g->n + i), m->input.dim[2], m->input.dim[3]);
    cvi_spectrum_picture(&g->spectrum, g->parameters + i * g->count, g->x);
    if (m->o.still || t == m->o.steps) {
        memcpy(g->y, g->x, (size_t)g->pixels * sizeof *g->y);
    } else {
        cvi_sway_apply(&sway, g->x, m->input.dim[1], m->input.dim[2], m->input.dim[3], g->y);
    }
    enter(g, g->y);
    return sway;
}

/* From the gradient at the network's input to one of the parameters, and a step of Adam. */
static void climb(garden *g, int i, int64_t t, const cvi_sway *sway, const cvs_tensor *gradient) {
    const double slow = 0.9, slower = 0.999;
    cvs_feature_maker *m = g->m;
    leave(g, gradient, g->dy);
    if (m->o.still) {
        memcpy(g->dx, g->dy, (size_t)g->pixels * sizeof *g->dx);
    } else {
        memset(g->dx, 0, (size_t)g->pixels * sizeof *g->dx);
        cvi_sway_back(sway, g->dy, m->input.dim[1], m->input.dim[2], m->input.dim[3], g->dx);
    }
    cvi_spectrum_gradient(&g->spectrum, g->x, g->dx, g->slope);
    double *p = g->parameters + i * g->count, *a = g->first + i * g->count, *b = g->second + i * g->count;
    double warm1 = 1 - pow(slow, (double)(t + 1)), warm2 = 1 - pow(slower, (double)(t + 1));
    for (int64_t k = 0; k < g->count; k++) {
        double slope = g->slope[k];
        a[k] = slow * a[k] + (1 - slow) * slope;
        b[k] = slower * b[k] + (1 - slower) * slope * slope;
        p[k] += m->o.step * (a[k] / warm1) / (sqrt(b[k] / warm2) + 1e-8);
    }
}

static cvs_status answer(garden *g, int i, int64_t t, const cvi_sway *sway) {
    cvs_tensor gradient;
    bool still = true;
    CVI_TRY(cvi_feature_answer(g->m, t < WAKING, &gradient, &still, g->err));
    g->silent[i] = g->silent[i] && still;
    if (!still) {
        climb(g, i, t, sway, &gradient);
    }
    return CVS_OK;
}

/* All pictures look first; then each goes on from its own seed and from what is common with the others. */
static cvs_status step_apart(garden *g, int64_t t) {
    cvs_feature_maker *m = g->m;
    float *layer[16], *seed[16];
    for (int i = 0; i < g->n; i++) {
        layer[i] = g->layers + i * m->n_layer;
        seed[i] = g->seeds + i * m->n_layer;
        (void)look(g, i, t);
        CVI_TRY(cvi_feature_ask(m, true, &g->out->value[i * (m->o.steps + 1) + t], g->err));
        memcpy(layer[i], m->planes.data, (size_t)m->n_layer * sizeof(float));
        memcpy(seed[i], m->seed.data, (size_t)m->n_layer * sizeof(float));
    }
    if (!cvi_want_apart(layer, g->n, m->planes.channels, m->planes.rows * m->planes.columns, m->o.diversity,
                        seed)) {
        return cvi_no_memory(g->err, (size_t)(m->planes.channels * m->planes.channels) * sizeof(double));
    }
    for (int i = 0; i < g->n; i++) {
        double again;
        cvi_sway sway = look(g, i, t);
        CVI_TRY(cvi_feature_ask(m, false, &again, g->err));
        memcpy(m->seed.data, seed[i], (size_t)m->n_layer * sizeof(float));
        CVI_TRY(answer(g, i, t, &sway));
    }
    return CVS_OK;
}

static cvs_status step(garden *g, int64_t t) {
    cvs_feature_maker *m = g->m;
    if (g->layers) {
        return step_apart(g, t);
    }
    for (int i = 0; i < g->n; i++) {
        cvi_sway sway = look(g, i, t);
        CVI_TRY(cvi_feature_ask(m, true, &g->out->value[i * (m->o.steps + 1) + t], g->err));
        CVI_TRY(answer(g, i, t, &sway));
    }
    return CVS_OK;
}

/* The finished picture i: looked at once more as it is. */
static cvs_status finish(garden *g, int i) {
    cvs_feature_maker *m = g->m;
    int64_t area = cvi_feature_pixels(m), channels = m->input.dim[1];
    uint8_t *shown = (uint8_t *)g->out->shown.data + 3 * i * area;
    (void)look(g, i, m->o.steps);
    CVI_TRY(cvi_feature_ask(m, false, &g->out->value[i * (m->o.steps + 1) + m->o.steps], g->err));
    memcpy((float *)g->out->input.data + i * g->pixels, m->input.data, (size_t)g->pixels * sizeof(float));
    for (int64_t k = 0; k < area; k++) {
        double sum = 0;
        for (int64_t c = 0; c < channels; c++) {
            sum += g->x[c * area + k] / (double)channels;
        }
        for (int c = 0; c < 3; c++) {
            shown[3 * k + c] = (uint8_t)lrint(255 * (channels == 3 ? g->x[c * area + k] : sum));
        }
    }
    return CVS_OK;
}

static cvs_status prepare(garden *g) {
    cvs_feature_maker *m = g->m;
    CVI_TRY(cvi_spectrum_new(m->input.dim[1], m->input.dim[2], m->input.dim[3], 1, &g->spectrum, g->err));
    g->count = cvi_spectrum_count(&g->spectrum);
    g->pixels = m->input.dim[1] * cvi_feature_pixels(m);
    size_t all = (size_t)(g->n * g->count);
    bool apart = g->n > 1 && m->o.diversity > 0;
    g->parameters = cvi_calloc(all, sizeof(double));
    g->first = cvi_calloc(all, sizeof(double));
    g->second = cvi_calloc(all, sizeof(double));
    g->slope = cvi_calloc((size_t)g->count, sizeof(double));
    g->x = cvi_calloc((size_t)g->pixels, sizeof(double));
    g->y = cvi_calloc((size_t)g->pixels, sizeof(double));
    g->dx = cvi_calloc((size_t)g->pixels, sizeof(double));
    g->dy = cvi_calloc((size_t)g->pixels, sizeof(double));
    g->silent = cvi_calloc((size_t)g->n, sizeof *g->silent);
    g->layers = apart ? cvi_calloc((size_t)(g->n * m->n_layer), sizeof(float)) : NULL;
    g->seeds = apart ? cvi_calloc((size_t)(g->n * m->n_layer), sizeof(float)) : NULL;
    if (!g->parameters || !g->first || !g->second || !g->slope || !g->x || !g->y || !g->dx || !g->dy ||
        !g->silent || (apart && (!g->layers || !g->seeds))) {
        return cvi_no_memory(g->err, all * sizeof(double));
    }
    for (size_t k = 0; k < all; k++) {
        g->parameters[k] = 0.01 * cvi_random_normal(m->o.seed, PURPOSE, (uint64_t)k);
    }
    memset(g->silent, true, (size_t)g->n * sizeof *g->silent);
    return CVS_OK;
}

static void give_back(garden *g) {
    double *all[] = {g->parameters, g->first, g->second, g->slope, g->x, g->y, g->dx, g->dy};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        cvi_free(all[i]);
    }
    cvi_free(g->silent);
    cvi_free(g->layers);
    cvi_free(g->seeds);
    cvi_spectrum_free(&g->spectrum);
}

cvs_status cvi_feature_fourier(cvs_feature_maker *m, cvs_feature *out, bool *silent, cvs_error *err) {
    garden g = {.m = m, .out = out, .n = out->n, .err = err};
    cvs_status s = prepare(&g);
    for (int64_t t = 0; t < m->o.steps && s == CVS_OK; t++) {
        s = step(&g, t);
        s = s == CVS_OK ? cvi_feature_tell(m, (double)(t + 1) / (double)m->o.steps, err) : s;
    }
    for (int i = 0; i < g.n && s == CVS_OK; i++) {
        s = finish(&g, i);
        *silent = *silent && g.silent[i];
    }
    give_back(&g);
    return s;
}
