/* SPDX-License-Identifier: MIT
 * filters.c - the kernel and bias of the convolution or dense layer behind a layer's value, as float32 [K,C/groups,R,S] or
 * [K,C].
 */
#include "engine/plan.h"
#include "engine/run_state.h"

enum { FAR = 16 }; /* nodes to look upstream */

static int input_of_role(const cvi_node *node, cvi_role role) {
    for (int k = 0; node->def && k < node->n_in; k++) {
        if (node->in[k] >= 0 && cvi_op_role(node->def, k) == role) {
            return k;
        }
    }
    return -1;
}

static bool has_kernel(const cvi_node *node) {
    return node->def && ((node->def->flags & CVI_OP_CONV) || node->def->glyph == CVI_GLYPH_DENSE) &&
           input_of_role(node, CVI_WEIGHT) >= 0;
}

/* What the layer's numbers came from before activations, normalisations and sums with constants: the one input of such a
 * node that is no constant; -1 where there are none or several. */
static int upstream(const cvi_exec *x, const cvi_node *node) {
    unsigned passes = CVI_OP_POINTWISE | CVI_OP_IDENTITY | CVI_OP_RESHAPE;
    int found = -1;
    if (!node->def || !((node->def->flags & passes) || node->def->glyph == CVI_GLYPH_NORM)) {
        return -1;
    }
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k];
        if (v >= 0 && cvi_op_role(node->def, k) == CVI_DATA && !x->slots[v].constant &&
            !x->g->values[v].constant) {
            if (found >= 0) {
                return -1;
            }
            found = v;
        }
    }
    return found;
}

/* A bias that stands in a sum of its own after the product: the constant with one number per filter. */
static int added_bias(const cvi_exec *x, const cvi_node *node, int64_t filters) {
    for (int k = 0; node->def && node->def->glyph == CVI_GLYPH_ADD && k < node->n_in; k++) {
        int v = node->in[k];
        if (v >= 0 && x->slots[v].constant && x->slots[v].known &&
            cvs_tensor_count(&x->slots[v].shape) == filters) {
            return v;
        }
    }
    return -1;
}

static cvs_status read_floats(cvi_exec *x, int v, cvs_tensor *out, cvs_error *err) {
    cvs_tensor t;
    CVI_TRY(cvi_exec_value(x, v, &t, err));
    if (!t.data && t.bytes > 0) {
        return x->g->values[v].constant
                   ? cvi_fail(
                         err, CVS_E_ARGUMENT,
                         "the model has no weights (%.80s has no numbers); --init SEED gives it random ones",
                         x->g->values[v].name)
                   : cvi_fail(err, CVS_E_UNSUPPORTED,
                              "the kernel %.80s is computed from the input: it is no constant",
                              x->g->values[v].name);
    }
    return cvs_tensor_convert(&t, CVS_F32, out, err);
}

/* Filters first: a dense kernel [C,K] and a transposed convolution's [C,K,R,S] are turned. */
static cvs_status filters_first(const cvi_node *node, cvs_tensor *kernel, cvs_error *err) {
    int perm[CVS_MAX_RANK] = {1, 0};
    bool conv = (node->def->flags & CVI_OP_CONV) != 0;
    bool turned = conv ? node->def->glyph == CVI_GLYPH_UPSAMPLE && cvi_node_int(node, "group", 1) == 1
                       : cvi_node_int(node, "transB", 0) == 0;
    if (!turned || kernel->rank < 2 || (!conv && kernel->rank != 2)) {
        return CVS_OK;
    }
    for (int i = 2; i < kernel->rank; i++) {
        perm[i] = i;
    }
    cvs_tensor out = {0};
    CVI_TRY(cvs_tensor_permute(kernel, perm, &out, err));
    cvs_tensor_free(kernel);
    *kernel = out;
    return CVS_OK;
}

static cvs_status read_kernel(cvi_exec *x, int n, int sum, cvs_tensor *kernel, cvs_tensor *bias,
                              cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    int b = input_of_role(node, CVI_BIAS);
    CVI_TRY(read_floats(x, node->in[input_of_role(node, CVI_WEIGHT)], kernel, err));
    CVI_TRY(filters_first(node, kernel, err));
    int v = b >= 0                         ? node->in[b]
            : sum >= 0 && kernel->rank > 0 ? added_bias(x, &x->g->nodes[sum], kernel->dim[0])
                                           : -1;
    if (v < 0) {
        return CVS_OK;
    }
    CVI_TRY(read_floats(x, v, bias, err));
    if (cvs_tensor_count(bias) == kernel->dim[0]) {
        bias->rank = 1;
        bias->dim[0] = kernel->dim[0];
    }
    return CVS_OK;
}

cvs_status cvs_model_filters(const cvs_model *model, int layer, cvs_tensor *kernel, cvs_tensor *bias,
                             cvs_error *err) {
    const cvi_graph *g = model->graph;
    int v = cvi_graph_layer(g, layer), sum = -1;
    cvi_exec *x = NULL;
    *kernel = *bias = (cvs_tensor){0};
    if (v < 0) {
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no layer number %d: the model has %d layers, counted from 0", layer,
                        cvi_graph_n_layers(g));
    }
    CVI_TRY(cvi_exec_default(model, NULL, &x, err));
    int n = g->values[v].producer;
    for (int step = 0; n >= 0 && !has_kernel(&g->nodes[n]) && step < FAR; step++) {
        int up = upstream(x, &g->nodes[n]);
        sum = up >= 0 && g->nodes[n].def->glyph == CVI_GLYPH_ADD ? n : sum;
        n = up >= 0 ? g->values[up].producer : -1;
    }
    cvs_status s =
        n >= 0 && has_kernel(&g->nodes[n])
            ? read_kernel(x, n, sum, kernel, bias, err)
            : cvi_fail(err, CVS_E_NOT_FOUND,
                       "layer %.80s has no filters of its own: it is no convolution or dense layer",
                       g->values[v].name);
    cvi_exec_free(x);
    if (s != CVS_OK) {
        cvs_tensor_free(kernel);
        cvs_tensor_free(bias);
    }
    return s;
}
