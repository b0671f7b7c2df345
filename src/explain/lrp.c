/* SPDX-License-Identifier: MIT
 * lrp.c - layer-wise relevance propagation (Bach et al. 2015) for the methods that are one rule each: settings, the backward pass,
 * value times multiplier, and how far the parts add up.
 */
#include <math.h>

#include "explain/relevance.h"

/* What black and white are in the network's input, per channel; false where that is not known. */
static bool bounds(cvi_question *q, double *low, double *high, int64_t *channels) {
    const cvs_preprocess *p = &q->model->preprocess;
    cvs_tensor x;
    if (cvi_question_value(q, q->input_value, &x) != CVS_OK) {
        return false;
    }
    cvi_as_picture(&x);
    double scale = p->scale > 0.0 ? p->scale : 1.0 / 255;
    *channels = x.rank == 4 ? x.dim[1] : 0;
    if (*channels < 1 || *channels > CVI_COUNT(p->mean)) {
        return false;
    }
    for (int64_t c = 0; c < *channels; c++) {
        double std = p->std[c] != 0.0 ? p->std[c] : 1.0;
        double a = -p->mean[c] / std, b = (255.0 * scale - p->mean[c]) / std;
        low[c] = fmin(a, b);
        high[c] = fmax(a, b);
    }
    int64_t area = cvs_tensor_count(&x) / *channels;
    /* A picture that leaves the range: no bounds. */
    for (int64_t i = 0, n = cvs_tensor_count(&x); i < n; i++) {
        double v = cvi_get(&x, i), slack = 1e-3 * (high[i / area] - low[i / area]);
        if (v < low[i / area] - slack || v > high[i / area] + slack) {
            return false;
        }
    }
    return true;
}

static cvs_status check(const cvi_question *q) {
    const cvs_explain_options *o = q->options;
    if (o->epsilon < 0 || o->gamma < 0 || (o->alpha != 0 && o->alpha < 1)) {
        return cvi_fail(
            q->err, CVS_E_ARGUMENT,
            "epsilon %g, gamma %g, alpha %g are not possible: epsilon and gamma are 0 or more, alpha "
            "1 or more",
            o->epsilon, o->gamma, o->alpha);
    }
    if (o->target.probability) { /* a layer's relevance is handed back from a number that was summed up */
        return cvi_fail(q->err, CVS_E_UNSUPPORTED,
                        "relevance starts at the logit: leave the output at logit, or use "
                        "integrated-gradients for a probability");
    }
    return CVS_OK;
}

/* Those settings that the rule reads. */
static void write_settings(cvi_question *q, cvi_rule rule, const cvi_relevance *how) {
    cvs_lang lang = q->options->lang;
    char *to = q->settings;
    size_t size = sizeof q->settings;
    if (rule == CVI_LRP_ALPHABETA) {
        snprintf(to, size, cvi_tr(lang, "epsilon %.3g, alpha %.3g, beta %.3g"), how->epsilon, how->alpha,
                 how->beta);
    } else if (rule == CVI_LRP_GAMMA || rule == CVI_LRP_COMPOSITE) {
        snprintf(to, size, cvi_tr(lang, "epsilon %.3g, gamma %.3g"), how->epsilon, how->gamma);
    } else {
        snprintf(to, size, cvi_tr(lang, "epsilon %.3g"), how->epsilon);
    }
}

cvs_status cvi_relevance_map(cvi_question *q, cvi_rule rule, cvs_explanation *out) {
    const cvs_explain_options *o = q->options;
    double low[CVI_COUNT(q->model->preprocess.mean)], high[CVI_COUNT(q->model->preprocess.mean)];
    CVI_TRY(check(q));
    cvi_relevance how = {.epsilon = o->epsilon > 0 || o->has_epsilon ? o->epsilon
                                    : q->compat == CVI_CAPTUM        ? 1e-9
                                                                     : 1e-6,
                         .gamma = o->gamma > 0 || o->has_gamma ? o->gamma : 0.25,
                         .alpha = o->alpha > 0 ? o->alpha : 2.0};
    how.beta = how.alpha - 1;
    bool whole =
        rule == CVI_LRP_COMPOSITE || rule == CVI_DEEP_TAYLOR; /* relevance comes back, no multiplier */
    if (whole && bounds(q, low, high, &how.channels)) {
        how.low = low;
        how.high = high;
    }
    cvs_tensor m, x;
    cvi_exec_relevance(q->exec, &how, NULL);
    cvs_status s = cvi_question_gradient(q, rule, q->input_value, &m);
    cvi_exec_relevance(q->exec, NULL, NULL);
    CVI_TRY(s);
    CVI_TRY(cvs_tensor_convert(&m, CVS_F32, &out->map, q->err));
    CVI_TRY(cvi_question_value(q, q->input_value, &x));
    /* Excitation backpropagation starts with 1 (-1 for a target below zero), which every rule passes on in proportion. */
    double factor = rule == CVI_EXCITATION && out->target_value != 0 ? 1.0 / fabs(out->target_value) : 1.0;
    double start = factor * out->target_value, sum = 0;
    float *map = out->map.data;
    for (int64_t i = 0, n = cvs_tensor_count(&out->map); i < n; i++) {
        map[i] = (float)(factor * (whole ? 1.0 : cvi_get(&x, i)) * cvi_get(&m, i));
        sum += (double)map[i];
    }
    write_settings(q, rule, &how);
    cvi_complete(out, sum, start);
    return CVS_OK;
}
