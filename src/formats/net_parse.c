/* SPDX-License-Identifier: MIT
 * net_parse.c - text of an architecture into statements. Statements end at a line's end or '|', bodies stand in braces, '#' begins
 * a comment. Nothing is looked up here except the few words that own a body (repeat, residual, parallel, block, train, skip).
 */
#include <ctype.h>
#include <stdlib.h>

#include "formats/net.h"

typedef struct parser {
    cvi_arena *arena;
    const char *text;
    size_t size, at;
    int line, column;
    net_token token; /* the one to look at */
    int64_t depth, max_depth;
    bool colons; /* ':' belongs to words: inside train { }, where "mnist:DIR" is one */
    net_file *file;
    cvs_error *err;
} parser;

static cvs_status fail_at(parser *p, const net_token *t, cvs_status s) {
    return cvi_at_line(p->err, s, t->line, t->column);
}

static int peek(const parser *p) {
    return p->at < p->size ? (unsigned char)p->text[p->at] : -1;
}

static void step(parser *p) {
    if (p->text[p->at] == '\n') {
        p->line++;
        p->column = 0;
    }
    p->column += ((unsigned char)p->text[p->at] & 0xc0) != 0x80; /* columns count characters */
    p->at++;
}

static bool is_word(const parser *p, int c) {
    return c > 127 || (c == ':' && p->colons) || (c > 32 && c < 127 && !strchr("{}(),:|#\"", c));
}

static cvs_status take_text(parser *p, size_t start, size_t end) {
    p->token.text = cvi_arena_strn(p->arena, p->text + start, end - start);
    return p->token.text ? CVS_OK : cvi_no_memory(p->err, end - start);
}

/* Escapes of a string, in place: \" \\ \n \r \t \xHH; any other backslash stands for itself. */
static void unescape(char *s) {
    static const char names[] = "\"\\nrt", bytes[] = "\"\\\n\r\t";
    char *to = s;
    while (*s) {
        const char *known = *s == '\\' && s[1] ? memchr(names, s[1], sizeof names - 1) : NULL;
        if (known) {
            *to++ = bytes[known - names];
            s += 2;
        } else if (*s == '\\' && s[1] == 'x' && isxdigit((unsigned char)s[2]) &&
                   isxdigit((unsigned char)s[3])) {
            const char hex[3] = {s[2], s[3], 0};
            long byte = strtol(hex, NULL, 16);
            *to++ = (char)(byte ? byte : ' '); /* a zero would end the text */
            s += 4;
        } else {
            *to++ = *s++;
        }
    }
    *to = 0;
}

static cvs_status next_string(parser *p) {
    net_token at = p->token;
    step(p);
    size_t start = p->at;
    while (peek(p) >= 0 && peek(p) != '"' && peek(p) != '\n') {
        if (peek(p) == '\\' && p->at + 1 < p->size && p->text[p->at + 1] != '\n') {
            step(p); /* whatever is escaped does not end the string */
        }
        step(p);
    }
    if (peek(p) != '"') {
        return fail_at(p, &at, cvi_fail(p->err, CVS_E_FORMAT, "this string has no closing quote"));
    }
    p->token.kind = NET_STRING;
    char *text = cvi_arena_strn(p->arena, p->text + start, p->at - start);
    if (!text) {
        return cvi_no_memory(p->err, p->at - start);
    }
    unescape(text);
    p->token.text = text;
    step(p);
    return CVS_OK;
}

