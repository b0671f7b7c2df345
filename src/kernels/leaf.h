/* SPDX-License-Identifier: MIT
 * leaf.h (internal to leaf_*.c) - the inner loops of one level by name, for leaf_table.c to collect.
 */
#ifndef CVI_LEAF_H
#define CVI_LEAF_H

#include "kernels/kernel_table.h"
#include "kernels/leaf_simd.h"

/* X once per row of a register block: named accumulators a0, a1, ... come from these lists. */
#define ROWS1(X)  X(0)
#define ROWS2(X)  ROWS1(X) X(1)
#define ROWS3(X)  ROWS2(X) X(2)
#define ROWS4(X)  ROWS3(X) X(3)
#define ROWS5(X)  ROWS4(X) X(4)
#define ROWS6(X)  ROWS5(X) X(5)
#define ROWS7(X)  ROWS6(X) X(6)
#define ROWS8(X)  ROWS7(X) X(7)
#define ROWS9(X)  ROWS8(X) X(8)
#define ROWS10(X) ROWS9(X) X(9)
#define ROWS11(X) ROWS10(X) X(10)
#define ROWS12(X) ROWS11(X) X(11)
#define ROWS13(X) ROWS12(X) X(12)
#define ROWS14(X) ROWS13(X) X(13)
#define ROWS15(X) ROWS14(X) X(14)
#define ROWS16(X) ROWS15(X) X(15)

/* X(M, ROWSM) for every M of a level, e.g. CVI_EACH(CVI_LEAF_ROWS, X). */
#define CVI_EACH_2(X)  X(1, ROWS1) X(2, ROWS2)
#define CVI_EACH_6(X)  CVI_EACH_2(X) X(3, ROWS3) X(4, ROWS4) X(5, ROWS5) X(6, ROWS6)
#define CVI_EACH_10(X) CVI_EACH_6(X) X(7, ROWS7) X(8, ROWS8) X(9, ROWS9) X(10, ROWS10)
#define CVI_EACH_16(X)                                                                                       \
    CVI_EACH_10(X) X(11, ROWS11) X(12, ROWS12) X(13, ROWS13) X(14, ROWS14) X(15, ROWS15) X(16, ROWS16)
#define CVI_EACH(rows, X)   CVI_PASTE(CVI_EACH_, rows)(X)
#define CVI_PASTE(a, b)     CVI_PASTE_NOW(a, b)
#define CVI_PASTE_NOW(a, b) a##b

/* The functions name_1 ... name_M of a level, indexed by M. */
#define CVI_BLOCKS(rows, name)                                                                               \
    { NULL, CVI_PASTE(CVI_NAMES_, rows)(name) }
#define CVI_NAMES_2(name)  name##_1, name##_2
#define CVI_NAMES_6(name)  CVI_NAMES_2(name), name##_3, name##_4, name##_5, name##_6
#define CVI_NAMES_10(name) CVI_NAMES_6(name), name##_7, name##_8, name##_9, name##_10
#define CVI_NAMES_16(name)                                                                                   \
    CVI_NAMES_10(name), name##_11, name##_12, name##_13, name##_14, name##_15, name##_16

/* A register block of M pixels (leaf_micro*.c): what it begins with, four input channels and one, what it does with its sums; each is
 * a macro of the list of rows. WIDTH: weights of an input channel that lie together. */
#define CVI_MICRO(NAME, M, ROWS, WIDTH, BEGIN, FOUR, ONE, END)                                               \
    static void NAME##_##M(int64_t taps, int64_t channels, const float *const *x, int64_t offset,            \
                           const float *w, const cvi_tile *tile) {                                           \
        BEGIN(ROWS)                                                                                          \
        for (int64_t t = 0; t < taps; t++, x += M) {                                                         \
            ROWS(CVI_POINTER)                                                                                \
            int64_t c = 0;                                                                                   \
            for (; c + 4 <= channels; c += 4, w += 4 * WIDTH) {                                              \
                FOUR(ROWS)                                                                                   \
            }                                                                                                \
            for (; c < channels; c++, w += WIDTH) {                                                          \
                ONE(ROWS)                                                                                    \
            }                                                                                                \
        }                                                                                                    \
        END(ROWS)                                                                                            \
    }
#define CVI_POINTER(i) const float *p##i = x[i] + offset;

/* Weights come from the second-level cache or beyond: ask for those of twelve unrolled steps later, one step
 * at a time. Past the end of a panel that is the next panel, which the first pixels will need. */
#define CVI_PREFETCH(w)                                                                                      \
    __builtin_prefetch((w) + 768);                                                                           \
    __builtin_prefetch((w) + 784);                                                                           \
    __builtin_prefetch((w) + 800);                                                                           \
    __builtin_prefetch((w) + 816);

/* out[j] += sum over i < 4 of a[i] * b[i][j], in two chains. */
CVI_INLINE void add_four(int64_t n, const float *a, const float *const *b, float *out) {
    const float *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
    v8 a0 = v8_all(a[0]), a1 = v8_all(a[1]), a2 = v8_all(a[2]), a3 = v8_all(a[3]);
    int64_t j = 0;
    for (; j + 8 <= n; j += 8) {
        v8 s = v8_fma(a0, v8_load(b0 + j), v8_load(out + j));
        v8 t = v8_mul(a2, v8_load(b2 + j));
        s = v8_fma(a1, v8_load(b1 + j), s);
        t = v8_fma(a3, v8_load(b3 + j), t);
        v8_store(out + j, v8_add(s, t));
    }
    for (; j < n; j++) {
        out[j] += (a[0] * b0[j] + a[1] * b1[j]) + (a[2] * b2[j] + a[3] * b3[j]);
    }
}

#if CVI_WIDE
extern cvi_micro *const CVI_LEAF(micro32)[CVI_MAX_ROWS + 1];
extern cvi_micro_stream *const CVI_LEAF(stream32)[2][CVI_STREAM_ROWS + 1];
extern cvi_micro_square *const CVI_LEAF(square)[2][CVI_SQUARE][CVI_SQUARE];
#endif
extern cvi_micro *const CVI_LEAF(micro16)[CVI_MAX_ROWS + 1];
extern cvi_micro *const CVI_LEAF(micro8)[CVI_MAX_ROWS + 1];
extern cvi_micro_dw *const CVI_LEAF(depthwise)[CVI_MAX_ROWS + 1];
extern cvi_micro_grid *const CVI_LEAF(grid)[CVI_N_GRIDS][CVI_MAX_ROWS + 1];
extern cvi_micro_outer *const CVI_LEAF(outer16)[CVI_MAX_ROWS + 1];
extern cvi_micro_outer *const CVI_LEAF(outer8)[CVI_MAX_ROWS + 1];
extern cvi_map *const CVI_LEAF(unary)[CVI_N_UNARY];
extern cvi_zip *const CVI_LEAF(binary)[CVI_N_BINARY];
#define CVI_LEAF_DECLARATION(name, parameters) void CVI_LEAF(name) parameters;
CVI_LEAVES(CVI_LEAF_DECLARATION)
#undef CVI_LEAF_DECLARATION

#endif
