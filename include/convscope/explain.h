/* SPDX-License-Identifier: MIT
 * explain.h - why: attribution maps, as plain tensors with everything that made them.
 */
#ifndef CONVSCOPE_EXPLAIN_H
#define CONVSCOPE_EXPLAIN_H

#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is explained: one number that the model makes. */
typedef enum cvs_target_kind {
    CVS_TARGET_CLASS,  /* the logit or probability of class `index` */
    CVS_TARGET_MIX,    /* a weighted sum of several classes' */
    CVS_TARGET_NEURON, /* one number of a layer's output */
    CVS_TARGET_REGION  /* the sum over rows and columns of one channel of a layer's output, or of all */
} cvs_target_kind;
enum { CVS_TARGET_PARTS = 8 };
typedef struct cvs_target {
    int index;        /* class; -1 = the predicted one */
    bool probability; /* explain the probability instead of the logit */
    cvs_target_kind kind;
    int n_parts; /* of a mix */
    int part[CVS_TARGET_PARTS];
    double weight[CVS_TARGET_PARTS];
    int layer;       /* of a neuron or region, as cvs_model_find_layer counts */
    int64_t channel; /* -1 (region): all */
    int64_t y, x, rows,
        columns; /* a neuron: its place, y -1 = where the channel is largest; a region: rows or columns 0 = all */
} cvs_target;
/* Reads "top", a class number or a class name (the error lists near names); "mix:2*CLASS,-1*CLASS", up to 8 of them;
 * "neuron:LAYER:CHANNEL,ROW,COLUMN" or without the place; "region:LAYER:CHANNEL,ROW-ROW,COLUMN-COLUMN", both ends included, or
 * without the box, with * for all channels. */
cvs_status cvs_target_parse(const cvs_model *model, const char *text, cvs_target *out, cvs_error *err);

typedef struct cvs_explain_options {
    const char *method; /* "gradient", "gradcam", ...: see cvs_method_describe */
    cvs_target target;
    const char *layer; /* for methods that look at a layer: name, number, last-conv; NULL = last-conv */
    bool signed_map;   /* CAM family: leave the final ReLU out */
    /* NULL, or a library whose arithmetic to use: "captum", "pytorch-grad-cam", "tf-keras-vis", "dlwp" */
    const char *compat;
    uint64_t seed;
    int64_t sample; /* which of the batch */
    cvs_lang lang;  /* of the caption */
    /* Settings of single methods; zero or NULL: the method's default. */
    const char *
        baseline; /* "black", "mean", "blur", "white", "noise" or FILE.npy: the picture that methods start from */
    const char *rule;            /* quadrature: gauss, midpoint, left, right, trapezoid */
    int64_t steps;               /* of the quadrature; 0: doubled until the completeness error is below 1 % */
    int64_t samples;             /* noisy copies */
    bool has_noise;              /* `noise` counts even where it is 0 */
    double noise;                /* their standard deviation as a share of the picture's range */
    int64_t patch, stride;       /* occlusion, in pixels of the network's input */
    bool has_fill;               /* `fill` counts; else the picture's mean colour */
    double fill;                 /* of the patch, in units of the network's input */
    bool has_epsilon, has_gamma; /* `epsilon`, `gamma` count even where they are 0 */
    double epsilon;              /* LRP: what keeps denominators from zero (1e-6) */
    double gamma, alpha; /* LRP: weight of positive parts (0.25), of alpha-beta's (2; beta = alpha - 1) */
    cvs_progress progress;
    void *progress_context;
} cvs_explain_options;

typedef enum cvs_map_kind {
    CVS_MAP_PIXELS, /* [1,C,H,W] of the input */
    CVS_MAP_LAYER,  /* [1,1,h,w] at the layer's resolution */
    CVS_MAP_GRID    /* [1,1,rows,cols] of patch positions */
} cvs_map_kind;

/* How much one feature map of the layer spoke for (or against) the target. */
typedef struct cvs_vote {
    int channel;
    double value; /* its part of the map, summed over positions; all votes together = the signed map's sum */
    double share; /* |value| / sum of |values| */
    double weight;
} cvs_vote;

