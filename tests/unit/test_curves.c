/* SPDX-License-Identifier: MIT
 * test_curves.c - curves as wide as a chart: against looking at every point; no spike and no first step is lost, whatever is zoomed to, also
 * while points come and after a restart took some back; axes, the running mean, bands; every allocation failing once.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "convscope/charts.h"
#include "convscope/watch.h"
#include "test_helpers.h"
#include "watch/events.h"

enum { POINTS = 20000 };

static double value_at(int64_t i) {
    return i == 7777         ? 50
           : i == 12345      ? -40
           : i % 997 == 13   ? (double)NAN
           : i == POINTS - 2 ? 33
           : i == 4          ? HUGE_VAL
                             : (double)(float)(sin((double)i * 0.01) + 0.1 * (double)((i * 7919) % 101));
}

static void write_points(const char *folder, int64_t from, int64_t to) {
    cvi_events *e = NULL;
    assert_int_equal(cvi_events_open(folder, 1000, &e, NULL), CVS_OK);
    for (int64_t i = from; i < to; i++) {
        cvi_events_scalar(e, "loss", 3 * i, value_at(i));
    }
    assert_int_equal(cvi_events_close(e, NULL), CVS_OK);
}

static bool is_kept(const cvs_line *l, int64_t at) {
    for (int64_t i = 0; i < l->n; i++) {
        if (l->at[i] == at) {
            return true;
        }
    }
    return false;
}

/* Of every column what looking at each of its points finds must be among those kept. */
static void compare(cvs_log *log, double from, double to, int columns) {
    cvs_view view = {.from = from, .to = to, .columns = columns};
    cvs_series s;
    cvs_line l;
    cvs_log_series(log, 0, &s);
    assert_int_equal(cvs_log_line(log, 0, &view, &l, NULL), CVS_OK);
    double lo = isnan(from) ? (double)s.step[0] : from, hi = isnan(to) ? (double)s.step[s.n - 1] : to;
    for (int64_t i = 1; i < l.n; i++) {
        assert_true(l.at[i] > l.at[i - 1]);
    }
    for (int c = 0; c < columns; c++) {
        double a = lo + (hi - lo) * c / columns, b = lo + (hi - lo) * (c + 1) / columns;
        int64_t first = -1, last = -1, low = -1, high = -1, broken = -1;
        for (int64_t i = 0; i < s.n; i++) {
            double x = (double)s.step[i];
            if (x < a || x > b || (x >= b && c + 1 < columns)) {
                continue;
            }
            first = first < 0 ? i : first;
            last = i;
            if (!isfinite(s.value[i])) {
                broken = broken < 0 ? i : broken;
                continue;
            }
            low = low < 0 || s.value[i] < s.value[low] ? i : low;
            high = high < 0 || s.value[i] > s.value[high] ? i : high;
        }
        int64_t wanted[] = {low, high, broken, first, last};
        for (int k = 0; k < CVI_COUNT(wanted); k++) {
            assert_true(wanted[k] < 0 || is_kept(&l, wanted[k]));
        }
    }
    assert_true(l.n <= 5 * (int64_t)columns + 2);
    for (int64_t i = 0; i < l.n; i++) {
        assert_true(l.x[i] == (double)s.step[l.at[i]]);
        assert_true(l.y[i] == s.value[l.at[i]] || (isnan(l.y[i]) && isnan(s.value[l.at[i]])));
    }
    cvs_line_free(&l);
}

static void against_every_point(void **state) {
    (void)state;
    char folder[256];
    cvs_log *log = NULL;
    test_folder(folder);
    write_points(folder, 0, POINTS / 2);
    test_ok(cvs_log_open, folder, NULL, &log);
    for (int grown = 0; grown < 2; grown++) {
        int columns[] = {1, 7, 100, 900, 10000};
        for (int i = 0; i < CVI_COUNT(columns); i++) {
            compare(log, (double)NAN, (double)NAN, columns[i]);
        }
        compare(log, 23000, 23500, 40);
        compare(log, 3, 3 * 5000, 13);
        write_points(folder, POINTS / 2, POINTS);
        bool changed;
        assert_int_equal(cvs_log_refresh(log, &changed, NULL), CVS_OK);
        assert_true(changed);
    }
    cvs_log_free(log);
}

static void nothing_is_lost(void **state) {
    (void)state;
    char folder[256];
    cvs_log *log = NULL;
    test_folder(folder);
    write_points(folder, 0, POINTS);
    test_ok(cvs_log_open, folder, NULL, &log);
    for (int columns = 1; columns < 300; columns += 37) {
        cvs_view view = {.from = (double)NAN, .to = (double)NAN, .columns = columns};
        cvs_line l;
        assert_int_equal(cvs_log_line(log, 0, &view, &l, NULL), CVS_OK);
        assert_int_equal(l.at[0], 0);
        assert_int_equal(l.at[l.n - 1], POINTS - 1);
        assert_true(is_kept(&l, 7777) || columns < 2);
        assert_true(is_kept(&l, 12345));
        cvs_line_free(&l);
    }
    cvs_log_free(log);
}

