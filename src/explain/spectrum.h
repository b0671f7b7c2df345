/* SPDX-License-Identifier: MIT
 * spectrum.h (internal) - pictures by their frequencies: the Fourier transform, and the parametrisation of a picture in [0,1] by a
 * spectrum with decorrelated colours (Olah, Mordvintsev, Schubert: Feature Visualization, Distill 2017; Lucid's constants).
 */
#ifndef CVI_SPECTRUM_H
#define CVI_SPECTRUM_H

#include "base/base.h"

/* Discrete Fourier transforms of any length. work is cvi_fft_work(n) doubles of scratch. data: n pairs (real, imaginary), stride pairs
 * apart, in place: sum over j of data[j] exp(sign 2 pi i j k / n), not scaled. */
int64_t cvi_fft_work(int64_t n);
void cvi_fft(double *data, int64_t n, int64_t stride, int sign, double *work);

/* Parameters [C][H][W/2+1] pairs of a picture x [C,H,W] in (0,1). */
typedef struct cvi_spectrum {
    int64_t channels, rows, columns, half; /* half = columns / 2 + 1 */
    double *scale;                         /* [H][half]: what a frequency's parameter counts */
    double *grid, *work;                   /* scratch: one plane of pairs, and the transform's own */
    double *planes;                        /* [C,H,W]: before the sigmoid, after colour */
} cvi_spectrum;

/* decay 1: every frequency gets the weight that natural pictures have. Free with cvi_spectrum_free after failure too. */
cvs_status cvi_spectrum_new(int64_t channels, int64_t rows, int64_t columns, double decay, cvi_spectrum *out,
                            cvs_error *err);
void cvi_spectrum_free(cvi_spectrum *s);
int64_t cvi_spectrum_count(const cvi_spectrum *s); /* doubles of the parameters */
/* The picture: x = sigmoid(colour(inverse transform(scale * parameters) / 4)). */
void cvi_spectrum_picture(cvi_spectrum *s, const double *parameters, double *x);
/* After it: d target / d parameters from d target / d x. */
void cvi_spectrum_gradient(cvi_spectrum *s, const double *x, const double *dx, double *gradient);

#endif
