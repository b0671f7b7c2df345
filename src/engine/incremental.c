/* SPDX-License-Identifier: MIT
 * incremental.c - sessions of the incremental re-run: which nodes a set of edits reaches, batches of changes walked through them in
 * order, results; and, where a node cannot take part, running the network again from the edited values on.
 */
#include "engine/incr.h"

enum {
    MOST = 27
}; /* changes in a batch: weights are read seldom enough, and its blocks stay in the caches */
#define ROOM ((int64_t)192 << 20) /* bytes of whole values that a batch may need at once */

/* ---- life ----------------------------------------------------------------------------------------------- */

cvs_status cvi_incr_new(cvi_exec *base, cvi_incr **out, cvs_error *err) {
    *out = NULL;
    if (!base->has_run || base->options.training || base->parent) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the model has not been run yet");
    }
    cvi_incr *s = cvi_calloc(1, sizeof *s);
    size_t values = (size_t)CVI_MAX(base->g->n_values, 1), nodes = (size_t)CVI_MAX(base->g->n_nodes, 1);
    if (!s) {
        return cvi_no_memory(err, sizeof *s);
    }
    s->x = base;
    s->lanes = cvi_calloc(values, sizeof *s->lanes);
    s->mode = cvi_calloc(nodes, sizeof *s->mode);
    s->edited = cvi_calloc(values, sizeof *s->edited);
    s->run = cvi_calloc(nodes, sizeof *s->run);
    s->split = cvi_calloc((size_t)CVI_MAX(base->n_groups, 1), sizeof *s->split);
    if (!s->lanes || !s->mode || !s->edited || !s->run || !s->split || !cvi_call_make(base->g, &s->call)) {
        cvi_incr_free(s);
        return cvi_no_memory(err, values * sizeof *s->lanes);
    }
    for (size_t v = 0; v < values; v++) {
        s->lanes[v].blocks = s->lanes[v].stack[0] = s->lanes[v].stack[1] = -1;
    }
    for (int n = 0; n < base->g->n_nodes; n++) {
        s->mode[n] = (uint8_t)cvi_incr_mode_of(s, n);
    }
    *out = s;
    return CVS_OK;
}

void cvi_incr_free(cvi_incr *s) {
    if (!s) {
        return;
    }
    for (int i = 0; i < s->n_buffer; i++) {
        cvi_free(s->buffer[i].data);
    }
    cvi_free(s->buffer);
    cvi_free(s->lanes);
    cvi_free(s->boxes);
    cvi_free(s->ats);
    cvi_free(s->mode);
    cvi_free(s->edited);
    cvi_free(s->run);
    cvi_free(s->split);
    cvi_call_free(&s->call);
    cvi_free(s);
}

void cvi_incr_set_batch(cvi_incr *s, int64_t batch) {
    s->batch = batch;
}

cvi_incr_stats cvi_incr_last(const cvi_incr *s) {
    return s->stats;
}

static cvs_status make_room(cvi_incr *s, int64_t batch, cvs_error *err) {
    size_t count = (size_t)batch * (size_t)CVI_MAX(s->x->g->n_values, 1);
    if (batch <= s->room) {
        return CVS_OK;
    }
    cvi_box *boxes = cvi_calloc(count, 2 * sizeof *boxes);
    int64_t *ats = cvi_calloc(count, sizeof *ats);
    if (!boxes || !ats) {
        cvi_free(boxes);
        cvi_free(ats);
        return cvi_no_memory(err, count * 2 * sizeof *boxes);
    }
    cvi_free(s->boxes);
    cvi_free(s->ats);
    s->boxes = boxes;
    s->ats = ats;
    s->room = batch;
    for (int v = 0; v < s->x->g->n_values; v++) {
        s->lanes[v].change = boxes + (int64_t)v * 2 * batch;
        s->lanes[v].have = s->lanes[v].change + batch;
        s->lanes[v].at = ats + (int64_t)v * batch;
    }
    return CVS_OK;
}

/* ---- what a run has to do --------------------------------------------------------------------------------- */

