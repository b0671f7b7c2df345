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

CVI_INLINE void put(const cvi_tile *t, int64_t at, v8 sum) {
    if (t->add != NULL) {
        sum = v8_add(sum, v8_load(t->add + at));
    }
    if (t->clamp) {
        sum = v8_min(v8_all(t->hi), v8_max(v8_all(t->lo), sum));
    }
    v8_store(t->out + at, sum);
}

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

#define BEGIN16(ROWS)                                                                                        \
    v8 bias0 = v8_load(tile->bias), bias1 = v8_load(tile->bias + 8);                                         \
    ROWS(START16)
#define FOUR16(ROWS) CVI_PREFETCH(w) STEP16(ROWS, 0) STEP16(ROWS, 1) STEP16(ROWS, 2) STEP16(ROWS, 3)
#define ONE16(ROWS)  STEP16(ROWS, 0)
#define END16(ROWS)  ROWS(PUT16)

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

#define BEGIN8(ROWS)                                                                                         \
    v8 bias0 = v8_load(tile->bias);                                                                          \
    ROWS(START8)
#define FOUR8(ROWS) STEP8(ROWS, 0) STEP8(ROWS, 2)
#define END8(ROWS)  ROWS(PUT8)

#define BLOCKS(M, ROWS)                                                                                      \
    CVI_MICRO(micro16, M, ROWS, 16, BEGIN16, FOUR16, ONE16, END16)                                           \
    CVI_MICRO(micro8, M, ROWS, 8, BEGIN8, FOUR8, LAST8, END8)
CVI_EACH(CVI_LEAF_ROWS, BLOCKS)

cvi_micro *const CVI_LEAF(micro16)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_ROWS, micro16);
cvi_micro *const CVI_LEAF(micro8)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_ROWS, micro8);
