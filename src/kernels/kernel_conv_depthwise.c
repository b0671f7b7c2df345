/* SPDX-License-Identifier: MIT
 * kernel_conv_depthwise.c - depthwise convolution of common kernels, either direction, without lists of addresses.
 * A chunk is a band of output rows x some channels, few enough that the rows it reads stay in the second-level cache
 * from one output row to the next. The gradient of stride 1 is the same with its taps reversed; that of stride 2 is
 * four phases, each a dense convolution with a smaller kernel: nothing is scattered.
 */
#include "kernels/kernel_conv.h"

/* Which leaf serves `columns` taps in a row at this step of the input; CVI_N_GRIDS: none. */
static cvi_grid_kind kind_of(int64_t columns, int64_t step) {
    switch (columns * 10 + step) {
    case 11:
        return CVI_GRID_1;
    case 21:
        return CVI_GRID_2;
    case 31:
        return CVI_GRID_3;
    case 32:
        return CVI_GRID_3_2;
    case 51:
        return CVI_GRID_5;
    case 52:
        return CVI_GRID_5_2;
    case 71:
        return CVI_GRID_7;
    default:
        return CVI_N_GRIDS;
    }
}

static int64_t tap_columns(const cvi_phase *ph) {
    return ph->high_x - ph->low_x + 1;
}

static int64_t tap_rows(const cvi_phase *ph) {
    return ph->high_y - ph->low_y + 1;
}

/* Every phase's taps fill a rectangle (no dilation) of a width that a leaf knows. A phase without taps is none. */
bool cvi_depthwise_fits(const cvi_conv_plan *p) {
    for (int64_t i = 0; i < p->n_phases; i++) {
        const cvi_phase *ph = &p->phases[i];
        bool dense = ph->n_taps > 0 && ph->n_taps == tap_rows(ph) * tap_columns(ph);
        if (!dense || p->in_step_x > 2 || kind_of(tap_columns(ph), p->in_step_x) == CVI_N_GRIDS) {
            return false;
        }
    }
    return true;
}

typedef struct run_job {
    const cvi_conv_plan *plan;
    const cvi_conv_io *io;
    int64_t in_pitch, out_pitch, pitch; /* pitch: channels rounded up to 8 */
    int64_t parts, channels;            /* of all channels; channels of a part */
    int64_t bands, rows;                /* of the tallest phase; rows of a band */
    bool square;                        /* by rectangles: bands and rows cut evenly */
} run_job;

int64_t cvi_depthwise_scratch(const cvi_conv_plan *p) {
    return CVI_PITCH(p->in_c) * (int64_t)sizeof(float);
}

static int64_t cut(int64_t all, int64_t parts, int64_t i) {
    return all * i / parts;
}

/* 3x3 forwards of stride 1 or 2 (or the gradient of stride 1) where the level has rectangles. */
static bool is_square(const cvi_conv_plan *p) {
    const cvi_phase *ph = &p->phases[0];
    return p->kernels->square != NULL && p->n_phases == 1 && tap_rows(ph) == 3 && tap_columns(ph) == 3 &&
           p->in_step_y == p->in_step_x && p->out_step_x == 1;
}

/* Rectangles: bands of whole rectangles, as wide as the map; where even the lowest band is much work, parts of the channels. */
static void split_square(run_job *job) {
    enum { WORK = 120000, CHANNELS = 64 };
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = &p->phases[0];
    int64_t row = CVI_MAX(1, ph->columns * job->pitch * 9);
    int64_t rows = CVI_MAX(CVI_SQUARE, WORK / row / CVI_SQUARE * CVI_SQUARE);
    job->bands = CVI_MAX(1, (ph->rows + rows - 1) / rows);
    int64_t wish = row * CVI_MIN(rows, ph->rows) / WORK;
    job->parts = CVI_MAX(1, CVI_MIN(wish, job->pitch / CHANNELS));
    job->channels = ((job->pitch + job->parts - 1) / job->parts + 15) / 16 * 16;
    job->parts = (job->pitch + job->channels - 1) / job->channels;
}

