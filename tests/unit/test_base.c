/* SPDX-License-Identifier: MIT
 * test_base.c - errors and their text, memory, arena, buffers, JSON, inflating, the table of Chinese texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zlib.h>

#include "base/base.h"
#include "test_helpers.h"

static void errors_carry_their_place(void **state) {
    (void)state;
    cvs_error err = {0};
    char text[800];
    cvs_status s = cvi_fail(&err, CVS_E_FORMAT, "this file is write-protected");
    assert_int_equal(s, CVS_E_FORMAT);
    cvi_at_offset(&err, s, 17);
    cvi_at_offset(&err, s, 99); /* the innermost place wins */
    cvi_at_attr(&err, s, "strides");
    cvi_at_node(&err, s, "conv1", "Conv");
    cvi_at_node(&err, s, "outer", "If");
    cvi_at_file(&err, s, "model.onnx");
    assert_string_equal(cvs_error_text(&err, text, sizeof text),
                        "model.onnx: node conv1 (Conv), strides, byte 17: this file is write-protected");
    err.lang = CVS_ZH;
    cvi_fail(&err, CVS_E_IO, "this file is write-protected");
    cvi_at_line(&err, CVS_E_IO, 3, 9);
    assert_string_equal(cvs_error_text(&err, text, sizeof text), "第 3 行第 9 列: 此文件受写保护");
    cvi_error_clear(&err);
    assert_true(err.lang == CVS_ZH && err.code == CVS_OK && err.message[0] == '\0');
    assert_int_equal(cvi_at_file(&err, CVS_OK, "x"), CVS_OK);
    assert_true(err.file[0] == '\0');
    cvi_fail(&err, CVS_E_IO, "the folder %s does not exist", "a");
    cvi_fail(&err, CVS_E_IO, "cannot be read: %s", err.message); /* an error inside an error */
    assert_string_equal(err.message, "无法读取：文件夹 a 不存在");
    assert_int_equal(cvi_fail(NULL, CVS_E_IO, "the path is empty"), CVS_E_IO);
    assert_int_equal(cvi_at_file(NULL, CVS_E_IO, "x"), CVS_E_IO);
}

static void error_text_is_harmless(void **state) {
    (void)state;
    cvs_error err = {.code = CVS_E_IO};
    char text[200], tiny[8];
    cvi_copy_text(err.message, sizeof err.message, "a\x1b[31m\nb\x9f\xc3\xa9\xe2\x80\xae\xc2\x9b");
    assert_string_equal(cvs_error_text(&err, text, sizeof text), "a\\x1b[31m\\nb\\x9f\xc3\xa9\\u202e\\u009b");
    cvi_copy_text(err.message, sizeof err.message, "中文中文");
    assert_string_equal(cvs_error_text(&err, tiny, sizeof tiny), "中文"); /* whole characters only */
    char path[600];
    memset(path, 'p', sizeof path);
    memcpy(path + 590, "/name.png", 10);
    cvi_at_file(&err, CVS_E_IO, path);
    assert_int_equal(strlen(err.file), sizeof err.file - 1);
    assert_string_equal(err.file + sizeof err.file - 10, "/name.png");
    assert_true(strncmp(err.file, "...", 3) == 0);
    for (int i = -2; i < CVS_N_STATUS + 2; i++) {
        assert_true(cvs_status_name((cvs_status)i, CVS_ZH)[0] != '\0');
        assert_true(cvs_status_exit((cvs_status)i) > 0 || i == 0);
    }
}

static void language_from_the_environment(void **state) {
    (void)state;
    unsetenv("LC_ALL");
    unsetenv("LC_MESSAGES");
    unsetenv("LANG");
    assert_int_equal(cvs_lang_from(NULL), CVS_EN);
    setenv("LANG", "zh_CN.UTF-8", 1);
    assert_int_equal(cvs_lang_from(NULL), CVS_ZH);
    assert_int_equal(cvs_lang_from("en"), CVS_EN);
    setenv("LC_ALL", "C", 1);
    assert_int_equal(cvs_lang_from(NULL), CVS_EN);
    assert_int_equal(cvs_lang_from("zh"), CVS_ZH);
    setenv("LC_ALL", "", 1);
    assert_int_equal(cvs_lang_from(NULL), CVS_ZH);
}

