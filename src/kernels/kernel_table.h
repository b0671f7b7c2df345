/* SPDX-License-Identifier: MIT
 * kernel_table.h (internal to src/kernels) - the innermost loops of one CPU level as a table of functions.
 * leaf_*.c are compiled once per level (names end in the level's); everything else in this folder is
 * compiled once and reaches them through this table, so that a level is only loops, never logic.
 */
#ifndef CVI_KERNEL_TABLE_H
#define CVI_KERNEL_TABLE_H

#include "kernels/kernels.h"

#define CVI_MAX_ROWS 16 /* most pixels of a register block on any level */

enum { CVI_WINOGRAD_CHANNELS = 8 }; /* most input channels whose weights are transformed at once */

/* What a register block stores: out[i*pitch + 0..width) = clamp(bias + sum + add[i*pitch + ...]). */
typedef struct cvi_tile {
    const float *bias; /* `width` numbers */
    const float *add;  /* or NULL */
    float *out;
    int64_t pitch;
    bool clamp;
    float lo, hi;
    int64_t
        ahead; /* register blocks: floats from the weights to others that a later block needs, asked for meanwhile */
} cvi_tile;

/* Register block of M pixels (M is fixed by the function) x 16 or 8 output channels:
 * sum over taps t < taps and channels c < channels of x[t*M + i][offset + c] * w[(t*channels + c)*width + j]. The block
 * of 32 takes two panels of 16, the second taps*channels*16 floats behind the first. */
typedef void cvi_micro(int64_t taps, int64_t channels, const float *const *x, int64_t offset, const float *w,
                       const cvi_tile *tile);
/* Many register blocks of M pixels x 32 channels, each what micro32 would make: `tiles` times M pixels (addresses [tile][tap][M]), and
 * of each `units` times two panels, whose weights, bias and results follow each other. */
typedef struct cvi_stream {
    int64_t tiles, units;
    bool by_panel;          /* all pixels of two panels before the next two; else all panels of a tile */
    int64_t taps, channels; /* channels >= 4 */
    const float *const *x;
    int64_t offset;
    const float *w;
    cvi_tile tile; /* of the first block; `ahead` is of all blocks */
} cvi_stream;
typedef void cvi_micro_stream(const cvi_stream *s);
enum { CVI_STREAM_ROWS = 6 };
/* Depthwise block of M pixels: out[i*pitch + c] = sum over t of x[t*M + i][c] * w[t*channels + c], for all
 * channels (a multiple of 8); bias has `channels` numbers. */
typedef void cvi_micro_dw(int64_t taps, int64_t channels, const float *const *x, const float *w,
                          const cvi_tile *tile);

/* Depthwise rows (leaf_depthwise.c): the taps of some kernel rows, all inside the picture. */
typedef struct cvi_grid {
    int64_t rows, channels; /* kernel rows; channels are a multiple of 8 */
    int64_t x_row,
        x_step;     /* floats from one kernel row's input to the next, from one input pixel to the next */
    const float *w; /* weights of the first row's first tap; taps lie w_step apart */
    int64_t w_step;
} cvi_grid;
/* M neighbouring outputs; x: input of the first one's first tap. */
typedef void cvi_micro_grid(const cvi_grid *g, const float *x, const cvi_tile *tile);
/* Depthwise 3x3 of a rectangle of outputs (leaf_depthwise.c), 1 to CVI_SQUARE rows and columns. */
enum { CVI_SQUARE = 4, CVI_SQUARE_INPUTS = 2 * (CVI_SQUARE - 1) + 3 };
typedef struct cvi_square {
    const float *x[CVI_SQUARE_INPUTS][CVI_SQUARE_INPUTS]; /* every input that the outputs see, or zeros */
    const float *w; /* nine weights, w_step apart, for each of the `channels` (a multiple of 8) */
    int64_t w_step, channels,
        out_row; /* out_row: floats between rows of outputs; tile->pitch: between columns */
} cvi_square;
typedef void cvi_micro_square(const cvi_square *at, const cvi_tile *tile);
/* Taps in a row, and (after _) the step of the input where it is not 1. */
typedef enum cvi_grid_kind {
    CVI_GRID_1,
    CVI_GRID_2,
    CVI_GRID_3,
    CVI_GRID_3_2,
    CVI_GRID_5,
    CVI_GRID_5_2,
    CVI_GRID_7,
    CVI_N_GRIDS
} cvi_grid_kind;

/* A rectangle of output pixels as a gradient to weights sees it: positions of y and of the x under one tap. */
typedef struct cvi_rectangle {
    int64_t rows, columns;
    const float *x, *dy;                    /* at the first position */
    int64_t x_row, x_step, dy_row, dy_step; /* floats between rows, between columns */
} cvi_rectangle;
/* sum[i*16 + k] += sum over positions of x[i] * dy[k], i < M, k < 16 or 8. */
typedef void cvi_micro_outer(const cvi_rectangle *at, float *sum);

/* n floats; a, b: the operation's parameters. In place is allowed. */
typedef void cvi_map(float a, float b, int64_t n, const float *x, float *y);
typedef void cvi_zip(bool relu, int64_t n, const float *x, const float *y, float *z);

