/* SPDX-License-Identifier: MIT
 * onnx_dynamic.c - networks whose weights alone are integers in the file (quantize_dynamic of ONNX Runtime): DynamicQuantizeLinear, then
 * ConvInteger or MatMulInteger, Cast and a product with both scales is one convolution or product of real numbers, of an input that was rounded
 * by its own range (convscope::Requantize, whose scale and zero point are still the range's). So gradients pass it.
 */
#include "onnx.h"
#include "ops/op.h"

typedef struct chain {
    int integers, cast, scales, product; /* nodes: of the integers, to floats, of both scales, with them */
    int weight_scale;                    /* value */
} chain;

typedef struct pass {
    cvi_onnx *o;
    cvi_graph *g;
    int n_values, *producer, *users; /* by value: the node that makes it, how many read it */
    int *reader;                     /* by value: one node that does */
    bool *kept;                      /* by value: handed out, or read inside of a subgraph */
} pass;

static bool begin(pass *p) {
    cvi_graph *g = p->g;
    p->n_values = g->n_values;
    p->producer = cvi_onnx_alloc(p->o, g->n_values, sizeof *p->producer);
    p->users = cvi_onnx_alloc(p->o, g->n_values, sizeof *p->users);
    p->reader = cvi_onnx_alloc(p->o, g->n_values, sizeof *p->reader);
    p->kept = cvi_onnx_alloc(p->o, g->n_values, sizeof *p->kept);
    if (!p->producer || !p->users || !p->reader || !p->kept) {
        return false;
    }
    for (int v = 0; v < g->n_values; v++) {
        p->producer[v] = p->reader[v] = -1;
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const cvi_node *n = &g->nodes[i];
        for (int k = 0; k < n->n_in; k++) {
            if (n->in[k] >= 0) {
                p->users[n->in[k]]++;
                p->reader[n->in[k]] = i;
            }
        }
        for (int k = 0; k < n->n_out; k++) {
            if (n->out[k] >= 0) {
                p->producer[n->out[k]] = i;
            }
        }
    }
    cvi_onnx_mark_kept(g, p->kept);
    return true;
}

static bool is(const pass *p, int node, const char *op, int n_in) {
    return node >= 0 && p->g->nodes[node].n_out == 1 && p->g->nodes[node].n_in == n_in &&
           p->g->nodes[node].out[0] >= 0 && strcmp(p->g->nodes[node].op, op) == 0;
}

/* The only reader of what a node makes, -1 where there are others. */
static int only_reader(const pass *p, int node) {
    int v = p->g->nodes[node].out[0];
    return p->users[v] == 1 && !p->kept[v] ? p->reader[v] : -1;
}

/* The other input of a node of two. */
static int beside(const cvi_node *n, int v) {
    return n->in[0] == v ? n->in[1] : n->in[0];
}

/* The chain from one reader of the integers q, with their scale s and zero point z; false: another kind of reader. */
static bool find_chain(const pass *p, int reader, int q, int s, int z, chain *c) {
    const cvi_graph *g = p->g;
    const cvi_node *n = &g->nodes[reader];
    bool conv = strcmp(n->op, "ConvInteger") == 0;
    *c = (chain){.integers = reader};
    if ((!conv && strcmp(n->op, "MatMulInteger") != 0) || n->n_in < 3 || n->n_out != 1 || n->out[0] < 0 ||
        n->in[0] != q || n->in[2] != z || n->in[1] < 0 || n->in[1] == q || !g->values[n->in[1]].constant ||
        (n->n_in > 3 && (n->n_in > 4 || (n->in[3] >= 0 && !g->values[n->in[3]].constant)))) {
        return false;
    }
    c->cast = only_reader(p, reader);
    if (!is(p, c->cast, "Cast", 1) || cvi_node_int(&g->nodes[c->cast], "to", 0) != CVS_F32) {
        return false;
    }
    c->product = only_reader(p, c->cast);
    if (!is(p, c->product, "Mul", 2)) {
        return false;
    }
    int both = beside(&g->nodes[c->product], g->nodes[c->cast].out[0]);
    c->scales = both >= 0 ? p->producer[both] : -1;
    if (!is(p, c->scales, "Mul", 2) || (g->nodes[c->scales].in[0] != s && g->nodes[c->scales].in[1] != s)) {
        return false;
    }
    c->weight_scale = beside(&g->nodes[c->scales], s);
    const cvs_tensor *scale = c->weight_scale >= 0 ? g->values[c->weight_scale].constant : NULL;
    int64_t count = scale && scale->data && scale->dtype == CVS_F32 ? cvs_tensor_count(scale) : 0;
    const cvs_tensor *w = g->values[n->in[1]].constant;
    const cvs_tensor *zero = n->n_in > 3 && n->in[3] >= 0 ? g->values[n->in[3]].constant : NULL;
    if (zero && cvs_tensor_count(zero) != count) {
        return false;
    }
    return count == 1 || (!conv && scale && scale->rank == 1 && w->rank == 2 && count == w->dim[1]);
}

