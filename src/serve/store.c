/* SPDX-License-Identifier: MIT
 * store.c - the tables of models and pictures: what was named on the command line, what is built in, what came over the wire.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "tasks.h"
#include "upload.h"
#include "watching.h"

static cvs_status say(cvs_error *err, cvs_status code, const char *en, const char *zh) {
    if (err) {
        err->code = code;
        snprintf(err->message, sizeof err->message, "%s", err->lang == CVS_ZH ? zh : en);
    }
    return code;
}

static void copy(char *to, size_t size, const char *from) {
    snprintf(to, size, "%s", from);
}

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcasecmp(text + n - m, end) == 0;
}

/* ---- adding ------------------------------------------------------------------------------------------------------ */

static int add_model(app *a, const cvs_model *model, cvs_model *owned, const char *name, const char *builtin,
                     const char *command, cvs_error *err) {
    pthread_mutex_lock(&a->lock);
    int i = a->n_models < MAX_MODELS ? a->n_models : -1;
    if (i >= 0) {
        entry *e = &a->models[i];
        e->model = model;
        e->run = &a->options->run;
        e->owned = owned;
        copy(e->name, sizeof e->name, name);
        copy(e->builtin, sizeof e->builtin, builtin);
        copy(e->command, sizeof e->command, command);
        pthread_mutex_init(&e->lock, NULL);
        for (int k = 0; k < SLOTS; k++) {
            pthread_mutex_init(&e->slots[k].lock, NULL);
            e->slots[k].picture = -1;
        }
        a->n_models++;
    }
    pthread_mutex_unlock(&a->lock);
    if (i < 0) {
        cvs_model_free(owned);
        say(err, CVS_E_LIMIT, "too many models are open; start again with fewer",
            "打开的模型过多；请重新启动");
    }
    return i;
}

int store_model(app *a, cvs_model *model, const char *name, const char *builtin, cvs_error *err) {
    return add_model(a, model, model, name, builtin, "", err);
}

static int add_picture(app *a, const picture *p, cvs_error *err) {
    pthread_mutex_lock(&a->lock);
    int i = a->n_pictures < MAX_PICTURES ? a->n_pictures : -1;
    if (i >= 0) {
        a->pictures[i] = *p;
        a->n_pictures++;
    }
    pthread_mutex_unlock(&a->lock);
    if (i < 0) {
        cvs_tensor pixels = p->pixels;
        cvs_tensor_free(&pixels);
        say(err, CVS_E_LIMIT, "too many pictures are open; start again with fewer",
            "打开的图片过多；请重新启动");
    }
    return i;
}

int store_picture(app *a, cvs_tensor *pixels, const char *name, const char *group, cvs_error *err) {
    picture p = {.pixels = *pixels};
    copy(p.name, sizeof p.name, base_of(name));
    copy(p.group, sizeof p.group, group);
    return add_picture(a, &p, err);
}

static int add_picture_file(app *a, const char *path, const char *group, cvs_error *err) {
    picture p = {0};
    copy(p.name, sizeof p.name, base_of(path));
    copy(p.group, sizeof p.group, group);
    copy(p.command, sizeof p.command, path);
    if (ends_with(path, ".npy")) {
        p.path = strdup(path);
        if (!p.path) {
            say(err, CVS_E_MEMORY, "out of memory", "内存不足");
            return -1;
        }
        return add_picture(a, &p, err);
    }
    return cvs_image_read(path, &a->options->open.limits, &p.pixels, err) == CVS_OK ? add_picture(a, &p, err)
                                                                                    : -1;
}

/* ---- built-in ----------------------------------------------------------------------------------------------------- */

typedef struct builtin {
    const char *name;
    const char *pictures[12]; /* ends with NULL */
} builtin;

static const builtin builtins[] = {
    {"digits", {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}},
    {"things", {"mug", "car", "fish", "house", "key", "umbrella", "airplane", "bicycle", "scissors", "star"}},
    {"shortcut", {"car", "fish", "house", "scissors"}},
};

