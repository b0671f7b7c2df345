/* SPDX-License-Identifier: MIT
 * recipe.c - the words of a train { } block into settings. One row per key: what it takes and where it goes; options given by
 * the caller win. docs/training.md is the manual.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "formats/net.h"
#include "train/trainer.h"

typedef struct reading {
    const cvs_model *model;
    const char *where; /* file of the words, or the option that holds them */
    cvi_training *out;
    cvi_rates given; /* not a number: not given */
    bool nesterov;
    cvs_error *err;
    bool given_profile, given_init;
} reading;

static cvs_status fail_at(const reading *r, const cvi_recipe_word *w, cvs_status s) {
    return cvi_at_line(r->err, cvi_at_file(r->err, s, r->where), w->line, w->column);
}

/* A number in [low, high], whole where `whole`. `text` is w's, or what stands behind its '='. */
static cvs_status number(const reading *r, const cvi_recipe_word *w, const char *text, double low,
                         double high, bool whole, double *out) {
    char *end = NULL;
    bool digits = isdigit((unsigned char)text[0]) || text[0] == '.' || text[0] == '-';
    double v = digits ? strtod(text, &end) : 0;
    if (!digits || end == text || *end || !isfinite(v)) {
        return fail_at(r, w, cvi_fail(r->err, CVS_E_FORMAT, "a number expected, not \"%.60s\"", text));
    }
    if (v < low || v > high || (whole && v != floor(v))) {
        return fail_at(
            r, w,
            whole ? cvi_fail(r->err, CVS_E_FORMAT,
                             "%.60s is not possible here; a whole number from %.0f to %.0f expected", text,
                             low, high)
                  : cvi_fail(r->err, CVS_E_FORMAT,
                             "%.60s is not possible here; a number from %g to %g expected", text, low, high));
    }
    *out = v;
    return CVS_OK;
}

/* What stands behind "key=" in a word, or NULL. */
static const char *behind(const char *text, const char *key) {
    size_t n = strlen(key);
    return strncmp(text, key, n) == 0 && text[n] == '=' ? text + n + 1 : NULL;
}

/* One "key=number" of a statement. */
typedef struct pair {
    const char *key;
    double low, high;
    bool whole;
    double *out;
} pair;

static cvs_status read_pair(const reading *r, const cvi_recipe_word *w, const pair *pairs, int n) {
    for (int i = 0; i < n; i++) {
        const char *text = behind(w->text, pairs[i].key);
        if (text) {
            return number(r, w, text, pairs[i].low, pairs[i].high, pairs[i].whole, pairs[i].out);
        }
    }
    return fail_at(r, w, cvi_fail(r->err, CVS_E_FORMAT, "\"%.60s\" is not known here", w->text));
}

/* "key=number" among the settings of a named choice; `values` begin with the defaults. */
static cvs_status read_settings(const reading *r, const cvi_recipe_statement *s, const cvi_setting *settings,
                                double *values) {
    pair pairs[CVI_MAX_SETTINGS];
    int n = 0;
    for (; n < CVI_MAX_SETTINGS && settings[n].key; n++) {
        values[n] = settings[n].initial;
        pairs[n] = (pair){settings[n].key, settings[n].low, settings[n].high, settings[n].whole, &values[n]};
    }
    for (int i = 2; i < s->n; i++) {
        CVI_TRY(read_pair(r, &s->words[i], pairs, n));
    }
    return CVS_OK;
}

static cvs_status no_optimizer(cvs_error *err, const char *name) {
    char names[200];
    return cvi_fail(err, CVS_E_FORMAT, "there is no optimizer \"%.60s\"; there are %.200s", name,
                    cvi_optimizer_names(names, sizeof names));
}

static cvs_status no_loss(cvs_error *err, const char *name) {
    char names[200];
    return cvi_fail(err, CVS_E_FORMAT, "there is no loss \"%.60s\"; there are %.200s", name,
                    cvi_loss_names(names, sizeof names));
}

static cvs_status find_profile(cvs_error *err, const char *name, cvi_profile *out) {
    if (strcmp(name, "torch") != 0 && strcmp(name, "keras") != 0) {
        return cvi_fail(err, CVS_E_FORMAT, "there is no profile \"%.60s\"; there are torch and keras", name);
    }
    *out = name[0] == 't' ? CVI_TORCH : CVI_KERAS;
    return CVS_OK;
}

static cvs_status read_optimizer(reading *r, const cvi_recipe_statement *s) {
    cvi_rates *given = &r->given;
    const pair pairs[] = {
        {"lr", 0, 1000, false, &given->learning_rate},   {"momentum", 0, 1, false, &given->momentum},
        {"dampening", 0, 1, false, &given->dampening},   {"beta1", 0, 0.999999, false, &given->beta1},
        {"beta2", 0, 0.999999999, false, &given->beta2}, {"rho", 0, 0.999999999, false, &given->rho},
        {"eps", 0, 1, false, &given->epsilon},           {"decay", 0, 1, false, &given->decay}};
    r->out->optimizer = cvi_optimizer_find(s->words[1].text);
    if (!r->out->optimizer) {
        return fail_at(r, &s->words[1], no_optimizer(r->err, s->words[1].text));
    }
    const char *variant = r->out->optimizer->variant;
    bool slides =
        strcmp(r->out->optimizer->name, "sgd") == 0 || strcmp(r->out->optimizer->name, "momentum") == 0;
    given->variant = false;
    for (int i = 2; i < s->n; i++) {
        if (variant && strcmp(s->words[i].text, variant) == 0) {
            given->variant = true;
        } else if (slides && strcmp(s->words[i].text, "nesterov") == 0) {
            r->nesterov = true;
        } else {
            CVI_TRY(read_pair(r, &s->words[i], pairs, CVI_COUNT(pairs)));
        }
    }
    return CVS_OK;
}

/* "init NAME setting=X names...", the names being beginnings of parameters' names. */
static cvs_status read_init_as(const reading *r, const cvi_recipe_statement *s, cvi_initialiser *out,
                               int *names) {
    char known[300];
    int i = 2;
    if (!cvi_initialiser_find(s->words[1].text, out)) {
        return fail_at(r, &s->words[1],
                       cvi_fail(r->err, CVS_E_FORMAT, "there is no initialiser \"%.60s\"; there are %.300s",
                                s->words[1].text, cvi_initialiser_names(known, sizeof known)));
    }
    for (; i < s->n && strchr(s->words[i].text, '='); i++) {
        const pair setting = {out->key ? out->key : "", -1e6, 1e6, false, &out->value};
        CVI_TRY(read_pair(r, &s->words[i], &setting, out->key != NULL));
    }
    *names = s->n - i;
    return CVS_OK;
}

static cvs_status read_init(reading *r, const cvi_recipe_statement *s) {
    cvi_initialiser how;
    int names = 0;
    CVI_TRY(read_init_as(r, s, &how, &names));
    if (names == 0) {
        r->out->init = how;
        r->given_init = true;
    }
    return CVS_OK;
}

/* Of the kernel of this name, in a recipe that was read without fault. */
static cvi_initialiser initialiser_of(const cvi_training *t, const cvs_model *model, const char *name) {
    const reading r = {.model = model, .where = model->path};
    cvi_initialiser found = t->init;
    for (int i = 0; t->recipe && i < t->recipe->n; i++) {
        const cvi_recipe_statement *s = &t->recipe->statements[i];
        cvi_initialiser how;
        int names = 0;
        if (strcmp(s->words[0].text, "init") != 0 || read_init_as(&r, s, &how, &names) != CVS_OK) {
            continue;
        }
        for (int w = s->n - names; w < s->n; w++) {
            found = strncmp(name, s->words[w].text, strlen(s->words[w].text)) == 0 ? how : found;
        }
    }
    return found;
}

typedef struct choosing {
    const cvi_training *training;
    const cvs_model *model;
} choosing;

static cvi_initialiser choose(const void *context, const char *name) {
    const choosing *c = context;
    return initialiser_of(c->training, c->model, name);
}

cvs_status cvi_training_init(const cvi_training *t, cvs_model *model, cvs_error *err) {
    const choosing c = {t, model};
    return cvi_ops_init_by(model, t->seed, &(cvi_init){t->rates.profile == CVI_KERAS, choose, &c}, err);
}

