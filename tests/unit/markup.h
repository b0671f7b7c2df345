/* SPDX-License-Identifier: MIT
 * markup.h - a strict little reader for tests: fails when tags do not nest, an attribute is not quoted or a character
 * stands raw. HTML's tags without an end are known; text inside <style> is skipped.
 */
#ifndef TEST_MARKUP_H
#define TEST_MARKUP_H

#include <string.h>

static inline bool has_no_end(const char *name) {
    static const char *const names[] = {"meta", "input", "img"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static inline void assert_well_formed(const char *x) {
    char stack[64][16];
    int depth = 0;
    if (strncmp(x, "<?xml", 5) == 0) {
        x = strstr(x, "?>") + 2;
    }
    if (strncmp(x, "<!doctype html>", 15) == 0) {
        x += 15;
    }
    while (*x != '\0') {
        if (*x == '&') {
            assert_true(strcspn(x, ";") < 8);
        }
        if (*x != '<') {
            x++;
            continue;
        }
        bool closing = x[1] == '/';
        size_t n = strcspn(x + 1 + closing, " />\n");
        assert_in_range(n, 1, 15);
        char name[16] = "";
        memcpy(name, x + 1 + closing, n);
        bool quoted = false, empty = false;
        for (x++; quoted || *x != '>'; x++) {
            assert_true(*x != '\0' && *x != '<');
            quoted ^= *x == '"';
            empty = *x == '/';
        }
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(stack[--depth], name);
        } else if (!empty && !has_no_end(name)) {
            assert_true(depth < 64);
            memcpy(stack[depth++], name, sizeof name);
        }
        if (!closing && strcmp(name, "style") == 0) {
            x = strstr(x, "</style>");
            assert_non_null(x);
        }
    }
    assert_int_equal(depth, 0);
}

#endif
