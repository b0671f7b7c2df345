/* SPDX-License-Identifier: MIT
 * recurrent.h (internal) - what the passes of RNN, GRU and LSTM share: the attributes read once, the functions of the gates, and one
 * direction's way through a sequence, which the gradient takes again with everything kept.
 */
#ifndef CVI_OPS_RECURRENT_H
#define CVI_OPS_RECURRENT_H

#include "ops/product.h"

/* A gate's function (recurrent_gate.c); kind counts its table. */
typedef struct cvi_gate_fn {
    int kind;
    double alpha, beta;
} cvi_gate_fn;

/* Finds a function by ONNX's name, in any case, with its usual numbers; *alphas, *betas: whether it has such a number. */
bool cvi_gate_find(const char *name, cvi_gate_fn *fn, bool *alphas, bool *betas);
double cvi_gate_value(const cvi_gate_fn *fn, double x);
double cvi_gate_slope(const cvi_gate_fn *fn, double x);
/* x = f(x), n numbers, on the calling thread; quick: float32 by the kernels. */
void cvi_gate_run(const cvi_gate_fn *fn, bool quick, int64_t n, void *x, cvs_dtype type);

/* A node of one of the three operators. Gates lie one after another: RNN i; GRU z, r, h; LSTM i, o, f, c. */
typedef struct cvi_recurrent {
    const cvi_opctx *ctx;
    cvs_dtype type;
    bool quick;       /* by the kernels */
    bool batch_first; /* X [B,T,I] instead of [T,B,I] */
    bool after;       /* GRU: the reset gate acts after the product (linear_before_reset) */
    bool coupled;     /* LSTM: forget = 1 - input */
    int gates, functions;
    int64_t T, B, I, H, D, G; /* steps, samples, inputs, hidden numbers, directions, gates * H */
    double clip;              /* of what goes into a function; INFINITY: none */
    bool reversed[2];
    cvi_gate_fn fn[2][3];
    const int64_t *length; /* [B]: steps of each sample, or NULL: T */
    void *scratch;         /* of products; `each` bytes for every worker, or `all` threads together */
    int64_t each;
} cvi_recurrent;

/* One direction. Rows count as those of X: see cvi_recurrent_row. Zeroed: nothing is kept. */
typedef struct cvi_recurrent_pass {
    const cvi_recurrent *r;
    int d;
    void *g;           /* [rows,G]: what the gates receive from X, then what they give */
    void *h, *c;       /* [B,H]: the state, now */
    void *z, *rh, *z2; /* [B,G]: products with the state; GRU: reset * state [B,H], its product */
    void *y;           /* the operator's first output, or NULL */
    void *pre, *was, *cell,
        *u; /* kept for each row: into the functions [rows,G]; state before [rows,H]; LSTM cell before; GRU u */
} cvi_recurrent_pass;

/* Reads node and shapes (which `infer` has checked). The numbers of sequence_lens must be there. */
cvs_status cvi_recurrent_read(const cvi_opctx *ctx, bool quick, cvi_recurrent *r);
/* Zeroed memory for n numbers of the operator's type in ctx->scratch. */
cvs_status cvi_recurrent_room(const cvi_recurrent *r, int64_t n, void **out);
/* The rooms of a pass, the products with X, the first state. */
cvs_status cvi_recurrent_begin(const cvi_recurrent *r, int d, bool keep, cvi_recurrent_pass *p);
/* All steps of the samples [b0,b1), by this worker; pool: for the products, or NULL. */
void cvi_recurrent_steps(const cvi_recurrent_pass *p, int64_t b0, int64_t b1, cvi_pool *pool, int worker);
/* out = (add ? out : 0) + a b, see product.h. */
void cvi_recurrent_product(const cvi_recurrent *r, cvi_product p, cvi_pool *pool, int worker);

static inline void *cvi_recurrent_at(const void *base, int64_t i, cvs_dtype type) {
    return (char *)(uintptr_t)base + i * (int64_t)cvs_dtype_size(type);
}
static inline int64_t cvi_recurrent_length(const cvi_recurrent *r, int64_t b) {
    return r->length ? r->length[b] : r->T;
}
/* When direction d reads sample b in step s, and the row of X there. */
static inline int64_t cvi_recurrent_time(const cvi_recurrent *r, int d, int64_t b, int64_t s) {
    return r->reversed[d] ? cvi_recurrent_length(r, b) - 1 - s : s;
}
static inline int64_t cvi_recurrent_row(const cvi_recurrent *r, int64_t t, int64_t b) {
    return r->batch_first ? b * r->T + t : t * r->B + b;
}
/* Where sample b of direction d begins in Y at time t, and in a state (Y_h, initial_h). */
static inline int64_t cvi_recurrent_y(const cvi_recurrent *r, int d, int64_t t, int64_t b) {
    return (r->batch_first ? (b * r->T + t) * r->D + d : (t * r->D + d) * r->B + b) * r->H;
}
static inline int64_t cvi_recurrent_state(const cvi_recurrent *r, int d, int64_t b) {
    return (r->batch_first ? b * r->D + d : d * r->B + b) * r->H;
}

cvs_status cvi_recurrent_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in);

#endif
