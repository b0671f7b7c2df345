/* SPDX-License-Identifier: MIT
 * gen_things.c - the ten things of "generated:things" as shapes in two colours, each with its proportions jittered, drawn
 * upright around (0,0) within about [-1,1]. A new kind of thing is one function and one line in the table at the end.
 */
#include "data/gen.h"

/* A number near v: within +-share of it. */
static double near(cvi_gen_random *r, double v, double share) {
    return v * cvi_gen_uniform(r, 1 - share, 1 + share);
}

static void airplane(cvi_gen_random *r, cvi_shape *s) {
    double span = near(r, 0.95, 0.08), sweep = cvi_gen_uniform(r, 0.25, 0.5), chord = near(r, 0.4, 0.15);
    double tail = near(r, 0.42, 0.15), body = near(r, 0.15, 0.15);
    for (int side = -1; side <= 1; side += 2) {
        cvi_shape_polygon(s, CVI_BODY,
                          (cvi_point[]){{0, -0.25},
                                        {side * span, -0.25 + sweep},
                                        {side * span, -0.25 + sweep + chord * 0.45},
                                        {0, -0.2 + chord}},
                          4);
        cvi_shape_polygon(s, CVI_BODY,
                          (cvi_point[]){{0, 0.6}, {side * tail, 0.82}, {side * tail, 0.98}, {0, 0.9}}, 4);
    }
    cvi_shape_ellipse(s, CVI_BODY, 0, 0, body, 0.98, 0);
    cvi_shape_ellipse(s, CVI_SECOND, 0, -0.66, body * 0.62, 0.16, 0);
    cvi_shape_line(s, CVI_SECOND, 0.07, (cvi_point[]){{0, 0.62}, {0, 0.92}}, 2);
}

static void bicycle(cvi_gen_random *r, cvi_shape *s) {
    double wheel = near(r, 0.4, 0.06), tyre = near(r, 0.12, 0.12), apart = near(r, 0.56, 0.04), tube = 0.1;
    double y = 0.36, saddle = cvi_gen_uniform(r, -0.48, -0.38), bar = cvi_gen_uniform(r, -0.56, -0.44);
    cvi_point rear = {-apart, y}, front = {apart, y}, crank = {-0.06, y}, seat = {-0.24, -0.16},
              head = {0.34, -0.2};
    cvi_shape_arc(s, CVI_BODY, tyre, rear.x, rear.y, wheel, wheel, 0, 1);
    cvi_shape_arc(s, CVI_BODY, tyre, front.x, front.y, wheel, wheel, 0, 1);
    cvi_shape_line(s, CVI_SECOND, tube, (cvi_point[]){rear, seat, head, crank, rear}, 5);
    cvi_shape_line(s, CVI_SECOND, tube, (cvi_point[]){crank, seat, {-0.3, saddle}}, 3);
    cvi_shape_line(s, CVI_SECOND, tube, (cvi_point[]){front, head, {0.27, bar}, {0.5, bar - 0.04}}, 4);
    cvi_shape_line(s, CVI_BODY, 0.13, (cvi_point[]){{-0.46, saddle}, {-0.18, saddle}}, 2);
}

static void car(cvi_gen_random *r, cvi_shape *s) {
    double top = near(r, -0.46, 0.1), back = cvi_gen_uniform(r, -0.62, -0.45), wheel = near(r, 0.22, 0.1);
    double hood = cvi_gen_uniform(r, 0.55, 0.68), rear = cvi_gen_uniform(r, -0.52, -0.46);
    cvi_shape_polygon(s, CVI_BODY,
                      (cvi_point[]){{-0.98, 0.02},
                                    {-0.9, -0.06},
                                    {back - 0.12, -0.08},
                                    {back + 0.08, top},
                                    {0.2, top},
                                    {hood - 0.05, -0.06},
                                    {0.9, 0.03},
                                    {0.98, 0.14},
                                    {0.98, 0.36},
                                    {-0.98, 0.36}},
                      10);
    cvi_shape_polygon(
        s, CVI_SECOND,
        (cvi_point[]){{back + 0.04, -0.06}, {back + 0.16, top + 0.1}, {-0.08, top + 0.1}, {-0.08, -0.06}}, 4);
    cvi_shape_polygon(s, CVI_SECOND,
                      (cvi_point[]){{0.02, -0.06}, {0.02, top + 0.1}, {0.16, top + 0.1}, {hood - 0.2, -0.06}},
                      4);
    for (int side = -1; side <= 1; side += 2) {
        double x = side < 0 ? rear : 0.54;
        cvi_shape_ellipse(s, CVI_SECOND, x, 0.38, wheel, wheel, 0);
        cvi_shape_ellipse(s, CVI_BODY, x, 0.38, wheel * 0.42, wheel * 0.42, 0);
    }
}

