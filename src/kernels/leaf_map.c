/* SPDX-License-Identifier: MIT
 * leaf_map.c - element-wise functions of n floats, n arbitrary: whole vectors, then the rest through a buffer so
 * that the last elements get the very same arithmetic.
 */
#include "kernels/leaf.h"
#include "kernels/leaf_math.h"

CVI_INLINE v8 load_some(const float *p, int64_t n) {
    float x[8] = {0};
    memcpy(x, p, (size_t)n * sizeof(float));
    return v8_load(x);
}

CVI_INLINE void store_some(float *p, v8 v, int64_t n) {
    float x[8];
    v8_store(x, v);
    memcpy(p, x, (size_t)n * sizeof(float));
}

/* One function per operation: v is the vector, a and b the parameters. */
#define UNARY(name, expression)                                                                              \
    static void map_##name(float pa, float pb, int64_t n, const float *x, float *y) {                        \
        const v8 a = v8_all(pa), b = v8_all(pb), zero = v8_zero(), one = v8_all(1.0F);                       \
        (void)a, (void)b, (void)zero, (void)one;                                                             \
        int64_t i = 0;                                                                                       \
        for (; i + 8 <= n; i += 8) {                                                                         \
            v8 v = v8_load(x + i);                                                                           \
            v8_store(y + i, expression);                                                                     \
        }                                                                                                    \
        if (i < n) {                                                                                         \
            v8 v = load_some(x + i, n - i);                                                                  \
            store_some(y + i, expression, n - i);                                                            \
        }                                                                                                    \
    }

UNARY(copy, v)
UNARY(relu, v8_max(zero, v))
UNARY(clamp, v8_min(b, v8_max(a, v)))
UNARY(leaky, v8_select(v8_less(v, zero), v8_mul(a, v), v))
UNARY(elu, v8_select(v8_less(v, zero), v8_mul(a, v8_expm1(v)), v))
UNARY(selu, v8_mul(b, v8_select(v8_less(v, zero), v8_mul(a, v8_expm1(v)), v)))
UNARY(celu, v8_select(v8_less(v, zero), v8_mul(a, v8_expm1(v8_div(v, a))), v))
UNARY(threshold, v8_select(v8i_or(v8_less(a, v), v8_nan(v)), v, zero))
UNARY(sigmoid, v8_sigmoid(v))
UNARY(hardsigmoid, v8_min(one, v8_max(zero, v8_fma(a, v, b))))
UNARY(hardswish, v8_mul(v, v8_min(one, v8_max(zero, v8_fma(v, v8_all(1.0F / 6), v8_all(0.5F))))))
UNARY(silu, v8_mul(v, v8_sigmoid(v8_mul(a, v))))
UNARY(tanh, v8_tanh(v))
UNARY(softplus, v8_softplus(v))
UNARY(softsign, v8_div(v, v8_add(one, v8_abs(v))))
UNARY(gelu, v8_mul(v8_mul(v, v8_all(0.5F)), v8_add(one, v8_erf(v8_mul(v, v8_all(0.70710678F))))))
UNARY(erf, v8_erf(v))
UNARY(exp, v8_exp(v))
UNARY(log, v8_log(v))
UNARY(sqrt, v8_sqrt(v))
UNARY(rsqrt, v8_div(one, v8_sqrt(v)))
UNARY(reciprocal, v8_div(one, v))
UNARY(abs, v8_abs(v))
UNARY(neg, v8_neg(v))
UNARY(square, v8_mul(v, v))
UNARY(linear, v8_fma(a, v, b))

/* x tanh(log(1+e^x)) = x (u/(u+2)) with u = e^x (e^x + 2); from 20 on it is x. */
CVI_INLINE v8 mish(v8 x) {
    v8 e = v8_exp(v8_min(v8_all(20.0F), x)), u = v8_mul(e, v8_add(e, v8_all(2.0F)));
    return v8_mul(x, v8_div(u, v8_add(u, v8_all(2.0F))));
}
UNARY(mish, mish(v))

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
CVI_INLINE v8 gelu_tanh(v8 x) {
    v8 inner = v8_fma(v8_mul(v8_mul(x, x), x), v8_all(0.044715F), x);
    return v8_mul(v8_mul(x, v8_all(0.5F)), v8_add(v8_all(1.0F), v8_tanh(v8_mul(inner, v8_all(0.79788456F)))));
}
UNARY(gelu_tanh, gelu_tanh(v))

cvi_map *const CVI_LEAF(unary)[CVI_N_UNARY] = {
    [CVI_U_COPY] = map_copy,
    [CVI_U_RELU] = map_relu,
    [CVI_U_CLAMP] = map_clamp,
    [CVI_U_LEAKY] = map_leaky,
    [CVI_U_ELU] = map_elu,
    [CVI_U_SELU] = map_selu,
    [CVI_U_CELU] = map_celu,
    [CVI_U_THRESHOLD] = map_threshold,
    [CVI_U_SIGMOID] = map_sigmoid,
    [CVI_U_HARDSIGMOID] = map_hardsigmoid,
    [CVI_U_HARDSWISH] = map_hardswish,
    [CVI_U_SILU] = map_silu,
    [CVI_U_TANH] = map_tanh,
    [CVI_U_SOFTPLUS] = map_softplus,
    [CVI_U_SOFTSIGN] = map_softsign,
    [CVI_U_MISH] = map_mish,
    [CVI_U_GELU] = map_gelu,
    [CVI_U_GELU_TANH] = map_gelu_tanh,
    [CVI_U_ERF] = map_erf,
    [CVI_U_EXP] = map_exp,
    [CVI_U_LOG] = map_log,
    [CVI_U_SQRT] = map_sqrt,
    [CVI_U_RSQRT] = map_rsqrt,
    [CVI_U_RECIPROCAL] = map_reciprocal,
    [CVI_U_ABS] = map_abs,
    [CVI_U_NEG] = map_neg,
    [CVI_U_SQUARE] = map_square,
    [CVI_U_LINEAR] = map_linear,
};

#define BINARY(name, expression)                                                                             \
    static void zip_##name(bool relu, int64_t n, const float *x, const float *y, float *z) {                 \
        const v8 floor = relu ? v8_zero() : v8_all(-__builtin_inff());                                       \
        int64_t i = 0;                                                                                       \
        for (; i + 8 <= n; i += 8) {                                                                         \
            v8 a = v8_load(x + i), b = v8_load(y + i);                                                       \
            v8_store(z + i, v8_max(floor, expression));                                                      \
        }                                                                                                    \
        if (i < n) {                                                                                         \
            v8 a = load_some(x + i, n - i), b = load_some(y + i, n - i);                                     \
            store_some(z + i, v8_max(floor, expression), n - i);                                             \
        }                                                                                                    \
    }
BINARY(add, v8_add(a, b))
BINARY(sub, v8_sub(a, b))
BINARY(mul, v8_mul(a, b))
BINARY(div, v8_div(a, b))
/* v8_max(a, b) is b where one is NaN; a's NaN is put back. */
BINARY(max, v8_select(v8_nan(a), a, v8_max(a, b)))
BINARY(min, v8_select(v8_nan(a), a, v8_min(a, b)))

cvi_zip *const CVI_LEAF(binary)[CVI_N_BINARY] = {
    [CVI_B_ADD] = zip_add, [CVI_B_SUB] = zip_sub, [CVI_B_MUL] = zip_mul,
    [CVI_B_DIV] = zip_div, [CVI_B_MAX] = zip_max, [CVI_B_MIN] = zip_min,
};

/* y = x*scale + shift; shift may be NULL. */
void CVI_LEAF(affine)(bool relu, int64_t n, const float *x, const float *scale, const float *shift,
                      float *y) {
    const v8 floor = relu ? v8_zero() : v8_all(-__builtin_inff());
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        v8 add = shift != NULL ? v8_load(shift + i) : v8_zero();
        v8_store(y + i, v8_max(floor, v8_fma(v8_load(x + i), v8_load(scale + i), add)));
    }
    if (i < n) {
        v8 add = shift != NULL ? load_some(shift + i, n - i) : v8_zero();
        v8 v = v8_fma(load_some(x + i, n - i), load_some(scale + i, n - i), add);
        store_some(y + i, v8_max(floor, v), n - i);
    }
}

/* y = x<0 ? slope*x : x */
void CVI_LEAF(prelu)(int64_t n, const float *x, const float *slope, float *y) {
    for (int64_t i = 0; i < n; i += 8) {
        int64_t some = n - i < 8 ? n - i : 8;
        v8 v = load_some(x + i, some), s = load_some(slope + i, some);
        store_some(y + i, v8_select(v8_less(v, v8_zero()), v8_mul(s, v), v), some);
    }
}

/* One row of softmax; the lanes beyond n count as minus infinity. */
void CVI_LEAF(softmax)(bool logarithm, int64_t n, const float *x, float *y) {
    const v8 lowest = v8_all(-__builtin_inff());
    float lanes[8], highest, total = 0;
    v8 most = lowest, sum = v8_zero();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        most = v8_max(most, v8_load(x + i));
    }
    v8_store(lanes, most);
    for (; i < n; i++) {
        lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    }
    highest = lanes[0];
    for (int j = 1; j < 8; j++) {
        highest = lanes[j] > highest ? lanes[j] : highest;
    }
    const v8 shift = v8_all(highest);
    for (i = 0; i + 8 <= n; i += 8) {
        v8 e = v8_exp(v8_sub(v8_load(x + i), shift));
        sum = v8_add(sum, e);
        if (!logarithm) {
            v8_store(y + i, e);
        }
    }
    v8_store(lanes, sum);
    for (int j = 0; j < 8; j++) {
        total += lanes[j];
    }
    if (i < n) {
        v8_store(lanes, v8_exp(v8_sub(load_some(x + i, n - i), shift)));
        for (int64_t j = 0; i + j < n; j++) {
            total += lanes[j];
        }
        if (!logarithm) {
            memcpy(y + i, lanes, (size_t)(n - i) * sizeof(float));
        }
    }
    v8_store(lanes, v8_log(v8_all(total)));
    const v8 divisor = v8_all(total), log_total = v8_all(lanes[0]);
    for (i = 0; i < n; i += 8) {
        int64_t some = n - i < 8 ? n - i : 8;
        v8 v = load_some((logarithm ? x : y) + i, some);
        store_some(y + i, logarithm ? v8_sub(v8_sub(v, shift), log_total) : v8_div(v, divisor), some);
    }
}

/* Bilinear: out = (1-wy)((1-wx) a + wx b) + wy ((1-wx) c + wx d), channels a multiple of 8. */
void CVI_LEAF(blend)(int64_t channels, const float *const corner[4], float wy, float wx, float *out) {
    const v8 x1 = v8_all(wx), x0 = v8_all(1.0F - wx), y1 = v8_all(wy), y0 = v8_all(1.0F - wy);
    for (int64_t c = 0; c < channels; c += 8) {
        v8 top = v8_fma(x1, v8_load(corner[1] + c), v8_mul(x0, v8_load(corner[0] + c)));
        v8 low = v8_fma(x1, v8_load(corner[3] + c), v8_mul(x0, v8_load(corner[2] + c)));
        v8_store(out + c, v8_fma(y1, low, v8_mul(y0, top)));
    }
}
