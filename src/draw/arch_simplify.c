/* SPDX-License-Identifier: MIT
 * arch_simplify.c - fewer boxes for the same network: what computes nothing goes, normalisation and activation become strips
 * of the box they follow (or, before a convolution, lead), reshapes become ticks. Numbers move with what is merged.
 */
#include "draw/arch.h"
#include "ops/op.h"

typedef struct merger {
    cvi_arch *a;
    int *into; /* box that a node became part of; itself while it stands alone */
    int *tail; /* of a standing box: the node whose output leaves it */
    const cvs_draw_options *o;
} merger;

static int find(const merger *m, int i) {
    while (m->into[i] != i) {
        i = m->into[i];
    }
    return i;
}

/* The standing box that node i reads when it reads exactly one, else -1. */
static int only_input(const merger *m, int i) {
    const cvi_arch *a = m->a;
    int from = -1;
    for (int k = a->edge_at[i]; k < a->edge_at[i + 1]; k++) {
        int f = find(m, a->edges[k].from);
        if (from >= 0 && f != from) {
            return -1;
        }
        from = f;
    }
    return from;
}

/* Whether everybody who reads what leaves box `b` is node i (or merged with it). */
static bool only_user(const merger *m, int b, int i) {
    const cvi_arch *a = m->a;
    int t = m->tail[b];
    for (int k = a->users_at[t]; k < a->users_at[t + 1]; k++) {
        if (find(m, a->edges[a->users[k]].to) != find(m, i)) {
            return false;
        }
    }
    return a->users_at[t + 1] > a->users_at[t];
}

static void add_strip(cvi_arch_node *into, const cvi_arch_node *from, bool head, const char *word) {
    if (into->n_strips >= CVI_MAX_STRIPS) {
        return;
    }
    int at = head ? into->n_heads : into->n_strips;
    memmove(&into->strip[at + 1], &into->strip[at], (size_t)(into->n_strips - at) * sizeof *into->strip);
    into->strip[at] = (cvi_strip){from->cls, word, from->name};
    into->n_strips++;
    into->n_heads += head;
}

static int64_t plus(int64_t a, int64_t b) {
    int64_t sum = INT64_MAX;
    return cvi_add(a, b, &sum) ? sum : INT64_MAX;
}

/* Adds the numbers and members of b to box a. */
static bool merge_numbers(cvi_arch *arch, cvi_arch_node *a, const cvi_arch_node *b) {
    a->params = plus(a->params, b->params);
    a->trainable = plus(a->trainable, b->trainable);
    a->macs = plus(a->macs, b->macs);
    a->flops = plus(a->flops, b->flops);
    a->bytes = plus(a->bytes, b->bytes);
    a->weight_bytes = plus(a->weight_bytes, b->weight_bytes);
    a->live_bytes = CVI_MAX(a->live_bytes, b->live_bytes);
    a->is_output = a->is_output || b->is_output;
    int n = a->n_members + b->n_members;
    int *members = n > 0 ? cvi_arena_alloc(arch->arena, n, sizeof *members) : NULL;
    if (n == 0 || members == NULL) {
        return n == 0;
    }
    for (int i = 0; i < n; i++) {
        members[i] = i < a->n_members ? a->members[i] : b->members[i - a->n_members];
    }
    for (int i = a->n_members; i < n; i++) { /* kept in order */
        for (int k = i; k > 0 && members[k - 1] > members[k]; k--) {
            int t = members[k];
            members[k] = members[k - 1];
            members[k - 1] = t;
        }
    }
    a->members = members;
    a->n_members = n;
    return true;
}

/* Node i follows box b and becomes part of it. word NULL: without a trace. */
static bool absorb(merger *m, int b, int i, const char *word) {
    cvi_arch_node *box = &m->a->nodes[b], *n = &m->a->nodes[i];
    if (word != NULL) {
        for (int k = 0; k < n->n_heads; k++) {
            add_strip(box, n, false, n->strip[k].word);
        }
        add_strip(box, n, false, word);
        for (int k = n->n_heads; k < n->n_strips; k++) {
            cvi_arch_node part = *n;
            part.cls = n->strip[k].cls;
            add_strip(box, &part, false, n->strip[k].word);
        }
    }
    box->out = n->out;
    if (n->has_field || !box->has_field) {
        box->has_field = n->has_field;
        memcpy(box->field, n->field, sizeof box->field);
        memcpy(box->jump, n->jump, sizeof box->jump);
    }
    m->into[i] = b;
    m->tail[b] = m->tail[i];
    return merge_numbers(m->a, box, n);
}

