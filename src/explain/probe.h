/* SPDX-License-Identifier: MIT
 * probe.h (internal) - one layer of a model asked about many pictures: only the nodes that it needs run, forward and backward, one
 * picture at a time.
 */
#ifndef CVI_PROBE_H
#define CVI_PROBE_H

#include "explain/unit.h"

typedef struct cvi_probe {
    const cvs_model *model;
    cvs_run_options options; /* limits filled in */
    cvi_pool *pool;
    int input, value;
    char layer[128];
    cvi_exec *exec;     /* for pictures of the shape of `planned` */
    cvs_tensor planned; /* data NULL */
    cvs_tensor shape;   /* of the layer, data NULL */
} cvi_probe;

/* layer NULL: last-conv. A sentence for a model of several inputs or one whose input is no float32 picture. Free with
 * cvi_probe_free after failure too. */
cvs_status cvi_probe_new(const cvs_model *model, const cvs_run_options *options, const char *layer,
                         cvi_probe *out, cvs_error *err);
/* The same for a value of the graph. */
cvs_status cvi_probe_value(const cvs_model *model, const cvs_run_options *options, int value, cvi_probe *out,
                           cvs_error *err);
void cvi_probe_free(cvi_probe *p);
/* The input's shape [1,C,H,W] (of a model that takes [N,H,W]: [1,1,H,W], as pictures and gradients below), free sides filled in from
 * the options. */
cvs_status cvi_probe_input(const cvi_probe *p, cvs_tensor *shape, cvs_error *err);
/* Plans and runs on a picture float32 [1,C,H,W]; the layer's planes, borrowed until the next run. */
cvs_status cvi_probe_run(cvi_probe *p, const cvs_tensor *picture, cvi_planes *out, cvs_error *err);
/* After a run: d target / d picture, from the seed d target / d layer (of the layer's shape) under a rule. Borrowed until the next call. */
cvs_status cvi_probe_back(cvi_probe *p, cvi_rule rule, const cvs_tensor *seed, cvs_tensor *gradient,
                          cvs_error *err);

#endif
