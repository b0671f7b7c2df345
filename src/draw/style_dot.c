/* SPDX-License-Identifier: MIT
 * style_dot.c - the style "dot": the same view as Graphviz text, for people who have tools for it. Names come out as text
 * whatever they hold; groups are clusters. Graphviz itself is never run.
 */
#include "draw/graph_box.h"
#include "draw/text_width.h"

enum { MOST_NAME = 48 }; /* characters of a name that are shown; the tooltip has all */

/* A quoted string. Backslashes would be escapes ("\N" is the node's name): they are doubled. */
static void put_quoted(cvi_buf *out, const char *text) {
    cvi_buf_puts(out, "\"");
    while (*text != '\0') {
        char bytes[4];
        uint32_t code = cvi_code_next(&text);
        if (code < 0x20 || code == 0x7F) {
            continue;
        }
        cvi_buf_puts(out, code == '"' || code == '\\' ? "\\" : "");
        cvi_buf_add(out, bytes, (size_t)cvi_code_put(code, bytes));
    }
    cvi_buf_puts(out, "\"");
}

/* Text inside an HTML label: cleaned, shortened in the middle, escaped. */
static void put_html(cvi_buf *out, const char *text) {
    size_t size = strlen(text) * 3 + 1, n = 0, total = 0;
    char *clean = cvi_malloc(size), *shown = cvi_malloc(size + 3);
    if (clean == NULL || shown == NULL) {
        out->failed = true;
    } else {
        cvi_text_clean(text, clean);
        for (const char *p = clean; *p != '\0'; total++) {
            cvi_code_next(&p);
        }
        size_t at = 0;
        for (const char *p = clean; *p != '\0'; n++) {
            uint32_t code = cvi_code_next(&p);
            bool cut = total > MOST_NAME && n >= MOST_NAME / 2 && n < total - MOST_NAME / 2;
            if (!cut || n == MOST_NAME / 2) {
                at += (size_t)cvi_code_put(cut ? 0x2026 : code, shown + at);
            }
        }
        shown[at] = '\0';
        cvi_buf_xml(out, shown);
    }
    cvi_free(clean);
    cvi_free(shown);
}

static unsigned rgb(cvi_color c) {
    return (unsigned)(c >> 8);
}

static void put_strips(const cvi_arch_node *n, bool heads, const cvi_theme *t, cvi_buf *out) {
    int first = heads ? 0 : n->n_heads, last = heads ? n->n_heads : n->n_strips;
    if (first == last) {
        return;
    }
    cvi_buf_puts(out,
                 "<TR><TD CELLPADDING=\"0\"><TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"0\"><TR>");
    for (int i = first; i < last; i++) {
        cvi_buf_printf(out, "<TD BGCOLOR=\"#%06x\"><FONT POINT-SIZE=\"8\">",
                       rgb(t->look[n->strip[i].cls].fill));
        put_html(out, n->strip[i].word);
        cvi_buf_puts(out, "</FONT></TD>");
    }
    cvi_buf_puts(out, "</TR></TABLE></TD></TR>");
}

static void put_box(const cvi_view *v, int b, const cvi_theme *t, cvi_buf *out) {
    cvi_arch_node n;
    char tip[1200];
    cvi_box_node(v, b, &n);
    const cvi_class_look *look = &t->look[n.cls];
    cvi_buf_printf(out, "  %s [", v->boxes[b].id);
    if ((n.kind == CVI_NODE_ADD || n.kind == CVI_NODE_MUL) && n.symbol != NULL && n.n_strips == 0) {
        cvi_buf_printf(out, "shape=circle, width=0.28, fixedsize=true, style=filled, fillcolor=\"#%06x\", ",
                       rgb(look->fill));
        cvi_buf_puts(out, "label=");
        put_quoted(out, n.symbol);
    } else {
        cvi_buf_printf(out,
                       "label=<<TABLE BORDER=\"%d\" CELLBORDER=\"0\" CELLSPACING=\"0\" BGCOLOR=\"#%06x\" "
                       "COLOR=\"#%06x\">",
                       v->boxes[b].kind == CVI_BOX_GROUP ? 2 : 1, rgb(look->fill), rgb(look->edge));
        put_strips(&n, true, t, out);
        cvi_buf_puts(out, "<TR><TD><B>");
        put_html(out, n.title);
        cvi_buf_puts(out, "</B></TD></TR>");
        if (n.kind == CVI_NODE_LAYER && strcmp(n.name, n.title) != 0) {
            cvi_buf_puts(out, "<TR><TD><FONT POINT-SIZE=\"8\">");
            put_html(out, n.name[0] != '\0' ? n.name : " ");
            cvi_buf_puts(out, "</FONT></TD></TR>");
        }
        put_strips(&n, false, t, out);
        cvi_buf_puts(out, "</TABLE>>");
    }
    cvi_buf_puts(out, ", tooltip=");
    put_quoted(out, cvi_box_tooltip(v, b, tip, sizeof tip));
    cvi_buf_puts(out, "];\n");
}

