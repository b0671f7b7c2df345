/* SPDX-License-Identifier: MIT
 * rules_fit.c - what the curves say: a learning rate that is too high or too low, nothing learned, one answer for everything,
 * overfitting, underfitting, a bad start.
 */
#include <math.h>

#include "watch/rule.h"

enum { STEPS = 40 /* fewer say nothing */, FEW = 8 /* unless the loss is far beyond guessing */ };

/* Typical loss at the beginning and at the end. */
static bool ends_of(const cvi_case *c, cvs_series *s, double *first, double *last) {
    if (!cvi_case_at(c, c->loss, s) || s->n < FEW) {
        return false;
    }
    *first = cvi_median(s, 0, 3);
    /* The first step was too large already. */
    if (s->value[0] < *first && isfinite(c->chance) && *first > 10 * c->chance) {
        *first = s->value[0];
    }
    *last = cvi_median(s, s->n - s->n / 4, s->n);
    return isfinite(*first) && isfinite(*last) &&
           (s->n >= STEPS || (isfinite(c->chance) && *last > 10 * c->chance));
}

/* The relative change of the weights in a step, over the layers: the largest of the first steps, and the largest that is typical. */
static bool ratios(const cvi_case *c, double *first, double *usual, char layer[300]) {
    cvs_series s;
    char who[300];
    bool any = false;
    *first = *usual = 0;
    for (int at = 0; cvi_case_next(c, "update_ratio", &at, who, &s); any = true) {
        for (int64_t i = 0; i < CVI_MIN(s.n, 5); i++) {
            if (s.value[i] > *first) {
                *first = s.value[i];
                cvi_copy_text(layer, 300, who);
            }
        }
        double median = cvi_median(&s, 0, CVI_MAX(s.n / 2, 1));
        *usual = median > *usual ? median : *usual;
    }
    return any;
}

static bool look_rate_high(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    double first, last, early, usual;
    char layer[300] = "";
    if (!ends_of(c, &s, &first, &last)) {
        return false;
    }
    bool known = ratios(c, &early, &usual, layer);
    double guess = isfinite(c->chance) ? c->chance : first;
    bool grew = last > 1.5 * first && last > 1.1 * guess;
    bool wild = known && early > 0.15 && last > 0.9 * guess;
    if (!grew && !wild) {
        return false;
    }
    f->step = s.step[0];
    for (int64_t i = 0; i < s.n; i++) {
        if (s.value[i] > 1.5 * first) {
            f->step = s.step[i];
            break;
        }
    }
    cvi_copy_text(f->layer, sizeof f->layer, known && wild ? layer : "");
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    if (known) {
        cvi_say(
            c, f,
            "the loss began at %.3g and is at %.3g; an early step changed the weights of %.200s by %.1f%%",
            first, last, layer, 100 * early);
    } else {
        cvi_say(c, f, "the loss began at %.3g and is at %.3g", first, last);
    }
    return true;
}

const cvi_rule cvi_rule_rate_high = {
    .code = "learning_rate_high",
    .severity = CVS_FAULT,
    .title = "The learning rate is too high",
    .why = "Steps overshoot: the loss rises, or stays where guessing is. About a thousandth of the weights a "
           "step is "
           "usual.",
    .advice = "Divide the learning rate by three to ten, or begin with a warm-up.",
    .recipe = "warmup steps=200",
    .look = look_rate_high,
    .hides = {"not_learning", "one_answer", "dead_units", "underfitting", "label_noise", "saturated_units"}};

static bool look_rate_low(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    double first, last, early, usual;
    char layer[300] = "";
    if (!ends_of(c, &s, &first, &last) || !ratios(c, &early, &usual, layer) || !(usual < 1e-4) ||
        !(last > 0.85 * first) || (isfinite(c->chance) && last < 0.5 * c->chance)) {
        return false;
    }
    f->step = s.step[0];
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    cvi_say(
        c, f,
        "after %lld steps the loss is at %.4g, from %.4g; no step changes any weights by more than %.2g%%",
        (long long)s.n, last, first, 100 * usual);
    return true;
}

const cvi_rule cvi_rule_rate_low = {.code = "learning_rate_low",
                                    .severity = CVS_WARNING,
                                    .title = "The learning rate is too low",
                                    .why =
                                        "The loss falls, but so slowly that the epochs will not do. About a "
                                        "thousandth of the weights a step is usual.",
                                    .advice = "Multiply the learning rate by three to ten until the loss no "
                                              "longer falls smoothly, then go back one.",
                                    .recipe = "lr 0.001",
                                    .look = look_rate_low,
                                    .hides = {"not_learning", "one_answer", "weights_still", "underfitting"}};

static bool look_not_learning(const cvi_case *c, cvi_finding *f) {
    cvs_series s, a;
    double first, last;
    if (!ends_of(c, &s, &first, &last) || s.n < 2 * STEPS || !isfinite(c->chance) ||
        !(last > 0.97 * c->chance)) {
        return false;
    }
    if (cvi_case_at(c, c->epoch_accuracy, &a) && a.value[a.n - 1] > 1.8 / c->classes) {
        return false;
    }
    f->step = s.step[0];
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    cvi_say(c, f, "after %lld steps the loss is at %.3g; guessing among %.0f classes costs %.3g",
            (long long)s.n, last, c->classes, c->chance);
    return true;
}

