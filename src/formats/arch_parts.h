/* SPDX-License-Identifier: MIT
 * arch_parts.h (internal) - pieces that the architectures known by their tensors share: a convolution with its normalisation,
 * squeeze-and-excitation, a residual block of such parts, normalisation over channels; all written in the text language, labelled as
 * the tensors are named, widths, kernels and groups read off the shapes.
 */
#ifndef CVI_ARCH_PARTS_H
#define CVI_ARCH_PARTS_H

#include "formats/state.h"

enum { CVI_ARCH_LABEL = 80, CVI_ARCH_PARTS = 6, CVI_ARCH_BLOCKS = 120 };

/* A convolution `first` with its normalisation `second`, or a squeeze-and-excitation of the convolutions `first` and `second`. */
typedef struct cvi_arch_part {
    char first[CVI_ARCH_LABEL], second[CVI_ARCH_LABEL];
    bool squeeze;
} cvi_arch_part;

/* What leaves no trace in weights. */
typedef struct cvi_arch_family {
    const char *act, *squeeze_act, *gate, *eps;
    bool same;    /* padding as TensorFlow's, at the far side first */
    int dilation; /* of what is wider than a point; 0 counts as 1 */
} cvi_arch_family;

/* The label that was written last, and its channels. */
typedef struct cvi_arch_place {
    char label[CVI_ARCH_LABEL];
    int64_t channels;
} cvi_arch_place;

/* Size i of a tensor; 0 where there is none. */
int64_t cvi_arch_dim(const cvs_tensor *t, int i);
/* The tensor LABEL.weight or NULL. */
const cvs_tensor *cvi_arch_weight(const cvi_state *s, const char *label);
/* `first` and `second` are names within `block`, a prefix that ends with its dot. */
cvi_arch_part cvi_arch_part_of(const char *block, const char *first, const char *second, bool squeeze);

/* name, preprocessing for 1000 classes and input; `size` is the side of the picture. */
void cvi_arch_head(cvi_buf *b, const char *name, int64_t classes, int64_t colours, int size);
/* A convolution on what was written last, and its normalisation; act NULL: none behind. */
void cvi_arch_conv(const cvi_state *s, cvi_buf *b, const cvi_arch_part *p, const cvi_arch_family *f,
                   int64_t stride, cvi_arch_place *at, const char *act);
void cvi_arch_squeeze(const cvi_state *s, cvi_buf *b, const cvi_arch_part *p, const cvi_arch_family *f,
                      cvi_arch_place *at);
/* The parts one behind the other, activations between them and, where `last_act`, behind them; the stride is the depthwise convolution's,
 * or without one that of the first convolution wider than a point. The input is added where `skip` and the sizes stay. */
void cvi_arch_block(const cvi_state *s, cvi_buf *b, const cvi_arch_part *parts, int n,
                    const cvi_arch_family *f, int64_t stride, const char *name, bool skip, bool last_act,
                    cvi_arch_place *at);
/* Normalisation over the channels of maps, LABEL.weight and LABEL.bias; at becomes LABEL. */
void cvi_arch_channel_norm(cvi_buf *b, const char *label, const char *eps, cvi_arch_place *at);
/* Which EfficientNet has so many blocks, the last with so many channels, and the side of its pictures (arch_mobile.c). */
const char *cvi_arch_efficientnet_name(int blocks, int64_t last, bool is_lite, int *size);

#endif
