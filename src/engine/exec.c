/* SPDX-License-Identifier: MIT
 * exec.c - makes, frees and runs an exec: walks the plan's steps in order and calls the operators.
 */
#include "engine/plan.h"

/* ---- life ------------------------------------------------------------------------------------------- */

bool cvi_call_make(const cvi_graph *g, cvi_call *call) {
    size_t n_in = 1, n_out = 1;
    for (int n = 0; n < g->n_nodes; n++) {
        n_in = CVI_MAX(n_in, (size_t)g->nodes[n].n_in);
        n_out = CVI_MAX(n_out, (size_t)g->nodes[n].n_out);
    }
    call->in = cvi_calloc(n_in, sizeof *call->in);
    call->pin = cvi_calloc(n_in, sizeof *call->pin);
    call->out = cvi_calloc(n_out, sizeof *call->out);
    return call->in && call->pin && call->out;
}

void cvi_call_free(cvi_call *call) {
    cvi_free(call->in);
    cvi_free(call->pin);
    cvi_free(call->out);
}

cvs_status cvi_exec_create(const cvi_graph *g, cvi_exec *parent, const cvs_tensor *inputs,
                           const cvi_exec_options *options, cvi_exec **out, cvs_error *err) {
    cvi_exec *x = cvi_calloc(1, sizeof *x);
    *out = NULL;
    if (!x) {
        return cvi_no_memory(err, sizeof *x);
    }
    x->g = g;
    x->parent = parent;
    x->depth = parent ? parent->depth + 1 : 0;
    x->last = -2;
    if (options) {
        x->options = *options;
    }
    cvs_limits limits = cvs_limits_default(NULL);
    x->max_bytes = x->options.max_bytes > 0 ? x->options.max_bytes : limits.max_memory_bytes;
    x->slots = cvi_calloc((size_t)CVI_MAX(g->n_values, 1), sizeof *x->slots);
    x->steps = cvi_calloc((size_t)CVI_MAX(g->n_nodes, 1), sizeof *x->steps);
    x->scratch = cvi_arena_new(x->max_bytes);
    for (int n = 0; x->steps && n < g->n_nodes; n++) {
        x->steps[n].group = x->steps[n].part = -1;
    }
    for (int v = 0; x->slots && v < g->n_values; v++) {
        x->slots[v].part = x->slots[v].into = -1;
    }
    cvs_status s = CVS_OK;
    if (!x->slots || !x->steps || !x->scratch || !cvi_call_make(g, &x->call) ||
        !cvi_call_make(g, &x->shown) || !cvi_call_make(g, &x->again)) {
        s = cvi_no_memory(err, (size_t)g->n_values * sizeof *x->slots);
    } else {
        s = cvi_plan_build(x, inputs, err);
    }
    if (s != CVS_OK) {
        cvi_exec_free(x);
        return s;
    }
    *out = x;
    return CVS_OK;
}

cvs_status cvi_exec_new(const cvi_graph *g, const cvs_tensor *inputs, const cvi_exec_options *options,
                        cvi_exec **out, cvs_error *err) {
    return cvi_exec_create(g, NULL, inputs, options, out, err);
}

static void drop_prepared(const cvi_exec *x, int n, void **prepared) {
    if (*prepared && x->g->nodes[n].def->drop) {
        x->g->nodes[n].def->drop(*prepared);
    }
    *prepared = NULL;
}

void cvi_step_drop(cvi_exec *x, int n) {
    cvi_step *step = &x->steps[n];
    drop_prepared(x, n, &step->prepared);
    drop_prepared(x, n, &step->alone);
    step->ready = false;
    if (step->group >= 0 &&
        x->groups[step->group].node[0] != n) { /* the head holds what was made from this node's numbers */
        cvi_step_drop(x, x->groups[step->group].node[0]);
    }
}

static void drop_child(cvi_step *step) {
    cvi_exec_free(step->child);
    step->child = NULL;
    step->child_graph = NULL;
}

void cvi_exec_free(cvi_exec *x) {
    if (!x) {
        return;
    }
    for (int n = 0; x->steps && n < x->g->n_nodes; n++) {
        cvi_step_drop(x, n);
        drop_child(&x->steps[n]);
        cvi_exec_drop_kept(x, n);
        if (x->steps[n].aux_own) {
            cvi_free(x->steps[n].aux);
        }
    }
    for (int v = 0; x->slots && v < x->g->n_values; v++) {
        cvi_free(x->slots[v].form[0].own);
        cvi_free(x->slots[v].form[1].own);
    }
    cvi_back_free(x);
    cvi_fuse_free(x);
    cvi_free(x->chains);
    cvi_free(x->requests);
    cvi_free(x->parts);
    cvi_free(x->slots);
    cvi_free(x->steps);
    cvi_free(x->block);
    cvi_arena_free(x->scratch);
    cvi_call_free(&x->call);
    cvi_call_free(&x->shown);
    cvi_call_free(&x->again);
    cvi_free(x);
}

/* ---- calling an operator ------------------------------------------------------------------------------ */

/* 16-bit floats: float32 copies in and out, rounded once at the end. */
static cvs_status call_widened(const cvi_op *op, cvi_call *call, cvs_error *err) {
    cvi_opctx *ctx = &call->ctx;
    int n = ctx->n_in + ctx->n_out;
    cvs_tensor *wide = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *wide);
    cvs_tensor *keep = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *keep);
    cvs_status s = wide && keep ? CVS_OK : cvi_no_memory(err, (size_t)n * sizeof *wide);
    for (int i = 0; i < n && s == CVS_OK; i++) {
        cvs_tensor *t = i < ctx->n_in ? &call->in[i] : &call->out[i - ctx->n_in];
        keep[i] = *t;
        if ((i < ctx->n_in && !call->pin[i]) || (t->dtype != CVS_F16 && t->dtype != CVS_BF16)) {
            continue;
        }
        s = i < ctx->n_in ? cvs_tensor_convert(t, CVS_F32, &wide[i], err)
                          : cvs_tensor_new(&wide[i], CVS_F32, t->rank, t->dim, err);
        *t = wide[i];
    }
    if (s == CVS_OK) {
        s = op->forward(ctx);
    }
    for (int i = ctx->n_in; i < n && s == CVS_OK; i++) {
        if (wide[i].data) {
            cvs_tensor narrow = {0};
            s = cvs_tensor_convert(&wide[i], keep[i].dtype, &narrow, err);
            if (s == CVS_OK && narrow.bytes > 0) {
                memcpy(keep[i].data, narrow.data, CVI_MIN(narrow.bytes, keep[i].bytes));
            }
            cvs_tensor_free(&narrow);
        }
    }
    for (int i = 0; wide && keep && i < n; i++) {
        cvs_tensor_free(&wide[i]);
        *(i < ctx->n_in ? &call->in[i] : &call->out[i - ctx->n_in]) = keep[i];
    }
    cvi_free(wide);
    cvi_free(keep);
    return s;
}

/* Memory for a value in the form in which node n writes it, as that node's output. */
static cvs_status give_memory(cvi_exec *x, int n, int v, cvs_tensor *t, cvs_error *err) {
    cvi_slot *slot = &x->slots[v];
    int64_t bytes = 0;
    *t = slot->shape;
    t->layout = cvi_step_writes(x, n, t);
    (void)cvi_form_bytes(t, t->layout, &bytes);
    t->bytes = (size_t)bytes;
    if (cvi_branch_joined(x, v)) {
        return cvi_branch_memory(x, v, t, err);
    }
    CVI_TRY(cvi_exec_memory(x, v, t->layout, &t->data, err));
    slot->form[t->layout].data = t->data;
    cvi_part_narrow(x, v, t);
    return CVS_OK;
}

