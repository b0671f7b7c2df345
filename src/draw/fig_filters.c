/* SPDX-License-Identifier: MIT
 * fig_filters.c - the kernels of a layer as pictures: colour, slices by input channel, a whole weight matrix, or norms.
 * Whatever the view, all kernels w [K,C,R,S] are on the page, with norms, biases and ranks in numbers.
 */
#include "draw/figure.h"

#include <math.h>
#include <stdlib.h>

#define MOST_SLICES 48  /* input channels side by side that stay legible across a page */
#define MOST_ROWS   128 /* kernels one below the other */
#define MATRIX_SIDE                                                                                          \
    1800.0 /* points: the tallest matrix picture; MATRIX_GOOD where that leaves a point per row */
#define MATRIX_GOOD 640.0

typedef enum view { COLOR, TILES, ROWS, MATRIX, NORM } view;

typedef struct filters {
    const cvs_filters_data *d;
    cvi_page *page;
    const float *w, *bias;
    int64_t k, c, r, s;
    cvs_kernel_stats *stats;  /* k of them */
    int64_t *order;           /* the kernel shown at each place */
    double largest, top_norm; /* over all kernels; of a norm tile */
    cvi_scale scale;
    char label[64], tooltip[160];
} filters;

static const float *kernel(const filters *f, int64_t place) {
    return f->w + f->order[place] * f->c * f->r * f->s;
}

/* ---- painting tiles ------------------------------------------------------------------------------------ */

/* Three channels as colour around mid-grey, by the kernel's own largest weight. */
static void paint_color(void *context, int64_t place, uint8_t *out) {
    const filters *f = context;
    const float *w = kernel(f, place);
    double largest = f->stats[f->order[place]].largest, gain = largest > 0.0 ? 127.0 / largest : 0.0;
    int64_t area = f->r * f->s;
    for (int64_t i = 0; i < area; i++) {
        for (int64_t c = 0; c < 3; c++) {
            int64_t from = f->d->order == CVS_BGR ? 2 - c : c;
            double v = (double)w[from * area + i];
            out[3 * i + c] = (uint8_t)(128.0 + floor((isfinite(v) ? v : 0.0) * gain + 0.5));
        }
    }
}

static void paint_signed(void *context, int64_t place, uint8_t *out) {
    const filters *f = context;
    const float *w = kernel(f, place);
    for (int64_t i = 0; i < f->r * f->s; i++) {
        out[i] = cvi_scale_index(&f->scale, w[i]);
    }
}

static double norm_at(const filters *f, int64_t kernel_index, int64_t i) {
    const float *w = f->w + kernel_index * f->c * f->r * f->s;
    double sum = 0.0;
    for (int64_t c = 0; c < f->c; c++) {
        double v = (double)w[c * f->r * f->s + i];
        sum += v * v;
    }
    return sqrt(sum);
}

static void paint_norm(void *context, int64_t place, uint8_t *out) {
    const filters *f = context;
    for (int64_t i = 0; i < f->r * f->s; i++) {
        out[i] = cvi_scale_index(&f->scale, (float)norm_at(f, f->order[place], i));
    }
}

static void describe(void *context, int64_t place, cvi_tile *tile) {
    filters *f = context;
    int64_t k = f->order[place];
    const cvs_kernel_stats *m = &f->stats[k];
    char bias[48] = "", rank[48] = "";
    if (f->bias != NULL) {
        snprintf(bias, sizeof bias, cvi_page_tr(f->page, ", bias %s"), cvi_num((double)f->bias[k]).text);
    }
    if (m->rank >= 0 && f->r * f->s > 1) {
        snprintf(rank, sizeof rank, cvi_page_tr(f->page, ", rank %d"), m->rank);
    }
    snprintf(f->tooltip, sizeof f->tooltip, cvi_page_tr(f->page, "kernel %lld: L2 norm %s%s%s"), (long long)k,
             cvi_num(m->norm).text, bias, rank);
    tile->number = k;
    tile->tooltip = f->tooltip;
    tile->mark = !isfinite(m->norm) ? CVI_TILE_BROKEN : m->largest > 0.0 ? CVI_TILE_PLAIN : CVI_TILE_BLANK;
    if (f->k <= MOST_ROWS && !f->page->o.compact) {
        snprintf(f->label, sizeof f->label, "%lld\n%s", (long long)k, cvi_num(m->norm).text);
        tile->label = f->label;
    }
}

static cvs_status draw_tiles(filters *f, view v, cvs_error *err) {
    cvi_sheet sheet = {
        .count = f->k, .rows = f->r, .columns = f->s, .rgb = v == COLOR, .describe = describe, .context = f};
    sheet.paint = v == COLOR ? paint_color : v == TILES ? paint_signed : paint_norm;
    bool two = f->k <= MOST_ROWS;
    cvi_font small = {.size = CVI_MIN_TEXT};
    sheet.label_lines = two ? 2 : 1;
    sheet.label_width = cvi_text_width(&small, two ? "0.0001" : f->k > 1000 ? "0000" : "000");
    cvi_scale_palette(&f->scale, f->page->t, sheet.palette);
    return cvi_draw_sheet(f->page, &sheet, err);
}

/* ---- rows: kernel by input channel ----------------------------------------------------------------------- */

/* The numbers that stand right of a row of slices. */
static void draw_row_words(filters *f, int64_t place, double x, double y) {
    cvi_font small = cvi_font_small(f->page);
    small.size = CVI_MIN_TEXT;
    small.anchor = CVI_END;
    int64_t k = f->order[place];
    cvi_draw_text(f->page->s, x + 40, y, &small, cvi_num(f->stats[k].norm).text);
    if (f->bias != NULL) {
        cvi_draw_text(f->page->s, x + 82, y, &small, cvi_num((double)f->bias[k]).text);
    }
    if (f->stats[k].rank >= 0 && f->r * f->s > 1) {
        cvi_draw_textf(f->page->s, x + 108, y, &small, "%d", f->stats[k].rank);
    }
}

static void draw_row_head(filters *f, double x_words, double x_cells, double pitch) {
    cvi_page *page = f->page;
    cvi_font small = cvi_font_small(page);
    small.size = CVI_MIN_TEXT;
    small.anchor = CVI_END;
    double y = page->y + 6.5;
    cvi_draw_text_fit(page->s, x_words + 40, y, 38, &small, cvi_page_tr(page, "L2 norm"));
    if (f->bias != NULL) {
        cvi_draw_text_fit(page->s, x_words + 82, y, 38, &small, cvi_page_tr(page, "bias"));
    }
    if (f->r * f->s > 1) {
        cvi_draw_text_fit(page->s, x_words + 108, y, 24, &small, cvi_page_tr(page, "rank"));
    }
    cvi_draw_text_fit(page->s, page->left + 20, y, 20, &small, "k");
    small.anchor = CVI_MIDDLE;
    int64_t step = 1;
    while ((double)step * pitch < 14) {
        step *= step == 1 || step == 10 ? 2 : step == 2 ? 2 : 5; /* 1 2 4 20 ... */
    }
    for (int64_t c = 0; c < f->c; c += step) {
        cvi_draw_textf(page->s, x_cells + ((double)c + 0.5) * pitch, y, &small, "%lld", (long long)c);
    }
    page->y += 9;
}

static cvs_status draw_rows(filters *f, cvs_error *err) {
    cvi_page *page = f->page;
    const double words = 112, left = 24;
    double pitch = fmin(26.0, (page->width - left - words) / (double)f->c);
    int64_t up = CVI_MAX(1, (8 + f->s - 1) / f->s), cell_w = f->s * up, cell_h = f->r * up;
    double per_pixel = pitch / (double)(cell_w + 1), tall = per_pixel * (double)cell_h;
    double x0 = page->left + left, x_words = x0 + pitch * (double)f->c;
    double row_pitch = fmax(tall + fmax(per_pixel, 1.0), 8.0);
    int64_t width = f->c * (cell_w + 1) - 1;
    draw_row_head(f, x_words, x0, pitch);
    cvi_color palette[256];
    cvi_scale_palette(&f->scale, page->t, palette);
    for (int64_t place = 0; place < f->k; place++) {
        const float *w = kernel(f, place);
        cvi_tile tile = {0};
        describe(f, place, &tile);
        cvi_group_begin(page->s, NULL, tile.tooltip, NULL);
        double top = page->y + (row_pitch - tall) / 2, base = page->y + row_pitch / 2 + 2.2;
        uint8_t *out = cvi_draw_image(page->s, x0, top, (double)width * per_pixel, tall, width, cell_h, 1,
                                      palette, false);
        if (out == NULL) {
            return cvi_no_memory(err, (size_t)(width * cell_h));
        }
        for (int64_t y = 0; y < cell_h; y++) {
            for (int64_t x = 0; x < width; x++) {
                int64_t c = x / (cell_w + 1), inside = x % (cell_w + 1);
                if (inside < cell_w) {
                    out[y * width + x] =
                        cvi_scale_index(&f->scale, w[(c * f->r + y / up) * f->s + inside / up]);
                }
            }
        }
        cvi_font small = cvi_font_small(page);
        small.size = CVI_MIN_TEXT;
        small.anchor = CVI_END;
        cvi_draw_textf(page->s, page->left + 20, base, &small, "%lld", (long long)f->order[place]);
        draw_row_words(f, place, x_words, base);
        cvi_group_end(page->s);
        page->y += row_pitch;
    }
    return CVS_OK;
}

/* ---- the whole matrix ------------------------------------------------------------------------------------- */

/* Mean of the weights that fall on one printed pixel of the [K*R, C*S] matrix. */
static float matrix_mean(const filters *f, int64_t y, int64_t x, int64_t shrink) {
    int64_t rows = f->k * f->r, cols = f->c * f->s, n = 0;
    double sum = 0.0;
    for (int64_t i = y * shrink; i < CVI_MIN(rows, (y + 1) * shrink); i++) {
        const float *w = kernel(f, i / f->r);
        for (int64_t j = x * shrink; j < CVI_MIN(cols, (x + 1) * shrink); j++, n++) {
            sum += (double)w[(j / f->s * f->r + i % f->r) * f->s + j % f->s];
        }
    }
    return (float)(sum / (double)CVI_MAX(n, 1));
}

static cvs_status draw_matrix(filters *f, cvs_error *err) {
    cvi_page *page = f->page;
    int64_t rows = f->k * f->r, cols = f->c * f->s;
    int64_t shrink = cvi_shrink_factor(1, rows, cols, page->o.max_pixels);
    int64_t h = (rows + shrink - 1) / shrink, w = (cols + shrink - 1) / shrink;
    double left = 26, most = page->width - left;
    double tallest = fmin(fmax(MATRIX_GOOD, (double)h), MATRIX_SIDE);
    double px = fmin(fmin(most / (double)w, tallest / (double)h), 9.0), py = px;
    if (px * (double)w < most * 0.5) { /* few input channels: wider than tall pixels */
        px = fmin(most / (double)w, 9.0);
    }
    cvi_page_note(page,
                  cvi_page_tr(page, "One row per kernel (0 at the top), one column per input channel."));
    if (shrink > 1) {
        cvi_page_notef(
            page,
            cvi_page_tr(page, "Too many weights for a page: every pixel is the mean of %lld x %lld weights."),
            (long long)shrink, (long long)shrink);
    }
    page->y += 4;
    cvi_color palette[256];
    cvi_scale_palette(&f->scale, page->t, palette);
    uint8_t *out = cvi_draw_image(page->s, page->left + left, page->y, px * (double)w, py * (double)h, w, h,
                                  1, palette, false);
    if (out == NULL) {
        return cvi_no_memory(err, (size_t)(w * h));
    }
    for (int64_t y = 0; y < h; y++) {
        for (int64_t x = 0; x < w; x++) {
            out[y * w + x] = cvi_scale_index(&f->scale, matrix_mean(f, y, x, shrink));
        }
    }
    cvi_font small = cvi_font_small(page);
    small.size = CVI_MIN_TEXT;
    small.anchor = CVI_END;
    double row = py * (double)h / (double)f->k; /* points per kernel */
    int64_t step = 1;
    while ((double)step * row < 8.0) {
        step *= 2;
    }
    for (int64_t place = 0; place < f->k; place += step) {
        double y = page->y + ((double)place + 0.5) * row + 2.2;
        cvi_draw_textf(page->s, page->left + left - 4, fmax(y, page->y + 5), &small, "%lld",
                       (long long)f->order[place]);
    }
    page->y += fmax(py * (double)h, 6.0) + 4;
    return CVS_OK;
}

/* ---- words and choice -------------------------------------------------------------------------------------- */

