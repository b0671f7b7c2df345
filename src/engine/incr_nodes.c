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

/* ---- units ------------------------------------------------------------------------------------------------ */

bool cvi_incr_unit(const cvi_incr *s, int n, cvi_unit *u) {
    const cvi_exec *x = s->x;
    int g = x->steps[n].group;
    *u = (cvi_unit){
        .n = n, .last = n, .out = x->g->nodes[n].n_out > 0 ? x->g->nodes[n].out[0] : -1, .residual = -1};
    if (g < 0 || s->split[g]) {
        return true;
    }
    u->group = &x->groups[g];
    u->n = u->group->node[0];
    u->out = u->group->out;
    u->residual = u->group->residual;
    return n == u->group->node[u->group->n - 1];
}

/* A node of a group that runs by itself has weights of its own. */
static cvs_status ready_alone(cvi_incr *s, int n, void **prepared, cvs_error *err) {
    cvi_exec *x = s->x;
    const cvi_op *op = x->g->nodes[n].def;
    cvi_step *step = &x->steps[n];
    bool head = step->group >= 0 && x->groups[step->group].node[0] == n;
    void **mine = head ? &step->alone : &step->prepared;
    if (!*mine && step->fast && op->prepare) {
        CVI_TRY(cvi_call_fill(x, n, &s->call, CVI_IN_STEP, err));
        cvs_status status = op->prepare(&s->call.ctx, mine);
        cvi_arena_reset(x->scratch);
        CVI_TRY(status);
        step->ready = step->ready || !head;
    }
    *prepared = *mine;
    return CVS_OK;
}

cvs_status cvi_incr_fill(cvi_incr *s, const cvi_unit *u, cvi_inputs what, cvs_error *err) {
    void *prepared = s->x->steps[u->n].prepared;
    if (!u->group && s->x->steps[u->n].group >= 0) {
        CVI_TRY(ready_alone(s, u->n, &prepared, err));
    }
    CVI_TRY(cvi_call_fill(s->x, u->n, &s->call, what, err));
    s->call.ctx.aux = NULL;
    s->call.ctx.prepared = prepared;
    if (u->group) {
        s->epilogue = u->group->epilogue;
        s->epilogue.residual = NULL;
        s->call.ctx.epilogue = &s->epilogue;
    }
    return CVS_OK;
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

/* Output k of the unit. */
static int output_of(const cvi_incr *s, const cvi_unit *u, int k) {
    return k == 0 ? u->out : s->x->g->nodes[u->n].out[k];
}

/* The residual for all positions. */
static cvs_status whole_residual(cvi_incr *s, const cvi_unit *u, cvs_error *err) {
    char *data = NULL;
    if (u->residual >= 0) {
        CVI_TRY(
            cvi_incr_stack(s, u->residual, out_form(s, u->n, u->out, s->x->steps[u->n].fast), &data, err));
        s->epilogue.residual = (const float *)(const void *)data;
    }
    return CVS_OK;
}

/* Inputs and outputs of position 0. */
static cvs_status begin_each(cvi_incr *s, const cvi_unit *u, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[u->n];
    char *data = NULL;
    CVI_TRY(cvi_incr_fill(s, u, CVI_IN_STEP, err));
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && s->lanes[node->in[k]].dirty) {
            CVI_TRY(cvi_incr_stack(s, node->in[k], s->call.in[k].layout, &data, err));
            s->call.in[k].data = data;
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        int v = output_of(s, u, k);
        cvs_tensor *t = &s->call.out[k];
        *t = (cvs_tensor){0};
        if (v >= 0) {
            *t = s->x->slots[v].shape;
            t->layout = out_form(s, u->n, v, s->x->steps[u->n].fast);
            CVI_TRY(begin_whole(s, v, t->layout, &data, err));
            t->data = data;
            t->bytes = (size_t)cvi_lane_bytes(s, v, t->layout);
        }
    }
    return whole_residual(s, u, err);
}

