/* SPDX-License-Identifier: MIT
 * jobs.c - long work with a number, a progress and an end (tasks.h says what work). One at a time, in a lane and a run of their own, so
 * that looking around stays quick meanwhile. What was asked before is not done again while its job is kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tasks.h"

bool job_progress(void *context, const char *what, double fraction) {
    job *j = context;
    pthread_mutex_lock(&j->lock);
    j->fraction = fraction;
    snprintf(j->what, sizeof j->what, "%s", what ? what : "");
    pthread_mutex_unlock(&j->lock);
    return !atomic_load(&j->cancel) && !atomic_load(&j->app->stopping);
}

/* Made or run anew only when another was asked for last. */
cvs_status why_run(app *a, int model, int number, cvs_run **out, cvs_error *err) {
    if (a->why.model != model) {
        cvs_run_free(a->why.run);
        a->why.run = NULL;
        a->why.model = a->why.picture = -1;
        cvs_run_options options = a->options->run;
        options.progress = NULL;
        options.for_gradients = true;
        cvs_status s = cvs_run_new(store_model_at(a, model)->model, &options, &a->why.run, err);
        if (s != CVS_OK) {
            return s;
        }
        a->why.model = model;
    }
    if (a->why.picture != number) {
        a->why.picture = -1;
        cvs_status s = run_picture(a->why.run, store_picture_at(a, number), NULL, err);
        if (s != CVS_OK) {
            return s;
        }
        a->why.picture = number;
    }
    *out = a->why.run;
    return CVS_OK;
}

static void work(void *context) {
    job *j = context;
    app *a = j->app;
    cvs_run *run = NULL;
    cvs_error err = {.lang = j->lang};
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    cvs_status s = atomic_load(&j->cancel) ? CVS_E_CANCELLED : CVS_OK;
    s = s == CVS_OK && j->task->pictured ? why_run(a, j->model, j->picture, &run, &err) : s;
    s = s == CVS_OK ? j->task->work(a, j, &err) : s;
    clock_gettime(CLOCK_MONOTONIC, &t1);
    pthread_mutex_lock(&j->lock);
    err.code = s;
    j->failed = s != CVS_OK;
    j->err = err;
    j->seconds = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
    pthread_mutex_unlock(&j->lock);
    atomic_store(&j->done, true);
}

/* One that did the same, or is at it. */
static job *find_same(app *a, const task *t, const json_t *ask, int m, int p, cvs_lang lang) {
    for (int i = 0; i < MAX_JOBS; i++) {
        job *j = &a->jobs[i];
        bool same = j->id && j->task == t && j->model == m && j->picture == p && j->lang == lang &&
                    json_equal(j->ask, ask);
        if (same && !atomic_load(&j->cancel) && !(atomic_load(&j->done) && j->failed)) {
            return j;
        }
    }
    return NULL;
}

/* A free place, or that of the oldest job that is done. */
static job *place(app *a) {
    job *best = NULL;
    for (int i = 0; i < MAX_JOBS; i++) {
        job *j = &a->jobs[i];
        if (j->id == 0) {
            return j;
        }
        best = atomic_load(&j->done) && j->held == 0 && (!best || j->id < best->id) ? j : best;
    }
    return best;
}

job *job_start(app *a, const task *t, json_t *ask, int m, int p, cvs_lang lang) {
    pthread_mutex_lock(&a->lock);
    job *j = find_same(a, t, ask, m, p, lang);
    if (j) {
        pthread_mutex_unlock(&a->lock);
        return j;
    }
    j = place(a);
    if (j) {
        if (j->id) {
            j->task->drop(j);
            json_decref(j->ask);
        }
        j->id = a->next_job++;
        j->app = a;
        j->task = t;
        j->ask = json_incref(ask);
        j->model = m;
        j->picture = p;
        j->lang = lang;
        j->fraction = 0;
        j->what[0] = 0;
        j->failed = false;
        memset(&j->result, 0, sizeof j->result);
        atomic_store(&j->cancel, false);
        atomic_store(&j->done, false);
        if (!lanes_push(a->lanes, LANE_HEAVY, work, j)) {
            json_decref(j->ask);
            j->ask = NULL;
            j->id = 0;
            j = NULL;
        }
    }
    pthread_mutex_unlock(&a->lock);
    return j;
}

job *job_enter(app *a, int64_t id) {
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < MAX_JOBS; i++) {
        if (id > 0 && a->jobs[i].id == id) {
            pthread_mutex_lock(&a->jobs[i].lock);
            return &a->jobs[i];
        }
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

void job_leave(job *j) {
    pthread_mutex_unlock(&j->lock);
    pthread_mutex_unlock(&j->app->lock);
}

void job_hold(job *j) {
    j->held++;
}

void job_let_go(job *j) {
    pthread_mutex_lock(&j->app->lock);
    j->held--;
    pthread_mutex_unlock(&j->app->lock);
}
