/* SPDX-License-Identifier: MIT
 * graph_valley.c - networks that go down in resolution and come back, with arrows across (U-Net): where the bottom is, and
 * the ranks of both slopes moved so that what an arrow joins stands at one height.
 */
#include "draw/graph_route.h"

#include <math.h>
#include <stdlib.h>

static int64_t height_of(const cvi_planner *p, int b) {
    cvi_arch_node n;
    cvi_box_node(p->v, b, &n);
    return cvi_shape_height(&n.out) * CVI_MAX(cvi_shape_width(&n.out), 1);
}

/* Whether link i crosses the boundary after rank k on a rail between two boxes of the main path that are equally large. */
static bool bridges(const cvi_planner *p, int i, int k) {
    const cvi_link *l = &p->v->links[i];
    return p->rank[l->from] <= k && p->rank[l->to] > k && p->runs[i].kind == CVI_RUN_RAIL &&
           p->main[l->from] && p->main[l->to] && height_of(p, l->from) == height_of(p, l->to);
}

/* All that crosses after rank k: bridges, and the main path. */
static int count_bridges(const cvi_planner *p, int k) {
    int n = 0;
    for (int i = 0; i < p->v->n_links; i++) {
        const cvi_link *l = &p->v->links[i];
        if (p->rank[l->from] > k || p->rank[l->to] <= k) {
            continue;
        }
        bool path = p->runs[i].kind == CVI_RUN_STRAIGHT && p->main[l->from] && p->rank[l->to] == k + 1;
        if (!path && !bridges(p, i, k)) {
            return 0;
        }
        n += !path;
    }
    return n;
}

int cvi_valley(const cvi_planner *p) {
    int best = -1, most = 1;
    if (p->o->across || p->v->n_boxes > 400) {
        return -1;
    }
    int *at = cvi_arena_alloc(p->arena, p->n_ranks + 1, sizeof(int));
    if (at == NULL) {
        return -1;
    }
    for (int b = 0; b < p->v->n_boxes; b++) {
        if (!p->main[b]) {
            return -1; /* another column would stand in the arrows' way */
        }
        at[p->rank[b]] = b;
    }
    for (int f = 0; f < p->v->n_frames; f++) {
        if (p->spans[f].shown) {
            return -1;
        }
    }
    for (int k = 1; k + 2 < p->n_ranks; k++) { /* the way up begins where maps get larger */
        int n = height_of(p, at[k + 1]) > height_of(p, at[k]) ? count_bridges(p, k) : 0;
        if (n > most) {
            most = n;
            best = k;
        }
    }
    return best;
}

typedef struct bridge {
    int from, to; /* ranks */
} bridge;

static int inner_first(const void *a, const void *b) {
    const bridge *p = a, *q = b;
    return q->from - p->from;
}

double cvi_valley_align(cvi_planner *p, int bottom) {
    double floor = p->top[bottom] + p->size[bottom], base = p->top[bottom + 1], height = 0.0;
    bridge *list = cvi_arena_alloc(p->arena, p->v->n_links + 1, sizeof *list);
    double *up =
        cvi_arena_alloc(p->arena, p->n_ranks + 1, sizeof *up); /* of a rank's middle over the bottom */
    int n = 0;
    if (list == NULL || up == NULL) {
        return -1.0;
    }
    for (int r = 0; r < p->n_ranks; r++) {
        double middle = p->top[r] + p->size[r] / 2;
        up[r] = r <= bottom ? floor - middle : middle - base;
    }
    for (int i = 0; i < p->v->n_links; i++) {
        if (bridges(p, i, bottom)) {
            list[n++] = (bridge){p->rank[p->v->links[i].from], p->rank[p->v->links[i].to]};
        }
    }
    qsort(list, (size_t)n, sizeof *list, inner_first);
    for (int i = 0; i < n; i++) {
        double more = up[list[i].from] - up[list[i].to];
        for (int r = list[i].to; more > 0.0 && r < p->n_ranks; r++) {
            up[r] += more;
        }
        for (int r = list[i].from; more < 0.0 && r >= 0; r--) {
            up[r] -= more;
        }
    }
    for (int r = 0; r < p->n_ranks; r++) {
        height = fmax(height, up[r] + p->size[r] / 2);
    }
    for (int r = 0; r < p->n_ranks; r++) {
        p->top[r] = (r <= bottom ? height - up[r] : up[r]) - p->size[r] / 2;
    }
    return height;
}
