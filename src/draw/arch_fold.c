/* SPDX-License-Identifier: MIT
 * arch_fold.c - finds what repeats, by structure alone: two boxes are alike when operator, settings, strips, spatial size
 * and the distances to what they read are equal; a run of boxes that is alike to the run before it is a repeat. Channel
 * counts of what keeps its channels do not count, or growing widths would hide every repeat; the spatial size does, or
 * repeats would merge across stages. Single blocks lie between two places that every path passes.
 */
#include "draw/arch.h"
#include "draw/arch_fold.h"

#include <stdlib.h>

enum { MAX_PERIOD = 800, MAX_BLOCK = 30, LEAST_SAVED = 2 };

/* ---- signatures ---------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v) {
    h ^= v + 0x9E3779B97F4A7C15u + (h << 6) + (h >> 2);
    h *= 0xFF51AFD7ED558CCDu;
    return h ^ h >> 29;
}

static uint64_t mix_text(uint64_t h, const char *s) {
    for (; *s != '\0'; s++) {
        h = mix(h, (unsigned char)*s);
    }
    return mix(h, 0x1FF);
}

static uint64_t sign_self(const cvi_arch_node *n) {
    uint64_t h = mix_text(mix(0, n->kind), n->op);
    bool weighted = n->cls == CVI_CLASS_CONV || n->cls == CVI_CLASS_DEPTHWISE || n->cls == CVI_CLASS_DENSE ||
                    n->cls == CVI_CLASS_UPSAMPLE;
    for (int i = 0; n->windowed && i < n->axes; i++) {
        h = mix(mix(mix(h, (uint64_t)n->kernel[i]), (uint64_t)n->stride[i]), (uint64_t)n->dilation[i]);
    }
    h = weighted ? mix(mix(h, (uint64_t)n->units), (uint64_t)n->groups) : h;
    for (int i = 0; i < n->n_strips; i++) {
        h = mix_text(mix(h, (uint64_t)(i < n->n_heads)), n->strip[i].word);
    }
    return mix(mix(h, (uint64_t)cvi_shape_height(&n->out)), (uint64_t)cvi_shape_width(&n->out));
}

static int by_value(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

static cvs_status sign_all(cvi_arch *a, cvs_error *err) {
    int *offsets = cvi_calloc((size_t)a->n_edges + 1, sizeof *offsets);
    if (offsets == NULL) {
        return cvi_no_memory(err, (size_t)a->n_edges * sizeof *offsets);
    }
    for (int i = 0; i < a->n_nodes; i++) {
        int first = a->edge_at[i], n = a->edge_at[i + 1] - first;
        uint64_t h = sign_self(&a->nodes[i]);
        for (int k = 0; k < n; k++) {
            offsets[k] = i - a->edges[first + k].from;
        }
        if (n > 1) {
            qsort(offsets, (size_t)n, sizeof *offsets, by_value);
        }
        for (int k = 0; k < n; k++) {
            h = mix(h, (uint64_t)offsets[k]);
        }
        a->nodes[i].signature = mix(h, (uint64_t)n);
    }
    cvi_free(offsets);
    return CVS_OK;
}

/* ---- repeats ---------------------------------------------------------------------------------------------------------- */

typedef struct repeat {
    int first, period, times;
} repeat;

typedef struct folder {
    cvi_arch *a;
    int *reach; /* per node: the last node that reads it */
    bool failed;
} folder;

/* Nodes before `at` that are read at or after it. Few = a clean place to cut. */
static int crossing(const folder *f, int at, int from) {
    int n = 0;
    for (int i = CVI_MAX(at - 64, from); i < at; i++) {
        n += f->reach[i] >= at;
    }
    return n;
}