static void fish(cvi_gen_random *r, cvi_shape *s) {
    double fat = near(r, 0.4, 0.14), tail = near(r, 0.4, 0.12), fin = near(r, 0.24, 0.2);
    cvi_shape_polygon(s, CVI_BODY, (cvi_point[]){{-0.38, 0}, {-0.98, -tail}, {-0.84, 0}, {-0.98, tail}}, 4);
    cvi_shape_polygon(
        s, CVI_SECOND,
        (cvi_point[]){{0.36, -fat * 0.7}, {-0.02, -fat - fin}, {-0.26, -fat - fin * 0.6}, {-0.3, -fat * 0.5}},
        4);
    cvi_shape_polygon(s, CVI_SECOND,
                      (cvi_point[]){{0.22, fat * 0.7}, {-0.08, fat + fin * 0.8}, {-0.22, fat * 0.6}}, 3);
    cvi_shape_blob(s, CVI_BODY,
                   (cvi_point[]){{0.98, 0.02},
                                 {0.66, -fat * 0.72},
                                 {0.18, -fat},
                                 {-0.3, -fat * 0.6},
                                 {-0.58, 0},
                                 {-0.3, fat * 0.6},
                                 {0.18, fat},
                                 {0.66, fat * 0.76}},
                   8);
    cvi_shape_ellipse(s, CVI_SECOND, 0.66, -fat * 0.26, 0.1, 0.1, 0);
    cvi_shape_arc(s, CVI_SECOND, 0.06, 0.5, 0, 0.24, fat * 0.72, 0.38, 0.62); /* the gill */
}

static void house(cvi_gen_random *r, cvi_shape *s) {
    double wide = near(r, 0.7, 0.1), roof = near(r, 0.7, 0.12), wall = near(r, 0.9, 0.1), over = wide + 0.2;
    double door = cvi_gen_chance(r, 0.5) ? 0.32 : -0.32;
    cvi_shape_box(s, CVI_BODY, -door - 0.12, -0.12 - roof, -door + 0.14, 0);
    cvi_shape_box(s, CVI_BODY, -wide, -0.2, wide, wall);
    cvi_shape_polygon(s, CVI_SECOND, (cvi_point[]){{-over, -0.1}, {0, -0.12 - roof}, {over, -0.1}}, 3);
    cvi_shape_box(s, CVI_SECOND, door - 0.17, wall - 0.62, door + 0.17, wall);
    cvi_shape_box(s, CVI_SECOND, -door - 0.18, 0.16, -door + 0.18, 0.48);
}

static void key(cvi_gen_random *r, cvi_shape *s) {
    double bow = near(r, 0.36, 0.1), ring = near(r, 0.19, 0.1), shaft = near(r, 0.16, 0.1);
    double x = -0.96 + bow + ring / 2, tooth = near(r, 0.32, 0.15);
    cvi_shape_box(s, CVI_BODY, x + bow - 0.06, -shaft / 2, 0.98, shaft / 2);
    cvi_shape_box(s, CVI_BODY, 0.8, 0, 0.98, tooth);
    cvi_shape_box(s, CVI_BODY, 0.46, 0, 0.64, tooth * cvi_gen_uniform(r, 0.7, 1));
    cvi_shape_arc(s, CVI_BODY, ring, x, 0, bow, bow * near(r, 1, 0.1), 0, 1);
    cvi_shape_line(s, CVI_SECOND, 0.12, (cvi_point[]){{x + bow + 0.2, -shaft}, {x + bow + 0.2, shaft}}, 2);
}

static void mug(cvi_gen_random *r, cvi_shape *s) {
    double top = near(r, 0.56, 0.06), bottom = top * cvi_gen_uniform(r, 0.82, 0.98),
           high = near(r, 0.72, 0.1);
    double ear = near(r, 0.36, 0.1), x = -0.22;
    cvi_shape_arc(s, CVI_BODY, 0.17, x + (top + bottom) / 2, 0.02, ear, high * 0.56, -0.27, 0.27);
    cvi_shape_polygon(
        s, CVI_BODY,
        (cvi_point[]){{x - top, -high}, {x + top, -high}, {x + bottom, high}, {x - bottom, high}}, 4);
    cvi_shape_ellipse(s, CVI_BODY, x, high, bottom, 0.13, 0);
    cvi_shape_ellipse(s, CVI_BODY, x, -high, top, 0.2, 0);
    cvi_shape_ellipse(s, CVI_SECOND, x, -high, top * 0.8, 0.12, 0);
}

