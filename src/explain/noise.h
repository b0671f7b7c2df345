/* SPDX-License-Identifier: MIT
 * noise.h (internal) - gradients of noisy copies of the picture: their mean and spread, for SmoothGrad and its relatives.
 */
#ifndef CVI_NOISE_H
#define CVI_NOISE_H

#include "explain/again.h"

/* Mean and variance (divided by the number of samples) of d target / d pixel over noisy pictures. */
typedef double (*cvi_noise_combine)(double mean, double variance);
/* Fills out->map with combine of every pixel, and the settings for the caption. */
cvs_status cvi_noise_run(cvi_question *q, cvi_noise_combine combine, cvs_explanation *out);

#endif
