/* SPDX-License-Identifier: MIT
 * probe.c - one layer of a model, many pictures: planned once per shape, run up to the layer, differentiated back to the picture.
 */
#include "explain/probe.h"

#include "engine/run_state.h"
#include "explain/method.h"

static cvs_status check_input(const cvi_probe *p, cvs_error *err) {
    const cvi_graph *g = p->model->graph;
    if (g->n_inputs != 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "this needs a model of one input, this one has %d",
                        g->n_inputs);
    }
    const cvi_value *in = &g->values[g->inputs[0]];
    if (in->dtype != CVS_F32 && in->dtype != CVS_NONE && (in->rank == 4 || in->rank == 3)) {
        return cvi_whole_numbers(in->dtype, err);
    }
    if ((in->rank != 4 && in->rank != 3) || (in->dtype != CVS_F32 && in->dtype != CVS_NONE)) {
        char text[200];
        return cvi_fail(
            err, CVS_E_UNSUPPORTED,
            "the model's input %.80s is %s %s: pictures, float32 [N,C,H,W] or [N,H,W], are needed", in->name,
            cvs_dtype_name(in->dtype), cvs_shape_text(CVI_MAX(in->rank, 0), in->dim, text, sizeof text));
    }
    return CVS_OK;
}

cvs_status cvi_probe_value(const cvs_model *model, const cvs_run_options *options, int value, cvi_probe *out,
                           cvs_error *err) {
    const cvi_graph *g = model->graph;
    *out = (cvi_probe){.model = model, .value = value};
    if (options) {
        out->options = *options;
    }
    out->options.limits = cvs_limits_default(options ? &options->limits : NULL);
    CVI_TRY(check_input(out, err));
    out->input = g->inputs[0];
    cvi_copy_text(out->layer, sizeof out->layer, g->values[value].name);
    out->pool = cvi_pool_new(out->options.threads);
    return out->pool ? CVS_OK : cvi_no_memory(err, 1);
}

cvs_status cvi_probe_new(const cvs_model *model, const cvs_run_options *options, const char *layer,
                         cvi_probe *out, cvs_error *err) {
    int value = -1;
    *out = (cvi_probe){0};
    CVI_TRY(cvi_ops_find_layer(model->graph, layer ? layer : "last-conv", &value, err));
    return cvi_probe_value(model, options, value, out, err);
}

void cvi_probe_free(cvi_probe *p) {
    cvi_exec_free(p->exec);
    cvi_pool_free(p->pool);
    *p = (cvi_probe){0};
}

cvs_status cvi_probe_input(const cvi_probe *p, cvs_tensor *shape, cvs_error *err) {
    CVI_TRY(cvi_input_shape(p->model, &p->options, 0, shape, err));
    if (shape->dim[0] != 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED,
                        "the model takes %lld pictures at a time: a batch of one is needed here",
                        (long long)shape->dim[0]);
    }
    cvi_as_picture(shape);
    return CVS_OK;
}

/* The picture as the model takes it: a view. */
static cvs_tensor as_input(const cvi_probe *p, const cvs_tensor *picture) {
    cvs_tensor t = *picture;
    t.owned = false;
    cvi_as_input(p->model, &t);
    return t;
}

/* Plans for pictures of that shape (no effect where it is planned already); fills p->shape. */
static cvs_status plan_for(cvi_probe *p, const cvs_tensor *picture, cvs_error *err) {
    bool same = p->exec && p->planned.rank == picture->rank &&
                memcmp(p->planned.dim, picture->dim, sizeof *picture->dim * (size_t)picture->rank) == 0;
    if (same) {
        return CVS_OK;
    }
    cvi_exec_free(p->exec);
    p->exec = NULL;
    cvi_exec_options options = {.pool = p->pool,
                                .exact = p->options.exact,
                                .plain = p->options.plain,
                                .keep_aux = true,
                                .keep = CVI_KEEP_GRADIENTS,
                                .keep_values = &p->value,
                                .n_keep = 1,
                                .max_bytes = p->options.limits.max_memory_bytes};
    p->planned = *picture;
    p->planned.data = NULL;
    p->planned.owned = false;
    cvs_tensor input = as_input(p, picture);
    CVI_TRY(cvi_exec_new(p->model->graph, &input, &options, &p->exec, err));
    return cvi_exec_value(p->exec, p->value, &p->shape, err);
}

cvs_status cvi_probe_run(cvi_probe *p, const cvs_tensor *picture, cvi_planes *out, cvs_error *err) {
    cvs_tensor t, input = as_input(p, picture);
    CVI_TRY(plan_for(p, picture, err));
    CVI_TRY(cvi_exec_forward(p->exec, &input, p->value, err));
    CVI_TRY(cvi_exec_value(p->exec, p->value, &t, err));
    p->shape = t;
    p->shape.data = NULL;
    p->shape.owned = false;
    return cvi_planes_of(&t, 0, p->layer, out, err);
}

cvs_status cvi_probe_back(cvi_probe *p, cvi_rule rule, const cvs_tensor *seed, cvs_tensor *gradient,
                          cvs_error *err) {
    CVI_TRY(cvi_exec_backward(p->exec, rule, &p->value, seed, 1, &p->input, 1, err));
    CVI_TRY(cvi_exec_gradient(p->exec, p->input, gradient, err));
    cvi_as_picture(gradient);
    return CVS_OK;
}
