/* SPDX-License-Identifier: MIT
 * onnx_quantized.c - a quantised network as the real numbers that its integers stand for: QuantizeLinear whose integers only move about (or
 * take a maximum) and come back by the same scale becomes one rounding (convscope::Requantize), what turned them back goes, and integer
 * weights are turned into numbers once. So such a network runs on the fast forms, and gradients pass it. Where integers have another
 * reader, or are what the file hands out, they stay.
 */
#include "onnx.h"
#include "ops/op.h"
#include "ops/quantize.h"

enum { SWEEPS = 64, CHANGED = 1, MOST_BYTES = 1 << 30 };

typedef struct pass {
    cvi_onnx *o;
    cvi_graph *g;
    bool *real;        /* by value: these integers may be held as real numbers */
    int *scale, *zero; /* by value: what `real` ones are measured in; zero -1: 0 */
    int *alias;        /* by value: what stands in its place */
    bool *kept;        /* by value: handed out, or read inside of a subgraph */
    bool *gone;        /* by node */
    int64_t bytes;     /* of weights turned into numbers */
} pass;

/* Nodes that hand integers on as they are, or the largest of them, and how many of their inputs are such (-1: all). */
static int moved_inputs(const cvi_node *n) {
    static const char *const movers[] = {"MaxPool",   "Reshape",      "Transpose",     "Squeeze",
                                         "Unsqueeze", "Flatten",      "Slice",         "Gather",
                                         "Split",     "Identity",     "GlobalMaxPool", "Expand",
                                         "Tile",      "SpaceToDepth", "DepthToSpace"};
    for (int i = 0; i < CVI_COUNT(movers); i++) {
        if (strcmp(n->op, movers[i]) == 0) {
            return i == 0 && n->n_out > 1 && n->out[1] >= 0
                       ? 0
                       : 1; /* places of maxima are no numbers of this kind */
        }
    }
    if (strcmp(n->op, "Resize") == 0) {
        return strcmp(cvi_node_string(n, "mode", "nearest"), "nearest") == 0 &&
                       strcmp(cvi_node_string(n, "coordinate_transformation_mode", ""),
                              "tf_crop_and_resize") != 0
                   ? 1
                   : 0;
    }
    return strcmp(n->op, "Concat") == 0 ? -1 : 0;
}

static const cvs_tensor *one_number(const cvi_graph *g, int v) {
    const cvs_tensor *t = v >= 0 ? g->values[v].constant : NULL;
    return t && t->data && cvs_tensor_count(t) == 1 ? t : NULL;
}

/* Whether two pairs of scale and zero point are the same numbers. */
static bool same_measure(const cvi_graph *g, int scale, int zero, int other_scale, int other_zero) {
    const cvs_tensor *s = one_number(g, scale), *t = one_number(g, other_scale);
    const cvs_tensor *z = one_number(g, zero), *y = one_number(g, other_zero);
    if (!s || !t || s->dtype != t->dtype || cvi_get(s, 0) != cvi_get(t, 0)) {
        return false;
    }
    if ((zero >= 0 && !z) || (other_zero >= 0 && !y)) {
        return false;
    }
    return (z ? cvi_get(z, 0) : 0) == (y ? cvi_get(y, 0) : 0);
}

static int input(const cvi_node *n, int k) {
    return k < n->n_in ? n->in[k] : -1;
}

static bool is_quantize(const pass *p, const cvi_node *n) {
    const cvs_tensor *s = one_number(p->g, input(n, 1)), *z = one_number(p->g, input(n, 2));
    return strcmp(n->op, "QuantizeLinear") == 0 && n->n_out == 1 && n->out[0] >= 0 && input(n, 0) >= 0 && s &&
           z && s->dtype == CVS_F32 && cvi_get(s, 0) > 0 && cvi_is_small_integer(z->dtype);
}

static bool is_dequantize(const cvi_node *n) {
    return strcmp(n->op, "DequantizeLinear") == 0 && n->n_out == 1 && n->out[0] >= 0 && input(n, 0) >= 0 &&
           input(n, 1) >= 0;
}

void cvi_onnx_mark_kept(const cvi_graph *g, bool *kept) {
    for (int k = 0; k < g->n_outputs; k++) {
        kept[g->outputs[k]] = true;
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const cvi_node *n = &g->nodes[i];
        for (int k = 0; k < n->n_attr; k++) {
            const cvi_graph *sub = n->attr[k].kind == CVI_ATTR_GRAPH ? n->attr[k].graph : NULL;
            for (int v = 0; sub && v < sub->n_values; v++) {
                if (sub->values[v].outer >= 0) {
                    kept[sub->values[v].outer] = true;
                }
            }
        }
    }
}

