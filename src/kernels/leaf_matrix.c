/* SPDX-License-Identifier: MIT
 * leaf_matrix.c - small pieces of matrix work: transposing, a row of pictures-times-weights streamed once.
 */
#include "kernels/leaf.h"

#if defined(CVI_LEVEL_AVX2) || defined(CVI_LEVEL_AVX512)
CVI_INLINE void turn_8x8(v8 r[8], float *out, int64_t ld_out) {
    v8 s[8];
    for (int i = 0; i < 4; i++) {
        s[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        s[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        v8 a = s[4 * i], b = s[4 * i + 1], c = s[4 * i + 2], d = s[4 * i + 3];
        r[4 * i] = _mm256_shuffle_ps(a, c, 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
        r[4 * i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        v8_store(out + i * ld_out, _mm256_permute2f128_ps(r[i], r[4 + i], 0x20));
        v8_store(out + (4 + i) * ld_out, _mm256_permute2f128_ps(r[i], r[4 + i], 0x31));
    }
}
#else
CVI_INLINE void turn_8x8(v8 r[8], float *out, int64_t ld_out) {
    for (int i = 0; i < 8; i++) {
        float row[8];
        v8_store(row, r[i]);
        for (int j = 0; j < 8; j++) {
            out[j * ld_out + i] = row[j];
        }
    }
}
#endif

static void transpose_8x8(const float *in, int64_t ld_in, float *out, int64_t ld_out) {
    v8 r[8];
    for (int i = 0; i < 8; i++) {
        r[i] = v8_load(in + i * ld_in);
    }
    turn_8x8(r, out, ld_out);
}

/* out[j*ld_out + i] = in[i*ld_in + j] for i < rows, j < columns. */
void CVI_LEAF(transpose)(int64_t rows, int64_t columns, const float *in, int64_t ld_in, float *out,
                         int64_t ld_out) {
    int64_t full_rows = rows & ~(int64_t)7, full_columns = columns & ~(int64_t)7;
    for (int64_t i = 0; i < full_rows; i += 8) {
        for (int64_t j = 0; j < full_columns; j += 8) {
            transpose_8x8(in + i * ld_in + j, ld_in, out + j * ld_out + i, ld_out);
        }
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = i < full_rows ? full_columns : 0; j < columns; j++) {
            out[j * ld_out + i] = in[i * ld_in + j];
        }
    }
}

/* Channel planes -> pixels: out[j*pitch + c] = in[c*ld + j] for j < count, c < channels; 0 for channels up to pitch, a multiple of 8. */
void CVI_LEAF(to_pixels)(int64_t channels, int64_t count, const float *in, int64_t ld, float *out,
                         int64_t pitch) {
    for (int64_t c = 0; c < pitch; c += 8) {
        int64_t valid = CVI_MIN(8, channels - c), j = 0;
        for (; j + 8 <= count; j += 8) {
            v8 r[8];
            for (int i = 0; i < 8; i++) {
                r[i] = i < valid ? v8_load(in + (c + i) * ld + j) : v8_zero();
            }
            turn_8x8(r, out + j * pitch + c, pitch);
        }
        for (; j < count; j++) {
            for (int64_t i = 0; i < 8; i++) {
                out[j * pitch + c + i] = i < valid ? in[(c + i) * ld + j] : 0.0F;
            }
        }
    }
}

static float sum_lanes(v8 v) {
    float x[8];
    v8_store(x, v);
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* out[i] = sum over k of a[k] * b[i*ld + k], i < 4. Two chains per row hide the latency of multiply-add. */
void CVI_LEAF(dot4)(int64_t n, const float *a, const float *b, int64_t ld, float *out) {
    const float *b0 = b, *b1 = b + ld, *b2 = b + 2 * ld, *b3 = b + 3 * ld;
    v8 s0 = v8_zero(), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
    int64_t k = 0;
    for (; k + 16 <= n; k += 16) {
        v8 x = v8_load(a + k), y = v8_load(a + k + 8);
        s0 = v8_fma(x, v8_load(b0 + k), s0);
        s1 = v8_fma(x, v8_load(b1 + k), s1);
        s2 = v8_fma(x, v8_load(b2 + k), s2);
        s3 = v8_fma(x, v8_load(b3 + k), s3);
        t0 = v8_fma(y, v8_load(b0 + k + 8), t0);
        t1 = v8_fma(y, v8_load(b1 + k + 8), t1);
        t2 = v8_fma(y, v8_load(b2 + k + 8), t2);
        t3 = v8_fma(y, v8_load(b3 + k + 8), t3);
    }
    out[0] = sum_lanes(v8_add(s0, t0));
    out[1] = sum_lanes(v8_add(s1, t1));
    out[2] = sum_lanes(v8_add(s2, t2));
    out[3] = sum_lanes(v8_add(s3, t3));
    for (; k < n; k++) {
        out[0] += a[k] * b0[k];
        out[1] += a[k] * b1[k];
        out[2] += a[k] * b2[k];
        out[3] += a[k] * b3[k];
    }
}

/* out[j] += sum over i < rows of a[i] * b[i*ld + j]; four rows of b per pass over out. */
void CVI_LEAF(add_rows)(int64_t rows, int64_t n, const float *a, const float *b, int64_t ld, float *out) {
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        const float *const four[4] = {b + i * ld, b + (i + 1) * ld, b + (i + 2) * ld, b + (i + 3) * ld};
        add_four(n, a + i, four, out);
    }
    for (; i < rows; i++) {
        for (int64_t j = 0; j < n; j++) {
            out[j] += a[i] * b[i * ld + j];
        }
    }
}
