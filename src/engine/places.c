/* SPDX-License-Identifier: MIT
 * places.c - places in the block of memory. Where every value is kept each form gets a place of its own; where only the answer
 * is asked for, a form's place is free again after the last step that reads the value, so that a pass works in little memory
 * that stays in the caches. Largest first, each at the lowest offset that is free during its whole life.
 */
#include <stdlib.h>

#include "engine/plan.h"

/* A form of a value that needs a place from step `birth` to step `death`, both included. */
struct cvi_request {
    int value, birth, death;
    cvs_layout form;
    int64_t bytes, at;
    int heir; /* the request that begins in the same place when this one ends, -1 = none */
    bool inherits;
};

cvs_status cvi_memory_place(cvi_exec *x, int v, cvs_layout form, int birth, cvs_error *err) {
    cvi_slot *slot = &x->slots[v];
    int64_t bytes = 0;
    if (!cvi_form_bytes(&slot->shape, form, &bytes)) {
        bytes = INT64_MAX;
    }
    slot->made[form] = true;
    if (slot->into >= 0) {
        return CVS_OK; /* lies inside another value */
    }
    if (slot->part >= 0) {
        bytes = bytes / slot->shape.dim[0] * x->parts[slot->part].samples;
    }
    if (x->options.keep != CVI_KEEP_ANSWER || slot->constant || bytes == 0 || bytes > x->max_bytes) {
        return cvi_exec_reserve(x, bytes, &slot->form[form].at, err);
    }
    if (x->n_requests == x->max_requests) {
        int more = x->max_requests * 2 + 64;
        struct cvi_request *grown =
            cvi_realloc(x->requests, (size_t)x->max_requests * sizeof *grown, (size_t)more * sizeof *grown);
        if (!grown) {
            return cvi_no_memory(err, (size_t)more * sizeof *grown);
        }
        x->requests = grown;
        x->max_requests = more;
    }
    x->requests[x->n_requests++] = (struct cvi_request){
        .value = v, .birth = birth, .form = form, .bytes = (bytes + 63) / 64 * 64, .at = -1, .heir = -1};
    return CVS_OK;
}

/* ---- lives ------------------------------------------------------------------------------------------------- */

typedef struct lives {
    const cvi_exec *x;
    int *root;  /* per value: whose memory a view shows */
    int *death; /* per root: the last step that reads it */
    int step;
} lives;

static bool read_at(void *context, int v) {
    lives *l = context;
    const cvi_exec *x = l->x;
    int root = l->root[v], part = l->step < x->g->n_nodes ? x->steps[l->step].part : -1;
    /* what a run of parts reads from outside it needs to the end of the last part */
    int step = part >= 0 && x->slots[root].part < 0 ? x->parts[part].last : l->step;
    l->death[root] = CVI_MAX(l->death[root], step);
    return false;
}

/* The step at which node n really runs. */
static int step_of(const cvi_exec *x, int n) {
    int g = x->steps[n].group, chain = x->steps[n].chain;
    return chain >= 0 ? x->chains[chain].last : g < 0 ? n : x->groups[g].node[x->groups[g].n - 1];
}

static void find_lives(lives *l) {
    const cvi_exec *x = l->x;
    int forever = x->g->n_nodes;
    for (int v = 0; v < x->g->n_values; v++) {
        l->root[v] = v;
        l->death[v] = -1;
    }
    for (int n = 0; n < x->g->n_nodes; n++) {
        const cvi_node *node = &x->g->nodes[n];
        if (x->steps[n].kind == CVI_STEP_VIEW) {
            l->root[node->out[0]] = l->root[node->in[0]];
        }
        l->step = x->steps[n].late ? forever : step_of(x, n); /* a late step may turn out to be a view */
        cvi_plan_reads(x, n, read_at, l);
    }
    for (int v = 0; v < x->g->n_values; v++) {
        if (x->slots[v].keep) {
            l->death[l->root[v]] = forever;
        }
    }
}

static struct cvi_request *request_of(const cvi_exec *x, int v, cvs_layout form) {
    for (int i = x->n_requests - 1; i >= 0; i--) {
        if (x->requests[i].value == v && x->requests[i].form == form) {
            return &x->requests[i];
        }
    }
    return NULL;
}

/* A group's output may be written over its residual, where nobody needs that any more and the head does not read it. */
static void inherit(cvi_exec *x, const lives *l) {
    for (int i = 0; i < x->n_groups; i++) {
        const cvi_group *group = &x->groups[i];
        int head = group->node[0], last = group->node[group->n - 1], r = group->residual;
        if (r < 0 || x->steps[last].chain >= 0 ||
            (x->steps[last].part >= 0 && (x->slots[r].part < 0 || x->slots[group->out].part < 0)) ||
            !(x->g->nodes[head].def->epilogue & CVI_EPI_OVER) || l->root[r] != r || l->death[r] != last) {
            continue;
        }
        const cvi_node *node = &x->g->nodes[head];
        bool read = false;
        for (int k = 0; k < node->n_in; k++) {
            read = read || (node->in[k] >= 0 && l->root[node->in[k]] == r);
        }
        cvs_layout form = cvi_step_writes(x, head, &x->slots[group->out].shape);
        struct cvi_request *from = request_of(x, r, form), *to = request_of(x, group->out, form);
        if (!read && from && to && from->bytes == to->bytes && from->birth < last) {
            from->heir = (int)(to - x->requests);
            to->inherits = true;
        }
    }
}

