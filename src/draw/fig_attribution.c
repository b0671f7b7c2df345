/* SPDX-License-Identifier: MIT
 * fig_attribution.c - an explanation beside its picture: the picture, the map laid over it, the map itself with numbers, and the votes
 * of the feature maps. Enlarging, scaling and colour happen here only; the map stays raw.
 */
#include <math.h>

#include "draw/figure.h"
#include "draw/maps.h"

#define TILE  150.0 /* side of the large pictures, points */
#define GAP   14.0
#define VOTES 8

typedef struct attribution {
    const cvs_attribution_data *d;
    cvi_page *page;
    int64_t h, w;     /* of the map */
    const float *map; /* one channel, owned when `made` */
    float *made;
    double limit; /* largest absolute value */
    cvi_scale scale;
} attribution;

/* One number per pixel of a map with several channels: the sum keeps the sign, the largest absolute value is its strength. */
static cvs_status flatten(attribution *a, cvs_error *err) {
    const cvs_tensor *t = &a->d->why->map;
    if (t->rank != 4 || t->dtype != CVS_F32 || t->dim[0] != 1 || cvs_tensor_count(t) <= 0) {
        char text[200];
        return cvi_fail(err, CVS_E_UNSUPPORTED, "a map of shape %s cannot be drawn over a picture",
                        cvs_shape_text(t->rank, t->dim, text, sizeof text));
    }
    int64_t c = t->dim[1], area;
    a->h = t->dim[2];
    a->w = t->dim[3];
    area = a->h * a->w;
    const float *in = t->data;
    a->made = cvi_calloc((size_t)area, sizeof *a->made);
    if (!a->made) {
        return cvi_no_memory(err, (size_t)area * sizeof *a->made);
    }
    for (int64_t i = 0; i < area; i++) {
        double sum = 0.0;
        for (int64_t k = 0; k < c; k++) {
            double v = (double)in[k * area + i];
            sum += isfinite(v) ? v : 0.0;
        }
        a->made[i] = (float)sum;
        a->limit = fmax(a->limit, fabs(sum));
    }
    a->map = a->made;
    double least = 0.0;
    for (int64_t i = 0; i < area; i++) {
        least = fmin(least, (double)a->map[i]);
    }
    a->scale = cvi_scale_for(least, a->limit);
    return CVS_OK;
}

/* The map at a point of the unit square: bilinear, half-pixel centres, edges repeated. */
static double sample(const attribution *a, double u, double v) {
    double y = fmin(fmax(v * (double)a->h - 0.5, 0.0), (double)a->h - 1.0);
    double x = fmin(fmax(u * (double)a->w - 0.5, 0.0), (double)a->w - 1.0);
    int64_t y0 = (int64_t)y, x0 = (int64_t)x, y1 = CVI_MIN(y0 + 1, a->h - 1), x1 = CVI_MIN(x0 + 1, a->w - 1);
    double fy = y - (double)y0, fx = x - (double)x0;
    double top = (double)a->map[y0 * a->w + x0] * (1 - fx) + (double)a->map[y0 * a->w + x1] * fx;
    double bottom = (double)a->map[y1 * a->w + x0] * (1 - fx) + (double)a->map[y1 * a->w + x1] * fx;
    return top * (1 - fy) + bottom * fy;
}

static void color_of(const attribution *a, double v, uint8_t rgb[3]) {
    const cvi_theme *t = a->page->t;
    cvi_color c = a->scale.is_signed ? t->diverging[cvi_map_diverging((float)v, (float)a->limit)]
                                     : t->sequential[cvi_map_sequential((float)v, 0.0f, (float)a->limit)];
    rgb[0] = (uint8_t)(c >> 24);
    rgb[1] = (uint8_t)(c >> 16);
    rgb[2] = (uint8_t)(c >> 8);
}

/* The picture in grey with the map's colour over it, the stronger the more opaque. */
static void draw_overlay(attribution *a, double x, double y, double width, double height) {
    const cvs_tensor *p = a->d->picture;
    int64_t h = p->dim[0], w = p->dim[1];
    uint8_t *out = cvi_draw_image(a->page->s, x, y, width, height, w, h, 3, NULL, true);
    if (!out) {
        return;
    }
    const uint8_t *in = p->data;
    for (int64_t i = 0; i < h * w; i++) {
        double v = a->limit > 0.0
                       ? sample(a, ((double)(i % w) + 0.5) / (double)w, ((double)(i / w) + 0.5) / (double)h)
                       : 0.0;
        double strength = a->limit > 0.0 ? fmin(fabs(v) / a->limit, 1.0) : 0.0, alpha = 0.75 * sqrt(strength);
        double grey = 0.299 * in[3 * i] + 0.587 * in[3 * i + 1] + 0.114 * in[3 * i + 2];
        uint8_t rgb[3];
        color_of(a, v, rgb);
        for (int k = 0; k < 3; k++) {
            out[3 * i + k] = (uint8_t)((1 - alpha) * (0.85 * grey + 25.0) + alpha * rgb[k] + 0.5);
        }
    }
}

static void draw_map(attribution *a, double x, double y, double width, double height) {
    uint8_t *out = cvi_draw_image(a->page->s, x, y, width, height, a->w, a->h, 3, NULL, false);
    for (int64_t i = 0; out && i < a->h * a->w; i++) {
        color_of(a, (double)a->map[i], out + 3 * i);
    }
}