static cvs_status run_each(cvi_incr *s, const cvi_unit *u, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[u->n];
    bool fast = s->x->steps[u->n].fast;
    CVI_TRY(begin_each(s, u, err));
    for (int64_t p = 0; p < s->n; p++) {
        cvs_status status = fast ? node->def->fast(&s->call.ctx) : node->def->forward(&s->call.ctx);
        cvi_arena_reset(s->x->scratch);
        CVI_TRY(status);
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] >= 0 && s->lanes[node->in[k]].dirty) {
                cvs_tensor *t = &s->call.in[k];
                t->data = (char *)t->data + cvi_lane_bytes(s, node->in[k], t->layout);
            }
        }
        for (int k = 0; k < node->n_out; k++) {
            if (output_of(s, u, k) >= 0) {
                s->call.out[k].data = (char *)s->call.out[k].data + s->call.out[k].bytes;
            }
        }
        if (u->residual >= 0) {
            s->epilogue.residual += s->call.out[0].bytes / sizeof(float);
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

static cvs_status run_stack(cvi_incr *s, const cvi_unit *u, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[u->n];
    bool fast = s->x->steps[u->n].fast;
    char *data = NULL;
    CVI_TRY(cvi_incr_fill(s, u, fast ? CVI_IN_STEP : CVI_IN_PLAIN, err));
    bool able = can_stack(s, u->n);
    if (able && fast && node->def->can_fast && !node->def->can_fast(&s->call.ctx)) {
        able = false;
    }
    cvi_arena_reset(s->x->scratch);
    if (!able) {
        return run_each(s, u, err);
    }
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && s->lanes[node->in[k]].dirty) {
            CVI_TRY(cvi_incr_stack(s, node->in[k], s->call.in[k].layout, &data, err));
            s->call.in[k].data = data;
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        int v = output_of(s, u, k);
        if (v >= 0) {
            cvs_tensor *t = &s->call.out[k];
            t->layout = out_form(s, u->n, v, fast);
            CVI_TRY(begin_whole(s, v, t->layout, &data, err));
            t->data = data;
            t->bytes = (size_t)(s->n * cvi_lane_bytes(s, v, t->layout));
        }
    }
    CVI_TRY(whole_residual(s, u, err));
    cvs_status status = fast ? node->def->fast(&s->call.ctx) : node->def->forward(&s->call.ctx);
    cvi_arena_reset(s->x->scratch);
    return status;
}

/* ---- pixel by pixel ------------------------------------------------------------------------------------------ */

typedef struct pixel_job {
    const cvi_unit *u;
    int v;           /* output */
    int64_t rows;    /* pixels in all */
    int64_t *who;    /* [batch] positions with something to do */
    int64_t *places; /* [batch] pixels before each */
    cvi_box *box;
    int64_t n_who;
    bool whole;
    int *buffer; /* [n_in + 1] cut inputs and the residual, -1 = none */
} pixel_job;

/* Input k of the unit; the residual counts as one more. */
static int input_of(const cvi_incr *s, const cvi_unit *u, int k) {
    const cvi_node *node = &s->x->g->nodes[u->n];
    return k < node->n_in ? node->in[k] : u->residual;
}

static int64_t area(const cvi_box *b) {
    return b->h * b->w;
}

/* What can change; false where an input that changed is spread over the positions of the others. */
static bool measure_pixels(cvi_incr *s, const pixel_job *j, int64_t *sum, bool *stacked) {
    int n_in = s->x->g->nodes[j->u->n].n_in;
    cvi_lane *out = &s->lanes[j->v];
    *sum = 0;
    *stacked = false;
    for (int64_t p = 0; p < s->n; p++) {
        out->change[p] = s->edited[j->v] ? cvi_edit_around(s, j->v, p) : (cvi_box){0};
    }
    for (int k = 0; k <= n_in; k++) {
        int v = input_of(s, j->u, k);
        if (v < 0 || !s->lanes[v].dirty) {
            continue;
        }
        if (k < n_in && !is_map(s, j->u->n, k)) {
            return false;
        }
        *stacked = *stacked || s->lanes[v].stacked;
        for (int64_t p = 0; p < s->n; p++) {
            out->change[p] = cvi_box_join(&out->change[p], &s->lanes[v].change[p]);
        }
    }
    for (int64_t p = 0; p < s->n; p++) {
        *sum += area(&out->change[p]);
    }
    return true;
}

