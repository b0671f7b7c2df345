/* SPDX-License-Identifier: MIT
 * watching.c - opens the logs that were named, and reads on in them when somebody asks: at most every half second, and only what was
 * appended. A log that cannot be read on keeps what it has.
 */
#include "watching.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REFRESH_SECONDS 0.5

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Runs, series and settings of all logs: when their number changes the page asks for the whole list again. */
static int count_parts(const watching *w) {
    int parts = 0;
    for (int i = 0; i < w->n; i++) {
        const char *name, *value;
        int run, params = 0;
        while (cvs_log_hparam(w->list[i].log, params, &run, &name, &value)) {
            params++;
        }
        parts += cvs_log_n_runs(w->list[i].log) + cvs_log_count(w->list[i].log) + params;
    }
    return parts;
}

cvs_status watching_open(const cvs_serve_options *options, watching **out, cvs_error *err) {
    watching *w = calloc(1, sizeof *w);
    *out = w;
    if (!w || options->n_logs > MAX_LOGS) {
        err->code = w ? CVS_E_LIMIT : CVS_E_MEMORY;
        snprintf(err->message, sizeof err->message, "%s",
                 err->lang == CVS_ZH ? "一次最多查看 64 个记录目录"
                                     : "at most 64 logs can be watched at once");
        return err->code;
    }
    pthread_mutex_init(&w->lock, NULL);
    for (int i = 0; i < options->n_logs; i++) {
        cvs_status s = cvs_log_open(options->logs[i], NULL, &w->list[i].log, err);
        if (s != CVS_OK) {
            return s;
        }
        w->list[i].path = options->logs[i];
        w->n++;
    }
    w->parts = count_parts(w);
    w->refreshed = now();
    w->came = -1e9;
    return CVS_OK;
}

void watching_close(watching *w) {
    if (!w) {
        return;
    }
    for (int i = 0; i < w->n; i++) {
        cvs_log_free(w->list[i].log);
    }
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void read_on(watching *w) {
    bool any = false;
    for (int i = 0; i < w->n; i++) {
        bool changed = false;
        cvs_error err = {0};
        if (cvs_log_refresh(w->list[i].log, &changed, &err) == CVS_OK) {
            any = any || changed;
        }
    }
    w->refreshed = now();
    if (any) {
        int parts = count_parts(w);
        w->came = w->refreshed;
        w->data++;
        w->shape += parts != w->parts;
        w->parts = parts;
    }
}

watching *watching_enter(app *a, reply *r) {
    watching *w = a->watching;
    if (!w) {
        reply_error(r, 404, "no log of training is open: convscope watch RUN");
        return NULL;
    }
    pthread_mutex_lock(&w->lock);
    if (now() - w->refreshed > REFRESH_SECONDS) {
        read_on(w);
    }
    return w;
}

void watching_leave(watching *w) {
    pthread_mutex_unlock(&w->lock);
}

static watched *at(watching *w, int64_t number, int *within) {
    if (number < 0 || number >= (int64_t)w->n * WATCH_SPAN) {
        return NULL;
    }
    *within = (int)(number % WATCH_SPAN);
    return &w->list[number / WATCH_SPAN];
}

watched *watching_series(watching *w, int64_t number, int *series) {
    watched *one = at(w, number, series);
    return one && *series < cvs_log_count(one->log) ? one : NULL;
}

watched *watching_run(watching *w, int64_t number, int *run) {
    watched *one = at(w, number, run);
    return one && *run < cvs_log_n_runs(one->log) ? one : NULL;
}

static void add_folder(watch_folder *list, int *n, int most, const char *path, const char *name) {
    char inside[WATCH_PATH + 40];
    for (int i = 0; i < *n; i++) {
        if (strcmp(list[i].path, path) == 0) {
            return;
        }
    }
    snprintf(inside, sizeof inside, "%s/%s", path, name);
    if (*n < most && strlen(path) < WATCH_PATH && access(inside, R_OK) == 0) {
        snprintf(list[(*n)++].path, WATCH_PATH, "%s", path);
    }
}

int watching_folders(const watching *w, const char *name, watch_folder *list, int most) {
    int n = 0;
    for (int k = 0; k < w->n; k++) {
        add_folder(list, &n, most, w->list[k].path, name);
        for (int i = 0; i < cvs_log_n_runs(w->list[k].log) && i < 4000; i++) {
            const char *run = cvs_log_run(w->list[k].log, i);
            size_t length = strlen(run);
            char path[WATCH_PATH];
            if (length > 6 && strcmp(run + length - 6, "/train") == 0 &&
                snprintf(path, sizeof path, "%s/%.*s", w->list[k].path, (int)length - 6, run) < WATCH_PATH) {
                add_folder(list, &n, most, path, name);
            }
        }
    }
    return n;
}
