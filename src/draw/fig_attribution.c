/* SPDX-License-Identifier: MIT
 * fig_attribution.c - an explanation beside its picture: the picture, the map laid over it, the map itself with numbers, and the votes
 * of the feature maps. Enlarging, scaling and colour happen here only; the map stays raw.
 */
#include <math.h>
#include <stdlib.h>

#include "draw/attribution.h"
#include "draw/maps.h"

#define TILE    150.0 /* side of the large pictures, points */
#define GAP     14.0
#define VOTES   8
#define SHARPER 192 /* smaller pictures are enlarged so far that the map over them is smooth */
#define LARGEST 448 /* larger pictures and maps are averaged down to about this side */

typedef struct attribution {
    const cvs_attribution_data *d;
    const cvi_attribution_parts *parts;
    cvi_page *page;
    int64_t channels, h, w; /* of the map */
    float *map;             /* its channels added up, owned */
    double limit;           /* the value that gets the full colour */
    cvi_scale scale;
} attribution;

/* The sides of a map [1,C,h,w], or [1,h,w] of a network whose input has no channels. */
typedef struct map_shape {
    int64_t channels, h, w;
} map_shape;

static cvs_status shape_of(const cvs_tensor *t, map_shape *out, cvs_error *err) {
    if ((t->rank != 4 && t->rank != 3) || t->dtype != CVS_F32 || t->dim[0] != 1 || cvs_tensor_count(t) <= 0) {
        char text[200];
        return cvi_fail(err, CVS_E_UNSUPPORTED, "a map of shape %s cannot be drawn over a picture",
                        cvs_shape_text(t->rank, t->dim, text, sizeof text));
    }
    *out = (map_shape){
        .channels = t->rank == 4 ? t->dim[1] : 1, .h = t->dim[t->rank - 2], .w = t->dim[t->rank - 1]};
    return CVS_OK;
}

/* One number per pixel of a map with several channels: the sum, which keeps the sign. What is not finite counts as zero. */
static cvs_status flatten(const cvs_explanation *e, map_shape *shape, float **out, int64_t *not_finite,
                          cvs_error *err) {
    const cvs_tensor *t = &e->map;
    CVI_TRY(shape_of(t, shape, err));
    int64_t area = shape->h * shape->w;
    const float *in = t->data;
    *not_finite = 0;
    *out = cvi_calloc((size_t)area, sizeof **out);
    if (!*out) {
        return cvi_no_memory(err, (size_t)area * sizeof **out);
    }
    for (int64_t i = 0; i < area; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < shape->channels; k++) {
            double v = (double)in[k * area + i];
            *not_finite += !isfinite(v);
            sum += isfinite(v) ? v : 0.0;
        }
        /* A grid holds the target's value under the patch: what was lost is drawn. */
        (*out)[i] = (float)(e->kind == CVS_MAP_GRID ? e->target_value - sum : sum);
    }
    return CVS_OK;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

cvs_status cvi_attribution_measure(const cvs_explanation *e, cvi_attribution_range *out, cvs_error *err) {
    float *map = NULL;
    map_shape shape;
    *out = (cvi_attribution_range){0};
    CVI_TRY(flatten(e, &shape, &map, &out->not_finite, err));
    int64_t area = shape.h * shape.w;
    for (int64_t i = 0; i < area; i++) {
        out->least = fmin(out->least, (double)map[i]);
        map[i] = fabsf(map[i]);
        out->largest = fmax(out->largest, (double)map[i]);
    }
    if (e->kind == CVS_MAP_PIXELS) {
        qsort(map, (size_t)area, sizeof *map, ascending);
        double most = (double)map[(area - 1) - area / 200];
        out->largest = most > 0.0 ? most : out->largest;
    }
    cvi_free(map);
    return CVS_OK;
}

/* The map at a point of the unit square: bilinear, half-pixel centres, edges repeated. */
static double sample(const attribution *a, double u, double v) {
    const cvs_explanation *e = a->d->why;
    double down = v * (double)a->h - 0.5, right = u * (double)a->w - 0.5;
    if (e->kind == CVS_MAP_GRID && e->stride > 0) { /* a cell's place is the middle of its patch */
        down = (v * (double)e->side[0] - (double)e->patch / 2.0) / (double)e->stride;
        right = (u * (double)e->side[1] - (double)e->patch / 2.0) / (double)e->stride;
    }
    double y = fmin(fmax(down, 0.0), (double)a->h - 1.0);
    double x = fmin(fmax(right, 0.0), (double)a->w - 1.0);
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = CVI_MIN(y0 + 1, a->h - 1), x1 = CVI_MIN(x0 + 1, a->w - 1);
    double fy = y - (double)y0, fx = x - (double)x0;
    double top = (double)a->map[y0 * a->w + x0] * (1 - fx) + (double)a->map[y0 * a->w + x1] * fx;
    double bottom = (double)a->map[y1 * a->w + x0] * (1 - fx) + (double)a->map[y1 * a->w + x1] * fx;
    return top * (1 - fy) + bottom * fy;
}

static void color_of(const attribution *a, double v, uint8_t rgb[3]) {
    const cvi_theme *t = a->page->t;
    cvi_color c = a->scale.is_signed
                      ? t->diverging[cvi_map_diverging((float)v, (float)a->limit)]
                      : t->sequential[cvi_map_sequential((float)v, (float)a->scale.lo, (float)a->limit)];
    rgb[0] = (uint8_t)(c >> 24);
    rgb[1] = (uint8_t)(c >> 16);
    rgb[2] = (uint8_t)(c >> 8);
}

static uint8_t mixed(double alpha, double grey, uint8_t color) {
    return (uint8_t)((1 - alpha) * (0.85 * grey + 25.0) + alpha * color + 0.5);
}

/* The picture in grey with the map's colour over it, the stronger the more opaque. A small picture's pixels become blocks, so
 * that the map over them is as smooth as it is; a large one's are averaged. */
static void draw_overlay(attribution *a, double x, double y, double width, double height) {
    const cvs_tensor *p = a->d->picture;
    int64_t h = p->dim[0], w = p->dim[1], side = CVI_MAX(h, w);
    int64_t up = CVI_MAX(1, SHARPER / side), down = (side + LARGEST - 1) / LARGEST;
    int64_t rows = (h + down - 1) / down * up, columns = (w + down - 1) / down * up;
    uint8_t *out = cvi_draw_image(a->page->s, x, y, width, height, columns, rows, 3, NULL, up == 1);
    const uint8_t *in = p->data;
    for (int64_t i = 0; out && i < rows * columns; i++) {
        int64_t top = i / columns / up * down, left = i % columns / up * down, n = 0;
        double grey = 0.0;
        for (int64_t r = top; r < CVI_MIN(top + down, h); r++) {
            for (int64_t c = left; c < CVI_MIN(left + down, w); c++, n++) {
                const uint8_t *pixel = in + 3 * (r * w + c);
                grey += 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
            }
        }
        double v = sample(a, ((double)(i % columns) + 0.5) / (double)columns,
                          ((double)(i / columns) + 0.5) / (double)rows);
        double from = a->scale.is_signed ? 0.0 : a->scale.lo;
        double strength = a->limit > from ? fmin(fmax(fabs(v) - from, 0.0) / (a->limit - from), 1.0) : 0.0;
        uint8_t rgb[3];
        color_of(a, v, rgb);
        for (int k = 0; k < 3; k++) {
            out[3 * i + k] = mixed(0.75 * sqrt(strength), grey / (double)CVI_MAX(n, 1), rgb[k]);
        }
    }
}

static void draw_map(attribution *a, double x, double y, double width, double height) {
    cvi_maps one = {.data = a->map, .maps = 1, .rows = a->h, .columns = a->w};
    int64_t down = (CVI_MAX(a->h, a->w) + LARGEST - 1) / LARGEST;
    int64_t rows = (a->h + down - 1) / down, columns = (a->w + down - 1) / down;
    uint8_t *out = cvi_draw_image(a->page->s, x, y, width, height, columns, rows, 3, NULL, false);
    for (int64_t i = 0; out && i < rows * columns; i++) {
        color_of(a, (double)cvi_map_mean(&one, 0, i / columns, i % columns, down), out + 3 * i);
    }
}

static const char *legend_words(const attribution *a) {
    if (a->d->why->kind == CVS_MAP_GRID) {
        return cvi_page_tr(a->page, "what the target loses when the patch is there");
    }
    return cvi_page_tr(a->page,
                       a->d->why->kind == CVS_MAP_PIXELS
                           ? "per unit of input, raw; the strongest half a percent share the end colours"
                           : "contribution, raw");
}

static bool has_picture(const cvs_tensor *p) {
    return p && p->data && p->dtype == CVS_U8 && p->rank == 3 && p->dim[2] == 3 && cvs_tensor_count(p) > 0;
}

