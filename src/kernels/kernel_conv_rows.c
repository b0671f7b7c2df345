/* SPDX-License-Identifier: MIT
 * kernel_conv_rows.c - convolution of few input channels (a colour picture, a very small net), as part of DIRECT.
 * NHWC8 pads 3 channels to 8, and a tap of 3 numbers is too short for an inner loop. So a chunk, a band of output rows,
 * first copies its input rows without the padding channels and with the pads; then the S taps of a kernel row lie side
 * by side, and the register blocks of the direct kernel run over S*C numbers at a time. Each input is copied about once.
 */
#include "kernels/kernel_conv.h"

static int64_t tap_rows(const cvi_phase *ph) {
    return ph->high_y - ph->low_y + 1;
}

static int64_t tap_columns(const cvi_phase *ph) {
    return ph->high_x - ph->low_x + 1;
}

bool cvi_rows_fit(const cvi_conv_plan *p) {
    const cvi_phase *ph = &p->phases[0];
    return p->algorithm == CVI_CONV_DIRECT && p->groups == 1 && p->n_phases == 1 && p->in_c <= 12 &&
           ph->n_taps > 1 && ph->n_taps <= 1024 && ph->n_taps == tap_rows(ph) * tap_columns(ph) &&
           p->in_step_x <= 8 && p->in_step_y <= 8;
}

/* Output rows of a chunk: few enough that eight chunks are left, many enough that few inputs are copied twice. */
static int64_t band_of(const cvi_conv_plan *p) {
    enum { SMALL = 200000 }; /* multiply-adds of a chunk */
    const cvi_phase *ph = &p->phases[0];
    int64_t work = CVI_MAX(1, ph->columns * ph->n_taps * p->in_c * cvi_conv_padded_out(p));
    int64_t rows = CVI_MIN(8, CVI_MAX(SMALL / work, (ph->rows * p->N + 7) / 8));
    return CVI_MAX(1, CVI_MIN(rows, ph->rows));
}

static int64_t copied_rows(const cvi_conv_plan *p) {
    return (band_of(p) - 1) * p->in_step_y + tap_rows(&p->phases[0]);
}

/* Floats of one copied row: pads included, and what the last copy of a whole vector writes too much. */
static int64_t row_floats(const cvi_conv_plan *p) {
    const cvi_phase *ph = &p->phases[0];
    return (((ph->columns - 1) * p->in_step_x + tap_columns(ph)) * p->in_c + 16 + 15) / 16 * 16;
}

static int64_t address_count(const cvi_conv_plan *p) {
    const cvi_phase *ph = &p->phases[0];
    return (ph->columns + CVI_MAX_ROWS) * tap_rows(ph);
}

static int64_t bias_floats(const cvi_conv_plan *p) {
    return (p->out_c + 15) / 16 * 16;
}

int64_t cvi_rows_scratch(const cvi_conv_plan *p) {
    int64_t bytes = address_count(p) * (int64_t)sizeof(float *) +
                    (copied_rows(p) * row_floats(p) + bias_floats(p)) * (int64_t)sizeof(float);
    return (bytes + 63) & ~(int64_t)63;
}

typedef struct run_job {
    const cvi_conv_plan *plan;
    const cvi_conv_io *io;
    int64_t in_pitch, out_pitch, band, bands; /* bands of a picture */
} run_job;

/* n pixels of C channels, `pitch` apart, to memory without gaps; up to 12 floats after the last are overwritten. */
static void copy_pixels(int64_t n, int64_t C, int64_t pitch, const float *from, float *to) {
    if (C <= 4) {
        for (int64_t i = 0; i < n; i++) {
            memcpy(to + i * C, from + i * pitch, 4 * sizeof(float));
        }
    } else if (C <= 8) {
        for (int64_t i = 0; i < n; i++) {
            memcpy(to + i * C, from + i * pitch, 8 * sizeof(float));
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            memcpy(to + i * C, from + i * pitch, 12 * sizeof(float));
        }
    }
}

