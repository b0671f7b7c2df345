/* SPDX-License-Identifier: MIT
 * caffe_text.c - protobuf's text format as a tree, without a schema: nested braces (or < >), repeated keys, lists in brackets,
 * comments, strings that continue, words of enumerations, optional commas and semicolons.
 * Format: https://protobuf.dev/reference/protobuf/textformat-spec/
 */
#include <ctype.h>

#include "formats/caffe.h"

typedef struct scanner {
    const char *at, *end, *line_start;
    int line;
    int64_t max_depth;
    cvi_arena *a;
    cvs_error *err;
} scanner;

static int column(const scanner *s, const char *at) {
    int64_t n = at - s->line_start + 1;
    return n > INT32_MAX ? INT32_MAX : (int)n;
}

static cvs_status here(const scanner *s, cvs_status status) {
    return cvi_at_line(s->err, status, s->line, column(s, s->at));
}

static void skip_space(scanner *s) {
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;
        if (c == '#') {
            while (s->at < s->end && *s->at != '\n') {
                s->at++;
            }
        } else if (c == '\n') {
            s->at++;
            s->line += s->line < INT32_MAX;
            s->line_start = s->at;
        } else if (isspace(c)) {
            s->at++;
        } else {
            return;
        }
    }
}

/* The next character after space, 0 at the end. */
static char peek(scanner *s) {
    skip_space(s);
    return s->at < s->end ? *s->at : '\0';
}

static cvs_status unexpected(scanner *s, const char *wanted) {
    if (peek(s) == '\0' && s->at >= s->end) {
        return here(s, cvi_fail(s->err, CVS_E_FORMAT, "the text ends where %s should follow",
                                cvi_tr(s->err ? s->err->lang : CVS_EN, wanted)));
    }
    char shown[8] = {0};
    uint32_t code;
    bool valid;
    size_t n = cvi_utf8_next(s->at, (size_t)(s->end - s->at), &code, &valid);
    memcpy(shown, valid && code >= 32 ? s->at : "?", valid && code >= 32 ? n : 1);
    return here(s, cvi_fail(s->err, CVS_E_FORMAT, "\"%s\" where %s should be", shown,
                            cvi_tr(s->err ? s->err->lang : CVS_EN, wanted)));
}

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '/';
}

static cvs_status copy(scanner *s, const char *from, size_t n, const char **out) {
    *out = cvi_arena_strn(s->a, from, n);
    return *out ? CVS_OK : cvi_no_memory(s->err, n);
}