static cvs_status check_edit(const cvi_incr *s, const cvi_edit *e, cvs_error *err) {
    bool there = e->value >= 0 && e->value < s->x->g->n_values && s->x->slots[e->value].known &&
                 !s->x->slots[e->value].constant && !s->x->slots[e->value].late;
    if (!there || e->c < 0 || e->channels < 0 || e->h < 0 || e->w < 0 || llabs(e->y) > INT32_MAX ||
        llabs(e->x) > INT32_MAX || e->h > INT32_MAX || e->w > INT32_MAX) {
        return cvi_fail(err, CVS_E_ARGUMENT, "this value or these places of it cannot be changed");
    }
    cvs_dtype type = s->x->slots[e->value].shape.dtype;
    if (type != CVS_F32 && type != CVS_F64) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "%.80s holds %s, only float32 and float64 can be changed",
                        s->x->g->values[e->value].name, cvs_dtype_name(type));
    }
    return CVS_OK;
}

typedef struct cone {
    const cvi_incr *s;
    const bool *reached; /* per value */
} cone;

static bool is_reached(void *context, int v) {
    return ((const cone *)context)->reached[v];
}

static bool reads_weight(const cvi_incr *s, int n, const bool *reached) {
    const cvi_node *node = &s->x->g->nodes[n];
    for (int k = 0; k < node->n_in; k++) {
        if (node->def && node->in[k] >= 0 && reached[node->in[k]] && cvi_op_role(node->def, k) != CVI_DATA) {
            return true;
        }
    }
    return false;
}

static cvs_status mark_edited(cvi_incr *s, const cvi_change *changes, int64_t n, bool *reached,
                              cvs_error *err) {
    memset(s->edited, 0, (size_t)s->x->g->n_values * sizeof *s->edited);
    for (int64_t i = 0; i < n; i++) {
        for (int e = 0; e < changes[i].n; e++) {
            CVI_TRY(check_edit(s, &changes[i].edit[e], err));
            s->edited[changes[i].edit[e].value] = reached[changes[i].edit[e].value] = true;
        }
    }
    return CVS_OK;
}

/* Groups that are changed or looked at inside run node by node. */
static void mark_split(cvi_incr *s, const bool *wanted) {
    const cvi_exec *x = s->x;
    for (int i = 0; i < x->n_groups; i++) {
        const cvi_group *group = &x->groups[i];
        s->split[i] = false;
        for (int k = 0; k + 1 < group->n; k++) {
            int v = x->g->nodes[group->node[k]].out[0];
            s->split[i] = s->split[i] || s->edited[v] || wanted[v];
        }
    }
}

/* Marks nodes between edited and wanted values; sets `again` where one of them cannot take part. */
static void mark_run(cvi_incr *s, bool all, bool *reached, bool *needed) {
    const cvi_graph *g = s->x->g;
    cone c = {.s = s, .reached = reached};
    s->again = false;
    for (int m = 0; m < g->n_nodes; m++) {
        s->run[m] = s->x->steps[m].kind != CVI_STEP_FOLDED && cvi_plan_reads(s->x, m, is_reached, &c);
        for (int k = 0; k < g->nodes[m].n_out && s->run[m]; k++) {
            if (g->nodes[m].out[k] >= 0) {
                reached[g->nodes[m].out[k]] = true;
            }
        }
    }
    for (int m = g->n_nodes - 1; m >= 0; m--) {
        bool need = all;
        for (int k = 0; k < g->nodes[m].n_out; k++) {
            need = need || (g->nodes[m].out[k] >= 0 && needed[g->nodes[m].out[k]]);
        }
        s->run[m] = s->run[m] && need;
        for (int k = 0; k < g->nodes[m].n_in && need; k++) {
            if (g->nodes[m].in[k] >= 0) {
                needed[g->nodes[m].in[k]] = true;
            }
        }
        s->again = s->again || (s->run[m] && (s->mode[m] == CVI_INCR_NONE || reads_weight(s, m, reached)));
    }
}

