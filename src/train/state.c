/* SPDX-License-Identifier: MIT
 * state.c - RUN/state.safetensors, the checkpoint that a run goes on from: every parameter and running statistic by name, the
 * optimiser's buffers as NAME/slot, and as metadata where the run stands, the rows of its history and the settings that its bits depend
 * on. Other programs can read the weights; a run goes on from this file alone. Numbers are written so that reading gives them back exactly.
 */
#include <math.h>
#include <stdlib.h>

#include "formats/safetensors.h"
#include "train/trainer.h"

/* ---- what the bits depend on ---------------------------------------------------------------------------- */

static void put_numbers(cvi_buf *b, const char *key, const double *v, int n) {
    cvi_buf_printf(b, "%s=", key);
    for (int i = 0; i < n; i++) {
        cvi_buf_printf(b, "%s%.17g", i ? "," : "", v[i]);
    }
    cvi_buf_puts(b, ";");
}

static void put_number(cvi_buf *b, const char *key, double v) {
    put_numbers(b, key, &v, 1);
}

/* "key=value;..." */
static void put_settings(cvi_buf *b, const cvi_history *h) {
    const cvi_training *t = h->training;
    const cvi_rates *r = &t->rates;
    cvi_buf_printf(b, "optimizer=%s;profile=%s;loss=%s;schedule=%s;", t->optimizer->name,
                   r->profile == CVI_KERAS ? "keras" : "torch", t->loss->name, t->schedule->name);
    put_number(b, "learning rate", r->learning_rate);
    put_number(b, "momentum", r->momentum);
    put_numbers(b, "betas", (double[]){r->beta1, r->beta2, r->rho}, 3);
    put_number(b, "eps", r->epsilon);
    put_number(b, "decay", r->decay);
    put_numbers(b, "variant", (double[]){r->variant, r->dampening}, 2);
    put_numbers(b, "loss settings", t->loss_values, CVI_MAX_SETTINGS);
    put_numbers(b, "class weights", t->class_weights, t->class_weights ? t->n_classes : 0);
    put_numbers(b, "schedule settings", t->schedule_values, CVI_MAX_SETTINGS);
    for (int i = 0; i < t->n_points; i++) {
        put_numbers(b, "point", (double[]){t->points[i].at, t->points[i].factor, t->points[i].epochs}, 3);
    }
    put_numbers(b, "warmup", (double[]){t->warm_steps, t->warm_epochs, t->warm_from}, 3);
    put_numbers(b, "clip", (double[]){t->clip_norm, t->clip_value, t->clip_each}, 3);
    put_numbers(b, "penalty", (double[]){t->l1, t->l2}, 2);
    put_numbers(b, "watch", (double[]){(double)t->watched, t->stops, t->patience, t->delta}, 4);
    put_number(b, "batch", t->batch);
    if (t->holdout > 0) {
        put_number(b, "holdout", t->holdout);
    }
    put_numbers(b, "arithmetic", (double[]){t->exact, t->normalise}, 2);
    if (t->shards > 0) {
        put_number(b, "shards", t->shards);
    }
    const cvi_augment *a = &t->augment;
    put_numbers(b, "augment",
                (double[]){(double)a->shift, a->flip, a->rotate, a->scale, a->brightness, a->contrast,
                           (double)a->cutout, (double)a->crop, a->colour, a->mixup},
                10);
    cvi_buf_printf(b, "seed=%llu;pictures=%lld;test pictures=%lld;", (unsigned long long)t->seed,
                   (long long)h->pictures, (long long)h->val_pictures);
    cvi_buf_printf(b, "data=%016llx;test data=%016llx;order=%016llx;", (unsigned long long)h->fingerprint,
                   (unsigned long long)h->val_fingerprint, (unsigned long long)h->order_fingerprint);
}

/* The first "key=value" that differs, of both, cut to what people read. */
static cvs_status compare_settings(const char *then, const char *now, cvs_error *err) {
    while (*then && *now) {
        size_t a = strcspn(then, ";"), b = strcspn(now, ";");
        if (a != b || memcmp(then, now, a) != 0) {
            return cvi_fail(err, CVS_E_ARGUMENT,
                            "this run was made with %.*s, not with %.*s; it can only go on with the settings "
                            "that it began with",
                            (int)CVI_MIN(a, 80), then, (int)CVI_MIN(b, 80), now);
        }
        then += a + (then[a] == ';');
        now += b + (now[b] == ';');
    }
    return *then == *now
               ? CVS_OK
               : cvi_fail(err, CVS_E_FORMAT, "the settings of this checkpoint are of another version");
}

