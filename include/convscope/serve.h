/* SPDX-License-Identifier: MIT
 * serve.h - show a page on this machine only: HTTP on a loopback address, behind a random token.
 */
#ifndef CONVSCOPE_SERVE_H
#define CONVSCOPE_SERVE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_serve_options {
    int port;          /* 0 = any free one */
    const char *title; /* for messages; may be NULL */
    /* Told the address once, when it answers; borrowed. Return false to stop at once. */
    bool (*ready)(void *context, const char *url);
    void *context;
} cvs_serve_options;

/* Serves one HTML page (borrowed while serving) at http://127.0.0.1:PORT/ until SIGINT or SIGTERM, which end it with
 * CVS_OK. The address that `ready` gets carries a token; it is exchanged for a cookie, without which every request is
 * answered 403. Requests with a foreign Host are answered 403 too (DNS rebinding). Uses the process's handlers of SIGINT and
 * SIGTERM while it runs: one server a process. */
cvs_status cvs_serve_page(const char *html, size_t size, const cvs_serve_options *options, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif
