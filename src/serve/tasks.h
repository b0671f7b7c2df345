/* SPDX-License-Identifier: MIT
 * tasks.h (internal to serve) - what a job can do: explain the answer, make a picture that a channel likes, find the patches that excite it,
 * project it to the pixels. Each is a descriptor; jobs.c runs them one at a time, in the heavy lane.
 */
#ifndef SERVE_TASKS_H
#define SERVE_TASKS_H

#include "app.h"

typedef struct task {
    const char *name;
    bool pictured; /* needs a run of the job's picture (app.why.run) */
    /* Whether the request makes sense, before it is queued. */
    cvs_status (*check)(const json_t *ask, const cvs_model *model, cvs_error *err);
    cvs_status (*work)(app *a, job *j, cvs_error *err);
    void (*drop)(job *j);
    /* As a packet, as .npy (NULL: has none) and as a figure; the job is done, well and locked. */
    void (*tell)(const job *j, reply *r);
    cvs_status (*numbers)(const job *j, cvs_tensor *out, cvs_error *err);
    cvs_status (*draw)(app *a, const job *j, const cvs_figure_options *options, cvs_figure **out,
                       cvs_error *err);
} task;

/* By name; NULL or "": explain. NULL: there is none of that name. */
const task *task_find(const char *name);

/* Arguments of a request: a text (NULL where it is missing or empty), a number (0), a whole number, or otherwise. */
const char *ask_text(const json_t *ask, const char *key);
double ask_number(const json_t *ask, const char *key);
int64_t ask_int(const json_t *ask, const char *key, int64_t otherwise);

/* What a job tells while it works; false: it shall stop. context is the job. */
bool job_progress(void *context, const char *what, double fraction);

#endif
