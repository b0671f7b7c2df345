/* SPDX-License-Identifier: MIT
 * plan.c - decides before a run how every node will run: shapes, what can be computed once and for all, which form each
 * value is made in, and its place in the one block of memory. What depends on numbers that only a run knows is marked
 * late and goes through the same decisions then.
 */
#include "engine/plan.h"

static bool is_half(cvs_dtype dtype) {
    return dtype == CVS_F16 || dtype == CVS_BF16;
}

/* Calls visit for every value that node n reads, captures of its subgraphs included, until it answers true. */
bool cvi_plan_reads(const cvi_exec *x, int n, bool (*visit)(void *context, int v), void *context) {
    const cvi_node *node = &x->g->nodes[n];
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && visit(context, node->in[k])) {
            return true;
        }
    }
    for (int a = 0; a < node->n_attr; a++) {
        const cvi_graph *sub = node->attr[a].graph;
        for (int i = 0; sub && i < sub->n_values; i++) {
            if (sub->values[i].outer >= 0 && visit(context, sub->values[i].outer)) {
                return true;
            }
        }
    }
    return false;
}

static bool is_unknown(void *context, int v) {
    return !((const cvi_exec *)context)->slots[v].known;
}

static bool is_open(void *context, int v) { /* may have other numbers in the next run, or has none */
    const cvi_slot *slot = &((const cvi_exec *)context)->slots[v];
    return !slot->constant || slot->moving || !slot->form[CVS_PLAIN].ready;
}

static bool is_variable(void *context, int v) {
    return !((const cvi_exec *)context)->slots[v].constant;
}

/* ---- sources ---------------------------------------------------------------------------------------- */

static void known_constant(cvi_slot *slot, const cvs_tensor *t) {
    slot->shape = *t;
    slot->shape.data = NULL;
    slot->shape.owned = false;
    slot->known = slot->constant = true;
    slot->made[CVS_PLAIN] = true;
    slot->form[CVS_PLAIN].data = t->data;
    slot->form[CVS_PLAIN].ready = t->data || cvs_tensor_count(t) == 0;
}

static void known_captured(const cvi_exec *x, cvi_slot *slot, int outer) {
    cvi_slot *from = &x->parent->slots[outer];
    if (!from->known) {
        return;
    }
    slot->shape = from->shape;
    slot->known = true;
    slot->made[CVS_PLAIN] = true;
    if (from->constant && !from->moving && from->form[CVS_PLAIN].ready) {
        slot->constant = true;
        slot->form[CVS_PLAIN].data = from->form[CVS_PLAIN].data;
        slot->form[CVS_PLAIN].ready = true;
    }
}

static cvs_status plan_sources(cvi_exec *x, const cvs_tensor *inputs, cvs_error *err) {
    const cvi_graph *g = x->g;
    for (int v = 0; v < g->n_values; v++) {
        cvi_slot *slot = &x->slots[v];
        slot->form[0].at = slot->form[1].at = -1;
        if (g->values[v].constant) {
            known_constant(slot, g->values[v].constant);
        } else if (g->values[v].outer >= 0 && x->parent) {
            known_captured(x, slot, g->values[v].outer);
        }
    }
    for (int i = 0; i < g->n_inputs; i++) {
        cvi_slot *slot = &x->slots[g->inputs[i]];
        if (inputs[i].dtype == CVS_NONE) {
            continue; /* a plan for looking only: the shape is unknown */
        }
        slot->shape = (cvs_tensor){.dtype = inputs[i].dtype, .rank = inputs[i].rank};
        memcpy(slot->shape.dim, inputs[i].dim, sizeof slot->shape.dim);
        int64_t bytes = 0;
        if (!cvi_form_bytes(&slot->shape, CVS_PLAIN, &bytes) || bytes > x->max_bytes) {
            char text[200];
            return cvi_fail(err, CVS_E_LIMIT, "input %.80s would be too large: %s",
                            g->values[g->inputs[i]].name,
                            cvs_shape_text(inputs[i].rank, inputs[i].dim, text, sizeof text));
        }
        slot->known = slot->made[CVS_PLAIN] = true;
    }
    return CVS_OK;
}

/* ---- one node --------------------------------------------------------------------------------------- */