/* Picture, overlay and map side by side, each with a line under it. */
static void draw_row(attribution *a) {
    cvi_page *page = a->page;
    const cvs_tensor *p = a->d->picture;
    bool seen = has_picture(p), first = seen && a->parts->picture;
    int tiles = first ? 3 : seen ? 2 : 1;
    double side = fmin(tiles == 3 ? TILE : 1.15 * TILE, (page->width - (tiles - 1) * GAP) / tiles);
    double top = page->y, tall = 0.0, x = page->left, width = 0.0;
    double aspect = seen ? (double)p->dim[1] / (double)p->dim[0] : (double)a->w / (double)a->h;
    double w = aspect >= 1.0 ? side : side * aspect, h = aspect >= 1.0 ? side / aspect : side;
    cvi_font small = cvi_font_small(page);
    if (first) {
        tall = cvi_draw_picture(page, x, top, side, p, &width);
        cvi_draw_text_fit(page->s, x, top + h + 9, side, &small, cvi_page_tr(page, "what the network sees"));
        x += side + GAP;
    }
    if (seen) {
        draw_overlay(a, x, top, w, h);
        cvi_draw_text_fit(page->s, x, top + h + 9, side, &small, cvi_page_tr(page, "the map laid over it"));
        x += side + GAP;
    }
    draw_map(a, x, top, w, h);
    char text[160];
    const char *words =
        a->channels > 1 ? "%lld x %lld, its channels added up" : "the map itself, %lld x %lld";
    snprintf(text, sizeof text, cvi_page_tr(page, words), (long long)a->w, (long long)a->h);
    cvi_draw_text_fit(page->s, x, top + h + 9, side, &small, text);
    page->y = top + fmax(tall, h) + 20;
    double wide = a->d->why->kind == CVS_MAP_PIXELS ? 300 : 180;
    page->y += cvi_legend(page, page->left, page->y, fmin(wide, page->width), &a->scale, legend_words(a));
    if (!a->scale.is_signed && a->scale.lo > 0.0) {
        cvi_page_note(
            page,
            cvi_page_tr(page, "Every value is positive: the colours begin at the smallest, not at zero."));
    }
}

/* One feature map in its own colours, at most side x 1.5 side, centred; returns its height. */
static double draw_voter(const attribution *a, const float *map, double x, double y, double side) {
    const cvs_tensor *maps = a->d->maps;
    cvi_maps one = {.data = map, .maps = 1, .rows = maps->dim[2], .columns = maps->dim[3]};
    int64_t down = cvi_shrink_factor(1, one.rows, one.columns, SHARPER * SHARPER);
    int64_t rows = (one.rows + down - 1) / down, columns = (one.columns + down - 1) / down;
    double aspect = (double)one.rows / (double)one.columns, tall = side * fmin(aspect, 1.5);
    double wide = fmin(side, tall / aspect), lo = 0.0, hi = 0.0;
    cvi_map_look(&one, 0, &lo, &hi);
    cvi_scale scale = cvi_scale_for(fmin(lo, 0.0), fmax(hi, 0.0));
    cvi_color palette[256];
    cvi_scale_palette(&scale, a->page->t, palette);
    uint8_t *out = cvi_draw_image(a->page->s, x + (side - wide) / 2, y, wide, fmax(tall, 1.0), columns, rows,
                                  1, palette, false);
    for (int64_t k = 0; out && k < rows * columns; k++) {
        out[k] = cvi_scale_index(&scale, cvi_map_mean(&one, 0, k / columns, k % columns, down));
    }
    return fmax(tall, 1.0);
}