int store_builtin(app *a, const char *name, cvs_error *err) {
    const builtin *b = NULL;
    char path[1200];
    for (size_t i = 0; i < sizeof builtins / sizeof builtins[0]; i++) {
        b = strcmp(builtins[i].name, name) == 0 ? &builtins[i] : b;
    }
    if (!b || !a->options->builtin) {
        say(err, CVS_E_NOT_FOUND, "there is no built-in model of that name", "没有这个名字的内置模型");
        return -1;
    }
    pthread_mutex_lock(&a->lock);
    int found = -1;
    for (int i = 0; i < a->n_models; i++) {
        found = strcmp(a->models[i].builtin, name) == 0 ? i : found;
    }
    pthread_mutex_unlock(&a->lock);
    if (found >= 0) {
        return found;
    }
    cvs_open_options open = a->options->open;
    cvs_model *model = NULL;
    open.weights = open.arch = open.classes = open.signature = NULL;
    open.preprocess = NULL;
    snprintf(path, sizeof path, "%s/%s.onnx", a->options->builtin, b->name);
    if (cvs_model_open(path, &open, &model, err) != CVS_OK) {
        return -1;
    }
    for (int i = 0; b->pictures[i]; i++) {
        char file[1300];
        snprintf(file, sizeof file, "%s/%s_%s.png", a->options->builtin, b->name, b->pictures[i]);
        if (access(file, R_OK) == 0) { /* one that is missing is no reason to stop */
            add_picture_file(a, file, b->name, NULL);
        }
    }
    return add_model(a, model, model, b->name, b->name, path, err);
}

/* ---- over the wire -------------------------------------------------------------------------------------------------- */

int store_upload_model(app *a, const void *data, size_t size, const char *name, cvs_lang lang,
                       cvs_error *err) {
    cvs_open_options open = a->options->open;
    cvs_model *model = NULL;
    open.lang = lang;
    open.weights = open.arch = open.classes = open.signature = NULL;
    open.preprocess = NULL;
    if (upload_check_model(data, size, name, &open, err) != CVS_OK ||
        cvs_model_open_memory(data, size, name, &open, &model, err) != CVS_OK) {
        return -1;
    }
    return store_model(a, model, base_of(name), "", err);
}

int store_upload_picture(app *a, const void *data, size_t size, const char *name, cvs_error *err) {
    cvs_tensor pixels = {0};
    if (upload_picture(data, size, name, &a->options->open.limits, &pixels, err) != CVS_OK) {
        return -1;
    }
    return store_picture(a, &pixels, name, "", err);
}

/* ---- finding ---------------------------------------------------------------------------------------------------------- */

entry *store_model_at(app *a, int64_t number) {
    pthread_mutex_lock(&a->lock);
    bool there = number >= 0 && number < a->n_models;
    pthread_mutex_unlock(&a->lock);
    return there ? &a->models[number] : NULL;
}

picture *store_picture_at(app *a, int64_t number) {
    pthread_mutex_lock(&a->lock);
    bool there = number >= 0 && number < a->n_pictures;
    pthread_mutex_unlock(&a->lock);
    return there ? &a->pictures[number] : NULL;
}

entry *store_find_model(app *a, const request *q, reply *r, const char *name) {
    entry *e = store_model_at(a, arg_int(q, name, -1));
    if (!e) {
        reply_error(r, 404, "there is no such model");
    }
    return e;
}

picture *store_find_picture(app *a, const request *q, reply *r, const char *name, int *number) {
    int64_t at = arg_int(q, name, -1);
    picture *p = store_picture_at(a, at);
    *number = (int)at;
    if (!p) {
        reply_error(r, 404, "there is no such picture");
    }
    return p;
}

