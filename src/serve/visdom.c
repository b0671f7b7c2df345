/* SPDX-License-Identifier: MIT
 * visdom.c - environments of panes as the Visdom client makes them, in memory and, when it asks, in JSON files of Visdom's own form. What an
 * append costs does not depend on how much is there already. A client is a program of somebody on this machine: everything is
 * bounded, and nothing that it sends is run.
 */
#include "visdom.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- JSON with NaN --------------------------------------------------------------------------------------------- */

json_t *visdom_parse(const uint8_t *text, size_t size) {
    static const char *const names[] = {"NaN", "-Infinity", "Infinity"};
    size_t more = 0;
    for (size_t i = 0; i + 2 < size; i++) {
        more += text[i] == 'N' && text[i + 1] == 'a';
    }
    char *clean = malloc(size + more + 1);
    size_t to = 0;
    bool quoted = false;
    for (size_t i = 0; clean && i < size; i++) {
        if (quoted || text[i] == '"') {
            quoted = text[i] == '"' ? !quoted : quoted;
            clean[to++] = (char)text[i];
            if (text[i] == '\\' && i + 1 < size) {
                clean[to++] = (char)text[++i];
            }
            continue;
        }
        size_t n = 0;
        for (int k = 0; k < 3 && n == 0; k++) {
            size_t length = strlen(names[k]);
            n = size - i >= length && memcmp(text + i, names[k], length) == 0 ? length : 0;
        }
        if (n > 0) {
            memcpy(clean + to, "null", 4);
            to += 4;
            i += n - 1;
        } else {
            clean[to++] = (char)text[i];
        }
    }
    json_t *j = clean ? json_loadb(clean, to, 0, NULL) : NULL;
    free(clean);
    return j;
}

/* ---- environments ----------------------------------------------------------------------------------------------- */

static void copy_name(char out[VISDOM_NAME], const char *name) {
    snprintf(out, VISDOM_NAME, "%s", name);
    for (char *c = out; *c; c++) {
        *c = *c == '/' ? '_' : *c;
    }
    for (size_t n = strlen(out);
         n > 0 && ((unsigned char)out[n - 1] & 0xC0) == 0x80 && strlen(name) >= VISDOM_NAME; n--) {
        out[n - 1] = 0; /* not half a character at the end */
    }
}

env *visdom_env(visdom *v, const char *name, bool make) {
    char clean[VISDOM_NAME];
    copy_name(clean, name);
    for (int i = 0; i < v->n; i++) {
        if (strcmp(v->envs[i]->name, clean) == 0) {
            return v->envs[i];
        }
    }
    env *e = make && v->n < VISDOM_ENVS ? calloc(1, sizeof *e) : NULL;
    if (e) {
        snprintf(e->name, sizeof e->name, "%s", clean);
        e->number = ++v->number;
        v->envs[v->n++] = e;
    }
    return e;
}

pane *visdom_pane(env *e, const char *id) {
    for (int i = 0; e && id && i < e->n; i++) {
        if (strcmp(e->panes[i].id, id) == 0) {
            return &e->panes[i];
        }
    }
    return NULL;
}

void visdom_close(visdom *v, env *e, const char *id) {
    int kept = 0;
    for (int i = 0; i < e->n; i++) {
        if (id && strcmp(e->panes[i].id, id) != 0) {
            e->panes[kept++] = e->panes[i];
        } else {
            v->bytes -= e->panes[i].bytes;
            json_decref(e->panes[i].all);
        }
    }
    e->n = kept;
    e->number = ++v->number;
}

static void free_env(visdom *v, int i) {
    visdom_close(v, v->envs[i], NULL);
    free(v->envs[i]->panes);
    free(v->envs[i]);
    v->envs[i] = v->envs[--v->n];
    v->number++;
}

