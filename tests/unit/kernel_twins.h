/* SPDX-License-Identifier: MIT
 * kernel_twins.h - what tests of kernels share: seeded numbers, NHWC8 buffers whose padding is checked, and the
 * plain twin of convolution (loops straight from the formula, double accumulation, sum of |a*b| beside it).
 */
#ifndef KERNEL_TWINS_H
#define KERNEL_TWINS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernels/kernels.h"

static inline int64_t pick(uint64_t seed, uint64_t index, int64_t low, int64_t high) {
    return low + (int64_t)(cvi_random_uniform(seed, 77, index) * (double)(high - low + 1));
}

static inline float *new_floats(int64_t n) {
    float *p = calloc((size_t)n + 16, sizeof(float));
    assert_non_null(p);
    return p;
}

static inline float *random_floats(uint64_t seed, uint64_t purpose, int64_t n) {
    float *p = new_floats(n);
    for (int64_t i = 0; i < n; i++) {
        p[i] = (float)(cvi_random_uniform(seed, purpose, (uint64_t)i) * 2 - 1);
    }
    return p;
}

/* plain [N,C,P] -> NHWC8 with padding 0 and back; the plainest loops. */
static inline float *to_nhwc8(const float *plain, int64_t N, int64_t C, int64_t P) {
    int64_t pitch = CVI_PITCH(C);
    float *x = new_floats(N * P * pitch);
    for (int64_t n = 0; n < N; n++) {
        for (int64_t c = 0; c < C; c++) {
            for (int64_t i = 0; i < P; i++) {
                x[(n * P + i) * pitch + c] = plain[(n * C + c) * P + i];
            }
        }
    }
    return x;
}

static inline float *filled(int64_t n, float value) {
    float *p = new_floats(n);
    for (int64_t i = 0; i < n; i++) {
        p[i] = value;
    }
    return p;
}

static inline void assert_padding_is_zero(const float *x, int64_t rows, int64_t C) {
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t c = C; c < CVI_PITCH(C); c++) {
            if (x[i * CVI_PITCH(C) + c] != 0.0F) {
                fail_msg("padding channel %lld of row %lld is %g", (long long)c, (long long)i,
                         (double)x[i * CVI_PITCH(C) + c]);
            }
        }
    }
}

/* y (double, plain [N,K,OH,OW]) and the sum of the absolute products, from plain x, w. */
static inline void twin_conv(const cvi_conv_shape *s, const float *x, const float *w, double *y,
                             double *size) {
    int64_t cg = s->C / s->groups, kg = s->K / s->groups;
    for (int64_t n = 0; n < s->N; n++) {
        for (int64_t k = 0; k < s->K; k++) {
            for (int64_t oy = 0; oy < s->OH; oy++) {
                for (int64_t ox = 0; ox < s->OW; ox++) {
                    double sum = 0, all = 0;
                    for (int64_t c = 0; c < cg; c++) {
                        for (int64_t r = 0; r < s->R; r++) {
                            for (int64_t q = 0; q < s->S; q++) {
                                int64_t iy = oy * s->stride_h - s->pad_top + r * s->dilation_h;
                                int64_t ix = ox * s->stride_w - s->pad_left + q * s->dilation_w;
                                if (iy >= 0 && iy < s->H && ix >= 0 && ix < s->W) {
                                    double v =
                                        (double)x[((n * s->C + k / kg * cg + c) * s->H + iy) * s->W + ix] *
                                        (double)w[((k * cg + c) * s->R + r) * s->S + q];
                                    sum += v;
                                    all += fabs(v);
                                }
                            }
                        }
                    }
                    y[((n * s->K + k) * s->OH + oy) * s->OW + ox] = sum;
                    size[((n * s->K + k) * s->OH + oy) * s->OW + ox] = all;
                }
            }
        }
    }
}

