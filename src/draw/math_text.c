/* SPDX-License-Identifier: MIT
 * math_text.c - labels with Greek letters, sub- and superscripts, as runs of ordinary text; unknown commands stay readable words.
 */
#include "draw/math_text.h"

#include <ctype.h>

static const struct {
    const char *command, *sign;
} signs[] = {
    {"alpha", "α"},      {"beta", "β"},   {"gamma", "γ"}, {"delta", "δ"},   {"epsilon", "ε"},
    {"varepsilon", "ε"}, {"zeta", "ζ"},   {"eta", "η"},   {"theta", "θ"},   {"iota", "ι"},
    {"kappa", "κ"},      {"lambda", "λ"}, {"mu", "μ"},    {"nu", "ν"},      {"xi", "ξ"},
    {"pi", "π"},         {"rho", "ρ"},    {"sigma", "σ"}, {"tau", "τ"},     {"upsilon", "υ"},
    {"phi", "φ"},        {"varphi", "φ"}, {"chi", "χ"},   {"psi", "ψ"},     {"omega", "ω"},
    {"Gamma", "Γ"},      {"Delta", "Δ"},  {"Theta", "Θ"}, {"Lambda", "Λ"},  {"Xi", "Ξ"},
    {"Pi", "Π"},         {"Sigma", "Σ"},  {"Phi", "Φ"},   {"Psi", "Ψ"},     {"Omega", "Ω"},
    {"cdots", "⋯"},      {"ldots", "…"},  {"dots", "…"},  {"cdot", "·"},    {"times", "×"},
    {"infty", "∞"},      {"in", "∈"},     {"sim", "∼"},   {"to", "→"},      {"leq", "≤"},
    {"geq", "≥"},        {"neq", "≠"},    {"pm", "±"},    {"partial", "∂"}, {"sum", "∑"},
    {"prod", "∏"},       {"prime", "′"},  {"ell", "ℓ"},   {"approx", "≈"},  {"mid", "|"},
    {"quad", "  "},      {"forall", "∀"}, {"star", "⋆"},  {"odot", "⊙"},    {"oplus", "⊕"},
};

/* Commands that only style what stands in braces after them. */
static bool is_style(const char *s, size_t n, bool *bold) {
    static const char *const names[] = {"mathbf", "boldsymbol", "bf",     "mathrm", "mathcal",
                                        "mathit", "text",       "mathsf", "rm",     "textrm"};
    for (int i = 0; i < CVI_COUNT(names); i++) {
        if (strlen(names[i]) == n && strncmp(names[i], s, n) == 0) {
            *bold = i < 3;
            return true;
        }
    }
    return false;
}

static const char *sign_of(const char *s, size_t n) {
    for (int i = 0; i < CVI_COUNT(signs); i++) {
        if (strlen(signs[i].command) == n && strncmp(signs[i].command, s, n) == 0) {
            return signs[i].sign;
        }
    }
    return NULL;
}

typedef struct parser {
    cvi_arena *arena;
    cvi_math *out;
    cvi_buf text; /* of the run being made */
    int level;
    bool bold, failed;
} parser;

static void flush(parser *p) {
    if (p->text.size == 0) {
        return;
    }
    cvi_math_run *bigger = cvi_arena_alloc(p->arena, p->out->n + 1, sizeof *bigger);
    char *copy = cvi_arena_strn(p->arena, p->text.data, p->text.size);
    p->failed |= !bigger || !copy;
    if (bigger && copy) {
        if (p->out->n) {
            memcpy(bigger, p->out->run, (size_t)p->out->n * sizeof *bigger);
        }
        bigger[p->out->n++] = (cvi_math_run){.text = copy, .level = p->level, .bold = p->bold};
        p->out->run = bigger;
    }
    p->text.size = 0;
}

static size_t letter(const char *s) {
    size_t n = 1;
    while (((unsigned char)s[n] & 0xc0) == 0x80) {
        n++;
    }
    return n;
}

static const char *math(parser *p, const char *s, int depth);

/* What _ or ^ or a style command acts on: {group}, \command or one letter. */
static const char *argument(parser *p, const char *s, int level, bool bold, int depth) {
    int old_level = p->level;
    bool old_bold = p->bold;
    flush(p);
    p->level = level;
    p->bold = bold;
    if (*s == '{') {
        s = math(p, s + 1, depth + 1);
        s += *s == '}';
    } else if (*s == '\\') {
        size_t n = 1;
        while (isalpha((unsigned char)s[n])) {
            n++;
        }
        const char *sign = sign_of(s + 1, n - 1);
        if (sign) {
            cvi_buf_puts(&p->text, sign);
        } else {
            cvi_buf_add(&p->text, s + 1, n - 1);
        }
        s += n;
    } else if (*s && *s != '$' && *s != '}') {
        size_t n = letter(s);
        cvi_buf_add(&p->text, s, n);
        s += n;
    }
    flush(p);
    p->level = old_level;
    p->bold = old_bold;
    return s;
}

