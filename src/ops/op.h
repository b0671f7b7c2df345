/* SPDX-License-Identifier: MIT
 * op.h (internal) - the operator descriptor: one const struct per operator at the end of its family file, one line in
 * ops.def. No switch anywhere else may name an operator; what another layer needs to know becomes a field here.
 */
#ifndef CVI_OP_H
#define CVI_OP_H

#include "graph/graph.h"

/* What an input is, so that parameters can be counted, initialised, drawn and trained without naming operators. */
typedef enum cvi_role {
    CVI_DATA,   /* flows */
    CVI_WEIGHT, /* kernel: fan-in = its elements / dim 0 (or as fan_in below says) */
    CVI_BIAS,
    CVI_SCALE,
    CVI_SHIFT,
    CVI_MEAN,
    CVI_VARIANCE,
    CVI_SHAPE /* its numbers decide the output's shape: needed while planning */
} cvi_role;

typedef struct cvi_op_io {
    const char *name;
    cvi_role role;
    bool optional;
    bool variadic; /* the last one may repeat */
} cvi_op_io;

typedef struct cvi_op_attr {
    const char *name;
    cvi_attr_kind kind;
    const char *initial; /* default as text ("1", "NOTSET"), "" = none, NULL = required */
    const char *range;   /* in words: ">= 1", "constant|reflect|edge" */
    const char *en, *zh; /* meaning */
} cvi_op_attr;

/* Attribution rules of the backward pass; a method is a rule, not a traversal. An operator without special code treats
 * every rule as CVI_GRADIENT. More rules come with more methods. */
typedef enum cvi_rule {
    CVI_GRADIENT,
    CVI_DECONVNET, /* ReLU passes max(g,0) whatever its input was (Zeiler and Fergus 2014) */
    CVI_GUIDED,    /* ReLU passes max(g,0) where its input was positive (Springenberg et al. 2015) */
    CVI_N_RULES,   /* that operators see; from here on: rules of relevance.c, on the plain path only */
    CVI_LRP_EPSILON = CVI_N_RULES,
    CVI_LRP_ZPLUS,
    CVI_LRP_GAMMA,
    CVI_LRP_ALPHABETA,
    CVI_LRP_COMPOSITE,
    CVI_EXCITATION,
    CVI_DEEP_TAYLOR,
    CVI_DEEPLIFT
} cvi_rule;

/* What the fast form of a node does besides its own sums, because the nodes behind it were joined to it (a fused group, engine/plan.h):
 * y = limit(y * scale[c] + shift[c] + residual). Each part is there only where the operator's `epilogue` mask allows it. */
typedef struct cvi_epilogue {
    const float *scale,
        *shift; /* [channels of y], or NULL: `prepare` (and `repack`) work them into the weights and the bias */
    const float *residual; /* like y (form and pitch), or NULL */
    bool clamp;            /* y = min(max(y, lo), hi); NaN stays NaN */
    float lo, hi;
    int64_t pitch; /* floats between neighbouring pixels of y where that is not CVI_PITCH(C), else 0 */
} cvi_epilogue;
enum {
    CVI_EPI_AFFINE = 1,
    CVI_EPI_ADD = 2,
    CVI_EPI_CLAMP = 4,
    CVI_EPI_PITCH = 8,
    CVI_EPI_OVER = 16 /* the residual may be y's own memory */
};