static cvs_status read_profile(reading *r, const cvi_recipe_statement *s) {
    r->given_profile = true;
    cvs_status status = find_profile(r->err, s->words[1].text, &r->given.profile);
    return status == CVS_OK ? status : fail_at(r, &s->words[1], status);
}

static cvs_status read_loss(reading *r, const cvi_recipe_statement *s) {
    r->out->loss = cvi_loss_find(s->words[1].text);
    if (!r->out->loss) {
        return fail_at(r, &s->words[1], no_loss(r->err, s->words[1].text));
    }
    return read_settings(r, s, r->out->loss->settings, r->out->loss_values);
}

/* One number a class. */
static cvs_status read_weights(reading *r, const cvi_recipe_statement *s) {
    r->out->n_classes = s->n - 1;
    r->out->class_weights = cvi_arena_alloc(r->model->arena, s->n, sizeof(double));
    if (!r->out->class_weights) {
        return cvi_no_memory(r->err, (size_t)s->n * sizeof(double));
    }
    for (int i = 1; i < s->n; i++) {
        CVI_TRY(number(r, &s->words[i], s->words[i].text, 0, 1e6, false, &r->out->class_weights[i - 1]));
    }
    return CVS_OK;
}

/* Statements that are nothing but "key=number". */
static cvs_status read_pairs(reading *r, const cvi_recipe_statement *s, const pair *pairs, int n) {
    for (int i = 1; i < s->n; i++) {
        CVI_TRY(read_pair(r, &s->words[i], pairs, n));
    }
    return CVS_OK;
}

static cvs_status read_warmup(reading *r, const cvi_recipe_statement *s) {
    const pair pairs[] = {{"steps", 0, 1e12, true, &r->out->warm_steps},
                          {"epochs", 0, 1e6, false, &r->out->warm_epochs},
                          {"from", 0, 1000, false, &r->out->warm_from}};
    return read_pairs(r, s, pairs, CVI_COUNT(pairs));
}

static cvs_status read_clip(reading *r, const cvi_recipe_statement *s) {
    const pair pairs[] = {{"norm", 0, 1e12, false, &r->out->clip_norm},
                          {"value", 0, 1e12, false, &r->out->clip_value},
                          {"each", 0, 1e12, false, &r->out->clip_each}};
    return read_pairs(r, s, pairs, CVI_COUNT(pairs));
}

cvs_status cvi_training_penalty(const cvs_model *model, const cvi_recipe_statement *s, double *l1, double *l2,
                                int *names, cvs_error *err) {
    const reading r = {.model = model, .where = model->path, .err = err};
    const pair pairs[] = {{"l1", 0, 1e6, false, l1}, {"l2", 0, 1e6, false, l2}};
    int i = 1;
    for (; i < s->n && strchr(s->words[i].text, '='); i++) {
        CVI_TRY(read_pair(&r, &s->words[i], pairs, CVI_COUNT(pairs)));
    }
    *names = s->n - i;
    return CVS_OK;
}

/* Those on all weights; those on weights by name wait for the parameters (params.c). */
static cvs_status read_penalty(reading *r, const cvi_recipe_statement *s) {
    double l1 = r->out->l1, l2 = r->out->l2;
    int names = 0;
    CVI_TRY(cvi_training_penalty(r->model, s, &l1, &l2, &names, r->err));
    if (names == 0) {
        r->out->l1 = l1;
        r->out->l2 = l2;
    }
    return CVS_OK;
}

static cvs_status read_watch(reading *r, const cvi_recipe_statement *s) {
    static const char *const names[] = {"val_loss", "val_accuracy", "loss", "accuracy"};
    for (int k = 0; k < CVI_COUNT(names); k++) {
        if (strcmp(names[k], s->words[1].text) == 0) {
            r->out->watched = (cvi_watched)k;
            return CVS_OK;
        }
    }
    return fail_at(
        r, &s->words[1],
        cvi_fail(r->err, CVS_E_FORMAT,
                 "\"%.60s\" is not known here; there are val_loss, val_accuracy, loss and accuracy",
                 s->words[1].text));
}

static cvs_status read_stop(reading *r, const cvi_recipe_statement *s) {
    const pair pairs[] = {{"patience", 0, 1e6, true, &r->out->patience},
                          {"delta", 0, 1e9, false, &r->out->delta}};
    r->out->stops = true;
    return read_pairs(r, s, pairs, CVI_COUNT(pairs));
}

