/* SPDX-License-Identifier: MIT
 * plan.h (internal to the engine) - what an exec is made of: a slot per value, a step per node, one block of memory.
 *
 * A value may lie in memory in two forms, plain and channels-last (CVS_NHWC8). The form that its node writes is made by the
 * run; the other one is converted at most once per run, when the first reader asks for it. Forms that the plan
 * can foresee have a place in the block; all others (late values, conversions for people) get memory of their own.
 */
#ifndef CVI_PLAN_H
#define CVI_PLAN_H

#include "engine/engine.h"

#define CVI_FOLD_ONE                                                                                         \
    ((int64_t)64 << 20) /* bytes one node may leave behind when it is computed while planning */
#define CVI_FOLD_ALL ((int64_t)256 << 20) /* and all of them together */

typedef enum cvi_step_kind {
    CVI_STEP_RUN,
    CVI_STEP_VIEW,   /* the output is the first input's memory under another name or shape */
    CVI_STEP_FOLDED, /* computed while planning: depends on constants only */
    CVI_STEP_UNKNOWN /* no such operator: a run ends here */
} cvi_step_kind;

typedef struct cvi_form {
    void *data; /* where the numbers are while `ready` */
    int64_t at; /* place in the block, -1 = none */
    void *own;  /* memory of its own */
    size_t own_bytes;
    bool ready;
} cvi_form;

typedef struct cvi_slot {
    cvs_tensor shape; /* data NULL; dtype CVS_NONE while unknown */
    cvi_form form[2]; /* by cvs_layout */
    bool known;       /* shape is known */
    bool constant;    /* same numbers in every run: weights and what is folded from them */
    bool
        moving; /* a constant that was overridden, or is folded from such a one: computed anew in every run */
    bool late;  /* shape is found while running */
    bool made[2]; /* while planning: this form will be there */
    bool keep;    /* asked for: an output of the graph, or listed in the options */
    bool inner;   /* written by no pass: inside a fused group */
    int part; /* the run of steps over parts of the batch that alone makes and reads it: memory for one part only; else -1 */
    int into; /* the joined value of which this one is a slice in a whole pass (branches.c), else -1 */
    int64_t channel; /* and its first channel there */
    bool holds;      /* the last pass left its branches' numbers in it */
    bool vanishes;   /* inside a chain: has no place in the block */
    bool shared;     /* its places in the block serve other values too: gone after the pass */
} cvi_slot;

/* A fused group: nodes that run as one call of the first one's operator, which takes the others over as its epilogue:
 *     y = limit(head(x) * scale[c] + shift[c] + residual)
 * node[0] is the head (anything whose descriptor has an `epilogue` mask: a convolution, a dense layer, a normalisation, an addition);
 * then, each at most once except the first kind, in this order: nodes that are a scale and a shift per channel (worked into the
 * head's weights and bias), one addition, one limit. Every node but the last has one output that only the next node reads and that
 * nobody asked to keep; these outputs are `inner`: no pass writes them, and cvi_exec_form computes them when somebody wants to see
 * one, node by node. The group runs at the place of its last node, so that the residual is there.
 * Gradient through a group, with g = d target / d y: g1 = g where y was not limited (lo < y < hi) else 0; the residual gets g1; the
 * head gets g1 * scale[c] (for a convolution: the transposed one with the folded weights, applied to g1). */
enum { CVI_GROUP_MOST = 6 };
typedef struct cvi_group {
    int n, node[CVI_GROUP_MOST]; /* in the order of the graph */
    int add, limit;              /* the node that is the addition, the limit; -1 = none */
    int residual;                /* the addition's other input, a value; -1 = none */
    int out;                     /* the last node's output, a value */
    bool scales;                 /* nodes between the head and `add` or `limit`: scale and shift */
    float *factors;              /* owned: scale[C] then shift[C]; made with the head's weights */
    cvi_epilogue epilogue;       /* residual is set for each call */
} cvi_group;

/* Steps first..last run for `samples` samples of the batch, then for the next ones: parts.c. */
typedef struct cvi_stretch {
    int first, last;
    int64_t batch, samples;
} cvi_stretch;

/* Nodes, or groups by their heads, that a whole pass goes through band by band (bands.c), at the place of the last one. */
enum { CVI_CHAIN_MOST = 4 };
typedef struct cvi_chain {
    int n, head[CVI_CHAIN_MOST];
    int last; /* the step at which it runs */
} cvi_chain;

