/* SPDX-License-Identifier: MIT
 * features.h - what a unit looks for: its activation projected to the pixels.
 *
 * A unit is one channel of a layer at one position. Layers are named as in explain.h (name, number, "last-conv").
 */
#ifndef CONVSCOPE_FEATURES_H
#define CONVSCOPE_FEATURES_H

#include "explain.h"
#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one unit, down to the pixels (Zeiler and Fergus 2014, section 2.1) ------------------------------- */
/* How the signal passes a rectifier on its way down. Everything else is the same: maxima by the switches of the forward pass (signals
 * that meet in one place are added), kernels transposed, no bias. */
typedef enum cvs_backward_rule {
    CVS_BACK_DECONVNET, /* max(signal, 0), whatever the input was */
    CVS_BACK_GUIDED,    /* max(signal, 0) where the input was positive (Springenberg et al. 2015) */
    CVS_BACK_GRADIENT   /* the signal where the input was positive */
} cvs_backward_rule;

typedef struct cvs_unit_options {
    const char *layer; /* NULL = last-conv */
    int64_t channel, sample;
    bool
        has_position; /* row and column count; else where the channel is largest, the first in reading order */
    int64_t row, column;
    cvs_backward_rule rule;
    cvs_lang lang; /* of the caption */
} cvs_unit_options;

typedef struct cvs_projection {
    cvs_tensor map;      /* float32, of one sample of the input [1,C,H,W], signed, not scaled; owned */
    bool channels_last;  /* the model's file has channels last */
    int64_t row, column; /* of the unit; 0 in a layer without positions */
    double value;        /* its activation: what the projection starts from */
    bool has_field;      /* box counts */
    int64_t box[4];      /* what the unit can see of the input: top, left, rows, columns; may reach beyond */
    char layer[128], caption[600];
} cvs_projection;

/* Projects a unit of the last run. Free with cvs_projection_free. */
cvs_status cvs_project(cvs_run *run, const cvs_unit_options *options, cvs_projection *out, cvs_error *err);
void cvs_projection_free(cvs_projection *p);
/* The map as the model's own file would hold it (layout NULL, "nchw" or "nhwc"), owned. */
cvs_status cvs_projection_file(const cvs_projection *p, const char *layout, cvs_tensor *out, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif
