/* SPDX-License-Identifier: MIT
 * text_width.h (internal) - how wide a text is, and where it may be broken, from one committed table.
 * Nothing here asks the machine for fonts: the same text has the same width everywhere.
 */
#ifndef CVI_TEXT_WIDTH_H
#define CVI_TEXT_WIDTH_H

#include "base/base.h"

/* Reads one code point at *s (not at its end) and moves *s behind it. Broken UTF-8 gives U+FFFD and moves by one byte. */
uint32_t cvi_code_next(const char **s);
/* Appends a code point as UTF-8 (at most 4 bytes); returns the bytes written. */
int cvi_code_put(uint32_t code, char out[4]);

/* Advance of a code point in em. */
double cvi_advance(uint32_t code, bool bold, bool mono);
/* Width of UTF-8 text in em. */
double cvi_width_em(const char *text, bool bold, bool mono);
/* Ideographs, kana, hangul and full-width signs: 1 em wide, and a line may break between any two of them. */
bool cvi_is_wide(uint32_t code);
/* Length in bytes of a valid copy of `text` without control and direction characters, written to out (terminated)
 * unless NULL. Line feeds and tabs become spaces. */
size_t cvi_text_clean(const char *text, char *out);

/* The next line of text that is at most max_em wide: returns the bytes of it (without trailing spaces) and sets *next
 * to where the following line starts (the end when done). At least one character is taken. */
size_t cvi_line_break(const char *text, double max_em, bool bold, bool mono, const char **next);

#endif
