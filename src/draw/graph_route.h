/* SPDX-License-Identifier: MIT
 * graph_route.h (internal to the layout) - what the layout knows while it works, and the second half of the work: breaking
 * into columns of the page and drawing every arrow's way.
 */
#ifndef CVI_GRAPH_ROUTE_H
#define CVI_GRAPH_ROUTE_H

#include "draw/graph_layout.h"

typedef enum cvi_run_kind {
    CVI_RUN_STRAIGHT, /* down its own column */
    CVI_RUN_BEND,     /* changes its column after its start or before its end */
    CVI_RUN_RAIL
} cvi_run_kind;

typedef struct cvi_run {
    cvi_run_kind kind;
    double c;  /* of the part along the flow */
    bool side; /* a rail: ends at the side of its target, not at its top */
} cvi_run;

typedef struct cvi_frame_span {
    int first, last; /* ranks */
    double low, high;
    bool shown;
} cvi_frame_span;

typedef struct cvi_planner {
    const cvi_view *v;
    const cvi_box_size *sizes;
    const cvi_layout_options *o;
    cvi_arena *arena;
    bool failed;
    int n_ranks;
    int *rank, *column, *next, *before, *lead_in, *lead_out; /* per box */
    bool *main;
    double *c, *weight;
    int *in_at, *out_at, *out;                                  /* links of a box */
    cvi_run *runs;                                              /* per link */
    cvi_frame_span *spans;                                      /* per frame */
    double *low, *high, *box_low, *box_high, *gap, *size, *top; /* per rank */
    int *piece;                                                 /* per rank: column of the page */
    double length;
} cvi_planner;

/* The rank after which an encoder-decoder turns back, -1: it is none that can be drawn as a valley (graph_valley.c). */
int cvi_valley(const cvi_planner *p);
/* Moves the ranks so that arrows across are level; those after `bottom` count from the bottom up. Returns the height, -1
 * when out of memory. */
double cvi_valley_align(cvi_planner *p, int bottom);
cvs_status cvi_route_all(cvi_planner *p, cvi_layout *l, cvs_error *err);

#endif
