/* SPDX-License-Identifier: MIT
 * leaf_stream512.c - register blocks of the AVX-512 level that follow each other without a gap: M pixels x 32 output channels, M up
 * to 6, so that two blocks have their accumulators side by side. The sums of one block are limited and stored between the first
 * multiply-adds of the next. A block by itself (leaf_micro512.c) ends with stores and begins with loads that the processor
 * hides only in part: 80 to 120 cycles, a quarter of the time of a layer of 16 input channels (measured on a Zen 4).
 */
#include <math.h>

#include "kernels/leaf.h"

/* Accumulators of the one block: a and b; of the other: c and d. */
#define ZERO(i) v16 a##i = v16_zero(), b##i = v16_zero(), c##i = v16_zero(), d##i = v16_zero();
#define START(A, B, i)                                                                                       \
    A##i = bias0;                                                                                            \
    B##i = bias1;
#define ADD(A, B, i)                                                                                         \
    {                                                                                                        \
        const v16 v = v16_all(p##i[k + j]);                                                                  \
        V16_ACCUMULATE(A##i, v, w0);                                                                         \
        V16_ACCUMULATE(B##i, v, w1);                                                                         \
    }
#define PUT(sum, i, at)                                                                                      \
    {                                                                                                        \
        float *place = before + (i)*pitch + (at);                                                            \
        v16_store(place, v16_min(hi, v16_max(lo, adds ? v16_add(sum, v16_load(place + add)) : (sum))));      \
    }
/* One of every row's two sums in the first two of four steps, the other in the last two. */
#define SPREAD(A, B, i)                                                                                      \
    if (((i) + j) % 2 == 0 && j < 2) {                                                                       \
        PUT(A##i, i, 0)                                                                                      \
    } else if (((i) + j) % 2 == 0) {                                                                         \
        PUT(B##i, i, 16)                                                                                     \
    }

#define START_FIRST(i)  START(a, b, i)
#define HEAD_FIRST(i)   ADD(a, b, i) SPREAD(c, d, i)
#define ADD_FIRST(i)    ADD(a, b, i)
#define END_FIRST(i)    PUT(a##i, i, 0) PUT(b##i, i, 16)
#define START_SECOND(i) START(c, d, i)
#define HEAD_SECOND(i)  ADD(c, d, i) SPREAD(a, b, i)
#define ADD_SECOND(i)   ADD(c, d, i)
#define END_SECOND(i)   PUT(c##i, i, 0) PUT(d##i, i, 16)

#define NO_POINTER(i) const float *p##i;
#define POINTER(i)    p##i = pixel[i] + offset;
#define STEP(ROWS, DO, step)                                                                                 \
    {                                                                                                        \
        enum { j = step };                                                                                   \
        const v16 w0 = v16_load(w + j * 16), w1 = v16_load(w + j * 16 + second);                             \
        ROWS(DO)                                                                                             \
    }
/* To the second-level cache: weights that a later run needs, over the whole block. */
#define ASK_AHEAD(w)                                                                                         \
    __builtin_prefetch((w), 0, 2);                                                                           \
    __builtin_prefetch((w) + 16, 0, 2);                                                                      \
    __builtin_prefetch((w) + 32, 0, 2);                                                                      \
    __builtin_prefetch((w) + 48, 0, 2);
#define FOUR(ROWS, DO)                                                                                       \
    ASK_AHEAD(w + ahead)                                                                                     \
    ASK_AHEAD(w + second + ahead)                                                                            \
    STEP(ROWS, DO, 0) STEP(ROWS, DO, 1) STEP(ROWS, DO, 2) STEP(ROWS, DO, 3)

/* One block, and what comes after it: the next two panels of the same pixels, or the first two of the next pixels. */
#define BLOCK(M, ROWS, SET)                                                                                  \
    {                                                                                                        \
        const v16 bias0 = v16_load(bias), bias1 = v16_load(bias + 16);                                       \
        const float *const *pixel = x;                                                                       \
        int64_t k = 0;                                                                                       \
        ROWS(START_##SET)                                                                                    \
        ROWS(POINTER)                                                                                        \
        FOUR(ROWS, HEAD_##SET)                                                                               \
        k = 4;                                                                                               \
        w += 64;                                                                                             \
        for (int64_t t = taps;;) {                                                                           \
            for (; k + 4 <= channels; k += 4, w += 64) {                                                     \
                CVI_PREFETCH(w)                                                                              \
                CVI_PREFETCH(w + second)                                                                     \
                FOUR(ROWS, ADD_##SET)                                                                        \
            }                                                                                                \
            for (; k < channels; k++, w += 16) {                                                             \
                STEP(ROWS, ADD_##SET, 0)                                                                     \
            }                                                                                                \
            if (--t == 0) {                                                                                  \
                break;                                                                                       \
            }                                                                                                \
            pixel += M;                                                                                      \
            k = 0;                                                                                           \
            ROWS(POINTER)                                                                                    \
        }                                                                                                    \
        before = out;                                                                                        \
        const step_on *on = --near == 0 ? &far_step : &near_step;                                            \
        near = near == 0 ? s->by_panel ? s->tiles : s->units : near;                                         \
        x += on->x;                                                                                          \
        w += on->w;                                                                                          \
        bias += on->bias;                                                                                    \
        out += on->out;                                                                                      \
    }

/* From one block to the next, seen from the end of the first of its two panels. */
typedef struct step_on {
    int64_t x, w, bias, out;
} step_on;

/* To the next pixels and the same panels, or to the next panels and the same pixels; and what ends a row of such steps. */
static void steps_of(const cvi_stream *s, int64_t rows, step_on *near, step_on *far) {
    int64_t panel = s->taps * s->channels * 16, pixels = rows * s->taps, down = rows * s->tile.pitch;
    if (s->by_panel) {
        *near = (step_on){pixels, -panel, 0, down};
        *far = (step_on){-pixels * (s->tiles - 1), panel, 32, 32 - down * (s->tiles - 1)};
    } else {
        *near = (step_on){0, panel, 32, 32};
        *far =
            (step_on){pixels, panel - 2 * panel * s->units, -32 * (s->units - 1), down - 32 * (s->units - 1)};
    }
}

/* The first block stores what the second one's accumulators hold, zeros, where its own sums go later; without limits, because the numbers
 * to be added may lie there too. */
#define STREAM(NAME, ADDS, M, ROWS)                                                                          \
    static void NAME##_##M(const cvi_stream *s) {                                                            \
        enum { adds = ADDS };                                                                                \
        const cvi_tile *tile = &s->tile;                                                                     \
        const int64_t taps = s->taps, channels = s->channels, offset = s->offset;                            \
        const int64_t second = taps * channels * 16, pitch = tile->pitch, ahead = tile->ahead,               \
                      add = adds ? (int64_t)((uintptr_t)tile->add - (uintptr_t)tile->out) / 4 : 0;           \
        step_on near_step, far_step;                                                                         \
        steps_of(s, M, &near_step, &far_step);                                                               \
        const float *const *x = s->x;                                                                        \
        const float *w = s->w, *bias = tile->bias;                                                           \
        float *out = tile->out, *before = out;                                                               \
        int64_t near = s->by_panel ? s->tiles : s->units;                                                    \
        v16 lo = v16_all(-INFINITY), hi = v16_all(INFINITY);                                                 \
        (void)add;                                                                                           \
        ROWS(ZERO)                                                                                           \
        ROWS(NO_POINTER)                                                                                     \
        for (int64_t left = s->tiles * s->units;;) {                                                         \
            BLOCK(M, ROWS, FIRST)                                                                            \
            lo = v16_all(tile->clamp ? tile->lo : -INFINITY);                                                \
            hi = v16_all(tile->clamp ? tile->hi : INFINITY);                                                 \
            if (--left == 0) {                                                                               \
                ROWS(END_FIRST)                                                                              \
                break;                                                                                       \
            }                                                                                                \
            BLOCK(M, ROWS, SECOND)                                                                           \
            if (--left == 0) {                                                                               \
                ROWS(END_SECOND)                                                                             \
                break;                                                                                       \
            }                                                                                                \
        }                                                                                                    \
    }
#define STREAM_ALONE(M, ROWS) STREAM(stream32, 0, M, ROWS)
CVI_EACH_6(STREAM_ALONE)
#define STREAM_ADDED(M, ROWS) STREAM(added_stream32, 1, M, ROWS)
CVI_EACH_6(STREAM_ADDED)

cvi_micro_stream *const CVI_LEAF(stream32)[2][CVI_STREAM_ROWS + 1] = {CVI_BLOCKS(6, stream32),
                                                                      CVI_BLOCKS(6, added_stream32)};
