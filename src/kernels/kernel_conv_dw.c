/* SPDX-License-Identifier: MIT
 * kernel_conv_dw.c - gradient of a convolution to its weights.
 * For one tap it is an outer product summed over the output positions whose tap lies inside the picture, and those
 * positions are a rectangle. A chunk owns some weights (a panel of 16 output channels, up to 24 input channels, every
 * tap) and runs over all pictures, band by band so that a band's numbers are still in the first-level cache
 * for the next tap. No weight belongs to two chunks: nothing is joined afterwards, any thread count gives the same.
 * The sums lie [tap][input][16 outputs]; they are turned once, so that each filter's are added to memory as one run.
 */
#include "kernels/kernel_table.h"

enum { PART = 24, SUMS = 216, BAND_PIXELS = 256 };

typedef struct dw_job {
    const cvi_conv_shape *s;
    const cvi_kernels *kernels;
    const float *x, *dy;
    int64_t x_pitch, dy_pitch;
    int64_t group_in, group_out, panels, parts;
    int64_t part; /* input channels of a chunk, at most */
    bool depthwise, accumulate;
    float *dw, *scratch;
    int64_t floats; /* of scratch per worker */
} dw_job;

static bool is_depthwise(const cvi_conv_shape *s) {
    return s->groups > 1 && s->groups == s->C && s->C == s->K;
}

/* Input channels of a chunk: few enough that the sums of all taps fit the first-level cache, parts of about the same size. */
static int64_t part_of(const cvi_conv_shape *s) {
    int64_t channels = s->C / s->groups, most = CVI_MAX(6, CVI_MIN(PART, SUMS / (s->R * s->S)));
    int64_t parts = (channels + most - 1) / most;
    return (channels + parts - 1) / parts;
}

/* Sums of a chunk: [R*S][part][16] and the same turned, or depthwise [S][channels]. */
static int64_t worker_floats(const cvi_conv_shape *s, bool depthwise) {
    int64_t floats = depthwise ? s->S * CVI_PITCH(s->C) : 2 * s->R * s->S * part_of(s) * 16;
    return (floats + 15) & ~(int64_t)15;
}

int64_t cvi_conv_dw_scratch_bytes(const cvi_conv_shape *shape, int threads) {
    return worker_floats(shape, is_depthwise(shape)) * (int64_t)sizeof(float) * CVI_MAX(threads, 1);
}

/* Outputs o in [*first, *end) for which o*stride - pad + tap*dilation lies in [0, size). */
static void inside(int64_t outputs, int64_t stride, int64_t shift, int64_t size, int64_t *first,
                   int64_t *end) {
    int64_t low = shift < 0 ? (-shift + stride - 1) / stride : 0;
    int64_t high = shift < size ? (size - shift + stride - 1) / stride : 0;
    *first = CVI_MIN(low, outputs);
    *end = CVI_MAX(*first, CVI_MIN(high, outputs));
}

/* Rows [y0, y1) of picture n under tap (r, q); false where no position is inside. */
static bool rectangle_of(const dw_job *job, int64_t n, int64_t y0, int64_t y1, int64_t r, int64_t q,
                         cvi_rectangle *at) {
    const cvi_conv_shape *s = job->s;
    int64_t low_y, high_y, low_x, high_x;
    int64_t shift_y = r * s->dilation_h - s->pad_top, shift_x = q * s->dilation_w - s->pad_left;
    inside(s->OH, s->stride_h, shift_y, s->H, &low_y, &high_y);
    inside(s->OW, s->stride_w, shift_x, s->W, &low_x, &high_x);
    low_y = CVI_MAX(low_y, y0);
    high_y = CVI_MIN(high_y, y1);
    if (low_y >= high_y || low_x >= high_x) {
        return false;
    }
    int64_t iy = low_y * s->stride_h + shift_y, ix = low_x * s->stride_w + shift_x;
    *at = (cvi_rectangle){.rows = high_y - low_y,
                          .columns = high_x - low_x,
                          .x = job->x + ((n * s->H + iy) * s->W + ix) * job->x_pitch,
                          .dy = job->dy + ((n * s->OH + low_y) * s->OW + low_x) * job->dy_pitch,
                          .x_row = s->stride_h * s->W * job->x_pitch,
                          .x_step = s->stride_w * job->x_pitch,
                          .dy_row = s->OW * job->dy_pitch,
                          .dy_step = job->dy_pitch};
    return true;
}

/* The register block where 16 or 8 lanes of dy may be read, else number by number (odd groups at a row's end). */
static void add_products(const dw_job *job, cvi_rectangle *at, int64_t channels, int64_t lanes, int64_t width,
                         float *sum) {
    if (width > 0) {
        int64_t rows = job->kernels->outer_rows;
        for (int64_t c = 0, n; c < channels; c += n, at->x += n) { /* 8 = 4 + 4, not 6 + 2 */
            int64_t blocks = (channels - c + rows - 1) / rows;
            n = (channels - c + blocks - 1) / blocks;
            (width == 16 ? job->kernels->outer16 : job->kernels->outer8)[n](at, sum + c * 16);
        }
        return;
    }
    for (int64_t i = 0; i < at->rows * at->columns; i++) {
        const float *x = at->x + i / at->columns * at->x_row + i % at->columns * at->x_step;
        const float *dy = at->dy + i / at->columns * at->dy_row + i % at->columns * at->dy_step;
        for (int64_t c = 0; c < channels; c++) {
            for (int64_t k = 0; k < lanes; k++) {
                sum[c * 16 + k] += x[c] * dy[k];
            }
        }
    }
}

