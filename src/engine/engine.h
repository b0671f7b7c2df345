/* SPDX-License-Identifier: MIT
 * engine.h (internal) - plan, run, backward over a graph. Made for training and explanation as well as for running: every value of
 * a run can be read after it, and the backward pass goes only as far as asked.
 */
#ifndef CVI_ENGINE_H
#define CVI_ENGINE_H

#include "ops/op.h"
#include "convscope/run.h"

typedef struct cvi_plan cvi_plan; /* shapes, order, layouts, memory for one (graph, input shapes) */
typedef struct cvi_exec cvi_exec; /* a plan with its memory: values after forward, gradients after backward */

/* Which values lie in memory after a forward pass. The others can be read all the same: cvi_exec_value computes again what they
 * need, from the inputs and the values that are there. */
typedef enum cvi_keep {
    CVI_KEEP_ALL, /* every value; nodes are fused only where each still writes its own */
    CVI_KEEP_GRADIENTS, /* every value but those inside a fused group (plan.h): all that a backward pass over groups reads */
    CVI_KEEP_ANSWER /* outputs and `keep_values`; the others share memory */
} cvi_keep;

typedef struct cvi_exec_options {
    cvi_pool *pool; /* borrowed, may be NULL */
    bool exact, plain, training;
    bool keep_aux; /* keep switches for backward */
    cvi_keep keep;
    const int *keep_values; /* [n_keep] values that stay whatever `keep` says; read by cvi_exec_new only */
    int n_keep;
    int64_t
        part_bytes; /* CVI_KEEP_ANSWER: a batch goes through in parts whose input and output of a step take about this much; 0 = as
                           measured */
    int64_t max_bytes; /* for the values of a run; 0 = the default limit */
    bool
        described; /* planned to be told of: max_bytes holds for each value; all together are checked when it runs all the same */
    uint64_t seed;
    cvs_progress progress; /* told before every node; may be NULL */
    void *progress_context;
} cvi_exec_options;

/* Plans for inputs of these shapes (data may be NULL; where it is given for an input, its numbers may decide shapes). */
cvs_status cvi_exec_new(const cvi_graph *g, const cvs_tensor *inputs, const cvi_exec_options *options,
                        cvi_exec **out, cvs_error *err);
void cvi_exec_free(cvi_exec *x);
/* Runs all nodes (or only those that `last`, a value, needs; -1 = all). Inputs CVS_PLAIN, shapes as planned. */
cvs_status cvi_exec_forward(cvi_exec *x, const cvs_tensor *inputs, int last, cvs_error *err);
/* After a forward pass: `value` (not a constant) is given the numbers of t (its type and shape, CVS_PLAIN, borrowed while values are
 * read), and only the nodes that depend on it run again. The next forward pass forgets them. */
cvs_status cvi_exec_forward_from(cvi_exec *x, int value, const cvs_tensor *t, cvs_error *err);
/* A value after planning (shape; data NULL) or after forward (data, CVS_PLAIN, borrowed). After forward the inputs given to it must
 * still be there where `keep` is not CVI_KEEP_ALL. data NULL after forward: the pass did not reach this value. */
cvs_status cvi_exec_value(cvi_exec *x, int value, cvs_tensor *out, cvs_error *err);
/* Replaces a constant's numbers for this exec only (training, what-if); the tensor is borrowed while it is set, NULL = the model's again. */
cvs_status cvi_exec_override(cvi_exec *x, int value, const cvs_tensor *t, cvs_error *err);
/* Backward from seeds (gradient of the target with respect to seed_values[k]) to wanted[k]; after forward. Gradients are read with
 * cvi_exec_gradient until the next call. Only nodes on a path between seeds and wanted values run. */
cvs_status cvi_exec_backward(cvi_exec *x, cvi_rule rule, const int *seed_values, const cvs_tensor *seeds,
                             int n_seeds, const int *wanted, int n_wanted, cvs_error *err);
/* For the rules from CVI_LRP_EPSILON on: their settings, and for CVI_DEEPLIFT another exec of the same graph and shapes that has run
 * on the baseline (else NULL). Both are borrowed until they are set again (NULL, NULL). */
void cvi_exec_relevance(cvi_exec *x, const cvi_relevance *how, cvi_exec *reference);
cvs_status cvi_exec_gradient(cvi_exec *x, int value, cvs_tensor *out, cvs_error *err);
/* The same, with the gradient of wanted[i] written into the caller's memory into[i] (plain; its type that of the value, or float32) or,
 * add, added to what is there: sums over many passes without a pass of their own. */
cvs_status cvi_exec_backward_into(cvi_exec *x, cvi_rule rule, const int *seed_values, const cvs_tensor *seeds,
                                  int n_seeds, const int *wanted, int n_wanted, void *const *into, bool add,
                                  cvs_error *err);
int64_t cvi_exec_bytes(const cvi_exec *x);
/* Training: another seed for the operators that draw (dropout); and, after a forward pass, the batch's statistics into `now`,
 * the numbers of input k of a node whose operator keeps running statistics. */
/* settled: the overridden constants have the numbers they had in the last forward pass, so that nothing is packed anew. */
void cvi_exec_settle(cvi_exec *x, bool settled);
void cvi_exec_reseed(cvi_exec *x, uint64_t seed);
cvs_status cvi_exec_renew(cvi_exec *x, int node, int k, cvs_tensor *now, cvs_error *err);
/* Fills an opctx for a node with the shapes (and data, after forward) of this exec: for cost, field, figures. */
cvs_status cvi_exec_opctx(cvi_exec *x, int node, cvi_opctx *ctx, cvs_error *err);
/* The value that holds the logits of output `o`, and how it was found (skips squashes and reshapes that only move). */
int cvi_graph_logit(const cvi_graph *g, int o, cvs_logit_kind *kind);

#endif
