/* SPDX-License-Identifier: MIT
 * backward.c - gradients on request: checks the question, finds or makes the plan for it, runs it, hands out what was asked for.
 * Gradients of 16-bit values are float32.
 */
#include "engine/back.h"
#include "kernels/kernels.h"

/* ---- the question ----------------------------------------------------------------------------------------- */

static bool is_float(cvs_dtype t) {
    return t == CVS_F32 || t == CVS_F64 || t == CVS_F16 || t == CVS_BF16;
}

static cvs_status check_value(const cvi_exec *x, int v, bool seed, cvs_error *err) {
    if (v < 0 || v >= x->g->n_values || !x->slots[v].known) {
        return seed ? cvi_fail(err, CVS_E_ARGUMENT, "the target of a gradient was not computed")
                    : cvi_fail(err, CVS_E_ARGUMENT, "a value whose gradient is wanted was not computed");
    }
    if (!is_float(x->slots[v].shape.dtype)) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "%.80s holds whole numbers: it has no gradient",
                        x->g->values[v].name);
    }
    return CVS_OK;
}

static cvs_status check_seed(const cvi_exec *x, int v, const cvs_tensor *seed, cvs_error *err) {
    cvs_tensor t;
    CVI_TRY(check_value(x, v, true, err));
    (void)cvi_back_tensor(x, v, CVS_PLAIN, &t);
    if (seed->dtype != t.dtype || seed->rank != t.rank || seed->layout != CVS_PLAIN ||
        memcmp(seed->dim, t.dim, sizeof(int64_t) * (size_t)t.rank) != 0) {
        char a[200], b[200];
        return cvi_fail(err, CVS_E_SHAPE, "%.80s is %s %s, its seed %s %s", x->g->values[v].name,
                        cvs_dtype_name(t.dtype), cvs_shape_text(t.rank, t.dim, a, sizeof a),
                        cvs_dtype_name(seed->dtype), cvs_shape_text(seed->rank, seed->dim, b, sizeof b));
    }
    return CVS_OK;
}

static cvs_status check(const cvi_exec *x, const int *seed_values, const cvs_tensor *seeds, int n_seeds,
                        const int *wanted, int n_wanted, cvs_error *err) {
    if (!x->has_run) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the model has not been run yet");
    }
    for (int i = 0; i < n_wanted; i++) {
        CVI_TRY(check_value(x, wanted[i], false, err));
    }
    for (int i = 0; i < n_seeds; i++) {
        CVI_TRY(check_seed(x, seed_values[i], &seeds[i], err));
    }
    return CVS_OK;
}

/* ---- plans ------------------------------------------------------------------------------------------------ */

static bool answers(const cvi_back_plan *p, const int *seeds, int n_seeds, const int *wanted, int n_wanted,
                    bool plain_only) {
    return !p->once && p->plain_only == plain_only && p->n_seeds == n_seeds && p->n_wanted == n_wanted &&
           memcmp(p->key, seeds, sizeof *seeds * (size_t)n_seeds) == 0 &&
           memcmp(p->key + n_seeds, wanted, sizeof *wanted * (size_t)n_wanted) == 0;
}

/* The plan for this question at the front of the list; the one that was not asked for longest makes room. */
static cvs_status need_plan(cvi_exec *x, const int *seeds, int n_seeds, const int *wanted, int n_wanted,
                            bool plain_only, cvs_error *err) {
    cvi_back_plan **plans = x->back.plans, *found = NULL;
    int last = CVI_COUNT(x->back.plans) - 1, at = 0;
    while (at < last && plans[at] && !answers(plans[at], seeds, n_seeds, wanted, n_wanted, plain_only)) {
        at++;
    }
    found = plans[at];
    if (found && !answers(found, seeds, n_seeds, wanted, n_wanted, plain_only)) {
        cvi_back_plan_free(found);
        found = plans[at] = NULL;
    }
    if (!found) {
        CVI_TRY(cvi_back_plan_new(x, seeds, n_seeds, wanted, n_wanted, plain_only, &found, err));
    }
    memmove(plans + 1, plans, sizeof *plans * (size_t)at);
    plans[0] = found;
    return CVS_OK;
}

void cvi_back_free(cvi_exec *x) {
    for (int i = 0; i < CVI_COUNT(x->back.plans); i++) {
        cvi_back_plan_free(x->back.plans[i]);
    }
    cvi_free(x->back.block);
    x->back = (cvi_back_state){0};
}

void cvi_exec_relevance(cvi_exec *x, const cvi_relevance *how, cvi_exec *reference) {
    x->back.how = how;
    x->back.reference = reference;
}

cvs_status cvi_exec_backward(cvi_exec *x, cvi_rule rule, const int *seed_values, const cvs_tensor *seeds,
                             int n_seeds, const int *wanted, int n_wanted, cvs_error *err) {
    x->back.valid = false;
    CVI_TRY(check(x, seed_values, seeds, n_seeds, wanted, n_wanted, err));
    CVI_TRY(need_plan(x, seed_values, n_seeds, wanted, n_wanted, rule >= CVI_LRP_EPSILON, err));
    CVI_TRY(cvi_back_run(x, x->back.plans[0], rule, seeds, err));
    x->back.valid = true;
    return CVS_OK;
}

cvs_status cvi_exec_backward_into(cvi_exec *x, cvi_rule rule, const int *seed_values, const cvs_tensor *seeds,
                                  int n_seeds, const int *wanted, int n_wanted, void *const *into, bool add,
                                  cvs_error *err) {
    x->back.valid = false;
    CVI_TRY(check(x, seed_values, seeds, n_seeds, wanted, n_wanted, err));
    CVI_TRY(need_plan(x, seed_values, n_seeds, wanted, n_wanted, rule >= CVI_LRP_EPSILON, err));
    cvi_back_plan *p = x->back.plans[0];
    CVI_TRY(cvi_back_find_owners(x, p, err));
    p->into = into;
    p->add = add;
    cvs_status s = cvi_back_run(x, p, rule, seeds, err);
    p->into = NULL;
    p->add = false;
    CVI_TRY(s);
    x->back.valid = true; /* for those that are handed over now */
    s = cvi_back_hand_over(x, p, into, add, err);
    x->back.valid = false;
    return s;
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

cvs_status cvi_exec_gradient(cvi_exec *x, int value, cvs_tensor *out, cvs_error *err) {
    cvi_back_plan *p = x->back.valid ? x->back.plans[0] : NULL;
    int i = 0;
    *out = (cvs_tensor){0};
    while (p && i < p->n_wanted && p->key[p->n_seeds + i] != value) {
        i++;
    }
    if (!p || i == p->n_wanted) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "no gradient of this value was asked for");
    }
    cvs_tensor t;
    (void)cvi_back_tensor(x, value, CVS_PLAIN, &t);
    void *data = (uint8_t *)x->back.block + cvi_back_buffers(p)[p->buffer[value]].at;
    if (p->form[value] == CVS_NHWC8 && t.bytes > 0) {
        if (!p->plain[i]) {
            p->plain[i] = cvi_malloc(t.bytes);
        }
        if (!p->plain[i]) {
            return cvi_no_memory(err, t.bytes);
        }
        if (!p->is_plain[i]) {
            cvi_from_nhwc8(x->options.pool, t.dim[0], t.dim[1], t.dim[2] * t.dim[3], data, p->plain[i]);
            p->is_plain[i] = true;
        }
        data = p->plain[i];
    }
    t.data = t.bytes > 0 ? data : NULL;
    *out = t;
    return CVS_OK;
}
