/* SPDX-License-Identifier: MIT
 * leaf_math.h (internal to leaf_*.c) - exp, log, tanh, erf of eight floats.
 * Series on a reduced argument, coefficients straight from the Taylor expansions (named beside each), with enough
 * terms that the first one left out is below a tenth of a float's last place. The unit test measures the errors.
 */
#ifndef CVI_LEAF_MATH_H
#define CVI_LEAF_MATH_H

#include "kernels/leaf_simd.h"

#define LN2_HIGH 0.693359375F      /* nine bits, so that n*LN2_HIGH is exact */
#define LN2_LOW  (-2.12194440e-4F) /* ln 2 - LN2_HIGH */

/* 2^n for n in [-126,127]. */
CVI_INLINE v8 v8_power_of_two(v8i n) {
    return v8_from_bits(v8i_left(v8i_add(n, v8i_all(127)), 23));
}

/* x = n ln 2 + r with |r| <= ln 2 / 2; returns r. Adding 1.5*2^23 rounds to the nearest integer and leaves it in
 * the low bits. |x| < 2^20. */
CVI_INLINE v8 v8_reduce(v8 x, v8i *n) {
    const v8 magic = v8_all(12582912.0F);
    v8 shifted = v8_fma(x, v8_all(1.44269504F), magic);
    v8 count = v8_sub(shifted, magic);
    *n = v8i_sub(v8_bits(shifted), v8i_all(0x4B400000));
    return v8_fnma(count, v8_all(LN2_LOW), v8_fnma(count, v8_all(LN2_HIGH), x));
}

/* exp(r) - 1 for |r| <= ln 2 / 2: r + r^2/2! + ... + r^8/8! */
CVI_INLINE v8 v8_expm1_reduced(v8 r) {
    v8 p = v8_fma(r, v8_all(1.0F / 40320), v8_all(1.0F / 5040));
    p = v8_fma(r, p, v8_all(1.0F / 720));
    p = v8_fma(r, p, v8_all(1.0F / 120));
    p = v8_fma(r, p, v8_all(1.0F / 24));
    p = v8_fma(r, p, v8_all(1.0F / 6));
    p = v8_fma(r, p, v8_all(0.5F));
    return v8_fma(v8_mul(r, r), p, r);
}

/* 2^n is applied as two factors so that results beyond the normal range come out as denormals or infinity. */
CVI_INLINE v8 v8_exp(v8 x) {
    v8i n;
    v8 r = v8_reduce(v8_min(v8_all(100.0F), v8_max(v8_all(-110.0F), x)), &n);
    v8i half = v8i_right(n, 1);
    v8 e = v8_add(v8_expm1_reduced(r), v8_all(1.0F));
    return v8_mul(v8_mul(e, v8_power_of_two(half)), v8_power_of_two(v8i_sub(n, half)));
}

/* exp(x) - 1 for x <= 44 without cancellation near 0: 2^n*(exp(r)-1) + (2^n - 1). */
CVI_INLINE v8 v8_expm1(v8 x) {
    v8i n;
    v8 r = v8_reduce(v8_min(v8_all(44.0F), v8_max(v8_all(-40.0F), x)), &n);
    v8 scale = v8_power_of_two(n);
    return v8_fma(scale, v8_expm1_reduced(r), v8_sub(scale, v8_all(1.0F)));
}

/* 2 atanh(s) = log((1+s)/(1-s)) = 2 (s + s^3/3 + s^5/5 + ...) for |s| <= 1/3. */
CVI_INLINE v8 v8_two_atanh(v8 s) {
    v8 q = v8_mul(s, s);
    v8 p = v8_fma(q, v8_all(2.0F / 15), v8_all(2.0F / 13));
    p = v8_fma(q, p, v8_all(2.0F / 11));
    p = v8_fma(q, p, v8_all(2.0F / 9));
    p = v8_fma(q, p, v8_all(2.0F / 7));
    p = v8_fma(q, p, v8_all(2.0F / 5));
    p = v8_fma(q, p, v8_all(2.0F / 3));
    return v8_fma(v8_mul(s, q), p, v8_add(s, s));
}

/* log(1+y) for y in [0,1]. */
CVI_INLINE v8 v8_log1p_unit(v8 y) {
    return v8_two_atanh(v8_div(y, v8_add(y, v8_all(2.0F))));
}