static void split(run_job *job) {
    enum { LINES = 65536, WORK = 120000 }; /* floats that stay close; multiply-adds of a chunk */
    const cvi_conv_plan *p = job->plan;
    int64_t tallest = 0, widest = 0, most_rows = 1;
    for (int64_t i = 0; i < p->n_phases; i++) {
        tallest = CVI_MAX(tallest, p->phases[i].rows);
        widest = CVI_MAX(widest, p->phases[i].columns);
        most_rows = CVI_MAX(most_rows, tap_rows(&p->phases[i]));
    }
    int64_t fit = CVI_MAX(16, LINES / ((most_rows + p->in_step_y) * p->in_w) / 16 * 16);
    job->parts = (job->pitch + fit - 1) / fit;
    job->channels = ((job->pitch + job->parts - 1) / job->parts + 15) / 16 * 16;
    job->parts = (job->pitch + job->channels - 1) / job->channels;
    int64_t work = CVI_MAX(1, widest * CVI_MIN(job->channels, job->pitch) * p->most_taps);
    int64_t rows = CVI_MAX(1, CVI_MIN(tallest, WORK / work));
    job->bands = CVI_MAX(1, (tallest + rows - 1) / rows);
    job->rows = CVI_MAX(1, (tallest + job->bands - 1) / job->bands);
}

/* What one row of outputs of one part needs. */
typedef struct row_work {
    const cvi_phase *phase;
    cvi_grid grid;
    cvi_micro_grid *const *leaf;
    const float *in,
        *weights;      /* at tap row `first` of output column 0's window, before its first column; tap 0 */
    cvi_tile tile;     /* at output column 0 */
    int64_t low, high; /* output columns whose taps are all inside the picture */
} row_work;

static cvi_tile moved(const row_work *w, int64_t x) {
    cvi_tile tile = w->tile;
    tile.out += x * tile.pitch;
    tile.add = tile.add != NULL ? tile.add + x * tile.pitch : NULL;
    return tile;
}

/* Output columns [from, until) one at a time, only the taps that are inside. */
static void run_border(const run_job *job, const row_work *w, int64_t from, int64_t until) {
    const cvi_conv_plan *p = job->plan;
    int64_t size = tap_columns(w->phase);
    for (int64_t x = from; x < until; x++) {
        int64_t ix = x * p->in_step_x + w->phase->low_x;
        int64_t first = CVI_MIN(size, CVI_MAX(0, -ix)), last = CVI_MAX(first, CVI_MIN(size, p->in_w - ix));
        cvi_grid grid = w->grid;
        grid.w += first * grid.w_step;
        cvi_tile tile = moved(w, x);
        p->kernels->depthwise_border(&grid, last - first, size,
                                     w->in + (last > first ? ix + first : 0) * job->in_pitch, &tile);
    }
}

static void run_row(const run_job *job, const row_work *w) {
    const cvi_conv_plan *p = job->plan;
    int64_t most = p->kernels->grid_rows;
    run_border(job, w, 0, w->low);
    for (int64_t x = w->low, n; x < w->high; x += n) {
        int64_t blocks = (w->high - x + most - 1) / most;
        n = (w->high - x + blocks - 1) / blocks;
        cvi_tile tile = moved(w, x);
        w->leaf[n](&w->grid, w->in + (x * p->in_step_x + w->phase->low_x) * job->in_pitch, &tile);
    }
    run_border(job, w, w->high, w->phase->columns);
}

/* Row y of a phase's outputs, channels [c, c+count) of picture n. */
static void prepare_row(const run_job *job, int64_t n, int64_t y, int64_t c, row_work *w) {
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = w->phase;
    int64_t iy = y * p->in_step_y + ph->low_y, size = tap_columns(ph);
    int64_t first = CVI_MIN(tap_rows(ph), CVI_MAX(0, -iy));
    int64_t last = CVI_MAX(first, CVI_MIN(tap_rows(ph), p->in_h - iy));
    int64_t row = last > first ? iy + first : 0;
    int64_t out = ((n * p->out_h + ph->y0 + y * p->out_step_y) * p->out_w + ph->x0) * job->out_pitch + c;
    w->in = job->io->in + (n * p->in_h + row) * p->in_w * job->in_pitch + c;
    w->grid.w = p->weights + ph->packed + first * size * job->pitch + c;
    w->grid.rows = last - first;
    w->tile.out = job->io->out + out;
    w->tile.add = job->io->residual != NULL ? job->io->residual + out : NULL;
}

