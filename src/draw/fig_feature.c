/* SPDX-License-Identifier: MIT
 * fig_feature.c - pictures that a network made up: a sheet of them, large ones with their curves; and a dream beside its photograph.
 */
#include "convscope/draw_features.h"
#include "draw/maps.h"

#include <math.h>

typedef struct feature_sheet {
    const cvs_feature *f;
    int n, each; /* features, pictures of each */
    const char *const *names;
    cvi_page page;
    int64_t h, w, down; /* of a picture; averaged down by */
    char label[160];
} feature_sheet;

static const cvs_feature *feature_of(const feature_sheet *s, int64_t tile, int64_t *variant) {
    *variant = tile % s->each;
    return &s->f[tile / s->each];
}

static void paint(void *context, int64_t tile, uint8_t *out) {
    const feature_sheet *s = context;
    int64_t variant, rows = (s->h + s->down - 1) / s->down, columns = (s->w + s->down - 1) / s->down;
    const cvs_feature *f = feature_of(s, tile, &variant);
    const uint8_t *in = (const uint8_t *)f->shown.data + variant * s->h * s->w * 3;
    for (int64_t i = 0; i < rows * columns; i++) {
        for (int c = 0; c < 3; c++) {
            int64_t sum = 0, n = 0;
            for (int64_t y = i / columns * s->down; y < CVI_MIN((i / columns + 1) * s->down, s->h); y++) {
                for (int64_t x = i % columns * s->down; x < CVI_MIN((i % columns + 1) * s->down, s->w);
                     x++, n++) {
                    sum += in[3 * (y * s->w + x) + c];
                }
            }
            out[3 * i + c] = (uint8_t)(sum / CVI_MAX(n, 1));
        }
    }
}

static void describe(void *context, int64_t tile, cvi_tile *out) {
    feature_sheet *s = context;
    int64_t variant;
    const cvs_feature *f = feature_of(s, tile, &variant);
    const double *value = f->value + variant * (f->steps + 1);
    char name[80];
    if (s->names) {
        snprintf(name, sizeof name, "%.70s", s->names[tile / s->each]);
    } else {
        snprintf(name, sizeof name, "%lld", (long long)f->channel);
    }
    snprintf(s->label, sizeof s->label, "%s\n%s → %s", name, cvi_num(value[0]).text,
             cvi_num(value[f->steps]).text);
    out->number = f->channel;
    out->label = s->label;
    out->mark = f->silent ? CVI_TILE_BROKEN : CVI_TILE_PLAIN;
}

static void draw_curves(feature_sheet *s) {
    cvi_page *page = &s->page;
    int total = s->n * s->each;
    double w = fmin(160, (page->width - (total - 1) * 12) / total), x = page->left;
    cvi_page_space(page, 6);
    for (int i = 0; i < total; i++, x += w + 12) {
        int64_t variant;
        const cvs_feature *f = feature_of(s, i, &variant);
        cvi_draw_curve(page, x, page->y, w, 64, cvi_page_tr(page, "what was wanted, step by step"),
                       f->value + variant * (f->steps + 1), f->steps + 1, page->t->role[CVI_ACCENT]);
    }
    page->y += 68;
}

static cvs_status draw_all(feature_sheet *s, cvs_error *err) {
    cvi_page *page = &s->page;
    int silent = 0;
    int64_t total = (int64_t)s->n * s->each;
    s->down = cvi_shrink_factor(total, s->h, s->w, page->o.max_pixels);
    cvi_sheet sheet = {.count = total,
                       .rows = (s->h + s->down - 1) / s->down,
                       .columns = (s->w + s->down - 1) / s->down,
                       .side = total <= 4    ? (page->width - 12) / (double)total
                               : total <= 16 ? 116
                               : total <= 64 ? 58
                                             : 0,
                       .label_lines = 2,
                       .label_width = 50,
                       .rgb = true,
                       .paint = paint,
                       .describe = describe,
                       .context = s};
    sheet.side = fmin(sheet.side > 0 ? sheet.side : 50, 200);
    CVI_TRY(cvi_draw_sheet(page, &sheet, err));
    if (total <= 4) {
        draw_curves(s);
    }
    cvi_page_note(page,
                  cvi_page_tr(page, "Under each picture: its number, and what was wanted before → after."));
    for (int i = 0; i < s->n; i++) {
        silent += s->f[i].silent ? s->each : 0;
    }
    if (silent > 0) {
        cvi_page_notef(page,
                       cvi_page_tr(page,
                                   "%d of the pictures are crossed out: no gradient reached them, they are "
                                   "the noise that they began as."),
                       silent);
    }
    cvi_page_note(page, s->f[0].caption);
    return CVS_OK;
}

cvs_status cvs_draw_features(const cvs_feature *features, int n, const char *const *names,
                             const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    feature_sheet s = {.f = features, .n = n, .names = names};
    cvs_lang lang = options ? options->lang : CVS_EN;
    char title[240];
    *out = NULL;
    if (n < 1 || features[0].n < 1 || features[0].shown.rank != 4 ||
        cvs_tensor_count(&features[0].shown) < 1) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no picture to draw");
    }
    s.each = features[0].n;
    s.h = features[0].shown.dim[1];
    s.w = features[0].shown.dim[2];
    for (int i = 1; i < n; i++) {
        if (features[i].n != s.each || features[i].shown.dim[1] != s.h || features[i].shown.dim[2] != s.w) {
            return cvi_fail(err, CVS_E_SHAPE, "the pictures of a sheet differ in size or number");
        }
    }
    if (names && n == 1) {
        snprintf(title, sizeof title, cvi_tr(lang, "What %s looks like to the network"), names[0]);
    } else if (n == 1) {
        snprintf(title, sizeof title, cvi_tr(lang, "What channel %lld of %s looks for"),
                 (long long)features[0].channel, features[0].layer);
    } else {
        snprintf(title, sizeof title, cvi_tr(lang, "What the channels of %s look for"), features[0].layer);
    }
    CVI_TRY(cvi_page_begin(&s.page, options, title, NULL, err));
    cvs_status status = draw_all(&s, err);
    if (status != CVS_OK) {
        cvi_page_abort(&s.page);
        return status;
    }
    return cvi_page_end(&s.page, out, err);
}

cvs_status cvs_draw_dream(const cvs_tensor *picture, const cvs_tensor *dream, const char *layers,
                          const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvi_page page;
    char title[240];
    *out = NULL;
    snprintf(title, sizeof title, cvi_tr(options ? options->lang : CVS_EN, "What %s sees in a photograph"),
             layers);
    CVI_TRY(cvi_page_begin(&page, options, title, NULL, err));
    double small = fmin(page.width * 0.3, 150), width = 0, gap = 14, top = page.y;
    cvi_font note = cvi_font_note(&page);
    double tall = cvi_draw_picture(&page, page.left, top, small, picture, &width);
    if (tall > 0) {
        cvi_draw_text_wrap(page.s, page.left, top + tall + 10, small, 10, 2, &note,
                           cvi_page_tr(&page, "the photograph"));
    }
    double left = page.left + (tall > 0 ? small + gap : 0), room = page.left + page.width - left;
    double high = cvi_draw_picture(&page, left, top, fmin(room, 360), dream, &width);
    page.y = top + fmax(tall + 26, high) + 6;
    cvi_page_note(&page,
                  cvi_page_tr(&page,
                              "DeepDream: the photograph moved so that what these layers see in it grows. It "
                              "shows what the network is ready to see, not what is there."));
    return cvi_page_end(&page, out, err);
}
