/* SPDX-License-Identifier: MIT
 * kernel_conv_winograd.c - 3x3 convolution of stride 1 by Winograd's F(4x4,3x3) or F(2x2,3x3), either direction.
 * A chunk takes a block of tiles through all three steps: transform its input, multiply by the transformed weights
 * (36 or 16 independent matrix products with the register blocks of the direct kernel), transform back. Nothing is
 * shared between threads, so there is no barrier. Where there are few tiles (a deep layer of one picture) chunks also
 * split the output channels; a thread that goes on with the block it has transformed does not do so again. (Sharing
 * one thread's transform with the others was measured too: moving it to another core costs more than the transform.)
 */
#include "kernels/kernel_conv.h"

/* Tiles of a block, at most; input channels of layers that multiply_pairs() serves, and output channels that it makes at once. */
enum { FAR_TILES = 96, FEW_CHANNELS = 24, MOST_PAIRED = 64 };

static int64_t out_size(const cvi_conv_plan *p) {
    return p->algorithm == CVI_CONV_WINOGRAD4 ? 4 : 2;
}

static int64_t tile_size(const cvi_conv_plan *p) {
    return out_size(p) + 2;
}

static int64_t panels_of(const cvi_conv_plan *p) {
    return (p->out_c + 15) / 16;
}

/* Floats of one of the 36 (16) weight matrices: [panel][in_c][16, the last 8 where enough]. */
static int64_t matrix_floats(const cvi_conv_plan *p) {
    return cvi_conv_padded_out(p) * p->in_c;
}

static int64_t tiles_down(const cvi_conv_plan *p) {
    return (p->out_h + out_size(p) - 1) / out_size(p);
}

static int64_t tiles_across(const cvi_conv_plan *p) {
    return (p->out_w + out_size(p) - 1) / out_size(p);
}

/* Rows of the transformed matrices are a little longer than needed: 36 streams a power of two apart would share a
 * few sets of the cache. */
static int64_t v_stride(const cvi_conv_plan *p) {
    int64_t pitch = CVI_PITCH(p->in_c);
    return p->tiles * (p->in_place ? CVI_MAX(pitch, p->tile_channels) : pitch) + 16;
}

static int64_t m_stride(const cvi_conv_plan *p) {
    return p->in_place ? v_stride(p) : p->tiles * p->tile_channels + 16;
}

/* Where all output channels of a block are made at once and are at most twice its input channels, product i goes where matrix i - 1 of
 * the transformed input was. The block's matrices then take half the room (or each is read once, not once for every 64 output
 * channels): the weights that stream by throw fewer of them out of the second-level cache. (Measured: 3x3 layers, 64 to 64
 * channels at 224x224 and 64 to 128 at 112x112, take 10 % less time.) */
static void join_matrices(cvi_conv_plan *p, int64_t parts) {
    int64_t all = cvi_conv_padded_out(p);
    p->in_place = parts == 1 && all <= CVI_MAX(p->tile_channels, 2 * CVI_PITCH(p->in_c));
    p->tile_channels = p->in_place ? all : p->tile_channels;
}

/* Most tiles of a register block: where there are few input channels, such that two blocks overlap. */
static int64_t height_of(const cvi_conv_plan *p) {
    bool stream = p->kernels->stream32 != NULL && p->in_c >= 4 && p->in_c <= FEW_CHANNELS &&
                  cvi_conv_padded_out(p) >= 32;
    return stream ? CVI_STREAM_ROWS : p->kernels->rows;
}

void cvi_winograd_layout(cvi_conv_plan *p) {
    int64_t area = tile_size(p) * tile_size(p), total = p->N * tiles_down(p) * tiles_across(p);
    p->packed_floats = area * matrix_floats(p) + CVI_PACKED_TAIL;
    /* A block's 36 input and output matrices should stay in a second-level cache beside the weights that pass by: two or three
     * register blocks of tiles. Only where the weights overflow a third-level cache too is a tall block, which reads them less
     * often, the faster one. (Measured on VGG16 and ResNet-50: 5 to 15 % against blocks three times as tall.) */
    enum { FAR = 4 << 20, NEAR_TILES = 18 };
    int64_t rows = height_of(p), near = (NEAR_TILES + rows - 1) / rows * rows;
    int64_t want = area * matrix_floats(p) > FAR ? FAR_TILES : near;
    /* Enough chunks for a common machine, as long as the weights that each reads again are near. */
    int64_t weights = area * matrix_floats(p), least_tiles = weights <= 300000    ? 12
                                                             : weights <= 1100000 ? 24
                                                                                  : total;
    int64_t blocks = CVI_MAX((total + want - 1) / want, CVI_MIN(8, total / least_tiles));
    if (blocks >= 4) {
        blocks = cvi_even_parts(blocks, 1, total / 8);
    }
    p->tiles = (total + blocks - 1) / blocks;
    int64_t parts = blocks >= 4 ? 1 : CVI_MIN((8 + blocks - 1) / blocks, (panels_of(p) + 1) / 2);
    p->panels = (panels_of(p) + parts - 1) / parts;                         /* of a chunk: two at least */
    p->panels += p->kernels->micro32 != NULL && p->panels % 2 == 1 ? 1 : 0; /* they go two at a time */
    p->tile_channels = CVI_MIN(64, CVI_MIN(p->panels * 16, cvi_conv_padded_out(p)));
    p->block = blocks;
    join_matrices(p, parts);
}

