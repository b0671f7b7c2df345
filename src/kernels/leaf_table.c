/* SPDX-License-Identifier: MIT
 * leaf_table.c - the table of inner loops of one CPU level (compiled once per level).
 */
#include "kernels/leaf.h"

#if defined(CVI_LEVEL_AVX512)
#define TABLE      cvi_kernels_avx512
#define LEVEL_NAME "avx512"
#elif defined(CVI_LEVEL_AVX2)
#define TABLE      cvi_kernels_avx2
#define LEVEL_NAME "avx2"
#else
#define TABLE      cvi_kernels_portable
#define LEVEL_NAME "portable"
#endif

const cvi_kernels TABLE = {.name = LEVEL_NAME,
                           .rows = CVI_LEAF_ROWS,
                           .grid_rows = CVI_LEAF_GRID,
                           .outer_rows = CVI_LEAF_OUTER,
#if CVI_WIDE
                           .micro32 = CVI_LEAF(micro32),
                           .stream32 = CVI_LEAF(stream32),
                           .square = CVI_LEAF(square),
#endif
                           .micro16 = CVI_LEAF(micro16),
                           .micro8 = CVI_LEAF(micro8),
                           .depthwise = CVI_LEAF(depthwise),
                           .grid = CVI_LEAF(grid),
                           .outer16 = CVI_LEAF(outer16),
                           .outer8 = CVI_LEAF(outer8),
                           .unary = CVI_LEAF(unary),
                           .binary = CVI_LEAF(binary),
#define LEAF_ENTRY(name, parameters) .name = CVI_LEAF(name),
                           CVI_LEAVES(LEAF_ENTRY)};
