/* SPDX-License-Identifier: MIT
 * scene_check.c - what a machine can see wrong with a figure: overlapping, cut, tiny or covered text.
 * Texts may be rotated, so boxes are compared as quadrilaterals (separating axes); a sweep over x keeps it quick.
 */
#include "draw/scene.h"

#include <math.h>
#include <stdlib.h>

#define SLACK 0.3 /* points that boxes may touch by: antialiasing, not reading */

typedef struct quad {
    double x[4], y[4];
    double left, right, top, bottom;
    int64_t item;
} quad;

static quad bounded(quad q) {
    q.left = q.right = q.x[0];
    q.top = q.bottom = q.y[0];
    for (int i = 1; i < 4; i++) {
        q.left = fmin(q.left, q.x[i]);
        q.right = fmax(q.right, q.x[i]);
        q.top = fmin(q.top, q.y[i]);
        q.bottom = fmax(q.bottom, q.y[i]);
    }
    return q;
}

static quad box_quad(double x, double y, double w, double h, int64_t item) {
    return bounded((quad){.x = {x, x + w, x + w, x}, .y = {y, y, y + h, y + h}, .item = item});
}

static quad text_quad(const cvi_item *t, int64_t item) {
    const cvi_font *f = &t->u.text.font;
    double start = f->anchor == CVI_START ? 0.0 : f->anchor == CVI_MIDDLE ? -t->w / 2 : -t->w;
    double xs[4] = {start, start + t->w, start + t->w, start};
    double ys[4] = {-f->size * CVI_ASCENT, -f->size * CVI_ASCENT, f->size * CVI_DESCENT,
                    f->size * CVI_DESCENT};
    double c = cos(f->angle * (3.14159265358979323846 / 180.0)),
           s = sin(f->angle * (3.14159265358979323846 / 180.0));
    quad q = {.item = item};
    for (int i = 0; i < 4; i++) {
        q.x[i] = t->x + xs[i] * c - ys[i] * s;
        q.y[i] = t->y + xs[i] * s + ys[i] * c;
    }
    return bounded(q);
}

/* Overlap of two convex quadrilaterals by more than SLACK in every direction that could separate them. */
static bool overlap(const quad *a, const quad *b) {
    if (a->right - SLACK <= b->left || b->right - SLACK <= a->left || a->bottom - SLACK <= b->top ||
        b->bottom - SLACK <= a->top) {
        return false;
    }
    const quad *both[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 2; i++) { /* rectangles: two edge directions each */
            double nx = both[k]->y[i + 1] - both[k]->y[i], ny = both[k]->x[i] - both[k]->x[i + 1];
            double n = hypot(nx, ny), lo[2] = {HUGE_VAL, HUGE_VAL}, hi[2] = {-HUGE_VAL, -HUGE_VAL};
            if (!(n > 0.0)) {
                continue;
            }
            for (int m = 0; m < 2; m++) {
                for (int v = 0; v < 4; v++) {
                    double d = (both[m]->x[v] * nx + both[m]->y[v] * ny) / n;
                    lo[m] = fmin(lo[m], d);
                    hi[m] = fmax(hi[m], d);
                }
            }
            if (hi[0] - SLACK <= lo[1] || hi[1] - SLACK <= lo[0]) {
                return false;
            }
        }
    }
    return true;
}

static int by_left(const void *a, const void *b) {
    const quad *p = a, *q = b;
    return p->left < q->left ? -1 : p->left > q->left ? 1 : p->item < q->item ? -1 : 1;
}

static const char *string_of(const cvi_scene *s, const quad *q) {
    const cvi_item *item = &s->items[q->item];
    return item->kind == CVI_ITEM_TEXT    ? item->u.text.string
           : item->kind == CVI_ITEM_IMAGE ? "[picture]"
                                          : "[shape]";
}

static void complain(cvi_buf *report, int *faults, const char *what, const char *a, const char *b) {
    ++*faults;
    if (report != NULL && *faults <= 40) {
        cvi_buf_printf(report, "%s: \"%.60s\"%s%.60s%s\n", what, a, b ? " and \"" : "", b ? b : "",
                       b ? "\"" : "");
    }
}

/* Only what hides: opaque rectangles and pictures. Paths are lines and small marks, drawn over text on purpose never. */
static bool covers(const cvi_item *item) {
    return item->kind == CVI_ITEM_IMAGE ||
           (item->kind == CVI_ITEM_RECT && (item->u.rect.paint.fill & 0xFF) > 0x80);
}

static bool off_page(const cvi_scene *s, const quad *q) {
    bool numbers = isfinite(q->left) && isfinite(q->right) && isfinite(q->top) && isfinite(q->bottom);
    return !numbers || q->left < -SLACK || q->top < -SLACK || q->right > s->width + SLACK ||
           q->bottom > s->height + SLACK;
}

int cvi_scene_check(const cvi_scene *s, cvi_buf *report) {
    int faults = 0;
    if (s->failed || s->depth != 0 || !(s->width > 0.0) || !(s->height > 0.0)) {
        complain(report, &faults,
                 s->failed  ? "out of memory"
                 : s->depth ? "a group is open"
                            : "no page",
                 s->title, NULL);
    }
    quad *quads = cvi_calloc((size_t)s->n_items + 1, sizeof *quads);
    if (quads == NULL) {
        return faults + 1;
    }
    int64_t n = 0;
    for (int64_t i = 0; i < s->n_items; i++) {
        const cvi_item *item = &s->items[i];
        if (item->kind == CVI_ITEM_BEGIN || item->kind == CVI_ITEM_END) {
            continue;
        }
        bool text = item->kind == CVI_ITEM_TEXT;
        quad q = text ? text_quad(item, i) : box_quad(item->x, item->y, item->w, item->h, i);
        if (off_page(s, &q)) {
            complain(report, &faults, "off the page", string_of(s, &q), NULL);
        }
        if (text && item->u.text.font.size < CVI_MIN_TEXT - 1e-9) {
            complain(report, &faults, "text too small", item->u.text.string, NULL);
        }
        if (text || covers(item)) {
            quads[n++] = q;
        }
    }
    qsort(quads, (size_t)n, sizeof *quads, by_left);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = i + 1; j < n && quads[j].left < quads[i].right - SLACK; j++) {
            bool ti = s->items[quads[i].item].kind == CVI_ITEM_TEXT,
                 tj = s->items[quads[j].item].kind == CVI_ITEM_TEXT;
            if (ti && tj && overlap(&quads[i], &quads[j])) {
                complain(report, &faults, "texts overlap", string_of(s, &quads[i]), string_of(s, &quads[j]));
            } else if (ti != tj) {
                const quad *t = ti ? &quads[i] : &quads[j], *cover = ti ? &quads[j] : &quads[i];
                if (cover->item > t->item && overlap(t, cover)) {
                    complain(report, &faults, "text is covered", string_of(s, t), string_of(s, cover));
                }
            }
        }
    }
    cvi_free(quads);
    return faults;
}
