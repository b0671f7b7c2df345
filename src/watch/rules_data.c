/* SPDX-License-Identifier: MIT
 * rules_data.c - what is wrong with the pictures, their labels, or how they are normalised.
 */
#include <math.h>

#include "watch/rule.h"

static bool look_bad_input(const cvi_case *c, cvi_finding *f) {
    cvs_series mean, deviation, test;
    char who[300], tag[400];
    for (int at = 0; cvi_case_next(c, "deviation", &at, who, &deviation);) {
        if (strncmp(who, "input/", 6) != 0) {
            continue;
        }
        snprintf(tag, sizeof tag, "health/%s/mean", who);
        if (!cvi_case_series(c, tag, &mean)) {
            continue;
        }
        double m = mean.value[0], d = deviation.value[0];
        snprintf(tag, sizeof tag, "health/%s/test_mean", who);
        double t = cvi_case_series(c, tag, &test) ? test.value[0] : m;
        bool wide = fabs(m) > 5 || d > 5, flat = d<1e-3, apart = fabs(t - m)> 0.5 * d && d >= 1e-3;
        if (!wide && !flat && !apart) {
            continue;
        }
        cvi_copy_text(f->tag, sizeof f->tag, mean.tag);
        f->step = mean.step[0];
        if (apart && !wide) {
            cvi_say(c, f,
                    "channel %.20s has the mean %.3g in training pictures and %.3g in test pictures "
                    "(deviation %.3g)",
                    who + 6, m, t, d);
        } else {
            cvi_say(c, f, "channel %.20s of the pictures has the mean %.3g and the deviation %.3g", who + 6,
                    m, d);
        }
        return true;
    }
    return false;
}

const cvi_rule cvi_rule_bad_input = {.code = "bad_normalisation",
                                     .severity = CVS_WARNING,
                                     .title = "Badly normalised pictures",
                                     .why = "First weights and learning rates are made for inputs about 0 "
                                            "with a deviation about 1, the same in training and in use.",
                                     .advice = "Let the network see pixels / 255, or with their mean taken "
                                               "off and divided by their deviation (preprocess).",
                                     .look = look_bad_input,
                                     .hides = {"bad_start", "dead_units", "saturated_units",
                                               "learning_rate_high", "not_learning", "one_answer",
                                               "exploding_gradients"}};

static bool look_leak(const cvi_case *c, cvi_finding *f) {
    cvs_series leaks, all;
    if (!cvi_case_series(c, "health/leaks", &leaks) || !cvi_case_series(c, "health/test_pictures", &all) ||
        !(leaks.value[0] >= 3) || !(leaks.value[0] > 0.005 * all.value[0])) {
        return false;
    }
    cvi_copy_text(f->tag, sizeof f->tag, leaks.tag);
    f->step = leaks.step[0];
    cvi_say(c, f, "%.0f of %.0f test pictures are training pictures too, pixel by pixel", leaks.value[0],
            all.value[0]);
    return true;
}

const cvi_rule cvi_rule_leak = {
    .code = "data_leak",
    .severity = CVS_FAULT,
    .title = "Test pictures among the training pictures",
    .why = "What was learned by heart counts as understood: the validation numbers are too good.",
    .advice = "Remove the copies, then divide again.",
    .look = look_leak};

static bool look_label_noise(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    if (!cvi_case_series(c, "health/doubted_labels", &s) || s.n < 2 || !(s.value[s.n - 1] > 0.03)) {
        return false;
    }
    f->step = s.step[s.n - 1];
    for (int64_t i = s.n - 1; i >= 0 && s.value[i] > 0.03; i--) {
        f->step = s.step[i];
    }
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    cvi_say(c, f,
            "for %.1f%% of the training pictures the network held, over the epochs, another class twenty "
            "times more likely than the label",
            100 * s.value[s.n - 1]);
    return true;
}

const cvi_rule cvi_rule_label_noise = {
    .code = "label_noise",
    .severity = CVS_WARNING,
    .title = "Labels that are probably wrong",
    .why = "A network learns the rule before the exceptions: pictures that it long and firmly calls "
           "something else often have a wrong "
           "label.",
    .advice = "Look at the training pictures with the largest loss (convscope evaluate --split train), "
              "correct or remove them, or soften the "
              "labels.",
    .recipe = "loss cross_entropy smoothing=0.1",
    .look = look_label_noise};

static bool look_imbalance(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    if (!cvi_case_series(c, "health/imbalance", &s) || !(s.value[0] > 10)) {
        return false;
    }
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    f->step = s.step[0];
    cvi_say(c, f, "the most frequent class has %.0f times as many pictures as the rarest", s.value[0]);
    return true;
}

const cvi_rule cvi_rule_imbalance = {
    .code = "class_imbalance",
    .severity = CVS_NOTE,
    .title = "Classes of very different size",
    .why = "Rare classes hardly count in the loss; the share of right answers says little about them.",
    .advice = "Give rare classes larger weights, and look at recall by class (convscope evaluate).",
    .recipe = "weights 1 1 1 5",
    .look = look_imbalance};

static bool look_norm_mismatch(const cvi_case *c, cvi_finding *f) {
    cvs_series probe, train;
    if (!cvi_case_series(c, "health/probe_loss", &probe) || !cvi_case_at(c, c->epoch_loss, &train) ||
        probe.n < 2 || train.n < 2 || c->epoch_loss == c->loss) {
        return false;
    }
    for (int k = 1; k <= 2; k++) { /* twice in a row */
        if (!(probe.value[probe.n - k] > 2 * train.value[train.n - k] + 0.5)) {
            return false;
        }
    }
    f->step = probe.step[probe.n - 2];
    cvi_copy_text(f->tag, sizeof f->tag, probe.tag);
    cvi_say(c, f, "training pictures cost %.3g in training and %.3g as the network is used",
            train.value[train.n - 1], probe.value[probe.n - 1]);
    return true;
}

const cvi_rule cvi_rule_norm_mismatch = {
    .code = "normalisation_mismatch",
    .severity = CVS_FAULT,
    .title = "The normalisation in use is not that of training",
    .why = "In training a batch is normalised by its own mean and variance, in use by running ones, which "
           "here are far from them.",
    .advice = "Let the running statistics follow faster (momentum), train longer, use larger batches, or "
              "group normalisation.",
    .recipe = "batch 64",
    .look = look_norm_mismatch,
    .hides = {"overfitting"}};
