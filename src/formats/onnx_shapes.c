/* SPDX-License-Identifier: MIT
 * onnx_shapes.c - shapes while reading, for the few upgrades that depend on them (Softmax before opset 13 flattens its input,
 * broadcasting before opset 7 named an axis). The operators' own shape rules are asked; a free batch dimension counts as 1, and
 * where anything else is unknown the shape stays unknown.
 */
#include "onnx.h"
#include "ops/op.h"

cvs_tensor cvi_onnx_shape(const cvi_onnx_draft *d, int value) {
    cvs_tensor unknown = {.rank = -1};
    if (value < 0) {
        return unknown;
    }
    const cvi_value *v = &d->scope->graph->values[value];
    if (v->constant) {
        return *v->constant;
    }
    const cvi_onnx_shapes *s = d->scope->shapes;
    if (s && value < s->n && s->at[value].rank >= 0) {
        return s->at[value];
    }
    if (v->producer >= 0 || v->rank < 0) {
        return unknown;
    }
    cvs_tensor t = {.dtype = v->dtype, .rank = v->rank};
    memcpy(t.dim, v->dim, sizeof t.dim);
    if (t.rank > 0 && t.dim[0] < 0) {
        t.dim[0] = 1;
    }
    return t;
}

static bool complete(const cvs_tensor *t) {
    for (int i = 0; i < t->rank; i++) {
        if (t->dim[i] < 0) {
            return false;
        }
    }
    return t->rank >= 0 && t->dtype != CVS_NONE;
}

static cvs_status remember(cvi_onnx_draft *d, int value, const cvs_tensor *t) {
    cvi_onnx_shapes *s = d->scope->shapes;
    if (value >= s->n) {
        int n = CVI_MAX(d->scope->graph->n_values, 2 * s->n);
        cvs_tensor *at = cvi_onnx_alloc(d->o, n, sizeof *at);
        if (!at) {
            return CVS_E_MEMORY;
        }
        for (int i = 0; i < n; i++) {
            at[i] = i < s->n ? s->at[i] : (cvs_tensor){.rank = -1};
        }
        *s = (cvi_onnx_shapes){.n = n, .at = at};
    }
    s->at[value] = *t;
    s->at[value].data = NULL;
    return CVS_OK;
}

/* Asks the operator; CVS_OK with out[k].dtype CVS_NONE when it does not know. */
static cvs_status infer(cvi_onnx_draft *d, const cvi_node *node, cvs_tensor *in, const cvs_tensor **list,
                        cvs_tensor *out) {
    cvs_error quiet = {.lang = d->o->err->lang};
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0) {
            in[k] = cvi_onnx_shape(d, node->in[k]);
            if (!complete(&in[k])) {
                return CVS_OK;
            }
            list[k] = &in[k];
        }
    }
    cvi_opctx ctx = {.graph = d->scope->graph,
                     .node = node,
                     .op = node->def,
                     .n_in = node->n_in,
                     .n_out = node->n_out,
                     .in = list,
                     .out = out,
                     .scratch = d->o->scratch,
                     .err = &quiet};
    cvs_status s = node->def->infer(&ctx);
    cvi_arena_reset(d->o->scratch);
    if (s == CVS_E_MEMORY) {
        return cvi_no_memory(d->o->err, 0);
    }
    for (int k = 0; s != CVS_OK && k < node->n_out; k++) {
        out[k].dtype = CVS_NONE;
    }
    return CVS_OK;
}

cvs_status cvi_onnx_track_shapes(cvi_onnx_draft *d, int n) {
    if (!d->o->track || !d->scope->shapes) {
        return CVS_OK;
    }
    cvi_node node = d->scope->graph->nodes[n];
    for (int i = 0; i < node.n_attr; i++) {
        if (node.attr[i].kind == CVI_ATTR_GRAPH) {
            return CVS_OK;
        }
    }
    /* A shape rule counts on what binding checks: inputs that are there, attributes of the right type. */
    cvi_graph one = {.n_nodes = 1, .nodes = &node};
    cvs_error quiet = {0};
    if (cvi_ops_bind(&one, &quiet) != CVS_OK || !node.def || !node.def->infer || node.n_in > 64 ||
        node.n_out > 64) {
        return CVS_OK;
    }
    cvs_tensor in[64] = {0}, out[64] = {0};
    const cvs_tensor *list[64] = {NULL};
    CVI_TRY(infer(d, &node, in, list, out));
    for (int k = 0; k < node.n_out; k++) {
        if (node.out[k] >= 0 && out[k].dtype != CVS_NONE && complete(&out[k])) {
            CVI_TRY(remember(d, node.out[k], &out[k]));
        }
    }
    return CVS_OK;
}
