/* SPDX-License-Identifier: MIT
 * data.h - from a picture to what goes into a network. (Data sets come here with training.)
 */
#ifndef CONVSCOPE_DATA_H
#define CONVSCOPE_DATA_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cvs_resize {
    CVS_RESIZE_SHORTER, /* shorter side, then centre crop */
    CVS_RESIZE_STRETCH, /* both sides to the input's, aspect not kept */
    CVS_RESIZE_NONE     /* the picture must have the input's size */
} cvs_resize;
typedef enum cvs_channel_order { CVS_RGB, CVS_BGR, CVS_GRAY } cvs_channel_order;

/* value = (pixel * scale - mean[c]) / std[c], pixel in 0..255, c in the network's channel order. */
typedef struct cvs_preprocess {
    bool
        known; /* false: nothing said what the network wants, this is the guess (shorter side, centre crop, /255) */
    char from[96]; /* who said it: "preset ImageNet-torch", "side file x.json", "guess"; for people */
    cvs_resize resize;
    int64_t resize_to;       /* the side before cropping; 0 = the input's own side times resize_ratio */
    double resize_ratio;     /* e.g. 256/224; 0 stands for 1 */
    cvs_channel_order order; /* CVS_GRAY is chosen by itself when the input has one channel */
    double scale;            /* 0 stands for 1/255 */
    double mean[4], std[4];  /* std 0 stands for 1 */
    bool invert;             /* 255 - pixel first (dark ink on white paper for nets trained on white ink) */
} cvs_preprocess;

/* Parses "--preprocess": a preset (unit, tf, ImageNet-torch, ImageNet-caffe) and/or key=value pairs separated by commas
 * (resize=shorter|stretch|none, size=256 or ratio=1.143 (of the input's side), order=rgb|bgr|gray, scale=, mean=a:b:c, std=a:b:c, invert=yes). */
cvs_status cvs_preprocess_parse(const char *text, cvs_preprocess *out, cvs_error *err);
/* Writes it as text that parse() reads, for captions and commands; returns buf. */
const char *cvs_preprocess_text(const cvs_preprocess *p, char *buf, size_t size);
/* Applies it: image uint8 [H,W,3] -> out float32 [1,channels,height,width], owned; `shown` (may be NULL) gets the
 * uint8 [height,width,3] picture that the network sees, before scaling, owned. */
cvs_status cvs_preprocess_apply(const cvs_preprocess *p, const cvs_tensor *image, int64_t channels,
                                int64_t height, int64_t width, cvs_tensor *out, cvs_tensor *shown,
                                cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif
