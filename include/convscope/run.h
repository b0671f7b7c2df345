/* SPDX-License-Identifier: MIT
 * run.h - run a model on an input and look at every layer; count what it costs.
 *
 *     cvs_run *run;
 *     cvs_run_new(model, NULL, &run, &err);
 *     cvs_run_image(run, image, NULL, &err);         or cvs_run_tensors
 *     cvs_run_layer(run, i, &tensor, &err);          borrowed until the next forward
 */
#ifndef CONVSCOPE_RUN_H
#define CONVSCOPE_RUN_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cvs_run cvs_run; /* one thread at a time */

typedef struct cvs_run_options {
    int threads;        /* 0 = one per CPU; the bits do not depend on it */
    const char *device; /* NULL or "cpu" */
    bool exact;         /* no Winograd */
    bool plain;         /* only the plain C twins (the reference) */
    /* Faster and smaller: only the outputs (and logits) stay in memory after a run. Another layer can still be read, it is then
     * computed again; not where a model with a fixed batch ran several times. */
    bool answer_only;
    /* For runs that will be explained (cvs_explain): values inside a fused group (a convolution's sum before its normalisation and
     * rectifier) are not written; all that gradients read is. The others can still be read, as above. */
    bool for_gradients;
    int64_t batch, height, width; /* for free dimensions of the first input; 0 = 1 and a sensible side */
    cvs_limits limits;
    cvs_progress progress;
    void *progress_context;
} cvs_run_options;

cvs_status cvs_run_new(const cvs_model *model, const cvs_run_options *options, cvs_run **out, cvs_error *err);
void cvs_run_free(cvs_run *run);

/* Runs on tensors, one per model input, in the graph's order [N,C,H,W]; makes a new plan when shapes differ from the last. */
cvs_status cvs_run_tensors(cvs_run *run, const cvs_tensor *inputs, int n_inputs, cvs_error *err);
/* Runs on a .npy file (or a .npz: the array of the input's name, or the only one), or a list of n of them (one per input):
 * the model file's own layout unless `layout` is "nchw" or "nhwc";
 * batch dimension optional; integer pixels are converted to the input's type as numbers. A fixed-batch model runs sample by
 * sample and the results are joined along the batch dimension. */
cvs_status cvs_run_npy(cvs_run *run, const char *const *paths, int n, const char *layout, cvs_error *err);
/* Runs on one picture (uint8 [H,W,3]) after the model's preprocessing; shown (may be NULL) gets what the network sees, uint8, owned. Where an operator
 * is unknown this fails with CVS_E_UNSUPPORTED: shown is filled all the same, and what was computed before it can be read. */
cvs_status cvs_run_image(cvs_run *run, const cvs_tensor *image, cvs_tensor *shown, cvs_error *err);
/* Any file: a .npy or .npz by content, else a picture. shown is left zeroed for a .npy that has no 1 or 3 channels. */
cvs_status cvs_run_file(cvs_run *run, const char *path, const char *layout, cvs_tensor *shown,
                        cvs_error *err);

/* Values after a run, CVS_PLAIN, graph order; borrowed until the next run. Layers count 0..n_layers-1 in topological order. */
cvs_status cvs_run_layer(cvs_run *run, int layer, cvs_tensor *out, cvs_error *err);
cvs_status cvs_run_input(cvs_run *run, int i, cvs_tensor *out, cvs_error *err);
cvs_status cvs_run_output(cvs_run *run, int i, cvs_tensor *out, cvs_error *err);
/* The same value as the model's own file would hold it (channels last where the file is), owned. layout as in cvs_run_npy. */
cvs_status cvs_run_layer_file(cvs_run *run, int layer, const char *layout, cvs_tensor *out, cvs_error *err);

/* ---- classification ------------------------------------------------------------------------------- */
typedef struct cvs_score {
    int index;
    const char *name; /* borrowed; "" when no names are known */
    double probability, logit;
} cvs_score;
typedef enum cvs_logit_kind {
    CVS_LOGIT_BEFORE_SOFTMAX, /* the graph ends in softmax: logit = its input */
    CVS_LOGIT_BEFORE_SIGMOID, /* the graph ends in sigmoid; one unit counts as two classes */
    CVS_LOGIT_IS_OUTPUT       /* no squash at the end: softmax was applied for `probability` */
} cvs_logit_kind;
/* The `top` best classes of sample n of the first output, best first, filled into scores; *count <= top. */
cvs_status cvs_run_top(cvs_run *run, int64_t sample, int top, cvs_score *scores, int *count,
                       cvs_logit_kind *kind, cvs_error *err);

/* ---- what if ------------------------------------------------------------------------------------------
 * One sample of the run's last input; numbers of its inputs or layers are changed (a patch laid over the picture, something painted,
 * a channel switched off) and only what can change is computed again: equal to a full run up to the rounding of float32. */
typedef struct cvs_edit {
    bool input;                /* `index` counts the model's inputs, else its layers */
    int index;                 /* its type must be float32 or float64 */
    int64_t y, x, h, w;        /* rows [y, y+h), columns [x, x+w) of [1,C,H,W], clipped; h = w = 0: all */
    int64_t channel, channels; /* [channel, channel+channels); channels 0: all from `channel` on */
    const float *fill;         /* [channels]: one number each; or NULL and */
    const float *data;         /* [channels, h, w]; both NULL: zeros. Borrowed for the call */
} cvs_edit;
typedef struct cvs_whatif cvs_whatif; /* one thread at a time; not beside a call on its run */
/* Takes a copy of the sample; the run must live longer (its model and threads are borrowed). */
cvs_status cvs_whatif_new(cvs_run *run, int64_t sample, cvs_whatif **out, cvs_error *err);
void cvs_whatif_free(cvs_whatif *w); /* NULL allowed */
/* Makes these edits, in this order, on the unchanged sample: edits of an earlier call are gone. n = 0: unchanged again. */
cvs_status cvs_whatif_apply(cvs_whatif *w, const cvs_edit *edits, int n, cvs_error *err);
/* Values with the edits, CVS_PLAIN, graph order; borrowed until the next apply. */
cvs_status cvs_whatif_input(cvs_whatif *w, int i, cvs_tensor *out, cvs_error *err);
cvs_status cvs_whatif_layer(cvs_whatif *w, int layer, cvs_tensor *out, cvs_error *err);
cvs_status cvs_whatif_output(cvs_whatif *w, int i, cvs_tensor *out, cvs_error *err);

/* ---- what the model is made of, with numbers ---------------------------------------------------------- */
typedef struct cvs_layer {
    int index;
    const char *name, *node, *op; /* borrowed from the model */
    const char *title;            /* "Convolution", in the run's language as asked */
    cvs_dtype dtype;
    int rank;
    int64_t dim[CVS_MAX_RANK];
    int64_t params, macs, flops, bytes; /* bytes of the activation */
    int64_t
        live_bytes; /* of all activations in memory while it is computed, each freed after its last reader */
    int64_t peak_bytes; /* the most of these so far */
    bool
        has_field; /* receptive field known: one position of the layer sees field[0] x field[1] input pixels */
    int64_t field[2], jump[2]; /* rows, columns; jump = input pixels between neighbours (rounded) */
    double start[2];           /* centre of position (0,0) in input pixels */
    bool is_conv, is_pool, has_filters, is_dense, is_output, runnable, known;
    char settings[120];                              /* "3x3, stride 2, pad 1" */
    const char *sentence, *formula, *reading, *note; /* operator's text; note may be NULL */
    int glyph;                                       /* semantic class, draw.h */
} cvs_layer;
typedef struct cvs_summary {
    int n_layers;
    cvs_layer *layers; /* owned by the summary */
    int64_t params, params_trainable, macs, flops, activation_bytes, weight_bytes, peak_bytes,
        live_peak_bytes;
    int n_unknown;  /* nodes whose operator is unknown */
    char input[64]; /* shape it was computed for */
} cvs_summary;
/* Shapes and costs without running; works without weights. Free with cvs_summary_free. */
cvs_status cvs_model_summarize(const cvs_model *model, const cvs_run_options *options, cvs_lang lang,
                               cvs_summary *out, cvs_error *err);
void cvs_summary_free(cvs_summary *s);

/* ---- how a run goes ------------------------------------------------------------------------------------- */
typedef struct cvs_plan_step {
    const char *name; /* the layer or node it ends with; borrowed from the model */
    char ops[120];    /* the operators that it computes in one call: "Conv + BatchNormalization + Relu" */
    const char *how;  /* the algorithm, where there are several; else "" */
    bool
        channels_last; /* written with the channels of a pixel side by side; else in the order of the shape */
    int64_t samples;   /* of the batch at a time */
    int64_t bytes, packed_bytes; /* of what it writes at a time; of weights laid out anew */
} cvs_plan_step;
typedef struct cvs_plan {
    int n_steps;
    cvs_plan_step *steps;  /* owned by the plan */
    int64_t value_bytes;   /* the block of memory in which the values of a run lie */
    int64_t packed_bytes;  /* weights laid out anew, on first use */
    int64_t scratch_bytes; /* the most that one step needs while it runs */
} cvs_plan;
/* Decides a run (of `options`: answer_only, exact, threads, sizes) without making it; works without weights. Free with cvs_plan_free. */
cvs_status cvs_model_plan(const cvs_model *model, const cvs_run_options *options, cvs_lang lang,
                          cvs_plan *out, cvs_error *err);
void cvs_plan_free(cvs_plan *plan);

/* ---- parameters and windows of a layer ------------------------------------------------------------------ */
/* Kernel [K,C/groups,R,S] (or dense [K,C]) and bias [K] of the node that made a layer, float32, borrowed views or owned copies (free both). */
cvs_status cvs_model_filters(const cvs_model *model, int layer, cvs_tensor *kernel, cvs_tensor *bias,
                             cvs_error *err);
