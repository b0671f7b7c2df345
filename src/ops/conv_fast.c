/* SPDX-License-Identifier: MIT
 * conv_fast.c - bridges from the operators' plain tensors and geometry to the convolution kernels. Backward brings its plain
 * tensors to NHWC8 first; that costs one pass over each and is small beside the sums.
 */
#include "ops/conv_fast.h"

bool cvi_conv_fits(const cvi_opctx *ctx, const cvi_conv_sides *s) {
    const cvs_tensor *x = ctx->in[0], *w = ctx->in[1];
    return x->rank == 4 && x->dtype == CVS_F32 && w->dtype == CVS_F32 && s->n > 0 && s->channels > 0 &&
           s->filters > 0 && cvi_window_in(&s->w) > 0 && cvi_window_out(&s->w) > 0;
}

static cvi_conv_shape shape_of(const cvi_conv_sides *s) {
    const cvi_window *w = &s->w;
    return (cvi_conv_shape){.N = s->n,
                            .C = s->channels,
                            .H = w->in[1],
                            .W = w->in[2],
                            .K = s->filters,
                            .R = w->kernel[1],
                            .S = w->kernel[2],
                            .stride_h = w->stride[1],
                            .stride_w = w->stride[2],
                            .pad_top = w->begin[1],
                            .pad_left = w->begin[2],
                            .pad_bottom = w->end[1],
                            .pad_right = w->end[2],
                            .dilation_h = w->dilation[1],
                            .dilation_w = w->dilation[2],
                            .groups = s->groups,
                            .OH = w->out[1],
                            .OW = w->out[2]};
}

/* What a node keeps: the plan of its forward pass, and the one of the other direction once backward asked for it. */
typedef struct conv_ready {
    bool large; /* forward is the transposed one */
    cvi_conv_plan *plan[2];
    bool packed[2];        /* with the weights of now */
    cvi_conv_plan *scaled; /* backward's plan with a factor per channel of the output's gradient worked in */
    float *scale;          /* those factors, [filters]; NULL: not packed */
    float *bias;           /* with an epilogue's scale and shift worked in; NULL: the node's own */
} conv_ready;

static cvs_status make_plan(cvi_opctx *ctx, const cvi_conv_sides *s, bool large, cvi_conv_plan **plan) {
    cvi_conv_shape shape = shape_of(s);
    cvi_conv_options options = {.exact = ctx->exact};
    return cvi_conv_plan_new(&shape, large ? CVI_CONV_TRANSPOSED : CVI_CONV_FORWARD, &options, plan,
                             ctx->err);
}

/* The plan of a direction with these weights. */
static cvs_status need_plan(cvi_opctx *ctx, conv_ready *ready, const cvi_conv_sides *s, bool large,
                            const float *kernel) {
    if (ready->plan[large] == NULL) {
        CVI_TRY(make_plan(ctx, s, large, &ready->plan[large]));
    }
    if (!ready->packed[large]) {
        CVI_TRY(cvi_conv_pack(ready->plan[large], ctx->pool, kernel, ctx->err));
        ready->packed[large] = true;
    }
    return CVS_OK;
}

/* ---- a scale and a shift per output channel, worked into the weights and the bias -------------------------------- */

typedef struct scale_job {
    const float *scale, *from;
    float *to;
    int64_t area, per_row; /* numbers per kernel of one channel; kernels per row of the weights */
    int64_t row_groups, group_channels; /* large: rows per group, and channels each group makes; else 0 */
} scale_job;

static void scale_row(void *context, int64_t row, int worker) {
    (void)worker;
    const scale_job *j = context;
    const float *from = j->from + row * j->per_row * j->area;
    float *to = j->to + row * j->per_row * j->area;
    for (int64_t k = 0; k < j->per_row; k++) {
        float f = j->row_groups > 0 ? j->scale[row / j->row_groups * j->group_channels + k] : j->scale[row];
        for (int64_t i = 0; i < j->area; i++) {
            to[k * j->area + i] = from[k * j->area + i] * f;
        }
    }
}

