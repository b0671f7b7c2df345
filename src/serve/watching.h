/* SPDX-License-Identifier: MIT
 * watching.h (internal to serve) - logs of training while somebody watches them. One lock for all: a log is for one thread at a time.
 */
#ifndef SERVE_WATCHING_H
#define SERVE_WATCHING_H

#include "app.h"
#include "convscope/watch.h"

/* Numbers that the page uses: a run or series of log k is k * SPAN + its number there. */
enum { WATCH_SPAN = 10000000, MAX_LOGS = 64 };

typedef struct watched {
    const char *path; /* as named, borrowed */
    cvs_log *log;
} watched;

struct watching {
    pthread_mutex_t lock; /* of all that follows */
    int n;
    watched list[MAX_LOGS];
    int64_t shape, data; /* count up when runs, tags or settings come; when anything does */
    int parts;           /* runs, series, settings together when `shape` was last counted up */
    double refreshed;    /* seconds of the clock */
    double came;         /* when anything last came */
};

cvs_status watching_open(const cvs_serve_options *options, watching **out, cvs_error *err);
void watching_close(watching *w); /* NULL allowed */
/* Locks; reads on when the last reading is some time ago. NULL and a 404 reply when nothing is watched. */
watching *watching_enter(app *a, reply *r);
void watching_leave(watching *w);
/* The log and number of a series (or run) by what the page calls it; NULL when there is none. */
watched *watching_series(watching *w, int64_t number, int *series);
watched *watching_run(watching *w, int64_t number, int *run);

/* Folders of Convscope's own runs among what is watched (what was named, and X where a log has X/train) that hold a file or folder `name`:
 * fills list, how many. */
enum { WATCH_PATH = 1200 };
typedef struct watch_folder {
    char path[WATCH_PATH];
} watch_folder;
int watching_folders(const watching *w, const char *name, watch_folder *list, int most);

#endif