/* Padding channels are 0 whatever the clamp. */
static void clear_padding(const run_job *job, const row_work *w, int64_t first_channel) {
    const cvi_conv_plan *p = job->plan;
    for (int64_t x = 0; x < w->phase->columns; x++) {
        memset(w->tile.out + x * w->tile.pitch + p->in_c - first_channel, 0,
               (size_t)(job->pitch - p->in_c) * sizeof(float));
    }
}

/* ---- rectangles of 3x3 ---------------------------------------------------------------------------------- */

/* Addresses of the inputs of a rectangle whose first one is column ix of `line`, for the kernel rows [from, until). */
static void locate(const run_job *job, const float *line, int64_t ix, int64_t from, int64_t until,
                   cvi_square *at) {
    const cvi_conv_plan *p = job->plan;
    for (int64_t r = from; r < until; r++, line += p->in_w * job->in_pitch) {
        for (int64_t s = 0; s < CVI_SQUARE_INPUTS; s++) {
            bool inside = ix + s >= 0 && ix + s < p->in_w;
            at->x[r][s] = inside ? line + (ix + s) * job->in_pitch : p->zeros;
        }
    }
}

static void advance(int64_t floats, int64_t from, int64_t until, cvi_square *at) {
    for (int64_t r = from; r < until; r++) {
        for (int64_t s = 0; s < CVI_SQUARE_INPUTS; s++) {
            at->x[r][s] += floats;
        }
    }
}

/* One row of rectangles: output rows [y, y+rows) of picture n, channels from c on. */
static void run_squares(const run_job *job, const row_work *w, int64_t n, int64_t y, int64_t rows, int64_t c,
                        cvi_square *at) {
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = w->phase;
    int64_t step = p->in_step_x, iy = y * step + ph->low_y,
            count = (ph->columns + CVI_SQUARE - 1) / CVI_SQUARE;
    int64_t from = CVI_MAX(0, -iy), until = CVI_MIN((rows - 1) * step + 3, p->in_h - iy);
    int64_t out = (n * p->out_h + y) * p->out_w * job->out_pitch + c, before = -1;
    const float *line = job->io->in + (n * p->in_h + iy + from) * p->in_w * job->in_pitch + c;
    for (int64_t i = 0; i < CVI_SQUARE_INPUTS * CVI_SQUARE_INPUTS; i++) {
        at->x[i / CVI_SQUARE_INPUTS][i % CVI_SQUARE_INPUTS] = p->zeros;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t x = cut(ph->columns, count, i), columns = cut(ph->columns, count, i + 1) - x;
        int64_t ix = x * step + ph->low_x;
        bool inside = ix >= 0 && ix + CVI_SQUARE_INPUTS <= p->in_w;
        if (inside && before >= 0) {
            advance((ix - before) * job->in_pitch, from, until, at);
        } else {
            locate(job, line, ix, from, until, at);
        }
        before = inside ? ix : -1;
        cvi_tile tile = w->tile;
        tile.out = job->io->out + out + x * job->out_pitch;
        tile.add = job->io->residual != NULL ? job->io->residual + out + x * job->out_pitch : NULL;
        p->kernels->square[step - 1][rows - 1][columns - 1](at, &tile);
    }
}

