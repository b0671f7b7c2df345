/* SPDX-License-Identifier: MIT
 * style_table.c - the style "table": layers with shapes, parameters, arithmetic, memory and receptive field, as aligned text,
 * Markdown, LaTeX (booktabs), CSV, JSON or HTML.
 */
#include "draw/arch_table.h"
#include "draw/text_width.h"

#include <stdlib.h>

static bool in_use(const cvi_table *t, int c) {
    for (int i = 0; i < t->n; i++) {
        if (t->rows[i].cell[c][0] != '\0') {
            return true;
        }
    }
    return false;
}

/* ---- aligned text and Markdown ----------------------------------------------------------------------------------- */

/* Columns on a terminal: wide characters count twice, control characters were never let in. */
static int columns_of(const char *text) {
    int n = 0;
    while (*text != '\0') {
        n += cvi_is_wide(cvi_code_next(&text)) ? 2 : 1;
    }
    return n;
}

/* A cell without anything that could break its line or the table. */
static void clean_cell(const cvi_row *row, int c, bool markdown, cvi_buf *out) {
    out->size = 0;
    if (c == CVI_COL_NAME) {
        for (int i = 0; i < row->depth; i++) {
            cvi_buf_puts(out, markdown ? "&nbsp;&nbsp;" : "  ");
        }
        if (markdown && row->kind != CVI_ROW_LAYER) {
            cvi_buf_puts(out, "**");
        }
    }
    size_t n = cvi_text_clean(row->cell[c], NULL), first = out->size;
    char *text = cvi_malloc(n + 1);
    out->failed = out->failed || text == NULL;
    if (text == NULL) {
        return;
    }
    cvi_text_clean(row->cell[c], text);
    for (const char *p = text; *p != '\0'; p++) {
        if (markdown && strchr("|\\`*_<>[]", *p) != NULL) {
            cvi_buf_add(out, "\\", 1);
        }
        cvi_buf_add(out, p, 1);
    }
    cvi_free(text);
    if (markdown && c == CVI_COL_NAME && row->kind != CVI_ROW_LAYER) {
        cvi_buf_puts(out, out->size > first ? "**" : "");
    }
    cvi_buf_puts(out, "");
}

static void pad(cvi_buf *out, int n, const char *with) {
    for (int i = 0; i < n; i++) {
        cvi_buf_puts(out, with);
    }
}

static void aligned(const cvi_table *t, bool markdown, cvi_buf *out) {
    int width[CVI_N_COLUMNS] = {0};
    cvi_buf cell = {0};
    cvs_lang lang = t->arch->lang;
    for (int c = 0; c < CVI_N_COLUMNS; c++) {
        width[c] = in_use(t, c) ? columns_of(cvi_column_title((cvi_column)c, lang)) : -1;
        for (int i = 0; width[c] >= 0 && i < t->n; i++) {
            clean_cell(&t->rows[i], c, markdown, &cell);
            width[c] = CVI_MAX(width[c], cell.data != NULL ? columns_of(cell.data) : 0);
        }
    }
    for (int i = -1; i <= t->n; i++) { /* head, rows; the rule after the head where i == t->n is left out */
        if (i == t->n) {
            break;
        }
        for (int c = 0; c < CVI_N_COLUMNS; c++) {
            if (width[c] < 0) {
                continue;
            }
            const char *text = cvi_column_title((cvi_column)c, lang);
            if (i >= 0) {
                clean_cell(&t->rows[i], c, markdown, &cell);
                text = cell.data != NULL ? cell.data : "";
            }
            bool right = cvi_column_is_number((cvi_column)c);
            int spaces = width[c] - columns_of(text);
            cvi_buf_puts(out, markdown ? "| " : "");
            pad(out, right ? spaces : 0, " ");
            cvi_buf_puts(out, text);
            pad(out, right ? 0 : spaces, " ");
            cvi_buf_puts(out, markdown ? " " : "  ");
        }
        while (!markdown && out->size > 0 && out->data[out->size - 1] == ' ') {
            out->size--;
        }
        cvi_buf_puts(out, markdown ? "|\n" : "\n");
        for (int c = 0; i < 0 && c < CVI_N_COLUMNS; c++) {
            if (width[c] >= 0) {
                bool right = cvi_column_is_number((cvi_column)c);
                cvi_buf_puts(out, markdown ? "|" : "");
                pad(out, width[c] + (markdown ? 1 : 0) + (markdown && !right), "-");
                cvi_buf_puts(out, markdown ? (right ? ":" : "") : "  ");
            }
        }
        cvi_buf_puts(out, i >= 0 ? "" : markdown ? "|\n" : "\n");
    }
    out->failed = out->failed || cell.failed;
    cvi_buf_free(&cell);
}

static void heading(const cvi_table *t, const cvs_draw_options *o, bool markdown, cvi_buf *out) {
    const cvi_arch *a = t->arch;
    const char *title = o->title != NULL ? o->title : a->name;
    if (title[0] != '\0') {
        cvi_row row = {.kind = CVI_ROW_LAYER};
        cvi_buf cell = {0};
        row.cell[CVI_COL_NAME] = title;
        clean_cell(&row, CVI_COL_NAME, markdown, &cell);
        cvi_buf_printf(out, markdown ? "# %s\n\n" : "%s\n", cell.data != NULL ? cell.data : "");
        out->failed = out->failed || cell.failed;
        cvi_buf_free(&cell);
    }
    cvi_buf_printf(out,
                   cvi_tr(a->lang, "input %s; %s parameters, %s MACs, activations %s, peak %s; batch %lld"),
                   a->input, cvi_count(a->params).text, cvi_count(a->macs).text,
                   cvi_short_bytes(a->bytes).text, cvi_short_bytes(a->peak_bytes).text, (long long)a->batch);
    cvi_buf_puts(out, "\n\n");
    if (a->warning != NULL) {
        cvi_buf_printf(out, cvi_tr(a->lang, "not all shapes are known: %s"), a->warning);
        cvi_buf_puts(out, "\n\n");
    }
}

static void write_text(const cvi_table *t, const cvs_draw_options *o, cvi_buf *out) {
    heading(t, o, false, out);
    aligned(t, false, out);
}

static void write_markdown(const cvi_table *t, const cvs_draw_options *o, cvi_buf *out) {
    heading(t, o, true, out);
    aligned(t, true, out);
}

/* ---- LaTeX --------------------------------------------------------------------------------------------------------- */

static void put_tex(cvi_buf *out, const char *text) {
    while (*text != '\0') {
        uint32_t code = cvi_code_next(&text);
        char bytes[4];
        if (code < 0x20 || code == 0x7F) {
            continue;
        }
        if (code < 0x80 && strchr("&%$#_{}", (int)code) != NULL) {
            cvi_buf_printf(out, "\\%c", (int)code);
        } else if (code == '\\' || code == '~' || code == '^') {
            cvi_buf_puts(out, code == '\\'  ? "\\textbackslash{}"
                              : code == '~' ? "\\textasciitilde{}"
                                            : "\\textasciicircum{}");
        } else if (code == '<' || code == '>' || code == '|') {
            cvi_buf_printf(out, "$%c$", (int)code);
        } else if (code == 0xD7) {
            cvi_buf_puts(out, "$\\times$");
        } else if (code == 0xB7) {
            cvi_buf_puts(out, "$\\cdot$");
        } else {
            cvi_buf_add(out, bytes, (size_t)cvi_code_put(code, bytes));
        }
    }
}

static void write_latex(const cvi_table *t, const cvs_draw_options *o, cvi_buf *out) {
    cvs_lang lang = t->arch->lang;
    if (!o->fragment) {
        cvi_buf_puts(out, "% needs \\usepackage{booktabs}\n");
    }
    cvi_buf_puts(out, "\\begin{tabular}{@{}");
    for (int c = 0; c < CVI_N_COLUMNS; c++) {
        if (in_use(t, c)) {
            cvi_buf_puts(out, cvi_column_is_number((cvi_column)c) ? "r" : "l");
        }
    }
    cvi_buf_puts(out, "@{}}\n\\toprule\n");
    for (int i = -1; i < t->n; i++) {
        const cvi_row *row = i >= 0 ? &t->rows[i] : NULL;
        const char *between = "";
        if (row != NULL && (row->kind == CVI_ROW_TOTAL || i == 0)) {
            cvi_buf_puts(out, "\\midrule\n");
        }
        for (int c = 0; c < CVI_N_COLUMNS; c++) {
            if (!in_use(t, c)) {
                continue;
            }
            cvi_buf_puts(out, between);
            between = " & ";
            bool strong = row != NULL && row->kind != CVI_ROW_LAYER && c == CVI_COL_NAME;
            if (row != NULL && c == CVI_COL_NAME && row->depth > 0) {
                cvi_buf_printf(out, "\\hspace{%dem}", row->depth);
            }
            cvi_buf_puts(out, strong ? "\\textbf{" : "");
            put_tex(out, row != NULL ? row->cell[c] : cvi_column_title((cvi_column)c, lang));
            cvi_buf_puts(out, strong ? "}" : "");
        }
        cvi_buf_puts(out, " \\\\\n");
    }
    cvi_buf_puts(out, "\\bottomrule\n\\end{tabular}\n");
}

