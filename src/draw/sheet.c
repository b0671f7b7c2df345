/* SPDX-License-Identifier: MIT
 * sheet.c - many equal tiles as one picture: every tile is there, its pixels crisp, its number under it (or, on a
 * compact page, numbered by row). One picture instead of one per tile keeps files of 2,048 maps small.
 */
#include "draw/figure.h"

#include <math.h>

#define BAND_PIXELS 4000000 /* a sheet is cut into pictures of whole rows, so that none outgrows a painter */
#define BAND_SIDE   8192
#define GAP         3.0 /* points between tiles, about: a whole number of pixels */

typedef struct grid {
    int64_t across, down;    /* tiles */
    double tile_w, tile_h;   /* points */
    double pitch_x, pitch_y; /* points from tile to tile, label included */
    double indent; /* points left of the first tile: a row's number, or half of what a label is wider */
    int64_t up;    /* pixels per value */
    int64_t px_w, px_h, gap, gap_y; /* pixels: of a tile, between tiles */
} grid;

int64_t cvi_shrink_factor(int64_t count, int64_t rows, int64_t columns, int64_t max_pixels) {
    int64_t f = 1;
    while (f < rows || f < columns) {
        double pixels = (double)count * (double)((rows + f - 1) / f) * (double)((columns + f - 1) / f);
        if (pixels <= (double)max_pixels) {
            break;
        }
        f++;
    }
    return f;
}

/* The longer side of a tile: as large as a page of about 1.3 x its width allows, within what a map of that size
 * deserves. */
static double choose_side(const cvi_page *page, const cvi_sheet *sheet) {
    double longer = (double)CVI_MAX(sheet->rows, sheet->columns);
    double best = sqrt(page->width * page->width * 1.3 / (double)sheet->count);
    double deserved = longer <= 1    ? 14
                      : longer <= 5  ? 9 * longer
                      : longer <= 16 ? 48 + longer
                                     : 48 + longer * 0.8;
    double least = page->o.compact ? (longer <= 1 ? 7 : 10) : 14;
    return fmax(least, fmin(best - GAP, fmin(deserved, page->width / 4)));
}

static grid lay_out(const cvi_page *page, const cvi_sheet *sheet) {
    grid g = {0};
    bool labels = sheet->label_lines > 0 && !page->o.compact;
    double side = sheet->side > 0.0 ? sheet->side : choose_side(page, sheet);
    double longer = (double)CVI_MAX(sheet->rows, sheet->columns);
    g.tile_w = fmax(side * (double)sheet->columns / longer, fmin(4.0, side));
    g.tile_h = fmax(side * (double)sheet->rows / longer, fmin(4.0, side));
    g.tile_w = fmin(g.tile_w, page->width);
    double extra = labels ? fmax(0.0, (sheet->label_width + 1.0 - g.tile_w) / 2) : 0.0; /* on either side */
    g.indent = page->o.compact && sheet->count > 1 ? 24.0 : extra;
    double wanted = fmax(g.tile_w + GAP, labels ? sheet->label_width + 3.0 : 0.0);
    g.across = CVI_MAX(1, (int64_t)floor((page->width - g.indent + GAP) / wanted));
    if (page->o.compact && g.across >= 8) {
        g.across -= g.across % 8; /* rows begin at round numbers */
    }
    g.across = CVI_MIN(g.across, sheet->count);
    g.down = (sheet->count + g.across - 1) / g.across;
    g.up = CVI_MAX(1, (int64_t)ceil(8.0 / fmin((double)sheet->columns, (double)sheet->rows)));
    g.up = CVI_MIN(g.up, CVI_MAX(1, 64 / (int64_t)longer));
    g.px_w = sheet->columns * g.up;
    g.px_h = sheet->rows * g.up;
    /* The gap across is a whole number of pixels, so that one picture can hold a whole row. */
    double per_pixel = g.tile_w / (double)g.px_w;
    g.gap = CVI_MAX(1, (int64_t)ceil((wanted - g.tile_w) / per_pixel - 1e-9));
    g.pitch_x = g.tile_w + (double)g.gap * per_pixel;
    while (g.across > 1 &&
           g.indent + extra + (double)(g.across - 1) * g.pitch_x + g.tile_w > page->width + 1e-6) {
        g.across--;
        g.down = (sheet->count + g.across - 1) / g.across;
    }
    /* A full row is stretched a little to reach the right edge. */
    double used = (double)(g.across - 1) * g.pitch_x + g.tile_w, room = page->width - g.indent - extra;
    if (g.down > 1 && used < room) {
        double stretch = fmin(room / used, 1.3);
        g.tile_w *= stretch;
        g.tile_h *= stretch;
        g.pitch_x *= stretch;
    }
    double below = labels ? 1.5 + 7.5 * sheet->label_lines + 2.5 : GAP, per_row = g.tile_h / (double)g.px_h;
    g.gap_y = CVI_MAX(1, (int64_t)ceil(below / per_row - 1e-9));
    g.pitch_y = g.tile_h + (double)g.gap_y * per_row;
    return g;
}