/* ---- which integers ------------------------------------------------------------------------------------------------ */
/* Outputs of a mover are of the kind of its inputs, where those agree. */
static void spread(pass *p, const cvi_node *n) {
    int moved = moved_inputs(n), first = input(n, 0), count = moved < 0 ? n->n_in : moved;
    bool real = count > 0;
    for (int k = 0; k < count && real; k++) {
        int v = input(n, k);
        real = v >= 0 && p->real[v] &&
               same_measure(p->g, p->scale[first], p->zero[first], p->scale[v], p->zero[v]);
    }
    for (int k = 0; k < n->n_out && real; k++) {
        int v = n->out[k];
        if (v >= 0) {
            p->real[v] = !p->kept[v];
            p->scale[v] = p->scale[first];
            p->zero[v] = p->zero[first];
        }
    }
}

static int refuse(pass *p, int v) {
    int changed = v >= 0 && p->real[v] ? CHANGED : 0;
    if (changed) {
        p->real[v] = false;
    }
    return changed;
}

/* Takes back what a node's other side does not allow: integers with another reader, movers with one foot in each world. */
static int check(pass *p, const cvi_node *n) {
    int moved = moved_inputs(n), count = moved < 0 ? n->n_in : moved, changed = 0;
    bool real = count > 0;
    if (is_dequantize(n)) {
        int v = n->in[0];
        bool same = p->real[v] && same_measure(p->g, p->scale[v], p->zero[v], n->in[1], input(n, 2));
        for (int k = 0; k < n->n_in; k++) {
            changed |= k > 0 || !same ? refuse(p, n->in[k]) : 0;
        }
        return changed;
    }
    for (int k = 0; k < count; k++) {
        real = real && input(n, k) >= 0 && p->real[n->in[k]];
    }
    for (int k = 0; k < n->n_out; k++) {
        real = real && (n->out[k] < 0 || p->real[n->out[k]]);
    }
    for (int k = 0; k < n->n_in; k++) {
        changed |= !real || k >= count ? refuse(p, n->in[k]) : 0;
    }
    for (int k = 0; k < n->n_out && !is_quantize(p, n); k++) {
        changed |= !real ? refuse(p, n->out[k]) : 0;
    }
    return changed;
}

/* false: it did not come to rest, so nothing is known. */
static bool find_real(pass *p) {
    int changed = CHANGED;
    for (int i = 0; i < p->g->n_nodes; i++) {
        const cvi_node *n = &p->g->nodes[i];
        if (is_quantize(p, n)) {
            int v = n->out[0];
            p->real[v] = !p->kept[v];
            p->scale[v] = n->in[1];
            p->zero[v] = n->in[2];
        } else {
            spread(p, n);
        }
    }
    for (int sweep = 0; sweep < SWEEPS && changed; sweep++) {
        changed = 0;
        for (int i = 0; i < p->g->n_nodes; i++) {
            changed |= check(p, &p->g->nodes[sweep % 2 ? i : p->g->n_nodes - 1 - i]);
        }
    }
    return !changed;
}

/* ---- the change ----------------------------------------------------------------------------------------------------- */
static void change(pass *p, int i) {
    cvi_node *n = &p->g->nodes[i];
    if (is_dequantize(n) && p->real[n->in[0]]) {
        if (p->kept[n->out[0]]) { /* a name that has to stay */
            n->op = "Identity";
            n->n_in = 1;
            n->n_attr = 0;
        } else {
            p->alias[n->out[0]] = n->in[0];
            p->gone[i] = true;
        }
        return;
    }
    bool quantize = is_quantize(p, n);
    for (int k = 0; k < n->n_out; k++) {
        cvi_value *v = n->out[k] >= 0 && p->real[n->out[k]] ? &p->g->values[n->out[k]] : NULL;
        if (v) {
            v->dtype = CVS_F32;
        }
        if (v && quantize) {
            n->op = "convscope::Requantize";
            n->n_attr = 0;
        }
    }
}

static void follow_aliases(pass *p) {
    for (int i = 0; i < p->g->n_nodes; i++) {
        cvi_node *n = &p->g->nodes[i];
        for (int k = 0; k < n->n_in; k++) {
            if (n->in[k] >= 0 && p->alias[n->in[k]] >= 0) {
                n->in[k] = p->alias[n->in[k]];
            }
        }
    }
}