typedef struct cvs_explanation {
    cvs_tensor map; /* float32, raw: not scaled, graph order */
    cvs_map_kind kind;
    int64_t patch, stride, side[2]; /* grids: in pixels of the input of side[0] rows, side[1] columns */
    bool channels_last;             /* the model's file has channels last: pixel maps are written so */
    char method[32], layer[128], target_name[128];
    int target_index; /* -1: no single class; target_name says what */
    bool probability;
    double target_value; /* the number explained */
    int n_votes;
    cvs_vote *votes; /* CAM family, largest |value| first; owned by the explanation */
    cvs_tensor
        classes; /* occlusion: [1,K,rows,cols] as map, for every class; owned. data is NULL where there are none */
    /* occlusion: [1,1,rows,cols] as map: the sum over all positions of the feature map of activation_layer that is strongest without
     * a patch, with the patch there; owned. activation_whole: without one. */
    cvs_tensor activation;
    int64_t activation_channel;
    double activation_whole;
    char activation_layer[128];
    /* Methods whose parts should add up: their sum is completeness_of + completeness_error. */
    bool has_completeness;
    double completeness_error, completeness_of;
    /* Why the map is blank, has nothing positive in it or is not finite, in options.lang; empty where there is nothing to say. */
    char note[300];
    char caption
        [900]; /* method, target, layer, settings, seed, version, and the method's caveat, in options.lang */
} cvs_explanation;

/* Explains the last input of run (after cvs_run_file or any other forward). Free with cvs_explanation_free. */
cvs_status cvs_explain(cvs_run *run, const cvs_explain_options *options, cvs_explanation *out,
                       cvs_error *err);
void cvs_explanation_free(cvs_explanation *e);
/* Accuracy under occlusion: the map holds, for each position of the patch, the share of the set's pictures whose class is still found
 * (labels by name where the model knows all, else by number); target_value: that share without a patch. run makes the runs; of the
 * options patch, stride, fill, lang and progress count. */
cvs_status cvs_occlusion_accuracy(cvs_run *run, const cvs_data *data, const cvs_explain_options *options,
                                  cvs_explanation *out, cvs_error *err);
/* The map as the model's own file would hold it (pixel maps: the input's layout), owned. */
cvs_status cvs_explanation_file(const cvs_explanation *e, const char *layout, cvs_tensor *out,
                                cvs_error *err);

/* Gradient ascent: a picture that one channel of a layer likes more and more. Made once, warm from the second step on; one thread at
 * a time. layer as in cvs_explain_options (NULL = last-conv); options may be NULL. The model must outlive it. */
typedef struct cvs_ascent cvs_ascent;
cvs_status cvs_ascent_new(const cvs_model *model, const cvs_run_options *options, const char *layer,
                          int64_t channel, cvs_ascent **out, cvs_error *err);
/* picture (float32, plain, of the model's input shape [N,C,H,W], in the network's own units) += step * g / (rms(g) + 1e-8), where g is
 * the gradient of the channel's mean over all positions; that mean, before the step, is filled into value (may be NULL). */
cvs_status cvs_ascent_step(cvs_ascent *ascent, cvs_tensor *picture, double step, double *value,
                           cvs_error *err);
void cvs_ascent_free(cvs_ascent *ascent);

typedef struct cvs_method_info {
    const char *name, *title, *sentence, *caveat; /* in the language asked for; borrowed, static */
    cvs_map_kind kind;
    bool needs_layer;
    const char *family; /* "gradients", "class activation maps", ... in the language asked for */
    const char
        *flags; /* what it reads beside the target, as options of convscope explain: "--steps N, --seed N" */
    const char *compat; /* the libraries whose arithmetic it has: "captum, dlwp"; "" = none */
} cvs_method_info;
int cvs_method_count(void);
/* The number of the method of that name, before any work is done for it; the error lists near names. */
cvs_status cvs_method_find(const char *name, int *out, cvs_error *err);
cvs_status cvs_method_describe(int i, cvs_lang lang, cvs_method_info *out, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif
