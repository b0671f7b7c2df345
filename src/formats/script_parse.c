/* SPDX-License-Identifier: MIT
 * script_parse.c - the text of TorchScript into a tree: classes, methods, assignments, calls, attributes, lists, if, for, while, return;
 * whatever else Python has is a located error. Types are skipped.
 */
#include <ctype.h>
#include <stdlib.h>

#include "formats/script.h"

enum {
    MAX_DEPTH = 100,
    MAX_CHAIN = 1000
}; /* a chain (a.b.c, a + b + c) is followed back as deeply as it is long */

typedef enum token_kind { T_END, T_LINE, T_INDENT, T_NAME, T_INT, T_FLOAT, T_STRING, T_SIGN } token_kind;

typedef struct token {
    token_kind kind;
    const char *text; /* name or string (terminated copy), or sign */
    int64_t i;
    double f;
    int line, column; /* column: spaces before the first token of a line */
} token;

typedef struct parser {
    cvi_arena *arena;
    const char *text;
    size_t size, at;
    int line, column, depth, open; /* open: brackets, in which lines do not end */
    bool fresh;                    /* at the beginning of a line */
    token token;
    script_expr none;
    cvs_status status;
    cvs_error *err;
} parser;

static void fail(parser *p, cvs_status s) {
    if (p->status == CVS_OK) {
        p->status = cvi_at_line(p->err, s, p->token.line ? p->token.line : p->line, 0);
    }
    p->token = (token){.kind = T_END};
}

static void unexpected(parser *p) {
    if (p->status != CVS_OK) { /* the first fault is the one to tell */
        return;
    }
    fail(p, cvi_fail(p->err, CVS_E_UNSUPPORTED, "the code is not understood at \"%.40s\"",
                     p->token.text ? p->token.text : ""));
}

static void *take(parser *p, int64_t n, size_t size) {
    void *m = cvi_arena_alloc(p->arena, CVI_MAX(n, 1), size);
    if (!m) {
        fail(p, cvi_no_memory(p->err, 0));
    }
    return m;
}

/* ---- tokens ------------------------------------------------------------------------------------------------ */

static int peek(const parser *p, size_t ahead) {
    return p->at + ahead < p->size ? (unsigned char)p->text[p->at + ahead] : -1;
}

static void read_number(parser *p) {
    char digits[64];
    size_t n = 0;
    bool real = false;
    while (n + 1 < sizeof digits && (isalnum(peek(p, 0)) || peek(p, 0) == '.' ||
                                     ((peek(p, 0) == '-' || peek(p, 0) == '+') && n > 0 &&
                                      (digits[n - 1] == 'e' || digits[n - 1] == 'E')))) {
        digits[n] = (char)peek(p, 0);
        real |= digits[n] == '.' || digits[n] == 'e' || digits[n] == 'E';
        n++;
        p->at++;
    }
    digits[n] = 0;
    char *end = NULL;
    p->token.kind = real ? T_FLOAT : T_INT;
    if (real) {
        p->token.f = strtod(digits, &end);
    } else {
        p->token.i = strtoll(digits, &end, 10);
        p->token.f = (double)p->token.i;
    }
    if (*end) {
        unexpected(p);
    }
}

static void read_string(parser *p) {
    int quote = peek(p, 0);
    size_t start = ++p->at;
    while (peek(p, 0) >= 0 && peek(p, 0) != quote && peek(p, 0) != '\n') {
        p->at += peek(p, 0) == '\\' && peek(p, 1) >= 0 ? 2 : 1;
    }
    if (peek(p, 0) != quote) {
        unexpected(p);
        return;
    }
    p->token.kind = T_STRING;
    p->token.text = cvi_arena_strn(p->arena, p->text + start, p->at - start);
    p->at++;
    if (!p->token.text) {
        fail(p, cvi_no_memory(p->err, 0));
    }
}

/* Spaces, comments and, inside brackets, the ends of lines. */
static void skip_space(parser *p) {
    for (;;) {
        int c = peek(p, 0);
        if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && p->open > 0)) {
            p->line += c == '\n';
            p->column++;
            p->at++;
        } else if (c == '#') {
            while (peek(p, 0) >= 0 && peek(p, 0) != '\n') {
                p->at++;
            }
        } else {
            return;
        }
    }
}

