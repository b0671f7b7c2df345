/* SPDX-License-Identifier: MIT
 * api_log.c - what the watched logs hold: runs, settings, tags; whether anything new came; curves as wide as the page draws them; points
 * of a series as CSV.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api.h"
#include "watching.h"

enum { MOST_COLUMNS = 4000, MOST_POINTS = 240000, LEAST_COLUMNS = 40, MOST_RUNS = 20000 };

/* ---- what there is ------------------------------------------------------------------------------------------------ */

/* The runs of one log, each with its settings. */
static void list_runs(const watching *w, int k, json_t *runs) {
    const cvs_log *log = w->list[k].log;
    int n = cvs_log_n_runs(log), of;
    const char *name, *value;
    json_t **settings = calloc((size_t)n + 1, sizeof *settings);
    for (int i = 0; settings && cvs_log_hparam(log, i, &of, &name, &value); i++) {
        if (!settings[of]) {
            settings[of] = json_object();
        }
        json_t *key = json_clean(name);
        json_object_set_new(settings[of], json_string_value(key) ? json_string_value(key) : "",
                            json_clean(value));
        json_decref(key);
    }
    for (int i = 0; settings && i < n; i++) {
        json_array_append_new(runs, json_pack("{sI si so so}", "id", (json_int_t)k * WATCH_SPAN + i, "log", k,
                                              "name", json_clean(cvs_log_run(log, i)), "settings",
                                              settings[i] ? settings[i] : json_object()));
    }
    free(settings);
}

/* Every tag once, with the series that have it: [run, series, points, first step, last step]. */
static void list_series(const watching *w, int k, json_t *tags, json_t *index) {
    static const char *const kinds[] = {"scalar", "histogram", "picture", "text", "other"};
    for (int i = 0; i < cvs_log_count(w->list[k].log); i++) {
        cvs_series s;
        cvs_log_series(w->list[k].log, i, &s);
        if (s.n == 0 || s.kind > CVS_TEXTS) {
            continue;
        }
        json_t *clean = json_clean(s.tag);
        char key[64];
        const char *text = json_string_value(clean) ? json_string_value(clean) : "";
        json_t *name = json_sprintf("%s %s", kinds[s.kind], text);
        json_t *at = name ? json_object_get(index, json_string_value(name)) : NULL;
        if (!at && name) {
            snprintf(key, sizeof key, "%zu", json_array_size(tags));
            json_object_set_new(index, json_string_value(name), json_integer(atoi(key)));
            at = json_object_get(index, json_string_value(name));
            json_array_append_new(tags,
                                  json_pack("{sO ss s[]}", "tag", clean, "kind", kinds[s.kind], "series"));
        }
        json_t *list = json_object_get(json_array_get(tags, (size_t)json_integer_value(at)), "series");
        json_array_append_new(list, json_pack("[IIIII]", (json_int_t)k * WATCH_SPAN + s.run,
                                              (json_int_t)k * WATCH_SPAN + i, (json_int_t)s.n,
                                              (json_int_t)s.step[0], (json_int_t)s.step[s.n - 1]));
        json_decref(name);
        json_decref(clean);
    }
}

/* Whether runs are being written: something came within the last 20 seconds, by the watcher's clock or the events'. */
static bool is_live(const watching *w) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec - w->came < 20;
}

void api_log(app *a, const request *q, reply *r) {
    (void)q;
    watching *w = watching_enter(a, r);
    if (!w) {
        return;
    }
    json_t *runs = json_array(), *tags = json_array(), *index = json_object(), *logs = json_array(),
           *notes = json_array();
    for (int k = 0; k < w->n; k++) {
        json_array_append_new(logs, json_clean(w->list[k].path));
        list_runs(w, k, runs);
        list_series(w, k, tags, index);
        for (int i = 0; i < 20 && cvs_log_note(w->list[k].log, i); i++) {
            json_array_append_new(notes, json_clean(cvs_log_note(w->list[k].log, i)));
        }
    }
    json_t *j =
        json_pack("{sI sI sb so so so so}", "shape", (json_int_t)w->shape, "data", (json_int_t)w->data,
                  "live", is_live(w), "logs", logs, "runs", runs, "tags", tags, "notes", notes);
    watching_leave(w);
    json_decref(index);
    reply_json(r, j);
}

