/* SPDX-License-Identifier: MIT
 * kernel_table.h (internal to src/kernels) - the innermost loops of one CPU level as a table of functions.
 * leaf_*.c are compiled once per level (names end in the level's); everything else in this folder is
 * compiled once and reaches them through this table, so that a level is only loops, never logic.
 */
#ifndef CVI_KERNEL_TABLE_H
#define CVI_KERNEL_TABLE_H

#include "kernels/kernels.h"

#define CVI_MAX_ROWS 6 /* most pixels of a register block on any level */

/* What a register block stores: out[i*pitch + 0..width) = clamp(bias + sum + add[i*pitch + ...]). */
typedef struct cvi_tile {
    const float *bias; /* `width` numbers */
    const float *add;  /* or NULL */
    float *out;
    int64_t pitch;
    bool clamp;
    float lo, hi;
} cvi_tile;

/* Register block of M pixels (M is fixed by the function) x 16 or 8 output channels:
 * sum over taps t < taps and channels c < channels of x[t*M + i][offset + c] * w[(t*channels + c)*width + j]. */
typedef void cvi_micro(int64_t taps, int64_t channels, const float *const *x, int64_t offset, const float *w,
                       const cvi_tile *tile);
/* Depthwise block of M pixels: out[i*pitch + c] = sum over t of x[t*M + i][c] * w[t*channels + c], for all
 * channels (a multiple of 8); bias has `channels` numbers. */
typedef void cvi_micro_dw(int64_t taps, int64_t channels, const float *const *x, const float *w,
                          const cvi_tile *tile);

struct cvi_kernels {
    const char *name;
    int rows;                       /* register block height, 1..CVI_MAX_ROWS */
    cvi_micro *const *micro16;      /* [M], M = 1..rows */
    cvi_micro *const *micro8;       /* [M] */
    cvi_micro_dw *const *depthwise; /* [M] */
};

extern const cvi_kernels cvi_kernels_portable;
#if defined(__x86_64__) || defined(__i386__)
#define CVI_HAVE_AVX2 1 /* compiled in (meson.build), used where the CPU has it */
extern const cvi_kernels cvi_kernels_avx2;
#endif

#endif