static const char *command(parser *p, const char *s, int depth) {
    size_t n = 0;
    bool bold = false;
    while (isalpha((unsigned char)s[n])) {
        n++;
    }
    if (n == 0) { /* an escaped sign: \{ \_ \, */
        bool space = *s == ',' || *s == ';' || *s == ':' || *s == ' ';
        cvi_buf_add(&p->text, space ? " " : s, *s ? 1 : 0);
        return s + (*s != 0);
    }
    if (is_style(s, n, &bold)) {
        return argument(p, s + n, p->level, bold, depth);
    }
    const char *sign = sign_of(s, n);
    if (sign) {
        cvi_buf_puts(&p->text, sign);
    } else {
        cvi_buf_add(&p->text, s, n);
    }
    return s + n + (s[n] == ' ');
}

/* Up to the closing dollar or brace, or the end. */
static const char *math(parser *p, const char *s, int depth) {
    while (*s && *s != '$' && *s != '}') {
        if (*s == '\\') {
            s = command(p, s + 1, depth);
        } else if ((*s == '_' || *s == '^') && depth < 16) {
            s = argument(p, s + 1, *s == '_' ? -1 : 1, p->bold, depth);
        } else if (*s == '{' && depth < 16) {
            s = math(p, s + 1, depth + 1);
            s += *s == '}';
        } else {
            size_t n = letter(s);
            cvi_buf_add(&p->text, s, n);
            s += n;
        }
    }
    return s;
}

/* theta_k: a Greek word becomes its letter, what follows the first underscore stands below. */
static void bare_name(parser *p, const char *s) {
    for (int level = 0; *s; level = -1) {
        size_t n = strcspn(s, "_");
        const char *sign = sign_of(s, n);
        flush(p);
        p->level = level;
        if (sign && n > 2) {
            cvi_buf_puts(&p->text, sign);
        } else {
            cvi_buf_add(&p->text, s, n);
        }
        s += n;
        s += *s == '_' && s[1];
        if (*s == '_' && !s[1]) {
            cvi_buf_puts(&p->text, "_");
            s++;
        }
    }
}

bool cvi_math_parse(cvi_arena *arena, const char *label, bool name, cvi_math *out) {
    parser p = {.arena = arena, .out = out};
    *out = (cvi_math){0};
    if (name && !strchr(label, '$')) {
        bare_name(&p, label);
    } else {
        for (const char *s = label; *s;) {
            const char *close = *s == '$' ? strchr(s + 1, '$') : NULL;
            if (close) {
                const char *end = math(&p, s + 1, 0);
                while (*end == '}') { /* braces that close nothing */
                    end = math(&p, end + 1, 0);
                }
                s = *end == '$' ? end + 1 : end;
            } else {
                size_t n = letter(s);
                cvi_buf_add(&p.text, s, n);
                s += n;
            }
        }
    }
    flush(&p);
    bool ok = !p.failed && !p.text.failed;
    cvi_buf_free(&p.text);
    return ok;
}

static cvi_font font_of(const cvi_font *font, const cvi_math_run *run) {
    cvi_font f = *font;
    f.anchor = CVI_START;
    f.bold |= run->bold;
    if (run->level != 0) {
        f.size = CVI_MAX(CVI_MIN_TEXT, 0.7 * font->size);
    }
    return f;
}

double cvi_math_width(const cvi_math *m, const cvi_font *font) {
    double width = 0;
    for (int i = 0; i < m->n; i++) {
        cvi_font f = font_of(font, &m->run[i]);
        width += cvi_text_width(&f, m->run[i].text);
    }
    return width;
}

void cvi_math_draw(cvi_scene *s, double x, double y, const cvi_font *font, const cvi_math *m) {
    double width = cvi_math_width(m, font);
    x -= font->anchor == CVI_MIDDLE ? width / 2 : font->anchor == CVI_END ? width : 0;
    for (int i = 0; i < m->n; i++) {
        cvi_font f = font_of(font, &m->run[i]);
        double lift = m->run[i].level < 0 ? 0.22 : m->run[i].level > 0 ? -0.38 : 0;
        cvi_draw_text(s, x, y + lift * font->size, &f, m->run[i].text);
        x += cvi_text_width(&f, m->run[i].text);
    }
}