/* A run that was stopped at step 9000 and went on from 3000: the groups over what was dropped are made again. */
static void restarted(void **state) {
    (void)state;
    char folder[256];
    cvs_log *log = NULL;
    cvs_view view = {.from = (double)NAN, .to = (double)NAN, .columns = 3};
    cvs_line l;
    test_folder(folder);
    write_points(folder, 0, 8000);
    test_ok(cvs_log_open, folder, NULL, &log);
    assert_int_equal(cvs_log_line(log, 0, &view, &l, NULL), CVS_OK);
    assert_true(is_kept(&l, 7777));
    cvs_line_free(&l);
    cvi_events *e = NULL;
    assert_int_equal(cvi_events_open(folder, 2000, &e, NULL), CVS_OK);
    cvi_events_restart(e, 3 * 1000);
    for (int64_t i = 1000; i < 9000; i++) {
        cvi_events_scalar(e, "loss", 3 * i, i == 8000 ? -5 : 1);
    }
    assert_int_equal(cvi_events_close(e, NULL), CVS_OK);
    assert_int_equal(cvs_log_refresh(log, NULL, NULL), CVS_OK);
    compare(log, (double)NAN, (double)NAN, 50);
    assert_int_equal(cvs_log_line(log, 0, &view, &l, NULL), CVS_OK);
    assert_true(is_kept(&l, 8000));
    cvs_line_free(&l);
    cvs_log_free(log);
}

static void running_mean(void **state) {
    (void)state;
    char folder[256];
    cvs_log *log = NULL;
    cvs_view view = {.from = (double)NAN, .to = (double)NAN, .columns = 10, .smoothing = 0.9};
    cvs_line l;
    cvs_series s;
    test_folder(folder);
    write_points(folder, 0, 3000);
    test_ok(cvs_log_open, folder, NULL, &log);
    cvs_log_series(log, 0, &s);
    double *all = cvi_calloc((size_t)s.n, sizeof *all);
    cvs_smooth(s.value, s.n, 0.9, all);
    assert_int_equal(cvs_log_line(log, 0, &view, &l, NULL), CVS_OK);
    for (int64_t i = 0; i < l.n; i++) { /* of all points, not of those kept */
        if (isfinite(l.y[i])) {
            assert_float_equal(l.smooth[i], all[l.at[i]], 1e-12);
        }
    }
    cvs_line_free(&l);
    view.from = 6000;
    view.to = 6300;
    assert_int_equal(cvs_log_line(log, 0, &view, &l, NULL), CVS_OK);
    assert_float_equal(l.smooth[3], all[l.at[3]], 1e-12); /* zooming does not change it */
    cvs_line_free(&l);
    cvi_free(all);
    cvs_log_free(log);
}

/* Ten steps an epoch, a second a step. */
static void axes(void **state) {
    (void)state;
    char folder[256];
    cvs_log *log = NULL;
    cvs_line l;
    test_folder(folder);
    for (int i = 0; i < 40; i++) { /* a file an event, each with its own clock */
        cvi_events *e = NULL;
        assert_int_equal(cvi_events_open(folder, 5000 + i, &e, NULL), CVS_OK);
        cvi_events_scalar(e, "batch_loss", i, i);
        if (i % 10 == 9) {
            cvi_events_scalar(e, "epoch_loss", i / 10, 1);
        }
        assert_int_equal(cvi_events_close(e, NULL), CVS_OK);
    }
    test_ok(cvs_log_open, folder, NULL, &log);
    int loss = cvs_log_find(log, ".", "batch_loss"), epoch = cvs_log_find(log, ".", "epoch_loss");
    for (int axis = 0; axis < 4; axis++) {
        cvs_view view = {.axis = (cvs_axis)axis, .from = (double)NAN, .to = (double)NAN, .columns = 1000};
        const double last[] = {39, 4, 39, 5039}, of_epoch[] = {3, 4, 39, 5039};
        assert_int_equal(cvs_log_line(log, loss, &view, &l, NULL), CVS_OK);
        assert_int_equal(l.n, 40);
        assert_float_equal(l.x[39], last[axis], 1e-9);
        assert_float_equal(l.last, last[axis], 1e-9);
        if (axis == CVS_AXIS_EPOCH) {
            assert_float_equal(l.x[9], 1, 1e-9);
            assert_float_equal(l.x[14], 1.5, 1e-9);
        }
        cvs_line_free(&l);
        assert_int_equal(cvs_log_line(log, epoch, &view, &l, NULL), CVS_OK);
        assert_float_equal(l.x[3], of_epoch[axis], 1e-9);
        cvs_line_free(&l);
    }
    cvs_log_free(log);
}

