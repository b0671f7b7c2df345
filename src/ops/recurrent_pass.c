/* SPDX-License-Identifier: MIT
 * recurrent_pass.c - one direction of a recurrent layer through a sequence: one product for all steps of X, then step after step the
 * product with the state and the gates. Formulas: ONNX operators RNN, GRU, LSTM (opsets 7 to 22).
 */
#include <math.h>

#include "kernels/kernels.h"
#include "ops/recurrent.h"

/* ---- reading the node ---------------------------------------------------------------------------------------- */

/* The functions of all directions, and the numbers that belong to them in order. */
static void read_functions(const cvi_opctx *ctx, cvi_recurrent *r) {
    static const char *const usual[3] = {"Sigmoid", "Tanh", "Tanh"};
    const cvi_attr *names = cvi_node_attr(ctx->node, "activations");
    const cvi_attr *alpha = cvi_node_attr(ctx->node, "activation_alpha");
    const cvi_attr *beta = cvi_node_attr(ctx->node, "activation_beta");
    int alphas = 0, betas = 0;
    for (int d = 0; d < r->D; d++) {
        for (int k = 0; k < r->functions; k++) {
            int at = d * r->functions + k;
            const char *name = names && at < names->n ? names->strings[at] : usual[r->gates == 1 ? 1 : k];
            cvi_gate_fn *fn = &r->fn[d][k];
            bool has_alpha = false, has_beta = false;
            cvi_gate_find(name, fn, &has_alpha, &has_beta);
            if (has_alpha && alpha && alphas < alpha->n) {
                fn->alpha = alpha->floats[alphas++];
            }
            if (has_beta && beta && betas < beta->n) {
                fn->beta = beta->floats[betas++];
            }
        }
    }
}

static cvs_status read_lengths(const cvi_opctx *ctx, cvi_recurrent *r) {
    const cvs_tensor *t = cvi_in(ctx, 4);
    if (!t) {
        return CVS_OK;
    }
    int64_t *length = cvi_arena_alloc(ctx->scratch, CVI_MAX(r->B, 1), sizeof *length);
    if (!length) {
        return cvi_no_memory(ctx->err, sizeof *length);
    }
    for (int64_t b = 0; b < r->B; b++) {
        length[b] = cvi_get_int(t, b);
        if (length[b] < 0 || length[b] > r->T) {
            return cvi_fail(ctx->err, CVS_E_SHAPE,
                            "the length of sequence %lld is %lld, it must be 0 to %lld", (long long)b,
                            (long long)length[b], (long long)r->T);
        }
    }
    r->length = length;
    return CVS_OK;
}

cvs_status cvi_recurrent_read(const cvi_opctx *ctx, bool quick, cvi_recurrent *r) {
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1], *s = ctx->in[2];
    const char *way = cvi_op_string(ctx, "direction");
    double clip = cvi_op_float(ctx, "clip");
    *r = (cvi_recurrent){.ctx = ctx,
                         .type = x->dtype,
                         .quick = quick && x->dtype == CVS_F32,
                         .batch_first = cvi_op_int(ctx, "layout") == 1,
                         .after = cvi_op_int(ctx, "linear_before_reset") != 0,
                         .coupled = cvi_op_int(ctx, "input_forget") != 0,
                         .I = x->dim[2],
                         .D = w->dim[0],
                         .G = w->dim[1],
                         .H = s->dim[2],
                         .clip = clip > 0 ? clip : (double)INFINITY,
                         .reversed = {strcmp(way, "reverse") == 0, true}};
    r->T = x->dim[r->batch_first ? 1 : 0];
    r->B = x->dim[r->batch_first ? 0 : 1];
    r->gates = strcmp(ctx->op->name, "LSTM") == 0 ? 4 : strcmp(ctx->op->name, "GRU") == 0 ? 3 : 1;
    r->functions = CVI_MAX(r->gates - 1, 1);
    read_functions(ctx, r);
    CVI_TRY(read_lengths(ctx, r));
    if (r->quick) {
        int64_t threads = cvi_pool_threads(ctx->pool), all = cvi_gemm_scratch_bytes((int)threads);
        r->each = (cvi_gemm_scratch_bytes(1) + 63) / 64 * 64;
        int64_t bytes = CVI_MAX(all, r->each * threads);
        r->scratch = cvi_arena_raw(ctx->scratch, bytes);
        return r->scratch ? CVS_OK : cvi_no_memory(ctx->err, (size_t)bytes);
    }
    return CVS_OK;
}

cvs_status cvi_recurrent_room(const cvi_recurrent *r, int64_t n, void **out) {
    *out = cvi_arena_alloc(r->ctx->scratch, CVI_MAX(n, 1), cvs_dtype_size(r->type));
    return *out ? CVS_OK : cvi_no_memory(r->ctx->err, (size_t)CVI_MAX(n, 1) * cvs_dtype_size(r->type));
}

void cvi_recurrent_product(const cvi_recurrent *r, cvi_product p, cvi_pool *pool, int worker) {
    p.dtype = r->type;
    p.alpha = 1;
    char *scratch = r->scratch;
    cvi_product_with(&p, pool, scratch ? scratch + (pool ? 0 : worker * r->each) : NULL);
}

/* ---- what does not wait for the state --------------------------------------------------------------------------- */

/* b [G] that every row of g begins with: both halves of B, but for the part of a GRU that the reset gate multiplies. */
CVI_INLINE void lay_bias(const cvi_recurrent_pass *p, void *row, cvs_dtype type) {
    const cvi_recurrent *r = p->r;
    const cvs_tensor *b = r->ctx->in[3];
    int64_t first = p->d * 2 * r->G, own = r->gates == 3 && r->after ? 2 * r->H : r->G;
    for (int64_t k = 0; k < r->G; k++) {
        double v = cvi_load(b->data, first + k, type);
        cvi_store(row, k, k < own ? v + cvi_load(b->data, first + r->G + k, type) : v, type);
    }
}

static void lay_all_biases(const cvi_recurrent_pass *p) {
    const cvi_recurrent *r = p->r;
    int64_t rows = r->T * r->B;
    if (!cvi_in(r->ctx, 3) || rows < 1) {
        return;
    }
    CVI_TYPED(r->type, lay_bias, p, p->g);
    for (int64_t i = 1; i < rows; i++) {
        memcpy(cvi_recurrent_at(p->g, i * r->G, r->type), p->g, (size_t)r->G * cvs_dtype_size(r->type));
    }
}

static void first_state(const cvi_recurrent_pass *p, const cvs_tensor *from, void *to) {
    const cvi_recurrent *r = p->r;
    for (int64_t b = 0; from && b < r->B; b++) {
        memcpy(cvi_recurrent_at(to, b * r->H, r->type),
               cvi_recurrent_at(from->data, cvi_recurrent_state(r, p->d, b), r->type),
               (size_t)r->H * cvs_dtype_size(r->type));
    }
}

cvs_status cvi_recurrent_begin(const cvi_recurrent *r, int d, bool keep, cvi_recurrent_pass *p) {
    int64_t rows = r->T * r->B, state = r->B * r->H;
    bool cell = r->gates == 4, reset = r->gates == 3;
    *p = (cvi_recurrent_pass){.r = r, .d = d};
    CVI_TRY(cvi_recurrent_room(r, rows * r->G, &p->g));
    CVI_TRY(cvi_recurrent_room(r, state, &p->h));
    CVI_TRY(cvi_recurrent_room(r, cell ? state : 0, &p->c));
    CVI_TRY(cvi_recurrent_room(r, r->B * r->G, &p->z));
    CVI_TRY(cvi_recurrent_room(r, reset ? state : 0, &p->rh));
    CVI_TRY(cvi_recurrent_room(r, reset ? state : 0, &p->z2));
    if (keep) {
        CVI_TRY(cvi_recurrent_room(r, rows * r->G, &p->pre));
        CVI_TRY(cvi_recurrent_room(r, rows * r->H, &p->was));
        CVI_TRY(cvi_recurrent_room(r, cell ? rows * r->H : 0, &p->cell));
        CVI_TRY(cvi_recurrent_room(r, reset ? rows * r->H : 0, &p->u));
    }
    lay_all_biases(p);
    cvi_recurrent_product(r,
                          (cvi_product){.M = rows,
                                        .N = r->G,
                                        .K = r->I,
                                        .a = r->ctx->in[0]->data,
                                        .a_row = r->I,
                                        .a_col = 1,
                                        .b = cvi_recurrent_at(r->ctx->in[1]->data, d * r->G * r->I, r->type),
                                        .b_row = 1,
                                        .b_col = r->I,
                                        .out = p->g,
                                        .add = true},
                          r->ctx->pool, 0);
    first_state(p, cvi_in(r->ctx, 5), p->h);
    if (cell) {
        first_state(p, cvi_in(r->ctx, 6), p->c);
    }
    return CVS_OK;
}

/* ---- one step of one sample ---------------------------------------------------------------------------------------- */

/* Keeps what goes into the functions of gates [from,to), limits it, and applies fn. */
CVI_INLINE void gate(const cvi_recurrent_pass *p, int64_t row, int from, int to, int fn, cvs_dtype type) {
    const cvi_recurrent *r = p->r;
    int64_t n = (to - from) * r->H, at = row * r->G + from * r->H;
    void *g = cvi_recurrent_at(p->g, at, type);
    if (p->pre) {
        memcpy(cvi_recurrent_at(p->pre, at, type), g, (size_t)n * cvs_dtype_size(type));
    }
    for (int64_t k = 0; k < n && r->clip < (double)INFINITY; k++) {
        cvi_store(g, k, CVI_MIN(CVI_MAX(cvi_load(g, k, type), -r->clip), r->clip), type);
    }
    cvi_gate_run(&r->fn[p->d][fn], r->quick, n, g, type);
}

