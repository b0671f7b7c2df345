/* SPDX-License-Identifier: MIT
 * api_steer.c - a hand on the watched runs that take requests: how they stand, pause, single steps, another learning rate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "convscope/train.h"
#include "watching.h"

enum { MOST_STEERED = 64, PATH = 1200 };

typedef struct steered {
    char path[PATH];
} steered;

static void add(steered *list, int *n, const char *path) {
    cvs_steering now;
    for (int i = 0; i < *n; i++) {
        if (strcmp(list[i].path, path) == 0) {
            return;
        }
    }
    if (*n < MOST_STEERED && cvs_run_steering(path, &now, NULL) == CVS_OK) {
        snprintf(list[(*n)++].path, PATH, "%s", path);
    }
}

/* The folders of Convscope's own runs that are watched: what was named, and where a log has X/train, X. */
static steered *find(watching *w, int *n) {
    steered *list = calloc(MOST_STEERED, sizeof *list);
    *n = 0;
    for (int k = 0; list && k < w->n; k++) {
        add(list, n, w->list[k].path);
        for (int i = 0; i < cvs_log_n_runs(w->list[k].log) && i < 2000; i++) {
            const char *name = cvs_log_run(w->list[k].log, i);
            size_t length = strlen(name);
            char path[PATH];
            if (length > 6 && strcmp(name + length - 6, "/train") == 0 &&
                snprintf(path, sizeof path, "%s/%.*s", w->list[k].path, (int)length - 6, name) < PATH) {
                add(list, n, path);
            }
        }
    }
    return list;
}

static json_t *changes_of(const cvs_steering *s) {
    json_t *list = json_array();
    for (int i = 0; i < s->n_changes; i++) {
        json_array_append_new(list, json_pack("{sI so}", "step", (json_int_t)s->changes[i].step, "rate",
                                              json_number_any(s->changes[i].learning_rate)));
    }
    return list;
}

void api_log_control(app *a, const request *q, reply *r) {
    (void)q;
    watching *w = watching_enter(a, r);
    int n = 0;
    if (!w) {
        return;
    }
    steered *list = find(w, &n);
    watching_leave(w);
    json_t *runs = json_array();
    for (int i = 0; i < n; i++) {
        cvs_steering s;
        if (cvs_run_steering(list[i].path, &s, NULL) == CVS_OK) {
            json_array_append_new(
                runs, json_pack("{so sb sb sI si si so sI so}", "run", json_clean(list[i].path), "paused",
                                s.paused, "ended", s.ended, "step", (json_int_t)s.step, "epoch", s.epoch,
                                "epochs", s.epochs, "rate", json_number_any(s.learning_rate), "id",
                                (json_int_t)s.request, "changes", changes_of(&s)));
        }
    }
    free(list);
    reply_json(r, json_pack("{so}", "runs", runs));
}

void api_log_steer(app *a, const request *q, reply *r) {
    cvs_error err = {.lang = arg_lang(q)};
    json_t *ask = body_json(q, r);
    if (!ask) {
        return;
    }
    watching *w = watching_enter(a, r);
    int n = 0;
    steered *list = w ? find(w, &n) : NULL;
    if (w) {
        watching_leave(w);
    }
    const char *run = json_string_value(json_object_get(ask, "run")), *path = NULL;
    for (int i = 0; i < n && run; i++) {
        json_t *name = json_clean(list[i].path);
        path = name && strcmp(json_string_value(name), run) == 0 ? list[i].path : path;
        json_decref(name);
    }
    const json_t *pause = json_object_get(ask, "pause"), *rate = json_object_get(ask, "rate");
    cvs_steer s = {.keep_pause = !json_is_boolean(pause),
                   .pause = json_is_true(pause),
                   .steps = (int64_t)json_integer_value(json_object_get(ask, "step")),
                   .learning_rate = json_is_number(rate) ? json_number_value(rate) : 0};
    if (!path && w) {
        reply_error(r, 404, "there is no such run that takes requests; train it with --control");
    } else if (path && cvs_run_steer(path, &s, &err) != CVS_OK) {
        reply_failed(r, &err);
    } else if (path) {
        reply_json(r, json_pack("{sb}", "asked", 1));
    }
    free(list);
    json_decref(ask);
}