/* One box alone is worth a count only where it repeats often, with the same sizes. */
static bool worth(const folder *f, const repeat *r) {
    if (r->period > 1) {
        return (r->times - 1) * r->period >= LEAST_SAVED;
    }
    return r->times >= 5 && f->a->nodes[r->first].params == f->a->nodes[r->first + 1].params &&
           f->a->nodes[r->first].kind == CVI_NODE_LAYER;
}

/* The start inside a run (all shifts of the unit are alike) where the fewest arrows are cut. */
static int best_start(const folder *f, int first, int length, int period, int times, int low) {
    int spare = CVI_MIN(length - period * times, period - 1), best = first, least = INT32_MAX;
    for (int d = 0; d <= spare; d++) {
        int cut = crossing(f, first + d, low);
        if (cut < least) {
            least = cut;
            best = first + d;
        }
    }
    return best;
}

/* The repeat in [low, high) that saves most boxes; times 0 = none. */
static repeat best_repeat(const folder *f, int low, int high) {
    const cvi_arch_node *n = f->a->nodes;
    repeat best = {0, 0, 0};
    int saved = 0;
    for (int p = 1; p <= CVI_MIN((high - low) / 2, MAX_PERIOD); p++) {
        for (int i = low; i + p < high;) {
            int run = 0;
            while (i + p + run < high && n[i + run].signature == n[i + p + run].signature) {
                run++;
            }
            if (run >= p) {
                int times = run / p + 1;
                repeat r = {best_start(f, i, run + p, p, times, low), p, times};
                if ((times - 1) * p > saved && worth(f, &r)) {
                    saved = (times - 1) * p;
                    best = r;
                }
            }
            i += run + 1;
        }
    }
    return best;
}

static int add_group(folder *f, cvi_arch_group g) {
    cvi_arch *a = f->a;
    if (a->n_groups == a->cap_groups) {
        int wanted = a->cap_groups == 0 ? 32 : a->cap_groups * 2;
        void *p = cvi_realloc(a->groups, (size_t)a->cap_groups * sizeof *a->groups,
                              (size_t)wanted * sizeof *a->groups);
        if (p == NULL) {
            f->failed = true;
            return -1;
        }
        a->groups = p;
        a->cap_groups = wanted;
    }
    g.motif = g.scope = "";
    a->groups[a->n_groups] = g;
    return a->n_groups++;
}

/* Finds repeats left to right inside [low, high), and inside the first unit of each. */
static void find_repeats(folder *f, int low, int high, int parent, int depth) {
    while (!f->failed && high - low >= 3 && depth < 24) {
        repeat r = best_repeat(f, low, high);
        if (r.times < 2) {
            return;
        }
        int g = add_group(f, (cvi_arch_group){.kind = CVI_GROUP_REPEAT,
                                              .parent = parent,
                                              .first = r.first,
                                              .count = r.period * r.times,
                                              .repeat = r.times});
        find_repeats(f, low, r.first, parent, depth + 1);
        find_repeats(f, r.first, r.first + r.period, g, depth + 1);
        low = r.first + r.period * r.times;
    }
}

/* ---- single blocks ------------------------------------------------------------------------------------------------------ */

/* Whether [first, first + count) cuts no repeat in two and lies in none. */
static bool is_free(const cvi_arch *a, int repeats, int first, int count) {
    for (int g = 0; g < repeats; g++) {
        int low = a->groups[g].first, high = low + a->groups[g].count;
        bool apart = high <= first || first + count <= low;
        bool inside = low >= first && high <= first + count && a->groups[g].count < count;
        if (!apart && !inside) {
            return false;
        }
    }
    return true;
}

/* Top-level groups inside a new one become its children. */
static void adopt(cvi_arch *a, int group) {
    const cvi_arch_group *around = &a->groups[group];
    for (int g = 0; g < group; g++) {
        if (a->groups[g].parent < 0 && a->groups[g].first >= around->first &&
            a->groups[g].first < around->first + around->count) {
            a->groups[g].parent = group;
        }
    }
}

