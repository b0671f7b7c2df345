/* SPDX-License-Identifier: MIT
 * back_plan.c - plans a backward pass: walks the nodes between seeds and wanted values from the last one to the first, as the
 * pass will, and notes for every gradient who writes it first, who adds to it, and when nobody needs it any more.
 */
#include "engine/back.h"
#include "tensor/list.h"

typedef struct planner {
    cvi_exec *x;
    cvi_back_plan *p;
    bool *wants;         /* per value: its gradient is wanted or leads to one that is */
    bool *wanted;        /* per value: asked for itself, so it must stay */
    bool *want_in;       /* of the node at hand: per input */
    cvi_back_form *fast; /* per node */
    bool *is_fast;
    bool failed; /* out of memory */
} planner;

/* ---- lists ------------------------------------------------------------------------------------------------ */

static int grow(planner *m, cvi_back_list *l, size_t size, int n) {
    if (l->count + n > l->room) {
        int room = CVI_MAX(2 * l->room, l->count + n + 32);
        void *more = cvi_realloc(l->data, (size_t)l->room * size, (size_t)room * size);
        if (!more) {
            m->failed = true;
            return -1;
        }
        l->data = more;
        l->room = room;
    }
    l->count += n;
    return l->count - n;
}

static int add_step(planner *m, cvi_back_step step) {
    int at = grow(m, &m->p->steps, sizeof step, 1);
    if (at >= 0) {
        cvi_back_steps(m->p)[at] = step;
    }
    return at;
}

/* A buffer for the gradient of v in a form, used by one; its life begins with the next step. */
static int add_buffer(planner *m, int v, cvs_layout form) {
    cvs_tensor t;
    int at = grow(m, &m->p->buffers, sizeof(cvi_back_buffer), 1);
    if (at >= 0) {
        (void)cvi_back_tensor(m->x, v, form, &t);
        cvi_back_buffers(m->p)[at] =
            (cvi_back_buffer){.bytes = (int64_t)t.bytes, .birth = m->p->steps.count, .death = -1, .users = 1};
    }
    return at;
}

/* One user less; the last one was the step before the next. */
static void release(planner *m, int buffer) {
    if (buffer >= 0 && !m->failed) {
        cvi_back_buffer *b = &cvi_back_buffers(m->p)[buffer];
        b->users--;
        b->death = m->p->steps.count - 1;
    }
}

static void share(planner *m, int buffer) {
    if (buffer >= 0 && !m->failed) {
        cvi_back_buffers(m->p)[buffer].users++;
    }
}

static bool alone(const planner *m, int buffer) {
    return !m->failed && cvi_back_buffers(m->p)[buffer].users == 1;
}

/* ---- forms ------------------------------------------------------------------------------------------------ */

static bool is_float(cvs_dtype t) {
    return t == CVS_F32 || t == CVS_F64 || t == CVS_F16 || t == CVS_BF16;
}

bool cvi_back_tensor(const cvi_exec *x, int v, cvs_layout form, cvs_tensor *t) {
    int64_t bytes = 0;
    *t = x->slots[v].shape;
    t->dtype = t->dtype == CVS_F64 ? CVS_F64 : CVS_F32;
    t->layout = form;
    t->data = NULL;
    bool fits = cvi_form_bytes(t, form, &bytes);
    t->bytes = fits ? (size_t)bytes : 0;
    return fits;
}

cvs_layout cvi_back_node_form(const cvi_exec *x, int n, int v, cvi_role role) {
    const cvs_tensor *t = &x->slots[v].shape;
    bool pixels = x->g->nodes[n].def->fast_layout == CVS_NHWC8 && role == CVI_DATA && t->rank == 4 &&
                  t->dtype == CVS_F32;
    return pixels ? CVS_NHWC8 : CVS_PLAIN;
}

static cvs_layout form_of(const planner *m, int v) {
    return (cvs_layout)m->p->form[v];
}

/* ---- which nodes ------------------------------------------------------------------------------------------ */

