/* SPDX-License-Identifier: MIT
 * pgm_layout.c - places a graphical model without a coordinate: every plate is laid out by itself and then stands as one box in the
 * layout around it, so that a plate holds exactly its members. Inside, layers by longest path, order by barycentre, places by
 * least squares under the gaps. Several directions are tried; the one with the fewest collisions and shortest edges is kept.
 */
#include <math.h>
#include <stdlib.h>

#include "draw/pgm.h"

static const double margin = 12, gap = 26, spread = 18, label_room = 16, grid = 56.7 /* 2 cm, as DAFT's */;

/* One thing in a layer: a node or a whole plate. */
typedef struct item {
    int node, plate; /* the other is -1 */
    int layer;
    double order;     /* while sorting: the mean place of its neighbours */
    double size[2];   /* along the layers' direction, across it */
    double centre[2]; /* the same axes */
} item;

typedef struct way { /* an edge between two items of one cluster */
    int from, to;
    int a, b; /* its nodes */
} way;

typedef struct trial {
    cvi_pgm *p;
    bool right;         /* the outermost layers run to the right */
    bool alternate;     /* plates turn the direction */
    bool beside;        /* fixed values stand beside what they feed, not before it */
    double *x, *y;      /* per node, relative to the cluster that is being placed */
    double (*plate)[4]; /* x, y, w, h */
    cvs_error *err;
    cvi_arena *arena;
} trial;

/* The item of a cluster that holds a node; -1: it lies elsewhere. */
static int item_of(const cvi_pgm *p, const item *items, int n, int node) {
    for (int i = 0; i < n; i++) {
        if (items[i].node == node) {
            return i;
        }
        if (items[i].plate >= 0) {
            for (int q = p->nodes[node].plate; q >= 0; q = p->plates[q].parent) {
                if (q == items[i].plate) {
                    return i;
                }
            }
        }
    }
    return -1;
}

static void node_size(cvi_pgm_node *n) {
    cvi_font font = {.size = CVI_PGM_FONT};
    n->text_width = CVI_MIN(cvi_math_width(&n->math, &font), 150);
    if (n->kind == CVI_PGM_FIXED) {
        n->w = CVI_MAX(8, n->text_width);
        n->h = 2 * (CVI_PGM_FONT + 8); /* the label stands above the dot, or below */
    } else {
        n->w = CVI_MAX(CVI_PGM_NODE, n->text_width + (n->box ? 12 : 16));
        n->h = CVI_PGM_NODE;
    }
}

/* ---- layers ---------------------------------------------------------------------------------------------- */

/* Longest paths from the sources; a way that would close a cycle is left out. Few rounds, as there are few items. */
static bool find_layers(cvi_arena *arena, item *items, int n, way *ways, int n_ways) {
    for (int round = 0; round < n; round++) {
        bool changed = false;
        for (int k = 0; k < n_ways; k++) {
            item *a = &items[ways[k].from], *b = &items[ways[k].to];
            if (b->layer <= a->layer && a->layer + 1 < n) {
                b->layer = a->layer + 1;
                changed = true;
            }
        }
        if (!changed) {
            break;
        }
    }
    int *least = cvi_arena_alloc(arena, CVI_MAX(n, 1), sizeof *least);
    if (!least) {
        return false;
    }
    for (int i = 0; i < n; i++) { /* sources move up to what reads them */
        bool fed = false;
        int nearest = n;
        for (int k = 0; k < n_ways; k++) {
            fed |= ways[k].to == i;
            nearest = ways[k].from == i ? CVI_MIN(nearest, items[ways[k].to].layer) : nearest;
        }
        least[i] = fed || nearest == n ? items[i].layer : CVI_MAX(0, nearest - 1);
    }
    for (int i = 0; i < n; i++) {
        items[i].layer = least[i];
    }
    return true;
}

/* A fixed value that feeds one thing stands in the layer of that thing. */
static void put_beside(const cvi_pgm *p, item *items, int n, const way *ways, int n_ways) {
    for (int i = 0; i < n; i++) {
        int to = -1, count = 0;
        for (int k = 0; k < n_ways; k++) {
            count += ways[k].from == i || ways[k].to == i;
            to = ways[k].from == i ? ways[k].to : to;
        }
        if (count == 1 && to >= 0 && items[i].node >= 0 && items[to].node >= 0 &&
            p->nodes[items[i].node].kind == CVI_PGM_FIXED) {
            items[i].layer = items[to].layer;
        }
    }
    int least = n;
    for (int i = 0; i < n; i++) {
        least = CVI_MIN(least, items[i].layer);
    }
    for (int i = 0; i < n; i++) {
        items[i].layer -= least;
    }
}

/* Where a node lies across the layers, relative to the centre of its item. */
static double offset(const trial *t, const item *it, int node, bool right) {
    return it->node >= 0 ? 0
           : right       ? t->y[node] - t->plate[it->plate][3] / 2
                         : t->x[node] - t->plate[it->plate][2] / 2;
}

/* The mean place across that an item's neighbours in other layers want it at; its own where it has none. */
static double wanted(const trial *t, const item *items, const way *ways, int n_ways, int i, bool right,
                     int side) {
    double sum = 0;
    int count = 0;
    for (int k = 0; k < n_ways; k++) {
        int other = ways[k].from == i ? ways[k].to : ways[k].to == i ? ways[k].from : -1;
        if (other < 0 || items[other].layer == items[i].layer ||
            (side < 0 && items[other].layer > items[i].layer) ||
            (side > 0 && items[other].layer < items[i].layer)) {
            continue;
        }
        int mine = ways[k].from == i ? ways[k].a : ways[k].b,
            theirs = ways[k].from == i ? ways[k].b : ways[k].a;
        sum += items[other].centre[1] + offset(t, &items[other], theirs, right) -
               offset(t, &items[i], mine, right);
        count++;
    }
    return count ? sum / count : items[i].centre[1];
}

static int by_order(const void *a, const void *b) {
    const item *x = *(const item *const *)a, *y = *(const item *const *)b;
    return x->order < y->order ? -1 : x->order > y->order ? 1 : (x > y) - (x < y);
}

/* Places `n` items of one layer, in order, as near as can be to where they want to be (their `order`), without overlaps:
 * neighbours that would collide are moved together (pool adjacent violators). */
static void settle(item **row, int n) {
    double mean[64];
    int count[64], blocks = 0;
    double shift = 0;
    for (int i = 0; i < n && i < 64; i++) {
        if (i > 0) {
            shift += row[i - 1]->size[1] / 2 + spread + row[i]->size[1] / 2;
        }
        mean[blocks] = row[i]->order - shift;
        count[blocks++] = 1;
        while (blocks > 1 && mean[blocks - 2] > mean[blocks - 1]) {
            int a = count[blocks - 2], b = count[blocks - 1];
            mean[blocks - 2] = (mean[blocks - 2] * a + mean[blocks - 1] * b) / (a + b);
            count[blocks - 2] = a + b;
            blocks--;
        }
    }
    shift = 0;
    for (int i = 0, k = 0, left = blocks ? count[0] : 0; i < n && i < 64; i++, left--) {
        if (left == 0) {
            left = count[++k];
        }
        if (i > 0) {
            shift += row[i - 1]->size[1] / 2 + spread + row[i]->size[1] / 2;
        }
        row[i]->centre[1] = mean[k] + shift;
    }
    for (int i = 64; i < n; i++) { /* very wide layers: one after the other */
        row[i]->centre[1] = row[i - 1]->centre[1] + row[i - 1]->size[1] / 2 + spread + row[i]->size[1] / 2;
    }
}

