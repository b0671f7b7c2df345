/* SPDX-License-Identifier: MIT
 * visdom_socket.h (internal to serve) - the connection that a Visdom client keeps open to hear what happens on the page.
 */
#ifndef SERVE_VISDOM_SOCKET_H
#define SERVE_VISDOM_SOCKET_H

#include "app.h"
#include "lws_calls.h"

/* Per connection to the port of the clients: of its requests (http.c), then of the socket. */
typedef struct visdom_session {
    void *exchange;
    int64_t next; /* message that it gets next; -1: the greeting */
} visdom_session;

/* Handles what is about a socket; *handled = false: it is not. ours: whether Host and Origin are those of this port. */
int visdom_socket_event(struct lws *wsi, enum lws_callback_reasons reason, visdom_session *at, visdom *v,
                        bool ours, bool *handled);

#endif
