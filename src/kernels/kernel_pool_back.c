/* SPDX-License-Identifier: MIT
 * kernel_pool_back.c - gradients of pooling windows from what the forward pass left: the winners of a maximum pool are found again
 * from its input and output, so that nothing needs to be kept for a gradient that may never be asked for. A chunk owns some input rows and looks
 * at every window that reaches them: no row belongs to two chunks, and windows at a border between chunks are looked at twice.
 */
#include "kernels/kernel_table.h"

typedef struct back_job {
    const cvi_pool_shape *s;
    const cvi_kernels *kernels;
    bool count_pad;
    const cvi_gate *gate;
    const float *x, *dy, *base, *y, *gate_y; /* y: the output of a maximum pool */
    float *dx, *scratch;
    int64_t pitch, block, blocks; /* output rows of a chunk, chunks of a picture */
} back_job;

/* The part of a window along one axis that lies in [low, high): its first element and how many. */
static int64_t inside(int64_t start, int64_t dilation, int64_t taps, int64_t low, int64_t high,
                      int64_t *first) {
    int64_t a = start < low ? (low - start + dilation - 1) / dilation : 0;
    int64_t b = start < high ? (high - start + dilation - 1) / dilation : 0;
    a = CVI_MIN(a, taps);
    *first = start + a * dilation;
    return CVI_MAX(0, CVI_MIN(b, taps) - a);
}

static int64_t clamp_row(int64_t y, int64_t rows) {
    return CVI_MIN(CVI_MAX(y, 0), rows);
}

typedef struct owned {
    int64_t n, from, to; /* picture; its rows [from, to) */
    int64_t first, last; /* output rows [first, last) whose windows may reach them */
    float *dx;           /* of the picture */
    const float *x, *dy;
} owned;