static cvs_status mark(cvi_incr *s, const cvi_change *changes, int64_t n, const int *want, int n_want,
                       cvs_error *err) {
    size_t values = (size_t)CVI_MAX(s->x->g->n_values, 1);
    bool *reached = cvi_calloc(values, sizeof *reached), *needed = cvi_calloc(values, sizeof *needed);
    cvs_status status = reached && needed ? CVS_OK : cvi_no_memory(err, values);
    for (int k = 0; k < n_want && status == CVS_OK; k++) {
        needed[want[k]] = true;
    }
    if (status == CVS_OK) {
        status = mark_edited(s, changes, n, reached, err);
    }
    if (status == CVS_OK) {
        mark_split(s, needed);
        mark_run(s, n_want == 0, reached, needed);
    }
    cvi_free(reached);
    cvi_free(needed);
    return status;
}

static void count_readers(cvi_incr *s, const int *want, int n_want) {
    const cvi_graph *g = s->x->g;
    for (int v = 0; v < g->n_values; v++) {
        s->lanes[v].readers = 0;
        s->lanes[v].dirty = s->lanes[v].stacked = false;
    }
    for (int n = 0; n < g->n_nodes; n++) {
        for (int k = 0; k < g->nodes[n].n_in && s->run[n]; k++) {
            if (g->nodes[n].in[k] >= 0) {
                s->lanes[g->nodes[n].in[k]].readers++;
            }
        }
    }
    for (int k = 0; k < n_want; k++) {
        s->lanes[want[k]].readers++;
    }
}

/* How many changes fit: whole values of the nodes that need them count in full. */
static int64_t choose_batch(const cvi_incr *s, int64_t n) {
    const cvi_graph *g = s->x->g;
    int64_t most = 1;
    for (int m = 0; m < g->n_nodes; m++) {
        int64_t bytes = 0;
        for (int k = 0; k < g->nodes[m].n_in + g->nodes[m].n_out && s->run[m]; k++) {
            int v = k < g->nodes[m].n_in ? g->nodes[m].in[k] : g->nodes[m].out[k - g->nodes[m].n_in];
            if (v >= 0 && !s->x->slots[v].constant && s->x->slots[v].known) {
                bytes += cvi_lane_bytes(s, v, CVS_PLAIN);
            }
        }
        most =
            CVI_MAX(most, s->mode[m] == CVI_INCR_WINDOW || s->mode[m] == CVI_INCR_PIXELS ? bytes / 4 : bytes);
    }
    int64_t fit = s->batch > 0 ? s->batch : CVI_MAX(1, CVI_MIN(MOST, ROOM / most));
    int64_t batches = (n + fit - 1) / fit;
    return (n + batches - 1) / batches;
}

/* ---- one batch ------------------------------------------------------------------------------------------ */

/* An edited value whose producer has nothing to do: its unchanged numbers where the edits are. */
static cvs_status begin_source(cvi_incr *s, int v, cvs_error *err) {
    cvi_lane *l = &s->lanes[v];
    char *data = NULL;
    if (!cvi_incr_picture(s, v)) {
        CVI_TRY(cvi_incr_stack(s, v, CVS_PLAIN, &data, err));
        l->dirty = l->stacked = true;
        for (int64_t p = 0; p < s->n; p++) {
            const cvs_tensor *t = &s->x->slots[v].shape;
            l->change[p] = (cvi_box){0, 0, t->rank == 4 ? t->dim[2] : 1, t->rank == 4 ? t->dim[3] : 1};
            l->have[p] = l->change[p];
        }
        return CVS_OK;
    }
    int64_t pitch = cvi_incr_pitch(s, v), floats = 0, *who = cvi_calloc((size_t)s->n, sizeof *who);
    if (!who) {
        return cvi_no_memory(err, (size_t)s->n * sizeof *who);
    }
    for (int64_t p = 0; p < s->n; p++) {
        l->change[p] = l->have[p] = cvi_edit_around(s, v, p);
        l->at[p] = floats;
        floats += l->have[p].h * l->have[p].w * pitch;
        who[p] = p;
    }
    cvs_status status = CVS_OK;
    if (floats > 0) {
        status = cvi_incr_take(s, floats * (int64_t)sizeof(float), &l->blocks, err);
    }
    if (status == CVS_OK && floats > 0) {
        float *to = (float *)(void *)s->buffer[l->blocks].data;
        cvi_cut cut = {.v = v, .n = s->n, .who = who, .at = l->at, .box = l->have, .to = to};
        status = cvi_incr_cut(s, &cut, err);
        l->dirty = status == CVS_OK;
    }
    cvi_free(who);
    return status;
}

