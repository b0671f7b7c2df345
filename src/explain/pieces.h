/* SPDX-License-Identifier: MIT
 * pieces.h (internal) - a picture cut into pieces of like colour, the target's value with some of them removed, and a linear model
 * of it: what LIME and KernelSHAP share.
 */
#ifndef CVI_PIECES_H
#define CVI_PIECES_H

#include "explain/again.h"

typedef struct cvi_pieces {
    cvi_again again;
    int32_t *label; /* [h*w]: the piece of a pixel */
    float *without; /* [pixels]: what a removed piece shows */
    int64_t n, area;
} cvi_pieces;

/* About `wanted` pieces [h*w] of a picture x [1,C,H,W] of any range, connected, numbered from 0 in reading order, their number in
 * *n: SLIC (Achanta et al. 2012) with colours in parts of the picture's range. label [h*w] is the caller's. */
cvs_status cvi_superpixels(const cvs_tensor *x, int64_t wanted, int32_t *label, int64_t *n, cvs_error *err);

/* Cuts the question's picture up. What replaces a piece: options.fill, else options.baseline, else its own mean colour (own_mean) or
 * black; how it is called is written to text[size] in the caption's language. Free with cvi_pieces_free after failure too. */
cvs_status cvi_pieces_new(cvi_question *q, bool own_mean, char *text, size_t size, cvi_pieces *out);
void cvi_pieces_free(cvi_pieces *p);
/* The target's values with only the pieces seen of which row k of on [rows, n] is not 0. */
cvs_status cvi_pieces_scores(cvi_pieces *p, const uint8_t *on, int64_t rows, double *out);
/* The map [1,1,H,W]: every pixel its piece's value. */
cvs_status cvi_pieces_map(const cvi_pieces *p, const double *value, cvs_explanation *out);
/* Solves the symmetric positive system a x = b [m,m], [m]; a is overwritten, x replaces b. Directions without weight get nothing. */
void cvi_solve(double *a, double *b, int64_t m);

#endif
