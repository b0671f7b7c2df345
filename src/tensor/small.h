/* SPDX-License-Identifier: MIT
 * small.h (internal) - element types of 8 bits and less: the 8-bit floats, the 4-bit float, integers of 4 and 2 bits. In memory every
 * element is one byte: the bits of a float, the number itself of an integer. Only files pack them, the first element in the low bits.
 */
#ifndef CVI_SMALL_H
#define CVI_SMALL_H

#include "convscope/tensor.h"

static inline bool cvi_is_small_float(cvs_dtype t) {
    return (t >= CVS_F8E4M3FN && t <= CVS_F8E5M2FNUZ) || t == CVS_F4E2M1 || t == CVS_F8E8M0;
}

/* Bits of an element in a file: 8, 4 or 2; 0 for every other type. */
int cvi_small_bits(cvs_dtype t);
/* Bytes that n elements (n >= 0) take in a file: packed, the last byte filled with zeros. */
int64_t cvi_small_bytes(cvs_dtype t, int64_t n);
/* Packed elements into bytes, one each, and back; types of 8 bits are copied. */
void cvi_small_unpack(cvs_dtype t, const uint8_t *packed, int64_t n, uint8_t *out);
void cvi_small_pack(cvs_dtype t, const uint8_t *in, int64_t n, uint8_t *packed);

/* The number that a byte in memory stands for. */
double cvi_small_get(cvs_dtype t, uint8_t byte);
/* How a number becomes a small float: rounded to nearest even. What is too large becomes the largest number where `saturate`, else
 * infinity or NaN, whichever the type has. `round` ("up", "down", "nearest") is for float8e8m0 alone, whose numbers are powers of two. */
typedef struct cvi_small_how {
    bool saturate;
    char round; /* 'u', 'd', 'n' */
} cvi_small_how;
uint8_t cvi_small_put(cvs_dtype t, double v, cvi_small_how how);
/* An integer of 4 or 2 bits: the low bits of v, as wider integers wrap. */
uint8_t cvi_small_wrap(cvs_dtype t, int64_t v);

#endif
