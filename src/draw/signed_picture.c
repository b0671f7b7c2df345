/* SPDX-License-Identifier: MIT
 * signed_picture.c - signed numbers of every colour of a picture (projections, gradients), mid-grey = 0, each picture by its own
 * largest number: the strongest half a percent share the end colours, or single pixels would leave the rest grey.
 */
#include "draw/signed_picture.h"

#include <math.h>
#include <stdlib.h>

#define LARGEST 448 /* pixels a side; larger ones are averaged down */

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The value that gets the full colour: the largest |v| of n numbers but the strongest half a percent; 0 when all are 0. What is not
 * finite counts as 0. False: out of memory. */
static bool full_colour(const float *v, int64_t n, double *limit) {
    float *a = cvi_malloc((size_t)CVI_MAX(n, 1) * sizeof *a);
    *limit = 0;
    if (!a) {
        return false;
    }
    for (int64_t i = 0; i < n; i++) {
        a[i] = isfinite(v[i]) ? fabsf(v[i]) : 0.0f;
    }
    if (n > 0) {
        qsort(a, (size_t)n, sizeof *a, ascending);
        int64_t zeros = 0;
        while (zeros < n && a[zeros] <= 0) {
            zeros++;
        }
        *limit = (double)
            a[(n - 1) - (n - zeros) / 200]; /* of what is not zero: a projection is zero around its field */
    }
    cvi_free(a);
    return true;
}

/* Mean over a block of one channel. */
static double block(const float *v, int64_t rows, int64_t columns, int64_t y, int64_t x, int64_t down) {
    double sum = 0;
    int64_t n = 0;
    for (int64_t r = y * down; r < CVI_MIN((y + 1) * down, rows); r++) {
        for (int64_t c = x * down; c < CVI_MIN((x + 1) * down, columns); c++, n++) {
            double one = (double)v[r * columns + c];
            sum += isfinite(one) ? one : 0.0;
        }
    }
    return sum / (double)CVI_MAX(n, 1);
}

static uint8_t grey_of(double v, double limit) {
    double share = limit > 0 ? fmin(fmax(v / limit, -1.0), 1.0) : 0.0;
    return (uint8_t)lrint(128 + 127 * share);
}

double cvi_draw_signed(cvi_page *page, double x, double y, double w, const float *v, int64_t channels,
                       int64_t rows, int64_t columns, cvs_channel_order order) {
    double h = w * (double)rows / (double)CVI_MAX(columns, 1), limit = 0;
    int64_t area = rows * columns, down = (CVI_MAX(rows, columns) + LARGEST - 1) / LARGEST;
    int64_t tall = (rows + down - 1) / down, wide = (columns + down - 1) / down;
    uint8_t *out = cvi_draw_image(page->s, x, y, w, h, wide, tall, 3, NULL, false);
    if (!out || !full_colour(v, channels * area, &limit)) {
        page->s->failed = true;
        return h;
    }
    for (int64_t i = 0; i < wide * tall; i++) {
        double sum = 0;
        for (int64_t c = 0; c < channels; c++) {
            double one = block(v + c * area, rows, columns, i / wide, i % wide, down);
            sum += one;
            if (channels == 3) {
                out[3 * i + (order == CVS_BGR ? 2 - c : c)] = grey_of(one, limit);
            }
        }
        if (channels != 3) {
            memset(out + 3 * i, grey_of(sum, limit), 3);
        }
    }
    return h;
}

double cvi_signed_legend(cvi_page *page, double x, double y, double width) {
    cvi_font small = cvi_font_small(page);
    uint8_t *bar = cvi_draw_image(page->s, x, y, width, 7, 255, 1, 3, NULL, true);
    for (int i = 0; bar && i < 255; i++) {
        memset(bar + 3 * i, i, 3);
    }
    cvi_paint edge = {.stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_rect(page->s, x, y, width, 7, 0, &edge);
    cvi_draw_text(page->s, x, y + 15, &small, cvi_page_tr(page, "−largest"));
    small.anchor = CVI_END;
    cvi_draw_text(page->s, x + width, y + 15, &small, cvi_page_tr(page, "+largest"));
    small.anchor = CVI_MIDDLE;
    cvi_draw_text(page->s, x + width / 2, y + 15, &small, "0");
    return 19;
}
