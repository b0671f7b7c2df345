/* SPDX-License-Identifier: MIT
 * layer.c - figures of a layer of a model: fetches what the figure functions want from a model and a run.
 */
#include "draw/layer.h"
#include "graph/graph.h"
#include "ops/op.h"

/* "Convolution · 3x3, stride 2 · 1x64x112x112" into buf; returns it. */
static const char *layer_line(const cvs_layer *layer, char *buf, size_t size) {
    char shape[64];
    bool settings = layer->settings[0] != '\0', known = layer->rank >= 0;
    snprintf(buf, size, "%s%s%s%s%s", layer->title != NULL ? layer->title : layer->op, settings ? " · " : "",
             settings ? layer->settings : "", known ? " · " : "",
             known ? cvs_shape_text(layer->rank, layer->dim, shape, sizeof shape) : "");
    return buf;
}

/* True when no other convolution stands between the model's input and this layer's. */
static bool sees_picture(const cvs_model *model, int layer) {
    const cvi_graph *g = model->graph;
    int v = cvi_graph_layer(g, layer), kernels = 0;
    for (int step = 0; v >= 0 && step < 64; step++) {
        int n = g->values[v].producer;
        if (n < 0) {
            return g->values[v].constant == NULL && kernels == 1;
        }
        kernels += g->nodes[n].def != NULL && (g->nodes[n].def->flags & CVI_OP_CONV) != 0 ? 1 : 0;
        v = g->nodes[n].n_in > 0 ? g->nodes[n].in[0] : -1;
    }
    return false;
}

cvs_status cvi_filters_of(const cvs_model *model, const cvs_layer *layer, cvs_filter_view view, bool sorted,
                          const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvs_tensor kernel = {0}, bias = {0};
    cvs_model_info info;
    char line[256];
    cvs_model_describe(model, &info);
    CVI_TRY(cvs_model_filters(model, layer->index, &kernel, &bias, err));
    cvs_filters_data data = {
        .layer = layer->name, .kernel = &kernel, .bias = &bias, .view = view, .sorted = sorted};
    data.settings = layer_line(layer, line, sizeof line);
    data.sees_picture = sees_picture(model, layer->index);
    data.dense = layer->is_dense;
    data.order = info.preprocess != NULL ? info.preprocess->order : CVS_RGB;
    cvs_status status = cvs_draw_filters(&data, options, out, err);
    cvs_tensor_free(&kernel);
    cvs_tensor_free(&bias);
    return status;
}

cvs_status cvi_layer_floats(cvs_run *run, const cvs_layer *layer, cvs_tensor *out, cvs_error *err) {
    cvs_tensor value = {0};
    *out = (cvs_tensor){0};
    CVI_TRY(cvs_run_layer(run, layer->index, &value, err));
    if (value.dtype == CVS_F32) {
        *out = value;
        out->owned = false;
        return CVS_OK;
    }
    return cvs_tensor_convert(&value, CVS_F32, out, err);
}

cvs_status cvi_maps_of(cvs_run *run, const cvs_model *model, const cvs_layer *layer, const cvs_tensor *shown,
                       bool own_scale, const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvs_tensor value;
    cvs_model_info info;
    char line[256];
    cvs_model_describe(model, &info);
    CVI_TRY(cvi_layer_floats(run, layer, &value, err));
    cvs_maps_data data = {.layer = layer->name, .value = &value, .picture = shown, .own_scale = own_scale};
    data.settings = layer_line(layer, line, sizeof line);
    data.classes = info.classes;
    data.n_classes = info.n_classes;
    cvs_status status = cvs_draw_maps(&data, options, out, err);
    cvs_tensor_free(&value);
    return status;
}

cvs_status cvi_pooling_of(cvs_run *run, const cvs_layer *layer, const int64_t shift[2], int examples,
                          const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvs_tensor input, output, switches;
    char line[256];
    cvs_pooling_data data = {.layer = layer->name, .examples = examples};
    CVI_TRY(cvs_run_pooling(run, layer->index, &input, &output, &switches, &data.window, err));
    data.settings = layer_line(layer, line, sizeof line);
    data.input = &input;
    data.output = &output;
    data.switches = &switches;
    if (shift != NULL) {
        data.shift[0] = shift[0];
        data.shift[1] = shift[1];
    }
    cvs_status status = cvs_draw_pooling(&data, options, out, err);
    cvs_tensor_free(&switches);
    return status;
}

/* ---- the public side: a summary for one layer ------------------------------------------------------------ */

static cvs_status summarize(const cvs_model *model, int layer, const cvs_figure_options *options,
                            cvs_summary *sum, cvs_error *err) {
    CVI_TRY(cvs_model_summarize(model, NULL, options != NULL ? options->lang : CVS_EN, sum, err));
    if (layer < 0 || layer >= sum->n_layers) {
        int n = sum->n_layers;
        cvs_summary_free(sum);
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no layer number %d: the model has %d layers, counted from 0", layer, n);
    }
    return CVS_OK;
}

cvs_status cvs_layer_filters(const cvs_model *model, int layer, cvs_filter_view view, bool sorted,
                             const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvs_summary sum;
    *out = NULL;
    CVI_TRY(summarize(model, layer, options, &sum, err));
    cvs_status status = cvi_filters_of(model, &sum.layers[layer], view, sorted, options, out, err);
    cvs_summary_free(&sum);
    return status;
}

cvs_status cvs_layer_activations(cvs_run *run, const cvs_model *model, int layer, const cvs_tensor *shown,
                                 bool own_scale, const cvs_figure_options *options, cvs_figure **out,
                                 cvs_error *err) {
    cvs_summary sum;
    *out = NULL;
    CVI_TRY(summarize(model, layer, options, &sum, err));
    cvs_status status = cvi_maps_of(run, model, &sum.layers[layer], shown, own_scale, options, out, err);
    cvs_summary_free(&sum);
    return status;
}

cvs_status cvs_layer_pooling(cvs_run *run, const cvs_model *model, int layer, const int64_t shift[2],
                             const cvs_figure_options *options, cvs_figure **out, cvs_error *err) {
    cvs_summary sum;
    *out = NULL;
    CVI_TRY(summarize(model, layer, options, &sum, err));
    cvs_status status = cvi_pooling_of(run, &sum.layers[layer], shift, 0, options, out, err);
    cvs_summary_free(&sum);
    return status;
}