/* What every callback gets. in[k] is NULL when absent; in[k]->data is NULL while only the shape is known. */
typedef struct cvi_opctx {
    const cvi_graph *graph;
    const cvi_node *node;
    const cvi_op *op;
    int n_in, n_out;
    const cvs_tensor *const *in;
    cvs_tensor
        *out; /* infer fills dtype, rank, dim; forward fills data. out[k].dtype CVS_NONE = absent, skip it */
    cvi_pool *pool;               /* may be NULL */
    cvi_arena *scratch;           /* emptied after the call */
    void *prepared;               /* what `prepare` made for this node, or NULL */
    const cvi_epilogue *epilogue; /* for prepare, repack and fast; NULL: none */
    void *aux; /* aux_bytes() kept from forward to backward (switches), or NULL when nobody will ask */
    bool training;
    bool exact; /* no algorithm that rounds differently from the plain loop more than summation order does */
    bool plain; /* the caller wants the plain loops in backward too, where forms exist that round otherwise */
    bool quick; /* forward may take the kernels on plain memory (relevance.c), unless `plain` */
    uint64_t seed;
    /* Runs a subgraph attribute (If, Loop): its outputs are owned tensors for the caller. Set by the engine. */
    cvs_status (*run_graph)(const struct cvi_opctx *ctx, const cvi_graph *sub, cvs_tensor *outputs);
    /* The same for a graph with inputs (the body of a loop), only while running (else CVS_E_LATE). *state is NULL before the first call
     * and keeps the body's plan between calls; end_body frees it. */
    cvs_status (*run_body)(const struct cvi_opctx *ctx, const cvi_graph *sub, const cvs_tensor *inputs,
                           cvs_tensor *outputs, void **state);
    void (*end_body)(void **state);
    /* Outputs that infer had to compute while running, for forward: keep_outputs takes owned tensors [n_out], take_outputs gives them
     * back once (false: none are kept). */
    cvs_status (*keep_outputs)(const struct cvi_opctx *ctx, cvs_tensor *outputs);
    bool (*take_outputs)(const struct cvi_opctx *ctx, cvs_tensor *outputs);
    void *engine;
    cvs_error *err;
} cvi_opctx;

/* What a fast backward needs, said once for a plan. */
typedef struct cvi_back_form {
    unsigned in,
        out;       /* bit k: it reads the numbers of in[k] (CVI_DATA; weights are always there), of out[k] */
    bool passes;   /* the gradient of every wanted input of out[0]'s shape is that of out[0], unchanged */
    bool in_place; /* the gradient of in[0] may be written over that of out[0] */
    bool
        gates; /* back_fast takes over what a limit before it does to the gradient that it writes (cvi_back.gate) */
    bool scales; /* back_fast takes over a factor per channel of out[0]'s gradient (cvi_back.scale) */
} cvi_back_form;

/* One call of a fast backward. Gradients lie as fast_layout says: rank-4 float32 CVI_DATA inputs and outputs CVS_NHWC8 where that
 * is it, everything else plain. Inputs are written one after another: the same memory may come twice. */
typedef struct cvi_back_gate { /* y NULL: no limit of this kind */
    const float
        *y;       /* the limit's output, lying as the gradient does: lo < y < hi passes, anything else is 0 */
    float lo, hi; /* NaN: none */
    bool on, positive; /* positive: only what is > 0 passes */
} cvi_back_gate;

typedef struct cvi_back {
    cvi_rule rule;
    const cvs_tensor *const *grad_out; /* NULL: zero */
    cvs_tensor *const *grad_in; /* NULL: not wanted; else every number is written, padding channels 0 */
    const float *const *base;   /* per input: what the gradient is added to, lying as it does (or the same
                                          memory), or NULL: nothing */
    const cvi_back_gate
        *gate; /* per input: `on`: done to the sum, base included (only where back_form said `gates`) */
    const float *scale; /* per channel of out[0], or NULL (only where it said `scales`) */
} cvi_back;

/* By which algorithm the fast form would compute these shapes, and what it needs beside its values. */
typedef struct cvi_how {
    const char *en, *zh;
    int64_t packed_bytes, scratch_bytes;
} cvi_how;

typedef struct cvi_cost {
    int64_t macs;  /* multiply-accumulates, of the whole batch */
    int64_t flops; /* other arithmetic (adds, compares, exp = 1 each) */
} cvi_cost;

