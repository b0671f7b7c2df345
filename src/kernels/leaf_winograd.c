/* SPDX-License-Identifier: MIT
 * leaf_winograd.c - the three transforms of Winograd's minimal filtering, F(4x4,3x3) and F(2x2,3x3), eight channels
 * (sixteen where the level has them) at a time (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks"): weights U = G g G^T, input
 * V = B^T d B, output A^T M A. One-dimensional steps are written once and applied to columns, then to rows.
 */
#include "kernels/leaf.h"

/* ---- one dimension; elements lie `st` vectors apart --------------------------------------------------- */

#define STEPS(V)                                                                                             \
    CVI_INLINE void V##_input_4(const V *d, int st, V *o, int so) {                                          \
        const V two = V##_all(2), four = V##_all(4), five = V##_all(5);                                      \
        V d0 = d[0], d1 = d[st], d2 = d[2 * st], d3 = d[3 * st], d4 = d[4 * st], d5 = d[5 * st];             \
        V a = V##_fnma(four, d2, d4), b = V##_fnma(four, d1, d3);                                            \
        V c = V##_sub(d4, d2), e = V##_mul(two, V##_sub(d3, d1));                                            \
        o[0] = V##_fma(four, d0, V##_fnma(five, d2, d4));                                                    \
        o[so] = V##_add(a, b);                                                                               \
        o[2 * so] = V##_sub(a, b);                                                                           \
        o[3 * so] = V##_add(c, e);                                                                           \
        o[4 * so] = V##_sub(c, e);                                                                           \
        o[5 * so] = V##_fma(four, d1, V##_fnma(five, d3, d5));                                               \
    }                                                                                                        \
    CVI_INLINE void V##_output_4(const V *m, int st, V *o, int so) {                                         \
        V p = V##_add(m[st], m[2 * st]), q = V##_sub(m[st], m[2 * st]);                                      \
        V r = V##_add(m[3 * st], m[4 * st]), s = V##_sub(m[3 * st], m[4 * st]);                              \
        o[0] = V##_add(m[0], V##_add(p, r));                                                                 \
        o[so] = V##_fma(V##_all(2), s, q);                                                                   \
        o[2 * so] = V##_fma(V##_all(4), r, p);                                                               \
        o[3 * so] = V##_add(m[5 * st], V##_fma(V##_all(8), s, q));                                           \
    }                                                                                                        \
    CVI_INLINE void V##_input_2(const V *d, int st, V *o, int so) {                                          \
        V d0 = d[0], d1 = d[st], d2 = d[2 * st], d3 = d[3 * st];                                             \
        o[0] = V##_sub(d0, d2);                                                                              \
        o[so] = V##_add(d1, d2);                                                                             \
        o[2 * so] = V##_sub(d2, d1);                                                                         \
        o[3 * so] = V##_sub(d1, d3);                                                                         \
    }                                                                                                        \
    CVI_INLINE void V##_output_2(const V *m, int st, V *o, int so) {                                         \
        o[0] = V##_add(m[0], V##_add(m[st], m[2 * st]));                                                     \
        o[so] = V##_sub(V##_sub(m[st], m[2 * st]), m[3 * st]);                                               \
    }
STEPS(v8)
#if CVI_WIDE
STEPS(v16)
#endif

CVI_INLINE void weights_4(const v8 *g, int st, v8 *o, int so) {
    v8 g0 = g[0], g1 = g[st], g2 = g[2 * st];
    v8 even = v8_mul(v8_add(g0, g2), v8_all(-1.0F / 6)), odd = v8_mul(g1, v8_all(-1.0F / 6));
    v8 outer = v8_fma(g2, v8_all(1.0F / 6), v8_mul(g0, v8_all(1.0F / 24))),
       inner = v8_mul(g1, v8_all(1.0F / 12));
    o[0] = v8_mul(g0, v8_all(0.25F));
    o[so] = v8_add(even, odd);
    o[2 * so] = v8_sub(even, odd);
    o[3 * so] = v8_add(outer, inner);
    o[4 * so] = v8_sub(outer, inner);
    o[5 * so] = g2;
}

CVI_INLINE void weights_2(const v8 *g, int st, v8 *o, int so) {
    v8 even = v8_mul(v8_add(g[0], g[2 * st]), v8_all(0.5F)), odd = v8_mul(g[st], v8_all(0.5F));
    o[0] = g[0];
    o[so] = v8_add(even, odd);
    o[2 * so] = v8_sub(even, odd);
    o[3 * so] = g[2 * st];
}

/* n floats, a multiple of 8, to memory that is aligned if they go past the caches. */
CVI_INLINE void copy_out(const float *from, int64_t n, bool stream, float *to) {
    if (stream) {
        for (int64_t i = 0; i < n; i += 8) {
            v8_stream(to + i, v8_load(from + i));
        }
    } else {
        memcpy(to, from, (size_t)n * sizeof(float));
    }
}

/* ---- two dimensions: T x T tile elements, O x O outputs ------------------------------------------------ */

enum {
    MANY = 256
}; /* input channels from which on the results do not stay near: their places are asked for before */