static void texts_are_found(void **state) {
    (void)state;
    assert_true(cvi_text_rows() > 50);
    for (int i = 0; i < cvi_text_rows(); i++) {
        const char *english, *chinese;
        cvi_text_row(i, &english, &chinese);
        assert_string_equal(cvi_tr(CVS_ZH, english), chinese);
        assert_ptr_equal(cvi_tr(CVS_EN, english), english);
    }
    assert_string_equal(cvi_tr(CVS_ZH, "no such row"), "no such row");
}

static void memory_is_checked(void **state) {
    (void)state;
    int64_t out = 7;
    assert_true(cvi_mul(3, 4, &out) && out == 12);
    assert_true(!cvi_mul(INT64_MAX, 2, &out) && !cvi_mul(-1, 2, &out) && !cvi_mul(2, -1, &out) && out == 12);
    assert_true(cvi_add(INT64_MAX - 1, 1, &out) && out == INT64_MAX);
    assert_true(!cvi_add(INT64_MAX, 1, &out) && !cvi_add(-1, 1, &out));
    assert_null(cvi_calloc(SIZE_MAX / 2, 3));
    assert_null(cvi_malloc(SIZE_MAX));
    char *p = cvi_malloc(1);
    assert_true((uintptr_t)p % 64 == 0);
    p[0] = 'x';
    p = cvi_realloc(p, 1, 1000);
    assert_true(p[0] == 'x' && (uintptr_t)p % 64 == 0);
    test_fail_from(0, -1);
    assert_null(cvi_realloc(p, 1000, 2000));
    cvi_set_hooks(NULL);
    assert_int_equal(p[0], 'x');
    cvi_free(p);
    cvi_free(NULL);
}

static void arena_pieces(void **state) {
    (void)state;
    cvi_arena *a = cvi_arena_new(0);
    for (int round = 0; round < 2; round++) {
        char *before = NULL;
        for (int i = 1; i < 3000; i++) {
            char *p = cvi_arena_alloc(a, i, 1 + (size_t)i % 7);
            assert_true((uintptr_t)p % 16 == 0 && p != before);
            for (int k = 0; k < i; k++) {
                assert_int_equal(p[k], 0);
            }
            memset(p, 0xAA, (size_t)i); /* must not show in later pieces or after a reset */
            before = p;
        }
        char *large = cvi_arena_alloc(a, 5 << 20, 1);
        assert_true(large != NULL && large[(5 << 20) - 1] == 0);
        assert_string_equal(cvi_arena_strn(a, "abcdef", 3), "abc");
        assert_string_equal(cvi_arena_printf(a, "%d-%s", 7, "x"), "7-x");
        assert_true(cvi_arena_bytes(a) > 5 << 20);
        cvi_arena_reset(a);
        assert_int_equal(cvi_arena_bytes(a), 0);
    }
    assert_null(cvi_arena_alloc(a, INT64_MAX, 8));
    assert_null(cvi_arena_alloc(a, -1, 8));
    cvi_arena_free(a);
    cvi_arena_free(NULL);
    a = cvi_arena_new(64);
    assert_non_null(cvi_arena_alloc(a, 48, 1));
    assert_null(cvi_arena_alloc(a, 17, 1));
    assert_non_null(cvi_arena_alloc(a, 16, 1));
    assert_null(cvi_arena_alloc(a, 1, 1));
    cvi_arena_free(a);
}

static void buffers_grow(void **state) {
    (void)state;
    cvi_buf b = {0};
    for (int i = 0; i < 1000; i++) {
        cvi_buf_printf(&b, "%03d,", i);
    }
    assert_true(b.size == 4000 && !b.failed && strlen(b.data) == 4000 &&
                strncmp(b.data + 3996, "999,", 4) == 0);
    cvi_buf_free(&b);
    cvi_buf_base64(&b, "f", 1);
    cvi_buf_puts(&b, " ");
    cvi_buf_base64(&b, "fo", 2);
    cvi_buf_puts(&b, " ");
    cvi_buf_base64(&b, "foobar", 6);
    cvi_buf_base64(&b, NULL, 0);
    assert_string_equal(b.data, "Zg== Zm8= Zm9vYmFy"); /* RFC 4648, section 10 */
    cvi_buf_free(&b);
    cvi_buf_xml(&b, "<a b='c'>&\"\x01\x7f\n中\xff\xc2\x85\xef\xbf\xbf");
    assert_string_equal(b.data, "&lt;a b=&#39;c&#39;&gt;&amp;&quot;\n中\xEF\xBF\xBD");
    cvi_buf_free(&b);
    test_fail_from(1, -1);
    for (int i = 0; i < 1000; i++) {
        cvi_buf_puts(&b, "0123456789");
    }
    cvi_set_hooks(NULL);
    assert_true(b.failed);
    size_t kept = b.size;
    cvi_buf_puts(&b, "more");
    assert_true(b.size == kept && b.data[b.size] == '\0');
    cvi_buf_free(&b);
}

static cvs_status parse(const char *text, cvs_error *err) {
    json_t *value = NULL;
    cvs_status s = cvi_json_parse(text, strlen(text), &value, err);
    assert_true((s == CVS_OK) == (value != NULL));
    json_decref(value);
    return s;
}

static bool this_one_fails(void *context, size_t bytes) {
    (void)bytes;
    return (*(int *)context)-- == 0;
}

/* One piece of memory is refused, those after it are there: the parser must not go on with a part of a text. */
static void json_without_memory(void **state) {
    (void)state;
    const char *text = "{\"a name of some length, with \\\"quotes\\\" and \\\\ in it\": "
                       "[123456789012345678, 1.2345678901234567890123456789012345678901234567890e10, "
                       "\"\\u00e9 and more than that\"]}";
    int k = 0;
    for (bool done = false; !done && k < 1000; k++) {
        int left = k;
        cvs_error err = {0};
        cvi_set_hooks(&(cvi_hooks){.fail_alloc = this_one_fails, .context = &left});
        cvs_status s = parse(text, &err);
        cvi_set_hooks(NULL);
        done = left >= 0;
        assert_int_equal(s, done ? CVS_OK : CVS_E_MEMORY);
    }
    assert_true(k > 10 && k < 1000);
}

static void json_texts(void **state) {
    (void)state;
    cvs_error err = {0};
    assert_int_equal(parse("\xEF\xBB\xBF{\"a\": [1, 2.5, \"x\", null, true]}", &err), CVS_OK);
    assert_int_equal(parse("", &err), CVS_E_FORMAT);
    assert_int_equal(parse("{\"a\": 1,\n  \"a\": 2}", &err), CVS_E_FORMAT);
    assert_int_equal(err.line, 2);
    assert_int_equal(parse("{\n\"a\": 1,\n}", &err), CVS_E_FORMAT);
    assert_true(err.line == 3 && err.column >= 1);
    assert_int_equal(parse("[1] x", &err), CVS_E_FORMAT);
    assert_int_equal(parse("\"\xff\"", &err), CVS_E_FORMAT);
    char deep[201];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    assert_int_equal(parse(deep, &err), CVS_E_LIMIT);
    assert_int_equal(err.column, 65);
    assert_int_equal(
        parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]", &err),
        CVS_OK);
    json_t *v = NULL;
    const char *text = "{\"s\": \"x\", \"i\": 3, \"d\": 0.5, \"b\": true}";
    assert_int_equal(cvi_json_parse(text, strlen(text), &v, &err), CVS_OK);
    assert_string_equal(cvi_json_string(v, "s", "-"), "x");
    assert_string_equal(cvi_json_string(v, "i", "-"), "-");
    assert_int_equal(cvi_json_int(v, "i", 9), 3);
    assert_int_equal(cvi_json_int(v, "d", 9), 9);
    assert_true(cvi_json_number(v, "d", 0) == 0.5 && cvi_json_number(v, "i", 0) == 3.0);
    assert_true(cvi_json_bool(v, "b", false) && !cvi_json_bool(v, "none", false));
    assert_int_equal(cvi_json_int(NULL, "i", 9), 9);
    assert_int_equal(cvi_json_int(json_object_get(v, "s"), "i", 9), 9);
    json_decref(v);
    int k = 0;
    for (;; k++) {
        test_fail_from(k, -1);
        cvs_status s = parse("{\"a\": [1, 2.5, \"x\", {\"b\": \"\\u4e2d\"}]}", &err);
        cvi_set_hooks(NULL);
        if (!test_has_failed()) {
            assert_int_equal(s, CVS_OK);
            break;
        }
        assert_int_equal(s, CVS_E_MEMORY);
    }
    assert_true(k > 5);
}

