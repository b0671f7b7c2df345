/* SPDX-License-Identifier: MIT
 * loop.c - cvs_train: goes over the epochs, and after each writes what a run leaves behind. A run that is stopped ends after the batch
 * at hand with everything written; one that is killed goes on from its last checkpoint, to the same bits.
 */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "convscope/model.h"
#include "train/feed.h"
#include "train/ranks.h"
#include "train/confusion.h"
#include "train/run_log.h"
#include "train/run_record.h"

enum { SAVE_SECONDS = 60 }; /* between checkpoints in the midst of an epoch */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- training ------------------------------------------------------------------------------------------- */

static bool tell(const cvi_loop *r, cvs_train_step *said) {
    said->seconds = now() - r->started;
    return !r->options->on_step || r->options->on_step(r->options->context, said);
}

/* What goes wrong with a number that is none, in a word to the wise. */
static cvs_status check_loss(const cvi_loop *r, double loss, int epoch) {
    if (isfinite(loss)) {
        return CVS_OK;
    }
    return cvi_fail(
        r->err, CVS_E_ARGUMENT,
        "the loss is no number any more after step %lld (epoch %d): a smaller learning rate than %g "
        "helps",
        (long long)r->at.step, epoch, r->training.rates.learning_rate);
}

static cvs_status write_model(const cvi_loop *r, const char *name) {
    if (!r->writes) {
        return CVS_OK;
    }
    char *path = cvi_path_join(r->run, name);
    cvs_status s = path ? cvs_model_write(r->model, path, r->err) : cvi_no_memory(r->err, 0);
    cvi_free(path);
    return s;
}

/* The networks of epochs 0, 1, 2, 3, 5, 8, ...: features form early. The same for a run that goes on. */
static cvs_status keep_snapshot(const cvi_loop *r, int epoch) {
    int a = 0, b = 1;
    while (b < epoch) {
        int next = a + b;
        a = b;
        b = next;
    }
    if (!r->writes || !r->options->snapshots || (epoch > 0 && b != epoch)) {
        return CVS_OK;
    }
    char *folder = cvi_path_join(r->run, "snapshots"), name[60];
    snprintf(name, sizeof name, "snapshots/epoch_%04d.onnx", epoch);
    cvs_status s = folder ? cvi_make_folder(folder, r->err) : cvi_no_memory(r->err, 0);
    cvi_free(folder);
    return s == CVS_OK ? write_model(r, name) : s;
}

/* The model first, the state last: what the state says is there, and going on from a state writes the others again. */
cvs_status cvi_loop_checkpoint(cvi_loop *r) {
    if (!r->writes) {
        return CVS_OK;
    }
    CVI_TRY(write_model(r, "model.onnx"));
    CVI_TRY(cvi_state_write(&r->params, &r->at, &r->history, r->run, r->err));
    r->saved = now();
    return cvi_run_record_step(r, true);
}

static cvs_status write_all(cvi_loop *r) {
    r->history.steps = r->at.step;
    r->history.seconds = now() - r->started;
    if (!r->writes) {
        return CVS_OK;
    }
    CVI_TRY(cvi_history_write(&r->history, r->run, r->err));
    return cvi_loop_checkpoint(r);
}

/* One step with the next n pictures of the order. */
static cvs_status one_step(cvi_loop *r, int64_t n, int64_t per_epoch) {
    cvi_standing *at = &r->at;
    double rate = cvi_steering_rate(r, at->step, per_epoch, at->epoch - 1);
    const cvi_batch *b = cvi_feed_next(r->feed);
    double before = at->loss;
    at->step++;
    cvi_run_log_before(r, n);
    cvi_trainer_mix(r->trainer, b->second, b->share);
    CVI_TRY(cvi_trainer_step(r->trainer, n, b->x, b->labels, at->step, rate, &at->loss, &at->right, r->err));
    at->taken += n;
    r->history.list[at->epoch - 1].learning_rate = rate;
    CVI_TRY(cvi_run_log_step(r, n, (at->loss - before) / (double)n, rate, now()));
    CVI_TRY(cvi_run_record_step(r, false));
    return check_loss(r, at->loss, at->epoch);
}

static bool may_step(const cvi_loop *r) {
    return r->options->max_steps == 0 || r->at.step < r->options->max_steps;
}