typedef struct worker_scratch {
    float *v,
        *m; /* [36][tiles][pitch of in_c], [36][tiles][tile_channels]; in place: m is one matrix before v */
    float *bias;   /* [tile_channels] */
    int64_t *held; /* the block whose transformed input is in v; -1: none */
} worker_scratch;

/* In place, a worker's matrices leave as much room behind them as they save: with those of two workers less than 256 KiB apart, layers
 * of large maps take a fifth longer (measured, the cause unknown). */
static int64_t scratch_floats(const cvi_conv_plan *p) {
    int64_t area = tile_size(p) * tile_size(p), matrices = p->in_place ? area + 1 : area;
    int64_t floats = area * v_stride(p) + matrices * m_stride(p) + p->tile_channels + 32;
    return (floats + 15) & ~(int64_t)15;
}

int64_t cvi_winograd_scratch(const cvi_conv_plan *p) {
    return scratch_floats(p) * (int64_t)sizeof(float);
}

typedef struct run_job {
    const cvi_conv_plan *plan;
    const cvi_conv_io *io;
    int64_t in_pitch, out_pitch, dy, dx; /* input row and column of output (0,0)'s first tap */
} run_job;

typedef struct tile_place {
    int64_t n, y, x; /* picture, first output row and column */
} tile_place;

static tile_place place_of(const cvi_conv_plan *p, int64_t tile) {
    int64_t across = tiles_across(p), per_picture = across * tiles_down(p), r = tile % per_picture;
    return (tile_place){tile / per_picture, r / across * out_size(p), r % across * out_size(p)};
}

/* Asks for n floats that the next tile of the row reads and this one does not: six rows of a map at a time are more than the
 * processor foresees by itself. Past the end of the map nothing is read. */
static void ask_for(const float *from, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        __builtin_prefetch(from + i);
    }
}

static void transform_input(const run_job *job, const worker_scratch *w, int64_t first, int64_t last) {
    const cvi_conv_plan *p = job->plan;
    int64_t size = tile_size(p), stride = v_stride(p), pitch = CVI_PITCH(p->in_c);
    for (int64_t tile = first; tile < last; tile++) {
        tile_place at = place_of(p, tile);
        const float *picture = job->io->in + at.n * p->in_h * p->in_w * job->in_pitch, *pixel[36];
        int64_t y0 = at.y + job->dy, x0 = at.x + job->dx;
        bool whole = y0 >= 0 && x0 >= 0 && y0 + size <= p->in_h && x0 + size <= p->in_w;
        if (whole) {
            for (int64_t i = 0; i < size; i++) {
                const float *row = picture + ((y0 + i) * p->in_w + x0) * job->in_pitch;
                ask_for(row + size * job->in_pitch, (size - 2) * job->in_pitch);
                for (int64_t j = 0; j < size; j++) {
                    pixel[i * size + j] = row + j * job->in_pitch;
                }
            }
        }
        for (int64_t i = 0; !whole && i < size * size; i++) {
            int64_t y = y0 + i / size, x = x0 + i % size;
            bool inside = y >= 0 && y < p->in_h && x >= 0 && x < p->in_w;
            pixel[i] = inside ? picture + (y * p->in_w + x) * job->in_pitch : p->zeros;
        }
        float *v = w->v + (tile - first) * pitch;
        (size == 6 ? p->kernels->winograd_input_4 : p->kernels->winograd_input_2)(pitch, pixel, v, stride);
    }
}

/* Weights of the next two panels (of the next matrix behind the last ones), seen from those in use: they are asked for while the first
 * register blocks of these two run, a panel by each. Weights come from a third-level cache or beyond, and without this the first
 * block of every two panels would wait for all of them. (Measured: 5 to 15 % on layers of 256 and 512 channels.) */
