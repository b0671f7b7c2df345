/* SPDX-License-Identifier: MIT
 * fig_deconv.c - units projected to the pixels: one unit beside its picture, or of many channels the strongest pictures of a set, their
 * projections left and the patches right (Zeiler and Fergus 2014, figure 2).
 */
#include "convscope/draw_features.h"
#include "draw/maps.h"
#include "draw/signed_picture.h"

#include <math.h>

#define GAP 12.0

/* ---- one unit ------------------------------------------------------------------------------------------------ */

typedef struct unit_figure {
    const cvs_projection_data *d;
    cvi_page page;
    int64_t channels, h, w; /* of the projection */
    int64_t box[4];         /* the field clipped to the picture */
    bool boxed;             /* it is smaller than the picture */
} unit_figure;

static bool is_picture(const cvs_tensor *p) {
    return p && p->data && p->dtype == CVS_U8 && p->rank == 3 && p->dim[2] == 3 && cvs_tensor_count(p) > 0;
}

static void find_box(unit_figure *f) {
    const cvs_projection *p = f->d->projection;
    int64_t side[2] = {f->h, f->w};
    f->boxed = p->has_field;
    for (int a = 0; a < 2; a++) {
        int64_t low = CVI_MAX(p->box[a], 0), high = CVI_MIN(p->box[a] + p->box[2 + a], side[a]);
        f->box[a] = low;
        f->box[2 + a] = high - low;
        f->boxed = f->boxed && high > low;
    }
    f->boxed = f->boxed && (f->box[2] < f->h || f->box[3] < f->w);
}

/* A frame around part of a picture of rows x columns drawn at (x, y), w x h points. */
static void frame(cvi_page *page, const int64_t box[4], int64_t rows, int64_t columns, double x, double y,
                  double w, double h) {
    cvi_paint under = {.stroke = 0xFFFFFFFF, .width = 2.4}, line = {.stroke = 0x101418FF, .width = 1.0};
    double left = x + w * (double)box[1] / (double)columns, top = y + h * (double)box[0] / (double)rows;
    double wide = fmax(w * (double)box[3] / (double)columns, 2),
           tall = fmax(h * (double)box[2] / (double)rows, 2);
    cvi_draw_rect(page->s, left, top, wide, tall, 0, &under);
    cvi_draw_rect(page->s, left, top, wide, tall, 0, &line);
}

static void draw_patch(cvi_page *page, const uint8_t *in, int64_t columns, const int64_t box[4], double x,
                       double y, double w, double h) {
    uint8_t *out = cvi_draw_image(page->s, x, y, w, h, box[3], box[2], 3, NULL, false);
    for (int64_t r = 0; out && r < box[2]; r++) {
        memcpy(out + 3 * r * box[3], in + 3 * ((box[0] + r) * columns + box[1]), (size_t)box[3] * 3);
    }
}

/* The part of the projection that the box holds, owned. */
static float *cut_out(const unit_figure *f) {
    int64_t area = f->box[2] * f->box[3];
    float *part = cvi_malloc((size_t)(f->channels * area) * sizeof *part);
    for (int64_t i = 0; part && i < f->channels * area; i++) {
        int64_t c = i / area, y = f->box[0] + i % area / f->box[3], x = f->box[1] + i % f->box[3];
        part[i] = ((const float *)f->d->projection->map.data)[(c * f->h + y) * f->w + x];
    }
    return part;
}

static double draw_channel(unit_figure *f, double x, double y, double side) {
    const cvs_tensor *t = f->d->map;
    cvi_maps one = {.data = t->data, .maps = 1, .rows = t->dim[0], .columns = t->dim[1]};
    int64_t down = cvi_shrink_factor(1, one.rows, one.columns, 200000);
    int64_t rows = (one.rows + down - 1) / down, columns = (one.columns + down - 1) / down;
    double lo = 0, hi = 0, h = side * (double)one.rows / (double)one.columns;
    cvi_map_look(&one, 0, &lo, &hi);
    cvi_scale scale = cvi_scale_for(fmin(lo, 0.0), fmax(hi, 0.0));
    cvi_color palette[256];
    cvi_scale_palette(&scale, f->page.t, palette);
    uint8_t *out = cvi_draw_image(f->page.s, x, y, side, h, columns, rows, 1, palette, false);
    for (int64_t k = 0; out && k < rows * columns; k++) {
        out[k] = cvi_scale_index(&scale, cvi_map_mean(&one, 0, k / columns, k % columns, down));
    }
    int64_t unit[4] = {f->d->projection->row, f->d->projection->column, 1, 1};
    frame(&f->page, unit, one.rows, one.columns, x, y, side, h);
    return h;
}

