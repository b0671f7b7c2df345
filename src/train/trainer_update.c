/* SPDX-License-Identifier: MIT
 * trainer_update.c - from the gradients of the pieces to new weights: threads claim stretches of the parameters, add the pieces' gradients
 * in order, and update; clipping to a norm needs all gradients first. Measured on request.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "train/trainer_parts.h"

/* ---- from gradients to weights -------------------------------------------------------------------------- */

/* Adds the pieces' gradients of a stretch into the first one's, in order; NULL: there are none. */
static float *sum_pieces(cvi_trainer *t, const stretch *s) {
    const float *from[CVI_MAX_PIECES];
    float *sum = NULL;
    int n = 0;
    for (int i = 0; i < t->n_pieces; i++) {
        float *g = t->pieces[i].any ? t->pieces[i].gradients + s->at : NULL;
        sum = sum ? sum : g;
        if (g) {
            from[n++] = g;
        }
    }
    if (n > 1) {
        cvi_sum_listed(n, s->to - s->from, from, sum);
    }
    return sum;
}

/* Adds what the penalties l1 |w| + l2 w^2 contribute to the gradient, and gives their value. */
static double add_penalty(const cvi_param *p, const float *w, int64_t n, float *g) {
    float l1 = (float)p->l1, l2 = (float)(2 * p->l2);
    double straight = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        straight += fabs((double)w[i]);
        square += (double)w[i] * (double)w[i];
        g[i] += l1 * (float)((w[i] > 0) - (w[i] < 0)) + l2 * w[i];
    }
    return p->l1 * straight + p->l2 * square;
}

/* The whole gradient of a stretch, before clipping to a norm; returns the penalties. */
static double finish_gradient(cvi_trainer *t, const stretch *s, float *g) {
    const cvi_param *param = &t->params->list[s->param];
    float most = (float)t->training->clip_value;
    int64_t n = s->to - s->from;
    bool punished = param->weight && (param->l1 > 0 || param->l2 > 0);
    double penalty = punished ? add_penalty(param, (const float *)param->now.data + s->from, n, g) : 0;
    for (int64_t i = 0; most > 0 && i < n; i++) {
        g[i] = g[i] > most ? most : g[i] < -most ? -most : g[i];
    }
    return penalty;
}

static void measure_gradient(cvi_measure *m, const float *g, int64_t n) {
    *m = (cvi_measure){0};
    for (int64_t i = 0; i < n; i++) {
        double v = fabs((double)g[i]);
        m->broken += !isfinite(v);
        m->gradient += v * v;
        m->largest = v > m->largest ? v : m->largest;
    }
}

static void measure_change(cvi_measure *m, const float *was, const float *now, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double change = (double)now[i] - (double)was[i];
        m->weight += (double)was[i] * (double)was[i];
        m->change += change * change;
        m->unchanged += change == 0;
    }
}

static void update(cvi_trainer *t, const stretch *s, float *g) {
    float was[STRETCH];
    cvi_param *param = &t->params->list[s->param];
    float *slots[CVI_MAX_SLOTS] = {NULL};
    for (int k = 0; k < t->params->n_slots; k++) {
        slots[k] = param->slots[k] + s->from;
    }
    if (t->measuring) {
        memcpy(was, (const float *)param->now.data + s->from, (size_t)(s->to - s->from) * sizeof *was);
    }
    t->training->optimizer->update(&t->rates, t->step, s->to - s->from, (float *)param->now.data + s->from, g,
                                   slots);
    if (t->measuring) {
        measure_change(&t->parts[s - t->stretches], was, (const float *)param->now.data + s->from,
                       s->to - s->from);
    }
}

static bool clips(const cvi_training *t) {
    return t->clip_norm > 0 || t->clip_each > 0;
}

/* All in one where no norm is needed; else the gradient and its norm. */
static void gather_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    cvi_trainer *t = context;
    const stretch *s = &t->stretches[chunk];
    float *g = sum_pieces(t, s);
    t->penalties[chunk] = g ? finish_gradient(t, s, g) : 0;
    t->norms[chunk] = 0;
    if (g && t->measuring) {
        measure_gradient(&t->parts[chunk], g, s->to - s->from);
    }
    if (g && !clips(t->training)) {
        update(t, s, g);
    }
    for (int64_t i = 0; g && clips(t->training) && i < s->to - s->from; i++) {
        t->norms[chunk] += (double)g[i] * (double)g[i];
    }
}

static void clipped_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    cvi_trainer *t = context;
    const stretch *s = &t->stretches[chunk];
    float *g = t->pieces[t->first].gradients + s->at, scale = t->scales[s->param];
    for (int64_t i = 0; scale != 1 && i < s->to - s->from; i++) {
        g[i] *= scale;
    }
    update(t, s, g);
}

/* PyTorch divides by the norm and 1e-6 more, Keras by the norm. */
static float scale_for(const cvi_training *t, double norm, double most) {
    double slack = t->rates.profile == CVI_TORCH ? 1e-6 : 0;
    return norm + slack > most || !isfinite(norm) ? (float)(most / (norm + slack)) : 1;
}

static void find_scales(cvi_trainer *t) {
    double all = 0;
    for (int64_t at = 0, i; at < t->n_stretches; at = i) {
        int param = t->stretches[at].param;
        double sum = 0;
        for (i = at; i < t->n_stretches && t->stretches[i].param == param; i++) {
            sum += t->norms[i];
        }
        all += sum;
        t->scales[param] =
            t->training->clip_each > 0 ? scale_for(t->training, sqrt(sum), t->training->clip_each) : 1;
    }
    float scale = t->training->clip_norm > 0 ? scale_for(t->training, sqrt(all), t->training->clip_norm) : 1;
    for (int i = 0; t->training->clip_norm > 0 && i < t->params->n_trained; i++) {
        t->scales[i] = scale;
    }
}

double cvi_trainer_update(cvi_trainer *t) {
    double penalty = 0;
    cvi_pool_run(t->pool, t->n_stretches, gather_body, t);
    for (int64_t i = 0; i < t->n_stretches; i++) {
        penalty += t->penalties[i];
    }
    t->first = 0;
    while (t->first < t->n_pieces && !t->pieces[t->first].any) {
        t->first++;
    }
    if (clips(t->training) && t->first < t->n_pieces) {
        find_scales(t);
        cvi_pool_run(t->pool, t->n_stretches, clipped_body, t);
    }
    return penalty;
}

/* In the order of the stretches, so that threads do not show. */
void cvi_trainer_sum_measures(cvi_trainer *t) {
    memset(t->measures, 0, (size_t)t->params->n_trained * sizeof *t->measures);
    for (int64_t i = 0; i < t->n_stretches; i++) {
        cvi_measure *m = &t->measures[t->stretches[i].param];
        const cvi_measure *p = &t->parts[i];
        m->weight += p->weight;
        m->gradient += p->gradient;
        m->change += p->change;
        m->largest = p->largest > m->largest ? p->largest : m->largest;
        m->broken += p->broken;
        m->unchanged += p->unchanged;
    }
}

const float *cvi_trainer_gradient(const cvi_trainer *t, int i) {
    for (int64_t k = 0; k < t->n_stretches && t->first < t->n_pieces; k++) {
        if (t->stretches[k].param == i && t->stretches[k].from == 0) {
            return t->pieces[t->first].gradients + t->stretches[k].at;
        }
    }
    return NULL;
}
