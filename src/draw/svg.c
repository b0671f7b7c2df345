/* SPDX-License-Identifier: MIT
 * svg.c - a scene as SVG 1.1: real <text> with textLength, ids, tooltips, pictures as data URIs, no scripts, fonts or
 * files from elsewhere, coordinates with two decimals, the same bytes for the same scene.
 */
#include "draw/scene.h"

#include <math.h>

typedef struct svg {
    const cvi_scene *scene;
    cvi_svg_options options;
    cvi_buf *out;
    const char **ids; /* open-addressing set of ids given out, NULL = free */
    int64_t n_slots;
} svg;

static const char *const families[2] = {
    "'DejaVu Sans',Verdana,'Noto Sans CJK SC','Noto Sans SC','PingFang SC','Microsoft YaHei',sans-serif",
    "'DejaVu Sans Mono',Menlo,Consolas,'Noto Sans Mono CJK SC','Noto Sans CJK SC',monospace",
};

/* A number with at most two decimals, no trailing zeros, never "-0". */
static void put_number(cvi_buf *out, double v) {
    double r = round(v * 100.0);
    r = isfinite(r) ? r : 0.0;
    long long n = (long long)fmax(fmin(r, 1e15), -1e15);
    if (n < 0) {
        cvi_buf_puts(out, "-");
        n = -n;
    }
    cvi_buf_printf(out, "%lld", n / 100);
    if (n % 100 != 0) {
        cvi_buf_printf(out, n % 10 != 0 ? ".%02lld" : ".%lld", n % 10 != 0 ? n % 100 : n % 100 / 10);
    }
}

static void put_attr(cvi_buf *out, const char *name, double v) {
    cvi_buf_printf(out, " %s=\"", name);
    put_number(out, v);
    cvi_buf_puts(out, "\"");
}

static void put_color(svg *g, cvi_color c) {
    const char *variable = g->options.variables ? cvi_theme_variable(g->scene->theme, c) : NULL;
    if (variable != NULL) {
        cvi_buf_printf(g->out, "var(--%s,#%06x)", variable, (unsigned)(c >> 8));
    } else {
        cvi_buf_printf(g->out, "#%06x", (unsigned)(c >> 8));
    }
}

static void put_opacity(cvi_buf *out, const char *name, cvi_color c) {
    if ((c & 0xFF) != 0xFF) {
        cvi_buf_printf(out, " %s-opacity=\"", name);
        put_number(out, (c & 0xFF) / 255.0);
        cvi_buf_puts(out, "\"");
    }
}

static void put_color_attr(svg *g, const char *name, cvi_color c) {
    if (g->options.variables) { /* var() is allowed in style, not in attributes, by older renderers */
        cvi_buf_printf(g->out, " style=\"%s:", name);
    } else {
        cvi_buf_printf(g->out, " %s=\"", name);
    }
    put_color(g, c);
    cvi_buf_puts(g->out, "\"");
    put_opacity(g->out, name, c);
}

/* fill, stroke and the rest of a shape's looks. */
static void put_paint(svg *g, const cvi_paint *p) {
    cvi_buf *out = g->out;
    bool filled = (p->fill & 0xFF) != 0, outlined = (p->stroke & 0xFF) != 0 && p->width > 0.0;
    bool both = filled && outlined && g->options.variables;
    if (both) { /* one style attribute for two variables */
        cvi_buf_puts(out, " style=\"fill:");
        put_color(g, p->fill);
        cvi_buf_puts(out, ";stroke:");
        put_color(g, p->stroke);
        cvi_buf_puts(out, "\"");
        put_opacity(out, "fill", p->fill);
        put_opacity(out, "stroke", p->stroke);
    } else if (filled) {
        put_color_attr(g, "fill", p->fill);
    }
    if (!filled) {
        cvi_buf_puts(out, " fill=\"none\"");
    }
    if (outlined) {
        if (!both) {
            put_color_attr(g, "stroke", p->stroke);
        }
        put_attr(out, "stroke-width", p->width);
        if (p->dash[0] > 0.0) {
            cvi_buf_puts(out, " stroke-dasharray=\"");
            put_number(out, p->dash[0]);
            cvi_buf_puts(out, " ");
            put_number(out, p->dash[1]);
            cvi_buf_puts(out, "\"");
        }
        if (p->round) {
            cvi_buf_puts(out, " stroke-linecap=\"round\" stroke-linejoin=\"round\"");
        }
    }
    cvi_buf_puts(out, "/>\n");
}

