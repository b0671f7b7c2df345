/* SPDX-License-Identifier: MIT
 * evaluate.h - how good a classifier is on labelled pictures: loss, top-k, every class, what is taken for what, the worst pictures.
 *
 *     cvs_evaluation *e;
 *     cvs_evaluate(model, "mnist:DIR", NULL, &e, &err);
 *     printf("%.2f %%\n", 100.0 * e->right / e->count);
 *     cvs_evaluation_free(e);
 */
#ifndef CONVSCOPE_EVALUATE_H
#define CONVSCOPE_EVALUATE_H

#include "data.h"
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_evaluate_options {
    bool training_pictures; /* those of CVS_TRAIN instead of CVS_TEST */
    int64_t limit;          /* at most so many pictures, 0 = all */
    int top;     /* right when the label is among so many best answers [5, at most the classes less one] */
    int worst;   /* pictures with the largest loss to keep [12]; -1 = none */
    int threads; /* the numbers have the same bits for any */
    cvs_limits limits;
    cvs_progress progress;
    void *progress_context;
} cvs_evaluate_options;

typedef struct cvs_class_score {
    const char *name; /* borrowed from the evaluation */
    int64_t count, predicted, right;
    double precision, recall, f1; /* 0 / 0 is NaN */
} cvs_class_score;

typedef struct cvs_worst_picture {
    int64_t index; /* in the split */
    int label, answer;
    double loss, label_probability, answer_probability;
    cvs_tensor picture; /* uint8 [H,W,3] as the network sees it */
} cvs_worst_picture;

/* Freed with cvs_evaluation_free, with everything in it. */
typedef struct cvs_evaluation {
    int64_t count, right, right_top;
    int top, n_classes, n_worst;
    bool by_number; /* the model names its classes, but not as the data does: labels were matched by number */
    double loss;    /* mean cross-entropy (a sigmoid's: binary), of the logits */
    double calibration; /* expected calibration error over 15 bins of confidence (Guo et al. 2017) */
    double confidence;  /* mean probability of the answers */
    double macro_f1;    /* mean over the classes that occur */
    cvs_class_score *classes;
    int64_t *confusion;       /* [n_classes][n_classes]: row = label, column = answer */
    cvs_worst_picture *worst; /* largest loss first */
    uint64_t fingerprint;     /* of the pictures */
} cvs_evaluation;

/* Runs a classifier with one picture input over a data set (a spec as in data.h), a few pictures at a time. Labels are matched by the
 * names of the classes where the model knows all of them, else by number. */
cvs_status cvs_evaluate(const cvs_model *model, const char *data, const cvs_evaluate_options *options,
                        cvs_evaluation **out, cvs_error *err);
/* The same for an ensemble: what counts is the mean of the models' probabilities (n of at least 1; inputs and preprocessing may differ, the
 * classes may not; of several models the loss is that of the mean, -ln of the label's probability). */
cvs_status cvs_evaluate_ensemble(const cvs_model *const *models, int n, const char *data,
                                 const cvs_evaluate_options *options, cvs_evaluation **out, cvs_error *err);
void cvs_evaluation_free(cvs_evaluation *e); /* NULL allowed */

#ifdef __cplusplus
}
#endif
#endif
