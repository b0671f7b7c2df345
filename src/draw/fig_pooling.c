/* SPDX-License-Identifier: MIT
 * fig_pooling.c - what a pooling layer keeps: input map, its windows, the winners, the output, for the strongest channels in
 * detail and for all channels as a sheet. With a shift, how many winners stay, follow the picture, or go elsewhere.
 */
#include "draw/pool_view.h"

#include <math.h>
#include <stdlib.h>

#define ZOOM_CELLS 8 /* input rows or columns shown cell by cell */

typedef struct pooling_figure {
    const cvs_pooling_data *d;
    cvi_page *page;
    cvi_pooling p;
    cvi_scale scale;
    int64_t shrink_in, shrink_out;
    int64_t *order; /* channels, strongest output first */
    char tooltip[160];
} pooling_figure;

/* ---- one map with cells ------------------------------------------------------------------------------------ */

typedef struct crop {
    int64_t y, x, h, w; /* of a map */
} crop;

static void draw_cells(pooling_figure *f, const cvi_maps *m, int64_t channel, crop c, double x, double y,
                       double cell) {
    cvi_color palette[256];
    cvi_scale_palette(&f->scale, f->page->t, palette);
    uint8_t *out =
        cvi_draw_image(f->page->s, x, y, cell * (double)c.w, cell * (double)c.h, c.w, c.h, 1, palette, false);
    for (int64_t r = 0; out != NULL && r < c.h; r++) {
        for (int64_t k = 0; k < c.w; k++) {
            float v = cvi_map(m, channel)[(c.y + r) * m->columns + c.x + k];
            out[r * c.w + k] = cvi_scale_index(&f->scale, v);
        }
    }
    if (cell < 22.0) { /* else the numbers fit into the cells */
        return;
    }
    for (int64_t r = 0; r < c.h; r++) {
        for (int64_t k = 0; k < c.w; k++) {
            float v = cvi_map(m, channel)[(c.y + r) * m->columns + c.x + k];
            char text[24];
            double a = fabs((double)v);
            snprintf(text, sizeof text, "%s%.*f", v < 0.0F ? "\xE2\x88\x92" : "",
                     a >= 100.0  ? 0
                     : a >= 10.0 ? 1
                                 : 2,
                     a);
            cvi_font small = {.size = CVI_MIN_TEXT, .anchor = CVI_MIDDLE};
            small.color = cvi_ink_on(palette[cvi_scale_index(&f->scale, v)]);
            cvi_draw_text_fit(f->page->s, x + ((double)k + 0.5) * cell, y + ((double)r + 0.5) * cell + 2.2,
                              cell - 1.5, &small, isfinite(v) ? text : cvi_num((double)v).text);
        }
    }
}

/* The windows that begin inside the crop, as outlines. Overlapping ones are drawn thin and slightly inside each other. */
static void draw_windows(pooling_figure *f, crop c, double x, double y, double cell) {
    const cvs_window *w = &f->p.window;
    bool overlapping = w->kernel[0] > w->stride[0] || w->kernel[1] > w->stride[1];
    /* White under black shows on any colour of the map. */
    cvi_paint under = {.stroke = 0xFFFFFFD0, .width = 2.2}, line = {.stroke = 0x000000FF, .width = 1.0};
    for (int64_t oy = 0; oy < f->p.out.rows; oy++) {
        for (int64_t ox = 0; ox < f->p.out.columns; ox++) {
            int64_t r0, r1, c0, c1;
            cvi_pooling_window(&f->p, oy, ox, &r0, &r1, &c0, &c1);
            if (r0 < c.y || c0 < c.x || r1 > c.y + c.h || c1 > c.x + c.w || r0 >= r1 || c0 >= c1) {
                continue;
            }
            double inset = overlapping ? cell * 0.06 * (double)(1 + (oy + ox) % 3) : 0.0;
            line.dash[0] = line.dash[1] = overlapping ? 2.0 : 0.0;
            double x0 = x + (double)(c0 - c.x) * cell + inset, y0 = y + (double)(r0 - c.y) * cell + inset;
            double w0 = (double)(c1 - c0) * cell - 2 * inset, h0 = (double)(r1 - r0) * cell - 2 * inset;
            cvi_draw_rect(f->page->s, x0, y0, w0, h0, 0, &under);
            cvi_draw_rect(f->page->s, x0, y0, w0, h0, 0, &line);
        }
    }
}