static bool wants_input(const planner *m, const cvi_node *node, int k) {
    int v = node->in[k];
    return v >= 0 && m->wants[v] && (!node->def || cvi_op_role(node->def, k) != CVI_SHAPE);
}

/* A value wants a gradient when it is asked for or lies downstream of one that is. Whole numbers pass none on. */
static void mark_wants(planner *m) {
    const cvi_exec *x = m->x;
    for (int n = 0; n < x->g->n_nodes; n++) {
        const cvi_node *node = &x->g->nodes[n];
        bool any = false;
        for (int k = 0; k < node->n_in; k++) {
            any = any || wants_input(m, node, k);
        }
        for (int k = 0; k < node->n_out && any; k++) {
            const cvi_slot *slot = node->out[k] >= 0 ? &x->slots[node->out[k]] : NULL;
            /* No operator passes a gradient through a list: wanting one says so, where leaving it out would be a blank map. */
            if (slot && slot->known && (is_float(slot->shape.dtype) || slot->shape.dtype == CVI_LIST)) {
                m->wants[node->out[k]] = true;
            }
        }
    }
}

/* Marks the nodes on a path (in is_fast: true there, for now) and the values that will have a gradient. */
static void mark_path(planner *m, bool *has) {
    const cvi_graph *g = m->x->g;
    for (int n = g->n_nodes - 1; n >= 0; n--) {
        const cvi_node *node = &g->nodes[n];
        bool from = false, to = false;
        for (int k = 0; k < node->n_out; k++) {
            from = from || (node->out[k] >= 0 && has[node->out[k]]);
        }
        for (int k = 0; k < node->n_in; k++) {
            to = to || wants_input(m, node, k);
        }
        m->is_fast[n] = from && to;
        for (int k = 0; k < node->n_in && from && to; k++) {
            if (wants_input(m, node, k)) {
                has[node->in[k]] = true;
            }
        }
    }
}

static void want_inputs(planner *m, const cvi_node *node) {
    for (int k = 0; k < node->n_in; k++) {
        m->want_in[k] = wants_input(m, node, k);
    }
}

/* Asks an operator on the path whether its fast form fits, and gives the values around it its form. */
static cvs_status choose_form(planner *m, int n, cvs_error *err) {
    cvi_exec *x = m->x;
    const cvi_node *node = &x->g->nodes[n];
    const cvi_step *step = &x->steps[n];
    bool can =
        !m->p->plain_only && step->kind == CVI_STEP_RUN && step->fast && node->def && node->def->back_form;
    if (can) {
        want_inputs(m, node);
        CVI_TRY(cvi_call_fill(x, n, &x->call, CVI_IN_CONSTANTS, err));
        can = node->def->back_form(&x->call.ctx, m->want_in, &m->fast[n]);
        cvi_arena_reset(x->scratch);
    }
    m->is_fast[n] = can;
    for (int k = 0; k < node->n_in + node->n_out && can; k++) {
        bool in = k < node->n_in;
        int v = in ? node->in[k] : node->out[k - node->n_in];
        if (v >= 0 && x->slots[v].known &&
            cvi_back_node_form(x, n, v, in ? cvi_op_role(node->def, k) : CVI_DATA) == CVS_NHWC8) {
            m->p->form[v] = CVS_NHWC8;
        }
    }
    return CVS_OK;
}

/* ---- contributions ---------------------------------------------------------------------------------------- */

static void copy(planner *m, int v, int from, cvs_layout from_form, int to, cvs_layout form, int base) {
    add_step(m, (cvi_back_step){.kind = CVI_BACK_COPY,
                                .value = v,
                                .from = from,
                                .from_form = from_form,
                                .to = to,
                                .form = form,
                                .base = base});
}

/* Where a writer that can add puts its share of v's gradient, in v's form: into a new buffer, into what is there already, or
 * beside it where others still read that. The old buffer is released by the caller after the step. */