/* Layers one after the other, items of a layer beside each other; sweeps down and up straighten the ways. */
static cvs_status place_layers(trial *t, item *items, int n, way *ways, int n_ways, bool right) {
    item **row = cvi_arena_alloc(t->arena, CVI_MAX(n, 1), sizeof *row);
    if (!row) {
        return cvi_no_memory(t->err, 0);
    }
    int layers = 0;
    for (int i = 0; i < n; i++) {
        layers = CVI_MAX(layers, items[i].layer + 1);
        items[i].centre[1] = i;
    }
    for (int sweep = 0; sweep < 24; sweep++) {
        for (int step = 0; step < layers; step++) {
            int layer = sweep % 2 ? layers - 1 - step : step, count = 0;
            for (int i = 0; i < n; i++) {
                if (items[i].layer == layer) {
                    items[i].order = wanted(t, items, ways, n_ways, i, right,
                                            sweep > 18  ? 0
                                            : sweep % 2 ? 1
                                                        : -1);
                    row[count++] = &items[i];
                }
            }
            if (sweep < 14) { /* later sweeps keep the order and only straighten */
                qsort(row, (size_t)count, sizeof *row, by_order);
            } else {
                for (int i = 1; i < count; i++) { /* by place: insertion sort, nearly sorted */
                    for (int k = i; k > 0 && row[k]->centre[1] < row[k - 1]->centre[1]; k--) {
                        item *swap = row[k];
                        row[k] = row[k - 1];
                        row[k - 1] = swap;
                    }
                }
            }
            settle(row, count);
        }
    }
    double at = 0;
    for (int layer = 0; layer < layers; layer++) {
        double thick = 0;
        for (int i = 0; i < n; i++) {
            thick = items[i].layer == layer ? CVI_MAX(thick, items[i].size[0]) : thick;
        }
        for (int i = 0; i < n; i++) {
            if (items[i].layer == layer) {
                items[i].centre[0] = at + thick / 2;
            }
        }
        at += thick + gap;
    }
    return CVS_OK;
}

/* ---- clusters ------------------------------------------------------------------------------------------------ */

/* Moves everything inside a plate. */
static void move_plate(trial *t, int plate, double dx, double dy) {
    const cvi_pgm *p = t->p;
    for (int i = 0; i < p->plates[plate].n; i++) {
        t->x[p->plates[plate].nodes[i]] += dx;
        t->y[p->plates[plate].nodes[i]] += dy;
    }
    for (int q = plate; q < p->n_plates; q++) {
        for (int up = q; up >= 0; up = p->plates[up].parent) {
            if (up == plate) {
                t->plate[q][0] += dx;
                t->plate[q][1] += dy;
                break;
            }
        }
    }
}

/* Lays out what lies directly in a cluster (-1: the page). Its plates are done before. Fills w and h of its content, whose
 * upper left corner is then at (0, 0). */
static cvs_status place_cluster(trial *t, int cluster, bool right, double *w, double *h) {
    const cvi_pgm *p = t->p;
    int n = 0, n_ways = 0;
    item *items = cvi_arena_alloc(t->arena, p->n_nodes + p->n_plates, sizeof *items);
    way *ways = cvi_arena_alloc(t->arena, CVI_MAX(p->n_edges, 1), sizeof *ways);
    if (!items || !ways) {
        return cvi_no_memory(t->err, 0);
    }
    for (int i = 0; i < p->n_nodes; i++) {
        if (p->nodes[i].plate == cluster) {
            const cvi_pgm_node *node = &p->nodes[i];
            items[n++] = (item){
                .node = i, .plate = -1, .size = {right ? node->w : node->h, right ? node->h : node->w}};
        }
    }
    for (int q = 0; q < p->n_plates; q++) {
        if (p->plates[q].parent == cluster) {
            const double *r = t->plate[q];
            items[n++] = (item){.node = -1, .plate = q, .size = {right ? r[2] : r[3], right ? r[3] : r[2]}};
        }
    }
    for (int e = 0; e < p->n_edges; e++) {
        int from = item_of(p, items, n, p->edges[e].from), to = item_of(p, items, n, p->edges[e].to);
        if (from >= 0 && to >= 0 && from != to) {
            ways[n_ways++] = (way){from, to, p->edges[e].from, p->edges[e].to};
        }
    }
    if (!find_layers(t->arena, items, n, ways, n_ways)) {
        return cvi_no_memory(t->err, 0);
    }
    if (t->beside) {
        put_beside(p, items, n, ways, n_ways);
    }
    CVI_TRY(place_layers(t, items, n, ways, n_ways, right));
    double box[4] = {1e9, 1e9, -1e9, -1e9};
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 2; k++) {
            box[k] = CVI_MIN(box[k], items[i].centre[k] - items[i].size[k] / 2);
            box[2 + k] = CVI_MAX(box[2 + k], items[i].centre[k] + items[i].size[k] / 2);
        }
    }
    for (int i = 0; i < n; i++) {
        double along = items[i].centre[0] - box[0], across = items[i].centre[1] - box[1];
        double x = right ? along : across, y = right ? across : along;
        if (items[i].node >= 0) {
            t->x[items[i].node] = x;
            t->y[items[i].node] = y;
        } else {
            move_plate(t, items[i].plate, x - t->plate[items[i].plate][2] / 2,
                       y - t->plate[items[i].plate][3] / 2);
        }
    }
    *w = right ? box[2] - box[0] : box[3] - box[1];
    *h = right ? box[3] - box[1] : box[2] - box[0];
    return CVS_OK;
}

static cvs_status place_all(trial *t, double *w, double *h) {
    const cvi_pgm *p = t->p;
    cvi_font font = {.size = CVI_PGM_FONT};
    for (int q = p->n_plates - 1; q >= 0; q--) { /* inner before outer */
        int depth = 0;
        for (int up = p->plates[q].parent; up >= 0; up = p->plates[up].parent) {
            depth++;
        }
        bool right = t->alternate && depth % 2 == 0 ? !t->right : t->right;
        CVI_TRY(place_cluster(t, q, right, w, h));
        double wide = CVI_MAX(*w, CVI_MIN(cvi_math_width(&p->plates[q].math, &font), 400));
        double extra = (wide - *w) / 2;
        double *r = t->plate[q];
        r[0] = r[1] = 0;
        r[2] = wide + 2 * margin;
        r[3] = *h + 2 * margin + (p->plates[q].math.n ? label_room - 4 : 0);
        for (int i = 0; i < p->plates[q].n; i++) {
            t->x[p->plates[q].nodes[i]] += margin + extra;
            t->y[p->plates[q].nodes[i]] += margin;
        }
        for (int inner = q + 1; inner < p->n_plates; inner++) {
            for (int up = p->plates[inner].parent; up >= 0; up = p->plates[up].parent) {
                if (up == q) {
                    t->plate[inner][0] += margin + extra;
                    t->plate[inner][1] += margin;
                }
            }
        }
    }
    return place_cluster(t, -1, t->right, w, h);
}

/* ---- judging -------------------------------------------------------------------------------------------------- */

/* Distance of a point from a segment. */
static double distance(double px, double py, double ax, double ay, double bx, double by) {
    double dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy;
    double u = length > 0 ? ((px - ax) * dx + (py - ay) * dy) / length : 0;
    u = u < 0 ? 0 : u > 1 ? 1 : u;
    return hypot(px - ax - u * dx, py - ay - u * dy);
}

/* The curve of an edge that is bent by `bend` to its left, as a polyline of 17 points. */
static void curve(const double *x, const double *y, const cvi_pgm_edge *e, double bend, double line[17][2]) {
    double ax = x[e->from], ay = y[e->from], bx = x[e->to], by = y[e->to];
    double length = CVI_MAX(hypot(bx - ax, by - ay), 1e-9);
    double cx = (ax + bx) / 2 + 2 * bend * (by - ay) / length,
           cy = (ay + by) / 2 - 2 * bend * (bx - ax) / length;
    for (int i = 0; i <= 16; i++) {
        double u = i / 16.0, v = 1 - u;
        line[i][0] = v * v * ax + 2 * u * v * cx + u * u * bx;
        line[i][1] = v * v * ay + 2 * u * v * cy + u * u * by;
    }
}

/* How many foreign nodes an edge touches. */
static int hits(const cvi_pgm *p, const double *x, const double *y, const cvi_pgm_edge *e, double bend) {
    double line[17][2];
    int n = 0;
    curve(x, y, e, bend, line);
    for (int i = 0; i < p->n_nodes; i++) {
        if (i == e->from || i == e->to) {
            continue;
        }
        const cvi_pgm_node *node = &p->nodes[i];
        bool fixed = node->kind == CVI_PGM_FIXED, touched = false;
        double flat = fixed ? 1 : node->w / node->h; /* wide nodes: measured as if they were round */
        double r = fixed ? 10 : node->h / 2 + 3;
        for (int k = 0; k < 16 && !touched; k++) {
            touched = distance(x[i] / flat, y[i], line[k][0] / flat, line[k][1], line[k + 1][0] / flat,
                               line[k + 1][1]) < r;
        }
        n += touched;
    }
    return n;
}

static bool crosses(const double *x, const double *y, const cvi_pgm_edge *a, const cvi_pgm_edge *b) {
    if (a->from == b->from || a->from == b->to || a->to == b->from || a->to == b->to) {
        return false;
    }
    double side[4];
    const cvi_pgm_edge *pair[2] = {a, b};
    for (int k = 0; k < 2; k++) {
        const cvi_pgm_edge *e = pair[k], *f = pair[1 - k];
        double dx = x[e->to] - x[e->from], dy = y[e->to] - y[e->from];
        side[2 * k] = dx * (y[f->from] - y[e->from]) - dy * (x[f->from] - x[e->from]);
        side[2 * k + 1] = dx * (y[f->to] - y[e->from]) - dy * (x[f->to] - x[e->from]);
    }
    return side[0] * side[1] < 0 && side[2] * side[3] < 0;
}

/* Lower is better. */
static double score(const trial *t, double w, double h) {
    const cvi_pgm *p = t->p;
    double s = 6 * fabs(log((w + 60) / (1.4 * (h + 60)))) + (w + h) / 60;
    for (int e = 0; e < p->n_edges; e++) {
        const cvi_pgm_edge *a = &p->edges[e];
        double dx = t->x[a->to] - t->x[a->from], dy = t->y[a->to] - t->y[a->from];
        s += 12 * hits(p, t->x, t->y, a, 0) + hypot(dx, dy) / 60;
        s += fabs(dx) > 1 && fabs(dy) > 1 ? 1.5 : 0; /* slanted */
        for (int f = 0; f < e && p->n_edges < 400; f++) {
            s += crosses(t->x, t->y, a, &p->edges[f]) ? 4 : 0;
        }
    }
    return s;
}

/* Places where a curve runs through a plate's label. */
static int label_hits(const cvi_pgm *p, double line[17][2]) {
    cvi_font font = {.size = CVI_PGM_FONT};
    int n = 0;
    for (int q = 0; q < p->n_plates; q++) {
        const cvi_pgm_plate *r = &p->plates[q];
        double right = r->x + 10 + CVI_MIN(cvi_math_width(&r->math, &font), r->w - 12);
        bool touched = false;
        for (int k = 0; k < 64 && r->math.n && !touched; k++) {
            double u = k % 4 / 4.0, x = line[k / 4][0] * (1 - u) + line[k / 4 + 1][0] * u,
                   y = line[k / 4][1] * (1 - u) + line[k / 4 + 1][1] * u;
            touched = x > r->x + 2 && x < right && y > r->y + r->h - 19 && y < r->y + r->h - 1;
        }
        n += touched;
    }
    return n;
}

/* How many other edges, straight ones, a bent edge crosses. */
static int crossings(const cvi_pgm *p, const double *x, const double *y, const cvi_pgm_edge *e,
                     double line[17][2]) {
    int n = 0;
    for (int f = 0; f < p->n_edges && p->n_edges < 400; f++) {
        const cvi_pgm_edge *other = &p->edges[f];
        if (other == e || other->from == e->from || other->to == e->to || other->from == e->to ||
            other->to == e->from) {
            continue;
        }
        double px[4] = {0, 0, x[other->from], x[other->to]}, py[4] = {0, 0, y[other->from], y[other->to]};
        const cvi_pgm_edge piece = {.from = 0, .to = 1}, straight = {.from = 2, .to = 3};
        for (int k = 0; k < 16; k++) {
            px[0] = line[k][0], py[0] = line[k][1], px[1] = line[k + 1][0], py[1] = line[k + 1][1];
            n += crosses(px, py, &piece, &straight);
        }
    }
    return n;
}

/* Bends what would run through a node or a label, and the second of two edges between the same nodes: least harm, then
 * least bend. */
static void bend_edges(cvi_pgm *p, const double *x, const double *y) {
    static const double bends[] = {0, 12, -12, 20, -20, 30, -30, 42, -42, 60, -60, 85, -85};
    for (int e = 0; e < p->n_edges; e++) {
        cvi_pgm_edge *edge = &p->edges[e];
        bool twin = false;
        for (int f = 0; f < p->n_edges; f++) {
            const cvi_pgm_edge *other = &p->edges[f];
            twin |= f != e && ((other->from == edge->to && other->to == edge->from) ||
                               (f < e && other->from == edge->from && other->to == edge->to));
        }
        double least = 1e9;
        for (int k = twin; k < CVI_COUNT(bends); k++) {
            double line[17][2];
            curve(x, y, edge, bends[k], line);
            double harm = 100 * hits(p, x, y, edge, bends[k]) + 30 * label_hits(p, line) +
                          8 * crossings(p, x, y, edge, line) + fabs(bends[k]) / 4 + (bends[k] != 0 ? 5 : 0);
            if (harm < least) {
                least = harm;
                edge->bend = bends[k];
            }
        }
    }
}

/* ---- the whole ---------------------------------------------------------------------------------------------------- */

static bool new_trial(trial *t) {
    t->x = cvi_arena_alloc(t->arena, t->p->n_nodes, sizeof *t->x);
    t->y = cvi_arena_alloc(t->arena, t->p->n_nodes, sizeof *t->y);
    t->plate = cvi_arena_alloc(t->arena, CVI_MAX(t->p->n_plates, 1), sizeof *t->plate);
    return t->x && t->y && t->plate;
}

static void keep(cvi_pgm *p, const trial *t, double w, double h) {
    for (int i = 0; i < p->n_nodes; i++) {
        p->nodes[i].x = t->x[i] + margin;
        p->nodes[i].y = t->y[i] + margin;
    }
    for (int q = 0; q < p->n_plates; q++) {
        p->plates[q].x = t->plate[q][0] + margin;
        p->plates[q].y = t->plate[q][1] + margin;
        p->plates[q].w = t->plate[q][2];
        p->plates[q].h = t->plate[q][3];
    }
    p->width = w + 2 * margin;
    p->height = h + 2 * margin;
}

/* Places given by hand: the grid of DAFT, y upwards; plates go around their members, inner ones first. */
static void place_by_hand(cvi_pgm *p) {
    double box[4] = {1e9, 1e9, -1e9, -1e9};
    cvi_font font = {.size = CVI_PGM_FONT};
    for (int i = 0; i < p->n_nodes; i++) {
        p->nodes[i].x = p->nodes[i].at[0] * grid;
        p->nodes[i].y = -p->nodes[i].at[1] * grid;
    }
    for (int q = p->n_plates - 1; q >= -1; q--) {
        double *r = box;
        double inner[4] = {1e9, 1e9, -1e9, -1e9};
        r = q >= 0 ? inner : box;
        for (int i = 0; i < p->n_nodes; i++) {
            bool member = q < 0;
            for (int up = p->nodes[i].plate; up >= 0 && !member; up = p->plates[up].parent) {
                member = up == q;
            }
            const cvi_pgm_node *n = &p->nodes[i];
            if (member) {
                r[0] = CVI_MIN(r[0], n->x - n->w / 2);
                r[1] = CVI_MIN(r[1], n->y - n->h / 2);
                r[2] = CVI_MAX(r[2], n->x + n->w / 2);
                r[3] = CVI_MAX(r[3], n->y + n->h / 2);
            }
        }
        for (int c = q + 1; c < p->n_plates; c++) {
            const cvi_pgm_plate *plate = &p->plates[c];
            if (q < 0 || plate->parent == q) {
                r[0] = CVI_MIN(r[0], plate->x);
                r[1] = CVI_MIN(r[1], plate->y);
                r[2] = CVI_MAX(r[2], plate->x + plate->w);
                r[3] = CVI_MAX(r[3], plate->y + plate->h);
            }
        }
        if (q >= 0) {
            cvi_pgm_plate *plate = &p->plates[q];
            plate->x = r[0] - margin;
            plate->y = r[1] - margin;
            plate->w = CVI_MAX(r[2] - r[0], cvi_math_width(&plate->math, &font)) + 2 * margin;
            plate->h = r[3] - r[1] + 2 * margin + (plate->math.n ? label_room - 4 : 0);
        }
    }
    for (int i = 0; i < p->n_nodes; i++) {
        p->nodes[i].x += margin - box[0];
        p->nodes[i].y += margin - box[1];
    }
    for (int q = 0; q < p->n_plates; q++) {
        p->plates[q].x += margin - box[0];
        p->plates[q].y += margin - box[1];
    }
    p->width = box[2] - box[0] + 2 * margin;
    p->height = box[3] - box[1] + 2 * margin;
}

