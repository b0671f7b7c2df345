/* SPDX-License-Identifier: MIT
 * rule.h (internal) - rules of diagnosis: each looks at the series of one run and says whether, where and since when something is wrong. A rule is one
 * struct at the end of rules_*.c and one line in rules.def.
 */
#ifndef CVI_RULE_H
#define CVI_RULE_H

#include "watch/log.h"

enum { CVI_HIDES = 8 };

/* What a rule looks at: one training run, and the run with its validation (or -1). Series are -1 where the log has none. */
typedef struct cvi_case {
    const cvs_log *log;
    cvs_lang lang;
    int run, validation;
    int loss; /* of steps, else of epochs */
    int epoch_loss, epoch_accuracy, val_loss, val_accuracy;
    double chance;  /* loss of a guess, ln K; NaN: not known */
    double classes; /* NaN: not known */
} cvi_case;

typedef struct cvi_finding {
    int64_t step;
    char layer[300], evidence[500], tag[300];
} cvi_finding;

typedef struct cvi_rule {
    const char *code;
    cvs_severity severity;
    const char *title, *why, *advice; /* English literals with Chinese rows */
    const char *recipe;
    bool (*look)(const cvi_case *c, cvi_finding *f);
    const char *hides[CVI_HIDES]; /* codes of what follows from it */
} cvi_rule;

/* ---- for rules (diagnose.c) ------------------------------------------------------------------------------ */
/* A series of the run by tag; false when there is none or it is empty. */
bool cvi_case_series(const cvi_case *c, const char *tag, cvs_series *out);
bool cvi_case_at(const cvi_case *c, int series, cvs_series *out);
/* The next scalar series health/WHO/what from *at on: who is filled. false: no more. */
bool cvi_case_next(const cvi_case *c, const char *what, int *at, char who[300], cvs_series *out);
/* Median of the finite values [from, to); NaN when there are none. */
double cvi_median(const cvs_series *s, int64_t from, int64_t to);
/* Fills evidence from an English literal that has a Chinese row. */
void cvi_say(const cvi_case *c, cvi_finding *f, const char *fmt, ...) CVI_PRINTF(3, 4);

#endif
