/* SPDX-License-Identifier: MIT
 * test_kernels_map.c - element-wise functions against libm in double (with the accuracy kernels.h promises),
 * softmax, pooling and its gradients, layouts, channel copies and resizing against plain loops, at each CPU level.
 */
#include "kernel_twins.h"

static double gelu_tanh(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static double exact_unary(cvi_unary_op op, double a, double b, double x) {
    switch (op) {
    case CVI_U_COPY:
        return x;
    case CVI_U_RELU:
        return x > 0 ? x : 0;
    case CVI_U_CLAMP:
        return x < a ? a : x > b ? b : x;
    case CVI_U_LEAKY:
        return x < 0 ? a * x : x;
    case CVI_U_ELU:
        return x < 0 ? a * expm1(x) : x;
    case CVI_U_SELU:
        return b * (x < 0 ? a * expm1(x) : x);
    case CVI_U_CELU:
        return x < 0 ? a * expm1(x / a) : x;
    case CVI_U_THRESHOLD:
        return x > a ? x : 0;
    case CVI_U_SIGMOID:
        return 1 / (1 + exp(-x));
    case CVI_U_HARDSIGMOID:
        return fmin(1, fmax(0, a * x + b));
    case CVI_U_HARDSWISH:
        return x * fmin(1, fmax(0, x / 6 + 0.5));
    case CVI_U_SILU:
        return x / (1 + exp(-a * x));
    case CVI_U_TANH:
        return tanh(x);
    case CVI_U_SOFTPLUS:
        return fmax(x, 0) + log1p(exp(-fabs(x)));
    case CVI_U_SOFTSIGN:
        return x / (1 + fabs(x));
    case CVI_U_MISH:
        return x * tanh(fmax(x, 0) + log1p(exp(-fabs(x))));
    case CVI_U_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case CVI_U_GELU_TANH:
        return gelu_tanh(x);
    case CVI_U_ERF:
        return erf(x);
    case CVI_U_EXP:
        return exp(x);
    case CVI_U_LOG:
        return log(x);
    case CVI_U_SQRT:
        return sqrt(x);
    case CVI_U_RSQRT:
        return 1 / sqrt(x);
    case CVI_U_RECIPROCAL:
        return 1 / x;
    case CVI_U_ABS:
        return fabs(x);
    case CVI_U_NEG:
        return -x;
    case CVI_U_SQUARE:
        return x * x;
    case CVI_U_LINEAR:
        return a * x + b;
    default:
        break;
    }
    fail_msg("operation %d has no exact twin", (int)op);
    return 0;
}

/* Error bound in units of the last place of the exact result, and an absolute one for functions that cancel. */
static void bound_of(cvi_unary_op op, double *ulps, double *absolute) {
    *ulps = 1;
    *absolute = 0;
    switch (op) {
    case CVI_U_EXP:
        *ulps = 1.5;
        break;
    case CVI_U_LOG:
        *ulps = 2;
        break;
    case CVI_U_SIGMOID:
    case CVI_U_TANH:
    case CVI_U_SOFTPLUS:
        *ulps = 3;
        break;
    case CVI_U_SILU:
    case CVI_U_MISH:
        *ulps = 6, *absolute = 1e-36;
        break; /* exp's argument is rounded; exp may be denormal */
    case CVI_U_ELU:
    case CVI_U_SELU:
    case CVI_U_CELU:
        *ulps = 4;
        break;
    case CVI_U_ERF:
        *ulps = 2, *absolute = 3e-7;
        break;
    case CVI_U_GELU:
        *ulps = 3, *absolute = 1e-6;
        break;
    case CVI_U_GELU_TANH:
        *ulps = 3, *absolute = 1e-6;
        break;
    case CVI_U_HARDSIGMOID:
    case CVI_U_HARDSWISH:
    case CVI_U_LINEAR:
        *ulps = 2, *absolute = 2e-7;
        break; /* multiply, then add, is rounded twice when not fused */
    case CVI_U_SOFTSIGN:
    case CVI_U_RSQRT:
        *ulps = 1.6;
        break;
    default:
        break;
    }
}

static double ulp(double x) {
    float f = (float)fabs(x);
    return isfinite(f) ? fmax((double)nextafterf(f, INFINITY) - (double)f, 1.4e-45) : (double)INFINITY;
}

static void check_unary(cvi_unary_op op) {
    const double a = op == CVI_U_CLAMP  ? -1.5
                     : op == CVI_U_SELU ? 1.6732632423543772
                     : op == CVI_U_SILU ? 1.0
                                        : 0.3;
    const double b = op == CVI_U_SELU ? 1.0507009873554805 : 0.7;
    enum { N = 4099 };
    static float x[N], y[N + 1];
    double worst = 0, ulps, absolute;
    bound_of(op, &ulps, &absolute);
    for (int round = 0; round < 4; round++) {
        const double scales[] = {1e-3, 1, 12, 95};
        for (int i = 0; i < N; i++) {
            x[i] = (float)((cvi_random_uniform(9, (uint64_t)op, (uint64_t)(i + round * N)) * 2 - 1) *
                           scales[round]);
        }
        y[N] = 5;
        cvi_unary(NULL, op, (float)a, (float)b, 1, N, N, x, y);
        assert_true(y[N] == 5.0F);
        for (int i = 0; i < N; i++) {
            double want = exact_unary(op, (double)(float)a, (double)(float)b, (double)x[i]),
                   got = (double)y[i];
            if (isnan(want) || isinf((float)want)) {
                assert_true(isnan(want) ? isnan(got) : got == (double)(float)want);
                continue;
            }
            double error = (fabs(got - want) - absolute) / ulp(want);
            /* Results below the normal range may come out as 0. */
            error = fabs(want) < 1.2e-38 && fabs(got) < 1.2e-38 ? 0 : error;
            worst = error > worst ? error : worst;
            if (!(error <= ulps)) {
                fail_msg("operation %d of %.9g is %.9g, not %.9g (%.2f units)", (int)op, (double)x[i], got,
                         want, error);
            }
        }
    }
    if (getenv("CVS_VERBOSE") != NULL) {
        print_message("operation %2d: worst error %.2f units in the last place\n", (int)op, worst);
    }
}

static void unary_special(void) {
    const float x[] = {NAN, INFINITY, -INFINITY, 0.0F, -0.0F, 1e-40F, 89.0F, -104.0F, -200.0F};
    float y[9];
    const cvi_unary_op keep_nan[] = {CVI_U_RELU,      CVI_U_CLAMP,    CVI_U_LEAKY, CVI_U_ELU, CVI_U_SIGMOID,
                                     CVI_U_TANH,      CVI_U_EXP,      CVI_U_LOG,   CVI_U_ERF, CVI_U_GELU,
                                     CVI_U_THRESHOLD, CVI_U_SOFTPLUS, CVI_U_MISH};
    for (int i = 0; i < CVI_COUNT(keep_nan); i++) {
        cvi_unary(NULL, keep_nan[i], 0.5F, 6, 1, 9, 9, x, y);
        assert_true(isnan(y[0]));
    }
    cvi_unary(NULL, CVI_U_EXP, 0, 0, 1, 9, 9, x, y);
    assert_true(isinf(y[1]) && y[2] == 0.0F && y[3] == 1.0F && isinf(y[6]) && y[7] == expf(-104.0F) &&
                y[8] == 0.0F);
    cvi_unary(NULL, CVI_U_LOG, 0, 0, 1, 9, 9, x, y);
    assert_true(isinf(y[1]) && y[1] > 0 && isnan(y[2]) && isinf(y[3]) && y[3] < 0 &&
                fabsf(y[5] - logf(1e-40F)) < 1e-4F);
    cvi_unary(NULL, CVI_U_TANH, 0, 0, 1, 9, 9, x, y);
    assert_true(y[1] == 1.0F && y[2] == -1.0F && signbit(y[4]) && !signbit(y[3]));
    cvi_unary(NULL, CVI_U_SIGMOID, 0, 0, 1, 9, 9, x, y);
    assert_true(y[1] == 1.0F && y[2] == 0.0F && y[3] == 0.5F);
}

static void for_each_level(void (*check)(void)) {
    for (int i = 0; i < CVI_COUNT(kernel_levels); i++) {
        if (use_level(kernel_levels[i])) {
            check();
        }
    }
}

static void check_all_unary(void) {
    for (int op = 0; op < CVI_N_UNARY; op++) {
        check_unary((cvi_unary_op)op);
    }
    unary_special();
}

static void unary(void **state) {
    (void)state;
    for_each_level(check_all_unary);
}

/* Rows of C numbers with padding: sizes around the vector and the chunk. */
static void check_rows(void) {
    const int64_t sizes[][2] = {{1, 1}, {7, 3}, {5, 8}, {2500, 13}, {3, 17000}, {40, 1000}};
    cvi_pool *pool = cvi_pool_new(3);
    for (int i = 0; i < CVI_COUNT(sizes); i++) {
        int64_t rows = sizes[i][0], C = sizes[i][1], pitch = CVI_PITCH(C), n = rows * pitch;
        float *x = random_floats(1, 1, n), *y = random_floats(1, 2, n), *z = filled(n, 3),
              *s = random_floats(1, 3, C);
        cvi_pad_channels(pool, rows, C, pitch, x);
        cvi_pad_channels(pool, rows, C, pitch, y);
        assert_padding_is_zero(x, rows, C);
        cvi_unary(pool, CVI_U_SIGMOID, 0, 0, rows, C, pitch, x, z);
        assert_padding_is_zero(z, rows, C);
        for (int op = 0; op < CVI_N_BINARY; op++) {
            for (int per_channel = 0; per_channel < 2; per_channel++) {
                cvi_binary(pool, (cvi_binary_op)op, per_channel == 1, op == CVI_B_ADD, rows, C, pitch, x,
                           per_channel ? s : y, z);
                assert_padding_is_zero(z, rows, C);
                for (int64_t k = 0; k < n; k++) {
                    float a = x[k], b = per_channel ? (k % pitch < C ? s[k % pitch] : 0) : y[k];
                    const float want[] = {fmaxf(a + b, 0), a - b, a * b, a / b, fmaxf(a, b), fminf(a, b)};
                    assert_true(k % pitch >= C || z[k] == want[op]);
                }
            }
        }
        cvi_affine(pool, true, rows, C, pitch, x, s, s, z);
        assert_padding_is_zero(z, rows, C);
        for (int64_t k = 0; k < n; k++) {
            assert_true(k % pitch >= C || fabsf(z[k] - fmaxf(x[k] * s[k % pitch] + s[k % pitch], 0)) < 1e-6F);
        }
        cvi_prelu(pool, rows, C, pitch, x, s, z);
        for (int64_t k = 0; k < n; k++) {
            assert_true(k % pitch >= C || z[k] == (x[k] < 0 ? x[k] * s[k % pitch] : x[k]));
        }
        float *sum = filled(C, 1);
        cvi_channel_sum(pool, rows, C, pitch, x, sum, true);
        for (int64_t c = 0; c < C; c++) {
            double want = 1;
            for (int64_t r = 0; r < rows; r++) {
                want += (double)x[r * pitch + c];
            }
            assert_true(fabs((double)sum[c] - want) < 1e-4);
        }
        for (int logarithm = 0; logarithm < 2; logarithm++) {
            cvi_softmax(pool, logarithm == 1, rows, C, pitch, x, z);
            assert_padding_is_zero(z, rows, C);
            for (int64_t r = 0; r < rows; r++) {
                double most = -INFINITY, total = 0;
                for (int64_t c = 0; c < C; c++) {
                    most = fmax(most, (double)x[r * pitch + c]);
                }
                for (int64_t c = 0; c < C; c++) {
                    total += exp((double)x[r * pitch + c] - most);
                }
                for (int64_t c = 0; c < C; c++) {
                    double v = (double)x[r * pitch + c] - most,
                           want = logarithm ? v - log(total) : exp(v) / total;
                    assert_true(fabs((double)z[r * pitch + c] - want) < 2e-6 * fmax(fabs(want), 1e-3));
                }
            }
        }
        free(x);
        free(y);
        free(z);
        free(s);
        free(sum);
    }
    cvi_pool_free(pool);
}

static void rows(void **state) {
    (void)state;
    for_each_level(check_rows);
}

static void check_pool_shape(uint64_t seed) {
    cvi_pool_shape s = {.N = pick(seed, 0, 1, 2),
                        .C = pick(seed, 1, 1, 20),
                        .R = pick(seed, 2, 1, 4),
                        .S = pick(seed, 3, 1, 4)};
    s.stride_h = pick(seed, 4, 1, 3);
    s.stride_w = pick(seed, 5, 1, 3);
    s.pad_top = pick(seed, 6, 0, s.R - 1);
    s.pad_left = pick(seed, 7, 0, s.S - 1);
    s.pad_bottom = pick(seed, 8, 0, s.R - 1);
    s.pad_right = pick(seed, 9, 0, s.S - 1);
    s.dilation_h = pick(seed, 10, 1, 2);
    s.dilation_w = pick(seed, 11, 1, 2);
    s.H = pick(seed, 12, 7, 15);
    s.W = pick(seed, 13, 7, 15);
    if (seed % 11 == 0) { /* more elements than the kernel takes at once */
        s.H = s.W = 23;
        s.R = s.S = 20;
        s.dilation_h = s.dilation_w = 1;
    }
    int64_t ceil_h = pick(seed, 14, 0, s.stride_h - 1), ceil_w = pick(seed, 15, 0, s.stride_w - 1);
    s.OH = (s.H + s.pad_top + s.pad_bottom - (s.R - 1) * s.dilation_h - 1 + ceil_h) / s.stride_h + 1;
    s.OW = (s.W + s.pad_left + s.pad_right - (s.S - 1) * s.dilation_w - 1 + ceil_w) / s.stride_w + 1;
    int64_t pitch = CVI_PITCH(s.C), in_count = s.N * s.H * s.W * pitch, out_count = s.N * s.OH * s.OW * pitch;
    float *x = random_floats(seed, 1, in_count), *y = filled(out_count, 7), *avg = filled(out_count, 7);
    float *dy = random_floats(seed, 2, out_count), *dmax = filled(in_count, 7), *davg = filled(in_count, 7);
    double *want_max = calloc((size_t)in_count, sizeof(double)),
           *want_avg = calloc((size_t)in_count, sizeof(double));
    int32_t *arg = calloc((size_t)out_count, sizeof(int32_t));
    for (int64_t i = 0; i < in_count; i++) {
        x[i] = roundf(x[i] * 8) / 8; /* ties */
        x[i] = seed % 7 == 3 && pick(seed, 1000 + (uint64_t)i, 0, 60) == 0 ? NAN : x[i];
        x[i] = i % pitch < s.C ? x[i] : 0;
    }
    bool count_pad = seed % 2 == 0;
    cvi_pool *pool = cvi_pool_new((int)(seed % 3) + 1);
    cvi_maxpool(pool, &s, x, y, arg);
    cvi_avgpool(pool, &s, count_pad, x, avg);
    bool routed =
        s.R * s.S <= CVI_POOL_ROUTED && seed % 7 != 3; /* a NaN is nobody's winner when it is looked for */
    if (routed) {
        cvi_maxpool_route(pool, &s, x, y, dy, NULL, NULL, NULL, dmax);
    }
    cvi_avgpool_spread(pool, &s, count_pad, dy, NULL, davg);
    float *again = filled(out_count, 3);
    cvi_maxpool(NULL, &s, x, again, NULL);
    assert_memory_equal(again, y, (size_t)out_count * sizeof(float));
    free(again);
    cvi_pool_free(pool);
    assert_padding_is_zero(y, s.N * s.OH * s.OW, s.C);
    assert_padding_is_zero(avg, s.N * s.OH * s.OW, s.C);
    for (int64_t o = 0; o < s.N * s.OH * s.OW * s.C; o++) {
        int64_t c = o % s.C, n = o / s.C / (s.OH * s.OW), oy = o / s.C / s.OW % s.OH, ox = o / s.C % s.OW;
        int64_t divisor = 0, inside = 0, winner = -1;
        double sum = 0, best = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t i = 0; i < s.R * s.S; i++) {
                int64_t iy = oy * s.stride_h - s.pad_top + i / s.S * s.dilation_h;
                int64_t ix = ox * s.stride_w - s.pad_left + i % s.S * s.dilation_w;
                bool in = iy >= 0 && iy < s.H && ix >= 0 && ix < s.W;
                if (pass == 1) {
                    if (in) {
                        want_avg[((n * s.H + iy) * s.W + ix) * pitch + c] +=
                            (double)dy[o / s.C * pitch + c] / (double)divisor;
                    }
                    continue;
                }
                bool padded = iy < s.H + s.pad_bottom && ix < s.W + s.pad_right;
                divisor += in || (count_pad && padded) ? 1 : 0;
                if (in) {
                    double v = (double)x[((n * s.H + iy) * s.W + ix) * pitch + c];
                    sum += v;
                    inside++;
                    if (winner < 0 || (v > best && !isnan(best)) || (isnan(v) && !isnan(best))) {
                        best = v;
                        winner = iy * s.W + ix;
                    }
                }
            }
        }
        int64_t at = o / s.C * pitch + c;
        double mean = inside > 0 ? sum / (double)divisor : 0;
        assert_int_equal(arg[at], winner);
        assert_true(winner < 0 ? y[at] == 0.0F : isnan(best) ? isnan(y[at]) : y[at] == (float)best);
        assert_true(isnan(mean) ? isnan(avg[at]) : fabs((double)avg[at] - mean) < 1e-6);
        if (winner >= 0) {
            want_max[(n * s.H * s.W + winner) * pitch + c] += (double)dy[at];
        }
    }
    for (int64_t i = 0; i < in_count; i++) {
        if (i % pitch < s.C) {
            assert_true(!routed || fabs((double)dmax[i] - want_max[i]) < 2e-5);
            assert_true(fabs((double)davg[i] - want_avg[i]) < 2e-5);
        }
    }
    void *all[] = {x, y, avg, dy, dmax, davg, want_max, want_avg, arg};
    for (int i = 0; i < CVI_COUNT(all); i++) {
        free(all[i]);
    }
}

