/* SPDX-License-Identifier: MIT
 * run.c - cvs_run: inputs for a model, one exec for the last shapes, a model with a fixed batch run pass by pass with its
 * results joined, and the values of layers.
 */
#include "engine/groups.h"
#include "engine/plan.h"
#include "engine/run_state.h"

/* ---- life ------------------------------------------------------------------------------------------- */

static cvs_status check_options(const cvs_run_options *o, cvs_error *err) {
    if (o->device && strcmp(o->device, "cpu") != 0) {
        return cvi_at_attr(
            err, cvi_fail(err, CVS_E_ARGUMENT, "there is no device \"%.60s\"; devices: cpu", o->device),
            "device");
    }
    if (o->threads < 0 || o->threads > 4096) {
        return cvi_at_attr(err, cvi_fail(err, CVS_E_ARGUMENT, "%d threads are not possible", o->threads),
                           "threads");
    }
    if (o->batch < 0 || o->height < 0 || o->width < 0) {
        return cvi_fail(err, CVS_E_ARGUMENT, "a batch of %lld and a size of %lldx%lld are not possible",
                        (long long)o->batch, (long long)o->width, (long long)o->height);
    }
    return CVS_OK;
}

cvs_status cvs_run_new(const cvs_model *model, const cvs_run_options *options, cvs_run **out,
                       cvs_error *err) {
    cvs_run_options o = options ? *options : (cvs_run_options){0};
    *out = NULL;
    CVI_TRY(check_options(&o, err));
    o.limits = cvs_limits_default(options ? &options->limits : NULL);
    cvs_run *run = cvi_calloc(1, sizeof *run);
    if (!run) {
        return cvi_no_memory(err, sizeof *run);
    }
    run->model = model;
    run->options = o;
    size_t n = (size_t)CVI_MAX(model->graph->n_inputs, 1);
    run->inputs = cvi_calloc(n, sizeof *run->inputs);
    run->part = cvi_calloc(n, sizeof *run->part);
    run->planned = cvi_calloc(n, sizeof *run->planned);
    run->pool = cvi_pool_new(o.threads);
    cvi_groups groups;
    cvs_status s = cvi_groups_make(model->graph, &groups, err);
    if (s == CVS_OK) { /* finding a layer by its number in the graph takes a walk each time */
        run->layers = groups.value;
        run->n_layers = groups.n_layers;
        groups.value = NULL;
        cvi_groups_free(&groups);
    }
    if (s == CVS_OK && (!run->inputs || !run->part || !run->planned || !run->pool)) {
        s = cvi_no_memory(err, n * sizeof *run->inputs);
    }
    if (s != CVS_OK) {
        cvs_run_free(run);
        return s;
    }
    *out = run;
    return CVS_OK;
}

static void free_joined(cvs_run *run) {
    for (int v = 0; run->joined && v < run->model->graph->n_values; v++) {
        cvs_tensor_free(&run->joined[v]);
    }
    cvi_free(run->joined);
    cvi_free(run->joins);
    run->joined = NULL;
    run->joins = NULL;
}

static void free_tensors(cvs_tensor *t, int n) {
    for (int i = 0; t && i < n; i++) {
        cvs_tensor_free(&t[i]);
    }
}

static void forget_run(cvs_run *run) {
    free_joined(run);
    free_tensors(run->inputs, run->model->graph->n_inputs);
    free_tensors(run->part, run->model->graph->n_inputs);
    run->ran = false;
}

void cvs_run_free(cvs_run *run) {
    if (!run) {
        return;
    }
    cvi_exec_free(run->exec);
    forget_run(run);
    cvi_free(run->inputs);
    cvi_free(run->part);
    cvi_free(run->planned);
    cvi_free(run->layers);
    cvi_pool_free(run->pool);
    cvi_free(run);
}

/* ---- one pass --------------------------------------------------------------------------------------- */

