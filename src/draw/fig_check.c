/* SPDX-License-Identifier: MIT
 * fig_check.c - one explanation put to the test: what the class's probability does while pixels go, what the map does when weights are
 * shuffled, and a sentence for every measure.
 */
#include <math.h>

#include "convscope/draw_check.h"
#include "draw/lines.h"

#define CHART 128.0 /* height */
#define GAP   14.0

/* Two curves over the share of the pixels, both from 0 to 1; returns the height. */
static double draw_two(cvi_page *page, const cvi_line *line, const char *title, double x, double w) {
    cvi_lines chart = {.title = title,
                       .below = cvi_page_tr(page, "share of the pixels"),
                       .line = line,
                       .n = 2,
                       .x1 = 1.0,
                       .y1 = 1.0};
    return cvi_draw_lines(page, x, page->y, w, CHART, &chart);
}

static double draw_pixels(cvi_page *page, const cvs_checked *k, double x, double w) {
    const cvi_color *role = page->t->role;
    cvi_line line[2] = {
        {.name = cvi_page_tr(page, "deleted: should fall fast"),
         .x = k->deletion.x,
         .y = k->deletion.y,
         .n = k->deletion.n,
         .color = role[CVI_POSITIVE]},
        {.name = cvi_page_tr(page, "inserted: should rise fast"),
         .x = k->insertion.x,
         .y = k->insertion.y,
         .n = k->insertion.n,
         .color = role[CVI_ACCENT]},
    };
    return draw_two(page, line, cvi_page_tr(page, "Probability, highest pixels first"), x, w);
}

static double draw_road(cvi_page *page, const cvs_checked *k, double x, double w) {
    const cvi_color *role = page->t->role;
    cvi_line line[2] = {
        {.name = cvi_page_tr(page, "without the highest: should fall"),
         .x = k->without_highest.x,
         .y = k->without_highest.y,
         .n = k->without_highest.n,
         .color = role[CVI_POSITIVE],
         .dots = true},
        {.name = cvi_page_tr(page, "without the lowest: should stay"),
         .x = k->without_lowest.x,
         .y = k->without_lowest.y,
         .n = k->without_lowest.n,
         .color = role[CVI_ACCENT],
         .dots = true},
    };
    return draw_two(page, line, cvi_page_tr(page, "ROAD: pixels filled in from around"), x, w);
}

static double draw_weights(cvi_page *page, const cvs_checked *k, double x, double w) {
    const cvi_color *role = page->t->role;
    double place[CVS_CHECK_STAGES], down[CVS_CHECK_STAGES], up[CVS_CHECK_STAGES], alone[CVS_CHECK_STAGES];
    double least = 0.0;
    for (int i = 0; i < k->n_shuffled; i++) {
        place[i] = (double)i;
        down[i] = k->shuffled[i].down.size;
        up[i] = k->shuffled[i].up.size;
        alone[i] = k->shuffled[i].alone.size;
        least = fmin(least, fmin(down[i], fmin(up[i], alone[i])));
    }
    cvi_line line[3] = {
        {.name = cvi_page_tr(page, "from here to the answer shuffled"),
         .x = place,
         .y = down,
         .n = k->n_shuffled,
         .color = role[CVI_POSITIVE],
         .dots = true},
        {.name = cvi_page_tr(page, "from the picture to here shuffled"),
         .x = place,
         .y = up,
         .n = k->n_shuffled,
         .color = role[CVI_ACCENT],
         .dots = true},
        {.name = cvi_page_tr(page, "only this one shuffled"),
         .x = place,
         .y = alone,
         .n = k->n_shuffled,
         .color = role[CVI_MUTED],
         .dashed = true,
         .dots = true},
    };
    cvi_lines chart = {.title = cvi_page_tr(page, "Likeness, shuffled weights"),
                       .below = "",
                       .line = line,
                       .n = 3,
                       .x1 = (double)CVI_MAX(k->n_shuffled - 1, 1),
                       .y0 = least < 0.0 ? -1.0 : 0.0,
                       .y1 = 1.0,
                       .left = k->shuffled[0].layer,
                       .right = k->shuffled[CVI_MAX(k->n_shuffled - 1, 0)].layer};
    return cvi_draw_lines(page, x, page->y, w, CHART, &chart);
}

/* Title, number, sentence: one row a measure. */
static void draw_verdicts(cvi_page *page, const cvs_checked *k) {
    cvi_font name = cvi_font_strong(page), number = cvi_font_body(page), words = cvi_font_note(page);
    cvi_paint rule = {.stroke = page->t->role[CVI_FAINT], .width = 0.5};
    name.size = 8.0;
    number.size = 8.0;
    number.anchor = CVI_END;
    for (int i = 0; i < CVS_N_METRICS; i++) {
        cvs_metric_info m;
        if (!k->metric[i].verdict[0] ||
            cvs_metric_describe((cvs_metric)i, page->o.lang, &m, NULL) != CVS_OK) {
            continue;
        }
        cvi_draw_line(page->s, page->left, page->y, page->left + page->width, page->y, &rule);
        page->y += 10;
        cvi_draw_text_fit(page->s, page->left, page->y, 152, &name, m.title);
        if (k->metric[i].known) {
            cvi_draw_text(page->s, page->left + 184, page->y, &number, cvi_num(k->metric[i].value).text);
        }
        int lines = cvi_draw_text_wrap(page->s, page->left + 192, page->y, page->width - 192, 10.0, 0, &words,
                                       k->metric[i].verdict);
        page->y += 10.0 * (lines - 1) + 4;
    }
}

cvs_status cvs_draw_checked(const cvs_checked *k, const cvs_explanation *why, const char *title,
                            const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvi_page page;
    char text[240], target[140];
    cvs_lang lang = options ? options->lang : CVS_EN;
    *out = NULL;
    snprintf(target, sizeof target, why->target_name[0] ? "%s" : "%s%d", why->target_name, why->target_index);
    snprintf(text, sizeof text, cvi_tr(lang, "%.80s put to the test: %.100s"), title, target);
    CVI_TRY(cvi_page_begin(&page, options, text, why->layer[0] ? why->layer : NULL, err));
    double w = (page.width - 2 * GAP) / 3.0, x = page.left, tall = 0.0;
    if (k->deletion.n > 0 || k->insertion.n > 0) {
        tall = fmax(tall, draw_pixels(&page, k, x, w));
        x += w + GAP;
    }
    if (k->without_highest.n > 0) {
        tall = fmax(tall, draw_road(&page, k, x, w));
        x += w + GAP;
    }
    if (k->n_shuffled > 0) {
        tall = fmax(tall, draw_weights(&page, k, x, w));
    }
    page.y += tall + (tall > 0.0 ? 8 : 0);
    draw_verdicts(&page, k);
    cvi_page_space(&page, 4);
    cvi_page_notef(
        &page,
        cvi_page_tr(
            &page,
            "The class has probability %.3f for the picture as it is. Likeness is Spearman's "
            "rank correlation of the map's sizes, 1 = unchanged; a gap: a map is the same everywhere."),
        k->probability);
    return cvi_page_end(&page, out, err);
}
