/* SPDX-License-Identifier: MIT
 * fig_curves.c - charts of curves: axes with round numbers, one colour a name, a band behind a line, TensorBoard's smoothing. A curve of
 * a million points is drawn by the least and the largest of every half point of width, so that a spike of one step is seen.
 */
#include <math.h>
#include <stdlib.h>

#include "convscope/charts.h"
#include "draw/figure.h"

enum { COLORS = 8, LEGEND = 24 };
#define HEIGHT 150.0
#define GAP    22.0

/* Colours that are apart for every kind of colour vision, from the classes' edges. */
static cvi_color color_of(const cvi_theme *t, int i) {
    static const cvi_class classes[COLORS] = {CVI_CLASS_UPSAMPLE, CVI_CLASS_CONV,  CVI_CLASS_NORM,
                                              CVI_CLASS_SOFTMAX,  CVI_CLASS_DENSE, CVI_CLASS_POOL,
                                              CVI_CLASS_CONCAT,   CVI_CLASS_MATH};
    return t->look[classes[i % COLORS]].edge;
}

void cvs_smooth(const double *y, int64_t n, double smoothing, double *out) {
    double last = 0, weight = 1;
    bool flat = true;
    for (int64_t i = 1; i < n && flat; i++) {
        flat = y[i] == y[0];
    }
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(y[i]) && !flat) {
            last = smoothing * last + (1 - smoothing) * y[i];
            weight *= smoothing;
            out[i] = last / (1 - weight);
        } else {
            out[i] = y[i];
        }
    }
}

typedef struct view {
    cvi_page *page;
    const cvs_chart *chart;
    double x, y, w, h;             /* of the plot */
    double x_lo, x_hi, y_lo, y_hi; /* y: of the numbers drawn (their logarithms) */
} view;

static double level(const view *v, double y) {
    return v->chart->log_y ? (y > 0 ? log10(y) : (double)NAN) : y;
}

static void widen(double v, double *lo, double *hi) {
    if (isfinite(v)) {
        *lo = fmin(*lo, v);
        *hi = fmax(*hi, v);
    }
}

static bool find_ranges(view *v) {
    v->x_lo = v->y_lo = HUGE_VAL;
    v->x_hi = v->y_hi = -HUGE_VAL;
    for (int k = 0; k < v->chart->n; k++) {
        const cvs_curve *c = &v->chart->curves[k];
        for (int64_t i = 0; i < c->n; i++) {
            double y = level(v, c->y[i]);
            if (isfinite(y) && isfinite(c->x[i])) {
                widen(c->x[i], &v->x_lo, &v->x_hi);
                widen(y, &v->y_lo, &v->y_hi);
                widen(c->low ? level(v, c->low[i]) : (double)NAN, &v->y_lo, &v->y_hi);
                widen(c->high ? level(v, c->high[i]) : (double)NAN, &v->y_lo, &v->y_hi);
            }
        }
    }
    if (v->x_lo > v->x_hi) {
        return false;
    }
    double room = v->y_hi > v->y_lo ? (v->y_hi - v->y_lo) * 0.04 : fmax(fabs(v->y_hi) * 0.1, 1e-9);
    v->y_lo -= room;
    v->y_hi += room;
    v->x_hi = v->x_hi > v->x_lo ? v->x_hi : v->x_lo + 1;
    return true;
}

static double px(const view *v, double x) {
    return v->x + v->w * (x - v->x_lo) / (v->x_hi - v->x_lo);
}

static double py(const view *v, double y) {
    return v->y + v->h * (1 - (y - v->y_lo) / (v->y_hi - v->y_lo));
}