static cvs_status read_lr(reading *r, const cvi_recipe_statement *s) {
    return number(r, &s->words[1], s->words[1].text, 0, 1000, false, &r->given.learning_rate);
}

static cvs_status read_batch(reading *r, const cvi_recipe_statement *s) {
    double v = 0;
    CVI_TRY(number(r, &s->words[1], s->words[1].text, 1, 65536, true, &v));
    r->out->batch = (int)v;
    return CVS_OK;
}

static cvs_status read_epochs(reading *r, const cvi_recipe_statement *s) {
    double v = 0;
    CVI_TRY(number(r, &s->words[1], s->words[1].text, 1, 1000000, true, &v));
    r->out->epochs = (int)v;
    return CVS_OK;
}

static cvs_status read_shards(reading *r, const cvi_recipe_statement *s) {
    double v = 0;
    CVI_TRY(number(r, &s->words[1], s->words[1].text, 1, CVI_MAX_PIECES, true, &v));
    r->out->shards = (int)v;
    return CVS_OK;
}

static cvs_status read_seed(reading *r, const cvi_recipe_statement *s) {
    double v = 0;
    CVI_TRY(number(r, &s->words[1], s->words[1].text, 0, 9007199254740992.0, true, &v));
    r->out->seed = (uint64_t)v;
    return CVS_OK;
}

static cvs_status read_limit(reading *r, const cvi_recipe_statement *s) {
    double v = 0;
    CVI_TRY(number(r, &s->words[1], s->words[1].text, 1, 1e12, true, &v));
    r->out->limit = (int64_t)v;
    return CVS_OK;
}

static cvs_status read_holdout(reading *r, const cvi_recipe_statement *s) {
    return number(r, &s->words[1], s->words[1].text, 0.0001, 0.9, false, &r->out->holdout);
}

static cvs_status read_data(reading *r, const cvi_recipe_statement *s) {
    r->out->data = s->words[1].text;
    return CVS_OK;
}

static cvs_status read_arithmetic(reading *r, const cvi_recipe_statement *s) {
    const char *text = s->words[1].text;
    if (strcmp(text, "exact") != 0 && strcmp(text, "fast") != 0) {
        return fail_at(
            r, &s->words[1],
            cvi_fail(r->err, CVS_E_FORMAT, "\"%.60s\" is not known here; there are exact and fast", text));
    }
    r->out->exact = text[0] == 'e';
    return CVS_OK;
}

static cvs_status read_normalise(reading *r, const cvi_recipe_statement *s) {
    const char *text = s->words[1].text;
    if (strcmp(text, "data") != 0 && strcmp(text, "no") != 0) {
        return fail_at(
            r, &s->words[1],
            cvi_fail(r->err, CVS_E_FORMAT, "\"%.60s\" is not known here; there are data and no", text));
    }
    r->out->normalise = text[0] == 'd';
    return CVS_OK;
}

static cvs_status read_start(reading *r, const cvi_recipe_statement *s) {
    r->out->start = s->words[1].text;
    return CVS_OK;
}

static cvs_status read_head(reading *r, const cvi_recipe_statement *s) {
    double v = -1;
    if (strcmp(s->words[1].text, "data") != 0) {
        CVI_TRY(number(r, &s->words[1], s->words[1].text, 1, 1000000, true, &v));
    }
    r->out->head = (int64_t)v;
    return CVS_OK;
}

static cvs_status read_freeze(reading *r, const cvi_recipe_statement *s) {
    r->out->freeze = s;
    return CVS_OK;
}

/* "1000=0.5", "30e=0.1". */
static cvs_status read_point(const reading *r, const cvi_recipe_word *w, cvi_point *out) {
    const char *equals = strchr(w->text, '=');
    char at[40];
    size_t n = equals ? (size_t)(equals - w->text) : 0;
    if (n == 0 || n >= sizeof at) {
        return fail_at(r, w, cvi_fail(r->err, CVS_E_FORMAT, "\"%.60s\" is not known here", w->text));
    }
    memcpy(at, w->text, n);
    out->epochs = at[n - 1] == 'e';
    at[out->epochs ? n - 1 : n] = 0;
    CVI_TRY(number(r, w, at, 0, 1e12, true, &out->at));
    return number(r, w, equals + 1, 0, 1e6, false, &out->factor);
}

