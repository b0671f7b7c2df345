/* SPDX-License-Identifier: MIT
 * pgm_text.c - reads the text of a graphical model: words, strings and braces, one statement a line or between bars. Every mistake
 * is told with its line and column.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "draw/pgm.h"

enum { MOST_NODES = 2000, MOST_DEPTH = 16 };

typedef enum token_kind { T_END, T_BREAK, T_WORD, T_STRING, T_OPEN, T_CLOSE, T_ARROW, T_LINE } token_kind;

typedef struct token {
    token_kind kind;
    const char *text;
    int line, column;
} token;

typedef struct parser {
    cvi_pgm *p;
    const char *at;
    int line, column, depth;
    token token;
    cvs_error *err;
} parser;

static cvs_status fail_at(parser *r, const token *t, cvs_status s) {
    return cvi_at_line(r->err, s, t->line, t->column);
}

static void step(parser *r) {
    if (*r->at == '\n') {
        r->line++;
        r->column = 0;
    }
    r->column += ((unsigned char)*r->at & 0xc0) != 0x80;
    r->at++;
}

static bool is_word(char c) {
    return (unsigned char)c > 127 || (c > 32 && !strchr("{}|#\",;", c));
}

static cvs_status take(parser *r, const char *start, const char *end) {
    r->token.text = cvi_arena_strn(r->p->arena, start, (size_t)(end - start));
    return r->token.text ? CVS_OK : cvi_no_memory(r->err, (size_t)(end - start));
}

static cvs_status next(parser *r) {
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\r' || *r->at == ',' || *r->at == '#') {
        bool comment = *r->at == '#';
        while (comment && *r->at && *r->at != '\n') {
            step(r);
        }
        if (!comment) {
            step(r);
        }
    }
    char c = *r->at;
    r->token = (token){.kind = T_END, .text = "", .line = r->line, .column = r->column};
    if (!c) {
        return CVS_OK;
    }
    static const char marks[] = "\n|;{}";
    static const token_kind kinds[] = {T_BREAK, T_BREAK, T_BREAK, T_OPEN, T_CLOSE};
    const char *mark = strchr(marks, c), *start = r->at;
    if (mark) {
        r->token.kind = kinds[mark - marks];
        step(r);
        return CVS_OK;
    }
    if (c == '"') {
        step(r);
        start = r->at;
        while (*r->at && *r->at != '"' && *r->at != '\n') {
            step(r);
        }
        if (*r->at != '"') {
            return fail_at(r, &r->token, cvi_fail(r->err, CVS_E_FORMAT, "this string has no closing quote"));
        }
        r->token.kind = T_STRING;
        CVI_TRY(take(r, start, r->at));
        step(r);
        return CVS_OK;
    }
    if (!is_word(c)) {
        return fail_at(
            r, &r->token,
            cvi_fail(r->err, CVS_E_FORMAT, "byte 0x%02x does not belong into text", (unsigned char)c));
    }
    do {
        step(r);
    } while (is_word(*r->at));
    size_t n = (size_t)(r->at - start);
    r->token.kind = n == 2 && strncmp(start, "->", 2) == 0   ? T_ARROW
                    : n == 2 && strncmp(start, "--", 2) == 0 ? T_LINE
                                                             : T_WORD;
    return take(r, start, r->at);
}

/* Room for one more in an arena array of n that doubles; NULL = out of memory. */
static void *grow(parser *r, void *list, int n, size_t size) {
    if (n & (n - 1)) {
        return list;
    }
    char *bigger = cvi_arena_alloc(r->p->arena, n ? 2 * (int64_t)n : 1, size);
    if (bigger && n) {
        memcpy(bigger, list, (size_t)n * size);
    }
    return bigger;
}

static int find(const cvi_pgm *p, const char *id) {
    for (int i = 0; i < p->n_nodes; i++) {
        if (strcmp(p->nodes[i].id, id) == 0) {
            return i;
        }
    }
    return -1;
}

