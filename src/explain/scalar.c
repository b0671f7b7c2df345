/* SPDX-License-Identifier: MIT
 * scalar.c - the one number that is explained, at any run: a class's logit or probability, a weighted sum of several, one number of a
 * layer, or the sum over a region of it; and the seed that a backward pass starts with.
 */
#include <math.h>

#include "explain/method.h"
#include "graph/graph.h"

/* Scores of the question's sample: values and how many. One sigmoid unit counts as two classes. */
typedef struct score_view {
    cvs_tensor t;
    int64_t first, count;
    bool two;
    cvs_logit_kind kind;
} score_view;

/* Whether a value holds one score per class for each sample; s has its tensor. */
static bool one_score_each(score_view *s, int64_t batch) {
    int64_t samples = s->t.rank >= 2 ? s->t.dim[0] : 1, count = cvs_tensor_count(&s->t);
    int wide = samples > 1 && samples != batch; /* a first dimension that counts something else */
    for (int i = s->t.rank >= 2 ? 1 : 0; i < s->t.rank; i++) {
        wide += s->t.dim[i] > 1;
    }
    s->count = samples > 0 ? count / samples : 0;
    return count > 0 && samples > 0 && wide <= 1 && s->t.dtype == CVS_F32;
}

/* The first output if it is scores, else the last that is: models that give out layers as well have their answer last. */
static cvs_status scores_of(cvi_question *q, cvi_exec *exec, int64_t sample, score_view *s, int *value) {
    const cvi_graph *g = q->model->graph;
    cvs_tensor input;
    if (g->n_outputs < 1) {
        return cvi_fail(q->err, CVS_E_UNSUPPORTED, "the model has no output to explain");
    }
    CVI_TRY(cvi_exec_value(exec, q->input_value, &input, q->err));
    int64_t batch = input.rank > 0 ? input.dim[0] : 1;
    bool found = false;
    for (int k = 0; k < g->n_outputs && !found; k++) {
        int o = k == 0 ? 0 : g->n_outputs - k;
        *value = cvi_graph_logit(g, o, &s->kind);
        CVI_TRY(cvi_exec_value(exec, *value, &s->t, q->err));
        found = one_score_each(s, batch);
    }
    if (!found) {
        char text[200];
        *value = cvi_graph_logit(g, 0, &s->kind);
        CVI_TRY(cvi_exec_value(exec, *value, &s->t, q->err));
        return cvi_fail(q->err, CVS_E_UNSUPPORTED,
                        "the output has the shape %s: a class to explain needs one score per class; a target "
                        "neuron:LAYER:CHANNEL or region:LAYER:CHANNEL can be explained in any layer",
                        cvs_shape_text(s->t.rank, s->t.dim, text, sizeof text));
    }
    int64_t samples = s->t.rank >= 2 ? s->t.dim[0] : 1;
    s->first = CVI_MIN(sample, samples - 1) * s->count;
    s->two = s->count == 1 && s->kind == CVS_LOGIT_BEFORE_SIGMOID;
    return CVS_OK;
}

static int64_t classes_of(const score_view *s) {
    return s->two ? 2 : s->count;
}

static double logit_at(const score_view *s, int64_t i) {
    double z = cvi_get(&s->t, s->first + (s->two ? 0 : i));
    return s->two && i == 0 ? -z : z;
}

static double probability_at(const score_view *s, int64_t i) {
    if (s->kind == CVS_LOGIT_BEFORE_SIGMOID) {
        return 1.0 / (1.0 + exp(-logit_at(s, i)));
    }
    double highest = logit_at(s, 0), sum = 0.0;
    for (int64_t k = 1; k < s->count; k++) {
        highest = fmax(highest, logit_at(s, k));
    }
    for (int64_t k = 0; k < s->count; k++) {
        sum += exp(logit_at(s, k) - highest);
    }
    return exp(logit_at(s, i) - highest) / sum;
}