/* Calls forward or fast with filled inputs; gives the outputs memory and marks them ready. */
cvs_status cvi_exec_call(cvi_exec *x, int n, cvi_call *call, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_step *step = &x->steps[n];
    if (!node->def->forward && !step->fast) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "operator %.60s is known but cannot be computed", node->op);
    }
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            CVI_TRY(give_memory(x, n, node->out[k], &call->out[k], err));
        }
    }
    cvi_epilogue slice = {0};
    if (node->n_out > 0 && node->out[0] >= 0 && cvi_branch_joined(x, node->out[0])) {
        slice.pitch = cvi_branch_pitch(x, node->out[0]);
        call->ctx.epilogue = &slice;
    }
    cvs_status s = step->kind == CVI_STEP_RUN && step->fast ? node->def->fast(&call->ctx)
                   : step->widen                            ? call_widened(node->def, call, err)
                                                            : node->def->forward(&call->ctx);
    cvi_arena_reset(x->scratch);
    for (int k = 0; k < node->n_out && s == CVS_OK; k++) {
        if (node->out[k] >= 0 && !cvi_branch_joined(x, node->out[k])) {
            x->slots[node->out[k]].form[call->out[k].layout].ready = true;
        }
    }
    if (s == CVS_E_LATE) { /* numbers are all there now */
        s = cvi_fail(err, CVS_E_INTERNAL, "the operator asks for numbers that it has");
    }
    return s;
}

/* ---- one step ----------------------------------------------------------------------------------------- */

static void run_view(cvi_exec *x, int n) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_slot *from = &x->slots[node->in[0]], *to = &x->slots[node->out[0]];
    bool same = !(node->def->flags & CVI_OP_RESHAPE);
    for (int form = 0; form < 2; form++) {
        if (from->form[form].ready && (same || form == CVS_PLAIN)) {
            to->form[form].data = from->form[form].data;
            to->form[form].ready = true;
        }
    }
}

static bool reads_moving(void *context, int v) {
    return ((const cvi_exec *)context)->slots[v].moving;
}

/* Whether the weights of node n, or of any node of its group, may have other numbers than in the last run. */
static bool has_moved(cvi_exec *x, int n, const cvi_group *group) {
    if (x->steps[n].repack) {
        return true;
    }
    bool moved = false;
    for (int i = 0; x->n_moving > 0 && !x->settled && i < (group ? group->n : 1); i++) {
        moved = moved || cvi_plan_reads(x, group ? group->node[i] : n, reads_moving, x);
    }
    return moved;
}

/* Packs the weights of node n, with the epilogue of its group (or NULL) worked in. */
static cvs_status prepare(cvi_exec *x, int n, cvi_group *group, cvi_call *call, cvs_error *err) {
    const cvi_op *op = x->g->nodes[n].def;
    cvi_step *step = &x->steps[n];
    bool moved = has_moved(x, n, group);
    if (step->ready && !moved) {
        return CVS_OK;
    }
    if (group) {
        CVI_TRY(cvi_fuse_epilogue(x, group, err));
    }
    if (moved && !(step->ready && step->prepared && op->repack)) {
        cvi_step_drop(x, n);
    }
    step->ready = !op->prepare;
    if (step->ready) {
        return CVS_OK;
    }
    CVI_TRY(cvi_call_fill(x, n, call, moved || group ? CVI_IN_STEP : CVI_IN_CONSTANTS, err));
    call->ctx.epilogue = group ? &group->epilogue : NULL;
    cvs_status s =
        step->prepared ? op->repack(&call->ctx, step->prepared) : op->prepare(&call->ctx, &step->prepared);
    cvi_arena_reset(x->scratch);
    step->ready = s == CVS_OK;
    return s;
}

/* Fills the call of a whole group: its head's operator, with the others as an epilogue. */
static cvs_status fill_group(cvi_exec *x, cvi_group *group, cvs_error *err) {
    int head = group->node[0];
    cvs_tensor residual = {0};
    if (group->residual >= 0) {
        int64_t bytes = 0;
        residual = x->slots[group->residual].shape;
        residual.layout = cvi_step_writes(x, head, &residual);
        CVI_TRY(cvi_exec_form(x, group->residual, residual.layout, &residual.data, err));
        (void)cvi_form_bytes(&residual, residual.layout, &bytes);
        residual.bytes = (size_t)bytes;
        cvi_part_narrow(x, group->residual, &residual);
    }
    CVI_TRY(cvi_call_fill(x, head, &x->call, CVI_IN_STEP, err));
    group->epilogue.residual = residual.data;
    group->epilogue.pitch = cvi_branch_pitch(x, group->out);
    x->call.ctx.epilogue = &group->epilogue;
    return CVS_OK;
}

static void group_done(cvi_exec *x, cvi_group *group) {
    group->epilogue.pitch = 0; /* of this pass only: rectangles of the value lie by themselves */
    for (int i = 0; i < group->n; i++) {
        x->steps[group->node[i]].done = true;
    }
}