typedef struct cvs_window {
    char kind[16]; /* "max", "average", "global-max", "global-average" */
    int64_t kernel[2], stride[2], dilation[2], pad_begin[2];
} cvs_window;
/* A pooling layer: its input and output tensors (borrowed from the run) and, for max, switches int64 [N,C,OH,OW] = h*W+w, owned. */
cvs_status cvs_run_pooling(cvs_run *run, int layer, cvs_tensor *input, cvs_tensor *output,
                           cvs_tensor *switches, cvs_window *window, cvs_error *err);

/* ---- one number ----------------------------------------------------------------------------------------- */
/* Where numbers stand: a layer, an input of the model, a constant of it, or a value inside a layer that has no number of its own. */
typedef enum cvs_place { CVS_PLACE_LAYER, CVS_PLACE_INPUT, CVS_PLACE_CONSTANT, CVS_PLACE_INNER } cvs_place;
typedef struct cvs_source {
    cvs_place place;
    int index; /* of the layer or input; of constants and inner values: a number that cvs_run_unit takes */
    const char *name; /* borrowed from the model */
    int rank;
    int64_t dim[CVS_MAX_RANK];
} cvs_source;
/* What every layer reads: layer i reads source[first[i]] to source[first[i+1]-1]; each is a layer's number, or -1 - k for input k.
 * Constants are left out. Free with cvs_links_free. */
typedef struct cvs_links {
    int n_layers, *first, *source; /* owned */
} cvs_links;
cvs_status cvs_model_links(const cvs_model *model, cvs_links *out, cvs_error *err);
void cvs_links_free(cvs_links *links);

typedef enum cvs_unit_kind {
    CVS_UNIT_SUM,      /* y = bias + sum of value * weight */
    CVS_UNIT_MAX,      /* y = the largest value; the winner has weight 1 */
    CVS_UNIT_COPY,     /* y = the one value */
    CVS_UNIT_FUNCTION, /* y = f(values), see the operator's formula; weight = slope */
    CVS_UNIT_SOFTMAX   /* y = weight of the term `own` / sum of weights; weight = exp(value - largest) */
} cvs_unit_kind;
typedef struct cvs_term {
    int source;           /* into cvs_unit.source */
    int64_t at;           /* element of the source, row-major; -1: padding */
    int64_t tap;          /* element of the kernel, row-major as in the file; -1 where there is none */
    double value, weight; /* weight: as said at the kind */
} cvs_term;
enum { CVS_UNIT_SOURCES = 8 };
typedef struct cvs_unit {
    cvs_unit_kind kind;
    const char *op, *title, *formula; /* the operator; title in the language asked for */
    int rank;
    int64_t dim[CVS_MAX_RANK], at; /* of the value, and the element looked at */
    double result;                 /* as the run has it */
    double total;                  /* the same from the terms, in double: result - total is rounding */
    double bias;
    int64_t own; /* the term of the element itself (softmax), else -1 */
    int n_sources;
    cvs_source source[CVS_UNIT_SOURCES];
    int64_t n_terms, capacity;
    cvs_term *terms; /* owned */
    bool failed;     /* out of memory while it was made */
} cvs_unit;
/* How element `at` (row-major in its shape [N,C,H,W]) of a layer or inner value came about in the last run: every term of it.
 * Exact for all operators that are sums, maxima or copies; others give slopes. Free with cvs_unit_free. */
cvs_status cvs_run_unit(cvs_run *run, cvs_place place, int index, int64_t at, cvs_lang lang, cvs_unit *out,
                        cvs_error *err);
void cvs_unit_free(cvs_unit *u);

/* The same for people: terms of one channel of one source are one row (where they are several channels; else each term is one), largest
 * first, what is left over in one row, and what rounding loses in one, so that the values as printed with `digits` decimals add up to
 * the result as printed. Of maxima: the values, largest first; of softmax: the exponentials. */
typedef enum cvs_unit_row_kind {
    CVS_ROW_BIAS,
    CVS_ROW_TERMS,
    CVS_ROW_OTHERS,
    CVS_ROW_ROUNDING
} cvs_unit_row_kind;
typedef struct cvs_unit_row {
    cvs_unit_row_kind kind;
    int source;      /* of TERMS; into cvs_unit.source */
    int64_t channel; /* of TERMS, of the source; -1: all in the padding */
    int64_t place;   /* of a row of one term: its element, else -1 */
    int64_t count;   /* terms (of OTHERS: rows) in it */
    double value;    /* what it adds */
    double total;    /* of what is printed down to here */
} cvs_unit_row;
enum { CVS_UNIT_ROWS = 64 };
typedef struct cvs_unit_account {
    int n, digits;
    int64_t parts; /* rows there would be if all were shown */
    cvs_unit_row row[CVS_UNIT_ROWS];
} cvs_unit_account;
/* most: rows of terms, up to 60. */
cvs_status cvs_unit_account_of(const cvs_unit *u, int most, int digits, cvs_unit_account *out,
                               cvs_error *err);

#ifdef __cplusplus
}
#endif
#endif
