/* SPDX-License-Identifier: MIT
 * api_log_more.c - histograms, pictures and texts of the watched logs, fetched from their files now; the diagnosis.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "watching.h"

enum { MOST_TIMES = 60 };

/* The series that the arguments name, of a kind; NULL and a reply. */
static watched *series_of(watching *w, const request *q, cvs_series_kind kind, int *series, cvs_series *s,
                          reply *r) {
    watched *one = watching_series(w, arg_int(q, "series", -1), series);
    if (one) {
        cvs_log_series(one->log, *series, s);
    }
    if (!one || s->kind != kind || s->n == 0) {
        reply_error(r, 404, "there is no such series");
        return NULL;
    }
    return one;
}

/* Which points: all, or evenly chosen ones with the first and the last. */
static int64_t chosen(int64_t i, int64_t count, int64_t n) {
    return count > 1 ? i * (n - 1) / (count - 1) : n - 1;
}

/* ---- histograms ------------------------------------------------------------------------------------------------------ */

void api_log_bins(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    watching *w = watching_enter(a, r);
    int series;
    cvs_series s;
    watched *one = w ? series_of(w, q, CVS_HISTOGRAMS, &series, &s, r) : NULL;
    if (!one) {
        if (w) {
            watching_leave(w);
        }
        return;
    }
    int64_t most = arg_int(q, "times", MOST_TIMES), count = s.n < most ? s.n : most < 1 ? 1 : most;
    count = count > 400 ? 400 : count;
    cvs_log_bins *bins = calloc((size_t)count, sizeof *bins);
    part *parts = calloc((size_t)count * 3, sizeof *parts);
    json_t *times = json_array();
    int n = 0;
    for (int64_t i = 0; bins && parts && i < count; i++) {
        int64_t k = chosen(i, count, s.n);
        if (cvs_log_histogram(one->log, series, k, &bins[n], &err) != CVS_OK) {
            continue; /* one that is damaged: the others are shown */
        }
        size_t size = (size_t)bins[n].n * sizeof(double);
        parts[3 * n] = (part){bins[n].left, size};
        parts[3 * n + 1] = (part){bins[n].right, size};
        parts[3 * n + 2] = (part){bins[n].count, size};
        json_array_append_new(
            times, json_pack("[Ioi]", (json_int_t)s.step[k], json_number_any(s.wall[k]), (int)bins[n].n));
        n++;
    }
    if (n > 0) {
        reply_packet(r, json_pack("{sI so}", "all", (json_int_t)s.n, "times", times), parts, 3 * n);
    } else {
        json_decref(times);
        err.code = err.code == CVS_OK ? CVS_E_MEMORY : err.code;
        reply_failed(r, &err);
    }
    for (int i = 0; i < n; i++) {
        cvs_log_bins_free(&bins[i]);
    }
    watching_leave(w);
    free(bins);
    free(parts);
}

/* ---- pictures, texts --------------------------------------------------------------------------------------------------- */

static const char *picture_type(const uint8_t *p, size_t n) {
    return n > 8 && memcmp(p, "\x89PNG", 4) == 0                                  ? "image/png"
           : n > 3 && memcmp(p, "\xff\xd8\xff", 3) == 0                           ? "image/jpeg"
           : n > 6 && memcmp(p, "GIF8", 4) == 0                                   ? "image/gif"
           : n > 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0 ? "image/webp"
           : n > 2 && memcmp(p, "BM", 2) == 0                                     ? "image/bmp"
                                                                                  : NULL;
}

void api_log_picture(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    watching *w = watching_enter(a, r);
    int series;
    cvs_series s;
    watched *one = w ? series_of(w, q, CVS_PICTURES, &series, &s, r) : NULL;
    uint8_t *data = NULL;
    size_t size = 0;
    if (one) {
        cvs_status status = cvs_log_picture(one->log, series, arg_int(q, "k", s.n - 1), &data, &size, &err);
        const char *type = status == CVS_OK ? picture_type(data, size) : NULL;
        if (status != CVS_OK) {
            reply_failed(r, &err);
        } else if (!type) {
            reply_error(r, 422, "this point of the log holds no picture that a browser shows");
        } else {
            reply_copy(r, type, data, size);
        }
        cvs_free(data);
    }
    if (w) {
        watching_leave(w);
    }
}

/* The steps of a series of pictures or texts are asked for with its k-th text. */
static json_t *steps_of(const cvs_series *s) {
    json_t *steps = json_array();
    for (int64_t i = 0; i < s->n && i < 100000; i++) {
        json_array_append_new(steps, json_integer((json_int_t)s->step[i]));
    }
    return steps;
}

void api_log_text(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    watching *w = watching_enter(a, r);
    int series = 0;
    cvs_series s = {0};
    watched *one = w ? watching_series(w, arg_int(q, "series", -1), &series) : NULL;
    if (one) {
        cvs_log_series(one->log, series, &s);
    }
    if (w && (!one || s.n == 0)) {
        reply_error(r, 404, "there is no such series");
    } else if (w && s.kind == CVS_TEXTS) {
        char *text = NULL;
        if (cvs_log_text(one->log, series, arg_int(q, "k", s.n - 1), &text, &err) == CVS_OK) {
            json_t *lines = json_array();
            for (char *at = text, *end; at; at = end) { /* line feeds are no part of a clean text */
                end = strchr(at, '\n');
                if (end) {
                    *end++ = 0;
                }
                json_array_append_new(lines, json_clean(at));
            }
            reply_json(r, json_pack("{so so}", "steps", steps_of(&s), "lines", lines));
        } else {
            reply_failed(r, &err);
        }
        cvs_free(text);
    } else if (w) {
        reply_json(r, json_pack("{so}", "steps", steps_of(&s)));
    }
    if (w) {
        watching_leave(w);
    }
}

/* ---- diagnosis ----------------------------------------------------------------------------------------------------------- */

void api_log_warnings(app *a, const request *q, reply *r) {
    static const char *const grades[] = {"note", "warning", "fault"};
    cvs_error err = {.lang = arg_lang(q)};
    watching *w = watching_enter(a, r);
    json_t *list = json_array();
    for (int k = 0; w && k < w->n; k++) {
        cvs_diagnosis d = {0};
        if (cvs_diagnose(w->list[k].log, err.lang, &d, &err) != CVS_OK) {
            continue;
        }
        for (int i = 0; i < d.n; i++) {
            const cvs_warning *one = &d.list[i];
            json_array_append_new(list,
                                  json_pack("{sI ss ss ss sI so so ss ss ss so}", "run",
                                            (json_int_t)k * WATCH_SPAN + one->run, "code", one->code,
                                            "severity", grades[one->severity], "title", one->title, "step",
                                            (json_int_t)one->step, "layer", json_clean(one->layer),
                                            "evidence", json_clean(one->evidence), "why", one->why, "advice",
                                            one->advice, "recipe", one->recipe, "tag", json_clean(one->tag)));
        }
        cvs_diagnosis_free(&d);
    }
    if (w) {
        watching_leave(w);
        reply_json(r, json_pack("{so}", "warnings", list));
    } else {
        json_decref(list);
    }
}