static void inflating(void **state) {
    (void)state;
    uint8_t plain[5000], packed[6000], out[5000];
    for (int i = 0; i < CVI_COUNT(plain); i++) {
        plain[i] = (uint8_t)(i * i / 97);
    }
    uLongf n = sizeof packed;
    assert_int_equal(compress(packed, &n, plain, sizeof plain), Z_OK);
    cvs_error err = {0};
    assert_int_equal(cvi_inflate(packed, n, false, out, sizeof out, &err), CVS_OK);
    assert_memory_equal(out, plain, sizeof plain);
    assert_int_equal(cvi_inflate(packed + 2, n - 6, true, out, sizeof out, &err), CVS_OK); /* raw: no frame */
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(cvi_inflate(packed, cut, false, out, sizeof out, &err), CVS_E_FORMAT);
    }
    assert_int_equal(cvi_inflate(packed, n, false, out, sizeof out - 1, &err), CVS_E_FORMAT);
    assert_non_null(strstr(err.message, "more than the 4999 bytes"));
    uint8_t larger[5001];
    assert_int_equal(cvi_inflate(packed, n, false, larger, sizeof larger, &err), CVS_E_FORMAT);
    assert_non_null(strstr(err.message, "end too early"));
    packed[n] = 0;
    assert_int_equal(cvi_inflate(packed, n + 1, false, out, sizeof out, &err), CVS_E_FORMAT);
    packed[n - 1] ^= 1; /* the checksum */
    assert_int_equal(cvi_inflate(packed, n, false, out, sizeof out, &err), CVS_E_FORMAT);
    assert_int_equal(cvi_inflate("\0\0\0\0\0\0\0\0", 8, false, out, sizeof out, &err), CVS_E_FORMAT);
    packed[n - 1] ^= 1;
    for (int k = 0;; k++) {
        test_fail_from(k, -1);
        cvs_status s = cvi_inflate(packed, n, false, out, sizeof out, &err);
        cvi_set_hooks(NULL);
        assert_int_equal(s, test_has_failed() ? CVS_E_MEMORY : CVS_OK);
        if (!test_has_failed()) {
            break;
        }
    }
}

static void utf8(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n, used;
        uint32_t code;
        bool valid;
    } rows[] = {
        {"a", 1, 1, 'a', true},
        {"\xC3\xA9", 2, 2, 0xE9, true},
        {"\xE4\xB8\xAD", 3, 3, 0x4E2D, true},
        {"\xF0\x9F\x98\x80", 4, 4, 0x1F600, true},
        {"\xE4\xB8\xAD", 2, 1, 0xFFFD, false},     /* cut */
        {"\xC0\x80", 2, 1, 0xFFFD, false},         /* overlong */
        {"\xE0\x80\x80", 3, 1, 0xFFFD, false},     /* overlong */
        {"\xED\xA0\x80", 3, 1, 0xFFFD, false},     /* surrogate */
        {"\xF4\x90\x80\x80", 4, 1, 0xFFFD, false}, /* beyond Unicode */
        {"\x80", 1, 1, 0xFFFD, false},
    };
    for (int i = 0; i < CVI_COUNT(rows); i++) {
        uint32_t code = 0;
        bool valid = false;
        assert_int_equal(cvi_utf8_next(rows[i].bytes, rows[i].n, &code, &valid), rows[i].used);
        assert_true(code == rows[i].code && valid == rows[i].valid);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_carry_their_place),
        cmocka_unit_test(error_text_is_harmless),
        cmocka_unit_test(language_from_the_environment),
        cmocka_unit_test(texts_are_found),
        cmocka_unit_test(memory_is_checked),
        cmocka_unit_test(arena_pieces),
        cmocka_unit_test(buffers_grow),
        cmocka_unit_test(json_texts),
        cmocka_unit_test(json_without_memory),
        cmocka_unit_test(inflating),
        cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
