/* SPDX-License-Identifier: MIT
 * project.c - one unit down to the pixels (Zeiler and Fergus 2014, 2.1): everything in its layer is set to zero but the unit, which
 * keeps its value; then maxima by their switches, the rectified signal, transposed kernels, no bias, no rectifier after the last.
 */
#include "explain/method.h"
#include "explain/unit.h"

#include "engine/run_state.h"

void cvs_projection_free(cvs_projection *p) {
    if (p) {
        cvs_tensor_free(&p->map);
        *p = (cvs_projection){0};
    }
}

cvs_status cvi_picture_file(const cvs_tensor *picture, bool flat, bool channels_last, const char *layout,
                            cvs_tensor *out, cvs_error *err) {
    cvs_explanation e = {.map = *picture, .kind = CVS_MAP_PIXELS, .channels_last = channels_last && !flat};
    if (flat && e.map.rank == 4) {
        e.map.rank = 3;
        e.map.dim[1] = e.map.dim[2];
        e.map.dim[2] = e.map.dim[3];
        layout = NULL; /* there are no channels to put anywhere */
    }
    return cvs_explanation_file(&e, layout, out, err);
}

cvs_status cvs_projection_file(const cvs_projection *p, const char *layout, cvs_tensor *out, cvs_error *err) {
    return cvi_picture_file(&p->map, p->flat, p->channels_last, layout, out, err);
}

static cvs_status find_place(const cvi_planes *a, const cvs_unit_options *o, cvs_projection *out,
                             cvs_error *err) {
    CVI_TRY(cvi_planes_channel(a, o->channel, out->layer, err));
    if (o->has_position) {
        out->row = o->row;
        out->column = o->column;
    } else {
        int64_t at = cvi_planes_largest(a, o->channel);
        out->row = at / a->columns;
        out->column = at % a->columns;
    }
    if (out->row < 0 || out->row >= a->rows || out->column < 0 || out->column >= a->columns) {
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no unit at row %lld, column %lld: layer %.80s has %lld x %lld positions",
                        (long long)out->row, (long long)out->column, out->layer, (long long)a->rows,
                        (long long)a->columns);
    }
    return CVS_OK;
}

static void write_caption(const cvs_unit_options *o, cvs_projection *out) {
    static const char *const rules[] = {"Deconvnet projection", "Guided backpropagation", "Gradient"};
    snprintf(out->caption, sizeof out->caption,
             cvi_tr(o->lang, "%s of channel %lld of layer %s, unit at row %lld, column %lld, from its value "
                             "%.4g. Signed, not scaled; Convscope %s. It shows what of this picture excites "
                             "the unit; it is no sample from the model."),
             cvi_tr(o->lang, rules[o->rule]), (long long)o->channel, out->layer, (long long)out->row,
             (long long)out->column, out->value, CVS_VERSION);
}

cvs_status cvi_project_seed(cvi_exec *x, int value, const cvs_tensor *layer, int64_t at, float seed,
                            int input, cvs_backward_rule rule, cvs_tensor *gradient, cvs_error *err) {
    static const cvi_rule rules[] = {CVI_DECONVNET, CVI_GUIDED, CVI_GRADIENT};
    cvs_tensor start = {0};
    CVI_TRY(cvs_tensor_new(&start, CVS_F32, layer->rank, layer->dim, err));
    ((float *)start.data)[at] = seed;
    cvs_status s = cvi_exec_backward(x, rules[rule], &value, &start, 1, &input, 1, err);
    cvs_tensor_free(&start);
    return s == CVS_OK ? cvi_exec_gradient(x, input, gradient, err) : s;
}

static cvs_status project(const cvs_run *run, cvi_exec *x, int64_t sample, const cvs_unit_options *o,
                          cvs_projection *out, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    int value, input = g->inputs[0];
    cvs_dtype dtype = run->inputs[0].dtype;
    cvs_tensor t, gradient;
    if (dtype != CVS_F32 && dtype != CVS_F64 && dtype != CVS_F16) {
        return cvi_whole_numbers(dtype, err);
    }
    cvi_planes a;
    CVI_TRY(cvi_ops_find_layer(g, o->layer ? o->layer : "last-conv", &value, err));
    snprintf(out->layer, sizeof out->layer, "%.120s", g->values[value].name);
    CVI_TRY(cvi_exec_value(x, value, &t, err));
    CVI_TRY(cvi_planes_of(&t, sample, out->layer, &a, err));
    CVI_TRY(find_place(&a, o, out, err));
    int64_t at = (o->channel * a.rows + out->row) * a.columns + out->column;
    out->value = (double)a.data[at];
    out->has_field = cvi_unit_box(g, x, value, out->row, out->column, out->box);
    out->channels_last = g->values[input].file_layout == CVI_FILE_LAST;
    out->flat = g->values[input].rank == 3;
    CVI_TRY(cvi_project_seed(x, value, &t, a.first + at, (float)out->value, input, o->rule, &gradient, err));
    if (gradient.rank > 0 && gradient.dim[0] > 1) { /* this sample's part */
        gradient.bytes /= (size_t)gradient.dim[0];
        gradient.data = (char *)gradient.data + gradient.bytes * (size_t)sample;
        gradient.dim[0] = 1;
    }
    gradient.owned = false;
    cvi_as_picture(&gradient);
    CVI_TRY(cvs_tensor_convert(&gradient, CVS_F32, &out->map, err));
    write_caption(o, out);
    return CVS_OK;
}

cvs_status cvs_project(cvs_run *run, const cvs_unit_options *options, cvs_projection *out, cvs_error *err) {
    cvi_exec *x;
    bool owned;
    int64_t sample = options->sample;
    *out = (cvs_projection){0};
    if (options->rule < CVS_BACK_DECONVNET || options->rule > CVS_BACK_GRADIENT) {
        return cvi_fail(err, CVS_E_ARGUMENT, "there is no backward rule %d", (int)options->rule);
    }
    CVI_TRY(cvi_exec_of_sample(run, &sample, &x, &owned, err));
    cvs_status s = project(run, x, sample, options, out, err);
    if (owned) {
        cvi_exec_free(x);
    }
    if (s != CVS_OK) {
        cvs_projection_free(out);
    }
    return s;
}