static void put_rect(svg *g, const cvi_item *item, bool hatch) {
    const cvi_paint *p = &item->u.rect.paint;
    cvi_buf_puts(g->out, "<rect");
    put_attr(g->out, "x", item->x);
    put_attr(g->out, "y", item->y);
    put_attr(g->out, "width", item->w);
    put_attr(g->out, "height", item->h);
    if (item->u.rect.radius > 0.0) {
        put_attr(g->out, "rx", item->u.rect.radius);
    }
    if (hatch) {
        cvi_buf_printf(g->out, " fill=\"url(#%shatch-%d-%06x)\"/>\n", g->options.id_prefix, (int)p->hatch,
                       (unsigned)(p->stroke >> 8));
    } else {
        put_paint(g, p);
    }
}

static void put_path(svg *g, const cvi_item *item, bool hatch) {
    const cvi_paint *p = &item->u.path.paint;
    cvi_buf_puts(g->out, "<path d=\"");
    for (int64_t i = 0; i < item->u.path.count; i++) {
        const cvi_step *step = &g->scene->steps[item->u.path.first + i];
        cvi_buf_add(g->out, &step->op, 1);
        for (int k = 0; k < (step->op == 'C' ? 6 : step->op == 'Z' ? 0 : 2); k++) {
            if (k > 0) {
                cvi_buf_puts(g->out, " ");
            }
            put_number(g->out, step->p[k]);
        }
    }
    cvi_buf_puts(g->out, "\"");
    if (hatch) {
        cvi_buf_printf(g->out, " fill=\"url(#%shatch-%d-%06x)\"/>\n", g->options.id_prefix, (int)p->hatch,
                       (unsigned)(p->stroke >> 8));
    } else {
        put_paint(g, p);
    }
}

static void put_text(svg *g, const cvi_item *item) {
    const cvi_font *f = &item->u.text.font;
    cvi_buf *out = g->out;
    cvi_buf_puts(out, "<text");
    put_attr(out, "x", item->x);
    put_attr(out, "y", item->y);
    put_attr(out, "font-size", f->size);
    if (f->anchor != CVI_START) {
        cvi_buf_printf(out, " text-anchor=\"%s\"", f->anchor == CVI_MIDDLE ? "middle" : "end");
    }
    if (f->bold) {
        cvi_buf_puts(out, " font-weight=\"700\"");
    }
    if (f->mono) {
        cvi_buf_printf(out, " font-family=\"%s\"", families[1]);
    }
    if (fabs(f->angle) > 1e-9) {
        cvi_buf_puts(out, " transform=\"rotate(");
        put_number(out, f->angle);
        cvi_buf_puts(out, " ");
        put_number(out, item->x);
        cvi_buf_puts(out, " ");
        put_number(out, item->y);
        cvi_buf_puts(out, ")\"");
    }
    put_color_attr(g, "fill", f->color);
    if (item->w > 0.0) {
        put_attr(out, "textLength", item->w);
        cvi_buf_puts(out, " lengthAdjust=\"spacingAndGlyphs\"");
    }
    cvi_buf_puts(out, ">");
    cvi_buf_xml(out, item->u.text.string);
    cvi_buf_puts(out, "</text>\n");
}

static cvs_status put_image(svg *g, const cvi_item *item, cvs_error *err) {
    cvi_buf *out = g->out;
    int64_t w = item->u.image.width, h = item->u.image.height;
    cvi_buf png = {0};
    uint8_t *bytes = NULL;
    size_t n = 0;
    cvs_status status;
    if (item->u.image.channels == 1) {
        status = cvi_png8_encode(item->u.image.pixels, w, h, item->u.image.palette, &png, err);
    } else {
        cvs_tensor view = {.dtype = CVS_U8, .rank = 3, .dim = {h, w, item->u.image.channels}};
        view.data = item->u.image.pixels;
        view.bytes = (size_t)(h * w * item->u.image.channels);
        status = cvs_png_encode(&view, &bytes, &n, err);
    }
    if (status == CVS_OK) {
        cvi_buf_puts(out, "<image");
        put_attr(out, "x", item->x);
        put_attr(out, "y", item->y);
        put_attr(out, "width", item->w);
        put_attr(out, "height", item->h);
        cvi_buf_puts(out, " preserveAspectRatio=\"none\"");
        if (!item->u.image.smooth) {
            cvi_buf_puts(out, " style=\"image-rendering:pixelated\"");
        }
        cvi_buf_puts(out, " href=\"data:image/png;base64,");
        cvi_buf_base64(out, bytes != NULL ? (const void *)bytes : png.data, bytes != NULL ? n : png.size);
        cvi_buf_puts(out, "\"/>\n");
    }
    cvs_free(bytes);
    cvi_buf_free(&png);
    return status;
}

