/* SPDX-License-Identifier: MIT
 * fig_occlusion.c - the three maps of Zeiler and Fergus's figure 7, all from the same runs: at every place of the patch the sum of the
 * layer's strongest feature map, the target's value, and the most probable class with its share of the places.
 */
#include <math.h>

#include "draw/attribution.h"
#include "draw/maps.h"

#define TILE    150.0
#define GAP     14.0
#define NAMED   7 /* classes with a colour of their own */
#define SWATCH  7.0
#define LEADING 11.0

/* Okabe and Ito's palette, told apart by colour-blind readers too; the last one stands for all other classes. */
static const cvi_color palette_of_classes[NAMED + 1] = {0x0072B2FF, 0xE69F00FF, 0x009E73FF, 0xCC79A7FF,
                                                        0x56B4E9FF, 0xD55E00FF, 0xF0E442FF, 0x9AA0A6FF};

typedef struct occlusion {
    cvi_page *page;
    const cvs_attribution_data *d;
    int64_t rows, columns, cells;
    double side, w, h; /* of a tile, and of the map in it */
    double x;
} occlusion;

static void range_of(const cvs_tensor *t, int64_t n, double *lo, double *hi) {
    *lo = HUGE_VAL;
    *hi = -HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        double v = (double)((const float *)t->data)[i];
        *lo = isfinite(v) ? fmin(*lo, v) : *lo;
        *hi = isfinite(v) ? fmax(*hi, v) : *hi;
    }
    if (!(*lo <= *hi)) {
        *lo = *hi = 0.0;
    }
}

/* Values from lo to hi; dark is low. Returns the height below the tile's top. */
static double draw_values(occlusion *o, const cvs_tensor *t, const char *title, const char *what) {
    cvi_page *page = o->page;
    cvi_font small = cvi_font_small(page);
    cvi_scale scale = {0};
    cvi_color colors[256];
    range_of(t, o->cells, &scale.lo, &scale.hi);
    cvi_scale_palette(&scale, page->t, colors);
    uint8_t *out = cvi_draw_image(page->s, o->x, page->y, o->w, o->h, o->columns, o->rows, 1, colors, false);
    for (int64_t i = 0; out && i < o->cells; i++) {
        out[i] = cvi_scale_index(&scale, ((const float *)t->data)[i]);
    }
    double down = o->h + 9;
    cvi_draw_text_fit(page->s, o->x, page->y + down, o->side, &small, title);
    down += 8;
    down += cvi_legend(page, o->x, page->y + down, o->w, &scale, what);
    o->x += o->side + GAP;
    return down;
}

static const char *name_of(const occlusion *o, int64_t class, char *buf, size_t size) {
    bool known = class < o->d->n_class_names && o->d->class_names[class][0];
    if (known) {
        snprintf(buf, size, "%.60s", o->d->class_names[class]);
    } else {
        snprintf(buf, size, cvi_page_tr(o->page, "class %d"), (int)class);
    }
    return buf;
}

typedef struct winners {
    int32_t *class;       /* [cells] */
    int32_t first[NAMED]; /* the most frequent classes */
    int64_t count[NAMED];
    int n;
} winners;

/* The most probable class of every cell; the classes that win most cells, most first. */
static void find_winners(const occlusion *o, int64_t *often, winners *w) {
    const cvs_tensor *t = &o->d->why->classes;
    const float *v = t->data;
    int64_t classes = t->dim[1];
    for (int64_t i = 0; i < o->cells; i++) {
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++) {
            best = v[k * o->cells + i] > v[best * o->cells + i] ? k : best;
        }
        w->class[i] = (int32_t)best;
        often[best]++;
    }
    for (w->n = 0; w->n < NAMED; w->n++) {
        int64_t most = 0;
        for (int64_t k = 1; k < classes; k++) {
            most = often[k] > often[most] ? k : most;
        }
        if (often[most] == 0) {
            break;
        }
        w->first[w->n] = (int32_t)most;
        w->count[w->n] = often[most];
        often[most] = 0;
    }
}

