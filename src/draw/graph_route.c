/* SPDX-License-Identifier: MIT
 * graph_route.c - the end of the layout: a long drawing is broken into columns of the page where one arrow alone crosses,
 * then every box, frame and arrow gets its coordinates. Arrows bend between ranks only.
 */
#include "draw/graph_route.h"

#include <math.h>

#define CORRIDOR 30.0 /* between columns of the page */
#define VALLEY   90.0 /* between the slopes of an encoder-decoder */
#define PAD      7.0  /* as in graph_layout.c */
#define ROUND    9.0
#define HEAD                                                                                                 \
    28.0 /* above a column that goes on from another: the arrow comes in, then branches may leave it */
#define ENTRY 8.0  /* of it: where the arrow comes in */
#define FOOT  16.0 /* below a column that goes on in another */

enum { MOST_PIECES = 12 };

typedef struct piece {
    int first, last;   /* ranks */
    double low, high;  /* across */
    double start, end; /* along, with the room that frames take */
    double c, m;       /* added to both coordinates */
    bool up;           /* runs from the bottom up: m counts from its end */
} piece;

typedef struct router {
    cvi_planner *p;
    cvi_layout *l;
    piece pieces[MOST_PIECES + 1];
    int n_pieces;
    bool *may_break;     /* after this rank */
    double *head, *tail; /* per rank: room for frames that begin or end there */
    bool failed;
    double c, m, sign; /* offset of what is being drawn, and its direction */
    double valley;     /* height of the drawing, 0: no valley */
} router;

/* ---- pieces -------------------------------------------------------------------------------------------------------- */

/* A break is possible after a rank when all that crosses it comes from one box there, one arrow straight down. */
static void find_breaks(router *r) {
    cvi_planner *p = r->p;
    int n = p->n_ranks + 2;
    int *delta = cvi_arena_alloc(p->arena, n, sizeof(int)),
        *leaving = cvi_arena_alloc(p->arena, n, sizeof(int)),
        *source = cvi_arena_alloc(p->arena, n, sizeof(int));
    bool *straight = cvi_arena_alloc(p->arena, n, sizeof(bool));
    if (delta == NULL || leaving == NULL || source == NULL || straight == NULL) {
        r->failed = true;
        return;
    }
    for (int i = 0; i < p->v->n_links; i++) {
        int u = p->v->links[i].from, from = p->rank[u], to = p->rank[p->v->links[i].to];
        delta[from]++;
        delta[to]--;
        source[from] = leaving[from] == 0 || source[from] == u + 1 ? u + 1 : -1; /* -1: several boxes */
        leaving[from]++;
        straight[from] =
            straight[from] || (to == from + 1 && p->runs[i].kind == CVI_RUN_STRAIGHT && p->main[u]);
    }
    for (int k = 0, open = 0; k + 1 < p->n_ranks; k++) {
        open += delta[k];
        r->may_break[k] = open == leaving[k] && source[k] > 0 && straight[k];
    }
    for (int f = 0; f < p->v->n_frames; f++) {
        for (int k = p->spans[f].first; p->spans[f].shown && k < p->spans[f].last; k++) {
            r->may_break[k] = false;
        }
    }
}

static void measure_piece(const router *r, piece *q) {
    const cvi_planner *p = r->p;
    q->low = HUGE_VAL;
    q->high = -HUGE_VAL;
    for (int k = q->first; k <= q->last; k++) {
        q->low = fmin(q->low, p->low[k]);
        q->high = fmax(q->high, p->high[k]);
    }
    q->start = p->top[q->first] - r->head[q->first];
    q->end = p->top[q->last] + p->size[q->last] + r->tail[q->last];
}

/* Fills pieces so that none is longer than `longest` where it can be helped. Returns false when there are too many. */
static bool cut(router *r, double longest) {
    cvi_planner *p = r->p;
    int first = 0;
    r->n_pieces = 0;
    while (first < p->n_ranks) {
        int last = first;
        double start = p->top[first] - r->head[first];
        for (int k = first; k < p->n_ranks; k++) {
            double end = p->top[k] + p->size[k] + r->tail[k];
            if (k > first && last >= first && end - start > longest &&
                (last > first || r->may_break[first])) {
                break;
            }
            if (k + 1 == p->n_ranks || r->may_break[k]) {
                last = k;
            }
        }
        if (r->n_pieces == MOST_PIECES) {
            return false;
        }
        if (last < first || (last == first && !r->may_break[first] && first + 1 < p->n_ranks)) {
            last = p->n_ranks - 1;
        }
        piece *q = &r->pieces[r->n_pieces++];
        q->first = first;
        q->last = last;
        measure_piece(r, q);
        first = last + 1;
    }
    return true;
}

/* 0: all columns equally long. */
static double unevenness(const router *r) {
    double longest = 1.0, sum = 0.0;
    for (int i = 0; i < r->n_pieces; i++) {
        longest = fmax(longest, r->pieces[i].end - r->pieces[i].start);
        sum += r->pieces[i].end - r->pieces[i].start;
    }
    return 1.0 - sum / longest / r->n_pieces;
}

static void arrange(router *r, double *across, double *along) {
    double c = 0.0, longest = 0.0, head = r->n_pieces > 1 ? HEAD : 0.0;
    for (int i = 0; i < r->n_pieces; i++) {
        piece *q = &r->pieces[i];
        q->c = c - q->low;
        q->m = head - q->start;
        c += q->high - q->low + CORRIDOR;
        longest = fmax(longest, q->end - q->start + head + (i + 1 < r->n_pieces ? FOOT : 0.0));
    }
    *across = c - CORRIDOR;
    *along = longest;
}

/* As many columns as come nearest to the wanted shape of the page. */
static void choose_pieces(router *r, double *across, double *along) {
    const cvi_layout_options *o = r->p->o;
    double best = HUGE_VAL, bound = HUGE_VAL;
    if (o->longest > 0.0) {
        bound = o->longest - HEAD - FOOT;
        if (cut(r, bound)) { /* as many columns as that needs, but of equal length */
            int n = r->n_pieces;
            double least = bound / 2;
            for (double less = bound; (less *= 0.96) > least && cut(r, less) && r->n_pieces == n;) {
                bound = less;
            }
        }
    } else if (o->aspect > 0.0) {
        for (int k = 1; k <= MOST_PIECES; k++) {
            for (int more = 0; more < 3; more++) {
                double w, h, longest = r->p->length / k * (1.0 + 0.08 * more);
                if (!cut(r, longest)) {
                    continue;
                }
                arrange(r, &w, &h);
                double shape = r->p->o->across ? w / fmax(h, 1.0) : h / fmax(w, 1.0);
                double fault = fabs(log(shape / o->aspect)) + 0.08 * r->n_pieces + 1.5 * unevenness(r);
                if (fault < best - 1e-9) {
                    best = fault;
                    bound = longest;
                }
            }
        }
    }
    while (!cut(r, bound)) {
        bound *= 1.2;
    }
    arrange(r, across, along);
    for (int i = 0; i < r->n_pieces; i++) {
        for (int k = r->pieces[i].first; k <= r->pieces[i].last; k++) {
            r->p->piece[k] = i;
        }
    }
}

/* ---- coordinates ------------------------------------------------------------------------------------------------------- */

static void add_step(router *r, char op, const double *cm, int n) {
    cvi_layout *l = r->l;
    if (l->n_steps == l->cap_steps) {
        int wanted = l->cap_steps == 0 ? 256 : l->cap_steps * 2;
        void *p =
            cvi_realloc(l->steps, (size_t)l->cap_steps * sizeof *l->steps, (size_t)wanted * sizeof *l->steps);
        if (p == NULL) {
            r->failed = true;
            return;
        }
        l->steps = p;
        l->cap_steps = wanted;
    }
    cvi_step *s = &l->steps[l->n_steps++];
    *s = (cvi_step){.op = op};
    for (int i = 0; i < n; i += 2) {
        double c = cm[i] + r->c, m = cm[i + 1] * r->sign + r->m;
        s->p[i] = l->across ? m : c;
        s->p[i + 1] = l->across ? c : m;
    }
}

static void move_to(router *r, double c, double m) {
    add_step(r, 'M', (double[]){c, m}, 2);
}

/* No step for no way. */
static void line_to(router *r, double c, double m) {
    if (r->failed) {
        return;
    }
    const cvi_step *last = &r->l->steps[r->l->n_steps - 1];
    const double *at = last->op == 'C' ? &last->p[4] : last->p;
    double x = r->l->across ? m * r->sign + r->m : c + r->c, y = r->l->across ? c + r->c : m * r->sign + r->m;
    if (fabs(at[0] - x) > 1e-6 || fabs(at[1] - y) > 1e-6) {
        add_step(r, 'L', (double[]){c, m}, 2);
    }
}

/* From one column to another between two places along the flow. */
static void bend(router *r, double c0, double m0, double c1, double m1) {
    line_to(r, c0, m0);
    if (fabs(c1 - c0) < 1e-6) {
        line_to(r, c1, m1);
        return;
    }
    double middle = (m0 + m1) / 2;
    add_step(r, 'C', (double[]){c0, middle, c1, middle, c1, m1}, 6);
}

static double along_of(const router *r, int b) {
    return r->p->o->across ? r->p->sizes[b].w : r->p->sizes[b].h;
}

static double across_of(const router *r, int b) {
    return r->p->o->across ? r->p->sizes[b].h : r->p->sizes[b].w;
}

static double box_top(const router *r, int b) {
    return r->p->top[r->p->rank[b]] + (r->p->size[r->p->rank[b]] - along_of(r, b)) / 2;
}

static double rank_end(const router *r, int k) {
    return r->p->top[k] + r->p->size[k];
}

/* Where curves before rank k have to be done: frames' headings come after. */
static double gap_end(const router *r, int k) {
    return r->p->top[k] - r->head[k];
}

static void go_round(router *r, double c, double m, double dc, double dm) {
    /* a quarter from the flow's direction into the other or back: control points at the corner */
    add_step(r, 'C', (double[]){c, m, c, m, c + dc, m + dm}, 6);
}

/* The arrow into the next column of the page: out at the end, up the corridor, in at the beginning. */
static void route_wrap(router *r, int i) {
    cvi_planner *p = r->p;
    const cvi_link *l = &p->v->links[i];
    int from = p->piece[p->rank[l->from]];
    const piece *a = &r->pieces[from], *b = &r->pieces[from + 1];
    double cu = p->c[l->from] + a->c, cv = p->c[l->to] + b->c;
    double out = a->end + a->m + FOOT * 0.6, in = ENTRY, up = a->high + a->c + CORRIDOR / 2;
    r->c = r->m = 0.0;
    r->sign = 1.0;
    move_to(r, cu, box_top(r, l->from) + along_of(r, l->from) + a->m);
    line_to(r, cu, out - ROUND);
    go_round(r, cu, out, ROUND, 0);
    line_to(r, up - ROUND, out);
    go_round(r, up, out, 0, -ROUND);
    line_to(r, up, in + ROUND);
    go_round(r, up, in, ROUND, 0);
    line_to(r, cv - ROUND, in);
    go_round(r, cv, in, 0, ROUND);
    line_to(r, cv, box_top(r, l->to) + b->m);
}

/* Over the valley: level from side to side; the main path round its bottom. */
static void route_bridge(router *r, int i) {
    cvi_planner *p = r->p;
    int u = p->v->links[i].from, v = p->v->links[i].to;
    const piece *a = &r->pieces[0], *b = &r->pieces[1];
    double cu = p->c[u] + a->c, cv = p->c[v] + b->c;
    r->c = r->m = 0.0;
    r->sign = 1.0;
    if (p->runs[i].kind == CVI_RUN_RAIL) {
        double m = box_top(r, u) + along_of(r, u) / 2;
        move_to(r, cu + across_of(r, u) / 2, m);
        line_to(r, cv - across_of(r, v) / 2, m);
        return;
    }
    double out = r->valley + FOOT * 0.7;
    move_to(r, cu, box_top(r, u) + along_of(r, u));
    line_to(r, cu, out - ROUND);
    go_round(r, cu, out, ROUND, 0);
    line_to(r, cv - ROUND, out);
    go_round(r, cv, out, 0, -ROUND);
    line_to(r, cv, r->valley - box_top(r, v));
}

/* Two slopes side by side: down on the left, up on the right. */
static void arrange_valley(router *r, int bottom, double *across, double *along) {
    cvi_planner *p = r->p;
    r->n_pieces = 2;
    r->pieces[0] = (piece){.first = 0, .last = bottom, .low = HUGE_VAL, .high = -HUGE_VAL};
    r->pieces[1] = (piece){.first = bottom + 1, .last = p->n_ranks - 1, .low = HUGE_VAL, .high = -HUGE_VAL};
    for (int b = 0; b < p->v->n_boxes; b++) {
        piece *q = &r->pieces[p->rank[b] > bottom];
        q->low = fmin(q->low, p->c[b] - across_of(r, b) / 2);
        q->high = fmax(q->high, p->c[b] + across_of(r, b) / 2);
    }
    for (int i = 0; i < p->v->n_links; i++) { /* rails that stay on one side */
        int from = p->rank[p->v->links[i].from] > bottom, to = p->rank[p->v->links[i].to] > bottom;
        if (p->runs[i].kind == CVI_RUN_RAIL && from == to) {
            r->pieces[from].low = fmin(r->pieces[from].low, p->runs[i].c);
            r->pieces[from].high = fmax(r->pieces[from].high, p->runs[i].c);
        }
    }
    for (int k = 0; k < p->n_ranks; k++) {
        p->piece[k] = k > bottom;
    }
    r->pieces[0].c = -r->pieces[0].low;
    r->pieces[1].c = r->pieces[0].high - r->pieces[0].low + VALLEY - r->pieces[1].low;
    r->pieces[1].m = r->valley;
    r->pieces[1].up = true;
    *across = r->pieces[1].c + r->pieces[1].high;
    *along = r->valley + FOOT;
}

static void route_rail_end(router *r, int v, const cvi_run *run) {
    cvi_planner *p = r->p;
    int rv = p->rank[v];
    if (!run->side) {
        line_to(r, run->c, p->top[rv] - p->gap[rv - 1]);
        bend(r, run->c, p->top[rv] - p->gap[rv - 1], p->c[v], gap_end(r, rv));
        line_to(r, p->c[v], box_top(r, v));
        return;
    }
    double sign = run->c > p->c[v] ? 1.0 : -1.0, edge = p->c[v] + sign * across_of(r, v) / 2;
    double m = box_top(r, v) + along_of(r, v) / 2, radius = fmin(ROUND, fabs(run->c - edge) * 0.8);
    line_to(r, run->c, m - radius);
    go_round(r, run->c, m, -sign * radius, 0);
    line_to(r, edge, m);
}

static void route(router *r, int i) {
    cvi_planner *p = r->p;
    const cvi_link *l = &p->v->links[i];
    const cvi_run *run = &p->runs[i];
    int u = l->from, v = l->to, ru = p->rank[u], rv = p->rank[v];
    cvi_route *out = &r->l->routes[i];
    out->first = r->l->n_steps;
    out->rail = run->kind == CVI_RUN_RAIL;
    bool crosses = p->piece[ru] != p->piece[rv];
    out->wraps = crosses && run->kind == CVI_RUN_STRAIGHT;
    out->joins = crosses && !out->wraps;
    if (out->wraps && r->valley <= 0.0) {
        route_wrap(r, i);
        out->count = r->l->n_steps - out->first;
        return;
    }
    const piece *q = &r->pieces[p->piece[rv]];
    r->c = q->c;
    r->m = q->m;
    r->sign = q->up ? -1.0 : 1.0;
    if (crosses && r->valley > 0.0) {
        out->wraps = out->joins = false;
        route_bridge(r, i);
        out->count = r->l->n_steps - out->first;
        return;
    }
    double leave = rank_end(r, ru);
    if (crosses) { /* from the arrow that came over */
        leave = q->start - HEAD + ENTRY + ROUND;
        move_to(r, p->c[u], leave);
    } else {
        move_to(r, p->c[u], box_top(r, u) + along_of(r, u));
    }
    if (run->kind == CVI_RUN_STRAIGHT) {
        double middle = (rank_end(r, rv - 1) + gap_end(r, rv)) / 2;
        line_to(r, p->c[v], box_top(r, v));
        out->straight = true;
        out->label_x = r->l->across ? middle + r->m : p->c[u] + r->c;
        out->label_y = r->l->across ? p->c[u] + r->c : middle * r->sign + r->m;
    } else if (run->kind == CVI_RUN_BEND && rv == ru + 1) {
        bend(r, p->c[u], leave, p->c[v], gap_end(r, rv));
        line_to(r, p->c[v], box_top(r, v));
    } else {
        bend(r, p->c[u], leave, run->c, gap_end(r, ru + 1));
        route_rail_end(r, v, run);
    }
    out->count = r->l->n_steps - out->first;
}

/* ---- boxes and frames ------------------------------------------------------------------------------------------------------ */

static cvi_place on_page(const router *r, const piece *q, double c, double m, double across, double along) {
    cvi_place at = {.x = c + q->c, .y = q->up ? q->m - m - along : m + q->m, .w = across, .h = along};
    if (r->l->across) {
        at = (cvi_place){.x = m + q->m, .y = c + q->c, .w = along, .h = across};
    }
    return at;
}

static void place_boxes(router *r) {
    cvi_planner *p = r->p;
    for (int b = 0; b < p->v->n_boxes; b++) {
        const piece *q = &r->pieces[p->piece[p->rank[b]]];
        double across = across_of(r, b);
        cvi_place at = on_page(r, q, p->c[b] - across / 2, box_top(r, b), across, along_of(r, b));
        at.rank = p->rank[b];
        at.main = p->main[b];
        r->l->boxes[b] = at;
    }
}

/* How many shown frames inside frame f begin (or end) at the same rank: its own edge lies further out. */
static int nested_at(const cvi_planner *p, int f, bool first) {
    int most = 0;
    for (int k = f + 1; k < p->v->n_frames; k++) {
        if (p->v->frames[k].parent == f) {
            bool same = p->spans[k].shown && (first ? p->spans[k].first == p->spans[f].first
                                                    : p->spans[k].last == p->spans[f].last);
            most = CVI_MAX(most, nested_at(p, k, first) + same);
        }
    }
    return most;
}

static void place_frames(router *r) {
    cvi_planner *p = r->p;
    double title = p->o->across ? 0.0 : p->o->frame_title;
    for (int f = 0; f < p->v->n_frames; f++) {
        const cvi_frame_span *s = &p->spans[f];
        if (!s->shown) {
            continue;
        }
        double above = (nested_at(p, f, true) + 1) * (PAD + title),
               below = (nested_at(p, f, false) + 1) * PAD;
        double m = p->top[s->first] - above;
        r->l->frames[f] = on_page(r, &r->pieces[p->piece[s->first]], s->low, m, s->high - s->low,
                                  rank_end(r, s->last) + below - m);
        r->l->frames[f].rank = s->first;
    }
}

static bool prepare(router *r) {
    cvi_planner *p = r->p;
    int n = p->n_ranks + 1;
    r->may_break = cvi_arena_alloc(p->arena, n, sizeof(bool));
    r->head = cvi_arena_alloc(p->arena, n, sizeof(double));
    r->tail = cvi_arena_alloc(p->arena, n, sizeof(double));
    r->l->boxes = cvi_arena_alloc(r->l->arena, CVI_MAX(p->v->n_boxes, 1), sizeof *r->l->boxes);
    r->l->routes = cvi_arena_alloc(r->l->arena, CVI_MAX(p->v->n_links, 1), sizeof *r->l->routes);
    r->l->frames = cvi_arena_alloc(r->l->arena, CVI_MAX(p->v->n_frames, 1), sizeof *r->l->frames);
    if (!r->may_break || !r->head || !r->tail || !r->l->boxes || !r->l->routes || !r->l->frames) {
        return false;
    }
    for (int f = 0; f < p->v->n_frames; f++) {
        if (p->spans[f].shown) {
            r->head[p->spans[f].first] += PAD + (p->o->across ? 0.0 : p->o->frame_title);
            r->tail[p->spans[f].last] += PAD;
        }
    }
    return true;
}

cvs_status cvi_route_all(cvi_planner *p, cvi_layout *l, cvs_error *err) {
    router r = {.p = p, .l = l};
    double across = 0.0, along = 0.0;
    bool ok = prepare(&r);
    if (ok) {
        find_breaks(&r);
        ok = !r.failed;
    }
    int bottom = ok ? cvi_valley(p) : -1;
    if (bottom >= 0) {
        r.valley = cvi_valley_align(p, bottom);
        ok = r.valley > 0.0;
    }
    if (ok) {
        if (bottom >= 0) {
            arrange_valley(&r, bottom, &across, &along);
        } else {
            choose_pieces(&r, &across, &along);
        }
        l->width = l->across ? along : across;
        l->height = l->across ? across : along;
        place_boxes(&r);
        place_frames(&r);
        for (int i = 0; i < p->v->n_links && !r.failed; i++) {
            route(&r, i);
        }
        ok = !r.failed;
    }
    return ok ? CVS_OK : cvi_no_memory(err, (size_t)p->n_ranks * sizeof(double));
}
