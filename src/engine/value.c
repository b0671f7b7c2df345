/* SPDX-License-Identifier: MIT
 * value.c - the numbers of values: their forms in memory, conversion between the forms, what an operator gets to see of
 * them, and what callers read after a run.
 */
#include "engine/plan.h"
#include "kernels/kernels.h"

cvi_role cvi_op_role(const cvi_op *op, int k) {
    return op->n_inputs == 0 ? CVI_DATA : op->inputs[CVI_MIN(k, op->n_inputs - 1)].role;
}

/* Only float32 pictures have a channels-last form. */
static bool has_fast_form(const cvs_tensor *shape) {
    return shape->rank == 4 && shape->dtype == CVS_F32;
}

cvs_layout cvi_step_form(const cvi_exec *x, int n, int k) {
    const cvi_node *node = &x->g->nodes[n];
    const cvi_step *step = &x->steps[n];
    bool fast = step->kind == CVI_STEP_RUN && step->fast && node->def->fast_layout == CVS_NHWC8 &&
                cvi_op_role(node->def, k) == CVI_DATA && has_fast_form(&x->slots[node->in[k]].shape);
    return fast ? CVS_NHWC8 : CVS_PLAIN;
}

cvs_layout cvi_step_writes(const cvi_exec *x, int n, const cvs_tensor *shape) {
    const cvi_step *step = &x->steps[n];
    bool fast = step->kind == CVI_STEP_RUN && step->fast && x->g->nodes[n].def->fast_layout == CVS_NHWC8 &&
                has_fast_form(shape);
    return fast ? CVS_NHWC8 : CVS_PLAIN;
}

bool cvi_form_bytes(const cvs_tensor *shape, cvs_layout form, int64_t *bytes) {
    if (form == CVS_PLAIN) {
        int64_t count = cvs_tensor_count(shape);
        return count >= 0 && cvi_mul(count, (int64_t)cvs_dtype_size(shape->dtype), bytes);
    }
    int64_t pitch = 0, n = 0;
    return cvi_add(shape->dim[1], 7, &pitch) && cvi_mul(pitch / 8 * 8, (int64_t)sizeof(float), &n) &&
           cvi_mul(n, shape->dim[0], &n) && cvi_mul(n, shape->dim[2], &n) && cvi_mul(n, shape->dim[3], bytes);
}

cvs_status cvi_exec_check_limit(const cvi_exec *x, int64_t bytes, cvs_error *err) {
    if (bytes > x->max_bytes) {
        return cvi_fail(
            err, CVS_E_LIMIT,
            "running this model at this size needs more than %lld MiB of memory, the limit is %lld MiB",
            (long long)((bytes - 1) >> 20), (long long)(x->max_bytes >> 20));
    }
    return CVS_OK;
}

