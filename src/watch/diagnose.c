/* SPDX-License-Identifier: MIT
 * diagnose.c - the rules of rules.def over every training run of a log; what follows from another finding is left out.
 */
#include <math.h>
#include <stdlib.h>

#include "watch/rule.h"

#define CVI_RULE(name) extern const cvi_rule cvi_rule_##name;
#include "watch/rules.def"
#undef CVI_RULE

static const cvi_rule *const rules[] = {
#define CVI_RULE(name) &cvi_rule_##name,
#include "watch/rules.def"
#undef CVI_RULE
};

/* ---- for rules ------------------------------------------------------------------------------------------ */

bool cvi_case_at(const cvi_case *c, int series, cvs_series *out) {
    if (series < 0) {
        return false;
    }
    cvs_log_series(c->log, series, out);
    return out->kind == CVS_SCALARS && out->n > 0;
}

bool cvi_case_series(const cvi_case *c, const char *tag, cvs_series *out) {
    return cvi_case_at(c, cvs_log_find(c->log, c->log->runs[c->run], tag), out);
}

bool cvi_case_next(const cvi_case *c, const char *what, int *at, char who[300], cvs_series *out) {
    size_t n = strlen(what);
    for (; *at < c->log->n_series; (*at)++) {
        const cvi_series *s = &c->log->series[*at];
        size_t length = strlen(s->tag);
        if (s->run == c->run && strncmp(s->tag, "health/", 7) == 0 && length > n + 8 && length < 290 &&
            strcmp(s->tag + length - n, what) == 0 && s->tag[length - n - 1] == '/' &&
            cvi_case_at(c, *at, out)) {
            memcpy(who, s->tag + 7, length - n - 8);
            who[length - n - 8] = 0;
            (*at)++;
            return true;
        }
    }
    return false;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Of many values every so manieth: a median of 4096 is as good. */
double cvi_median(const cvs_series *s, int64_t from, int64_t to) {
    double list[4096];
    int n = 0;
    int64_t stride = CVI_MAX(1, (to - from + 4095) / 4096);
    for (int64_t i = CVI_MAX(from, 0); i < CVI_MIN(to, s->n); i += stride) {
        if (isfinite(s->value[i]) && n < 4096) {
            list[n++] = s->value[i];
        }
    }
    qsort(list, (size_t)n, sizeof *list, by_value);
    return n == 0 ? (double)NAN : n % 2 ? list[n / 2] : (list[n / 2 - 1] + list[n / 2]) / 2;
}

void cvi_say(const cvi_case *c, cvi_finding *f, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->evidence, sizeof f->evidence, cvi_tr(c->lang, fmt), args);
    va_end(args);
}

/* ---- runs ----------------------------------------------------------------------------------------------- */

static int first_of(const cvs_log *log, int run, const char *const *tags) {
    for (int i = 0; run >= 0 && tags[i]; i++) {
        int s = cvs_log_find(log, log->runs[run], tags[i]);
        if (s >= 0 && log->series[s].kind == CVS_SCALARS && log->series[s].n > 0) {
            return s;
        }
    }
    return -1;
}

static bool ends(const char *name, const char *with) {
    size_t n = strlen(name), k = strlen(with);
    return n >= k && strcmp(name + n - k, with) == 0;
}

static bool is_validation(const char *name) {
    return ends(name, "validation") || ends(name, "/val") || ends(name, "/test") || ends(name, "/eval") ||
           strcmp(name, "val") == 0 || strcmp(name, "test") == 0 || strcmp(name, "eval") == 0;
}

/* The run beside `run` that holds its validation: ".../train" and ".../validation", "val", "test" or "eval". */
static int validation_of(const cvs_log *log, int run) {
    static const char *const names[] = {"validation", "val", "test", "eval"};
    const char *name = log->runs[run];
    if (!ends(name, "train")) {
        return -1;
    }
    for (int i = 0; i < log->n_runs; i++) {
        size_t n = strlen(name) - 5;
        for (int k = 0; k < CVI_COUNT(names); k++) {
            if (strncmp(log->runs[i], name, n) == 0 && strcmp(log->runs[i] + n, names[k]) == 0) {
                return i;
            }
        }
    }
    return -1;
}

/* ln K where the loss is known to be cross-entropy: what a guess costs. */
static double log_of_chance(const cvi_case *c) {
    const char *name, *value;
    int run;
    for (int i = 0; cvs_log_hparam(c->log, i, &run, &name, &value); i++) {
        if (run == c->run && strcmp(name, "loss") == 0 && strcmp(value, "cross_entropy") == 0) {
            return log(c->classes);
        }
    }
    return (double)NAN;
}

