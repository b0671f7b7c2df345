/* SPDX-License-Identifier: MIT
 * back_run.c - runs the steps of a planned backward pass: brings each operator the numbers and gradients that it reads, in the forms
 * of the plan, and the memory that it writes.
 */
#include <math.h>

#include "engine/back.h"
#include "kernels/kernels.h"

/* The tensors of one node's call beyond cvi_call; sized for the graph's widest node. */
typedef struct back_call {
    cvs_tensor *grad_out, *grad_in, *wide;
    const cvs_tensor **pout;
    cvs_tensor **pin;
    const float **base;
    cvi_back_gate *gate;
} back_call;

/* Whether the caller's memory stands for this buffer. */
static bool is_owned(const cvi_back_plan *p, int buffer) {
    return buffer >= 0 && p->into && p->owner[buffer] >= 0;
}

static void *memory_of(const cvi_exec *x, const cvi_back_plan *p, int buffer) {
    if (is_owned(p, buffer)) {
        return p->into[p->owner[buffer]];
    }
    return buffer < 0 ? NULL : (uint8_t *)x->back.block + cvi_back_buffers(p)[buffer].at;
}

/* ---- seeds, copies ------------------------------------------------------------------------------------------ */

static void add(const cvi_exec *x, const cvs_tensor *t, const void *a, const void *b, void *out) {
    if (t->dtype == CVS_F64) {
        const double *one = a, *two = b;
        double *sum = out;
        for (size_t i = 0; i < t->bytes / sizeof *sum; i++) {
            sum[i] = one[i] + two[i];
        }
        return;
    }
    int64_t count = (int64_t)(t->bytes / sizeof(float));
    cvi_binary(x->options.pool, CVI_B_ADD, false, false, 1, count, count, a, b, out);
}

static void copy(cvi_exec *x, const cvi_back_plan *p, const cvi_back_step *step) {
    cvs_tensor t;
    (void)cvi_back_tensor(x, step->value, step->form, &t);
    const void *from = memory_of(x, p, step->from);
    void *to = memory_of(x, p, step->to);
    int64_t pixels = t.rank == 4 ? t.dim[2] * t.dim[3] : 0;
    if (t.bytes == 0) {
        return;
    }
    if (step->base >= 0) {
        add(x, &t, memory_of(x, p, step->base), from, to);
    } else if (step->from_form == step->form) {
        memcpy(to, from, t.bytes);
    } else if (step->form == CVS_NHWC8) {
        cvi_to_nhwc8(x->options.pool, t.dim[0], t.dim[1], pixels, from, to);
    } else {
        cvi_from_nhwc8(x->options.pool, t.dim[0], t.dim[1], pixels, from, to);
    }
}

static void clear(cvi_exec *x, const cvi_back_plan *p, const cvi_back_step *step) {
    cvs_tensor t;
    (void)cvi_back_tensor(x, step->value, step->form, &t);
    if (t.bytes > 0 && !(p->add && is_owned(p, step->to))) {
        memset(memory_of(x, p, step->to), 0, t.bytes);
    }
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

static cvs_status fill_plain(cvi_exec *x, int n, cvs_tensor *wide, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[n];
    CVI_TRY(cvi_call_fill(x, n, &x->call, CVI_IN_PLAIN, err));
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] >= 0) {
            CVI_TRY(cvi_exec_value(x, node->out[k], &x->call.out[k], err));
            CVI_TRY(widen(&x->call.out[k], &wide[node->n_in + k], err));
        }
    }
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] >= 0) {
            CVI_TRY(widen(&x->call.in[k], &wide[k], err));
        }
    }
    return CVS_OK;
}

static cvs_status show(cvi_exec *x, int v, cvs_layout form, bool numbers, cvs_tensor *t, cvs_error *err) {
    int64_t bytes = 0;
    t->layout = form;
    t->data = NULL;
    (void)cvi_form_bytes(t, form, &bytes);
    t->bytes = (size_t)bytes;
    return numbers && bytes > 0 ? cvi_exec_form(x, v, form, &t->data, err) : CVS_OK;
}

/* Only what the operator reads is brought into its form. */
static cvs_status fill_fast(cvi_exec *x, const cvi_back_step *step, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[step->node];
    CVI_TRY(cvi_call_fill(x, step->node, &x->call, CVI_IN_CONSTANTS, err));
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k];
        cvi_role role = cvi_op_role(node->def, k);
        bool reads = role != CVI_DATA || (k < 32 && (step->reads.in >> k & 1));
        if (v >= 0) {
            CVI_TRY(show(x, v, cvi_back_node_form(x, step->node, v, role), reads, &x->call.in[k], err));
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        int v = node->out[k];
        if (v >= 0) {
            bool reads = k < 32 && (step->reads.out >> k & 1);
            CVI_TRY(show(x, v, cvi_back_node_form(x, step->node, v, CVI_DATA), reads, &x->call.out[k], err));
        }
    }
    return CVS_OK;
}

static void give_gradients(cvi_exec *x, const cvi_back_plan *p, const cvi_back_step *step, back_call *b) {
    const cvi_node *node = &x->g->nodes[step->node];
    const cvi_back_part *part = cvi_back_parts(p) + step->parts;
    bool fast = step->kind == CVI_BACK_FAST;
    for (int k = 0; k < node->n_out + node->n_in; k++) {
        bool out = k < node->n_out;
        int i = out ? k : k - node->n_out, v = out ? node->out[i] : node->in[i];
        cvs_tensor *t = out ? &b->grad_out[i] : &b->grad_in[i];
        bool there = part[k].buffer >= 0;
        if (there) {
            cvi_role role = out ? CVI_DATA : cvi_op_role(node->def, i);
            (void)cvi_back_tensor(x, v, fast ? cvi_back_node_form(x, step->node, v, role) : CVS_PLAIN, t);
            t->data = t->bytes > 0 ? memory_of(x, p, part[k].buffer) : NULL;
        }
        if (out) {
            b->pout[i] = there ? t : NULL;
        } else {
            b->pin[i] = there ? t : NULL;
            bool onto = part[k].base < 0 && p->add && is_owned(p, part[k].buffer);
            b->base[i] = memory_of(x, p, onto ? part[k].buffer : part[k].base);
        }
    }
}

/* The limits that the step takes over. */
static cvs_status give_gates(cvi_exec *x, const cvi_back_plan *p, const cvi_back_step *step, cvi_rule rule,
                             back_call *b, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[step->node];
    const cvi_back_part *part = cvi_back_parts(p) + step->parts + node->n_out;
    for (int k = 0; k < node->n_in; k++) {
        cvi_back_gate *gate = &b->gate[k];
        *gate = (cvi_back_gate){0};
        if (part[k].gate == 0) {
            continue;
        }
        const cvi_node *limit = &x->g->nodes[part[k].gate - 1];
        CVI_TRY(cvi_call_fill(x, part[k].gate - 1, &x->call, CVI_IN_PARAMETERS, err));
        if (!limit->def->clamp(&x->call.ctx, &gate->lo, &gate->hi)) {
            return cvi_fail(err, CVS_E_INTERNAL, "a node of a fused group changed its kind");
        }
        bool rectifier = (limit->def->flags & CVI_OP_RELU) && gate->lo == 0 && rule != CVI_GRADIENT;
        void *y = NULL;
        if (!rectifier || rule != CVI_DECONVNET) {
            CVI_TRY(cvi_exec_form(x, limit->out[0],
                                  cvi_back_node_form(x, part[k].gate - 1, limit->out[0], CVI_DATA), &y, err));
        }
        gate->lo = isinf(gate->lo) ? NAN : gate->lo;
        gate->hi = isinf(gate->hi) ? NAN : gate->hi;
        gate->y = y;
        gate->positive = rectifier;
        gate->on = true;
    }
    return CVS_OK;
}

/* The factors that the step takes over: computed once, or, where weights may have moved, in every pass. */
static cvs_status need_factors(cvi_exec *x, cvi_back_step *step, cvs_error *err) {
    int n = step->scale - 1;
    if (step->scale == 0 || (step->factors && x->n_moving == 0)) {
        return CVS_OK;
    }
    CVI_TRY(cvi_call_fill(x, n, &x->call, CVI_IN_PARAMETERS, err));
    int64_t channels = x->call.in[0].dim[1];
    if (!step->factors) {
        step->factors = cvi_malloc((size_t)channels * 2 * sizeof *step->factors);
    }
    if (!step->factors) {
        return cvi_no_memory(err, (size_t)channels * 2 * sizeof *step->factors);
    }
    if (!x->g->nodes[n].def->affine(&x->call.ctx, step->factors, step->factors + channels)) {
        return cvi_fail(err, CVS_E_INTERNAL, "a node of a fused group changed its kind");
    }
    return CVS_OK;
}