/* ---- where the run stands ------------------------------------------------------------------------------- */

enum { STANDING = 9 + CVI_MAX_SETTINGS, ROW = 5 };

static void standing_numbers(const cvi_standing *at, double v[STANDING]) {
    double first[9] = {(double)at->step,  at->epoch, (double)at->taken,      at->loss,
                       (double)at->right, at->best,  (double)at->best_epoch, (double)at->waited,
                       at->enough};
    memcpy(v, first, sizeof first);
    memcpy(v + 9, at->schedule, sizeof at->schedule);
}

static void row_numbers(const cvi_epoch *e, double v[ROW]) {
    double row[ROW] = {e->loss, e->accuracy, e->val_loss, e->val_accuracy, e->learning_rate};
    memcpy(v, row, sizeof row);
}

/* Numbers separated by commas; false unless there are n of them and no more. */
static bool read_numbers(const char *text, double *v, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        char *end;
        v[i] = strtod(text, &end);
        if (end == text || (i + 1 < n ? *end != ',' : *end != 0)) {
            return false;
        }
        text = end + 1;
    }
    return n > 0;
}

/* A counter: whole, in [low, high]. */
static bool is_count(double v, double low, double high) {
    return v >= low && v <= high && v == floor(v);
}

static bool read_standing(const char *text, cvi_standing *at) {
    double v[STANDING];
    if (!text || !read_numbers(text, v, STANDING) || !is_count(v[0], 0, 9e15) || !is_count(v[1], 1, 1e9) ||
        !is_count(v[2], 0, 9e15) || !is_count(v[4], 0, 9e15) || !is_count(v[6], 0, 1e9) ||
        !is_count(v[7], 0, 1e9)) {
        return false;
    }
    *at = (cvi_standing){.step = (int64_t)v[0],
                         .epoch = (int)v[1],
                         .taken = (int64_t)v[2],
                         .loss = v[3],
                         .right = (int64_t)v[4],
                         .best = v[5],
                         .best_epoch = (int)v[6],
                         .waited = (int)v[7],
                         .enough = v[8] != 0};
    memcpy(at->schedule, v + 9, sizeof at->schedule);
    return true;
}

/* Rows of whole epochs. */
static bool read_rows(const char *text, int n, cvi_epoch *list) {
    double v[ROW];
    for (int i = 0; i < n; i++) {
        size_t length = text ? strcspn(text, ";") : 0;
        char row[400];
        if (length == 0 || length >= sizeof row) {
            return false;
        }
        memcpy(row, text, length);
        row[length] = 0;
        if (!read_numbers(row, v, ROW)) {
            return false;
        }
        list[i] = (cvi_epoch){v[0], v[1], v[2], v[3], v[4], (double)NAN};
        text += length + (text[length] == ';');
    }
    return true;
}

/* Changes of the learning rate by hand; a run without any has none. */
static bool read_changes(const char *text, cvi_history *h) {
    h->n_changes = 0;
    while (text && *text) {
        double v[2];
        size_t length = strcspn(text, ";");
        char row[100];
        if (length >= sizeof row || h->n_changes == CVI_MAX_CHANGES) {
            return false;
        }
        memcpy(row, text, length);
        row[length] = 0;
        if (!read_numbers(row, v, 2) || !is_count(v[0], 1, 9e15) || !(v[1] > 0)) {
            return false;
        }
        h->changes[h->n_changes++] = (cvi_change){(int64_t)v[0], v[1]};
        text += length + (text[length] == ';');
    }
    return true;
}

/* ---- the file ------------------------------------------------------------------------------------------- */

static cvs_status list_tensors(const cvi_params *p, const cvi_training *t, cvi_arena *arena,
                               cvi_safetensor *list, int *n, cvs_error *err) {
    for (int i = 0; i < p->n; i++) {
        const cvi_param *param = &p->list[i];
        list[(*n)++] = (cvi_safetensor){param->name, param->now};
        for (int k = 0; param->trained && k < p->n_slots; k++) {
            cvs_tensor slot = param->now;
            slot.data = param->slots[k];
            slot.owned = false;
            const char *name = cvi_arena_printf(arena, "%s/%s", param->name, t->optimizer->slots[k]);
            if (!name) {
                return cvi_no_memory(err, strlen(param->name));
            }
            list[(*n)++] = (cvi_safetensor){name, slot};
        }
    }
    return CVS_OK;
}

