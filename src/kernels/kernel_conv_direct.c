/* SPDX-License-Identifier: MIT
 * kernel_conv_direct.c - convolution of any shape as register blocks over lists of taps, and depthwise.
 * A chunk is a block of output pixels x some panels of 16 output channels. It first writes the input address of
 * every (pixel, tap), once for all its panels, then walks panel by panel: a panel's weights stay in the second-
 * level cache while the block's pixels go by. 1x1 is the case of one tap: a matrix product without copies.
 */
#include "kernels/kernel_conv.h"

enum {
    NEAR = 32768,   /* floats of weights that may be read again for every tile */
    MOST_UNITS = 64 /* panels of a chunk that is worked tile by tile */
};

static int64_t panels_of(const cvi_conv_plan *p) {
    return (p->group_out + 15) / 16;
}

/* All rows of the batch are one line where the outputs of consecutive grid positions lie one pitch apart. */
static bool rows_join(const cvi_conv_plan *p) {
    return p->out_step_x == 1 && p->out_step_y == 1;
}

/* Pixels of the longest line and the number of lines. */
static int64_t longest_line(const cvi_conv_plan *p, int64_t *lines) {
    int64_t longest = 1, most = 1;
    for (int64_t i = 0; i < p->n_phases; i++) {
        longest = CVI_MAX(longest, p->phases[i].columns);
        most = CVI_MAX(most, p->phases[i].rows * p->N);
    }
    *lines = rows_join(p) ? 1 : most;
    return rows_join(p) ? longest * most : longest;
}

static int64_t parts_of(int64_t all, int64_t part) {
    return (all + part - 1) / part;
}

/* Pixels and panels per chunk: enough work to be worth claiming, few enough that weights of the chunk's panels
 * fit beside its pixels in a second-level cache, and a few chunks per thread of a common machine unless there is
 * too little to share. Weights of few pixels are bound by memory: there a chunk takes all pixels, so that no weight
 * is read twice. */
static void choose_blocks(cvi_conv_plan *p) {
    enum { LARGE = 3000000, SMALL = 400000 }; /* multiply-adds of a chunk */
    int64_t taps = CVI_MAX(p->most_taps, 1), height = p->height, rows = CVI_MIN(height, 6), lines;
    int64_t units = p->groups * panels_of(p), length = longest_line(p, &lines);
    if (p->algorithm == CVI_CONV_DEPTHWISE) {
        p->block = CVI_MAX(p->kernels->grid_rows, CVI_MIN(256, 1 + 65536 / CVI_PITCH(p->in_c)));
        p->panels = units;
        return;
    }
    int64_t panel_floats = taps * p->group_in * 16;
    p->panels = CVI_MAX(1, CVI_MIN(units, 98304 / panel_floats));
    int64_t work = CVI_MAX(1, panel_floats * p->panels); /* multiply-adds per pixel */
    int64_t want = CVI_MAX(4 * rows, CVI_MIN(32 * rows, LARGE / work));
    if (length <= 16 * rows) {
        want = length;
        p->panels = CVI_MAX(1, CVI_MIN(p->panels, LARGE / (panel_floats * length)));
    }
    want = CVI_MIN(want, CVI_MAX(rows, 32768 / taps)); /* addresses of a block stay small */
    while (lines * parts_of(length, want) * parts_of(units, p->panels) < 8 &&
           CVI_MIN(want, length) * p->panels * panel_floats > SMALL) {
        if (p->panels > 1 && p->panels * 16 * taps > want) {
            p->panels = (p->panels + 1) / 2;
        } else if (want > 2 * rows) {
            want = (CVI_MIN(want, length) + 1) / 2;
        } else {
            break;
        }
    }
    int64_t pair = p->kernels->micro32 != NULL ? 2 : 1; /* panels that go together */
    bool whole = length <= 16 * rows && want >= length;
    p->panels = p->panels < units ? parts_of(p->panels, pair) * pair : p->panels;
    if (whole) {
        int64_t parts = cvi_even_parts(parts_of(units, p->panels), lines, parts_of(units, pair));
        p->panels = CVI_MIN(units, parts_of(parts_of(units, parts), pair) * pair);
    }
    int64_t wish = parts_of(length, want), others = lines * parts_of(units, p->panels);
    int64_t blocks = whole ? wish : cvi_even_parts(wish, others, length / CVI_MIN(length, 2 * rows));
    int64_t block = parts_of(length, blocks);
    bool few = others * blocks < 64; /* then equal blocks count for more than whole register blocks */
    p->block = block <= height || few ? block : parts_of(block, height) * height;
}