/* Before a step: the process that writes does what was asked for, and tells the others of it. */
static cvs_status steer(cvi_loop *r, cvs_train_step *said, bool *more) {
    const cvs_comm *comm = r->options->comm;
    cvs_status s = r->writes ? cvi_steering_wait(r, said, more) : CVS_OK;
    if (!comm || !r->options->control) {
        return s;
    }
    bool stop = !*more;
    CVI_TRY(cvi_ranks_agree(comm, s, &stop, r->err));
    if (stop) {
        r->history.stopped = true;
        *more = false;
    }
    return cvi_ranks_steering(r);
}

/* The epoch, or what is left of it; *more = false: asked to stop, or all steps are made. said->loss and accuracy are running means. */
static cvs_status run_epoch(cvi_loop *r, cvs_train_step *said, bool *more) {
    cvi_standing *at = &r->at;
    int64_t batch = r->training.batch, before = at->taken;
    double begun = now(), pause = r->options->save_seconds > 0 ? r->options->save_seconds : SAVE_SECONDS;
    said->steps = (r->n_order + batch - 1) / batch;
    cvi_feed_forget(r->feed);
    if (!r->given_order) {
        cvi_loop_shuffle(r, at->epoch);
    }
    /* Stopped between the last step and the test: what that step's rate was. */
    if (at->taken >= r->n_order && at->step > 0) {
        r->history.list[at->epoch - 1].learning_rate =
            cvi_steering_rate(r, at->step - 1, said->steps, at->epoch - 1);
    }
    while (at->taken < r->n_order && *more) {
        CVI_TRY(steer(r, said, more));
        if (!*more) {
            break;
        }
        cvs_status s = one_step(r, CVI_MIN(batch, r->n_order - at->taken), said->steps);
        said->step = (at->taken + batch - 1) / batch;
        said->loss = at->loss / (double)CVI_MAX(at->taken, 1);
        said->accuracy = (double)at->right / (double)CVI_MAX(at->taken, 1);
        said->images_per_second = (double)(at->taken - before) / CVI_MAX(now() - begun, 1e-9);
        bool stop = s == CVS_OK && !tell(r, said);
        if (s == CVS_OK && !stop && may_step(r) && at->taken < r->n_order && now() - r->saved >= pause) {
            s = cvi_loop_checkpoint(r);
        }
        CVI_TRY(cvi_ranks_agree(r->options->comm, s, &stop, r->err));
        if (stop) {
            r->history.stopped = true;
            *more = false;
        }
        *more = *more && may_step(r);
    }
    said->loss = at->loss / (double)CVI_MAX(at->taken, 1);
    said->accuracy = (double)at->right / (double)CVI_MAX(at->taken, 1);
    return CVS_OK;
}

