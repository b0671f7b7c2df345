/* SPDX-License-Identifier: MIT
 * http.h (internal to serve) - requests and replies, apart from how they travel (http.c) and what they mean (api_*.c).
 */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convscope/convscope.h"
#include "convscope/serve.h"

enum { MAX_ARGS = 24, MAX_ARG = 512, MAX_VIEW = 33 };

/* One request, read whole. Everything belongs to it. */
typedef struct request {
    bool post;
    char path[96];
    int n_args;
    char args[MAX_ARGS][MAX_ARG]; /* "name=value", decoded */
    char content[64];             /* type of the body */
    uint8_t *body;
    size_t size;
    atomic_bool gone; /* nobody waits for the reply any more */
} request;

/* What goes back; data is owned (free) unless `borrowed`. */
typedef struct reply {
    int status; /* 0 = 200 */
    const char *type;
    uint8_t *data;
    size_t size;
    bool borrowed, packed; /* packed: with gzip */
    bool framed;           /* somebody's HTML, for a frame of the page: nothing in it may run */
    char file[160];        /* a name to save it under; "" = shown */
} reply;

/* The value of an argument (borrowed), or otherwise; a whole number, or otherwise where it is none. */
const char *arg_text(const request *q, const char *name, const char *otherwise);
int64_t arg_int(const request *q, const char *name, int64_t otherwise);
cvs_lang arg_lang(const request *q);
/* Which view of the page asks, "v": edits are its own. */
const char *arg_view(const request *q);
/* The body as a JSON object, owned (json_decref); NULL and a 400 reply where it is none. */
json_t *body_json(const request *q, reply *r);

void reply_bytes(reply *r, const char *type, void *owned, size_t size);
void reply_json(reply *r, json_t *owned); /* NULL: out of memory */
/* {"error": text} with a status. */
void reply_error(reply *r, int status, const char *text);
void reply_failed(reply *r, const cvs_error *err);
/* A packet: u32 length of the header, little-endian; the header as JSON, padded with spaces so that the numbers begin at a multiple
 * of 8; then the parts one after the other. Takes the header. */
typedef struct part {
    const void *data;
    size_t size;
} part;
void reply_packet(reply *r, json_t *header, const part *parts, int n);
/* Text of a file as JSON: what is no UTF-8 or a control character becomes U+FFFD. Never NULL unless out of memory. */
json_t *json_clean(const char *text);
/* A finite number, else a string ("NaN", "Infinity", "-Infinity"): JSON has none of them. */
json_t *json_number_any(double v);

#endif