static bool same_shape(const cvs_tensor *a, const cvs_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dim, b->dim, sizeof(int64_t) * (size_t)a->rank) == 0;
}

static cvs_status forward(cvs_run *run, const cvs_tensor *inputs, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    bool fits = run->exec != NULL;
    for (int i = 0; i < g->n_inputs && fits; i++) {
        fits = same_shape(&inputs[i], &run->planned[i]);
    }
    if (!fits) {
        cvs_logit_kind kind;
        int logit = g->n_outputs > 0 ? cvi_graph_logit(g, 0, &kind) : -1;
        cvi_exec_options options = {
            .pool = run->pool,
            .exact = run->options.exact,
            .plain = run->options.plain,
            .keep_aux = false,
            .keep = run->options.answer_only     ? CVI_KEEP_ANSWER
                    : run->options.for_gradients ? CVI_KEEP_GRADIENTS
                                                 : CVI_KEEP_ALL,
            .keep_values = &logit,
            .n_keep = 1,
            .max_bytes = run->options.limits.max_memory_bytes,
            .progress = run->options.progress,
            .progress_context = run->options.progress_context,
        };
        cvi_exec_free(run->exec);
        run->exec = NULL;
        CVI_TRY(cvi_exec_new(g, inputs, &options, &run->exec, err));
        for (int i = 0; i < g->n_inputs; i++) {
            run->planned[i] = inputs[i];
            run->planned[i].data = NULL;
            run->planned[i].owned = false;
        }
    }
    run->ran = true; /* also when it stops on the way: what was computed can be read */
    return cvi_exec_forward(run->exec, inputs, -1, err);
}

/* ---- several passes of a model with a fixed batch ------------------------------------------------------- */

/* How many passes the inputs need: 1 unless the first dimension is fixed and the file has another one. */
static cvs_status count_passes(const cvs_run *run, int64_t *passes, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    *passes = 1;
    for (int i = 0; i < g->n_inputs; i++) {
        const cvi_value *value = &g->values[g->inputs[i]];
        const cvs_tensor *t = &run->inputs[i];
        if (value->rank < 2 || value->dim[0] <= 0 || t->dim[0] == value->dim[0]) {
            continue;
        }
        int64_t needed = (t->dim[0] + value->dim[0] - 1) / value->dim[0];
        if (*passes > 1 && needed != *passes) {
            return cvi_fail(err, CVS_E_SHAPE, "the inputs have different numbers of samples");
        }
        *passes = CVI_MAX(*passes, needed);
    }
    return CVS_OK;
}

/* The part of an input for pass p: a view, or a copy filled up with the last sample. */
static cvs_status take_part(const cvs_run *run, int i, int64_t p, cvs_tensor *part, cvs_error *err) {
    const cvi_value *value = &run->model->graph->values[run->model->graph->inputs[i]];
    const cvs_tensor *t = &run->inputs[i];
    cvs_tensor_free(part);
    *part = *t;
    part->owned = false;
    if (value->rank < 2 || value->dim[0] <= 0 || t->dim[0] == value->dim[0] || t->dim[0] == 0) {
        return CVS_OK;
    }
    int64_t batch = value->dim[0], first = p * batch, here = CVI_MIN(batch, t->dim[0] - first);
    size_t sample = t->bytes / (size_t)t->dim[0];
    part->dim[0] = batch;
    part->bytes = sample * (size_t)batch;
    part->data = (char *)t->data + sample * (size_t)first;
    if (here < batch) {
        cvs_tensor view = *part;
        CVI_TRY(cvs_tensor_new(part, view.dtype, view.rank, view.dim, err));
        for (int64_t s = 0; s < batch; s++) {
            memcpy((char *)part->data + (size_t)s * sample,
                   (const char *)view.data + (size_t)CVI_MIN(s, here - 1) * sample, sample);
        }
    }
    return CVS_OK;
}

static bool joins_any(void *context, int v) {
    return ((const cvs_run *)context)->joins[v];
}

