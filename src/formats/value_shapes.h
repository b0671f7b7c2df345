/* SPDX-License-Identifier: MIT
 * value_shapes.h (internal) - shapes (and small numbers) of a graph's values while a reader is still building it, asked of the
 * operators themselves. A free batch counts as 1. Where an operator does not know, the shape stays unknown. Every reader that builds
 * with cvi_build asks here; those of the text language, TorchScript and ONNX keep shapes of their own (a mistake is told at its line;
 * two sizes at once; scopes of functions).
 */
#ifndef CVI_VALUE_SHAPES_H
#define CVI_VALUE_SHAPES_H

#include "graph/build.h"

typedef struct cvi_shapes {
    cvs_tensor *of; /* per value; dtype CVS_NONE: unknown. data: its numbers, where they are known and few */
    int n, capacity, inferred;
    int64_t side;     /* what a free dimension that is not the batch counts as; 0: such shapes stay unknown */
    int64_t evaluate; /* numbers are worked out for values of up to so many elements */
    bool
        strict; /* a node whose operator refuses its inputs is the build's failure; else its shape stays unknown */
} cvi_shapes;

/* The shape of a value, or NULL. Failures are kept in b: lack of memory, and what is refused where `strict`. */
const cvs_tensor *cvi_shapes_of(cvi_shapes *s, cvi_build *b, int value);
/* Tells a shape that no operator says: an input's stand-in, the output of an unknown layer. */
void cvi_shapes_tell(cvi_shapes *s, cvi_build *b, int value, const cvs_tensor *shape);

#endif
