/* SPDX-License-Identifier: MIT
 * image.h (internal) - what image.c asks of the decoders, one file per picture format, and what they share.
 * A decoder fills `out` (uint8 [H,W,3], owned, alpha already laid over white) as the pixels are stored, and
 * *orientation from the EXIF data (1 = upright). After a failure `out` may be filled: image.c frees it.
 */
#ifndef CVI_IMAGE_H
#define CVI_IMAGE_H

#include "convscope/tensor.h"

cvs_status cvi_jpeg_decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                           int *orientation, cvs_error *err);
cvs_status cvi_png_decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                          int *orientation, cvs_error *err);
/* cvs_png_encode for flat figures that are written while something waits: no filters, least compression. */
cvs_status cvi_png_encode_quick(const cvs_tensor *image, uint8_t **out, size_t *out_bytes, cvs_error *err);
cvs_status cvi_webp_decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                           int *orientation, cvs_error *err);
cvs_status cvi_bmp_decode(const uint8_t *data, size_t size, const cvs_limits *limits, cvs_tensor *out,
                          int *orientation, cvs_error *err);

/* Makes the uint8 [height,width,3] tensor of a picture, within limits (which may be NULL). */
cvs_status cvi_image_new(int64_t height, int64_t width, const cvs_limits *limits, cvs_tensor *out,
                         cvs_error *err);
/* Lays n RGBA pixels over white into n RGB pixels. */
void cvi_image_over_white(const uint8_t *rgba, uint8_t *rgb, int64_t n);
/* The orientation 1 to 8 in EXIF data (a TIFF header and its first directory, with or without "Exif\\0\\0" before); 1
 * where it is absent or damaged. */
int cvi_exif_orientation(const uint8_t *data, size_t size);

#endif
