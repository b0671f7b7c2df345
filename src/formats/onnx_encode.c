/* SPDX-License-Identifier: MIT
 * onnx_encode.c - nodes, attributes, value infos and subgraphs as protobuf bytes; see onnx_encode.h.
 */
#include "onnx_encode.h"

#include "onnx.h"
#include "ops/op.h"
#include "tensor/list.h"
#include "tensor/small.h"

void cvi_pbw_varint(cvi_buf *b, uint64_t v) {
    uint8_t bytes[10];
    int n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    cvi_buf_add(b, bytes, (size_t)n);
}

int cvi_pbw_varint_size(uint64_t v) {
    int n = 1;
    for (; v >= 0x80; v >>= 7) {
        n++;
    }
    return n;
}

void cvi_pbw_int(cvi_buf *b, uint32_t field, int64_t v) {
    cvi_pbw_varint(b, (uint64_t)field << 3 | CVI_PB_VARINT);
    cvi_pbw_varint(b, (uint64_t)v);
}

void cvi_pbw_bytes(cvi_buf *b, uint32_t field, const void *data, size_t n) {
    cvi_pbw_varint(b, (uint64_t)field << 3 | CVI_PB_BYTES);
    cvi_pbw_varint(b, n);
    if (n) {
        cvi_buf_add(b, data, n);
    }
}

void cvi_pbw_text(cvi_buf *b, uint32_t field, const char *s) {
    cvi_pbw_bytes(b, field, s, strlen(s));
}

void cvi_pbw_message(cvi_buf *b, uint32_t field, cvi_buf *inner) {
    cvi_pbw_bytes(b, field, inner->data, inner->size);
    b->failed |= inner->failed;
    cvi_buf_free(inner);
}

void cvi_pbw_entry(cvi_buf *b, uint32_t field, const char *key, const char *value) {
    cvi_buf e = {0};
    cvi_pbw_text(&e, 1, key);
    cvi_pbw_text(&e, 2, value);
    cvi_pbw_message(b, field, &e);
}

static void put_float(cvi_buf *b, float v) {
    uint8_t bytes[4];
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    for (int i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(bits >> (8 * i));
    }
    cvi_buf_add(b, bytes, sizeof bytes);
}

/* The name that a value has in the file: a captured one has that of the value it captures. */
static const char *value_name(const cvi_graph *g, int v) {
    while (g->values[v].outer >= 0 && g->parent) {
        v = g->values[v].outer;
        g = g->parent;
    }
    return g->values[v].name;
}

void cvi_onnx_put_tensor_head(cvi_buf *b, const cvs_tensor *t, const char *name) {
    cvi_buf dims = {0};
    for (int i = 0; i < t->rank; i++) {
        cvi_pbw_varint(&dims, (uint64_t)t->dim[i]);
    }
    if (t->rank > 0) {
        cvi_pbw_message(b, 1, &dims);
    }
    cvi_pbw_int(b, 2, t->dtype);
    if (name && *name) {
        cvi_pbw_text(b, 8, name);
    }
}

cvs_status cvi_onnx_packed(cvs_tensor *t, cvs_error *err) {
    int bits = cvi_small_bits(t->dtype);
    int64_t n = cvs_tensor_count(t);
    if (bits == 0 || bits == 8 || n <= 0 || !t->data) {
        return CVS_OK;
    }
    int64_t bytes = cvi_small_bytes(t->dtype, n);
    uint8_t *packed = cvi_malloc((size_t)bytes);
    if (!packed) {
        return cvi_no_memory(err, (size_t)bytes);
    }
    cvi_small_pack(t->dtype, t->data, n, packed);
    t->data = packed;
    t->bytes = (size_t)bytes;
    t->owned = true;
    return CVS_OK;
}

/* A small tensor with its numbers. */
static cvs_status put_tensor(cvi_buf *b, uint32_t field, const cvs_tensor *t, const char *name,
                             cvs_error *err) {
    cvi_buf m = {0};
    if (!t->data && cvs_tensor_count(t) != 0) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "the model has no weights to write; --init SEED gives it random ones");
    }
    cvs_tensor stored = *t;
    stored.owned = false;
    CVI_TRY(cvi_onnx_packed(&stored, err));
    cvi_onnx_put_tensor_head(&m, t, name);
    cvi_pbw_bytes(&m, 9, stored.data, stored.bytes);
    cvi_pbw_message(b, field, &m);
    cvs_tensor_free(&stored);
    return CVS_OK;
}