static cvs_status next(parser *p) {
    while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\r' || peek(p) == '#') {
        bool comment = peek(p) == '#';
        while (comment && peek(p) >= 0 && peek(p) != '\n') {
            step(p);
        }
        if (!comment) {
            step(p);
        }
    }
    p->token = (net_token){.kind = NET_END, .line = p->line, .column = p->column};
    int c = peek(p);
    if (c < 0) {
        return CVS_OK;
    }
    static const char marks[] = "\n|{}(),:";
    static const int kinds[] = {NET_BREAK, NET_BREAK, NET_OPEN,  NET_CLOSE,
                                NET_LEFT,  NET_RIGHT, NET_COMMA, NET_COLON};
    const char *mark = memchr(marks, c, sizeof marks - 1);
    if (mark && !is_word(p, c)) {
        p->token.kind = kinds[mark - marks];
        step(p);
        return CVS_OK;
    }
    if (c == '"') {
        return next_string(p);
    }
    if (!is_word(p, c)) {
        return fail_at(p, &p->token,
                       cvi_fail(p->err, CVS_E_FORMAT, "byte 0x%02x does not belong into text", (unsigned)c));
    }
    size_t start = p->at;
    while (is_word(p, peek(p))) {
        step(p);
    }
    p->token.kind = p->at - start == 2 && memcmp(p->text + start, "->", 2) == 0 ? NET_ARROW : NET_WORD;
    return take_text(p, start, p->at);
}

/* Appends one element to an arena array that doubles. */
static void *append(parser *p, void *list, int *n, size_t size) {
    bool full = (*n & (*n - 1)) == 0; /* 0, 1, 2, 4, 8 ... */
    if (full) {
        char *bigger = cvi_arena_alloc(p->arena, *n ? 2 * (int64_t)*n : 1, size);
        if (!bigger) {
            return NULL;
        }
        if (*n) {
            memcpy(bigger, list, (size_t)*n * size);
        }
        list = bigger;
    }
    ++*n;
    return list;
}

#define APPEND(p, list, n, value)                                                                            \
    do {                                                                                                     \
        void *bigger_ = append(p, list, &(n), sizeof *(list));                                               \
        if (!bigger_) {                                                                                      \
            return cvi_no_memory((p)->err, sizeof *(list));                                                  \
        }                                                                                                    \
        (list) = bigger_;                                                                                    \
        (list)[(n)-1] = (value);                                                                             \
    } while (0)

static cvs_status parse_body(parser *p, net_body *body);

static cvs_status expect(parser *p, int kind, const char *what) {
    if ((int)p->token.kind != kind) {
        return fail_at(
            p, &p->token,
            cvi_fail(p->err, CVS_E_FORMAT, "%s expected", cvi_tr(p->err ? p->err->lang : CVS_EN, what)));
    }
    return next(p);
}

/* "{ ... } { ... }": bodies behind an item; the second opens on the line where the first closes. */
static cvs_status parse_bodies(parser *p, net_item *item) {
    while (p->token.kind == NET_OPEN) {
        net_body body = {0};
        if (++p->depth > p->max_depth) {
            return fail_at(p, &p->token,
                           cvi_fail(p->err, CVS_E_LIMIT, "braces are nested more than %lld deep, the limit",
                                    (long long)p->max_depth));
        }
        CVI_TRY(next(p));
        CVI_TRY(parse_body(p, &body));
        CVI_TRY(expect(p, NET_CLOSE, "a closing brace"));
        p->depth--;
        APPEND(p, item->bodies, item->n_bodies, body);
    }
    return CVS_OK;
}

static cvs_status parse_arguments(parser *p, net_token **list, int *n) {
    CVI_TRY(next(p)); /* over '(' */
    while (p->token.kind == NET_WORD || p->token.kind == NET_STRING) {
        APPEND(p, *list, *n, p->token);
        CVI_TRY(next(p));
        if (p->token.kind != NET_COMMA) {
            break;
        }
        CVI_TRY(next(p));
    }
    return expect(p, NET_RIGHT, "a closing parenthesis");
}

/* An argument belongs to the word before it; a word of letters begins a new operation, except the known flags. */
static bool is_argument(const char *s) {
    static const char *const flags[] = {"bias",    "nobias",   "same",    "valid",  "ceil", "countpad",
                                        "nearest", "bilinear", "ordered", "hidden", "maps"};
    for (int i = 0; i < CVI_COUNT(flags); i++) {
        if (strcmp(s, flags[i]) == 0) {
            return true;
        }
    }
    if (strchr(s, '=') || strchr(s, '[') || isdigit((unsigned char)s[0]) || s[0] == '-' || s[0] == '.' ||
        s[0] == '$') {
        return true;
    }
    return strchr("kspdgx", s[0]) && (isdigit((unsigned char)s[1]) || s[1] == '$');
}

