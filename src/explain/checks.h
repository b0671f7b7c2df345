/* SPDX-License-Identifier: MIT
 * checks.h (internal) - the parts of check.h: pixels ranked by a map, a network asked about many pictures, pixels filled in, maps
 * compared.
 */
#ifndef CVI_CHECKS_H
#define CVI_CHECKS_H

#include "convscope/check.h"
#include "explain/method.h"

/* ---- a map as one number per pixel (evidence.c) ------------------------------------------------------------- */
/* The map at its own resolution [h,w]: channels added up (slopes: their sizes), a grid as what the target loses. Owned (cvi_free).
 * What is not finite counts as 0. */
cvs_status cvi_evidence_own(const cvs_explanation *e, float **out, int64_t *h, int64_t *w, cvs_error *err);
/* The same over a picture of [height,width] pixels: bilinear, half-pixel centres; a grid's cells stand at the middle of their
 * patches. Owned. */
cvs_status cvi_evidence(const cvs_explanation *e, int64_t height, int64_t width, float **out, cvs_error *err);
/* Pixels by value, highest first; equal ones in an order drawn from the seed. order [n]. */
cvs_status cvi_rank_pixels(const float *value, int64_t n, uint64_t seed, int64_t *order, cvs_error *err);
/* Gini index of |value|: sum of (2i - n - 1) a_i / (n sum a), a sorted upwards; 0 where all are 0. */
cvs_status cvi_gini(const float *value, int64_t n, double *out, cvs_error *err);
/* Spearman's correlation, equal values share the mean of their ranks; NaN where one side is constant. */
cvs_status cvi_spearman(const double *a, const double *b, int64_t n, double *out, cvs_error *err);
/* Structural similarity (Wang et al. 2004) of two maps, each first brought to [0,1]: uniform windows of 7 (less for smaller maps),
 * K1 0.01, K2 0.03, sample covariances, mean over windows that lie inside. NaN where one is constant. */
double cvi_ssim(const double *a, const double *b, int64_t h, int64_t w);
/* Pixels of the object under the highest pixel (0 or 1), share of what is positive that lies on it (NaN: nothing positive), share of
 * the highest pixels on it. mask [n], order as above. */
void cvi_on_object(const float *value, const int64_t *order, const uint8_t *mask, int64_t n, double *pointing,
                   double *mass, double *rank);

/* ---- a network asked about many pictures (many.c) ------------------------------------------------------------ */
typedef struct cvi_many {
    const cvs_model *model;
    cvs_run *run; /* of its own, answers only */
    cvs_tensor x; /* [batch, C, H, W] float32, owned: what will be asked */
    int64_t batch, pixels, classes;
    int64_t asked;               /* pictures so far */
    double *probability, *logit; /* [batch, classes] of the last call */
} cvi_many;
/* For pictures like `picture` [1,C,H,W]; options may be NULL. Free with cvi_many_free after failure too. */
cvs_status cvi_many_new(const cvs_model *model, const cvs_run_options *options, const cvs_tensor *picture,
                        int64_t batch, cvi_many *out, cvs_error *err);
void cvi_many_free(cvi_many *p);
float *cvi_many_place(cvi_many *p, int64_t b);
/* Asks about the first n places. */
cvs_status cvi_many_ask(cvi_many *p, int64_t n, cvs_error *err);

/* ---- curves (curves.c), ROAD (road.c) -------------------------------------------------------------------------- */
typedef struct cvi_curves {
    cvi_many *many;
    const float *picture; /* [C, area] */
    int64_t channels, height, width;
    const int64_t *order; /* [area] highest first */
    int target;
    int points;
    uint64_t seed;
    cvs_error *err;
} cvi_curves;
/* Areas under deletion and insertion curves, trapezoids on equal steps. */
cvs_status cvi_curve_deletion(const cvi_curves *c, cvs_removal *out, double *area);
cvs_status cvi_curve_insertion(const cvi_curves *c, cvs_removal *out, double *area);
cvs_status cvi_curve_road(const cvi_curves *c, cvs_removal *highest, cvs_removal *lowest, double *score);
/* Gaussian blur, 11 x 11, sigma 5, edges repeated, of every channel; out [C, area]. */
cvs_status cvi_blur_11(const float *in, int64_t channels, int64_t h, int64_t w, float *out, cvs_error *err);
/* Noisy linear imputation without the noise: every pixel with removed[i] != 0 becomes the weighted mean of its neighbours inside the
 * picture (1/6 beside and above, 1/12 diagonal), all of them solved together. x [channels, h*w] is changed in place. */
cvs_status cvi_road_fill(float *x, int64_t channels, int64_t h, int64_t w, const uint8_t *removed,
                         cvs_error *err);

/* ---- shuffled weights (shuffled.c) ------------------------------------------------------------------------------ */
cvs_status cvi_check_shuffled(cvs_run *run, const cvs_explain_options *how, const cvs_explanation *e,
                              const cvs_check_options *o, cvs_checked *out, cvs_error *err);

#endif
