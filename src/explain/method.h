/* SPDX-License-Identifier: MIT
 * method.h (internal) - one explanation method per file, one line in methods.def.
 */
#ifndef CVI_METHOD_H
#define CVI_METHOD_H

#include "convscope/explain.h"
#include "engine/engine.h"

/* What a method works with; made by explain.c. All values and tensors are of one sample, batch 1. */
typedef struct cvi_question {
    const cvs_model *model;
    cvi_exec *exec;           /* after forward of the sample, aux kept */
    const cvs_tensor *inputs; /* what went in, [1,C,H,W] */
    int n_inputs;
    int target_value; /* value of the graph that the target is an element of */
    int target_index;
    int layer_value; /* -1 unless the method needs a layer */
    const cvs_explain_options *options;
    cvi_pool *pool;
    cvs_error *err;
} cvi_question;

typedef struct cvi_method {
    const char *name;
    const char *title_en, *title_zh;
    const char *sentence_en, *sentence_zh; /* what it shows */
    const char *caveat_en, *caveat_zh;     /* what it does not show, one line */
    const char *source;                    /* paper of the formula */
    cvs_map_kind kind;
    bool needs_layer;
    cvs_status (*run)(cvi_question *q, cvs_explanation *out);
} cvi_method;

extern const cvi_method *const cvi_methods[];
extern const int cvi_n_methods;

/* d target / d value under a rule, for the question's target: fills out with a borrowed view. */
cvs_status cvi_question_gradient(cvi_question *q, cvi_rule rule, int value, cvs_tensor *out);

#endif
