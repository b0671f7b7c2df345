/* SPDX-License-Identifier: MIT
 * onnx_rewrite.c - the pen of onnx_rewrite.h: nodes, constants and names that stand in place of an operator of another domain.
 */
#include "onnx_rewrite.h"

#include "onnx_upgrade.h"

int cvi_rw_in(const cvi_rw *p, int k) {
    return k < p->d->n_in ? p->d->in[k] : -1;
}

bool cvi_rw_need(cvi_rw *p, int n) {
    for (int k = 0; k < n && p->s == CVS_OK; k++) {
        if (cvi_rw_in(p, k) < 0) {
            p->s = cvi_fail(p->d->o->err, CVS_E_FORMAT, "input %d is absent", k);
        }
    }
    return p->s == CVS_OK;
}

const cvi_attr *cvi_rw_attr(const cvi_rw *p, const char *name) {
    for (int i = 0; i < p->d->n_attr; i++) {
        if (strcmp(p->d->attr[i].name, name) == 0) {
            return &p->d->attr[i];
        }
    }
    return NULL;
}

int64_t cvi_rw_int(const cvi_rw *p, const char *name, int64_t otherwise) {
    const cvi_attr *a = cvi_rw_attr(p, name);
    return a && a->kind == CVI_ATTR_INT ? a->i : otherwise;
}

double cvi_rw_float(const cvi_rw *p, const char *name, double otherwise) {
    const cvi_attr *a = cvi_rw_attr(p, name);
    return a && a->kind == CVI_ATTR_FLOAT ? a->f : otherwise;
}

const char *cvi_rw_string(const cvi_rw *p, const char *name, const char *otherwise) {
    const cvi_attr *a = cvi_rw_attr(p, name);
    return a && a->kind == CVI_ATTR_STRING ? a->s : otherwise;
}

const cvs_tensor *cvi_rw_constant(const cvi_rw *p, int value) {
    const cvs_tensor *t = value >= 0 ? p->d->scope->graph->values[value].constant : NULL;
    return t && t->data ? t : NULL;
}

int cvi_rw_rank(const cvi_rw *p, int value) {
    return value < 0 ? -1 : CVI_MAX(p->d->scope->graph->values[value].rank, cvi_onnx_shape(p->d, value).rank);
}

cvs_dtype cvi_rw_type(const cvi_rw *p, int value) {
    cvs_dtype t = value >= 0 ? p->d->scope->graph->values[value].dtype : CVS_NONE;
    return t == CVS_NONE && value >= 0 ? cvi_onnx_shape(p->d, value).dtype : t;
}

/* Puts one node with the given outputs into the graph; arrays are copied, because what emits it may shorten them. */
static void emit(cvi_rw *p, const cvi_onnx_node *source, const char *op, int n_in, const int *in, int n_out,
                 const int *out, int n_attr, const cvi_attr *attr) {
    cvi_onnx *o = p->d->o;
    cvi_onnx_draft h = {.o = o, .scope = p->d->scope, .source = source, .op = op, .version = CVI_OPSET};
    h.n_in = n_in;
    h.n_out = n_out;
    h.n_attr = n_attr;
    h.in = cvi_onnx_alloc(o, CVI_MAX(n_in, 1), sizeof *h.in);
    h.out = cvi_onnx_alloc(o, CVI_MAX(n_out, 1), sizeof *h.out);
    h.attr = cvi_onnx_alloc(o, CVI_MAX(n_attr, 1), sizeof *h.attr);
    if (!h.in || !h.out || !h.attr) {
        p->s = CVS_E_MEMORY;
        return;
    }
    for (int k = 0; k < n_in; k++) {
        h.in[k] = in[k];
    }
    for (int k = 0; k < n_out; k++) {
        h.out[k] = out[k];
    }
    for (int k = 0; k < n_attr; k++) {
        h.attr[k] = attr[k];
    }
    p->s = cvi_onnx_emit(&h);
}

static int new_value(cvi_rw *p, const char *what, bool hidden) {
    cvi_graph *g = p->d->scope->graph;
    int v =
        p->s == CVS_OK ? cvi_graph_value(g, cvi_up_name(p->d, what), CVS_NONE, -1, NULL, p->d->o->err) : -1;
    if (v >= 0) {
        g->values[v].hidden = hidden;
    } else if (p->s == CVS_OK) {
        p->s = p->d->o->err->code;
    }
    return v;
}

int cvi_rw_put(cvi_rw *p, const char *op, bool hidden, int n_in, const int *in, int n_attr,
               const cvi_attr *attr) {
    int v = new_value(p, op, hidden);
    if (v >= 0) {
        const cvi_onnx_node source = {.name = cvi_up_name(p->d, op), .op = op};
        emit(p, &source, op, n_in, in, 1, &v, n_attr, attr);
    }
    return p->s == CVS_OK ? v : -1;
}