CVI_INLINE void give(const cvi_recurrent_pass *p, int64_t b, int64_t t, cvs_dtype type) {
    if (p->y) {
        memcpy(cvi_recurrent_at(p->y, cvi_recurrent_y(p->r, p->d, t, b), type),
               cvi_recurrent_at(p->h, b * p->r->H, type), (size_t)p->r->H * cvs_dtype_size(type));
    }
}

/* i, f, c, then the cell, then o: a peephole of o sees the new cell. The cell itself is not clipped (as ONNX Runtime). */
CVI_INLINE void lstm_row(const cvi_recurrent_pass *p, int64_t b, int64_t row, int64_t t, cvs_dtype type) {
    const cvi_recurrent *r = p->r;
    int64_t H = r->H;
    const cvs_tensor *peep = cvi_in(r->ctx, 7);
    const void *P = peep ? cvi_recurrent_at(peep->data, p->d * 3 * H, type) : NULL;
    void *g = cvi_recurrent_at(p->g, row * r->G, type), *z = cvi_recurrent_at(p->z, b * r->G, type);
    void *c = cvi_recurrent_at(p->c, b * H, type), *h = cvi_recurrent_at(p->h, b * H, type);
    for (int64_t k = 0; k < r->G; k++) {
        cvi_accumulate(g, k, cvi_load(z, k, type), type);
    }
    for (int64_t k = 0; P && k < H; k++) {
        cvi_accumulate(g, k, cvi_load(P, k, type) * cvi_load(c, k, type), type);
        cvi_accumulate(g, 2 * H + k, cvi_load(P, 2 * H + k, type) * cvi_load(c, k, type), type);
    }
    gate(p, row, 0, P ? 1 : 3, 0, type);
    if (P) {
        gate(p, row, 2, 3, 0, type);
    }
    gate(p, row, 3, 4, 1, type);
    for (int64_t k = 0; k < H; k++) {
        double i = cvi_load(g, k, type), was = cvi_load(c, k, type);
        double f = r->coupled ? 1 - i : cvi_load(g, 2 * H + k, type);
        double now = f * was + i * cvi_load(g, 3 * H + k, type);
        cvi_store(c, k, now, type);
        cvi_store(z, k, now, type);
        if (P) {
            cvi_accumulate(g, H + k, cvi_load(P, H + k, type) * now, type);
        }
    }
    if (P) {
        gate(p, row, 1, 2, 0, type);
    }
    cvi_gate_run(&r->fn[p->d][2], r->quick, H, z, type);
    for (int64_t k = 0; k < H; k++) {
        cvi_store(h, k, cvi_load(g, H + k, type) * cvi_load(z, k, type), type);
    }
    give(p, b, t, type);
}

/* The state between what it was and what the hidden gate offers. */
CVI_INLINE void gru_mix(const cvi_recurrent_pass *p, int64_t b, int64_t row, int64_t t, cvs_dtype type) {
    const cvi_recurrent *r = p->r;
    void *g = cvi_recurrent_at(p->g, row * r->G, type), *h = cvi_recurrent_at(p->h, b * r->H, type);
    gate(p, row, 2, 3, 1, type);
    for (int64_t k = 0; k < r->H; k++) {
        double z = cvi_load(g, k, type);
        cvi_store(h, k, (1 - z) * cvi_load(g, 2 * r->H + k, type) + z * cvi_load(h, k, type), type);
    }
    give(p, b, t, type);
}

/* z and r; then either all (the reset gate multiplies the product), or reset * state for the second product. */
CVI_INLINE void gru_row(const cvi_recurrent_pass *p, int64_t b, int64_t row, int64_t t, cvs_dtype type) {
    const cvi_recurrent *r = p->r;
    int64_t H = r->H, each = r->after ? 3 * H : 2 * H;
    const cvs_tensor *bias = cvi_in(r->ctx, 3);
    void *g = cvi_recurrent_at(p->g, row * r->G, type), *z = cvi_recurrent_at(p->z, b * each, type);
    for (int64_t k = 0; k < 2 * H; k++) {
        cvi_accumulate(g, k, cvi_load(z, k, type), type);
    }
    gate(p, row, 0, 2, 0, type);
    for (int64_t k = 0; k < H; k++) {
        double reset = cvi_load(g, H + k, type);
        if (!r->after) {
            cvi_store(p->rh, b * H + k, reset * cvi_load(p->h, b * H + k, type), type);
            continue;
        }
        double u = cvi_load(z, 2 * H + k, type);
        u += bias ? cvi_load(bias->data, (p->d * 2 + 1) * r->G + 2 * H + k, type) : 0;
        cvi_accumulate(g, 2 * H + k, reset * u, type);
        if (p->u) {
            cvi_store(p->u, row * H + k, u, type);
        }
    }
    if (r->after) {
        gru_mix(p, b, row, t, type);
    }
}

CVI_INLINE void gru_second(const cvi_recurrent_pass *p, int64_t b, int64_t row, int64_t t, cvs_dtype type) {
    const cvi_recurrent *r = p->r;
    for (int64_t k = 0; k < r->H; k++) {
        cvi_accumulate(p->g, row * r->G + 2 * r->H + k, cvi_load(p->z2, b * r->H + k, type), type);
    }
    gru_mix(p, b, row, t, type);
}

CVI_INLINE void rnn_row(const cvi_recurrent_pass *p, int64_t b, int64_t row, int64_t t, cvs_dtype type) {
    const cvi_recurrent *r = p->r;
    for (int64_t k = 0; k < r->H; k++) {
        cvi_accumulate(p->g, row * r->H + k, cvi_load(p->z, b * r->H + k, type), type);
    }
    gate(p, row, 0, 1, 0, type);
    memcpy(cvi_recurrent_at(p->h, b * r->H, type), cvi_recurrent_at(p->g, row * r->H, type),
           (size_t)r->H * cvs_dtype_size(type));
    give(p, b, t, type);
}

/* ---- all steps ---------------------------------------------------------------------------------------------------- */

/* out [b1-b0, n] = state [b1-b0, H] times the kernel's rows from `from` on, transposed. */
static void with_state(const cvi_recurrent_pass *p, const void *state, int64_t b0, int64_t b1, int64_t from,
                       int64_t n, void *out, cvi_pool *pool, int worker) {
    const cvi_recurrent *r = p->r;
    cvi_product a = {.M = b1 - b0,
                     .N = n,
                     .K = r->H,
                     .a = cvi_recurrent_at(state, b0 * r->H, r->type),
                     .a_row = r->H,
                     .a_col = 1,
                     .b = cvi_recurrent_at(r->ctx->in[2]->data, (p->d * r->G + from) * r->H, r->type),
                     .b_row = 1,
                     .b_col = r->H,
                     .out = cvi_recurrent_at(out, b0 * n, r->type)};
    cvi_recurrent_product(r, a, pool, worker);
}

static void keep_state(const cvi_recurrent_pass *p, int64_t b, int64_t row) {
    const cvi_recurrent *r = p->r;
    size_t bytes = (size_t)r->H * cvs_dtype_size(r->type);
    if (p->was) {
        memcpy(cvi_recurrent_at(p->was, row * r->H, r->type), cvi_recurrent_at(p->h, b * r->H, r->type),
               bytes);
    }
    if (p->was && r->gates == 4) {
        memcpy(cvi_recurrent_at(p->cell, row * r->H, r->type), cvi_recurrent_at(p->c, b * r->H, r->type),
               bytes);
    }
}

static void one_row(const cvi_recurrent_pass *p, int64_t b, int64_t s, bool second) {
    const cvi_recurrent *r = p->r;
    int64_t t = cvi_recurrent_time(r, p->d, b, s), row = cvi_recurrent_row(r, t, b);
    if (second) {
        CVI_TYPED(r->type, gru_second, p, b, row, t);
        return;
    }
    keep_state(p, b, row);
    if (r->gates == 4) {
        CVI_TYPED(r->type, lstm_row, p, b, row, t);
    } else if (r->gates == 3) {
        CVI_TYPED(r->type, gru_row, p, b, row, t);
    } else {
        CVI_TYPED(r->type, rnn_row, p, b, row, t);
    }
}

void cvi_recurrent_steps(const cvi_recurrent_pass *p, int64_t b0, int64_t b1, cvi_pool *pool, int worker) {
    const cvi_recurrent *r = p->r;
    bool twice = r->gates == 3 && !r->after;
    for (int64_t s = 0; s < r->T; s++) {
        with_state(p, p->h, b0, b1, 0, twice ? 2 * r->H : r->G, p->z, pool, worker);
        for (int64_t b = b0; b < b1; b++) {
            if (s < cvi_recurrent_length(r, b)) {
                one_row(p, b, s, false);
            }
        }
        if (twice) {
            with_state(p, p->rh, b0, b1, 2 * r->H, r->H, p->z2, pool, worker);
        }
        for (int64_t b = b0; twice && b < b1; b++) {
            if (s < cvi_recurrent_length(r, b)) {
                one_row(p, b, s, true);
            }
        }
    }
}
