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

enum { TOGETHER = 4 /* pictures in a pass that needs no gradients */ };

typedef enum purpose { GRADIENTS, BASE, EXACT, ANSWERS } purpose;

static cvs_status make(cvi_question *q, purpose what, cvi_again *out) {
    const cvi_graph *g = q->model->graph;
    const cvs_run *run = q->run;
    const cvs_tensor *first = &run->inputs[0];
    const cvi_value *declared = &g->values[q->input_value];
    *out = (cvi_again){.q = q, .batch = 1};
    if (first->dtype != CVS_F32 && first->dtype != CVS_F64 && first->dtype != CVS_F16) {
        return cvi_whole_numbers(first->dtype, q->err);
    }
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
    } else if (what == ANSWERS && g->n_inputs == 1) {
        out->batch = TOGETHER;
    }
    int64_t samples = first->dim[0];
    CVI_TRY(copy_input(first, q->options->sample, samples, 1, &out->picture, q->err));
    cvi_as_picture(&out->picture);
    out->pixels = cvs_tensor_count(&out->picture);
    out->inputs = cvi_calloc((size_t)g->n_inputs, sizeof *out->inputs);
    if (!out->inputs) {
        return cvi_no_memory(q->err, (size_t)g->n_inputs * sizeof *out->inputs);
    }
    for (int i = 0; i < g->n_inputs; i++) {
        CVI_TRY(
            copy_input(&run->inputs[i], q->options->sample, samples, out->batch, &out->inputs[i], q->err));
    }
    /* the scores: the target's own value, and the classes' where there are any */
    int keep[2] = {q->target_value, q->target_value};
    cvi_exec_options options = {.pool = run->pool,
                                .exact = run->options.exact || what == EXACT,
                                .plain = run->options.plain,
                                .keep_aux = what == GRADIENTS || what == EXACT,
                                .keep = what == BASE      ? CVI_KEEP_GRADIENTS
                                        : what == ANSWERS ? CVI_KEEP_ANSWER
                                                          : CVI_KEEP_ALL,
                                .keep_values = keep,
                                .n_keep = 2,
                                .max_bytes = run->options.limits.max_memory_bytes};
    return cvi_exec_new(g, out->inputs, &options, &out->exec, q->err);
}

cvs_status cvi_again_new(cvi_question *q, cvi_again *out) {
    return make(q, GRADIENTS, out);
}

cvs_status cvi_again_base(cvi_question *q, cvi_again *out) {
    return make(q, BASE, out);
}

cvs_status cvi_again_exact(cvi_question *q, cvi_again *out) {
    return make(q, EXACT, out);
}

cvs_status cvi_again_answers(cvi_question *q, cvi_again *out) {
    return make(q, ANSWERS, out);
}

void cvi_again_free(cvi_again *a) {
    if (a->inputs) {
        for (int i = 0; i < a->q->model->graph->n_inputs; i++) {
            cvs_tensor_free(&a->inputs[i]);
        }
    }
    cvi_free(a->inputs);
    for (int i = 0; i < a->n_own; i++) {
        cvi_free(a->own[i]);
    }
    cvi_exec_free(a->exec);
    cvs_tensor_free(&a->seed);
    cvs_tensor_free(&a->picture);
    *a = (cvi_again){0};
}

cvs_status cvi_again_with(cvi_question *q, cvs_status (*how)(cvi_question *q, cvi_again *out),
                          cvs_status (*ask)(cvi_again *a, cvs_explanation *out), cvs_explanation *out) {
    cvi_again a = {0};
    cvs_status s = how(q, &a);
    if (s == CVS_OK) {
        s = ask(&a, out);
    }
    cvi_again_free(&a);
    return s;
}

void *cvi_again_room(cvi_again *a, int64_t count, size_t size) {
    size_t n = (size_t)CVI_MAX(count, 1);
    void *room = a->n_own < CVI_COUNT(a->own) ? cvi_calloc(n, size) : NULL;
    if (!room) {
        (void)cvi_no_memory(a->q->err, n * size);
        return NULL;
    }
    a->own[a->n_own++] = room;
    return room;
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
        return cvi_no_picture(a->q->err);
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