static int64_t next_weights(const cvi_conv_plan *p, int64_t xi, int64_t panel, int64_t end, int64_t k,
                            int64_t block) {
    if (block > 1 || (k + 2 >= end && xi + 1 == tile_size(p) * tile_size(p))) {
        return 0;
    }
    int64_t next = k + 2 < end ? 2 * 16 * p->in_c : matrix_floats(p) - (k - panel) * 16 * p->in_c;
    return next + block * 16 * p->in_c;
}

/* Product xi of panels [panel, end), two at a time, as far as there are pairs: the first panel that is left. The next product's weights
 * are asked for meanwhile. */
static int64_t multiply_pairs(const cvi_conv_plan *p, const float *v, float *m, int64_t count, int64_t panel,
                              int64_t end, int64_t xi, const float *bias) {
    const float *row[FAR_TILES + CVI_MAX_ROWS];
    int64_t first = panel, rows = height_of(p), tiles = (count + rows - 1) / rows, pitch = CVI_PITCH(p->in_c);
    if (p->kernels->stream32 == NULL || rows != CVI_STREAM_ROWS || count > FAR_TILES) {
        return panel;
    }
    while (panel + 1 < end && cvi_panel_width(p->out_c, panel + 1) == 16) {
        panel += 2;
    }
    for (int64_t i = 0; i < count; i++) {
        row[i] = v + i * pitch;
    }
    cvi_stream s = {.units = (panel - first) / 2,
                    .taps = 1,
                    .channels = p->in_c,
                    .x = row,
                    .by_panel = true,
                    .w = p->weights + xi * matrix_floats(p) + first * 16 * p->in_c,
                    .tile = {.bias = bias,
                             .out = m,
                             .pitch = p->tile_channels,
                             .ahead = xi + 1 < tile_size(p) * tile_size(p) ? matrix_floats(p) : 0}};
    for (int64_t i = 0; i < 2 && s.units > 0; i++) { /* the blocks of one tile more, then the others */
        int64_t size = count / tiles + 1 - i;
        s.tiles = i == 0 ? count % tiles : tiles - count % tiles;
        if (s.tiles > 0) {
            p->kernels->stream32[0][size](&s);
            s.x += s.tiles * size;
            s.tile.out += s.tiles * size * p->tile_channels;
        }
    }
    return panel;
}

/* The 36 (16) products for output channels of panels [panel, end). */
static void multiply(const run_job *job, const worker_scratch *w, int64_t count, int64_t panel, int64_t end) {
    static const float no_bias[MOST_PAIRED] = {0};
    const cvi_conv_plan *p = job->plan;
    int64_t area = tile_size(p) * tile_size(p), pitch = CVI_PITCH(p->in_c), rows = p->kernels->rows;
    int64_t tiles = (count + rows - 1) / rows, small = count / tiles, longer = count % tiles;
    for (int64_t xi = 0; xi < area; xi++) {
        const float *v = w->v + xi * v_stride(p);
        float *first = w->m + xi * m_stride(p);
        for (int64_t k = multiply_pairs(p, v, first, count, panel, end, xi, no_bias), step; k < end;
             k += step) {
            bool two = p->kernels->micro32 != NULL && k + 1 < end && cvi_panel_width(p->out_c, k + 1) == 16;
            step = two ? 2 : 1;
            const float *u = p->weights + xi * matrix_floats(p) + k * 16 * p->in_c;
            cvi_micro *const *micro = two                                  ? p->kernels->micro32
                                      : cvi_panel_width(p->out_c, k) == 16 ? p->kernels->micro16
                                                                           : p->kernels->micro8;
            float *m = first + (k - panel) * 16;
            for (int64_t t = 0, i = 0, n; t < count; t += n, i++) {
                n = small + (i < longer ? 1 : 0);
                const float *row[CVI_MAX_ROWS];
                for (int64_t j = 0; j < n; j++) {
                    row[j] = v + (t + j) * pitch;
                }
                cvi_tile tile = {.bias = no_bias,
                                 .out = m + t * p->tile_channels,
                                 .pitch = p->tile_channels,
                                 .ahead = two ? next_weights(p, xi, panel, end, k, i) : 0};
                micro[n](1, p->in_c, row, 0, u, &tile);
            }
        }
    }
}