static cvs_status infer(cvi_exec *x, int n, cvi_inputs what, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    CVI_TRY(cvi_call_fill(x, n, &x->call, what, err));
    cvs_status s = node->def->infer(&x->call.ctx);
    cvi_arena_reset(x->scratch);
    if (s != CVS_OK) {
        return s == CVS_E_LATE ? s : cvi_at_node(err, s, node->name, node->op);
    }
    for (int k = 0; k < node->n_out; k++) {
        cvi_slot *slot = node->out[k] >= 0 ? &x->slots[node->out[k]] : NULL;
        if (!slot) {
            x->call.out[k] = (cvs_tensor){0};
            continue;
        }
        slot->shape = x->call.out[k];
        slot->shape.data = NULL;
        slot->shape.owned = false;
        slot->shape.layout = CVS_PLAIN;
        slot->known = slot->shape.dtype != CVS_NONE;
    }
    return CVS_OK;
}

static bool can_fold(const cvi_exec *x, int n) {
    const cvi_node *node = &x->g->nodes[n];
    const cvi_step *step = &x->steps[n];
    if (!node->def->forward || (node->def->flags & CVI_OP_RANDOM) || step->late) {
        return false;
    }
    int64_t total = 0;
    for (int k = 0; k < node->n_out; k++) {
        int64_t bytes = 0;
        if (node->out[k] >= 0 && (!cvi_form_bytes(&x->slots[node->out[k]].shape, CVS_PLAIN, &bytes) ||
                                  !cvi_add(total, bytes, &total))) {
            return false;
        }
    }
    if (total > CVI_FOLD_ONE || x->fold_bytes + total > CVI_FOLD_ALL) {
        return false;
    }
    return (node->def->flags & CVI_OP_OF_SHAPE) || !cvi_plan_reads(x, n, is_open, (void *)(uintptr_t)x);
}

static cvs_status fold(cvi_exec *x, int n, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    bool of_shape = (node->def->flags & CVI_OP_OF_SHAPE) != 0;
    x->steps[n].kind = CVI_STEP_FOLDED;
    CVI_TRY(cvi_call_fill(x, n, &x->call, of_shape ? CVI_IN_READY : CVI_IN_PLAIN, err));
    x->phase = CVI_PHASE_RUN; /* a subgraph shall answer with numbers */
    cvs_status s = cvi_exec_call(x, n, &x->call, err);
    x->phase = CVI_PHASE_PLAN;
    CVI_TRY(s);
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            cvi_slot *slot = &x->slots[node->out[k]];
            slot->constant = true;
            slot->made[CVS_PLAIN] = true;
            x->fold_bytes += (int64_t)slot->form[CVS_PLAIN].own_bytes;
        }
    }
    return CVS_OK;
}

static bool is_view(const cvi_exec *x, int n) {
    const cvi_node *node = &x->g->nodes[n];
    if (!(node->def->flags & (CVI_OP_IDENTITY | CVI_OP_RESHAPE)) || node->n_in < 1 || node->in[0] < 0) {
        return false;
    }
    if ((node->def->flags & CVI_OP_IDENTITY) && (x->options.training || node->n_in > 2)) {
        return false; /* a third input of Dropout may switch it on */
    }
    for (int k = 1; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            return false; /* Dropout's mask */
        }
    }
    const cvs_tensor *a = &x->slots[node->in[0]].shape, *b = &x->slots[node->out[0]].shape;
    return node->out[0] >= 0 && a->dtype == b->dtype && cvs_tensor_count(a) == cvs_tensor_count(b);
}

static void plan_view(cvi_exec *x, int n) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_slot *from = &x->slots[node->in[0]], *to = &x->slots[node->out[0]];
    x->steps[n].kind = CVI_STEP_VIEW;
    to->constant = from->constant;
    to->moving = from->moving;
    to->form[CVS_PLAIN].ready = false;
    if (from->constant && from->form[CVS_PLAIN].ready) {
        to->form[CVS_PLAIN].data = from->form[CVS_PLAIN].data;
        to->form[CVS_PLAIN].ready = true;
    }
}

/* Whether what `prepare` makes depends on numbers that can change from run to run. */
static bool must_repack(const cvi_exec *x, int n) {
    const cvi_node *node = &x->g->nodes[n];
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0 && cvi_op_role(node->def, k) != CVI_DATA &&
            is_variable((void *)(uintptr_t)x, node->in[k])) {
            return true;
        }
    }
    return x->steps[n].late;
}

