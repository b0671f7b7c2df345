/* SPDX-License-Identifier: MIT
 * method.h (internal) - one explanation method per file, one line in methods.def. explain.c asks the question (which sample, which
 * scalar, which layer); a method answers with a raw map.
 */
#ifndef CVI_METHOD_H
#define CVI_METHOD_H

#include "convscope/explain.h"
#include "engine/engine.h"

/* Libraries whose arithmetic a method can take over (compat.c). */
typedef enum cvi_compat {
    CVI_OWN = 0,
    CVI_CAPTUM = 1,
    CVI_PYTORCH_GRAD_CAM = 2,
    CVI_TF_KERAS_VIS = 4,
    CVI_DLWP = 8 /* Deep Learning with Python, first edition, section 5.4 */
} cvi_compat;

/* What the caption says of signs. */
typedef enum cvi_sign {
    CVI_SIGN_USUAL,  /* layer maps: rectified unless asked for signs; others: signed */
    CVI_SIGN_ALWAYS, /* never rectified, layer maps too */
    CVI_SIGN_NEVER   /* cannot be negative */
} cvi_sign;

/* Where a target inside a layer lies: rows [y, y+rows), columns [x, x+columns), channels [c, c+channels). */
typedef struct cvi_target_box {
    bool of_layer; /* else the target is one of classes, or a mix of them */
    int64_t c, channels, y, x, rows, columns;
} cvi_target_box;

/* What a method works with. The exec has run forward; only `sample` of its batch is explained. */
typedef struct cvi_question {
    const cvs_model *model;
    cvi_exec *exec;
    int64_t sample;       /* in the exec's batch */
    int input_value;      /* the picture: the graph's first input */
    int target_value;     /* the value whose element is explained: logits, or the output for a probability */
    cvs_tensor seed;      /* d target / d target_value, zero but for this sample; owned */
    int64_t target_index; /* class; -1: a mix, a neuron or a region */
    cvi_target_box box;
    int layer_value; /* -1 unless the method needs a layer */
    const cvs_explain_options *options;
    cvs_run *run; /* whose input is explained: its inputs and options, for methods that run the model again */
    cvi_compat compat;
    cvi_sign sign;      /* the method's, which it may change before cvi_cam_finish */
    char settings[300]; /* of the method, for the caption, in options.lang; a method writes it */
    cvs_error *err;
} cvi_question;

/* Where --method list puts a method. */
typedef enum cvi_family {
    CVI_FAMILY_GRADIENT,
    CVI_FAMILY_BACKWARD,
    CVI_FAMILY_CAM,
    CVI_FAMILY_PERTURBATION,
    CVI_FAMILY_INTERNAL
} cvi_family;

/* What a method reads beside the target, as the command line has it: pieces of cvi_method.flags, joined by ", ". */
#define CVI_FLAG_LAYER    "--layer L"
#define CVI_FLAG_SIGNED   "--signed"
#define CVI_FLAG_VOTES    "--votes FILE.csv"
#define CVI_FLAG_RULE     "--rule gauss|midpoint|left|right|trapezoid"
#define CVI_FLAG_STEPS    "--steps N"
#define CVI_FLAG_BASELINE "--baseline black|mean|blur|white|noise|FILE.npy"
#define CVI_FLAG_SAMPLES  "--samples N"
#define CVI_FLAG_NOISE    "--noise S"
#define CVI_FLAG_SEED     "--seed N"
#define CVI_FLAG_FILL     "--fill V"
#define CVI_FLAG_EPSILON  "--epsilon E"
#define CVI_FLAG_GAMMA    "--gamma G"

typedef struct cvi_method {
    const char *name;
    const char *title_en, *title_zh;
    const char *sentence_en, *sentence_zh; /* what it shows */
    const char *caveat_en, *caveat_zh;     /* what it does not show, one line */
    const char *source;                    /* paper of the formula */
    cvi_family family;
    const char *flags; /* what it reads: CVI_FLAG_... */
    cvs_map_kind kind;
    bool needs_layer;
    cvi_sign sign;
    bool slope;      /* pixels are slopes, whose size counts, not parts of the target, whose sign does */
    unsigned compat; /* the libraries (cvi_compat) that have this method in their own way, or in this one */
    /* Fills out->map (owned) and, where it has them, votes. */
    cvs_status (*run)(cvi_question *q, cvs_explanation *out);
} cvi_method;

/* The parts of the map add up to `sum` and should to `way`: for the caption. */
static inline void cvi_complete(cvs_explanation *out, double sum, double way) {
    out->has_completeness = true;
    out->completeness_error = sum - way;
    out->completeness_of = way;
}

extern const cvi_method *const cvi_methods[];
extern const int cvi_n_methods;
/* The library of that name (NULL: none), which must have the method; and how captions call it. */
cvs_status cvi_compat_find(const char *name, const cvi_method *m, cvi_compat *out, cvs_error *err);
const char *cvi_compat_title(cvi_compat library);
/* The names in a set of libraries: "captum, dlwp". */
const char *cvi_compat_list(unsigned libraries);

