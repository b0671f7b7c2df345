/* SPDX-License-Identifier: MIT
 * signed_picture.h (internal) - signed numbers of every colour of a picture, drawn with grey as zero.
 */
#ifndef CVI_SIGNED_PICTURE_H
#define CVI_SIGNED_PICTURE_H

#include "draw/figure.h"

/* x [C,rows,columns] into the scene at (x, y), w points wide: 3 channels as colours (order says which), others as their sum. Large ones
 * are averaged down. Returns the height drawn. */
double cvi_draw_signed(cvi_page *page, double x, double y, double w, const float *v, int64_t channels,
                       int64_t rows, int64_t columns, cvs_channel_order order);
/* A bar of what the greys mean; returns its height. */
double cvi_signed_legend(cvi_page *page, double x, double y, double width);

#endif
