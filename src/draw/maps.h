/* SPDX-License-Identifier: MIT
 * maps.h (internal) - one sample of a layer's value seen as maps x [C, rows, columns]; for the figures of activations and
 * pooling and for the report.
 */
#ifndef CVI_MAPS_H
#define CVI_MAPS_H

#include "draw/figure.h"

/* [N,C,...,W]: axis 1 counts the maps, the last axis is a map's columns, all between are stacked as its rows; a vector
 * [N,C] or [C] has C maps of one value. */
typedef struct cvi_maps {
    const float *data; /* borrowed */
    int64_t maps, rows, columns;
} cvi_maps;

typedef enum cvi_map_kind { CVI_MAP_LIVE, CVI_MAP_BLANK, CVI_MAP_CONSTANT, CVI_MAP_BROKEN } cvi_map_kind;

cvs_status cvi_maps_view(const cvs_tensor *value, int64_t sample, cvi_maps *out, cvs_error *err);
const float *cvi_map(const cvi_maps *m, int64_t i);
/* All zero, all equal, with NaN or infinity, or none of these; and the range of what is finite. A single value that is
 * finite is live. */
cvi_map_kind cvi_map_look(const cvi_maps *m, int64_t i, double *least, double *largest);
/* Mean of the shrink x shrink block (less at the edges) at block row y, block column x of map i. */
float cvi_map_mean(const cvi_maps *m, int64_t i, int64_t y, int64_t x, int64_t shrink);

/* Draws a uint8 [H,W,3] picture at most side points large; returns its height, 0 when there is none. */
double cvi_draw_picture(cvi_page *page, double x, double y, double side, const cvs_tensor *picture,
                        double *width);

#endif
