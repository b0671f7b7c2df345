/* SPDX-License-Identifier: MIT
 * kernel_conv.h (internal to src/kernels) - what a convolution plan holds, shared by its algorithms.
 */
#ifndef CVI_KERNEL_CONV_H
#define CVI_KERNEL_CONV_H

#include "kernels/kernel_table.h"

/* One weight position as seen from an output grid: output (y, x) of the grid reads input (y*step_y + dy,
 * x*step_x + dx) with weight [.., .., r, s]; index = r*S + s. */
typedef struct cvi_tap {
    int64_t dy, dx, index;
} cvi_tap;

/* Output positions that share a list of taps. A forward convolution has one phase. A transposed one with
 * stride s has s*s: the outputs whose row is y0 + i*step and whose column is x0 + j*step. */
typedef struct cvi_phase {
    int64_t y0, x0, rows, columns;        /* in the output; rows*columns may be 0 */
    int64_t n_taps, first_tap;            /* in plan->taps */
    int64_t low_y, high_y, low_x, high_x; /* range of the taps' dy and dx */
    int64_t packed;                       /* floats before this phase's weights */
} cvi_phase;

/* Floats after the packed weights: register blocks prefetch past the end. */
enum { CVI_PACKED_TAIL = 1024 };

struct cvi_conv_plan {
    cvi_conv_shape shape;
    cvi_conv_kind kind;
    cvi_conv_algorithm algorithm;
    const cvi_kernels *kernels;
    /* The same problem as input -> output, whichever the direction. */
    int64_t N, in_c, in_h, in_w, out_c, out_h, out_w;
    int64_t groups, group_in, group_out; /* channels per group */
    int64_t in_step_y, in_step_x;        /* input rows per output grid row */
    int64_t out_step_y, out_step_x;      /* output rows per grid row */
    int64_t n_phases, n_taps, most_taps; /* most_taps of any phase */
    cvi_phase *phases;                   /* owned */
    cvi_tap *taps;                       /* owned */
    float *zeros; /* owned, in_c rounded up to 16: what a tap outside the picture reads */
    int64_t packed_floats;
    float *packed;                /* owned; NULL until packed */
    const float *weights;         /* packed, or the owner's */
    int64_t height;               /* direct: most pixels of a register block */
    int64_t panels;               /* panels of 16 output channels per chunk */
    int64_t block;                /* direct: pixels per chunk; winograd: number of tile blocks */
    bool few;                     /* direct: cvi_rows_run() */
    bool grid;                    /* depthwise: cvi_depthwise_run() */
    int64_t tiles, tile_channels; /* winograd: tiles per chunk, output channels transformed back at once */
    bool in_place;                /* winograd: products overwrite the transformed input */
};

/* Lanes of panel p of a group's output channels: 16, or 8 where 8 are enough for what is left. */
static inline int64_t cvi_panel_width(int64_t channels, int64_t panel) {
    return channels - panel * 16 > 8 ? 16 : 8;
}

/* Output channels of a group as the panels hold them. */
static inline int64_t cvi_conv_padded_out(const cvi_conv_plan *p) {
    int64_t last = (p->group_out + 15) / 16 - 1;
    return last * 16 + cvi_panel_width(p->group_out, last);
}

/* Number in weights [K,C/groups,R,S] between output channel `out` of group g and its input channel `in`. */
static inline int64_t cvi_conv_weight_at(const cvi_conv_plan *p, int64_t g, int64_t out, int64_t in,
                                         int64_t tap) {
    int64_t area = p->shape.R * p->shape.S, per = p->shape.C / p->groups;
    if (p->kind == CVI_CONV_FORWARD) {
        return ((g * p->group_out + out) * per + in) * area + tap;
    }
    return ((g * p->group_in + in) * per + out) * area + tap;
}

/* Parts of some work, `each` chunks in a part, such that threads of a common machine get equally many of few chunks: 5 chunks are 3 and 2
 * for two threads, a sixth of the time lost. */
static inline int64_t cvi_even_parts(int64_t parts, int64_t each, int64_t most) {
    int64_t unit = parts * each >= 4 ? 4 : 2;
    int64_t even = parts;
    while (parts * each > 1 && parts * each < 64 && even * each % unit != 0) {
        even++;
    }
    return even <= most ? even : parts;
}

/* Each algorithm: how much it packs, packing, scratch, running. */
void cvi_direct_layout(cvi_conv_plan *p);
void cvi_direct_pack(const cvi_conv_plan *p, cvi_pool *pool, const float *weights);
int64_t cvi_direct_scratch(const cvi_conv_plan *p);
void cvi_direct_run(const cvi_conv_plan *p, cvi_pool *pool, const cvi_conv_io *io);

/* Depthwise of common kernels packs as direct does, and runs by itself. */
bool cvi_depthwise_fits(const cvi_conv_plan *p);
int64_t cvi_depthwise_scratch(const cvi_conv_plan *p);
void cvi_depthwise_run(const cvi_conv_plan *p, cvi_pool *pool, const cvi_conv_io *io);

/* Few input channels: packed as direct, run by rows copied without their padding. */
bool cvi_rows_fit(const cvi_conv_plan *p);
int64_t cvi_rows_scratch(const cvi_conv_plan *p);
void cvi_rows_run(const cvi_conv_plan *p, cvi_pool *pool, const cvi_conv_io *io);

/* cvi_conv_run_rows() of each. */
void cvi_direct_rows(const cvi_conv_plan *p, const cvi_conv_io *io, int64_t y0, int64_t y1, int worker);
void cvi_depthwise_rows(const cvi_conv_plan *p, const cvi_conv_io *io, int64_t y0, int64_t y1, int worker);
void cvi_rows_rows(const cvi_conv_plan *p, const cvi_conv_io *io, int64_t y0, int64_t y1, int worker);

void cvi_winograd_layout(cvi_conv_plan *p);
void cvi_winograd_pack(const cvi_conv_plan *p, cvi_pool *pool, const float *weights);
int64_t cvi_winograd_scratch(const cvi_conv_plan *p);
void cvi_winograd_run(const cvi_conv_plan *p, cvi_pool *pool, const cvi_conv_io *io);

#endif
