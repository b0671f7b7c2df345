/* SPDX-License-Identifier: MIT
 * api_visdom.c - Visdom's panes for the page: what changed since it last asked (of growing traces the new ends only), the texts as documents
 * of their own that can run nothing, and what people do with a pane, for the clients to hear.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

void api_visdom_client(app *a, const request *q, reply *r) {
    visdom_request(a->visdom, q->path, q->body, q->size, r);
}

static bool none(const app *a, reply *r) {
    if (!a->visdom) {
        reply_error(r, 404, "no port was opened for Visdom (--visdom-port)");
    }
    return !a->visdom;
}

static const char *type_of(const pane *p) {
    const char *type = json_string_value(json_object_get(p->all, "type"));
    return type ? type : "";
}

/* The traces' points behind those that the page has: [[x, y], ...] in the order of the traces. */
static json_t *ends(const pane *p, const json_t *have) {
    json_t *data = json_object_get(json_object_get(p->all, "content"), "data"), *all = json_array();
    static const char *const axes[] = {"x", "y", "z"};
    for (size_t i = 0; i < json_array_size(data); i++) {
        json_t *one = json_array();
        size_t from = (size_t)json_integer_value(json_array_get(have, i + 1));
        for (int k = 0; k < 3; k++) {
            const json_t *list = json_object_get(json_array_get(data, i), axes[k]);
            json_t *end = json_array();
            for (size_t n = from; n < json_array_size(list); n++) {
                json_array_append(end, json_array_get(list, n));
            }
            json_array_append_new(one, end);
        }
        json_array_append_new(all, one);
    }
    return all;
}

static json_t *pane_json(const pane *p, const json_t *have) {
    json_t *j = json_pack("{s:s,s:I,s:I,s:s}", "id", p->id, "number", (json_int_t)p->number, "base",
                          (json_int_t)p->base, "type", type_of(p));
    if (json_integer_value(json_array_get(have, 0)) == p->base && strcmp(type_of(p), "plot") == 0) {
        json_object_set_new(j, "ends", ends(p, have));
        return j;
    }
    static const char *const keys[] = {"title",    "width",    "height",         "content",
                                       "selected", "directed", "showEdgeLabels", "showVertexLabels"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *value = json_object_get(p->all, keys[i]);
        if (value && !(strcmp(keys[i], "content") == 0 && strcmp(type_of(p), "text") == 0)) {
            json_object_set(j, keys[i], value);
        }
    }
    return j;
}

void api_visdom(app *a, const request *q, reply *r) {
    json_t *ask = none(a, r) ? NULL : body_json(q, r);
    if (!ask) {
        return;
    }
    const char *name = json_string_value(json_object_get(ask, "env"));
    int64_t since = json_integer_value(json_object_get(ask, "since"));
    visdom *v = a->visdom;
    pthread_mutex_lock(&v->lock);
    json_t *names = json_array(), *order = json_array(), *panes = json_array();
    for (int i = 0; i < v->n; i++) {
        json_array_append_new(names, json_pack("[s,i]", v->envs[i]->name, v->envs[i]->n));
    }
    env *e = visdom_env(v, name && name[0] ? name : "main", false);
    for (int i = 0; e && i < e->n; i++) {
        json_array_append_new(order, json_string(e->panes[i].id));
        if (e->panes[i].number > since) {
            json_array_append_new(panes, pane_json(&e->panes[i], json_object_get(json_object_get(ask, "have"),
                                                                                 e->panes[i].id)));
        }
    }
    json_t *all =
        json_pack("{s:i,s:b,s:o,s:I,s:o,s:o}", "port", a->options->visdom_port, "saves", v->folder[0] != 0,
                  "envs", names, "number", (json_int_t)v->number, "order", order, "panes", panes);
    reply_json(r, all); /* with the lock: it holds parts of the panes */
    json_decref(ask);
    pthread_mutex_unlock(&v->lock);
}