/* The weights to pack: the node's own, or, in scratch, with the epilogue's scale. */
static cvs_status scaled_weights(cvi_opctx *ctx, bool large, const float **weights) {
    const cvs_tensor *w = ctx->in[1];
    *weights = w->data;
    if (ctx->epilogue == NULL || ctx->epilogue->scale == NULL) {
        return CVS_OK;
    }
    float *made = cvi_arena_raw(ctx->scratch, (int64_t)w->bytes);
    if (made == NULL) {
        return cvi_no_memory(ctx->err, w->bytes);
    }
    scale_job j = {.scale = ctx->epilogue->scale,
                   .from = w->data,
                   .to = made,
                   .area = w->dim[2] * w->dim[3],
                   .per_row = w->dim[1]};
    if (large) {
        j.row_groups = w->dim[0] / CVI_MAX(cvi_op_int(ctx, "group"), 1);
        j.group_channels = w->dim[1];
    }
    cvi_pool_run(ctx->pool, w->dim[0], scale_row, &j);
    *weights = made;
    return CVS_OK;
}

static cvs_status scaled_bias(cvi_opctx *ctx, conv_ready *ready) {
    const cvs_tensor *own = cvi_in(ctx, 2);
    int64_t channels = ctx->out[0].dim[1];
    if (ctx->epilogue == NULL || ctx->epilogue->scale == NULL) {
        return CVS_OK;
    }
    if (ready->bias == NULL) {
        ready->bias = cvi_malloc((size_t)channels * sizeof(float));
        if (ready->bias == NULL) {
            return cvi_no_memory(ctx->err, (size_t)channels * sizeof(float));
        }
    }
    for (int64_t c = 0; c < channels; c++) {
        double b = own == NULL ? 0 : (double)((const float *)own->data)[c];
        ready->bias[c] = (float)(b * (double)ctx->epilogue->scale[c] + (double)ctx->epilogue->shift[c]);
    }
    return CVS_OK;
}

static cvs_status pack_now(cvi_opctx *ctx, conv_ready *ready) {
    const float *weights;
    CVI_TRY(scaled_weights(ctx, ready->large, &weights));
    CVI_TRY(scaled_bias(ctx, ready));
    CVI_TRY(cvi_conv_pack(ready->plan[ready->large], ctx->pool, weights, ctx->err));
    ready->packed[ready->large] = true;
    return CVS_OK;
}

cvs_status cvi_conv_prepare(cvi_opctx *ctx, void **prepared) {
    const cvs_tensor *own = cvi_in(ctx, 2);
    cvi_conv_sides s;
    CVI_TRY(cvi_conv_read(ctx, &s));
    bool folds = ctx->epilogue != NULL && ctx->epilogue->scale != NULL;
    if (ctx->in[1]->data == NULL || (folds && own != NULL && own->data == NULL)) {
        return CVS_OK; /* a model without weights: the run says so when it asks for them */
    }
    conv_ready *ready = cvi_calloc(1, sizeof *ready);
    if (ready == NULL) {
        return cvi_no_memory(ctx->err, sizeof *ready);
    }
    ready->large = s.large;
    cvs_status status = make_plan(ctx, &s, s.large, &ready->plan[s.large]);
    if (status == CVS_OK) {
        status = pack_now(ctx, ready);
    }
    if (status != CVS_OK) {
        cvi_conv_drop(ready);
        return status;
    }
    *prepared = ready;
    return CVS_OK;
}

void cvi_conv_how(cvi_opctx *ctx, cvi_how *how) {
    static const char *const names[][2] = {
        [CVI_CONV_DIRECT] = {"direct", "直接卷积"},
        [CVI_CONV_DEPTHWISE] = {"depthwise", "逐通道卷积"},
        [CVI_CONV_WINOGRAD2] = {"Winograd F(2x2,3x3)", "Winograd F(2x2,3x3)"},
        [CVI_CONV_WINOGRAD4] = {"Winograd F(4x4,3x3)", "Winograd F(4x4,3x3)"}};
    cvi_conv_plan *plan = NULL;
    cvi_conv_sides s;
    if (cvi_conv_read(ctx, &s) != CVS_OK || make_plan(ctx, &s, s.large, &plan) != CVS_OK) {
        return;
    }
    int algorithm = (int)cvi_conv_plan_algorithm(plan);
    if (algorithm > 0 && algorithm < CVI_COUNT(names)) {
        how->en = names[algorithm][0];
        how->zh = names[algorithm][1];
    }
    how->packed_bytes = cvi_conv_packed_bytes(plan);
    how->scratch_bytes = cvi_conv_scratch_bytes(plan, cvi_pool_threads(ctx->pool));
    cvi_conv_plan_free(plan);
}

