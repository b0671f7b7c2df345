/* SPDX-License-Identifier: MIT
 * onnx_upgrade.h (internal) - how upgrade rules change a draft node, and the rules that depend on shapes (onnx_upgrade_shape.c).
 */
#ifndef CVI_ONNX_UPGRADE_H
#define CVI_ONNX_UPGRADE_H

#include "onnx.h"
#include "ops/op.h"

/* Removes an attribute and hands it out; false when it is absent. */
bool cvi_up_take(cvi_onnx_draft *d, const char *name, cvi_attr *out);
/* Set or replace an attribute. At most CVI_ONNX_SPARE may be added. */
cvs_status cvi_up_set_int(cvi_onnx_draft *d, const char *name, int64_t v);
/* Sets input k, absent ones before it. Only k < the node's own inputs + CVI_ONNX_SPARE. */
void cvi_up_set_input(cvi_onnx_draft *d, int k, int value);
/* A name for something beside the node: its first output's name and `what`. */
const char *cvi_up_name(cvi_onnx_draft *d, const char *what);
/* Puts a hidden node (1 or 2 inputs, one INT attribute or none) before the draft; returns its output or -1. */
int cvi_up_hidden(cvi_onnx_draft *d, const char *op, int n_in, const int *in, const char *what,
                  const char *attr, int64_t value);

cvs_status cvi_up_broadcast_7(cvi_onnx_draft *d);
cvs_status cvi_up_gemm_7(cvi_onnx_draft *d);
cvs_status cvi_up_prelu_7(cvi_onnx_draft *d);
cvs_status cvi_up_scan_9(cvi_onnx_draft *d); /* onnx_upgrade_scan.c */
cvs_status cvi_up_softmax_13(cvi_onnx_draft *d);

#endif