static void next(parser *p) {
    if (p->status != CVS_OK) {
        p->token = (token){.kind = T_END};
        return;
    }
    if (p->fresh) {
        p->column = 0;
    }
    skip_space(p);
    while (p->fresh && peek(p, 0) == '\n') { /* empty lines */
        p->at++;
        p->line++;
        p->column = 0;
        skip_space(p);
    }
    int c = peek(p, 0);
    p->token = (token){.kind = T_SIGN, .line = p->line, .column = p->fresh ? p->column : -1};
    p->fresh = false;
    if (c < 0) {
        p->token.kind = T_END;
        p->token.column = 0;
    } else if (c == '\n') {
        p->token.kind = T_LINE;
        p->at++;
        p->line++;
        p->fresh = true;
    } else if (isdigit(c) || (c == '.' && isdigit(peek(p, 1)))) {
        read_number(p);
    } else if (c == '"' || c == '\'') {
        read_string(p);
    } else if (isalpha(c) || c == '_') {
        size_t start = p->at;
        while (isalnum(peek(p, 0)) || peek(p, 0) == '_') {
            p->at++;
        }
        p->token.kind = T_NAME;
        p->token.text = cvi_arena_strn(p->arena, p->text + start, p->at - start);
    } else {
        static const char *const signs[] = {"->", "==", "!=", "<=", ">=", "//", "**", "(", ")",
                                            "[",  "]",  "{",  "}",  ",",  ":",  ".",  "=", "<",
                                            ">",  "+",  "-",  "*",  "/",  "%",  "&",  "|"};
        for (int i = 0; i < CVI_COUNT(signs) && !p->token.text; i++) {
            size_t n = strlen(signs[i]);
            if (p->size - p->at >= n && memcmp(p->text + p->at, signs[i], n) == 0) {
                p->token.text = signs[i];
                p->at += n;
                p->open += strchr("([{", c) != NULL;
                p->open -= strchr(")]}", c) != NULL && p->open > 0;
            }
        }
    }
    if (p->token.kind == T_NAME || p->token.kind == T_SIGN) {
        if (!p->token.text) {
            unexpected(p);
        }
    }
}

static bool is(const parser *p, const char *text) {
    return (p->token.kind == T_NAME || p->token.kind == T_SIGN) && p->token.text &&
           strcmp(p->token.text, text) == 0;
}

static bool accept(parser *p, const char *text) {
    bool yes = is(p, text);
    if (yes) {
        next(p);
    }
    return yes;
}

static void expect(parser *p, const char *text) {
    if (!accept(p, text)) {
        unexpected(p);
    }
}

static const char *expect_name(parser *p) {
    const char *name = p->token.text;
    if (p->token.kind != T_NAME) {
        unexpected(p);
        return "";
    }
    next(p);
    return name;
}

/* ---- growing lists ------------------------------------------------------------------------------------------- */

/* Room for one more pointer: lists double when their length is a power of two. */
static void **more(parser *p, void **list, int n) {
    if (n > 0 && (n & (n - 1)) != 0) {
        return list;
    }
    void **bigger = take(p, n > 0 ? 2 * (int64_t)n : 1, sizeof(void *));
    if (bigger && n > 0) {
        memcpy(bigger, list, (size_t)n * sizeof(void *));
    }
    return bigger;
}

#define ADD(p, list, n, item)                                                                                \
    do {                                                                                                     \
        void **more_ = more((p), (void **)(list), (n));                                                      \
        if (more_) {                                                                                         \
            (list) = (void *)more_;                                                                          \
            more_[(n)++] = (void *)(uintptr_t)(item);                                                        \
        }                                                                                                    \
    } while (0)

/* ---- expressions ---------------------------------------------------------------------------------------------- */

static script_expr *expression(parser *p);

static script_expr *make(parser *p, script_expr_kind kind) {
    script_expr *e = take(p, 1, sizeof *e);
    if (e) {
        e->kind = kind;
        e->line = p->token.line;
    }
    return e ? e : &p->none; /* after a failure nothing looks at it */
}