/* Adds weight * d p / d logits of class index (softmax: p_i (1[i=k] - p_k); sigmoid: p (1 - p)), or weight at the logit. */
static void add_to_seed(const score_view *s, int64_t index, double weight, bool probability, float *seed) {
    double p = probability ? probability_at(s, index) : 1.0;
    if (s->two) {
        seed[0] += (float)(weight * (index == 0 ? -1.0 : 1.0) * (probability ? p * (1.0 - p) : 1.0));
    } else if (!probability) {
        seed[index] += (float)weight;
    } else if (s->kind == CVS_LOGIT_BEFORE_SIGMOID) {
        seed[index] += (float)(weight * p * (1.0 - p));
    } else {
        for (int64_t k = 0; k < s->count; k++) {
            seed[k] += (float)(weight * p * ((k == index ? 1.0 : 0.0) - probability_at(s, k)));
        }
    }
}

/* The class or the mix: its value and, with a seed, where that comes from. */
static double of_classes(const cvi_question *q, const score_view *s, float *seed) {
    const cvs_target *t = &q->options->target;
    bool mix = t->kind == CVS_TARGET_MIX;
    double sum = 0.0;
    for (int k = 0; k < (mix ? t->n_parts : 1); k++) {
        int64_t index = mix ? t->part[k] : q->target_index;
        double weight = mix ? t->weight[k] : 1.0;
        sum += weight * (t->probability ? probability_at(s, index) : logit_at(s, index));
        if (seed) {
            add_to_seed(s, index, weight, t->probability, seed);
        }
    }
    return sum;
}

/* ---- inside a layer ------------------------------------------------------------------------------------ */

/* Channels, rows and columns of a value: [N,C,H,W], [N,C,...] or [N,C]; anything else is one row. */
typedef struct sides {
    int64_t samples, c, h, w;
} sides;

static sides sides_of(const cvs_tensor *t) {
    sides s = {1, 1, 1, 1};
    s.samples = t->rank >= 2 ? t->dim[0] : 1;
    s.c = t->rank >= 2 ? t->dim[1] : t->rank == 1 ? t->dim[0] : 1;
    s.h = t->rank >= 3 ? t->dim[2] : 1;
    for (int i = 3; i < t->rank; i++) {
        s.w *= t->dim[i];
    }
    return s;
}

/* The sum over the box of one sample's numbers; with a seed, ones there. */
static double of_box(const cvi_target_box *b, const sides *s, const float *numbers, float *seed) {
    double sum = 0.0;
    for (int64_t c = b->c; c < b->c + b->channels; c++) {
        for (int64_t y = b->y; y < b->y + b->rows; y++) {
            for (int64_t x = b->x; x < b->x + b->columns; x++) {
                int64_t i = (c * s->h + y) * s->w + x;
                sum += (double)numbers[i];
                if (seed) {
                    seed[i] = 1.0f;
                }
            }
        }
    }
    return sum;
}

static cvs_status layer_of(cvi_question *q, cvi_exec *exec, cvs_tensor *t, sides *s) {
    CVI_TRY(cvi_exec_value(exec, q->target_value, t, q->err));
    *s = sides_of(t);
    if (t->dtype != CVS_F32 || cvs_tensor_count(t) < 1) {
        return cvi_fail(q->err, CVS_E_UNSUPPORTED, "layer %.80s holds %s, a target must be float32",
                        q->model->graph->values[q->target_value].name, cvs_dtype_name(t->dtype));
    }
    return CVS_OK;
}

