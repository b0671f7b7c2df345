/* SPDX-License-Identifier: MIT
 * convert_check.c - after a conversion: opens what was written, runs both models on the same made-up numbers and says how far their outputs
 * are apart. An input is the same on every machine.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "convert_check.h"

typedef struct inputs {
    cvs_tensor *t;
    int n;
} inputs;

static void free_inputs(inputs *in) {
    for (int i = 0; i < in->n; i++) {
        cvs_tensor_free(&in->t[i]);
    }
    free(in->t);
    *in = (inputs){0};
}

/* Numbers between 0 and 1 that look random: a linear congruence's high bits. */
static void fill(cvs_tensor *t) {
    uint32_t seed = 12345;
    float *v = t->data;
    int64_t n = cvs_tensor_count(t);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 8) / 16777216.0f;
    }
}

/* One tensor for each input, free sizes filled in as for a picture; integers get whole numbers up to 100. */
static cvs_status make_inputs(const cvs_model *model, const cvs_model_info *info, inputs *in,
                              cvs_error *err) {
    in->t = calloc((size_t)info->n_inputs + 1, sizeof *in->t);
    cvs_status s = in->t ? CVS_OK : CVS_E_MEMORY;
    for (int i = 0; i < info->n_inputs && s == CVS_OK; i++) {
        cvs_port port;
        cvs_tensor real = {0};
        s = cvs_model_input(model, i, &port, err);
        if (s == CVS_OK && port.rank < 0) {
            return CVS_E_UNSUPPORTED;
        }
        for (int d = 0; s == CVS_OK && d < port.rank; d++) {
            if (port.dim[d] < 0) {
                port.dim[d] = d == 0 ? 1 : d == 1 && port.rank == 4 ? 3 : d >= 2 ? 64 : 1;
            }
        }
        s = s == CVS_OK ? cvs_tensor_new(&real, CVS_F32, port.rank, port.dim, err) : s;
        if (s == CVS_OK) {
            bool whole = port.dtype != CVS_F32 && port.dtype != CVS_F64 && port.dtype != CVS_F16 &&
                         port.dtype != CVS_BF16 && port.dtype != CVS_NONE;
            fill(&real);
            for (int64_t k = 0; whole && k < cvs_tensor_count(&real); k++) {
                ((float *)real.data)[k] = floorf(((float *)real.data)[k] * 100);
            }
            s = cvs_tensor_convert(&real, port.dtype == CVS_NONE ? CVS_F32 : port.dtype, &in->t[i], err);
            in->n += s == CVS_OK;
        }
        cvs_tensor_free(&real);
    }
    return s;
}

/* Largest difference of output i, in units of the largest number of the first (at least 1). */
static cvs_status compare(cvs_run *a, cvs_run *b, int i, double *worst, cvs_error *err) {
    cvs_tensor x = {0}, y = {0}, p = {0}, q = {0};
    double scale = 1e-6, most = 0;
    cvs_status s = cvs_run_output(a, i, &x, err);
    s = s == CVS_OK ? cvs_run_output(b, i, &y, err) : s;
    s = s == CVS_OK ? cvs_tensor_convert(&x, CVS_F64, &p, err) : s;
    s = s == CVS_OK ? cvs_tensor_convert(&y, CVS_F64, &q, err) : s;
    if (s == CVS_OK && cvs_tensor_count(&p) != cvs_tensor_count(&q)) {
        most = HUGE_VAL;
    }
    for (int64_t k = 0; s == CVS_OK && isfinite(most) && k < cvs_tensor_count(&p); k++) {
        double u = ((double *)p.data)[k], v = ((double *)q.data)[k], d = fabs(u - v);
        most = d > most || d != d ? d : most;
        scale = fmax(scale, fabs(u));
    }
    cvs_tensor_free(&p);
    cvs_tensor_free(&q);
    *worst = fmax(*worst, most / scale);
    return s;
}

static cvs_status run_both(const cvs_model *a, const cvs_model *b, const cvs_model_info *info, double *worst,
                           cvs_error *err) {
    inputs in = {0};
    cvs_run *first = NULL, *second = NULL;
    cvs_status s = make_inputs(a, info, &in, err);
    s = s == CVS_OK ? cvs_run_new(a, NULL, &first, err) : s;
    s = s == CVS_OK ? cvs_run_new(b, NULL, &second, err) : s;
    s = s == CVS_OK ? cvs_run_tensors(first, in.t, in.n, err) : s;
    s = s == CVS_OK ? cvs_run_tensors(second, in.t, in.n, err) : s;
    for (int i = 0; i < info->n_outputs && s == CVS_OK; i++) {
        s = compare(first, second, i, worst, err);
    }
    cvs_run_free(first);
    cvs_run_free(second);
    free_inputs(&in);
    return s;
}

cvs_status cli_convert_check(cli *c, const cvs_model *model, const char *from, const char *to,
                             double *worst) {
    size_t n = strlen(to), k = strlen(".safetensors");
    bool weights =
        n > k && strcmp(to + n - k, ".safetensors") == 0; /* holds no architecture: that of the first */
    const cvs_open_options options = {.arch = weights ? from : NULL,
                                      .lang = c->lang,
                                      .signature = weights ? cli_value(c, "--signature") : NULL};
    cvs_model *again = NULL;
    cvs_model_info info, other;
    *worst = 0;
    cvs_status s = cvs_model_open(to, &options, &again, &c->err);
    if (s == CVS_OK) {
        cvs_model_describe(model, &info);
        cvs_model_describe(again, &other);
        s = !other.has_weights ? CVS_E_ARGUMENT
            : info.n_inputs == other.n_inputs && info.n_outputs == other.n_outputs
                ? run_both(model, again, &info, worst, &c->err)
                : CVS_E_INTERNAL;
    }
    cvs_model_free(again);
    return s;
}
