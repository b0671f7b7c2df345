/* SPDX-License-Identifier: MIT
 * fig_overview.c - a network at a glance: named boxes in the order of computation while they fit, and for any depth a
 * profile with one column per layer. Scales are strictly monotone and said beside their row.
 */
#include "draw/figure.h"

#include <math.h>

#define MOST_BOXES 48

typedef struct overview {
    const cvs_summary *sum;
    cvi_page *page;
} overview;

static const cvi_class_look *look_of(const overview *f, const cvs_layer *layer) {
    int g = layer->glyph;
    return &f->page->t->look[g >= 0 && g < CVI_N_CLASSES ? g : CVI_CLASS_UNKNOWN];
}

static const char *tooltip(const overview *f, const cvs_layer *layer, char *buf, size_t size) {
    char shape[64] = "?";
    if (layer->rank >= 0) {
        cvs_shape_text(layer->rank, layer->dim, shape, sizeof shape);
    }
    snprintf(buf, size, cvi_page_tr(f->page, "%s: %s, %s, %s parameters, %s MACs"), layer->name,
             layer->title != NULL ? layer->title : layer->op, shape, cvi_count(layer->params).text,
             cvi_count(layer->macs).text);
    return buf;
}

/* ---- boxes ------------------------------------------------------------------------------------------------- */

static void draw_box(const overview *f, int i, double x, double y, double w, double h) {
    cvi_page *page = f->page;
    const cvs_layer *layer = &f->sum->layers[i];
    const cvi_class_look *look = look_of(f, layer);
    char text[512], link[32], shape[64] = "?";
    snprintf(link, sizeof link, "#L%d", layer->index);
    cvi_group_begin(page->s, NULL, tooltip(f, layer, text, sizeof text), link);
    cvi_paint paint = {.fill = look->fill, .stroke = look->edge, .width = 0.7};
    paint.hatch = layer->glyph == CVI_CLASS_DEPTHWISE ? look->hatch : CVI_HATCH_NONE;
    cvi_draw_rect(page->s, x, y, w, h, 4, &paint);
    cvi_font name = {.size = 7.5, .bold = true, .color = page->t->role[CVI_INK]};
    cvi_font small = {.size = 6.5, .color = page->t->role[CVI_INK]};
    cvi_draw_text_fit(page->s, x + 5, y + 10.5, w - 10, &name, layer->name);
    snprintf(text, sizeof text, "%s%s%s", layer->title != NULL ? layer->title : layer->op,
             layer->settings[0] != '\0' ? " " : "", layer->settings);
    cvi_draw_text_fit(page->s, x + 5, y + 19.5, w - 10, &small, text);
    if (layer->rank >= 0) {
        cvs_shape_text(layer->rank, layer->dim, shape, sizeof shape);
    }
    cvi_draw_text_fit(page->s, x + 5, y + 28, w - 10, &small, shape);
    cvi_group_end(page->s);
}

static void draw_boxes(const overview *f, const bool *linked) {
    cvi_page *page = f->page;
    int n = f->sum->n_layers, across = CVI_MIN(CVI_MAX((int)(page->width / 118.0), 2), 6);
    double gap = 14, row_gap = 14, h = 33, w = (page->width - gap * (across - 1)) / across;
    cvi_paint pen = {.stroke = page->t->role[CVI_MUTED], .width = 0.8};
    for (int i = 0; i < n; i++) {
        int row = i / across, column = i % across;
        double x = page->left + column * (w + gap), y = page->y + row * (h + row_gap);
        draw_box(f, i, x, y, w, h);
        if (i == 0 || (linked != NULL && !linked[i])) {
            continue;
        }
        if (column > 0) {
            cvi_draw_line(page->s, x - gap + 1, y + h / 2, x - 4, y + h / 2, &pen);
            cvi_draw_arrow_head(page->s, x - 1, y + h / 2, 1, 0, 4.5, pen.stroke);
        } else { /* from the end of the row above back to the left, between the rows */
            double from = page->left + (across - 1) * (w + gap) + w / 2, middle = y - row_gap / 2;
            cvi_path_begin(page->s);
            cvi_path_move(page->s, from, y - row_gap + 1);
            cvi_path_line(page->s, from, middle);
            cvi_path_line(page->s, x + w / 2, middle);
            cvi_path_line(page->s, x + w / 2, y - 3);
            cvi_path_end(page->s, &pen);
            cvi_draw_arrow_head(page->s, x + w / 2, y - 1, 0, 1, 4.5, pen.stroke);
        }
    }
    page->y += (n + across - 1) / across * (h + row_gap) + 4;
}

/* ---- profile ------------------------------------------------------------------------------------------------- */

static double side_of(const cvs_layer *layer) {
    if (layer->rank < 3) {
        return 1.0;
    }
    double area = 1.0;
    for (int i = 2; i < layer->rank; i++) {
        area *= (double)CVI_MAX(layer->dim[i], 1);
    }
    return pow(area, 1.0 / (layer->rank - 2));
}

static double channels_of(const cvs_layer *layer) {
    return layer->rank >= 2 ? (double)CVI_MAX(layer->dim[1], 1) : 1.0;
}

static double params_of(const cvs_layer *layer) {
    return (double)layer->params;
}

static double macs_of(const cvs_layer *layer) {
    return (double)layer->macs;
}

typedef struct track {
    const char *name;
    double (*value)(const cvs_layer *layer);
    bool logarithmic;
} track;

