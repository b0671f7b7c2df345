/* SPDX-License-Identifier: MIT
 * loop_open.c - what a run begins with: the recipe, the data, the weights, the order of the pictures; and where an earlier run of the same
 * kind stood, when it is to go on.
 */
#include <stdlib.h>

#include "convscope/model.h"
#include "ops/op.h"
#include "train/feed.h"
#include "train/ranks.h"

/* ---- opening -------------------------------------------------------------------------------------------- */

static cvs_status open_recipe(cvi_loop *r, const char *recipe) {
    cvs_open_options open = {.limits = r->options->limits, .lang = r->options->lang};
    CVI_TRY(cvs_model_open(recipe, &open, &r->model, r->err));
    CVI_TRY(cvi_training_read(r->model, r->options, &r->training, r->err));
    bool statistics = cvi_trainer_statistics(r->model->graph);
    int alone = statistics ? 1 : CVI_PIECES, *shards = &r->training.shards;
    if (r->options->comm && *shards == 0) { /* the same for any number of processes */
        *shards = CVI_PIECES;
    }
    r->history.shards = *shards > 0 ? *shards : alone;
    *shards = *shards == alone ? 0 : *shards;
    if (!r->model->has_weights) {
        CVI_TRY(cvi_training_init(&r->training, r->model, r->err));
    }
    return CVS_OK;
}

/* A sentence that is no error, from an English literal with a Chinese row. */
static void say(const cvi_loop *r, const char *fmt, ...) CVI_PRINTF(2, 3);
static void say(const cvi_loop *r, const char *fmt, ...) {
    char text[900];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, cvi_tr(r->options->lang, fmt), args);
    va_end(args);
    if (r->options->on_note) {
        r->options->on_note(r->options->context, text);
    }
}

static cvs_status open_data(cvi_loop *r, const char *spec, cvs_split split, cvi_samples *out) {
    cvs_data_options options = {.holdout = r->training.holdout,
                                .split_training = r->training.holdout > 0,
                                .split = split,
                                .limit = split == CVS_TRAIN ? r->training.limit : 0,
                                .limits = r->options->limits};
    cvs_data *data = NULL;
    cvs_data_info info;
    CVI_TRY(cvs_data_open(spec, &options, &data, r->err));
    cvs_data_describe(data, &info);
    cvs_status s = split == CVS_TRAIN ? cvi_trainer_input(r->model, &info, r->input, r->err) : CVS_OK;
    if (s != CVS_OK) {
        cvs_data_free(data);
        return s;
    }
    bool grey = info.channels == 3 && r->input[0] == 1,
         resized = info.height > 0 && (info.height != r->input[1] || info.width != r->input[2]);
    if (split == CVS_TRAIN && (grey || resized)) {
        say(r, "the pictures are %lldx%lldx%lld and become %lldx%lldx%lld, as the model takes them",
            (long long)info.channels, (long long)info.height, (long long)info.width, (long long)r->input[0],
            (long long)r->input[1], (long long)r->input[2]);
    }
    CVI_TRY(
        cvi_samples_load(data, &r->options->limits, &r->model->preprocess, r->input, r->pool, out, r->err));
    if (out->n < 1) {
        return cvi_fail(r->err, CVS_E_ARGUMENT, "the data set %.200s has no pictures to train or test with",
                        spec);
    }
    return CVS_OK;
}

