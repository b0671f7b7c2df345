/* SPDX-License-Identifier: MIT
 * fig_evaluation.c - a classifier on labelled pictures: the confusion matrix (rows are labels, columns answers; each row coloured by its
 * shares), recall and precision beside it, the most frequent mistakes, and the pictures with the largest loss.
 */
#include <math.h>
#include <stdlib.h>

#include "convscope/charts.h"
#include "draw/figure.h"

enum { MISTAKES = 8 };
#define NARROWEST 8.5 /* a cell with a name beside it */

/* A colour between two, both opaque. */
static cvi_color mix(cvi_color a, cvi_color b, double share) {
    cvi_color out = 0xff;
    for (int shift = 8; shift < 32; shift += 8) {
        double x = (double)(a >> shift & 0xff), y = (double)(b >> shift & 0xff);
        out |= (cvi_color)(x + (y - x) * share + 0.5) << shift;
    }
    return out;
}

static double share_of(const cvs_evaluation *e, int row, int column) {
    int64_t all = e->classes[row].count;
    return all > 0 ? (double)e->confusion[(int64_t)row * e->n_classes + column] / (double)all : 0;
}

/* Mistakes are drawn stronger than their share: they are what one looks for. */
static cvi_color cell_color(const cvi_page *page, const cvs_evaluation *e, int row, int column) {
    double share = share_of(e, row, column);
    cvi_color to = page->t->role[row == column ? CVI_ACCENT : CVI_POSITIVE];
    return mix(page->t->role[CVI_PAGE], to, row == column ? share : share > 0 ? 0.1 + 0.9 * sqrt(share) : 0);
}

static double widest_name(const cvi_page *page, const cvs_evaluation *e, double most) {
    cvi_font small = cvi_font_small(page);
    double w = 0;
    for (int c = 0; c < e->n_classes; c++) {
        w = fmax(w, cvi_text_width(&small, e->classes[c].name));
    }
    return fmin(w + 2, most);
}

static void percent(const cvi_page *page, double x, double y, double v, cvi_anchor anchor) {
    cvi_font small = cvi_font_small(page);
    small.anchor = anchor;
    if (isfinite(v)) {
        cvi_draw_textf(page->s, x, y, &small, "%.1f", 100 * v);
    } else {
        cvi_draw_text(page->s, x, y, &small, "–");
    }
}

static void draw_cell(cvi_page *page, const cvs_evaluation *e, int row, int column, double x, double y,
                      double side, bool numbers) {
    int64_t n = e->confusion[(int64_t)row * e->n_classes + column];
    cvi_color back = cell_color(page, e, row, column);
    cvi_paint paint = {.fill = back, .stroke = page->t->role[CVI_FAINT], .width = 0.4};
    cvi_draw_rect(page->s, x, y, side, side, 0, &paint);
    if (numbers && n > 0) {
        cvi_font font = {.size = 6.5, .color = cvi_ink_on(back), .anchor = CVI_MIDDLE};
        cvi_draw_textf(page->s, x + side / 2, y + side / 2 + 2.3, &font, "%lld", (long long)n);
    }
}

static double cell_side(const cvi_page *page, const cvs_evaluation *e) {
    return fmin((page->width - widest_name(page, e, 90) - 54) / e->n_classes, 26);
}

