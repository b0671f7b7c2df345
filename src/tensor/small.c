/* SPDX-License-Identifier: MIT
 * small.c - numbers of 8 bits and less; see small.h. The floats are those of ONNX (TensorProto.DataType; "FP8 Formats for Deep Learning",
 * arXiv 2209.05433, and the OCP Microscaling formats): sign, exponent, mantissa, told apart by what their largest patterns mean.
 */
#include <math.h>
#include <string.h>

#include "tensor/small.h"

enum {
    TOP_IS_NAN,   /* all bits set is NaN, no infinity */
    TOP_IS_IEEE,  /* the largest exponent is infinity and NaN, as in IEEE 754 */
    MINUS_IS_NAN, /* what would be minus zero is NaN, no infinity ("fnuz") */
    ALL_FINITE
};

typedef struct layout {
    int mantissa, bias, kind;
    double most;
    uint8_t sign, nan;
} layout;

static layout layout_of(cvs_dtype t) {
    switch (t) {
    case CVS_F8E4M3FN:
        return (layout){3, 7, TOP_IS_NAN, 448, 0x80, 0x7f};
    case CVS_F8E4M3FNUZ:
        return (layout){3, 8, MINUS_IS_NAN, 240, 0x80, 0x80};
    case CVS_F8E5M2:
        return (layout){2, 15, TOP_IS_IEEE, 57344, 0x80, 0x7e};
    case CVS_F8E5M2FNUZ:
        return (layout){2, 16, MINUS_IS_NAN, 57344, 0x80, 0x80};
    default:
        return (layout){1, 1, ALL_FINITE, 6, 0x08, 0x08};
    }
}

int cvi_small_bits(cvs_dtype t) {
    if (t == CVS_U4 || t == CVS_I4 || t == CVS_F4E2M1) {
        return 4;
    }
    if (t == CVS_U2 || t == CVS_I2) {
        return 2;
    }
    return cvi_is_small_float(t) ? 8 : 0;
}

int64_t cvi_small_bytes(cvs_dtype t, int64_t n) {
    int64_t each = 8 / cvi_small_bits(t);
    return n / each + (n % each != 0);
}

/* A pattern from a file as the byte in memory: signed integers get their sign back. */
static uint8_t from_pattern(cvs_dtype t, uint8_t bits) {
    return t == CVS_I4 || t == CVS_I2 ? cvi_small_wrap(t, bits) : bits;
}

void cvi_small_unpack(cvs_dtype t, const uint8_t *packed, int64_t n, uint8_t *out) {
    int bits = cvi_small_bits(t), each = 8 / bits;
    uint8_t mask = (uint8_t)((1 << bits) - 1);
    for (int64_t i = 0; i < n; i++) {
        out[i] = from_pattern(t, (uint8_t)(packed[i / each] >> (i % each * bits)) & mask);
    }
}

void cvi_small_pack(cvs_dtype t, const uint8_t *in, int64_t n, uint8_t *packed) {
    int bits = cvi_small_bits(t), each = 8 / bits;
    uint8_t mask = (uint8_t)((1 << bits) - 1);
    memset(packed, 0, (size_t)cvi_small_bytes(t, n));
    for (int64_t i = 0; i < n; i++) {
        packed[i / each] |= (uint8_t)((in[i] & mask) << (i % each * bits));
    }
}

uint8_t cvi_small_wrap(cvs_dtype t, int64_t v) {
    int bits = cvi_small_bits(t);
    unsigned low = (unsigned)((uint64_t)v & ((1u << bits) - 1));
    bool below = (t == CVS_I4 || t == CVS_I2) && (low >> (bits - 1)) != 0;
    return (uint8_t)(below ? low | (0xffu << bits) : low);
}

double cvi_small_get(cvs_dtype t, uint8_t byte) {
    if (t == CVS_U4 || t == CVS_U2) {
        return byte;
    }
    if (t == CVS_I4 || t == CVS_I2) {
        return (double)(int8_t)byte;
    }
    if (t == CVS_F8E8M0) {
        return byte == 0xff ? (double)NAN : ldexp(1, byte - 127);
    }
    layout l = layout_of(t);
    int low = byte & (l.sign - 1), exponent = low >> l.mantissa, part = low & ((1 << l.mantissa) - 1);
    bool minus = (byte & l.sign) != 0, top = low == l.sign - 1;
    if (l.kind == MINUS_IS_NAN && minus && low == 0) {
        return (double)NAN;
    }
    if ((l.kind == TOP_IS_NAN && top) || (l.kind == TOP_IS_IEEE && exponent == 31)) {
        double v = l.kind == TOP_IS_IEEE && part == 0 ? (double)INFINITY : (double)NAN;
        return minus ? -v : v;
    }
    double v = exponent == 0 ? ldexp(part, 1 - l.bias - l.mantissa)
                             : ldexp(part + (1 << l.mantissa), exponent - l.bias - l.mantissa);
    return minus ? -v : v;
}

/* A power of two as its exponent; the sign is lost, NaN and infinity are 255. Rounded as ONNX's Cast (opset 24) defines. */
static uint8_t put_power(double v, cvi_small_how how) {
    uint32_t bits;
    float f = (float)v;
    memcpy(&bits, &f, sizeof bits);
    unsigned exponent = bits >> 23 & 0xff, rest = bits & 0x7fffff;
    if (exponent == 0xff) {
        return 0xff;
    }
    bool half = (rest & 0x400000) != 0, more = (rest & 0x3fffff) != 0;
    bool up = how.round == 'u' ? rest != 0 : how.round == 'n' && half && (more || exponent > 0);
    if (up && !(how.saturate && exponent == 0xfe)) {
        exponent++;
    }
    return (uint8_t)exponent;
}

uint8_t cvi_small_put(cvs_dtype t, double v, cvi_small_how how) {
    if (t == CVS_F8E8M0) {
        return put_power(v, how);
    }
    layout l = layout_of(t);
    if (v != v) {
        return l.nan;
    }
    uint8_t sign = signbit(v) ? l.sign : 0;
    int exponent = 0;
    double size = fabs(v);
    if (size > 0 && size <= 2 * l.most) {
        (void)frexp(size, &exponent); /* size = 0.5 ... 1 times 2^exponent */
        exponent = exponent - 1 < 1 - l.bias ? 1 - l.bias : exponent - 1;
        size = ldexp(nearbyint(ldexp(size, l.mantissa - exponent)), exponent - l.mantissa);
    }
    if (size > l.most) {
        if (!how.saturate && l.kind != ALL_FINITE) {
            return l.kind == TOP_IS_IEEE ? (uint8_t)(sign | 0x7c)
                                         : (uint8_t)(l.kind == TOP_IS_NAN ? sign | l.nan : l.nan);
        }
        size = l.most;
    }
    if (size == 0) {
        return l.kind == MINUS_IS_NAN ? 0 : sign;
    }
    (void)frexp(size, &exponent);
    exponent = exponent - 1 < 1 - l.bias ? 1 - l.bias : exponent - 1;
    int whole = (int)ldexp(size, l.mantissa - exponent); /* below 2^mantissa: subnormal */
    int field = whole >> l.mantissa ? exponent + l.bias : 0;
    return (uint8_t)(sign | field << l.mantissa | (whole & ((1 << l.mantissa) - 1)));
}