/* The number that plateau, best and stop look at, so that smaller is better. */
static double watched_number(const cvi_loop *r, const cvi_epoch *e) {
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

/* An epoch was tested: the best model so far is kept as best.onnx; the schedule and early stopping look at it, as Keras's
 * callbacks do. A number that is none never is better. */
static cvs_status judge_epoch(cvi_loop *r, int epoch) {
    const cvi_training *t = &r->training;
    cvi_standing *at = &r->at;
    double seen = watched_number(r, &r->history.list[epoch - 1]);
    if (t->schedule->epoch_ended) {
        t->schedule->epoch_ended(t->schedule_values, at->schedule, seen);
    }
    at->waited++;
    if (at->best_epoch == 0 || seen < at->best - t->delta) {
        at->best = seen;
        at->best_epoch = epoch;
        at->waited = 0;
        return write_model(r, "best.onnx");
    }
    at->enough = t->stops && (double)at->waited >= t->patience;
    return CVS_OK;
}

/* A whole epoch is judged, then written as done; a part of one is written as it stands, so that it can go on, and judged if it is the
 * end of all steps. */
static cvs_status keep_epoch(cvi_loop *r, int epoch) {
    if (r->at.taken < r->n_order || r->history.stopped) {
        CVI_TRY(write_all(r));
        return r->history.stopped ? CVS_OK : judge_epoch(r, epoch);
    }
    CVI_TRY(judge_epoch(r, epoch));
    CVI_TRY(keep_snapshot(r, epoch));
    r->at.epoch++;
    r->at.taken = r->at.right = 0;
    r->at.loss = 0;
    return write_all(r);
}

static cvs_status write_epoch(cvi_loop *r, int epoch) {
    CVI_TRY(cvi_run_log_epoch(r, epoch));
    CVI_TRY(keep_epoch(r, epoch));
    return cvi_run_record_epoch(r, epoch);
}

/* After an epoch, or what was made of it: test, remember, write. Stopped in its midst: the test is left out. */
static cvs_status end_epoch(cvi_loop *r, double begun, cvs_train_step *said, bool *more) {
    int epoch = r->at.epoch;
    cvi_epoch *e = &r->history.list[epoch - 1];
    e->loss = said->loss;
    e->accuracy = said->accuracy;
    e->val_loss = e->val_accuracy = NAN;
    cvs_status s = CVS_OK;
    if (!r->history.stopped) {
        cvi_confusion_ask(r);
        s = cvi_trainer_evaluate(r->trainer, &r->test, &e->val_loss, &e->val_accuracy, r->err);
    }
    e->seconds = now() - begun;
    r->history.n = epoch;
    bool judged = s == CVS_OK;
    s = judged ? write_epoch(r, epoch) : s;
    cvi_free(r->confusion);
    r->confusion = NULL;
    if (!judged) {
        return s;
    }
    said->epoch_ended = true;
    said->val_loss = e->val_loss;
    said->val_accuracy = e->val_accuracy;
    bool stop = s == CVS_OK && !r->history.stopped && !tell(r, said);
    CVI_TRY(cvi_ranks_agree(r->options->comm, s, &stop, r->err));
    if (stop) {
        *more = false;
        r->history.stopped = epoch < r->training.epochs;
        return r->writes ? cvi_history_write(&r->history, r->run, r->err) : CVS_OK;
    }
    return CVS_OK;
}

static cvs_status run_epochs(cvi_loop *r) {
    bool more = may_step(r);
    r->started = now() - r->history.seconds;
    r->saved = now();
    while (r->at.epoch <= r->training.epochs && !r->at.enough && (more || r->at.taken > 0) &&
           !r->history.stopped) {
        double begun = now();
        cvs_train_step said = {.epoch = r->at.epoch, .epochs = r->training.epochs};
        CVI_TRY(run_epoch(r, &said, &more));
        CVI_TRY(end_epoch(r, begun, &said, &more));
        if (!more) {
            break;
        }
    }
    if (r->writes && (r->options->write_params || r->options->start || r->options->order)) {
        char *path = cvi_path_join(r->run, "params");
        cvs_status s = path ? cvi_params_save(&r->params, path, r->err) : cvi_no_memory(r->err, 0);
        cvi_free(path);
        CVI_TRY(s);
    }
    return CVS_OK;
}

/* What a killed process left half-written in the run's folder. */
static void remove_leftovers(const char *run) {
    DIR *dir = opendir(run);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (strncmp(e->d_name, ".convscope-", 11) == 0 && n > 4 && strcmp(e->d_name + n - 4, ".tmp") == 0) {
            (void)unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static void free_all(cvi_loop *r) {
    cvi_feed_free(r->feed); /* its thread reads the pictures */
    cvi_trainer_free(r->trainer);
    cvs_model_free(r->model); /* before the parameters that its constants point to */
    cvi_params_free(&r->params);
    cvi_samples_free(&r->train);
    cvi_samples_free(&r->test);
    cvi_free(r->order);
    cvi_free(r->history.list);
    cvi_free(r->history.doubts.sum);
    cvi_free(r->history.doubts.seen);
    cvi_pool_free(r->pool);
}

/* One picture's numbers back to colours, at (row, column) of a sheet. */
static void paint_sample(const cvi_loop *r, const float *x, cvs_tensor *sheet, int64_t row, int64_t column) {
    int64_t c = r->input[0], h = r->input[1], w = r->input[2];
    for (int64_t k = 0; k < h * w; k++) {
        int64_t at = ((row * (h + 2) + 2 + k / w) * sheet->dim[1] + column * (w + 2) + 2 + k % w) * 3;
        for (int64_t p = 0; p < 3; p++) {
            int64_t plane = c == 3 && r->model->preprocess.order == CVS_BGR ? 2 - p : CVI_MIN(p, c - 1);
            double zero = (double)r->train.value[plane][0], span = (double)r->train.value[plane][255] - zero;
            double v = span != 0 ? ((double)x[plane * h * w + k] - zero) / span * 255 : 0;
            ((uint8_t *)sheet->data)[at + p] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
        }
    }
}

cvs_status cvs_train_preview(const char *recipe, const char *data, const cvs_train_options *options, int rows,
                             int columns, cvs_tensor *out, cvs_error *err) {
    cvs_error local = {0};
    cvs_train_options o = options ? *options : (cvs_train_options){0};
    o.limit = CVI_MAX(rows, 1);
    o.resume = false;
    cvi_loop r = {.run = ".", .options = &o, .err = err ? err : &local, .at.epoch = 1};
    *out = (cvs_tensor){0};
    cvs_status s = rows < 1 || columns < 1 || rows > 1000 || columns > 1000
                       ? cvi_fail(err, CVS_E_ARGUMENT, "an option of training is negative or too large")
                       : cvi_loop_open(&r, recipe, data);
    int64_t n = s == CVS_OK ? CVI_MIN(r.train.n, (int64_t)rows) : 0;
    if (s == CVS_OK) {
        s = cvs_tensor_new(out, CVS_U8, 3,
                           (int64_t[]){n * (r.input[1] + 2) + 2, columns * (r.input[2] + 2) + 2, 3}, r.err);
    }
    if (s == CVS_OK) {
        memset(out->data, 255, out->bytes);
    }
    float *x = s == CVS_OK ? cvi_calloc((size_t)(r.input[0] * r.input[1] * r.input[2]), sizeof *x) : NULL;
    if (s == CVS_OK && !x) {
        s = cvi_no_memory(r.err, (size_t)(r.input[0] * r.input[1] * r.input[2]) * sizeof *x);
    }
    for (int64_t i = 0; i < n && s == CVS_OK; i++) {
        for (int64_t k = 0; k < columns; k++) {
            cvi_samples_get(&r.train, i, k > 0 ? &r.training.augment : NULL, r.training.seed,
                            (uint64_t)(i * columns + k), x);
            paint_sample(&r, x, out, i, k);
        }
    }
    cvi_free(x);
    free_all(&r);
    return s;
}

/* What the writing process does before the first step. */
static cvs_status begin_writing(cvi_loop *r) {
    if (!r->writes) {
        return CVS_OK;
    }
    CVI_TRY(cvi_make_folder(r->run, r->err));
    CVI_TRY(cvi_run_record_begin(r)); /* before anything is written: another process may be at it */
    if (r->options->resume) {
        remove_leftovers(r->run);
        if (r->at.step > 0) { /* what the last checkpoint says, whatever else was killed */
            CVI_TRY(write_all(r));
        }
    }
    CVI_TRY(cvi_steering_begin(r));
    CVI_TRY(cvi_run_log_begin(r));
    return r->at.step == 0 ? keep_snapshot(r, 0) : CVS_OK;
}

cvs_status cvs_train(const char *recipe, const char *data, const char *run, const cvs_train_options *options,
                     cvs_train_result *result, cvs_error *err) {
    static const cvs_train_options none;
    cvs_error local = {0};
    cvi_loop r = {.run = run, .options = options ? options : &none, .err = err ? err : &local, .at.epoch = 1};
    r.err->lang = options && options->lang ? options->lang : r.err->lang;
    const cvs_comm *comm = r.options->comm;
    r.writes = !comm || comm->rank == 0;
    cvs_status s = r.writes ? cvs_folder_check(run, r.err) : CVS_OK;
    if (s == CVS_OK) {
        s = cvi_loop_open(&r, recipe, data);
    }
    s = cvi_ranks_agree(comm, s, NULL, r.err);
    if (s == CVS_OK) {
        s = cvi_ranks_begin(&r);
    }
    if (s == CVS_OK) {
        s = cvi_ranks_agree(comm, begin_writing(&r), NULL, r.err);
    }
    if (s == CVS_OK) {
        s = cvi_ranks_steering(&r);
    }
    if (s == CVS_OK) {
        s = run_epochs(&r);
    }
    if (r.store) { /* the folder is ours */
        cvi_steering_end(&r);
    }
    cvs_status ended = cvi_run_log_end(&r, s == CVS_OK, s == CVS_OK ? r.err : NULL);
    s = s == CVS_OK ? ended : s;
    ended = cvi_run_record_end(&r, s, r.err, s == CVS_OK ? r.err : NULL);
    s = s == CVS_OK ? ended : s;
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