static cvs_status parse_item(parser *p, net_item *item) {
    item->word = p->token;
    CVI_TRY(next(p));
    if (p->token.kind == NET_LEFT) {
        CVI_TRY(parse_arguments(p, &item->args, &item->n_args));
    }
    bool all = strcmp(item->word.text, "classes") == 0 || strcmp(item->word.text, "name") == 0 ||
               strcmp(item->word.text, "preprocess") == 0 || strcmp(item->word.text, "op") == 0;
    while (p->token.kind == NET_STRING ||
           (p->token.kind == NET_WORD && (all || is_argument(p->token.text)))) {
        APPEND(p, item->args, item->n_args, p->token);
        CVI_TRY(next(p));
        if (all && p->token.kind == NET_COMMA) {
            CVI_TRY(next(p));
        }
    }
    return parse_bodies(p, item);
}

static cvs_status parse_from(parser *p, net_statement *s) {
    do {
        CVI_TRY(next(p));
        if (p->token.kind != NET_WORD && p->token.kind != NET_STRING) {
            return fail_at(p, &p->token,
                           cvi_fail(p->err, CVS_E_FORMAT, "the name of a layer expected after \"from\""));
        }
        APPEND(p, s->from, s->n_from, p->token);
        CVI_TRY(next(p));
    } while (p->token.kind == NET_COMMA);
    return CVS_OK;
}

static cvs_status parse_block(parser *p) {
    net_block block = {0};
    CVI_TRY(next(p));
    block.name = p->token;
    CVI_TRY(expect(p, NET_WORD, "the block's name"));
    if (p->token.kind == NET_LEFT) {
        CVI_TRY(parse_arguments(p, &block.params, &block.n_params));
    }
    net_item item = {.word = block.name};
    CVI_TRY(parse_bodies(p, &item));
    if (item.n_bodies != 1) {
        return fail_at(
            p, &block.name,
            cvi_fail(p->err, CVS_E_FORMAT, "block %.60s needs one body in braces", block.name.text));
    }
    block.body = item.bodies[0];
    APPEND(p, p->file->blocks, p->file->n_blocks, block);
    return CVS_OK;
}

static cvs_status parse_skip(parser *p) {
    net_skip skip = {0};
    CVI_TRY(next(p));
    skip.from = p->token;
    CVI_TRY(expect(p, NET_WORD, "the name of a layer"));
    CVI_TRY(expect(p, NET_ARROW, "an arrow \"->\""));
    skip.to = p->token;
    CVI_TRY(expect(p, NET_WORD, "the name of a layer"));
    APPEND(p, p->file->skips, p->file->n_skips, skip);
    return CVS_OK;
}

/* "key argument argument" of a training block, up to its line's end or '|'. */
static cvs_status parse_setting(parser *p) {
    cvi_recipe_statement setting = {0};
    while (p->token.kind == NET_WORD || p->token.kind == NET_STRING) {
        cvi_recipe_word word = {p->token.text, p->token.line, p->token.column};
        APPEND(p, setting.words, setting.n, word);
        CVI_TRY(next(p));
        if (p->token.kind == NET_COMMA) {
            CVI_TRY(next(p));
        }
    }
    if (setting.n > 0) {
        APPEND(p, p->file->train.statements, p->file->train.n, setting);
    }
    if (p->token.kind == NET_BREAK) {
        return next(p);
    }
    if (p->token.kind != NET_CLOSE && p->token.kind != NET_END) {
        return fail_at(p, &p->token,
                       cvi_fail(p->err, CVS_E_FORMAT,
                                "this does not belong here; a statement ends with its line or with \"|\""));
    }
    return CVS_OK;
}

