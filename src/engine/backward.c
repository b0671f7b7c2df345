/* SPDX-License-Identifier: MIT
 * backward.c - gradients: the nodes between the seeds and the wanted values, last one first, each adding what its rule
 * says to the gradients of its inputs. Everything is plain here; gradients of 16-bit values are float32.
 */
#include "engine/plan.h"

/* The tensors of one node's call beyond cvi_call; sized for the graph's widest node. */
typedef struct back_call {
    cvs_tensor *grad_out, *grad_in, *wide;
    const cvs_tensor **pout;
    cvs_tensor **pin;
    int n_in, n_out;
} back_call;

static bool is_float(cvs_dtype t) {
    return t == CVS_F32 || t == CVS_F64 || t == CVS_F16 || t == CVS_BF16;
}

static cvs_dtype gradient_type(cvs_dtype t) {
    return t == CVS_F64 ? CVS_F64 : CVS_F32;
}

/* ---- gradients of values -------------------------------------------------------------------------------- */

static cvs_tensor gradient_of(const cvi_exec *x, int v) {
    cvs_tensor t = x->slots[v].shape;
    t.dtype = gradient_type(t.dtype);
    t.data = x->slots[v].grad;
    int64_t bytes = 0;
    (void)cvi_form_bytes(&t, CVS_PLAIN, &bytes);
    t.bytes = (size_t)bytes;
    return t;
}

/* Makes sure that v has a gradient, zero where nothing was added yet. */
static cvs_status need_gradient(cvi_exec *x, int v, cvs_error *err) {
    cvi_slot *slot = &x->slots[v];
    if (slot->has_grad) {
        return CVS_OK;
    }
    cvs_tensor t = gradient_of(x, v);
    int64_t bytes = 0;
    if (!cvi_form_bytes(&t, CVS_PLAIN, &bytes)) {
        return cvi_fail(err, CVS_E_LIMIT, "the values of this model are larger than any memory");
    }
    if (bytes > 0) {
        CVI_TRY(cvi_exec_own(x, &slot->grad, &slot->grad_bytes, (size_t)bytes, err));
        memset(slot->grad, 0, (size_t)bytes);
    }
    slot->has_grad = true;
    return CVS_OK;
}

static void add(cvs_tensor *to, const cvs_tensor *from) {
    int64_t n = cvs_tensor_count(to);
    if (to->dtype == CVS_F64) {
        double *a = to->data;
        const double *b = from->data;
        for (int64_t i = 0; i < n; i++) {
            a[i] += b[i];
        }
    } else {
        float *a = to->data;
        const float *b = from->data;
        for (int64_t i = 0; i < n; i++) {
            a[i] += b[i];
        }
    }
}

static cvs_status plant(cvi_exec *x, int v, const cvs_tensor *seed, cvs_error *err) {
    if (v < 0 || v >= x->g->n_values || !x->slots[v].known) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the target of a gradient was not computed");
    }
    const char *name = x->g->values[v].name;
    if (!is_float(x->slots[v].shape.dtype)) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "%.80s holds whole numbers: it has no gradient", name);
    }
    cvs_tensor t = gradient_of(x, v);
    if (seed->dtype != t.dtype || seed->rank != t.rank || seed->layout != CVS_PLAIN ||
        memcmp(seed->dim, t.dim, sizeof(int64_t) * (size_t)t.rank) != 0) {
        char a[200], b[200];
        return cvi_fail(err, CVS_E_SHAPE, "%.80s is %s %s, its seed %s %s", name, cvs_dtype_name(t.dtype),
                        cvs_shape_text(t.rank, t.dim, a, sizeof a), cvs_dtype_name(seed->dtype),
                        cvs_shape_text(seed->rank, seed->dim, b, sizeof b));
    }
    CVI_TRY(need_gradient(x, v, err));
    t = gradient_of(x, v);
    add(&t, seed);
    return CVS_OK;
}

/* ---- which nodes ---------------------------------------------------------------------------------------- */

static bool wants_input(const cvi_exec *x, const cvi_node *node, int k) {
    int v = node->in[k];
    return v >= 0 && x->slots[v].wants_grad && (!node->def || cvi_op_role(node->def, k) != CVI_SHAPE);
}

/* A value wants a gradient when it is asked for or lies downstream of one that is. Whole numbers pass none on. */
static cvs_status mark_wanted(cvi_exec *x, const int *wanted, int n_wanted, cvs_error *err) {
    const cvi_graph *g = x->g;
    for (int v = 0; v < g->n_values; v++) {
        x->slots[v].has_grad = x->slots[v].wants_grad = false;
    }
    for (int i = 0; i < n_wanted; i++) {
        int v = wanted[i];
        if (v < 0 || v >= g->n_values || !x->slots[v].known) {
            return cvi_fail(err, CVS_E_ARGUMENT, "a value whose gradient is wanted was not computed");
        }
        if (!is_float(x->slots[v].shape.dtype)) {
            return cvi_fail(err, CVS_E_UNSUPPORTED, "%.80s holds whole numbers: it has no gradient",
                            g->values[v].name);
        }
        x->slots[v].wants_grad = true;
        CVI_TRY(need_gradient(x, v, err));
    }
    for (int n = 0; n < g->n_nodes; n++) {
        const cvi_node *node = &g->nodes[n];
        bool wants = false;
        for (int k = 0; k < node->n_in; k++) {
            wants = wants || wants_input(x, node, k);
        }
        for (int k = 0; k < node->n_out && wants; k++) {
            cvi_slot *slot = node->out[k] >= 0 ? &x->slots[node->out[k]] : NULL;
            if (slot && slot->known && is_float(slot->shape.dtype)) {
                slot->wants_grad = true;
            }
        }
    }
    return CVS_OK;
}

static bool on_path(const cvi_exec *x, const cvi_node *node) {
    bool from = false, to = false;
    for (int k = 0; k < node->n_out; k++) {
        from = from || (node->out[k] >= 0 && x->slots[node->out[k]].has_grad);
    }
    for (int k = 0; k < node->n_in; k++) {
        to = to || wants_input(x, node, k);
    }
    return from && to;
}

/* ---- one node ------------------------------------------------------------------------------------------- */

/* 16-bit values are shown to backward as float32; call->wide owns the copies. */
static cvs_status widen(cvs_tensor *t, cvs_tensor *own, cvs_error *err) {
    if (t->dtype != CVS_F16 && t->dtype != CVS_BF16) {
        return CVS_OK;
    }
    CVI_TRY(cvs_tensor_convert(t, CVS_F32, own, err));
    *t = *own;
    t->owned = false;
    return CVS_OK;
}

static cvs_status fill(cvi_exec *x, int n, back_call *b, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    CVI_TRY(cvi_call_fill(x, n, &x->call, CVI_IN_PLAIN, err));
    for (int k = 0; k < node->n_out; k++) {
        int v = node->out[k];
        b->pout[k] = NULL;
        if (v >= 0) {
            CVI_TRY(cvi_exec_value(x, v, &x->call.out[k], err));
            CVI_TRY(widen(&x->call.out[k], &b->wide[node->n_in + k], err));
        }
        if (v >= 0 && x->slots[v].has_grad) {
            b->grad_out[k] = gradient_of(x, v);
            b->pout[k] = &b->grad_out[k];
        }
    }
    for (int k = 0; k < node->n_in; k++) {
        b->pin[k] = NULL;
        if (node->in[k] >= 0) {
            CVI_TRY(widen(&x->call.in[k], &b->wide[k], err));
        }
        if (wants_input(x, node, k)) {
            CVI_TRY(need_gradient(x, node->in[k], err));
            b->grad_in[k] = gradient_of(x, node->in[k]);
            b->pin[k] = &b->grad_in[k];
        }
    }
    return CVS_OK;
}

static cvs_status call_backward(cvi_exec *x, int n, cvi_rule rule, back_call *b, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    cvs_status s = fill(x, n, b, err);
    if (s == CVS_OK) {
        s = node->def->backward(&x->call.ctx, rule, b->pout, b->pin);
    }
    cvi_arena_reset(x->scratch);
    for (int i = 0; i < node->n_in + node->n_out; i++) {
        cvs_tensor_free(&b->wide[i]);
    }
    return s;
}

static cvs_status step_back(cvi_exec *x, int n, cvi_rule rule, back_call *b, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    if (x->steps[n].kind == CVI_STEP_VIEW) {
        CVI_TRY(need_gradient(x, node->in[0], err));
        cvs_tensor to = gradient_of(x, node->in[0]), from = gradient_of(x, node->out[0]);
        add(&to, &from);
        return CVS_OK;
    }
    if (!node->def || !node->def->backward) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "not differentiable here: operator %.60s has no gradient",
                        node->op);
    }
    return call_backward(x, n, rule, b, err);
}

/* ---- all ------------------------------------------------------------------------------------------------ */

static void free_call(back_call *b) {
    cvi_free(b->grad_out);
    cvi_free(b->grad_in);
    cvi_free(b->wide);
    cvi_free(b->pout);
    cvi_free(b->pin);
}

static cvs_status make_call(const cvi_graph *g, back_call *b, cvs_error *err) {
    b->n_in = b->n_out = 1;
    for (int n = 0; n < g->n_nodes; n++) {
        b->n_in = CVI_MAX(b->n_in, g->nodes[n].n_in);
        b->n_out = CVI_MAX(b->n_out, g->nodes[n].n_out);
    }
    b->grad_out = cvi_calloc((size_t)b->n_out, sizeof *b->grad_out);
    b->grad_in = cvi_calloc((size_t)b->n_in, sizeof *b->grad_in);
    b->wide = cvi_calloc((size_t)(b->n_in + b->n_out), sizeof *b->wide);
    b->pout = cvi_calloc((size_t)b->n_out, sizeof *b->pout);
    b->pin = cvi_calloc((size_t)b->n_in, sizeof *b->pin);
    if (!b->grad_out || !b->grad_in || !b->wide || !b->pout || !b->pin) {
        free_call(b);
        return cvi_no_memory(err, (size_t)(b->n_in + b->n_out) * sizeof *b->wide);
    }
    return CVS_OK;
}

static cvs_status traverse(cvi_exec *x, cvi_rule rule, back_call *b, cvs_error *err) {
    for (int n = x->g->n_nodes - 1; n >= 0; n--) {
        const cvi_node *node = &x->g->nodes[n];
        cvs_status s = on_path(x, node) ? step_back(x, n, rule, b, err) : CVS_OK;
        if (s != CVS_OK) {
            return cvi_at_node(err, s, node->name, node->op);
        }
    }
    return CVS_OK;
}

cvs_status cvi_exec_backward(cvi_exec *x, cvi_rule rule, const int *seed_values, const cvs_tensor *seeds,
                             int n_seeds, const int *wanted, int n_wanted, cvs_error *err) {
    back_call b = {0};
    if (!x->has_run) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the model has not been run yet");
    }
    CVI_TRY(mark_wanted(x, wanted, n_wanted, err));
    for (int i = 0; i < n_seeds; i++) {
        CVI_TRY(plant(x, seed_values[i], &seeds[i], err));
    }
    CVI_TRY(make_call(x->g, &b, err));
    cvs_status s = traverse(x, rule, &b, err);
    free_call(&b);
    return s;
}

cvs_status cvi_exec_gradient(cvi_exec *x, int value, cvs_tensor *out, cvs_error *err) {
    *out = (cvs_tensor){0};
    if (value < 0 || value >= x->g->n_values || !x->slots[value].has_grad) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "no gradient of this value was asked for");
    }
    *out = gradient_of(x, value);
    return CVS_OK;
}
