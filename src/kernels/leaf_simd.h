/* SPDX-License-Identifier: MIT
 * leaf_simd.h (internal to leaf_*.c) - eight floats at a time, on any CPU.
 * The portable level is two of the compiler's own 128-bit vectors, which every target has or lowers well (SSE,
 * NEON, WebAssembly, plain scalars); one 256-bit vector there makes gcc go through memory. The AVX2 level adds
 * fused multiply-add, the AVX-512 level twice the registers and, beside v8, v16: sixteen floats at a time.
 * Everything is a function, never an operator, so that v8 can be a struct.
 */
#ifndef CVI_LEAF_SIMD_H
#define CVI_LEAF_SIMD_H

#include <stdint.h>
#include <string.h>

#define CVI_INLINE static inline __attribute__((always_inline, unused))

/* Each level says how tall its blocks are: CVI_LEAF_ROWS (leaf_micro*.c), CVI_LEAF_GRID (leaf_depthwise.c), CVI_LEAF_OUTER
 * (leaf_outer.c); CVI_WIDE: it has v16. */
#if defined(CVI_LEVEL_AVX2) || defined(CVI_LEVEL_AVX512)

#include <immintrin.h>
#if defined(CVI_LEVEL_AVX512)
#define CVI_LEAF(name) cvi_avx512_##name
#define CVI_LEAF_ROWS  10 /* 10 x 2 accumulators as wide as a panel, two weights and a pixel in 32 */
#define CVI_LEAF_GRID  6
#define CVI_LEAF_OUTER 16
#define CVI_WIDE       1
#else
#define CVI_LEAF(name) cvi_avx2_##name
#define CVI_LEAF_ROWS  6 /* 6 x 2 accumulators, two weights and a pixel in 16 registers */
#define CVI_LEAF_GRID  6
#define CVI_LEAF_OUTER 6
#define CVI_WIDE       0
#endif

typedef __m256 v8;
typedef __m256i v8i; /* eight int32; as a mask every lane is 0 or -1 */

/* sum += a*b for the register blocks. With 16 registers written as the instruction itself: left free to choose which operand
 * is overwritten, gcc 12 copies accumulators about and runs out of registers. With 32 it is the better one to choose. */
#if CVI_WIDE
#define V8_ACCUMULATE(sum, a, b) ((sum) = _mm256_fmadd_ps(a, b, sum))
#else
#define V8_ACCUMULATE(sum, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#endif

