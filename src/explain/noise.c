/* SPDX-License-Identifier: MIT
 * noise.c - gradients of copies of the picture with normal noise from the counter-based generator: the same seed, the same map on
 * any machine. Mean and variance by Welford's update, so that equal gradients have no variance at all.
 */
#include <math.h>

#include "explain/noise.h"
#include "engine/run_state.h"

enum { SAMPLES = 25, CEILING = 1000000, PIECE = 4096, PURPOSE = 0x6e6f6973 /* "nois" */ };

typedef struct noisy {
    cvi_again again;
    double *mean, *spread; /* [pixels] */
    double sigma;
} noisy;

static double range_of(const cvs_tensor *x) {
    const float *v = x->data;
    double low = (double)v[0], high = low;
    for (int64_t i = 1, n = cvs_tensor_count(x); i < n; i++) {
        low = fmin(low, (double)v[i]);
        high = fmax(high, (double)v[i]);
    }
    return high - low;
}

/* Both steps go over the pixels in pieces: each number depends on its own index only, so that threads do not change the bits. */
typedef struct piece_job {
    noisy *n;
    int64_t first, here; /* copies of this batch */
    const float *slope;  /* [here, pixels] */
} piece_job;

static void draw_piece(void *context, int64_t piece, int worker) {
    const piece_job *j = context;
    cvi_again *a = &j->n->again;
    const float *x = a->picture.data;
    (void)worker;
    for (int64_t b = 0; b < j->here; b++) {
        float *place = cvi_again_place(a, b);
        for (int64_t i = piece * PIECE; i < CVI_MIN((piece + 1) * PIECE, a->pixels); i++) {
            uint64_t index = (uint64_t)(j->first + b) * (uint64_t)a->pixels + (uint64_t)i;
            place[i] =
                (float)((double)x[i] + j->n->sigma * cvi_random_normal(a->q->options->seed, PURPOSE, index));
        }
    }
}

/* Captum and tf-keras-vis average absolute values. */
static void add_piece(void *context, int64_t piece, int worker) {
    const piece_job *j = context;
    noisy *n = j->n;
    bool absolute = n->again.q->compat != CVI_OWN;
    (void)worker;
    for (int64_t b = 0; b < j->here; b++) {
        const float *slope = j->slope + b * n->again.pixels;
        double count = (double)(j->first + b + 1);
        for (int64_t i = piece * PIECE; i < CVI_MIN((piece + 1) * PIECE, n->again.pixels); i++) {
            double now = absolute ? fabs((double)slope[i]) : (double)slope[i], before = now - n->mean[i];
            n->mean[i] += before / count;
            n->spread[i] += before * (now - n->mean[i]);
        }
    }
}

static cvs_status draw(noisy *n, int64_t samples) {
    cvi_again *a = &n->again;
    cvi_pool *pool = a->q->run->pool;
    int64_t pieces = (a->pixels + PIECE - 1) / PIECE;
    for (int64_t k = 0; k < samples; k += a->batch) {
        piece_job job = {.n = n, .first = k, .here = CVI_MIN(a->batch, samples - k)};
        double score;
        cvs_tensor g;
        cvi_pool_run(pool, pieces, draw_piece, &job);
        CVI_TRY(cvi_again_scores(a, 1, (double)k / (double)samples, &score));
        CVI_TRY(cvi_again_gradient(a, &g));
        job.slope = g.data;
        cvi_pool_run(pool, pieces, add_piece, &job);
    }
    return CVS_OK;
}

static cvs_status smooth(noisy *n, cvi_noise_combine combine, cvs_explanation *out) {
    cvi_again *a = &n->again;
    cvi_question *q = a->q;
    const cvs_explain_options *o = q->options;
    bool captum = q->compat == CVI_CAPTUM; /* 5 copies, and noise in units of the input */
    int64_t samples = o->samples > 0 ? o->samples : captum ? 5 : SAMPLES;
    double range = range_of(&a->picture);
    double usual = captum ? 1.0 : q->compat == CVI_TF_KERAS_VIS ? 0.2 : 0.15;
    double given = o->noise > 0.0 || o->has_noise ? o->noise : usual;
    n->sigma = captum ? given : given * range;
    double share = range > 0.0 ? n->sigma / range : 0.0;
    q->sign = q->compat != CVI_OWN ? CVI_SIGN_NEVER : q->sign;
    n->mean = cvi_calloc((size_t)a->pixels, 2 * sizeof *n->mean);
    if (!n->mean) {
        return cvi_no_memory(q->err, (size_t)a->pixels * 2 * sizeof *n->mean);
    }
    n->spread = n->mean + a->pixels;
    CVI_TRY(cvs_tensor_new(&out->map, CVS_F32, a->picture.rank, a->picture.dim, q->err));
    CVI_TRY(draw(n, samples));
    float *map = out->map.data;
    for (int64_t i = 0; i < a->pixels; i++) {
        map[i] = (float)combine(n->mean[i], n->spread[i] / (double)samples);
    }
    snprintf(
        q->settings, sizeof q->settings,
        cvi_tr(o->lang,
               "%lld samples, noise of standard deviation %.4g (%.3g %% of the picture's range), seed %llu"),
        (long long)samples, n->sigma, 100.0 * share, (unsigned long long)o->seed);
    return CVS_OK;
}

cvs_status cvi_noise_run(cvi_question *q, cvi_noise_combine combine, cvs_explanation *out) {
    noisy n = {0};
    const cvs_explain_options *o = q->options;
    if (o->samples < 0 || o->samples > CEILING) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "%lld samples are not possible, 1 to %lld are",
                        (long long)o->samples, (long long)CEILING);
    }
    if (!(o->noise >= 0.0 && o->noise <= 100.0)) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "noise of %g times the picture's range is not possible",
                        o->noise);
    }
    cvs_status s = cvi_again_new(q, &n.again);
    if (s == CVS_OK) {
        s = smooth(&n, combine, out);
    }
    cvi_again_free(&n.again);
    cvi_free(n.mean);
    return s;
}