static void put_tile(const cvi_sheet *sheet, const grid *g, const uint8_t *tile, uint8_t *row, int64_t stride,
                     int64_t x0) {
    int bytes = sheet->rgb ? 3 : 1, wide = sheet->rgb ? 4 : 1;
    for (int64_t y = 0; y < g->px_h; y++) {
        const uint8_t *from = tile + y / g->up * sheet->columns * bytes;
        uint8_t *to = row + y * stride + x0 * wide;
        for (int64_t x = 0; x < g->px_w; x++) {
            memcpy(to + x * wide, from + x / g->up * bytes, (size_t)bytes);
            if (sheet->rgb) {
                to[x * wide + 3] = 255;
            }
        }
    }
}

/* A tile that needs a second look is crossed (blank) or underlined (constant) in the mark colour. */
static void draw_mark(cvi_page *page, double x, double y, const grid *g, cvi_tile_mark mark) {
    cvi_paint paint = {.stroke = page->t->role[CVI_MARK], .width = 0.7, .round = true};
    if (mark == CVI_TILE_BLANK) {
        cvi_draw_line(page->s, x + 1, y + g->tile_h - 1, x + g->tile_w - 1, y + 1, &paint);
    }
    if (mark == CVI_TILE_BROKEN) {
        cvi_draw_line(page->s, x + 1, y + g->tile_h - 1, x + g->tile_w - 1, y + 1, &paint);
        cvi_draw_line(page->s, x + 1, y + 1, x + g->tile_w - 1, y + g->tile_h - 1, &paint);
    }
    if (mark == CVI_TILE_CONSTANT) {
        double middle = y + g->tile_h / 2;
        cvi_draw_line(page->s, x + 2, middle - 1.2, x + g->tile_w - 2, middle - 1.2, &paint);
        cvi_draw_line(page->s, x + 2, middle + 1.2, x + g->tile_w - 2, middle + 1.2, &paint);
    }
}

static void draw_label(cvi_page *page, const cvi_sheet *sheet, const grid *g, double x, double y,
                       const cvi_tile *tile) {
    cvi_font small = cvi_font_small(page);
    small.size = CVI_MIN_TEXT;
    small.anchor = CVI_MIDDLE;
    small.color = page->t->role[tile->mark == CVI_TILE_PLAIN ? CVI_MUTED : CVI_MARK];
    char line[64];
    const char *text = tile->label;
    if (text == NULL) {
        snprintf(line, sizeof line, "%lld", (long long)tile->number);
        text = line;
    }
    double max = fmax(g->pitch_x - 1.5, g->tile_w);
    for (int i = 0; i < sheet->label_lines && text != NULL && *text != '\0'; i++) {
        const char *end = strchr(text, '\n');
        char part[128];
        snprintf(part, sizeof part, "%.*s", end != NULL ? (int)(end - text) : (int)sizeof part - 1, text);
        cvi_draw_text_fit(page->s, x + g->tile_w / 2, y + 7.5 * (i + 1), max, &small, part);
        text = end != NULL ? end + 1 : NULL;
    }
}

