/* SPDX-License-Identifier: MIT
 * again.c - an exec of its own for methods that run the model on changed pictures; everything else is as in the run explained.
 */
#include "engine/run_state.h"
#include "explain/again.h"

/* `batch` copies of the question's sample of one input; an input without a batch of that many samples is taken whole. */
static cvs_status copy_input(const cvs_tensor *from, int64_t sample, int64_t samples, int64_t batch,
                             cvs_tensor *to, cvs_error *err) {
    bool whole = from->rank < 1 || from->dim[0] != samples;
    int64_t dim[CVS_MAX_RANK];
    memcpy(dim, from->dim, sizeof dim);
    if (!whole) {
        dim[0] = batch;
    }
    CVI_TRY(cvs_tensor_new(to, from->dtype, from->rank, dim, err));
    if (whole) {
        memcpy(to->data, from->data, from->bytes);
        return CVS_OK;
    }
    size_t one = from->bytes / (size_t)samples;
    for (int64_t b = 0; b < batch; b++) {
        memcpy((char *)to->data + (size_t)b * one, (const char *)from->data + (size_t)sample * one, one);
    }
    return CVS_OK;
}

static cvs_status make(cvi_question *q, bool base, bool plain, cvi_again *out) {
    const cvi_graph *g = q->model->graph;
    const cvs_run *run = q->run;
    const cvs_tensor *first = &run->inputs[0];
    const cvi_value *declared = &g->values[q->input_value];
    *out = (cvi_again){.q = q, .batch = 1};
    if (first->dtype != CVS_F32 || first->rank < 2 || first->dim[0] < 1 || cvs_tensor_count(first) < 1) {
        char text[200];
        return cvi_fail(q->err, CVS_E_UNSUPPORTED,
                        "this method changes the picture, which must be float32 with a batch dimension; the "
                        "input is %s %s",
                        cvs_dtype_name(first->dtype),
                        cvs_shape_text(first->rank, first->dim, text, sizeof text));
    }
    if (declared->rank >= 1 && declared->dim[0] > 0) {
        out->batch = declared->dim[0];
    }
    int64_t samples = first->dim[0];
    CVI_TRY(copy_input(first, q->options->sample, samples, 1, &out->picture, q->err));
    out->pixels = cvs_tensor_count(&out->picture);
    out->inputs = cvi_calloc((size_t)g->n_inputs, sizeof *out->inputs);
    if (!out->inputs) {
        return cvi_no_memory(q->err, (size_t)g->n_inputs * sizeof *out->inputs);
    }
    for (int i = 0; i < g->n_inputs; i++) {
        CVI_TRY(
            copy_input(&run->inputs[i], q->options->sample, samples, out->batch, &out->inputs[i], q->err));
    }
    cvi_exec_options options = {.pool = run->pool,
                                .exact = run->options.exact,
                                .plain = run->options.plain || plain,
                                .keep_aux = !base,
                                .keep = base ? CVI_KEEP_GRADIENTS : CVI_KEEP_ALL,
                                .max_bytes = run->options.limits.max_memory_bytes};
    return cvi_exec_new(g, out->inputs, &options, &out->exec, q->err);
}

cvs_status cvi_again_new(cvi_question *q, cvi_again *out) {
    return make(q, false, false, out);
}

cvs_status cvi_again_base(cvi_question *q, cvi_again *out) {
    return make(q, true, false, out);
}

cvs_status cvi_again_plain(cvi_question *q, cvi_again *out) {
    return make(q, false, true, out);
}

void cvi_again_free(cvi_again *a) {
    if (a->inputs) {
        for (int i = 0; i < a->q->model->graph->n_inputs; i++) {
            cvs_tensor_free(&a->inputs[i]);
        }
    }
    cvi_free(a->inputs);
    cvi_exec_free(a->exec);
    cvs_tensor_free(&a->seed);
    cvs_tensor_free(&a->picture);
    *a = (cvi_again){0};
}

float *cvi_again_place(cvi_again *a, int64_t b) {
    return (float *)a->inputs[0].data + b * a->pixels;
}

cvs_status cvi_again_tell(const cvi_again *a, double done) {
    const cvs_explain_options *o = a->q->options;
    if (o->progress && !o->progress(o->progress_context, o->method, done)) {
        return cvi_fail(a->q->err, CVS_E_CANCELLED, "cancelled");
    }
    return CVS_OK;
}

cvs_status cvi_again_scores(cvi_again *a, int64_t n, double done, double *out) {
    CVI_TRY(cvi_again_tell(a, done));
    CVI_TRY(cvi_exec_forward(a->exec, a->inputs, -1, a->q->err));
    for (int64_t b = 0; b < n; b++) {
        CVI_TRY(cvi_question_score(a->q, a->exec, b, &out[b], NULL));
    }
    return CVS_OK;
}

cvs_status cvi_again_gradient_at(cvi_again *a, int value, cvs_tensor *out) {
    cvi_question *q = a->q;
    double score;
    for (int64_t b = 0; b < a->batch; b++) {
        CVI_TRY(cvi_question_score(q, a->exec, b, &score, &a->seed));
    }
    CVI_TRY(cvi_exec_backward(a->exec, CVI_GRADIENT, &q->target_value, &a->seed, 1, &value, 1, q->err));
    return cvi_exec_gradient(a->exec, value, out, q->err);
}

cvs_status cvi_again_gradient(cvi_again *a, cvs_tensor *out) {
    return cvi_again_gradient_at(a, a->q->input_value, out);
}