/* Items up to the closing sign; names where "key=value" is allowed. */
static void items(parser *p, script_expr *e, const char *close, bool named) {
    int n_names = 0;
    while (p->status == CVS_OK && !is(p, close)) {
        script_expr *item = expression(p);
        const char *name = NULL;
        if (named && item->kind == SCRIPT_NAME && accept(p, "=")) {
            name = item->text;
            item = expression(p);
        }
        if (p->status != CVS_OK) {
            return;
        }
        ADD(p, e->item, e->n, item);
        if (named) {
            ADD(p, e->names, n_names, name);
        }
        if (!accept(p, ",") && !is(p, close)) {
            unexpected(p);
        }
    }
    expect(p, close);
}

static script_expr *dictionary(parser *p) {
    script_expr *e = make(p, SCRIPT_DICT);
    while (p->status == CVS_OK && !is(p, "}")) {
        for (int k = 0; k < 2; k++) {
            script_expr *item = expression(p);
            if (p->status != CVS_OK) {
                return e;
            }
            ADD(p, e->item, e->n, item);
            if (k == 0) {
                expect(p, ":");
            }
        }
        if (!accept(p, ",") && !is(p, "}")) {
            unexpected(p);
        }
    }
    expect(p, "}");
    return e;
}

static script_expr *atom(parser *p) {
    token t = p->token;
    script_expr *e = NULL;
    if (t.kind == T_INT || t.kind == T_FLOAT || t.kind == T_STRING || t.kind == T_NAME) {
        e = make(p, t.kind == T_INT     ? SCRIPT_INT
                    : t.kind == T_FLOAT ? SCRIPT_FLOAT
                    : t.kind == T_NAME  ? SCRIPT_NAME
                                        : SCRIPT_STRING);
        if (p->status == CVS_OK) {
            e->i = t.i;
            e->f = t.f;
            e->text = t.text;
        }
        next(p);
    } else if (accept(p, "[")) {
        e = make(p, SCRIPT_LIST);
        items(p, e, "]", false);
    } else if (accept(p, "{")) {
        e = dictionary(p);
    } else if (accept(p, "(")) {
        e = make(p, SCRIPT_TUPLE);
        items(p, e, ")", false);
        e = e->n == 1 ? e->item[0] : e;
    } else {
        unexpected(p);
        e = make(p, SCRIPT_TUPLE);
    }
    return e;
}

static void too_deep(parser *p) {
    if (p->status != CVS_OK) {
        return;
    }
    fail(p, cvi_fail(p->err, CVS_E_LIMIT, "the code is nested too deeply"));
}

static script_expr *postfix(parser *p) {
    script_expr *e = atom(p);
    for (int links = 0; p->status == CVS_OK; links++) {
        if (links > MAX_CHAIN) {
            too_deep(p);
            break;
        }
        script_expr *outer = NULL;
        if (accept(p, ".")) {
            outer = make(p, SCRIPT_ATTR);
            const char *name = expect_name(p);
            if (p->status == CVS_OK) {
                outer->text = name;
            }
        } else if (accept(p, "(")) {
            outer = make(p, SCRIPT_CALL);
            items(p, outer, ")", true);
        } else if (accept(p, "[")) {
            outer = make(p, SCRIPT_INDEX);
            items(p, outer, "]", false);
        } else {
            break;
        }
        if (p->status == CVS_OK) {
            outer->left = e;
            e = outer;
        }
    }
    return e;
}

static int level(const parser *p) {
    static const char *const levels[][8] = {
        {"or"},     {"and"},    {"==", "!=", "<", ">", "<=", ">=", "is", "in"},
        {"|", "&"}, {"+", "-"}, {"*", "/", "//", "%"},
        {"**"}};
    for (int i = 0; i < CVI_COUNT(levels); i++) {
        for (int k = 0; k < 8 && levels[i][k]; k++) {
            if (is(p, levels[i][k])) {
                return i;
            }
        }
    }
    return -1;
}

static script_expr *binary(parser *p, int from);