int cvi_rw_one(cvi_rw *p, const char *op, int a) {
    return cvi_rw_put(p, op, true, 1, &a, 0, NULL);
}

int cvi_rw_two(cvi_rw *p, const char *op, int a, int b) {
    const int in[] = {a, b};
    return cvi_rw_put(p, op, true, 2, in, 0, NULL);
}

void cvi_rw_many(cvi_rw *p, const char *op, int n_in, const int *in, int n_out, int *out, int n_attr,
                 const cvi_attr *attr) {
    for (int k = 0; k < n_out; k++) {
        out[k] = new_value(p, op, true);
    }
    if (p->s == CVS_OK) {
        const cvi_onnx_node source = {.name = cvi_up_name(p->d, op), .op = op};
        emit(p, &source, op, n_in, in, n_out, out, n_attr, attr);
    }
}

static int made(cvi_rw *p, int constant) {
    p->s = constant < 0 ? p->d->o->err->code : p->s;
    return constant;
}

int cvi_rw_ints(cvi_rw *p, const char *what, int n, const int64_t *v) {
    return p->s != CVS_OK
               ? -1
               : made(p, cvi_graph_ints(p->d->scope->graph, cvi_up_name(p->d, what), n, v, p->d->o->err));
}

int cvi_rw_tensor(cvi_rw *p, const char *what, const cvs_tensor *t) {
    return p->s != CVS_OK
               ? -1
               : made(p, cvi_graph_constant(p->d->scope->graph, cvi_up_name(p->d, what), t, p->d->o->err));
}

int cvi_rw_scalar(cvi_rw *p, const char *what, cvs_dtype dtype, double v) {
    cvs_tensor t = {.dtype = dtype, .bytes = cvs_dtype_size(dtype)};
    t.data = p->s == CVS_OK ? cvi_arena_alloc(p->d->scope->graph->arena, 1, 8) : NULL;
    if (!t.data) {
        p->s = p->s == CVS_OK ? cvi_no_memory(p->d->o->err, 8) : p->s;
        return -1;
    }
    cvi_put(&t, 0, v);
    return cvi_rw_tensor(p, what, &t);
}

int cvi_rw_turn(cvi_rw *p, int x, int rank, bool channels_last) {
    int64_t perm[CVS_MAX_RANK] = {0};
    cvi_attr a;
    for (int i = 1; i < rank; i++) {
        perm[i] = channels_last ? (i == 1 ? rank - 1 : i - 1) : (i == rank - 1 ? 1 : i + 1);
    }
    if (p->s != CVS_OK) {
        return -1;
    }
    if (!cvi_attr_set_ints(p->d->scope->graph, &a, "perm", rank, perm)) {
        p->s = cvi_no_memory(p->d->o->err, 0);
        return -1;
    }
    return cvi_rw_put(p, "Transpose", true, 1, &x, 1, &a);
}

void cvi_rw_end(cvi_rw *p, int k, const char *op, int n_in, const int *in, int n_attr, const cvi_attr *attr) {
    p->done = true;
    if (p->s == CVS_OK && k < p->d->n_out && p->d->out[k] >= 0) {
        const cvi_onnx_node source = {
            .name = k == 0 ? p->d->source->name : "", .op = op, .n_out = 1, .out = &p->d->source->out[k]};
        emit(p, &source, op, n_in, in, 1, &p->d->out[k], n_attr, attr);
    }
}

int cvi_rw_copy(const cvi_rw *p, const char *const *names, cvi_attr *to) {
    int n = 0;
    for (; *names; names++) {
        const cvi_attr *a = cvi_rw_attr(p, *names);
        if (a) {
            to[n++] = *a;
        }
    }
    return n;
}

cvs_status cvi_onnx_rewrite(cvi_onnx_draft *d, bool *done) {
    static const cvi_onnx_rule *const lists[] = {cvi_onnx_rules_aten, cvi_onnx_rules_attention,
                                                 cvi_onnx_rules_microsoft, cvi_onnx_rules_qlinear,
                                                 cvi_onnx_rules_ml};
    cvi_rw p = {.d = d};
    for (int i = 0; i < CVI_COUNT(lists) && d->n_out > 0; i++) {
        for (const cvi_onnx_rule *r = lists[i]; r->op; r++) {
            if (strcmp(r->op, d->op) == 0) {
                r->apply(&p);
                *done = p.done;
                return p.s;
            }
        }
    }
    *done = false;
    return CVS_OK;
}