static void bands(void **state) {
    (void)state;
    char folder[256];
    cvs_log *log = NULL;
    cvs_band b;
    test_folder(folder);
    for (int r = 0; r < 3; r++) {
        char path[300];
        cvi_events *e = NULL;
        snprintf(path, sizeof path, "%s/run%d", folder, r);
        assert_int_equal(cvi_events_open(path, 1000, &e, NULL), CVS_OK);
        /* The third is logged seldom: lines between its points. */
        for (int i = 0; i <= 100; i += r == 2 ? 50 : 1) {
            cvi_events_scalar(e, "loss", i, r * 10 + 0.5 * i);
        }
        assert_int_equal(cvi_events_close(e, NULL), CVS_OK);
    }
    test_ok(cvs_log_open, folder, NULL, &log);
    cvs_log *logs[] = {log, log, log};
    int series[] = {0, 1, 2};
    cvs_view view = {.from = 0, .to = 100, .columns = 50};
    assert_int_equal(cvs_log_band(logs, series, 3, &view, &b, NULL), CVS_OK);
    for (int c = 1; c < 49; c++) {
        assert_int_equal(b.count[c], 3);
        assert_true(fabs(b.x[c] - (2 * c + 1)) < 1e-9);
        double mean = 10 + 0.5 * (2 * c + 0.5);
        assert_true(fabs(b.mean[c] - mean) < 0.2);
        assert_true(fabs(b.deviation[c] - sqrt(200.0 / 3)) < 0.2);
        assert_true(fabs(b.high[c] - b.low[c] - 20) < 0.6);
    }
    cvs_band_free(&b);
    view.from = 200;
    view.to = 300;
    assert_int_equal(cvs_log_band(logs, series, 3, &view, &b, NULL), CVS_OK);
    assert_true(b.count[3] == 0 && isnan(b.mean[3]));
    cvs_band_free(&b);
    cvs_log_free(log);
}

static void refusals(void **state) {
    (void)state;
    char folder[256];
    cvs_log *log = NULL;
    cvs_line l;
    cvs_band b;
    test_folder(folder);
    write_points(folder, 0, 10);
    test_ok(cvs_log_open, folder, NULL, &log);
    const cvs_view bad[] = {{.columns = 0}, {.columns = 20000}, {.columns = 5, .smoothing = 1}};
    for (int i = 0; i < CVI_COUNT(bad); i++) {
        assert_int_equal(cvs_log_line(log, 0, &bad[i], &l, NULL), CVS_E_ARGUMENT);
    }
    const cvs_view odd[] = {{.from = HUGE_VAL, .to = -HUGE_VAL, .columns = 9},
                            {.from = 9, .to = 3, .columns = 9},
                            {.from = -1e308, .to = 1e308, .columns = 9}};
    for (int i = 0; i < CVI_COUNT(odd); i++) {
        assert_int_equal(cvs_log_line(log, 0, &odd[i], &l, NULL), CVS_OK);
        cvs_line_free(&l);
    }
    cvs_view open = {.from = (double)NAN, .to = 3, .columns = 3};
    cvs_log *logs[] = {log};
    assert_int_equal(cvs_log_band(logs, (int[]){0}, 1, &open, &b, NULL), CVS_E_ARGUMENT);
    assert_int_equal(cvs_log_line(log, 5, &open, &l, NULL), CVS_E_ARGUMENT);
    cvs_log_free(log);
}

static void no_memory(void **state) {
    (void)state;
    char folder[256];
    test_folder(folder);
    write_points(folder, 0, 1000);
    cvs_view view = {.from = 10, .to = 2000, .columns = 30, .smoothing = 0.5};
    for (int k = 0, done = 0; !done; k++) {
        cvs_log *log = NULL;
        cvs_line l = {0};
        cvs_band b = {0};
        cvs_error err = {0};
        test_ok(cvs_log_open, folder, NULL, &log);
        cvs_log *logs[] = {log};
        test_fail_from(k, -1);
        cvs_status s = cvs_log_line(log, 0, &view, &l, &err);
        if (s == CVS_OK) {
            s = cvs_log_band(logs, (int[]){0}, 1, &view, &b, &err);
        }
        cvi_set_hooks(NULL);
        done = !test_failures.failed;
        assert_int_equal(s, done ? CVS_OK : CVS_E_MEMORY);
        cvs_line_free(&l);
        cvs_band_free(&b);
        cvs_log_free(log);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_every_point),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(restarted),
        cmocka_unit_test(running_mean),
        cmocka_unit_test(axes),
        cmocka_unit_test(bands),
        cmocka_unit_test(refusals),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