/* A rule of relevance.c, which may look at the same node in the run on a baseline. */
static cvs_status relevance(cvi_exec *x, int n, cvi_rule rule, back_call *b, cvs_error *err) {
    static const cvi_relevance none = {.epsilon = 1e-6, .gamma = 0.25, .alpha = 2, .beta = 1};
    const cvi_node *node = &x->g->nodes[n];
    cvi_exec *other = x->back.reference;
    if (rule == CVI_DEEPLIFT) {
        if (!other) {
            return cvi_fail(err, CVS_E_ARGUMENT, "DeepLIFT needs a run on a baseline");
        }
        CVI_TRY(fill_plain(other, n, b->wide + node->n_in + node->n_out, err));
    }
    return cvi_relevance_backward(&x->call.ctx, other ? &other->call.ctx : NULL,
                                  x->back.how ? x->back.how : &none, rule, b->pout, b->pin);
}

static cvs_status call_node(cvi_exec *x, const cvi_back_plan *p, cvi_back_step *step, cvi_rule rule,
                            back_call *b, cvs_error *err) {
    const cvi_node *node = &x->g->nodes[step->node];
    cvs_status s = CVS_OK;
    if (step->kind == CVI_BACK_FAST) {
        CVI_TRY(give_gates(x, p, step, rule, b, err));
        CVI_TRY(need_factors(x, step, err));
        s = fill_fast(x, step, err);
    } else {
        s = fill_plain(x, step->node, b->wide, err);
    }
    if (s == CVS_OK) {
        give_gradients(x, p, step, b);
        cvi_back back = {
            .rule = rule, .grad_out = b->pout, .grad_in = b->pin, .base = b->base, .gate = b->gate};
        back.scale = step->scale ? step->factors : NULL;
        s = step->kind == CVI_BACK_FAST ? node->def->back_fast(&x->call.ctx, &back)
            : rule >= CVI_LRP_EPSILON   ? relevance(x, step->node, rule, b, err)
                                        : node->def->backward(&x->call.ctx, rule, b->pout, b->pin);
    }
    cvi_arena_reset(x->scratch);
    for (int i = 0; i < 2 * (node->n_in + node->n_out); i++) {
        cvs_tensor_free(&b->wide[i]);
    }
    return s == CVS_OK ? s : cvi_at_node(err, s, node->name, node->op);
}

/* ---- all ------------------------------------------------------------------------------------------------ */

static void free_call(back_call *b) {
    cvi_free(b->grad_out);
    cvi_free(b->grad_in);
    cvi_free(b->wide);
    cvi_free(b->pout);
    cvi_free(b->pin);
    cvi_free(b->base);
    cvi_free(b->gate);
}

static cvs_status make_call(const cvi_graph *g, back_call *b, cvs_error *err) {
    size_t n_in = 1, n_out = 1;
    for (int n = 0; n < g->n_nodes; n++) {
        n_in = CVI_MAX(n_in, (size_t)g->nodes[n].n_in);
        n_out = CVI_MAX(n_out, (size_t)g->nodes[n].n_out);
    }
    b->grad_out = cvi_calloc(n_out, sizeof *b->grad_out);
    b->grad_in = cvi_calloc(n_in, sizeof *b->grad_in);
    b->wide = cvi_calloc(2 * (n_in + n_out), sizeof *b->wide);
    b->pout = cvi_calloc(n_out, sizeof *b->pout);
    b->pin = cvi_calloc(n_in, sizeof *b->pin);
    b->base = cvi_calloc(n_in, sizeof *b->base);
    b->gate = cvi_calloc(n_in, sizeof *b->gate);
    if (!b->grad_out || !b->grad_in || !b->wide || !b->pout || !b->pin || !b->base || !b->gate) {
        free_call(b);
        return cvi_no_memory(err, (n_in + n_out) * sizeof *b->wide);
    }
    return CVS_OK;
}

cvs_status cvi_back_run(cvi_exec *x, cvi_back_plan *p, cvi_rule rule, const cvs_tensor *seeds,
                        cvs_error *err) {
    back_call b = {0};
    CVI_TRY(cvi_exec_own(x, &x->back.block, &x->back.block_bytes, (size_t)p->bytes, err));
    CVI_TRY(make_call(x->g, &b, err));
    cvs_status s = CVS_OK;
    for (int i = 0; i < p->steps.count && s == CVS_OK; i++) {
        cvi_back_step *step = &cvi_back_steps(p)[i];
        if (step->kind == CVI_BACK_SEED) {
            if (seeds[step->node].bytes > 0) {
                memcpy(memory_of(x, p, step->to), seeds[step->node].data, seeds[step->node].bytes);
            }
        } else if (step->kind == CVI_BACK_CLEAR) {
            clear(x, p, step);
        } else if (step->kind == CVI_BACK_COPY) {
            copy(x, p, step);
        } else if (step->kind != CVI_BACK_NONE) {
            s = call_node(x, p, step, rule, &b, err);
        }
    }
    memset(p->is_plain, 0, (size_t)p->n_wanted + 1);
    free_call(&b);
    return s;
}
