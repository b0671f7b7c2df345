/* SPDX-License-Identifier: MIT
 * runs.h - what training runs were and how they went: the record that every run keeps in RUN/run.sqlite while it goes on.
 *
 *     cvs_runs *runs;
 *     cvs_runs_open("experiments", NULL, &runs, &err);        a folder with runs anywhere below it, or one run
 *     for (int i = 0; i < cvs_runs_count(runs); i++) { const cvs_run_record *r = cvs_runs_get(runs, i); ... }
 *     cvs_runs_refresh(runs, &changed, &err);                 what went on since, new runs too
 *     cvs_runs_free(runs);
 *
 * Records are opened read-only and as files that somebody else may have made: a damaged or foreign one costs a note, not the list. A
 * run that goes on can be read at any moment. The curves of every step lie in the run's event files: watch.h.
 */
#ifndef CONVSCOPE_RUNS_H
#define CONVSCOPE_RUNS_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cvs_run_state {
    CVS_RUN_RUNNING,
    CVS_RUN_FINISHED,
    CVS_RUN_STOPPED, /* asked to, or out of steps; --resume goes on */
    CVS_RUN_FAILED,  /* `message` says why */
    CVS_RUN_KILLED,  /* its process ended without a word; --resume goes on */
    CVS_N_RUN_STATES
} cvs_run_state;
/* "running", "finished", ... the same word in every language; and for people (borrowed, static). */
const char *cvs_run_state_name(cvs_run_state state);
const char *cvs_run_state_text(cvs_run_state state, cvs_lang lang);

/* A hyper-parameter or another setting: `text` always, `number` where it is one (else NaN). */
typedef struct cvs_run_setting {
    const char *name, *text;
    double number;
} cvs_run_setting;

/* Of a whole epoch, or of the part of one that a stopped run made: then val_ are NaN. */
typedef struct cvs_run_epoch {
    int epoch;    /* from 1 */
    int64_t step; /* made when it ended */
    double loss, accuracy, val_loss, val_accuracy, learning_rate, seconds;
} cvs_run_epoch;

/* What lies in the run's folder: kind is "model", "best", "state", "history", "events" or "snapshots". */
typedef struct cvs_run_artifact {
    const char *name, *kind;
    int epoch; /* that it is of, 0 = of no one */
} cvs_run_artifact;

/* One time that a process trained: the first, and one for each --resume. */
typedef struct cvs_run_session {
    double started, ended; /* seconds since 1970; ended 0: it goes on, or was killed */
    const char *status;    /* as of the run */
    int64_t from_step;
    int threads, ranks;
    const char *host;
    int64_t pid;
} cvs_run_session;

typedef struct cvs_run_record {
    const char *path;   /* of the folder, as it was found */
    const char *folder; /* below the folder that was opened; "." for itself */
    const char *id;     /* 16 hexadecimal digits, kept over --resume */
    const char *name;   /* the folder's own */
    cvs_run_state state;
    const char *message; /* of a run that failed, else "" */
    const char *recipe, *data, *version;
    uint64_t seed;
    double started, updated, ended; /* seconds since 1970; ended 0 while it goes on */
    double seconds;                 /* of training, all sessions together */
    int64_t params, pictures, val_pictures;
    int epochs;                    /* planned */
    int64_t step, steps;           /* made; planned over all epochs */
    int now_epoch;                 /* being made, from 1 */
    double now_loss, now_accuracy; /* running means of that epoch, NaN before its first step */
    const char *watched;           /* "val_loss", ...: what best is of */
    int best_epoch;                /* 0: none yet */
    double best;                   /* the watched number of that epoch */
    int n_epochs;
    const cvs_run_epoch *list;
    int n_settings;
    const cvs_run_setting *settings;
    int n_files;
    const cvs_run_artifact *files;
    int n_sessions;
    const cvs_run_session *sessions;
} cvs_run_record;

typedef struct cvs_runs cvs_runs; /* one thread at a time */

/* *out is owned, cvs_runs_free. CVS_E_IO: there is no such folder. A folder without runs gives an empty list. limits may be NULL. */
cvs_status cvs_runs_open(const char *folder, const cvs_limits *limits, cvs_runs **out, cvs_error *err);
void cvs_runs_free(cvs_runs *runs); /* NULL allowed */
/* Reads again what may have changed; records are borrowed until then. *changed may be NULL. */
cvs_status cvs_runs_refresh(cvs_runs *runs, bool *changed, cvs_error *err);
/* In the order of their folders' names, numbers by value. */
int cvs_runs_count(const cvs_runs *runs);
const cvs_run_record *cvs_runs_get(const cvs_runs *runs, int i); /* NULL: there is no such one */
/* Sentences about records that could not be read; NULL beyond the last. Borrowed. */
const char *cvs_runs_note(const cvs_runs *runs, int i);
/* A setting's text, or NULL. */
const char *cvs_run_record_setting(const cvs_run_record *r, const char *name);

#ifdef __cplusplus
}
#endif
#endif
