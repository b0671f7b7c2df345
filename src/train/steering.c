/* SPDX-License-Identifier: MIT
 * steering.c - a run that was started with `control` looks before every step whether RUN/control.json was replaced, does what it asks and says
 * in RUN/steering.json how it stands. A change of the learning rate is remembered with its step (in history.json and in the checkpoint,
 * which is written at once), so that the run can be gone on with and repeated to the same bits.
 */
#include "train/steering.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#include "train/run_log.h"

enum { PAUSE_MS = 40, STALE_SECONDS = 15 };
#define SAY_SECONDS 2.0

static double clock_of(clockid_t which) {
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static cvs_status read_json(const char *run, const char *name, json_t **out, cvs_error *err) {
    char *path = cvi_path_join(run, name);
    cvi_file file = {0};
    cvs_limits limits = {.max_file_bytes = 1 << 20};
    cvs_status s = path ? cvi_file_read(path, &limits, &file, err) : cvi_no_memory(err, strlen(run));
    *out = NULL;
    if (s == CVS_OK) {
        s = cvi_json_parse((const char *)file.data, file.size, out, err);
    }
    cvi_file_close(&file);
    if (s == CVS_OK && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        s = cvi_fail(err, CVS_E_FORMAT, "a JSON object expected");
    }
    s = cvi_at_file(err, s, path ? path : name);
    cvi_free(path);
    return s;
}

/* Whole or not at all, without waiting for the disk: what it says is soon old. */
static cvs_status write_text(const char *run, const char *name, const cvi_buf *b, cvs_error *err) {
    char *path = cvi_path_join(run, name);
    cvi_writer w;
    cvs_status s = path && !b->failed ? cvi_writer_begin(&w, path, err) : cvi_no_memory(err, b->size);
    if (s == CVS_OK) {
        w.unsynced = true;
        s = cvi_writer_add(&w, b->data, b->size, err);
        if (s == CVS_OK) {
            s = cvi_writer_commit(&w, err);
        } else {
            cvi_writer_abort(&w);
        }
    }
    cvi_free(path);
    return s;
}

/* ---- the rate ------------------------------------------------------------------------------------------- */

static double base_rate(const cvi_loop *r, int64_t step) {
    double base = r->training.rates.learning_rate;
    for (int i = 0; i < r->steering.n && r->steering.list[i].step <= step + 1; i++) {
        base = r->steering.list[i].rate;
    }
    return base;
}

double cvi_steering_rate(const cvi_loop *r, int64_t step, int64_t per_epoch, int epoch) {
    cvi_training t = r->training;
    t.rates.learning_rate = base_rate(r, step);
    return cvi_training_rate(&t, step, r->steps, per_epoch, epoch, r->at.schedule);
}

/* ---- what was changed ----------------------------------------------------------------------------------- */

/* [[step, rate], ...] of a history.json; steps go up. */
static cvs_status read_changes(cvi_loop *r, const char *path) {
    cvi_steering *s = &r->steering;
    json_t *root = NULL;
    char *folder = cvi_path_dir(path);
    cvs_status status =
        folder ? read_json(folder, cvi_path_base(path), &root, r->err) : cvi_no_memory(r->err, strlen(path));
    const json_t *list = json_object_get(root, "changes");
    size_t n = json_array_size(list);
    cvi_change all[CVI_MAX_CHANGES];
    bool good = n <= CVI_MAX_CHANGES;
    for (size_t i = 0; i < n && good; i++) {
        const json_t *one = json_array_get(list, i), *step = json_array_get(one, 0),
                     *rate = json_array_get(one, 1);
        all[i] = (cvi_change){json_integer_value(step), json_number_value(rate)};
        good = json_is_integer(step) && json_is_number(rate) && all[i].step >= 1 && all[i].rate > 0 &&
               all[i].rate <= 1000 && (i == 0 || all[i].step >= all[i - 1].step);
    }
    if (status == CVS_OK && !good) {
        status = cvi_at_file(
            r->err,
            cvi_fail(r->err, CVS_E_FORMAT, "\"changes\" is no list of [step, learning rate], steps going up"),
            path);
    }
    if (status == CVS_OK && r->at.step == 0) { /* a checkpoint has its own */
        memcpy(s->list, all, n * sizeof *all);
        s->n = (int)n;
    }
    json_decref(root);
    cvi_free(folder);
    return status;
}

/* ---- how it stands -------------------------------------------------------------------------------------- */

static cvs_status say(cvi_loop *r, bool ended) {
    cvi_steering *s = &r->steering;
    cvi_buf b = {0};
    cvi_buf_printf(&b,
                   "{\"id\": %lld, \"paused\": %s, \"ended\": %s, \"step\": %lld, \"epoch\": %d, \"epochs\": "
                   "%d, \"learning_rate\": %.17g, \"time\": %.3f, \"changes\": [",
                   (long long)s->seen, s->paused ? "true" : "false", ended ? "true" : "false",
                   (long long)r->at.step, CVI_MIN(r->at.epoch, r->training.epochs), r->training.epochs,
                   base_rate(r, r->at.step), clock_of(CLOCK_REALTIME));
    for (int i = 0; i < s->n; i++) {
        cvi_buf_printf(&b, "%s[%lld, %.17g]", i ? ", " : "", (long long)s->list[i].step, s->list[i].rate);
    }
    cvi_buf_puts(&b, "]}\n");
    cvs_status status = write_text(r->run, "steering.json", &b, r->err);
    cvi_buf_free(&b);
    s->said = clock_of(CLOCK_MONOTONIC);
    s->said_paused = s->paused;
    return status;
}

/* ---- requests ------------------------------------------------------------------------------------------- */

static void change_rate(cvi_loop *r, double rate) {
    cvi_steering *s = &r->steering;
    char text[120];
    if (s->n > 0 && s->list[s->n - 1].step == r->at.step + 1) {
        s->n--;
    }
    if (s->n == CVI_MAX_CHANGES) {
        return;
    }
    snprintf(text, sizeof text, "learning rate %.9g, was %.9g", rate, base_rate(r, r->at.step));
    s->list[s->n++] = (cvi_change){r->at.step + 1, rate};
    r->history.n_changes = s->n;
    if (r->log) {
        cvi_events_text(r->log->train, "steering", r->at.step + 1, text);
    }
}

/* What control.json asks, once; a file that is none is passed over until the next one. */
static cvs_status take_request(cvi_loop *r) {
    cvi_steering *s = &r->steering;
    json_t *ask = NULL;
    if (read_json(r->run, "control.json", &ask, NULL) != CVS_OK) {
        return CVS_OK;
    }
    int64_t id = cvi_json_int(ask, "id", 0);
    cvs_status status = CVS_OK;
    if (id != s->seen) {
        double rate = cvi_json_number(ask, "learning_rate", 0);
        s->seen = id;
        s->paused = cvi_json_bool(ask, "pause", s->paused);
        s->left = s->paused ? CVI_MAX(cvi_json_int(ask, "steps", 0), (int64_t)0) : 0;
        if (rate > 0 && rate <= 1000) {
            change_rate(r, rate);
            status = r->at.step > 0 ? cvi_loop_checkpoint(r) : CVS_OK;
        }
        status = status == CVS_OK ? say(r, false) : status;
    }
    json_decref(ask);
    return status;
}

cvs_status cvi_steering_begin(cvi_loop *r) {
    if (r->at.step > 0) {
        r->steering.n = r->history.n_changes; /* state.c read them into the list */
    }
    if (r->options->changes) {
        CVI_TRY(read_changes(r, r->options->changes));
    }
    r->history.n_changes = r->steering.n;
    const char *const files[] = {"control.json", "steering.json"}; /* of an earlier run */
    for (int i = 0; i < CVI_COUNT(files); i++) {
        char *path = cvi_path_join(r->run, files[i]);
        if (!path) {
            return cvi_no_memory(r->err, strlen(r->run));
        }
        (void)unlink(path);
        cvi_free(path);
    }
    return r->options->control ? say(r, false) : CVS_OK;
}

cvs_status cvi_steering_wait(cvi_loop *r, cvs_train_step *said, bool *more) {
    cvi_steering *s = &r->steering;
    if (!r->options->control) {
        return CVS_OK;
    }
    CVI_TRY(take_request(r));
    if (s->left > 0) {
        s->left--;
    } else if (s->paused) {
        if (r->log) {
            CVI_TRY(cvi_events_flush(r->log->train, r->err));
        }
        CVI_TRY(say(r, false));
        while (s->paused && s->left == 0 && *more) {
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
            CVI_TRY(take_request(r));
            if (clock_of(CLOCK_MONOTONIC) - s->said > SAY_SECONDS) {
                CVI_TRY(say(r, false));
            }
            if (r->options->on_step && !r->options->on_step(r->options->context, said)) {
                r->history.stopped = true;
                *more = false;
            }
        }
        s->left -= s->left > 0;
    }
    return clock_of(CLOCK_MONOTONIC) - s->said > SAY_SECONDS ? say(r, false) : CVS_OK;
}

void cvi_steering_end(cvi_loop *r) {
    if (r->options->control) {
        cvs_error *err = r->err, quiet = {0};
        r->err = &quiet;
        (void)say(r, true);
        r->err = err;
    }
}

/* ---- from outside --------------------------------------------------------------------------------------- */

cvs_status cvs_run_steering(const char *run, cvs_steering *out, cvs_error *err) {
    json_t *root = NULL;
    *out = (cvs_steering){0};
    CVI_TRY(read_json(run, "steering.json", &root, err));
    double age = clock_of(CLOCK_REALTIME) - cvi_json_number(root, "time", 0);
    const json_t *list = json_object_get(root, "changes");
    *out = (cvs_steering){.request = cvi_json_int(root, "id", 0),
                          .paused = cvi_json_bool(root, "paused", false),
                          .ended = cvi_json_bool(root, "ended", false) || age > STALE_SECONDS,
                          .step = cvi_json_int(root, "step", 0),
                          .epoch = (int)cvi_json_int(root, "epoch", 0),
                          .epochs = (int)cvi_json_int(root, "epochs", 0),
                          .learning_rate = cvi_json_number(root, "learning_rate", 0)};
    for (size_t i = 0; i < json_array_size(list) && out->n_changes < CVS_MAX_CHANGES; i++) {
        const json_t *one = json_array_get(list, i);
        out->changes[out->n_changes].step = json_integer_value(json_array_get(one, 0));
        out->changes[out->n_changes++].learning_rate = json_number_value(json_array_get(one, 1));
    }
    json_decref(root);
    return CVS_OK;
}

cvs_status cvs_run_steer(const char *run, const cvs_steer *ask, cvs_error *err) {
    cvs_steering now;
    cvi_buf b = {0};
    CVI_TRY(cvs_run_steering(run, &now, err));
    if (now.ended) {
        return cvi_at_file(err, cvi_fail(err, CVS_E_NOT_FOUND, "this run does not go on any more"), run);
    }
    if (!isfinite(ask->learning_rate) || ask->learning_rate < 0 || ask->learning_rate > 1000 ||
        ask->steps < 0 || ask->steps > 1000000000) {
        return cvi_fail(err, CVS_E_ARGUMENT, "an option of training is negative or too large");
    }
    int64_t id = (int64_t)(clock_of(CLOCK_REALTIME) * 1e6);
    cvi_buf_printf(&b, "{\"id\": %lld, \"pause\": %s", (long long)id,
                   (ask->keep_pause ? now.paused : ask->pause) ? "true" : "false");
    if (ask->steps > 0) {
        cvi_buf_printf(&b, ", \"steps\": %lld", (long long)ask->steps);
    }
    if (ask->learning_rate > 0) {
        cvi_buf_printf(&b, ", \"learning_rate\": %.17g", ask->learning_rate);
    }
    cvi_buf_puts(&b, "}\n");
    cvs_status s = write_text(run, "control.json", &b, err);
    cvi_buf_free(&b);
    return s;
}
