/* SPDX-License-Identifier: MIT
 * map.c - runs the loops of map.h over tensors of any type, in chunks that do not depend on the number of threads.
 */
#include "ops/map.h"

enum { CHUNK = 16 * CVI_MAP_BLOCK };

typedef struct map_job {
    cvi_map_loop loop;
    const double *p;
    cvs_dtype dtype;
    cvi_rule rule;
    int64_t count;
    const void *x, *g, *base; /* base NULL: nothing to add to */
    void *out;
} map_job;

CVI_INLINE void load_block(const void *data, int64_t at, int64_t n, double *out, cvs_dtype type) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = cvi_load(data, at + i, type);
    }
}

CVI_INLINE void forward_chunk(const map_job *j, int64_t chunk, cvs_dtype type) {
    double x[CVI_MAP_BLOCK], y[CVI_MAP_BLOCK];
    int64_t end = CVI_MIN((chunk + 1) * CHUNK, j->count);
    for (int64_t at = chunk * CHUNK; at < end; at += CVI_MAP_BLOCK) {
        int64_t n = CVI_MIN(CVI_MAP_BLOCK, end - at);
        load_block(j->x, at, n, x, type);
        j->loop(j->p, n, x, y);
        for (int64_t i = 0; i < n; i++) {
            cvi_store(j->out, at + i, y[i], type);
        }
    }
}

static void forward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const map_job *j = context;
    CVI_TYPED(j->dtype, forward_chunk, j, chunk);
}

CVI_INLINE void backward_chunk(const map_job *j, int64_t chunk, cvs_dtype type) {
    double x[CVI_MAP_BLOCK], slope[CVI_MAP_BLOCK], g[CVI_MAP_BLOCK];
    int64_t end = CVI_MIN((chunk + 1) * CHUNK, j->count);
    for (int64_t at = chunk * CHUNK; at < end; at += CVI_MAP_BLOCK) {
        int64_t n = CVI_MIN(CVI_MAP_BLOCK, end - at);
        load_block(j->x, at, n, x, type);
        load_block(j->g, at, n, g, type);
        j->loop(j->p, n, x, slope);
        for (int64_t i = 0; i < n; i++) {
            double signal = j->rule == CVI_GRADIENT || g[i] > 0 ? g[i] : 0;
            if (j->rule != CVI_DECONVNET) {
                /* A zero signal stays zero even where the slope is infinite or NaN. */
                signal = signal == 0 ? 0 : signal * slope[i];
            }
            cvi_store(j->out, at + i, j->base != NULL ? cvi_load(j->base, at + i, type) + signal : signal,
                      type);
        }
    }
}

static void backward_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const map_job *j = context;
    CVI_TYPED(j->dtype, backward_chunk, j, chunk);
}

cvs_status cvi_map_infer_any(cvi_opctx *ctx) {
    return cvi_out_shape(ctx, 0, ctx->in[0]->dtype, ctx->in[0]->rank, ctx->in[0]->dim);
}

cvs_status cvi_map_infer(cvi_opctx *ctx) {
    CVI_TRY(cvi_want_float(ctx, 0));
    return cvi_map_infer_any(ctx);
}

cvs_status cvi_map_forward(cvi_opctx *ctx, cvi_map_loop value, const double *p) {
    const cvs_tensor *x = ctx->in[0];
    map_job j = {.loop = value,
                 .p = p,
                 .dtype = x->dtype,
                 .count = cvs_tensor_count(x),
                 .x = x->data,
                 .out = ctx->out[0].data};
    cvi_pool_run(ctx->pool, (j.count + CHUNK - 1) / CHUNK, forward_body, &j);
    return CVS_OK;
}