void cvi_onnx_mark_used(const cvi_graph *g, bool *used) {
    memset(used, 0, (size_t)g->n_values * sizeof *used);
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        for (int k = 0; k < node->n_in; k++) {
            if (node->in[k] >= 0) {
                used[node->in[k]] = true;
            }
        }
        for (int a = 0; a < node->n_attr; a++) {
            const cvi_graph *sub = node->attr[a].graph;
            for (int v = 0; sub && v < sub->n_values; v++) {
                if (sub->values[v].outer >= 0) {
                    used[sub->values[v].outer] = true;
                }
            }
        }
    }
    for (int i = 0; i < g->n_outputs; i++) {
        used[g->outputs[i]] = true;
    }
}

void cvi_onnx_put_value(cvi_buf *b, uint32_t field, const char *name, const cvs_tensor *t) {
    cvi_buf info = {0}, type = {0}, tensor = {0}, shape = {0};
    cvi_pbw_text(&info, 1, name);
    if (t->dtype != CVS_NONE && t->dtype != CVI_LIST) {
        cvi_pbw_int(&tensor, 1, t->dtype);
        for (int i = 0; i < t->rank; i++) {
            cvi_buf dim = {0};
            if (t->dim[i] >= 0) {
                cvi_pbw_int(&dim, 1, t->dim[i]);
            }
            cvi_pbw_message(&shape, 1, &dim);
        }
        if (t->rank >= 0) {
            cvi_pbw_message(&tensor, 2, &shape);
        }
        cvi_pbw_message(&type, 1, &tensor);
        cvi_pbw_message(&info, 2, &type);
    }
    cvi_pbw_message(b, field, &info);
}

/* A subgraph with its own constants. */
static cvs_status put_subgraph(cvi_buf *b, uint32_t field, const cvi_graph *g, cvs_error *err) {
    cvi_buf m = {0};
    cvs_status s = CVS_OK;
    bool *used = cvi_calloc((size_t)g->n_values + 1, sizeof *used);
    if (!used) {
        return cvi_no_memory(err, (size_t)g->n_values);
    }
    cvi_onnx_mark_used(g, used);
    for (int n = 0; n < g->n_nodes && s == CVS_OK; n++) {
        s = cvi_onnx_put_node(&m, g, &g->nodes[n], err);
    }
    cvi_pbw_text(&m, 2, g->name[0] ? g->name : "subgraph");
    for (int v = 0; v < g->n_values && s == CVS_OK; v++) {
        if (used[v] && g->values[v].constant && g->values[v].outer < 0) {
            s = put_tensor(&m, 5, g->values[v].constant, g->values[v].name, err);
        }
    }
    for (int i = 0; i < g->n_inputs + g->n_outputs; i++) {
        bool out = i >= g->n_inputs;
        int v = out ? g->outputs[i - g->n_inputs] : g->inputs[i];
        const cvi_value *value = &g->values[v];
        cvs_tensor t = {.dtype = value->dtype, .rank = value->rank};
        memcpy(t.dim, value->dim, sizeof t.dim);
        cvi_onnx_put_value(&m, out ? 12 : 11, value_name(g, v), &t);
    }
    cvi_free(used);
    if (s != CVS_OK) {
        cvi_buf_free(&m);
        return s;
    }
    cvi_pbw_message(b, field, &m);
    return CVS_OK;
}

