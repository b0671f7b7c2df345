/* SPDX-License-Identifier: MIT
 * test_protobuf.c - the wire walker: every wire type, packed and single numbers, groups, messages in pieces, and for damage the
 * status and the byte offset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "formats/protobuf.h"
#include "test_helpers.h"

#define BYTES(...)                                                                                           \
    (const uint8_t[]) {                                                                                      \
        __VA_ARGS__                                                                                          \
    }

static cvi_pb begin(const uint8_t *bytes, size_t n, cvs_error *err) {
    *err = (cvs_error){0};
    return cvi_pb_begin(bytes, n, 8, err);
}

static void reads_every_wire_type(void **state) {
    (void)state;
    cvs_error err;
    static const uint8_t bytes[] = {0x08, 0x96, 0x01, 0x15, 0,    0,    0x80, 0x3f, 0x19, 0,    0,    0,
                                    0,    0,    0,    0,    0x40, 0x22, 2,    'h',  'i',  0x80, 0x7d, 0x01};
    cvi_pb r = begin(bytes, sizeof bytes, &err);
    cvi_pb_field f;
    assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
    assert_int_equal(f.number, 1);
    assert_int_equal(f.value, 150);
    assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
    assert_true(f.wire == CVI_PB_FIXED32 && cvi_pb_float(f.value) == 1.0f);
    assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
    assert_true(f.wire == CVI_PB_FIXED64 && cvi_pb_double(f.value) == 2.0);
    assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
    assert_int_equal(f.offset, 17);
    assert_int_equal(f.bytes.size, 2);
    assert_memory_equal(f.bytes.data, "hi", 2);
    assert_ptr_equal(f.bytes.data, bytes + 19); /* nothing is copied */
    assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
    assert_int_equal(f.number, 2000);
    assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
    assert_int_equal(f.number, 0);
}

static void check_damage(const uint8_t *bytes, size_t n, cvs_status status, int64_t offset) {
    cvs_error err;
    cvi_pb r = begin(bytes, n, &err);
    cvi_pb_field f = {.number = 1};
    cvs_status s = CVS_OK;
    while (s == CVS_OK && f.number) {
        s = cvi_pb_next(&r, &f);
    }
    assert_int_equal(s, status);
    assert_int_equal(err.code, status);
    assert_true(err.has_offset && err.message[0]);
    assert_int_equal(err.offset, offset);
}

static void says_where_damage_is(void **state) {
    (void)state;
    check_damage(BYTES(0x08, 1, 0x08), 3, CVS_E_FORMAT, 2);          /* number cut off */
    check_damage(BYTES(0x08, 1, 0x22, 3, 'a'), 5, CVS_E_FORMAT, 2);  /* more bytes than there are */
    check_damage(BYTES(0x08, 1, 0x80), 3, CVS_E_FORMAT, 2);          /* tag cut off */
    check_damage(BYTES(0x00, 1), 2, CVS_E_FORMAT, 0);                /* field 0 */
    check_damage(BYTES(0x0e, 1), 2, CVS_E_FORMAT, 0);                /* wire type 6 */
    check_damage(BYTES(0x15, 1, 2), 3, CVS_E_FORMAT, 0);             /* short fixed32 */
    check_damage(BYTES(0x0c), 1, CVS_E_FORMAT, 0);                   /* a group's end without its start */
    check_damage(BYTES(0x08, 1, 0x0b, 0x08, 1), 5, CVS_E_FORMAT, 2); /* a group without its end */
    check_damage(BYTES(0x08, 1, 0x0b, 0x14), 4, CVS_E_FORMAT, 2);    /* another group's end */
    check_damage(BYTES(0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02), 11, CVS_E_FORMAT,
                 0);
    check_damage(BYTES(0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), 11, CVS_E_FORMAT,
                 0);
    uint8_t nested[64];
    memset(nested, 0x0b, sizeof nested);
    check_damage(nested, sizeof nested, CVS_E_LIMIT, 0);
}

static void skips_groups(void **state) {
    (void)state;
    cvs_error err;
    static const uint8_t bytes[] = {0x0b, 0x13, 0x22, 2, 0x0c, 0x0c, 0x14, 0x08, 5, 0x0c, 0x18, 7};
    cvi_pb r = begin(bytes, sizeof bytes, &err);
    cvi_pb_field f;
    assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
    assert_int_equal(f.number, 3);
    assert_int_equal(f.value, 7);
}

