/* SPDX-License-Identifier: MIT
 * ascent.c - gradient ascent, one plain step at a time: the picture is moved along the gradient of one channel's mean activation,
 * which is divided by its own root mean square so that a step means the same on every layer (Erhan et al. 2009; Yosinski et al.
 * 2015 without their regularisers). Only the nodes that the layer needs run, forward and backward.
 */
#include <math.h>

#include "convscope/explain.h"
#include "engine/engine.h"
#include "explain/method.h"

struct cvs_ascent {
    const cvs_model *model;
    cvs_run_options options;
    cvi_pool *pool;
    int value; /* the layer's */
    int64_t channel;
    cvi_exec *exec;     /* for pictures of the shape of `seed`'s exec; NULL before the first step */
    cvs_tensor planned; /* shape of the picture */
    cvs_tensor seed;    /* 1/positions at the channel, of the layer's shape; owned */
};

cvs_status cvs_ascent_new(const cvs_model *model, const cvs_run_options *options, const char *layer,
                          int64_t channel, cvs_ascent **out, cvs_error *err) {
    const cvi_graph *g = model->graph;
    *out = NULL;
    if (g->n_inputs != 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "gradient ascent needs a model of one input, this one has %d",
                        g->n_inputs);
    }
    int value = -1;
    CVI_TRY(cvi_ops_find_layer(g, layer ? layer : "last-conv", &value, err));
    cvs_ascent *a = cvi_calloc(1, sizeof *a);
    if (!a) {
        return cvi_no_memory(err, sizeof *a);
    }
    a->model = model;
    a->value = value;
    a->channel = channel;
    if (options) {
        a->options = *options;
    } else {
        a->options.limits = cvs_limits_default(NULL);
    }
    a->pool = cvi_pool_new(a->options.threads);
    if (!a->pool) {
        cvs_ascent_free(a);
        return cvi_no_memory(err, 1);
    }
    *out = a;
    return CVS_OK;
}

void cvs_ascent_free(cvs_ascent *a) {
    if (a) {
        cvi_exec_free(a->exec);
        cvs_tensor_free(&a->seed);
        cvi_pool_free(a->pool);
        cvi_free(a);
    }
}

/* The seed: d (mean of the channel) / d (layer). */
static cvs_status make_seed(cvs_ascent *a, cvs_error *err) {
    cvs_tensor t;
    CVI_TRY(cvi_exec_value(a->exec, a->value, &t, err));
    const char *name = a->model->graph->values[a->value].name;
    if (t.rank < 2 || t.dtype != CVS_F32 || cvs_tensor_count(&t) < 1) {
        return cvi_fail(err, CVS_E_UNSUPPORTED, "layer %.80s has no channels to look at", name);
    }
    if (a->channel < 0 || a->channel >= t.dim[1]) {
        return cvi_fail(err, CVS_E_NOT_FOUND,
                        "there is no channel %lld, layer %.80s has %lld, counted from 0",
                        (long long)a->channel, name, (long long)t.dim[1]);
    }
    cvs_tensor_free(&a->seed);
    CVI_TRY(cvs_tensor_new(&a->seed, CVS_F32, t.rank, t.dim, err));
    int64_t plane = cvs_tensor_count(&t) / t.dim[0] / t.dim[1];
    for (int64_t n = 0; n < t.dim[0]; n++) {
        float *at = (float *)a->seed.data + (n * t.dim[1] + a->channel) * plane;
        for (int64_t i = 0; i < plane; i++) {
            at[i] = (float)(1.0 / (double)(plane * t.dim[0]));
        }
    }
    return CVS_OK;
}

static cvs_status plan_for(cvs_ascent *a, const cvs_tensor *picture, cvs_error *err) {
    bool same = a->exec && a->planned.rank == picture->rank &&
                memcmp(a->planned.dim, picture->dim, sizeof *picture->dim * (size_t)picture->rank) == 0;
    if (same) {
        return CVS_OK;
    }
    cvi_exec_free(a->exec);
    a->exec = NULL;
    cvi_exec_options options = {.pool = a->pool,
                                .exact = a->options.exact,
                                .plain = a->options.plain,
                                .keep = CVI_KEEP_GRADIENTS,
                                .keep_values = &a->value,
                                .n_keep = 1,
                                .max_bytes = a->options.limits.max_memory_bytes};
    CVI_TRY(cvi_exec_new(a->model->graph, picture, &options, &a->exec, err));
    cvs_status s = make_seed(a, err);
    if (s != CVS_OK) {
        cvi_exec_free(a->exec);
        a->exec = NULL;
    }
    a->planned = *picture;
    a->planned.data = NULL;
    a->planned.owned = false;
    return s;
}

static double mean_of(const cvs_ascent *a, const cvs_tensor *t) {
    int64_t plane = cvs_tensor_count(t) / t->dim[0] / t->dim[1];
    double sum = 0;
    for (int64_t n = 0; n < t->dim[0]; n++) {
        const float *at = (const float *)t->data + (n * t->dim[1] + a->channel) * plane;
        for (int64_t i = 0; i < plane; i++) {
            sum += (double)at[i];
        }
    }
    return sum / (double)(plane * t->dim[0]);
}

cvs_status cvs_ascent_step(cvs_ascent *a, cvs_tensor *picture, double step, double *value, cvs_error *err) {
    int input = a->model->graph->inputs[0];
    cvs_tensor t, g;
    if (picture->dtype != CVS_F32 || picture->layout != CVS_PLAIN || cvs_tensor_count(picture) < 1) {
        return cvi_fail(err, CVS_E_SHAPE, "gradient ascent moves float32 pictures, this is %s",
                        cvs_dtype_name(picture->dtype));
    }
    CVI_TRY(plan_for(a, picture, err));
    CVI_TRY(cvi_exec_forward(a->exec, picture, a->value, err));
    if (value) {
        CVI_TRY(cvi_exec_value(a->exec, a->value, &t, err));
        *value = mean_of(a, &t);
    }
    CVI_TRY(cvi_exec_backward(a->exec, CVI_GRADIENT, &a->value, &a->seed, 1, &input, 1, err));
    CVI_TRY(cvi_exec_gradient(a->exec, input, &g, err));
    int64_t count = cvs_tensor_count(&g);
    const float *slope = g.data;
    float *x = picture->data;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)slope[i] * (double)slope[i];
    }
    float factor = (float)(step / (sqrt(sum / (double)count) + 1e-8));
    for (int64_t i = 0; i < count; i++) {
        x[i] += factor * slope[i];
    }
    return CVS_OK;
}
