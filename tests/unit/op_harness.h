/* SPDX-License-Identifier: MIT
 * op_harness.h - one operator on its own: a node with tensors and attributes, whose descriptor is called directly, without an
 * engine. Checks shapes, values, threads, the fast form against the plain one, and every gradient by finite differences.
 *
 *     oph h;
 *     oph_begin(&h, "Conv");
 *     oph_ints(&h, "pads", 4, (int64_t[]){1, 1, 1, 1});
 *     oph_random(&h, 0, CVS_F64, 4, (int64_t[]){1, 2, 5, 5});
 *     oph_random(&h, 1, CVS_F64, 4, (int64_t[]){3, 2, 3, 3});
 *     oph_run(&h);                      infer and forward must succeed
 *     oph_check_gradients(&h);          every float input
 *     oph_end(&h);
 */
#ifndef OP_HARNESS_H
#define OP_HARNESS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ops/op.h"

enum { OPH_INPUTS = 16, OPH_OUTPUTS = 8, OPH_ATTRS = 16 };

typedef struct oph {
    cvi_graph graph;
    cvi_node node;
    cvi_attr attr[OPH_ATTRS];
    cvs_tensor input[OPH_INPUTS], output[OPH_OUTPUTS];
    const cvs_tensor *in[OPH_INPUTS];
    int ids[OPH_INPUTS], out_ids[OPH_OUTPUTS];
    cvi_opctx ctx;
    cvs_error err;
    cvi_arena *scratch;
    void *aux;
    uint64_t seed; /* of the next random input */
} oph;

static inline void oph_begin(oph *h, const char *op) {
    memset(h, 0, sizeof *h);
    h->node.name = h->node.layer = "node";
    h->node.op = op;
    h->node.def = cvi_op_find(op);
    if (h->node.def == NULL) {
        fail_msg("operator %s is not in the table", op);
    }
    h->node.attr = h->attr;
    h->node.in = h->ids;
    h->node.out = h->out_ids;
    h->node.n_out = 1;
    h->scratch = cvi_arena_new(0);
    assert_non_null(h->scratch);
    h->seed = 1;
}

/* A new attribute, or the one of that name, whose setting is replaced. */
static inline cvi_attr *oph_attr(oph *h, const char *name, cvi_attr_kind kind) {
    int k = 0;
    while (k < h->node.n_attr && strcmp(h->attr[k].name, name) != 0) {
        k++;
    }
    assert_true(k < OPH_ATTRS);
    h->node.n_attr = CVI_MAX(h->node.n_attr, k + 1);
    cvi_attr *a = &h->attr[k];
    a->name = name;
    a->kind = kind;
    return a;
}
static inline void oph_int(oph *h, const char *name, int64_t v) {
    oph_attr(h, name, CVI_ATTR_INT)->i = v;
}
static inline void oph_float(oph *h, const char *name, double v) {
    oph_attr(h, name, CVI_ATTR_FLOAT)->f = v;
}
static inline void oph_string(oph *h, const char *name, const char *v) {
    oph_attr(h, name, CVI_ATTR_STRING)->s = v;
}
/* The numbers are borrowed: they must live until oph_end. */
static inline void oph_ints(oph *h, const char *name, int n, const int64_t *v) {
    cvi_attr *a = oph_attr(h, name, CVI_ATTR_INTS);
    a->n = n;
    a->ints = v;
}
static inline void oph_floats(oph *h, const char *name, int n, const double *v) {
    cvi_attr *a = oph_attr(h, name, CVI_ATTR_FLOATS);
    a->n = n;
    a->floats = v;
}

/* ---- inputs ------------------------------------------------------------------------------------------ */

static inline cvs_tensor *oph_input(oph *h, int k, cvs_dtype dtype, int rank, const int64_t *dim) {
    assert_true(k < OPH_INPUTS);
    cvs_tensor_free(&h->input[k]);
    assert_int_equal(cvs_tensor_new(&h->input[k], dtype, rank, dim, NULL), CVS_OK);
    h->in[k] = &h->input[k];
    h->node.n_in = CVI_MAX(h->node.n_in, k + 1);
    return &h->input[k];
}
/* Numbers of any type from doubles. */
static inline void oph_values(oph *h, int k, cvs_dtype dtype, int rank, const int64_t *dim, const double *v) {
    cvs_tensor *t = oph_input(h, k, dtype, rank, dim);
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        cvi_put(t, i, v[i]);
    }
}
/* Uniform in [-1,1], whole numbers in [-9,9] for integer types; no two floats equal, none near 0. */
static inline void oph_random(oph *h, int k, cvs_dtype dtype, int rank, const int64_t *dim) {
    cvs_tensor *t = oph_input(h, k, dtype, rank, dim);
    bool whole = dtype != CVS_F32 && dtype != CVS_F64 && dtype != CVS_F16 && dtype != CVS_BF16;
    for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
        double u = 2 * cvi_random_uniform(h->seed, 7, (uint64_t)i) - 1;
        cvi_put(t, i, whole ? floor(u * 9.99) : u + (u < 0 ? -0.01 : 0.01));
    }
    h->seed++;
}
/* Moves an input into [lo,hi] (variances, logarithms). */
static inline void oph_range(oph *h, int k, double lo, double hi) {
    for (int64_t i = 0; i < cvs_tensor_count(&h->input[k]); i++) {
        double u = (cvi_get(&h->input[k], i) + 1.01) / 2.02;
        cvi_put(&h->input[k], i, lo + u * (hi - lo));
    }
}

/* ---- running ----------------------------------------------------------------------------------------- */

static inline void oph_context(oph *h) {
    h->ctx.graph = &h->graph;
    h->ctx.node = &h->node;
    h->ctx.op = h->node.def;
    h->ctx.n_in = h->node.n_in;
    h->ctx.n_out = h->node.n_out;
    h->ctx.in = h->in;
    h->ctx.out = h->output;
    h->ctx.scratch = h->scratch;
    h->ctx.err = &h->err;
}
static inline void oph_drop_outputs(oph *h) {
    for (int k = 0; k < OPH_OUTPUTS; k++) {
        cvs_tensor_free(&h->output[k]);
    }
    cvi_free(h->aux);
    h->aux = h->ctx.aux = NULL;
}
/* Shapes only; the status for tests of wrong input (h->err has the sentence). */
static inline cvs_status oph_infer(oph *h) {
    oph_drop_outputs(h);
    oph_context(h);
    return h->node.def->infer(&h->ctx);
}
/* Infer, outputs, forward (the plain twin). with_aux: as if backward followed. */
static inline cvs_status oph_try(oph *h, bool with_aux) {
    cvs_status s = oph_infer(h);
    if (s != CVS_OK) {
        return s;
    }
    for (int k = 0; k < h->node.n_out; k++) {
        cvs_tensor shape = h->output[k];
        if (shape.dtype != CVS_NONE) {
            assert_int_equal(cvs_tensor_new(&h->output[k], shape.dtype, shape.rank, shape.dim, NULL), CVS_OK);
        }
    }
    if (with_aux && h->node.def->aux_bytes != NULL) {
        size_t bytes = h->node.def->aux_bytes(&h->ctx);
        h->aux = h->ctx.aux = bytes > 0 ? cvi_calloc(1, bytes) : NULL;
    }
    s = h->node.def->forward(&h->ctx);
    cvi_arena_reset(h->scratch);
    return s;
}
static inline void oph_run(oph *h) {
    if (oph_try(h, true) != CVS_OK) {
        fail_msg("%s: %s", h->node.op, h->err.message);
    }
}
static inline void oph_end(oph *h) {
    oph_drop_outputs(h);
    for (int k = 0; k < OPH_INPUTS; k++) {
        cvs_tensor_free(&h->input[k]);
    }
    cvi_arena_free(h->scratch);
}

/* ---- checks ------------------------------------------------------------------------------------------ */

static inline void oph_expect_shape(const oph *h, int k, int rank, const int64_t *dim) {
    char have[128], want[128];
    cvs_shape_text(h->output[k].rank, h->output[k].dim, have, sizeof have);
    cvs_shape_text(rank, dim, want, sizeof want);
    assert_string_equal(have, want);
}
/* |have - want| <= atol + rtol |want|, NaN equals NaN. */
static inline void oph_expect_near(const cvs_tensor *have, const double *want, double rtol, double atol) {
    for (int64_t i = 0; i < cvs_tensor_count(have); i++) {
        double a = cvi_get(have, i), b = want[i];
        bool same = (a != a && b != b) || a == b || fabs(a - b) <= atol + rtol * fabs(b);
        if (!same) {
            fail_msg("element %lld is %.9g, expected %.9g", (long long)i, a, b);
        }
    }
}
/* The sentence of a failed infer holds `words`. */
static inline void oph_expect_error(oph *h, cvs_status code, const char *words) {
    cvs_status s = oph_infer(h);
    if (s != code || strstr(h->err.message, words) == NULL) {
        fail_msg("status %d \"%s\", expected %d with \"%s\"", (int)s, h->err.message, (int)code, words);
    }
    cvi_error_clear(&h->err);
}
/* The same bits with no pool and with pools of 2 and 3 threads. */
static inline void oph_check_threads(oph *h) {
    oph_run(h);
    cvs_tensor first = h->output[0];
    void *kept = cvi_malloc(first.bytes + 1);
    assert_non_null(kept);
    memcpy(kept, first.data, first.bytes);
    for (int threads = 2; threads <= 3; threads++) {
        h->ctx.pool = cvi_pool_new(threads);
        oph_run(h);
        assert_memory_equal(kept, h->output[0].data, h->output[0].bytes);
        cvi_pool_free(h->ctx.pool);
        h->ctx.pool = NULL;
    }
    cvi_free(kept);
}

/* ---- gradients ---------------------------------------------------------------------------------------- */

/* The target whose gradient is checked: sum over outputs of a fixed random weight times the element. */
static inline double oph_weight(int k, int64_t i) {
    return 2 * cvi_random_uniform(99, (uint64_t)k, (uint64_t)i) - 1;
}
static inline double oph_target(const oph *h) {
    double sum = 0;
    for (int k = 0; k < h->node.n_out; k++) {
        const cvs_tensor *t = &h->output[k];
        for (int64_t i = 0; (t->dtype == CVS_F64 || t->dtype == CVS_F32) && i < cvs_tensor_count(t); i++) {
            sum += oph_weight(k, i) * cvi_get(t, i);
        }
    }
    return sum;
}

/* Calls backward under a rule with the target's seeds; grad[k] (owned by the caller) for inputs whose bit is in `wanted`. The
 * gradients begin at `start`, so that += is seen. */
static inline void oph_backward(oph *h, cvi_rule rule, unsigned wanted, double start, cvs_tensor *grad) {
    cvs_tensor seed[OPH_OUTPUTS];
    const cvs_tensor *grad_out[OPH_OUTPUTS] = {NULL};
    cvs_tensor *grad_in[OPH_INPUTS] = {NULL};
    memset(seed, 0, sizeof seed);
    for (int k = 0; k < h->node.n_out; k++) {
        const cvs_tensor *t = &h->output[k];
        if (t->dtype != CVS_F32 && t->dtype != CVS_F64) {
            continue;
        }
        assert_int_equal(cvs_tensor_new(&seed[k], t->dtype, t->rank, t->dim, NULL), CVS_OK);
        for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
            cvi_put(&seed[k], i, oph_weight(k, i));
        }
        grad_out[k] = &seed[k];
    }
    for (int k = 0; k < h->node.n_in; k++) {
        memset(&grad[k], 0, sizeof grad[k]);
        if (h->in[k] != NULL && (wanted >> k & 1)) {
            const cvs_tensor *t = h->in[k];
            assert_int_equal(cvs_tensor_new(&grad[k], t->dtype, t->rank, t->dim, NULL), CVS_OK);
            for (int64_t i = 0; i < cvs_tensor_count(t); i++) {
                cvi_put(&grad[k], i, start);
            }
            grad_in[k] = &grad[k];
        }
    }
    oph_context(h);
    h->ctx.aux = h->aux;
    cvs_status s = h->node.def->backward(&h->ctx, rule, grad_out, grad_in);
    cvi_arena_reset(h->scratch);
    if (s != CVS_OK) {
        fail_msg("%s backward: %s", h->node.op, h->err.message);
    }
    for (int k = 0; k < h->node.n_out; k++) {
        cvs_tensor_free(&seed[k]);
    }
}

static inline void oph_check_input(oph *h, int k, const cvs_tensor *grad, double start) {
    cvs_tensor *x = &h->input[k];
    int64_t count = cvs_tensor_count(x), step = count > 60 ? count / 60 : 1;
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = CVI_MAX(largest, fabs(cvi_get(grad, i) - start));
    }
    for (int64_t i = 0; i < count; i += step) {
        double v = cvi_get(x, i), e = 1e-5;
        cvi_put(x, i, v + e);
        oph_run(h);
        double up = oph_target(h);
        cvi_put(x, i, v - e);
        oph_run(h);
        double down = oph_target(h);
        cvi_put(x, i, v);
        double want = (up - down) / (2 * e), have = cvi_get(grad, i) - start;
        if (!(fabs(have - want) <= 1e-3 * fabs(want) + 1e-5 * largest + 1e-8)) {
            fail_msg("%s: gradient of input %d at %lld is %.9g, finite differences give %.9g", h->node.op, k,
                     (long long)i, have, want);
        }
    }
}

