/* SPDX-License-Identifier: MIT
 * gen_digits.c - "generated:digits": handwritten-looking digits, white on black, 28x28, in the way of MNIST: the digit fits a
 * box of 20x20 and its centre of mass is the picture's. Each digit has one to three styles of strokes, all jittered.
 */
#include <math.h>

#include "data/gen.h"

enum { SIDE = 28, BOX = 20, MAX_POINTS = 13, MAX_STROKES = 3 };

typedef enum pen { END, LINES, CURVE, LOOP } pen;

typedef struct stroke {
    pen pen;
    int n;
    cvi_point p[MAX_POINTS];
} stroke;

typedef struct style {
    int digit;
    stroke stroke[MAX_STROKES];
} style;

/* Within [-0.6,0.6] x [-1,1], y down. All styles of a digit stand together. */
static const style styles[] = {
    {0,
     {{LOOP, 8, {{0, -1}, {.42, -.74}, {.58, 0}, {.42, .74}, {0, 1}, {-.42, .74}, {-.58, 0}, {-.42, -.74}}}}},
    {0,
     {{CURVE,
       9,
       {{.2, -.98},
        {-.3, -.85},
        {-.56, -.1},
        {-.4, .72},
        {.05, 1},
        {.5, .6},
        {.56, -.1},
        {.35, -.8},
        {0, -.95}}}}},
    {1, {{LINES, 2, {{0, -1}, {0, 1}}}}},
    {1, {{LINES, 3, {{-.34, -.62}, {.02, -1}, {.02, 1}}}}},
    {1, {{LINES, 3, {{-.34, -.66}, {0, -1}, {0, 1}}}, {LINES, 2, {{-.4, 1}, {.4, 1}}}}},
    {2,
     {{CURVE, 7, {{-.55, -.55}, {-.34, -.9}, {.1, -1}, {.5, -.72}, {.46, -.28}, {.08, .3}, {-.55, .95}}},
      {LINES, 2, {{-.55, .95}, {.6, .93}}}}},
    {2,
     {{CURVE,
       12,
       {{-.5, -.6},
        {-.2, -.96},
        {.25, -.94},
        {.48, -.55},
        {.3, -.05},
        {-.2, .62},
        {-.5, .88},
        {-.52, .66},
        {-.25, .6},
        {.05, .82},
        {.35, .95},
        {.62, .85}}}}},
    {3,
     {{CURVE, 6, {{-.5, -.8}, {-.1, -1}, {.38, -.86}, {.44, -.45}, {.16, -.12}, {-.15, -.05}}},
      {CURVE, 6, {{-.15, -.05}, {.32, .02}, {.55, .38}, {.42, .8}, {0, 1}, {-.52, .8}}}}},
    {3,
     {{LINES, 3, {{-.48, -.94}, {.44, -.94}, {-.04, -.16}}},
      {CURVE, 6, {{-.04, -.16}, {.36, -.02}, {.52, .42}, {.36, .84}, {-.05, 1}, {-.5, .82}}}}},
    {4, {{LINES, 3, {{-.36, -.95}, {-.52, .14}, {.56, .12}}}, {LINES, 2, {{.32, -.6}, {.2, 1}}}}},
    {4, {{LINES, 4, {{.22, 1}, {.22, -1}, {-.6, .34}, {.6, .34}}}}},
    {5,
     {{LINES, 3, {{.5, -.95}, {-.36, -.95}, {-.42, -.15}}},
      {CURVE, 6, {{-.42, -.15}, {.08, -.28}, {.5, .08}, {.45, .66}, {.02, .98}, {-.5, .82}}}}},
    {6,
     {{CURVE,
       9,
       {{.34, -1},
        {-.14, -.62},
        {-.48, .08},
        {-.44, .68},
        {0, 1},
        {.44, .74},
        {.4, .22},
        {.02, .04},
        {-.4, .36}}}}},
    {7, {{LINES, 3, {{-.55, -.9}, {.55, -.9}, {-.06, 1}}}}},
    {7, {{LINES, 3, {{-.55, -.9}, {.55, -.9}, {-.1, 1}}}, {LINES, 2, {{-.26, .08}, {.42, .06}}}}},
    {8,
     {{LOOP,
       12,
       {{0, -.02},
        {.42, -.42},
        {.34, -.86},
        {-.04, -1},
        {-.42, -.78},
        {-.36, -.38},
        {0, -.02},
        {.46, .4},
        {.4, .84},
        {0, 1},
        {-.42, .84},
        {-.46, .42}}}}},
    {9,
     {{CURVE,
       10,
       {{.42, -.55},
        {.2, -.12},
        {-.24, -.1},
        {-.46, -.5},
        {-.26, -.9},
        {.14, -.98},
        {.42, -.66},
        {.44, -.1},
        {.36, .5},
        {.22, 1}}}}},
    {9,
     {{LOOP,
       7,
       {{.38, -.7}, {.36, -.32}, {.02, -.08}, {-.36, -.26}, {-.44, -.66}, {-.14, -.98}, {.22, -.96}}},
      {LINES, 2, {{.4, -.8}, {.34, 1}}}}},
};

