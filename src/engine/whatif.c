/* SPDX-License-Identifier: MIT
 * whatif.c - what-if sessions of a run: a sample whose inputs or layers are changed, on an exec of its own and the incremental
 * re-run.
 */
#include "engine/incremental.h"
#include "engine/run_state.h"

struct cvs_whatif {
    cvs_run *run; /* borrowed */
    cvs_tensor *inputs;
    cvi_exec *exec;
    cvi_incr *incr;
};

/* The sample of an input; one without a batch of that many samples is taken whole. */
static cvs_status take_sample(const cvs_tensor *from, int64_t samples, int64_t sample, cvs_tensor *to,
                              cvs_error *err) {
    cvs_tensor one = *from;
    one.owned = false;
    if (from->rank > 0 && from->dim[0] == samples && samples > 0) {
        one.bytes = from->bytes / (size_t)samples;
        one.data = (char *)from->data + (size_t)sample * one.bytes;
        one.dim[0] = 1;
    }
    return cvs_tensor_convert(&one, one.dtype, to, err);
}

static cvs_status begin(cvs_whatif *w, int64_t sample, cvs_error *err) {
    const cvs_run *run = w->run;
    const cvi_graph *g = run->model->graph;
    int64_t samples = run->inputs[0].rank > 0 ? run->inputs[0].dim[0] : 1;
    cvi_exec_options options = {.pool = run->pool,
                                .exact = run->options.exact,
                                .plain = run->options.plain,
                                .keep = CVI_KEEP_GRADIENTS,
                                .max_bytes = run->options.limits.max_memory_bytes};
    if (sample < 0 || sample >= CVI_MAX(samples, 1)) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no sample %lld, the run had %lld", (long long)sample,
                        (long long)samples);
    }
    w->inputs = cvi_calloc((size_t)g->n_inputs, sizeof *w->inputs);
    if (!w->inputs) {
        return cvi_no_memory(err, (size_t)g->n_inputs * sizeof *w->inputs);
    }
    for (int i = 0; i < g->n_inputs; i++) {
        CVI_TRY(take_sample(&run->inputs[i], samples, sample, &w->inputs[i], err));
    }
    CVI_TRY(cvi_exec_new(g, w->inputs, &options, &w->exec, err));
    CVI_TRY(cvi_exec_forward(w->exec, w->inputs, -1, err));
    return cvi_incr_new(w->exec, &w->incr, err);
}

cvs_status cvs_whatif_new(cvs_run *run, int64_t sample, cvs_whatif **out, cvs_error *err) {
    *out = NULL;
    if (!run->ran || run->model->graph->n_inputs < 1) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the model has not been run yet");
    }
    cvs_whatif *w = cvi_calloc(1, sizeof *w);
    if (!w) {
        return cvi_no_memory(err, sizeof *w);
    }
    w->run = run;
    cvs_status s = begin(w, sample, err);
    if (s != CVS_OK) {
        cvs_whatif_free(w);
        return s;
    }
    *out = w;
    return CVS_OK;
}

void cvs_whatif_free(cvs_whatif *w) {
    if (!w) {
        return;
    }
    cvi_incr_free(w->incr);
    cvi_exec_free(w->exec);
    for (int i = 0; w->inputs && i < w->run->model->graph->n_inputs; i++) {
        cvs_tensor_free(&w->inputs[i]);
    }
    cvi_free(w->inputs);
    cvi_free(w);
}

static cvs_status value_of(const cvs_whatif *w, bool input, int index, int *value, cvs_error *err) {
    const cvi_graph *g = w->run->model->graph;
    if (!input) {
        *value = cvi_run_layer_value(w->run, index, err);
        return *value < 0 ? CVS_E_NOT_FOUND : CVS_OK;
    }
    if (index < 0 || index >= g->n_inputs) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no input %d of a run", index);
    }
    *value = g->inputs[index];
    return CVS_OK;
}

cvs_status cvs_whatif_apply(cvs_whatif *w, const cvs_edit *edits, int n, cvs_error *err) {
    cvi_edit *mine = cvi_calloc((size_t)CVI_MAX(n, 1), sizeof *mine);
    cvs_status s = mine ? CVS_OK : cvi_no_memory(err, (size_t)n * sizeof *mine);
    for (int i = 0; i < n && s == CVS_OK; i++) {
        const cvs_edit *e = &edits[i];
        bool all = e->h == 0 && e->w == 0;
        mine[i] = (cvi_edit){.y = all ? 0 : e->y,
                             .x = all ? 0 : e->x,
                             .h = all ? INT32_MAX : e->h,
                             .w = all ? INT32_MAX : e->w,
                             .c = e->channel,
                             .channels = e->channels,
                             .fill = e->fill,
                             .data = e->data};
        s = all && e->data
                ? cvi_fail(err, CVS_E_ARGUMENT, "numbers for a rectangle need its height and width")
                : value_of(w, e->input, e->index, &mine[i].value, err);
    }
    if (s == CVS_OK) {
        s = cvi_incr_apply(w->incr, &(cvi_change){mine, n}, err);
    }
    cvi_free(mine);
    return s;
}

cvs_status cvs_whatif_input(cvs_whatif *w, int i, cvs_tensor *out, cvs_error *err) {
    int value = -1;
    *out = (cvs_tensor){0};
    CVI_TRY(value_of(w, true, i, &value, err));
    return cvi_incr_value(w->incr, value, out, err);
}

cvs_status cvs_whatif_layer(cvs_whatif *w, int layer, cvs_tensor *out, cvs_error *err) {
    int value = -1;
    *out = (cvs_tensor){0};
    CVI_TRY(value_of(w, false, layer, &value, err));
    return cvi_incr_value(w->incr, value, out, err);
}

cvs_status cvs_whatif_output(cvs_whatif *w, int i, cvs_tensor *out, cvs_error *err) {
    const cvi_graph *g = w->run->model->graph;
    *out = (cvs_tensor){0};
    if (i < 0 || i >= g->n_outputs) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no output %d: the model has %d", i, g->n_outputs);
    }
    return cvi_incr_value(w->incr, g->outputs[i], out, err);
}
