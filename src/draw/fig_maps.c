/* SPDX-License-Identifier: MIT
 * fig_maps.c - every feature map of a layer for one picture. Blank and constant maps are marked and counted; one scale for
 * the layer unless each map is to have its own; a vector becomes bars with their names and numbers.
 */
#include "draw/maps.h"

#include <math.h>
#include <stdlib.h>

#define LISTED                                                                                               \
    60 /* a vector of at most so many values is a list; a longer one a chart and its largest values */
#define TOP 16

typedef struct maps_figure {
    const cvs_maps_data *d;
    cvi_page *page;
    cvi_maps m;
    cvs_maps_stats stats;
    cvi_scale scale;
    int64_t shrink;
    char tooltip[160];
} maps_figure;

static void paint(void *context, int64_t i, uint8_t *out) {
    const maps_figure *f = context;
    cvi_scale scale = f->scale;
    int64_t rows = (f->m.rows + f->shrink - 1) / f->shrink,
            columns = (f->m.columns + f->shrink - 1) / f->shrink;
    if (f->d->own_scale) {
        double lo, hi;
        cvi_map_look(&f->m, i, &lo, &hi);
        scale.hi = fmax(fabs(lo), fabs(hi));
        scale.lo = scale.is_signed ? -scale.hi : 0.0;
    }
    for (int64_t y = 0; y < rows; y++) {
        for (int64_t x = 0; x < columns; x++) {
            int index = cvi_scale_index(&scale, cvi_map_mean(&f->m, i, y, x, f->shrink));
            /* A compact page takes 64 of the colours (zero's among them): a quarter less to store, no less to see. */
            out[y * columns + x] =
                (uint8_t)(f->page->o.compact ? CVI_MIN(CVI_MAX((index + 2) / 4 * 4, 4), 255) : index);
        }
    }
}

static void describe(void *context, int64_t i, cvi_tile *tile) {
    maps_figure *f = context;
    double lo, hi;
    cvi_map_kind kind = cvi_map_look(&f->m, i, &lo, &hi);
    static const cvi_tile_mark marks[] = {CVI_TILE_PLAIN, CVI_TILE_BLANK, CVI_TILE_CONSTANT, CVI_TILE_BROKEN};
    static const char *const words[] = {"map %lld: from %s to %s", "map %lld: blank (all zero)%.0s%.0s",
                                        "map %lld: constant, %s everywhere%.0s",
                                        "map %lld: has values that are not finite; the others from %s to %s"};
    snprintf(f->tooltip, sizeof f->tooltip, cvi_page_tr(f->page, words[kind]), (long long)i, cvi_num(lo).text,
             cvi_num(hi).text);
    tile->tooltip = f->tooltip;
    tile->mark = marks[kind];
}