/* Row iy of picture n as the taps see it, from column low_x on. */
static void copy_row(const run_job *job, int64_t n, int64_t iy, float *to) {
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = &p->phases[0];
    int64_t width = (ph->columns - 1) * p->in_step_x + tap_columns(ph);
    if (iy < 0 || iy >= p->in_h) {
        memset(to, 0, (size_t)(width * p->in_c) * sizeof(float));
        return;
    }
    int64_t first = CVI_MIN(width, CVI_MAX(0, -ph->low_x));
    int64_t last = CVI_MAX(first, CVI_MIN(width, p->in_w - ph->low_x));
    const float *row = job->io->in + (n * p->in_h + iy) * p->in_w * job->in_pitch;
    memset(to, 0, (size_t)(first * p->in_c) * sizeof(float));
    if (last > first) {
        copy_pixels(last - first, p->in_c, job->in_pitch, row + (first + ph->low_x) * job->in_pitch,
                    to + first * p->in_c);
    }
    memset(to + last * p->in_c, 0, (size_t)((width - last) * p->in_c) * sizeof(float));
}

/* Pixels of tile i when `columns` pixels are cut into tiles of at most `rows` that differ by one at most. */
static int64_t tile_of(int64_t columns, int64_t tiles, int64_t i) {
    return columns / tiles + (i < columns % tiles ? 1 : 0);
}

/* Where each output's kernel rows begin, in the order of the register blocks: [tile][kernel row][pixel]. */
static void write_addresses(const cvi_conv_plan *p, const float *copied, int64_t tiles,
                            const float **address) {
    const cvi_phase *ph = &p->phases[0];
    int64_t columns = ph->columns, x = 0, step = p->in_step_x * p->in_c, small = columns / tiles,
            longer = columns % tiles;
    for (int64_t i = 0; i < tiles; i++) {
        int64_t n = small + (i < longer ? 1 : 0);
        for (int64_t r = 0; r < tap_rows(ph); r++) {
            for (int64_t j = 0; j < n; j++) {
                *address++ = copied + r * row_floats(p) + (x + j) * step;
            }
        }
        x += n;
    }
}

/* Most pixels of a register block. */
static int64_t height_of(const cvi_conv_plan *p) {
    bool pairs = p->kernels->stream32 != NULL && cvi_conv_padded_out(p) >= 32;
    return pairs ? CVI_STREAM_ROWS : p->kernels->rows;
}

/* A row of outputs, two panels at a time, as far as there are pairs: the first panel that is left. */
static int64_t run_pairs(const run_job *job, const float *const *address, int64_t tiles, const float *bias,
                         int64_t out) {
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = &p->phases[0];
    const cvi_conv_io *io = job->io;
    int64_t taps = tap_rows(ph), longer = ph->columns % tiles, panel = 0;
    if (p->kernels->stream32 == NULL || height_of(p) != CVI_STREAM_ROWS || tap_columns(ph) * p->in_c < 4) {
        return 0;
    }
    while ((panel + 1) * 16 < p->out_c && cvi_panel_width(p->out_c, panel + 1) == 16) {
        panel += 2;
    }
    cvi_stream s = {.units = panel / 2,
                    .taps = taps,
                    .channels = tap_columns(ph) * p->in_c,
                    .x = address,
                    .w = p->weights + ph->packed,
                    .tile = {.bias = bias,
                             .add = io->residual != NULL ? io->residual + out : NULL,
                             .out = io->out + out,
                             .pitch = job->out_pitch,
                             .clamp = io->clamp,
                             .lo = io->lo,
                             .hi = io->hi}};
    for (int64_t i = 0; i < 2; i++) { /* the tiles of one pixel more, then the others */
        int64_t rows = ph->columns / tiles + 1 - i;
        s.tiles = i == 0 ? longer : tiles - longer;
        if (s.tiles > 0) {
            p->kernels->stream32[io->residual != NULL][rows](&s);
            s.x += s.tiles * rows * taps;
            s.tile.out += s.tiles * rows * job->out_pitch;
            s.tile.add = s.tile.add != NULL ? s.tile.add + s.tiles * rows * job->out_pitch : NULL;
        }
    }
    return panel;
}