static cvs_status make_edits(cvi_incr *s, int v, cvs_error *err) {
    if (!s->lanes[v].dirty) {
        CVI_TRY(begin_source(s, v, err));
    }
    if (s->lanes[v].dirty) {
        cvi_edit_make(s, v);
    }
    return CVS_OK;
}

static void read_once(cvi_incr *s, int v) {
    if (--s->lanes[v].readers == 0 && !s->keep) {
        cvi_lane_clear(s, v);
    }
}

static bool has_work(const cvi_incr *s, const cvi_unit *u) {
    const cvi_node *node = &s->x->g->nodes[u->n];
    bool work = u->residual >= 0 && s->lanes[u->residual].dirty;
    for (int k = 0; k < node->n_in; k++) {
        work = work || (node->in[k] >= 0 && s->lanes[node->in[k]].dirty);
    }
    return work;
}

/* Computes a unit, makes the edits of what it makes, and counts off what its nodes read. */
static cvs_status run_unit(cvi_incr *s, const cvi_unit *u, cvs_error *err) {
    const cvi_graph *g = s->x->g;
    if (has_work(s, u)) {
        CVI_TRY(cvi_incr_node(s, u, err));
    }
    for (int k = 0; k < g->nodes[u->last].n_out; k++) {
        int v = g->nodes[u->last].out[k];
        if (v >= 0 && s->edited[v]) {
            CVI_TRY(make_edits(s, v, err));
        }
        s->stats.full += v >= 0 ? s->n * CVI_MAX(cvs_tensor_count(&s->x->slots[v].shape), 0) : 0;
    }
    for (int i = 0; i < (u->group ? u->group->n : 1); i++) {
        const cvi_node *node = &g->nodes[u->group ? u->group->node[i] : u->n];
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] >= 0) {
                read_once(s, node->in[k]);
            }
        }
    }
    return CVS_OK;
}

static cvs_status run_batch(cvi_incr *s, const cvi_change *changes, int64_t n, const int *want, int n_want,
                            cvs_error *err) {
    const cvi_graph *g = s->x->g;
    s->changes = changes;
    s->n = n;
    CVI_TRY(make_room(s, n, err));
    for (int v = 0; v < g->n_values; v++) {
        cvi_lane_clear(s, v);
    }
    count_readers(s, want, n_want);
    for (int v = 0; v < g->n_values; v++) {
        if (s->edited[v] && (g->values[v].producer < 0 || !s->run[g->values[v].producer])) {
            CVI_TRY(make_edits(s, v, err));
        }
    }
    for (int m = 0; m < g->n_nodes; m++) {
        cvi_unit u;
        if (s->run[m] && cvi_incr_unit(s, m, &u)) {
            CVI_TRY(run_unit(s, &u, err));
        }
    }
    return CVS_OK;
}

/* Numbers of value v for every change of the batch. */
static cvs_status read_batch(cvi_incr *s, int v, char *out, cvs_error *err) {
    char *data = NULL;
    size_t bytes = (size_t)cvi_lane_bytes(s, v, CVS_PLAIN);
    void *base = NULL;
    if (s->lanes[v].dirty) {
        CVI_TRY(cvi_incr_stack(s, v, CVS_PLAIN, &data, err));
        memcpy(out, data, (size_t)s->n * bytes);
        return CVS_OK;
    }
    CVI_TRY(cvi_exec_form(s->x, v, CVS_PLAIN, &base, err));
    for (int64_t p = 0; p < s->n; p++) {
        memcpy(out + (size_t)p * bytes, base, bytes);
    }
    return CVS_OK;
}

/* ---- running the network again ----------------------------------------------------------------------------- */

/* Edited values in the order in which the graph makes them: producer of `after` is before. -1: no more. */
static int next_edited(const cvi_incr *s, int after) {
    const cvi_graph *g = s->x->g;
    int best = -1, from = after < 0 ? -2 : g->values[after].producer;
    for (int v = 0; v < g->n_values; v++) {
        int p = g->values[v].producer;
        bool later = p > from || (p == from && v > after);
        bool sooner = best < 0 || p < g->values[best].producer || (p == g->values[best].producer && v < best);
        if (s->edited[v] && later && sooner) {
            best = v;
        }
    }
    return best;
}