/* The strongest votes: the feature map itself, its number, sign and share. */
static void draw_votes(attribution *a) {
    cvi_page *page = a->page;
    const cvs_explanation *e = a->d->why;
    const cvs_tensor *maps = a->d->maps;
    int n = 0, most = CVI_MAX(1, CVI_MIN(VOTES, (int)((page->width + 8.0) / 56.0)));
    while (n < most && n < e->n_votes && e->votes[n].value != 0.0) {
        n++;
    }
    if (n == 0 || !maps || !maps->data || maps->rank != 4 || maps->dtype != CVS_F32 ||
        maps->dim[1] < e->n_votes || cvs_tensor_count(maps) <= 0) {
        return;
    }
    if (!page->o.bare) {
        cvi_page_space(page, 6);
        cvi_page_heading(page, cvi_page_tr(page, "Votes of the feature maps"));
    }
    cvi_page_notef(page,
                   cvi_page_tr(page, "The strongest %d of %d: map number, its part of the whole, its share "
                                     "of all votes. + speaks for the target, − against."),
                   n, e->n_votes);
    cvi_page_space(page, 4);
    double side = (page->width - (most - 1) * 8.0) / most, x = page->left, top = page->y, tall = 0.0;
    cvi_font font = cvi_font_note(page), strong = font;
    font.anchor = strong.anchor = CVI_MIDDLE;
    strong.bold = true;
    for (int i = 0; i < n; i++, x += side + 8.0) {
        const cvs_vote *v = &e->votes[i];
        const float *map = (const float *)maps->data + (int64_t)v->channel * maps->dim[2] * maps->dim[3];
        tall = draw_voter(a, map, x, top, side);
        double middle = x + side / 2, under = top + tall;
        cvi_draw_textf(page->s, middle, under + 10, &strong, "%d", v->channel);
        cvi_draw_textf(page->s, middle, under + 20, &font, "%s%s", v->value > 0.0 ? "+" : "",
                       cvi_num(v->value).text);
        cvi_draw_textf(page->s, middle, under + 30, &font, "%.1f%%", 100.0 * v->share);
    }
    page->y = top + tall + 34;
}

/* Where even the smallest value is more than half of the largest (RISE: every mask keeps some of the logit), zero says nothing, and colours
 * from zero would show one bright sheet: they begin at the smallest value. */
static void raise_floor(attribution *a) {
    double least = a->limit;
    for (int64_t i = 0; i < a->h * a->w; i++) {
        least = fmin(least, (double)a->map[i]);
    }
    if (least > 0.5 * a->limit && least < 0.999 * a->limit) {
        a->scale.lo = least;
    }
}

static cvs_status prepare(attribution *a, cvs_error *err) {
    const cvs_explanation *e = a->d->why;
    cvi_attribution_range own;
    int64_t not_finite;
    if (!a->parts->range) {
        CVI_TRY(cvi_attribution_measure(e, &own, err));
    } else {
        own = *a->parts->range;
    }
    map_shape shape;
    CVI_TRY(flatten(e, &shape, &a->map, &not_finite, err));
    a->channels = shape.channels;
    a->h = shape.h;
    a->w = shape.w;
    a->limit = own.largest;
    a->scale = cvi_scale_for(own.least < 0.0 ? -own.largest : 0.0, own.largest);
    if (!a->parts->range && e->kind != CVS_MAP_GRID) {
        raise_floor(a);
    }
    return CVS_OK;
}

cvs_status cvi_draw_attribution_parts(const cvs_attribution_data *data, const cvi_attribution_parts *parts,
                                      const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvi_page page;
    attribution a = {.d = data, .parts = parts, .page = &page};
    char title[200];
    const cvs_explanation *e = data->why;
    *out = NULL;
    snprintf(title, sizeof title, e->target_name[0] ? "%s: %s" : "%s: %s%d", data->title,
             e->target_name[0] ? e->target_name : "", e->target_index);
    CVI_TRY(cvi_page_begin(&page, options, title, e->layer[0] ? e->layer : NULL, err));
    cvs_status s = parts->maps ? prepare(&a, err) : CVS_OK;
    if (s != CVS_OK) {
        cvi_page_abort(&page);
        return s;
    }
    if (parts->maps && e->note[0]) {
        cvi_page_note(&page, e->note);
    }
    if (parts->maps) {
        draw_row(&a);
    }
    if (parts->maps && e->kind == CVS_MAP_GRID) {
        s = cvi_draw_occlusion(&page, data, err);
    }
    if (s != CVS_OK) {
        cvi_free(a.map);
        cvi_page_abort(&page);
        return s;
    }
    if (parts->votes) {
        draw_votes(&a);
    }
    if (parts->caption) {
        cvi_page_space(&page, 4);
        cvi_page_note(&page, e->caption);
    }
    s = cvi_page_end(&page, out, err);
    cvi_free(a.map);
    return s;
}

cvs_status cvs_draw_attribution(const cvs_attribution_data *data, const cvs_figure_options *options,
                                cvs_figure **out, cvs_error *err) {
    cvi_attribution_parts all = {.picture = true, .maps = true, .votes = true, .caption = true};
    return cvi_draw_attribution_parts(data, &all, options, out, err);
}
