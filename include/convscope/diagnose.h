/* SPDX-License-Identifier: MIT
 * diagnose.h - what is wrong with a trained network and what it could do without: dead, duplicate, low-rank and insensitive filters,
 * redundant layers, receptive fields that are not used, classes taken for each other, and places outside the object that decide. Every
 * removal is measured. Pictures are split in two halves: one chooses, the other measures.
 */
#ifndef CONVSCOPE_DIAGNOSE_H
#define CONVSCOPE_DIAGNOSE_H

#include "data.h"
#include "run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cvs_finding_kind {
    CVS_FIND_DEAD,      /* filters whose output never changes on these pictures */
    CVS_FIND_DUPLICATE, /* filters that another one repeats (correlation above 0.95) */
    CVS_FIND_LOW_RANK, /* filters that the others of their layer can be mixed from (1 % of the variance is lost) */
    CVS_FIND_INSENSITIVE, /* filters whose output may as well be its mean */
    CVS_FIND_LAYER,       /* a layer or branch that the network does without */
    CVS_FIND_FIELD,       /* a layer that looks at much less than it could */
    CVS_FIND_CONFUSION,   /* a class taken for another */
    CVS_FIND_PLACE,       /* a place that decides though the object is elsewhere */
    CVS_FIND_OUTSIDE,     /* evidence beside the object */
    CVS_N_FINDINGS
} cvs_finding_kind;
typedef struct cvs_finding_info {
    const char *name, *title, *sentence; /* borrowed, static */
} cvs_finding_info;
cvs_status cvs_finding_describe(cvs_finding_kind kind, cvs_lang lang, cvs_finding_info *out, cvs_error *err);

/* What the network is like with something removed, on the measuring half. */
typedef struct cvs_effect {
    bool measured;
    double accuracy, loss,
        changed;          /* share of right answers; mean cross-entropy; share of answers that are others */
    int64_t macs, params; /* of the network that is left */
} cvs_effect;

typedef struct cvs_finding {
    cvs_finding_kind kind;
    char layer[128];
    int of;             /* filters of the layer */
    int n_filters;      /* what is found, and would be removed */
    int *filters;       /* [n_filters], rising; owned by the diagnosis */
    char evidence[500]; /* a sentence or two, with numbers */
    cvs_effect without; /* it removed alone */
    char kept[160];     /* why it can be switched off but not be cut out; "" */
    bool taken;         /* part of the joint removal */
    int64_t box[4];     /* of a place: row, column, rows, columns of the network's input */
} cvs_finding;

typedef struct cvs_layer_health {
    char layer[128];
    int filters, dead, duplicate, dependent, insensitive;
    double
        rank; /* effective rank of its outputs: exp of the entropy of the covariance's eigenvalues; 0 = not computed */
    double zeros; /* share of outputs that are 0 */
    double field,
        seen; /* sides in pixels: theoretical (inside the picture), and where 95 % of the gradient lies; 0 = none */
    int tried; /* filters that were switched off one by one */
    double *
        loss; /* [filters] change of the loss with the filter at its mean; NaN: not tried; owned by the diagnosis */
    char kept[160]; /* why its filters cannot be cut out; "" */
} cvs_layer_health;

enum { CVS_PLACES = 8 };
typedef struct cvs_model_diagnosis {
    int64_t pictures, choosing, measuring;
    int64_t height, width; /* of the network's input */
    bool guessing; /* right less than twice as often as by chance: what filters are worth cannot be judged */
    cvs_effect whole; /* the network as it is */
    int n_layers;
    cvs_layer_health *layers; /* owned */
    int n_findings;
    cvs_finding *findings; /* owned; what decides wrongly first, then by kind */
    cvs_effect joint;      /* everything taken, together */
    int n_taken;
    int n_classes;
    const char **classes; /* [n_classes], owned */
    int64_t *confusion;   /* [n_classes][n_classes] row = label, column = answer, all pictures; owned */
    double place[CVS_PLACES *
                 CVS_PLACES]; /* share of answers that change when this part of the picture is covered */
    double object[CVS_PLACES * CVS_PLACES]; /* share of pictures with the object there; with masks */
    bool has_masks;
    double outside, chance; /* share of positive evidence beside the object; share of the picture beside it */
    double *class_outside;  /* [n_classes], NaN: no picture; owned */
    int64_t *class_pictures;
    char method[32];
    int n_too_few; /* layers with too few numbers for rank, duplicates and mixtures: twice as many positions as filters are needed */
    bool channels_limited; /* not every filter was switched off: it would have taken too long */
} cvs_model_diagnosis;

typedef struct cvs_diagnose_options {
    int64_t pictures;   /* of the data [400] */
    double tolerance;   /* accuracy that a removal may cost, and nats of loss [0.01] */
    uint64_t seed;      /* of the halves [0] */
    const char *method; /* whose maps say where evidence lies [gradcam] */
    double work;        /* multiply-accumulates that switching filters off may take [1e12] */
    cvs_lang lang;
    cvs_progress progress;
    void *progress_context;
} cvs_diagnose_options;

/* Models with one input [N,C,H,W] and one score per class. Labels are matched by class names where the model knows all of them, else by
 * number. Free with cvs_model_diagnosis_free. */
cvs_status cvs_diagnose_model(const cvs_model *model, const cvs_run_options *run_options,
                              const cvs_data *data, const cvs_diagnose_options *options,
                              cvs_model_diagnosis **out, cvs_error *err);
void cvs_model_diagnosis_free(cvs_model_diagnosis *d); /* NULL allowed */

/* Writes the network with everything taken removed (ONNX and whatever else cvs_model_write writes), opens the file again and runs both on
 * the pictures: *difference is the largest difference of a logit. Give the data and options of the diagnosis. */
cvs_status cvs_model_diagnosis_write(const cvs_model_diagnosis *d, const cvs_model *model,
                                     const cvs_run_options *run_options, const cvs_data *data,
                                     const cvs_diagnose_options *options, const char *path,
                                     double *difference, cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif
