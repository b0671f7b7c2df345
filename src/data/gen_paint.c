/* SPDX-License-Identifier: MIT
 * gen_paint.c - randoms, directions and the painter of the drawn picture sets: polygons (non-zero winding) to coverage, four
 * scan lines a pixel with exact horizontal coverage, and coverage to colours.
 */
#include "data/gen.h"

enum { SCAN_LINES = 4, MAX_CROSSINGS = 256 };

/* ---- randoms --------------------------------------------------------------------------------------------- */

cvi_gen_random cvi_gen_random_of(uint64_t seed, const char *name, cvs_split split, int64_t picture) {
    uint64_t purpose = cvi_hash(CVI_HASH_START, name, strlen(name));
    return (cvi_gen_random){seed, purpose * 2 + (split == CVS_TEST), (uint64_t)picture << 24};
}

double cvi_gen_uniform(cvi_gen_random *r, double low, double high) {
    return low + (high - low) * cvi_random_uniform(r->seed, r->purpose, r->index++);
}

int cvi_gen_pick(cvi_gen_random *r, int n) {
    return (int)(cvi_random_uniform(r->seed, r->purpose, r->index++) * n);
}

bool cvi_gen_chance(cvi_gen_random *r, double probability) {
    return cvi_random_uniform(r->seed, r->purpose, r->index++) < probability;
}

/* Taylor series within a quarter turn: sums and products only, error below 1e-11. */
cvi_point cvi_gen_turn(double turns) {
    turns -= (double)(int64_t)turns;
    turns += turns < 0 ? 1 : 0;
    int quarter = (int)(turns * 4);
    double x = (turns * 4 - quarter) * 1.5707963267948966, x2 = x * x, cosine = 1, sine = x, term = 1;
    for (int k = 1; k <= 9; k++) {
        term *= -x2 / ((2 * k - 1) * (2 * k));
        cosine += term;
        sine += term * x / (2 * k + 1);
    }
    switch (quarter & 3) {
    case 0:
        return (cvi_point){cosine, sine};
    case 1:
        return (cvi_point){-sine, cosine};
    case 2:
        return (cvi_point){-cosine, -sine};
    default:
        return (cvi_point){sine, -cosine};
    }
}

/* ---- polygons to coverage -------------------------------------------------------------------------------- */

typedef struct crossing {
    double x;
    int direction;
} crossing;

/* Where the polygon crosses the horizontal line y, sorted by x. */
static int crossings(const cvi_point *p, int n, double y, crossing *out) {
    int m = 0;
    for (int i = 0; i < n && m < MAX_CROSSINGS; i++) {
        cvi_point a = p[i], b = p[i + 1 < n ? i + 1 : 0];
        if ((a.y <= y) == (b.y <= y)) {
            continue;
        }
        crossing c = {a.x + (y - a.y) * (b.x - a.x) / (b.y - a.y), a.y <= y ? 1 : -1};
        int k = m++;
        for (; k > 0 && out[k - 1].x > c.x; k--) {
            out[k] = out[k - 1];
        }
        out[k] = c;
    }
    return m;
}

/* Adds weight times the covered part of every pixel between x0 and x1 to row. */
static void add_span(float *row, int width, double x0, double x1, double weight) {
    x0 = CVI_MAX(x0, 0.0);
    x1 = CVI_MIN(x1, (double)width);
    if (x0 >= x1) {
        return;
    }
    int first = (int)x0, last = (int)x1;
    if (first == last) {
        row[first] += (float)((x1 - x0) * weight);
        return;
    }
    row[first] += (float)((first + 1 - x0) * weight);
    for (int x = first + 1; x < last; x++) {
        row[x] += (float)weight;
    }
    if (last < width) {
        row[last] += (float)((x1 - last) * weight);
    }
}

static void fill_row(const cvi_point *p, int n, int y, float *row, int width) {
    for (int k = 0; k < SCAN_LINES; k++) {
        crossing c[MAX_CROSSINGS];
        int m = crossings(p, n, y + (k + 0.5) / SCAN_LINES, c), winding = 0;
        for (int i = 0; i + 1 < m; i++) {
            winding += c[i].direction;
            if (winding != 0) {
                add_span(row, width, c[i].x, c[i + 1].x, 1.0 / SCAN_LINES);
            }
        }
    }
}

static void combine(float *all, float *second, float v, cvi_role role) {
    v = v > 1 ? 1 : v;
    if (role == CVI_CUT) {
        *all *= 1 - v;
        *second *= 1 - v;
    } else {
        *all = *all > v ? *all : v;
        *second = role == CVI_SECOND ? (*second > v ? *second : v) : *second * (1 - v);
    }
}

static void cover_polygon(cvi_cover *c, const cvi_point *p, int n, cvi_role role) {
    double low = 1e9, high = -1e9, left = 1e9, right = -1e9;
    for (int i = 0; i < n; i++) {
        low = CVI_MIN(low, p[i].y);
        high = CVI_MAX(high, p[i].y);
        left = CVI_MIN(left, p[i].x);
        right = CVI_MAX(right, p[i].x);
    }
    if (high <= 0 || low >= c->height || right <= 0 || left >= c->width) {
        return;
    }
    int x0 = left > 0 ? (int)left : 0, x1 = right < c->width ? (int)right + 1 : c->width;
    int y0 = low > 0 ? (int)low : 0, y1 = high < c->height ? (int)high + 1 : c->height;
    for (int y = y0; y < CVI_MIN(y1, c->height); y++) {
        float row[CVI_GEN_SIDE] = {0};
        fill_row(p, n, y, row, c->width);
        for (int x = x0; x < CVI_MIN(x1, c->width); x++) {
            if (row[x] > 0) {
                combine(c->all + y * c->width + x, c->second + y * c->width + x, row[x], role);
            }
        }
    }
}

void cvi_cover_clear(cvi_cover *c, int width, int height) {
    c->width = width;
    c->height = height;
    memset(c->all, 0, (size_t)(width * height) * sizeof *c->all);
    memset(c->second, 0, (size_t)(width * height) * sizeof *c->second);
}

void cvi_cover_shape(cvi_cover *c, const cvi_shape *s, int first, int last, const cvi_affine *at) {
    cvi_point p[2 * MAX_CROSSINGS];
    for (int k = first; k < last; k++) {
        const cvi_point *from = s->point + s->part[k].first;
        int n = CVI_MIN(s->part[k].count, CVI_COUNT(p));
        for (int i = 0; i < n; i++) {
            p[i] = (cvi_point){at->a * from[i].x + at->b * from[i].y + at->tx,
                               at->c * from[i].x + at->d * from[i].y + at->ty};
        }
        cover_polygon(c, p, n, s->part[k].role);
    }
}

double cvi_cover_area(const cvi_cover *c) {
    double sum = 0;
    for (int i = 0; i < c->width * c->height; i++) {
        sum += (double)c->all[i];
    }
    return sum;
}

/* ---- coverage to colours --------------------------------------------------------------------------------- */

static double mix(double a, double b, double t) {
    return a + (b - a) * t;
}

void cvi_canvas_paint(cvi_canvas *to, const cvi_cover *c, cvi_color first, cvi_color second) {
    for (int i = 0; i < to->width * to->height; i++) {
        double all = (double)c->all[i];
        if (all > 0) {
            double t = (double)c->second[i] / all;
            t = t > 1 ? 1 : t;
            cvi_color *p = &to->pixel[i];
            p->r = mix(p->r, mix(first.r, second.r, t), all);
            p->g = mix(p->g, mix(first.g, second.g, t), all);
            p->b = mix(p->b, mix(first.b, second.b, t), all);
        }
    }
}