static cvs_status read_points(reading *r, const cvi_recipe_statement *s) {
    cvi_point *points = cvi_arena_alloc(r->model->arena, s->n, sizeof *points);
    if (!points) {
        return cvi_no_memory(r->err, (size_t)s->n * sizeof *points);
    }
    for (int i = 2; i < s->n; i++) {
        CVI_TRY(read_point(r, &s->words[i], &points[i - 2]));
    }
    r->out->points = points;
    r->out->n_points = s->n - 2;
    return CVS_OK;
}

static cvs_status read_schedule(reading *r, const cvi_recipe_statement *s) {
    char names[200];
    r->out->schedule = cvi_schedule_find(s->words[1].text);
    if (!r->out->schedule) {
        return fail_at(r, &s->words[1],
                       cvi_fail(r->err, CVS_E_FORMAT, "there is no schedule \"%.60s\"; there are %.200s",
                                s->words[1].text, cvi_schedule_names(names, sizeof names)));
    }
    return r->out->schedule->points
               ? read_points(r, s)
               : read_settings(r, s, r->out->schedule->settings, r->out->schedule_values);
}

static cvs_status read_augment(reading *r, const cvi_recipe_statement *s) {
    double shift = (double)r->out->augment.shift;
    double cutout = (double)r->out->augment.cutout, crop = (double)r->out->augment.crop;
    cvi_augment *a = &r->out->augment;
    const pair pairs[] = {
        {"shift", 0, 4096, true, &shift},        {"rotate", 0, 180, false, &a->rotate},
        {"scale", 0, 0.9, false, &a->scale},     {"brightness", 0, 1, false, &a->brightness},
        {"contrast", 0, 1, false, &a->contrast}, {"cutout", 0, 4096, true, &cutout},
        {"crop", 0, 4096, true, &crop},          {"colour", 0, 1, false, &a->colour},
        {"color", 0, 1, false, &a->colour},      {"mixup", 0, 1, false, &a->mixup}};
    for (int i = 1; i < s->n; i++) {
        if (strcmp(s->words[i].text, "flip") == 0) {
            r->out->augment.flip = true;
        } else {
            CVI_TRY(read_pair(r, &s->words[i], pairs, CVI_COUNT(pairs)));
        }
    }
    a->shift = (int64_t)shift;
    a->cutout = (int64_t)cutout;
    a->crop = (int64_t)crop;
    return CVS_OK;
}

static const struct {
    const char *key;
    int most; /* words behind it */
    cvs_status (*read)(reading *r, const cvi_recipe_statement *s);
} keys[] = {
    {"optimizer", 10, read_optimizer},
    {"profile", 1, read_profile},
    {"init", 4096, read_init},
    {"holdout", 1, read_holdout},
    {"lr", 1, read_lr},
    {"loss", 5, read_loss},
    {"weights", 65536, read_weights},
    {"batch", 1, read_batch},
    {"epochs", 1, read_epochs},
    {"shards", 1, read_shards},
    {"seed", 1, read_seed},
    {"schedule", 4096, read_schedule},
    {"warmup", 3, read_warmup},
    {"clip", 3, read_clip},
    {"penalty", 4096, read_penalty},
    {"watch", 1, read_watch},
    {"stop", 2, read_stop},
    {"augment", 12, read_augment},
    {"limit", 1, read_limit},
    {"data", 1, read_data},
    {"freeze", 4096, read_freeze},
    {"head", 1, read_head},
    {"start", 1, read_start},
    {"arithmetic", 1, read_arithmetic},
    {"normalise", 1, read_normalise},
};