typedef struct cvi_step {
    cvi_step_kind kind;
    int part;  /* index into cvi_exec.parts, -1 = sees the whole batch */
    int group; /* index into cvi_exec.groups, -1 = runs by itself */
    int chain; /* index into cvi_exec.chains, -1 = not in one */
    bool
        joined; /* its inputs are written straight into its output: a whole pass has nothing to do (branches.c) */
    int birth;   /* joined: the first step that writes into its output */
    bool late;   /* kind, shapes and memory are found while running */
    bool fast;   /* calls def->fast */
    bool widen;  /* 16-bit floats are computed as float32 around the call */
    bool repack; /* what `prepare` makes depends on numbers that may change: made anew in every run */
    bool ready;  /* `prepare` was called */
    bool needed; /* by the value asked for */
    bool done;   /* ran in this pass (as part of its group, where it has one) */
    void *prepared;
    void *alone; /* a head or a step of a part: prepared for running by itself on the whole batch */
    void *aux;
    int64_t aux_at;
    size_t aux_bytes, aux_own;
    cvi_exec *child; /* a subgraph that ran while shapes were inferred at run time */
    const cvi_graph *child_graph;
    cvs_tensor *kept; /* [n_out of the node] outputs that a loop computed while its shapes were inferred */
} cvi_step;

/* Room for one call of an operator. */
typedef struct cvi_call {
    cvi_opctx ctx;
    cvs_tensor *in, *out;
    const cvs_tensor **pin;
} cvi_call;
/* Room for the tensors of any one node of g; false without memory (free it all the same). */
bool cvi_call_make(const cvi_graph *g, cvi_call *call);
void cvi_call_free(cvi_call *call);

typedef enum cvi_phase { CVI_PHASE_PLAN, CVI_PHASE_LATE, CVI_PHASE_RUN } cvi_phase;

typedef struct cvi_back_plan cvi_back_plan; /* back.h */

/* What backward passes leave behind: their plans, by what was asked, and one block of memory for the gradients. */
typedef struct cvi_back_state {
    cvi_back_plan *plans[4]; /* last used first */
    const cvi_relevance *how;
    cvi_exec *reference;
    bool valid; /* plans[0] holds gradients of the last forward pass */
    void *block;
    size_t block_bytes;
} cvi_back_state;

struct cvi_exec {
    const cvi_graph *g;
    cvi_exec *parent; /* of a subgraph: where captured values are */
    cvi_exec_options options;
    int64_t max_bytes;
    cvi_slot *slots;
    cvi_step *steps;
    struct cvi_request *requests; /* [n_requests], while planning: places.c */
    int n_requests, max_requests;
    bool passing;      /* inside cvi_exec_forward: shared places may be written */
    cvi_group *groups; /* [n_groups] */
    int n_groups;
    cvi_stretch *parts; /* [n_parts] */
    int n_parts;
    cvi_chain *chains; /* [n_chains] */
    int n_chains;
    const cvi_stretch *now; /* the run of parts that is under way, and its first sample */
    int64_t sample;
    cvi_call call, shown; /* shown: what cvi_exec_opctx hands out */
    cvi_call again;       /* for nodes that run because somebody looks at a value that is not there */
    cvi_arena *scratch;
    uint8_t *block;
    int64_t block_bytes, own_bytes, fold_bytes;
    cvi_phase phase;
    int last;     /* that `needed` was marked for; -2 = nothing marked yet */
    bool has_run; /* a forward pass was made, so that values have numbers */
    int n_moving; /* overridden constants */
    bool settled; /* they are as they were in the last run */
    cvi_back_state back;
    int depth; /* of subgraphs */
};

/* What a call sees of its inputs. */
typedef enum cvi_inputs {
    CVI_IN_CONSTANTS,  /* numbers of constants only, in the forms of the step */
    CVI_IN_READY,      /* plain numbers where they lie ready, else shapes */
    CVI_IN_PLAIN,      /* plain numbers of all */
    CVI_IN_PARAMETERS, /* numbers of constants, an error where one has none; shapes of the rest */
    CVI_IN_STEP        /* numbers of all, in the forms of the step */
} cvi_inputs;

/* plan.c */
cvs_status cvi_plan_build(cvi_exec *x, const cvs_tensor *inputs, cvs_error *err);
cvs_status cvi_plan_late(cvi_exec *x, int n, cvs_error *err); /* while running */
bool cvi_plan_reads(const cvi_exec *x, int n, bool (*visit)(void *context, int v), void *context);
/* Who reads each value: how often, and the last node that does. Arrays of n_values, cvi_readers_free also after an error. */
typedef struct cvi_readers {
    int *count, *reader;
    int node; /* while they are counted */
} cvi_readers;
cvs_status cvi_readers_find(const cvi_exec *x, cvi_readers *out, cvs_error *err);
void cvi_readers_free(cvi_readers *r);
/* fuse.c: finds the groups of a plan whose nodes are settled; makes a group's epilogue; frees groups. */
cvs_status cvi_fuse_find(cvi_exec *x, cvs_error *err);
cvs_status cvi_fuse_epilogue(cvi_exec *x, cvi_group *group, cvs_error *err);
void cvi_fuse_free(cvi_exec *x);
static inline bool cvi_group_ends(const cvi_exec *x, int n) { /* node n is the last one of its group */
    int g = x->steps[n].group;
    return g >= 0 && x->groups[g].node[x->groups[g].n - 1] == n;
}
/* recompute.c: computes value v and what it needs, node by node; no effect where it is there or the pass did not reach it. */
cvs_status cvi_exec_again(cvi_exec *x, int v, cvs_error *err);
/* parts.c: finds the runs of steps that take a few samples at a time; makes of a tensor of the batch its piece for the part under way
 * (no effect outside of one). */
