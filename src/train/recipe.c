/* SPDX-License-Identifier: MIT
 * recipe.c - the words of a train { } block into settings. One row per key: what it takes and where it goes; options given by
 * the caller win. docs/training.md is the manual.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "train/trainer.h"

typedef struct reading {
    const cvs_model *model;
    cvi_training *out;
    bool has_rate;
    cvs_error *err;
} reading;

static cvs_status fail_at(const reading *r, const cvi_recipe_word *w, cvs_status s) {
    return cvi_at_line(r->err, cvi_at_file(r->err, s, r->model->path), w->line, w->column);
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

static const cvi_optimizer *find_optimizer(const char *name) {
    for (int i = 0; i < cvi_n_optimizers; i++) {
        if (strcmp(cvi_optimizers[i]->name, name) == 0) {
            return cvi_optimizers[i];
        }
    }
    return NULL;
}

static cvs_status no_optimizer(cvs_error *err, const char *name) {
    return cvi_fail(err, CVS_E_FORMAT, "there is no optimizer \"%.60s\"; there are sgd, momentum and adam",
                    name);
}

static cvs_status read_optimizer(reading *r, const cvi_recipe_statement *s) {
    cvi_rates *rates = &r->out->rates;
    double rate = -1;
    const pair pairs[] = {{"lr", 0, 1000, false, &rate},
                          {"momentum", 0, 1, false, &rates->momentum},
                          {"beta1", 0, 0.999999, false, &rates->beta1},
                          {"beta2", 0, 0.999999999, false, &rates->beta2},
                          {"eps", 0, 1, false, &rates->epsilon},
                          {"decay", 0, 1, false, &rates->decay}};
    r->out->optimizer = find_optimizer(s->words[1].text);
    if (!r->out->optimizer) {
        return fail_at(r, &s->words[1], no_optimizer(r->err, s->words[1].text));
    }
    for (int i = 2; i < s->n; i++) {
        CVI_TRY(read_pair(r, &s->words[i], pairs, CVI_COUNT(pairs)));
    }
    if (rate >= 0) {
        rates->learning_rate = rate;
        r->has_rate = true;
    }
    return CVS_OK;
}

static cvs_status read_lr(reading *r, const cvi_recipe_statement *s) {
    r->has_rate = true;
    return number(r, &s->words[1], s->words[1].text, 0, 1000, false, &r->out->rates.learning_rate);
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

static cvs_status read_data(reading *r, const cvi_recipe_statement *s) {
    r->out->data = s->words[1].text;
    return CVS_OK;
}

static cvs_status read_schedule(reading *r, const cvi_recipe_statement *s) {
    static const char *const names[] = {"constant", "cosine", "step"};
    int k = 0;
    while (k < CVI_COUNT(names) && strcmp(names[k], s->words[1].text) != 0) {
        k++;
    }
    if (k == CVI_COUNT(names)) {
        return fail_at(r, &s->words[1],
                       cvi_fail(r->err, CVS_E_FORMAT,
                                "there is no schedule \"%.60s\"; there are constant, cosine and step",
                                s->words[1].text));
    }
    r->out->schedule = (cvi_schedule)k;
    double every = r->out->every;
    const pair pairs[] = {{"every", 1, 1000000, true, &every}, {"factor", 0, 1, false, &r->out->factor}};
    for (int i = 2; i < s->n; i++) {
        CVI_TRY(read_pair(r, &s->words[i], pairs, k == CVI_STEPS ? CVI_COUNT(pairs) : 0));
    }
    r->out->every = (int)every;
    return CVS_OK;
}

static cvs_status read_augment(reading *r, const cvi_recipe_statement *s) {
    double shift = (double)r->out->augment.shift;
    const pair pairs[] = {{"shift", 0, 4096, true, &shift}};
    for (int i = 1; i < s->n; i++) {
        if (strcmp(s->words[i].text, "flip") == 0) {
            r->out->augment.flip = true;
        } else {
            CVI_TRY(read_pair(r, &s->words[i], pairs, CVI_COUNT(pairs)));
        }
    }
    r->out->augment.shift = (int64_t)shift;
    return CVS_OK;
}

static const struct {
    const char *key;
    int most; /* words behind it */
    cvs_status (*read)(reading *r, const cvi_recipe_statement *s);
} keys[] = {
    {"optimizer", 7, read_optimizer}, {"lr", 1, read_lr},       {"batch", 1, read_batch},
    {"epochs", 1, read_epochs},       {"seed", 1, read_seed},   {"schedule", 3, read_schedule},
    {"augment", 8, read_augment},     {"limit", 1, read_limit}, {"data", 1, read_data},
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
                 "\"%.60s\" is no setting of training; there are optimizer, lr, batch, epochs, seed, "
                 "schedule, augment, limit and data",
                 s->words[0].text));
}

/* What the caller asked for wins over the recipe. */
static cvs_status read_options(reading *r, const cvs_train_options *o) {
    cvi_training *t = r->out;
    if (o->epochs < 0 || o->batch < 0 || o->batch > 65536 || o->limit < 0 || o->max_steps < 0 ||
        !(o->learning_rate >= 0) || !isfinite(o->learning_rate) || !(o->momentum >= 0 && o->momentum < 1)) {
        return cvi_fail(r->err, CVS_E_ARGUMENT, "an option of training is negative or too large");
    }
    if (o->optimizer) {
        t->optimizer = find_optimizer(o->optimizer);
        if (!t->optimizer) {
            (void)no_optimizer(r->err, o->optimizer);
            return cvi_at_attr(r->err, CVS_E_FORMAT, "optimizer");
        }
    }
    if (!r->has_rate) {
        t->rates.learning_rate = t->optimizer->learning_rate;
    }
    t->epochs = o->epochs > 0 ? o->epochs : t->epochs;
    t->batch = o->batch > 0 ? o->batch : t->batch;
    t->limit = o->limit > 0 ? o->limit : t->limit;
    t->seed = o->has_seed ? o->seed : t->seed;
    t->rates.learning_rate = o->learning_rate > 0 ? o->learning_rate : t->rates.learning_rate;
    t->rates.momentum = o->momentum > 0 ? o->momentum : t->rates.momentum;
    return CVS_OK;
}

cvs_status cvi_training_read(const cvs_model *model, const cvs_train_options *options, cvi_training *out,
                             cvs_error *err) {
    static const cvs_train_options none;
    *out = (cvi_training){.epochs = 5,
                          .batch = 64,
                          .optimizer = find_optimizer("adam"),
                          .rates = {.momentum = 0.9, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8},
                          .seed = 1,
                          .every = 10,
                          .factor = 0.1};
    reading r = {.model = model, .out = out, .err = err};
    for (int i = 0; i < model->recipe.n; i++) {
        CVI_TRY(read_statement(&r, &model->recipe.statements[i]));
    }
    return read_options(&r, options ? options : &none);
}

double cvi_training_rate(const cvi_training *t, int64_t step, int64_t steps, int epoch) {
    const double pi = 3.14159265358979323846;
    switch (t->schedule) {
    case CVI_COSINE:
        return t->rates.learning_rate * 0.5 * (1 + cos(pi * (double)step / (double)CVI_MAX(steps, 1)));
    case CVI_STEPS:
        return t->rates.learning_rate * pow(t->factor, epoch / t->every);
    default:
        return t->rates.learning_rate;
    }
}