/* Takes the pane; false: there is no room. */
static bool put_pane(visdom *v, env *e, const char *id, json_t *all, size_t bytes) {
    pane *p = visdom_pane(e, id);
    if (!p && e->n == e->room) {
        int room = e->room ? 2 * e->room : 16;
        pane *grown = e->n < VISDOM_PANES ? realloc(e->panes, (size_t)room * sizeof *grown) : NULL;
        if (!grown) {
            json_decref(all);
            return false;
        }
        e->panes = grown;
        e->room = room;
    }
    if (!p) {
        p = &e->panes[e->n++];
        *p = (pane){.all = NULL};
        snprintf(p->id, sizeof p->id, "%s", id);
        e->number = ++v->number;
    }
    json_decref(p->all);
    v->bytes += bytes - p->bytes;
    p->bytes = bytes;
    p->all = all;
    p->number = p->base = ++v->number;
    return true;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static bool file_of(const visdom *v, const char *name, char *out, size_t size) {
    char safe[VISDOM_NAME];
    size_t n = 0;
    for (; name[n] && n < sizeof safe - 1; n++) {
        char c = name[n];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '_' || (c == '.' && n > 0) || (unsigned char)c >= 0x80;
        safe[n] = plain ? c : '_';
    }
    safe[n] = 0;
    return v->folder[0] && n > 0 && snprintf(out, size, "%s/%s.json", v->folder, safe) < (int)size;
}

bool visdom_save(visdom *v, const env *e) {
    char path[1400];
    json_t *panes = json_object(), *all = json_pack("{s:o,s:{}}", "jsons", panes, "reload");
    for (int i = 0; all && i < e->n; i++) {
        json_object_set(panes, e->panes[i].id, e->panes[i].all);
    }
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    bool good = text && file_of(v, e->name, path, sizeof path) &&
                cvs_folder_make(v->folder, NULL, NULL) == CVS_OK &&
                cvs_file_write(path, text, strlen(text), NULL) == CVS_OK;
    free(text);
    json_decref(all);
    return good;
}

static void take_panes(visdom *v, env *e, json_t *panes, size_t bytes) {
    const char *id;
    json_t *one;
    json_object_foreach(panes, id, one) {
        if (json_is_object(one) && json_is_string(json_object_get(one, "type")) && id[0] &&
            strlen(id) < VISDOM_NAME) {
            (void)put_pane(v, e, id, json_deep_copy(one), bytes / json_object_size(panes));
        }
    }
}

static void load_file(visdom *v, const char *name) {
    char path[1400];
    struct stat st;
    size_t n = strlen(name);
    if (n < 6 || n >= VISDOM_NAME || name[0] == '.' || strcmp(name + n - 5, ".json") != 0 ||
        snprintf(path, sizeof path, "%s/%s", v->folder, name) >= (int)sizeof path || stat(path, &st) != 0 ||
        !S_ISREG(st.st_mode) || (size_t)st.st_size > VISDOM_BODY) {
        return;
    }
    FILE *f = fopen(path, "rb");
    uint8_t *text = f ? malloc((size_t)st.st_size + 1) : NULL;
    size_t got = text ? fread(text, 1, (size_t)st.st_size, f) : 0;
    json_t *all = text ? visdom_parse(text, got) : NULL;
    char own[VISDOM_NAME];
    snprintf(own, sizeof own, "%.*s", (int)(n - 5), name);
    env *e = json_is_object(json_object_get(all, "jsons")) ? visdom_env(v, own, true) : NULL;
    if (e) {
        take_panes(v, e, json_object_get(all, "jsons"), got);
    }
    json_decref(all);
    free(text);
    if (f) {
        fclose(f);
    }
}

visdom *visdom_new(const char *folder) {
    visdom *v = calloc(1, sizeof *v);
    if (!v) {
        return NULL;
    }
    pthread_mutex_init(&v->lock, NULL);
    snprintf(v->folder, sizeof v->folder, "%s", folder ? folder : "");
    DIR *dir = v->folder[0] ? opendir(v->folder) : NULL;
    for (const struct dirent *d; dir && (d = readdir(dir)) != NULL;) {
        load_file(v, d->d_name);
    }
    if (dir) {
        closedir(dir);
    }
    (void)visdom_env(v, "main", true);
    return v;
}

void visdom_free(visdom *v) {
    if (v) {
        while (v->n > 0) {
            free_env(v, v->n - 1);
        }
        for (int i = 0; i < VISDOM_WAITING; i++) {
            free(v->messages[i]);
        }
        pthread_mutex_destroy(&v->lock);
        free(v);
    }
}

void visdom_say(visdom *v, json_t *message) {
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    if (text) {
        free(v->messages[v->said % VISDOM_WAITING]);
        v->messages[v->said++ % VISDOM_WAITING] = text;
    }
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

static void say_text(reply *r, const char *text) {
    char *copy = strdup(text);
    reply_bytes(r, "text/plain; charset=utf-8", copy, copy ? strlen(copy) : 0);
}

static void say_json(reply *r, json_t *owned) {
    char *text = owned ? json_dumps(owned, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(owned);
    if (text) {
        reply_bytes(r, "text/plain; charset=utf-8", text, strlen(text));
    } else {
        reply_error(r, 503, "out of memory");
    }
}

static void say_no(reply *r, int status, const char *text) {
    say_text(r, text);
    r->status = status;
}

typedef struct asked {
    visdom *v;
    json_t *ask;
    size_t size;
    env *e;          /* made where a request makes one; else NULL where there is none */
    const char *win; /* or NULL */
    reply *r;
} asked;

static bool is_plain_content(const char *type) {
    static const char *const types[] = {"image", "text", "properties", "network", "embeddings"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(type, types[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* How a network is to be drawn, as Visdom keeps it beside the content. */
static void keep_options(json_t *all, const json_t *opts) {
    static const char *const keys[] = {"directed", "showEdgeLabels", "showVertexLabels"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *v = json_object_get(opts, keys[i]);
        json_object_set_new(all, keys[i], v ? json_incref(v) : i == 0 ? json_false() : json_string("hover"));
    }
}

/* The pane that an /events (or an append to nothing) makes; NULL: it is none. */
static json_t *make_pane(const asked *a, const char *id) {
    json_t *data = json_object_get(a->ask, "data"), *first = json_array_get(data, 0),
           *opts = json_object_get(a->ask, "opts"), *layout = json_object_get(a->ask, "layout"),
           *content = json_object_get(first, "content");
    const char *type = json_string_value(json_object_get(first, "type"));
    const json_t *title = json_object_get(opts, "title");
    if (!type && json_array_size(data) > 0) {
        return NULL;
    }
    json_t *all = json_pack("{s:s,s:i,s:s,s:s,s:O?,s:O?}", "command", "window", "version", 1, "id", id,
                            "title", json_is_string(title) ? json_string_value(title) : "", "width",
                            json_object_get(opts, "width"), "height", json_object_get(opts, "height"));
    if (!all) {
        return NULL;
    }
    if (type && strcmp(type, "image_history") == 0) {
        json_object_set_new(all, "content", json_pack("[O]", content));
        json_object_set_new(all, "selected", json_integer(0));
        json_object_set_new(all, "show_slider", json_true());
        json_object_set_new(all, "type", json_string(type));
    } else if (type && is_plain_content(type)) {
        json_object_set(all, "content", content);
        json_object_set_new(all, "type", json_string(type));
        if (strcmp(type, "network") == 0) {
            keep_options(all, opts);
        }
    } else {
        json_object_set_new(all, "content",
                            json_pack("{s:O,s:o}", "data", data, "layout",
                                      json_is_object(layout) ? json_incref(layout) : json_object()));
        json_object_set_new(all, "type", json_string("plot"));
    }
    if (!json_object_get(all, "content")) {
        json_decref(all);
        return NULL;
    }
    return all;
}

static void do_events(asked *a) {
    char made[VISDOM_NAME];
    const char *id = a->win;
    if (!id || !id[0]) {
        snprintf(made, sizeof made, "window_%llx%06llx", (unsigned long long)a->v->number,
                 (unsigned long long)++a->v->next_id);
        id = made;
    }
    json_t *all = strlen(id) < VISDOM_NAME ? make_pane(a, id) : NULL;
    if (!all) {
        say_no(a->r, 400, "convscope: this is no window of Visdom's");
    } else if (!put_pane(a->v, a->e, id, all, a->size)) {
        say_no(a->r, 507, "convscope: too many windows are open; close some");
    } else {
        say_text(a->r, id);
    }
}

static void do_update(asked *a) {
    pane *p = visdom_pane(a->e, a->win);
    bool grown = false;
    if (!p) {
        if (json_is_true(json_object_get(a->ask, "append"))) {
            do_events(a);
        } else {
            say_text(a->r, "win does not exist");
        }
        return;
    }
    const char *why = visdom_update(p->all, a->ask, &grown);
    if (why) {
        say_text(a->r, why);
        return;
    }
    a->v->bytes += a->size;
    p->bytes += a->size;
    p->number = ++a->v->number;
    p->base = grown ? p->base : p->number;
    say_text(a->r, p->id);
}

static void do_exists(asked *a) {
    say_text(a->r, visdom_pane(a->e, a->win) ? "true" : "false");
}

static void do_data(asked *a) {
    const char *data = json_string_value(json_object_get(a->ask, "data"));
    if (data) { /* given back */
        json_t *all = visdom_parse((const uint8_t *)data, strlen(data));
        if (a->win && json_is_object(all)) {
            (void)put_pane(a->v, a->e, a->win, json_incref(all), a->size);
        } else {
            take_panes(a->v, a->e, all, a->size);
        }
        json_decref(all);
        say_text(a->r, "");
    } else if (a->win) {
        const pane *p = visdom_pane(a->e, a->win);
        say_json(a->r, p ? json_incref(p->all) : json_null());
    } else {
        json_t *all = json_object();
        for (int i = 0; i < a->e->n; i++) {
            json_object_set(all, a->e->panes[i].id, a->e->panes[i].all);
        }
        say_json(a->r, all);
    }
}

static void do_close(asked *a) {
    if (a->e && (!a->win || visdom_pane(a->e, a->win))) {
        visdom_close(a->v, a->e, a->win);
    }
    say_text(a->r, "");
}

static void do_save(asked *a) {
    json_t *names = json_object_get(a->ask, "data"), *one, *saved = json_array();
    size_t i;
    json_array_foreach(names, i, one) {
        env *e = json_is_string(one) ? visdom_env(a->v, json_string_value(one), false) : NULL;
        if (e && visdom_save(a->v, e)) {
            json_array_append_new(saved, json_string(e->name));
        }
    }
    say_json(a->r, saved);
}

static void do_fork(asked *a) {
    const char *before = json_string_value(json_object_get(a->ask, "prev_eid"));
    const env *from = before ? visdom_env(a->v, before, false) : NULL;
    if (!from) {
        say_no(a->r, 404, "env to be forked doesn't exit");
        return;
    }
    for (int i = 0; i < from->n; i++) {
        (void)put_pane(a->v, a->e, from->panes[i].id, json_deep_copy(from->panes[i].all),
                       from->panes[i].bytes);
    }
    say_text(a->r, a->e->name);
}

static void do_delete(asked *a) {
    char path[1400];
    for (int i = 0; i < a->v->n && a->e && strcmp(a->e->name, "main") != 0; i++) {
        if (a->v->envs[i] == a->e) {
            if (file_of(a->v, a->e->name, path, sizeof path)) {
                (void)remove(path);
            }
            free_env(a->v, i);
            a->e = NULL;
        }
    }
    say_text(a->r, "");
}

static void do_state(asked *a) {
    json_t *names = json_array();
    for (int i = 0; i < a->v->n; i++) {
        json_array_append_new(names, json_string(a->v->envs[i]->name));
    }
    say_json(a->r, names);
}

static void do_nothing(asked *a) {
    say_text(a->r, "");
}

static const struct {
    const char *name;
    bool makes; /* the environment, where there is none */
    void (*act)(asked *a);
} endpoints[] = {
    {"events", true, do_events}, {"update", true, do_update},      {"win_exists", false, do_exists},
    {"win_data", true, do_data}, {"close", false, do_close},       {"save", false, do_save},
    {"fork_env", true, do_fork}, {"delete_env", false, do_delete}, {"env_state", false, do_state},
    {"env", true, do_nothing},   {"win_hash", false, do_nothing},
};

void visdom_request(visdom *v, const char *path, const uint8_t *body, size_t size, reply *r) {
    json_t *ask = visdom_parse(body, size);
    const char *name = path[0] == '/' ? path + 1 : path;
    size_t n = strcspn(name, "/");
    if (!json_is_object(ask)) {
        json_decref(ask);
        say_no(r, 400, "convscope: the body must be a JSON object");
        return;
    }
    const char *eid = json_string_value(json_object_get(ask, "eid"));
    asked a = {
        .v = v, .ask = ask, .size = size, .win = json_string_value(json_object_get(ask, "win")), .r = r};
    pthread_mutex_lock(&v->lock);
    size_t i = 0, all = sizeof endpoints / sizeof endpoints[0];
    while (i < all && (strlen(endpoints[i].name) != n || strncmp(endpoints[i].name, name, n) != 0)) {
        i++;
    }
    bool room = v->bytes + size <= VISDOM_TOTAL;
    a.e = i < all ? visdom_env(v, eid && eid[0] ? eid : "main", endpoints[i].makes) : NULL;
    if (i == all) {
        say_no(r, 404, "convscope: Visdom has no such request");
    } else if (endpoints[i].makes && (!a.e || !room)) {
        say_no(r, 507, "convscope: that is more than is kept of Visdom's windows; close some");
    } else {
        endpoints[i].act(&a);
    }
    json_decref(ask); /* with the lock: panes hold parts of it */
    pthread_mutex_unlock(&v->lock);
}