static cvi_back_part place_share(planner *m, int v, int *old) {
    int now = m->p->buffer[v];
    *old = -1;
    if (now < 0) {
        return (cvi_back_part){m->p->buffer[v] = add_buffer(m, v, form_of(m, v)), -1, 0};
    }
    if (alone(m, now)) {
        return (cvi_back_part){now, now, 0};
    }
    *old = now;
    return (cvi_back_part){m->p->buffer[v] = add_buffer(m, v, form_of(m, v)), now, 0};
}

/* The numbers of `buffer` (in a form, of a value with as many elements) are all or one share of v's gradient. */
static void pass_on(planner *m, int buffer, cvs_layout form, int from, int v) {
    cvs_layout home = form_of(m, v);
    bool same = form == home &&
                (form == CVS_PLAIN ||
                 memcmp(m->x->slots[from].shape.dim, m->x->slots[v].shape.dim, 4 * sizeof(int64_t)) == 0);
    if (same && m->p->buffer[v] < 0) {
        share(m, buffer);
        m->p->buffer[v] = buffer;
        return;
    }
    int made = buffer, old;
    share(m, made);
    if (!same && form != CVS_PLAIN) { /* to plain, by the shape that it has */
        int plain = add_buffer(m, from, CVS_PLAIN);
        copy(m, from, made, form, plain, CVS_PLAIN, -1);
        release(m, made);
        made = plain;
        form = CVS_PLAIN;
    }
    if (form != home) {
        int turned = add_buffer(m, v, home);
        copy(m, v, made, form, turned, home, -1);
        release(m, made);
        made = turned;
    }
    if (m->p->buffer[v] < 0) {
        m->p->buffer[v] = made;
        return;
    }
    cvi_back_part to = place_share(m, v, &old);
    copy(m, v, made, home, to.buffer, home, to.base);
    release(m, made);
    release(m, old);
}

/* ---- nodes ------------------------------------------------------------------------------------------------ */

static bool same_shape(const planner *m, int a, int b) {
    const cvs_tensor *s = &m->x->slots[a].shape, *t = &m->x->slots[b].shape;
    return s->rank == t->rank && memcmp(s->dim, t->dim, sizeof(int64_t) * (size_t)s->rank) == 0;
}

/* The gradient of output k in a form, -1 = zero; *made: it is a copy that must be released. */
static int read_output(planner *m, int v, cvs_layout form, bool *made) {
    *made = false;
    if (v < 0 || m->p->buffer[v] < 0) {
        return -1;
    }
    if (form_of(m, v) == form) {
        return m->p->buffer[v];
    }
    int turned = add_buffer(m, v, form);
    copy(m, v, m->p->buffer[v], form_of(m, v), turned, form, -1);
    *made = true;
    return turned;
}

static void plan_passes(planner *m, int n) {
    const cvi_node *node = &m->x->g->nodes[n];
    int out = node->out[0];
    for (int k = 0; k < node->n_in; k++) {
        if (wants_input(m, node, k)) {
            pass_on(m, m->p->buffer[out], form_of(m, out), out, node->in[k]);
        }
    }
}

static bool passes_all(const planner *m, int n) {
    const cvi_node *node = &m->x->g->nodes[n];
    bool all = m->is_fast[n] && m->fast[n].passes;
    for (int k = 0; k < node->n_in && all; k++) {
        all = !wants_input(m, node, k) || same_shape(m, node->in[k], node->out[0]);
    }
    return all;
}

