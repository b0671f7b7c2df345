/* SPDX-License-Identifier: MIT
 * conv_loops.h (internal) - the three sums of a convolution, plain: its output, the gradient of its input (= a transposed
 * convolution's output) and the gradient of its kernel. Conv and ConvTranspose call the same three with sides swapped.
 * Sizes: large [n, channels, w.in], small [n, filters, w.out], kernel [filters, channels/groups, w.kernel]; float32, float64 or
 * any other type that cvi_get reads. Sums in double, in one order whatever the number of threads.
 */
#ifndef CVI_CONV_LOOPS_H
#define CVI_CONV_LOOPS_H

#include "ops/window.h"

typedef struct cvi_conv_sides {
    cvi_window w;
    int64_t n, channels, filters, groups;
    cvs_dtype dtype;
    bool large; /* the operator's output is the large side (ConvTranspose) */
} cvi_conv_sides;

/* small = conv(large) + bias[filters] (bias NULL: none); add: += instead. */
void cvi_conv_small(const cvi_conv_sides *s, const void *large, const void *kernel, const void *bias,
                    void *small, bool add, cvi_pool *pool);
/* large = transposed conv(small) + bias[channels]; add: += instead. */
void cvi_conv_large(const cvi_conv_sides *s, const void *small, const void *kernel, const void *bias,
                    void *large, bool add, cvi_pool *pool);
/* gkernel += the kernel's gradient from the large side's values and the small side's gradient (or the other way round). */
void cvi_conv_kernel(const cvi_conv_sides *s, const void *large, const void *small, void *gkernel,
                     cvi_pool *pool);
/* gbias[channels] += sums of g [n, channels, positions]. */
void cvi_conv_sum_bias(cvs_dtype dtype, int64_t n, int64_t channels, int64_t positions, const void *g,
                       void *gbias, cvi_pool *pool);

#endif