cvs_status cvi_exec_reserve(cvi_exec *x, int64_t bytes, int64_t *at, cvs_error *err) {
    int64_t end = 0;
    if (bytes == 0) {
        return CVS_OK;
    }
    if (!cvi_add(x->block_bytes, bytes, &end) || !cvi_add(end, 63, &end)) {
        return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    CVI_TRY(cvi_exec_check_limit(x, x->options.described ? bytes : end, err));
    *at = x->block_bytes;
    x->block_bytes = end / 64 * 64;
    return CVS_OK;
}

cvs_status cvi_exec_own(cvi_exec *x, void **own, size_t *own_bytes, size_t bytes, cvs_error *err) {
    if (bytes <= *own_bytes) {
        return CVS_OK;
    }
    cvi_free(*own);
    x->own_bytes -= (int64_t)*own_bytes;
    *own = NULL;
    *own_bytes = 0;
    int64_t total = 0;
    if (!cvi_add(x->options.described ? 0 : x->block_bytes, x->own_bytes, &total) ||
        !cvi_add(total, (int64_t)bytes, &total)) {
        total = INT64_MAX;
    }
    CVI_TRY(cvi_exec_check_limit(x, total, err));
    *own = cvi_malloc(bytes);
    if (!*own) {
        return cvi_no_memory(err, bytes);
    }
    *own_bytes = bytes;
    x->own_bytes += (int64_t)bytes;
    return CVS_OK;
}

cvs_status cvi_exec_memory(cvi_exec *x, int v, cvs_layout form, void **data, cvs_error *err) {
    cvi_slot *slot = &x->slots[v];
    cvi_form *f = &slot->form[form];
    int64_t bytes = 0;
    *data = NULL;
    if (!cvi_form_bytes(&slot->shape, form, &bytes)) {
        return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    if (bytes == 0) {
        return CVS_OK;
    }
    if (f->at >= 0 && x->block && (x->passing || !slot->shared) && (x->now || slot->part < 0)) {
        *data = x->block + f->at;
        return CVS_OK;
    }
    CVI_TRY(cvi_exec_own(x, &f->own, &f->own_bytes, (size_t)bytes, err));
    *data = f->own;
    return CVS_OK;
}

static void convert(const cvi_exec *x, const cvs_tensor *shape, cvs_layout to, const void *from, void *out) {
    int64_t pixels = shape->dim[2] * shape->dim[3];
    if (to == CVS_NHWC8) {
        cvi_to_nhwc8(x->options.pool, shape->dim[0], shape->dim[1], pixels, from, out);
    } else {
        cvi_from_nhwc8(x->options.pool, shape->dim[0], shape->dim[1], pixels, from, out);
    }
}

/* All of a value, or, where only a run of parts reads it, the samples of the part under way. */
static void convert_piece(const cvi_exec *x, int v, cvs_layout to, const void *from, void *out) {
    const cvi_slot *slot = &x->slots[v];
    cvs_tensor shape = slot->shape;
    if (x->now && slot->part >= 0) {
        shape.dim[0] = x->now->samples;
        from = (const float *)from + x->sample * shape.dim[1] * shape.dim[2] * shape.dim[3];
    }
    convert(x, &shape, to, from, out);
}

cvs_status cvi_exec_form(cvi_exec *x, int v, cvs_layout form, void **data, cvs_error *err) {
    cvi_slot *slot = &x->slots[v];
    cvi_form *f = &slot->form[form], *other = &slot->form[form == CVS_PLAIN ? CVS_NHWC8 : CVS_PLAIN];
    if (!f->ready && slot->known && !slot->constant && x->g->values[v].outer >= 0 && form == CVS_PLAIN) {
        CVI_TRY(cvi_exec_form(x->parent, x->g->values[v].outer, CVS_PLAIN, &f->data, err));
        f->ready = true;
    }
    if (!f->ready && form == CVS_NHWC8 && !other->ready && x->g->values[v].outer >= 0) {
        void *plain = NULL;
        CVI_TRY(cvi_exec_form(x, v, CVS_PLAIN, &plain, err));
    }
    if (!f->ready && !other->ready) {
        CVI_TRY(cvi_exec_again(x, v, err));
    }
    if (!f->ready) {
        if (!other->ready || !has_fast_form(&slot->shape)) {
            const cvi_value *value = &x->g->values[v];
            if (value->constant && !slot->form[CVS_PLAIN].data) {
                return cvi_fail(
                    err, CVS_E_ARGUMENT,
                    "the model has no weights (%.80s has no numbers); --init SEED gives it random ones",
                    value->name);
            }
            return cvi_fail(err, CVS_E_INTERNAL, "value %.80s was not computed", value->name);
        }
        void *memory = NULL;
        CVI_TRY(cvi_exec_memory(x, v, form, &memory, err));
        if (memory) {
            convert_piece(x, v, form, other->data, memory);
        }
        f->data = memory;
        f->ready = true;
    }
    *data = f->data;
    return CVS_OK;
}

static cvs_status fill_input(cvi_exec *x, int n, int k, cvi_inputs what, cvs_tensor *t, cvs_error *err) {
    int v = x->g->nodes[n].in[k];
    cvi_slot *slot = &x->slots[v];
    cvs_layout form = what == CVI_IN_STEP || what == CVI_IN_CONSTANTS || what == CVI_IN_PARAMETERS
                          ? cvi_step_form(x, n, k)
                          : CVS_PLAIN;
    int64_t bytes = 0;
    *t = slot->shape;
    t->layout = form;
    t->data = NULL;
    bool wanted = what == CVI_IN_PLAIN || what == CVI_IN_STEP ||
                  (what == CVI_IN_READY && slot->form[CVS_PLAIN].ready &&
                   (slot->constant || x->phase != CVI_PHASE_PLAN)) ||
                  (what == CVI_IN_PARAMETERS && slot->constant) ||
                  (what == CVI_IN_CONSTANTS && slot->constant && slot->form[CVS_PLAIN].ready);
    if (wanted) {
        CVI_TRY(cvi_exec_form(x, v, form, &t->data, err));
    }
    if (!cvi_form_bytes(&slot->shape, form, &bytes)) {
        return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    t->bytes = (size_t)bytes;
    return CVS_OK;
}

cvs_status cvi_call_fill(cvi_exec *x, int n, cvi_call *call, cvi_inputs what, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    call->ctx = (cvi_opctx){
        .graph = x->g,
        .node = node,
        .op = node->def,
        .n_in = node->n_in,
        .n_out = node->n_out,
        .in = call->pin,
        .out = call->out,
        .pool = x->options.pool,
        .scratch = x->scratch,
        .prepared = x->steps[n].prepared,
        .aux = x->steps[n].aux,
        .training = x->options.training,
        .exact = x->options.exact,
        .plain = x->options.plain,
        .seed = cvi_random_bits(x->options.seed, 0x6e6f6465, (uint64_t)n),
        .run_graph = cvi_exec_run_graph,
        .run_body = cvi_exec_run_body,
        .end_body = cvi_exec_end_body,
        .keep_outputs = cvi_exec_keep_outputs,
        .take_outputs = cvi_exec_take_outputs,
        .engine = x,
        .err = err,
    };
    for (int k = 0; k < node->n_in; k++) {
        call->pin[k] = NULL;
        if (node->in[k] >= 0) {
            cvs_status s = fill_input(x, n, k, what, &call->in[k], err);
            if (s != CVS_OK) {
                return cvi_at_node(err, s, node->name, node->op);
            }
            call->pin[k] = &call->in[k];
            cvi_part_narrow(x, node->in[k], &call->in[k]);
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        call->out[k] = (cvs_tensor){0};
        if (node->out[k] >= 0 && x->slots[node->out[k]].known) {
            call->out[k] = x->slots[node->out[k]].shape;
            call->out[k].layout = x->now ? cvi_step_writes(x, n, &call->out[k]) : CVS_PLAIN;
            cvi_part_narrow(x, node->out[k], &call->out[k]);
        }
    }
    return CVS_OK;
}

/* The nearest unknown operator that a value comes out of, or -1. */
static int unknown_before(const cvi_graph *g, int value) {
    int found = -1, n = 0;
    int *list = cvi_calloc((size_t)g->n_nodes + 1, sizeof *list);
    bool *seen = cvi_calloc((size_t)g->n_nodes + 1, sizeof *seen);
    int from = g->values[value].producer;
    if (list && seen && from >= 0) {
        seen[list[n++] = from] = true;
    }
    for (int i = 0; i < n && found < 0; i++) {
        const cvi_node *node = &g->nodes[list[i]];
        found = node->def ? -1 : list[i];
        for (int k = 0; k < node->n_in; k++) {
            int p = node->in[k] >= 0 ? g->values[node->in[k]].producer : -1;
            if (p >= 0 && !seen[p]) {
                seen[list[n++] = p] = true;
            }
        }
    }
    cvi_free(list);
    cvi_free(seen);
    return found;
}

static cvs_status shape_late(const cvi_graph *g, int value, cvs_error *err) {
    int node = unknown_before(g, value);
    if (node >= 0) {
        return cvi_fail(
            err, CVS_E_LATE,
            "the shape of %.100s cannot be known: it comes out of %.100s, whose operator %.60s is unknown",
            g->values[value].name, g->nodes[node].name, g->nodes[node].op);
    }
    return cvi_fail(err, CVS_E_LATE, "the shape of %.100s is known only while running",
                    g->values[value].name);
}

cvs_status cvi_exec_value(cvi_exec *x, int value, cvs_tensor *out, cvs_error *err) {
    *out = (cvs_tensor){0};
    if (value < 0 || value >= x->g->n_values) {
        return cvi_fail(err, CVS_E_INTERNAL, "there is no value %d", value);
    }
    cvi_slot *slot = &x->slots[value];
    if (!slot->known) {
        return shape_late(x->g, value, err);
    }
    int64_t bytes = 0;
    *out = slot->shape;
    if (!cvi_form_bytes(&slot->shape, CVS_PLAIN, &bytes)) {
        return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    out->bytes = (size_t)bytes;
    CVI_TRY(cvi_exec_again(x, value, err));
    if (slot->form[CVS_PLAIN].ready || slot->form[CVS_NHWC8].ready) {
        return cvi_exec_form(x, value, CVS_PLAIN, &out->data, err);
    }
    return CVS_OK;
}

cvs_status cvi_exec_opctx(cvi_exec *x, int node, cvi_opctx *ctx, cvs_error *err) {
    if (node < 0 || node >= x->g->n_nodes || !x->g->nodes[node].def) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "this node has no known operator");
    }
    const cvi_node *n = &x->g->nodes[node];
    for (int k = 0; k < n->n_in + n->n_out; k++) {
        int v = k < n->n_in ? n->in[k] : n->out[k - n->n_in];
        if (v >= 0 && !x->slots[v].known) {
            return shape_late(x->g, v, err);
        }
    }
    for (int k = 0; k < n->n_in; k++) {
        if (n->in[k] >= 0) {
            CVI_TRY(cvi_exec_again(x, n->in[k], err));
        }
    }
    CVI_TRY(cvi_call_fill(x, node, &x->shown, CVI_IN_READY, err));
    for (int k = 0; k < n->n_out; k++) {
        if (n->out[k] >= 0) {
            CVI_TRY(cvi_exec_value(x, n->out[k], &x->shown.out[k], err));
        }
    }
    *ctx = x->shown.ctx;
    return CVS_OK;
}

/* After constant `value` was replaced or given back: marks what depends on overridden constants, which is computed anew in
 * every run, and forgets what was prepared from other numbers. Fails where it decides a shape. */
static cvs_status spread_moving(cvi_exec *x, int value, cvs_error *err) {
    const cvi_graph *g = x->g;
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        cvi_step *step = &x->steps[n];
        bool moving = false, changed = false;
        for (int k = 0; k < node->n_in; k++) {
            bool moves = node->in[k] >= 0 && x->slots[node->in[k]].moving;
            changed =
                changed || node->in[k] == value ||
                (node->in[k] >= 0 && x->slots[node->in[k]].constant && g->values[node->in[k]].producer >= 0);
            if (moves && node->def && cvi_op_role(node->def, k) == CVI_SHAPE) {
                return cvi_fail(err, CVS_E_ARGUMENT, "%.80s cannot be replaced: its numbers decide a shape",
                                g->values[node->in[k]].name);
            }
            moving = moving || moves;
        }
        if (moving || changed || step->repack) {
            cvi_step_drop(x, n);
        }
        for (int k = 0; k < node->n_out; k++) {
            cvi_slot *slot = node->out[k] >= 0 ? &x->slots[node->out[k]] : NULL;
            if (slot && slot->constant && (moving || slot->moving)) {
                slot->moving = moving;
                slot->form[0].ready = slot->form[1].ready = false;
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_exec_override(cvi_exec *x, int value, const cvs_tensor *t, cvs_error *err) {
    const cvs_tensor *constant = value >= 0 && value < x->g->n_values ? x->g->values[value].constant : NULL;
    if (!constant) {
        return cvi_fail(err, CVS_E_ARGUMENT, "only the numbers of a constant can be replaced");
    }
    if (t && (t->dtype != constant->dtype || t->rank != constant->rank || t->layout != CVS_PLAIN ||
              memcmp(t->dim, constant->dim, sizeof(int64_t) * (size_t)t->rank) != 0)) {
        char a[200], b[200];
        return cvi_fail(err, CVS_E_SHAPE, "%.80s is %s %s, its replacement %s %s", x->g->values[value].name,
                        cvs_dtype_name(constant->dtype),
                        cvs_shape_text(constant->rank, constant->dim, a, sizeof a), cvs_dtype_name(t->dtype),
                        cvs_shape_text(t->rank, t->dim, b, sizeof b));
    }
    cvi_slot *slot = &x->slots[value];
    cvi_back_free(x); /* its plans may hold factors made from the old numbers */
    bool was = slot->moving;
    slot->moving = t != NULL;
    cvs_status s = was == slot->moving ? CVS_OK : spread_moving(x, value, err);
    if (s != CVS_OK) {
        slot->moving = was;
        (void)spread_moving(x, value, NULL);
        return s;
    }
    x->n_moving += (int)slot->moving - (int)was;
    slot->form[CVS_PLAIN].data = t ? t->data : constant->data;
    slot->form[CVS_PLAIN].ready = slot->form[CVS_PLAIN].data || cvs_tensor_count(constant) == 0;
    slot->form[CVS_NHWC8].ready = false;
    return CVS_OK;
}

int64_t cvi_exec_bytes(const cvi_exec *x) {
    return x->block_bytes + x->own_bytes;
}