/* Box h leads into box b, its only reader, and becomes the beginning of it. */
static bool absorb_head(merger *m, int h, int b) {
    cvi_arch_node *box = &m->a->nodes[b], *head = &m->a->nodes[h];
    add_strip(box, head, true, head->word);
    for (int k = head->n_heads; k < head->n_strips; k++) {
        cvi_arch_node part = *head;
        part.cls = head->strip[k].cls;
        add_strip(box, &part, true, head->strip[k].word);
    }
    box->in = head->in;
    m->into[h] = b;
    return merge_numbers(m->a, box, head);
}

/* ---- what may merge ------------------------------------------------------------------------------------------------ */

static bool has_weights(const cvi_arch_node *n) {
    return n->kind == CVI_NODE_LAYER &&
           (n->cls == CVI_CLASS_CONV || n->cls == CVI_CLASS_DEPTHWISE || n->cls == CVI_CLASS_DENSE ||
            (n->cls == CVI_CLASS_UPSAMPLE && n->params > 0));
}

static bool is_small(const cvi_arch_node *n) {
    bool cast = n->cls == CVI_CLASS_SHAPE && (n->op_flags & CVI_OP_POINTWISE) != 0;
    bool join_of_one = n->kind == CVI_NODE_LAYER && n->cls == CVI_CLASS_CONCAT;
    return n->known && ((n->op_flags & CVI_OP_IDENTITY) || cast || join_of_one) && n->params == 0;
}

static bool is_activation(const cvi_arch_node *n) {
    return n->kind == CVI_NODE_LAYER && n->known && (n->op_flags & CVI_OP_POINTWISE) &&
           !(n->op_flags & CVI_OP_IDENTITY) &&
           (n->cls == CVI_CLASS_ACTIVATION || n->cls == CVI_CLASS_SOFTMAX);
}

/* A sum or product with constants: a bias, or the scale that Caffe writes behind its normalisation. */
static bool is_affine(const cvi_arch_node *n) {
    return n->kind == CVI_NODE_LAYER && (n->cls == CVI_CLASS_ADD || n->cls == CVI_CLASS_MUL) && n->params > 0;
}

static bool ends_in(const cvi_arch_node *n, cvi_class cls) {
    return n->n_strips > n->n_heads && n->strip[n->n_strips - 1].cls == cls;
}

/* x · f(x): node i multiplies what box b gives with an activation of the same. Returns the activation's node, or -1. */
static int gate_of(const merger *m, int i, int *box) {
    const cvi_arch *a = m->a;
    if (a->nodes[i].kind != CVI_NODE_MUL || cvi_arch_n_inputs(a, i) != 2) {
        return -1;
    }
    for (int k = 0; k < 2; k++) {
        int f = a->edges[a->edge_at[i] + k].from, other = a->edges[a->edge_at[i] + 1 - k].from;
        if (find(m, f) == f && is_activation(&a->nodes[f]) && cvi_arch_n_inputs(a, f) == 1 &&
            a->users_at[f + 1] - a->users_at[f] == 1 &&
            find(m, a->edges[a->edge_at[f]].from) == find(m, other) && find(m, other) != f) {
            *box = find(m, other);
            return f;
        }
    }
    return -1;
}

static bool merge_gate(merger *m, int i) {
    int box = -1, gate = gate_of(m, i, &box);
    cvi_arch_node *b = box >= 0 ? &m->a->nodes[box] : NULL;
    if (gate < 0 || b->kind == CVI_NODE_INPUT || b->is_output) {
        return true;
    }
    const char *word = cvi_arena_printf(m->a->arena, "x·%s", m->a->nodes[gate].word);
    if (word == NULL || !absorb(m, box, gate, NULL)) {
        return false;
    }
    m->a->nodes[i].cls = CVI_CLASS_ACTIVATION;
    return absorb(m, box, i, word);
}