/* Pairs of panels go in blocks that follow each other without a gap (run_stream). On the level that has those, blocks of 16 + 8 channels
 * are quickest at 8 pixels (measured: 144 channels at 100 % of the peak, 92 with 10). */
static int64_t height_of(const cvi_conv_plan *p) {
    int64_t out = cvi_conv_padded_out(p);
    if (p->kernels->stream32 == NULL || p->groups > 1 || p->group_in < 4 || out < 24) {
        return p->kernels->rows;
    }
    return out == 24 ? 8 : CVI_STREAM_ROWS;
}

void cvi_direct_layout(cvi_conv_plan *p) {
    int64_t floats = 0;
    for (int64_t i = 0; i < p->n_phases; i++) {
        p->phases[i].packed = floats;
        if (p->algorithm == CVI_CONV_DEPTHWISE) {
            floats += p->phases[i].n_taps * CVI_PITCH(p->in_c);
        } else {
            floats += p->phases[i].n_taps * p->groups * p->group_in * cvi_conv_padded_out(p);
        }
    }
    p->packed_floats = floats + CVI_PACKED_TAIL;
    p->height = height_of(p);
    choose_blocks(p);
}

/* ---- running ----------------------------------------------------------------------------------------- */

/* Scratch of one worker: addresses [block][taps], distances [taps], then the numbers below. */
typedef struct worker_scratch {
    const float **address;
    int64_t *distance;
    float *tile,
        *add;    /* [rows][16]: results of a panel that must not write past its group, and its residual */
    float *bias; /* [32] of a panel or two, or of all channels when depthwise */
} worker_scratch;

static int64_t address_count(const cvi_conv_plan *p) {
    return (p->block + CVI_MAX_ROWS) * CVI_MAX(p->most_taps, 1);
}

int64_t cvi_direct_scratch(const cvi_conv_plan *p) {
    int64_t floats = 2 * CVI_MAX_ROWS * 16 + p->out_c + 32 * MOST_UNITS;
    int64_t bytes = address_count(p) * (int64_t)sizeof(float *) +
                    CVI_MAX(p->most_taps, 1) * (int64_t)sizeof(int64_t) + floats * (int64_t)sizeof(float);
    return (bytes + 63) & ~(int64_t)63;
}

static worker_scratch scratch_of(const cvi_conv_plan *p, void *scratch, int worker) {
    char *at = (char *)scratch + worker * cvi_direct_scratch(p);
    worker_scratch w = {.address = (const float **)(void *)at};
    at += address_count(p) * (int64_t)sizeof(float *);
    w.distance = (int64_t *)(void *)at;
    w.tile = (float *)(void *)(at + CVI_MAX(p->most_taps, 1) * (int64_t)sizeof(int64_t));
    w.add = w.tile + CVI_MAX_ROWS * 16;
    w.bias = w.add + CVI_MAX_ROWS * 16;
    return w;
}

typedef struct run_job {
    const cvi_conv_plan *plan;
    const cvi_conv_io *io;
    const cvi_phase *phase;
    int64_t in_pitch, out_pitch;
    int64_t row_length; /* pixels that lie in one line: a grid row, or, where rows join, the whole batch */
    int64_t lines, line_blocks;
    int64_t parts, run; /* of the panels; of the blocks, those whose chunks follow each other, part by part */
    bool linear;        /* output pixel i reads input pixel i and nothing else */
} run_job;

