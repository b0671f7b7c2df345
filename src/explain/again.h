/* SPDX-License-Identifier: MIT
 * again.h (internal) - runs the model again on changed pictures, for methods that ask more than once; and the pictures such
 * methods start from.
 */
#ifndef CVI_AGAIN_H
#define CVI_AGAIN_H

#include "explain/method.h"

/* An exec of its own, with the run's options, and inputs that may be changed: `batch` places, each at first the sample asked
 * about. batch is what the model's file fixes, else 1. */
typedef struct cvi_again {
    cvi_question *q;
    cvi_exec *exec;
    cvs_tensor *inputs; /* one per graph input, owned */
    cvs_tensor seed;    /* d target / d target_value of all places, owned */
    cvs_tensor picture; /* the sample itself, x [1,C,H,W] (or [1,...]) float32, owned */
    int64_t batch, pixels;
    void *own[4]; /* what the method put aside: freed with this */
    int n_own;
} cvi_again;

/* Free with cvi_again_free after failure too. */
cvs_status cvi_again_new(cvi_question *q, cvi_again *out);
/* The same, to be a base of the incremental re-run: fused, and with nothing kept for gradients. */
cvs_status cvi_again_base(cvi_question *q, cvi_again *out);
/* The same for scores alone, several places at a time where the model's batch is free: no gradients. */
cvs_status cvi_again_answers(cvi_question *q, cvi_again *out);
/* The same as cvi_again_new without algorithms that work on tiles: every place of a layer adds up its terms in one order, so what is the
 * same everywhere in a picture stays exactly so. */
cvs_status cvi_again_exact(cvi_question *q, cvi_again *out);
void cvi_again_free(cvi_again *a);
/* Makes one by `make` (one of the above), asks, frees it. */
cvs_status cvi_again_with(cvi_question *q, cvs_status (*make)(cvi_question *q, cvi_again *out),
                          cvs_status (*ask)(cvi_again *a, cvs_explanation *out), cvs_explanation *out);
/* Zeroed room [count] that is freed with a, at most four times; NULL with the error filled where there is none. */
void *cvi_again_room(cvi_again *a, int64_t count, size_t size);
/* The numbers [pixels] of place b of the first input, to be written before scores. */
float *cvi_again_place(cvi_again *a, int64_t b);
/* Runs; the target's value at the places 0..n-1. done in [0,1] goes to the caller's progress function. */
cvs_status cvi_again_scores(cvi_again *a, int64_t n, double done, double *out);
/* Tells the caller's progress function; an error where it cancels. */
cvs_status cvi_again_tell(const cvi_again *a, double done);
/* After scores: d target / d value [batch, ...], every place its own; borrowed until the next run. */
cvs_status cvi_again_gradient_at(cvi_again *a, int value, cvs_tensor *out);
/* A sentence unless the picture is [1,C,H,W]; one without a channel axis has become so. */
cvs_status cvi_again_picture(const cvi_again *a);
/* options.steps and options.samples, checked; `otherwise` where none is given. */
cvs_status cvi_option_steps(const cvi_question *q, int64_t otherwise, int64_t *out);
cvs_status cvi_option_samples(const cvi_question *q, int64_t otherwise, int64_t *out);
/* Points and weights [n] of a quadrature rule on [0,1]: 0 gauss, 1 midpoint, 2 left, 3 right, 4 trapezoid; and its number by
 * options.rule (none: gauss). */
cvs_status cvi_path_rule(const cvi_question *q, int rule, int64_t n, double *alpha, double *weight);
cvs_status cvi_path_rule_find(const cvi_question *q, int *rule, const char **name);
/* After scores: d target / d picture [batch, ...], every place its own; borrowed until the next run. */
cvs_status cvi_again_gradient(cvi_again *a, cvs_tensor *out);

/* (baseline.c) What "black", "white", "mean" (of this picture, per channel), "blur" (the picture out of focus), "noise" (uniform
 * between black and white, by the seed) or FILE.npy is in the network's input: [pixels], owned (cvi_free). text NULL = black. */
cvs_status cvi_baseline(const cvi_again *a, const char *text, float **out);
/* What captions call options.baseline; returns buf. */
const char *cvi_baseline_words(const cvi_again *a, char *buf, size_t size);
/* The picture's mean of every channel; a picture is [1,C,H,W], anything else has one channel. */
void cvi_channel_means(const cvs_tensor *picture, int64_t channels, double *mean);

#endif
