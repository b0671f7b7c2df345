/* SPDX-License-Identifier: MIT
 * gen.h (internal) - what the drawn picture sets are made of: counter-based randoms, shapes made of parts, a painter.
 * Only + - * / and sqrt on doubles, in a fixed order and without contraction, so that picture i of seed s has the same
 * bytes on every machine; no function of libm (they differ in the last bit), angles go through cvi_gen_turn.
 * Coordinates: a shape is drawn around (0,0) within about [-1,1], x to the right, y down; a picture in pixels, (0,0) the
 * top left corner of the top left pixel.
 */
#ifndef CVI_GEN_H
#define CVI_GEN_H

#include "data/dataset.h"

/* ---- randoms (gen_paint.c): the k-th number of picture `index` --------------------------------------- */
typedef struct cvi_gen_random {
    uint64_t seed, purpose, index; /* index counts up; a picture owns 2^24 numbers */
} cvi_gen_random;

/* `name` tells sets apart, `split` the training pictures from the unseen ones. */
cvi_gen_random cvi_gen_random_of(uint64_t seed, const char *name, cvs_split split, int64_t picture);
double cvi_gen_uniform(cvi_gen_random *r, double low, double high);
int cvi_gen_pick(cvi_gen_random *r, int n); /* 0..n-1 */
bool cvi_gen_chance(cvi_gen_random *r, double probability);

typedef struct cvi_point {
    double x, y;
} cvi_point;

/* x' = a x + b y + tx, y' = c x + d y + ty */
typedef struct cvi_affine {
    double a, b, c, d, tx, ty;
} cvi_affine;

/* The direction of an angle given in turns (1 = full circle): (cosine, sine). */
cvi_point cvi_gen_turn(double turns);

/* ---- shapes (gen_shape.c) ------------------------------------------------------------------------------ */
enum { CVI_SHAPE_POINTS = 1200, CVI_SHAPE_PARTS = 96 };

typedef enum cvi_role {
    CVI_BODY,   /* in the first colour */
    CVI_SECOND, /* in the second colour, over what was there */
    CVI_CUT     /* a hole: what was there is taken away */
} cvi_role;

typedef struct cvi_shape {
    int n_points, n_parts;
    bool full; /* a part did not fit; a test says that it never happens */
    cvi_point point[CVI_SHAPE_POINTS];
    struct cvi_part {
        int first, count;
        cvi_role role;
        bool
            whole; /* begins something that can stand alone: a fragment for the background is cut from here */
    } part[CVI_SHAPE_PARTS];
} cvi_shape;

void cvi_shape_polygon(cvi_shape *s, cvi_role role, const cvi_point *points, int n);
/* Centre, half axes, turned. */
void cvi_shape_ellipse(cvi_shape *s, cvi_role role, double cx, double cy, double rx, double ry, double turns);
/* A band of constant width around straight lines, joints and ends round. */
void cvi_shape_line(cvi_shape *s, cvi_role role, double width, const cvi_point *points, int n);
/* A band along an arc of an ellipse, from angle t0 to t1 (in turns); a whole turn makes a ring. */
void cvi_shape_arc(cvi_shape *s, cvi_role role, double width, double cx, double cy, double rx, double ry,
                   double t0, double t1);
/* A smooth curve (Catmull-Rom) through n <= 16 points, as a band; closed joins the ends. */
void cvi_shape_curve(cvi_shape *s, cvi_role role, double width, const cvi_point *points, int n, bool closed);
/* A smooth closed outline through n <= 16 points, filled. */
void cvi_shape_blob(cvi_shape *s, cvi_role role, const cvi_point *points, int n);
/* A rectangle by its corners. */
void cvi_shape_box(cvi_shape *s, cvi_role role, double x0, double y0, double x1, double y1);

/* ---- painting (gen_paint.c) ------------------------------------------------------------------------------ */
enum { CVI_GEN_SIDE = 64 };

/* How much of every pixel is covered, 0 to 1: by the whole shape, and by what shows in the second colour. */
typedef struct cvi_cover {
    int width, height; /* at most CVI_GEN_SIDE */
    float all[CVI_GEN_SIDE * CVI_GEN_SIDE], second[CVI_GEN_SIDE * CVI_GEN_SIDE];
} cvi_cover;

void cvi_cover_clear(cvi_cover *c, int width, int height);
/* Adds parts [first, last) of a shape, put in place by `at`. */
void cvi_cover_shape(cvi_cover *c, const cvi_shape *s, int first, int last, const cvi_affine *at);
double cvi_cover_area(const cvi_cover *c); /* in pixels */
/* The box of the placed shape: without cuts. */
void cvi_shape_box_of(const cvi_shape *s, const cvi_affine *at, cvi_point *low, cvi_point *high);

typedef struct cvi_color {
    double r, g, b; /* 0 to 255 */
} cvi_color;

typedef struct cvi_canvas {
    int width, height;
    cvi_color pixel[CVI_GEN_SIDE * CVI_GEN_SIDE];
} cvi_canvas;

void cvi_canvas_paint(cvi_canvas *to, const cvi_cover *c, cvi_color first, cvi_color second);

/* ---- the sets ---------------------------------------------------------------------------------------------- */
typedef struct cvi_gen_work {
    cvi_shape shape, fragment;
    cvi_cover cover, fragment_cover;
    cvi_canvas canvas;
} cvi_gen_work;

typedef struct cvi_generator {
    const char *name; /* "things" */
    int n_classes, channels, side;
    const char *const *classes, *const *classes_zh;
    bool has_masks;
    int64_t n_train, n_test; /* by default */
    int version;             /* counts up when its pictures change; part of the fingerprint */
    /* Draws picture i: pixels [side,side,channels], mask [side,side] (NULL allowed). `label` is given. work is one struct
     * cvi_gen_work, not shared by threads. */
    void (*draw)(uint64_t seed, cvs_split split, int64_t i, int label, cvi_gen_work *work, uint8_t *pixels,
                 uint8_t *mask);
} cvi_generator;

extern const cvi_generator cvi_generator_digits, cvi_generator_things, cvi_generator_shortcut;

/* The ten things (gen_things.c): names, and thing k with its proportions jittered, around (0,0). */
enum { CVI_THINGS = 10 };
extern const char *const cvi_thing_names[CVI_THINGS], *const cvi_thing_names_zh[CVI_THINGS];
void cvi_thing_shape(int k, cvi_gen_random *r, cvi_shape *out);
/* A cluttered background (gen_ground.c). */
void cvi_ground_paint(cvi_gen_random *r, cvi_canvas *out);
cvi_color cvi_gen_color(cvi_gen_random *r); /* any hue, mostly strong */
/* A whole scene (gen_scene.c): background, fragments, thing `label`; leaves the thing's cover in work->cover. */
void cvi_things_paint(cvi_gen_random *r, int label, cvi_gen_work *work);
void cvi_things_bytes(const cvi_gen_work *work, uint8_t *pixels, uint8_t *mask); /* the finished scene */

#endif
