/* SPDX-License-Identifier: MIT
 * curve.c - a scalar series as a chart of some width shows it: of every column of pixels the first, least, largest and last point. Extremes of
 * whole groups of points are kept (and of groups of groups), so a column of any length costs a few looks.
 */
#include "watch/curve.h"

#include <math.h>

/* Least, largest and first broken point so far: numbers of points, or -1. */
typedef struct found {
    int64_t low, high, broken;
} found;

static void see(const cvi_series *s, int64_t low, int64_t high, int64_t broken, found *f) {
    f->broken = broken >= 0 && (f->broken < 0 || broken < f->broken) ? broken : f->broken;
    f->low = low >= 0 && (f->low < 0 || s->value[low] < s->value[f->low]) ? low : f->low;
    f->high = high >= 0 && (f->high < 0 || s->value[high] > s->value[f->high]) ? high : f->high;
}

/* Units [from, to) of a level one by one: points at level 0, above it groups of the level below. */
static void see_units(const cvi_series *s, int level, int64_t from, int64_t to, found *f) {
    for (int64_t i = from; i < to; i++) {
        if (level == 0) {
            bool good = isfinite(s->value[i]);
            see(s, good ? i : -1, good ? i : -1, good ? -1 : i, f);
        } else {
            const cvi_level *l = &s->levels[level - 1];
            see(s, l->low[i], l->high[i], l->broken[i], f);
        }
    }
}

/* The same, whole groups at a time. */
static void see_range(const cvi_series *s, int level, int64_t from, int64_t to, found *f) {
    if (level < CVI_LEVELS) {
        int64_t first = (from + CVI_GROUP - 1) / CVI_GROUP,
                last = CVI_MIN(to / CVI_GROUP, s->levels[level].n);
        if (first < last) {
            see_units(s, level, from, first * CVI_GROUP, f);
            see_range(s, level + 1, first, last, f);
            see_units(s, level, last * CVI_GROUP, to, f);
            return;
        }
    }
    see_units(s, level, from, to, f);
}

static bool more_groups(cvi_level *l, int64_t n) {
    if (n <= l->room) {
        return true;
    }
    size_t was = (size_t)l->room, now = (size_t)CVI_MAX(n, CVI_MAX(16, 2 * l->room));
    int64_t **lists[] = {&l->low, &l->high, &l->broken};
    for (int i = 0; i < CVI_COUNT(lists); i++) {
        int64_t *grown = cvi_realloc(*lists[i], was * sizeof **lists[i], now * sizeof **lists[i]);
        if (!grown) {
            return false;
        }
        *lists[i] = grown;
    }
    l->room = (int64_t)now;
    return true;
}

/* Brings the groups up to the points; those of points that a restart took back are made again. */
static cvs_status cover(cvi_series *s, cvs_error *err) {
    if (s->covered == s->n) {
        return CVS_OK;
    }
    int64_t units = s->covered, all = s->n;
    for (int k = 0; k < CVI_LEVELS; k++) {
        cvi_level *l = &s->levels[k];
        units = CVI_MIN(units / CVI_GROUP, l->n);
        all /= CVI_GROUP;
        if (!more_groups(l, all)) {
            return cvi_no_memory(err, (size_t)all * sizeof *l->low);
        }
        for (l->n = units; l->n < all; l->n++) {
            found f = {-1, -1, -1};
            see_units(s, k, l->n * CVI_GROUP, (l->n + 1) * CVI_GROUP, &f);
            l->low[l->n] = f.low;
            l->high[l->n] = f.high;
            l->broken[l->n] = f.broken;
        }
    }
    s->covered = s->n;
    return CVS_OK;
}

void cvi_levels_free(cvi_series *s) {
    for (int k = 0; k < CVI_LEVELS; k++) {
        cvi_free(s->levels[k].low);
        cvi_free(s->levels[k].high);
        cvi_free(s->levels[k].broken);
        s->levels[k] = (cvi_level){0};
    }
    s->covered = 0;
}

void cvs_line_free(cvs_line *line) {
    cvi_free(line->at);
    cvi_free(line->x);
    cvi_free(line->y);
    cvi_free(line->smooth);
    *line = (cvs_line){0};
}

