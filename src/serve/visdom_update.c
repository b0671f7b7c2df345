/* SPDX-License-Identifier: MIT
 * visdom_update.c - what /update does to a pane, by Visdom's rules: more text, another picture of a history, points appended to traces,
 * traces replaced, added or deleted, rows and columns of heat maps, layout and options.
 */
#include <string.h>

#include "visdom.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* to[key] = its items and then those of from[key]; or a copy of from[key]. */
static void join(json_t *to, const json_t *from, const char *key, bool append) {
    json_t *more = json_object_get(from, key), *old = json_object_get(to, key);
    if (!more) {
        return;
    }
    if (append && json_is_array(old) && json_is_array(more)) {
        json_array_extend(old, more);
    } else {
        json_object_set(to, key, more);
    }
}

static bool nothing(const json_t *list) {
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) {
        if (!json_is_null(v)) {
            return false;
        }
    }
    return json_is_array(list);
}

/* Copies items of an object over another's; null ones too. */
static void overlay(json_t *to, const json_t *from) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)from, key, value) {
        json_object_set(to, key, value);
    }
}

/* Rows at the end or the beginning of z, or a number more in every row; names go with them. */
static void grow_heatmap(json_t *trace, const json_t *more, const char *where) {
    json_t *z = json_object_get(trace, "z"), *other = json_object_get(more, "z"), *row;
    bool rows = strstr(where, "Row") != NULL, front = strncmp(where, "prepend", 7) == 0;
    const char *names = rows ? "y" : "x";
    json_t *old = json_object_get(trace, names), *extra = json_object_get(more, names);
    size_t i;
    if (rows) {
        json_array_foreach(other, i, row) {
            if (front) {
                json_array_insert(z, i, row);
            } else {
                json_array_append(z, row);
            }
        }
    } else {
        json_array_foreach(z, i, row) {
            json_t *end = json_array_get(other, i), *v;
            size_t k;
            json_array_foreach(end, k, v) {
                if (front) {
                    json_array_insert(row, k, v);
                } else {
                    json_array_append(row, v);
                }
            }
        }
    }
    json_array_foreach(extra, i, row) {
        if (front) {
            json_array_insert(old, i, row);
        } else {
            json_array_append(old, row);
        }
    }
}

static void change_trace(json_t *trace, const json_t *more, bool append) {
    if (nothing(json_object_get(more, "x"))) {
        return;
    }
    static const char *const axes[] = {"x", "y", "z"};
    for (int i = 0; i < 3; i++) {
        join(trace, more, axes[i], append);
    }
    json_t *marker = json_object_get(more, "marker"), *own = json_object_get(trace, "marker");
    if (json_object_get(marker, "color")) {
        if (!own) {
            own = json_object();
            json_object_set_new(trace, "marker", own);
        }
        join(own, marker, "color", append);
    }
}

static void change_traces(json_t *list, const json_t *ask, bool *grown) {
    const json_t *data = json_object_get(ask, "data"), *name = json_object_get(ask, "name");
    bool append = json_is_true(json_object_get(ask, "append")),
         erase = json_is_true(json_object_get(ask, "delete"));
    size_t used = 0, found = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *trace = json_array_get(list, i);
        if (json_is_string(name) && strcmp(text_of(trace, "name"), json_string_value(name)) != 0) {
            continue;
        }
        found++;
        if (erase) {
            json_array_remove(list, i--);
        } else if (used < json_array_size(data)) {
            const json_t *more = json_array_get(data, used++);
            const char *where = text_of(ask, "updateDir");
            if (strcmp(text_of(trace, "type"), "heatmap") == 0 &&
                strstr("appendRow appendColumn prependRow prependColumn", where) && where[0]) {
                grow_heatmap(trace, more, where);
            } else if (strcmp(text_of(trace, "type"), "heatmap") == 0) {
                overlay(trace, more);
            } else {
                change_trace(trace, more, append);
            }
        }
    }
    *grown = append && !erase && found > 0 && !json_object_get(ask, "updateDir");
    if (found == 0 && !erase && json_is_object(json_array_get(data, 0))) { /* a new one of that name */
        json_t *fresh = json_copy(json_array_get(data, 0));
        if (name) {
            json_object_set(fresh, "name", (json_t *)(uintptr_t)name);
        }
        json_array_append_new(list, fresh);
    }
}