/* A run of M pixels of one line, and where its outputs lie. */
typedef struct pixels {
    int64_t first, count, line;
} pixels;

static int64_t output_at(const run_job *job, int64_t line, int64_t first) {
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = job->phase;
    if (rows_join(p)) {
        return first * job->out_pitch;
    }
    int64_t n = line / ph->rows, y = ph->y0 + line % ph->rows * p->out_step_y,
            x = ph->x0 + first * p->out_step_x;
    return ((n * p->out_h + y) * p->out_w + x) * job->out_pitch;
}

/* Distance in memory from the input pixel under (0,0) of the window's first position to each tap. */
static void write_distances(const run_job *job, int64_t *distance) {
    const cvi_conv_plan *p = job->plan;
    const cvi_tap *taps = p->taps + job->phase->first_tap;
    for (int64_t t = 0; t < job->phase->n_taps; t++) {
        distance[t] = (taps[t].dy * p->in_w + taps[t].dx) * job->in_pitch;
    }
}

static const float *tap_address(const run_job *job, const float *picture, int64_t y, int64_t x) {
    const cvi_conv_plan *p = job->plan;
    bool inside = y >= 0 && y < p->in_h && x >= 0 && x < p->in_w;
    return inside ? picture + (y * p->in_w + x) * job->in_pitch : p->zeros;
}

/* Addresses of every tap for M pixels from `first` on, in the order the register block reads: [tap][pixel]. Most
 * pixels have all their taps inside the picture; then an address is a sum. */
static void write_addresses(const run_job *job, pixels at, const int64_t *distance, const float **address) {
    const cvi_conv_plan *p = job->plan;
    const cvi_phase *ph = job->phase;
    const cvi_tap *taps = p->taps + ph->first_tap;
    for (int64_t i = 0; job->linear && i < at.count; i++) {
        address[i] = job->io->in + (at.first + i) * job->in_pitch;
    }
    if (job->linear) {
        return;
    }
    bool join = rows_join(p);
    int64_t row = join ? at.first / ph->columns : at.line, column = join ? at.first % ph->columns : at.first;
    int64_t n = row / ph->rows, y = row % ph->rows;
    for (int64_t i = 0; i < at.count; i++, column++) {
        if (column == ph->columns) {
            column = 0;
            if (++y == ph->rows) {
                y = 0;
                n++;
            }
        }
        const float *picture = job->io->in + n * p->in_h * p->in_w * job->in_pitch;
        int64_t iy = y * p->in_step_y, ix = column * p->in_step_x;
        if (iy + ph->low_y >= 0 && iy + ph->high_y < p->in_h && ix + ph->low_x >= 0 &&
            ix + ph->high_x < p->in_w) {
            const float *pixel = picture + (iy * p->in_w + ix) * job->in_pitch;
            for (int64_t t = 0; t < ph->n_taps; t++) {
                address[t * at.count + i] = pixel + distance[t];
            }
        } else {
            for (int64_t t = 0; t < ph->n_taps; t++) {
                address[t * at.count + i] = tap_address(job, picture, iy + taps[t].dy, ix + taps[t].dx);
            }
        }
    }
}

/* The tile's numbers of the channels that exist, from tile memory to the output. */
static void copy_tile(const worker_scratch *w, int64_t count, int64_t channels, float *out, int64_t pitch) {
    for (int64_t i = 0; i < count; i++) {
        memcpy(out + i * pitch, w->tile + i * 16, (size_t)channels * sizeof(float));
    }
}

/* What is the same for all pixels of a chunk: one panel of one group. */
typedef struct panel_work {
    int64_t width, valid; /* lanes, and those that are output channels */
    int64_t channel;      /* first output channel */
    int64_t offset;       /* first input channel */
    const float *weights;
    cvi_micro *const *micro;
    bool
        aside; /* beside another group a panel may not write its padding lanes; alone it may (zero weights) */
    cvi_tile tile;
} panel_work;

/* How many of the panels from `unit` on, before `end`, one register block takes: two where the level can and both are whole
 * registers of one group that may be written as such. */