static cvs_status check_box(cvi_question *q, const cvi_target_box *b, const sides *s) {
    if (b->c < 0 || b->channels < 1 || b->c + b->channels > s->c) {
        return cvi_fail(q->err, CVS_E_NOT_FOUND,
                        "there is no channel %lld, layer %.80s has %lld, counted from 0", (long long)b->c,
                        q->model->graph->values[q->target_value].name, (long long)s->c);
    }
    if (b->y < 0 || b->x < 0 || b->rows < 1 || b->columns < 1 || b->y > s->h - b->rows ||
        b->x > s->w - b->columns) {
        return cvi_fail(
            q->err, CVS_E_NOT_FOUND,
            "rows %lld-%lld and columns %lld-%lld are not all in layer %.80s, which has %lld rows "
            "and %lld columns, counted from 0",
            (long long)b->y, (long long)(b->y + b->rows - 1), (long long)b->x,
            (long long)(b->x + b->columns - 1), q->model->graph->values[q->target_value].name,
            (long long)s->h, (long long)s->w);
    }
    return CVS_OK;
}

/* Where channel c of the sample is largest; the first of equal ones. */
static void strongest(const cvs_tensor *t, const sides *s, int64_t sample, int64_t c, cvi_target_box *b) {
    const float *v = (const float *)t->data + (sample * s->c + c) * s->h * s->w;
    int64_t best = 0;
    for (int64_t i = 1; i < s->h * s->w; i++) {
        best = v[i] > v[best] ? i : best;
    }
    b->y = best / s->w;
    b->x = best % s->w;
}

static cvs_status ask_layer(cvi_question *q, cvs_explanation *out) {
    const cvs_target *want = &q->options->target;
    const cvi_graph *g = q->model->graph;
    cvs_tensor t;
    sides s;
    q->target_value = cvi_graph_layer(g, want->layer);
    if (q->target_value < 0) {
        return cvi_fail(q->err, CVS_E_NOT_FOUND,
                        "there is no layer number %d: the model has %d layers, counted from 0", want->layer,
                        cvi_graph_n_layers(g));
    }
    if (want->probability) {
        return cvi_fail(q->err, CVS_E_ARGUMENT,
                        "a number inside a layer has no probability: leave the output at logit");
    }
    CVI_TRY(layer_of(q, q->exec, &t, &s));
    bool region = want->kind == CVS_TARGET_REGION, all = region && want->channel < 0;
    q->box = (cvi_target_box){.of_layer = true,
                              .c = all ? 0 : want->channel,
                              .channels = all ? s.c : 1,
                              .y = want->y,
                              .x = want->x,
                              .rows = region ? want->rows : 1,
                              .columns = region ? want->columns : 1};
    if (region && want->rows == 0) {
        q->box.y = 0;
        q->box.rows = s.h;
    }
    if (region && want->columns == 0) {
        q->box.x = 0;
        q->box.columns = s.w;
    }
    int64_t sample = CVI_MIN(q->sample, s.samples - 1);
    if (!region && want->y < 0 && q->box.c >= 0 && q->box.c < s.c) {
        strongest(&t, &s, sample, q->box.c, &q->box);
    }
    CVI_TRY(check_box(q, &q->box, &s));
    q->target_index = -1;
    out->target_index = -1;
    return cvi_question_score(q, q->exec, q->sample, &out->target_value, &q->seed);
}

/* ---- the question ---------------------------------------------------------------------------------------- */

cvs_status cvi_question_score(cvi_question *q, cvi_exec *exec, int64_t sample, double *score,
                              cvs_tensor *seed) {
    score_view s;
    sides size;
    int value = q->target_value;
    if (q->box.of_layer) {
        CVI_TRY(layer_of(q, exec, &s.t, &size));
        int64_t one = size.c * size.h * size.w;
        s.first = CVI_MIN(sample, size.samples - 1) * one;
        s.count = one;
    } else {
        CVI_TRY(scores_of(q, exec, sample, &s, &value));
    }
    float *to = NULL;
    if (seed) {
        if (!seed->data) {
            CVI_TRY(cvs_tensor_new(seed, CVS_F32, s.t.rank, s.t.dim, q->err));
        }
        to = (float *)seed->data + s.first;
        memset(to, 0, (size_t)s.count * sizeof *to);
    }
    *score = q->box.of_layer ? of_box(&q->box, &size, (const float *)s.t.data + s.first, to)
                             : of_classes(q, &s, to);
    return CVS_OK;
}