static void check_pools(void) {
    for (uint64_t seed = 0; seed < 66; seed++) {
        check_pool_shape(seed);
    }
    float *x = random_floats(1, 1, 2 * 300 * 16), y[32], z[32];
    cvi_pad_channels(NULL, 600, 13, 16, x);
    cvi_global_avgpool(NULL, 2, 13, 300, x, y);
    cvi_global_maxpool(NULL, 2, 13, 300, x, z);
    for (int64_t i = 0; i < 32; i++) {
        double sum = 0;
        float most = -INFINITY;
        for (int64_t p = 0; p < 300; p++) {
            sum += (double)x[(i / 16 * 300 + p) * 16 + i % 16];
            most = fmaxf(most, x[(i / 16 * 300 + p) * 16 + i % 16]);
        }
        assert_true(fabs((double)y[i] - sum / 300) < 1e-6 && z[i] == most);
    }
    free(x);
}

static void pools(void **state) {
    (void)state;
    for_each_level(check_pools);
}

static void check_layouts(void) {
    cvi_pool *pool = cvi_pool_new(2);
    for (uint64_t seed = 0; seed < 40; seed++) {
        int64_t N = pick(seed, 0, 1, 3), C = pick(seed, 1, 1, 30), P = pick(seed, 2, 1, 600);
        float *plain = random_floats(seed, 1, N * C * P), *want = to_nhwc8(plain, N, C, P);
        float *got = filled(N * P * CVI_PITCH(C), 9), *back = filled(N * C * P, 9);
        cvi_to_nhwc8(pool, N, C, P, plain, got);
        assert_memory_equal(got, want, (size_t)(N * P * CVI_PITCH(C)) * sizeof(float));
        cvi_from_nhwc8(pool, N, C, P, got, back);
        assert_memory_equal(back, plain, (size_t)(N * C * P) * sizeof(float));
        int64_t from = pick(seed, 3, 0, C - 1), count = C - from;
        float *wide = filled(N * P * 64, 4);
        cvi_copy_channels(pool, N * P, count, got, CVI_PITCH(C), from, wide, 64, 5);
        for (int64_t i = 0; i < N * P * 64; i++) {
            int64_t c = i % 64 - 5;
            assert_true(wide[i] == (c >= 0 && c < count ? got[i / 64 * CVI_PITCH(C) + from + c] : 4.0F));
        }
        free(plain);
        free(want);
        free(got);
        free(back);
        free(wide);
    }
    enum { H = 5, W = 4, OH = 7, OW = 9, C = 11, PITCH = 16 };
    float *x = random_floats(3, 1, 2 * H * W * PITCH), *y = filled(2 * OH * OW * PITCH, 9);
    int32_t y0[OH], y1[OH], x0[OW], x1[OW];
    float wy[OH], wx[OW];
    for (int i = 0; i < OH; i++) {
        y0[i] = i * H / OH;
        y1[i] = CVI_MIN(y0[i] + 1, H - 1);
        wy[i] = i % 3 == 0 ? 0 : 0.1F * (float)i;
    }
    for (int i = 0; i < OW; i++) {
        x0[i] = i * W / OW;
        x1[i] = CVI_MIN(x0[i] + 1, W - 1);
        wx[i] = i % 2 == 0 ? 0 : 0.05F * (float)i;
    }
    cvi_pad_channels(pool, 2 * H * W, C, PITCH, x);
    const cvi_resize_axis ay = {y0, y1, wy}, ax = {x0, x1, wx};
    cvi_resize(pool, 2, C, H, W, OH, OW, &ay, &ax, x, y);
    assert_padding_is_zero(y, 2 * OH * OW, C);
    for (int64_t i = 0; i < 2 * OH * OW * PITCH; i++) {
        int64_t c = i % PITCH, ox = i / PITCH % OW, oy = i / PITCH / OW % OH, n = i / PITCH / OW / OH;
        const float *p = x + n * H * W * PITCH + c;
        double a = (double)p[(y0[oy] * W + x0[ox]) * PITCH], b = (double)p[(y0[oy] * W + x1[ox]) * PITCH];
        double d = (double)p[(y1[oy] * W + x0[ox]) * PITCH], e = (double)p[(y1[oy] * W + x1[ox]) * PITCH];
        double u = (double)wx[ox], v = (double)wy[oy];
        assert_true(fabs((double)y[i] - ((1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * e))) <
                    1e-6);
    }
    free(x);
    free(y);
    cvi_pool_free(pool);
}

static void layouts(void **state) {
    (void)state;
    for_each_level(check_layouts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary),
        cmocka_unit_test(rows),
        cmocka_unit_test(pools),
        cmocka_unit_test(layouts),
    };
    return cmocka_run_group_tests_name("kernels_map", tests, NULL, NULL);
}
