/* SPDX-License-Identifier: MIT
 * leaf_back.c - inner loops of backward passes: through a limit, through the winners of a maximum pool, through a factor per
 * channel, and a row of gradients times a matrix of weights that is read in place.
 */
#include "kernels/leaf.h"

CVI_INLINE v8 load_up_to(const float *p, int64_t n) {
    float x[8] = {0};
    if (n >= 8) {
        return v8_load(p);
    }
    for (int64_t i = 0; i < n; i++) {
        x[i] = p[i];
    }
    return v8_load(x);
}

CVI_INLINE void store_up_to(float *p, v8 v, int64_t n) {
    float x[8];
    if (n >= 8) {
        v8_store(p, v);
        return;
    }
    v8_store(x, v);
    for (int64_t i = 0; i < n; i++) {
        p[i] = x[i];
    }
}

/* dx = (base or 0) + signal where lo < y < hi (y NULL: everywhere; a limit that is NaN is none), slope * signal elsewhere and
 * where y is NaN; the signal is g, or, positive, max(g, 0). A slope of 0 makes a clean 0 of infinities too. */
void CVI_LEAF(gate)(const cvi_gate *gate, int64_t n, const float *g, const float *y, const float *base,
                    float *dx) {
    const v8 lo = v8_all(gate->lo), hi = v8_all(gate->hi), slope = v8_all(gate->slope), zero = v8_zero();
    bool flat = gate->slope == 0.0F;
    for (int64_t i = 0; i < n; i += 8) {
        int64_t some = n - i;
        v8 v = load_up_to(g + i, some);
        if (gate->positive) {
            v = v8_select(v8_less(zero, v), v, zero);
        }
        if (y != NULL) {
            v8 at = load_up_to(y + i, some);
            v8i low = v8i_or(v8_less(at, lo), v8_equal(at, lo)),
                high = v8i_or(v8_less(hi, at), v8_equal(at, hi));
            v8i shut = v8i_or(v8i_or(low, high), v8_nan(at));
            v = v8_select(shut, flat ? zero : v8_mul(slope, v), v);
        }
        if (base != NULL) {
            v = v8_add(load_up_to(base + i, some), v);
        }
        store_up_to(dx + i, v, some);
    }
}

/* out = (base or 0) + x * y. */
void CVI_LEAF(multiply_add)(int64_t n, const float *x, const float *y, const float *base, float *out) {
    for (int64_t i = 0; i < n; i += 8) {
        int64_t some = n - i;
        v8 a = load_up_to(x + i, some), b = load_up_to(y + i, some);
        store_up_to(out + i, base != NULL ? v8_fma(a, b, load_up_to(base + i, some)) : v8_mul(a, b), some);
    }
}

/* out[c] += sum over rows of x[row*pitch + c] * y[row*pitch + c], channels a multiple of 8; in blocks of 32 rows. */
void CVI_LEAF(dot_rows)(int64_t rows, int64_t channels, int64_t pitch, const float *x, const float *y,
                        float *out) {
    for (int64_t c = 0; c < channels; c += 8) {
        v8 total = v8_load(out + c);
        for (int64_t r = 0; r < rows;) {
            int64_t end = r + 32 < rows ? r + 32 : rows;
            v8 sum = v8_zero();
            for (; r < end; r++) {
                sum = v8_fma(v8_load(x + r * pitch + c), v8_load(y + r * pitch + c), sum);
            }
            total = v8_add(total, sum);
        }
        v8_store(out + c, total);
    }
}

/* dx[t][c] += dy[c] for the first t with x[t][c] = y[c] (as bits, so that a NaN is found too); dx[t] NULL: not written. channels
 * a multiple of 8. */
void CVI_LEAF(pool_route)(int64_t count, int64_t channels, const float *const *x, const float *y,
                          const float *dy, float *const *dx) {
    for (int64_t c = 0; c < channels; c += 8) {
        v8i best = v8_bits(v8_load(y + c)), left = v8_bits(v8_load(dy + c)); /* what no element took yet */
        for (int64_t t = 0; t < count; t++) {
            v8i here = v8i_equal(v8_bits(v8_load(x[t] + c)), best);
            if (dx[t] != NULL) {
                v8_store(dx[t] + c, v8_add(v8_load(dx[t] + c), v8_from_bits(v8i_and(left, here))));
            }
            left = v8i_and(left, v8i_not(here));
        }
    }
}

/* out[j] += sum over i < rows of a[i] * b[i][j]; four rows per pass over out. */
void CVI_LEAF(add_listed)(int64_t rows, int64_t n, const float *a, const float *const *b, float *out) {
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        add_four(n, a + i, b + i, out);
    }
    for (; i < rows; i++) {
        v8 a0 = v8_all(a[i]);
        for (int64_t j = 0; j < n; j += 8) {
            int64_t some = n - j;
            store_up_to(out + j, v8_fma(a0, load_up_to(b[i] + j, some), load_up_to(out + j, some)), some);
        }
    }
}