/* Names at the left and above; recall at the right, precision below. */
static void draw_named(cvi_page *page, const cvs_evaluation *e) {
    int n = e->n_classes;
    double name = widest_name(page, e, 90), up = widest_name(page, e, 60);
    double side = cell_side(page, e);
    double left = page->left + name + 4, top = page->y + up + 6;
    cvi_font small = cvi_font_small(page), right = small;
    double widest = 0;
    right.anchor = CVI_END;
    for (int64_t i = 0; i < (int64_t)n * n; i++) {
        char text[32];
        snprintf(text, sizeof text, "%lld", (long long)e->confusion[i]);
        widest = fmax(widest, cvi_text_width(&small, text));
    }
    for (int row = 0; row < n; row++) {
        double y = top + row * side;
        cvi_draw_text_fit(page->s, left - 4, y + side / 2 + 2.3, name, &right, e->classes[row].name);
        for (int column = 0; column < n; column++) {
            draw_cell(page, e, row, column, left + column * side, y, side, widest + 2 <= side && side >= 9);
        }
        percent(page, left + n * side + 32, y + side / 2 + 2.3, e->classes[row].recall, CVI_END);
    }
    for (int column = 0; column < n; column++) {
        cvi_font turned = small;
        double x = left + (column + 0.5) * side + 2.3;
        turned.angle = -90;
        cvi_draw_text_fit(page->s, x, top - 4, up, &turned, e->classes[column].name);
        if (side >= 20) {
            percent(page, left + (column + 0.5) * side, top + n * side + 10, e->classes[column].precision,
                    CVI_MIDDLE);
        }
    }
    small.color = page->t->role[CVI_INK];
    cvi_draw_text(page->s, left + n * side + 6, top - 4, &small, cvi_page_tr(page, "recall, %"));
    if (side >= 20) {
        cvi_draw_text(page->s, left + n * side + 6, top + n * side + 10, &small,
                      cvi_page_tr(page, "precision, %"));
    }
    page->y = top + n * side + (side >= 20 ? 18 : 8);
}