/* Frames, marks, tooltips and labels of the tiles of one row. */
static void draw_words(cvi_page *page, const cvi_sheet *sheet, const grid *g, int64_t first, int64_t n,
                       double x0, double y) {
    cvi_paint frame = {.stroke = page->t->role[CVI_LINE], .width = 0.4};
    for (int64_t k = 0; k < n; k++) {
        cvi_tile tile = {.number = first + k};
        double x = x0 + (double)k * g->pitch_x;
        sheet->describe(sheet->context, first + k, &tile);
        bool group = tile.tooltip != NULL && !page->o.compact;
        if (group) {
            cvi_group_begin(page->s, NULL, tile.tooltip, NULL);
        }
        if (group || !page->o.compact) {
            frame.fill = group ? 0x00000001 : 0; /* all but invisible: gives the tooltip an area */
            cvi_draw_rect(page->s, x, y, g->tile_w, g->tile_h, 0, &frame);
        }
        draw_mark(page, x, y, g, tile.mark);
        if (sheet->label_lines > 0 && !page->o.compact) {
            draw_label(page, sheet, g, x, y + g->tile_h, &tile);
        } else if (page->o.compact && k == 0 && sheet->count > 1) {
            cvi_font small = cvi_font_small(page);
            small.anchor = CVI_END;
            if (g->pitch_y >= 8.5 || first / g->across % 2 == 0) {
                cvi_draw_textf(page->s, x - 4, y + g->tile_h / 2 + 2.3, &small, "%lld",
                               (long long)tile.number);
            }
        }
        if (group) {
            cvi_group_end(page->s);
        }
    }
}

/* Rows [row, row + rows) as one picture; moves y behind them. */
static cvs_status draw_band(cvi_page *page, const cvi_sheet *sheet, const grid *g, int64_t row, int64_t rows,
                            uint8_t *tile, cvs_error *err) {
    int64_t width = g->across * g->px_w + (g->across - 1) * g->gap, step = g->px_h + g->gap_y;
    int64_t height = (rows - 1) * step + g->px_h, wide = sheet->rgb ? 4 : 1;
    double x0 = page->left + g->indent, w = (double)width * g->tile_w / (double)g->px_w;
    double h = (double)height * g->tile_h / (double)g->px_h;
    uint8_t *pixels =
        cvi_draw_image(page->s, x0, page->y, w, h, width, height, (int)wide, sheet->palette, false);
    if (pixels == NULL) {
        return cvi_no_memory(err, (size_t)(width * height * wide));
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t first = (row + r) * g->across, n = CVI_MIN(g->across, sheet->count - first);
        for (int64_t k = 0; k < n; k++) {
            sheet->paint(sheet->context, first + k, tile);
            put_tile(sheet, g, tile, pixels + r * step * width * wide, width * wide, k * (g->px_w + g->gap));
        }
        draw_words(page, sheet, g, first, n, x0, page->y + (double)r * g->pitch_y);
    }
    page->y += (double)rows * g->pitch_y;
    return CVS_OK;
}

cvs_status cvi_draw_sheet(cvi_page *page, const cvi_sheet *sheet, cvs_error *err) {
    if (sheet->count <= 0 || sheet->rows <= 0 || sheet->columns <= 0) {
        return CVS_OK;
    }
    grid g = lay_out(page, sheet);
    int64_t bytes;
    if (!cvi_mul(sheet->rows, sheet->columns, &bytes) || !cvi_mul(bytes, 3, &bytes)) {
        return cvi_fail(err, CVS_E_LIMIT, "a picture of %lld x %lld pixels is too large to write",
                        (long long)sheet->columns, (long long)sheet->rows);
    }
    uint8_t *tile = cvi_malloc((size_t)bytes);
    if (tile == NULL) {
        return cvi_no_memory(err, (size_t)bytes);
    }
    cvs_status status = CVS_OK;
    int64_t wide = g.across * (g.px_w + g.gap), tall = g.px_h + g.gap_y;
    int64_t rows = CVI_MAX(1, CVI_MIN(BAND_PIXELS / wide, BAND_SIDE) / tall); /* of one picture */
    for (int64_t row = 0; row < g.down && status == CVS_OK; row += rows) {
        status = draw_band(page, sheet, &g, row, CVI_MIN(rows, g.down - row), tile, err);
    }
    cvi_free(tile);
    return status;
}