static bool touches_half(const cvi_exec *x, const cvi_node *node) {
    bool half = false;
    for (int k = 0; k < node->n_in; k++) {
        half = half || (node->in[k] >= 0 && is_half(x->slots[node->in[k]].shape.dtype));
    }
    for (int k = 0; k < node->n_out; k++) {
        half = half || (node->out[k] >= 0 && is_half(x->slots[node->out[k]].shape.dtype));
    }
    return half;
}

static cvs_status choose(cvi_exec *x, int n, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_step *step = &x->steps[n];
    bool half = touches_half(x, node);
    step->kind = CVI_STEP_RUN;
    step->fast = false;
    if (node->def->fast && node->def->can_fast && !x->options.plain && !half) {
        CVI_TRY(cvi_call_fill(x, n, &x->call, CVI_IN_CONSTANTS, err));
        step->fast = node->def->can_fast(&x->call.ctx);
        cvi_arena_reset(x->scratch);
    }
    step->repack = must_repack(x, n);
    return CVS_OK;
}

/* Where node n reads a value in a form that nobody makes, the run converts it: a place for that. */
static cvs_status place_inputs(cvi_exec *x, int n, int at, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    for (int k = 0; k < node->n_in; k++) {
        cvi_slot *slot = node->in[k] >= 0 ? &x->slots[node->in[k]] : NULL;
        cvs_layout form = slot ? cvi_step_form(x, n, k) : CVS_PLAIN;
        if (slot && !slot->made[form] && !slot->late && !slot->inner && !slot->vanishes &&
            x->phase == CVI_PHASE_PLAN) {
            CVI_TRY(cvi_memory_place(x, node->in[k], form, at, err));
        }
    }
    return CVS_OK;
}

static cvs_status place_outputs(cvi_exec *x, int n, int at, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_step *step = &x->steps[n];
    for (int k = 0; k < node->n_out; k++) {
        cvi_slot *slot = node->out[k] >= 0 ? &x->slots[node->out[k]] : NULL;
        if (slot && slot->vanishes) {
            slot->made[cvi_step_writes(x, n, &slot->shape)] = true;
        } else if (slot && !slot->inner) {
            cvs_layout form = cvi_step_writes(x, n, &slot->shape);
            slot->made[form] = true;
            slot->late = step->late;
            if (!step->late) {
                CVI_TRY(cvi_memory_place(x, node->out[k], form, at, err));
            }
        }
    }
    return CVS_OK;
}

static void view_made(cvi_exec *x, int n) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_slot *from = &x->slots[node->in[0]], *to = &x->slots[node->out[0]];
    bool same = !(node->def->flags & CVI_OP_RESHAPE);
    to->made[CVS_PLAIN] = same ? from->made[CVS_PLAIN] : true;
    to->made[CVS_NHWC8] = same && from->made[CVS_NHWC8];
}