/* Picture, overlay and map side by side, each with a line under it. */
static void draw_row(attribution *a) {
    cvi_page *page = a->page;
    const cvs_tensor *p = a->d->picture;
    bool has_picture =
        p && p->data && p->dtype == CVS_U8 && p->rank == 3 && p->dim[2] == 3 && cvs_tensor_count(p) > 0;
    double side = fmin(TILE, (page->width - 2 * GAP) / 3), top = page->y, tall = 0.0, x = page->left,
           width = 0.0;
    double aspect = has_picture ? (double)p->dim[1] / (double)p->dim[0] : (double)a->w / (double)a->h;
    double w = aspect >= 1.0 ? side : side * aspect, h = aspect >= 1.0 ? side / aspect : side;
    cvi_font small = cvi_font_small(page);
    if (has_picture) {
        tall = cvi_draw_picture(page, x, top, side, p, &width);
        cvi_draw_text_fit(page->s, x, top + h + 9, side, &small, cvi_page_tr(page, "what the network sees"));
        x += side + GAP;
        draw_overlay(a, x, top, w, h);
        cvi_draw_text_fit(page->s, x, top + h + 9, side, &small, cvi_page_tr(page, "the map laid over it"));
        x += side + GAP;
    }
    draw_map(a, x, top, w, h);
    char text[160];
    snprintf(text, sizeof text, cvi_page_tr(page, "the map itself, %lld x %lld"), (long long)a->w,
             (long long)a->h);
    cvi_draw_text_fit(page->s, x, top + h + 9, side, &small, text);
    page->y = top + fmax(tall, h) + 20;
    page->y += cvi_legend(page, page->left, page->y, 180, &a->scale, cvi_page_tr(page, "contribution, raw"));
}

/* The strongest votes: the feature map itself, its number, sign and share. */
static void draw_votes(attribution *a) {
    cvi_page *page = a->page;
    const cvs_explanation *e = a->d->why;
    const cvs_tensor *maps = a->d->maps;
    int n = 0;
    while (n < VOTES && n < e->n_votes && e->votes[n].value != 0.0) {
        n++;
    }
    double side = (page->width - (VOTES - 1) * 8.0) / VOTES, x = page->left, top;
    if (n == 0 || !maps || !maps->data || maps->rank != 4 || maps->dtype != CVS_F32 ||
        maps->dim[1] < e->n_votes) {
        return;
    }
    cvi_page_space(page, 6);
    cvi_page_heading(page, cvi_page_tr(page, "Votes of the feature maps"));
    cvi_page_notef(page,
                   cvi_page_tr(page, "The strongest %d of %d: map number, its part of the whole, its share "
                                     "of all votes. + speaks for the target, − against."),
                   n, e->n_votes);
    cvi_page_space(page, 4);
    top = page->y;
    int64_t h = maps->dim[2], w = maps->dim[3];
    double tall = side * (double)h / (double)w;
    cvi_font small = cvi_font_small(page);
    small.anchor = CVI_MIDDLE;
    for (int i = 0; i < n; i++, x += side + 8.0) {
        const cvs_vote *v = &e->votes[i];
        const float *map = (const float *)maps->data + (int64_t)v->channel * h * w;
        double lo = 0.0, hi = 0.0;
        for (int64_t k = 0; k < h * w; k++) {
            lo = fmin(lo, (double)map[k]);
            hi = fmax(hi, (double)map[k]);
        }
        cvi_scale scale = cvi_scale_for(lo, hi);
        cvi_color palette[256];
        cvi_scale_palette(&scale, page->t, palette);
        uint8_t *out = cvi_draw_image(page->s, x, top, side, tall, w, h, 1, palette, false);
        for (int64_t k = 0; out && k < h * w; k++) {
            out[k] = cvi_scale_index(&scale, map[k]);
        }
        cvi_draw_textf(page->s, x + side / 2, top + tall + 9, &small, "%d", v->channel);
        cvi_draw_textf(page->s, x + side / 2, top + tall + 18, &small, "%s%s", v->value > 0.0 ? "+" : "",
                       cvi_num(v->value).text);
        cvi_draw_textf(page->s, x + side / 2, top + tall + 27, &small, "%.1f%%", 100.0 * v->share);
    }
    page->y = top + tall + 34;
}

cvs_status cvs_draw_attribution(const cvs_attribution_data *data, const cvs_figure_options *options,
                                cvs_figure **out, cvs_error *err) {
    cvi_page page;
    attribution a = {.d = data, .page = &page};
    char title[200];
    const cvs_explanation *e = data->why;
    *out = NULL;
    snprintf(title, sizeof title, e->target_name[0] ? "%s: %s" : "%s: %s%d", data->title,
             e->target_name[0] ? e->target_name : "", e->target_index);
    CVI_TRY(cvi_page_begin(&page, options, title, e->layer[0] ? e->layer : NULL, err));
    cvs_status s = flatten(&a, err);
    if (s == CVS_OK) {
        if (a.limit == 0.0) {
            cvi_page_note(
                &page, cvi_page_tr(
                           &page, "The map is zero everywhere: nothing in this layer spoke for the target."));
        }
        draw_row(&a);
        draw_votes(&a);
        cvi_page_space(&page, 4);
        cvi_page_note(&page, e->caption);
        s = cvi_page_end(&page, out, err);
    } else {
        cvi_page_abort(&page);
    }
    cvi_free(a.made);
    return s;
}
