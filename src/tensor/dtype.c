/* SPDX-License-Identifier: MIT
 * dtype.c - sizes, names and conversion of element types.
 * Conversion goes through a block of doubles (from floats) or of 64-bit integers (from integers), so that each of the
 * types needs one loader and two storers instead of 169 pairs; the pairs that readers use most are direct.
 */
#include <math.h>

#include "base/base.h"
#include "tensor/dtype.h"
#include "tensor/half.h"
#include "tensor/list.h"
#include "tensor/small.h"

enum { BLOCK = 256 };

size_t cvs_dtype_size(cvs_dtype dtype) {
    if (dtype == CVI_LIST) {
        return sizeof(int64_t);
    }
    switch (dtype) {
    case CVS_U8:
    case CVS_I8:
    case CVS_BOOL:
    case CVS_F8E4M3FN:
    case CVS_F8E4M3FNUZ:
    case CVS_F8E5M2:
    case CVS_F8E5M2FNUZ:
    case CVS_U4:
    case CVS_I4:
    case CVS_F4E2M1:
    case CVS_F8E8M0:
    case CVS_U2:
    case CVS_I2:
        return 1;
    case CVS_U16:
    case CVS_I16:
    case CVS_F16:
    case CVS_BF16:
        return 2;
    case CVS_F32:
    case CVS_I32:
    case CVS_U32:
        return 4;
    case CVS_I64:
    case CVS_U64:
    case CVS_F64:
        return 8;
    case CVS_NONE:
        break;
    }
    return 0;
}

const char *cvs_dtype_name(cvs_dtype dtype) {
    if (dtype == CVI_LIST) {
        return "sequence";
    }
    switch (dtype) {
    case CVS_F32:
        return "float32";
    case CVS_U8:
        return "uint8";
    case CVS_I8:
        return "int8";
    case CVS_U16:
        return "uint16";
    case CVS_I16:
        return "int16";
    case CVS_I32:
        return "int32";
    case CVS_I64:
        return "int64";
    case CVS_BOOL:
        return "bool";
    case CVS_F16:
        return "float16";
    case CVS_F64:
        return "float64";
    case CVS_U32:
        return "uint32";
    case CVS_U64:
        return "uint64";
    case CVS_BF16:
        return "bfloat16";
    case CVS_F8E4M3FN:
        return "float8e4m3fn";
    case CVS_F8E4M3FNUZ:
        return "float8e4m3fnuz";
    case CVS_F8E5M2:
        return "float8e5m2";
    case CVS_F8E5M2FNUZ:
        return "float8e5m2fnuz";
    case CVS_U4:
        return "uint4";
    case CVS_I4:
        return "int4";
    case CVS_F4E2M1:
        return "float4e2m1";
    case CVS_F8E8M0:
        return "float8e8m0";
    case CVS_U2:
        return "uint2";
    case CVS_I2:
        return "int2";
    case CVS_NONE:
        break;
    }
    return "?";
}

/* The float next to x towards zero, its last bit set where that loses something ("round to odd"): rounding this once
 * more, to fewer bits, gives what rounding x itself would have given. */