/* The client always sends layout and options with an append; those that change nothing make no new picture. */
static bool change_looks(json_t *win, const json_t *ask) {
    const json_t *layout = json_object_get(ask, "layout"), *opts = json_object_get(ask, "opts");
    json_t *own = json_object_get(json_object_get(win, "content"), "layout"), *value;
    bool changed = false;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)layout, key, value) {
        changed = changed || !json_equal(json_object_get(own, key), value);
        json_object_set(own, key, value);
    }
    static const char *const kept[] = {"id", "type", "content", "command", "contentID", "version", "i"};
    json_object_foreach((json_t *)(uintptr_t)opts, key, value) {
        bool ours = false;
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
            ours = ours || strcmp(key, kept[i]) == 0;
        }
        if (!ours && !json_is_null(value)) {
            changed =
                changed ||
                (!json_equal(json_object_get(win, key), value) &&
                 (strcmp(key, "title") == 0 || strcmp(key, "width") == 0 || strcmp(key, "height") == 0));
            json_object_set(win, key, value);
        }
    }
    const json_t *legend = json_object_get(opts, "legend");
    json_t *data = json_object_get(json_object_get(win, "content"), "data");
    for (size_t i = 0;
         !json_object_get(ask, "data") && i < json_array_size(legend) && i < json_array_size(data); i++) {
        json_object_set(json_array_get(data, i), "name", json_array_get(legend, i));
        changed = true;
    }
    return changed;
}

/* The client's answers to what people do in an embeddings pane: what it shows of a point, or the points of a region laid out anew. */
static const char *change_embeddings(json_t *win, const json_t *ask) {
    const json_t *data = json_object_get(ask, "data");
    const char *kind = text_of(data, "update_type");
    json_t *content = json_object_get(win, "content"), *points = json_object_get(data, "points"),
           *older = json_object_get(win, "old_content");
    if (!json_is_object(content)) {
        return "this window has no points";
    }
    if (strcmp(kind, "EntitySelected") == 0 && json_is_object(json_object_get(data, "selected"))) {
        json_object_set(content, "selected", json_object_get(data, "selected"));
        return NULL;
    }
    if (strcmp(kind, "RegionSelected") == 0 && json_is_array(points)) {
        if (!json_is_array(older)) {
            older = json_array();
            json_object_set_new(win, "old_content", older);
        }
        json_array_append(older, json_object_get(content, "data"));
        json_object_set(content, "data", points);
        json_object_set_new(content, "has_previous", json_true());
        json_object_set_new(content, "selected", json_null());
        return NULL;
    }
    return "an embeddings window takes EntitySelected and RegionSelected";
}

bool visdom_embeddings_back(json_t *win) {
    json_t *content = json_object_get(win, "content"), *older = json_object_get(win, "old_content");
    size_t n = json_array_size(older);
    if (n == 0 || !json_is_object(content)) {
        return false;
    }
    json_object_set(content, "data", json_array_get(older, n - 1));
    json_array_remove(older, n - 1);
    json_object_set_new(content, "has_previous", json_boolean(n > 1));
    json_object_set_new(content, "selected", json_null());
    return true;
}

const char *visdom_update(json_t *win, const json_t *ask, bool *grown) {
    const char *type = text_of(win, "type");
    json_t *content = json_object_get(win, "content"),
           *first = json_array_get(json_object_get(ask, "data"), 0);
    *grown = false;
    if (strcmp(type, "text") == 0) {
        const char *more = text_of(first, "content");
        json_t *joined = json_sprintf("%s<br>%s", text_of(win, "content"), more);
        return joined && json_object_set_new(win, "content", joined) == 0 ? NULL : "out of memory";
    }
    if (strcmp(type, "embeddings") == 0) {
        return change_embeddings(win, ask);
    }
    if (strcmp(type, "image_history") == 0) {
        json_array_append(content, json_object_get(first, "content"));
        json_object_set_new(win, "selected", json_integer((json_int_t)json_array_size(content) - 1));
        return NULL;
    }
    json_t *traces = json_object_get(content, "data");
    const char *kind = text_of(json_array_get(traces, 0), "type");
    if (strcmp(type, "plot") != 0 ||
        (json_array_size(traces) > 0 && strcmp(kind, "scatter") != 0 && strcmp(kind, "scattergl") != 0 &&
         strcmp(kind, "scatter3d") != 0 && strcmp(kind, "heatmap") != 0 && strcmp(kind, "custom") != 0)) {
        return "win is not scatter, custom, image_history, embeddings, or text";
    }
    bool looks = change_looks(win, ask);
    if (json_object_get(ask, "data") || json_object_get(ask, "delete")) {
        change_traces(traces, ask, grown);
    }
    *grown = *grown && !looks;
    json_object_set_new(win, "version",
                        json_integer(json_integer_value(json_object_get(win, "version")) + 1));
    return NULL;
}
