/* SPDX-License-Identifier: MIT
 * pool_max.c - MaxPool in 1, 2 and 3 dimensions, with the winners' places (switches) as its second output and for the
 * backward pass, and GlobalMaxPool. Ties: the first maximum in scan order; a NaN wins, the first one first.
 */
#include "ops/pool_window.h"

typedef struct max_job {
    const cvi_window *w;
    const cvs_tensor *x;
    void *y;
    int64_t *winner; /* position in the plane, row-major; or NULL */
} max_job;

static cvs_status max_infer(cvi_opctx *ctx) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    CVI_TRY(cvi_pool_out(ctx, &w, 0, ctx->in[0]->dtype));
    return cvi_pool_out(ctx, &w, 1, CVS_I64);
}

/* The winner of one window in the plane that begins at `base`; -1 for a window without elements. */
CVI_INLINE int64_t best_of(const cvi_window *w, const void *x, int64_t base, const int64_t *first,
                           const int64_t *last, const int64_t *start, cvs_dtype type) {
    int64_t best = -1;
    double high = 0;
    for (int64_t d = first[0]; d < last[0]; d++) {
        for (int64_t h = first[1]; h < last[1]; h++) {
            int64_t line = (start[0] + d * w->dilation[0]) * w->in[1] + start[1] + h * w->dilation[1];
            for (int64_t k = first[2]; k < last[2]; k++) {
                int64_t at = line * w->in[2] + start[2] + k * w->dilation[2];
                double v = cvi_load(x, base + at, type);
                if (best < 0 || v > high || (v != v && high == high)) {
                    best = at;
                    high = v;
                }
            }
        }
    }
    return best;
}

CVI_INLINE void max_plane(const max_job *j, int64_t plane, cvs_dtype type) {
    const cvi_window *w = j->w;
    int64_t base = plane * cvi_window_in(w), at = plane * cvi_window_out(w);
    for (int64_t o = 0; o < cvi_window_out(w); o++, at++) {
        int64_t place[3] = {o / (w->out[1] * w->out[2]), o / w->out[2] % w->out[1], o % w->out[2]};
        int64_t first[3], last[3], start[3];
        for (int a = 0; a < 3; a++) {
            cvi_window_taps(w, a, place[a], &first[a], &last[a]);
            start[a] = place[a] * w->stride[a] - w->begin[a];
        }
        int64_t best = best_of(w, j->x->data, base, first, last, start, type);
        if (j->y != NULL) {
            cvi_store(j->y, at, best < 0 ? 0 : cvi_load(j->x->data, base + best, type), type);
        }
        if (j->winner != NULL) {
            j->winner[at] = best;
        }
    }
}

static void max_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const max_job *j = context;
    CVI_TYPED(j->x->dtype, max_plane, j, chunk);
}

/* The Indices output: places in the whole tensor, rows first or (storage_order 1) columns first within a plane. */
static void write_indices(cvi_opctx *ctx, const cvi_window *w, const int64_t *winner) {
    int64_t *out = ctx->out[1].data, per = cvi_window_out(w), plane = cvi_window_in(w);
    bool columns = cvi_op_int(ctx, "storage_order") != 0;
    int64_t count = cvs_tensor_count(&ctx->out[1]);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = winner[i];
        if (columns && at >= 0) {
            int64_t d = at / (w->in[1] * w->in[2]), h = at / w->in[2] % w->in[1], x = at % w->in[2];
            at = (x * w->in[1] + h) * w->in[0] + d;
        }
        out[i] = at < 0 ? -1 : i / per * plane + at;
    }
}

static cvs_status max_forward(cvi_opctx *ctx) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    const cvs_tensor *x = ctx->in[0];
    bool indices = cvi_has_out(ctx, 1);
    int64_t *winner = ctx->aux != NULL ? ctx->aux : indices ? ctx->out[1].data : NULL;
    max_job j = {&w, x, ctx->out[0].data, winner};
    cvi_pool_run(ctx->pool, x->dim[0] * x->dim[1], max_body, &j);
    if (indices) {
        write_indices(ctx, &w, winner);
    }
    return CVS_OK;
}

/* ---- float32 pictures ------------------------------------------------------------------------------------ */

static bool plane_fits(const cvs_tensor *x) {
    return x->dtype == CVS_F32 && x->rank == 4 && cvi_span(x, 2, 4) <= INT32_MAX && cvs_tensor_count(x) > 0;
}