cvs_status cvi_parts_find(cvi_exec *x, cvs_error *err);
void cvi_part_narrow(const cvi_exec *x, int v, cvs_tensor *t);
/* branches.c: finds the nodes whose inputs can be written into their output. In a whole pass: whether v is such an input, and node n
 * such a node; the pitch of v (0: its own); where v's numbers go. */
cvs_status cvi_branches_find(cvi_exec *x, cvs_error *err);
bool cvi_branch_joined(const cvi_exec *x, int v);
bool cvi_branches_joined(const cvi_exec *x, int n);
int64_t cvi_branch_pitch(const cvi_exec *x, int v);
cvs_status cvi_branch_memory(cvi_exec *x, int v, cvs_tensor *t, cvs_error *err);
cvs_status
cvi_branch_cut(cvi_exec *x, int v,
               cvs_error *err); /* after a pass: v out of the value it was joined into, if it is there */
/* bands.c: finds the chains; whether node n runs in one in this pass; the value that a node, or its group, makes; runs n links on
 * `samples` pictures. */
cvs_status cvi_bands_find(cvi_exec *x, cvs_error *err);
bool cvi_chain_runs(const cvi_exec *x, int n);
int cvi_chain_output(const cvi_exec *x, int head);
cvs_status cvi_chain_run(cvi_exec *x, int n, const cvi_band *links, int64_t samples, const float *in,
                         float *out, cvs_error *err);
/* places.c: asks for a place for one form of a value that step `birth` makes; decides all places; after a pass, forgets values whose
 * places were shared. */
cvs_status cvi_memory_place(cvi_exec *x, int v, cvs_layout form, int birth, cvs_error *err);
cvs_status cvi_memory_assign(cvi_exec *x, cvs_error *err);
void cvi_memory_forget(cvi_exec *x);
/* exec.c */
cvs_status cvi_exec_alone(cvi_exec *x, int n, cvi_call *call,
                          cvs_error *err); /* one known node, without its group */
cvs_status cvi_exec_create(const cvi_graph *g, cvi_exec *parent, const cvs_tensor *inputs,
                           const cvi_exec_options *options, cvi_exec **out, cvs_error *err);
cvs_status cvi_exec_call(cvi_exec *x, int n, cvi_call *call, cvs_error *err);
void cvi_step_drop(cvi_exec *x, int n); /* forgets prepared weights */
/* value.c */
cvi_role cvi_op_role(const cvi_op *op, int k);
cvs_layout cvi_step_form(const cvi_exec *x, int n, int k); /* the form in which node n reads its input k */
cvs_layout
cvi_step_writes(const cvi_exec *x, int n,
                const cvs_tensor *shape); /* the form in which node n writes an output of that shape */
bool cvi_form_bytes(const cvs_tensor *shape, cvs_layout form, int64_t *bytes);
/* A sentence where that much is past the limit. */
cvs_status cvi_exec_check_limit(const cvi_exec *x, int64_t bytes, cvs_error *err);
cvs_status cvi_exec_reserve(cvi_exec *x, int64_t bytes, int64_t *at, cvs_error *err);
cvs_status cvi_exec_memory(cvi_exec *x, int v, cvs_layout form, void **data, cvs_error *err);
cvs_status cvi_exec_own(cvi_exec *x, void **own, size_t *own_bytes, size_t bytes, cvs_error *err);
cvs_status cvi_exec_form(cvi_exec *x, int v, cvs_layout form, void **data, cvs_error *err);
cvs_status cvi_call_fill(cvi_exec *x, int n, cvi_call *call, cvi_inputs what, cvs_error *err);
/* backward.c */
void cvi_back_free(cvi_exec *x);
/* subgraph.c: what cvi_opctx offers operators with graphs. */
cvs_status cvi_exec_run_graph(const cvi_opctx *ctx, const cvi_graph *sub, cvs_tensor *outputs);
cvs_status cvi_exec_run_body(const cvi_opctx *ctx, const cvi_graph *sub, const cvs_tensor *inputs,
                             cvs_tensor *outputs, void **state);
void cvi_exec_end_body(void **state);
cvs_status cvi_exec_keep_outputs(const cvi_opctx *ctx, cvs_tensor *outputs);
bool cvi_exec_take_outputs(const cvi_opctx *ctx, cvs_tensor *outputs);
void cvi_exec_drop_kept(const cvi_exec *x, int n);

#endif
