/* SPDX-License-Identifier: MIT
 * unit.h (internal) - one element of an operator's output as arithmetic: the terms that it is made of, for people to follow.
 */
#ifndef CVI_OPS_UNIT_H
#define CVI_OPS_UNIT_H

#include "convscope/run.h"
#include "ops/window.h"

/* Adds a term; `input` is the number of the operator's input. Memory that runs out sets unit->failed. */
void cvi_unit_add(cvs_unit *unit, int input, int64_t at, int64_t tap, double value, double weight);

/* The elements of a window at output position o (row-major over w->out) in the plane that begins at `base`: calls visit with the
 * tap (row-major over w->kernel) and the element of x, -1 in the padding. */
typedef void cvi_unit_visit(void *context, int64_t tap, int64_t at);
void cvi_unit_window(const cvi_window *w, int64_t o, int64_t base, cvi_unit_visit *visit, void *context);

#endif