static double draw_winners(occlusion *o, const winners *w) {
    cvi_page *page = o->page;
    cvi_font small = cvi_font_small(page);
    cvi_color colors[256] = {0};
    memcpy(colors, palette_of_classes, sizeof palette_of_classes);
    uint8_t *out = cvi_draw_image(page->s, o->x, page->y, o->w, o->h, o->columns, o->rows, 1, colors, false);
    int64_t others = o->cells;
    for (int64_t i = 0; out && i < o->cells; i++) {
        out[i] = NAMED;
        for (int k = 0; k < w->n; k++) {
            out[i] = w->first[k] == w->class[i] ? (uint8_t)k : out[i];
        }
    }
    double down = o->h + 9;
    cvi_draw_text_fit(page->s, o->x, page->y + down, o->side, &small,
                      cvi_page_tr(page, "(e) most probable class"));
    down += 12;
    for (int k = 0; k <= w->n; k++) {
        char name[80], line[160];
        bool rest = k == w->n;
        int64_t count = rest ? others : w->count[k];
        if (count == 0) {
            continue;
        }
        others -= rest ? 0 : count;
        cvi_draw_rect(page->s, o->x, page->y + down - 5.5, SWATCH, SWATCH, 0,
                      &(cvi_paint){.fill = palette_of_classes[rest ? NAMED : k]});
        snprintf(line, sizeof line, "%s  %.3g%%",
                 rest ? cvi_page_tr(page, "other classes") : name_of(o, w->first[k], name, sizeof name),
                 100.0 * (double)count / (double)o->cells);
        cvi_draw_text_fit(page->s, o->x + SWATCH + 4, page->y + down, o->side - SWATCH - 4, &small, line);
        down += LEADING;
    }
    o->x += o->side + GAP;
    return down;
}

static cvs_status draw_classes(occlusion *o, double *down, cvs_error *err) {
    const cvs_tensor *t = &o->d->why->classes;
    winners w = {.class = cvi_calloc((size_t)o->cells, sizeof *w.class)};
    int64_t *often = cvi_calloc((size_t)CVI_MAX(t->dim[1], 1), sizeof *often);
    cvs_status s = w.class && often ? CVS_OK : cvi_no_memory(err, (size_t)o->cells * sizeof *w.class);
    if (s == CVS_OK) {
        find_winners(o, often, &w);
        *down = fmax(*down, draw_winners(o, &w));
    }
    cvi_free(w.class);
    cvi_free(often);
    return s;
}

cvs_status cvi_draw_occlusion(cvi_page *page, const cvs_attribution_data *data, cvs_error *err) {
    const cvs_explanation *e = data->why;
    occlusion o = {.page = page, .d = data, .x = page->left};
    char title[200], what[120];
    if (e->map.rank != 4 || (!e->activation.data && !e->classes.data)) {
        return CVS_OK;
    }
    o.rows = e->map.dim[2];
    o.columns = e->map.dim[3];
    o.cells = o.rows * o.columns;
    o.side = fmin(TILE, (page->width - 2 * GAP) / 3);
    double aspect = (double)o.columns / (double)o.rows;
    o.w = aspect >= 1.0 ? o.side : o.side * aspect;
    o.h = aspect >= 1.0 ? o.side / aspect : o.side;
    if (!page->o.bare) {
        cvi_page_space(page, 6);
        cvi_page_heading(page, cvi_page_tr(page, "With the patch at each place"));
    }
    double down = 0.0;
    if (e->activation.data) {
        snprintf(title, sizeof title, cvi_page_tr(page, "(b) sum of map %lld, %.60s"),
                 (long long)e->activation_channel, e->activation_layer);
        snprintf(what, sizeof what, cvi_page_tr(page, "activation; %s without patch"),
                 cvi_num(e->activation_whole).text);
        down = draw_values(&o, &e->activation, title, what);
    }
    snprintf(what, sizeof what,
             cvi_page_tr(page, e->probability ? "probability; %s without patch" : "value; %s without patch"),
             cvi_num(e->target_value).text);
    down = fmax(down, draw_values(&o, &e->map, cvi_page_tr(page, "(d) the target"), what));
    cvs_status s = e->classes.data ? draw_classes(&o, &down, err) : CVS_OK;
    page->y += down + 4;
    return s;
}