cvs_status cvi_again_picture(const cvi_again *a) {
    if (a->picture.rank != 4) {
        return cvi_fail(a->q->err, CVS_E_UNSUPPORTED,
                        "the model's input is no picture [N,C,H,W], so a map cannot be laid over it");
    }
    return CVS_OK;
}

/* ---- settings -------------------------------------------------------------------------------------------- */

enum { CEILING = 1000000 };

cvs_status cvi_option_steps(const cvi_question *q, int64_t otherwise, int64_t *out) {
    int64_t n = q->options->steps;
    if (n < 0 || n > CEILING) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "%lld steps are not possible, 1 to %lld are", (long long)n,
                        (long long)CEILING);
    }
    *out = n > 0 ? n : otherwise;
    return CVS_OK;
}

cvs_status cvi_option_samples(const cvi_question *q, int64_t otherwise, int64_t *out) {
    int64_t n = q->options->samples;
    if (n < 0 || n > CEILING) {
        return cvi_fail(q->err, CVS_E_ARGUMENT, "%lld samples are not possible, 1 to %lld are", (long long)n,
                        (long long)CEILING);
    }
    *out = n > 0 ? n : otherwise;
    return CVS_OK;
}

/* ---- pictures to start from ------------------------------------------------------------------------------ */

void cvi_channel_means(const cvs_tensor *picture, int64_t channels, double *mean) {
    int64_t area = cvs_tensor_count(picture) / channels;
    for (int64_t c = 0; c < channels; c++) {
        mean[c] = 0.0;
        for (int64_t i = 0; i < area; i++) {
            mean[c] += cvi_get(picture, c * area + i) / (double)area;
        }
    }
}

/* A file in the model's own layout, with or without the batch dimension, of exactly the picture's shape. */
static cvs_status baseline_file(const cvi_again *a, const char *path, float *out) {
    const cvs_tensor *p = &a->picture;
    cvs_error *err = a->q->err;
    cvs_tensor file = {0}, numbers = {0}, turned = {0};
    cvs_status s = cvs_npy_read(path, &a->q->run->options.limits, &file, err);
    if (s == CVS_OK) {
        s = cvs_tensor_convert(&file, CVS_F32, &numbers, err);
    }
    if (s == CVS_OK && numbers.rank == p->rank - 1) {
        memmove(numbers.dim + 1, numbers.dim, sizeof *numbers.dim * (size_t)numbers.rank);
        numbers.dim[0] = 1;
        numbers.rank++;
    }
    if (s == CVS_OK && numbers.rank == p->rank) {
        bool last =
            a->q->model->graph->values[a->q->input_value].file_layout == CVI_FILE_LAST && p->rank >= 3;
        int perm[CVS_MAX_RANK] = {0};
        for (int i = 1; i < p->rank; i++) {
            perm[i] = !last ? i : i == 1 ? p->rank - 1 : i - 1;
        }
        s = cvs_tensor_permute(&numbers, perm, &turned, err);
    }
    if (s == CVS_OK) {
        bool fits = turned.rank == p->rank;
        for (int i = 0; i < p->rank && fits; i++) {
            fits = turned.dim[i] == p->dim[i];
        }
        if (fits) {
            memcpy(out, turned.data, p->bytes);
        } else {
            char x[200], y[200];
            s = cvi_fail(err, CVS_E_SHAPE, "the baseline is %s, the picture is %s (batch and channels first)",
                         cvs_shape_text(file.rank, file.dim, x, sizeof x),
                         cvs_shape_text(p->rank, p->dim, y, sizeof y));
            cvi_at_file(err, s, path);
        }
    }
    cvs_tensor_free(&file);
    cvs_tensor_free(&numbers);
    cvs_tensor_free(&turned);
    return s;
}

cvs_status cvi_baseline(const cvi_again *a, const char *text, float **out) {
    const cvs_preprocess *p = &a->q->model->preprocess;
    int64_t channels = a->picture.rank >= 3 ? a->picture.dim[1] : 1, area = a->pixels / channels;
    const char *name = text ? text : "black";
    size_t length = strlen(name);
    bool mean = strcmp(name, "mean") == 0, white = strcmp(name, "white") == 0;
    *out = cvi_calloc((size_t)a->pixels, sizeof **out);
    double *value = cvi_calloc((size_t)channels, sizeof *value);
    if (!*out || !value) {
        cvi_free(value);
        return cvi_no_memory(a->q->err, (size_t)a->pixels * sizeof **out);
    }
    cvs_status s = CVS_OK;
    if (mean) {
        cvi_channel_means(&a->picture, channels, value);
    } else if (white || strcmp(name, "black") == 0) {
        double level = white != p->invert ? 255.0 : 0.0, scale = p->scale > 0.0 ? p->scale : 1.0 / 255;
        for (int64_t c = 0; c < channels; c++) {
            bool known = c < CVI_COUNT(p->mean);
            double std = known && p->std[c] != 0.0 ? p->std[c] : 1.0;
            value[c] = (level * scale - (known ? p->mean[c] : 0.0)) / std;
        }
    } else if (length > 4 && strcmp(name + length - 4, ".npy") == 0) {
        s = baseline_file(a, name, *out);
    } else {
        s = cvi_fail(a->q->err, CVS_E_ARGUMENT,
                     "the baseline is \"%.60s\", black, mean, white or FILE.npy expected", name);
    }
    bool plain = length <= 4 || strcmp(name + length - 4, ".npy") != 0;
    for (int64_t i = 0; s == CVS_OK && plain && i < a->pixels; i++) {
        (*out)[i] = (float)value[i / area];
    }
    cvi_free(value);
    return s;
}
