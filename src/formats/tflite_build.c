/* SPDX-License-Identifier: MIT
 * tflite_build.c - walks the operations of a TensorFlow Lite graph: inputs, each operation with its fused activation and the rounding of
 * its quantised result, outputs. What is unknown or cannot be said with our operators becomes a box that opens and draws.
 */
#include "formats/tflite.h"

int cvi_tflite_n_inputs(const tflite *m) {
    return (int)CVI_MIN(m->inputs.n, 1 << 20);
}

cvi_tf_tensor *cvi_tflite_in(tflite *m, int k) {
    if (k >= m->inputs.n) {
        return NULL;
    }
    int64_t index = cvi_fb_int_at(&m->f, &m->inputs, k);
    cvi_tf_tensor *x = cvi_tflite_value(m, index);
    if (!x && index >= 0 && cvi_build_ok(&m->t.b)) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT,
                                        "input %d, %.100s, is made by no node and is no input of the graph",
                                        k, index < m->n_tensors ? m->tensor[index].name : "?"));
    }
    return x;
}

int cvi_tflite_ints(tflite *m, int k, int max, int64_t *out) {
    cvi_tf_tensor *x = cvi_tflite_in(m, k);
    return x ? cvi_tf_ints(&m->t, x, max, out) : -1;
}

int64_t cvi_tflite_option(tflite *m, int field, int bytes, int64_t otherwise) {
    return cvi_fb_int(&m->f, &m->options, field, bytes, true, otherwise);
}

double cvi_tflite_option_float(tflite *m, int field, double otherwise) {
    return cvi_fb_float(&m->f, &m->options, field, otherwise);
}

static tflite_tensor *output(const tflite *m, int k) {
    int64_t index = k < m->outputs.n ? cvi_fb_int_at(&m->f, &m->outputs, k) : -1;
    return index >= 0 && index < m->n_tensors ? &m->tensor[index] : NULL;
}

const tflite_tensor *cvi_tflite_out(const tflite *m, int k) {
    return output(m, k);
}

/* ---- names, activations, rounding ---- */

/* The name of the real numbers of a tensor: an output of integers has its own name, what it is made from another. */
static const char *real_name(tflite *m, const tflite_tensor *x) {
    return x->is_output && cvi_tflite_is_quantised(x) ? cvi_build_name(&m->t.b, "%s/real", x->name) : x->name;
}

static bool same_rounding(tflite *m, const tflite_op *op, const tflite_tensor *out) {
    for (int k = 0; op->moves && k < cvi_tflite_n_inputs(m); k++) {
        int64_t index = cvi_fb_int_at(&m->f, &m->inputs, k);
        const tflite_tensor *in = index >= 0 && index < m->n_tensors ? &m->tensor[index] : NULL;
        if (in && cvi_tflite_is_quantised(in) &&
            (cvi_tflite_scale(m, in) != cvi_tflite_scale(m, out) ||
             cvi_tflite_zero(m, in) != cvi_tflite_zero(m, out))) {
            return false;
        }
    }
    return op->moves;
}

/* What the operation's own node is to be called, so that what follows it can have the tensor's name. */
static void name_first(tflite *m, const tflite_op *op, const tflite_tensor *out, bool rounded, int64_t act) {
    const char *name = out ? real_name(m, out) : op->name;
    name = rounded ? cvi_build_name(&m->t.b, "%s/exact", name) : name;
    m->t.name = act ? cvi_build_name(&m->t.b, "%s/linear", out ? real_name(m, out) : op->name) : name;
}

static void hide(tflite *m, const cvi_tf_tensor *x) {
    if (!cvi_tf_is_constant(x) && x->form[x->moved] >= 0) {
        m->t.b.g->values[x->form[x->moved]].hidden = true;
    }
}

void cvi_tflite_put(tflite *m, int k, cvi_tf_tensor value) {
    static const char *const activations[] = {"", "Relu", "ReluN1To1", "Relu6", "Tanh"};
    tflite_tensor *out = output(m, k);
    if (!out || !cvi_build_ok(&m->t.b)) {
        return;
    }
    const tflite_op *op = m->kind;
    int64_t act = op->activation >= 0 ? cvi_tflite_option(m, op->activation, 1, 0) : 0;
    bool rounded = cvi_tflite_is_quantised(out) && !same_rounding(m, op, out);
    if (act < 0 || act >= CVI_COUNT(activations)) {
        m->refused = "the fused activation is not known";
        return;
    }
    const char *name = real_name(m, out);
    if (act) {
        cvi_tf_tensor linear = value;
        m->t.name = rounded ? cvi_build_name(&m->t.b, "%s/exact", name) : name;
        cvi_tf_activation(&m->t, &linear, activations[act], 0, &value);
    }
    m->t.name = name;
    if (rounded && value.rank >= 0) {
        cvi_tf_tensor exact = value;
        hide(m, &exact);
        value = cvi_tf_round_to(&m->t, &exact, cvi_tflite_scale(m, out), cvi_tflite_zero(m, out), out->dtype);
    }
    value.name = name;
    cvi_tf_fold(&m->t, &value);
    out->value = value;
    out->made = true;
}

/* ---- operations ---- */

static const char *custom_name(tflite *m, const cvi_fb_table *code) {
    size_t n = 0;
    const char *s = cvi_fb_string_field(&m->f, code, 1, &n);
    return n > 0 && n < 100 ? cvi_build_name(&m->t.b, "%.*s", (int)n, s) : "CUSTOM";
}

/* The operation's row of the table, or a row for a box. */
static tflite_op kind_of(tflite *m) {
    int64_t index = cvi_fb_int(&m->f, &m->op, 0, 4, false, 0);
    if (index >= m->codes.n) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT, "operator code %lld of %lld",
                                        (long long)index, (long long)m->codes.n));
        return (tflite_op){0};
    }
    cvi_fb_table code = cvi_fb_table_at(&m->f, &m->codes, index);
    int64_t old = cvi_fb_int(&m->f, &code, 0, 1, true, 0), now = cvi_fb_int(&m->f, &code, 3, 4, true, 0);
    int64_t number = CVI_MAX(old, now);
    const char *custom = number == 32 ? custom_name(m, &code) : NULL;
    const tflite_op *op = custom ? cvi_tflite_custom(custom) : cvi_tflite_op(number);
    if (op) {
        return *op;
    }
    return (tflite_op){.code = (int)number,
                       .name = custom ? custom : cvi_build_name(&m->t.b, "OPERATOR_%lld", (long long)number),
                       .activation = -1};
}

/* Nothing of what was begun stays; the outputs have the shapes that the file tells. */
static void make_box(tflite *m, const char *why) {
    cvi_tf_tensor *in[64], out[64];
    int n = CVI_MIN(cvi_tflite_n_inputs(m), 64), n_out = (int)CVI_MIN(m->outputs.n, 64), kept = 0;
    for (int k = 0; k < n; k++) { /* what it works in (scratch tensors) is made by no node */
        in[kept] = cvi_tflite_value(m, cvi_fb_int_at(&m->f, &m->inputs, k));
        kept += in[kept] != NULL;
    }
    for (int k = 0; k < n_out; k++) {
        const tflite_tensor *x = output(m, k);
        out[k] = cvi_tf_none();
        out[k].name = x ? x->name : m->kind->name;
    }
    m->t.name = n_out > 0 && output(m, 0) ? output(m, 0)->name : m->kind->name;
    cvi_tf_box(&m->t, kept, in, n_out, out, why);
    for (int k = 0; k < n_out && cvi_build_ok(&m->t.b); k++) {
        tflite_tensor *x = output(m, k);
        if (x) {
            cvi_value *v = &m->t.b.g->values[out[k].form[0]];
            v->rank = out[k].rank = x->rank;
            v->dtype = cvi_tflite_is_quantised(x) ? CVS_F32 : x->dtype;
            memcpy(v->dim, x->dim, sizeof v->dim);
            if (x->rank <= 2) {
                out[k].form[1] = out[k].form[0];
            }
            x->value = out[k];
            x->made = true;
        }
    }
}

static void build_operation(tflite *m, int64_t i, const cvi_fb_vector *operators) {
    m->op = cvi_fb_table_at(&m->f, operators, i);
    m->options = cvi_fb_table_field(&m->f, &m->op, 4);
    m->inputs = cvi_fb_vector_field(&m->f, &m->op, 1, 4);
    m->outputs = cvi_fb_vector_field(&m->f, &m->op, 2, 4);
    m->refused = NULL;
    tflite_op kind = kind_of(m);
    cvi_build_set(&m->t.b, m->f.status);
    if (!cvi_build_ok(&m->t.b)) {
        return;
    }
    m->kind = &kind;
    m->t.type = kind.name;
    const tflite_tensor *out = output(m, 0);
    bool rounded = out && cvi_tflite_is_quantised(out) && !same_rounding(m, &kind, out);
    name_first(m, &kind, out, rounded,
               kind.activation >= 0 ? cvi_tflite_option(m, kind.activation, 1, 0) : 0);
    int nodes = m->t.b.g->n_nodes;
    if (kind.make) {
        kind.make(m);
        cvi_build_set(&m->t.b, m->f.status);
    } else {
        m->refused = "this operator is not known: it is drawn, but not run";
    }
    bool cannot = m->t.b.status == CVS_E_UNSUPPORTED && m->f.status == CVS_OK;
    if (cannot || (m->refused && cvi_build_ok(&m->t.b))) {
        m->t.b.status = CVS_OK;
        cvi_error_clear(m->t.b.err);
        m->t.b.g->n_nodes = nodes;
        m->t.shapes.inferred = CVI_MIN(m->t.shapes.inferred, nodes);
        make_box(m, m->refused ? m->refused : "this form of the operator is not run");
    }
    m->kind = NULL;
}

