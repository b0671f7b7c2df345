/* SPDX-License-Identifier: MIT
 * python_literal.c - Python's way to print data (repr of dictionaries, lists, texts, numbers) rewritten as JSON text, which the JSON reader then
 * parses. A closed grammar: names, calls, operators and everything else end it.
 */
#include "formats/told.h"

enum { MAX_DEPTH = 16, MAX_TEXT = 1 << 24 };

typedef struct literal {
    const char *at, *end;
    cvi_buf out;
    bool wrong;
} literal;

static void skip_blanks(literal *l) {
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\t' || *l->at == '\n' || *l->at == '\r')) {
        l->at++;
    }
}

static bool next_is(literal *l, char c) {
    skip_blanks(l);
    bool is = l->at < l->end && *l->at == c;
    l->at += is;
    return is;
}

static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What stands behind a backslash. */
static void escape(literal *l) {
    char c = l->at < l->end ? *l->at++ : 0;
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : 0, code = 0;
    if (c == '\'') {
        cvi_buf_puts(&l->out, "'");
    } else if (c && strchr("\"\\nrtbf", c)) {
        cvi_buf_printf(&l->out, "\\%c", c);
    } else if (digits > 0 && l->end - l->at >= digits) {
        for (int i = 0; i < digits; i++) {
            int value = hex(*l->at++);
            l->wrong |= value < 0;
            code = code * 16 + CVI_MAX(value, 0);
        }
        cvi_buf_printf(&l->out, "\\u%04x", (unsigned)code);
    } else {
        l->wrong = true;
    }
}

static void text(literal *l, char quote) {
    cvi_buf_puts(&l->out, "\"");
    while (!l->wrong && l->at < l->end && *l->at != quote) {
        const char *from = l->at;
        while (l->at < l->end && *l->at != quote && *l->at != '\\' && *l->at != '"' &&
               (unsigned char)*l->at >= ' ') {
            l->at++;
        }
        cvi_buf_add(&l->out, from, (size_t)(l->at - from));
        if (l->at < l->end && *l->at == '\\') {
            l->at++;
            escape(l);
        } else if (l->at < l->end && *l->at == '"' && quote != '"') {
            l->at++;
            cvi_buf_puts(&l->out, "\\\"");
        } else if (l->at < l->end && *l->at != quote) {
            l->wrong = true; /* a line may not end inside */
        }
    }
    l->wrong |= l->at >= l->end;
    l->at += l->at < l->end;
    cvi_buf_puts(&l->out, "\"");
}

/* A number as JSON has it ("1." and ".5" and "1_000" are not), or a word; a key stands in quotes. */
static void word(literal *l, bool key) {
    static const struct {
        const char *python, *json;
    } words[] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    const char *from = l->at;
    while (l->at < l->end && ((*l->at && strchr("+-._", *l->at)) || (*l->at >= '0' && *l->at <= '9') ||
                              (*l->at >= 'a' && *l->at <= 'z') || (*l->at >= 'A' && *l->at <= 'Z'))) {
        l->at++;
    }
    int n = (int)CVI_MIN(l->at - from, 40);
    bool digit = n > 0 && ((*from >= '0' && *from <= '9') || (n > 1 && *from == '-'));
    for (int i = 0; i < CVI_COUNT(words); i++) {
        if (n == (int)strlen(words[i].python) && memcmp(from, words[i].python, (size_t)n) == 0) {
            cvi_buf_printf(&l->out, key ? "\"%s\"" : "%s", words[i].json);
            return;
        }
    }
    l->wrong |= !digit || l->at - from > 40;
    cvi_buf_printf(&l->out, key ? "\"%.*s\"" : "%.*s", n, from);
}

static void value(literal *l, bool key, int depth) {
    static const char closes[] = {')', ']', '}'};
    skip_blanks(l);
    char c = l->at < l->end ? *l->at : 0;
    const char *opens = "([{", *at = c ? strchr(opens, c) : NULL;
    if (c == '\'' || c == '"') {
        l->at++;
        text(l, c);
        return;
    }
    if (!at || key || depth > MAX_DEPTH) {
        l->wrong |= at != NULL;
        word(l, key);
        return;
    }
    char close = closes[at - opens];
    bool pairs = false;
    l->at++;
    size_t begin = l->out.size;
    cvi_buf_puts(&l->out, c == '{' ? "{" : "[");
    for (int64_t i = 0; !l->wrong && !next_is(l, close); i++) {
        if (i > 0 && !next_is(l, ',')) {
            l->wrong = true;
        } else if (i > 0 && next_is(l, close)) {
            break; /* a comma behind the last one */
        } else {
            cvi_buf_puts(&l->out, i ? "," : "");
            value(l, c == '{', depth + 1);
            if (c == '{' && next_is(l, ':')) {
                pairs = true;
                cvi_buf_puts(&l->out, ":");
                value(l, false, depth + 1);
            } else if (c == '{') {
                l->wrong |= pairs; /* a set has no pairs */
            }
        }
        l->wrong |= l->at >= l->end;
    }
    bool set = c == '{' && !pairs && l->out.size > begin + 1;
    if (set && !l->out.failed) {
        l->out.data[begin] = '[';
    }
    cvi_buf_puts(&l->out, c == '{' && !set ? "}" : "]");
}

cvs_status cvi_python_literal(const char *source, size_t size, json_t **out, cvs_error *err) {
    literal l = {.at = source, .end = source + size};
    cvs_error quiet = {0};
    cvs_status s = CVS_OK;
    *out = NULL;
    if (size > MAX_TEXT) {
        return CVS_OK;
    }
    value(&l, false, 0);
    skip_blanks(&l);
    if (l.out.failed) {
        s = cvi_no_memory(err, size);
    } else if (!l.wrong && l.at == l.end) {
        s = cvi_json_parse(l.out.data, l.out.size, out, &quiet);
        s = s == CVS_E_MEMORY ? cvi_no_memory(err, size) : CVS_OK;
    }
    cvi_buf_free(&l.out);
    return s;
}
