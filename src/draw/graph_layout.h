/* SPDX-License-Identifier: MIT
 * graph_layout.h (internal) - where the boxes, arrows and frames of a view go: a layered layout in linear time. The style
 * "graph" draws it, the app moves things to it.
 *
 * The main path is one straight line. Every other branch is a straight column of its own, as near as the columns before it
 * allow; arrows that skip boxes run on rails beside all that they pass, shorter ones nearer. Arrows change their column only
 * between two ranks, where no box is: none can run through a box. Long drawings go on in a new column to the right (or
 * row below), where one arrow alone would cross the break.
 */
#ifndef CVI_GRAPH_LAYOUT_H
#define CVI_GRAPH_LAYOUT_H

#include "draw/arch.h"

typedef struct cvi_box_size {
    double w, h; /* points */
} cvi_box_size;

typedef struct cvi_place {
    double x, y, w, h; /* top left, points from the top left of the drawing */
    int rank;
    bool main; /* on the main path */
} cvi_place;

typedef struct cvi_route {
    int first, count;        /* steps: 'M', 'L', 'C' */
    bool rail;               /* runs beside boxes that it skips */
    bool wraps;              /* goes on in the next column or row */
    bool joins;              /* begins on the arrow that its box sent to the next column or row */
    bool straight;           /* one straight line down its column */
    double label_x, label_y; /* beside its middle, where it is straight */
} cvi_route;

typedef struct cvi_layout {
    const cvi_view *view;
    cvi_arena *arena;
    bool across; /* ranks go from left to right */
    double width, height;
    cvi_place *boxes;  /* per box of the view */
    cvi_route *routes; /* per link of the view */
    cvi_place *frames; /* per frame of the view; w 0: not drawn (a stage: a bracket, see `stages`) */
    int n_steps, cap_steps;
    cvi_step *steps;
} cvi_layout;

typedef struct cvi_layout_options {
    bool across;
    double longest;        /* of a column (or row) before it goes on in the next; 0 = no bound */
    double aspect;         /* wanted height / width, used to choose `longest` when that is 0; 0 = none */
    double gap;            /* least room between ranks; 0 = what the arrows need */
    double frame_title;    /* height of a frame's heading */
    const double *frame_w; /* per frame: width that its heading takes; NULL = none */
} cvi_layout_options;

/* sizes: of every box. Owned, cvi_layout_free. */
cvs_status cvi_layout_make(const cvi_view *v, const cvi_box_size *sizes, const cvi_layout_options *o,
                           cvi_layout **out, cvs_error *err);
void cvi_layout_free(cvi_layout *l);
/* What is wrong: boxes that overlap, arrows through a foreign box. One sentence a line into report (may be NULL); returns
 * the number of faults. For tests. */
int cvi_layout_check(const cvi_layout *l, cvi_buf *report);

#endif
