/* SPDX-License-Identifier: MIT
 * field.h (internal to the engine) - receptive fields: what one position of a value sees of the input.
 */
#ifndef CVI_FIELD_H
#define CVI_FIELD_H

#include "engine/engine.h"

typedef struct cvi_field {
    bool known;
    bool carried; /* made of the picture, but has no positions itself (flattened) */
    double low[2],
        high[2];    /* first and last input pixel that position 0 sees (may lie outside), rows and columns */
    double jump[2]; /* input pixels between neighbours */
} cvi_field;

/* Fills field[n values] for a planned exec; zeroed where a value has no positions or a shape is unknown. */
void cvi_fields(cvi_exec *x, cvi_field *field);

#endif
