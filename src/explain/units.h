/* SPDX-License-Identifier: MIT
 * units.h (internal) - the parts of a diagnosis: pictures with labels, filters and what depends on them, statistics of their outputs,
 * filters cut out, layers left out.
 */
#ifndef CVI_UNITS_H
#define CVI_UNITS_H

#include "convscope/diagnose.h"
#include "explain/checks.h"
#include "explain/twin.h"

/* ---- pictures with labels (labelled.c) --------------------------------------------------------------------- */
typedef struct cvi_labelled {
    cvs_tensor shape; /* of one, [1,C,H,W], data NULL */
    int64_t n, pixels;
    int classes;          /* of the model */
    float *x;             /* [n, pixels] */
    int *label;           /* in the model's classes */
    uint8_t *mask, *half; /* [n, H*W] or NULL; half: 0 chooses, 1 measures */
    int64_t *order;       /* [n] the choosing ones first */
    int64_t n_first;
} cvi_labelled;
cvs_status cvi_labelled_load(const cvs_model *model, const cvs_run_options *options, const cvs_data *data,
                             int64_t limit, uint64_t seed, cvi_labelled *out, cvs_error *err);
void cvi_labelled_free(cvi_labelled *l);
/* The shape of n pictures as the model takes them, data NULL. */
cvs_tensor cvi_labelled_input(const cvi_labelled *l, const cvs_model *model, int64_t n);
/* Loss, right answers of the pictures order[first, last), and (answer not NULL) every one's answer [n]; logits [n, classes] or NULL. */
cvs_status cvi_labelled_ask(const cvi_labelled *l, const cvs_model *model, const cvs_run_options *options,
                            int64_t first, int64_t last, double *loss, int64_t *right, int *answer,
                            double *logits, cvs_error *err);
/* Cross-entropy of a row of logits. */
double cvi_cross_entropy(const double *logit, int64_t classes, int label);

/* ---- filters (units.c) -------------------------------------------------------------------------------------- */
enum { CVI_TOUCHES = 192, CVI_READERS = 48, CVI_POINTS = 32, CVI_MEMBERS = 32 };
/* Where the numbers of filter c lie along an axis: offset + c * step + k * hop for k in [0, area). */
typedef struct cvi_span {
    int64_t offset, step, area, hop;
} cvi_span;
/* Removing a filter takes its span along an axis of a constant. */
typedef struct cvi_touch {
    int value, axis;
    cvi_span span;
    int group_node; /* a depthwise convolution's, whose groups become fewer; -1 */
} cvi_touch;
/* A node that mixes the filters: its weights' input axis. */
typedef struct cvi_reader {
    int node, weight, axis, point; /* point: which of the unit's it gets its numbers from */
    cvi_span span;
} cvi_reader;
typedef struct cvi_unit {
    int node, value,
        begin; /* value: what readers get, after normalisation, activation, pooling; begin: what the node reads */
    int64_t channels;
    bool answer; /* its outputs are the classes */
    const char
        *stuck; /* English literal with a Chinese row: why its filters cannot be cut out; NULL: they can */
    /* Filters tied by sums (residual networks): filter c of this node and of all members are one channel of a stream that others read
     * at several places; it goes everywhere or nowhere. Without sums: no members, one point, the value. */
    int n_member, member[CVI_MEMBERS]; /* the other nodes whose filters go along */
    int n_point, point[CVI_POINTS];    /* values */
    int64_t seen[CVI_POINTS];          /* positions measured there */
    int n_touch, n_reader;
    cvi_touch touch[CVI_TOUCHES];
    cvi_reader reader[CVI_READERS];
    /* of its outputs on the pictures: (stats.c) */
    double *least, *most, *mean; /* [n_point, channels] */
    double *cov;                 /* [channels, channels], or NULL: too many, or too few pictures */
    bool too_few;
    double zeros, rank;
} cvi_unit;
typedef struct cvi_units {
    int n;
    cvi_unit *list;
} cvi_units;
/* Every node with kernels or a matrix of its own; exec: planned (shapes). */
cvs_status cvi_units_find(const cvi_graph *g, cvi_exec *exec, cvi_units *out, cvs_error *err);
void cvi_units_free(cvi_units *u);
/* Whether filter c never changed wherever it is read, by no more than `share` of the largest number there. */
bool cvi_unit_still(const cvi_unit *u, int64_t c, double share);

/* ---- statistics (stats.c), switching off (filters_off.c) ----------------------------------------------------- */
/* Fills least, most, mean, cov, zeros, rank from the choosing pictures. */
cvs_status cvi_units_measure(cvi_units *u, const cvs_model *model, const cvs_run_options *options,
                             const cvi_labelled *l, cvi_pool *pool, cvs_error *err);
/* Change of the mean loss when filter c is at its mean, for the units' filters: loss[u] [channels], NaN: not tried. Spends at most `work`
 * multiply-accumulates (macs: of one picture): those with the smallest first-order estimate go first. *limited: not all were tried. */
