/* SPDX-License-Identifier: MIT
 * volume.h - what the style `volume` draws: solids with their places (volume_places.c), painted by style_volume.c. One oblique
 * projection: depth runs up and to the right.
 */
#ifndef CVI_VOLUME_H
#define CVI_VOLUME_H

#include "draw/sketch.h"

#define CVI_OBLIQUE      0.38 /* of the depth, both across and up */
#define CVI_OBLIQUE_HALF (CVI_OBLIQUE / 2)

typedef struct cvi_solid {
    double x, y;       /* left end and height of the axis through the middle */
    double w, h, d;    /* points; d before the projection */
    double label;      /* width of the number under it */
    const char *count; /* that number */
    const char *size;  /* "56×56" along the depth edge: last of its run; NULL: none */
    const char *caption;
    int row, level; /* level: in a V, how deep */
    bool ball, vector, starts, linked;
} cvi_solid;

typedef struct cvi_volume {
    cvi_sketch *k;
    cvi_solid *at;
    int n, rows;
    bool is_v, captions;
    double shrink;
    bool letters;
} cvi_volume;

static inline double cvi_solid_left(const cvi_solid *b) {
    return b->x - CVI_OBLIQUE_HALF * b->d;
}
static inline double cvi_solid_bottom(const cvi_solid *b) {
    return b->y + b->h / 2 + CVI_OBLIQUE_HALF * b->d;
}
static inline double cvi_solid_top(const cvi_solid *b) {
    return b->y - b->h / 2 - CVI_OBLIQUE_HALF * b->d;
}

#define CVI_BALL 5.0 /* radius of a sum or product */

/* A link that leaves out boxes. */
static inline bool cvi_is_skip(const cvi_link *l) {
    return l->to != l->from + 1;
}
/* How far the slanted size of a solid reaches to the right of its axis end, and the solid to the left of its begin. */
double cvi_solid_size_reach(const cvi_volume *v, const cvi_solid *b);
double cvi_solid_reach_left(const cvi_solid *b);
/* Innermost frame around box i that stands for several units; -1 = none. */
int cvi_volume_repeat(const cvi_volume *v, int i);
/* Sizes, texts and x of every solid, rows broken at the sketch's width; a V (is_v) only where it fits there. */
void cvi_volume_place(cvi_volume *v);
/* y of every solid of a V, each size at its own height below `top`; returns the lowest point. */
double cvi_volume_levels(cvi_volume *v, double top);

#endif
