/* SPDX-License-Identifier: MIT
 * incr_nodes.c - one node of the incremental re-run for a batch of changes: pixel by pixel on the rectangles that changed, as a
 * window (incr_window.c), or whole values, all positions at once where the operator keeps samples apart, else one by one.
 */
#include "engine/incr.h"

enum { CROP_PERCENT = 125, WHOLE_PERCENT = 85 }; /* blocks larger than what changed, beside it; of a map */

/* ---- what a node can do --------------------------------------------------------------------------------- */

static bool one_output(const cvi_node *node) {
    for (int k = 1; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            return false;
        }
    }
    return node->n_out > 0 && node->out[0] >= 0;
}

static bool has_graph(const cvi_node *node) {
    for (int k = 0; k < node->n_attr; k++) {
        if (node->attr[k].graph) {
            return true;
        }
    }
    return false;
}

static bool is_map(const cvi_incr *s, int n, int k) {
    const cvi_node *node = &s->x->g->nodes[n];
    if (node->in[k] < 0 || cvi_op_role(node->def, k) != CVI_DATA || !cvi_incr_picture(s, node->in[k])) {
        return false;
    }
    const int64_t *a = s->x->slots[node->in[k]].shape.dim, *b = s->x->slots[node->out[0]].shape.dim;
    return a[2] == b[2] && a[3] == b[3];
}

/* A window of one pixel: every pixel by itself. */
static bool is_point(cvi_incr *s, int n) {
    const cvi_node *node = &s->x->g->nodes[n];
    cvi_field_step f = {0};
    if (cvi_call_fill(s->x, n, &s->call, CVI_IN_CONSTANTS, NULL) != CVS_OK) {
        return false;
    }
    node->def->field(&s->call.ctx, &f);
    cvi_arena_reset(s->x->scratch);
    return f.kernel[0] == 1 && f.kernel[1] == 1 && f.stride[0] == 1 && f.stride[1] == 1 &&
           f.pad_begin[0] == 0 && f.pad_begin[1] == 0 && is_map(s, n, 0);
}

static bool is_window(cvi_incr *s, int n) {
    const cvi_node *node = &s->x->g->nodes[n];
    cvi_field_step f = {0};
    if (!node->def->part || !node->def->field || node->n_in < 1 || node->in[0] < 0 ||
        !cvi_incr_picture(s, node->in[0]) ||
        cvi_call_fill(s->x, n, &s->call, CVI_IN_CONSTANTS, NULL) != CVS_OK) {
        return false;
    }
    node->def->field(&s->call.ctx, &f);
    cvi_arena_reset(s->x->scratch);
    return f.kind == CVI_FIELD_WINDOW && f.stride[0] > 0 && f.stride[1] > 0 && f.kernel[0] > 0 &&
           f.kernel[1] > 0;
}

cvi_incr_mode cvi_incr_mode_of(cvi_incr *s, int n) {
    const cvi_node *node = &s->x->g->nodes[n];
    const cvi_step *step = &s->x->steps[n];
    if (!node->def || step->late || step->widen || step->kind == CVI_STEP_UNKNOWN || has_graph(node)) {
        return CVI_INCR_NONE;
    }
    if (step->kind == CVI_STEP_VIEW) {
        return CVI_INCR_VIEW;
    }
    if (step->kind == CVI_STEP_FOLDED) {
        return CVI_INCR_NONE; /* never reached by a change */
    }
    bool last = step->fast && node->def->fast_layout == CVS_NHWC8 && one_output(node) &&
                cvi_incr_picture(s, node->out[0]);
    if (last && is_window(s, n)) {
        return is_point(s, n) ? CVI_INCR_PIXELS : CVI_INCR_WINDOW;
    }
    if (last && (node->def->flags & (CVI_OP_POINTWISE | CVI_OP_PIXELS))) {
        return CVI_INCR_PIXELS;
    }
    return node->def->apart || (node->def->flags & CVI_OP_POINTWISE) ? CVI_INCR_STACK : CVI_INCR_EACH;
}

/* ---- whole values ----------------------------------------------------------------------------------------- */

static cvi_box whole_of(const cvi_incr *s, int v) {
    const cvs_tensor *t = &s->x->slots[v].shape;
    return t->rank == 4 ? (cvi_box){0, 0, t->dim[2], t->dim[3]} : (cvi_box){0, 0, 1, 1};
}

