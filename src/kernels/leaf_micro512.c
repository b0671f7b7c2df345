/* SPDX-License-Identifier: MIT
 * leaf_micro512.c - register blocks of the AVX-512 level: M pixels x 32, 16 or 8 output channels, M up to 10. What leaf_micro.c
 * says holds here too. Two panels at once are the fast form: a pixel's number goes into all lanes once and serves both, so
 * that loads never hold up the multiply-adds (measured: 100 % of the peak against 89 % with one panel on a Zen 4, which
 * makes one 512-bit load a cycle). Ten pixels, because their addresses and the loop then fit the 15 address registers.
 */
#include "kernels/leaf.h"

/* Asking for the results' places as well, as the AVX2 block does, makes layers of large maps a fifth slower here (measured). */

/* The sums of a block on their way out; what is the same for all of them is read once. */
#define FINISH(V, EACH, ADD, LOW, STORE)                                                                     \
    float *out = tile->out;                                                                                  \
    const int64_t pitch = tile->pitch;                                                                       \
    if (tile->add != NULL) {                                                                                 \
        const float *add = tile->add;                                                                        \
        EACH(ADD)                                                                                            \
    }                                                                                                        \
    if (tile->clamp) {                                                                                       \
        const V lo = V##_all(tile->lo), hi = V##_all(tile->hi);                                              \
        EACH(LOW)                                                                                            \
    }                                                                                                        \
    EACH(STORE)

#define START16(i) v16 a##i = bias;
#define ADD16(i)   V16_ACCUMULATE_ALL(a##i, weights, p##i[c + j]);
#define STEP16(ROWS, step)                                                                                   \
    {                                                                                                        \
        const int64_t j = (step);                                                                            \
        const v16 weights = v16_load(w + j * 16);                                                            \
        ROWS(ADD16)                                                                                          \
    }
#define PLUS16(i)  a##i = v16_add(a##i, v16_load(add + (i)*pitch));
#define LIMIT16(i) a##i = v16_min(hi, v16_max(lo, a##i));
#define STORE16(i) v16_store(out + (i)*pitch, a##i);

#define BEGIN16(ROWS)                                                                                        \
    const v16 bias = v16_load(tile->bias);                                                                   \
    ROWS(START16)
#define FOUR16(ROWS) CVI_PREFETCH(w) STEP16(ROWS, 0) STEP16(ROWS, 1) STEP16(ROWS, 2) STEP16(ROWS, 3)
#define ONE16(ROWS)  STEP16(ROWS, 0)
#define END16(ROWS)  FINISH(v16, ROWS, PLUS16, LIMIT16, STORE16)

/* To the second-level cache: as many weights as one of the two panels has, over the whole block. */
#define ASK_AHEAD(w)                                                                                         \
    __builtin_prefetch((w), 0, 2);                                                                           \
    __builtin_prefetch((w) + 16, 0, 2);                                                                      \
    __builtin_prefetch((w) + 32, 0, 2);                                                                      \
    __builtin_prefetch((w) + 48, 0, 2);

/* Two panels: weights of the second follow those of the first. */
#define START32(i) v16 a##i = bias0, b##i = bias1;
#define ADD32(i)                                                                                             \
    {                                                                                                        \
        const v16 v = v16_all(p##i[c + j]);                                                                  \
        V16_ACCUMULATE(a##i, v, w0);                                                                         \
        V16_ACCUMULATE(b##i, v, w1);                                                                         \
    }
#define STEP32(ROWS, step)                                                                                   \
    {                                                                                                        \
        const int64_t j = (step);                                                                            \
        const v16 w0 = v16_load(w + j * 16), w1 = v16_load(w + j * 16 + second);                             \
        ROWS(ADD32)                                                                                          \
    }
#define PLUS32(i)                                                                                            \
    a##i = v16_add(a##i, v16_load(add + (i)*pitch));                                                         \
    b##i = v16_add(b##i, v16_load(add + (i)*pitch + 16));
#define LIMIT32(i)                                                                                           \
    a##i = v16_min(hi, v16_max(lo, a##i));                                                                   \
    b##i = v16_min(hi, v16_max(lo, b##i));
#define STORE32(i)                                                                                           \
    v16_store(out + (i)*pitch, a##i);                                                                        \
    v16_store(out + (i)*pitch + 16, b##i);

#define BEGIN32(ROWS)                                                                                        \
    const v16 bias0 = v16_load(tile->bias), bias1 = v16_load(tile->bias + 16);                               \
    const int64_t second = taps * channels * 16, ahead = tile->ahead;                                        \
    ROWS(START32)
#define FOUR32(ROWS)                                                                                         \
    CVI_PREFETCH(w)                                                                                          \
    CVI_PREFETCH(w + second)                                                                                 \
    ASK_AHEAD(w + ahead)                                                                                     \
    STEP32(ROWS, 0) STEP32(ROWS, 1) STEP32(ROWS, 2) STEP32(ROWS, 3)
#define ONE32(ROWS) STEP32(ROWS, 0)
#define END32(ROWS) FINISH(v16, ROWS, PLUS32, LIMIT32, STORE32)

/* Even and odd input channels have accumulators of their own, as on the other levels: the same sums, bit for bit. */
#define START8(i) v8 a##i = bias, b##i = v8_zero();
#define EVEN8(i)  V8_ACCUMULATE_ALL(a##i, even, p##i[c + j]);
#define ODD8(i)   V8_ACCUMULATE_ALL(b##i, odd, p##i[c + j + 1]);
#define STEP8(ROWS, step)                                                                                    \
    {                                                                                                        \
        const int64_t j = (step);                                                                            \
        const v8 even = v8_load(w + j * 8), odd = v8_load(w + j * 8 + 8);                                    \
        ROWS(EVEN8)                                                                                          \
        ROWS(ODD8)                                                                                           \
    }
#define LAST8(ROWS)                                                                                          \
    {                                                                                                        \
        const int64_t j = 0;                                                                                 \
        const v8 even = v8_load(w);                                                                          \
        ROWS(EVEN8)                                                                                          \
    }
#define JOIN8(i)  a##i = v8_add(a##i, b##i);
#define PLUS8(i)  a##i = v8_add(a##i, v8_load(add + (i)*pitch));
#define LIMIT8(i) a##i = v8_min(hi, v8_max(lo, a##i));
#define STORE8(i) v8_store(out + (i)*pitch, a##i);

#define BEGIN8(ROWS)                                                                                         \
    const v8 bias = v8_load(tile->bias);                                                                     \
    ROWS(START8)
#define FOUR8(ROWS) STEP8(ROWS, 0) STEP8(ROWS, 2)
#define END8(ROWS)  ROWS(JOIN8) FINISH(v8, ROWS, PLUS8, LIMIT8, STORE8)

#define BLOCKS(M, ROWS)                                                                                      \
    CVI_MICRO(micro32, M, ROWS, 16, BEGIN32, FOUR32, ONE32, END32)                                           \
    CVI_MICRO(micro16, M, ROWS, 16, BEGIN16, FOUR16, ONE16, END16)                                           \
    CVI_MICRO(micro8, M, ROWS, 8, BEGIN8, FOUR8, LAST8, END8)
CVI_EACH(CVI_LEAF_ROWS, BLOCKS)

cvi_micro *const CVI_LEAF(micro32)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_ROWS, micro32);
cvi_micro *const CVI_LEAF(micro16)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_ROWS, micro16);
cvi_micro *const CVI_LEAF(micro8)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_ROWS, micro8);