/* Receptive-field step per spatial axis (0 = H, 1 = W). */
typedef enum cvi_field_kind {
    CVI_FIELD_SAME,   /* element-wise over positions */
    CVI_FIELD_WINDOW, /* kernel, stride, dilation, pad_begin */
    CVI_FIELD_SCALE, /* resize: scale = output side / input side, kernel = how many inputs one output reads */
    CVI_FIELD_ALL,   /* reads every position (dense, global pooling, spatial softmax) */
    CVI_FIELD_NONE   /* carries no positions (shape arithmetic) */
} cvi_field_kind;
typedef struct cvi_field_step {
    cvi_field_kind kind;
    int64_t kernel[2], stride[2], dilation[2], pad_begin[2];
    double scale[2];
    struct { /* a window's axis before rows and columns (depth, time); kernel 0: it has none */
        int64_t kernel, stride, dilation, pad_begin;
    } deep;
} cvi_field_step;

typedef struct cvi_op_text {
    const char *title_en, *title_zh;       /* "Convolution", "卷积" */
    const char *sentence_en, *sentence_zh; /* what it does, one sentence */
    const char *
        formula; /* plain text with Unicode, e.g. "y[n,k,i,j] = b[k] + Σ w[k,c,r,s]·x[n,c,i·S+r−P,j·S+s−P]" */
    const char *reading_en, *reading_zh; /* how to read its picture, one sentence */
} cvi_op_text;

/* Settings of the rules from CVI_LRP_EPSILON on. */
typedef struct cvi_relevance {
    double epsilon, gamma, alpha, beta; /* stabiliser of denominators; alpha - beta = 1 */
    const double *low, *high; /* [channels]: what the picture's numbers lie between; NULL: between its own */
    int64_t channels;
} cvi_relevance;

typedef enum cvi_glyph { /* semantic class: colour and inspector (reference/drawing.md 4.3) */
                         CVI_GLYPH_INPUT,
                         CVI_GLYPH_CONV,
                         CVI_GLYPH_DEPTHWISE,
                         CVI_GLYPH_NORM,
                         CVI_GLYPH_ACTIVATION,
                         CVI_GLYPH_POOL,
                         CVI_GLYPH_UPSAMPLE,
                         CVI_GLYPH_DENSE,
                         CVI_GLYPH_ADD,
                         CVI_GLYPH_MUL,
                         CVI_GLYPH_CONCAT,
                         CVI_GLYPH_SHAPE,
                         CVI_GLYPH_MATH,
                         CVI_GLYPH_SOFTMAX,
                         CVI_GLYPH_OUTPUT,
                         CVI_GLYPH_UNKNOWN
} cvi_glyph;

typedef enum cvi_op_flags {
    CVI_OP_POINTWISE = 1, /* y depends on x at the same position only (broadcast apart) */
    CVI_OP_RELU = 2,      /* a rectifier: the rules deconvnet and guided act here */
    CVI_OP_SQUASH = 4,    /* softmax or sigmoid: at the end of a graph its input is the logit */
    CVI_OP_CONV = 8,      /* has kernels to show, "last-conv" and "first-conv" find it */
    CVI_OP_POOL = 16,     /* has windows (and switches) to show, "first-pool" finds it */
    CVI_OP_IDENTITY = 32, /* passes its first input on at inference (Dropout, Identity) */
    CVI_OP_RANDOM = 64,
    CVI_OP_RESHAPE =
        128, /* the elements of the first input in the same order under another shape (Reshape, Flatten,
                             Squeeze, Unsqueeze): the engine makes a view of it */
    CVI_OP_OF_SHAPE =
        256, /* reads only its inputs' shapes, never their numbers (Shape, Size): known while planning */
    CVI_OP_ADDS = 512,       /* y = first + second input, for equal shapes */
    CVI_OP_SUBTRACTS = 2048, /* y = first - second input */
    CVI_OP_ROUNDS = 4096, /* the numbers of the first input, coarser (quantised): still the same quantity */
    CVI_OP_JOINS = 8192,  /* the fast form lays its inputs' channels one after another (Concat) */
    CVI_OP_RECURRENT = 16384, /* kernels [directions, outputs, inputs]; y is no weighted sum of x (LSTM) */
    CVI_OP_PIXELS =
        1024 /* `fast` treats every pixel of channels-last pictures alike: any pixels of its inputs, the same of each,
               may be handed over as pictures [1,C,1,count]. (CVI_OP_POINTWISE says so too.) */
} cvi_op_flags;

