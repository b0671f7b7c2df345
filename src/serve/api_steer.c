/* SPDX-License-Identifier: MIT
 * api_steer.c - a hand on the watched runs that take requests: how they stand, pause, single steps, another learning rate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "convscope/train.h"
#include "watching.h"

enum { MOST_STEERED = 64 };

static watch_folder *find(watching *w, int *n) {
    watch_folder *list = calloc(MOST_STEERED, sizeof *list);
    *n = list ? watching_folders(w, "steering.json", list, MOST_STEERED) : 0;
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
    watch_folder *list = find(w, &n);
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
    watch_folder *list = w ? find(w, &n) : NULL;
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