/* A whole group writes the last one's output. */
static cvs_status run_group(cvi_exec *x, cvi_group *group, cvs_error *err) {
    int head = group->node[0];
    CVI_TRY(prepare(x, head, group, &x->call, err));
    CVI_TRY(fill_group(x, group, err));
    CVI_TRY(give_memory(x, head, group->out, &x->call.out[0], err));
    cvs_status s = x->g->nodes[head].def->fast(&x->call.ctx);
    group->epilogue.pitch = 0;
    cvi_arena_reset(x->scratch);
    CVI_TRY(s);
    x->slots[group->out].form[x->call.out[0].layout].ready = !cvi_branch_joined(x, group->out);
    group_done(x, group);
    return CVS_OK;
}

/* Fills what each link of a chain needs; the first one's input in *in, the last one's output in *out. */
static cvs_status fill_links(cvi_exec *x, const cvi_chain *chain, cvi_band *links, cvs_tensor *in,
                             cvs_tensor *out, cvs_error *err) {
    for (int i = 0; i < chain->n; i++) {
        int n = chain->head[i];
        cvi_group *group = x->steps[n].group >= 0 ? &x->groups[x->steps[n].group] : NULL;
        CVI_TRY(prepare(x, n, group, &x->call, err));
    }
    for (int i = 0; i < chain->n; i++) {
        int n = chain->head[i];
        cvi_group *group = x->steps[n].group >= 0 ? &x->groups[x->steps[n].group] : NULL;
        CVI_TRY(group ? fill_group(x, group, err) : cvi_call_fill(x, n, &x->call, CVI_IN_STEP, err));
        cvi_epilogue slice = {.pitch = cvi_branch_pitch(x, cvi_chain_output(x, n))};
        if (!group && slice.pitch != 0) {
            x->call.ctx.epilogue = &slice;
        }
        *in = i == 0 ? *x->call.pin[0] : *in;
        if (i + 1 == chain->n) {
            CVI_TRY(give_memory(x, n, cvi_chain_output(x, n), out, err));
        }
        if (!x->g->nodes[n].def->band(&x->call.ctx, &links[i])) {
            return cvi_no_memory(err, sizeof *links);
        }
    }
    return CVS_OK;
}

/* A chain, band by band. Its maps inside count as there while calls are filled, or these would compute them. */
static cvs_status run_chain(cvi_exec *x, const cvi_chain *chain, cvs_error *err) {
    cvi_band links[CVI_CHAIN_MOST] = {0};
    cvs_tensor in = {0}, out = {0};
    for (int i = 0; i + 1 < chain->n; i++) {
        cvi_form *f = &x->slots[cvi_chain_output(x, chain->head[i])].form[CVS_NHWC8];
        f->data = NULL;
        f->ready = true;
    }
    cvs_status s = fill_links(x, chain, links, &in, &out, err);
    if (s == CVS_OK) {
        s = cvi_chain_run(x, chain->n, links, in.dim[0], in.data, out.data, err);
    }
    cvi_arena_reset(x->scratch);
    for (int i = 0; i < chain->n; i++) {
        int n = chain->head[i], v = cvi_chain_output(x, n);
        x->slots[v].form[CVS_NHWC8].ready = s == CVS_OK && i + 1 == chain->n && !cvi_branch_joined(x, v);
        x->steps[n].done = s == CVS_OK;
        if (x->steps[n].group >= 0) {
            group_done(x, &x->groups[x->steps[n].group]);
        }
    }
    return s;
}

static cvs_status run_folded(cvi_exec *x, int n, cvi_call *call, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    bool done = true;
    for (int k = 0; k < node->n_out; k++) {
        done = done && (node->out[k] < 0 || x->slots[node->out[k]].form[CVS_PLAIN].ready);
    }
    if (done) {
        return CVS_OK;
    }
    CVI_TRY(cvi_call_fill(x, n, call, CVI_IN_PLAIN, err));
    return cvi_exec_call(x, n, call, err);
}

/* The head of a group without its epilogue has weights of its own, and so has a step whose others are for a part of the batch. */
static bool has_alone(const cvi_exec *x, int n) {
    const cvi_step *step = &x->steps[n];
    return !x->now && (step->part >= 0 || (step->group >= 0 && x->groups[step->group].node[0] == n));
}

