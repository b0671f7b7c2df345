/* SPDX-License-Identifier: MIT
 * test_tensor.c - shapes, conversion of every pair of element types, half floats, permutation.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "convscope/tensor.h"
#include "tensor/dtype.h"
#include "tensor/half.h"
#include "tensor/small.h"
#include "test_helpers.h"

static const double infinity = (double)INFINITY, not_a_number = (double)NAN;

static const cvs_dtype types[] = {CVS_F32,  CVS_U8,  CVS_I8,  CVS_U16, CVS_I16, CVS_I32, CVS_I64,
                                  CVS_BOOL, CVS_F16, CVS_F64, CVS_U32, CVS_U64, CVS_BF16};

static void shapes(void **state) {
    (void)state;
    char text[64];
    assert_string_equal(cvs_shape_text(4, (int64_t[]){1, 3, 224, 224}, text, sizeof text), "1x3x224x224");
    assert_string_equal(cvs_shape_text(0, NULL, text, sizeof text), "scalar");
    assert_string_equal(cvs_shape_text(2, (int64_t[]){-1, 10}, text, sizeof text), "?x10");
    assert_string_equal(cvs_shape_text(3, (int64_t[]){100, 200, 300}, text, 6), "100x2");
    cvs_tensor t = {.rank = 3, .dim = {2, 3, 4}};
    assert_int_equal(cvs_tensor_count(&t), 24);
    t.dim[1] = -1;
    assert_int_equal(cvs_tensor_count(&t), -1);
    t.dim[0] = t.dim[1] = t.dim[2] = INT64_C(1) << 31;
    assert_int_equal(cvs_tensor_count(&t), -1);
    t.dim[2] = 0;
    assert_int_equal(cvs_tensor_count(&t), 0);
    t.rank = 0;
    assert_int_equal(cvs_tensor_count(&t), 1);
}

static void making(void **state) {
    (void)state;
    cvs_tensor t;
    cvs_error err = {0};
    assert_int_equal(cvs_tensor_new(&t, CVS_F32, 2, (int64_t[]){3, 5}, &err), CVS_OK);
    assert_true((uintptr_t)t.data % 64 == 0 && t.bytes == 60 && t.owned);
    for (int i = 0; i < 15; i++) {
        assert_true(((float *)t.data)[i] == 0.0F);
    }
    cvs_tensor_free(&t);
    cvs_tensor_free(&t); /* harmless */
    assert_int_equal(cvs_tensor_new(&t, CVS_F32, 9, (int64_t[9]){1, 1, 1, 1, 1, 1, 1, 1, 1}, &err),
                     CVS_E_SHAPE);
    assert_int_equal(cvs_tensor_new(&t, CVS_F64, 2, (int64_t[]){INT64_C(1) << 31, INT64_C(1) << 31}, &err),
                     CVS_E_SHAPE);
    assert_int_equal(cvs_tensor_new(&t, CVS_NONE, 1, (int64_t[]){1}, &err), CVS_E_ARGUMENT);
    assert_int_equal(cvs_tensor_new(&t, CVS_F32, 2, (int64_t[]){0, 5}, &err), CVS_OK);
    assert_null(t.data);
    cvs_tensor_free(&t);
}

/* Small whole numbers survive the way through any pair of types. */
static void every_pair_of_types(void **state) {
    (void)state;
    double values[301];
    for (int i = 0; i < 301; i++) {
        values[i] = i % 100;
    }
    cvs_tensor start = {.dtype = CVS_F64, .rank = 1, .dim = {301}, .data = values, .bytes = sizeof values};
    for (int i = 0; i < CVI_COUNT(types); i++) {
        for (int j = 0; j < CVI_COUNT(types); j++) {
            cvs_tensor a, b, c;
            assert_int_equal(cvs_tensor_convert(&start, types[i], &a, NULL), CVS_OK);
            assert_int_equal(cvs_tensor_convert(&a, types[j], &b, NULL), CVS_OK);
            assert_int_equal(cvs_tensor_convert(&b, CVS_F64, &c, NULL), CVS_OK);
            bool logical = types[i] == CVS_BOOL || types[j] == CVS_BOOL;
            for (int k = 0; k < 301; k++) {
                double want = logical ? values[k] != 0 : values[k];
                if (((double *)c.data)[k] != want) {
                    fail_msg("%s to %s: %g", cvs_dtype_name(types[i]), cvs_dtype_name(types[j]), values[k]);
                }
            }
            cvs_tensor_free(&a);
            cvs_tensor_free(&b);
            cvs_tensor_free(&c);
        }
    }
}

static uint64_t converted(double x, cvs_dtype to) {
    uint64_t out = 0;
    cvi_convert(&out, to, &x, CVS_F64, 1);
    return out;
}

static void integers_wrap_and_truncate(void **state) {
    (void)state;
    assert_int_equal(converted(2.9, CVS_I32), 2);
    assert_int_equal((int32_t)converted(-2.9, CVS_I32), -2);
    assert_int_equal(converted(257, CVS_U8), 1);
    assert_int_equal(converted(-1, CVS_U8), 255);
    assert_int_equal(converted(not_a_number, CVS_I64), 0);
    assert_int_equal(converted(-infinity, CVS_I64), 0);
    assert_true(converted(0x1p63, CVS_U64) == UINT64_C(1) << 63);
    assert_true(converted(0x1p64, CVS_U64) == 0);
    assert_true(converted(-0x1p63, CVS_I64) == UINT64_C(1) << 63);
    assert_int_equal(converted(0.5, CVS_BOOL), 1);
    int64_t large = INT64_C(16777217); /* 2^24 + 1: half way, to even */
    float f;
    cvi_convert(&f, CVS_F32, &large, CVS_I64, 1);
    assert_true(f == 16777216.0F);
    uint64_t top = UINT64_MAX;
    double d;
    cvi_convert(&d, CVS_F64, &top, CVS_U64, 1);
    assert_true(d == 0x1p64);
}

/* Every half float, and the points half way between neighbours and one double beside them. */
static void halves_round_to_even_once(void **state) {
    (void)state;
    for (unsigned h = 0; h < 0x7C00; h++) {
        double a = (double)cvi_half_to_float((uint16_t)h);
        double b = h == 0x7BFF ? 65536.0 : (double)cvi_half_to_float((uint16_t)(h + 1));
        double middle = (a + b) / 2;
        assert_int_equal(converted(a, CVS_F16), h);
        assert_int_equal(converted(-a, CVS_F16), h | 0x8000);
        assert_int_equal(converted(middle, CVS_F16), h % 2 == 0 ? h : h + 1);
        assert_int_equal(converted(nextafter(middle, 0), CVS_F16), h);
        assert_int_equal(converted(nextafter(middle, infinity), CVS_F16), h + 1);
    }
    for (unsigned h = 0; h < 0x7F80; h++) {
        double a = (double)cvi_bfloat_to_float((uint16_t)h);
        double b = h == 0x7F7F ? 0x1p128 : (double)cvi_bfloat_to_float((uint16_t)(h + 1));
        double middle = (a + b) / 2;
        assert_int_equal(converted(a, CVS_BF16), h);
        assert_int_equal(converted(middle, CVS_BF16), h % 2 == 0 ? h : h + 1);
        assert_int_equal(converted(nextafter(middle, 0), CVS_BF16), h);
        assert_int_equal(converted(nextafter(middle, infinity), CVS_BF16), h + 1);
    }
    assert_int_equal(converted(infinity, CVS_F16), 0x7C00);
    assert_int_equal(converted(1e300, CVS_F16), 0x7C00);
    assert_int_equal(converted(-1e300, CVS_BF16), 0xFF80);
    assert_true((converted(not_a_number, CVS_F16) & 0x7FFF) > 0x7C00);
    assert_true((converted(not_a_number, CVS_BF16) & 0x7FFF) > 0x7F80);
    assert_true(isnan((double)cvi_half_to_float(0x7E00)) && isinf((double)cvi_half_to_float(0xFC00)));
}

/* Every pattern of every small float is what it decodes to; half way between neighbours the even one wins; limits of the types. */
static void small_floats_round_and_saturate(void **state) {
    (void)state;
    static const struct {
        cvs_dtype type;
        double most, least; /* positive */
        uint8_t largest;    /* pattern of `most` */
        uint8_t over;       /* of 1e6, not saturated */
    } rows[] = {{CVS_F8E4M3FN, 448, 0x1p-9, 0x7e, 0x7f},
                {CVS_F8E4M3FNUZ, 240, 0x1p-10, 0x7f, 0x80},
                {CVS_F8E5M2, 57344, 0x1p-16, 0x7b, 0x7c},
                {CVS_F8E5M2FNUZ, 57344, 0x1p-17, 0x7f, 0x80},
                {CVS_F4E2M1, 6, 0.5, 0x07, 0x07}};
    const cvi_small_how clamp = {.saturate = true}, open = {.saturate = false};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        cvs_dtype t = rows[i].type;
        assert_true(cvi_small_get(t, rows[i].largest) == rows[i].most &&
                    cvi_small_get(t, 1) == rows[i].least);
        assert_int_equal(cvi_small_put(t, 1e6, clamp), rows[i].largest);
        assert_int_equal(cvi_small_put(t, infinity, clamp), rows[i].largest);
        assert_int_equal(cvi_small_put(t, 1e6, open), rows[i].over);
        for (uint8_t b = 0; b < rows[i].largest; b++) {
            double low = cvi_small_get(t, b), high = cvi_small_get(t, (uint8_t)(b + 1));
            double middle = (low + high) / 2;
            assert_true(high > low);
            assert_int_equal(cvi_small_put(t, low, open), b);
            assert_true(cvi_small_get(t, cvi_small_put(t, -low, open)) == -low);
            assert_int_equal(cvi_small_put(t, middle, open), b % 2 == 0 ? b : b + 1);
            assert_int_equal(cvi_small_put(t, nextafter(middle, 0), open), b);
            assert_int_equal(cvi_small_put(t, nextafter(middle, infinity), open), b + 1);
        }
        if (t != CVS_F4E2M1) {
            assert_true(isnan(cvi_small_get(t, cvi_small_put(t, not_a_number, clamp))));
        }
    }
    assert_true(cvi_small_get(CVS_F8E8M0, 127) == 1 && isnan(cvi_small_get(CVS_F8E8M0, 255)));
    assert_int_equal(cvi_small_put(CVS_F8E8M0, 1.1, (cvi_small_how){.saturate = true, .round = 'u'}), 128);
    assert_int_equal(cvi_small_put(CVS_F8E8M0, 1.1, (cvi_small_how){.saturate = true, .round = 'd'}), 127);
    assert_int_equal(cvi_small_put(CVS_F8E8M0, 1.5, (cvi_small_how){.saturate = true, .round = 'n'}), 128);
}

static void small_elements_are_packed_in_files(void **state) {
    (void)state;
    static const cvs_dtype kinds[] = {CVS_U4, CVS_I4, CVS_F4E2M1, CVS_U2, CVS_I2, CVS_F8E5M2};
    const uint8_t packed[5] = {0x1b, 0xe4, 0x80, 0x7f, 0x03};
    for (int i = 0; i < CVI_COUNT(kinds); i++) {
        int64_t n = kinds[i] == CVS_F8E5M2 ? 5 : cvi_small_bits(kinds[i]) == 4 ? 9 : 17;
        uint8_t each[17], again[5];
        assert_int_equal(cvi_small_bytes(kinds[i], n), 5);
        cvi_small_unpack(kinds[i], packed, n, each);
        cvi_small_pack(kinds[i], each, n, again);
        assert_memory_equal(again, packed, 5);
    }
    uint8_t each[4];
    cvi_small_unpack(CVS_I4, packed, 4, each);
    assert_int_equal((int8_t)each[0], -5); /* 0xb, the low half first */
    assert_int_equal((int8_t)each[1], 1);
    cvi_small_unpack(CVS_I2, packed, 4, each);
    assert_int_equal((int8_t)each[0], -1);
    assert_int_equal((int8_t)each[3], 0);
    assert_int_equal((int8_t)converted(9, CVS_I4), -7); /* wraps as wider integers do */
    assert_int_equal((int8_t)converted(-3, CVS_I2), 1);
    assert_int_equal(converted(449, CVS_F8E4M3FN), 0x7e);
}

