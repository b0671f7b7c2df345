/* SPDX-License-Identifier: MIT
 * chart.c - small charts inside figures: a histogram of numbers, a curve over a count.
 */
#include "draw/figure.h"

#include <math.h>

#define BINS 40

static bool range_of(const double *values, int64_t n, double *lo, double *hi) {
    *lo = HUGE_VAL;
    *hi = -HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(values[i])) {
            *lo = fmin(*lo, values[i]);
            *hi = fmax(*hi, values[i]);
        }
    }
    return *lo <= *hi;
}

/* Name above, least and largest below, a base line. */
static void frame(cvi_page *page, double x, double y, double w, double h, const char *name, double lo,
                  double hi) {
    cvi_font small = cvi_font_small(page);
    cvi_draw_text_fit(page->s, x, y + 6.5, w, &small, name);
    cvi_paint line = {.stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_line(page->s, x, y + h - 9, x + w, y + h - 9, &line);
    cvi_draw_text(page->s, x, y + h - 1.5, &small, cvi_num(lo).text);
    if (hi > lo) {
        small.anchor = CVI_END;
        cvi_draw_text(page->s, x + w, y + h - 1.5, &small, cvi_num(hi).text);
    }
}

void cvi_draw_histogram(cvi_page *page, double x, double y, double w, double h, const char *name,
                        const double *values, int64_t n) {
    double lo, hi;
    if (!range_of(values, n, &lo, &hi)) {
        return;
    }
    int64_t bins[BINS] = {0}, top = 1;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(values[i])) {
            int b = hi > lo ? (int)((values[i] - lo) / (hi - lo) * BINS) : BINS / 2;
            b = CVI_MIN(CVI_MAX(b, 0), BINS - 1);
            bins[b]++;
            top = CVI_MAX(top, bins[b]);
        }
    }
    frame(page, x, y, w, h, name, lo, hi);
    double base = y + h - 9, room = h - 9 - 10, step = w / BINS;
    cvi_path_begin(page->s);
    for (int b = 0; b < BINS; b++) {
        if (bins[b] > 0) { /* a bin that is not empty is always seen */
            double tall = fmax(room * (double)bins[b] / (double)top, 0.8), left = x + b * step;
            cvi_path_move(page->s, left, base);
            cvi_path_line(page->s, left, base - tall);
            cvi_path_line(page->s, left + step * 0.85, base - tall);
            cvi_path_line(page->s, left + step * 0.85, base);
            cvi_path_close(page->s);
        }
    }
    cvi_paint bars = {.fill = page->t->role[CVI_ACCENT]};
    cvi_path_end(page->s, &bars);
}

void cvi_draw_curve(cvi_page *page, double x, double y, double w, double h, const char *name,
                    const double *values, int64_t n, cvi_color color) {
    double lo, hi;
    if (n < 1 || !range_of(values, n, &lo, &hi)) {
        return;
    }
    frame(page, x, y, w, h, name, lo, hi);
    double base = y + h - 10, room = h - 9 - 12;
    bool down = false; /* the pen: lifted over values that are not finite */
    cvi_path_begin(page->s);
    for (int64_t i = 0; i < n; i++) {
        double px = x + (n > 1 ? w * (double)i / (double)(n - 1) : 0.0);
        double py = base - (hi > lo ? room * (values[i] - lo) / (hi - lo) : room / 2);
        if (!isfinite(values[i])) {
            down = false;
        } else if (down) {
            cvi_path_line(page->s, px, py);
        } else {
            cvi_path_move(page->s, px, py);
            down = true;
        }
    }
    cvi_paint pen = {.stroke = color, .width = 1.0, .round = true};
    cvi_path_end(page->s, &pen);
}
