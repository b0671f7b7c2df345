/* SPDX-License-Identifier: MIT
 * invariance.h - two measurements of Zeiler and Fergus (2014): how far layers move when the picture does (figure 5), and whether a layer
 * holds the same parts of different pictures alike (table 1).
 */
#ifndef CONVSCOPE_INVARIANCE_H
#define CONVSCOPE_INVARIANCE_H

#include "connections.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- invariance ------------------------------------------------------------------------------------------------ */
enum { CVS_CHANGES = 3, CVS_CHANGE_SAMPLES = 5 };
typedef enum cvs_change {
    CVS_CHANGE_MOVE, /* down, in pixels of the network's input, from -27 % to 27 % of its height (the paper's 60 of 224) */
    CVS_CHANGE_SCALE, /* 1 to 1.8 */
    CVS_CHANGE_TURN   /* 0 to 360 degrees, counter-clockwise */
} cvs_change;
typedef struct cvs_invariance_options {
    const char *first, *last; /* layers; NULL: the first one with kernels, and what the logits are made of */
    int target;               /* class whose probability is followed; -1 = the predicted one */
    int steps;                /* points of a curve, 2 to 1000; 0 = 25 */
    cvs_lang lang;
    cvs_progress progress;
    void *progress_context;
} cvs_invariance_options;
typedef struct cvs_invariance {
    char layer[2][128], target_name[128], caption[600];
    int target, steps;
    double *amount[CVS_CHANGES];      /* [steps], owned as all below */
    double *distance[CVS_CHANGES][2]; /* Euclidean, from the layer of the unchanged picture */
    double *probability[CVS_CHANGES];
    double size[2];                                     /* of the layers of the unchanged picture */
    cvs_tensor sample[CVS_CHANGES][CVS_CHANGE_SAMPLES]; /* uint8 [H,W,3], evenly over the curve */
} cvs_invariance;
/* picture uint8 [H,W,3]. What comes from beyond the border is the picture's mean colour. Free with cvs_invariance_free. */
cvs_status cvs_measure_invariance(const cvs_model *model, const cvs_run_options *run_options,
                                  const cvs_tensor *picture, const cvs_invariance_options *options,
                                  cvs_invariance *out, cvs_error *err);
void cvs_invariance_free(cvs_invariance *v);

/* ---- correspondence ---------------------------------------------------------------------------------------------- */
enum { CVS_CORRESPOND_LAYERS = 4 };
typedef struct cvs_part_box {
    int picture, part;
    int64_t box[4]; /* top, left, rows, columns in pixels of that picture */
} cvs_part_box;
typedef struct cvs_correspondence_options {
    const char *const *layers;
    int n_layers; /* up to CVS_CORRESPOND_LAYERS; 0: as in cvs_invariance_options */
    int random;   /* draws of random places, 1 to 1000; 0 = 10 */
    uint64_t seed;
    cvs_lang lang;
    cvs_progress progress;
    void *progress_context;
} cvs_correspondence_options;
typedef struct cvs_correspondence {
    int n_layers, n_parts; /* the last part is the random places */
    char layer[CVS_CORRESPOND_LAYERS][128], caption[600];
    double *mean, *deviation; /* [n_layers][n_parts]; owned */
} cvs_correspondence;
/* Each part is greyed out (the picture's mean colour) in every picture; the signs of the change of a layer are compared between the pictures:
 * the share of numbers whose signs differ, mean and standard deviation over the pairs (of the random places, in the middle square: over the draws). Low: the
 * layer knows the part. Every picture [H,W,3] needs a box of every part. */
cvs_status cvs_measure_correspondence(const cvs_model *model, const cvs_run_options *run_options,
                                      const cvs_tensor *pictures, int n_pictures, const cvs_part_box *boxes,
                                      int n_boxes, int n_parts, const cvs_correspondence_options *options,
                                      cvs_correspondence *out, cvs_error *err);
void cvs_correspondence_free(cvs_correspondence *c);

#ifdef __cplusplus
}
#endif
#endif
