/* SPDX-License-Identifier: MIT
 * arch.c - the drawable architecture as a container: adding, sorting, indices, sums, and small questions about shapes.
 */
#include "draw/arch.h"

#include <math.h>
#include <stdlib.h>

cvi_arch *cvi_arch_new(cvs_lang lang, const char *name, cvs_error *err) {
    cvi_arch *a = cvi_calloc(1, sizeof *a);
    cvi_arena *arena = a != NULL ? cvi_arena_new(0) : NULL;
    if (arena == NULL) {
        cvi_free(a);
        cvi_no_memory(err, sizeof *a);
        return NULL;
    }
    a->arena = arena;
    a->lang = lang;
    a->name = cvi_arena_strn(arena, name, strlen(name));
    a->source = "";
    a->input = "?";
    a->batch = 1;
    if (a->name == NULL) {
        cvi_arch_free(a);
        cvi_no_memory(err, strlen(name));
        return NULL;
    }
    return a;
}

void cvi_arch_free(cvi_arch *a) {
    if (a == NULL) {
        return;
    }
    cvi_free(a->nodes);
    cvi_free(a->edges);
    cvi_free(a->groups);
    cvi_free(a->edge_at);
    cvi_free(a->users_at);
    cvi_free(a->users);
    cvi_arena_free(a->arena);
    cvi_free(a);
}

static bool grow(void **array, int n, int *capacity, size_t size) {
    if (n < *capacity) {
        return true;
    }
    int wanted = *capacity == 0 ? 64 : *capacity * 2;
    void *p = n < INT32_MAX / 4 ? cvi_realloc(*array, (size_t)*capacity * size, (size_t)wanted * size) : NULL;
    if (p == NULL) {
        return false;
    }
    *array = p;
    *capacity = wanted;
    return true;
}

int cvi_arch_add_node(cvi_arch *a, const cvi_arch_node *node) {
    if (!grow((void **)&a->nodes, a->n_nodes, &a->cap_nodes, sizeof *a->nodes)) {
        return -1;
    }
    a->nodes[a->n_nodes] = *node;
    a->nodes[a->n_nodes].group = -1;
    return a->n_nodes++;
}

int cvi_arch_add_edge(cvi_arch *a, int from, int to, const cvi_shape *shape) {
    if (!grow((void **)&a->edges, a->n_edges, &a->cap_edges, sizeof *a->edges)) {
        return -1;
    }
    cvi_arch_edge e = {.from = from, .to = to, .shape = {.rank = -1}};
    if (shape != NULL) {
        e.shape = *shape;
    }
    for (int i = a->n_edges - 1; i >= 0 && a->edges[i].to == to; i--) { /* inputs are added together */
        e.slot = CVI_MAX(e.slot, a->edges[i].slot + 1);
        break;
    }
    a->edges[a->n_edges] = e;
    return a->n_edges++;
}

/* ---- order ------------------------------------------------------------------------------------------------- */

static int by_target(const void *p, const void *q) {
    const cvi_arch_edge *a = p, *b = q;
    return a->to != b->to       ? (a->to < b->to ? -1 : 1)
           : a->slot != b->slot ? (a->slot < b->slot ? -1 : 1)
           : a->from != b->from ? (a->from < b->from ? -1 : 1)
                                : 0;
}

/* Counting sort of edges by `from` (ascending `to` inside) into users. */
static bool index_edges(cvi_arch *a) {
    size_t n = (size_t)a->n_nodes + 1;
    cvi_free(a->edge_at);
    cvi_free(a->users_at);
    cvi_free(a->users);
    a->edge_at = cvi_calloc(n + 1, sizeof(int));
    a->users_at = cvi_calloc(n + 1, sizeof(int));
    a->users = cvi_calloc((size_t)a->n_edges + 1, sizeof(int));
    if (a->edge_at == NULL || a->users_at == NULL || a->users == NULL) {
        return false;
    }
    for (int i = 0; i < a->n_edges; i++) {
        a->edge_at[a->edges[i].to + 1]++;
        a->users_at[a->edges[i].from + 1]++;
    }
    for (size_t i = 0; i < n; i++) {
        a->edge_at[i + 1] += a->edge_at[i];
        a->users_at[i + 1] += a->users_at[i];
    }
    /* users_at[f] walks to the start of f + 1 and is moved back below. */
    for (int i = 0; i < a->n_edges; i++) {
        a->users[a->users_at[a->edges[i].from]++] = i;
    }
    for (size_t i = n; i > 0; i--) {
        a->users_at[i] = a->users_at[i - 1];
    }
    a->users_at[0] = 0;
    return true;
}

static bool is_sorted(const cvi_arch *a) {
    for (int i = 0; i < a->n_edges; i++) {
        if (a->edges[i].from >= a->edges[i].to) {
            return false;
        }
    }
    return true;
}

static void sift_down(int *heap, int n, int at) {
    for (int child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[at] <= heap[child]) {
            return;
        }
        int t = heap[at];
        heap[at] = heap[child];
        heap[child] = t;
    }
}

static void sift_up(int *heap, int at) {
    for (; at > 0 && heap[at] < heap[(at - 1) / 2]; at = (at - 1) / 2) {
        int t = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = t;
    }
}

/* Topological, the smallest old index first: order[new] = old. Returns how many could be placed. */
static int sort_nodes(const cvi_arch *a, int *order, int *waiting, int *heap) {
    int done = 0, n = 0;
    for (int i = 0; i < a->n_edges; i++) {
        waiting[a->edges[i].to]++;
    }
    for (int i = 0; i < a->n_nodes; i++) {
        if (waiting[i] == 0) {
            heap[n] = i;
            sift_up(heap, n++);
        }
    }
    while (n > 0) {
        int v = order[done++] = heap[0];
        heap[0] = heap[--n];
        sift_down(heap, n, 0);
        for (int k = a->users_at[v]; k < a->users_at[v + 1]; k++) {
            int to = a->edges[a->users[k]].to;
            if (--waiting[to] == 0) {
                heap[n] = to;
                sift_up(heap, n++);
            }
        }
    }
    return done;
}

static cvs_status reorder(cvi_arch *a, cvs_error *err) {
    size_t n = (size_t)CVI_MAX(a->n_nodes, 1);
    int *order = cvi_calloc(n, sizeof(int)), *waiting = cvi_calloc(n, sizeof(int)),
        *heap = cvi_calloc(n, sizeof(int));
    cvi_arch_node *nodes = cvi_calloc(n, sizeof *nodes);
    cvs_status s = CVS_OK;
    if (order == NULL || waiting == NULL || heap == NULL || nodes == NULL) {
        s = cvi_no_memory(err, n * sizeof *nodes);
    } else if (sort_nodes(a, order, waiting, heap) < a->n_nodes) {
        s = cvi_fail(err, CVS_E_FORMAT, "the boxes of this architecture form a cycle");
    } else {
        for (int i = 0; i < a->n_nodes; i++) {
            nodes[i] = a->nodes[order[i]];
            waiting[order[i]] = i; /* now old -> new */
        }
        memcpy(a->nodes, nodes, (size_t)a->n_nodes * sizeof *nodes);
        for (int i = 0; i < a->n_edges; i++) {
            a->edges[i].from = waiting[a->edges[i].from];
            a->edges[i].to = waiting[a->edges[i].to];
        }
    }
    cvi_free(order);
    cvi_free(waiting);
    cvi_free(heap);
    cvi_free(nodes);
    return s;
}

/* ---- sums and titles ------------------------------------------------------------------------------------------ */

static void add_to(int64_t *sum, int64_t v) {
    if (!cvi_add(*sum, CVI_MAX(v, 0), sum)) {
        *sum = INT64_MAX;
    }
}

