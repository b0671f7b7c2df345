/* SPDX-License-Identifier: MIT
 * fig_diagnosis.c - a diagnosis on one page: the layers and what each could do without, the findings with their evidence and what their
 * removal did, the places that decide, and what is taken for what.
 */
#include <math.h>

#include "convscope/draw_check.h"
#include "draw/figure.h"

#define ROW   13.0
#define NAME  104.0
#define PLACE 150.0 /* side of the map of places */

static cvi_color at(cvi_color c, double alpha) {
    return (c & 0xFFFFFF00u) | (cvi_color)(255.0 * alpha);
}

static const char guessing[] =
    "On these pictures the network answers hardly better than chance: what its filters are worth "
    "cannot be judged from them.";

/* ---- layers ---------------------------------------------------------------------------------------------------------- */

/* Filters of a layer as one bar: dead, mixable or spare, needed. */
static void draw_filters(cvi_page *page, const cvs_layer_health *h, double x, double y, double w, int most) {
    const cvi_color *role = page->t->role;
    double unit = w / (double)CVI_MAX(most, 1), tall = ROW - 5, from = x;
    int spare = CVI_MAX(h->insensitive, h->dependent), dead = h->dead;
    spare = CVI_MIN(spare, h->filters - dead);
    const struct {
        int n;
        cvi_color color;
    } part[3] = {{dead, role[CVI_POSITIVE]},
                 {spare, at(role[CVI_WARNING], 0.75)},
                 {h->filters - dead - spare, at(role[CVI_ACCENT], 0.8)}};
    for (int i = 0; i < 3; i++) {
        cvi_paint paint = {.fill = part[i].color};
        if (part[i].n > 0) {
            cvi_draw_rect(page->s, from, y - tall + 1, unit * part[i].n, tall, 0, &paint);
        }
        from += unit * part[i].n;
    }
}

static void draw_layers(cvi_page *page, const cvs_model_diagnosis *d) {
    cvi_font body = cvi_font_body(page), note = cvi_font_note(page), right = note;
    static const char *const heads[] = {"filters", "dead",           "twins", "mixable",
                                        "spare",   "effective rank", "zeros", "sees / could"};
    static const double ends[] = {232, 258, 286, 322, 350, 408, 438, 504};
    int most = 1;
    body.size = 8.0;
    right.anchor = CVI_END;
    for (int i = 0; i < d->n_layers; i++) {
        most = CVI_MAX(most, d->layers[i].filters);
    }
    cvi_page_heading(page, cvi_page_tr(page, "Layers"));
    page->y += 10;
    for (int k = 0; k < CVI_COUNT(heads); k++) {
        double wide = k == 0 ? 60.0 : ends[k] - ends[k - 1] - 2.0;
        cvi_draw_text_fit(page->s, page->left + ends[k], page->y, wide, &right, cvi_page_tr(page, heads[k]));
    }
    page->y += 4;
    for (int i = 0; i < d->n_layers; i++) {
        const cvs_layer_health *h = &d->layers[i];
        double y = page->y + ROW - 4;
        cvi_paint stripe = {.fill = page->t->role[CVI_PANEL]};
        if (i % 2 == 0) {
            cvi_draw_rect(page->s, page->left - 4, page->y, page->width + 8, ROW, 0, &stripe);
        }
        cvi_draw_text_fit(page->s, page->left, y, NAME - 6, &body, h->layer);
        draw_filters(page, h, page->left + NAME, y, 96, most);
        cvi_draw_textf(page->s, page->left + ends[0], y, &right, "%d", h->filters);
        const int counts[4] = {h->dead, h->duplicate, h->dependent, h->insensitive};
        for (int k = 0; k < 4; k++) {
            if (counts[k] > 0) {
                cvi_draw_textf(page->s, page->left + ends[k + 1], y, &right, "%d", counts[k]);
            }
        }
        if (h->rank > 0.0) {
            cvi_draw_textf(page->s, page->left + ends[5], y, &right, "%.1f", h->rank);
        }
        cvi_draw_textf(page->s, page->left + ends[6], y, &right, "%.0f %%", 100.0 * h->zeros);
        if (h->seen > 0.0) {
            cvi_draw_textf(page->s, page->left + ends[7], y, &right, "%.0f / %.0f", h->seen, h->field);
        }
        page->y += ROW;
    }
    page->y += 3;
    cvi_page_note(
        page,
        cvi_page_tr(page,
                    "Bars: red dead, brown what the others could stand in for, blue needed. Sees: side of "
                    "the square where nearly all of the middle position's gradient lies, in pixels."));
    if (d->n_too_few > 0) {
        cvi_page_notef(page,
                       cvi_page_tr(page, "Too few pictures for rank, duplicates and mixtures of %d layers."),
                       d->n_too_few);
    }
}

/* ---- findings -------------------------------------------------------------------------------------------------------- */

