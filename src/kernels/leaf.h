/* SPDX-License-Identifier: MIT
 * leaf.h (internal to leaf_*.c) - the inner loops of one level by name, for leaf_table.c to collect.
 */
#ifndef CVI_LEAF_H
#define CVI_LEAF_H

#include "kernels/kernel_table.h"
#include "kernels/leaf_simd.h"

extern cvi_micro *const CVI_LEAF(micro16)[CVI_MAX_ROWS + 1];
extern cvi_micro *const CVI_LEAF(micro8)[CVI_MAX_ROWS + 1];
extern cvi_micro_dw *const CVI_LEAF(depthwise)[CVI_MAX_ROWS + 1];
extern cvi_map *const CVI_LEAF(unary)[CVI_N_UNARY];
extern cvi_zip *const CVI_LEAF(binary)[CVI_N_BINARY];
#define CVI_LEAF_DECLARATION(name, parameters) void CVI_LEAF(name) parameters;
CVI_LEAVES(CVI_LEAF_DECLARATION)
#undef CVI_LEAF_DECLARATION

#endif