/* A training block is kept as words: what they mean is the trainer's business. */
static cvs_status parse_train(parser *p) {
    net_token at = p->token;
    if (p->file->has_train) {
        return fail_at(p, &at, cvi_fail(p->err, CVS_E_FORMAT, "there is a second train block"));
    }
    p->file->has_train = true;
    CVI_TRY(next(p));
    p->colons = true;
    CVI_TRY(expect(p, NET_OPEN, "an opening brace"));
    while (p->token.kind != NET_CLOSE) {
        if (p->token.kind == NET_END) {
            return fail_at(p, &at, cvi_fail(p->err, CVS_E_FORMAT, "this block is not closed"));
        }
        CVI_TRY(parse_setting(p));
    }
    p->colons = false;
    return next(p);
}

static cvs_status parse_statement(parser *p, net_body *body) {
    net_statement s = {0};
    if (p->token.kind == NET_WORD) {
        if (strcmp(p->token.text, "block") == 0) {
            return parse_block(p);
        }
        if (strcmp(p->token.text, "skip") == 0) {
            return parse_skip(p);
        }
        if (strcmp(p->token.text, "train") == 0) {
            return parse_train(p);
        }
    }
    bool quoted = p->token.kind == NET_STRING; /* a label of any characters */
    while (p->token.kind == NET_WORD || quoted) {
        if (!quoted && strcmp(p->token.text, "from") == 0 && s.n_items == 0) {
            CVI_TRY(parse_from(p, &s));
            continue;
        }
        net_item item = {0};
        CVI_TRY(parse_item(p, &item));
        if (p->token.kind == NET_COLON && s.n_items == 0 && !s.label.text && item.n_args == 0 &&
            item.n_bodies == 0) {
            s.label = item.word;
            quoted = false;
            CVI_TRY(next(p));
            continue;
        }
        if (quoted) {
            return fail_at(p, &item.word, cvi_fail(p->err, CVS_E_FORMAT, "a colon expected after a label"));
        }
        APPEND(p, s.items, s.n_items, item);
    }
    if (s.n_items == 0) {
        return fail_at(p, &p->token,
                       cvi_fail(p->err, CVS_E_FORMAT, "an operation expected, such as conv, maxpool or fc"));
    }
    APPEND(p, body->statements, body->n, s);
    return CVS_OK;
}

static cvs_status parse_body(parser *p, net_body *body) {
    for (;;) {
        while (p->token.kind == NET_BREAK) {
            CVI_TRY(next(p));
        }
        if (p->token.kind == NET_CLOSE || p->token.kind == NET_END) {
            return CVS_OK;
        }
        if (p->token.kind != NET_WORD && p->token.kind != NET_STRING) {
            return fail_at(
                p, &p->token,
                cvi_fail(p->err, CVS_E_FORMAT, "an operation expected, such as conv, maxpool or fc"));
        }
        CVI_TRY(parse_statement(p, body));
        if (p->token.kind != NET_BREAK && p->token.kind != NET_CLOSE && p->token.kind != NET_END) {
            return fail_at(
                p, &p->token,
                cvi_fail(p->err, CVS_E_FORMAT,
                         "this does not belong here; a statement ends with its line or with \"|\""));
        }
    }
}

cvs_status cvi_net_parse(cvi_arena *arena, const char *text, size_t size, int64_t max_depth, net_file *out,
                         cvs_error *err) {
    parser p = {.arena = arena,
                .text = text,
                .size = size,
                .line = 1,
                .column = 1,
                .max_depth = max_depth,
                .file = out,
                .err = err};
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        p.at = 3;
    }
    CVI_TRY(next(&p));
    CVI_TRY(parse_body(&p, &out->body));
    if (p.token.kind != NET_END) {
        return fail_at(&p, &p.token, cvi_fail(err, CVS_E_FORMAT, "this brace closes nothing"));
    }
    return CVS_OK;
}
