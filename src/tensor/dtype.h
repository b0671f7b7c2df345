/* SPDX-License-Identifier: MIT
 * dtype.h (internal) - conversion of runs of elements, for readers that convert while they copy.
 */
#ifndef CVI_DTYPE_H
#define CVI_DTYPE_H

#include "convscope/tensor.h"

/* Converts n elements as cvs_tensor_convert does. The two arrays must not overlap; they need no alignment. */
void cvi_convert(void *dst, cvs_dtype dst_type, const void *src, cvs_dtype src_type, int64_t n);

/* Reverses the bytes of n elements of `size` bytes in place. */
void cvi_swap_bytes(void *data, size_t size, int64_t n);

#endif