/* d target / d value under a rule for the question's sample: a view [1, ...], borrowed until the next backward. */
cvs_status cvi_question_gradient(cvi_question *q, cvi_rule rule, int value, cvs_tensor *out);
/* The value itself for the question's sample: a view [1, ...], borrowed. */
cvs_status cvi_question_value(cvi_question *q, int value, cvs_tensor *out);
/* Gradient and value of the layer; a sentence unless they are feature maps [1,K,h,w]. */
cvs_status cvi_question_maps(cvi_question *q, cvs_tensor *activation, cvs_tensor *gradient);
/* The target's value at a sample of an exec of this model that has run forward; with a seed, also d target / d target_value of that
 * sample, written into *seed (made where it has no data; other samples' parts are left). */
cvs_status cvi_question_score(cvi_question *q, cvi_exec *exec, int64_t sample, double *score,
                              cvs_tensor *seed);
/* A picture as [N,C,H,W]: one of [N,H,W] gets its one channel, what is of another rank stays. */
static inline void cvi_as_picture(cvs_tensor *t) {
    if (t->rank == 3) {
        t->rank = 4;
        t->dim[3] = t->dim[2];
        t->dim[2] = t->dim[1];
        t->dim[1] = 1;
    }
}
/* And back, for a model that takes no channel axis. */
static inline void cvi_as_input(const cvs_model *model, cvs_tensor *t) {
    const cvi_graph *g = model->graph;
    if (t->rank == 4 && t->dim[1] == 1 && g->n_inputs > 0 && g->values[g->inputs[0]].rank == 3) {
        t->rank = 3;
        t->dim[1] = t->dim[2];
        t->dim[2] = t->dim[3];
    }
}
/* The sentence for a model whose input is no [N,C,H,W] or [N,H,W], from methods that need one. */
cvs_status cvi_no_picture(cvs_error *err);
/* The sentence for a network whose picture is made of whole numbers. */
cvs_status cvi_whole_numbers(cvs_dtype dtype, cvs_error *err);
/* remark.c: fills out->note. */
void cvi_remark(cvi_question *q, cvs_explanation *out);
/* scalar.c: which number is explained; fills target_value, target_index, box, seed and out's target_*. */
cvs_status cvi_question_ask_target(cvi_question *q, cvs_explanation *out);
/* "class tabby (281)", "channel 3 of conv4 at row 5, column 6", ... in options.lang. */
void cvi_question_target_words(const cvi_question *q, const cvs_explanation *out, char *buf, size_t size);
/* How many classes the model tells apart, and which value of the exec holds a sample's scores; an error where its output is none. */
cvs_status cvi_question_classes(cvi_question *q, cvi_exec *exec, int64_t *classes, int *value);
/* The class's probability at a sample that has run, by a softmax over what is explained (logits, or probabilities once more). */
cvs_status cvi_question_softmax(cvi_question *q, cvi_exec *exec, int64_t sample, double *out);
/* From n copies of that value's numbers (one sample), as the incremental re-run writes them: out [classes, n], logits or
 * probabilities as asked. */
cvs_status cvi_question_grid(cvi_question *q, cvi_exec *exec, const float *numbers, int64_t n, float *out);
/* The same from copies of target_value's numbers: the target itself, out [n]. */
cvs_status cvi_question_targets(cvi_question *q, cvi_exec *exec, const float *numbers, int64_t n,
                                double *out);
/* The layer's feature maps [1,K,h,w] alone, without a backward pass. */
cvs_status cvi_question_layer(cvi_question *q, cvs_tensor *activation);
/* One feature map a [area] with its gradient g: writes its part of the map [area], returns its weight (0 where it has none). */
typedef double (*cvi_cam_weigh)(const float *a, const float *g, int64_t area, double *part);
double cvi_cam_mean_gradient(const float *a, const float *g, int64_t area, double *part); /* Grad-CAM's */
/* Activations and gradients of the layer through weigh, map by map, then cvi_cam_finish. */
cvs_status cvi_cam_run(cvi_question *q, cvi_cam_weigh weigh, cvs_explanation *out);
/* The same end for maps [1,K,h,w] with a weight each. */
cvs_status cvi_cam_weighted(cvi_question *q, const cvs_tensor *maps, const double *weight,
                            cvs_explanation *out);
/* A map [h,w] at a point of the unit square (v down, u right): bilinear, half-pixel centres, edges repeated. */
double cvi_map_bilinear(const float *map, int64_t h, int64_t w, double v, double u);
/* Votes from one value per channel, largest first; weight may be NULL. */
cvs_status cvi_cam_votes(cvi_question *q, const double *value, const double *weight, int64_t channels,
                         cvs_explanation *out);
/* Shared end of the CAM family: map = sum over channels of parts [K,h*w] (double), votes per channel, ReLU unless signed.
 * weight may be NULL. */
cvs_status cvi_cam_finish(cvi_question *q, const double *parts, const double *weight, int64_t channels,
                          int64_t h, int64_t w, cvs_explanation *out);

#endif