static cvs_status need(parser *r, int *node) {
    *node = r->token.kind == T_WORD ? find(r->p, r->token.text) : -1;
    if (r->token.kind != T_WORD) {
        return fail_at(r, &r->token, cvi_fail(r->err, CVS_E_FORMAT, "the name of a node expected"));
    }
    if (*node < 0) {
        return fail_at(r, &r->token,
                       cvi_fail(r->err, CVS_E_NOT_FOUND, "no node above is called \"%.60s\"", r->token.text));
    }
    return next(r);
}

/* "at 1.5,2": two numbers, one token each (the comma only separates). */
static cvs_status read_place(parser *r, cvi_pgm_node *node) {
    for (int k = 0; k < 2; k++) {
        CVI_TRY(next(r));
        char *end = NULL;
        node->at[k] = r->token.kind == T_WORD ? strtod(r->token.text, &end) : 0;
        if (!end || *end || !(fabs(node->at[k]) <= 1000)) {
            return fail_at(r, &r->token,
                           cvi_fail(r->err, CVS_E_FORMAT, "at needs two numbers up to 1000: at 1.5,2"));
        }
    }
    node->placed = true;
    return next(r);
}

static cvs_status read_node(parser *r) {
    cvi_pgm *p = r->p;
    if (r->token.kind != T_WORD) {
        return fail_at(r, &r->token, cvi_fail(r->err, CVS_E_FORMAT, "the name of a node expected"));
    }
    if (find(p, r->token.text) >= 0) {
        return fail_at(
            r, &r->token,
            cvi_fail(r->err, CVS_E_FORMAT, "there is a second node called \"%.60s\"", r->token.text));
    }
    if (p->n_nodes == MOST_NODES) {
        return fail_at(r, &r->token,
                       cvi_fail(r->err, CVS_E_LIMIT, "more than %d nodes, the limit", MOST_NODES));
    }
    cvi_pgm_node node = {.id = r->token.text, .plate = -1, .line = r->token.line, .column = r->token.column};
    CVI_TRY(next(r));
    while (r->token.kind == T_WORD || r->token.kind == T_STRING) {
        static const char *const kinds[] = {"latent", "observed", "fixed", "alt"};
        bool known = r->token.kind == T_STRING;
        if (known) {
            node.label = r->token.text;
        }
        for (int k = 0; !known && k < 4; k++) {
            if (strcmp(r->token.text, kinds[k]) == 0) {
                node.kind = (cvi_pgm_kind)k;
                known = true;
            }
        }
        if (!known && strcmp(r->token.text, "at") == 0) {
            CVI_TRY(read_place(r, &node));
            continue;
        }
        if (!known && (strcmp(r->token.text, "box") == 0 || strcmp(r->token.text, "ellipse") == 0)) {
            node.box = r->token.text[0] == 'b';
            known = true;
        }
        if (!known) {
            return fail_at(r, &r->token,
                           cvi_fail(r->err, CVS_E_FORMAT,
                                    "\"%.60s\" is none of latent, observed, fixed, alt, box, ellipse, at",
                                    r->token.text));
        }
        CVI_TRY(next(r));
    }
    cvi_pgm_node *bigger = grow(r, p->nodes, p->n_nodes, sizeof *bigger);
    if (!bigger) {
        return cvi_no_memory(r->err, sizeof *bigger);
    }
    p->nodes = bigger;
    p->nodes[p->n_nodes++] = node;
    return CVS_OK;
}