static int64_t panels_at(const cvi_conv_plan *p, int64_t unit, int64_t end) {
    int64_t panel = unit % panels_of(p), left = p->group_out - panel * 16;
    bool two = p->kernels->micro32 != NULL && unit + 1 < end && panel + 1 < panels_of(p) &&
               cvi_panel_width(p->group_out, panel + 1) == 16 && (p->groups == 1 || left >= 32);
    return two ? 2 : 1;
}

static panel_work panel_of(const run_job *job, const worker_scratch *w, int64_t unit, int64_t end) {
    const cvi_conv_plan *p = job->plan;
    const cvi_conv_io *io = job->io;
    int64_t panels = panels_of(p), g = unit / panels, panel = unit % panels, first = panel * 16;
    panel_work k = {.width = cvi_panel_width(p->group_out, panel), .offset = g * p->group_in};
    k.valid = CVI_MIN(k.width, p->group_out - first);
    if (panels_at(p, unit, end) == 2) {
        k.width = 32;
        k.valid = CVI_MIN(32, p->group_out - first);
    }
    k.channel = g * p->group_out + first;
    k.weights = p->weights + job->phase->packed +
                (g * cvi_conv_padded_out(p) + first) * job->phase->n_taps * p->group_in;
    k.micro = k.width == 32 ? p->kernels->micro32 : k.width == 16 ? p->kernels->micro16 : p->kernels->micro8;
    k.aside = p->groups > 1 && k.valid != k.width;
    k.tile = (cvi_tile){.bias = w->bias, .clamp = io->clamp, .lo = io->lo, .hi = io->hi};
    for (int64_t i = 0; i < 32; i++) {
        w->bias[i] = io->bias != NULL && i < k.valid ? io->bias[k.channel + i] : 0.0F;
    }
    return k;
}

/* One panel for M pixels. */
static void run_panel(const run_job *job, const worker_scratch *w, panel_work *k, pixels at,
                      const float *const *address) {
    const cvi_conv_plan *p = job->plan;
    const cvi_conv_io *io = job->io;
    int64_t pitch = job->out_pitch * p->out_step_x, out = output_at(job, at.line, at.first) + k->channel;
    k->tile.out = io->out + out;
    k->tile.add = io->residual != NULL ? io->residual + out : NULL;
    k->tile.pitch = pitch;
    if (k->aside) {
        for (int64_t i = 0; io->residual != NULL && i < at.count; i++) {
            memcpy(w->add + i * 16, io->residual + out + i * pitch, (size_t)k->valid * sizeof(float));
        }
        k->tile.add = io->residual != NULL ? w->add : NULL;
        k->tile.out = w->tile;
        k->tile.pitch = 16;
    }
    k->micro[at.count](job->phase->n_taps, p->group_in, address, k->offset, k->weights, &k->tile);
    if (k->aside) {
        copy_tile(w, at.count, k->valid, io->out + out, pitch);
    }
}

/* Padding channels of the pixels of a chunk are 0 whatever the clamp and however many groups there are. */
static void clear_padding(const run_job *job, pixels at) {
    const cvi_conv_plan *p = job->plan;
    int64_t padding = CVI_PITCH(p->out_c) - p->out_c;
    float *out = job->io->out + output_at(job, at.line, at.first) + p->out_c;
    for (int64_t i = 0; padding > 0 && i < at.count; i++) {
        memset(out + i * job->out_pitch * p->out_step_x, 0, (size_t)padding * sizeof(float));
    }
}

/* Pixels of a line in tiles of at most `rows` that differ by one at most: 13 = 5 + 4 + 4, not 6 + 6 + 1. */
typedef struct tiling {
    int64_t tiles, size, longer; /* the first `longer` tiles have one pixel more than `size` */
} tiling;

static tiling tiling_of(int64_t count, int64_t rows) {
    int64_t tiles = parts_of(count, rows);
    return (tiling){
        .tiles = tiles, .size = tiles > 0 ? count / tiles : 0, .longer = tiles > 0 ? count % tiles : 0};
}

/* The addresses of all pixels of a chunk, tile by tile. */
static void locate_pixels(const run_job *job, const worker_scratch *w, const tiling *cut, pixels all) {
    int64_t taps = job->phase->n_taps, done = 0;
    write_distances(job, w->distance);
    for (int64_t i = 0; i < cut->tiles; i++) {
        int64_t n = cut->size + (i < cut->longer ? 1 : 0);
        write_addresses(job, (pixels){all.first + done, n, all.line}, w->distance, w->address + done * taps);
        done += n;
    }
}

/* One panel, or two at once, for all pixels of a chunk; `end`: the chunk's last panel + 1. */
static void run_unit(const run_job *job, const worker_scratch *w, int64_t unit, int64_t end,
                     const tiling *cut, pixels all) {
    int64_t taps = job->phase->n_taps, done = 0;
    panel_work k = panel_of(job, w, unit, end);
    for (int64_t i = 0; i < cut->tiles; i++) {
        int64_t n = cut->size + (i < cut->longer ? 1 : 0);
        run_panel(job, w, &k, (pixels){all.first + done, n, all.line}, w->address + done * taps);
        done += n;
    }
}

/* Few weights: tile by tile, all panels of a tile one after the other, so that results are written in the order of memory. */
static void run_tiles(const run_job *job, const worker_scratch *w, int64_t unit, int64_t end,
                      const tiling *cut, pixels all) {
    panel_work k[MOST_UNITS];
    int64_t taps = job->phase->n_taps, done = 0;
    int units = 0;
    for (; unit < end; unit += panels_at(job->plan, unit, end)) {
        worker_scratch own = *w;
        own.bias += (ptrdiff_t)32 * units;
        k[units++] = panel_of(job, &own, unit, end);
    }
    for (int64_t i = 0; i < cut->tiles; i++) {
        int64_t n = cut->size + (i < cut->longer ? 1 : 0);
        for (int u = 0; u < units; u++) {
            run_panel(job, w, &k[u], (pixels){all.first + done, n, all.line}, w->address + done * taps);
        }
        done += n;
    }
}

/* Two panels at a time without gaps between the register blocks, as far as there are pairs; the first panel that is left. */
static int64_t run_stream(const run_job *job, const worker_scratch *w, int64_t unit, int64_t end,
                          bool by_panel, const tiling *cut, pixels all) {
    const cvi_conv_plan *p = job->plan;
    const cvi_conv_io *io = job->io;
    int64_t taps = job->phase->n_taps, first = unit, pixel = all.first;
    if (p->kernels->stream32 == NULL || p->height > CVI_STREAM_ROWS || p->groups > 1 || p->group_in < 4 ||
        taps == 0) {
        return unit;
    }
    while (unit < end && panels_at(p, unit, end) == 2) {
        unit += 2;
    }
    if (unit == first) {
        return unit;
    }
    int64_t valid = CVI_MIN((unit - first) * 16, p->out_c - first * 16);
    memset(w->bias, 0, (size_t)((unit - first) * 16) * sizeof(float));
    if (io->bias != NULL) {
        memcpy(w->bias, io->bias + first * 16, (size_t)valid * sizeof(float));
    }
    cvi_stream s = {.units = (unit - first) / 2,
                    .by_panel = by_panel,
                    .taps = taps,
                    .channels = p->group_in,
                    .x = w->address,
                    .w = p->weights + job->phase->packed + first * 16 * taps * p->group_in,
                    .tile = {.bias = w->bias,
                             .pitch = job->out_pitch * p->out_step_x,
                             .clamp = io->clamp,
                             .lo = io->lo,
                             .hi = io->hi}};
    for (int64_t i = 0; i < 2; i++) { /* the tiles of one pixel more, then the others */
        int64_t rows = cut->size + 1 - i;
        s.tiles = i == 0 ? cut->longer : cut->tiles - cut->longer;
        if (s.tiles > 0) {
            int64_t out = output_at(job, all.line, pixel) + first * 16;
            s.tile.out = io->out + out;
            s.tile.add = io->residual != NULL ? io->residual + out : NULL;
            p->kernels->stream32[io->residual != NULL][rows](&s);
            s.x += s.tiles * rows * taps;
            pixel += s.tiles * rows;
        }
    }
    return unit;
}