static void reads_numbers_packed_and_single(void **state) {
    (void)state;
    cvs_error err;
    static const uint8_t bytes[] = {0x0a, 4, 1, 0x80, 1, 3, 0x08, 9, 0x0a, 0, 0x0a, 2, 5, 0x80};
    const uint64_t want[] = {1, 128, 3, 9, 5};
    cvi_pb r = begin(bytes, sizeof bytes, &err);
    cvi_pb_numbers n;
    int got = 0;
    for (cvs_status s = CVS_OK; s == CVS_OK;) {
        cvi_pb_field f;
        assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
        assert_int_equal(cvi_pb_numbers_begin(&r, &f, 0, "numbers", &n), CVS_OK);
        bool more = true;
        uint64_t v = 0;
        for (;;) {
            s = cvi_pb_numbers_next(&r, &n, &v, &more);
            if (s != CVS_OK || !more) {
                break;
            }
            assert_true(got < 5 && v == want[got]);
            got++;
        }
    }
    assert_int_equal(got, 5);
    assert_int_equal(err.offset, 13); /* the last packed number is not complete */
    cvi_pb_field fixed = {.wire = CVI_PB_BYTES, .bytes = {.data = bytes, .size = 6}, .offset = 40};
    assert_int_equal(cvi_pb_numbers_begin(&r, &fixed, 4, "floats", &n), CVS_E_FORMAT);
}

static void merges_pieces(void **state) {
    (void)state;
    cvs_error err;
    static const uint8_t bytes[] = {0x0a, 2, 0x08, 1, 0x10, 9, 0x0a, 0, 0x0a, 4, 0x08, 2, 0x08, 3};
    cvi_arena *a = cvi_arena_new(0);
    cvi_pb r = begin(bytes, sizeof bytes, &err), inner;
    cvi_pb_piece message = {0};
    cvi_pb_field f;
    for (;;) {
        assert_int_equal(cvi_pb_next(&r, &f), CVS_OK);
        if (!f.number) {
            break;
        }
        if (f.number == 1) {
            assert_int_equal(cvi_pb_collect(&r, a, &message, &f, "m"), CVS_OK);
        }
    }
    assert_int_equal(cvi_pb_enter(&r, &message, &inner), CVS_OK);
    for (uint64_t want = 1; want <= 3; want++) {
        assert_int_equal(cvi_pb_next(&inner, &f), CVS_OK);
        assert_int_equal(f.value, want);
    }
    assert_int_equal(cvi_pb_next(&inner, &f), CVS_OK);
    assert_int_equal(f.number, 0);
    for (int i = 0; i < 20; i++) { /* depth is bounded */
        cvi_pb deeper;
        cvs_status s = cvi_pb_enter(&inner, &message, &deeper);
        assert_int_equal(s, inner.depth + 1 > 8 ? CVS_E_LIMIT : CVS_OK);
        inner = s == CVS_OK ? deeper : inner;
    }
    cvi_arena_free(a);
}

static void knows_text(void **state) {
    (void)state;
    static const struct {
        const char *s;
        size_t n;
        bool ok;
    } rows[] = {{"plain", 5, true},         {"\xe7\x8c\xab", 3, true},  {"\xf0\x9f\x90\x88", 4, true},
                {"a\0b", 3, false},         {"\xc0\x80", 2, false},     {"\xe7\x8c", 2, false},
                {"\x80", 1, false},         {"\xed\xa0\x80", 3, false}, {"\xf4\x90\x80\x80", 4, false},
                {"\xe0\x80\x80", 3, false}, {"\xff", 1, false},         {"", 0, true}};
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        assert_int_equal(cvi_utf8_valid((const uint8_t *)rows[i].s, rows[i].n), rows[i].ok);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_wire_type), cmocka_unit_test(says_where_damage_is),
        cmocka_unit_test(skips_groups),          cmocka_unit_test(reads_numbers_packed_and_single),
        cmocka_unit_test(merges_pieces),         cmocka_unit_test(knows_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
