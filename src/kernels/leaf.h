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

#endif