#define CVI_WINOGRAD_LEAVES(LEAF, O)                                                                         \
    LEAF(winograd_input_##O, (int64_t channels, const float *const *d, float *v, int64_t stride))            \
    LEAF(winograd_output_##O, (int64_t channels, const float *m, int64_t stride, int64_t rows,               \
                               int64_t columns, int64_t row_pitch, const cvi_tile *tile))                    \
    LEAF(winograd_weights_##O, (int64_t channels, int64_t width, const float *g, const int64_t order[9],     \
                                bool stream, float *u, int64_t stride))

/* Functions that have one form; LEAF(name, parameters). What each does is said where it is defined. */
#define CVI_LEAVES(LEAF)                                                                                     \
    LEAF(transpose,                                                                                          \
         (int64_t rows, int64_t columns, const float *in, int64_t ld_in, float *out, int64_t ld_out))        \
    LEAF(to_pixels,                                                                                          \
         (int64_t channels, int64_t count, const float *in, int64_t ld, float *out, int64_t pitch))          \
    LEAF(dot4, (int64_t n, const float *a, const float *b, int64_t ld, float *out))                          \
    LEAF(add_rows, (int64_t rows, int64_t n, const float *a, const float *b, int64_t ld, float *out))        \
    LEAF(outer_depthwise, (const cvi_rectangle *at, int64_t channels, float *sum))                           \
    LEAF(depthwise_border,                                                                                   \
         (const cvi_grid *g, int64_t columns, int64_t size, const float *x, const cvi_tile *tile))           \
    LEAF(pool_max, (int64_t count, int64_t channels, const float *const *x, const int32_t *place,            \
                    float *out, int32_t *position))                                                          \
    LEAF(pool_sum, (int64_t count, int64_t channels, const float *const *x, float scale, float *out))        \
    LEAF(sum_rows, (int64_t rows, int64_t channels, int64_t pitch, const float *x, float *out))              \
    LEAF(affine, (bool relu, int64_t n, const float *x, const float *scale, const float *shift, float *y))   \
    LEAF(prelu, (int64_t n, const float *x, const float *slope, float *y))                                   \
    LEAF(softmax, (bool logarithm, int64_t n, const float *x, float *y))                                     \
    LEAF(gate,                                                                                               \
         (const cvi_gate *gate, int64_t n, const float *g, const float *y, const float *base, float *dx))    \
    LEAF(multiply_add, (int64_t n, const float *x, const float *y, const float *base, float *out))           \
    LEAF(dot_rows,                                                                                           \
         (int64_t rows, int64_t channels, int64_t pitch, const float *x, const float *y, float *out))        \
    LEAF(pool_route, (int64_t count, int64_t channels, const float *const *x, const float *y,                \
                      const float *dy, float *const *dx))                                                    \
    LEAF(add_listed, (int64_t rows, int64_t n, const float *a, const float *const *b, float *out))           \
    LEAF(sum_listed, (int64_t count, int64_t n, const float *const *x, float *out))                          \
    LEAF(adam, (const cvi_adam *a, int64_t n, float *w, const float *g, float *m, float *v, float *top))     \
    CVI_WINOGRAD_LEAVES(LEAF, 2)                                                                             \
    CVI_WINOGRAD_LEAVES(LEAF, 4)                                                                             \
    LEAF(blend, (int64_t channels, const float *const corner[4], float wy, float wx, float *out))

struct cvi_kernels {
    const char *name;
    int rows;                  /* height of micro32, micro16 and micro8, 1..CVI_MAX_ROWS */
    int grid_rows, outer_rows; /* the same of depthwise and grid; of outer16 and outer8 */
    cvi_micro *const *micro32; /* [M], two panels of 16 that follow each other; or NULL */
    cvi_micro_stream *const (
        *stream32)[CVI_STREAM_ROWS + 1]; /* [tile.add is there][M], M = 1..CVI_STREAM_ROWS; or NULL */
    cvi_micro *const *micro16;           /* [M], M = 1..rows */
    cvi_micro *const *micro8;            /* [M] */
    cvi_micro_dw *const *depthwise;      /* [M] */
    cvi_micro_grid *const (*grid)[CVI_MAX_ROWS + 1]; /* [cvi_grid_kind][M] */
    cvi_micro_square *const (
        *square)[CVI_SQUARE][CVI_SQUARE]; /* [step - 1][rows - 1][columns - 1]; or NULL */
    cvi_micro_outer *const *outer16;      /* [M] */
    cvi_micro_outer *const *outer8;       /* [M] */
    cvi_map *const *unary;                /* [cvi_unary_op] */
    cvi_zip *const *binary;               /* [cvi_binary_op] */
#define CVI_LEAF_FIELD(name, parameters) void(*name) parameters;
    CVI_LEAVES(CVI_LEAF_FIELD)
#undef CVI_LEAF_FIELD
};

extern const cvi_kernels cvi_kernels_portable;
#if defined(__x86_64__) || defined(__i386__)
#define CVI_HAVE_X86 1 /* compiled in (meson.build), used where the CPU has it */
extern const cvi_kernels cvi_kernels_avx2;
extern const cvi_kernels cvi_kernels_avx512;
#endif

#endif