const cvi_rule cvi_rule_not_learning = {.code = "not_learning",
                                        .severity = CVS_FAULT,
                                        .title = "Nothing is learned",
                                        .why =
                                            "The loss stays where guessing is: labels that do not belong to "
                                            "their pictures, inputs that say nothing, or a network that "
                                            "the gradient does not get through.",
                                        .advice = "Look whether pictures and labels still belong together, "
                                                  "try to learn twenty pictures by heart, and try other "
                                                  "learning rates.",
                                        .look = look_not_learning,
                                        .hides = {"one_answer", "underfitting", "label_noise"}};

static bool look_one_answer(const cvi_case *c, cvi_finding *f) {
    cvs_series s, share;
    if (!cvi_case_series(c, "health/one_class", &s) || !(s.value[s.n - 1] > 0.9) || !(c->classes >= 3) ||
        (cvi_case_series(c, "health/imbalance", &share) && share.value[0] > 5)) {
        return false;
    }
    f->step = s.step[s.n - 1];
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    cvi_say(c, f, "%.0f%% of the answers are one of the %.0f classes", 100 * s.value[s.n - 1], c->classes);
    return true;
}

const cvi_rule cvi_rule_one_answer = {
    .code = "one_answer",
    .severity = CVS_WARNING,
    .title = "One answer for everything",
    .why = "The network found that one class is a good guess and does not look at the pictures.",
    .advice =
        "Use another learning rate, weights for rare classes, or look at what the first layers pass on.",
    .look = look_one_answer};

/* The epoch of the least value. */
static int64_t least_of(const cvs_series *s) {
    int64_t best = -1;
    for (int64_t i = 0; i < s->n; i++) {
        best = isfinite(s->value[i]) && (best < 0 || s->value[i] < s->value[best]) ? i : best;
    }
    return best;
}

static bool look_overfitting(const cvi_case *c, cvi_finding *f) {
    cvs_series train, val;
    if (!cvi_case_at(c, c->epoch_loss, &train) || !cvi_case_at(c, c->val_loss, &val) || val.n < 5) {
        return false;
    }
    int64_t best = least_of(&val);
    double seen = train.value[train.n - 1], unseen = val.value[val.n - 1];
    if (best < 0 || best > val.n - 4 ||
        !(unseen > 1.2 * val.value[best] && unseen - val.value[best] > 0.03) || !(seen < 0.5 * unseen)) {
        return false;
    }
    f->step = val.step[best];
    cvi_copy_text(f->tag, sizeof f->tag, val.tag);
    cvi_say(c, f,
            "on unseen pictures the loss was best at %.3g (step %lld) and is at %.3g; on training pictures "
            "it is at %.3g",
            val.value[best], (long long)val.step[best], unseen, seen);
    return true;
}

const cvi_rule cvi_rule_overfitting = {.code = "overfitting",
                                       .severity = CVS_WARNING,
                                       .title = "Overfitting",
                                       .why = "The network learns its training pictures by heart; what it "
                                              "learns since its best epoch does not hold for others.",
                                       .advice =
                                           "Take best.onnx, stop earlier, or change the pictures (augment), "
                                           "add dropout, a penalty on the weights, or more data.",
                                       .recipe = "stop patience=3 | augment shift=2 flip | penalty l2=0.0005",
                                       .look = look_overfitting};

static bool look_underfitting(const cvi_case *c, cvi_finding *f) {
    cvs_series a, v, loss;
    if (!cvi_case_at(c, c->epoch_accuracy, &a) || !cvi_case_at(c, c->val_accuracy, &v) ||
        !cvi_case_at(c, c->epoch_loss, &loss) || a.n < 6 || v.n < 1) {
        return false;
    }
    double now = a.value[a.n - 1], before = a.value[a.n - 4], unseen = v.value[v.n - 1];
    if (!(now < 0.8) || !(now - before < 0.01) || !(now - unseen < 0.05) ||
        !(loss.value[loss.n - 1] > 0.98 * loss.value[loss.n - 4])) {
        return false;
    }
    f->step = a.step[a.n - 4];
    cvi_copy_text(f->tag, sizeof f->tag, a.tag);
    cvi_say(c, f,
            "%.1f%% of the training pictures are right and %.1f%% of the others, and three epochs brought "
            "%.1f points",
            100 * now, 100 * unseen, 100 * (now - before));
    return true;
}

const cvi_rule cvi_rule_underfitting = {
    .code = "underfitting",
    .severity = CVS_NOTE,
    .title = "Underfitting",
    .why = "Training and unseen pictures are equally badly known, and it no longer gets better: the network "
           "is too small or held back.",
    .advice = "Use more channels or layers, less penalty and dropout, or another learning rate.",
    .look = look_underfitting};

static bool look_bad_start(const cvi_case *c, cvi_finding *f) {
    cvs_series s;
    if (!cvi_case_at(c, c->loss, &s) || !isfinite(c->chance) || s.step[0] > 1 ||
        !(s.value[0] > 4 * c->chance)) {
        return false;
    }
    f->step = s.step[0];
    cvi_copy_text(f->tag, sizeof f->tag, s.tag);
    cvi_say(c, f, "the first loss is %.3g; guessing among %.0f classes would cost %.3g", s.value[0],
            c->classes, c->chance);
    return true;
}

const cvi_rule cvi_rule_bad_start = {.code = "bad_start",
                                     .severity = CVS_NOTE,
                                     .title = "The first answers are sure and wrong",
                                     .why = "Before it has learned anything a network should be undecided; "
                                            "here the first steps are spent on unlearning.",
                                     .advice =
                                         "Begin with smaller weights in the last layer, or scale the inputs.",
                                     .look = look_bad_start};
