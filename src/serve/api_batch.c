/* SPDX-License-Identifier: MIT
 * api_batch.c - several short questions in one request: a browser opens six connections at most, and a picture switch asks for the
 * numbers of twenty layers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum { MOST_ASKED = 64 };

/* "path" and "args" of one question as a request; false where it is none that a batch may hold. */
static bool read_one(const json_t *j, const char *lang, request *q, const route **to) {
    const char *path = json_string_value(json_object_get(j, "path")), *key;
    json_t *args = json_object_get(j, "args"), *value;
    if (!path || snprintf(q->path, sizeof q->path, "/api/%s", path) >= (int)sizeof q->path) {
        return false;
    }
    snprintf(q->args[q->n_args++], MAX_ARG, "lang=%s", lang);
    json_object_foreach(args, key, value) {
        int n = json_is_integer(value)
                    ? (q->n_args < MAX_ARGS ? snprintf(q->args[q->n_args], MAX_ARG, "%s=%lld", key,
                                                       (long long)json_integer_value(value))
                                            : MAX_ARG)
                : json_is_string(value) && q->n_args < MAX_ARGS
                    ? snprintf(q->args[q->n_args], MAX_ARG, "%s=%s", key, json_string_value(value))
                    : MAX_ARG;
        if (n >= MAX_ARG) {
            return false;
        }
        q->n_args++;
    }
    *to = route_find(q->path, false);
    return *to && (*to)->lane == LANE_LIGHT;
}

static void free_replies(reply *all, size_t n) {
    for (size_t i = 0; all && i < n; i++) {
        if (!all[i].borrowed) {
            free(all[i].data);
        }
    }
    free(all);
}

/* Sizes and statuses in the header, then the replies one after the other, each padded to a multiple of 8. */
static void reply_all(reply *r, const reply *all, size_t n) {
    static const uint8_t zeros[8];
    json_t *list = json_array();
    part parts[2 * MOST_ASKED];
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("{sI si}", "size", (json_int_t)all[i].size, "status",
                                              all[i].status ? all[i].status : 200));
        parts[2 * i] = (part){all[i].data, all[i].size};
        parts[2 * i + 1] = (part){zeros, (8 - all[i].size % 8) % 8};
    }
    reply_packet(r, json_pack("{so}", "parts", list), parts, (int)(2 * n));
}

void api_batch(app *a, const request *q, reply *r) {
    json_t *ask = body_json(q, r);
    const json_t *gets = ask ? json_object_get(ask, "gets") : NULL;
    size_t n = json_array_size(gets);
    if (!ask) {
        return;
    }
    reply *all = n > 0 && n <= MOST_ASKED ? calloc(n, sizeof *all) : NULL;
    request *one = all ? malloc(sizeof *one) : NULL;
    bool good = one != NULL;
    for (size_t i = 0; good && i < n && !atomic_load(&q->gone); i++) {
        const route *to = NULL;
        memset(one, 0, sizeof *one);
        good = read_one(json_array_get(gets, i), arg_text(q, "lang", "en"), one, &to);
        if (good) {
            to->handle(a, one, &all[i]);
        }
    }
    if (good) {
        reply_all(r, all, n);
    } else {
        reply_error(r, 400, "gets: 1 to 64 of {path, args}, of what is answered at once");
    }
    free_replies(all, n);
    free(one);
    json_decref(ask);
}