CVI_INLINE v8 v8_all(float x) {
    return _mm256_set1_ps(x);
}
CVI_INLINE v8i v8i_all(int32_t x) {
    return _mm256_set1_epi32(x);
}
CVI_INLINE v8 v8_load(const float *p) {
    return _mm256_loadu_ps(p);
}
CVI_INLINE void v8_store(float *p, v8 v) {
    _mm256_storeu_ps(p, v);
}
/* Past the caches, to 32-byte aligned memory; v8_stream_end() before another thread may read it. */
CVI_INLINE void v8_stream(float *p, v8 v) {
    _mm256_stream_ps(p, v);
}
CVI_INLINE void v8_stream_end(void) {
    _mm_sfence();
}
CVI_INLINE void v8i_store(int32_t *p, v8i v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}
CVI_INLINE v8i v8i_load(const int32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
CVI_INLINE v8i v8i_equal(v8i a, v8i b) {
    return _mm256_cmpeq_epi32(a, b);
}
CVI_INLINE v8 v8_add(v8 a, v8 b) {
    return _mm256_add_ps(a, b);
}
CVI_INLINE v8 v8_sub(v8 a, v8 b) {
    return _mm256_sub_ps(a, b);
}
CVI_INLINE v8 v8_mul(v8 a, v8 b) {
    return _mm256_mul_ps(a, b);
}
CVI_INLINE v8 v8_div(v8 a, v8 b) {
    return _mm256_div_ps(a, b);
}
CVI_INLINE v8 v8_sqrt(v8 a) {
    return _mm256_sqrt_ps(a);
}
/* a*b + c, and c - a*b */
CVI_INLINE v8 v8_fma(v8 a, v8 b, v8 c) {
    return _mm256_fmadd_ps(a, b, c);
}
CVI_INLINE v8 v8_fnma(v8 a, v8 b, v8 c) {
    return _mm256_fnmadd_ps(a, b, c);
}
/* Both return x where x or the limit is NaN: a NaN must not vanish in a ReLU. */
CVI_INLINE v8 v8_max(v8 limit, v8 x) {
    return _mm256_max_ps(limit, x);
}
CVI_INLINE v8 v8_min(v8 limit, v8 x) {
    return _mm256_min_ps(limit, x);
}
/* Comparisons are false where a number is NaN. */
CVI_INLINE v8i v8_less(v8 a, v8 b) {
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
CVI_INLINE v8i v8_equal(v8 a, v8 b) {
    return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}
CVI_INLINE v8 v8_select(v8i mask, v8 yes, v8 no) {
    return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(mask));
}
CVI_INLINE v8i v8_bits(v8 a) {
    return _mm256_castps_si256(a);
}
CVI_INLINE v8 v8_from_bits(v8i a) {
    return _mm256_castsi256_ps(a);
}
CVI_INLINE v8i v8i_and(v8i a, v8i b) {
    return _mm256_and_si256(a, b);
}
CVI_INLINE v8i v8i_or(v8i a, v8i b) {
    return _mm256_or_si256(a, b);
}
CVI_INLINE v8i v8i_add(v8i a, v8i b) {
    return _mm256_add_epi32(a, b);
}
CVI_INLINE v8i v8i_sub(v8i a, v8i b) {
    return _mm256_sub_epi32(a, b);
}
#define v8i_left(a, n)  _mm256_slli_epi32(a, n)
#define v8i_right(a, n) _mm256_srai_epi32(a, n) /* keeps the sign */
CVI_INLINE v8 v8_from_int(v8i a) {
    return _mm256_cvtepi32_ps(a);
}

#if CVI_WIDE
typedef __m512 v16;
#define V16_ACCUMULATE(sum, a, b) ((sum) = _mm512_fmadd_ps(a, b, sum))
/* sum += a * (the number x in memory, in all lanes) */
#define V16_ACCUMULATE_ALL(sum, a, x) __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(x))
#define V8_ACCUMULATE_ALL(sum, a, x)  __asm__("vfmadd231ps %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(a), "m"(x))

CVI_INLINE v16 v16_all(float x) {
    return _mm512_set1_ps(x);
}
CVI_INLINE v16 v16_zero(void) {
    return _mm512_setzero_ps();
}
CVI_INLINE v16 v16_load(const float *p) {
    return _mm512_loadu_ps(p);
}
CVI_INLINE void v16_store(float *p, v16 v) {
    _mm512_storeu_ps(p, v);
}
CVI_INLINE v16 v16_add(v16 a, v16 b) {
    return _mm512_add_ps(a, b);
}
CVI_INLINE v16 v16_sub(v16 a, v16 b) {
    return _mm512_sub_ps(a, b);
}
CVI_INLINE v16 v16_mul(v16 a, v16 b) {
    return _mm512_mul_ps(a, b);
}
/* a*b + c, and c - a*b */
CVI_INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
    return _mm512_fmadd_ps(a, b, c);
}
CVI_INLINE v16 v16_fnma(v16 a, v16 b, v16 c) {
    return _mm512_fnmadd_ps(a, b, c);
}
/* Both return x where x or the limit is NaN, as v8_max. */
CVI_INLINE v16 v16_max(v16 limit, v16 x) {
    return _mm512_max_ps(limit, x);
}
CVI_INLINE v16 v16_min(v16 limit, v16 x) {
    return _mm512_min_ps(limit, x);
}
#endif

#else

#include <math.h>
#define CVI_LEAF(name) cvi_portable_##name
#if defined(__aarch64__)
#define CVI_LEAF_ROWS  6 /* 32 registers of 128 bits */
#define CVI_LEAF_GRID  6
#define CVI_LEAF_OUTER 6
#else
#define CVI_LEAF_ROWS  2 /* 16 of them */
#define CVI_LEAF_GRID  2
#define CVI_LEAF_OUTER 2
#endif
#define CVI_WIDE 0

typedef float v4 __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
typedef uint32_t v4u __attribute__((vector_size(16))); /* sums of integers may wrap around */
typedef struct v8 {
    v4 l, h;
} v8;
typedef struct v8i {
    v4i l, h;
} v8i;

#define V8_ACCUMULATE(sum, a, b) ((sum).l += (a).l * (b).l, (sum).h += (a).h * (b).h)