static void scissors(cvi_gen_random *r, cvi_shape *s) {
    double open = cvi_gen_uniform(r, 0.045, 0.075), ring = near(r, 0.25, 0.08), width = near(r, 0.12, 0.1);
    double half = near(r, 0.125, 0.1);
    for (int side = -1; side <= 1; side += 2) {
        cvi_point u = cvi_gen_turn(side * open - 0.25), n = {-u.y * half, u.x * half};
        cvi_point tip = {u.x * 1.05, u.y * 1.05}, low = {-u.x * 0.42, -u.y * 0.42};
        cvi_point bow = {-side * 0.36, 0.62};
        cvi_shape_polygon(s, CVI_BODY,
                          (cvi_point[]){{-u.x * 0.14 - n.x, -u.y * 0.14 - n.y},
                                        {u.x * 0.6 - n.x, u.y * 0.6 - n.y},
                                        tip,
                                        {u.x * 0.6 + n.x * 0.9, u.y * 0.6 + n.y * 0.9},
                                        {-u.x * 0.14 + n.x, -u.y * 0.14 + n.y}},
                          5);
        cvi_shape_line(s, CVI_SECOND, width, (cvi_point[]){{-u.x * 0.08, -u.y * 0.08}, low}, 2);
        cvi_shape_arc(s, CVI_SECOND, width, bow.x, bow.y, ring, ring * 1.15, 0, 1);
    }
    cvi_shape_ellipse(s, CVI_SECOND, 0, 0, 0.07, 0.07, 0);
}

static void star(cvi_gen_random *r, cvi_shape *s) {
    double inner = cvi_gen_uniform(r, 0.4, 0.5);
    cvi_point p[10], q[10];
    for (int i = 0; i < 10; i++) {
        cvi_point u = cvi_gen_turn(i / 10.0 - 0.25);
        double radius = i % 2 == 0 ? 1 : inner;
        p[i] = (cvi_point){u.x * radius, u.y * radius};
        q[i] = (cvi_point){p[i].x * 0.5, p[i].y * 0.5};
    }
    cvi_shape_polygon(s, CVI_BODY, p, 10);
    cvi_shape_polygon(s, CVI_SECOND, q, 10);
}

static void umbrella(cvi_gen_random *r, cvi_shape *s) {
    double high = near(r, 0.82, 0.08), rim = -0.02, hook = near(r, 0.17, 0.12), stick = 0.11;
    cvi_point canopy[21];
    for (int i = 0; i <= 20; i++) {
        cvi_point u = cvi_gen_turn(0.5 + i / 40.0);
        canopy[i] = (cvi_point){u.x * 0.98, rim + u.y * high};
    }
    cvi_shape_line(s, CVI_BODY, stick, (cvi_point[]){{0, -high - 0.12}, {0, 0.78}}, 2);
    cvi_shape_arc(s, CVI_BODY, stick, -hook, 0.78, hook, hook, 0, 0.5);
    cvi_shape_polygon(s, CVI_BODY, canopy, 21);
    cvi_shape_polygon(s, CVI_SECOND, (cvi_point[]){{0, rim - high}, {0.33, rim}, {-0.33, rim}}, 3);
    /* The scalloped rim; the middle one lies over the stick, which goes on below. */
    for (int k = -1; k <= 1; k++) {
        cvi_shape_ellipse(s, CVI_CUT, k * 0.655, rim + 0.02, 0.31, 0.15, 0);
    }
    cvi_shape_line(s, CVI_BODY, stick, (cvi_point[]){{0, rim - 0.3}, {0, 0.5}}, 2);
}

static void (*const draw[CVI_THINGS])(cvi_gen_random *, cvi_shape *) = {
    airplane, bicycle, car, fish, house, key, mug, scissors, star, umbrella,
};
const char *const cvi_thing_names[CVI_THINGS] = {
    "airplane", "bicycle", "car", "fish", "house", "key", "mug", "scissors", "star", "umbrella",
};
const char *const cvi_thing_names_zh[CVI_THINGS] = {
    "飞机", "自行车", "汽车", "鱼", "房子", "钥匙", "杯子", "剪刀", "星星", "雨伞",
};

void cvi_thing_shape(int k, cvi_gen_random *r, cvi_shape *out) {
    out->n_points = out->n_parts = 0;
    out->full = false;
    draw[k](r, out);
}
