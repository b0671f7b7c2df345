/* SPDX-License-Identifier: MIT
 * tikz.c - a scene as a LaTeX document that needs TikZ and nothing else: the article class on a page of the figure's
 * size, every coordinate computed here, colours by name in one block, a comment before every layer, names escaped.
 * Letters that pdfTeX's own fonts lack (Chinese) are typeset by XeLaTeX, LuaLaTeX or the CJKutf8 package where one of
 * these is there, and stand as code points elsewhere; text wider than the layout allows for is squeezed.
 */
#include "draw/scene.h"
#include "draw/text_width.h"

#include <ctype.h>
#include <math.h>

#define MAX_SIDE   16000.0 /* points: TeX's largest length is 16383 */
#define MAX_PIXELS 96      /* of a picture's side: larger ones are averaged down */
#define FACE       1.08 /* Computer Modern Sans looks this much smaller than the face that the table measured */

typedef struct tikz {
    const cvi_scene *scene;
    cvi_buf *out;
    cvi_color *colors; /* distinct, opaque, in order of first use */
    int n_colors, cap_colors;
    bool failed;
} tikz;

static void put(cvi_buf *out, double v) {
    double r = isfinite(v) ? round(v * 100.0) / 100.0 : 0.0;
    char text[48];
    snprintf(text, sizeof text, "%.2f", r + 0.0);
    size_t n = strlen(text);
    while (text[n - 1] == '0') {
        text[--n] = '\0';
    }
    if (text[n - 1] == '.') {
        text[n - 1] = '\0';
    }
    cvi_buf_puts(out, strcmp(text, "-0") == 0 ? "0" : text);
}

static void put_point(cvi_buf *out, double x, double y) {
    cvi_buf_puts(out, "(");
    put(out, x);
    cvi_buf_puts(out, ",");
    put(out, y);
    cvi_buf_puts(out, ")");
}

/* ---- colours ------------------------------------------------------------------------------------------- */

static int color_index(const tikz *t, cvi_color c) {
    for (int i = 0; i < t->n_colors; i++) {
        if (t->colors[i] == (c | 0xFF)) {
            return i;
        }
    }
    return -1;
}

static void need_color(tikz *t, cvi_color c) {
    if ((c & 0xFF) < 3 || color_index(t, c) >= 0) {
        return;
    }
    if (t->n_colors == t->cap_colors) {
        int wanted = t->cap_colors == 0 ? 32 : t->cap_colors * 2;
        cvi_color *p = cvi_realloc(t->colors, (size_t)t->cap_colors * sizeof *p, (size_t)wanted * sizeof *p);
        if (p == NULL) {
            t->failed = true;
            return;
        }
        t->colors = p;
        t->cap_colors = wanted;
    }
    t->colors[t->n_colors++] = c | 0xFF;
}

/* "cvsconvfill" for the theme's colours, "cvsc7" for others. */
static void put_color_name(const tikz *t, cvi_buf *out, cvi_color c) {
    const char *name = cvi_theme_variable(t->scene->theme, c | 0xFF);
    if (name == NULL) {
        cvi_buf_printf(out, "cvsc%d", color_index(t, c));
        return;
    }
    for (; *name != '\0'; name++) {
        if (*name != '-') {
            char low = (char)tolower((unsigned char)*name);
            cvi_buf_add(out, &low, 1);
        }
    }
}

static const cvi_paint *paint_of(const cvi_item *item) {
    return item->kind == CVI_ITEM_RECT   ? &item->u.rect.paint
           : item->kind == CVI_ITEM_PATH ? &item->u.path.paint
                                         : NULL;
}

