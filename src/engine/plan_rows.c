/* SPDX-License-Identifier: MIT
 * plan_rows.c - cvs_model_plan: the steps of a plan as rows to look at: which operators run as one call, by which algorithm, in which
 * layout, and what memory they need.
 */
#include "engine/plan.h"
#include "engine/run_state.h"

static void add_name(char *text, size_t size, const char *op) {
    size_t n = strlen(text);
    snprintf(text + n, size - n, "%s%s", n > 0 ? " + " : "", op);
}

static cvs_status ask_how(cvi_exec *x, int head, cvs_lang lang, cvs_plan *plan, cvs_plan_step *row,
                          cvs_error *err) {
    const cvi_op *op = x->g->nodes[head].def;
    cvi_how how = {0};
    if (!op->how || !x->steps[head].fast) {
        return CVS_OK;
    }
    CVI_TRY(cvi_call_fill(x, head, &x->call, CVI_IN_CONSTANTS, err));
    op->how(&x->call.ctx, &how);
    cvi_arena_reset(x->scratch);
    row->how = !how.en ? "" : lang == CVS_ZH ? how.zh : how.en;
    row->packed_bytes = how.packed_bytes;
    plan->packed_bytes += how.packed_bytes;
    plan->scratch_bytes = CVI_MAX(plan->scratch_bytes, how.scratch_bytes);
    return CVS_OK;
}

static cvs_status add_step(cvi_exec *x, int n, cvs_lang lang, cvs_plan *plan, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    const cvi_group *group = x->steps[n].group >= 0 ? &x->groups[x->steps[n].group] : NULL;
    int head = group ? group->node[0] : n, out = group ? group->out : node->out[0];
    const cvi_slot *slot = &x->slots[out];
    cvs_plan_step *row = &plan->steps[plan->n_steps++];
    *row = (cvs_plan_step){.name = node->layer ? node->layer : node->name,
                           .how = "",
                           .samples = slot->shape.rank > 0 ? slot->shape.dim[0] : 1};
    for (int i = 0; i < (group ? group->n : 1); i++) {
        add_name(row->ops, sizeof row->ops, x->g->nodes[group ? group->node[i] : n].op);
    }
    cvs_layout form = cvi_step_writes(x, head, &slot->shape);
    row->channels_last = form == CVS_NHWC8;
    x->now = x->steps[n].part >= 0 ? &x->parts[x->steps[n].part] : NULL;
    cvs_tensor t = slot->shape;
    t.layout = form;
    if (cvi_form_bytes(&t, form, &row->bytes) && row->bytes > 0) {
        t.bytes = (size_t)row->bytes;
        cvi_part_narrow(x, out, &t);
        row->bytes = (int64_t)t.bytes;
        row->samples = x->now ? x->now->samples : row->samples;
    }
    cvs_status s = ask_how(x, head, lang, plan, row, err);
    x->now = NULL;
    return s;
}

static cvs_status add_steps(cvi_exec *x, cvs_lang lang, cvs_plan *out, cvs_error *err) {
    size_t nodes = (size_t)CVI_MAX(x->g->n_nodes, 1);
    out->steps = cvi_calloc(nodes, sizeof *out->steps);
    if (!out->steps) {
        return cvi_no_memory(err, nodes * sizeof *out->steps);
    }
    for (int n = 0; n < x->g->n_nodes; n++) {
        bool runs = x->steps[n].kind == CVI_STEP_RUN && !x->steps[n].late && x->g->nodes[n].def &&
                    x->g->nodes[n].out[0] >= 0;
        if (runs && (x->steps[n].group < 0 || cvi_group_ends(x, n))) {
            CVI_TRY(add_step(x, n, lang, out, err));
        }
    }
    return CVS_OK;
}

cvs_status cvs_model_plan(const cvs_model *model, const cvs_run_options *options, cvs_lang lang,
                          cvs_plan *out, cvs_error *err) {
    cvi_exec *x = NULL;
    *out = (cvs_plan){0};
    cvi_pool *pool = cvi_pool_new(options ? options->threads : 0);
    if (!pool) {
        return cvi_no_memory(err, sizeof x);
    }
    cvs_status s = cvi_exec_default(model, options, &x, err);
    if (s == CVS_OK) {
        x->options.pool = pool; /* only its number of threads matters here */
        out->value_bytes = cvi_exec_bytes(x);
        s = add_steps(x, lang, out, err);
    }
    cvi_exec_free(x);
    cvi_pool_free(pool);
    if (s != CVS_OK) {
        cvs_plan_free(out);
    }
    return s;
}

void cvs_plan_free(cvs_plan *plan) {
    if (plan) {
        cvi_free(plan->steps);
        *plan = (cvs_plan){0};
    }
}
