/* SPDX-License-Identifier: MIT
 * compare.h - layers beside each other: how strongly an answer hangs on each of them, and how alike layers of two models are.
 */
#ifndef CONVSCOPE_COMPARE_H
#define CONVSCOPE_COMPARE_H

#include "explain.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- how strongly the answer hangs on every layer ------------------------------------------------------------------ */
typedef struct cvs_gradient_flow {
    int n_layers;
    double *
        size; /* [n_layers] root mean square of d target / d layer; NaN: the target does not depend on it, or not through
                     operators that have a derivative. Owned */
    char target_name[128];
    int target_index; /* -1: no single class */
    double target_value;
} cvs_gradient_flow;
/* One backward pass over the last input of run, to all layers at once. Free with cvs_gradient_flow_free. */
cvs_status cvs_measure_gradient_flow(cvs_run *run, const cvs_target *target, int64_t sample,
                                     cvs_gradient_flow *out, cvs_error *err);
void cvs_gradient_flow_free(cvs_gradient_flow *f);

/* ---- how alike the layers of two models are -------------------------------------------------------------------------
 * Linear CKA (Kornblith, Norouzi, Lee and Hinton 2019, arXiv:1905.00414) with the unbiased estimator of HSIC (Song et al. 2012; used
 * for CKA by Nguyen, Raghu and Kornblith 2021, arXiv:2010.15327): 1 where two layers hold the same up to rotation and scale, about 0
 * where they have nothing in common; small negative values are chance. It compares layers of any two widths and depths. */
enum { CVS_SIMILAR_LAYERS = 200, CVS_SIMILAR_PICTURES = 64 };
typedef struct cvs_similarity_options {
    int grid; /* examples are cells of a grid x grid over every picture, each the mean of what a layer holds there; 0: enough for
                 about 128 of them. A layer without places says the same in every cell */
    cvs_progress progress;
    void *progress_context;
} cvs_similarity_options;
typedef struct cvs_similarity {
    int n
        [2]; /* layers of the two models that are compared: all that hold float32, thinned evenly above CVS_SIMILAR_LAYERS */
    int *layer[2]; /* their numbers, owned */
    double *cka;   /* [n[0] * n[1]], NaN where a layer is the same everywhere or not finite; owned */
    int *best
        [2]; /* for every layer of one the most alike of the other, as an index into layer[]; -1 = none; owned */
    int grid, examples;
} cvs_similarity;
/* Runs both models (which may be one) on the same pictures, uint8 [H,W,3]. Free with cvs_similarity_free. */
cvs_status cvs_compare_layers(const cvs_model *a, const cvs_model *b, const cvs_run_options *run_options,
                              const cvs_tensor *pictures, int n_pictures,
                              const cvs_similarity_options *options, cvs_similarity *out, cvs_error *err);
void cvs_similarity_free(cvs_similarity *s);

#ifdef __cplusplus
}
#endif
#endif
