/* SPDX-License-Identifier: MIT
 * many.c - a network asked about many pictures at once, for their classes' probabilities: a run of its own that keeps answers only.
 */
#include <math.h>

#include "engine/run_state.h"
#include "explain/checks.h"

/* Scores of a batch that has run: probability and logit [samples, classes] (either may be NULL); classes alone when both are. */
static cvs_status scores_of(cvs_run *run, int64_t *classes, double *probability, double *logit,
                            cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    cvs_logit_kind kind;
    cvs_tensor t;
    if (g->n_outputs < 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "the model has no output");
    }
    int value = cvi_graph_logit(g, 0, &kind);
    CVI_TRY(cvi_run_value(run, value, &t, err));
    int64_t samples = run->inputs[0].rank > 0 ? run->inputs[0].dim[0] : 1, count = cvs_tensor_count(&t);
    int wide = 0;
    for (int i = t.rank >= 2 ? 1 : 0; i < t.rank; i++) {
        wide += t.dim[i] > 1;
    }
    if (count < samples || count % samples != 0 || wide > 1) {
        char text[200];
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "output %.80s has the shape %s: that is not one score per class",
                        g->values[g->outputs[0]].name, cvs_shape_text(t.rank, t.dim, text, sizeof text));
    }
    int64_t k = count / samples;
    bool two = k == 1 && kind == CVS_LOGIT_BEFORE_SIGMOID;
    *classes = two ? 2 : k;
    for (int64_t n = 0; n < samples && (probability || logit); n++) {
        double highest = -INFINITY, sum = 0.0;
        for (int64_t i = 0; i < k; i++) {
            highest = fmax(highest, cvi_get(&t, n * k + i));
        }
        for (int64_t i = 0; i < k; i++) {
            sum += exp(cvi_get(&t, n * k + i) - highest);
        }
        for (int64_t i = 0; i < *classes; i++) {
            double z = cvi_get(&t, n * k + (two ? 0 : i));
            z = two && i == 0 ? -z : z;
            double p = kind == CVS_LOGIT_BEFORE_SIGMOID ? 1.0 / (1.0 + exp(-z)) : exp(z - highest) / sum;
            if (probability) {
                probability[n * *classes + i] = p;
            }
            if (logit) {
                logit[n * *classes + i] = z;
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_many_new(const cvs_model *model, const cvs_run_options *options, const cvs_tensor *picture,
                        int64_t batch, cvi_many *out, cvs_error *err) {
    *out = (cvi_many){.model = model, .batch = CVI_MAX(batch, 1)};
    if (model->graph->n_inputs != 1 || picture->rank != 4 || picture->dtype != CVS_F32) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "this is measured for models with one input [N,C,H,W] of float32 only");
    }
    cvs_run_options o = options ? *options : (cvs_run_options){0};
    o.answer_only = true;
    o.for_gradients = false;
    o.progress = NULL;
    int64_t dim[4] = {out->batch, picture->dim[1], picture->dim[2], picture->dim[3]};
    CVI_TRY(cvs_run_new(model, &o, &out->run, err));
    CVI_TRY(cvs_tensor_new(&out->x, CVS_F32, 4, dim, err));
    out->pixels = cvs_tensor_count(&out->x) / out->batch;
    return CVS_OK;
}

void cvi_many_free(cvi_many *p) {
    cvs_run_free(p->run);
    cvs_tensor_free(&p->x);
    cvi_free(p->probability);
    *p = (cvi_many){0};
}

float *cvi_many_place(cvi_many *p, int64_t b) {
    return (float *)p->x.data + b * p->pixels;
}

cvs_status cvi_many_ask(cvi_many *p, int64_t n, cvs_error *err) {
    cvs_tensor x = p->x;
    x.owned = false;
    x.dim[0] = n;
    cvi_as_input(p->model, &x);
    x.bytes = (size_t)(n * p->pixels) * sizeof(float);
    CVI_TRY(cvs_run_tensors(p->run, &x, 1, err));
    p->asked += n;
    if (!p->probability) {
        CVI_TRY(scores_of(p->run, &p->classes, NULL, NULL, err));
        p->probability = cvi_calloc((size_t)(p->batch * p->classes), 2 * sizeof *p->probability);
        if (!p->probability) {
            return cvi_no_memory(err, (size_t)(p->batch * p->classes) * 2 * sizeof *p->probability);
        }
        p->logit = p->probability + p->batch * p->classes;
    }
    return scores_of(p->run, &p->classes, p->probability, p->logit, err);
}