/* A fast step writes values' gradients in its own form; where a value keeps another one, a copy follows. */
static void plan_fast(planner *m, int n, cvi_back_part *part, bool *made, int *old) {
    const cvi_node *node = &m->x->g->nodes[n];
    cvi_back_step step = {.kind = CVI_BACK_FAST, .node = n, .reads = m->fast[n]};
    for (int k = 0; k < node->n_out; k++) {
        int v = node->out[k];
        cvs_layout form = v < 0 ? CVS_PLAIN : cvi_back_node_form(m->x, n, v, CVI_DATA);
        part[k] = (cvi_back_part){read_output(m, v, form, &made[k]), -1, 0};
    }
    int n_wanted = 0;
    for (int k = 0; k < node->n_in; k++) {
        n_wanted += wants_input(m, node, k);
    }
    bool in_place = m->fast[n].in_place && node->n_out == 1 && n_wanted == 1 && !m->wanted[node->out[0]] &&
                    wants_input(m, node, 0) && m->p->buffer[node->in[0]] < 0 && !made[0] &&
                    alone(m, part[0].buffer) && form_of(m, node->in[0]) == form_of(m, node->out[0]) &&
                    same_shape(m, node->in[0], node->out[0]);
    for (int k = 0; k < node->n_in; k++) {
        cvi_back_part *to = &part[node->n_out + k];
        int v = node->in[k];
        *to = (cvi_back_part){-1, -1, 0};
        old[k] = -1;
        made[node->n_out + k] = false;
        if (!wants_input(m, node, k)) {
            continue;
        }
        cvs_layout form = cvi_back_node_form(m->x, n, v, cvi_op_role(node->def, k));
        if (k == 0 && in_place) {
            share(m, part[0].buffer);
            to->buffer = m->p->buffer[v] = part[0].buffer;
        } else if (form == form_of(m, v)) {
            *to = place_share(m, v, &old[k]);
        } else {
            to->buffer = add_buffer(m, v, form);
            made[node->n_out + k] = true;
        }
    }
    step.parts = grow(m, &m->p->parts, sizeof *part, node->n_in + node->n_out);
    if (step.parts >= 0) {
        memcpy(cvi_back_parts(m->p) + step.parts, part, sizeof *part * (size_t)(node->n_in + node->n_out));
    }
    add_step(m, step);
}

/* A plain step adds to plain memory: a value that keeps its gradient so is added to in place, else a copy follows. */
static void plan_plain(planner *m, int n, cvi_back_part *part, bool *made, int *old) {
    const cvi_node *node = &m->x->g->nodes[n];
    cvi_back_step step = {.kind = CVI_BACK_PLAIN, .node = n};
    for (int k = 0; k < node->n_out; k++) {
        part[k] = (cvi_back_part){read_output(m, node->out[k], CVS_PLAIN, &made[k]), -1, 0};
    }
    for (int k = 0; k < node->n_in; k++) {
        cvi_back_part *to = &part[node->n_out + k];
        int v = node->in[k];
        *to = (cvi_back_part){-1, -1, 0};
        old[k] = -1;
        made[node->n_out + k] = false;
        if (!wants_input(m, node, k)) {
            continue;
        }
        if (form_of(m, v) != CVS_PLAIN) {
            to->buffer = add_buffer(m, v, CVS_PLAIN);
            made[node->n_out + k] = true;
        } else {
            cvi_back_part there = place_share(m, v, &old[k]);
            to->buffer = there.buffer;
            if (there.base >= 0) {
                if (there.base != there.buffer) {
                    copy(m, v, there.base, CVS_PLAIN, there.buffer, CVS_PLAIN, -1);
                }
                continue;
            }
        }
        add_step(m, (cvi_back_step){.kind = CVI_BACK_CLEAR, .value = v, .to = to->buffer});
    }
    step.parts = grow(m, &m->p->parts, sizeof *part, node->n_in + node->n_out);
    if (step.parts >= 0) {
        memcpy(cvi_back_parts(m->p) + step.parts, part, sizeof *part * (size_t)(node->n_in + node->n_out));
    }
    add_step(m, step);
}

/* Copies that the node's step read are done with; shares in another form than the value's own are turned and added. */
static void finish_node(planner *m, int n, const cvi_back_part *part, const bool *made, const int *old) {
    const cvi_node *node = &m->x->g->nodes[n];
    for (int k = 0; k < node->n_out; k++) {
        if (made[k]) {
            release(m, part[k].buffer);
        }
    }
    for (int k = 0; k < node->n_in; k++) {
        release(m, old[k]);
    }
    for (int k = 0; k < node->n_in; k++) {
        if (made[node->n_out + k]) {
            int v = node->in[k];
            cvs_layout form = form_of(m, v) == CVS_PLAIN ? CVS_NHWC8 : CVS_PLAIN;
            pass_on(m, part[node->n_out + k].buffer, form, v, v);
            release(m, part[node->n_out + k].buffer);
        }
    }
}