/* Blocks of equal size cut out of pictures, for operators whose receptive-field step is a window (the incremental re-run). */
typedef struct cvi_part {
    const cvs_tensor *in; /* x [n,C,h,w] CVS_NHWC8: what the windows of `out` read of the first input */
    cvs_tensor *out;      /* y [n,K,h',w'] CVS_NHWC8: to be filled */
    int64_t begin
        [2]; /* rows, columns that the first window reaches out of the block: beyond the picture's border */
    bool end[2]; /* the block ends where the picture ends */
} cvi_part;

/* A fast form row by row (engine/bands.c): a thread computes some rows of one picture, so that a large map between two nodes is never
 * there as a whole. */
typedef struct cvi_band {
    int64_t step, first,
        count; /* output row y reads `count` input rows from y*step + first on, as far as they exist */
    int64_t in_rows, out_rows; /* of a picture */
    int64_t in_row, out_row;   /* floats from row to row */
    /* Output rows [y0,y1) of picture n by the calling thread, the pool's number `worker`; in and out are where row 0 of that picture
     * would be. */
    void (*run)(const struct cvi_band *b, int64_t n, const float *in, float *out, int64_t y0, int64_t y1,
                int worker);
    const void *of; /* what `run` needs */
} cvi_band;

struct cvs_unit; /* convscope/run.h */

struct cvi_op {
    const char *name; /* ONNX name; other domains "domain::Name" */
    int since;        /* first opset whose meaning (after the reader's upgrade) this is */
    const cvi_op_io *inputs, *outputs;
    int n_inputs, n_outputs; /* rows of the tables above */
    const cvi_op_attr *attrs;
    int n_attrs;
    unsigned flags;
    double scale_start; /* where learned CVI_SCALE numbers begin; 0 = 1 */
    cvi_glyph glyph;
    const char *word_en,
        *word_zh;       /* on drawings, in lower case: "conv", "卷积"; NULL: `name`, the Chinese title */
    const char *symbol; /* where it joins branches: "+", "×"; NULL: none */
    const char *onnx_pair
        [2]; /* not ONNX's own: the first of these on all inputs, then the second on its result and the inputs
                                 after the first; NULL: it is as it is */
    /* A better word for what this node's constants make of it ("ReLU6"), or NULL; NULL callback: never. */
    const char *(*known_as)(const cvi_graph *g, const cvi_node *node);

    /* Fills out[k].dtype, rank, dim (never -1) from shapes; needs a value's numbers: `CVI_TRY(cvi_need(ctx, k))`, which
     * answers CVS_E_LATE while they are not known (the engine then infers at run time). Wrong shapes: a sentence. */
    cvs_status (*infer)(cvi_opctx *ctx);
    /* Plain twin on CVS_PLAIN tensors: float32 and float64 natively (float64 is the reference for finite differences);
     * float16/bfloat16 are widened around the call by the engine unless `any_type`. Accumulates in double. */
    cvs_status (*forward)(cvi_opctx *ctx);
    bool
        any_type; /* forward handles every element type itself (moves or compares numbers, integer arithmetic) */

    /* Fast form on float32, or NULL. can_fast says whether these shapes fit (inputs' and output's layout is then
     * CVS_NHWC8 where fast_layout is, rank 4, for DATA inputs; other inputs stay plain). prepare packs constants once per
     * plan (may leave NULL); drop frees it. */
    bool (*can_fast)(const cvi_opctx *ctx);
    cvs_layout fast_layout;
    cvs_status (*prepare)(cvi_opctx *ctx, void **prepared);
    void (*drop)(void *prepared);
    /* Packs again after only the constants' numbers changed (training: every step); NULL: drop and prepare do it. */
    cvs_status (*repack)(cvi_opctx *ctx, void *prepared);
    cvs_status (*fast)(cvi_opctx *ctx);

