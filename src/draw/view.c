/* SPDX-License-Identifier: MIT
 * view.c - what of an architecture is visible when some groups are folded: boxes, the frames around open groups, and each
 * arrow between two boxes once. Of repeated units that are open, the first one stands for all.
 */
#include "draw/arch.h"

#include <stdlib.h>

enum { MAX_NESTING = 64 };

/* Groups around a node, outermost first; returns how many. */
static int chain_of(const cvi_arch *a, int node, int chain[MAX_NESTING]) {
    int n = 0;
    for (int g = a->nodes[node].group; g >= 0 && n < MAX_NESTING; g = a->groups[g].parent) {
        chain[n++] = g;
    }
    for (int i = 0; i < n / 2; i++) {
        int t = chain[i];
        chain[i] = chain[n - 1 - i];
        chain[n - 1 - i] = t;
    }
    return n;
}

typedef struct place {
    bool is_group;
    int index; /* node or group that is drawn */
    int times;
} place;

/* What is drawn for a node. */
static place place_of(const cvi_arch *a, const uint8_t *open, int node) {
    int chain[MAX_NESTING], n = chain_of(a, node, chain);
    place p = {.index = node, .times = 1};
    for (int i = 0; i < n; i++) {
        const cvi_arch_group *g = &a->groups[chain[i]];
        if (!open[chain[i]]) {
            return (place){true, chain[i], p.times};
        }
        if (g->kind == CVI_GROUP_REPEAT && open[chain[i]] == 1) {
            int unit = g->count / g->repeat, first = g->first + (p.index - g->first) % unit;
            p.times *= g->repeat;
            if (first != p.index) { /* the first unit has groups of its own */
                p.index = first;
                n = chain_of(a, first, chain);
            }
        }
    }
    return p;
}

/* True when an arrow joins two units of one repeat of which only the first is drawn. */
static bool between_units(const cvi_arch *a, const uint8_t *open, int from, int to) {
    int one[MAX_NESTING], two[MAX_NESTING];
    int n = chain_of(a, from, one), m = chain_of(a, to, two);
    for (int i = 0; i < n && i < m && one[i] == two[i]; i++) {
        const cvi_arch_group *g = &a->groups[one[i]];
        if (!open[one[i]]) {
            return false;
        }
        if (g->kind == CVI_GROUP_REPEAT && open[one[i]] == 1) {
            int unit = g->count / g->repeat;
            if ((from - g->first) / unit != (to - g->first) / unit) {
                return true;
            }
            from = g->first + (from - g->first) % unit;
            to = g->first + (to - g->first) % unit;
            n = chain_of(a, from, one);
            m = chain_of(a, to, two);
        }
    }
    return false;
}

/* ---- which groups are open ------------------------------------------------------------------------------------- */

static int depth_of(const cvi_arch *a, int group) {
    int depth = 0;
    for (int g = group; g >= 0; g = a->groups[g].parent) {
        depth++;
    }
    return depth;
}

/* Whether a comma-separated list names the group, by scope or motif. */
static bool is_named(const char *list, const cvi_arch_group *g) {
    for (const char *p = list; p != NULL && *p != '\0';) {
        size_t n = strcspn(p, ",");
        if ((n == 3 && strncmp(p, "all", 3) == 0) ||
            (strlen(g->scope) == n && strncmp(p, g->scope, n) == 0) ||
            (strlen(g->motif) == n && strncmp(p, g->motif, n) == 0)) {
            return n > 0;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

enum { TRY_OPEN, TRY_CLOSE_REPEATS, TRY_CLOSE_BLOCKS, TRY_CLOSE_STAGES, N_TRIES };

static void choose_open(const cvi_arch *a, const cvs_draw_options *o, int attempt, uint8_t *open) {
    for (int g = 0; g < a->n_groups; g++) {
        const cvi_arch_group *group = &a->groups[g];
        int closes = group->kind == CVI_GROUP_REPEAT  ? TRY_CLOSE_REPEATS
                     : group->kind == CVI_GROUP_BLOCK ? TRY_CLOSE_BLOCKS
                                                      : TRY_CLOSE_STAGES;
        bool by_depth = o->depth > 0 ? depth_of(a, g) < o->depth + 1 : attempt < closes;
        open[g] = is_named(o->expand, group) || o->fold == CVS_FOLD_NONE ? 2 : by_depth ? 1 : 0;
    }
}

static int count_boxes(const cvi_arch *a, const uint8_t *open) {
    int n = 0;
    for (int i = 0; i < a->n_nodes; i++) {
        place p = place_of(a, open, i);
        n += p.index == i || (p.is_group && a->groups[p.index].first == i);
    }
    return n;
}

static void open_by_options(const cvi_arch *a, const cvs_draw_options *o, int most, uint8_t *open) {
    for (int attempt = 0; attempt < N_TRIES; attempt++) {
        choose_open(a, o, attempt, open);
        if (most <= 0 || o->depth > 0 || o->fold == CVS_FOLD_NONE || count_boxes(a, open) <= most) {
            return;
        }
    }
}

/* ---- building ----------------------------------------------------------------------------------------------------- */

static cvs_status make_frames(cvi_view *v, const uint8_t *open, int *frame_of, cvs_error *err) {
    const cvi_arch *a = v->arch;
    v->frames = cvi_arena_alloc(v->arena, CVI_MAX(a->n_groups, 1), sizeof *v->frames);
    if (v->frames == NULL) {
        return cvi_no_memory(err, sizeof *v->frames);
    }
    for (int g = 0; g < a->n_groups; g++) {
        const cvi_arch_group *group = &a->groups[g];
        int up = group->parent >= 0 ? frame_of[group->parent] : -1;
        bool shown = open[g] != 0;
        for (int p = group->parent; p >= 0; p = a->groups[p].parent) {
            shown = shown && open[p] != 0;
        }
        frame_of[g] = shown ? v->n_frames : up;
        if (shown) {
            int repeat = group->kind == CVI_GROUP_REPEAT && open[g] == 1 ? group->repeat : 1;
            v->frames[v->n_frames++] = (cvi_frame){.group = g, .parent = up, .repeat = repeat};
        }
    }
    return CVS_OK;
}

static cvs_status make_boxes(cvi_view *v, const uint8_t *open, const int *frame_of, int *group_box,
                             cvs_error *err) {
    const cvi_arch *a = v->arch;
    v->boxes = cvi_arena_alloc(v->arena, CVI_MAX(a->n_nodes, 1), sizeof *v->boxes);
    v->box_of = cvi_arena_alloc(v->arena, CVI_MAX(a->n_nodes, 1), sizeof *v->box_of);
    if (v->boxes == NULL || v->box_of == NULL) {
        return cvi_no_memory(err, (size_t)a->n_nodes * sizeof *v->boxes);
    }
    for (int i = 0; i < a->n_nodes; i++) {
        place p = place_of(a, open, i);
        int *slot = p.is_group ? &group_box[p.index] : &v->box_of[p.index];
        if (p.is_group ? *slot < 0
                       : p.index == i) { /* a group's first node comes first, so does a first unit */
            int around = p.is_group ? a->groups[p.index].parent : a->nodes[i].group;
            cvi_box *b = &v->boxes[v->n_boxes];
            *b = (cvi_box){.kind = p.is_group ? CVI_BOX_GROUP : CVI_BOX_NODE,
                           .index = p.index,
                           .frame = around >= 0 ? frame_of[around] : -1,
                           .times = p.times};
            b->id = cvi_arena_printf(v->arena, p.is_group ? "g%d" : "n%d", p.index);
            if (b->id == NULL) {
                return cvi_no_memory(err, 16);
            }
            *slot = v->n_boxes++;
        }
        v->box_of[i] = *slot;
    }
    return CVS_OK;
}

static int by_ends(const void *p, const void *q) {
    const cvi_link *a = p, *b = q;
    return a->to != b->to       ? (a->to < b->to ? -1 : 1)
           : a->from != b->from ? (a->from < b->from ? -1 : 1)
           : a->slot != b->slot ? (a->slot < b->slot ? -1 : 1)
                                : 0;
}

static int by_slot(const void *p, const void *q) {
    const cvi_link *a = p, *b = q;
    return a->to != b->to       ? (a->to < b->to ? -1 : 1)
           : a->slot != b->slot ? (a->slot < b->slot ? -1 : 1)
                                : (a->from < b->from ? -1 : a->from > b->from);
}

/* A label is worth its place where what flows has another shape than what flowed in. */
static void mark_changes(cvi_view *v) {
    for (int i = 0; i < v->n_links; i++) {
        cvi_link *l = &v->links[i];
        const cvi_box *b = &v->boxes[l->from];
        const cvi_shape *in = NULL;
        if (b->kind == CVI_BOX_NODE) {
            const cvi_arch *a = v->arch;
            for (int k = a->edge_at[b->index]; k < a->edge_at[b->index + 1]; k++) {
                in = in == NULL || cvi_shape_equal(&a->edges[k].shape, &l->shape) ? &a->edges[k].shape : in;
            }
        } else {
            in = &v->arch->nodes[v->arch->groups[b->index].first].in;
        }
        l->changes = l->shape.rank >= 0 && (in == NULL || !cvi_shape_equal(in, &l->shape));
    }
}

static cvs_status make_links(cvi_view *v, const uint8_t *open, cvs_error *err) {
    const cvi_arch *a = v->arch;
    v->links = cvi_arena_alloc(v->arena, CVI_MAX(a->n_edges, 1), sizeof *v->links);
    if (v->links == NULL) {
        return cvi_no_memory(err, (size_t)a->n_edges * sizeof *v->links);
    }
    int n = 0;
    for (int i = 0; i < a->n_edges; i++) {
        const cvi_arch_edge *e = &a->edges[i];
        int from = v->box_of[e->from], to = v->box_of[e->to];
        if (from >= to || between_units(a, open, e->from, e->to)) {
            continue;
        }
        v->links[n++] = (cvi_link){.from = from, .to = to, .shape = e->shape, .slot = e->slot};
    }
    if (n > 0) {
        qsort(v->links, (size_t)n, sizeof *v->links, by_ends);
    }
    for (int i = 0; i < n; i++) {
        cvi_link *last = v->n_links > 0 ? &v->links[v->n_links - 1] : NULL;
        if (last == NULL || last->from != v->links[i].from || last->to != v->links[i].to) {
            v->links[v->n_links++] = v->links[i];
        }
    }
    if (v->n_links > 0) {
        qsort(v->links, (size_t)v->n_links, sizeof *v->links, by_slot);
    }
    mark_changes(v);
    return CVS_OK;
}

cvs_status cvi_view_make(const cvi_arch *a, const cvs_draw_options *o, const uint8_t *open, int most,
                         cvi_view **out, cvs_error *err) {
    cvi_view *v = cvi_calloc(1, sizeof *v);
    cvi_arena *arena = cvi_arena_new(0);
    size_t groups = (size_t)CVI_MAX(a->n_groups, 1);
    uint8_t *chosen = cvi_calloc(groups, 1);
    int *frame_of = cvi_calloc(groups, sizeof(int)), *group_box = cvi_calloc(groups, sizeof(int));
    cvs_status s = CVS_OK;
    if (v == NULL || arena == NULL || chosen == NULL || frame_of == NULL || group_box == NULL) {
        cvi_free(v);
        cvi_arena_free(arena);
        v = NULL;
        s = cvi_no_memory(err, sizeof *v);
    } else {
        v->arch = a;
        v->arena = arena;
        if (open != NULL) {
            memcpy(chosen, open, (size_t)a->n_groups);
        } else {
            open_by_options(a, o, most, chosen);
        }
        for (int g = 0; g < a->n_groups; g++) {
            group_box[g] = -1;
        }
        s = make_frames(v, chosen, frame_of, err);
        s = s == CVS_OK ? make_boxes(v, chosen, frame_of, group_box, err) : s;
        s = s == CVS_OK ? make_links(v, chosen, err) : s;
    }
    cvi_free(chosen);
    cvi_free(frame_of);
    cvi_free(group_box);
    if (s != CVS_OK) {
        cvi_view_free(v);
        return s;
    }
    *out = v;
    return CVS_OK;
}

void cvi_view_free(cvi_view *v) {
    if (v != NULL) {
        cvi_arena_free(v->arena);
        cvi_free(v);
    }
}

/* ---- what a box is --------------------------------------------------------------------------------------------------- */

void cvi_box_node(const cvi_view *v, int box, cvi_arch_node *out) {
    const cvi_arch *a = v->arch;
    const cvi_box *b = &v->boxes[box];
    if (b->kind == CVI_BOX_NODE) {
        *out = a->nodes[b->index];
        return;
    }
    const cvi_arch_group *g = &a->groups[b->index];
    const cvi_arch_node *first = &a->nodes[g->first], *last = &a->nodes[g->first + g->count - 1],
                        *main = first;
    *out = (cvi_arch_node){.kind = CVI_NODE_LAYER,
                           .known = true,
                           .layer = first->layer,
                           .name = g->scope[0] != '\0' ? g->scope : g->motif,
                           .op = "",
                           .word = g->motif,
                           .in = first->in,
                           .out = last->out,
                           .groups = 1,
                           .params = g->params,
                           .macs = g->macs,
                           .bytes = g->bytes,
                           .has_field = last->has_field,
                           .group = g->parent};
    for (int i = 0; i < g->count; i++) {
        const cvi_arch_node *n = &a->nodes[g->first + i];
        main = n->macs > main->macs ? n : main;
        out->trainable += n->trainable;
        out->flops += n->flops;
        out->weight_bytes += n->weight_bytes;
        out->live_bytes = CVI_MAX(out->live_bytes, n->live_bytes);
        out->is_output = out->is_output || n->is_output;
        out->known = out->known && n->known;
    }
    memcpy(out->field, last->field, sizeof out->field);
    memcpy(out->jump, last->jump, sizeof out->jump);
    out->cls = main->cls;
    out->title = g->repeat > 1 ? cvi_arena_printf(v->arena, "%s ×%d", g->motif, g->repeat) : g->motif;
    out->title = out->title != NULL ? out->title : g->motif;
}
