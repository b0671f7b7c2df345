/* SPDX-License-Identifier: MIT
 * road.c - remove and debias (Rong et al. 2022): pixels taken away are filled in from their neighbours by one linear system, with a
 * little noise, so that the hole itself tells nothing. The system is symmetric and is solved with conjugate gradients.
 */
#include <math.h>

#include "explain/checks.h"

enum { STEPS = 9, MOST_ROUNDS = 4000 };
#define NOISE 0.01 /* of the picture's range */

typedef struct neighbour {
    int dy, dx;
    double weight;
} neighbour;

static const neighbour around[8] = {{0, 1, 1.0 / 6},   {0, -1, 1.0 / 6},  {1, 0, 1.0 / 6},
                                    {-1, 0, 1.0 / 6},  {1, 1, 1.0 / 12},  {1, -1, 1.0 / 12},
                                    {-1, 1, 1.0 / 12}, {-1, -1, 1.0 / 12}};

typedef struct hole {
    int64_t n, h, w;
    const int64_t *pixel; /* [n] */
    const int64_t *place; /* [h*w]: where in the system, -1 = known */
} hole;

/* out = A v: (sum of the weights inside the picture) v_i - sum over removed neighbours of weight v_j. With known: b instead, from x. */
static void apply(const hole *s, const double *v, const float *known, double *out) {
    for (int64_t i = 0; i < s->n; i++) {
        int64_t y = s->pixel[i] / s->w, x = s->pixel[i] % s->w;
        double all = 0.0, sum = 0.0;
        for (int k = 0; k < 8; k++) {
            int64_t py = y + around[k].dy, px = x + around[k].dx;
            if (py < 0 || px < 0 || py >= s->h || px >= s->w) {
                continue;
            }
            int64_t j = s->place[py * s->w + px];
            all += around[k].weight;
            if (known) {
                sum += j < 0 ? around[k].weight * (double)known[py * s->w + px] : 0.0;
            } else {
                sum += j >= 0 ? around[k].weight * v[j] : 0.0;
            }
        }
        out[i] = known ? sum : all * v[i] - sum;
    }
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* One channel; room [4 n]. */
static void solve(const hole *s, float *x, double *room) {
    double *v = room, *r = v + s->n, *p = r + s->n, *ap = p + s->n, start = 0.0;
    for (int64_t i = 0; i < s->n; i++) {
        v[i] = (double)x[s->pixel[i]];
    }
    apply(s, NULL, x, r);
    start = dot(r, r, s->n);
    apply(s, v, NULL, ap);
    for (int64_t i = 0; i < s->n; i++) {
        r[i] -= ap[i];
        p[i] = r[i];
    }
    double rr = dot(r, r, s->n), enough = 1e-16 * fmax(start, 1e-30);
    for (int round = 0; round < MOST_ROUNDS && rr > enough; round++) {
        apply(s, p, NULL, ap);
        double way = dot(p, ap, s->n);
        if (!(way > 0.0)) {
            break; /* nothing is known of this part of the picture: it stays as it is */
        }
        double step = rr / way, before = rr;
        for (int64_t i = 0; i < s->n; i++) {
            v[i] += step * p[i];
            r[i] -= step * ap[i];
        }
        rr = dot(r, r, s->n);
        for (int64_t i = 0; i < s->n; i++) {
            p[i] = r[i] + rr / before * p[i];
        }
    }
    for (int64_t i = 0; i < s->n; i++) {
        x[s->pixel[i]] = (float)v[i];
    }
}

cvs_status cvi_road_fill(float *x, int64_t channels, int64_t h, int64_t w, const uint8_t *removed,
                         cvs_error *err) {
    int64_t area = h * w, n = 0;
    int64_t *pixel = cvi_calloc((size_t)CVI_MAX(area, 1), 2 * sizeof *pixel);
    double *room = cvi_calloc((size_t)CVI_MAX(area, 1), 4 * sizeof *room);
    if (!pixel || !room) {
        cvi_free(pixel);
        cvi_free(room);
        return cvi_no_memory(err, (size_t)area * 6 * sizeof *room);
    }
    for (int64_t i = 0; i < area; i++) {
        pixel[area + i] = removed[i] ? n : -1;
        if (removed[i]) {
            pixel[n++] = i;
        }
    }
    hole s = {.n = n, .h = h, .w = w, .pixel = pixel, .place = pixel + area};
    for (int64_t c = 0; c < channels && n > 0; c++) {
        solve(&s, x + c * area, room);
    }
    cvi_free(pixel);
    cvi_free(room);
    return CVS_OK;
}

/* A picture without a share of its pixels, from the front or the back of the order, in place b. */
static cvs_status take_away(const cvi_curves *c, bool highest, int step, int64_t b, uint8_t *removed) {
    int64_t area = c->height * c->width, n = area * (step + 1) / (STEPS + 1);
    float *x = cvi_many_place(c->many, b), lo = c->picture[0], hi = lo;
    memcpy(x, c->picture, (size_t)c->many->pixels * sizeof *x);
    memset(removed, 0, (size_t)area);
    for (int64_t i = 0; i < n; i++) {
        removed[c->order[highest ? i : area - 1 - i]] = 1;
    }
    for (int64_t i = 0; i < c->many->pixels; i++) {
        lo = fminf(lo, c->picture[i]);
        hi = fmaxf(hi, c->picture[i]);
    }
    CVI_TRY(cvi_road_fill(x, c->channels, c->height, c->width, removed, c->err));
    for (int64_t i = 0; i < c->many->pixels; i++) {
        if (removed[i % area]) {
            uint64_t index = (uint64_t)(((int64_t)step * 2 + highest) * c->many->pixels + i);
            x[i] += (float)(NOISE * (double)(hi - lo) * cvi_random_normal(c->seed, 0x726F6164u, index));
        }
    }
    return CVS_OK;
}

cvs_status cvi_curve_road(const cvi_curves *c, cvs_removal *highest, cvs_removal *lowest, double *score) {
    uint8_t *removed = cvi_malloc((size_t)(c->height * c->width));
    cvs_status s = removed ? CVS_OK : cvi_no_memory(c->err, (size_t)(c->height * c->width));
    *score = 0.0;
    for (int side = 0; side < 2; side++) {
        cvs_removal *out = side == 0 ? highest : lowest;
        out->n = STEPS;
        for (int first = 0; s == CVS_OK && first < STEPS; first += (int)c->many->batch) {
            int n = CVI_MIN((int)c->many->batch, STEPS - first);
            for (int b = 0; s == CVS_OK && b < n; b++) {
                s = take_away(c, side == 0, first + b, b, removed);
            }
            if (s == CVS_OK) {
                s = cvi_many_ask(c->many, n, c->err);
            }
            for (int b = 0; s == CVS_OK && b < n; b++) {
                out->x[first + b] = (double)(first + b + 1) / (double)(STEPS + 1);
                out->y[first + b] = c->many->probability[b * c->many->classes + c->target];
            }
        }
    }
    for (int i = 0; s == CVS_OK && i < STEPS; i++) {
        *score += (lowest->y[i] - highest->y[i]) / 2.0 / STEPS;
    }
    cvi_free(removed);
    return s;
}
