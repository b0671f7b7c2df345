/* SPDX-License-Identifier: MIT
 * onnx_rewrite.h (internal) - operators of other domains (ONNX Runtime's com.microsoft, ai.onnx.ml) in ONNX's own words: a rule puts
 * standard nodes in place of a draft. What a rule does not know stays as it is: it is drawn, and a run stops there by name.
 */
#ifndef CVI_ONNX_REWRITE_H
#define CVI_ONNX_REWRITE_H

#include "onnx.h"
#include "ops/op.h"

/* The nodes of one rule. After a failure every call does nothing and answers -1; `s` is what is to be returned. */
typedef struct cvi_rw {
    cvi_onnx_draft *d;
    cvs_status s;
    bool done; /* the draft has been replaced */
} cvi_rw;

#define CVI_RW_INT(NAME, V)   ((cvi_attr){.name = (NAME), .kind = CVI_ATTR_INT, .i = (V)})
#define CVI_RW_FLOAT(NAME, V) ((cvi_attr){.name = (NAME), .kind = CVI_ATTR_FLOAT, .f = (V)})

/* Input k of the draft, -1 where it is absent. */
int cvi_rw_in(const cvi_rw *p, int k);
/* Whether the first n inputs are all there; says so in p->s where not. */
bool cvi_rw_need(cvi_rw *p, int n);
const cvi_attr *cvi_rw_attr(const cvi_rw *p, const char *name); /* NULL: absent */
int64_t cvi_rw_int(const cvi_rw *p, const char *name, int64_t otherwise);
double cvi_rw_float(const cvi_rw *p, const char *name, double otherwise);
const char *cvi_rw_string(const cvi_rw *p, const char *name, const char *otherwise);
/* The constant that a value is, or NULL (also for -1 and for one without numbers). */
const cvs_tensor *cvi_rw_constant(const cvi_rw *p, int value);
/* How many axes a value has, -1: not known yet. */
int cvi_rw_rank(const cvi_rw *p, int value);
cvs_dtype cvi_rw_type(const cvi_rw *p, int value); /* CVS_NONE: not known yet */

/* A node with one output, a new value named after the draft's output; hidden: no layer of its own. */
int cvi_rw_put(cvi_rw *p, const char *op, bool hidden, int n_in, const int *in, int n_attr,
               const cvi_attr *attr);
int cvi_rw_one(cvi_rw *p, const char *op, int a);
int cvi_rw_two(cvi_rw *p, const char *op, int a, int b);
/* The same with several outputs. */
void cvi_rw_many(cvi_rw *p, const char *op, int n_in, const int *in, int n_out, int *out, int n_attr,
                 const cvi_attr *attr);
int cvi_rw_ints(cvi_rw *p, const char *what, int n, const int64_t *v);
int cvi_rw_scalar(cvi_rw *p, const char *what, cvs_dtype dtype, double v); /* rank 0 */
int cvi_rw_tensor(cvi_rw *p, const char *what, const cvs_tensor *t);
/* x with its axes in another order; channels_last: [N,...,C] -> [N,C,...], else back. Its rank must be known. */
int cvi_rw_turn(cvi_rw *p, int x, int rank, bool channels_last);
/* The last node: it makes output k of the draft (absent: nothing happens). */
void cvi_rw_end(cvi_rw *p, int k, const char *op, int n_in, const int *in, int n_attr, const cvi_attr *attr);
/* Attributes of the draft by these names (NULL at the end), copied to `to`; returns how many there are. */
int cvi_rw_copy(const cvi_rw *p, const char *const *names, cvi_attr *to);

typedef struct cvi_onnx_rule {
    const char *op; /* "domain::Name" */
    void (*apply)(cvi_rw *p);
} cvi_onnx_rule;

extern const cvi_onnx_rule cvi_onnx_rules_aten[], cvi_onnx_rules_attention[], cvi_onnx_rules_microsoft[],
    cvi_onnx_rules_qlinear[], cvi_onnx_rules_ml[];

/* Replaces the draft by a rule of its operator, if there is one; *done says whether. */
cvs_status cvi_onnx_rewrite(cvi_onnx_draft *d, bool *done);

#endif