cvs_status cvi_question_classes(cvi_question *q, cvi_exec *exec, int64_t *classes, int *value) {
    score_view s;
    CVI_TRY(scores_of(q, exec, 0, &s, value));
    *classes = classes_of(&s);
    return CVS_OK;
}

cvs_status cvi_question_softmax(cvi_question *q, cvi_exec *exec, int64_t sample, double *out) {
    score_view s;
    int value;
    CVI_TRY(scores_of(q, exec, sample, &s, &value));
    if (q->box.of_layer || q->target_index < 0) {
        return cvi_fail(q->err, CVS_E_UNSUPPORTED, "this arithmetic needs a class as its target");
    }
    bool probability = q->options->target.probability;
    int64_t classes = classes_of(&s);
    double highest = -HUGE_VAL, sum = 0.0, own = 0.0;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t k = 0; k < classes; k++) {
            double v = probability ? probability_at(&s, k) : logit_at(&s, k);
            highest = pass == 0 ? fmax(highest, v) : highest;
            sum += pass == 1 ? exp(v - highest) : 0.0;
            own = k == q->target_index ? v : own;
        }
    }
    *out = exp(own - highest) / sum;
    return CVS_OK;
}

cvs_status cvi_question_grid(cvi_question *q, cvi_exec *exec, const float *numbers, int64_t n, float *out) {
    score_view s;
    int value;
    CVI_TRY(scores_of(q, exec, 0, &s, &value));
    int64_t classes = classes_of(&s), step = cvs_tensor_count(&s.t);
    bool probability = q->options->target.probability;
    for (int64_t i = 0; i < n; i++) {
        s.t.data = (void *)(uintptr_t)(numbers + i * step);
        double highest = logit_at(&s, 0), sum = 0.0;
        for (int64_t k = 1; k < classes; k++) {
            highest = fmax(highest, logit_at(&s, k));
        }
        for (int64_t k = 0; k < classes && probability; k++) {
            sum += exp(logit_at(&s, k) - highest);
        }
        for (int64_t k = 0; k < classes; k++) {
            double z = logit_at(&s, k);
            double p = s.kind == CVS_LOGIT_BEFORE_SIGMOID ? 1.0 / (1.0 + exp(-z)) : exp(z - highest) / sum;
            out[k * n + i] = (float)(probability ? p : z);
        }
    }
    return CVS_OK;
}

cvs_status cvi_question_targets(cvi_question *q, cvi_exec *exec, const float *numbers, int64_t n,
                                double *out) {
    score_view s;
    sides size;
    int value;
    if (q->box.of_layer) {
        CVI_TRY(layer_of(q, exec, &s.t, &size));
    } else {
        CVI_TRY(scores_of(q, exec, 0, &s, &value));
    }
    int64_t step = cvs_tensor_count(&s.t);
    for (int64_t i = 0; i < n; i++) {
        s.t.data = (void *)(uintptr_t)(numbers + i * step);
        out[i] = q->box.of_layer ? of_box(&q->box, &size, numbers + i * step, NULL) : of_classes(q, &s, NULL);
    }
    return CVS_OK;
}

static const char *class_name(const cvi_question *q, int64_t i) {
    return i < q->model->n_classes ? q->model->classes[i] : "";
}

/* A mix in few words: "2*tabby - 1*tiger cat". */
static void mix_words(const cvi_question *q, char *buf, size_t size) {
    const cvs_target *t = &q->options->target;
    size_t at = 0;
    buf[0] = 0;
    for (int k = 0; k < t->n_parts && at + 1 < size; k++) {
        const char *name = class_name(q, t->part[k]);
        double w = t->weight[k];
        const char *sign = k == 0 ? (w < 0 ? "-" : "") : w < 0 ? " - " : " + ";
        int n = *name ? snprintf(buf + at, size - at, "%s%.4g*%.40s", sign, fabs(w), name)
                      : snprintf(buf + at, size - at, "%s%.4g*%d", sign, fabs(w), t->part[k]);
        at = CVI_MIN(at + (size_t)n, size - 1);
    }
}