/* Output rows [first, last) of a phase of picture n, the channels of one part. */
static void run_rows(const run_job *job, int64_t n, int64_t phase, int64_t part, int64_t first, int64_t last,
                     int worker) {
    const cvi_conv_plan *p = job->plan;
    const cvi_conv_io *io = job->io;
    int64_t c = part * job->channels, channels = CVI_MIN(job->channels, job->pitch - c);
    float *bias = (float *)(void *)((char *)io->scratch + worker * cvi_depthwise_scratch(p));
    memset(bias, 0, (size_t)channels * sizeof(float));
    if (io->bias != NULL) {
        memcpy(bias, io->bias + c, (size_t)CVI_MIN(channels, p->in_c - c) * sizeof(float));
    }
    row_work w = {.phase = &p->phases[phase]};
    w.grid = (cvi_grid){.channels = channels,
                        .x_step = job->in_pitch,
                        .x_row = p->in_w * job->in_pitch,
                        .w_step = job->pitch};
    w.leaf = p->kernels->grid[kind_of(tap_columns(w.phase), p->in_step_x)];
    w.tile = (cvi_tile){.bias = bias,
                        .pitch = job->out_pitch * p->out_step_x,
                        .clamp = io->clamp,
                        .lo = io->lo,
                        .hi = io->hi};
    /* Column x has its first tap at x*step + low_x >= 0 and its last at x*step + high_x < in_w. */
    int64_t step = p->in_step_x, room = p->in_w - w.phase->high_x;
    w.low = CVI_MIN(w.phase->columns, w.phase->low_x < 0 ? (-w.phase->low_x + step - 1) / step : 0);
    w.high = CVI_MAX(w.low, CVI_MIN(w.phase->columns, room > 0 ? (room + step - 1) / step : 0));
    if (job->square) {
        cvi_square at = {.w = p->weights + w.phase->packed + c,
                         .w_step = job->pitch,
                         .channels = channels,
                         .out_row = p->out_w * job->out_pitch};
        int64_t count = (last - first + CVI_SQUARE - 1) / CVI_SQUARE;
        for (int64_t i = 0; i < count; i++) {
            int64_t y = first + cut(last - first, count, i);
            run_squares(job, &w, n, y, first + cut(last - first, count, i + 1) - y, c, &at);
        }
    }
    for (int64_t y = first; y < last; y++) {
        prepare_row(job, n, y, c, &w);
        if (!job->square) {
            run_row(job, &w);
        }
        if (io->clamp && c + channels == job->pitch && job->pitch > p->in_c) {
            clear_padding(job, &w, c);
        }
        for (int64_t x = 0; io->gate != NULL && x < w.phase->columns; x++) {
            float *pixel = w.tile.out + x * w.tile.pitch;
            p->kernels->gate(io->gate, channels, pixel,
                             io->gate_y != NULL ? io->gate_y + (pixel - io->out) : NULL, NULL, pixel);
        }
    }
}

static void run_chunk(void *context, int64_t chunk, int worker) {
    const run_job *job = context;
    const cvi_conv_plan *p = job->plan;
    int64_t part = chunk % job->parts, band = chunk / job->parts % job->bands;
    int64_t phase = chunk / job->parts / job->bands % p->n_phases,
            n = chunk / job->parts / job->bands / p->n_phases;
    int64_t rows = p->phases[phase].rows, first = band * job->rows, last = CVI_MIN(rows, first + job->rows);
    if (job->square) {
        first = cut(rows, job->bands, band);
        last = cut(rows, job->bands, band + 1);
    }
    run_rows(job, n, phase, part, first, last, worker);
}

static run_job job_of(const cvi_conv_plan *p, const cvi_conv_io *io) {
    run_job job = {.plan = p, .io = io, .pitch = CVI_PITCH(p->in_c)};
    job.in_pitch = io->in_pitch != 0 ? io->in_pitch : job.pitch;
    job.out_pitch = io->out_pitch != 0 ? io->out_pitch : job.pitch;
    job.square = is_square(p);
    (job.square ? split_square : split)(&job);
    return job;
}

void cvi_depthwise_rows(const cvi_conv_plan *p, const cvi_conv_io *io, int64_t y0, int64_t y1, int worker) {
    run_job job = job_of(p, io);
    for (int64_t part = 0; part < job.parts; part++) {
        run_rows(&job, 0, 0, part, y0, y1, worker);
    }
}

void cvi_depthwise_run(const cvi_conv_plan *p, cvi_pool *pool, const cvi_conv_io *io) {
    run_job job = job_of(p, io);
    cvi_pool_run(pool, p->N * p->n_phases * job.bands * job.parts, run_chunk, &job);
}