static cvs_status place_aux(cvi_exec *x, int n, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_step *step = &x->steps[n];
    step->aux_bytes = 0;
    if (!x->options.keep_aux || !node->def->aux_bytes) {
        return CVS_OK;
    }
    CVI_TRY(cvi_call_fill(x, n, &x->call, CVI_IN_CONSTANTS, err));
    step->aux_bytes = node->def->aux_bytes(&x->call.ctx);
    if (step->aux_bytes > INT64_MAX / 2) {
        return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    return step->late ? cvi_exec_own(x, &step->aux, &step->aux_own, step->aux_bytes, err)
                      : cvi_exec_reserve(x, (int64_t)step->aux_bytes, &step->aux_at, err);
}

/* Memory for a node that is settled. */
static cvs_status place(cvi_exec *x, int n, cvs_error *err) {
    const cvi_step *step = &x->steps[n];
    if (step->kind == CVI_STEP_VIEW) {
        view_made(x, n);
        return CVS_OK;
    }
    if (step->kind != CVI_STEP_RUN) {
        return CVS_OK;
    }
    const cvi_group *group = step->group >= 0 ? &x->groups[step->group] : NULL;
    int at = group ? group->node[group->n - 1] : n; /* the step at which it runs */
    CVI_TRY(place_inputs(x, n, at, err));
    CVI_TRY(place_outputs(x, n, step->joined ? step->birth : at, err));
    return step->group >= 0 ? CVS_OK : place_aux(x, n, err);
}

/* Everything about a node whose output shapes are known. */
static cvs_status settle(cvi_exec *x, int n, cvs_error *err) {
    x->steps[n].widen = !x->g->nodes[n].def->any_type && touches_half(x, &x->g->nodes[n]);
    if (is_view(x, n)) {
        plan_view(x, n);
        return CVS_OK;
    }
    if (can_fold(x, n)) {
        return fold(x, n, err);
    }
    return choose(x, n, err);
}

/* Where an unknown operator stands, the shapes that the file declares are the best that is known. */
static void declared_shapes(cvi_exec *x, int n) {
    const cvi_node *node = &x->g->nodes[n];
    x->steps[n].kind = CVI_STEP_UNKNOWN;
    for (int k = 0; k < node->n_out; k++) {
        const cvi_value *value = node->out[k] >= 0 ? &x->g->values[node->out[k]] : NULL;
        bool known = value && value->rank >= 0 && value->dtype != CVS_NONE;
        for (int i = 0; known && i < value->rank; i++) {
            known = value->dim[i] >= 0;
        }
        if (known) {
            cvi_slot *slot = &x->slots[node->out[k]];
            int64_t bytes = 0;
            slot->shape = (cvs_tensor){.dtype = value->dtype, .rank = value->rank};
            memcpy(slot->shape.dim, value->dim, sizeof slot->shape.dim);
            slot->known = cvi_form_bytes(&slot->shape, CVS_PLAIN, &bytes);
            slot->made[CVS_PLAIN] = true;
        }
    }
}

static cvs_status plan_node(cvi_exec *x, int n, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_step *step = &x->steps[n];
    step->aux_at = -1;
    if (!node->def) {
        declared_shapes(x, n);
        return CVS_OK;
    }
    cvs_status s = CVS_E_LATE;
    if (!cvi_plan_reads(x, n, is_unknown, x)) {
        s = infer(x, n, CVI_IN_READY, err);
        if (s == CVS_E_LATE) {
            cvi_error_clear(err);
        }
    }
    if (s == CVS_E_LATE) {
        step->late = true;
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] >= 0) {
                x->slots[node->out[k]].late = true;
                x->slots[node->out[k]].known = false;
            }
        }
        return CVS_OK;
    }
    CVI_TRY(s);
    s = settle(x, n, err);
    return s == CVS_OK ? s : cvi_at_node(err, s, node->name, node->op);
}

static void mark_kept(cvi_exec *x) {
    for (int i = 0; i < x->g->n_outputs; i++) {
        x->slots[x->g->outputs[i]].keep = true;
    }
    for (int i = 0; i < x->options.n_keep; i++) {
        int v = x->options.keep_values[i];
        if (v >= 0 && v < x->g->n_values) {
            x->slots[v].keep = true;
        }
    }
    x->options.keep_values = NULL; /* it was the caller's */
    x->options.n_keep = 0;
}

cvs_status cvi_plan_build(cvi_exec *x, const cvs_tensor *inputs, cvs_error *err) {
    x->phase = CVI_PHASE_PLAN;
    CVI_TRY(plan_sources(x, inputs, err));
    mark_kept(x);
    for (int n = 0; n < x->g->n_nodes; n++) {
        CVI_TRY(plan_node(x, n, err));
    }
    CVI_TRY(cvi_fuse_find(x, err));
    CVI_TRY(cvi_parts_find(x, err));
    CVI_TRY(cvi_branches_find(x, err));
    CVI_TRY(cvi_bands_find(x, err));
    for (int n = 0; n < x->g->n_nodes; n++) {
        if (!x->steps[n].late) {
            CVI_TRY(place(x, n, err));
        }
    }
    return cvi_memory_assign(x, err);
}

cvs_status cvi_plan_late(cvi_exec *x, int n, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    x->phase = CVI_PHASE_LATE;
    cvs_status s = infer(x, n, CVI_IN_READY, err);
    if (s == CVS_E_LATE) {
        cvi_error_clear(err);
        s = infer(x, n, CVI_IN_PLAIN, err);
    }
    if (s == CVS_OK) {
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] >= 0) {
                cvi_slot *slot = &x->slots[node->out[k]];
                slot->made[0] = slot->made[1] = false;
                slot->form[0].at = slot->form[1].at = -1;
            }
        }
        s = settle(x, n, err);
    }
    if (s == CVS_OK) {
        s = place(x, n, err);
    }
    x->phase = CVI_PHASE_RUN;
    return s == CVS_OK ? s : cvi_at_node(err, s, node->name, node->op);
}
