/* SPDX-License-Identifier: MIT
 * gen_ground.c - cluttered backgrounds: a gradient, and on it stripes, a checked pattern, soft clouds or patches, in colours
 * that are drawn like the things' own.
 */
#include "data/gen.h"

cvi_color cvi_gen_color(cvi_gen_random *r) {
    /* Hue as a walk around the colour hexagon, saturation and value mostly high, sometimes gray. */
    double hue = cvi_gen_uniform(r, 0, 6), sector = (double)(int)hue, f = hue - sector;
    double value = cvi_gen_uniform(r, 40, 250);
    double saturation = cvi_gen_chance(r, 0.2) ? cvi_gen_uniform(r, 0, 0.2) : cvi_gen_uniform(r, 0.35, 1);
    double p = value * (1 - saturation), q = value * (1 - saturation * f),
           t = value * (1 - saturation * (1 - f));
    switch ((int)sector) {
    case 0:
        return (cvi_color){value, t, p};
    case 1:
        return (cvi_color){q, value, p};
    case 2:
        return (cvi_color){p, value, t};
    case 3:
        return (cvi_color){p, q, value};
    case 4:
        return (cvi_color){t, p, value};
    default:
        return (cvi_color){value, p, q};
    }
}

static double clamp(double v) {
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

static cvi_color shifted(cvi_color c, cvi_gen_random *r, double most) {
    double light = cvi_gen_uniform(r, -most, most) * 0.7;
    c.r = clamp(c.r + light + cvi_gen_uniform(r, -most, most) * 0.6);
    c.g = clamp(c.g + light + cvi_gen_uniform(r, -most, most) * 0.6);
    c.b = clamp(c.b + light + cvi_gen_uniform(r, -most, most) * 0.6);
    return c;
}

static cvi_color blend(cvi_color a, cvi_color b, double t) {
    return (cvi_color){a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

/* Smooth noise in [0,1]: a lattice of random numbers, bilinear with eased weights. */
enum { LATTICE = 10 };
typedef struct clouds {
    double value[LATTICE * LATTICE], step;
} clouds;

static void clouds_make(clouds *c, cvi_gen_random *r) {
    c->step = cvi_gen_uniform(r, 8, 20);
    for (int i = 0; i < LATTICE * LATTICE; i++) {
        c->value[i] = cvi_gen_uniform(r, 0, 1);
    }
}

static double clouds_at(const clouds *c, double x, double y) {
    double u = x / c->step, v = y / c->step;
    int i = CVI_MIN((int)u, LATTICE - 2), j = CVI_MIN((int)v, LATTICE - 2);
    double s = u - i, t = v - j;
    s = s * s * (3 - 2 * s);
    t = t * t * (3 - 2 * t);
    const double *p = c->value + j * LATTICE + i;
    double top = p[0] + (p[1] - p[0]) * s, low = p[LATTICE] + (p[LATTICE + 1] - p[LATTICE]) * s;
    return top + (low - top) * t;
}

/* A triangle wave in [0,1] of period 1. */
static double wave(double x) {
    x -= (double)(int64_t)x;
    x += x < 0 ? 1 : 0;
    return x < 0.5 ? 2 * x : 2 - 2 * x;
}

static double edge(double w, double softness) {
    double t = (w - 0.5) / softness + 0.5;
    return t < 0 ? 0 : t > 1 ? 1 : t;
}

typedef enum pattern { PLAIN, STRIPES, CHECKS, CLOUDS, PATCHES, N_PATTERNS } pattern;

void cvi_ground_paint(cvi_gen_random *r, cvi_canvas *out) {
    pattern kind = (pattern)cvi_gen_pick(r, N_PATTERNS);
    cvi_color a = cvi_gen_color(r), b = shifted(a, r, 70), c = shifted(a, r, 60), d = shifted(b, r, 40);
    cvi_point way = cvi_gen_turn(cvi_gen_uniform(r, 0, 1)), across = cvi_gen_turn(cvi_gen_uniform(r, 0, 1));
    double period = cvi_gen_uniform(r, 5, 18), phase = cvi_gen_uniform(r, 0, 1);
    double grain = cvi_gen_chance(r, 0.6) ? cvi_gen_uniform(r, 2, 14) : 0;
    clouds soft;
    clouds_make(&soft, r);
    for (int y = 0; y < out->height; y++) {
        for (int x = 0; x < out->width; x++) {
            double u = (x * way.x + y * way.y) / CVI_GEN_SIDE,
                   s = (x * across.x + y * across.y) / period + phase;
            double t = (x * across.y - y * across.x) / period + phase, w = 0;
            switch (kind) {
            case STRIPES:
                w = edge(wave(s), 0.25);
                break;
            case CHECKS:
                w = edge(wave(s), 0.25) + edge(wave(t), 0.25);
                w = w > 1 ? 2 - w : w;
                break;
            case CLOUDS:
                w = clouds_at(&soft, x, y);
                break;
            case PATCHES:
                w = edge(clouds_at(&soft, x, y), 0.15);
                break;
            default:
                break;
            }
            cvi_color v = blend(blend(a, b, (u + 1) / 2), blend(c, d, (u + 1) / 2), w);
            double noise = grain > 0 ? cvi_gen_uniform(r, -grain, grain) : 0;
            out->pixel[y * out->width + x] =
                (cvi_color){clamp(v.r + noise), clamp(v.g + noise), clamp(v.b + noise)};
        }
    }
}