static bool max_can_fast(const cvi_opctx *ctx) {
    return plane_fits(ctx->in[0]) && !cvi_has_out(ctx, 1);
}

/* The kernel's winners lie as its output does; ours lie plain. */
static void spread_winners(const cvi_pool_shape *s, const int32_t *from, int64_t *to) {
    int64_t positions = s->OH * s->OW, pitch = CVI_PITCH(s->C);
    for (int64_t n = 0; n < s->N; n++) {
        for (int64_t i = 0; i < positions; i++) {
            for (int64_t c = 0; c < s->C; c++) {
                to[(n * s->C + c) * positions + i] = from[(n * positions + i) * pitch + c];
            }
        }
    }
}

static cvs_status run_fast(cvi_opctx *ctx, const cvi_pool_shape *s) {
    int32_t *winner = NULL;
    if (ctx->aux != NULL) {
        int64_t bytes = s->N * s->OH * s->OW * CVI_PITCH(s->C) * (int64_t)sizeof *winner;
        winner = cvi_arena_raw(ctx->scratch, bytes);
        if (winner == NULL) {
            return cvi_no_memory(ctx->err, (size_t)bytes);
        }
    }
    cvi_maxpool(ctx->pool, s, ctx->in[0]->data, ctx->out[0].data, winner);
    if (winner != NULL) {
        spread_winners(s, winner, ctx->aux);
    }
    return CVS_OK;
}

static cvs_status max_fast(cvi_opctx *ctx) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    cvi_pool_shape s = cvi_window_pool(&w, ctx->in[0]);
    return run_fast(ctx, &s);
}

static void run_rows(const cvi_band *b, int64_t n, const float *in, float *out, int64_t y0, int64_t y1,
                     int worker) {
    (void)n;
    (void)worker;
    cvi_maxpool_rows(b->of, in, out, y0, y1);
}

static bool max_band(cvi_opctx *ctx, cvi_band *b) {
    cvi_window w;
    if (cvi_pool_window(ctx, &w) != CVS_OK) {
        return false;
    }
    cvi_pool_shape *s = cvi_arena_raw(ctx->scratch, (int64_t)sizeof *s);
    if (s == NULL) {
        return false;
    }
    *s = cvi_window_pool(&w, ctx->in[0]);
    *b = (cvi_band){.step = s->stride_h,
                    .first = -s->pad_top,
                    .count = (s->R - 1) * s->dilation_h + 1,
                    .in_rows = s->H,
                    .out_rows = s->OH,
                    .in_row = s->W * CVI_PITCH(s->C),
                    .out_row = s->OW * CVI_PITCH(s->C),
                    .run = run_rows,
                    .of = s};
    return ctx->aux == NULL;
}

static cvs_status max_part(cvi_opctx *ctx, const cvi_part *part) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    cvi_pool_shape s = cvi_window_part(&w, part);
    cvi_maxpool(ctx->pool, &s, part->in->data, part->out->data, NULL);
    return CVS_OK;
}

static bool global_can_fast(const cvi_opctx *ctx) {
    return plane_fits(ctx->in[0]);
}

static cvs_status global_fast(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    if (ctx->aux == NULL) {
        cvi_global_maxpool(ctx->pool, x->dim[0], x->dim[1], x->dim[2] * x->dim[3], x->data, ctx->out[0].data);
        return CVS_OK;
    }
    cvi_pool_shape s = {.N = x->dim[0],
                        .C = x->dim[1],
                        .H = x->dim[2],
                        .W = x->dim[3],
                        .R = x->dim[2],
                        .S = x->dim[3],
                        .stride_h = 1,
                        .stride_w = 1,
                        .dilation_h = 1,
                        .dilation_w = 1,
                        .OH = 1,
                        .OW = 1};
    return run_fast(ctx, &s);
}

static size_t all_switches(const cvi_opctx *ctx) {
    return (size_t)cvs_tensor_count(&ctx->out[0]) * sizeof(int64_t);
}

/* ---- backward: what a window received goes to its winner; where windows overlap, the shares add up ---------- */

typedef struct route_job {
    cvs_dtype dtype;
    int64_t in, out; /* positions of a plane on either side */
    const int64_t *winner;
    const void *g;
    void *gx;
} route_job;

