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
        cmocka_unit_test(permuting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
