/* SPDX-License-Identifier: MIT
 * unit_find.c - one channel of a layer at one position: its place, its number, what it sees of the picture.
 */
#include <math.h>

#include "engine/field.h"
#include "engine/run_state.h"
#include "explain/unit.h"

cvs_status cvi_planes_of(const cvs_tensor *t, int64_t sample, const char *layer, cvi_planes *out,
                         cvs_error *err) {
    char text[200];
    if (t->dtype != CVS_F32 || t->rank < 1 || t->rank > 4 || cvs_tensor_count(t) < 1 || !t->data) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "layer %.80s is %s %s: units are looked for in float32 [N,C,H,W] or [N,C]", layer,
                        cvs_dtype_name(t->dtype), cvs_shape_text(t->rank, t->dim, text, sizeof text));
    }
    int64_t samples = t->rank >= 2 ? t->dim[0] : 1, size = cvs_tensor_count(t) / samples;
    out->channels = t->dim[t->rank >= 2 ? 1 : 0];
    out->rows = t->rank == 4 ? t->dim[2] : 1;
    out->columns = t->rank >= 3 ? t->dim[t->rank - 1] : 1;
    if (sample < 0 || sample >= samples) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no sample %lld, the run had %lld", (long long)sample,
                        (long long)samples);
    }
    out->first = sample * size;
    out->data = (const float *)t->data + out->first;
    return CVS_OK;
}

cvs_status cvi_planes_channel(const cvi_planes *p, int64_t channel, const char *layer, cvs_error *err) {
    if (channel < 0 || channel >= p->channels) {
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no channel %lld, layer %.80s has %lld, counted from 0", (long long)channel,
                        layer, (long long)p->channels);
    }
    return CVS_OK;
}

int64_t cvi_planes_largest(const cvi_planes *p, int64_t channel) {
    int64_t area = p->rows * p->columns, best = 0;
    const float *a = p->data + channel * area;
    for (int64_t i = 1; i < area; i++) {
        best = a[i] > a[best] || isnan(a[best]) ? i : best;
    }
    return best;
}

bool cvi_unit_box(const cvi_graph *g, cvi_exec *x, int value, int64_t row, int64_t column, int64_t box[4]) {
    cvi_field *field = cvi_calloc((size_t)CVI_MAX(1, g->n_values), sizeof *field);
    if (!field) {
        return false;
    }
    cvi_fields(x, field);
    cvi_field f = field[value];
    cvi_free(field);
    for (int a = 0; a < 2 && f.known; a++) {
        double at = (double)(a == 0 ? row : column) * f.jump[a];
        double low = floor(f.low[a] + at + 1e-9), high = ceil(f.high[a] + at - 1e-9);
        f.known = fabs(low) < 1e9 && fabs(high) < 1e9;
        box[a] = f.known ? (int64_t)low : 0;
        box[2 + a] = f.known ? (int64_t)high - (int64_t)low + 1 : 0;
    }
    return f.known;
}

/* The pass of a fixed-batch model that held the sample: inputs as views of what the run kept. */
static cvs_status pass_again(cvs_run *run, int64_t *sample, cvi_exec **out, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    cvs_tensor inputs[8];
    if (g->n_inputs > CVI_COUNT(inputs)) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "a model of %d inputs with a fixed batch is not explained",
                        g->n_inputs);
    }
    int64_t batch = CVI_MAX(run->planned[0].dim[0], 1), total = run->inputs[0].dim[0];
    int64_t start = CVI_MAX(0, CVI_MIN(*sample / batch * batch, total - batch));
    for (int i = 0; i < g->n_inputs; i++) {
        inputs[i] = run->inputs[i];
        inputs[i].owned = false;
        inputs[i].bytes = inputs[i].bytes / (size_t)total * (size_t)batch;
        inputs[i].data = (char *)inputs[i].data + inputs[i].bytes / (size_t)batch * (size_t)start;
        inputs[i].dim[0] = batch;
    }
    cvi_exec_options options = {.pool = run->pool,
                                .exact = run->options.exact,
                                .plain = run->options.plain,
                                .keep_aux = true,
                                .max_bytes = run->options.limits.max_memory_bytes};
    *sample -= start;
    CVI_TRY(cvi_exec_new(g, inputs, &options, out, err));
    cvs_status s = cvi_exec_forward(*out, inputs, -1, err);
    if (s != CVS_OK) {
        cvi_exec_free(*out);
        *out = NULL;
    }
    return s;
}

cvs_status cvi_exec_of_sample(cvs_run *run, int64_t *sample, cvi_exec **out, bool *owned, cvs_error *err) {
    *out = run->exec;
    *owned = false;
    if (!run->ran) {
        return cvi_fail(err, CVS_E_ARGUMENT, "nothing has been run yet: an explanation needs an input");
    }
    int64_t samples = run->inputs[0].rank > 0 ? run->inputs[0].dim[0] : 1;
    if (*sample < 0 || *sample >= samples) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no sample %lld, the run had %lld", (long long)*sample,
                        (long long)samples);
    }
    *owned = run->joined != NULL;
    return run->joined ? pass_again(run, sample, out, err) : CVS_OK;
}