static float narrow_to_odd(double x) {
    float f = (float)x;
    if ((double)f == x || isnan(x) || isinf(x)) {
        return f;
    }
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (fabs((double)f) > fabs(x)) {
        bits--;
    }
    bits |= 1u;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static bool is_float(cvs_dtype t) {
    return t == CVS_F16 || t == CVS_BF16 || t == CVS_F32 || t == CVS_F64 || cvi_is_small_float(t);
}

/* for each i: T v = element i of src; statement */
#define EACH(T, statement)                                                                                   \
    for (int i = 0; i < n; i++) {                                                                            \
        T v;                                                                                                 \
        memcpy(&v, (const char *)src + (size_t)i * sizeof v, sizeof v);                                      \
        statement;                                                                                           \
    }                                                                                                        \
    break

static void load_floats(double *out, const void *src, cvs_dtype type, int n) {
    switch (type) {
    case CVS_F16:
        EACH(uint16_t, out[i] = (double)cvi_half_to_float(v));
    case CVS_BF16:
        EACH(uint16_t, out[i] = (double)cvi_bfloat_to_float(v));
    case CVS_F32:
        EACH(float, out[i] = (double)v);
    case CVS_F64:
        EACH(double, out[i] = v);
    default:
        EACH(uint8_t, out[i] = cvi_small_get(type, v));
    }
}

/* Integers as 64 bits in two's complement; only uint64 is not a value of int64. */
static void load_integers(uint64_t *out, const void *src, cvs_dtype type, int n) {
    switch (type) {
    case CVS_U8:
    case CVS_U4:
    case CVS_U2:
        EACH(uint8_t, out[i] = v);
    case CVS_I8:
    case CVS_I4:
    case CVS_I2:
        EACH(int8_t, out[i] = (uint64_t)(int64_t)v);
    case CVS_BOOL:
        EACH(uint8_t, out[i] = v != 0);
    case CVS_U16:
        EACH(uint16_t, out[i] = v);
    case CVS_I16:
        EACH(int16_t, out[i] = (uint64_t)(int64_t)v);
    case CVS_I32:
        EACH(int32_t, out[i] = (uint64_t)(int64_t)v);
    case CVS_U32:
        EACH(uint32_t, out[i] = v);
    default:
        EACH(uint64_t, out[i] = v);
    }
}

/* Truncates towards zero and wraps modulo 2^64; NaN and infinity give 0. */
static uint64_t wrap(double x) {
    if (!isfinite(x)) {
        return 0;
    }
    double t = trunc(x);
    if (fabs(t) < 0x1p63) {
        return (uint64_t)(int64_t)t;
    }
    double m = fmod(fabs(t), 0x1p64);
    return t < 0 ? 0 - (uint64_t)m : (uint64_t)m;
}

/* for each i: element i of dst = (T)value */
#define STORE(T, value)                                                                                      \
    for (int i = 0; i < n; i++) {                                                                            \
        T v = (T)(value);                                                                                    \
        memcpy((char *)dst + (size_t)i * sizeof v, &v, sizeof v);                                            \
    }                                                                                                        \
    break

static void store_floats(void *dst, cvs_dtype type, const double *in, int n) {
    switch (type) {
    case CVS_F16:
        STORE(uint16_t, cvi_float_to_half(narrow_to_odd(in[i])));
    case CVS_BF16:
        STORE(uint16_t, cvi_float_to_bfloat(narrow_to_odd(in[i])));
    case CVS_F32:
        STORE(float, in[i]);
    case CVS_F64:
        STORE(double, in[i]);
    default:
        STORE(uint8_t, cvi_small_put(type, in[i], (cvi_small_how){.saturate = true, .round = 'u'}));
    }
}

static void store_integers(void *dst, cvs_dtype type, const uint64_t *in, int n) {
    switch (type) {
    case CVS_BOOL:
        STORE(uint8_t, in[i] != 0);
    case CVS_U8:
    case CVS_I8:
        STORE(uint8_t, in[i]);
    case CVS_U4:
    case CVS_I4:
    case CVS_U2:
    case CVS_I2:
        STORE(uint8_t, cvi_small_wrap(type, (int64_t)in[i]));
    case CVS_U16:
    case CVS_I16:
        STORE(uint16_t, in[i]);
    case CVS_I32:
    case CVS_U32:
        STORE(uint32_t, in[i]);
    default:
        STORE(uint64_t, in[i]);
    }
}

static void convert_block(void *dst, cvs_dtype to, const void *src, cvs_dtype from, int n) {
    double real[BLOCK];
    uint64_t whole[BLOCK];
    if (is_float(from)) {
        load_floats(real, src, from, n);
        if (is_float(to)) {
            store_floats(dst, to, real, n);
            return;
        }
        for (int i = 0; i < n; i++) {
            whole[i] = to == CVS_BOOL ? real[i] != 0 : wrap(real[i]);
        }
        store_integers(dst, to, whole, n);
        return;
    }
    load_integers(whole, src, from, n);
    if (!is_float(to)) {
        store_integers(dst, to, whole, n);
    } else if (to == CVS_F32) { /* straight, to round only once */
        bool u64 = from == CVS_U64;
        for (int i = 0; i < n; i++) {
            float v = u64 ? (float)whole[i] : (float)(int64_t)whole[i];
            memcpy((char *)dst + (size_t)i * sizeof v, &v, sizeof v);
        }
    } else {
        for (int i = 0; i < n; i++) {
            real[i] = from == CVS_U64 ? (double)whole[i] : (double)(int64_t)whole[i];
        }
        store_floats(dst, to, real, n);
    }
}

void cvi_convert(void *dst, cvs_dtype to, const void *src, cvs_dtype from, int64_t count) {
    size_t in = cvs_dtype_size(from), out = cvs_dtype_size(to);
    if (to == from && to != CVS_BOOL) {
        memcpy(dst, src, (size_t)count * in);
        return;
    }
    for (int64_t at = 0; at < count; at += BLOCK) {
        int n = (int)CVI_MIN(count - at, (int64_t)BLOCK);
        convert_block((char *)dst + (size_t)at * out, to, (const char *)src + (size_t)at * in, from, n);
    }
}

void cvi_swap_bytes(void *data, size_t size, int64_t n) {
    uint8_t *p = data;
    for (int64_t i = 0; i < n && size > 1; i++, p += size) {
        for (size_t j = 0; j < size / 2; j++) {
            uint8_t other = p[size - 1 - j];
            p[size - 1 - j] = p[j];
            p[j] = other;
        }
    }
}