typedef struct cvi_switching {
    const cvs_model *model;
    const cvs_run_options *options;
    const cvi_labelled *l;
    cvi_pool *pool;
    double work, macs;
    cvs_progress progress;
    void *progress_context;
    cvs_error *err;
} cvi_switching;
cvs_status cvi_units_switch(const cvi_switching *s, const cvi_units *u, double **loss, bool *limited);
/* Where the gradient of the middle position of the units' own outputs lies: mean of |d / d pixel| over some pictures; side of the square as large as the pixels
 * above 4.55 % of the largest (Luo et al. 2016). side[u]; 0 where there is none. */
cvs_status cvi_units_fields(const cvs_model *model, const cvs_run_options *options, const cvi_units *u,
                            const cvi_labelled *l, cvi_pool *pool, double *side, cvs_error *err);

/* ---- numbers (covariance.c) ----------------------------------------------------------------------------------- */
/* Eigenvalues of a symmetric a [n,n] (overwritten), unsorted. */
cvs_status cvi_eigenvalues(double *a, int64_t n, double *value, cvs_error *err);
/* Effective rank exp(H) of a covariance. */
cvs_status cvi_effective_rank(const double *cov, int64_t n, double *out, cvs_error *err);
/* Pivoted Cholesky: keep[i] = true for channels that carry more than `share` of the total variance beyond those kept before. */
cvs_status cvi_independent(const double *cov, int64_t n, double share, bool *keep, cvs_error *err);
/* gone[k] = sum over kept of mix[k][j] kept_j + constant: mix [n_gone, n_kept] by least squares with a little ridge. */
cvs_status cvi_mix(const double *cov, int64_t n, const int *kept, int64_t n_kept, const int *gone,
                   int64_t n_gone, double *mix, cvs_error *err);

/* ---- cutting out (cut.c) ---------------------------------------------------------------------------------------- */
/* What is removed: filters by unit, and layers, each as a value replaced by another of its shape. */
typedef struct cvi_cut {
    const cvi_units *units;
    bool **filter; /* [units.n] -> [channels] or NULL */
    int n_layers;
    int from[64], to[64];
} cvi_cut;
/* A twin without them. Readers get what the kept filters can be mixed to. Units that are stuck keep all filters. Free with
 * cvs_model_free. */
cvs_status cvi_cut_make(const cvs_model *model, const cvi_cut *cut, cvs_model **out, cvs_error *err);
/* Multiply-accumulates and parameters of a model for pictures of this size. */
cvs_status cvi_model_size(const cvs_model *model, const cvs_run_options *options, int64_t *macs,
                          int64_t *params, cvs_error *err);

/* ---- the diagnosis itself (diagnose_model.c, filters_found.c, layers_found.c, beside.c) ---------------------------------- */
typedef struct cvi_score {
    double accuracy, loss;
} cvi_score;
typedef struct cvi_diagnosing {
    const cvs_model *model;
    const cvs_run_options *run_options;
    const cvs_diagnose_options *o;
    cvs_model_diagnosis *d;
    cvi_labelled l;
    cvi_units u;
    cvi_pool *pool;
    cvi_exec *shapes; /* planned, for shapes */
    int *answer;      /* [n] of the network as it is */
    int *other;       /* [n] room */
    double *logits;   /* [n, classes] room */
    cvi_score first;  /* of the network as it is, on the choosing half */
    bool **filter;    /* [units] -> [channels]: what is taken away together */
    cvi_cut joint;
    cvs_error *err;
} cvi_diagnosing;
/* A new finding at the end, zeroed but for its kind and layer; NULL: no memory. */
cvs_finding *cvi_finding_new(cvi_diagnosing *g, cvs_finding_kind kind, const char *layer);
/* Its sentence, through the Chinese table. */
void cvi_finding_say(const cvi_diagnosing *g, cvs_finding *f, const char *fmt, ...) CVI_PRINTF(3, 4);
/* How the network of `model` does on both halves: the measuring half's effect, the choosing half's score. */
cvs_status cvi_effect_of(cvi_diagnosing *g, const cvs_model *model, cvs_effect *out, cvi_score *first);
/* Whether the choosing half may lose so much: accuracy within the tolerance, loss by no more than that number of nats. */
bool cvi_affordable(const cvi_diagnosing *g, const cvi_score *first);
cvs_status cvi_tell_diagnosis(const cvi_diagnosing *g, const char *what, double done);
cvs_status cvi_find_filters(cvi_diagnosing *g);
cvs_status cvi_find_layers(cvi_diagnosing *g);
cvs_status cvi_find_fields(cvi_diagnosing *g);
/* Fills g->joint with everything that may go together, and d->joint. */
cvs_status cvi_take_together(cvi_diagnosing *g);
cvs_status cvi_find_beside(cvi_diagnosing *g);

#endif