static cvs_status begin_join(cvs_run *run, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    run->joined = cvi_calloc((size_t)g->n_values, sizeof *run->joined);
    run->joins = cvi_calloc((size_t)g->n_values, sizeof *run->joins);
    if (!run->joined || !run->joins) {
        return cvi_no_memory(err, (size_t)g->n_values * sizeof *run->joined);
    }
    for (int i = 0; i < g->n_inputs; i++) {
        run->joins[g->inputs[i]] = true;
    }
    for (int n = 0; n < g->n_nodes; n++) {
        bool joins = cvi_plan_reads(run->exec, n, joins_any, run);
        for (int k = 0; k < g->nodes[n].n_out && joins; k++) {
            if (g->nodes[n].out[k] >= 0) {
                run->joins[g->nodes[n].out[k]] = true;
            }
        }
    }
    return CVS_OK;
}

/* Samples [first, first + here) of value v come from this pass's leading samples. */
static cvs_status join_value(cvs_run *run, int v, int64_t batch, int64_t first, int64_t total,
                             cvs_error *err) {
    cvs_tensor t, *whole = &run->joined[v];
    CVI_TRY(cvi_exec_value(run->exec, v, &t, err));
    bool parts = run->joins[v] && t.rank > 0 && t.dim[0] == batch && !run->exec->slots[v].constant;
    if (first == 0) {
        int64_t dim[CVS_MAX_RANK] = {0};
        memcpy(dim, t.dim, sizeof dim);
        dim[0] = parts ? total : t.dim[0];
        CVI_TRY(cvs_tensor_new(whole, t.dtype, t.rank, dim, err));
        if (!parts && t.bytes > 0 && t.data) {
            memcpy(whole->data, t.data, CVI_MIN(t.bytes, whole->bytes));
        }
    }
    size_t sample = parts ? t.bytes / (size_t)batch : 0, at = sample * (size_t)first;
    if (parts &&
        (whole->dtype != t.dtype || whole->dim[0] != total || whole->bytes != sample * (size_t)total)) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "%.80s has another shape for another sample, so samples cannot be joined",
                        run->model->graph->values[v].name);
    }
    if (sample > 0 && t.data) {
        memcpy((char *)whole->data + at, t.data, sample * (size_t)CVI_MIN(batch, total - first));
    }
    return CVS_OK;
}

/* The first input that is cut decides: samples in all, and per pass. */
static void batch_of(const cvs_run *run, int64_t *batch, int64_t *total) {
    const cvi_graph *g = run->model->graph;
    for (int i = 0; i < g->n_inputs; i++) {
        const cvi_value *value = &g->values[g->inputs[i]];
        if (value->rank >= 2 && value->dim[0] > 0 && run->inputs[i].dim[0] != value->dim[0]) {
            *batch = value->dim[0];
            *total = run->inputs[i].dim[0];
            return;
        }
    }
}

static cvs_status run_passes(cvs_run *run, int64_t passes, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    int64_t batch = 1, total = passes;
    batch_of(run, &batch, &total);
    for (int64_t p = 0; p < passes; p++) {
        for (int i = 0; i < g->n_inputs; i++) {
            CVI_TRY(take_part(run, i, p, &run->part[i], err));
        }
        CVI_TRY(forward(run, run->part, err));
        if (p == 0) {
            CVI_TRY(begin_join(run, err));
        }
        for (int v = 0; v < g->n_values; v++) {
            bool there =
                run->exec->slots[v].keep ||
                (!run->options.answer_only && !(run->options.for_gradients && run->exec->slots[v].inner));
            if (!g->values[v].constant && there) {
                CVI_TRY(join_value(run, v, batch, p * batch, total, err));
            }
        }
    }
    return CVS_OK;
}