static script_expr *unary(parser *p) {
    const char *op = is(p, "-") ? "-" : is(p, "not") ? "not" : NULL;
    if (!op) {
        return postfix(p);
    }
    next(p);
    if (++p->depth > MAX_DEPTH) {
        too_deep(p);
        return postfix(p); /* which stops at once */
    }
    script_expr *e = make(p, SCRIPT_UNARY);
    script_expr *inner = strcmp(op, "not") == 0 ? binary(p, 2) : unary(p);
    p->depth--;
    if (p->status == CVS_OK) {
        e->text = op;
        e->left = inner;
        if (*op == '-' && (inner->kind == SCRIPT_INT || inner->kind == SCRIPT_FLOAT)) {
            inner->i = inner->i == INT64_MIN ? 0 : -inner->i;
            inner->f = -inner->f;
            return inner;
        }
    }
    return e;
}

static script_expr *binary(parser *p, int from) {
    if (++p->depth > MAX_DEPTH) {
        too_deep(p);
    }
    script_expr *left = unary(p);
    int links = 0;
    for (int l = level(p); l >= from && p->status == CVS_OK; l = level(p)) {
        if (++links > MAX_CHAIN) {
            too_deep(p);
            break;
        }
        const char *op = p->token.text;
        next(p);
        script_expr *e = make(p, SCRIPT_BINARY);
        if (strcmp(op, "is") == 0 && accept(p, "not")) {
            op = "is not";
        }
        script_expr *right = binary(p, l + 1);
        if (p->status == CVS_OK) {
            e->text = op;
            e->left = left;
            e->right = right;
            left = e;
        }
    }
    p->depth--;
    return left;
}

static script_expr *expression(parser *p) {
    return binary(p, 0);
}

/* ---- statements --------------------------------------------------------------------------------------------------- */

/* A type after a colon or an arrow: skipped up to what may follow it. */
static void skip_type(parser *p) {
    int open = p->open;
    while (p->status == CVS_OK && p->token.kind != T_END && p->token.kind != T_LINE) {
        if (p->open <= open && (is(p, ",") || is(p, "=") || is(p, ":") || (is(p, ")") && p->open < open))) {
            return;
        }
        next(p);
    }
}

static void skip_line(parser *p) {
    while (p->token.kind != T_LINE && p->token.kind != T_END) {
        next(p);
    }
    if (p->token.kind == T_LINE) {
        next(p);
    }
}

static void end_line(parser *p) {
    if (p->token.kind == T_LINE) {
        next(p);
    } else if (p->token.kind != T_END) {
        unexpected(p);
    }
}

static void block(parser *p, int outer, script_body *out);

static void branch(parser *p, script_statement *s, int column) {
    expect(p, ":");
    end_line(p);
    block(p, column, &s->body);
    if (p->token.column == column && is(p, "else")) {
        next(p);
        expect(p, ":");
        end_line(p);
        block(p, column, &s->otherwise);
    }
}

/* One expression, or several with commas between. */
static script_expr *bare_tuple(parser *p) {
    script_expr *e = expression(p);
    if (!is(p, ",")) {
        return e;
    }
    script_expr *tuple = make(p, SCRIPT_TUPLE);
    while (p->status == CVS_OK) {
        ADD(p, tuple->item, tuple->n, e);
        if (!accept(p, ",") || p->token.kind == T_LINE) {
            break;
        }
        e = expression(p);
    }
    return tuple;
}

static void assignment(parser *p, script_statement *s) {
    script_expr *left = expression(p);
    int names = 0;
    bool tuple = false;
    const char **target = NULL;
    if (p->status == CVS_OK && (is(p, ",") || is(p, "=") || is(p, ":"))) {
        for (;;) {
            if (left->kind != SCRIPT_NAME) {
                unexpected(p);
                return;
            }
            ADD(p, target, names, left->text);
            if (!accept(p, ",")) {
                break;
            }
            tuple = true;
            if (is(p, "=")) {
                break;
            }
            left = expression(p);
            if (p->status != CVS_OK) {
                return;
            }
        }
        if (accept(p, ":")) {
            skip_type(p);
        }
        expect(p, "=");
        left = bare_tuple(p);
    }
    s->kind = SCRIPT_ASSIGN;
    s->target = target;
    s->n_targets = tuple && names == 1 ? -1 : names; /* "a, = x" unpacks one */
    s->value = left;
    end_line(p);
}