/* Numbers of pictures, one a line; '#' begins a comment. */
static cvs_status read_order(cvi_loop *r, const char *path) {
    cvi_file file = {0};
    CVI_TRY(cvi_file_read(path, &r->options->limits, &file, r->err));
    cvs_status s = CVS_OK;
    int64_t room = (int64_t)file.size / 2 + 1;
    r->order = cvi_calloc((size_t)room, sizeof *r->order);
    if (!r->order) {
        s = cvi_no_memory(r->err, (size_t)room * sizeof *r->order);
    }
    int line = 1;
    for (size_t at = 0; s == CVS_OK && at < file.size; line++) {
        int64_t v = 0;
        bool digits = false, wrong = false;
        for (; at < file.size && file.data[at] != '\n'; at++) {
            uint8_t c = file.data[at];
            if (c >= '0' && c <= '9' && v < r->train.n) {
                v = v * 10 + (c - '0');
                digits = true;
            } else {
                wrong = wrong || (c != ' ' && c != '\r' && c != '\t');
            }
        }
        at++;
        if (wrong || (digits && v >= r->train.n)) {
            s = cvi_at_line(r->err,
                            cvi_fail(r->err, CVS_E_FORMAT,
                                     "the number of a picture expected, from 0 to %lld, one a line",
                                     (long long)r->train.n - 1),
                            line, 1);
        } else if (digits) {
            r->order[r->n_order++] = v;
        }
    }
    if (s == CVS_OK && r->n_order == 0) {
        s = cvi_fail(r->err, CVS_E_FORMAT, "there is no number of a picture in this file");
    }
    cvi_file_close(&file);
    r->given_order = true;
    return cvi_at_file(r->err, s, path);
}

enum { PURPOSE_SHUFFLE = 0x73687566 /* "shuf" */ };

/* Fisher and Yates, from counter-based numbers: the same order for the same seed and epoch. */
void cvi_loop_shuffle(cvi_loop *r, int epoch) {
    uint64_t purpose = (uint64_t)PURPOSE_SHUFFLE << 32 | (uint32_t)epoch;
    for (int64_t i = 0; i < r->n_order; i++) {
        r->order[i] = i;
    }
    for (int64_t i = r->n_order - 1; i > 0; i--) {
        double u = cvi_random_uniform(r->training.seed, purpose, (uint64_t)i);
        int64_t k = CVI_MIN((int64_t)(u * (double)(i + 1)), i), swap = r->order[i];
        r->order[i] = r->order[k];
        r->order[k] = swap;
    }
}

static cvs_status make_room(cvi_loop *r) {
    if (r->options->order) {
        CVI_TRY(read_order(r, r->options->order));
    } else {
        r->n_order = r->train.n;
        r->order = cvi_calloc((size_t)r->n_order, sizeof *r->order);
    }
    r->history.list = cvi_calloc((size_t)r->training.epochs, sizeof *r->history.list);
    for (int64_t i = 0; r->given_order && i < r->n_order; i++) {
        r->history.order_fingerprint =
            cvi_random_bits(r->history.order_fingerprint, (uint64_t)i, (uint64_t)r->order[i]);
    }
    cvi_doubts *d = &r->history.doubts;
    if (!r->options->no_events) {
        d->sum = cvi_calloc((size_t)r->train.n, sizeof *d->sum);
        d->seen = cvi_calloc((size_t)r->train.n, sizeof *d->seen);
        d->n = d->sum && d->seen ? r->train.n : 0;
    }
    if (!r->order || !r->history.list || (!r->options->no_events && d->n == 0)) {
        return cvi_no_memory(r->err, (size_t)r->n_order * sizeof *r->order);
    }
    CVI_TRY(cvi_feed_new(r, &r->feed, r->err));
    r->steps = (r->n_order + r->training.batch - 1) / r->training.batch * r->training.epochs;
    if (r->options->max_steps > 0) {
        r->steps = CVI_MIN(r->steps, r->options->max_steps);
    }
    return CVS_OK;
}

/* What prediction will need to know: names of the classes, and that pictures are to be prepared as here. */
static cvs_status complete_model(cvi_loop *r) {
    cvs_model *m = r->model;
    if (m->n_classes != r->train.n_classes) {
        const char **names = cvi_arena_alloc(m->arena, r->train.n_classes, sizeof *names);
        for (int i = 0; names && i < r->train.n_classes; i++) {
            names[i] = cvi_arena_strn(m->arena, r->train.classes[i], strlen(r->train.classes[i]));
            if (!names[i]) {
                return cvi_no_memory(r->err, strlen(r->train.classes[i]));
            }
        }
        if (!names) {
            return cvi_no_memory(r->err, (size_t)r->train.n_classes * sizeof *names);
        }
        m->classes = names;
        m->n_classes = r->train.n_classes;
    }
    m->preprocess.known = true;
    return CVS_OK;
}

/* From the last checkpoint, if there is one. */
static cvs_status go_on(cvi_loop *r) {
    bool found = false;
    CVI_TRY(cvi_state_read(&r->params, &r->at, &r->history, r->training.epochs, r->run, &r->options->limits,
                           &found, r->err));
    if (found) {
        cvi_history_read_seconds(&r->history, r->run);
    }
    return CVS_OK;
}

/* Another last layer, where one is asked for. */
static cvs_status change_head(cvi_loop *r) {
    int64_t n = r->training.head < 0 ? r->train.n_classes : r->training.head;
    if (r->training.head == 0) {
        return CVS_OK;
    }
    CVI_TRY(cvi_at_file(r->err, cvi_head_replace(r->model, n, r->training.seed, r->err), r->history.recipe));
    say(r, "the last layer is new, for %lld classes", (long long)n);
    return CVS_OK;
}

/* First weights from a folder of arrays or another model. */
static cvs_status take_start(cvi_loop *r) {
    const char *from = r->options->start ? r->options->start : r->training.start, *unfit = NULL;
    int taken = 0;
    if (!from) {
        return CVS_OK;
    }
    if (!cvi_is_file(from)) {
        return cvi_params_load(&r->params, r->model->arena, from, &r->options->limits, r->err);
    }
    CVI_TRY(cvi_params_transfer(&r->params, from, &r->options->limits, &taken, &unfit, r->err));
    if (unfit) {
        say(r, "%d of %d parameters begin as they are in %.200s; %.100s is the first that does not", taken,
            r->params.n, from, unfit);
    } else {
        say(r, "all %d parameters begin as they are in %.200s", taken, from);
    }
    return CVS_OK;
}

cvs_status cvi_loop_open(cvi_loop *r, const char *recipe, const char *spec) {
    CVI_TRY(open_recipe(r, recipe));
    spec = spec ? spec : r->training.data;
    if (!spec) {
        return cvi_fail(r->err, CVS_E_ARGUMENT,
                        "what to train on is missing: --data mnist:DIR, folder:DIR or generated:NAME");
    }
    r->pool = cvi_pool_new(cvi_ranks_threads(r->options->comm, r->options->threads));
    CVI_TRY(open_data(r, spec, CVS_TRAIN, &r->train));
    if (r->training.normalise) {
        cvi_samples_normalise(&r->train, &r->model->preprocess);
    }
    r->history.recipe = recipe;
    CVI_TRY(change_head(r));
    CVI_TRY(cvi_params_take(r->model, &r->training, &r->params, r->err));
    CVI_TRY(cvi_at_file(r->err, cvi_params_freeze(r->model, &r->params, r->training.freeze, r->err), recipe));
    CVI_TRY(take_start(r));
    CVI_TRY(cvi_trainer_new(r->model, &r->params, &r->training, r->input, r->train.n_classes, r->pool,
                            &r->trainer, r->err));
    CVI_TRY(cvi_trainer_join(r->trainer, r->options->comm, r->err));
    CVI_TRY(open_data(r, spec, CVS_TEST, &r->test));
    CVI_TRY(make_room(r));
    CVI_TRY(complete_model(r));
    r->history.data = spec;
    r->history.training = &r->training;
    r->history.fingerprint = r->train.fingerprint;
    r->history.val_fingerprint = r->test.fingerprint;
    r->history.pictures = r->train.n;
    r->history.val_pictures = r->test.n;
    r->history.params = r->params.numbers;
    r->history.changes = r->steering.list;
    return r->options->resume && r->writes ? go_on(r) : CVS_OK;
}
