/* SPDX-License-Identifier: MIT
 * text_width.c - widths from width_table.def, UTF-8 reading, line breaking.
 */
#include "draw/text_width.h"

#define CVI_WIDTH_MONO(units)
#define CVI_WIDTH_ROW(...)                          __VA_ARGS__,
#define CVI_WIDTH_BLOCK(first, last, regular, bold) regular
static const uint16_t regular_widths[] = {
#include "width_table.def"
};
#undef CVI_WIDTH_BLOCK
#define CVI_WIDTH_BLOCK(first, last, regular, bold) bold
static const uint16_t bold_widths[] = {
#include "width_table.def"
};
#undef CVI_WIDTH_BLOCK
#undef CVI_WIDTH_ROW
#define CVI_WIDTH_ROW(...)                          __VA_ARGS__
#define CVI_WIDTH_BLOCK(first, last, regular, bold) {first, last},
static const uint16_t blocks[][2] = {
#include "width_table.def"
};
#undef CVI_WIDTH_BLOCK
#undef CVI_WIDTH_MONO
#define CVI_WIDTH_MONO(units) (units)
#define CVI_WIDTH_BLOCK(first, last, regular, bold)
static const int mono_width =
#include "width_table.def"
    ;

#define UNITS   2048.0
#define UNKNOWN 0.65 /* em, for a script that the table does not hold */

/* Ranges of East Asian Wide and Full-width characters and of emoji (after Unicode's EastAsianWidth). */
static const uint32_t wide[][2] = {
    {0x1100, 0x115F}, {0x2E80, 0x303E}, {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xA000, 0xA4CF}, {0xA960, 0xA97F}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
    {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F000, 0x1FAFF}, {0x20000, 0x3FFFD},
};

bool cvi_is_wide(uint32_t code) {
    for (int i = 0; i < CVI_COUNT(wide); i++) {
        if (code < wide[i][0]) {
            return false;
        }
        if (code <= wide[i][1]) {
            return true;
        }
    }
    return false;
}

double cvi_advance(uint32_t code, bool bold, bool mono) {
    if (cvi_is_wide(code)) {
        return 1.0;
    }
    int64_t at = 0;
    for (int i = 0; i < CVI_COUNT(blocks); i++) {
        if (code >= blocks[i][0] && code <= blocks[i][1]) {
            int units = (bold ? bold_widths : regular_widths)[at + (int64_t)code - blocks[i][0]];
            if (units == 0 || units == 0xFFFF) {
                return units == 0 ? 0.0 : UNKNOWN;
            }
            return (mono ? mono_width : units) / UNITS;
        }
        at += blocks[i][1] - blocks[i][0] + 1;
    }
    return UNKNOWN;
}

uint32_t cvi_code_next(const char **s) {
    uint32_t code;
    bool valid;
    *s += cvi_utf8_next(*s, 4, &code, &valid); /* a NUL ends every character, so 4 is never too much */
    return code;
}

int cvi_code_put(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint32_t lead[4] = {0, 0xC0, 0xE0, 0xF0};
    for (int i = more; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)(lead[more] | code);
    return more + 1;
}

double cvi_width_em(const char *text, bool bold, bool mono) {
    double sum = 0.0;
    while (*text != '\0') {
        sum += cvi_advance(cvi_code_next(&text), bold, mono);
    }
    return sum;
}

/* Characters that could reorder or hide text, and those XML does not allow. */
static bool dropped(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0xAD ||
           (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF || (code & 0xFFFE) == 0xFFFE ||
           (code >= 0xFDD0 && code <= 0xFDEF) || (code >= 0xFFF9 && code <= 0xFFFB);
}

size_t cvi_text_clean(const char *text, char *out) {
    size_t n = 0;
    while (*text != '\0') {
        uint32_t code = cvi_code_next(&text);
        code = code == '\n' || code == '\t' ? ' ' : code;
        char bytes[4];
        if (dropped(code)) {
            continue;
        }
        int k = cvi_code_put(code, bytes);
        if (out != NULL) {
            memcpy(out + n, bytes, (size_t)k);
        }
        n += (size_t)k;
    }
    if (out != NULL) {
        out[n] = '\0';
    }
    return n;
}

/* Signs that must not begin a line: closing punctuation of both scripts. */
static bool closes(uint32_t code) {
    static const uint32_t signs[] = {',',    '.',    ';',    ':',    '!',    '?',    ')',    ']',
                                     '}',    '%',    0x2019, 0x201D, 0x3001, 0x3002, 0x3009, 0x300B,
                                     0x300D, 0x300F, 0x3011, 0x3015, 0xFF01, 0xFF09, 0xFF0C, 0xFF0E,
                                     0xFF1A, 0xFF1B, 0xFF1F, 0xFF3D, 0xFF5D};
    for (int i = 0; i < CVI_COUNT(signs); i++) {
        if (code == signs[i]) {
            return true;
        }
    }
    return false;
}

/* Signs that must not end a line. */
static bool opens(uint32_t code) {
    return code == '(' || code == '[' || code == '{' || code == 0x2018 || code == 0x201C || code == 0x3008 ||
           code == 0x300A || code == 0x300C || code == 0x300E || code == 0x3010 || code == 0xFF08;
}

size_t cvi_line_break(const char *text, double max_em, bool bold, bool mono, const char **next) {
    const char *p = text, *best = NULL;
    uint32_t before = 0;
    double width = 0.0;
    while (*p != '\0') {
        const char *start = p;
        uint32_t code = cvi_code_next(&p);
        bool joint =
            code == ' ' || ((cvi_is_wide(code) || cvi_is_wide(before)) && !closes(code) && !opens(before));
        if (start > text && joint) {
            best = start;
        }
        width += cvi_advance(code, bold, mono);
        if (width > max_em + 1e-9 && code != ' ' && start > text) {
            const char *cut = best != NULL ? best : start;
            *next = cut;
            while (**next == ' ') {
                (*next)++;
            }
            while (cut > text && cut[-1] == ' ') {
                cut--;
            }
            return (size_t)(cut - text);
        }
        before = code;
    }
    *next = p;
    while (p > text && p[-1] == ' ') {
        p--;
    }
    return (size_t)(p - text);
}