/* The lane whose blocks may serve as they are: they contain what changed and are not much larger. */
static const cvi_lane *serving(const cvi_incr *s, const pixel_job *j, int64_t sum, int *value) {
    int n_in = s->x->g->nodes[j->u->n].n_in;
    const cvi_lane *out = &s->lanes[j->v], *best = NULL;
    int64_t least = 0;
    for (int k = 0; k <= n_in; k++) {
        int v = input_of(s, j->u, k);
        const cvi_lane *l = v >= 0 ? &s->lanes[v] : NULL;
        bool fits = l && l->dirty && !l->stacked;
        int64_t have = 0;
        for (int64_t p = 0; p < s->n && fits; p++) {
            fits = cvi_box_empty(&out->change[p]) || cvi_box_within(&out->change[p], &l->have[p]);
            have += area(&l->have[p]);
        }
        if (fits && have * 100 <= sum * CROP_PERCENT && (!best || have < least)) {
            best = l;
            least = have;
            *value = v;
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
    int v = input_of(s, j->u, k);
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

static void take_rows(const cvi_incr *s, int v, int64_t rows, const void *data, cvs_tensor *t) {
    *t = s->x->slots[v].shape;
    t->layout = CVS_NHWC8;
    t->dim[2] = 1;
    t->dim[3] = rows;
    t->bytes = (size_t)(rows * cvi_incr_pitch(s, v)) * sizeof(float);
    t->data = (void *)(uintptr_t)data;
}

static cvs_status call_pixels(cvi_incr *s, pixel_job *j, int made, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[j->u->n];
    const float *data = NULL;
    cvs_status status;
    CVI_TRY(cvi_incr_fill(s, j->u, CVI_IN_STEP, err));
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && is_map(s, j->u->n, k)) {
            CVI_TRY(pixels_of(s, j, k, &data, err));
            take_rows(s, node->in[k], j->rows, data, &s->call.in[k]);
        }
    }
    if (j->u->residual >= 0) {
        CVI_TRY(pixels_of(s, j, node->n_in, &data, err));
        s->epilogue.residual = data;
    }
    take_rows(s, j->v, j->rows, s->buffer[made].data, &s->call.out[0]);
    if (node->def->part) {
        cvs_tensor a = s->call.in[0], b = s->call.out[0];
        cvi_part part = {.in = &a, .out = &b};
        s->call.in[0] = s->x->slots[node->in[0]].shape;
        s->call.out[0] = s->x->slots[j->v].shape;
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
    for (int k = 0; k <= s->x->g->nodes[j->u->n].n_in; k++) {
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

static cvs_status run_pixels(cvi_incr *s, const cvi_unit *u, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[u->n];
    pixel_job j = {.u = u, .v = u->out};
    int64_t sum = 0;
    bool stacked = false;
    if (!measure_pixels(s, &j, &sum, &stacked)) {
        return node->def->part ? run_each(s, u, err) : run_stack(s, u, err);
    }
    if (sum == 0) {
        return CVS_OK;
    }
    size_t batch = (size_t)s->n;
    j.who = cvi_calloc(batch, sizeof *j.who);
    j.places = cvi_calloc(batch, sizeof *j.places);
    j.box = cvi_calloc(batch, sizeof *j.box);
    j.buffer = cvi_calloc((size_t)node->n_in + 1, sizeof *j.buffer);
    cvs_status status = CVS_OK;
    if (!j.who || !j.places || !j.box || !j.buffer) {
        status = cvi_no_memory(err, batch * sizeof *j.box);
    } else {
        for (int k = 0; k <= node->n_in; k++) {
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

cvs_status cvi_incr_node(cvi_incr *s, const cvi_unit *u, cvs_error *err) {
    const cvi_node *node = &s->x->g->nodes[u->n];
    cvs_status status = CVS_OK;
    switch ((cvi_incr_mode)s->mode[u->n]) {
    case CVI_INCR_VIEW:
        status = run_view(s, u->n, err);
        break;
    case CVI_INCR_PIXELS:
        status = run_pixels(s, u, err);
        break;
    case CVI_INCR_WINDOW:
        status = cvi_incr_window(s, u, err);
        break;
    case CVI_INCR_STACK:
        status = run_stack(s, u, err);
        break;
    case CVI_INCR_EACH:
        status = run_each(s, u, err);
        break;
    case CVI_INCR_NONE:
        status = cvi_fail(err, CVS_E_INTERNAL, "value %.80s was not computed", node->name);
        break;
    }
    return status == CVS_OK ? status : cvi_at_node(err, status, node->name, node->op);
}