/* Channels from c on as far as whole vectors of them go. */
#define INPUT(V, lanes, O, T)                                                                                \
    for (; c + lanes <= channels; c += lanes) {                                                              \
        V in[T * T], half[T * T], out[T];                                                                    \
        for (int i = 0; channels >= MANY && i < T * T; i++) {                                                \
            __builtin_prefetch(v + i * stride + c + 2 * lanes, 1);                                           \
        }                                                                                                    \
        for (int i = 0; i < T * T; i++) {                                                                    \
            in[i] = V##_load(d[i] + c);                                                                      \
        }                                                                                                    \
        for (int j = 0; j < T; j++) {                                                                        \
            V##_input_##O(in + j, T, half + j, T);                                                           \
        }                                                                                                    \
        for (int i = 0; i < T; i++) {                                                                        \
            V##_input_##O(half + i * T, 1, out, 1);                                                          \
            for (int j = 0; j < T; j++) {                                                                    \
                V##_store(v + (i * T + j) * stride + c, out[j]);                                             \
            }                                                                                                \
        }                                                                                                    \
    }
#define OUTPUT(V, lanes, O, T)                                                                               \
    for (; c + lanes <= channels; c += lanes) {                                                              \
        const V lo = V##_all(tile->lo), hi = V##_all(tile->hi);                                              \
        V in[T * T], half[O * T], out[O * O], bias = V##_load(tile->bias + c);                               \
        for (int i = 0; i < T * T; i++) {                                                                    \
            in[i] = V##_load(m + i * stride + c);                                                            \
        }                                                                                                    \
        for (int j = 0; j < T; j++) {                                                                        \
            V##_output_##O(in + j, T, half + j, T);                                                          \
        }                                                                                                    \
        for (int i = 0; i < O; i++) {                                                                        \
            V##_output_##O(half + i * T, 1, out + i * O, 1);                                                 \
        }                                                                                                    \
        for (int64_t i = 0; i < rows; i++) {                                                                 \
            for (int64_t j = 0; j < columns; j++) {                                                          \
                int64_t at = i * row_pitch + j * tile->pitch + c;                                            \
                V y = V##_add(out[i * O + j], bias);                                                         \
                if (tile->add != NULL) {                                                                     \
                    y = V##_add(y, V##_load(tile->add + at));                                                \
                }                                                                                            \
                if (tile->clamp) {                                                                           \
                    y = V##_min(hi, V##_max(lo, y));                                                         \
                }                                                                                            \
                V##_store(tile->out + at, y);                                                                \
            }                                                                                                \
        }                                                                                                    \
    }
#if CVI_WIDE
#define VECTORS(STEP, O, T) STEP(v16, 16, O, T) STEP(v8, 8, O, T)
#else
#define VECTORS(STEP, O, T) STEP(v8, 8, O, T)
#endif

#define TRANSFORMS(O, T)                                                                                                   \
    /* d: T*T pixels; v[xi*stride + c] for xi < T*T. Channels a multiple of 8. */                                          \
    void CVI_LEAF(winograd_input_##O)(int64_t channels, const float *const *d, float *v, int64_t stride) {                 \
        int64_t c = 0;                                                                                                     \
        VECTORS(INPUT, O, T)                                                                                               \
    }                                                                                                                      \
    /* m[xi*stride + c] -> rows x columns outputs (at most O x O); tile->out, tile->add at (0,0), pixels tile->pitch and \
     * rows row_pitch apart; bias has `channels` numbers. */ \
    void CVI_LEAF(winograd_output_##O)(int64_t channels, const float *m, int64_t stride, int64_t rows,                     \
                                       int64_t columns, int64_t row_pitch, const cvi_tile *tile) {                         \
        int64_t c = 0;                                                                                                     \
        VECTORS(OUTPUT, O, T)                                                                                              \
    }                                                                                                                      \
    /* g[(c*9 + tap)*16 + k] -> u[xi*stride + c*width + k], c < channels, k < width (8 or 16). The results of     \
     * all channels wait in a buffer, so that each of the T*T far-apart places gets whole cache lines. */        \
    void CVI_LEAF(winograd_weights_##O)(int64_t channels, int64_t width, const float *g,                                   \
                                        const int64_t order[9], bool stream, float *u, int64_t stride) {                   \
        float buffer[T * T][CVI_WINOGRAD_CHANNELS * 16];                                                                   \
        for (int64_t i = 0; i < channels * width; i += 8) {                                                                \
            v8 in[9], half[T * 3], out[T];                                                                                 \
            for (int t = 0; t < 9; t++) {                                                                                  \
                in[t] = v8_load(g + (i / width * 9 + order[t]) * 16 + i % width);                                          \
            }                                                                                                              \
            for (int j = 0; j < 3; j++) {                                                                                  \
                weights_##O(in + j, 3, half + j, 3);                                                                       \
            }                                                                                                              \
            for (int y = 0; y < T; y++) {                                                                                  \
                weights_##O(half + y * 3, 1, out, 1);                                                                      \
                for (int x = 0; x < T; x++) {                                                                              \
                    v8_store(buffer[y * T + x] + i, out[x]);                                                               \
                }                                                                                                          \
            }                                                                                                              \
        }                                                                                                                  \
        for (int xi = 0; xi < T * T; xi++) {                                                                               \
            copy_out(buffer[xi], channels *width, stream, u + xi * stride);                                                \
        }                                                                                                                  \
        v8_stream_end();                                                                                                   \
    }

TRANSFORMS(2, 4)
TRANSFORMS(4, 6)