/* True when the id was not given out before; it then is. */
static bool claim_id(svg *g, const char *id) {
    uint64_t hash = 1469598103934665603U; /* FNV-1a */
    for (const char *p = id; *p != '\0'; p++) {
        hash = (hash ^ (unsigned char)*p) * 1099511628211U;
    }
    for (int64_t i = (int64_t)(hash % (uint64_t)g->n_slots);; i = (i + 1) % g->n_slots) {
        if (g->ids[i] == NULL) {
            g->ids[i] = id;
            return true;
        }
        if (strcmp(g->ids[i], id) == 0) {
            return false;
        }
    }
}

/* Letters, digits, '_' and '-' stay, everything else becomes '_'; a repeated id gets the item's number. */
static void put_id(svg *g, int64_t index, const char *id) {
    bool first = claim_id(g, id);
    cvi_buf_printf(g->out, " id=\"%s", g->options.id_prefix);
    if (!((*id >= 'a' && *id <= 'z') || (*id >= 'A' && *id <= 'Z'))) {
        cvi_buf_puts(g->out, "n");
    }
    bool same = true;
    for (const char *p = id; *p != '\0'; p++) {
        bool fine = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                    *p == '_' || *p == '-';
        same &= fine;
        cvi_buf_add(g->out, fine ? p : "_", 1);
    }
    if (!first || !same) {
        cvi_buf_printf(g->out, ".%lld", (long long)index);
    }
    cvi_buf_puts(g->out, "\"");
}

static void put_begin(svg *g, int64_t index, const cvi_item *item) {
    bool link = item->u.group.link != NULL;
    cvi_buf_puts(g->out, link ? "<a" : "<g");
    if (item->u.group.id != NULL) {
        put_id(g, index, item->u.group.id);
    }
    if (link) {
        cvi_buf_puts(g->out, " href=\"");
        cvi_buf_xml(g->out, item->u.group.link);
        cvi_buf_puts(g->out, "\"");
    }
    cvi_buf_puts(g->out, ">");
    if (item->u.group.title != NULL) {
        cvi_buf_puts(g->out, "<title>");
        cvi_buf_xml(g->out, item->u.group.title);
        cvi_buf_puts(g->out, "</title>");
    }
    cvi_buf_puts(g->out, "\n");
}

static const cvi_paint *hatch_of(const cvi_item *item) {
    const cvi_paint *p = item->kind == CVI_ITEM_RECT   ? &item->u.rect.paint
                         : item->kind == CVI_ITEM_PATH ? &item->u.path.paint
                                                       : NULL;
    return p != NULL && p->hatch != CVI_HATCH_NONE && (p->stroke & 0xFF) != 0 ? p : NULL;
}

/* One pattern for every (hatch, colour) in use. */
static void put_patterns(svg *g) {
    static const char *const strokes[] = {"",
                                          "M-1 1L1-1M0 4L4 0M3 5L5 3",
                                          "M-1 3L1 5M0 0L4 4M3-1L5 1",
                                          "M0 4L4 0M0 0L4 4",
                                          "M1 1L1.8 1M3 3L3.8 3",
                                          "M0 2L4 2",
                                          "M2 0L2 4"};
    const cvi_scene *s = g->scene;
    const cvi_paint *seen[8 * CVI_N_CLASSES]; /* every hatch comes with the edge of a class */
    int64_t n_seen = 0;
    for (int64_t i = 0; i < s->n_items; i++) {
        const cvi_paint *p = hatch_of(&s->items[i]);
        bool before = p == NULL;
        for (int64_t k = 0; k < n_seen && !before; k++) {
            before = seen[k]->hatch == p->hatch && seen[k]->stroke == p->stroke;
        }
        if (!before && n_seen < CVI_COUNT(seen)) {
            seen[n_seen++] = p;
            cvi_buf_printf(
                g->out,
                "<pattern id=\"%shatch-%d-%06x\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\">"
                "<path d=\"%s\" fill=\"none\" stroke-width=\"0.5\" stroke-opacity=\"0.55\"",
                g->options.id_prefix, (int)p->hatch, (unsigned)(p->stroke >> 8), strokes[p->hatch]);
            put_color_attr(g, "stroke", p->stroke);
            cvi_buf_puts(g->out, "/></pattern>\n");
        }
    }
}

