/* SPDX-License-Identifier: MIT
 * describe.c - asks of an opened model: what it is, its inputs and outputs, its layers by name; and writing it.
 */
#include "reader.h"

#include <strings.h>

#include "ops/op.h"

void cvs_model_describe(const cvs_model *m, cvs_model_info *out) {
    *out = (cvs_model_info){.path = m->path,
                            .name = m->name,
                            .format = m->format,
                            .producer = m->producer,
                            .has_weights = m->has_weights,
                            .random_weights = m->random_weights,
                            .size_guessed = m->size_guessed,
                            .widened = m->widened,
                            .channels_last = m->file_layout == CVI_FILE_LAST,
                            .n_inputs = m->graph->n_inputs,
                            .n_outputs = m->graph->n_outputs,
                            .n_nodes = m->graph->n_nodes,
                            .n_layers = cvi_graph_n_layers(m->graph),
                            .n_classes = m->n_classes,
                            .n_notes = m->n_notes,
                            .classes = m->classes,
                            .classes_from = m->classes_from,
                            .notes = m->notes,
                            .preprocess = &m->preprocess,
                            .file_bytes = m->file_bytes};
}

static void fill_port(const cvi_value *v, cvs_port *out) {
    *out = (cvs_port){.name = v->name,
                      .dtype = v->dtype,
                      .rank = v->rank,
                      .channels_last = v->file_layout == CVI_FILE_LAST};
    memcpy(out->dim, v->dim, sizeof out->dim);
}

cvs_status cvs_model_input(const cvs_model *m, int i, cvs_port *out, cvs_error *err) {
    if (i < 0 || i >= m->graph->n_inputs) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no input %d: the model has %d", i, m->graph->n_inputs);
    }
    fill_port(&m->graph->values[m->graph->inputs[i]], out);
    return CVS_OK;
}

cvs_status cvs_model_output(const cvs_model *m, int i, cvs_port *out, cvs_error *err) {
    if (i < 0 || i >= m->graph->n_outputs) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no output %d: the model has %d", i,
                        m->graph->n_outputs);
    }
    fill_port(&m->graph->values[m->graph->outputs[i]], out);
    return CVS_OK;
}

cvs_status cvs_model_find_layer(const cvs_model *m, const char *text, int *layer, cvs_error *err) {
    int value = -1;
    CVI_TRY(cvi_ops_find_layer(m->graph, text, &value, err));
    int n = cvi_graph_n_layers(m->graph);
    for (int i = 0; i < n; i++) {
        if (cvi_graph_layer(m->graph, i) == value) {
            *layer = i;
            return CVS_OK;
        }
    }
    return cvi_fail(err, CVS_E_NOT_FOUND, "\"%.100s\" is a helper that is not shown as a layer", text);
}

cvs_status cvs_model_write(const cvs_model *m, const char *path, cvs_error *err) {
    cvi_error_clear(err);
    size_t n = strlen(path);
    char suffixes[200] = "";
    for (int i = 0; i < cvi_n_model_writers; i++) {
        const cvi_model_writer *w = cvi_model_writers[i];
        size_t k = strlen(w->suffix);
        if (n > k && strcasecmp(path + n - k, w->suffix) == 0) {
            CVI_TRY(cvi_check_output(path, err));
            return w->write(m, path, err);
        }
        size_t used = strlen(suffixes);
        snprintf(suffixes + used, sizeof suffixes - used, "%s%s", i ? ", " : "", w->suffix);
    }
    return cvi_at_file(err, cvi_fail(err, CVS_E_ARGUMENT, "the file name should end in one of: %s", suffixes),
                       path);
}