static void list_doubts(const cvi_doubts *d, cvi_safetensor *list, int *n) {
    if (d->n > 0) {
        cvs_tensor sum = {.dtype = CVS_F32,
                          .rank = 1,
                          .dim = {d->n},
                          .data = d->sum,
                          .bytes = (size_t)d->n * sizeof *d->sum};
        cvs_tensor seen = {.dtype = CVS_I32,
                           .rank = 1,
                           .dim = {d->n},
                           .data = d->seen,
                           .bytes = (size_t)d->n * sizeof *d->seen};
        list[(*n)++] = (cvi_safetensor){"doubts/sum", sum};
        list[(*n)++] = (cvi_safetensor){"doubts/seen", seen};
    }
}

/* A checkpoint of a run without events has none: then they begin as 0. */
static void take_doubts(const cvi_safetensors *f, cvi_doubts *d) {
    const cvs_tensor *sum = cvi_safetensors_find(f, "doubts/sum"),
                     *seen = cvi_safetensors_find(f, "doubts/seen");
    size_t bytes = (size_t)d->n * sizeof *d->sum;
    if (d->n > 0 && sum && seen && sum->dtype == CVS_F32 && seen->dtype == CVS_I32 && sum->bytes == bytes &&
        seen->bytes == bytes) {
        memcpy(d->sum, sum->data, bytes);
        memcpy(d->seen, seen->data, bytes);
    }
}

/* The metadata; the strings live in the arena and in `texts`. false: out of memory. */
static bool list_pairs(const cvi_standing *at, const cvi_history *h, cvi_arena *arena, cvi_buf texts[4],
                       const char *pairs[18]) {
    double v[STANDING], row[ROW];
    standing_numbers(at, v);
    for (int i = 0; i < STANDING; i++) {
        cvi_buf_printf(&texts[0], "%s%.17g", i ? "," : "", v[i]);
    }
    cvi_buf_puts(&texts[1], "");
    for (int i = 0; i < CVI_MIN(h->n, at->epoch - 1); i++) {
        row_numbers(&h->list[i], row);
        for (int k = 0; k < ROW; k++) {
            cvi_buf_printf(&texts[1], "%s%.17g", k ? "," : "", row[k]);
        }
        cvi_buf_puts(&texts[1], ";");
    }
    put_settings(&texts[2], h);
    for (int i = 0; i < h->n_changes; i++) {
        cvi_buf_printf(&texts[3], "%lld,%.17g;", (long long)h->changes[i].step, h->changes[i].rate);
    }
    const char *all[18] = {
        "format",    "convscope-state",
        "optimizer", h->training->optimizer->name,
        "step",      cvi_arena_printf(arena, "%lld", (long long)at->step),
        "epoch",     cvi_arena_printf(arena, "%d", CVI_MIN(h->n, at->epoch)),
        "seed",      cvi_arena_printf(arena, "%llu", (unsigned long long)h->training->seed),
        "standing",  texts[0].data,
        "history",   texts[1].data,
        "settings",  texts[2].data,
        "changes",   texts[3].data};
    memcpy(pairs, all, sizeof all);
    return pairs[5] && pairs[7] && pairs[9] && !texts[0].failed && !texts[1].failed && !texts[2].failed &&
           !texts[3].failed;
}

cvs_status cvi_state_write(const cvi_params *p, const cvi_standing *at, const cvi_history *h, const char *run,
                           cvs_error *err) {
    cvi_arena *arena = cvi_arena_new(0);
    char *path = cvi_path_join(run, "state.safetensors");
    size_t room = (size_t)p->n * (size_t)(1 + p->n_slots);
    cvi_safetensor *list = cvi_calloc(room + 3, sizeof *list);
    cvi_buf texts[4] = {{0}};
    const char *pairs[18];
    cvs_status s = CVS_OK;
    int n = 0;
    if (!arena || !path || !list || !list_pairs(at, h, arena, texts, pairs)) {
        s = cvi_no_memory(err, room * sizeof *list);
    }
    if (s == CVS_OK) {
        s = list_tensors(p, h->training, arena, list, &n, err);
        list_doubts(&h->doubts, list, &n);
    }
    if (s == CVS_OK) {
        s = cvi_safetensors_write(path, list, n, pairs, h->n_changes > 0 ? 9 : 8, err);
    }
    for (int i = 0; i < 4; i++) {
        cvi_buf_free(&texts[i]);
    }
    cvi_free(list);
    cvi_free(path);
    cvi_arena_free(arena);
    return s;
}