/* The gate on the channels [from, to) of the pixels of a chunk, while they are near. */
static void gate_pixels(const run_job *job, pixels at, int64_t from, int64_t to) {
    const cvi_conv_io *io = job->io;
    const cvi_kernels *k = job->plan->kernels;
    int64_t step = job->out_pitch * job->plan->out_step_x, out = output_at(job, at.line, at.first) + from;
    int64_t rows = at.count, n = to - from;
    if (n == step) { /* one run of memory */
        n *= rows;
        rows = 1;
    }
    for (int64_t i = 0; i < rows; i++, out += step) {
        const float *y = io->gate_y != NULL ? io->gate_y + out : NULL;
        k->gate(io->gate, n, io->out + out, y, NULL, io->out + out);
    }
}

/* Pixels [begin, end) of a line, all panels of a part. */
static void run_block(const run_job *job, int64_t part, int64_t line, int64_t begin, int64_t end,
                      int worker) {
    const cvi_conv_plan *p = job->plan;
    int64_t units = p->groups * panels_of(p), first_unit = part * p->panels;
    int64_t last_unit = CVI_MIN(units, first_unit + p->panels);
    worker_scratch w = scratch_of(p, job->io->scratch, worker);
    tiling cut = tiling_of(end - begin, p->height);
    pixels all = {begin, end - begin, line};
    locate_pixels(job, &w, &cut, all);
    int64_t weights = job->phase->n_taps * p->group_in * 16 * (last_unit - first_unit);
    bool by_tile = weights <= NEAR && last_unit - first_unit <= MOST_UNITS;
    int64_t rest = run_stream(job, &w, first_unit, last_unit, !by_tile, &cut, all);
    if (by_tile) {
        run_tiles(job, &w, rest, last_unit, &cut, all);
    } else {
        for (int64_t unit = rest; unit < last_unit; unit += panels_at(p, unit, last_unit)) {
            run_unit(job, &w, unit, last_unit, &cut, all);
        }
    }
    bool padded = job->io->clamp || p->groups > 1;
    if (last_unit == units && padded) {
        clear_padding(job, all);
    }
    if (job->io->gate != NULL) {
        int64_t panels = panels_of(p), last = last_unit - 1;
        int64_t from = first_unit / panels * p->group_out + first_unit % panels * 16;
        int64_t to = last / panels * p->group_out + CVI_MIN(p->group_out, (last % panels + 1) * 16);
        gate_pixels(job, all, from, last_unit == units ? CVI_PITCH(p->out_c) : to);
    }
}

static void run_chunk(void *context, int64_t chunk, int worker) {
    const run_job *job = context;
    int64_t part = chunk / job->run % job->parts,
            block = chunk / job->run / job->parts * job->run + chunk % job->run;
    int64_t line = block / job->line_blocks, begin = block % job->line_blocks * job->plan->block;
    if (line < job->lines) {
        run_block(job, part, line, begin, CVI_MIN(job->row_length, begin + job->plan->block), worker);
    }
}