CVI_INLINE v8 v8_log(v8 x) {
    const v8 infinity = v8_from_bits(v8i_all(0x7F800000));
    v8i small = v8_less(x, v8_all(1.17549435e-38F)); /* denormals are scaled up first */
    v8 m = v8_select(small, v8_mul(x, v8_all(8388608.0F)), x);
    /* x = m 2^e with m in [sqrt(1/2), sqrt 2): subtracting sqrt(1/2)'s bits moves the cut there. */
    v8i bits = v8i_sub(v8_bits(m), v8i_all(0x3F3504F3));
    v8i e = v8i_right(bits, 23);
    m = v8_from_bits(v8i_add(v8i_and(bits, v8i_all(0x007FFFFF)), v8i_all(0x3F3504F3)));
    v8 n = v8_from_int(v8i_sub(e, v8i_and(small, v8i_all(23))));
    v8 f = v8_sub(m, v8_all(1.0F));
    v8 y = v8_two_atanh(v8_div(f, v8_add(f, v8_all(2.0F))));
    y = v8_fma(n, v8_all(LN2_HIGH), v8_fma(n, v8_all(LN2_LOW), y));
    y = v8_select(v8_equal(x, infinity), infinity, y);
    y = v8_select(v8_equal(x, v8_zero()), v8_neg(infinity), y);
    v8i wrong = v8i_or(v8_less(x, v8_zero()), v8_nan(x));
    return v8_select(wrong, v8_from_bits(v8i_all(0x7FC00000)), y);
}

/* |x| with the sign of `of`. */
CVI_INLINE v8 v8_sign_of(v8 x, v8 of) {
    v8i sign = v8i_all((int32_t)-2147483647 - 1);
    return v8_from_bits(v8i_or(v8_bits(v8_abs(x)), v8i_and(v8_bits(of), sign)));
}

/* tanh|x| = t/(t+2) with t = exp(2|x|) - 1. */
CVI_INLINE v8 v8_tanh(v8 x) {
    v8 a = v8_min(v8_all(11.0F), v8_abs(x));
    v8 t = v8_expm1(v8_add(a, a));
    return v8_sign_of(v8_div(t, v8_add(t, v8_all(2.0F))), x);
}

/* 1/(1+e) or e/(1+e) with e = exp(-|x|): no overflow, and small results keep their digits. */
CVI_INLINE v8 v8_sigmoid(v8 x) {
    v8 e = v8_exp(v8_neg(v8_abs(x))), one = v8_all(1.0F);
    return v8_div(v8_select(v8_less(x, v8_zero()), e, one), v8_add(one, e));
}

/* log(1 + exp x) = max(x,0) + log(1 + exp(-|x|)) */
CVI_INLINE v8 v8_softplus(v8 x) {
    v8 tail = v8_log1p_unit(v8_exp(v8_neg(v8_abs(x))));
    return v8_add(v8_max(v8_zero(), x), tail);
}

/* Near 0 the Taylor series 2/sqrt(pi) (x - x^3/3 + x^5/10 - x^7/42 + ...); elsewhere formula 7.1.26 of Abramowitz
 * and Stegun (absolute error 1.5e-7). */
CVI_INLINE v8 v8_erf(v8 x) {
    v8 q = v8_mul(x, x), a = v8_abs(x);
    v8 p = v8_fma(q, v8_all(1.0F / 9360), v8_all(-1.0F / 1320));
    p = v8_fma(q, p, v8_all(1.0F / 216));
    p = v8_fma(q, p, v8_all(-1.0F / 42));
    p = v8_fma(q, p, v8_all(0.1F));
    p = v8_fma(q, p, v8_all(-1.0F / 3));
    v8 near = v8_mul(v8_all(1.12837917F), v8_fma(v8_mul(x, q), p, x));
    v8 t = v8_div(v8_all(1.0F), v8_fma(a, v8_all(0.3275911F), v8_all(1.0F)));
    v8 s = v8_fma(t, v8_all(1.061405429F), v8_all(-1.453152027F));
    s = v8_fma(t, s, v8_all(1.421413741F));
    s = v8_fma(t, s, v8_all(-0.284496736F));
    s = v8_mul(t, v8_fma(t, s, v8_all(0.254829592F)));
    v8 far = v8_sign_of(v8_fnma(s, v8_exp(v8_neg(q)), v8_all(1.0F)), x);
    far = v8_select(v8_nan(x), x, far);
    return v8_select(v8_less(a, v8_all(0.5F)), near, far);
}

#endif
