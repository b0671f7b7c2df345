/* SPDX-License-Identifier: MIT
 * run_record.c - from a run that goes on to its record: settings, where it stands, its epochs, the files it has written.
 */
#include "train/run_record.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_FILES = 8 };

/* What stands in the record at the moment, without settings and epochs. files has room for MOST_FILES. */
static cvs_run_record standing(const cvi_loop *r, cvs_run_artifact *files) {
    static const char *const watched[] = {"val_loss", "val_accuracy", "loss", "accuracy"};
    const cvi_standing *at = &r->at;
    bool whole = at->taken == 0 && at->epoch > 1; /* the epoch before has just ended */
    int n = 0;
    bool falls = r->training.watched == CVI_VAL_LOSS || r->training.watched == CVI_LOSS;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double clock = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    if (at->step > 0) {
        files[n++] = (cvs_run_artifact){"model.onnx", "model", whole ? at->epoch - 1 : at->epoch};
        files[n++] = (cvs_run_artifact){"state.safetensors", "state", whole ? at->epoch - 1 : at->epoch};
        files[n++] = (cvs_run_artifact){"history.json", "history", 0};
    }
    if (at->best_epoch > 0) {
        files[n++] = (cvs_run_artifact){"best.onnx", "best", at->best_epoch};
    }
    if (!r->options->no_events) {
        files[n++] = (cvs_run_artifact){"train", "events", 0};
        files[n++] = (cvs_run_artifact){"validation", "events", 0};
    }
    if (r->options->snapshots) {
        files[n++] = (cvs_run_artifact){"snapshots", "snapshots", 0};
    }
    return (cvs_run_record){
        .recipe = r->history.recipe,
        .data = r->history.data,
        .version = CVS_VERSION,
        .message = "",
        .seed = r->training.seed,
        .seconds = r->started > 0 ? clock - r->started : r->history.seconds,
        .params = r->params.numbers,
        .pictures = r->train.n,
        .val_pictures = r->test.n,
        .epochs = r->training.epochs,
        .step = at->step,
        .steps = r->steps,
        .now_epoch = CVI_MIN(at->epoch, r->training.epochs),
        .now_loss = at->taken > 0 ? at->loss / (double)at->taken : (double)NAN,
        .now_accuracy = at->taken > 0 ? (double)at->right / (double)at->taken : (double)NAN,
        .watched = watched[r->training.watched],
        .best_epoch = at->best_epoch,
        .best = falls ? at->best : -at->best,
        .n_files = n,
        .files = files,
    };
}

static cvs_run_epoch row(const cvi_loop *r, int epoch) {
    const cvi_epoch *e = &r->history.list[epoch - 1];
    int64_t per_epoch = (r->n_order + r->training.batch - 1) / r->training.batch;
    return (cvs_run_epoch){.epoch = epoch,
                           .step = CVI_MIN((int64_t)epoch * per_epoch, r->at.step),
                           .loss = e->loss,
                           .accuracy = e->accuracy,
                           .val_loss = e->val_loss,
                           .val_accuracy = e->val_accuracy,
                           .learning_rate = e->learning_rate,
                           .seconds = e->seconds};
}

/* The settings of history.json, flat. */
static cvs_status list_settings(const cvi_loop *r, cvi_arena *arena, cvs_run_record *out) {
    cvi_buf b = {0};
    json_t *all = NULL, *value;
    const char *key;
    cvi_history_settings(&b, &r->history);
    cvs_status s = b.failed ? cvi_no_memory(r->err, b.size) : cvi_json_parse(b.data, b.size, &all, r->err);
    cvi_buf_free(&b);
    CVI_TRY(s);
    cvs_run_setting *list = cvi_arena_alloc(arena, (int64_t)json_object_size(all) + 1, sizeof *list);
    bool good = list != NULL;
    json_object_foreach(all, key, value) {
        cvs_run_setting *one = good ? &list[out->n_settings] : NULL;
        if (!one || json_is_null(value)) {
            continue;
        }
        one->name = cvi_arena_strn(arena, key, strlen(key));
        one->number = json_is_number(value) ? json_number_value(value) : (double)NAN;
        one->text =
            json_is_string(value) ? cvi_arena_strn(arena, json_string_value(value), json_string_length(value))
            : json_is_integer(value) ? cvi_arena_printf(arena, "%lld", (long long)json_integer_value(value))
            : json_is_number(value)  ? cvi_arena_printf(arena, "%.9g", one->number)
                                     : cvi_arena_printf(arena, "%s", json_is_true(value) ? "true" : "false");
        good = one->name && one->text;
        out->n_settings++;
    }
    json_decref(all);
    out->settings = list;
    return good ? CVS_OK : cvi_no_memory(r->err, 1024);
}

/* The folder's own name, also where it was called "." */
static char *folder_name(const char *run) {
    char *whole = realpath(run, NULL), *name = cvi_strdup(cvi_path_base(whole ? whole : run));
    free(whole); /* libc's own memory */
    return name;
}

cvs_status cvi_run_record_begin(cvi_loop *r) {
    cvs_run_artifact files[MOST_FILES];
    cvs_run_record what = standing(r, files);
    cvi_arena *arena = cvi_arena_new(0);
    char *name = folder_name(r->run);
    cvs_run_epoch *rows = cvi_calloc((size_t)r->history.n + 1, sizeof *rows);
    cvs_status s = arena && name && rows ? list_settings(r, arena, &what) : cvi_no_memory(r->err, 1024);
    for (int i = 0; s == CVS_OK && i < r->history.n; i++) {
        rows[i] = row(r, i + 1);
    }
    what.name = name;
    what.n_epochs = r->history.n;
    what.list = rows;
    if (s == CVS_OK) {
        cvi_run_begin begin = {.what = &what,
                               .go_on = r->options->resume && r->at.step > 0,
                               .threads = cvi_pool_threads(r->pool),
                               .ranks = r->options->comm ? r->options->comm->size : 1};
        s = cvi_run_store_begin(r->run, &begin, &r->store, r->err);
    }
    cvi_free(rows);
    cvi_free(name);
    cvi_arena_free(arena);
    return s;
}

cvs_status cvi_run_record_step(cvi_loop *r, bool checkpoint) {
    cvs_run_artifact files[MOST_FILES];
    if (!r->store) {
        return CVS_OK;
    }
    cvs_run_record now = standing(r, files);
    return cvi_run_store_progress(r->store, &now, checkpoint, r->err);
}

cvs_status cvi_run_record_epoch(cvi_loop *r, int epoch) {
    cvs_run_artifact files[MOST_FILES];
    if (!r->store) {
        return CVS_OK;
    }
    cvs_run_record now = standing(r, files);
    cvs_run_epoch one = row(r, epoch);
    return cvi_run_store_epoch(r->store, &now, &one, r->err);
}

cvs_status cvi_run_record_end(cvi_loop *r, cvs_status status, const cvs_error *why, cvs_error *err) {
    cvs_run_artifact files[MOST_FILES];
    char text[1200] = "";
    if (!r->store) {
        return CVS_OK;
    }
    cvs_run_record now = standing(r, files);
    bool done = r->at.epoch > r->training.epochs || r->at.enough || r->at.step >= r->steps;
    cvs_run_state state = status != CVS_OK ? CVS_RUN_FAILED : done ? CVS_RUN_FINISHED : CVS_RUN_STOPPED;
    if (status != CVS_OK && why) {
        cvs_error_text(why, text, sizeof text);
    }
    cvs_status s = cvi_run_store_end(r->store, &now, state, text, err);
    r->store = NULL;
    return s;
}