/* One node after what it reads. */
static bool merge_tail(merger *m, int i) {
    cvi_arch_node *n = &m->a->nodes[i];
    int from = only_input(m, i);
    if (from < 0) {
        return merge_gate(m, i);
    }
    cvi_arch_node *b = &m->a->nodes[from];
    if (!m->o->keep_small && is_small(n)) {
        return absorb(m, from, i, NULL);
    }
    if (m->o->no_fuse || b->is_output || !only_user(m, from, i)) {
        return true;
    }
    if (has_weights(b) && n->kind == CVI_NODE_LAYER && n->cls == CVI_CLASS_NORM) {
        return absorb(m, from, i, n->word);
    }
    if (is_affine(n) && (has_weights(b) || b->cls == CVI_CLASS_NORM)) {
        bool silent = n->cls == CVI_CLASS_ADD || ends_in(b, CVI_CLASS_NORM) || b->cls == CVI_CLASS_NORM;
        return absorb(m, from, i, silent ? NULL : n->word);
    }
    if (is_activation(n) && b->kind != CVI_NODE_INPUT) {
        return absorb(m, from, i, n->word);
    }
    if ((n->op_flags & CVI_OP_RESHAPE) && n->params == 0) {
        return absorb(m, from, i, n->word);
    }
    return true;
}

/* Normalisation (with its activation), padding or a transposition in front of the only box that reads it. */
static bool merge_head(merger *m, int i) {
    cvi_arch_node *n = &m->a->nodes[i];
    int h = only_input(m, i);
    if (h < 0 || m->o->no_fuse || find(m, i) != i) {
        return true;
    }
    cvi_arch_node *head = &m->a->nodes[h];
    bool pads = head->cls == CVI_CLASS_SHAPE && head->kind == CVI_NODE_LAYER && n->windowed &&
                (has_weights(n) || n->cls == CVI_CLASS_POOL);
    bool norms = head->cls == CVI_CLASS_NORM && head->kind == CVI_NODE_LAYER && has_weights(n);
    if (!(pads || norms) || head->is_output || !head->known || !only_user(m, h, i) ||
        cvi_arch_n_inputs(m->a, h) != 1) {
        return true;
    }
    return absorb_head(m, h, i);
}

/* ---- all -------------------------------------------------------------------------------------------------------------- */

static cvs_status rebuild(merger *m, cvs_error *err) {
    cvi_arch *a = m->a;
    int n = 0, e = 0;
    for (int i = 0; i < a->n_edges; i++) {
        cvi_arch_edge edge = a->edges[i];
        edge.from = find(m, edge.from);
        edge.to = find(m, edge.to);
        if (edge.from != edge.to) {
            a->edges[e++] = edge;
        }
    }
    a->n_edges = e;
    for (int i = 0; i < a->n_nodes; i++) { /* tail now holds the new index of what stands */
        m->tail[i] = m->into[i] == i ? n++ : -1;
    }
    for (int i = 0; i < a->n_edges; i++) {
        a->edges[i].from = m->tail[a->edges[i].from];
        a->edges[i].to = m->tail[a->edges[i].to];
    }
    for (int i = 0; i < a->n_nodes; i++) {
        if (m->tail[i] >= 0) {
            a->nodes[m->tail[i]] = a->nodes[i];
        }
    }
    a->n_nodes = n;
    return cvi_arch_finish(a, err);
}

cvs_status cvi_arch_simplify(cvi_arch *a, const cvs_draw_options *o, cvs_error *err) {
    size_t n = (size_t)CVI_MAX(a->n_nodes, 1);
    merger m = {.a = a, .o = o, .into = cvi_calloc(n, sizeof(int)), .tail = cvi_calloc(n, sizeof(int))};
    bool ok = m.into != NULL && m.tail != NULL;
    cvs_status s = CVS_OK;
    for (int i = 0; ok && i < a->n_nodes; i++) {
        m.into[i] = m.tail[i] = i;
    }
    for (int i = 0; ok && i < a->n_nodes; i++) {
        ok = merge_tail(&m, i);
    }
    for (int i = 0; ok && i < a->n_nodes; i++) {
        ok = merge_head(&m, i);
    }
    s = ok ? rebuild(&m, err) : cvi_no_memory(err, n * sizeof(int));
    cvi_free(m.into);
    cvi_free(m.tail);
    return s;
}