void api_log_new(app *a, const request *q, reply *r) {
    (void)q;
    watching *w = watching_enter(a, r);
    if (w) {
        json_t *j = json_pack("{sI sI sb}", "shape", (json_int_t)w->shape, "data", (json_int_t)w->data,
                              "live", is_live(w));
        watching_leave(w);
        reply_json(r, j);
    }
}

/* ---- curves --------------------------------------------------------------------------------------------------------- */

static double number_or_nan(const json_t *j, const char *key) {
    const json_t *v = json_object_get(j, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static cvs_view read_view(const json_t *ask, size_t n) {
    static const char *const axes[] = {"step", "epoch", "time", "wall"};
    const char *axis = json_string_value(json_object_get(ask, "axis"));
    double columns = number_or_nan(ask, "columns"), smooth = number_or_nan(ask, "smooth");
    cvs_view v = {.from = number_or_nan(ask, "from"), .to = number_or_nan(ask, "to")};
    for (int i = 0; axis && i < 4; i++) {
        v.axis = strcmp(axes[i], axis) == 0 ? (cvs_axis)i : v.axis;
    }
    v.columns = columns >= 1 && columns <= MOST_COLUMNS ? (int)columns : 800;
    /* many runs share the points that a page can draw; every spike is there all the same */
    int fair = (int)(MOST_POINTS / 4 / (n > 0 ? n : 1));
    fair = fair < LEAST_COLUMNS ? LEAST_COLUMNS : fair;
    v.columns = v.columns < fair ? v.columns : fair;
    v.smoothing = smooth > 0 ? fmin(smooth, 0.9999) : 0;
    return v;
}

typedef struct lines {
    json_t *heads;
    size_t n;
    cvs_line *list;
    part *parts;
    int n_parts;
    double first, last;
} lines;

static void free_lines(lines *l) {
    for (size_t i = 0; i < l->n; i++) {
        cvs_line_free(&l->list[i]);
    }
    free(l->list);
    free(l->parts);
}

static cvs_status add_line(watching *w, int64_t number, const cvs_view *view, lines *l, cvs_error *err) {
    int series;
    watched *one = watching_series(w, number, &series);
    cvs_series s;
    if (!one) {
        return CVS_OK; /* of another shape of the log: the page will hear of it */
    }
    cvs_log_series(one->log, series, &s);
    cvs_line *line = &l->list[l->n];
    cvs_status status = s.kind == CVS_SCALARS ? cvs_log_line(one->log, series, view, line, err) : CVS_OK;
    if (status != CVS_OK || line->n == 0) {
        return status;
    }
    l->n++;
    const void *columns[] = {line->x, line->y, view->smoothing > 0 ? line->smooth : NULL};
    for (int i = 0; i < 3; i++) {
        if (columns[i]) {
            l->parts[l->n_parts++] = (part){columns[i], (size_t)line->n * sizeof(double)};
        }
    }
    l->first = fmin(l->first, line->first);
    l->last = fmax(l->last, line->last);
    json_array_append_new(l->heads, json_pack("[IIII]", (json_int_t)number, (json_int_t)line->n,
                                              (json_int_t)s.n, (json_int_t)line->at[0]));
    return CVS_OK;
}

static void reply_lines(watching *w, const json_t *list, const cvs_view *view, cvs_error *err, reply *r) {
    size_t n = json_array_size(list);
    lines l = {.heads = json_array(),
               .list = calloc(n + 1, sizeof *l.list),
               .parts = calloc(3 * n + 1, sizeof *l.parts),
               .first = (double)NAN,
               .last = (double)NAN};
    cvs_status s = l.list && l.parts ? CVS_OK : CVS_E_MEMORY;
    for (size_t i = 0; i < n && s == CVS_OK; i++) {
        s = add_line(w, (int64_t)json_integer_value(json_array_get(list, i)), view, &l, err);
    }
    if (s == CVS_OK) {
        reply_packet(r,
                     json_pack("{so sb so so}", "lines", l.heads, "smooth", view->smoothing > 0, "first",
                               json_number_any(l.first), "last", json_number_any(l.last)),
                     l.parts, l.n_parts);
    } else {
        json_decref(l.heads);
        err->code = s;
        reply_failed(r, err);
    }
    free_lines(&l);
}

/* Where the series begin and end, for sides of the view that the page leaves open. */
static void find_ends(cvs_log *const *logs, const int *series, int n, cvs_view *v) {
    double lo = (double)NAN, hi = (double)NAN;
    for (int i = 0; i < n && (isnan(v->from) || isnan(v->to)); i++) {
        cvs_line ends;
        cvs_view whole = {.axis = v->axis, .from = (double)NAN, .to = (double)NAN, .columns = 1};
        if (cvs_log_line(logs[i], series[i], &whole, &ends, NULL) == CVS_OK) {
            lo = ends.n > 0 ? fmin(lo, ends.first) : lo;
            hi = ends.n > 0 ? fmax(hi, ends.last) : hi;
            cvs_line_free(&ends);
        }
    }
    v->from = isnan(v->from) ? (isnan(lo) ? 0 : lo) : v->from;
    v->to = isnan(v->to) ? (isnan(hi) ? v->from : hi) : v->to;
}

static void reply_band(watching *w, const json_t *list, const cvs_view *view, cvs_error *err, reply *r) {
    size_t n = json_array_size(list);
    int *series = calloc(n + 1, sizeof *series), count = 0;
    cvs_log **logs = calloc(n + 1, sizeof(cvs_log *));
    cvs_band b = {0};
    cvs_view v = *view;
    for (size_t i = 0; series && logs && i < n; i++) {
        watched *one =
            watching_series(w, (int64_t)json_integer_value(json_array_get(list, i)), &series[count]);
        logs[count] = one ? one->log : NULL;
        count += one != NULL;
    }
    cvs_status s = series && logs ? CVS_OK : CVS_E_MEMORY;
    if (s == CVS_OK) {
        find_ends(logs, series, count, &v);
        v.columns = v.columns > 600 ? 600 : v.columns;
        s = cvs_log_band(logs, series, count, &v, &b, err);
    }
    size_t size = (size_t)b.n * sizeof(double);
    if (s == CVS_OK) {
        const part parts[] = {
            {b.x, size}, {b.mean, size}, {b.deviation, size}, {b.low, size}, {b.high, size}};
        reply_packet(r, json_pack("{si si}", "n", b.n, "runs", count), parts, 5);
    } else {
        err->code = s;
        reply_failed(r, err);
    }
    cvs_band_free(&b);
    free(series);
    free(logs);
}

void api_log_curves(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    json_t *ask = body_json(q, r);
    if (!ask) {
        return;
    }
    const json_t *list = json_object_get(ask, "series");
    if (!json_is_array(list) || json_array_size(list) > MOST_RUNS) {
        reply_error(r, 400, "series: a list of numbers expected");
        json_decref(ask);
        return;
    }
    bool band = json_is_true(json_object_get(ask, "band"));
    cvs_view view = read_view(ask, band ? 1 : json_array_size(list));
    watching *w = watching_enter(a, r);
    if (w) {
        if (band) {
            reply_band(w, list, &view, &err, r);
        } else {
            reply_lines(w, list, &view, &err, r);
        }
        watching_leave(w);
    }
    json_decref(ask);
}

/* ---- points --------------------------------------------------------------------------------------------------------- */

typedef struct text {
    char *data;
    size_t size, room;
} text;

static bool put(text *t, const char *s, size_t n) {
    if (t->size + n > t->room) {
        size_t room = 2 * (t->size + n) + 4096;
        char *grown = realloc(t->data, room);
        if (!grown) {
            return false;
        }
        t->data = grown;
        t->room = room;
    }
    memcpy(t->data + t->size, s, n);
    t->size += n;
    return true;
}

void api_log_csv(app *a, const request *q, reply *r) {
    watching *w = watching_enter(a, r);
    text t = {0};
    int series = 0;
    watched *one = w ? watching_series(w, arg_int(q, "series", -1), &series) : NULL;
    cvs_series s = {0};
    if (one) {
        cvs_log_series(one->log, series, &s);
    }
    bool good = put(&t, "step,wall_time,value\n", 21);
    for (int64_t i = 0; s.value && i < s.n && good; i++) {
        char row[120];
        int n = snprintf(row, sizeof row, "%lld,%.6f,%.9g\n", (long long)s.step[i], s.wall[i], s.value[i]);
        good = put(&t, row, (size_t)n);
    }
    if (w) {
        watching_leave(w);
        if (!s.value || !good) {
            reply_error(r, good ? 404 : 503, good ? "there is no such series" : "out of memory");
        } else {
            reply_bytes(r, "text/csv; charset=utf-8", t.data, t.size);
            snprintf(r->file, sizeof r->file, "series.csv");
            return;
        }
    }
    free(t.data);
}