static cvs_layout out_form(const cvi_incr *s, int n, int v, bool fast) {
    const cvs_tensor *t = &s->x->slots[v].shape;
    bool last =
        fast && s->x->g->nodes[n].def->fast_layout == CVS_NHWC8 && t->rank == 4 && t->dtype == CVS_F32;
    return last ? CVS_NHWC8 : CVS_PLAIN;
}

/* A buffer of whole values for output v. */
static cvs_status begin_whole(cvi_incr *s, int v, cvs_layout form, char **data, cvs_error *err) {
    cvi_lane *l = &s->lanes[v];
    int64_t bytes = 0, count = cvs_tensor_count(&s->x->slots[v].shape);
    if (!cvi_mul(s->n, cvi_lane_bytes(s, v, form), &bytes)) {
        return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    CVI_TRY(cvi_incr_take(s, bytes, &l->stack[form], err));
    l->stacked = l->dirty = true;
    for (int64_t p = 0; p < s->n; p++) {
        l->change[p] = l->have[p] = whole_of(s, v);
        l->at[p] = p * (cvi_lane_bytes(s, v, CVS_NHWC8) / (int64_t)sizeof(float));
    }
    *data = s->buffer[l->stack[form]].data;
    s->stats.changed += s->n * count;
    s->stats.computed += s->n * count;
    s->stats.nodes_whole++;
    return CVS_OK;
}

static cvs_status run_each(cvi_incr *s, int n, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[n];
    bool fast = s->x->steps[n].fast;
    cvs_tensor *call_in = s->call.in, *call_out = s->call.out;
    char *data = NULL;
    CVI_TRY(cvi_call_fill(s->x, n, &s->call, CVI_IN_STEP, err));
    s->call.ctx.aux = NULL;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && s->lanes[node->in[k]].dirty) {
            CVI_TRY(cvi_incr_stack(s, node->in[k], call_in[k].layout, &data, err));
            call_in[k].data = data;
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        call_out[k] = (cvs_tensor){0};
        if (node->out[k] >= 0) {
            call_out[k] = s->x->slots[node->out[k]].shape;
            call_out[k].layout = out_form(s, n, node->out[k], fast);
            CVI_TRY(begin_whole(s, node->out[k], call_out[k].layout, &data, err));
            call_out[k].data = data;
            call_out[k].bytes = (size_t)cvi_lane_bytes(s, node->out[k], call_out[k].layout);
        }
    }
    for (int64_t p = 0; p < s->n; p++) {
        CVI_TRY(fast ? node->def->fast(&s->call.ctx) : node->def->forward(&s->call.ctx));
        cvi_arena_reset(s->x->scratch);
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] >= 0 && s->lanes[node->in[k]].dirty) {
                call_in[k].data = (char *)call_in[k].data + cvi_lane_bytes(s, node->in[k], call_in[k].layout);
            }
        }
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] >= 0) {
                call_out[k].data = (char *)call_out[k].data + call_out[k].bytes;
            }
        }
    }
    return CVS_OK;
}

/* Enlarges dimension 0 of what changed; false where the operator's shape rule does not follow. */
static bool can_stack(cvi_incr *s, int n) {
    const cvi_node *node = &s->x->g->nodes[n];
    cvi_opctx *ctx = &s->call.ctx;
    bool pointwise = (node->def->flags & CVI_OP_POINTWISE) != 0;
    if (!pointwise && !node->def->apart(ctx)) {
        return false;
    }
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k];
        if (v < 0) {
            continue;
        }
        const cvs_tensor *out = &s->x->slots[node->out[0]].shape;
        cvs_tensor *t = &s->call.in[k];
        if (s->lanes[v].dirty) {
            if (t->rank < 1 || t->rank != out->rank || !cvi_mul(t->dim[0], s->n, &t->dim[0])) {
                return false;
            }
            t->bytes *= (size_t)s->n;
        } else if (pointwise && t->rank == out->rank && t->dim[0] != 1) {
            return false;
        }
    }
    cvs_error *err = ctx->err;
    ctx->err = NULL;
    cvs_status status = node->def->infer(ctx);
    cvi_arena_reset(s->x->scratch);
    ctx->err = err;
    for (int k = 0; k < node->n_out && status == CVS_OK; k++) {
        const cvs_tensor *t = &s->call.out[k];
        if (node->out[k] < 0) {
            s->call.out[k] = (cvs_tensor){0};
            continue;
        }
        const cvs_tensor *base = &s->x->slots[node->out[k]].shape;
        bool same = t->rank == base->rank && t->rank > 0 && t->dtype == base->dtype &&
                    t->dim[0] == s->n * base->dim[0];
        for (int i = 1; i < t->rank && same; i++) {
            same = t->dim[i] == base->dim[i];
        }
        status = same ? CVS_OK : CVS_E_SHAPE;
    }
    return status == CVS_OK;
}

