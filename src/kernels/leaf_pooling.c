/* SPDX-License-Identifier: MIT
 * leaf_pooling.c - one output pixel of a pooling layer, eight channels at a time.
 * The caller lists the addresses of the window's elements that lie inside the picture, in row-major order.
 */
#include <math.h>

#include "kernels/leaf.h"

/* A NaN beats every number, and the first of equals stays: x wins over best if x > best, or x is NaN and best is
 * not. */
CVI_INLINE v8i beats(v8 x, v8 best) {
    return v8i_and(v8i_or(v8_less(best, x), v8_nan(x)), v8_equal(best, best));
}

/* out[c] = maximum; position (or NULL) [c] = place[t] of the winner. count >= 1, channels a multiple of 8. */
void CVI_LEAF(pool_max)(int64_t count, int64_t channels, const float *const *x, const int32_t *place,
                        float *out, int32_t *position) {
    for (int64_t c = 0; c < channels; c += 8) {
        v8 best = v8_load(x[0] + c);
        if (position == NULL) { /* NaNs are only remembered, and told at the end */
            v8i nan = v8_nan(best);
            for (int64_t t = 1; t < count; t++) {
                v8 v = v8_load(x[t] + c);
                nan = v8i_or(nan, v8_nan(v));
                best = v8_max(v, best); /* of equals (-0 and 0) the first */
            }
            best = v8_select(nan, v8_all(NAN), best);
        } else {
            v8 at = v8_from_bits(v8i_all(place[0]));
            for (int64_t t = 1; t < count; t++) {
                v8 v = v8_load(x[t] + c);
                v8i wins = beats(v, best);
                best = v8_select(wins, v, best);
                at = v8_select(wins, v8_from_bits(v8i_all(place[t])), at);
            }
            v8i_store(position + c, v8_bits(at));
        }
        v8_store(out + c, best);
    }
}

/* out[c] = scale * sum. */
void CVI_LEAF(pool_sum)(int64_t count, int64_t channels, const float *const *x, float scale, float *out) {
    for (int64_t c = 0; c < channels; c += 8) {
        v8 sum = v8_zero();
        for (int64_t t = 0; t < count; t++) {
            sum = v8_add(sum, v8_load(x[t] + c));
        }
        v8_store(out + c, v8_mul(sum, v8_all(scale)));
    }
}

/* out[c] += sum over rows of x[row*pitch + c]; in blocks of 32 rows, so that a long sum loses little. */
void CVI_LEAF(sum_rows)(int64_t rows, int64_t channels, int64_t pitch, const float *x, float *out) {
    int64_t c = 0;
    for (; c + 8 <= channels; c += 8) {
        v8 total = v8_load(out + c);
        for (int64_t r = 0; r < rows;) {
            int64_t end = r + 32 < rows ? r + 32 : rows;
            v8 sum = v8_zero();
            for (; r < end; r++) {
                sum = v8_add(sum, v8_load(x + r * pitch + c));
            }
            total = v8_add(total, sum);
        }
        v8_store(out + c, total);
    }
    for (; c < channels; c++) { /* a plain matrix of any width: nothing beyond its rows is read */
        double total = 0;
        for (int64_t r = 0; r < rows; r++) {
            total += (double)x[r * pitch + c];
        }
        out[c] += (float)total;
    }
}