static void permuting(void **state) {
    (void)state;
    int32_t numbers[2 * 3 * 4 * 5];
    for (int i = 0; i < CVI_COUNT(numbers); i++) {
        numbers[i] = i;
    }
    cvs_tensor t = {
        .dtype = CVS_I32, .rank = 4, .dim = {2, 3, 4, 5}, .data = numbers, .bytes = sizeof numbers};
    int perms = 0;
    for (int p = 0; p < 256; p++) {
        int perm[4] = {p & 3, p >> 2 & 3, p >> 4 & 3, p >> 6 & 3};
        bool valid = (1 << perm[0] | 1 << perm[1] | 1 << perm[2] | 1 << perm[3]) == 15;
        for (int type = 0; type < CVI_COUNT(types); type++) {
            cvs_tensor in, out, back;
            assert_int_equal(cvs_tensor_convert(&t, types[type], &in, NULL), CVS_OK);
            cvs_status s = cvs_tensor_permute(&in, perm, &out, NULL);
            assert_int_equal(s, valid ? CVS_OK : CVS_E_ARGUMENT);
            cvs_tensor_free(&in);
            if (valid && types[type] == CVS_I32) {
                perms++;
                int64_t at = 0, i[4];
                for (i[0] = 0; i[0] < out.dim[0]; i[0]++) {
                    for (i[1] = 0; i[1] < out.dim[1]; i[1]++) {
                        for (i[2] = 0; i[2] < out.dim[2]; i[2]++) {
                            for (i[3] = 0; i[3] < out.dim[3]; i[3]++) {
                                int64_t source[4] = {0};
                                for (int k = 0; k < 4; k++) {
                                    source[perm[k]] = i[k];
                                }
                                int64_t want = ((source[0] * 3 + source[1]) * 4 + source[2]) * 5 + source[3];
                                assert_int_equal(((int32_t *)out.data)[at++], want);
                            }
                        }
                    }
                }
            }
            if (valid) { /* and back again, for the other sizes of elements */
                int inverse[4];
                for (int k = 0; k < 4; k++) {
                    inverse[perm[k]] = k;
                }
                assert_int_equal(cvs_tensor_permute(&out, inverse, &back, NULL), CVS_OK);
                cvs_tensor again;
                assert_int_equal(cvs_tensor_convert(&t, types[type], &again, NULL), CVS_OK);
                assert_memory_equal(again.data, back.data, back.bytes);
                cvs_tensor_free(&again);
                cvs_tensor_free(&back);
            }
            cvs_tensor_free(&out);
        }
    }
    assert_int_equal(perms, 24);
    t.layout = CVS_NHWC8;
    cvs_tensor out;
    assert_int_equal(cvs_tensor_permute(&t, (int[]){0, 1, 2, 3}, &out, NULL), CVS_E_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(making),
        cmocka_unit_test(every_pair_of_types),
        cmocka_unit_test(integers_wrap_and_truncate),
        cmocka_unit_test(halves_round_to_even_once),
        cmocka_unit_test(small_floats_round_and_saturate),
        cmocka_unit_test(small_elements_are_packed_in_files),
        cmocka_unit_test(permuting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