/* A frame and what is in it; inner frames nest. */
static void put_frame(const cvi_view *v, int f, const cvi_theme *t, cvi_buf *out) {
    const cvi_arch_group *g = &v->arch->groups[v->frames[f].group];
    bool drawn = g->kind != CVI_GROUP_STAGE;
    char text[300];
    if (drawn) {
        snprintf(text, sizeof text, v->frames[f].repeat > 1 ? "%.200s ×%d" : "%.200s", g->motif,
                 v->frames[f].repeat);
        cvi_buf_printf(out,
                       "  subgraph cluster_%d {\n  style=\"rounded,filled\"; fillcolor=\"#%06x\"; "
                       "color=\"#%06x\"; fontcolor=\"#%06x\"; label=",
                       v->frames[f].group, rgb(t->role[CVI_PANEL]), rgb(t->role[CVI_MUTED]),
                       rgb(t->role[CVI_MUTED]));
        put_quoted(out, text);
        cvi_buf_puts(out, ";\n");
    }
    for (int b = 0; b < v->n_boxes; b++) {
        if (v->boxes[b].frame == f) {
            put_box(v, b, t, out);
        }
    }
    for (int k = f + 1; k < v->n_frames; k++) {
        if (v->frames[k].parent == f) {
            put_frame(v, k, t, out);
        }
    }
    cvi_buf_puts(out, drawn ? "  }\n" : "");
}

static void put_links(const cvi_view *v, cvi_buf *out) {
    for (int i = 0; i < v->n_links; i++) {
        const cvi_link *l = &v->links[i];
        char shape[160];
        cvi_buf_printf(out, "  %s -> %s", v->boxes[l->from].id, v->boxes[l->to].id);
        if (l->changes) {
            cvi_buf_puts(out, " [label=");
            put_quoted(out, cvi_shape_short(&l->shape, shape, sizeof shape));
            cvi_buf_puts(out, "]");
        }
        cvi_buf_puts(out, ";\n");
    }
}

static cvs_status draw(const cvi_draw_job *job, cvi_drawing *out, cvs_error *err) {
    const cvi_theme *t = cvi_theme_get(job->o->theme);
    const cvi_arch *a = job->arch[0];
    cvi_view *v = NULL;
    CVI_TRY(cvi_view_make(a, job->o, NULL, 0, &v, err));
    cvi_buf *b = &out->text;
    cvi_buf_puts(b, "digraph ");
    put_quoted(b, a->name);
    cvi_buf_printf(b, " {\n  rankdir=%s; bgcolor=\"#%06x\"; charset=\"UTF-8\"; nodesep=0.25; ranksep=0.3;\n",
                   job->o->direction == CVS_LEFT_RIGHT ? "LR" : "TB", rgb(t->role[CVI_PAGE]));
    cvi_buf_printf(b, "  node [shape=plain, fontname=\"Helvetica\", fontsize=10, fontcolor=\"#%06x\"];\n",
                   rgb(t->role[CVI_INK]));
    cvi_buf_printf(b,
                   "  edge [fontname=\"Helvetica\", fontsize=8, arrowsize=0.6, color=\"#%06x\", "
                   "fontcolor=\"#%06x\"];\n",
                   rgb(t->role[CVI_MUTED]), rgb(t->role[CVI_MUTED]));
    cvi_buf_puts(b, "  graph [fontname=\"Helvetica\", fontsize=9];\n");
    for (int i = 0; i < v->n_boxes; i++) {
        if (v->boxes[i].frame < 0) {
            put_box(v, i, t, b);
        }
    }
    for (int f = 0; f < v->n_frames; f++) {
        if (v->frames[f].parent < 0) {
            put_frame(v, f, t, b);
        }
    }
    put_links(v, b);
    cvi_buf_puts(b, "}\n");
    cvi_view_free(v);
    return CVS_OK;
}

const cvi_draw_style cvi_style_dot = {
    .name = "dot",
    .en = "Graphviz text of the same graph, groups as clusters",
    .zh = "同一图的 Graphviz 文本，分组为 cluster",
    .texts = ".dot .gv",
    .most = 1,
    .draw = draw,
};
