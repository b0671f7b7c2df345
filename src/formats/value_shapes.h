/* SPDX-License-Identifier: MIT
 * value_shapes.h (internal) - shapes (and small numbers) of a graph's values while a reader is still building it, asked of the
 * operators themselves. A free batch counts as 1. Where an operator does not know, the shape stays unknown.
 */
#ifndef CVI_VALUE_SHAPES_H
#define CVI_VALUE_SHAPES_H

#include "graph/build.h"

typedef struct cvi_shapes {
    cvs_tensor *of; /* per value; dtype CVS_NONE: unknown. data: its numbers, where they are known and few */
    int n, capacity, inferred;
    int64_t side;     /* what a free dimension that is not the batch counts as; 0: such shapes stay unknown */
    int64_t evaluate; /* numbers are worked out for values of up to so many elements */
} cvi_shapes;

/* The shape of a value, or NULL. Only lack of memory is a failure (kept in b). */
const cvs_tensor *cvi_shapes_of(cvi_shapes *s, cvi_build *b, int value);

#endif
