/* SPDX-License-Identifier: MIT
 * rules_gradient.c - what goes wrong on the way back: numbers that are none, gradients that explode or vanish, units that are dead or
 * saturated, clipping that never ends, weights that do not move.
 */
#include <math.h>

#include "watch/rule.h"

/* ---- not finite ----------------------------------------------------------------------------------------- */

static bool look_not_finite(const cvi_case *c, cvi_finding *f) {
    cvs_series s, one;
    char who[300];
    if (!cvi_case_at(c, c->loss, &s)) {
        return false;
    }
    for (int64_t i = 0; i < s.n; i++) {
        if (!isfinite(s.value[i])) {
            f->step = s.step[i];
            break;
        }
    }
    for (int at = 0; cvi_case_next(c, "broken_gradients", &at, who, &one);) {
        if (f->step < 0 || one.step[0] <= f->step) {
            f->step = one.step[0];
            cvi_copy_text(f->layer, sizeof f->layer, who);
        }
    }
    if (f->step < 0) {
        return false;
    }
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    cvi_say(c, f, "the loss or a gradient is no number at step %lld; the loss began with %.4g",
            (long long)f->step, s.value[0]);
    return true;
}

const cvi_rule cvi_rule_not_finite = {
    .code = "not_finite",
    .severity = CVS_FAULT,
    .title = "Numbers that are none (NaN, infinity)",
    .why = "Steps were so large that numbers left the range of float32; nothing can be learned after that.",
    .advice = "Use a learning rate three to ten times smaller, begin with a warm-up, or clip the gradient; "
              "look at the "
              "inputs for numbers that are not finite.",
    .recipe = "warmup steps=200 | clip norm=1",
    .look = look_not_finite,
    .hides = {"exploding_gradients", "learning_rate_high", "not_learning", "dead_units", "one_answer",
              "bad_start"}};

/* ---- exploding ------------------------------------------------------------------------------------------ */

static bool look_exploding(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    double most = 0;
    if (!cvi_case_series(c, "health/gradient_norm", &s)) {
        return false;
    }
    for (int64_t i = 0; i < s.n; i++) {
        if (i > 0 && s.value[i] > 20 * most && most > 0) {
            f->step = s.step[i];
            cvi_copy_text(f->tag, sizeof f->tag, s.tag);
            cvi_say(c, f, "the norm of the gradient is %.3g at step %lld; before, it never was above %.3g",
                    s.value[i], (long long)f->step, most);
            return true;
        }
        most = isfinite(s.value[i]) ? fmax(most, s.value[i]) : most;
    }
    return false;
}

const cvi_rule cvi_rule_exploding = {
    .code = "exploding_gradients",
    .severity = CVS_FAULT,
    .title = "Exploding gradients",
    .why = "Every step makes the next gradient larger: the steps overshoot.",
    .advice = "Use a smaller learning rate, a warm-up, or clip the gradient to a norm.",
    .recipe = "warmup steps=200 | clip norm=1",
    .look = look_exploding,
    .hides = {"learning_rate_high", "not_learning", "dead_units", "one_answer"}};

/* ---- vanishing ------------------------------------------------------------------------------------------ */

static bool look_vanishing(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    char who[300], first[300] = "", last[300] = "";
    double begin = (double)NAN, end = (double)NAN;
    int64_t step = 0;
    int layers = 0;
    for (int at = 0; cvi_case_next(c, "gradient_rms", &at, who, &s); layers++) {
        double median = s.n >= 3 ? cvi_median(&s, 0, s.n) : (double)NAN;
        if (layers == 0) {
            begin = median;
            step = s.step[0];
            cvi_copy_text(first, sizeof first, who);
        }
        end = median;
        cvi_copy_text(last, sizeof last, who);
    }
    if (layers < 3 || !(begin > 0) || !(begin < 1e-3 * end || (begin < 1e-8 && end < 1e-8))) {
        return false;
    }
    f->step = step;
    cvi_copy_text(f->layer, sizeof f->layer, first);
    snprintf(f->tag, sizeof f->tag, "health/%.200s/gradient_rms", first);
    cvi_say(c, f, "the gradient of %.100s is typically %.2g, that of %.100s %.2g", first, begin, last, end);
    return true;
}

const cvi_rule cvi_rule_vanishing = {
    .code = "vanishing_gradients",
    .severity = CVS_FAULT,
    .title = "Vanishing gradients",
    .why =
        "On its way back through the layers the gradient shrinks at each, and the first layers hardly learn.",
    .advice = "Use rectifiers instead of sigmoid or tanh, put a normalisation behind the convolutions, or "
              "lead connections past "
              "the layers.",
    .look = look_vanishing,
    .hides = {"learning_rate_low", "not_learning", "one_answer", "weights_still", "underfitting"}};

