/* SPDX-License-Identifier: MIT
 * resize_taps.h (internal) - what Resize reads: for every output index of an axis, the input indices and their weights. Formulas:
 * the ONNX specification of Resize and its reference implementation.
 */
#ifndef CVI_OPS_RESIZE_TAPS_H
#define CVI_OPS_RESIZE_TAPS_H

#include "ops/walk.h"

typedef struct cvi_resize {
    double scale[CVS_MAX_RANK];
    int64_t size[CVS_MAX_RANK];
    double roi_start[CVS_MAX_RANK], roi_end[CVS_MAX_RANK];
    const char *mode, *coordinates, *nearest;
    bool crops; /* tf_crop_and_resize: places outside get extrapolation_value */
} cvi_resize;

/* Output index o of an axis is the sum over t < n of weight[o * n + t] times the input at index[o * n + t]. */
typedef struct cvi_taps {
    int64_t n;
    int64_t *index;
    double *weight;
    bool *outside; /* NULL, or per output index: show the extrapolation value */
} cvi_taps;

/* Sizes, scales and modes from attributes and inputs, checked; CVS_E_LATE while their numbers are not known. */
cvs_status cvi_resize_plan(const cvi_opctx *ctx, cvi_resize *r);
/* The taps of one axis, in ctx->scratch. */
cvs_status cvi_resize_taps(const cvi_opctx *ctx, const cvi_resize *r, int axis, cvi_taps *taps);
/* Whether an axis stays as it is. */
bool cvi_resize_keeps(const cvi_opctx *ctx, const cvi_resize *r, int axis);

#endif
