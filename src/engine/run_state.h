/* SPDX-License-Identifier: MIT
 * run_state.h (internal to the engine) - a cvs_run: a model, the exec for the last shapes, the inputs, and, where a
 * model with a fixed batch ran several times, the joined values.
 */
#ifndef CVI_RUN_STATE_H
#define CVI_RUN_STATE_H

#include "engine/engine.h"

struct cvs_run {
    const cvs_model *model;
    cvs_run_options options; /* with every default filled in */
    cvi_pool *pool;
    cvi_exec *exec;
    cvs_tensor *inputs; /* per graph input: all samples, owned */
    cvs_tensor *part;   /* what one forward pass gets: views of `inputs`, or owned where samples were added */
    cvs_tensor *planned; /* shapes of the exec's inputs */
    cvs_tensor *joined;  /* per value, owned; NULL unless several passes were joined */
    bool *joins;         /* per value: depends on an input, so it has a part of the batch */
    int *layers;         /* per layer: its value */
    int n_layers;
    bool ran;
};

/* The value of a layer, or -1 and a sentence. */
int cvi_run_layer_value(const cvs_run *run, int layer, cvs_error *err);
/* A value of the last run, CVS_PLAIN, borrowed; a sentence when it was not computed. */
cvs_status cvi_run_value(cvs_run *run, int value, cvs_tensor *out, cvs_error *err);
/* Takes ownership of the inputs [n graph inputs], one per graph input in graph order and type, and runs. */
cvs_status cvi_run_take(cvs_run *run, cvs_tensor *inputs, cvs_error *err);
/* The shape of graph input i with free dimensions filled from the options; data NULL. */
cvs_status cvi_input_shape(const cvs_model *model, const cvs_run_options *options, int i, cvs_tensor *out,
                           cvs_error *err);
/* A plan for those shapes (unknown ones stay unknown), for looking only: not run with inputs, so the memory limit holds for each value and
 * not for their sum. Owned. */
cvs_status cvi_exec_default(const cvs_model *model, const cvs_run_options *options, cvi_exec **out,
                            cvs_error *err);
/* "nchw", "nhwc" or NULL (the file's own) -> whether channels are last; rank < 3 never. */
cvs_status cvi_layout_last(const char *layout, cvi_file_layout own, bool *last, cvs_error *err);

#endif
