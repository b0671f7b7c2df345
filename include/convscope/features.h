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

/* ---- the pictures of a set that excite each channel most (the paper's figure 2) ------------------------- */
typedef struct cvs_top_options {
    const char *layer; /* NULL = last-conv */
    const int64_t *channels;
    int n_channels; /* 0: `maps` of them, spread evenly over the layer */
    int maps;       /* 0 = 12; no more than there are */
    int top;        /* pictures per channel, 1 to 100; 0 = 9 */
    cvs_backward_rule rule;
    cvs_lang lang; /* of the caption */
    cvs_progress progress;
    void *progress_context;
} cvs_top_options;

/* A channel's largest unit in one picture. */
typedef struct cvs_top_unit {
    char
        *picture; /* name in the stream, owned by the whole; NULL: no (further) picture excites the channel */
    double value;
    int64_t row, column; /* of the unit */
    int64_t box[4]; /* of the network's input that is shown: top, left, rows, columns; may reach beyond it */
    cvs_tensor patch;      /* what the network saw there, uint8 [rows,columns,3]; grey beyond the border */
    cvs_tensor projection; /* the unit projected there, float32 [C,rows,columns], signed, not scaled */
} cvs_top_unit;

typedef struct cvs_top {
    char layer[128], caption[600];
    int64_t pictures, skipped; /* looked at; could not be read */
    int n_channels, top;
    int64_t *channels;   /* [n_channels] */
    cvs_top_unit *units; /* [n_channels][top], largest value first; equal values by name */
} cvs_top;

/* One picture in memory at a time and one unit per channel and picture; the chosen ones are read again and projected. What a unit can see
 * of the input is cut out (all of it, where that is as large). Values of 0 and less excite nothing. Free with cvs_top_free. */
cvs_status cvs_top_units(const cvs_model *model, const cvs_run_options *run_options, cvs_pictures *pictures,
                         const cvs_top_options *options, cvs_top *out, cvs_error *err);
void cvs_top_free(cvs_top *top);

#ifdef __cplusplus
}
#endif
#endif