/* "a -> b -> c "label"": one edge per arrow, the label on the last. */
static cvs_status read_edge(parser *r) {
    cvi_pgm *p = r->p;
    int from, to;
    CVI_TRY(need(r, &from));
    if (r->token.kind != T_ARROW && r->token.kind != T_LINE) {
        return fail_at(r, &r->token,
                       cvi_fail(r->err, CVS_E_FORMAT, "an arrow \"->\" or a line \"--\" expected"));
    }
    while (r->token.kind == T_ARROW || r->token.kind == T_LINE) {
        bool directed = r->token.kind == T_ARROW;
        CVI_TRY(next(r));
        token at = r->token;
        CVI_TRY(need(r, &to));
        if (to == from) {
            return fail_at(r, &at,
                           cvi_fail(r->err, CVS_E_FORMAT, "an edge from a node to itself cannot be drawn"));
        }
        cvi_pgm_edge *bigger = grow(r, p->edges, p->n_edges, sizeof *bigger);
        if (!bigger) {
            return cvi_no_memory(r->err, sizeof *bigger);
        }
        p->edges = bigger;
        p->edges[p->n_edges++] = (cvi_pgm_edge){.from = from, .to = to, .directed = directed};
        from = to;
    }
    if (r->token.kind == T_STRING) {
        p->edges[p->n_edges - 1].label = r->token.text;
        return next(r);
    }
    return CVS_OK;
}

static cvs_status add_member(parser *r, int plate, int node) {
    cvi_pgm_plate *q = &r->p->plates[plate];
    int *bigger = grow(r, q->nodes, q->n, sizeof *bigger);
    if (!bigger) {
        return cvi_no_memory(r->err, sizeof *bigger);
    }
    q->nodes = bigger;
    q->nodes[q->n++] = node;
    return CVS_OK;
}

static cvs_status read_plate(parser *r, int parent) {
    cvi_pgm *p = r->p;
    cvi_pgm_plate plate = {.label = "", .parent = parent, .line = r->token.line, .column = r->token.column};
    if (r->depth == MOST_DEPTH) {
        return fail_at(
            r, &r->token,
            cvi_fail(r->err, CVS_E_LIMIT, "plates are nested more than %d deep, the limit", MOST_DEPTH));
    }
    if (r->token.kind == T_STRING) {
        plate.label = r->token.text;
        CVI_TRY(next(r));
    }
    if (r->token.kind != T_OPEN) {
        return fail_at(r, &r->token, cvi_fail(r->err, CVS_E_FORMAT, "plate \"label\" { nodes } expected"));
    }
    cvi_pgm_plate *bigger = grow(r, p->plates, p->n_plates, sizeof *bigger);
    if (!bigger) {
        return cvi_no_memory(r->err, sizeof *bigger);
    }
    int index = p->n_plates++;
    p->plates = bigger;
    p->plates[index] = plate;
    CVI_TRY(next(r));
    r->depth++;
    while (r->token.kind != T_CLOSE) {
        if (r->token.kind == T_BREAK) {
            CVI_TRY(next(r));
        } else if (r->token.kind == T_WORD && strcmp(r->token.text, "plate") == 0) {
            CVI_TRY(next(r));
            CVI_TRY(read_plate(r, index));
        } else {
            int node;
            token at = r->token;
            if (at.kind == T_END) {
                return fail_at(r, &at, cvi_fail(r->err, CVS_E_FORMAT, "a closing brace expected"));
            }
            CVI_TRY(need(r, &node));
            if (p->nodes[node].plate >= 0) {
                return fail_at(
                    r, &at,
                    cvi_fail(r->err, CVS_E_UNSUPPORTED,
                             "node \"%.60s\" is in another plate already; plates nest, they do not overlap",
                             p->nodes[node].id));
            }
            p->nodes[node].plate = index;
            for (int q = index; q >= 0; q = p->plates[q].parent) {
                CVI_TRY(add_member(r, q, node));
            }
        }
    }
    r->depth--;
    if (p->plates[index].n == 0) {
        return fail_at(r, &r->token, cvi_fail(r->err, CVS_E_FORMAT, "this plate holds no node"));
    }
    return next(r);
}

static cvs_status read_direction(parser *r) {
    bool right = strcmp(r->token.text, "lr") == 0;
    if (r->token.kind != T_WORD || (!right && strcmp(r->token.text, "tb") != 0)) {
        return fail_at(r, &r->token, cvi_fail(r->err, CVS_E_FORMAT, "direction is lr or tb"));
    }
    r->p->direction = right ? CVI_PGM_RIGHT : CVI_PGM_DOWN;
    return next(r);
}