static void words(cvi_page *page, double x, double y, double side, const char *text) {
    cvi_font note = cvi_font_note(page);
    cvi_draw_text_wrap(page->s, x, y, side, 10, 3, &note, cvi_page_tr(page, text));
}

static cvs_status draw_unit(unit_figure *f, cvs_error *err) {
    cvi_page *page = &f->page;
    const cvs_projection *p = f->d->projection;
    const cvs_tensor *map = f->d->map;
    bool seen = is_picture(f->d->picture) && f->d->picture->dim[0] == f->h && f->d->picture->dim[1] == f->w;
    bool mapped = map && map->data && map->dtype == CVS_F32 && map->rank == 2 && cvs_tensor_count(map) > 1;
    int n = 1 + seen + mapped + f->boxed + (f->boxed && seen);
    double side = fmin(150, (page->width - (n - 1) * GAP) / n), x = page->left, y = page->y, tall = 0;
    double high = side * (double)f->h / (double)f->w, patch_h = side;
    if (f->boxed) {
        patch_h = side * (double)f->box[2] / (double)f->box[3];
    }
    tall = fmax(high, fmin(patch_h, 1.5 * side));
    if (seen) {
        double width = side;
        cvi_draw_picture(page, x, y, side, f->d->picture, &width);
        if (f->boxed) {
            double shown = high > side ? side : high; /* draw_picture keeps within side x side */
            frame(page, f->box, f->h, f->w, x, y, width, shown);
        }
        words(page, x, y + tall + 10, side, "what the network saw, and what the unit can see of it");
        x += side + GAP;
    }
    if (mapped) {
        double h = draw_channel(f, x, y, side);
        tall = fmax(tall, h);
        words(page, x, y + tall + 10, side, "the channel's activations and the unit");
        x += side + GAP;
    }
    cvi_draw_signed(page, x, y, side, p->map.data, f->channels, f->h, f->w, f->d->order);
    words(page, x, y + tall + 10, side, "the unit projected to the pixels");
    x += side + GAP;
    float *part = f->boxed ? cut_out(f) : NULL;
    if (f->boxed && !part) {
        return cvi_no_memory(err, 1);
    }
    if (f->boxed) {
        double w = patch_h > 1.5 * side ? side * 1.5 * side / patch_h : side;
        cvi_draw_signed(page, x, y, w, part, f->channels, f->box[2], f->box[3], f->d->order);
        words(page, x, y + tall + 10, side, "the same, cut out");
        x += side + GAP;
        if (seen) {
            draw_patch(page, f->d->picture->data, f->w, f->box, x, y, w, fmin(patch_h, 1.5 * side));
            words(page, x, y + tall + 10, side, "the patch that excites it");
        }
    }
    cvi_free(part);
    page->y = y + tall + 10 + 30;
    return CVS_OK;
}

static void finish_page(cvi_page *page, const char *caption) {
    cvi_page_space(page, 4);
    page->y += cvi_signed_legend(page, page->left, page->y, fmin(180, page->width));
    cvi_page_note(page, cvi_page_tr(page, "Projections: mid-grey is zero, each by its own largest value; the "
                                          "strongest half a percent share the end colours."));
    cvi_page_note(page, caption);
}

cvs_status cvs_draw_projection(const cvs_projection_data *data, const cvs_figure_options *options,
                               cvs_figure **out, cvs_error *err) {
    const cvs_projection *p = data->projection;
    unit_figure f = {.d = data};
    char title[240], settings[200];
    *out = NULL;
    if (p->map.rank != 4 || p->map.dtype != CVS_F32 || p->map.dim[0] != 1 || cvs_tensor_count(&p->map) < 1) {
        char text[200];
        return cvi_fail(err, CVS_E_UNSUPPORTED, "a map of shape %s cannot be drawn over a picture",
                        cvs_shape_text(p->map.rank, p->map.dim, text, sizeof text));
    }
    f.channels = p->map.dim[1];
    f.h = p->map.dim[2];
    f.w = p->map.dim[3];
    find_box(&f);
    cvs_lang lang = options ? options->lang : CVS_EN;
    snprintf(title, sizeof title, cvi_tr(lang, "What excites channel %lld of %s"), (long long)data->channel,
             p->layer);
    snprintf(settings, sizeof settings, cvi_tr(lang, "unit at row %lld, column %lld; activation %s"),
             (long long)p->row, (long long)p->column, cvi_num(p->value).text);
    CVI_TRY(cvi_page_begin(&f.page, options, title, settings, err));
    cvs_status s = draw_unit(&f, err);
    if (s != CVS_OK) {
        cvi_page_abort(&f.page);
        return s;
    }
    finish_page(&f.page, p->caption);
    return cvi_page_end(&f.page, out, err);
}

/* ---- many ---------------------------------------------------------------------------------------------------- */

