/* SPDX-License-Identifier: MIT
 * back.h (internal to the engine) - the plan of a backward pass: which steps, in which form every gradient lies, and where.
 *
 * Made once per question (which seeds, which wanted values) and kept by the exec, so that asking again costs the arithmetic alone.
 * A gradient lies in a buffer; a buffer lives from the step that first writes it to the last one that reads it, and buffers whose
 * lives do not touch share memory. Two values share one buffer where an operator passes the gradient on unchanged (a sum, a view):
 * whoever then wants to add to it makes a copy of its own first.
 */
#ifndef CVI_BACK_H
#define CVI_BACK_H

#include "engine/plan.h"

typedef struct cvi_back_buffer {
    int64_t bytes, at; /* at: place in the exec's block of gradients */
    int birth, death;  /* steps */
    int users;         /* while planning: values and pending reads that still need what it holds */
} cvi_back_buffer;

typedef enum cvi_back_kind {
    CVI_BACK_SEED,  /* seed number `node` -> to */
    CVI_BACK_CLEAR, /* to = 0 */
    CVI_BACK_COPY,  /* to = from (+ base, where neither changes its form) */
    CVI_BACK_FAST,  /* node's back_fast */
    CVI_BACK_PLAIN, /* node's backward, which adds to plain memory */
    CVI_BACK_NONE   /* another step took this one over (back_fuse.c) */
} cvi_back_kind;

/* The gradient of one output or input of a node in a call: buffer -1 = zero or not wanted. */
typedef struct cvi_back_part {
    int buffer, base;
    int gate; /* of an input: 1 + the node whose limit the writer takes over; 0 = none */
} cvi_back_part;

typedef struct cvi_back_step {
    cvi_back_kind kind;
    int node;                   /* or which seed */
    int value;                  /* SEED, CLEAR, COPY: whose shape it is about */
    int from, to, base;         /* SEED, CLEAR, COPY: buffers */
    cvs_layout from_form, form; /* of from; of to and base */
    int parts;                  /* FAST, PLAIN: first of n_out + n_in parts */
    cvi_back_form reads;        /* FAST */
    int scale;                  /* FAST: 1 + the node whose factors per channel it takes over; 0 = none */
    float *factors;             /* these, owned; NULL: not computed yet */
} cvi_back_step;

typedef struct cvi_back_list {
    void *data;
    int count, room;
} cvi_back_list;

struct cvi_back_plan {
    int n_seeds, n_wanted;
    int *key; /* seed values, then wanted values */
    cvi_back_list steps, parts, buffers;
    int *buffer;     /* per value: where its gradient is at the end (wanted ones), -1 */
    uint8_t *form;   /* per value: the form of its gradient */
    void **plain;    /* per wanted: its gradient as plain numbers, where it lies otherwise; owned */
    bool *is_plain;  /* per wanted: converted since the last pass */
    int64_t bytes;   /* of the block */
    bool plain_only; /* no fast step: the rules of relevance.c */
    bool once;       /* made for shapes that only the last run knew */
    int *
        owner; /* per buffer: wanted value whose memory of the caller may stand for it, -1; NULL: not asked yet */
    void *const *into; /* during a pass, per wanted: memory of the caller, or NULL */
    bool add;          /* to what is there */
};

static inline cvi_back_step *cvi_back_steps(const cvi_back_plan *p) {
    return p->steps.data;
}
static inline cvi_back_part *cvi_back_parts(const cvi_back_plan *p) {
    return p->parts.data;
}
static inline cvi_back_buffer *cvi_back_buffers(const cvi_back_plan *p) {
    return p->buffers.data;
}

/* The gradient of v in a form: type and shape; data NULL. False where it is larger than any memory. */
bool cvi_back_tensor(const cvi_exec *x, int v, cvs_layout form, cvs_tensor *t);
/* The form in which the fast backward of node n has the gradient of this value. */
cvs_layout cvi_back_node_form(const cvi_exec *x, int n, int v, cvi_role role);
/* back_plan.c: seeds and wanted values were checked. Free with cvi_back_plan_free. */
cvs_status cvi_back_plan_new(cvi_exec *x, const int *seeds, int n_seeds, const int *wanted, int n_wanted,
                             bool plain_only, cvi_back_plan **out, cvs_error *err);
void cvi_back_plan_free(cvi_back_plan *p);
/* back_into.c */
cvs_status cvi_back_find_owners(const cvi_exec *x, cvi_back_plan *p, cvs_error *err);
cvs_status cvi_back_hand_over(cvi_exec *x, cvi_back_plan *p, void *const *into, bool add, cvs_error *err);
/* back_fuse.c: steps that do no more than limit or scale a gradient become part of their neighbours. */
void cvi_back_fuse(cvi_exec *x, cvi_back_plan *p, const bool *wanted);
/* back_run.c */
cvs_status cvi_back_run(cvi_exec *x, cvi_back_plan *p, cvi_rule rule, const cvs_tensor *seeds,
                        cvs_error *err);

#endif