/* The weights of a chain as a node that turns them into numbers; onnx_quantized.c makes a constant of it. -1: failed. */
static int real_weights(pass *p, const chain *c) {
    cvi_graph *g = p->g;
    const cvi_node *n = &g->nodes[c->integers];
    int in[] = {n->in[1], c->weight_scale, n->n_in > 3 ? n->in[3] : -1};
    cvi_node *made = NULL;
    int v = cvi_graph_op(g, "DequantizeLinear", 3, in, "weights", 1, &made, p->o->err);
    if (v < 0 || !cvi_attr_set_int(g, &made->attr[0], "axis", -1)) {
        return v < 0 ? -1 : (cvi_no_memory(p->o->err, 0), -1);
    }
    if (in[2] < 0) {
        made->n_in = 2;
    }
    g->values[v].hidden = true;
    return v;
}

/* The product becomes the convolution or product itself. */
static cvs_status join(pass *p, const chain *c, int rounded, bool *joined) {
    int w = real_weights(p, c);
    if (w < 0) {
        return p->o->err->code;
    }
    *joined = true;
    cvi_node *from = &p->g->nodes[c->integers], *to = &p->g->nodes[c->product];
    to->op = strcmp(from->op, "ConvInteger") == 0 ? "Conv" : "MatMul";
    to->in[0] = rounded;
    to->in[1] = w;
    to->attr = from->attr;
    to->n_attr = from->n_attr;
    return CVS_OK;
}

/* The node whose integers node r reads first, if it finds the range itself; -1: another. */
static int range_of(const pass *p, int r) {
    const cvi_node *n = &p->g->nodes[r];
    int q = n->n_in > 0 ? n->in[0] : -1, i = q >= 0 && q < p->n_values ? p->producer[q] : -1;
    const cvi_node *d = i >= 0 ? &p->g->nodes[i] : NULL;
    bool is_range = d && strcmp(d->op, "DynamicQuantizeLinear") == 0 && d->n_in == 1 && d->n_out == 3 &&
                    d->in[0] >= 0 && d->out[0] == q && d->out[1] >= 0 && d->out[2] >= 0;
    return is_range ? i : -1;
}

static cvs_status one_reader(pass *p, int r, int *rounded, bool *gone) {
    cvi_graph *g = p->g;
    int i = range_of(p, r);
    if (i < 0) {
        return CVS_OK;
    }
    const cvi_node d = g->nodes[i];
    cvi_node *n = &g->nodes[r];
    chain c;
    if (strcmp(n->op, "DequantizeLinear") == 0 && n->n_in == 3 && n->in[1] == d.out[1] &&
        n->in[2] == d.out[2]) {
        n->op = "convscope::Requantize";
        n->in[0] = d.in[0];
        n->n_attr = 0;
    } else if (find_chain(p, r, d.out[0], d.out[1], d.out[2], &c)) {
        const int in[] = {d.in[0], d.out[1], d.out[2]};
        if (rounded[i] < 0) {
            rounded[i] =
                cvi_graph_op(g, "convscope::Requantize", 3, in, g->values[d.out[0]].name, 0, NULL, p->o->err);
            CVI_TRY(rounded[i] < 0 ? p->o->err->code : CVS_OK);
        }
        bool joined = false;
        CVI_TRY(join(p, &c, rounded[i], &joined));
        gone[c.integers] = gone[c.cast] = joined;
        gone[c.scales] = joined && only_reader(p, c.scales) == c.product;
    } else {
        return CVS_OK;
    }
    for (int k = 0; k < 3; k++) {
        g->values[d.out[k]].hidden = true;
    }
    return CVS_OK;
}

cvs_status cvi_onnx_dynamic(cvi_onnx *o, cvi_graph *g) {
    pass p = {.o = o, .g = g};
    int n_nodes = g->n_nodes, left = 0;
    bool any = false;
    for (int i = 0; i < n_nodes && !any; i++) {
        any = strcmp(g->nodes[i].op, "DynamicQuantizeLinear") == 0;
    }
    if (!any) {
        return CVS_OK;
    }
    int *rounded = cvi_onnx_alloc(o, n_nodes, sizeof *rounded);
    bool *gone = cvi_onnx_alloc(o, n_nodes, sizeof *gone);
    if (!rounded || !gone || !begin(&p)) {
        return CVS_E_MEMORY;
    }
    for (int i = 0; i < n_nodes; i++) {
        rounded[i] = -1;
    }
    for (int r = 0; r < n_nodes; r++) {
        CVI_TRY(one_reader(&p, r, rounded, gone));
    }
    for (int i = 0; i < g->n_nodes; i++) {
        if (i >= n_nodes || !gone[i]) {
            g->nodes[left++] = g->nodes[i];
        }
    }
    g->n_nodes = left;
    return CVS_OK;
}
