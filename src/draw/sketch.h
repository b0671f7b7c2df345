/* SPDX-License-Identifier: MIT
 * sketch.h (internal) - what the picture styles (volume, lenet, fc, glyph, convnetdraw) share: a page of the asked width
 * with title, legend and notes; sizes on strictly monotone scales; skip connections as rails that never coincide.
 */
#ifndef CVI_SKETCH_H
#define CVI_SKETCH_H

#include "draw/arch.h"

/* Points of a value: a + b * log2(1 + v). Least and largest of the figure are given lo and hi: never a clamp. */
typedef struct cvi_size_scale {
    double a, b;
} cvi_size_scale;
cvi_size_scale cvi_size_scale_for(double least, double largest, double lo, double hi);
double cvi_size_of(const cvi_size_scale *scale, double v);

typedef struct cvi_sketch {
    const cvs_draw_options *o;
    const cvi_arch *arch;
    cvi_view *view;      /* owned */
    cvi_arch_node *node; /* [view->n_boxes], owned: what each box is */
    cvi_scene *s;        /* owned until cvi_sketch_end */
    const cvi_theme *t;
    double left, y;           /* where content begins; where the next thing goes */
    double limit;             /* of the content: no row is wider */
    double right;             /* of what was drawn so far; styles raise it */
    bool used[CVI_N_CLASSES]; /* classes for the legend */
    double most_cost;         /* of a box */
} cvi_sketch;

/* A scene with title and summary, and the boxes that are visible when at most `most` are (0 = no bound). */
cvs_status cvi_sketch_begin(cvi_sketch *k, const cvi_draw_job *job, int most, cvs_error *err);
/* The same with every block and repeat folded: one box per block, or per run of equal blocks. */
cvs_status cvi_sketch_begin_blocks(cvi_sketch *k, const cvi_draw_job *job, cvs_error *err);
/* Legend of the classes used, notes (NULL-terminated list, translated already, may be NULL), the command; sets the page
 * and hands the scene over. */
cvs_status cvi_sketch_end(cvi_sketch *k, const char *const *notes, cvi_drawing *out, cvs_error *err);
void cvi_sketch_free(cvi_sketch *k); /* what is left; also after a failure */

const char *cvi_sketch_tr(const cvi_sketch *k, const char *english);
cvi_font cvi_sketch_font(const cvi_sketch *k, double size, bool bold, cvi_theme_role color);
/* A formatted string that lives as long as the view. Never NULL: "" when out of memory. */
const char *cvi_sketch_text(cvi_sketch *k, const char *fmt, ...) CVI_PRINTF(2, 3);
/* What is written beside a box: "3×3 conv /2", "Bottleneck ×3"; without the number of channels. Lives with the view. */
const char *cvi_sketch_caption(cvi_sketch *k, int box);
/* A bar of that height, 20 points for the costliest box, standing on k->y + 20; nothing where no cost is asked. */
void cvi_sketch_cost_bar(cvi_sketch *k, int box, double x);
/* Begins the SVG group of a box: its id, its name and numbers as a tooltip. */
void cvi_sketch_box_begin(cvi_sketch *k, int box);
/* "key=value" of o->extra as a number between lo and hi. */
cvs_status cvi_sketch_setting(const cvs_draw_options *o, const char *key, double lo, double hi,
                              double otherwise, double *out, cvs_error *err);
/* Every key of o->extra must be in `known` ("ratio1 ratio2"). */
cvs_status cvi_sketch_settings(const cvs_draw_options *o, const char *known, cvs_error *err);
double cvi_fit_width(cvs_fit fit); /* of the page; 0 = none */
/* Lowers the colour of a face: amount -1 (black) to 1 (white). */
cvi_color cvi_shade(cvi_color c, double amount);

/* A filled polygon of n points (x0, y0, x1, y1, ...). */
void cvi_draw_polygon(cvi_scene *s, const double *xy, int n, const cvi_paint *paint);

/* ---- rails ------------------------------------------------------------------------------------------------- */
typedef struct cvi_rail {
    int link;     /* of the view */
    int from, to; /* places along a row, from < to */
    int level; /* filled: 0 is the lowest; rails whose spans share more than an end have different levels */
} cvi_rail;
/* Returns how many levels are in use. Shorter rails lie lower, so that rails nest. */
int cvi_rail_levels(cvi_rail *rails, int n);

#endif
