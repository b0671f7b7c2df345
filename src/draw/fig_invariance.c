/* SPDX-License-Identifier: MIT
 * fig_invariance.c - two measurements as figures: curves of what changes when the picture is moved, scaled and turned, and bars of how
 * alike a layer holds the same parts of different pictures.
 */
#include "convscope/draw_features.h"
#include "draw/lines.h"
#include "draw/maps.h"

#include <math.h>

#define CHART 104.0
#define GAP   16.0

static double largest(const double *v, int n) {
    double most = 0;
    for (int i = 0; i < n; i++) {
        most = isfinite(v[i]) ? fmax(most, v[i]) : most;
    }
    return most;
}

/* The picture at five places of the curve, over a chart that is `wide` points across. */
static double draw_samples(cvi_page *page, const cvs_invariance *v, int change, double x, double wide) {
    double side = fmin((wide - 4 * 6) / 5, 56), width, tall = 0;
    for (int i = 0; i < CVS_CHANGE_SAMPLES; i++) {
        double left = x + i * (wide - side) / (CVS_CHANGE_SAMPLES - 1);
        double h = cvi_draw_picture(page, left, page->y, side, &v->sample[change][i], &width);
        tall = fmax(tall, h);
    }
    return tall;
}

static cvs_status draw_change(cvi_page *page, const cvs_invariance *v, int change, cvs_error *err) {
    static const char *const heads[] = {"Moved down", "Enlarged", "Turned counter-clockwise"};
    static const char *const below[] = {"pixels of the network's input", "times its size", "degrees"};
    const cvi_color *role = page->t->role;
    double wide = (page->width - GAP) / 2, *share = cvi_calloc((size_t)(2 * v->steps), sizeof *share),
           most = 0;
    if (!share) {
        return cvi_no_memory(err, (size_t)v->steps * sizeof *share);
    }
    for (int i = 0; i < 2 * v->steps; i++) {
        share[i] = v->distance[change][i / v->steps][i % v->steps] / fmax(v->size[i / v->steps], 1e-30);
    }
    most = fmax(largest(share, 2 * v->steps), 1e-9);
    cvi_line lines[2] = {
        {.name = v->layer[0], .x = v->amount[change], .y = share, .n = v->steps, .color = role[CVI_ACCENT]},
        {.name = v->layer[1],
         .x = v->amount[change],
         .y = share + v->steps,
         .n = v->steps,
         .color = role[CVI_POSITIVE],
         .dashed = true}};
    char words[200], name[150];
    snprintf(name, sizeof name, "%s", v->target_name);
    if (!name[0]) {
        snprintf(name, sizeof name, cvi_page_tr(page, "class %d"), v->target);
    }
    snprintf(words, sizeof words, cvi_page_tr(page, "Probability of %s"), name);
    cvi_line probability = {.name = cvi_page_tr(page, "probability"),
                            .x = v->amount[change],
                            .y = v->probability[change],
                            .n = v->steps,
                            .color = role[CVI_ACCENT]};
    cvi_lines left = {.title = cvi_page_tr(page, "Distance, as a share of the layer's own size"),
                      .below = cvi_page_tr(page, below[change]),
                      .line = lines,
                      .n = 2,
                      .x0 = v->amount[change][0],
                      .x1 = v->amount[change][v->steps - 1],
                      .y1 = most};
    cvi_lines right = left;
    right.title = words;
    right.line = &probability;
    right.n = 1;
    right.y1 = 1;
    cvi_page_heading(page, cvi_page_tr(page, heads[change]));
    cvi_page_space(page, 3);
    page->y += draw_samples(page, v, change, page->left, fmin(page->width, 320)) + 8;
    double a = cvi_draw_lines(page, page->left, page->y, wide, CHART, &left);
    double b = cvi_draw_lines(page, page->left + wide + GAP, page->y, wide, CHART, &right);
    page->y += fmax(a, b) + 4;
    cvi_free(share);
    return CVS_OK;
}

cvs_status cvs_draw_invariance(const cvs_invariance *v, const cvs_figure_options *options, cvs_figure **out,
                               cvs_error *err) {
    cvi_page page;
    *out = NULL;
    CVI_TRY(cvi_page_begin(&page, options,
                           cvi_tr(options ? options->lang : CVS_EN, "What changes when the picture does"),
                           NULL, err));
    for (int c = 0; c < CVS_CHANGES; c++) {
        cvs_status s = draw_change(&page, v, c, err);
        if (s != CVS_OK) {
            cvi_page_abort(&page);
            return s;
        }
    }
    cvi_page_note(&page, v->caption);
    return cvi_page_end(&page, out, err);
}

/* ---- parts ---------------------------------------------------------------------------------------------------------- */

static void draw_bar(cvi_page *page, const char *name, double mean, double deviation, double most,
                     bool random) {
    const double names = 110, numbers = 80, room = page->width - names - numbers, tall = 10;
    double x = page->left + names, y = page->y, end = x + room * mean / most;
    cvi_font note = cvi_font_note(page);
    cvi_paint bar = {.fill = page->t->role[random ? CVI_MUTED : CVI_ACCENT]};
    cvi_paint whisker = {.stroke = page->t->role[CVI_INK], .width = 0.8};
    double low = x + room * fmax(mean - deviation, 0) / most, high = x + room * (mean + deviation) / most;
    cvi_draw_text_fit(page->s, page->left, y + 8, names - 8, &note, name);
    cvi_draw_rect(page->s, x, y, fmax(end - x, 0.5), tall, 0, &bar);
    cvi_draw_line(page->s, low, y + tall / 2, high, y + tall / 2, &whisker);
    cvi_draw_line(page->s, low, y + tall / 2 - 2, low, y + tall / 2 + 2, &whisker);
    cvi_draw_line(page->s, high, y + tall / 2 - 2, high, y + tall / 2 + 2, &whisker);
    note.anchor = CVI_END;
    cvi_draw_textf(page->s, page->left + page->width, y + 8, &note, "%.3f ± %.3f", mean, deviation);
    page->y += 15;
}

cvs_status cvs_draw_correspondence(const cvs_correspondence *c, const char *const *names,
                                   const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvi_page page;
    *out = NULL;
    CVI_TRY(cvi_page_begin(
        &page, options,
        cvi_tr(options ? options->lang : CVS_EN, "Does a layer know the same part in different pictures?"),
        NULL, err));
    for (int l = 0; l < c->n_layers; l++) {
        double most = 1e-9;
        char words[160];
        for (int p = 0; p < c->n_parts; p++) {
            most = fmax(most, c->mean[l * c->n_parts + p] + c->deviation[l * c->n_parts + p]);
        }
        snprintf(words, sizeof words, cvi_page_tr(&page, "layer %s"), c->layer[l]);
        cvi_page_heading(&page, words);
        cvi_page_space(&page, 4);
        for (int p = 0; p < c->n_parts; p++) {
            bool random = p == c->n_parts - 1;
            draw_bar(&page, random ? cvi_page_tr(&page, "random places") : names[p],
                     c->mean[l * c->n_parts + p], c->deviation[l * c->n_parts + p], most, random);
        }
        cvi_page_space(&page, 6);
    }
    cvi_page_note(&page, c->caption);
    return cvi_page_end(&page, out, err);
}
