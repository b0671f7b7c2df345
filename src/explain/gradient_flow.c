/* SPDX-License-Identifier: MIT
 * gradient_flow.c - how strongly the target hangs on every layer: one backward pass, the size of the gradient layer by layer.
 */
#include <math.h>

#include "convscope/compare.h"
#include "engine/run_state.h"
#include "explain/method.h"
#include "explain/unit.h"

void cvs_gradient_flow_free(cvs_gradient_flow *f) {
    if (f) {
        cvi_free(f->size);
        *f = (cvs_gradient_flow){0};
    }
}

/* reached[v]: the target is made of v, and every way from v to it has a derivative. barred [n_values] is scratch. */
static void mark_reached(const cvi_graph *g, int target, bool *reached, bool *barred) {
    reached[target] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const cvi_node *node = &g->nodes[i];
        bool needed = false, bar = !node->def || !node->def->backward;
        for (int k = 0; k < node->n_out; k++) {
            needed = needed || (node->out[k] >= 0 && reached[node->out[k]]);
            bar = bar || (node->out[k] >= 0 && barred[node->out[k]]);
        }
        for (int k = 0; k < node->n_in && needed; k++) {
            if (node->in[k] >= 0) {
                reached[node->in[k]] = true;
                barred[node->in[k]] = barred[node->in[k]] || bar;
            }
        }
    }
    for (int v = 0; v < g->n_values; v++) {
        reached[v] = reached[v] && !barred[v];
    }
}

static double size_of(const cvs_tensor *t) {
    int64_t n = cvs_tensor_count(t);
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double v = cvi_get(t, i);
        sum += v * v;
    }
    return n > 0 ? sqrt(sum / (double)n) : (double)NAN;
}

/* wanted [n_layers] is scratch. */
static cvs_status measure(cvi_question *q, const bool *reached, int *wanted, cvs_gradient_flow *out) {
    int n = 0;
    for (int i = 0; i < out->n_layers; i++) {
        int v = q->run->layers[i];
        cvs_tensor t;
        out->size[i] = (double)NAN;
        if (v >= 0 && reached[v] && cvi_exec_value(q->exec, v, &t, NULL) == CVS_OK && t.dtype == CVS_F32) {
            wanted[n++] = v;
        }
    }
    if (n == 0) {
        return CVS_OK;
    }
    CVI_TRY(cvi_exec_backward(q->exec, CVI_GRADIENT, &q->target_value, &q->seed, 1, wanted, n, q->err));
    for (int i = 0, k = 0; i < out->n_layers && k < n; i++) {
        cvs_tensor t;
        if (q->run->layers[i] == wanted[k]) {
            CVI_TRY(cvi_exec_gradient(q->exec, wanted[k++], &t, q->err));
            out->size[i] = size_of(&t);
        }
    }
    return CVS_OK;
}

static cvs_status ask(cvi_question *q, cvs_gradient_flow *out) {
    const cvi_graph *g = q->model->graph;
    if (g->n_inputs < 1) {
        return cvi_fail(q->err, CVS_E_UNSUPPORTED, "the model has no input");
    }
    cvs_explanation asked = {0}; /* takes the target's words */
    q->input_value = g->inputs[0];
    CVI_TRY(cvi_question_ask_target(q, &asked));
    snprintf(out->target_name, sizeof out->target_name, "%s", asked.target_name);
    out->target_index = asked.target_index;
    out->target_value = asked.target_value;
    out->n_layers = q->run->n_layers;
    size_t values = (size_t)CVI_MAX(g->n_values, 1), layers = (size_t)CVI_MAX(out->n_layers, 1);
    out->size = cvi_calloc(layers, sizeof *out->size);
    bool *reached = cvi_calloc(values, sizeof *reached), *barred = cvi_calloc(values, sizeof *barred);
    int *wanted = cvi_calloc(layers, sizeof *wanted);
    cvs_status s = out->size && reached && barred && wanted ? CVS_OK : cvi_no_memory(q->err, values);
    if (s == CVS_OK) {
        mark_reached(g, q->target_value, reached, barred);
        s = measure(q, reached, wanted, out);
    }
    cvi_free(reached);
    cvi_free(barred);
    cvi_free(wanted);
    return s;
}

cvs_status cvs_measure_gradient_flow(cvs_run *run, const cvs_target *target, int64_t sample,
                                     cvs_gradient_flow *out, cvs_error *err) {
    *out = (cvs_gradient_flow){0};
    cvs_explain_options options = {.method = "gradient", .target = *target, .sample = sample};
    cvi_question q = {.model = run->model,
                      .sample = sample,
                      .layer_value = -1,
                      .options = &options,
                      .run = run,
                      .err = err};
    bool owned;
    CVI_TRY(cvi_exec_of_sample(run, &q.sample, &q.exec, &owned, err));
    cvs_status s = ask(&q, out);
    if (owned) {
        cvi_exec_free(q.exec);
    }
    cvs_tensor_free(&q.seed);
    if (s != CVS_OK) {
        cvs_gradient_flow_free(out);
    }
    return s;
}