static cvs_status read_statement(parser *r) {
    token word = r->token;
    if (word.kind != T_WORD) {
        return fail_at(r, &word,
                       cvi_fail(r->err, CVS_E_FORMAT, "node, edge, plate, direction or title expected"));
    }
    CVI_TRY(next(r));
    if (strcmp(word.text, "node") == 0) {
        return read_node(r);
    }
    if (strcmp(word.text, "edge") == 0) {
        return read_edge(r);
    }
    if (strcmp(word.text, "plate") == 0) {
        return read_plate(r, -1);
    }
    if (strcmp(word.text, "direction") == 0) {
        return read_direction(r);
    }
    if (strcmp(word.text, "title") == 0 && r->token.kind == T_STRING) {
        r->p->title = r->token.text;
        return next(r);
    }
    return fail_at(r, &word,
                   cvi_fail(r->err, CVS_E_FORMAT, "node, edge, plate, direction or title expected"));
}

bool cvi_pgm_match(const char *text) {
    static const char *const words[] = {"node", "edge", "plate", "direction", "title"};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
    }
    while (isspace((unsigned char)*text) || *text == '#' || *text == '|') {
        text += *text == '#' ? strcspn(text, "\n") : 1;
    }
    size_t n = strcspn(text, " \t");
    for (int i = 0; i < CVI_COUNT(words); i++) {
        if (text[n] && strlen(words[i]) == n && strncmp(text, words[i], n) == 0) {
            return true;
        }
    }
    return false;
}

/* Labels as runs of text, now that all of them are known. */
static cvs_status parse_labels(cvi_pgm *p, cvs_error *err) {
    bool ok = true;
    for (int i = 0; i < p->n_nodes; i++) {
        cvi_pgm_node *n = &p->nodes[i];
        ok = ok && cvi_math_parse(p->arena, n->label ? n->label : n->id, n->label == NULL, &n->math);
    }
    for (int i = 0; i < p->n_edges; i++) {
        ok = ok &&
             (!p->edges[i].label || cvi_math_parse(p->arena, p->edges[i].label, false, &p->edges[i].math));
    }
    for (int i = 0; i < p->n_plates; i++) {
        ok = ok && cvi_math_parse(p->arena, p->plates[i].label, false, &p->plates[i].math);
    }
    return ok ? CVS_OK : cvi_no_memory(err, 0);
}

cvs_status cvi_pgm_parse(cvi_arena *arena, const char *text, cvi_pgm *out, cvs_error *err) {
    *out = (cvi_pgm){.arena = arena};
    parser r = {.p = out, .at = text, .line = 1, .column = 1, .err = err};
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) {
        r.at += 3;
    }
    CVI_TRY(next(&r));
    while (r.token.kind != T_END) {
        if (r.token.kind == T_BREAK) {
            CVI_TRY(next(&r));
            continue;
        }
        CVI_TRY(read_statement(&r));
        if (r.token.kind != T_BREAK && r.token.kind != T_END) {
            return fail_at(
                &r, &r.token,
                cvi_fail(err, CVS_E_FORMAT,
                         "this does not belong here; a statement ends with its line or with \"|\""));
        }
    }
    if (out->n_nodes == 0) {
        return cvi_fail(err, CVS_E_FORMAT, "the text describes no nodes");
    }
    int placed = 0;
    for (int i = 0; i < out->n_nodes; i++) {
        placed += out->nodes[i].placed;
    }
    for (int i = 0; placed > 0 && i < out->n_nodes; i++) {
        if (!out->nodes[i].placed) {
            return cvi_at_line(err,
                               cvi_fail(err, CVS_E_FORMAT,
                                        "node \"%.60s\" has no place: give \"at\" to every node or to none",
                                        out->nodes[i].id),
                               out->nodes[i].line, out->nodes[i].column);
        }
    }
    return parse_labels(out, err);
}