static cvs_status run_stack(cvi_incr *s, int n, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[n];
    bool fast = s->x->steps[n].fast;
    char *data = NULL;
    CVI_TRY(cvi_call_fill(s->x, n, &s->call, fast ? CVI_IN_STEP : CVI_IN_PLAIN, err));
    bool able = can_stack(s, n);
    if (able && fast && node->def->can_fast && !node->def->can_fast(&s->call.ctx)) {
        able = false;
    }
    cvi_arena_reset(s->x->scratch);
    if (!able) {
        return run_each(s, n, err);
    }
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && s->lanes[node->in[k]].dirty) {
            CVI_TRY(cvi_incr_stack(s, node->in[k], s->call.in[k].layout, &data, err));
            s->call.in[k].data = data;
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            cvs_tensor *t = &s->call.out[k];
            t->layout = out_form(s, n, node->out[k], fast);
            CVI_TRY(begin_whole(s, node->out[k], t->layout, &data, err));
            t->data = data;
            t->bytes = (size_t)(s->n * cvi_lane_bytes(s, node->out[k], t->layout));
        }
    }
    s->call.ctx.aux = NULL;
    cvs_status status = fast ? node->def->fast(&s->call.ctx) : node->def->forward(&s->call.ctx);
    cvi_arena_reset(s->x->scratch);
    return status;
}

/* ---- pixel by pixel ------------------------------------------------------------------------------------------ */

typedef struct pixel_job {
    int n, v;        /* node, output */
    int64_t rows;    /* pixels in all */
    int64_t *who;    /* [batch] positions with something to do */
    int64_t *places; /* [batch] pixels before each */
    cvi_box *box;
    int64_t n_who;
    bool whole;
    int *buffer; /* [n_in] cut inputs, -1 = none */
} pixel_job;

static int64_t area(const cvi_box *b) {
    return b->h * b->w;
}

/* What can change; false where an input that changed is spread over the positions of the others. */
static bool measure_pixels(cvi_incr *s, const pixel_job *j, int64_t *sum, bool *stacked) {
    const cvi_node *node = &s->x->g->nodes[j->n];
    cvi_lane *out = &s->lanes[j->v];
    *sum = 0;
    *stacked = false;
    for (int64_t p = 0; p < s->n; p++) {
        out->change[p] = s->edited[j->v] ? cvi_edit_around(s, j->v, p) : (cvi_box){0};
    }
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] < 0 || !s->lanes[node->in[k]].dirty) {
            continue;
        }
        if (!is_map(s, j->n, k)) {
            return false;
        }
        *stacked = *stacked || s->lanes[node->in[k]].stacked;
        for (int64_t p = 0; p < s->n; p++) {
            out->change[p] = cvi_box_join(&out->change[p], &s->lanes[node->in[k]].change[p]);
        }
    }
    for (int64_t p = 0; p < s->n; p++) {
        *sum += area(&out->change[p]);
    }
    return true;
}

/* The lane whose blocks may serve as they are: they contain what changed and are not much larger. */
static const cvi_lane *serving(const cvi_incr *s, const pixel_job *j, int64_t sum, int *value) {
    const cvi_node *node = &s->x->g->nodes[j->n];
    const cvi_lane *out = &s->lanes[j->v], *best = NULL;
    int64_t least = 0;
    for (int k = 0; k < node->n_in; k++) {
        const cvi_lane *l = node->in[k] >= 0 ? &s->lanes[node->in[k]] : NULL;
        bool fits = l && l->dirty && !l->stacked;
        int64_t have = 0;
        for (int64_t p = 0; p < s->n && fits; p++) {
            fits = cvi_box_empty(&out->change[p]) || cvi_box_within(&out->change[p], &l->have[p]);
            have += area(&l->have[p]);
        }
        if (fits && have * 100 <= sum * CROP_PERCENT && (!best || have < least)) {
            best = l;
            least = have;
            *value = node->in[k];
        }
    }
    return best;
}