static void box_words(const cvi_question *q, char *buf, size_t size) {
    const cvi_target_box *b = &q->box;
    const char *layer = q->model->graph->values[q->target_value].name;
    cvs_lang lang = q->options->lang;
    char channel[60], place[120];
    if (b->channels > 1) {
        snprintf(channel, sizeof channel, "%s", cvi_tr(lang, "all channels"));
    } else {
        snprintf(channel, sizeof channel, cvi_tr(lang, "channel %lld"), (long long)b->c);
    }
    if (b->rows == 1 && b->columns == 1) {
        snprintf(place, sizeof place, cvi_tr(lang, "row %lld, column %lld"), (long long)b->y,
                 (long long)b->x);
    } else {
        snprintf(place, sizeof place, cvi_tr(lang, "the sum over rows %lld-%lld, columns %lld-%lld"),
                 (long long)b->y, (long long)(b->y + b->rows - 1), (long long)b->x,
                 (long long)(b->x + b->columns - 1));
    }
    snprintf(buf, size, cvi_tr(lang, "%s of layer %.60s, %s"), channel, layer, place);
}

void cvi_question_target_words(const cvi_question *q, const cvs_explanation *out, char *buf, size_t size) {
    cvs_lang lang = q->options->lang;
    if (out->target_index < 0) {
        snprintf(buf, size, "%s", out->target_name);
    } else if (out->target_name[0]) {
        snprintf(buf, size, cvi_tr(lang, "class %s (%d)"), out->target_name, out->target_index);
    } else {
        snprintf(buf, size, cvi_tr(lang, "class %d"), out->target_index);
    }
}

static cvs_status check_class(const cvi_question *q, int64_t index, int64_t classes) {
    if (index < 0 || index >= classes) {
        return cvi_fail(q->err, CVS_E_NOT_FOUND, "there is no class %lld, the model has %lld, counted from 0",
                        (long long)index, (long long)classes);
    }
    return CVS_OK;
}

static cvs_status ask_classes(cvi_question *q, cvs_explanation *out) {
    const cvs_target *want = &q->options->target;
    score_view s;
    CVI_TRY(scores_of(q, q->exec, q->sample, &s, &q->target_value));
    int64_t classes = classes_of(&s), index = want->index;
    if (index < 0) {
        index = 0;
        for (int64_t i = 1; i < classes; i++) {
            index = logit_at(&s, i) > logit_at(&s, index) ? i : index;
        }
    }
    if (want->kind == CVS_TARGET_MIX) {
        if (want->n_parts < 1 || want->n_parts > CVS_TARGET_PARTS) {
            return cvi_fail(q->err, CVS_E_ARGUMENT, "a mix of %d classes is not possible, 1 to %d are",
                            want->n_parts, CVS_TARGET_PARTS);
        }
        for (int k = 0; k < want->n_parts; k++) {
            CVI_TRY(check_class(q, want->part[k], classes));
        }
        index = -1;
    } else {
        CVI_TRY(check_class(q, index, classes));
    }
    q->target_index = index;
    out->target_index = (int)index;
    out->probability = want->probability;
    return cvi_question_score(q, q->exec, q->sample, &out->target_value, &q->seed);
}

cvs_status cvi_question_ask_target(cvi_question *q, cvs_explanation *out) {
    cvs_target_kind kind = q->options->target.kind;
    if (kind == CVS_TARGET_NEURON || kind == CVS_TARGET_REGION) {
        CVI_TRY(ask_layer(q, out));
        box_words(q, out->target_name, sizeof out->target_name);
        return CVS_OK;
    }
    CVI_TRY(ask_classes(q, out));
    if (kind == CVS_TARGET_MIX) {
        mix_words(q, out->target_name, sizeof out->target_name);
    } else {
        snprintf(out->target_name, sizeof out->target_name, "%.100s", class_name(q, q->target_index));
    }
    return CVS_OK;
}
