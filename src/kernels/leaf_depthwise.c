/* SPDX-License-Identifier: MIT
 * leaf_depthwise.c - depthwise convolution: M neighbouring outputs of one row, eight channels at a time.
 * Neighbours share inputs, so each input is loaded once per kernel row and used by up to S outputs, and a row's S
 * weights stay in registers: about one load per two multiply-adds, where one output alone would need four. Kernel
 * rows outside the picture are left out by the caller; columns are not, those outputs take depthwise_border. A level
 * with v16 does the same with sixteen channels, then with the eight that may be left: `vec` is the one or the other.
 */
#include "kernels/leaf.h"

#define PUT_FUNCTION(V)                                                                                      \
    CVI_INLINE void V##_put(const cvi_tile *t, int64_t at, V sum) {                                          \
        if (t->add != NULL) {                                                                                \
            sum = V##_add(sum, V##_load(t->add + at));                                                       \
        }                                                                                                    \
        if (t->clamp) {                                                                                      \
            sum = V##_min(V##_all(t->hi), V##_max(V##_all(t->lo), sum));                                     \
        }                                                                                                    \
        V##_store(t->out + at, sum);                                                                         \
    }
PUT_FUNCTION(v8)
#if CVI_WIDE
PUT_FUNCTION(v16)
#define LOAD_VEC(p)             _Generic((vec){0}, v8 : v8_load, v16 : v16_load)(p)
#define MULTIPLY_ADD(sum, a, b) ((sum) = _Generic((sum), v8 : v8_fma, v16 : v16_fma)(a, b, sum))
#define PUT_VEC(at, a)          _Generic((a), v8 : v8_put, v16 : v16_put)(tile, at, a)
#else
#define LOAD_VEC(p)             v8_load(p)
#define MULTIPLY_ADD(sum, a, b) V8_ACCUMULATE(sum, a, b)
#define PUT_VEC(at, a)          v8_put(tile, at, a)
#endif

#define START(i) vec a##i = LOAD_VEC(tile->bias + c);
#define PUT(i)   PUT_VEC((i)*tile->pitch + c, a##i);

/* Input number k of a kernel row meets weight k - i*STRIDE of output i, if there is one. All of it is decided by the
 * compiler: k, M, S and STRIDE are constants. */
#define WEIGHT(n)                                                                                            \
    ((n) == 0 ? w0 : (n) == 1 ? w1 : (n) == 2 ? w2 : (n) == 3 ? w3 : (n) == 4 ? w4 : (n) == 5 ? w5 : w6)