/* One row of outputs, panel by panel; `out` is floats from the start of the output. */
static void run_row(const run_job *job, const float *const *address, int64_t tiles, const float *bias,
                    int64_t out) {
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = &p->phases[0];
    const cvi_conv_io *io = job->io;
    int64_t taps = tap_rows(ph), channels = tap_columns(ph) * p->in_c;
    for (int64_t panel = run_pairs(job, address, tiles, bias, out), step; panel * 16 < p->out_c;
         panel += step) {
        bool two = p->kernels->micro32 != NULL && (panel + 1) * 16 < p->out_c &&
                   cvi_panel_width(p->out_c, panel + 1) == 16;
        step = two ? 2 : 1;
        cvi_micro *const *micro = two                                      ? p->kernels->micro32
                                  : cvi_panel_width(p->out_c, panel) == 16 ? p->kernels->micro16
                                                                           : p->kernels->micro8;
        const float *weights = p->weights + ph->packed + panel * 16 * ph->n_taps * p->in_c;
        const float *const *at = address;
        cvi_tile tile = {.bias = bias + panel * 16,
                         .add = io->residual != NULL ? io->residual + out + panel * 16 : NULL,
                         .out = io->out + out + panel * 16,
                         .pitch = job->out_pitch,
                         .clamp = io->clamp,
                         .lo = io->lo,
                         .hi = io->hi};
        for (int64_t i = 0, n; i < tiles; i++, at += n * taps) {
            n = tile_of(ph->columns, tiles, i);
            micro[n](taps, channels, at, 0, weights, &tile);
            tile.out += n * job->out_pitch;
            tile.add = tile.add != NULL ? tile.add + n * job->out_pitch : NULL;
        }
    }
    int64_t padding = CVI_PITCH(p->out_c) - p->out_c;
    for (int64_t x = 0; io->clamp && padding > 0 && x < ph->columns; x++) {
        memset(io->out + out + x * job->out_pitch + p->out_c, 0, (size_t)padding * sizeof(float));
    }
}

/* Output rows [y0, y1) of picture n, no more than a band. */
static void run_band(const run_job *job, int64_t n, int64_t y0, int64_t y1, int worker) {
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = &p->phases[0];
    char *scratch = (char *)job->io->scratch + worker * cvi_rows_scratch(p);
    const float **address = (const float **)(void *)scratch;
    float *bias = (float *)(void *)(scratch + address_count(p) * (int64_t)sizeof(float *));
    float *copied = bias + bias_floats(p);
    memset(bias, 0, (size_t)bias_floats(p) * sizeof(float));
    if (job->io->bias != NULL) {
        memcpy(bias, job->io->bias, (size_t)p->out_c * sizeof(float));
    }
    int64_t rows = (y1 - y0 - 1) * p->in_step_y + tap_rows(ph);
    for (int64_t i = 0; i < rows; i++) {
        copy_row(job, n, y0 * p->in_step_y + ph->low_y + i, copied + i * row_floats(p));
    }
    int64_t tiles = (ph->columns + height_of(p) - 1) / height_of(p);
    for (int64_t y = y0; y < y1; y++) {
        write_addresses(p, copied + (y - y0) * p->in_step_y * row_floats(p), tiles, address);
        int64_t out = ((n * p->out_h + y) * p->out_w) * job->out_pitch;
        run_row(job, address, tiles, bias, out);
        for (int64_t x = 0; job->io->gate != NULL && x < ph->columns; x++, out += job->out_pitch) {
            const float *gate_y = job->io->gate_y != NULL ? job->io->gate_y + out : NULL;
            p->kernels->gate(job->io->gate, CVI_PITCH(p->out_c), job->io->out + out, gate_y, NULL,
                             job->io->out + out);
        }
    }
}

static void run_chunk(void *context, int64_t chunk, int worker) {
    const run_job *job = context;
    int64_t y0 = chunk % job->bands * job->band;
    run_band(job, chunk / job->bands, y0, CVI_MIN(job->plan->phases[0].rows, y0 + job->band), worker);
}

static run_job job_of(const cvi_conv_plan *p, const cvi_conv_io *io) {
    run_job job = {.plan = p, .io = io, .band = band_of(p)};
    job.in_pitch = io->in_pitch != 0 ? io->in_pitch : CVI_PITCH(p->in_c);
    job.out_pitch = io->out_pitch != 0 ? io->out_pitch : CVI_PITCH(p->out_c);
    job.bands = (p->phases[0].rows + job.band - 1) / job.band;
    return job;
}

void cvi_rows_rows(const cvi_conv_plan *p, const cvi_conv_io *io, int64_t y0, int64_t y1, int worker) {
    run_job job = job_of(p, io);
    for (; y0 < y1; y0 += job.band) {
        run_band(&job, 0, y0, CVI_MIN(y1, y0 + job.band), worker);
    }
}

void cvi_rows_run(const cvi_conv_plan *p, cvi_pool *pool, const cvi_conv_io *io) {
    run_job job = job_of(p, io);
    cvi_pool_run(pool, p->N * job.bands, run_chunk, &job);
}