cvs_status cvi_map_backward(cvi_opctx *ctx, cvi_map_loop slope, const double *p, cvi_rule rule,
                            const cvs_tensor *const *grad_out, cvs_tensor *const *grad_in) {
    const cvs_tensor *x = ctx->in[0];
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    map_job j = {.loop = slope,
                 .p = p,
                 .dtype = x->dtype,
                 .rule = rule,
                 .count = cvs_tensor_count(x),
                 .x = x->data,
                 .g = grad_out[0]->data,
                 .base = grad_in[0]->data,
                 .out = grad_in[0]->data};
    cvi_pool_run(ctx->pool, (j.count + CHUNK - 1) / CHUNK, backward_body, &j);
    return CVS_OK;
}

/* ---- float32 in any layout: padding channels have a signal of 0, which stays 0 ---------------------------- */

static int64_t floats_of(const cvs_tensor *t) {
    return (int64_t)(t->bytes / sizeof(float));
}

bool cvi_map_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    form->in = 1;
    form->in_place = true;
    for (int k = 1; k < ctx->n_in; k++) {
        if (wants[k]) {
            return false;
        }
    }
    return ctx->in[0]->dtype == CVS_F32;
}

bool cvi_gate_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    bool fits = cvi_map_back_form(ctx, wants, form);
    form->in = 0;
    form->out = 1;
    return fits;
}

cvs_status cvi_map_back(cvi_opctx *ctx, cvi_map_loop slope, const double *p, cvi_rule rule,
                        const cvi_back *back) {
    if (back->grad_out[0] == NULL || back->grad_in[0] == NULL) {
        return CVS_OK;
    }
    map_job j = {.loop = slope,
                 .p = p,
                 .dtype = CVS_F32,
                 .rule = rule,
                 .count = floats_of(back->grad_out[0]),
                 .x = ctx->in[0]->data,
                 .g = back->grad_out[0]->data,
                 .base = back->base[0],
                 .out = back->grad_in[0]->data};
    cvi_pool_run(ctx->pool, (j.count + CHUNK - 1) / CHUNK, backward_body, &j);
    return CVS_OK;
}

cvs_status cvi_gate_back(cvi_opctx *ctx, const cvs_tensor *y, float low, float high, float slope,
                         cvi_rule rule, const cvi_back *back) {
    if (back->grad_out[0] == NULL || back->grad_in[0] == NULL) {
        return CVS_OK;
    }
    cvi_gate gate = {.lo = low, .hi = high, .slope = slope, .positive = rule != CVI_GRADIENT};
    cvi_gate_backward(ctx->pool, &gate, floats_of(back->grad_out[0]), back->grad_out[0]->data,
                      rule == CVI_DECONVNET ? NULL : y->data, back->base[0], back->grad_in[0]->data);
    return CVS_OK;
}

cvi_rows cvi_rows_of(const cvs_tensor *t) {
    if (t->layout == CVS_NHWC8) {
        return (cvi_rows){t->dim[0] * t->dim[2] * t->dim[3], t->dim[1], CVI_PITCH(t->dim[1])};
    }
    int64_t count = cvs_tensor_count(t);
    return (cvi_rows){1, count, count};
}

bool cvi_map_can_fast(const cvi_opctx *ctx) {
    return ctx->in[0]->dtype == CVS_F32;
}

cvs_status cvi_map_fast(cvi_opctx *ctx, cvi_unary_op op, double a, double b) {
    cvi_rows r = cvi_rows_of(ctx->in[0]);
    if (r.rows > 0 && r.channels > 0) {
        cvi_unary(ctx->pool, op, (float)a, (float)b, r.rows, r.channels, r.pitch, ctx->in[0]->data,
                  ctx->out[0].data);
    }
    return CVS_OK;
}

void cvi_map_cost(const cvi_opctx *ctx, cvi_cost *cost) {
    cost->flops = cvs_tensor_count(&ctx->out[0]);
}

const cvi_op_io cvi_map_in[1] = {{"X", CVI_DATA, false, false}};
const cvi_op_io cvi_map_out[1] = {{"Y", CVI_DATA, false, false}};