/* ---- weights -------------------------------------------------------------------------------------------------------- */
/* Integers that the file holds, turned into numbers; left alone where their shapes do not fit: the run says so. */
static cvs_status weights(pass *p, int i) {
    cvi_node node = p->g->nodes[i];
    const cvs_tensor *in[3] = {NULL};
    cvs_tensor out = {.dtype = CVS_NONE};
    cvs_error quiet = {0};
    for (int k = 0; k < 3 && k < node.n_in; k++) {
        in[k] = node.in[k] >= 0 ? p->g->values[node.in[k]].constant : NULL;
        if (node.in[k] >= 0 && (!in[k] || (!in[k]->data && cvs_tensor_count(in[k]) > 0))) {
            return CVS_OK;
        }
    }
    cvi_graph one = {.n_nodes = 1, .nodes = &node};
    if (cvi_ops_bind(&one, &quiet) != CVS_OK || !node.def || p->kept[node.out[0]]) {
        return CVS_OK;
    }
    cvi_opctx ctx = {.graph = p->g,
                     .node = &node,
                     .op = node.def,
                     .n_in = node.n_in,
                     .n_out = 1,
                     .in = in,
                     .out = &out,
                     .scratch = p->o->scratch,
                     .err = &quiet};
    int64_t bytes = 0;
    cvs_status s = node.def->infer(&ctx);
    int64_t count = s == CVS_OK ? cvs_tensor_count(&out) : 0;
    if (s == CVS_OK && out.dtype == CVS_F32 && count > 0 && cvi_mul(count, sizeof(float), &bytes) &&
        bytes <= MOST_BYTES - p->bytes) {
        out.data = cvi_arena_alloc(p->g->arena, count, sizeof(float));
        out.bytes = (size_t)bytes;
        s = out.data ? node.def->forward(&ctx) : CVS_E_MEMORY;
    }
    cvi_arena_reset(p->o->scratch);
    if (s == CVS_E_MEMORY) {
        return cvi_no_memory(p->o->err, (size_t)bytes);
    }
    cvs_tensor *copy = s == CVS_OK && out.data ? cvi_arena_alloc(p->g->arena, 1, sizeof *copy) : NULL;
    if (s != CVS_OK || !out.data || !copy) {
        return s == CVS_OK && out.data ? cvi_no_memory(p->o->err, sizeof *copy) : CVS_OK;
    }
    cvi_value *v = &p->g->values[node.out[0]];
    *copy = out;
    v->constant = copy;
    v->dtype = out.dtype;
    v->rank = out.rank;
    memcpy(v->dim, out.dim, sizeof v->dim);
    p->bytes += bytes;
    p->gone[i] = true;
    return CVS_OK;
}

static bool begin(pass *p) {
    int n = p->g->n_values;
    p->real = cvi_onnx_alloc(p->o, n, sizeof *p->real);
    p->kept = cvi_onnx_alloc(p->o, n, sizeof *p->kept);
    p->scale = cvi_onnx_alloc(p->o, n, sizeof *p->scale);
    p->zero = cvi_onnx_alloc(p->o, n, sizeof *p->zero);
    p->alias = cvi_onnx_alloc(p->o, n, sizeof *p->alias);
    p->gone = cvi_onnx_alloc(p->o, p->g->n_nodes, sizeof *p->gone);
    if (!p->real || !p->kept || !p->scale || !p->zero || !p->alias || !p->gone) {
        return false;
    }
    for (int v = 0; v < n; v++) {
        p->scale[v] = p->zero[v] = p->alias[v] = -1;
    }
    cvi_onnx_mark_kept(p->g, p->kept);
    return true;
}

cvs_status cvi_onnx_real_numbers(cvi_onnx *o, cvi_graph *g) {
    pass p = {.o = o, .g = g};
    bool any = false;
    for (int i = 0; i < g->n_nodes && !any; i++) {
        any = is_dequantize(&g->nodes[i]);
    }
    if (!any) {
        return CVS_OK;
    }
    if (!begin(&p)) {
        return CVS_E_MEMORY;
    }
    bool known = find_real(&p);
    for (int i = 0; i < g->n_nodes; i++) {
        const cvi_node *n = &g->nodes[i];
        if (known) {
            change(&p, i);
        }
        if (!p.gone[i] && is_dequantize(n) && g->values[n->in[0]].constant) {
            CVI_TRY(weights(&p, i));
        }
    }
    follow_aliases(&p);
    int left = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        if (!p.gone[i]) {
            g->nodes[left++] = g->nodes[i];
        }
    }
    g->n_nodes = left;
    return CVS_OK;
}
