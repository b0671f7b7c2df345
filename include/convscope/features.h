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
    bool flat;           /* the model takes [N,H,W]: map has the one channel, its file has none */
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
typedef enum cvs_top_crop {
    CVS_CROP_FIELD,     /* the theoretical receptive field: all patches of a layer are of one size */
    CVS_CROP_EFFECTIVE, /* the square around what holds 99 % of |projection| */
    CVS_CROP_WHOLE
} cvs_top_crop;

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
    cvs_top_crop crop; /* what patches and projections are cut to */
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

/* ---- pictures that the network itself makes up ------------------------------------------------------------ */
/* What is to become large. */
typedef enum cvs_want {
    CVS_WANT_CHANNEL,   /* the channel's mean over all positions */
    CVS_WANT_NEURON,    /* one position of the channel, the middle unless has_position */
    CVS_WANT_CLASS,     /* the logit of class `channel` */
    CVS_WANT_DIRECTION, /* mean over positions of dot(direction, channels) * max(0.1, cos)^power */
    CVS_WANT_LIKENESS   /* inversion: minus |layer - layer of `like`|^2 / |layer of `like`|^2; always still */
} cvs_want;
typedef enum cvs_feature_mode {
    /* The picture by its spectrum with decorrelated colours, through small random moves, by Adam (0.05, 512 steps): Olah et al.,
     * Feature Visualization, Distill 2017, with Lucid's constants. A unit that no
     * gradient reaches at first is woken by the deconvnet signal for up to 16 steps. */
    CVS_FEATURE_FOURIER,
    /* Chollet, Deep Learning with Python, 5.4: noise of 128 to 148 in pixels, 40 steps of 1 along the gradient divided by (its root mean
     * square + 1e-5). No mean is subtracted from the pixels: into the network goes pixel * scale / std. */
    CVS_FEATURE_BOOK
} cvs_feature_mode;

typedef struct cvs_feature_options {
    cvs_feature_mode mode;
    cvs_want want;
    const char *layer; /* NULL = last-conv; not read for CLASS */
    bool has_position;
    int64_t row, column;
    const cvs_tensor *direction; /* [channels of the layer], float32 */
    double power;
    const cvs_tensor *like; /* uint8 [H,W,3] */
    int64_t steps;          /* 0: the mode's own */
    double step;            /* 0: the mode's own */
    int variants;           /* pictures per channel, 1 to 16; 0 = 1 */
    double
        diversity; /* pushes the variants apart: times their mutual likeness in the layer; 0 = none (fourier only) */
    bool still;    /* fourier: without the random moves */
    uint64_t seed; /* the same seed, the same bytes */
    cvs_lang lang;
    cvs_progress progress;
    void *progress_context;
} cvs_feature_options;

typedef struct cvs_feature {
    int64_t channel;
    int n;            /* pictures */
    cvs_tensor input; /* as they go into the network, float32 [n,C,H,W]; owned */
    cvs_tensor shown; /* as people see them, uint8 [n,H,W,3]; owned */
    int64_t steps;
    double *
        value; /* [n][steps + 1]: what is wanted, before every step and at the end; of what the network saw; owned */
    bool silent;        /* no gradient ever reached the picture: it is noise */
    bool channels_last; /* the model's file has channels last */
    bool flat;          /* the model takes [N,H,W]: input has the one channel, its file has none */
    char layer[128], caption[700];
} cvs_feature;

/* Made once, warm from channel to channel; one thread at a time. The model, and what options point to, must outlive it. */
typedef struct cvs_feature_maker cvs_feature_maker;
cvs_status cvs_feature_maker_new(const cvs_model *model, const cvs_run_options *run_options,
                                 const cvs_feature_options *options, cvs_feature_maker **out, cvs_error *err);
void cvs_feature_maker_free(cvs_feature_maker *maker); /* NULL allowed */
/* How many channels (classes) there are to be asked for. */
int64_t cvs_feature_channels(const cvs_feature_maker *maker);
/* channel: of the layer, or the class; not read for DIRECTION and LIKENESS. Free with cvs_feature_free. */
cvs_status cvs_feature_make(cvs_feature_maker *maker, int64_t channel, cvs_feature *out, cvs_error *err);
void cvs_feature_free(cvs_feature *feature);
/* The input as the model's own file would hold it (layout NULL, "nchw" or "nhwc"), owned. */
cvs_status cvs_feature_file(const cvs_feature *feature, const char *layout, cvs_tensor *out, cvs_error *err);

/* ---- DeepDream (Mordvintsev et al. 2015; Deep Learning with Python 8.2) ---------------------------------------- */
typedef struct cvs_dream_options {
    const char *const
        *layers; /* n_layers names; what grows is the sum of share * mean of squares, without a border of 2 */
    const double *shares; /* NULL: 1 each */
    int n_layers;         /* 0: last-conv */
    int octaves;   /* sizes, each `ratio` times the one before; the first is the network's own input; 0 = 3 */
    double ratio;  /* 0 = 1.4 */
    int64_t steps; /* in each octave; 0 = 20 */
    double step;   /* of half the range of pixels, times the gradient by its root mean square; 0 = 0.02 */
    uint64_t seed; /* of where the network looks when the picture is larger than its input */
    cvs_progress progress;
    void *progress_context;
} cvs_dream_options;
/* picture uint8 [H,W,3], preprocessed as the model wants it; *out is uint8 [H,W,3], owned, larger than the network's input by the ratio
 * per octave: the network looks at it piece by piece. Detail that was lost in a smaller octave is put back. */
cvs_status cvs_dream(const cvs_model *model, const cvs_run_options *run_options, const cvs_tensor *picture,
                     const cvs_dream_options *options, cvs_tensor *out, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif
