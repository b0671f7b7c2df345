/* SPDX-License-Identifier: MIT
 * fig_connections.c - which channel of a layer feeds which of another: the strongest links as lines between maps, all of them as
 * matrices.
 */
#include "convscope/draw_features.h"
#include "draw/maps.h"

#include <math.h>
#include <stdlib.h>

enum { USUAL_LINKS = 30, MOST_ENDS = 12 };
#define TILE  34.0
#define STEP  44.0 /* from tile to tile */
#define PLAIN 20.0 /* a tile without a map, its number in it; and */
#define CLOSE 26.0

typedef struct wire {
    int64_t from, to;
    double value;
    int left, right; /* places */
} wire;

typedef struct end {
    int64_t channel;
    double strength, place; /* place: mean of the other ends', for order */
} end;

typedef struct links_figure {
    const cvs_connections_data *d;
    const float *value; /* [n_to][n_from] by which links are chosen */
    bool is_signed;
    double tile, step;
    cvi_page page;
    wire *wires;
    int n;
    end left[MOST_ENDS], right[MOST_ENDS];
    int n_left, n_right;
} links_figure;

/* ---- choosing -------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b) {
    const wire *x = a, *y = b;
    double p = fabs(x->value), q = fabs(y->value);
    int64_t first = x->to != y->to ? x->to - y->to : x->from - y->from;
    return p > q ? -1 : p < q ? 1 : (first > 0) - (first < 0);
}

static int place_of(end *ends, int *n, int64_t channel) {
    for (int i = 0; i < *n; i++) {
        if (ends[i].channel == channel) {
            return i;
        }
    }
    if (*n == MOST_ENDS) {
        return -1;
    }
    ends[*n] = (end){.channel = channel};
    return (*n)++;
}

static int by_place(const void *a, const void *b) {
    const end *x = a, *y = b;
    return x->place < y->place   ? -1
           : x->place > y->place ? 1
                                 : (x->channel > y->channel) - (x->channel < y->channel);
}

/* The strongest links that fit between at most MOST_ENDS channels a side; the left ones ordered by whom they feed. */
static cvs_status choose(links_figure *f, int wanted, cvs_error *err) {
    const cvs_connections *c = f->d->connections;
    int64_t total = c->n_from * c->n_to, n = 0;
    wire *all = cvi_malloc((size_t)CVI_MAX(total, 1) * sizeof *all);
    if (!all) {
        return cvi_no_memory(err, (size_t)total * sizeof *all);
    }
    for (int64_t i = 0; i < total; i++) {
        double v = (double)f->value[i];
        if (isfinite(v) && (v < 0 || v > 0)) {
            all[n++] = (wire){.from = i % c->n_from, .to = i / c->n_from, .value = v};
        }
    }
    qsort(all, (size_t)n, sizeof *all, by_size);
    for (int64_t i = 0; i < n && f->n < wanted; i++) {
        int was_left = f->n_left, was_right = f->n_right;
        int left = place_of(f->left, &f->n_left, all[i].from),
            right = place_of(f->right, &f->n_right, all[i].to);
        if (left < 0 || right < 0) {
            f->n_left = was_left;
            f->n_right = was_right;
            continue;
        }
        all[f->n++] = all[i];
        f->left[left].strength += fabs(all[i].value);
        f->right[right].strength += fabs(all[i].value);
    }
    f->wires = all;
    for (int i = 0; i < f->n_right; i++) {
        f->right[i].place = -f->right[i].strength;
    }
    qsort(f->right, (size_t)f->n_right, sizeof *f->right, by_place);
    for (int i = 0; i < f->n; i++) {
        wire *w = &f->wires[i];
        w->right = place_of(f->right, &f->n_right, w->to);
        end *left = &f->left[place_of(f->left, &f->n_left, w->from)];
        left->place += fabs(w->value) / fmax(left->strength, 1e-300) * w->right;
    }
    qsort(f->left, (size_t)f->n_left, sizeof *f->left, by_place);
    for (int i = 0; i < f->n; i++) {
        f->wires[i].left = place_of(f->left, &f->n_left, f->wires[i].from);
    }
    return CVS_OK;
}

/* ---- links ------------------------------------------------------------------------------------------------------ */

static bool has_maps(const cvs_tensor *maps, int64_t channels) {
    return maps && maps->data && maps->rank == 4 && maps->dtype == CVS_F32 && maps->dim[1] >= channels &&
           maps->dim[2] * maps->dim[3] > 1;
}

static void draw_map(cvi_page *page, const cvs_tensor *maps, int64_t channel, double x, double y,
                     double side) {
    cvi_maps m = {.data = maps->data, .maps = maps->dim[1], .rows = maps->dim[2], .columns = maps->dim[3]};
    double lo = 0, hi = 0, aspect = (double)m.rows / (double)m.columns;
    double w = fmin(side, side / aspect), h = fmin(side, side * aspect);
    cvi_map_look(&m, channel, &lo, &hi);
    cvi_scale scale = cvi_scale_for(fmin(lo, 0.0), fmax(hi, 0.0));
    cvi_color palette[256];
    cvi_scale_palette(&scale, page->t, palette);
    int64_t down = cvi_shrink_factor(1, m.rows, m.columns, 128 * 128);
    int64_t rows = (m.rows + down - 1) / down, columns = (m.columns + down - 1) / down;
    uint8_t *out = cvi_draw_image(page->s, x + (side - w) / 2, y + (side - h) / 2, w, h, columns, rows, 1,
                                  palette, false);
    for (int64_t k = 0; out && k < rows * columns; k++) {
        out[k] = cvi_scale_index(&scale, cvi_map_mean(&m, channel, k / columns, k % columns, down));
    }
}