static cvs_status plan_node(planner *m, int n, cvi_back_part *part, bool *made, int *old, cvs_error *err) {
    const cvi_node *node = &m->x->g->nodes[n];
    bool any = false;
    for (int k = 0; k < node->n_out; k++) {
        any = any || (node->out[k] >= 0 && m->p->buffer[node->out[k]] >= 0);
    }
    for (int k = 0; k < node->n_in && any; k++) {
        if (wants_input(m, node, k)) {
            break;
        }
        any = k + 1 < node->n_in;
    }
    if (!any) {
        return CVS_OK;
    }
    if (m->x->steps[n].kind == CVI_STEP_VIEW) {
        pass_on(m, m->p->buffer[node->out[0]], form_of(m, node->out[0]), node->out[0], node->in[0]);
    } else if (passes_all(m, n)) {
        plan_passes(m, n);
    } else if (m->is_fast[n] && node->def->back_fast) {
        plan_fast(m, n, part, made, old);
        finish_node(m, n, part, made, old);
    } else if (node->def && node->def->backward) {
        plan_plain(m, n, part, made, old);
        finish_node(m, n, part, made, old);
    } else {
        cvs_status s = cvi_fail(err, CVS_E_UNSUPPORTED,
                                "not differentiable here: operator %.60s has no gradient", node->op);
        return cvi_at_node(err, s, node->name, node->op);
    }
    for (int k = 0; k < node->n_out; k++) {
        int v = node->out[k];
        if (v >= 0 && m->p->buffer[v] >= 0 && !m->wanted[v]) {
            release(m, m->p->buffer[v]);
            m->p->buffer[v] = -1;
        }
    }
    return CVS_OK;
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

typedef struct hole {
    int64_t at, bytes;
} hole;

/* A place for `bytes` in the smallest hole that fits, else at the end. */
static int64_t take(hole *holes, int *n, int64_t bytes, int64_t *end) {
    int best = -1;
    for (int i = 0; i < *n; i++) {
        if (holes[i].bytes >= bytes && (best < 0 || holes[i].bytes < holes[best].bytes)) {
            best = i;
        }
    }
    if (best < 0 && *n > 0 && holes[*n - 1].at + holes[*n - 1].bytes == *end) { /* grow the last one */
        int64_t at = holes[--*n].at;
        *end = at + bytes;
        return at;
    }
    if (best < 0) {
        *end += bytes;
        return *end - bytes;
    }
    int64_t at = holes[best].at;
    holes[best].at += bytes;
    holes[best].bytes -= bytes;
    if (holes[best].bytes == 0) {
        memmove(holes + best, holes + best + 1, sizeof *holes * (size_t)(--*n - best));
    }
    return at;
}

/* Gives memory back; holes are kept in order and joined. */
static void give(hole *holes, int *n, int64_t at, int64_t bytes) {
    int i = 0;
    while (i < *n && holes[i].at < at) {
        i++;
    }
    memmove(holes + i + 1, holes + i, sizeof *holes * (size_t)(*n - i));
    holes[i] = (hole){at, bytes};
    ++*n;
    if (i + 1 < *n && at + bytes == holes[i + 1].at) {
        holes[i].bytes += holes[i + 1].bytes;
        memmove(holes + i + 1, holes + i + 2, sizeof *holes * (size_t)(--*n - i - 1));
    }
    if (i > 0 && holes[i - 1].at + holes[i - 1].bytes == holes[i].at) {
        holes[i - 1].bytes += holes[i].bytes;
        memmove(holes + i, holes + i + 1, sizeof *holes * (size_t)(--*n - i));
    }
}

/* Buffers are numbered in the order of their births. */
static cvs_status place_buffers(cvi_back_plan *p, cvs_error *err) {
    cvi_back_buffer *b = cvi_back_buffers(p);
    int n = 0, next = 0, count = p->buffers.count;
    hole *holes = cvi_calloc((size_t)count + 1, sizeof *holes);
    if (!holes) {
        return cvi_no_memory(err, (size_t)count * sizeof *holes);
    }
    for (int step = 0; step <= p->steps.count; step++) {
        for (; next < count && b[next].birth <= step; next++) {
            int64_t bytes = (CVI_MAX(b[next].bytes, 1) + 63) / 64 * 64;
            if (p->bytes > INT64_MAX / 2 - bytes) {
                cvi_free(holes);
                return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
            }
            b[next].at = take(holes, &n, bytes, &p->bytes);
        }
        for (int i = 0; i < next; i++) {
            if (b[i].death == step && b[i].users == 0) {
                give(holes, &n, b[i].at, (CVI_MAX(b[i].bytes, 1) + 63) / 64 * 64);
            }
        }
    }
    cvi_free(holes);
    return CVS_OK;
}

/* ---- all -------------------------------------------------------------------------------------------------- */

static cvs_status plan_seeds(planner *m, const int *seeds, int n_seeds, bool *has, cvs_error *err) {
    for (int i = 0; i < n_seeds; i++) {
        has[seeds[i]] = true;
    }
    mark_path(m, has);
    for (int n = 0; n < m->x->g->n_nodes; n++) {
        if (m->is_fast[n]) {
            CVI_TRY(choose_form(m, n, err));
        }
    }
    for (int v = 0; v < m->x->g->n_values; v++) {
        cvs_tensor t;
        if (has[v] && !cvi_back_tensor(m->x, v, form_of(m, v), &t)) {
            return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
        }
    }
    for (int i = 0; i < n_seeds; i++) {
        int buffer = add_buffer(m, seeds[i], CVS_PLAIN);
        add_step(m, (cvi_back_step){.kind = CVI_BACK_SEED, .node = i, .value = seeds[i], .to = buffer});
        pass_on(m, buffer, CVS_PLAIN, seeds[i], seeds[i]);
        release(m, buffer);
    }
    return CVS_OK;
}

static cvs_status plan_all(planner *m, const int *seeds, int n_seeds, bool *has, cvs_error *err) {
    const cvi_graph *g = m->x->g;
    CVI_TRY(plan_seeds(m, seeds, n_seeds, has, err));
    int widest = 1;
    for (int n = 0; n < g->n_nodes; n++) {
        widest = CVI_MAX(widest, g->nodes[n].n_in + g->nodes[n].n_out);
    }
    cvi_back_part *part = cvi_calloc((size_t)widest, sizeof *part);
    bool *made = cvi_calloc((size_t)widest, sizeof *made);
    int *old = cvi_calloc((size_t)widest, sizeof *old);
    cvs_status s = part && made && old ? CVS_OK : cvi_no_memory(err, (size_t)widest * sizeof *part);
    for (int n = g->n_nodes - 1; n >= 0 && s == CVS_OK && !m->failed; n--) {
        s = plan_node(m, n, part, made, old, err);
    }
    cvi_free(part);
    cvi_free(made);
    cvi_free(old);
    return s;
}

static cvs_status plan_wanted(planner *m, cvs_error *err) {
    cvi_back_plan *p = m->p;
    for (int i = 0; i < p->n_wanted && !m->failed; i++) {
        int v = p->key[p->n_seeds + i];
        if (p->buffer[v] < 0) { /* no way leads here */
            p->buffer[v] = add_buffer(m, v, form_of(m, v));
            add_step(m, (cvi_back_step){
                            .kind = CVI_BACK_CLEAR, .value = v, .to = p->buffer[v], .form = form_of(m, v)});
        }
    }
    if (m->failed) {
        return cvi_no_memory(err, (size_t)p->steps.room * sizeof(cvi_back_step));
    }
    cvi_back_fuse(m->x, p, m->wanted);
    return place_buffers(p, err);
}

void cvi_back_plan_free(cvi_back_plan *p) {
    if (!p) {
        return;
    }
    for (int i = 0; p->plain && i < p->n_wanted; i++) {
        cvi_free(p->plain[i]);
    }
    for (int i = 0; i < p->steps.count; i++) {
        cvi_free(cvi_back_steps(p)[i].factors);
    }
    cvi_free(p->key);
    cvi_free(p->steps.data);
    cvi_free(p->parts.data);
    cvi_free(p->buffers.data);
    cvi_free(p->buffer);
    cvi_free(p->form);
    cvi_free(p->plain);
    cvi_free(p->is_plain);
    cvi_free(p->owner);
    cvi_free(p);
}

static bool allocate(planner *m, int n_seeds, int n_wanted) {
    const cvi_graph *g = m->x->g;
    size_t values = (size_t)CVI_MAX(g->n_values, 1), nodes = (size_t)CVI_MAX(g->n_nodes, 1), widest = 1;
    for (int n = 0; n < g->n_nodes; n++) {
        widest = CVI_MAX(widest, (size_t)g->nodes[n].n_in);
    }
    cvi_back_plan *p = m->p = cvi_calloc(1, sizeof *p);
    if (!p) {
        return false;
    }
    p->n_seeds = n_seeds;
    p->n_wanted = n_wanted;
    p->key = cvi_calloc((size_t)(n_seeds + n_wanted) + 1, sizeof *p->key);
    p->buffer = cvi_calloc(values, sizeof *p->buffer);
    p->form = cvi_calloc(values, sizeof *p->form);
    p->plain = cvi_calloc((size_t)n_wanted + 1, sizeof *p->plain);
    p->is_plain = cvi_calloc((size_t)n_wanted + 1, sizeof *p->is_plain);
    m->wants = cvi_calloc(values, sizeof *m->wants);
    m->wanted = cvi_calloc(values, sizeof *m->wanted);
    m->want_in = cvi_calloc(widest, sizeof *m->want_in);
    m->fast = cvi_calloc(nodes, sizeof *m->fast);
    m->is_fast = cvi_calloc(nodes, sizeof *m->is_fast);
    return p->key && p->buffer && p->form && p->plain && p->is_plain && m->wants && m->wanted && m->want_in &&
           m->fast && m->is_fast;
}

cvs_status cvi_back_plan_new(cvi_exec *x, const int *seeds, int n_seeds, const int *wanted, int n_wanted,
                             bool plain_only, cvi_back_plan **out, cvs_error *err) {
    planner m = {.x = x};
    bool *has = cvi_calloc((size_t)CVI_MAX(x->g->n_values, 1), sizeof *has);
    cvs_status s = allocate(&m, n_seeds, n_wanted) && has
                       ? CVS_OK
                       : cvi_no_memory(err, (size_t)x->g->n_values * sizeof(cvi_back_step));
    *out = NULL;
    if (s == CVS_OK) {
        m.p->plain_only = plain_only;
        memcpy(m.p->key, seeds, sizeof *seeds * (size_t)n_seeds);
        memcpy(m.p->key + n_seeds, wanted, sizeof *wanted * (size_t)n_wanted);
        for (int v = 0; v < x->g->n_values; v++) {
            m.p->buffer[v] = -1;
        }
        for (int i = 0; i < n_wanted; i++) {
            m.wants[wanted[i]] = m.wanted[wanted[i]] = true;
        }
        for (int n = 0; n < x->g->n_nodes; n++) {
            m.p->once = m.p->once || x->steps[n].late;
        }
        mark_wants(&m);
        s = plan_all(&m, seeds, n_seeds, has, err);
    }
    if (s == CVS_OK) {
        s = plan_wanted(&m, err);
    }
    cvi_free(has);
    cvi_free(m.wants);
    cvi_free(m.wanted);
    cvi_free(m.want_in);
    cvi_free(m.fast);
    cvi_free(m.is_fast);
    if (s != CVS_OK) {
        cvi_back_plan_free(m.p);
        return s;
    }
    *out = m.p;
    return CVS_OK;
}