static void place_pixels(cvi_incr *s, pixel_job *j, int64_t sum, bool stacked) {
    cvi_lane *out = &s->lanes[j->v];
    cvi_box map = whole_of(s, j->v);
    int64_t pitch = cvi_incr_pitch(s, j->v);
    int value = -1;
    j->whole = stacked || sum * 100 >= s->n * area(&map) * WHOLE_PERCENT;
    const cvi_lane *as = j->whole ? NULL : serving(s, j, sum, &value);
    j->rows = j->n_who = 0;
    for (int64_t p = 0; p < s->n; p++) {
        out->have[p] = j->whole ? map : as ? as->have[p] : out->change[p];
        if (cvi_box_empty(&out->change[p]) && !j->whole) {
            out->have[p] = (cvi_box){0};
        }
        int64_t before = as ? as->at[p] / cvi_incr_pitch(s, value) : j->rows;
        out->at[p] = before * pitch;
        j->rows += area(&out->have[p]);
        if (!cvi_box_empty(&out->have[p])) {
            j->who[j->n_who] = p;
            j->box[j->n_who] = out->have[p];
            j->places[j->n_who++] = before;
        }
    }
}

/* Input k for the pixels of the job, cut out unless it lies there. */
static cvs_status pixels_of(cvi_incr *s, pixel_job *j, int k, const float **data, cvs_error *err) {
    int v = s->x->g->nodes[j->n].in[k];
    const cvi_lane *l = &s->lanes[v];
    int64_t pitch = cvi_incr_pitch(s, v);
    if (j->whole) {
        char *stack;
        CVI_TRY(cvi_incr_stack(s, v, CVS_NHWC8, &stack, err));
        *data = (const float *)(const void *)stack;
        return CVS_OK;
    }
    bool there = l->dirty && !l->stacked;
    for (int64_t i = 0; i < j->n_who && there; i++) {
        there = cvi_box_same(&j->box[i], &l->have[j->who[i]]) && l->at[j->who[i]] == j->places[i] * pitch;
    }
    if (there) {
        *data = (const float *)(const void *)s->buffer[l->blocks].data;
        return CVS_OK;
    }
    CVI_TRY(cvi_incr_take(s, j->rows * pitch * (int64_t)sizeof(float), &j->buffer[k], err));
    int64_t *at = cvi_calloc((size_t)j->n_who, sizeof *at);
    if (!at) {
        return cvi_no_memory(err, (size_t)j->n_who * sizeof *at);
    }
    for (int64_t i = 0; i < j->n_who; i++) {
        at[i] = j->places[i] * pitch;
    }
    float *to = (float *)(void *)s->buffer[j->buffer[k]].data;
    cvi_cut cut = {.v = v, .n = j->n_who, .who = j->who, .at = at, .box = j->box, .to = to};
    cvs_status status = cvi_incr_cut(s, &cut, err);
    cvi_free(at);
    *data = to;
    return status;
}

static cvs_status call_pixels(cvi_incr *s, pixel_job *j, int made, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[j->n];
    CVI_TRY(cvi_call_fill(s->x, j->n, &s->call, CVI_IN_STEP, err));
    s->call.ctx.aux = NULL;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && is_map(s, j->n, k)) {
            const float *data = NULL;
            cvs_tensor *t = &s->call.in[k];
            CVI_TRY(pixels_of(s, j, k, &data, err));
            t->dim[2] = 1;
            t->dim[3] = j->rows;
            t->bytes = (size_t)(j->rows * cvi_incr_pitch(s, node->in[k])) * sizeof(float);
            t->data = (void *)(uintptr_t)data;
        }
    }
    cvs_tensor *out = &s->call.out[0];
    *out = s->x->slots[j->v].shape;
    out->layout = CVS_NHWC8;
    out->dim[2] = 1;
    out->dim[3] = j->rows;
    out->bytes = (size_t)(j->rows * cvi_incr_pitch(s, j->v)) * sizeof(float);
    out->data = s->buffer[made].data;
    cvs_status status;
    if (node->def->part) {
        cvs_tensor a = s->call.in[0], b = *out;
        cvi_part part = {.in = &a, .out = &b};
        s->call.in[0] = s->x->slots[node->in[0]].shape;
        *out = s->x->slots[j->v].shape;
        status = node->def->part(&s->call.ctx, &part);
    } else {
        status = node->def->fast(&s->call.ctx);
    }
    cvi_arena_reset(s->x->scratch);
    return status;
}