typedef struct top_figure {
    const cvs_top *t;
    cvs_channel_order order;
    cvi_page page;
    int across;  /* tiles of a grid */
    double tile; /* points */
} top_figure;

/* A patch or projection fitted into a square tile, centred. */
static void draw_tile(top_figure *f, const cvs_top_unit *u, bool patch, double x, double y) {
    double h = f->tile, w = f->tile, aspect = (double)u->box[2] / (double)CVI_MAX(u->box[3], 1);
    if (aspect > 1) {
        w = h / aspect;
    } else {
        h = w * aspect;
    }
    x += (f->tile - w) / 2;
    y += (f->tile - h) / 2;
    if (!patch) {
        cvi_draw_signed(&f->page, x, y, w, u->projection.data, u->projection.dim[0], u->projection.dim[1],
                        u->projection.dim[2], f->order);
        return;
    }
    int64_t all[4] = {0, 0, u->patch.dim[0], u->patch.dim[1]};
    draw_patch(&f->page, u->patch.data, u->patch.dim[1], all, x, y, w, h);
}

static void draw_channel_block(top_figure *f, int channel, double x, double y) {
    const cvs_top *t = f->t;
    const cvs_top_unit *units = t->units + (int64_t)channel * t->top;
    double grid = f->across * (f->tile + 1.5) - 1.5;
    cvi_font strong = cvi_font_note(&f->page), note = strong;
    strong.bold = true;
    strong.color = f->page.t->role[CVI_INK];
    int n = 0;
    while (n < t->top && units[n].picture) {
        n++;
    }
    double at = x + cvi_draw_textf(f->page.s, x, y + 7, &strong, cvi_page_tr(&f->page, "channel %lld"),
                                   (long long)t->channels[channel]);
    note.anchor = CVI_END;
    char range[80];
    if (n > 0) {
        snprintf(range, sizeof range, "%s–%s", cvi_num(units[0].value).text,
                 cvi_num(units[n - 1].value).text);
    } else {
        snprintf(range, sizeof range, "%s", cvi_page_tr(&f->page, "nothing excites it"));
    }
    cvi_draw_text_fit(f->page.s, x + 2 * grid + 5, y + 7, x + 2 * grid + 5 - at - 6, &note, range);
    cvi_paint empty = {.fill = f->page.t->role[CVI_PANEL], .stroke = f->page.t->role[CVI_LINE], .width = 0.4};
    for (int i = 0; i < t->top; i++) {
        double left = x + i % f->across * (f->tile + 1.5), top = y + 11 + i / f->across * (f->tile + 1.5);
        if (i >= n || !units[i].patch.data) {
            cvi_draw_rect(f->page.s, left, top, f->tile, f->tile, 0, &empty);
            cvi_draw_rect(f->page.s, left + grid + 5, top, f->tile, f->tile, 0, &empty);
            continue;
        }
        cvi_group_begin(f->page.s, NULL, units[i].picture, NULL);
        draw_tile(f, &units[i], false, left, top);
        draw_tile(f, &units[i], true, left + grid + 5, top);
        cvi_group_end(f->page.s);
    }
}

cvs_status cvs_draw_top(const cvs_top *top, cvs_channel_order order, const cvs_figure_options *options,
                        cvs_figure **out, cvs_error *err) {
    top_figure f = {.t = top, .order = order};
    char title[240], settings[200];
    cvs_lang lang = options ? options->lang : CVS_EN;
    *out = NULL;
    snprintf(title, sizeof title, cvi_tr(lang, "What excites the channels of %s"), top->layer);
    snprintf(settings, sizeof settings, cvi_tr(lang, "the strongest %d of %s pictures for each channel"),
             top->top, cvi_count(top->pictures).text);
    CVI_TRY(cvi_page_begin(&f.page, options, title, settings, err));
    f.across = (int)ceil(sqrt((double)top->top));
    int down = (top->top + f.across - 1) / f.across;
    int blocks = top->n_channels > 1 && f.page.width > 360 ? 2 : 1;
    double wide = (f.page.width - (blocks - 1) * 14) / blocks;
    f.tile = fmin((wide - 5 - 2 * (f.across - 1) * 1.5) / (2 * f.across), 72);
    double tall = 11 + down * (f.tile + 1.5) + 8;
    for (int c = 0; c < top->n_channels; c++) {
        draw_channel_block(&f, c, f.page.left + c % blocks * (wide + 14), f.page.y);
        if (c % blocks == blocks - 1 || c == top->n_channels - 1) {
            f.page.y += tall;
        }
    }
    cvi_page_note(&f.page, cvi_page_tr(&f.page, "Left: the strongest unit of each picture projected to the "
                                                "pixels; right: the patch that it sees. The numbers are the "
                                                "first and the last one's activations."));
    finish_page(&f.page, top->caption);
    return cvi_page_end(&f.page, out, err);
}
