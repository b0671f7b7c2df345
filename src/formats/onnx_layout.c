/* SPDX-License-Identifier: MIT
 * onnx_layout.c - pictures that an ONNX file takes with channels last (converters from TensorFlow write such) and turns first of all:
 * the graph takes them with channels first instead, so that everything that looks at pixels (maps of importance, patches, colours)
 * finds rows and columns where they are. Files of numbers stay as the model's own file has them.
 */
#include "onnx.h"

static bool turns_first(const cvi_node *n) {
    static const int64_t perm[4] = {0, 3, 1, 2};
    if (strcmp(n->op, "Transpose") != 0 || n->n_attr != 1 || strcmp(n->attr[0].name, "perm") != 0) {
        return false;
    }
    return n->attr[0].kind == CVI_ATTR_INTS && n->attr[0].n == 4 &&
           memcmp(n->attr[0].ints, perm, sizeof perm) == 0;
}

/* Whether every reader of the value turns it, at least one does, and it is no output itself. */
static bool only_turned(const cvi_graph *g, int v) {
    int readers = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            if (g->nodes[i].in[k] == v) {
                readers++;
                if (!turns_first(&g->nodes[i])) {
                    return false;
                }
            }
        }
    }
    for (int i = 0; i < g->n_outputs; i++) {
        for (int k = 0; k < g->n_nodes; k++) { /* a lone transposition is what the file is about */
            bool direct = g->nodes[k].n_out == 1 && g->nodes[k].out[0] == g->outputs[i];
            if (g->outputs[i] == v || (direct && g->nodes[k].n_in == 1 && g->nodes[k].in[0] == v)) {
                return false;
            }
        }
    }
    return readers > 0;
}

static bool has_subgraphs(const cvi_graph *g) {
    for (int i = 0; i < g->n_nodes; i++) {
        for (int k = 0; k < g->nodes[i].n_attr; k++) {
            if (g->nodes[i].attr[k].kind == CVI_ATTR_GRAPH) {
                return true;
            }
        }
    }
    return false;
}

void cvi_onnx_pictures_first(cvi_graph *g) {
    static const int perm[4] = {0, 3, 1, 2};
    if (has_subgraphs(g)) { /* they could read the value too */
        return;
    }
    for (int k = 0; k < g->n_inputs; k++) {
        cvi_value *v = &g->values[g->inputs[k]];
        if (v->rank != 4 || !only_turned(g, g->inputs[k])) {
            continue;
        }
        cvi_value was = *v;
        for (int i = 0; i < 4; i++) {
            v->dim[i] = was.dim[perm[i]];
            v->usual[i] = was.usual[perm[i]];
        }
        v->file_layout = CVI_FILE_LAST;
        for (int i = 0; i < g->n_nodes; i++) {
            cvi_node *n = &g->nodes[i];
            if (n->n_in == 1 && n->in[0] == g->inputs[k]) {
                n->op = "Identity";
                n->n_attr = 0;
            }
        }
    }
}
