/* SPDX-License-Identifier: MIT
 * evolution.h - how features form: the snapshots that training kept of its network (RUN/snapshots), looked at layer by layer.
 *
 *     cvs_evolution *e;
 *     cvs_evolution_open("RUN", NULL, &e, &err);
 *     cvs_evolution_look(e, 0, &want, &layer, &err);          a convolution, all epochs
 */
#ifndef CONVSCOPE_EVOLUTION_H
#define CONVSCOPE_EVOLUTION_H

#include "data.h"
#include "features.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_evolution cvs_evolution; /* one thread at a time; holds paths, no networks */

/* Fails with a sentence where the run has fewer than two snapshots. limits may be NULL. Owned, cvs_evolution_free. */
cvs_status cvs_evolution_open(const char *run, const cvs_limits *limits, cvs_evolution **out, cvs_error *err);
void cvs_evolution_free(cvs_evolution *e); /* NULL allowed */
/* Snapshots, going up; of more than 32 evenly chosen ones. Epoch 0 is before the first step. */
int cvs_evolution_count(const cvs_evolution *e);
int cvs_evolution_epoch(const cvs_evolution *e, int i);
const char *cvs_evolution_path(const cvs_evolution *e, int i); /* of the model file, borrowed */
/* Its convolutions, in the network's order; the name is borrowed. NULL beyond the last. */
const char *cvs_evolution_layer_name(const cvs_evolution *e, int layer);
/* What it was trained on ("mnist:DIR"), "" where history.json does not say. Borrowed. */
const char *cvs_evolution_data(const cvs_evolution *e);

typedef struct cvs_evolution_want {
    const cvs_tensor *image; /* a picture, uint8 [H,W,3]: its maps, Grad-CAM and projections; or NULL */
    int channels;            /* as many channels, evenly over the layer; 0 = 12 */
    /* The training picture that excites each channel most, among the first `strongest` of the training set (evenly over the classes; negative:
     * all, 0: none), and the unit projected to the pixels: figure 4 of Zeiler and Fergus 2014. data NULL: the run's own. */
    int64_t strongest;
    const char *data;
    cvs_backward_rule rule;
    cvs_lang lang;
    cvs_progress progress;
    void *progress_context;
} cvs_evolution_want;

/* One channel of one snapshot; tensors without data where they were not asked for or nothing excites the channel. */
typedef struct cvs_evolution_cell {
    cvs_tensor kernel;     /* float32 [1 or 3,h,w]: of one input channel, or of all three colours */
    double alike;          /* cosine of the whole kernel and that of the last snapshot */
    cvs_tensor map;        /* float32 [h,w] of the picture */
    cvs_tensor track;      /* float32 [C,H,W]: the channel's largest unit in the picture, projected */
    double value;          /* of the strongest unit among the training pictures */
    char picture[80];      /* its name in the set */
    bool moved;            /* another picture than in the snapshot before: a jump */
    cvs_tensor patch;      /* uint8 [h,w,3] of that picture, what the unit sees */
    cvs_tensor projection; /* float32 [C,h,w], signed, not scaled */
} cvs_evolution_cell;

typedef struct cvs_evolution_layer {
    char name[128], unit[128]; /* the convolution; the layer whose maps these are (its activation function) */
    int n_epochs, n_channels;
    int64_t *channels;         /* [n_channels] */
    int64_t of_input;          /* the input channel of the kernels, -1: all three colours */
    cvs_evolution_cell *cells; /* [n_epochs][n_channels] */
    cvs_tensor *why;           /* [n_epochs] float32 [h,w]: Grad-CAM for `target` */
    double *probability;       /* [n_epochs] of `target` */
    int target;                /* what the last snapshot answers; -1: no picture */
    char target_name[120];
    cvs_tensor shown;        /* uint8 [H,W,3]: the picture as the network sees it */
    int64_t pictures;        /* looked through for the strongest */
    cvs_channel_order order; /* of projections of three channels */
} cvs_evolution_layer;

cvs_status cvs_evolution_look(const cvs_evolution *e, int layer, const cvs_evolution_want *want,
                              cvs_evolution_layer *out, cvs_error *err);
void cvs_evolution_layer_free(cvs_evolution_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
