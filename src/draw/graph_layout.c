/* SPDX-License-Identifier: MIT
 * graph_layout.c - ranks, the straight main path, columns for branches, rails for skips, frames; then columns of the page.
 * Inside, `c` is the coordinate across the direction of flow (0 = the main path) and `m` the one along it.
 */
#include "draw/graph_layout.h"
#include "draw/graph_route.h"

#include <math.h>
#include <stdlib.h>

#define BETWEEN 16.0 /* columns */
#define RAIL    9.0  /* rails */
#define PAD     7.0  /* inside a frame */

static int in_first(const cvi_planner *p, int b) {
    return p->in_at[b];
}

/* ---- ranks and main path ------------------------------------------------------------------------------------------ */

static void rank_boxes(cvi_planner *p) {
    const cvi_view *v = p->v;
    for (int b = 0; b < v->n_boxes; b++) {
        p->rank[b] = 0;
        for (int k = in_first(p, b); k < p->in_at[b + 1]; k++) {
            p->rank[b] = CVI_MAX(p->rank[b], p->rank[v->links[k].from] + 1);
        }
    }
    for (int b = v->n_boxes - 1; b >= 0; b--) { /* what nothing leads to stands near its first reader */
        int least = INT32_MAX;
        for (int k = p->out_at[b]; k < p->out_at[b + 1]; k++) {
            least = CVI_MIN(least, p->rank[v->links[p->out[k]].to]);
        }
        if (p->in_at[b] == p->in_at[b + 1] && least != INT32_MAX) {
            p->rank[b] = CVI_MAX(least - 1, 0);
        }
        p->n_ranks = CVI_MAX(p->n_ranks, p->rank[b] + 1);
    }
}

static double weight_of(const cvi_planner *p, int b) {
    const cvi_box *box = &p->v->boxes[b];
    const cvi_arch *a = p->v->arch;
    double macs =
        (double)(box->kind == CVI_BOX_NODE ? a->nodes[box->index].macs : a->groups[box->index].macs);
    return 1.0 + macs / ((double)a->macs + 1.0) / 2; /* together less than one box */
}

/* The longest path, of equal ones the one that computes most; each box's next one on it in p->next. */
static void choose_main(cvi_planner *p) {
    const cvi_view *v = p->v;
    int end = -1;
    for (int b = 0; b < v->n_boxes; b++) {
        int best = -1;
        for (int k = in_first(p, b); k < p->in_at[b + 1]; k++) {
            int from = v->links[k].from;
            best = best < 0 || p->weight[from] > p->weight[best] ? from : best;
        }
        p->before[b] = best;
        p->weight[b] = weight_of(p, b) + (best >= 0 ? p->weight[best] : 0.0);
        if (p->out_at[b] == p->out_at[b + 1] && (end < 0 || p->weight[b] > p->weight[end])) {
            end = b;
        }
    }
    for (int b = end, next = -1; b >= 0; next = b, b = p->before[b]) {
        p->main[b] = true;
        p->column[b] = 0;
        p->next[b] = next;
        p->c[b] = 0.0;
    }
}

/* ---- columns --------------------------------------------------------------------------------------------------------- */

static double across_size(const cvi_planner *p, int b) {
    return p->o->across ? p->sizes[b].h : p->sizes[b].w;
}

static double along_size(const cvi_planner *p, int b) {
    return p->o->across ? p->sizes[b].w : p->sizes[b].h;
}

static void occupy(cvi_planner *p, int from, int to, double low, double high) {
    for (int r = CVI_MAX(from, 0); r <= CVI_MIN(to, p->n_ranks - 1); r++) {
        p->low[r] = fmin(p->low[r], low);
        p->high[r] = fmax(p->high[r], high);
    }
}

static double highest(const cvi_planner *p, int from, int to) {
    double h = -HUGE_VAL;
    for (int r = CVI_MAX(from, 0); r <= CVI_MIN(to, p->n_ranks - 1); r++) {
        h = fmax(h, p->high[r]);
    }
    return h;
}

static double lowest(const cvi_planner *p, int from, int to) {
    double l = HUGE_VAL;
    for (int r = CVI_MAX(from, 0); r <= CVI_MIN(to, p->n_ranks - 1); r++) {
        l = fmin(l, p->low[r]);
    }
    return l;
}

static void place_main(cvi_planner *p) {
    for (int b = 0; b < p->v->n_boxes; b++) {
        if (p->main[b]) {
            double half = across_size(p, b) / 2;
            int last = p->next[b] >= 0 ? p->rank[p->next[b]] - 1 : p->rank[b];
            occupy(p, p->rank[b], p->rank[b], -half, half);
            occupy(p, p->rank[b] + 1, last, -3.0, 3.0);
        }
    }
}

/* The unplaced reader that a column goes on to: the heaviest. */
static int next_unplaced(const cvi_planner *p, int b) {
    int best = -1;
    for (int k = p->out_at[b]; k < p->out_at[b + 1]; k++) {
        int to = p->v->links[p->out[k]].to;
        if (p->column[to] < 0 && (best < 0 || p->weight[to] > p->weight[best])) {
            best = to;
        }
    }
    return best;
}

/* The placed box that a column hangs from, the nearest above; and the nearest placed one that it leads to. */
static int hangs_from(const cvi_planner *p, int b) {
    int best = -1;
    for (int k = in_first(p, b); k < p->in_at[b + 1]; k++) {
        int from = p->v->links[k].from;
        if (p->column[from] >= 0 && (best < 0 || p->rank[from] > p->rank[best])) {
            best = from;
        }
    }
    return best;
}

static int leads_to(const cvi_planner *p, int b) {
    int best = -1;
    for (int k = p->out_at[b]; k < p->out_at[b + 1]; k++) {
        int to = p->v->links[p->out[k]].to;
        if (p->column[to] >= 0 && (best < 0 || p->rank[to] < p->rank[best])) {
            best = to;
        }
    }
    return best;
}

/* A column of boxes from `first` on, beside what is there. */
static void place_column(cvi_planner *p, int first, int column) {
    int last = first, from = hangs_from(p, first);
    double half = across_size(p, first) / 2;
    for (int b = next_unplaced(p, first); b >= 0; b = next_unplaced(p, b)) {
        p->column[last] = column;
        p->next[last] = b;
        half = fmax(half, across_size(p, b) / 2);
        last = b;
    }
    p->column[last] = column;
    int to = leads_to(p, last);
    int low = from >= 0 ? p->rank[from] + 1 : p->rank[first],
        high = to >= 0 ? p->rank[to] - 1 : p->rank[last];
    low = CVI_MIN(low, p->rank[first]);
    high = CVI_MAX(high, p->rank[last]);
    double near = from >= 0 ? p->c[from] : to >= 0 ? p->c[to] : 0.0;
    double right = highest(p, low, high) + BETWEEN + half, left = lowest(p, low, high) - BETWEEN - half;
    if (!(right > -HUGE_VAL)) { /* nothing is in these ranks yet */
        right = left = near;
    }
    double c = fabs(right - near) <= fabs(left - near) + 1e-6 ? right : left;
    for (int b = first;; b = p->next[b]) {
        p->c[b] = c;
        if (b == last) {
            break;
        }
    }
    occupy(p, low, high, c - half, c + half);
    p->lead_in[first] = from;
    p->lead_out[last] = to;
}

static void place_columns(cvi_planner *p) {
    int column = 1;
    for (int b = 0; b < p->v->n_boxes; b++) {
        if (p->column[b] < 0) {
            place_column(p, b, column++);
        }
    }
    for (int r = 0; r < p->n_ranks; r++) {
        p->box_low[r] = HUGE_VAL;
        p->box_high[r] = -HUGE_VAL;
    }
    for (int b = 0; b < p->v->n_boxes; b++) {
        double half = across_size(p, b) / 2;
        p->box_low[p->rank[b]] = fmin(p->box_low[p->rank[b]], p->c[b] - half);
        p->box_high[p->rank[b]] = fmax(p->box_high[p->rank[b]], p->c[b] + half);
    }
}

/* ---- rails and frames --------------------------------------------------------------------------------------------------- */

/* How a link runs. */
static void classify(cvi_planner *p, int i) {
    const cvi_link *l = &p->v->links[i];
    cvi_run *run = &p->runs[i];
    int u = l->from, w = l->to;
    *run = (cvi_run){.kind = CVI_RUN_BEND};
    if (p->next[u] == w && p->column[u] == p->column[w]) {
        run->kind = CVI_RUN_STRAIGHT;
    } else if (p->lead_in[w] == u || p->lead_out[u] == w || p->rank[w] == p->rank[u] + 1) {
        run->c = p->lead_in[w] == u ? p->c[w] : p->c[u];
    } else {
        run->kind = CVI_RUN_RAIL;
    }
}

typedef struct item {
    int span, index;
    bool frame;
} item;

static int by_span(const void *a, const void *b) {
    const item *p = a, *q = b;
    return p->span != q->span     ? (p->span < q->span ? -1 : 1)
           : p->frame != q->frame ? (p->frame ? 1 : -1)
           : p->frame             ? (p->index > q->index ? -1 : 1) /* inner frames come later in the list */
                                  : (p->index < q->index ? -1 : 1);
}

/* Beside everything it passes, on the side that costs the shorter way; the right one unless the left saves much. */
static void place_rail(cvi_planner *p, int i) {
    const cvi_link *l = &p->v->links[i];
    cvi_run *run = &p->runs[i];
    int u = l->from, w = l->to, first = p->rank[u] + 1;
    double cu = p->c[u], cw = p->c[w], half = across_size(p, w) / 2;
    bool right_free = cw + half >= p->box_high[p->rank[w]] - 1e-6,
         left_free = cw - half <= p->box_low[p->rank[w]] + 1e-6;
    int right_end = p->rank[w] - !right_free, left_end = p->rank[w] - !left_free;
    double right = highest(p, first, right_end) + RAIL, left = lowest(p, first, left_end) - RAIL;
    double cost_right = fabs(right - cu) + fabs(right - cw), cost_left = fabs(left - cu) + fabs(left - cw);
    bool use_left = cost_left + 40.0 < cost_right;
    run->c = use_left ? left : right;
    run->side = use_left ? left_free : right_free;
    occupy(p, first, use_left ? left_end : right_end, run->c, run->c);
}

static bool in_frame(const cvi_view *v, int box, int f) {
    int frame = v->boxes[box].frame;
    while (frame > f) {
        frame = v->frames[frame].parent;
    }
    return frame == f;
}

/* Where the first box of a frame stands across. */
static double entry_of(const cvi_planner *p, int f) {
    for (int b = 0; b < p->v->n_boxes; b++) {
        if (in_frame(p->v, b, f) && (p->main[b] || p->column[b] >= 0)) {
            return p->main[b] ? 0.0 : p->c[b];
        }
    }
    return 0.0;
}

static void place_frame(cvi_planner *p, int f) {
    cvi_frame_span *s = &p->spans[f];
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (int b = 0; b < p->v->n_boxes; b++) {
        int frame = p->v->boxes[b].frame;
        while (frame > f) {
            frame = p->v->frames[frame].parent;
        }
        if (frame == f) {
            low = fmin(low, p->c[b] - across_size(p, b) / 2);
            high = fmax(high, p->c[b] + across_size(p, b) / 2);
        }
    }
    for (int i = 0; i < p->v->n_links; i++) { /* rails whose two ends are inside */
        const cvi_link *l = &p->v->links[i];
        if (p->runs[i].kind == CVI_RUN_RAIL && in_frame(p->v, l->from, f) && in_frame(p->v, l->to, f)) {
            low = fmin(low, p->runs[i].c);
            high = fmax(high, p->runs[i].c);
        }
    }
    for (int k = f + 1; k < p->v->n_frames; k++) {
        if (p->v->frames[k].parent == f && p->spans[k].shown) {
            low = fmin(low, p->spans[k].low);
            high = fmax(high, p->spans[k].high);
        }
    }
    double wanted = p->o->frame_w != NULL && !p->o->across ? p->o->frame_w[f] : 0.0;
    s->low = low - PAD;
    s->high = high + PAD;
    if (s->high - s->low < wanted) {
        double more = (wanted - (s->high - s->low)) / 2;
        s->low -= more;
        s->high += more;
    }
    if (wanted > 0.0) { /* the heading stands left of the arrow that comes in */
        s->low = fmin(s->low, entry_of(p, f) - wanted / 2);
    }
    if (p->o->across) {
        s->low -= p->o->frame_title;
    }
    occupy(p, s->first, s->last, s->low, s->high);
}

static bool place_rails(cvi_planner *p) {
    const cvi_view *v = p->v;
    item *items = cvi_calloc((size_t)v->n_links + (size_t)v->n_frames + 1, sizeof *items);
    int n = 0;
    if (items == NULL) {
        return false;
    }
    for (int i = 0; i < v->n_links; i++) {
        classify(p, i);
        if (p->runs[i].kind == CVI_RUN_RAIL) {
            items[n++] = (item){p->rank[v->links[i].to] - p->rank[v->links[i].from], i, false};
        }
    }
    for (int f = 0; f < v->n_frames; f++) {
        if (p->spans[f].shown) {
            items[n++] = (item){p->spans[f].last - p->spans[f].first, f, true};
        }
    }
    if (n > 0) {
        qsort(items, (size_t)n, sizeof *items, by_span);
    }
    for (int i = 0; i < n; i++) {
        if (items[i].frame) {
            place_frame(p, items[i].index);
        } else {
            place_rail(p, items[i].index);
        }
    }
    cvi_free(items);
    return true;
}

/* Ranks that a frame covers. Stages are no hulls: they have brackets. */
static void span_frames(cvi_planner *p) {
    const cvi_view *v = p->v;
    for (int f = 0; f < v->n_frames; f++) {
        p->spans[f] = (cvi_frame_span){.first = INT32_MAX, .last = -1};
    }
    for (int b = 0; b < v->n_boxes; b++) {
        for (int f = v->boxes[b].frame; f >= 0; f = v->frames[f].parent) {
            p->spans[f].first = CVI_MIN(p->spans[f].first, p->rank[b]);
            p->spans[f].last = CVI_MAX(p->spans[f].last, p->rank[b]);
        }
    }
    for (int f = 0; f < v->n_frames; f++) {
        const cvi_arch_group *g = &v->arch->groups[v->frames[f].group];
        p->spans[f].shown = g->kind != CVI_GROUP_STAGE && p->spans[f].last >= 0 &&
                            (v->frames[f].repeat > 1 || g->kind == CVI_GROUP_BLOCK);
    }
}

/* ---- along the flow -------------------------------------------------------------------------------------------------------- */

/* Room between two ranks: for curves (wider where they go far), labels, frames that begin or end there. */
static void measure_gaps(cvi_planner *p) {
    const cvi_view *v = p->v;
    for (int r = 0; r < p->n_ranks; r++) {
        p->gap[r] = fmax(13.0, p->o->gap);
        p->size[r] = 0.0;
    }
    for (int b = 0; b < v->n_boxes; b++) {
        p->size[p->rank[b]] = fmax(p->size[p->rank[b]], along_size(p, b));
    }
    for (int i = 0; i < v->n_links; i++) {
        const cvi_link *l = &v->links[i];
        const cvi_run *run = &p->runs[i];
        if (run->kind == CVI_RUN_STRAIGHT) {
            double room = l->changes ? (p->o->across ? 50.0 : 17.0) : 13.0;
            p->gap[p->rank[l->to] - 1] = fmax(p->gap[p->rank[l->to] - 1], room);
            continue;
        }
        double out = fabs(run->c - p->c[l->from]), in = run->side ? 0.0 : fabs(run->c - p->c[l->to]);
        p->gap[p->rank[l->from]] = fmax(p->gap[p->rank[l->from]], 14.0 + fmin(out * 0.07, 30.0));
        p->gap[p->rank[l->to] - 1] = fmax(p->gap[p->rank[l->to] - 1], 14.0 + fmin(in * 0.07, 30.0));
    }
    for (int f = 0; f < v->n_frames; f++) {
        if (p->spans[f].shown && p->spans[f].first > 0) {
            p->gap[p->spans[f].first - 1] += PAD + (p->o->across ? 0.0 : p->o->frame_title);
        }
        if (p->spans[f].shown && p->spans[f].last + 1 < p->n_ranks) {
            p->gap[p->spans[f].last] += PAD;
        }
    }
}

static void measure_ranks(cvi_planner *p) {
    double m = 0.0;
    for (int f = 0; f < p->v->n_frames; f++) { /* room above the first rank */
        m += p->spans[f].shown && p->spans[f].first == 0 ? PAD + p->o->frame_title : 0.0;
    }
    for (int r = 0; r < p->n_ranks; r++) {
        p->top[r] = m;
        m += p->size[r] + p->gap[r];
    }
    p->length = m - (p->n_ranks > 0 ? p->gap[p->n_ranks - 1] : 0.0);
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static void *take(cvi_planner *p, int64_t n, size_t size) {
    void *memory = cvi_arena_alloc(p->arena, CVI_MAX(n, 1), size);
    p->failed = p->failed || memory == NULL;
    return memory;
}

static bool prepare(cvi_planner *p) {
    int n = p->v->n_boxes, links = p->v->n_links;
    p->rank = take(p, n, sizeof(int));
    p->column = take(p, n, sizeof(int));
    p->next = take(p, n, sizeof(int));
    p->before = take(p, n, sizeof(int));
    p->lead_in = take(p, n, sizeof(int));
    p->lead_out = take(p, n, sizeof(int));
    p->main = take(p, n, sizeof(bool));
    p->c = take(p, n, sizeof(double));
    p->weight = take(p, n, sizeof(double));
    p->in_at = take(p, n + 2, sizeof(int));
    p->out_at = take(p, n + 2, sizeof(int));
    p->out = take(p, links, sizeof(int));
    p->runs = take(p, links, sizeof *p->runs);
    p->spans = take(p, p->v->n_frames, sizeof *p->spans);
    if (p->failed) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        p->column[i] = p->next[i] = p->before[i] = p->lead_in[i] = p->lead_out[i] = -1;
    }
    for (int i = 0; i < links; i++) { /* links are sorted by `to` */
        p->in_at[p->v->links[i].to + 1]++;
        p->out_at[p->v->links[i].from + 1]++;
    }
    for (int i = 0; i < n; i++) {
        p->in_at[i + 1] += p->in_at[i];
        p->out_at[i + 1] += p->out_at[i];
    }
    for (int i = 0; i < links; i++) {
        p->out[p->out_at[p->v->links[i].from]++] = i;
    }
    for (int i = n; i > 0; i--) {
        p->out_at[i] = p->out_at[i - 1];
    }
    p->out_at[0] = 0;
    return true;
}

static bool prepare_ranks(cvi_planner *p) {
    int n = p->n_ranks + 1;
    p->low = take(p, n, sizeof(double));
    p->high = take(p, n, sizeof(double));
    p->box_low = take(p, n, sizeof(double));
    p->box_high = take(p, n, sizeof(double));
    p->gap = take(p, n, sizeof(double));
    p->size = take(p, n, sizeof(double));
    p->top = take(p, n, sizeof(double));
    p->piece = take(p, n, sizeof(int));
    for (int r = 0; !p->failed && r < n; r++) {
        p->low[r] = HUGE_VAL;
        p->high[r] = -HUGE_VAL;
    }
    return !p->failed;
}

static cvs_status plan(cvi_planner *p, cvi_layout *l, cvs_error *err) {
    if (!prepare(p)) {
        return cvi_no_memory(err, (size_t)p->v->n_boxes * sizeof(double));
    }
    rank_boxes(p);
    if (!prepare_ranks(p)) {
        return cvi_no_memory(err, (size_t)p->n_ranks * sizeof(double));
    }
    choose_main(p);
    place_main(p);
    place_columns(p);
    span_frames(p);
    if (!place_rails(p)) {
        return cvi_no_memory(err, (size_t)p->v->n_links * sizeof(item));
    }
    measure_gaps(p);
    measure_ranks(p);
    return cvi_route_all(p, l, err);
}

cvs_status cvi_layout_make(const cvi_view *v, const cvi_box_size *sizes, const cvi_layout_options *o,
                           cvi_layout **out, cvs_error *err) {
    cvi_layout *l = cvi_calloc(1, sizeof *l);
    cvi_arena *arena = cvi_arena_new(0), *scratch = cvi_arena_new(0);
    cvs_status s = CVS_OK;
    if (l == NULL || arena == NULL || scratch == NULL) {
        s = cvi_no_memory(err, sizeof *l);
        cvi_arena_free(arena);
    } else {
        cvi_planner p = {.v = v, .sizes = sizes, .o = o, .arena = scratch};
        l->view = v;
        l->arena = arena;
        l->across = o->across;
        s = plan(&p, l, err);
    }
    cvi_arena_free(scratch);
    if (s != CVS_OK) {
        if (l != NULL && l->arena != NULL) {
            cvi_layout_free(l);
        } else {
            cvi_free(l);
        }
        return s;
    }
    *out = l;
    return CVS_OK;
}

void cvi_layout_free(cvi_layout *l) {
    if (l != NULL) {
        cvi_arena_free(l->arena);
        cvi_free(l->steps);
        cvi_free(l);
    }
}