    /* Fills *b for ctx, whose scratch holds what it needs; in and out may have no numbers. prepared NULL: only what it reads is asked
     * for. false: not by rows. NULL: never. */
    bool (*band)(cvi_opctx *ctx, cvi_band *b);

    void (*how)(cvi_opctx *ctx, cvi_how *how); /* in: shapes; NULL: there is one way only */

    /* Fusion. `epilogue`: what the fast form can take over from nodes behind it (CVI_EPI_*). The other two say what this node would be
     * as a part of an epilogue; in are shapes, with numbers for constants; false: not of that kind, or not here. */
    unsigned epilogue;
    bool (*affine)(const cvi_opctx *ctx, float *scale,
                   float *shift); /* y = x*scale[c] + shift[c]; scale NULL: only asked whether */
    bool (*clamp)(const cvi_opctx *ctx, float *lo, float *hi); /* y = min(max(x, lo), hi) */
    /* Incremental re-run (engine/incremental.h). `part` computes rectangles of the first output from rectangles of the first
     * input; ctx has the shapes of the whole pictures, the numbers of constants, and `prepared`. NULL: whole pictures only.
     * zero_edge: what lies beyond the border counts as zeros, so that blocks may hold them (begin = 0, end = false then).
     * grain: sides of `out` that are multiples of it cost least; NULL: 1. */
    cvs_status (*part)(cvi_opctx *ctx, const cvi_part *part);
    bool zero_edge;
    int64_t (*grain)(const cvi_opctx *ctx);
    /* Whether samples along dimension 0 of the data inputs are computed apart from each other, so that more of them can be
     * handed over at once wherever `infer` agrees. NULL: no, unless CVI_OP_POINTWISE. */
    bool (*apart)(const cvi_opctx *ctx);

    /* One element of the first output as arithmetic on elements of the inputs (ops/unit.h): fills kind, bias, own and terms, whose
     * `source` is the number of the input. in has numbers. NULL: the engine finds the terms by the gradient. */
    cvs_status (*unit)(cvi_opctx *ctx, int64_t at, struct cvs_unit *unit);

    /* Adds d target / d in[k] to grad_in[k] (+=; NULL: not wanted) from grad_out[k] (NULL: zero), under a rule. in and out hold the
     * forward values. Types as in forward. NULL: "not differentiable here", shown to the user. */
    cvs_status (*backward)(cvi_opctx *ctx, cvi_rule rule, const cvs_tensor *const *grad_out,
                           cvs_tensor *const *grad_in);
    /* The same on float32 in the fast form, or NULL. back_form fills *form (zeroed) and says whether these shapes fit: in has shapes
     * and constants, wants[k]: the gradient of in[k] is wanted. Called after a forward pass whose step was fast. */
    bool (*back_form)(const cvi_opctx *ctx, const bool *wants, cvi_back_form *form);
    cvs_status (*back_fast)(cvi_opctx *ctx, const cvi_back *back); /* NULL where back_form says `passes` */
    size_t (*aux_bytes)(const cvi_opctx *ctx);                     /* NULL: none */
    /* After a forward pass in training: mixes the batch's statistics, which lie in aux, into `now`, the numbers of input k
     * (CVI_MEAN or CVI_VARIANCE). NULL: the operator keeps no running statistics. */
    void (*renew)(const cvi_opctx *ctx, int k, cvs_tensor *now);

    void (*cost)(const cvi_opctx *ctx, cvi_cost *cost);        /* NULL: none */
    void (*field)(const cvi_opctx *ctx, cvi_field_step *step); /* NULL: CVI_FIELD_SAME */
    cvi_op_text text;
};

/* ---- table (table.c, ops.def) ----------------------------------------------------------------------- */
extern const cvi_op *const cvi_ops[]; /* sorted by name */
extern const int cvi_n_ops;
const cvi_op *cvi_op_find(const char *name); /* NULL: unknown */
/* Sets node->def (NULL: unknown) and checks the node's attributes and counts of inputs and outputs; infer and run rely on it. */
cvs_status cvi_op_bind(cvi_node *node, cvs_error *err);
/* Sets node->def in a graph and its subgraphs, checks attributes and input counts of known operators. */
cvs_status cvi_ops_bind(cvi_graph *g, cvs_error *err);
/* cvi_graph_find_layer that also knows "last-conv" and "first-conv", the value of the last and first node with kernels over
 * positions, and "first-pool". */
