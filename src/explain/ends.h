/* SPDX-License-Identifier: MIT
 * ends.h (internal) - the lowest and the highest layer that a measurement over a whole network looks at unless told otherwise.
 */
#ifndef CVI_ENDS_H
#define CVI_ENDS_H

#include "convscope/invariance.h"

/* The first layer with kernels over positions; the layer that the logits are made of. Layers count as in run.h. */
cvs_status cvi_low_layer(const cvs_model *model, int *layer, cvs_error *err);
cvs_status cvi_high_layer(const cvs_model *model, int *layer, cvs_error *err);

#endif
