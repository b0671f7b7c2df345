/* SPDX-License-Identifier: MIT
 * visdom_socket.c - the back channel of the Visdom client, a WebSocket: a greeting at once (its constructor waits for it), then what people do
 * on the page, to every client. What a client says there is not needed and not kept.
 */
#include "visdom_socket.h"

#include <stdlib.h>
#include <string.h>

static int send_text(struct lws *wsi, const char *text) {
    size_t n = strlen(text);
    unsigned char *buffer = malloc(LWS_PRE + n + 1);
    if (!buffer) {
        return -1;
    }
    memcpy(buffer + LWS_PRE, text, n);
    int sent = lws_write(wsi, buffer + LWS_PRE, n, LWS_WRITE_TEXT);
    free(buffer);
    return sent < (int)n ? -1 : 0;
}

static int send_next(struct lws *wsi, visdom_session *at, visdom *v) {
    char *text = NULL;
    bool more;
    pthread_mutex_lock(&v->lock);
    if (at->next < 0) {
        at->next = v->said; /* what was before it came is not for it */
        text = strdup("{\"command\":\"alive\",\"data\":\"vis_alive\"}");
    } else {
        int64_t oldest = v->said > VISDOM_WAITING ? v->said - VISDOM_WAITING : 0;
        at->next = at->next < oldest ? oldest : at->next;
        text = at->next < v->said ? strdup(v->messages[at->next++ % VISDOM_WAITING]) : NULL;
    }
    more = at->next < v->said;
    pthread_mutex_unlock(&v->lock);
    int bad = text ? send_text(wsi, text) : 0;
    free(text);
    if (!bad && more) {
        lws_callback_on_writable(wsi);
    }
    return bad;
}

int visdom_socket_event(struct lws *wsi, enum lws_callback_reasons reason, visdom_session *at, visdom *v,
                        bool ours, bool *handled) {
    *handled = true;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return ours ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED:
        at->exchange = NULL;
        at->next = -1;
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return send_next(wsi, at, v);
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLOSED:
        return 0;
    default:
        *handled = false;
        return 0;
    }
}