/* A channel: its map with its number beside it, or a box with the number in it. */
static void draw_end(links_figure *f, const cvs_tensor *maps, int64_t channels, const end *e, double x,
                     double y, bool left) {
    cvi_page *page = &f->page;
    cvi_font font = cvi_font_note(page);
    cvi_paint edge = {.fill = page->t->role[CVI_PANEL], .stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_rect(page->s, x, y, f->tile, f->tile, 0, &edge);
    if (f->tile < TILE) {
        font.anchor = CVI_MIDDLE;
        cvi_draw_textf(page->s, x + f->tile / 2, y + f->tile / 2 + 2.7, &font, "%lld", (long long)e->channel);
        return;
    }
    if (has_maps(maps, channels)) {
        draw_map(page, maps, e->channel, x, y, f->tile);
    }
    font.anchor = left ? CVI_END : CVI_START;
    cvi_draw_textf(page->s, left ? x - 5 : x + f->tile + 5, y + f->tile / 2 + 2.5, &font, "%lld",
                   (long long)e->channel);
}

static void draw_links(links_figure *f) {
    cvi_page *page = &f->page;
    const cvs_connections *c = f->d->connections;
    int tall = CVI_MAX(f->n_left, f->n_right);
    bool maps = has_maps(f->d->from_maps, c->n_from) || has_maps(f->d->to_maps, c->n_to);
    f->tile = maps ? TILE : PLAIN;
    f->step = maps ? STEP : CLOSE;
    double x0 = page->left + 30, x1 = page->left + fmin(page->width, 440) - 30 - f->tile;
    double top = page->y + 14, high = tall * f->step, most = f->n > 0 ? fabs(f->wires[0].value) : 1;
    double gap_left = high / CVI_MAX(f->n_left, 1), gap_right = high / CVI_MAX(f->n_right, 1);
    cvi_font note = cvi_font_note(page);
    cvi_draw_text_fit(page->s, x0, page->y + 8, 190, &note, c->from);
    note.anchor = CVI_END;
    cvi_draw_text_fit(page->s, x1 + f->tile, page->y + 8, 190, &note, c->to);
    for (int i = f->n - 1; i >= 0; i--) { /* the strongest on top */
        const wire *w = &f->wires[i];
        double y0 = top + (w->left + 0.5) * gap_left, y1 = top + (w->right + 0.5) * gap_right;
        cvi_paint line = {.width = 0.5 + 5.5 * fabs(w->value) / most, .round = true};
        cvi_color color = page->t->role[!f->is_signed  ? CVI_ACCENT
                                        : w->value > 0 ? CVI_POSITIVE
                                                       : CVI_NEGATIVE];
        line.stroke = (color & 0xFFFFFF00u) | 0xB0u;
        char tooltip[100];
        snprintf(tooltip, sizeof tooltip, "%lld → %lld: %s", (long long)w->from, (long long)w->to,
                 cvi_num(w->value).text);
        cvi_group_begin(page->s, NULL, tooltip, NULL);
        cvi_path_begin(page->s);
        cvi_path_move(page->s, x0 + f->tile, y0);
        cvi_path_curve(page->s, x0 + f->tile + (x1 - x0) / 3, y0, x1 - (x1 - x0) / 3, y1, x1, y1);
        cvi_path_end(page->s, &line);
        cvi_group_end(page->s);
    }
    for (int i = 0; i < f->n_left; i++) {
        draw_end(f, f->d->from_maps, c->n_from, &f->left[i], x0, top + (i + 0.5) * gap_left - f->tile / 2,
                 true);
    }
    for (int i = 0; i < f->n_right; i++) {
        draw_end(f, f->d->to_maps, c->n_to, &f->right[i], x1, top + (i + 0.5) * gap_right - f->tile / 2,
                 false);
    }
    page->y = top + high + 4;
    cvi_page_note(page,
                  cvi_page_tr(page, f->is_signed
                                        ? "The wider a line, the more it carries; red raises the channel "
                                          "on the right, blue lowers it."
                                        : "The wider a line, the more it carries."));
}

/* ---- matrices ------------------------------------------------------------------------------------------------------ */

/* The number of the largest size in a block of the matrix. */
static float block(const float *v, int64_t rows, int64_t columns, int64_t y, int64_t x, int64_t down) {
    float most = 0;
    for (int64_t r = y * down; r < CVI_MIN((y + 1) * down, rows); r++) {
        for (int64_t c = x * down; c < CVI_MIN((x + 1) * down, columns); c++) {
            most = fabsf(v[r * columns + c]) > fabsf(most) ? v[r * columns + c] : most;
        }
    }
    return most;
}

/* One matrix at x, `wide` points across; page->y stays. Returns where it ends. */
static double draw_matrix(links_figure *f, const cvs_tensor *t, double x, double across, const char *heading,
                          const char *what) {
    cvi_page *page = &f->page;
    const cvs_connections *c = f->d->connections;
    const float *v = t->data;
    int64_t rows = c->n_to, columns = c->n_from, down = (CVI_MAX(rows, columns) + 1023) / 1024;
    int64_t high = (rows + down - 1) / down, wide = (columns + down - 1) / down;
    double lo = 0, hi = 0, left = x + 26, room = across - 26, y = page->y + 12;
    for (int64_t i = 0; i < rows * columns; i++) {
        lo = isfinite(v[i]) ? fmin(lo, (double)v[i]) : lo;
        hi = isfinite(v[i]) ? fmax(hi, (double)v[i]) : hi;
    }
    cvi_scale scale = cvi_scale_for(lo, hi);
    cvi_color palette[256];
    cvi_scale_palette(&scale, page->t, palette);
    double cell = fmin(fmin(room / (double)wide, 420.0 / (double)high), 16);
    double w = fmax(cell * (double)wide, 2), h = fmax(cell * (double)high, 2);
    cvi_font small = cvi_font_small(page), strong = cvi_font_strong(page);
    cvi_draw_text_fit(page->s, x, y, across, &strong, heading);
    char words[200];
    snprintf(words, sizeof words, cvi_page_tr(page, "channels of %s →"), c->from);
    cvi_draw_text_fit(page->s, left, y + 13, room, &small, words);
    y += 17;
    uint8_t *out = cvi_draw_image(page->s, left, y, w, h, wide, high, 1, palette, false);
    for (int64_t i = 0; out && i < wide * high; i++) {
        out[i] = cvi_scale_index(&scale, block(v, rows, columns, i / wide, i % wide, down));
    }
    cvi_paint edge = {.stroke = page->t->role[CVI_LINE], .width = 0.5};
    cvi_draw_rect(page->s, left, y, w, h, 0, &edge);
    small.anchor = CVI_END;
    cvi_draw_text(page->s, left - 4, y + 6, &small, "0");
    if (rows > 1 && h > 16) {
        cvi_draw_textf(page->s, left - 4, y + h, &small, "%lld", (long long)(rows - 1));
    }
    small.anchor = CVI_START;
    y += h + 9;
    snprintf(words, sizeof words, cvi_page_tr(page, "channels of %s ↓"), c->to);
    cvi_draw_text_fit(page->s, left, y, room, &small, words);
    y += 4;
    return y + cvi_legend(page, left, y, fmin(180, room), &scale, what);
}

cvs_status cvs_draw_connections(const cvs_connections_data *data, const cvs_figure_options *options,
                                cvs_figure **out, cvs_error *err) {
    const cvs_connections *c = data->connections;
    links_figure f = {.d = data};
    cvs_lang lang = options ? options->lang : CVS_EN;
    char title[320];
    *out = NULL;
    if (!c->norm.data && !c->contribution.data) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no picture to draw");
    }
    f.is_signed = c->contribution.data != NULL;
    f.value = f.is_signed ? c->contribution.data : c->norm.data;
    snprintf(title, sizeof title, cvi_tr(lang, "How %s feeds %s"), c->from, c->to);
    CVI_TRY(cvi_page_begin(&f.page, options, title, NULL, err));
    cvs_status s = choose(&f, data->links > 0 ? data->links : USUAL_LINKS, err);
    if (s != CVS_OK) {
        cvi_page_abort(&f.page);
        return s;
    }
    char words[160];
    const char *all = cvi_count(c->n_from * c->n_to).text;
    snprintf(words, sizeof words,
             f.is_signed ? cvi_page_tr(&f.page, "The strongest %d of %s links, by contribution")
                         : cvi_page_tr(&f.page, "The strongest %d of %s links, by the norm of their weights"),
             f.n, all);
    cvi_page_heading(&f.page, words);
    draw_links(&f);
    cvi_free(f.wires);
    bool both = c->contribution.data && c->norm.data;
    double across = both ? (f.page.width - 16) / 2 : f.page.width, x = f.page.left, bottom = f.page.y;
    cvi_page_space(&f.page, 6);
    if (c->contribution.data) {
        bottom = draw_matrix(&f, &c->contribution, x, across,
                             cvi_page_tr(&f.page, "All links: contribution in this picture"),
                             cvi_page_tr(&f.page, "activation × gradient, summed over positions"));
        x += across + 16;
    }
    if (c->norm.data) {
        double other =
            draw_matrix(&f, &c->norm, x, across, cvi_page_tr(&f.page, "All links: norm of the weights"),
                        cvi_page_tr(&f.page, "L2 norm"));
        bottom = fmax(bottom, other);
    }
    f.page.y = bottom + 4;
    cvi_page_note(&f.page, c->caption);
    return cvi_page_end(&f.page, out, err);
}
