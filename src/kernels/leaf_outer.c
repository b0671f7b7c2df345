/* SPDX-License-Identifier: MIT
 * leaf_outer.c - register blocks of the gradient to weights: M input channels x 16 (or 8) output channels, summed
 * over a rectangle of output positions. Named accumulators for the same reason as in leaf_micro.c.
 */
#include "kernels/leaf.h"

#if CVI_WIDE
#define DY16       v16 dy0 = v16_load(dy);
#define LOAD16(i)  v16 a##i = v16_load(sum + (i)*16);
#define ADD16(i)   V16_ACCUMULATE_ALL(a##i, dy0, x[i]);
#define STORE16(i) v16_store(sum + (i)*16, a##i);
#else
#define DY16      v8 dy0 = v8_load(dy), dy1 = v8_load(dy + 8);
#define LOAD16(i) v8 a##i = v8_load(sum + (i)*16), b##i = v8_load(sum + (i)*16 + 8);
#define ADD16(i)                                                                                             \
    {                                                                                                        \
        v8 v = v8_all(x[i]);                                                                                 \
        V8_ACCUMULATE(a##i, v, dy0);                                                                         \
        V8_ACCUMULATE(b##i, v, dy1);                                                                         \
    }
#define STORE16(i)                                                                                           \
    v8_store(sum + (i)*16, a##i);                                                                            \
    v8_store(sum + (i)*16 + 8, b##i);
#endif

#define LOAD8(i) v8 a##i = v8_load(sum + (i)*16);
#define ADD8(i)                                                                                              \
    {                                                                                                        \
        v8 v = v8_all(x[i]);                                                                                 \
        V8_ACCUMULATE(a##i, v, dy0);                                                                         \
    }
#define STORE8(i) v8_store(sum + (i)*16, a##i);

#define OUTER(M, ROWS)                                                                                       \
    static void outer16_##M(const cvi_rectangle *at, float *sum) {                                           \
        ROWS(LOAD16)                                                                                         \
        for (int64_t r = 0; r < at->rows; r++) {                                                             \
            const float *x = at->x + r * at->x_row, *dy = at->dy + r * at->dy_row;                           \
            const int64_t x_step = at->x_step, dy_step = at->dy_step;                                        \
            for (int64_t n = at->columns; n > 0; n--, x += x_step, dy += dy_step) {                          \
                DY16 ROWS(ADD16)                                                                             \
            }                                                                                                \
        }                                                                                                    \
        ROWS(STORE16)                                                                                        \
    }                                                                                                        \
    static void outer8_##M(const cvi_rectangle *at, float *sum) {                                            \
        ROWS(LOAD8)                                                                                          \
        for (int64_t r = 0; r < at->rows; r++) {                                                             \
            const float *x = at->x + r * at->x_row, *dy = at->dy + r * at->dy_row;                           \
            const int64_t x_step = at->x_step, dy_step = at->dy_step;                                        \
            for (int64_t n = at->columns; n > 0; n--, x += x_step, dy += dy_step) {                          \
                v8 dy0 = v8_load(dy);                                                                        \
                ROWS(ADD8)                                                                                   \
            }                                                                                                \
        }                                                                                                    \
        ROWS(STORE8)                                                                                         \
    }

CVI_EACH(CVI_LEAF_OUTER, OUTER)

cvi_micro_outer *const CVI_LEAF(outer16)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_OUTER, outer16);
cvi_micro_outer *const CVI_LEAF(outer8)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_OUTER, outer8);

/* Depthwise: sum[c] += sum over positions of x[c] * dy[c], channels a multiple of 8. */
void CVI_LEAF(outer_depthwise)(const cvi_rectangle *at, int64_t channels, float *sum) {
    for (int64_t c = 0; c < channels; c += 8) {
        v8 a = v8_load(sum + c), b = v8_zero();
        for (int64_t r = 0; r < at->rows; r++) {
            const float *x = at->x + r * at->x_row + c, *dy = at->dy + r * at->dy_row + c;
            int64_t n = 0;
            for (; n + 2 <= at->columns; n += 2) {
                a = v8_fma(v8_load(x + n * at->x_step), v8_load(dy + n * at->dy_step), a);
                b = v8_fma(v8_load(x + (n + 1) * at->x_step), v8_load(dy + (n + 1) * at->dy_step), b);
            }
            if (n < at->columns) {
                a = v8_fma(v8_load(x + n * at->x_step), v8_load(dy + n * at->dy_step), a);
            }
        }
        v8_store(sum + c, v8_add(a, b));
    }
}
