/* SPDX-License-Identifier: MIT
 * convnetdraw.c - reads ConvNetDraw's scripts. Grammar: lines; empty ones and those that begin with '#' are skipped; a
 * statement is NAME ( H , W , C ), a semicolon may follow; NAME in any case: input, conv, relu, pool, fullyconn,
 * softmax, or any other word for a layer of one's own. Nothing is ever evaluated.
 */
#include "draw/convnetdraw.h"

#include <ctype.h>
#include <strings.h>

#define MOST_LAYERS 4096
#define MOST_SIDE   100000000

typedef struct script {
    const char *text, *line, *at; /* all; the statement's line; where the reader is */
    int number;                   /* of the line, from 1 */
    cvs_lang lang;
    cvs_error *err;
} script;

static const char *skip_blanks(const char *p) {
    return p + strspn(p, " \t\r");
}

/* One sentence with the line, and a caret under the place. */
static cvs_status wrong(const script *s, const char *what) {
    char caret[104];
    int column = (int)(s->at - s->line), shown = (int)strcspn(s->line, "\r\n"), blank = CVI_MIN(column, 100);
    for (int i = 0; i < blank; i++) {
        caret[i] = s->line[i] == '\t' ? '\t' : ' ';
    }
    caret[blank] = '^';
    caret[blank + 1] = '\0';
    return cvi_fail(s->err, CVS_E_FORMAT, "line %d, column %d: %s\n%.*s\n%s", s->number, column + 1,
                    cvi_tr(s->lang, what), CVI_MIN(shown, 100), s->line, caret);
}

/* Moves to the next statement's line; false at the end. */
static bool next_statement(script *s, const char *from) {
    for (const char *p = from; *p != '\0'; p += *p == '\n', s->number++) {
        const char *start = skip_blanks(p);
        size_t n = strcspn(p, "\n");
        if (*p != '#' && *start != '\n' && *start != '\0') {
            s->line = p;
            s->at = start;
            return true;
        }
        p += n;
    }
    return false;
}

bool cvi_convnetdraw_match(const char *text) {
    script s = {.text = text, .number = 1};
    if (!next_statement(&s, text) || !isalpha((unsigned char)*s.at)) {
        return false;
    }
    const char *p = s.at;
    while (isalnum((unsigned char)*p) || *p == '_') {
        p++;
    }
    p = skip_blanks(p);
    return *p == '(' &&
           strcspn(s.at, "{") >= strcspn(s.at, "\n"); /* a block of our own language opens a brace */
}

static cvs_status read_number(script *s, char end, int64_t *out) {
    s->at = skip_blanks(s->at);
    if (!isdigit((unsigned char)*s->at)) {
        return wrong(s, "a whole number should stand here: name(height, width, channels)");
    }
    const char *start = s->at;
    *out = 0;
    for (; isdigit((unsigned char)*s->at); s->at++) {
        *out = CVI_MIN(*out * 10 + (*s->at - '0'), (int64_t)MOST_SIDE + 1);
    }
    if (*out < 1 || *out > MOST_SIDE) {
        s->at = start;
        return wrong(s, "a size is from 1 to 100000000");
    }
    s->at = skip_blanks(s->at);
    if (*s->at != end) {
        return wrong(s, end == ',' ? "a comma should stand here: name(height, width, channels)"
                                   : "\")\" should stand here: name(height, width, channels)");
    }
    s->at++;
    return CVS_OK;
}

static cvi_class class_of(const char *word, bool *known) {
    static const struct {
        const char *word;
        cvi_class cls;
    } words[] = {{"input", CVI_CLASS_INPUT}, {"conv", CVI_CLASS_CONV},       {"relu", CVI_CLASS_ACTIVATION},
                 {"pool", CVI_CLASS_POOL},   {"fullyconn", CVI_CLASS_DENSE}, {"softmax", CVI_CLASS_SOFTMAX}};
    *known = true;
    for (int i = 0; i < CVI_COUNT(words); i++) {
        if (strcasecmp(words[i].word, word) == 0) {
            return words[i].cls;
        }
    }
    *known = false;
    return CVI_CLASS_UNKNOWN;
}

static cvs_status read_statement(script *s, cvi_arch *a) {
    const char *word = s->at;
    if (!isalpha((unsigned char)*word) && *word != '_') {
        return wrong(s, "a layer's name should stand here, such as conv(24, 24, 8)");
    }
    while (isalnum((unsigned char)*s->at) || *s->at == '_') {
        s->at++;
    }
    size_t length = (size_t)(s->at - word);
    s->at = skip_blanks(s->at);
    if (*s->at != '(') {
        return wrong(s, "\"(\" should stand here: name(height, width, channels)");
    }
    s->at++;
    int64_t h, w, c;
    CVI_TRY(read_number(s, ',', &h));
    CVI_TRY(read_number(s, ',', &w));
    CVI_TRY(read_number(s, ')', &c));
    s->at = skip_blanks(s->at);
    s->at = skip_blanks(s->at + (*s->at == ';'));
    if (*s->at != '\n' && *s->at != '\0') {
        return wrong(s, "nothing more belongs on this line");
    }
    if (a->n_nodes >= MOST_LAYERS) {
        return wrong(s, "a script may have 4096 layers");
    }
    cvi_arch_node n = {.kind = CVI_NODE_LAYER, .layer = a->n_nodes, .groups = 1, .group = -1};
    n.op = n.word = cvi_arena_strn(a->arena, word, length);
    n.name = cvi_arena_printf(a->arena, "%.*s_%d", (int)CVI_MIN(length, 200), word, a->n_nodes + 1);
    if (n.op == NULL || n.name == NULL) {
        return cvi_no_memory(s->err, length);
    }
    n.cls = class_of(n.op, &n.known);
    n.kind = n.cls == CVI_CLASS_INPUT ? CVI_NODE_INPUT : CVI_NODE_LAYER;
    n.out = (cvi_shape){.rank = 4, .dim = {1, c, h, w}};
    n.in = a->n_nodes > 0 ? a->nodes[a->n_nodes - 1].out : n.out;
    int before = a->n_nodes - 1, box = cvi_arch_add_node(a, &n);
    if (box < 0 || (before >= 0 && cvi_arch_add_edge(a, before, box, &n.in) < 0)) {
        return cvi_no_memory(s->err, sizeof n);
    }
    return CVS_OK;
}

cvs_status cvi_arch_from_convnetdraw(const char *text, const char *name, cvs_lang lang, cvi_arch **out,
                                     cvs_error *err) {
    script s = {.text = text, .number = 1, .lang = lang, .err = err};
    cvi_arch *a = cvi_arch_new(lang, name, err);
    cvs_status status = a != NULL ? CVS_OK : CVS_E_MEMORY;
    const char *from = text;
    *out = NULL;
    while (status == CVS_OK && next_statement(&s, from)) {
        status = read_statement(&s, a);
        from = s.line + strcspn(s.line, "\n");
    }
    if (status == CVS_OK) {
        a->source = "ConvNetDraw";
        const char *input =
            a->n_nodes > 0
                ? cvi_arena_printf(a->arena, "%lldx%lldx%lld", (long long)a->nodes[0].out.dim[2],
                                   (long long)a->nodes[0].out.dim[3], (long long)a->nodes[0].out.dim[1])
                : "?";
        a->input = input != NULL ? input : "?";
        status = cvi_arch_finish(a, err);
    }
    if (status != CVS_OK) {
        cvi_arch_free(a);
        return status;
    }
    *out = a;
    return CVS_OK;
}