static bool edits(const cvi_change *change, int v) {
    for (int i = 0; i < change->n; i++) {
        if (change->edit[i].value == v) {
            return true;
        }
    }
    return false;
}

/* The value as it was, and everything after it. Its memory may have been written to meanwhile. */
static cvs_status run_back(cvi_incr *s, int v, cvs_error *err) {
    cvi_lane *l = &s->lanes[v];
    if (l->copy.data && l->was.data != l->copy.data) {
        memcpy(l->was.data, l->copy.data, CVI_MIN(l->was.bytes, l->copy.bytes));
    }
    return cvi_exec_forward_from(s->x, v, &l->was, err);
}

/* The value as it is now (`fresh`: as it was) with its edits, and everything after it. */
static cvs_status run_edited(cvi_incr *s, int v, const cvi_change *change, bool fresh, cvs_error *err) {
    cvi_lane *l = &s->lanes[v];
    cvs_tensor now = l->copy.data ? l->copy : l->was, changed = {0};
    if (!fresh) {
        CVI_TRY(cvi_exec_value(s->x, v, &now, err));
    }
    CVI_TRY(cvs_tensor_convert(&now, now.dtype, &changed, err));
    for (int i = 0; i < change->n; i++) {
        if (change->edit[i].value == v) {
            cvi_edit_plain(s, &change->edit[i], changed.data, cvs_tensor_count(&changed));
        }
    }
    cvs_status status = cvi_exec_forward_from(s->x, v, &changed, err);
    cvs_tensor_free(&l->held); /* what the exec had borrowed until now */
    l->held = changed;
    return status;
}

static cvs_status give_back(cvi_incr *s, cvs_error *err) {
    cvs_status status = CVS_OK;
    for (int v = next_edited(s, -1); v >= 0; v = next_edited(s, v)) {
        cvi_lane *l = &s->lanes[v];
        if (l->was.dtype != CVS_NONE) {
            cvs_status back = run_back(s, v, status == CVS_OK ? err : NULL);
            status = status == CVS_OK ? back : status;
        }
        l->was = (cvs_tensor){0};
        cvs_tensor_free(&l->copy);
        cvs_tensor_free(&l->held);
    }
    return status;
}

/* Remembers a value before its first change. What a caller handed in is never written to. */
static cvs_status remember(cvi_incr *s, int v, cvs_error *err) {
    cvi_lane *l = &s->lanes[v];
    cvs_tensor was;
    CVI_TRY(cvi_exec_value(s->x, v, &was, err));
    if (s->x->g->values[v].producer >= 0) {
        CVI_TRY(cvs_tensor_convert(&was, was.dtype, &l->copy, err));
    }
    l->was = was;
    return CVS_OK;
}

static cvs_status run_again(cvi_incr *s, const cvi_change *change, cvs_error *err) {
    int first = next_edited(s, -1);
    bool one = first >= 0 && next_edited(s, first) < 0,
         before = first >= 0 && s->lanes[first].was.dtype != CVS_NONE;
    for (int v = first; v >= 0; v = next_edited(s, v)) {
        if (!before) {
            CVI_TRY(remember(s, v, err));
        } else if (!one || !edits(change, v)) { /* a change before this one has left it changed */
            CVI_TRY(run_back(s, v, err));
        }
    }
    for (int v = first; v >= 0; v = next_edited(s, v)) {
        if (edits(change, v)) {
            CVI_TRY(run_edited(s, v, change, one, err));
        }
    }
    return CVS_OK;
}

static cvs_status again_all(cvi_incr *s, const cvi_change *changes, int64_t n, const int *want, int n_want,
                            void *const *out, cvs_error *err) {
    cvs_status status = CVS_OK;
    s->stats.again = true;
    for (int64_t i = 0; i < n && status == CVS_OK; i++) {
        status = run_again(s, &changes[i], err);
        for (int k = 0; k < n_want && status == CVS_OK; k++) {
            cvs_tensor t;
            size_t bytes = (size_t)cvi_lane_bytes(s, want[k], CVS_PLAIN);
            status = cvi_exec_value(s->x, want[k], &t, err);
            if (status == CVS_OK) {
                memcpy((char *)out[k] + (size_t)i * bytes, t.data, bytes);
            }
        }
    }
    cvs_status back = give_back(s, status == CVS_OK ? err : NULL);
    return status == CVS_OK ? back : status;
}

