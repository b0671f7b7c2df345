/* SPDX-License-Identifier: MIT
 * serve.h - the web app: HTTP on a loopback address, behind a random token. docs/http.md has what it answers.
 */
#ifndef CONVSCOPE_SERVE_H
#define CONVSCOPE_SERVE_H

#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_serve_options {
    int port;      /* 0 = any free one */
    cvs_lang lang; /* of messages before a page says its own */
    /* Opened already; borrowed while serving. commands[i] is how the model is named on a command line, or NULL. */
    const cvs_model *const *models;
    const char *const *commands;
    int n_models;
    /* Pictures or .npy files, by path; read before the address is told. */
    const char *const *pictures;
    int n_pictures;
    /* Training runs and log directories to watch: RUN folders, anybody's TensorBoard logs. Opened while serving begins. */
    const char *const *logs;
    int n_logs;
    /* A second port, for the Visdom client for Python, whose panes become a page of the app; 0 = none. Any program of this machine may
     * draw into it; nothing that it sends is run. Environments are saved into visdom_folder as Visdom does, NULL = they are not. */
    int visdom_port;
    const char *visdom_folder;
    const char *builtin; /* folder with the built-in models and pictures, or NULL */
    bool arrive;         /* nothing was named: open the built-in ones */
    cvs_open_options open;
    cvs_run_options run; /* its progress is not used */
    /* Told the address once, when it answers; borrowed. Return false to stop at once. */
    bool (*ready)(void *context, const char *url);
    void *context;
} cvs_serve_options;

/* Serves the app at http://127.0.0.1:PORT/ until SIGINT or SIGTERM, which end it with CVS_OK. The address that `ready` gets carries a
 * token; it is exchanged for a cookie, without which every request is answered 403, as are those with a foreign Host or Origin.
 * Uses the process's handlers of SIGINT and SIGTERM while it runs: one server a process. Threads of its own; the models may be
 * read by others meanwhile. */
cvs_status cvs_serve(const cvs_serve_options *options, cvs_error *err);

/* Whether the web app was built into the program (it needs Node when building; without it the page says so). */
bool cvs_serve_has_app(void);

#ifdef __cplusplus
}
#endif
#endif