cvs_status cvi_run_take(cvs_run *run, cvs_tensor *inputs, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    forget_run(run);
    for (int i = 0; i < g->n_inputs; i++) {
        run->inputs[i] = inputs[i];
        inputs[i] = (cvs_tensor){0};
    }
    int64_t passes = 1;
    CVI_TRY(count_passes(run, &passes, err));
    bool cut = passes > 1;
    for (int i = 0; i < g->n_inputs; i++) { /* a fixed batch of 8, asked for one sample */
        const cvi_value *value = &g->values[g->inputs[i]];
        cut = cut || (value->rank >= 2 && value->dim[0] > 0 && run->inputs[i].dim[0] != value->dim[0]);
    }
    cvs_status s = cut ? run_passes(run, passes, err) : forward(run, run->inputs, err);
    if (s != CVS_OK) {
        free_joined(run);
        cvi_at_file(err, s, run->model->path); /* what fails from here on is the model's doing */
    }
    return s;
}

/* ---- values ----------------------------------------------------------------------------------------- */

cvs_status cvi_run_value(cvs_run *run, int value, cvs_tensor *out, cvs_error *err) {
    const char *name = run->model->graph->values[value].name;
    *out = (cvs_tensor){0};
    if (!run->ran || !run->exec) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the model has not been run yet");
    }
    if (run->joined && run->joined[value].dtype != CVS_NONE) {
        *out = run->joined[value];
        out->owned = false;
        return CVS_OK;
    }
    if (run->joined && run->options.answer_only) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "%.100s was not kept: the run was asked for the answer only",
                        name);
    }
    cvs_status s = cvi_exec_value(run->exec, value, out, err);
    if (s == CVS_E_LATE || (s == CVS_OK && !out->data && out->bytes > 0)) {
        return cvi_fail(err, CVS_E_NOT_FOUND, "%.100s was not computed: the run stopped before it", name);
    }
    return s;
}

int cvi_run_layer_value(const cvs_run *run, int layer, cvs_error *err) {
    if (layer < 0 || layer >= run->n_layers) {
        cvi_fail(err, CVS_E_NOT_FOUND, "there is no layer number %d: the model has %d layers, counted from 0",
                 layer, run->n_layers);
        return -1;
    }
    return run->layers[layer];
}

cvs_status cvs_run_layer(cvs_run *run, int layer, cvs_tensor *out, cvs_error *err) {
    int v = cvi_run_layer_value(run, layer, err);
    *out = (cvs_tensor){0};
    return v < 0 ? CVS_E_NOT_FOUND : cvi_run_value(run, v, out, err);
}

cvs_status cvs_run_input(cvs_run *run, int i, cvs_tensor *out, cvs_error *err) {
    *out = (cvs_tensor){0};
    if (i < 0 || i >= run->model->graph->n_inputs || !run->ran) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no input %d of a run", i);
    }
    *out = run->inputs[i];
    out->owned = false;
    return CVS_OK;
}

cvs_status cvs_run_output(cvs_run *run, int i, cvs_tensor *out, cvs_error *err) {
    *out = (cvs_tensor){0};
    if (i < 0 || i >= run->model->graph->n_outputs) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no output %d: the model has %d", i,
                        run->model->graph->n_outputs);
    }
    return cvi_run_value(run, run->model->graph->outputs[i], out, err);
}

cvs_status cvs_run_layer_file(cvs_run *run, int layer, const char *layout, cvs_tensor *out, cvs_error *err) {
    cvs_tensor t;
    bool last = false;
    *out = (cvs_tensor){0};
    CVI_TRY(cvs_run_layer(run, layer, &t, err));
    const cvi_value *value = &run->model->graph->values[run->layers[layer]];
    CVI_TRY(cvi_layout_last(layout, value->file_layout, &last, err));
    int perm[CVS_MAX_RANK];
    for (int i = 0; i < t.rank; i++) {
        perm[i] = i;
    }
    if (last && t.rank >= 3) {
        for (int i = 1; i < t.rank - 1; i++) {
            perm[i] = i + 1;
        }
        perm[t.rank - 1] = 1;
    }
    return cvs_tensor_permute(&t, perm, out, err);
}