CVI_INLINE void route_plane(const route_job *j, int64_t plane, cvs_dtype type) {
    for (int64_t o = plane * j->out; o < (plane + 1) * j->out; o++) {
        if (j->winner[o] >= 0) {
            cvi_accumulate(j->gx, plane * j->in + j->winner[o], cvi_load(j->g, o, type), type);
        }
    }
}

static void route_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const route_job *j = context;
    CVI_TYPED(j->dtype, route_plane, j, chunk);
}

static cvs_status route(cvi_opctx *ctx, const cvi_window *w, const cvs_tensor *const *grad_out,
                        cvs_tensor *const *grad_in) {
    const cvs_tensor *x = ctx->in[0];
    if (grad_out[0] == NULL || grad_in[0] == NULL) {
        return CVS_OK;
    }
    int64_t *winner = ctx->aux, planes = x->dim[0] * x->dim[1];
    if (winner == NULL) {
        winner = cvi_arena_alloc(ctx->scratch, CVI_MAX(cvs_tensor_count(grad_out[0]), 1), sizeof *winner);
        if (winner == NULL) {
            return cvi_no_memory(ctx->err, all_switches(ctx));
        }
        max_job again = {w, x, NULL, winner};
        cvi_pool_run(ctx->pool, planes, max_body, &again);
    }
    route_job j = {x->dtype, cvi_window_in(w),  cvi_window_out(w),
                   winner,   grad_out[0]->data, grad_in[0]->data};
    cvi_pool_run(ctx->pool, planes, route_body, &j);
    return CVS_OK;
}

static cvs_status max_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                               cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    return route(ctx, &w, grad_out, grad_in);
}

static bool max_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    cvi_opctx quiet = *ctx;
    cvi_window w;
    quiet.err = NULL;
    (void)wants;
    form->in = form->out = 1;
    form->gates = true;
    return cvi_pool_window(&quiet, &w) == CVS_OK && cvi_window_kernel_size(&w) <= CVI_POOL_ROUTED;
}

/* None where the fast backward finds the winners again, which costs less than to keep them. */
static size_t max_aux(const cvi_opctx *ctx) {
    cvi_back_form form = {0};
    return !ctx->plain && max_can_fast(ctx) && max_back_form(ctx, NULL, &form) ? 0 : all_switches(ctx);
}

static cvs_status max_back(cvi_opctx *ctx, const cvi_back *back) {
    cvi_window w;
    if (back->grad_out[0] == NULL || back->grad_in[0] == NULL) {
        return CVS_OK;
    }
    CVI_TRY(cvi_pool_window(ctx, &w));
    cvi_pool_shape s = cvi_window_pool(&w, ctx->in[0]);
    const cvi_back_gate *limit = &back->gate[0];
    cvi_gate gate = {.lo = limit->lo, .hi = limit->hi, .positive = limit->positive};
    cvi_maxpool_route(ctx->pool, &s, ctx->in[0]->data, ctx->out[0].data, back->grad_out[0]->data,
                      back->base[0], limit->on ? &gate : NULL, limit->y, back->grad_in[0]->data);
    return CVS_OK;
}

typedef struct unit_job {
    const cvi_opctx *ctx;
    cvs_unit *unit;
} unit_job;

static void visit_tap(void *context, int64_t tap, int64_t at) {
    const unit_job *j = context;
    if (at >= 0) {
        cvi_unit_add(j->unit, 0, at, tap, cvi_get(j->ctx->in[0], at), 0);
    }
}

/* The winner: the first of the largest, a NaN before all others. */
static void mark_winner(cvs_unit *unit) {
    int64_t best = -1;
    for (int64_t i = 0; i < unit->n_terms; i++) {
        double v = unit->terms[i].value, high = best >= 0 ? unit->terms[best].value : 0;
        best = best < 0 || v > high || (v != v && high == high) ? i : best;
    }
    if (best >= 0) {
        unit->terms[best].weight = 1;
    }
}

static void unit_of(cvi_opctx *ctx, const cvi_window *w, int64_t at, cvs_unit *unit) {
    unit_job j = {ctx, unit};
    int64_t per = cvi_window_out(w);
    unit->kind = CVS_UNIT_MAX;
    cvi_unit_window(w, at % per, at / per * cvi_window_in(w), visit_tap, &j);
    mark_winner(unit);
}

