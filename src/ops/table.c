/* SPDX-License-Identifier: MIT
 * table.c - the one table of operators (from ops.def), looked up by name; binds the nodes of a graph to it and checks what
 * a file says about them: input counts, attribute types.
 */
#include "ops/op.h"

#define CVS_OP(name) extern const cvi_op cvi_op_##name;
#include "ops.def"
#undef CVS_OP

const cvi_op *const cvi_ops[] = {
#define CVS_OP(name) &cvi_op_##name,
#include "ops.def"
#undef CVS_OP
    NULL,
};
const int cvi_n_ops = CVI_COUNT(cvi_ops) - 1;

/* Linear: a few hundred short names, once per node at load; names differ in their first letters. */
const cvi_op *cvi_op_find(const char *name) {
    for (int i = 0; i < cvi_n_ops; i++) {
        if (cvi_ops[i]->name[0] == name[0] && strcmp(cvi_ops[i]->name, name) == 0) {
            return cvi_ops[i];
        }
    }
    return NULL;
}

static cvs_status check_values(const cvi_node *node, cvs_error *err) {
    const cvi_op *op = node->def;
    bool variadic = op->n_inputs > 0 && op->inputs[op->n_inputs - 1].variadic;
    if (!variadic && node->n_in > op->n_inputs) {
        return cvi_fail(err, CVS_E_FORMAT, "%d inputs, at most %d expected", node->n_in, op->n_inputs);
    }
    for (int k = 0; k < op->n_inputs; k++) {
        if (!op->inputs[k].optional && (k >= node->n_in || node->in[k] < 0)) {
            return cvi_at_attr(
                err, cvi_fail(err, CVS_E_FORMAT, "required input %d (%s) is absent", k, op->inputs[k].name),
                op->inputs[k].name);
        }
    }
    if (node->n_out > op->n_outputs && !(op->n_outputs > 0 && op->outputs[op->n_outputs - 1].variadic)) {
        return cvi_fail(err, CVS_E_FORMAT, "%d outputs, at most %d expected", node->n_out, op->n_outputs);
    }
    for (int k = 0; k < op->n_outputs; k++) {
        const cvi_op_io *out = &op->outputs[k];
        if (!out->optional && !out->variadic && (k >= node->n_out || node->out[k] < 0)) {
            return cvi_at_attr(err,
                               cvi_fail(err, CVS_E_FORMAT, "required output %d (%s) is absent", k, out->name),
                               out->name);
        }
    }
    return CVS_OK;
}

static const cvi_op_attr *attr_row(const cvi_op *op, const char *name) {
    for (int i = 0; i < op->n_attrs; i++) {
        if (strcmp(op->attrs[i].name, name) == 0) {
            return &op->attrs[i];
        }
    }
    return NULL;
}

/* Attributes that the table does not know are left alone (exporters add their own); a known one must have its type. */
static cvs_status check_attrs(const cvi_node *node, cvs_error *err) {
    for (int i = 0; i < node->n_attr; i++) {
        const cvi_attr *a = &node->attr[i];
        const cvi_op_attr *row = attr_row(node->def, a->name);
        bool fits = !row || row->kind == a->kind ||
                    (row->kind == CVI_ATTR_FLOAT && a->kind == CVI_ATTR_INT) ||
                    (a->n == 0 && a->kind >= CVI_ATTR_INTS && a->kind <= CVI_ATTR_STRINGS);
        if (!fits) {
            return cvi_at_attr(
                err, cvi_fail(err, CVS_E_FORMAT, "attribute %.60s has the wrong type", a->name), a->name);
        }
    }
    for (int i = 0; i < node->def->n_attrs; i++) {
        const cvi_op_attr *row = &node->def->attrs[i];
        if (!row->initial && !cvi_node_attr(node, row->name)) {
            return cvi_at_attr(
                err, cvi_fail(err, CVS_E_FORMAT, "required attribute %.60s is absent", row->name), row->name);
        }
    }
    return CVS_OK;
}

cvs_status cvi_op_bind(cvi_node *node, cvs_error *err) {
    node->def = cvi_op_find(node->op);
    if (!node->def) {
        return CVS_OK;
    }
    CVI_TRY(check_values(node, err));
    return check_attrs(node, err);
}

cvs_status cvi_ops_bind(cvi_graph *g, cvs_error *err) {
    for (int n = 0; n < g->n_nodes; n++) {
        cvi_node *node = &g->nodes[n];
        cvs_status s = cvi_op_bind(node, err);
        for (int a = 0; a < node->n_attr && s == CVS_OK; a++) {
            s = node->attr[a].graph ? cvi_ops_bind(node->attr[a].graph, err) : CVS_OK;
        }
        if (s != CVS_OK) {
            return cvi_at_node(err, s, node->name, node->op);
        }
    }
    return CVS_OK;
}

cvs_status cvi_ops_find_layer(const cvi_graph *g, const char *text, int *value, cvs_error *err) {
    static const struct {
        const char *word;
        uint32_t flag;
        bool from_end;
    } places[] = {{"last-conv", CVI_OP_CONV, true},
                  {"first-conv", CVI_OP_CONV, false},
                  {"first-pool", CVI_OP_POOL, false}};
    int p = 0;
    for (; p < (int)CVI_COUNT(places) && strcmp(text, places[p].word) != 0; p++) {}
    if (p == (int)CVI_COUNT(places)) {
        return cvi_graph_find_layer(g, text, value, err);
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const cvi_node *node = &g->nodes[places[p].from_end ? g->n_nodes - 1 - i : i];
        if (node->def && (node->def->flags & places[p].flag) && node->out[0] >= 0) {
            *value = node->out[0];
            return CVS_OK;
        }
    }
    return places[p].flag == CVI_OP_POOL
               ? cvi_fail(err, CVS_E_NOT_FOUND, "the model has no pooling layer, so there is no %s", text)
               : cvi_fail(err, CVS_E_NOT_FOUND, "the model has no convolution, so there is no %s", text);
}