cvs_status cvi_ops_find_layer(const cvi_graph *g, const char *text, int *value, cvs_error *err);
/* Fills weights that have no data: He normal for CVI_WEIGHT, 0 for bias, shift, mean, 1 for scale, variance; marks has_weights. */
cvs_status cvi_ops_init_weights(cvs_model *model, uint64_t seed, cvs_error *err);

/* How the numbers of a kernel are drawn (init.c has the table: he_normal, glorot_uniform, torch, ...). {0} is he_normal. */
typedef struct cvi_initialiser {
    int kind;
    double value;    /* of the setting */
    const char *key; /* the setting's name, or NULL: it has none */
} cvi_initialiser;
bool cvi_initialiser_find(const char *name, cvi_initialiser *out); /* false: unknown */
const char *cvi_initialiser_names(char *text, size_t size);
typedef struct cvi_init {
    bool keras; /* fans of depthwise kernels are counted as Keras does */
    /* Which one for the kernel of this name (asked for its bias too). */
    cvi_initialiser (*choose)(const void *context, const char *name);
    const void *context;
} cvi_init;
/* cvi_ops_init_weights with other initialisers; init NULL: the same. */
cvs_status cvi_ops_init_by(cvs_model *model, uint64_t seed, const cvi_init *init, cvs_error *err);

/* ---- relevance.c ------------------------------------------------------------------------------------- */
/* Backward under a rule from CVI_LRP_EPSILON on, for an operator that has a backward: gradients are multipliers m, so that x*m is
 * the relevance of x; only CVI_LRP_COMPOSITE and CVI_DEEP_TAYLOR turn to relevance itself at the first kernels. reference: the same
 * node in a run on the baseline, for CVI_DEEPLIFT (else NULL). */
cvs_status cvi_relevance_backward(cvi_opctx *ctx, const cvi_opctx *reference, const cvi_relevance *how,
                                  cvi_rule rule, const cvs_tensor *const *grad_out,
                                  cvs_tensor *const *grad_in);

/* ---- helpers for family files (helpers.c) ------------------------------------------------------------- */
cvs_status cvi_need(const cvi_opctx *ctx,
                    int k); /* CVS_OK when in[k]->data is there (or in[k] has no elements) */
/* Attribute of the node, or the default in the operator's table. */
int64_t cvi_op_int(const cvi_opctx *ctx, const char *name);
double cvi_op_float(const cvi_opctx *ctx, const char *name);
const char *cvi_op_string(const cvi_opctx *ctx, const char *name);
/* Adds the epilogue's residual to out[0] and limits it, in place: for fast forms without a kernel that does so on the way. */
void cvi_epilogue_finish(cvi_opctx *ctx);
/* Sets out[k] like a shape; checks rank and product. */
cvs_status cvi_out_shape(cvi_opctx *ctx, int k, cvs_dtype dtype, int rank, const int64_t *dim);
/* Numpy broadcasting of n shapes; a sentence if they do not fit. */
cvs_status cvi_broadcast(cvi_opctx *ctx, int n, const cvs_tensor *const *in, int *rank, int64_t *dim);
/* axis in [-rank, rank) -> [0, rank), else a sentence. */
cvs_status cvi_axis(const cvi_opctx *ctx, int64_t axis, int rank, int *out);
/* Element i of a plain tensor of any type as double / int64. */
double cvi_get(const cvs_tensor *t, int64_t i);
int64_t cvi_get_int(const cvs_tensor *t, int64_t i);
void cvi_put(const cvs_tensor *t, int64_t i, double v);
/* `apart` of operators that never look beyond a sample; and of those with an attribute `axis`: unless it is dimension 0. */
bool cvi_apart_always(const cvi_opctx *ctx);
bool cvi_apart_axis(const cvi_opctx *ctx);

#endif