/* ---- dead and saturated units --------------------------------------------------------------------------- */

/* The first layer whose share is above a limit at the last look; since when. */
static bool find_share(const cvi_case *c, const char *what, double limit, cvi_finding *f, double *share) {
    cvs_series s;
    char who[300];
    for (int at = 0; cvi_case_next(c, what, &at, who, &s);) {
        if (s.value[s.n - 1] > limit) {
            int64_t since = s.n - 1;
            while (since > 0 && s.value[since - 1] > limit) {
                since--;
            }
            f->step = s.step[since];
            *share = s.value[s.n - 1];
            cvi_copy_text(f->layer, sizeof f->layer, who);
            cvi_copy_text(f->tag, sizeof f->tag, s.tag);
            return true;
        }
    }
    return false;
}

static bool look_dead(const cvi_case *c, cvi_finding *f) {
    double share = 0;
    if (!find_share(c, "dead", 0.5, f, &share)) {
        return false;
    }
    cvi_say(c, f, "%.0f%% of the channels of %.200s answer the same to every picture", 100 * share, f->layer);
    return true;
}

const cvi_rule cvi_rule_dead = {
    .code = "dead_units",
    .severity = CVS_WARNING,
    .title = "Dead units",
    .why = "A rectifier whose input is negative for every picture gives 0, passes no gradient, and never "
           "recovers.",
    .advice = "Use a smaller learning rate, leaky rectifiers, or a normalisation before them; look at large "
              "negative biases.",
    .recipe = "lr 0.0003",
    .look = look_dead,
    .hides = {"not_learning", "one_answer", "underfitting", "weights_still", "learning_rate_low"}};

static bool look_saturated(const cvi_case *c, cvi_finding *f) {
    double share = 0;
    if (!find_share(c, "saturated", 0.5, f, &share)) {
        return false;
    }
    cvi_say(c, f, "%.0f%% of the numbers of %.200s are within 0.03 of the function's ends", 100 * share,
            f->layer);
    return true;
}

const cvi_rule cvi_rule_saturated = {
    .code = "saturated_units",
    .severity = CVS_WARNING,
    .title = "Saturated units",
    .why = "Where a sigmoid or tanh is at its end it is flat: hardly any gradient passes.",
    .advice = "Scale the inputs, begin with smaller weights, put a normalisation before, or use rectifiers.",
    .look = look_saturated,
    .hides = {"not_learning", "one_answer", "underfitting"}};

/* ---- clipping, weights that do not move ------------------------------------------------------------------ */

static bool look_clipped(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    double sum = 0;
    if (!cvi_case_series(c, "health/clipped", &s) || s.n < 8) {
        return false;
    }
    for (int64_t i = s.n / 2; i < s.n; i++) {
        sum += s.value[i];
    }
    double share = sum / (double)(s.n - s.n / 2);
    if (!(share > 0.5)) {
        return false;
    }
    f->step = s.step[s.n / 2];
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    cvi_say(c, f, "%.0f%% of the later steps were clipped", 100 * share);
    return true;
}

const cvi_rule cvi_rule_clipped = {.code = "always_clipped",
                                   .severity = CVS_NOTE,
                                   .title = "Most steps are clipped",
                                   .why = "Clipping is meant for rare steps; where it always acts, it only "
                                          "hides a learning rate that is too large or a limit "
                                          "that is too small.",
                                   .advice = "Use a smaller learning rate, or a larger limit.",
                                   .recipe = "clip norm=5",
                                   .look = look_clipped};

static bool look_frozen(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    char who[300];
    for (int at = 0; cvi_case_next(c, "unchanged", &at, who, &s);) {
        if (s.n >= 3 && cvi_median(&s, 0, CVI_MAX(s.n / 2, 3)) >
                            0.99) { /* a rate that falls to 0 stills all at the end */
            f->step = s.step[0];
            cvi_copy_text(f->layer, sizeof f->layer, who);
            cvi_copy_text(f->tag, sizeof f->tag, s.tag);
            cvi_say(c, f, "more than 99%% of the weights of %.200s stay as they are in a step", who);
            return true;
        }
    }
    return false;
}

const cvi_rule cvi_rule_frozen = {
    .code = "weights_still",
    .severity = CVS_WARNING,
    .title = "Weights that do not move",
    .why = "No gradient reaches them, or the steps are smaller than float32 can add to the weights.",
    .advice = "Use a larger learning rate, or look at what lies behind this layer: something may cut it off.",
    .look = look_frozen};