CVI_INLINE v8 v8_all(float x) {
    return (v8){{x, x, x, x}, {x, x, x, x}};
}
CVI_INLINE v8i v8i_all(int32_t x) {
    return (v8i){{x, x, x, x}, {x, x, x, x}};
}
/* memcpy is how C says "unaligned"; compilers make one instruction of it. */
CVI_INLINE v8 v8_load(const float *p) {
    v8 v;
    memcpy(&v.l, p, sizeof v.l);
    memcpy(&v.h, p + 4, sizeof v.h);
    return v;
}
CVI_INLINE void v8_store(float *p, v8 v) {
    memcpy(p, &v.l, sizeof v.l);
    memcpy(p + 4, &v.h, sizeof v.h);
}
CVI_INLINE void v8_stream(float *p, v8 v) {
    v8_store(p, v);
}
CVI_INLINE void v8_stream_end(void) {
}
CVI_INLINE void v8i_store(int32_t *p, v8i v) {
    memcpy(p, &v.l, sizeof v.l);
    memcpy(p + 4, &v.h, sizeof v.h);
}
CVI_INLINE v8i v8i_load(const int32_t *p) {
    v8i v;
    memcpy(&v.l, p, sizeof v.l);
    memcpy(&v.h, p + 4, sizeof v.h);
    return v;
}
CVI_INLINE v8i v8i_equal(v8i a, v8i b) {
    return (v8i){a.l == b.l, a.h == b.h};
}
CVI_INLINE v8 v8_add(v8 a, v8 b) {
    return (v8){a.l + b.l, a.h + b.h};
}
CVI_INLINE v8 v8_sub(v8 a, v8 b) {
    return (v8){a.l - b.l, a.h - b.h};
}
CVI_INLINE v8 v8_mul(v8 a, v8 b) {
    return (v8){a.l * b.l, a.h * b.h};
}
CVI_INLINE v8 v8_div(v8 a, v8 b) {
    return (v8){a.l / b.l, a.h / b.h};
}
CVI_INLINE v8 v8_sqrt(v8 a) {
    for (int i = 0; i < 4; i++) {
        a.l[i] = sqrtf(a.l[i]);
        a.h[i] = sqrtf(a.h[i]);
    }
    return a;
}
/* a*b + c, and c - a*b */
CVI_INLINE v8 v8_fma(v8 a, v8 b, v8 c) {
    return (v8){a.l * b.l + c.l, a.h * b.h + c.h};
}
CVI_INLINE v8 v8_fnma(v8 a, v8 b, v8 c) {
    return (v8){c.l - a.l * b.l, c.h - a.h * b.h};
}
CVI_INLINE v8 v8_select(v8i m, v8 yes, v8 no) {
    return (v8){(v4)((m.l & (v4i)yes.l) | (~m.l & (v4i)no.l)), (v4)((m.h & (v4i)yes.h) | (~m.h & (v4i)no.h))};
}
/* Comparisons are false where a number is NaN. */
CVI_INLINE v8i v8_less(v8 a, v8 b) {
    return (v8i){a.l < b.l, a.h < b.h};
}
CVI_INLINE v8i v8_equal(v8 a, v8 b) {
    return (v8i){a.l == b.l, a.h == b.h};
}
/* Both return x where x or the limit is NaN: a NaN must not vanish in a ReLU. */
CVI_INLINE v8 v8_max(v8 limit, v8 x) {
    return v8_select(v8_less(x, limit), limit, x);
}
CVI_INLINE v8 v8_min(v8 limit, v8 x) {
    return v8_select(v8_less(limit, x), limit, x);
}
CVI_INLINE v8i v8_bits(v8 a) {
    return (v8i){(v4i)a.l, (v4i)a.h};
}
CVI_INLINE v8 v8_from_bits(v8i a) {
    return (v8){(v4)a.l, (v4)a.h};
}
CVI_INLINE v8i v8i_and(v8i a, v8i b) {
    return (v8i){a.l & b.l, a.h & b.h};
}
CVI_INLINE v8i v8i_or(v8i a, v8i b) {
    return (v8i){a.l | b.l, a.h | b.h};
}
CVI_INLINE v8i v8i_add(v8i a, v8i b) {
    return (v8i){(v4i)((v4u)a.l + (v4u)b.l), (v4i)((v4u)a.h + (v4u)b.h)};
}
CVI_INLINE v8i v8i_sub(v8i a, v8i b) {
    return (v8i){(v4i)((v4u)a.l - (v4u)b.l), (v4i)((v4u)a.h - (v4u)b.h)};
}
#define v8i_left(a, n)           ((v8i){(v4i)((v4u)(a).l << (n)), (v4i)((v4u)(a).h << (n))})
#define v8i_right(a, n)          ((v8i){(a).l >> (n), (a).h >> (n)}) /* keeps the sign */
CVI_INLINE v8 v8_from_int(v8i a) {
    return (v8){__builtin_convertvector(a.l, v4), __builtin_convertvector(a.h, v4)};
}

#endif

CVI_INLINE v8 v8_zero(void) {
    return v8_all(0.0F);
}
CVI_INLINE v8i v8i_not(v8i a) {
    return v8i_sub(v8i_all(-1), a);
}
CVI_INLINE v8 v8_abs(v8 a) {
    return v8_from_bits(v8i_and(v8_bits(a), v8i_all(0x7FFFFFFF)));
}
CVI_INLINE v8 v8_neg(v8 a) {
    return v8_sub(v8_all(-0.0F), a);
}
/* True lanes where a is NaN. */
CVI_INLINE v8i v8_nan(v8 a) {
    return v8i_not(v8_equal(a, a));
}

#endif
