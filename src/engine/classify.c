/* SPDX-License-Identifier: MIT
 * classify.c - the best classes of a sample: logits, probabilities, names.
 */
#include <math.h>

#include "engine/run_state.h"

/* The scores of one sample: `count` logits (a borrowed tensor and where they begin). */
typedef struct score_row {
    cvs_tensor logits;
    int64_t first, count;
    bool two; /* one sigmoid unit: class 1 has the unit's logit, class 0 its negative */
} score_row;

static int64_t batch_of(const cvs_run *run) {
    return run->inputs != NULL && run->inputs[0].rank > 0 ? run->inputs[0].dim[0] : 1;
}

/* One score per class: [N,C], [C], or [N,C] with more dimensions of 1. */
static cvs_status find_row(cvs_run *run, int64_t sample, score_row *row, cvs_logit_kind *kind,
                           cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    CVI_TRY(cvi_run_value(run, cvi_graph_logit(g, 0, kind), &row->logits, err));
    const cvs_tensor *t = &row->logits;
    int64_t count = cvs_tensor_count(t), samples = t->rank >= 2 ? t->dim[0] : 1;
    /* a first dimension that is not the batch counts something else: anchors of a detector, say */
    int wide = samples > 1 && samples != batch_of(run);
    for (int i = t->rank >= 2 ? 1 : 0; i < t->rank; i++) {
        wide += t->dim[i] > 1;
    }
    if (count < 1 || wide > 1) {
        char text[200];
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "output %.80s has the shape %s: that is not one score per class",
                        g->values[g->outputs[0]].name, cvs_shape_text(t->rank, t->dim, text, sizeof text));
    }
    if (sample < 0 || sample >= samples) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no sample %lld, the run had %lld", (long long)sample,
                        (long long)samples);
    }
    row->count = count / samples;
    row->first = sample * row->count;
    row->two = row->count == 1 && *kind == CVS_LOGIT_BEFORE_SIGMOID;
    return CVS_OK;
}

static double logit_of(const score_row *row, int64_t i) {
    double z = cvi_get(&row->logits, row->first + (row->two ? 0 : i));
    return row->two && i == 0 ? -z : z;
}

static double sigmoid(double z) {
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

/* Keeps scores[0..*n) sorted, best first; of equal ones the lower index is first. NaN sinks. */
static void insert(cvs_score *scores, int top, int *n, cvs_score s) {
    int at = *n;
    while (at > 0 && (s.logit > scores[at - 1].logit || (isnan(scores[at - 1].logit) && !isnan(s.logit)))) {
        at--;
    }
    if (at >= top) {
        return;
    }
    *n = CVI_MIN(*n + 1, top);
    for (int k = *n - 1; k > at; k--) {
        scores[k] = scores[k - 1];
    }
    scores[at] = s;
}

cvs_status cvs_run_top(cvs_run *run, int64_t sample, int top, cvs_score *scores, int *count,
                       cvs_logit_kind *kind, cvs_error *err) {
    score_row row;
    cvs_logit_kind found;
    *count = 0;
    if (run->model->graph->n_outputs < 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "the model has no output");
    }
    CVI_TRY(find_row(run, sample, &row, &found, err));
    int64_t classes = row.two ? 2 : row.count;
    double highest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < classes; i++) {
        highest = fmax(highest, logit_of(&row, i));
    }
    for (int64_t i = 0; i < classes; i++) {
        double z = logit_of(&row, i);
        sum += z == highest ? 1 : exp(z - highest); /* also where both are infinite */
    }
    for (int64_t i = 0; i < classes && top > 0; i++) {
        double z = logit_of(&row, i);
        double p =
            found == CVS_LOGIT_BEFORE_SIGMOID ? sigmoid(z) : (z == highest ? 1 : exp(z - highest)) / sum;
        const char *name = i < run->model->n_classes ? run->model->classes[i] : "";
        insert(scores, top, count, (cvs_score){.index = (int)i, .name = name, .probability = p, .logit = z});
    }
    if (kind) {
        *kind = found;
    }
    return CVS_OK;
}