static void sum_up(cvi_arch *a) {
    a->params = a->trainable = a->macs = a->flops = a->bytes = a->weight_bytes = a->peak_bytes = 0;
    a->n_unknown_ops = a->n_unknown_shapes = 0;
    for (int i = 0; i < a->n_nodes; i++) {
        const cvi_arch_node *n = &a->nodes[i];
        add_to(&a->params, n->params);
        add_to(&a->trainable, n->trainable);
        add_to(&a->macs, n->macs);
        add_to(&a->flops, n->flops);
        add_to(&a->weight_bytes, n->weight_bytes);
        if (n->kind != CVI_NODE_INPUT) {
            add_to(&a->bytes, n->bytes);
            a->n_unknown_ops += !n->known;
        }
        a->peak_bytes = CVI_MAX(a->peak_bytes, n->live_bytes);
        a->n_unknown_shapes += n->out.rank < 0;
    }
}

/* "3×3", "7×1", "k5" for one axis, "3×3×3". */
static void window_text(const cvi_arch_node *n, char *buf, size_t size) {
    const int64_t *k = n->kernel;
    if (n->axes == 1) {
        snprintf(buf, size, "k%lld", (long long)k[0]);
    } else if (n->axes == 2) {
        snprintf(buf, size, "%lld×%lld", (long long)k[0], (long long)k[1]);
    } else {
        snprintf(buf, size, "%lld×%lld×%lld", (long long)k[0], (long long)k[1], (long long)k[2]);
    }
}

static bool differs(const int64_t *v, int n, int64_t usual) {
    for (int i = 0; i < n; i++) {
        if (v[i] != usual) {
            return true;
        }
    }
    return false;
}

/* "/2", "/2×1", "/1×2×2". */
static void stride_text(const cvi_arch_node *n, char *buf, size_t size) {
    buf[0] = '\0';
    if (!differs(n->stride, n->axes, 1)) {
        return;
    }
    if (n->cls == CVI_CLASS_UPSAMPLE) { /* it makes maps larger */
        snprintf(buf, size, " ↑%lld", (long long)n->stride[0]);
    } else if (!differs(n->stride, n->axes, n->stride[0])) {
        snprintf(buf, size, " /%lld", (long long)n->stride[0]);
    } else {
        size_t at = (size_t)snprintf(buf, size, " /%lld", (long long)n->stride[0]);
        for (int i = 1; i < n->axes && at < size; i++) {
            at += (size_t)snprintf(buf + at, size - at, "×%lld", (long long)n->stride[i]);
        }
    }
}

/* The first line of a box: what it is, as papers write it. */
static const char *make_title(cvi_arch *a, const cvi_arch_node *n) {
    char window[80] = "", stride[64] = "", units[40] = "", extra[64] = "";
    if (n->windowed) {
        window_text(n, window, sizeof window);
        stride_text(n, stride, sizeof stride);
        if (differs(n->dilation, n->axes, 1) && n->dilation[0] > 0) {
            snprintf(extra, sizeof extra, " d%lld", (long long)n->dilation[0]);
        }
        if (n->groups > 1 && n->cls != CVI_CLASS_DEPTHWISE) {
            size_t at = strlen(extra);
            snprintf(extra + at, sizeof extra - at, " g%lld", (long long)n->groups);
        }
    }
    if (n->units > 0 && n->cls != CVI_CLASS_POOL) {
        snprintf(units, sizeof units, n->windowed ? ", %lld" : " %lld", (long long)n->units);
    }
    return cvi_arena_printf(a->arena, "%s%s%s%s%s%s", window, window[0] ? " " : "", n->word, units, stride,
                            extra);
}