static cvs_status max_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    cvi_window w;
    CVI_TRY(cvi_pool_window(ctx, &w));
    unit_of(ctx, &w, at, unit);
    return CVS_OK;
}

/* ---- the whole plane as one window ---------------------------------------------------------------------- */

static cvs_status global_forward(cvi_opctx *ctx) {
    const cvs_tensor *x = ctx->in[0];
    cvi_window w = cvi_whole_plane(x);
    max_job j = {&w, x, ctx->out[0].data, ctx->aux};
    cvi_pool_run(ctx->pool, x->dim[0] * x->dim[1], max_body, &j);
    return CVS_OK;
}

static cvs_status global_backward(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in) {
    (void)rule;
    cvi_window w = cvi_whole_plane(ctx->in[0]);
    return route(ctx, &w, grad_out, grad_in);
}

static cvs_status global_unit(cvi_opctx *ctx, int64_t at, cvs_unit *unit) {
    cvi_window w = cvi_whole_plane(ctx->in[0]);
    unit_of(ctx, &w, at, unit);
    return CVS_OK;
}

/* ---- descriptors ----------------------------------------------------------------------------------------- */

static const cvi_op_io max_in[] = {{"X", CVI_DATA, false, false}};
static const cvi_op_io max_out[] = {{"Y", CVI_DATA, false, false}, {"Indices", CVI_DATA, true, false}};
static const cvi_op_attr max_attrs[] = {
    CVI_WINDOW_ATTRS,
    CVI_WINDOW_DILATIONS,
    CVI_WINDOW_CEIL,
    {"storage_order", CVI_ATTR_INT, "0", "0|1",
     "order of the places in Indices: 0 rows first, 1 columns first",
     "Indices 中位置的排列顺序：0 为行优先，1 为列优先"},
};

const cvi_op cvi_op_max_pool = {
    .name = "MaxPool",
    .word_en = "max pool",
    .word_zh = "最大池化",
    .since = 1,
    .inputs = max_in,
    .n_inputs = CVI_COUNT(max_in),
    .outputs = max_out,
    .n_outputs = CVI_COUNT(max_out),
    .attrs = max_attrs,
    .n_attrs = CVI_COUNT(max_attrs),
    .flags = CVI_OP_POOL,
    .glyph = CVI_GLYPH_POOL,
    .infer = max_infer,
    .forward = max_forward,
    .any_type = true,
    .can_fast = max_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = max_fast,
    .band = max_band,
    .part = max_part,
    .unit = max_unit,
    .backward = max_backward,
    .back_form = max_back_form,
    .back_fast = max_back,
    .aux_bytes = max_aux,
    .cost = cvi_pool_cost,
    .field = cvi_pool_field,
    .text = {"Max pooling", "最大池化",
             "Keeps the largest value of each window and forgets where in the window it was.",
             "每个窗口只保留最大值，并忘掉它在窗口中的位置。",
             "y[n,c,i,j] = max over r,s of x[n,c,i·S+r·D−P,j·S+s·D−P]",
             "The same map, smaller: strong spots survive, small shifts no longer matter.",
             "同一张特征图的缩小版：强响应得以保留，微小的平移不再有影响。"},
};

const cvi_op cvi_op_global_max_pool = {
    .name = "GlobalMaxPool",
    .word_en = "global max pool",
    .word_zh = "全局最大池化",
    .since = 1,
    .inputs = max_in,
    .n_inputs = CVI_COUNT(max_in),
    .outputs = max_out,
    .n_outputs = 1,
    .flags = CVI_OP_POOL,
    .glyph = CVI_GLYPH_POOL,
    .infer = cvi_global_infer,
    .forward = global_forward,
    .can_fast = global_can_fast,
    .fast_layout = CVS_NHWC8,
    .fast = global_fast,
    .apart = cvi_apart_always,
    .unit = global_unit,
    .backward = global_backward,
    .aux_bytes = all_switches,
    .cost = cvi_global_cost,
    .field = cvi_global_field,
    .text = {"Global max pooling", "全局最大池化", "Keeps the single largest value of each feature map.",
             "每张特征图只保留一个最大值。", "y[n,c] = max over i,j of x[n,c,i,j]",
             "One number per feature map: how strongly its feature was found anywhere.",
             "每张特征图对应一个数：该特征在整幅图中出现的最强程度。"},
};