static void transform_output(const run_job *job, const worker_scratch *w, int64_t first, int64_t last,
                             int64_t panel, int64_t end) {
    const cvi_conv_plan *p = job->plan;
    const cvi_conv_io *io = job->io;
    int64_t k0 = panel * 16, count = CVI_MIN(end * 16, CVI_PITCH(p->out_c)) - k0, size = out_size(p);
    int64_t valid = CVI_MIN(count, p->out_c - k0);
    for (int64_t k = 0; k < count; k++) {
        w->bias[k] = io->bias != NULL && k < valid ? io->bias[k0 + k] : 0.0F;
    }
    for (int64_t t = first; t < last; t++) {
        tile_place at = place_of(p, t);
        int64_t rows = CVI_MIN(size, p->out_h - at.y), columns = CVI_MIN(size, p->out_w - at.x);
        int64_t out = ((at.n * p->out_h + at.y) * p->out_w + at.x) * job->out_pitch + k0;
        cvi_tile tile = {.bias = w->bias,
                         .add = io->residual != NULL ? io->residual + out : NULL,
                         .out = io->out + out,
                         .pitch = job->out_pitch,
                         .clamp = io->clamp,
                         .lo = io->lo,
                         .hi = io->hi};
        const float *m = w->m + (t - first) * p->tile_channels;
        (size == 4 ? p->kernels->winograd_output_4 : p->kernels->winograd_output_2)(
            count, m, m_stride(p), rows, columns, p->out_w * job->out_pitch, &tile);
        for (int64_t i = 0; io->clamp && valid < count && i < rows * columns; i++) {
            float *pixel = tile.out + (i / columns * p->out_w + i % columns) * job->out_pitch;
            memset(pixel + valid, 0, (size_t)(count - valid) * sizeof(float));
        }
        for (int64_t i = 0; io->gate != NULL && i < rows * columns; i++) {
            int64_t at_pixel = out + (i / columns * p->out_w + i % columns) * job->out_pitch;
            p->kernels->gate(io->gate, count, io->out + at_pixel,
                             io->gate_y != NULL ? io->gate_y + at_pixel : NULL, NULL, io->out + at_pixel);
        }
    }
}

static worker_scratch scratch_of(const run_job *job, int worker) {
    const cvi_conv_plan *p = job->plan;
    int64_t area = tile_size(p) * tile_size(p);
    float *start = (float *)job->io->scratch + worker * scratch_floats(p);
    worker_scratch w = {.held = (int64_t *)(void *)start, .bias = start + 16};
    float *matrices = w.bias + (p->tile_channels + 15) / 16 * 16;
    w.m = p->in_place ? matrices : matrices + area * v_stride(p);
    w.v = p->in_place ? matrices + m_stride(p) : matrices;
    return w;
}

static void run_chunk(void *context, int64_t chunk, int worker) {
    const run_job *job = context;
    const cvi_conv_plan *p = job->plan;
    int64_t total = p->N * tiles_down(p) * tiles_across(p),
            parts = (panels_of(p) + p->panels - 1) / p->panels;
    int64_t block = chunk / parts,
            part = chunk % parts; /* a thread does all parts of a block that it holds */
    int64_t first = block * p->tiles, last = CVI_MIN(total, first + p->tiles);
    int64_t panel = part * p->panels, end = CVI_MIN(panels_of(p), panel + p->panels);
    worker_scratch w = scratch_of(job, worker);
    if (first >= last) {
        return;
    }
    if (*w.held != block) {
        transform_input(job, &w, first, last);
        *w.held = block;
    }
    int64_t step = (p->tile_channels + 15) / 16;
    for (; panel < end; panel += step) {
        int64_t until = CVI_MIN(end, panel + step);
        multiply(job, &w, last - first, panel, until);
        transform_output(job, &w, first, last, panel, until);
    }
}

void cvi_winograd_run(const cvi_conv_plan *p, cvi_pool *pool, const cvi_conv_io *io) {
    run_job job = {.plan = p, .io = io, .dy = INT64_MAX, .dx = INT64_MAX};
    job.in_pitch = io->in_pitch != 0 ? io->in_pitch : CVI_PITCH(p->in_c);
    job.out_pitch = io->out_pitch != 0 ? io->out_pitch : CVI_PITCH(p->out_c);
    for (int i = 0; i < 9; i++) {
        job.dy = CVI_MIN(job.dy, p->taps[i].dy);
        job.dx = CVI_MIN(job.dx, p->taps[i].dx);
    }
    int threads = cvi_pool_threads(pool);
    for (int i = 0; i < threads; i++) {
        *scratch_of(&job, i).held = -1;
    }
    int64_t parts = (panels_of(p) + p->panels - 1) / p->panels;
    cvi_pool_run(pool, p->block * parts, run_chunk, &job);
}
