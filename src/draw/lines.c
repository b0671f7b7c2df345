/* SPDX-License-Identifier: MIT
 * lines.c - several lines over one pair of axes, each named in a legend by its own dash.
 */
#include "draw/lines.h"

#include <math.h>

#define AXIS 20.0 /* room for the numbers beside it */

typedef struct frame {
    double x, y, w, h; /* of the field itself */
    const cvi_lines *c;
} frame;

static double across(const frame *f, double v) {
    return f->x + f->w * (v - f->c->x0) / (f->c->x1 - f->c->x0);
}

static double down(const frame *f, double v) {
    double share = (v - f->c->y0) / (f->c->y1 - f->c->y0);
    return f->y + f->h * (1.0 - fmin(fmax(share, 0.0), 1.0));
}

static void draw_axes(cvi_page *page, const frame *f) {
    cvi_font small = cvi_font_small(page);
    cvi_paint grid = {.stroke = page->t->role[CVI_FAINT], .width = 0.5};
    cvi_paint edge = {.stroke = page->t->role[CVI_LINE], .width = 0.7};
    for (int i = 0; i <= 4; i++) {
        double v = f->c->y0 + (f->c->y1 - f->c->y0) * i / 4.0, y = down(f, v);
        bool zero = fabs(v) < 1e-12 || i == 0;
        cvi_draw_line(page->s, f->x, y, f->x + f->w, y, zero ? &edge : &grid);
        if (i % 2 == 0) {
            cvi_font right = small;
            right.anchor = CVI_END;
            cvi_draw_text(page->s, f->x - 3, y + 2.2, &right, cvi_num(v).text);
        }
    }
    double under = f->y + f->h + 8;
    const char *left = f->c->left ? f->c->left : cvi_num(f->c->x0).text;
    cvi_draw_text_fit(page->s, f->x, under, f->w * 0.3, &small, left);
    cvi_font end = small, middle = small;
    end.anchor = CVI_END;
    middle.anchor = CVI_MIDDLE;
    const char *right = f->c->right ? f->c->right : cvi_num(f->c->x1).text;
    cvi_draw_text_fit(page->s, f->x + f->w, under, f->w * 0.3, &end, right);
    cvi_draw_text_fit(page->s, f->x + f->w / 2, under, f->w * (f->c->left ? 0.36 : 0.8), &middle,
                      f->c->below);
}

static cvi_paint pen_of(const cvi_line *line) {
    cvi_paint pen = {.stroke = line->color, .width = 1.2, .round = true};
    if (line->dashed) {
        pen.dash[0] = 3.0;
        pen.dash[1] = 2.0;
    }
    return pen;
}

static void draw_one(cvi_page *page, const frame *f, const cvi_line *line) {
    bool pen_down = false;
    cvi_paint pen = pen_of(line), dot = {.fill = line->color};
    cvi_path_begin(page->s);
    for (int i = 0; i < line->n; i++) {
        if (!isfinite(line->y[i])) {
            pen_down = false;
        } else if (pen_down) {
            cvi_path_line(page->s, across(f, line->x[i]), down(f, line->y[i]));
        } else {
            cvi_path_move(page->s, across(f, line->x[i]), down(f, line->y[i]));
            pen_down = true;
        }
    }
    cvi_path_end(page->s, &pen);
    for (int i = 0; line->dots && i < line->n; i++) {
        if (isfinite(line->y[i])) {
            cvi_draw_circle(page->s, across(f, line->x[i]), down(f, line->y[i]), 1.8, &dot);
        }
    }
}

double cvi_draw_lines(cvi_page *page, double x, double y, double w, double h, const cvi_lines *chart) {
    cvi_font strong = cvi_font_strong(page), note = cvi_font_note(page);
    strong.size = 8.0;
    cvi_draw_text_fit(page->s, x, y + 8, w, &strong, chart->title);
    frame f = {.x = x + AXIS, .y = y + 15, .w = w - AXIS - 4, .h = h - 15 - 12, .c = chart};
    draw_axes(page, &f);
    double under = y + h + 7;
    for (int i = 0; i < chart->n; i++) {
        draw_one(page, &f, &chart->line[i]);
        cvi_paint pen = pen_of(&chart->line[i]);
        cvi_draw_line(page->s, f.x, under - 2.5, f.x + 14, under - 2.5, &pen);
        under += 10.0 *
                 cvi_draw_text_wrap(page->s, f.x + 18, under, f.w - 18, 10.0, 2, &note, chart->line[i].name);
    }
    return under - y;
}