const cvs_summary *store_summary(entry *e, cvs_error *err) {
    int k = err->lang == CVS_ZH;
    cvs_run_options options = *e->run;
    options.progress = NULL;
    pthread_mutex_lock(&e->lock);
    if (!e->summarized[k]) {
        e->summarized[k] = cvs_model_summarize(e->model, &options, err->lang, &e->summary[k], err) == CVS_OK;
    }
    bool there = e->summarized[k];
    pthread_mutex_unlock(&e->lock);
    return there ? &e->summary[k] : NULL;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

static cvs_status fill_tables(app *a, cvs_error *err) {
    const cvs_serve_options *o = a->options;
    for (int i = 0; i < o->n_models; i++) {
        cvs_model_info info;
        cvs_model_describe(o->models[i], &info);
        const char *command = o->commands && o->commands[i] ? o->commands[i] : "";
        if (add_model(a, o->models[i], NULL, base_of(command[0] ? command : info.path), "", command, err) <
            0) {
            return err->code;
        }
    }
    for (int i = 0; i < o->n_pictures; i++) {
        if (add_picture_file(a, o->pictures[i], "", err) < 0) {
            return err->code;
        }
    }
    if (o->arrive && (store_builtin(a, "things", err) < 0 || store_builtin(a, "digits", err) < 0)) {
        return err->code;
    }
    return CVS_OK;
}

/* What a page will ask for first, done while the browser is still opening it. What fails here is said when it is asked for. */
static void run_first(void *context) {
    app *a = context;
    cvs_error err = {.lang = a->options->lang};
    entry *e = store_model_at(a, 0);
    int first = -1;
    pthread_mutex_lock(&a->lock);
    for (int i = a->n_pictures - 1; i >= 0; i--) {
        const char *group = a->pictures[i].group;
        first = !group[0] || strcmp(group, e->builtin) == 0 ? i : first;
    }
    pthread_mutex_unlock(&a->lock);
    slot *s = first >= 0 ? slot_enter(a, e, first, &err) : NULL;
    if (s) {
        slot_leave(s);
    }
}

static void summarize_first(void *context) {
    app *a = context;
    cvs_error err = {.lang = a->options->lang};
    store_summary(store_model_at(a, 0), &err);
}

cvs_status app_open(app *a, const cvs_serve_options *options, cvs_error *err) {
    cvs_error own = {.lang = options->lang};
    a->options = options;
    a->why.model = a->why.picture = -1;
    a->next_job = 1;
    pthread_mutex_init(&a->lock, NULL);
    for (int i = 0; i < MAX_JOBS; i++) {
        pthread_mutex_init(&a->jobs[i].lock, NULL);
    }
    cvs_status s = fill_tables(a, err ? err : &own);
    if (s == CVS_OK && options->n_logs > 0) {
        s = watching_open(options, &a->watching, err ? err : &own);
    }
    if (s != CVS_OK) {
        return s;
    }
    a->visdom = options->visdom_port > 0 ? visdom_new(options->visdom_folder) : NULL;
    if (options->visdom_port > 0 && !a->visdom) {
        return say(err, CVS_E_MEMORY, "out of memory", "内存不足");
    }
    a->lanes = lanes_new();
    if (!a->lanes) {
        return say(err, CVS_E_MEMORY, "out of memory", "内存不足");
    }
    if (a->n_models > 0) { /* without room for them the page waits a little longer, no more */
        lanes_push(a->lanes, LANE_RUN, run_first, a);
        lanes_push(a->lanes, LANE_LIGHT, summarize_first, a);
    }
    return CVS_OK;
}

void app_stop(app *a) {
    atomic_store(&a->stopping, true);
    for (int i = 0; i < MAX_JOBS; i++) {
        atomic_store(&a->jobs[i].cancel, true);
    }
    lanes_free(a->lanes);
    a->lanes = NULL;
}

static void free_entry(entry *e) {
    for (int k = 0; k < SLOTS; k++) {
        edits_drop(&e->slots[k]);
        cvs_run_free(e->slots[k].run);
        cvs_tensor_free(&e->slots[k].shown);
        pthread_mutex_destroy(&e->slots[k].lock);
    }
    for (int k = 0; k < 2; k++) {
        if (e->summarized[k]) {
            cvs_summary_free(&e->summary[k]);
        }
    }
    pthread_mutex_destroy(&e->lock);
    cvs_model_free(e->owned);
}

void app_close(app *a) {
    app_stop(a);
    cvs_run_free(a->why.run);
    watching_close(a->watching);
    cvs_feature_maker_free(a->maker.maker);
    json_decref(a->maker.how);
    visdom_free(a->visdom);
    for (int i = 0; i < a->n_models; i++) {
        free_entry(&a->models[i]);
    }
    for (int i = 0; i < a->n_pictures; i++) {
        cvs_tensor_free(&a->pictures[i].pixels);
        free(a->pictures[i].path);
    }
    for (int i = 0; i < MAX_VIEWS; i++) {
        json_decref(a->edits[i].edits);
    }
    for (int i = 0; i < MAX_JOBS; i++) {
        if (a->jobs[i].id) {
            a->jobs[i].task->drop(&a->jobs[i]);
        }
        json_decref(a->jobs[i].ask);
        pthread_mutex_destroy(&a->jobs[i].lock);
    }
    pthread_mutex_destroy(&a->lock);
}