static cvs_status run_placed(cvi_incr *s, pixel_job *j, int64_t sum, cvs_error *err) {
    cvi_lane *out = &s->lanes[j->v];
    int made = -1;
    int64_t channels = s->x->slots[j->v].shape.dim[1];
    CVI_TRY(cvi_incr_take(s, j->rows * cvi_incr_pitch(s, j->v) * (int64_t)sizeof(float), &made, err));
    cvs_status status = call_pixels(s, j, made, err);
    for (int k = 0; k < s->x->g->nodes[j->n].n_in; k++) {
        cvi_incr_drop(s, &j->buffer[k]);
    }
    if (status != CVS_OK) {
        cvi_incr_drop(s, &made);
        return status;
    }
    out->dirty = true;
    out->stacked = j->whole;
    *(j->whole ? &out->stack[CVS_NHWC8] : &out->blocks) = made;
    s->stats.changed += sum * channels;
    s->stats.computed += j->rows * channels;
    return CVS_OK;
}

static cvs_status run_pixels(cvi_incr *s, int n, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[n];
    pixel_job j = {.n = n, .v = node->out[0]};
    int64_t sum = 0;
    bool stacked = false;
    if (!measure_pixels(s, &j, &sum, &stacked)) {
        return node->def->part ? run_each(s, n, err) : run_stack(s, n, err);
    }
    if (sum == 0) {
        return CVS_OK;
    }
    size_t batch = (size_t)s->n;
    j.who = cvi_calloc(batch, sizeof *j.who);
    j.places = cvi_calloc(batch, sizeof *j.places);
    j.box = cvi_calloc(batch, sizeof *j.box);
    j.buffer = cvi_calloc((size_t)node->n_in, sizeof *j.buffer);
    cvs_status status = CVS_OK;
    if (!j.who || !j.places || !j.box || !j.buffer) {
        status = cvi_no_memory(err, batch * sizeof *j.box);
    } else {
        for (int k = 0; k < node->n_in; k++) {
            j.buffer[k] = -1;
        }
        place_pixels(s, &j, sum, stacked);
        status = run_placed(s, &j, sum, err);
    }
    cvi_free(j.who);
    cvi_free(j.places);
    cvi_free(j.box);
    cvi_free(j.buffer);
    return status;
}

/* ---- views --------------------------------------------------------------------------------------------------- */

/* Shares the buffers of the input; a view that is itself edited gets memory of its own. */
static cvs_status run_view(cvi_incr *s, int n, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[n];
    int from = node->in[0], to = node->out[0];
    cvi_lane *a = &s->lanes[from], *b = &s->lanes[to];
    bool same = !(node->def->flags & CVI_OP_RESHAPE);
    char *data = NULL, *mine = NULL;
    if (s->edited[to]) {
        CVI_TRY(cvi_incr_stack(s, from, CVS_PLAIN, &data, err));
        CVI_TRY(begin_whole(s, to, CVS_PLAIN, &mine, err));
        memcpy(mine, data, (size_t)(s->n * cvi_lane_bytes(s, to, CVS_PLAIN)));
        return CVS_OK;
    }
    if (!same) {
        CVI_TRY(cvi_incr_stack(s, from, CVS_PLAIN, &data, err));
        b->stack[CVS_PLAIN] = a->stack[CVS_PLAIN];
        s->buffer[b->stack[CVS_PLAIN]].users++;
    }
    for (int form = 0; form < 2 && same; form++) {
        b->stack[form] = a->stack[form];
        if (b->stack[form] >= 0) {
            s->buffer[b->stack[form]].users++;
        }
    }
    if (same && a->blocks >= 0) {
        b->blocks = a->blocks;
        s->buffer[b->blocks].users++;
    }
    b->dirty = true;
    b->stacked = !same || a->stacked;
    for (int64_t p = 0; p < s->n; p++) {
        b->change[p] = same ? a->change[p] : whole_of(s, to);
        b->have[p] = same ? a->have[p] : whole_of(s, to);
        b->at[p] = a->at[p];
    }
    return CVS_OK;
}

cvs_status cvi_incr_node(cvi_incr *s, int n, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[n];
    cvs_status status = CVS_OK;
    switch ((cvi_incr_mode)s->mode[n]) {
    case CVI_INCR_VIEW:
        status = run_view(s, n, err);
        break;
    case CVI_INCR_PIXELS:
        status = run_pixels(s, n, err);
        break;
    case CVI_INCR_WINDOW:
        status = cvi_incr_window(s, n, err);
        break;
    case CVI_INCR_STACK:
        status = run_stack(s, n, err);
        break;
    case CVI_INCR_EACH:
        status = run_each(s, n, err);
        break;
    case CVI_INCR_NONE:
        status = cvi_fail(err, CVS_E_INTERNAL, "value %.80s was not computed", node->name);
        break;
    }
    return status == CVS_OK ? status : cvi_at_node(err, status, node->name, node->op);
}
