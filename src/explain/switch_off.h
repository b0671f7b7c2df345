/* SPDX-License-Identifier: MIT
 * switch_off.h (internal) - the target without one feature map of the layer at a time: Ablation-CAM's weights and channel ablation.
 */
#ifndef CVI_EXPLAIN_SWITCH_OFF_H
#define CVI_EXPLAIN_SWITCH_OFF_H

#include "explain/changes.h"

/* maps [1,K,h,w] of the question's layer. Map k is filled with level[k] (NULL: zero) everywhere; the target then is without[k] [K];
 * with nothing switched off it is *whole. a is a base. */
cvs_status cvi_switch_off(cvi_again *a, const cvs_tensor *maps, const float *level, double *whole,
                          double *without);

#endif