/* ---- ports ---- */

static void add_input(tflite *m, int64_t index) {
    if (index < 0 || index >= m->n_tensors) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT, "tensor %lld of %lld", (long long)index,
                                        (long long)m->n_tensors));
        return;
    }
    tflite_tensor *x = &m->tensor[index];
    if (x->made) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT, "value %.100s is made twice", x->name));
    }
    m->t.name = x->name;
    m->t.type = "input";
    x->value = cvi_tf_input(&m->t, x->name, x->dtype, x->rank, x->dim);
    if (cvi_tflite_is_quantised(x) && cvi_build_ok(&m->t.b)) {
        cvi_tf_tensor whole = x->value;
        cvs_preprocess *p = &m->t.b.model->preprocess;
        m->t.name = cvi_build_name(&m->t.b, "%s/real", x->name);
        x->value = cvi_tf_dequantize(&m->t, &whole, cvi_tflite_scale(m, x), cvi_tflite_zero(m, x));
        hide(m, &x->value);
        if (x->dtype == CVS_I8 && x->rank == 4 && !p->known) { /* pixels 0...255 are -128...127 */
            *p = (cvs_preprocess){.known = true, .scale = 1, .mean = {128, 128, 128, 128}};
            snprintf(p->from, sizeof p->from, "model file");
        }
    }
    x->made = true;
}

static void add_output(tflite *m, int64_t index) {
    cvi_tf_tensor *value = cvi_tflite_value(m, index);
    if (!value) {
        cvi_build_set(&m->t.b, cvi_fail(m->t.b.err, CVS_E_FORMAT, "graph output %.100s is made by no node",
                                        index >= 0 && index < m->n_tensors ? m->tensor[index].name : "?"));
        return;
    }
    tflite_tensor *x = &m->tensor[index];
    cvi_tf_tensor out = *value;
    m->t.name = x->name;
    m->t.type = "output";
    if (cvi_tflite_is_quantised(x) && out.rank >= 0) {
        out = cvi_tf_quantize(&m->t, &out, cvi_tflite_scale(m, x), cvi_tflite_zero(m, x), x->dtype);
    } else if (cvi_tf_is_constant(&out)) {
        out = cvi_tf_identity(&m->t, &out);
    }
    if (cvi_build_ok(&m->t.b) && !cvi_graph_add_output(m->t.b.g, cvi_tf_any(&m->t, &out))) {
        cvi_build_no_memory(&m->t.b, 0);
    }
}

void cvi_tflite_operations(tflite *m, const cvi_fb_table *subgraph) {
    cvi_fb_vector operators = cvi_fb_vector_field(&m->f, subgraph, 3, 4);
    cvi_build_set(&m->t.b, m->f.status);
    for (int64_t i = 0; i < operators.n && cvi_build_ok(&m->t.b); i++) {
        build_operation(m, i, &operators);
    }
}

void cvi_tflite_build(tflite *m, const cvi_fb_table *subgraph) {
    cvi_fb_vector inputs = cvi_fb_vector_field(&m->f, subgraph, 1, 4);
    cvi_fb_vector outputs = cvi_fb_vector_field(&m->f, subgraph, 2, 4);
    cvi_build_set(&m->t.b, m->f.status);
    for (int64_t i = 0; i < outputs.n && cvi_build_ok(&m->t.b); i++) {
        int64_t index = cvi_fb_int_at(&m->f, &outputs, i);
        if (index >= 0 && index < m->n_tensors) {
            m->tensor[index].is_output = true;
        }
    }
    for (int64_t i = 0; i < inputs.n && cvi_build_ok(&m->t.b); i++) {
        add_input(m, cvi_fb_int_at(&m->f, &inputs, i));
    }
    cvi_tflite_operations(m, subgraph);
    for (int64_t i = 0; i < outputs.n && cvi_build_ok(&m->t.b); i++) {
        add_output(m, cvi_fb_int_at(&m->f, &outputs, i));
    }
}