static void collect_colors(tikz *t) {
    need_color(t, t->scene->theme->role[CVI_PAGE]);
    for (int64_t i = 0; i < t->scene->n_items; i++) {
        const cvi_item *item = &t->scene->items[i];
        const cvi_paint *p = paint_of(item);
        if (p != NULL) {
            need_color(t, p->fill);
            need_color(t, p->stroke);
        } else if (item->kind == CVI_ITEM_TEXT) {
            need_color(t, item->u.text.font.color);
        }
    }
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static const struct {
    uint32_t code;
    const char *tex;
} signs[] = {
    {'\\', "$\\backslash$"},
    {'{', "\\{"},
    {'}', "\\}"},
    {'$', "\\$"},
    {'&', "\\&"},
    {'#', "\\#"},
    {'%', "\\%"},
    {'_', "\\_"},
    {'^', "\\^{}"},
    {'~', "\\~{}"},
    {'<', "$<$"},
    {'>', "$>$"},
    {'|', "$|$"},
    {'"', "{''}"},
    {'-', "{-}"},
    {'`', "{`}"},
    {'\'', "{'}"},
    {',', "{,}"},
    {'?', "{?}"},
    {'!', "{!}"},
    {0xA0, "~"},
    {0xB0, "$^\\circ$"},
    {0xB1, "$\\pm$"},
    {0xB2, "$^2$"},
    {0xB3, "$^3$"},
    {0xB5, "$\\mu$"},
    {0xB7, "$\\cdot$"},
    {0xD7, "$\\times$"},
    {0xC4, "\\\"A"},
    {0xD6, "\\\"O"},
    {0xDC, "\\\"U"},
    {0xE4, "\\\"a"},
    {0xF6, "\\\"o"},
    {0xFC, "\\\"u"},
    {0xE9, "\\'e"},
    {0xE8, "\\`e"},
    {0xE1, "\\'a"},
    {0xE0, "\\`a"},
    {0xF3, "\\'o"},
    {0xED, "\\'\\i{}"},
    {0xFA, "\\'u"},
    {0xF1, "\\~n"},
    {0xE7, "\\c{c}"},
    {0xDF, "{\\ss}"},
    {0x2013, "{--}"},
    {0x2014, "{---}"},
    {0x2018, "{`}"},
    {0x2019, "{'}"},
    {0x201C, "{``}"},
    {0x201D, "{''}"},
    {0x2022, "$\\bullet$"},
    {0x2026, "\\ldots{}"},
    {0x2190, "$\\leftarrow$"},
    {0x2192, "$\\to$"},
    {0x2191, "$\\uparrow$"},
    {0x2193, "$\\downarrow$"},
    {0x2212, "$-$"},
    {0x221D, "$\\propto$"},
    {0x221E, "$\\infty$"},
    {0x2211, "$\\Sigma$"},
    {0x221A, "$\\surd$"},
    {0x2248, "$\\approx$"},
    {0x2260, "$\\ne$"},
    {0x2264, "$\\le$"},
    {0x2265, "$\\ge$"},
    {0x2295, "$\\oplus$"},
    {0x2297, "$\\otimes$"},
    {0x22EE, "$\\vdots$"},
    {0x22EF, "$\\cdots$"},
    {0x211D, "$\\mathbf{R}$"},
    {0x393, "$\\Gamma$"},
    {0x394, "$\\Delta$"},
    {0x398, "$\\Theta$"},
    {0x39B, "$\\Lambda$"},
    {0x3A3, "$\\Sigma$"},
    {0x3A6, "$\\Phi$"},
    {0x3A8, "$\\Psi$"},
    {0x3A9, "$\\Omega$"},
    {0x3B1, "$\\alpha$"},
    {0x3B2, "$\\beta$"},
    {0x3B3, "$\\gamma$"},
    {0x3B4, "$\\delta$"},
    {0x3B5, "$\\varepsilon$"},
    {0x3B6, "$\\zeta$"},
    {0x3B7, "$\\eta$"},
    {0x3B8, "$\\theta$"},
    {0x3B9, "$\\iota$"},
    {0x3BA, "$\\kappa$"},
    {0x3BB, "$\\lambda$"},
    {0x3BC, "$\\mu$"},
    {0x3BD, "$\\nu$"},
    {0x3BE, "$\\xi$"},
    {0x3C0, "$\\pi$"},
    {0x3C1, "$\\rho$"},
    {0x3C3, "$\\sigma$"},
    {0x3C4, "$\\tau$"},
    {0x3C5, "$\\upsilon$"},
    {0x3C6, "$\\varphi$"},
    {0x3C7, "$\\chi$"},
    {0x3C8, "$\\psi$"},
    {0x3C9, "$\\omega$"},
};

/* What stands for a code point in every TeX; NULL: nothing does. */
static const char *tex_of(uint32_t code) {
    for (int i = 0; i < CVI_COUNT(signs); i++) {
        if (signs[i].code == code) {
            return signs[i].tex;
        }
    }
    return NULL;
}

/* Text in TeX's words; a run of letters that TeX's own fonts lack becomes \cvsother{them}{[their code points]}. */
static void put_tex(cvi_buf *out, const char *text) {
    while (*text != '\0') {
        const char *start = text;
        uint32_t code = cvi_code_next(&text);
        const char *tex = tex_of(code);
        if (tex != NULL) {
            cvi_buf_puts(out, tex);
        } else if (code < 0x7F) {
            char c = (char)code;
            cvi_buf_add(out, &c, 1);
        } else {
            const char *end = text;
            for (const char *p = text; *p != '\0'; end = p) {
                uint32_t next = cvi_code_next(&p);
                if (next < 0x7F || tex_of(next) != NULL) {
                    break;
                }
            }
            cvi_buf_puts(out, "\\cvsother{");
            cvi_buf_add(out, start, (size_t)(end - start));
            cvi_buf_puts(out, "}{[");
            for (const char *p = start; p < end;) {
                cvi_buf_printf(out, p > start ? " %04X" : "%04X", (unsigned)cvi_code_next(&p));
            }
            cvi_buf_puts(out, "]}");
            text = end;
        }
    }
}

static bool needs_other(const cvi_scene *s) {
    for (int64_t i = 0; i < s->n_items; i++) {
        const char *p = s->items[i].kind == CVI_ITEM_TEXT ? s->items[i].u.text.string : "";
        while (*p != '\0') {
            uint32_t code = cvi_code_next(&p);
            if (code >= 0x7F && tex_of(code) == NULL) {
                return true;
            }
        }
    }
    return false;
}

static void put_text(const tikz *t, const cvi_item *item) {
    static const char *const anchors[] = {"base west", "base", "base east"};
    const cvi_font *f = &item->u.text.font;
    cvi_buf *out = t->out;
    cvi_buf_puts(out, "  \\cvstext{");
    put(out, item->x);
    cvi_buf_puts(out, "}{");
    put(out, item->y);
    cvi_buf_printf(out, "}{%s}{", anchors[f->anchor]);
    put(out, -f->angle);
    cvi_buf_puts(out, "}{");
    put(out, item->w);
    cvi_buf_printf(out, "}{%s\\fontsize{", f->mono ? "\\ttfamily" : "\\sffamily");
    put(out, f->size * FACE);
    cvi_buf_puts(out, "}{");
    put(out, f->size * 1.2);
    cvi_buf_printf(out, "}%s\\selectfont\\color{", f->bold ? "\\bfseries" : "");
    put_color_name(t, out, f->color);
    cvi_buf_puts(out, "}}{");
    put_tex(out, item->u.text.string);
    cvi_buf_puts(out, "}\n");
}

/* ---- shapes -------------------------------------------------------------------------------------------- */

static void put_outline(const tikz *t, const cvi_item *item) {
    cvi_buf *out = t->out;
    if (item->kind == CVI_ITEM_RECT) {
        if (item->u.rect.radius > 0.0) {
            cvi_buf_puts(out, "[rounded corners=");
            put(out, fmin(item->u.rect.radius, fmin(item->w, item->h) / 2));
            cvi_buf_puts(out, "bp] ");
        }
        put_point(out, item->x, item->y);
        cvi_buf_puts(out, " rectangle ");
        put_point(out, item->x + item->w, item->y + item->h);
        return;
    }
    for (int64_t i = 0; i < item->u.path.count; i++) {
        const cvi_step *step = &t->scene->steps[item->u.path.first + i];
        const double *p = step->p;
        if (step->op == 'Z') {
            cvi_buf_puts(out, " -- cycle");
        } else if (step->op == 'C') {
            cvi_buf_puts(out, " .. controls ");
            put_point(out, p[0], p[1]);
            cvi_buf_puts(out, " and ");
            put_point(out, p[2], p[3]);
            cvi_buf_puts(out, " .. ");
            put_point(out, p[4], p[5]);
        } else {
            cvi_buf_puts(out, step->op == 'L' ? " -- " : i > 0 ? " " : "");
            put_point(out, p[0], p[1]);
        }
    }
}

static void put_opacity(cvi_buf *out, const char *what, cvi_color c) {
    if ((c & 0xFF) != 0xFF) {
        cvi_buf_printf(out, ",%s opacity=", what);
        put(out, (c & 0xFF) / 255.0);
    }
}

static void put_hatch(const tikz *t, const cvi_item *item, const cvi_paint *p) {
    static const char *const names[] = {"", "rising", "falling", "cross", "dots", "level", "upright"};
    cvi_buf *out = t->out;
    double x0 = floor(item->x / 4) * 4, y0 = floor(item->y / 4) * 4;
    double w = ceil((item->x + item->w - x0) / 4) * 4, h = ceil((item->y + item->h - y0) / 4) * 4;
    cvi_buf_puts(out, "  \\begin{scope}\\clip ");
    put_outline(t, item);
    cvi_buf_printf(out, ";\\cvshatch%s{", names[p->hatch]);
    put_color_name(t, out, p->stroke);
    cvi_buf_puts(out, "}{");
    put(out, x0);
    cvi_buf_puts(out, "}{");
    put(out, y0);
    cvi_buf_puts(out, "}{");
    put(out, w);
    cvi_buf_puts(out, "}{");
    put(out, h);
    cvi_buf_puts(out, "}\\end{scope}\n");
}

static void put_shape(const tikz *t, const cvi_item *item) {
    const cvi_paint *p = paint_of(item);
    cvi_buf *out = t->out;
    bool filled = (p->fill & 0xFF) >= 3, outlined = (p->stroke & 0xFF) >= 3 && p->width > 0.0;
    bool hatched = p->hatch != CVI_HATCH_NONE && (p->stroke & 0xFF) != 0;
    /* Fill, then hatch, then outline; one command where nothing lies between. */
    for (int pass = 0; pass < 2; pass++) {
        bool fill = filled && (pass == 0), draw = outlined && (pass == 1 || !hatched);
        if (pass == 1 && !hatched) {
            break;
        }
        if (pass == 1) {
            put_hatch(t, item, p);
        }
        if (!fill && !draw) {
            continue;
        }
        cvi_buf_puts(out, "  \\path[");
        if (fill) {
            cvi_buf_puts(out, "fill=");
            put_color_name(t, out, p->fill);
            put_opacity(out, "fill", p->fill);
        }
        if (draw) {
            cvi_buf_puts(out, fill ? ",draw=" : "draw=");
            put_color_name(t, out, p->stroke);
            put_opacity(out, "draw", p->stroke);
            cvi_buf_puts(out, ",line width=");
            put(out, p->width);
            cvi_buf_puts(out, "bp");
            if (p->dash[0] > 0.0) {
                cvi_buf_puts(out, ",dash pattern=on ");
                put(out, p->dash[0]);
                cvi_buf_puts(out, "bp off ");
                put(out, p->dash[1]);
                cvi_buf_puts(out, "bp");
            }
            cvi_buf_puts(out, p->round ? ",line cap=round,line join=round" : "");
        }
        cvi_buf_puts(out, "] ");
        put_outline(t, item);
        cvi_buf_puts(out, ";\n");
    }
}

/* ---- pictures: TikZ has none of its own, so runs of equal colour become bars ------------------------------ */

/* The mean of some pixels in 32 steps (longer runs); clear ones do not count: false where all are. */
static bool mean_color(const cvi_item *item, int64_t y0, int64_t y1, int64_t x0, int64_t x1,
                       uint32_t rgb[3]) {
    uint64_t sum[3] = {0, 0, 0}, n = 0;
    int ch = item->u.image.channels;
    for (int64_t y = y0; y < y1; y++) {
        for (int64_t x = x0; x < x1; x++) {
            const uint8_t *p = item->u.image.pixels + (y * item->u.image.width + x) * ch;
            cvi_color c = ch == 1 ? item->u.image.palette[p[0]]
                                  : (cvi_color)p[0] << 24 | (cvi_color)p[1] << 16 | (cvi_color)p[2] << 8;
            uint32_t alpha = ch == 1 ? c & 0xFF : ch == 4 ? p[3] : 0xFF;
            for (int k = 0; k < 3 && alpha > 127; k++) {
                sum[k] += c >> (24 - 8 * k) & 0xFF;
            }
            n += alpha > 127;
        }
    }
    for (int k = 0; k < 3; k++) {
        rgb[k] = n > 0 ? (uint32_t)(sum[k] / n) & 0xF8 : 2;
    }
    return n > 0;
}

static void put_bar(const tikz *t, const uint32_t rgb[3], double x0, double y0, double x1, double y1) {
    const double at[4] = {x0, y0, x1, y1};
    cvi_buf_printf(t->out, "  \\cvsbar{%u,%u,%u}", (unsigned)rgb[0], (unsigned)rgb[1], (unsigned)rgb[2]);
    for (int i = 0; i < 4; i++) {
        cvi_buf_puts(t->out, "{");
        put(t->out, at[i]);
        cvi_buf_puts(t->out, "}");
    }
    cvi_buf_puts(t->out, "\n");
}

static void put_image(const tikz *t, const cvi_item *item) {
    int64_t w = CVI_MIN(item->u.image.width, MAX_PIXELS), h = CVI_MIN(item->u.image.height, MAX_PIXELS);
    double dx = item->w / (double)w, dy = item->h / (double)h;
    for (int64_t y = 0; y < h; y++) {
        uint32_t run[3] = {0, 0, 0}, rgb[3] = {0, 0, 0};
        int64_t start = 0;
        bool shown = false;
        for (int64_t x = 0; x <= w; x++) {
            bool now =
                x < w && mean_color(item, y * item->u.image.height / h, (y + 1) * item->u.image.height / h,
                                    x * item->u.image.width / w, (x + 1) * item->u.image.width / w, rgb);
            if (x > 0 && (x == w || now != shown || memcmp(rgb, run, sizeof run) != 0)) {
                if (shown) {
                    put_bar(t, run, item->x + (double)start * dx, item->y + (double)y * dy,
                            item->x + (double)x * dx, item->y + (double)(y + 1) * dy);
                }
                start = x;
            }
            shown = now;
            memcpy(run, rgb, sizeof run);
        }
    }
}

/* ---- the document ---------------------------------------------------------------------------------------- */

static const char macros[] =
    "\\ifdefined\\cvsbox\\else\n"
    "\\newsavebox\\cvsbox\n"
    "% x, y, anchor, angle, largest width, font, text\n"
    "\\newcommand\\cvstext[7]{\\node[inner sep=0pt,outer sep=0pt,anchor=#3,rotate=#4] at (#1,#2) {%\n"
    "  \\sbox\\cvsbox{#6#7}\\ifdim\\wd\\cvsbox>#5bp\\resizebox{#5bp}{\\height}{\\usebox\\cvsbox}"
    "\\else\\usebox\\cvsbox\\fi};}\n"
    "\\newcommand\\cvsbar[5]{\\definecolor{cvsbar}{RGB}{#1}\\fill[cvsbar] (#2,#3) rectangle (#4,#5);}\n"
    "% hatches over the current clip: colour, x, y, width, height\n"
    "\\newcommand\\cvshatchrising[5]{\\foreach \\d in {0,4,...,1000}{\\pgfmathparse{\\d<=#4+#5?1:0}"
    "\\ifnum\\pgfmathresult=0 \\breakforeach\\fi\n"
    "  \\draw[#1,opacity=.55,line width=.5bp] (#2+\\d,#3) -- ++(-#5,#5);}}\n"
    "\\newcommand\\cvshatchfalling[5]{\\foreach \\d in {0,4,...,1000}{\\pgfmathparse{\\d<=#4+#5?1:0}"
    "\\ifnum\\pgfmathresult=0 \\breakforeach\\fi\n"
    "  \\draw[#1,opacity=.55,line width=.5bp] (#2+#4-\\d,#3) -- ++(#5,#5);}}\n"
    "\\newcommand\\cvshatchcross[5]{\\cvshatchrising{#1}{#2}{#3}{#4}{#5}\\cvshatchfalling{#1}{#2}{#3}{#4}{#5}"
    "}\n"
    "\\newcommand\\cvshatchlevel[5]{\\foreach \\d in {2,6,...,1000}{\\pgfmathparse{\\d<=#5?1:0}"
    "\\ifnum\\pgfmathresult=0 \\breakforeach\\fi\n"
    "  \\draw[#1,opacity=.55,line width=.5bp] (#2,#3+\\d) -- ++(#4,0);}}\n"
    "\\newcommand\\cvshatchupright[5]{\\foreach \\d in {2,6,...,1000}{\\pgfmathparse{\\d<=#4?1:0}"
    "\\ifnum\\pgfmathresult=0 \\breakforeach\\fi\n"
    "  \\draw[#1,opacity=.55,line width=.5bp] (#2+\\d,#3) -- ++(0,#5);}}\n"
    "\\newcommand\\cvshatchdots[5]{\\foreach \\d in {1,5,...,1000}{\\pgfmathparse{\\d<=#5?1:0}"
    "\\ifnum\\pgfmathresult=0 \\breakforeach\\fi\n"
    "  \\draw[#1,opacity=.55,line width=.5bp,dash pattern=on .8bp off 3.2bp] (#2+1,#3+\\d) -- ++(#4,0);\n"
    "  \\draw[#1,opacity=.55,line width=.5bp,dash pattern=on .8bp off 3.2bp] (#2+3,#3+\\d+2) -- ++(#4,0);}}\n"
    "\\fi\n";

/* Letters beyond TeX's own: with a Unicode engine through fontspec, else CJKutf8, else their code points. */
static const char other_document[] =
    "\\ifdefined\\XeTeXversion\\usepackage{fontspec}\\newfontfamily\\cvsface{Noto Sans CJK SC}\\fi\n"
    "\\ifdefined\\directlua\\usepackage{fontspec}\\newfontfamily\\cvsface{Noto Sans CJK SC}\\fi\n"
    "\\ifdefined\\cvsface\\else\\IfFileExists{CJKutf8.sty}{\\usepackage{CJKutf8}}{}\\fi\n";
static const char other_macro[] =
    "\\ifdefined\\cvsother\\else\n"
    "\\ifdefined\\cvsface\\newcommand\\cvsother[2]{{\\cvsface #1}}\n"
    "\\else\\ifdefined\\CJKfamily\\newcommand\\cvsother[2]{\\begin{CJK}{UTF8}{gbsn}#1\\end{CJK}}\n"
    "\\else\\newcommand\\cvsother[2]{#2}\\fi\\fi\n"
    "\\fi\n";

static void put_comment(cvi_buf *out, const char *a, const char *b) {
    cvi_buf_puts(out, "  % ");
    cvi_buf_printf(out, "%.160s%s%.160s\n", a != NULL ? a : "", a != NULL && b != NULL ? ": " : "",
                   b != NULL ? b : "");
}

static void put_length(cvi_buf *out, const char *name, double v) {
    cvi_buf_printf(out, "\\setlength{\\%s}{", name);
    put(out, v);
    cvi_buf_puts(out, "bp}");
}

static void put_head(const tikz *t, bool other) {
    cvi_buf *out = t->out;
    cvi_buf_puts(out, "% Written by Convscope " CVS_VERSION ". pdflatex with TikZ compiles it (Debian: "
                      "texlive-latex-base, texlive-pictures).\n");
    if (other) {
        cvi_buf_puts(
            out,
            "% It holds letters that pdfTeX's own fonts lack: xelatex or lualatex with Noto Sans CJK SC, "
            "or pdflatex with CJKutf8, sets them;\n% elsewhere their code points stand in brackets.\n");
    }
    if (!t->scene->fragment) {
        cvi_buf_puts(out, "\\RequirePackage{fix-cm}\n\\documentclass{article}\n\\usepackage{tikz}\n");
        cvi_buf_puts(out, other ? other_document : "");
        put_length(out, "paperwidth", t->scene->width);
        put_length(out, "paperheight", t->scene->height);
        cvi_buf_puts(
            out,
            "\n\\ifdefined\\pdfpagewidth\\pdfpagewidth=\\paperwidth\\pdfpageheight=\\paperheight\\fi\n"
            "\\ifdefined\\pagewidth\\pagewidth=\\paperwidth\\pageheight=\\paperheight\\fi\n"
            "\\hoffset=-1in\\voffset=-1in\\oddsidemargin=0pt\\topmargin=0pt\\headheight=0pt\\headsep=0pt\n"
            "\\topskip=0pt\\parindent=0pt\\parskip=0pt\\textwidth=\\paperwidth\\textheight=\\paperheight\n"
            "\\maxdepth=0pt\\footskip=0pt\\pagestyle{empty}\n");
    } else {
        cvi_buf_puts(
            out,
            "% For a document of your own: \\usepackage{tikz} in its preamble, then \\input this file.\n");
    }
    cvi_buf_puts(out, macros);
    cvi_buf_puts(out, other ? other_macro : "");
    for (int i = 0; i < t->n_colors; i++) {
        cvi_buf_puts(out, "\\definecolor{");
        put_color_name(t, out, t->colors[i]);
        cvi_buf_printf(out, "}{HTML}{%06X}\n", (unsigned)(t->colors[i] >> 8));
    }
}

static void put_items(const tikz *t) {
    for (int64_t i = 0; i < t->scene->n_items; i++) {
        const cvi_item *item = &t->scene->items[i];
        switch (item->kind) {
        case CVI_ITEM_RECT:
        case CVI_ITEM_PATH:
            put_shape(t, item);
            break;
        case CVI_ITEM_TEXT:
            put_text(t, item);
            break;
        case CVI_ITEM_IMAGE:
            put_image(t, item);
            break;
        case CVI_ITEM_BEGIN:
            if (item->u.group.id != NULL || item->u.group.title != NULL) {
                put_comment(t->out, item->u.group.id, item->u.group.title);
            }
            break;
        case CVI_ITEM_END:
            break;
        }
    }
}

cvs_status cvi_scene_tikz(const cvi_scene *s, double scale, cvi_buf *out, cvs_error *err) {
    tikz t = {.scene = s, .out = out};
    (void)scale;
    if (s->failed) {
        return cvi_no_memory(err, (size_t)s->n_items * sizeof(cvi_item));
    }
    if (!(s->width <= MAX_SIDE) || !(s->height <= MAX_SIDE)) {
        return cvi_fail(
            err, CVS_E_LIMIT,
            "the figure is %.0f x %.0f points; TeX can set %.0f a side; fold it or fit it to a page",
            s->width, s->height, MAX_SIDE);
    }
    collect_colors(&t);
    put_head(&t, needs_other(s));
    cvi_buf_puts(out, s->fragment ? "" : "\\begin{document}\n");
    cvi_buf_puts(out, "\\begin{tikzpicture}[x=1bp,y=-1bp]\n");
    put_comment(out, s->title, NULL);
    cvi_buf_puts(out, "  \\path[");
    if (!s->fragment) {
        cvi_buf_puts(out, "fill=");
        put_color_name(&t, out, s->theme->role[CVI_PAGE]);
        cvi_buf_puts(out, ",");
    }
    cvi_buf_puts(out, "use as bounding box] (0,0) rectangle ");
    put_point(out, s->width, s->height);
    cvi_buf_puts(out, ";\n");
    put_items(&t);
    cvi_buf_puts(out, "\\end{tikzpicture}%\n");
    cvi_buf_puts(out, s->fragment ? "" : "\\end{document}\n");
    cvi_free(t.colors);
    return t.failed || out->failed ? cvi_no_memory(err, out->size) : CVS_OK;
}