/* Central differences in float64 (inputs must be CVS_F64) against backward under CVI_GRADIENT, relative 1e-3, for the inputs
 * whose bit is in `wanted`; with and without aux, each input alone and all together, and += onto what is there. */
static inline void oph_check_gradients_of(oph *h, unsigned wanted) {
    cvs_tensor grad[OPH_INPUTS], again[OPH_INPUTS];
    assert_non_null(h->node.def->backward);
    oph_run(h);
    oph_backward(h, CVI_GRADIENT, wanted, 0, grad);
    cvi_free(h->aux);
    h->aux = NULL;
    oph_backward(h, CVI_GRADIENT, wanted, 0.5, again);
    for (int k = 0; k < h->node.n_in; k++) {
        if (grad[k].data != NULL) {
            oph_check_input(h, k, &grad[k], 0);
            for (int64_t i = 0; i < cvs_tensor_count(&grad[k]); i++) {
                double a = cvi_get(&grad[k], i) + 0.5, b = cvi_get(&again[k], i);
                assert_true(fabs(a - b) <= 1e-9 * (1 + fabs(a)));
            }
        }
    }
    for (int k = 0; k < h->node.n_in; k++) {
        if (grad[k].data != NULL && (wanted & ~(1u << k)) != 0) {
            cvs_tensor alone[OPH_INPUTS];
            oph_run(h);
            oph_backward(h, CVI_GRADIENT, 1u << k, 0, alone);
            assert_memory_equal(alone[k].data, grad[k].data, grad[k].bytes);
            for (int i = 0; i < h->node.n_in; i++) {
                cvs_tensor_free(&alone[i]);
            }
        }
    }
    for (int k = 0; k < h->node.n_in; k++) {
        cvs_tensor_free(&grad[k]);
        cvs_tensor_free(&again[k]);
    }
}
/* All float64 inputs. */
static inline void oph_check_gradients(oph *h) {
    unsigned wanted = 0;
    for (int k = 0; k < h->node.n_in; k++) {
        wanted |= h->in[k] != NULL && h->in[k]->dtype == CVS_F64 ? 1u << k : 0;
    }
    oph_check_gradients_of(h, wanted);
}

/* ---- the fast form ------------------------------------------------------------------------------------ */

static inline int64_t oph_nhwc8(const cvs_tensor *t, int64_t i) { /* where plain element i lies */
    int64_t pitch = (t->dim[1] + 7) / 8 * 8, w = i % t->dim[3], h = i / t->dim[3] % t->dim[2];
    int64_t c = i / (t->dim[3] * t->dim[2]) % t->dim[1], n = i / (t->dim[3] * t->dim[2] * t->dim[1]);
    return ((n * t->dim[2] + h) * t->dim[3] + w) * pitch + c;
}
/* A float32 tensor of the same shape in NHWC8; with values when t has data. */
static inline cvs_tensor oph_to_fast(const cvs_tensor *t) {
    cvs_tensor f = *t;
    int64_t pitch = (t->dim[1] + 7) / 8 * 8, count = t->dim[0] * t->dim[2] * t->dim[3] * pitch;
    f.layout = CVS_NHWC8;
    f.owned = true;
    f.bytes = (size_t)count * sizeof(float);
    f.data = cvi_calloc((size_t)count + 1, sizeof(float));
    assert_non_null(f.data);
    for (int64_t i = 0; t->data != NULL && i < cvs_tensor_count(t); i++) {
        ((float *)f.data)[oph_nhwc8(t, i)] = ((const float *)t->data)[i];
    }
    return f;
}

/* Runs the fast form on the float32 inputs (DATA inputs of rank 4 in fast_layout) with `pool`, gives output 0 as a plain tensor;
 * checks that padding channels are 0. aux is kept when the operator has one. */