static bool make_case(const cvs_log *log, int run, cvs_lang lang, cvi_case *c) {
    static const char *const steps[] = {"batch_loss", "loss/train", "Loss/train", "train/loss",
                                        "train_loss", "loss",       "epoch_loss", NULL},
                             *const losses[] = {"epoch_loss", "loss/train", "Loss/train", "train/loss",
                                                "train_loss", "loss",       NULL},
                             *const accuracies[] = {"epoch_accuracy", "epoch_sparse_categorical_accuracy",
                                                    "accuracy/train", "Accuracy/train",
                                                    "train/accuracy", "train_acc",
                                                    "accuracy",       NULL},
                             *const theirs[] = {"epoch_loss", "loss", NULL},
                             *const right[] = {"epoch_accuracy", "epoch_sparse_categorical_accuracy",
                                               "accuracy", NULL},
                             *const here[] = {"val_loss", "loss/val",  "Loss/val",  "loss/validation",
                                              "val/loss", "loss/test", "Loss/test", NULL},
                             *const good[] = {
                                 "val_accuracy", "accuracy/val",  "Accuracy/val",  "val/accuracy",
                                 "val_acc",      "accuracy/test", "Accuracy/test", NULL};
    cvs_series s;
    *c = (cvi_case){.log = log, .lang = lang, .run = run, .validation = validation_of(log, run)};
    c->loss = first_of(log, run, steps);
    c->epoch_loss = first_of(log, run, losses);
    c->epoch_accuracy = first_of(log, run, accuracies);
    c->val_loss = c->validation >= 0 ? first_of(log, c->validation, theirs) : first_of(log, run, here);
    c->val_accuracy = c->validation >= 0 ? first_of(log, c->validation, right) : first_of(log, run, good);
    c->classes = cvi_case_series(c, "health/classes", &s) ? s.value[0] : (double)NAN;
    c->chance = log_of_chance(c);
    return c->loss >= 0 && !is_validation(log->runs[run]);
}

static bool is_hidden(const cvi_rule *rule, const bool *found) {
    for (int i = 0; i < CVI_COUNT(rules); i++) {
        for (int k = 0; found[i] && k < CVI_HIDES && rules[i]->hides[k]; k++) {
            if (strcmp(rules[i]->hides[k], rule->code) == 0) {
                return true;
            }
        }
    }
    return false;
}

static int graver(const void *a, const void *b) {
    const cvs_warning *x = a, *y = b;
    return x->run != y->run             ? (x->run > y->run) - (x->run < y->run)
           : x->severity != y->severity ? (x->severity < y->severity) - (x->severity > y->severity)
                                        : (x->step > y->step) - (x->step < y->step);
}

static bool keep(cvi_arena *arena, const cvi_case *c, const cvi_rule *rule, const cvi_finding *f,
                 cvs_warning *w) {
    *w = (cvs_warning){.run = c->run,
                       .code = rule->code,
                       .title = cvi_tr(c->lang, rule->title),
                       .severity = rule->severity,
                       .step = f->step,
                       .layer = cvi_arena_strn(arena, f->layer, strlen(f->layer)),
                       .evidence = cvi_arena_strn(arena, f->evidence, strlen(f->evidence)),
                       .why = cvi_tr(c->lang, rule->why),
                       .advice = cvi_tr(c->lang, rule->advice),
                       .recipe = rule->recipe ? rule->recipe : "",
                       .tag = cvi_arena_strn(arena, f->tag, strlen(f->tag))};
    return w->layer && w->evidence && w->tag;
}

/* All rules over one run; what is found goes behind list[*n]. */
static bool diagnose_run(const cvi_case *c, cvi_arena *arena, cvs_warning *list, int *n) {
    bool found[CVI_COUNT(rules)] = {false};
    cvi_finding *findings = cvi_calloc(CVI_COUNT(rules), sizeof *findings);
    bool good = findings != NULL;
    for (int i = 0; good && i < CVI_COUNT(rules); i++) {
        findings[i].step = -1;
        found[i] = rules[i]->look(c, &findings[i]);
    }
    for (int i = 0; good && i < CVI_COUNT(rules); i++) {
        if (found[i] && !is_hidden(rules[i], found)) {
            good = keep(arena, c, rules[i], &findings[i], &list[*n]);
            *n += good;
        }
    }
    cvi_free(findings);
    return good;
}

cvs_status cvs_diagnose(const cvs_log *log, cvs_lang lang, cvs_diagnosis *out, cvs_error *err) {
    cvi_arena *arena = cvi_arena_new(0);
    int room = 0, n = 0;
    *out = (cvs_diagnosis){0};
    for (int run = 0; run < log->n_runs; run++) {
        cvi_case c;
        room += make_case(log, run, lang, &c) ? CVI_COUNT(rules) : 0;
    }
    cvs_warning *list = arena ? cvi_arena_alloc(arena, CVI_MAX(room, 1), sizeof *list) : NULL;
    bool good = list != NULL;
    for (int run = 0; good && run < log->n_runs; run++) {
        cvi_case c;
        good = !make_case(log, run, lang, &c) || diagnose_run(&c, arena, list, &n);
    }
    if (!good) {
        cvi_arena_free(arena);
        return cvi_no_memory(err, (size_t)room * sizeof *list);
    }
    qsort(list, (size_t)n, sizeof *list, graver);
    *out = (cvs_diagnosis){n, list, arena};
    return CVS_OK;
}

void cvs_diagnosis_free(cvs_diagnosis *d) {
    cvi_arena_free(d->memory);
    *d = (cvs_diagnosis){0};
}
