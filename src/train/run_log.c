/* SPDX-License-Identifier: MIT
 * run_log.c - event files of a run: the loss and rate of every step, the rows of the epochs under Keras's names (epoch_loss in train and
 * validation), histograms of the weights, the filters of the first layer as a picture, the network, the recipe and its settings.
 */
#include "train/run_log.h"

#include "train/confusion.h"
#include "train/tally.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { BINS = 30, TILE = 24, MOST_FILTERS = 256 };
#define FLUSH_SECONDS 2.0

/* Files of an earlier run in this folder, written by this program. */
static void remove_old(const char *folder) {
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (strncmp(e->d_name, "events.out.tfevents.", 20) == 0 && strstr(e->d_name, ".convscope.")) {
            (void)unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static cvs_status open_one(cvi_loop *r, const char *name, cvi_events **out) {
    char *folder = cvi_path_join(r->run, name);
    if (!folder) {
        return cvi_no_memory(r->err, strlen(r->run));
    }
    if (r->at.step == 0) {
        remove_old(folder);
    }
    cvs_status s = cvi_events_open(folder, -1, out, r->err);
    cvi_free(folder);
    if (s == CVS_OK && r->at.step > 0) {
        cvi_events_restart(*out, r->at.step + 1);
    }
    return s;
}

static void say_settings(const cvi_loop *r) {
    const cvi_training *t = &r->training;
    const cvi_hparam list[] = {
        {"recipe", r->history.recipe, 0},
        {"data", r->history.data, 0},
        {"optimizer", t->optimizer->name, 0},
        {"loss", t->loss->name, 0},
        {"schedule", t->schedule->name, 0},
        {"learning_rate", NULL, t->rates.learning_rate},
        {"batch", NULL, t->batch},
        {"epochs", NULL, t->epochs},
        {"decay", NULL, t->rates.decay},
        {"l2", NULL, t->l2},
        {"seed", NULL, (double)t->seed},
        {"parameters", NULL, (double)r->params.numbers},
        {"pictures", NULL, (double)r->train.n},
    };
    cvi_events_hparams(r->log->train, list, CVI_COUNT(list));
    cvi_events_graph(r->log->train, r->model->graph);
}

/* The recipe as the user wrote it, where it is a text. */
static void say_recipe(const cvi_loop *r) {
    cvi_file file = {0};
    cvi_buf b = {0};
    cvs_limits limits = {.max_file_bytes = 1 << 20};
    if (r->model->recipe.n == 0 || cvi_file_read(r->history.recipe, &limits, &file, NULL) != CVS_OK) {
        return;
    }
    cvi_buf_puts(&b, "```\n");
    cvi_buf_add(&b, file.data, file.size);
    cvi_buf_puts(&b, "\n```\n");
    if (!b.failed) {
        cvi_events_text(r->log->train, "recipe", 0, b.data);
    }
    cvi_buf_free(&b);
    cvi_file_close(&file);
}

cvs_status cvi_run_log_begin(cvi_loop *r) {
    if (r->options->no_events) {
        return CVS_OK;
    }
    r->log = cvi_calloc(1, sizeof *r->log);
    if (!r->log) {
        return cvi_no_memory(r->err, sizeof *r->log);
    }
    CVI_TRY(open_one(r, "train", &r->log->train));
    CVI_TRY(open_one(r, "validation", &r->log->validation));
    if (r->at.step == 0) {
        say_settings(r);
        say_recipe(r);
        CVI_TRY(cvi_health_data(r, r->log->train));
    }
    return cvi_health_new(r, &r->log->health, r->err);
}

void cvi_run_log_before(cvi_loop *r, int64_t n) {
    cvi_run_log *log = r->log;
    if (log) {
        cvi_health_before(log->health, r, n);
    }
    if (log && r->at.taken + n >= r->n_order) {
        int64_t at = 0;
        log->before = log->before
                          ? log->before
                          : cvi_malloc((size_t)CVI_MAX(r->params.numbers, (int64_t)1) * sizeof *log->before);
        /* Without room: no histograms of changes. */
        for (int i = 0; log->before && i < r->params.n_trained; i++) {
            const cvs_tensor *w = &r->params.list[i].now;
            memcpy(log->before + at, w->data, (size_t)cvs_tensor_count(w) * sizeof *log->before);
            at += cvs_tensor_count(w);
        }
    }
}

cvs_status cvi_run_log_step(cvi_loop *r, int64_t n, double loss, double rate, double clock) {
    cvi_run_log *log = r->log;
    if (!log) {
        return CVS_OK;
    }
    cvi_events_scalar(log->train, "batch_loss", r->at.step, loss);
    cvi_events_scalar(log->train, "learning_rate", r->at.step, rate);
    cvi_health_after(log->health, r, log->train, n);
    if (clock - log->flushed < FLUSH_SECONDS) {
        return CVS_OK;
    }
    log->flushed = clock;
    return cvi_events_flush(log->train, r->err);
}

/* ---- what the weights are like -------------------------------------------------------------------------- */

void cvi_run_log_histogram(cvi_events *e, const char *who, const char *what, int64_t step, const float *v,
                           int64_t n) {
    char tag[700];
    snprintf(tag, sizeof tag, "%.600s/%s", who, what);
    double left[BINS], right[BINS], count[BINS] = {0};
    cvi_extremes x = cvi_tally_extremes(v, n);
    if (x.finite == 0) {
        return;
    }
    double lo = (double)x.least, hi = (double)x.most, width = (hi - lo) / BINS;
    cvi_tally_count(v, n, &x, BINS, count);
    for (int b = 0; b < BINS; b++) {
        left[b] = lo + b * width;
        right[b] = b == BINS - 1 ? hi : lo + (b + 1) * width;
    }
    cvi_events_histogram(e, tag, step, &(cvi_bins){BINS, left, right, count});
}

/* The kernels of the layer that sees the picture: w [K,C,h,w] with C of 1 or 3, as an RGB sheet. */
static cvs_status draw_filters(const cvs_tensor *w, cvs_tensor *out, cvs_error *err) {
    int64_t n = CVI_MIN(w->dim[0], (int64_t)MOST_FILTERS), c = w->dim[1], kh = w->dim[2], kw = w->dim[3];
    int64_t scale = CVI_MAX(1, TILE / CVI_MAX(CVI_MAX(kh, kw), 1)), tall = kh * scale + 2,
            wide = kw * scale + 2;
    int64_t across = (int64_t)ceil(sqrt((double)n)), down = (n + across - 1) / across;
    CVI_TRY(cvs_tensor_new(out, CVS_U8, 3, (int64_t[]){down * tall + 2, across * wide + 2, 3}, err));
    uint8_t *to = out->data;
    memset(to, 255, out->bytes);
    for (int64_t k = 0; k < n; k++) {
        const float *v = (const float *)w->data + k * c * kh * kw;
        double most = 1e-12;
        for (int64_t i = 0; i < c * kh * kw; i++) {
            most = fmax(most, fabs((double)v[i]));
        }
        for (int64_t y = 0; y < kh * scale; y++) {
            for (int64_t x = 0; x < kw * scale; x++) {
                int64_t at = ((k / across * tall + 2 + y) * out->dim[1] + k % across * wide + 2 + x) * 3;
                for (int64_t p = 0; p < 3; p++) {
                    double one = (double)v[(c == 3 ? p : 0) * kh * kw + y / scale * kw + x / scale];
                    to[at + p] = (uint8_t)(127.5 + 127.5 * (isfinite(one) ? one / most : 0));
                }
            }
        }
    }
    return CVS_OK;
}

static cvs_status add_filters(cvi_loop *r, int64_t step) {
    for (int i = 0; i < r->params.n_trained; i++) {
        const cvi_param *p = &r->params.list[i];
        if (p->weight && p->now.rank == 4 && p->now.dim[2] > 1 &&
            (p->now.dim[1] == 1 || p->now.dim[1] == 3)) {
            cvs_tensor sheet = {0};
            CVI_TRY(draw_filters(&p->now, &sheet, r->err));
            char *tag = cvi_path_join(p->name, "filters");
            if (tag) {
                cvi_events_image(r->log->train, tag, step, &sheet);
            }
            cvi_free(tag);
            cvs_tensor_free(&sheet);
            return CVS_OK;
        }
    }
    return CVS_OK;
}

/* Of every weight the gradient of the epoch's last step, as it was used, and what the step changed. */
static void add_last_step(const cvi_loop *r, int64_t step) {
    const cvi_run_log *log = r->log;
    int64_t at = 0;
    for (int i = 0; log->before && r->at.taken >= r->n_order && i < r->params.n_trained; i++) {
        const cvi_param *p = &r->params.list[i];
        const float *g = cvi_trainer_gradient(r->trainer, i), *now = p->now.data;
        float *was = log->before + at;
        int64_t n = cvs_tensor_count(&p->now);
        at += n;
        if (!p->weight || !g) {
            continue;
        }
        for (int64_t k = 0; k < n; k++) {
            was[k] = now[k] - was[k];
        }
        cvi_run_log_histogram(log->train, p->name, "gradients", step, g, n);
        cvi_run_log_histogram(log->train, p->name, "updates", step, was, n);
    }
}

cvs_status cvi_run_log_epoch(cvi_loop *r, int epoch) {
    cvi_run_log *log = r->log;
    const cvi_epoch *e = &r->history.list[epoch - 1];
    int64_t step = epoch - 1; /* as Keras counts */
    if (!log) {
        return CVS_OK;
    }
    cvi_events_scalar(log->train, "epoch_loss", step, e->loss);
    cvi_events_scalar(log->train, "epoch_accuracy", step, e->accuracy);
    if (isfinite(e->val_loss)) {
        cvi_events_scalar(log->validation, "epoch_loss", step, e->val_loss);
        cvi_events_scalar(log->validation, "epoch_accuracy", step, e->val_accuracy);
    }
    CVI_TRY(cvi_confusion_add(r, log->validation, step));
    for (int i = 0; i < r->params.n_trained; i++) {
        const cvi_param *p = &r->params.list[i];
        cvi_run_log_histogram(log->train, p->name, "histogram", step, p->now.data, cvs_tensor_count(&p->now));
    }
    add_last_step(r, step);
    CVI_TRY(add_filters(r, step));
    CVI_TRY(cvi_health_epoch(log->health, r, log->train));
    CVI_TRY(cvi_events_flush(log->validation, r->err));
    return cvi_events_flush(log->train, r->err);
}

cvs_status cvi_run_log_end(cvi_loop *r, bool success, cvs_error *err) {
    cvi_run_log *log = r->log;
    if (!log) {
        return CVS_OK;
    }
    if (log->train && (!success || r->history.n >= r->training.epochs || r->at.enough)) {
        cvi_events_hparams_end(log->train, success);
    }
    cvs_status s = cvi_events_close(log->train, err);
    cvs_status t = cvi_events_close(log->validation, s == CVS_OK ? err : NULL);
    cvi_health_free(log->health);
    cvi_free(log->before);
    cvi_free(log);
    r->log = NULL;
    return s == CVS_OK ? t : s;
}
