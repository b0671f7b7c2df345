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

#ifdef __cplusplus
}
#endif
#endif
