/* SPDX-License-Identifier: MIT
 * loop.c - cvs_train: opens the recipe and the data, goes over the epochs, and after each writes what a run leaves behind. A run that is
 * stopped ends after the batch at hand with everything written.
 */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "convscope/model.h"
#include "ops/op.h"
#include "train/trainer.h"

typedef struct run_state {
    const char *run;
    const cvs_train_options *options;
    cvi_training training;
    cvs_model *model;
    cvi_params params;
    cvi_pool *pool;
    cvi_samples train, test;
    cvi_trainer *trainer;
    int64_t input[3];
    int64_t *order; /* of the epoch */
    int64_t n_order;
    bool given_order;
    float *x; /* the batch */
    int *labels;
    cvi_history history;
    double started;
    int64_t step, steps; /* made, and planned over all epochs */
    double schedule_state[CVI_MAX_SETTINGS];
    double best; /* watched number, smaller is better */
    int best_epoch, waited;
    bool enough; /* patience is at its end */
    cvs_error *err;
} run_state;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- opening -------------------------------------------------------------------------------------------- */

static cvs_status open_recipe(run_state *r, const char *recipe) {
    cvs_open_options open = {.limits = r->options->limits, .lang = r->options->lang};
    CVI_TRY(cvs_model_open(recipe, &open, &r->model, r->err));
    CVI_TRY(cvi_training_read(r->model, r->options, &r->training, r->err));
    if (!r->model->has_weights) {
        CVI_TRY(cvi_ops_init_weights(r->model, r->training.seed, r->err));
    }
    return CVS_OK;
}

static cvs_status open_data(run_state *r, const char *spec, cvs_split split, cvi_samples *out) {
    cvs_data_options options = {
        .split = split, .limit = split == CVS_TRAIN ? r->training.limit : 0, .limits = r->options->limits};
    cvs_data *data = NULL;
    cvs_data_info info;
    CVI_TRY(cvs_data_open(spec, &options, &data, r->err));
    cvs_data_describe(data, &info);
    cvs_status s = split == CVS_TRAIN ? cvi_trainer_input(r->model, &info, r->input, r->err) : CVS_OK;
    if (s != CVS_OK) {
        cvs_data_free(data);
        return s;
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
static cvs_status read_order(run_state *r, const char *path) {
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
static void shuffle(run_state *r, int epoch) {
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

static cvs_status make_room(run_state *r) {
    int64_t each = r->input[0] * r->input[1] * r->input[2];
    if (r->options->order) {
        CVI_TRY(read_order(r, r->options->order));
    } else {
        r->n_order = r->train.n;
        r->order = cvi_calloc((size_t)r->n_order, sizeof *r->order);
    }
    r->x = cvi_calloc((size_t)r->training.batch, (size_t)each * sizeof *r->x);
    r->labels = cvi_calloc((size_t)r->training.batch, sizeof *r->labels);
    r->history.list = cvi_calloc((size_t)r->training.epochs, sizeof *r->history.list);
    if (!r->order || !r->x || !r->labels || !r->history.list) {
        return cvi_no_memory(r->err, (size_t)(r->training.batch * each) * sizeof *r->x);
    }
    r->steps = (r->n_order + r->training.batch - 1) / r->training.batch * r->training.epochs;
    if (r->options->max_steps > 0) {
        r->steps = CVI_MIN(r->steps, r->options->max_steps);
    }
    return CVS_OK;
}

/* What prediction will need to know: names of the classes, and that pictures are to be prepared as here. */
static cvs_status complete_model(run_state *r) {
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

static cvs_status open_all(run_state *r, const char *recipe, const char *spec) {
    CVI_TRY(open_recipe(r, recipe));
    spec = spec ? spec : r->training.data;
    if (!spec) {
        return cvi_fail(r->err, CVS_E_ARGUMENT,
                        "what to train on is missing: --data mnist:DIR, folder:DIR or generated:NAME");
    }
    r->pool = cvi_pool_new(r->options->threads);
    CVI_TRY(open_data(r, spec, CVS_TRAIN, &r->train));
    CVI_TRY(cvi_params_take(r->model, r->training.optimizer, &r->params, r->err));
    if (r->options->start) {
        CVI_TRY(cvi_params_load(&r->params, r->options->start, &r->options->limits, r->err));
    }
    CVI_TRY(cvi_trainer_new(r->model, &r->params, &r->training, r->input, r->train.n_classes, r->pool,
                            &r->trainer, r->err));
    CVI_TRY(open_data(r, spec, CVS_TEST, &r->test));
    CVI_TRY(make_room(r));
    CVI_TRY(complete_model(r));
    r->history.recipe = recipe;
    r->history.data = spec;
    r->history.training = &r->training;
    r->history.fingerprint = r->train.fingerprint;
    r->history.val_fingerprint = r->test.fingerprint;
    r->history.pictures = r->train.n;
    r->history.val_pictures = r->test.n;
    r->history.params = r->params.numbers;
    return CVS_OK;
}

/* ---- training ------------------------------------------------------------------------------------------- */

typedef struct fill_job {
    run_state *r;
    int64_t from;
} fill_job;

static void fill_body(void *context, int64_t chunk, int worker) {
    (void)worker;
    const fill_job *j = context;
    run_state *r = j->r;
    int64_t each = r->input[0] * r->input[1] * r->input[2], picture = r->order[j->from + chunk];
    uint64_t draw = (uint64_t)r->step * (uint64_t)r->training.batch + (uint64_t)chunk;
    cvi_samples_get(&r->train, picture, &r->training.augment, r->training.seed, draw, r->x + chunk * each);
    r->labels[chunk] = r->train.labels[picture];
}

static bool tell(const run_state *r, cvs_train_step *said) {
    said->seconds = now() - r->started;
    return !r->options->on_step || r->options->on_step(r->options->context, said);
}

/* What goes wrong with a number that is none, in a word to the wise. */
static cvs_status check_loss(const run_state *r, double loss, int epoch) {
    if (isfinite(loss)) {
        return CVS_OK;
    }
    return cvi_fail(
        r->err, CVS_E_ARGUMENT,
        "the loss is no number any more after step %lld (epoch %d): a smaller learning rate than %g "
        "helps",
        (long long)r->step, epoch, r->training.rates.learning_rate);
}

/* One epoch; *more = false: asked to stop, or all steps are made. said->loss and accuracy are the running means. */
static cvs_status run_epoch(run_state *r, int epoch, cvs_train_step *said, bool *more) {
    int64_t batch = r->training.batch, right = 0, seen = 0;
    double loss = 0, begun = now();
    said->steps = (r->n_order + batch - 1) / batch;
    if (!r->given_order) {
        shuffle(r, epoch);
    }
    for (int64_t at = 0; at < r->n_order && *more; at += batch) {
        int64_t n = CVI_MIN(batch, r->n_order - at);
        double rate =
            cvi_training_rate(&r->training, r->step, r->steps, said->steps, epoch - 1, r->schedule_state);
        fill_job job = {r, at};
        cvi_pool_run(r->pool, n, fill_body, &job);
        CVI_TRY(cvi_trainer_step(r->trainer, n, r->x, r->labels, ++r->step, rate, &loss, &right, r->err));
        CVI_TRY(check_loss(r, loss, epoch));
        seen += n;
        said->step = at / batch + 1;
        said->loss = loss / (double)seen;
        said->accuracy = (double)right / (double)seen;
        said->images_per_second = (double)seen / CVI_MAX(now() - begun, 1e-9);
        r->history.list[epoch - 1].learning_rate = rate;
        if (!tell(r, said)) {
            r->history.stopped = true;
            *more = false;
        }
        *more = *more && (r->options->max_steps == 0 || r->step < r->options->max_steps);
    }
    return CVS_OK;
}

static cvs_status write_model(const run_state *r, const char *name) {
    char *path = cvi_path_join(r->run, name);
    cvs_status s = path ? cvs_model_write(r->model, path, r->err) : cvi_no_memory(r->err, 0);
    cvi_free(path);
    return s;
}

static cvs_status write_all(run_state *r, int epoch) {
    r->history.steps = r->step;
    r->history.seconds = now() - r->started;
    cvs_status s = write_model(r, "model.onnx");
    if (s == CVS_OK) {
        s = cvi_state_write(&r->params, &r->training, r->step, epoch, r->run, r->err);
    }
    return s == CVS_OK ? cvi_history_write(&r->history, r->run, r->err) : s;
}

/* The number that plateau, best and stop look at, so that smaller is better. */
static double watched_number(const run_state *r, const cvi_epoch *e) {
    switch (r->training.watched) {
    case CVI_VAL_ACCURACY:
        return -e->val_accuracy;
    case CVI_LOSS:
        return e->loss;
    case CVI_ACCURACY:
        return -e->accuracy;
    default:
        return e->val_loss;
    }
}

/* A whole epoch was tested: the best model so far is kept as best.onnx; the schedule and early stopping look at it, as Keras's
 * callbacks do. A number that is none never is better. */
static cvs_status judge_epoch(run_state *r, int epoch) {
    const cvi_training *t = &r->training;
    double seen = watched_number(r, &r->history.list[epoch - 1]);
    if (t->schedule->epoch_ended) {
        t->schedule->epoch_ended(t->schedule_values, r->schedule_state, seen);
    }
    r->waited++;
    if (r->best_epoch == 0 || seen < r->best - t->delta) {
        r->best = seen;
        r->best_epoch = epoch;
        r->waited = 0;
        return write_model(r, "best.onnx");
    }
    r->enough = t->stops && (double)r->waited >= t->patience;
    return CVS_OK;
}

/* After an epoch, or what was made of it: test, remember, write. Stopped in its midst: the test is left out. */
static cvs_status end_epoch(run_state *r, int epoch, double begun, cvs_train_step *said, bool *more) {
    cvi_epoch *e = &r->history.list[epoch - 1];
    e->loss = said->loss;
    e->accuracy = said->accuracy;
    e->val_loss = e->val_accuracy = NAN;
    if (!r->history.stopped) {
        CVI_TRY(cvi_trainer_evaluate(r->trainer, &r->test, &e->val_loss, &e->val_accuracy, r->err));
    }
    e->seconds = now() - begun;
    r->history.n = epoch;
    CVI_TRY(write_all(r, epoch));
    if (!r->history.stopped) {
        CVI_TRY(judge_epoch(r, epoch));
    }
    said->epoch_ended = true;
    said->val_loss = e->val_loss;
    said->val_accuracy = e->val_accuracy;
    if (!r->history.stopped && !tell(r, said)) {
        *more = false;
        r->history.stopped = epoch < r->training.epochs;
        return cvi_history_write(&r->history, r->run, r->err);
    }
    return CVS_OK;
}

static cvs_status run_epochs(run_state *r) {
    bool more = true;
    r->started = now();
    for (int epoch = 1; epoch <= r->training.epochs && more && !r->enough; epoch++) {
        double begun = now();
        cvs_train_step said = {.epoch = epoch, .epochs = r->training.epochs};
        CVI_TRY(run_epoch(r, epoch, &said, &more));
        CVI_TRY(end_epoch(r, epoch, begun, &said, &more));
    }
    if (r->options->write_params) {
        char *path = cvi_path_join(r->run, "params");
        cvs_status s = path ? cvi_params_save(&r->params, path, r->err) : cvi_no_memory(r->err, 0);
        cvi_free(path);
        CVI_TRY(s);
    }
    return CVS_OK;
}

static void free_all(run_state *r) {
    cvi_trainer_free(r->trainer);
    cvs_model_free(r->model); /* before the parameters that its constants point to */
    cvi_params_free(&r->params);
    cvi_samples_free(&r->train);
    cvi_samples_free(&r->test);
    cvi_free(r->order);
    cvi_free(r->x);
    cvi_free(r->labels);
    cvi_free(r->history.list);
    cvi_pool_free(r->pool);
}

cvs_status cvs_train(const char *recipe, const char *data, const char *run, const cvs_train_options *options,
                     cvs_train_result *result, cvs_error *err) {
    static const cvs_train_options none;
    cvs_error local = {0};
    run_state r = {.run = run, .options = options ? options : &none, .err = err ? err : &local};
    r.err->lang = options && options->lang ? options->lang : r.err->lang;
    CVI_TRY(cvs_folder_check(run, r.err));
    cvs_status s = open_all(&r, recipe, data);
    if (s == CVS_OK) {
        s = cvi_make_folder(run, r.err);
    }
    if (s == CVS_OK) {
        s = run_epochs(&r);
    }
    if (s == CVS_OK && result) {
        const cvi_epoch *last = &r.history.list[r.history.n - 1];
        *result = (cvs_train_result){.accuracy = last->accuracy,
                                     .loss = last->loss,
                                     .val_accuracy = last->val_accuracy,
                                     .val_loss = last->val_loss,
                                     .epochs = r.history.n,
                                     .params = r.params.numbers,
                                     .stopped = r.history.stopped};
    }
    free_all(&r);
    return s;
}