/* ---- CSV, JSON ------------------------------------------------------------------------------------------------------- */

static void put_csv(cvi_buf *out, const char *text) {
    bool quote = strpbrk(text, "\",\r\n") != NULL;
    /* a spreadsheet must not take a name for a formula */
    quote = quote || (text[0] != '\0' && strchr("=+-@\t", text[0]) != NULL);
    cvi_buf_puts(out, quote ? "\"" : "");
    cvi_buf_puts(out, text[0] != '\0' && strchr("=+-@\t", text[0]) != NULL ? "'" : "");
    for (const char *p = text; *p != '\0'; p++) {
        cvi_buf_puts(out, *p == '"' ? "\"" : "");
        cvi_buf_add(out, p, 1);
    }
    cvi_buf_puts(out, quote ? "\"" : "");
}

/* Numbers without separators: this is for programs. */
static int64_t number_of(const cvi_row *row, int c) {
    return c == CVI_COL_PARAMS  ? row->params
           : c == CVI_COL_MACS  ? row->macs
           : c == CVI_COL_BYTES ? row->bytes
                                : row->peak;
}

static bool is_sum(int c) {
    return c == CVI_COL_PARAMS || c == CVI_COL_MACS || c == CVI_COL_BYTES || c == CVI_COL_PEAK;
}

static void write_csv(const cvi_table *t, const cvs_draw_options *o, cvi_buf *out) {
    (void)o;
    for (int i = -1; i < t->n; i++) {
        const cvi_row *row = i >= 0 ? &t->rows[i] : NULL;
        if (row != NULL && row->kind == CVI_ROW_GROUP) {
            continue;
        }
        for (int c = 0; c < CVI_N_COLUMNS; c++) {
            cvi_buf_puts(out, c > 0 ? "," : "");
            if (row == NULL) {
                cvi_buf_puts(out, cvi_column_key((cvi_column)c));
            } else if (is_sum(c)) {
                cvi_buf_printf(out, "%lld", (long long)number_of(row, c));
            } else {
                put_csv(out, row->cell[c]);
            }
        }
        cvi_buf_puts(out, "\n");
    }
}

static json_t *safe_json(const char *text) {
    json_t *s = json_string(text);
    if (s == NULL) { /* not UTF-8 */
        char *clean = cvi_malloc(cvi_text_clean(text, NULL) + 1);
        if (clean != NULL) {
            cvi_text_clean(text, clean);
            s = json_string(clean);
            cvi_free(clean);
        }
    }
    return s;
}

static json_t *row_json(const cvi_row *row) {
    static const char *const kinds[] = {"layer", "group", "total"};
    json_t *o = json_object();
    json_object_set_new(o, "row", json_string(kinds[row->kind]));
    for (int c = 0; c < CVI_N_COLUMNS; c++) {
        if (is_sum(c)) {
            json_object_set_new(o, cvi_column_key((cvi_column)c), json_integer(number_of(row, c)));
        } else if (row->cell[c][0] != '\0') {
            json_object_set_new(o, cvi_column_key((cvi_column)c), safe_json(row->cell[c]));
        }
    }
    if (row->repeat > 1) {
        json_object_set_new(o, "repeat", json_integer(row->repeat));
    }
    return o;
}

static void write_json(const cvi_table *t, const cvs_draw_options *o, cvi_buf *out) {
    json_t *root = json_object(), *rows = json_array();
    json_object_set_new(root, "model", safe_json(o->title != NULL ? o->title : t->arch->name));
    json_object_set_new(root, "input", safe_json(t->arch->input));
    json_object_set_new(root, "batch", json_integer(t->arch->batch));
    for (int i = 0; i < t->n; i++) {
        json_array_append_new(rows, row_json(&t->rows[i]));
    }
    json_object_set_new(root, "rows", rows);
    char *text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    out->failed = out->failed || text == NULL;
    if (text != NULL) {
        cvi_buf_puts(out, text);
        cvi_buf_puts(out, "\n");
        free(text);
    }
}