/* Very many winners as one picture of 3 x 3 pixels per cell, the middle one marked. */
static void draw_winner_picture(pooling_figure *f, int64_t channel, double x, double y, double cell) {
    int64_t w = f->p.in.columns, h = f->p.in.rows;
    cvi_color palette[256] = {0, f->page->t->role[CVI_MARK]};
    uint8_t *out =
        cvi_draw_image(f->page->s, x, y, cell * (double)w, cell * (double)h, 3 * w, 3 * h, 1, palette, false);
    for (int64_t o = 0; out != NULL && o < f->p.out.rows * f->p.out.columns; o++) {
        int64_t at = cvi_pooling_winner(&f->p, channel, o);
        if (at >= 0) {
            out[(at / w * 3 + 1) * 3 * w + at % w * 3 + 1] = 1;
        }
    }
}

/* Every winner inside the crop: a ring in a large cell, a dot in a small one. */
static void draw_winners(pooling_figure *f, int64_t channel, crop c, double x, double y, double cell) {
    cvi_paint under = {.stroke = 0xFFFFFFFF, .width = 2.6};
    cvi_paint ring = {.stroke = f->page->t->role[CVI_MARK], .width = 1.4},
              dot = {.fill = f->page->t->role[CVI_MARK]};
    for (int64_t o = 0; o < f->p.out.rows * f->p.out.columns; o++) {
        int64_t at = cvi_pooling_winner(&f->p, channel, o);
        int64_t r = at / f->p.in.columns, k = at % f->p.in.columns;
        if (at < 0 || r < c.y || k < c.x || r >= c.y + c.h || k >= c.x + c.w) {
            continue;
        }
        double cx = x + ((double)(k - c.x) + 0.5) * cell, cy = y + ((double)(r - c.y) + 0.5) * cell;
        if (cell >= 22.0) {
            cvi_draw_rect(f->page->s, cx - cell / 2 + 2, cy - cell / 2 + 2, cell - 4, cell - 4, 4, &under);
            cvi_draw_rect(f->page->s, cx - cell / 2 + 2, cy - cell / 2 + 2, cell - 4, cell - 4, 4, &ring);
        } else {
            cvi_draw_circle(f->page->s, cx, cy, fmin(fmax(cell * 0.3, 0.35), 3.0), &dot);
        }
    }
}

/* ---- a channel in detail -------------------------------------------------------------------------------------- */

/* A crop of whole windows around the strongest output. Global pooling shows the middle of the map. */
static void choose_crop(const pooling_figure *f, int64_t channel, crop *in, crop *out) {
    const cvi_pooling *p = &f->p;
    int64_t best = 0;
    const float *v = cvi_map(&p->out, channel);
    for (int64_t i = 1; i < p->out.rows * p->out.columns; i++) {
        best = fabsf(v[i]) > fabsf(v[best]) ? i : best;
    }
    int64_t size[2] = {p->out.rows, p->out.columns}, at[2] = {best / p->out.columns, best % p->out.columns};
    int64_t map[2] = {p->in.rows, p->in.columns}, first[2], n[2], from[2], to[2];
    for (int a = 0; a < 2; a++) {
        int64_t fit = (ZOOM_CELLS - p->window.kernel[a]) / p->window.stride[a] + 1;
        n[a] = CVI_MIN(CVI_MAX(fit, 1), size[a]);
        first[a] = CVI_MIN(CVI_MAX(at[a] - n[a] / 2, 0), size[a] - n[a]);
        from[a] = first[a] * p->window.stride[a] - p->window.pad_begin[a];
        to[a] = from[a] + (n[a] - 1) * p->window.stride[a] +
                (p->window.kernel[a] - 1) * p->window.dilation[a] + 1;
        from[a] = CVI_MAX(from[a], 0);
        to[a] = CVI_MIN(CVI_MAX(to[a], from[a] + 1), map[a]);
        if (to[a] - from[a] > 4 * ZOOM_CELLS) { /* a huge window */
            from[a] += (to[a] - from[a] - 4 * ZOOM_CELLS) / 2;
            to[a] = from[a] + 4 * ZOOM_CELLS;
        }
    }
    *in = (crop){from[0], from[1], to[0] - from[0], to[1] - from[1]};
    *out = (crop){first[0], first[1], n[0], n[1]};
}

static void caption(pooling_figure *f, double x, double y, double w, const char *text) {
    cvi_font small = cvi_font_small(f->page);
    cvi_draw_text_fit(f->page->s, x, y, w, &small, text);
}

