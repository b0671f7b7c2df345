/* SPDX-License-Identifier: MIT
 * fig_signals.c - forward beside backward: a unit's way through the layers, what went up and what comes back under three rules.
 */
#include "convscope/draw_features.h"
#include "draw/maps.h"
#include "draw/signed_picture.h"

#include <math.h>

enum { COLUMNS = 1 + CVS_SIGNAL_RULES };

/* One map by its own largest value; the unit's or the layer's scale would leave most of them dark. Returns its height. */
static double draw_map(cvi_page *page, const cvs_tensor *t, bool is_signed, double x, double y, double side) {
    cvi_maps m = {.data = t->data, .maps = 1, .rows = t->dim[0], .columns = t->dim[1]};
    double lo = 0, hi = 0, aspect = (double)m.rows / (double)m.columns;
    double w = fmin(side, side / aspect), h = fmin(side, side * aspect);
    cvi_map_look(&m, 0, &lo, &hi);
    cvi_scale scale = cvi_scale_for(fmin(lo, 0.0), fmax(hi, 0.0));
    if (is_signed && !scale.is_signed) {
        scale = (cvi_scale){.is_signed = true, .lo = -scale.hi, .hi = scale.hi};
    }
    cvi_color palette[256];
    cvi_scale_palette(&scale, page->t, palette);
    int64_t down = cvi_shrink_factor(1, m.rows, m.columns, 256 * 256);
    int64_t rows = (m.rows + down - 1) / down, columns = (m.columns + down - 1) / down;
    uint8_t *out = cvi_draw_image(page->s, x, y, w, h, columns, rows, 1, palette, false);
    for (int64_t k = 0; out && k < rows * columns; k++) {
        out[k] = cvi_scale_index(&scale, cvi_map_mean(&m, 0, k / columns, k % columns, down));
    }
    cvi_paint edge = {.stroke = page->t->role[CVI_LINE], .width = 0.4};
    cvi_draw_rect(page->s, x, y, w, h, 0, &edge);
    return h;
}

static double draw_cell(cvi_page *page, const cvs_signal *s, int column, const cvs_tensor *picture,
                        cvs_channel_order order, double x, double y, double side) {
    const cvs_tensor *t = column == 0 ? &s->forward : &s->back[column - 1];
    double width;
    if (!t->data) {
        return 0;
    }
    if (!s->input) {
        return draw_map(page, t, column > 0, x, y, side);
    }
    if (column == 0 && picture && picture->data) {
        return cvi_draw_picture(page, x, y, side, picture, &width);
    }
    double w = fmin(side, side * (double)t->dim[2] / (double)t->dim[1]);
    return cvi_draw_signed(page, x, y, w, t->data, t->dim[0], t->dim[1], t->dim[2], order);
}

static void draw_row(cvi_page *page, const cvs_signal *s, const cvs_tensor *picture, cvs_channel_order order,
                     double names, double side) {
    cvi_font body = cvi_font_body(page), note = cvi_font_note(page);
    double top = page->y, tall = 0, pitch = side + 12;
    for (int i = 0; i < COLUMNS; i++) {
        double x = page->left + names + i * pitch;
        double h = draw_cell(page, s, i, picture, order, x, top, side);
        tall = fmax(tall, h);
    }
    for (int i = 0; i < COLUMNS; i++) {
        cvi_draw_textf(page->s, page->left + names + i * pitch, top + tall + 9, &note,
                       cvi_page_tr(page, "%.1f %% zeros"),
                       s->zeros[i] < 1 ? fmin(100 * s->zeros[i], 99.9) : 100.0); /* all is said only of all */
    }
    cvi_draw_text_fit(page->s, page->left, top + 9, names - 8, &body,
                      s->input ? cvi_page_tr(page, "the picture") : s->layer);
    if (!s->input) {
        char words[100];
        snprintf(words, sizeof words, cvi_page_tr(page, "channel %lld of %lld"), (long long)s->channel,
                 (long long)s->channels);
        cvi_draw_text_wrap(page->s, page->left, top + 20, names - 8, 10, 2, &note, words);
    }
    page->y = top + fmax(tall, 24) + 18;
}

/* What the colours of activations, and of signals, mean. */
static void draw_bar(cvi_page *page, double x, bool is_signed) {
    const double wide = fmin(180, (page->width - 20) / 2);
    cvi_scale scale = {.is_signed = is_signed, .lo = is_signed ? -1 : 0, .hi = 1};
    cvi_color palette[256];
    cvi_font small = cvi_font_small(page);
    cvi_scale_palette(&scale, page->t, palette);
    cvi_draw_text_fit(page->s, x, page->y + 6.5, wide, &small,
                      cvi_page_tr(page, is_signed ? "signals, and activations below zero" : "activations"));
    uint8_t *bar = cvi_draw_image(page->s, x, page->y + 10, wide, 7, 255, 1, 1, palette, true);
    for (int i = 0; bar && i < 255; i++) {
        bar[i] = (uint8_t)(i + 1);
    }
    cvi_draw_text(page->s, x, page->y + 25, &small, is_signed ? cvi_page_tr(page, "−largest") : "0");
    small.anchor = CVI_END;
    cvi_draw_text(page->s, x + wide, page->y + 25, &small, cvi_page_tr(page, "+largest"));
    small.anchor = CVI_MIDDLE;
    if (is_signed) {
        cvi_draw_text(page->s, x + wide / 2, page->y + 25, &small, "0");
    }
}

cvs_status cvs_draw_signals(const cvs_signals *signals, cvs_channel_order order, const cvs_tensor *picture,
                            const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    static const char *const heads[COLUMNS] = {"forward: activations", "backward: gradient",
                                               "backward: deconvnet", "backward: guided"};
    cvi_page page;
    char title[240];
    *out = NULL;
    snprintf(title, sizeof title,
             cvi_tr(options ? options->lang : CVS_EN, "Up to channel %lld of %s, and back"),
             (long long)signals->channel, signals->layer);
    CVI_TRY(cvi_page_begin(&page, options, title, NULL, err));
    double names = fmin(110, page.width * 0.25), side = fmin(90, (page.width - names) / COLUMNS - 12);
    cvi_font note = cvi_font_note(&page);
    note.bold = true;
    for (int i = 0; i < COLUMNS; i++) {
        cvi_draw_text_wrap(page.s, page.left + names + i * (side + 12), page.y + 8, side + 10, 10, 2, &note,
                           cvi_page_tr(&page, heads[i]));
    }
    page.y += 26;
    for (int i = 0; i < signals->n; i++) {
        draw_row(&page, &signals->layers[i], picture, order, names, side);
    }
    cvi_page_note(
        &page,
        cvi_page_tr(&page, "Every map by its own largest value. Shares of zeros are of the whole layer."));
    cvi_page_space(&page, 4);
    draw_bar(&page, page.left, false);
    draw_bar(&page, page.left + fmin(200, (page.width + 20) / 2), true);
    page.y += 30;
    cvi_page_note(&page, signals->caption);
    return cvi_page_end(&page, out, err);
}
