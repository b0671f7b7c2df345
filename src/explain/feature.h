/* SPDX-License-Identifier: MIT
 * feature.h (internal) - what the two modes of feature visualisation share: the maker, pictures into the network and back.
 */
#ifndef CVI_FEATURE_H
#define CVI_FEATURE_H

#include "explain/probe.h"
#include "explain/want.h"

struct cvs_feature_maker {
    cvs_feature_options o; /* defaults filled in */
    cvi_probe probe;
    cvi_want want;
    cvs_tensor input;  /* float32 [1,C,H,W], what goes into the network; owned */
    cvi_planes planes; /* of the layer in the last run */
    int64_t channels;  /* of the layer */
    int64_t n_layer;   /* numbers of the layer */
    cvs_tensor seed;   /* of the layer's shape; owned */
};

static inline int64_t cvi_feature_pixels(const cvs_feature_maker *m) { /* of one channel */
    return m->input.dim[2] * m->input.dim[3];
}
/* What a pixel's number from 0 to 255 counts in channel c of the network's input, and the input for 0. */
void cvi_feature_scale(const cvs_feature_maker *m, int64_t c, double *factor, double *offset);
/* The picture's colour that channel c of the input shows. */
int64_t cvi_feature_colour(const cvs_feature_maker *m, int64_t c);
/* Runs on m->input: value of what is wanted, and with `seed` its gradient at the layer into m->seed. */
cvs_status cvi_feature_ask(cvs_feature_maker *m, bool seed, double *value, cvs_error *err);
/* The gradient at m->input from m->seed; *silent: all of it is zero. wake: by the deconvnet rule where it is silent, which no rectifier stops. */
cvs_status cvi_feature_answer(cvs_feature_maker *m, bool wake, cvs_tensor *gradient, bool *silent,
                              cvs_error *err);
cvs_status cvi_feature_tell(const cvs_feature_maker *m, double done, cvs_error *err);

/* The two modes: fill picture i of out, and its values. Said to be silent where no gradient ever came. */
cvs_status cvi_feature_book(cvs_feature_maker *m, int i, cvs_feature *out, bool *silent, cvs_error *err);
cvs_status cvi_feature_fourier(cvs_feature_maker *m, cvs_feature *out, bool *silent, cvs_error *err);

#endif
