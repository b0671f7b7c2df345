/* SPDX-License-Identifier: MIT
 * fig_scores.c - methods compared: a row for each, a column for each measure, a dot where the mean lies with its standard error, and
 * a dashed line for what chance gets.
 */
#include <math.h>

#include "convscope/draw_check.h"
#include "draw/figure.h"

#define NAME 138.0 /* room for the methods' names */
#define ROW  15.0

typedef struct column {
    cvs_metric metric;
    cvs_metric_info info;
    double lo, hi, chance; /* chance: NaN where there is none */
} column;

static bool fill_column(const cvs_scores *s, cvs_metric m, cvs_lang lang, column *c) {
    *c = (column){.metric = m, .hi = 0.0, .chance = (double)NAN};
    bool any = false;
    for (int i = 0; i < s->n; i++) {
        const cvs_score_cell *cell = &s->rows[i].cell[m];
        if (cell->n > 0) {
            any = true;
            c->lo = fmin(c->lo, cell->mean - cell->error);
            c->hi = fmax(c->hi, cell->mean + cell->error);
        }
    }
    if (!any || cvs_metric_describe(m, lang, &c->info, NULL) != CVS_OK) {
        return false;
    }
    c->lo = c->lo > -1e-6 * c->hi ? 0.0 : c->lo; /* a mean of zeros and its error, rounded */
    bool object = m == CVS_POINTING || m == CVS_MASS || m == CVS_RANK;
    c->chance = m == CVS_DELETION           ? s->random_deletion.mean
                : m == CVS_INSERTION        ? s->random_insertion.mean
                : m == CVS_ROAD             ? 0.0
                : object && s->chance > 0.0 ? s->chance
                                            : (double)NAN;
    c->hi = isfinite(c->chance) ? fmax(c->hi, c->chance) : c->hi;
    c->hi = object ? fmax(c->hi, 1.0) : c->hi > c->lo ? c->hi + 0.04 * (c->hi - c->lo) : c->lo + 1.0;
    return true;
}

/* The best mean of a column, or -1 where more is not better or worse. */
static int best_of(const cvs_scores *s, const column *c) {
    int best = -1;
    for (int i = 0; i < s->n && c->info.better != 0; i++) {
        const cvs_score_cell *cell = &s->rows[i].cell[c->metric];
        double sign = (double)c->info.better, mean = cell->mean;
        double other = best < 0 ? 0.0 : s->rows[best].cell[c->metric].mean;
        if (c->metric == CVS_RANDOM_WEIGHTS) { /* a map that is turned round is alike too */
            mean = fabs(mean);
            other = fabs(other);
        }
        if (cell->n > 0 && (best < 0 || sign * mean > sign * other)) {
            best = i;
        }
    }
    return best;
}

static void draw_column(cvi_page *page, const cvs_scores *s, const column *c, double x, double w,
                        double top) {
    cvi_font note = cvi_font_note(page), small = cvi_font_small(page);
    const cvi_color *role = page->t->role;
    cvi_paint line = {.stroke = role[CVI_FAINT], .width = 0.5};
    cvi_paint dashed = {.stroke = role[CVI_MUTED], .width = 0.7, .dash = {2.0, 2.0}};
    double field = w - 10.0, bottom = top + ROW * s->n;
    note.color = role[CVI_INK];
    cvi_draw_text_wrap(page->s, x, top - 26, w - 6, 9.0, 2, &note, c->info.title);
    cvi_draw_text_fit(page->s, x, top - 5, w - 6, &small,
                      cvi_page_tr(page, c->info.better > 0   ? "higher is better"
                                        : c->info.better < 0 ? "lower is better"
                                                             : "neither is better"));
    cvi_draw_line(page->s, x, top, x, bottom, &line);
    cvi_draw_line(page->s, x + field, top, x + field, bottom, &line);
    if (isfinite(c->chance)) {
        double at = x + field * (c->chance - c->lo) / (c->hi - c->lo);
        cvi_draw_line(page->s, at, top, at, bottom, &dashed);
    }
    int best = best_of(s, c);
    for (int i = 0; i < s->n; i++) {
        const cvs_score_cell *cell = &s->rows[i].cell[c->metric];
        if (cell->n == 0) {
            continue;
        }
        double y = top + ROW * (i + 0.5), unit = field / (c->hi - c->lo),
               at = x + unit * (cell->mean - c->lo);
        cvi_paint bar = {.stroke = role[i == best ? CVI_POSITIVE : CVI_ACCENT], .width = 1.2};
        cvi_paint dot = {.fill = role[i == best ? CVI_POSITIVE : CVI_ACCENT]};
        cvi_draw_line(page->s, fmax(at - unit * cell->error, x), y, fmin(at + unit * cell->error, x + field),
                      y, &bar);
        cvi_draw_circle(page->s, at, y, 2.2, &dot);
    }
    cvi_draw_text(page->s, x, bottom + 8, &small, cvi_num(c->lo).text);
    small.anchor = CVI_END;
    cvi_draw_text(page->s, x + field, bottom + 8, &small, cvi_num(c->hi).text);
}

static void draw_rows(cvi_page *page, const cvs_scores *s, double top) {
    cvi_font body = cvi_font_body(page), note = cvi_font_note(page);
    cvi_paint stripe = {.fill = page->t->role[CVI_PANEL]};
    body.size = 8.5;
    for (int i = 0; i < s->n; i++) {
        double y = top + ROW * i;
        if (i % 2 == 0) {
            cvi_draw_rect(page->s, page->left - 4, y, page->width + 8, ROW, 0, &stripe);
        }
        cvi_draw_text_fit(page->s, page->left, y + ROW / 2 + 3, NAME - 8, &body, s->rows[i].method);
        if (s->rows[i].failed[0]) {
            cvi_draw_text_fit(page->s, page->left + NAME, y + ROW / 2 + 3, page->width - NAME, &note,
                              s->rows[i].failed);
        }
    }
}

cvs_status cvs_draw_scores(const cvs_scores *s, const cvs_figure_options *options, cvs_figure **out,
                           cvs_error *err) {
    cvi_page page;
    column columns[CVS_N_METRICS];
    char text[120];
    int n = 0;
    cvs_figure_options o = options ? *options : (cvs_figure_options){0};
    *out = NULL;
    for (int m = 0; m < CVS_N_METRICS; m++) {
        n += fill_column(s, (cvs_metric)m, o.lang, &columns[n]);
    }
    o.width = o.width > 0.0 ? o.width : 182.0 + 84.0 * CVI_MAX(n, 4);
    snprintf(text, sizeof text, cvi_tr(o.lang, "%lld pictures; dots are means, bars their standard errors"),
             (long long)s->pictures);
    CVI_TRY(cvi_page_begin(&page, &o, cvi_tr(o.lang, "Explanation methods compared"), text, err));
    double top = page.y + 40, w = (page.width - NAME) / CVI_MAX(n, 1);
    draw_rows(&page, s, top);
    for (int k = 0; k < n; k++) {
        draw_column(&page, s, &columns[k], page.left + NAME + w * k, w, top);
    }
    page.y = top + ROW * s->n + 16;
    cvi_page_note(&page,
                  cvi_page_tr(&page,
                              "Dashed: what an order without meaning gets, or the object's share of the "
                              "picture. Red: the best mean of its column. Each measure has its own scale."));
    return cvi_page_end(&page, out, err);
}
