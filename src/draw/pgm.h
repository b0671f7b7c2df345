/* SPDX-License-Identifier: MIT
 * pgm.h (internal) - a probabilistic graphical model in plate notation: read from text (pgm_text.c), placed (pgm_layout.c), drawn
 * (style_pgm.c). Lengths are points, x to the right, y down.
 *
 *     node alpha fixed            # "label" observed|latent|fixed|alt  ellipse|box  at x,y
 *     node x "$x_n$" observed
 *     edge alpha -> beta -> w     # -- for an edge without direction; a "label" may follow
 *     plate "n = 1..N" { w x }    # plates nest: plate "..." { a plate "..." { b } }
 *     direction lr                # or tb; the better one is chosen otherwise
 */
#ifndef CVI_PGM_H
#define CVI_PGM_H

#include "draw/math_text.h"

typedef enum cvi_pgm_kind { CVI_PGM_LATENT, CVI_PGM_OBSERVED, CVI_PGM_FIXED, CVI_PGM_ALTERNATE } cvi_pgm_kind;

typedef struct cvi_pgm_node {
    const char *id, *label; /* label NULL: the id is one */
    cvi_pgm_kind kind;
    bool box, placed;
    double at[2];      /* given by hand, in grid units, y up as in DAFT */
    double x, y, w, h; /* centre and size */
    cvi_math math;
    double text_width;
    int plate; /* innermost, -1 = none */
    int line, column;
} cvi_pgm_node;

typedef struct cvi_pgm_edge {
    int from, to;
    bool directed;
    const char *label; /* or NULL */
    cvi_math math;
    double bend; /* of its curve, points to the left of its way; 0 = straight */
} cvi_pgm_edge;

typedef struct cvi_pgm_plate {
    const char *label;
    cvi_math math;
    int parent; /* -1 = none */
    int n;      /* nodes inside, plates within plates included */
    int *nodes;
    double x, y, w, h; /* the rectangle */
    int line, column;
} cvi_pgm_plate;

typedef enum cvi_pgm_direction { CVI_PGM_BEST, CVI_PGM_DOWN, CVI_PGM_RIGHT } cvi_pgm_direction;

typedef struct cvi_pgm {
    cvi_arena *arena;
    int n_nodes, n_edges, n_plates;
    cvi_pgm_node *nodes;
    cvi_pgm_edge *edges;
    cvi_pgm_plate *plates; /* outer before inner */
    cvi_pgm_direction direction;
    const char *title; /* or NULL */
    double width, height;
} cvi_pgm;

/* Whether a text is of this kind: its first statement begins with node, edge or plate. */
bool cvi_pgm_match(const char *text);
/* Everything lies in the arena. Errors carry line and column. */
cvs_status cvi_pgm_parse(cvi_arena *arena, const char *text, cvi_pgm *out, cvs_error *err);
/* Centres and sizes of nodes, rectangles of plates, bends of edges, and the page. */
cvs_status cvi_pgm_layout(cvi_pgm *p, cvs_error *err);

#define CVI_PGM_NODE 30.0 /* points: diameter of a node */
#define CVI_PGM_FONT 12.0

#endif
