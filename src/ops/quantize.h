/* SPDX-License-Identifier: MIT
 * quantize.h (internal) - rounding into small integer types, shared by the quantised operators.
 */
#ifndef CVI_OPS_QUANTIZE_H
#define CVI_OPS_QUANTIZE_H

#include "ops/walk.h"

/* Integers of 16 bits and less. */
bool cvi_is_small_integer(cvs_dtype dtype);
/* Smallest and largest number of such a type. */
void cvi_integer_range(cvs_dtype dtype, double *lo, double *hi);
/* Nearest whole number (halves to even) that the type holds. */
double cvi_saturate(double v, cvs_dtype dtype);

#endif