/* ---- calls ------------------------------------------------------------------------------------------------- */

static cvs_status begin(cvi_incr *s, cvs_error *err) {
    s->stats = (cvi_incr_stats){0};
    if (s->live && s->again) {
        s->live = false;
        return give_back(s, err);
    }
    s->live = false;
    return CVS_OK;
}

static cvs_status run_batches(cvi_incr *s, const cvi_change *changes, int64_t n, const int *want, int n_want,
                              void *const *out, const cvi_incr_told *told, cvs_error *err) {
    int64_t step = choose_batch(s, n);
    for (int64_t first = 0; first < n; first += step) {
        int64_t count = CVI_MIN(step, n - first);
        if (told && told->progress && !told->progress(told->context, told->what, (double)first / (double)n)) {
            return cvi_fail(err, CVS_E_CANCELLED, "cancelled");
        }
        CVI_TRY(run_batch(s, changes + first, count, want, n_want, err));
        for (int k = 0; k < n_want; k++) {
            size_t bytes = (size_t)cvi_lane_bytes(s, want[k], CVS_PLAIN);
            CVI_TRY(read_batch(s, want[k], (char *)out[k] + (size_t)first * bytes, err));
        }
    }
    return CVS_OK;
}

cvs_status cvi_incr_run(cvi_incr *s, const cvi_change *changes, int64_t n, const int *want, int n_want,
                        void *const *out, const cvi_incr_told *told, cvs_error *err) {
    CVI_TRY(begin(s, err));
    for (int k = 0; k < n_want; k++) {
        if (want[k] < 0 || want[k] >= s->x->g->n_values || !s->x->slots[want[k]].known) {
            return cvi_fail(err, CVS_E_INTERNAL, "there is no value %d", want[k]);
        }
    }
    if (n < 1 || n_want < 1) {
        return CVS_OK;
    }
    CVI_TRY(mark(s, changes, n, want, n_want, err));
    s->keep = false;
    return s->again ? again_all(s, changes, n, want, n_want, out, err)
                    : run_batches(s, changes, n, want, n_want, out, told, err);
}

cvs_status cvi_incr_apply(cvi_incr *s, const cvi_change *change, cvs_error *err) {
    CVI_TRY(begin(s, err));
    CVI_TRY(mark(s, change, 1, NULL, 0, err));
    s->keep = true;
    s->stats.again = s->again;
    cvs_status status = s->again ? run_again(s, change, err) : run_batch(s, change, 1, NULL, 0, err);
    if (status != CVS_OK && s->again) {
        (void)give_back(s, NULL);
    }
    s->live = status == CVS_OK;
    return status;
}

/* A value inside a group that ran as one: the group's nodes by themselves, from what it read. */
static cvs_status look_inside(cvi_incr *s, int value, cvs_error *err) {
    int producer = s->x->g->values[value].producer, g = producer >= 0 ? s->x->steps[producer].group : -1;
    if (g < 0 || s->split[g] || value == s->x->groups[g].out) {
        return CVS_OK;
    }
    s->split[g] = true;
    for (int i = 0; i + 1 < s->x->groups[g].n; i++) {
        cvi_unit u;
        int n = s->x->groups[g].node[i];
        if (s->run[n] && cvi_incr_unit(s, n, &u) && has_work(s, &u)) {
            CVI_TRY(cvi_incr_node(s, &u, err));
        }
    }
    return CVS_OK;
}

cvs_status cvi_incr_value(cvi_incr *s, int value, cvs_tensor *out, cvs_error *err) {
    char *data = NULL;
    if (!s->live) {
        return cvi_fail(err, CVS_E_ARGUMENT, "no change has been made yet");
    }
    CVI_TRY(cvi_exec_value(s->x, value, out, err));
    if (!s->again) {
        CVI_TRY(look_inside(s, value, err));
    }
    if (!s->again && s->lanes[value].dirty) {
        CVI_TRY(cvi_incr_stack(s, value, CVS_PLAIN, &data, err));
        out->data = data;
    }
    return CVS_OK;
}