/* The transposed direction: dx [N,C,H,W] from dy, by scattering. */
static inline void twin_transposed(const cvi_conv_shape *s, const float *dy, const float *w, double *dx,
                                   double *size) {
    int64_t cg = s->C / s->groups, kg = s->K / s->groups, count = s->N * s->C * s->H * s->W;
    memset(dx, 0, (size_t)count * sizeof(double));
    memset(size, 0, (size_t)count * sizeof(double));
    for (int64_t n = 0; n < s->N; n++) {
        for (int64_t k = 0; k < s->K; k++) {
            for (int64_t o = 0; o < s->OH * s->OW; o++) {
                double g = (double)dy[(n * s->K + k) * s->OH * s->OW + o];
                for (int64_t i = 0; i < cg * s->R * s->S; i++) {
                    int64_t c = i / (s->R * s->S), r = i / s->S % s->R, q = i % s->S;
                    int64_t iy = o / s->OW * s->stride_h - s->pad_top + r * s->dilation_h;
                    int64_t ix = o % s->OW * s->stride_w - s->pad_left + q * s->dilation_w;
                    if (iy >= 0 && iy < s->H && ix >= 0 && ix < s->W) {
                        double v = g * (double)w[k * cg * s->R * s->S + i];
                        int64_t at = ((n * s->C + k / kg * cg + c) * s->H + iy) * s->W + ix;
                        dx[at] += v;
                        size[at] += fabs(v);
                    }
                }
            }
        }
    }
}

/* A random convolution: small, but with every border, tail, dilation, asymmetric pad and group. */
static inline cvi_conv_shape random_shape(uint64_t seed) {
    cvi_conv_shape s = {.N = pick(seed, 0, 1, 3), .groups = 1};
    s.C = pick(seed, 1, 1, 40);
    s.K = pick(seed, 2, 1, 40);
    if (seed % 4 == 1) { /* grouped, odd channels */
        s.groups = pick(seed, 3, 2, 5);
        s.C = s.groups * pick(seed, 4, 1, 7);
        s.K = s.groups * pick(seed, 5, 1, 19);
    } else if (seed % 4 == 2) {
        s.groups = s.K = s.C; /* depthwise */
    }
    s.R = pick(seed, 6, 1, 5);
    s.S = pick(seed, 7, 1, 5);
    s.stride_h = pick(seed, 8, 1, 3);
    s.stride_w = pick(seed, 9, 1, 3);
    s.dilation_h = pick(seed, 10, 1, 2);
    s.dilation_w = pick(seed, 11, 1, 3);
    if (seed % 4 == 3) { /* the shapes with algorithms of their own */
        s.R = s.S = pick(seed, 12, 0, 3) == 0 ? 1 : 3;
        s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = 1;
    }
    s.pad_top = pick(seed, 13, 0, 3);
    s.pad_left = pick(seed, 14, 0, 3);
    s.pad_bottom = pick(seed, 15, -1, 3);
    s.pad_right = pick(seed, 16, -1, 3);
    int64_t eff_h = (s.R - 1) * s.dilation_h + 1, eff_w = (s.S - 1) * s.dilation_w + 1;
    s.H = pick(seed, 17, CVI_MAX(1, eff_h - s.pad_top - s.pad_bottom), eff_h + 9);
    s.W = pick(seed, 18, CVI_MAX(1, eff_w - s.pad_left - s.pad_right), eff_w + 9);
    s.OH = CVI_MAX(1, (s.H + s.pad_top + s.pad_bottom - eff_h) / s.stride_h + 1);
    s.OW = CVI_MAX(1, (s.W + s.pad_left + s.pad_right - eff_w) / s.stride_w + 1);
    return s;
}

static const char *const kernel_levels[] = {"portable", "avx2", "avx512"};

/* Selects a level by the environment; false (and a visible line) where this CPU lacks it. */
static inline bool use_level(const char *level) {
    setenv("CONVSCOPE_CPU", level, 1);
    if (strcmp(cvi_kernels_name(cvi_kernels_get()), level) != 0) {
        print_message("[  SKIPPED ] level %s: not on this CPU\n", level);
        return false;
    }
    return true;
}

#endif
