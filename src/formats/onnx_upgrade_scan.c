/* SPDX-License-Identifier: MIT
 * onnx_upgrade_scan.c - Scan of opset 8, which had a batch in front of everything: a Scan over the batch whose body is a Scan over the sequence.
 * Lengths that differ in a batch, and bodies that read values around them, stay closed.
 */
#include "onnx_upgrade.h"

static bool reads_around(const cvi_graph *body) {
    for (int v = 0; v < body->n_values; v++) {
        if (body->values[v].outer >= 0) {
            return true;
        }
    }
    return false;
}

/* The graph that treats one of a batch: a Scan with what the draft's node has behind the lengths. */
static cvs_status one_of_batch(cvi_onnx_draft *d, cvi_graph *body, int64_t slices, const cvi_attr *back,
                               cvi_graph **out) {
    cvs_error *err = d->o->err;
    cvi_graph *g = cvi_graph_new(d->o->model, d->scope->graph, "batch", err);
    int n = g ? cvi_graph_node(g, "scan", "Scan", d->n_in - 1, body->n_outputs, back ? 3 : 2, err) : -1;
    if (n < 0) {
        return err->code;
    }
    for (int k = 0; k < d->n_in - 1 + body->n_outputs; k++) {
        bool in = k < d->n_in - 1;
        int v = cvi_graph_value(g, in ? "in" : "out", CVS_NONE, -1, NULL, err);
        if (v < 0 || !(in ? cvi_graph_add_input(g, v) : cvi_graph_add_output(g, v))) {
            return v < 0 ? err->code : cvi_no_memory(err, 0);
        }
        *(in ? &g->nodes[n].in[k] : &g->nodes[n].out[k - (d->n_in - 1)]) = v;
    }
    cvi_attr *attr = g->nodes[n].attr;
    attr[0] = (cvi_attr){.name = "body", .kind = CVI_ATTR_GRAPH, .graph = body};
    attr[1] = (cvi_attr){.name = "num_scan_inputs", .kind = CVI_ATTR_INT, .i = slices};
    if (back) {
        attr[2] = *back;
        attr[2].name = "scan_input_directions";
    }
    body->parent = g;
    *out = g;
    return CVS_OK;
}

cvs_status cvi_up_scan_9(cvi_onnx_draft *d) {
    cvi_attr body = {0}, slices = {0}, back = {0};
    bool has_back = cvi_up_take(d, "directions", &back);
    bool whole = cvi_up_take(d, "body", &body) && body.kind == CVI_ATTR_GRAPH &&
                 cvi_up_take(d, "num_scan_inputs", &slices) && slices.kind == CVI_ATTR_INT;
    bool plain = whole && d->n_in > 1 && d->in[0] < 0 && !reads_around(body.graph);
    for (int k = 1; k < d->n_in && plain; k++) {
        plain = d->in[k] >= 0;
    }
    d->n_attr = 0;
    if (!plain) {
        d->op = "ai.onnx.8::Scan"; /* the operator of today means something else */
        return CVS_OK;
    }
    cvi_graph *one = NULL;
    CVI_TRY(one_of_batch(d, body.graph, slices.i, has_back ? &back : NULL, &one));
    d->n_in--;
    memmove(d->in, d->in + 1, (size_t)d->n_in * sizeof *d->in);
    d->attr[0] = (cvi_attr){.name = "body", .kind = CVI_ATTR_GRAPH, .graph = one};
    d->attr[1] = (cvi_attr){.name = "num_scan_inputs", .kind = CVI_ATTR_INT, .i = d->n_in};
    d->n_attr = 2;
    return CVS_OK;
}