static inline void oph_run_fast(oph *h, cvi_pool *pool, cvs_tensor *out) {
    const cvi_op *op = h->node.def;
    cvs_tensor fast_in[OPH_INPUTS], fast_out[OPH_OUTPUTS], plain[OPH_OUTPUTS];
    const cvs_tensor *in[OPH_INPUTS];
    if (oph_infer(h) != CVS_OK) {
        fail_msg("%s: %s", h->node.op, h->err.message);
    }
    memset(fast_in, 0, sizeof fast_in);
    if (op->can_fast == NULL || !op->can_fast(&h->ctx)) {
        fail_msg("%s has no fast form for these shapes", h->node.op);
    }
    for (int k = 0; k < h->node.n_in; k++) {
        in[k] = h->in[k];
        bool data = k < op->n_inputs ? op->inputs[k].role == CVI_DATA : true;
        if (in[k] != NULL && data && op->fast_layout == CVS_NHWC8 && in[k]->rank == 4) {
            fast_in[k] = oph_to_fast(in[k]);
            in[k] = &fast_in[k];
        }
    }
    for (int k = 0; k < h->node.n_out; k++) {
        plain[k] = h->output[k];
        fast_out[k] = plain[k];
        if (op->fast_layout == CVS_NHWC8 && plain[k].rank == 4) {
            fast_out[k] = oph_to_fast(&plain[k]);
            memset(fast_out[k].data, 0x7f, fast_out[k].bytes); /* whatever was there before */
        } else if (plain[k].dtype != CVS_NONE) {
            assert_int_equal(cvs_tensor_new(&fast_out[k], plain[k].dtype, plain[k].rank, plain[k].dim, NULL),
                             CVS_OK);
        }
    }
    h->ctx.in = in;
    h->ctx.out = fast_out;
    h->ctx.pool = pool;
    size_t bytes = op->aux_bytes != NULL ? op->aux_bytes(&h->ctx) : 0;
    h->aux = h->ctx.aux = bytes > 0 ? cvi_calloc(1, bytes) : NULL;
    void *prepared = NULL;
    cvs_status s = op->prepare != NULL ? op->prepare(&h->ctx, &prepared) : CVS_OK;
    h->ctx.prepared = prepared;
    if (s == CVS_OK) {
        s = op->fast(&h->ctx);
    }
    cvi_arena_reset(h->scratch);
    if (s != CVS_OK) {
        fail_msg("%s fast: %s", h->node.op, h->err.message);
    }
    if (op->drop != NULL) {
        op->drop(prepared);
    }
    h->ctx.prepared = NULL;
    h->ctx.pool = NULL;
    assert_int_equal(cvs_tensor_new(out, plain[0].dtype, plain[0].rank, plain[0].dim, NULL), CVS_OK);
    bool packed = fast_out[0].layout == CVS_NHWC8;
    for (int64_t i = 0; i < cvs_tensor_count(out); i++) {
        int64_t at = packed ? oph_nhwc8(&plain[0], i) : i;
        cvi_put(out, i, cvi_get(&fast_out[0], at));
    }
    if (packed) {
        int64_t pitch = (plain[0].dim[1] + 7) / 8 * 8;
        for (size_t i = 0; i < fast_out[0].bytes / sizeof(float); i++) {
            if ((int64_t)i % pitch >= plain[0].dim[1]) {
                assert_true(((float *)fast_out[0].data)[i] == 0.0f);
            }
        }
    }
    for (int k = 0; k < OPH_INPUTS; k++) {
        cvs_tensor_free(&fast_in[k]);
    }
    for (int k = 0; k < h->node.n_out; k++) {
        fast_out[k].owned = true;
        cvs_tensor_free(&fast_out[k]);
    }
    oph_context(h);
}

/* The fast form agrees with the plain twin (max |difference| <= tol * (1 + max |value|)), and has the same bits on 1 and 3
 * threads. Inputs must be CVS_F32. */
static inline void oph_check_fast(oph *h, double tol) {
    cvs_tensor one, three;
    oph_run_fast(h, NULL, &one);
    cvi_pool *pool = cvi_pool_new(3);
    oph_run_fast(h, pool, &three);
    cvi_pool_free(pool);
    assert_memory_equal(one.data, three.data, one.bytes);
    oph_run(h);
    double largest = 0;
    for (int64_t i = 0; i < cvs_tensor_count(&one); i++) {
        largest = CVI_MAX(largest, fabs(cvi_get(&h->output[0], i)));
    }
    for (int64_t i = 0; i < cvs_tensor_count(&one); i++) {
        double a = cvi_get(&one, i), b = cvi_get(&h->output[0], i);
        bool same = (a != a && b != b) || a == b || fabs(a - b) <= tol * (1 + largest);
        if (!same) {
            fail_msg("%s: element %lld is %.9g in the fast form, %.9g in the plain one", h->node.op,
                     (long long)i, a, b);
        }
    }
    cvs_tensor_free(&one);
    cvs_tensor_free(&three);
}

#endif
