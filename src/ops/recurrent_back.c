/* SPDX-License-Identifier: MIT
 * recurrent_back.c - the gradient of RNN, GRU and LSTM: the way forward is taken again with everything kept, then the steps are
 * undone from the last to the first (backpropagation through time, exact), for the data, the weights and the first state.
 */
#include <math.h>

#include "ops/recurrent.h"

/* One direction backwards. dg, dr: gradients of what goes into the gates, as W and as R meet it (they differ only where a GRU's reset gate acts after
 * the product); [rows,G], 0 for rows that no step read. */
typedef struct back {
    const cvi_recurrent *r;
    const cvi_recurrent_pass *p;
    const cvs_tensor *gy; /* of Y, or NULL */
    void *dg, *dr;
    void *dh, *dc; /* [B,H] of the state */
    void *step, *past,
        *way; /* of one step: [B,G] as R meets it, its product with R [B,H]; what reaches the state past R */
    void *hidden, *reset; /* GRU, reset before: of the hidden gate [B,H], its product with R [B,H] */
    void *dP;             /* [D,3H] or NULL */
} back;

/* d f(limit(x)) / dx at gate number k of a row. */
CVI_INLINE double slope(const back *w, int fn, double x) {
    const cvi_recurrent *r = w->r;
    return fabs(x) > r->clip ? 0 : cvi_gate_slope(&r->fn[w->p->d][fn], x);
}

CVI_INLINE void lstm_row(const back *w, int64_t b, int64_t row, cvs_dtype type) {
    const cvi_recurrent *r = w->r;
    int64_t H = r->H, at = row * r->G;
    const cvs_tensor *peep = cvi_in(r->ctx, 7);
    const void *P = peep ? cvi_recurrent_at(peep->data, w->p->d * 3 * H, type) : NULL;
    void *dP = w->dP ? cvi_recurrent_at(w->dP, w->p->d * 3 * H, type) : NULL;
    for (int64_t k = 0; k < H; k++) {
        double i = cvi_load(w->p->g, at + k, type), o = cvi_load(w->p->g, at + H + k, type);
        double f = r->coupled ? 1 - i : cvi_load(w->p->g, at + 2 * H + k, type);
        double n = cvi_load(w->p->g, at + 3 * H + k, type), was = cvi_load(w->p->cell, row * H + k, type);
        double now = f * was + i * n, dh = cvi_load(w->dh, b * H + k, type);
        const cvi_gate_fn *show = &r->fn[w->p->d][2];
        double shown = cvi_gate_value(show, now);
        double d_o = dh * shown * slope(w, 0, cvi_load(w->p->pre, at + H + k, type));
        double dc = cvi_load(w->dc, b * H + k, type) + dh * o * cvi_gate_slope(show, now);
        dc += P ? d_o * cvi_load(P, H + k, type) : 0;
        double di = dc * (r->coupled ? n - was : n) * slope(w, 0, cvi_load(w->p->pre, at + k, type));
        double df = r->coupled ? 0 : dc * was * slope(w, 0, cvi_load(w->p->pre, at + 2 * H + k, type));
        double dn = dc * i * slope(w, 1, cvi_load(w->p->pre, at + 3 * H + k, type));
        const double all[4] = {di, d_o, df, dn};
        for (int g = 0; g < 4; g++) {
            cvi_store(w->dg, at + g * H + k, all[g], type);
            cvi_store(w->step, b * r->G + g * H + k, all[g], type);
        }
        dc = dc * f + (P ? di * cvi_load(P, k, type) + df * cvi_load(P, 2 * H + k, type) : 0);
        cvi_store(w->dc, b * H + k, dc, type);
        cvi_store(w->way, b * H + k, 0, type);
        if (dP) {
            cvi_accumulate(dP, k, di * was, type);
            cvi_accumulate(dP, H + k, d_o * now, type);
            cvi_accumulate(dP, 2 * H + k, df * was, type);
        }
    }
}

