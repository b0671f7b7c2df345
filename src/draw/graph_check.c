/* SPDX-License-Identifier: MIT
 * graph_check.c - what a machine can see wrong with a layout: boxes that overlap, arrows through a box they do not belong to,
 * arrows that do not begin and end at their boxes, things outside the drawing. For tests.
 */
#include "draw/graph_layout.h"

#include <math.h>

enum { PARTS = 12 }; /* straight pieces that stand for a curve */

typedef struct checker {
    const cvi_layout *l;
    cvi_buf *report;
    int faults;
} checker;

static void complain(checker *c, const char *what, int a, int b) {
    if (c->report != NULL && c->faults < 40) {
        cvi_buf_printf(c->report, "%s: %d, %d\n", what, a, b);
    }
    c->faults++;
}

static bool overlap(const cvi_place *a, const cvi_place *b) {
    return a->x + 0.3 < b->x + b->w && b->x + 0.3 < a->x + a->w && a->y + 0.3 < b->y + b->h &&
           b->y + 0.3 < a->y + a->h;
}

/* Liang and Barsky: whether a segment has a part strictly inside a box. */
static bool crosses(const cvi_place *b, double x1, double y1, double x2, double y2) {
    double t0 = 0.0, t1 = 1.0, p[4] = {x1 - x2, x2 - x1, y1 - y2, y2 - y1};
    double q[4] = {x1 - b->x - 0.3, b->x + b->w - 0.3 - x1, y1 - b->y - 0.3, b->y + b->h - 0.3 - y1};
    for (int i = 0; i < 4; i++) {
        if (fabs(p[i]) < 1e-12) {
            if (q[i] < 0.0) {
                return false;
            }
        } else if (p[i] < 0.0) {
            t0 = fmax(t0, q[i] / p[i]);
        } else {
            t1 = fmin(t1, q[i] / p[i]);
        }
    }
    return t0 < t1;
}

static void check_segment(checker *c, int link, double x1, double y1, double x2, double y2) {
    const cvi_link *l = &c->l->view->links[link];
    for (int b = 0; b < c->l->view->n_boxes; b++) {
        if (b != l->from && b != l->to && crosses(&c->l->boxes[b], x1, y1, x2, y2)) {
            complain(c, "an arrow (link, box) runs through a box", link, b);
        }
    }
    double left = fmin(x1, x2), top = fmin(y1, y2), right = fmax(x1, x2), bottom = fmax(y1, y2);
    if (left < -0.5 || top < -0.5 || right > c->l->width + 0.5 || bottom > c->l->height + 0.5) {
        complain(c, "an arrow leaves the drawing", link, 0);
    }
}

static bool touches(const cvi_place *b, double x, double y) {
    return x >= b->x - 0.5 && x <= b->x + b->w + 0.5 && y >= b->y - 0.5 && y <= b->y + b->h + 0.5;
}

static void check_route(checker *c, int link) {
    const cvi_route *r = &c->l->routes[link];
    const cvi_link *l = &c->l->view->links[link];
    double x = 0.0, y = 0.0;
    if (r->count < 2 || c->l->steps[r->first].op != 'M') {
        complain(c, "an arrow is not drawn", link, 0);
        return;
    }
    for (int i = r->first; i < r->first + r->count; i++) {
        const cvi_step *s = &c->l->steps[i];
        double ex = s->op == 'C' ? s->p[4] : s->p[0], ey = s->op == 'C' ? s->p[5] : s->p[1];
        if (s->op == 'L') {
            check_segment(c, link, x, y, ex, ey);
        }
        double px = x, py = y;
        for (int k = 1; s->op == 'C' && k <= PARTS; k++) {
            double t = (double)k / PARTS, u = 1.0 - t;
            double nx = u * u * u * x + 3 * u * u * t * s->p[0] + 3 * u * t * t * s->p[2] + t * t * t * ex;
            double ny = u * u * u * y + 3 * u * u * t * s->p[1] + 3 * u * t * t * s->p[3] + t * t * t * ey;
            check_segment(c, link, px, py, nx, ny);
            px = nx;
            py = ny;
        }
        if (i == r->first && !r->joins && !touches(&c->l->boxes[l->from], ex, ey)) {
            complain(c, "an arrow does not begin at its box", link, l->from);
        }
        x = ex;
        y = ey;
    }
    if (!touches(&c->l->boxes[l->to], x, y)) {
        complain(c, "an arrow does not end at its box", link, l->to);
    }
}

int cvi_layout_check(const cvi_layout *l, cvi_buf *report) {
    checker c = {.l = l, .report = report};
    for (int a = 0; a < l->view->n_boxes; a++) {
        const cvi_place *p = &l->boxes[a];
        if (p->x < -0.5 || p->y < -0.5 || p->x + p->w > l->width + 0.5 || p->y + p->h > l->height + 0.5) {
            complain(&c, "a box leaves the drawing", a, 0);
        }
        for (int b = a + 1; b < l->view->n_boxes; b++) {
            if (overlap(p, &l->boxes[b])) {
                complain(&c, "boxes overlap", a, b);
            }
        }
    }
    for (int i = 0; i < l->view->n_links; i++) {
        check_route(&c, i);
    }
    return c.faults;
}