void cvi_conv_drop(void *prepared) {
    conv_ready *ready = prepared;
    cvi_conv_plan_free(ready->plan[0]);
    cvi_conv_plan_free(ready->plan[1]);
    cvi_conv_plan_free(ready->scaled);
    cvi_free(ready->scale);
    cvi_free(ready->bias);
    cvi_free(ready);
}

cvs_status cvi_conv_repack(cvi_opctx *ctx, void *prepared) {
    conv_ready *ready = prepared;
    ready->packed[0] = ready->packed[1] = false;
    cvi_free(ready->scale);
    ready->scale = NULL;
    return pack_now(ctx, ready);
}

static cvs_status run_io(cvi_opctx *ctx, const cvi_conv_plan *plan, cvi_conv_io *io) {
    int64_t bytes = cvi_conv_scratch_bytes(plan, cvi_pool_threads(ctx->pool));
    io->scratch = cvi_arena_raw(ctx->scratch, bytes);
    if (io->scratch == NULL) {
        return cvi_no_memory(ctx->err, (size_t)bytes);
    }
    cvi_conv_run(plan, ctx->pool, io);
    return CVS_OK;
}

/* in -> out with the node's bias and epilogue. */
static cvi_conv_io io_of(const cvi_opctx *ctx, const conv_ready *ready, const void *in, void *out) {
    const cvs_tensor *bias = cvi_in(ctx, 2);
    const cvi_epilogue *e = ctx->epilogue;
    cvi_conv_io io = {.in = in, .out = out, .bias = bias != NULL ? bias->data : NULL};
    if (ready->bias != NULL) {
        io.bias = ready->bias;
    }
    if (e != NULL) {
        io.residual = e->residual;
        io.clamp = e->clamp;
        io.lo = e->lo;
        io.hi = e->hi;
        io.out_pitch = e->pitch;
    }
    return io;
}

