/* SPDX-License-Identifier: MIT
 * visdom.h (internal to serve) - what the Visdom client for Python draws: environments of panes. visdom.c keeps them and answers the
 * client's requests, visdom_update.c changes panes, visdom_socket.c is the back channel that the client opens, api_visdom.c shows
 * them to the page.
 */
#ifndef SERVE_VISDOM_H
#define SERVE_VISDOM_H

#include <pthread.h>

#include "http.h"

enum { VISDOM_ENVS = 200, VISDOM_PANES = 2000, VISDOM_NAME = 200, VISDOM_WAITING = 256 };
#define VISDOM_BODY  ((size_t)256 << 20) /* bytes of one request */
#define VISDOM_TOTAL ((size_t)1 << 30)   /* bytes of all requests that panes are kept of */

/* `number` grows with everything that happens; `base` is when more than the ends of its traces changed. */
typedef struct pane {
    char id[VISDOM_NAME];
    json_t *all; /* as Visdom keeps it: id, title, type, content, width, height, version, ... */
    int64_t number, base;
    size_t bytes; /* of the requests that made it, about */
} pane;

typedef struct env {
    char name[VISDOM_NAME];
    int n, room;
    pane *panes;
    int64_t number; /* when a pane last came or went */
} env;

typedef struct visdom {
    pthread_mutex_t lock; /* of all that follows */
    char folder[1024];    /* for saved environments; "" = nothing is saved */
    int n;
    env *envs[VISDOM_ENVS];
    int64_t number;
    size_t bytes;
    int64_t next_id;
    /* to the clients: the last VISDOM_WAITING messages, by number */
    int64_t said;
    char *messages[VISDOM_WAITING];
} visdom;

/* Takes what was saved in `folder` (NULL: nothing is saved). NULL: no memory. */
visdom *visdom_new(const char *folder);
void visdom_free(visdom *v);
/* A request of the client: the path behind the address and its body, into a reply of plain text. Any thread. */
void visdom_request(visdom *v, const char *path, const uint8_t *body, size_t size, reply *r);
/* JSON in which NaN, Infinity and -Infinity may stand for numbers: they become null. NULL: none. */
json_t *visdom_parse(const uint8_t *text, size_t size);

/* ---- with the lock held ---- */
env *visdom_env(visdom *v, const char *name, bool make);
pane *visdom_pane(env *e, const char *id);
void visdom_close(visdom *v, env *e, const char *id); /* NULL: all */
/* Writes an environment; false: it could not be. */
bool visdom_save(visdom *v, const env *e);
/* A message for all clients (copied). */
void visdom_say(visdom *v, json_t *message);
/* Changes a pane as an /update asks (visdom_update.c). NULL: done; else why not. *grown: only ends of traces were appended to. */
const char *visdom_update(json_t *win, const json_t *ask, bool *grown);
/* Back from a region of an embeddings pane to the points before; false: there are none. */
bool visdom_embeddings_back(json_t *win);

#endif
