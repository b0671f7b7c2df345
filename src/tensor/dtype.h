/* SPDX-License-Identifier: MIT
 * dtype.h - element types below the public interface: half floats bit by bit, and conversion of runs of
 * elements, for readers that convert while they copy.
 */
#ifndef CVI_DTYPE_H
#define CVI_DTYPE_H

#include "convscope/tensor.h"

/* Exact widening; narrowing rounds to nearest even, overflow gives infinity, NaN stays NaN. */
float cvi_f16_to_f32(uint16_t half);
uint16_t cvi_f64_to_f16(double x);
float cvi_bf16_to_f32(uint16_t bits);
uint16_t cvi_f64_to_bf16(double x);

/* Converts n elements as cvs_tensor_convert does. The two arrays must not overlap; they need no alignment. */
void cvi_convert(void *dst, cvs_dtype dst_type, const void *src, cvs_dtype src_type, int64_t n);

/* Reverses the bytes of n elements of `size` bytes in place. */
void cvi_swap_bytes(void *data, size_t size, int64_t n);

#endif
