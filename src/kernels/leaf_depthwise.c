/* SPDX-License-Identifier: MIT
 * leaf_depthwise.c - depthwise convolution: M neighbouring outputs of one row, eight channels at a time.
 * Neighbours share inputs, so each input is loaded once per kernel row and used by up to S outputs, and a row's S
 * weights stay in registers: about one load per two multiply-adds, where one output alone would need four. Kernel
 * rows outside the picture are left out by the caller; columns are not, those outputs take depthwise_border.
 */
#include "kernels/leaf.h"

CVI_INLINE void put(const cvi_tile *t, int64_t at, v8 sum) {
    if (t->add != NULL) {
        sum = v8_add(sum, v8_load(t->add + at));
    }
    if (t->clamp) {
        sum = v8_min(v8_all(t->hi), v8_max(v8_all(t->lo), sum));
    }
    v8_store(t->out + at, sum);
}

#define START(i) v8 a##i = v8_load(tile->bias + c);
#define PUT(i)   put(tile, (i)*tile->pitch + c, a##i);

/* Input number k of a kernel row meets weight k - i*STRIDE of output i, if there is one. All of it is decided by the
 * compiler: k, M, S and STRIDE are constants. */
#define WEIGHT(n)                                                                                            \
    ((n) == 0 ? w0 : (n) == 1 ? w1 : (n) == 2 ? w2 : (n) == 3 ? w3 : (n) == 4 ? w4 : (n) == 5 ? w5 : w6)
#define MEET(i)                                                                                              \
    if (k - (i)*stride >= 0 && k - (i)*stride < size) {                                                      \
        V8_ACCUMULATE(a##i, v, WEIGHT(k - (i)*stride));                                                      \
    }
#define INPUT(ROWS, number)                                                                                  \
    {                                                                                                        \
        enum { k = number };                                                                                 \
        if (k < (outputs - 1) * stride + size) {                                                             \
            v8 v = v8_load(p);                                                                               \
            p += g->x_step;                                                                                  \
            ROWS(MEET)                                                                                       \
        }                                                                                                    \
    }
#define INPUTS(ROWS)                                                                                         \
    INPUT(ROWS, 0)                                                                                           \
    INPUT(ROWS, 1)                                                                                           \
    INPUT(ROWS, 2)                                                                                           \
    INPUT(ROWS, 3)                                                                                           \
    INPUT(ROWS, 4)                                                                                           \
    INPUT(ROWS, 5)                                                                                           \
    INPUT(ROWS, 6)                                                                                           \
    INPUT(ROWS, 7)                                                                                           \
    INPUT(ROWS, 8)                                                                                           \
    INPUT(ROWS, 9)                                                                                           \
    INPUT(ROWS, 10)                                                                                          \
    INPUT(ROWS, 11)                                                                                          \
    INPUT(ROWS, 12)                                                                                          \
    INPUT(ROWS, 13)                                                                                          \
    INPUT(ROWS, 14)

#define LOAD(n) ((n) < size ? v8_load(w + (n)*g->w_step) : v8_zero())

#define GRID(M, ROWS, S, STRIDE)                                                                             \
    static void grid_##S##_##STRIDE##_##M(const cvi_grid *g, const float *x, const cvi_tile *tile) {         \
        enum { outputs = M, size = S, stride = STRIDE };                                                     \
        for (int64_t c = 0; c < g->channels; c += 8) {                                                       \
            const float *row = x + c, *w = g->w + c;                                                         \
            ROWS(START)                                                                                      \
            for (int64_t r = 0; r < g->rows; r++, row += g->x_row, w += size * g->w_step) {                  \
                const float *p = row;                                                                        \
                const v8 w0 = LOAD(0), w1 = LOAD(1), w2 = LOAD(2), w3 = LOAD(3), w4 = LOAD(4), w5 = LOAD(5), \
                         w6 = LOAD(6);                                                                       \
                INPUTS(ROWS)                                                                                 \
            }                                                                                                \
            ROWS(PUT)                                                                                        \
        }                                                                                                    \
    }

#if CVI_LEAF_ROWS == 6
#define ALL(S, STRIDE)                                                                                       \
    GRID(1, ROWS1, S, STRIDE)                                                                                \
    GRID(2, ROWS2, S, STRIDE)                                                                                \
    GRID(3, ROWS3, S, STRIDE)                                                                                \
    GRID(4, ROWS4, S, STRIDE)                                                                                \
    GRID(5, ROWS5, S, STRIDE)                                                                                \
    GRID(6, ROWS6, S, STRIDE)
#else
#define ALL(S, STRIDE)                                                                                       \
    GRID(1, ROWS1, S, STRIDE)                                                                                \
    GRID(2, ROWS2, S, STRIDE)
#endif
ALL(1, 1)
ALL(2, 1)
ALL(3, 1)
ALL(3, 2)
ALL(5, 1)
ALL(5, 2)
ALL(7, 1)

cvi_micro_grid *const CVI_LEAF(grid)[CVI_N_GRIDS][CVI_MAX_ROWS + 1] = {
    [CVI_GRID_1] = CVI_BLOCKS(grid_1_1), [CVI_GRID_2] = CVI_BLOCKS(grid_2_1),
    [CVI_GRID_3] = CVI_BLOCKS(grid_3_1), [CVI_GRID_3_2] = CVI_BLOCKS(grid_3_2),
    [CVI_GRID_5] = CVI_BLOCKS(grid_5_1), [CVI_GRID_5_2] = CVI_BLOCKS(grid_5_2),
    [CVI_GRID_7] = CVI_BLOCKS(grid_7_1),
};

/* One output of which only `columns` taps of each row are inside: g->w at the first of them, `size` weights a row. */
void CVI_LEAF(depthwise_border)(const cvi_grid *g, int64_t columns, int64_t size, const float *x,
                                const cvi_tile *tile) {
    for (int64_t c = 0; c < g->channels; c += 8) {
        v8 a = v8_load(tile->bias + c);
        for (int64_t r = 0; r < g->rows; r++) {
            const float *p = x + r * g->x_row + c, *w = g->w + r * size * g->w_step + c;
            for (int64_t s = 0; s < columns; s++, p += g->x_step, w += g->w_step) {
                v8 v = v8_load(p), weight = v8_load(w);
                V8_ACCUMULATE(a, v, weight);
            }
        }
        put(tile, c, a);
    }
}
