/* SPDX-License-Identifier: MIT
 * regions.c - graph-based segmentation (Felzenszwalb and Huttenlocher 2004): pixels are joined along the cheapest edges first, while an
 * edge costs less than what both sides have inside them.
 */
#include "explain/regions.h"

#include <math.h>
#include <stdlib.h>

#include "explain/blur.h"

typedef struct edge {
    double cost;
    int32_t a, b;
    int32_t order; /* of making: ties are settled by it */
} edge;

typedef struct forest {
    int32_t *parent, *size;
    double *inside; /* the dearest edge within the tree so far */
} forest;

static int32_t root_of(forest *f, int32_t i) {
    while (f->parent[i] != i) {
        f->parent[i] = f->parent[f->parent[i]];
        i = f->parent[i];
    }
    return i;
}

static int32_t join(forest *f, int32_t a, int32_t b) {
    int32_t low = CVI_MIN(a, b), high = CVI_MAX(a, b);
    f->parent[high] = low;
    f->size[low] += f->size[high];
    return low;
}

static int by_cost(const void *x, const void *y) {
    const edge *a = x, *b = y;
    return a->cost < b->cost ? -1 : a->cost > b->cost ? 1 : (a->order > b->order) - (a->order < b->order);
}

static double apart(const double *x, int64_t channels, int64_t area, int64_t a, int64_t b) {
    double sum = 0.0;
    for (int64_t c = 0; c < channels; c++) {
        double d = x[c * area + a] - x[c * area + b];
        sum += d * d;
    }
    return sqrt(sum);
}

/* To the right, down, down right, up right. */
static int64_t make_edges(const double *x, int64_t channels, int64_t h, int64_t w, edge *out) {
    static const int step[4][2] = {{0, 1}, {1, 0}, {1, 1}, {-1, 1}};
    int64_t n = 0, area = h * w;
    for (int d = 0; d < 4; d++) {
        for (int64_t i = 0; i < area; i++) {
            int64_t y = i / w + step[d][0], u = i % w + step[d][1];
            if (y >= 0 && y < h && u < w) {
                int64_t j = y * w + u;
                out[n] = (edge){apart(x, channels, area, i, j), (int32_t)i, (int32_t)j, (int32_t)n};
                n++;
            }
        }
    }
    return n;
}

static void grow(forest *f, const edge *edges, int64_t n, double scale, int64_t least) {
    for (int64_t e = 0; e < n; e++) {
        int32_t a = root_of(f, edges[e].a), b = root_of(f, edges[e].b);
        double allow = fmin(f->inside[a] + scale / f->size[a], f->inside[b] + scale / f->size[b]);
        if (a != b && edges[e].cost < allow) {
            f->inside[join(f, a, b)] = edges[e].cost;
        }
    }
    for (int64_t e = 0; e < n; e++) {
        int32_t a = root_of(f, edges[e].a), b = root_of(f, edges[e].b);
        if (a != b && (f->size[a] < least || f->size[b] < least)) {
            join(f, a, b);
        }
    }
}

cvs_status cvi_regions_cut(const double *x, int64_t channels, int64_t h, int64_t w, double scale,
                           int64_t least, int32_t *label, int64_t *n, cvs_error *err) {
    int64_t area = h * w, most;
    if (!cvi_mul(area, 4, &most) || most > INT32_MAX || area < 1) {
        return cvi_fail(err, CVS_E_LIMIT, "a picture of %lldx%lld is too large to be cut into regions",
                        (long long)w, (long long)h);
    }
    double *soft = cvi_calloc((size_t)(channels * area), sizeof *soft);
    edge *edges = cvi_calloc((size_t)most, sizeof *edges);
    forest f = {cvi_calloc((size_t)area, sizeof *f.parent), cvi_calloc((size_t)area, sizeof *f.size),
                cvi_calloc((size_t)area, sizeof *f.inside)};
    cvs_status s = soft && edges && f.parent && f.size && f.inside
                       ? cvi_blur_planes(x, channels, h, w, 0.8, CVI_BEYOND_MIRROR, soft, err)
                       : cvi_no_memory(err, (size_t)most * sizeof *edges);
    if (s == CVS_OK) {
        for (int64_t i = 0; i < area; i++) {
            f.parent[i] = (int32_t)i;
            f.size[i] = 1;
        }
        int64_t n_edges = make_edges(soft, channels, h, w, edges);
        qsort(edges, (size_t)n_edges, sizeof *edges, by_cost);
        grow(&f, edges, n_edges, scale / 255.0, least);
        *n = 0;
        for (int64_t i = 0; i < area; i++) { /* a root comes before all that hang on it */
            int32_t root = root_of(&f, (int32_t)i);
            label[i] = root == i ? (int32_t)(*n)++ : label[root];
        }
    }
    cvi_free(soft);
    cvi_free(edges);
    cvi_free(f.parent);
    cvi_free(f.size);
    cvi_free(f.inside);
    return s;
}