CVI_INLINE void gru_row(const back *w, int64_t b, int64_t row, cvs_dtype type) {
    const cvi_recurrent *r = w->r;
    int64_t H = r->H, at = row * r->G;
    for (int64_t k = 0; k < H; k++) {
        double z = cvi_load(w->p->g, at + k, type), n = cvi_load(w->p->g, at + 2 * H + k, type);
        double was = cvi_load(w->p->was, row * H + k, type), dh = cvi_load(w->dh, b * H + k, type);
        double dz = dh * (was - n) * slope(w, 0, cvi_load(w->p->pre, at + k, type));
        double dn = dh * (1 - z) * slope(w, 1, cvi_load(w->p->pre, at + 2 * H + k, type));
        cvi_store(w->way, b * H + k, dh * z, type);
        cvi_store(w->dg, at + k, dz, type);
        cvi_store(w->dg, at + 2 * H + k, dn, type);
        if (!r->after) { /* what r gets comes back through R first: gru_reset */
            cvi_store(w->hidden, b * H + k, dn, type);
            cvi_store(w->step, b * 2 * H + k, dz, type);
            continue;
        }
        double reset = cvi_load(w->p->g, at + H + k, type);
        double dr = dn * cvi_load(w->p->u, row * H + k, type);
        dr *= slope(w, 0, cvi_load(w->p->pre, at + H + k, type));
        cvi_store(w->dg, at + H + k, dr, type);
        const double all[3] = {dz, dr, dn * reset};
        for (int g = 0; g < 3; g++) {
            cvi_store(w->dr, at + g * H + k, all[g], type);
            cvi_store(w->step, b * r->G + g * H + k, all[g], type);
        }
    }
}

CVI_INLINE void gru_reset(const back *w, int64_t b, int64_t row, cvs_dtype type) {
    const cvi_recurrent *r = w->r;
    int64_t H = r->H, at = row * r->G;
    for (int64_t k = 0; k < H; k++) {
        double back_reset = cvi_load(w->reset, b * H + k, type), reset = cvi_load(w->p->g, at + H + k, type);
        double dr = back_reset * cvi_load(w->p->was, row * H + k, type);
        dr *= slope(w, 0, cvi_load(w->p->pre, at + H + k, type));
        cvi_store(w->dg, at + H + k, dr, type);
        cvi_store(w->step, b * 2 * H + H + k, dr, type);
        cvi_accumulate(w->way, b * H + k, back_reset * reset, type);
        /* u is free here: what R's hidden part was multiplied by */
        cvi_store(w->p->u, row * H + k, reset * cvi_load(w->p->was, row * H + k, type), type);
    }
}

CVI_INLINE void rnn_row(const back *w, int64_t b, int64_t row, cvs_dtype type) {
    int64_t H = w->r->H;
    for (int64_t k = 0; k < H; k++) {
        double d = cvi_load(w->dh, b * H + k, type);
        d *= slope(w, 0, cvi_load(w->p->pre, row * H + k, type));
        cvi_store(w->dg, row * H + k, d, type);
        cvi_store(w->step, b * H + k, d, type);
        cvi_store(w->way, b * H + k, 0, type);
    }
}

/* to[b] += from, of `stride` numbers a sample. */
CVI_INLINE void add_numbers(void *to, const void *from, int64_t n, cvs_dtype type) {
    for (int64_t k = 0; k < n; k++) {
        cvi_accumulate(to, k, cvi_load(from, k, type), type);
    }
}

static void add(const cvi_recurrent *r, void *to, int64_t at, const void *from, int64_t from_at, int64_t n) {
    void *a = cvi_recurrent_at(to, at, r->type);
    const void *b = cvi_recurrent_at(from, from_at, r->type);
    CVI_TYPED(r->type, add_numbers, a, b, n);
}

static void one_row(const back *w, int64_t b, int64_t t) {
    const cvi_recurrent *r = w->r;
    int64_t row = cvi_recurrent_row(r, t, b);
    if (w->gy) {
        add(r, w->dh, b * r->H, w->gy->data, cvi_recurrent_y(r, w->p->d, t, b), r->H);
    }
    if (r->gates == 4) {
        CVI_TYPED(r->type, lstm_row, w, b, row);
    } else if (r->gates == 3) {
        CVI_TYPED(r->type, gru_row, w, b, row);
    } else {
        CVI_TYPED(r->type, rnn_row, w, b, row);
    }
}

/* out [B,H] = from [B,n] times the kernel's rows `first` to first + n. */
static void through_kernel(const back *w, const void *from, int64_t first, int64_t n, void *out) {
    const cvi_recurrent *r = w->r;
    cvi_product a = {.M = r->B,
                     .N = r->H,
                     .K = n,
                     .a = from,
                     .a_row = n,
                     .a_col = 1,
                     .b = cvi_recurrent_at(r->ctx->in[2]->data, (w->p->d * r->G + first) * r->H, r->type),
                     .b_row = r->H,
                     .b_col = 1,
                     .out = out};
    cvi_recurrent_product(r, a, r->ctx->pool, 0);
}

static void undo_step(const back *w, int64_t s) {
    const cvi_recurrent *r = w->r;
    bool before = r->gates == 3 && !r->after;
    size_t size = cvs_dtype_size(r->type);
    memset(w->step, 0, (size_t)(r->B * r->G) * size);
    if (before) {
        memset(w->hidden, 0, (size_t)(r->B * r->H) * size);
    }
    for (int64_t b = 0; b < r->B; b++) {
        if (s < cvi_recurrent_length(r, b)) {
            one_row(w, b, cvi_recurrent_time(r, w->p->d, b, s));
        }
    }
    if (before) {
        through_kernel(w, w->hidden, 2 * r->H, r->H, w->reset);
    }
    for (int64_t b = 0; before && b < r->B; b++) {
        if (s < cvi_recurrent_length(r, b)) {
            int64_t row = cvi_recurrent_row(r, cvi_recurrent_time(r, w->p->d, b, s), b);
            CVI_TYPED(r->type, gru_reset, w, b, row);
        }
    }
    through_kernel(w, w->step, 0, before ? 2 * r->H : r->G, w->past);
    for (int64_t b = 0; b < r->B; b++) {
        if (s < cvi_recurrent_length(r, b)) {
            memcpy(cvi_recurrent_at(w->dh, b * r->H, r->type), cvi_recurrent_at(w->way, b * r->H, r->type),
                   (size_t)r->H * size);
            add(r, w->dh, b * r->H, w->past, b * r->H, r->H);
        }
    }
}

/* ---- from the gates to weights and data ------------------------------------------------------------------------- */

/* out [n,columns] += part' others: the columns from `first` on of part [rows,G], others [rows,columns]. */
static void add_weights(const cvi_recurrent *r, const void *part, int64_t first, int64_t n,
                        const void *others, int64_t columns, void *out) {
    cvi_product a = {.M = n,
                     .N = columns,
                     .K = r->T * r->B,
                     .a = cvi_recurrent_at(part, first, r->type),
                     .a_row = 1,
                     .a_col = r->G,
                     .b = others,
                     .b_row = columns,
                     .b_col = 1,
                     .out = out,
                     .add = true};
    cvi_recurrent_product(r, a, r->ctx->pool, 0);
}

CVI_INLINE void add_columns(const cvi_recurrent *r, const void *part, void *out, cvs_dtype type) {
    for (int64_t k = 0; k < r->G; k++) {
        double sum = 0;
        for (int64_t i = 0; i < r->T * r->B; i++) {
            sum += cvi_load(part, i * r->G + k, type);
        }
        cvi_accumulate(out, k, sum, type);
    }
}