/* ---- HTML -------------------------------------------------------------------------------------------------------------- */

static void bar(const cvi_table *t, const cvi_row *row, cvi_buf *out) {
    double part =
        t->arch->macs > 0 && row->kind == CVI_ROW_LAYER ? (double)row->macs / (double)t->arch->macs : 0.0;
    cvi_buf_printf(out, "<td><i style=\"width:%.1fpx\"></i></td>", 120.0 * part);
}

static void write_html(const cvi_table *t, const cvs_draw_options *o, cvi_buf *out) {
    cvs_lang lang = t->arch->lang;
    const char *title = o->title != NULL ? o->title : t->arch->name;
    cvi_buf_printf(out, "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\"><title>",
                   lang == CVS_ZH ? "zh-CN" : "en");
    cvi_buf_xml(out, title);
    cvi_buf_puts(out, "</title><style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
                      "td,th{padding:2px 8px;text-align:left;white-space:nowrap}.n{text-align:right;"
                      "font-variant-numeric:tabular-nums}thead th{border-bottom:1px solid #888}"
                      ".group,.total{font-weight:bold;background:#f2f4f7}i{display:block;height:9px;"
                      "background:#c8873a}</style></head><body><h1>");
    cvi_buf_xml(out, title);
    cvi_buf_puts(out, "</h1>\n<table><thead><tr>");
    for (int c = 0; c < CVI_N_COLUMNS; c++) {
        if (in_use(t, c)) {
            cvi_buf_puts(out, cvi_column_is_number((cvi_column)c) ? "<th class=\"n\">" : "<th>");
            cvi_buf_xml(out, cvi_column_title((cvi_column)c, lang));
            cvi_buf_puts(out, "</th>");
        }
    }
    cvi_buf_puts(out, "<th></th></tr></thead><tbody>\n");
    static const char *const kinds[] = {"layer", "group", "total"};
    for (int i = 0; i < t->n; i++) {
        cvi_buf_printf(out, "<tr class=\"%s\">", kinds[t->rows[i].kind]);
        for (int c = 0; c < CVI_N_COLUMNS; c++) {
            if (!in_use(t, c)) {
                continue;
            }
            cvi_buf_puts(out, cvi_column_is_number((cvi_column)c) ? "<td class=\"n\">" : "<td>");
            for (int k = 0; c == CVI_COL_NAME && k < t->rows[i].depth; k++) {
                cvi_buf_puts(out, "\xC2\xA0\xC2\xA0");
            }
            cvi_buf_xml(out, t->rows[i].cell[c]);
            cvi_buf_puts(out, "</td>");
        }
        bar(t, &t->rows[i], out);
        cvi_buf_puts(out, "</tr>\n");
    }
    cvi_buf_puts(out, "</tbody></table></body></html>\n");
}

/* ---- the style ------------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *extension;
    bool every; /* every layer, whatever repeats: for programs */
    void (*write)(const cvi_table *t, const cvs_draw_options *o, cvi_buf *out);
} writers[] = {{".txt", false, write_text}, {".md", false, write_markdown}, {".tex", false, write_latex},
               {".csv", true, write_csv},   {".json", true, write_json},    {".html", false, write_html}};

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    for (int w = 0; w < CVI_COUNT(writers); w++) {
        if (strcmp(job->extension, writers[w].extension) != 0) {
            continue;
        }
        for (int i = 0; i < job->n; i++) {
            cvs_draw_options o = *job->o;
            cvi_table t;
            o.fold = writers[w].every ? CVS_FOLD_NONE : o.fold;
            CVI_TRY(cvi_table_make(job->arch[i], &o, &t, err));
            if (i > 0) {
                cvi_buf_puts(&out->text, "\n");
            }
            writers[w].write(&t, &o, &out->text);
            cvi_table_free(&t);
        }
    }
    return CVS_OK;
}

const cvi_draw_style cvi_style_table = {
    .name = "table",
    .en = "every layer with shapes, parameters, multiply-accumulates, memory, receptive field",
    .zh = "逐层列出形状、参数量、乘加数、内存与感受野",
    .texts = ".txt .md .tex .csv .json .html",
    .most = 0,
    .draw = draw,
};
