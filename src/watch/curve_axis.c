/* SPDX-License-Identifier: MIT
 * curve_axis.c - steps, epochs, seconds: where the points of a series lie on an axis.
 */
#include <math.h>

#include "watch/curve.h"

static bool counts_epochs(const char *tag) {
    return strncmp(tag, "epoch_", 6) == 0 || strncmp(tag, "evaluation_", 11) == 0;
}

/* When each run began, and by which series its epochs are known: made anew after a refresh that brought something. */
static cvs_status set_clocks(cvs_log *log, cvs_error *err) {
    if (log->clocked) {
        return CVS_OK;
    }
    size_t n = (size_t)CVI_MAX(log->n_runs, 1);
    cvi_free(log->first);
    cvi_free(log->epochs);
    log->first = cvi_calloc(n, sizeof *log->first);
    log->epochs = cvi_calloc(n, sizeof *log->epochs);
    if (!log->first || !log->epochs) {
        return cvi_no_memory(err, n * sizeof *log->first);
    }
    for (int r = 0; r < log->n_runs; r++) {
        log->first[r] = (double)NAN;
        log->epochs[r] = -1;
    }
    for (int i = 0; i < log->n_series; i++) {
        const cvi_series *s = &log->series[i];
        if (s->n < 1) {
            continue;
        }
        log->first[s->run] = fmin(log->first[s->run], s->wall[0]); /* fmin passes over what is no number */
        int *best = &log->epochs[s->run];
        if (s->kind == CVS_SCALARS && strncmp(s->tag, "epoch_", 6) == 0 &&
            (*best < 0 || s->n > log->series[*best].n)) {
            *best = i;
        }
    }
    log->clocked = true;
    return CVS_OK;
}

cvs_status cvi_axis_find(cvs_log *log, int series, cvs_axis axis, cvi_axis_of *out, cvs_error *err) {
    const cvi_series *s = &log->series[series];
    CVI_TRY(set_clocks(log, err));
    int epochs = log->epochs[s->run];
    *out = (cvi_axis_of){.s = s,
                         .axis = axis,
                         .origin = isfinite(log->first[s->run]) ? log->first[s->run] : 0,
                         .epochs = epochs >= 0 ? &log->series[epochs] : NULL,
                         .is_epoch = counts_epochs(s->tag)};
    return CVS_OK;
}

/* Epoch k (step k of the series of epochs) ends at k + 1; before, between and after ends time runs evenly. */
static double epoch_at(const cvi_axis_of *a, double wall) {
    const cvi_series *e = a->epochs;
    int64_t lo = 0, hi = e->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (e->wall[mid] < wall) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == e->n) {
        return e->n > 0 ? (double)e->step[e->n - 1] + 1 : 0;
    }
    double begin = lo > 0 ? e->wall[lo - 1] : a->origin, end = e->wall[lo];
    double from = lo > 0 ? (double)e->step[lo - 1] + 1 : (double)e->step[0], to = (double)e->step[lo] + 1;
    double share = end > begin ? (wall - begin) / (end - begin) : 1;
    return from + (to - from) * fmin(fmax(share, 0), 1);
}

double cvi_axis_x(const cvi_axis_of *a, int64_t i) {
    switch (a->axis) {
    case CVS_AXIS_EPOCH:
        return a->is_epoch || !a->epochs ? (double)a->s->step[i] + (a->is_epoch ? 1 : 0)
                                         : epoch_at(a, a->s->wall[i]);
    case CVS_AXIS_TIME:
        return a->s->wall[i] - a->origin;
    case CVS_AXIS_WALL:
        return a->s->wall[i];
    default:
        return (double)a->s->step[i];
    }
}

int64_t cvi_axis_at(const cvi_axis_of *a, double x) {
    int64_t lo = 0, hi = a->s->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (cvi_axis_x(a, mid) < x) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

double cvi_smoother_next(cvi_smoother *s, double smoothing, double y) {
    if (!isfinite(y)) {
        return y;
    }
    s->last = s->last * smoothing + (1 - smoothing) * y;
    s->left *= smoothing;
    return s->last / (1 - s->left);
}