static const style *choose(int digit, cvi_gen_random *r) {
    int first = 0, n = 0;
    for (int i = CVI_COUNT(styles) - 1; i >= 0; i--) {
        if (styles[i].digit == digit) {
            first = i;
            n++;
        }
    }
    return &styles[first + cvi_gen_pick(r, n)];
}

static void draw_shape(const style *s, cvi_gen_random *r, double width, cvi_shape *out) {
    out->n_points = out->n_parts = 0;
    out->full = false;
    for (int k = 0; k < MAX_STROKES && s->stroke[k].pen != END; k++) {
        const stroke *t = &s->stroke[k];
        cvi_point p[MAX_POINTS];
        for (int i = 0; i < t->n; i++) {
            bool joined =
                k > 0 && i == 0 && t->pen != LOOP && s->stroke[k - 1].pen != LOOP; /* keep joints joined */
            double wobble = joined ? 0 : 0.05;
            double dx = cvi_gen_uniform(r, -wobble, wobble), dy = cvi_gen_uniform(r, -wobble, wobble);
            p[i] = (cvi_point){t->p[i].x + dx, t->p[i].y + dy};
        }
        if (t->pen == LINES) {
            cvi_shape_line(out, CVI_BODY, width, p, t->n);
        } else {
            cvi_shape_curve(out, CVI_BODY, width, p, t->n, t->pen == LOOP);
        }
    }
}

/* The transform that fits the shape into the box, its centre of mass at the picture's centre. */
static void place(const cvi_shape *shape, cvi_affine *at, cvi_cover *cover) {
    cvi_point low, high;
    cvi_shape_box_of(shape, at, &low, &high);
    double side = CVI_MAX(high.x - low.x, high.y - low.y), scale = BOX / side;
    *at = (cvi_affine){at->a * scale, at->b * scale, at->c * scale, at->d * scale, 0, 0};
    at->tx = SIDE / 2.0 - scale * (low.x + high.x) / 2;
    at->ty = SIDE / 2.0 - scale * (low.y + high.y) / 2;
    cvi_cover_clear(cover, SIDE, SIDE);
    cvi_cover_shape(cover, shape, 0, shape->n_parts, at);
    double sum = 0, sx = 0, sy = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        double v = (double)cover->all[i];
        sum += v;
        sx += v * (i % SIDE + 0.5);
        sy += v * (i / SIDE + 0.5);
    }
    double dx = SIDE / 2.0 - sx / sum, dy = SIDE / 2.0 - sy / sum;
    at->tx += CVI_MIN(CVI_MAX(dx, -4.0), 4.0); /* the box stays inside the picture */
    at->ty += CVI_MIN(CVI_MAX(dy, -4.0), 4.0);
}

static void draw(uint64_t seed, cvs_split split, int64_t i, int label, cvi_gen_work *work, uint8_t *pixels,
                 uint8_t *mask) {
    cvi_gen_random r = cvi_gen_random_of(seed, "digits", split, i);
    const style *s = choose(label, &r);
    double width = cvi_gen_uniform(&r, 0.2, 0.36), narrow = cvi_gen_uniform(&r, 0.85, 1.15);
    draw_shape(s, &r, width, &work->shape);
    cvi_point u = cvi_gen_turn(cvi_gen_uniform(&r, -0.035, 0.035));
    double slant = cvi_gen_uniform(&r, -0.35, 0.1); /* to the right, as most hands do; y is down */
    cvi_affine at = {u.x * narrow, u.x * slant - u.y, u.y * narrow, u.y * slant + u.x, 0, 0};
    place(&work->shape, &at, &work->cover);
    cvi_cover_clear(&work->cover, SIDE, SIDE);
    cvi_cover_shape(&work->cover, &work->shape, 0, work->shape.n_parts, &at);
    double ink = cvi_gen_uniform(&r, 245, 300); /* above 255 it saturates, as a scanner does */
    for (int k = 0; k < SIDE * SIDE; k++) {
        double v = (double)work->cover.all[k] * ink;
        pixels[k] = (uint8_t)(v > 255 ? 255 : v + 0.5);
        if (mask != NULL) {
            mask[k] = work->cover.all[k] >= 0.5f ? 255 : 0;
        }
    }
}

static const char *const names[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

const cvi_generator cvi_generator_digits = {
    .name = "digits",
    .n_classes = 10,
    .channels = 1,
    .side = SIDE,
    .classes = names,
    .classes_zh = names,
    .has_masks = true,
    .n_train = 2000,
    .n_test = 500,
    .version = 1,
    .draw = draw,
};
