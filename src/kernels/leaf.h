/* SPDX-License-Identifier: MIT
 * leaf.h (internal to leaf_*.c) - the inner loops of one level by name, for leaf_table.c to collect.
 */
#ifndef CVI_LEAF_H
#define CVI_LEAF_H

#include "kernels/kernel_table.h"
#include "kernels/leaf_simd.h"

/* X once per row of a register block: named accumulators a0, a1, ... come from these lists. */
#define ROWS1(X) X(0)
#define ROWS2(X) ROWS1(X) X(1)
#define ROWS3(X) ROWS2(X) X(2)
#define ROWS4(X) ROWS3(X) X(3)
#define ROWS5(X) ROWS4(X) X(4)
#define ROWS6(X) ROWS5(X) X(5)

/* The functions name_1 ... name_M of a level, indexed by M. */
#if CVI_LEAF_ROWS == 6
#define CVI_BLOCKS(name)                                                                                     \
    { NULL, name##_1, name##_2, name##_3, name##_4, name##_5, name##_6 }
#else
#define CVI_BLOCKS(name)                                                                                     \
    { NULL, name##_1, name##_2 }
#endif

extern cvi_micro *const CVI_LEAF(micro16)[CVI_MAX_ROWS + 1];
extern cvi_micro *const CVI_LEAF(micro8)[CVI_MAX_ROWS + 1];
extern cvi_micro_dw *const CVI_LEAF(depthwise)[CVI_MAX_ROWS + 1];
extern cvi_micro_grid *const CVI_LEAF(grid)[CVI_N_GRIDS][CVI_MAX_ROWS + 1];
extern cvi_micro_outer *const CVI_LEAF(outer16)[CVI_MAX_ROWS + 1];
extern cvi_micro_outer *const CVI_LEAF(outer8)[CVI_MAX_ROWS + 1];
extern cvi_map *const CVI_LEAF(unary)[CVI_N_UNARY];
extern cvi_zip *const CVI_LEAF(binary)[CVI_N_BINARY];
#define CVI_LEAF_DECLARATION(name, parameters) void CVI_LEAF(name) parameters;
CVI_LEAVES(CVI_LEAF_DECLARATION)
#undef CVI_LEAF_DECLARATION

#endif
