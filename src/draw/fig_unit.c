/* SPDX-License-Identifier: MIT
 * fig_unit.c - how one number came about: a row for every channel's part of the sum, ranked, with the running total as numbers and as
 * bars; or the values of a maximum, the exponentials of a softmax.
 */
#include <math.h>

#include "draw/figure.h"

#define ROW   15.0
#define LABEL 150.0
#define WIDE  64.0 /* room for one number */

typedef struct table {
    cvi_page *page;
    const cvs_unit *u;
    cvs_unit_account account;
    double low, high; /* of what the bars show */
} table;

static const char *fixed(double v, int digits, char *text, size_t size) {
    snprintf(text, size, "%s%.*f", v < 0 ? "\xe2\x88\x92" : "", digits, fabs(v));
    return text;
}

static void label_of(const table *t, const cvs_unit_row *r, char *text, size_t size) {
    const cvs_source *s = r->kind == CVS_ROW_TERMS && t->u->n_sources > 0 ? &t->u->source[r->source] : NULL;
    switch (r->kind) {
    case CVS_ROW_BIAS:
        snprintf(text, size, "%s", cvi_page_tr(t->page, "bias"));
        break;
    case CVS_ROW_OTHERS:
        snprintf(text, size, cvi_page_tr(t->page, "%lld others"), (long long)r->count);
        break;
    case CVS_ROW_ROUNDING:
        snprintf(text, size, "%s", cvi_page_tr(t->page, "rounding"));
        break;
    default:
        if (r->count > 1) {
            snprintf(text, size, cvi_page_tr(t->page, "%1$.60s channel %2$lld, %3$lld taps"),
                     s ? s->name : "", (long long)r->channel, (long long)r->count);
        } else {
            snprintf(text, size, "%.60s [%lld]", s ? s->name : "", (long long)r->place);
        }
    }
}

/* A bar from where the sum stood before this row to where it stands after it; of other kinds, from 0. */
static void draw_bar(const table *t, const cvs_unit_row *r, double x, double w, double y) {
    const cvi_color *role = t->page->t->role;
    double unit = w / fmax(t->high - t->low, 1e-12), end = t->u->kind == CVS_UNIT_SUM ? r->total : r->value,
           begin = t->u->kind == CVS_UNIT_SUM ? r->total - r->value : 0;
    cvi_paint bar = {.fill = role[r->value < 0 ? CVI_NEGATIVE : CVI_POSITIVE]};
    double left = x + unit * (fmin(begin, end) - t->low);
    cvi_draw_rect(t->page->s, left, y + 3, fmax(unit * fabs(end - begin), 0.7), ROW - 6, 0, &bar);
}

static void draw_rows(table *t) {
    cvi_page *page = t->page;
    cvi_font body = cvi_font_body(page), number = body, quiet = cvi_font_note(page);
    cvi_paint stripe = {.fill = page->t->role[CVI_PANEL]},
              zero = {.stroke = page->t->role[CVI_FAINT], .width = 0.5};
    bool sum = t->u->kind == CVS_UNIT_SUM;
    double x = page->left + LABEL + WIDE * (sum ? 2 : 1) + 12, w = page->width - (x - page->left),
           top = page->y;
    number.anchor = quiet.anchor = CVI_END;
    body.size = number.size = 8.5;
    double at = x + w * (0 - t->low) / fmax(t->high - t->low, 1e-12);
    for (int i = 0; i < t->account.n; i++) {
        const cvs_unit_row *r = &t->account.row[i];
        char text[160];
        double y = top + ROW * i;
        if (i % 2 == 0) {
            cvi_draw_rect(page->s, page->left - 4, y, page->width + 8, ROW, 0, &stripe);
        }
        label_of(t, r, text, sizeof text);
        cvi_draw_text_fit(page->s, page->left, y + ROW / 2 + 3, LABEL - 4, &body, text);
        cvi_draw_text(page->s, page->left + LABEL + WIDE, y + ROW / 2 + 3, &number,
                      fixed(r->value, t->account.digits, text, sizeof text));
        if (sum) {
            cvi_draw_text(page->s, page->left + LABEL + 2 * WIDE, y + ROW / 2 + 3, &quiet,
                          fixed(r->total, t->account.digits, text, sizeof text));
        }
        draw_bar(t, r, x, w, y);
    }
    page->y = top + ROW * t->account.n;
    cvi_draw_line(page->s, at, top, at, page->y, &zero);
}

static void find_range(table *t) {
    for (int i = 0; i < t->account.n; i++) {
        const cvs_unit_row *r = &t->account.row[i];
        double v = t->u->kind == CVS_UNIT_SUM ? r->total : r->value;
        t->low = fmin(t->low, v);
        t->high = fmax(t->high, v);
    }
}

/* "conv2 [3, 10, 4]": the layer, and the place without the batch. */
static void name_of(const cvs_unit_data *data, char *text, size_t size) {
    const cvs_unit *u = data->unit;
    int64_t place[CVS_MAX_RANK] = {0}, rest = u->at;
    for (int i = u->rank - 1; i >= 0; i--) {
        place[i] = u->dim[i] > 0 ? rest % u->dim[i] : 0;
        rest = u->dim[i] > 0 ? rest / u->dim[i] : 0;
    }
    int n = snprintf(text, size, "%.80s [", data->layer && data->layer[0] ? data->layer : u->title);
    for (int i = u->rank > 1 ? 1 : 0; i < u->rank && n > 0 && (size_t)n < size; i++) {
        n += snprintf(text + n, size - (size_t)n, "%s%lld", i > 1 ? ", " : "", (long long)place[i]);
    }
    if (n > 0 && (size_t)n + 1 < size) {
        snprintf(text + n, size - (size_t)n, "]");
    }
}

cvs_status cvs_draw_unit(const cvs_unit_data *data, const cvs_figure_options *options, cvs_figure **out,
                         cvs_error *err) {
    cvi_page page;
    char name[200], title[300], line[300];
    const cvs_unit *u = data->unit;
    table t = {.page = &page, .u = u};
    *out = NULL;
    CVI_TRY(cvs_unit_account_of(u, data->rows > 0 ? data->rows : 16, 5, &t.account, err));
    name_of(data, name, sizeof name);
    cvi_number result = cvi_num(u->result);
    snprintf(title, sizeof title, "%s = %s", name, result.text);
    snprintf(line, sizeof line, "%.80s: %.200s", u->title, u->formula ? u->formula : "");
    CVI_TRY(cvi_page_begin(&page, options, title, line, err));
    find_range(&t);
    draw_rows(&t);
    page.y += 6;
    if (u->kind == CVS_UNIT_SUM) {
        cvi_page_notef(&page,
                       cvi_page_tr(&page,
                                   "%1$lld products, largest parts first, beside them the running total; "
                                   "in double precision the sum is %2$.9g."),
                       (long long)u->n_terms, u->total);
    } else if (u->kind == CVS_UNIT_SOFTMAX) {
        cvi_page_notef(
            &page,
            cvi_page_tr(&page,
                        "The exponentials of all %lld, largest first; the answer is this one's share."),
            (long long)u->n_terms);
    } else {
        cvi_page_notef(&page, cvi_page_tr(&page, "All %lld values that it is made of, largest first."),
                       (long long)u->n_terms);
    }
    return cvi_page_end(&page, out, err);
}
