/* SPDX-License-Identifier: MIT
 * subgraph.c - runs the graph inside an attribute (a branch of If) for its operator. Captured values come from the exec around
 * it. Asked while shapes are inferred, it answers with shapes only (data NULL); asked by forward, with owned numbers.
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

cvs_status cvi_exec_run_graph(const cvi_opctx *ctx, const cvi_graph *sub, cvs_tensor *outputs) {
    cvi_exec *x = ctx->engine;
    cvi_step *step = &x->steps[ctx->node - x->g->nodes];
    cvs_error *err = ctx->err;
    if (sub->n_inputs > 0) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "a subgraph with inputs of its own (a loop) cannot be computed");
    }
    int64_t depth = CVI_MIN(sub->limits->max_depth, DEEPEST);
    if (x->depth >= depth) {
        return cvi_fail(err, CVS_E_LIMIT, "subgraphs are nested more than %lld deep, the limit",
                        (long long)depth);
    }
    if (x->phase == CVI_PHASE_RUN && step->child && step->child_graph == sub) {
        return copy_outputs(step->child, true, outputs, err);
    }
    cvi_exec_options options = x->options;
    options.max_bytes = x->max_bytes;
    options.progress = NULL;
    options.keep = CVI_KEEP_ALL;
    cvi_exec *child = NULL;
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
