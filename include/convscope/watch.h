/* SPDX-License-Identifier: MIT
 * watch.h - read the logs of training runs: Convscope's own and any TensorBoard event files (Keras's, PyTorch's, tensorboardX's).
 *
 *     cvs_log *log;
 *     cvs_log_open("runs", NULL, &log, &err);              a folder with runs, one run, or one file
 *     for (int i = 0; i < cvs_log_count(log); i++) { cvs_series s; cvs_log_series(log, i, &s); ... }
 *     cvs_log_refresh(log, &changed, &err);                 what was appended since, new runs too
 *     cvs_log_free(log);
 *
 * Scalars are kept in memory; histograms, pictures and texts stay in their files until they are asked for. Files that grow are read on;
 * a record that is not complete yet is waited for. What restarted runs wrote twice counts once.
 */
#ifndef CONVSCOPE_WATCH_H
#define CONVSCOPE_WATCH_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_log cvs_log; /* one thread at a time */

/* *out is owned, cvs_log_free. limits may be NULL. A damaged file does not fail: what comes before the damage counts, and
 * cvs_log_note says so. */
cvs_status cvs_log_open(const char *path, const cvs_limits *limits, cvs_log **out, cvs_error *err);
void cvs_log_free(cvs_log *log); /* NULL allowed */
/* Reads on; *changed (may be NULL) says whether anything came. Series keep their numbers. */
cvs_status cvs_log_refresh(cvs_log *log, bool *changed, cvs_error *err);

/* Runs: folders that hold event files; the name is the path below the one that was opened, "." for itself. Borrowed. */
int cvs_log_n_runs(const cvs_log *log);
const char *cvs_log_run(const cvs_log *log, int run);
/* Sentences about damaged files in the error language that the log was opened with; NULL beyond the last. Borrowed. */
const char *cvs_log_note(const cvs_log *log, int i);

typedef enum cvs_series_kind {
    CVS_SCALARS,
    CVS_HISTOGRAMS,
    CVS_PICTURES,
    CVS_TEXTS,
    CVS_OTHER_SERIES /* plugins that are not known: PR curves, meshes, ... */
} cvs_series_kind;

/* One tag of one run: n points in the order of their steps. All borrowed until the next refresh. */
typedef struct cvs_series {
    int run;
    const char *run_name, *tag;
    cvs_series_kind kind;
    int64_t n;
    const int64_t *step;
    const double *wall;  /* seconds since 1970 */
    const double *value; /* of scalars, else NULL */
} cvs_series;
int cvs_log_count(const cvs_log *log);
void cvs_log_series(const cvs_log *log, int i, cvs_series *out);
/* The number of a series, or -1. */
int cvs_log_find(const cvs_log *log, const char *run, const char *tag);

/* Point k of a series that is no scalar, read from its file. */
typedef struct cvs_log_bins {
    int64_t n;
    double *left, *right, *count; /* owned, cvs_log_bins_free */
} cvs_log_bins;
cvs_status cvs_log_histogram(const cvs_log *log, int series, int64_t k, cvs_log_bins *out, cvs_error *err);
void cvs_log_bins_free(cvs_log_bins *b);
/* The first picture of the point as it was encoded (PNG, JPEG, GIF), owned (cvs_free); cvs_image_read_memory decodes it. */
cvs_status cvs_log_picture(const cvs_log *log, int series, int64_t k, uint8_t **out, size_t *size,
                           cvs_error *err);
/* Terminated, owned (cvs_free): one text, several joined by line feeds. */
cvs_status cvs_log_text(const cvs_log *log, int series, int64_t k, char **out, cvs_error *err);

/* ---- curves, as a chart of some width needs them -----------------------------------------------------------
 * Of the points that fall on one column of pixels the first, the least, the largest and the last are kept, and the first that is not
 * finite: the same pixels as all of them, so no spike is lost and neither is the first step. Of a long series only what the columns
 * need is looked at (a pyramid of extremes, made as points come). */
typedef enum cvs_axis {
    CVS_AXIS_STEP,
    CVS_AXIS_EPOCH, /* of epoch_... tags step + 1; of others by the time at which the run's epochs ended */
    CVS_AXIS_TIME,  /* seconds since the run's first event */
    CVS_AXIS_WALL   /* seconds since 1970 */
} cvs_axis;
typedef struct cvs_view {
    cvs_axis axis;
    double from, to; /* what is seen of the axis; NaN: from the first, to the last point */
    int columns;     /* pixels, 1 to 10000 */
    double
        smoothing; /* [0,1): TensorBoard's de-biased running mean, of all points and not only of those kept */
} cvs_view;
typedef struct cvs_line {
    int64_t n;
    int64_t *at;            /* [n] numbers of the points, going up; owned as the rest, cvs_line_free */
    double *x, *y, *smooth; /* [n] on the axis; as logged; the running mean */
    double first, last;     /* of the whole series on the axis */
} cvs_line;
/* A scalar series as the view shows it, and one point beyond either side of it. Fills *out. */
cvs_status cvs_log_line(cvs_log *log, int series, const cvs_view *view, cvs_line *out, cvs_error *err);
void cvs_line_free(cvs_line *line);
/* Mean, deviation, least and largest of some series at the middles of the view's columns: of each series the mean of the points in the
 * column, between points a straight line. from and to must be numbers; series[i] is of logs[i]. */
typedef struct cvs_band {
    int n;                                     /* columns */
    double *x, *mean, *deviation, *low, *high; /* [n] owned, cvs_band_free; NaN where there is no series */
    int *count;                                /* [n] series there */
} cvs_band;
cvs_status cvs_log_band(cvs_log *const *logs, const int *series, int n, const cvs_view *view, cvs_band *out,
                        cvs_error *err);
void cvs_band_free(cvs_band *band);

/* Hyper-parameters of the runs (TensorBoard's hparams plugin): i from 0; false beyond the last. value is text for people. Borrowed. */
bool cvs_log_hparam(const cvs_log *log, int i, int *run, const char **name, const char **value);

/* ---- diagnosis ----------------------------------------------------------------------------------------
 * Named warnings about training runs, from whatever series a log has: of Convscope's own runs layers and pictures too (health/...), of
 * other programs' logs the curves. A cause hides its consequences. Silent on runs that go well. */
typedef enum cvs_severity { CVS_NOTE, CVS_WARNING, CVS_FAULT } cvs_severity;
typedef struct cvs_warning {
    int run;
    const char *code, *title; /* "vanishing_gradients"; in words */
    cvs_severity severity;
    int64_t step;         /* first seen there; -1: before the first */
    const char *layer;    /* or "" */
    const char *evidence; /* the numbers */
    const char *why, *advice;
    const char *recipe; /* statements to change in the recipe, or "" */
    const char *tag;    /* the series to look at, or "" */
} cvs_warning;
typedef struct cvs_diagnosis {
    int n;
    const cvs_warning *list; /* of a run the gravest and earliest first */
    void *memory;
} cvs_diagnosis;
/* Fills *out, whose texts it owns: cvs_diagnosis_free. */
cvs_status cvs_diagnose(const cvs_log *log, cvs_lang lang, cvs_diagnosis *out, cvs_error *err);
void cvs_diagnosis_free(cvs_diagnosis *d);

#ifdef __cplusplus
}
#endif
#endif
