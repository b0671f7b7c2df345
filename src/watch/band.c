/* SPDX-License-Identifier: MIT
 * band.c - many runs as one: mean, deviation, least and largest of some series at the middles of columns.
 */
#include <math.h>

#include "watch/curve.h"

void cvs_band_free(cvs_band *band) {
    cvi_free(band->x);
    cvi_free(band->mean);
    cvi_free(band->deviation);
    cvi_free(band->low);
    cvi_free(band->high);
    cvi_free(band->count);
    *band = (cvs_band){0};
}

/* One series at every column's middle: the mean of what lies in the column, else a straight line between neighbours; NaN outside. */
static void sample(const cvi_axis_of *a, const cvs_view *view, const double *y, double *out) {
    double wide = (view->to - view->from) / view->columns;
    int64_t n = a->s->n, i = cvi_axis_at(a, view->from);
    for (int c = 0; c < view->columns; c++) {
        double middle = view->from + wide * (c + 0.5), sum = 0;
        double end = c + 1 < view->columns ? view->from + wide * (c + 1) : nextafter(view->to, HUGE_VAL);
        int64_t count = 0, begin = i;
        for (; i < n && cvi_axis_x(a, i) < end; i++) {
            if (isfinite(y[i])) {
                sum += y[i];
                count++;
            }
        }
        out[c] = count > 0 ? sum / (double)count : (double)NAN;
        if (count == 0 && i == begin && i > 0 && i < n) {
            double x0 = cvi_axis_x(a, i - 1), x1 = cvi_axis_x(a, i);
            out[c] = x1 > x0 ? y[i - 1] + (y[i] - y[i - 1]) * (middle - x0) / (x1 - x0) : y[i];
        }
    }
}

/* Adds one series' samples (Welford's mean and sum of squares). */
static void add(cvs_band *b, const double *v) {
    for (int c = 0; c < b->n; c++) {
        if (!isfinite(v[c])) {
            continue;
        }
        double was = b->mean[c];
        b->count[c]++;
        b->mean[c] += (v[c] - was) / b->count[c];
        b->deviation[c] += (v[c] - was) * (v[c] - b->mean[c]);
        b->low[c] = b->count[c] == 1 ? v[c] : fmin(b->low[c], v[c]);
        b->high[c] = b->count[c] == 1 ? v[c] : fmax(b->high[c], v[c]);
    }
}

static cvs_status make(cvs_band *b, const cvs_view *view, cvs_error *err) {
    size_t n = (size_t)view->columns;
    *b = (cvs_band){.n = view->columns,
                    .x = cvi_calloc(n, sizeof(double)),
                    .mean = cvi_calloc(n, sizeof(double)),
                    .deviation = cvi_calloc(n, sizeof(double)),
                    .low = cvi_calloc(n, sizeof(double)),
                    .high = cvi_calloc(n, sizeof(double)),
                    .count = cvi_calloc(n, sizeof(int))};
    if (!b->x || !b->mean || !b->deviation || !b->low || !b->high || !b->count) {
        cvs_band_free(b);
        return cvi_no_memory(err, n * sizeof(double));
    }
    for (int c = 0; c < b->n; c++) {
        b->x[c] = view->from + (view->to - view->from) * (c + 0.5) / view->columns;
    }
    return CVS_OK;
}

static cvs_status add_series(cvs_log *log, int series, const cvs_view *view, cvs_band *b, double *samples,
                             cvs_error *err) {
    cvi_axis_of a;
    CVI_TRY(cvi_axis_find(log, series, view->axis, &a, err));
    const double *y = a.s->value;
    double *smooth = NULL;
    if (view->smoothing > 0 && a.s->n > 0) {
        cvi_smoother mean = {0, 1};
        smooth = cvi_malloc((size_t)a.s->n * sizeof *smooth);
        if (!smooth) {
            return cvi_no_memory(err, (size_t)a.s->n * sizeof *smooth);
        }
        for (int64_t i = 0; i < a.s->n; i++) {
            smooth[i] = cvi_smoother_next(&mean, view->smoothing, y[i]);
        }
        y = smooth;
    }
    if (a.s->n > 0) {
        sample(&a, view, y, samples);
        add(b, samples);
    }
    cvi_free(smooth);
    return CVS_OK;
}

cvs_status cvs_log_band(cvs_log *const *logs, const int *series, int n, const cvs_view *view, cvs_band *out,
                        cvs_error *err) {
    *out = (cvs_band){0};
    if (view->columns < 1 || view->columns > 10000 || !(view->smoothing >= 0 && view->smoothing < 1) ||
        !isfinite(view->from) || !isfinite(view->to) || view->to < view->from) {
        return cvi_fail(err, CVS_E_ARGUMENT,
                        "a view has 1 to 10000 columns and a smoothing of at least 0 and below 1");
    }
    CVI_TRY(make(out, view, err));
    double *samples = cvi_malloc((size_t)view->columns * sizeof *samples);
    cvs_status s = samples ? CVS_OK : cvi_no_memory(err, (size_t)view->columns * sizeof *samples);
    for (int i = 0; i < n && s == CVS_OK; i++) {
        bool there =
            series[i] >= 0 && series[i] < logs[i]->n_series && logs[i]->series[series[i]].kind == CVS_SCALARS;
        s = there ? add_series(logs[i], series[i], view, out, samples, err)
                  : cvi_fail(err, CVS_E_ARGUMENT, "there is no such point of this kind in the log");
    }
    cvi_free(samples);
    for (int c = 0; c < out->n && s == CVS_OK; c++) {
        bool none = out->count[c] == 0;
        out->deviation[c] = none ? (double)NAN : sqrt(out->deviation[c] / out->count[c]);
        out->mean[c] = none ? (double)NAN : out->mean[c];
        out->low[c] = none ? (double)NAN : out->low[c];
        out->high[c] = none ? (double)NAN : out->high[c];
    }
    if (s != CVS_OK) {
        cvs_band_free(out);
    }
    return s;
}