static void effect_text(const cvi_page *page, const cvs_model_diagnosis *d, const cvs_finding *f,
                        const cvs_effect *e, char *text, size_t size) {
    double macs = 100.0 * (1.0 - (double)e->macs / (double)CVI_MAX(d->whole.macs, 1));
    double params = 100.0 * (1.0 - (double)e->params / (double)CVI_MAX(d->whole.params, 1));
    if (f && f->kind == CVS_FIND_PLACE) {
        snprintf(text, size,
                 cvi_page_tr(page, "Covered: accuracy %.3f to %.3f, %.1f %% of the answers change."),
                 d->whole.accuracy, e->accuracy, 100.0 * e->changed);
        return;
    }
    snprintf(text, size,
             cvi_page_tr(page, "Without: accuracy %.3f to %.3f, %.1f %% of the answers change; %.1f %% fewer "
                               "multiply-accumulates, %.1f %% fewer parameters."),
             d->whole.accuracy, e->accuracy, 100.0 * e->changed, macs, params);
}

static void draw_finding(cvi_page *page, const cvs_model_diagnosis *d, const cvs_finding *f) {
    cvi_font name = cvi_font_strong(page), words = cvi_font_note(page), ink = words;
    cvi_paint rule = {.stroke = page->t->role[CVI_FAINT], .width = 0.5};
    cvs_finding_info info = {0};
    char text[400];
    double x = page->left + 130, w = page->width - 130;
    name.size = 8.0;
    ink.color = page->t->role[CVI_INK];
    cvs_finding_describe(f->kind, page->o.lang, &info, NULL);
    cvi_draw_line(page->s, page->left, page->y, page->left + page->width, page->y, &rule);
    page->y += 10;
    double top = page->y;
    if (f->taken) {
        cvi_paint dot = {.fill = page->t->role[CVI_ACCENT]};
        cvi_draw_circle(page->s, page->left + 3, top - 2.8, 2.6, &dot);
    }
    cvi_draw_text_fit(page->s, page->left + 10, top, 114, &name, info.title);
    cvi_draw_text_fit(page->s, page->left + 10, top + 10, 114, &words, f->layer);
    page->y += 10.0 * cvi_draw_text_wrap(page->s, x, page->y, w, 10.0, 0, &ink, f->evidence);
    if (f->without.measured) {
        effect_text(page, d, f, &f->without, text, sizeof text);
        page->y += 10.0 * cvi_draw_text_wrap(page->s, x, page->y, w, 10.0, 0, &words, text);
    } else if (f->kept[0]) {
        snprintf(text, sizeof text, cvi_page_tr(page, "Cannot be cut out: %s."), f->kept);
        page->y += 10.0 * cvi_draw_text_wrap(page->s, x, page->y, w, 10.0, 0, &words, text);
    }
    page->y = fmax(page->y, top + (f->layer[0] ? 20.0 : 10.0)) - 6;
}

static void draw_findings(cvi_page *page, const cvs_model_diagnosis *d) {
    char text[400];
    cvi_page_heading(page, cvi_page_tr(page, "Findings"));
    page->y += 2;
    for (int i = 0; i < d->n_findings; i++) {
        draw_finding(page, d, &d->findings[i]);
    }
    page->y += 10;
    if (d->n_taken > 0) {
        effect_text(page, d, NULL, &d->joint, text, sizeof text);
        cvi_font strong = cvi_font_strong(page);
        strong.size = 8.0;
        cvi_draw_text_fit(page->s, page->left, page->y + 4, page->width, &strong,
                          cvi_page_tr(page, "Everything with a dot, together"));
        page->y += 6;
        cvi_page_note(page, text);
    } else if (d->n_findings == 0) {
        cvi_page_note(page, cvi_page_tr(page, "Nothing was found."));
    }
}

/* ---- places and classes --------------------------------------------------------------------------------------------------- */