static cvs_status prepare_alone(cvi_exec *x, int n, cvi_call *call, cvs_error *err) {
    const cvi_op *op = x->g->nodes[n].def;
    cvi_step *step = &x->steps[n];
    const cvi_group *group = step->group >= 0 ? &x->groups[step->group] : NULL;
    if (!has_alone(x, n)) {
        return prepare(x, n, NULL, call, err);
    }
    if (has_moved(x, n, group)) {
        drop_prepared(x, n, &step->alone);
    }
    if (step->alone || !op->prepare) {
        return CVS_OK;
    }
    CVI_TRY(cvi_call_fill(x, n, call, CVI_IN_STEP, err));
    cvs_status s = op->prepare(&call->ctx, &step->alone);
    cvi_arena_reset(x->scratch);
    return s;
}

cvs_status cvi_exec_alone(cvi_exec *x, int n, cvi_call *call, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_step *step = &x->steps[n];
    if (step->kind == CVI_STEP_VIEW) {
        void *data = NULL;
        cvi_slot *from = &x->slots[node->in[0]];
        if ((node->def->flags & CVI_OP_RESHAPE) || !(from->form[0].ready || from->form[1].ready)) {
            CVI_TRY(cvi_exec_form(x, node->in[0], CVS_PLAIN, &data, err));
        }
        run_view(x, n);
        return CVS_OK;
    }
    if (step->kind == CVI_STEP_FOLDED) {
        return run_folded(x, n, call, err);
    }
    if (step->aux_bytes > 0 && step->aux_at >= 0) {
        step->aux = x->block + step->aux_at;
    }
    if (step->fast) {
        CVI_TRY(prepare_alone(x, n, call, err));
    }
    CVI_TRY(cvi_call_fill(x, n, call, CVI_IN_STEP, err));
    if (has_alone(x, n)) {
        call->ctx.prepared = step->alone;
    }
    return cvi_exec_call(x, n, call, err);
}

static cvs_status run_step(cvi_exec *x, int n, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    cvi_step *step = &x->steps[n];
    if (cvi_branches_joined(x, n)) { /* all its inputs are where they belong */
        cvs_tensor y;
        CVI_TRY(give_memory(x, n, node->out[0], &y, err));
        x->slots[node->out[0]].form[CVS_NHWC8].ready = x->slots[node->out[0]].holds = true;
        step->done = true;
        return CVS_OK;
    }
    if (step->kind == CVI_STEP_UNKNOWN) {
        cvs_status s = cvi_fail(
            err, CVS_E_UNSUPPORTED,
            "operator %.60s is unknown, so the run stops here (values before it can be read)", node->op);
        return cvi_at_node(err, s, node->name, node->op);
    }
    if (step->late) {
        CVI_TRY(cvi_plan_late(x, n, err));
    }
    cvs_status s = cvi_exec_alone(x, n, &x->call, err);
    drop_child(step);
    cvi_exec_drop_kept(x, n);
    step->done = s == CVS_OK;
    return s == CVS_OK ? s : cvi_at_node(err, s, node->name, node->op);
}

/* Step n of a pass in which `needed` is marked. A group runs at its last node, unless that one is not needed. */
static cvs_status run_next(cvi_exec *x, int n, cvs_error *err) {
    if (cvi_chain_runs(x, n)) {
        const cvi_chain *chain = &x->chains[x->steps[n].chain];
        cvs_status s = n == chain->last ? run_chain(x, chain, err) : CVS_OK;
        const cvi_node *first = &x->g->nodes[chain->head[0]];
        return s == CVS_OK ? s : cvi_at_node(err, s, first->name, first->op);
    }
    cvi_group *group = x->steps[n].group >= 0 ? &x->groups[x->steps[n].group] : NULL;
    int last = group ? group->node[group->n - 1] : n;
    if (!group || !x->steps[last].needed || (x->steps[last].part >= 0 && !x->now && x->last != -1)) {
        return run_step(x, n, err);
    }
    if (n != last) {
        return CVS_OK;
    }
    cvs_status s = run_group(x, group, err);
    const cvi_node *head = &x->g->nodes[group->node[0]];
    return s == CVS_OK ? s : cvi_at_node(err, s, head->name, head->op);
}

static cvs_status tell(const cvi_exec *x, int n, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    if (x->options.progress &&
        !x->options.progress(x->options.progress_context, node->layer ? node->layer : node->name,
                             (double)n / x->g->n_nodes)) {
        return cvi_fail(err, CVS_E_CANCELLED, "cancelled");
    }
    return CVS_OK;
}

static cvs_status run_parts(cvi_exec *x, const cvi_stretch *part, cvs_error *err) {
    cvs_status s = CVS_OK;
    x->now = part;
    for (x->sample = 0; x->sample < part->batch && s == CVS_OK; x->sample += part->samples) {
        for (int i = 0; i < x->g->n_inputs; i++) {
            cvi_slot *slot = &x->slots[x->g->inputs[i]];
            slot->form[CVS_NHWC8].ready = slot->form[CVS_NHWC8].ready && slot->part < 0;
        }
        for (int n = part->first; n <= part->last && s == CVS_OK; n++) {
            s = tell(x, n, err);
            s = s == CVS_OK ? run_next(x, n, err) : s;
        }
    }
    x->now = NULL;
    return s;
}

/* ---- forward ------------------------------------------------------------------------------------------ */

static bool mark_producer(void *context, int v) {
    const cvi_exec *x = context;
    if (x->g->values[v].producer >= 0) {
        x->steps[x->g->values[v].producer].needed = true;
    }
    return false;
}

static void mark_needed(cvi_exec *x, int last) {
    if (x->last == last) {
        return;
    }
    for (int n = 0; n < x->g->n_nodes; n++) {
        x->steps[n].needed = last < 0;
    }
    if (last >= 0) {
        mark_producer(x, last);
        for (int n = x->g->n_nodes - 1; n >= 0; n--) {
            if (x->steps[n].needed) {
                cvi_plan_reads(x, n, mark_producer, x);
            }
        }
    }
    x->last = last;
}

static void forget_values(cvi_exec *x) {
    for (int v = 0; v < x->g->n_values; v++) {
        cvi_slot *slot = &x->slots[v];
        bool override = slot->moving && x->g->values[v].constant;
        slot->holds = false;
        if (slot->late) {
            slot->known = false;
        }
        if (!slot->constant || (slot->moving && !x->settled) || slot->late) {
            slot->form[CVS_PLAIN].ready = override;
            slot->form[CVS_NHWC8].ready = false;
        }
    }
    x->back.valid = false;
}

static cvs_status take_inputs(cvi_exec *x, const cvs_tensor *inputs, cvs_error *err) {
    const cvi_graph *g = x->g;
    for (int i = 0; i < g->n_inputs; i++) {
        cvi_slot *slot = &x->slots[g->inputs[i]];
        const cvs_tensor *t = &inputs[i];
        if (t->dtype != slot->shape.dtype || t->rank != slot->shape.rank || t->layout != CVS_PLAIN ||
            memcmp(t->dim, slot->shape.dim, sizeof(int64_t) * (size_t)t->rank) != 0) {
            char a[200], b[200];
            return cvi_fail(err, CVS_E_SHAPE, "input %.80s is %s %s, the plan was made for %s %s",
                            g->values[g->inputs[i]].name, cvs_dtype_name(t->dtype),
                            cvs_shape_text(t->rank, t->dim, a, sizeof a), cvs_dtype_name(slot->shape.dtype),
                            cvs_shape_text(slot->shape.rank, slot->shape.dim, b, sizeof b));
        }
        slot->form[CVS_PLAIN].data = t->data;
        slot->form[CVS_PLAIN].ready = true;
    }
    return CVS_OK;
}

static cvs_status pass(cvi_exec *x, const cvs_tensor *inputs, int last, cvs_error *err) {
    if (!x->block && x->block_bytes > 0) {
        CVI_TRY(cvi_exec_check_limit(x, x->block_bytes, err));
        x->block = cvi_malloc((size_t)x->block_bytes);
        if (!x->block) {
            return cvi_no_memory(err, (size_t)x->block_bytes);
        }
    }
    forget_values(x);
    CVI_TRY(take_inputs(x, inputs, err));
    mark_needed(x, last);
    for (int n = 0; n < x->g->n_nodes; n++) {
        x->steps[n].done = false;
    }
    x->phase = CVI_PHASE_RUN;
    x->has_run = true;
    for (int n = 0; n < x->g->n_nodes; n++) {
        int part = last < 0 ? x->steps[n].part : -1;
        if (part >= 0) {
            CVI_TRY(run_parts(x, &x->parts[part], err));
            n = x->parts[part].last;
        } else if (x->steps[n].needed) {
            CVI_TRY(tell(x, n, err));
            CVI_TRY(run_next(x, n, err));
        }
    }
    return CVS_OK;
}

cvs_status cvi_exec_forward(cvi_exec *x, const cvs_tensor *inputs, int last, cvs_error *err) {
    x->passing = true;
    cvs_status s = pass(x, inputs, last, err);
    x->passing = false;
    cvi_memory_forget(x);
    return s;
}

/* ---- from a value on ---------------------------------------------------------------------------------- */

typedef struct changed {
    const cvi_exec *x;
    int value;
} changed;

static bool reads_changed(void *context, int v) {
    const changed *c = context;
    int producer = c->x->g->values[v].producer;
    return v == c->value || (producer >= 0 && c->x->steps[producer].needed);
}

static void forget_outputs(cvi_exec *x, int n, int except) {
    const cvi_node *node = &x->g->nodes[n];
    for (int k = 0; k < node->n_out; k++) {
        cvi_slot *slot = node->out[k] >= 0 && node->out[k] != except ? &x->slots[node->out[k]] : NULL;
        if (slot) {
            slot->known = slot->known && !slot->late;
            slot->holds = false;
            slot->form[CVS_PLAIN].ready = slot->form[CVS_NHWC8].ready = false;
        }
    }
}

cvs_status cvi_exec_forward_from(cvi_exec *x, int value, const cvs_tensor *t, cvs_error *err) {
    cvi_slot *slot = &x->slots[value];
    changed c = {.x = x, .value = value};
    if (!x->has_run || slot->constant || t->dtype != slot->shape.dtype || t->layout != CVS_PLAIN ||
        cvs_tensor_count(t) != cvs_tensor_count(&slot->shape)) {
        return cvi_fail(err, CVS_E_INTERNAL,
                        "a value cannot be replaced by one of another shape or before a run");
    }
    x->back.valid = false;
    slot->form[CVS_PLAIN].data = t->data;
    slot->form[CVS_PLAIN].ready = true;
    slot->form[CVS_NHWC8].ready = false;
    slot->holds = false;
    for (int n = 0; n < x->g->n_nodes; n++) {
        x->steps[n].needed = false;
    }
    x->last = -2; /* the marks are no longer those of a forward pass */
    for (int n = 0; n < x->g->n_nodes; n++) {
        if (x->steps[n].kind != CVI_STEP_FOLDED && x->g->values[value].producer != n &&
            cvi_plan_reads(x, n, reads_changed, &c)) {
            x->steps[n].needed = true;
            forget_outputs(x, n, value);
        }
    }
    int producer = x->g->values[value].producer;
    int cut = producer >= 0 && slot->inner ? x->steps[producer].group
                                           : -1; /* this group is entered in its middle */
    for (int n = 0; n < x->g->n_nodes; n++) {
        if (x->steps[n].needed) {
            CVI_TRY(cut >= 0 && x->steps[n].group == cut ? run_step(x, n, err) : run_next(x, n, err));
        }
    }
    return CVS_OK;
}

/* ---- training ----------------------------------------------------------------------------------------- */

void cvi_exec_settle(cvi_exec *x, bool settled) {
    x->settled = settled;
}

void cvi_exec_reseed(cvi_exec *x, uint64_t seed) {
    x->options.seed = seed;
}

cvs_status cvi_exec_renew(cvi_exec *x, int node, int k, cvs_tensor *now, cvs_error *err) {
    if (!x->has_run) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the model has not been run yet");
    }
    CVI_TRY(cvi_call_fill(x, node, &x->call, CVI_IN_READY, err));
    if (x->call.ctx.aux && x->g->nodes[node].def->renew) {
        x->g->nodes[node].def->renew(&x->call.ctx, k, now);
    }
    return CVS_OK;
}