static void give_kernels(const back *w, cvs_tensor *const *grad_in) {
    const cvi_recurrent *r = w->r;
    const cvi_recurrent_pass *p = w->p;
    bool before = r->gates == 3 && !r->after;
    if (grad_in[1]) {
        void *out = cvi_recurrent_at(grad_in[1]->data, p->d * r->G * r->I, r->type);
        add_weights(r, w->dg, 0, r->G, r->ctx->in[0]->data, r->I, out);
    }
    if (grad_in[2]) {
        int64_t n = before ? 2 * r->H : r->G, first = p->d * r->G * r->H;
        add_weights(r, w->dr, 0, n, p->was, r->H, cvi_recurrent_at(grad_in[2]->data, first, r->type));
        if (before) {
            add_weights(r, w->dr, n, r->H, p->u, r->H,
                        cvi_recurrent_at(grad_in[2]->data, first + n * r->H, r->type));
        }
    }
    if (r->ctx->n_in > 3 && grad_in[3]) {
        void *own = cvi_recurrent_at(grad_in[3]->data, p->d * 2 * r->G, r->type);
        void *state = cvi_recurrent_at(own, r->G, r->type);
        CVI_TYPED(r->type, add_columns, r, w->dg, own);
        CVI_TYPED(r->type, add_columns, r, w->dr, state);
    }
}

/* The gradient of a state, as the operator's outputs and inputs lie. */
static void move_state(const back *w, const cvs_tensor *from, void *to, cvs_tensor *out, const void *state) {
    const cvi_recurrent *r = w->r;
    for (int64_t b = 0; b < r->B; b++) {
        int64_t at = cvi_recurrent_state(r, w->p->d, b);
        if (from) {
            add(r, to, b * r->H, from->data, at, r->H);
        }
        if (out) {
            add(r, out->data, at, state, b * r->H, r->H);
        }
    }
}

static cvs_status make_room(const cvi_recurrent *r, back *w) {
    int64_t rows = r->T * r->B, state = r->B * r->H;
    CVI_TRY(cvi_recurrent_room(r, rows * r->G, &w->dg));
    w->dr = w->dg;
    if (r->gates == 3 && r->after) {
        CVI_TRY(cvi_recurrent_room(r, rows * r->G, &w->dr));
    }
    CVI_TRY(cvi_recurrent_room(r, r->B * r->G, &w->step));
    void **const states[] = {&w->dh, &w->dc, &w->past, &w->way, &w->hidden, &w->reset};
    for (int i = 0; i < CVI_COUNT(states); i++) {
        CVI_TRY(cvi_recurrent_room(r, state, states[i]));
    }
    return CVS_OK;
}

static cvs_status one_direction(const cvi_recurrent *r, int d, const cvs_tensor *const *grad_out,
                                cvs_tensor *const *grad_in) {
    cvi_recurrent_pass p;
    CVI_TRY(cvi_recurrent_begin(r, d, true, &p));
    cvi_recurrent_steps(&p, 0, r->B, r->ctx->pool, 0);
    int n_in = r->ctx->n_in, n_out = r->ctx->n_out;
    back w = {.r = r, .p = &p, .gy = grad_out[0]};
    w.dP = n_in > 7 && grad_in[7] ? grad_in[7]->data : NULL;
    CVI_TRY(make_room(r, &w));
    move_state(&w, n_out > 1 ? grad_out[1] : NULL, w.dh, NULL, NULL);
    move_state(&w, n_out > 2 ? grad_out[2] : NULL, w.dc, NULL, NULL);
    for (int64_t s = r->T - 1; s >= 0; s--) {
        undo_step(&w, s);
    }
    if (grad_in[0]) {
        cvi_product a = {.M = r->T * r->B,
                         .N = r->I,
                         .K = r->G,
                         .a = w.dg,
                         .a_row = r->G,
                         .a_col = 1,
                         .b = cvi_recurrent_at(r->ctx->in[1]->data, d * r->G * r->I, r->type),
                         .b_row = r->I,
                         .b_col = 1,
                         .out = grad_in[0]->data,
                         .add = true};
        cvi_recurrent_product(r, a, r->ctx->pool, 0);
    }
    give_kernels(&w, grad_in);
    move_state(&w, NULL, NULL, n_in > 5 ? grad_in[5] : NULL, w.dh);
    move_state(&w, NULL, NULL, n_in > 6 ? grad_in[6] : NULL, w.dc);
    return CVS_OK;
}

cvs_status cvi_recurrent_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_recurrent r;
    CVI_TRY(cvi_recurrent_read(ctx, !ctx->plain, &r));
    for (int d = 0; d < r.D; d++) {
        CVI_TRY(one_direction(&r, d, grad_out, grad_in));
    }
    return CVS_OK;
}