static bool same_size(const cvi_arch_node *a, const cvi_arch_node *b) {
    return cvi_shape_height(&a->out) == cvi_shape_height(&b->out) &&
           cvi_shape_width(&a->out) == cvi_shape_width(&b->out);
}

/* A block works at the size it gets or the size it gives; what goes deeper and comes back is a network of its own. */
static bool is_level(const cvi_arch *a, int before, int first, int count) {
    const cvi_arch_node *last = &a->nodes[first + count - 1];
    for (int i = first; i < first + count; i++) {
        int64_t h = cvi_shape_height(&a->nodes[i].out);
        bool level = same_size(&a->nodes[i], &a->nodes[before]) || same_size(&a->nodes[i], last);
        if (!level && h != 1) { /* a gate looks at one number a channel */
            return false;
        }
    }
    return true;
}

/* The place before a block is its own beginning: the 1x1 convolution that all its branches read, but not its end (that
 * would be a shortcut round the block). */
static bool leads_in(const cvi_arch *a, int start, int end, int done) {
    const cvi_arch_node *n = &a->nodes[CVI_MAX(start, 0)];
    for (int k = a->edge_at[end]; k < a->edge_at[end + 1]; k++) {
        if (a->edges[k].from == start) {
            return false;
        }
    }
    return start > done && start > 0 && n->kind == CVI_NODE_LAYER && n->windowed &&
           n->cls == CVI_CLASS_CONV && n->kernel[0] == 1 && n->stride[0] == 1;
}

/* Boxes between two places that every path passes, with branches between. */
static void find_blocks(folder *f) {
    cvi_arch *a = f->a;
    int start = -1, reach = -1, repeats = a->n_groups, done = -1;
    for (int i = 0; i < a->n_nodes && !f->failed; i++) {
        /* a cut: everything read later than i is i itself */
        if (reach <= i) {
            int first = start + 1, count = i - start;
            if (count >= 3 && leads_in(a, start, i, done)) {
                first--;
                count++;
            }
            bool free = start >= 0 && count >= 3 && count <= MAX_BLOCK && count < a->n_nodes - 4;
            free = free && is_level(a, start, first, count) && is_free(a, repeats, first, count);
            if (free) {
                int g = add_group(
                    f,
                    (cvi_arch_group){
                        .kind = CVI_GROUP_BLOCK, .parent = -1, .first = first, .count = count, .repeat = 1});
                if (g >= 0) {
                    adopt(a, g);
                }
                done = i;
            }
            start = i;
        }
        reach = CVI_MAX(reach, f->reach[i]);
    }
}

/* ---- stages --------------------------------------------------------------------------------------------------------------- */

/* End of the outermost group that starts at node i, or i + 1. */
static int item_end(const cvi_arch *a, int i, int n_groups) {
    int end = i + 1;
    for (int g = 0; g < n_groups; g++) {
        if (a->groups[g].first == i && a->groups[g].parent < 0) {
            end = CVI_MAX(end, i + a->groups[g].count);
        }
    }
    return end;
}

/* Runs of boxes and groups whose outputs have one spatial size; the groups inside get them as parents. */
static void find_stages(folder *f) {
    cvi_arch *a = f->a;
    int inner = a->n_groups;
    for (int i = 0; i < a->n_nodes && !f->failed;) {
        int end = item_end(a, i, inner), size = end - 1;
        while (end < a->n_nodes && a->nodes[i].kind != CVI_NODE_INPUT) {
            int next = item_end(a, end, inner);
            if (!same_size(&a->nodes[size], &a->nodes[next - 1])) {
                break;
            }
            end = next;
        }
        bool known = cvi_shape_width(&a->nodes[size].out) > 1 || cvi_shape_height(&a->nodes[size].out) > 1;
        if (end - i >= 2 && end - i < a->n_nodes && known) {
            int stage = add_group(
                f, (cvi_arch_group){
                       .kind = CVI_GROUP_STAGE, .parent = -1, .first = i, .count = end - i, .repeat = 1});
            if (stage >= 0) {
                adopt(a, stage);
            }
        }
        i = end;
    }
}