/* 1, 2 or 5 times a power of ten, so that about n steps fill the range. */
static double round_step(double range, double n) {
    double raw = range / n, power = pow(10, floor(log10(raw))), share = raw / power;
    return power * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

static void draw_axes(const view *v) {
    const cvi_theme *t = v->page->t;
    cvi_scene *s = v->page->s;
    cvi_font small = cvi_font_small(v->page), right = small;
    cvi_paint grid = {.stroke = t->role[CVI_FAINT], .width = 0.5},
              edge = {.stroke = t->role[CVI_LINE], .width = 0.6};
    right.anchor = CVI_END;
    double step = round_step(v->y_hi - v->y_lo, 5);
    step = v->chart->log_y ? fmax(1, ceil(step)) : step;
    for (double y = ceil(v->y_lo / step) * step; y <= v->y_hi; y += step) {
        double at = py(v, y), shown = v->chart->log_y ? pow(10, y) : fabs(y) < step * 1e-6 ? 0 : y;
        cvi_draw_line(s, v->x, at, v->x + v->w, at, &grid);
        cvi_draw_text_fit(s, v->x - 4, at + 2.3, 34, &right, cvi_num(shown).text);
    }
    double each = round_step(v->x_hi - v->x_lo, 6);
    bool whole = v->x_lo == floor(v->x_lo) && v->x_hi == floor(v->x_hi); /* steps and epochs */
    each = whole ? fmax(each, 1) : each;
    small.anchor = CVI_MIDDLE;
    for (double x = ceil(v->x_lo / each - 1e-9) * each; x <= v->x_hi + each * 1e-9; x += each) {
        double at = px(v, x), half = cvi_text_width(&small, cvi_num(x).text) / 2;
        cvi_draw_line(s, at, v->y + v->h, at, v->y + v->h + 2.5, &edge);
        if (at - half >= v->x - 6 && at + half <= v->x + v->w + 4) {
            cvi_draw_text(s, at, v->y + v->h + 10, &small, cvi_num(fabs(x) < each * 1e-6 ? 0 : x).text);
        }
    }
    cvi_draw_line(s, v->x, v->y + v->h, v->x + v->w, v->y + v->h, &edge);
    if (v->chart->x_title) {
        cvi_draw_text_fit(s, v->x + v->w / 2, v->y + v->h + 19, v->w, &small, v->chart->x_title);
    }
}

static void draw_band(const view *v, const cvs_curve *c, cvi_color color) {
    if (!c->low || !c->high || c->n < 2) {
        return;
    }
    int64_t step = CVI_MAX(1, c->n / 400), used = 0;
    cvi_path_begin(v->page->s);
    for (int pass = 0; pass < 2; pass++) {
        const double *y = pass ? c->low : c->high;
        for (int64_t k = 0; k < c->n; k += step) {
            int64_t i = pass ? c->n - 1 - k : k;
            double at = level(v, y[i]);
            if (isfinite(at)) {
                (used++ ? cvi_path_line : cvi_path_move)(v->page->s, px(v, c->x[i]), py(v, at));
            }
        }
    }
    cvi_path_close(v->page->s);
    cvi_paint fill = {.fill = (color & ~(cvi_color)0xff) | 0x30};
    cvi_path_end(v->page->s, &fill);
}

/* Points that fall into the same half point of width become its least and its largest, in the order they come. */
static void draw_line(const view *v, const cvs_curve *c, const double *y, const cvi_paint *pen) {
    bool down = false;
    double alone_x = 0, alone_y = 0;
    int run = 0;
    cvi_path_begin(v->page->s);
    for (int64_t i = 0; i < c->n;) {
        double column = floor(px(v, c->x[i]) * 2);
        int64_t end = i, low = -1, high = -1;
        for (; end < c->n && floor(px(v, c->x[end]) * 2) == column && isfinite(level(v, y[end])); end++) {
            low = low < 0 || y[end] < y[low] ? end : low;
            high = high < 0 || y[end] > y[high] ? end : high;
        }
        if (low < 0) { /* a number that is none: the pen is lifted */
            down = false;
            i = end + 1;
            continue;
        }
        int64_t order[2] = {CVI_MIN(low, high), CVI_MAX(low, high)};
        for (int k = 0; k < (low == high ? 1 : 2); k++) {
            alone_x = px(v, c->x[order[k]]);
            alone_y = py(v, level(v, y[order[k]]));
            (down ? cvi_path_line : cvi_path_move)(v->page->s, alone_x, alone_y);
            run += 1;
            down = true;
        }
        i = end;
    }
    cvi_path_end(v->page->s, pen);
    if (run == 1) { /* a line of one point would not be seen */
        cvi_paint dot = {.fill = pen->stroke};
        cvi_draw_circle(v->page->s, alone_x, alone_y, 1.6, &dot);
    }
}

static cvs_status draw_curve(const view *v, const cvs_curve *c, cvi_color color, cvs_error *err) {
    cvi_paint pen = {.stroke = color, .width = 1.1, .round = true};
    draw_band(v, c, color);
    if (v->chart->smoothing <= 0 || c->n < 2) {
        draw_line(v, c, c->y, &pen);
        return CVS_OK;
    }
    double *smooth = cvi_calloc((size_t)c->n, sizeof *smooth);
    if (!smooth) {
        return cvi_no_memory(err, (size_t)c->n * sizeof *smooth);
    }
    cvi_paint faint = {.stroke = (color & ~(cvi_color)0xff) | 0x50, .width = 0.7, .round = true};
    draw_line(v, c, c->y, &faint);
    cvs_smooth(c->y, c->n, fmin(v->chart->smoothing, 0.9999), smooth);
    draw_line(v, c, smooth, &pen);
    cvi_free(smooth);
    return CVS_OK;
}

/* ---- the figure ----------------------------------------------------------------------------------------- */

/* The number of a name among all charts' names, in the order they come. */
static int number_of(const cvs_chart *charts, const char *name) {
    int number = 0;
    for (int i = 0;; i++) {
        for (int k = 0; k < charts[i].n; k++) {
            const char *other = charts[i].curves[k].name;
            bool seen = false;
            for (int a = 0; a <= i && !seen; a++) {
                for (int b = 0; b < (a < i ? charts[a].n : k) && !seen; b++) {
                    seen = strcmp(charts[a].curves[b].name, other) == 0;
                }
            }
            if (strcmp(other, name) == 0) {
                return number;
            }
            number += !seen;
        }
    }
}

static cvs_status draw_chart(cvi_page *page, const cvs_chart *all, const cvs_chart *chart, double x, double y,
                             double w, cvs_error *err) {
    view v = {.page = page, .chart = chart, .x = x + 36, .y = y + 14, .w = w - 40, .h = HEIGHT - 40};
    cvi_font strong = cvi_font_strong(page), note = cvi_font_note(page);
    strong.size = 8;
    cvi_draw_text_fit(page->s, x, y + 8, w, &strong, chart->title);
    if (!find_ranges(&v)) {
        cvi_draw_text_fit(page->s, x + 36, y + 40, w - 40, &note, cvi_page_tr(page, "nothing to draw yet"));
        return CVS_OK;
    }
    draw_axes(&v);
    for (int k = 0; k < chart->n; k++) {
        CVI_TRY(
            draw_curve(&v, &chart->curves[k], color_of(page->t, number_of(all, chart->curves[k].name)), err));
    }
    return CVS_OK;
}

/* One line of names with their colours, wrapped. */
static void draw_legend(cvi_page *page, const cvs_chart *charts, int n) {
    cvi_font small = cvi_font_note(page);
    double x = page->left, shown = 0;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < charts[i].n; k++) {
            const char *name = charts[i].curves[k].name;
            int number = number_of(charts, name);
            if (number < shown || number >= LEGEND) {
                continue;
            }
            shown = number + 1;
            double w = fmin(cvi_text_width(&small, name), 200) + 26;
            if (x > page->left && x + w > page->left + page->width) {
                x = page->left;
                page->y += 11;
            }
            cvi_paint pen = {.stroke = color_of(page->t, number), .width = 1.6, .round = true};
            cvi_draw_line(page->s, x, page->y + 5, x + 12, page->y + 5, &pen);
            cvi_draw_text_fit(page->s, x + 16, page->y + 7.5, 200, &small, name);
            x += w;
        }
    }
    page->y += 16;
}

cvs_status cvs_draw_charts(const cvs_chart *charts, int n, const char *title,
                           const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvi_page page;
    CVI_TRY(cvi_page_begin(&page, options, title, NULL, err));
    draw_legend(&page, charts, n);
    int across = page.width >= 380 && n > 1 ? 2 : 1;
    double w = (page.width - GAP * (across - 1)) / across;
    for (int i = 0; i < n; i++) {
        cvs_status s =
            draw_chart(&page, charts, &charts[i], page.left + (i % across) * (w + GAP), page.y, w, err);
        if (s != CVS_OK) {
            cvi_page_abort(&page);
            return s;
        }
        page.y += i % across == across - 1 || i == n - 1 ? HEIGHT : 0;
    }
    return cvi_page_end(&page, out, err);
}