static void draw_track(const overview *f, const track *t, double h) {
    cvi_page *page = f->page;
    int n = f->sum->n_layers;
    double left = 92, w = page->width - left, step = w / n, top = 0.0, x0 = page->left + left,
           base = page->y + h;
    for (int i = 0; i < n; i++) {
        top = fmax(top, t->value(&f->sum->layers[i]));
    }
    cvi_font small = cvi_font_small(page);
    small.color = page->t->role[CVI_INK];
    cvi_draw_text_fit(page->s, page->left, page->y + 8, left - 6, &small, cvi_page_tr(page, t->name));
    small.color = page->t->role[CVI_MUTED];
    char line[96];
    snprintf(line, sizeof line, cvi_page_tr(page, t->logarithmic ? "up to %s, log scale" : "up to %s"),
             cvi_count((int64_t)fmin(top, 9e15)).text);
    cvi_draw_text_fit(page->s, page->left, page->y + 17, left - 6, &small, line);
    for (int c = 0; c < CVI_N_CLASSES && top > 0.0; c++) { /* one path per class: files stay small */
        cvi_path_begin(page->s);
        for (int i = 0; i < n; i++) {
            const cvs_layer *layer = &f->sum->layers[i];
            double v = t->value(layer), part = t->logarithmic ? log2(1 + v) / log2(1 + top) : v / top;
            if (look_of(f, layer) != &page->t->look[c] || !(v > 0.0)) {
                continue;
            }
            double x = x0 + i * step, tall = fmax(part * (h - 2), 0.5),
                   width = step * (step > 3 ? 0.82 : 1.0);
            cvi_path_move(page->s, x, base);
            cvi_path_line(page->s, x, base - tall);
            cvi_path_line(page->s, x + width, base - tall);
            cvi_path_line(page->s, x + width, base);
            cvi_path_close(page->s);
        }
        cvi_paint bars = {.fill = page->t->look[c].edge};
        if (step > 3) {
            bars = (cvi_paint){.fill = page->t->look[c].fill, .stroke = page->t->look[c].edge, .width = 0.6};
        }
        cvi_path_end(page->s, &bars);
    }
    cvi_paint line_paint = {.stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_line(page->s, x0, base, x0 + w, base, &line_paint);
    page->y = base + 7;
}

/* Numbers of layers under the profile, and an area with a tooltip and a link over each column. */
static void draw_columns(const overview *f, double top) {
    cvi_page *page = f->page;
    int n = f->sum->n_layers, every = 1;
    double left = 92, w = page->width - left, step = w / n, x0 = page->left + left;
    cvi_font small = cvi_font_small(page);
    small.size = CVI_MIN_TEXT;
    small.anchor = CVI_MIDDLE;
    while (every * step < 16) {
        every *= every % 10 == 2 ? 5 : 2; /* 1 2 10 20 100 ... */
    }
    for (int i = 0; i < n; i += every) {
        double x = fmin(x0 + (i + 0.5) * step, page->left + page->width - 6);
        cvi_draw_textf(page->s, x, page->y + 2, &small, "%d", f->sum->layers[i].index);
    }
    for (int i = 0; i < n; i++) {
        char text[512], link[32];
        snprintf(link, sizeof link, "#L%d", f->sum->layers[i].index);
        cvi_group_begin(page->s, NULL, tooltip(f, &f->sum->layers[i], text, sizeof text), link);
        cvi_paint area = {.fill = 0x00000001};
        cvi_draw_rect(page->s, x0 + i * step, top, step, page->y - 6 - top, 0, &area);
        cvi_group_end(page->s);
    }
    page->y += 8;
}

static void draw_legend(const overview *f) {
    cvi_page *page = f->page;
    cvi_font small = cvi_font_small(page);
    double x = page->left;
    page->y += 4;
    for (int c = 0; c < CVI_N_CLASSES; c++) {
        const cvi_class_look *look = &page->t->look[c];
        bool present = false;
        for (int i = 0; i < f->sum->n_layers; i++) {
            present |= look_of(f, &f->sum->layers[i]) == look;
        }
        if (!present) {
            continue;
        }
        const char *name = cvi_page_tr(page, look->name);
        double w = 11 + cvi_text_width(&small, name) + 12;
        if (x + w > page->left + page->width && x > page->left) {
            x = page->left;
            page->y += 11;
        }
        cvi_paint box = {.fill = look->fill, .stroke = look->edge, .width = 0.7};
        cvi_draw_rect(page->s, x + 0.5, page->y, 7, 7, 1.5, &box);
        cvi_draw_text(page->s, x + 11, page->y + 6.3, &small, name);
        x += w;
    }
    page->y += 14;
}

cvs_status cvs_draw_overview(const cvs_summary *summary, const bool *linked,
                             const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvi_page page;
    overview f = {.sum = summary, .page = &page};
    *out = NULL;
    CVI_TRY(cvi_page_begin(&page, options,
                           cvi_tr(options != NULL ? options->lang : CVS_EN, "The network at a glance"), NULL,
                           err));
    if (summary->n_layers > 0) {
        draw_legend(&f);
        if (summary->n_layers <= MOST_BOXES) {
            draw_boxes(&f, linked);
        }
        static const track tracks[] = {{"side of a map", side_of, true},
                                       {"channels", channels_of, true},
                                       {"parameters", params_of, false},
                                       {"multiply-adds", macs_of, false}};
        double top = page.y;
        for (int i = 0; i < CVI_COUNT(tracks); i++) {
            draw_track(&f, &tracks[i], 30);
        }
        draw_columns(&f, top);
    }
    return cvi_page_end(&page, out, err);
}