static void draw_places(cvi_page *page, const cvs_model_diagnosis *d, double x, double y, double side) {
    cvi_font small = cvi_font_small(page), strong = cvi_font_strong(page);
    double most = 0.0, cell = side / CVS_PLACES;
    strong.size = 8.0;
    for (int i = 0; i < CVS_PLACES * CVS_PLACES; i++) {
        most = fmax(most, d->place[i]);
    }
    cvi_draw_text_fit(page->s, x, y + 8, side + 60, &strong,
                      cvi_page_tr(page, "Answers that change when a place is covered"));
    y += 14;
    for (int i = 0; i < CVS_PLACES * CVS_PLACES; i++) {
        double left = x + cell * (i % CVS_PLACES), top = y + cell * (int)(i / CVS_PLACES);
        cvi_color c =
            d->place[i] < 0.005
                ? page->t->role[CVI_FAINT]
                : page->t->sequential[cvi_map_sequential((float)d->place[i], 0.0f, (float)fmax(most, 0.01))];
        cvi_paint paint = {.fill = c, .stroke = page->t->role[CVI_PAGE], .width = 0.5};
        cvi_draw_rect(page->s, left, top, cell, cell, 0, &paint);
        cvi_font number = small;
        number.color = cvi_ink_on(c);
        number.anchor = CVI_MIDDLE;
        cvi_draw_textf(page->s, left + cell / 2, top + cell / 2 + 2.3, &number, "%.0f", 100.0 * d->place[i]);
    }
    for (int i = 0; i < d->n_findings; i++) {
        const cvs_finding *f = &d->findings[i];
        if (f->kind == CVS_FIND_PLACE && d->width > 0 && d->height > 0) {
            double across = side / (double)d->width, down = side / (double)d->height;
            cvi_paint mark = {.stroke = page->t->role[CVI_MARK], .width = 2.0};
            cvi_draw_rect(page->s, x + across * (double)f->box[1], y + down * (double)f->box[0],
                          across * (double)f->box[3], down * (double)f->box[2], 0, &mark);
            cvi_draw_text_fit(page->s, x, y + side + 9, side + 60, &small,
                              cvi_page_tr(page, "percent of the pictures; framed: the shortcut"));
            return;
        }
    }
    cvi_draw_text_fit(page->s, x, y + side + 9, side + 60, &small,
                      cvi_page_tr(page, "percent of the pictures"));
}

/* What is taken for what, and each class's evidence beside the object. */
static void draw_classes(cvi_page *page, const cvs_model_diagnosis *d, double x, double y, double side) {
    cvi_font small = cvi_font_small(page), strong = cvi_font_strong(page), right = small;
    int n = d->n_classes;
    double cell = side / n, label = 56.0;
    strong.size = 8.0;
    right.anchor = CVI_END;
    cvi_draw_text_fit(page->s, x, y + 8, 240, &strong,
                      cvi_page_tr(page, "Confusion (rows: truth; columns: answer)"));
    y += 14;
    for (int a = 0; a < n; a++) {
        int64_t all = 0;
        for (int b = 0; b < n; b++) {
            all += d->confusion[a * n + b];
        }
        cvi_draw_text_fit(page->s, x + label - 4, y + cell * a + cell / 2 + 2.3, label - 4, &right,
                          d->classes[a]);
        for (int b = 0; b < n; b++) {
            double share = (double)d->confusion[a * n + b] / (double)CVI_MAX(all, 1);
            cvi_color c = d->confusion[a * n + b] == 0
                              ? page->t->role[CVI_FAINT]
                              : page->t->sequential[cvi_map_sequential((float)share, 0.0f, 1.0f)];
            cvi_paint paint = {.fill = c, .stroke = page->t->role[CVI_PAGE], .width = 0.4};
            cvi_draw_rect(page->s, x + label + cell * b, y + cell * a, cell, cell, 0, &paint);
            if (cell >= 10.0 && d->confusion[a * n + b] > 0) {
                cvi_font number = small;
                number.color = cvi_ink_on(c);
                number.anchor = CVI_MIDDLE;
                cvi_draw_textf(page->s, x + label + cell * (b + 0.5), y + cell * a + cell / 2 + 2.3, &number,
                               "%lld", (long long)d->confusion[a * n + b]);
            }
        }
        if (d->has_masks && d->class_pictures[a] > 0) {
            cvi_draw_textf(page->s, x + label + side + 8, y + cell * a + cell / 2 + 2.3, &small, "%.0f %%",
                           100.0 * d->class_outside[a]);
        }
    }
    if (d->has_masks) {
        cvi_draw_text_fit(page->s, x + label + side + 8, y - 3,
                          page->left + page->width - (x + label + side + 8), &small,
                          cvi_page_tr(page, "beside the object"));
    }
}

cvs_status cvs_draw_diagnosis(const cvs_model_diagnosis *d, const cvs_figure_options *options,
                              cvs_figure **out, cvs_error *err) {
    cvi_page page;
    char text[300];
    cvs_lang lang = options ? options->lang : CVS_EN;
    *out = NULL;
    snprintf(text, sizeof text,
             cvi_tr(lang, "%lld pictures, %lld choose and %lld measure; accuracy %.3f, loss %.3f; %s "
                          "multiply-accumulates, %s "
                          "parameters"),
             (long long)d->pictures, (long long)d->choosing, (long long)d->measuring, d->whole.accuracy,
             d->whole.loss, cvi_count(d->whole.macs).text, cvi_count(d->whole.params).text);
    CVI_TRY(cvi_page_begin(&page, options, cvi_tr(lang, "Diagnosis"), text, err));
    if (d->guessing) {
        cvi_page_note(&page, cvi_tr(lang, guessing));
    }
    draw_layers(&page, d);
    draw_findings(&page, d);
    cvi_page_space(&page, 8);
    draw_places(&page, d, page.left, page.y, PLACE);
    if (d->n_classes <= 40) {
        draw_classes(&page, d, page.left + PLACE + 78, page.y, PLACE);
    }
    page.y += PLACE + 26;
    return cvi_page_end(&page, out, err);
}