/* ---- places ------------------------------------------------------------------------------------------------ */

static bool overlap_in_time(const struct cvi_request *a, const struct cvi_request *b) {
    return a->birth <= b->death && b->birth <= a->death;
}

/* The lowest offset where `r` fits between the first n requests of `order`, which have places; those are sorted by offset. */
static int64_t lowest_free(const cvi_exec *x, const int *order, int n, const struct cvi_request *r,
                           int64_t base) {
    int64_t at = base;
    for (int i = 0; i < n; i++) {
        const struct cvi_request *o = &x->requests[order[i]];
        if (overlap_in_time(o, r) && o->at < at + r->bytes && at < o->at + o->bytes) {
            at = o->at + o->bytes;
        }
    }
    return at;
}

static void insert_by_offset(const cvi_exec *x, int *order, int n, int request) {
    while (n > 0 && x->requests[order[n - 1]].at > x->requests[request].at) {
        order[n] = order[n - 1];
        n--;
    }
    order[n] = request;
}

typedef struct by_size {
    int64_t bytes;
    int request;
} by_size;

/* The largest first, then by number, so that plans do not depend on chance. */
static int larger(const void *a, const void *b) {
    const by_size *p = a, *q = b;
    return p->bytes != q->bytes ? (p->bytes < q->bytes) - (p->bytes > q->bytes)
                                : (p->request > q->request) - (p->request < q->request);
}

static cvs_status assign(cvi_exec *x, int *order, by_size *sizes, cvs_error *err) {
    int64_t base = x->block_bytes, end = base;
    int n = 0;
    for (int i = 0; i < x->n_requests; i++) {
        sizes[i] = (by_size){x->requests[i].bytes, i};
    }
    qsort(sizes, (size_t)x->n_requests, sizeof *sizes, larger);
    for (int k = 0; k < x->n_requests; k++) {
        int i = sizes[k].request;
        struct cvi_request *r = &x->requests[i];
        if (r->at >= 0 || r->inherits) { /* an heir has the place of whom it inherits from */
            continue;
        }
        r->at = lowest_free(x, order, n, r, base);
        end = CVI_MAX(end, r->at + r->bytes);
        insert_by_offset(x, order, n++, i);
        for (int h = r->heir; h >= 0; h = x->requests[h].heir) {
            x->requests[h].at = r->at;
        }
    }
    for (int i = 0; i < x->n_requests; i++) {
        const struct cvi_request *r = &x->requests[i];
        x->slots[r->value].form[r->form].at = r->at;
    }
    int64_t at;
    return cvi_exec_reserve(x, end - base, &at, err);
}

cvs_status cvi_memory_assign(cvi_exec *x, cvs_error *err) {
    size_t values = (size_t)CVI_MAX(x->g->n_values, 1), requests = (size_t)CVI_MAX(x->n_requests, 1);
    lives l = {
        .x = x, .root = cvi_calloc(values, sizeof *l.root), .death = cvi_calloc(values, sizeof *l.death)};
    int *order = cvi_calloc(requests, sizeof *order);
    by_size *sizes = cvi_calloc(requests, sizeof *sizes);
    cvs_status s = l.root && l.death && order && sizes ? CVS_OK : cvi_no_memory(err, values * sizeof *l.root);
    if (s == CVS_OK && x->options.keep == CVI_KEEP_ANSWER) {
        find_lives(&l);
        for (int v = 0; v < x->g->n_values; v++) {
            x->slots[v].shared = !x->slots[v].constant && l.death[l.root[v]] < x->g->n_nodes;
        }
        for (int i = 0; i < x->n_requests; i++) {
            struct cvi_request *r = &x->requests[i];
            int part = x->steps[r->birth].part;
            r->death = CVI_MAX(r->birth, l.death[l.root[r->value]]);
            if (part >= 0 && x->slots[r->value].part < 0) { /* made piece by piece */
                r->birth = x->parts[part].first;
                r->death = CVI_MAX(r->death, x->parts[part].last);
            }
        }
        inherit(x, &l);
        for (int i = x->n_requests - 1; i >= 0;
             i--) { /* an estate lives as long as its last heir; heirs come later */
            struct cvi_request *r = &x->requests[i];
            if (r->heir >= 0) {
                r->death = CVI_MAX(r->death, x->requests[r->heir].death);
            }
        }
        s = assign(x, order, sizes, err);
    }
    cvi_free(l.root);
    cvi_free(l.death);
    cvi_free(order);
    cvi_free(sizes);
    cvi_free(x->requests);
    x->requests = NULL;
    return s;
}

void cvi_memory_forget(cvi_exec *x) {
    for (int v = 0; v < x->g->n_values; v++) {
        if (x->slots[v].shared && !x->slots[v].constant) {
            bool input = x->g->values[v].producer < 0; /* the caller's own memory stays */
            x->slots[v].form[CVS_PLAIN].ready = input && x->slots[v].form[CVS_PLAIN].ready;
            x->slots[v].form[CVS_NHWC8].ready = false;
        }
    }
}