/* Without scripts, forms, links that lead anywhere, or anything from elsewhere: the headers of `framed` see to it. */
void api_visdom_html(app *a, const request *q, reply *r) {
    if (none(a, r)) {
        return;
    }
    visdom *v = a->visdom;
    pthread_mutex_lock(&v->lock);
    env *e = visdom_env(v, arg_text(q, "env", "main"), false);
    const pane *p = visdom_pane(e, arg_text(q, "win", ""));
    const json_t *content = p ? json_object_get(p->all, "content") : NULL;
    if (p && strcmp(type_of(p), "embeddings") == 0) { /* what the program shows of the chosen point */
        content = json_object_get(json_object_get(content, "selected"), "html");
    }
    const char *text = json_string_value(
        p && (strcmp(type_of(p), "text") == 0 || strcmp(type_of(p), "embeddings") == 0) ? content : NULL);
    static const char head[] =
        "<!doctype html><meta charset=\"utf-8\"><title>Visdom</title><style>:root{color-scheme:%s}"
        "body{margin:8px;font:14px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}"
        "img,svg,video{max-width:100%%}</style>";
    size_t room = text ? strlen(text) + sizeof head + 32 : 0;
    char *out = text ? malloc(room) : NULL;
    if (out) {
        int n =
            snprintf(out, room, head, strcmp(arg_text(q, "theme", "light"), "dark") == 0 ? "dark" : "light");
        memcpy(out + n, text, strlen(text) + 1);
    }
    pthread_mutex_unlock(&v->lock);
    if (out) {
        reply_bytes(r, "text/html; charset=utf-8", out, strlen(out));
        r->framed = true;
    } else {
        reply_error(r, 404, "there is no such pane");
    }
}

/* The value of a row of a properties pane, and the message that tells of it. */
static json_t *set_property(pane *p, const json_t *ask) {
    json_int_t at = json_integer_value(json_object_get(ask, "property"));
    json_t *row = json_array_get(json_object_get(p->all, "content"), (size_t)at),
           *value = json_object_get(ask, "value");
    if (!json_is_object(row) || !value) {
        return NULL;
    }
    json_object_set(row, "value", value);
    return json_pack("{s:s,s:I,s:O}", "event_type", "PropertyUpdate", "propertyId", at, "value", value);
}

/* A point or a region of an embeddings pane was chosen: the client that drew it answers with an update. */
static json_t *choose_points(const pane *p, const char *what, const json_t *ask) {
    json_t *index = json_object_get(ask, "index"), *name = json_object_get(ask, "name");
    if (strcmp(type_of(p), "embeddings") != 0) {
        return NULL;
    }
    if (strcmp(what, "entity") == 0 && json_is_integer(index)) {
        return json_pack("{s:s,s:o,s:O,s:b}", "event_type", "EntitySelected", "entityId",
                         name ? json_incref(name) : json_null(), "idx", index, "pane_data", 0);
    }
    return strcmp(what, "region") == 0 && json_array_size(index) > 0
               ? json_pack("{s:s,s:O,s:b}", "event_type", "RegionSelected", "selectedIdxs", index,
                           "pane_data", 0)
               : NULL;
}

void api_visdom_event(app *a, const request *q, reply *r) {
    json_t *ask = none(a, r) ? NULL : body_json(q, r), *message = NULL;
    if (!ask) {
        return;
    }
    const char *what = json_string_value(json_object_get(ask, "what")),
               *name = json_string_value(json_object_get(ask, "env")),
               *win = json_string_value(json_object_get(ask, "win"));
    visdom *v = a->visdom;
    bool done = false;
    pthread_mutex_lock(&v->lock);
    env *e = name ? visdom_env(v, name, false) : NULL;
    pane *p = visdom_pane(e, win);
    if (what && e && strcmp(what, "save") == 0) {
        done = visdom_save(v, e);
    } else if (what && p && strcmp(what, "close") == 0) {
        message = json_pack("{s:s,s:O}", "event_type", "Close", "pane_data", p->all);
        visdom_close(v, e, win);
        done = true;
    } else if (what && p && strcmp(what, "property") == 0 && (message = set_property(p, ask)) != NULL) {
        p->number = p->base = ++v->number;
        json_object_set(message, "pane_data", p->all);
        done = true;
    } else if (what && p && strcmp(what, "back") == 0 && strcmp(type_of(p), "embeddings") == 0) {
        done = visdom_embeddings_back(p->all);
        p->number = p->base = ++v->number;
    } else if (what && p && (message = choose_points(p, what, ask)) != NULL) {
        done = true;
    }
    if (message) {
        json_object_set_new(message, "target", json_string(win));
        json_object_set_new(message, "eid", json_string(e->name));
        visdom_say(v, message);
    }
    json_decref(message);
    json_decref(ask);
    pthread_mutex_unlock(&v->lock);
    if (done) {
        reply_json(r, json_pack("{s:b}", "done", 1));
    } else {
        reply_error(r, 404, "that could not be done");
    }
}
