/* SPDX-License-Identifier: MIT
 * subgraph.c - runs the graph inside an attribute (a branch of If, the body of a loop) for its operator. Captured values come from the
 * exec around it. A branch, asked while shapes are inferred, answers with shapes only (data NULL); asked by forward, with owned
 * numbers. A body runs only when a run has all numbers: a loop's shapes depend on them.
 */
#include "engine/plan.h"

/* Every level is planned a few times over (shapes, folding, run), so the work grows exponentially with the depth. */
enum { DEEPEST = 8 };

static cvs_status copy_out(cvi_exec *child, int v, bool numbers, cvs_tensor *out, cvs_error *err) {
    cvs_tensor t;
    CVI_TRY(cvi_exec_value(child, v, &t, err));
    if (!numbers) {
        t.data = NULL;
        *out = t;
        return CVS_OK;
    }
    CVI_TRY(cvs_tensor_new(out, t.dtype, t.rank, t.dim, err));
    if (t.bytes > 0 && !t.data) {
        return cvi_fail(err, CVS_E_INTERNAL, "value %.80s was not computed", child->g->values[v].name);
    }
    if (t.bytes > 0) {
        memcpy(out->data, t.data, CVI_MIN(t.bytes, out->bytes));
    }
    return CVS_OK;
}

static cvs_status copy_outputs(cvi_exec *child, bool numbers, cvs_tensor *outputs, cvs_error *err) {
    const cvi_graph *g = child->g;
    for (int i = 0; i < g->n_outputs; i++) {
        outputs[i] = (cvs_tensor){0};
    }
    for (int i = 0; i < g->n_outputs; i++) {
        cvs_status s = copy_out(child, g->outputs[i], numbers, &outputs[i], err);
        if (s != CVS_OK) {
            for (int k = 0; k <= i; k++) {
                cvs_tensor_free(&outputs[k]);
            }
            return s;
        }
    }
    return CVS_OK;
}

/* Whether a plan of the subgraph already tells the shapes of all outputs. */
static bool shapes_known(const cvi_exec *child) {
    for (int i = 0; i < child->g->n_outputs; i++) {
        if (!child->slots[child->g->outputs[i]].known) {
            return false;
        }
    }
    return true;
}

static cvs_status check_depth(const cvi_exec *x, const cvi_graph *sub, cvs_error *err) {
    int64_t depth = CVI_MIN(sub->limits->max_depth, DEEPEST);
    return x->depth < depth
               ? CVS_OK
               : cvi_fail(err, CVS_E_LIMIT, "subgraphs are nested more than %lld deep, the limit",
                          (long long)depth);
}

/* A subgraph has what the exec around it and `inputs` (NULL: none of its own) leave, half of it for the copies of its outputs. */
static cvs_status child_options(const cvi_exec *x, const cvi_graph *sub, const cvs_tensor *inputs,
                                cvi_exec_options *options, cvs_error *err) {
    int64_t room = x->max_bytes - cvi_exec_bytes(x);
    for (int i = 0; inputs && i < sub->n_inputs; i++) {
        room -= CVI_MIN((int64_t)inputs[i].bytes, CVI_MAX(room, 0));
    }
    *options = x->options;
    options->max_bytes = room / 2;
    options->progress = NULL;
    options->keep = CVI_KEEP_ALL;
    return room >= 2 ? CVS_OK
                     : cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
}

/* ---- the body of a loop ------------------------------------------------------------------------------- */

static bool planned_for(const cvi_exec *child, const cvs_tensor *inputs) {
    for (int i = 0; i < child->g->n_inputs; i++) {
        const cvs_tensor *t = &child->slots[child->g->inputs[i]].shape;
        if (t->dtype != inputs[i].dtype || t->rank != inputs[i].rank ||
            memcmp(t->dim, inputs[i].dim, (size_t)t->rank * sizeof t->dim[0]) != 0) {
            return false;
        }
    }
    return true;
}

void cvi_exec_end_body(void **state) {
    cvi_exec_free(*state);
    *state = NULL;
}

cvs_status cvi_exec_run_body(const cvi_opctx *ctx, const cvi_graph *sub, const cvs_tensor *inputs,
                             cvs_tensor *outputs, void **state) {
    cvi_exec *x = ctx->engine;
    if (x->phase == CVI_PHASE_PLAN) {
        return cvi_fail(ctx->err, CVS_E_LATE, "a loop's shapes are known only while running");
    }
    CVI_TRY(check_depth(x, sub, ctx->err));
    if (*state && !planned_for(*state, inputs)) {
        cvi_exec_end_body(state);
    }
    if (!*state) {
        cvi_exec_options options;
        cvi_exec *child = NULL;
        CVI_TRY(child_options(x, sub, inputs, &options, ctx->err));
        CVI_TRY(cvi_exec_create(sub, x, inputs, &options, &child, ctx->err));
        *state = child;
    }
    CVI_TRY(cvi_exec_forward(*state, inputs, -1, ctx->err));
    return copy_outputs(*state, true, outputs, ctx->err);
}

void cvi_exec_drop_kept(const cvi_exec *x, int n) {
    cvi_step *step = &x->steps[n];
    for (int k = 0; step->kept && k < x->g->nodes[n].n_out; k++) {
        cvs_tensor_free(&step->kept[k]);
    }
    cvi_free(step->kept);
    step->kept = NULL;
}

cvs_status cvi_exec_keep_outputs(const cvi_opctx *ctx, cvs_tensor *outputs) {
    cvi_exec *x = ctx->engine;
    int n = (int)(ctx->node - x->g->nodes);
    cvi_exec_drop_kept(x, n);
    x->steps[n].kept = cvi_calloc((size_t)CVI_MAX(ctx->n_out, 1), sizeof *outputs);
    if (!x->steps[n].kept) {
        return cvi_no_memory(ctx->err, (size_t)ctx->n_out * sizeof *outputs);
    }
    memcpy(x->steps[n].kept, outputs, (size_t)ctx->n_out * sizeof *outputs);
    return CVS_OK;
}

bool cvi_exec_take_outputs(const cvi_opctx *ctx, cvs_tensor *outputs) {
    cvi_exec *x = ctx->engine;
    cvi_step *step = &x->steps[ctx->node - x->g->nodes];
    if (!step->kept) {
        return false;
    }
    memcpy(outputs, step->kept, (size_t)ctx->n_out * sizeof *outputs);
    cvi_free(step->kept);
    step->kept = NULL;
    return true;
}

/* ---- a branch ------------------------------------------------------------------------------------------ */

cvs_status cvi_exec_run_graph(const cvi_opctx *ctx, const cvi_graph *sub, cvs_tensor *outputs) {
    cvi_exec *x = ctx->engine;
    cvi_step *step = &x->steps[ctx->node - x->g->nodes];
    cvs_error *err = ctx->err;
    if (sub->n_inputs > 0) {
        return cvi_fail(err, CVS_E_FORMAT, "a branch has no inputs of its own, but this one has %d",
                        sub->n_inputs);
    }
    CVI_TRY(check_depth(x, sub, err));
    if (x->phase == CVI_PHASE_RUN && step->child && step->child_graph == sub) {
        return copy_outputs(step->child, true, outputs, err);
    }
    cvi_exec_options options;
    cvi_exec *child = NULL;
    CVI_TRY(child_options(x, sub, NULL, &options, err));
    CVI_TRY(cvi_exec_create(sub, x, NULL, &options, &child, err));
    bool run = x->phase == CVI_PHASE_RUN || (x->phase == CVI_PHASE_LATE && !shapes_known(child));
    cvs_status s = run ? cvi_exec_forward(child, NULL, -1, err) : CVS_OK;
    if (s == CVS_OK) {
        s = copy_outputs(child, x->phase == CVI_PHASE_RUN, outputs, err);
    }
    if (s == CVS_OK && run && x->phase == CVI_PHASE_LATE) {
        cvi_exec_free(step->child);
        step->child = child;
        step->child_graph = sub;
        return CVS_OK;
    }
    cvi_exec_free(child);
    return s;
}
