/* SPDX-License-Identifier: MIT
 * caret.c - shows the line of a text that an error names, with a caret under the column.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

enum { WINDOW = 96 }; /* characters of a long line that are shown */

/* One character of UTF-8: its bytes, and how many columns of a terminal it takes. Broken bytes count one each. */
static size_t character(const char *s, int *columns) {
    unsigned char c = (unsigned char)*s;
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    for (size_t i = 1; i < n; i++) {
        n = ((unsigned char)s[i] & 0xc0) == 0x80 ? n : 1;
    }
    unsigned code =
        n == 3 ? ((c & 15u) << 12) | (((unsigned char)s[1] & 63u) << 6) | ((unsigned char)s[2] & 63u) : 0;
    *columns = n == 4 || (code >= 0x1100 && code < 0x2000 && code < 0x1160) ||
                       (code >= 0x2E80 && code < 0xFFE7 && code != 0xFEFF)
                   ? 2
                   : 1;
    return n;
}

static bool is_control(const char *s, size_t n) {
    unsigned char c = (unsigned char)*s, d = n > 1 ? (unsigned char)s[1] : 0;
    return (n == 1 && (c < 32 || c >= 127)) || (n == 2 && c == 0xc2 && d < 0xa0) ||
           (n == 3 && c == 0xe2 && (d == 0x80 || d == 0x81)); /* direction marks, separators and their like */
}

static void show(const char *text, int line, int column) {
    for (int i = 1; i < line && text; i++) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    if (!text) {
        return;
    }
    if (line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
    }
    int first = column > WINDOW * 3 / 4 ? column - WINDOW * 3 / 4 : 1, at = 1, before = 0;
    fputs("    ", stderr);
    for (const char *s = text; *s && *s != '\n' && *s != '\r' && at < first + WINDOW; at++) {
        int columns;
        size_t n = character(s, &columns);
        bool hidden = is_control(s, n);
        if (at >= first) {
            fwrite(hidden ? " " : s, 1, hidden ? 1 : n, stderr);
            before += at < column ? (hidden ? 1 : columns) : 0;
        }
        s += n;
    }
    fprintf(stderr, "\n    %*s^\n", before, "");
}

void cli_show_place(const cli *c) {
    const cvs_error *e = &c->err;
    if (e->line <= 0 || e->column <= 0) {
        return;
    }
    char *text = e->file[0] ? cli_small_text(e->file) : NULL;
    struct stat info;
    const char *given = NULL; /* a description that stood on the command line itself */
    for (int i = 0; !text && i < c->n_args; i++) {
        given = stat(c->args[i], &info) != 0 && strpbrk(c->args[i], "|;\n( ") ? c->args[i] : given;
    }
    if (text || given) {
        show(text ? text : given, e->line, e->column);
    }
    free(text);
}
