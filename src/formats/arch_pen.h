/* SPDX-License-Identifier: MIT
 * arch_pen.h (internal) - writes architectures of keras.applications in the text language, a line for every layer by its Keras name. What
 * a layer is (convolution, depthwise, separable, dense), its widths, kernel and bias, and which normalisation follows it, is read off
 * the tensors of that name; a family (arch_keras*.c) only says how layers follow one another, strides and activations.
 */
#ifndef CVI_ARCH_PEN_H
#define CVI_ARCH_PEN_H

#include "formats/arch_parts.h"

enum { CVI_PEN_AUTO = 320 };

/* Names that Keras counts by itself, "conv2d_7": only their order within a network means something. */
typedef struct cvi_pen_counted {
    int n;
    int64_t number[CVI_PEN_AUTO]; /* sorted */
} cvi_pen_counted;

typedef struct cvi_pen {
    const cvi_state *s;
    cvi_buf *b;
    cvi_arch_place at; /* what the next layer reads */
    const char *eps;   /* of normalisations */
    bool missing;      /* a layer is not there: nothing more is written */
    cvi_pen_counted convs, norms;
} cvi_pen;

/* The tensors hold a network of this family if the layer `first` has weights: name, picture's preprocessing (NULL: none is named) and
 * input of the colours that `first` takes. */
bool cvi_pen_begin(cvi_pen *p, const cvi_state *s, cvi_buf *b, const char *first, const char *name,
                   const char *preprocess, int size, const char *eps);
/* Takes back everything where a layer was missing. */
void cvi_pen_end(cvi_pen *p);

bool cvi_pen_has(const cvi_pen *p, const char *fmt, ...) CVI_PRINTF(2, 3);
/* The layer of that name on p->at: window as in the text language ("s2 same"), "fc" for a dense layer of a row of numbers; then its
 * normalisation, where one of its width is found, then act unless NULL. */
void cvi_pen_layer(cvi_pen *p, const char *window, const char *act, const char *fmt, ...) CVI_PRINTF(4, 5);
/* The same for the i-th convolution (from 0) that Keras named by itself. */
void cvi_pen_conv2d(cvi_pen *p, int i, const char *window, const char *act);
/* The convolution PREFIX CONV on p->at and the normalisation PREFIX NORM (NULL: none) behind it, as PyTorch's modules are named, then act unless
 * NULL. */
void cvi_pen_conv(cvi_pen *p, const char *prefix, const char *conv, const char *norm, const char *window,
                  const char *act);
/* Channels of p->at from the first on, so many in each of n parts; part[i] becomes PREFIX part i. */
void cvi_pen_split(cvi_pen *p, const char *prefix, int n, const int64_t *channels, cvi_arch_place *part);
/* A normalisation alone, as of DenseNet. */
void cvi_pen_norm(cvi_pen *p, const char *act, const char *fmt, ...) CVI_PRINTF(3, 4);
/* A line without weights, "maxpool k3 s2 same", under the name that fmt prints. */
void cvi_pen_op(cvi_pen *p, const char *words, const char *fmt, ...) CVI_PRINTF(3, 4);
/* "add", "mul" or "concat" of n places; p->at becomes the result. */
void cvi_pen_join(cvi_pen *p, const char *words, int n, const cvi_arch_place *from, const char *fmt, ...)
    CVI_PRINTF(5, 6);
/* Global pooling `pool`, the dense layer `dense` and softmax, where the file has that top. */
void cvi_pen_top(cvi_pen *p, const char *pool, const char *dense);

#endif