cvs_status cvi_arch_finish(cvi_arch *a, cvs_error *err) {
    if (!index_edges(a)) {
        return cvi_no_memory(err, (size_t)a->n_edges * sizeof(int));
    }
    if (!is_sorted(a)) {
        CVI_TRY(reorder(a, err));
    }
    if (a->n_edges > 0) {
        qsort(a->edges, (size_t)a->n_edges, sizeof *a->edges, by_target);
    }
    if (!index_edges(a)) {
        return cvi_no_memory(err, (size_t)a->n_edges * sizeof(int));
    }
    for (int i = 0; i < a->n_nodes; i++) {
        cvi_arch_node *n = &a->nodes[i];
        n->word = n->word != NULL ? n->word : "";
        n->name = n->name != NULL ? n->name : "";
        n->op = n->op != NULL ? n->op : "";
        if (n->title == NULL && (n->title = make_title(a, n)) == NULL) {
            return cvi_no_memory(err, 64);
        }
    }
    sum_up(a);
    return CVS_OK;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

int cvi_arch_n_inputs(const cvi_arch *a, int node) {
    return a->edge_at[node + 1] - a->edge_at[node];
}

int cvi_arch_main_path(const cvi_arch *a, int *path) {
    size_t n = (size_t)CVI_MAX(a->n_nodes, 1);
    double *best = cvi_calloc(n, sizeof *best);
    int *before = cvi_calloc(n, sizeof *before), count = -1, end = -1;
    if (best != NULL && before != NULL) {
        for (int i = 0; i < a->n_nodes; i++) {
            before[i] = -1;
            for (int k = a->edge_at[i]; k < a->edge_at[i + 1]; k++) {
                int from = a->edges[k].from;
                if (before[i] < 0 || best[from] > best[before[i]]) {
                    before[i] = from;
                }
            }
            best[i] = (before[i] >= 0 ? best[before[i]] : 0.0) + (double)a->nodes[i].macs + 1.0;
            bool last = a->users_at[i] == a->users_at[i + 1] || a->nodes[i].is_output;
            end = last && (end < 0 || best[i] > best[end]) ? i : end;
        }
        count = 0;
        for (int i = end; i >= 0; i = before[i]) {
            path[count++] = i;
        }
        for (int i = 0; i < count / 2; i++) {
            int t = path[i];
            path[i] = path[count - 1 - i];
            path[count - 1 - i] = t;
        }
    }
    cvi_free(best);
    cvi_free(before);
    return count;
}

int64_t cvi_shape_height(const cvi_shape *s) {
    return s->rank < 0 ? -1 : s->rank >= 4 ? s->dim[s->rank - 2] : 1;
}

int64_t cvi_shape_width(const cvi_shape *s) {
    return s->rank < 0 ? -1 : s->rank >= 3 ? s->dim[s->rank - 1] : 1;
}

int64_t cvi_shape_channels(const cvi_shape *s) {
    return s->rank < 0 ? -1 : s->rank >= 2 ? s->dim[1] : s->rank == 1 ? s->dim[0] : 1;
}

bool cvi_shape_equal(const cvi_shape *a, const cvi_shape *b) {
    return a->rank == b->rank &&
           (a->rank <= 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0);
}

const char *cvi_shape_short(const cvi_shape *s, char *buf, size_t size) {
    size_t at = 0;
    int first = s->rank >= 2 ? 1 : 0;
    if (s->rank < 0) {
        snprintf(buf, size, "?");
        return buf;
    }
    buf[0] = '\0';
    for (int i = first; i < s->rank && at + 24 < size; i++) {
        at += (size_t)snprintf(buf + at, size - at, s->dim[i] < 0 ? "%s?" : "%s%lld", i > first ? "×" : "",
                               (long long)s->dim[i]);
    }
    if (s->rank == 0) {
        snprintf(buf, size, "1");
    }
    return buf;
}

cvi_number cvi_short_number(double v) {
    static const char *const unit[] = {"", " k", " M", " G", " T", " P"};
    cvi_number n;
    int u = 0;
    while (v >= 999.5 && u + 1 < CVI_COUNT(unit)) {
        v /= 1000.0;
        u++;
    }
    snprintf(n.text, sizeof n.text,
             u == 0 || v >= 99.95 ? "%.0f%s"
             : v >= 9.995         ? "%.1f%s"
                                  : "%.2f%s",
             v, unit[u]);
    return n;
}

cvi_number cvi_short_bytes(int64_t v) {
    static const char *const unit[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    cvi_number n;
    double x = (double)v;
    int u = 0;
    while (x >= 1023.5 && u + 1 < CVI_COUNT(unit)) {
        x /= 1024.0;
        u++;
    }
    snprintf(n.text, sizeof n.text,
             u == 0 || x >= 99.95 ? "%.0f%s"
             : x >= 9.995         ? "%.1f%s"
                                  : "%.2f%s",
             x, unit[u]);
    return n;
}
