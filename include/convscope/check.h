/* SPDX-License-Identifier: MIT
 * check.h - can this explanation be believed? One map measured in nine ways, and methods compared over many pictures.
 */
#ifndef CONVSCOPE_CHECK_H
#define CONVSCOPE_CHECK_H

#include "explain.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is measured; probabilities are of the class explained, pixels are ranked by the map's value at the network's resolution. */
typedef enum cvs_metric {
    CVS_DELETION, /* area under p while the highest pixels become the mean colour (RISE, Petsiuk et al. 2018) */
    CVS_INSERTION, /* area under p while they return on a blurred picture (kernel 11, sigma 5) */
    CVS_ROAD, /* mean over 10..90 % of (p without the lowest - p without the highest) / 2 (Rong et al. 2022) */
    CVS_SENSITIVITY, /* largest |map(x + d) - map(x)| / |map(x)| for small d (Yeh et al. 2019) */
    CVS_SPARSENESS,  /* Gini index of the sizes: 0 spread evenly, 1 all in one place */
    CVS_COMPLETENESS, /* |sum - what it should be| / |what it should be|; only where the method promises a sum */
    CVS_RANDOM_WEIGHTS, /* rank correlation with the map of the network with every weight shuffled (Adebayo et al. 2018) */
    CVS_POINTING, /* 1: the highest pixel lies on the object; needs a mask, as the two below */
    CVS_MASS,     /* share of the positive parts that lies on the object */
    CVS_RANK,     /* share of the highest pixels that lies on it, as many as the object has */
    CVS_N_METRICS
} cvs_metric;
typedef struct cvs_metric_info {
    const char *name, *title, *sentence; /* borrowed, static, in the language asked for */
    int better;                          /* 1: higher, -1: lower, 0: neither */
} cvs_metric_info;
cvs_status cvs_metric_describe(cvs_metric metric, cvs_lang lang, cvs_metric_info *out, cvs_error *err);

typedef struct cvs_check_options {
    const cvs_tensor *mask; /* uint8 [H,W] of the network's input, not 0 on the object; or NULL */
    unsigned only;          /* bits 1 << metric; 0 = all */
    int points;             /* steps of the curves [64, at most 100] */
    int draws;              /* of sensitivity [10] */
    double radius;          /* of its d, a share of the picture's range [0.02] */
    int stages;             /* groups of layers whose weights are shuffled [6, at most 12]; 1: all at once */
    uint64_t seed;
    cvs_lang lang; /* of the verdicts */
    cvs_progress progress;
    void *progress_context;
} cvs_check_options;

enum { CVS_CHECK_POINTS = 101, CVS_CHECK_STAGES = 12 };
typedef struct cvs_removal {
    int n;
    double x[CVS_CHECK_POINTS], y[CVS_CHECK_POINTS]; /* share of the pixels changed; probability */
} cvs_removal;
/* The map against that of a network with shuffled weights: Spearman's correlation of sizes, of signed values, and SSIM; NaN where a
 * map is constant. */
typedef struct cvs_likeness {
    double size, value, ssim;
} cvs_likeness;
typedef struct cvs_shuffled {
    char layer[96]; /* the first layer of the group, counted from the input */
    int layers;
    cvs_likeness down, up, alone; /* this group and all after it; all up to it; only it */
} cvs_shuffled;

typedef struct cvs_checked {
    struct {
        bool known;
        double value;
        char verdict[320]; /* one sentence; where it is not known, why */
    } metric[CVS_N_METRICS];
    cvs_removal deletion, insertion, without_highest, without_lowest;
    int n_shuffled; /* from the input to the answer */
    cvs_shuffled shuffled[CVS_CHECK_STAGES];
    double random_deletion, random_insertion; /* the same areas for pixels in random order */
    double sum, should;                       /* completeness */
    double object;                            /* share of the picture that is object; with a mask */
    double probability;                       /* of the class, for the picture */
    int64_t forwards;                         /* pictures that went through the network for the curves */
} cvs_checked;

/* Measures an explanation of run's last input (asked of it with `how`). The run is as it was afterwards. Models with one input
 * [N,C,H,W] only. */
cvs_status cvs_check(cvs_run *run, const cvs_explain_options *how, const cvs_explanation *e,
                     const cvs_check_options *options, cvs_checked *out, cvs_error *err);

/* ---- pictures of a data set ---------------------------------------------------------------------------- */
/* Runs on picture i as cvs_run_image does. shown, label, mask may be NULL; mask gets uint8 [H,W] of what the network sees, 255 on the
 * object, owned, where the data knows it (else no data). */
cvs_status cvs_run_data(cvs_run *run, const cvs_data *data, int64_t i, cvs_tensor *shown, int *label,
                        cvs_tensor *mask, cvs_error *err);
/* A mask (uint8 [H,W] or [H,W,3], more than 127 on the object) sent the way of the model's pictures to [height,width], owned. */
cvs_status cvs_mask_fit(const cvs_model *model, const cvs_tensor *mask, int64_t height, int64_t width,
                        cvs_tensor *out, cvs_error *err);

/* ---- methods compared -------------------------------------------------------------------------------- */
typedef struct cvs_score_options {
    const char *const *methods; /* [n_methods]; NULL: a choice of quick ones */
    int n_methods;
    int64_t pictures; /* [20] the first so many of the data */
    const cvs_explain_options
        *explain;            /* settings for all methods (method and target are ignored), or NULL */
    cvs_check_options check; /* `mask` is ignored: it comes from the data */
    cvs_progress progress;
    void *progress_context;
} cvs_score_options;

typedef struct cvs_score_cell {
    int64_t n;          /* pictures that have a number */
    double mean, error; /* standard error of the mean: standard deviation / sqrt(n); 0 for n = 1 */
    double least, largest;
} cvs_score_cell;
typedef struct cvs_score_row {
    char method[32];
    cvs_score_cell cell[CVS_N_METRICS];
    double seconds;   /* a map, on average, with the machine as it was */
    char failed[200]; /* why the method gave nothing for this model; "" */
} cvs_score_row;
typedef struct cvs_scores {
    int n;
    cvs_score_row *rows; /* owned */
    int64_t pictures;
    bool has_masks;
    double chance;                                    /* share of the pictures that is object */
    cvs_score_cell random_deletion, random_insertion; /* what an order without meaning gets */
} cvs_scores;
/* Every method on the same pictures, each explained for the class the network answers. Free with cvs_scores_free. */
cvs_status cvs_score_methods(const cvs_model *model, const cvs_run_options *run_options, const cvs_data *data,
                             const cvs_score_options *options, cvs_scores *out, cvs_error *err);
void cvs_scores_free(cvs_scores *scores);

#ifdef __cplusplus
}
#endif
#endif
