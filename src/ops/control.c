/* SPDX-License-Identifier: MIT
 * control.c - If: runs one of two subgraphs. The engine runs them (ctx->run_graph); captured values are its business.
 */
#include "ops/control.h"
#include "ops/walk.h"

/* The branch that the condition chooses; CVS_E_LATE while the condition is not known. */
static cvs_status chosen_branch(cvi_opctx *ctx, const cvi_graph **branch) {
    if (cvs_tensor_count(ctx->in[0]) != 1) {
        return cvi_fail(ctx->err, CVS_E_SHAPE, "input %d has %lld elements, but must have one", 0,
                        (long long)cvs_tensor_count(ctx->in[0]));
    }
    CVI_TRY(cvi_need(ctx, 0));
    const char *name = cvi_get(ctx->in[0], 0) != 0 ? "then_branch" : "else_branch";
    const cvi_attr *attr = cvi_node_attr(ctx->node, name);
    if (attr == NULL || attr->graph == NULL) {
        return cvi_at_attr(ctx->err, cvi_fail(ctx->err, CVS_E_FORMAT, "the branch is absent"), name);
    }
    if (attr->graph->n_outputs != ctx->n_out) {
        return cvi_at_attr(ctx->err,
                           cvi_fail(ctx->err, CVS_E_FORMAT, "the branch has %d outputs, but the node has %d",
                                    attr->graph->n_outputs, ctx->n_out),
                           name);
    }
    if (ctx->run_graph == NULL) {
        return cvi_fail(ctx->err, CVS_E_UNSUPPORTED, "subgraphs cannot be run here");
    }
    *branch = attr->graph;
    return CVS_OK;
}

static cvs_status run_branch(cvi_opctx *ctx, cvs_tensor **outputs) {
    const cvi_graph *branch = NULL;
    CVI_TRY(chosen_branch(ctx, &branch));
    *outputs = cvi_arena_alloc(ctx->scratch, CVI_MAX(ctx->n_out, 1), sizeof **outputs);
    if (*outputs == NULL) {
        return cvi_no_memory(ctx->err, (size_t)ctx->n_out * sizeof **outputs);
    }
    return ctx->run_graph(ctx, branch, *outputs);
}

void cvi_outputs_free(const cvi_opctx *ctx, cvs_tensor *outputs) {
    for (int k = 0; k < ctx->n_out; k++) {
        cvs_tensor_free(&outputs[k]);
    }
}

static cvs_status infer_if(cvi_opctx *ctx) {
    cvs_tensor *outputs;
    cvs_status s = run_branch(ctx, &outputs);
    if (s != CVS_OK) {
        return s;
    }
    for (int k = 0; k < ctx->n_out && s == CVS_OK; k++) {
        s = cvi_out_shape(ctx, k, outputs[k].dtype, outputs[k].rank, outputs[k].dim);
    }
    cvi_outputs_free(ctx, outputs);
    return s;
}

cvs_status cvi_outputs_give(cvi_opctx *ctx, cvs_status s, cvs_tensor *outputs) {
    for (int k = 0; k < ctx->n_out && s == CVS_OK; k++) {
        cvs_tensor *y = &ctx->out[k];
        if (y->dtype == CVS_NONE) {
            continue;
        }
        if (y->dtype != outputs[k].dtype || !cvi_same_shape(y, &outputs[k])) {
            s = cvi_fail(ctx->err, CVS_E_SHAPE, "output %d of the branch changed its shape while running", k);
        } else if (y->bytes > 0) {
            memcpy(y->data, outputs[k].data, y->bytes);
        }
    }
    cvi_outputs_free(ctx, outputs);
    return s;
}

static cvs_status forward_if(cvi_opctx *ctx) {
    cvs_tensor *outputs;
    CVI_TRY(run_branch(ctx, &outputs));
    return cvi_outputs_give(ctx, CVS_OK, outputs);
}

static const cvi_op_io if_in[] = {{"cond", CVI_SHAPE, false, false}};
static const cvi_op_io if_out[] = {{"outputs", CVI_DATA, false, true}};
static const cvi_op_attr if_attrs[] = {
    {"then_branch", CVI_ATTR_GRAPH, NULL, "a graph", "what runs when the condition is true",
     "条件为真时运行的子图"},
    {"else_branch", CVI_ATTR_GRAPH, NULL, "a graph", "what runs when it is false", "条件为假时运行的子图"},
};

const cvi_op cvi_op_if = {
    .name = "If",
    .since = 11,
    .inputs = if_in,
    .n_inputs = 1,
    .outputs = if_out,
    .n_outputs = 1,
    .attrs = if_attrs,
    .n_attrs = 2,
    .glyph = CVI_GLYPH_UNKNOWN,
    .infer = infer_if,
    .forward = forward_if,
    .any_type = true,
    .field = cvi_field_all,
    .text = {"Branch", "条件分支", "Runs one of two small graphs, depending on a condition.",
             "根据条件运行两个小图之一。", "y = condition ? then() : else()",
             "The result of the branch that ran; the other one was never computed.",
             "实际运行的那个分支的结果；另一个分支没有计算。"},
};
