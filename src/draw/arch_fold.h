/* SPDX-License-Identifier: MIT
 * arch_fold.h (internal to the folding) - naming the groups that were found.
 */
#ifndef CVI_ARCH_FOLD_H
#define CVI_ARCH_FOLD_H

#include "draw/arch.h"

/* Fills motif and scope of every group (arch_name.c). */
cvs_status cvi_arch_name_groups(cvi_arch *a, cvs_error *err);

#endif
