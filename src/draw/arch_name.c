/* SPDX-License-Identifier: MIT
 * arch_name.c - names for groups: what a unit is known as in the literature, from its shape alone, and the prefix that the
 * names in the file share. Units that are known by no name are Block A, Block B, ... in the order of their appearance.
 */
#include "draw/arch_fold.h"

/* What a unit is made of. */
typedef struct unit {
    const cvi_arch *a;
    int first, count;
    int convs, ones, wide, depthwise, dense, pools, others; /* ones: 1x1; wide: larger kernels */
    int pattern; /* kernels of the convolutions in order, as digits: 131 */
    const cvi_arch_node *last;
    int inner_inputs, outer_inputs; /* of the last box: from inside the unit, from before it */
    bool gated;                     /* a product of a map with what came of its global average */
} unit;

static void look_at_join(unit *u) {
    int last = u->first + u->count - 1;
    u->last = &u->a->nodes[last];
    for (int k = u->a->edge_at[last]; k < u->a->edge_at[last + 1]; k++) {
        bool inside = u->a->edges[k].from >= u->first;
        u->inner_inputs += inside;
        u->outer_inputs += !inside;
    }
}

static unit look(const cvi_arch *a, int first, int count) {
    unit u = {.a = a, .first = first, .count = count};
    bool squeezed = false;
    for (int i = first; i < first + count; i++) {
        const cvi_arch_node *n = &a->nodes[i];
        bool one = n->windowed && n->kernel[0] == 1 && n->kernel[n->axes - 1] == 1;
        bool point = cvi_shape_height(&n->out) == 1 && cvi_shape_width(&n->out) == 1;
        if (n->kind != CVI_NODE_LAYER) {
            u.gated = u.gated || (n->kind == CVI_NODE_MUL && squeezed);
        } else if (n->cls == CVI_CLASS_POOL || (n->cls == CVI_CLASS_MATH && point)) {
            u.pools++;
            squeezed = squeezed || (point && !n->windowed);
        } else if (squeezed && point) {
            continue; /* the two small layers of a gate */
        } else if (n->cls == CVI_CLASS_DEPTHWISE && n->groups == n->units && n->units > 1) {
            u.depthwise++;
        } else if (n->cls == CVI_CLASS_CONV || n->cls == CVI_CLASS_DEPTHWISE) {
            u.convs++;
            u.ones += one;
            u.wide += !one;
            u.pattern = u.pattern < 100000 ? u.pattern * 10 + (one ? 1 : 3) : u.pattern;
        } else if (n->cls == CVI_CLASS_DENSE) {
            u.dense++;
        } else {
            u.others++;
        }
    }
    look_at_join(&u);
    return u;
}

/* A projection is the 1x1 read from before the unit that only the sum reads. */
static bool on_shortcut(const unit *u, int i) {
    const cvi_arch_node *n = &u->a->nodes[i];
    bool from_before = true, one = n->windowed && n->kernel[0] == 1;
    for (int k = u->a->edge_at[i]; k < u->a->edge_at[i + 1]; k++) {
        from_before = from_before && u->a->edges[k].from < u->first;
    }
    int users = u->a->users_at[i + 1] - u->a->users_at[i], last = u->first + u->count - 1;
    return one && from_before && users == 1 && u->a->edges[u->a->users[u->a->users_at[i]]].to == last;
}

/* Convolutions on the shortcut do not count in the pattern. */
static int main_pattern(const unit *u) {
    int pattern = 0;
    for (int i = u->first; i < u->first + u->count - 1; i++) {
        const cvi_arch_node *n = &u->a->nodes[i];
        if ((n->cls == CVI_CLASS_CONV || n->cls == CVI_CLASS_DEPTHWISE) && !on_shortcut(u, i)) {
            pattern = pattern > 100000 ? pattern : pattern * 10 + (n->windowed && n->kernel[0] == 1 ? 1 : 3);
        }
    }
    return pattern;
}

/* Xception's: each map is filtered by itself before the channels are mixed, more than once; an inverted residual widens first. */
static bool starts_depthwise(const unit *u) {
    for (int i = u->first; i < u->first + u->count; i++) {
        const cvi_arch_node *n = &u->a->nodes[i];
        if (n->cls == CVI_CLASS_DEPTHWISE && n->groups == n->units) {
            return true;
        }
        if ((n->cls == CVI_CLASS_CONV || n->cls == CVI_CLASS_DEPTHWISE) && !on_shortcut(u, i)) {
            return false;
        }
    }
    return false;
}

/* Whether one input of the last box is computed from another: steps that are kept one behind the other, as in ELAN, C2f and VoVNet. The
 * branches of an Inception module lie side by side. One bit a box; nothing of more than 64 boxes is named so. */
static bool in_steps(const unit *u) {
    int last = u->first + u->count - 1;
    uint64_t kept = 0, behind = 0; /* inputs of the last box; what is computed from one */
    for (int k = u->a->edge_at[last]; u->count <= 64 && k < u->a->edge_at[last + 1]; k++) {
        int from = u->a->edges[k].from;
        kept |= from >= u->first && from < last ? (uint64_t)1 << (from - u->first) : 0;
    }
    for (int i = u->first; kept != 0 && i < last; i++) {
        for (int k = u->a->edge_at[i]; k < u->a->edge_at[i + 1]; k++) {
            int from = u->a->edges[k].from - u->first;
            bool reads = from >= 0 && from < 64 && ((kept | behind) >> from & 1) != 0;
            behind |= reads ? (uint64_t)1 << (i - u->first) : 0;
        }
    }
    return (kept & behind) != 0;
}