static void draw_arrow(cvi_page *page, double x1, double x2, double y) {
    cvi_paint pen = {.stroke = page->t->role[CVI_MUTED], .width = 0.8};
    cvi_draw_line(page->s, x1, y, x2 - 3, y, &pen);
    cvi_draw_arrow_head(page->s, x2, y, 1, 0, 5, page->t->role[CVI_MUTED]);
}

static void draw_channel(pooling_figure *f, int64_t channel) {
    cvi_page *page = f->page;
    const cvi_pooling *p = &f->p;
    crop in, out, all = {0, 0, p->in.rows, p->in.columns};
    choose_crop(f, channel, &in, &out);
    bool zoomed = in.h < p->in.rows || in.w < p->in.columns;
    double full_side = zoomed ? page->width * 0.30 : 0.0, gap = 16.0;
    double rest = page->width - full_side - (zoomed ? gap : 0.0) - 40.0;
    double in_cell = fmin(rest * 0.62 / (double)CVI_MAX(in.h, in.w), 27.0);
    double out_cell = fmin(rest * 0.38 / (double)CVI_MAX(out.h, out.w), 27.0);
    double y = page->y + 22, x = page->left;
    cvi_font strong = cvi_font_strong(page);
    char line[128];
    snprintf(line, sizeof line, cvi_page_tr(page, "Channel %lld"), (long long)channel);
    cvi_draw_text_fit(page->s, x, page->y + 9, page->width, &strong, line);
    double tall = 0.0;
    if (zoomed) {
        double cell = full_side / (double)CVI_MAX(p->in.rows, p->in.columns);
        caption(f, x, y - 4, full_side,
                cvi_page_tr(page, f->p.has_winners ? "input and all winners" : "input"));
        draw_cells(f, &p->in, channel, all, x, y, cell);
        if (f->p.has_winners && f->p.out.rows * f->p.out.columns > 400) {
            draw_winner_picture(f, channel, x, y, cell);
        } else {
            draw_winners(f, channel, all, x, y, cell);
        }
        cvi_paint box = {.stroke = page->t->role[CVI_ACCENT], .width = 1.2};
        cvi_draw_rect(page->s, x + (double)in.x * cell, y + (double)in.y * cell, cell * (double)in.w,
                      cell * (double)in.h, 0, &box);
        tall = cell * (double)p->in.rows;
        x += full_side + gap;
    }
    double in_w = in_cell * (double)in.w, in_h = in_cell * (double)in.h;
    snprintf(line, sizeof line,
             cvi_page_tr(page, "rows %lld–%lld, columns %lld–%lld of the input, with windows"),
             (long long)in.y, (long long)(in.y + in.h - 1), (long long)in.x, (long long)(in.x + in.w - 1));
    cvi_font small = cvi_font_small(page);
    double words = fmin(cvi_text_width(&small, line), rest * 0.62);
    caption(f, x, y - 4, words + 1, line);
    draw_cells(f, &p->in, channel, in, x, y, in_cell);
    draw_windows(f, in, x, y, in_cell);
    draw_winners(f, channel, in, x, y, in_cell);
    double out_x = x + fmax(in_w, words) + 40, out_h = out_cell * (double)out.h;
    double middle = y + fmax(fmin(in_h, out_h) / 2, 5);
    draw_arrow(page, x + in_w + 4, out_x - 4, middle);
    caption(f, out_x, y - 4, page->left + page->width - out_x, cvi_page_tr(page, "output"));
    draw_cells(f, &p->out, channel, out, out_x, y, out_cell);
    cvi_paint edge = {.stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_rect(page->s, out_x, y, out_cell * (double)out.w, out_h, 0, &edge);
    page->y = y + fmax(fmax(tall, in_h), out_h) + 10;
}

/* ---- all channels ----------------------------------------------------------------------------------------------- */

static void paint_map(const cvi_maps *m, int64_t channel, int64_t shrink, const cvi_scale *scale,
                      uint8_t *out) {
    int64_t rows = (m->rows + shrink - 1) / shrink, columns = (m->columns + shrink - 1) / shrink;
    for (int64_t y = 0; y < rows; y++) {
        for (int64_t x = 0; x < columns; x++) {
            out[y * columns + x] = cvi_scale_index(scale, cvi_map_mean(m, channel, y, x, shrink));
        }
    }
}

static void paint_input(void *context, int64_t i, uint8_t *out) {
    const pooling_figure *f = context;
    paint_map(&f->p.in, i, f->shrink_in, &f->scale, out);
}

static void paint_output(void *context, int64_t i, uint8_t *out) {
    const pooling_figure *f = context;
    paint_map(&f->p.out, i, f->shrink_out, &f->scale, out);
}

static void describe(void *context, int64_t i, cvi_tile *tile) {
    pooling_figure *f = context;
    double lo, hi;
    cvi_map_kind kind = cvi_map_look(&f->p.out, i, &lo, &hi);
    snprintf(f->tooltip, sizeof f->tooltip, cvi_page_tr(f->page, "channel %lld: output from %s to %s"),
             (long long)i, cvi_num(lo).text, cvi_num(hi).text);
    tile->tooltip = f->tooltip;
    tile->mark = kind == CVI_MAP_BLANK    ? CVI_TILE_BLANK
                 : kind == CVI_MAP_BROKEN ? CVI_TILE_BROKEN
                                          : CVI_TILE_PLAIN;
}

/* For one output per map its number stands under the input map; else the output maps have a sheet of their own. */
static cvs_status draw_all(pooling_figure *f, cvs_error *err) {
    cvi_page *page = f->page;
    bool scalar = f->p.out.rows * f->p.out.columns == 1;
    cvi_font small = {.size = CVI_MIN_TEXT};
    for (int pass = 0; pass < (scalar ? 1 : 2); pass++) {
        const cvi_maps *m = pass == 0 ? &f->p.in : &f->p.out;
        int64_t shrink = cvi_shrink_factor(m->maps, m->rows, m->columns, page->o.max_pixels / 2);
        *(pass == 0 ? &f->shrink_in : &f->shrink_out) = shrink;
        cvi_sheet sheet = {.count = m->maps, .context = f, .label_lines = 1, .describe = describe};
        sheet.paint = pass == 0 ? paint_input : paint_output;
        sheet.rows = (m->rows + shrink - 1) / shrink;
        sheet.columns = (m->columns + shrink - 1) / shrink;
        sheet.label_width = cvi_text_width(&small, m->maps > 1000 ? "0000" : m->maps > 100 ? "000" : "00");
        sheet.side = fmin(44.0, 14.0 + (double)CVI_MAX(m->rows, m->columns));
        sheet.side =
            fmin(sheet.side, fmax(14.0, sqrt(page->width * page->width * 0.5 / (double)m->maps) - 3));
        cvi_scale_palette(&f->scale, page->t, sheet.palette);
        cvi_page_heading(page, cvi_page_tr(page, pass == 0 ? "Input, all channels" : "Output, all channels"));
        if (shrink > 1) {
            cvi_page_notef(
                page,
                cvi_page_tr(page, "To bound the size, every pixel shown is the mean of %lld x %lld values."),
                (long long)shrink, (long long)shrink);
        }
        page->y += 3;
        CVI_TRY(cvi_draw_sheet(page, &sheet, err));
    }
    return CVS_OK;
}

/* ---- words -------------------------------------------------------------------------------------------------------- */

static void say_what(pooling_figure *f) {
    cvi_page *page = f->page;
    const cvi_pooling *p = &f->p;
    char in[64], out[64];
    snprintf(in, sizeof in, "%lld x %lld", (long long)p->in.rows, (long long)p->in.columns);
    snprintf(out, sizeof out, "%lld x %lld", (long long)p->out.rows, (long long)p->out.columns);
    if (!p->is_max && strstr(p->window.kind, "average") == NULL) {
        cvi_page_notef(page, cvi_page_tr(page, "Pooling by a norm over each window: %s becomes %s."), in,
                       out);
    } else if (p->global) {
        cvi_page_notef(
            page,
            cvi_page_tr(page, p->is_max
                                  ? "Global max pooling: the largest of each map's %s values is kept."
                                  : "Global average pooling: the mean of each map's %s values is kept."),
            in);
    } else {
        cvi_page_notef(page,
                       cvi_page_tr(page, p->is_max
                                             ? "Max pooling: each window of %lld x %lld, every %lld x %lld, "
                                               "keeps its largest value (its winner, marked): %s becomes %s."
                                             : "Average pooling: each window of %lld x %lld, every %lld x "
                                               "%lld, keeps its mean: %s becomes %s."),
                       (long long)p->window.kernel[0], (long long)p->window.kernel[1],
                       (long long)p->window.stride[0], (long long)p->window.stride[1], in, out);
    }
}

static void say_shift(pooling_figure *f, const cvs_shift_stats *s) {
    cvi_page *page = f->page;
    double n = (double)CVI_MAX(s->windows, 1);
    cvi_page_heading(page, cvi_page_tr(page, "When the layer's input moves"));
    cvi_page_notef(page,
                   cvi_page_tr(page, "Input moved by %lld to the right and %lld down (edges repeated), then "
                                     "pooled again: of %s outputs, %s (%.1f%%) keep their value."),
                   (long long)f->d->shift[0], (long long)f->d->shift[1], cvi_count(s->windows).text,
                   cvi_count(s->same_output).text, 100.0 * (double)s->same_output / n);
    if (!f->p.has_winners) {
        page->y += 6;
        return;
    }
    static const char *const names[3] = {"same place", "moved with the input", "elsewhere"};
    const int64_t counts[3] = {s->same, s->followed, s->elsewhere};
    const cvi_color colors[3] = {page->t->role[CVI_LINE], page->t->role[CVI_ACCENT], page->t->role[CVI_MARK]};
    cvi_page_notef(page, cvi_page_tr(page, "%s of %s winners move (%.1f%%):"),
                   cvi_count(s->followed + s->elsewhere).text, cvi_count(s->windows).text,
                   100.0 * (double)(s->followed + s->elsewhere) / n);
    page->y += 4;
    cvi_font small = cvi_font_small(page);
    double x = page->left, third = page->width / 3;
    for (int i = 0; i < 3; i++) {
        cvi_paint fill = {.fill = colors[i]};
        double w = page->width * (double)counts[i] / n;
        if (w > 0.0) {
            cvi_draw_rect(page->s, x, page->y, w, 9, 0, &fill);
        }
        x += w;
        double lx = page->left + third * i;
        cvi_draw_rect(page->s, lx, page->y + 14, 6, 6, 1, &fill);
        char line[128];
        snprintf(line, sizeof line, "%s: %s (%.1f%%)", cvi_page_tr(page, names[i]), cvi_count(counts[i]).text,
                 100.0 * (double)counts[i] / n);
        cvi_draw_text_fit(page->s, lx + 9, page->y + 19.5, third - 12, &small, line);
    }
    page->y += 28;
}

/* ---- the figure ------------------------------------------------------------------------------------------------------ */

static cvs_status draw_content(pooling_figure *f, cvs_error *err) {
    cvi_page *page = f->page;
    cvs_maps_stats in, out;
    CVI_TRY(cvs_maps_measure(f->d->input, f->d->sample, &in, err));
    CVI_TRY(cvs_maps_measure(f->d->output, f->d->sample, &out, err));
    f->scale = cvi_scale_for(fmin(in.least, out.least), fmax(in.largest, out.largest));
    say_what(f);
    int64_t wanted = f->d->examples > 0 ? f->d->examples : 3, n = CVI_MIN(wanted, f->p.in.maps);
    if (n < f->p.in.maps) {
        cvi_page_notef(
            page, cvi_page_tr(page, "In detail: the %lld channels with the strongest output; below, all %s."),
            (long long)n, cvi_count(f->p.in.maps).text);
    }
    page->y += 4;
    page->y += cvi_legend(page, page->left, page->y, 180, &f->scale,
                          cvi_page_tr(page, "value, one scale for input and output")) +
               6;
    bool known = f->p.is_max || strstr(f->p.window.kind, "average") != NULL;
    if (known && (f->d->shift[0] != 0 || f->d->shift[1] != 0)) {
        cvs_shift_stats s;
        CVI_TRY(cvs_pooling_shift(f->d, &s, err));
        say_shift(f, &s);
    }
    for (int64_t i = 0; i < n; i++) {
        draw_channel(f, f->order[i]);
    }
    bool whole = n == f->p.in.maps && f->p.in.rows <= ZOOM_CELLS && f->p.in.columns <= ZOOM_CELLS;
    return whole ? CVS_OK : draw_all(f, err);
}

cvs_status cvs_draw_pooling(const cvs_pooling_data *data, const cvs_figure_options *options, cvs_figure **out,
                            cvs_error *err) {
    pooling_figure f = {.d = data, .shrink_in = 1, .shrink_out = 1};
    *out = NULL;
    CVI_TRY(cvi_pooling_view(data, &f.p, err));
    cvi_page page;
    char title[256];
    snprintf(title, sizeof title, cvi_tr(options != NULL ? options->lang : CVS_EN, "Pooling in %s"),
             data->layer != NULL ? data->layer : "?");
    CVI_TRY(cvi_page_begin(&page, options, title, data->settings, err));
    f.page = &page;
    cvs_status status = cvi_pooling_strongest(&f.p, &f.order, err);
    if (status == CVS_OK) {
        status = draw_content(&f, err);
    }
    cvi_free(f.order);
    if (status != CVS_OK) {
        cvi_page_abort(&page);
        return status;
    }
    return cvi_page_end(&page, out, err);
}
