/* SPDX-License-Identifier: MIT
 * relevance.h (internal) - what the methods of layer-wise relevance propagation share.
 */
#ifndef CVI_EXPLAIN_RELEVANCE_H
#define CVI_EXPLAIN_RELEVANCE_H

#include "explain/method.h"

/* The relevance of every number of the picture under a rule, from the target's own value; what the map adds up to stands in the
 * caption. */
cvs_status cvi_relevance_map(cvi_question *q, cvi_rule rule, cvs_explanation *out);

#endif