static cvs_status read_statement(reading *r, const cvi_recipe_statement *s) {
    for (int i = 0; i < CVI_COUNT(keys); i++) {
        if (strcmp(keys[i].key, s->words[0].text) != 0) {
            continue;
        }
        if (s->n < 2) {
            return fail_at(r, &s->words[0],
                           cvi_fail(r->err, CVS_E_FORMAT, "\"%.60s\" needs a value", keys[i].key));
        }
        if (s->n > keys[i].most + 1) {
            const cvi_recipe_word *w = &s->words[keys[i].most + 1];
            return fail_at(r, w, cvi_fail(r->err, CVS_E_FORMAT, "\"%.60s\" is not known here", w->text));
        }
        return keys[i].read(r, s);
    }
    return fail_at(
        r, &s->words[0],
        cvi_fail(r->err, CVS_E_FORMAT,
                 "\"%.60s\" is no setting of training; there are optimizer, profile, init, holdout, lr, "
                 "loss, weights, "
                 "batch, epochs, shards, seed, schedule, warmup, clip, penalty, watch, stop, augment, limit, "
                 "data, freeze, head, start, arithmetic and normalise",
                 s->words[0].text));
}

/* What both libraries call SGD is three rules here, told apart by momentum and nesterov. */
static void settle_optimizer(const reading *r) {
    const char *name = r->out->optimizer->name;
    if (strcmp(name, "sgd") == 0 && r->given.momentum > 0) { /* false for none given */
        r->out->optimizer = cvi_optimizer_find(r->nesterov ? "nesterov" : "momentum");
    } else if (strcmp(name, "momentum") == 0 && r->nesterov) {
        r->out->optimizer = cvi_optimizer_find("nesterov");
    }
}

/* The optimiser's defaults of the profile, and over them what was given. */
static void settle_rates(const reading *r) {
    cvi_rates *rates = &r->out->rates;
    const cvi_rates *given = &r->given;
    settle_optimizer(r);
    *rates = r->out->optimizer->rates[given->profile];
    rates->profile = given->profile;
    rates->learning_rate = isnan(given->learning_rate) ? rates->learning_rate : given->learning_rate;
    rates->momentum = isnan(given->momentum) ? rates->momentum : given->momentum;
    rates->dampening = isnan(given->dampening) ? rates->dampening : given->dampening;
    rates->variant = given->variant && r->out->optimizer->variant;
    r->out->n_slots = r->out->optimizer->n_slots + rates->variant;
    rates->beta1 = isnan(given->beta1) ? rates->beta1 : given->beta1;
    rates->beta2 = isnan(given->beta2) ? rates->beta2 : given->beta2;
    rates->rho = isnan(given->rho) ? rates->rho : given->rho;
    rates->epsilon = isnan(given->epsilon) ? rates->epsilon : given->epsilon;
    rates->decay = isnan(given->decay) ? rates->decay : given->decay;
}

static cvs_status read_names(reading *r, const cvs_train_options *o) {
    cvi_training *t = r->out;
    if (o->optimizer) {
        t->optimizer = cvi_optimizer_find(o->optimizer);
        if (strcmp(o->optimizer, "sgd") == 0) { /* plain, whatever the recipe's optimiser had */
            r->given.momentum = (double)NAN;
        }
        if (!t->optimizer) {
            (void)no_optimizer(r->err, o->optimizer);
            return cvi_at_attr(r->err, CVS_E_FORMAT, "optimizer");
        }
    }
    if (o->profile && find_profile(r->err, o->profile, &r->given.profile) != CVS_OK) {
        return cvi_at_attr(r->err, CVS_E_FORMAT, "profile");
    }
    r->given_profile = r->given_profile || o->profile;
    if (o->loss) {
        t->loss = cvi_loss_find(o->loss);
        if (!t->loss) {
            (void)no_loss(r->err, o->loss);
            return cvi_at_attr(r->err, CVS_E_FORMAT, "loss");
        }
        for (int i = 0; i < CVI_MAX_SETTINGS; i++) {
            t->loss_values[i] = t->loss->settings[i].initial;
        }
    }
    return CVS_OK;
}