static void run_depthwise_chunk(void *context, int64_t chunk, int worker) {
    const run_job *job = context;
    const cvi_conv_plan *p = job->plan;
    const cvi_conv_io *io = job->io;
    int64_t line = chunk / job->line_blocks, begin = chunk % job->line_blocks * p->block;
    int64_t end = CVI_MIN(job->row_length, begin + p->block), channels = CVI_PITCH(p->in_c);
    worker_scratch w = scratch_of(p, io->scratch, worker);
    tiling cut = tiling_of(end - begin, p->kernels->grid_rows);
    write_distances(job, w.distance);
    memset(w.bias, 0, (size_t)channels * sizeof(float));
    if (io->bias != NULL) {
        memcpy(w.bias, io->bias, (size_t)p->in_c * sizeof(float));
    }
    for (int64_t x = begin, i = 0, n; x < end; x += n, i++) {
        n = cut.size + (i < cut.longer ? 1 : 0);
        write_addresses(job, (pixels){x, n, line}, w.distance, w.address);
        int64_t out = output_at(job, line, x);
        cvi_tile tile = {.bias = w.bias,
                         .add = io->residual != NULL ? io->residual + out : NULL,
                         .out = io->out + out,
                         .pitch = job->out_pitch * p->out_step_x,
                         .clamp = io->clamp,
                         .lo = io->lo,
                         .hi = io->hi};
        p->kernels->depthwise[n](job->phase->n_taps, channels, w.address, p->weights + job->phase->packed,
                                 &tile);
    }
    if (io->clamp) {
        clear_padding(job, (pixels){begin, end - begin, line});
    }
    if (io->gate != NULL) {
        gate_pixels(job, (pixels){begin, end - begin, line}, 0, channels);
    }
}

/* A 1x1 kernel of stride 1 without pads. */
static bool is_linear(const cvi_conv_plan *p, const cvi_phase *ph) {
    const cvi_tap *tap = p->taps + ph->first_tap;
    return rows_join(p) && ph->n_taps == 1 && tap->dy == 0 && tap->dx == 0 && p->in_step_y == 1 &&
           p->in_step_x == 1 && p->in_h == p->out_h && p->in_w == p->out_w;
}

static run_job job_of(const cvi_conv_plan *p, const cvi_conv_io *io, const cvi_phase *ph) {
    run_job job = {.plan = p, .io = io, .phase = ph};
    job.in_pitch = io->in_pitch != 0 ? io->in_pitch : CVI_PITCH(p->in_c);
    job.out_pitch = io->out_pitch != 0 ? io->out_pitch : CVI_PITCH(p->out_c);
    bool join = rows_join(p);
    job.lines = join ? 1 : p->N * ph->rows;
    job.row_length = join ? p->N * ph->rows * ph->columns : ph->columns;
    job.linear = is_linear(p, ph);
    job.line_blocks = (job.row_length + p->block - 1) / p->block;
    job.parts = p->algorithm == CVI_CONV_DEPTHWISE ? 1 : parts_of(p->groups * panels_of(p), p->panels);
    return job;
}

/* Output rows [y0, y1) of one picture by this thread alone; of a forward plan. */
void cvi_direct_rows(const cvi_conv_plan *p, const cvi_conv_io *io, int64_t y0, int64_t y1, int worker) {
    run_job job = job_of(p, io, &p->phases[0]);
    int64_t columns = p->phases[0].columns;
    for (int64_t part = 0; part < job.parts; part++) {
        for (int64_t begin = y0 * columns; begin < y1 * columns; begin += p->block) {
            run_block(&job, part, 0, begin, CVI_MIN(y1 * columns, begin + p->block), worker);
        }
    }
}

void cvi_direct_run(const cvi_conv_plan *p, cvi_pool *pool, const cvi_conv_io *io) {
    for (int64_t i = 0; i < p->n_phases; i++) {
        const cvi_phase *ph = &p->phases[i];
        run_job job = job_of(p, io, ph);
        if (p->algorithm == CVI_CONV_DEPTHWISE) {
            cvi_pool_run(pool, job.lines * job.line_blocks, run_depthwise_chunk, &job);
        } else {
            /* A thread takes a share of the pixels through all panels; the weights of a part stay near over the pixels of
             * that share. The order of chunks changes no bit. */
            int64_t blocks = job.lines * job.line_blocks, shares = CVI_MIN(cvi_pool_threads(pool), blocks);
            job.run = shares > 0 ? parts_of(blocks, shares) : 1;
            cvi_pool_run(pool, parts_of(blocks, job.run) * job.run * job.parts, run_chunk, &job);
        }
    }
}