static cvs_status put_attr(cvi_buf *b, const cvi_attr *a, cvs_error *err) {
    static const int types[] = {[CVI_ATTR_INT] = CVI_ONNX_INT,       [CVI_ATTR_FLOAT] = CVI_ONNX_FLOAT,
                                [CVI_ATTR_STRING] = CVI_ONNX_STRING, [CVI_ATTR_INTS] = CVI_ONNX_INTS,
                                [CVI_ATTR_FLOATS] = CVI_ONNX_FLOATS, [CVI_ATTR_STRINGS] = CVI_ONNX_STRINGS,
                                [CVI_ATTR_TENSOR] = CVI_ONNX_TENSOR, [CVI_ATTR_GRAPH] = CVI_ONNX_GRAPH};
    cvi_buf m = {0}, packed = {0};
    cvs_status s = CVS_OK;
    cvi_pbw_text(&m, 1, a->name);
    switch (a->kind) {
    case CVI_ATTR_INT:
        cvi_pbw_int(&m, 3, a->i);
        break;
    case CVI_ATTR_FLOAT:
        cvi_pbw_varint(&m, 2 << 3 | CVI_PB_FIXED32);
        put_float(&m, (float)a->f);
        break;
    case CVI_ATTR_STRING:
        cvi_pbw_text(&m, 4, a->s);
        break;
    case CVI_ATTR_INTS:
        for (int i = 0; i < a->n; i++) {
            cvi_pbw_varint(&packed, (uint64_t)a->ints[i]);
        }
        cvi_pbw_message(&m, 8, &packed);
        break;
    case CVI_ATTR_FLOATS:
        for (int i = 0; i < a->n; i++) {
            put_float(&packed, (float)a->floats[i]);
        }
        cvi_pbw_message(&m, 7, &packed);
        break;
    case CVI_ATTR_STRINGS:
        for (int i = 0; i < a->n; i++) {
            cvi_pbw_text(&m, 9, a->strings[i]);
        }
        break;
    case CVI_ATTR_TENSOR:
        s = put_tensor(&m, 5, a->tensor, NULL, err);
        break;
    case CVI_ATTR_GRAPH:
        s = put_subgraph(&m, 6, a->graph, err);
        break;
    }
    cvi_pbw_int(&m, 20, types[a->kind]);
    if (s != CVS_OK) {
        cvi_buf_free(&m);
        return cvi_at_attr(err, s, a->name);
    }
    cvi_pbw_message(b, 5, &m);
    return CVS_OK;
}

/* An operator of ours that ONNX says with two: the first on all inputs, the second on its result and the inputs after the first. */
static cvs_status put_pair(cvi_buf *b, const cvi_graph *g, const cvi_node *node, cvs_error *err) {
    const char *name = g->values[node->out[0]].name;
    for (int half = 0; half < 2; half++) {
        cvi_buf m = {0}, middle = {0};
        cvi_buf_printf(&middle, "%s/integers", name);
        for (int k = 0; k < node->n_in; k++) {
            bool inner = half == 1 && k == 0;
            cvi_pbw_text(&m, 1, inner && middle.data ? middle.data : value_name(g, node->in[k]));
        }
        cvi_pbw_text(&m, 2, half == 0 && middle.data ? middle.data : name);
        cvi_pbw_text(&m, 3, half == 0 && middle.data ? middle.data : node->name);
        cvi_pbw_text(&m, 4, node->def->onnx_pair[half]);
        if (half == 0) {
            cvi_pbw_entry(&m, 9, "convscope.hidden", "1");
        }
        b->failed |= middle.failed;
        cvi_buf_free(&middle);
        cvi_pbw_message(b, 1, &m);
    }
    return b->failed ? cvi_no_memory(err, b->size) : CVS_OK;
}

cvs_status cvi_onnx_put_node(cvi_buf *b, const cvi_graph *g, const cvi_node *node, cvs_error *err) {
    cvi_buf m = {0};
    const char *colon = strstr(node->op, "::");
    bool hidden = node->n_out > 0;
    if (node->def && node->def->onnx_pair[0]) {
        return put_pair(b, g, node, err);
    }
    for (int k = 0; k < node->n_in; k++) {
        cvi_pbw_text(&m, 1, node->in[k] >= 0 ? value_name(g, node->in[k]) : "");
    }
    for (int k = 0; k < node->n_out; k++) {
        cvi_pbw_text(&m, 2, node->out[k] >= 0 ? g->values[node->out[k]].name : "");
        hidden = hidden && (node->out[k] < 0 || g->values[node->out[k]].hidden);
    }
    cvi_pbw_text(&m, 3, node->name);
    cvi_pbw_text(&m, 4, colon ? colon + 2 : node->op);
    if (colon) {
        cvi_pbw_bytes(&m, 7, node->op, (size_t)(colon - node->op));
    }
    if (hidden) { /* ours: the reader hides these helpers again */
        cvi_pbw_entry(&m, 9, "convscope.hidden", "1");
    }
    for (int a = 0; a < node->n_attr; a++) {
        bool ours = strncmp(node->attr[a].name, "convscope_", 10) ==
                    0; /* counts in training only; others would refuse it */
        cvs_status s = ours ? CVS_OK : put_attr(&m, &node->attr[a], err);
        if (s != CVS_OK) {
            cvi_buf_free(&m);
            return cvi_at_node(err, s, node->name, node->op);
        }
    }
    cvi_pbw_message(b, 1, &m);
    return b->failed ? cvi_no_memory(err, b->size) : CVS_OK;
}
