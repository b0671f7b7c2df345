/* SPDX-License-Identifier: MIT
 * graph.h - what operators exist and what they mean, for help, documentation and the app.
 */
#ifndef CONVSCOPE_GRAPH_H
#define CONVSCOPE_GRAPH_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One operator of the table; all strings borrowed and static, in the language asked for. */
typedef struct cvs_op_info {
    const char *name; /* as in the ONNX standard: "Conv" */
    const char *title, *sentence, *formula, *reading;
    int since;                 /* opset whose meaning it has */
    bool differentiable, fast; /* has a backward rule; has a fast form beside the plain one */
    int n_attributes;
} cvs_op_info;
int cvs_op_count(void);
/* Fills out for operator i in [0, count). CVS_E_ARGUMENT outside. */
cvs_status cvs_op_describe(int i, cvs_lang lang, cvs_op_info *out, cvs_error *err);
/* Attribute k of operator i: name, default as text ("" = none, NULL = required), allowed range, meaning. */
cvs_status cvs_op_attribute(int i, int k, cvs_lang lang, const char **name, const char **initial,
                            const char **range, const char **meaning, cvs_error *err);

/* What the node that made a layer says of itself in the file: every attribute, input and output. */
typedef enum cvs_node_part_kind { CVS_NODE_ATTRIBUTE, CVS_NODE_INPUT, CVS_NODE_OUTPUT } cvs_node_part_kind;
typedef struct cvs_node_part {
    cvs_node_part_kind kind;
    const char *name; /* of the attribute or value; borrowed from the model */
    char text
        [240]; /* the attribute's value (cut, with "..."), or type and shape of the value: "float32 64x3x7x7" */
    bool constant; /* an input that is a weight; where its numbers are there, what they are like: */
    bool measured;
    double least, largest, mean, deviation, zeros; /* zeros: share of them */
} cvs_node_part;
typedef struct cvs_node_facts {
    const char *name, *op, *note; /* borrowed; note NULL where the reader had nothing to say */
    int n;
    cvs_node_part *parts; /* owned */
} cvs_node_facts;
/* layer counts as in run.h. Free with cvs_node_facts_free. */
struct cvs_model;
cvs_status cvs_model_node(const struct cvs_model *model, int layer, cvs_node_facts *out, cvs_error *err);
void cvs_node_facts_free(cvs_node_facts *f);

#ifdef __cplusplus
}
#endif
#endif