/* Many classes: a pixel or a block of pixels for each cell, no words. */
static void draw_unnamed(cvi_page *page, const cvs_evaluation *e) {
    int n = e->n_classes, step = CVI_MAX(1, (n + 511) / 512), cells = (n + step - 1) / step;
    double side = fmin(page->width, 360);
    uint8_t *out = cvi_draw_image(page->s, page->left, page->y, side, side, cells, cells, 3, NULL, false);
    for (int row = 0; out && row < cells * step; row++) {
        for (int column = 0; row < n && column < n; column++) { /* of a block of cells the strongest */
            cvi_color c = cell_color(page, e, row, column);
            uint8_t *to = out + ((int64_t)(row / step) * cells + column / step) * 3;
            uint8_t rgb[3] = {(uint8_t)(c >> 24), (uint8_t)(c >> 16), (uint8_t)(c >> 8)};
            bool first = row % step == 0 && column % step == 0;
            int page_sum = 3 * 255 - rgb[0] - rgb[1] - rgb[2], was = 3 * 255 - to[0] - to[1] - to[2];
            if (first || abs(page_sum) > abs(was)) {
                memcpy(to, rgb, 3);
            }
        }
    }
    cvi_paint edge = {.stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_rect(page->s, page->left, page->y, side, side, 0, &edge);
    page->y += side + 6;
}

/* ---- mistakes ------------------------------------------------------------------------------------------- */

static int64_t mistake(const cvs_evaluation *e, int64_t cell) {
    return cell / e->n_classes == cell % e->n_classes ? 0 : e->confusion[cell];
}

/* The most frequent ones, largest first; of equal ones the first. */
static void draw_mistakes(cvi_page *page, const cvs_evaluation *e) {
    int64_t best[MISTAKES];
    int n = 0;
    for (int64_t cell = 0; cell < (int64_t)e->n_classes * e->n_classes; cell++) {
        int at = n;
        while (at > 0 && mistake(e, cell) > mistake(e, best[at - 1])) {
            at--;
        }
        if (mistake(e, cell) > 0 && at < MISTAKES) {
            n = CVI_MIN(n + 1, MISTAKES);
            memmove(&best[at + 1], &best[at], (size_t)(n - 1 - at) * sizeof *best);
            best[at] = cell;
        }
    }
    if (n > 0) {
        cvi_page_heading(page, cvi_page_tr(page, "Most frequent mistakes"));
    }
    for (int i = 0; i < n; i++) {
        int row = (int)(best[i] / e->n_classes), column = (int)(best[i] % e->n_classes);
        char a[80], b[80];
        cvi_copy_text(a, sizeof a, e->classes[row].name);
        cvi_copy_text(b, sizeof b, e->classes[column].name);
        cvi_page_notef(page, cvi_page_tr(page, "%s taken for %s: %s of %s (%.1f%%)"), a, b,
                       cvi_count(e->confusion[best[i]]).text, cvi_count(e->classes[row].count).text,
                       100 * share_of(e, row, column));
    }
}

typedef struct worst_sheet {
    const cvs_evaluation *e;
    int64_t shrink, rows, columns;
    char label[160];
} worst_sheet;

static void paint_worst(void *context, int64_t i, uint8_t *out) {
    const worst_sheet *w = context;
    const cvs_tensor *t = &w->e->worst[i].picture;
    int64_t wide = t->dim[1];
    for (int64_t y = 0; y < w->rows; y++) {
        for (int64_t x = 0; x < w->columns; x++) {
            const uint8_t *from = (const uint8_t *)t->data + (y * w->shrink * wide + x * w->shrink) * 3;
            memcpy(out + (y * w->columns + x) * 3, from, 3);
        }
    }
}

static void describe_worst(void *context, int64_t i, cvi_tile *tile) {
    worst_sheet *w = context;
    const cvs_worst_picture *p = &w->e->worst[i];
    char a[40], b[40];
    cvi_copy_text(a, sizeof a, w->e->classes[p->label].name);
    cvi_copy_text(b, sizeof b, w->e->classes[p->answer].name);
    snprintf(w->label, sizeof w->label, "%s %.1f%%\n→ %s %.1f%%", a, 100 * p->label_probability, b,
             100 * p->answer_probability);
    tile->number = p->index;
    tile->label = w->label;
}

static cvs_status draw_worst(cvi_page *page, const cvs_evaluation *e, cvs_error *err) {
    if (e->n_worst < 1 || !e->worst[0].picture.data) {
        return CVS_OK;
    }
    const cvs_tensor *t = &e->worst[0].picture;
    worst_sheet w = {.e = e, .shrink = CVI_MAX(1, CVI_MIN(t->dim[0], t->dim[1]) / 96)};
    w.rows = t->dim[0] / w.shrink;
    w.columns = t->dim[1] / w.shrink;
    cvi_page_heading(page, cvi_page_tr(page, "The pictures with the largest loss: label → answer"));
    cvi_sheet sheet = {.count = e->n_worst,
                       .rows = w.rows,
                       .columns = w.columns,
                       .side = 64,
                       .label_lines = 2,
                       .label_width = 76,
                       .rgb = true,
                       .paint = paint_worst,
                       .describe = describe_worst,
                       .context = &w};
    cvi_page_space(page, 3);
    return cvi_draw_sheet(page, &sheet, err);
}

cvs_status cvs_draw_evaluation(const cvs_evaluation *e, const cvs_figure_options *options, cvs_figure **out,
                               cvs_error *err) {
    cvi_page page;
    char line[300];
    cvs_lang lang = options ? options->lang : CVS_EN;
    snprintf(line, sizeof line,
             cvi_tr(lang, "%.2f%% of %s pictures right · among the best %d: %.2f%% · loss %s"),
             100.0 * (double)e->right / (double)CVI_MAX(e->count, 1), cvi_count(e->count).text, e->top,
             100.0 * (double)e->right_top / (double)CVI_MAX(e->count, 1), cvi_num(e->loss).text);
    CVI_TRY(cvi_page_begin(&page, options, cvi_tr(lang, "What is taken for what"), line, err));
    cvi_page_note(&page,
                  cvi_page_tr(&page,
                              "Rows are labels, columns answers; the colour is the share of the row, blue "
                              "where right, red where wrong (the root of the share)."));
    cvi_page_notef(
        &page,
        cvi_page_tr(&page, "Mean confidence %.1f%%, expected calibration error %.1f%%, macro F1 %.3f."),
        100 * e->confidence, 100 * e->calibration, e->macro_f1);
    cvi_page_space(&page, 6);
    if (cell_side(&page, e) >= NARROWEST) {
        draw_named(&page, e);
    } else {
        draw_unnamed(&page, e);
    }
    draw_mistakes(&page, e);
    cvs_status s = draw_worst(&page, e, err);
    if (s != CVS_OK) {
        cvi_page_abort(&page);
        return s;
    }
    return cvi_page_end(&page, out, err);
}