/* Points [from, to) of one column, in order, each once. */
static int64_t keep_column(const cvi_series *s, int64_t from, int64_t to, int64_t *at) {
    found f = {-1, -1, -1};
    see_range(s, 0, from, to, &f);
    int64_t list[] = {from, f.low, f.high, f.broken, to - 1}, n = 0;
    for (int i = 1; i < CVI_COUNT(list); i++) {
        for (int k = i; k > 0 && list[k] < list[k - 1]; k--) {
            int64_t swap = list[k];
            list[k] = list[k - 1];
            list[k - 1] = swap;
        }
    }
    for (int i = 0; i < CVI_COUNT(list); i++) {
        if (list[i] >= 0 && (n == 0 || list[i] != at[n - 1])) {
            at[n++] = list[i];
        }
    }
    return n;
}

/* Which of the points [from, to) in view, a column being a share of the axis, and a neighbour on either side. */
static int64_t choose_points(const cvi_axis_of *a, const cvs_view *view, int64_t from, int64_t to,
                             int64_t *at) {
    double lo = isnan(view->from) ? cvi_axis_x(a, 0) : view->from;
    double hi = isnan(view->to) ? cvi_axis_x(a, a->s->n - 1) : view->to;
    int64_t n = 0, begin = from;
    if (from > 0) {
        at[n++] = from - 1;
    }
    for (int c = 1; c <= view->columns && begin < to; c++) {
        int64_t end = c < view->columns ? cvi_axis_at(a, lo + (hi - lo) * c / view->columns) : to;
        end = CVI_MIN(CVI_MAX(end, begin), to);
        if (end > begin) {
            n += keep_column(a->s, begin, end, at + n);
            begin = end;
        }
    }
    if (to < a->s->n) {
        at[n++] = to;
    }
    return n;
}

static cvs_status fill_line(const cvi_axis_of *a, const cvs_view *view, cvs_line *out, cvs_error *err) {
    size_t n = (size_t)CVI_MAX(out->n, (int64_t)1);
    out->x = cvi_calloc(n, sizeof *out->x);
    out->y = cvi_calloc(n, sizeof *out->y);
    out->smooth = cvi_calloc(n, sizeof *out->smooth);
    if (!out->x || !out->y || !out->smooth) {
        return cvi_no_memory(err, n * sizeof *out->x);
    }
    cvi_smoother mean = {0, 1};
    int64_t next = 0;
    for (int64_t k = 0; k < out->n; k++) {
        int64_t i = out->at[k];
        out->x[k] = cvi_axis_x(a, i);
        out->y[k] = out->smooth[k] = a->s->value[i];
        for (; view->smoothing > 0 && next <= i; next++) {
            out->smooth[k] = cvi_smoother_next(&mean, view->smoothing, a->s->value[next]);
        }
    }
    return CVS_OK;
}

cvs_status cvs_log_line(cvs_log *log, int series, const cvs_view *view, cvs_line *out, cvs_error *err) {
    cvi_axis_of a;
    *out = (cvs_line){0};
    if (series < 0 || series >= log->n_series || log->series[series].kind != CVS_SCALARS) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no such point of this kind in the log");
    }
    if (view->columns < 1 || view->columns > 10000 || !(view->smoothing >= 0 && view->smoothing < 1)) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "a view has 1 to 10000 columns and a smoothing of at least 0 and below 1");
    }
    cvi_series *s = &log->series[series];
    CVI_TRY(cover(s, err));
    CVI_TRY(cvi_axis_find(log, series, view->axis, &a, err));
    if (s->n == 0) {
        return CVS_OK;
    }
    int64_t from = isnan(view->from) ? 0 : cvi_axis_at(&a, view->from);
    int64_t to = isnan(view->to) ? s->n : cvi_axis_at(&a, nextafter(view->to, HUGE_VAL));
    to = CVI_MAX(to, from);
    out->first = cvi_axis_x(&a, 0);
    out->last = cvi_axis_x(&a, s->n - 1);
    int64_t most = CVI_MIN(to - from, (int64_t)view->columns * 5) + 2;
    out->at = cvi_calloc((size_t)CVI_MAX(most, (int64_t)1), sizeof *out->at);
    cvs_status status = out->at ? CVS_OK : cvi_no_memory(err, (size_t)most * sizeof *out->at);
    if (status == CVS_OK) {
        out->n = choose_points(&a, view, from, to, out->at);
        status = fill_line(&a, view, out, err);
    }
    if (status != CVS_OK) {
        cvs_line_free(out);
    }
    return status;
}