static script_statement *statement(parser *p) {
    script_statement *s = take(p, 1, sizeof *s);
    int column = p->token.column;
    if (!s) {
        return NULL;
    }
    s->line = p->token.line;
    if (accept(p, "return")) {
        s->kind = SCRIPT_RETURN;
        if (p->token.kind != T_LINE && p->token.kind != T_END) {
            s->value = bare_tuple(p);
        }
        end_line(p);
    } else if (is(p, "if") || is(p, "while")) {
        s->kind = is(p, "if") ? SCRIPT_IF : SCRIPT_WHILE;
        next(p);
        s->value = expression(p);
        branch(p, s, column);
    } else if (accept(p, "for")) {
        s->kind = SCRIPT_FOR;
        const char *name = expect_name(p);
        ADD(p, s->target, s->n_targets, name);
        expect(p, "in");
        s->value = expression(p);
        branch(p, s, column);
    } else {
        assignment(p, s);
    }
    return s;
}

/* Statements that stand further right than `outer`. */
static void block(parser *p, int outer, script_body *out) {
    int column = p->token.column;
    if (column <= outer || ++p->depth > MAX_DEPTH) {
        unexpected(p);
        return;
    }
    while (p->status == CVS_OK && p->token.kind != T_END && p->token.column == column) {
        if (is(p, "pass")) {
            skip_line(p);
            continue;
        }
        script_statement *s = statement(p);
        if (s && p->status == CVS_OK) {
            ADD(p, out->statement, out->n, s);
        }
    }
    if (p->token.column > outer) {
        unexpected(p);
    }
    p->depth--;
}

static script_function *function(parser *p, int column) {
    script_function *f = take(p, 1, sizeof *f);
    const char *name = expect_name(p);
    int n_initial = 0;
    expect(p, "(");
    while (f && p->status == CVS_OK && !is(p, ")")) {
        const char *param = expect_name(p);
        script_expr *initial = NULL;
        if (accept(p, ":")) {
            skip_type(p);
        }
        if (accept(p, "=")) {
            initial = expression(p);
        }
        if (p->status != CVS_OK) {
            return f;
        }
        ADD(p, f->param, f->n, param);
        ADD(p, f->initial, n_initial, initial);
        accept(p, ",");
    }
    expect(p, ")");
    if (accept(p, "->")) {
        skip_type(p);
    }
    expect(p, ":");
    end_line(p);
    if (f && p->status == CVS_OK) {
        f->name = name;
        block(p, column, &f->body);
    }
    return f;
}

static void class_body(parser *p, script_class *c, int outer) {
    int column = p->token.column;
    while (p->status == CVS_OK && p->token.kind != T_END && p->token.column == column && column > outer) {
        if (accept(p, "def")) {
            script_function *f = function(p, column);
            if (f && p->status == CVS_OK) {
                ADD(p, c->function, c->n, f);
            }
        } else {
            skip_line(p); /* attributes and their types */
        }
    }
}

cvs_status cvi_script_parse(cvi_arena *arena, const char *text, size_t size, script_file *out,
                            cvs_error *err) {
    parser p = {.arena = arena, .text = text, .size = size, .line = 1, .fresh = true, .err = err};
    script_class *loose = take(&p, 1, sizeof *loose);
    next(&p);
    if (loose) {
        loose->name = "";
        ADD(&p, out->class, out->n, loose);
    }
    while (p.status == CVS_OK && p.token.kind != T_END) {
        int column = p.token.column;
        if (accept(&p, "class")) {
            script_class *c = take(&p, 1, sizeof *c);
            const char *name = expect_name(&p);
            skip_line(&p);
            if (c && p.status == CVS_OK) {
                c->name = name;
                class_body(&p, c, column);
                ADD(&p, out->class, out->n, c);
            }
        } else if (accept(&p, "def")) {
            script_function *f = function(&p, column);
            if (loose && f && p.status == CVS_OK) {
                ADD(&p, loose->function, loose->n, f);
            }
        } else {
            skip_line(&p); /* imports, constants of a module */
        }
    }
    return p.status;
}
