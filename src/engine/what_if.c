/* SPDX-License-Identifier: MIT
 * what_if.c - the live occluder behind the public interface: a patch over the last input of a run, moved as often as wanted; only what
 * the patch can reach is computed again.
 */
#include "engine/incremental.h"
#include "engine/run_state.h"

struct cvs_what_if {
    cvs_run *run;
    cvi_incr *incr;
    cvs_tensor answer; /* as output 0, owned */
    int64_t channels;
};

cvs_status cvs_what_if_new(cvs_run *run, cvs_what_if **out, cvs_error *err) {
    const cvi_graph *g = run->model->graph;
    char text[200];
    *out = NULL;
    if (!run->ran || !run->exec || g->n_inputs < 1 || g->n_outputs < 1) {
        return cvi_fail(err, CVS_E_ARGUMENT, "the model has not been run yet");
    }
    const cvs_tensor *input = &run->inputs[0];
    if (run->joined || input->rank != 4 || input->dim[0] != 1 || input->dtype != CVS_F32) {
        return cvi_fail(
            err, CVS_E_UNSUPPORTED, "a patch is laid over one float32 picture [1,C,H,W]; the input is %s %s",
            cvs_dtype_name(input->dtype), cvs_shape_text(input->rank, input->dim, text, sizeof text));
    }
    cvs_what_if *w = cvi_calloc(1, sizeof *w);
    if (!w) {
        return cvi_no_memory(err, sizeof *w);
    }
    w->run = run;
    w->channels = input->dim[1];
    cvs_tensor shape;
    cvs_status s = cvi_exec_value(run->exec, g->outputs[0], &shape, err);
    if (s == CVS_OK) {
        s = cvs_tensor_new(&w->answer, shape.dtype, shape.rank, shape.dim, err);
    }
    if (s == CVS_OK) {
        s = cvi_incr_new(run->exec, &w->incr, err);
    }
    if (s != CVS_OK) {
        cvs_what_if_free(w);
        return s;
    }
    *out = w;
    return CVS_OK;
}

cvs_status cvs_what_if_patch(cvs_what_if *w, int64_t top, int64_t left, int64_t height, int64_t width,
                             const float *fill, cvs_tensor *out, cvs_error *err) {
    const cvi_graph *g = w->run->model->graph;
    *out = (cvs_tensor){0};
    if (height < 0 || width < 0) {
        return cvi_fail(err, CVS_E_ARGUMENT, "a patch of %lldx%lld is not possible", (long long)width,
                        (long long)height);
    }
    cvi_edit edit = {
        .value = g->inputs[0], .y = top, .x = left, .h = height, .w = width, .channels = w->channels};
    edit.fill = fill;
    cvi_change change = {&edit, 1};
    void *to[] = {w->answer.data};
    CVI_TRY(cvi_incr_run(w->incr, &change, 1, &g->outputs[0], 1, to, NULL, err));
    *out = w->answer;
    out->owned = false;
    return CVS_OK;
}

void cvs_what_if_free(cvs_what_if *w) {
    if (w) {
        cvi_incr_free(w->incr);
        cvs_tensor_free(&w->answer);
        cvi_free(w);
    }
}