static void put_head(svg *g) {
    const cvi_scene *s = g->scene;
    cvi_buf *out = g->out;
    if (!g->options.embedded) {
        cvi_buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    }
    cvi_buf_puts(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"");
    put_number(out, s->width);
    cvi_buf_puts(out, "pt\" height=\"");
    put_number(out, s->height);
    cvi_buf_puts(out, "pt\" viewBox=\"0 0 ");
    put_number(out, s->width);
    cvi_buf_puts(out, " ");
    put_number(out, s->height);
    cvi_buf_printf(out, "\" role=\"img\" font-family=\"%s\"", families[0]);
    cvi_buf_printf(out, " xml:lang=\"%s\">\n<title>", s->lang == CVS_ZH ? "zh-CN" : "en");
    cvi_buf_xml(out, s->title);
    cvi_buf_puts(out, "</title>\n");
    if (!g->options.embedded) {
        cvi_buf_puts(out, "<rect width=\"100%\" height=\"100%\"");
        put_color_attr(g, "fill", s->theme->role[CVI_PAGE]);
        cvi_buf_puts(out, "/>\n");
    }
    put_patterns(g);
}

static cvs_status put_item(svg *g, int64_t index, cvs_error *err) {
    const cvi_item *item = &g->scene->items[index];
    switch (item->kind) {
    case CVI_ITEM_RECT:
        put_rect(g, item, false);
        if (hatch_of(item) != NULL) {
            put_rect(g, item, true);
        }
        break;
    case CVI_ITEM_PATH:
        put_path(g, item, false);
        if (hatch_of(item) != NULL) {
            put_path(g, item, true);
        }
        break;
    case CVI_ITEM_TEXT:
        put_text(g, item);
        break;
    case CVI_ITEM_IMAGE:
        return put_image(g, item, err);
    case CVI_ITEM_BEGIN:
        put_begin(g, index, item);
        break;
    case CVI_ITEM_END: {
        int64_t depth = 0, k = index; /* the matching begin tells <a> from <g> */
        do {
            depth += g->scene->items[k].kind == CVI_ITEM_END     ? 1
                     : g->scene->items[k].kind == CVI_ITEM_BEGIN ? -1
                                                                 : 0;
        } while (depth > 0 && k-- > 0);
        cvi_buf_puts(g->out, g->scene->items[k].u.group.link != NULL ? "</a>\n" : "</g>\n");
        break;
    }
    }
    return CVS_OK;
}

cvs_status cvi_scene_svg(const cvi_scene *s, const cvi_svg_options *options, cvi_buf *out, cvs_error *err) {
    svg g = {.scene = s, .out = out};
    if (options != NULL) {
        g.options = *options;
    }
    g.options.id_prefix = g.options.id_prefix != NULL ? g.options.id_prefix : "";
    g.n_slots = s->n_items * 2 + 1;
    g.ids = s->failed ? NULL : cvi_calloc((size_t)g.n_slots, sizeof *g.ids);
    if (g.ids == NULL) {
        return cvi_no_memory(err, (size_t)s->n_items * sizeof(cvi_item));
    }
    put_head(&g);
    cvs_status status = CVS_OK;
    for (int64_t i = 0; i < s->n_items && status == CVS_OK; i++) {
        status = put_item(&g, i, err);
    }
    cvi_buf_puts(out, "</svg>\n");
    cvi_free(g.ids);
    if (status == CVS_OK && out->failed) {
        status = cvi_no_memory(err, out->size);
    }
    return status;
}