static const char *known_name(const unit *u) {
    if (u->last->kind == CVI_NODE_ADD) {
        int pattern = main_pattern(u);
        if (u->depthwise > 1 && !u->gated && starts_depthwise(u)) {
            return "separable residual";
        }
        if (u->depthwise > 0) {
            return u->gated ? "inverted residual + SE" : "inverted residual";
        }
        return pattern == 131  ? (u->gated ? "bottleneck + SE" : "bottleneck")
               : pattern == 33 ? (u->gated ? "basic block + SE" : "basic block")
                               : "residual block";
    }
    if (u->last->kind == CVI_NODE_CONCAT) {
        if (u->outer_inputs > 0 && u->inner_inputs > 0 && u->convs <= 2 && u->convs > 0) {
            return "dense layer";
        }
        if (u->outer_inputs == 0 && u->inner_inputs == 2 && u->convs == 3 && u->ones == 2 && u->pools == 0) {
            return "fire module";
        }
        bool many = u->inner_inputs + u->outer_inputs >= 3;
        if (many && in_steps(u)) {
            return u->pools >= 2 && u->convs <= 2 ? "spatial pyramid pooling" : "layer aggregation";
        }
        return many ? "Inception module" : "parallel block";
    }
    if (u->gated) {
        return u->depthwise > 0 ? "MBConv + SE" : "SE block";
    }
    if (u->depthwise == 1 && u->convs == 1 && u->count == 2) {
        return "separable convolution";
    }
    return NULL;
}

/* ---- scopes --------------------------------------------------------------------------------------------------------------- */

/* Length of the prefix that the names of the nodes share, cut back to a separator. */
static size_t shared_prefix(const cvi_arch *a, int first, int count) {
    const char *name = a->nodes[first].name;
    size_t n = strlen(name);
    for (int i = first + 1; i < first + count; i++) {
        const char *other = a->nodes[i].name;
        size_t k = 0;
        while (k < n && other[k] == name[k] && other[k] != '\0') {
            k++;
        }
        n = k;
    }
    bool whole = true; /* the prefix ends where a name ends */
    for (int i = first; i < first + count; i++) {
        char next = a->nodes[i].name[n];
        whole = whole && (next == '\0' || strchr("/._-:", next) != NULL);
    }
    while (!whole && n > 0 && strchr("/._-:", name[n - 1]) == NULL) {
        n--;
    }
    while (n > 0 && strchr("/._-:", name[n - 1]) != NULL) {
        n--;
    }
    return n;
}

static const char *scope_of(cvi_arch *a, const cvi_arch_group *g) {
    size_t n = shared_prefix(a, g->first, g->count), skip = 0;
    const char *name = a->nodes[g->first].name;
    while (skip < n && (name[skip] == '/' || name[skip] == '.')) {
        skip++;
    }
    size_t motif = strlen(g->motif); /* automatic names ("bottleneck7/conv1") say no more than the motif */
    if (n > skip && motif > 0 && strncmp(g->motif, name + skip, CVI_MIN(motif, n - skip)) == 0) {
        return "";
    }
    return n > skip ? cvi_arena_strn(a->arena, name + skip, n - skip) : "";
}

/* ---- all ------------------------------------------------------------------------------------------------------------------- */

static uint64_t hash_unit(const cvi_arch *a, int first, int count) {
    uint64_t h = (uint64_t)count;
    for (int i = first; i < first + count; i++) {
        h = (h ^ a->nodes[i].signature) * 0x9E3779B97F4A7C15u;
    }
    return h;
}

/* Block A, B, ..., Z, AA, ... */
static const char *letters(cvi_arch *a, int k) {
    char text[8];
    if (k < 26) {
        snprintf(text, sizeof text, "%c", 'A' + k);
    } else {
        snprintf(text, sizeof text, "%c%c", 'A' + (k / 26 - 1) % 26, 'A' + k % 26);
    }
    return cvi_arena_printf(a->arena, cvi_tr(a->lang, "Block %s"), text);
}

static const char *stage_name(cvi_arch *a, const cvi_arch_group *g) {
    const cvi_shape *s = &a->nodes[g->first + g->count - 1].out;
    long long h = (long long)cvi_shape_height(s), w = (long long)cvi_shape_width(s);
    return h == 1 ? cvi_arena_printf(a->arena, "%lld", w) : cvi_arena_printf(a->arena, "%lld×%lld", h, w);
}

static const char *motif_of(cvi_arch *a, const cvi_arch_group *g, uint64_t *seen, int *n_seen) {
    int count = g->count / g->repeat;
    if (g->kind == CVI_GROUP_STAGE) {
        return stage_name(a, g);
    }
    if (count == 1) {
        return a->nodes[g->first].title;
    }
    unit u = look(a, g->first, count);
    const char *name = known_name(&u);
    if (name != NULL) {
        return cvi_tr(a->lang, name);
    }
    uint64_t h = hash_unit(a, g->first, count);
    int k = 0;
    while (k < *n_seen && seen[k] != h) {
        k++;
    }
    seen[k] = h;
    *n_seen = CVI_MAX(*n_seen, k + 1);
    return letters(a, k);
}

cvs_status cvi_arch_name_groups(cvi_arch *a, cvs_error *err) {
    uint64_t *seen = cvi_calloc((size_t)a->n_groups + 1, sizeof *seen);
    bool ok = seen != NULL;
    int n_seen = 0;
    for (int g = 0; ok && g < a->n_groups; g++) {
        a->groups[g].motif = motif_of(a, &a->groups[g], seen, &n_seen);
        a->groups[g].scope = scope_of(a, &a->groups[g]);
        ok = a->groups[g].motif != NULL && a->groups[g].scope != NULL;
    }
    cvi_free(seen);
    return ok ? CVS_OK : cvi_no_memory(err, sizeof *seen);
}