/* Curves and labels of edges may leave the page that nodes and plates need: it grows around them. */
static void fit_curves(cvi_pgm *p, const double *x, const double *y) {
    double box[4] = {0, 0, p->width, p->height};
    for (int e = 0; e < p->n_edges; e++) {
        double line[17][2], room = p->edges[e].label ? 26 : 4;
        curve(x, y, &p->edges[e], p->edges[e].bend, line);
        double grow = 1.15; /* the control points of a curve reach beyond it; the page holds them too */
        for (int k = 0; k <= 16; k++) {
            double u = k / 16.0;
            for (int c = 0; c < 2; c++) {
                double straight = line[0][c] * (1 - u) + line[16][c] * u;
                line[k][c] = k == 16 ? line[k][c] : straight + (line[k][c] - straight) * (4.0 / 3.0) * grow;
            }
            box[0] = CVI_MIN(box[0], line[k][0] - room);
            box[1] = CVI_MIN(box[1], line[k][1] - room);
            box[2] = CVI_MAX(box[2], line[k][0] + room);
            box[3] = CVI_MAX(box[3], line[k][1] + room);
        }
    }
    for (int i = 0; i < p->n_nodes; i++) {
        p->nodes[i].x -= box[0];
        p->nodes[i].y -= box[1];
    }
    for (int q = 0; q < p->n_plates; q++) {
        p->plates[q].x -= box[0];
        p->plates[q].y -= box[1];
    }
    p->width = box[2] - box[0];
    p->height = box[3] - box[1];
}

cvs_status cvi_pgm_layout(cvi_pgm *p, cvs_error *err) {
    for (int i = 0; i < p->n_nodes; i++) {
        node_size(&p->nodes[i]);
    }
    double best = 1e300;
    if (p->nodes[0].placed) {
        place_by_hand(p);
    }
    for (int k = 0; k < 8 && !p->nodes[0].placed; k++) {
        trial t = {.p = p,
                   .right = k & 1,
                   .alternate = (k & 2) != 0,
                   .beside = (k & 4) != 0,
                   .err = err,
                   .arena = p->arena};
        double w = 0, h = 0;
        if ((p->direction != CVI_PGM_BEST && t.right != (p->direction == CVI_PGM_RIGHT)) ||
            (t.alternate && p->n_plates == 0) || (p->n_nodes > 200 && k > 1)) {
            continue;
        }
        if (!new_trial(&t)) {
            return cvi_no_memory(err, 0);
        }
        CVI_TRY(place_all(&t, &w, &h));
        double s = p->n_nodes > 200 ? k : score(&t, w, h);
        if (s < best) {
            best = s;
            keep(p, &t, w, h);
        }
    }
    double *x = cvi_arena_alloc(p->arena, p->n_nodes, sizeof *x),
           *y = cvi_arena_alloc(p->arena, p->n_nodes, sizeof *y);
    if (!x || !y) {
        return cvi_no_memory(err, 0);
    }
    for (int i = 0; i < p->n_nodes; i++) {
        x[i] = p->nodes[i].x;
        y[i] = p->nodes[i].y;
    }
    if (p->n_nodes <= 400) {
        bend_edges(p, x, y);
    }
    fit_curves(p, x, y);
    return CVS_OK;
}
