/* SPDX-License-Identifier: MIT
 * leaf_micro.c - register blocks: M pixels x 16 (or 8) output channels, the loop where nearly all time goes.
 * Accumulators are named variables (a0..a5, b0..b5), made by the ROWS lists below, because compilers put an
 * array of accumulators on the stack (measured: 40 instead of 93 % of peak). tools/check_spills.py watches it.
 * Pixels come as pointers, one per tap and pixel: padding, stride, dilation, row ends and phases of a
 * transposed convolution are all in the pointers, so one loop serves them all.
 */
#include "kernels/kernel_table.h"
#include "kernels/leaf.h"
#include "kernels/leaf_simd.h"

/* Weights come from the second-level cache or beyond: ask for those of twelve unrolled steps later, one step
 * at a time. Past the end of a panel that is the next panel, which the first pixels will need. */
#define PREFETCH(w)                                                                                          \
    __builtin_prefetch((w) + 768);                                                                           \
    __builtin_prefetch((w) + 784);                                                                           \
    __builtin_prefetch((w) + 800);                                                                           \
    __builtin_prefetch((w) + 816)

CVI_INLINE void put(const cvi_tile *t, int64_t at, v8 sum) {
    if (t->add != NULL) {
        sum = v8_add(sum, v8_load(t->add + at));
    }
    if (t->clamp) {
        sum = v8_min(v8_all(t->hi), v8_max(v8_all(t->lo), sum));
    }
    v8_store(t->out + at, sum);
}

#define POINTER(i) const float *p##i = x[i] + offset;
/* The result's place is asked for before the sum is made: stores that wait for it would hold up the next block. */
#define START16(i)                                                                                           \
    v8 a##i = bias0, b##i = bias1;                                                                           \
    __builtin_prefetch(tile->out + (i)*tile->pitch, 1);
#define ADD16(i)                                                                                             \
    {                                                                                                        \
        v8 v = v8_all(p##i[c + j]);                                                                          \
        V8_ACCUMULATE(a##i, v, w0);                                                                          \
        V8_ACCUMULATE(b##i, v, w1);                                                                          \
    }
#define STEP16(ROWS, step)                                                                                   \
    {                                                                                                        \
        const int64_t j = (step);                                                                            \
        v8 w0 = v8_load(w + j * 16), w1 = v8_load(w + j * 16 + 8);                                           \
        ROWS(ADD16)                                                                                          \
    }
#define PUT16(i)                                                                                             \
    put(tile, (i)*tile->pitch, a##i);                                                                        \
    put(tile, (i)*tile->pitch + 8, b##i);

#define MICRO16(M, ROWS)                                                                                     \
    static void micro16_##M(int64_t taps, int64_t channels, const float *const *x, int64_t offset,           \
                            const float *w, const cvi_tile *tile) {                                          \
        v8 bias0 = v8_load(tile->bias), bias1 = v8_load(tile->bias + 8);                                     \
        ROWS(START16)                                                                                        \
        for (int64_t t = 0; t < taps; t++, x += M) {                                                         \
            ROWS(POINTER)                                                                                    \
            int64_t c = 0;                                                                                   \
            for (; c + 4 <= channels; c += 4, w += 64) {                                                     \
                PREFETCH(w);                                                                                 \
                STEP16(ROWS, 0) STEP16(ROWS, 1) STEP16(ROWS, 2) STEP16(ROWS, 3)                              \
            }                                                                                                \
            for (; c < channels; c++, w += 16) {                                                             \
                STEP16(ROWS, 0)                                                                              \
            }                                                                                                \
        }                                                                                                    \
        ROWS(PUT16)                                                                                          \
    }

/* Eight channels wide: even and odd input channels have accumulators of their own, or six chains of dependent
 * multiply-adds would leave the two units idle a quarter of the time. */
#define START8(i) v8 a##i = bias0, b##i = v8_zero();
#define EVEN8(i)                                                                                             \
    {                                                                                                        \
        v8 v = v8_all(p##i[c + j]);                                                                          \
        V8_ACCUMULATE(a##i, v, w0);                                                                          \
    }
#define ODD8(i)                                                                                              \
    {                                                                                                        \
        v8 v = v8_all(p##i[c + j + 1]);                                                                      \
        V8_ACCUMULATE(b##i, v, w1);                                                                          \
    }
#define STEP8(ROWS, step)                                                                                    \
    {                                                                                                        \
        const int64_t j = (step);                                                                            \
        v8 w0 = v8_load(w + j * 8), w1 = v8_load(w + j * 8 + 8);                                             \
        ROWS(EVEN8)                                                                                          \
        ROWS(ODD8)                                                                                           \
    }
#define LAST8(ROWS)                                                                                          \
    {                                                                                                        \
        const int64_t j = 0;                                                                                 \
        v8 w0 = v8_load(w);                                                                                  \
        ROWS(EVEN8)                                                                                          \
    }
#define PUT8(i) put(tile, (i)*tile->pitch, v8_add(a##i, b##i));

#define MICRO8(M, ROWS)                                                                                      \
    static void micro8_##M(int64_t taps, int64_t channels, const float *const *x, int64_t offset,            \
                           const float *w, const cvi_tile *tile) {                                           \
        v8 bias0 = v8_load(tile->bias);                                                                      \
        ROWS(START8)                                                                                         \
        for (int64_t t = 0; t < taps; t++, x += M) {                                                         \
            ROWS(POINTER)                                                                                    \
            int64_t c = 0;                                                                                   \
            for (; c + 4 <= channels; c += 4, w += 32) {                                                     \
                STEP8(ROWS, 0) STEP8(ROWS, 2)                                                                \
            }                                                                                                \
            for (; c < channels; c++, w += 8) {                                                              \
                LAST8(ROWS)                                                                                  \
            }                                                                                                \
        }                                                                                                    \
        ROWS(PUT8)                                                                                           \
    }

#define BLOCKS(M, ROWS) MICRO16(M, ROWS) MICRO8(M, ROWS)
CVI_EACH(CVI_LEAF_ROWS, BLOCKS)

cvi_micro *const CVI_LEAF(micro16)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_ROWS, micro16);
cvi_micro *const CVI_LEAF(micro8)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_ROWS, micro8);