cvs_status cvi_conv_fast(cvi_opctx *ctx) {
    const conv_ready *ready = ctx->prepared;
    if (ready == NULL) {
        return cvi_fail(ctx->err, CVS_E_INTERNAL, "the convolution was not prepared");
    }
    cvi_conv_io io = io_of(ctx, ready, ctx->in[0]->data, ctx->out[0].data);
    return run_io(ctx, ready->plan[ready->large], &io);
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

typedef struct band_work {
    const cvi_conv_plan *plan;
    cvi_conv_io io;
} band_work;

static void run_band(const cvi_band *b, int64_t n, const float *in, float *out, int64_t y0, int64_t y1,
                     int worker) {
    const band_work *w = b->of;
    cvi_conv_io io = w->io;
    io.in = in;
    io.out = out;
    io.residual = io.residual != NULL ? io.residual + n * b->out_rows * b->out_row : NULL;
    cvi_conv_run_rows(w->plan, &io, y0, y1, worker);
}

bool cvi_conv_band(cvi_opctx *ctx, cvi_band *b) {
    const conv_ready *ready = ctx->prepared;
    cvi_conv_plan *made = NULL;
    cvi_conv_sides s;
    if (cvi_conv_read(ctx, &s) != CVS_OK || (ready == NULL && make_plan(ctx, &s, false, &made) != CVS_OK)) {
        return false;
    }
    const cvi_conv_plan *plan = ready != NULL ? ready->plan[0] : made;
    cvi_conv_shape shape = shape_of(&s);
    cvi_rows_read reads = {0};
    bool fits = plan != NULL && cvi_conv_by_rows(plan, &reads);
    int64_t pitch =
        ctx->epilogue != NULL && ctx->epilogue->pitch != 0 ? ctx->epilogue->pitch : CVI_PITCH(shape.K);
    *b = (cvi_band){.step = reads.step,
                    .first = reads.first,
                    .count = reads.count,
                    .in_rows = shape.H,
                    .out_rows = shape.OH,
                    .in_row = shape.W * CVI_PITCH(shape.C),
                    .out_row = shape.OW * pitch,
                    .run = run_band};
    cvi_conv_plan_free(made);
    if (!fits || ready == NULL) {
        return fits;
    }
    band_work *w = cvi_arena_raw(ctx->scratch, (int64_t)sizeof *w);
    void *scratch = cvi_arena_raw(ctx->scratch, cvi_conv_scratch_bytes(plan, cvi_pool_threads(ctx->pool)));
    if (w == NULL || scratch == NULL) {
        return false;
    }
    *w = (band_work){.plan = plan, .io = io_of(ctx, ready, NULL, NULL)};
    w->io.scratch = scratch;
    b->of = w;
    return true;
}

/* ---- rectangles ------------------------------------------------------------------------------------------- */

/* The same weights on blocks of another size: the plan borrows what was packed for the whole picture. */
cvs_status cvi_conv_part(cvi_opctx *ctx, const cvi_part *part) {
    const conv_ready *ready = ctx->prepared;
    cvi_conv_sides s;
    CVI_TRY(cvi_conv_read(ctx, &s));
    if (ready == NULL) {
        return cvi_fail(ctx->err, CVS_E_INTERNAL, "the convolution was not prepared");
    }
    const cvi_conv_plan *whole = ready->plan[ready->large];
    cvi_conv_shape shape = shape_of(&s);
    shape.N = part->in->dim[0];
    shape.H = part->in->dim[2];
    shape.W = part->in->dim[3];
    shape.OH = part->out->dim[2];
    shape.OW = part->out->dim[3];
    shape.pad_top = part->begin[0];
    shape.pad_left = part->begin[1];
    shape.pad_bottom = shape.pad_right = 0; /* follow from the sides */
    cvi_conv_options options = {.exact = ctx->exact, .algorithm = cvi_conv_plan_algorithm(whole)};
    cvi_conv_plan *plan;
    CVI_TRY(cvi_conv_plan_new(&shape, CVI_CONV_FORWARD, &options, &plan, ctx->err));
    cvs_status status = CVS_OK;
    if (cvi_conv_borrow(plan, whole)) {
        cvi_conv_io io = io_of(ctx, ready, part->in->data, part->out->data);
        status = run_io(ctx, plan, &io);
    } else {
        status = cvi_fail(ctx->err, CVS_E_INTERNAL, "the convolution was not prepared");
    }
    cvi_conv_plan_free(plan);
    return status;
}

int64_t cvi_conv_grain(const cvi_opctx *ctx) {
    const conv_ready *ready = ctx->prepared;
    cvi_conv_algorithm a =
        ready == NULL ? CVI_CONV_DIRECT : cvi_conv_plan_algorithm(ready->plan[ready->large]);
    return a == CVI_CONV_WINOGRAD4 ? 4 : a == CVI_CONV_WINOGRAD2 ? 2 : 1;
}

/* ---- backward --------------------------------------------------------------------------------------------- */

/* Scratch for one side in NHWC8. */
static float *side(cvi_opctx *ctx, int64_t n, int64_t channels, int64_t pixels) {
    int64_t bytes = n * pixels * CVI_PITCH(channels) * (int64_t)sizeof(float);
    float *p = cvi_arena_raw(ctx->scratch, bytes);
    if (p == NULL) {
        cvi_no_memory(ctx->err, (size_t)bytes);
    }
    return p;
}

static const float *pack_side(cvi_opctx *ctx, int64_t n, int64_t channels, int64_t pixels,
                              const void *plain) {
    float *p = side(ctx, n, channels, pixels);
    if (p != NULL) {
        cvi_to_nhwc8(ctx->pool, n, channels, pixels, plain, p);
    }
    return p;
}

typedef struct add_job {
    int64_t channels, pixels;
    const float *from; /* NHWC8 */
    float *to;         /* plain */
} add_job;

/* One plane: to += from. */
static void add_plane(void *context, int64_t chunk, int worker) {
    (void)worker;
    const add_job *j = context;
    int64_t n = chunk / j->channels, c = chunk % j->channels, pitch = CVI_PITCH(j->channels);
    const float *from = j->from + n * j->pixels * pitch + c;
    float *to = j->to + chunk * j->pixels;
    for (int64_t i = 0; i < j->pixels; i++) {
        to[i] += from[i * pitch];
    }
}

/* out += plan(in), sides given as (channels, pixels). */
static cvs_status run_plain(cvi_opctx *ctx, const cvi_conv_sides *s, bool large, const void *in,
                            const void *kernel, void *out) {
    int64_t big = cvi_window_in(&s->w), little = cvi_window_out(&s->w);
    int64_t from = large ? s->filters : s->channels, to = large ? s->channels : s->filters;
    const float *packed = pack_side(ctx, s->n, from, large ? little : big, in);
    float *made = packed == NULL ? NULL : side(ctx, s->n, to, large ? big : little);
    if (made == NULL) {
        return CVS_E_MEMORY;
    }
    conv_ready once = {0}, *ready = ctx->prepared != NULL ? ctx->prepared : &once;
    cvs_status status = need_plan(ctx, ready, s, large, kernel);
    if (status == CVS_OK) {
        cvi_conv_io io = {.in = packed, .out = made};
        status = run_io(ctx, ready->plan[large], &io);
    }
    cvi_conv_plan_free(once.plan[0]);
    cvi_conv_plan_free(once.plan[1]);
    if (status == CVS_OK) {
        add_job j = {to, large ? big : little, made, out};
        cvi_pool_run(ctx->pool, s->n * to, add_plane, &j);
    }
    return status;
}

cvs_status cvi_conv_fast_small(cvi_opctx *ctx, const cvi_conv_sides *s, const void *large, const void *kernel,
                               void *out) {
    return run_plain(ctx, s, false, large, kernel, out);
}

cvs_status cvi_conv_fast_large(cvi_opctx *ctx, const cvi_conv_sides *s, const void *small, const void *kernel,
                               void *out) {
    return run_plain(ctx, s, true, small, kernel, out);
}

cvs_status cvi_conv_fast_kernel(cvi_opctx *ctx, const cvi_conv_sides *s, const void *large, const void *small,
                                void *gkernel) {
    cvi_conv_shape shape = shape_of(s);
    const float *x = pack_side(ctx, s->n, s->channels, cvi_window_in(&s->w), large);
    const float *y = x == NULL ? NULL : pack_side(ctx, s->n, s->filters, cvi_window_out(&s->w), small);
    int64_t bytes = cvi_conv_dw_scratch_bytes(&shape, cvi_pool_threads(ctx->pool));
    void *scratch = y == NULL ? NULL : cvi_arena_raw(ctx->scratch, bytes);
    if (scratch == NULL) {
        return y == NULL ? CVS_E_MEMORY : cvi_no_memory(ctx->err, (size_t)bytes);
    }
    cvi_conv_dw(&shape, ctx->pool, x, 0, y, 0, gkernel, true, scratch);
    return CVS_OK;
}

/* ---- backward on NHWC8, as the engine keeps gradients ------------------------------------------------------- */

bool cvi_conv_back_form(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form) {
    form->in = wants[1] ? 1 : 0;
    form->gates = true;
    form->scales = !wants[1] && (ctx->n_in < 3 || !wants[2]);
    return ctx->prepared != NULL;
}

/* The plan of the data gradient of a Conv whose output is multiplied by a factor per channel before anybody reads it. */
static cvs_status need_scaled(cvi_opctx *ctx, conv_ready *ready, const cvi_conv_sides *s,
                              const float *scale) {
    size_t bytes = (size_t)s->filters * sizeof *scale;
    const cvs_tensor *w = ctx->in[1];
    if (ready->scaled == NULL) {
        CVI_TRY(make_plan(ctx, s, true, &ready->scaled));
    }
    if (ready->scale != NULL && memcmp(ready->scale, scale, bytes) == 0) {
        return CVS_OK;
    }
    cvi_free(ready->scale);
    ready->scale = NULL;
    float *made = cvi_arena_raw(ctx->scratch, (int64_t)w->bytes), *copy = cvi_malloc(bytes);
    if (made == NULL || copy == NULL) {
        cvi_free(copy);
        return cvi_no_memory(ctx->err, w->bytes);
    }
    scale_job j = {
        .scale = scale, .from = w->data, .to = made, .area = w->dim[2] * w->dim[3], .per_row = w->dim[1]};
    cvi_pool_run(ctx->pool, w->dim[0], scale_row, &j);
    cvs_status status = cvi_conv_pack(ready->scaled, ctx->pool, made, ctx->err);
    if (status != CVS_OK) {
        cvi_free(copy);
        return status;
    }
    memcpy(copy, scale, bytes);
    ready->scale = copy;
    return CVS_OK;
}

/* dw = base + sum over the positions of both sides. */
static cvs_status back_kernel(cvi_opctx *ctx, const cvi_conv_sides *s, const float *large, const float *small,
                              const cvs_tensor *gkernel, const float *base) {
    cvi_conv_shape shape = shape_of(s);
    int64_t bytes = cvi_conv_dw_scratch_bytes(&shape, cvi_pool_threads(ctx->pool));
    void *scratch = cvi_arena_raw(ctx->scratch, bytes);
    if (scratch == NULL) {
        return cvi_no_memory(ctx->err, (size_t)bytes);
    }
    if (base != NULL && base != gkernel->data) {
        memcpy(gkernel->data, base, gkernel->bytes);
    }
    cvi_conv_dw(&shape, ctx->pool, large, 0, small, 0, gkernel->data, base != NULL, scratch);
    return CVS_OK;
}

cvs_status cvi_conv_back(cvi_opctx *ctx, const cvi_back *back) {
    cvi_conv_sides s;
    CVI_TRY(cvi_conv_read(ctx, &s));
    if (back->grad_out[0] == NULL) {
        return CVS_OK;
    }
    const float *g = back->grad_out[0]->data;
    conv_ready *ready = ctx->prepared;
    if (ready == NULL) {
        return cvi_fail(ctx->err, CVS_E_INTERNAL, "the convolution was not prepared");
    }
    if (back->grad_in[0] != NULL) {
        const cvi_back_gate *limit = &back->gate[0];
        cvi_gate gate = {.lo = limit->lo, .hi = limit->hi, .positive = limit->positive};
        cvi_conv_io io = {.in = g, .out = back->grad_in[0]->data, .residual = back->base[0]};
        if (limit->on) {
            io.gate = &gate;
            io.gate_y = limit->y;
        }
        if (back->scale != NULL) {
            CVI_TRY(need_scaled(ctx, ready, &s, back->scale));
        } else {
            CVI_TRY(need_plan(ctx, ready, &s, !s.large, ctx->in[1]->data));
        }
        CVI_TRY(run_io(ctx, back->scale != NULL ? ready->scaled : ready->plan[!s.large], &io));
    }
    if (back->grad_in[1] != NULL) {
        const float *x = ctx->in[0]->data;
        CVI_TRY(back_kernel(ctx, &s, s.large ? g : x, s.large ? x : g, back->grad_in[1], back->base[1]));
    }
    if (ctx->n_in > 2 && back->grad_in[2] != NULL) {
        const cvs_tensor *gbias = back->grad_in[2];
        int64_t channels = s.large ? s.channels : s.filters;
        int64_t pixels = s.large ? cvi_window_in(&s.w) : cvi_window_out(&s.w);
        if (back->base[2] != NULL && back->base[2] != gbias->data) {
            memcpy(gbias->data, back->base[2], gbias->bytes);
        }
        cvi_channel_sum(ctx->pool, s.n * pixels, channels, CVI_PITCH(channels), g, gbias->data,
                        back->base[2] != NULL);
    }
    return CVS_OK;
}