static const char *pair_of(const cvi_safetensors *f, const char *key) {
    for (int i = 0; i < f->n_pairs; i++) {
        if (strcmp(f->pairs[2 * i], key) == 0) {
            return f->pairs[2 * i + 1];
        }
    }
    return NULL;
}

static cvs_status take_tensor(const cvi_safetensors *f, const char *name, const cvs_tensor *like, void *to,
                              cvs_error *err) {
    const cvs_tensor *t = cvi_safetensors_find(f, name);
    if (!t || t->dtype != CVS_F32 || t->rank != like->rank || t->bytes != like->bytes ||
        memcmp(t->dim, like->dim, sizeof *t->dim * (size_t)t->rank) != 0) {
        return cvi_fail(err, CVS_E_FORMAT,
                        "%.200s is missing in this checkpoint or has another shape; it is of "
                        "another network",
                        name);
    }
    if (t->bytes > 0) {
        memcpy(to, t->data, t->bytes);
    }
    return CVS_OK;
}

static cvs_status take_tensors(const cvi_safetensors *f, cvi_params *p, const cvi_optimizer *o,
                               cvs_error *err) {
    for (int i = 0; i < p->n; i++) {
        cvi_param *param = &p->list[i];
        CVI_TRY(take_tensor(f, param->name, &param->now, param->now.data, err));
        for (int k = 0; param->trained && k < p->n_slots; k++) {
            char *name = cvi_arena_printf(f->arena, "%s/%s", param->name, o->slots[k]);
            if (!name) {
                return cvi_no_memory(err, strlen(param->name));
            }
            CVI_TRY(take_tensor(f, name, &param->now, param->slots[k], err));
        }
    }
    return CVS_OK;
}

static cvs_status take_all(const cvi_safetensors *f, cvi_params *p, cvi_standing *at, cvi_history *h,
                           int room, cvs_error *err) {
    const char *settings = pair_of(f, "settings");
    cvi_buf now = {0};
    cvi_standing then = {0};
    if (!settings || !read_standing(pair_of(f, "standing"), &then)) {
        return cvi_fail(err, CVS_E_FORMAT,
                        "this file does not say where the run stood; it is no checkpoint to go on "
                        "from");
    }
    put_settings(&now, h);
    cvs_status s = now.failed ? cvi_no_memory(err, 0) : compare_settings(settings, now.data, err);
    cvi_buf_free(&now);
    CVI_TRY(s);
    if (then.epoch - 1 > room) {
        return cvi_fail(err, CVS_E_ARGUMENT, "%d epochs are made already, more than the %d asked for",
                        then.epoch - 1, room);
    }
    if (!read_rows(pair_of(f, "history"), then.epoch - 1, h->list)) {
        return cvi_fail(err, CVS_E_FORMAT, "the curves in this checkpoint are damaged");
    }
    if (!read_changes(pair_of(f, "changes"), h)) {
        return cvi_fail(err, CVS_E_FORMAT, "the curves in this checkpoint are damaged");
    }
    CVI_TRY(take_tensors(f, p, h->training->optimizer, err));
    take_doubts(f, &h->doubts);
    h->n = then.epoch - 1;
    *at = then;
    return CVS_OK;
}

cvs_status cvi_state_read(cvi_params *p, cvi_standing *at, cvi_history *h, int room, const char *run,
                          const cvs_limits *limits, bool *found, cvs_error *err) {
    char *path = cvi_path_join(run, "state.safetensors");
    cvi_safetensors file = {0};
    cvs_status s = path ? CVS_OK : cvi_no_memory(err, 0);
    *found = path && cvi_is_file(path);
    if (*found) {
        s = cvi_safetensors_read(path, limits, &file, err);
        if (s == CVS_OK) {
            s = cvi_at_file(err, take_all(&file, p, at, h, room, err), path);
            cvi_safetensors_free(&file);
        }
    }
    cvi_free(path);
    return s;
}