/* ---- order and sums --------------------------------------------------------------------------------------------------------- */

static int depth_of(const cvi_arch_group *groups, int g) {
    int depth = 0;
    for (; g >= 0; g = groups[g].parent) {
        depth++;
    }
    return depth;
}

typedef struct sort_key {
    int first, depth, index;
} sort_key;

static int by_place(const void *p, const void *q) {
    const sort_key *a = p, *b = q;
    return a->first != b->first   ? (a->first < b->first ? -1 : 1)
           : a->depth != b->depth ? (a->depth < b->depth ? -1 : 1)
                                  : (a->index < b->index ? -1 : a->index > b->index);
}

/* Parents before children, by place. */
static bool sort_groups(cvi_arch *a) {
    size_t n = (size_t)CVI_MAX(a->n_groups, 1);
    sort_key *keys = cvi_calloc(n, sizeof *keys);
    cvi_arch_group *sorted = cvi_calloc(n, sizeof *sorted);
    int *now = cvi_calloc(n, sizeof *now);
    bool ok = keys != NULL && sorted != NULL && now != NULL;
    for (int g = 0; ok && g < a->n_groups; g++) {
        keys[g] = (sort_key){a->groups[g].first, depth_of(a->groups, g), g};
    }
    if (ok && a->n_groups > 0) {
        qsort(keys, (size_t)a->n_groups, sizeof *keys, by_place);
        for (int g = 0; g < a->n_groups; g++) {
            sorted[g] = a->groups[keys[g].index];
            now[keys[g].index] = g;
        }
        for (int g = 0; g < a->n_groups; g++) {
            sorted[g].parent = sorted[g].parent >= 0 ? now[sorted[g].parent] : -1;
        }
        memcpy(a->groups, sorted, (size_t)a->n_groups * sizeof *sorted);
    }
    cvi_free(keys);
    cvi_free(sorted);
    cvi_free(now);
    return ok;
}

static int64_t plus(int64_t a, int64_t b) {
    int64_t sum = INT64_MAX;
    return cvi_add(a, b, &sum) ? sum : INT64_MAX;
}

static void sum_groups(cvi_arch *a) {
    for (int g = 0; g < a->n_groups; g++) {
        cvi_arch_group *group = &a->groups[g];
        for (int i = group->first; i < group->first + group->count; i++) {
            a->nodes[i].group = g; /* children come later: the innermost one stays */
            group->params = plus(group->params, a->nodes[i].params);
            group->macs = plus(group->macs, a->nodes[i].macs);
            group->bytes = plus(group->bytes, a->nodes[i].bytes);
        }
    }
}

cvs_status cvi_arch_fold(cvi_arch *a, cvs_error *err) {
    size_t n = (size_t)CVI_MAX(a->n_nodes, 1);
    folder f = {.a = a, .reach = cvi_calloc(n, sizeof(int))};
    cvs_status s = f.reach != NULL ? sign_all(a, err) : cvi_no_memory(err, n * sizeof(int));
    if (s == CVS_OK) {
        for (int i = 0; i < a->n_nodes; i++) {
            f.reach[i] = i;
            for (int k = a->users_at[i]; k < a->users_at[i + 1]; k++) {
                f.reach[i] = CVI_MAX(f.reach[i], a->edges[a->users[k]].to);
            }
        }
        a->n_groups = 0;
        find_repeats(&f, 0, a->n_nodes, -1, 0);
        find_blocks(&f);
        find_stages(&f);
        s = f.failed || !sort_groups(a) ? cvi_no_memory(err, n * sizeof(int)) : CVS_OK;
    }
    cvi_free(f.reach);
    if (s != CVS_OK) {
        return s;
    }
    sum_groups(a);
    return cvi_arch_name_groups(a, err);
}