static view choose(const filters *f) {
    bool small = f->c <= MOST_SLICES && f->k <= MOST_ROWS && !f->page->o.compact;
    cvs_filter_view wanted = f->d->view;
    if (wanted == CVS_FILTERS_COLOR && f->c == 3) {
        return COLOR;
    }
    if (wanted == CVS_FILTERS_NORM) {
        return NORM;
    }
    if (wanted == CVS_FILTERS_AUTO && f->d->sees_picture && f->c == 3 && f->r * f->s > 1) {
        return COLOR;
    }
    if (f->c == 1 && f->r * f->s > 1) {
        return TILES;
    }
    if (small && f->c > 1) {
        return ROWS;
    }
    return wanted == CVS_FILTERS_SLICES || f->r * f->s == 1 ? MATRIX : NORM;
}

static const char *view_words(const filters *f, view v) {
    switch (v) {
    case COLOR:
        return cvi_page_tr(
            f->page,
            "Colour: the three input channels as red, green and blue. Mid-grey is zero; each kernel is "
            "scaled by its own largest weight, so compare shapes, and sizes by the norm.");
    case TILES:
        return cvi_page_tr(f->page, "One tile per kernel: its weights, signed, one scale for all kernels.");
    case ROWS:
        return cvi_page_tr(
            f->page, "One row per kernel k, one tile per input channel: signed weights, one scale for all.");
    case MATRIX:
        return cvi_page_tr(f->page, "All weights as one matrix, signed, one scale.");
    case NORM:
        break;
    }
    return cvi_page_tr(
        f->page,
        "One tile per kernel: at each position the root of the sum of squares over all input channels.");
}

static void say_ranks(filters *f) {
    int64_t most = CVI_MIN(f->c, f->r * f->s), full = 0;
    int least = INT32_MAX, largest = -1;
    for (int64_t k = 0; k < f->k; k++) {
        int rank = f->stats[k].rank;
        if (rank < 0) {
            return;
        }
        least = CVI_MIN(least, rank);
        largest = CVI_MAX(largest, rank);
        full += rank == most ? 1 : 0;
    }
    if (f->r * f->s > 1 && most > 1) {
        cvi_page_notef(
            f->page,
            cvi_page_tr(
                f->page,
                "Rank of each kernel's matrix [C, R·S]: from %d to %d, at most %lld; full for %s of %s."),
            least, largest, (long long)most, cvi_count(full).text, cvi_count(f->k).text);
    }
}

static void draw_charts(filters *f, double *values) {
    cvi_page *page = f->page;
    double w = (page->width - 20) / 3;
    if (f->k < 4) {
        return;
    }
    for (int64_t k = 0; k < f->k; k++) {
        values[k] = f->stats[k].norm;
    }
    cvi_draw_histogram(page, page->left, page->y, w, 46, cvi_page_tr(page, "L2 norm of the kernels"), values,
                       f->k);
    if (f->bias != NULL) {
        for (int64_t k = 0; k < f->k; k++) {
            values[k] = (double)f->bias[k];
        }
        cvi_draw_histogram(page, page->left + w + 10, page->y, w, 46, cvi_page_tr(page, "bias"), values,
                           f->k);
    }
    page->y += 54;
}

/* Norms first, then the order, the largest weight and the colour scale. */
static cvs_status measure(filters *f, view v, cvs_error *err) {
    for (int64_t k = 0; k < f->k; k++) {
        CVI_TRY(cvs_kernel_measure(f->w + k * f->c * f->r * f->s, f->c, f->r * f->s, &f->stats[k], err));
        f->largest = isfinite(f->stats[k].largest) ? fmax(f->largest, f->stats[k].largest) : f->largest;
        for (int64_t i = 0; v == NORM && i < f->r * f->s; i++) {
            double norm = norm_at(f, k, i);
            f->top_norm = isfinite(norm) ? fmax(f->top_norm, norm) : f->top_norm;
        }
    }
    f->scale =
        v == NORM ? cvi_scale_for(0.0, f->top_norm) : cvi_scale_for(-fmax(f->largest, 1e-30), f->largest);
    return CVS_OK;
}

typedef struct keyed {
    double norm;
    int64_t k;
} keyed;

static int by_norm(const void *a, const void *b) {
    const keyed *p = a, *q = b;
    return p->norm > q->norm ? -1 : p->norm < q->norm ? 1 : p->k < q->k ? -1 : p->k > q->k;
}

static cvs_status set_order(filters *f, cvs_error *err) {
    keyed *keys = cvi_calloc((size_t)f->k, sizeof *keys);
    if (keys == NULL) {
        return cvi_no_memory(err, (size_t)f->k * sizeof *keys);
    }
    for (int64_t k = 0; k < f->k; k++) {
        keys[k] = (keyed){isfinite(f->stats[k].norm) ? f->stats[k].norm : 0.0, k};
    }
    if (f->d->sorted) {
        qsort(keys, (size_t)f->k, sizeof *keys, by_norm);
    }
    for (int64_t k = 0; k < f->k; k++) {
        f->order[k] = keys[k].k;
    }
    cvi_free(keys);
    return CVS_OK;
}

