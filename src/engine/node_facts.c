/* SPDX-License-Identifier: MIT
 * node_facts.c - what the node behind a layer says of itself: attributes as text, inputs and outputs with type and shape, and what the
 * numbers of its weights are like.
 */
#include <math.h>

#include "convscope/graph.h"
#include "engine/engine.h"

void cvs_node_facts_free(cvs_node_facts *f) {
    if (f) {
        cvi_free(f->parts);
        *f = (cvs_node_facts){0};
    }
}

/* Appends and says by "..." that something did not fit. */
static void put(char *buf, size_t size, const char *text) {
    size_t used = strlen(buf), n = strlen(text);
    if (used + n + 1 < size) {
        memcpy(buf + used, text, n + 1);
    } else if (used + 4 < size) {
        memcpy(buf + used, "...", 4);
    }
}

static void list_text(const cvi_attr *a, char *buf, size_t size) {
    for (int i = 0; i < a->n && strlen(buf) + 8 < size; i++) {
        char one[64];
        put(buf, size, i > 0 ? ", " : "");
        if (a->kind == CVI_ATTR_STRINGS) {
            put(buf, size, a->strings[i]);
            continue;
        }
        if (a->kind == CVI_ATTR_INTS) {
            snprintf(one, sizeof one, "%lld", (long long)a->ints[i]);
        } else {
            snprintf(one, sizeof one, "%.7g", a->floats[i]);
        }
        put(buf, size, one);
    }
}

static void value_text(cvs_dtype dtype, int rank, const int64_t *dim, char *buf, size_t size) {
    char shape[160];
    snprintf(buf, size, "%s%s%s", dtype != CVS_NONE ? cvs_dtype_name(dtype) : "",
             dtype != CVS_NONE && rank >= 0 ? " " : "",
             rank >= 0 ? cvs_shape_text(rank, dim, shape, sizeof shape) : "");
}

static void attribute_part(const cvi_attr *a, cvs_node_part *p) {
    p->kind = CVS_NODE_ATTRIBUTE;
    p->name = a->name;
    switch (a->kind) {
    case CVI_ATTR_INT:
        snprintf(p->text, sizeof p->text, "%lld", (long long)a->i);
        break;
    case CVI_ATTR_FLOAT:
        snprintf(p->text, sizeof p->text, "%.7g", a->f);
        break;
    case CVI_ATTR_STRING:
        put(p->text, sizeof p->text, a->s);
        break;
    case CVI_ATTR_INTS:
    case CVI_ATTR_FLOATS:
    case CVI_ATTR_STRINGS:
        list_text(a, p->text, sizeof p->text);
        break;
    case CVI_ATTR_TENSOR:
        value_text(a->tensor->dtype, a->tensor->rank, a->tensor->dim, p->text, sizeof p->text);
        break;
    case CVI_ATTR_GRAPH:
        snprintf(p->text, sizeof p->text, "%d", a->graph->n_nodes);
        break;
    }
}

/* Numbers of a weight; what is not finite makes the others not finite too, which is worth seeing. */
static void measure(const cvs_tensor *t, cvs_node_part *p) {
    int64_t n = cvs_tensor_count(t), zeros = 0;
    double sum = 0.0, squares = 0.0;
    p->least = INFINITY;
    p->largest = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double v = cvi_get(t, i);
        p->least = v < p->least ? v : p->least;
        p->largest = v > p->largest ? v : p->largest;
        sum += v;
        squares += v * v;
        zeros += !(v < 0.0 || v > 0.0);
    }
    p->measured = n > 0;
    if (n > 0) {
        p->mean = sum / (double)n;
        p->deviation = sqrt(fmax(squares / (double)n - p->mean * p->mean, 0.0));
        p->zeros = (double)zeros / (double)n;
    }
}

static void value_part(const cvi_graph *g, int v, bool input, cvs_node_part *p) {
    const cvi_value *value = &g->values[v];
    const cvs_tensor *t = value->constant;
    p->kind = input ? CVS_NODE_INPUT : CVS_NODE_OUTPUT;
    p->name = value->name;
    if (!t) {
        value_text(value->dtype, value->rank, value->dim, p->text, sizeof p->text);
        return;
    }
    p->constant = true;
    value_text(t->dtype, t->rank, t->dim, p->text, sizeof p->text);
    if (t->data && t->rank <= CVS_MAX_RANK) {
        measure(t, p);
    }
}

cvs_status cvs_model_node(const struct cvs_model *model, int layer, cvs_node_facts *out, cvs_error *err) {
    const cvi_graph *g = model->graph;
    int v = cvi_graph_layer(g, layer), n = v >= 0 ? g->values[v].producer : -1;
    *out = (cvs_node_facts){0};
    if (n < 0) {
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no layer number %d: the model has %d layers, counted from 0", layer,
                        cvi_graph_n_layers(g));
    }
    const cvi_node *node = &g->nodes[n];
    out->parts = cvi_calloc((size_t)(node->n_attr + node->n_in + node->n_out) + 1, sizeof *out->parts);
    if (!out->parts) {
        return cvi_no_memory(err, sizeof *out->parts);
    }
    out->name = node->name;
    out->op = node->op;
    out->note = node->note;
    for (int i = 0; i < node->n_attr; i++) {
        attribute_part(&node->attr[i], &out->parts[out->n++]);
    }
    for (int i = 0; i < node->n_in; i++) {
        if (node->in[i] >= 0) {
            value_part(g, node->in[i], true, &out->parts[out->n++]);
        }
    }
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] >= 0) {
            value_part(g, node->out[i], false, &out->parts[out->n++]);
        }
    }
    return CVS_OK;
}