/* What the caller asked for wins over the recipe. */
static cvs_status read_options(reading *r, const cvs_train_options *o) {
    cvi_training *t = r->out;
    if (o->epochs < 0 || o->batch < 0 || o->batch > 65536 || o->shards < 0 || o->shards > CVI_MAX_PIECES ||
        o->limit < 0 || o->max_steps < 0 || !(o->holdout >= 0 && o->holdout < 1) ||
        !(o->learning_rate >= 0) || !isfinite(o->learning_rate) || !(o->momentum >= 0 && o->momentum < 1)) {
        return cvi_fail(r->err, CVS_E_ARGUMENT, "an option of training is negative or too large");
    }
    CVI_TRY(read_names(r, o));
    if (!r->given_init && r->given_profile) { /* who asks for a library gets its first weights too */
        (void)cvi_initialiser_find(r->given.profile == CVI_KERAS ? "glorot_uniform" : "torch", &t->init);
    }
    t->epochs = o->epochs > 0 ? o->epochs : t->epochs;
    t->holdout = o->holdout > 0 ? o->holdout : t->holdout;
    t->batch = o->batch > 0 ? o->batch : t->batch;
    t->shards = o->shards > 0 ? o->shards : t->shards;
    t->limit = o->limit > 0 ? o->limit : t->limit;
    t->seed = o->has_seed ? o->seed : t->seed;
    r->given.learning_rate = o->learning_rate > 0 ? o->learning_rate : r->given.learning_rate;
    r->given.momentum = o->momentum > 0 ? o->momentum : r->given.momentum;
    settle_rates(r);
    return CVS_OK;
}

/* The statements of a text that is given besides the recipe, behind the recipe's: of most keys the last one counts. */
static cvs_status read_more(reading *r, const char *text) {
    cvi_arena *arena = r->model->arena;
    net_file file = {0};
    char *block = cvi_arena_printf(arena, "train {\n%s\n}\n", text);
    int64_t depth = cvs_limits_default(&r->model->limits).max_depth;
    if (!block) {
        return cvi_no_memory(r->err, strlen(text));
    }
    r->where = "--set";
    cvs_status s = cvi_net_parse(arena, block, strlen(block), depth, &file, r->err);
    if (s != CVS_OK) {
        return cvi_at_file(r->err, s, r->where);
    }
    int before = r->model->recipe.n;
    cvi_recipe *all = cvi_arena_alloc(arena, 1, sizeof *all);
    cvi_recipe_statement *list = cvi_arena_alloc(arena, before + file.train.n + 1, sizeof *list);
    if (!all || !list) {
        return cvi_no_memory(r->err, (size_t)(before + file.train.n) * sizeof *list);
    }
    for (int i = 0; i < before; i++) {
        list[i] = r->model->recipe.statements[i];
    }
    for (int i = 0; i < file.train.n; i++) {
        const cvi_recipe_statement *one = &file.train.statements[i];
        for (int w = 0; w < one->n; w++) {
            one->words[w].line--; /* of what was given */
        }
        list[before + i] = *one;
        CVI_TRY(read_statement(r, one));
    }
    *all = (cvi_recipe){before + file.train.n, list};
    r->out->recipe = all;
    return CVS_OK;
}

cvs_status cvi_training_read(const cvs_model *model, const cvs_train_options *options, cvi_training *out,
                             cvs_error *err) {
    static const cvs_train_options none;
    *out = (cvi_training){.epochs = 5,
                          .batch = 64,
                          .optimizer = cvi_optimizer_find("adam"),
                          .loss = cvi_loss_find("cross_entropy"),
                          .schedule = cvi_schedule_find("constant"),
                          .seed = 1,
                          .warm_from = -1,
                          .recipe = &model->recipe};
    options = options ? options : &none;
    reading r = {.model = model, .where = model->path, .out = out, .err = err};
    r.given = (cvi_rates){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, false, CVI_TORCH};
    for (int i = 0; i < model->recipe.n; i++) {
        CVI_TRY(read_statement(&r, &model->recipe.statements[i]));
    }
    if (options->settings) {
        CVI_TRY(read_more(&r, options->settings));
    }
    return read_options(&r, options);
}

double cvi_training_rate(const cvi_training *t, int64_t step, int64_t steps, int64_t per_epoch, int epoch,
                         const double *state) {
    int64_t warm = (int64_t)(t->warm_steps + t->warm_epochs * (double)per_epoch);
    if (step < warm) {
        double share = t->warm_from >= 0 ? t->warm_from + (1 - t->warm_from) * (double)step / (double)warm
                                         : (double)(step + 1) / (double)warm;
        return t->rates.learning_rate * share;
    }
    cvi_when when = {step - warm, steps - warm, epoch, t};
    return t->rates.learning_rate * t->schedule->factor(t->schedule_values, state, &when);
}