static int64_t floor_div(int64_t a, int64_t b) {
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* Which rows a chunk owns; they are set to the base or 0. */
static owned own_rows(const back_job *job, int64_t chunk) {
    const cvi_pool_shape *s = job->s;
    int64_t n = chunk / job->blocks, b = chunk % job->blocks, row = s->W * job->pitch;
    owned o = {.n = n,
               .dx = job->dx + n * s->H * row,
               .x = job->x != NULL ? job->x + n * s->H * row : NULL,
               .dy = job->dy + n * s->OH * s->OW * job->pitch};
    o.from = b == 0 ? 0 : clamp_row(b * job->block * s->stride_h - s->pad_top, s->H);
    o.to = b + 1 == job->blocks ? s->H : clamp_row((b + 1) * job->block * s->stride_h - s->pad_top, s->H);
    int64_t reach = (s->R - 1) * s->dilation_h;
    o.first = CVI_MAX(0, -floor_div(-(o.from + s->pad_top - reach), s->stride_h));
    o.last = CVI_MIN(s->OH, floor_div(o.to - 1 + s->pad_top, s->stride_h) + 1);
    size_t bytes = (size_t)(CVI_MAX(o.to - o.from, 0) * row) * sizeof(float);
    if (job->base == NULL) {
        memset(o.dx + o.from * row, 0, bytes);
    } else if (job->base != job->dx) {
        memcpy(o.dx + o.from * row, job->base + (n * s->H + o.from) * row, bytes);
    }
    return o;
}

/* The gate on the rows of a chunk, which are complete now. */
static void gate_rows(const back_job *job, const owned *o) {
    int64_t row = job->s->W * job->pitch;
    if (job->gate != NULL && o->to > o->from) {
        int64_t at = (o->n * job->s->H + o->from) * row;
        job->kernels->gate(job->gate, (o->to - o->from) * row, job->dx + at,
                           job->gate_y != NULL ? job->gate_y + at : NULL, NULL, job->dx + at);
    }
}

/* The elements of window (oy, ox) inside the picture, in row-major order; dx NULL where another chunk owns the row. */
static int64_t list_elements(const back_job *job, const owned *o, int64_t oy, int64_t ox, const float **x,
                             float **dx) {
    const cvi_pool_shape *s = job->s;
    int64_t y0, x0, rows = inside(oy * s->stride_h - s->pad_top, s->dilation_h, s->R, 0, s->H, &y0);
    int64_t columns = inside(ox * s->stride_w - s->pad_left, s->dilation_w, s->S, 0, s->W, &x0), n = 0;
    for (int64_t r = 0; r < rows; r++) {
        int64_t y = y0 + r * s->dilation_h, at = (y * s->W + x0) * job->pitch;
        bool mine = y >= o->from && y < o->to;
        for (int64_t c = 0; c < columns; c++, at += s->dilation_w * job->pitch) {
            x[n] = o->x + at;
            dx[n++] = mine ? o->dx + at : NULL;
        }
    }
    return n;
}

static void route_chunk(void *context, int64_t chunk, int worker) {
    const back_job *job = context;
    const cvi_pool_shape *s = job->s;
    (void)worker;
    owned o = own_rows(job, chunk);
    const float *x[CVI_POOL_ROUTED];
    float *dx[CVI_POOL_ROUTED];
    for (int64_t oy = o.first; oy < o.last; oy++) {
        for (int64_t ox = 0; ox < s->OW; ox++) {
            int64_t at = ((o.n * s->OH + oy) * s->OW + ox) * job->pitch;
            int64_t n = list_elements(job, &o, oy, ox, x, dx);
            job->kernels->pool_route(n, job->pitch, x, job->y + at, job->dy + at, dx);
        }
    }
    gate_rows(job, &o);
}

static void average_chunk(void *context, int64_t chunk, int worker) {
    const back_job *job = context;
    const cvi_pool_shape *s = job->s;
    (void)worker;
    owned o = own_rows(job, chunk);
    for (int64_t oy = o.first; oy < o.last; oy++) {
        int64_t top = oy * s->stride_h - s->pad_top, y0, all, low;
        int64_t rows = inside(top, s->dilation_h, s->R, o.from, o.to, &y0);
        int64_t tall = job->count_pad
                           ? inside(top, s->dilation_h, s->R, -s->pad_top, s->H + s->pad_bottom, &low)
                           : inside(top, s->dilation_h, s->R, 0, s->H, &low);
        for (int64_t ox = 0; ox < s->OW && rows > 0; ox++) {
            int64_t left = ox * s->stride_w - s->pad_left, x0;
            int64_t columns = inside(left, s->dilation_w, s->S, 0, s->W, &x0);
            all = job->count_pad
                      ? tall * inside(left, s->dilation_w, s->S, -s->pad_left, s->W + s->pad_right, &low)
                      : tall * columns;
            float share = all > 0 ? 1.0F / (float)all : 0.0F;
            for (int64_t i = 0; i < rows * columns; i++) {
                int64_t y = y0 + i / columns * s->dilation_h, x = x0 + i % columns * s->dilation_w;
                job->kernels->add_rows(1, job->pitch, &share, o.dy + (oy * s->OW + ox) * job->pitch, 0,
                                       o.dx + (y * s->W + x) * job->pitch);
            }
        }
    }
}

static void run(cvi_pool *pool, back_job *job, void (*body)(void *, int64_t, int)) {
    const cvi_pool_shape *s = job->s;
    job->kernels = cvi_kernels_get();
    job->pitch = CVI_PITCH(s->C);
    job->block = CVI_MAX(1, CVI_MIN(8, s->OH / 12));
    job->blocks = (s->OH + job->block - 1) / job->block;
    cvi_pool_run(pool, s->N * job->blocks, body, job);
}

void cvi_maxpool_route(cvi_pool *pool, const cvi_pool_shape *s, const float *x, const float *y,
                       const float *dy, const float *base, const cvi_gate *gate, const float *gate_y,
                       float *dx) {
    back_job job = {.s = s, .x = x, .y = y, .dy = dy, .base = base, .gate = gate, .gate_y = gate_y, .dx = dx};
    run(pool, &job, route_chunk);
}

void cvi_avgpool_spread(cvi_pool *pool, const cvi_pool_shape *s, bool count_pad, const float *dy,
                        const float *base, float *dx) {
    back_job job = {.s = s, .count_pad = count_pad, .dy = dy, .base = base, .dx = dx};
    run(pool, &job, average_chunk);
}
