/* SPDX-License-Identifier: MIT
 * gen_shape.c - shapes as lists of polygons: boxes, ellipses, lines, arcs and smooth curves become polygons here, once, in the
 * shape's own coordinates.
 */
#include <math.h>

#include "data/gen.h"

enum { CURVE_STEPS = 6, MAX_CURVE = 16 };

/* Room for n more points in a new part; NULL (and full) when there is none. */
static cvi_point *new_part(cvi_shape *s, cvi_role role, int n, bool whole) {
    if (s->n_parts == CVI_SHAPE_PARTS || n > CVI_SHAPE_POINTS - s->n_points) {
        s->full = true;
        return NULL;
    }
    cvi_point *p = s->point + s->n_points;
    s->part[s->n_parts++] = (struct cvi_part){s->n_points, n, role, whole};
    s->n_points += n;
    return p;
}

static void add_polygon(cvi_shape *s, cvi_role role, const cvi_point *points, int n, bool whole) {
    cvi_point *p = new_part(s, role, n, whole);
    if (p != NULL) {
        memcpy(p, points, (size_t)n * sizeof *p);
    }
}

void cvi_shape_polygon(cvi_shape *s, cvi_role role, const cvi_point *points, int n) {
    add_polygon(s, role, points, n, true);
}

void cvi_shape_box(cvi_shape *s, cvi_role role, double x0, double y0, double x1, double y1) {
    add_polygon(s, role, (cvi_point[]){{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}, 4, true);
}

static void add_ellipse(cvi_shape *s, cvi_role role, cvi_point centre, double rx, double ry, double turns,
                        int n, bool whole) {
    cvi_point *p = new_part(s, role, n, whole), axis = cvi_gen_turn(turns);
    for (int i = 0; p != NULL && i < n; i++) {
        cvi_point u = cvi_gen_turn((double)i / n);
        double x = rx * u.x, y = ry * u.y;
        p[i] = (cvi_point){centre.x + axis.x * x - axis.y * y, centre.y + axis.y * x + axis.x * y};
    }
}

void cvi_shape_ellipse(cvi_shape *s, cvi_role role, double cx, double cy, double rx, double ry,
                       double turns) {
    add_ellipse(s, role, (cvi_point){cx, cy}, rx, ry, turns, 28, true);
}

void cvi_shape_line(cvi_shape *s, cvi_role role, double width, const cvi_point *points, int n) {
    double h = width / 2;
    for (int i = 0; i < n; i++) {
        add_ellipse(s, role, points[i], h, h, 0, 10, i == 0);
        if (i + 1 < n) {
            double dx = points[i + 1].x - points[i].x, dy = points[i + 1].y - points[i].y;
            double length = sqrt(dx * dx + dy * dy);
            if (length > 0) {
                double nx = -dy / length * h, ny = dx / length * h;
                cvi_point a = points[i], b = points[i + 1];
                add_polygon(s, role,
                            (cvi_point[]){{a.x + nx, a.y + ny},
                                          {b.x + nx, b.y + ny},
                                          {b.x - nx, b.y - ny},
                                          {a.x - nx, a.y - ny}},
                            4, false);
            }
        }
    }
}

/* A band around a curve given by close points: the left side forward, the right side back. A closed one repeats its first point
 * at the end; the seam has no area. */
static void add_band(cvi_shape *s, cvi_role role, double width, const cvi_point *p, int n, bool closed) {
    cvi_point *out = new_part(s, role, 2 * n, true);
    for (int i = 0; out != NULL && i < n; i++) {
        cvi_point before = p[i > 0 ? i - 1 : (closed ? n - 2 : 0)],
                  after = p[i + 1 < n ? i + 1 : (closed ? 1 : n - 1)];
        double dx = after.x - before.x, dy = after.y - before.y, length = sqrt(dx * dx + dy * dy);
        double nx = length > 0 ? -dy / length * width / 2 : 0, ny = length > 0 ? dx / length * width / 2 : 0;
        out[i] = (cvi_point){p[i].x + nx, p[i].y + ny};
        out[2 * n - 1 - i] = (cvi_point){p[i].x - nx, p[i].y - ny};
    }
}

void cvi_shape_arc(cvi_shape *s, cvi_role role, double width, double cx, double cy, double rx, double ry,
                   double t0, double t1) {
    enum { MOST = 33 };
    double span = t1 > t0 ? t1 - t0 : t0 - t1;
    int n = span >= 1 ? MOST : 6 + (int)(span * (MOST - 7));
    cvi_point p[MOST];
    for (int i = 0; i < n; i++) {
        cvi_point u = cvi_gen_turn(t0 + (t1 - t0) * i / (n - 1));
        p[i] = (cvi_point){cx + rx * u.x, cy + ry * u.y};
    }
    add_band(s, role, width, p, n, span >= 1);
    if (span < 1) {
        add_ellipse(s, role, p[0], width / 2, width / 2, 0, 10, false);
        add_ellipse(s, role, p[n - 1], width / 2, width / 2, 0, 10, false);
    }
}

/* Catmull-Rom through the points; returns how many points of out[MAX_CURVE * CURVE_STEPS + 1] it fills. */
static int smooth(const cvi_point *p, int n, bool closed, cvi_point *out) {
    int m = 0, segments = closed ? n : n - 1;
    for (int i = 0; i < segments; i++) {
        cvi_point a = p[closed ? (i + n - 1) % n : CVI_MAX(i - 1, 0)], b = p[i], c = p[(i + 1) % n],
                  d = p[closed ? (i + 2) % n : CVI_MIN(i + 2, n - 1)];
        for (int k = 0; k < CURVE_STEPS; k++) {
            double t = (double)k / CURVE_STEPS, t2 = t * t, t3 = t2 * t;
            double wa = 2 * t2 - t3 - t, wb = 3 * t3 - 5 * t2 + 2, wc = 4 * t2 - 3 * t3 + t, wd = t3 - t2;
            out[m++] = (cvi_point){(wa * a.x + wb * b.x + wc * c.x + wd * d.x) / 2,
                                   (wa * a.y + wb * b.y + wc * c.y + wd * d.y) / 2};
        }
    }
    if (!closed) {
        out[m++] = p[n - 1];
    }
    return m;
}

void cvi_shape_curve(cvi_shape *s, cvi_role role, double width, const cvi_point *points, int n, bool closed) {
    cvi_point p[MAX_CURVE * CURVE_STEPS + 1];
    if (n < 2 || n > MAX_CURVE) {
        s->full = true;
        return;
    }
    int m = smooth(points, n, closed, p);
    if (closed) {
        p[m++] = p[0];
    }
    add_band(s, role, width, p, m, closed);
    if (!closed) {
        add_ellipse(s, role, p[0], width / 2, width / 2, 0, 10, false);
        add_ellipse(s, role, p[m - 1], width / 2, width / 2, 0, 10, false);
    }
}

void cvi_shape_blob(cvi_shape *s, cvi_role role, const cvi_point *points, int n) {
    cvi_point p[MAX_CURVE * CURVE_STEPS + 1];
    if (n < 3 || n > MAX_CURVE) {
        s->full = true;
        return;
    }
    add_polygon(s, role, p, smooth(points, n, true, p), true);
}

void cvi_shape_box_of(const cvi_shape *s, const cvi_affine *at, cvi_point *low, cvi_point *high) {
    *low = (cvi_point){1e9, 1e9};
    *high = (cvi_point){-1e9, -1e9};
    for (int k = 0; k < s->n_parts; k++) {
        for (int i = 0; s->part[k].role != CVI_CUT && i < s->part[k].count; i++) {
            cvi_point p = s->point[s->part[k].first + i];
            double x = at->a * p.x + at->b * p.y + at->tx, y = at->c * p.x + at->d * p.y + at->ty;
            low->x = CVI_MIN(low->x, x);
            low->y = CVI_MIN(low->y, y);
            high->x = CVI_MAX(high->x, x);
            high->y = CVI_MAX(high->y, y);
        }
    }
}