#define MEET(i)                                                                                              \
    if (k - (i)*stride >= 0 && k - (i)*stride < size) {                                                      \
        MULTIPLY_ADD(a##i, v, WEIGHT(k - (i)*stride));                                                       \
    }
#define INPUT(ROWS, number)                                                                                  \
    {                                                                                                        \
        enum { k = number };                                                                                 \
        if (k < (outputs - 1) * stride + size) {                                                             \
            const vec v = LOAD_VEC(p);                                                                       \
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

#define LOAD(n) const vec w##n = LOAD_VEC(w + ((n) < size ? (n) : 0) * g->w_step);

#define CHANNELS(ROWS)                                                                                       \
    for (; c + lanes <= g->channels; c += lanes) {                                                           \
        const float *row = x + c, *w = g->w + c;                                                             \
        ROWS(START)                                                                                          \
        for (int64_t r = 0; r < g->rows; r++, row += g->x_row, w += size * g->w_step) {                      \
            const float *p = row;                                                                            \
            ROWS7(LOAD)                                                                                      \
            INPUTS(ROWS)                                                                                     \
        }                                                                                                    \
        ROWS(PUT)                                                                                            \
    }
#if CVI_WIDE
#define SIXTEEN(ROWS)                                                                                        \
    {                                                                                                        \
        typedef v16 vec;                                                                                     \
        enum { lanes = 16 };                                                                                 \
        CHANNELS(ROWS)                                                                                       \
    }
#else
#define SIXTEEN(ROWS)
#endif
#define GRID(M, ROWS, S, STRIDE)                                                                             \
    static void grid_##S##_##STRIDE##_##M(const cvi_grid *g, const float *x, const cvi_tile *tile) {         \
        enum { outputs = M, size = S, stride = STRIDE };                                                     \
        int64_t c = 0;                                                                                       \
        SIXTEEN(ROWS)                                                                                        \
        typedef v8 vec;                                                                                      \
        enum { lanes = 8 };                                                                                  \
        CHANNELS(ROWS)                                                                                       \
    }

#define GRID_1_1(M, ROWS) GRID(M, ROWS, 1, 1)
CVI_EACH(CVI_LEAF_GRID, GRID_1_1)
#define GRID_2_1(M, ROWS) GRID(M, ROWS, 2, 1)
CVI_EACH(CVI_LEAF_GRID, GRID_2_1)
#define GRID_3_1(M, ROWS) GRID(M, ROWS, 3, 1)
CVI_EACH(CVI_LEAF_GRID, GRID_3_1)
#define GRID_3_2(M, ROWS) GRID(M, ROWS, 3, 2)
CVI_EACH(CVI_LEAF_GRID, GRID_3_2)
#define GRID_5_1(M, ROWS) GRID(M, ROWS, 5, 1)
CVI_EACH(CVI_LEAF_GRID, GRID_5_1)
#define GRID_5_2(M, ROWS) GRID(M, ROWS, 5, 2)
CVI_EACH(CVI_LEAF_GRID, GRID_5_2)
#define GRID_7_1(M, ROWS) GRID(M, ROWS, 7, 1)
CVI_EACH(CVI_LEAF_GRID, GRID_7_1)

#define BLOCKS(name) CVI_BLOCKS(CVI_LEAF_GRID, name)
cvi_micro_grid *const CVI_LEAF(grid)[CVI_N_GRIDS][CVI_MAX_ROWS + 1] = {
    [CVI_GRID_1] = BLOCKS(grid_1_1),   [CVI_GRID_2] = BLOCKS(grid_2_1), [CVI_GRID_3] = BLOCKS(grid_3_1),
    [CVI_GRID_3_2] = BLOCKS(grid_3_2), [CVI_GRID_5] = BLOCKS(grid_5_1), [CVI_GRID_5_2] = BLOCKS(grid_5_2),
    [CVI_GRID_7] = BLOCKS(grid_7_1),
};

#if CVI_WIDE
/* ---- 3x3 by rectangles ----------------------------------------------------------------------------------
 * Up to 4x4 outputs, sixteen channels at a time: neighbours in both directions share inputs, so 16 outputs take 36 loads for
 * 144 multiply-adds (stride 1), and rows are read 1.5 times instead of 3. Inputs come by address: a pad is the address of
 * zeros, and a border costs what the middle costs. */
#define EACH_OUTPUT(X)                                                                                       \
    X(0, 0)                                                                                                  \
    X(0, 1)                                                                                                  \
    X(0, 2)                                                                                                  \
    X(0, 3) X(1, 0) X(1, 1) X(1, 2) X(1, 3) X(2, 0) X(2, 1) X(2, 2) X(2, 3) X(3, 0) X(3, 1) X(3, 2) X(3, 3)
#define START2(i, j) vec a##i##j = bias;
#define WEIGHT2(n)   ((n) == 7 ? w7 : (n) == 8 ? w8 : WEIGHT(n))
#define MEET2(i, j)                                                                                          \
    if ((i) < rows && (j) < columns && kr >= (i)*stride && kr < (i)*stride + 3 && kc >= (j)*stride &&        \
        kc < (j)*stride + 3) {                                                                               \
        MULTIPLY_ADD(a##i##j, v, WEIGHT2((kr - (i)*stride) * 3 + kc - (j)*stride));                          \
    }
#define INPUT2(r, s)                                                                                         \
    if ((r) < (rows - 1) * stride + 3 && (s) < (columns - 1) * stride + 3) {                                 \
        enum { kr = r, kc = s };                                                                             \
        const vec v = LOAD_VEC(at->x[r][s] + c);                                                             \
        EACH_OUTPUT(MEET2)                                                                                   \
    }
#define INPUT_ROW(y)                                                                                         \
    INPUT2(y, 0)                                                                                             \
    INPUT2(y, 1) INPUT2(y, 2) INPUT2(y, 3) INPUT2(y, 4) INPUT2(y, 5) INPUT2(y, 6) INPUT2(y, 7) INPUT2(y, 8)
#define PUT2(i, j)                                                                                           \
    if ((i) < rows && (j) < columns) {                                                                       \
        PUT_VEC((i)*at->out_row + (j)*tile->pitch + c, a##i##j);                                             \
    }
#define WEIGHTS2(n) const vec w##n = LOAD_VEC(at->w + (n)*at->w_step + c);
#define SQUARE_CHANNELS                                                                                      \
    for (; c + lanes <= at->channels; c += lanes) {                                                          \
        const vec bias = LOAD_VEC(tile->bias + c);                                                           \
        ROWS9(WEIGHTS2)                                                                                      \
        EACH_OUTPUT(START2)                                                                                  \
        ROWS9(INPUT_ROW)                                                                                     \
        EACH_OUTPUT(PUT2)                                                                                    \
    }
#define SQUARE(R, C, STRIDE)                                                                                 \
    static void square_##STRIDE##_##R##C(const cvi_square *at, const cvi_tile *tile) {                       \
        enum { rows = R, columns = C, stride = STRIDE };                                                     \
        int64_t c = 0;                                                                                       \
        {                                                                                                    \
            typedef v16 vec;                                                                                 \
            enum { lanes = 16 };                                                                             \
            SQUARE_CHANNELS                                                                                  \
        }                                                                                                    \
        typedef v8 vec;                                                                                      \
        enum { lanes = 8 };                                                                                  \
        SQUARE_CHANNELS                                                                                      \
    }
#define SQUARE_ROW(R, STRIDE)                                                                                \
    SQUARE(R, 1, STRIDE) SQUARE(R, 2, STRIDE) SQUARE(R, 3, STRIDE) SQUARE(R, 4, STRIDE)
#define SQUARES(STRIDE)                                                                                      \
    SQUARE_ROW(1, STRIDE) SQUARE_ROW(2, STRIDE) SQUARE_ROW(3, STRIDE) SQUARE_ROW(4, STRIDE)
SQUARES(1)
SQUARES(2)

#define SQUARE_NAMES(R, STRIDE)                                                                              \
    { square_##STRIDE##_##R##1, square_##STRIDE##_##R##2, square_##STRIDE##_##R##3, square_##STRIDE##_##R##4 }
#define SQUARE_TABLE(STRIDE)                                                                                 \
    { SQUARE_NAMES(1, STRIDE), SQUARE_NAMES(2, STRIDE), SQUARE_NAMES(3, STRIDE), SQUARE_NAMES(4, STRIDE) }
cvi_micro_square *const CVI_LEAF(square)[2][CVI_SQUARE][CVI_SQUARE] = {SQUARE_TABLE(1), SQUARE_TABLE(2)};
#endif

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
        v8_put(tile, c, a);
    }
}

/* Any other taps: eight channels of M pixels, addresses as in leaf_micro.c; memory bound, so the pointers are simply loaded again per channel
 * block. */
#define STARTDW(i) v8 a##i = bias;
#define ADDDW(i)                                                                                             \
    {                                                                                                        \
        v8 v = v8_load(p[i] + c);                                                                            \
        V8_ACCUMULATE(a##i, v, wt);                                                                          \
    }
#define PUTDW(i) v8_put(tile, (i)*tile->pitch + c, a##i);

#define MICRODW(M, ROWS)                                                                                     \
    static void depthwise_##M(int64_t taps, int64_t channels, const float *const *x, const float *w,         \
                              const cvi_tile *tile) {                                                        \
        for (int64_t c = 0; c < channels; c += 8) {                                                          \
            v8 bias = v8_load(tile->bias + c);                                                               \
            const float *const *p = x;                                                                       \
            const float *wc = w + c;                                                                         \
            ROWS(STARTDW)                                                                                    \
            for (int64_t t = 0; t < taps; t++, p += M, wc += channels) {                                     \
                v8 wt = v8_load(wc);                                                                         \
                ROWS(ADDDW)                                                                                  \
            }                                                                                                \
            ROWS(PUTDW)                                                                                      \
        }                                                                                                    \
    }

CVI_EACH(CVI_LEAF_GRID, MICRODW)

cvi_micro_dw *const CVI_LEAF(depthwise)[CVI_MAX_ROWS + 1] = CVI_BLOCKS(CVI_LEAF_GRID, depthwise);
