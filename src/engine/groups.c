/* SPDX-License-Identifier: MIT
 * groups.c - assigns every node to the layer that it serves, walking from the outputs back.
 */
#include <limits.h>

#include "engine/groups.h"

void cvi_groups_free(cvi_groups *groups) {
    cvi_free(groups->value);
    cvi_free(groups->main);
    cvi_free(groups->of_node);
    cvi_free(groups->depends);
    *groups = (cvi_groups){0};
}

static bool is_layer(const cvi_graph *g, int v) {
    return v >= 0 && !g->values[v].hidden && !g->values[v].constant;
}

static void mark_depends(const cvi_graph *g, bool *depends) {
    for (int v = 0; v < g->n_values; v++) {
        depends[v] = g->values[v].outer >= 0;
    }
    for (int i = 0; i < g->n_inputs; i++) {
        depends[g->inputs[i]] = true;
    }
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        bool d = !node->def || (node->def->flags & CVI_OP_RANDOM);
        for (int k = 0; k < node->n_in; k++) {
            d = d || (node->in[k] >= 0 && depends[node->in[k]]);
        }
        for (int k = 0; k < node->n_attr; k++) {
            d = d || node->attr[k].graph;
        }
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] >= 0) {
                depends[node->out[k]] = d;
            }
        }
    }
}

/* How well a node says what its layer is. */
static int weight_of(const cvi_node *node) {
    const cvi_op *op = node->def;
    if (!op) {
        return 5;
    }
    return op->flags & CVI_OP_CONV           ? 4
           : op->glyph == CVI_GLYPH_DENSE    ? 3
           : op->flags & CVI_OP_POOL         ? 2
           : op->glyph == CVI_GLYPH_SHAPE    ? 0
           : op->flags & CVI_OP_POINTWISE    ? 1
           : op->glyph == CVI_GLYPH_UPSAMPLE ? 2
                                             : 1;
}

/* layer_of[v]: the first layer that uses value v. */
static void assign(const cvi_graph *g, const int *layer_at, int *layer_of, cvi_groups *out) {
    for (int v = 0; v < g->n_values; v++) {
        layer_of[v] = INT_MAX;
    }
    for (int n = g->n_nodes - 1; n >= 0; n--) {
        const cvi_node *node = &g->nodes[n];
        int own = INT_MAX, serves = INT_MAX;
        bool depends = false;
        for (int k = 0; k < node->n_out; k++) {
            int v = node->out[k];
            if (v >= 0) {
                own = layer_at[v] >= 0 ? CVI_MIN(own, layer_at[v]) : own;
                serves = CVI_MIN(serves, layer_of[v]);
                depends = depends || out->depends[v];
            }
        }
        int layer = own != INT_MAX && (depends || serves == INT_MAX) ? own : serves;
        out->of_node[n] = layer == INT_MAX ? -1 : layer;
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] >= 0) {
                layer_of[node->in[k]] = CVI_MIN(layer_of[node->in[k]], layer);
            }
        }
    }
}

static void choose_main(const cvi_graph *g, cvi_groups *out) {
    for (int l = 0; l < out->n_layers; l++) {
        out->main[l] = g->values[out->value[l]].producer;
    }
    for (int n = 0; n < g->n_nodes; n++) {
        int l = out->of_node[n];
        bool depends = false;
        for (int k = 0; k < g->nodes[n].n_out; k++) {
            depends = depends || (g->nodes[n].out[k] >= 0 && out->depends[g->nodes[n].out[k]]);
        }
        if (l >= 0 && depends && weight_of(&g->nodes[n]) > weight_of(&g->nodes[out->main[l]])) {
            out->main[l] = n;
        }
    }
}

cvs_status cvi_groups_make(const cvi_graph *g, cvi_groups *out, cvs_error *err) {
    size_t values = (size_t)CVI_MAX(g->n_values, 1), nodes = (size_t)CVI_MAX(g->n_nodes, 1);
    *out = (cvi_groups){0};
    for (int n = 0; n < g->n_nodes; n++) {
        for (int k = 0; k < g->nodes[n].n_out; k++) {
            out->n_layers += is_layer(g, g->nodes[n].out[k]);
        }
    }
    size_t layers = (size_t)CVI_MAX(out->n_layers, 1);
    out->value = cvi_calloc(layers, sizeof(int));
    out->main = cvi_calloc(layers, sizeof(int));
    out->of_node = cvi_calloc(nodes, sizeof(int));
    out->depends = cvi_calloc(values, sizeof(bool));
    int *layer_at = cvi_calloc(values, sizeof(int)), *layer_of = cvi_calloc(values, sizeof(int));
    bool ok = out->value && out->main && out->of_node && out->depends && layer_at && layer_of;
    if (ok) {
        for (int v = 0; v < g->n_values; v++) {
            layer_at[v] = -1;
        }
        for (int n = 0, l = 0; n < g->n_nodes; n++) {
            for (int k = 0; k < g->nodes[n].n_out; k++) {
                if (is_layer(g, g->nodes[n].out[k])) {
                    layer_at[g->nodes[n].out[k]] = l;
                    out->value[l++] = g->nodes[n].out[k];
                }
            }
        }
        mark_depends(g, out->depends);
        assign(g, layer_at, layer_of, out);
        choose_main(g, out);
    }
    cvi_free(layer_at);
    cvi_free(layer_of);
    if (!ok) {
        cvi_groups_free(out);
        return cvi_no_memory(err, values * sizeof(int));
    }
    return CVS_OK;
}