double cvi_draw_picture(cvi_page *page, double x, double y, double side, const cvs_tensor *picture,
                        double *width) {
    *width = 0.0;
    if (picture == NULL || picture->data == NULL || picture->dtype != CVS_U8 || picture->rank != 3 ||
        picture->dim[2] != 3 || cvs_tensor_count(picture) <= 0) {
        return 0.0;
    }
    int64_t h = picture->dim[0], w = picture->dim[1];
    double scale = side / (double)CVI_MAX(h, w);
    uint8_t *out =
        cvi_draw_image(page->s, x, y, scale * (double)w, scale * (double)h, w, h, 3, NULL, scale < 1.0);
    if (out != NULL) {
        memcpy(out, picture->data, (size_t)(h * w * 3));
    }
    cvi_paint edge = {.stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_rect(page->s, x, y, scale * (double)w, scale * (double)h, 0, &edge);
    *width = scale * (double)w;
    return scale * (double)h;
}

/* The picture and the legend side by side. */
static void draw_head(maps_figure *f) {
    cvi_page *page = f->page;
    double width = 0.0, top = page->y;
    double tall = page->o.bare ? 0.0 : cvi_draw_picture(page, page->left, top, 72, f->d->picture, &width);
    double x = page->left + (width > 0.0 ? width + 14 : 0.0), y = top;
    cvi_font small = cvi_font_small(page);
    if (width > 0.0) {
        cvi_draw_text_fit(page->s, x, y + 6.5, page->left + page->width - x, &small,
                          cvi_page_tr(page, "The picture as the network sees it"));
        y += 10;
        if (f->d->picture_name != NULL) {
            cvi_draw_text_fit(page->s, x, y + 6.5, page->left + page->width - x, &small, f->d->picture_name);
            y += 10;
        }
        y += 6;
    }
    if (f->d->own_scale) {
        cvi_scale unit = {.is_signed = f->scale.is_signed, .lo = f->scale.is_signed ? -1.0 : 0.0, .hi = 1.0};
        y += cvi_legend(page, x, y, 180, &unit,
                        cvi_page_tr(page, "activation / the map's own largest absolute value"));
    } else {
        y += cvi_legend(page, x, y, 180, &f->scale, cvi_page_tr(page, "activation, one scale for all maps"));
    }
    page->y = fmax(top + tall, y) + 8;
}

static void say_what(maps_figure *f) {
    cvi_page *page = f->page;
    const cvs_maps_stats *s = &f->stats;
    cvi_page_notef(
        page,
        cvi_page_tr(page, "%s maps of %s x %s, all shown. Values from %s to %s, mean %s; %.1f%% are zero."),
        cvi_count(s->maps).text, cvi_count(s->rows).text, cvi_count(s->columns).text, cvi_num(s->least).text,
        cvi_num(s->largest).text, cvi_num(s->mean).text, 100.0 * s->zero_share);
    if (s->blank > 0) {
        cvi_page_notef(page,
                       cvi_page_tr(page, "Blank for this picture (all zero, crossed out): %s of %s maps."),
                       cvi_count(s->blank).text, cvi_count(s->maps).text);
    } else {
        cvi_page_note(page, cvi_page_tr(page, "No map is blank."));
    }
    if (s->constant > 0) {
        cvi_page_notef(page, cvi_page_tr(page, "One value everywhere, not zero (marked =): %s maps."),
                       cvi_count(s->constant).text);
    }
    if (s->not_finite > 0) {
        cvi_page_notef(page, cvi_page_tr(page, "NaN or infinite (maps marked x): %s values."),
                       cvi_count(s->not_finite).text);
    }
    if (f->scale.is_signed) {
        cvi_page_note(page, cvi_page_tr(page, "Blue is negative, red positive, the neutral colour zero."));
    }
    if (f->shrink > 1) {
        cvi_page_notef(
            page,
            cvi_page_tr(page, "To bound the size, every pixel shown is the mean of %lld x %lld values."),
            (long long)f->shrink, (long long)f->shrink);
    }
}

/* ---- vectors ------------------------------------------------------------------------------------------------ */

static const char *class_name(const maps_figure *f, int64_t i) {
    return f->d->classes != NULL && f->d->n_classes == f->m.maps ? f->d->classes[i] : NULL;
}

/* One bar with its number, name and value. x0 is where zero is, `per` points per unit. */
static void draw_bar(maps_figure *f, int64_t i, double left, double y, double column) {
    cvi_page *page = f->page;
    double v = (double)f->m.data[i],
           number_w = 8 + 4.8 * (f->m.maps > 9999  ? 5
                                 : f->m.maps > 999 ? 4
                                                   : 3),
           value_w = 38;
    const char *name = class_name(f, i);
    double name_w = name != NULL ? fmin(120.0, column * 0.35) : 0.0;
    double bar_left = left + number_w + name_w + 4, bar_w = column - number_w - name_w - value_w - 8;
    double zero = f->scale.is_signed ? bar_left + bar_w / 2 : bar_left;
    double per = f->scale.hi > 0.0 ? (f->scale.is_signed ? bar_w / 2 : bar_w) / f->scale.hi : 0.0;
    cvi_font small = cvi_font_small(page);
    cvi_font value = small;
    small.anchor = CVI_END;
    cvi_draw_textf(page->s, left + number_w - 4, y + 6.7, &small, "%lld", (long long)i);
    small.anchor = CVI_START;
    value.anchor = CVI_END;
    value.color = page->t->role[CVI_INK];
    if (name != NULL) {
        small.color = page->t->role[CVI_INK];
        cvi_draw_text_fit(page->s, left + number_w, y + 6.7, name_w, &small, name);
    }
    if (isfinite(v)) {
        double w = fabs(v) * per;
        cvi_paint bar = {.fill = page->t->role[v < 0.0 ? CVI_NEGATIVE : CVI_POSITIVE]};
        cvi_draw_rect(page->s, v < 0.0 ? zero - w : zero, y + 1.5, fmax(w, 0.3), 6, 0, &bar);
    }
    cvi_draw_text(page->s, left + column, y + 6.7, &value, cvi_num(v).text);
}

typedef struct keyed {
    float v;
    int64_t i;
} keyed;

static int by_value(const void *a, const void *b) {
    const keyed *p = a, *q = b;
    float x = isnan(p->v) ? -INFINITY : p->v, y = isnan(q->v) ? -INFINITY : q->v;
    return x > y ? -1 : x < y ? 1 : p->i < q->i ? -1 : p->i > q->i;
}

/* The values of one row of the chart as one path, from a zero line. */
static void draw_strip(maps_figure *f, int64_t first, int64_t n, double x, double y, double h, double step) {
    cvi_page *page = f->page;
    double zero = f->scale.is_signed ? y + h / 2 : y + h,
           per = (f->scale.is_signed ? h / 2 : h) / fmax(f->scale.hi, 1e-300);
    for (int sign = 0; sign < 2; sign++) {
        cvi_path_begin(page->s);
        for (int64_t i = 0; i < n; i++) {
            double v = (double)f->m.data[first + i], left = x + ((double)i + 0.5) * step;
            if (isfinite(v) && (sign == 0 ? v > 0.0 : v < 0.0)) {
                cvi_path_move(page->s, left, zero);
                cvi_path_line(page->s, left, zero - v * per);
            }
        }
        cvi_paint bar = {.stroke = page->t->role[sign == 0 ? CVI_POSITIVE : CVI_NEGATIVE],
                         .width = step * 0.8};
        cvi_path_end(page->s, &bar);
    }
    cvi_paint line = {.stroke = page->t->role[CVI_LINE], .width = 0.4};
    cvi_draw_line(page->s, x, zero, x + (double)n * step, zero, &line);
}

static void draw_long_vector(maps_figure *f) {
    cvi_page *page = f->page;
    int64_t n = f->m.maps, per_row = CVI_MIN(n, 256);
    while (n / per_row > 24) {
        per_row *= 2;
    }
    double step = (page->width - 30) / (double)per_row, h = n / per_row > 8 ? 16 : 30;
    cvi_font small = cvi_font_small(page);
    small.anchor = CVI_END;
    for (int64_t first = 0; first < n; first += per_row) {
        cvi_draw_textf(page->s, page->left + 26, page->y + h / 2 + 2.3, &small, "%lld", (long long)first);
        draw_strip(f, first, CVI_MIN(per_row, n - first), page->left + 30, page->y, h, step);
        page->y += h + 4;
    }
}

static cvs_status draw_vector(maps_figure *f, cvs_error *err) {
    cvi_page *page = f->page;
    int64_t n = f->m.maps, zeros = 0, listed = n <= LISTED ? n : TOP;
    keyed *keys = cvi_calloc((size_t)n, sizeof *keys);
    if (keys == NULL) {
        return cvi_no_memory(err, (size_t)n * sizeof *keys);
    }
    for (int64_t i = 0; i < n; i++) {
        keys[i] = (keyed){f->m.data[i], i};
        zeros += f->m.data[i] == 0.0F ? 1 : 0;
    }
    cvi_page_notef(page, cvi_page_tr(page, "A vector of %s values from %s to %s, all shown; %s are zero."),
                   cvi_count(n).text, cvi_num(f->stats.least).text, cvi_num(f->stats.largest).text,
                   cvi_count(zeros).text);
    page->y += 6;
    if (n > LISTED) {
        draw_long_vector(f);
        qsort(keys, (size_t)n, sizeof *keys, by_value);
        cvi_page_heading(page, cvi_page_tr(page, "The largest values"));
    }
    int64_t columns = listed > 12 || class_name(f, 0) == NULL ? 2 : 1,
            down = (listed + columns - 1) / columns;
    double column = fmin((page->width - 16.0 * (double)(columns - 1)) / (double)columns, 380.0);
    for (int64_t i = 0; i < listed; i++) {
        draw_bar(f, keys[i].i, page->left + (double)(i / down) * (column + 16),
                 page->y + (double)(i % down) * 9.5, column);
    }
    page->y += 9.5 * (double)down + 2;
    cvi_free(keys);
    return CVS_OK;
}

/* ---- the figure ----------------------------------------------------------------------------------------------- */

static cvs_status draw_content(maps_figure *f, cvs_error *err) {
    cvi_page *page = f->page;
    f->scale = cvi_scale_for(f->stats.least, f->stats.largest);
    if (f->m.rows * f->m.columns == 1) {
        return draw_vector(f, err);
    }
    f->shrink = cvi_shrink_factor(f->m.maps, f->m.rows, f->m.columns, page->o.max_pixels);
    say_what(f);
    page->y += 6;
    draw_head(f);
    cvi_sheet sheet = {
        .count = f->m.maps, .paint = paint, .describe = describe, .context = f, .label_lines = 1};
    sheet.rows = (f->m.rows + f->shrink - 1) / f->shrink;
    sheet.columns = (f->m.columns + f->shrink - 1) / f->shrink;
    cvi_font small = {.size = CVI_MIN_TEXT};
    sheet.label_width = cvi_text_width(&small, f->m.maps > 1000 ? "0000" : f->m.maps > 100 ? "000" : "00");
    cvi_scale_palette(&f->scale, page->t, sheet.palette);
    return cvi_draw_sheet(page, &sheet, err);
}

cvs_status cvs_draw_maps(const cvs_maps_data *data, const cvs_figure_options *options, cvs_figure **out,
                         cvs_error *err) {
    maps_figure f = {.d = data, .shrink = 1};
    *out = NULL;
    CVI_TRY(cvi_maps_view(data->value, data->sample, &f.m, err));
    CVI_TRY(cvs_maps_measure(data->value, data->sample, &f.stats, err));
    cvi_page page;
    char title[256];
    snprintf(title, sizeof title, cvi_tr(options != NULL ? options->lang : CVS_EN, "Activations of %s"),
             data->layer != NULL ? data->layer : "?");
    CVI_TRY(cvi_page_begin(&page, options, title, data->settings, err));
    f.page = &page;
    cvs_status status = draw_content(&f, err);
    if (status != CVS_OK) {
        cvi_page_abort(&page);
        return status;
    }
    return cvi_page_end(&page, out, err);
}