static void put(const dw_job *job, int64_t index, float value) {
    job->dw[index] = job->accumulate ? job->dw[index] + value : value;
}

static int64_t band_rows(const cvi_conv_shape *s) {
    return CVI_MAX(1, BAND_PIXELS / s->OW);
}

/* Sums [tap][part][16] -> dw [filter][channel][tap]: one run of numbers for each filter. */
static void put_sums(const dw_job *job, float *sum, int64_t first, int64_t lanes, int64_t c0,
                     int64_t channels) {
    int64_t taps = job->s->R * job->s->S, run = channels * taps;
    float *turned = sum + taps * job->part * 16;
    for (int64_t c = 0; c < channels; c++) {
        job->kernels->transpose(taps, lanes, sum + c * 16, job->part * 16, turned + c * taps, run);
    }
    for (int64_t k = 0; k < lanes; k++) {
        float *to = job->dw + ((first + k) * job->group_in + c0) * taps;
        if (job->accumulate) {
            job->kernels->binary[CVI_B_ADD](false, run, to, turned + k * run, to);
        } else {
            memcpy(to, turned + k * run, (size_t)run * sizeof(float));
        }
    }
}

static void dense_chunk(void *context, int64_t chunk, int worker) {
    const dw_job *job = context;
    const cvi_conv_shape *s = job->s;
    int64_t part = chunk % job->parts, panel = chunk / job->parts % job->panels;
    int64_t g = chunk / job->parts / job->panels;
    int64_t c0 = part * job->part, channels = CVI_MIN(job->part, job->group_in - c0);
    int64_t k0 = panel * 16, lanes = CVI_MIN(16, job->group_out - k0), first = g * job->group_out + k0;
    int64_t width = lanes > 8 ? 16 : 8, band = band_rows(s);
    width = first + width <= CVI_PITCH(s->K) ? width : 0;
    float *sum = job->scratch + worker * job->floats;
    memset(sum, 0, (size_t)(s->R * s->S * job->part * 16) * sizeof(float));
    for (int64_t n = 0; n < s->N; n++) {
        for (int64_t y = 0; y < s->OH; y += band) {
            for (int64_t tap = 0; tap < s->R * s->S; tap++) {
                cvi_rectangle at;
                if (rectangle_of(job, n, y, y + band, tap / s->S, tap % s->S, &at)) {
                    at.x += g * job->group_in + c0;
                    at.dy += first;
                    add_products(job, &at, channels, lanes, width, sum + tap * job->part * 16);
                }
            }
        }
    }
    put_sums(job, sum, first, lanes, c0, channels);
}

static void depthwise_chunk(void *context, int64_t r, int worker) {
    const dw_job *job = context;
    const cvi_conv_shape *s = job->s;
    int64_t pitch = CVI_PITCH(s->C);
    float *sum = job->scratch + worker * job->floats;
    memset(sum, 0, (size_t)job->floats * sizeof(float));
    for (int64_t n = 0; n < s->N; n++) {
        for (int64_t y = 0; y < s->OH; y += band_rows(s)) {
            for (int64_t q = 0; q < s->S; q++) {
                cvi_rectangle at;
                if (rectangle_of(job, n, y, y + band_rows(s), r, q, &at)) {
                    job->kernels->outer_depthwise(&at, pitch, sum + q * pitch);
                }
            }
        }
    }
    for (int64_t i = 0; i < s->C * s->S; i++) {
        put(job, (i / s->S * s->R + r) * s->S + i % s->S, sum[i % s->S * pitch + i / s->S]);
    }
}

void cvi_conv_dw(const cvi_conv_shape *shape, cvi_pool *pool, const float *x, int64_t x_pitch,
                 const float *dy, int64_t dy_pitch, float *dw, bool accumulate, void *scratch) {
    const cvi_conv_shape *s = shape;
    dw_job job = {.s = s, .kernels = cvi_kernels_get(), .x = x, .dy = dy, .dw = dw, .scratch = scratch};
    job.x_pitch = x_pitch != 0 ? x_pitch : CVI_PITCH(s->C);
    job.dy_pitch = dy_pitch != 0 ? dy_pitch : CVI_PITCH(s->K);
    job.accumulate = accumulate;
    job.depthwise = is_depthwise(s);
    job.floats = worker_floats(s, job.depthwise);
    job.group_in = s->C / s->groups;
    job.group_out = s->K / s->groups;
    job.panels = (job.group_out + 15) / 16;
    job.part = part_of(s);
    job.parts = (job.group_in + job.part - 1) / job.part;
    if (job.depthwise) {
        cvi_pool_run(pool, s->R, depthwise_chunk, &job);
    } else {
        cvi_pool_run(pool, s->groups * job.panels * job.parts, dense_chunk, &job);
    }
}