static cvs_status draw_content(filters *f, double *values, cvs_error *err) {
    cvi_page *page = f->page;
    view v = choose(f);
    CVI_TRY(measure(f, v, err));
    CVI_TRY(set_order(f, err));
    char kernel_size[64] = "";
    if (f->r * f->s > 1) {
        snprintf(kernel_size, sizeof kernel_size, cvi_page_tr(page, "%lld x %lld, "), (long long)f->r,
                 (long long)f->s);
    }
    cvi_page_notef(page, cvi_page_tr(page, "%s kernels, %sover %s input channels each; all are shown, %s."),
                   cvi_count(f->k).text, kernel_size, cvi_count(f->c).text,
                   cvi_page_tr(page, f->d->sorted ? "largest norm first" : "in the model's order"));
    cvi_page_note(page, view_words(f, v));
    say_ranks(f);
    if (f->k <= MOST_ROWS && (v == COLOR || v == TILES || v == NORM) && !page->o.compact) {
        cvi_page_note(page, cvi_page_tr(page, "Under each tile: the kernel's number and its L2 norm."));
    }
    page->y += 6;
    double charts_y = page->y;
    draw_charts(f, values);
    if (v != COLOR) {
        double w = (page->width - 20) / 3, y = f->k < 4 ? page->y : charts_y;
        double x = f->k < 4 ? page->left : page->left + 2 * (w + 10);
        double tall = cvi_legend(page, x, y, w, &f->scale,
                                 cvi_page_tr(page, v == NORM ? "norm over input channels" : "weight"));
        page->y = fmax(page->y, y + tall + 6);
    }
    return v == ROWS ? draw_rows(f, err) : v == MATRIX ? draw_matrix(f, err) : draw_tiles(f, v, err);
}

/* Any kernel tensor as [K,C,R,S]; false when it is none. */
static bool read_shape(filters *f, const cvs_tensor *t) {
    if (t == NULL || t->dtype != CVS_F32 || t->layout != CVS_PLAIN || t->rank < 1 || t->rank > 5 ||
        t->data == NULL || cvs_tensor_count(t) <= 0) {
        return false;
    }
    const int64_t *d = t->dim;
    int n = t->rank;
    f->k = d[0];
    f->c = n > 1 ? d[1] : 1;
    f->s = n > 2 ? d[n - 1] : 1;
    f->r = n == 5 ? d[2] * d[3] : n == 4 ? d[2] : 1;
    f->w = t->data;
    return true;
}

cvs_status cvs_draw_filters(const cvs_filters_data *data, const cvs_figure_options *options, cvs_figure **out,
                            cvs_error *err) {
    filters f = {.d = data};
    *out = NULL;
    if (!read_shape(&f, data->kernel)) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "the kernel to draw must be float32 with 1 to 5 dimensions and numbers");
    }
    if (data->bias != NULL && data->bias->data != NULL && data->bias->dtype == CVS_F32 &&
        cvs_tensor_count(data->bias) == f.k) {
        f.bias = data->bias->data;
    }
    cvi_page page;
    char title[256];
    cvs_lang lang = options != NULL ? options->lang : CVS_EN;
    snprintf(title, sizeof title, cvi_tr(lang, data->dense ? "Weights of %s" : "Filters of %s"),
             data->layer != NULL ? data->layer : "?");
    CVI_TRY(cvi_page_begin(&page, options, title, data->settings, err));
    f.page = &page;
    f.stats = cvi_calloc((size_t)f.k, sizeof *f.stats);
    f.order = cvi_calloc((size_t)f.k, sizeof *f.order);
    double *values = cvi_calloc((size_t)f.k, sizeof *values);
    cvs_status status = f.stats == NULL || f.order == NULL || values == NULL
                            ? cvi_no_memory(err, (size_t)f.k * sizeof *f.stats)
                            : draw_content(&f, values, err);
    cvi_free(f.stats);
    cvi_free(f.order);
    cvi_free(values);
    if (status != CVS_OK) {
        cvi_page_abort(&page);
        return status;
    }
    return cvi_page_end(&page, out, err);
}