/* A field's name: a word, or an extension's name in brackets. */
static cvs_status read_name(scanner *s, const char **out) {
    bool bracket = peek(s) == '[';
    const char *start = s->at += bracket;
    while (s->at < s->end && (is_word(*s->at) || (bracket && *s->at == '-'))) {
        s->at++;
    }
    if (s->at == start || (!bracket && isdigit((unsigned char)*start))) {
        s->at = start;
        return unexpected(s, "the name of a field");
    }
    size_t n = (size_t)(s->at - start);
    if (bracket) {
        if (peek(s) != ']') {
            return unexpected(s, "a closing bracket");
        }
        s->at++;
    }
    return copy(s, start, n, out);
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What follows a backslash; at is behind it. */
static char escape(scanner *s) {
    char c = *s->at++;
    if (c >= '0' && c <= '7') {
        int v = c - '0';
        for (int i = 0; i < 2 && s->at < s->end && *s->at >= '0' && *s->at <= '7'; i++) {
            v = v * 8 + (*s->at++ - '0');
        }
        return (char)v;
    }
    if (c == 'x' || c == 'X') {
        int v = 0;
        for (int i = 0; i < 2 && s->at < s->end && hex(*s->at) >= 0; i++) {
            v = v * 16 + hex(*s->at++);
        }
        return (char)v;
    }
    return (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c);
}

/* One quoted piece, appended to `b`. */
static cvs_status read_quoted(scanner *s, cvi_buf *b) {
    char quote = *s->at++;
    while (s->at < s->end && *s->at != quote && *s->at != '\n') {
        char c = *s->at++;
        if (c == '\\' && s->at < s->end && *s->at != '\n') {
            c = escape(s);
        }
        if (c == '\0') {
            return here(s, cvi_fail(s->err, CVS_E_FORMAT, "a string holds a zero byte"));
        }
        cvi_buf_add(b, &c, 1);
    }
    if (s->at >= s->end || *s->at != quote) {
        return here(s, cvi_fail(s->err, CVS_E_FORMAT, "a string is not closed before the line ends"));
    }
    s->at++;
    return CVS_OK;
}

static cvs_status read_string(scanner *s, const char **out) {
    cvi_buf b = {0};
    cvs_status status = CVS_OK;
    for (char c = peek(s); status == CVS_OK && (c == '"' || c == '\''); c = peek(s)) {
        status = read_quoted(s, &b);
    }
    if (status == CVS_OK) {
        bool valid = true;
        for (size_t i = 0; i < b.size && valid;) {
            uint32_t code;
            i += cvi_utf8_next(b.data + i, b.size - i, &code, &valid);
        }
        status = b.failed ? cvi_no_memory(s->err, b.size)
                 : valid  ? copy(s, b.data ? b.data : "", b.size, out)
                          : here(s, cvi_fail(s->err, CVS_E_FORMAT, "a string is not valid UTF-8"));
    }
    cvi_buf_free(&b);
    return status;
}

static cvs_status read_scalar(scanner *s, caffe_field *f) {
    char c = peek(s);
    if (c == '"' || c == '\'') {
        f->quoted = true;
        return read_string(s, &f->text);
    }
    const char *start = s->at;
    if (c == '-' || c == '+') {
        s->at++;
    }
    while (s->at < s->end && (is_word(*s->at) ||
                              ((*s->at == '-' || *s->at == '+') && (s->at[-1] == 'e' || s->at[-1] == 'E')))) {
        s->at++;
    }
    if (s->at == start || (s->at == start + 1 && !is_word(*start))) {
        s->at = start;
        return unexpected(s, "a value");
    }
    return copy(s, start, (size_t)(s->at - start), &f->text);
}

static cvs_status read_message(scanner *s, char close, int64_t depth, caffe_message *out);

/* A message in braces; at is on the opening one. */
static cvs_status read_braces(scanner *s, int64_t depth, caffe_field *f) {
    if (depth >= s->max_depth) {
        return here(s, cvi_fail(s->err, CVS_E_LIMIT, "braces are nested more than %lld deep, the limit",
                                (long long)s->max_depth));
    }
    f->message = cvi_arena_alloc(s->a, 1, sizeof *f->message);
    if (!f->message) {
        return cvi_no_memory(s->err, sizeof *f->message);
    }
    char close = *s->at++ == '{' ? '}' : '>';
    return read_message(s, close, depth + 1, f->message);
}

static caffe_field *append(scanner *s, caffe_message *m, const caffe_field *like) {
    caffe_field *f = cvi_arena_alloc(s->a, 1, sizeof *f);
    if (!f) {
        cvi_no_memory(s->err, sizeof *f);
        return NULL;
    }
    *f = *like;
    if (m->last) {
        m->last->next = f;
    } else {
        m->first = f;
    }
    m->last = f;
    return f;
}

static cvs_status read_value(scanner *s, int64_t depth, caffe_message *m, const caffe_field *like) {
    caffe_field *f = append(s, m, like);
    if (!f) {
        return CVS_E_MEMORY;
    }
    char c = peek(s);
    return c == '{' || c == '<' ? read_braces(s, depth, f) : read_scalar(s, f);
}

static cvs_status read_field(scanner *s, int64_t depth, caffe_message *m) {
    caffe_field f = {.text = ""};
    peek(s);
    f.line = s->line;
    f.column = column(s, s->at);
    CVI_TRY(read_name(s, &f.name));
    char c = peek(s);
    if (c != ':' && c != '{' && c != '<') {
        return unexpected(s, "a colon or a brace");
    }
    if (c == ':') {
        s->at++;
        c = peek(s);
    }
    if (c != '[') {
        return read_value(s, depth, m, &f);
    }
    s->at++;
    while (peek(s) != ']') {
        CVI_TRY(read_value(s, depth, m, &f));
        c = peek(s);
        if (c != ',' && c != ']') {
            return unexpected(s, "a comma or a closing bracket");
        }
        s->at += c == ',';
    }
    s->at++;
    return CVS_OK;
}

static cvs_status read_message(scanner *s, char close, int64_t depth, caffe_message *out) {
    for (;;) {
        char c = peek(s);
        if (c == ',' || c == ';') {
            s->at++;
        } else if (s->at >= s->end) {
            return close ? unexpected(s, "a closing brace") : CVS_OK;
        } else if (close && c == close) {
            s->at++;
            return CVS_OK;
        } else {
            CVI_TRY(read_field(s, depth, out));
        }
    }
}

cvs_status cvi_caffe_parse(cvi_arena *a, const char *text, size_t size, int64_t max_depth, caffe_message *out,
                           cvs_error *err) {
    size_t mark = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    scanner s = {.at = text + mark,
                 .end = text + size,
                 .line_start = text + mark,
                 .line = 1,
                 .max_depth = max_depth,
                 .a = a,
                 .err = err};
    *out = (caffe_message){0};
    return read_message(&s, '\0', 0, out);
}
